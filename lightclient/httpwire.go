package lightclient

import (
	"errors"
	"strconv"
	"unicode/utf8"

	"portico/lightclient/leb128"
	"portico/lightclient/principal"
)

// The messages of the HTTP gateway protocol are read without package candid: what
// they need of Candid's binary format is a tenth of it, and a browser loads all of
// the package or nothing. A test compares both on any message.

// Bounds on the work for a message, as package candid has them.
const (
	maxWireParts    = 1 << 16 // types, fields, arguments and methods of the type table
	maxWireDepth    = 5000
	wireWork        = 1 << 17 // values besides wireWorkPerByte for each byte
	wireWorkPerByte = 16
	maxWireDigits   = 1 << 16 // bytes of a number
)

// A wireType is a primitive type, as its opcode, or an entry of the type table.
type wireType int32

// Opcodes of the binary format.
const (
	wireNull, wireBool, wireNat, wireInt = -1, -2, -3, -4
	wireNat8, wireNat16, wireNat64       = -5, -6, -8
	wireInt8, wireInt64                  = -9, -12
	wireFloat32, wireFloat64, wireText   = -13, -14, -15
	wireReserved, wireEmpty              = -16, -17
	wireOpt, wireVec                     = -18, -19
	wireRecord, wireVariant              = -20, -21
	wireFunc, wireService                = -22, -23
	wirePrincipal                        = -24
)

// A wireEntry is an entry of the type table. Below a function or service nothing is
// kept: no reader here wants one of a certain type.
type wireEntry struct {
	op     int64
	elem   wireType
	fields []wireField
}

type wireField struct {
	id uint32
	t  wireType
}

// A wire reads one message. Its position is behind what was read last.
type wire struct {
	b     []byte
	at    int
	table []wireEntry
	args  []wireType
	until int // where the type table ends
	parts int
	work  int
	depth int
}

// readWire reads the head of a message: the type table and the arguments' types.
func readWire(b []byte) (*wire, error) {
	const magic = "DIDL"
	w := &wire{b: b, at: len(magic), work: wireWork + wireWorkPerByte*len(b), depth: maxWireDepth}
	if len(b) < len(magic) || string(b[:len(magic)]) != magic {
		return nil, errors.New("candid: a message starts with " + magic)
	}
	n, err := w.count(2)
	if err != nil {
		return nil, err
	}
	w.table = make([]wireEntry, n)
	var functions []wireType
	for i := range w.table {
		if err := w.entry(&w.table[i], &functions); err != nil {
			return nil, err
		}
	}
	for _, t := range functions {
		if w.op(t) != wireFunc {
			return nil, w.malformed("a method is not a function")
		}
	}
	w.until = w.at
	if w.args, err = w.types(); err != nil {
		return nil, err
	}
	return w, nil
}

func (w *wire) malformed(what string) error {
	return errors.New("candid: byte " + strconv.Itoa(w.at) + ": " + what)
}

// op is the opcode of a type.
func (w *wire) op(t wireType) int64 {
	if t < 0 {
		return int64(t)
	}
	return w.table[t].op
}

func (w *wire) entry(e *wireEntry, functions *[]wireType) (err error) {
	if e.op, err = w.signed(); err != nil {
		return err
	}
	switch e.op {
	case wireOpt, wireVec:
		e.elem, err = w.typeRef()
	case wireRecord, wireVariant:
		e.fields, err = w.fields()
	case wireFunc:
		err = w.function()
	case wireService:
		err = w.service(functions)
	default:
		if e.op >= wirePrincipal {
			return w.malformed("opcode " + strconv.FormatInt(e.op, 10) + " cannot be an entry of the type table")
		}
		var n uint64 // a type of a later version of Candid
		if n, err = w.unsigned(); err == nil {
			_, err = w.take(n)
		}
	}
	return err
}

// typeRef reads a primitive type, or an entry of the table.
func (w *wire) typeRef() (wireType, error) {
	n, err := w.signed()
	switch {
	case err != nil:
		return 0, err
	case n < int64(len(w.table)) && n >= wireEmpty, n == wirePrincipal:
		return wireType(n), nil
	}
	return 0, w.malformed("type " + strconv.FormatInt(n, 10) + " is neither primitive nor in the table")
}

func (w *wire) types() ([]wireType, error) {
	n, err := w.count(1)
	if err != nil {
		return nil, err
	}
	out := make([]wireType, n)
	for i := range out {
		if out[i], err = w.typeRef(); err != nil {
			return nil, err
		}
	}
	return out, nil
}

