package execution_test

import (
	"math/big"
	"testing"

	"portico/lightclient/principal"
	"portico/node/canistertest"
	u "portico/node/conformance/universal"
	"portico/node/execution"
	"portico/node/state"
	"portico/node/types"
)

type allocations struct {
	Compute  **big.Int `candid:"compute_allocation"`
	Memory   **big.Int `candid:"memory_allocation"`
	Freezing **big.Int `candid:"freezing_threshold"`
	Reserved **big.Int `candid:"reserved_cycles_limit"`
	Log      **big.Int `candid:"log_memory_limit"`
}

func opt(n uint64) **big.Int {
	v := nat0(n)
	return &v
}

func TestComputeAllocationsAreBoundedTogether(t *testing.T) {
	n := canistertest.New(t)
	set := func(id principal.ID, percent uint64) *types.Reject {
		return update(t, n, id, allocations{Compute: opt(percent), Freezing: opt(1)})
	}
	ids := []principal.ID{n.Create(user()), n.Create(user()), n.Create(user()), n.Create(user())}
	for i, percent := range []uint64{100, 100, 99} {
		if rej := set(ids[i], percent); rej != nil {
			t.Fatal(rej)
		}
	}
	rejected(t, "one percent too many", set(ids[3], 1), types.ErrSubnetOversubscribed, "remaining compute capacity is 0%")
	if rej := set(ids[0], 99); rej != nil {
		t.Fatal(rej)
	}
	if rej := set(ids[3], 1); rej != nil {
		t.Errorf("the percent that was given back: %v", rej)
	}
	rejected(t, "101 percent", set(ids[3], 101), types.ErrCanisterContractViolation, "compute_allocation")
}

func TestAllocationsMustBeAffordable(t *testing.T) {
	limits := execution.DefaultLimits()
	limits.StorageBytes, limits.ReservationBytes = 10*types.GiB, types.GiB
	n := canistertest.NewWith(t, canistertest.Setup{Subnet: canistertest.Subnet(), Limits: limits})
	id := n.Create(user()) // with 100 T
	set := func(a allocations) *types.Reject { return update(t, n, id, a) }
	const century = 100 * 365 * 24 * 3600
	before := *n.State().Canister(id)
	rejected(t, "a compute allocation for a century", set(allocations{Compute: opt(1), Freezing: opt(century)}), types.ErrInsufficientCyclesCompute, "insufficient cycles")
	rejected(t, "a memory allocation for a century", set(allocations{Memory: opt(types.GiB), Freezing: opt(century)}), types.ErrInsufficientCyclesMemory, "insufficient cycles")
	rejected(t, "more memory than the subnet has", set(allocations{Memory: opt(11 * types.GiB)}), types.ErrSubnetOversubscribed, "available")
	rejected(t, "more than the reserved limit allows", set(allocations{Memory: opt(9 * types.GiB), Reserved: opt(1)}), types.ErrReservedCyclesLimitExceeded, "reserved cycles limit")
	if after := n.State().Canister(id); after.Cycles != before.Cycles || after.Version != before.Version || after.Settings.MemoryAllocation != 0 {
		t.Errorf("refused settings left %s cycles and version %d, want %s and %d", after.Cycles, after.Version, before.Cycles, before.Version)
	}
	if rej := set(allocations{Memory: opt(2 * types.GiB), Reserved: opt(100_000_000_000_000)}); rej != nil {
		t.Fatal(rej)
	}
	c := n.State().Canister(id)
	if c.Reserved.IsZero() || c.Cycles.Add(c.Reserved) != before.Cycles {
		t.Errorf("of %s cycles %s are reserved and %s left", before.Cycles, c.Reserved, c.Cycles)
	}
	rejected(t, "a limit below what is reserved", set(allocations{Reserved: opt(1)}), types.ErrReservedCyclesLimitTooLow, "below the reserved cycles balance")
}

