// Package p2p is the abortable broadcast of the Internet Computer (arXiv 2410.22080): it
// makes the pools of a node's peers equal to its validated pool. An artifact is offered for
// as long as it is in the pool, and what was withdrawn in the meantime is not delivered. That
// bounds it: a slow or hostile peer costs a table and a window, never a backlog.
//
// # Slots
//
// A published artifact owns one slot at its sender until it is withdrawn. What
// travels is the update of a slot: {slot, commit, id, bytes or none}, where commits
// count up over all updates of a sender's stream. A receiver keeps for each
// peer a table of slots, in which the higher commit wins: doubled, late and reordered
// updates change nothing. Small artifacts, and larger ones of kinds that must be fast,
// carry their bytes (they are pushed); of others the id is advertised and whoever wants
// the artifact fetches it from one of the peers that hold it.
//
// # Loss
//
// Frames may be lost, so receivers acknowledge (slot, commit) pairs once they are in
// the table, and senders repeat what is not acknowledged with growing pauses. Only the
// present content of a slot is ever repeated. Each side of a link numbers its lives: a frame
// of a higher life empties the table of the one before, and since whoever has restarted
// has also lost its own tables, everything live is sent to it again. A connection
// that is lost and comes back within the same life continues with what is not acknowledged.
//
// # Bounds
//
// Per peer there are: a table of Limits.Slots entries a stream, a window of unacknowledged
// updates, a fixed number of fetches under way, token buckets for what it is served, and
// a credit that it loses with everything invalid it sends. Without credit its
// adverts, artifacts and answers are ignored (and not acknowledged, so that an honest peer
// repeats them) until it has refilled. Nothing disconnects a peer.
//
// A Broadcast is part of a loop.Handler: it is called with one event at a time, and
// the same events lead to the same frames.
package p2p

import (
	"encoding/binary"
	"fmt"
	"io"
	"slices"
	"time"

	"portico/node/artifact"
	"portico/node/loop"
	"portico/node/types"
)

// Stream is one of the pools that a Broadcast keeps equal. Its updates travel on the
// channel of the same number.
type Stream uint8

// The streams.
const (
	Consensus = Stream(loop.Consensus)
	Ingress   = Stream(loop.Ingress)
	Streams   = 2 // their number
)

// Interest is what a pool thinks of an artifact of which it knows the id.
type Interest uint8

// The interests.
const (
	Unwanted Interest = iota // it is here already, or too old to matter
	Later                    // it may matter when this node has come further
	Wanted
)

// Client is a pool as the broadcast sees it. Its methods do not call the broadcast.
type Client interface {
	// Interest is asked for every advert and again on every Refresh: it must be cheap.
	// It is Unwanted for what the pool has, validated or not.
	Interest(id artifact.ID) Interest
	// Received takes an artifact for the unvalidated section, which the client bounds.
	// Of kinds that Config.Hashed excludes nothing is checked, of others the hash. The bytes are the
	// client's to keep.
	Received(from types.NodeID, id artifact.ID, encoded []byte)
	// Get returns the bytes that serve a fetch, the same that Publish was given, or
	// nil if the artifact is not in the validated section.
	Get(id artifact.ID) []byte
}

// Config is what a Broadcast needs to know.
type Config struct {
	Self types.NodeID
	// Peers are the nodes to exchange artifacts with; Self is skipped.
	Peers   []types.NodeID
	Clients [Streams]Client
	// Hashed says whether the hash in the ids of a kind is the SHA-256 of the bytes that travel. The
	// client checks the others: a proposal travels without its ingress messages.
	Hashed func(artifact.Kind) bool
	// Urgent says of which kinds artifacts are pushed up to Limits.UrgentBytes.
	Urgent func(artifact.Kind) bool
	Limits Limits
}

// Limits bound what a peer can make this node keep, do and send. See DefaultLimits.
type Limits struct {
	Slots       [Streams]int           // live artifacts of a sender; the same at all nodes
	PushBytes   int                    // artifacts up to this size are pushed
	UrgentBytes int                    // and those of urgent kinds up to this one
	WindowBytes int                    // of updates to a peer's stream that are not acknowledged
	WindowItems int                    // their number
	Parallel    int                    // fetches under way at one peer
	Fetches     int                    // artifacts of a stream that Fetch asks for at a time
	FetchWait   [Streams]time.Duration // before another holder is asked: how long a silent one can hold up an artifact
	ServedItems int64                  // fetches served to a peer, per second
	ServedBytes int64                  // their bytes, per second
	Credit      int64                  // of a peer that behaves; an offence costs costOffence
}

