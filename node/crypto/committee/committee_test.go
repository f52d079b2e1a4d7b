package committee

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/x509"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"testing"

	lightclient "portico/lightclient/bls"
	"portico/lightclient/principal"
	"portico/node/consensus"
	"portico/node/crypto/bls"
	"portico/node/registry"
	"portico/node/types"
)

// genesis makes the records of a subnet of n nodes and their keys, in the members' order.
func genesis(t testing.TB, n int) (*registry.Records, []*Keys) {
	t.Helper()
	random := rand.NewChaCha8([32]byte{byte(n)})
	low, high, shares, err := Deal(random, n)
	if err != nil {
		t.Fatal(err)
	}
	type member struct {
		node registry.Node
		keys *Keys
	}
	var members []member
	for range n {
		seed := make([]byte, ed25519.SeedSize)
		_, _ = random.Read(seed)
		keys := &Keys{Node: ed25519.NewKeyFromSeed(seed)}
		if keys.Committee, err = bls.GenerateKey(random); err != nil {
			t.Fatal(err)
		}
		der, err := x509.MarshalPKIXPublicKey(keys.Node.Public())
		if err != nil {
			t.Fatal(err)
		}
		members = append(members, member{registry.Node{
			ID: principal.SelfAuthenticating(der), Key: der,
			Committee: keys.Committee.PublicKey(), Possession: keys.Committee.ProvePossession(),
		}, keys})
	}
	slices.SortFunc(members, func(a, b member) int { return a.node.ID.Compare(b.node.ID) })
	r := &registry.Records{Subnet: registry.Subnet{
		ID: principal.SelfAuthenticating(lightclient.ToDER(high.Coefficients[0])), Low: low, High: high,
	}}
	var all []*Keys
	for i, m := range members {
		m.keys.Low, m.keys.High = shares[i].Low, shares[i].High
		r.Nodes = append(r.Nodes, m.node)
		r.Subnet.Members = append(r.Subnet.Members, m.node.ID)
		all = append(all, m.keys)
	}
	return r, all
}

func newSubnet(t testing.TB, n int) (out []*Crypto) {
	t.Helper()
	records, keys := genesis(t, n)
	for i := range keys {
		c, err := New(records, keys[i], types.Member(i))
		if err != nil {
			t.Fatal(err)
		}
		out = append(out, c)
	}
	return out
}

func TestCertificatesVerifyInPureGo(t *testing.T) {
	const n = 7
	records, keys := genesis(t, n)
	var shares []consensus.Signature
	var c *Crypto
	for i, k := range keys {
		var err error
		if c, err = New(records, k, types.Member(i)); err != nil {
			t.Fatal(err)
		}
		shares = append(shares, consensus.Signature{By: types.Member(i), Bytes: c.Sign(consensus.SchemeHigh, message)})
	}
	for first := range n - types.Quorum(n) + 1 {
		certificate, err := c.Combine(consensus.SchemeHigh, message, shares[first:])
		if err != nil {
			t.Fatal(err)
		}
		if err := lightclient.Verify(records.Subnet.High.Coefficients[0], message, certificate); err != nil {
			t.Errorf("members from %d: %v", first, err)
		}
	}
}

// Twice one member's signature is right under twice its key: names alone tell that it is
// not two members'.
func TestOneMemberDoesNotSignForTwo(t *testing.T) {
	c := newSubnet(t, 4)[0]
	sig := c.Sign(consensus.SchemeCommittee, message)
	twice, err := bls.AggregateSignatures([][]byte{sig, sig})
	if err != nil {
		t.Fatal(err)
	}
	if c.VerifyCombined(consensus.SchemeCommittee, []types.Member{0, 0}, message, twice) == nil {
		t.Error("member 0 signed as two")
	}
}

func TestThresholdsAreThoseOfTheSubnetsSize(t *testing.T) {
	for n, want := range map[int][2]int{1: {1, 1}, 3: {1, 1}, 4: {2, 3}, 6: {2, 3}, 7: {3, 5}, 13: {5, 9}, 40: {14, 27}} {
		low, high, shares, err := Deal(rand.NewChaCha8([32]byte{}), n)
		if err != nil {
			t.Fatal(err)
		}
		got := [2]int{low.Threshold, high.Threshold}
		if got != want || len(low.Coefficients) != want[0] || len(high.Coefficients) != want[1] || len(shares) != n {
			t.Errorf("%d nodes: thresholds %v with %d and %d coefficients, %d shares", n, got, len(low.Coefficients), len(high.Coefficients), len(shares))
		}
	}
	for _, n := range []int{0, -1, 1 << 20} {
		if _, _, _, err := Deal(rand.NewChaCha8([32]byte{}), n); err == nil {
			t.Errorf("a subnet of %d", n)
		}
	}
}

