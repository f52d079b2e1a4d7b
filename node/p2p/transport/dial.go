package transport

import (
	"context"
	"crypto/tls"
	"errors"
	"log/slog"
	"math/rand/v2"
	"net"
	"time"

	"portico/node/loop"

	"github.com/gorilla/websocket"
	"golang.org/x/sync/errgroup"
)

// backoff is a pause that grows.
type backoff struct{ first, last, next time.Duration }

func (b *backoff) reset() { b.next = b.first }

// pause waits, with jitter so that nodes that were cut off together do not come back
// together.
func (b *backoff) pause(ctx context.Context) {
	d := b.next
	b.next = min(2*b.next, b.last)
	pause(ctx, d/2+rand.N(d/2+1))
}

func pause(ctx context.Context, d time.Duration) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-ctx.Done():
	}
}

// dialUntil dials until there is a session, or returns nil when the context ends.
func (t *Transport) dialUntil(ctx context.Context, p *peer, retry *backoff) *session {
	for level := slog.LevelWarn; ; level = slog.LevelDebug { // one line until it is reached
		s, err := t.dial(ctx, p)
		if err == nil {
			return s
		}
		if ctx.Err() != nil {
			return nil
		}
		t.log.Log(ctx, level, "peer not reached", "peer", p.node.ID, "address", p.node.Peers, "error", err)
		retry.pause(ctx)
	}
}

// dial makes a session, all of it or nothing.
func (t *Transport) dial(ctx context.Context, p *peer) (*session, error) {
	ctx, cancel := context.WithTimeout(ctx, t.limits.Handshake)
	defer cancel()
	s := newSession(newSessionID())
	group, within := errgroup.WithContext(ctx)
	for ch := range loop.Channels {
		group.Go(func() error {
			c, err := t.dialChannel(within, p, target(ch, s.id))
			s.conns[ch] = c
			return err
		})
	}
	if err := group.Wait(); err != nil {
		s.end(err)
		return nil, err
	}
	close(s.full)
	return s, nil
}

func (t *Transport) dialChannel(ctx context.Context, p *peer, path string) (*conn, error) {
	raw, err := new(net.Dialer).DialContext(ctx, "tcp", p.node.Peers)
	if err != nil {
		return nil, err
	}
	var c *conn
	err = during(ctx, raw, func() error {
		secure := tls.Client(raw, t.clientTLS(p))
		if err := secure.HandshakeContext(ctx); err != nil {
			return err
		}
		w := newWire(secure, t.limits)
		dialer := websocket.Dialer{
			HandshakeTimeout: t.limits.Handshake, ReadBufferSize: bufferBytes, WriteBufferSize: bufferBytes,
			NetDialTLSContext: func(context.Context, string, string) (net.Conn, error) { return w, nil },
		}
		ws, response, err := dialer.DialContext(ctx, "wss://"+p.node.Peers+path, nil)
		if err != nil {
			return err
		}
		// The library would inflate what we never asked to be compressed.
		if len(response.Header["Sec-Websocket-Extensions"]) != 0 {
			return errors.New("it turns on an extension of websockets that nobody asked for")
		}
		c = newConn(ws, w)
		return nil
	})
	if err != nil {
		_ = raw.Close()
		return nil, err
	}
	return c, nil
}
