package transport

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"portico/node/loop"
	"portico/node/registry"
	"portico/node/types"

	"github.com/gorilla/websocket"
)

var (
	errReplaced = errors.New("a newer session replaces it")
	errEnding   = errors.New("this node is ending")
)

// sessionID is a session's random name: its dialer's connections find each other by it.
type sessionID [16]byte

func newSessionID() (id sessionID) {
	_, _ = rand.Read(id[:]) // never fails
	return id
}

// target is the path of a connection: the channel's name and the session's.
func target(ch loop.Channel, id sessionID) string {
	return "/" + ch.String() + "/" + hex.EncodeToString(id[:])
}

// parseTarget reads what target wrote, and nothing else.
func parseTarget(path string) (ch loop.Channel, id sessionID, err error) {
	const rest = 2 * len(id)
	name, text, ok := strings.Cut(strings.TrimPrefix(path, "/"), "/")
	if !ok || len(text) != rest {
		return 0, id, errors.New("its path is not a channel's and a session's name")
	}
	if _, err := hex.Decode(id[:], []byte(text)); err != nil {
		return 0, id, fmt.Errorf("its session: %w", err)
	}
	for ch := range loop.Channels {
		if ch.String() == name && target(ch, id) == path {
			return ch, id, nil
		}
	}
	return 0, id, errors.New("its path names no channel, or not as it is written here")
}

// session is the connections to a peer, one a channel.
type session struct {
	id    sessionID
	conns [loop.Channels]*conn // guarded by the peer's mutex until full is closed
	full  chan struct{}        // closed when there are all

	done  chan struct{} // closed at the end
	once  sync.Once
	cause error // set before done is closed
}

func newSession(id sessionID) *session {
	return &session{id: id, full: make(chan struct{}), done: make(chan struct{})}
}

// end closes the connections, for the first cause that it is called with.
func (s *session) end(cause error) {
	s.once.Do(func() {
		s.cause = cause
		close(s.done)
		for _, c := range s.conns {
			if c != nil {
				_ = c.wire.Close() // there is nothing left to lose
			}
		}
	})
}

// peer is another node.
type peer struct {
	node  registry.Node
	dials bool // we dial it; otherwise it dials us

	channels [loop.Channels]channel
	up       atomic.Bool
	sessions atomic.Uint64

	mu      sync.Mutex
	pending *session      // some of its connections have come in
	ready   *session      // all have, and it is next
	current *session      // the one that is served, or was
	arrived chan struct{} // of capacity 1: full if there may be one that is ready
}

func newPeer(n registry.Node, self types.NodeID, l Limits) *peer {
	p := &peer{node: n, dials: self.Compare(n.ID) < 0, arrived: make(chan struct{}, 1)}
	for ch := range p.channels {
		q := &p.channels[ch].queue
		q.maxFrames, q.maxBytes, q.wake = l.QueueFrames, l.QueueBytes, make(chan struct{}, 1)
	}
	return p
}

// keep has one session after the other with a peer until the context ends.
func (t *Transport) keep(ctx context.Context, p *peer) {
	retry := backoff{t.limits.RetryFirst, t.limits.RetryLast, t.limits.RetryFirst}
	for ctx.Err() == nil {
		var s *session
		if p.dials {
			s = t.dialUntil(ctx, p, &retry)
		} else {
			s = p.await(ctx)
		}
		if s == nil {
			return
		}
		began := time.Now()
		t.serve(ctx, p, s)
		if time.Since(began) >= t.limits.RetryLast {
			retry.reset()
		}
		// Nobody, Byzantine peers included, makes a flood of sessions.
		if p.dials {
			retry.pause(ctx)
		} else {
			pause(ctx, t.limits.RetryFirst)
		}
	}
}

// serve exchanges frames until the session is lost.
func (t *Transport) serve(ctx context.Context, p *peer, s *session) {
	var wg sync.WaitGroup
	wg.Go(func() {
		select {
		case <-s.done:
		case <-ctx.Done():
			s.end(errEnding)
		}
	})
	for ch, c := range s.conns {
		p.channels[ch].queue.start()
		wg.Go(func() {
			if err := c.write(&p.channels[ch], s.done); err != nil {
				s.end(fmt.Errorf("writing %s: %w", loop.Channel(ch), err))
			}
		})
	}
	p.up.Store(true)
	p.sessions.Add(1)
	t.log.Info("peer connected", "peer", p.node.ID)
	// Heartbeats are under way already: this may block.
	t.deliver(loop.Connected{Peer: p.node.ID})
	for ch, c := range s.conns {
		wg.Go(func() {
			s.end(fmt.Errorf("reading %s: %w", loop.Channel(ch), t.receive(p, loop.Channel(ch), c)))
		})
	}
	wg.Wait()
	p.up.Store(false)
	for ch := range p.channels {
		c := &p.channels[ch]
		c.unsent.Add(uint64(c.queue.stop()))
	}
	t.log.Info("peer disconnected", "peer", p.node.ID, "cause", s.cause)
	t.deliver(loop.Disconnected{Peer: p.node.ID})
}

// receive delivers frames until the connection fails.
func (t *Transport) receive(p *peer, ch loop.Channel, c *conn) error {
	stats := &p.channels[ch]
	for {
		frame, err := c.read(&t.buffers)
		if errors.Is(err, websocket.ErrReadLimit) {
			stats.oversize.Add(1)
			return fmt.Errorf("a frame of more than %d bytes", loop.MaxFrameBytes)
		}
		if err != nil {
			return err
		}
		stats.framesIn.Add(1)
		stats.bytesIn.Add(uint64(len(frame)))
		t.deliver(loop.Received{From: p.node.ID, Channel: ch, Frame: frame})
	}
}

// await waits for a session that the peer has made, or nil when the context ends.
func (p *peer) await(ctx context.Context) *session {
	for {
		p.mu.Lock()
		s := p.ready
		p.ready, p.current = nil, s
		p.mu.Unlock()
		if s != nil {
			return s
		}
		select {
		case <-p.arrived:
		case <-ctx.Done():
			return nil
		}
	}
}

// join adds a connection to its session and waits until that is complete or the
// context, which bounds the handshake, ends. If it fails, the connection is closed.
func (p *peer) join(ctx context.Context, ch loop.Channel, id sessionID, c *conn) error {
	s, err := p.place(ch, id, c)
	if err != nil {
		_ = c.wire.Close()
		return err
	}
	select {
	case <-s.full:
		return nil
	case <-s.done:
		return s.cause
	case <-ctx.Done():
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.pending != s {
		return nil // somebody else decided
	}
	p.pending = nil
	s.end(fmt.Errorf("its other connections: %w", ctx.Err()))
	return s.cause
}

func (p *peer) place(ch loop.Channel, id sessionID, c *conn) (*session, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	s := p.pending
	if s == nil || s.id != id {
		if s != nil {
			s.end(errReplaced)
		}
		s = newSession(id)
		p.pending = s
	}
	if s.conns[ch] != nil {
		return nil, fmt.Errorf("a second connection for %s in one session", ch)
	}
	s.conns[ch] = c
	for _, c := range s.conns {
		if c == nil {
			return s, nil
		}
	}
	p.pending = nil
	for _, old := range []*session{p.ready, p.current} {
		if old != nil {
			old.end(errReplaced)
		}
	}
	p.ready = s
	close(s.full)
	select {
	case p.arrived <- struct{}{}:
	default:
	}
	return s, nil
}

// discard ends a session that came too late to be served.
func (p *peer) discard() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.ready != nil {
		p.ready.end(errEnding)
	}
}
