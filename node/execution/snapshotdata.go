package execution

import (
	"bytes"
	"crypto/sha256"
	"math"
	"math/big"
	"slices"

	"portico/lightclient/candid"
	"portico/node/state"
	"portico/node/state/heap"
	"portico/node/types"
)

// Limits of the parts of snapshots.
const (
	// maxSnapshotSlice bounds what one call reads, so that it fits into a response.
	maxSnapshotSlice  = 2_000_000
	maxCertifiedBytes = 32
	// maxGlobals is how many globals a module may have; a v128 counts as two.
	maxGlobals = 2 * 1000
)

// readable finds a snapshot that the caller may read, and the canister, which pays for it.
func (m *managed) readable(canister types.CanisterID, id []byte) (*state.Canister, *state.Snapshot, *types.Reject) {
	if rej := mayReadSnapshots(m.s, canister, m.r.Origin.Sender); rej != nil {
		return nil, nil, rej
	}
	c := m.s.Edit(canister)
	s, rej := ownSnapshot(c, id)
	return c, s, rej
}

func (m *managed) readSnapshotMetadata() *types.Reject {
	arg, rej := decode[snapshotArg](m)
	if rej != nil {
		return rej
	}
	c, s, rej := m.readable(arg.Canister, arg.Snapshot)
	if rej != nil {
		return rej
	}
	if rej := m.pay(c, snapshotDataInstructions, MemoryUsage(c)); rej != nil {
		return rej
	}
	out := snapshotMetadataResult{
		Source: sourceOf(s.Uploaded), Taken: uint64(s.Taken), ModuleSize: s.ModuleBytes, Globals: []globalArg{},
		HeapSize: s.HeapBytes, StableSize: s.StableBytes, Chunks: hashesOf(s.Chunks), Version: s.Version, CertifiedData: s.CertifiedData,
	}
	for _, g := range s.Globals {
		out.Globals = append(out.Globals, globalOf(g))
	}
	if s.Timer != nil {
		out.Timer = &timerArg{Inactive: true}
		if *s.Timer != 0 {
			out.Timer = &timerArg{Active: s.Timer}
		}
	}
	if s.LowMemory != nil {
		l := *s.LowMemory
		out.LowMemory = &lowMemoryArg{l == state.LowMemoryNotReached, l == state.LowMemoryReady, l == state.LowMemoryExecuted}
	}
	return m.answer(out)
}

func sourceOf(uploaded bool) snapshotSource {
	if uploaded {
		return snapshotSource{Uploaded: &candid.Reserved{}}
	}
	return snapshotSource{Taken: &candid.Reserved{}}
}

func globalOf(g state.Global) globalArg {
	switch g.Type {
	case state.GlobalI32:
		v := int32(g.Bits)
		return globalArg{I32: &v}
	case state.GlobalI64:
		v := int64(g.Bits)
		return globalArg{I64: &v}
	case state.GlobalF32:
		v := math.Float32frombits(uint32(g.Bits))
		return globalArg{F32: &v}
	case state.GlobalF64:
		v := math.Float64frombits(g.Bits)
		return globalArg{F64: &v}
	default:
		panic("execution: global of unknown type")
	}
}

// globalsOf reads uploaded globals.
func globalsOf(args []globalArg) ([]state.Global, *types.Reject) {
	var out []state.Global
	for _, a := range args {
		switch {
		case a.I32 != nil:
			out = append(out, state.Global{Type: state.GlobalI32, Bits: uint64(uint32(*a.I32))})
		case a.I64 != nil:
			out = append(out, state.Global{Type: state.GlobalI64, Bits: uint64(*a.I64)})
		case a.F32 != nil:
			out = append(out, state.Global{Type: state.GlobalF32, Bits: uint64(math.Float32bits(*a.F32))})
		case a.F64 != nil:
			out = append(out, state.Global{Type: state.GlobalF64, Bits: math.Float64bits(*a.F64)})
		default:
			v := *a.V128
			if v.BitLen() > 128 {
				return nil, types.Rejectf(types.ErrInvalidManagementPayload, "globals: a v128 of %d bits", v.BitLen())
			}
			low := new(big.Int).And(v, new(big.Int).SetUint64(math.MaxUint64)).Uint64()
			high := new(big.Int).Rsh(v, 64).Uint64()
			out = append(out, state.Global{Type: state.GlobalI64, Bits: low}, state.Global{Type: state.GlobalI64, Bits: high})
		}
		if len(out) > maxGlobals {
			return nil, types.Rejectf(types.ErrInvalidManagementPayload, "globals: there are more than %d", maxGlobals)
		}
	}
	return out, nil
}

