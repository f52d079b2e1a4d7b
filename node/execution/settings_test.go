package execution_test

import (
	"math/big"
	"testing"

	"portico/lightclient/principal"
	"portico/node/canistertest"
	"portico/node/execution"
	"portico/node/types"
)

type allocations struct {
	Compute  **big.Int `candid:"compute_allocation"`
	Memory   **big.Int `candid:"memory_allocation"`
	Freezing **big.Int `candid:"freezing_threshold"`
	Reserved **big.Int `candid:"reserved_cycles_limit"`
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
