package bls

import (
	"math/big"

	blst "github.com/supranational/blst/bindings/go"
)

// order is the order of the groups, r.
func order() *big.Int {
	r, _ := new(big.Int).SetString("73eda753299d7d483339d80809a1d80553bda402fffe5bfeffffffff00000001", 16)
	return r
}

// scalar converts a number from 0 to below the order.
func scalar(v *big.Int) *blst.Scalar {
	var b [SecretKeyLen]byte
	return new(blst.Scalar).FromBEndian(v.FillBytes(b[:]))
}

// lagrange returns weights w and a divisor d with Σ w[i]·f(xs[i]) = d·f(0) for every
// polynomial f of a degree below len(xs). The xs are positive and different.
//
// Modulo the order the weights alone would do, with d = 1, but they would be of 255
// bits. As fractions of whole numbers they are small where members are few: of 13, nine
// have weights of about 30 bits, and combining costs a fraction. Only if they grow
// longer than the order are they reduced by it.
func lagrange(xs []int64) (weights []*big.Int, divisor *big.Int) {
	product := big.NewInt(1)
	for _, x := range xs {
		product.Mul(product, big.NewInt(x))
	}
	// The weight of i is product/xs[i] over the product of the differences xs[j]-xs[i].
	weights = make([]*big.Int, len(xs))
	differences := make([]*big.Int, len(xs))
	divisor = big.NewInt(1)
	var t, rest big.Int
	for i, x := range xs {
		below := big.NewInt(1)
		for j, other := range xs {
			if j != i {
				below.Mul(below, t.SetInt64(other-x))
			}
		}
		weights[i] = new(big.Int).Quo(product, t.SetInt64(x))
		common := new(big.Int).GCD(nil, nil, weights[i], t.Abs(below))
		weights[i].Quo(weights[i], common)
		differences[i] = below.Quo(below, common)
		// the least common multiple so far
		common.GCD(nil, nil, divisor, t.Abs(below))
		divisor.Mul(divisor, rest.Quo(&t, common))
	}
	longest := 0
	for i, w := range weights {
		w.Mul(w, t.Quo(divisor, differences[i]))
		longest = max(longest, w.BitLen())
	}
	if r := order(); longest > r.BitLen() {
		for _, w := range weights {
			w.Mod(w, r)
		}
	}
	return weights, divisor
}

// weighted returns Σ weights[i]·points[i], by doubling once for each bit of the longest
// weight (Straus), in non-adjacent form: of the digits -1, 0 and 1 two thirds are 0.
// It takes time according to the weights, which are public.
func weighted(points []*blst.P1Affine, weights []*big.Int) *blst.P1 {
	tripled := make([]*big.Int, len(weights)) // 3·|weight|
	once := make([]*big.Int, len(weights))
	length := 0
	for i, w := range weights {
		once[i] = new(big.Int).Abs(w)
		tripled[i] = new(big.Int).Mul(once[i], big.NewInt(3))
		length = max(length, tripled[i].BitLen())
	}
	sum := new(blst.P1)
	for bit := length - 1; bit >= 1; bit-- {
		sum.AddAssign(sum)
		for i, p := range points {
			digit := int(tripled[i].Bit(bit)) - int(once[i].Bit(bit))
			switch digit * weights[i].Sign() {
			case 1:
				sum.AddAssign(p)
			case -1:
				sum.SubAssign(p)
			}
		}
	}
	return sum
}
