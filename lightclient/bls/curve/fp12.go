package curve

// An fe12 is an element of Fp12, a + b·w with w² = v.
type fe12 struct{ a, b fe6 }

func (z *fe12) setOne() { *z = fe12{a: fe6{one2}} }

func (x *fe12) isOne() bool {
	y := *x
	y.a[0].sub(&y.a[0], &one2)
	for i := range 3 {
		if !y.a[i].isZero() || !y.b[i].isZero() {
			return false
		}
	}
	return true
}

func (z *fe12) carry() {
	z.a.carry()
	z.b.carry()
}

// mul sets z to x·y.
func (z *fe12) mul(x, y *fe12) {
	var v0, v1, s, t fe6
	v0.mul(&x.a, &y.a)
	v1.mul(&x.b, &y.b)
	s.add(&x.a, &x.b)
	t.add(&y.a, &y.b)
	z.b.mul(&s, &t)
	// Limbs reach three times those of fe6.mul: 7.5.
	for i := range z.b {
		z.b[i].subtract(&v0[i], &v1[i])
	}
	v1.mulV(&v1)
	z.a.add(&v0, &v1)
	z.carry()
}

// sqr sets z to x²: a² + v·b² = (a+b)·(a+v·b) - (1+v)·a·b.
func (z *fe12) sqr(x *fe12) {
	var ab, s, t fe6
	t.mulV(&x.b)
	t.add(&t, &x.a)
	t[0].carry()
	s.add(&x.a, &x.b)
	ab.mul(&x.a, &x.b)
	z.a.mul(&s, &t)
	z.a.sub(&z.a, &ab)
	z.b.add(&ab, &ab)
	// With v·ab, limbs reach 5, 5.5 and 6.5.
	ab.mulV(&ab)
	z.a.sub(&z.a, &ab)
	z.carry()
}

// mulLine sets z to x·(c0 + c1·v + v·w).
func (z *fe12) mulLine(x *fe12, c0, c1 *fe2) {
	var va, vb fe6
	va.mulV(&x.a)
	vb.mulV(&x.b)
	vb.mulV(&vb)
	z.a.mulLine(&x.a, c0, c1)
	z.b.mulLine(&x.b, c0, c1)
	z.a.add(&z.a, &vb)
	z.b.add(&z.b, &va)
	z.carry()
}

// conjugate sets z to x^(p⁶), which is 1/x for the x of the cyclotomic subgroup.
func (z *fe12) conjugate(x *fe12) {
	z.a = x.a
	z.b.neg(&x.b)
}

// frobenius sets z to x^p.
func (z *fe12) frobenius(x *fe12) {
	for i := range 3 {
		z.a[i].conjugate(&x.a[i])
		z.b[i].conjugate(&x.b[i])
		if i > 0 {
			z.a[i].mul(&z.a[i], &frobenius[2*i-1])
		}
		z.b[i].mul(&z.b[i], &frobenius[2*i])
	}
}

// inverse sets z to 1/x, and to 0 for 0.
func (z *fe12) inverse(x *fe12) {
	var n, b fe6
	n.mul(&x.a, &x.a)
	b.mul(&x.b, &x.b)
	b.mulV(&b)
	n.sub(&n, &b)
	n.carry()
	n.inverse(&n)
	z.a.mul(&x.a, &n)
	n.neg(&n)
	z.b.mul(&x.b, &n)
	z.carry()
}

// cyclotomicSqr sets z to x² for an x of the cyclotomic subgroup (Granger and Scott,
// "Faster Squaring in the Cyclotomic Subgroup of Sixth Degree Extensions"): three
// squarings in Fp4 = Fp2[s]/(s²-ξ), s = v·w.
func (z *fe12) cyclotomicSqr(x *fe12) {
	var re, im [3]fe2
	square4(&re[0], &im[0], &x.a[0], &x.b[1])
	square4(&re[1], &im[1], &x.b[0], &x.a[2])
	square4(&re[2], &im[2], &x.a[1], &x.b[2])
	im[2].mulXi(&im[2])
	for i, j := range [3]int{2, 0, 1} {
		// a[i] = 3·square - 2·a[i], b[i] = 3·square + 2·b[i]; limbs reach 7.
		threeMinusTwo(&z.a[i].a, &re[i].a, &x.a[i].a)
		threeMinusTwo(&z.a[i].b, &re[i].b, &x.a[i].b)
		threeTwo(&z.b[i].a, &im[j].a, &x.b[i].a)
		threeTwo(&z.b[i].b, &im[j].b, &x.b[i].b)
	}
}

// square4 sets re + im·s to the square of a + b·s. The limbs of re reach 2, those of im 1.
func square4(re, im, a, b *fe2) {
	var ab, sum, t fe2
	ab.mul(a, b)
	sum.add(a, b)
	t.addXi(a, b)
	re.mul(&sum, &t)
	t.addXi(&ab, &ab)
	re.sub(re, &t)
	im.add(&ab, &ab)
}

// powParameter sets z to x^parameter for an x of the cyclotomic subgroup.
func (z *fe12) powParameter(x *fe12) {
	base := *x
	*z = base
	for i := 62; i >= 0; i-- {
		z.cyclotomicSqr(z)
		if uint64(parameter)>>i&1 == 1 {
			z.mul(z, &base)
		}
	}
}
