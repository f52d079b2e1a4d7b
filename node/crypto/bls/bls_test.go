package bls

import (
	"bytes"
	"errors"
	"io"
	"strings"
	"testing"

	"portico/lightclient/bls"

	blst "github.com/supranational/blst/bindings/go"
)

func newKey(t testing.TB, seed byte) *SecretKey {
	t.Helper()
	k, err := GenerateKey(bytes.NewReader(bytes.Repeat([]byte{seed}, 32)))
	if err != nil {
		t.Fatal(err)
	}
	return k
}

func TestSignaturesVerifyWithBothImplementations(t *testing.T) {
	k, other := newKey(t, 1), newKey(t, 2)
	for _, msg := range []string{"", "message", strings.Repeat("long ", 1000)} {
		sig := k.Sign([]byte(msg))
		if err := VerifyBLS(k.PublicKey(), []byte(msg), sig); err != nil {
			t.Errorf("blst: %v", err)
		}
		if err := bls.Verify(k.PublicKey(), []byte(msg), sig); err != nil {
			t.Errorf("pure Go: %v", err)
		}
		if err := VerifyBLS(other.PublicKey(), []byte(msg), sig); !errors.Is(err, bls.ErrMismatch) {
			t.Errorf("another key: %v", err)
		}
		if err := VerifyBLS(k.PublicKey(), []byte(msg+"x"), sig); !errors.Is(err, bls.ErrMismatch) {
			t.Errorf("another message: %v", err)
		}
	}
}

func TestBothImplementationsRefuseTheSame(t *testing.T) {
	k := newKey(t, 1)
	msg, pk, sig := []byte("message"), k.PublicKey(), k.Sign([]byte("message"))
	type input struct{ pk, sig []byte }
	inputs := []input{{pk, nil}, {nil, sig}, {pk[:95], sig}, {pk, sig[:47]}, {pk, append(bytes.Clone(sig), 0)}}
	point := func(first, last byte, n int) []byte {
		b := make([]byte, n)
		b[0], b[n-1] = first, last
		return b
	}
	for _, first := range []byte{0x00, 0x40, 0x80, 0xa0, 0xc0, 0xe0} {
		for last := range byte(12) { // most are off the curve or outside the subgroup; 0xc0 00 is infinity
			inputs = append(inputs, input{pk, point(first, last, 48)}, input{point(first, last, 96), sig},
				input{point(first, last, 96), point(first, last, 48)})
		}
	}
	for i := range 48 {
		flipped := bytes.Clone(sig)
		flipped[i] ^= 1 << (i % 8)
		inputs = append(inputs, input{pk, flipped})
	}
	for _, in := range inputs {
		if err := VerifyBLS(in.pk, msg, in.sig); err == nil {
			t.Errorf("blst accepts key %x, signature %x", in.pk, in.sig)
		}
		if err := bls.Verify(in.pk, msg, in.sig); err == nil {
			t.Errorf("pure Go accepts key %x, signature %x", in.pk, in.sig)
		}
	}
}

func TestPointsOutsideTheGroupsAreToldFromWrongSignatures(t *testing.T) {
	k := newKey(t, 1)
	msg, pk, sig := []byte("message"), k.PublicKey(), k.Sign([]byte("message"))
	infinity := func(n int) []byte { return append([]byte{0xc0}, make([]byte, n-1)...) }
	// the smallest abscissae of curve points; the groups are so sparse that none is in them
	outside := func(n int, decodes func(b []byte) bool) []byte {
		for x := byte(1); x < 255; x++ {
			b := make([]byte, n)
			b[0], b[n-1] = 0x80, x
			if decodes(b) {
				return b
			}
		}
		t.Fatal("no point found")
		return nil
	}
	outsideG1 := outside(48, func(b []byte) bool { return new(blst.P1Affine).Uncompress(b) != nil })
	outsideG2 := outside(96, func(b []byte) bool { return new(blst.P2Affine).Uncompress(b) != nil })
	for name, in := range map[string]struct {
		pk, sig []byte
		want    string
	}{
		"infinite key":                   {infinity(96), sig, "public key"},
		"infinite signature":             {pk, infinity(48), "signature"},
		"key outside the subgroup":       {outsideG2, sig, "public key"},
		"signature outside the subgroup": {pk, outsideG1, "signature"},
	} {
		for _, verify := range []func(pk, msg, sig []byte) error{VerifyBLS, bls.Verify} {
			err := verify(in.pk, msg, in.sig)
			if err == nil || errors.Is(err, bls.ErrMismatch) || !strings.Contains(err.Error(), in.want) {
				t.Errorf("%s: error %v", name, err)
			}
		}
	}
}

func TestSecretKeysSurviveEncoding(t *testing.T) {
	k := newKey(t, 3)
	again, err := ParseSecretKey(k.Bytes())
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(again.PublicKeyDER(), k.PublicKeyDER()) || !bytes.Equal(again.Sign([]byte("m")), k.Sign([]byte("m"))) {
		t.Error("the key changed")
	}
	pk, err := bls.FromDER(k.PublicKeyDER())
	if err != nil || !bytes.Equal(pk, k.PublicKey()) {
		t.Errorf("DER holds %x (%v)", pk, err)
	}
}

func TestParseSecretKeyRefusesWhatIsNoKey(t *testing.T) {
	order := []byte("\x73\xed\xa7\x53\x29\x9d\x7d\x48\x33\x39\xd8\x08\x09\xa1\xd8\x05\x53\xbd\xa4\x02\xff\xfe\x5b\xfe\xff\xff\xff\xff\x00\x00\x00\x01")
	for _, b := range [][]byte{nil, make([]byte, 31), make([]byte, 32), make([]byte, 33), order, bytes.Repeat([]byte{0xff}, 32)} {
		if _, err := ParseSecretKey(b); err == nil {
			t.Errorf("%x was accepted", b)
		}
	}
	last := bytes.Clone(order)
	last[31] = 0
	if _, err := ParseSecretKey(last); err != nil {
		t.Errorf("the largest key: %v", err)
	}
}

func TestGenerateKeyNeedsEnoughRandomness(t *testing.T) {
	if _, err := GenerateKey(bytes.NewReader(make([]byte, 31))); !errors.Is(err, io.ErrUnexpectedEOF) {
		t.Errorf("error %v", err)
	}
}

func BenchmarkSign(b *testing.B) {
	k := newKey(b, 1)
	for b.Loop() {
		k.Sign([]byte("message"))
	}
}

func BenchmarkVerifyBLS(b *testing.B) {
	k := newKey(b, 1)
	pk, sig := k.PublicKey(), k.Sign([]byte("message"))
	for b.Loop() {
		if err := VerifyBLS(pk, []byte("message"), sig); err != nil {
			b.Fatal(err)
		}
	}
}
