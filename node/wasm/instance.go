package wasm

import (
	"errors"
	"fmt"

	"portico/node/wasm/guest"
	"portico/node/wasm/instrument"
)

// Instance is a module with its own memory and globals. One call runs at a time, and a
// host function must not call into the instance that called it.
type Instance struct {
	info       *instrument.Info
	host       []HostFunc
	stackUnits int64
	code       guest.Code
	exports    map[string]bool // asked of code
	machine    guest.Machine
	exec       execution
	stale      bool // the memory grew in a call that trapped
}

// Close frees the instance and its memory.
func (i *Instance) Close() error { return i.machine.Close() }

// Size is the size of the memory in bytes.
func (i *Instance) Size() uint64 { return i.machine.Size() }

// Read copies the memory from off on to dst. What is read must lie inside.
func (i *Instance) Read(dst []byte, off uint64) { i.machine.Read(dst, off) }

// Write copies src to the memory at off, where it must fit.
func (i *Instance) Write(off uint64, src []byte) { i.machine.Write(off, src) }

// Globals are the values of the mutable globals, in the order of Info.Globals.
func (i *Instance) Globals() []uint64 { return i.machine.Globals() }

// SetGlobals gives the mutable globals values that Globals returned earlier, of this
// instance or another of the same module.
func (i *Instance) SetGlobals(values []uint64) {
	if len(values) != len(i.info.Globals) {
		panic(fmt.Sprintf("wasm: %d globals for an instance with %d", len(values), len(i.info.Globals)))
	}
	i.machine.SetGlobals(values)
}

// Reusable reports whether the instance is as good as a new one once its globals and the
// content of its memory are set. It is not if the module can change tables or drop
// segments, or if the memory grew in a call that trapped.
func (i *Instance) Reusable() bool { return !i.info.TableMutating && !i.stale }

// Call calls an entry point by the name of its export, which begins with "canister_".
func (i *Instance) Call(export string, c *Call) Outcome {
	if !i.has(export) {
		return Outcome{Trap: &Trap{Kind: NoSuchFunction, Message: fmt.Sprintf("no function %q is exported", export)}}
	}
	return i.run(export, [2]uint64{}, c)
}

func (i *Instance) has(export string) bool {
	has, ok := i.exports[export]
	if !ok {
		has = i.code.Exports(export)
		i.exports[export] = has
	}
	return has
}

// Start calls the module's start function.
func (i *Instance) Start(c *Call) Outcome { return i.Call(instrument.ExportStart, c) }

// CallTable calls entry fn of table 0, a function of type (env: Ptr) -> (). It traps as
// call_indirect does if there is no such entry.
func (i *Instance) CallTable(fn, env uint64, c *Call) Outcome {
	if !i.info.HasCallbacks {
		return Outcome{Trap: &Trap{Kind: TableOutOfBounds, Message: "the module has no table of functions"}}
	}
	return i.run(instrument.ExportCallback, [2]uint64{min(fn, 1<<32-1), env}, c)
}

func (i *Instance) run(export string, args [2]uint64, c *Call) Outcome {
	e := &i.exec
	if e.call != nil {
		panic("wasm: a call into an instance that is running")
	}
	e.begin(c)
	before := i.machine.Size()
	err := i.machine.Run(export, args, e)
	e.call = nil
	if errors.Is(err, guest.ErrCrashed) {
		// How far the code came is not known; the limit is the same on every machine.
		i.stale = true
		return Outcome{Instructions: c.Limit, Trap: &Trap{Kind: Crashed, Message: Crashed.String()}}
	}
	used := e.Instructions()
	if int64(i.machine.Counter()) <= instrument.InRegion/2 {
		// How far the slice got is known only to code that no longer runs.
		used = e.granted
	}
	trap := trapOf(err)
	if used > c.Limit {
		// Whatever happened later than that did not happen.
		used, trap = c.Limit, limitTrap(c.Limit)
	}
	if trap != nil {
		i.stale = i.stale || i.machine.Size() != before
		if trap.Kind == StackOverflow {
			i.machine.Drop(export) // and with it a stack of megabytes
		}
	}
	return Outcome{Instructions: used, Trap: trap}
}

// execution is the call in progress, as the machine's Host.
type execution struct {
	Caller
}

// Caller is a host function's view of the call that it is part of.
type Caller struct {
	instance *Instance
	call     *Call
	failed   error  // of refill, if it ends the call
	granted  uint64 // instructions that the counter began with, all slices together
}

// Env is the call's Env.
func (c *Caller) Env() any { return c.call.Env }

// MemorySize is the size of the instance's memory in bytes.
func (c *Caller) MemorySize() uint64 { return c.instance.machine.Size() }

// Bytes are n bytes of the instance's memory from off on, which must lie inside. They are to be
// read only, and not after the host function has returned or called another method.
func (c *Caller) Bytes(off, n uint64) []byte { return c.instance.machine.Bytes(off, n) }

// Read copies the instance's memory from off on, which must lie inside, to dst.
func (c *Caller) Read(dst []byte, off uint64) { c.instance.machine.Read(dst, off) }

// Write copies src to the instance's memory at off, where it must fit.
func (c *Caller) Write(off uint64, src []byte) { c.instance.machine.Write(off, src) }

// Instructions is how much the call has used so far.
func (c *Caller) Instructions() uint64 { return c.granted - c.instance.machine.Counter() }

// Charge uses up instructions on behalf of the canister. An error means that the call
// has to end; the host function should return it.
func (c *Caller) Charge(instructions uint64) error {
	if instructions > c.call.Limit {
		instructions = c.call.Limit + 1 // enough to fail, too little to overflow
	}
	left := int64(c.instance.machine.Counter()) - int64(instructions)
	c.instance.machine.SetCounter(uint64(left))
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
	e.failed = nil
	e.instance.machine.SetCounter(e.granted)
	e.instance.machine.SetDepth(uint64(e.instance.stackUnits))
}

// maxLimit keeps sums of instructions far from overflowing.
const maxLimit = 1 << 60

// refill lets the host have control and grants the next slice.
func (c *Caller) refill() error {
	used := c.Instructions()
	if used > c.call.Limit {
		c.failed = limitTrap(c.call.Limit)
		return c.failed
	}
	if c.call.Yield != nil {
		if err := c.call.Yield(used); err != nil {
			c.failed = trapOf(err)
			return c.failed
		}
	}
	slice := min(c.call.Limit-used, sliceInstructions)
	c.granted = used + slice
	c.instance.machine.SetCounter(slice)
	return nil
}

// HostCall implements guest.Host.
func (e *execution) HostCall(index int, stack []uint64) error {
	if err := e.instance.host[index].Func(&e.Caller, stack); err != nil {
		return err
	}
	return e.failed // if Charge has failed and the function went on
}

const depthMessage = "calls are nested too deeply"

// Check implements guest.Host.
func (e *execution) Check() error {
	if e.instance.machine.Depth() < 0 {
		return &Trap{Kind: StackOverflow, Message: depthMessage}
	}
	return e.refill()
}

// Grow implements guest.Host.
func (e *execution) Grow(pages uint32) (refused bool, err error) {
	delta, current := uint64(pages), e.MemorySize()>>16
	switch {
	case delta == 0:
	case current+delta > e.instance.info.MaxPages:
		return true, nil
	case e.call.Grow != nil:
		if err := e.call.Grow(current, delta); errors.Is(err, ErrGrowRefused) {
			return true, nil
		} else if err != nil {
			return false, err
		}
	}
	return false, nil
}
