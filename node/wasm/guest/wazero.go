package guest

import (
	"context"
	"errors"
	"fmt"
	"time"

	"portico/node/wasm/instrument"

	"github.com/tetratelabs/wazero"
	"github.com/tetratelabs/wazero/api"
	"github.com/tetratelabs/wazero/experimental"
)

// maxPages bounds a memory; see package instrument.
const maxPages = 65535

// Config says what code may call and how it is compiled.
type Config struct {
	Imports []instrument.Import
	// CacheDir keeps compiled code between runs of the process; empty keeps none.
	CacheDir    string
	Interpreter bool
	Workers     int // that compile one module; 0 is 1
}

// wazeroBackend runs code in this process.
type wazeroBackend struct {
	runtime wazero.Runtime
	cache   wazero.CompilationCache
	workers int
}

// New makes a Backend that runs code in this process. It fails if the cache's folder cannot
// be used.
func New(cfg Config) (Backend, error) {
	rc := wazero.NewRuntimeConfig()
	if cfg.Interpreter {
		rc = wazero.NewRuntimeConfigInterpreter()
	}
	rc = rc.WithCoreFeatures(api.CoreFeaturesV2 | experimental.CoreFeaturesTailCall).
		WithMemoryLimitPages(maxPages).WithDebugInfoEnabled(false)
	b := &wazeroBackend{workers: max(cfg.Workers, 1)}
	if cfg.CacheDir != "" {
		cache, err := wazero.NewCompilationCacheWithDir(cfg.CacheDir)
		if err != nil {
			return nil, fmt.Errorf("cache of compiled code in %s: %w", cfg.CacheDir, err)
		}
		b.cache = cache
		rc = rc.WithCompilationCache(cache)
	}
	b.runtime = wazero.NewRuntimeWithConfig(context.Background(), rc)
	if err := b.offer(cfg.Imports); err != nil {
		return nil, errors.Join(err, b.Close())
	}
	return b, nil
}

// Close implements Backend.
func (b *wazeroBackend) Close() error {
	err := b.runtime.Close(context.Background())
	if b.cache != nil {
		err = errors.Join(err, b.cache.Close(context.Background()))
	}
	return err
}

// Compile implements Backend.
func (b *wazeroBackend) Compile(ctx context.Context, code []byte, shape Shape) (Code, error) {
	m, err := b.compile(ctx, code)
	switch {
	case ctx.Err() != nil:
		return nil, ctx.Err()
	case err != nil:
		return nil, &Refused{Reason: err.Error()}
	}
	return &wazeroCode{backend: b, compiled: m, shape: shape}, nil
}

// compile also turns a panic of the compiler into an error: whatever a canister's module
// makes of it must not stop the node.
func (b *wazeroBackend) compile(ctx context.Context, code []byte) (m wazero.CompiledModule, err error) {
	defer func() {
		if r := recover(); r != nil {
			err = fmt.Errorf("the compiler fails: %v", r)
		}
	}()
	return b.runtime.CompileModule(experimental.WithCompilationWorkers(ctx, b.workers), code)
}

type wazeroCode struct {
	backend  *wazeroBackend
	compiled wazero.CompiledModule
	shape    Shape
}

// Exports implements Code.
func (c *wazeroCode) Exports(name string) bool { return c.compiled.ExportedFunctions()[name] != nil }

// Close implements Code.
func (c *wazeroCode) Close() error { return c.compiled.Close(context.Background()) }

// Instantiate implements Code.
func (c *wazeroCode) Instantiate(memory LinearMemory, size uint64) (Machine, error) {
	ctx := context.Background()
	if c.shape.HasMemory {
		mem := &linear{memory: memory, atLeast: size}
		ctx = experimental.WithMemoryAllocator(ctx, experimental.MemoryAllocatorFunc(
			func(_, _ uint64) experimental.LinearMemory { return mem }))
	}
	inst, err := c.backend.runtime.InstantiateModule(ctx, c.compiled, wazero.NewModuleConfig().WithName(""))
	if err != nil {
		return nil, fmt.Errorf("instantiate: %w", err)
	}
	m := &wazeroMachine{module: inst, shape: c.shape, functions: map[string]api.Function{}}
	if c.shape.HasMemory {
		m.memory = inst.Memory()
	}
	global := func(name string) api.MutableGlobal { return inst.ExportedGlobal(name).(api.MutableGlobal) }
	m.counter, m.depth = global(instrument.ExportCounter), global(instrument.ExportDepth)
	for g := range c.shape.Globals {
		m.globals = append(m.globals, global(instrument.ExportGlobal(g)))
	}
	return m, nil
}