func (w *wire) fields() ([]wireField, error) {
	n, err := w.count(2)
	if err != nil {
		return nil, err
	}
	fields := make([]wireField, n)
	for i := range fields {
		id, err := w.unsigned()
		if err != nil {
			return nil, err
		}
		if id > 1<<32-1 || i > 0 && uint32(id) <= fields[i-1].id {
			return nil, w.malformed("field id " + strconv.FormatUint(id, 10) + " is out of order or has more than 32 bits")
		}
		fields[i].id = uint32(id)
		if fields[i].t, err = w.typeRef(); err != nil {
			return nil, err
		}
	}
	return fields, nil
}

func (w *wire) function() error {
	for range 2 { // arguments and results
		if _, err := w.types(); err != nil {
			return err
		}
	}
	n, err := w.count(1)
	if err != nil {
		return err
	}
	annotations, err := w.take(uint64(n))
	for _, c := range annotations {
		if c < 1 || c > 3 {
			return w.malformed("unknown function annotation")
		}
	}
	return err
}

func (w *wire) service(functions *[]wireType) error {
	n, err := w.count(2)
	if err != nil {
		return err
	}
	last := ""
	for i := range n {
		name, err := w.text()
		if err != nil {
			return err
		}
		if i > 0 && name <= last {
			return w.malformed("a method is out of order")
		}
		last = name
		t, err := w.typeRef()
		if err != nil {
			return err
		}
		*functions = append(*functions, t)
	}
	return nil
}

// count reads how many things of at least size bytes follow in the type table.
func (w *wire) count(size int) (int, error) {
	n, err := w.unsigned()
	if err != nil {
		return 0, err
	}
	if n > uint64((len(w.b)-w.at)/size) {
		return 0, w.malformed("a list is longer than the message")
	}
	if w.parts += int(n); w.parts > maxWireParts {
		return 0, w.malformed("too many types, fields and arguments are declared")
	}
	return int(n), nil
}

func (w *wire) unsigned() (uint64, error) {
	v, n, err := leb128.Uint64(w.b[w.at:])
	if err != nil {
		return 0, w.malformed(err.Error())
	}
	w.at += n
	return v, nil
}

func (w *wire) signed() (int64, error) {
	v, n, err := leb128.Int64(w.b[w.at:])
	if err != nil {
		return 0, w.malformed(err.Error())
	}
	w.at += n
	return v, nil
}

// take reads n bytes without copying them.
func (w *wire) take(n uint64) ([]byte, error) {
	if n > uint64(len(w.b)-w.at) {
		return nil, w.malformed("the message ends inside a value")
	}
	b := w.b[w.at : w.at+int(n) : w.at+int(n)]
	w.at += int(n)
	return b, nil
}

func (w *wire) byte() (byte, error) {
	b, err := w.take(1)
	if err != nil {
		return 0, err
	}
	return b[0], nil
}

func (w *wire) bool() (bool, error) {
	b, err := w.byte()
	if err == nil && b > 1 {
		err = w.malformed("a byte must be 0 or 1")
	}
	return b == 1, err
}

func (w *wire) text() (string, error) {
	n, err := w.unsigned()
	if err != nil {
		return "", err
	}
	b, err := w.take(n)
	if err != nil {
		return "", err
	}
	if !utf8.Valid(b) {
		return "", w.malformed("text is not UTF-8")
	}
	return string(b), nil
}

// principal reads a transparent reference to a service, or a principal.
func (w *wire) principal() (principal.ID, error) {
	if tag, err := w.byte(); err != nil || tag != 1 {
		return principal.ID{}, w.malformed("a reference is not transparent")
	}
	n, err := w.unsigned()
	if err != nil {
		return principal.ID{}, err
	}
	b, err := w.take(n)
	if err != nil {
		return principal.ID{}, err
	}
	return principal.FromBytes(b)
}

// function reads a transparent reference to a method.
func (w *wire) method() (service principal.ID, method string, err error) {
	if tag, err := w.byte(); err != nil || tag != 1 {
		return principal.ID{}, "", w.malformed("a reference is not transparent")
	}
	if service, err = w.principal(); err != nil {
		return principal.ID{}, "", err
	}
	method, err = w.text()
	return service, method, err
}

// size is the length in bytes of values of numbers of fixed size, 0 of others.
func (t wireType) size() int {
	switch {
	case t <= wireNat8 && t >= wireNat64:
		return 1 << (wireNat8 - t)
	case t <= wireInt8 && t >= wireInt64:
		return 1 << (wireInt8 - t)
	case t == wireFloat32:
		return 4
	case t == wireFloat64:
		return 8
	}
	return 0
}

