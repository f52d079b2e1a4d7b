package instrument

import (
	"encoding/binary"
	"math"
	"unicode/utf8"
)

// reader decodes the WebAssembly binary format. The first error sticks: from then on
// every read gives zero and the reader stands at its end, so loops over what is left
// finish.
type reader struct {
	b    []byte
	p    int
	base int // offset of b in the module, for messages
	err  error
}

func (r *reader) failf(format string, args ...any) {
	if r.err == nil {
		r.err = invalidf("at offset %d: "+format, append([]any{r.base + r.p}, args...)...)
		r.p = len(r.b)
	}
}

func (r *reader) more() bool { return r.err == nil && r.p < len(r.b) }

func (r *reader) byte() byte {
	if r.p >= len(r.b) {
		r.failf("unexpected end")
		return 0
	}
	c := r.b[r.p]
	r.p++
	return c
}

// unsigned reads an unsigned LEB128 number of at most so many bits.
func (r *reader) unsigned(bits uint) uint64 {
	if r.p < len(r.b) && r.b[r.p] < 0x80 {
		r.p++
		return uint64(r.b[r.p-1])
	}
	var v uint64
	for shift := uint(0); ; shift += 7 {
		c := r.byte()
		if r.err != nil {
			return 0
		}
		if left := bits - shift; left < 7 && c>>left != 0 {
			r.failf("a number is longer than %d bits", bits)
			return 0
		}
		v |= uint64(c&0x7f) << shift
		if c < 0x80 {
			return v
		}
	}
}

// signed reads a signed LEB128 number of at most so many bits.
func (r *reader) signed(bits uint) int64 {
	var v int64
	for shift := uint(0); ; shift += 7 {
		c := r.byte()
		if r.err != nil {
			return 0
		}
		v |= int64(c&0x7f) << shift
		if left := bits - shift; left <= 7 {
			// The last byte: what is beyond the number must repeat its sign.
			sign := int8(c<<1) >> left
			if c >= 0x80 || sign != 0 && sign != -1 {
				r.failf("a number is longer than %d bits", bits)
				return 0
			}
		}
		if c < 0x80 {
			if shift+7 < 64 {
				v = v << (64 - shift - 7) >> (64 - shift - 7)
			}
			return v
		}
	}
}

func (r *reader) u32() uint32 { return uint32(r.unsigned(32)) }

func (r *reader) bytes(n uint64) []byte {
	if n > uint64(len(r.b)-r.p) {
		r.failf("%d bytes announced, %d left", n, len(r.b)-r.p)
		return nil
	}
	b := r.b[r.p : r.p+int(n)]
	r.p += int(n)
	return b
}

func (r *reader) u32le() uint32 {
	if b := r.bytes(4); b != nil {
		return binary.LittleEndian.Uint32(b)
	}
	return 0
}

func (r *reader) u64le() uint64 {
	if b := r.bytes(8); b != nil {
		return binary.LittleEndian.Uint64(b)
	}
	return 0
}

// count reads the length of a vector whose elements take at least one byte each.
func (r *reader) count(what string) int {
	return r.countTo(what, math.MaxInt32)
}

// countTo reads the length of a vector of at most limit elements.
func (r *reader) countTo(what string, limit int) int {
	n := r.u32()
	switch {
	case r.err != nil:
	case uint64(n) > uint64(limit):
		r.failf("%d %s are more than %d", n, what, limit)
	case uint64(n) > uint64(len(r.b)-r.p):
		r.failf("%d %s announced, %d bytes left", n, what, len(r.b)-r.p)
	default:
		return int(n)
	}
	return 0
}

func (r *reader) name() string {
	b := r.bytes(uint64(r.u32()))
	if !utf8.Valid(b) {
		r.failf("a name is not valid UTF-8: %q", b)
		return ""
	}
	return string(b)
}

// sub returns a reader over the next n bytes.
func (r *reader) sub(n uint64) *reader {
	start := r.p
	b := r.bytes(n)
	return &reader{b: b, base: r.base + start, err: r.err}
}

// finish fails unless everything has been read.
func (r *reader) finish(what string) error {
	if r.err == nil && r.p != len(r.b) {
		r.failf("%d bytes too many in %s", len(r.b)-r.p, what)
	}
	return r.err
}

// writer encodes the WebAssembly binary format.
type writer []byte

func (w *writer) put(b ...byte) { *w = append(*w, b...) }

func (w *writer) unsigned(v uint64) {
	for v >= 0x80 {
		*w = append(*w, byte(v)|0x80)
		v >>= 7
	}
	*w = append(*w, byte(v))
}

func (w *writer) signed(v int64) {
	for v < -0x40 || v >= 0x40 {
		*w = append(*w, byte(v)|0x80)
		v >>= 7
	}
	*w = append(*w, byte(v)&0x7f)
}

func (w *writer) name(s string) {
	w.unsigned(uint64(len(s)))
	*w = append(*w, s...)
}

// section appends a section if it has content.
func (w *writer) section(id byte, content writer) {
	if len(content) == 0 {
		return
	}
	w.put(id)
	w.unsigned(uint64(len(content)))
	w.put(content...)
}

// vector appends a section that is a vector of n elements, if there are any.
func (w *writer) vector(id byte, n int, elements writer) {
	if n == 0 {
		return
	}
	var content writer
	content.unsigned(uint64(n))
	content.put(elements...)
	w.section(id, content)
}
