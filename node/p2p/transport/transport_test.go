package transport

import (
	"bytes"
	"context"
	"crypto/tls"
	"encoding/binary"
	"io"
	"net"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"portico/lightclient/principal"
	"portico/node/loop"
	"portico/node/registry"
	"portico/node/types"

	"github.com/gorilla/websocket"
)

func numbered(n uint64) []byte { return binary.BigEndian.AppendUint64(nil, n) }

func TestFramesArriveInOrderOnEveryChannel(t *testing.T) {
	const frames = 500
	members := network(t, 3)
	var nodes []*running
	for _, m := range members {
		nodes = append(nodes, start(t, m, records(members), DefaultLimits(), nil))
	}
	for _, r := range nodes {
		for range len(nodes) - 1 {
			if ev, ok := r.next(t).(loop.Connected); !ok {
				t.Fatalf("%T before all are connected", ev)
			}
		}
	}
	for n := range uint64(frames) {
		for _, r := range nodes {
			for _, m := range members {
				for ch := range loop.Channels {
					r.Send(m.record.ID, ch, numbered(n))
				}
			}
		}
	}
	type line struct {
		from types.NodeID
		ch   loop.Channel
	}
	for i, r := range nodes {
		next := map[line]uint64{}
		for range frames * int(loop.Channels) * (len(nodes) - 1) {
			ev, ok := r.next(t).(loop.Received)
			at := line{ev.From, ev.Channel}
			if !ok || !bytes.Equal(ev.Frame, numbered(next[at])) {
				t.Fatalf("node %d: frame %x on %v, want number %d", i, ev.Frame, at, next[at])
			}
			next[at]++
		}
		if next[line{r.self, loop.Bulk}] != 0 {
			t.Errorf("node %d hears itself", i)
		}
	}
}

func TestAFrameMayBeEmptyOrOfTheGreatestLength(t *testing.T) {
	members := network(t, 2)
	a := start(t, members[0], records(members), DefaultLimits(), nil)
	b := start(t, members[1], records(members), DefaultLimits(), nil)
	a.await(t, loop.Connected{Peer: b.self})
	b.await(t, loop.Connected{Peer: a.self})
	long := bytes.Repeat([]byte("longest "), loop.MaxFrameBytes/8)
	for from, to := range map[*running]*running{a: b, b: a} {
		from.Send(to.self, loop.Bulk, append(long, 0)) // longer: it is not sent
		for _, want := range [][]byte{{}, long, {1}} {
			from.Send(to.self, loop.Bulk, want)
			if got, ok := to.next(t).(loop.Received); !ok || !bytes.Equal(got.Frame, want) || got.Channel != loop.Bulk || got.From != from.self {
				t.Fatalf("%d bytes on %v, want %d", len(got.Frame), got.Channel, len(want))
			}
		}
		s := from.Stats()[0]
		if c := s.Channels[loop.Bulk]; !s.Connected || s.Sessions != 1 || c.FramesOut != 3 || c.BytesOut != loop.MaxFrameBytes+1 || c.Dropped != 1 {
			t.Errorf("stats %+v", s)
		}
		if c := to.Stats()[0].Channels[loop.Bulk]; c.FramesIn < 3 || c.BytesIn != loop.MaxFrameBytes+1 {
			t.Errorf("stats %+v", c)
		}
	}
}

func TestARestartedPeerIsConnectedAgain(t *testing.T) {
	members := network(t, 2)
	for restarts := range members { // the one that dials, and the one that is dialed
		stays := start(t, members[1-restarts], records(members), DefaultLimits(), nil)
		for life := range byte(3) {
			r := start(t, members[restarts], records(members), DefaultLimits(), nil)
			stays.await(t, loop.Connected{Peer: r.self})
			r.await(t, loop.Connected{Peer: stays.self})
			stays.Send(r.self, loop.Ingress, []byte{life})
			if ev, ok := r.next(t).(loop.Received); !ok || !bytes.Equal(ev.Frame, []byte{life}) {
				t.Fatalf("%v", ev)
			}
			r.end()
			stays.await(t, loop.Disconnected{Peer: r.self})
			if s := stays.Stats()[0]; s.Connected || s.Sessions != uint64(life)+1 {
				t.Errorf("stats %+v", s)
			}
			stays.Send(r.self, loop.Ingress, nil)
			if s := stays.Stats()[0]; s.Channels[loop.Ingress].Unsent != uint64(life)+1 {
				t.Errorf("stats %+v", s)
			}
		}
		stays.end()
	}
}

