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
	AwaitingRandomness []Origin
	// LastCharged is when canisters last paid for storage.
	LastCharged types.Time
	Metrics     Metrics

	canisters map[types.CanisterID]*Canister
	edited    map[types.CanisterID]bool
	ids       []types.CanisterID // sorted; shared until it changes
	history   *IngressHistory
}

// Metrics are the subnet's counters, served under /subnet/<id>/metrics.
type Metrics struct {
	// ConsumedCycles is by all canisters that are or were, as of the last time they
	// were charged; GoneCycles is the part of deleted canisters and of creations.
	ConsumedCycles, GoneCycles types.Cycles
	UpdateTransactions         uint64
	// StateBytes is what canisters store, as of then.
	StateBytes uint64
}

// New is the empty state at height 0. firstCanister is the index of the first
// canister id of the subnet's range.
func New(now types.Time, firstCanister uint64) *State {
	return &State{
		Time: now, LastCharged: now, NextCanister: firstCanister,
		canisters: map[types.CanisterID]*Canister{}, edited: map[types.CanisterID]bool{}, history: newIngressHistory(now),
	}
}

// Next begins the state of the following height. The ingress history moves on to
// it: only the newest state may change or read it.
func (s *State) Next(now types.Time) *State {
	next := *s
	next.Height, next.Time = s.Height+1, max(now, s.Time)
	next.canisters = maps.Clone(s.canisters)
	next.edited = map[types.CanisterID]bool{}
	next.Management = slices.Clone(s.Management)
	next.AwaitingRandomness = slices.Clone(s.AwaitingRandomness)
	return &next
}

// Canister returns a canister to read, or nil.
func (s *State) Canister(id types.CanisterID) *Canister { return s.canisters[id] }

// Edit returns a canister to change, or nil.
func (s *State) Edit(id types.CanisterID) *Canister {
	c := s.canisters[id]
	if c == nil || s.edited[id] {
		return c
	}
	c = c.clone()
	s.canisters[id], s.edited[id] = c, true
	return c
}

// Add puts a new canister into the state.
func (s *State) Add(c *Canister) {
	s.canisters[c.ID], s.edited[c.ID] = c, true
	at, _ := slices.BinarySearchFunc(s.ids, c.ID, principal.ID.Compare)
	s.ids = slices.Insert(slices.Clone(s.ids), at, c.ID)
}

// Delete removes a canister.
func (s *State) Delete(id types.CanisterID) {
	if s.canisters[id] == nil {
		return
	}
	delete(s.canisters, id)
	s.edited[id] = true
	at, _ := slices.BinarySearchFunc(s.ids, id, principal.ID.Compare)
	s.ids = slices.Delete(slices.Clone(s.ids), at, at+1)
}

// IDs are the canisters in order. The slice must not be changed.
func (s *State) IDs() []types.CanisterID { return s.ids }

// Backlog reports whether messages wait for the next round.
func (s *State) Backlog() bool {
	return len(s.Management) > 0 || slices.ContainsFunc(s.ids, func(id types.CanisterID) bool { return len(s.canisters[id].Inbox) > 0 })
}

// Edited are the canisters that were edited, added or deleted since Next, in order.
func (s *State) Edited() []types.CanisterID {
	return slices.SortedFunc(maps.Keys(s.edited), principal.ID.Compare)
}

// Ingress is the history of ingress messages. It belongs to the newest state.
func (s *State) Ingress() *IngressHistory { return s.history }
