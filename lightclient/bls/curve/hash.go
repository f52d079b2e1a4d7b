package curve

import "portico/lightclient/digest"

// HashToG1 is hash_to_curve of RFC 9380 with suite BLS12381G1_XMD:SHA-256_SSWU_RO_.
// Nobody knows a message whose hash is infinity.
func HashToG1(msg []byte, dst string) *G1 {
	uniform := expandMessage(msg, dst)
	var p, q jacobian1
	mapToCurve(&p, reduce((*[64]byte)(uniform[:64])))
	mapToCurve(&q, reduce((*[64]byte)(uniform[64:])))
	p.add(&p, &q)
	// The effective cofactor is 1 minus the curve's parameter, which is negative.
	q.mulParameter(&p)
	p.add(&p, &q)
	return p.affine()
}

// expandMessage is expand_message_xmd for 128 bytes (section 5.3.1).
func expandMessage(msg []byte, dst string) (uniform [128]byte) {
	if len(dst) > 255 {
		short := digest.Sum256([]byte("H2C-OVERSIZE-DST-" + dst))
		dst = string(short[:])
	}
	var zeros [64]byte // a block of SHA-256
	suffix := append([]byte(dst), byte(len(dst)))
	first := digest.Of(zeros[:], msg, []byte{0, byte(len(uniform)), 0}, suffix)
	var block [32]byte
	for i := range len(uniform) / len(block) {
		for j := range block {
			block[j] ^= first[j]
		}
		block = digest.Of(block[:], []byte{byte(i + 1)}, suffix)
		copy(uniform[i*len(block):], block[:])
	}
	return uniform
}

// reduce returns the number in b, the most significant byte first, modulo p.
func reduce(b *[64]byte) *fe {
	var padded [feLen]byte
	var high, low fe
	copy(padded[feLen-32:], b[:32])
	high.load(&padded)
	copy(padded[feLen-32:], b[32:])
	low.load(&padded)
	mul(&high, &high, &toMontgomery256)
	mul(&low, &low, &toMontgomery)
	add(&low, &low, &high)
	carry(&low)
	return &low
}

// mapToCurve is map_to_curve: the simplified SWU map for p ≡ 3 mod 4 (appendix F.2)
// followed by the isogeny (appendix E.2), without division.
func mapToCurve(p *jacobian1, u *fe) {
	var zu2, t, n, d, dd, gn, gd, y fe
	sqr(&zu2, u)
	mul(&zu2, &zu2, &isoZ)
	sqr(&t, &zu2)
	add(&t, &t, &zu2) // Z²u⁴ + Zu²
	// The candidate n/d for x is -B/A·(1 + 1/t), or B/(Z·A) if t is zero.
	add(&n, &t, &one)
	mul(&n, &n, &isoB)
	if t.isZero() {
		mul(&d, &isoA, &isoZ)
	} else {
		neg(&t, &t)
		mul(&d, &isoA, &t)
	}
	// gn/gd is x³ + A·x + B.
	sqr(&dd, &d)
	mul(&gd, &dd, &d)
	sqr(&gn, &n)
	mul(&dd, &dd, &isoA)
	add(&gn, &gn, &dd)
	mul(&gn, &gn, &n)
	mul(&t, &gd, &isoB)
	add(&gn, &gn, &t)
	carry(&gn)
	if !y.sqrtRatio(&gn, &gd) {
		// The other candidate is Z·u² times the first.
		mul(&n, &n, &zu2)
		mul(&y, &y, &zu2)
		mul(&y, &y, u)
	}
	if u.isOdd() != y.isOdd() {
		neg(&y, &y)
	}
	isogenous(p, &n, &d, &y)
}

// sqrtRatio sets z to a square root of u/v and reports whether there is one. If there
// is none, z is a square root of Z·u/v.
func (z *fe) sqrtRatio(u, v *fe) bool {
	var uv, t, check fe
	mul(&uv, u, v)
	sqr(&t, v)
	mul(&t, &t, &uv)
	t.root(&t)
	mul(&t, &t, &uv)
	sqr(&check, &t)
	mul(&check, &check, v)
	if check.equal(u) {
		*z = t
		return true
	}
	mul(z, &t, &sqrtMinusZ)
	return false
}

// isOdd is sgn0.
func (x *fe) isOdd() bool {
	b := x.encode()
	return b[feLen-1]&1 == 1
}

// isogenous sets p to the image of (n/d, y) under the isogeny.
func isogenous(p *jacobian1, n, d, y *fe) {
	var powers [len(isoYNum)]fe // of d
	powers[0] = one
	for i := 1; i < len(powers); i++ {
		mul(&powers[i], &powers[i-1], d)
	}
	// evaluate returns a polynomial at n/d times d to its degree, by Horner's rule.
	evaluate := func(leading *fe, others []fe) fe {
		acc := *leading
		for i := len(others) - 1; i >= 0; i-- {
			var t fe
			mul(&acc, &acc, n)
			mul(&t, &others[i], &powers[len(others)-i])
			add(&acc, &acc, &t)
		}
		return acc
	}
	xn := evaluate(&isoXNum[len(isoXNum)-1], isoXNum[:len(isoXNum)-1])
	xd := evaluate(&one, isoXDen[:])
	yn := evaluate(&isoYNum[len(isoYNum)-1], isoYNum[:len(isoYNum)-1])
	yd := evaluate(&one, isoYDen[:])
	// The degrees of numerator and denominator differ by one for x and not for y.
	mul(&xd, &xd, d)
	mul(&yn, &yn, y)

	// With z = xd·yd, x is xn·xd·yd² and y is yn·xd³·yd².
	mul(&p.z, &xd, &yd)
	var t fe
	mul(&t, &p.z, &yd)
	mul(&p.x, &xn, &t)
	sqr(&xd, &xd)
	mul(&t, &t, &xd)
	mul(&p.y, &yn, &t)
}
