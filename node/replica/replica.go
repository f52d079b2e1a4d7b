package replica

import (
	"fmt"
	"log/slog"
	"time"

	"portico/node/artifact"
	"portico/node/consensus"
	"portico/node/ingress"
	"portico/node/loop"
	"portico/node/p2p"
	"portico/node/registry"
	"portico/node/types"
)

// Config is what a Replica is made of.
type Config struct {
	Records *registry.Records
	Self    types.NodeID
	Crypto  consensus.Crypto
	// Rules are consensus.DefaultRules, unless a test breaks one.
	Rules  consensus.Rules
	Store  artifact.Store
	States States
	// Check checks the signature, the expiry and what else is to be checked of a call from a
	// peer, at a time of this node's clock. It is called off the loop.
	Check func(*ingress.Call, types.Time) error
	// Observe is told what happens; it must not block.
	Observe func(Observation)
	Log     *slog.Logger
}

// Replica is a node of a subnet, a loop.Handler.
type Replica struct {
	cfg       Config
	consensus *consensus.Consensus
	pool      *consensus.Pool
	progress  consensus.Progress
	calls     *ingress.Pool
	broadcast *p2p.Broadcast

	// dirty is what the pool has and the disk has not, outgoing the artifacts of it that
	// peers get once it has.
	dirty    artifact.Change
	outgoing []consensus.Artifact
	flushing bool
	stopped  bool

	// busy says that the States work for us, checkpointing that they make a checkpoint beside
	// that, shown that the newest state is certified.
	busy, checkpointing, shown bool
	wakes                      []types.Time // under way, each earlier than the one before it

	blocks   blockStore
	checking checking
	purged   types.Height // shares of earlier heights are gone
	kept     types.Height // so is everything else
	// refreshed is the notarized height at which peers' offers were looked through, at the
	// time refreshedAt. Refused says that since then something was left out for want of room.
	refreshed   types.Height
	refreshedAt types.Time
	refused     bool
}

// Events of the node's own.
type (
	flush    struct{}
	wake     struct{ at types.Time }
	executed struct {
		state Executed
		err   error
	}
	certified struct {
		checkpoint func() (types.Hash, error)
		err        error
	}
	checkpointed struct {
		height types.Height
		state  types.Hash
		err    error
	}
)

// New makes a node of what its earlier lives left in the store.
func New(cfg Config) (*Replica, error) {
	self, ok := cfg.Records.Subnet.Member(cfg.Self)
	if !ok {
		return nil, fmt.Errorf("node %s is no member of subnet %s", cfg.Self, cfg.Records.Subnet.ID)
	}
	r := &Replica{
		cfg:       cfg,
		consensus: consensus.New(consensus.Config{Records: cfg.Records, Self: self, Crypto: cfg.Crypto, Rules: cfg.Rules}),
		pool:      consensus.NewPool(consensus.Genesis(cfg.Records.Subnet.Genesis)),
		calls:     ingress.NewPool(),
	}
	r.blocks, r.checking = newBlockStore(), checking{ids: map[artifact.ID]bool{}, sent: map[types.NodeID]int{}}
	r.broadcast = p2p.New(p2p.Config{
		Self: cfg.Self, Peers: cfg.Records.Subnet.Members,
		Clients: [p2p.Streams]p2p.Client{p2p.Consensus: consensusClient{r}, p2p.Ingress: ingressClient{r}},
		Hashed:  func(k artifact.Kind) bool { return k != artifact.Proposal },
		Urgent:  func(k artifact.Kind) bool { return k == artifact.Proposal },
		Limits:  p2p.DefaultLimits(),
	})
	newest := cfg.States.Newest()
	r.progress = consensus.Progress{
		Executed: newest.Height, Root: newest.Root, Backlog: newest.Backlog, Quick: newest.Quick, Known: cfg.States.Known, Queries: cfg.States, Calls: r.calls,
		Checkpoints: map[types.Height]types.Hash{},
	}
	if newest.Checkpoint != (types.Hash{}) {
		r.progress.Checkpoints[newest.Height] = newest.Checkpoint
	}
	return r, r.restore()
}

