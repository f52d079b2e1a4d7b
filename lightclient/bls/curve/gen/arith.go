package main

import (
	"fmt"
	"math/big"
	"strconv"
	"strings"
)

// A printer collects lines of Go.
type printer struct{ strings.Builder }

func (p *printer) line(format string, args ...any) {
	fmt.Fprintf(p, format, args...)
	p.WriteByte('\n')
}

// arithmetic returns arith.go: multiplications, each first by columns and then reduced,
// which keeps fewer numbers alive than doing both at once, and the reduction of sums.
func arithmetic() string {
	p := new(printer)
	p.WriteString(header)
	p.product()
	p.square()
	p.carry()
	p.sum("add sets z to x + y.", "add(z, x, y *fe)", "z[i] = x[i] + y[i]")
	p.sum("sub sets z to x - y.", "sub(z, x, y *fe)", "z[i] = x[i] - y[i]")
	return p.String()
}

// arithmetic2 returns arith2.go, the same for Fp2.
func arithmetic2() string {
	p := new(printer)
	p.WriteString(header)
	p.product2()
	p.sum("add sets z to x + y.", "(z *fe2) add(x, y *fe2)",
		"z.a[i] = x.a[i] + y.a[i]", "z.b[i] = x.b[i] + y.b[i]")
	p.sum("sub sets z to x - y.", "(z *fe2) sub(x, y *fe2)",
		"z.a[i] = x.a[i] - y.a[i]", "z.b[i] = x.b[i] - y.b[i]")
	p.sum("subtract sets z to z - x - y.", "(z *fe2) subtract(x, y *fe2)",
		"z.a[i] -= x.a[i] + y.a[i]", "z.b[i] -= x.b[i] + y.b[i]")
	p.sum("addXi sets z to x + ξ·y. The limbs of y count twice.", "(z *fe2) addXi(x, y *fe2)",
		"z.a[i], z.b[i] = x.a[i] + y.a[i] - y.b[i], x.b[i] + y.a[i] + y.b[i]")
	return p.String()
}

func (p *printer) product() {
	p.line("// mul sets z to x·y/2³⁹². The limbs of x and y may reach lx·2²⁸ and ly·2²⁸ with lx·ly ≤ 8.")
	p.line("func mul(z, x, y *fe) {")
	p.unpack("a", "x")
	p.unpack("b", "y")
	p.columns("u", "a", "b")
	p.reduce("z", "u%d")
	p.line("}\n")
}

func (p *printer) square() {
	p.line("// sqr sets z to x²/2³⁹². The limbs of x may reach 2.8·2²⁸.")
	p.line("func sqr(z, x *fe) {")
	p.unpack("a", "x")
	for i := range limbs - 1 {
		p.line("d%d := a%d<<1", i, i)
	}
	for k := range 2*limbs - 1 {
		var terms []string
		pairs(k, func(i, j int) string {
			switch {
			case i < j:
				terms = append(terms, fmt.Sprintf("d%d*a%d", i, j))
			case i == j:
				terms = append(terms, fmt.Sprintf("a%d*a%d", i, i))
			}
			return ""
		})
		p.line("u%d := %s", k, strings.Join(terms, "+"))
	}
	p.reduce("z", "u%d")
	p.line("}\n")
}

// product2 prints Karatsuba's method. The sums of columns may overflow: what counts is
// that their differences do not.
func (p *printer) product2() {
	p.line("// mul sets z to x·y/2³⁹². The limbs of x and y may reach lx·2²⁸ and ly·2²⁸ with lx·ly ≤ 4.")
	p.line("func (z *fe2) mul(x, y *fe2) {")
	for _, v := range []string{"a:x.a", "c:x.b", "b:y.a", "d:y.b"} {
		name, from, _ := strings.Cut(v, ":")
		p.unpack(name, from)
	}
	p.columns("u", "a", "b")
	p.columns("v", "c", "d")
	p.reduce("z.a", "u%d-v%d")
	for i := range limbs {
		p.line("a%d, b%d = a%d+c%d, b%d+d%d", i, i, i, i, i, i)
	}
	p.columns("w", "a", "b")
	p.reduce("z.b", "w%d-u%d-v%d")
	p.line("}\n")
}

func (p *printer) carry() {
	p.line("// carry brings the limbs of z back to at most 2²⁷ and its value to about p/2, both in absolute value.")
	p.carried("carry(z *fe)", "z[%d]")
	p.line("// threeTwo sets z to 3·x + 2·y, carried.")
	p.carried("threeTwo(z, x, y *fe)", "3*x[%[1]d] + 2*y[%[1]d]")
	p.line("// threeMinusTwo sets z to 3·x - 2·y, carried.")
	p.carried("threeMinusTwo(z, x, y *fe)", "3*x[%[1]d] - 2*y[%[1]d]")
}

