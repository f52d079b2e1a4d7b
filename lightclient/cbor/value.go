package cbor

import (
	"errors"
	"math/big"
)

// A Value is a decoded item: Nat, NegInt, Bytes, Text, Array, *Map, Simple or Float.
// Tags other than bignums are dropped.
type Value interface{ isValue() }

type (
	// Nat is a natural number of any size.
	Nat struct{ *big.Int }
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

// Value reads the next item as a tree. Byte strings alias the input.
func (d *Decoder) Value() (Value, error) {
	if d.depth == MaxDepth {
		return nil, d.fail(d.off, ErrDepth)
	}
	d.depth++
	defer func() { d.depth-- }()
	at := d.off
	if at >= len(d.b) {
		return nil, d.fail(at, ErrTruncated)
	}
	switch d.b[at] >> 5 {
	case majorUint:
		n, err := d.Nat()
		return Nat{n}, err
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
		if tag == tagBignum {
			d.off = at
			n, err := d.Nat()
			return Nat{n}, err
		}
		return d.Value()
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
			return nil, d.fail(at, errors.New("map key "+k+" appears twice"))
		}
		seen[k] = true
		v, err := d.Value()
		if err != nil {
			return nil, err
		}
		m.Keys, m.Values = append(m.Keys, k), append(m.Values, v)
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
	default:
		return Simple(v), nil
	}
}
