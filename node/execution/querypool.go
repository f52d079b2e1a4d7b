package execution

import (
	"container/list"
	"slices"
	"sync"

	"portico/lightclient/principal"
	"portico/node/state"
	"portico/node/state/heap"
	"portico/node/types"
	"portico/node/wasm"
	"portico/node/wasm/instrument"
)

// maxIdlePerCanister is how many instances of a canister wait for its next query.
const maxIdlePerCanister = 2

// queryPool keeps instances for queries, in use and idle.
type queryPool struct {
	mu        sync.Mutex
	most      int // idle ones
	canisters map[types.CanisterID]*queriers
	idle      list.List // of *queryInstance: the most recently used first
}

// queriers are the instances of one canister.
type queriers struct {
	idle []*queryInstance
	used int
	gone bool // the canister is in no state any more
}

// queryInstance is an instance over private views of a canister's memories.
type queryInstance struct {
	view         Published // what the memories belong to
	canister     *state.Canister
	heapFile     *heap.Memory
	stableFile   *heap.Memory
	heap, stable *heap.QueryView
	room         uint64 // the largest size of stable
	instance     *wasm.Instance
	code         *compiled // of the instance
	composite    bool      // the heap has an undo, for callbacks
	pool         *queriers
	at           *list.Element // of queryPool.idle; nil while it is in use
	spent        uint64        // instructions
	undo         *queryUndo    // of the callback that runs, or nil
}

// take takes an idle instance of a canister, or an empty one that is to be made.
func (p *queryPool) take(id types.CanisterID) *queryInstance {
	p.mu.Lock()
	defer p.mu.Unlock()
	of := p.canisters[id]
	if of == nil {
		of = &queriers{}
		p.canisters[id] = of
	}
	of.used++
	n := len(of.idle)
	if n == 0 {
		return &queryInstance{pool: of}
	}
	i := of.idle[n-1]
	p.remove(of, i)
	return i
}

// remove takes an instance out of the idle ones. The caller holds the lock.
func (p *queryPool) remove(of *queriers, i *queryInstance) {
	k := slices.Index(of.idle, i)
	of.idle = slices.Delete(of.idle, k, k+1)
	p.idle.Remove(i.at)
	i.at = nil
}

// put makes an instance idle, and returns those that there is no room for any more.
func (p *queryPool) put(i *queryInstance) (unwanted []*queryInstance) {
	p.mu.Lock()
	defer p.mu.Unlock()
	of := i.pool
	of.used--
	if of.gone || len(of.idle) >= maxIdlePerCanister {
		unwanted = append(unwanted, i)
	} else {
		of.idle = append(of.idle, i)
		i.at = p.idle.PushFront(i)
	}
	for p.idle.Len() > p.most {
		old := p.idle.Back().Value.(*queryInstance)
		p.remove(old.pool, old)
		p.tidy(old)
		unwanted = append(unwanted, old)
	}
	p.tidy(i)
	return unwanted
}

// tidy forgets the canister of an instance if there are no others. The caller holds the lock.
func (p *queryPool) tidy(i *queryInstance) {
	if of := i.pool; of.used == 0 && len(of.idle) == 0 && !of.gone {
		delete(p.canisters, i.canister.ID)
	}
}

// forget closes the instances of a canister that is in no state any more: the idle ones now, the
// others when their queries end.
func (p *queryPool) forget(x *Executor, id types.CanisterID) {
	p.mu.Lock()
	defer p.mu.Unlock()
	of := p.canisters[id]
	if of == nil {
		return
	}
	of.gone = true
	delete(p.canisters, id)
	for len(of.idle) > 0 {
		i := of.idle[0]
		p.remove(of, i)
		x.closeQuery(i)
	}
}

// acquire takes an idle instance or makes one. The caller holds the lock on
// publishing, so that memories and state fit together.
func (x *Executor) acquire(c *state.Canister) *queryInstance {
	i := x.queries.take(c.ID)
	module := x.Module(c.ID, c.Code)
	composite := slices.ContainsFunc(module.Info().Methods, func(m instrument.Method) bool { return m.Kind == instrument.CompositeQueryMethod })
	if i.heap != nil && composite != i.composite {
		x.closeInstance(c.ID, i)
		must(c.ID, i.heap.Close())
		i.heap = nil
	}
	var err error
	if i.heap == nil {
		i.heapFile, i.stableFile = x.files(c.ID)
		i.composite = composite
		if composite {
			i.heap, err = i.heapFile.QueryWithUndo(MaxHeapBytes)
		} else {
			i.heap, err = i.heapFile.Query(MaxHeapBytes)
		}
		must(c.ID, err)
	}
	must(c.ID, i.heap.Refresh())
	i.refreshStable(c.ID)
	if i.fits(c) {
		i.instance.SetGlobals(c.Code.Globals)
		return i
	}
	x.closeInstance(c.ID, i)
	i.code = x.code(c.ID, c.Code)
	i.instance, err = i.code.module.Instantiate(wasm.InstanceConfig{
		Memory: i.heap, InitialPages: c.Code.HeapBytes / types.WasmPageBytes, Globals: c.Code.Globals,
	})
	must(c.ID, err)
	return i
}

// queryStableRoom is how much a query may grow stable memory, for itself alone.
const queryStableRoom = types.GiB

// refreshStable shows the published stable memory, in a larger view if it has outgrown
// the one there is.
func (i *queryInstance) refreshStable(id principal.ID) {
	size := i.stableFile.Size()
	if i.stable == nil || size > i.room {
		if i.stable != nil {
			must(id, i.stable.Close())
		}
		i.room = min(size+queryStableRoom, maxStableBytes)
		var err error
		i.stable, err = i.stableFile.Query(i.room)
		must(id, err)
	}
	must(id, i.stable.Refresh())
}

// fits reports whether the instance can serve the canister as it is now. A heap that
// grew, in an update or in the last query, needs a new instance.
func (i *queryInstance) fits(c *state.Canister) bool {
	return i.instance != nil && i.code.hash == c.Code.ModuleHash && i.instance.Reusable() &&
		i.instance.Size() == c.Code.HeapBytes
}

// leaveQuery ends the use of an instance.
func (x *Executor) leaveQuery(i *queryInstance) {
	i.heap.Idle()
	i.stable.Idle()
	for _, old := range x.queries.put(i) {
		x.closeQuery(old)
	}
}

func (x *Executor) closeQuery(i *queryInstance) {
	id := i.canister.ID
	x.closeInstance(id, i)
	must(id, i.heap.Close())
	must(id, i.stable.Close())
}

func (x *Executor) closeInstance(id principal.ID, i *queryInstance) {
	if i.instance != nil {
		must(id, i.instance.Close())
		x.modules.leave(i.code)
		i.instance, i.code = nil, nil
	}
}
