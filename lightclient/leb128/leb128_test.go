package leb128

import (
	"bytes"
	"errors"
	"math"
	"testing"

	"pgregory.net/rapid"
)

// The interface specification's examples, and the borders of the types.
func TestKnownEncodings(t *testing.T) {
	for v, want := range map[uint64][]byte{
		0: {0}, 127: {0x7f}, 128: {0x80, 1}, 624485: {0xE5, 0x8E, 0x26},
		math.MaxUint64: {0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 1},
	} {
		if got := AppendUint(nil, v); !bytes.Equal(got, want) {
			t.Errorf("%d is encoded as %x, want %x", v, got, want)
		}
	}
	for v, want := range map[int64][]byte{
		0: {0}, 63: {0x3f}, 64: {0xc0, 0}, -1: {0x7f}, -64: {0x40}, -65: {0xbf, 0x7f}, -123456: {0xC0, 0xBB, 0x78},
		math.MaxInt64: {0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0},
		math.MinInt64: {0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x7f},
	} {
		if got := AppendInt(nil, v); !bytes.Equal(got, want) {
			t.Errorf("%d is encoded as %x, want %x", v, got, want)
		}
	}
}

func TestDecodersInvertEncoders(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		rest := rapid.SliceOf(rapid.Byte()).Draw(t, "rest")
		u := rapid.Uint64().Draw(t, "u")
		b := AppendUint(nil, u)
		if v, n, err := Uint64(append(b, rest...)); v != u || n != len(b) || err != nil {
			t.Fatalf("%d became %d in %d bytes, %v", u, v, n, err)
		}
		if v, err := Canonical(b); v != u || err != nil {
			t.Fatalf("%d became %d, %v", u, v, err)
		}
		i := rapid.Int64().Draw(t, "i")
		b = AppendInt(nil, i)
		if v, n, err := Int64(append(b, rest...)); v != i || n != len(b) || err != nil {
			t.Fatalf("%d became %d in %d bytes, %v", i, v, n, err)
		}
	})
}

func TestPaddingIsReadByAllButCanonical(t *testing.T) {
	padded := []byte{0x83, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x00} // 3 in ten bytes
	if v, n, err := Uint64(padded); v != 3 || n != 10 || err != nil {
		t.Errorf("unsigned: %d in %d bytes, %v", v, n, err)
	}
	if v, n, err := Int64(padded); v != 3 || n != 10 || err != nil {
		t.Errorf("signed: %d in %d bytes, %v", v, n, err)
	}
	negative := []byte{0xfe, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x7f}
	if v, n, err := Int64(negative); v != -2 || n != 10 || err != nil {
		t.Errorf("signed: %d in %d bytes, %v", v, n, err)
	}
	for _, b := range [][]byte{padded, {0x80, 0}, {0x81, 0x80, 0}} {
		if _, err := Canonical(b); !errors.Is(err, ErrPadded) {
			t.Errorf("%x: error %v", b, err)
		}
	}
}

func TestDecodersRefuse(t *testing.T) {
	nine := bytes.Repeat([]byte{0x80}, 9)
	long := append(bytes.Clone(nine), 0x80, 0)
	for _, c := range []struct {
		b                           []byte
		unsigned, signed, canonical error
	}{
		{nil, ErrTruncated, ErrTruncated, ErrTruncated},
		{[]byte{0x80}, ErrTruncated, ErrTruncated, ErrTruncated},
		{nine, ErrTruncated, ErrTruncated, ErrTruncated},
		{long, ErrOverflow, ErrOverflow, ErrOverflow},
		{append(bytes.Clone(nine), 2), ErrOverflow, ErrOverflow, ErrOverflow},
		{append(bytes.Clone(nine), 1), nil, ErrOverflow, nil},
		{append(bytes.Clone(nine), 0x7e), ErrOverflow, ErrOverflow, ErrOverflow},
		{append(bytes.Clone(nine), 0x7f), ErrOverflow, nil, ErrOverflow},
		{[]byte{1, 2}, nil, nil, ErrTrailing},
	} {
		if _, _, err := Uint64(c.b); !errors.Is(err, c.unsigned) {
			t.Errorf("%x unsigned: error %v, want %v", c.b, err, c.unsigned)
		}
		if _, _, err := Int64(c.b); !errors.Is(err, c.signed) {
			t.Errorf("%x signed: error %v, want %v", c.b, err, c.signed)
		}
		if _, err := Canonical(c.b); !errors.Is(err, c.canonical) {
			t.Errorf("%x canonical: error %v, want %v", c.b, err, c.canonical)
		}
	}
}

func FuzzDecode(f *testing.F) {
	f.Add([]byte{0xE5, 0x8E, 0x26})
	f.Add([]byte{0xC0, 0xBB, 0x78})
	f.Add(AppendInt(nil, math.MinInt64))
	f.Fuzz(func(t *testing.T, b []byte) {
		if v, n, err := Uint64(b); err == nil {
			if again, _, err := Uint64(AppendUint(nil, v)); again != v || err != nil || n < 1 || n > maxLen {
				t.Fatalf("%d in %d bytes became %d, %v", v, n, again, err)
			}
		}
		if v, n, err := Int64(b); err == nil {
			if again, _, err := Int64(AppendInt(nil, v)); again != v || err != nil || n < 1 || n > maxLen {
				t.Fatalf("%d in %d bytes became %d, %v", v, n, again, err)
			}
		}
		if v, err := Canonical(b); err == nil && !bytes.Equal(AppendUint(nil, v), b) {
			t.Fatalf("%x is not the encoding of %d", b, v)
		}
	})
}
