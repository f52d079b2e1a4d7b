package execution

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"slices"

	"portico/lightclient/principal"
	"portico/node/state"
	"portico/node/types"
	"portico/node/wasm"
	"portico/node/wasm/instrument"
)

// Limits and prices of snapshots.
const (
	maxSnapshots = 10
	// snapshotInstructions is what a snapshot is charged as when it is made or loaded, with
	// one instruction more for every byte of it; snapshotDataInstructions is the same for a
	// part that is read or written.
	snapshotInstructions     = 2_000_000_000
	snapshotDataInstructions = 2_000_000
)

func (m *managed) takeSnapshot() *types.Reject {
	arg, rej := decode[takeSnapshotArg](m)
	if rej != nil {
		return rej
	}
	c, rej := m.controlled(arg.Canister)
	if rej != nil {
		return rej
	}
	if rej := m.senderVersion(arg.SenderVersion); rej != nil {
		return rej
	}
	if c.Code == nil {
		return types.Rejectf(types.ErrCanisterRejectedMessage, "Failed to create snapshot for empty canister %s", c.ID)
	}
	replaced, rej := m.replaced(c, arg.Replace)
	if rej != nil {
		return rej
	}
	s := m.x.snapshotOf(c, m.s.Time)
	uninstall := arg.UninstallCode != nil && *arg.UninstallCode
	usage := MemoryUsage(c) + s.Bytes() - sizeOf(replaced)
	if uninstall {
		usage -= contentBytes(c)
	}
	if rej := m.pay(c, snapshotInstructions+s.Bytes(), usage); rej != nil {
		return rej
	}
	m.x.copySnapshot(c, state.SnapshotID{Canister: c.ID, Number: s.Number})
	m.keep(c, s, replaced)
	if uninstall {
		m.out.Append(m.x.Uninstall(c))
		c.Record(m.change(c, state.ChangeUninstall, arg.SenderVersion))
	}
	return m.answer(snapshotResultOf(c, s))
}

// replaced finds the snapshot that a new one is to replace; without one there must be room.
func (m *managed) replaced(c *state.Canister, id *[]byte) (*state.Snapshot, *types.Reject) {
	if id != nil {
		return ownSnapshot(c, *id)
	}
	if len(c.Snapshots) >= maxSnapshots {
		return nil, types.Rejectf(types.ErrCanisterRejectedMessage, "Canister %s has reached the maximum number of snapshots allowed: %d.", c.ID, maxSnapshots)
	}
	return nil, nil
}

func sizeOf(s *state.Snapshot) uint64 {
	if s == nil {
		return 0
	}
	return s.Bytes()
}

// contentBytes is what a canister stores that loading a snapshot replaces and uninstalling
// removes.
func contentBytes(c *state.Canister) uint64 {
	m := MemoryMetrics(c)
	return m.Heap + m.Stable + m.Global + m.Module + m.CustomSections + m.Chunks
}

// pay takes the price of work on a canister, after which it stores usage bytes, and reserves
// cycles for these. Neither may freeze it.
func (m *managed) pay(c *state.Canister, instructions, usage uint64) *types.Reject {
	costs := m.x.costs
	cost := costs.Execution(instructions, false)
	threshold := costs.freezingThreshold(c, max(usage, c.Settings.MemoryAllocation), c.Reserved)
	if c.Cycles.Cmp(cost.Add(threshold)) < 0 {
		return types.Rejectf(types.ErrCanisterOutOfCycles, "Canister %s is out of cycles: %s needs %s cycles above the freezing threshold, which becomes %s, but the balance is %s", c.ID, m.r.Method, cost, threshold, c.Cycles)
	}
	reserve, rej := m.x.storage(c, usage, m.s.Metrics.StateBytes, c.Cycles.Sub(cost))
	if rej != nil {
		return rej
	}
	c.Cycles, c.Reserved = c.Cycles.Sub(cost).Sub(reserve), c.Reserved.Add(reserve)
	c.Consume(state.UseInstructions, cost)
	m.out.Instructions += instructions
	return nil
}

// snapshotOf describes a canister as it is now.
func (x *Executor) snapshotOf(c *state.Canister, now types.Time) *state.Snapshot {
	timer, low := c.Timer, c.LowMemory
	s := &state.Snapshot{
		Number: c.NextSnapshot, Taken: now, Version: c.Version,
		Module:      []state.Chunk{{Hash: c.Code.ModuleHash, Data: c.Code.Module}},
		ModuleBytes: uint64(len(c.Code.Module)),
		HeapBytes:   c.Code.HeapBytes, StableBytes: c.StableBytes,
		Chunks: slices.Clone(c.Chunks), CertifiedData: c.CertifiedData, Timer: &timer, LowMemory: &low,
	}
	for i, t := range x.Module(c.ID, c.Code).Info().Globals {
		s.Globals = append(s.Globals, state.Global{Type: globalTypes[t], Bits: c.Code.Globals[i]})
	}
	return s
}