// length reads the number of elements of a vector and checks that they can be there.
func (w *wire) length(elem wireType) (int, error) {
	n, err := w.unsigned()
	if err != nil {
		return 0, err
	}
	op := w.op(elem)
	mayBeEmpty := op == wireNull || op == wireReserved || op == wireEmpty || op == wireRecord
	if size := uint64(max(elem.size(), 1)); n > uint64(len(w.b)-w.at)/size && (!mayBeEmpty || n > uint64(max(w.work, 0))) {
		return 0, w.malformed("a vector is longer than the message")
	}
	return int(n), nil
}

// enter pays for a value and one more level; leave ends the level.
func (w *wire) enter() error {
	w.work--
	w.depth--
	if w.work < 0 || w.depth < 0 {
		return w.malformed("the message holds too many values, or nests them too deep")
	}
	return nil
}

func (w *wire) leave() { w.depth++ }

// skip checks a value and passes over it.
func (w *wire) skip(t wireType) error {
	if err := w.enter(); err != nil {
		return err
	}
	defer w.leave()
	if n := t.size(); n > 0 {
		_, err := w.take(uint64(n))
		return err
	}
	switch w.op(t) {
	case wireNull, wireReserved:
		return nil
	case wireEmpty:
		return w.malformed("there is no value of type empty")
	case wireBool:
		_, err := w.bool()
		return err
	case wireNat, wireInt:
		return w.skipNumber()
	case wireText:
		_, err := w.text()
		return err
	case wirePrincipal, wireService:
		_, err := w.principal()
		return err
	case wireFunc:
		_, _, err := w.method()
		return err
	case wireOpt:
		some, err := w.bool()
		if err != nil || !some {
			return err
		}
		return w.skip(w.table[t].elem)
	case wireVec:
		return w.skipVec(w.table[t].elem)
	case wireRecord:
		for _, f := range w.table[t].fields {
			if err := w.skip(f.t); err != nil {
				return err
			}
		}
		return nil
	case wireVariant:
		f, err := w.variant(t)
		if err != nil {
			return err
		}
		return w.skip(f.t)
	default:
		return w.skipFuture()
	}
}

func (w *wire) skipNumber() error {
	for range maxWireDigits {
		if c, err := w.byte(); err != nil || c < 0x80 {
			return err
		}
	}
	return w.malformed("a number is too long")
}

func (w *wire) skipVec(elem wireType) error {
	n, err := w.length(elem)
	if err != nil {
		return err
	}
	if size := elem.size(); size > 0 {
		_, err := w.take(uint64(n) * uint64(size))
		return err
	}
	for range n {
		if err := w.skip(elem); err != nil {
			return err
		}
	}
	return nil
}

// skipFuture passes over a value of a type of a later version of Candid.
func (w *wire) skipFuture() error {
	n, err := w.unsigned()
	if err != nil {
		return err
	}
	refs, err := w.unsigned()
	if err == nil && refs != 0 {
		err = w.malformed("messages of the Internet Computer have no opaque references")
	}
	if err != nil {
		return err
	}
	_, err = w.take(n)
	return err
}

// variant reads which case of a variant follows.
func (w *wire) variant(t wireType) (wireField, error) {
	i, err := w.unsigned()
	if err != nil {
		return wireField{}, err
	}
	if fields := w.table[t].fields; i < uint64(len(fields)) {
		return fields[i], nil
	}
	return wireField{}, w.malformed("a variant has no such case")
}

// end passes over arguments that nobody wants and checks that nothing follows.
func (w *wire) end() error {
	for _, t := range w.args[1:] {
		if err := w.skip(t); err != nil {
			return err
		}
	}
	if w.at != len(w.b) {
		return w.malformed("bytes follow the last value")
	}
	return nil
}

// optional reads an optional value: read reports whether the value is of the type
// it wants, and one that is not counts as absent.
func (w *wire) optional(t wireType, read func(t wireType) (fits bool, err error)) error {
	switch op := w.op(t); {
	case op == wireNull || op == wireReserved:
		return nil
	case op < wirePrincipal:
		return w.skip(t)
	case op == wireOpt:
		some, err := w.bool()
		if err != nil || !some {
			return err
		}
		t = w.table[t].elem
	}
	start := w.at
	if fits, err := read(t); fits || err != nil {
		return err
	}
	w.at = start
	return w.skip(t)
}