// linear is the memory as the runtime asks for it: it begins with as much as the
// instance is to have rather than with the module's minimum.
type linear struct {
	memory  LinearMemory
	atLeast uint64 // bytes
}

func (l *linear) Reallocate(size uint64) []byte {
	size = max(size, l.atLeast)
	b := l.memory.Reallocate(size)
	if uint64(len(b)) != size {
		// Growth has been allowed already. Nodes would diverge if some went on without.
		panic(fmt.Sprintf("wasm: memory of %d bytes instead of %d", len(b), size))
	}
	return b
}

func (l *linear) Free() { l.memory.Free() }

type wazeroMachine struct {
	module         api.Module
	shape          Shape
	memory         api.Memory // nil if there is none
	counter, depth api.MutableGlobal
	globals        []api.MutableGlobal
	// functions are handles by export. Making one takes as long as a hundred calls.
	functions map[string]api.Function
	call      call
	stack     [2]uint64
}

func (m *wazeroMachine) Close() error { return m.module.Close(context.Background()) }

func (m *wazeroMachine) function(export string) api.Function {
	f := m.functions[export]
	if f == nil {
		if f = m.module.ExportedFunction(export); f != nil {
			m.functions[export] = f
		}
	}
	return f
}

func (m *wazeroMachine) Drop(export string) { delete(m.functions, export) }

func (m *wazeroMachine) Run(export string, args [2]uint64, h Host) error {
	f := m.function(export)
	m.call, m.stack = call{host: h}, args
	err := f.CallWithStack(&m.call, m.stack[:])
	ended := m.call.ended
	m.call = call{}
	switch {
	case err == nil && ended != nil:
		panic(fmt.Sprintf("wasm: an error of the host that did not stop the code: %v", ended))
	case err == nil:
		return nil
	case ended != nil:
		return ended
	}
	return FaultOf(err)
}

// FaultOf maps an error of the runtime. Anything else that ended a call is a panic of ours
// that the runtime has caught: it goes on here.
func FaultOf(err error) *Fault {
	cause := err
	for next := errors.Unwrap(cause); next != nil; next = errors.Unwrap(cause) {
		cause = next
	}
	// The runtime's error values are internal to it: their type and text are what there is.
	if fmt.Sprintf("%T", cause) != "*wasmruntime.Error" {
		panic(fmt.Sprintf("wasm: panic during a call: %v", err))
	}
	return &Fault{Reason: cause.Error()}
}

func (m *wazeroMachine) Counter() uint64     { return m.counter.Get() }
func (m *wazeroMachine) SetCounter(v uint64) { m.counter.Set(v) }
func (m *wazeroMachine) Depth() int64        { return int64(m.depth.Get()) }
func (m *wazeroMachine) SetDepth(v uint64)   { m.depth.Set(v) }

func (m *wazeroMachine) Globals() []uint64 {
	out := make([]uint64, len(m.globals))
	for k, g := range m.globals {
		out[k] = g.Get()
		if t := m.shape.Globals[k]; t == instrument.I32 || t == instrument.F32 {
			out[k] = uint64(uint32(out[k]))
		}
	}
	return out
}

func (m *wazeroMachine) SetGlobals(values []uint64) {
	for k, g := range m.globals {
		g.Set(values[k])
	}
}

func (m *wazeroMachine) Size() uint64 {
	if m.memory == nil {
		return 0
	}
	return uint64(m.memory.Size())
}

func (m *wazeroMachine) Bytes(off, n uint64) []byte {
	if n == 0 {
		return nil
	}
	all, _ := m.memory.Read(0, m.memory.Size())
	return all[off : off+n : off+n]
}

func (m *wazeroMachine) Read(dst []byte, off uint64) { copy(dst, m.Bytes(off, uint64(len(dst)))) }

func (m *wazeroMachine) Write(off uint64, src []byte) { copy(m.Bytes(off, uint64(len(src))), src) }

// call is the call in progress. It is the context that the runtime hands to host
// functions, so that a host call costs no look-up and no allocation.
type call struct {
	host  Host
	ended error // of the host
}

// errAbort is what an error of the host unwinds the code with.
var errAbort = errors.New("call ended by the host")

// end ends the call.
func (c *call) end(err error) {
	c.ended = err
	panic(errAbort)
}

// Deadline, Done, Err and Value make a call a context. Nothing can cancel it.
func (c *call) Deadline() (time.Time, bool) { return time.Time{}, false }

// Done is nil.
func (c *call) Done() <-chan struct{} { return nil }

// Err is nil.
func (c *call) Err() error { return nil }

// Value is nil for every key.
func (c *call) Value(any) any { return nil }
