package execution

import (
	"maps"
	"slices"

	"portico/node/state"
	"portico/node/types"
)

// Output is what a message leads to outside its canister: calls, answers to other
// canisters' calls, and answers to users. Message routing delivers it.
type Output struct {
	Requests     []*state.Request
	Responses    []*state.Response
	Answers      []Answer
	Instructions uint64
	// Messages is the number of messages and tasks that ran.
	Messages uint64
	// ChangedBytes is how much of canisters' memories changed, in whole pages.
	ChangedBytes uint64
	// Lost are the cycles of calls that nobody waits for any more.
	Lost types.Cycles
	// Quick: a user's call ran within a slice of Limits.QuickSliceInstructions.
	Quick bool
	// Paused: the call goes on in the next round.
	Paused bool
}

// Answer decides an ingress message.
type Answer struct {
	Request types.RequestID
	Reply   []byte
	Reject  *types.Reject
}

// Append adds what another message led to.
func (o *Output) Append(p Output) {
	o.Quick = o.Quick || p.Quick
	o.Requests = append(o.Requests, p.Requests...)
	o.Responses = append(o.Responses, p.Responses...)
	o.Answers = append(o.Answers, p.Answers...)
	o.Instructions += p.Instructions
	o.Messages += p.Messages
	o.ChangedBytes += p.ChangedBytes
	o.Lost = o.Lost.Add(p.Lost)
}

// What messages take of a round besides their instructions, in instructions that take as long:
// measured, and only roughly the same on other machines.
const (
	messageWeight     = 50_000 // the system around a message
	changedByteWeight = 3      // finding and keeping a byte that changed
	carriedByteWeight = 1      // copying a byte between canisters
	answerByteWeight  = 8      // hashing and keeping a byte of an answer to a user
)

// Weight is what the messages take of a round, in instructions.
func (o *Output) Weight() uint64 {
	w := o.Instructions + o.Messages*messageWeight + o.ChangedBytes*changedByteWeight
	for _, a := range o.Answers {
		w += uint64(len(a.Reply)) * answerByteWeight
	}
	for _, r := range o.Requests {
		w += uint64(len(r.Arg)) * carriedByteWeight
	}
	for _, r := range o.Responses {
		w += uint64(len(r.Reply)) * carriedByteWeight
	}
	return w
}

// answer sends the answer to a call back to where it came from, with the cycles
// nobody accepted.
func (o *Output) answer(to state.Origin, reply []byte, reject *types.Reject, refund types.Cycles) {
	switch to.Kind {
	case state.FromUser:
		o.Answers = append(o.Answers, Answer{to.Request, reply, reject})
	case state.FromCanister:
		o.Responses = append(o.Responses, &state.Response{Receiver: to.Sender, Callback: to.Callback, Refund: refund, Reply: reply, Reject: reject})
	case state.FromSystem:
	default:
		panic("execution: origin of unknown kind")
	}
}

// Reject answers a request without running it.
func (o *Output) Reject(r *state.Request, reject *types.Reject) {
	o.answer(r.Origin, nil, reject, r.Cycles)
}

func sortedIDs[V any](m map[uint64]V) []uint64 {
	return slices.Sorted(maps.Keys(m))
}
