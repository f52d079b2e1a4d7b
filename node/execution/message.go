package execution

import (
	"errors"
	"slices"

	"portico/lightclient/principal"
	"portico/node/state"
	"portico/node/types"
	"portico/node/wasm"
	"portico/node/wasm/ic0"
	"portico/node/wasm/instrument"
)

// Moment is when a message runs.
type Moment struct {
	Time  types.Time
	Slice uint64 // instructions; see Pace
}

// Step goes on with the message at the head of a canister's queue: it runs one slice of
// it, and takes it out of the queue when it ends. Until then the canister's state shows
// nothing of it, so that a message may be abandoned and begun again. What the slice takes
// of the subnet's limits is taken from room.
func (x *Executor) Step(c *state.Canister, now Moment, room *Room) (out Output, paused bool) {
	l := x.open(c.ID)
	defer x.done(l)
	t := l.turn
	var before uint64
	if t == nil {
		if t = x.begin(c, l, now.Time, &out); t == nil {
			c.Inbox, c.Restarts = c.Inbox[1:], 0
			return out, false
		}
		x.setTurn(c.ID, l, t)
	} else {
		before = t.used
	}
	t.slice, t.calls.c, t.calls.room, t.grower.c, t.grower.room = now.Slice, c, room, c, room
	paused = t.resume()
	if !paused && t.crashed() {
		// once more, in case it was not the code's fault; what that takes of the round is not limited
		x.release(t.runner)
		l.rollback(c.ID)
		again := x.begin(c, l, t.env.Time, &out) // as it began the first time
		again.used, again.slice, again.calls.room, again.grower.room = t.used, now.Slice, room, room
		t = again
		x.setTurn(c.ID, l, t)
		paused = t.resume()
	}
	if paused {
		out.Instructions = t.used - before
		return out, true
	}
	x.release(t.runner)
	x.setTurn(c.ID, l, nil)
	switch c.Inbox[0].Task {
	case state.GlobalTimer:
		c.Timer = 0
	case state.LowWasmMemory:
		c.LowMemory = state.LowMemoryExecuted
	}
	c.Inbox, c.Restarts = c.Inbox[1:], 0
	out.ChangedBytes = x.end(c, l, t, &out)
	x.queueLowMemory(c)
	if out.ChangedBytes > 0 {
		c.Heap = c.Heap.Plus(out.ChangedBytes, millis(now.Time), HeapDeltaPerMilli)
	}
	out.Instructions, out.Messages = t.outcome.Instructions-before, 1
	out.Quick = t.request != nil && t.request.Origin.Kind == state.FromUser && t.outcome.Instructions < x.limits.QuickSliceInstructions
	return out, false
}

// Changing reports whether a canister has changed so much memory that it has to wait.
func Changing(c *state.Canister, now types.Time) bool {
	return c.Heap.Left(millis(now), HeapDeltaPerMilli) >= HeapDeltaBurst
}

// millis is a time as state.Debit counts it.
func millis(t types.Time) uint64 { return uint64(t) / 1_000_000 }

// begin prepares the message at the head of the queue; nil if there is nothing to run.
func (x *Executor) begin(c *state.Canister, l *live, now types.Time, out *Output) *turn {
	switch in := c.Inbox[0]; {
	case in.Request != nil:
		return x.beginRequest(c, l, in.Request, now, out)
	case in.Response != nil:
		return x.beginResponse(c, l, in.Response, now, out)
	default:
		return x.beginTask(c, l, in.Task, now)
	}
}

