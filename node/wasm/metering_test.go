package wasm

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"portico/node/wasm/instrument"
	"portico/node/wasm/wat"
)

// meteredPrograms are run to their end; cost is what package instrument documents.
var meteredPrograms = map[string]struct {
	body string
	cost uint64
}{
	"nothing":           {``, 0},
	"straight line":     {`(drop (i32.add (i32.const 1) (i32.const 2)))`, 4},
	"expensive":         {`(drop (i64.div_s (i64.const 1) (i64.const 2))) (drop (f64.sqrt (f64.const 2)))`, 13 + 12},
	"then":              {`(if (i32.const 1) (then nop nop) (else nop nop nop))`, 4},
	"else":              {`(if (i32.const 0) (then nop nop) (else nop nop nop))`, 5},
	"no else":           {`(if (i32.const 0) (then nop nop)) nop`, 3},
	"block":             {`(block $b nop (br $b) nop nop) nop`, 3},
	"untargeted block":  {`(block nop (block nop) nop) nop`, 4},
	"branch taken":      {`(block $b (br_if $b (i32.const 1)) nop nop) nop`, 3},
	"branch not taken":  {`(block $b (br_if $b (i32.const 0)) nop nop) nop`, 5},
	"table of branches": {`(block $a (block $b (br_table $a $b (i32.const 1))) nop nop)`, 7},
	"return":            {`(block (loop (return)) nop)`, 1},
	"loop":              {`(local.set $n (i32.const 10)) (loop $l (br_if $l (local.tee $n (i32.sub (local.get $n) (i32.const 1)))))`, 2 + 10*5},
	"long loop":         {`(local.set $n (i32.const 1000000)) (loop $l (br_if $l (local.tee $n (i32.sub (local.get $n) (i32.const 1)))))`, 2 + 1000000*5},
	"loop left inside": {`(local.set $n (i32.const 10)) (block $b (loop $l
		(br_if $b (i32.eqz (local.tee $n (i32.sub (local.get $n) (i32.const 1))))) (br $l))) nop`, 2 + 10*6 + 9 + 1},
	"loop with value": {`(local.set $n (i32.const 10)) (drop (block $b (result i32) (loop $l (result i32)
		(drop (br_if $b (i32.const 7) (i32.eqz (local.tee $n (i32.sub (local.get $n) (i32.const 1)))))) (br $l))))`, 2 + 10*7 + 9*2 + 1},
	"nested loops": {`(local.set $n (i32.const 10)) (loop $o
		(local.set $m (i32.const 3))
		(loop $i (br_if $i (local.tee $m (i32.sub (local.get $m) (i32.const 1)))))
		(br_if $o (local.tee $n (i32.sub (local.get $n) (i32.const 1)))))`, 2 + 10*(2+3*5+5)},
	"loop from inside a loop": {`(local.set $n (i32.const 10)) (loop $o (block $x (loop $i
		(br_if $x (i32.const 0))
		(br_if $o (local.tee $n (i32.sub (local.get $n) (i32.const 1)))))))`, 2 + 10*7},
	"loop with a call":     {`(local.set $n (i32.const 10)) (loop $l (call $two) (br_if $l (local.tee $n (i32.sub (local.get $n) (i32.const 1)))))`, 2 + 10*(5+2+5)},
	"loop left by table":   {`(block $b (loop $l (br_table $b $l (i32.const 0)))) nop`, 6},
	"loop with parameters": {`(drop (loop $l (param i32) (result i32) (br_if $l (local.tee $n (i32.sub (local.get $n) (i32.const -1))) (i32.lt_s (local.get $n) (i32.const 10))))) `, 0},
	"fill":                 {`(memory.fill (i32.const 0) (i32.const 1) (i32.const 1000))`, 3 + 20 + 1000},
	"fill in a loop": {`(local.set $n (i32.const 10)) (loop $l (memory.fill (i32.const 0) (i32.const 1) (i32.const 1000))
		(br_if $l (local.tee $n (i32.sub (local.get $n) (i32.const 1)))))`, 2 + 10*(3+20+1000+5)},
	"copy":           {`(memory.copy (i32.const 0) (i32.const 1) (i32.const 70))`, 3 + 20 + 70},
	"init":           {`(memory.init $d (i32.const 0) (i32.const 1) (i32.const 2))`, 3 + 20 + 2},
	"table fill":     {`(table.fill (i32.const 0) (ref.null func) (i32.const 2))`, 3 + 20 + 2*8},
	"table grow":     {`(drop (table.grow (ref.null func) (i32.const 2)))`, 3 + 300 + 2*8},
	"table copy":     {`(table.copy (i32.const 0) (i32.const 1) (i32.const 2))`, 3 + 20 + 2*8},
	"table init":     {`(table.init $e (i32.const 0) (i32.const 0) (i32.const 1))`, 3 + 20 + 8},
	"direct call":    {`(call $two)`, 7},
	"indirect call":  {`(call_indirect (i32.const 1))`, 11 + 2},
	"tail call":      {`(return_call $two)`, 7},
	"tail calls":     {`(return_call $count (i32.const 1000))`, 1 + 5 + 1000*10 + 2},
	"recursion":      {`(call $recurse (i32.const 50))`, 1 + 5 + 50*(2+3+5) + 2},
	"after the last": {`(loop $l (loop $m) (loop $n2 nop)) nop`, 2},
}

