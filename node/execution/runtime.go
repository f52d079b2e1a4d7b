package execution

import (
	"errors"
	"sync"

	"portico/node/state"
	"portico/node/state/heap"
	"portico/node/types"
	"portico/node/wasm"
)

// Executor runs canisters. Different canisters may be run at the same time;
// queries may run at any time.
type Executor struct {
	deps   Deps
	costs  Costs
	limits Limits

	residents residents
	modules   modules
	queries   queryPool

	mu      sync.Mutex
	turns   map[types.CanisterID]*live // those in the middle of a message
	runners []*runner                  // idle

	// What follows belongs to the round's goroutine: the canisters whose message was given
	// up because too many others were in the middle, and the installation in progress.
	deferred   map[types.CanisterID]bool
	installing *installer

	// publishing is held while the content that queries see changes.
	publishing sync.RWMutex
	published  Published

	counts queryCounter

	// unpublished are the snapshots whose memories changed in this round. It belongs to the
	// round's goroutine.
	unpublished map[state.SnapshotID]bool
	// shared are the memories of canisters that were adopted or adopted others since the last
	// Publish, and it belongs to the round's goroutine as well.
	shared []*heap.Memory
}

// New makes an Executor.
func New(d Deps) *Executor {
	limits, keep := d.Limits, d.Residency
	if limits == (Limits{}) {
		limits = DefaultLimits()
	}
	if keep == (Residency{}) {
		keep = DefaultResidency()
	}
	return &Executor{
		deps: d, costs: Costs{d.Subnet.CostNodes}, limits: limits,
		residents: residents{most: keep.Canisters, open: map[types.CanisterID]*live{}, unpublished: map[types.CanisterID]bool{}},
		modules:   modules{most: keep.ModuleBytes, all: map[types.Hash]*compiled{}},
		queries:   queryPool{most: keep.Queries, canisters: map[types.CanisterID]*queriers{}},
		turns:     map[types.CanisterID]*live{}, deferred: map[types.CanisterID]bool{}, unpublished: map[state.SnapshotID]bool{},
	}
}

// Close gives up what is in the middle and frees instances, code and coroutines; memories
// and the engine stay open. Nobody may use the Executor any more.
func (x *Executor) Close() error {
	if x.installing != nil {
		x.installing.stop()
	}
	for _, l := range x.turns {
		l.turn.runner.stop()
	}
	for _, r := range x.runners {
		r.stop()
	}
	var errs []error
	for _, l := range x.residents.open {
		if l.instance != nil {
			errs = append(errs, l.instance.Close())
		}
	}
	for _, of := range x.queries.canisters {
		for _, i := range of.idle {
			if i.instance != nil {
				errs = append(errs, i.instance.Close())
			}
		}
	}
	for _, c := range x.modules.all {
		if <-c.done; c.module != nil {
			errs = append(errs, c.module.Close())
		}
	}
	return errors.Join(errs...)
}

// Costs are the subnet's prices.
func (x *Executor) Costs() Costs { return x.costs }

// Limits are the subnet's limits.
func (x *Executor) Limits() Limits { return x.limits }

// instanceFor returns the canister's instance with its globals as they were last
// committed, making a new one if the code has changed, or if the instance's memory grew in
// a message that was forgotten: memories of instances do not shrink.
func (x *Executor) instanceFor(c *state.Canister, l *live) *wasm.Instance {
	if l.instance != nil && l.code.hash == c.Code.ModuleHash && l.instance.Reusable() && l.instance.Size() == l.heap.Size() {
		l.instance.SetGlobals(c.Code.Globals)
		return l.instance
	}
	l.dropInstance(c.ID)
	must(c.ID, l.heap.Revive())
	code := x.code(c.ID, c.Code)
	i, err := code.module.Instantiate(wasm.InstanceConfig{
		Memory: l.heap, InitialPages: l.heap.Size() / types.WasmPageBytes, Globals: c.Code.Globals,
	})
	must(c.ID, err)
	l.instance, l.code = i, code
	return i
}

func (l *live) dropInstance(id types.CanisterID) {
	if l.instance != nil {
		must(id, l.instance.Close())
		l.modules.leave(l.code)
		l.instance, l.code = nil, nil
	}
}

// commit keeps what changed and returns how many bytes, in whole pages, that is.
func (l *live) commit(c *state.Canister) (changed uint64) {
	pages, err := l.heap.Commit()
	must(c.ID, err)
	more, err := l.stable.Commit()
	must(c.ID, err)
	c.StableBytes = uint64(len(l.stable.Bytes()))
	return uint64(pages+more) * types.OSPageBytes
}

func (l *live) rollback(id types.CanisterID) {
	must(id, l.heap.Rollback())
	must(id, l.stable.Rollback())
}
