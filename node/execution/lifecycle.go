package execution

import (
	"bytes"
	"crypto/sha256"
	"math/big"
	"slices"
	"time"

	"portico/lightclient/principal"
	"portico/node/state"
	"portico/node/types"
)

// Limits of the management canister.
const (
	maxChunkBytes  = types.MiB
	maxChunks      = 100
	stopTimeout    = 5 * time.Minute
	nanosPerSecond = 1_000_000_000
)

func (m *managed) createCanister() *types.Reject {
	arg, rej := decode[createArg](m)
	if rej != nil {
		return rej
	}
	if rej := m.senderVersion(arg.SenderVersion); rej != nil {
		return rej
	}
	cost := m.x.costs.CreateCanister()
	if len(m.x.deps.Subnet.Admins) > 0 {
		cost = types.Cycles{}
	}
	if m.r.Cycles.Cmp(cost) < 0 {
		return types.Rejectf(types.ErrInsufficientCreateCycles, "Creating a canister requires a fee of %s that is deducted from the canister's initial balance but only %s cycles were received with the create_canister request.", cost, m.r.Cycles)
	}
	c, rej := m.create(nil, m.r.Cycles.Sub(cost), arg.Settings, arg.SenderVersion)
	if rej != nil {
		return rej
	}
	m.refund = types.Cycles{}
	c.Consume(state.UseCreation, cost)
	return nil
}

func (m *managed) provisionalCreate() *types.Reject {
	arg, rej := decode[provisionalCreateArg](m)
	if rej != nil {
		return rej
	}
	if rej := m.senderVersion(arg.SenderVersion); rej != nil {
		return rej
	}
	cycles := types.CyclesOf(provisionalDefaultCycles)
	if arg.Amount != nil {
		cycles = types.CyclesOfBig(*arg.Amount)
	}
	if _, rej = m.create(arg.SpecifiedID, cycles, arg.Settings, arg.SenderVersion); rej != nil {
		return rej
	}
	m.mint(cycles)
	return nil
}

// mint counts cycles that come from nowhere, as on development networks.
func (m *managed) mint(cycles types.Cycles) {
	m.s.Metrics.MintedCycles = m.s.Metrics.MintedCycles.Add(cycles)
}

// create makes a canister and answers with its id. An id is used up only if it succeeds.
func (m *managed) create(wanted *principal.ID, cycles types.Cycles, settings *settingsArg, byVersion *uint64) (*state.Canister, *types.Reject) {
	id, next, rej := m.newID(wanted)
	if rej != nil {
		return nil, rej
	}
	c := state.NewCanister(id, m.s.Time)
	c.Cycles = cycles
	c.Settings = defaultSettings(m.r.Origin.Sender)
	if settings != nil {
		if _, rej := m.apply(c, settings); rej != nil {
			return nil, rej
		}
	}
	m.s.Add(c)
	m.s.NextCanister = next
	change := m.change(c, state.ChangeCreation, byVersion)
	change.Controllers = c.Settings.Controllers
	if vars := c.Settings.EnvVars; len(vars) > 0 {
		hash := envVarsHash(vars)
		change.EnvVars = &hash
	}
	c.Record(change)
	m.answer(canisterArg{id})
	return c, nil
}

// newID chooses the id of a new canister, and the index from which the next choice begins.
func (m *managed) newID(wanted *principal.ID) (id principal.ID, next uint64, rej *types.Reject) {
	subnet, next := m.x.deps.Subnet, m.s.NextCanister
	if wanted == nil {
		for id = principal.Canister(next); m.s.Canister(id) != nil; id = principal.Canister(next) {
			next++
		}
		if !subnet.Hosts(id) {
			return id, next, types.Rejectf(types.ErrMaxNumberOfCanistersReached, "the subnet %s has no canister ids left", subnet.ID)
		}
		return id, next + 1, nil
	}
	index, _ := wanted.CanisterIndex()
	switch {
	case !subnet.Hosts(*wanted):
		return id, next, types.Rejectf(types.ErrCanisterRejectedMessage, "The specified id %s is not in the canister ranges of subnet %s", *wanted, subnet.ID)
	case m.s.Canister(*wanted) != nil:
		return id, next, types.Rejectf(types.ErrCanisterIDAlreadyExists, "Canister %s is already installed", *wanted)
	case index >= subnet.FirstGiven && index < next:
		return id, next, types.Rejectf(types.ErrCanisterIDAlreadyExists, "The specified id %s was the id of a canister that was deleted, and is never given out again", *wanted)
	default:
		return *wanted, next, nil
	}
}

func (m *managed) provisionalTopUp() *types.Reject {
	arg, rej := decode[topUpArg](m)
	if rej != nil {
		return rej
	}
	c, rej := m.canister(arg.Canister)
	if rej != nil {
		return rej
	}
	amount := types.CyclesOfBig(arg.Amount).Min(types.MaxCycles().Sub(c.Cycles))
	m.mint(amount)
	c.Credit(amount)
	return m.answer()
}

