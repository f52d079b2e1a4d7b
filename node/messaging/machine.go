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

	"portico/lightclient/principal"
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
}

const (
	// maxRoundInstructions ends a round: what is left waits for the next.
	maxRoundInstructions = 7_000_000_000
	// maxCanisterInstructions ends a canister's turn within a round.
	maxCanisterInstructions = 2_000_000_000
	// maxTurns bounds how often a round lets messages lead to further messages.
	maxTurns = 100
	// chargeInterval is how often canisters pay for storage.
	chargeInterval = 10_000_000_000
)

// Round applies a batch: it makes the state of the batch's height.
func (m *Machine) Round(s *state.State, b Batch) *state.State {
	r := &round{Machine: m, s: s.Next(b.Time), batch: b, paused: map[types.CanisterID]bool{}}
	r.answerRandomness()
	r.induct()
	r.timeouts()
	r.tasks()
	for turn := 0; turn < maxTurns && r.used < maxRoundInstructions; turn++ {
		managed := r.manage()
		ran := r.execute()
		if !managed && !ran {
			break
		}
	}
	r.finishStops()
	r.charge()
	r.s.Ingress().Expire(r.s.Time)
	return r.s
}

// round is the state of one Round.
type round struct {
	*Machine
	s     *state.State
	batch Batch
	used  uint64 // instructions
	// paused are the canisters that have had their slice of a long message.
	paused map[types.CanisterID]bool
}

