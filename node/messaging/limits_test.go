package messaging_test

import (
	"math/big"
	"strings"
	"testing"
	"time"

	"portico/lightclient/principal"
	"portico/node/canistertest"
	u "portico/node/conformance/universal"
	"portico/node/execution"
	"portico/node/state"
	"portico/node/types"
)

// TestMessagesReachEveryLimitAndNoFurther has each limit of the system API at its value and at
// one more.
func TestMessagesReachEveryLimitAndNoFurther(t *testing.T) {
	n := canistertest.New(t)
	ids := install(t, n, 2)
	answered := u.Reply(u.Text("answered"))
	other := u.Call{Callee: u.ID(ids[1]), Method: u.Update, Arg: u.Code(answered), OnReply: answered, OnReject: answered}
	// its heap has room for what is copied to and from stable memory
	if _, rej := n.Call(user(), ids[0], u.Update, u.Seq(u.SetGlobal(u.Fill(1, 2*types.MiB)), answered)); rej != nil {
		t.Fatal(rej)
	}
	for name, limit := range map[string]struct {
		most    uint64
		unit    uint64 // by how much it is exceeded, 0 is one
		method  string
		program func(n uint64) u.Program
		code    types.ErrorCode
	}{
		"bytes of a reply":         {2 * types.MiB, 0, u.Update, func(n uint64) u.Program { return u.Reply(u.Fill('x', n)) }, types.ErrCanisterContractViolation},
		"bytes of certified data":  {32, 0, u.Update, func(n uint64) u.Program { return u.Seq(u.IC0("certified_data_set", u.Split(u.Fill('x', n))), answered) }, types.ErrCanisterContractViolation},
		"bytes of a method's name": {20_000, 0, u.Update, func(n uint64) u.Program { c := other; c.Method = strings.Repeat("m", int(n)); return c.Do() }, types.ErrCanisterContractViolation},
		"bytes of a call": {10 * types.MiB, 0, u.Update, func(n uint64) u.Program {
			c := other
			c.Method, c.Arg = "m", u.Fill('x', n)
			return c.Do()
		}, types.ErrCanisterContractViolation},
		"stable memory read by an update": {2 * types.GiB, types.MiB, u.Update, func(n uint64) u.Program {
			return u.Seq(u.StableGrow(16), u.Repeat(u.Int(n/types.MiB), u.IC0("stable64_read", u.Int(1<<16), u.Int(0), u.Int(types.MiB))), u.Reply(u.Text("answered")))
		}, types.ErrCanisterMemoryAccessLimit},
		"stable memory written by an update": {2 * types.GiB, types.MiB, u.Update, func(n uint64) u.Program {
			return u.Seq(u.StableGrow(16), u.Repeat(u.Int(n/types.MiB), u.IC0("stable64_write", u.Int(0), u.Int(1<<16), u.Int(types.MiB))), answered)
		}, types.ErrCanisterMemoryAccessLimit},
		"stable memory read by a replicated query": {types.GiB, types.MiB, u.Query, func(n uint64) u.Program {
			return u.Seq(u.StableGrow(16), u.Repeat(u.Int(n/types.MiB), u.IC0("stable64_read", u.Int(1<<16), u.Int(0), u.Int(types.MiB))), u.Reply(u.Text("answered")))
		}, types.ErrCanisterMemoryAccessLimit},
		"seconds of a bounded-wait call": {300, 0, u.Update, func(n uint64) u.Program {
			c := other // a longer one is shortened
			c.Arg = u.Code(u.If(u.Equal(u.Div(u.Sub(u.IC0("msg_deadline"), u.IC0("time")), u.Int(1_000_000_000*n)), u.Int(1)), answered, u.Trap("shortened")))
			c.Timeout = u.Int(n)
			c.OnReject = u.Trap("shortened")
			return c.Do()
		}, types.ErrCanisterCalledTrap},
	} {
		t.Run(name, func(t *testing.T) {
			if testing.Short() && limit.most >= types.GiB {
				t.Skip("copies gigabytes")
			}
			if _, rej := n.Call(user(), ids[0], limit.method, limit.program(limit.most)); rej != nil {
				t.Errorf("%d: %v", limit.most, rej)
			}
			if _, rej := n.Call(user(), ids[0], limit.method, limit.program(limit.most+max(limit.unit, 1))); code(rej) != limit.code {
				t.Errorf("one more than %d: %v, want code %d", limit.most, rej, limit.code)
			}
		})
	}
}

func TestQueriesReplyWithThreeMiBAndNoMore(t *testing.T) {
	n := canistertest.New(t)
	id := install(t, n, 1)[0]
	for bytes, want := range map[uint64]types.ErrorCode{3 * types.MiB: 0, 3*types.MiB + 1: types.ErrCanisterContractViolation} {
		reply, rej := n.Query(user(), id, u.Query, u.Reply(u.Fill('x', bytes)))
		if code(rej) != want || rej == nil && uint64(len(reply)) != bytes {
			t.Errorf("%d bytes: %d, %v, want code %d", bytes, len(reply), rej, want)
		}
	}
}

