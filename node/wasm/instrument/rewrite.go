// Package instrument checks a canister's WebAssembly module and rewrites it into one
// that can be run deterministically, metered and with 32-bit memories only.
//
// It promises: a module that breaks a rule of the interface specification ("WebAssembly
// module requirements"), uses a feature that is not listed below or does not decode is
// refused with *Invalid; no input makes it panic. It does not check the types of
// operands: whatever it adds is correctly typed only in correctly typed code, so the
// engine's validation of the result also validates the module.
//
// Features: WebAssembly 2.0 (multiple values, reference types, bulk memory, saturating
// conversions, sign extension, SIMD), tail calls, extended constant expressions,
// 64-bit memory and tables. Not: threads, exceptions, garbage collection, typed
// function references, several memories, relaxed SIMD.
//
// What the rewritten module does beyond the original:
//
//   - Metering. ExportCounter is a global that goes down by the cost of each stretch of
//     code as it is entered. A stretch is code that runs as a whole or not at all, unless
//     a trap ends it, so the sum is exact whenever a call returns. When a function or the
//     body of a loop is entered with less than nothing left, it calls Check.
//   - Stack depth. ExportDepth goes down by a function's stack units while it runs and
//     up again however it is left. Less than nothing left also calls Check.
//   - Results of floating-point arithmetic that are NaN become the one canonical NaN.
//   - memory.fill, memory.copy, memory.init and their counterparts for tables cost an
//     amount by size, charged and checked before they run. memory.grow first asks Grow.
//   - Addresses of 64-bit memories and tables become 32-bit ones; what does not fit traps
//     like any access that is out of bounds.
//   - The start function does not run by itself but is exported as ExportStart. Active
//     data segments are taken out (Info.Data). Mutable globals are exported (ExportGlobal).
//
// # Costs
//
// An instruction costs 1, except: block, loop, else and end 0; floating-point arithmetic 2,
// its division and square root 10; integer division and remainder 10; conversions to
// integers 5, saturating 10; br_table 4; calls 5, through a table 10; table.get, table.set,
// memory.size and table.size 5; memory.grow and table.grow 300; ref.func 100; SIMD 2, its
// loads, stores, constants and lane accesses 1 to 2, shuffles and float arithmetic 4, float
// division and square root 20; bulk operations 20 and 1 for each byte or 8 for each table
// entry, table.grow and table.fill included.
package instrument

// Options say what a module may import.
type Options struct {
	Imports []Import
}

// Import is a function that modules may import from "ic0".
type Import struct {
	Name            string
	Params, Results []ValueType
	Only32          bool // not for modules with a 64-bit memory
}

// Names in the rewritten module. The module's own exports keep their names if they
// begin with "canister_" and get the prefix ExportOther if not, so none can clash.
const (
	// HostModule is where Check and Grow are imported from.
	HostModule = "portico"
	// Check is () -> (): the counter or the depth is below zero.
	Check = "check"
	// Grow is (delta: i32) -> i32: gives delta back, or -1 to make memory.grow fail.
	Grow = "grow"

	// System32 and System64 replace "ic0" by the width of pointers.
	System32 = "ic0"
	System64 = "ic0/64"

	ExportCounter  = "portico:counter"  // mutable i64
	ExportDepth    = "portico:depth"    // mutable i64
	ExportStart    = "portico:start"    // () -> (), if Info.Start
	ExportCallback = "portico:callback" // (fn: i32, env: Ptr) -> (), if Info.HasCallbacks
	ExportOther    = "other:"
	exportGlobal_  = "portico:global:"
)

// ExportGlobal is the name of Info.Globals[i].
func ExportGlobal(i int) string { return exportGlobal_ + decimal(i) }

// Rewrite checks a module and instruments it. The only errors are *Invalid. The
// result shares no memory with wasm except for the contents in Info.
func Rewrite(wasm []byte, o Options) (out []byte, info *Info, err error) {
	m, err := decode(wasm)
	if err != nil {
		return nil, nil, err
	}
	info, err = m.inspect(o)
	if err != nil {
		return nil, nil, err
	}
	rw := &rewriter{module: m, info: info, ops: newTables(), ownTypes: len(m.types)}
	out, err = rw.rewrite()
	if err != nil {
		return nil, nil, err
	}
	return out, info, nil
}

// rewriter writes the new module.
type rewriter struct {
	*module
	info *Info
	ops  *tables

	// Indexes in the new module.
	check, grow    uint32
	counter, depth uint32

	usesSegments bool // memory.init or data.drop occurs
	ownTypes     int
	typeIndexes  map[string]uint32
}

// addedImports is the number of functions imported by the rewriter.
const addedImports = 2

// newIndex maps a function's index.
func (rw *rewriter) newIndex(f uint32) uint32 {
	if int(f) >= len(rw.imports) {
		return f + addedImports
	}
	return f
}

// typeIndex finds or adds a function type.
func (rw *rewriter) typeIndex(t funcType) uint32 {
	if rw.typeIndexes == nil {
		rw.typeIndexes = map[string]uint32{}
		for i, o := range rw.types {
			rw.typeIndexes[o.String()] = uint32(i)
		}
	}
	i, ok := rw.typeIndexes[t.String()]
	if !ok {
		i = uint32(len(rw.types))
		rw.types = append(rw.types, t)
		rw.typeIndexes[t.String()] = i
	}
	return i
}

