package wasm

import (
	"fmt"
	"strings"
	"testing"

	"portico/node/wasm/wat"
)

// Every operation that can make a NaN, given one with a payload or making one from
// numbers, must give the canonical NaN wherever its bits can be seen.
func TestNaNsAreCanonical(t *testing.T) {
	const canonical32, canonical64 = 0x7fc00000, 0x7ff8000000000000
	var src strings.Builder
	src.WriteString(`(module (memory 1)
		(global $n32 (mut i32) (i32.const 0)) (global $n64 (mut i64) (i64.const 0)) (global $r (mut i64) (i64.const 0)) (global $r2 (mut i64) (i64.const 0))` + "\n")
	var names []string
	want := map[string]uint64{}
	add := func(name, code string, result uint64) {
		names = append(names, name)
		want[name] = result
		fmt.Fprintf(&src, `(func (export "canister_update %s") (local $f f64) (local $g f32) %s)`+"\n", name, code)
	}
	a32, a64 := `(f32.reinterpret_i32 (global.get $n32))`, `(f64.reinterpret_i64 (global.get $n64))`
	see32, see64 := `(global.set $r (i64.extend_i32_u (i32.reinterpret_f32 %s)))`, `(global.set $r (i64.reinterpret_f64 %s))`
	for _, op := range strings.Fields("add sub mul div min max") {
		add("f32."+op+" left", fmt.Sprintf(see32, `(f32.`+op+` `+a32+` (f32.const 1))`), canonical32)
		add("f32."+op+" right", fmt.Sprintf(see32, `(f32.`+op+` (f32.const 1) `+a32+`)`), canonical32)
		add("f64."+op+" left", fmt.Sprintf(see64, `(f64.`+op+` `+a64+` (f64.const 1))`), canonical64)
		add("f64."+op+" right", fmt.Sprintf(see64, `(f64.`+op+` (f64.const 1) `+a64+`)`), canonical64)
		vector := func(shape, one string) string {
			v := `(i64x2.splat (global.get $n64))`
			if shape == "f32x4" {
				v = `(i32x4.splat (global.get $n32))`
			}
			return `(global.set $r (i64x2.extract_lane 0 (` + shape + `.` + op + ` ` + v + ` (` + shape + `.splat (` + one + `.const 1)))))` +
				`(global.set $r2 (i64x2.extract_lane 1 (` + shape + `.` + op + ` (` + shape + `.splat (` + one + `.const 1)) ` + v + `)))`
		}
		add("f32x4."+op, vector("f32x4", "f32"), canonical32<<32|canonical32)
		add("f64x2."+op, vector("f64x2", "f64"), canonical64)
	}
	for _, op := range strings.Fields("ceil floor trunc nearest sqrt") {
		add("f32."+op, fmt.Sprintf(see32, `(f32.`+op+` `+a32+`)`), canonical32)
		add("f64."+op, fmt.Sprintf(see64, `(f64.`+op+` `+a64+`)`), canonical64)
		add("f32x4."+op, `(global.set $r (i64x2.extract_lane 0 (f32x4.`+op+` (i32x4.splat (global.get $n32)))))`, canonical32<<32|canonical32)
		add("f64x2."+op, `(global.set $r (i64x2.extract_lane 1 (f64x2.`+op+` (i64x2.splat (global.get $n64)))))`, canonical64)
	}
	add("demote", fmt.Sprintf(see32, `(f32.demote_f64 `+a64+`)`), canonical32)
	add("promote", fmt.Sprintf(see64, `(f64.promote_f32 `+a32+`)`), canonical64)
	add("demote2", `(global.set $r (i64x2.extract_lane 0 (f32x4.demote_f64x2_zero (i64x2.splat (global.get $n64)))))`, canonical32<<32|canonical32)
	add("promote2", `(global.set $r (i64x2.extract_lane 1 (f64x2.promote_low_f32x4 (i32x4.splat (global.get $n32)))))`, canonical64)
	// Ways for the bits of a result to be seen.
	nan64 := `(f64.add ` + a64 + ` (f64.const 1))`
	add("zero by zero", fmt.Sprintf(see64, `(f64.div (f64.const 0) (f64.const 0))`), canonical64)
	add("stored", `(f64.store (i32.const 0) `+nan64+`) (global.set $r (i64.load (i32.const 0)))`, canonical64)
	add("by a local", `(local.set $f `+nan64+`) `+fmt.Sprintf(see64, `(local.get $f)`), canonical64)
	add("by a local kept", `(drop (local.tee $f `+nan64+`)) `+fmt.Sprintf(see64, `(local.get $f)`), canonical64)
	add("by a block", fmt.Sprintf(see64, `(block (result f64) `+nan64+`)`), canonical64)
	add("by a branch", fmt.Sprintf(see64, `(block $b (result f64) (br $b `+nan64+`))`), canonical64)
	add("by a call", fmt.Sprintf(see64, `(call $same `+nan64+`)`), canonical64)
	add("by select", fmt.Sprintf(see64, `(select `+nan64+` (f64.const 1) (i32.const 1))`), canonical64)
	add("by select below", fmt.Sprintf(see64, `(select (f64.const 1) `+nan64+` (i32.const 0))`), canonical64)
	add("below a call", fmt.Sprintf(see64, nan64+` (drop (call $same (f64.const 1)))`), canonical64)
	add("by abs", fmt.Sprintf(see64, `(f64.abs `+nan64+`)`), canonical64)
	add("by neg", fmt.Sprintf(see64, `(f64.neg `+nan64+`)`), 1<<63|canonical64)
	add("by copysign", fmt.Sprintf(see64, `(f64.copysign `+nan64+` (f64.const -1))`), 1<<63|canonical64)
	add("by chains", fmt.Sprintf(see64, `(f64.sqrt (f64.mul (f64.const 2) (f64.add `+nan64+` (f64.sub (f64.const 1) `+nan64+`))))`), canonical64)
	add("as lanes", `(global.set $r (i64x2.extract_lane 0 (f64x2.mul (v128.const i64x2 0x3ff0000000000000 0) (f32x4.add (i64x2.splat (global.get $n64)) (v128.const i64x2 0 0)))))`, 0)
	src.WriteString(`(func $same (param f64) (result f64) (local.get 0)))`)
	code := wat.MustAssemble(src.String())
	delete(want, "as lanes") // depends on the value; the backends must agree
	backends(t, func(t *testing.T, cfg EngineConfig) {
		i := newTestInstance(t, cfg, code)
		for _, bits := range []struct{ n32, n64 uint64 }{
			{0x7fc00000, 0x7ff8000000000000},
			{0xffc00000, 0xfff8000000000000},
			{0x7fc12345, 0x7ff8123456789abc},
			{0xffffffff, 0xffffffffffffffff},
			{0x7f800001, 0x7ff0000000000001},
			{0xff812345, 0xfff0123412341234},
		} {
			for _, name := range names {
				i.SetGlobals([]uint64{bits.n32, bits.n64, 0, 0})
				if out := i.Call("canister_update "+name, &Call{Limit: 1000}); out.Trap != nil {
					t.Fatalf("%s: %v", name, out.Trap)
				}
				w, ok := want[name]
				g := i.Globals()
				if ok && (g[2] != w || g[3] != 0 && g[3] != w) {
					t.Errorf("%s of %x and %x: %x %x, want %x", name, bits.n32, bits.n64, g[2], g[3], w)
				}
			}
		}
	})
}

// The runtime's compiler gets this one wrong if it sees a select (wazero v1.12.0, amd64).
func TestChoicesBetweenVectorsAreRight(t *testing.T) {
	for _, choice := range []string{"select (result v128)", "select"} {
		backends(t, func(t *testing.T, cfg EngineConfig) {
			i := newTestInstance(t, cfg, wat.MustAssemble(`(module (memory 1) (func $x) (func (export "canister_update go") (local $z v128)
				(if (i32.load (i32.const 300)) (then (call $x)))
				(v128.store (i32.const 0) (if (result v128) (i32.const 0) (then (local.get $z))
					(else (`+choice+` (local.get $z) (v128.const i64x2 5 6) (i32.const 0)))))
				(call $x) (v128.store (i32.const 50) (local.get $z))))`))
			if out := goTest(i); out.Trap != nil || memoryOf(i)[0] != 5 || memoryOf(i)[8] != 6 {
				t.Errorf("%s: %v, memory % x", choice, out.Trap, memoryOf(i)[:16])
			}
		})
	}
}