func TestAMessageMakesTwoThousandCallsAndNoMore(t *testing.T) {
	n := canistertest.New(t)
	ids := install(t, n, 6)
	if rej := n.Manage(user(), "provisional_top_up_canister", struct {
		Canister principal.ID `candid:"canister_id"`
		Amount   *big.Int     `candid:"amount"`
	}{ids[0], big.NewInt(1e18)}); rej != nil {
		t.Fatal(rej)
	}
	// five hundred to each of four, and one to a fifth
	var program u.Program
	for _, callee := range ids[1:5] {
		call := u.Call{Callee: u.ID(callee), Method: u.Query, Arg: u.Code(u.Reply(u.Text(""))), OnReply: u.Seq(), OnReject: u.Seq()}
		program = u.Seq(program, u.Repeat(u.Int(500), call.Do()))
	}
	last := u.Call{Callee: u.ID(ids[5]), Method: u.Query, OnReply: u.Seq(), OnReject: u.Seq()}
	reply, rej := n.Call(user(), ids[0], u.Update, u.Seq(program, u.Reply(u.ToBytes(last.Perform()))))
	if rej != nil || reply[0] != 2 {
		t.Errorf("the call beyond two thousand: %v, %v, want that call_perform gives 2", reply, rej)
	}
}

func TestMemoriesGrowToTheirLimits(t *testing.T) {
	n := canistertest.New(t)
	id := install(t, n, 1)[0]
	c := n.State().Edit(id)
	c.Settings.FreezingThreshold, c.Settings.ReservedCyclesLimit = 0, types.MaxCycles()
	size := u.ToBytes(u.MemorySize())
	for _, memory := range []struct {
		name string
		grow func(pages uint64) u.Program
		size u.Program
		most uint64
	}{
		{"stable memory", func(n uint64) u.Program { return u.ToBytes(u.IC0("stable64_grow", u.Int(n))) }, u.ToBytes(u.IC0("stable64_size")), 500 * types.GiB / types.WasmPageBytes},
		{"the heap", func(n uint64) u.Program { return u.ToBytes(u.GrowMemory(u.Int(n))) }, size, 65_535},
	} {
		at, _ := n.Query(user(), id, u.Query, u.Reply(memory.size))
		have := number(at)
		for _, step := range []struct {
			pages uint64
			grows bool
		}{{memory.most - have + 1, false}, {memory.most - have, true}, {1, false}} {
			got, rej := n.Call(user(), id, u.Update, u.Reply(memory.grow(step.pages)))
			if grew := rej == nil && number(got) == have; rej != nil || grew != step.grows {
				t.Errorf("%s: growing from %d by %d pages: %v, %v", memory.name, have, step.pages, got, rej)
			}
		}
	}
}

func number(b []byte) (n uint64) {
	for i := len(b) - 1; i >= 0; i-- {
		n = n<<8 | uint64(b[i])
	}
	return n
}

func TestACanisterThatChangedMemoryWaitsExactlyAsLongAsItMust(t *testing.T) {
	const next = execution.HeapDeltaBurst + execution.HeapDeltaPerMilli // a call comes a millisecond later
	for changed, waits := range map[uint64]bool{next - 1: false, next: true} {
		n := canistertest.New(t)
		id := install(t, n, 1)[0]
		n.State().Edit(id).Heap = state.Debit{Amount: changed, At: uint64(n.State().Time) / 1_000_000}
		request := n.Send(user(), id, u.Update, u.Reply(u.Text("")))
		if _, _, ok := n.Result(request); ok == waits {
			t.Errorf("after a change of %d bytes the next millisecond's message is answered: %v", changed, ok)
		}
		n.Tick(time.Millisecond)
		if _, _, ok := n.Result(request); !ok {
			t.Errorf("after a change of %d bytes the message is not answered in the millisecond after next", changed)
		}
	}
}

func TestASubnetThatChangedMemoryWaitsFromItsLimitOn(t *testing.T) {
	most := execution.DefaultLimits().HeapDeltaBytes
	for changed, waits := range map[uint64]bool{most - 1: false, most: true} {
		n := canistertest.New(t)
		id := install(t, n, 1)[0]
		n.State().HeapDelta = changed
		request := n.Send(user(), id, u.Update, u.Reply(u.Text("")))
		if _, _, ok := n.Result(request); ok == waits {
			t.Errorf("after changes of %d bytes a message is answered: %v", changed, ok)
		}
		n.Checkpoint()
		n.Tick(time.Second)
		if _, _, ok := n.Result(request); !ok {
			t.Errorf("after changes of %d bytes a message is not answered after the checkpoint", changed)
		}
	}
}

func TestInstallationsWaitFromTheLimitOn(t *testing.T) {
	perRound := execution.DefaultLimits().SliceInstructions
	for used, want := range map[uint64]types.ErrorCode{2*perRound - 1: 0, 2 * perRound: types.ErrCanisterInstallRateLimited} {
		n := canistertest.New(t)
		id := install(t, n, 1)[0]
		n.State().Edit(id).Install = state.Debit{Amount: used, At: uint64(n.State().Height)}
		if rej := n.InstallCode(user(), id, canistertest.Upgrade(canistertest.Options{}), universal(t), nil); code(rej) != want {
			t.Errorf("one round after installations of %d instructions: %v, want code %d", used, rej, want)
		}
	}
}