// induct puts the batch's ingress messages into queues.
func (r *round) induct() {
	for _, in := range r.batch.Ingress {
		if r.s.Ingress().Get(in.ID) != nil || in.Expiry < r.s.Time {
			continue
		}
		request := in.Request
		r.s.Ingress().Begin(in.ID, state.IngressEntry{
			Status: state.Received, Sender: request.Origin.Sender, Receiver: request.Receiver, Effective: request.Effective, Expiry: in.Expiry,
		})
		payer := request.Receiver
		if payer.IsManagement() {
			payer = request.Effective
		}
		if rej := r.chargeIngress(payer, in); rej != nil {
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
	cost := r.Executor.Costs().Ingress(in.Bytes)
	if c.Cycles.Sub(r.Executor.Costs().FreezingThreshold(c)).Cmp(cost) < 0 {
		return types.Rejectf(types.ErrCanisterOutOfCycles, "Canister %s is out of cycles: taking in this message costs %s cycles", payer, cost)
	}
	c.Cycles = c.Cycles.Sub(cost)
	c.Consumed = c.Consumed.Add(cost)
	return nil
}

// deliver puts a request into the queue of its receiver, or rejects it.
func (r *round) deliver(request *state.Request) {
	if request.Receiver.IsManagement() || request.Receiver == r.Subnet.ID {
		r.s.Management = append(r.s.Management, state.Input{Request: request})
		r.begun(request)
		return
	}
	if r.s.Canister(request.Receiver) == nil {
		var out execution.Output
		out.Reject(request, execution.NotFound(request.Receiver))
		r.route(out)
		return
	}
	c := r.s.Edit(request.Receiver)
	c.Inbox = append(c.Inbox, state.Input{Request: request})
	r.begun(request)
}

// begun notes that an ingress message is past its reception.
func (r *round) begun(request *state.Request) {
	if request.Origin.Kind == state.FromUser {
		r.s.Ingress().Set(request.Origin.Request, state.Processing, nil, nil)
	}
}

// route delivers what messages led to.
func (r *round) route(out execution.Output) {
	r.used += out.Instructions
	for _, a := range out.Answers {
		status := state.Replied
		if a.Reject != nil {
			status = state.Rejected
		}
		r.s.Ingress().Set(a.Request, status, a.Reply, a.Reject)
	}
	for _, response := range out.Responses {
		if c := r.s.Edit(response.Receiver); c != nil {
			c.Inbox = append(c.Inbox, state.Input{Response: response})
		}
	}
	for _, request := range out.Requests {
		r.deliver(request)
	}
}

// answerRandomness answers the raw_rand calls of earlier rounds, each with bytes of
// its own from a random tape that nobody knew when it was made.
func (r *round) answerRandomness() {
	waiting := r.s.AwaitingRandomness
	r.s.AwaitingRandomness = nil
	for i, origin := range waiting {
		seed := append([]byte("portico-raw-rand"), r.batch.Randomness[:]...)
		bytes := sha256.Sum256(binary.BigEndian.AppendUint64(seed, uint64(i)))
		r.route(r.Executor.RandomReply(origin, bytes))
	}
}

// timeouts answers bounded-wait calls whose deadline is past.
func (r *round) timeouts() {
	for _, id := range r.s.IDs() {
		for _, callback := range r.s.Canister(id).Expired(r.s.Time) {
			c := r.s.Edit(id)
			c.Inbox = append(c.Inbox, state.Input{Response: &state.Response{
				Receiver: id, Callback: callback, Reject: types.Rejectf(types.ErrDeadlineExpired, "Call deadline has expired."),
			}})
		}
	}
}

// tasks queues heartbeats and timers, at most one of each kind.
func (r *round) tasks() {
	for _, id := range r.s.IDs() {
		for _, task := range r.Executor.DueTasks(r.s.Canister(id), r.s.Time) {
			if !slices.ContainsFunc(r.s.Canister(id).Inbox, func(in state.Input) bool { return in.Task == task }) {
				c := r.s.Edit(id)
				c.Inbox = append(c.Inbox, state.Input{Task: task})
			}
		}
	}
}

// execute gives every canister that has messages a turn, and reports whether any had.
// One in the middle of a long message gets a slice of it in each round.
func (r *round) execute() bool {
	var ids []types.CanisterID
	for _, id := range r.s.IDs() {
		if len(r.s.Canister(id).Inbox) > 0 && !r.paused[id] {
			r.s.Edit(id)
			ids = append(ids, id)
		}
	}
	paused := make([]bool, len(ids))
	r.each(ids, func(i int, c *state.Canister) (out execution.Output) {
		for len(c.Inbox) > 0 && !paused[i] && out.Instructions < maxCanisterInstructions {
			var more execution.Output
			more, paused[i] = r.Executor.Step(c, r.s.Time)
			out.Append(more)
		}
		return out
	})
	for i, id := range ids {
		if paused[i] {
			r.paused[id] = true
		}
	}
	return len(ids) > 0
}

// each works on different canisters at the same time and then routes what they led
// to in the order of their ids.
func (r *round) each(ids []principal.ID, work func(i int, c *state.Canister) execution.Output) {
	outs := make([]execution.Output, len(ids))
	r.Parallel(len(ids), func(i int) { outs[i] = work(i, r.s.Canister(ids[i])) })
	for _, out := range outs {
		r.s.Metrics.UpdateTransactions += out.Messages
		r.route(out)
	}
}

// manage runs the calls to the management canister that wait.
func (r *round) manage() bool {
	queue := r.s.Management
	r.s.Management = nil
	for _, in := range queue {
		r.route(r.Executor.Manage(r.s, in.Request))
	}
	return len(queue) > 0
}

// finishStops stops the canisters whose last call has ended, and gives up on
// stopping others.
func (r *round) finishStops() {
	for _, id := range r.s.IDs() {
		if r.s.Canister(id).Status == state.Stopping {
			r.route(r.Executor.FinishStop(r.s.Edit(id), r.s.Time))
		}
	}
}

// charge makes canisters pay for what they store, and sums up what they use.
func (r *round) charge() {
	since := r.s.Time - r.s.LastCharged
	if since < chargeInterval {
		return
	}
	r.s.LastCharged = r.s.Time
	consumed, bytes := r.s.Metrics.GoneCycles, uint64(0)
	for _, id := range r.s.IDs() {
		c := r.s.Edit(id)
		r.route(r.Executor.ChargeIdle(c, uint64(since)))
		consumed, bytes = consumed.Add(c.Consumed), bytes+execution.MemoryUsage(c)
	}
	r.s.Metrics.ConsumedCycles, r.s.Metrics.StateBytes = consumed, bytes
}
