package curve

import (
	"math/big"
	"testing"

	"github.com/consensys/gnark-crypto/ecc/bls12-381"
	"github.com/consensys/gnark-crypto/ecc/bls12-381/fp"
	"pgregory.net/rapid"
)

// The oracle of all tests here is gnark-crypto. These functions convert between its
// types and ours.

func ours(x *fp.Element) (z fe) {
	b := x.Bytes()
	if !z.decode(&b) {
		panic("gnark's encoding is not canonical")
	}
	return z
}

func ours2(x *bls12381.E2) fe2    { return fe2{ours(&x.A0), ours(&x.A1)} }
func ours6(x *bls12381.E6) fe6    { return fe6{ours2(&x.B0), ours2(&x.B1), ours2(&x.B2)} }
func ours12(x *bls12381.E12) fe12 { return fe12{ours6(&x.C0), ours6(&x.C1)} }

func gnarks(x *fe) (z fp.Element) {
	b := x.encode()
	if err := z.SetBytesCanonical(b[:]); err != nil {
		panic(err)
	}
	return z
}

func gnarks2(x *fe2) bls12381.E2 { return bls12381.E2{A0: gnarks(&x.a), A1: gnarks(&x.b)} }
func gnarks6(x *fe6) bls12381.E6 {
	return bls12381.E6{B0: gnarks2(&x[0]), B1: gnarks2(&x[1]), B2: gnarks2(&x[2])}
}
func gnarks12(x *fe12) bls12381.E12 { return bls12381.E12{C0: gnarks6(&x.a), C1: gnarks6(&x.b)} }

// edges are numbers where carries and signs change.
func edges() []*big.Int {
	p, one := fp.Modulus(), big.NewInt(1)
	out := []*big.Int{big.NewInt(0), one, big.NewInt(2), new(big.Int).Sub(p, one), new(big.Int).Sub(p, big.NewInt(2))}
	half := new(big.Int).Rsh(p, 1)
	out = append(out, half, new(big.Int).Add(half, one))
	for i := uint(27); i < 381; i += 28 {
		power := new(big.Int).Lsh(one, i)
		out = append(out, power, new(big.Int).Sub(power, one), new(big.Int).Sub(p, power))
	}
	return out
}

// element draws from edges, from random numbers, and their quotients by 2³⁹², whose
// limbs in our representation are then the edges.
func element() *rapid.Generator[fp.Element] {
	special := rapid.SampledFrom(edges())
	r := new(big.Int).Lsh(big.NewInt(1), 392)
	return rapid.Custom(func(t *rapid.T) fp.Element {
		v := special.Draw(t, "edge")
		var z fp.Element
		switch rapid.IntRange(0, 3).Draw(t, "kind") {
		case 0:
			z.SetBigInt(v)
		case 1:
			var radix fp.Element
			radix.SetBigInt(r)
			z.SetBigInt(v)
			z.Div(&z, &radix)
		default:
			z.SetBytes(rapid.SliceOfN(rapid.Byte(), 64, 64).Draw(t, "bytes"))
		}
		return z
	})
}

func element2() *rapid.Generator[bls12381.E2] {
	return rapid.Custom(func(t *rapid.T) bls12381.E2 {
		return bls12381.E2{A0: element().Draw(t, "re"), A1: element().Draw(t, "im")}
	})
}

func element6() *rapid.Generator[bls12381.E6] {
	return rapid.Custom(func(t *rapid.T) bls12381.E6 {
		g := element2()
		return bls12381.E6{B0: g.Draw(t, "1"), B1: g.Draw(t, "v"), B2: g.Draw(t, "v²")}
	})
}

func element12() *rapid.Generator[bls12381.E12] {
	return rapid.Custom(func(t *rapid.T) bls12381.E12 {
		g := element6()
		return bls12381.E12{C0: g.Draw(t, "1"), C1: g.Draw(t, "w")}
	})
}

// value returns the number that limbs stand for, as it is.
func value(x *fe) *big.Int {
	v := new(big.Int)
	for i := len(x) - 1; i >= 0; i-- {
		low := int64(int32(x[i]))
		v.Lsh(v, 28).Add(v, big.NewInt((x[i]-low)>>32))
		v.Lsh(v, 28).Add(v, big.NewInt(low))
	}
	return v
}

// limbsOf packs limbs.
func limbsOf(l [14]int64) (z fe) {
	for i := range z {
		z[i] = l[2*i] + l[2*i+1]<<32
	}
	return z
}

// checkTight fails if x exceeds what mul and carry promise.
func checkTight(t interface{ Fatalf(string, ...any) }, what string, x *fe) {
	for i, w := range x {
		low := int64(int32(w))
		for j, l := range [2]int64{low, (w - low) >> 32} {
			if l < -1<<27 || l > 1<<27 {
				t.Fatalf("%s: limb %d is %d", what, 2*i+j, l)
			}
		}
	}
	if v := value(x); v.CmpAbs(new(big.Int).Lsh(fp.Modulus(), 1)) > 0 {
		t.Fatalf("%s: value %d is more than 2p", what, v)
	}
}

func checkTight12(t *rapid.T, what string, x *fe12) {
	for _, part := range [2]*fe6{&x.a, &x.b} {
		for i := range part {
			checkTight(t, what, &part[i].a)
			checkTight(t, what, &part[i].b)
		}
	}
}

func must[T comparable](t interface{ Fatalf(string, ...any) }, what string, got, want T) {
	if got != want {
		t.Fatalf("%s: got %v, want %v", what, got, want)
	}
}

func TestConversionsAreInverse(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		x := element12().Draw(t, "x")
		o := ours12(&x)
		must(t, "there and back", gnarks12(&o), x)
	})
}