func (m *managed) readSnapshotData() *types.Reject {
	arg, rej := decode[readDataArg](m)
	if rej != nil {
		return rej
	}
	c, s, rej := m.readable(arg.Canister, arg.Snapshot)
	if rej != nil {
		return rej
	}
	heapMemory, stable, err := m.x.deps.Memories.Snapshot(state.SnapshotID{Canister: c.ID, Number: s.Number})
	must(c.ID, err)
	var chunk []byte
	switch kind := arg.Kind; {
	case kind.Module != nil:
		if rej = m.slice(c, *kind.Module, s.ModuleBytes); rej == nil {
			chunk = readPieces(s, kind.Module.Offset, kind.Module.Size)
		}
	case kind.Heap != nil:
		chunk, rej = m.readMemory(c, heapMemory, *kind.Heap, s.HeapBytes)
	case kind.Stable != nil:
		chunk, rej = m.readMemory(c, stable, *kind.Stable, s.StableBytes)
	default:
		i, ok := findChunk(s.Chunks, kind.Chunk.Hash)
		if !ok {
			return types.Rejectf(types.ErrCanisterRejectedMessage, "The snapshot has no chunk with hash %x", kind.Chunk.Hash)
		}
		chunk = s.Chunks[i].Data
		rej = m.pay(c, snapshotDataInstructions+uint64(len(chunk)), MemoryUsage(c))
	}
	if rej != nil {
		return rej
	}
	return m.answer(readDataResult{chunk})
}

// slice checks and charges a part of something that is total bytes long.
func (m *managed) slice(c *state.Canister, part sliceArg, total uint64) *types.Reject {
	if rej := within(part.Offset, part.Size, total); rej != nil {
		return rej
	}
	if part.Size > maxSnapshotSlice {
		return types.Rejectf(types.ErrInvalidManagementPayload, "size %d is larger than %d, the most that one call reads", part.Size, maxSnapshotSlice)
	}
	return m.pay(c, snapshotDataInstructions+part.Size, MemoryUsage(c))
}

func within(off, n, total uint64) *types.Reject {
	if off > total || n > total-off {
		return types.Rejectf(types.ErrInvalidManagementPayload, "%d bytes from offset %d on are not within the %d bytes that there are", n, off, total)
	}
	return nil
}

func (m *managed) readMemory(c *state.Canister, from *heap.Memory, part sliceArg, total uint64) ([]byte, *types.Reject) {
	if rej := m.slice(c, part, total); rej != nil {
		return nil, rej
	}
	b := make([]byte, part.Size)
	must(c.ID, from.ReadCommitted(b, part.Offset))
	return b, nil
}

func (m *managed) uploadSnapshotMetadata() *types.Reject {
	arg, rej := decode[uploadMetadataArg](m)
	if rej != nil {
		return rej
	}
	c, rej := m.controlled(arg.Canister)
	if rej != nil {
		return rej
	}
	s, rej := uploadedSnapshot(arg)
	if rej != nil {
		return rej
	}
	s.Number, s.Taken, s.Version = c.NextSnapshot, m.s.Time, c.Version
	replaced, rej := m.replaced(c, arg.Replace)
	if rej != nil {
		return rej
	}
	if rej := m.pay(c, snapshotInstructions, MemoryUsage(c)+s.Bytes()-sizeOf(replaced)); rej != nil {
		return rej
	}
	id := state.SnapshotID{Canister: c.ID, Number: s.Number}
	heapMemory, stable, err := m.x.deps.Memories.Snapshot(id)
	must(c.ID, err)
	must(c.ID, heapMemory.Resize(s.HeapBytes))
	must(c.ID, stable.Resize(s.StableBytes))
	m.x.unpublished[id] = true
	m.keep(c, s, replaced)
	return m.answer(uploadMetadataResult{id.Bytes()})
}

