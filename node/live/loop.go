package live

import (
	"container/heap"
	"context"
	"crypto/rand"
	"fmt"
	"io"
	"runtime"
	"runtime/debug"
	"sync"
	"time"

	"portico/node/loop"
	"portico/node/types"
)

// Bounds of what one peer may have waiting on one channel. Its next frame waits with the
// transport, which then reads no more of that channel.
const (
	maxInboxBytes  = types.MiB
	maxInboxFrames = 256
)

// driver drives a loop.Handler on real time: it is the Env of a node that is really there.
//
// Handle runs on one goroutine, that of run. Events of the node itself, which are as many
// as it asked for, always find room in the queue, so that nothing that it waits for is
// lost and nobody waits for another; only peers wait.
type driver struct {
	handler loop.Handler
	send    func(to types.NodeID, ch loop.Channel, frame []byte)
	// where says what the node was at, for the report of a panic.
	where func() string
	// workers is how much of what Go was asked for runs at a time.
	workers int

	mu      sync.Mutex
	queue   []loop.Event
	inbox   map[source]waiting
	room    *sync.Cond // frames have left the queue, or nobody takes them any more
	arrived chan struct{}
	works   []func() loop.Event
	working int
	ended   bool
	over    chan struct{} // closed when ended
	reason  error
	group   sync.WaitGroup

	// What follows belongs to the goroutine of run.
	timers timers
	now    types.Time
}

// source is a peer's channel, waiting what it has in the queue.
type source struct {
	peer    types.NodeID
	channel loop.Channel
}

type waiting struct{ frames, bytes int }

func newDriver(h loop.Handler, send func(types.NodeID, loop.Channel, []byte), where func() string) *driver {
	d := &driver{handler: h, send: send, where: where, workers: runtime.GOMAXPROCS(0) + 1, inbox: map[source]waiting{}, arrived: make(chan struct{}, 1), over: make(chan struct{})}
	d.room = sync.NewCond(&d.mu)
	return d
}

// run handles events until the context ends or the node stops itself, for the reason that
// it returns. Then nothing is handled any more, and all work has ended.
func (d *driver) run(ctx context.Context) error {
	alarm := time.NewTimer(0)
	defer alarm.Stop()
	d.handle(loop.Boot{})
	for ctx.Err() == nil {
		now := time.Now()
		d.fire(now)
		ev, ok, ended := d.take()
		switch {
		case ended:
			return d.end(nil)
		case ok:
			d.handle(ev)
			continue
		}
		alarm.Stop()
		if next, ok := d.timers.next(); ok {
			alarm.Reset(next.Sub(now))
		}
		select {
		case <-ctx.Done():
		case <-d.arrived:
		case <-alarm.C:
		}
	}
	return d.end(nil)
}

// end ends everything that is under way.
func (d *driver) end(reason error) error {
	d.stop(reason)
	d.group.Wait()
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.reason
}

// stop has run return; the first reason counts.
func (d *driver) stop(reason error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if !d.ended {
		d.ended, d.reason = true, reason
		close(d.over)
	}
	d.works = nil
	d.room.Broadcast()
	d.wake()
}

// wake wakes run. The caller holds mu.
func (d *driver) wake() {
	select {
	case d.arrived <- struct{}{}:
	default: // it is awake
	}
}

// post queues an event, unless the node has ended: then it returns false.
func (d *driver) post(ev loop.Event) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.ended {
		return false
	}
	d.queue = append(d.queue, ev)
	d.wake()
	return true
}

// deliver queues an event of the transport. A frame waits until the frames before it on
// its channel leave room for it, or the node has ended.
func (d *driver) deliver(ev loop.Event) {
	r, ok := ev.(loop.Received)
	if !ok {
		d.post(ev)
		return
	}
	from := source{r.From, r.Channel}
	d.mu.Lock()
	defer d.mu.Unlock()
	for w := d.inbox[from]; !d.ended && w.frames > 0 && (w.frames == maxInboxFrames || w.bytes+len(r.Frame) > maxInboxBytes); w = d.inbox[from] {
		d.room.Wait()
	}
	if d.ended {
		return
	}
	w := d.inbox[from]
	d.inbox[from] = waiting{w.frames + 1, w.bytes + len(r.Frame)}
	d.queue = append(d.queue, ev)
	d.wake()
}

