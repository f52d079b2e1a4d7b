package marshal

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"math/big"
	"reflect"
	"unicode/utf8"

	"portico/lightclient/candid"
	"portico/lightclient/leb128"
	"portico/lightclient/principal"
)

// fillLeaf fills in the codec of a type that is not made of others; done is
// false if k is not one.
func fillLeaf(c *codec, k codecKey) (done bool, err error) {
	// A pointer has the methods of what it points to, but is its opt.
	if k.typ.Kind() != reflect.Pointer {
		switch zero := reflect.Zero(k.typ).Interface().(type) {
		case Custom:
			c.fillCustom(zero.CandidType(), k.typ)
			return true, nil
		case Typer:
			return true, c.fillReference(zero.CandidType(), k.typ)
		}
	}
	if k.number != 0 && fillNumber(c, k) {
		return true, nil
	}
	switch k.typ {
	case reflect.TypeFor[*big.Int]():
		c.fillBig(candid.NatType)
		return true, nil
	case reflect.TypeFor[principal.ID]():
		c.fillPrincipal()
		return true, nil
	case reflect.TypeFor[Empty]():
		c.typ = candid.EmptyType
		c.append = func([]byte, reflect.Value) ([]byte, error) { return nil, errors.New("empty has no values") }
		return true, nil
	case reflect.TypeFor[candid.Func]():
		// A function without a signature can be received, not sent: AppendHeader refuses its type.
		c.fillValue(candid.AnyFuncType)
		return true, nil
	}
	if t := valueType(k.typ); t != nil {
		c.fillValue(t)
		return true, nil
	}
	return fillKind(c, k.typ.Kind()), nil
}

// valueType is the type of the values of a Go type of package candid that is
// used as it is, or nil.
func valueType(t reflect.Type) candid.Type {
	switch t {
	case reflect.TypeFor[candid.Null]():
		return candid.NullType
	case reflect.TypeFor[candid.Reserved]():
		return candid.ReservedType
	case reflect.TypeFor[candid.Nat]():
		return candid.NatType
	case reflect.TypeFor[candid.Int]():
		return candid.IntType
	case reflect.TypeFor[candid.Principal]():
		return candid.PrincipalType
	case reflect.TypeFor[candid.Service]():
		return &candid.ServiceType{}
	case reflect.TypeFor[candid.Typed]():
		return candid.AnyType
	}
	return nil
}

// fillValue is for Go types that are values already.
func (c *codec) fillValue(t candid.Type) {
	c.typ = t
	c.append = func(b []byte, v reflect.Value) ([]byte, error) {
		return candid.AppendValue(b, t, v.Interface().(candid.Value))
	}
	c.set = func(v reflect.Value, x candid.Value) error {
		v.Set(reflect.ValueOf(x))
		return nil
	}
}

func (c *codec) fillCustom(t candid.Type, typ reflect.Type) {
	c.typ = t
	c.append = func(b []byte, v reflect.Value) ([]byte, error) {
		x, err := v.Interface().(Custom).CandidValue()
		if err != nil {
			return nil, err
		}
		return candid.AppendValue(b, t, x)
	}
	c.set = func(v reflect.Value, x candid.Value) error {
		s, ok := v.Addr().Interface().(Setter)
		if !ok {
			return fmt.Errorf("*%v has no method SetCandid", typ)
		}
		return s.SetCandid(x)
	}
}

// fillReference is for types like "type Callback candid.Func" with a signature.
func (c *codec) fillReference(t candid.Type, typ reflect.Type) error {
	var base reflect.Type
	switch candid.Resolve(t).(type) {
	case *candid.FuncType:
		base = reflect.TypeFor[candid.Func]()
	case *candid.ServiceType:
		base = reflect.TypeFor[candid.Service]()
	}
	if base == nil || !typ.ConvertibleTo(base) {
		return fmt.Errorf("has a CandidType, %s, but neither CandidValue nor the underlying type for it", candid.Short(t))
	}
	c.typ = t
	c.append = func(b []byte, v reflect.Value) ([]byte, error) {
		return candid.AppendValue(b, t, v.Convert(base).Interface().(candid.Value))
	}
	c.set = func(v reflect.Value, x candid.Value) error {
		v.Set(reflect.ValueOf(x).Convert(typ))
		return nil
	}
	return nil
}

func (c *codec) fillPrincipal() {
	c.typ = candid.PrincipalType
	c.append = func(b []byte, v reflect.Value) ([]byte, error) {
		id := v.Interface().(principal.ID)
		return append(append(b, 1, byte(id.Len())), id.Raw()...), nil
	}
	c.set = func(v reflect.Value, x candid.Value) error {
		v.Set(reflect.ValueOf(principal.ID(x.(candid.Principal))))
		return nil
	}
}

// fillNumber is for numbers whose tag says nat or int; false if k is not a number.
func fillNumber(c *codec, k codecKey) bool {
	switch kind := k.typ.Kind(); {
	case k.typ == reflect.TypeFor[*big.Int]():
		c.fillBig(k.number)
	case kind >= reflect.Int && kind <= reflect.Int64, kind >= reflect.Uint && kind <= reflect.Uint64:
		c.fillUnbounded(k.number)
	default:
		return false
	}
	return true
}

// fillBig is for *big.Int as nat or int.
func (c *codec) fillBig(t candid.Prim) {
	c.typ = t
	c.append = func(b []byte, v reflect.Value) ([]byte, error) {
		n := v.Interface().(*big.Int)
		if n == nil {
			return nil, errors.New("*big.Int is nil")
		}
		if t == candid.IntType {
			return candid.AppendValue(b, t, candid.IntOfBig(n))
		}
		nat, ok := candid.NatOfBig(n)
		if !ok {
			return nil, fmt.Errorf("%v is negative, nat is not", n)
		}
		return candid.AppendValue(b, t, nat)
	}
	c.set = func(v reflect.Value, x candid.Value) error {
		switch x := x.(type) {
		case candid.Nat:
			v.Set(reflect.ValueOf(x.Big()))
		case candid.Int:
			v.Set(reflect.ValueOf(x.Big()))
		}
		return nil
	}
}

