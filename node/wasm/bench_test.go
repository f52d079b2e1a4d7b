package wasm

import (
	"context"
	"math"
	"runtime"
	"strings"
	"testing"
	"time"

	"portico/node/wasm/wat"

	"github.com/tetratelabs/wazero"
	"github.com/tetratelabs/wazero/api"
	"github.com/tetratelabs/wazero/experimental"
)

// Loops of different kinds, each of some milliseconds.
const (
	sieve = `(module (memory i32 40) (func (export "canister_update go") (local $i i32) (local $j i32)
		(local.set $i (i32.const 2))
		(loop $outer
			(if (i32.eqz (i32.load8_u (local.get $i)))
				(then
					(local.set $j (i32.shl (local.get $i) (i32.const 1)))
					(block $done (loop $inner
						(br_if $done (i32.ge_u (local.get $j) (i32.const 2000000)))
						(i32.store8 (local.get $j) (i32.const 1))
						(local.set $j (i32.add (local.get $j) (local.get $i)))
						(br $inner)))))
			(local.set $i (i32.add (local.get $i) (i32.const 1)))
			(br_if $outer (i32.lt_u (local.get $i) (i32.const 2000000))))))`
	fib = `(module (func $fib (param $n i32) (result i32)
		(if (result i32) (i32.lt_u (local.get $n) (i32.const 2))
			(then (local.get $n))
			(else (i32.add (call $fib (i32.sub (local.get $n) (i32.const 1))) (call $fib (i32.sub (local.get $n) (i32.const 2)))))))
		(func (export "canister_update go") (drop (call $fib (i32.const 30)))))`
	mix = `(module (memory i32 16) (func (export "canister_update go") (local $x i32) (local $n i32)
		(local.set $x (i32.const 12345)) (local.set $n (i32.const 10000000))
		(loop $l
			(local.set $x (i32.xor (local.get $x) (i32.shl (local.get $x) (i32.const 13))))
			(local.set $x (i32.xor (local.get $x) (i32.shr_u (local.get $x) (i32.const 17))))
			(local.set $x (i32.xor (local.get $x) (i32.shl (local.get $x) (i32.const 5))))
			(i32.store (i32.and (local.get $x) (i32.const 0xffffc)) (i32.add (local.get $n)
				(i32.load (i32.and (i32.mul (local.get $x) (i32.const 7)) (i32.const 0xffffc)))))
			(br_if $l (local.tee $n (i32.sub (local.get $n) (i32.const 1)))))))`
	float = `(module (func (export "canister_update go") (local $x f64) (local $n i32)
		(local.set $x (f64.const 1.5)) (local.set $n (i32.const 10000000))
		(loop $l
			(local.set $x (f64.add (f64.mul (local.get $x) (f64.const 0.999)) (f64.const 0.5)))
			(br_if $l (local.tee $n (i32.sub (local.get $n) (i32.const 1)))))))`
	tight = `(module (func (export "canister_update go") (local $n i32)
		(local.set $n (i32.const 20000000))
		(loop $l (br_if $l (local.tee $n (i32.sub (local.get $n) (i32.const 1)))))))`
	empty = `(module (func (export "canister_update go")))`
)

// BenchmarkAgainstRaw compares instrumented code with the same module run by the runtime
// as it is, turn by turn. The ratio is of the fastest turns.
func BenchmarkAgainstRaw(b *testing.B) {
	wide := strings.NewReplacer("(memory i32", "(memory i64", "(i32.load8_u (local.get $i))", "(i32.load8_u (i64.extend_i32_u (local.get $i)))",
		"(i32.store8 (local.get $j)", "(i32.store8 (i64.extend_i32_u (local.get $j))", "(i32.store (i32.and (local.get $x) (i32.const 0xffffc))",
		"(i32.store (i64.extend_i32_u (i32.and (local.get $x) (i32.const 0xffffc)))",
		"(i32.load (i32.and (i32.mul (local.get $x) (i32.const 7)) (i32.const 0xffffc)))",
		"(i32.load (i64.extend_i32_u (i32.and (i32.mul (local.get $x) (i32.const 7)) (i32.const 0xffffc))))")
	for _, p := range []struct{ name, src string }{
		{"sieve", sieve}, {"fib", fib}, {"mix", mix}, {"float", float}, {"tight", tight}, {"empty", empty},
	} {
		code := wat.MustAssemble(p.src)
		b.Run(p.name, func(b *testing.B) { compare(b, code, code, testGo, nil) })
		if strings.Contains(p.src, "memory i32") {
			b.Run(p.name+" with a 64-bit memory", func(b *testing.B) { compare(b, code, wat.MustAssemble(wide.Replace(p.src)), testGo, nil) })
		}
	}
	b.Run("Go canister", func(b *testing.B) { code := goCanister(b); compare(b, code, code, "canister_update work", nil) })
	b.Run("Motoko, 32-bit", func(b *testing.B) {
		code := motoko(b, "classicOP")
		compare(b, code, code, "canister_update spin", nat(300_000))
	})
	b.Run("Motoko, 64-bit against raw 32-bit", func(b *testing.B) {
		compare(b, motoko(b, "classicOP"), motoko(b, ""), "canister_update spin", nat(300_000))
	})
}