// take takes the next event.
func (d *driver) take() (ev loop.Event, ok, ended bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.ended || len(d.queue) == 0 {
		return nil, false, d.ended
	}
	ev = d.queue[0]
	d.queue[0] = nil
	if d.queue = d.queue[1:]; len(d.queue) == 0 {
		d.queue = nil
	}
	if r, ok := ev.(loop.Received); ok {
		from := source{r.From, r.Channel}
		w := d.inbox[from]
		if w.frames == 1 {
			delete(d.inbox, from)
		} else {
			d.inbox[from] = waiting{w.frames - 1, w.bytes - len(r.Frame)}
		}
		d.room.Broadcast()
	}
	return ev, true, false
}

// waitingEvents is the number of events in the queue.
func (d *driver) waitingEvents() int {
	d.mu.Lock()
	defer d.mu.Unlock()
	return len(d.queue)
}

// handle has the node handle an event. A panic stops the node: of what it was doing nothing
// can be believed any more.
func (d *driver) handle(ev loop.Event) {
	defer d.recovered()
	d.handler.Handle(d, ev)
}

// recovered is to be deferred.
func (d *driver) recovered() {
	if e := recover(); e != nil {
		d.stop(fmt.Errorf("%s: %v\n%s", d.where(), e, debug.Stack()))
	}
}

// Now implements loop.Env.
func (d *driver) Now() types.Time {
	d.now = max(d.now, types.TimeOf(time.Now()))
	return d.now
}

// Rand implements loop.Env.
func (d *driver) Rand() io.Reader { return rand.Reader }

// Send implements loop.Env.
func (d *driver) Send(to types.NodeID, ch loop.Channel, frame []byte) { d.send(to, ch, frame) }

// Stop implements loop.Env.
func (d *driver) Stop(reason error) { d.stop(reason) }

// After implements loop.Env.
func (d *driver) After(delay time.Duration, ev loop.Event) {
	if delay <= 0 {
		d.post(ev)
		return
	}
	d.timers.add(time.Now().Add(delay), ev)
}

// fire queues the events whose time has come.
func (d *driver) fire(now time.Time) {
	for {
		next, ok := d.timers.next()
		if !ok || next.After(now) {
			return
		}
		d.post(d.timers.pop())
	}
}

// Go implements loop.Env.
func (d *driver) Go(work func() loop.Event) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.ended {
		return
	}
	d.works = append(d.works, work)
	if d.working < d.workers {
		d.working++
		d.group.Go(d.work)
	}
}

// work does what Go was asked for until nothing is left.
func (d *driver) work() {
	for {
		d.mu.Lock()
		if len(d.works) == 0 {
			d.working--
			d.mu.Unlock()
			return
		}
		work := d.works[0]
		d.works = d.works[1:]
		d.mu.Unlock()
		d.try(work)
	}
}

func (d *driver) try(work func() loop.Event) {
	defer d.recovered()
	d.post(work())
}

// timers are events by the times at which they are due, and those of one time in order.
type timers struct {
	list  timerHeap
	added uint64
}

type timer struct {
	due    time.Time
	number uint64
	event  loop.Event
}

func (t *timers) add(due time.Time, ev loop.Event) {
	t.added++
	heap.Push(&t.list, timer{due, t.added, ev})
}

// next is when the first is due.
func (t *timers) next() (time.Time, bool) {
	if len(t.list) == 0 {
		return time.Time{}, false
	}
	return t.list[0].due, true
}

func (t *timers) pop() loop.Event { return heap.Pop(&t.list).(timer).event }

type timerHeap []timer

func (h timerHeap) Len() int { return len(h) }

func (h timerHeap) Less(i, j int) bool {
	return h[i].due.Before(h[j].due) || h[i].due.Equal(h[j].due) && h[i].number < h[j].number
}

func (h timerHeap) Swap(i, j int) { h[i], h[j] = h[j], h[i] }

func (h *timerHeap) Push(t any) { *h = append(*h, t.(timer)) }

func (h *timerHeap) Pop() any {
	last := len(*h) - 1
	t := (*h)[last]
	(*h)[last] = timer{}
	*h = (*h)[:last]
	return t
}
