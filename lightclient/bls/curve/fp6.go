package curve

// An fe6 is an element of Fp6, the sum of its parts times 1, v and v².
type fe6 [3]fe2

func (z *fe6) add(x, y *fe6) {
	for i := range z {
		z[i].add(&x[i], &y[i])
	}
}

func (z *fe6) sub(x, y *fe6) {
	for i := range z {
		z[i].sub(&x[i], &y[i])
	}
}

func (z *fe6) neg(x *fe6) {
	for i := range z {
		z[i].neg(&x[i])
	}
}

func (z *fe6) carry() {
	for i := range z {
		z[i].carry()
	}
}

// mulV sets z to v·x.
func (z *fe6) mulV(x *fe6) {
	last := x[2]
	z[2] = x[1]
	z[1] = x[0]
	z[0].mulXi(&last)
}

// mul sets z to x·y by Karatsuba's method. The limbs of x and y may reach 1; those of z
// reach 1/2, 2.5 and 2.
func (z *fe6) mul(x, y *fe6) {
	var v0, v1, v2, s, t, mixed fe2
	v0.mul(&x[0], &y[0])
	v1.mul(&x[1], &y[1])
	v2.mul(&x[2], &y[2])

	s.add(&x[0], &x[2])
	t.add(&y[0], &y[2])
	mixed.mul(&s, &t)
	mixed.subtract(&v0, &v2)
	s.add(&x[1], &x[2])
	t.add(&y[1], &y[2])
	z[2].add(&mixed, &v1)

	mixed.mul(&s, &t)
	mixed.subtract(&v1, &v2)
	s.add(&x[0], &x[1])
	t.add(&y[0], &y[1])
	z[0].addXi(&v0, &mixed)
	z[0].carry()

	mixed.mul(&s, &t)
	mixed.subtract(&v0, &v1)
	z[1].addXi(&mixed, &v2)
}

// mulLine sets z to x·(c0 + c1·v). The limbs of x, c0 and c1 may reach 1; those of z reach
// 2.5, 1.5 and 1.5.
func (z *fe6) mulLine(x *fe6, c0, c1 *fe2) {
	var v0, v1, s, t, mixed fe2
	v0.mul(&x[0], c0)
	v1.mul(&x[1], c1)

	s.add(&x[0], &x[2])
	mixed.mul(&s, c0)
	mixed.sub(&mixed, &v0)
	s.add(&x[1], &x[2])
	z[2].add(&mixed, &v1)

	mixed.mul(&s, c1)
	mixed.sub(&mixed, &v1)
	s.add(&x[0], &x[1])
	t.add(c0, c1)
	z[0].addXi(&v0, &mixed)

	z[1].mul(&s, &t)
	z[1].subtract(&v0, &v1)
}

// inverse sets z to 1/x, and to 0 for 0.
func (z *fe6) inverse(x *fe6) {
	var c fe6 // the conjugates' product: x·c is in Fp2
	var t fe2
	product := func(k, i, j, m, n int) {
		// c[k] = x[i]·x[j] - x[m]·x[n] with ξ where powers of v reach 3
		var s, d fe2
		s.mul(&x[i], &x[j])
		d.mul(&x[m], &x[n])
		switch k {
		case 0:
			d.mulXi(&d)
		case 1:
			s.mulXi(&s)
		}
		c[k].sub(&s, &d)
		c[k].carry()
	}
	product(0, 0, 0, 1, 2)
	product(1, 2, 2, 0, 1)
	product(2, 1, 1, 0, 2)

	var n, s fe2
	n.mul(&x[0], &c[0])
	t.mul(&x[2], &c[1])
	s.mul(&x[1], &c[2])
	t.add(&t, &s)
	t.mulXi(&t)
	n.add(&n, &t)
	n.carry()
	n.inverse(&n)
	for i := range z {
		z[i].mul(&c[i], &n)
	}
}