func TestANewSessionReplacesOneWhosePeerVanished(t *testing.T) {
	members := network(t, 2)
	limits := DefaultLimits()
	limits.Idle = time.Hour // nobody notices by himself
	b := start(t, members[1], records(members), limits, nil)
	conns := sessionAs(t, members[0], members[1].record, name(1))
	b.await(t, loop.Connected{Peer: members[0].record.ID})

	// single connections replace only each other
	dialAs(t, members[0], members[1].record, loop.Bulk, name(2))
	dialAs(t, members[0], members[1].record, loop.Bulk, name(3))
	b.log.await(t, "refused", errReplaced.Error())
	if err := conns[loop.Ingress].WriteMessage(websocket.BinaryMessage, []byte("from the old one")); err != nil {
		t.Fatal(err)
	}
	if ev, ok := b.next(t).(loop.Received); !ok || string(ev.Frame) != "from the old one" {
		t.Fatalf("%T, want a frame", ev)
	}

	conns = sessionAs(t, members[0], members[1].record, name(4))
	for _, want := range []loop.Event{loop.Disconnected{Peer: members[0].record.ID}, loop.Connected{Peer: members[0].record.ID}} {
		if ev := b.next(t); ev != want {
			t.Fatalf("%T, want %T", ev, want)
		}
	}
	b.Send(members[0].record.ID, loop.Ingress, []byte("to the new one"))
	if _, got, err := conns[loop.Ingress].ReadMessage(); err != nil || string(got) != "to the new one" {
		t.Fatalf("%q, %v", got, err)
	}
}

func TestASessionsEndComesAfterItsLastFrame(t *testing.T) {
	members := network(t, 2)
	release := make(chan struct{})
	b := start(t, members[1], records(members), DefaultLimits(), func(_ context.Context, ev loop.Event) bool {
		if _, ok := ev.(loop.Received); ok {
			<-release
		}
		return false
	})
	conns := sessionAs(t, members[0], members[1].record, name(1))
	b.await(t, loop.Connected{Peer: members[0].record.ID})
	if err := conns[loop.Bulk].WriteMessage(websocket.BinaryMessage, nil); err != nil {
		t.Fatal(err)
	}
	for b.Stats()[0].Channels[loop.Bulk].FramesIn == 0 {
		runtime.Gosched()
	}
	for _, c := range conns {
		_ = c.Close()
	}
	select {
	case ev := <-b.events:
		t.Errorf("%T while a frame is being delivered", ev)
	case <-time.After(200 * time.Millisecond):
	}
	close(release)
	if ev, ok := b.next(t).(loop.Received); !ok {
		t.Errorf("%T, want the frame", ev)
	}
	if ev := b.next(t); ev != (loop.Disconnected{Peer: members[0].record.ID}) {
		t.Errorf("%T, want the end", ev)
	}
}

func TestAPeerThatVanishesWithoutAWordIsNoticed(t *testing.T) {
	members := network(t, 2)
	limits := DefaultLimits()
	limits.Idle = 300 * time.Millisecond
	p := newProxy(t, members[1].record.Peers)
	through := records(members)
	through[1].Peers = p.address
	a := start(t, members[0], through, limits, nil)
	b := start(t, members[1], records(members), limits, nil)
	a.await(t, loop.Connected{Peer: b.self})
	b.await(t, loop.Connected{Peer: a.self})
	began := time.Now()
	// heartbeats keep an idle session for longer than Idle
	select {
	case ev := <-a.events:
		t.Fatalf("%T after %v", ev, time.Since(began))
	case <-time.After(3 * limits.Idle):
	}
	p.silence()
	a.await(t, loop.Disconnected{Peer: b.self})
	b.await(t, loop.Disconnected{Peer: a.self})
}

