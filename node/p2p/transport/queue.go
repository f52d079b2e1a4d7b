package transport

import (
	"sync"
	"sync/atomic"
)

// channel is one channel of a peer: what waits for it, and what has passed.
type channel struct {
	queue queue

	framesIn, bytesIn, framesOut, bytesOut atomic.Uint64
	dropped, unsent, oversize              atomic.Uint64
}

func (c *channel) send(frame []byte) {
	dropped, ok := c.queue.put(frame)
	if !ok {
		c.unsent.Add(1)
	}
	c.dropped.Add(uint64(dropped))
}

func (c *channel) stats() ChannelStats {
	frames, bytes := c.queue.length()
	return ChannelStats{
		FramesIn: c.framesIn.Load(), BytesIn: c.bytesIn.Load(), FramesOut: c.framesOut.Load(), BytesOut: c.bytesOut.Load(),
		Dropped: c.dropped.Load(), Unsent: c.unsent.Load(), Oversize: c.oversize.Load(),
		QueuedFrames: frames, QueuedBytes: bytes,
	}
}

// queue is a bounded queue of frames that loses its oldest. It holds something only
// while it is open, which is as long as a session.
type queue struct {
	maxFrames, maxBytes int
	wake                chan struct{} // of capacity 1: full if there may be something to take

	mu     sync.Mutex
	open   bool
	frames [][]byte // from head on
	head   int
	bytes  int
}

// put appends a frame and says how many older ones were dropped for it, or false if
// the queue is not open.
func (q *queue) put(frame []byte) (dropped int, ok bool) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if !q.open {
		return 0, false
	}
	for q.head < len(q.frames) && (len(q.frames)-q.head >= q.maxFrames || q.bytes+len(frame) > q.maxBytes) {
		q.pop()
		dropped++
	}
	if len(q.frames) == cap(q.frames) && q.head > len(q.frames)/2 {
		n := copy(q.frames, q.frames[q.head:])
		clear(q.frames[n:])
		q.frames, q.head = q.frames[:n], 0
	}
	q.frames = append(q.frames, frame)
	q.bytes += len(frame)
	select {
	case q.wake <- struct{}{}:
	default:
	}
	return dropped, true
}

// take removes the oldest frame, or reports that there is none.
func (q *queue) take() ([]byte, bool) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.head == len(q.frames) {
		return nil, false
	}
	return q.pop(), true
}

func (q *queue) pop() []byte {
	frame := q.frames[q.head]
	q.frames[q.head] = nil
	q.head++
	q.bytes -= len(frame)
	if q.head == len(q.frames) {
		q.frames, q.head = q.frames[:0], 0
	}
	return frame
}

func (q *queue) length() (frames, bytes int) {
	q.mu.Lock()
	defer q.mu.Unlock()
	return len(q.frames) - q.head, q.bytes
}

func (q *queue) start() {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.open = true
}

// stop empties the queue and says how many frames it held.
func (q *queue) stop() int {
	q.mu.Lock()
	defer q.mu.Unlock()
	left := len(q.frames) - q.head
	q.open, q.frames, q.head, q.bytes = false, nil, 0, 0
	return left
}
