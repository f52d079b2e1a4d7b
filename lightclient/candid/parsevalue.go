package candid

import (
	"math/big"
	"strconv"
	"strings"
	"unicode/utf8"

	"portico/lightclient/principal"
)

// ParseArgs reads a list of values in parentheses, such as "(42, \"a\")", as
// values of types. It fails with a *SyntaxError, or with a *TypeError if a value is
// not of its type. Fields and trailing values that may be absent may be left out.
func ParseArgs(source string, types ...Type) ([]Value, error) {
	p := typeParser{lexer: *newLexer(source), names: map[string]*Named{}}
	raw := p.values()
	if p.tok.kind != endToken {
		p.unexpected("the end")
	}
	if p.err != nil {
		return nil, p.err
	}
	if len(raw) > len(types) {
		return nil, &TypeError{strconv.Itoa(len(raw)) + " values for " + strconv.Itoa(len(types)) + " types"}
	}
	values := make([]Value, len(types))
	for i, t := range types {
		var err error
		if i < len(raw) {
			values[i], err = fit(raw[i], t)
		} else {
			values[i], err = fitAbsent(t, "value "+strconv.Itoa(i))
		}
		if err != nil {
			return nil, err
		}
	}
	return values, nil
}

// numeral is a number literal, whose type is known from the context only. It is
// never part of a value that leaves this package.
type numeral string

func (numeral) candidValue() {}

// values reads values in parentheses.
func (p *typeParser) values() []Value {
	var values []Value
	p.need("(")
	for p.err == nil && !p.is(")") {
		values = append(values, p.annotated())
		if !p.is(")") {
			p.need(",")
		}
	}
	p.need(")")
	return values
}

// annotated reads a value that may say its type: "value : type".
func (p *typeParser) annotated() Value {
	v := p.value()
	for p.err == nil && p.is(":") {
		at := p.tok.at
		p.advance()
		t := p.typ()
		p.checkNames()
		if p.err != nil {
			break
		}
		typed, err := fit(v, t)
		if err != nil {
			p.failAt(at, strings.TrimPrefix(err.Error(), "candid: "))
		}
		v = typed
	}
	return v
}

func (p *typeParser) value() Value {
	if p.depth++; p.depth > maxNesting {
		p.failAt(p.tok.at, "values are nested too deep")
	}
	defer func() { p.depth-- }()
	switch {
	case p.take("("):
		v := p.annotated()
		p.need(")")
		return v
	case p.tok.kind == numberToken:
		v := numeral(p.tok.text)
		if len(v) > maxDigits {
			p.failAt(p.tok.at, "number has more than "+strconv.Itoa(maxDigits)+" digits")
		}
		p.advance()
		return v
	case p.tok.kind == textToken:
		return Text(p.utf8())
	case p.takeWord("null"):
		return Null{}
	case p.takeWord("true"):
		return Bool(true)
	case p.takeWord("false"):
		return Bool(false)
	case p.takeWord("opt"):
		return Opt{p.value()}
	case p.takeWord("vec"):
		return p.vec()
	case p.takeWord("record"):
		return p.record()
	case p.takeWord("variant"):
		return p.variant()
	case p.takeWord("blob"):
		return p.blob()
	case p.takeWord("principal"):
		return Principal(p.id())
	case p.takeWord("service"):
		return Service(p.id())
	case p.takeWord("func"):
		service := p.id()
		p.need(".")
		return Func{service, p.name()}
	}
	p.unexpected("a value")
	return Null{}
}

// utf8 reads a text.
func (p *typeParser) utf8() string {
	s := p.tok.text
	switch {
	case p.tok.kind != textToken:
		p.unexpected("a text")
	case !utf8.ValidString(s):
		p.failAt(p.tok.at, "a text must be UTF-8")
	}
	p.advance()
	return s
}

func (p *typeParser) blob() Value {
	b := Blob(p.tok.text)
	if p.tok.kind != textToken {
		p.unexpected("a text")
	}
	p.advance()
	return b
}

func (p *typeParser) id() principal.ID {
	at := p.tok.at
	id, err := principal.Parse(p.utf8())
	if err != nil {
		p.failAt(at, err.Error())
	}
	return id
}

func (p *typeParser) vec() Value {
	v := Vec{}
	p.need("{")
	for p.err == nil && !p.is("}") {
		v = append(v, p.annotated())
		if !p.is("}") {
			p.need(";")
		}
	}
	p.need("}")
	return v
}

func (p *typeParser) record() Value {
	var r Record
	at := p.tok.at
	next := uint64(0)
	p.need("{")
	for p.err == nil && !p.is("}") {
		var f Field
		switch {
		case p.followedBy("="):
			f.ID = p.fieldName().ID
			p.need("=")
			f.Value = p.annotated()
		case next > 1<<32-1:
			p.failAt(p.tok.at, "field number "+strconv.FormatUint(next, 10)+" has more than 32 bits")
		default:
			f = Field{uint32(next), p.annotated()}
		}
		next = uint64(f.ID) + 1
		r = append(r, f)
		if !p.is("}") {
			p.need(";")
		}
	}
	p.need("}")
	r = NewRecord(r...)
	for i := 1; i < len(r); i++ {
		if r[i-1].ID == r[i].ID {
			p.failAt(at, "two fields have the id "+strconv.FormatUint(uint64(r[i].ID), 10))
		}
	}
	return r
}

