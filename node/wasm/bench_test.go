package wasm

import (
	"context"
	"testing"

	"portico/node/wasm/wat"

	"github.com/tetratelabs/wazero"
	"github.com/tetratelabs/wazero/api"
	"github.com/tetratelabs/wazero/experimental"
)

// Loops of different kinds, each of some milliseconds. PTR is the type of pointers.
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
// as it is.
func BenchmarkAgainstRaw(b *testing.B) {
	for _, p := range []struct{ name, src string }{
		{"sieve", sieve}, {"fib", fib}, {"mix", mix}, {"float", float}, {"tight", tight}, {"empty", empty},
	} {
		code := wat.MustAssemble(p.src)
		b.Run(p.name+"/raw", func(b *testing.B) {
			f := rawFunction(b, code)
			for b.Loop() {
				if err := f.CallWithStack(context.Background(), nil); err != nil {
					b.Fatal(err)
				}
			}
		})
		b.Run(p.name+"/portico", func(b *testing.B) {
			i := newTestInstance(b, EngineConfig{}, code)
			call := &Call{Limit: 1 << 40}
			var out Outcome
			for b.Loop() {
				if out = i.Call("canister_update go", call); out.Trap != nil {
					b.Fatal(out.Trap)
				}
			}
			b.ReportMetric(float64(out.Instructions), "instructions/op")
		})
	}
}

func rawFunction(tb testing.TB, code []byte) api.Function {
	ctx := context.Background()
	r := wazero.NewRuntimeWithConfig(ctx, wazero.NewRuntimeConfig().WithCoreFeatures(api.CoreFeaturesV2|experimental.CoreFeaturesTailCall))
	tb.Cleanup(func() { r.Close(ctx) })
	m, err := r.Instantiate(ctx, code)
	if err != nil {
		tb.Fatal(err)
	}
	return m.ExportedFunction("canister_update go")
}
