// Package link turns a Go program built with GOOS=wasip1 GOARCH=wasm and
// -buildmode=c-shared into a canister module: the result imports nothing but ic0
// and runs on any Internet Computer (interface specification, "WebAssembly module
// requirements").
//
// Every WASI import becomes a small function inside the module; what Go prints
// goes to ic0.debug_print, a program that exits traps with the panic it printed,
// the wall clock is ic0.time, the monotonic clock is virtual, and random numbers
// are the same on every replica.
//
// Exports are renamed: canister_query_NAME becomes "canister_query NAME", likewise
// for update and composite_query; whatever follows the kind is the name,
// underscores included. canister_init and canister_post_upgrade first start the Go
// runtime, and are made where the program has none. An import from module "table"
// named NAME becomes a function that returns the table index of the function
// exported as NAME, which is how a program names the callbacks of its calls. The
// import sha256 from module "intrinsic" becomes SHA-256's compression function.
package link

import (
	"fmt"
	"slices"
	"strings"
)

// A Section is a custom section that becomes metadata of the canister.
type Section struct {
	Name    string // without the prefix icp:public or icp:private
	Private bool
	Content []byte
}

// ic0Module is the module of the system API; tableModule that of callback indices.
const (
	ic0Module   = "ic0"
	tableModule = "table"
)

// Link makes a canister module of the output of Go's linker. It refuses a module
// that imports anything but ic0, WASI and callback indices, one whose exports do
// not fit the canister interface, and instructions it does not know.
func Link(wasm []byte, sections ...Section) ([]byte, error) {
	m, err := parse(wasm)
	if err != nil {
		return nil, fmt.Errorf("reading the output of Go's linker: %w", err)
	}
	if err := link(m, sections); err != nil {
		return nil, fmt.Errorf("linking a canister: %w", err)
	}
	return m.encode(), nil
}

func link(m *module, sections []Section) error {
	for _, d := range m.data {
		if d.offset < firstGoData {
			return fmt.Errorf("data at address %d, below %d, where the linker keeps its own", d.offset, firstGoData)
		}
	}
	if err := m.replaceImports(); err != nil {
		return err
	}
	if err := m.rename(); err != nil {
		return err
	}
	m.data = mergeSegments(m.data)
	m.customs = nil
	for _, s := range sections {
		visibility := "icp:public "
		if s.Private {
			visibility = "icp:private "
		}
		m.customs = append(m.customs, custom{visibility + s.Name, s.Content})
	}
	return nil
}

// replaceImports removes every import that is not of ic0 and puts a function in
// its place. Function indices shift by that, so all code is rewritten.
func (m *module) replaceImports() error {
	old := m.imports
	m.imports = nil
	newIndex := make([]uint32, len(old)) // of imports; filled in below for replaced ones
	ic0 := map[string]uint32{}
	for i, im := range old {
		if im.module != ic0Module {
			continue
		}
		if f, ok := ic0[im.name]; ok && m.imports[f].typ == im.typ {
			newIndex[i] = f
			continue
		}
		newIndex[i] = uint32(len(m.imports))
		ic0[im.name] = newIndex[i]
		m.imports = append(m.imports, im)
	}
	p2, r := string([]byte{i32, i32}), string([]byte{i64})
	for _, need := range []struct {
		name string
		typ  funcType
	}{{"debug_print", funcType{params: p2}}, {"trap", funcType{params: p2}}, {"time", funcType{results: r}}} {
		if _, ok := ic0[need.name]; !ok {
			ic0[need.name] = uint32(len(m.imports))
			m.imports = append(m.imports, funcImport{ic0Module, need.name, m.typeIndex(need.typ)})
		}
	}

	own := uint32(len(m.funcs))
	to := func(f uint32) (uint32, bool) {
		if f < uint32(len(old)) {
			return newIndex[f], true
		}
		f -= uint32(len(old))
		return f + uint32(len(m.imports)), f < own
	}
	for i := range m.exports {
		if m.exports[i].kind == kindFunc {
			m.exports[i].index, _ = to(m.exports[i].index)
		}
	}
	for i := range m.elements {
		for j, f := range m.elements[i].funcs {
			m.elements[i].funcs[j], _ = to(f)
		}
	}
	s := addStubs(m, ic0)
	made := map[funcImport]uint32{}
	for i, im := range old {
		if im.module == ic0Module {
			continue
		}
		if _, ok := made[im]; !ok {
			f, err := m.replacement(s, im)
			if err != nil {
				return err
			}
			made[im] = f
		}
		newIndex[i] = made[im]
	}
	for i := range own {
		body, err := remapCalls(m.bodies[i], to, s.end)
		if err != nil {
			return fmt.Errorf("function %d: %w", int(i)+len(old), err)
		}
		m.bodies[i] = body
	}
	return nil
}

func (m *module) replacement(s *stubs, im funcImport) (uint32, error) {
	switch im.module {
	case wasiModule:
		return s.add(im.name, m.types[im.typ])
	case tableModule:
		return m.tableIndexOf(im)
	case intrinsicModule:
		return m.intrinsic(im)
	}
	return 0, fmt.Errorf("import %s.%s: a canister may import from %s only", im.module, im.name, ic0Module)
}