const meteredHelpers = `
	(memory 1) (table 4 funcref) (elem (i32.const 1) $two) (data $d "abcdef") (elem $e func $two)
	(func $two nop nop)
	(func $count (param $k i32) (if (local.get $k) (then (return_call $count (i32.sub (local.get $k) (i32.const 1))))))
	(func $recurse (param $k i32) (if (local.get $k) (then (call $recurse (i32.sub (local.get $k) (i32.const 1))))))`

func meteredModule(body string) []byte {
	return wat.MustAssemble(`(module` + meteredHelpers + `(func (export "canister_update go") (local $n i32) (local $m i32)` + body + `))`)
}

func TestInstructionsAreCountedExactly(t *testing.T) {
	backends(t, func(t *testing.T, cfg EngineConfig) {
		for name, p := range meteredPrograms {
			t.Run(name, func(t *testing.T) {
				if name == "loop with parameters" {
					t.Skip("has no closed form here")
				}
				i := newTestInstance(t, cfg, meteredModule(p.body))
				out := i.Call(testGo, &Call{Limit: 1 << 40})
				if out.Trap != nil || out.Instructions != p.cost {
					t.Fatalf("%d instructions, want %d; %v", out.Instructions, p.cost, out.Trap)
				}
			})
		}
	})
}

func TestTheLimitIsExact(t *testing.T) {
	backends(t, func(t *testing.T, cfg EngineConfig) {
		for name, p := range meteredPrograms {
			if p.cost == 0 {
				continue
			}
			m := newTestModule(t, cfg, meteredModule(p.body))
			if out := instantiate(t, m).Call(testGo, &Call{Limit: p.cost}); out.Trap != nil || out.Instructions != p.cost {
				t.Errorf("%s with %d instructions: %+v", name, p.cost, out)
			}
			out := instantiate(t, m).Call(testGo, &Call{Limit: p.cost - 1})
			if out.Trap == nil || out.Trap.Kind != InstructionLimit || out.Instructions != p.cost-1 {
				t.Errorf("%s with one instruction too few: %+v", name, out)
			}
		}
	})
}

func TestTheHostGetsControlEverySlice(t *testing.T) {
	for name, body := range map[string]string{
		"region": `(local.set $n (i32.const 2000000)) (loop $l (br_if $l (local.tee $n (i32.sub (local.get $n) (i32.const 1)))))`,
		"calls":  `(local.set $n (i32.const 1000000)) (loop $l (call $two) (br_if $l (local.tee $n (i32.sub (local.get $n) (i32.const 1)))))`,
		"fills": `(local.set $n (i32.const 300)) (loop $l (memory.fill (i32.const 0) (i32.const 1) (i32.const 50000))
			(br_if $l (local.tee $n (i32.sub (local.get $n) (i32.const 1)))))`,
		"tail calls": `(return_call $count (i32.const 1000000))`,
		"parameters": `(drop (loop $l (param i32) (result i32) (br_if $l (i32.add (i32.const 1)) (i32.lt_s (local.tee $n (i32.add (local.get $n) (i32.const 1))) (i32.const 1000000)))) `,
	} {
		if name == "parameters" {
			body = `i32.const 0 loop $l (param i32) (result i32) i32.const 1 i32.add local.tee $n local.get $n i32.const 1000000 i32.lt_s br_if $l end drop`
		}
		i := newTestInstance(t, EngineConfig{}, meteredModule(body))
		last, longest := uint64(0), uint64(0)
		out := i.Call(testGo, &Call{Limit: 1 << 40, Yield: func(used uint64) error {
			longest = max(longest, used-last)
			last = used
			return nil
		}})
		if out.Trap != nil || longest < sliceInstructions || longest > sliceInstructions+60_000 || out.Instructions-last > sliceInstructions+60_000 {
			t.Errorf("%s: %d instructions, at most %d without the host, %d after its last turn; %v", name, out.Instructions, longest, out.Instructions-last, out.Trap)
		}
	}
}