func TestKeysThatDoNotFitTheRecordsAreNamed(t *testing.T) {
	const n, self = 4, 2
	infinity := append([]byte{0xc0}, make([]byte, 95)...)
	for want, spoil := range map[string]func(r *registry.Records, mine, other *Keys){
		"the node key is not that of member 2":      func(_ *registry.Records, mine, other *Keys) { mine.Node = other.Node },
		"the committee key is not that of member 2": func(_ *registry.Records, mine, other *Keys) { mine.Committee = other.Committee },
		"the low share is not that of member 2":     func(_ *registry.Records, mine, other *Keys) { mine.Low = other.Low },
		"the high share is not that of member 2":    func(_ *registry.Records, mine, _ *Keys) { mine.High = mine.Low },
		"member 1: node NODE: the proof that it possesses its committee key: ": func(r *registry.Records, _, _ *Keys) {
			r.Nodes[1].Possession = r.Nodes[0].Possession
		},
		"member 1: node NODE: its committee key: ": func(r *registry.Records, _, _ *Keys) { r.Nodes[1].Committee = infinity },
		"member 1: node NODE: its key is that of ": func(r *registry.Records, _, _ *Keys) { r.Nodes[1].Key = r.Nodes[0].Key },
		"member 1: node NODE has no record": func(r *registry.Records, _, _ *Keys) {
			r.Nodes = slices.Delete(r.Nodes, 1, 2)
		},
		"member 1: node NODE is a member twice": func(r *registry.Records, _, _ *Keys) { r.Subnet.Members[0] = r.Subnet.Members[1] },
		"low threshold key: coefficient 1: ":    func(r *registry.Records, _, _ *Keys) { r.Subnet.Low.Coefficients[1] = infinity },
		"high threshold key: threshold 2 with 3 coefficients for 4 members": func(r *registry.Records, _, _ *Keys) {
			r.Subnet.High.Threshold = 2
		},
		"the subnet's id is ": func(r *registry.Records, _, _ *Keys) { r.Subnet.High, r.Subnet.Low = r.Subnet.Low, r.Subnet.High },
	} {
		r, keys := genesis(t, n)
		want = strings.ReplaceAll(want, "NODE", r.Nodes[1].ID.String())
		spoil(r, keys[self], keys[0])
		if c, err := New(r, keys[self], self); err == nil || c != nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: error %v", want, err)
		}
	}
	r, keys := genesis(t, n)
	if _, err := New(r, keys[0], n); err == nil {
		t.Error("member 4 of 4")
	}
}

func TestNodesSignWithEd25519Only(t *testing.T) {
	r, keys := genesis(t, 1)
	p256, err := ecdsa.GenerateKey(elliptic.P256(), rand.NewChaCha8([32]byte{}))
	if err != nil {
		t.Fatal(err)
	}
	der, err := x509.MarshalPKIXPublicKey(p256.Public())
	if err != nil {
		t.Fatal(err)
	}
	for want, key := range map[string][]byte{"not one of Ed25519": der, "its key: ": {1, 2, 3}} {
		r.Nodes[0].Key, r.Nodes[0].ID = key, principal.SelfAuthenticating(key)
		r.Subnet.Members[0] = r.Nodes[0].ID
		if _, err := New(r, keys[0], 0); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: error %v", want, err)
		}
	}
}

func TestGoroutinesVerifyWithOneCrypto(t *testing.T) {
	members := newSubnet(t, 4)
	var shares []consensus.Signature
	for i, c := range members {
		shares = append(shares, consensus.Signature{By: types.Member(i), Bytes: c.Sign(consensus.SchemeHigh, message)})
	}
	c := members[0]
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			for _, s := range shares {
				if err := c.Verify(consensus.SchemeHigh, s.By, message, s.Bytes); err != nil {
					t.Error(err)
				}
			}
			signed, err := c.Combine(consensus.SchemeHigh, message, shares)
			if err == nil {
				err = c.VerifyCombined(consensus.SchemeHigh, nil, message, signed)
			}
			if err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
}

func TestKeysSurviveTheirFile(t *testing.T) {
	r, keys := genesis(t, 1)
	again, err := DecodeKeys(keys[0].Encode())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := New(r, again, 0); err != nil {
		t.Error(err)
	}
}

func TestDamagedKeysAreNamed(t *testing.T) {
	_, keys := genesis(t, 1)
	good := keys[0].Encode()
	const item = 34 // a head of two bytes, and the key
	replace := func(i int, with []byte) []byte {
		return slices.Concat(good[:1+i*item], with, good[1+(i+1)*item:])
	}
	zero := append([]byte{0x58, 32}, make([]byte, 32)...)
	for want, b := range map[string][]byte{
		"keys: cbor":                   nil,
		"expected 4 items, found 3":    append([]byte{0x83}, good[1:]...),
		"node key of 3 bytes":          replace(0, []byte{0x43, 1, 2, 3}),
		"node key: cbor":               replace(0, []byte{1}),
		"committee key: bls":           replace(1, zero),
		"low share: bls":               replace(2, []byte{0x41, 1}),
		"high share: cbor":             good[:len(good)-1],
		"high share: bls":              replace(3, append([]byte{0x58, 32}, bytes.Repeat([]byte{0xff}, 32)...)),
		"bytes follow":                 append(bytes.Clone(good), 0),
		"the encoding is not the shor": replace(1, append([]byte{0x59, 0}, good[1+item+1:1+2*item]...)),
		"expected 4 items, found -1":   append(append([]byte{0x9f}, good[1:]...), 0xff),
	} {
		if _, err := DecodeKeys(b); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: error %v", want, err)
		}
	}
}

func FuzzDecodeKeys(f *testing.F) {
	_, keys := genesis(f, 1)
	f.Add(keys[0].Encode())
	f.Fuzz(func(t *testing.T, b []byte) {
		k, err := DecodeKeys(b)
		if err == nil && !bytes.Equal(k.Encode(), b) {
			t.Errorf("%x is encoded as %x", b, k.Encode())
		}
	})
}
