package candid

import (
	"math/big"
	"strconv"

	"portico/lightclient/leb128"
)

// maxDigits bounds the numbers nat and int to 2^16 bytes of LEB128, or 138,000
// decimal digits, so that arithmetic on a decoded number stays cheap.
const maxDigits = 1 << 16

func (d *decoder) bool() (bool, error) {
	b, err := d.bytes(1)
	if err != nil {
		return false, err
	}
	if b[0] > 1 {
		d.pos--
		return false, d.malformed("byte " + strconv.Itoa(int(b[0])) + " must be 0 or 1")
	}
	return b[0] == 1, nil
}

// fixed reads a little-endian number of size bytes.
func (d *decoder) fixed(size int) (uint64, error) {
	b, err := d.bytes(uint64(size))
	var v uint64
	for i, c := range b {
		v |= uint64(c) << (8 * i)
	}
	return v, err
}

// digits reads a LEB128 number of any length, as its bytes.
func (d *decoder) digits() ([]byte, error) {
	for i, c := range d.buf[d.pos:min(len(d.buf), d.pos+maxDigits)] {
		if c < 0x80 {
			return d.bytes(uint64(i + 1))
		}
	}
	return nil, d.malformed("number is cut off or has more than " + strconv.Itoa(maxDigits) + " bytes")
}

func (d *decoder) nat() (Nat, error) {
	b, err := d.digits()
	if err != nil {
		return Nat{}, err
	}
	if v, _, err := leb128.Uint64(b); err == nil {
		return Nat{small: v}, nil
	}
	n, _ := NatOfBig(bigOfDigits(b))
	return n, nil
}

func (d *decoder) int() (Int, error) {
	b, err := d.digits()
	if err != nil {
		return Int{}, err
	}
	if v, _, err := leb128.Int64(b); err == nil {
		return Int{small: v}, nil
	}
	n := bigOfDigits(b)
	if b[len(b)-1]&0x40 != 0 {
		n.Sub(n, new(big.Int).Lsh(big.NewInt(1), uint(7*len(b))))
	}
	return IntOfBig(n), nil
}

// bigOfDigits is the number whose 7-bit digits are b, the lowest first.
func bigOfDigits(b []byte) *big.Int {
	packed := make([]byte, (7*len(b)+7)/8) // big-endian
	for i, c := range b {
		v, bit := uint16(c&0x7f), 7*i
		v <<= bit % 8
		at := len(packed) - 1 - bit/8
		packed[at] |= byte(v)
		if v>>8 != 0 {
			packed[at-1] |= byte(v >> 8)
		}
	}
	return new(big.Int).SetBytes(packed)
}

func appendNat(b []byte, n Nat) []byte {
	if n.big == nil {
		return leb128.AppendUint(b, n.small)
	}
	return appendDigits(b, n.big, (n.big.BitLen()+6)/7)
}

func appendInt(b []byte, n Int) []byte {
	if n.big == nil {
		return leb128.AppendInt(b, n.small)
	}
	// One bit is for the sign. A negative number is written as its two's complement.
	digits := n.big.BitLen()/7 + 1
	v := n.big
	if v.Sign() < 0 {
		// -2^k needs no more bits than 2^k - 1.
		digits = new(big.Int).Not(v).BitLen()/7 + 1
		v = new(big.Int).Add(v, new(big.Int).Lsh(big.NewInt(1), uint(7*digits)))
	}
	return appendDigits(b, v, digits)
}

// appendDigits appends the lowest 7-bit digits of v, which is not negative.
func appendDigits(b []byte, v *big.Int, digits int) []byte {
	packed := v.Bytes() // big-endian
	octet := func(i int) uint16 {
		if i >= len(packed) {
			return 0
		}
		return uint16(packed[len(packed)-1-i])
	}
	for i := range digits {
		bit := 7 * i
		c := byte((octet(bit/8)|octet(bit/8+1)<<8)>>(bit%8)) & 0x7f
		if i < digits-1 {
			c |= 0x80
		}
		b = append(b, c)
	}
	return b
}
