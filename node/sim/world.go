// Package sim runs whole subnets in virtual time from a seed, with faults, and checks
// what their nodes do.
//
// A World drives the very handlers that run in production, one event at a time, in one
// goroutine: it has their clocks, network, disks and concurrency, and draws every delay and
// every fault from one generator. So the same seed gives the same trace, and a failure is
// a number. Links delay, lose, double and reorder frames; partitions may cut one
// direction only; clocks are wrong and drift; a crash loses timers, work and whatever was
// under way, and keeps what a transaction of the Store made durable, of which a crash in
// the middle leaves all or nothing. Up to f nodes may be Byzantine (Misdeed).
//
// The checkers stand apart from the nodes: a Checker sees what they report and holds it
// against what must never happen (two blocks finalized at a height, a call executed
// twice, a state certified that too few nodes have) and what must happen once
// faults heal. A failure has a Score, one line an event, that a person can read.
//
// Run draws a subnet, its load and its faults from a seed; package scenario plays
// scripted ones. Most runs have a model in place of canisters (ModelStates), which costs nothing.
// TestCanisterSeeds has the real thing: canisters that run random programs, and an audit
// of every state that comes out.
package sim

import (
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"hash"
	"io"
	"math/rand/v2"
	"reflect"
	"runtime/debug"
	"time"

	"portico/node/loop"
	"portico/node/types"
)

// start is when every world begins: any time far from zero will do.
const start = types.Time(1_767_225_600_000_000_000)

// World is a network of nodes in virtual time. It is not safe for concurrent use.
type World struct {
	rand    *rand.Rand
	now     types.Time
	seq     uint64
	queue   queue
	hosts   []*host
	pairs   []*pair // by pairIndex
	weather Weather
	trace   hash.Hash
	kinds   map[reflect.Type]string
	handled uint64
	failure error
	score   *Score
	down    func(node int, reason error)
}

// NewWorld is a world without nodes, all of whose chances follow from the seed. It writes
// what happens to the score.
func NewWorld(seed uint64, score *Score) *World {
	w := &World{
		rand: rand.New(rand.NewPCG(seed, 0x706f727469636f)), now: start, weather: Fair(),
		trace: sha256.New(), kinds: map[reflect.Type]string{}, score: score, down: func(int, error) {},
	}
	score.now = func() time.Duration { return w.Elapsed() }
	return w
}

// Now is the true time.
func (w *World) Now() types.Time { return w.now }

// Elapsed is the time since the world began.
func (w *World) Elapsed() time.Duration { return w.now.Sub(start) }

// Handled is the number of events that nodes have handled.
func (w *World) Handled() uint64 { return w.handled }

// Trace is a hash of every event that nodes have handled, in order.
func (w *World) Trace() (out types.Hash) {
	w.trace.Sum(out[:0])
	return out
}

// Failure is the first failure that Fail was told of, or nil.
func (w *World) Failure() error { return w.failure }

// Fail ends the run. Only the first failure counts.
func (w *World) Fail(err error) {
	if w.failure == nil {
		w.failure = err
		w.score.Note(Everybody, "FAILURE", "%v", err)
	}
}

// OnDown has f called whenever a node is down that nobody crashed: because it
// stopped itself, for that reason, or because of a fault of its disk, with nil.
func (w *World) OnDown(f func(node int, reason error)) { w.down = f }

// In has act run once d has passed.
func (w *World) In(d time.Duration, act func()) { w.push(item{at: w.now.Add(d), act: act}) }

// Run lets d pass, or the time until a failure.
func (w *World) Run(d time.Duration) {
	end := w.now.Add(d)
	for len(w.queue) > 0 && w.queue[0].at <= end && w.failure == nil {
		w.step()
	}
	if w.failure == nil {
		w.now = end
	}
}

// chance is true for so many of a thousand.
func (w *World) chance(permille int) bool { return permille > 0 && w.rand.IntN(1000) < permille }