// carried prints a function that carries a sum, given its words.
func (p *printer) carried(signature, word string) {
	mod := modulus()
	p.line("func %s {", signature)
	for i := range limbs / 2 {
		p.line("w%d := %s", i, fmt.Sprintf(word, i))
		p.split("a", i, fmt.Sprintf("w%d", i))
	}
	// The two top limbs of p estimate the quotient well enough.
	const shift = 40
	top := new(big.Int).Rsh(mod, limbBits*(limbs-1)-16)
	inverse := new(big.Int).Div(new(big.Int).Lsh(big.NewInt(1), shift+16), top)
	p.line("q := (1<<%d - (a%d+a%d>>%d)*%d) >> %d", shift-1, limbs-1, limbs-2, limbBits, inverse, shift)
	p.line("var acc int64")
	for i, d := range centred(mod) {
		p.line("acc += a%d + q*%d + %d", i, d, bias)
		if i < limbs-1 {
			p.line("l%d := acc & %d", i, limbMask)
			p.line("acc >>= %d", limbBits)
		}
	}
	p.line("l%d := acc", limbs-1)
	p.pack("z", "l")
	p.line("}\n")
}

// sum prints a function that adds or subtracts word by word, without a loop: such calls
// are many.
func (p *printer) sum(doc, signature string, words ...string) {
	p.line("// %s\nfunc %s {", doc, signature)
	for i := range limbs / 2 {
		p.line("%s", strings.ReplaceAll(strings.Join(words, "\n"), "[i]", fmt.Sprintf("[%d]", i)))
	}
	p.line("}\n")
}

// bias is added where a limb leaves the accumulator and subtracted from the limb: the
// cheap way from limbs of 0 to 2²⁸-1 to limbs of -2²⁷ to 2²⁷-1.
const bias = 1 << (limbBits - 1)

// columns prints the sums of the products of limbs with equal weight.
func (p *printer) columns(to, x, y string) {
	for k := range 2*limbs - 1 {
		terms := pairs(k, func(i, j int) string { return fmt.Sprintf("%s%d*%s%d", x, i, y, j) })
		p.line("%s%d := %s", to, k, strings.Join(terms, "+"))
	}
}

// reduce prints Montgomery's reduction of columns, whose names contain %d for the
// number. The first are made divisible by 2²⁸ with a multiple of p, the others give limbs.
func (p *printer) reduce(to, column string) {
	mod, base := digits(modulus()), big.NewInt(1<<limbBits)
	negInverse := new(big.Int).ModInverse(modulus(), base)
	negInverse.Sub(base, negInverse)
	p.line("{")
	p.line("var acc int64")
	for k := range 2*limbs - 1 {
		terms := []string{strings.ReplaceAll(column, "%d", strconv.Itoa(k))}
		for i := max(0, k-limbs+1); i < min(k, limbs); i++ {
			terms = append(terms, fmt.Sprintf("m%d*%d", i, mod[k-i]))
		}
		if k >= limbs {
			terms = append(terms, strconv.Itoa(bias))
		}
		p.line("acc += %s", strings.Join(terms, "+"))
		if k < limbs {
			p.line("m%d := acc * %d & %d", k, negInverse, limbMask)
			p.line("acc = (acc + m%d*%d) >> %d", k, mod[0], limbBits)
			continue
		}
		p.line("l%d := acc & %d", k-limbs, limbMask)
		p.line("acc >>= %d", limbBits)
	}
	p.line("l%d := acc + %d", limbs-1, bias)
	p.pack(to, "l")
	p.line("}")
}

// pairs calls f for the limbs i and j with i+j = k.
func pairs(k int, f func(i, j int) string) []string {
	var out []string
	for i := max(0, k-limbs+1); i < min(k+1, limbs); i++ {
		out = append(out, f(i, k-i))
	}
	return out
}

func (p *printer) unpack(limb, from string) {
	for i := range limbs / 2 {
		p.split(limb, i, fmt.Sprintf("%s[%d]", from, i))
	}
}

// split prints the two limbs of word i.
func (p *printer) split(limb string, i int, word string) {
	p.line("%s%d := int64(int32(%s))", limb, 2*i, word)
	p.line("%s%d := (%s - %s%d) >> 32", limb, 2*i+1, word, limb, 2*i)
}

func (p *printer) pack(to, limb string) {
	for i := 0; i < limbs; i += 2 {
		p.line("%s[%d] = %s%d + %s%d<<32 - %d", to, i/2, limb, i, limb, i+1, bias+bias<<32)
	}
}
