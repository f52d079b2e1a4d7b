package execution

import (
	"portico/node/state"
	"portico/node/types"
)

// ChargeInterval is the least time between two charges of a canister, in nanoseconds.
const ChargeInterval = 10_000_000_000

// Charge makes a canister pay for its storage and compute allocation since it last did, if
// that is long enough ago; one that cannot pay is uninstalled. One that is in the middle of
// a message or an installation pays afterwards.
func (x *Executor) Charge(s *state.State, id types.CanisterID) (out Output) {
	c := s.Canister(id)
	if c == nil || s.Time-c.Charged < ChargeInterval || x.busy(id) || (x.installing != nil && x.installing.c.ID == id) {
		return out
	}
	memory, compute := x.costs.idle(c, max(MemoryUsage(c), c.Settings.MemoryAllocation))
	nanos := uint64(s.Time - c.Charged)
	memory, compute = memory.Mul(nanos).Div(nanosPerSecond), compute.Mul(nanos).Div(nanosPerSecond)
	c = s.Touch(id)
	c.Charged = s.Time
	if c.Cycles.Add(c.Reserved).Cmp(memory.Add(compute)) >= 0 {
		payResource(c, state.UseMemory, memory)
		payResource(c, state.UseComputeAllocation, compute)
		return out
	}
	c = s.Edit(id)
	c.Consume(state.UseUninstall, c.Cycles.Add(c.Reserved))
	c.Cycles, c.Reserved = types.Cycles{}, types.Cycles{}
	if c.Code != nil || len(c.Chunks) > 0 {
		out = x.Uninstall(c)
		c.Settings.ComputeAllocation, c.Settings.MemoryAllocation = 0, 0
	}
	// nothing that costs is left: snapshots and history go too
	x.dropSnapshots(c)
	c.History = nil
	return out
}

// storage checks whether a canister with a balance may store usage bytes on a subnet that
// stores so much already, and returns what is to be reserved for it.
func (x *Executor) storage(c *state.Canister, usage, stored uint64, balance types.Cycles) (reserve types.Cycles, rej *types.Reject) {
	allotted := c.Settings.MemoryAllocation
	if allotted > 0 && usage > allotted {
		return reserve, types.Rejectf(types.ErrInsufficientMemoryAllocation, "Canister was given %d bytes of memory allocation but at least %d bytes are needed.", allotted, usage)
	}
	return x.allotment(c, usage, stored, balance)
}

// allotment is storage for what a canister stores or is allotted: bytes, in the place of what
// that is now.
func (x *Executor) allotment(c *state.Canister, bytes, stored uint64, balance types.Cycles) (reserve types.Cycles, rej *types.Reject) {
	before := max(MemoryUsage(c), c.Settings.MemoryAllocation)
	extra := max(bytes, before) - before
	if stored+extra > x.limits.StorageBytes {
		return reserve, types.Rejectf(types.ErrSubnetOversubscribed, "Canister requested %d bytes of memory but only %d bytes are available in the subnet", extra, x.limits.StorageBytes-min(stored, x.limits.StorageBytes))
	}
	reserve = x.costs.Reservation(extra, stored, x.limits)
	if reserved := c.Reserved.Add(reserve); !reserve.IsZero() && reserved.Cmp(c.Settings.ReservedCyclesLimit) > 0 {
		return types.Cycles{}, types.Rejectf(types.ErrReservedCyclesLimitExceeded, "Cannot increase memory allocation of canister %s due to its reserved cycles limit. The current limit (%s) would be exceeded by %s.", c.ID, c.Settings.ReservedCyclesLimit, reserved.Sub(c.Settings.ReservedCyclesLimit))
	}
	least := reserve.Add(x.costs.freezingThreshold(c, max(bytes, before), c.Reserved.Add(reserve)))
	if extra > 0 && balance.Cmp(least) < 0 {
		return types.Cycles{}, types.Rejectf(types.ErrInsufficientCyclesMemoryGrow, "Canister cannot grow memory by %d bytes due to insufficient cycles. At least %s additional cycles are required.", extra, least.Sub(balance))
	}
	return reserve, nil
}

// payResource takes a price from what is reserved, then from the balance, which together
// hold enough.
func payResource(c *state.Canister, use state.Use, price types.Cycles) {
	reserved := c.Reserved.Min(price)
	c.Reserved = c.Reserved.Sub(reserved)
	c.Cycles = c.Cycles.Sub(price.Sub(reserved))
	c.Consume(use, price)
}
