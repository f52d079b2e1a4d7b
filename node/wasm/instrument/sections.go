package instrument

import (
	"strconv"
	"strings"
)

const (
	// maxTypeValues bounds parameters and results of a function type.
	maxTypeValues = 1000
	// maxPages is one page short of 4 GiB, so that no access past the memory's end
	// can wrap around to its beginning (see lowering.go).
	maxPages = 65535
	// maxTableEntries is how far a table may grow; table.grow beyond gives -1.
	maxTableEntries = 1 << 20

	// Limits of the interface specification, "WebAssembly module requirements".
	maxFunctions = 50_000
	maxGlobals   = 1_000
	// maxCodeBytes bounds the code section.
	maxCodeBytes = 10 << 20

	// Limits of ours, far above what compilers emit: they bound what decoding
	// allocates.
	maxTypes    = 100_000
	maxImports  = 10_000
	maxTables   = 100
	maxExports  = 100_000
	maxItems    = 1 << 20 // of all element segments together
	maxSegments = 1_000_000
)

func decimal(i int) string { return strconv.Itoa(i) }

// String is the type as messages show it.
func (t funcType) String() string {
	list := func(ts []ValueType) string {
		names := make([]string, len(ts))
		for i, t := range ts {
			names[i] = t.String()
		}
		return "(" + strings.Join(names, ", ") + ")"
	}
	return list(t.params) + " -> " + list(t.results)
}

func (m *module) readTypes(r *reader) {
	for n := r.countTo("types", maxTypes); n > 0 && r.err == nil; n-- {
		if form := r.byte(); form != 0x60 {
			r.failf("type form 0x%02x is not supported: only function types (0x60) are", form)
			return
		}
		list := func() []ValueType {
			n := r.count("value types")
			if n > maxTypeValues {
				r.failf("a function type has %d parameters or results, more than %d", n, maxTypeValues)
				return nil
			}
			ts := make([]ValueType, n)
			for i := range ts {
				ts[i] = r.valueType()
			}
			return ts
		}
		m.types = append(m.types, funcType{list(), list()})
	}
}

func (m *module) readImports(r *reader) {
	for n := r.countTo("imports", maxImports); n > 0 && r.err == nil; n-- {
		from, name := r.name(), r.name()
		kind := r.byte()
		switch {
		case r.err != nil:
		case kind != exportFunction:
			kinds := map[byte]string{exportTable: "a table", exportMemory: "a memory", exportGlobal: "a global"}
			what := kinds[kind]
			if what == "" {
				what = "something unknown"
			}
			r.failf("import %q.%q is %s; only functions of \"ic0\" may be imported", from, name, what)
		case from != "ic0":
			r.failf("function %q is imported from %q; functions may be imported from \"ic0\" only", name, from)
		default:
			m.imports = append(m.imports, importedFunc{name, r.u32()})
		}
	}
}

func (r *reader) limits(what string) limits {
	flags := r.byte()
	if flags&^5 != 0 {
		r.failf("limits 0x%02x of %s are not supported (shared or with a page size)", flags, what)
		return limits{}
	}
	l := limits{is64: flags&4 != 0, hasMax: flags&1 != 0}
	bits := uint(32)
	if l.is64 {
		bits = 64
	}
	l.min = r.unsigned(bits)
	if l.hasMax {
		l.max = r.unsigned(bits)
		if l.max < l.min {
			r.failf("the maximum of %s, %d, is less than its minimum, %d", what, l.max, l.min)
		}
	}
	return l
}

func (m *module) readTables(r *reader) {
	for n := r.countTo("tables", maxTables); n > 0 && r.err == nil; n-- {
		t := table{elem: r.refType()}
		t.limits = r.limits("a table")
		if t.min > maxTableEntries {
			r.failf("a table of %d entries is larger than %d", t.min, maxTableEntries)
		}
		if !t.hasMax || t.max > maxTableEntries {
			t.max = maxTableEntries
		}
		m.tables = append(m.tables, t)
	}
}

func (m *module) readMemory(r *reader) {
	n := r.count("memories")
	if n > 1 {
		r.failf("%d memories are declared; at most one is allowed", n)
		return
	}
	if n == 0 {
		return
	}
	l := r.limits("the memory")
	pages := uint64(1) << 16 // what the binary format allows
	if l.is64 {
		pages = 1 << 48
	}
	switch {
	case l.min > pages || l.max > pages:
		r.failf("the memory's limits are beyond %d pages", pages)
	case l.min > maxPages:
		r.failf("the memory begins with %d pages of 64 KiB; at most %d are supported", l.min, maxPages)
	}
	if !l.hasMax || l.max > maxPages {
		l.max = maxPages
	}
	m.memory = &l
}

func (m *module) readGlobals(r *reader) {
	for n := r.countTo("globals", maxGlobals); n > 0 && r.err == nil; n-- {
		g := global{typ: r.valueType()}
		switch r.byte() {
		case 0:
		case 1:
			g.mutable = true
			if g.typ == FuncRef || g.typ == ExternRef {
				r.failf("global %d is a mutable %s; mutable globals must be numbers, since their values outlive a call", len(m.globals), g.typ)
			}
		default:
			r.failf("a global is neither constant nor mutable")
		}
		g.init = r.constExpr(g.typ)
		m.globals = append(m.globals, g)
	}
}

