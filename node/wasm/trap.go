package wasm

import (
	"errors"
	"fmt"

	"portico/node/wasm/guest"
)

func limitTrap(limit uint64) *Trap {
	return &Trap{Kind: InstructionLimit, Message: fmt.Sprintf("the limit of %d instructions is exceeded", limit)}
}

// trapOf is the trap for what ended a call: a fault of the code, or an error of a host
// function; nil for nil.
func trapOf(err error) *Trap {
	if err == nil {
		return nil
	}
	if t, ok := errors.AsType[*Trap](err); ok {
		return t
	}
	if f, ok := errors.AsType[*guest.Fault](err); ok {
		return faultTrap(f)
	}
	return &Trap{Kind: Host, Message: err.Error(), Err: err}
}

func faultTrap(f *guest.Fault) *Trap {
	kind, ok := map[string]TrapKind{
		guest.FaultUnreachable:       Unreachable,
		guest.FaultMemory:            MemoryOutOfBounds,
		guest.FaultTable:             TableOutOfBounds,
		guest.FaultIndirectCall:      IndirectCallTypeMismatch,
		guest.FaultDivideByZero:      DivideByZero,
		guest.FaultOverflow:          IntegerOverflow,
		guest.FaultInvalidConversion: InvalidConversion,
		guest.FaultStack:             StackOverflow,
	}[f.Reason]
	if !ok {
		panic("wasm: unknown error of the runtime: " + f.Reason)
	}
	return &Trap{Kind: kind, Message: kind.String()}
}