// beginRequest prepares a call.
func (x *Executor) beginRequest(c *state.Canister, l *live, r *state.Request, now types.Time, out *Output) *turn {
	if d := r.Origin.Deadline; d != 0 && d < now {
		// its caller has been told that it timed out, and waits no more
		out.Lost = out.Lost.Add(r.Cycles)
		return nil
	}
	rej := expired(r, now)
	if rej != nil {
		out.Reject(r, rej)
		return nil
	}
	method, rej := x.callable(c, r)
	if rej != nil {
		out.Reject(r, rej)
		return nil
	}
	context := ic0.Update
	if method.Kind == instrument.QueryMethod {
		context = ic0.ReplicatedQuery
	}
	env := x.env(c, context, now)
	env.Arg, env.Caller = r.Arg, r.Origin.Sender
	env.CallerInfo, env.CallerSigner = r.CallerInfo, r.CallerSigner.Bytes()
	env.Available = r.Cycles
	limit := uint64(maxUpdateInstructions)
	if context == ic0.Update {
		env.Deadline = r.Origin.Deadline
	} else {
		limit = maxQueryInstructions
		env.Limits.MaxStableReadBytes, env.Limits.MaxStableWriteBytes = stableAccessPerQuery, stableAccessPerQuery
	}
	prepaid := x.executionPrice(c, limit)
	if liquid := c.Cycles.Sub(env.FreezingThreshold); liquid.Cmp(prepaid) < 0 {
		out.Reject(r, types.Rejectf(types.ErrCanisterOutOfCycles, "Canister %s is out of cycles: please top up the canister with at least %s additional cycles", c.ID, prepaid.Sub(liquid)))
		return nil
	}
	env.Balance = c.Cycles.Sub(prepaid)
	t := x.newTurn(c, l, env, limit, exported(method.Export()))
	t.request, t.prepaid = r, prepaid
	return t
}

// expired rejects an ingress message that waited until after its expiry.
func expired(r *state.Request, now types.Time) *types.Reject {
	if r.Expiry == 0 || r.Expiry >= now {
		return nil
	}
	return types.Rejectf(types.ErrIngressMessageTimeout, "Ingress message %x timed out waiting to start executing.", r.Origin.Request)
}

// beginResponse prepares the callback of a call.
func (x *Executor) beginResponse(c *state.Canister, l *live, r *state.Response, now types.Time, out *Output) *turn {
	cb := c.Callbacks[r.Callback]
	if cb == nil {
		out.Lost = out.Lost.Add(r.Refund)
		return nil
	}
	ctx := c.Contexts[cb.Context]
	if ctx.Deleted {
		c.Credit(r.Refund.Add(cb.Reserved))
		x.closeCallback(c, r.Callback)
		return nil
	}
	env := x.callbackEnv(c, ctx, r, now)
	price := x.executionPrice(c, maxUpdateInstructions)
	if price.Cmp(cb.Reserved) > 0 {
		// new code with a larger memory may cost more than what the old code set aside
		price = cb.Reserved
	}
	env.Balance = c.Cycles.Add(r.Refund).Add(cb.Reserved.Sub(price).Sub(x.transmission(r)))
	closure := cb.Reply
	if r.Reject != nil {
		closure = cb.Reject
	}
	t := x.newTurn(c, l, env, maxUpdateInstructions, tableEntry(closure))
	t.response, t.prepaid = r, price
	return t
}

// transmission is the price of a response's bytes.
func (x *Executor) transmission(r *state.Response) types.Cycles {
	if r.Reject != nil {
		return x.costs.Transmission(uint64(len(r.Reject.Message)))
	}
	return x.costs.Transmission(uint64(len(r.Reply)))
}

func (x *Executor) callbackEnv(c *state.Canister, ctx *state.CallContext, r *state.Response, now types.Time) *ic0.Env {
	context := ic0.Reply
	if r.Reject != nil {
		context = ic0.Reject
	}
	env := x.env(c, context, now)
	env.Arg, env.Refunded = r.Reply, r.Refund
	if r.Reject != nil {
		env.RejectCode, env.RejectMsg = r.Reject.Code.RejectCode(), r.Reject.Message
	}
	env.Caller, env.Deadline = ctx.Origin.Sender, ctx.Origin.Deadline
	env.CallerInfo, env.CallerSigner = ctx.CallerInfo, ctx.CallerSigner.Bytes()
	env.Responded = ctx.Responded || ctx.Origin.Kind == state.FromSystem
	env.Available = ctx.Available
	env.ContextInstructions = ctx.Instructions
	return env
}

