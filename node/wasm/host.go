package wasm

import (
	"context"
	"errors"
	"fmt"

	"portico/node/wasm/instrument"

	"github.com/tetratelabs/wazero/api"
)

// offer registers the host functions, once for each width of pointers.
func (e *Engine) offer(host []HostFunc) error {
	seen := map[string]bool{}
	for _, h := range host {
		if seen[h.Name] {
			return fmt.Errorf("host function %q is given twice", h.Name)
		}
		seen[h.Name] = true
		e.imports = append(e.imports, instrument.Import{Name: h.Name, Params: h.Params, Results: h.Results, Only32: h.Only32})
	}
	ctx := context.Background()
	for _, width := range []struct {
		module  string
		pointer ValueType
	}{{instrument.System32, I32}, {instrument.System64, I64}} {
		b := e.runtime.NewHostModuleBuilder(width.module)
		for _, h := range host {
			if h.Only32 && width.pointer == I64 {
				continue
			}
			params, results := engineTypes(h.Params, width.pointer), engineTypes(h.Results, width.pointer)
			b.NewFunctionBuilder().WithGoModuleFunction(hostFunction(h.Func, params, results), params, results).Export(h.Name)
		}
		if _, err := b.Instantiate(ctx); err != nil {
			return fmt.Errorf("host module: %w", err)
		}
	}
	i32 := []api.ValueType{api.ValueTypeI32}
	b := e.runtime.NewHostModuleBuilder(instrument.HostModule)
	b.NewFunctionBuilder().WithGoModuleFunction(api.GoModuleFunc(check), nil, nil).Export(instrument.Check)
	b.NewFunctionBuilder().WithGoModuleFunction(api.GoModuleFunc(grow), i32, i32).Export(instrument.Grow)
	if _, err := b.Instantiate(ctx); err != nil {
		return fmt.Errorf("host module: %w", err)
	}
	return nil
}

func engineTypes(ts []ValueType, pointer ValueType) []api.ValueType {
	out := make([]api.ValueType, len(ts))
	for i, t := range ts {
		if t == Ptr {
			t = pointer
		}
		switch t {
		case I32:
			out[i] = api.ValueTypeI32
		case I64:
			out[i] = api.ValueTypeI64
		default:
			panic("wasm: host functions take and give integers only, not " + t.String())
		}
	}
	return out
}

// hostFunction adapts a host function. Compiled code passes 32-bit values in slots of
// 64 bits whose upper halves are whatever a register held.
func hostFunction(f func(*Caller, []uint64) error, params, results []api.ValueType) api.GoModuleFunc {
	narrow := func(ts []api.ValueType) (out []int) {
		for i, t := range ts {
			if t == api.ValueTypeI32 {
				out = append(out, i)
			}
		}
		return out
	}
	narrowParams, narrowResults := narrow(params), narrow(results)
	return func(ctx context.Context, _ api.Module, stack []uint64) {
		e := ctx.(*execution)
		for _, i := range narrowParams {
			stack[i] = uint64(uint32(stack[i]))
		}
		if err := f(&e.Caller, stack); err != nil {
			e.fail(trapOf(err))
		}
		if e.trap != nil {
			// Charge has failed and the function went on.
			panic(errAbort)
		}
		for _, i := range narrowResults {
			stack[i] = uint64(uint32(stack[i]))
		}
	}
}

// trapOf is the trap for an error of a host function.
func trapOf(err error) *Trap {
	if t, ok := errors.AsType[*Trap](err); ok {
		return t
	}
	return &Trap{Kind: Host, Message: err.Error(), Err: err}
}

const depthMessage = "calls are nested too deeply"

// check is called when the counter or the depth is below zero.
func check(ctx context.Context, _ api.Module, _ []uint64) {
	e := ctx.(*execution)
	if int64(e.instance.depth.Get()) < 0 {
		e.fail(&Trap{Kind: StackOverflow, Message: depthMessage})
	}
	if err := e.refill(); err != nil {
		e.fail(trapOf(err))
	}
}

// grow decides about memory.grow: the number of pages goes through, or becomes -1.
func grow(ctx context.Context, _ api.Module, stack []uint64) {
	e := ctx.(*execution)
	delta := uint64(uint32(stack[0]))
	current := uint64(len(e.Memory())) >> 16
	const refused = 0xffffffff
	switch {
	case delta == 0:
	case current+delta > e.instance.info.MaxPages:
		stack[0] = refused
	case e.call.Grow != nil:
		if err := e.call.Grow(current, delta); errors.Is(err, ErrGrowRefused) {
			stack[0] = refused
		} else if err != nil {
			e.fail(trapOf(err))
		}
	}
}
