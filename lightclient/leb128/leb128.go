// Package leb128 encodes and decodes LEB128 numbers, unsigned and signed, as
// Candid, WebAssembly and the state tree use them.
//
// Decoding comes in two strictnesses: Uint64 and Int64 accept padded encodings
// of at most ten bytes, as Candid and WebAssembly do; Canonical refuses them, as
// the state tree needs.
package leb128

import "errors"

// Errors of the decoders.
var (
	ErrTruncated = errors.New("leb128: number is cut off")
	ErrOverflow  = errors.New("leb128: number does not fit into 64 bits")
	ErrPadded    = errors.New("leb128: number is longer than it needs to be")
	ErrTrailing  = errors.New("leb128: bytes follow the number")
)

// maxLen is the length of the longest encoding of a 64-bit number.
const maxLen = 10

// AppendUint appends the shortest unsigned encoding of v.
func AppendUint(b []byte, v uint64) []byte {
	for v >= 0x80 {
		b = append(b, byte(v)|0x80)
		v >>= 7
	}
	return append(b, byte(v))
}

// AppendInt appends the shortest signed encoding of v.
func AppendInt(b []byte, v int64) []byte {
	for {
		c := byte(v & 0x7f)
		v >>= 7
		if (v == 0 && c&0x40 == 0) || (v == -1 && c&0x40 != 0) {
			return append(b, c)
		}
		b = append(b, c|0x80)
	}
}

// Uint64 decodes an unsigned number at the start of b and returns it with the
// number of bytes it takes.
func Uint64(b []byte) (v uint64, n int, err error) {
	for i, c := range b {
		if i == maxLen || (i == maxLen-1 && c > 1) {
			return 0, 0, ErrOverflow
		}
		v |= uint64(c&0x7f) << (7 * i)
		if c < 0x80 {
			return v, i + 1, nil
		}
	}
	return 0, 0, ErrTruncated
}

// Int64 decodes a signed number at the start of b and returns it with the
// number of bytes it takes.
func Int64(b []byte) (v int64, n int, err error) {
	for i, c := range b {
		if i == maxLen || (i == maxLen-1 && c != 0 && c != 0x7f) {
			return 0, 0, ErrOverflow
		}
		v |= int64(c&0x7f) << (7 * i)
		if c < 0x80 {
			if shift := 7 * (i + 1); shift < 64 && c&0x40 != 0 {
				v |= -1 << shift
			}
			return v, i + 1, nil
		}
	}
	return 0, 0, ErrTruncated
}

// Canonical decodes all of b as one unsigned number in its shortest form.
func Canonical(b []byte) (uint64, error) {
	v, n, err := Uint64(b)
	switch {
	case err != nil:
		return 0, err
	case n != len(b):
		return 0, ErrTrailing
	case n > 1 && b[n-1] == 0:
		return 0, ErrPadded
	}
	return v, nil
}
