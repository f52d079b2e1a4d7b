package state

import (
	"maps"
	"slices"

	"portico/lightclient/principal"
	"portico/node/types"
)

// Status is whether a canister takes calls.
type Status uint8

// The statuses, numbered as ic0.canister_status returns them.
const (
	Running  Status = 1
	Stopping Status = 2
	Stopped  Status = 3
)

// String is the status as error messages name it.
func (s Status) String() string {
	return [...]string{Running: "running", Stopping: "stopping", Stopped: "stopped"}[s]
}

// Canister is a canister without the content of its memories.
type Canister struct {
	ID       types.CanisterID
	Settings Settings
	Status   Status
	// Stops are the stop_canister calls that wait for the canister's open calls.
	Stops   []Stop
	Version uint64
	Cycles  types.Cycles
	// Reserved are cycles set aside for storage that was taken when the subnet was
	// filling up: they pay for nothing else.
	Reserved types.Cycles
	// Charged is until when the canister has paid for what it stores and is allotted.
	Charged types.Time
	// Priority says who goes first when not all can run: see package messaging.
	Priority int64
	// Heap and Install hold the canister back after a round in which it changed or
	// installed too much.
	Heap, Install Debit
	// Code is nil for an empty canister.
	Code          *Code
	StableBytes   uint64
	CertifiedData []byte
	// Timer is the global timer in nanoseconds; 0 is inactive.
	Timer uint64

	// Inbox are the messages that wait, in the order in which they run.
	Inbox []Input
	// Restarts is how many checkpoints in a row gave up the first of them in its middle.
	Restarts uint8
	// Contexts are the calls that this canister has not finished with.
	Contexts map[uint64]*CallContext
	// Callbacks are the calls by this canister that have no response yet.
	Callbacks map[uint64]*Callback
	// Pending counts the Callbacks by callee.
	Pending map[types.CanisterID]int
	// NextID numbers contexts and callbacks.
	NextID uint64

	Chunks       []Chunk
	History      []Change
	TotalChanges uint64
	Log          Log
	NextLog      uint64
	Created      types.Time
	Installed    types.Time
	// Consumed is all that the canister has paid, ByUse what for.
	Consumed types.Cycles
	ByUse    [Uses]types.Cycles

	// Snapshots are in the order of their numbers; NextSnapshot is the next number.
	Snapshots    []*Snapshot
	NextSnapshot uint64
	LowMemory    LowMemory
	// Queries are those that the nodes have reported.
	Queries types.QueryCounts
}

// Use is what cycles are paid for (interface specification, "canister_metrics").
type Use uint8

// The uses, and how many there are.
const (
	UseMemory Use = iota
	UseComputeAllocation
	UseIngress
	UseInstructions
	UseTransmission
	UseUninstall // what was left of a canister that ran out of cycles
	UseCreation
	UseOutcalls
	UseBurned
	Uses
)

// Consume counts what the canister pays; taking it from the balance is the caller's.
func (c *Canister) Consume(u Use, amount types.Cycles) {
	c.Consumed = c.Consumed.Add(amount)
	c.ByUse[u] = c.ByUse[u].Add(amount)
}

// LowMemory is how far the low-memory hook has come (interface specification, "On low
// Wasm memory").
type LowMemory uint8

// The states of the hook: it becomes ready when less of the heap than the threshold is left,
// runs once, and may run again only after there was enough in between.
const (
	LowMemoryNotReached LowMemory = iota
	LowMemoryReady
	LowMemoryExecuted
)

// Code is what install_code set. It is replaced as a whole, never edited.
type Code struct {
	ModuleHash types.Hash // of Module as uploaded
	Module     []byte     `cbor:"-"` // raw or gzip; saved as the object ModuleHash
	Globals    []uint64   // of the mutable globals, in the engine's order
	HeapBytes  uint64
	// CustomBytes is the size of the exposed custom sections.
	CustomBytes uint64
}

// Settings are a canister's settings (interface specification, "update_settings").
type Settings struct {
	Controllers           []principal.ID
	ComputeAllocation     uint64 // percent
	MemoryAllocation      uint64 // bytes
	FreezingThreshold     uint64 // seconds
	ReservedCyclesLimit   types.Cycles
	MinimumIncomingCycles types.Cycles
	LogVisibility         Visibility
	SnapshotVisibility    Visibility
	StatusVisibility      Visibility
	WasmMemoryLimit       uint64 // bytes; 0 is none
	WasmMemoryThreshold   uint64 // bytes
	LogMemoryLimit        uint64 // bytes; 0 is no log
	EnvVars               []EnvVar
}

// EnvVar is an environment variable; a canister's are ordered by name.
type EnvVar struct{ Name, Value string }

// Visibility says who besides the controllers may see something.
type Visibility struct {
	Public  bool
	Viewers []principal.ID
}

