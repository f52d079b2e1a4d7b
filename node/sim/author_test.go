package sim

import (
	"math/big"
	"math/rand/v2"

	"portico/lightclient/envelope"
	"portico/lightclient/principal"
	u "portico/node/conformance/universal"
	"portico/node/state"
)

// author draws what users do: they make canisters, manage them, and send them random programs.
// Canisters control each other, and nothing keeps them from what must fail.
type author struct {
	r *rand.Rand
	// state is the newest that any node has.
	state func() *state.State
	// modules are universal canisters as uploaded.
	modules [][]byte
	// minted notes what a call is to bring into being.
	minted func(arg []byte, amount *big.Int)
	// provided is how many canisters users have asked for.
	provided int
}

const (
	// depth is how deep programs nest: in arguments of calls, in callbacks, in hooks.
	depth = 2
	// few is how many canisters users make in any case.
	few = 3
	// many is how many ids users know of.
	many = 10
	// trillion is 10¹² cycles.
	trillion = 1_000_000_000_000
	// longBurn is the most that a program burns at a time, in steps of eight instructions: some
	// slices of simulatedLimits.
	longBurn = 3_000_000
)

// one draws one of these.
func one[T any](a *author, of ...T) T { return of[a.r.IntN(len(of))] }

func (a *author) chance(percent int) bool { return a.r.IntN(100) < percent }

// canister is any canister's id: mostly of one that there is or was.
func (a *author) canister() principal.ID {
	if ids := a.state().IDs(); len(ids) > 0 && a.chance(85) {
		return ids[a.r.IntN(len(ids))]
	}
	return principal.Canister(uint64(a.r.IntN(many)))
}

// request is a Request.
func (a *author) request() (envelope.Request, principal.ID, bool) {
	s := a.state()
	if n := len(s.IDs()); a.provided < few || n < few && a.chance(50) || n < many && a.chance(4) {
		a.provided++
		return a.provide()
	}
	id := a.canister()
	c := s.Canister(id)
	switch {
	case c != nil && c.Code == nil && a.chance(70):
		return a.manage(id, "install_code", a.install(id))
	case c != nil && c.Status == state.Stopped && a.chance(60):
		return a.manage(id, one(a, "start_canister", "start_canister", "delete_canister"), encode(target{id}))
	case c != nil && len(c.Snapshots) > 0 && a.chance(20):
		return a.manage(id, one(a, "load_canister_snapshot", "load_canister_snapshot", "delete_canister_snapshot"), encode(snapshotOf{id, *a.snapshot(id)}))
	case c != nil && a.chance(4):
		amount := big.NewInt(a.r.Int64N(10 * trillion))
		arg := encode(topUp{id, amount})
		a.minted(arg, amount)
		return a.manage(id, "provisional_top_up_canister", arg)
	case a.chance(20):
		method, arg := a.management(id)
		return a.manage(id, method, arg)
	}
	method := one(a, u.Update, u.Update, u.Update, u.Update, u.Update, u.Query, u.Composite, "missing")
	return envelope.Request{Canister: id, Method: method, Arg: a.program(depth)}, id, true
}

// query is a query call, some of them composite.
func (a *author) query() envelope.Request {
	if a.chance(5) {
		return envelope.Request{Sender: principal.Anonymous(), Method: one(a, "canister_status", "fetch_canister_logs", "canister_metrics"), Arg: encode(target{a.canister()})}
	}
	return envelope.Request{Sender: principal.Anonymous(), Canister: a.canister(), Method: one(a, u.Query, u.Composite), Arg: a.program(depth)}
}

func (a *author) manage(effective principal.ID, method string, arg []byte) (envelope.Request, principal.ID, bool) {
	return envelope.Request{Method: method, Arg: arg}, effective, true
}

// provide makes a canister with cycles; some will be without after seconds.
func (a *author) provide() (envelope.Request, principal.ID, bool) {
	amount := big.NewInt(one[int64](a, trillion/2, trillion, 5*trillion, 100*trillion, 1000*trillion) + a.r.Int64N(1000))
	s := a.settings()
	if a.chance(8) {
		amount = big.NewInt(a.r.Int64N(trillion / 50))
		s.ComputeAllocation, s.FreezingThreshold = number(60), number(0)
	}
	arg := encode(provision{Amount: &amount, Settings: s})
	a.minted(arg, amount)
	return a.manage(principal.Canister(0), "provisional_create_canister_with_cycles", arg)
}

// program does up to four things and mostly answers.
func (a *author) program(depth int) u.Program {
	var p u.Program
	for range a.r.IntN(5) {
		p = u.Seq(p, a.step(depth))
	}
	if a.chance(60) {
		p = u.Seq(p, a.answer())
	}
	return p
}

// step is one thing that a program does. What is for other contexts traps.
func (a *author) step(depth int) u.Program {
	switch n := a.r.IntN(100); {
	case n < 28 && depth > 0:
		return a.calls(depth)
	case n < 37 && depth > 0:
		return a.call(a.managementCall(depth))
	case n < 41 && depth > 0:
		return a.hook(depth)
	case n < 44:
		return a.answer()
	case n < 47:
		return a.failure()
	case n < 65:
		return a.memory()
	case n < 77:
		return a.cycles()
	case n < 86:
		return u.Burn(u.Int(uint64(a.r.IntN(one(a, 100, 10_000, 100_000)))))
	case n < 88:
		return u.Burn(u.Int(uint64(a.r.IntN(longBurn))))
	default:
		return a.note()
	}
}

