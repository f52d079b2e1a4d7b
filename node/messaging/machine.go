// Package messaging is the message routing layer: it turns a batch that consensus
// agreed on into the next state (induct, execute, route).
//
// A round is a function of the state and the batch. All replicas of a subnet run
// the same rounds and reach the same states.
package messaging

import (
	"crypto/sha256"
	"encoding/binary"
	"slices"

	"portico/node/execution"
	"portico/node/state"
	"portico/node/types"
)

// Batch is what consensus agreed on for one height.
type Batch struct {
	Height     types.Height
	Time       types.Time
	Randomness types.Hash // of the random tape
	Ingress    []*Ingress
	// Maker made the block, and those who Failed would have come before it. Maker is the
	// zero id where that is not known, and then nobody is counted.
	Maker  types.NodeID
	Failed []types.NodeID
	// Queries are what Maker reports of the queries that it answered.
	Queries []types.QueryReport
	// Checkpoint: the state of this height is made durable. Messages that are in the middle
	// begin again.
	Checkpoint bool
}

// Ingress is a user's call that was checked before it was put into a batch.
type Ingress struct {
	ID      types.RequestID
	Expiry  types.Time
	Bytes   int // of the whole message, for its price
	Request state.Request
}

// Machine executes batches.
type Machine struct {
	Subnet   execution.Subnet
	Executor *execution.Executor
	Parallel execution.Parallel

	index index
}

// Round applies a batch: it makes the state of the batch's height. It costs what is active,
// not what there is, if s is what it made last.
func (m *Machine) Round(s *state.State, b Batch) *state.State {
	m.index.follow(s, m.Executor)
	r := &round{
		Machine: m, s: s.Next(b.Time), batch: b, ended: map[types.CanisterID]bool{},
	}
	pace := m.Executor.Limits().Pace(s, r.s.Time, len(b.Ingress))
	r.slice, r.left = pace.Slice, pace.Round
	r.room = r.roomLeft()
	if !b.Maker.IsManagement() {
		r.s.CountBlock(b.Maker, b.Failed)
	}
	r.countQueries()
	r.answerRandomness()
	r.induct()
	r.timeouts()
	r.tasks()
	for turn := 0; turn < maxTurns && r.left > 0; turn++ {
		managed := r.manage()
		ran := r.execute()
		if !managed && !ran {
			break
		}
	}
	r.pauseFew()
	if b.Checkpoint {
		r.countRestarts()
	}
	r.finishStops()
	r.charge()
	r.s.Ingress().Expire(r.s.Time)
	m.index.update(r.s, r.s.Edited(), m.Executor)
	r.s.Metrics.ConsumedCycles, r.s.Metrics.StateBytes = m.index.consumed.Add(r.s.Metrics.GoneCycles), m.index.stored
	if b.Checkpoint {
		// Whoever starts from the checkpoint knows nothing of what is in the middle.
		m.Executor.AbandonAll()
		r.s.HeapDelta = 0
	}
	return r.s
}

// round is the state of one Round.
type round struct {
	*Machine
	s     *state.State
	batch Batch
	room  execution.Room
	slice uint64 // instructions
	left  uint64 // instructions of each lane
	// ended are the canisters that have had their slice of a long message.
	ended map[types.CanisterID]bool
	// scheduled: the canisters that wait have got their priorities for this round.
	scheduled bool
	// installed are the instructions of this round's calls to the management canister; from
	// a slice on, installations wait.
	installed uint64
}

// roomLeft is what the subnet's limits leave for the round.
func (r *round) roomLeft() execution.Room {
	l, x := r.Executor.Limits(), &r.index
	left := func(most, used uint64) uint64 { return most - min(most, used) }
	return execution.Room{
		Guaranteed: left(l.GuaranteedBytes, x.total.Guaranteed), BestEffort: left(l.BestEffortBytes, x.total.BestEffort),
		Callbacks: left(l.Callbacks, x.total.Callbacks), Storage: left(l.StorageBytes, x.stored), Stored: x.stored,
	}
}

// induct puts the batch's ingress messages into queues.
func (r *round) induct() {
	for _, in := range r.batch.Ingress {
		if r.s.Ingress().Get(in.ID) != nil || in.Expiry < r.s.Time || r.s.Ingress().Full() {
			continue
		}
		request := in.Request
		request.Expiry = in.Expiry
		r.s.Ingress().Begin(in.ID, state.IngressEntry{
			Status: state.Received, Sender: request.Origin.Sender, Receiver: request.Receiver, Effective: request.Effective, Expiry: in.Expiry,
		})
		if rej := r.chargeIngress(execution.Payer(&request), in); rej != nil {
			r.s.Ingress().Set(in.ID, state.Rejected, nil, rej)
			continue
		}
		r.deliver(&request)
	}
}

