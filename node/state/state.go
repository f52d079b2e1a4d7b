// Package state is the replicated state of a subnet: its canisters with their
// queues and call contexts, and the ingress history. Heaps and stable memories
// are kept beside it, in files (package heap); the state knows their sizes.
//
// A State is a value that belongs to one height. The next height's state begins
// as Next, which shares everything with it and copies a canister when it is first
// edited, so that whoever holds an earlier state (queries, read_state) can go on
// reading it without locks.
package state

import (
	"maps"
	"slices"

	"portico/lightclient/principal"
	"portico/node/types"
)

// State is the state of a subnet after a height.
type State struct {
	Height types.Height
	Time   types.Time

	// NextCanister is the index of the next canister id the subnet gives out.
	NextCanister uint64
	// Management is the queue of calls to the management canister.
	Management []Input
	// AwaitingRandomness are the calls of raw_rand that the next round answers.
	AwaitingRandomness []*Request
	// NextCharged is the canister with which charging for storage goes on.
	NextCharged types.CanisterID
	// HeapDelta is how many bytes of memories changed since the last checkpoint.
	HeapDelta uint64
	Metrics   Metrics
	// BlockMakers are the last days' counts of who made blocks, in order of time.
	BlockMakers []BlockDay
	// Quick is when a user's call was last answered quickly (execution.Pace), zero for never.
	Quick Moment
	// InstallRestarts is how many checkpoints in a row gave up the same installation.
	InstallRestarts uint8
	// Queries are the reports of the epoch so far.
	Queries QueryReports

	// base is shared with other states and never changed; recent goes over it, nil for
	// what was deleted. So a new height costs what is active, not what there is.
	base, recent map[types.CanisterID]*Canister
	edited       map[types.CanisterID]bool
	ids          []types.CanisterID // sorted; shared with earlier states unless ownIDs
	ownIDs       bool
	// waiting are the canisters, sorted, that had messages when this height began.
	waiting []types.CanisterID
	history *IngressHistory
}

// Moment is a height with its time.
type Moment struct {
	Height types.Height
	Time   types.Time
}

// Metrics are the subnet's counters, served under /subnet/<id>/metrics.
type Metrics struct {
	// ConsumedCycles is by all canisters that are or were; GoneCycles is the part of
	// deleted canisters, and of responses that came too late.
	ConsumedCycles, GoneCycles types.Cycles
	// MintedCycles is all that came into being here: nothing else is ever consumed,
	// held or in flight.
	MintedCycles       types.Cycles
	UpdateTransactions uint64
	// StateBytes is what canisters store.
	StateBytes uint64
}

// New is the empty state at height 0. firstCanister is the index of the first
// canister id of the subnet's range.
func New(now types.Time, firstCanister uint64) *State {
	return &State{
		Time: now, NextCanister: firstCanister,
		base: map[types.CanisterID]*Canister{}, recent: map[types.CanisterID]*Canister{}, edited: map[types.CanisterID]bool{},
		history: newIngressHistory(now),
	}
}

// minRecent is how many canisters lie over the base before a new one is made.
const minRecent = 64

// Next begins the state of the following height. The ingress history moves on to
// it: only the newest state may change or read it.
func (s *State) Next(now types.Time) *State {
	next := *s
	next.Height, next.Time = s.Height+1, max(now, s.Time)
	next.waiting = s.Waiting()
	next.ownIDs = false
	next.edited = map[types.CanisterID]bool{}
	next.Management = slices.Clone(s.Management)
	next.AwaitingRandomness = slices.Clone(s.AwaitingRandomness)
	if len(s.recent) < minRecent+len(s.base)/4 {
		next.recent = maps.Clone(s.recent)
		return &next
	}
	next.recent = map[types.CanisterID]*Canister{}
	next.base = make(map[types.CanisterID]*Canister, len(s.ids))
	for _, id := range s.ids {
		next.base[id] = s.Canister(id)
	}
	return &next
}

// Canister returns a canister to read, or nil.
func (s *State) Canister(id types.CanisterID) *Canister {
	if c, ok := s.recent[id]; ok {
		return c
	}
	return s.base[id]
}

// Edit returns a canister to change, or nil.
func (s *State) Edit(id types.CanisterID) *Canister {
	c := s.Canister(id)
	if c == nil || s.edited[id] {
		return c
	}
	c = c.clone()
	s.recent[id], s.edited[id] = c, true
	return c
}

// Touch returns a canister of which only what is no map, slice or pointer may be
// changed, and nothing that the state tree shows: it is cheaper than Edit, and not
// Edited. It returns nil if there is none.
func (s *State) Touch(id types.CanisterID) *Canister {
	c := s.Canister(id)
	if c == nil || s.edited[id] {
		return c
	}
	copied := *c
	s.recent[id] = &copied
	return &copied
}

// Add puts a new canister into the state.
func (s *State) Add(c *Canister) {
	s.recent[c.ID], s.edited[c.ID] = c, true
	at, _ := slices.BinarySearchFunc(s.ids, c.ID, principal.ID.Compare)
	s.own()
	s.ids = slices.Insert(s.ids, at, c.ID)
}

// Delete removes a canister.
func (s *State) Delete(id types.CanisterID) {
	if s.Canister(id) == nil {
		return
	}
	s.recent[id], s.edited[id] = nil, true
	at, _ := slices.BinarySearchFunc(s.ids, id, principal.ID.Compare)
	s.own()
	s.ids = slices.Delete(s.ids, at, at+1)
}

// own copies the list of canisters before it changes.
func (s *State) own() {
	if !s.ownIDs {
		s.ids, s.ownIDs = slices.Clone(s.ids), true
	}
}

// IDs are the canisters in order. The slice must not be changed.
func (s *State) IDs() []types.CanisterID { return s.ids }

// Waiting are the canisters that have messages, in order. It costs what was edited
// since Next and what waited then.
func (s *State) Waiting() []types.CanisterID {
	var out []types.CanisterID
	add := func(id types.CanisterID) {
		if c := s.Canister(id); c != nil && len(c.Inbox) > 0 {
			out = append(out, id)
		}
	}
	for _, id := range s.waiting {
		if !s.edited[id] {
			add(id)
		}
	}
	sorted := len(out)
	for id := range s.edited {
		add(id)
	}
	if len(out) > sorted {
		slices.SortFunc(out, principal.ID.Compare)
	}
	return out
}

// Backlog reports whether messages wait for the next round.
func (s *State) Backlog() bool { return len(s.Management) > 0 || len(s.Waiting()) > 0 }

// Edited are the canisters that were edited, added or deleted since Next, in order.
func (s *State) Edited() []types.CanisterID {
	return slices.SortedFunc(maps.Keys(s.edited), principal.ID.Compare)
}

// Ingress is the history of ingress messages. It belongs to the newest state.
func (s *State) Ingress() *IngressHistory { return s.history }