func (m *managed) depositCycles() *types.Reject {
	c, rej := m.target(m.canister)
	if rej != nil {
		return rej
	}
	c.Credit(m.r.Cycles)
	m.refund = types.Cycles{}
	return m.answer()
}

func (m *managed) rawRand() *types.Reject {
	m.s.AwaitingRandomness = append(m.s.AwaitingRandomness, m.r)
	m.pending = true
	return nil
}

func (m *managed) updateSettings() *types.Reject {
	arg, rej := decode[updateSettingsArg](m)
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
	controllersChanged, rej := m.apply(c, &arg.Settings)
	if rej != nil {
		return rej
	}
	c.Version++
	watchLowMemory(c)
	if controllersChanged {
		change := m.change(c, state.ChangeControllers, arg.SenderVersion)
		change.Controllers = c.Settings.Controllers
		c.Record(change)
	}
	return m.answer()
}

func (m *managed) installCode() *types.Reject {
	arg, rej := decode[installArg](m)
	if rej != nil {
		return rej
	}
	c, rej := m.controlled(arg.Canister)
	if rej != nil {
		return rej
	}
	return m.install(c, arg.Mode, arg.Module, arg.Arg, arg.SenderVersion)
}

func (m *managed) install(c *state.Canister, mode modeArg, module, arg []byte, byVersion *uint64) *types.Reject {
	if rej := m.senderVersion(byVersion); rej != nil {
		return rej
	}
	in := Installation{Module: module, Arg: arg, By: m.r.Origin, ByVersion: byVersion}
	switch {
	case mode.Install:
		in.Mode = Install
	case mode.Reinstall:
		in.Mode = Reinstall
	default:
		in.Mode = Upgrade
		in.options(*mode.Upgrade)
	}
	return m.installModule(c, in)
}

// options takes over the options of an upgrade; o may be nil.
func (in *Installation) options(o *upgradeArg) {
	if o == nil {
		return
	}
	in.SkipPreUpgrade = o.SkipPreUpgrade != nil && *o.SkipPreUpgrade
	switch {
	case o.Persistence == nil:
	case o.Persistence.Keep:
		in.Persistence = PersistenceKeep
	default:
		in.Persistence = PersistenceReplace
	}
}

func (m *managed) installChunkedCode() *types.Reject {
	arg, rej := decode[installChunkedArg](m)
	if rej != nil {
		return rej
	}
	c, rej := m.controlled(arg.Target)
	if rej != nil {
		return rej
	}
	store := c
	if arg.Store != nil && *arg.Store != arg.Target {
		if store, rej = m.chunkStore(*arg.Store); rej != nil {
			return rej
		}
	}
	if len(arg.Chunks) > maxChunks {
		return types.Rejectf(types.ErrInvalidManagementPayload, "chunk_hashes_list: a module is made of at most %d chunks, not %d", maxChunks, len(arg.Chunks))
	}
	var module []byte
	for _, h := range arg.Chunks {
		i, ok := findChunk(store.Chunks, h.Hash)
		if !ok {
			return types.Rejectf(types.ErrCanisterContractViolation, "Error from Wasm chunk store: Chunk hash %x was not found in the store of canister %s", h.Hash, store.ID)
		}
		if module = append(module, store.Chunks[i].Data...); len(module) > maxModuleBytes {
			return types.Rejectf(types.ErrCanisterInvalidWasm, "Error from Canister %s: Canister's Wasm module is not valid: the chunks are larger than %d bytes together", c.ID, maxModuleBytes)
		}
	}
	if h := sha256.Sum256(module); !bytes.Equal(h[:], arg.ModuleHash) {
		return types.Rejectf(types.ErrCanisterContractViolation, "Error from Wasm chunk store: Wasm module hash %x does not match the given hash %x", h, arg.ModuleHash)
	}
	return m.install(c, arg.Mode, module, arg.Arg, arg.SenderVersion)
}

// chunkStore finds a canister whose chunks the caller may use: it controls it or is it.
func (m *managed) chunkStore(id principal.ID) (*state.Canister, *types.Reject) {
	if id == m.r.Origin.Sender {
		return m.canister(id)
	}
	return m.controlled(id)
}

func findChunk(chunks []state.Chunk, hash []byte) (int, bool) {
	return slices.BinarySearchFunc(chunks, hash, func(k state.Chunk, h []byte) int { return bytes.Compare(k.Hash[:], h) })
}

func (m *managed) uploadChunk() *types.Reject {
	arg, rej := decode[uploadChunkArg](m)
	if rej != nil {
		return rej
	}
	c, rej := m.chunkStore(arg.Canister)
	if rej != nil {
		return rej
	}
	chunks, rej := m.storeChunk(c, c.Chunks, arg.Chunk)
	if rej != nil {
		return rej
	}
	c.Chunks = chunks
	hash := sha256.Sum256(arg.Chunk)
	return m.answer(chunkHash{hash[:]})
}

