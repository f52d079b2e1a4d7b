package sim

import (
	"encoding/binary"
	"fmt"
	"io"
	"math/rand/v2"
	"time"

	"portico/node/loop"
	"portico/node/types"
)

// host is a machine on which lives of a node follow each other.
type host struct {
	world   *World
	index   int
	id      types.NodeID
	boot    func() (loop.Handler, error)
	handler loop.Handler // nil while the node is down
	env     loop.Env     // of this life
	life    int
	clock   clock
	rand    io.Reader
}

// clock is a wrong one.
type clock struct {
	offset time.Duration // at since
	ppm    int64         // by which it is fast
	since  types.Time
	last   types.Time // what this life has seen
}

func (c *clock) read(now types.Time) types.Time {
	t := now.Add(c.offset).Add(time.Duration(int64(now-c.since) * c.ppm / 1_000_000))
	c.last = max(c.last, t)
	return c.last
}

// Add adds a node and returns its index. Every life of it is made by boot, out of what is
// durable. It is down.
func (w *World) Add(id types.NodeID, boot func() (loop.Handler, error)) int {
	var seed [32]byte
	binary.BigEndian.PutUint64(seed[:], w.rand.Uint64())
	h := &host{world: w, index: len(w.hosts), id: id, boot: boot, rand: rand.NewChaCha8(seed)}
	for range w.hosts {
		w.pairs = append(w.pairs, &pair{world: w})
	}
	w.hosts = append(w.hosts, h)
	for _, other := range w.hosts[:h.index] {
		w.pair(h.index, other.index).ends = [2]*host{other, h}
	}
	return h.index
}

// Start begins a life of a node that is down.
func (w *World) Start(node int) {
	h := w.hosts[node]
	if h.handler != nil {
		return
	}
	handler, err := h.boot()
	if err != nil {
		w.Fail(fmt.Errorf("node %d does not start: %w", node, err))
		return
	}
	h.life++
	h.clock.last = 0
	h.handler, h.env = handler, &env{h, h.life}
	w.score.Note(node, "start", "life %d", h.life)
	w.push(item{at: w.now, to: h, life: h.life, event: loop.Boot{}})
	for i := range w.hosts {
		if i != node {
			w.pair(node, i).connect()
		}
	}
}

// Crash ends a life at once: nothing remains but what is durable.
func (w *World) Crash(node int) {
	if w.Up(node) {
		w.score.Note(node, "crash", "")
		w.hosts[node].end()
	}
}

// Up reports whether a node is running.
func (w *World) Up(node int) bool { return w.hosts[node].handler != nil }

// Life numbers the lives of a node from 1.
func (w *World) Life(node int) int { return w.hosts[node].life }

// Inject has a node that is up handle an event of its own process.
func (w *World) Inject(node int, ev loop.Event) {
	h := w.hosts[node]
	w.push(item{at: w.now, to: h, life: h.life, event: ev})
}

// SetClock makes a node's clock wrong by an offset and fast by so many millionths. In
// this life it stands still until it would not go back.
func (w *World) SetClock(node int, offset time.Duration, ppm int64) {
	h := w.hosts[node]
	h.clock.offset, h.clock.ppm, h.clock.since = offset, ppm, w.now
}

// Offset is what a node's clock was set wrong by.
func (w *World) Offset(node int) time.Duration { return w.hosts[node].clock.offset }

// end ends a life.
func (h *host) end() {
	h.handler = nil
	for i := range h.world.hosts {
		if i != h.index {
			h.world.pair(h.index, i).disconnect()
		}
	}
}

// env is what one life of a node sees. Once that is over it has no effect.
type env struct {
	*host
	of int // the life
}

func (e *env) over() bool { return e.handler == nil || e.life != e.of }

func (e *env) Now() types.Time { return e.clock.read(e.world.now) }

func (e *env) Rand() io.Reader { return e.rand }

func (e *env) Send(to types.NodeID, ch loop.Channel, frame []byte) {
	if len(frame) > loop.MaxFrameBytes || ch >= loop.Channels {
		e.world.Fail(fmt.Errorf("node %d sends a frame of %d bytes on channel %s", e.index, len(frame), ch))
		return
	}
	if e.over() {
		return
	}
	for _, h := range e.world.hosts {
		if h.id == to && h != e.host {
			e.world.pair(e.index, h.index).send(e.host, h, ch, frame)
		}
	}
}

func (e *env) After(d time.Duration, ev loop.Event) {
	if e.over() {
		return
	}
	// A fast clock finds that d has passed earlier.
	d -= time.Duration(int64(d) / 1_000_000 * e.clock.ppm)
	e.world.push(item{at: e.world.now.Add(max(d, 0)), to: e.host, life: e.of, event: ev})
}

// maxWork bounds how long concurrent work takes; of a thousand, instant works take no time.
const (
	maxWork = 40 * time.Millisecond
	instant = 100
)

func (e *env) Go(work func() loop.Event) {
	if e.over() {
		return
	}
	w := e.world
	it := item{at: w.now, to: e.host, life: e.of, work: work}
	if !w.chance(instant) {
		it.at = w.now.Add(w.upTo(maxWork))
	}
	// Work sees only what it captured, so it may be done at its beginning or at its end.
	if w.chance(500) {
		it.event, it.work = work(), nil
	}
	w.push(it)
}

func (e *env) Stop(reason error) {
	if e.over() {
		return
	}
	e.world.score.Note(e.index, "stop", "%v", reason)
	e.end()
	e.world.down(e.index, reason)
}
