package wasm

import (
	"bytes"
	"context"
	"fmt"
	"slices"
	"testing"

	"portico/node/wasm/guest"
	"portico/node/wasm/wat"

	"github.com/tetratelabs/wazero"
	"github.com/tetratelabs/wazero/api"
	"github.com/tetratelabs/wazero/experimental"
)

// result is everything that a run of a module leaves behind.
type result struct {
	out     Outcome
	trap    TrapKind
	memory  []byte
	globals []uint64
}

func (r result) String() string {
	return fmt.Sprintf("%d instructions, trap %q, %d pages, globals %x", r.out.Instructions, r.trap, len(r.memory)>>16, r.globals)
}

const differentialLimit = 300_000

func engines(t *testing.T) (compiler, interpreter *Engine) {
	t.Helper()
	for i, e := range []**Engine{&compiler, &interpreter} {
		var err error
		if *e, err = NewEngine(EngineConfig{Interpreter: i == 1, StackUnits: 3000}); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { (*e).Close() })
	}
	return compiler, interpreter
}

func runModule(t *testing.T, e *Engine, code []byte, times int) (out []result) {
	t.Helper()
	m, err := e.Compile(context.Background(), code)
	if err != nil {
		t.Fatal(err)
	}
	defer m.Close()
	i := instantiate(t, m)
	defer i.Close()
	for range times {
		o := i.Call(testGo, &Call{Limit: differentialLimit})
		r := result{out: o, memory: memoryOf(i), globals: i.Globals()}
		if o.Trap != nil {
			r.trap = o.Trap.Kind
		}
		out = append(out, r)
	}
	return out
}

func seeds(t *testing.T) uint64 {
	if testing.Short() {
		return 60
	}
	return 200
}

// The two backends have nothing in common but the rewritten module.
func TestRandomModulesRunTheSameOnBothBackends(t *testing.T) {
	compiler, interpreter := engines(t)
	kinds := map[TrapKind]int{}
	for seed := range seeds(t) {
		src := randomModule(seed, []string{"i32", "i64"}[seed%2], seed%4 < 2)
		code, err := wat.Assemble(src)
		if err != nil {
			t.Fatalf("seed %d: %v\n%s", seed, err, src)
		}
		a, b := runModule(t, compiler, code, 2), runModule(t, interpreter, code, 2)
		for k := range a {
			kinds[a[k].trap]++
			if a[k].String() != b[k].String() || !bytes.Equal(a[k].memory, b[k].memory) {
				t.Fatalf("seed %d, call %d:\ncompiler    %v\ninterpreter %v\nmemories equal: %v\n%s", seed, k, a[k], b[k], bytes.Equal(a[k].memory, b[k].memory), src)
			}
		}
	}
	t.Log("ends of calls: ", kinds)
	if kinds[0] < int(seeds(t))/2 {
		t.Error("hardly any call returns: ", kinds)
	}
}

// The runtime itself, without the rewriter, is the judge of what a module means; of
// a module with 64-bit addresses, its twin with 32-bit ones.
func TestRandomModulesMeanTheSameUninstrumented(t *testing.T) {
	compiler, _ := engines(t)
	compared := 0
	for seed := range seeds(t) {
		width := []string{"i32", "i64"}[seed%2]
		// Without floats: the bits of a NaN are the one difference that is wanted.
		code := wat.MustAssemble(randomModule(seed, width, false))
		got := runModule(t, compiler, code, 1)[0]
		if got.trap == InstructionLimit || got.trap == StackOverflow {
			continue // the runtime itself might never end
		}
		compared++
		want := runRaw(t, wat.MustAssemble(randomModule(seed, "i32", false)))
		got.out.Instructions = 0
		if got.String() != want.String() || !bytes.Equal(got.memory, want.memory) {
			t.Fatalf("seed %d, %s:\ninstrumented %v\nraw          %v\nmemories equal: %v\n%s", seed, width, got, want,
				bytes.Equal(got.memory, want.memory), randomModule(seed, width, false))
		}
	}
	if compared < 30 {
		t.Errorf("only %d modules end by themselves", compared)
	}
}

func runRaw(t *testing.T, code []byte) (r result) {
	t.Helper()
	ctx := context.Background()
	rt := wazero.NewRuntimeWithConfig(ctx, wazero.NewRuntimeConfig().WithCoreFeatures(api.CoreFeaturesV2|experimental.CoreFeaturesTailCall))
	defer rt.Close(ctx)
	m, err := rt.Instantiate(ctx, code)
	if err != nil {
		t.Fatal(err)
	}
	if err := m.ExportedFunction(testGo).CallWithStack(ctx, make([]uint64, 1)); err != nil {
		r.trap = trapOf(guest.FaultOf(err)).Kind
	}
	r.memory, _ = m.Memory().Read(0, m.Memory().Size())
	for i := 0; ; i++ {
		g := m.ExportedGlobal(fmt.Sprintf("g%d", i))
		if g == nil {
			return r
		}
		v := g.Get()
		if g.Type() == api.ValueTypeI32 {
			v = uint64(uint32(v))
		}
		r.globals = append(r.globals, v)
	}
}

// Compiling again, and calling in another order, changes nothing.
func TestRunsAreRepeatable(t *testing.T) {
	compiler, _ := engines(t)
	for seed := range uint64(20) {
		code := wat.MustAssemble(randomModule(seed+1000, "i64", true))
		a, b := runModule(t, compiler, code, 3), runModule(t, compiler, code, 3)
		if !slices.EqualFunc(a, b, func(a, b result) bool { return a.String() == b.String() && bytes.Equal(a.memory, b.memory) }) {
			t.Fatalf("seed %d: %v, then %v", seed, a, b)
		}
	}
}
