package wasm

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"

	"portico/node/wasm/instrument"
	"portico/node/wasm/wat"
)

func newTestModule(tb testing.TB, cfg EngineConfig, code []byte) *Module {
	tb.Helper()
	e, err := NewEngine(cfg)
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { e.Close() })
	m, err := e.Compile(context.Background(), code)
	if err != nil {
		tb.Fatal(err)
	}
	return m
}

// instantiate also writes the data segments, as an installer does.
func instantiate(tb testing.TB, m *Module) *Instance {
	tb.Helper()
	return instantiateOn(tb, m, NewMemory())
}

func instantiateOn(tb testing.TB, m *Module, memory LinearMemory) *Instance {
	tb.Helper()
	i, err := m.Instantiate(InstanceConfig{Memory: memory, InitialPages: m.Info().MinPages})
	if err != nil {
		tb.Fatal(err)
	}
	for _, d := range m.Info().Data {
		i.Write(d.Offset, d.Bytes)
	}
	return i
}

func newTestInstance(tb testing.TB, cfg EngineConfig, code []byte) *Instance {
	tb.Helper()
	return instantiate(tb, newTestModule(tb, cfg, code))
}

// backends runs a test on both of the runtime's backends.
func backends(t *testing.T, test func(t *testing.T, cfg EngineConfig)) {
	t.Run("compiler", func(t *testing.T) { test(t, EngineConfig{}) })
	t.Run("interpreter", func(t *testing.T) { test(t, EngineConfig{Interpreter: true}) })
}

// testGo is the entry point of modules in tests, go its call with plenty of everything.
const testGo = "canister_update go"

func goTest(i *Instance) Outcome { return i.Call(testGo, &Call{Limit: 1_000_000_000}) }

// logHost is a host function that keeps its arguments.
func logHost(log *[]uint64) HostFunc {
	return HostFunc{Name: "log", Params: []ValueType{I64}, Func: func(_ *Caller, stack []uint64) error {
		*log = append(*log, stack[0])
		return nil
	}}
}

// logged runs the entry point of a module that imports "log".
func logged(t *testing.T, cfg EngineConfig, src string) ([]uint64, Outcome) {
	t.Helper()
	var log []uint64
	cfg.Host = append(cfg.Host, logHost(&log))
	out := newTestInstance(t, cfg, wat.MustAssemble(src)).Call(testGo, &Call{Limit: 1 << 50})
	return log, out
}

func TestEveryTrapHasItsKind(t *testing.T) {
	for _, c := range []struct {
		code string
		want TrapKind
	}{
		{`unreachable`, Unreachable},
		{`(drop (i32.load (i32.const 65533)))`, MemoryOutOfBounds},
		{`(i64.store (i32.const -1) (i64.const 0))`, MemoryOutOfBounds},
		{`(memory.fill (i32.const 65000) (i32.const 0) (i32.const 1000))`, MemoryOutOfBounds},
		{`(drop (i32.div_s (i32.const 1) (i32.const 0)))`, DivideByZero},
		{`(drop (i32.div_s (i32.const 0x80000000) (i32.const -1)))`, IntegerOverflow},
		{`(drop (i32.trunc_f64_s (f64.const 1e20)))`, IntegerOverflow},
		{`(drop (i32.trunc_f64_s (f64.div (f64.const 0) (f64.const 0))))`, InvalidConversion},
		{`(call_indirect (i32.const 0))`, TableOutOfBounds}, // null
		{`(call_indirect (i32.const 9))`, TableOutOfBounds},
		{`(call_indirect (param i32) (i32.const 0) (i32.const 1))`, IndirectCallTypeMismatch},
		{`(drop (table.get (i32.const 5)))`, TableOutOfBounds},
		{`(loop $l (br $l))`, InstructionLimit},
		{`(call $self)`, StackOverflow},
	} {
		backends(t, func(t *testing.T, cfg EngineConfig) {
			cfg.StackUnits = 1000
			i := newTestInstance(t, cfg, wat.MustAssemble(`(module (memory 1) (table 3 funcref) (elem (i32.const 1) $self)
				(func $self (export "canister_update go") `+c.code+`))`))
			for range 2 { // an instance works again after a trap
				out := i.Call(testGo, &Call{Limit: 5_000_000})
				if out.Trap == nil || out.Trap.Kind != c.want {
					t.Errorf("%s: got %v, want %v", c.code, out.Trap, c.want)
				}
			}
		})
	}
}