// DefaultLimits are those of a subnet with blocks of 4 MiB. A table is warned of by the
// Internet Computer's replica at 30,000 slots; an ingress pool has 20,000 messages.
func DefaultLimits() Limits {
	return Limits{
		Slots: [Streams]int{Consensus: 30_000, Ingress: 20_000}, PushBytes: types.KiB, UrgentBytes: 512 * types.KiB,
		WindowBytes: 4 * types.MiB, WindowItems: 4096, Parallel: 32, Fetches: 8192,
		FetchWait:   [Streams]time.Duration{Consensus: 750 * time.Millisecond, Ingress: 2 * time.Second},
		ServedItems: 4000, ServedBytes: 64 * types.MiB, Credit: 100,
	}
}

const (
	// MaxArtifactBytes is the size of the largest artifact that fits into a frame.
	MaxArtifactBytes = loop.MaxFrameBytes - frameOverhead - itemOverhead

	ackDelay   = 50 * time.Millisecond
	minBackoff = 250 * time.Millisecond
	maxBackoff = time.Minute
	retryDelay = 500 * time.Millisecond // after all holders of an artifact were asked in vain

	// What a peer pays. Credit refills by one a second, and debt is at most the
	// credit of a peer that behaves: whoever stops offending is heard after two minutes.
	costOffence  = 10
	costNewLife  = 5
	creditPerSec = 1
)

// Broadcast keeps the streams of one node and its peers equal.
type Broadcast struct {
	cfg     Config
	peers   []*peer // ascending
	byNode  map[types.NodeID]*peer
	streams [Streams]stream
	// reachable are the connected nodes, also those that are not peers yet.
	reachable map[types.NodeID]bool

	flushing bool         // a wake for the end of this event is under way
	timers   []types.Time // wakes under way, each earlier than the one before it
}

// stream is one pool: what this node publishes and what it hears of.
type stream struct {
	number Stream
	client Client

	slots  []slot
	free   []uint32 // slots that hold nothing; the last is taken first
	live   map[artifact.ID]uint32
	commit uint64

	adverts map[artifact.ID]*advert
	order   []*advert // the same, in an order that depends on events alone
	fetches int       // adverts with outright set
	parked  []*advert // by the time at which they are tried again
}

// peer is the state of the link to one peer.
type peer struct {
	node      types.NodeID
	connected bool
	life      uint64 // ours towards this peer; 0 = not drawn
	theirs    uint64 // the highest that the peer has shown; 0 = none
	greeted   bool   // the peer has shown that it knows life
	helloAt   types.Time
	helloWait time.Duration

	credit, servedItems, servedBytes bucket

	links [Streams]link

	outstanding []*advert // asked from this peer, oldest first
	waiting     []*advert // to be asked when there is room
	gone        int       // entries of waiting that have lost their meaning
	late        int       // fetches in a row that were not answered in time

	stats PeerStats
}

// link is what a peer and this node know of each other's slots in one stream.
type link struct {
	outbox
	heard  []heard // by slot
	acks   []ack
	ackAt  types.Time // when a frame must leave even if there is nothing else to say; 0 = never
	asking []artifact.ID
}

// wake is the broadcast's own event: at = 0 ends the handling of another event.
type wake struct{ at types.Time }

// New makes a Broadcast whose peers know nothing yet.
func New(cfg Config) *Broadcast {
	b := &Broadcast{cfg: cfg, byNode: map[types.NodeID]*peer{}, reachable: map[types.NodeID]bool{}}
	for s := range b.streams {
		b.streams[s] = stream{
			number: Stream(s), client: cfg.Clients[s],
			live: map[artifact.ID]uint32{}, adverts: map[artifact.ID]*advert{},
		}
	}
	b.setPeers(cfg.Peers)
	return b
}

