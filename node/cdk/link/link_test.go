package link

import (
	"bytes"
	"context"
	"slices"
	"strings"
	"testing"

	"github.com/tetratelabs/wazero"
	"github.com/tetratelabs/wazero/api"
	"pgregory.net/rapid"
)

const (
	noTypes = ""
	oneI32  = "\x7f"
	twoI32  = "\x7f\x7f"
	fourI32 = "\x7f\x7f\x7f\x7f"
)

// program is a small module of the shape Go makes: it imports some of WASI, exports
// _initialize and others, and keeps data above the linker's.
func program(t *testing.T) *module {
	t.Helper()
	m := &module{memory: true, memMin: 1, table: true, tableMin: 3}
	m.imports = []funcImport{
		{wasiModule, "fd_write", m.typeIndex(funcType{fourI32, oneI32})},
		{ic0Module, "msg_reply", m.typeIndex(funcType{})},
		{wasiModule, "fd_prestat_get", m.typeIndex(funcType{twoI32, oneI32})},
		{tableModule, "answered", m.typeIndex(funcType{results: oneI32})},
	}
	start := m.addFunc(funcType{}, new(asm).call(1).body())
	query := m.addFunc(funcType{}, new(asm).call(3).op(opDrop).body())
	answered := m.addFunc(funcType{params: oneI32}, new(asm).body())
	m.exports = []export{
		{"_initialize", kindFunc, start},
		{"canister_query_a_b", kindFunc, query},
		{"canister_composite_query_c", kindFunc, query},
		{"canister_heartbeat", kindFunc, query},
		{"answered", kindFunc, answered},
		{"other", kindFunc, query},
		{"memory", kindMemory, 0},
	}
	m.elements = []element{{1, []uint32{start, 0}}}
	m.data = []segment{{firstGoData, []byte("one")}, {firstGoData + 5, []byte("two")}, {firstGoData + 1000, []byte("far")}}
	m.customs = []custom{{"producers", []byte("go")}}
	return m
}

func linked(t *testing.T, m *module, sections ...Section) *module {
	t.Helper()
	wasm, err := Link(m.encode(), sections...)
	if err != nil {
		t.Fatal(err)
	}
	out, err := parse(wasm)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(out.encode(), wasm) {
		t.Error("writing what was read changes it")
	}
	return out
}

func TestLinkedModuleImportsOnlyTheSystemAPI(t *testing.T) {
	var names []string
	for _, im := range linked(t, program(t)).imports {
		if im.module != ic0Module {
			t.Errorf("import %s.%s", im.module, im.name)
		}
		names = append(names, im.name)
	}
	if want := []string{"msg_reply", "debug_print", "trap", "time"}; !slices.Equal(names, want) {
		t.Errorf("imports %v, want %v", names, want)
	}
}

func TestExportsGetTheNamesOfTheCanisterInterface(t *testing.T) {
	var names []string
	for _, e := range linked(t, program(t)).exports {
		names = append(names, e.name)
	}
	want := []string{"canister_query a_b", "canister_composite_query c", "canister_heartbeat", "canister_init", "canister_post_upgrade"}
	if !slices.Equal(names, want) {
		t.Errorf("exports %q, want %q", names, want)
	}
}

func TestCallbackComesToStandAtTheEndOfTheTable(t *testing.T) {
	m := linked(t, program(t))
	if m.tableMin != 4 || len(m.elements) != 2 || m.elements[1].offset != 3 {
		t.Fatalf("table of %d, elements %v", m.tableMin, m.elements)
	}
	if typ := m.typeOf(m.elements[1].funcs[0]); typ != (funcType{params: oneI32}) {
		t.Errorf("a callback of type %v", typ)
	}
}

func TestNeighbouringDataBecomesOneSegment(t *testing.T) {
	m := linked(t, program(t))
	want := []segment{{trapBuffer, []byte(exitMessage)}, {firstGoData, []byte("one\x00\x00two")}, {firstGoData + 1000, []byte("far")}}
	if !slices.EqualFunc(m.data, want, func(a, b segment) bool { return a.offset == b.offset && bytes.Equal(a.bytes, b.bytes) }) {
		t.Errorf("data %v", m.data)
	}
}

func TestMergingSegmentsKeepsMemory(t *testing.T) {
	memory := func(segments []segment) []byte {
		b := make([]byte, 1<<16)
		for _, s := range segments {
			copy(b[s.offset:], s.bytes)
		}
		return b
	}
	rapid.Check(t, func(t *rapid.T) {
		var in []segment
		at := uint32(0)
		for range rapid.IntRange(0, 30).Draw(t, "segments") {
			at += uint32(rapid.IntRange(0, 200).Draw(t, "gap"))
			b := rapid.SliceOfN(rapid.Byte(), 0, 100).Draw(t, "bytes")
			in = append(in, segment{at, b})
			at += uint32(len(b))
		}
		if !bytes.Equal(memory(mergeSegments(in)), memory(in)) {
			t.Fatal("memory differs")
		}
	})
}

