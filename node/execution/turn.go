package execution

import (
	"errors"
	"iter"
	"maps"
	"slices"
	"unicode/utf8"

	"portico/lightclient/principal"
	"portico/node/state"
	"portico/node/types"
	"portico/node/wasm"
	"portico/node/wasm/ic0"
)

// turn is a message that is being executed, slice by slice. It is a coroutine: what
// runs between two slices is its caller, never both.
type turn struct {
	env     *ic0.Env
	began   types.Cycles // env.Balance at the beginning
	prepaid types.Cycles // for the instructions
	calls   *callRoom
	grower  *grower
	limit   uint64 // instructions
	slice   uint64 // instructions of this round's
	used    uint64 // instructions in the slices so far
	outcome wasm.Outcome
	runner  *runner

	// One of these is what runs; neither for a system task.
	request  *state.Request
	response *state.Response
}

// errAbandoned ends a message that is not to go on.
var errAbandoned = errors.New("execution was abandoned")

// newTurn makes a turn that has not begun.
func (x *Executor) newTurn(c *state.Canister, l *live, env *ic0.Env, limit uint64, f entryPoint) *turn {
	t := &turn{
		env: env, began: env.Balance, limit: limit,
		calls: &callRoom{limits: x.limits, c: c}, grower: &grower{x: x, c: c, env: env},
	}
	env.Stable, env.GrowStable, env.TakeCall = l.stable, t.grower.stable, t.calls.take
	instance := x.instanceFor(c, l)
	call := &wasm.Call{Env: env, Limit: limit, Grow: t.grower.heap}
	t.runner = x.runner()
	call.Yield = func(used uint64) error {
		if used < t.used+t.slice { // it is behind where it was if it began again
			return nil
		}
		t.used = used
		if !t.runner.pause() {
			return errAbandoned
		}
		return nil
	}
	t.runner.job = func() { t.outcome = f(instance, call) }
	return t
}

// runner is a coroutine that runs one job after another. Using it again saves the growing of
// its stack, which takes as long as a short message.
type runner struct {
	job     func()
	yield   func(paused bool) bool
	next    func() (bool, bool)
	stop    func()
	stopped bool
}

// runner takes an idle runner or makes one.
func (x *Executor) runner() *runner {
	x.mu.Lock()
	defer x.mu.Unlock()
	if n := len(x.runners); n > 0 {
		r := x.runners[n-1]
		x.runners = x.runners[:n-1]
		return r
	}
	r := &runner{}
	r.next, r.stop = iter.Pull(func(yield func(bool) bool) {
		r.yield = yield
		for {
			r.job()
			r.job = nil
			if r.stopped || !yield(false) {
				return
			}
		}
	})
	return r
}

// pause ends a slice of the job that is running; false tells it to end.
func (r *runner) pause() bool {
	r.stopped = !r.yield(true)
	return !r.stopped
}

// maxRunners is how many idle runners are kept.
const maxRunners = 16

// release makes a runner idle whose job has ended.
func (x *Executor) release(r *runner) {
	x.mu.Lock()
	defer x.mu.Unlock()
	if len(x.runners) < maxRunners {
		x.runners = append(x.runners, r)
	} else {
		r.stop()
	}
}

// resume runs a slice and reports whether there are more.
func (t *turn) resume() bool {
	paused, _ := t.runner.next()
	return paused
}

// crashed reports whether the process that ran the message has ended.
func (t *turn) crashed() bool { return t.outcome.Trap != nil && t.outcome.Trap.Kind == wasm.Crashed }

// setTurn notes what message a canister is in the middle of; nil is none.
func (x *Executor) setTurn(id types.CanisterID, l *live, t *turn) {
	l.turn = t
	x.mu.Lock()
	defer x.mu.Unlock()
	if t != nil {
		x.turns[id] = l
	} else {
		delete(x.turns, id)
	}
}

// Abandon gives up the message or the installation that a canister is in the middle of; it
// stays at the head of its queue and begins again from its start.
func (x *Executor) Abandon(id types.CanisterID) {
	x.mu.Lock()
	l := x.turns[id]
	x.mu.Unlock()
	if l != nil {
		l.turn.runner.stop()
		x.setTurn(id, l, nil)
		l.rollback(id)
	}
	if x.installing != nil && x.installing.c.ID == id {
		x.abandonInstall()
	}
}

// AbandonAll gives up all messages and installations that are in the middle, as every
// replica does when it takes a checkpoint: whoever starts from the checkpoint knows nothing
// of them.
func (x *Executor) AbandonAll() {
	for _, id := range x.Paused() {
		x.Abandon(id)
	}
	x.abandonInstall()
	clear(x.deferred)
}

// Paused are the canisters that are in the middle of a message, in order.
func (x *Executor) Paused() []types.CanisterID {
	x.mu.Lock()
	defer x.mu.Unlock()
	return slices.SortedFunc(maps.Keys(x.turns), principal.ID.Compare)
}

