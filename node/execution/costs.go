package execution

import (
	"portico/node/state"
	"portico/node/types"
	"portico/node/wasm/ic0"
)

// Prices on a subnet of 13 nodes ("Cycle costs"); other sizes pay in proportion.
const (
	referenceNodes = 13

	canisterCreationCycles    = 500_000_000_000
	updateBaseCycles          = 5_000_000
	ingressMessageCycles      = 1_200_000
	ingressByteCycles         = 2_000
	callCycles                = 260_000
	callByteCycles            = 1_000
	storageGiBSecondCycles    = 127_000
	computePercentSecond      = 10_000_000
	secondsPerDay             = 86_400
	httpBaseCycles            = 3_000_000
	httpPerNodeCycles         = 60_000
	httpRequestByteCycles     = 400
	httpResponseByteCycles    = 800
	signProductionKeyCycles   = 26_153_846_153
	signTestKeyCycles         = 10_000_000_000
	provisionalDefaultCycles  = 100_000_000_000_000
	perUploadedChunkInstrs    = 200_000_000
	wasm64InstructionsPerUnit = 2
)

// Costs prices what canisters use on a subnet of Nodes nodes.
type Costs struct{ Nodes uint64 }

func (c Costs) scale(cycles types.Cycles) types.Cycles {
	return cycles.Mul(c.Nodes).Div(referenceNodes)
}

// Execution is the price of a message that uses so many instructions.
func (c Costs) Execution(instructions uint64, memory64 bool) types.Cycles {
	per := types.CyclesOf(instructions)
	if memory64 {
		per = per.Mul(wasm64InstructionsPerUnit)
	}
	return c.scale(types.CyclesOf(updateBaseCycles).Add(per))
}

// instructions is the price of the instructions alone.
func (c Costs) instructions(n uint64, memory64 bool) types.Cycles {
	return c.Execution(n, memory64).Sub(c.scale(types.CyclesOf(updateBaseCycles)))
}

// Ingress is the price of taking in an ingress message.
func (c Costs) Ingress(bytes int) types.Cycles {
	return c.scale(types.CyclesOf(ingressByteCycles).Mul(uint64(bytes)).Add(types.CyclesOf(ingressMessageCycles)))
}

// Transmission is the price of the bytes of a response.
func (c Costs) Transmission(bytes uint64) types.Cycles {
	return c.scale(types.CyclesOf(callByteCycles).Mul(bytes))
}

// Call prices a call: what sending takes, and the reserve for the largest response
// and the longest callback.
func (c Costs) Call(nameBytes, payloadBytes uint64) (sent, reserved types.Cycles) {
	sent = c.scale(types.CyclesOf(callByteCycles).Mul(nameBytes + payloadBytes).Add(types.CyclesOf(callCycles)))
	reserved = c.Transmission(maxReplyBytes).Add(c.Execution(maxUpdateInstructions, true))
	return sent, reserved
}

// CreateCanister is the price of a new canister.
func (c Costs) CreateCanister() types.Cycles {
	return c.scale(types.CyclesOf(canisterCreationCycles))
}

// HTTPRequest prices an HTTPS outcall.
func (c Costs) HTTPRequest(requestBytes, maxResponseBytes uint64) types.Cycles {
	base := types.CyclesOf(httpBaseCycles + httpPerNodeCycles*c.Nodes)
	bytes := types.CyclesOf(httpRequestByteCycles).Mul(requestBytes).Add(types.CyclesOf(httpResponseByteCycles).Mul(maxResponseBytes))
	return base.Add(bytes).Mul(c.Nodes)
}

// Sign prices a signature by a named key.
func (c Costs) Sign(_ ic0.SignScheme, key string) (types.Cycles, bool) {
	switch key {
	case "key_1":
		return types.CyclesOf(signProductionKeyCycles), true
	case "test_key_1", "dfx_test_key":
		return types.CyclesOf(signTestKeyCycles), true
	}
	return types.Cycles{}, false
}

