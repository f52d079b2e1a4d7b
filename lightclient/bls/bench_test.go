package bls

import (
	"testing"

	"github.com/consensys/gnark-crypto/ecc/bls12-381"
)

// In WebAssembly: PATH="$PATH:$(go env GOROOT)/lib/wasm" GOOS=js GOARCH=wasm go test -run '^$' -bench .

func BenchmarkVerifyColdKey(b *testing.B) {
	pk, sig := testSign(b, 1234567, "message", DST)
	v := NewVerifier()
	for b.Loop() {
		clear(v.young)
		if err := v.Verify(pk, []byte("message"), sig); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkVerifyKnownKey(b *testing.B) {
	pk, sig := testSign(b, 1234567, "message", DST)
	v := NewVerifier()
	for b.Loop() {
		if err := v.Verify(pk, []byte("message"), sig); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkVerifyKnownKeyGnark does the same with gnark-crypto.
func BenchmarkVerifyKnownKeyGnark(b *testing.B) {
	pk, sig := testSign(b, 1234567, "message", DST)
	_, _, _, generator := bls12381.Generators()
	var key bls12381.G2Affine
	if _, err := key.SetBytes(pk); err != nil {
		b.Fatal(err)
	}
	generatorLines, keyLines := bls12381.PrecomputeLines(generator), bls12381.PrecomputeLines(key)
	for b.Loop() {
		var s bls12381.G1Affine
		if _, err := s.SetBytes(sig); err != nil {
			b.Fatal(err)
		}
		h, err := bls12381.HashToG1([]byte("message"), []byte(DST))
		if err != nil {
			b.Fatal(err)
		}
		s.Neg(&s)
		if ok, err := bls12381.PairingCheckFixedQ([]bls12381.G1Affine{s, h}, [][2][len(bls12381.LoopCounter) - 1]bls12381.LineEvaluationAff{generatorLines, keyLines}); err != nil || !ok {
			b.Fatal(ok, err)
		}
	}
}
