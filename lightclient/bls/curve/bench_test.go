package curve

import (
	"testing"

	"github.com/consensys/gnark-crypto/ecc/bls12-381"
	"github.com/consensys/gnark-crypto/ecc/bls12-381/fp"
)

// In WebAssembly: PATH="$PATH:$(go env GOROOT)/lib/wasm" GOOS=js GOARCH=wasm go test -run '^$' -bench .

func BenchmarkMul(b *testing.B) {
	x, y := isoXNum[0], isoXNum[1]
	for b.Loop() {
		mul(&x, &x, &y)
	}
}

func BenchmarkMulGnark(b *testing.B) {
	x, y := gnarks(&isoXNum[0]), gnarks(&isoXNum[1])
	for b.Loop() {
		x.Mul(&x, &y)
	}
}

func BenchmarkMulFp2(b *testing.B) {
	x, y := generatorX, generatorY
	for b.Loop() {
		x.mul(&x, &y)
	}
}

func BenchmarkCarry(b *testing.B) {
	x := isoXNum[0]
	for b.Loop() {
		carry(&x)
	}
}

func BenchmarkMulFp12(b *testing.B) {
	x := fe12{fe6{generatorX, generatorY, one2}, fe6{generatorY, one2, generatorX}}
	for y := x; b.Loop(); {
		x.mul(&x, &y)
	}
}

func BenchmarkCyclotomicSqr(b *testing.B) {
	x := fe12{fe6{generatorX, generatorY, one2}, fe6{generatorY, one2, generatorX}}
	for b.Loop() {
		x.cyclotomicSqr(&x)
	}
}

func BenchmarkRoot(b *testing.B) {
	x := isoXNum[0]
	for b.Loop() {
		x.root(&x)
	}
}

func BenchmarkRootGnark(b *testing.B) {
	x := gnarks(&isoXNum[0])
	for x.Square(&x); b.Loop(); {
		new(fp.Element).Sqrt(&x)
	}
}

func BenchmarkDecodeG1(b *testing.B) {
	p := multiple1(fp.Modulus())
	for encoded := p.Bytes(); b.Loop(); {
		if _, err := DecodeG1(&encoded); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkDecodeG1Gnark(b *testing.B) {
	p := multiple1(fp.Modulus())
	for encoded := p.Bytes(); b.Loop(); {
		if _, err := p.SetBytes(encoded[:]); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkHashToG1(b *testing.B) {
	for b.Loop() {
		HashToG1([]byte("message"), "domain")
	}
}

func BenchmarkHashToG1Gnark(b *testing.B) {
	for b.Loop() {
		if _, err := bls12381.HashToG1([]byte("message"), []byte("domain")); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkNewLines(b *testing.B) {
	for q := GeneratorG2(); b.Loop(); {
		NewLines(q)
	}
}

func BenchmarkMiller(b *testing.B) {
	p, l := HashToG1([]byte("message"), "domain"), NewLines(GeneratorG2())
	for pairs := []Pair{{p, l}, {p, l}}; b.Loop(); {
		miller(pairs)
	}
}

func BenchmarkFinalExponentiation(b *testing.B) {
	x := fe12{fe6{generatorX, generatorY, one2}, fe6{generatorY, one2, generatorX}}
	for b.Loop() {
		x.exponentiate(&x)
	}
}

func BenchmarkFinalExponentiationGnark(b *testing.B) {
	x := gnarks12(&fe12{fe6{generatorX, generatorY, one2}, fe6{generatorY, one2, generatorX}})
	for b.Loop() {
		x = bls12381.FinalExponentiation(&x)
	}
}