// Progress is how many instructions of its message a canister has behind it.
func (x *Executor) Progress(id types.CanisterID) uint64 {
	x.mu.Lock()
	defer x.mu.Unlock()
	if l := x.turns[id]; l != nil {
		return l.turn.used
	}
	return 0
}

// Defer gives up a message because too many others are in the middle. Deferred reports it
// until the canister's next message begins.
func (x *Executor) Defer(id types.CanisterID) {
	x.Abandon(id)
	x.deferred[id] = true
}

// Deferred reports whether a canister's message is known to be long and was given up.
func (x *Executor) Deferred(id types.CanisterID) bool { return x.deferred[id] }

// Resume ends the deferral of a canister's message.
func (x *Executor) Resume(id types.CanisterID) { delete(x.deferred, id) }

// busy reports whether a canister is in the middle of a message.
func (x *Executor) busy(id types.CanisterID) bool {
	x.mu.Lock()
	defer x.mu.Unlock()
	return x.turns[id] != nil
}

// end makes a message that has run to its end part of the canister's state, and returns how
// many bytes of its memories it changed.
func (x *Executor) end(c *state.Canister, l *live, t *turn, out *Output) (changed uint64) {
	env := t.env
	env.DropUnfinishedCall()
	var rej *types.Reject
	if t.outcome.Trap != nil {
		rej = trapReject(c.ID, t.outcome.Trap, t.limit)
	} else if limit := c.Settings.WasmMemoryLimit; limit != 0 && env.Context == ic0.Update && l.heap.Size() > limit {
		rej = wasmMemoryLimit(limit)
	}
	var cb *state.Callback
	if r := t.response; r != nil {
		cb = c.Callbacks[r.Callback]
		sent := x.transmission(r).Min(cb.Reserved.Sub(t.prepaid))
		c.Credit(r.Refund.Add(cb.Reserved.Sub(sent)))
		c.Consume(state.UseTransmission, sent)
	}
	changed, rej = x.settle(c, l, t, rej)
	var ctxID uint64
	var ctx *state.CallContext
	if r := t.response; r != nil {
		ctxID, ctx = cb.Context, x.closeCallback(c, r.Callback)
		if rej != nil && cb.Cleanup != nil {
			changed += x.cleanup(c, l, t, ctx, cb)
		}
	} else {
		ctxID, ctx = c.NextID, t.context()
		c.NextID++
		c.Contexts[ctxID] = ctx
	}
	ctx.Instructions += t.outcome.Instructions
	if rej == nil {
		ctx.Available = env.Available
		x.register(c, ctxID, ctx, env, out)
	}
	x.conclude(c, ctxID, env, rej, out)
	return changed
}

// context is the call context that a request or task opens.
func (t *turn) context() *state.CallContext {
	r := t.request
	if r == nil {
		return &state.CallContext{Origin: state.Origin{Kind: state.FromSystem}, Responded: true}
	}
	return &state.CallContext{Origin: r.Origin, Available: r.Cycles, CallerInfo: r.CallerInfo, CallerSigner: r.CallerSigner}
}

// settle pays for a message and commits or forgets what it did. A message that was paused
// while others took from the balance may no longer be able to pay for what it did: then it
// fails.
func (x *Executor) settle(c *state.Canister, l *live, t *turn, rej *types.Reject) (changed uint64, _ *types.Reject) {
	env := t.env
	c.AppendLog(env.Time, logged(env, t.outcome.Trap))
	cost := x.costs.Execution(t.outcome.Instructions, x.Module(c.ID, c.Code).Info().Memory64).Min(t.prepaid)
	if rej == nil {
		// what it spent besides is what the balance lost and the reserve did not gain
		spent, gained := cost.Add(t.began.Sub(env.Balance)), env.Balance.Sub(t.began)
		if c.Cycles.Add(gained).Cmp(spent) >= 0 {
			changed = x.commit(c, l, env)
			c.Credit(gained)
			c.Cycles = c.Cycles.Sub(spent)
			c.Reserved = c.Reserved.Add(t.grower.reserved)
			c.Consume(state.UseInstructions, cost)
			c.Consume(state.UseBurned, env.Burned)
			return changed, nil
		}
		rej = types.Rejectf(types.ErrCanisterOutOfCycles, "Canister %s is out of cycles: while this message was paused its balance went below the %s cycles that it spent", c.ID, spent)
	}
	l.rollback(c.ID)
	cost = cost.Min(c.Cycles)
	c.Cycles = c.Cycles.Sub(cost)
	c.Consume(state.UseInstructions, cost)
	return 0, rej
}

