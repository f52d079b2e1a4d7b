package wasm

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"flag"
	"fmt"
	"hash/fnv"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"portico/node/conformance/universal"
	"portico/node/wasm/instrument"
	"portico/node/wasm/wat"

	"github.com/tetratelabs/wazero"
	"github.com/tetratelabs/wazero/api"
	"github.com/tetratelabs/wazero/experimental"
)

// Real modules are changed a little, as a script of bytes says, and must either be
// refused as invalid or run the same on both backends.
//
// The number, modulo 16, is that of a seed; beyond them the script is the module.
func FuzzMutants(f *testing.F) {
	for seed := range seedCount {
		f.Add(byte(seed), []byte{1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20, 21, 22, 23, 24, 25, 26, 27, 28, 29, 30})
	}
	f.Add(byte(255), wat.MustAssemble(sieve))
	f.Add(byte(255), wat.MustAssemble(randomModule(1, "i64", true)))
	t := newTrial(f)
	var made atomic.Int32 // seeds below it can be had
	made.Store(seedMotoko32)
	if flag.Lookup("test.fuzzworker").Value.String() == "true" {
		made.Store(seedGo)
		prepare(f, t, &made)
	}
	f.Fuzz(func(tt *testing.T, seed byte, s []byte) {
		if seed %= 16; seed < seedCount {
			if int32(seed) >= made.Load() {
				tt.Skip("this seed is made only while fuzzing, and takes a while")
			}
			s = mutate(t.seed(tt, int(seed)), &script{s})
		}
		t.run(tt, s)
	})
}

// prepare makes the seeds that need other compilers while fuzzing goes on: one input may
// take ten seconds at most.
func prepare(f *testing.F, t *trial, made *atomic.Int32) {
	done := make(chan struct{})
	f.Cleanup(func() { <-done })
	life := f.Context()
	go func() {
		defer close(done)
		for n := seedGo; n < seedCount && life.Err() == nil; n++ {
			_, _ = t.seeds[n]() // whoever wants it gets the error
			made.Store(int32(n) + 1)
		}
	}()
}

// A target whose mutants are all refused would find nothing.
func TestManyMutantsAreValid(t *testing.T) {
	trial := newTrial(t)
	random := rand.New(rand.NewPCG(5, 6))
	for _, n := range []int{seedUniversal, seedBench, seedRandom32, seedRandom64, seedGo} {
		ran := 0
		for range 20 {
			s := make([]byte, random.IntN(100))
			for i := range s {
				s[i] = byte(random.Uint32())
			}
			if trial.run(t, mutate(trial.seed(t, n), &script{s})) {
				ran++
			}
		}
		if ran < 5 {
			t.Errorf("only %d of 20 mutants of seed %d ran", ran, n)
		}
	}
}

const (
	// fuzzUnits is a depth of 500 calls at most: the interpreter's own limit of 2,000
	// stays out of reach, so that both backends overflow at the same call.
	fuzzUnits = 4000
	// fuzzPages bounds the memory that a mutant may have.
	fuzzPages = 128
	// fuzzInstructions bounds a call, fuzzTotal those of a mutant together. A slice of
	// the engine's is shorter.
	fuzzInstructions = 2_300_000
	fuzzTotal        = 3_000_000
	// maxExcerpt is how much code of a seed is compiled, in bytes.
	maxExcerpt = 12 << 10
	// maxSeedData is how much content a seed keeps.
	maxSeedData = 64 << 10
)

// The seeds by number.
const (
	seedUniversal = 0
	seedBench     = 1
	seedRandom32  = 2
	seedRandom64  = 6
	seedGo        = 10 // takes a second to make, those of Motoko longer
	seedMotoko32  = 11
	seedMotoko64  = 12
	seedCount     = 13
)

// trial compiles modules on both backends, and without the rewriter.
type trial struct {
	engines [2]*Engine
	raw     wazero.Runtime
	seeds   [seedCount]func() (*mutant, error)
}

