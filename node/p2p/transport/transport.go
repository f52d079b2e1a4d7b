// Package transport carries frames between nodes: loop's connections to peers on real
// sockets, websockets inside mutual TLS 1.3.
//
// # Who is who
//
// A node's certificate is made of its own Ed25519 key, see Certificate, and stands in
// its registry record. Either side of a connection takes exactly the certificate of a
// record, byte for byte, and nothing else that X.509 or TLS would offer: no authorities,
// no names, no dates, no resumed sessions. The connection then speaks for that node. One
// key serves blocks, answers and TLS, since what is signed never collides: TLS signs
// 64 spaces first, X.509 an ASN.1 sequence, and the protocol's own domains begin with
// their length.
//
// # Sessions
//
// Two nodes share a session of three connections, one for each loop.Channel, or none at
// all: losing one ends the other two. The node with the smaller id dials, to
// "/consensus/", "/ingress/" and "/bulk/" followed by the session's random name in hex. A
// complete new session replaces the one before at once, so a peer that was
// restarted need not wait until the dead session's time is over, while a stray
// connection replaces nothing. Connected comes before the first Received of a session and
// Disconnected after its last.
//
// # Bounds
//
// Each peer and channel has its own queue, its own writer and its own reader. Send
// never blocks: a full queue loses its oldest frame, whatever the channel, because what
// waited longest is what the broadcast above has most likely replaced, or what the
// requester no longer waits for; the newest votes are what lets a slow peer catch up.
// Deliver may block, and then nothing more is read from that peer's channel: the
// peer's writer feels it, its queue fills, and no memory does here.
//
// A connection on which nothing arrives for Limits.Idle is lost. Each side sends
// pongs that nobody asked for when it has nothing else to send (RFC 6455, section 5.5.3),
// so a peer that reads slowly is alive and one that vanished without a word is not. A write
// that is stuck for Limits.Stall is lost, too.
//
// Strangers, known by their address before anything else is, have their own places for
// handshakes and a number of them in a second; peers connecting from the addresses of
// their records do not queue behind them. Peers whose records have names
// instead of IP addresses count as strangers here.
package transport

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"portico/lightclient/principal"
	"portico/node/loop"
	"portico/node/registry"
	"portico/node/types"
)

// Config is what a Transport is made of.
type Config struct {
	Self registry.Node
	Key  ed25519.PrivateKey // the one that Self.ID and Self.Certificate are made of
	// Peers are the nodes to exchange frames with; Self may be among them and is ignored.
	Peers []registry.Node
	// Listener takes the connections of peers with smaller ids. Run closes it.
	Listener net.Listener
	// Deliver takes Connected, Disconnected and Received, those of one peer's channel one
	// at a time, those of several concurrently. It may block, and must return once the
	// context of Run has ended.
	Deliver func(loop.Event)
	Log     *slog.Logger
	Limits  Limits
}

// Limits bound what peers and strangers can take. All are positive.
type Limits struct {
	// QueueFrames and QueueBytes bound what waits for one peer on one channel.
	// QueueBytes is at least loop.MaxFrameBytes.
	QueueFrames, QueueBytes int
	// Handshakes bounds the unfinished connections of strangers, StrangersPerSecond those
	// that are accepted in a second (at most as many at once as there are Handshakes).
	Handshakes, StrangersPerSecond int
	// Handshake is the time for a session's three connections to be made.
	Handshake time.Duration
	// Idle is how long nothing may arrive on a connection, Stall how long a write may take.
	Idle, Stall time.Duration
	// RetryFirst is the pause before dialing again, doubled each time up to RetryLast.
	RetryFirst, RetryLast time.Duration
}

// DefaultLimits suit nodes some 300 ms apart at most.
func DefaultLimits() Limits {
	return Limits{
		QueueFrames: 4096, QueueBytes: 2 * loop.MaxFrameBytes,
		Handshakes: 64, StrangersPerSecond: 20,
		Handshake: 5 * time.Second, Idle: 5 * time.Second, Stall: 20 * time.Second,
		RetryFirst: 100 * time.Millisecond, RetryLast: 5 * time.Second,
	}
}

func (l Limits) check() error {
	if l.QueueBytes < loop.MaxFrameBytes {
		return fmt.Errorf("QueueBytes is %d, a frame may have %d", l.QueueBytes, loop.MaxFrameBytes)
	}
	if min(l.QueueFrames, l.Handshakes, l.StrangersPerSecond) <= 0 || min(l.Handshake, l.Idle, l.Stall, l.RetryFirst) <= 0 {
		return errors.New("every limit must be positive")
	}
	if l.RetryLast < l.RetryFirst {
		return fmt.Errorf("RetryLast is %v, less than RetryFirst, %v", l.RetryLast, l.RetryFirst)
	}
	return nil
}

// A Transport is one node's connections to its peers.
type Transport struct {
	self     types.NodeID
	deliver  func(loop.Event)
	log      *slog.Logger
	limits   Limits
	listener net.Listener

	peers         map[types.NodeID]*peer
	order         []*peer
	byCertificate map[string]*peer // by DER

	identity tls.Certificate
	server   *tls.Config
	door     *door
	buffers  sync.Pool // of *bytes.Buffer, for frames that are arriving
	refused  atomic.Uint64
}