func TestUnknownFunctionsAreATrap(t *testing.T) {
	i := newTestInstance(t, EngineConfig{}, wat.MustAssemble(`(module (func (export "canister_update go")) (func (export "helper")))`))
	for _, name := range []string{"canister_init", "helper", "", instrument.ExportStart} {
		if out := i.Call(name, &Call{}); out.Trap == nil || out.Trap.Kind != NoSuchFunction {
			t.Errorf("%q: %v", name, out.Trap)
		}
	}
	if out := i.CallTable(0, 0, &Call{}); out.Trap == nil || out.Trap.Kind != TableOutOfBounds {
		t.Errorf("call of a table entry without a table: %v", out.Trap)
	}
}

func TestStartRunsOnlyWhenCalled(t *testing.T) {
	backends(t, func(t *testing.T, cfg EngineConfig) {
		m := newTestModule(t, cfg, wat.MustAssemble(`(module (memory 1) (data (i32.const 8) "hello") (global $g (mut i32) (i32.const 7))
			(func $s (global.set $g (i32.const 9))) (start $s))`))
		if !m.Info().Start || len(m.Info().Data) != 1 || m.Info().Data[0].Offset != 8 || string(m.Info().Data[0].Bytes) != "hello" {
			t.Fatalf("info: %+v", m.Info())
		}
		i, err := m.Instantiate(InstanceConfig{Memory: NewMemory(), InitialPages: 2})
		if err != nil {
			t.Fatal(err)
		}
		if g := i.Globals(); g[0] != 7 || i.Size() != 2<<16 || memoryOf(i)[8] != 0 {
			t.Fatalf("after instantiation: globals %v, %d bytes, byte 8 is %d", g, i.Size(), memoryOf(i)[8])
		}
		if out := i.Start(&Call{Limit: 100}); out.Trap != nil || i.Globals()[0] != 9 {
			t.Fatalf("start: %v, globals %v", out.Trap, i.Globals())
		}
	})
}

func TestGlobalsAreReadAndRestored(t *testing.T) {
	backends(t, func(t *testing.T, cfg EngineConfig) {
		m := newTestModule(t, cfg, wat.MustAssemble(`(module
			(global $a (mut i32) (i32.const -1)) (global $fixed i64 (i64.const 3)) (global $b (mut i64) (i64.add (i64.const 40) (i64.const 2)))
			(global $c (mut f32) (f32.const 1.5)) (global $d (mut f64) (f64.const -2)) (global $v (mut v128) (v128.const i64x2 5 6))
			(func (export "canister_update go")
				(global.set $a (i32.add (global.get $a) (i32.const 2)))
				(global.set $b (i64.add (global.get $b) (global.get $fixed)))
				(global.set $c (f32.add (global.get $c) (f32.const 1)))
				(global.set $d (f64.add (global.get $d) (f64.const 1)))
				(global.set $v (i64x2.add (global.get $v) (v128.const i64x2 10 20)))))`))
		i := instantiate(t, m)
		first := []uint64{0xffffffff, 42, 0x3fc00000, 0xc000000000000000, 5, 6}
		second := []uint64{1, 45, 0x40200000, 0xbff0000000000000, 15, 26}
		if g := i.Globals(); !slices.Equal(g, first) || !slices.Equal(m.Info().GlobalInit, first) {
			t.Fatalf("at first %x, in the module %x", g, m.Info().GlobalInit)
		}
		if out := goTest(i); out.Trap != nil || !slices.Equal(i.Globals(), second) {
			t.Fatalf("after a call: %v, globals %x", out.Trap, i.Globals())
		}
		i.SetGlobals(first)
		if out := goTest(i); out.Trap != nil || !slices.Equal(i.Globals(), second) {
			t.Fatalf("after restoring and a call: %v, globals %x", out.Trap, i.Globals())
		}
		other, err := m.Instantiate(InstanceConfig{Globals: second})
		if err != nil || !slices.Equal(other.Globals(), second) {
			t.Fatalf("instance with given globals: %v, %x", err, other.Globals())
		}
	})
}