func TestSectionsBecomeMetadataAndOthersGo(t *testing.T) {
	m := linked(t, program(t), Section{Name: "candid:service", Content: []byte("service : {}")}, Section{Name: "secret", Private: true})
	if len(m.customs) != 2 || m.customs[0].name != "icp:public candid:service" || m.customs[1].name != "icp:private secret" {
		t.Errorf("custom sections %v", m.customs)
	}
}

func TestLinkRefusesWhatNoCanisterMayHave(t *testing.T) {
	for name, tc := range map[string]struct {
		change func(*module)
		text   string
	}{
		"import":     {func(m *module) { m.imports[0].module = "env" }, "import env.fd_write"},
		"type":       {func(m *module) { m.imports[0].typ = m.imports[2].typ }, "unexpected type"},
		"callback":   {func(m *module) { m.imports[3].name = "missing" }, "exports no such function"},
		"start":      {func(m *module) { m.exports = m.exports[1:] }, "-buildmode=c-shared"},
		"entry":      {func(m *module) { m.exports[1].name = "canister_nonsense" }, "no entry point"},
		"method":     {func(m *module) { m.exports[1].name = "canister_query_" }, "no entry point"},
		"signature":  {func(m *module) { m.exports[1].index = m.exports[4].index }, "take and return nothing"},
		"data":       {func(m *module) { m.data[0].offset = firstGoData - 1 }, "below"},
		"opcode":     {func(m *module) { m.bodies[0] = []byte{0, 0xfd, 0, opEnd} }, "unknown instruction"},
		"function":   {func(m *module) { m.bodies[0] = new(asm).call(99).body() }, "unknown function 99"},
		"no results": {func(m *module) { m.imports[2].name, m.imports[2].typ = "odd", m.imports[1].typ }, "does not answer with an error number"},
	} {
		m := program(t)
		tc.change(m)
		if _, err := Link(m.encode()); err == nil || !strings.Contains(err.Error(), tc.text) {
			t.Errorf("%s: got %v, want %q", name, err, tc.text)
		}
	}
}

// stubsAlone is a module that exports the stubs under their names in WASI.
func stubsAlone(t *testing.T) []byte {
	t.Helper()
	m := &module{memory: true, memMin: 1, table: true, tableMin: 1}
	ic0 := map[string]uint32{}
	for i, name := range []string{"debug_print", "trap", "time"} {
		typ := funcType{params: twoI32}
		if name == "time" {
			typ = funcType{results: "\x7e"}
		}
		ic0[name] = uint32(i)
		m.imports = append(m.imports, funcImport{ic0Module, name, m.typeIndex(typ)})
	}
	s := addStubs(m, ic0)
	for name, typ := range map[string]funcType{
		"proc_exit": {oneI32, noTypes}, "args_sizes_get": {twoI32, oneI32}, "clock_time_get": {"\x7f\x7e\x7f", oneI32},
		"poll_oneoff": {fourI32, oneI32}, "random_get": {twoI32, oneI32}, "fd_write": {fourI32, oneI32},
		"fd_prestat_get": {twoI32, oneI32}, "path_open": {fourI32, oneI32},
	} {
		f, err := s.add(name, typ)
		if err != nil {
			t.Fatal(err)
		}
		m.exports = append(m.exports, export{name, kindFunc, f})
	}
	slices.SortFunc(m.exports, func(a, b export) int { return strings.Compare(a.name, b.name) })
	m.exports = append(m.exports, export{"memory", kindMemory, 0})
	return m.encode()
}

// machine runs the stubs with a system that records what they say to it.
type machine struct {
	t       *testing.T
	module  api.Module
	printed []string
	trapped string
}

func newMachine(t *testing.T) *machine {
	t.Helper()
	ctx := context.Background()
	r := wazero.NewRuntimeWithConfig(ctx, wazero.NewRuntimeConfigInterpreter())
	t.Cleanup(func() {
		if err := r.Close(ctx); err != nil {
			t.Error(err)
		}
	})
	m := &machine{t: t}
	text := func(mod api.Module, p, n uint32) string {
		b, ok := mod.Memory().Read(p, n)
		if !ok {
			t.Error("the stub names bytes beyond the memory")
		}
		return string(b)
	}
	b := r.NewHostModuleBuilder(ic0Module)
	b.NewFunctionBuilder().WithFunc(func(_ context.Context, mod api.Module, p, n uint32) {
		m.printed = append(m.printed, text(mod, p, n))
	}).Export("debug_print")
	b.NewFunctionBuilder().WithFunc(func(_ context.Context, mod api.Module, p, n uint32) {
		m.trapped = text(mod, p, n)
		panic("trap")
	}).Export("trap")
	b.NewFunctionBuilder().WithFunc(func() uint64 { return 77 }).Export("time")
	if _, err := b.Instantiate(ctx); err != nil {
		t.Fatal(err)
	}
	var err error
	if m.module, err = r.Instantiate(ctx, stubsAlone(t)); err != nil {
		t.Fatal(err)
	}
	return m
}

