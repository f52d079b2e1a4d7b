package curve

import (
	"errors"
	"math/big"
	"testing"

	"github.com/consensys/gnark-crypto/ecc/bls12-381"
	"github.com/consensys/gnark-crypto/ecc/bls12-381/fp"
	"github.com/consensys/gnark-crypto/ecc/bls12-381/fr"
	"pgregory.net/rapid"
)

func scalar() *rapid.Generator[*big.Int] {
	return rapid.Custom(func(t *rapid.T) *big.Int {
		v := new(big.Int).SetBytes(rapid.SliceOfN(rapid.Byte(), 1, 32).Draw(t, "scalar"))
		v.Mod(v, new(big.Int).Sub(fr.Modulus(), big.NewInt(1)))
		return v.Add(v, big.NewInt(1))
	})
}

func multiple1(k *big.Int) (p bls12381.G1Affine) {
	_, _, g, _ := bls12381.Generators()
	p.ScalarMultiplication(&g, k)
	return p
}

func multiple2(k *big.Int) (p bls12381.G2Affine) {
	_, _, _, g := bls12381.Generators()
	p.ScalarMultiplication(&g, k)
	return p
}

func TestPointsOfTheSubgroupsAreDecoded(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		k := scalar().Draw(t, "k")
		p, q := multiple1(k), multiple2(k)
		pb, qb := p.Bytes(), q.Bytes()
		op, err := DecodeG1(&pb)
		if err != nil {
			t.Fatal(err)
		}
		must(t, "x of G1", gnarks(&op.x), p.X)
		must(t, "y of G1", gnarks(&op.y), p.Y)
		oq, err := DecodeG2(&qb)
		if err != nil {
			t.Fatal(err)
		}
		must(t, "x of G2", gnarks2(&oq.x), q.X)
		must(t, "y of G2", gnarks2(&oq.y), q.Y)
		p.Neg(&p)
		must(t, "y of -P", gnarks(&op.Neg().y), p.Y)
	})
}

func TestTheGeneratorOfG2IsThatOfGnark(t *testing.T) {
	_, _, _, want := bls12381.Generators()
	g := GeneratorG2()
	must(t, "x", gnarks2(&g.x), want.X)
	must(t, "y", gnarks2(&g.y), want.Y)
}

// outsideG1 and outsideG2 return encodings of points of the curves outside the subgroups.
func outsideG1() (out [][G1Len]byte) {
	for n := byte(0); len(out) < 20; n++ {
		b := [G1Len]byte{0: flagCompressed | n&1*flagLarge, G1Len - 1: n}
		var x, y fp.Element
		x.SetUint64(uint64(n))
		y.Square(&x).Mul(&y, &x).Add(&y, new(fp.Element).SetUint64(4))
		if y.Legendre() >= 0 {
			out = append(out, b)
		}
	}
	return out
}

func outsideG2() (out [][G2Len]byte) {
	for n := byte(0); len(out) < 20; n++ {
		b := [G2Len]byte{0: flagCompressed | n&1*flagLarge, G2Len - 1: n}
		var x, y bls12381.E2
		x.A0.SetUint64(uint64(n))
		four := new(fp.Element).SetUint64(4)
		y.Square(&x).Mul(&y, &x).Add(&y, &bls12381.E2{A0: *four, A1: *four})
		if y.Legendre() >= 0 {
			out = append(out, b)
		}
	}
	return out
}

func TestPointsOutsideTheSubgroupsAreRefused(t *testing.T) {
	for _, b := range outsideG1() {
		if _, err := DecodeG1(&b); err != ErrSubgroup {
			t.Errorf("%x: %v", b, err)
		}
	}
	for _, b := range outsideG2() {
		if _, err := DecodeG2(&b); err != ErrSubgroup {
			t.Errorf("%x: %v", b, err)
		}
	}
}

// Points of small order are where tests of membership by endomorphism could fail: they
// are gained by multiplying points with the cofactor's cofactors.
func TestPointsOfSmallOrderAreRefused(t *testing.T) {
	// #E(Fp) = r·(x-1)²/3, and 3, 11, 10177, 859267 and 52437899 divide x-1.
	order := new(big.Int).Add(new(big.Int).SetUint64(parameter), big.NewInt(1))
	order.Mul(order, order).Div(order, big.NewInt(3)).Mul(order, fr.Modulus())
	for _, prime := range []int64{3, 11, 10177, 859267, 52437899} {
		found := false
		for _, b := range outsideG1() {
			var p bls12381.G1Affine
			raw := decodeUnchecked(t, b)
			var j bls12381.G1Jac
			j.FromAffine(&raw)
			for n := new(big.Int).Set(order); ; {
				// The last multiple before infinity has order prime.
				quotient, rest := new(big.Int).QuoRem(n, big.NewInt(prime), new(big.Int))
				if rest.Sign() != 0 {
					break
				}
				m := multiply(j, quotient)
				if !m.Z.IsZero() {
					p.FromJacobian(&m)
					encoded := p.Bytes()
					if _, err := DecodeG1(&encoded); err != ErrSubgroup {
						t.Errorf("order %d: %v", prime, err)
					}
					found = true
					break
				}
				n = quotient
			}
		}
		if !found {
			t.Errorf("no point of order %d", prime)
		}
	}
}

// multiply works for all points of the curve, unlike gnark's multiplication, which
// uses the endomorphism of the subgroup.
func multiply(p bls12381.G1Jac, k *big.Int) (z bls12381.G1Jac) {
	for i := k.BitLen() - 1; i >= 0; i-- {
		z.DoubleAssign()
		if k.Bit(i) == 1 {
			z.AddAssign(&p)
		}
	}
	return z
}

