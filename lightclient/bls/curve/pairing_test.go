package curve

import (
	"math/big"
	"testing"

	"github.com/consensys/gnark-crypto/ecc/bls12-381"
	"github.com/consensys/gnark-crypto/ecc/bls12-381/fp"
	"github.com/consensys/gnark-crypto/ecc/bls12-381/fr"
	"pgregory.net/rapid"
)

func decoded(t interface{ Fatalf(string, ...any) }, p bls12381.G1Affine, q bls12381.G2Affine) (*G1, *G2) {
	pb, qb := p.Bytes(), q.Bytes()
	op, err1 := DecodeG1(&pb)
	oq, err2 := DecodeG2(&qb)
	if err1 != nil || err2 != nil {
		t.Fatalf("%v, %v", err1, err2)
	}
	return op, oq
}

func TestFinalExponentiationIsThePowerItClaims(t *testing.T) {
	// 3(p¹²-1)/r
	exponent := new(big.Int).Exp(fp.Modulus(), big.NewInt(12), nil)
	exponent.Sub(exponent, big.NewInt(1)).Div(exponent, fr.Modulus()).Mul(exponent, big.NewInt(3))
	for range 5 {
		var g, want bls12381.E12
		if _, err := g.SetRandom(); err != nil {
			t.Fatal(err)
		}
		x := ours12(&g)
		x.exponentiate(&x)
		want.Exp(g, exponent)
		must(t, "power", gnarks12(&x), want)
	}
}

// What the negative parameter's sign and the power of three make of our pairing
// is undone here.
func TestPairingsAreThoseOfGnark(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		p, q := multiple1(scalar().Draw(t, "i")), multiple2(scalar().Draw(t, "j"))
		op, oq := decoded(t, p, q)
		f := miller([]Pair{{op, NewLines(oq)}})
		f.conjugate(f)
		f.exponentiate(f)
		m, err := bls12381.MillerLoop([]bls12381.G1Affine{p}, []bls12381.G2Affine{q})
		if err != nil {
			t.Fatal(err)
		}
		exponent := new(big.Int).Exp(fp.Modulus(), big.NewInt(4), nil)
		square := new(big.Int).Mul(fp.Modulus(), fp.Modulus())
		exponent.Sub(exponent, square).Add(exponent, big.NewInt(1)).Div(exponent, fr.Modulus()).Mul(exponent, big.NewInt(3))
		must(t, "pairing", gnarks12(f), *new(bls12381.E12).Exp(cyclotomic(m), exponent))
	})
}

func TestProductsAreOneExactlyIfScalarsCancel(t *testing.T) {
	generator := NewLines(GeneratorG2())
	rapid.Check(t, func(t *rapid.T) {
		// e([-ij]P, G)·e([i]P, [j]G) is one.
		i, j := scalar().Draw(t, "i"), scalar().Draw(t, "j")
		product := new(big.Int).Mul(i, j)
		product.Mod(product, fr.Modulus())
		s, _ := decoded(t, multiple1(product), multiple2(j))
		p, q := decoded(t, multiple1(i), multiple2(j))
		lines := NewLines(q)
		must(t, "opposite factors", ProductIsOne(Pair{s.Neg(), generator}, Pair{p, lines}), true)
		must(t, "equal factors", ProductIsOne(Pair{s, generator}, Pair{p, lines}), false)
		product.Add(product, big.NewInt(1))
		if product.Cmp(fr.Modulus()) == 0 {
			t.Skip("the neighbour is infinity")
		}
		other, _ := decoded(t, multiple1(product), multiple2(j))
		must(t, "neighbour", ProductIsOne(Pair{other.Neg(), generator}, Pair{p, lines}), false)
		must(t, "three factors", ProductIsOne(Pair{other.Neg(), generator}, Pair{p, lines}, Pair{mustG1(t), generator}), true)
	})
}

// mustG1 returns the generator of G1.
func mustG1(t *rapid.T) *G1 {
	p, _ := decoded(t, multiple1(big.NewInt(1)), multiple2(big.NewInt(1)))
	return p
}

func TestTheEmptyProductIsOne(t *testing.T) {
	must(t, "product", ProductIsOne(), true)
}

func TestTheGeneratorsLinesAreThoseThatAreComputed(t *testing.T) {
	computed := NewLines(GeneratorG2())
	for i, l := range GeneratorLines() {
		if !l.slope.equal(&computed[i].slope) || !l.offset.equal(&computed[i].offset) {
			t.Fatalf("line %d differs", i)
		}
	}
}
