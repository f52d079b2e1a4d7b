package candid

import (
	"encoding/binary"
	"math"
	"slices"
	"strconv"
	"unicode/utf8"

	"portico/lightclient/leb128"
	"portico/lightclient/principal"
)

// Encode encodes values of types as a message. It fails with a *TypeError if a
// value is not of its type, or if a type cannot be sent.
func Encode(types []Type, values []Value) ([]byte, error) {
	if len(types) != len(values) {
		return nil, &TypeError{strconv.Itoa(len(values)) + " values for " + strconv.Itoa(len(types)) + " types"}
	}
	b, err := AppendHeader(nil, types...)
	if err != nil {
		return nil, err
	}
	for i, t := range types {
		if b, err = AppendValue(b, t, values[i]); err != nil {
			return nil, err
		}
	}
	return b, nil
}

// AppendHeader appends what comes before the values in a message of the given
// types: the magic number, the type table and the types.
func AppendHeader(b []byte, types ...Type) ([]byte, error) {
	w := tableWriter{index: map[Type]int{}, same: map[string]int{}}
	var args []byte
	for _, t := range types {
		args = w.appendRef(args, t)
	}
	if w.err != nil {
		return nil, w.err
	}
	b = append(b, "DIDL"...)
	b = leb128.AppendUint(b, uint64(len(w.entries)))
	for _, e := range w.entries {
		b = append(b, e...)
	}
	b = leb128.AppendUint(b, uint64(len(types)))
	return append(b, args...), nil
}

// AppendValue appends the binary form of v, a value of type t, without a type.
func AppendValue(b []byte, t Type, v Value) ([]byte, error) {
	e := encoder{b}
	if err := e.value(Resolve(t), v); err != nil {
		return nil, err
	}
	return e.b, nil
}

// tableWriter builds a type table in which no two entries are equal.
type tableWriter struct {
	entries [][]byte
	index   map[Type]int
	same    map[string]int // by the bytes of the entry
	err     error
}

func (w *tableWriter) appendRef(b []byte, t Type) []byte {
	t = Resolve(t)
	if p, ok := t.(Prim); ok && p <= PrincipalType {
		return leb128.AppendInt(b, -int64(p))
	}
	return leb128.AppendInt(b, int64(w.entry(t)))
}

// entry is the index of t in the table.
func (w *tableWriter) entry(t Type) int {
	if i, ok := w.index[t]; ok {
		return i
	}
	i := len(w.entries)
	w.index[t] = i
	w.entries = append(w.entries, nil)
	e := w.appendEntry(nil, t)
	// An entry that names itself, or others that were added for it, is new in
	// any case; so an equal one can be the last of the table only.
	if j, ok := w.same[string(e)]; ok && i == len(w.entries)-1 {
		w.entries = w.entries[:i]
		w.index[t] = j
		return j
	}
	w.entries[i] = e
	w.same[string(e)] = i
	return i
}

func (w *tableWriter) appendEntry(b []byte, t Type) []byte {
	switch t := t.(type) {
	case *OptType:
		return w.appendRef(leb128.AppendInt(b, opOpt), t.Elem)
	case *VecType:
		return w.appendRef(leb128.AppendInt(b, opVec), t.Elem)
	case *RecordType:
		return w.appendFields(leb128.AppendInt(b, opRecord), t.Fields)
	case *VariantType:
		return w.appendFields(leb128.AppendInt(b, opVariant), t.Fields)
	case *FuncType:
		b = leb128.AppendInt(b, opFunc)
		b = w.appendArgs(w.appendArgs(b, t.Args), t.Results)
		return appendAnnotations(b, t.Annotations)
	case *ServiceType:
		b = leb128.AppendInt(b, opService)
		b = leb128.AppendUint(b, uint64(len(t.Methods)))
		for _, m := range t.Methods {
			b = leb128.AppendUint(b, uint64(len(m.Name)))
			b = w.appendRef(append(b, m.Name...), m.Type)
		}
		return b
	case nil:
		w.fail("a type is undefined")
	default:
		w.fail("type " + Short(t) + " cannot be sent")
	}
	return b
}

func (w *tableWriter) appendFields(b []byte, fields []FieldType) []byte {
	b = leb128.AppendUint(b, uint64(len(fields)))
	for i, f := range fields {
		if i > 0 && f.ID <= fields[i-1].ID {
			w.fail("field " + f.label() + " is out of order")
		}
		b = w.appendRef(leb128.AppendUint(b, uint64(f.ID)), f.Type)
	}
	return b
}

func (w *tableWriter) appendArgs(b []byte, args []ArgType) []byte {
	b = leb128.AppendUint(b, uint64(len(args)))
	for _, a := range args {
		b = w.appendRef(b, a.Type)
	}
	return b
}

func (w *tableWriter) fail(reason string) {
	if w.err == nil {
		w.err = &TypeError{reason}
	}
}

func appendAnnotations(b []byte, a Annotations) []byte {
	at := len(b)
	b = append(b, 0)
	for code := range byte(3) {
		if a&(1<<code) != 0 {
			b[at]++
			b = append(b, code+1)
		}
	}
	return b
}

// encoder appends values to b.
type encoder struct{ b []byte }

