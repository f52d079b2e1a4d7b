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

	"pgregory.net/rapid"
)

// programs draws what a message does: calls with cycles, bounded-wait or not, to itself and
// others, answers, traps, burning, growth of memories.
func programs(canisters []principal.ID) func(t *rapid.T, depth int) u.Program {
	var draw func(t *rapid.T, depth int) u.Program
	draw = func(t *rapid.T, depth int) u.Program {
		var program u.Program
		for range rapid.IntRange(1, 3).Draw(t, "steps") {
			switch rapid.IntRange(0, 9).Draw(t, "step") {
			case 0:
				program = u.Seq(program, u.Trap("on purpose"))
			case 1:
				program = u.Seq(program, u.Drop(u.Get128("cycles_burn128", u.Int(0), u.Int(rapid.Uint64Range(0, 1e12).Draw(t, "burn")))))
			case 2:
				program = u.Seq(program, u.Drop(u.GrowMemory(u.Int(rapid.Uint64Range(0, 200).Draw(t, "pages")))))
			case 3:
				program = u.Seq(program, u.Drop(u.IC0("stable64_grow", u.Int(rapid.Uint64Range(0, 200).Draw(t, "stable")))))
			case 4:
				program = u.Seq(program, u.Drop(u.Get128("msg_cycles_accept128", u.Int(0), u.Int(rapid.Uint64Range(0, 1e12).Draw(t, "accept")))))
			case 5, 6, 7:
				if depth > 0 {
					call := u.Call{
						Callee: u.ID(rapid.SampledFrom(canisters).Draw(t, "callee")), Method: rapid.SampledFrom([]string{u.Update, u.Query, "missing"}).Draw(t, "method"),
						Arg: u.Code(draw(t, depth-1)), Cycles: u.Seq(u.Int(0), u.Int(rapid.Uint64Range(0, 1e12).Draw(t, "sent"))),
						OnReply: draw(t, depth-1), OnReject: draw(t, depth-1), OnCleanup: u.SetGlobal(u.Text("clean")),
					}
					if rapid.Bool().Draw(t, "bounded") {
						call.Timeout = u.Int(rapid.Uint64Range(0, 3).Draw(t, "timeout"))
					}
					program = u.Seq(program, u.Drop(call.Perform()))
				}
			default:
				program = u.Seq(program, u.Reply(u.Text("reply")))
			}
		}
		return program
	}
	return draw
}

// TestNoRoundMakesCyclesAppearOrVanish lets canisters run random programs, some with hardly any
// cycles, on a subnet that is nearly full; the network adds up all cycles after each round.
func TestNoRoundMakesCyclesAppearOrVanish(t *testing.T) {
	limits := execution.DefaultLimits()
	limits.StorageBytes, limits.ReservationBytes, limits.BestEffortBytes = 200*types.MiB, types.MiB, 2000
	n := canistertest.NewWith(t, canistertest.Setup{Subnet: canistertest.Subnet(), Limits: limits})
	ids := install(t, n, 4)
	draw := programs(ids)
	for _, id := range ids {
		n.State().Edit(id).Settings.FreezingThreshold = 0
	}
	rapid.Check(t, func(rt *rapid.T) {
		// what is drawn moves from one canister to another
		poor := rapid.SampledFrom(ids).Draw(rt, "poor")
		rich := ids[0]
		if poor == rich {
			rich = ids[1]
		}
		least := types.CyclesOf(rapid.Uint64Range(0, 100_000_000_000).Draw(rt, "least"))
		c := n.State().Edit(poor)
		if c.Cycles.Cmp(least) > 0 {
			n.State().Edit(rich).Credit(c.Cycles.Sub(least))
			c.Cycles = least
		}
		var calls []canistertest.Call
		for range rapid.IntRange(1, 4).Draw(rt, "calls") {
			calls = append(calls, canistertest.Call{From: user(), To: rapid.SampledFrom(ids).Draw(rt, "to"), Method: u.Update, Arg: draw(rt, 2)})
		}
		n.SendAll(calls...)
		for range rapid.IntRange(0, 4).Draw(rt, "rounds") {
			n.Tick(time.Duration(rapid.Int64Range(0, 20e9).Draw(rt, "time")))
		}
		if t.Failed() {
			rt.Fatal("see above")
		}
		for i, id := range ids { // nobody stays without
			if c := n.State().Canister(id); c.Code == nil {
				ids[i] = n.Install(user(), universal(t), nil)
			}
		}
	})
}