func (b *Broadcast) setPeers(nodes []types.NodeID) {
	for _, node := range nodes {
		if node == b.cfg.Self || b.byNode[node] != nil {
			continue
		}
		p := &peer{node: node}
		p.credit = bucket{rate: creditPerSec, burst: b.cfg.Limits.Credit}
		p.servedItems = bucket{rate: b.cfg.Limits.ServedItems, burst: b.cfg.Limits.ServedItems}
		p.servedBytes = bucket{rate: b.cfg.Limits.ServedBytes, burst: b.cfg.Limits.ServedBytes}
		for s := range p.links {
			p.links[s].restart(&b.streams[s])
		}
		b.byNode[node] = p
		b.peers = append(b.peers, p)
	}
	slices.SortFunc(b.peers, func(p, q *peer) int { return p.node.Compare(q.node) })
}

// SetPeers changes whom artifacts are exchanged with, as the membership of the subnet
// does. Whoever is no longer named is forgotten; whoever is new hears of everything live.
func (b *Broadcast) SetPeers(env loop.Env, nodes []types.NodeID) {
	b.peers = slices.DeleteFunc(b.peers, func(p *peer) bool {
		if slices.Contains(nodes, p.node) {
			return false
		}
		p.connected = false
		b.forgetSlots(env, p)
		b.forgetNamed(env, p)
		delete(b.byNode, p.node)
		return true
	})
	b.setPeers(nodes)
	for _, p := range b.peers {
		if !p.connected && b.reachable[p.node] {
			b.connected(env, p)
		}
	}
}

// Handle takes an event and reports whether it was for the broadcast alone: others
// may also want to know of connections, and of frames on the bulk channel that are not of this protocol.
func (b *Broadcast) Handle(env loop.Env, ev loop.Event) (handled bool) {
	switch ev := ev.(type) {
	case wake:
		if ev.at == 0 {
			b.flushing = false
		} else {
			b.timers = slices.DeleteFunc(b.timers, func(at types.Time) bool { return at == ev.at })
		}
		b.flush(env)
		return true
	case loop.Received:
		if ev.Channel == loop.Bulk && !ours(ev.Frame) {
			return false
		}
		if p := b.byNode[ev.From]; p != nil {
			b.receive(env, p, ev)
		}
		return true
	case loop.Connected:
		b.reachable[ev.Peer] = true
		if p := b.byNode[ev.Peer]; p != nil {
			b.connected(env, p)
		}
	case loop.Disconnected:
		delete(b.reachable, ev.Peer)
		if p := b.byNode[ev.Peer]; p != nil {
			p.connected = false
			b.abandon(env, p)
			b.flushSoon(env)
		}
	}
	return false
}

// connected begins again where the last connection ended: what was under way is
// presumed lost, and pauses are as short as at first.
func (b *Broadcast) connected(env loop.Env, p *peer) {
	p.connected, p.greeted, p.late = true, false, 0
	p.helloAt, p.helloWait = env.Now(), minBackoff
	for s := range p.links {
		p.links[s].repeatAll()
	}
	b.resume(env)
	b.flushSoon(env)
}

// receive handles a frame.
func (b *Broadcast) receive(env loop.Env, p *peer, ev loop.Received) {
	now := env.Now()
	p.stats.FramesIn++
	p.stats.BytesIn += uint64(len(ev.Frame))
	f, err := decodeFrame(ev.Frame)
	if err == nil {
		err = f.allowedOn(ev.Channel)
	}
	if err != nil {
		p.stats.Garbage++
		b.offend(now, p)
		return
	}
	if !p.connected {
		b.connected(env, p)
	}
	b.flushSoon(env)
	if !b.meet(env, p, f) {
		return
	}
	l := &p.links[f.stream]
	if f.yours == p.life {
		for _, a := range f.acks {
			l.acknowledged(a, now)
		}
	}
	b.serve(env, p, f.stream, f.wants)
	if !p.credit.has(now) {
		p.stats.Ignored += uint64(len(f.updates) + len(f.answers))
		return
	}
	for i := range f.updates {
		b.hear(env, p, f.stream, &f.updates[i])
	}
	for i := range f.answers {
		b.answered(env, p, f.stream, &f.answers[i])
	}
}

