package execution

import (
	"bytes"
	"errors"

	"portico/node/state"
	"portico/node/state/heap"
	"portico/node/types"
	"portico/node/wasm"
	"portico/node/wasm/ic0"
)

// callback makes a call of a composite query and runs its reply or reject callback. One that
// traps leaves nothing behind but what its cleanup callback does; over means that the module
// changes tables, which cannot be undone, so that no further callback may run.
func (g *queryGraph) callback(i *queryInstance, q Query, call ic0.Call, responded bool, depth int) (_ *ic0.Env, rej *types.Reject, over bool) {
	reply, failed := g.nested(Query{Canister: call.Callee, Method: call.Method, Arg: call.Arg, Sender: i.canister.ID}, depth+1)
	context, closure := ic0.CompositeReply, call.Reply
	if failed != nil {
		context, closure = ic0.CompositeReject, call.Reject
	}
	next := q
	next.Arg = reply
	run := func(context ic0.Context, closure ic0.Closure) (*ic0.Env, *types.Reject, bool) {
		env := g.env(i, context, next)
		env.Responded = responded
		if failed != nil {
			env.RejectCode, env.RejectMsg = failed.Code.RejectCode(), failed.Message
		}
		undo := newUndo(i)
		i.undo = undo
		rej := g.call(i, env, tableEntry(state.Closure(closure)))
		i.undo = nil
		return env, rej, rej != nil && !undo.restore(g.x, i)
	}
	env, rej, over := run(context, closure)
	if rej != nil && !over && call.Cleanup != nil {
		_, _, over = run(ic0.CompositeCleanup, *call.Cleanup)
	}
	return env, rej, over
}

// queryUndo is what a query instance held before a callback: its heap keeps that itself, and its
// stable memory is noted before it is written.
type queryUndo struct {
	globals []uint64
	heap    uint64            // size
	stable  uint64            // size
	written map[uint64][]byte // pages of stable memory, as they were, by number
}

func newUndo(i *queryInstance) *queryUndo {
	err := i.heap.Mark()
	if !errors.Is(err, heap.ErrGone) { // then restore fails, as the call does
		must(i.canister.ID, err)
	}
	return &queryUndo{
		globals: i.instance.Globals(), heap: i.heap.Size(), stable: i.stable.Size(), written: map[uint64][]byte{},
	}
}

// keep remembers a part of stable memory, which is all, that will be written.
func (u *queryUndo) keep(all []byte, off, n uint64) {
	for p := off / types.OSPageBytes; p*types.OSPageBytes < off+n; p++ {
		if u.written[p] == nil {
			u.written[p] = bytes.Clone(all[p*types.OSPageBytes : (p+1)*types.OSPageBytes])
		}
	}
}

// restore undoes what was written since. Tables cannot be put back: it fails if the module
// changes any, or if the process that the query ran in has ended.
func (u *queryUndo) restore(x *Executor, i *queryInstance) bool {
	id := i.canister.ID
	module := x.Module(id, i.canister.Code)
	if module.Info().TableMutating {
		return false
	}
	err := i.heap.Undo()
	if errors.Is(err, heap.ErrGone) {
		return false
	}
	must(id, err)
	for p, old := range u.written {
		copy(i.stable.Bytes()[p*types.OSPageBytes:], old)
	}
	must(id, i.stable.Truncate(u.stable))
	if i.instance.Size() == u.heap {
		i.instance.SetGlobals(u.globals)
		return true
	}
	// memories of instances do not shrink
	must(id, i.instance.Close())
	i.instance, err = module.Instantiate(wasm.InstanceConfig{Memory: i.heap, InitialPages: u.heap / types.WasmPageBytes, Globals: u.globals})
	must(id, err)
	return true
}

// nested answers a query that a query of the graph makes.
func (g *queryGraph) nested(q Query, depth int) ([]byte, *types.Reject) {
	if g.over() {
		return nil, types.Rejectf(types.ErrQueryTimeLimitExceeded, "Composite query calls exceeded the time limit")
	}
	if depth >= maxQueryDepth {
		return nil, types.Rejectf(types.ErrQueryCallGraphTooDeep, "Composite query calls are nested deeper than %d", maxQueryDepth)
	}
	if g.budget <= queryCallCostInstrs {
		return nil, types.Rejectf(types.ErrQueryCallGraphInstructions, "Composite query calls exceeded the instruction limit")
	}
	g.budget -= queryCallCostInstrs
	if q.Canister.IsManagement() {
		return g.x.QueryManagement(q)
	}
	if !g.x.deps.Subnet.Hosts(q.Canister) {
		return nil, types.Rejectf(types.ErrQueryCallGraphInternal, "Composite query canister %s is not on this subnet", q.Canister)
	}
	i, rej := g.enter(q.Canister, g.x.acceptsQuery)
	if rej != nil {
		return nil, rej
	}
	return g.run(i, q, nil, depth)
}