// chargeIngress takes the price of an ingress message from the canister it is for.
// Calls that create canisters concern none and are free.
func (r *round) chargeIngress(payer types.CanisterID, in *Ingress) *types.Reject {
	if r.s.Canister(payer) == nil {
		return nil
	}
	c := r.s.Edit(payer)
	cost, threshold := r.Executor.Costs().Ingress(in.Bytes), r.Executor.Costs().FreezingThreshold(c)
	if execution.Thaws(c, &in.Request) {
		threshold = types.Cycles{}
	}
	if c.Cycles.Sub(threshold).Cmp(cost) < 0 {
		return types.Rejectf(types.ErrCanisterOutOfCycles, "Canister %s is out of cycles: taking in this message costs %s cycles", payer, cost)
	}
	c.Cycles = c.Cycles.Sub(cost)
	c.Consume(state.UseIngress, cost)
	return nil
}

// answerRandomness answers the raw_rand calls of earlier rounds, each with bytes of
// its own from a random tape that nobody knew when it was made.
func (r *round) answerRandomness() {
	waiting := r.s.AwaitingRandomness
	r.s.AwaitingRandomness = nil
	for i, request := range waiting {
		seed := append([]byte("portico-raw-rand"), r.batch.Randomness[:]...)
		bytes := sha256.Sum256(binary.BigEndian.AppendUint64(seed, uint64(i)))
		r.route(r.Executor.RandomReply(request, bytes))
	}
}

// timeouts answers bounded-wait calls whose deadline is past.
func (r *round) timeouts() {
	for _, id := range r.index.deadlines.due(r.s.Time) {
		for _, callback := range r.s.Canister(id).Expired(r.s.Time) {
			r.s.Edit(id).Respond(&state.Response{
				Receiver: id, Callback: callback, Reject: types.Rejectf(types.ErrDeadlineExpired, "Call deadline has expired."),
			})
		}
	}
}

// tasks queues heartbeats, timers and low-memory hooks, at most one of each kind.
func (r *round) tasks() {
	for _, list := range [][]types.CanisterID{r.index.eager.list(), r.index.timers.due(r.s.Time)} {
		for _, id := range list {
			for _, task := range r.Executor.DueTasks(r.s.Canister(id), r.s.Time) {
				r.Executor.QueueTask(r.s.Edit(id), task)
			}
		}
	}
}

// manage runs the calls to the management canister that wait, and reports whether it ran
// any. Installations go on over several rounds, one at a time; what concerns the canister
// that is being installed, and other installations, wait for that.
func (r *round) manage() (ran bool) {
	queue := r.s.Management
	r.s.Management = nil
	var waiting []state.Input
	for _, in := range queue {
		if r.installed >= r.slice && execution.Installs(in.Request) || r.Executor.Holds(in.Request) {
			waiting = append(waiting, in)
			continue
		}
		out := r.Executor.Manage(r.s, in.Request, r.Executor.Limits().Again(r.slice, r.s.InstallRestarts))
		r.installed += out.Instructions
		ran = true
		if out.Paused {
			// it must not run again in this round
			r.installed = r.slice
			waiting = append(waiting, in)
		} else if execution.Installs(in.Request) {
			r.s.InstallRestarts = 0
		}
		r.route(out)
	}
	r.s.Management = append(waiting, r.s.Management...)
	return ran
}

// finishStops stops the canisters whose last call has ended, and gives up on
// stopping others.
func (r *round) finishStops() {
	for _, id := range r.stopping() {
		if r.s.Canister(id).Status == state.Stopping {
			r.route(r.Executor.FinishStop(r.s.Edit(id), r.s.Time))
		}
	}
}

// stopping are the canisters that may wait to be stopped.
func (r *round) stopping() []types.CanisterID {
	var out []types.CanisterID
	for _, id := range r.index.stopping.list() {
		if r.s.Canister(id) != nil {
			out = append(out, id)
		}
	}
	for _, id := range r.s.Edited() {
		if c := r.s.Canister(id); c != nil && c.Status == state.Stopping && !r.index.stopping.in[id] {
			out = append(out, id)
		}
	}
	slices.SortFunc(out, types.CanisterID.Compare)
	return out
}

// charge makes canisters pay for what they store: those that are active, and some of the
// others in turn.
func (r *round) charge() {
	for _, id := range r.s.Edited() {
		r.route(r.Executor.Charge(r.s, id))
	}
	ids := r.s.IDs()
	at, _ := slices.BinarySearchFunc(ids, r.s.NextCharged, types.CanisterID.Compare)
	for range min(maxCharged, len(ids)) {
		if at == len(ids) {
			at = 0
		}
		if before := r.s.Canister(ids[at]); before.Charged != r.s.Time {
			r.route(r.Executor.Charge(r.s, ids[at]))
			if c := r.s.Canister(ids[at]); c != before {
				r.index.set(ids[at], c, r.Executor)
			}
		}
		at++
	}
	r.s.NextCharged = types.CanisterID{}
	if at < len(ids) {
		r.s.NextCharged = ids[at]
	}
}
