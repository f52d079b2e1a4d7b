package ic0

import (
	"errors"
	"math"

	"portico/node/types"
	"portico/node/wasm"
)

// max32BitStablePages is what the 32-bit functions can address: beyond 4 GiB they trap.
const max32BitStablePages = 1 << 16

func stableFunctions() []entry {
	i32, i64 := []wasm.ValueType{wasm.I32}, []wasm.ValueType{wasm.I64}
	i32x3, i64x3 := []wasm.ValueType{wasm.I32, wasm.I32, wasm.I32}, []wasm.ValueType{wasm.I64, wasm.I64, wasm.I64}
	return []entry{
		{name: "stable64_size", results: i64, from: all | Start, fn: stable64Size},
		{name: "stable64_grow", params: i64, results: i64, from: all | Start, fn: stable64Grow},
		{name: "stable64_write", params: i64x3, from: all | Start, fn: stableWrite},
		{name: "stable64_read", params: i64x3, from: all | Start, fn: stableRead},
		{name: "stable_size", results: i32, from: all | Start, only32: true, fn: within32(stable64Size)},
		{name: "stable_grow", params: i32, results: i32, from: all | Start, only32: true, fn: stableGrow32},
		{name: "stable_write", params: i32x3, from: all | Start, only32: true, fn: within32(stableWrite)},
		{name: "stable_read", params: i32x3, from: all | Start, only32: true, fn: within32(stableRead)},
	}
}

func (m *machine) stablePages() uint64 { return uint64(len(m.Stable.Bytes())) / types.WasmPageBytes }

// within32 traps when stable memory is larger than 32-bit addresses reach.
func within32(f fn) fn {
	return func(m *machine, args []uint64) error {
		if m.stablePages() > max32BitStablePages {
			return trapped("the 32-bit stable memory functions cannot be used: stable memory is larger than 4 GiB")
		}
		return f(m, args)
	}
}

func stable64Size(m *machine, args []uint64) error {
	args[0] = m.stablePages()
	return nil
}

func stableGrow32(m *machine, args []uint64) error {
	old := m.stablePages()
	if old > max32BitStablePages {
		return trapped("the 32-bit stable memory functions cannot be used: stable memory is larger than 4 GiB")
	}
	if old+args[0] > max32BitStablePages {
		args[0] = math.MaxUint32
		return nil
	}
	if err := m.growStable(args); err != nil {
		return err
	}
	args[0] &= math.MaxUint32
	return nil
}

func stable64Grow(m *machine, args []uint64) error { return m.growStable(args) }

func (m *machine) growStable(args []uint64) error {
	old, delta := m.stablePages(), args[0]
	most := m.Limits.MaxStableBytes / types.WasmPageBytes
	if delta > most || old+delta > most {
		args[0] = math.MaxUint64
		return nil
	}
	if delta > 0 {
		oldBytes, newBytes := old*types.WasmPageBytes, (old+delta)*types.WasmPageBytes
		if err := m.GrowStable(oldBytes, newBytes); errors.Is(err, wasm.ErrGrowRefused) {
			args[0] = math.MaxUint64
			return nil
		} else if err != nil {
			return err
		}
		if err := m.Stable.Grow(newBytes); err != nil {
			return err
		}
	}
	args[0] = old
	return nil
}

// stableRange checks [off, off+size) of stable memory and charges for it.
func (m *machine) stableRange(what string, off, size uint64, used *uint64, most uint64) ([]byte, error) {
	b := m.Stable.Bytes()
	if off > uint64(len(b)) || size > uint64(len(b))-off {
		return nil, trapped("%s: stable memory out of bounds: offset %d with size %d, but there are %d bytes", what, off, size, len(b))
	}
	*used += size
	if *used > most {
		return nil, types.Rejectf(types.ErrCanisterMemoryAccessLimit, "%s: one message may access at most %d bytes of stable memory this way", what, most)
	}
	return b[off : off+size], nil
}

func stableWrite(m *machine, args []uint64) error {
	off, src, size := args[0], args[1], args[2]
	to, err := m.stableRange("ic0.stable64_write", off, size, &m.stable, m.Limits.MaxStableWriteBytes)
	if err != nil {
		return err
	}
	if err := m.within("ic0.stable64_write", src, size); err != nil {
		return err
	}
	if size > 0 {
		m.Stable.MarkDirty(off, size)
		m.caller.Read(to, src)
	}
	return nil
}

func stableRead(m *machine, args []uint64) error {
	dst, off, size := args[0], args[1], args[2]
	b, err := m.stableRange("ic0.stable64_read", off, size, &m.stableRead, m.Limits.MaxStableReadBytes)
	if err != nil {
		return err
	}
	if err := m.within("ic0.stable64_read", dst, size); err != nil {
		return err
	}
	m.caller.Write(dst, b)
	return nil
}