var globalTypes = map[instrument.ValueType]state.GlobalType{
	instrument.I32: state.GlobalI32, instrument.I64: state.GlobalI64, instrument.F32: state.GlobalF32, instrument.F64: state.GlobalF64,
}

// copySnapshot fills the memories of a new snapshot.
func (x *Executor) copySnapshot(c *state.Canister, id state.SnapshotID) {
	ownHeap, ownStable := x.files(c.ID)
	heap, stable, err := x.deps.Memories.Snapshot(id)
	must(c.ID, err)
	must(c.ID, heap.Adopt(ownHeap))
	must(c.ID, stable.Adopt(ownStable))
	x.shared = append(x.shared, ownHeap, ownStable)
	x.unpublished[id] = true
}

// keep adds a snapshot to the canister and drops the one that it replaces.
func (m *managed) keep(c *state.Canister, s, replaced *state.Snapshot) {
	c.Snapshots = append(c.Snapshots, s)
	c.NextSnapshot++
	if replaced != nil {
		m.x.dropSnapshot(c, replaced.Number)
	}
}

func (x *Executor) dropSnapshot(c *state.Canister, number uint64) {
	c.DropSnapshot(number)
	id := state.SnapshotID{Canister: c.ID, Number: number}
	delete(x.unpublished, id)
	must(c.ID, x.deps.Memories.RemoveSnapshot(id))
}

func (x *Executor) dropSnapshots(c *state.Canister) {
	for len(c.Snapshots) > 0 {
		x.dropSnapshot(c, c.Snapshots[0].Number)
	}
}

// publishSnapshots writes the content of new snapshots to their files.
func (x *Executor) publishSnapshots() {
	for id := range x.unpublished {
		heap, stable, err := x.deps.Memories.Snapshot(id)
		must(id.Canister, err)
		must(id.Canister, heap.Publish())
		must(id.Canister, stable.Publish())
	}
	clear(x.unpublished)
}

func snapshotResultOf(c *state.Canister, s *state.Snapshot) snapshotResult {
	return snapshotResult{state.SnapshotID{Canister: c.ID, Number: s.Number}.Bytes(), uint64(s.Taken), s.Bytes()}
}

func noSnapshot(c principal.ID, id []byte) *types.Reject {
	return types.Rejectf(types.ErrSnapshotNotFound, "Could not find the snapshot ID %x for the canister %s", id, c)
}

// ownSnapshot finds a snapshot that must be the canister's own.
func ownSnapshot(c *state.Canister, id []byte) (*state.Snapshot, *types.Reject) {
	at, ok := state.ParseSnapshotID(id)
	if ok && at.Canister != c.ID {
		return nil, types.Rejectf(types.ErrCanisterRejectedMessage, "The snapshot %x does not belong to canister %s", id, c.ID)
	}
	if s := c.Snapshot(at.Number); ok && s != nil {
		return s, nil
	}
	return nil, noSnapshot(c.ID, id)
}

func (m *managed) loadSnapshot() *types.Reject {
	arg, rej := decode[loadSnapshotArg](m)
	if rej != nil {
		return rej
	}
	c, rej := m.controlled(arg.Canister)
	if rej != nil {
		return rej
	}
	if rej := m.senderVersion(arg.SenderVersion); rej != nil {
		return rej
	}
	id, s, rej := m.loadable(c, arg.Snapshot)
	if rej != nil {
		return rej
	}
	code, rej := m.x.snapshotCode(c, s)
	if rej != nil {
		return rej
	}
	usage := MemoryUsage(c) - contentBytes(c) + s.Bytes() + code.CustomBytes
	if rej := m.pay(c, snapshotInstructions+s.Bytes(), usage); rej != nil {
		return rej
	}
	m.x.load(c, id, s, code)
	c.Installed = m.s.Time
	change := m.change(c, state.ChangeLoadSnapshot, arg.SenderVersion)
	change.Loaded = &state.LoadedSnapshot{ID: id, Version: s.Version, Taken: s.Taken, Uploaded: s.Uploaded}
	c.Record(change)
	return m.answer()
}

// loadable finds a snapshot of any canister that the caller controls.
func (m *managed) loadable(c *state.Canister, id []byte) (state.SnapshotID, *state.Snapshot, *types.Reject) {
	at, ok := state.ParseSnapshotID(id)
	source := m.s.Canister(at.Canister)
	if !ok || source == nil || source.Snapshot(at.Number) == nil {
		return at, nil, noSnapshot(c.ID, id)
	}
	if !source.IsController(m.r.Origin.Sender) {
		return at, nil, notController(source.ID, m.r.Origin.Sender)
	}
	return at, source.Snapshot(at.Number), nil
}

