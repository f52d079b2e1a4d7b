package messaging

import (
	"container/heap"
	"slices"

	"portico/lightclient/principal"
	"portico/node/execution"
	"portico/node/state"
	"portico/node/types"
)

// index says which canisters a round has to look at, and what all use together, so that a
// round's cost follows what is active. It is a function of the state: after another state
// than the one it knows, it is made anew.
type index struct {
	of      *state.State
	entries map[types.CanisterID]entry
	// eager are the canisters with heartbeats or a ready low-memory hook, stopping those
	// that wait to be stopped.
	eager, stopping set
	// timers and deadlines are by the global timer, and by the earliest deadline of an
	// open call.
	timers, deadlines agenda
	total             execution.Queued
	stored            uint64
	consumed          types.Cycles
}

// entry is what a canister contributes.
type entry struct {
	queued          execution.Queued
	stored          uint64
	consumed        types.Cycles
	timer, deadline types.Time
}

// follow makes the index that of a state.
func (x *index) follow(s *state.State, e *execution.Executor) {
	if x.of == s {
		x.update(s, s.Edited(), e)
		return
	}
	*x = index{
		of: s, entries: map[types.CanisterID]entry{},
		eager: newSet(), stopping: newSet(), timers: newAgenda(), deadlines: newAgenda(),
	}
	x.update(s, s.IDs(), e)
}

// update takes over changed canisters.
func (x *index) update(s *state.State, ids []types.CanisterID, e *execution.Executor) {
	x.of = s
	for _, id := range ids {
		x.set(id, s.Canister(id), e)
	}
}

// set takes over one canister; c is nil if it was deleted.
func (x *index) set(id types.CanisterID, c *state.Canister, e *execution.Executor) {
	old := x.entries[id]
	var now entry
	eager := false
	if c != nil {
		now = entry{queued: execution.QueuedOf(c), stored: max(execution.MemoryUsage(c), c.Settings.MemoryAllocation), consumed: c.Consumed}
		for _, cb := range c.Callbacks {
			if cb.Deadline != 0 && !cb.Answered && (now.deadline == 0 || cb.Deadline < now.deadline) {
				now.deadline = cb.Deadline
			}
		}
		eager, now.timer = e.Wakes(c)
		x.entries[id] = now
	} else {
		delete(x.entries, id)
	}
	x.total.Guaranteed += now.queued.Guaranteed - old.queued.Guaranteed
	x.total.BestEffort += now.queued.BestEffort - old.queued.BestEffort
	x.total.Callbacks += now.queued.Callbacks - old.queued.Callbacks
	x.stored += now.stored - old.stored
	x.consumed = x.consumed.Add(now.consumed).Sub(old.consumed)
	x.eager.put(id, eager)
	x.stopping.put(id, c != nil && c.Status == state.Stopping)
	x.timers.set(id, now.timer)
	x.deadlines.set(id, now.deadline)
}

// set is a set of canisters that can be listed in order.
type set struct {
	in     map[types.CanisterID]bool
	sorted []types.CanisterID // nil if it must be made anew
}

func newSet() set { return set{in: map[types.CanisterID]bool{}} }

func (s *set) put(id types.CanisterID, in bool) {
	switch {
	case s.in[id] == in:
		return
	case in:
		s.in[id] = true
	default:
		delete(s.in, id)
	}
	s.sorted = nil
}

func (s *set) list() []types.CanisterID {
	if s.sorted == nil {
		s.sorted = make([]types.CanisterID, 0, len(s.in))
		for id := range s.in {
			s.sorted = append(s.sorted, id)
		}
		slices.SortFunc(s.sorted, principal.ID.Compare)
	}
	return s.sorted
}

// agenda finds the canisters whose time has come.
type agenda struct {
	at    map[types.CanisterID]types.Time
	queue appointments // with some that at no longer says
}

func newAgenda() agenda { return agenda{at: map[types.CanisterID]types.Time{}} }

// set changes the time of a canister; 0 is never.
func (a *agenda) set(id types.CanisterID, at types.Time) {
	switch {
	case a.at[id] == at:
		return
	case at == 0:
		delete(a.at, id)
	default:
		a.at[id] = at
		heap.Push(&a.queue, appointment{at, id})
	}
	if len(a.queue) > 2*len(a.at)+minAppointments {
		a.queue = a.queue[:0]
		for id, at := range a.at {
			a.queue = append(a.queue, appointment{at, id})
		}
		heap.Init(&a.queue)
	}
}

// minAppointments is from how many on the queue is cleared of those that do not hold any more.
const minAppointments = 64

// due lists the canisters whose time is at or before now, in order. They stay.
func (a *agenda) due(now types.Time) []types.CanisterID {
	var out []types.CanisterID
	for len(a.queue) > 0 && a.queue[0].at <= now {
		if next := heap.Pop(&a.queue).(appointment); a.at[next.id] == next.at {
			out = append(out, next.id)
		}
	}
	slices.SortFunc(out, principal.ID.Compare)
	out = slices.Compact(out)
	for _, id := range out {
		heap.Push(&a.queue, appointment{a.at[id], id})
	}
	return out
}

type appointment struct {
	at types.Time
	id types.CanisterID
}

// appointments is a heap.Interface.
type appointments []appointment

func (q appointments) Len() int           { return len(q) }
func (q appointments) Less(i, j int) bool { return q[i].at < q[j].at }
func (q appointments) Swap(i, j int)      { q[i], q[j] = q[j], q[i] }
func (q *appointments) Push(x any)        { *q = append(*q, x.(appointment)) }
func (q *appointments) Pop() any {
	old := *q
	last := old[len(old)-1]
	*q = old[:len(old)-1]
	return last
}
