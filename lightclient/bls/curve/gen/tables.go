package main

import (
	"fmt"
	"math/big"
)

// The generator of G2 (draft-irtf-cfrg-pairing-friendly-curves, section 4.2.1), each
// coordinate as real and imaginary part.
var generatorG2 = [2][2]string{
	{
		"024aa2b2f08f0a91260805272dc51051c6e47ad4fa403b02b4510b647ae3d1770bac0326a805bbefd48056c8c121bdb8",
		"13e02b6052719f607dacd3a088274f65596bd0d09920b61ab5da61bbdc7f5049334cf11213945d57e5ac7d055d042b7e",
	},
	{
		"0ce5d527727d6e118cc9cdc6da2e351aadfd9baa8cbdd3a76d429a695160d12c923ac9cc3baca289e193548608b82801",
		"0606c4a02ea734cc32acd2b02bc28b99cb3e287e85a763af267492ab572e99ab3f370d275cec1da1aaa9075ff05f79be",
	},
}

// tables returns tables.go: constants of the field in its representation.
func tables() string {
	p := new(printer)
	p.WriteString(header)
	mod, one := modulus(), big.NewInt(1)
	fraction := func(subtract, by int64) *big.Int {
		v := new(big.Int).Sub(mod, big.NewInt(subtract))
		return v.Div(v, big.NewInt(by))
	}

	p.line("const (")
	p.line("// parameter is the absolute value of the curve's parameter, which is negative.")
	p.line("parameter = %#x", new(big.Int).Abs(parameter()))
	for _, c := range []struct {
		name, doc string
		value     *big.Int
	}{
		{"modulus", "p", mod},
		{"halfModulus", "(p-1)/2", fraction(1, 2)},
		{"quarterModulus", "(p-3)/4", fraction(3, 4)},
	} {
		p.line("// %s is %s, 48 bytes, the most significant first.", c.name, c.doc)
		p.line("%s = %s", c.name, quoted(c.value))
	}
	p.line(")\n\nvar (")

	r := new(big.Int).Lsh(one, limbs*limbBits)
	p.element("one", "is 1", one)
	p.element("half", "is 1/2", new(big.Int).ModInverse(big.NewInt(2), mod))
	p.element("toMontgomery", "is 2³⁹², by which plain numbers are multiplied", r)
	p.element("toMontgomery256", "does the same for numbers that count 2²⁵⁶", new(big.Int).Lsh(r, 256))
	p.element("curveB", "is the constant of the curve of G1", big.NewInt(4))
	root := new(big.Int).Exp(big.NewInt(2), fraction(1, 3), mod)
	p.element("beta", "is the cube root of one whose endomorphism of G1 multiplies by minus the parameter's square", root)
	p.element("isoA", "is a coefficient of the curve that SSWU maps to", parse(isoA))
	p.element("isoB", "is a coefficient of the curve that SSWU maps to", parse(isoB))
	p.element("isoZ", "is the non-square of SSWU", big.NewInt(isoZ))
	p.element("sqrtMinusZ", "is a square root of -isoZ", new(big.Int).ModSqrt(big.NewInt(-isoZ), mod))
	p.complexes()
	p.line(")\n")
	for _, m := range isogeny {
		p.line("// %s is %s of RFC 9380, appendix E.2.", m.name, m.doc)
		p.line("var %s = [...]fe{", m.name)
		for _, c := range m.coefficients {
			p.line("%s,", element(parse(c)))
		}
		p.line("}\n")
	}
	return p.String()
}

// complexes prints the constants of Fp2.
func (p *printer) complexes() {
	mod, xi := modulus(), complexNumber{big.NewInt(1), big.NewInt(1)}
	sixth := new(big.Int).Sub(mod, big.NewInt(1))
	sixth.Div(sixth, big.NewInt(6))
	// ξ has the order of a divisor of p²-1.
	order := new(big.Int).Mul(mod, mod)
	order.Sub(order, big.NewInt(1))
	power := func(n int64) string {
		e := new(big.Int).Mul(sixth, big.NewInt(n))
		return xi.power(e.Mod(e, order)).String()
	}
	p.line("// frobenius holds ξ^(i(p-1)/6) for i from 1 to 5.")
	p.line("frobenius = [...]fe2{")
	for i := range int64(5) {
		p.line("%s,", power(i+1))
	}
	p.line("}")
	p.line("// psiX is ξ^(-(p-1)/3).\npsiX = fe2%s", power(-2))
	p.line("// psiY is ξ^(-(p-1)/2).\npsiY = fe2%s", power(-3))
	p.line("generatorX = fe2%s", complexNumber{parse(generatorG2[0][0]), parse(generatorG2[0][1])})
	p.line("generatorY = fe2%s", complexNumber{parse(generatorG2[1][0]), parse(generatorG2[1][1])})
}

func (p *printer) element(name, doc string, v *big.Int) {
	p.line("// %s %s.\n%s = fe%s", name, doc, name, element(v))
}

// element returns a literal of type fe without the type: v·2³⁹² mod p, two limbs to a word.
func element(v *big.Int) string {
	m := new(big.Int).Lsh(v, limbs*limbBits)
	l := centred(m.Mod(m, modulus()))
	s := "{"
	for i := 0; i < limbs; i += 2 {
		s += fmt.Sprintf("%d,", l[i]+l[i+1]<<32)
	}
	return s[:len(s)-1] + "}"
}

// quoted returns 48 bytes as a string literal.
func quoted(v *big.Int) string {
	s := `"`
	for _, b := range v.FillBytes(make([]byte, 48)) {
		s += fmt.Sprintf(`\x%02x`, b)
	}
	return s + `"`
}

// parse reads a constant of this program.
func parse(hexadecimal string) *big.Int {
	v, ok := new(big.Int).SetString(hexadecimal, 16)
	if !ok {
		panic("not a number: " + hexadecimal)
	}
	return v
}

// A complexNumber is an element of Fp2: real and imaginary part.
type complexNumber [2]*big.Int

func (x complexNumber) times(y complexNumber) complexNumber {
	product := func(i, j int) *big.Int { return new(big.Int).Mul(x[i], y[j]) }
	re, im := product(0, 0), product(0, 1)
	re.Sub(re, product(1, 1))
	im.Add(im, product(1, 0))
	return complexNumber{re.Mod(re, modulus()), im.Mod(im, modulus())}
}

func (x complexNumber) power(e *big.Int) complexNumber {
	z := complexNumber{big.NewInt(1), big.NewInt(0)}
	for i := e.BitLen() - 1; i >= 0; i-- {
		z = z.times(z)
		if e.Bit(i) == 1 {
			z = z.times(x)
		}
	}
	return z
}

// String returns a literal of type fe2 without the type.
func (x complexNumber) String() string {
	return "{fe" + element(x[0]) + ", fe" + element(x[1]) + "}"
}
