package transport

import (
	"bufio"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"sync"
	"time"

	"github.com/gorilla/websocket"

	"portico/node/loop"
)

const (
	// peerHandshakes is how many unfinished connections each peer may have: a session, and
	// the one that replaces it.
	peerHandshakes = 2 * int(loop.Channels)
	// acceptPause is how long a listener rests that has no file descriptor to spare.
	acceptPause = 50 * time.Millisecond
)

// door decides, by where a connection comes from, whether it may try to be a peer's.
type door struct {
	known            map[netip.Addr]bool
	peers, strangers chan struct{} // filled by unfinished connections
	visits           *bucket       // of strangers
	reports          *bucket       // lines in the log about refused connections
}

func newDoor(peers []*peer, l Limits) *door {
	d := &door{
		known:     map[netip.Addr]bool{},
		peers:     make(chan struct{}, max(1, peerHandshakes*len(peers))),
		strangers: make(chan struct{}, l.Handshakes),
		visits:    newBucket(l.StrangersPerSecond, l.Handshakes),
		reports:   newBucket(l.StrangersPerSecond, l.Handshakes),
	}
	for _, p := range peers {
		if a, err := netip.ParseAddrPort(p.node.Peers); err == nil {
			d.known[a.Addr().Unmap()] = true
		}
	}
	return d
}

// enter takes a place, to be left once it is known who has come, or false.
func (d *door) enter(from net.Addr) (leave func(), ok bool) {
	places := d.peers
	if a, err := netip.ParseAddrPort(from.String()); err != nil || !d.known[a.Addr().Unmap()] {
		if !d.visits.take(time.Now()) {
			return nil, false
		}
		places = d.strangers
	}
	select {
	case places <- struct{}{}:
		return func() { <-places }, true
	default:
		return nil, false
	}
}

// bucket is a token bucket.
type bucket struct {
	perSecond, most float64

	mu     sync.Mutex
	tokens float64
	last   time.Time
}

func newBucket(perSecond, most int) *bucket {
	return &bucket{perSecond: float64(perSecond), most: float64(most), tokens: float64(most)}
}

func (b *bucket) take(now time.Time) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	if !b.last.IsZero() {
		b.tokens = min(b.most, b.tokens+now.Sub(b.last).Seconds()*b.perSecond)
	}
	b.last = now
	if b.tokens < 1 {
		return false
	}
	b.tokens--
	return true
}

// accept takes connections until the context ends or the listener fails.
func (t *Transport) accept(ctx context.Context, wg *sync.WaitGroup) error {
	for {
		raw, err := t.listener.Accept()
		switch {
		case ctx.Err() != nil:
			if err == nil {
				_ = raw.Close()
			}
			return nil
		case errors.Is(err, net.ErrClosed):
			return fmt.Errorf("transport: %w", err)
		case err != nil:
			t.log.Warn("taking a peer's connection", "error", err)
			pause(ctx, acceptPause)
			continue
		}
		leave, ok := t.door.enter(raw.RemoteAddr())
		if !ok {
			t.refused.Add(1)
			_ = raw.Close()
			continue
		}
		wg.Go(func() {
			if err := t.welcome(ctx, raw, leave); err != nil {
				t.refused.Add(1)
				if t.door.reports.take(time.Now()) {
					t.log.Warn("connection refused", "from", raw.RemoteAddr(), "error", err)
				}
			}
		})
	}
}

// welcome makes of a socket one of a peer's connections. If it fails, the socket is closed.
func (t *Transport) welcome(ctx context.Context, raw net.Conn, leave func()) error {
	ctx, cancel := context.WithTimeout(ctx, t.limits.Handshake)
	defer cancel()
	var p *peer
	var ch loop.Channel
	var id sessionID
	var c *conn
	err := during(ctx, raw, func() (err error) {
		secure := tls.Server(raw, t.server)
		if err := secure.HandshakeContext(ctx); err != nil {
			return err
		}
		p = t.byCertificate[string(secure.ConnectionState().PeerCertificates[0].Raw)]
		if p.dials {
			return fmt.Errorf("%s has the greater id, so this node dials it", p.node.ID)
		}
		ch, id, c, err = t.upgrade(newWire(secure, t.limits))
		if err != nil {
			return fmt.Errorf("%s: %w", p.node.ID, err)
		}
		return nil
	})
	leave()
	if err != nil {
		_ = raw.Close()
		return err
	}
	if err := p.join(ctx, ch, id, c); err != nil {
		return fmt.Errorf("%s: %w", p.node.ID, err)
	}
	return nil
}

// upgrade answers the request that turns a connection into a websocket.
func (t *Transport) upgrade(w *wire) (ch loop.Channel, id sessionID, c *conn, err error) {
	in := bufio.NewReaderSize(w, openingBytes)
	request, err := http.ReadRequest(in)
	if err != nil {
		return 0, id, nil, err
	}
	if ch, id, err = parseTarget(request.RequestURI); err != nil {
		return 0, id, nil, err
	}
	upgrader := websocket.Upgrader{
		ReadBufferSize: bufferBytes, WriteBufferSize: bufferBytes,
		Error: func(http.ResponseWriter, *http.Request, int, error) {}, // it is closed, and logged
	}
	ws, err := upgrader.Upgrade(&hijacker{w, in}, request, nil)
	if err != nil {
		return 0, id, nil, err
	}
	return ch, id, newConn(ws, w), nil
}

// hijacker is the connection as net/http would hand it over. Nothing is answered but the
// websocket's own response, so the rest is not called.
type hijacker struct {
	wire *wire
	in   *bufio.Reader
}

func (h *hijacker) Hijack() (net.Conn, *bufio.ReadWriter, error) {
	return h.wire, bufio.NewReadWriter(h.in, bufio.NewWriter(h.wire)), nil
}

func (h *hijacker) Header() http.Header         { return http.Header{} }
func (h *hijacker) Write(b []byte) (int, error) { return len(b), nil }
func (h *hijacker) WriteHeader(int)             {}