// restore reads the validated pool from the store.
func (r *Replica) restore() error {
	var artifacts []consensus.Artifact
	err := r.cfg.Store.Load(func(item artifact.Item) error {
		a, err := consensus.Decode(item.ID, item.Encoded)
		if err != nil {
			return fmt.Errorf("the artifact stored as %s: %w", item.ID, err)
		}
		artifacts = append(artifacts, a)
		return nil
	})
	if err != nil {
		return err
	}
	r.pool.Restore(artifacts)
	for _, a := range artifacts {
		if p, ok := a.(*consensus.Proposal); ok {
			r.blocks.add(p.Block)
		}
		if r.relays(a) {
			r.outgoing = append(r.outgoing, a)
		}
	}
	return nil
}

// relays reports whether this node offers a validated artifact to its peers: shares only if
// they are its own, since whoever made others offers those.
func (r *Replica) relays(a consensus.Artifact) bool {
	s, ok := a.(*consensus.Share)
	if !ok {
		return true
	}
	return r.isMember(r.cfg.Self, s.By)
}

// isMember reports whether a node is a certain member.
func (r *Replica) isMember(node types.NodeID, m types.Member) bool {
	got, ok := r.cfg.Records.Subnet.Member(node)
	return ok && got == m
}

// Handle handles one event.
func (r *Replica) Handle(env loop.Env, ev loop.Event) {
	if r.stopped {
		return
	}
	switch ev := ev.(type) {
	case loop.Boot:
		r.pool.Resume(env.Now())
		r.observe(Observation{What: Ended, Height: r.progress.Executed, Hash: r.progress.Root})
	case flush:
		r.flush(env)
		return
	case wake:
		r.wakes = r.wakes[:len(r.wakes)-1]
	case Submit:
		r.submit(env, ev)
	case Inspect:
		ev.Done(r.status(env.Now()))
		return
	case checkedCalls:
		r.callsChecked(env, ev)
	case executed:
		r.executed(env, ev)
	case certified:
		r.certified(env, ev)
	case checkpointed:
		r.checkpointed(env, ev)
	default:
		if r.broadcast.Handle(env, ev); !r.blocks.news() && len(r.checking.waiting) == 0 {
			return // acknowledgements and the like
		}
	}
	r.step(env)
}

// step does everything that can be done now.
func (r *Replica) step(env loop.Env) {
	r.blocks.expired = types.Height(env.Now().Add(-clockLeeway) / 1e9)
	r.blocks.settle(r)
	r.checkCalls(env)
	for !r.stopped {
		changes, next := r.consensus.Next(r.pool, &r.progress, env.Now())
		if len(changes) == 0 {
			r.wakeAt(env, next)
			break
		}
		for _, c := range changes {
			r.apply(env, c)
		}
	}
	if r.stopped {
		return
	}
	r.fetchMissing(env)
	r.deliver(env)
	r.purge(env)
	r.refresh(env)
	r.flushSoon(env)
}

const (
	// window is how many heights ahead of the newest notarized one artifacts are wanted.
	window = 20
	// refreshHeights is how often peers' offers are looked through for what was too early.
	refreshHeights = window / 4
	// refreshPause is how often they are for what there was no room for.
	refreshPause = 3 * time.Second
	// clockLeeway is how long after its expiry a call may still be taken from a peer, whose
	// clock may be behind.
	clockLeeway = time.Minute
)

// refresh looks through peers' offers for what may have become wanted.
func (r *Replica) refresh(env loop.Env) {
	r.refused = r.pool.Refused() || r.blocks.refused || r.refused
	r.blocks.refused = false
	due := r.refreshedAt.Add(refreshPause)
	if r.pool.NotarizedHeight() < r.refreshed+refreshHeights && (!r.refused || env.Now() < due) {
		if r.refused {
			r.wakeAt(env, due)
		}
		return
	}
	r.refreshed, r.refreshedAt, r.refused = r.pool.NotarizedHeight(), env.Now(), false
	r.broadcast.Refresh(env)
}

// Inspect is the event by which a node's own process asks how it is doing.
type Inspect struct{ Done func(Status) }

// Status is how a node is doing.
type Status struct {
	Notarized, Finalized, Executed, Certified types.Height
	// Validated and Unvalidated are the artifacts in the pool of consensus.
	Validated, Unvalidated int
	// Calls wait for a block, with CallBytes; Checking for their signature's check.
	Calls, CallBytes, Checking int
	CatchUp                    types.Height
	// Lost says that the peers no longer have the blocks that this node needs next.
	Lost  bool
	Peers p2p.Stats
}