func TestErrorsOfYieldAreTraps(t *testing.T) {
	for _, body := range []string{`(loop $l (br $l))`, `(loop $l (call $two) (br $l))`} {
		i := newTestInstance(t, EngineConfig{}, meteredModule(body))
		out := i.Call(testGo, &Call{Limit: 1 << 40, Yield: func(uint64) error { return errTest }})
		if out.Trap == nil || out.Trap.Kind != Host || !errors.Is(out.Trap, errTest) {
			t.Errorf("%s: %v", body, out.Trap)
		}
		if out.Instructions < sliceInstructions || out.Instructions > sliceInstructions+20 {
			t.Errorf("%s: %d instructions", body, out.Instructions)
		}
	}
}

func TestTrapsInRegionsCostTheWholeSlice(t *testing.T) {
	backends(t, func(t *testing.T, cfg EngineConfig) {
		i := newTestInstance(t, cfg, meteredModule(`(loop $l (drop (i32.load (local.tee $n (i32.add (local.get $n) (i32.const 4))))) (br $l))`))
		for _, c := range []struct{ limit, used uint64 }{{1 << 40, sliceInstructions}, {1_000_000, 1_000_000}} {
			out := i.Call(testGo, &Call{Limit: c.limit})
			if out.Trap == nil || out.Trap.Kind != MemoryOutOfBounds || out.Instructions != c.used {
				t.Errorf("%+v", out)
			}
		}
		i = newTestInstance(t, cfg, meteredModule(`(loop $l nop nop unreachable)`))
		if out := goTest(i); out.Instructions != 3 {
			t.Errorf("unreachable in a region: %+v", out)
		}
	})
}

// depthModule recurses until the stack is used up; the global counts the calls.
func depthModule(body string) []byte {
	return wat.MustAssemble(`(module (global $n (mut i64) (i64.const 0))
		(func $leaf (param i32) (result i32) (local.get 0))
		(func $f (export "canister_update go") (local $x i32) (global.set $n (i64.add (global.get $n) (i64.const 1))) ` + body + `))`)
}

func TestTheDepthOfCallsIsTheSameEverywhere(t *testing.T) {
	bodies := map[string]string{
		"plain":    `(call $f)`,
		"indirect": `(call $f) (drop (call $leaf (i32.const 1)))`,
		"big":      `(call $f)` + strings.Repeat(` (local.set $x (i32.add (local.get $x) (i32.const 1)))`, 100),
		"values":   `(drop (i32.add (call $leaf (i32.const 1)) (block (result i32) (call $f) (i32.const 2))))`,
	}
	for name, body := range bodies {
		depths := map[string]uint64{}
		used := map[string]uint64{}
		backends(t, func(t *testing.T, cfg EngineConfig) {
			cfg.StackUnits = 10_000
			i := newTestInstance(t, cfg, depthModule(body))
			for range 2 {
				i.SetGlobals([]uint64{0})
				out := i.Call(testGo, &Call{Limit: 1 << 40})
				if out.Trap == nil || out.Trap.Kind != StackOverflow {
					t.Fatalf("%s: %v", name, out.Trap)
				}
				if d := depths[t.Name()]; d != 0 && d != i.Globals()[0] {
					t.Errorf("%s: %d deep, then %d", name, d, i.Globals()[0])
				}
				depths[t.Name()], used[t.Name()] = i.Globals()[0], out.Instructions
			}
		})
		var all []uint64
		for _, m := range []map[string]uint64{depths, used} {
			for _, d := range m {
				all = append(all, d)
			}
		}
		if len(all) != 4 || all[0] != all[1] || all[2] != all[3] || all[0] < 50 || all[0] > 1300 {
			t.Errorf("%s: depths %v, instructions %v", name, depths, used)
		}
	}
}

