package messaging

import (
	"portico/node/execution"
	"portico/node/state"
	"portico/node/types"
)

// maxServed is how many calls of one canister may wait at another or be open there.
const maxServed = 500

// deliver puts a request into the queue of its receiver, or rejects it.
func (r *round) deliver(request *state.Request) {
	if request.Receiver.IsManagement() || request.Receiver == r.Subnet.ID {
		r.s.Management = append(r.s.Management, state.Input{Request: request})
		r.begun(request)
		return
	}
	var out execution.Output
	switch c := r.s.Canister(request.Receiver); {
	case c == nil:
		out.Reject(request, execution.NotFound(request.Receiver))
	case overrun(c, request):
		out.Reject(request, types.Rejectf(types.ErrCanisterQueueFull, "Canister %s input queue is full", request.Receiver))
	default:
		c = r.s.Edit(request.Receiver)
		c.Inbox = append(c.Inbox, state.Input{Request: request})
		r.begun(request)
		return
	}
	r.route(out)
}

// overrun reports whether a canister has as many calls of another as it may have. Calls whose
// response is guaranteed are bounded where they are made, but bounded-wait calls go on at
// the callee after their caller has stopped to count them.
func overrun(c *state.Canister, request *state.Request) bool {
	if request.Origin.Deadline == 0 || len(c.Inbox)+len(c.Contexts) < maxServed {
		return false
	}
	from, n := request.Origin.Sender, 0
	for _, in := range c.Inbox {
		if q := in.Request; q != nil && q.Origin.Kind == state.FromCanister && q.Origin.Sender == from {
			n++
		}
	}
	for _, ctx := range c.Contexts {
		if ctx.Origin.Kind == state.FromCanister && ctx.Origin.Sender == from && !ctx.Responded {
			n++
		}
	}
	return n >= maxServed
}

// begun notes that an ingress message is past its reception.
func (r *round) begun(request *state.Request) {
	if request.Origin.Kind == state.FromUser {
		r.s.Ingress().Set(request.Origin.Request, state.Processing, nil, nil)
	}
}

// route delivers what messages led to.
func (r *round) route(out execution.Output) {
	r.s.HeapDelta += out.ChangedBytes
	r.s.Metrics.UpdateTransactions += out.Messages
	r.lose(out.Lost)
	for _, a := range out.Answers {
		status := state.Replied
		if a.Reject != nil {
			status = state.Rejected
		}
		r.s.Ingress().Set(a.Request, status, a.Reply, a.Reject)
	}
	for _, response := range out.Responses {
		r.respond(response)
	}
	for _, request := range out.Requests {
		r.deliver(request)
	}
}

// respond puts a response into the queue of the canister that made the call. Of a bounded-wait
// call it is dropped, with its cycles, if it comes too late, and replaced by a reject if
// there is no room for it.
func (r *round) respond(response *state.Response) {
	c := r.s.Edit(response.Receiver)
	if c == nil {
		r.lose(response.Refund)
		return
	}
	if cb := c.Callbacks[response.Callback]; cb != nil && cb.Deadline != 0 {
		if bytes := response.Bytes(); bytes <= r.room.BestEffort {
			r.room.BestEffort -= bytes
		} else {
			response = &state.Response{
				Receiver: response.Receiver, Callback: response.Callback, Refund: response.Refund,
				Reject: types.Rejectf(types.ErrResponseDropped, "The response was dropped: the subnet has no room for it."),
			}
		}
	}
	if !c.Respond(response) {
		r.lose(response.Refund)
	}
}

// lose counts cycles that belong to nobody any more.
func (r *round) lose(cycles types.Cycles) {
	r.s.Metrics.GoneCycles = r.s.Metrics.GoneCycles.Add(cycles)
}