// New makes a transport, which does nothing before Run. An error says which record does
// not fit its key, or which limit is out of bounds.
func New(cfg Config) (*Transport, error) {
	if err := cfg.Limits.check(); err != nil {
		return nil, fmt.Errorf("transport: %w", err)
	}
	if err := checkNode(cfg.Self); err != nil {
		return nil, fmt.Errorf("transport: %w", err)
	}
	t := &Transport{
		self: cfg.Self.ID, deliver: cfg.Deliver, log: cfg.Log, limits: cfg.Limits, listener: cfg.Listener,
		peers: map[types.NodeID]*peer{}, byCertificate: map[string]*peer{},
		identity: tls.Certificate{Certificate: [][]byte{cfg.Self.Certificate}, PrivateKey: cfg.Key},
		buffers:  sync.Pool{New: func() any { return new(bytes.Buffer) }},
	}
	own, err := x509.MarshalPKIXPublicKey(cfg.Key.Public())
	if err != nil {
		return nil, fmt.Errorf("transport: %w", err)
	}
	if !bytes.Equal(own, cfg.Self.Key) {
		return nil, fmt.Errorf("transport: the key is not that of node %s", cfg.Self.ID)
	}
	for _, n := range cfg.Peers {
		if n.ID == cfg.Self.ID {
			continue
		}
		if err := checkNode(n); err != nil {
			return nil, fmt.Errorf("transport: %w", err)
		}
		if t.peers[n.ID] != nil {
			return nil, fmt.Errorf("transport: node %s has two records", n.ID)
		}
		p := newPeer(n, cfg.Self.ID, cfg.Limits)
		t.peers[n.ID], t.byCertificate[string(n.Certificate)] = p, p
		t.order = append(t.order, p)
	}
	t.server = t.serverTLS()
	t.door = newDoor(t.order, cfg.Limits)
	return t, nil
}

// checkNode checks that a record's id and certificate are made of its key.
func checkNode(n registry.Node) error {
	if principal.SelfAuthenticating(n.Key) != n.ID {
		return fmt.Errorf("node %s: its id is not that of its key", n.ID)
	}
	c, err := x509.ParseCertificate(n.Certificate)
	if err != nil {
		return fmt.Errorf("node %s: its certificate: %w", n.ID, err)
	}
	if !bytes.Equal(c.RawSubjectPublicKeyInfo, n.Key) {
		return fmt.Errorf("node %s: its certificate is for another key", n.ID)
	}
	return nil
}

// Run serves and dials until the context ends, and returns once every goroutine that it
// started is gone. It fails if the listener does. It is called once.
func (t *Transport) Run(ctx context.Context) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	var wg sync.WaitGroup
	for _, p := range t.order {
		wg.Go(func() { t.keep(ctx, p) })
	}
	wg.Go(func() {
		<-ctx.Done()
		if err := t.listener.Close(); err != nil && !errors.Is(err, net.ErrClosed) {
			t.log.Warn("closing the peers' listener", "error", err)
		}
	})
	err := t.accept(ctx, &wg)
	cancel()
	wg.Wait()
	for _, p := range t.order {
		p.discard()
	}
	return err
}

// Send queues a frame for a peer and returns at once. The frame is lost if there is no
// session, if it is longer than loop.MaxFrameBytes, or if it becomes the oldest of a full
// queue; Stats counts them. It is kept until it is sent: nobody may change it any more.
func (t *Transport) Send(to types.NodeID, ch loop.Channel, frame []byte) {
	p := t.peers[to]
	if p == nil {
		return
	}
	if len(frame) > loop.MaxFrameBytes {
		t.log.Error("a frame is too long to be sent", "peer", to, "channel", ch, "bytes", len(frame), "most", loop.MaxFrameBytes)
		p.channels[ch].dropped.Add(1)
		return
	}
	p.channels[ch].send(frame)
}

// PeerStats tell of one peer. Counters count from New on.
type PeerStats struct {
	Peer      types.NodeID
	Connected bool   // there is a session
	Sessions  uint64 // that there have been; all but the first are reconnections
	Channels  [loop.Channels]ChannelStats
}

// ChannelStats tell of one channel of a peer.
type ChannelStats struct {
	FramesIn, BytesIn, FramesOut, BytesOut uint64
	// Dropped counts frames lost to a full queue or to their size, Unsent those for which
	// there was no session or whose session ended before they were written.
	Dropped, Unsent uint64
	// Oversize counts the peer's frames of more than loop.MaxFrameBytes: each ended a session.
	Oversize uint64
	// QueuedFrames and QueuedBytes wait at this moment.
	QueuedFrames, QueuedBytes int
}

// Stats tell of every peer, in the order of Config.Peers.
func (t *Transport) Stats() []PeerStats {
	out := make([]PeerStats, len(t.order))
	for i, p := range t.order {
		out[i] = PeerStats{Peer: p.node.ID, Connected: p.up.Load(), Sessions: p.sessions.Load()}
		for ch := range p.channels {
			out[i].Channels[ch] = p.channels[ch].stats()
		}
	}
	return out
}

// Refused counts the connections that were closed before they belonged to a peer's session.
func (t *Transport) Refused() uint64 { return t.refused.Load() }
