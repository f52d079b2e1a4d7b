package messaging_test

import (
	"strings"
	"testing"
	"time"

	"portico/node/canistertest"
	u "portico/node/conformance/universal"
	"portico/node/execution"
	"portico/node/types"
)

// grow grows stable memory by pages of 64 KiB and replies.
func grow(pages uint64) u.Program {
	return u.Seq(u.If(u.Equal(u.IC0("stable64_grow", u.Int(pages)), u.Int(1<<64-1)), u.Reject(u.Text("refused")), u.Reply(u.Text(""))))
}

func TestStorageIsBoundedForTheSubnet(t *testing.T) {
	const pages = 16
	for _, test := range []struct {
		spare uint64 // bytes beside what the canister stores
		code  types.ErrorCode
	}{{pages * types.WasmPageBytes, 0}, {pages*types.WasmPageBytes - 1, types.ErrCanisterRejectedMessage}} {
		probe := canistertest.New(t)
		install(t, probe, 1)
		limits := execution.DefaultLimits()
		limits.StorageBytes = probe.State().Metrics.StateBytes + test.spare
		n := canistertest.NewWith(t, canistertest.Setup{Subnet: canistertest.Subnet(), Limits: limits})
		id := install(t, n, 1)[0]
		if _, rej := n.Call(user(), id, u.Update, grow(pages)); code(rej) != test.code {
			t.Errorf("%d pages with %d bytes to spare: %v, want code %d", pages, test.spare, rej, test.code)
		}
	}
}

func code(rej *types.Reject) types.ErrorCode {
	if rej == nil {
		return 0
	}
	return rej.Code
}

func TestGrowingReservesCyclesWhenTheSubnetFillsUp(t *testing.T) {
	limits := execution.DefaultLimits()
	limits.StorageBytes, limits.ReservationBytes = 64*types.MiB, types.MiB
	n := canistertest.NewWith(t, canistertest.Setup{Subnet: canistertest.Subnet(), Limits: limits})
	id := install(t, n, 1)[0]
	if _, rej := n.Call(user(), id, u.Update, grow(100)); rej != nil {
		t.Fatal(rej)
	}
	reserved := n.State().Canister(id).Reserved
	if reserved.IsZero() {
		t.Fatal("nothing was reserved")
	}
	want := execution.Costs{Nodes: 13}.Reservation(100*types.WasmPageBytes, n.State().Metrics.StateBytes-100*types.WasmPageBytes, limits)
	if reserved != want {
		t.Errorf("%s cycles were reserved, want %s", reserved, want)
	}
	// storage is paid from the reserve, and nothing else is
	before := n.State().Canister(id).Cycles
	n.Tick(100 * time.Second)
	if c := n.State().Canister(id); c.Cycles != before || c.Reserved.Cmp(reserved) >= 0 {
		t.Errorf("after 100 s the balance went from %s to %s and the reserve from %s to %s", before, c.Cycles, reserved, c.Reserved)
	}
	// the limit, exactly and by one less
	c := n.State().Edit(id)
	next := execution.Costs{Nodes: 13}.Reservation(types.WasmPageBytes, n.State().Metrics.StateBytes, limits)
	c.Settings.ReservedCyclesLimit = c.Reserved.Add(next).Sub(types.CyclesOf(1))
	_, rej := n.Call(user(), id, u.Update, grow(1))
	if code(rej) != types.ErrReservedCyclesLimitInMemory {
		t.Errorf("beyond the limit of reserved cycles: %v, want IC0534", rej)
	}
	n.State().Edit(id).Settings.ReservedCyclesLimit = n.State().Canister(id).Reserved.Add(next)
	if _, rej := n.Call(user(), id, u.Update, grow(1)); rej != nil {
		t.Errorf("up to the limit of reserved cycles: %v", rej)
	}
}

func TestGrowingKeepsTheFreezingThreshold(t *testing.T) {
	n := canistertest.New(t)
	ids := install(t, n, 2)
	costs := execution.Costs{Nodes: 13}
	arg := grow(1600)
	// what a message must have to run, and to be frozen by the growth alone
	c := n.State().Canister(ids[0])
	larger := *c
	larger.StableBytes += 1600 * types.WasmPageBytes
	prepaid := costs.Execution(40_000_000_000, false).Add(costs.Ingress(len(arg)))
	for _, test := range []struct {
		less uint64
		code types.ErrorCode
	}{{1, types.ErrInsufficientCyclesMemoryGrow}, {0, 0}} {
		c := n.State().Edit(ids[0])
		want := prepaid.Add(costs.FreezingThreshold(&larger)).Sub(types.CyclesOf(test.less))
		if c.Cycles.Cmp(want) > 0 {
			n.State().Edit(ids[1]).Credit(c.Cycles.Sub(want))
		} else {
			d := n.State().Edit(ids[1])
			d.Cycles = d.Cycles.Sub(want.Sub(c.Cycles))
		}
		c.Cycles = want
		_, rej := n.Call(user(), ids[0], u.Update, arg)
		if code(rej) != test.code {
			t.Errorf("with %d cycles less than needed: %v, want code %d", test.less, rej, test.code)
		}
	}
}

