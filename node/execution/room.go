package execution

import (
	"fmt"

	"portico/lightclient/principal"
	"portico/node/state"
	"portico/node/types"
	"portico/node/wasm"
	"portico/node/wasm/ic0"
)

// Limits bounds what the canisters of a subnet may use together. The zero value is that of
// DefaultLimits.
type Limits struct {
	// GuaranteedBytes is for responses that are guaranteed: 2 MiB are set aside at the
	// caller and at the callee for each call, besides what a request has above 2 MiB.
	GuaranteedBytes uint64
	// BestEffortBytes is for the messages of bounded-wait calls.
	BestEffortBytes uint64
	// Callbacks is how many calls may be open. A canister may have CanisterCallbacks of them
	// even then.
	Callbacks, CanisterCallbacks uint64
	// StorageBytes is what all canisters may store or have allotted.
	StorageBytes uint64
	// ReservationBytes is from where on cycles are reserved for what canisters store in addition.
	ReservationBytes uint64
	// HeapDeltaBytes is what may change between two checkpoints.
	HeapDeltaBytes uint64
	// ComputePercent is the most that all compute allocations may be together.
	ComputePercent uint64
	// SliceInstructions is how much of a message or an installation runs in one round; it
	// also ends the short messages of a canister, and the installations, of a round.
	SliceInstructions uint64
	// RoundInstructions ends a round for each lane: what is left waits for the next.
	RoundInstructions uint64
	// QuickSliceInstructions and QuickRoundInstructions stand for these in rounds that bring calls
	// by users; twice as much while canisters answer users within such a slice: rounds are short then,
	// and who computes for long does so in more of them.
	QuickSliceInstructions, QuickRoundInstructions uint64
}

// Pace is how much the slices and lanes of a round run.
type Pace struct{ Slice, Round uint64 }

// Rounds stay short for some seconds after a quick answer to a user, and for some heights, because
// blocks may be executed long after their time.
const (
	quickNanos   = 5_000_000_000
	quickHeights = 30
)

// pausedSlices is how many quick slices a round that brings no calls has: block makers pause before
// it for as long as a round takes (package consensus), which is not to halve what canisters compute.
const pausedSlices = 2

// Pace is that of the round after a state, at a time, which brings so many calls by users.
func (l Limits) Pace(s *state.State, now types.Time, calls int) Pace {
	switch {
	case calls > 0:
		return Pace{l.QuickSliceInstructions, l.QuickRoundInstructions}
	case Quick(s, now):
		return Pace{min(pausedSlices*l.QuickSliceInstructions, l.SliceInstructions), min(pausedSlices*l.QuickRoundInstructions, l.RoundInstructions)}
	default:
		return Pace{l.SliceInstructions, l.RoundInstructions}
	}
}

// restartFactor is by how much the slices of a message or an installation grow with each checkpoint
// that has given it up.
const restartFactor = 4

// Again is the slice, where others have slice, of what checkpoints have given up in its middle so often:
// it has to get further before the next one, or it would begin again for ever.
func (l Limits) Again(slice uint64, restarts uint8) uint64 {
	for ; restarts > 0 && slice < l.SliceInstructions; restarts-- {
		slice = min(restartFactor*slice, l.SliceInstructions)
	}
	return slice
}

// Quick reports whether a user was answered quickly not long before a time after a state.
func Quick(s *state.State, now types.Time) bool {
	return s.Quick.Height != 0 && (now <= s.Quick.Time+quickNanos || s.Height < s.Quick.Height+quickHeights)
}

// DefaultLimits are those of the Internet Computer's application subnets ("Resource limits").
func DefaultLimits() Limits {
	return Limits{
		GuaranteedBytes: 15 * types.GiB, BestEffortBytes: 5 * types.GiB,
		Callbacks: 1_000_000, CanisterCallbacks: 50,
		StorageBytes: 2048 * types.GiB, ReservationBytes: 750 * types.GiB,
		HeapDeltaBytes:    140 * types.GiB,
		ComputePercent:    299,
		SliceInstructions: 2_000_000_000, RoundInstructions: 7_000_000_000,
		QuickSliceInstructions: 6_000_000, QuickRoundInstructions: 24_000_000,
	}
}

// Room is what is left of the Limits for canisters that run one after another. What they
// take is subtracted, also by messages that fail: it comes back with the next round.
type Room struct {
	Guaranteed, BestEffort, Callbacks, Storage uint64
	// Stored is what the subnet stores, with what was taken of Storage.
	Stored uint64
}

// Share is the part of the room that one of n may use.
func (r Room) Share(n uint64) Room {
	return Room{r.Guaranteed / n, r.BestEffort / n, r.Callbacks / n, r.Storage / n, r.Stored}
}

// Without is the room after part of it, which was share, has become rest.
func (r Room) Without(share, rest Room) Room {
	r.Guaranteed -= share.Guaranteed - rest.Guaranteed
	r.BestEffort -= share.BestEffort - rest.BestEffort
	r.Callbacks -= share.Callbacks - rest.Callbacks
	r.Storage -= share.Storage - rest.Storage
	r.Stored += share.Storage - rest.Storage
	return r
}

// callRoom takes room for the calls of one message.
type callRoom struct {
	limits Limits
	c      *state.Canister
	room   *Room
	calls  map[principal.ID]int // by callee
	n      uint64
}