// storeChunk returns chunks, which a canister pays for, with one more; they stay as they are.
func (m *managed) storeChunk(c *state.Canister, chunks []state.Chunk, chunk []byte) ([]state.Chunk, *types.Reject) {
	if len(chunk) > maxChunkBytes {
		return nil, types.Rejectf(types.ErrCanisterContractViolation, "Error from Wasm chunk store: Wasm chunk size %d exceeds the maximum chunk size of %d", len(chunk), maxChunkBytes)
	}
	hash := sha256.Sum256(chunk)
	i, ok := findChunk(chunks, hash[:])
	if ok {
		return chunks, nil
	}
	if len(chunks) == maxChunks {
		return nil, types.Rejectf(types.ErrCanisterContractViolation, "Error from Wasm chunk store: Wasm chunk store has already reached maximum capacity of %d chunks", maxChunks)
	}
	if rej := m.pay(c, perUploadedChunkInstrs, MemoryUsage(c)+maxChunkBytes); rej != nil {
		return nil, rej
	}
	// the argument's bytes go with the message; the chunk stays
	return slices.Insert(slices.Clone(chunks), i, state.Chunk{Hash: hash, Data: bytes.Clone(chunk)}), nil
}

func (m *managed) clearChunkStore() *types.Reject {
	c, rej := m.target(m.chunkStore)
	if rej != nil {
		return rej
	}
	c.Chunks = nil
	return m.answer()
}

func (m *managed) storedChunks() *types.Reject {
	c, rej := m.target(m.chunkStore)
	if rej != nil {
		return rej
	}
	return m.answer(hashesOf(c.Chunks))
}

func hashesOf(chunks []state.Chunk) []chunkHash {
	hashes := []chunkHash{}
	for _, chunk := range chunks {
		hashes = append(hashes, chunkHash{chunk.Hash[:]})
	}
	return hashes
}

func (m *managed) uninstallCode() *types.Reject {
	arg, rej := decode[versionedArg](m)
	if rej != nil {
		return rej
	}
	c, rej := m.administered(arg.Canister)
	if rej != nil {
		return rej
	}
	if rej := m.senderVersion(arg.SenderVersion); rej != nil {
		return rej
	}
	m.out.Append(m.x.Uninstall(c))
	c.Record(m.change(c, state.ChangeUninstall, arg.SenderVersion))
	return m.answer()
}

func (m *managed) startCanister() *types.Reject {
	c, rej := m.target(m.administered)
	if rej != nil {
		return rej
	}
	for _, stop := range c.Stops {
		m.out.answer(stop.Origin, nil, types.Rejectf(types.ErrCanisterStoppingCancelled, "Canister %s's stop request was cancelled because it was started.", c.ID), stop.Cycles)
	}
	c.Stops, c.Status = nil, state.Running
	c.Version++
	return m.answer()
}

func (m *managed) stopCanister() *types.Reject {
	c, rej := m.target(m.administered)
	if rej != nil {
		return rej
	}
	c.Version++
	if c.Status == state.Stopped {
		return m.answer()
	}
	c.Status = state.Stopping
	c.Stops = append(c.Stops, state.Stop{Origin: m.r.Origin, Cycles: m.r.Cycles, Deadline: m.s.Time.Add(stopTimeout)})
	m.pending = true
	return nil
}

// FinishStop stops a stopping canister once nothing is open, or gives up on it.
func (x *Executor) FinishStop(c *state.Canister, now types.Time) (out Output) {
	if len(c.Contexts) == 0 && len(c.Callbacks) == 0 && !x.busy(c.ID) {
		c.Status = state.Stopped
		c.Version++
		for _, stop := range c.Stops {
			out.answer(stop.Origin, emptyReply(), nil, stop.Cycles)
		}
		c.Stops = nil
		return out
	}
	c.Stops = slices.DeleteFunc(slices.Clone(c.Stops), func(stop state.Stop) bool {
		if stop.Deadline > now {
			return false
		}
		out.answer(stop.Origin, nil, types.Rejectf(types.ErrStopCanisterRequestTimeout, "Stop canister request timed out: canister %s still has open calls", c.ID), stop.Cycles)
		return true
	})
	return out
}

// emptyReply is the Candid message without values.
func emptyReply() []byte { return []byte("DIDL\x00\x00") }

func (m *managed) deleteCanister() *types.Reject {
	c, rej := m.target(m.administered)
	switch {
	case rej != nil:
		return rej
	case c.ID == m.r.Origin.Sender:
		return types.Rejectf(types.ErrCanisterInvalidController, "Canister %s cannot delete itself.", c.ID)
	case c.Status != state.Stopped:
		return types.Rejectf(types.ErrCanisterNotStopped, "Canister %s must be stopped before it is deleted.", c.ID)
	case len(c.Inbox) > 0:
		return types.Rejectf(types.ErrCanisterQueueNotEmpty, "Canister %s has messages in its queues and cannot be deleted now. Please retry after some time", c.ID)
	}
	m.x.dropSnapshots(c)
	m.s.Metrics.GoneCycles = m.s.Metrics.GoneCycles.Add(c.Consumed).Add(c.Cycles).Add(c.Reserved)
	m.s.Delete(c.ID)
	m.x.erase(c.ID)
	return m.answer()
}

func nat(n uint64) *big.Int { return new(big.Int).SetUint64(n) }
