package wasm

import (
	"fmt"
	"strings"
	"testing"

	"portico/node/wasm/wat"
)

// Addresses around every edge of a 64-bit address space with a memory of 64 KiB.
var addresses64 = []uint64{
	0, 8, 65520, 65528, 65529, 65532, 65535, 65536, 1 << 31, 1<<32 - 16, 1<<32 - 8, 1<<32 - 1, 1 << 32, 1<<32 + 8, 1<<32 + 65528,
	1 << 33, 5 << 32, 1 << 48, 1<<63 - 8, 1 << 63, 1<<63 + 8, 1<<64 - 65536, 1<<64 - 8, 1<<64 - 1,
}

var offsets64 = []uint64{0, 8, 65528, 1<<32 - 16, 1<<32 - 1, 1 << 32, 1<<32 + 8, 1 << 40, 1<<64 - 8, 1<<64 - 1}

func inBounds(address, offset, size uint64) bool {
	end := address + offset
	return end >= address && end <= 65536 && size <= 65536-end
}

func TestLoadsAndStoresOf64BitMemoriesTrapOutsideOnly(t *testing.T) {
	accesses := map[string]struct {
		code string
		size uint64
	}{
		"i64.load":           {`(drop (i64.load OFF (global.get $a)))`, 8},
		"i32.load8_u":        {`(drop (i32.load8_u OFF (global.get $a)))`, 1},
		"f64.load":           {`(drop (f64.load OFF (global.get $a)))`, 8},
		"v128.load":          {`(drop (v128.load OFF (global.get $a)))`, 16},
		"v128.load16_lane":   {`(drop (v128.load16_lane OFF 1 (global.get $a) (v128.const i64x2 0 0)))`, 2},
		"v128.load64_zero":   {`(drop (v128.load64_zero OFF (global.get $a)))`, 8},
		"i64.store":          {`(i64.store OFF (global.get $a) (i64.const 1))`, 8},
		"i32.store16":        {`(i32.store16 OFF (global.get $a) (i32.const 1))`, 2},
		"f32.store":          {`(f32.store OFF (global.get $a) (f32.const 1))`, 4},
		"f64.store":          {`(f64.store OFF (global.get $a) (f64.const 1))`, 8},
		"i64.store32":        {`(i64.store32 OFF (global.get $a) (i64.const 1))`, 4},
		"v128.store":         {`(v128.store OFF (global.get $a) (v128.const i64x2 1 1))`, 16},
		"v128.store32_lane":  {`(v128.store32_lane OFF 3 (global.get $a) (v128.const i64x2 1 1))`, 4},
		"i64.load8_s region": {`(loop (drop (i64.load8_s OFF (global.get $a))))`, 1},
	}
	backends(t, func(t *testing.T, cfg EngineConfig) {
		var src strings.Builder
		src.WriteString(`(module (memory i64 1) (global $a (mut i64) (i64.const 0))`)
		for name, a := range accesses {
			for _, offset := range offsets64 {
				code := strings.ReplaceAll(a.code, "OFF", fmt.Sprintf("offset=%d", offset))
				fmt.Fprintf(&src, `(func (export "canister_update %s %d") %s)`+"\n", name, offset, code)
			}
		}
		src.WriteString(`)`)
		i := newTestInstance(t, cfg, wat.MustAssemble(src.String()))
		for name, a := range accesses {
			for _, offset := range offsets64 {
				for _, address := range addresses64 {
					i.SetGlobals([]uint64{address})
					out := i.Call(fmt.Sprintf("canister_update %s %d", name, offset), &Call{Limit: 100})
					if want := inBounds(address, offset, a.size); (out.Trap == nil) != want || !want && out.Trap.Kind != MemoryOutOfBounds {
						t.Errorf("%s of %#x with offset %#x: %v", name, address, offset, out.Trap)
					}
				}
			}
		}
	})
}

