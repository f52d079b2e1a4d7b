package messaging_test

import (
	"testing"
	"time"

	"portico/lightclient/principal"
	"portico/node/canistertest"
	u "portico/node/conformance/universal"
	"portico/node/execution"
	"portico/node/state"
	"portico/node/types"
)

// TestWhoUsesUpAResourceIsToldAndOthersGoOn lets one canister use up whatever there is, again and
// again, beside another that must be answered.
func TestWhoUsesUpAResourceIsToldAndOthersGoOn(t *testing.T) {
	again := u.Call{Callee: u.Self(), Method: u.Query, Arg: u.Code(u.Reply(u.Text(""))), OnReply: u.Seq(), OnReject: u.Seq()}
	for name, x := range map[string]struct {
		method  string
		program u.Program
		code    types.ErrorCode
		long    bool
	}{
		"instructions of a query": {u.Query, u.Burn(u.Int(1 << 40)), types.ErrCanisterInstructionLimit, true},
		"memory":                  {u.Update, u.Drop(u.Fill('x', 1<<32-1)), types.ErrCanisterTrapped, false},
		"stable memory":           {u.Update, u.StableGrow(1 << 40), types.ErrCanisterCalledTrap, false},
		"its own queue":           {u.Update, u.Repeat(u.Int(501), again.Do()), types.ErrCanisterCalledTrap, false},
		"the log":                 {u.Update, u.Seq(u.Repeat(u.Int(10_000), u.IC0("debug_print", u.Split(u.Fill('x', 1000)))), u.Reply(u.Text(""))), 0, false},
		"replies":                 {u.Update, u.Repeat(u.Int(10_000), u.Append(u.Fill('x', 1000))), types.ErrCanisterContractViolation, false},
		"cycles of a call":        {u.Update, u.Seq(again.New(), u.IC0("call_cycles_add128", u.Seq(u.Int(1<<62), u.Int(0)))), types.ErrCanisterOutOfCycles, false},
	} {
		t.Run(name, func(t *testing.T) {
			if testing.Short() && x.long {
				t.Skip("runs billions of instructions")
			}
			n := canistertest.New(t)
			ids := install(t, n, 2)
			before := remains(t, n, ids[0])
			_, rej := n.Call(user(), ids[0], x.method, x.program)
			if code(rej) != x.code {
				t.Errorf("%v, want code %d", rej, x.code)
			}
			for what, now := range remains(t, n, ids[0]) {
				if now != before[what] && rej != nil {
					t.Errorf("%s was %.200s and is %.200s", what, before[what], now)
				}
			}
			logged := 0
			for r := range n.State().Canister(ids[0]).Log.All() {
				logged += len(r.Content)
			}
			if logged > 4*types.KiB {
				t.Errorf("the log has %d bytes", logged)
			}
			answers(t, n, ids[1])
		})
	}
}

// answers checks that a canister answers in the next round.
func answers(t *testing.T, n *canistertest.Network, id principal.ID) {
	t.Helper()
	request := n.Send(user(), id, u.Update, u.Reply(u.Text("")))
	if _, rej, ok := n.Result(request); !ok || rej != nil {
		t.Errorf("another canister answers %v, %v", ok, rej)
	}
}

// TestWhoNeverStopsHoldsUpNobody has canisters that use each round as far as it goes.
func TestWhoNeverStopsHoldsUpNobody(t *testing.T) {
	for name, program := range map[string]u.Program{
		"a timer that is always due":   u.Seq(u.SetHook(u.Timer, u.Free(), u.Drop(u.IC0("global_timer_set", u.Int(1)))), u.Keep(), u.Drop(u.IC0("global_timer_set", u.Int(1)))),
		"a heartbeat that calls":       u.Seq(u.SetHook(u.Heartbeat, u.Free(), u.Call{Callee: u.Self(), Method: u.Update, Arg: u.Code(u.Reply(u.Text(""))), OnReply: u.Seq(), OnReject: u.Seq()}.Do()), u.Keep()),
		"a heartbeat that traps":       u.SetHook(u.Heartbeat, u.Trap("on purpose")),
		"a heartbeat that changes all": u.SetHook(u.Heartbeat, u.Drop(u.Fill('x', 10*types.MiB)), u.Free()),
	} {
		t.Run(name, func(t *testing.T) {
			n := canistertest.New(t)
			other := install(t, n, 1)[0]
			id := hooked(t, n, u.Export("canister_heartbeat", u.Heartbeat))
			if _, rej := n.Call(user(), id, u.Update, u.Seq(program, u.Reply(u.Text("")))); rej != nil {
				t.Fatal(rej)
			}
			for range 20 {
				answers(t, n, other)
			}
			if c := n.State().Canister(id); len(c.Contexts) > 1 || len(c.Inbox) > 3 {
				t.Errorf("%d calls are open and %d messages wait", len(c.Contexts), len(c.Inbox))
			}
		})
	}
}

func TestWhoUsedUpItsCyclesIsFrozenThenEmpty(t *testing.T) {
	n := canistertest.New(t)
	ids := install(t, n, 2)
	if _, rej := n.Call(user(), ids[0], u.Update, u.Seq(u.Drop(u.Get128("cycles_burn128", u.Int(1<<62), u.Int(0))), u.Reply(u.Text("")))); rej != nil {
		t.Fatal(rej)
	}
	// what was set aside for the instructions has come back; further burning takes the rest
	for range 3 {
		_, _ = n.Call(user(), ids[0], u.Update, u.Seq(u.Drop(u.Get128("cycles_burn128", u.Int(1<<62), u.Int(0))), u.Reply(u.Text(""))))
	}
	_, rej := n.Call(user(), ids[0], u.Update, u.Reply(u.Text("")))
	if code(rej) != types.ErrCanisterOutOfCycles {
		t.Errorf("a call to who has burned its cycles: %v, want IC0207", rej)
	}
	if _, rej := n.Query(user(), ids[0], u.Query, u.Reply(u.Text(""))); code(rej) != 0 && code(rej) != types.ErrCanisterOutOfCycles {
		t.Errorf("a query to who has burned its cycles: %v", rej)
	}
	// storage takes the rest in decades; most of it is given away so that it is days
	c, left := n.State().Edit(ids[0]), types.CyclesOf(1_000_000)
	n.State().Edit(ids[1]).Credit(c.Cycles.Sub(left))
	c.Cycles = left
	n.Tick(24 * time.Hour)
	if c := n.State().Canister(ids[0]); c == nil || c.Code != nil || !c.Cycles.IsZero() {
		t.Errorf("after a day a canister with a million cycles has code: %v", c != nil && c.Code != nil)
	}
}

func TestAFrozenCanisterPaysForAShortChangeOfItsSettings(t *testing.T) {
	// MAX_DELAYED_INGRESS_COST_PAYLOAD_SIZE of the reference implementation
	const most = 267
	n := canistertest.New(t)
	id := install(t, n, 1)[0]
	c := n.State().Canister(id)
	for bytes, want := range map[int]bool{most: true, most + 1: false} {
		r := &state.Request{Receiver: principal.ID{}, Method: "update_settings", Arg: make([]byte, bytes), Origin: state.Origin{Kind: state.FromUser, Sender: user()}}
		if got := execution.Thaws(c, r); got != want {
			t.Errorf("an argument of %d bytes: %v, want %v", bytes, got, want)
		}
	}
}