func TestTableEntriesAreCalledByTypeAndIndex(t *testing.T) {
	for _, width := range []string{"i32", "i64"} {
		for _, table := range []string{"i32", "i64"} {
			backends(t, func(t *testing.T, cfg EngineConfig) {
				i := newTestInstance(t, cfg, wat.MustAssemble(strings.NewReplacer("PTR", width, "TAB", table).Replace(`(module
					(memory PTR 1) (table TAB 4 funcref) (global $got (mut PTR) (PTR.const 0))
					(func $cb (param PTR) (global.set $got (local.get 0)))
					(func $wrong)
					(elem (TAB.const 1) $cb $wrong))`)))
				if out := i.CallTable(1, 77, &Call{Limit: 100}); out.Trap != nil || i.Globals()[0] != 77 {
					t.Errorf("call: %v, global %d", out.Trap, i.Globals()[0])
				}
				for fn, want := range map[uint64]TrapKind{
					0: TableOutOfBounds, 2: IndirectCallTypeMismatch, 4: TableOutOfBounds, 1<<32 + 1: TableOutOfBounds, 1<<64 - 1: TableOutOfBounds,
				} {
					if out := i.CallTable(fn, 0, &Call{Limit: 100}); out.Trap == nil || out.Trap.Kind != want {
						t.Errorf("entry %d: %v, want %v", fn, out.Trap, want)
					}
				}
			})
		}
	}
}

func TestHostFunctionsSeeCleanArguments(t *testing.T) {
	backends(t, func(t *testing.T, cfg EngineConfig) {
		for _, width := range []string{"i32", "i64"} {
			var got []uint64
			cfg.Host = []HostFunc{{
				Name: "f", Params: []ValueType{I32, I64, Ptr}, Results: []ValueType{Ptr},
				Func: func(_ *Caller, stack []uint64) error {
					got = slices.Clone(stack[:3])
					stack[0] = 1<<40 | 5
					return nil
				},
			}}
			i := newTestInstance(t, cfg, wat.MustAssemble(strings.ReplaceAll(`(module (import "ic0" "f" (func $f (param i32 i64 PTR) (result PTR)))
				(memory PTR 1) (global $r (mut PTR) (PTR.const 0)) (global $big i64 (i64.const -1)) (global $m (mut i64) (i64.const -2))
				(func (export "canister_update go")
					(global.set $r (call $f (i32.wrap_i64 (i64.add (global.get $m) (i64.const 1))) (i64.const -3) (PTR.const -4)))))`, "PTR", width)))
			if out := goTest(i); out.Trap != nil {
				t.Fatal(out.Trap)
			}
			want := []uint64{0xffffffff, 1<<64 - 3, 0xfffffffc}
			result := uint64(5)
			if width == "i64" {
				want[2], result = 1<<64-4, 1<<40|5
			}
			if !slices.Equal(got, want) || i.Globals()[0] != result {
				t.Errorf("%s: arguments %x, result %x", width, got, i.Globals()[0])
			}
		}
	})
}

var errTest = errors.New("no such thing")

func TestErrorsOfHostFunctionsAreTraps(t *testing.T) {
	backends(t, func(t *testing.T, cfg EngineConfig) {
		cfg.Host = []HostFunc{{Name: "f", Func: func(*Caller, []uint64) error { return fmt.Errorf("f: %w", errTest) }}}
		i := newTestInstance(t, cfg, wat.MustAssemble(`(module (import "ic0" "f" (func $f))
			(global $g (mut i32) (i32.const 0))
			(func (export "canister_update go") (call $f) (global.set $g (i32.const 1))))`))
		for range 2 {
			out := goTest(i)
			if out.Trap == nil || out.Trap.Kind != Host || !errors.Is(out.Trap, errTest) || i.Globals()[0] != 0 {
				t.Fatalf("%v, globals %v", out.Trap, i.Globals())
			}
		}
	})
}

func TestPanicsOfHostFunctionsAreNotTraps(t *testing.T) {
	for name, f := range map[string]func(){
		"value":   func() { panic("broken") },
		"runtime": func() { var none []int; none[len(none)]++ },
		"error":   func() { panic(errTest) },
	} {
		backends(t, func(t *testing.T, cfg EngineConfig) {
			cfg.Host = []HostFunc{{Name: "f", Func: func(*Caller, []uint64) error { f(); return nil }}}
			i := newTestInstance(t, cfg, wat.MustAssemble(`(module (import "ic0" "f" (func $f)) (func (export "canister_update go") (call $f)))`))
			defer func() {
				if recover() == nil {
					t.Errorf("%s: the panic was swallowed", name)
				}
			}()
			out := goTest(i)
			t.Errorf("%s: outcome %v", name, out)
		})
	}
}

