package execution

import (
	"container/list"
	"sync"

	"portico/node/state/heap"
	"portico/node/types"
	"portico/node/wasm"
)

// Residency bounds what an Executor keeps ready of canisters that nothing uses right now. A
// canister beyond the bounds is cold: its memories are files and its code lies in the engine's
// cache, and no descriptor, no address and no memory is taken by it but what its state.Canister
// and its two heap.Memory are. No outcome depends on it: a canister that is opened again shows
// exactly what was committed, and a new instance behaves like one that is reused.
type Residency struct {
	// Canisters is how many have their memories open for updates, with an instance. Each takes
	// five file descriptors at most and reserves 4 GiB of addresses for its heap, and for its
	// stable memory 1 GiB or twice its size. Those that are in the middle of a message are
	// open besides; the scheduler bounds them.
	Canisters int
	// Queries is how many instances wait for the next query of their canister. They take no
	// descriptors, and as many addresses.
	Queries int
	// ModuleBytes is how much Wasm there may be in compiled modules that no instance uses. A
	// compiled module takes about five times as much memory as its Wasm.
	ModuleBytes uint64
}

// DefaultResidency stays below 1,024 descriptors, the least that systems allow by default, and
// leaves half of those to others.
func DefaultResidency() Residency {
	return Residency{Canisters: 100, Queries: 200, ModuleBytes: 64 * types.MiB}
}

// residents are the canisters whose memories are open for updates.
type residents struct {
	mu     sync.Mutex
	most   int
	open   map[types.CanisterID]*live
	recent list.List // of *live: the most recently used first
	// unpublished are those that were in use at some time since the last Publish.
	unpublished map[types.CanisterID]bool
}

// live is a canister's memories and its instance for updates.
type live struct {
	id           types.CanisterID
	at           *list.Element // of residents.recent
	users        int           // that have opened it and are not done
	heap, stable *heap.View
	instance     *wasm.Instance
	code         *compiled // of the instance
	modules      *modules  // that code is one of
	turn         *turn     // the message that it is in the middle of, or nil
}

// open returns a canister's memories. They stay open until the caller is done with them.
func (x *Executor) open(id types.CanisterID) *live {
	r := &x.residents
	r.mu.Lock()
	defer r.mu.Unlock()
	l := r.open[id]
	if l == nil {
		x.cool(r.most - 1)
		l = x.warm(id)
		l.id, l.at = id, r.recent.PushFront(l)
		r.open[id] = l
	}
	l.users++
	r.recent.MoveToFront(l.at)
	r.unpublished[id] = true
	return l
}

// done ends a use of a canister's memories, all of which is committed or rolled back by now, or
// part of its turn.
func (x *Executor) done(l *live) {
	x.residents.mu.Lock()
	defer x.residents.mu.Unlock()
	l.users--
	if x.residents.open[l.id] == l {
		x.residents.unpublished[l.id] = true // an installation lasts over Publishes
	}
}

// warm opens a canister's memories.
func (x *Executor) warm(id types.CanisterID) *live {
	heapFile, stableFile := x.files(id)
	l := &live{modules: &x.modules}
	var err error
	l.heap, err = heapFile.Update(MaxHeapBytes)
	must(id, err)
	l.stable, err = stableFile.Update(maxStableBytes, heap.HostTracked)
	must(id, err)
	return l
}

// files are a canister's memories.
func (x *Executor) files(id types.CanisterID) (heap, stable *heap.Memory) {
	heap, err := x.deps.Memories.Heap(id)
	must(id, err)
	stable, err = x.deps.Memories.Stable(id)
	must(id, err)
	return heap, stable
}

// cool closes the canisters that were not used for the longest time until at most so many are
// open. Those that are in use or in the middle of a message stay. The caller holds the lock.
func (x *Executor) cool(most int) {
	r := &x.residents
	for e := r.recent.Back(); e != nil && len(r.open) > most; {
		l := e.Value.(*live)
		e = e.Prev()
		if l.users > 0 || l.turn != nil {
			continue
		}
		l.dropInstance(l.id)
		must(l.id, l.heap.Close())
		must(l.id, l.stable.Close())
		r.forget(l)
	}
}

func (r *residents) forget(l *live) {
	r.recent.Remove(l.at)
	delete(r.open, l.id)
}

// publishMemories shows queries what was committed since the last time.
func (x *Executor) publishMemories() {
	r := &x.residents
	r.mu.Lock()
	defer r.mu.Unlock()
	for id := range r.unpublished {
		heap, stable := x.files(id)
		must(id, heap.Publish())
		must(id, stable.Publish())
	}
	clear(r.unpublished)
}

// close removes the memories of a canister that is in no state any more. Queries that run in
// it already go on.
func (x *Executor) close(id types.CanisterID) {
	x.queries.forget(x, id)
	r := &x.residents
	r.mu.Lock()
	defer r.mu.Unlock()
	delete(r.unpublished, id)
	if l := r.open[id]; l != nil {
		l.dropInstance(id)
		r.forget(l)
	}
	must(id, x.deps.Memories.Remove(id))
}
