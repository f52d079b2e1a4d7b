package wasm

import (
	"context"
	"fmt"
	"time"

	"portico/node/wasm/instrument"

	"github.com/tetratelabs/wazero/api"
)

// Instance is a module with its own memory and globals. One call runs at a time, and a
// host function must not call into the instance that called it.
type Instance struct {
	info           *instrument.Info
	stackUnits     int64
	module         api.Module
	memory         api.Memory // nil if there is none
	counter, depth api.MutableGlobal
	globals        []api.MutableGlobal
	// functions are handles by export. Making one takes as long as a hundred calls.
	functions map[string]api.Function
	exec      execution
	stack     [2]uint64
	stale     bool // the memory grew in a call that trapped
}

func newInstance(m *Module, module api.Module) *Instance {
	i := &Instance{info: m.info, stackUnits: m.engine.stackUnits, module: module, functions: map[string]api.Function{}}
	if m.info.HasMemory {
		i.memory = module.Memory()
	}
	global := func(name string) api.MutableGlobal { return module.ExportedGlobal(name).(api.MutableGlobal) }
	i.counter, i.depth = global(instrument.ExportCounter), global(instrument.ExportDepth)
	for g := range m.info.Globals {
		i.globals = append(i.globals, global(instrument.ExportGlobal(g)))
	}
	i.exec.instance = i
	return i
}

// Close frees the instance and its memory.
func (i *Instance) Close() error { return i.module.Close(context.Background()) }

// Memory is the memory as it is now; it may move when it grows.
func (i *Instance) Memory() []byte {
	if i.memory == nil {
		return nil
	}
	b, _ := i.memory.Read(0, i.memory.Size())
	return b
}

// Globals are the values of the mutable globals, in the order of Info.Globals.
func (i *Instance) Globals() []uint64 {
	out := make([]uint64, len(i.globals))
	for k, g := range i.globals {
		out[k] = g.Get()
		if t := i.info.Globals[k]; t == instrument.I32 || t == instrument.F32 {
			out[k] = uint64(uint32(out[k]))
		}
	}
	return out
}

// SetGlobals gives the mutable globals values that Globals returned earlier, of this
// instance or another of the same module.
func (i *Instance) SetGlobals(values []uint64) {
	if len(values) != len(i.globals) {
		panic(fmt.Sprintf("wasm: %d globals for an instance with %d", len(values), len(i.globals)))
	}
	for k, g := range i.globals {
		g.Set(values[k])
	}
}

// Reusable reports whether the instance is as good as a new one once its globals and the
// content of its memory are set. It is not if the module can change tables or drop
// segments, or if the memory grew in a call that trapped.
func (i *Instance) Reusable() bool { return !i.info.TableMutating && !i.stale }

// Call calls an entry point by the name of its export, which begins with "canister_".
func (i *Instance) Call(export string, c *Call) Outcome {
	f := i.function(export)
	if f == nil {
		return Outcome{Trap: &Trap{Kind: NoSuchFunction, Message: fmt.Sprintf("no function %q is exported", export)}}
	}
	return i.run(export, f, c)
}

// Start calls the module's start function.
func (i *Instance) Start(c *Call) Outcome { return i.Call(instrument.ExportStart, c) }

// CallTable calls entry fn of table 0, a function of type (env: Ptr) -> (). It traps as
// call_indirect does if there is no such entry.
func (i *Instance) CallTable(fn, env uint64, c *Call) Outcome {
	if !i.info.HasCallbacks {
		return Outcome{Trap: &Trap{Kind: TableOutOfBounds, Message: "the module has no table of functions"}}
	}
	i.stack = [2]uint64{min(fn, 1<<32-1), env}
	return i.run(instrument.ExportCallback, i.function(instrument.ExportCallback), c)
}

func (i *Instance) function(export string) api.Function {
	f := i.functions[export]
	if f == nil {
		if f = i.module.ExportedFunction(export); f != nil {
			i.functions[export] = f
		}
	}
	return f
}