// closeCallback takes a callback out of the canister and returns its call context,
// which goes with it if nothing else keeps it.
func (x *Executor) closeCallback(c *state.Canister, id uint64) *state.CallContext {
	cb := c.Callbacks[id]
	delete(c.Callbacks, id)
	if c.Pending[cb.Callee]--; c.Pending[cb.Callee] == 0 {
		delete(c.Pending, cb.Callee)
	}
	ctx := c.Contexts[cb.Context]
	ctx.Outstanding--
	if ctx.Deleted && ctx.Outstanding == 0 {
		delete(c.Contexts, cb.Context)
	}
	return ctx
}

var taskExports = map[state.Task]string{
	state.Heartbeat: "canister_heartbeat", state.GlobalTimer: "canister_global_timer", state.LowWasmMemory: "canister_on_low_wasm_memory",
}

// Wakes says when a canister has system tasks to run: eager is in every round, timer at a
// time, 0 for none.
func (x *Executor) Wakes(c *state.Canister) (eager bool, timer types.Time) {
	if c.Code == nil || c.Status != state.Running {
		return false, 0
	}
	info := x.Module(c.ID, c.Code).Info()
	if info.GlobalTimer {
		timer = types.Time(c.Timer)
	}
	return info.Heartbeat || (info.OnLowWasmMemory && c.LowMemory == state.LowMemoryReady), timer
}

// DueTasks lists the system tasks that a canister has to run at a time.
func (x *Executor) DueTasks(c *state.Canister, now types.Time) []state.Task {
	if c.Code == nil || c.Status != state.Running {
		return nil
	}
	var due []state.Task
	info := x.Module(c.ID, c.Code).Info()
	if info.OnLowWasmMemory && c.LowMemory == state.LowMemoryReady {
		due = append(due, state.LowWasmMemory)
	}
	if info.GlobalTimer && c.Timer != 0 && types.Time(c.Timer) <= now {
		due = append(due, state.GlobalTimer)
	}
	if info.Heartbeat {
		due = append(due, state.Heartbeat)
	}
	return due
}

// beginTask prepares a system task. One that is no longer due, or that the canister
// cannot pay for, is dropped.
func (x *Executor) beginTask(c *state.Canister, l *live, task state.Task, now types.Time) *turn {
	if !slices.Contains(x.DueTasks(c, now), task) {
		return nil
	}
	env := x.env(c, ic0.Task, now)
	env.Responded = true
	prepaid := x.executionPrice(c, maxUpdateInstructions)
	if c.Cycles.Sub(env.FreezingThreshold).Cmp(prepaid) < 0 {
		return nil
	}
	if task == state.GlobalTimer {
		env.Timer = 0 // the canister's own is until this ends, for it may be begun again
	}
	env.Balance = c.Cycles.Sub(prepaid)
	t := x.newTurn(c, l, env, maxUpdateInstructions, exported(taskExports[task]))
	t.prepaid = prepaid
	return t
}

// executionPrice is the price of the longest execution.
func (x *Executor) executionPrice(c *state.Canister, limit uint64) types.Cycles {
	return x.costs.Execution(limit, x.Module(c.ID, c.Code).Info().Memory64)
}

// callable finds the method that a request calls, if the canister takes calls.
func (x *Executor) callable(c *state.Canister, r *state.Request) (instrument.Method, *types.Reject) {
	var none instrument.Method
	switch c.Status {
	case state.Stopped:
		return none, types.Rejectf(types.ErrCanisterStopped, "Canister %s is stopped", c.ID)
	case state.Stopping:
		return none, types.Rejectf(types.ErrCanisterStopping, "Canister %s is stopping and takes no new calls", c.ID)
	}
	if c.Code == nil {
		return none, types.Rejectf(types.ErrCanisterWasmModuleNotFound, "Error from Canister %s: Attempted to execute a message, but the canister contains no Wasm module.", c.ID)
	}
	if r.Origin.Kind == state.FromCanister && r.Origin.Sender != c.ID && r.Cycles.Cmp(c.Settings.MinimumIncomingCycles) < 0 {
		return none, types.Rejectf(types.ErrInsufficientCyclesInCall, "Canister %s takes calls only with at least %s cycles, this one brought %s", c.ID, c.Settings.MinimumIncomingCycles, r.Cycles)
	}
	info := x.Module(c.ID, c.Code).Info()
	for _, m := range info.Methods {
		if m.Name != r.Method {
			continue
		}
		if m.Kind == instrument.CompositeQueryMethod {
			return none, types.Rejectf(types.ErrCompositeQueryInReplicated, "Composite query cannot be called in replicated mode")
		}
		return m, nil
	}
	return none, MethodNotFound(c.ID, r.Method)
}

