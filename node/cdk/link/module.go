package link

import (
	"errors"
	"fmt"
	"slices"

	"portico/lightclient/leb128"
)

// Section ids of a WebAssembly binary.
const (
	secCustom    = 0
	secType      = 1
	secImport    = 2
	secFunction  = 3
	secTable     = 4
	secMemory    = 5
	secGlobal    = 6
	secExport    = 7
	secElement   = 9
	secCode      = 10
	secData      = 11
	secDataCount = 12
)

// Value types and the kinds of imports and exports.
const (
	i32     = 0x7f
	i64     = 0x7e
	funcref = 0x70

	kindFunc   = 0
	kindMemory = 2
)

var (
	magic    = []byte("\x00asm\x01\x00\x00\x00")
	errShort = errors.New("the module ends inside an item")
)

// module is a core WebAssembly module as far as linking needs it: functions by
// index, everything else as the bytes it came in.
type module struct {
	types    []funcType
	imports  []funcImport
	funcs    []uint32 // type of each function of the module's own
	bodies   [][]byte // code of each function of the module's own: locals and expression
	tableMin uint32
	table    bool
	memMin   uint32
	memory   bool
	globals  [][]byte // each its type, mutability and initial expression
	exports  []export
	elements []element
	data     []segment
	customs  []custom
}

type funcType struct{ params, results string }

type funcImport struct {
	module, name string
	typ          uint32
}

type export struct {
	name  string
	kind  byte
	index uint32
}

// element places functions in table 0 from offset on.
type element struct {
	offset uint32
	funcs  []uint32
}

type segment struct {
	offset uint32
	bytes  []byte
}

type custom struct {
	name    string
	content []byte
}

// parse reads a module of the shape Go's linker makes: functions are the only
// imports, one table, one memory without a maximum, active segments with constant
// offsets. It refuses everything else, so that nothing is lost silently.
func parse(b []byte) (*module, error) {
	if len(b) < len(magic) || !slices.Equal(b[:len(magic)], magic) {
		return nil, errors.New("this is not a WebAssembly module of version 1")
	}
	m := &module{}
	r := &reader{b: b, off: len(magic)}
	for r.err == nil && r.off < len(b) {
		id := r.byte()
		at := r.off
		s := &reader{b: r.bytes(r.u32())}
		if r.err != nil {
			break
		}
		m.section(id, s)
		if s.err == nil && s.off != len(s.b) {
			s.err = errors.New("bytes follow its last item")
		}
		if s.err != nil {
			return nil, fmt.Errorf("section %d at offset %d: %w", id, at, s.err)
		}
	}
	if r.err != nil {
		return nil, r.err
	}
	if len(m.funcs) != len(m.bodies) {
		return nil, fmt.Errorf("%d functions are declared and %d have code", len(m.funcs), len(m.bodies))
	}
	return m, m.checkIndices()
}

func (m *module) section(id byte, s *reader) {
	if id == secCustom {
		m.customs = append(m.customs, custom{s.name(), s.rest()})
		return
	}
	if id == secDataCount {
		s.u32()
		return
	}
	read, ok := map[byte]func(*module, *reader){
		secType: (*module).readType, secImport: (*module).readImport, secFunction: (*module).readFunction,
		secTable: (*module).readTable, secMemory: (*module).readMemory, secGlobal: (*module).readGlobal,
		secExport: (*module).readExport, secElement: (*module).readElement, secCode: (*module).readCode, secData: (*module).readData,
	}[id]
	if !ok {
		s.err = errors.New("no section that Go's linker makes")
		return
	}
	for n := s.count(); n > 0 && s.err == nil; n-- {
		read(m, s)
	}
}

func (m *module) readType(s *reader) {
	s.expect(0x60, "a function type")
	m.types = append(m.types, funcType{string(s.bytes(s.u32())), string(s.bytes(s.u32()))})
}

func (m *module) readImport(s *reader) {
	im := funcImport{module: s.name(), name: s.name()}
	s.expect(kindFunc, "the import of a function")
	im.typ = s.u32()
	m.imports = append(m.imports, im)
}

