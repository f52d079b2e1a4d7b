// Package wasm runs canister code: it compiles modules that package instrument has
// rewritten, and calls into instances of them.
//
// It promises determinism: equal modules, memories, globals and answers of host
// functions give equal outcomes, instruction counts included, on every machine. A
// canister can neither stop the process nor block it; a defect of ours in a host
// function panics out of Call. It knows nothing of the system API: host functions come
// from the Config (package ic0 has them).
//
// An Engine and its Modules may be used by several goroutines, an Instance by one at a
// time.
package wasm

import (
	"context"
	"errors"
	"fmt"

	"portico/node/wasm/instrument"

	"github.com/tetratelabs/wazero"
	"github.com/tetratelabs/wazero/api"
	"github.com/tetratelabs/wazero/experimental"
)

const (
	// maxPages bounds a memory; see package instrument.
	maxPages = 65535
	// defaultStackUnits bounds the depth of calls, in units of about 8 bytes. The
	// compiler's stacks hold five times as much.
	defaultStackUnits = 2_000_000
	// sliceInstructions is how much runs before the host gets control again: compiled
	// code cannot be preempted, and a stop of the world would wait for it.
	sliceInstructions = 2_000_000
)

// EngineConfig says what an Engine offers to modules.
type EngineConfig struct {
	Host []HostFunc
	// CacheDir keeps compiled code between runs of the process; empty keeps none.
	CacheDir string
	// Interpreter runs modules without compiling them: slow, and at most 2,000 calls
	// deep whatever StackUnits says.
	Interpreter bool
	Workers     int // that compile one module; 0 is 1
	// StackUnits is how deep calls may nest: a call takes 8 for the frame, 1 for each
	// parameter and local and 1 for every four instructions of the function's body,
	// nothing if that function calls no other. 0 is 2,000,000. It is part of what nodes
	// must agree on.
	StackUnits int64
}

// Engine compiles modules.
type Engine struct {
	runtime    wazero.Runtime
	cache      wazero.CompilationCache
	imports    []instrument.Import
	workers    int
	stackUnits int64
}

// NewEngine makes an engine. It fails if the cache's folder cannot be used or if two
// host functions have the same name.
func NewEngine(cfg EngineConfig) (*Engine, error) {
	rc := wazero.NewRuntimeConfig()
	if cfg.Interpreter {
		rc = wazero.NewRuntimeConfigInterpreter()
	}
	rc = rc.WithCoreFeatures(api.CoreFeaturesV2 | experimental.CoreFeaturesTailCall).
		WithMemoryLimitPages(maxPages).WithDebugInfoEnabled(false)
	e := &Engine{workers: max(cfg.Workers, 1), stackUnits: cfg.StackUnits}
	if e.stackUnits == 0 {
		e.stackUnits = defaultStackUnits
	}
	if cfg.CacheDir != "" {
		cache, err := wazero.NewCompilationCacheWithDir(cfg.CacheDir)
		if err != nil {
			return nil, fmt.Errorf("cache of compiled code in %s: %w", cfg.CacheDir, err)
		}
		e.cache = cache
		rc = rc.WithCompilationCache(cache)
	}
	e.runtime = wazero.NewRuntimeWithConfig(context.Background(), rc)
	if err := e.offer(cfg.Host); err != nil {
		return nil, errors.Join(err, e.Close())
	}
	return e, nil
}

// Close frees all code. No instance may be used afterwards.
func (e *Engine) Close() error {
	err := e.runtime.Close(context.Background())
	if e.cache != nil {
		err = errors.Join(err, e.cache.Close(context.Background()))
	}
	return err
}

// Compile checks, instruments and compiles a module (not compressed). It takes 50 ms to
// seconds by size unless the cache has the result. The error is *Invalid if the module
// can never be installed, the context's if that ended first.
func (e *Engine) Compile(ctx context.Context, wasm []byte) (*Module, error) {
	out, info, err := instrument.Rewrite(wasm, instrument.Options{Imports: e.imports})
	if err != nil {
		return nil, err
	}
	compiled, err := e.compile(ctx, out)
	switch {
	case ctx.Err() != nil:
		return nil, ctx.Err()
	case err != nil:
		return nil, &Invalid{Reason: err.Error()}
	}
	return &Module{engine: e, compiled: compiled, info: info}, nil
}

// compile also turns a panic of the compiler into an error: whatever a canister's module
// makes of it must not stop the node.
func (e *Engine) compile(ctx context.Context, code []byte) (m wazero.CompiledModule, err error) {
	defer func() {
		if r := recover(); r != nil {
			err = fmt.Errorf("the compiler fails: %v", r)
		}
	}()
	return e.runtime.CompileModule(experimental.WithCompilationWorkers(ctx, e.workers), code)
}

// Module is a compiled module.
type Module struct {
	engine   *Engine
	compiled wazero.CompiledModule
	info     *instrument.Info
}

// Info describes the module. It must not be changed.
func (m *Module) Info() *instrument.Info { return m.info }

// Close frees the code once no instance uses it any more.
func (m *Module) Close() error { return m.compiled.Close(context.Background()) }

// Instantiate makes an instance. It runs no code of the module and writes nothing to
// memory: Info().Data and the start function are the caller's to apply. It fails if the
// configuration does not fit the module.
func (m *Module) Instantiate(cfg InstanceConfig) (*Instance, error) {
	if err := m.fits(cfg); err != nil {
		return nil, err
	}
	ctx := context.Background()
	if m.info.HasMemory {
		mem := &linear{memory: cfg.Memory, atLeast: cfg.InitialPages << 16}
		ctx = experimental.WithMemoryAllocator(ctx, experimental.MemoryAllocatorFunc(
			func(_, _ uint64) experimental.LinearMemory { return mem }))
	}
	inst, err := m.engine.runtime.InstantiateModule(ctx, m.compiled, wazero.NewModuleConfig().WithName(""))
	if err != nil {
		return nil, fmt.Errorf("instantiate: %w", err)
	}
	i := newInstance(m, inst)
	if cfg.Globals != nil {
		i.SetGlobals(cfg.Globals)
	}
	return i, nil
}

func (m *Module) fits(cfg InstanceConfig) error {
	switch info := m.info; {
	case cfg.Globals != nil && len(cfg.Globals) != len(info.Globals):
		return fmt.Errorf("instantiate: %d globals for a module with %d", len(cfg.Globals), len(info.Globals))
	case !info.HasMemory:
	case cfg.Memory == nil:
		return errors.New("instantiate: no memory for a module that has one")
	case cfg.InitialPages < info.MinPages || cfg.InitialPages > info.MaxPages:
		return fmt.Errorf("instantiate: a memory of %d pages for a module that needs %d to %d", cfg.InitialPages, info.MinPages, info.MaxPages)
	}
	return nil
}