// calls is a call to a canister, or several equal ones.
func (a *author) calls(depth int) u.Program {
	c := u.Call{
		Callee: u.ID(a.canister()), Method: one(a, u.Update, u.Update, u.Update, u.Update, u.Query, u.Query, u.Composite, "missing"),
		Arg: u.Code(a.program(depth - 1)),
	}
	if a.chance(15) {
		c.Callee = u.Self()
	}
	if a.chance(40) {
		c.Cycles = a.amount(trillion)
	}
	call := a.call(a.callbacks(c, depth))
	if a.chance(15) {
		call = u.Repeat(u.Int(uint64(2+a.r.IntN(4))), call)
	}
	return call
}

// callbacks adds what comes after a call, and how long it may take.
func (a *author) callbacks(c u.Call, depth int) u.Call {
	if a.chance(60) {
		c.OnReply = a.program(depth - 1)
	}
	if a.chance(50) {
		c.OnReject = a.program(depth - 1)
	}
	if a.chance(30) {
		c.OnCleanup = one(a, a.memory(), a.note(), a.cycles(), a.failure())
	}
	if a.chance(30) {
		c.Timeout = u.Int(uint64(one(a, 0, 0, 1, a.r.IntN(400))))
	}
	return c
}

// call makes a call; some programs trap if it is not possible.
func (a *author) call(c u.Call) u.Program {
	if a.chance(30) {
		return c.Do()
	}
	return u.Drop(c.Perform())
}

// amount is two numbers, high and low, mostly below a limit.
func (a *author) amount(limit int64) u.Program {
	if a.chance(2) {
		return u.Seq(u.Int(1), u.Int(a.r.Uint64()))
	}
	return u.Seq(u.Int(0), u.Int(uint64(a.r.Int64N(limit))))
}

// hook sets what runs on a hook, once: before anything else it takes itself away.
func (a *author) hook(depth int) u.Program {
	if a.chance(50) {
		delay := u.Int(uint64(a.r.IntN(5)) * 1e9)
		return u.Seq(u.SetHook(u.Timer, a.program(depth-1)), u.Drop(u.IC0("global_timer_set", u.Add(u.IC0("time"), delay))))
	}
	h := one(a, u.Heartbeat, u.LowMemory)
	return u.SetHook(h, u.SetHook(h), a.program(depth-1))
}

func (a *author) answer() u.Program {
	switch a.r.IntN(4) {
	case 0:
		return u.Reject(u.Text("on purpose"))
	case 1:
		return u.Reply(u.Concat(u.Global(), u.ToBytes(u.IC0("performance_counter", u.Int(1)))))
	case 2:
		return u.Seq(u.IC0("msg_reply"))
	default:
		return u.Reply(u.Arg())
	}
}

func (a *author) failure() u.Program {
	return one(a, u.Trap("on purpose"), u.Unreachable(), u.Drop(u.Div(u.Int(1), u.Int(0))), u.Drop(u.StableRead(1<<40, 1)), u.StableGrow(1<<40))
}

// memory changes the heap, the stable memory or the certified data.
func (a *author) memory() u.Program {
	blob := u.Fill(byte(a.r.Uint32()), uint64(a.r.IntN(one(a, 32, 5000, 100_000))))
	switch a.r.IntN(6) {
	case 0:
		return u.SetGlobal(blob)
	case 1:
		return u.Drop(u.IC0("stable64_grow", u.Int(uint64(a.r.IntN(4)))))
	case 2, 3:
		return u.StableWrite(uint64(a.r.IntN(150_000)), blob)
	case 4:
		return u.Drop(u.GrowMemory(u.Int(uint64(a.r.IntN(one(a, 4, 4, 40_000))))))
	default:
		return u.IC0("certified_data_set", u.Split(u.Fill(byte(a.r.Uint32()), uint64(a.r.IntN(34)))))
	}
}

func (a *author) cycles() u.Program {
	if a.chance(30) {
		return u.Drop(u.Get128("cycles_burn128", a.amount(one[int64](a, trillion/10, trillion/10, trillion/10, 1000*trillion))))
	}
	return u.Drop(u.Get128("msg_cycles_accept128", a.amount(trillion)))
}

// note keeps something that could differ between nodes if they did not agree.
func (a *author) note() u.Program {
	amounts := []string{"msg_cycles_available128", "msg_cycles_refunded128", "canister_cycle_balance128", "canister_liquid_cycle_balance128", "cost_create_canister"}
	switch a.r.IntN(6) {
	case 0:
		return u.Record(u.Get128(one(a, amounts...)))
	case 1:
		return u.Record(u.ToBytes(u.IC0("performance_counter", u.Int(0))))
	case 2:
		return u.Record(u.ToBytes(one(a, u.IC0("time"), u.IC0("canister_version"), u.IC0("canister_status"), u.IC0("msg_deadline"), u.IC0("msg_reject_code"))))
	case 3:
		return u.IC0("debug_print", u.Split(u.Concat(u.Text("at"), u.ToBytes(u.IC0("time")))))
	case 4:
		return u.SetGlobal(u.Caller())
	default:
		return u.Record(u.ToBytes(u.IC0("stable64_size")))
	}
}