// snapshotCode is the code that loading a snapshot would install. A snapshot that was
// uploaded may not fit together.
func (x *Executor) snapshotCode(c *state.Canister, s *state.Snapshot) (*state.Code, *types.Reject) {
	code := &state.Code{ModuleHash: s.Module[0].Hash, Module: s.Module[0].Data, HeapBytes: s.HeapBytes}
	if s.Uploaded {
		code.Module = readPieces(s, 0, s.ModuleBytes)
		code.ModuleHash = sha256.Sum256(code.Module)
	}
	compiled, err := x.compile(code.ModuleHash, code.Module)
	if err != nil {
		var invalid *wasm.Invalid
		if !errors.As(err, &invalid) {
			panic(&Failure{c.ID, err})
		}
		return nil, types.Rejectf(types.ErrCanisterInvalidWasm, "Error from Canister %s: the snapshot's Wasm module is not valid: %s", c.ID, invalid.Reason)
	}
	defer x.modules.leave(compiled)
	module := compiled.module
	inconsistent := func(format string, args ...any) *types.Reject {
		return types.Rejectf(types.ErrCanisterRejectedMessage, "The snapshot is inconsistent: "+format, args...)
	}
	info := module.Info()
	if pages := s.HeapBytes / types.WasmPageBytes; pages < info.MinPages || pages > max(info.MaxPages, info.MinPages) {
		return nil, inconsistent("its heap has %d pages, its module wants %d to %d", pages, info.MinPages, info.MaxPages)
	}
	if len(s.Globals) != len(info.Globals) {
		return nil, inconsistent("it has %d globals, its module has %d mutable ones", len(s.Globals), len(info.Globals))
	}
	for i, g := range s.Globals {
		if g.Type != globalTypes[info.Globals[i]] {
			return nil, inconsistent("its global %d is not of the type that the module has", i)
		}
		code.Globals = append(code.Globals, g.Bits)
	}
	code.CustomBytes = customBytes(module)
	return code, nil
}

// load makes a snapshot the canister's code and content.
func (x *Executor) load(c *state.Canister, id state.SnapshotID, s *state.Snapshot, code *state.Code) {
	x.Abandon(c.ID)
	l := x.open(c.ID)
	defer x.done(l)
	l.dropInstance(c.ID)
	ownHeap, ownStable := x.files(c.ID)
	heap, stable, err := x.deps.Memories.Snapshot(id)
	must(c.ID, err)
	must(c.ID, ownHeap.Adopt(heap))
	must(c.ID, ownStable.Adopt(stable))
	x.shared = append(x.shared, ownHeap, ownStable)
	c.Code, c.StableBytes = code, s.StableBytes
	c.CertifiedData, c.Chunks = s.CertifiedData, slices.Clone(s.Chunks)
	if s.Timer != nil {
		c.Timer = *s.Timer
	}
	if s.LowMemory != nil {
		c.LowMemory = *s.LowMemory
	}
	c.Version++
	watchLowMemory(c)
}

func (m *managed) listSnapshots() *types.Reject {
	arg, rej := decode[canisterArg](m)
	if rej != nil {
		return rej
	}
	if rej := mayReadSnapshots(m.s, arg.Canister, m.r.Origin.Sender); rej != nil {
		return rej
	}
	c, out := m.s.Canister(arg.Canister), []snapshotResult{}
	for _, s := range c.Snapshots {
		out = append(out, snapshotResultOf(c, s))
	}
	return m.answer(out)
}

func mayReadSnapshots(s *state.State, id, sender principal.ID) *types.Reject {
	if c := s.Canister(id); c != nil && c.Settings.SnapshotVisibility.Allows(sender) {
		return nil
	}
	return mayManage(s, id, sender)
}

func (m *managed) deleteSnapshot() *types.Reject {
	arg, rej := decode[snapshotArg](m)
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
	m.x.dropSnapshot(c, s.Number)
	return m.answer()
}

// readPieces reads a part of a snapshot's module, which lies within it.
func readPieces(s *state.Snapshot, off, n uint64) []byte {
	if !s.Uploaded {
		return bytes.Clone(s.Module[0].Data[off : off+n])
	}
	out := make([]byte, n)
	for done := uint64(0); done < n; {
		at := off + done
		in := at % state.ModulePieceBytes
		part := min(n-done, state.ModulePieceBytes-in)
		if data := s.Module[at/state.ModulePieceBytes].Data; data != nil {
			copy(out[done:done+part], data[in:])
		}
		done += part
	}
	return out
}
