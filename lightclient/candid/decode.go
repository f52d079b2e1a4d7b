package candid

import (
	"math"
	"strconv"

	"portico/lightclient/principal"
)

// Decoder decodes messages within bounds. The zero value has the default bounds.
type Decoder struct {
	// Work is how many values may be read, skipped or filled in for a message,
	// besides workPerByte for each of its bytes; 0 means 2^17.
	Work int
	// Depth is how deep values and types may nest; 0 means 5,000.
	Depth int
}

const (
	defaultWork  = 1 << 17
	defaultDepth = 5000
	// workPerByte allows records whose fields are mostly absent, empty or null;
	// ordinary messages need about one value per byte at most.
	workPerByte = 16
)

// Decode decodes a message as values of the wanted types, with the default
// bounds. Values that are missing at the end are null if their type allows it;
// values beyond the wanted ones are checked and ignored. Blobs alias b.
func Decode(b []byte, want ...Type) ([]Value, error) { return Decoder{}.Decode(b, want...) }

// DecodeAny decodes a message as whatever it says it holds, with the default bounds.
func DecodeAny(b []byte) ([]Typed, error) { return Decoder{}.DecodeAny(b) }

// Decode is the function Decode within the bounds of dec.
func (dec Decoder) Decode(b []byte, want ...Type) ([]Value, error) {
	d := dec.start(b)
	args, err := d.header()
	if err != nil {
		return nil, err
	}
	values := make([]Value, len(want))
	for i, t := range want {
		if i < len(args) {
			values[i], err = d.value(args[i], t)
		} else {
			values[i], err = d.absent(t)
		}
		if err != nil {
			return nil, within(err, "argument "+strconv.Itoa(i))
		}
	}
	for i := len(want); i < len(args); i++ {
		if err := d.skip(args[i]); err != nil {
			return nil, err
		}
	}
	return values, d.end()
}

// DecodeAny is the function DecodeAny within the bounds of dec.
func (dec Decoder) DecodeAny(b []byte) ([]Typed, error) {
	d := dec.start(b)
	args, err := d.header()
	if err != nil {
		return nil, err
	}
	values := make([]Typed, len(args))
	for i, t := range args {
		v, err := d.value(t, t)
		if err != nil {
			return nil, within(err, "argument "+strconv.Itoa(i))
		}
		values[i] = Typed{t, v}
	}
	return values, d.end()
}

// decoder is the state of decoding one message.
type decoder struct {
	buf   []byte
	pos   int
	table []Type
	parts int // types, fields, arguments and methods in the type table
	work  int // values that may still be read
	depth int // levels that may still be entered
	refs  subtyping
}

func (dec Decoder) start(b []byte) *decoder {
	d := &decoder{buf: b, work: dec.Work, depth: dec.Depth}
	if d.work == 0 {
		d.work = defaultWork
	}
	if d.depth == 0 {
		d.depth = defaultDepth
	}
	d.work += workPerByte * len(b)
	return d
}

func (d *decoder) end() error {
	if d.rest() != 0 {
		return d.malformed(strconv.Itoa(d.rest()) + " bytes are left over after the last value")
	}
	return nil
}

// value reads a value of the wire type w as one of type t. On a mismatch the
// position is anywhere within the value.
func (d *decoder) value(w, t Type) (Value, error) {
	if err := d.charge(1); err != nil {
		return nil, err
	}
	if d.depth--; d.depth < 0 {
		return nil, d.tooDeep()
	}
	v, err := d.anyDepthValue(w, Resolve(t))
	d.depth++
	return v, err
}

func (d *decoder) anyDepthValue(w, t Type) (Value, error) {
	if w == EmptyType {
		return nil, d.malformed("there is no value of type empty")
	}
	switch t := t.(type) {
	case Prim:
		return d.prim(w, t)
	case *OptType:
		return d.opt(w, t)
	case *VecType:
		if w, ok := w.(*VecType); ok {
			return d.vec(w, t)
		}
	case *RecordType:
		if w, ok := w.(*RecordType); ok {
			return d.record(w, t)
		}
	case *VariantType:
		if w, ok := w.(*VariantType); ok {
			return d.variant(w, t)
		}
	case *FuncType, *ServiceType:
		return d.reference(w, t)
	case *FutureType:
		if w == t {
			return Reserved{}, d.skip(w)
		}
	case nil:
		return nil, &TypeError{"a wanted type is undefined"}
	default:
		panic("candid: unknown type " + Short(t))
	}
	return nil, d.mismatch(w, t)
}