func (m *module) readFunction(s *reader) { m.funcs = append(m.funcs, s.u32()) }

func (m *module) readTable(s *reader) {
	s.expect(funcref, "a table of functions")
	s.expect(0, "a table without maximum")
	if m.table {
		s.fail("a second table")
	}
	m.table, m.tableMin = true, s.u32()
}

func (m *module) readMemory(s *reader) {
	s.expect(0, "a memory without maximum")
	if m.memory {
		s.fail("a second memory")
	}
	m.memory, m.memMin = true, s.u32()
}

func (m *module) readGlobal(s *reader) {
	from := s.off
	s.bytes(2)
	s.constant()
	if s.err == nil {
		m.globals = append(m.globals, s.b[from:s.off])
	}
}

func (m *module) readExport(s *reader) {
	m.exports = append(m.exports, export{s.name(), s.byte(), s.u32()})
}

func (m *module) readElement(s *reader) {
	s.expect(0, "an active segment of table 0")
	e := element{offset: s.offset()}
	for n := s.count(); n > 0 && s.err == nil; n-- {
		e.funcs = append(e.funcs, s.u32())
	}
	m.elements = append(m.elements, e)
}

func (m *module) readCode(s *reader) { m.bodies = append(m.bodies, s.bytes(s.u32())) }

func (m *module) readData(s *reader) {
	s.expect(0, "an active segment of memory 0")
	m.data = append(m.data, segment{s.offset(), s.bytes(s.u32())})
}

// checkIndices makes every later use of a type or function index safe.
func (m *module) checkIndices() error {
	if !m.memory || !m.table {
		return errors.New("the module declares no memory or no table")
	}
	nt, nf := uint32(len(m.types)), uint32(len(m.imports)+len(m.funcs))
	for _, im := range m.imports {
		if im.typ >= nt {
			return fmt.Errorf("import %s.%s has the unknown type %d", im.module, im.name, im.typ)
		}
	}
	for i, t := range m.funcs {
		if t >= nt {
			return fmt.Errorf("function %d has the unknown type %d", i+len(m.imports), t)
		}
	}
	for _, e := range m.exports {
		if e.kind == kindFunc && e.index >= nf {
			return fmt.Errorf("export %q is the unknown function %d", e.name, e.index)
		}
	}
	for _, e := range m.elements {
		for _, f := range e.funcs {
			if f >= nf {
				return fmt.Errorf("the table holds the unknown function %d", f)
			}
		}
	}
	return nil
}

// encode writes the module with its sections in the order the format demands.
func (m *module) encode() []byte {
	out := slices.Clone(magic)
	out = appendSection(out, secType, len(m.types), func(b []byte, i int) []byte {
		return appendString(appendString(append(b, 0x60), m.types[i].params), m.types[i].results)
	})
	out = appendSection(out, secImport, len(m.imports), func(b []byte, i int) []byte {
		im := m.imports[i]
		return appendU32(append(appendString(appendString(b, im.module), im.name), kindFunc), im.typ)
	})
	out = appendSection(out, secFunction, len(m.funcs), func(b []byte, i int) []byte { return appendU32(b, m.funcs[i]) })
	out = appendSection(out, secTable, 1, func(b []byte, _ int) []byte { return appendU32(append(b, funcref, 0), m.tableMin) })
	out = appendSection(out, secMemory, 1, func(b []byte, _ int) []byte { return appendU32(append(b, 0), m.memMin) })
	out = appendSection(out, secGlobal, len(m.globals), func(b []byte, i int) []byte { return append(b, m.globals[i]...) })
	out = appendSection(out, secExport, len(m.exports), func(b []byte, i int) []byte {
		return appendU32(append(appendString(b, m.exports[i].name), m.exports[i].kind), m.exports[i].index)
	})
	out = appendSection(out, secElement, len(m.elements), func(b []byte, i int) []byte {
		b = appendU32(appendOffset(append(b, 0), m.elements[i].offset), uint32(len(m.elements[i].funcs)))
		for _, f := range m.elements[i].funcs {
			b = appendU32(b, f)
		}
		return b
	})
	out = appendSection(out, secCode, len(m.bodies), func(b []byte, i int) []byte { return appendString(b, string(m.bodies[i])) })
	out = appendSection(out, secData, len(m.data), func(b []byte, i int) []byte {
		return appendString(appendOffset(append(b, 0), m.data[i].offset), string(m.data[i].bytes))
	})
	for _, c := range m.customs {
		content := append(appendString(nil, c.name), c.content...)
		out = append(appendU32(append(out, secCustom), uint32(len(content))), content...)
	}
	return out
}

