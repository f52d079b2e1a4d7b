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

	"portico/node/wasm/guest"
	"portico/node/wasm/instrument"
)

const (
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
	// Backend runs the code; Imports(Host) is what it has to offer. The Engine closes it.
	// Nil runs it in this process, as the next three say.
	Backend guest.Backend
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
	backend    guest.Backend
	host       []HostFunc
	imports    []instrument.Import
	stackUnits int64
}

// Imports is what modules may import, in the order of their functions.
func Imports(host []HostFunc) []instrument.Import {
	out := make([]instrument.Import, len(host))
	for i, h := range host {
		out[i] = instrument.Import{Name: h.Name, Params: h.Params, Results: h.Results, Only32: h.Only32}
	}
	return out
}

// NewEngine makes an engine. It fails if the cache's folder cannot be used or if two
// host functions have the same name.
func NewEngine(cfg EngineConfig) (*Engine, error) {
	e := &Engine{backend: cfg.Backend, host: cfg.Host, imports: Imports(cfg.Host), stackUnits: cfg.StackUnits}
	if e.stackUnits == 0 {
		e.stackUnits = defaultStackUnits
	}
	seen := map[string]bool{}
	for _, h := range cfg.Host {
		if seen[h.Name] {
			return nil, fmt.Errorf("host function %q is given twice", h.Name)
		}
		seen[h.Name] = true
	}
	if e.backend != nil {
		return e, nil
	}
	var err error
	e.backend, err = guest.New(guest.Config{Imports: e.imports, CacheDir: cfg.CacheDir, Interpreter: cfg.Interpreter, Workers: cfg.Workers})
	return e, err
}

// Close frees all code. No instance may be used afterwards.
func (e *Engine) Close() error { return e.backend.Close() }

// Compile checks, instruments and compiles a module (not compressed). It takes 50 ms to
// seconds by size unless the cache has the result. The error is *Invalid if the module
// can never be installed, the context's if that ended first.
func (e *Engine) Compile(ctx context.Context, wasm []byte) (*Module, error) {
	out, info, err := instrument.Rewrite(wasm, instrument.Options{Imports: e.imports})
	if err != nil {
		return nil, err
	}
	code, err := e.backend.Compile(ctx, out, guest.Shape{HasMemory: info.HasMemory, Globals: info.Globals})
	if refused, ok := errors.AsType[*guest.Refused](err); ok {
		return nil, &Invalid{Reason: refused.Reason}
	} else if err != nil {
		return nil, err
	}
	return &Module{engine: e, code: code, info: info}, nil
}

// Module is a compiled module.
type Module struct {
	engine *Engine
	code   guest.Code
	info   *instrument.Info
}

// Info describes the module. It must not be changed.
func (m *Module) Info() *instrument.Info { return m.info }

// Close frees the code once no instance uses it any more.
func (m *Module) Close() error { return m.code.Close() }

// Instantiate makes an instance. It runs no code of the module and writes nothing to
// memory: Info().Data and the start function are the caller's to apply. It fails if the
// configuration does not fit the module.
func (m *Module) Instantiate(cfg InstanceConfig) (*Instance, error) {
	if err := m.fits(cfg); err != nil {
		return nil, err
	}
	machine, err := m.code.Instantiate(cfg.Memory, cfg.InitialPages<<16)
	if err != nil {
		return nil, err
	}
	i := &Instance{info: m.info, host: m.engine.host, stackUnits: m.engine.stackUnits, code: m.code, exports: map[string]bool{}, machine: machine}
	i.exec.instance = i
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