func (rw *rewriter) rewrite() ([]byte, error) {
	rw.check = uint32(len(rw.imports))
	rw.grow = rw.check + 1
	globals, globalExports := rw.writeGlobals()
	// Code comes first: it decides which types and segments are needed.
	code, err := rw.writeCode()
	if err != nil {
		return nil, err
	}
	imports := rw.writeImports()
	functions, callback := rw.writeFunctions()
	if callback != nil {
		code.put(callback...)
	}
	exports, exported := rw.writeExports(globalExports)
	out := append(writer{}, magic...)
	out.vector(secType, len(rw.types), rw.writeTypes())
	out.vector(secImport, len(rw.imports)+addedImports, imports)
	n := len(rw.functions)
	if callback != nil {
		n++
	}
	out.vector(secFunction, n, functions)
	out.vector(secTable, len(rw.tables), rw.writeTables())
	out.section(secMemory, rw.writeMemory())
	out.vector(secGlobal, rw.globalCount(), globals)
	out.vector(secExport, exported, exports)
	out.vector(secElement, len(rw.elements), rw.writeElements())
	segments := rw.writeData()
	if rw.usesSegments {
		var count writer
		count.unsigned(uint64(len(rw.data)))
		out.section(secDataCount, count)
	}
	out.vector(secCode, n, code)
	if rw.usesSegments {
		out.vector(secData, len(rw.data), segments)
	}
	return out, nil
}

func (rw *rewriter) writeCode() (writer, error) {
	var code writer
	for i, b := range rw.bodies {
		if err := rw.rewriteBody(&code, uint32(i), b); err != nil {
			return nil, err
		}
	}
	return code, nil
}

func (rw *rewriter) writeTypes() (w writer) {
	for _, t := range rw.types {
		w.put(0x60)
		for _, list := range [][]ValueType{t.params, t.results} {
			w.unsigned(uint64(len(list)))
			w.put(raw(list)...)
		}
	}
	return w
}

func (rw *rewriter) writeImports() (w writer) {
	system := System32
	if rw.info.Memory64 {
		system = System64
	}
	add := func(module, name string, typ uint32) {
		w.name(module)
		w.name(name)
		w.put(exportFunction)
		w.unsigned(uint64(typ))
	}
	for _, i := range rw.imports {
		add(system, i.name, i.typ)
	}
	add(HostModule, Check, rw.typeIndex(funcType{}))
	add(HostModule, Grow, rw.typeIndex(funcType{params: []ValueType{I32}, results: []ValueType{I32}}))
	return w
}

// writeFunctions also gives the body of the function that calls a table entry.
func (rw *rewriter) writeFunctions() (w, callback writer) {
	for _, t := range rw.functions {
		w.unsigned(uint64(t))
	}
	if !rw.info.HasCallbacks {
		return w, nil
	}
	env := rw.pointer()
	w.unsigned(uint64(rw.typeIndex(funcType{params: []ValueType{I32, env}})))
	body := writer{0} // no locals
	body.put(byte(opLocalGet), 1, byte(opLocalGet), 0, byte(opCallIndirect))
	body.unsigned(uint64(rw.typeIndex(funcType{params: []ValueType{env}})))
	body.put(0, byte(opEnd))
	callback.unsigned(uint64(len(body)))
	callback.put(body...)
	return w, callback
}

func (rw *rewriter) pointer() ValueType {
	if rw.info.Memory64 {
		return I64
	}
	return I32
}

func (rw *rewriter) writeTables() (w writer) {
	for _, t := range rw.tables {
		w.put(t.elem.code(), 1)
		w.unsigned(t.min)
		w.unsigned(t.max)
	}
	return w
}

func (rw *rewriter) writeMemory() (w writer) {
	if rw.memory == nil {
		return nil
	}
	w.put(1, 1)
	w.unsigned(rw.memory.min)
	w.unsigned(rw.memory.max)
	return w
}

func (rw *rewriter) writeExports(globals writer) (w writer, n int) {
	add := func(name string, kind byte, index uint32) {
		w.name(name)
		w.put(kind)
		w.unsigned(uint64(index))
		n++
	}
	for _, e := range rw.exports {
		if e.kind != exportFunction {
			continue
		}
		name := e.name
		if !isEntryPoint(name) {
			name = ExportOther + name
		}
		add(name, exportFunction, rw.newIndex(e.index))
	}
	if rw.start != nil {
		add(ExportStart, exportFunction, rw.newIndex(*rw.start))
	}
	if rw.info.HasCallbacks {
		add(ExportCallback, exportFunction, uint32(len(rw.imports)+addedImports+len(rw.functions)))
	}
	add(ExportCounter, exportGlobal, rw.counter)
	add(ExportDepth, exportGlobal, rw.depth)
	w.put(globals...)
	return w, n + len(rw.info.Globals)
}

func (rw *rewriter) writeElements() (w writer) {
	for _, e := range rw.elements {
		switch {
		case e.mode == active:
			w.put(6)
			w.unsigned(uint64(e.table))
			constant{typ: I32, lo: e.offset}.emit(&w, nil)
		case e.mode == passive:
			w.put(5)
		default:
			w.put(7)
		}
		w.put(e.elem.code())
		w.unsigned(uint64(len(e.items)))
		for _, c := range e.items {
			c.emit(&w, rw.newIndex)
		}
	}
	return w
}

// writeData keeps passive segments. Active ones become empty passive ones, which is
// what memory.init finds of them once they have been applied.
func (rw *rewriter) writeData() (w writer) {
	for _, d := range rw.data {
		w.put(1)
		if d.mode == active {
			w.put(0)
			continue
		}
		w.unsigned(uint64(len(d.bytes)))
		w.put(d.bytes...)
	}
	return w
}
