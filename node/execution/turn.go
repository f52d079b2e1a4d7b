package execution

import (
	"errors"
	"iter"
	"unicode/utf8"

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
	used    uint64       // instructions in the slices so far
	outcome wasm.Outcome
	next    func() (struct{}, bool)
	stop    func()

	// One of these is what runs; neither for a system task.
	request  *state.Request
	response *state.Response
}

// sliceInstructions is how much of a message runs in one round.
const sliceInstructions = 2_000_000_000

// errAbandoned ends a message that is not to go on.
var errAbandoned = errors.New("execution was abandoned")

// newTurn makes a turn that has not begun.
func (x *Executor) newTurn(c *state.Canister, l *live, env *ic0.Env, f entryPoint) *turn {
	t := &turn{env: env, began: env.Balance}
	env.Stable = l.stable
	instance := x.instanceFor(c, l)
	call := &wasm.Call{Env: env, Limit: maxUpdateInstructions, Grow: heapGrowth(c, env)}
	t.next, t.stop = iter.Pull(func(yield func(struct{}) bool) {
		call.Yield = func(used uint64) error {
			if used-t.used < sliceInstructions {
				return nil
			}
			t.used = used
			if !yield(struct{}{}) {
				return errAbandoned
			}
			return nil
		}
		t.outcome = f(instance, call)
	})
	return t
}

// resume runs a slice and reports whether there are more.
func (t *turn) resume() bool {
	_, more := t.next()
	return more
}

// Abandon gives up the message that a canister is in the middle of; it stays at the
// head of the queue and begins again from its start.
func (x *Executor) Abandon(id types.CanisterID) {
	l := x.open(id)
	if l.turn == nil {
		return
	}
	l.turn.stop()
	l.turn = nil
	l.rollback(id)
}

// AbandonAll gives up all messages that are in the middle, as every replica does
// when it takes a checkpoint: whoever starts from the checkpoint knows nothing of them.
func (x *Executor) AbandonAll() {
	x.mu.Lock()
	var ids []types.CanisterID
	for id, l := range x.live {
		if l.turn != nil {
			ids = append(ids, id)
		}
	}
	x.mu.Unlock()
	for _, id := range ids {
		x.Abandon(id)
	}
}

// busy reports whether a canister is in the middle of a message.
func (x *Executor) busy(id types.CanisterID) bool {
	x.mu.Lock()
	defer x.mu.Unlock()
	l := x.live[id]
	return l != nil && l.turn != nil
}

// end makes a message that has run to its end part of the canister's state.
func (x *Executor) end(c *state.Canister, l *live, t *turn, out *Output) {
	env := t.env
	env.DropUnfinishedCall()
	var rej *types.Reject
	if t.outcome.Trap != nil {
		l.rollback(c.ID)
		rej = trapReject(c.ID, t.outcome.Trap, maxUpdateInstructions)
	}
	var ctxID uint64
	var ctx *state.CallContext
	if r := t.response; r != nil {
		cb := c.Callbacks[r.Callback]
		ctxID = cb.Context
		c.Cycles = c.Cycles.Add(x.responseCredit(c, cb, r))
		c.Consumed = c.Consumed.Add(x.transmission(r))
		ctx = x.closeCallback(c, r.Callback)
		x.finish(c, l, t, rej)
		if rej != nil && cb.Cleanup != nil {
			x.cleanup(c, l, ctx, cb, r, env.Time)
		}
	} else {
		ctxID = c.NextID
		c.NextID++
		ctx = t.context()
		c.Contexts[ctxID] = ctx
		c.Cycles = c.Cycles.Sub(t.prepaid)
		x.finish(c, l, t, rej)
	}
	ctx.Instructions += t.outcome.Instructions
	if rej == nil {
		ctx.Available = env.Available
		x.register(c, ctxID, ctx, env, out)
	}
	x.conclude(c, ctxID, env, rej, out)
}

// context is the call context that a request or task opens.
func (t *turn) context() *state.CallContext {
	r := t.request
	if r == nil {
		return &state.CallContext{Origin: state.Origin{Kind: state.FromSystem}, Responded: true}
	}
	return &state.CallContext{Origin: r.Origin, Available: r.Cycles, CallerInfo: r.CallerInfo, CallerSigner: r.CallerSigner}
}

// finish commits or forgets what a message did and settles its price.
func (x *Executor) finish(c *state.Canister, l *live, t *turn, rej *types.Reject) {
	env := t.env
	c.AppendLog(env.Time, env.Log)
	if rej == nil {
		x.commit(c, l, env)
		// others may have given to the canister or charged it while the message was paused
		c.Cycles = c.Cycles.Add(env.Balance.Sub(t.began)).Sub(t.began.Sub(env.Balance))
		c.Consumed = c.Consumed.Add(env.Burned)
		c.Version++
	}
	cost := x.costs.Execution(t.outcome.Instructions, x.Module(c.ID, c.Code).Info().Memory64).Min(t.prepaid)
	c.Cycles = c.Cycles.Add(t.prepaid.Sub(cost))
	c.Consumed = c.Consumed.Add(cost)
}

// commit makes the changes of a message to memory the canister's. Those of a query
// are dropped even when all replicas run it.
func (x *Executor) commit(c *state.Canister, l *live, env *ic0.Env) {
	if env.Context == ic0.ReplicatedQuery {
		l.rollback(c.ID)
		return
	}
	l.commit(c)
	code := *c.Code
	code.Globals, code.HeapBytes = l.instance.Globals(), uint64(len(l.heap.Bytes()))
	c.Code = &code
	c.Timer = env.Timer
	if env.DataSet {
		c.CertifiedData = env.CertifiedData
	}
}

// cleanup runs the cleanup callback after a trap in the reply or reject callback. It is
// free, and short: it runs within one slice.
func (x *Executor) cleanup(c *state.Canister, l *live, ctx *state.CallContext, cb *state.Callback, r *state.Response, now types.Time) {
	env := x.callbackEnv(c, ctx, r, now)
	env.Context = ic0.Cleanup
	used, rej := x.runOn(x.instanceFor(c, l), c, l, env, sliceInstructions, tableEntry(*cb.Cleanup))
	ctx.Instructions += used
	c.AppendLog(now, env.Log)
	if rej == nil {
		x.commit(c, l, env)
		c.Cycles, c.Consumed = env.Balance, c.Consumed.Add(env.Burned)
		c.Version++
	}
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
		c.Consumed = c.Consumed.Add(sent)
		c.Pending[call.Callee]++
		ctx.Outstanding++
		out.Requests = append(out.Requests, &state.Request{
			Origin:   state.Origin{Kind: state.FromCanister, Sender: c.ID, Callback: id, Deadline: cb.Deadline},
			Receiver: call.Callee, Method: call.Method, Arg: call.Arg, Cycles: call.Cycles,
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