// uploadedSnapshot is a snapshot of zeros with uploaded metadata.
func uploadedSnapshot(arg uploadMetadataArg) (*state.Snapshot, *types.Reject) {
	globals, rej := globalsOf(arg.Globals)
	if rej != nil {
		return nil, rej
	}
	for _, size := range []struct {
		name           string
		is, most, unit uint64
	}{
		{"wasm_module_size", arg.ModuleSize, maxModuleBytes, 1},
		{"wasm_memory_size", arg.HeapSize, MaxHeapBytes, types.WasmPageBytes},
		{"stable_memory_size", arg.StableSize, maxStableBytes, types.WasmPageBytes},
		{"certified_data", uint64(len(arg.CertifiedData)), maxCertifiedBytes, 1},
	} {
		if size.is > size.most || size.is%size.unit != 0 {
			return nil, types.Rejectf(types.ErrInvalidManagementPayload, "%s of %d bytes: it may be at most %d, in units of %d", size.name, size.is, size.most, size.unit)
		}
	}
	if arg.ModuleSize == 0 {
		return nil, types.Rejectf(types.ErrInvalidManagementPayload, "wasm_module_size is 0: a snapshot has a module")
	}
	s := &state.Snapshot{
		Uploaded: true, Module: make([]state.Chunk, (arg.ModuleSize+state.ModulePieceBytes-1)/state.ModulePieceBytes), ModuleBytes: arg.ModuleSize,
		Globals: globals, HeapBytes: arg.HeapSize, StableBytes: arg.StableSize, CertifiedData: arg.CertifiedData,
	}
	if t := arg.Timer; t != nil {
		s.Timer = new(uint64)
		if t.Active != nil {
			*s.Timer = *t.Active
		}
	}
	if l := arg.LowMemory; l != nil {
		low := state.LowMemoryNotReached
		switch {
		case l.Ready:
			low = state.LowMemoryReady
		case l.Executed:
			low = state.LowMemoryExecuted
		}
		s.LowMemory = &low
	}
	return s, nil
}

func (m *managed) uploadSnapshotData() *types.Reject {
	arg, rej := decode[uploadDataArg](m)
	if rej != nil {
		return rej
	}
	c, rej := m.controlled(arg.Canister)
	if rej != nil {
		return rej
	}
	s, rej := ownSnapshot(c, arg.Snapshot)
	if rej != nil {
		return rej
	}
	if !s.Uploaded {
		return types.Rejectf(types.ErrCanisterRejectedMessage, "Only canister snapshots created by metadata upload can be mutated.")
	}
	id := state.SnapshotID{Canister: c.ID, Number: s.Number}
	heapMemory, stable, err := m.x.deps.Memories.Snapshot(id)
	must(c.ID, err)
	changed := *s
	switch kind := arg.Kind; {
	case kind.Module != nil:
		if rej = m.part(c, kind.Module.Offset, arg.Chunk, s.ModuleBytes); rej == nil {
			changed.Module = writePieces(s, kind.Module.Offset, arg.Chunk)
		}
	case kind.Heap != nil:
		rej = m.writeMemory(c, id, heapMemory, kind.Heap.Offset, arg.Chunk, s.HeapBytes)
	case kind.Stable != nil:
		rej = m.writeMemory(c, id, stable, kind.Stable.Offset, arg.Chunk, s.StableBytes)
	default:
		changed.Chunks, rej = m.storeChunk(c, s.Chunks, arg.Chunk)
	}
	if rej != nil {
		return rej
	}
	c.PutSnapshot(&changed)
	return m.answer()
}

// part checks and charges a part that is written.
func (m *managed) part(c *state.Canister, off uint64, chunk []byte, total uint64) *types.Reject {
	if rej := within(off, uint64(len(chunk)), total); rej != nil {
		return rej
	}
	return m.pay(c, snapshotDataInstructions+uint64(len(chunk)), MemoryUsage(c))
}

func (m *managed) writeMemory(c *state.Canister, id state.SnapshotID, to *heap.Memory, off uint64, chunk []byte, total uint64) *types.Reject {
	if rej := m.part(c, off, chunk, total); rej != nil {
		return rej
	}
	must(c.ID, to.Write(chunk, off))
	m.x.unpublished[id] = true
	m.out.ChangedBytes += (off%heap.PageBytes + uint64(len(chunk)) + heap.PageBytes - 1) / heap.PageBytes * heap.PageBytes
	return nil
}

// writePieces returns the pieces of an uploaded module with a part written.
func writePieces(s *state.Snapshot, off uint64, chunk []byte) []state.Chunk {
	pieces := slices.Clone(s.Module)
	for len(chunk) > 0 {
		i, in := off/state.ModulePieceBytes, off%state.ModulePieceBytes
		data := bytes.Clone(pieces[i].Data)
		if data == nil {
			data = make([]byte, min(state.ModulePieceBytes, s.ModuleBytes-i*state.ModulePieceBytes))
		}
		n := copy(data[in:], chunk)
		pieces[i] = state.Chunk{Hash: sha256.Sum256(data), Data: data}
		chunk, off = chunk[n:], off+uint64(n)
	}
	return pieces
}
