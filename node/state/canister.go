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
	// Code is nil for an empty canister.
	Code          *Code
	StableBytes   uint64
	CertifiedData []byte
	// Timer is the global timer in nanoseconds; 0 is inactive.
	Timer uint64

	// Inbox are the messages that wait, in the order in which they run.
	Inbox []Input
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
	Log          []LogRecord
	NextLog      uint64
	Created      types.Time
	Installed    types.Time
	Consumed     types.Cycles
}

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
	Deadline types.Time // when it gives up
}

// LogRecord is a line of the canister's log.
type LogRecord struct {
	Index   uint64
	Time    types.Time
	Content []byte
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

// maxLogBytes bounds a canister's log.
const maxLogBytes = 4 * types.KiB

// AppendLog adds lines to the log and drops the oldest beyond its bound.
func (c *Canister) AppendLog(now types.Time, lines [][]byte) {
	for _, line := range lines {
		c.Log = append(c.Log, LogRecord{c.NextLog, now, line})
		c.NextLog++
	}
	size := 0
	for i := len(c.Log) - 1; i >= 0; i-- {
		if size += len(c.Log[i].Content); size > maxLogBytes {
			c.Log = slices.Clone(c.Log[i+1:])
			return
		}
	}
}

// Expired lists the bounded-wait calls whose deadline is before now, in order.
func (c *Canister) Expired(now types.Time) []uint64 {
	var out []uint64
	for id, cb := range c.Callbacks {
		if cb.Deadline != 0 && cb.Deadline < now && !c.answered(id) {
			out = append(out, id)
		}
	}
	slices.Sort(out)
	return out
}

// answered reports whether the response to a call waits in the queue.
func (c *Canister) answered(callback uint64) bool {
	return slices.ContainsFunc(c.Inbox, func(in Input) bool {
		return in.Response != nil && in.Response.Callback == callback
	})
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
	d.Log = slices.Clone(c.Log)
	return &d
}

// NewCanister is an empty, running canister.
func NewCanister(id types.CanisterID, now types.Time) *Canister {
	return &Canister{
		ID: id, Status: Running, Created: now,
		Contexts: map[uint64]*CallContext{}, Callbacks: map[uint64]*Callback{}, Pending: map[types.CanisterID]int{},
	}
}
