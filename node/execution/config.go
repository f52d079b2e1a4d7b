// Package execution runs canisters: messages, tasks, queries, and the management
// canister's methods (interface specification, "Canister interface" and "The IC
// management canister").
//
// What it does to a state.State is a function of its inputs, so that every replica
// does the same. A failure of this machine (a full disk, an engine that cannot
// compile what it compiled before) is not a result that replicas could agree on:
// it panics with *Failure and the node stops.
package execution

import (
	"fmt"
	"slices"

	"portico/lightclient/principal"
	"portico/node/state"
	"portico/node/state/heap"
	"portico/node/types"
	"portico/node/wasm"
)

// Subnet is what execution must know of the subnet.
type Subnet struct {
	ID      types.SubnetID
	RootKey []byte // DER
	// CostNodes is the number of nodes that prices are reckoned for.
	CostNodes uint64
	// Nodes is how many nodes the subnet has, QueryEpoch that of registry.Subnet.
	Nodes      int
	QueryEpoch types.Height
	// FirstCanister and LastCanister are the canister indices the subnet hosts.
	FirstCanister, LastCanister uint64
	// FirstGiven is the index from which on the subnet chooses ids itself. An id before it
	// may be asked for as long as no canister has it.
	FirstGiven uint64
	// Provisional allows the provisional_* methods: development networks only.
	Provisional bool
	// Admins may create, list, start, stop, uninstall and delete canisters. Where there are
	// any, creating a canister is free.
	Admins []principal.ID
	// Version and RegistryVersion are what subnet_info tells.
	Version         string
	RegistryVersion uint64
}

// IsAdmin reports whether id is one of the subnet's admins.
func (s Subnet) IsAdmin(id principal.ID) bool { return slices.Contains(s.Admins, id) }

// Hosts reports whether a canister id belongs to the subnet.
func (s Subnet) Hosts(id types.CanisterID) bool {
	n, ok := id.CanisterIndex()
	return ok && n >= s.FirstCanister && n <= s.LastCanister
}

// Memories gives out the files that hold canisters' memories.
type Memories interface {
	Heap(id types.CanisterID) (*heap.Memory, error)
	Stable(id types.CanisterID) (*heap.Memory, error)
	// Remove closes and deletes both.
	Remove(id types.CanisterID) error
	// Snapshot returns the heap and the stable memory of a snapshot, empty at first. They are
	// part of checkpoints like the canisters' memories, on the same file system.
	Snapshot(id state.SnapshotID) (heap, stable *heap.Memory, err error)
	// RemoveSnapshot closes and deletes both.
	RemoveSnapshot(id state.SnapshotID) error
}

// Parallel calls work(0), …, work(n-1), some at the same time, and returns when all have.
type Parallel func(n int, work func(i int))

// Deps is what an Executor is made of.
type Deps struct {
	Subnet   Subnet
	Engine   *wasm.Engine
	Memories Memories
	Parallel Parallel
	// Limits of the subnet; the zero value means DefaultLimits.
	Limits Limits
	// Residency bounds what is kept ready; the zero value means DefaultResidency.
	Residency Residency
	// QueryDeadline begins the time that a query call may take, with the queries that it
	// makes, and returns a function that reports whether it is over. Nil sets no limit.
	QueryDeadline func() func() bool
}

// Failure is the panic value when this machine could not do what it must.
type Failure struct {
	Canister principal.ID
	Err      error
}

// Error says what failed for which canister.
func (f *Failure) Error() string { return fmt.Sprintf("canister %s: %v", f.Canister, f.Err) }

// Unwrap returns the cause.
func (f *Failure) Unwrap() error { return f.Err }

func must(id principal.ID, err error) {
	if err != nil {
		panic(&Failure{id, err})
	}
}

// Limits of execution (resource limits of the Internet Computer).
const (
	maxUpdateInstructions  = 40_000_000_000
	maxQueryInstructions   = 5_000_000_000
	maxInspectInstructions = 200_000_000
	maxInstallInstructions = 300_000_000_000

	maxReplyBytes      = 2 * types.MiB
	maxQueryReplyBytes = 3 * types.MiB
	maxCallBytes       = 10 * types.MiB
	maxStableBytes     = 500 * types.GiB
	maxModuleBytes     = 100 * types.MiB
	// MaxHeapBytes is the largest heap: 65,535 pages, the most that 32-bit
	// addresses reach with one page to spare for trapping.
	MaxHeapBytes = 65_535 * types.WasmPageBytes

	// maxQueuedCalls is how many calls between two canisters may wait.
	maxQueuedCalls = 500
	// maxCallsPerMessage bounds what one message may call.
	maxCallsPerMessage = 2000

	// HeapDeltaBurst is how much of its memories a canister may change at once, and
	// HeapDeltaPerMilli in each millisecond on average: after more, it waits. The Internet Computer
	// has 75 MiB for each of its rounds, which take about a second; rounds here are short, and what
	// a canister may cost its neighbours is time.
	HeapDeltaBurst    = 75 * types.MiB
	HeapDeltaPerMilli = 75 * types.KiB

	stableAccessPerQuery   = types.GiB
	stableAccessPerMessage = 2 * types.GiB
	stableAccessPerUpgrade = 8 * types.GiB
)
