// Package cbor is a small CBOR codec (RFC 8949) for the Internet Computer's
// requests, certificates and hash trees. It has no reflection: writers append to
// a byte slice, readers pull items from a Decoder, and requests whose unknown
// fields matter are read into a Value tree.
//
// It reads definite and indefinite lengths, the self-describing tag 55799, and
// natural numbers as integers or as tag-2 bignums. Duplicate map keys, bytes after
// the item, lengths beyond the input and more than MaxDepth or MaxItems are errors.
package cbor

import (
	"errors"
	"math"
	"strconv"
	"unicode/utf8"

	"portico/lightclient/reason"
)

// Bounds on what Value builds, whatever the length of the input.
const (
	// MaxDepth bounds the nesting of arrays, maps and tags.
	MaxDepth = 256
	// MaxItems bounds the number of items, of which each takes up to about 200
	// bytes of memory. The largest request has 1000 paths of 127 labels.
	MaxItems = 1 << 18
)

// SelfDescribeTag marks a byte string as CBOR (RFC 8949, 3.4.6).
const SelfDescribeTag = 55799

// Major types (RFC 8949, 3.1).
const (
	majorUint   = 0
	majorNegInt = 1
	majorBytes  = 2
	majorText   = 3
	majorArray  = 4
	majorMap    = 5
	majorTag    = 6
	majorSimple = 7
)

const (
	infoIndefinite = 31
	breakByte      = 0xff
	tagBignum      = 2
)

func appendHead(b []byte, major byte, v uint64) []byte {
	major <<= 5
	switch {
	case v < 24:
		return append(b, major|byte(v))
	case v <= math.MaxUint8:
		return append(b, major|24, byte(v))
	case v <= math.MaxUint16:
		return appendBigEndian(append(b, major|25), v, 2)
	case v <= math.MaxUint32:
		return appendBigEndian(append(b, major|26), v, 4)
	default:
		return appendBigEndian(append(b, major|27), v, 8)
	}
}

// appendBigEndian appends the lowest width bytes of v, the highest of them first.
func appendBigEndian(b []byte, v uint64, width int) []byte {
	for shift := 8 * (width - 1); shift >= 0; shift -= 8 {
		b = append(b, byte(v>>shift))
	}
	return b
}

// AppendUint appends an unsigned integer.
func AppendUint(b []byte, v uint64) []byte { return appendHead(b, majorUint, v) }

// AppendBytes appends a byte string.
func AppendBytes(b, v []byte) []byte { return append(appendHead(b, majorBytes, uint64(len(v))), v...) }

// AppendText appends a text string.
func AppendText(b []byte, v string) []byte {
	return append(appendHead(b, majorText, uint64(len(v))), v...)
}

// AppendArray appends the head of an array; n items must follow.
func AppendArray(b []byte, n int) []byte { return appendHead(b, majorArray, uint64(n)) }

// AppendMap appends the head of a map; n keys, each with its value, must follow.
func AppendMap(b []byte, n int) []byte { return appendHead(b, majorMap, uint64(n)) }

// AppendTag appends a tag; the tagged item must follow.
func AppendTag(b []byte, tag uint64) []byte { return appendHead(b, majorTag, tag) }

// AppendSelfDescribe appends the self-describing tag.
func AppendSelfDescribe(b []byte) []byte { return AppendTag(b, SelfDescribeTag) }

// AppendBool appends true or false.
func AppendBool(b []byte, v bool) []byte {
	if v {
		return append(b, 0xf5)
	}
	return append(b, 0xf4)
}

// Errors that callers match on; every error of the Decoder also gives an offset.
var (
	ErrTruncated = errors.New("input ends inside an item")
	ErrTrailing  = errors.New("bytes follow the item")
	ErrDepth     = errors.New("nesting is too deep")
	ErrItems     = errors.New("there are too many items")
)

// A Decoder pulls items from b, one after the other.
type Decoder struct {
	b     []byte
	off   int
	depth int // of Value
	items int // that Value made
}

// NewDecoder reads from b, which it does not copy: byte strings alias it.
func NewDecoder(b []byte) *Decoder { return &Decoder{b: b} }

// Offset is the position of the next item.
func (d *Decoder) Offset() int { return d.off }

func (d *Decoder) fail(at int, err error) error {
	return reason.Wrap("cbor: offset "+strconv.Itoa(at), err)
}

func (d *Decoder) mismatch(at int, want string) error {
	return d.fail(at, errors.New("expected "+want+", found "+kindName(d.b[at])))
}

func kindName(c byte) string {
	return [...]string{
		"an unsigned integer", "a negative integer", "a byte string", "a text string",
		"an array", "a map", "a tag", "a simple value or float",
	}[c>>5]
}

// head reads the head of an item; indefinite lengths give v = 0 and indef = true.
func (d *Decoder) head() (major byte, v uint64, indef bool, err error) {
	at := d.off
	if at >= len(d.b) {
		return 0, 0, false, d.fail(at, ErrTruncated)
	}
	c := d.b[at]
	major, info := c>>5, c&31
	d.off++
	width := 0
	switch {
	case info < 24:
		return major, uint64(info), false, nil
	case info <= 27:
		width = 1 << (info - 24)
	case info == infoIndefinite && major >= majorBytes && major <= majorMap:
		return major, 0, true, nil
	default:
		d.off = at
		return 0, 0, false, d.fail(at, errors.New("initial byte 0x"+reason.Hex([]byte{c})+" is not well formed"))
	}
	if len(d.b)-d.off < width {
		d.off = at
		return 0, 0, false, d.fail(at, ErrTruncated)
	}
	for _, c := range d.b[d.off : d.off+width] {
		v = v<<8 | uint64(c)
	}
	d.off += width
	return major, v, false, nil
}

