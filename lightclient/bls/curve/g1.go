package curve

import "errors"

// Lengths of encoded points in bytes.
const (
	G1Len = feLen
	G2Len = 2 * feLen
)

// Errors of decoding.
var (
	ErrUncompressed = errors.New("invalid point: not marked as compressed")
	ErrInfinity     = errors.New("invalid point: the point at infinity")
	ErrCoordinate   = errors.New("invalid point: coordinate not below the modulus")
	ErrNotOnCurve   = errors.New("invalid point: not on the curve")
	ErrSubgroup     = errors.New("invalid point: not in the subgroup of prime order")
)

// Flags in the first byte of an encoded point.
const (
	flagCompressed = 0x80
	flagInfinity   = 0x40
	flagLarge      = 0x20
)

// A G1 is a point of the subgroup of prime order of y² = x³ + 4 over Fp, not infinity.
type G1 struct{ x, y fe }

// DecodeG1 reads a compressed point and refuses all that is not the one encoding of
// a point of the subgroup, and infinity.
func DecodeG1(b *[G1Len]byte) (*G1, error) {
	if err := checkFlags(b[0]); err != nil {
		return nil, err
	}
	coordinate := *b
	coordinate[0] &^= flagCompressed | flagLarge
	var p G1
	if !p.x.decode(&coordinate) {
		return nil, ErrCoordinate
	}
	sqr(&p.y, &p.x)
	mul(&p.y, &p.y, &p.x)
	add(&p.y, &p.y, &curveB)
	if !p.y.sqrt(&p.y) {
		return nil, ErrNotOnCurve
	}
	if p.y.isLarge() != (b[0]&flagLarge != 0) {
		neg(&p.y, &p.y)
	}
	if !p.inSubgroup() {
		return nil, ErrSubgroup
	}
	return &p, nil
}

func checkFlags(first byte) error {
	switch {
	case first&flagCompressed == 0:
		return ErrUncompressed
	case first&flagInfinity != 0:
		return ErrInfinity
	default:
		return nil
	}
}

// Neg returns -p.
func (p *G1) Neg() *G1 {
	n := G1{x: p.x}
	neg(&n.y, &p.y)
	return &n
}

// inSubgroup tests whether φ(P) = (β·x, y) is [-x²]P, x here the curve's parameter
// (Scott, "A note on group membership tests for G1, G2 and GT on BLS
// pairing-friendly curves").
func (p *G1) inSubgroup() bool {
	var multiple jacobian1
	multiple.mulParameter(&jacobian1{p.x, p.y, one})
	multiple.mulParameter(&multiple)
	phi := p.Neg()
	mul(&phi.x, &phi.x, &beta)
	return multiple.equal(phi)
}

// A jacobian1 is the point (x/z², y/z³), or infinity if z is zero.
type jacobian1 struct{ x, y, z fe }

func (p *jacobian1) equal(q *G1) bool {
	var zz, x, y fe
	sqr(&zz, &p.z)
	mul(&x, &q.x, &zz)
	mul(&zz, &zz, &p.z)
	mul(&y, &q.y, &zz)
	return !p.z.isZero() && x.equal(&p.x) && y.equal(&p.y)
}

func (p *jacobian1) affine() *G1 {
	var q G1
	var i, ii fe
	i.inverse(&p.z)
	sqr(&ii, &i)
	mul(&q.x, &p.x, &ii)
	mul(&ii, &ii, &i)
	mul(&q.y, &p.y, &ii)
	return &q
}

// double sets p to 2q ("dbl-2009-l" of the explicit formulas database).
func (p *jacobian1) double(q *jacobian1) {
	var a, b, c, d, e, z fe
	sqr(&a, &q.x)
	sqr(&b, &q.y)
	sqr(&c, &b)
	add(&d, &q.x, &b)
	sqr(&d, &d)
	sub(&d, &d, &a)
	sub(&d, &d, &c)
	add(&d, &d, &d) // limbs reach 3
	times(&e, &a, 3)
	add(&z, &q.y, &q.y)
	mul(&p.z, &z, &q.z)
	sqr(&p.x, &e)
	sub(&p.x, &p.x, &d)
	sub(&p.x, &p.x, &d)
	carry(&p.x)
	sub(&d, &d, &p.x)
	mul(&p.y, &e, &d)
	times(&c, &c, 8)
	sub(&p.y, &p.y, &c)
	carry(&p.y)
}

// add sets p to q + r, whatever these are.
func (p *jacobian1) add(q, r *jacobian1) {
	if q.z.isZero() {
		*p = *r
		return
	}
	if r.z.isZero() {
		*p = *q
		return
	}
	var qq, rr, u, s, h, d fe
	sqr(&qq, &q.z)
	sqr(&rr, &r.z)
	mul(&u, &q.x, &rr)
	mul(&h, &r.x, &qq)
	sub(&h, &h, &u)
	mul(&rr, &rr, &r.z)
	mul(&s, &q.y, &rr)
	mul(&qq, &qq, &q.z)
	mul(&d, &r.y, &qq)
	sub(&d, &d, &s)
	if h.isZero() {
		if d.isZero() {
			p.double(q)
		} else {
			*p = jacobian1{x: one, y: one}
		}
		return
	}
	var hh, hhh fe
	sqr(&hh, &h)
	mul(&hhh, &hh, &h)
	mul(&u, &u, &hh)
	mul(&s, &s, &hhh)
	mul(&p.z, &q.z, &r.z)
	mul(&p.z, &p.z, &h)
	sqr(&p.x, &d)
	sub(&p.x, &p.x, &hhh)
	sub(&p.x, &p.x, &u)
	sub(&p.x, &p.x, &u)
	carry(&p.x)
	sub(&u, &u, &p.x)
	mul(&p.y, &d, &u)
	sub(&p.y, &p.y, &s)
	carry(&p.y)
}

// mulParameter sets p to [parameter]q.
func (p *jacobian1) mulParameter(q *jacobian1) {
	base := *q
	*p = base
	for i := 62; i >= 0; i-- {
		p.double(p)
		if uint64(parameter)>>i&1 == 1 {
			p.add(p, &base)
		}
	}
}
