package candid

import (
	"math/big"
	"slices"

	"portico/lightclient/principal"
)

// Value is a Candid value: Null, Bool, Nat, Int, Nat8 to Nat64, Int8 to Int64,
// Float32, Float64, Text, Reserved, Principal, Opt, Vec, Blob, Record, Variant,
// Func, Service or Typed. There is no value of type empty.
type Value interface{ candidValue() }

// Values of the primitive types.
type (
	Null      struct{}
	Bool      bool
	Nat8      uint8
	Nat16     uint16
	Nat32     uint32
	Nat64     uint64
	Int8      int8
	Int16     int16
	Int32     int32
	Int64     int64
	Float32   float32
	Float64   float64
	Text      string // valid UTF-8
	Reserved  struct{}
	Principal principal.ID
)

// Nat is a natural number of any size. The zero value is 0.
type Nat struct {
	small uint64
	big   *big.Int // set exactly if the number is more than 64 bits long; never modified
}

// Int is an integer of any size. The zero value is 0.
type Int struct {
	small int64
	big   *big.Int // set exactly if the number does not fit into an int64; never modified
}

// Opt is an optional value: a nil Value is null, anything else "opt Value".
type Opt struct{ Value Value }

// Vec is a vector of anything but nat8.
type Vec []Value

// Blob is a vector of nat8. A decoded Blob aliases the message.
type Blob []byte

// Record holds fields in ascending order of their ids.
type Record []Field

// Field is a field of a record.
type Field struct {
	ID    uint32
	Value Value
}

// Variant is one case of a variant with what it carries; often Null.
type Variant struct {
	ID    uint32
	Value Value
}

// Func is a reference to a method of a service.
type Func struct {
	Service principal.ID
	Method  string
}

// Service is a reference to a service.
type Service principal.ID

// Typed is a value together with its type, as AnyType yields it.
type Typed struct {
	Type  Type
	Value Value
}

func (Null) candidValue()      {}
func (Bool) candidValue()      {}
func (Nat) candidValue()       {}
func (Int) candidValue()       {}
func (Nat8) candidValue()      {}
func (Nat16) candidValue()     {}
func (Nat32) candidValue()     {}
func (Nat64) candidValue()     {}
func (Int8) candidValue()      {}
func (Int16) candidValue()     {}
func (Int32) candidValue()     {}
func (Int64) candidValue()     {}
func (Float32) candidValue()   {}
func (Float64) candidValue()   {}
func (Text) candidValue()      {}
func (Reserved) candidValue()  {}
func (Principal) candidValue() {}
func (Opt) candidValue()       {}
func (Vec) candidValue()       {}
func (Blob) candidValue()      {}
func (Record) candidValue()    {}
func (Variant) candidValue()   {}
func (Func) candidValue()      {}
func (Service) candidValue()   {}
func (Typed) candidValue()     {}

// NatOf is the natural number v.
func NatOf(v uint64) Nat { return Nat{small: v} }

// NatOfBig is the natural number v; ok is false if v is negative.
func NatOfBig(v *big.Int) (n Nat, ok bool) {
	switch {
	case v.Sign() < 0:
		return Nat{}, false
	case v.IsUint64():
		return Nat{small: v.Uint64()}, true
	}
	return Nat{big: new(big.Int).Set(v)}, true
}

// Uint64 is the number if it fits into 64 bits.
func (n Nat) Uint64() (v uint64, ok bool) { return n.small, n.big == nil }

// Big is the number in a big.Int of its own.
func (n Nat) Big() *big.Int {
	if n.big != nil {
		return new(big.Int).Set(n.big)
	}
	return new(big.Int).SetUint64(n.small)
}

// Equal reports whether both are the same number.
func (n Nat) Equal(m Nat) bool {
	return n.small == m.small && (n.big == nil) == (m.big == nil) && (n.big == nil || n.big.Cmp(m.big) == 0)
}