func (m *module) intrinsic(im funcImport) (uint32, error) {
	if t := m.types[im.typ]; im.name == "sha256" && t == (funcType{params: string([]byte{i32, i32, i32})}) {
		return m.addFunc(t, sha256Body()), nil
	}
	return 0, fmt.Errorf("import %s.%s: the linker knows no such function", im.module, im.name)
}

// tableIndexOf puts the exported function that im names into the table, ends its
// being an export, and appends a function that returns the index.
func (m *module) tableIndexOf(im funcImport) (uint32, error) {
	p := string([]byte{i32})
	if m.types[im.typ] != (funcType{results: p}) {
		return 0, fmt.Errorf("import %s.%s must take nothing and return an i32", im.module, im.name)
	}
	i := slices.IndexFunc(m.exports, func(e export) bool { return e.kind == kindFunc && e.name == im.name })
	if i < 0 {
		return 0, fmt.Errorf("import %s.%s: the program exports no such function", im.module, im.name)
	}
	f := m.exports[i].index
	if t := m.types[m.funcs[f-uint32(len(m.imports))]]; t != (funcType{params: p}) {
		return 0, fmt.Errorf("export %s is a callback and must take an i32 and return nothing", im.name)
	}
	m.exports = slices.Delete(m.exports, i, i+1)
	m.elements = append(m.elements, element{m.tableMin, []uint32{f}})
	m.tableMin++
	return m.addFunc(m.types[im.typ], new(asm).i32(int32(m.tableMin-1)).body()), nil
}

// rename gives exports the names of the canister interface and drops the others.
func (m *module) rename() error {
	var start, initialize, upgraded *export
	var kept []export
	for i, e := range m.exports {
		if e.kind != kindFunc {
			continue
		}
		switch e.name {
		case "_initialize":
			start = &m.exports[i]
		case "canister_init":
			initialize = &m.exports[i]
		case "canister_post_upgrade":
			upgraded = &m.exports[i]
		default:
			name, ok := canisterName(e.name)
			if !ok && !strings.HasPrefix(e.name, "canister_") {
				continue
			}
			if !ok {
				return fmt.Errorf("export %s is no entry point of a canister", e.name)
			}
			kept = append(kept, export{name, kindFunc, e.index})
		}
	}
	if start == nil {
		return fmt.Errorf("the program has no _initialize: build it with -buildmode=c-shared")
	}
	kept = append(kept,
		export{"canister_init", kindFunc, m.startingWith(start, initialize)},
		export{"canister_post_upgrade", kindFunc, m.startingWith(start, upgraded)})
	for _, e := range kept {
		if t := m.typeOf(e.index); t != (funcType{}) {
			return fmt.Errorf("export %q must take and return nothing", e.name)
		}
	}
	m.exports = kept
	return nil
}

// canisterName is the name in the canister interface of an exported Go function;
// ok is false if it has none.
func canisterName(name string) (string, bool) {
	for _, kind := range []string{"canister_update", "canister_query", "canister_composite_query"} {
		if method, ok := strings.CutPrefix(name, kind+"_"); ok && method != "" {
			return kind + " " + method, true
		}
	}
	hooks := []string{"canister_pre_upgrade", "canister_inspect_message", "canister_heartbeat", "canister_global_timer", "canister_on_low_wasm_memory"}
	return name, slices.Contains(hooks, name)
}

// startingWith appends a function that starts the Go runtime and then calls hook,
// if there is one. It cannot be the module's start function: the runtime asks for
// the time, which a start function may not.
func (m *module) startingWith(start, hook *export) uint32 {
	a := new(asm).call(start.index)
	if hook != nil {
		a.call(hook.index)
	}
	return m.addFunc(funcType{}, a.body())
}

func (m *module) typeOf(f uint32) funcType {
	if n := uint32(len(m.imports)); f >= n {
		return m.types[m.funcs[f-n]]
	}
	return m.types[m.imports[f].typ]
}

// mergeGap is up to how many zero bytes between two segments are stored rather
// than begin a segment. Go's data has a gap of 17 to 24 bytes every few words;
// closing them makes data a third larger as it stands and, because heads of
// segments do not compress and zeros do, a third smaller under gzip.
const mergeGap = 64

// mergeSegments joins neighbours: Go's linker begins a segment after every few
// zeros, tens of thousands in all. Segments come and stay in ascending order.
func mergeSegments(in []segment) []segment {
	slices.SortStableFunc(in, func(a, b segment) int { return int(int64(a.offset) - int64(b.offset)) })
	var out []segment
	for _, s := range in {
		if n := len(out); n > 0 {
			last := &out[n-1]
			if end := uint64(last.offset) + uint64(len(last.bytes)); uint64(s.offset) >= end && uint64(s.offset)-end <= mergeGap {
				last.bytes = append(last.bytes, make([]byte, uint64(s.offset)-end)...)
				last.bytes = append(last.bytes, s.bytes...)
				continue
			}
		}
		s.bytes = slices.Clone(s.bytes)
		out = append(out, s)
	}
	return out
}