// meet compares the lives in a frame with what is known, and reports whether the frame
// is of the peer's present life.
func (b *Broadcast) meet(env loop.Env, p *peer, f *frame) bool {
	now := env.Now()
	if f.yours > p.ourLife(env) && f.yours+1 != 0 && p.credit.has(now) {
		// The peer remembers a life of ours beyond this one: our clock has gone
		// back over a restart. Only a higher life will be heard.
		p.credit.charge(now, costNewLife)
		p.life, p.greeted = f.yours+1, false
		b.tellAgain(p)
	}
	if f.yours == p.life {
		p.greeted = true
	}
	if f.hello || f.yours != p.life || f.life != p.theirs {
		p.links[Consensus].answerBy(now.Add(ackDelay))
	}
	if f.life > p.theirs {
		if p.theirs != 0 {
			if !p.credit.has(now) {
				return false
			}
			p.credit.charge(now, costNewLife)
			b.forgetSlots(env, p)
			b.tellAgain(p)
		}
		p.theirs = f.life
	}
	return f.life == p.theirs
}

// tellAgain makes everything live unknown to the peer.
func (b *Broadcast) tellAgain(p *peer) {
	for s := range p.links {
		p.links[s].restart(&b.streams[s])
	}
}

// ourLife draws the number of this life when it is first needed: the time, so that it is higher
// than those of earlier lives, with low bits of chance, so that it differs from them
// if the clock stands still.
func (p *peer) ourLife(env loop.Env) uint64 {
	if p.life == 0 {
		var chance [2]byte
		if _, err := io.ReadFull(env.Rand(), chance[:]); err != nil {
			env.Stop(fmt.Errorf("p2p: no randomness for the number of a life: %w", err))
		}
		p.life = max(uint64(env.Now())&^0xffff|uint64(binary.BigEndian.Uint16(chance[:])), 1)
	}
	return p.life
}

// Penalise takes credit from a peer for an artifact that turned out to be invalid.
func (b *Broadcast) Penalise(env loop.Env, node types.NodeID) {
	if p := b.byNode[node]; p != nil {
		b.offend(env.Now(), p)
	}
}

func (b *Broadcast) offend(now types.Time, p *peer) {
	p.stats.Offences++
	p.credit.charge(now, costOffence)
}

// flushSoon has what this event leads to sent when the events that are there already are handled.
func (b *Broadcast) flushSoon(env loop.Env) {
	if !b.flushing {
		b.flushing = true
		env.After(0, wake{})
	}
}

// flush does what is due, sends what can be sent, and sets a timer for what is next.
func (b *Broadcast) flush(env loop.Env) {
	now := env.Now()
	for s := range b.streams {
		b.unpark(env, &b.streams[s])
	}
	for _, p := range b.peers {
		b.overdue(env, p)
	}
	var next types.Time
	for _, p := range b.peers {
		if p.connected {
			p.ourLife(env)
			for s := range p.links {
				b.transmit(env, p, Stream(s))
			}
			next = earliest(next, p.due())
		}
	}
	for s := range b.streams {
		if parked := b.streams[s].parked; len(parked) > 0 {
			next = earliest(next, parked[0].parkedUntil)
		}
	}
	// A timer cannot be taken back, so one is set only if none rings before.
	if n := len(b.timers); next != 0 && (n == 0 || next < b.timers[n-1]) {
		b.timers = append(b.timers, next)
		env.After(max(next.Sub(now), 0), wake{next})
	}
}

// due is when something must happen for this peer; 0 = nothing is under way.
func (p *peer) due() types.Time {
	var next types.Time
	if !p.greeted {
		next = p.helloAt
	}
	for _, ad := range p.outstanding {
		next = earliest(next, ad.due)
	}
	for s := range p.links {
		l := &p.links[s]
		next = earliest(next, l.ackAt)
		if len(l.flight) > 0 {
			next = earliest(next, l.flight[0].at.Add(l.backoff))
		}
	}
	return next
}

// earliest is the earlier of two times of which 0 means never.
func earliest(a, b types.Time) types.Time {
	if a == 0 || (b != 0 && b < a) {
		return b
	}
	return a
}