// take takes the room for a call and reports whether there was enough.
func (t *callRoom) take(call *ic0.Call) bool {
	if t.c.Pending[call.Callee]+t.calls[call.Callee] >= maxQueuedCalls {
		return false
	}
	beyond := uint64(len(t.c.Callbacks))+t.n >= t.limits.CanisterCallbacks
	if beyond && t.room.Callbacks == 0 {
		return false
	}
	bytes := uint64(len(call.Method) + len(call.Arg))
	memory := &t.room.BestEffort
	if !call.Bounded {
		bytes = guaranteedBytes(bytes)
		memory = &t.room.Guaranteed
	}
	if bytes > *memory {
		return false
	}
	*memory -= bytes
	t.room.Callbacks -= min(t.room.Callbacks, 1)
	if t.calls == nil {
		t.calls = map[principal.ID]int{}
	}
	t.calls[call.Callee]++
	t.n++
	return true
}

// guaranteedBytes is what a call whose response is guaranteed takes: for the response at both
// ends, and for what the request has beyond that.
func guaranteedBytes(request uint64) uint64 {
	return 2*state.MaxResponseBytes + request - min(request, state.MaxResponseBytes)
}

// Queued is what a canister's messages and open calls take of the subnet's limits.
type Queued struct{ Guaranteed, BestEffort, Callbacks uint64 }

// QueuedOf measures a canister.
func QueuedOf(c *state.Canister) Queued {
	q := Queued{Callbacks: uint64(len(c.Callbacks))}
	for _, cb := range c.Callbacks {
		if cb.Deadline == 0 && !cb.Answered {
			q.Guaranteed += state.MaxResponseBytes
		}
	}
	for _, ctx := range c.Contexts {
		if ctx.Origin.Kind == state.FromCanister && ctx.Origin.Deadline == 0 && !ctx.Responded {
			q.Guaranteed += state.MaxResponseBytes
		}
	}
	for _, in := range c.Inbox {
		switch r := in.Request; {
		case in.Response != nil:
			if cb := c.Callbacks[in.Response.Callback]; cb != nil && cb.Deadline != 0 {
				q.BestEffort += in.Response.Bytes()
			} else {
				q.Guaranteed += in.Response.Bytes()
			}
		case r == nil || r.Origin.Kind != state.FromCanister:
		case r.Origin.Deadline != 0:
			q.BestEffort += r.Bytes()
		default:
			q.Guaranteed += guaranteedBytes(r.Bytes()) - state.MaxResponseBytes
		}
	}
	return q
}

// errMemoryAllocation refuses what goes beyond a canister's memory allocation.
var errMemoryAllocation = fmt.Errorf("the memory allocation is used up: %w", wasm.ErrGrowRefused)

// growth checks that a canister may store so many bytes more. Without a memory
// allocation it may grow while the subnet has room.
func growth(c *state.Canister, more uint64) error {
	if a := c.Settings.MemoryAllocation; a > 0 && MemoryUsage(c)+more > a {
		return errMemoryAllocation
	}
	return nil
}

// grower decides how a canister's memories may grow in one execution.
type grower struct {
	x        *Executor
	c        *state.Canister
	env      *ic0.Env
	room     *Room        // nil where nothing lasts, as in queries
	grown    uint64       // bytes so far
	reserved types.Cycles // so far; env.Balance is without them
}

// take lets the canister store more bytes, or says why not: wasm.ErrGrowRefused lets it go
// on, a *types.Reject does not.
func (g *grower) take(more uint64) error {
	if err := growth(g.c, g.grown+more); err != nil {
		return err
	}
	if g.room == nil {
		g.grown += more
		return nil
	}
	usage, allotted := MemoryUsage(g.c)+g.grown, g.c.Settings.MemoryAllocation
	extra := max(usage+more, allotted) - max(usage, allotted)
	if extra > g.room.Storage {
		return wasm.ErrGrowRefused
	}
	costs := g.x.costs
	reserve := costs.Reservation(extra, g.room.Stored, g.x.limits)
	if !reserve.IsZero() && g.c.Reserved.Add(g.reserved).Add(reserve).Cmp(g.c.Settings.ReservedCyclesLimit) > 0 {
		return types.Rejectf(types.ErrReservedCyclesLimitInMemory, "Canister cannot grow memory by %d bytes due to its reserved cycles limit. The current limit (%s) would be exceeded by %s.", more, g.c.Settings.ReservedCyclesLimit, g.c.Reserved.Add(g.reserved).Add(reserve).Sub(g.c.Settings.ReservedCyclesLimit))
	}
	threshold := costs.freezingThreshold(g.c, max(usage+more, allotted), g.c.Reserved.Add(g.reserved).Add(reserve))
	least := reserve
	if g.env.Context&(ic0.Reply|ic0.Reject|ic0.Cleanup) == 0 {
		least = least.Add(threshold)
	}
	if g.env.Balance.Cmp(least) < 0 {
		return types.Rejectf(types.ErrInsufficientCyclesMemoryGrow, "Canister cannot grow memory by %d bytes due to insufficient cycles. At least %s additional cycles are required.", more, least.Sub(g.env.Balance))
	}
	g.env.Balance, g.reserved = g.env.Balance.Sub(reserve), g.reserved.Add(reserve)
	g.env.FreezingThreshold = threshold
	g.room.Storage -= extra
	g.room.Stored += extra
	g.grown += more
	return nil
}

// heap decides memory.grow.
func (g *grower) heap(current, delta uint64) error {
	to := (current + delta) * types.WasmPageBytes
	if limit := g.c.Settings.WasmMemoryLimit; limit != 0 && to > limit && g.env.Context&(ic0.Update|ic0.Init) != 0 {
		return wasmMemoryLimit(limit)
	}
	return g.take(delta * types.WasmPageBytes)
}

func wasmMemoryLimit(limit uint64) *types.Reject {
	return types.Rejectf(types.ErrCanisterWasmMemoryLimit, "Canister exceeded its current Wasm memory limit of %d bytes", limit)
}

// stable decides the growth of stable memory.
func (g *grower) stable(from, to uint64) error { return g.take(to - from) }