func TestHostFunctionsSeeEnvMemoryAndInstructions(t *testing.T) {
	var used []uint64
	host := HostFunc{Name: "f", Func: func(c *Caller, _ []uint64) error {
		c.Write(5, []byte{byte(c.Env().(int))})
		used = append(used, c.Instructions())
		err := c.Charge(3_000_000)
		used = append(used, c.Instructions())
		return err
	}}
	i := newTestInstance(t, EngineConfig{Host: []HostFunc{host}}, wat.MustAssemble(`(module (import "ic0" "f" (func $f)) (memory 1)
		(func (export "canister_update go") nop (call $f) nop))`))
	var yields []uint64
	out := i.Call(testGo, &Call{Env: 42, Limit: 4_000_000, Yield: func(u uint64) error { yields = append(yields, u); return nil }})
	if out.Trap != nil || out.Instructions != 3_000_007 || memoryOf(i)[5] != 42 {
		t.Errorf("%+v, byte %d", out, memoryOf(i)[5])
	}
	if !slices.Equal(used, []uint64{7, 3_000_007}) || !slices.Equal(yields, []uint64{3_000_007}) {
		t.Errorf("used %v, yields %v", used, yields)
	}
	if out := i.Call(testGo, &Call{Env: 42, Limit: 3_000_006}); out.Trap == nil || out.Trap.Kind != InstructionLimit || out.Instructions != 3_000_006 {
		t.Errorf("with one instruction too few: %+v", out)
	}
	if out := i.Call(testGo, &Call{Env: 42, Limit: 3_000_007}); out.Trap != nil {
		t.Errorf("with just enough: %+v", out)
	}
}

func TestMemoryGrowsAsTheHostSays(t *testing.T) {
	backends(t, func(t *testing.T, cfg EngineConfig) {
		for _, width := range []string{"i32", "i64"} {
			i := newTestInstance(t, cfg, wat.MustAssemble(strings.ReplaceAll(`(module (memory PTR 1 10) (global $r (mut PTR) (PTR.const 0)) (global $n (mut PTR) (PTR.const 0))
				(func (export "canister_update go") (global.set $r (memory.grow (global.get $n))) (PTR.store8 (PTR.sub (PTR.mul (memory.size) (PTR.const 65536)) (PTR.const 1)) (PTR.const 1))))`, "PTR", width)))
			var asked [][2]uint64
			answer := error(nil)
			grow := func(delta uint64) (uint64, *Trap) {
				i.SetGlobals([]uint64{0, delta})
				out := i.Call(testGo, &Call{Limit: 10_000, Grow: func(c, d uint64) error {
					asked = append(asked, [2]uint64{c, d})
					return answer
				}})
				return i.Globals()[0], out.Trap
			}
			minusOne := uint64(0xffffffff)
			if width == "i64" {
				minusOne = 1<<64 - 1
			}
			expect := func(delta, want, pages uint64, question ...[2]uint64) {
				t.Helper()
				asked = nil
				got, trap := grow(delta)
				if trap != nil || got != want || i.Size() != pages<<16 || !slices.Equal(asked, question) {
					t.Errorf("%s: grow by %d gives %x, %v, memory of %d pages, asked %v", width, delta, got, trap, i.Size()>>16, asked)
				}
			}
			expect(2, 1, 3, [2]uint64{1, 2})
			expect(0, 3, 3)
			expect(8, minusOne, 3) // beyond the module's maximum
			expect(0xffffffff, minusOne, 3)
			expect(0x80000000, minusOne, 3)
			if width == "i64" {
				expect(1<<32, minusOne, 3)
				expect(1<<32+1, minusOne, 3)
			}
			answer = ErrGrowRefused
			expect(1, minusOne, 3, [2]uint64{3, 1})
			answer = errTest
			if _, trap := grow(1); trap == nil || trap.Kind != Host || !errors.Is(trap, errTest) {
				t.Errorf("an error of Grow: %v", trap)
			}
		}
	})
}

func TestInstancesAreStaleAfterGrowingInATrap(t *testing.T) {
	i := newTestInstance(t, EngineConfig{}, wat.MustAssemble(`(module (memory 1 3)
		(func (export "canister_update go") (drop (memory.grow (i32.const 1))))
		(func (export "canister_update trap") (drop (memory.grow (i32.const 1))) unreachable))`))
	if goTest(i); !i.Reusable() {
		t.Error("not reusable after growing")
	}
	if i.Call("canister_update trap", &Call{Limit: 1000}); i.Reusable() {
		t.Error("reusable although the memory grew in a call that trapped")
	}
}