func (e *encoder) value(t Type, v Value) error {
	switch t := t.(type) {
	case Prim:
		return e.prim(t, v)
	case *OptType:
		if v, ok := v.(Opt); ok {
			return e.opt(t, v)
		}
	case *VecType:
		return e.vec(t, v)
	case *RecordType:
		if v, ok := v.(Record); ok {
			return e.record(t, v)
		}
	case *VariantType:
		if v, ok := v.(Variant); ok {
			return e.variant(t, v)
		}
	case *FuncType:
		if v, ok := v.(Func); ok {
			e.b = append(e.b, 1)
			e.principal(v.Service)
			return e.text(v.Method)
		}
	case *ServiceType:
		if v, ok := v.(Service); ok {
			e.principal(principal.ID(v))
			return nil
		}
	case *FutureType:
	case nil:
		return &TypeError{"a type is undefined"}
	default:
		panic("candid: unknown type " + Short(t))
	}
	return misfit(t, v)
}

func (e *encoder) opt(t *OptType, v Opt) error {
	if v.Value == nil {
		e.b = append(e.b, 0)
		return nil
	}
	e.b = append(e.b, 1)
	return e.value(Resolve(t.Elem), v.Value)
}

func (e *encoder) vec(t *VecType, v Value) error {
	elem := Resolve(t.Elem)
	switch v := v.(type) {
	case Blob:
		if elem != Nat8Type {
			return misfit(t, v)
		}
		e.b = slices.Grow(e.b, len(v)+10)
		e.b = append(leb128.AppendUint(e.b, uint64(len(v))), v...)
		return nil
	case Vec:
		e.b = leb128.AppendUint(e.b, uint64(len(v)))
		for _, v := range v {
			if err := e.value(elem, v); err != nil {
				return err
			}
		}
		return nil
	}
	return misfit(t, v)
}

func (e *encoder) record(t *RecordType, v Record) error {
	if len(v) != len(t.Fields) {
		return &TypeError{"record with " + strconv.Itoa(len(v)) + " fields is not a " + Short(t)}
	}
	for i := range t.Fields {
		f := &t.Fields[i]
		if v[i].ID != f.ID {
			return &TypeError{"field " + strconv.Itoa(i) + " of a record is " + strconv.FormatUint(uint64(v[i].ID), 10) + ", not " + f.label()}
		}
		if err := e.value(Resolve(f.Type), v[i].Value); err != nil {
			return err
		}
	}
	return nil
}

func (e *encoder) variant(t *VariantType, v Variant) error {
	i, ok := slices.BinarySearchFunc(t.Fields, v.ID, func(f FieldType, id uint32) int { return compare(f.ID, id) })
	if !ok {
		return &TypeError{"case " + strconv.FormatUint(uint64(v.ID), 10) + " is none of " + Short(t)}
	}
	e.b = leb128.AppendUint(e.b, uint64(i))
	return e.value(Resolve(t.Fields[i].Type), v.Value)
}

func (e *encoder) principal(id principal.ID) {
	e.b = append(e.b, 1, byte(id.Len()))
	e.b = append(e.b, id.Raw()...)
}

func (e *encoder) text(s string) error {
	if !utf8.ValidString(s) {
		return &TypeError{"text " + strconv.Quote(s) + " is not UTF-8"}
	}
	e.b = append(leb128.AppendUint(e.b, uint64(len(s))), s...)
	return nil
}

func (e *encoder) prim(t Prim, v Value) error {
	switch v := v.(type) {
	case Null:
		if t == NullType {
			return nil
		}
	case Reserved:
		if t == ReservedType {
			return nil
		}
	case Bool:
		if t == BoolType {
			if v {
				e.b = append(e.b, 1)
			} else {
				e.b = append(e.b, 0)
			}
			return nil
		}
	case Nat:
		switch t {
		case NatType:
			e.b = appendNat(e.b, v)
			return nil
		case IntType:
			e.b = appendInt(e.b, v.Int())
			return nil
		}
	case Int:
		if t == IntType {
			e.b = appendInt(e.b, v)
			return nil
		}
	case Text:
		if t == TextType {
			return e.text(string(v))
		}
	case Principal:
		if t == PrincipalType {
			e.principal(principal.ID(v))
			return nil
		}
	default:
		if of, bits := fixedBits(v); of == t && t != 0 {
			var le [8]byte
			binary.LittleEndian.PutUint64(le[:], bits)
			e.b = append(e.b, le[:t.size()]...)
			return nil
		}
	}
	return misfit(t, v)
}

// fixedBits is the type and the bits of a number of fixed size; the type is 0
// for other values.
func fixedBits(v Value) (Prim, uint64) {
	switch v := v.(type) {
	case Nat8:
		return Nat8Type, uint64(v)
	case Nat16:
		return Nat16Type, uint64(v)
	case Nat32:
		return Nat32Type, uint64(v)
	case Nat64:
		return Nat64Type, uint64(v)
	case Int8:
		return Int8Type, uint64(v)
	case Int16:
		return Int16Type, uint64(v)
	case Int32:
		return Int32Type, uint64(v)
	case Int64:
		return Int64Type, uint64(v)
	case Float32:
		return Float32Type, uint64(math.Float32bits(float32(v)))
	case Float64:
		return Float64Type, math.Float64bits(float64(v))
	}
	return 0, 0
}

func misfit(t Type, v Value) error {
	return &TypeError{"value " + describe(v) + " is not of type " + Short(t)}
}