// typeIndex finds or adds a function type.
func (m *module) typeIndex(t funcType) uint32 {
	if i := slices.Index(m.types, t); i >= 0 {
		return uint32(i)
	}
	m.types = append(m.types, t)
	return uint32(len(m.types) - 1)
}

func appendSection(out []byte, id byte, n int, item func(b []byte, i int) []byte) []byte {
	if n == 0 {
		return out
	}
	body := appendU32(nil, uint32(n))
	for i := range n {
		body = item(body, i)
	}
	return append(appendU32(append(out, id), uint32(len(body))), body...)
}

func appendU32(b []byte, v uint32) []byte { return leb128.AppendUint(b, uint64(v)) }

func appendString(b []byte, s string) []byte { return append(appendU32(b, uint32(len(s))), s...) }

func appendOffset(b []byte, v uint32) []byte {
	return append(leb128.AppendInt(append(b, opI32Const), int64(int32(v))), opEnd)
}

// reader takes items from b; after its first error every item is zero.
type reader struct {
	b   []byte
	off int
	err error
}

func (r *reader) fail(format string, args ...any) {
	if r.err == nil {
		r.err = fmt.Errorf("offset %d: %w", r.off, fmt.Errorf(format, args...))
	}
}

func (r *reader) bytes(n uint32) []byte {
	if r.err == nil && uint64(n) > uint64(len(r.b)-r.off) {
		r.fail("%w", errShort)
	}
	if r.err != nil {
		return make([]byte, min(n, 8))
	}
	b := r.b[r.off : r.off+int(n) : r.off+int(n)]
	r.off += int(n)
	return b
}

func (r *reader) byte() byte { return r.bytes(1)[0] }

func (r *reader) expect(c byte, what string) {
	if got := r.byte(); got != c {
		r.fail("expected %s, found 0x%02x", what, got)
	}
}

func (r *reader) u32() uint32 {
	if r.err != nil {
		return 0
	}
	v, n, err := leb128.Uint64(r.b[r.off:])
	if err != nil || v > 1<<32-1 {
		r.fail("not a 32-bit number")
		return 0
	}
	r.off += n
	return uint32(v)
}

func (r *reader) i64() int64 {
	if r.err != nil {
		return 0
	}
	v, n, err := leb128.Int64(r.b[r.off:])
	if err != nil {
		r.fail("%w", err)
		return 0
	}
	r.off += n
	return v
}

// count reads the length of a list whose items take at least one byte each.
func (r *reader) count() uint32 {
	n := r.u32()
	if r.err == nil && int64(n) > int64(len(r.b)-r.off) {
		r.fail("a list of %d items: %w", n, errShort)
		return 0
	}
	return n
}

func (r *reader) name() string { return string(r.bytes(r.u32())) }

func (r *reader) rest() []byte {
	b := r.b[r.off:]
	r.off = len(r.b)
	return b
}

// offset reads a constant expression of type i32.
func (r *reader) offset() uint32 {
	r.expect(opI32Const, "a constant offset")
	v := uint32(r.i64())
	r.expect(opEnd, "the end of a constant offset")
	return v
}

// constant passes over a constant expression without references to other items.
func (r *reader) constant() {
	switch op := r.byte(); op {
	case opI32Const, opI64Const:
		r.i64()
	case opF32Const:
		r.bytes(4)
	case opF64Const:
		r.bytes(8)
	default:
		r.fail("initial value by instruction 0x%02x", op)
	}
	r.expect(opEnd, "the end of an initial value")
}
