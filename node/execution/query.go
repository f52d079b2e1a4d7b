package execution

import (
	"portico/lightclient/principal"
	"portico/node/state"
	"portico/node/state/heap"
	"portico/node/types"
	"portico/node/wasm"
	"portico/node/wasm/ic0"
	"portico/node/wasm/instrument"
)

// Published is the state that queries see: the newest certified one.
type Published struct {
	State *state.State
	// Certificate certifies a canister's certified data.
	Certificate func(id types.CanisterID) ([]byte, error)
}

// Publish shows queries a new state: the given canisters have changed since the
// last one. Queries that run already go on with what they began with. It returns the memories
// that share their files with snapshots since then: the next Publish that changes one copies
// it, unless its Prepare was called before.
func (x *Executor) Publish(p Published, changed []types.CanisterID) (shared []*heap.Memory) {
	x.publishing.Lock()
	defer x.publishing.Unlock()
	x.publishSnapshots()
	for _, id := range changed {
		if p.State.Canister(id) == nil {
			x.close(id)
		}
	}
	x.publishMemories()
	x.published = p
	shared, x.shared = x.shared, nil
	return shared
}

// Query is a query call.
type Query struct {
	Canister     principal.ID
	Method       string
	Arg          []byte
	Sender       principal.ID
	CallerInfo   []byte
	CallerSigner principal.ID
}

// Limits of query call graphs.
const (
	maxQueryDepth       = 6
	queryCallCostInstrs = 50_000_000
)

// Query answers a query call from the published state.
func (x *Executor) Query(q Query) ([]byte, *types.Reject) {
	return x.graph(maxQueryInstructions, func(g *queryGraph) ([]byte, *types.Reject) {
		entry, rej := g.enter(q.Canister, x.acceptsQuery)
		if rej != nil {
			return nil, rej
		}
		cert, err := entry.view.Certificate(q.Canister)
		if err != nil {
			return nil, types.Rejectf(types.ErrCertifiedStateUnavailable, "no certified state: %v", err)
		}
		return g.run(entry, q, cert, 0)
	})
}

// graph runs a query call, and once more if the process that ran it ended, in case it was not
// the code's fault.
func (x *Executor) graph(budget uint64, run func(*queryGraph) ([]byte, *types.Reject)) ([]byte, *types.Reject) {
	for again := false; ; again = true {
		g := x.newGraph(budget)
		reply, rej := run(g)
		g.close()
		if again || !g.crashed {
			return reply, rej
		}
	}
}

// Inspect runs canister_inspect_message for an ingress message; nil accepts it.
func (x *Executor) Inspect(q Query) *types.Reject {
	_, rej := x.graph(maxInspectInstructions, func(g *queryGraph) ([]byte, *types.Reject) { return nil, g.inspect(q) })
	return rej
}

func (g *queryGraph) inspect(q Query) *types.Reject {
	x := g.x
	i, rej := g.enter(q.Canister, func(c *state.Canister) *types.Reject { return x.acceptsIngress(c, q) })
	if rej != nil || !x.Module(i.canister.ID, i.canister.Code).Info().InspectMessage {
		return rej
	}
	env := g.env(i, ic0.Inspect, q)
	env.Method = q.Method
	if rej := g.call(i, env, exported("canister_inspect_message")); rej != nil {
		return rej
	}
	if !env.MessageOK {
		return types.Rejectf(types.ErrCanisterRejectedMessage, "Canister rejected the message")
	}
	return nil
}

// acceptsIngress checks what needs no code to run.
func (x *Executor) acceptsIngress(c *state.Canister, q Query) *types.Reject {
	r := &state.Request{Origin: state.Origin{Kind: state.FromUser, Sender: q.Sender}, Method: q.Method}
	_, rej := x.callable(c, r)
	if rej == nil && x.costs.Frozen(c) {
		rej = types.Rejectf(types.ErrCanisterOutOfCycles, "Canister %s is unable to process ingress messages: it is frozen, its balance of %s cycles is below its freezing threshold", c.ID, c.Cycles)
	}
	return rej
}

// NotFound rejects a call to a canister that does not exist.
func NotFound(id principal.ID) *types.Reject {
	return types.Rejectf(types.ErrCanisterNotFound, "Canister %s not found", id)
}

// acceptsQuery checks what needs no code to run.
func (x *Executor) acceptsQuery(c *state.Canister) *types.Reject {
	switch {
	case c.Code == nil:
		return types.Rejectf(types.ErrCanisterWasmModuleNotFound, "Error from Canister %s: Attempted to execute a message, but the canister contains no Wasm module.", c.ID)
	case c.Status != state.Running:
		code := types.ErrCanisterStopped
		if c.Status == state.Stopping {
			code = types.ErrCanisterStopping
		}
		return types.Rejectf(code, "Canister %s is %s and takes no queries", c.ID, c.Status)
	case x.costs.Frozen(c):
		return types.Rejectf(types.ErrCanisterOutOfCycles, "Canister %s is unable to process query calls because it's frozen. Please top up the canister with cycles and try again.", c.ID)
	}
	return nil
}

// queryGraph is a query call with the queries it calls in turn.
type queryGraph struct {
	x      *Executor
	budget uint64
	over   func() bool // the time that it may take is over
	used   []*queryInstance
	// crashed: the process that ran one of them has ended.
	crashed bool
}

// newGraph begins a query call.
func (x *Executor) newGraph(budget uint64) *queryGraph {
	g := &queryGraph{x: x, budget: budget, over: func() bool { return false }}
	if x.deps.QueryDeadline != nil {
		g.over = x.deps.QueryDeadline()
	}
	return g
}