// expect reads a head of the given major type and leaves the decoder where it
// was if the next item is of another one.
func (d *Decoder) expect(major byte, want string) (v uint64, indef bool, err error) {
	at := d.off
	got, v, indef, err := d.head()
	if err != nil {
		return 0, false, err
	}
	if got != major {
		d.off = at
		return 0, false, d.mismatch(at, want)
	}
	return v, indef, nil
}

// Uint reads an unsigned integer of at most 64 bits.
func (d *Decoder) Uint() (uint64, error) {
	at := d.off
	if at < len(d.b) && d.b[at]>>5 == majorTag {
		n, err := d.Nat()
		if err != nil {
			return 0, err
		}
		if !n.IsUint64() {
			return 0, d.fail(at, errors.New("number does not fit into 64 bits"))
		}
		return n.Uint64(), nil
	}
	v, _, err := d.expect(majorUint, "an unsigned integer")
	return v, err
}

// Nat reads a natural number, an integer or a tag-2 bignum.
func (d *Decoder) Nat() (Nat, error) {
	at := d.off
	if at < len(d.b) && d.b[at]>>5 == majorTag {
		tag, err := d.Tag()
		if err != nil {
			return Nat{}, err
		}
		if tag != tagBignum {
			return Nat{}, d.fail(at, errors.New("expected a natural number, found tag "+strconv.FormatUint(tag, 10)))
		}
		b, err := d.Bytes()
		return NatOfBytes(b), err
	}
	v, _, err := d.expect(majorUint, "a natural number")
	return NatOf(v), err
}

// Bytes reads a byte string. The result aliases the input if the string has a
// definite length.
func (d *Decoder) Bytes() ([]byte, error) { return d.str(majorBytes, "a byte string") }

// Text reads a text string and checks that it is UTF-8.
func (d *Decoder) Text() (string, error) {
	at := d.off
	b, err := d.str(majorText, "a text string")
	if err != nil {
		return "", err
	}
	if !utf8.Valid(b) {
		return "", d.fail(at, errors.New("text string is not UTF-8"))
	}
	return string(b), nil
}

func (d *Decoder) str(major byte, want string) ([]byte, error) {
	n, indef, err := d.expect(major, want)
	if err != nil {
		return nil, err
	}
	if !indef {
		return d.take(n)
	}
	out := []byte{}
	for {
		if d.Break() {
			return out, nil
		}
		n, indef, err := d.expect(major, want+" chunk")
		if err != nil {
			return nil, err
		}
		if indef {
			return nil, d.fail(d.off, errors.New("indefinite chunk inside an indefinite string"))
		}
		chunk, err := d.take(n)
		if err != nil {
			return nil, err
		}
		out = append(out, chunk...)
	}
}

func (d *Decoder) take(n uint64) ([]byte, error) {
	if n > uint64(len(d.b)-d.off) {
		return nil, d.fail(d.off, ErrTruncated)
	}
	b := d.b[d.off : d.off+int(n) : d.off+int(n)]
	d.off += int(n)
	return b, nil
}

// Indefinite is the length that Array and Map return when the items end with Break.
const Indefinite = -1

// Array reads the head of an array: its length, or Indefinite.
func (d *Decoder) Array() (int, error) { return d.container(majorArray, "an array", 1) }

// Map reads the head of a map: the number of its entries, or Indefinite.
func (d *Decoder) Map() (int, error) { return d.container(majorMap, "a map", 2) }

func (d *Decoder) container(major byte, want string, itemsPerEntry uint64) (int, error) {
	at := d.off
	n, indef, err := d.expect(major, want)
	if err != nil {
		return 0, err
	}
	if indef {
		return Indefinite, nil
	}
	// every item takes at least one byte
	if n > uint64(len(d.b)-d.off)/itemsPerEntry {
		return 0, d.fail(at, ErrTruncated)
	}
	return int(n), nil
}

// More reports whether item i of a container of length n, as Array or Map
// returned it, is still to be read; it consumes the break of an indefinite one.
func (d *Decoder) More(i, n int) bool {
	if n == Indefinite {
		return !d.Break()
	}
	return i < n
}

// Break consumes the end mark of an indefinite container, if it is next.
func (d *Decoder) Break() bool {
	if d.off < len(d.b) && d.b[d.off] == breakByte {
		d.off++
		return true
	}
	return false
}

// Tag reads a tag's number; the tagged item is next.
func (d *Decoder) Tag() (uint64, error) {
	v, _, err := d.expect(majorTag, "a tag")
	return v, err
}

// SkipSelfDescribe consumes the self-describing tag if it is next.
func (d *Decoder) SkipSelfDescribe() {
	at := d.off
	for at < len(d.b) && d.b[at]>>5 == majorTag {
		tag, err := d.Tag()
		if err != nil || tag != SelfDescribeTag {
			d.off = at
			return
		}
		at = d.off
	}
}

// End checks that nothing follows.
func (d *Decoder) End() error {
	if d.off != len(d.b) {
		return d.fail(d.off, ErrTrailing)
	}
	return nil
}

// Skip passes over the next item, whatever it is.
func (d *Decoder) Skip() error {
	_, err := d.Value()
	return err
}