func (p *typeParser) variant() Value {
	p.need("{")
	v := Variant{p.fieldName().ID, Null{}}
	if p.take("=") {
		v.Value = p.annotated()
	}
	p.take(";")
	p.need("}")
	return v
}

// fit gives a value that was read the type it is meant to have.
func fit(v Value, t Type) (Value, error) {
	t = Resolve(t)
	switch t := t.(type) {
	case Prim:
		return fitPrim(v, t)
	case *OptType:
		switch v := v.(type) {
		case Null:
			return Opt{}, nil
		case Opt:
			if v.Value == nil {
				return v, nil
			}
			elem, err := fit(v.Value, t.Elem)
			return Opt{elem}, err
		}
	case *VecType:
		return fitVec(v, t)
	case *RecordType:
		if v, ok := v.(Record); ok {
			return fitRecord(v, t)
		}
	case *VariantType:
		if v, ok := v.(Variant); ok {
			f, ok := findField(t.Fields, v.ID)
			if !ok {
				return nil, misfit(t, v)
			}
			carried, err := fit(v.Value, f.Type)
			return Variant{v.ID, carried}, err
		}
	case *FuncType:
		if v, ok := v.(Func); ok {
			return v, nil
		}
	case *ServiceType:
		if v, ok := v.(Service); ok {
			return v, nil
		}
	case *FutureType, nil:
	default:
		panic("candid: unknown type " + Short(t))
	}
	return nil, misfit(t, v)
}

func fitPrim(v Value, t Prim) (Value, error) {
	switch v := v.(type) {
	case numeral:
		if t != ReservedType {
			return v.fit(t)
		}
	case Nat:
		if t == IntType {
			return v.Int(), nil
		}
	}
	switch e := (&encoder{}); {
	case t == ReservedType:
		return Reserved{}, nil
	case e.prim(t, v) == nil:
		return v, nil
	}
	return nil, misfit(t, v)
}

func fitVec(v Value, t *VecType) (Value, error) {
	switch v := v.(type) {
	case Blob:
		if isNat8(t.Elem) {
			return v, nil
		}
	case Vec:
		elems := make(Vec, len(v))
		var blob Blob
		for i, raw := range v {
			elem, err := fit(raw, t.Elem)
			if err != nil {
				return nil, err
			}
			if b, ok := elem.(Nat8); ok {
				blob = append(blob, byte(b))
			}
			elems[i] = elem
		}
		if isNat8(t.Elem) {
			return blob, nil
		}
		return elems, nil
	}
	return nil, misfit(t, v)
}

func fitRecord(v Record, t *RecordType) (Value, error) {
	fields := make(Record, len(t.Fields))
	for i := range t.Fields {
		f := &t.Fields[i]
		var fitted Value
		var err error
		if raw := v.At(f.ID); raw != nil {
			fitted, err = fit(raw, f.Type)
		} else {
			fitted, err = fitAbsent(f.Type, "field "+f.label())
		}
		if err != nil {
			return nil, err
		}
		fields[i] = Field{f.ID, fitted}
	}
	return fields, nil
}

func fitAbsent(t Type, what string) (Value, error) {
	v, err := new(decoder).absent(t)
	if err != nil {
		return nil, &TypeError{what + " of type " + Short(t) + " is missing"}
	}
	return v, nil
}

// fit is the number as a value of a type of numbers.
func (n numeral) fit(t Prim) (Value, error) {
	text := string(n)
	switch t {
	case Float32Type:
		f, err := strconv.ParseFloat(n.goFloat(), 32)
		if err != nil {
			return nil, &TypeError{text + " does not fit into a float32"}
		}
		return Float32(f), nil
	case Float64Type:
		f, err := strconv.ParseFloat(n.goFloat(), 64)
		if err != nil {
			return nil, &TypeError{text + " does not fit into a float64"}
		}
		return Float64(f), nil
	}
	v, ok := n.integer()
	if !ok {
		return nil, misfit(t, n)
	}
	switch {
	case t == NatType:
		if nat, ok := NatOfBig(v); ok {
			return nat, nil
		}
	case t == IntType:
		return IntOfBig(v), nil
	case t >= Nat8Type && t <= Nat64Type && v.Sign() >= 0 && v.BitLen() <= 8*t.size():
		return fixedOf(t, v.Uint64()), nil
	case t >= Int8Type && t <= Int64Type && v.IsInt64():
		spare := 64 - 8*t.size()
		if i := v.Int64(); i<<spare>>spare == i {
			return fixedOf(t, uint64(i)), nil
		}
	}
	return nil, misfit(t, n)
}

// integer is the number if it is one without a fraction or an exponent.
func (n numeral) integer() (*big.Int, bool) {
	sign, digits := "", string(n)
	if digits[0] == '+' || digits[0] == '-' {
		sign, digits = digits[:1], digits[1:]
	}
	if hex, ok := strings.CutPrefix(digits, "0x"); ok {
		return new(big.Int).SetString(sign+hex, 16)
	}
	return new(big.Int).SetString(sign+digits, 10)
}

// goFloat is the number as strconv reads it: there, hexadecimal numbers need an exponent.
func (n numeral) goFloat() string {
	s := string(n)
	if strings.Contains(s, "0x") && !strings.ContainsAny(s, "pP") {
		s += "p0"
	}
	return s
}
