package messaging

import (
	"cmp"
	"math"
	"slices"

	"portico/node/execution"
	"portico/node/state"
	"portico/node/types"
)

const (
	// maxTurns bounds how often a round lets messages lead to further messages.
	maxTurns = 100
	// lanes is how many canisters run at the same time. It is the same whatever processors
	// a node has, so that the limits of a round mean the same everywhere.
	lanes = 4
	// maxPaused is how many messages may be in the middle between rounds.
	maxPaused = 4
	// maxCharged is how many canisters that may have done nothing pay in one round.
	maxCharged = 200
)

// percent is the unit of priorities: a hundredth of one lane for one round, in thousandths.
const percent = 1000

// execute gives the canisters that have messages a turn, as far as the round's instructions go,
// and reports whether any had one. One in the middle of a long message gets a slice of it in
// each round.
func (r *round) execute() bool {
	order := r.order()
	if len(order) == 0 {
		return false
	}
	n := min(lanes, len(order))
	share := r.room.Share(uint64(n))
	work := make([]lane, n)
	for i, id := range order {
		r.s.Edit(id)
		l := &work[i%n]
		l.ids = append(l.ids, id)
	}
	r.Parallel(n, func(i int) {
		work[i].room = share
		work[i].run(r)
	})
	longest := uint64(0)
	for i := range work {
		longest = max(longest, work[i].weight)
		r.room = r.room.Without(share, work[i].room)
	}
	r.left -= min(r.left, longest)
	ran := false
	for i := range work {
		for k, out := range work[i].outs {
			ran = true
			if out.Quick {
				r.s.Quick = state.Moment{Height: r.s.Height, Time: r.s.Time}
			}
			if id := work[i].ids[k]; work[i].paused[k] {
				r.ended[id] = true
			} else {
				r.Executor.Resume(id)
			}
			r.route(out)
		}
	}
	return ran
}

// lane runs canisters one after another.
type lane struct {
	ids    []types.CanisterID
	room   execution.Room
	weight uint64 // see execution.Output.Weight
	// used is the weight by which it ends: no canister counts more than a slice, so that one whose
	// messages cannot be sliced keeps nobody behind it from its turn.
	used   uint64
	outs   []execution.Output
	paused []bool
}

func (l *lane) run(r *round) {
	for _, id := range l.ids {
		if l.used >= r.left {
			return
		}
		c := r.s.Canister(id)
		now := execution.Moment{Time: r.s.Time, Slice: r.Executor.Limits().Again(r.slice, c.Restarts)}
		var out execution.Output
		weight, paused := uint64(0), false
		for len(c.Inbox) > 0 && !paused && weight < r.slice && !execution.Changing(c, r.s.Time) {
			var more execution.Output
			more, paused = r.Executor.Step(c, now, &l.room)
			out.Append(more)
			weight += more.Weight()
		}
		l.weight += weight
		l.used += min(weight, r.slice)
		l.outs, l.paused = append(l.outs, out), append(l.paused, paused)
	}
}

// order lists the canisters that may have a turn: first those in the middle of a message,
// one for each lane, then by priority.
func (r *round) order() []types.CanisterID {
	if r.s.HeapDelta >= r.Executor.Limits().HeapDeltaBytes {
		return nil // until the next checkpoint
	}
	middle := map[types.CanisterID]bool{}
	for _, id := range r.Executor.Paused() {
		middle[id] = true
	}
	installing, isInstalling := r.Executor.Installing()
	deferrable := max(maxPaused-len(middle), 0)
	var order []types.CanisterID
	for _, id := range r.s.Waiting() {
		switch {
		case r.ended[id] || execution.Changing(r.s.Canister(id), r.s.Time) || (isInstalling && id == installing):
			continue
		case !middle[id] && r.Executor.Deferred(id):
			if deferrable == 0 {
				continue
			}
			deferrable--
		}
		order = append(order, id)
	}
	r.prioritize(order)
	slices.SortStableFunc(order, func(a, b types.CanisterID) int {
		if middle[a] != middle[b] {
			if middle[a] {
				return -1
			}
			return 1
		}
		return cmp.Compare(r.s.Canister(b).Priority, r.s.Canister(a).Priority)
	})
	if !r.scheduled {
		r.scheduled = true
		for _, id := range order[:min(lanes, len(order))] {
			r.s.Edit(id).Priority -= 100 * percent
		}
	}
	return order
}

// prioritize gives the canisters that wait their shares of the round, once a round: their
// compute allocations, and equal parts of what is left. Those that go first in a lane pay for
// a whole one, so that over time each goes first as often as its share says.
func (r *round) prioritize(waiting []types.CanisterID) {
	if r.scheduled || len(waiting) == 0 {
		return
	}
	left := int64(lanes * 100 * percent)
	for _, id := range waiting {
		left -= int64(r.s.Canister(id).Settings.ComputeAllocation) * percent
	}
	each := max(left, 0) / int64(len(waiting))
	for _, id := range waiting {
		c := r.s.Edit(id)
		c.Priority += min(int64(c.Settings.ComputeAllocation)*percent+each, 100*percent)
	}
}

// countRestarts notes what the checkpoint after this round gives up.
func (r *round) countRestarts() {
	for _, id := range r.Executor.Paused() {
		if c := r.s.Edit(id); c.Restarts < math.MaxUint8 {
			c.Restarts++
		}
	}
	if _, ok := r.Executor.Installing(); ok && r.s.InstallRestarts < math.MaxUint8 {
		r.s.InstallRestarts++
	}
}

// pauseFew gives up the messages beyond maxPaused that are in the middle: those that have
// run for the shortest time. They begin again when there is room for them.
func (r *round) pauseFew() {
	paused := r.Executor.Paused()
	if len(paused) <= maxPaused {
		return
	}
	slices.SortStableFunc(paused, func(a, b types.CanisterID) int {
		return cmp.Compare(r.Executor.Progress(b), r.Executor.Progress(a))
	})
	for _, id := range paused[maxPaused:] {
		r.Executor.Defer(id)
	}
}
