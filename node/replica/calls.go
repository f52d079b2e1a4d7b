package replica

import (
	"portico/node/artifact"
	"portico/node/ingress"
	"portico/node/loop"
	"portico/node/p2p"
	"portico/node/types"
)

// checking holds the calls from peers whose signatures are to be checked.
type checking struct {
	waiting []received
	ids     map[artifact.ID]bool // of those that wait or are being checked
	sent    map[types.NodeID]int // how many of them a peer has sent
	busy    bool
	bytes   int
}

type received struct {
	call *ingress.Call
	from types.NodeID
}

// Bounds of what waits for its check, and of what is checked at a time.
const (
	maxChecking      = 20_000
	maxPeerChecking  = maxChecking / 4
	maxCheckingBytes = 64 * types.MiB
	checkBatch       = 256
)

// checkedCalls is the end of a check: errs are by index.
type checkedCalls struct {
	calls []received
	errs  []error
}

// submit takes in a call of a user of this node.
func (r *Replica) submit(env loop.Env, ev Submit) {
	if r.cfg.States.Known(ev.Call.RequestID()) {
		ev.Done(nil)
		return
	}
	added, err := r.calls.Add(ev.Call, types.NodeID{})
	if added {
		// whoever waits for this call in a block of a peer must not wait for a fetch
		r.blocks.arrived(ev.Call, true)
		if !r.broadcast.Publish(env, p2p.Ingress, ev.Call.ID, ev.Call.Encoded) {
			err = ingress.ErrFull
			r.calls.Remove(func(c *ingress.Call) bool { return c == ev.Call })
		}
	}
	ev.Done(err)
}

// ingressClient is the pool of calls as the broadcast sees it.
type ingressClient struct{ r *Replica }

// Interest is Wanted for calls that this node does not know and that are not expired.
func (c ingressClient) Interest(id artifact.ID) p2p.Interest {
	r := c.r
	if id.Kind != artifact.Ingress || r.calls.Get(id) != nil || r.checking.ids[id] || r.blocks.calls[id] != nil || id.Height <= r.blocks.expired {
		return p2p.Unwanted
	}
	return p2p.Wanted
}

// Get returns a call that waits or is in a recent block.
func (c ingressClient) Get(id artifact.ID) []byte {
	if call := c.r.calls.Get(id); call != nil {
		return call.Encoded
	}
	if call := c.r.blocks.calls[id]; call != nil {
		return call.Encoded
	}
	return nil
}

// Received takes a call that its signature is still to be checked of.
func (c ingressClient) Received(from types.NodeID, id artifact.ID, encoded []byte) {
	call, err := ingress.OpenEncoded(id, encoded)
	if err != nil {
		c.r.blocks.offenders = append(c.r.blocks.offenders, offence{from, err})
		return
	}
	c.r.blocks.fetched(id)
	if !c.r.checking.add(call, from) {
		c.r.blocks.askAgain(id)
	}
}

// full reports whether there is no room for a further call of the largest size.
func (q *checking) full() bool {
	return len(q.ids) >= maxChecking || q.bytes+ingress.MaxBlockBytes > maxCheckingBytes
}

// add has a call checked, unless there is no room.
func (q *checking) add(c *ingress.Call, from types.NodeID) bool {
	if q.ids[c.ID] {
		return true
	}
	if q.full() || q.sent[from] >= maxPeerChecking {
		return false
	}
	q.waiting = append(q.waiting, received{c, from})
	q.ids[c.ID] = true
	q.sent[from]++
	q.bytes += len(c.Encoded)
	return true
}

// checkCalls has the next calls checked off the loop.
func (r *Replica) checkCalls(env loop.Env) {
	q := &r.checking
	if q.busy || len(q.waiting) == 0 {
		return
	}
	n := min(len(q.waiting), checkBatch)
	batch := q.waiting[:n:n]
	q.waiting = q.waiting[n:]
	q.busy = true
	check, now := r.cfg.Check, env.Now()
	env.Go(func() loop.Event {
		errs := make([]error, len(batch))
		for i, x := range batch {
			errs[i] = check(x.call, now)
		}
		return checkedCalls{batch, errs}
	})
}

func (r *Replica) callsChecked(env loop.Env, ev checkedCalls) {
	q := &r.checking
	q.busy = false
	now := env.Now()
	for i, x := range ev.calls {
		delete(q.ids, x.call.ID)
		q.sent[x.from]--
		q.bytes -= len(x.call.Encoded)
		err := ev.errs[i]
		r.blocks.arrived(x.call, err == nil)
		if err != nil {
			// one that expired was fresh when the peer sent it, or is part of an old block
			if x.call.Expiry() >= now {
				r.cfg.Log.Warn("a peer sent a call that is not valid", "peer", x.from, "call", x.call.ID, "reason", err)
				r.broadcast.Penalise(env, x.from)
			}
			continue
		}
		if r.cfg.States.Known(x.call.RequestID()) {
			continue
		}
		if _, err := r.calls.Add(x.call, x.from); err != nil {
			r.cfg.Log.Debug("a peer's call is not kept", "peer", x.from, "call", x.call.ID, "reason", err)
		}
	}
}
