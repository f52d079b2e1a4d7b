package execution

import (
	"errors"
	"unicode/utf8"

	"portico/lightclient/principal"
	"portico/node/state"
	"portico/node/types"
	"portico/node/wasm"
	"portico/node/wasm/ic0"
	"portico/node/wasm/instrument"
)

// Message runs the message at the head of a canister's queue, which the caller has
// taken out, and changes the canister accordingly.
func (x *Executor) Message(c *state.Canister, in state.Input, now types.Time) Output {
	if in.Response != nil {
		return x.response(c, in.Response, now)
	}
	return x.request(c, in.Request, now)
}

// request starts a call.
func (x *Executor) request(c *state.Canister, r *state.Request, now types.Time) (out Output) {
	method, rej := x.callable(c, r)
	if rej != nil {
		out.Reject(r, rej)
		return out
	}
	ctxID := c.NextID
	c.NextID++
	ctx := &state.CallContext{Origin: r.Origin, Available: r.Cycles, CallerInfo: r.CallerInfo, CallerSigner: r.CallerSigner}
	context := ic0.Update
	if method.Kind == instrument.QueryMethod {
		context = ic0.ReplicatedQuery
	}
	env := x.env(c, context, now)
	env.Arg, env.Caller, env.Deadline = r.Arg, r.Origin.Sender, r.Origin.Deadline
	env.CallerInfo, env.CallerSigner = r.CallerInfo, r.CallerSigner.Bytes()
	env.Available = r.Cycles
	prepaid, rej := x.prepay(c, env)
	if rej != nil {
		out.Reject(r, rej)
		return out
	}
	l := x.open(c.ID)
	used, rej := x.run(c, l, env, maxUpdateInstructions, exported(method.Export()))
	out.Instructions, out.Messages = used, 1
	c.Contexts[ctxID] = ctx
	if rej == nil && context == ic0.ReplicatedQuery {
		// a query's changes to memory are dropped even when replicas run it
		l.rollback(c.ID)
		x.settle(c, env, prepaid, used)
		c.Version++
	} else {
		x.finish(c, l, env, prepaid, used, rej)
	}
	ctx.Instructions = used
	if rej == nil {
		ctx.Available = env.Available
		x.register(c, ctxID, ctx, env, now, &out)
	}
	x.conclude(c, ctxID, env, rej, &out)
	return out
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

// response runs the callback of a call.
func (x *Executor) response(c *state.Canister, r *state.Response, now types.Time) (out Output) {
	cb := c.Callbacks[r.Callback]
	if cb == nil {
		// a bounded-wait call that has timed out: its late response is dropped with its cycles
		return out
	}
	delete(c.Callbacks, r.Callback)
	if c.Pending[cb.Callee]--; c.Pending[cb.Callee] == 0 {
		delete(c.Pending, cb.Callee)
	}
	c.Cycles = c.Cycles.Add(r.Refund)
	ctx := c.Contexts[cb.Context]
	ctx.Outstanding--
	if ctx.Deleted {
		c.Cycles = c.Cycles.Add(cb.Reserved)
		if ctx.Outstanding == 0 {
			delete(c.Contexts, cb.Context)
		}
		return out
	}
	memory64 := x.Module(c.ID, c.Code).Info().Memory64
	bytes := uint64(len(r.Reply))
	if r.Reject != nil {
		bytes = uint64(len(r.Reject.Message))
	}
	execution := x.costs.Execution(maxUpdateInstructions, memory64)
	c.Cycles = c.Cycles.Add(cb.Reserved.Sub(execution).Sub(x.costs.Transmission(bytes)))

	env := x.callbackEnv(c, ctx, cb, r, now)
	closure := cb.Reply
	if r.Reject != nil {
		closure = cb.Reject
	}
	l := x.open(c.ID)
	used, rej := x.run(c, l, env, maxUpdateInstructions, tableEntry(closure))
	x.finish(c, l, env, execution, used, rej)
	out.Instructions, out.Messages = used, 1
	ctx.Instructions += used
	if rej == nil {
		ctx.Available = env.Available
		x.register(c, cb.Context, ctx, env, now, &out)
	} else if cb.Cleanup != nil {
		x.cleanup(c, l, ctx, cb, r, now, &out)
	}
	x.conclude(c, cb.Context, env, rej, &out)
	return out
}

func (x *Executor) callbackEnv(c *state.Canister, ctx *state.CallContext, cb *state.Callback, r *state.Response, now types.Time) *ic0.Env {
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

// cleanup runs the cleanup callback after a trap in the reply or reject callback.
func (x *Executor) cleanup(c *state.Canister, l *live, ctx *state.CallContext, cb *state.Callback, r *state.Response, now types.Time, out *Output) {
	env := x.callbackEnv(c, ctx, cb, r, now)
	env.Context = ic0.Cleanup
	used, rej := x.run(c, l, env, maxUpdateInstructions, tableEntry(*cb.Cleanup))
	x.finish(c, l, env, types.Cycles{}, used, rej)
	out.Instructions += used
	ctx.Instructions += used
}

// A TaskKind is a system task.
type TaskKind uint8

// The tasks.
const (
	Heartbeat TaskKind = iota + 1
	GlobalTimer
)

var taskExports = map[TaskKind]string{Heartbeat: "canister_heartbeat", GlobalTimer: "canister_global_timer"}

// DueTasks lists the system tasks that a canister has to run at a time.
func (x *Executor) DueTasks(c *state.Canister, now types.Time) []TaskKind {
	if c.Code == nil || c.Status != state.Running {
		return nil
	}
	var due []TaskKind
	info := x.Module(c.ID, c.Code).Info()
	if info.GlobalTimer && c.Timer != 0 && types.Time(c.Timer) <= now {
		due = append(due, GlobalTimer)
	}
	if info.Heartbeat {
		due = append(due, Heartbeat)
	}
	return due
}

// Task runs a system task.
func (x *Executor) Task(c *state.Canister, kind TaskKind, now types.Time) (out Output) {
	env := x.env(c, ic0.Task, now)
	env.Responded = true
	prepaid, rej := x.prepay(c, env)
	if rej != nil {
		return out
	}
	if kind == GlobalTimer {
		c.Timer, env.Timer = 0, 0
	}
	ctxID := c.NextID
	c.NextID++
	ctx := &state.CallContext{Origin: state.Origin{Kind: state.FromSystem}, Responded: true}
	l := x.open(c.ID)
	used, rej := x.run(c, l, env, maxUpdateInstructions, exported(taskExports[kind]))
	out.Instructions, out.Messages, ctx.Instructions = used, 1, used
	x.finish(c, l, env, prepaid, used, rej)
	c.Contexts[ctxID] = ctx
	if rej == nil {
		x.register(c, ctxID, ctx, env, now, &out)
	}
	x.conclude(c, ctxID, env, rej, &out)
	return out
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
		QueueFull:  func(callee principal.ID, pending int) bool { return c.Pending[callee]+pending >= maxQueuedCalls },
		GrowStable: func(_, to uint64) error { return growth(c, to-c.StableBytes) },
	}
	for _, v := range c.Settings.EnvVars {
		env.EnvVars = append(env.EnvVars, ic0.EnvVar(v))
	}
	return env
}

var errMemoryAllocation = errors.New("the memory allocation is used up")

// growth checks that a canister may store so many bytes more. Without a memory
// allocation it may grow while the subnet has room.
func growth(c *state.Canister, more uint64) error {
	if a := c.Settings.MemoryAllocation; a > 0 && MemoryUsage(c)+more > a {
		return errMemoryAllocation
	}
	return nil
}

// prepay takes the cycles for the longest execution out of the balance.
func (x *Executor) prepay(c *state.Canister, env *ic0.Env) (types.Cycles, *types.Reject) {
	cost := x.costs.Execution(maxUpdateInstructions, x.Module(c.ID, c.Code).Info().Memory64)
	if c.Cycles.Sub(env.FreezingThreshold).Cmp(cost) < 0 {
		return cost, types.Rejectf(types.ErrCanisterOutOfCycles, "Canister %s is out of cycles: please top up the canister with at least %s additional cycles", c.ID, cost.Sub(c.Cycles.Sub(env.FreezingThreshold)))
	}
	c.Cycles = c.Cycles.Sub(cost)
	env.Balance = c.Cycles
	return cost, nil
}

// run calls into a canister. A trap rolls its memories back and gives the reject
// that the caller sees; otherwise they hold the message's changes uncommitted.
func (x *Executor) run(c *state.Canister, l *live, env *ic0.Env, limit uint64, f entryPoint) (uint64, *types.Reject) {
	return x.runOn(x.instanceFor(c, l), c, l, env, limit, f)
}

// An entryPoint calls a function of an instance.
type entryPoint func(*wasm.Instance, *wasm.Call) wasm.Outcome

func exported(name string) entryPoint {
	return func(i *wasm.Instance, call *wasm.Call) wasm.Outcome { return i.Call(name, call) }
}

func tableEntry(f state.Closure) entryPoint {
	return func(i *wasm.Instance, call *wasm.Call) wasm.Outcome { return i.CallTable(f.Fun, f.Env, call) }
}

func (x *Executor) runOn(i *wasm.Instance, c *state.Canister, l *live, env *ic0.Env, limit uint64, f entryPoint) (uint64, *types.Reject) {
	env.Stable = l.stable
	out := f(i, &wasm.Call{Env: env, Limit: limit, Grow: heapGrowth(c, env)})
	env.DropUnfinishedCall()
	if out.Trap != nil {
		l.rollback(c.ID)
		return out.Instructions, trapReject(c.ID, out.Trap, limit)
	}
	return out.Instructions, nil
}

// heapGrowth decides memory.grow.
func heapGrowth(c *state.Canister, env *ic0.Env) func(current, delta uint64) error {
	return func(current, delta uint64) error {
		to := (current + delta) * types.WasmPageBytes
		if limit := c.Settings.WasmMemoryLimit; limit != 0 && to > limit && env.Context&(ic0.Update|ic0.Task|ic0.Init) != 0 {
			return types.Rejectf(types.ErrCanisterWasmMemoryLimit, "Canister exceeded its current Wasm memory limit of %d bytes", limit)
		}
		if growth(c, delta*types.WasmPageBytes) != nil {
			return wasm.ErrGrowRefused
		}
		return nil
	}
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

// finish commits or forgets what a message did and settles its price.
func (x *Executor) finish(c *state.Canister, l *live, env *ic0.Env, prepaid types.Cycles, used uint64, rej *types.Reject) {
	c.AppendLog(env.Time, env.Log)
	if rej != nil {
		x.refund(c, prepaid, used)
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
	c.Version++
	x.settle(c, env, prepaid, used)
}

// settle takes over the balance after a message that succeeded.
func (x *Executor) settle(c *state.Canister, env *ic0.Env, prepaid types.Cycles, used uint64) {
	c.Cycles = env.Balance
	c.Consumed = c.Consumed.Add(env.Burned)
	x.refund(c, prepaid, used)
}

// refund gives back what was prepaid for instructions that were not used.
func (x *Executor) refund(c *state.Canister, prepaid types.Cycles, used uint64) {
	cost := x.costs.Execution(used, x.Module(c.ID, c.Code).Info().Memory64).Min(prepaid)
	c.Cycles = c.Cycles.Add(prepaid.Sub(cost))
	c.Consumed = c.Consumed.Add(cost)
}

// register turns the calls of a message into callbacks and requests.
func (x *Executor) register(c *state.Canister, ctxID uint64, ctx *state.CallContext, env *ic0.Env, now types.Time, out *Output) {
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
			cb.Deadline = now + types.Time(call.TimeoutSeconds)*1e9
		}
		c.Callbacks[id] = cb
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