// String is the number in decimal.
func (n Nat) String() string { return n.Big().String() }

// Int is the same number as an integer.
func (n Nat) Int() Int {
	switch {
	case n.big != nil:
		return Int{big: n.big}
	case n.small>>63 == 0:
		return Int{small: int64(n.small)}
	}
	return Int{big: new(big.Int).SetUint64(n.small)}
}

// IntOf is the integer v.
func IntOf(v int64) Int { return Int{small: v} }

// IntOfBig is the integer v.
func IntOfBig(v *big.Int) Int {
	if v.IsInt64() {
		return Int{small: v.Int64()}
	}
	return Int{big: new(big.Int).Set(v)}
}

// Int64 is the number if it fits into 64 bits.
func (n Int) Int64() (v int64, ok bool) { return n.small, n.big == nil }

// Big is the number in a big.Int of its own.
func (n Int) Big() *big.Int {
	if n.big != nil {
		return new(big.Int).Set(n.big)
	}
	return big.NewInt(n.small)
}

// Equal reports whether both are the same number.
func (n Int) Equal(m Int) bool {
	return n.small == m.small && (n.big == nil) == (m.big == nil) && (n.big == nil || n.big.Cmp(m.big) == 0)
}

// String is the number in decimal.
func (n Int) String() string { return n.Big().String() }

// With is the field called name.
func With(name string, v Value) Field { return Field{Hash(name), v} }

// NewRecord is the record of the fields, in any order.
func NewRecord(fields ...Field) Record {
	r := Record(slices.Clone(fields))
	slices.SortFunc(r, func(a, b Field) int { return compare(a.ID, b.ID) })
	return r
}

// NewVariant is the case called name, carrying v.
func NewVariant(name string, v Value) Variant { return Variant{Hash(name), v} }

// Get returns the field called name, or nil if there is none.
func (r Record) Get(name string) Value { return r.At(Hash(name)) }

// At returns the field with the id, or nil if there is none.
func (r Record) At(id uint32) Value {
	for _, f := range r {
		if f.ID == id {
			return f.Value
		}
	}
	return nil
}

// Is reports whether v is the case called name.
func (v Variant) Is(name string) bool { return v.ID == Hash(name) }

// Equal reports whether two values are the same. Two NaNs are, whatever their bits.
func Equal(a, b Value) bool {
	switch a := a.(type) {
	case Nat:
		b, ok := b.(Nat)
		return ok && a.Equal(b)
	case Int:
		b, ok := b.(Int)
		return ok && a.Equal(b)
	case Float32:
		b, ok := b.(Float32)
		return ok && (a == b || a != a && b != b)
	case Float64:
		b, ok := b.(Float64)
		return ok && (a == b || a != a && b != b)
	case Opt:
		b, ok := b.(Opt)
		return ok && (a.Value == nil) == (b.Value == nil) && (a.Value == nil || Equal(a.Value, b.Value))
	case Blob:
		b, ok := b.(Blob)
		return ok && string(a) == string(b)
	case Vec:
		b, ok := b.(Vec)
		return ok && equalAll(a, b)
	case Record:
		b, ok := b.(Record)
		return ok && equalFields(a, b)
	case Variant:
		b, ok := b.(Variant)
		return ok && a.ID == b.ID && Equal(a.Value, b.Value)
	case Typed:
		b, ok := b.(Typed)
		return ok && Equal(a.Value, b.Value)
	default:
		return a == b
	}
}

func equalAll(a, b []Value) bool {
	if len(a) != len(b) {
		return false
	}
	for i := range a {
		if !Equal(a[i], b[i]) {
			return false
		}
	}
	return true
}

func equalFields(a, b Record) bool {
	if len(a) != len(b) {
		return false
	}
	for i := range a {
		if a[i].ID != b[i].ID || !Equal(a[i].Value, b[i].Value) {
			return false
		}
	}
	return true
}