func (m *module) readExports(r *reader) {
	seen := map[string]bool{}
	for n := r.countTo("exports", maxExports); n > 0 && r.err == nil; n-- {
		e := export{name: r.name(), kind: r.byte(), index: r.u32()}
		if seen[e.name] {
			r.failf("%q is exported twice", e.name)
		}
		seen[e.name] = true
		var exist uint64
		switch e.kind {
		case exportFunction:
			exist = m.functionCount()
		case exportTable:
			exist = uint64(len(m.tables))
		case exportMemory:
			if m.memory != nil {
				exist = 1
			}
		case exportGlobal:
			exist = uint64(len(m.globals))
		}
		if uint64(e.index) >= exist {
			r.failf("export %q is of kind %d and number %d, which does not exist", e.name, e.kind, e.index)
		}
		m.exports = append(m.exports, e)
	}
}

func (m *module) readElements(r *reader) {
	total := 0
	for n := r.countTo("element segments", maxSegments); n > 0 && r.err == nil; n-- {
		flags := r.u32()
		if flags > 7 {
			r.failf("element segment with flags %d", flags)
			return
		}
		e := element{elem: FuncRef}
		switch {
		case flags&1 == 0:
			if flags&2 != 0 {
				e.table = r.u32()
			}
			is64 := int(e.table) < len(m.tables) && m.tables[e.table].is64
			e.offset = r.offset(is64)
		case flags&2 == 0:
			e.mode = passive
		default:
			e.mode = declarative
		}
		expressions := flags&4 != 0
		if flags&3 != 0 {
			if expressions {
				e.elem = r.refType()
			} else if kind := r.byte(); kind != 0 {
				r.failf("element kind 0x%02x is not supported", kind)
			}
		}
		items := r.countTo("items", maxItems-total)
		total += items
		e.items = make([]constant, 0, items)
		for ; items > 0 && r.err == nil; items-- {
			c := constant{typ: FuncRef}
			if expressions {
				c = r.constExpr(e.elem)
			} else {
				c.lo = uint64(r.u32())
			}
			e.items = append(e.items, c)
		}
		m.elements = append(m.elements, e)
	}
}

// offset evaluates the offset of an active segment.
func (r *reader) offset(is64 bool) uint64 {
	if is64 {
		return r.constExpr(I64).lo
	}
	return r.constExpr(I32).lo
}

func (m *module) readCode(r *reader) {
	if len(r.b) > maxCodeBytes {
		r.failf("the code section of %d bytes is larger than %d", len(r.b), maxCodeBytes)
	}
	for n := r.countTo("function bodies", maxFunctions); n > 0 && r.err == nil; n-- {
		size := uint64(r.u32())
		offset := r.base + r.p
		m.bodies = append(m.bodies, body{offset, r.bytes(size)})
	}
}

func (m *module) readData(r *reader) {
	for n := r.countTo("data segments", maxSegments); n > 0 && r.err == nil; n-- {
		d := data{}
		flags := r.u32()
		switch {
		case flags == 1:
			d.mode = passive
		case flags == 0, flags == 2:
			if flags == 2 && r.u32() != 0 {
				r.failf("more than one memory is not supported")
			}
			d.offset = r.offset(m.memory != nil && m.memory.is64)
		default:
			r.failf("data segment with flags %d", flags)
		}
		d.bytes = r.bytes(uint64(r.u32()))
		m.data = append(m.data, d)
	}
}

// maxCustomSections and maxCustomBytes bound the sections that canisters publish.
const (
	maxCustomSections = 16
	maxCustomBytes    = 1 << 20
)

func (m *module) readCustom(r *reader) {
	name := r.name()
	content := r.bytes(uint64(len(r.b) - r.p))
	if r.err != nil || !strings.HasPrefix(name, "icp:") {
		return
	}
	c := CustomSection{Content: content}
	var ok bool
	if c.Name, ok = strings.CutPrefix(name, "icp:public "); ok {
		c.Public = true
	} else if c.Name, ok = strings.CutPrefix(name, "icp:private "); !ok {
		r.failf("custom section %q: a name that begins with \"icp:\" must be \"icp:public <name>\" or \"icp:private <name>\"", name)
		return
	}
	size := 0
	m.custom = append(m.custom, c)
	for i, o := range m.custom {
		if i < len(m.custom)-1 && o.Name == c.Name {
			r.failf("custom section %q is given twice, public or private", c.Name)
		}
		size += len(o.Name) + len(o.Content)
	}
	switch {
	case len(m.custom) > maxCustomSections:
		r.failf("%d custom sections \"icp:...\" are more than %d", len(m.custom), maxCustomSections)
	case size > maxCustomBytes:
		r.failf("custom sections \"icp:...\" of %d bytes are larger than %d", size, maxCustomBytes)
	}
}
