package main

import "math/big"

// lines returns lines.go: the lines of the Miller loop for the generator of G2, which
// take the first milliseconds of a client that has to compute them.
func lines() string {
	p := new(printer)
	p.WriteString(header)
	p.line("// GeneratorLines are the lines of the generator of G2; they must not be changed.")
	p.line("func GeneratorLines() *Lines { return &generatorLines }\n")
	p.line("var generatorLines = Lines{")
	q := [2]complexNumber{
		{parse(generatorG2[0][0]), parse(generatorG2[0][1])},
		{parse(generatorG2[1][0]), parse(generatorG2[1][1])},
	}
	t := q
	x := new(big.Int).Neg(parameter())
	for i := x.BitLen() - 2; i >= 0; i-- {
		three := complexNumber{big.NewInt(3), big.NewInt(0)}
		t = p.lineThrough(t, t, t[0].times(t[0]).times(three).over(t[1].plus(t[1])))
		if x.Bit(i) == 1 {
			t = p.lineThrough(t, q, t[1].minus(q[1]).over(t[0].minus(q[0])))
		}
	}
	p.line("}")
	return p.String()
}

// lineThrough prints the line through t and q with the slope, and returns t + q.
func (p *printer) lineThrough(t, q [2]complexNumber, slope complexNumber) [2]complexNumber {
	p.line("{fe2%s, fe2%s},", slope, slope.times(q[0]).minus(q[1]))
	x := slope.times(slope).minus(t[0]).minus(q[0])
	return [2]complexNumber{x, slope.times(t[0].minus(x)).minus(t[1])}
}

func (x complexNumber) plus(y complexNumber) complexNumber {
	re, im := new(big.Int).Add(x[0], y[0]), new(big.Int).Add(x[1], y[1])
	return complexNumber{re.Mod(re, modulus()), im.Mod(im, modulus())}
}

func (x complexNumber) minus(y complexNumber) complexNumber {
	return x.plus(complexNumber{new(big.Int).Neg(y[0]), new(big.Int).Neg(y[1])})
}

func (x complexNumber) over(y complexNumber) complexNumber {
	norm := new(big.Int).Mul(y[0], y[0])
	norm.Add(norm, new(big.Int).Mul(y[1], y[1]))
	norm.ModInverse(norm, modulus())
	return x.times(complexNumber{y[0], new(big.Int).Neg(y[1])}).times(complexNumber{norm, big.NewInt(0)})
}
