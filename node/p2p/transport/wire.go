package transport

import (
	"bufio"
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"sync"
	"time"

	"portico/node/loop"

	"github.com/gorilla/websocket"
)

const (
	// openingBytes bounds what the other side may send before it is a websocket: a
	// request or a response with its headers.
	openingBytes = 4 << 10
	// bufferBytes is the size of each buffer of a connection: one on the way in, two on the
	// way out.
	bufferBytes = 64 << 10
	// keepBytes is the longest buffer for arriving frames that is used again.
	keepBytes = 2 << 20
	// beats is how often a silent side says that it is alive within Limits.Idle.
	beats = 4
)

// wire lies between TLS and a websocket. Until open it lets everything through and
// bounds what is read, for deadlines that whoever opens it sets. From then on it gathers
// writes until flush, and gives each read and each write its own time.
type wire struct {
	net.Conn // TLS
	raw      net.Conn
	idle     time.Duration

	opening bool
	allowed int // bytes that may still be read while opening

	// mu guards out: the websocket answers errors of the protocol from its reader.
	mu  sync.Mutex
	out *bufio.Writer
}

func newWire(c *tls.Conn, l Limits) *wire {
	return &wire{
		Conn: c, raw: c.NetConn(), idle: l.Idle, opening: true, allowed: openingBytes,
		out: bufio.NewWriterSize(stallWriter{c, l.Stall}, bufferBytes),
	}
}

// open ends the opening: nobody else may use the wire yet.
func (w *wire) open() { w.opening = false }

// Read reads what there is, or fails after Limits.Idle.
func (w *wire) Read(b []byte) (int, error) {
	if w.opening {
		if w.allowed == 0 {
			return 0, fmt.Errorf("more than %d bytes before the websocket", openingBytes)
		}
		n, err := w.Conn.Read(b[:min(len(b), w.allowed)])
		w.allowed -= n
		return n, err
	}
	// The time counts from here and not from the last read: in between, Deliver may
	// have blocked for longer.
	if err := w.SetReadDeadline(time.Now().Add(w.idle)); err != nil {
		return 0, err
	}
	return w.Conn.Read(b)
}

// Write keeps what it is given until there is a buffer full, or flush.
func (w *wire) Write(b []byte) (int, error) {
	if w.opening {
		return w.Conn.Write(b)
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.out.Write(b)
}

// SetWriteDeadline is for the opening: later the wire sets its own, when it really writes.
func (w *wire) SetWriteDeadline(t time.Time) error {
	if w.opening {
		return w.Conn.SetWriteDeadline(t)
	}
	return nil
}

func (w *wire) flush() error {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.out.Flush()
}

// Close closes the socket below TLS: taking leave could block, on a peer that does not read.
func (w *wire) Close() error { return w.raw.Close() }

// stallWriter gives each write its time.
type stallWriter struct {
	net.Conn
	stall time.Duration
}

func (w stallWriter) Write(b []byte) (int, error) {
	if err := w.SetWriteDeadline(time.Now().Add(w.stall)); err != nil {
		return 0, err
	}
	return w.Conn.Write(b)
}

// conn is one connection of a session.
type conn struct {
	ws   *websocket.Conn
	wire *wire
}

func newConn(ws *websocket.Conn, w *wire) *conn {
	w.open()
	ws.SetReadLimit(loop.MaxFrameBytes)
	ws.SetPingHandler(func(string) error { return errors.New("it sends pings: a heartbeat is a pong") })
	// The reader learns of it and ends the session: no answer is due.
	ws.SetCloseHandler(func(int, string) error { return nil })
	return &conn{ws, w}
}

// read reads one frame. Memory is taken as the frame's bytes arrive.
func (c *conn) read(buffers *sync.Pool) ([]byte, error) {
	kind, r, err := c.ws.NextReader()
	if err != nil {
		return nil, err
	}
	if kind != websocket.BinaryMessage {
		return nil, errors.New("it sends text")
	}
	b := buffers.Get().(*bytes.Buffer)
	b.Reset()
	// The websocket bounds what it receives.
	_, err = b.ReadFrom(r)
	frame := bytes.Clone(b.Bytes())
	if b.Cap() <= keepBytes {
		buffers.Put(b)
	}
	return frame, err
}

// write sends what the queue has, and a heartbeat when it has long had nothing, until
// done is closed or the connection fails.
func (c *conn) write(ch *channel, done <-chan struct{}) error {
	every := c.wire.idle / beats
	beat := time.NewTimer(every)
	defer beat.Stop()
	for {
		select {
		case <-done:
			return nil
		case <-ch.queue.wake:
			for frame, ok := ch.queue.take(); ok; frame, ok = ch.queue.take() {
				if err := c.ws.WriteMessage(websocket.BinaryMessage, frame); err != nil {
					ch.unsent.Add(1)
					return err
				}
				ch.framesOut.Add(1)
				ch.bytesOut.Add(uint64(len(frame)))
			}
		case <-beat.C:
			if err := c.ws.WriteMessage(websocket.PongMessage, nil); err != nil {
				return err
			}
		}
		if err := c.wire.flush(); err != nil {
			return err
		}
		beat.Reset(every)
	}
}

// during runs f, and closes c if the context ends before f returns.
func during(ctx context.Context, c io.Closer, f func() error) error {
	finished := make(chan struct{})
	var wg sync.WaitGroup
	wg.Go(func() {
		select {
		case <-finished:
		case <-ctx.Done():
			_ = c.Close() // f finds out
		}
	})
	err := f()
	close(finished)
	wg.Wait()
	return errors.Join(err, ctx.Err())
}
