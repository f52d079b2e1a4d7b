// Package curve verifies products of two pairings on BLS12-381, in pure Go: decoding
// of points with all checks, hashing to G1 (RFC 9380, suite
// BLS12381G1_XMD:SHA-256_SSWU_RO_) and the optimal ate pairing.
//
// It is made for WebAssembly in browsers: 64-bit products of 28-bit limbs, because
// Wasm has no 64×64→128-bit multiplication, and little code. It handles public data
// only: NOTHING HERE RUNS IN CONSTANT TIME. Never use it with secrets.
//
// # Numbers
//
// The field Fp is represented by 14 limbs of 28 bits in Montgomery's form: x stands as
// x·2³⁹² mod p. Limbs are signed, so subtraction is as cheap as addition, and each
// has 4 bits to spare, so sums are not carried at once: mul accepts them as they are.
// Comments count limbs in units of 2²⁸. mul and carry leave "tight" numbers: limbs of
// at most 1/2 and values of at most 2p in absolute value. All operations of fe12 and of
// points take and leave tight numbers; those of fe2 and fe6 say what they take.
// mul demands that the product of its operands' bounds be at most 8, fe2.mul at most 4;
// no sum may reach 8, where it would leave its 32 bits.
//
// The towers are Fp2 = Fp[u]/(u²+1), Fp6 = Fp2[v]/(v³-ξ) with ξ = 1+u, Fp12 = Fp6[w]/(w²-v).
package curve

//go:generate go run -C gen .

// feLen is the length of an encoded element of Fp in bytes.
const feLen = 48

// An fe is an element of Fp. Limb 2i, a signed number, plus limb 2i+1 times 2³² is word
// i: adding words adds limbs.
type fe [7]int64

func neg(z, x *fe) { sub(z, new(fe), x) }

// times sets z to n·x for a small n.
func times(z, x *fe, n int64) {
	for i := range z {
		z[i] = n * x[i]
	}
}

// isZero accepts sums. Centred limbs represent a number near zero in one way only.
func (x *fe) isZero() bool {
	z := *x
	carry(&z)
	return z == fe{}
}

func (x *fe) equal(y *fe) bool {
	var d fe
	sub(&d, x, y)
	return d.isZero()
}

// decode sets z to the number in feLen bytes, the most significant first, and
// reports whether it is below p.
func (z *fe) decode(b *[feLen]byte) bool {
	if string(b[:]) >= modulus {
		return false
	}
	z.load(b)
	mul(z, z, &toMontgomery)
	return true
}

// load sets z to the number in b, of at most feLen bytes, without Montgomery's factor
// and without carrying limbs: they take up to 1.
func (z *fe) load(b *[feLen]byte) {
	*z = fe{}
	// Two limbs are 7 bytes.
	for i := range z {
		var v int64
		for j := range 7 {
			if at := feLen - 1 - 7*i - j; at >= 0 {
				v |= int64(b[at]) << (8 * j)
			}
		}
		z[i] = v&(1<<28-1) + v>>28<<32
	}
}

// encode returns the canonical form: the number below p, the most significant byte
// first.
func (x *fe) encode() (b [feLen]byte) {
	var z fe
	mul(&z, x, &fe{1})
	carry(&z)
	if l := z.limbs(); l[13] < 0 {
		// The value is above -p.
		p := new(fe)
		p.load((*[feLen]byte)([]byte(modulus)))
		add(&z, &z, p)
	}
	l := z.limbs()
	for i := range z {
		v := l[2*i] | l[2*i+1]<<28
		for j := range 7 {
			if at := feLen - 1 - 7*i - j; at >= 0 {
				b[at] = byte(v >> (8 * j))
			}
		}
	}
	return b
}

// limbs returns limbs from 0 to 2²⁸-1, but the last, which has the sign of x.
func (x *fe) limbs() (l [14]int64) {
	var acc int64
	for i, w := range x {
		low := int64(int32(w))
		acc += low
		l[2*i] = acc & (1<<28 - 1)
		acc = acc>>28 + (w-low)>>32
		l[2*i+1] = acc & (1<<28 - 1)
		if i == len(x)-1 {
			l[2*i+1] = acc
		}
		acc >>= 28
	}
	return l
}

// isLarge says whether x is above (p-1)/2: the sign in encoded points.
func (x *fe) isLarge() bool {
	b := x.encode()
	return string(b[:]) > halfModulus
}

// root sets z to x^((p-3)/4), which serves inverses and square roots alike.
func (z *fe) root(x *fe) {
	const window = 5
	var odd [1 << (window - 1)]fe // x, x³, x⁵, …
	odd[0] = *x
	var square fe
	sqr(&square, x)
	for i := 1; i < len(odd); i++ {
		mul(&odd[i], &odd[i-1], &square)
	}
	bit := func(i int) int { return int(quarterModulus[feLen-1-i/8]>>(i%8)) & 1 }
	acc := one
	for i := 8*feLen - 6; i >= 0; {
		if bit(i) == 0 {
			sqr(&acc, &acc)
			i--
			continue
		}
		// The window reaches from bit i down to the last one set in it.
		end := max(0, i-window+1)
		for bit(end) == 0 {
			end++
		}
		digit := 0
		for ; i >= end; i-- {
			digit = digit<<1 | bit(i)
			sqr(&acc, &acc)
		}
		mul(&acc, &acc, &odd[digit>>1])
	}
	*z = acc
}

// inverse sets z to 1/x, and to 0 for 0: x^(p-2) is (x^((p-3)/4))⁴·x.
func (z *fe) inverse(x *fe) {
	var r fe
	r.root(x)
	sqr(&r, &r)
	sqr(&r, &r)
	mul(z, &r, x)
}

// sqrt sets z to a square root of x and reports whether there is one. If there is
// none, z is a square root of -x.
func (z *fe) sqrt(x *fe) bool {
	a := *x
	var r, check fe
	r.root(&a)
	mul(&r, &r, &a)
	sqr(&check, &r)
	*z = r
	return check.equal(&a)
}
