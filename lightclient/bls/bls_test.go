package bls

import (
	"bytes"
	"encoding/hex"
	"errors"
	"math/big"
	"strings"
	"testing"

	"github.com/consensys/gnark-crypto/ecc/bls12-381"
	"github.com/consensys/gnark-crypto/ecc/bls12-381/fp"
)

// testSign signs with a key that is a small number.
func testSign(t testing.TB, secret int64, msg, dst string) (pk, sig []byte) {
	t.Helper()
	h, err := bls12381.HashToG1([]byte(msg), []byte(dst))
	if err != nil {
		t.Fatal(err)
	}
	_, _, _, g2 := bls12381.Generators()
	var p bls12381.G2Affine
	var s bls12381.G1Affine
	p.ScalarMultiplication(&g2, big.NewInt(secret))
	s.ScalarMultiplication(&h, big.NewInt(secret))
	pkBytes, sigBytes := p.Bytes(), s.Bytes()
	return pkBytes[:], sigBytes[:]
}

// both are the two ways to verify, which must agree.
func both(t testing.TB) map[string]func(pk, msg, sig []byte) error {
	v := NewVerifier()
	return map[string]func(pk, msg, sig []byte) error{"Verify": Verify, "Verifier": v.Verify, "Verifier again": v.Verify}
}

func TestRightSignaturesVerifyAndOthersDoNot(t *testing.T) {
	pk, sig := testSign(t, 1234567, "message", DST)
	otherPK, otherSig := testSign(t, 7654321, "message", DST)
	_, otherMsg := testSign(t, 1234567, "massage", DST)
	_, wrongDST := testSign(t, 1234567, "message", "BLS_SIG_BLS12381G2_XMD:SHA-256_SSWU_RO_NUL_")
	_, popDST := testSign(t, 1234567, "message", "BLS_SIG_BLS12381G1_XMD:SHA-256_SSWU_RO_POP_")
	var neg bls12381.G1Affine
	if _, err := neg.SetBytes(sig); err != nil {
		t.Fatal(err)
	}
	negated := neg.Neg(&neg).Bytes()
	for name, verify := range both(t) {
		if err := verify(pk, []byte("message"), sig); err != nil {
			t.Errorf("%s: the right signature: %v", name, err)
		}
		for what, c := range map[string]struct{ pk, sig []byte }{
			"another key":            {otherPK, sig},
			"another key's":          {pk, otherSig},
			"of another message":     {pk, otherMsg},
			"with another DST":       {pk, wrongDST},
			"with DST of possession": {pk, popDST},
			"negated":                {pk, negated[:]},
		} {
			if err := verify(c.pk, []byte("message"), c.sig); !errors.Is(err, ErrMismatch) {
				t.Errorf("%s: signature %s: error %v, want ErrMismatch", name, what, err)
			}
		}
	}
}

func TestEverySingleBitFlipOfASignatureIsRefused(t *testing.T) {
	pk, sig := testSign(t, 1234567, "message", DST)
	v := NewVerifier()
	for i := range 8 * len(sig) {
		flipped := bytes.Clone(sig)
		flipped[i/8] ^= 1 << (i % 8)
		if v.Verify(pk, []byte("message"), flipped) == nil {
			t.Errorf("bit %d flipped: accepted", i)
		}
	}
}

// outsideG1 is a point of the curve outside the subgroup of prime order.
func outsideG1(t *testing.T) []byte {
	for x := uint64(1); ; x++ {
		var b [SignatureLen]byte
		b[0], b[SignatureLen-1] = 0x80, byte(x)
		var p bls12381.G1Affine
		if err := bls12381.NewDecoder(bytes.NewReader(b[:]), bls12381.NoSubgroupChecks()).Decode(&p); err != nil {
			continue
		}
		if p.IsOnCurve() && !p.IsInSubGroup() {
			return b[:]
		}
		if x == 255 {
			t.Fatal("no point found")
		}
	}
}

func outsideG2(t *testing.T) []byte {
	for x := uint64(1); ; x++ {
		var b [PublicKeyLen]byte
		b[0], b[PublicKeyLen-1] = 0x80, byte(x)
		var p bls12381.G2Affine
		if err := bls12381.NewDecoder(bytes.NewReader(b[:]), bls12381.NoSubgroupChecks()).Decode(&p); err != nil {
			continue
		}
		if p.IsOnCurve() && !p.IsInSubGroup() {
			return b[:]
		}
		if x == 255 {
			t.Fatal("no point found")
		}
	}
}

func infinity(n int) []byte {
	b := make([]byte, n)
	b[0] = 0xc0
	return b
}

