package instrument

import "bytes"

// Section ids of the binary format.
const (
	secCustom = iota
	secType
	secImport
	secFunction
	secTable
	secMemory
	secGlobal
	secExport
	secStart
	secElement
	secCode
	secData
	secDataCount
	secTag
)

// module is a decoded module; the bodies of functions are still bytes.
type module struct {
	types     []funcType
	imports   []importedFunc
	functions []uint32 // types of the module's own functions
	tables    []table
	memory    *limits
	globals   []global
	exports   []export
	start     *uint32
	elements  []element
	bodies    []body
	data      []data
	dataCount *uint32
	custom    []CustomSection
}

type funcType struct{ params, results []ValueType }

func (t funcType) equal(o funcType) bool {
	return bytes.Equal(raw(t.params), raw(o.params)) && bytes.Equal(raw(t.results), raw(o.results))
}

// raw is the types' codes.
func raw(ts []ValueType) []byte {
	out := make([]byte, len(ts))
	for i, t := range ts {
		out[i] = t.code()
	}
	return out
}

type importedFunc struct {
	name string
	typ  uint32
}

type limits struct {
	is64   bool
	min    uint64
	max    uint64
	hasMax bool
}

type table struct {
	elem ValueType
	limits
}

type global struct {
	typ     ValueType
	mutable bool
	init    constant
	high    uint32 // index of the global with the upper half of a mutable v128 global
}

// Kinds of exports.
const (
	exportFunction = iota
	exportTable
	exportMemory
	exportGlobal
)

type export struct {
	name  string
	kind  byte
	index uint32
}

// Modes of elements and data.
const (
	active = iota
	passive
	declarative
)

type element struct {
	mode   int
	table  uint32
	offset uint64
	elem   ValueType
	items  []constant
}

type body struct {
	offset int // in the module
	code   []byte
}

type data struct {
	mode   int
	offset uint64
	bytes  []byte
}

func (m *module) functionCount() uint64 { return uint64(len(m.imports) + len(m.functions)) }

// typeOfFunction is the type of function f, which must exist.
func (m *module) typeOfFunction(f uint32) funcType {
	if int(f) < len(m.imports) {
		return m.types[m.imports[f].typ]
	}
	return m.types[m.functions[int(f)-len(m.imports)]]
}

var magic = []byte("\x00asm\x01\x00\x00\x00")

// decode reads a module and checks what the engine behind it cannot: whatever is
// rewritten away, and every index that the rewriter itself follows.
func decode(wasm []byte) (*module, error) {
	if !bytes.HasPrefix(wasm, magic) {
		return nil, invalidf("it does not begin with the magic number and version 1 of WebAssembly")
	}
	// order gives the place of each section.
	order := [...]int{
		secType: 1, secImport: 2, secFunction: 3, secTable: 4, secMemory: 5, secTag: 6, secGlobal: 7,
		secExport: 8, secStart: 9, secElement: 10, secDataCount: 11, secCode: 12, secData: 13,
	}
	m := &module{}
	r := &reader{b: wasm, p: len(magic)}
	last := 0
	for r.more() {
		id := r.byte()
		size := uint64(r.u32())
		if int(id) >= len(order) {
			r.failf("section %d is not known", id)
		} else if id != secCustom && r.err == nil {
			if order[id] <= last {
				r.failf("section %d is out of order or occurs twice", id)
			}
			last = order[id]
		}
		s := r.sub(size)
		if r.err != nil {
			return nil, r.err
		}
		m.section(id, s)
		if err := s.finish(sectionName(id)); err != nil {
			return nil, err
		}
	}
	if r.err != nil {
		return nil, r.err
	}
	return m, m.check()
}

func sectionName(id byte) string {
	names := [...]string{
		"a custom section", "the type section", "the import section", "the function section", "the table section",
		"the memory section", "the global section", "the export section", "the start section", "the element section",
		"the code section", "the data section", "the data count section", "the tag section",
	}
	return names[id]
}

func (m *module) section(id byte, r *reader) {
	switch id {
	case secCustom:
		m.readCustom(r)
	case secType:
		m.readTypes(r)
	case secImport:
		m.readImports(r)
	case secFunction:
		for n := r.countTo("functions", maxFunctions); n > 0 && r.err == nil; n-- {
			m.functions = append(m.functions, r.u32())
		}
	case secTable:
		m.readTables(r)
	case secMemory:
		m.readMemory(r)
	case secTag:
		r.failf("exception handling is not supported (tag section)")
	case secGlobal:
		m.readGlobals(r)
	case secExport:
		m.readExports(r)
	case secStart:
		f := r.u32()
		m.start = &f
	case secElement:
		m.readElements(r)
	case secDataCount:
		n := r.u32()
		m.dataCount = &n
	case secCode:
		m.readCode(r)
	case secData:
		m.readData(r)
	}
}

// check follows indexes between sections.
func (m *module) check() error {
	switch {
	case len(m.functions) != len(m.bodies):
		return invalidf("%d functions are declared, %d bodies given", len(m.functions), len(m.bodies))
	case m.dataCount != nil && int64(*m.dataCount) != int64(len(m.data)):
		return invalidf("%d data segments are announced, %d given", *m.dataCount, len(m.data))
	}
	for _, t := range m.functions {
		if int(t) >= len(m.types) {
			return invalidf("a function has type %d of %d", t, len(m.types))
		}
	}
	for _, i := range m.imports {
		if int(i.typ) >= len(m.types) {
			return invalidf("import %q has type %d of %d", i.name, i.typ, len(m.types))
		}
	}
	for i, g := range m.globals {
		if err := m.checkRef("the initial value of global "+decimal(i), g.init); err != nil {
			return err
		}
	}
	if m.start != nil {
		if uint64(*m.start) >= m.functionCount() {
			return invalidf("the start function %d does not exist", *m.start)
		}
		if t := m.typeOfFunction(*m.start); len(t.params)+len(t.results) > 0 {
			return invalidf("the start function has type %s instead of () -> ()", t)
		}
	}
	if err := m.checkElements(); err != nil {
		return err
	}
	return m.checkData()
}

func (m *module) checkRef(what string, c constant) error {
	if c.typ == FuncRef && !c.null && c.lo >= m.functionCount() {
		return invalidf("%s is function %d of %d", what, c.lo, m.functionCount())
	}
	return nil
}

func (m *module) checkElements() error {
	for i, e := range m.elements {
		for _, c := range e.items {
			if err := m.checkRef("an item of element segment "+decimal(i), c); err != nil {
				return err
			}
		}
		if e.mode != active {
			continue
		}
		if int(e.table) >= len(m.tables) {
			return invalidf("element segment %d is for table %d of %d", i, e.table, len(m.tables))
		}
		t := m.tables[e.table]
		if e.elem != t.elem {
			return invalidf("element segment %d of %s is for a table of %s", i, e.elem, t.elem)
		}
		if e.offset > t.min || uint64(len(e.items)) > t.min-e.offset {
			return invalidf("element segment %d: %d items at %d lie outside table %d of size %d", i, len(e.items), e.offset, e.table, t.min)
		}
	}
	return nil
}

func (m *module) checkData() error {
	for i, d := range m.data {
		if d.mode != active {
			continue
		}
		if m.memory == nil {
			return invalidf("data segment %d is for a memory that is not declared", i)
		}
		if size := m.memory.min << 16; d.offset > size || uint64(len(d.bytes)) > size-d.offset {
			return invalidf("data segment %d: %d bytes at %d lie outside the initial memory of %d bytes", i, len(d.bytes), d.offset, size)
		}
	}
	return nil
}
