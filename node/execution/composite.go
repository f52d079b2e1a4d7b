package execution

import (
	"bytes"

	"portico/node/state"
	"portico/node/types"
	"portico/node/wasm/ic0"
)

// callback makes a call of a composite query and runs its reply or reject callback. One that
// traps leaves nothing behind but what its cleanup callback does; over means that this could
// not be kept, so that no further callback may run.
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
		return env, rej, rej != nil && !undo.restore(i)
	}
	env, rej, over := run(context, closure)
	if rej != nil && !over && call.Cleanup != nil {
		_, _, over = run(ic0.CompositeCleanup, *call.Cleanup)
	}
	return env, rej, over
}

// maxUndoBytes is the largest heap that is copied before a callback: some milliseconds. With a
// larger one, a callback that traps ends its query.
const maxUndoBytes = 16 * types.MiB

// queryUndo is what a query instance held before a callback.
type queryUndo struct {
	heap    []byte
	globals []uint64
	stable  uint64 // size
	lost    bool   // there is too much to keep
	written []writtenBytes
	bytes   int // in written
}

type writtenBytes struct {
	off uint64
	old []byte
}

func newUndo(i *queryInstance) *queryUndo {
	u := &queryUndo{globals: i.instance.Globals(), stable: uint64(len(i.stable.Bytes()))}
	if size := i.instance.Size(); size <= maxUndoBytes {
		u.heap = make([]byte, size)
		i.instance.Read(u.heap, 0)
	} else {
		u.lost = true
	}
	return u
}

// keep remembers a part of stable memory that will be written.
func (u *queryUndo) keep(off uint64, old []byte) {
	if u.bytes += len(old); u.bytes > maxUndoBytes {
		u.lost = true
		u.written = nil
		return
	}
	u.written = append(u.written, writtenBytes{off, bytes.Clone(old)})
}

// restore undoes what was written since. It fails if memories have grown, or if there was too
// much to keep.
func (u *queryUndo) restore(i *queryInstance) bool {
	if u.lost || i.instance.Size() != uint64(len(u.heap)) || uint64(len(i.stable.Bytes())) != u.stable {
		return false
	}
	i.instance.Write(0, u.heap)
	i.instance.SetGlobals(u.globals)
	for k := len(u.written) - 1; k >= 0; k-- {
		copy(i.stable.Bytes()[u.written[k].off:], u.written[k].old)
	}
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