func TestBulkOperationsOn64BitMemoriesTrapOutsideOnly(t *testing.T) {
	const src = `(module (memory i64 1) (global $a (mut i64) (i64.const 0)) (global $b (mut i64) (i64.const 0)) (global $n (mut i64) (i64.const 0))
		(data $d "0123456789")
		(func (export "canister_update fill") (memory.fill (global.get $a) (i32.const 7) (global.get $n)))
		(func (export "canister_update copy") (memory.copy (global.get $a) (global.get $b) (global.get $n)))
		(func (export "canister_update init") (memory.init $d (global.get $a) (i32.wrap_i64 (global.get $b)) (i32.wrap_i64 (global.get $n)))))`
	backends(t, func(t *testing.T, cfg EngineConfig) {
		i := newTestInstance(t, cfg, wat.MustAssemble(src))
		check := func(op string, a, b, n uint64, want bool) {
			t.Helper()
			i.SetGlobals([]uint64{a, b, n})
			out := i.Call("canister_update "+op, &Call{Limit: 1 << 40})
			if (out.Trap == nil) != want || !want && out.Trap.Kind != MemoryOutOfBounds {
				t.Errorf("%s %#x %#x %#x: %v", op, a, b, n, out.Trap)
			}
		}
		for _, a := range addresses64 {
			for _, n := range []uint64{0, 1, 8, 16, 65536, 1 << 32, 1<<32 + 1, 1<<64 - 1} {
				check("fill", a, 0, n, inBounds(a, 0, n))
				check("copy", a, 8, n, inBounds(a, 0, n) && inBounds(8, 0, n))
				check("copy", 8, a, n, inBounds(a, 0, n) && inBounds(8, 0, n))
			}
			check("init", a, 3, 5, inBounds(a, 0, 5))
		}
	})
}

// A 64-bit table behaves as one of 32 bits wherever the index fits.
func Test64BitTablesWork(t *testing.T) {
	const src = `(module (import "ic0" "log" (func $log (param i64))) (table $t i64 4 funcref) (table $s 4 funcref)
		(elem (table $t) (i64.const 1) func $one $two) (elem $e func $two $one)
		(func $one (call $log (i64.const 1))) (func $two (call $log (i64.const 2)))
		(func $show (param $i i64) (if (ref.is_null (table.get $t (local.get $i)))
			(then (call $log (i64.const 0))) (else (call_indirect $t (local.get $i)))))
		(func (export "canister_update go")
			(call $log (table.size $t))
			(call $log (table.grow $t (ref.func $one) (i64.const 2)))
			(call $log (table.grow $t (ref.func $one) (i64.const 0x100000001)))
			(call $log (table.grow $t (ref.func $one) (i64.const -1)))
			(call $log (table.size $t))
			(table.fill $t (i64.const 2) (ref.func $two) (i64.const 2))
			(table.set $t (i64.const 0) (ref.func $two))
			(table.init $t $e (i64.const 3) (i32.const 0) (i32.const 2))
			(table.copy $t $t (i64.const 5) (i64.const 0) (i64.const 1))
			(table.copy $s $t (i32.const 0) (i64.const 0) (i32.const 2))
			(table.copy $t $s (i64.const 1) (i32.const 0) (i32.const 1))
			(call $show (i64.const 0)) (call $show (i64.const 1)) (call $show (i64.const 2)) (call $show (i64.const 3))
			(call $show (i64.const 4)) (call $show (i64.const 5))
			(table.set $t (i64.const 2) (ref.null func)) (call $show (i64.const 2))
			(return_call_indirect $t (i64.const 1))))`
	want := "[4 4 18446744073709551615 18446744073709551615 6 2 2 2 2 1 2 0 2]"
	backends(t, func(t *testing.T, cfg EngineConfig) {
		log, out := logged(t, cfg, src)
		if out.Trap != nil || fmt.Sprint(log) != want {
			t.Errorf("%v\n got %v\nwant %v", out.Trap, log, want)
		}
	})
}

func TestIndexesBeyond64BitTablesTrap(t *testing.T) {
	for _, code := range []string{
		`(drop (table.get (global.get $a)))`, `(table.set (global.get $a) (ref.null func))`,
		`(table.fill (global.get $a) (ref.null func) (i64.const 1))`, `(table.fill (i64.const 0) (ref.null func) (global.get $a))`,
		`(table.copy (global.get $a) (i64.const 0) (i64.const 1))`, `(table.copy (i64.const 0) (i64.const 0) (global.get $a))`,
		`(table.init 0 (global.get $a) (i32.const 0) (i32.const 1))`, `(call_indirect (global.get $a))`,
	} {
		backends(t, func(t *testing.T, cfg EngineConfig) {
			i := newTestInstance(t, cfg, wat.MustAssemble(`(module (global $a (mut i64) (i64.const 0)) (table i64 4 funcref) (elem func $f) (func $f)
				(func (export "canister_update go") `+code+`))`))
			for _, a := range addresses64 {
				if a <= 4 {
					continue
				}
				i.SetGlobals([]uint64{a})
				if out := i.Call(testGo, &Call{Limit: 1 << 50}); out.Trap == nil || out.Trap.Kind != TableOutOfBounds {
					t.Errorf("%s with %#x: %v", code, a, out.Trap)
				}
			}
		})
	}
}