func (m *machine) call(name string, args ...uint64) uint64 {
	m.t.Helper()
	out, err := m.module.ExportedFunction(name).Call(context.Background(), args...)
	if err != nil {
		if m.trapped == "" {
			m.t.Fatal(err)
		}
		return 0
	}
	return out[0]
}

func (m *machine) write(text string) {
	m.t.Helper()
	mem := m.module.Memory()
	// two vectors: half of the text each
	half := len(text) / 2
	mem.Write(20000, []byte(text))
	mem.WriteUint32Le(100, 20000)
	mem.WriteUint32Le(104, uint32(half))
	mem.WriteUint32Le(108, uint32(20000+half))
	mem.WriteUint32Le(112, uint32(len(text)-half))
	if errno := m.call("fd_write", 2, 100, 2, 200); errno != 0 {
		m.t.Fatalf("fd_write: %d", errno)
	}
	if n, _ := mem.ReadUint32Le(200); int(n) != len(text) {
		m.t.Fatalf("wrote %d of %d", n, len(text))
	}
}

func TestPrintedLinesReachTheLogWhole(t *testing.T) {
	m := newMachine(t)
	for _, part := range []string{"a", "bc\nde", "\n", "\n", strings.Repeat("x", lineBytes+3) + "\n"} {
		m.write(part)
	}
	want := []string{"abc", "de", strings.Repeat("x", lineBytes), "xxx"}
	if !slices.Equal(m.printed, want) {
		t.Errorf("printed %.80q", m.printed)
	}
}

func TestExitTrapsWithTheLastPanic(t *testing.T) {
	for printed, want := range map[string]string{
		"": exitMessage, "some words\n": exitMessage, "panic: of a kind\nwith more\n": "panic: of a kind",
		"fatal error: all goroutines are asleep": "fatal error: all goroutines are asleep", "fatal errand\n": "fatal errand",
		"anic: \np\n": exitMessage,
	} {
		m := newMachine(t)
		if printed != "" {
			m.write(printed)
		}
		m.call("proc_exit", 2)
		if m.trapped != want {
			t.Errorf("after %q: trapped with %q, want %q", printed, m.trapped, want)
		}
	}
}

func TestMonotonicClockMovesOnlyWhenPolling(t *testing.T) {
	m := newMachine(t)
	mem := m.module.Memory()
	clock := func(id uint64) uint64 {
		if errno := m.call("clock_time_get", id, 0, 64); errno != 0 {
			t.Fatalf("clock_time_get: %d", errno)
		}
		v, _ := mem.ReadUint64Le(64)
		return v
	}
	if clock(0) != 77 || clock(1) != 1 || clock(1) != 1 {
		t.Fatal("the clocks begin wrongly")
	}
	mem.WriteByte(1000+8, 1)         // a descriptor, passed over
	mem.WriteUint64Le(1048, 0xabcd)  // user data
	mem.WriteUint64Le(1048+24, 5000) // timeout
	if errno := m.call("poll_oneoff", 1000, 2000, 2, 3000); errno != 0 {
		t.Fatalf("poll_oneoff: %d", errno)
	}
	if user, _ := mem.ReadUint64Le(2000); user != 0xabcd || clock(1) != 5001 || clock(0) != 77 {
		t.Errorf("event %x, clock %d", user, clock(1))
	}
	if errno := m.call("poll_oneoff", 1000, 2000, 1, 3000); errno != errnoNoCall {
		t.Errorf("polling descriptors alone gave %d", errno)
	}
}

func TestRandomNumbersAreSplitMix64(t *testing.T) {
	m := newMachine(t)
	m.call("random_get", 500, 64)
	got, _ := m.module.Memory().Read(500, 64)
	const start = 0x106689d45497f7 ^ 77
	state := uint64(start)
	var want []byte
	for range 64 {
		state += 0x9e3779b97f4a7c15
		z := state
		z = (z ^ z>>30) * 0xbf58476d1ce4e5b9
		z = (z ^ z>>27) * 0x94d049bb133111eb
		want = append(want, byte(z^z>>31))
	}
	if !bytes.Equal(got, want) {
		t.Errorf("got %x, want %x", got, want)
	}
}

func TestUnknownCallsAnswerWithErrors(t *testing.T) {
	m := newMachine(t)
	if a, b := m.call("fd_prestat_get", 3, 0), m.call("path_open", 0, 0, 0, 0); a != errnoBadFile || b != errnoNoCall {
		t.Errorf("got %d and %d", a, b)
	}
}

func FuzzLink(f *testing.F) {
	m := &module{memory: true, table: true}
	start := m.addFunc(funcType{}, new(asm).body())
	m.exports = []export{{"_initialize", kindFunc, start}}
	f.Add(m.encode())
	f.Add([]byte("\x00asm\x01\x00\x00\x00"))
	f.Fuzz(func(t *testing.T, wasm []byte) {
		out, err := Link(wasm)
		if err != nil {
			return
		}
		// what was linked is a module that reads back as itself
		again, err := parse(out)
		if err != nil {
			t.Fatalf("a linked module is malformed: %v", err)
		}
		if !bytes.Equal(again.encode(), out) {
			t.Fatal("reading and writing a linked module changes it")
		}
	})
}