func newTrial(tb testing.TB) *trial {
	t := &trial{}
	for i := range t.engines {
		e, err := NewEngine(EngineConfig{Host: fuzzHost(), Interpreter: i == 1, StackUnits: fuzzUnits})
		if err != nil {
			tb.Fatal(err)
		}
		tb.Cleanup(func() { e.Close() })
		t.engines[i] = e
	}
	ctx := context.Background()
	t.raw = wazero.NewRuntimeWithConfig(ctx, wazero.NewRuntimeConfigInterpreter().
		WithCoreFeatures(api.CoreFeaturesV2|experimental.CoreFeaturesTailCall|experimental.CoreFeaturesExtendedConst))
	tb.Cleanup(func() { t.raw.Close(ctx) })
	tmp, life := tb.TempDir(), tb.Context()
	for i := range t.seeds {
		t.seeds[i] = sync.OnceValues(func() (*mutant, error) {
			code, err := seedModule(life, tmp, i)
			if err != nil {
				return nil, err
			}
			return takeApart(code).trim(), nil
		})
	}
	return t
}

// seedModule makes a seed, or says why it cannot be made here.
func seedModule(ctx context.Context, tmp string, n int) ([]byte, error) {
	switch {
	case n == seedUniversal:
		return universal.Module()
	case n == seedGo:
		return goModule()
	case n == seedMotoko32:
		return motokoModule(ctx, tmp, "classicOP")
	case n == seedMotoko64:
		return motokoModule(ctx, tmp, "")
	case n == seedBench:
		return wat.Assemble(mix)
	case n < seedRandom64:
		return wat.Assemble(randomModule(uint64(n), "i32", true))
	default:
		return wat.Assemble(randomModule(uint64(n), "i64", true))
	}
}

func (t *trial) seed(tt *testing.T, n int) *mutant {
	m, err := t.seeds[n]()
	if err != nil {
		tt.Skip(err)
	}
	return m
}

// size is the length of all bodies.
func (m *mutant) size() (n int) {
	for _, f := range m.funcs {
		n += len(f.raw)
	}
	return n
}

// trim cuts off what is in memory beyond maxSeedData.
func (m *mutant) trim() *mutant {
	room := maxSeedData
	for i, d := range m.data {
		m.data[i].content = d.content[:min(len(d.content), room)]
		room -= len(m.data[i].content)
	}
	return m
}

// run is one module's trial; it says whether the module ran.
func (t *trial) run(tt *testing.T, code []byte) bool {
	ctx := context.Background()
	var modules [2]*Module
	var errs [2]error
	for i, e := range t.engines {
		modules[i], errs[i] = e.Compile(ctx, code)
		if modules[i] != nil {
			defer modules[i].Close()
		}
	}
	t.checkRefusal(tt, code, errs)
	if errs[0] != nil || modules[0].Info().MinPages > fuzzPages {
		return false
	}
	a, b := runMutant(tt, modules[0]), runMutant(tt, modules[1])
	for i := range a.calls {
		if a.calls[i] != b.calls[i] {
			tt.Fatalf("call %d:\ncompiler    %s\ninterpreter %s\n%x", i, a.calls[i], b.calls[i], code)
		}
	}
	if !bytes.Equal(a.memory, b.memory) {
		tt.Fatalf("memories differ after the same calls:\n%s\n%x", strings.Join(a.calls, "\n"), code)
	}
	return true
}

// checkRefusal compares what the engines say about a module with what the runtime says
// about the module as it is. The rewriter may refuse more.
func (t *trial) checkRefusal(tt *testing.T, code []byte, errs [2]error) {
	for _, err := range errs {
		invalid := (*Invalid)(nil)
		switch {
		case err == nil:
		case !errors.As(err, &invalid):
			tt.Fatalf("an error that is not Invalid: %v\n%x", err, code)
		case strings.Contains(err.Error(), "the compiler fails"):
			tt.Fatalf("%v\n%x", err, code)
		}
	}
	if (errs[0] == nil) != (errs[1] == nil) {
		tt.Fatalf("the backends disagree: %v; %v\n%x", errs[0], errs[1], code)
	}
	if _, _, err := instrument.Rewrite(code, instrument.Options{Imports: t.engines[0].imports}); err != nil {
		return
	}
	m, err := t.raw.CompileModule(context.Background(), code)
	if err == nil {
		m.Close(context.Background())
	} else if strings.Contains(err.Error(), "invalid byte for limits") {
		return // 64-bit: the runtime itself cannot tell
	}
	if (err == nil) != (errs[0] == nil) {
		tt.Fatalf("as it is: %v; rewritten: %v\n%x", err, errs[0], code)
	}
}

// conduct is what a mutant did: a line for each call, and the memory at last.
type conduct struct {
	calls  []string
	memory []byte
}