// upTo is a duration below d, or zero.
func (w *World) upTo(d time.Duration) time.Duration {
	if d <= 0 {
		return 0
	}
	return time.Duration(w.rand.Int64N(int64(d)))
}

// between is a duration from low to below high.
func (w *World) between(low, high time.Duration) time.Duration { return low + w.upTo(high-low) }

func (w *World) push(it item) {
	w.seq++
	it.seq = w.seq
	w.queue.push(it)
}

// step lets the next thing happen.
func (w *World) step() {
	it := w.queue.pop()
	w.now = it.at
	if it.act != nil {
		it.act()
		return
	}
	h := it.to
	if it.flight != nil && !it.flight.land(it) {
		return
	}
	if h.handler == nil || h.life != it.life {
		return
	}
	h.guard(func() {
		ev := it.event
		if it.work != nil {
			ev = it.work()
		}
		w.handled++
		w.record(h, ev)
		h.handler.Handle(h.env, ev)
	})
}

// record adds an event to the trace.
func (w *World) record(h *host, ev loop.Event) {
	t := reflect.TypeOf(ev)
	kind, ok := w.kinds[t]
	if !ok {
		kind = t.String()
		w.kinds[t] = kind
	}
	var head [24]byte
	binary.BigEndian.PutUint64(head[:], uint64(w.now))
	binary.BigEndian.PutUint32(head[8:], uint32(h.index))
	w.trace.Write(head[:12])
	_, _ = io.WriteString(w.trace, kind)
	switch ev := ev.(type) {
	case loop.Received:
		binary.BigEndian.PutUint64(head[:], uint64(len(ev.Frame)))
		head[8] = byte(ev.Channel)
		w.trace.Write(head[:9])
		_, _ = io.WriteString(w.trace, ev.From.Raw())
		w.trace.Write(ev.Frame)
	case loop.Connected:
		_, _ = io.WriteString(w.trace, ev.Peer.Raw())
	case loop.Disconnected:
		_, _ = io.WriteString(w.trace, ev.Peer.Raw())
	}
}

// crash is what a fault of the disk panics with: the process ends there and then.
type crash struct{}

// guard runs a node's code. A panic other than a crash is a failure of the node.
func (h *host) guard(code func()) {
	defer func() {
		switch r := recover().(type) {
		case nil:
		case crash:
			h.end()
			h.world.score.Note(h.index, "crash", "in the middle of a transaction")
			h.world.down(h.index, nil)
		default:
			h.world.Fail(fmt.Errorf("node %d panicked: %v\n%s", h.index, r, debug.Stack()))
		}
	}()
	code()
}

// item is something that will happen: an act of the world, or an event of a node's life.
type item struct {
	at     types.Time
	seq    uint64
	act    func()
	to     *host
	life   int
	event  loop.Event
	work   func() loop.Event // makes the event when its time has come
	flight *pair             // over which it travels
	gen    int               // of the flight
	way    int               // of the flight
}

// queue is a heap of items in the order of their times and, at one time, as they were
// pushed.
type queue []item

func (q queue) before(i, j int) bool {
	return q[i].at < q[j].at || q[i].at == q[j].at && q[i].seq < q[j].seq
}

func (q *queue) push(it item) {
	*q = append(*q, it)
	s := *q
	for i := len(s) - 1; i > 0; {
		parent := (i - 1) / 2
		if !s.before(i, parent) {
			return
		}
		s[i], s[parent] = s[parent], s[i]
		i = parent
	}
}

func (q *queue) pop() item {
	s := *q
	out := s[0]
	last := len(s) - 1
	s[0], s[last] = s[last], item{}
	s = s[:last]
	for i := 0; ; {
		child := 2*i + 1
		if child >= last {
			break
		}
		if child+1 < last && s.before(child+1, child) {
			child++
		}
		if !s.before(child, i) {
			break
		}
		s[i], s[child] = s[child], s[i]
		i = child
	}
	*q = s
	return out
}
