package types

import (
	"math"
	"math/big"
	"math/bits"
)

// Cycles is an amount of cycles: an unsigned 128-bit integer. Additions saturate
// at the largest amount, as the interface specification prescribes for balances.
type Cycles struct{ Hi, Lo uint64 }

var maxCycles = Cycles{math.MaxUint64, math.MaxUint64}

// MaxCycles returns the largest amount, 2^128 - 1.
func MaxCycles() Cycles { return maxCycles }

// CyclesOf makes an amount of a 64-bit number.
func CyclesOf(n uint64) Cycles { return Cycles{0, n} }

// CyclesOfBig makes an amount of a natural number, saturating.
func CyclesOfBig(n *big.Int) Cycles {
	if n.BitLen() > 128 {
		return maxCycles
	}
	var b [16]byte
	n.FillBytes(b[:])
	return CyclesOfBytes(b)
}

// CyclesOfBytes reads 16 bytes, big-endian.
func CyclesOfBytes(b [16]byte) Cycles {
	var c Cycles
	for i := range 8 {
		c.Hi = c.Hi<<8 | uint64(b[i])
		c.Lo = c.Lo<<8 | uint64(b[i+8])
	}
	return c
}

// Big returns c as a big integer.
func (c Cycles) Big() *big.Int {
	n := new(big.Int).SetUint64(c.Hi)
	return n.Lsh(n, 64).Or(n, new(big.Int).SetUint64(c.Lo))
}

// String is the decimal form.
func (c Cycles) String() string { return c.Big().String() }

// IsZero reports whether c is nothing.
func (c Cycles) IsZero() bool { return c == Cycles{} }

// Cmp orders amounts.
func (c Cycles) Cmp(d Cycles) int {
	switch {
	case c == d:
		return 0
	case c.Hi < d.Hi || (c.Hi == d.Hi && c.Lo < d.Lo):
		return -1
	default:
		return 1
	}
}

// Add returns c + d, saturating.
func (c Cycles) Add(d Cycles) Cycles {
	lo, carry := bits.Add64(c.Lo, d.Lo, 0)
	hi, over := bits.Add64(c.Hi, d.Hi, carry)
	if over != 0 {
		return maxCycles
	}
	return Cycles{hi, lo}
}

// Sub returns c - d, or zero if d is more than c.
func (c Cycles) Sub(d Cycles) Cycles {
	if c.Cmp(d) < 0 {
		return Cycles{}
	}
	lo, borrow := bits.Sub64(c.Lo, d.Lo, 0)
	hi, _ := bits.Sub64(c.Hi, d.Hi, borrow)
	return Cycles{hi, lo}
}

// Min returns the smaller amount.
func (c Cycles) Min(d Cycles) Cycles {
	if c.Cmp(d) <= 0 {
		return c
	}
	return d
}

// Mul returns c * n, saturating.
func (c Cycles) Mul(n uint64) Cycles {
	carry, lo := bits.Mul64(c.Lo, n)
	over, hi := bits.Mul64(c.Hi, n)
	hi, carry = bits.Add64(hi, carry, 0)
	if over != 0 || carry != 0 {
		return maxCycles
	}
	return Cycles{hi, lo}
}

// Div returns c / n rounded down; n must not be zero.
func (c Cycles) Div(n uint64) Cycles {
	hi, rem := c.Hi/n, c.Hi%n
	lo, _ := bits.Div64(rem, c.Lo, n)
	return Cycles{hi, lo}
}
