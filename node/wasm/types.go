package wasm

import (
	"errors"
	"fmt"

	"portico/node/wasm/guest"
	"portico/node/wasm/instrument"
)

// ValueType is the type of a parameter or result of a host function.
type ValueType = instrument.ValueType

// The types that host functions use.
const (
	I32 = instrument.I32
	I64 = instrument.I64
	Ptr = instrument.Ptr
)

// HostFunc is a function that modules may import from "ic0".
type HostFunc struct {
	Name            string
	Params, Results []ValueType
	Only32          bool // not offered to modules with a 64-bit memory
	// Func works on stack: parameters first, results written over them from index 0.
	// I32 parameters and 32-bit pointers arrive without stray upper bits; results are
	// cut to their type. An error traps the call and is the trap's Err. A panic is a
	// defect of ours and goes through Call to its caller.
	Func func(c *Caller, stack []uint64) error
}

// InstanceConfig is what an instance works on.
type InstanceConfig struct {
	Memory       LinearMemory
	InitialPages uint64   // at least the module's MinPages
	Globals      []uint64 // nil for the module's initial values
}

// LinearMemory is the memory of an instance; see package guest.
type LinearMemory = guest.LinearMemory

// Call is one execution.
type Call struct {
	Env   any    // for host functions, through Caller.Env
	Limit uint64 // instructions
	// Grow decides whether the memory may grow: nil allows, ErrGrowRefused makes
	// memory.grow return -1, any other error traps. Nil allows up to the maximum.
	Grow func(currentPages, deltaPages uint64) error
	// Yield is called about every 2,000,000 instructions with the instructions used so
	// far: later by what one stretch of code or one bulk operation costs. It may block; an
	// error traps. Nil does nothing.
	Yield func(used uint64) error
}

// ErrGrowRefused is what Call.Grow returns to make memory.grow fail with -1.
var ErrGrowRefused = errors.New("the memory may not grow")

// Outcome is how a call ended.
type Outcome struct {
	// Instructions are those used, at most the limit. After a trap they may include some
	// that would have run next, up to the end of a slice of 2,000,000 if the trap was in a
	// loop that calls nothing; the number is the same on every machine all the same.
	Instructions uint64
	Trap         *Trap // nil if it returned normally
}

// Trap says why a call did not return. It is an error.
type Trap struct {
	Kind    TrapKind
	Message string
	Err     error // of the host function, Grow or Yield; for Kind Host only
}

func (t *Trap) Error() string { return t.Message }

func (t *Trap) Unwrap() error { return t.Err }

// TrapKind is the cause of a trap.
type TrapKind uint8

// The causes of traps.
const (
	Unreachable TrapKind = iota + 1
	MemoryOutOfBounds
	TableOutOfBounds // also a null entry and an index beyond the table in call_indirect
	IndirectCallTypeMismatch
	DivideByZero
	IntegerOverflow
	InvalidConversion
	InstructionLimit
	StackOverflow
	Host
	NoSuchFunction
	Crashed // the process that ran the code has ended; see package sandbox
)

// String names the cause.
func (k TrapKind) String() string {
	switch k {
	case Unreachable:
		return "unreachable"
	case MemoryOutOfBounds:
		return "heap out of bounds"
	case TableOutOfBounds:
		return "table out of bounds or null function"
	case IndirectCallTypeMismatch:
		return "indirect call to a function of another type"
	case DivideByZero:
		return "integer division by 0"
	case IntegerOverflow:
		return "integer overflow"
	case InvalidConversion:
		return "invalid conversion to integer"
	case InstructionLimit:
		return "instruction limit exceeded"
	case StackOverflow:
		return "stack overflow"
	case Host:
		return "trap in a system call"
	case NoSuchFunction:
		return "no such function"
	case Crashed:
		return "the process that ran the code has ended"
	}
	return fmt.Sprintf("trap %d", uint8(k))
}

// Invalid says why a module can never be installed.
type Invalid = instrument.Invalid
