package marshal

import (
	"errors"
	"fmt"
	"reflect"
	"slices"

	"portico/lightclient/candid"
	"portico/lightclient/leb128"
)

func (b *builder) fillSlice(c *codec, k codecKey) error {
	if isByte(k) {
		c.typ = candid.BlobType()
		c.append = func(b []byte, v reflect.Value) ([]byte, error) {
			return appendBlob(b, v.Bytes()), nil
		}
		c.set = func(v reflect.Value, x candid.Value) error {
			v.SetBytes(x.(candid.Blob))
			return nil
		}
		return nil
	}
	vec := &candid.VecType{}
	c.typ = vec
	inner, err := b.codec(codecKey{k.typ.Elem(), k.number})
	if err != nil {
		return err
	}
	vec.Elem = inner.typ
	c.append = func(b []byte, v reflect.Value) ([]byte, error) { return appendVec(b, v, inner) }
	c.set = func(v reflect.Value, x candid.Value) error {
		elems, err := vecOf(x)
		if err != nil {
			return err
		}
		v.Set(reflect.MakeSlice(v.Type(), len(elems), len(elems)))
		return setVec(v, elems, inner)
	}
	return nil
}

func (b *builder) fillArray(c *codec, k codecKey) error {
	n := k.typ.Len()
	if isByte(k) {
		c.typ = candid.BlobType()
		c.append = func(b []byte, v reflect.Value) ([]byte, error) {
			b = leb128.AppendUint(b, uint64(n))
			at := len(b)
			b = append(b, make([]byte, n)...)
			reflect.Copy(reflect.ValueOf(b[at:]), v)
			return b, nil
		}
		c.set = func(v reflect.Value, x candid.Value) error {
			blob := x.(candid.Blob)
			if len(blob) != n {
				return fmt.Errorf("blob of %d bytes, must have %d", len(blob), n)
			}
			reflect.Copy(v, reflect.ValueOf([]byte(blob)))
			return nil
		}
		return nil
	}
	vec := &candid.VecType{}
	c.typ = vec
	inner, err := b.codec(codecKey{k.typ.Elem(), k.number})
	if err != nil {
		return err
	}
	vec.Elem = inner.typ
	c.append = func(b []byte, v reflect.Value) ([]byte, error) { return appendVec(b, v, inner) }
	c.set = func(v reflect.Value, x candid.Value) error {
		elems, err := vecOf(x)
		if err != nil {
			return err
		}
		if len(elems) != n {
			return fmt.Errorf("vec of %d elements, must have %d", len(elems), n)
		}
		return setVec(v, elems, inner)
	}
	return nil
}

// isByte reports whether the elements of a slice or array are plain bytes.
func isByte(k codecKey) bool {
	return k.typ.Elem().Kind() == reflect.Uint8 && k.number == 0 && !k.typ.Elem().Implements(reflect.TypeFor[Typer]())
}

func appendBlob(b, blob []byte) []byte {
	b = slices.Grow(b, len(blob)+10)
	return append(leb128.AppendUint(b, uint64(len(blob))), blob...)
}

func appendVec(b []byte, v reflect.Value, inner *codec) ([]byte, error) {
	b = leb128.AppendUint(b, uint64(v.Len()))
	var err error
	for i := range v.Len() {
		if b, err = inner.append(b, v.Index(i)); err != nil {
			return nil, fmt.Errorf("[%d]: %w", i, err)
		}
	}
	return b, nil
}

// vecOf is the elements of a vector that is not mapped to bytes: a Custom may
// be a nat8, so that a Blob can come too.
func vecOf(x candid.Value) (candid.Vec, error) {
	switch x := x.(type) {
	case candid.Vec:
		return x, nil
	case candid.Blob:
		elems := make(candid.Vec, len(x))
		for i, c := range x {
			elems[i] = candid.Nat8(c)
		}
		return elems, nil
	}
	return nil, fmt.Errorf("%T is not a vector", x)
}

func setVec(v reflect.Value, elems candid.Vec, inner *codec) error {
	for i, x := range elems {
		if err := inner.set(v.Index(i), x); err != nil {
			return fmt.Errorf("[%d]: %w", i, err)
		}
	}
	return nil
}

