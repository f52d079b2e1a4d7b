package bls

import (
	"bytes"
	"errors"
	"fmt"
	"math/big"
	"math/rand/v2"
	"strings"
	"testing"

	"portico/lightclient/bls"

	blst "github.com/supranational/blst/bindings/go"
	"pgregory.net/rapid"
)

// random is the same bytes for the same seed.
func random(seed byte) *rand.ChaCha8 { return rand.NewChaCha8([32]byte{seed}) }

// dealt is a threshold key, all its shares, and what each signed.
type dealt struct {
	key     *ThresholdKey
	secrets []*SecretKey
	signed  []Share
}

var message = []byte("message")

func deal(t testing.TB, threshold, n int) dealt {
	t.Helper()
	secrets, coefficients, err := Deal(random(byte(n)), threshold, n)
	if err != nil {
		t.Fatal(err)
	}
	key, err := ParseThresholdKey(coefficients)
	if err != nil {
		t.Fatal(err)
	}
	d := dealt{key: key, secrets: secrets}
	for i, s := range secrets {
		d.signed = append(d.signed, Share{i, s.Sign(message)})
	}
	return d
}

func combine(t testing.TB, shares []Share) []byte {
	t.Helper()
	sig, err := Combine(shares)
	if err != nil {
		t.Fatal(err)
	}
	return sig
}

func TestAnyThresholdOfSharesMakesTheSameSignature(t *testing.T) {
	for _, c := range []struct{ threshold, n int }{{1, 1}, {1, 4}, {2, 4}, {3, 4}, {4, 4}, {5, 7}, {9, 13}, {27, 40}} {
		d := deal(t, c.threshold, c.n)
		want := combine(t, d.signed[:c.threshold])
		if err := bls.Verify(d.key.PublicKey().Bytes(), message, want); err != nil {
			t.Fatalf("%d of %d: %v", c.threshold, c.n, err)
		}
		r := rand.New(random(1))
		for range 5 {
			order := r.Perm(c.n)
			size := c.threshold + r.IntN(c.n-c.threshold+1)
			var some []Share
			for _, i := range order[:size] {
				some = append(some, d.signed[i])
			}
			if got := combine(t, some); !bytes.Equal(got, want) {
				t.Errorf("%d of %d: members %v make %x, want %x", c.threshold, c.n, order[:size], got, want)
			}
			if c.threshold == 1 {
				continue
			}
			fewer := combine(t, some[:c.threshold-1])
			if err := d.key.PublicKey().Verify(message, fewer); !errors.Is(err, bls.ErrMismatch) {
				t.Errorf("%d of %d: members %v alone: %v", c.threshold, c.n, order[:c.threshold-1], err)
			}
			if err := bls.Verify(d.key.PublicKey().Bytes(), message, fewer); !errors.Is(err, bls.ErrMismatch) {
				t.Errorf("%d of %d in pure Go: members %v alone: %v", c.threshold, c.n, order[:c.threshold-1], err)
			}
		}
	}
}

func TestASharesKeyIsItsMembersOnly(t *testing.T) {
	const n = 7
	d := deal(t, 5, n)
	for i := range n {
		key, err := d.key.Share(i)
		if err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(key.Bytes(), d.secrets[i].PublicKey()) {
			t.Errorf("member %d: the coefficients give another key than the secret", i)
		}
		for j := range n {
			if err := key.Verify(message, d.signed[j].Signature); (err == nil) != (i == j) {
				t.Errorf("the share of member %d under the key of %d: %v", j, i, err)
			}
		}
	}
}

func TestAWrongShareSpoilsTheSignature(t *testing.T) {
	d := deal(t, 3, 4)
	d.signed[1].Signature = d.secrets[1].Sign([]byte("another"))
	if err := d.key.PublicKey().Verify(message, combine(t, d.signed[:3])); !errors.Is(err, bls.ErrMismatch) {
		t.Errorf("a share of another message: %v", err)
	}
	d.signed[1].Signature = d.signed[3].Signature
	if err := d.key.PublicKey().Verify(message, combine(t, d.signed[:3])); !errors.Is(err, bls.ErrMismatch) {
		t.Errorf("a share under another name: %v", err)
	}
}

func TestCombineRefusesWhatIsNoSetOfShares(t *testing.T) {
	d := deal(t, 2, 4)
	a, b := d.signed[0], d.signed[1]
	infinity := append([]byte{0xc0}, make([]byte, 47)...)
	for want, shares := range map[string][]Share{
		"no shares":                    nil,
		"two shares of member 0":       {a, b, a},
		"no member -1":                 {a, {-1, b.Signature}},
		"no member 65536":              {a, {MaxMembers, b.Signature}},
		"of 47 bytes":                  {a, {1, b.Signature[:47]}},
		"of 0 bytes":                   {a, {1, nil}},
		"member 1: bls: share is the ": {a, {1, infinity}},
		"no point of the curve":        {a, {1, bytes.Repeat([]byte{0xff}, 48)}},
	} {
		if _, err := Combine(shares); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: error %v", want, err)
		}
	}
}

// outside is a point of the curve that is not in the subgroup.
func outside(t testing.TB) *blst.P1Affine {
	t.Helper()
	for x := byte(1); x < 255; x++ {
		b := make([]byte, 48)
		b[0], b[47] = 0x80, x
		if p := new(blst.P1Affine).Uncompress(b); p != nil && !p.InG1() {
			return p
		}
	}
	t.Fatal("no point found")
	return nil
}

// plus adds k times a point to a signature.
func plus(sig []byte, p *blst.P1Affine, k int) []byte {
	sum := new(blst.P1).AddAssign(new(blst.P1Affine).Uncompress(sig))
	for range k {
		sum.AddAssign(p)
	}
	for range -k {
		sum.SubAssign(p)
	}
	return sum.Compress()
}