func runMutant(tt *testing.T, m *Module) (c conduct) {
	i := instantiate(tt, m)
	defer i.Close()
	info := m.Info()
	env := &fuzzEnv{}
	left := uint64(fuzzTotal)
	note := func(what string, call func(*Call) Outcome) {
		out := call(&Call{Env: env, Limit: min(left, fuzzInstructions), Grow: fuzzGrow})
		left -= out.Instructions
		ended := "returned"
		if out.Trap != nil {
			ended = fmt.Sprintf("%v, %q", out.Trap.Kind, out.Trap.Message)
		}
		c.calls = append(c.calls, fmt.Sprintf("%s: %s, %d instructions, %d pages, globals %x, reusable %v, host %d %x %s",
			what, ended, out.Instructions, i.Size()>>16, i.Globals(), i.Reusable(), env.count, env.trace, env.last))
	}
	if info.Start {
		note("start", i.Start)
	}
	for _, hook := range []string{"init", "heartbeat", "global_timer", "inspect_message", "pre_upgrade", "post_upgrade", "on_low_wasm_memory"} {
		note(hook, func(c *Call) Outcome { return i.Call("canister_"+hook, c) })
	}
	for _, method := range info.Methods[:min(len(info.Methods), 8)] {
		note(method.Name, func(c *Call) Outcome { return i.Call(method.Export(), c) })
	}
	for fn := range uint64(3) {
		note("table", func(c *Call) Outcome { return i.CallTable(fn, 64*fn, c) })
	}
	c.memory = bytes.Clone(memoryOf(i))
	return c
}

func fuzzGrow(current, delta uint64) error {
	if current+delta > fuzzPages {
		return ErrGrowRefused
	}
	return nil
}

// fuzzEnv is what host functions answer from: all that was called so far.
type fuzzEnv struct {
	count int
	trace uint64
	last  string
}

func (e *fuzzEnv) note(name string, args []uint64) {
	h := fnv.New64a()
	fmt.Fprint(h, e.trace, name, args)
	e.trace = h.Sum64()
	e.count++
	e.last = name
}

// fuzzHost is the system API as a function of what was called before: it reads what it
// is given, fills what it is asked for and gives numbers, small ones mostly.
func fuzzHost() []HostFunc {
	out := systemSignatures()
	for i := range out {
		h := &out[i]
		h.Func = func(c *Caller, stack []uint64) error {
			e := c.Env().(*fuzzEnv)
			args := slices.Clone(stack[:len(h.Params)])
			e.note(h.Name, args)
			if err := c.Charge(100); err != nil {
				return err
			}
			if err := e.transfer(h, c, args); err != nil {
				return err
			}
			switch {
			case len(h.Results) == 0:
			case h.Name == "performance_counter":
				stack[0] = c.Instructions()
			case e.trace%4 == 0:
				stack[0] = e.trace
			default:
				stack[0] = e.trace % 40
			}
			return nil
		}
	}
	return out
}

// transfer moves bytes between the host and the memory.
func (e *fuzzEnv) transfer(h *HostFunc, c *Caller, args []uint64) error {
	read := func(at, n uint64) error {
		b, err := fuzzRange(c, at, n)
		e.note(string(b), nil)
		return err
	}
	write := func(at, n uint64) error {
		b, err := fuzzRange(c, at, n)
		for k := range b {
			b[k] = byte(e.trace>>(k%8*8)) + byte(k)
		}
		return err
	}
	switch name := h.Name; {
	case strings.HasSuffix(name, "_copy"), strings.HasSuffix(name, "_read"):
		return write(args[len(args)-3], args[len(args)-1])
	case strings.HasSuffix(name, "_write"):
		return read(args[1], args[2])
	case name == "trap":
		b, err := fuzzRange(c, args[0], min(args[1], 100))
		return errors.Join(err, errors.New(string(b)))
	case (strings.HasSuffix(name, "128") || strings.HasPrefix(name, "cost_")) && h.Params[len(h.Params)-1] == Ptr:
		return write(args[len(args)-1], 16)
	case name == "call_new":
		return errors.Join(read(args[0], args[1]), read(args[2], args[3]))
	case len(h.Params) == 2 && h.Params[0] == Ptr:
		return read(args[0], args[1])
	}
	return nil
}

// fuzzRange is a range of the caller's memory.
func fuzzRange(c *Caller, at, n uint64) ([]byte, error) {
	if size := c.MemorySize(); n > 1<<16 || at > size || n > size-at {
		return nil, errors.New("out of bounds: " + string(binary.BigEndian.AppendUint64(nil, at)))
	}
	return bytes.Clone(c.Bytes(at, n)), c.Charge(n)
}