func TestAFrozenCanisterIsNotCalledAndMakesNoCalls(t *testing.T) {
	n := canistertest.New(t)
	ids := install(t, n, 2)
	n.State().Edit(ids[1]).Settings.FreezingThreshold = 1 << 60
	call := u.Call{Callee: u.ID(ids[1]), Method: u.Update, OnReject: u.Reply(u.ToBytes(u.IC0("msg_reject_code")))}
	reply, rej := n.Call(user(), ids[0], u.Update, call.Do())
	if rej != nil || reply[0] != byte(types.SysTransient) {
		t.Errorf("a call to a frozen canister: %v, %v, want reject code 2", reply, rej)
	}
	if _, rej := n.Call(user(), ids[1], u.Update, u.Reply(u.Text(""))); code(rej) != types.ErrCanisterOutOfCycles {
		t.Errorf("an ingress message to a frozen canister: %v, want IC0207", rej)
	}
}

func TestCallPerformKeepsTheFreezingThreshold(t *testing.T) {
	n := canistertest.New(t)
	ids := install(t, n, 2)
	// sends all but n of the liquid balance with a call, and replies what call_perform said
	spend := func(kept u.Program) u.Program {
		liquid := u.Get128("canister_liquid_cycle_balance128")
		call := u.Call{Callee: u.ID(ids[1]), Method: u.Update, OnReply: u.Seq(), OnReject: u.Seq()}
		return u.Seq(call.New(), u.IC0("call_cycles_add128", u.Seq(u.Int(0), u.Sub(u.ToInt(liquid), kept))), u.Reply(u.ToBytes(u.IC0("call_perform"))))
	}
	cost := u.ToInt(u.Get128("cost_call", u.Int(uint64(len(u.Update))), u.Int(0)))
	for _, test := range []struct {
		kept u.Program
		want byte
	}{{u.Sub(cost, u.Int(1)), 2}, {cost, 0}} {
		reply, rej := n.Call(user(), ids[0], u.Update, spend(test.kept))
		if rej != nil || reply[0] != test.want {
			t.Errorf("call_perform gave %v, %v, want %d", reply, rej, test.want)
		}
	}
}

func TestACleanupSeesTheStateBeforeTheCallback(t *testing.T) {
	n := canistertest.New(t)
	ids := install(t, n, 2)
	call := u.Call{
		Callee: u.ID(ids[1]), Method: u.Update, Arg: u.Code(u.Reply(u.Text(""))), Cycles: u.Seq(u.Int(0), u.Int(1000)),
		OnReply: u.Seq(
			u.Record(u.Text("callback ")), u.StableGrow(1), u.Drop(u.Get128("cycles_burn128", u.Int(0), u.Int(12_345))),
			u.IC0("certified_data_set", u.Split(u.Text("lost"))), u.Drop(u.IC0("global_timer_set", u.Int(1))),
			u.Call{Callee: u.ID(ids[1]), Method: u.Update, OnReply: u.Seq(), OnReject: u.Seq()}.Do(),
			u.Trap("on purpose")),
		OnCleanup: u.Record(u.Concat(u.Text("cleanup "), u.ToBytes(u.IC0("stable64_size")))),
	}
	_, rej := n.Call(user(), ids[0], u.Update, u.Seq(u.SetGlobal(u.Text("call ")), call.Do()))
	if code(rej) != types.ErrCanisterCalledTrap || !strings.Contains(rej.Message, "on purpose") {
		t.Fatalf("the call was answered %v", rej)
	}
	got, rej := n.Query(user(), ids[0], u.Query, u.Reply(u.Global()))
	if rej != nil || string(got) != "call cleanup \x00\x00\x00\x00\x00\x00\x00\x00" {
		t.Errorf("the heap holds %q, %v", got, rej)
	}
	if c := n.State().Canister(ids[0]); c.StableBytes != 0 || len(c.CertifiedData) != 0 || c.Timer != 0 || len(c.Callbacks) != 0 || !c.ByUse[8].IsZero() {
		t.Errorf("the callback left a trace: %d bytes, data %q, timer %d, %d calls, %s burned", c.StableBytes, c.CertifiedData, c.Timer, len(c.Callbacks), c.ByUse[8])
	}
}

func TestAPausedMessageFailsIfItsBalanceIsSpentMeanwhile(t *testing.T) {
	if testing.Short() {
		t.Skip("runs billions of instructions")
	}
	for _, meanwhile := range []bool{false, true} {
		n := steady(t)
		ids := install(t, n, 2)
		n.State().Edit(ids[0]).Settings.FreezingThreshold = 0
		cost := u.ToInt(u.Get128("cost_call", u.Int(uint64(len(u.Update))), u.Int(0)))
		liquid := u.ToInt(u.Get128("canister_liquid_cycle_balance128"))
		all := u.Call{Callee: u.ID(ids[1]), Method: u.Update, OnReply: u.Seq(), OnReject: u.Seq()}
		id := n.Send(user(), ids[0], u.Update, u.Seq(
			u.Burn(u.Int(300_000_000)), all.New(), u.IC0("call_cycles_add128", u.Seq(u.Int(0), u.Sub(liquid, cost))),
			u.Drop(u.IC0("call_perform")), u.Reply(u.Text("spent"))))
		if len(n.Executor().Paused()) != 1 {
			t.Fatal("the message was not paused")
		}
		if meanwhile { // more than what will come back of what was prepaid
			taken, c := types.CyclesOf(40_000_000_000), n.State().Edit(ids[0])
			c.Cycles = c.Cycles.Sub(taken)
			n.State().Edit(ids[1]).Credit(taken)
		}
		n.Tick(time.Second)
		want := types.ErrorCode(0)
		if meanwhile {
			want = types.ErrCanisterOutOfCycles
		}
		if _, rej, ok := n.Result(id); !ok || code(rej) != want {
			t.Errorf("with cycles taken meanwhile %v: %v, %v, want code %d", meanwhile, rej, ok, want)
		}
	}
}
