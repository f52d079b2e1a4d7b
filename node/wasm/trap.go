package wasm

import (
	"errors"
	"fmt"
)

// errAbort is what a trap of ours unwinds the code with; the trap itself is kept in
// the execution.
var errAbort = errors.New("call ended by the host")

func limitTrap(limit uint64) *Trap {
	return &Trap{Kind: InstructionLimit, Message: fmt.Sprintf("the limit of %d instructions is exceeded", limit)}
}

// classify maps an error of the runtime to a trap. Anything else that ended a call is
// a panic of ours that the runtime has caught: it goes on here.
func classify(err error) *Trap {
	cause := err
	for next := errors.Unwrap(cause); next != nil; next = errors.Unwrap(cause) {
		cause = next
	}
	// The runtime's error values are internal to it: their type and text are what there is.
	if fmt.Sprintf("%T", cause) != "*wasmruntime.Error" {
		panic(fmt.Sprintf("wasm: panic during a call: %v", err))
	}
	kind, ok := map[string]TrapKind{
		"unreachable":                   Unreachable,
		"out of bounds memory access":   MemoryOutOfBounds,
		"invalid table access":          TableOutOfBounds,
		"indirect call type mismatch":   IndirectCallTypeMismatch,
		"integer divide by zero":        DivideByZero,
		"integer overflow":              IntegerOverflow,
		"invalid conversion to integer": InvalidConversion,
		"stack overflow":                StackOverflow,
	}[cause.Error()]
	if !ok {
		panic(fmt.Sprintf("wasm: unknown error of the runtime: %v", err))
	}
	return &Trap{Kind: kind, Message: kind.String()}
}
