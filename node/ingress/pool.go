package ingress

import (
	"errors"
	"slices"

	"portico/node/artifact"
	"portico/node/types"
)

// Limits of blocks and the pool (resource limits of the Internet Computer).
const (
	MaxBlockBytes    = 4 * types.MiB
	MaxBlockMessages = 1000
	maxPoolMessages  = 20_000
	maxPoolBytes     = 256 * types.MiB
	// maxPeerShare is the part of the pool, one in so many, that calls from one peer may
	// take, and that is kept free of all peers' for what users send to this node itself.
	maxPeerShare = 4
)

// ErrFull says that the pool has no room for a further call.
var ErrFull = errors.New("the pool of messages that wait for a block is full; try again in a few seconds")

// Pool holds calls whose signatures were checked until a block takes them or they
// expire. It belongs to the node's loop.
type Pool struct {
	calls   map[artifact.ID]*pooled
	byID    map[types.RequestID]artifact.ID
	waiting []*pooled // in the order in which they came
	bytes   int
	used    map[types.NodeID]usage
}

type pooled struct {
	*Call
	from types.NodeID
}

type usage struct{ messages, bytes int }

// full reports whether a further call of a size does not fit into so many shares of the pool.
func (u usage) full(size, shares int) bool {
	return u.messages >= shares*maxPoolMessages/maxPeerShare || u.bytes+size > shares*maxPoolBytes/maxPeerShare
}

// NewPool is an empty pool.
func NewPool() *Pool {
	return &Pool{calls: map[artifact.ID]*pooled{}, byID: map[types.RequestID]artifact.ID{}, used: map[types.NodeID]usage{}}
}

// Add puts a call into the pool that a peer sent, or this node's user with the zero
// NodeID; the error is ErrFull. A call that is there already is not added again, nor is
// another signature of the same request: added says whether it is new.
func (p *Pool) Add(c *Call, from types.NodeID) (added bool, err error) {
	if _, ok := p.byID[c.RequestID()]; ok {
		return false, nil
	}
	size := len(c.Encoded)
	if len(p.calls) >= maxPoolMessages || p.bytes+size > maxPoolBytes {
		return false, ErrFull
	}
	u, own := p.used[from], p.used[types.NodeID{}]
	if from != (types.NodeID{}) {
		peers := usage{len(p.calls) - own.messages, p.bytes - own.bytes}
		if u.full(size, 1) || peers.full(size, maxPeerShare-1) {
			return false, ErrFull
		}
	}
	p.used[from] = usage{u.messages + 1, u.bytes + size}
	p.bytes += size
	e := &pooled{c, from}
	p.calls[c.ID], p.byID[c.RequestID()] = e, c.ID
	p.waiting = append(p.waiting, e)
	return true, nil
}

// Get returns a call, or nil.
func (p *Pool) Get(id artifact.ID) *Call {
	if e := p.calls[id]; e != nil {
		return e.Call
	}
	return nil
}

// Has reports whether the pool knows a request.
func (p *Pool) Has(id types.RequestID) bool { _, ok := p.byID[id]; return ok }

// Len is the number of calls, Bytes their size.
func (p *Pool) Len() int { return len(p.calls) }

// Bytes is the size of the calls.
func (p *Pool) Bytes() int { return p.bytes }

// Select returns calls for a block at a time, oldest first, within the limits of a block and
// without those that are taken already.
func (p *Pool) Select(at types.Time, taken func(types.RequestID) bool) []*Call {
	var out []*Call
	bytes := 0
	for _, e := range p.waiting {
		if !Fresh(e.Call, at) || taken(e.RequestID()) {
			continue
		}
		if len(out) == MaxBlockMessages || bytes+len(e.Encoded) > MaxBlockBytes {
			break
		}
		bytes += len(e.Encoded)
		out = append(out, e.Call)
	}
	return out
}

// maxExpiry is how far ahead of a block's time an expiry may lie: what users may ask for
// (five minutes), half a minute for clocks, and as much again for those of block makers.
const maxExpiry = types.Time(6 * 60 * 1e9)

// Fresh reports whether a block at a time may carry a call.
func Fresh(c *Call, at types.Time) bool { return c.Expiry() >= at && c.Expiry() <= at+maxExpiry }

// Remove forgets the calls that gone selects and returns their ids in order.
func (p *Pool) Remove(gone func(*Call) bool) []artifact.ID {
	var out []artifact.ID
	p.waiting = slices.DeleteFunc(p.waiting, func(e *pooled) bool {
		if !gone(e.Call) {
			return false
		}
		out = append(out, e.ID)
		delete(p.calls, e.ID)
		delete(p.byID, e.RequestID())
		p.bytes -= len(e.Encoded)
		u := p.used[e.from]
		p.used[e.from] = usage{u.messages - 1, u.bytes - len(e.Encoded)}
		return true
	})
	slices.SortFunc(out, artifact.ID.Compare)
	return out
}
