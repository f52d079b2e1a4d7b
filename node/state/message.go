package state

import (
	"portico/lightclient/principal"
	"portico/node/types"
)

// OriginKind is who made a call.
type OriginKind uint8

// The kinds of origin.
const (
	FromUser OriginKind = iota + 1
	FromCanister
	FromSystem // heartbeats, timers: nobody waits for an answer
)

// Origin says who made a call and where its answer goes.
type Origin struct {
	Kind OriginKind
	// Sender is the user or canister.
	Sender principal.ID
	// Request is the user's request id.
	Request types.RequestID
	// Callback is the calling canister's.
	Callback uint64
	// Deadline is until when the canister waits; 0 for ever.
	Deadline types.Time
}

// Input is a message to a canister: a Request, a Response or a Task.
type Input struct {
	Request  *Request
	Response *Response
	Task     Task
}

// Task is what the system runs in a canister by itself.
type Task uint8

// The tasks.
const (
	Heartbeat Task = iota + 1
	GlobalTimer
	LowWasmMemory
)

// Request is a call by a user or a canister.
type Request struct {
	Origin   Origin
	Receiver principal.ID
	Method   string
	Arg      []byte
	Cycles   types.Cycles
	// CallerInfo and CallerSigner come with some users' signatures.
	CallerInfo   []byte
	CallerSigner principal.ID
	// SenderVersion is the version of the canister that made the call, when it did.
	SenderVersion uint64
	// Expiry is until when an ingress message may begin.
	Expiry types.Time
	// Effective is the canister that an ingress message to the management canister concerns.
	Effective principal.ID
}

// Response answers a canister's call.
type Response struct {
	Receiver principal.ID // who made the call
	Callback uint64
	Refund   types.Cycles
	Reply    []byte
	Reject   *types.Reject // nil for a reply
}

// CallContext is a call that a canister works on.
type CallContext struct {
	Origin    Origin
	Responded bool
	// Deleted: the code that began it is gone; late responses are dropped.
	Deleted bool
	// Available cycles that the call brought and nobody accepted yet.
	Available types.Cycles
	// Outstanding callbacks that will run in this context.
	Outstanding int
	// Instructions used so far.
	Instructions uint64
	CallerInfo   []byte
	CallerSigner principal.ID
}

// Closure is a table entry and the value it is called with.
type Closure struct{ Fun, Env uint64 }

// Callback waits for the response to a call.
type Callback struct {
	Context       uint64
	Callee        principal.ID
	Cycles        types.Cycles // sent with the call
	Reserved      types.Cycles // set aside for the response
	Reply, Reject Closure
	Cleanup       *Closure
	Deadline      types.Time // of a bounded-wait call; 0 for others
	// Answered: the response is in the canister's queue, and no other will be.
	Answered bool
}

// MaxResponseBytes is what is set aside for a response that is guaranteed.
const MaxResponseBytes = 2 * types.MiB

// Bytes is what the request counts for in queues.
func (r *Request) Bytes() uint64 { return uint64(len(r.Method) + len(r.Arg)) }

// Bytes is what the response counts for in queues.
func (r *Response) Bytes() uint64 {
	if r.Reject != nil {
		return uint64(len(r.Reject.Message))
	}
	return uint64(len(r.Reply))
}
