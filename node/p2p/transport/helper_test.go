package transport

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"log/slog"
	"net"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"portico/lightclient/principal"
	"portico/node/loop"
	"portico/node/registry"

	"github.com/gorilla/websocket"
)

// patience is how long a test waits for what must happen.
const patience = 20 * time.Second

// member is a node of a test's network.
type member struct {
	key    ed25519.PrivateKey
	record registry.Node
}

// network makes n nodes in the order of their ids, each reached at an address of its own.
func network(t testing.TB, n int) []member {
	t.Helper()
	out := make([]member, n)
	for i := range out {
		out[i] = newMember(t, byte(i+1))
		l := listen(t, "127.0.0.1:0")
		out[i].record.Peers = l.Addr().String()
		if err := l.Close(); err != nil {
			t.Fatal(err)
		}
	}
	slices.SortFunc(out, func(a, b member) int { return a.record.ID.Compare(b.record.ID) })
	return out
}

func newMember(t testing.TB, seed byte) member {
	t.Helper()
	key := ed25519.NewKeyFromSeed(bytes.Repeat([]byte{seed}, ed25519.SeedSize))
	der, err := Certificate(key)
	if err != nil {
		t.Fatal(err)
	}
	public, err := x509.MarshalPKIXPublicKey(key.Public())
	if err != nil {
		t.Fatal(err)
	}
	return member{key, registry.Node{ID: principal.SelfAuthenticating(public), Key: public, Certificate: der}}
}

func records(members []member) (out []registry.Node) {
	for _, m := range members {
		out = append(out, m.record)
	}
	return out
}

func listen(t testing.TB, address string) net.Listener {
	t.Helper()
	l, err := net.Listen("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	return l
}

// running is a transport that runs.
type running struct {
	*Transport
	events chan loop.Event
	log    *lines
	end    func() // returns once Run has
}

// start runs a member's transport. What it delivers waits in events, unless take wants it.
func start(t testing.TB, m member, peers []registry.Node, limits Limits, take func(context.Context, loop.Event) bool) *running {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	r := &running{events: make(chan loop.Event, 1<<14), log: &lines{added: make(chan struct{}, 1)}}
	var err error
	r.Transport, err = New(Config{
		Self: m.record, Key: m.key, Peers: peers, Listener: listen(t, m.record.Peers), Limits: limits,
		Log: slog.New(slog.NewTextHandler(r.log, &slog.HandlerOptions{Level: slog.LevelDebug})),
		Deliver: func(ev loop.Event) {
			if take != nil && take(ctx, ev) {
				return
			}
			select {
			case r.events <- ev:
			case <-ctx.Done():
			}
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	result := make(chan error, 1)
	go func() { result <- r.Run(ctx) }()
	r.end = sync.OnceFunc(func() {
		cancel()
		select {
		case err := <-result:
			if err != nil {
				t.Errorf("Run: %v", err)
			}
		case <-time.After(patience):
			t.Error("Run does not end")
		}
	})
	t.Cleanup(r.end)
	return r
}

// next is the next event.
func (r *running) next(t testing.TB) loop.Event {
	t.Helper()
	select {
	case ev := <-r.events:
		return ev
	case <-time.After(patience):
		t.Fatalf("nothing was delivered; the log:\n%s", r.log)
		return nil
	}
}

// await drops events until there is the one that is wanted.
func (r *running) await(t testing.TB, want loop.Event) {
	t.Helper()
	for {
		ev := r.next(t)
		if _, frame := ev.(loop.Received); !frame && ev == want {
			return
		}
	}
}

// lines is a log whose lines can be waited for.
type lines struct {
	mu    sync.Mutex
	text  strings.Builder
	added chan struct{}
}

func (l *lines) Write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	select {
	case l.added <- struct{}{}:
	default:
	}
	return l.text.Write(b)
}

func (l *lines) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.String()
}

// await waits for a line with all the words.
func (l *lines) await(t testing.TB, words ...string) {
	t.Helper()
	late := time.After(patience)
	for {
		for line := range strings.Lines(l.String()) {
			if !slices.ContainsFunc(words, func(w string) bool { return !strings.Contains(line, w) }) {
				return
			}
		}
		select {
		case <-l.added:
		case <-late:
			t.Fatalf("no line of the log has %q:\n%s", words, l)
		}
	}
}

// clientTLS is what an honest dialer with these certificates would use.
func clientTLS(key ed25519.PrivateKey, chain ...[]byte) *tls.Config {
	c := &tls.Config{InsecureSkipVerify: true, NextProtos: []string{protocol}}
	if len(chain) > 0 {
		c.Certificates = []tls.Certificate{{Certificate: chain, PrivateKey: key}}
	}
	return c
}

// dialAs opens one connection as a peer that uses nothing of the code under test.
func dialAs(t testing.TB, from member, to registry.Node, ch loop.Channel, session string) *websocket.Conn {
	t.Helper()
	d := websocket.Dialer{TLSClientConfig: clientTLS(from.key, from.record.Certificate), HandshakeTimeout: patience}
	ws, _, err := d.Dial(fmt.Sprintf("wss://%s/%s/%s", to.Peers, ch, session), nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = ws.Close() })
	return ws
}

// sessionAs opens a whole session as a peer.
func sessionAs(t testing.TB, from member, to registry.Node, session string) (out [loop.Channels]*websocket.Conn) {
	t.Helper()
	for ch := range out {
		out[ch] = dialAs(t, from, to, loop.Channel(ch), session)
	}
	return out
}

// name is a session's name in hex.
func name(b byte) string { return strings.Repeat(fmt.Sprintf("%02x", b), len(sessionID{})) }

// proxy passes bytes between a new address and another, until it is told to go silent.
type proxy struct {
	address string
	silence func()
}

func newProxy(t testing.TB, to string) *proxy {
	t.Helper()
	l := listen(t, "127.0.0.1:0")
	silent := make(chan struct{})
	p := &proxy{address: l.Addr().String(), silence: sync.OnceFunc(func() { close(silent) })}
	var wg sync.WaitGroup
	var mu sync.Mutex
	var conns []net.Conn
	pass := func(from, to net.Conn) {
		b := make([]byte, 1<<12)
		for {
			n, err := from.Read(b)
			if err != nil {
				return
			}
			select {
			case <-silent: // the bytes are lost, the connection stays
			default:
				if _, err := to.Write(b[:n]); err != nil {
					return
				}
			}
		}
	}
	wg.Go(func() {
		for {
			a, err := l.Accept()
			if err != nil {
				return
			}
			b, err := net.Dial("tcp", to)
			if err != nil {
				_ = a.Close()
				continue
			}
			mu.Lock()
			conns = append(conns, a, b)
			mu.Unlock()
			wg.Go(func() { pass(a, b) })
			wg.Go(func() { pass(b, a) })
		}
	})
	t.Cleanup(func() {
		_ = l.Close()
		mu.Lock()
		for _, c := range conns {
			_ = c.Close()
		}
		mu.Unlock()
		wg.Wait()
	})
	return p
}
