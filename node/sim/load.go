package sim

import (
	"encoding/binary"
	"errors"
	"fmt"
	"time"

	"portico/lightclient/envelope"
	"portico/lightclient/principal"
	"portico/node/ingress"
	"portico/node/replica"
	"portico/node/types"
)

// Load is the users of a subnet: they send calls to nodes, and again to others while
// they have no answer.
type Load struct {
	world   *World
	calls   []*userCall
	pause   time.Duration // between calls; 0 while there are none
	honest  func(node int) bool
	request Request
	running bool
}

// Request draws the canister, the method and the argument of a call, and the canister that it
// concerns, which is the same unless it is a call to the management canister. Load adds the rest.
// If ok is false the user sends nothing after all.
type Request func() (r envelope.Request, effective principal.ID, ok bool)

// add is the only request that ModelStates need.
func add() (envelope.Request, principal.ID, bool) {
	return envelope.Request{Canister: principal.Canister(0), Method: "add"}, principal.Canister(0), true
}

// userCall is a call that users want executed.
type userCall struct {
	call *ingress.Call
	// accepted are the honest nodes that had it in their pools.
	accepted []acceptance
}

// acceptance is a call's presence in a pool, which ends with the node's life.
type acceptance struct {
	node, life int
	at         types.Time
}

// NewLoad is a load that is not there yet. Honest says whether a node can be trusted to
// keep what it accepts; request may be nil.
func NewLoad(w *World, honest func(node int) bool, request Request) *Load {
	if request == nil {
		request = add
	}
	return &Load{world: w, honest: honest, request: request}
}

// Rate has so many calls sent in a second from now on.
func (l *Load) Rate(perSecond int) {
	l.pause = 0
	if perSecond > 0 {
		l.pause = time.Second / time.Duration(perSecond)
	}
	if !l.running && l.pause > 0 {
		l.running = true
		l.next()
	}
}

func (l *Load) next() {
	if l.pause == 0 {
		l.running = false
		return
	}
	l.world.In(l.world.upTo(2*l.pause), func() {
		if l.pause > 0 {
			l.Call()
		}
		l.next()
	})
}

// Expiries of calls.
const (
	minExpiry = 20 * time.Second
	maxExpiry = 5 * time.Minute
)

// Call sends one call to a node, to a second one at times, and to others if there is no answer.
func (l *Load) Call() {
	w := l.world
	request, effective, ok := l.request()
	if !ok {
		return
	}
	request.Kind, request.Nonce = envelope.Call, binary.BigEndian.AppendUint64(nil, uint64(len(l.calls)))
	request.IngressExpiry = uint64(w.now.Add(w.between(minExpiry, maxExpiry)))
	e, err := envelope.Anonymous{}.Sign(request)
	if err != nil {
		w.Fail(err)
		return
	}
	c, err := ingress.Open(ingress.Message{Envelope: e.Append(nil), Effective: effective})
	if err != nil {
		w.Fail(fmt.Errorf("the load's own call: %w", err))
		return
	}
	u := &userCall{call: c}
	l.calls = append(l.calls, u)
	l.send(u, 0)
	if w.chance(250) {
		// Users repeat themselves, sooner or later: a call is executed once all the same.
		w.In(w.upTo(10*time.Second), func() { l.send(u, maxTries) })
	}
}

const (
	maxTries = 20
	patience = 2 * time.Second
)

// send hands a call to a node, and to another one later unless it is kept.
func (l *Load) send(u *userCall, tries int) {
	w := l.world
	if node := w.rand.IntN(len(w.hosts)); w.Up(node) {
		w.Inject(node, replica.Submit{Call: u.call, Done: func(err error) {
			switch {
			case err == nil && l.honest(node):
				u.accepted = append(u.accepted, acceptance{node, w.Life(node), w.now})
			case err != nil && !errors.Is(err, ingress.ErrFull):
				w.Fail(fmt.Errorf("node %d refuses call %x: %w", node, u.call.RequestID(), err))
			}
		}})
	}
	if tries < maxTries {
		w.In(patience, func() {
			if !l.kept(u, w.now) && u.call.Expiry() > w.now {
				l.send(u, tries+1)
			}
		})
	}
}

// kept reports whether an honest node has had the call in its pool since a time and in its present
// life.
func (l *Load) kept(u *userCall, since types.Time) bool {
	for _, a := range u.accepted {
		if a.at <= since && l.world.Up(a.node) && l.world.Life(a.node) == a.life {
			return true
		}
	}
	return false
}

// Sent is the number of calls, Executed how many of them the finalized chain has.
func (l *Load) Sent() int { return len(l.calls) }

// Executed is the number of calls that were agreed on.
func (l *Load) Executed(c *Checker) (n int) {
	for _, u := range l.calls {
		if _, ok := c.Executed(u.call.RequestID()); ok {
			n++
		}
	}
	return n
}

// Missing is a call that an honest node has kept since a time, that expires after another and
// that is not executed, or nil.
func (l *Load) Missing(c *Checker, since, expiry types.Time) *types.RequestID {
	for _, u := range l.calls {
		id := u.call.RequestID()
		if _, ok := c.Executed(id); !ok && u.call.Expiry() > expiry && l.kept(u, since) {
			return &id
		}
	}
	return nil
}

// check is what every node checks of a call before it votes for a block with it: here, that
// it needs no signature.
func check(c *ingress.Call, _ types.Time) error {
	if !c.Envelope.Request.Sender.IsAnonymous() {
		return errors.New("only anonymous calls are expected")
	}
	return nil
}