func TestLogsGrowToTheirLimits(t *testing.T) {
	n := canistertest.New(t)
	module, err := u.Module()
	if err != nil {
		t.Fatal(err)
	}
	id := n.Install(user(), module, nil)
	set := func(a allocations) *types.Reject { return update(t, n, id, a) }
	kept := func(lines uint64) (count, bytes int) {
		t.Helper()
		if _, rej := n.Call(user(), id, u.Update, u.Seq(u.Repeat(u.Int(lines), u.IC0("debug_print", u.Split(u.Fill('a', 1000)))), u.Reply(u.Text("")))); rej != nil {
			t.Fatal(rej)
		}
		records, rej := logs(t, n, user(), id)
		if rej != nil {
			t.Fatal(rej)
		}
		for _, r := range records {
			bytes += len(r.Content)
		}
		return len(records), bytes
	}
	if count, bytes := kept(100); count != 4 || bytes != 4000 {
		t.Errorf("at first the log keeps %d lines of %d bytes, want 4 of 4000", count, bytes)
	}
	rejected(t, "less than a page", set(allocations{Log: opt(state.MinLogBytes - 1)}), types.ErrCanisterContractViolation, "log_memory_limit")
	rejected(t, "more than 2 MiB", set(allocations{Log: opt(state.MaxLogBytes + 1)}), types.ErrCanisterContractViolation, "log_memory_limit")
	before := execution.MemoryUsage(n.State().Canister(id))
	if rej := set(allocations{Log: opt(64 * types.KiB)}); rej != nil {
		t.Fatal(rej)
	}
	if grown := execution.MemoryUsage(n.State().Canister(id)) - before; grown != 60*types.KiB {
		t.Errorf("a log of 64 KiB takes %d bytes more than one of 4", grown)
	}
	if count, _ := kept(100); count != 64 {
		t.Errorf("64 KiB hold %d lines of 1016 bytes, want 64", count)
	}
	if rej := n.InstallCode(user(), id, canistertest.Upgrade(canistertest.Options{}), module, nil); rej != nil {
		t.Fatal(rej)
	}
	s := take(t, n, takeArg{Canister: id})
	if rej := n.Manage(user(), "load_canister_snapshot", onSnapshot{id, s.ID}); rej != nil {
		t.Fatal(rej)
	}
	if count, _ := kept(0); count != 64 || n.State().Canister(id).Settings.LogMemoryLimit != 64*types.KiB {
		t.Errorf("an upgrade and a snapshot left %d lines and the limit %d", count, n.State().Canister(id).Settings.LogMemoryLimit)
	}
	if rej := set(allocations{Log: opt(state.MinLogBytes)}); rej != nil {
		t.Fatal(rej)
	}
	if count, _ := kept(0); count != 4 {
		t.Errorf("a lower limit left %d lines", count)
	}
	if rej := set(allocations{Log: opt(0)}); rej != nil {
		t.Fatal(rej)
	}
	if count, _ := kept(10); count != 0 {
		t.Errorf("a canister that wants no log has %d lines", count)
	}
}

func TestALargeLogMustBeAffordable(t *testing.T) {
	n := canistertest.New(t)
	id := n.Create(user())
	used := execution.MemoryUsage(n.State().Canister(id))
	if rej := update(t, n, id, allocations{Memory: opt(used + types.MiB)}); rej != nil {
		t.Fatal(rej)
	}
	rejected(t, "a log beyond the memory allocation", update(t, n, id, allocations{Log: opt(state.MaxLogBytes)}), types.ErrInsufficientMemoryAllocation, "memory allocation")
	if rej := update(t, n, id, allocations{Log: opt(state.MaxLogBytes), Memory: opt(0)}); rej != nil {
		t.Errorf("with no allocation: %v", rej)
	}
	const ages = 1 << 62 // seconds
	poor := n.Create(user())
	rejected(t, "a log for ages", update(t, n, poor, allocations{Log: opt(state.MaxLogBytes), Freezing: opt(ages)}), types.ErrInsufficientCyclesMemory, "insufficient cycles")
}