func TestASlowPeerHoldsUpOneOfItsChannelsAndNobody(t *testing.T) {
	members := network(t, 2)
	limits := DefaultLimits()
	limits.Idle = 300 * time.Millisecond // it is alive all the while
	release := make(chan struct{})
	b := start(t, members[1], records(members), limits, func(ctx context.Context, ev loop.Event) bool {
		if r, ok := ev.(loop.Received); ok && r.Channel == loop.Bulk {
			select {
			case <-release:
			case <-ctx.Done():
			}
		}
		return false
	})
	a := start(t, members[0], records(members), limits, nil)
	a.await(t, loop.Connected{Peer: b.self})
	b.await(t, loop.Connected{Peer: a.self})

	// More than the sockets between hold, several times what the queue holds.
	frame := make([]byte, 1<<20)
	var before, after runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	const frames = 512
	for n := range uint64(frames) {
		mine := bytes.Clone(frame)
		binary.BigEndian.PutUint64(mine, n)
		a.Send(b.self, loop.Bulk, mine)
	}
	runtime.GC()
	runtime.ReadMemStats(&after)
	if grown := int64(after.HeapAlloc) - int64(before.HeapAlloc); grown > 4*int64(limits.QueueBytes) {
		t.Errorf("the heap grew by %d MiB while the peer read nothing", grown>>20)
	}
	if c := a.Stats()[0].Channels[loop.Bulk]; c.Dropped == 0 || c.QueuedBytes > limits.QueueBytes || c.QueuedFrames == 0 {
		t.Errorf("stats %+v", c)
	}
	for n := range uint64(100) {
		a.Send(b.self, loop.Consensus, numbered(n))
		if ev, ok := b.next(t).(loop.Received); !ok || ev.Channel != loop.Consensus {
			t.Fatalf("%T, want a frame for consensus", ev)
		}
	}
	select {
	case ev := <-b.events:
		t.Fatalf("%T: a peer that is slow was taken for lost", ev)
	case <-time.After(3 * limits.Idle):
	}
	close(release)
	for last := int64(-1); last != frames-1; {
		ev, ok := b.next(t).(loop.Received)
		if !ok || int64(binary.BigEndian.Uint64(ev.Frame)) <= last {
			t.Fatalf("%T after number %d: the queue lost its order or its newest frame", ev, last)
		}
		last = int64(binary.BigEndian.Uint64(ev.Frame))
	}
}

func TestAWriteThatIsStuckEndsTheSession(t *testing.T) {
	members := network(t, 2)
	limits := DefaultLimits()
	limits.Idle, limits.Stall = time.Hour, 200*time.Millisecond
	b := start(t, members[1], records(members), limits, nil)
	sessionAs(t, members[0], members[1].record, name(1)) // it never reads
	b.await(t, loop.Connected{Peer: members[0].record.ID})
	for range 64 {
		b.Send(members[0].record.ID, loop.Consensus, make([]byte, 1<<20))
	}
	b.await(t, loop.Disconnected{Peer: members[0].record.ID})
	b.log.await(t, "disconnected", "writing consensus", "timeout")
	if s := b.Stats()[0].Channels[loop.Consensus]; s.QueuedBytes != 0 || s.Dropped+s.Unsent == 0 {
		t.Errorf("stats %+v", s)
	}
}

func TestRunLeavesNoGoroutine(t *testing.T) {
	members := network(t, 3)
	a := start(t, members[0], records(members), DefaultLimits(), nil) // dials one that is not there, too
	b := start(t, members[1], records(members), DefaultLimits(), func(ctx context.Context, ev loop.Event) bool {
		if _, ok := ev.(loop.Received); ok {
			<-ctx.Done() // in the middle of back-pressure
		}
		return false
	})
	a.await(t, loop.Connected{Peer: b.self})
	for range 100 {
		a.Send(b.self, loop.Bulk, make([]byte, 1<<20))
	}
	conn := dialAs(t, members[0], members[1].record, loop.Bulk, name(1)) // half a session
	silent, err := net.Dial("tcp", members[1].record.Peers)
	if err != nil {
		t.Fatal(err)
	}
	defer silent.Close()
	a.log.await(t, "not reached")
	a.end()
	b.end()
	if _, _, err := conn.ReadMessage(); err == nil {
		t.Error("a connection outlives Run")
	}
	// A goroutine that has reported its end may still be on its last instructions.
	stacks := make([]byte, 1<<20)
	for late := time.Now().Add(patience); ; runtime.Gosched() {
		text := string(stacks[:runtime.Stack(stacks, true)])
		if !strings.Contains(text, "transport.(*Transport)") && !strings.Contains(text, "transport.during") {
			return
		}
		if time.Now().After(late) {
			t.Fatalf("goroutines are left:\n%s", text)
		}
	}
}