// checkTime ends a query whose time is over.
func (g *queryGraph) checkTime(uint64) error {
	if g.over() {
		return types.Rejectf(types.ErrQueryTimeLimitExceeded, "Query call exceeded the time limit")
	}
	return nil
}

// enter takes an instance of a canister that passes a check, with its memories as
// they were published together with its state.
func (g *queryGraph) enter(id principal.ID, check func(*state.Canister) *types.Reject) (*queryInstance, *types.Reject) {
	g.x.publishing.RLock()
	defer g.x.publishing.RUnlock()
	view := g.x.published
	c := view.State.Canister(id)
	if c == nil {
		return nil, NotFound(id)
	}
	if rej := check(c); rej != nil {
		return nil, rej
	}
	i := g.x.acquire(c)
	i.view, i.canister, i.spent = view, c, 0
	g.used = append(g.used, i)
	return i, nil
}

func (g *queryGraph) close() {
	for _, i := range g.used {
		g.x.leaveQuery(i)
	}
}

func (g *queryGraph) env(i *queryInstance, context ic0.Context, q Query) *ic0.Env {
	env := g.x.env(i.canister, context, i.view.State.Time)
	env.Arg, env.Caller = q.Arg, q.Sender
	env.CallerInfo, env.CallerSigner = q.CallerInfo, q.CallerSigner.Bytes()
	env.Limits.MaxReplyBytes = maxQueryReplyBytes
	env.ContextInstructions = i.spent
	return env
}

// call runs an entry point on a query instance, within the graph's budget.
func (g *queryGraph) call(i *queryInstance, env *ic0.Env, f entryPoint) *types.Reject {
	grow := &grower{x: g.x, c: i.canister, env: env}
	env.Stable = queryStable{i.stable, i.undo}
	env.GrowStable = func(from, to uint64) error {
		if to > i.room {
			return wasm.ErrGrowRefused
		}
		return grow.stable(from, to)
	}
	calls := 0
	env.TakeCall = func(*ic0.Call) bool {
		calls++
		return calls <= maxQueuedCalls
	}
	limit := min(g.budget, maxQueryInstructions)
	out := f(i.instance, &wasm.Call{Env: env, Limit: limit, Grow: grow.heap, Yield: g.checkTime})
	env.DropUnfinishedCall()
	g.budget -= min(out.Instructions, g.budget)
	i.spent += out.Instructions
	if out.Trap != nil {
		g.crashed = g.crashed || out.Trap.Kind == wasm.Crashed
		return trapReject(i.canister.ID, out.Trap, limit)
	}
	return nil
}

// queryStable is stable memory that forgets what a query writes; undo keeps what was there
// before, if it is not nil.
type queryStable struct {
	view *heap.QueryView
	undo *queryUndo
}

func (s queryStable) Bytes() []byte          { return s.view.Bytes() }
func (s queryStable) Grow(size uint64) error { return s.view.Grow(size) }

// MarkDirty is called before the bytes are written.
func (s queryStable) MarkDirty(off, n uint64) {
	if s.undo != nil {
		s.undo.keep(s.view.Bytes(), off, n)
	}
}

// run answers one query of the graph, and counts it.
func (g *queryGraph) run(i *queryInstance, q Query, certificate []byte, depth int) ([]byte, *types.Reject) {
	reply, rej := g.answer(i, q, certificate, depth)
	g.x.counts.count(types.QueryEpoch(i.view.State.Height, g.x.deps.Subnet.QueryEpoch), i.canister.ID, types.QueryCounts{
		Calls: 1, Instructions: i.spent, RequestBytes: uint64(len(q.Arg)), ReplyBytes: uint64(len(reply)),
	})
	return reply, rej
}

func (g *queryGraph) answer(i *queryInstance, q Query, certificate []byte, depth int) ([]byte, *types.Reject) {
	method, rej := queryMethod(g.x.Module(i.canister.ID, i.canister.Code).Info(), i.canister.ID, q.Method)
	if rej != nil {
		return nil, rej
	}
	context := ic0.Query
	if method.Kind == instrument.CompositeQueryMethod {
		context = ic0.CompositeQuery
	}
	env := g.env(i, context, q)
	env.Certificate = certificate
	if rej := g.call(i, env, exported(method.Export())); rej != nil {
		return nil, rej
	}
	answer, calls := env.Answer, env.Calls
	for len(calls) > 0 {
		call := calls[0]
		calls = calls[1:]
		env, rej, over := g.callback(i, q, call, answer != nil, depth)
		if rej != nil && answer == nil && (over || len(calls) == 0) {
			return nil, rej
		}
		if over {
			break
		}
		if rej == nil {
			calls = append(calls, env.Calls...)
			if answer == nil {
				answer = env.Answer
			}
		}
	}
	switch {
	case answer == nil:
		return nil, types.Rejectf(types.ErrCanisterDidNotReply, "Error from Canister %s: Canister did not reply to the call", i.canister.ID)
	case answer.Rejected:
		return nil, types.Rejectf(types.ErrCanisterRejectedMessage, "%s", clip(answer.Data))
	default:
		return answer.Data, nil
	}
}

func queryMethod(info *instrument.Info, id principal.ID, name string) (instrument.Method, *types.Reject) {
	for _, m := range info.Methods {
		if m.Name == name && m.Kind != instrument.UpdateMethod {
			return m, nil
		}
	}
	return instrument.Method{}, types.Rejectf(types.ErrCanisterMethodNotFound, "Error from Canister %s: Canister has no query method '%s'.", id, name)
}