// fieldCodec is a field of a record, or a case of a variant.
type fieldCodec struct {
	*codec     // nil for a case that carries null
	index  int // in the Go struct
	id     uint32
}

func (b *builder) fillRecord(c *codec, named *candid.Named, tagged []taggedField) error {
	fields, types, err := b.fields(tagged, false)
	if err != nil {
		return err
	}
	named.Type = &candid.RecordType{Fields: types}
	c.append = func(b []byte, v reflect.Value) ([]byte, error) {
		var err error
		for i := range fields {
			f := &fields[i]
			if b, err = f.append(b, v.Field(f.index)); err != nil {
				return nil, fmt.Errorf("%s: %w", v.Type().Field(f.index).Name, err)
			}
		}
		return b, nil
	}
	c.set = func(v reflect.Value, x candid.Value) error {
		for i, sent := range x.(candid.Record) {
			f := &fields[i]
			if err := f.set(v.Field(f.index), sent.Value); err != nil {
				return fmt.Errorf("%s: %w", v.Type().Field(f.index).Name, err)
			}
		}
		return nil
	}
	return nil
}

// fields makes the codecs of fields, sorted by their ids, with their types.
func (b *builder) fields(tagged []taggedField, cases bool) ([]fieldCodec, []candid.FieldType, error) {
	slices.SortFunc(tagged, func(a, b taggedField) int {
		if a.ID < b.ID {
			return -1
		}
		return 1
	})
	fields := make([]fieldCodec, len(tagged))
	types := make([]candid.FieldType, len(tagged))
	for i, t := range tagged {
		if i > 0 && t.ID == tagged[i-1].ID {
			return nil, nil, fmt.Errorf("fields %q and %q have the same id", tagged[i-1].Name, t.Name)
		}
		fields[i] = fieldCodec{index: t.index, id: t.ID}
		types[i] = t.FieldType
		typ := t.typ
		if cases {
			if typ.Kind() == reflect.Bool {
				types[i].Type = candid.NullType
				continue
			}
			if typ.Kind() != reflect.Pointer {
				return nil, nil, fmt.Errorf("case %q is a %v: must be a pointer, or a bool if it carries nothing", t.Name, typ)
			}
			typ = typ.Elem()
		}
		inner, err := b.codec(codecKey{typ, t.number})
		if err != nil {
			return nil, nil, fmt.Errorf("%q: %w", t.Name, err)
		}
		fields[i].codec = inner
		types[i].Type = inner.typ
	}
	return fields, types, nil
}

func (b *builder) fillVariant(c *codec, named *candid.Named, tagged []taggedField) error {
	cases, types, err := b.fields(tagged, true)
	if err != nil {
		return err
	}
	named.Type = &candid.VariantType{Fields: types}
	c.append = func(b []byte, v reflect.Value) ([]byte, error) {
		chosen := -1
		for i := range cases {
			if v.Field(cases[i].index).IsZero() {
				continue
			}
			if chosen >= 0 {
				return nil, errors.New("two cases of a variant are set")
			}
			chosen = i
		}
		if chosen < 0 {
			return nil, errors.New("no case of a variant is set")
		}
		f := &cases[chosen]
		b = leb128.AppendUint(b, uint64(chosen))
		if f.codec == nil {
			return b, nil
		}
		return f.append(b, v.Field(f.index).Elem())
	}
	c.set = func(v reflect.Value, x candid.Value) error {
		sent := x.(candid.Variant)
		i := slices.IndexFunc(cases, func(f fieldCodec) bool { return f.id == sent.ID })
		f := &cases[i]
		v.SetZero()
		if f.codec == nil {
			v.Field(f.index).SetBool(true)
			return nil
		}
		p := reflect.New(f.goType(v))
		v.Field(f.index).Set(p)
		return f.set(p.Elem(), sent.Value)
	}
	return nil
}

// goType is the type of what the case carries.
func (f *fieldCodec) goType(v reflect.Value) reflect.Type { return v.Field(f.index).Type().Elem() }