// MethodNotFound rejects a call to a method that a canister does not export.
func MethodNotFound(id principal.ID, method string) *types.Reject {
	return types.Rejectf(types.ErrCanisterMethodNotFound, "Error from Canister %s: Canister has no update method '%s'.", id, method)
}

// env is what the system API shows of the canister.
func (x *Executor) env(c *state.Canister, context ic0.Context, now types.Time) *ic0.Env {
	env := &ic0.Env{
		Context: context, Self: c.ID, Subnet: x.deps.Subnet.ID, RootKey: x.deps.Subnet.RootKey, Time: now,
		Status: ic0.Status(c.Status), Version: c.Version, Controllers: c.Settings.Controllers,
		FreezingThreshold: x.costs.FreezingThreshold(c), Costs: x.costs,
		Balance: c.Cycles, Timer: c.Timer,
		Limits: ic0.Limits{
			MaxReplyBytes: maxReplyBytes, MaxCallPayloadBytes: maxCallBytes, MaxStableBytes: maxStableBytes,
			MaxStableReadBytes: stableAccessPerMessage, MaxStableWriteBytes: stableAccessPerMessage, MaxCalls: maxCallsPerMessage,
		},
	}
	for _, v := range c.Settings.EnvVars {
		env.EnvVars = append(env.EnvVars, ic0.EnvVar(v))
	}
	return env
}

// An entryPoint calls a function of an instance.
type entryPoint func(*wasm.Instance, *wasm.Call) wasm.Outcome

func exported(name string) entryPoint {
	return func(i *wasm.Instance, call *wasm.Call) wasm.Outcome { return i.Call(name, call) }
}

func tableEntry(f state.Closure) entryPoint {
	return func(i *wasm.Instance, call *wasm.Call) wasm.Outcome { return i.CallTable(f.Fun, f.Env, call) }
}

// runOn calls into a canister without a pause. A trap rolls its memories back and gives
// the reject that the caller sees; otherwise they hold the changes uncommitted.
func (x *Executor) runOn(i *wasm.Instance, c *state.Canister, l *live, g *grower, limit uint64, f entryPoint) (uint64, *types.Reject) {
	return x.runSlices(i, c, l, g, limit, nil, f)
}

// runSlices is runOn with a function that is called about every 2,000,000 instructions.
func (x *Executor) runSlices(i *wasm.Instance, c *state.Canister, l *live, g *grower, limit uint64, yield func(used uint64) error, f entryPoint) (uint64, *types.Reject) {
	env := g.env
	env.Stable, env.GrowStable = l.stable, g.stable
	out := f(i, &wasm.Call{Env: env, Limit: limit, Grow: g.heap, Yield: yield})
	env.DropUnfinishedCall()
	env.Log = logged(env, out.Trap)
	if out.Trap != nil {
		l.rollback(c.ID)
		return out.Instructions, trapReject(c.ID, out.Trap, limit)
	}
	return out.Instructions, nil
}

// trapReject is how a trap looks to the caller.
func trapReject(id principal.ID, t *wasm.Trap, limit uint64) *types.Reject {
	var rej *types.Reject
	switch {
	case t.Kind == wasm.InstructionLimit:
		return types.Rejectf(types.ErrCanisterInstructionLimit, "Error from Canister %s: Canister exceeded the limit of %d instructions for single message execution.", id, limit)
	case t.Kind == wasm.NoSuchFunction:
		return types.Rejectf(types.ErrCanisterFunctionNotFound, "Error from Canister %s: %s", id, t.Message)
	case errors.As(t.Err, &rej):
		return types.Rejectf(rej.Code, "Error from Canister %s: %s", id, rej.Message)
	default:
		return types.Rejectf(types.ErrCanisterTrapped, "Error from Canister %s: Canister trapped: %s", id, t.Message)
	}
}