func TestSharesOutsideTheSubgroupDoNotGetThrough(t *testing.T) {
	d := deal(t, 3, 4)
	bad := Share{1, plus(d.signed[1].Signature, outside(t), 1)}
	key, err := d.key.Share(1)
	if err != nil {
		t.Fatal(err)
	}
	if err := key.Verify(message, bad.Signature); err == nil || !strings.Contains(err.Error(), "no point of the group") {
		t.Errorf("the share alone: %v", err)
	}
	for _, others := range [][]int{{0, 2}, {0, 3}, {2, 3}} {
		combined := combine(t, []Share{bad, d.signed[others[0]], d.signed[others[1]]})
		if err := d.key.PublicKey().Verify(message, combined); err == nil {
			t.Errorf("it combines with those of %v to a signature that verifies", others)
		}
	}
	sum, err := AggregateSignatures([][]byte{d.signed[0].Signature, bad.Signature})
	if err != nil {
		t.Fatal(err)
	}
	if err := d.key.PublicKey().Verify(message, sum); err == nil || !strings.Contains(err.Error(), "no point of the group") {
		t.Errorf("aggregated: %v", err)
	}
}

// Why the check of shares may be left out: what verifies is the one signature, even if
// its parts were outside the subgroup and made up for each other.
func TestWhatCancelsOutLeavesTheOneSignature(t *testing.T) {
	d := deal(t, 3, 4)
	want := combine(t, d.signed[:3])
	// for members 0, 1, 2 the weights are 3, -3, 1
	shares := []Share{
		{0, plus(d.signed[0].Signature, outside(t), 1)},
		{1, plus(d.signed[1].Signature, outside(t), 2)},
		{2, plus(d.signed[2].Signature, outside(t), 3)},
	}
	if got := combine(t, shares); !bytes.Equal(got, want) {
		t.Errorf("%x, want %x", got, want)
	}
}

func TestDealRefusesWhatIsNoThreshold(t *testing.T) {
	for _, c := range []struct{ threshold, n int }{{0, 1}, {-1, 1}, {1, 0}, {5, 4}, {1, MaxMembers + 1}} {
		if _, _, err := Deal(random(1), c.threshold, c.n); err == nil {
			t.Errorf("%d of %d", c.threshold, c.n)
		}
	}
	if _, _, err := Deal(bytes.NewReader(make([]byte, 63)), 2, 4); err == nil {
		t.Error("64 bytes were drawn of 63")
	}
}

func TestThresholdKeysAreCheckedPointByPoint(t *testing.T) {
	_, good, err := Deal(random(1), 3, 4)
	if err != nil {
		t.Fatal(err)
	}
	for name, b := range map[string][]byte{
		"short": good[1][:95], "nothing": nil, "infinity": append([]byte{0xc0}, make([]byte, 95)...), "no point": bytes.Repeat([]byte{0xff}, 96),
	} {
		if _, err := ParseThresholdKey([][]byte{good[0], b, good[2]}); err == nil || !strings.Contains(err.Error(), "coefficient 1: ") {
			t.Errorf("%s: error %v", name, err)
		}
	}
	if _, err := ParseThresholdKey(nil); err == nil {
		t.Error("a key without coefficients")
	}
	k, err := ParseThresholdKey(good)
	if err != nil {
		t.Fatal(err)
	}
	for _, i := range []int{-1, MaxMembers} {
		if _, err := k.Share(i); err == nil {
			t.Errorf("member %d has a share", i)
		}
	}
	if _, err := k.Share(MaxMembers - 1); err != nil {
		t.Errorf("the last possible member: %v", err)
	}
}

func TestWeightsInterpolateEveryPolynomial(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		xs := rapid.SliceOfNDistinct(rapid.Int64Range(1, 200), 1, 120, rapid.ID).Draw(t, "xs")
		r := order()
		coefficients := make([]*big.Int, len(xs))
		source := rand.New(random(rapid.Byte().Draw(t, "seed")))
		for i := range coefficients {
			coefficients[i] = new(big.Int).SetUint64(source.Uint64())
		}
		weights, divisor := lagrange(xs)
		sum := new(big.Int)
		for i, x := range xs {
			if weights[i].BitLen() > r.BitLen() {
				t.Fatalf("weight %d has %d bits", i, weights[i].BitLen())
			}
			y := new(big.Int)
			for j := len(coefficients) - 1; j >= 0; j-- {
				y.Mod(y.Add(y.Mul(y, big.NewInt(x)), coefficients[j]), r)
			}
			sum.Add(sum, y.Mul(y, weights[i]))
		}
		want := new(big.Int).Mul(divisor, coefficients[0])
		if sum.Mod(sum.Sub(sum, want), r).Sign() != 0 {
			t.Fatalf("the interpolated value at 0 differs")
		}
	})
}

func BenchmarkThreshold(b *testing.B) {
	for _, c := range []struct{ threshold, n int }{{3, 4}, {5, 7}, {9, 13}, {27, 40}, {667, 1000}} {
		if c.n > 40 && testing.Short() {
			continue
		}
		d := deal(b, c.threshold, c.n)
		// the last ones: unlike the first they have no small binomials as weights
		used := append([]Share{d.signed[0]}, d.signed[c.n-c.threshold+1:]...)
		b.Run(fmt.Sprintf("Combine/n=%d", c.n), func(b *testing.B) {
			for b.Loop() {
				combine(b, used)
			}
		})
		b.Run(fmt.Sprintf("Share/n=%d", c.n), func(b *testing.B) {
			for b.Loop() {
				if _, err := d.key.Share(c.n - 1); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