// commit makes the changes of a message to memory the canister's, and returns how many bytes
// those are. The changes of a query are dropped even when all replicas run it.
func (x *Executor) commit(c *state.Canister, l *live, env *ic0.Env) (changed uint64) {
	if env.Context == ic0.ReplicatedQuery {
		l.rollback(c.ID)
		return 0
	}
	changed = l.commit(c)
	code := *c.Code
	code.Globals, code.HeapBytes = l.instance.Globals(), l.heap.Size()
	c.Code = &code
	c.Timer = env.Timer
	if env.DataSet {
		c.CertifiedData = env.CertifiedData
	}
	c.Version++
	watchLowMemory(c)
	return changed
}

// cleanup runs the cleanup callback after a trap in the reply or reject callback. What is
// left of what that prepaid pays for it. It is short: it runs within one slice.
func (x *Executor) cleanup(c *state.Canister, l *live, t *turn, ctx *state.CallContext, cb *state.Callback) (changed uint64) {
	now := t.env.Time
	env := x.callbackEnv(c, ctx, t.response, now)
	env.Context = ic0.Cleanup
	room := Room{Storage: t.grower.room.Storage, Stored: t.grower.room.Stored}
	g := &grower{x: x, c: c, env: env, room: &room}
	used, rej := x.runOn(x.instanceFor(c, l), c, l, g, x.limits.SliceInstructions, tableEntry(*cb.Cleanup))
	ctx.Instructions += used
	c.AppendLog(now, env.Log)
	if rej == nil {
		changed = x.commit(c, l, env)
		c.Cycles = env.Balance
		c.Reserved = c.Reserved.Add(g.reserved)
		c.Consume(state.UseBurned, env.Burned)
	}
	memory64 := x.Module(c.ID, c.Code).Info().Memory64
	cost := x.costs.instructions(used, memory64).Min(t.prepaid.Sub(x.costs.Execution(t.outcome.Instructions, memory64))).Min(c.Cycles)
	c.Cycles = c.Cycles.Sub(cost)
	c.Consume(state.UseInstructions, cost)
	return changed
}

// register turns the calls of a message into callbacks and requests.
func (x *Executor) register(c *state.Canister, ctxID uint64, ctx *state.CallContext, env *ic0.Env, out *Output) {
	for _, call := range env.Calls {
		id := c.NextID
		c.NextID++
		cb := &state.Callback{
			Context: ctxID, Callee: call.Callee, Cycles: call.Cycles, Reserved: call.Reserved,
			Reply: state.Closure(call.Reply), Reject: state.Closure(call.Reject),
		}
		if call.Cleanup != nil {
			cb.Cleanup = (*state.Closure)(call.Cleanup)
		}
		if call.Bounded {
			cb.Deadline = env.Time + types.Time(call.TimeoutSeconds)*1e9
		}
		c.Callbacks[id] = cb
		sent, _ := x.costs.Call(uint64(len(call.Method)), uint64(len(call.Arg)))
		c.Consume(state.UseTransmission, sent)
		c.Pending[call.Callee]++
		ctx.Outstanding++
		out.Requests = append(out.Requests, &state.Request{
			Origin:   state.Origin{Kind: state.FromCanister, Sender: c.ID, Callback: id, Deadline: cb.Deadline},
			Receiver: call.Callee, Method: call.Method, Arg: call.Arg, Cycles: call.Cycles, SenderVersion: env.Version,
		})
	}
}

// conclude answers the call if the message did, or if nobody else will, and closes
// the call context when nothing is outstanding.
func (x *Executor) conclude(c *state.Canister, ctxID uint64, env *ic0.Env, rej *types.Reject, out *Output) {
	ctx := c.Contexts[ctxID]
	switch {
	case ctx.Responded:
	case rej == nil && env.Answer != nil:
		var reply []byte
		var reject *types.Reject
		if env.Answer.Rejected {
			reject = types.Rejectf(types.ErrCanisterRejectedMessage, "%s", clip(env.Answer.Data))
		} else {
			reply = env.Answer.Data
		}
		x.respond(ctx, reply, reject, out)
	case ctx.Outstanding > 0:
	case rej != nil:
		x.respond(ctx, nil, rej, out)
	default:
		x.respond(ctx, nil, types.Rejectf(types.ErrCanisterDidNotReply, "Error from Canister %s: Canister did not reply to the call", c.ID), out)
	}
	if ctx.Outstanding == 0 {
		delete(c.Contexts, ctxID)
	}
}

// clip cuts a reject message where a Reject would, but between characters.
func clip(b []byte) string {
	const most = 8 * types.KiB
	if len(b) > most {
		b = b[:most]
		for len(b) > 0 && !utf8.Valid(b) {
			b = b[:len(b)-1]
		}
	}
	return string(b)
}

func (x *Executor) respond(ctx *state.CallContext, reply []byte, reject *types.Reject, out *Output) {
	out.answer(ctx.Origin, reply, reject, ctx.Available)
	ctx.Responded, ctx.Available = true, types.Cycles{}
}
