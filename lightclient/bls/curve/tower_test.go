package curve

import (
	"math/big"
	"math/rand/v2"
	"testing"

	"github.com/consensys/gnark-crypto/ecc/bls12-381"
	"github.com/consensys/gnark-crypto/ecc/bls12-381/fp"
	"pgregory.net/rapid"
)

func TestQuadraticExtensionAgreesWithGnark(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		gx, gy := element2().Draw(t, "x"), element2().Draw(t, "y")
		k := element().Draw(t, "k")
		x, y, ok := ours2(&gx), ours2(&gy), ours(&k)
		var z fe2
		var want bls12381.E2
		check := func(what string) {
			must(t, what, gnarks2(&z), want)
		}
		z.mul(&x, &y)
		want.Mul(&gx, &gy)
		check("product")
		z.sqr(&x)
		want.Square(&gx)
		check("square")
		z.scale(&x, &ok)
		want.MulByElement(&gx, &k)
		check("multiple")
		z.inverse(&x)
		want.Inverse(&gx)
		check("inverse")
		z.conjugate(&x)
		want.Conjugate(&gx)
		check("conjugate")
		z.mulXi(&x)
		want.MulByNonResidue(&gx)
		check("ξ·x")
		z.addXi(&y, &x)
		want.Add(&want, &gy)
		check("y + ξ·x")
		z.subtract(&x, &y)
		want.Sub(&want, &gx)
		want.Sub(&want, &gy)
		check("y + ξ·x - x - y")
		must(t, "sign", x.isLarge(), gx.LexicographicallyLargest())
		must(t, "equality", x.equal(&y), gx == gy)
		// Legendre's symbol of zero is zero.
		must(t, "square root exists", z.sqrt(&x), gx.Legendre() >= 0)
		if gx.Legendre() >= 0 {
			z.sqr(&z)
			want = gx
			check("square root")
		}
	})
}

func TestSquareRootsOfSquaresAreFound(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		g := element2().Draw(t, "x")
		switch rapid.IntRange(0, 2).Draw(t, "axis") {
		case 1:
			g.A0.SetZero()
		case 2:
			g.A1.SetZero()
		}
		x := ours2(&g)
		x.sqr(&x)
		z := x
		must(t, "square root exists", z.sqrt(&z), true)
		z.sqr(&z)
		must(t, "its square", z.equal(&x), true)
	})
}

func TestFp6AgreesWithGnark(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		gx, gy := element6().Draw(t, "x"), element6().Draw(t, "y")
		x, y := ours6(&gx), ours6(&gy)
		var z fe6
		var want bls12381.E6
		check := func(what string) {
			must(t, what, gnarks6(&z), want)
		}
		z.mul(&x, &y)
		want.Mul(&gx, &gy)
		check("product")
		z = x
		z.mul(&z, &z)
		want.Square(&gx)
		check("square in place")
		z.mulV(&x)
		want.MulByNonResidue(&gx)
		check("v·x")
		z = x
		z.mulLine(&z, &y[0], &y[1])
		want = gx
		want.MulBy01(&gy.B0, &gy.B1)
		check("sparse product")
		z.inverse(&x)
		want.Inverse(&gx)
		check("inverse")
	})
}

func TestFp12AgreesWithGnark(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		gx, gy := element12().Draw(t, "x"), element12().Draw(t, "y")
		x, y := ours12(&gx), ours12(&gy)
		var z fe12
		var want bls12381.E12
		check := func(what string) {
			checkTight12(t, what, &z)
			must(t, what, gnarks12(&z), want)
		}
		z.mul(&x, &y)
		want.Mul(&gx, &gy)
		check("product")
		z = x
		z.mul(&z, &z)
		want.Square(&gx)
		check("product in place")
		z = x
		z.sqr(&z)
		check("square in place")
		z = x
		z.mulLine(&z, &y.a[0], &y.a[1])
		var one fp.Element
		one.SetOne()
		want = gx
		want.MulBy014(&gy.C0.B0, &gy.C0.B1, &bls12381.E2{A0: one})
		check("product with a line")
		z.inverse(&x)
		want.Inverse(&gx)
		check("inverse")
		z.frobenius(&x)
		want.Frobenius(&gx)
		check("Frobenius map")
		z.conjugate(&x)
		want.Conjugate(&gx)
		check("conjugate")
		must(t, "is one", x.isOne(), gx.IsOne())
	})
}

// cyclotomic maps into the cyclotomic subgroup.
func cyclotomic(x bls12381.E12) (z bls12381.E12) {
	var inverse bls12381.E12
	inverse.Inverse(&x)
	z.Conjugate(&x)
	z.Mul(&z, &inverse)
	inverse.FrobeniusSquare(&z)
	z.Mul(&z, &inverse)
	return z
}

func TestCyclotomicSquaresAreSquares(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		g := element12().Draw(t, "x")
		if g.C0.IsZero() && g.C1.IsZero() {
			t.Skip("zero")
		}
		g = cyclotomic(g)
		x := ours12(&g)
		// Many in a row: values must not grow.
		for range 70 {
			x.cyclotomicSqr(&x)
			checkTight12(t, "square", &x)
			g.Square(&g)
		}
		must(t, "70th square", gnarks12(&x), g)
		x.powParameter(&x)
		must(t, "power", gnarks12(&x), *new(bls12381.E12).Exp(g, new(big.Int).SetUint64(parameter)))
	})
}

// Operands with limbs as large as tight numbers may have, of one sign each, bring the
// sums inside to their bounds.
func TestTowersStandTheLargestLimbs(t *testing.T) {
	r := rand.New(rand.NewPCG(3, 4))
	largest := func() (z fe) {
		var l [14]int64
		sign := int64(2*r.IntN(2) - 1)
		for i := range l {
			l[i] = sign << 27
		}
		l[13] = sign << 16
		return limbsOf(l)
	}
	largest2 := func() fe2 { return fe2{largest(), largest()} }
	largest12 := func() fe12 {
		return fe12{fe6{largest2(), largest2(), largest2()}, fe6{largest2(), largest2(), largest2()}}
	}
	for range 3000 {
		x, y := largest12(), largest12()
		gx, gy := gnarks12(&x), gnarks12(&y)
		var z fe12
		var want bls12381.E12
		z.mul(&x, &y)
		want.Mul(&gx, &gy)
		must(t, "product", gnarks12(&z), want)
		z.sqr(&x)
		want.Square(&gx)
		must(t, "square", gnarks12(&z), want)
		z.cyclotomicSqr(&x)
		want.CyclotomicSquare(&gx)
		must(t, "cyclotomic square", gnarks12(&z), want)
		z.mulLine(&x, &y.a[0], &y.a[1])
		want = gx
		want.MulBy014(&gy.C0.B0, &gy.C0.B1, &bls12381.E2{A0: gnarks(&one)})
		must(t, "product with a line", gnarks12(&z), want)
		z.inverse(&x)
		want.Inverse(&gx)
		must(t, "inverse", gnarks12(&z), want)
		z.a[0].sqr(&x.a[0])
		want.C0.B0.Square(&gx.C0.B0)
		must(t, "square in Fp2", gnarks2(&z.a[0]), want.C0.B0)
	}
}
