package curve

// steps is the number of lines of a Miller loop: one for each bit of the parameter
// after the first, one more for each of the five that are set.
const steps = 63 + 5

// Lines are the lines of the Miller loop for one point of G2, 15 kB.
type Lines [steps]line

// A line through points T and S of the twisted curve has slope λ; its value at P in
// G1, but for factors that the final exponentiation makes one, is
// (λ·x(T)-y(T))/y(P) - λ·x(P)/y(P)·v + v·w.
type line struct{ slope, offset fe2 }

// NewLines prepares q for pairings.
func NewLines(q *G2) *Lines {
	var l Lines
	var denominators [steps]fe2
	t := jacobian2{q.x, q.y, one2}
	n := 0
	for i := 62; i >= 0; i-- {
		l[n].tangent(&denominators[n], &t)
		t.double()
		n++
		if uint64(parameter)>>i&1 == 1 {
			l[n].chord(&denominators[n], &t, q)
			t.add(q)
			n++
		}
	}
	// One inversion serves all: products[i] is that of the denominators before i.
	var products [steps]fe2
	all := one2
	for i := range denominators {
		products[i] = all
		all.mul(&all, &denominators[i])
	}
	all.inverse(&all)
	for i := steps - 1; i >= 0; i-- {
		var inverse fe2
		inverse.mul(&all, &products[i])
		all.mul(&all, &denominators[i])
		l[i].slope.mul(&l[i].slope, &inverse)
		l[i].offset.mul(&l[i].offset, &inverse)
	}
	return &l
}

// tangent sets l, still to be divided by denominator, to the tangent in t. The slope is
// 3x²/2yz, the offset (3x³-2y²)/2yz³.
func (l *line) tangent(denominator *fe2, t *jacobian2) {
	var zz, s fe2
	zz.sqr(&t.z)
	s.sqr(&t.x)
	s.times(&s, 3)
	l.slope.mul(&s, &zz)
	l.offset.mul(&s, &t.x)
	s.sqr(&t.y)
	s.add(&s, &s)
	l.offset.sub(&l.offset, &s)
	s.add(&t.y, &t.y)
	s.mul(&s, &t.z)
	denominator.mul(&s, &zz)
}

// chord sets l, still to be divided by denominator, to the line through t and q. The slope
// is (y-y(q)z³)/(xz-x(q)z³).
func (l *line) chord(denominator *fe2, t *jacobian2, q *G2) {
	var zzz, s fe2
	zzz.sqr(&t.z)
	zzz.mul(&zzz, &t.z)
	s.mul(&q.y, &zzz)
	l.slope.sub(&t.y, &s)
	s.mul(&q.x, &zzz)
	denominator.mul(&t.x, &t.z)
	denominator.sub(denominator, &s)
	denominator.carry()
	l.offset.mul(&l.slope, &q.x)
	s.mul(denominator, &q.y)
	l.offset.sub(&l.offset, &s)
}

// A Pair is one factor of a product of pairings.
type Pair struct {
	P *G1
	Q *Lines
}

// ProductIsOne reports whether the product of the pairings of pairs is one.
func ProductIsOne(pairs ...Pair) bool {
	f := miller(pairs)
	f.exponentiate(f)
	return f.isOne()
}

// miller is the Miller loop. The negative sign of the parameter is left out: it
// would only make an inverse of the product.
func miller(pairs []Pair) *fe12 {
	evaluated := evaluations(pairs)
	f := new(fe12)
	f.setOne()
	n := 0
	next := func() {
		for i, p := range pairs {
			var c0, c1 fe2
			c0.scale(&p.Q[n].offset, &evaluated[i].inverse)
			c1.scale(&p.Q[n].slope, &evaluated[i].quotient)
			f.mulLine(f, &c0, &c1)
		}
		n++
	}
	for i := 62; i >= 0; i-- {
		f.sqr(f)
		next()
		if uint64(parameter)>>i&1 == 1 {
			next()
		}
	}
	return f
}

// An evaluation is what lines are multiplied with for their value at a point: 1/y
// and -x/y.
type evaluation struct{ inverse, quotient fe }

// evaluations computes those of the points of pairs with one inversion: the inverse of a
// product times the product of the others is an inverse.
func evaluations(pairs []Pair) []evaluation {
	out := make([]evaluation, len(pairs))
	all := one
	for i, p := range pairs {
		out[i].inverse = all
		mul(&all, &all, &p.P.y)
	}
	all.inverse(&all)
	for i := len(pairs) - 1; i >= 0; i-- {
		p := pairs[i].P
		mul(&out[i].inverse, &out[i].inverse, &all)
		mul(&all, &all, &p.y)
		mul(&out[i].quotient, &p.x, &out[i].inverse)
		neg(&out[i].quotient, &out[i].quotient)
	}
	return out
}

// exponentiate sets z to x^(3(p¹²-1)/r): the power of three changes no answer to
// whether it is one. The hard part follows Hayashida, Hayasaka and Teruya, "Efficient
// Final Exponentiation via Cyclotomic Structure for Pairings over Families of Elliptic
// Curves": 3(p⁴-p²+1)/r = (x-1)²(x+p)(x²+p²-1) + 3 for the curve's parameter x.
func (z *fe12) exponentiate(x *fe12) {
	var m, t, s fe12
	// m = x^((p⁶-1)(p²+1))
	t.inverse(x)
	m.conjugate(x)
	m.mul(&m, &t)
	t.frobenius(&m)
	t.frobenius(&t)
	m.mul(&m, &t)

	t = m
	for range 2 { // x-1: with the negative parameter, the inverse of the power times t
		s.powParameter(&t)
		s.mul(&s, &t)
		t.conjugate(&s)
	}
	s.powParameter(&t)
	s.conjugate(&s)
	t.frobenius(&t)
	t.mul(&t, &s) // x+p

	s.powParameter(&t)
	s.powParameter(&s) // x²
	var u fe12
	u.frobenius(&t)
	u.frobenius(&u)
	s.mul(&s, &u) // x²+p²
	t.conjugate(&t)
	t.mul(&t, &s)

	s.cyclotomicSqr(&m)
	s.mul(&s, &m)
	z.mul(&t, &s)
}
