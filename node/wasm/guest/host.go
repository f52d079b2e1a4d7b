package guest

import (
	"context"
	"fmt"

	"portico/node/wasm/instrument"

	"github.com/tetratelabs/wazero/api"
)

// offer registers the host functions, once for each width of pointers.
func (b *wazeroBackend) offer(imports []instrument.Import) error {
	ctx := context.Background()
	for _, width := range []struct {
		module  string
		pointer instrument.ValueType
	}{{instrument.System32, instrument.I32}, {instrument.System64, instrument.I64}} {
		builder := b.runtime.NewHostModuleBuilder(width.module)
		for index, h := range imports {
			if h.Only32 && width.pointer == instrument.I64 {
				continue
			}
			params, results := engineTypes(h.Params, width.pointer), engineTypes(h.Results, width.pointer)
			builder.NewFunctionBuilder().WithGoModuleFunction(hostFunction(index, params, results), params, results).Export(h.Name)
		}
		if _, err := builder.Instantiate(ctx); err != nil {
			return fmt.Errorf("host module: %w", err)
		}
	}
	i32 := []api.ValueType{api.ValueTypeI32}
	builder := b.runtime.NewHostModuleBuilder(instrument.HostModule)
	builder.NewFunctionBuilder().WithGoModuleFunction(api.GoModuleFunc(check), nil, nil).Export(instrument.Check)
	builder.NewFunctionBuilder().WithGoModuleFunction(api.GoModuleFunc(grow), i32, i32).Export(instrument.Grow)
	if _, err := builder.Instantiate(ctx); err != nil {
		return fmt.Errorf("host module: %w", err)
	}
	return nil
}

func engineTypes(ts []instrument.ValueType, pointer instrument.ValueType) []api.ValueType {
	out := make([]api.ValueType, len(ts))
	for i, t := range ts {
		if t == instrument.Ptr {
			t = pointer
		}
		switch t {
		case instrument.I32:
			out[i] = api.ValueTypeI32
		case instrument.I64:
			out[i] = api.ValueTypeI64
		default:
			panic("wasm: host functions take and give integers only, not " + t.String())
		}
	}
	return out
}

// hostFunction adapts a host function. Compiled code passes 32-bit values in slots of
// 64 bits whose upper halves are whatever a register held.
func hostFunction(index int, params, results []api.ValueType) api.GoModuleFunc {
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
		c := ctx.(*call)
		for _, i := range narrowParams {
			stack[i] = uint64(uint32(stack[i]))
		}
		if err := c.host.HostCall(index, stack); err != nil {
			c.end(err)
		}
		for _, i := range narrowResults {
			stack[i] = uint64(uint32(stack[i]))
		}
	}
}

// check is called when the counter or the depth is below zero.
func check(ctx context.Context, _ api.Module, _ []uint64) {
	c := ctx.(*call)
	if err := c.host.Check(); err != nil {
		c.end(err)
	}
}

// grow decides about memory.grow: the number of pages goes through, or becomes -1.
func grow(ctx context.Context, _ api.Module, stack []uint64) {
	const refusal = 0xffffffff
	c := ctx.(*call)
	refused, err := c.host.Grow(uint32(stack[0]))
	if err != nil {
		c.end(err)
	}
	if refused {
		stack[0] = refusal
	}
}