// TestSettingsReachEveryLimitAndNoFurther has each limit of update_settings at its value and at
// one more.
func TestSettingsReachEveryLimitAndNoFurther(t *testing.T) {
	n := canistertest.New(t)
	id := n.Create(user())
	n.State().Edit(id).Settings.FreezingThreshold = 0
	power := func(bits uint) *big.Int { return new(big.Int).Lsh(big.NewInt(1), bits) }
	less := func(n *big.Int) *big.Int { return new(big.Int).Sub(n, big.NewInt(1)) }
	type settings struct {
		Compute     **big.Int       `candid:"compute_allocation"`
		Memory      **big.Int       `candid:"memory_allocation"`
		Freezing    **big.Int       `candid:"freezing_threshold"`
		Reserved    **big.Int       `candid:"reserved_cycles_limit"`
		Minimum     **big.Int       `candid:"minimum_incoming_canister_call_cycles"`
		Limit       **big.Int       `candid:"wasm_memory_limit"`
		Threshold   **big.Int       `candid:"wasm_memory_threshold"`
		Controllers *[]principal.ID `candid:"controllers"`
	}
	set := func(s settings) *types.Reject {
		return n.Manage(user(), "update_settings", struct {
			Canister principal.ID `candid:"canister_id"`
			Settings settings     `candid:"settings"`
		}{id, s})
	}
	for name, limit := range map[string]struct {
		most *big.Int
		set  func(v **big.Int) settings
		code types.ErrorCode // at the limit
	}{
		"compute_allocation": {big.NewInt(100), func(v **big.Int) settings { return settings{Compute: v} }, 0},
		// what no subnet can store is refused, and so is what this one cannot
		"memory_allocation":                     {power(48), func(v **big.Int) settings { return settings{Memory: v} }, types.ErrSubnetOversubscribed},
		"freezing_threshold":                    {less(power(64)), func(v **big.Int) settings { return settings{Freezing: v} }, 0},
		"reserved_cycles_limit":                 {less(power(128)), func(v **big.Int) settings { return settings{Reserved: v} }, 0},
		"minimum_incoming_canister_call_cycles": {less(power(128)), func(v **big.Int) settings { return settings{Minimum: v} }, 0},
		"wasm_memory_limit":                     {power(48), func(v **big.Int) settings { return settings{Limit: v} }, 0},
		"wasm_memory_threshold":                 {power(48), func(v **big.Int) settings { return settings{Threshold: v} }, 0},
	} {
		zero, more := new(big.Int), new(big.Int).Add(limit.most, big.NewInt(1))
		if rej := set(limit.set(&limit.most)); code(rej) != limit.code {
			t.Errorf("%s of %v: %v, want code %d", name, limit.most, rej, limit.code)
		}
		if rej := set(limit.set(&more)); code(rej) != types.ErrCanisterContractViolation {
			t.Errorf("%s of %v: %v, want IC0504", name, more, rej)
		}
		if rej := set(limit.set(&zero)); rej != nil {
			t.Errorf("%s of 0: %v", name, rej)
		}
	}
	controllers := []principal.ID{user()}
	for i := range byte(10) {
		controllers = append(controllers, principal.SelfAuthenticating([]byte{i}))
	}
	ten := controllers[:10]
	if rej := set(settings{Controllers: &ten}); rej != nil {
		t.Errorf("ten controllers: %v", rej)
	}
	if rej := set(settings{Controllers: &controllers}); code(rej) != types.ErrInvalidManagementPayload {
		t.Errorf("eleven controllers: %v, want IC0408", rej)
	}
}

// TestARejectMessageIsCutToEightKiB and not refused.
func TestARejectMessageIsCutToEightKiB(t *testing.T) {
	n := canistertest.New(t)
	id := install(t, n, 1)[0]
	for bytes, want := range map[uint64]int{8 * types.KiB: 8 * types.KiB, 8*types.KiB + 1: 8 * types.KiB} {
		_, rej := n.Call(user(), id, u.Update, u.Reject(u.Fill('x', bytes)))
		if code(rej) != types.ErrCanisterRejectedMessage || len(rej.Message) != want {
			t.Errorf("a message of %d bytes: %v", bytes, code(rej))
		}
	}
}

func TestTheHistoryKeepsTwentyChanges(t *testing.T) {
	n := canistertest.New(t)
	id := n.Create(user())
	for i := range 25 {
		if rej := n.InstallCode(user(), id, canistertest.Mode{Reinstall: true}, universal(t), nil); rej != nil {
			t.Fatal(rej)
		}
		c := n.State().Canister(id)
		if want := min(20, i+2); len(c.History) != want || c.TotalChanges != uint64(i+2) {
			t.Errorf("after %d changes %d are kept, and %d counted", i+2, len(c.History), c.TotalChanges)
		}
	}
}
