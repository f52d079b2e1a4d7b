package curve

// An fe2 is an element of Fp2, a + b·u with u² = -1. Its multiplication and sums are generated.
type fe2 struct{ a, b fe }

var one2 = fe2{a: one}

func (z *fe2) neg(x *fe2) {
	neg(&z.a, &x.a)
	neg(&z.b, &x.b)
}

func (z *fe2) carry() {
	carry(&z.a)
	carry(&z.b)
}

// times sets z to n·x for a small n.
func (z *fe2) times(x *fe2, n int64) {
	times(&z.a, &x.a, n)
	times(&z.b, &x.b, n)
}

// conjugate sets z to x^p.
func (z *fe2) conjugate(x *fe2) {
	z.a = x.a
	neg(&z.b, &x.b)
}

// mulXi sets z to ξ·x. Limbs double.
func (z *fe2) mulXi(x *fe2) {
	var re fe
	sub(&re, &x.a, &x.b)
	add(&z.b, &x.a, &x.b)
	z.a = re
}

// scale sets z to x·k. The bound on limbs is that of mul.
func (z *fe2) scale(x *fe2, k *fe) {
	mul(&z.a, &x.a, k)
	mul(&z.b, &x.b, k)
}

// sqr sets z to x². The limbs of x may reach 1.4.
func (z *fe2) sqr(x *fe2) {
	var sum, difference, twice fe
	add(&sum, &x.a, &x.b)
	sub(&difference, &x.a, &x.b)
	add(&twice, &x.a, &x.a)
	mul(&z.b, &twice, &x.b)
	mul(&z.a, &sum, &difference)
}

// inverse sets z to 1/x, and to 0 for 0.
func (z *fe2) inverse(x *fe2) {
	var n fe
	x.norm(&n)
	n.inverse(&n)
	mul(&z.a, &x.a, &n)
	neg(&n, &n)
	mul(&z.b, &x.b, &n)
}

// norm sets n to a² + b².
func (x *fe2) norm(n *fe) {
	var b fe
	sqr(n, &x.a)
	sqr(&b, &x.b)
	add(n, n, &b)
}

// sqrt sets z to a square root of x and reports whether there is one. With n the root
// of the norm, the real part of the root is that of (a+n)/2 or of (a-n)/2.
func (z *fe2) sqrt(x *fe2) bool {
	var n, t, re, im fe
	x.norm(&n)
	if !n.sqrt(&n) {
		return false
	}
	add(&t, &x.a, &n)
	mul(&t, &t, &half)
	if !re.sqrt(&t) {
		sub(&t, &x.a, &n)
		mul(&t, &t, &half)
		if !re.sqrt(&t) {
			return false
		}
	}
	if re.isZero() {
		// x is real, and -x a square.
		neg(&t, &x.a)
		im.sqrt(&t)
	} else {
		im.inverse(&re)
		mul(&im, &im, &half)
		mul(&im, &im, &x.b)
	}
	root, square := fe2{re, im}, fe2{}
	square.sqr(&root)
	found := square.equal(x)
	*z = root
	return found
}

func (x *fe2) isZero() bool { return x.a.isZero() && x.b.isZero() }

func (x *fe2) equal(y *fe2) bool { return x.a.equal(&y.a) && x.b.equal(&y.b) }

// decode reads two numbers, the imaginary one first.
func (z *fe2) decode(b *[2 * feLen]byte) bool {
	return z.b.decode((*[feLen]byte)(b[:feLen])) && z.a.decode((*[feLen]byte)(b[feLen:]))
}

// isLarge says whether x comes after -x in the order of encodings.
func (x *fe2) isLarge() bool {
	if x.b.isZero() {
		return x.a.isLarge()
	}
	return x.b.isLarge()
}
