// Package marshal maps Go values to Candid messages by reflection, for nodes
// and canisters; a browser uses package candid alone.
//
//	Go                                   Candid
//	bool, string, float32, float64       bool, text, float32, float64
//	uint8 … uint64, int8 … int64         nat8 … nat64, int8 … int64
//	uint, int                            nat, int (of 64 bits; more is an error)
//	*big.Int (never nil), candid.Nat     nat
//	candid.Int                           int
//	principal.ID, candid.Principal       principal
//	[]byte, [N]byte                      blob; a decoded []byte aliases the message
//	[]T, [N]T                            vec T; nil is the empty vector
//	*T                                   opt T; so **T is opt opt T, **big.Int is opt nat
//	struct                               record
//	struct whose fields are all cases    variant
//	candid.Null, candid.Reserved, Empty  null, reserved, empty
//	candid.Service                       service {}
//	candid.Func                          any func, for decoding only
//	candid.Typed                         whatever is there; encoded as an argument only
//	type with CandidType and so on       see Typer and Custom
//
// Fields of structs carry a tag `candid:"name"`, or `candid:"0"` for a number, as
// tuples have them; `candid:"-"` leaves a field out. A field without a tag is
// a mistake, unless it is unexported. After the name may follow:
//
//	nat, int    the innermost number, which is a uint64 or the like, or a *big.Int, is nat or int
//	variant     the field is a case of a variant. A *T is a case that carries a T;
//	            a bool is a case that carries null. Exactly one must be set.
//
// Arguments that are missing at the end of a message decode as nil, where they
// are optional.
package marshal

import (
	"fmt"
	"reflect"

	"portico/lightclient/candid"
)

// Empty is the Go type of Candid's empty, which has no values: it makes sense behind a pointer.
type Empty struct{}

// Typer is a type that says which Candid type it is. It suffices for types whose
// underlying type is that of candid.Func or candid.Service, which need the
// signature. Others are Customs. CandidType is called on zero values; it must not
// ask this package for a type that contains its own.
type Typer interface{ CandidType() candid.Type }

// Custom is a type that makes its own values. A pointer to it must be a Setter if
// it is to be decoded.
type Custom interface {
	Typer
	CandidValue() (candid.Value, error)
}

// Setter is a type, usually a pointer, that is set from a value of the type that
// its CandidType returns.
type Setter interface {
	Typer
	SetCandid(v candid.Value) error
}

// Encode encodes values as the arguments of a message.
func Encode(values ...any) ([]byte, error) {
	codecs := make([]*codec, len(values))
	types := make([]candid.Type, len(values))
	for i, v := range values {
		if v, ok := v.(candid.Typed); ok {
			types[i] = v.Type
			continue
		}
		c, err := codecOf(reflect.TypeOf(v))
		if err != nil {
			return nil, fmt.Errorf("candid: argument %d: %w", i, err)
		}
		codecs[i], types[i] = c, c.typ
	}
	b, err := header(codecs, types)
	if err != nil {
		return nil, err
	}
	for i, v := range values {
		if c := codecs[i]; c != nil {
			b, err = c.append(b, reflect.ValueOf(v))
		} else {
			b, err = candid.AppendValue(b, types[i], v.(candid.Typed).Value)
		}
		if err != nil {
			return nil, fmt.Errorf("candid: argument %d: %w", i, err)
		}
	}
	return b, nil
}

// Decode decodes the arguments of a message into what the pointers point to,
// with the bounds of the zero candid.Decoder. Errors of the message are those of
// package candid; after an error the targets are in an unknown state.
func Decode(b []byte, into ...any) error { return DecodeWithin(candid.Decoder{}, b, into...) }

// DecodeWithin is Decode with other bounds.
func DecodeWithin(bounds candid.Decoder, b []byte, into ...any) error {
	codecs := make([]*codec, len(into))
	types := make([]candid.Type, len(into))
	for i, p := range into {
		t := reflect.TypeOf(p)
		if t == nil || t.Kind() != reflect.Pointer || reflect.ValueOf(p).IsNil() {
			return fmt.Errorf("candid: argument %d: a pointer to decode into is needed, not %T", i, p)
		}
		c, err := codecOf(t.Elem())
		if err != nil {
			return fmt.Errorf("candid: argument %d: %w", i, err)
		}
		codecs[i], types[i] = c, c.typ
	}
	values, err := bounds.Decode(b, types...)
	if err != nil {
		return err
	}
	for i, p := range into {
		if err := codecs[i].set(reflect.ValueOf(p).Elem(), values[i]); err != nil {
			return fmt.Errorf("candid: argument %d: %w", i, err)
		}
	}
	return nil
}

// TypeOf is the Candid type of v.
func TypeOf(v any) (candid.Type, error) {
	c, err := codecOf(reflect.TypeOf(v))
	if err != nil {
		return nil, err
	}
	return c.typ, nil
}

// FuncType is the type of a function that takes and returns values like args and
// results; only the types of these count. It panics if one has no Candid type,
// which is a mistake in the program.
func FuncType(args, results []any, annotations candid.Annotations) *candid.FuncType {
	return &candid.FuncType{Args: typesOf(args), Results: typesOf(results), Annotations: annotations}
}

func typesOf(values []any) []candid.ArgType {
	types := make([]candid.ArgType, len(values))
	for i, v := range values {
		t, err := TypeOf(v)
		if err != nil {
			panic(err)
		}
		types[i].Type = t
	}
	return types
}

// header is the start of a message. Messages with one argument are the most; their header is kept.
func header(codecs []*codec, types []candid.Type) ([]byte, error) {
	if len(codecs) != 1 || codecs[0] == nil {
		return candid.AppendHeader(nil, types...)
	}
	c := codecs[0]
	c.headerOnce.Do(func() { c.header, c.headerErr = candid.AppendHeader(nil, c.typ) })
	return append([]byte(nil), c.header...), c.headerErr
}