func TestTheDepthIsRestoredOnEveryWayOut(t *testing.T) {
	// Each of the functions comes back, or goes on, in another way; none may leave
	// anything behind of what it took from the stack's depth.
	ways := []string{
		`(call $two)`,
		`(call $two) (return)`,
		`(call $two) (br 0)`,
		`(block (loop (block (call $two) (br 3))))`,
		`(call $two) (br_if 0 (i32.const 1)) unreachable`,
		`(call $two) (br_table 0 0 (i32.const 1))`,
		`(block (call $two) (br_table 0 1 (i32.const 1))) unreachable`,
		`(call $two) (return_call $two)`,
		`(call $two) (return_call_indirect (i32.const 1))`,
		`(loop (if (i32.const 1) (then (call $two) (return))))`,
		`(call $two) (loop (block (br_if 2 (i32.const 1)))) unreachable`,
		`(drop (call $pair)) drop`,
	}
	backends(t, func(t *testing.T, cfg EngineConfig) {
		for _, way := range ways {
			i := newTestInstance(t, cfg, wat.MustAssemble(`(module`+meteredHelpers+`
				(func $pair (result i32 i64) (if (i32.const 1) (then (return (i32.const 1) (i64.const 2)))) (call $two) (i32.const 3) (i64.const 4))
				(func $way `+way+`)
				(func (export "canister_update go") (local $n i32)
					(local.set $n (i32.const 1000))
					(loop $l (call $way) (br_if $l (local.tee $n (i32.sub (local.get $n) (i32.const 1)))))))`))
			if out := goTest(i); out.Trap != nil {
				t.Errorf("%s: %v", way, out.Trap)
			}
			if d := uint64(i.machine.Depth()); d != defaultStackUnits {
				t.Errorf("%s: %d units are left of %d", way, d, defaultStackUnits)
			}
		}
	})
}

func TestTailCallsTakeNoStack(t *testing.T) {
	backends(t, func(t *testing.T, cfg EngineConfig) {
		cfg.StackUnits = 100
		i := newTestInstance(t, cfg, meteredModule(`(return_call $count (i32.const 100000))`))
		if out := goTest(i); out.Trap != nil {
			t.Error(out.Trap)
		}
	})
}

func TestCountsDoNotDependOnTheSlice(t *testing.T) {
	// The same work in calls with different limits ends up in slices of different
	// lengths, but takes the same number of instructions.
	i := newTestInstance(t, EngineConfig{}, meteredModule(`(local.set $n (i32.const 1000000))
		(loop $l (call $two) (br_if $l (local.tee $n (i32.sub (local.get $n) (i32.const 1)))))`))
	var counts []uint64
	for _, limit := range []uint64{12_000_002, 12_345_678, 1 << 40} {
		out := i.Call(testGo, &Call{Limit: limit})
		if out.Trap != nil {
			t.Fatal(out.Trap)
		}
		counts = append(counts, out.Instructions)
	}
	if slices.Min(counts) != slices.Max(counts) {
		t.Error(counts)
	}
}

func TestTheCounterIsOutOfReach(t *testing.T) {
	// A module that has one global can name no other.
	for _, index := range []int{1, 2, 3} {
		_, _, err := instrument.Rewrite(wat.MustAssemble(fmt.Sprintf(`(module (global (mut i64) (i64.const 0))
			(func (export "canister_update go") (global.set %d (i64.const 1000000))))`, index)), instrument.Options{})
		if err == nil {
			t.Errorf("global %d of 1 can be set", index)
		}
	}
}

// The units must run out before the compiler's own stack does, whose frames hold what
// lives across a call: here as much as can be for the size of the code.
func TestUnitsRunOutBeforeTheCompilersStack(t *testing.T) {
	const values = 2000
	for name, c := range map[string]struct{ push, use string }{
		"none":    {},
		"numbers": {`(global.get $n)`, ` i64.xor`},
		"vectors": {`(i64x2.splat (global.get $n))`, ` i64x2.add`},
		"locals":  {`(local.set $x (i32.wrap_i64 (global.get $n))) (local.get $x)`, ` i32.add`},
	} {
		body := strings.Repeat(c.push, values) + `(call $f)`
		if c.push != "" {
			body += strings.Repeat(c.use, values-1) + ` drop`
		}
		i := newTestInstance(t, EngineConfig{}, depthModule(body))
		out := i.Call(testGo, &Call{Limit: 1 << 40})
		if out.Trap == nil || out.Trap.Kind != StackOverflow || out.Trap.Message != depthMessage {
			t.Errorf("%s: %v after %d calls", name, out.Trap, i.Globals()[0])
		}
		t.Logf("%s: %d calls deep", name, i.Globals()[0])
	}
}
