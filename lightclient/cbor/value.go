package cbor

import (
	"errors"
	"strconv"

	"portico/lightclient/reason"
)

// A Value is a decoded item: Nat, NegInt, Bytes, Text, Array, *Map, Simple or Float.
type Value interface{ isValue() }

type (
	// Nat is a natural number of any size. Its zero value is 0.
	Nat struct {
		small uint64
		large string // the number, the highest byte first and not 0, if it has more than 64 bits
	}
	// NegInt is the number -1 - N.
	NegInt struct{ N uint64 }
	// Bytes is a byte string.
	Bytes []byte
	// Text is a text string.
	Text string
	// Array is a list of items.
	Array []Value
	// Map has text keys, the only kind the Internet Computer's messages use, in
	// the order in which they came.
	Map struct {
		Keys   []string
		Values []Value
	}
	// Simple is false (20), true (21), null (22), undefined (23) or another simple value.
	Simple byte
	// Float is a floating-point number's width in bytes and bits; no message uses one.
	Float struct {
		Width int
		Bits  uint64
	}
)

func (Nat) isValue()    {}
func (NegInt) isValue() {}
func (Bytes) isValue()  {}
func (Text) isValue()   {}
func (Array) isValue()  {}
func (*Map) isValue()   {}
func (Simple) isValue() {}
func (Float) isValue()  {}

// Get returns the value under key, or nil.
func (m *Map) Get(key string) Value {
	for i, k := range m.Keys {
		if k == key {
			return m.Values[i]
		}
	}
	return nil
}

// Decode reads all of b as one item, with or without the self-describing tag.
func Decode(b []byte) (Value, error) {
	d := NewDecoder(b)
	v, err := d.Value()
	if err != nil {
		return nil, err
	}
	return v, d.End()
}

// Value reads the next item as a tree. Byte strings alias the input. Of the tags
// it knows natural bignums and the self-describing tag, which it drops, and
// refuses the others, because they change what an item means.
func (d *Decoder) Value() (Value, error) {
	if d.depth == MaxDepth {
		return nil, d.fail(d.off, ErrDepth)
	}
	if d.items == MaxItems {
		return nil, d.fail(d.off, ErrItems)
	}
	d.items++
	d.depth++
	defer func() { d.depth-- }()
	at := d.off
	if at >= len(d.b) {
		return nil, d.fail(at, ErrTruncated)
	}
	switch d.b[at] >> 5 {
	case majorUint:
		return d.Nat()
	case majorNegInt:
		_, v, _, err := d.head()
		return NegInt{v}, err
	case majorBytes:
		b, err := d.Bytes()
		return Bytes(b), err
	case majorText:
		s, err := d.Text()
		return Text(s), err
	case majorArray:
		return d.array()
	case majorMap:
		return d.textMap()
	case majorTag:
		tag, err := d.Tag()
		if err != nil {
			return nil, err
		}
		switch tag {
		case tagBignum:
			d.off = at
			return d.Nat()
		case SelfDescribeTag:
			return d.Value()
		default:
			return nil, d.fail(at, errors.New("tag "+strconv.FormatUint(tag, 10)+" has no meaning here"))
		}
	default:
		return d.simple()
	}
}

func (d *Decoder) array() (Value, error) {
	n, err := d.Array()
	if err != nil {
		return nil, err
	}
	a := Array{}
	for i := 0; d.More(i, n); i++ {
		v, err := d.Value()
		if err != nil {
			return nil, err
		}
		a = append(a, v)
	}
	return a, nil
}

func (d *Decoder) textMap() (Value, error) {
	n, err := d.Map()
	if err != nil {
		return nil, err
	}
	m := &Map{}
	seen := map[string]bool{}
	for i := 0; d.More(i, n); i++ {
		at := d.off
		k, err := d.Text()
		if err != nil {
			return nil, err
		}
		if seen[k] {
			return nil, d.fail(at, errors.New("map key "+reason.Quote(k)+" appears twice"))
		}
		seen[k] = true
		v, err := d.Value()
		if err != nil {
			return nil, err
		}
		m.Set(k, v)
	}
	return m, nil
}

func (d *Decoder) simple() (Value, error) {
	at := d.off
	if d.b[at] == breakByte {
		return nil, d.fail(at, errors.New("end mark outside an indefinite item"))
	}
	_, v, _, err := d.head()
	if err != nil {
		return nil, err
	}
	switch width := d.off - at - 1; {
	case width >= 2:
		return Float{Width: width, Bits: v}, nil
	case width == 1 && v < 32:
		return nil, d.fail(at, errors.New("simple value "+strconv.FormatUint(v, 10)+" in two bytes is not well formed"))
	default:
		return Simple(v), nil
	}
}

// AppendValue appends the encoding of v. Numbers and lengths take their shortest
// form, maps keep their order, and naturals of more than 64 bits become bignums.
func AppendValue(b []byte, v Value) []byte {
	switch v := v.(type) {
	case Nat:
		if v.IsUint64() {
			return AppendUint(b, v.Uint64())
		}
		return AppendBytes(AppendTag(b, tagBignum), v.Bytes())
	case NegInt:
		return appendHead(b, majorNegInt, v.N)
	case Bytes:
		return AppendBytes(b, v)
	case Text:
		return AppendText(b, string(v))
	case Array:
		b = AppendArray(b, len(v))
		for _, item := range v {
			b = AppendValue(b, item)
		}
		return b
	case *Map:
		b = AppendMap(b, len(v.Keys))
		for i, k := range v.Keys {
			b = AppendValue(AppendText(b, k), v.Values[i])
		}
		return b
	case Simple:
		return appendHead(b, majorSimple, uint64(v))
	case Float:
		return appendFloat(b, v)
	default:
		panic("cbor: value of unknown type")
	}
}

func appendFloat(b []byte, f Float) []byte {
	switch f.Width {
	case 2:
		return appendBigEndian(append(b, majorSimple<<5|25), f.Bits, 2)
	case 4:
		return appendBigEndian(append(b, majorSimple<<5|26), f.Bits, 4)
	default:
		return appendBigEndian(append(b, majorSimple<<5|27), f.Bits, 8)
	}
}

// NatOf makes a natural number of 64 bits.
func NatOf(n uint64) Nat { return Nat{small: n} }

// NatOfBytes makes a natural number of its bytes, the highest first.
func NatOfBytes(b []byte) Nat {
	for len(b) > 0 && b[0] == 0 {
		b = b[1:]
	}
	if len(b) > 8 {
		return Nat{large: string(b)}
	}
	var n Nat
	for _, c := range b {
		n.small = n.small<<8 | uint64(c)
	}
	return n
}

// IsUint64 reports whether the number has at most 64 bits.
func (n Nat) IsUint64() bool { return n.large == "" }

// Uint64 is the number if it has at most 64 bits, and otherwise 0.
func (n Nat) Uint64() uint64 { return n.small }

// Bytes are the bytes of the number, the highest first, and none for 0.
func (n Nat) Bytes() []byte {
	if n.large != "" {
		return []byte(n.large)
	}
	b := appendBigEndian(nil, n.small, 8)
	for len(b) > 0 && b[0] == 0 {
		b = b[1:]
	}
	return b
}

// Set appends an entry; the caller sees to it that the key is new.
func (m *Map) Set(key string, v Value) {
	m.Keys, m.Values = append(m.Keys, key), append(m.Values, v)
}