// compare runs raw as it is and code instrumented.
func compare(b *testing.B, raw, code []byte, export string, arg []byte) {
	msg := &message{arg: arg}
	call := &Call{Env: msg, Limit: 1 << 40}
	// A memory that grows without moving, as those of canisters do: Motoko's default
	// collector lets several megabytes a call accumulate.
	memory := &plainMemory{b: make([]byte, 0, 2<<30)}
	i := initialise(b, instantiateOn(b, newTestModule(b, EngineConfig{Host: systemAPI()}, code), memory))
	f := rawFunction(b, raw, msg, export)
	plain, instrumented := time.Duration(math.MaxInt64), time.Duration(math.MaxInt64)
	calls := 1
	if export == testGo && i.Call(export, call).Instructions < 1000 {
		calls = 1000 // reading the clock takes longer than a call
	}
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	var out Outcome
	for b.Loop() {
		begin := threadTime()
		for range calls {
			if err := f.CallWithStack(context.Background(), nil); err != nil {
				b.Fatal(err)
			}
		}
		between := threadTime()
		for range calls {
			if out = i.Call(export, call); out.Trap != nil {
				b.Fatal(out.Trap)
			}
		}
		plain, instrumented = min(plain, between-begin), min(instrumented, threadTime()-between)
		msg.reply = msg.reply[:0]
	}
	plain, instrumented = plain/time.Duration(calls), instrumented/time.Duration(calls)
	b.ReportMetric(float64(instrumented)/float64(plain), "ratio")
	b.ReportMetric(float64(plain.Nanoseconds()), "raw-ns")
	b.ReportMetric(float64(instrumented.Nanoseconds()), "instrumented-ns")
	b.ReportMetric(float64(out.Instructions)/float64(instrumented.Nanoseconds()), "instructions/ns")
	b.ReportMetric(0, "ns/op")
}

func rawFunction(tb testing.TB, code []byte, msg *message, export string) api.Function {
	ctx := context.Background()
	r := wazero.NewRuntimeWithConfig(ctx, wazero.NewRuntimeConfig().WithCoreFeatures(api.CoreFeaturesV2|experimental.CoreFeaturesTailCall))
	tb.Cleanup(func() { r.Close(ctx) })
	host := r.NewHostModuleBuilder("ic0")
	for _, h := range systemAPI() {
		narrow := func(ts []ValueType) (out []api.ValueType) {
			for _, t := range ts {
				out = append(out, map[ValueType]api.ValueType{I32: api.ValueTypeI32, Ptr: api.ValueTypeI32, I64: api.ValueTypeI64}[t])
			}
			return out
		}
		host.NewFunctionBuilder().WithGoModuleFunction(api.GoModuleFunc(func(_ context.Context, m api.Module, stack []uint64) {
			switch h.Name {
			case "msg_arg_data_size":
				stack[0] = uint64(len(msg.arg))
			case "msg_arg_data_copy":
				m.Memory().Write(uint32(stack[0]), msg.arg[uint32(stack[1]):uint32(stack[1])+uint32(stack[2])])
			default:
				if len(h.Results) > 0 {
					stack[0] = 0
				}
			}
		}), narrow(h.Params), narrow(h.Results)).Export(h.Name)
	}
	if _, err := host.Instantiate(ctx); err != nil {
		tb.Fatal(err)
	}
	m, err := r.Instantiate(ctx, code)
	if err != nil {
		tb.Fatal(err)
	}
	if f := m.ExportedFunction("canister_init"); f != nil {
		arg := msg.arg
		msg.arg = []byte("DIDL\x00\x00")
		if err := f.CallWithStack(ctx, nil); err != nil {
			tb.Fatal(err)
		}
		msg.arg = arg
	}
	return m.ExportedFunction(export)
}

// kept is a memory that lives on, as the heaps of canisters do.
type kept struct{ b []byte }

func (k kept) Reallocate(size uint64) []byte { return k.b[:size] }

func (k kept) Free() {}

// BenchmarkInstantiate makes instances of a real module over a memory that exists.
func BenchmarkInstantiate(b *testing.B) {
	m := newTestModule(b, EngineConfig{Host: systemAPI()}, goCanister(b))
	memory := kept{make([]byte, m.Info().MinPages<<16)}
	b.ReportAllocs()
	for b.Loop() {
		i, err := m.Instantiate(InstanceConfig{Memory: memory, InitialPages: m.Info().MinPages})
		if err != nil {
			b.Fatal(err)
		}
		i.Close()
	}
}

// BenchmarkHostCall is one call of a host function, from a loop.
func BenchmarkHostCall(b *testing.B) {
	const calls = 1000
	host := HostFunc{Name: "f", Params: []ValueType{Ptr}, Func: func(c *Caller, _ []uint64) error { return c.Charge(1) }}
	i := newTestInstance(b, EngineConfig{Host: []HostFunc{host}}, wat.MustAssemble(`(module (import "ic0" "f" (func $f (param i32)))
		(func (export "canister_update go") (local $n i32) (local.set $n (i32.const 1000))
			(loop $l (call $f (local.get $n)) (br_if $l (local.tee $n (i32.sub (local.get $n) (i32.const 1)))))))`))
	b.ReportAllocs()
	for b.Loop() {
		if out := goTest(i); out.Trap != nil {
			b.Fatal(out.Trap)
		}
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/calls, "ns/host-call")
}