func TestRunEndsInTheMiddleOfHandshakes(t *testing.T) {
	members := network(t, 3)
	limits := DefaultLimits()
	limits.Handshake = time.Hour
	heard := make(chan struct{})
	var once sync.Once
	falseServer(t, members[2].record.Peers, &tls.Config{
		Certificates: []tls.Certificate{{Certificate: [][]byte{members[2].record.Certificate}, PrivateKey: members[2].key}},
	}, func(c net.Conn) {
		_, _ = c.Read(make([]byte, 1)) // the request for a websocket, never answered
		once.Do(func() { close(heard) })
		_, _ = io.Copy(io.Discard, c)
	})
	b := start(t, members[1], records(members), limits, nil)
	raw, err := net.Dial("tcp", members[1].record.Peers)
	if err != nil {
		t.Fatal(err)
	}
	defer raw.Close()
	asks := tls.Client(raw, clientTLS(members[0].key, members[0].record.Certificate))
	if _, err := asks.Write([]byte("GET ")); err != nil { // and no more
		t.Fatal(err)
	}
	<-heard
	b.end()
}

func TestRunClosesASessionThatItNeverServed(t *testing.T) {
	members := network(t, 2)
	b := start(t, members[1], records(members), DefaultLimits(), func(ctx context.Context, ev loop.Event) bool {
		if _, ok := ev.(loop.Received); ok {
			<-ctx.Done() // the first session lasts until the end
		}
		return false
	})
	first := sessionAs(t, members[0], members[1].record, name(1))
	b.await(t, loop.Connected{Peer: members[0].record.ID})
	if err := first[loop.Bulk].WriteMessage(websocket.BinaryMessage, nil); err != nil {
		t.Fatal(err)
	}
	for b.Stats()[0].Channels[loop.Bulk].FramesIn == 0 {
		runtime.Gosched()
	}
	second := sessionAs(t, members[0], members[1].record, name(2))
	for _, c := range first {
		if _, _, err := c.ReadMessage(); err == nil { // until the second replaces it
			t.Error("the first session says something")
		}
	}
	b.end()
	for ch, c := range second {
		_ = c.SetReadDeadline(time.Now().Add(patience))
		if _, _, err := c.ReadMessage(); err == nil || strings.Contains(err.Error(), "timeout") {
			t.Errorf("%v is still open: %v", loop.Channel(ch), err)
		}
	}
}

func TestRunFailsWithItsListener(t *testing.T) {
	m := network(t, 1)[0]
	l := listen(t, m.record.Peers)
	tr, err := New(Config{Self: m.record, Key: m.key, Listener: l, Deliver: func(loop.Event) {}, Limits: DefaultLimits()})
	if err != nil {
		t.Fatal(err)
	}
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	if err := tr.Run(context.Background()); err == nil {
		t.Error("Run ended without an error")
	}
}

func TestNewRefusesWhatDoesNotFit(t *testing.T) {
	members := network(t, 2)
	other := newMember(t, 99)
	good := func() Config {
		return Config{Self: members[0].record, Key: members[0].key, Peers: records(members), Limits: DefaultLimits()}
	}
	peer := func(change func(*registry.Node)) func(*Config) {
		return func(c *Config) { change(&c.Peers[1]) }
	}
	for want, spoil := range map[string]func(*Config){
		"the key is not that of node":    func(c *Config) { c.Key = other.key },
		"its id is not that of its key":  peer(func(n *registry.Node) { n.ID = principal.Canister(7) }),
		"its certificate is for another": peer(func(n *registry.Node) { n.Certificate = other.record.Certificate }),
		"its certificate: ":              peer(func(n *registry.Node) { n.Certificate = n.Certificate[1:] }),
		"has two records":                func(c *Config) { c.Peers = append(c.Peers, c.Peers[1]) },
		"QueueBytes":                     func(c *Config) { c.Limits.QueueBytes = loop.MaxFrameBytes - 1 },
		"must be positive":               func(c *Config) { c.Limits.Idle = 0 },
		"RetryLast":                      func(c *Config) { c.Limits.RetryLast = 1 },
	} {
		c := good()
		spoil(&c)
		if _, err := New(c); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v, want %q", err, want)
		}
	}
	if _, err := New(good()); err != nil {
		t.Error(err)
	}
}