// fillUnbounded is for Go integers as nat or int.
func (c *codec) fillUnbounded(t candid.Prim) {
	c.typ = t
	c.append = func(b []byte, v reflect.Value) ([]byte, error) {
		switch {
		case t == candid.NatType && v.CanUint():
			return leb128.AppendUint(b, v.Uint()), nil
		case t == candid.NatType:
			if v.Int() < 0 {
				return nil, fmt.Errorf("%d is negative, nat is not", v.Int())
			}
			return leb128.AppendUint(b, uint64(v.Int())), nil
		case v.CanInt():
			return leb128.AppendInt(b, v.Int()), nil
		}
		return candid.AppendValue(b, t, candid.NatOf(v.Uint()))
	}
	c.set = func(v reflect.Value, x candid.Value) error {
		n := bigOf(x)
		switch {
		case v.CanUint() && n.IsUint64() && !v.OverflowUint(n.Uint64()):
			v.SetUint(n.Uint64())
		case v.CanInt() && n.IsInt64() && !v.OverflowInt(n.Int64()):
			v.SetInt(n.Int64())
		default:
			return fmt.Errorf("%v does not fit into a %v", n, v.Type())
		}
		return nil
	}
}

func bigOf(x candid.Value) *big.Int {
	if n, ok := x.(candid.Nat); ok {
		return n.Big()
	}
	return x.(candid.Int).Big()
}

// fillKind is for Go's own types and those defined as them; false if it is another.
func fillKind(c *codec, kind reflect.Kind) bool {
	switch kind {
	case reflect.Bool:
		c.fillBool()
	case reflect.String:
		c.fillText()
	case reflect.Int:
		c.fillUnbounded(candid.IntType)
	case reflect.Uint:
		c.fillUnbounded(candid.NatType)
	case reflect.Uint8:
		c.fillUint(candid.Nat8Type, 1)
	case reflect.Uint16:
		c.fillUint(candid.Nat16Type, 2)
	case reflect.Uint32:
		c.fillUint(candid.Nat32Type, 4)
	case reflect.Uint64:
		c.fillUint(candid.Nat64Type, 8)
	case reflect.Int8:
		c.fillInt(candid.Int8Type, 1)
	case reflect.Int16:
		c.fillInt(candid.Int16Type, 2)
	case reflect.Int32:
		c.fillInt(candid.Int32Type, 4)
	case reflect.Int64:
		c.fillInt(candid.Int64Type, 8)
	case reflect.Float32:
		c.fillFloat32()
	case reflect.Float64:
		c.fillFloat64()
	default:
		return false
	}
	return true
}

func (c *codec) fillBool() {
	c.typ = candid.BoolType
	c.append = func(b []byte, v reflect.Value) ([]byte, error) {
		if v.Bool() {
			return append(b, 1), nil
		}
		return append(b, 0), nil
	}
	c.set = func(v reflect.Value, x candid.Value) error {
		v.SetBool(bool(x.(candid.Bool)))
		return nil
	}
}

func (c *codec) fillText() {
	c.typ = candid.TextType
	c.append = func(b []byte, v reflect.Value) ([]byte, error) {
		s := v.String()
		if !utf8.ValidString(s) {
			return nil, fmt.Errorf("text %.40q is not UTF-8", s)
		}
		return append(leb128.AppendUint(b, uint64(len(s))), s...), nil
	}
	c.set = func(v reflect.Value, x candid.Value) error {
		v.SetString(string(x.(candid.Text)))
		return nil
	}
}

func (c *codec) fillUint(t candid.Prim, size int) {
	c.typ = t
	c.append = func(b []byte, v reflect.Value) ([]byte, error) {
		return appendFixed(b, v.Uint(), size), nil
	}
	c.set = func(v reflect.Value, x candid.Value) error {
		v.SetUint(reflect.ValueOf(x).Uint())
		return nil
	}
}

func (c *codec) fillInt(t candid.Prim, size int) {
	c.typ = t
	c.append = func(b []byte, v reflect.Value) ([]byte, error) {
		return appendFixed(b, uint64(v.Int()), size), nil
	}
	c.set = func(v reflect.Value, x candid.Value) error {
		v.SetInt(reflect.ValueOf(x).Int())
		return nil
	}
}

// appendFixed appends the size lowest bytes of v, little-endian.
func appendFixed(b []byte, v uint64, size int) []byte {
	return binary.LittleEndian.AppendUint64(b, v)[:len(b)+size]
}

func (c *codec) fillFloat32() {
	c.typ = candid.Float32Type
	c.append = func(b []byte, v reflect.Value) ([]byte, error) {
		return binary.LittleEndian.AppendUint32(b, math.Float32bits(float32(v.Float()))), nil
	}
	c.set = func(v reflect.Value, x candid.Value) error {
		v.SetFloat(float64(x.(candid.Float32)))
		return nil
	}
}

func (c *codec) fillFloat64() {
	c.typ = candid.Float64Type
	c.append = func(b []byte, v reflect.Value) ([]byte, error) {
		return binary.LittleEndian.AppendUint64(b, math.Float64bits(v.Float())), nil
	}
	c.set = func(v reflect.Value, x candid.Value) error {
		v.SetFloat(float64(x.(candid.Float64)))
		return nil
	}
}
