// Package ingress holds users' calls between their acceptance by a node and their
// block: what a block carries of them, and the pool in which they wait.
package ingress

import (
	"fmt"
	"slices"
	"sync"

	"portico/lightclient/cbor"
	"portico/lightclient/envelope"
	"portico/lightclient/principal"
	"portico/node/messaging"
	"portico/node/state"
	"portico/node/types"
)

// Message is an ingress message as a block carries it.
type Message struct {
	// Envelope is the signed request as it was received.
	Envelope []byte
	// Effective is the canister that the request concerns, from its URL.
	Effective principal.ID
}

// Append appends the message's CBOR: [envelope, effective].
func (m Message) Append(b []byte) []byte {
	b = cbor.AppendArray(b, 2)
	return cbor.AppendBytes(cbor.AppendBytes(b, m.Envelope), m.Effective.Bytes())
}

// Decode reads a message from a block.
func Decode(d *cbor.Decoder) (Message, error) {
	at := d.Offset()
	if n, err := d.Array(); err != nil {
		return Message{}, err
	} else if n != 2 {
		return Message{}, fmt.Errorf("ingress message at offset %d: expected 2 items, found %d", at, n)
	}
	raw, err := d.Bytes()
	if err != nil {
		return Message{}, err
	}
	id, err := d.Bytes()
	if err != nil {
		return Message{}, err
	}
	effective, err := principal.FromBytes(id)
	return Message{raw, effective}, err
}

// Call is what the message asks for. Its signature was checked before it was put
// into a block.
func (m Message) Call() (*messaging.Ingress, error) {
	e, err := envelope.Decode(m.Envelope)
	if err != nil {
		return nil, err
	}
	r := &e.Request
	if r.Kind != envelope.Call {
		return nil, fmt.Errorf("ingress message %x is a %s, not a call", e.RequestID, r.Kind)
	}
	in := &messaging.Ingress{
		ID: e.RequestID, Expiry: types.Time(r.IngressExpiry), Bytes: len(m.Envelope),
		Request: state.Request{
			Origin:   state.Origin{Kind: state.FromUser, Sender: r.Sender, Request: e.RequestID},
			Receiver: r.Canister, Method: r.Method, Arg: r.Arg, Effective: m.Effective,
		},
	}
	if r.SenderInfo != nil {
		in.Request.CallerInfo, in.Request.CallerSigner = r.SenderInfo.Info, r.SenderInfo.Signer
	}
	return in, nil
}

// Limits of blocks and the pool (resource limits of the Internet Computer).
const (
	MaxBlockBytes    = 4 * types.MiB
	MaxBlockMessages = 1000
	maxPoolMessages  = 20_000
	maxPoolBytes     = 256 * types.MiB
)

// Pool holds accepted messages until a block takes them or they expire.
type Pool struct {
	mu      sync.Mutex
	waiting []waiting
	known   map[types.RequestID]bool
	bytes   int
	arrived chan struct{}
}

type waiting struct {
	id      types.RequestID
	expiry  types.Time
	message Message
}

// NewPool is an empty pool.
func NewPool() *Pool {
	return &Pool{known: map[types.RequestID]bool{}, arrived: make(chan struct{}, 1)}
}

// Add puts a message into the pool; false says that the pool is full. One that is
// there already is not added again.
func (p *Pool) Add(id types.RequestID, expiry types.Time, m Message) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.known[id] {
		return true
	}
	if len(p.waiting) >= maxPoolMessages || p.bytes+len(m.Envelope) > maxPoolBytes {
		return false
	}
	p.known[id] = true
	p.bytes += len(m.Envelope)
	p.waiting = append(p.waiting, waiting{id, expiry, m})
	select {
	case p.arrived <- struct{}{}:
	default:
	}
	return true
}

// Arrived receives a value when messages have come since it last did.
func (p *Pool) Arrived() <-chan struct{} { return p.arrived }

// Select returns the messages for the next block, oldest first, within the limits
// of a block, and forgets those that are expired. The selected ones stay until Remove.
func (p *Pool) Select(now types.Time) []Message {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.drop(func(w waiting) bool { return w.expiry < now })
	var out []Message
	bytes := 0
	for _, w := range p.waiting {
		if len(out) == MaxBlockMessages || bytes+len(w.message.Envelope) > MaxBlockBytes {
			break
		}
		bytes += len(w.message.Envelope)
		out = append(out, w.message)
	}
	return out
}

// Remove forgets messages that a block has taken, and reports whether others wait.
func (p *Pool) Remove(ids []types.RequestID) (more bool) {
	taken := make(map[types.RequestID]bool, len(ids))
	for _, id := range ids {
		taken[id] = true
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.drop(func(w waiting) bool { return taken[w.id] })
	return len(p.waiting) > 0
}

func (p *Pool) drop(gone func(waiting) bool) {
	p.waiting = slices.DeleteFunc(p.waiting, func(w waiting) bool {
		if !gone(w) {
			return false
		}
		delete(p.known, w.id)
		p.bytes -= len(w.message.Envelope)
		return true
	})
}