func decodeUnchecked(t *testing.T, b [G1Len]byte) (p bls12381.G1Affine) {
	p.X.SetBytes(append([]byte{b[0] & 0x1f}, b[1:]...))
	p.Y.Square(&p.X).Mul(&p.Y, &p.X).Add(&p.Y, new(fp.Element).SetUint64(4))
	if p.Y.Sqrt(&p.Y) == nil {
		t.Fatal("not on the curve")
	}
	return p
}

func TestOtherEncodingsAreRefused(t *testing.T) {
	p, q := multiple1(big.NewInt(5)), multiple2(big.NewInt(5))
	good1, good2 := p.Bytes(), q.Bytes()
	change := func(f func(b []byte)) ([G1Len]byte, [G2Len]byte) {
		b1, b2 := good1, good2
		f(b1[:])
		f(b2[:])
		return b1, b2
	}
	for _, c := range []struct {
		name string
		f    func(b []byte)
		want error
	}{
		{"no flag", func(b []byte) { b[0] &^= flagCompressed }, ErrUncompressed},
		{"infinity", func(b []byte) { clear(b); b[0] = flagCompressed | flagInfinity }, ErrInfinity},
		{"infinity with sign", func(b []byte) { clear(b); b[0] = flagCompressed | flagInfinity | flagLarge }, ErrInfinity},
		{"infinity with coordinate", func(b []byte) { b[0] |= flagInfinity }, ErrInfinity},
		{"modulus", func(b []byte) { copy(b, modulus); b[0] |= flagCompressed }, ErrCoordinate},
		{"modulus, last coordinate", func(b []byte) {
			copy(b[len(b)-feLen:], modulus)
			b[0] |= flagCompressed
		}, ErrCoordinate},
		{"largest", func(b []byte) {
			for i := range b {
				b[i] = 0xff
			}
			b[0] &^= flagInfinity
		}, ErrCoordinate},
	} {
		b1, b2 := change(c.f)
		if _, err := DecodeG1(&b1); !errors.Is(err, c.want) {
			t.Errorf("G1, %s: %v, want %v", c.name, err, c.want)
		}
		if _, err := DecodeG2(&b2); !errors.Is(err, c.want) {
			t.Errorf("G2, %s: %v, want %v", c.name, err, c.want)
		}
	}
}

func TestAdditionInG1KnowsTheSpecialCases(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		// Small multiples meet equal, opposite and infinite points often.
		i, j := rapid.Int64Range(-3, 3).Draw(t, "i"), rapid.Int64Range(-3, 3).Draw(t, "j")
		factor := element().Filter(func(x fp.Element) bool { return !x.IsZero() })
		point := func(n int64) jacobian1 {
			p := multiple1(big.NewInt(n))
			f := factor.Draw(t, "z")
			q := jacobian1{ours(&p.X), ours(&p.Y), ours(&f)}
			if n == 0 {
				return jacobian1{x: q.z, y: q.z}
			}
			var power fe
			sqr(&power, &q.z)
			mul(&q.x, &q.x, &power)
			mul(&power, &power, &q.z)
			mul(&q.y, &q.y, &power)
			return q
		}
		p, q := point(i), point(j)
		p.add(&p, &q)
		if i+j == 0 {
			must(t, "infinity", p.z.isZero(), true)
			return
		}
		want := multiple1(big.NewInt(i + j))
		got := p.affine()
		must(t, "x", gnarks(&got.x), want.X)
		must(t, "y", gnarks(&got.y), want.Y)
	})
}

func TestAdditionInG2KnowsTheSpecialCases(t *testing.T) {
	for i := int64(-3); i <= 3; i++ {
		for _, j := range []int64{-1, 1} {
			// p is i·G, built by additions alone.
			var p jacobian2
			g, n := GeneratorG2(), *GeneratorG2()
			n.y.neg(&n.y)
			for range max(i, -i) {
				if i > 0 {
					p.add(g)
				} else {
					p.add(&n)
				}
			}
			if j > 0 {
				p.add(g)
			} else {
				p.add(&n)
			}
			if i+j == 0 {
				must(t, "infinity", p.z.isZero(), true)
				continue
			}
			m := multiple2(big.NewInt(i + j))
			must(t, "sum", p.equal(&G2{ours2(&m.X), ours2(&m.Y)}), true)
		}
	}
}

func FuzzDecode(f *testing.F) {
	p, q := multiple1(big.NewInt(5)), multiple2(big.NewInt(5))
	pb, qb := p.Bytes(), q.Bytes()
	f.Add(pb[:], qb[:])
	f.Fuzz(func(t *testing.T, b1, b2 []byte) {
		if len(b1) != G1Len || len(b2) != G2Len {
			return
		}
		// Gnark also takes infinity and, where there are bytes enough, points that
		// are not compressed.
		var p bls12381.G1Affine
		_, err := p.SetBytes(b1)
		_, ourErr := DecodeG1((*[G1Len]byte)(b1))
		if (err == nil && !p.IsInfinity()) != (ourErr == nil) {
			t.Errorf("G1: gnark says %v, we say %v", err, ourErr)
		}
		var q bls12381.G2Affine
		_, err = q.SetBytes(b2)
		_, ourErr = DecodeG2((*[G2Len]byte)(b2))
		if (err == nil && !q.IsInfinity()) != (ourErr == nil) {
			t.Errorf("G2: gnark says %v, we say %v", err, ourErr)
		}
	})
}