func (d *decoder) prim(w Type, t Prim) (Value, error) {
	switch {
	case t == ReservedType:
		return Reserved{}, d.skip(w)
	case t == AnyType:
		v, err := d.value(w, w)
		return Typed{w, v}, err
	case t == AnyFuncType:
		if _, ok := w.(*FuncType); ok {
			return d.funcRef()
		}
	case t == PrincipalType:
		if _, ok := w.(*ServiceType); ok || w == PrincipalType {
			id, err := d.principal()
			return Principal(id), err
		}
	case t == IntType && w == NatType:
		n, err := d.nat()
		return n.Int(), err
	case w == t:
		return d.scalar(t)
	}
	return nil, d.mismatch(w, t)
}

// scalar reads a value of a primitive type other than reserved, empty and principal.
func (d *decoder) scalar(t Prim) (Value, error) {
	switch t {
	case NullType:
		return Null{}, nil
	case BoolType:
		v, err := d.bool()
		return Bool(v), err
	case NatType:
		return d.nat()
	case IntType:
		return d.int()
	case TextType:
		b, err := d.text()
		return Text(b), err
	}
	v, err := d.fixed(t.size())
	if err != nil {
		return nil, err
	}
	return fixedOf(t, v), nil
}

// fixedOf is the number of a type of fixed size with the given bits.
func fixedOf(t Prim, bits uint64) Value {
	switch t {
	case Nat8Type:
		return Nat8(bits)
	case Nat16Type:
		return Nat16(bits)
	case Nat32Type:
		return Nat32(bits)
	case Nat64Type:
		return Nat64(bits)
	case Int8Type:
		return Int8(bits)
	case Int16Type:
		return Int16(bits)
	case Int32Type:
		return Int32(bits)
	case Int64Type:
		return Int64(bits)
	case Float32Type:
		return Float32(math.Float32frombits(uint32(bits)))
	case Float64Type:
		return Float64(math.Float64frombits(bits))
	}
	panic("candid: " + t.String() + " has no fixed size")
}

// size is the length in bytes of values of types of fixed size, 0 for others.
func (t Prim) size() int {
	switch t {
	case Nat8Type, Int8Type:
		return 1
	case Nat16Type, Int16Type:
		return 2
	case Nat32Type, Int32Type, Float32Type:
		return 4
	case Nat64Type, Int64Type, Float64Type:
		return 8
	}
	return 0
}

func (d *decoder) opt(w Type, t *OptType) (Value, error) {
	switch w := w.(type) {
	case Prim:
		if w == NullType || w == ReservedType {
			return Opt{}, nil
		}
	case *FutureType:
		return Opt{}, d.skip(w)
	case *OptType:
		some, err := d.bool()
		if err != nil || !some {
			return Opt{}, err
		}
		return d.some(w.Elem, t.Elem)
	}
	return d.some(w, t.Elem)
}

// some reads a value that is optional for the reader: what does not fit is null.
func (d *decoder) some(w, t Type) (Value, error) {
	start := d.pos
	v, err := d.value(w, t)
	if _, ok := err.(*MismatchError); ok {
		d.pos = start
		return Opt{}, d.skip(w)
	}
	return Opt{v}, err
}

func (d *decoder) vec(w, t *VecType) (Value, error) {
	n, err := d.length(w.Elem)
	if err != nil {
		return nil, err
	}
	if isNat8(t.Elem) && (n == 0 || w.Elem == Nat8Type) {
		b, err := d.bytes(uint64(n))
		return Blob(b), err
	}
	// Elements of no size cost a reader memory that no byte was sent for;
	// append grows the vector as they are paid for.
	elems := make(Vec, 0, min(n, d.rest()))
	for i := range n {
		v, err := d.value(w.Elem, t.Elem)
		if err != nil {
			return nil, within(err, "["+strconv.Itoa(i)+"]")
		}
		elems = append(elems, v)
	}
	return elems, nil
}

func (d *decoder) record(w *RecordType, t *RecordType) (Value, error) {
	if err := d.charge(len(t.Fields)); err != nil {
		return nil, err
	}
	fields := make(Record, len(t.Fields))
	sent := w.Fields
	for i := range t.Fields {
		f := &t.Fields[i]
		for len(sent) > 0 && sent[0].ID < f.ID {
			if err := d.skip(sent[0].Type); err != nil {
				return nil, err
			}
			sent = sent[1:]
		}
		var v Value
		var err error
		if len(sent) > 0 && sent[0].ID == f.ID {
			v, err = d.value(sent[0].Type, f.Type)
			sent = sent[1:]
		} else {
			v, err = d.absent(f.Type)
		}
		if err != nil {
			return nil, within(err, "."+f.label())
		}
		fields[i] = Field{f.ID, v}
	}
	for i := range sent {
		if err := d.skip(sent[i].Type); err != nil {
			return nil, err
		}
	}
	return fields, nil
}