func TestModulesThatChangeTablesAreNotReusable(t *testing.T) {
	for code, want := range map[string]bool{
		`nop`:                              true,
		`(drop (table.get (i32.const 0)))`: true,
		`(table.set (i32.const 0) (ref.null func))`:         false,
		`(drop (table.grow (ref.null func) (i32.const 0)))`: false,
		`(data.drop 0)`: false,
		`(elem.drop 0)`: false,
		`(memory.init 0 (i32.const 0) (i32.const 0) (i32.const 1))`: true,
	} {
		i := newTestInstance(t, EngineConfig{}, wat.MustAssemble(`(module (memory 1) (table 1 funcref) (data "x") (elem func $f)
			(func $f (export "canister_update go") `+code+`))`))
		if out := goTest(i); out.Trap != nil || i.Reusable() != want {
			t.Errorf("%s: %v, reusable %v", code, out.Trap, i.Reusable())
		}
	}
}

func TestActiveSegmentsAreEmptyForMemoryInit(t *testing.T) {
	i := newTestInstance(t, EngineConfig{}, wat.MustAssemble(`(module (memory 1) (data (i32.const 0) "abc") (data "xyz")
		(func (export "canister_update go")
			(memory.init 0 (i32.const 9) (i32.const 0) (i32.const 0))
			(memory.init 1 (i32.const 9) (i32.const 1) (i32.const 2)))
		(func (export "canister_update trap") (memory.init 0 (i32.const 9) (i32.const 0) (i32.const 1))))`))
	if out := goTest(i); out.Trap != nil || string(memoryOf(i)[:12]) != "abc\x00\x00\x00\x00\x00\x00yz\x00" {
		t.Errorf("%v, memory %q", out.Trap, memoryOf(i)[:12])
	}
	if out := i.Call("canister_update trap", &Call{Limit: 1000}); out.Trap == nil || out.Trap.Kind != MemoryOutOfBounds {
		t.Errorf("%v", out.Trap)
	}
}

func TestConfigurationsThatDoNotFitAreRefused(t *testing.T) {
	m := newTestModule(t, EngineConfig{}, wat.MustAssemble(`(module (memory 2 4) (global (mut i32) (i32.const 0)))`))
	for name, c := range map[string]InstanceConfig{
		"no memory": {InitialPages: 2}, "too few pages": {Memory: NewMemory(), InitialPages: 1},
		"too many pages": {Memory: NewMemory(), InitialPages: 5}, "globals": {Memory: NewMemory(), InitialPages: 2, Globals: []uint64{1, 2}},
	} {
		if _, err := m.Instantiate(c); err == nil {
			t.Errorf("%s: accepted", name)
		}
	}
}

func TestEnginesServeSeveralGoroutines(t *testing.T) {
	e, err := NewEngine(EngineConfig{Workers: 2})
	if err != nil {
		t.Fatal(err)
	}
	defer e.Close()
	var group sync.WaitGroup
	for n := range 4 {
		group.Go(func() {
			m, err := e.Compile(context.Background(), wat.MustAssemble(fmt.Sprintf(`(module (memory 1) (global (mut i32) (i32.const 0))
				(func (export "canister_update go") (global.set 0 (i32.const %d))))`, n%2)))
			if err != nil {
				t.Error(err)
				return
			}
			for range 20 {
				i, err := m.Instantiate(InstanceConfig{Memory: NewMemory(), InitialPages: 1})
				if err != nil {
					t.Error(err)
					return
				}
				if out := i.Call(testGo, &Call{Limit: 100}); out.Trap != nil || i.Globals()[0] != uint64(n%2) {
					t.Errorf("%v, globals %v", out.Trap, i.Globals())
				}
				if err := i.Close(); err != nil {
					t.Error(err)
				}
			}
			if err := m.Close(); err != nil {
				t.Error(err)
			}
		})
	}
	group.Wait()
}

func TestMemoriesAreFreedOnce(t *testing.T) {
	m := newTestModule(t, EngineConfig{}, wat.MustAssemble(`(module (memory 1))`))
	memory := &countingMemory{LinearMemory: NewMemory()}
	i, err := m.Instantiate(InstanceConfig{Memory: memory, InitialPages: 1})
	if err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if err := i.Close(); err != nil {
			t.Fatal(err)
		}
	}
	if memory.freed != 1 {
		t.Errorf("freed %d times", memory.freed)
	}
}

type countingMemory struct {
	LinearMemory
	freed int
}

func (m *countingMemory) Free() {
	m.freed++
	m.LinearMemory.Free()
}

// memoryOf is a copy of an instance's memory.
func memoryOf(i *Instance) []byte {
	b := make([]byte, i.Size())
	i.Read(b, 0)
	return b
}
