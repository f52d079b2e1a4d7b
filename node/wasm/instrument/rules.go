package instrument

import (
	"slices"
	"strings"
)

// Limits of the interface specification on public methods.
const (
	maxMethods         = 1000
	maxMethodNameBytes = 20_000
)

func isEntryPoint(export string) bool { return strings.HasPrefix(export, "canister_") }

// inspect checks the rules of the interface specification ("WebAssembly module
// requirements") and collects what the network has to know.
func (m *module) inspect(o Options) (*Info, error) {
	info := &Info{Custom: m.custom, MaxPages: 0}
	if m.memory != nil {
		info.HasMemory, info.Memory64 = true, m.memory.is64
		info.MinPages, info.MaxPages = m.memory.min, m.memory.max
	}
	if err := m.inspectImports(info, o); err != nil {
		return nil, err
	}
	if err := m.inspectExports(info); err != nil {
		return nil, err
	}
	info.Start = m.start != nil
	info.HasCallbacks = len(m.tables) > 0 && m.tables[0].elem == FuncRef
	for _, g := range m.globals {
		switch {
		case !g.mutable:
		case g.typ == V128:
			info.Globals = append(info.Globals, I64, I64)
			info.GlobalInit = append(info.GlobalInit, g.init.lo, g.init.hi)
		default:
			info.Globals = append(info.Globals, g.typ)
			info.GlobalInit = append(info.GlobalInit, g.init.lo)
		}
	}
	for _, d := range m.data {
		if d.mode == active && len(d.bytes) > 0 {
			info.Data = append(info.Data, DataSegment{d.offset, d.bytes})
		}
	}
	return info, nil
}

func (m *module) inspectImports(info *Info, o Options) error {
	known := map[string]Import{}
	for _, i := range o.Imports {
		known[i.Name] = i
	}
	for _, i := range m.imports {
		k, ok := known[i.name]
		switch {
		case !ok:
			return invalidf("function \"ic0\".%q is imported, but there is none of that name", i.name)
		case k.Only32 && info.Memory64:
			return invalidf("function \"ic0\".%q is imported, which is for modules with a 32-bit memory only", i.name)
		}
		want := funcType{concrete(k.Params, info.Memory64), concrete(k.Results, info.Memory64)}
		if have := m.types[i.typ]; !have.equal(want) {
			return invalidf("function \"ic0\".%q is imported with type %s instead of %s", i.name, have, want)
		}
	}
	return nil
}

// concrete puts the type of pointers in the place of Ptr.
func concrete(ts []ValueType, memory64 bool) []ValueType {
	out := slices.Clone(ts)
	for i, t := range out {
		switch {
		case t != Ptr:
		case memory64:
			out[i] = I64
		default:
			out[i] = I32
		}
	}
	return out
}

func (m *module) inspectExports(info *Info) error {
	hooks := map[string]*bool{
		"canister_init": &info.Init, "canister_pre_upgrade": &info.PreUpgrade, "canister_post_upgrade": &info.PostUpgrade,
		"canister_inspect_message": &info.InspectMessage, "canister_heartbeat": &info.Heartbeat,
		"canister_global_timer": &info.GlobalTimer, "canister_on_low_wasm_memory": &info.OnLowWasmMemory,
	}
	seen := map[string]string{}
	nameBytes := 0
	for _, e := range m.exports {
		if !isEntryPoint(e.name) || e.kind != exportFunction {
			continue
		}
		method, isMethod := methodOf(e.name)
		switch hook := hooks[e.name]; {
		case isMethod:
			if other, twice := seen[method.Name]; twice {
				return invalidf("method %q is exported twice, as %q and as %q", method.Name, other, e.name)
			}
			seen[method.Name] = e.name
			nameBytes += len(method.Name)
			info.Methods = append(info.Methods, method)
		case hook != nil:
			*hook = true
		default:
			return invalidf("function %q is exported, but no entry point of that name exists; names that begin with \"canister_\" are reserved", e.name)
		}
		if t := m.typeOfFunction(e.index); len(t.params)+len(t.results) > 0 {
			return invalidf("entry point %q has type %s instead of () -> ()", e.name, t)
		}
	}
	switch {
	case len(info.Methods) > maxMethods:
		return invalidf("%d methods are exported, more than %d", len(info.Methods), maxMethods)
	case nameBytes > maxMethodNameBytes:
		return invalidf("the names of the exported methods have %d bytes together, more than %d", nameBytes, maxMethodNameBytes)
	}
	return nil
}

func methodOf(export string) (Method, bool) {
	for _, p := range []struct {
		prefix string
		kind   MethodKind
	}{{updatePrefix, UpdateMethod}, {queryPrefix, QueryMethod}, {compositePrefix, CompositeQueryMethod}} {
		if name, ok := strings.CutPrefix(export, p.prefix); ok {
			return Method{p.kind, name}, true
		}
	}
	return Method{}, false
}