func TestABalanceBeyondTheLargestCountsAsBurned(t *testing.T) {
	c := state.NewCanister(principal.Canister(1), 0)
	c.Cycles = types.MaxCycles().Sub(types.CyclesOf(5))
	c.Credit(types.CyclesOf(5))
	if c.Cycles != types.MaxCycles() || !c.Consumed.IsZero() {
		t.Errorf("five cycles that fit: the balance is %s, and %s are consumed", c.Cycles, c.Consumed)
	}
	c.Credit(types.CyclesOf(7))
	if c.Cycles != types.MaxCycles() || c.ByUse[state.UseBurned] != types.CyclesOf(7) {
		t.Errorf("seven cycles too many: the balance is %s, and %s are burned", c.Cycles, c.ByUse[state.UseBurned])
	}
}

func TestACanisterWithoutCyclesIsUninstalledAndItsCallsAreRejected(t *testing.T) {
	n := canistertest.New(t)
	ids := install(t, n, 2)
	call := n.Send(user(), ids[0], u.Update, u.Call{Callee: u.ID(ids[1]), Method: u.Update, Arg: u.Code(silent())}.Do())
	n.Tick(time.Second)
	c := n.State().Edit(ids[0])
	n.State().Edit(ids[1]).Credit(c.Cycles.Sub(types.CyclesOf(1)))
	c.Cycles = types.CyclesOf(1)
	n.Tick(10 * time.Second)
	c = n.State().Canister(ids[0])
	if c.Code != nil || !c.Cycles.IsZero() {
		t.Fatalf("the canister still has code or %s cycles", c.Cycles)
	}
	if len(c.History) != 0 || c.TotalChanges != 2 {
		t.Errorf("its history has %d changes of %d, want none of 2", len(c.History), c.TotalChanges)
	}
	if _, rej, ok := n.Result(call); !ok || rej == nil || rej.Code.RejectCode() != types.CanisterReject {
		t.Errorf("its open call was answered %v, %v, want a reject with code 4", rej, ok)
	}
	if _, rej := n.Call(user(), ids[1], u.Update, release()); rej != nil {
		t.Fatal(rej)
	}
	n.Tick(time.Second)
	if c = n.State().Canister(ids[0]); len(c.Callbacks) != 0 || len(c.Contexts) != 0 {
		t.Errorf("after the late response %d calls and %d contexts are left", len(c.Callbacks), len(c.Contexts))
	}
}

func TestPricesFollowTheSizeOfTheSubnet(t *testing.T) {
	for nodes, want := range map[uint64]uint64{13: 500_000_000_000, 34: 1_307_692_307_692, 1: 38_461_538_461} {
		if got := (execution.Costs{Nodes: nodes}).CreateCanister(); got != types.CyclesOf(want) {
			t.Errorf("a canister costs %s on %d nodes, want %d", got, nodes, want)
		}
	}
	c := execution.Costs{Nodes: 34}
	for what, price := range map[string]struct{ got, want types.Cycles }{
		"a message":             {c.Execution(0, false), types.CyclesOf(13_076_923)},
		"a billion instruction": {c.Execution(1e9, false), types.CyclesOf(2_628_461_538)},
		"64-bit":                {c.Execution(1e9, true), types.CyclesOf(5_243_846_153)},
		"an ingress message":    {c.Ingress(1), types.CyclesOf(3_143_692)},
		"response bytes":        {c.Transmission(1000), types.CyclesOf(2_615_384)},
		"an outcall":            {c.HTTPRequest(0, 0), types.CyclesOf(171_360_000)},
	} {
		if price.got != price.want {
			t.Errorf("%s costs %s on 34 nodes, want %s", what, price.got, price.want)
		}
	}
}
