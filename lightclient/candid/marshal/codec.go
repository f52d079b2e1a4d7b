package marshal

import (
	"errors"
	"fmt"
	"reflect"
	"strings"
	"sync"

	"portico/lightclient/candid"
)

// codec maps values of one Go type.
type codec struct {
	typ    candid.Type
	append func(b []byte, v reflect.Value) ([]byte, error)
	// set stores a value of typ. v is settable.
	set func(v reflect.Value, x candid.Value) error

	headerOnce sync.Once
	header     []byte // of a message with one argument of this type
	headerErr  error
}

// codecKey is a Go type with what the tag says about the number in it.
type codecKey struct {
	typ    reflect.Type
	number candid.Prim // NatType, IntType or 0
}

// codecs remembers what codecOf found out: it is a pure function of the type,
// and slow. There are as many entries as types in the program.
var codecs sync.Map // of codecKey to *codec

func codecOf(t reflect.Type) (*codec, error) {
	if t == nil {
		return nil, errors.New("nil has no type")
	}
	if c, ok := codecs.Load(codecKey{typ: t}); ok {
		return c.(*codec), nil
	}
	b := builder{made: map[codecKey]*codec{}}
	c, err := b.codec(codecKey{typ: t})
	if err != nil {
		return nil, err
	}
	for k, c := range b.made {
		codecs.LoadOrStore(k, c)
	}
	return c, nil
}

// builder makes codecs of types that refer to each other; they are complete
// once the outermost is.
type builder struct{ made map[codecKey]*codec }

func (b *builder) codec(k codecKey) (*codec, error) {
	if c, ok := codecs.Load(k); ok {
		return c.(*codec), nil
	}
	if c, ok := b.made[k]; ok {
		return c, nil
	}
	c := new(codec)
	b.made[k] = c
	if err := b.fill(c, k); err != nil {
		return nil, fmt.Errorf("%v: %w", k.typ, err)
	}
	return c, nil
}

func (b *builder) fill(c *codec, k codecKey) error {
	if done, err := fillLeaf(c, k); done || err != nil {
		return err
	}
	switch k.typ.Kind() {
	case reflect.Pointer:
		return b.fillOpt(c, k)
	case reflect.Slice:
		return b.fillSlice(c, k)
	case reflect.Array:
		return b.fillArray(c, k)
	case reflect.Struct:
		return b.fillStruct(c, k)
	}
	return errors.New("has no Candid type")
}

func (b *builder) fillOpt(c *codec, k codecKey) error {
	// The type is known before its element is: that may contain it.
	opt, elem := &candid.OptType{}, k.typ.Elem()
	c.typ = opt
	inner, err := b.codec(codecKey{elem, k.number})
	if err != nil {
		return err
	}
	opt.Elem = inner.typ
	c.append = func(b []byte, v reflect.Value) ([]byte, error) {
		if v.IsNil() {
			return append(b, 0), nil
		}
		return inner.append(append(b, 1), v.Elem())
	}
	c.set = func(v reflect.Value, x candid.Value) error {
		opt := x.(candid.Opt)
		if opt.Value == nil {
			v.SetZero()
			return nil
		}
		p := reflect.New(elem)
		v.Set(p)
		return inner.set(p.Elem(), opt.Value)
	}
	return nil
}

// fillStruct sorts out records and variants.
func (b *builder) fillStruct(c *codec, k codecKey) error {
	fields, variant, err := taggedFields(k.typ)
	if err != nil {
		return err
	}
	named := &candid.Named{Name: k.typ.Name()}
	c.typ = named
	if variant {
		return b.fillVariant(c, named, fields)
	}
	return b.fillRecord(c, named, fields)
}

// taggedField is a field of a struct with what its tag says.
type taggedField struct {
	candid.FieldType // without a type
	index            int
	typ              reflect.Type
	number           candid.Prim
	isCase           bool
}

// taggedFields reads the tags of the fields of t; variant says that all are cases.
func taggedFields(t reflect.Type) (fields []taggedField, variant bool, err error) {
	for i := range t.NumField() {
		f := t.Field(i)
		tag, ok := f.Tag.Lookup("candid")
		switch {
		case tag == "-" || !ok && !f.IsExported():
			continue
		case !ok || !f.IsExported():
			return nil, false, fmt.Errorf("field %s needs a tag candid:\"name\", or candid:\"-\", and a capital", f.Name)
		}
		tagged, err := parseTag(tag)
		if err != nil {
			return nil, false, fmt.Errorf("field %s: %w", f.Name, err)
		}
		tagged.index, tagged.typ = i, f.Type
		if len(fields) > 0 && fields[0].isCase != tagged.isCase {
			return nil, false, errors.New("only some fields are cases of a variant")
		}
		fields = append(fields, tagged)
	}
	if len(fields) == 0 && t.NumField() > 0 {
		return nil, false, errors.New("has no field with a tag, and is not an empty record")
	}
	return fields, len(fields) > 0 && fields[0].isCase, nil
}

func parseTag(tag string) (taggedField, error) {
	name, options, _ := strings.Cut(tag, ",")
	f := taggedField{FieldType: fieldNamed(name)}
	for o := range strings.SplitSeq(options, ",") {
		switch o {
		case "nat":
			f.number = candid.NatType
		case "int":
			f.number = candid.IntType
		case "variant":
			f.isCase = true
		case "":
		default:
			return f, fmt.Errorf("tag %q: options are nat, int and variant, not %q", tag, o)
		}
	}
	return f, nil
}

// fieldNamed is the field that a tag names: by a number if it is one.
func fieldNamed(name string) candid.FieldType {
	var id uint64
	for _, c := range []byte(name) {
		if c < '0' || c > '9' || id > 1<<32-1 {
			return candid.F(name, nil)
		}
		id = 10*id + uint64(c-'0')
	}
	if name == "" || id > 1<<32-1 {
		return candid.F(name, nil)
	}
	return candid.FieldType{ID: uint32(id)}
}