// absent is the value of type t where none was sent.
func (d *decoder) absent(t Type) (Value, error) {
	switch t := Resolve(t).(type) {
	case Prim:
		switch t {
		case NullType:
			return Null{}, nil
		case ReservedType:
			return Reserved{}, nil
		case AnyType:
			return Typed{ReservedType, Reserved{}}, nil
		}
	case *OptType:
		return Opt{}, nil
	}
	return nil, d.mismatch(nil, t)
}

func (d *decoder) variant(w, t *VariantType) (Value, error) {
	sent, err := d.tag(w)
	if err != nil {
		return nil, err
	}
	known, ok := findField(t.Fields, sent.ID)
	if !ok {
		return nil, &MismatchError{Offset: d.pos, Wire: w, Want: t, Reason: "case " + sent.label() + " is none of " + Short(t)}
	}
	v, err := d.value(sent.Type, known.Type)
	if err != nil {
		return nil, within(err, "."+known.label())
	}
	return Variant{sent.ID, v}, nil
}

// tag reads which case of w follows.
func (d *decoder) tag(w *VariantType) (*FieldType, error) {
	start := d.pos
	i, err := d.leb()
	if err != nil {
		return nil, err
	}
	if i >= uint64(len(w.Fields)) {
		d.pos = start
		return nil, d.malformed("case " + strconv.FormatUint(i, 10) + " of a variant with " + strconv.Itoa(len(w.Fields)))
	}
	return &w.Fields[i], nil
}

// reference reads a function or service. These are the only values whose type
// cannot be told from the value, so that the types are compared.
func (d *decoder) reference(w, t Type) (Value, error) {
	switch w.(type) {
	case *FuncType, *ServiceType:
	default:
		return nil, d.mismatch(w, t)
	}
	ok, err := d.refs.check(w, t, d)
	if err != nil {
		return nil, err
	}
	if !ok {
		return nil, d.mismatch(w, t)
	}
	if _, ok := w.(*FuncType); ok {
		return d.funcRef()
	}
	id, err := d.principal()
	return Service(id), err
}

func (d *decoder) funcRef() (Value, error) {
	if err := d.transparent(); err != nil {
		return nil, err
	}
	service, err := d.principal()
	if err != nil {
		return nil, err
	}
	method, err := d.text()
	return Func{service, string(method)}, err
}

func (d *decoder) principal() (principal.ID, error) {
	if err := d.transparent(); err != nil {
		return principal.ID{}, err
	}
	n, err := d.leb()
	if err != nil {
		return principal.ID{}, err
	}
	start := d.pos
	b, err := d.bytes(n)
	if err != nil {
		return principal.ID{}, err
	}
	id, err := principal.FromBytes(b)
	if err != nil {
		d.pos = start
		return principal.ID{}, d.malformed(err.Error())
	}
	return id, nil
}

// transparent reads the byte that says that a reference is not opaque. Opaque
// ones would refer to a table that messages of the Internet Computer do not have.
func (d *decoder) transparent() error {
	b, err := d.bytes(1)
	if err == nil && b[0] != 1 {
		d.pos--
		return d.malformed("reference with tag " + strconv.Itoa(int(b[0])) + ": only transparent ones, with tag 1, are known")
	}
	return err
}

// length reads the number of elements of a vector and checks that they can be there.
func (d *decoder) length(elem Type) (int, error) {
	start := d.pos
	n, err := d.leb()
	if err != nil {
		return 0, err
	}
	size := uint64(1)
	if p, ok := elem.(Prim); ok && p.size() != 0 {
		size = uint64(p.size())
	} else if n <= uint64(d.work) && mayBeEmpty(elem) {
		return int(n), nil
	}
	if n > uint64(d.rest())/size {
		d.pos = start
		if mayBeEmpty(elem) {
			return 0, d.tooMuch()
		}
		return 0, d.malformed("vector of " + strconv.FormatUint(n, 10) + " elements is longer than the message")
	}
	return int(n), nil
}

// mayBeEmpty reports whether values of the wire type t may take no bytes.
func mayBeEmpty(t Type) bool {
	switch t := t.(type) {
	case Prim:
		return t == NullType || t == ReservedType || t == EmptyType
	case *RecordType:
		return true
	}
	return false
}

// charge pays for n values.
func (d *decoder) charge(n int) error {
	if d.work -= n; d.work < 0 {
		return d.tooMuch()
	}
	return nil
}

func (d *decoder) tooMuch() error {
	return &LimitError{d.pos, "the message holds more values than its " + strconv.Itoa(len(d.buf)) + " bytes may stand for"}
}

func (d *decoder) tooDeep() error { return &LimitError{d.pos, "values or types are nested too deep"} }

func (d *decoder) mismatch(w, t Type) error { return &MismatchError{Offset: d.pos, Wire: w, Want: t} }

// within adds to a mismatch where it happened.
func within(err error, part string) error {
	if m, ok := err.(*MismatchError); ok {
		m.Path = part + m.Path
	}
	return err
}
