package curve

// A G2 is a point of the subgroup of prime order of y² = x³ + 4ξ over Fp2, not
// infinity.
type G2 struct{ x, y fe2 }

// GeneratorG2 returns the generator that the drafts and all implementations use.
func GeneratorG2() *G2 { return &G2{generatorX, generatorY} }

// DecodeG2 reads a compressed point and refuses all that is not the one encoding of
// a point of the subgroup, and infinity.
func DecodeG2(b *[G2Len]byte) (*G2, error) {
	if err := checkFlags(b[0]); err != nil {
		return nil, err
	}
	coordinate := *b
	coordinate[0] &^= flagCompressed | flagLarge
	var q G2
	if !q.x.decode(&coordinate) {
		return nil, ErrCoordinate
	}
	q.y.sqr(&q.x)
	q.y.mul(&q.y, &q.x)
	q.y.add(&q.y, &fe2{curveB, curveB})
	if !q.y.sqrt(&q.y) {
		return nil, ErrNotOnCurve
	}
	if q.y.isLarge() != (b[0]&flagLarge != 0) {
		q.y.neg(&q.y)
	}
	if !q.inSubgroup() {
		return nil, ErrSubgroup
	}
	return &q, nil
}

// inSubgroup tests whether ψ(Q), the Frobenius map carried over from the curve over
// Fp12, is [x]Q, x here the curve's parameter (Scott, as for G1).
func (q *G2) inSubgroup() bool {
	var multiple jacobian2
	multiple.mulParameter(q)
	var psi G2
	psi.x.conjugate(&q.x)
	psi.x.mul(&psi.x, &psiX)
	psi.y.conjugate(&q.y)
	psi.y.mul(&psi.y, &psiY)
	psi.y.neg(&psi.y) // the parameter is negative
	return multiple.equal(&psi)
}

// A jacobian2 is the point (x/z², y/z³), or infinity if z is zero.
type jacobian2 struct{ x, y, z fe2 }

func (p *jacobian2) equal(q *G2) bool {
	var zz, x, y fe2
	zz.sqr(&p.z)
	x.mul(&q.x, &zz)
	zz.mul(&zz, &p.z)
	y.mul(&q.y, &zz)
	return !p.z.isZero() && x.equal(&p.x) && y.equal(&p.y)
}

// double sets p to 2p, as for jacobian1.
func (p *jacobian2) double() {
	var a, b, c, d, e fe2
	a.sqr(&p.x)
	b.sqr(&p.y)
	c.sqr(&b)
	d.add(&p.x, &b)
	d.sqr(&d)
	d.sub(&d, &a)
	d.sub(&d, &c)
	d.add(&d, &d)
	d.carry()
	e.times(&a, 3)
	e.carry()
	p.y.add(&p.y, &p.y)
	p.z.mul(&p.y, &p.z)
	p.x.sqr(&e)
	p.x.sub(&p.x, &d)
	p.x.sub(&p.x, &d)
	p.x.carry()
	d.sub(&d, &p.x)
	p.y.mul(&e, &d)
	c.times(&c, 8)
	p.y.sub(&p.y, &c)
	p.y.carry()
}

// add sets p to p + q.
func (p *jacobian2) add(q *G2) {
	var zz, h, d fe2
	zz.sqr(&p.z)
	h.mul(&q.x, &zz)
	h.sub(&h, &p.x)
	zz.mul(&zz, &p.z)
	d.mul(&q.y, &zz)
	d.sub(&d, &p.y)
	switch {
	case p.z.isZero():
		*p = jacobian2{q.x, q.y, one2}
		return
	case h.isZero() && d.isZero():
		p.double()
		return
	}
	// If only h is zero, the sum is infinity, and so is what follows.
	var hh, hhh fe2
	hh.sqr(&h)
	hhh.mul(&hh, &h)
	p.z.mul(&p.z, &h)
	hh.mul(&hh, &p.x)
	p.x.sqr(&d)
	p.x.sub(&p.x, &hhh)
	p.x.sub(&p.x, &hh)
	p.x.sub(&p.x, &hh)
	p.x.carry()
	hh.sub(&hh, &p.x)
	hhh.mul(&hhh, &p.y)
	p.y.mul(&d, &hh)
	p.y.sub(&p.y, &hhh)
	p.y.carry()
}

// mulParameter sets p to [parameter]q.
func (p *jacobian2) mulParameter(q *G2) {
	*p = jacobian2{q.x, q.y, one2}
	for i := 62; i >= 0; i-- {
		p.double()
		if uint64(parameter)>>i&1 == 1 {
			p.add(q)
		}
	}
}
