package curve

import (
	"math/big"
	"math/rand/v2"
	"testing"

	"github.com/consensys/gnark-crypto/ecc/bls12-381/fp"
	"pgregory.net/rapid"
)

func TestFieldOperationsAgreeWithGnark(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		gx, gy := element().Draw(t, "x"), element().Draw(t, "y")
		x, y := ours(&gx), ours(&gy)
		var z fe
		var want fp.Element
		check := func(what string) {
			must(t, what, gnarks(&z), want)
		}
		mul(&z, &x, &y)
		checkTight(t, "product", &z)
		want.Mul(&gx, &gy)
		check("product")
		sqr(&z, &x)
		checkTight(t, "square", &z)
		want.Square(&gx)
		check("square")
		add(&z, &x, &y)
		want.Add(&gx, &gy)
		check("sum")
		sub(&z, &x, &y)
		want.Sub(&gx, &gy)
		check("difference")
		carry(&z)
		checkTight(t, "carried difference", &z)
		check("carried difference")
		neg(&z, &x)
		want.Neg(&gx)
		check("negative")
		z.inverse(&x)
		want.Inverse(&gx)
		check("inverse")
		must(t, "square root exists", z.sqrt(&x), gx.Legendre() >= 0)
		sqr(&z, &z)
		if want = gx; gx.Legendre() < 0 {
			want.Neg(&gx)
		}
		check("square root")
		must(t, "sign", x.isLarge(), gx.LexicographicallyLargest())
		must(t, "equality", x.equal(&y), gx == gy)
		must(t, "zero", x.isZero(), gx.IsZero())
		must(t, "parity", x.isOdd(), gx.BigInt(new(big.Int)).Bit(0) == 1)
	})
}

// extremes returns numbers with limbs of ±bound·2²⁸, the top one, which has to keep the
// value small, excepted.
func extremes(bound float64) []fe {
	limb := int64(bound * (1 << 28))
	r := rand.New(rand.NewPCG(1, 2))
	var out []fe
	for i := range 40 {
		var l [14]int64
		for j := range 13 {
			switch {
			case i == 0, i > 3 && r.IntN(2) == 0, i == 2 && j%2 == 0, i == 3 && j%2 == 1:
				l[j] = limb
			default:
				l[j] = -limb
			}
		}
		l[13] = r.Int64N(1<<21) - 1<<20
		out = append(out, limbsOf(l))
	}
	return out
}

// congruent checks that z·2³⁹² is want modulo p.
func congruent(t *testing.T, what string, z *fe, want *big.Int) {
	t.Helper()
	got := new(big.Int).Lsh(value(z), 392)
	if got.Sub(got, want).Mod(got, fp.Modulus()).Sign() != 0 {
		t.Fatalf("%s: wrong", what)
	}
}

func TestProductsOfTheLargestSumsAreRight(t *testing.T) {
	product := func(x, y *fe) *big.Int { return new(big.Int).Mul(value(x), value(y)) }
	for _, bounds := range [][2]float64{{1, 7.9}, {2, 4}, {2.8, 2.8}, {4, 2}, {7.9, 1}} {
		for _, x := range extremes(bounds[0]) {
			for _, y := range extremes(bounds[1]) {
				var z fe
				mul(&z, &x, &y)
				checkTight(t, "product", &z)
				congruent(t, "product", &z, product(&x, &y))
			}
		}
	}
	for _, x := range extremes(2.8) {
		var z fe
		sqr(&z, &x)
		checkTight(t, "square", &z)
		congruent(t, "square", &z, product(&x, &x))
	}
	for _, bounds := range [][2]float64{{0.5, 7.9}, {1, 4}, {2, 2}, {4, 1}} {
		xs, ys := extremes(bounds[0]), extremes(bounds[1])
		for i := range xs {
			for j := range ys {
				x, y := fe2{xs[i], xs[j]}, fe2{ys[j], ys[i]}
				var z fe2
				z.mul(&x, &y)
				checkTight(t, "complex product", &z.a)
				checkTight(t, "complex product", &z.b)
				re, im := product(&x.a, &y.a), product(&x.a, &y.b)
				congruent(t, "real part", &z.a, re.Sub(re, product(&x.b, &y.b)))
				congruent(t, "imaginary part", &z.b, im.Add(im, product(&x.b, &y.a)))
			}
		}
	}
}

func TestCarryTakesTheLargestSums(t *testing.T) {
	for _, x := range extremes(7.9) {
		z := x
		carry(&z)
		checkTight(t, "carried", &z)
		difference := new(big.Int).Sub(value(&x), value(&z))
		if difference.Mod(difference, fp.Modulus()).Sign() != 0 {
			t.Fatal("carrying changed the value")
		}
		if v := value(&z); v.Lsh(v, 1).CmpAbs(new(big.Int).Div(new(big.Int).Mul(fp.Modulus(), big.NewInt(101)), big.NewInt(100))) > 0 {
			t.Fatalf("value %d is not about half of p", v)
		}
	}
}

func TestOnlyCanonicalNumbersAreDecoded(t *testing.T) {
	for _, v := range edges() {
		var b [feLen]byte
		var z fe
		v.FillBytes(b[:])
		if !z.decode(&b) || z.encode() != b {
			t.Errorf("%x is not read and written", v)
		}
		above := new(big.Int).Add(v, fp.Modulus())
		if above.BitLen() > 8*feLen {
			continue
		}
		above.FillBytes(b[:])
		if z.decode(&b) {
			t.Errorf("%x, not below the modulus, is read", above)
		}
	}
}

func TestTheModulusIsThatOfGnark(t *testing.T) {
	if string(fp.Modulus().Bytes()) != modulus {
		t.Error("another modulus")
	}
}