// IdlePerSecond is what a canister pays for storage and its compute allocation.
func (c Costs) IdlePerSecond(k *state.Canister) types.Cycles {
	memory, compute := c.idle(k, max(MemoryUsage(k), k.Settings.MemoryAllocation))
	return memory.Add(compute)
}

// idle is what a canister pays by the second for so many bytes and its compute allocation.
func (c Costs) idle(k *state.Canister, bytes uint64) (memory, compute types.Cycles) {
	memory = types.CyclesOf(bytes).Mul(storageGiBSecondCycles).Div(types.GiB)
	compute = types.CyclesOf(computePercentSecond).Mul(k.Settings.ComputeAllocation)
	return c.scale(memory), c.scale(compute)
}

// IdlePerDay is IdlePerSecond for a day.
func (c Costs) IdlePerDay(k *state.Canister) types.Cycles {
	return c.IdlePerSecond(k).Mul(secondsPerDay)
}

// FreezingThreshold is the balance below which a canister is frozen: what it pays while idle
// for the time that its settings say, without what is reserved for that already.
func (c Costs) FreezingThreshold(k *state.Canister) types.Cycles {
	return c.freezingThreshold(k, max(MemoryUsage(k), k.Settings.MemoryAllocation), k.Reserved)
}

// freezingThreshold is FreezingThreshold for a canister that stores or is allotted bytes.
func (c Costs) freezingThreshold(k *state.Canister, bytes uint64, reserved types.Cycles) types.Cycles {
	memory, compute := c.idle(k, bytes)
	return memory.Add(compute).Mul(k.Settings.FreezingThreshold).Sub(reserved)
}

// maxReservationSeconds is for how long a canister pays ahead for storage that it takes when
// the subnet is full.
const maxReservationSeconds = 300_000_000

// Reservation is what a canister sets aside for storing bytes more on a subnet that stores
// so much already: nothing up to l.ReservationBytes, then growing in proportion to the
// subnet's fill.
func (c Costs) Reservation(bytes, stored uint64, l Limits) types.Cycles {
	filled := min(stored+bytes, l.StorageBytes)
	if filled <= l.ReservationBytes {
		return types.Cycles{}
	}
	over, most := (filled-l.ReservationBytes)/types.KiB, max((l.StorageBytes-l.ReservationBytes)/types.KiB, 1)
	seconds := types.CyclesOf(maxReservationSeconds).Mul(over).Div(most)
	return c.scale(types.CyclesOf(bytes).Mul(storageGiBSecondCycles).Mul(seconds.Lo).Div(types.GiB))
}

// Frozen reports whether a canister has too few cycles to run.
func (c Costs) Frozen(k *state.Canister) bool {
	return k.Cycles.Cmp(c.FreezingThreshold(k)) < 0
}

// historyEntryBytes is roughly what a history entry takes.
const historyEntryBytes = 400

// MemoryUsage is all that a canister stores, in bytes.
func MemoryUsage(k *state.Canister) uint64 {
	m := MemoryMetrics(k)
	return m.Heap + m.Stable + m.Global + m.Module + m.CustomSections + m.History + m.Chunks + m.Snapshots + m.Log
}

// Metrics are the parts of a canister's memory usage, in bytes.
type Metrics struct {
	Heap, Stable, Global, Module, CustomSections, History, Chunks, Snapshots uint64
	// Log is what its limit allows the log beyond what every canister has.
	Log uint64
}

// MemoryMetrics measures a canister.
func MemoryMetrics(k *state.Canister) Metrics {
	m := Metrics{Stable: k.StableBytes, History: uint64(len(k.History)) * historyEntryBytes}
	m.Log = max(k.Settings.LogMemoryLimit, state.MinLogBytes) - state.MinLogBytes
	if k.Code != nil {
		m.Heap, m.Global = k.Code.HeapBytes, uint64(len(k.Code.Globals))*8
		m.Module = uint64(len(k.Code.Module))
		m.CustomSections = k.Code.CustomBytes
	}
	// a chunk is charged as a whole one
	m.Chunks = uint64(len(k.Chunks)) * maxChunkBytes
	for _, s := range k.Snapshots {
		m.Snapshots += s.Bytes()
	}
	return m
}