func (r *Replica) status(now types.Time) Status {
	s := Status{
		Notarized: r.pool.NotarizedHeight(), Finalized: r.pool.FinalizedHeight(),
		Executed: r.progress.Executed, Certified: r.progress.Certified,
		Calls: r.calls.Len(), CallBytes: r.calls.Bytes(), Checking: len(r.checking.ids), Peers: r.broadcast.Stats(now),
	}
	s.Validated, s.Unvalidated = r.pool.Len()
	if c := r.pool.CatchUp(); c != nil {
		s.CatchUp, s.Lost = c.Block.Height, r.lost(c)
	}
	return s
}

// lost reports whether peers that have a catch-up package have purged the blocks that this node
// needs next: then only the state itself could help it, and nodes do not transfer it yet.
func (r *Replica) lost(c *consensus.CatchUp) bool {
	return r.pool.FinalizedHeight()+1 < r.keepFrom(c)
}

// wakeAt has this node woken at a time, unless it is by then anyway.
func (r *Replica) wakeAt(env loop.Env, t types.Time) {
	if t == 0 || len(r.wakes) > 0 && r.wakes[len(r.wakes)-1] <= t {
		return
	}
	// a block maker may name any time, even one that is too far away for a duration
	t = min(t, env.Now().Add(maxWake))
	r.wakes = append(r.wakes, t)
	env.After(max(t.Sub(env.Now()), time.Millisecond), wake{t})
}

// maxWake is how long a node that waits for a time sleeps at most.
const maxWake = time.Minute

// apply applies a change to the pool and notes what disk and peers have to learn.
func (r *Replica) apply(env loop.Env, c consensus.Change) {
	e := r.pool.Apply(c, env.Now())
	if e.Blamed != (types.NodeID{}) {
		r.cfg.Log.Warn("a peer sent what is not valid", "peer", e.Blamed, "reason", e.Reason)
		r.broadcast.Penalise(env, e.Blamed)
	}
	if e.Added == nil {
		return
	}
	r.dirty.Put = append(r.dirty.Put, artifact.Item{ID: e.Added.ID(), Encoded: consensus.Encode(e.Added)})
	if r.relays(e.Added) {
		r.outgoing = append(r.outgoing, e.Added)
	}
	switch a := e.Added.(type) {
	case *consensus.Proposal:
		r.blocks.add(a.Block)
		if e.Own {
			r.observe(Observation{What: Proposed, Height: a.Block.Height, Hash: a.Block.Hash(), Block: a.Block})
		}
	case *consensus.CatchUp:
		if r.lost(a) {
			r.cfg.Log.Error("this replica was away for too long: its peers no longer keep the blocks that it needs next, and states are not transferred yet",
				"needs", r.pool.FinalizedHeight()+1, "peers keep from", r.keepFrom(a))
		}
	case *consensus.Aggregate:
		if a.Kind == artifact.Notarization {
			r.observe(Observation{What: Notarized, Height: a.Height, Hash: a.Hash})
		}
	}
	for _, b := range e.Finalized {
		r.observe(Observation{What: Finalized, Height: b.Height, Hash: b.Hash(), Block: b})
	}
}

func (r *Replica) observe(o Observation) {
	if r.cfg.Observe != nil {
		r.cfg.Observe(o)
	}
}

// flushSoon has what changed written after the events that are there already: they share
// one transaction.
func (r *Replica) flushSoon(env loop.Env) {
	if r.flushing || r.dirty.Empty() && len(r.outgoing) == 0 {
		return
	}
	r.flushing = true
	env.After(0, flush{})
}

// flush makes the changes durable and only then sends them.
func (r *Replica) flush(env loop.Env) {
	r.flushing = false
	change, outgoing := r.dirty, r.outgoing
	r.dirty, r.outgoing = artifact.Change{}, nil
	if !change.Empty() {
		if err := r.cfg.Store.Apply(change); err != nil {
			r.stop(env, fmt.Errorf("height %d: keeping what was agreed on: %w", r.pool.NotarizedHeight(), err))
			return
		}
	}
	for _, a := range outgoing {
		if !r.pool.Has(a.ID()) {
			continue // purged in the meantime
		}
		encoded := consensus.Encode(a)
		if p, ok := a.(*consensus.Proposal); ok {
			encoded = p.Encode(false)
		}
		if !r.broadcast.Publish(env, p2p.Consensus, a.ID(), encoded) {
			r.cfg.Log.Warn("all slots are taken: peers do not hear of an artifact", "artifact", a.ID())
		}
	}
	r.deliver(env)
}

// stop ends this life of the node.
func (r *Replica) stop(env loop.Env, reason error) {
	r.stopped = true
	env.Stop(reason)
}