func TestMalformedKeysAndSignaturesAreRefused(t *testing.T) {
	pk, sig := testSign(t, 1234567, "message", DST)
	modulus := fp.Modulus().FillBytes(make([]byte, SignatureLen))
	modulus[0] |= 0x80
	var g1 bls12381.G1Affine
	if _, err := g1.SetBytes(sig); err != nil {
		t.Fatal(err)
	}
	uncompressed := g1.RawBytes()
	var g2 bls12381.G2Affine
	if _, err := g2.SetBytes(pk); err != nil {
		t.Fatal(err)
	}
	uncompressedKey := g2.RawBytes()
	for name, verify := range both(t) {
		for _, c := range []struct {
			what    string
			pk, sig []byte
			want    string
		}{
			{"infinite signature", pk, infinity(SignatureLen), "infinity"},
			{"infinite key", infinity(PublicKeyLen), sig, "infinity"},
			{"infinite key and signature", infinity(PublicKeyLen), infinity(SignatureLen), "infinity"},
			{"signature outside the subgroup", pk, outsideG1(t), "signature: invalid point"},
			{"key outside the subgroup", outsideG2(t), sig, "public key: invalid point"},
			{"no signature", pk, nil, "0 bytes"},
			{"short signature", pk, sig[:47], "47 bytes"},
			{"long signature", pk, append(bytes.Clone(sig), 0), "49 bytes"},
			{"uncompressed signature", pk, uncompressed[:], "96 bytes"},
			{"start of an uncompressed signature", pk, uncompressed[:SignatureLen], "signature"},
			{"no key", nil, sig, "0 bytes"},
			{"short key", pk[:95], sig, "95 bytes"},
			{"uncompressed key", uncompressedKey[:], sig, "192 bytes"},
			{"coordinate not below the modulus", pk, modulus, "signature"},
			{"key instead of signature", pk, pk[:SignatureLen], "signature"},
		} {
			err := verify(c.pk, []byte("message"), c.sig)
			if err == nil || errors.Is(err, ErrMismatch) || !strings.Contains(err.Error(), c.want) {
				t.Errorf("%s: %s: error %v, want one with %q", name, c.what, err, c.want)
			}
		}
	}
}

func TestAVerifierForgetsKeysButStillVerifies(t *testing.T) {
	v := NewVerifier()
	pk, sig := testSign(t, 1234567, "message", DST)
	for i := range 2*maxKeys + 3 {
		other, _ := testSign(t, int64(i+2), "message", DST)
		if err := v.Verify(other, []byte("message"), sig); !errors.Is(err, ErrMismatch) {
			t.Fatalf("key %d: %v", i, err)
		}
		if n := len(v.young) + len(v.old); n > 2*maxKeys {
			t.Fatalf("%d keys are remembered", n)
		}
	}
	if err := v.Verify(pk, []byte("message"), sig); err != nil {
		t.Error(err)
	}
}

const mainnetDER = "308182301d060d2b0601040182dc7c0503010201060c2b0601040182dc7c05030201036100814c0e6ec71fab583b08bd81373c255c3c371b2e84863c98a4f1e08b74235d14fb5d9c0cd546d9685f913a0c0b2cc5341583bf4b4392e467db96d65b9bb4cb717112f8472e0d5a4d14505ffd7484b01291091c5f87b98883463f98091a0baaae"

func TestDERWrapsAndUnwrapsTheMainnetKey(t *testing.T) {
	der, err := hex.DecodeString(mainnetDER)
	if err != nil {
		t.Fatal(err)
	}
	pk, err := FromDER(der)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := parseKey(pk); err != nil {
		t.Error(err)
	}
	if !bytes.Equal(ToDER(pk), der) {
		t.Error("wrapping again gives other bytes")
	}
	for i := range len(derPrefix) {
		bad := bytes.Clone(der)
		bad[i] ^= 1
		if _, err := FromDER(bad); err == nil {
			t.Errorf("byte %d of the prefix changed: accepted", i)
		}
	}
	for _, bad := range [][]byte{nil, der[:132], append(bytes.Clone(der), 0)} {
		if _, err := FromDER(bad); err == nil {
			t.Errorf("%d bytes: accepted", len(bad))
		}
	}
}

func FuzzVerify(f *testing.F) {
	pk, sig := testSign(f, 1234567, "message", DST)
	f.Add(pk, sig)
	f.Add(infinity(PublicKeyLen), infinity(SignatureLen))
	v := NewVerifier()
	f.Fuzz(func(t *testing.T, fpk, fsig []byte) {
		direct, cached := Verify(fpk, []byte("message"), fsig), v.Verify(fpk, []byte("message"), fsig)
		if (direct == nil) != (cached == nil) {
			t.Fatalf("Verify says %v, the Verifier %v", direct, cached)
		}
		if direct == nil && (!bytes.Equal(pk, fpk) || !bytes.Equal(sig, fsig)) {
			t.Fatal("a forgery was accepted")
		}
	})
}

func TestWarmingChangesNoVerdict(t *testing.T) {
	v := NewVerifier()
	v.Warm() // panics if its arithmetic does not hold
	if err := v.Verify(make([]byte, PublicKeyLen), nil, make([]byte, SignatureLen)); err == nil {
		t.Error("a key of zeros is accepted")
	}
}
