// Package guest is the machinery under package wasm: it compiles modules that package
// instrument has rewritten, and runs them. It counts nothing, allows nothing and decides
// nothing: whenever code calls a host function, uses up its counter or wants to grow its
// memory, a Host is asked.
//
// New makes the Backend that runs code in this process, by wazero. Package sandbox has
// one that runs it in others.
package guest

import (
	"context"
	"errors"

	"portico/node/wasm/instrument"
)

// Shape is what a Backend has to know of a module besides its code.
type Shape struct {
	HasMemory bool
	Globals   []instrument.ValueType // of the mutable globals, in order
}

// Backend compiles modules. Its methods, and those of the Code it makes, may be called from
// several goroutines.
type Backend interface {
	// Compile compiles a rewritten module. The error is *Refused if the module is at
	// fault, the context's if that ended first.
	Compile(ctx context.Context, code []byte, shape Shape) (Code, error)
	// Close frees everything. No Machine may be used afterwards.
	Close() error
}

// Code is a compiled module.
type Code interface {
	// Instantiate makes a machine on a memory, which it makes size bytes large, or without
	// one if the module has none. It runs nothing and writes nothing.
	Instantiate(memory LinearMemory, size uint64) (Machine, error)
	// Exports reports whether a function is exported.
	Exports(name string) bool
	// Close frees the code once no machine uses it any more.
	Close() error
}

// LinearMemory is the memory of an instance, a growing slice of bytes that must not
// move while a call runs.
type LinearMemory interface {
	// Reallocate returns the memory with size bytes; new bytes are zero. It cannot
	// fail: whether a memory may grow has been decided before.
	Reallocate(size uint64) []byte
	// Free is called once, when the instance closes.
	Free()
}

// Machine is an instance. One goroutine at a time uses it.
type Machine interface {
	// Run calls an exported function with as many of the arguments as it takes. The error
	// is the Host's if one ended the call, *Fault if the code trapped, or ErrCrashed.
	// A panic of the Host goes through.
	Run(export string, args [2]uint64, h Host) error
	// Drop forgets what Run keeps of a function: its stack, which may be megabytes.
	Drop(export string)

	// Counter and Depth are the two globals that the rewriter has added.
	Counter() uint64
	SetCounter(uint64)
	Depth() int64
	SetDepth(uint64)

	// Globals are the values of the module's mutable globals; the upper halves of 32-bit
	// ones are zero.
	Globals() []uint64
	// SetGlobals takes as many values as Globals gives.
	SetGlobals([]uint64)

	// Size is that of the memory in bytes; 0 if there is none.
	Size() uint64
	// Bytes are n bytes of the memory from off on, which must lie inside. They are to be
	// read only, and not after the next call of a method.
	Bytes(off, n uint64) []byte
	// Read copies the memory from off on, which must lie inside, to dst.
	Read(dst []byte, off uint64)
	// Write copies src to the memory at off, where it must fit.
	Write(off uint64, src []byte)

	Close() error
}

// Host is what running code turns to. An error ends the call.
type Host interface {
	// HostCall runs a host function by its place in Config.Imports. Parameters come in
	// stack, results are written over them from index 0. Values of 32 bits come without
	// stray upper bits, results are cut to their type.
	HostCall(index int, stack []uint64) error
	// Check is called when the counter or the depth is below zero.
	Check() error
	// Grow decides about memory.grow; refused makes it return -1.
	Grow(pages uint32) (refused bool, err error)
}

// Refused says why a Backend cannot compile a module.
type Refused struct{ Reason string }

func (r *Refused) Error() string { return r.Reason }

// Fault is a trap of the code itself, by the runtime's words for it: one of Faults.
type Fault struct{ Reason string }

func (f *Fault) Error() string { return f.Reason }

// The runtime's words for what can go wrong.
const (
	FaultUnreachable       = "unreachable"
	FaultMemory            = "out of bounds memory access"
	FaultTable             = "invalid table access"
	FaultIndirectCall      = "indirect call type mismatch"
	FaultDivideByZero      = "integer divide by zero"
	FaultOverflow          = "integer overflow"
	FaultInvalidConversion = "invalid conversion to integer"
	FaultStack             = "stack overflow"
)

// Faults lists them.
func Faults() []string {
	return []string{FaultUnreachable, FaultMemory, FaultTable, FaultIndirectCall, FaultDivideByZero, FaultOverflow, FaultInvalidConversion, FaultStack}
}

// ErrCrashed is what Run returns if the process that ran the code has ended. Neither the
// machine nor its memory can be used any more.
var ErrCrashed = errors.New("the process that ran the canister's code has ended")