// run calls f with the parameters in i.stack.
func (i *Instance) run(export string, f api.Function, c *Call) Outcome {
	e := &i.exec
	if e.call != nil {
		panic("wasm: a call into an instance that is running")
	}
	e.begin(c)
	before := len(i.Memory())
	err := f.CallWithStack(e, i.stack[:])
	used := e.Instructions()
	if int64(i.counter.Get()) <= instrument.InRegion/2 {
		// How far the slice got is known only to code that no longer runs.
		used = e.granted
	}
	trap := e.trap
	e.call, e.trap = nil, nil
	if err == nil && trap != nil {
		panic("wasm: a trap that did not stop the code: " + trap.Message)
	}
	if err != nil && trap == nil {
		trap = classify(err)
	}
	if used > c.Limit {
		// Whatever happened later than that did not happen.
		used, trap = c.Limit, limitTrap(c.Limit)
	}
	if trap != nil {
		i.stale = i.stale || len(i.Memory()) != before
		if trap.Kind == StackOverflow {
			delete(i.functions, export) // and with it a stack of megabytes
		}
	}
	return Outcome{Instructions: used, Trap: trap}
}

// execution is the call in progress. It is the context that the runtime hands to host
// functions, so that a host call costs no look-up and no allocation.
type execution struct {
	Caller
}

// Caller is a host function's view of the call that it is part of.
type Caller struct {
	instance *Instance
	call     *Call
	trap     *Trap
	granted  uint64 // instructions that the counter began with, all slices together
}

// Env is the call's Env.
func (c *Caller) Env() any { return c.call.Env }

// Memory is the instance's memory. It is valid until the host function returns.
func (c *Caller) Memory() []byte { return c.instance.Memory() }

// Instructions is how much the call has used so far.
func (c *Caller) Instructions() uint64 { return c.granted - c.instance.counter.Get() }

// Charge uses up instructions on behalf of the canister. An error means that the call
// has to end; the host function should return it.
func (c *Caller) Charge(instructions uint64) error {
	if instructions > c.call.Limit {
		instructions = c.call.Limit + 1 // enough to fail, too little to overflow
	}
	left := int64(c.instance.counter.Get()) - int64(instructions)
	c.instance.counter.Set(uint64(left))
	if left >= 0 {
		return nil
	}
	return c.refill()
}

func (e *execution) begin(c *Call) {
	if c.Limit > maxLimit {
		panic(fmt.Sprintf("wasm: a limit of %d instructions", c.Limit))
	}
	e.call = c
	e.granted = min(c.Limit, sliceInstructions)
	e.instance.counter.Set(e.granted)
	e.instance.depth.Set(uint64(e.instance.stackUnits))
}

// maxLimit keeps sums of instructions far from overflowing.
const maxLimit = 1 << 60

// refill lets the host have control and grants the next slice.
func (c *Caller) refill() error {
	used := c.Instructions()
	if used > c.call.Limit {
		c.trap = limitTrap(c.call.Limit)
		return c.trap
	}
	if c.call.Yield != nil {
		if err := c.call.Yield(used); err != nil {
			c.trap = trapOf(err)
			return c.trap
		}
	}
	slice := min(c.call.Limit-used, sliceInstructions)
	c.granted = used + slice
	c.instance.counter.Set(slice)
	return nil
}

// fail ends the call.
func (e *execution) fail(t *Trap) {
	e.trap = t
	panic(errAbort)
}

// Deadline, Done, Err and Value make an execution a context. Nothing can cancel it.
func (e *execution) Deadline() (time.Time, bool) { return time.Time{}, false }

// Done is nil.
func (e *execution) Done() <-chan struct{} { return nil }

// Err is nil.
func (e *execution) Err() error { return nil }

// Value is nil for every key.
func (e *execution) Value(any) any { return nil }