// Allows reports whether id may see it; controllers always may.
func (v Visibility) Allows(id principal.ID) bool { return v.Public || slices.Contains(v.Viewers, id) }

// IsController reports whether id controls the canister.
func (c *Canister) IsController(id principal.ID) bool {
	return slices.Contains(c.Settings.Controllers, id)
}

// Chunk is an entry of the chunk store, ordered by hash.
type Chunk struct {
	Hash types.Hash
	Data []byte `cbor:"-"` // saved as the object Hash
}

// Stop is a stop_canister call that waits.
type Stop struct {
	Origin   Origin
	Cycles   types.Cycles // that came with the call
	Deadline types.Time   // when it gives up
}

// ChangeKind is what a history entry tells of.
type ChangeKind uint8

// The kinds.
const (
	ChangeCreation ChangeKind = iota + 1
	ChangeUninstall
	ChangeInstall
	ChangeReinstall
	ChangeUpgrade
	ChangeControllers
	ChangeLoadSnapshot
)

// Change is an entry of the canister history (interface specification, "canister_info").
type Change struct {
	Time        types.Time
	Version     uint64
	ByCanister  bool
	By          principal.ID
	ByVersion   *uint64 // of the canister, if it said
	Kind        ChangeKind
	Controllers []principal.ID // of a creation or a change of controllers
	ModuleHash  types.Hash     // of a deployment
	EnvVars     *types.Hash    // of a creation with environment variables: their hash
	Loaded      *LoadedSnapshot
}

// LoadedSnapshot is what a history entry tells of a snapshot that was loaded.
type LoadedSnapshot struct {
	ID       SnapshotID
	Version  uint64 // of the canister that it was made from, at that time
	Taken    types.Time
	Uploaded bool
}

// maxHistory is how many changes are kept.
const maxHistory = 20

// Record appends a change to the history.
func (c *Canister) Record(ch Change) {
	c.TotalChanges++
	c.History = append(c.History, ch)
	if n := len(c.History) - maxHistory; n > 0 {
		c.History = slices.Delete(slices.Clone(c.History), 0, n)
	}
}

// Expired lists the bounded-wait calls whose deadline is before now and that have no
// response yet, in order.
func (c *Canister) Expired(now types.Time) []uint64 {
	var out []uint64
	for id, cb := range c.Callbacks {
		if cb.Deadline != 0 && cb.Deadline < now && !cb.Answered {
			out = append(out, id)
		}
	}
	slices.Sort(out)
	return out
}

// Respond queues a response, and reports whether the canister still waits for it: the
// call may have timed out or been answered.
func (c *Canister) Respond(r *Response) bool {
	cb := c.Callbacks[r.Callback]
	if cb == nil || cb.Answered {
		return false
	}
	answered := *cb
	answered.Answered = true
	c.Callbacks[r.Callback] = &answered
	c.Inbox = append(c.Inbox, Input{Response: r})
	return true
}

// Credit adds cycles to the balance. What is beyond the largest amount counts as burned.
func (c *Canister) Credit(amount types.Cycles) {
	fits := types.MaxCycles().Sub(c.Cycles).Min(amount)
	c.Cycles = c.Cycles.Add(fits)
	if over := amount.Sub(fits); !over.IsZero() {
		c.Consume(UseBurned, over)
	}
}

// Debit is an amount that grows smaller by an allowance with every unit of what it is counted
// by, heights or milliseconds.
type Debit struct{ Amount, At uint64 }

// Left is what is left of the debit at a later unit.
func (d Debit) Left(at, allowance uint64) uint64 {
	if d.Amount == 0 {
		return 0
	}
	passed := at - d.At
	if passed > d.Amount/allowance {
		return 0
	}
	return d.Amount - passed*allowance
}

// Plus adds to the debit at a later unit.
func (d Debit) Plus(amount, at, allowance uint64) Debit {
	return Debit{d.Left(at, allowance) + amount, at}
}

// clone copies what edits change in place; what they replace is shared.
func (c *Canister) clone() *Canister {
	d := *c
	d.Inbox = slices.Clone(c.Inbox)
	d.Contexts = make(map[uint64]*CallContext, len(c.Contexts))
	for id, ctx := range c.Contexts {
		copied := *ctx
		d.Contexts[id] = &copied
	}
	d.Callbacks = maps.Clone(c.Callbacks)
	d.Pending = maps.Clone(c.Pending)
	d.Stops = slices.Clone(c.Stops)
	d.Chunks = slices.Clone(c.Chunks)
	d.History = slices.Clone(c.History)
	d.Snapshots = slices.Clone(c.Snapshots)
	return &d
}

// NewCanister is an empty, running canister.
func NewCanister(id types.CanisterID, now types.Time) *Canister {
	return &Canister{
		ID: id, Status: Running, Created: now, Charged: now,
		Contexts: map[uint64]*CallContext{}, Callbacks: map[uint64]*Callback{}, Pending: map[types.CanisterID]int{},
	}
}
