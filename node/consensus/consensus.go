// Package consensus is Internet Computer Consensus (eprint 2021/632): it makes the blocks
// of a subnet of n = 3f + 1 nodes and decides which of them are final, whatever f
// nodes do and however slow the network is, and has the subnet sign its randomness and
// its states.
//
// Each component is a function from the pool of artifacts to changes of the pool. The caller
// applies changes and makes them durable before it sends any, so that a node which
// crashes never says the opposite of what it said before. A subnet of one node runs
// the same code.
package consensus

import (
	"maps"
	"slices"

	"portico/node/artifact"
	"portico/node/ingress"
	"portico/node/registry"
	"portico/node/types"
)

// Config is what consensus is made of.
type Config struct {
	Records *registry.Records
	Self    types.Member
	Crypto  Crypto
	// Rules are DefaultRules, unless a test breaks one to see that it is noticed.
	Rules Rules
}

// Progress is how far this node has come with what was agreed on.
type Progress struct {
	// Executed is the newest height whose state was made, Root its tree's hash. While it is
	// being made, both are those of the one before.
	Executed types.Height
	Root     types.Hash
	// Certified is the newest height whose certified state this node shows to users, since
	// CertifiedAt.
	Certified   types.Height
	CertifiedAt types.Time
	// Checkpoints are the hashes of whole states, by the heights of their summary blocks,
	// that no catch-up package confirms yet.
	Checkpoints map[types.Height]types.Hash
	// Backlog says that messages wait for a round, Quick that users get quick answers.
	Backlog, Quick bool
	// Known reports whether the certified state remembers a request.
	Known func(types.RequestID) bool
	// Queries tells what this node has to report, and what was reported.
	Queries Queries
	// Calls are those that a block may carry.
	Calls *ingress.Pool
}

// Consensus decides what to do next. It belongs to the node's loop.
type Consensus struct {
	Config
	members int
	// next is the component that the next turn begins with.
	next int
	now  types.Time
	wake types.Time
	// ranked are the makers and committees the notaries of recent heights, which many ask for.
	ranked, committees map[types.Height][]types.Member
}

// New makes consensus for a member of a subnet.
func New(cfg Config) *Consensus {
	if cfg.Rules.MayFinalize == nil {
		cfg.Rules = DefaultRules()
	}
	return &Consensus{Config: cfg, members: len(cfg.Records.Subnet.Members), ranked: map[types.Height][]types.Member{}, committees: map[types.Height][]types.Member{}}
}

// Next returns the next changes, of one component, or none and the time at which there may
// be some although nothing happens before (zero: never).
//
// The finalizer goes first: a later step returning early would otherwise let us notarize
// for ever without finalizing. The others take turns, so that none starves.
func (c *Consensus) Next(p *Pool, s *Progress, now types.Time) (changes []Change, wake types.Time) {
	c.now, c.wake = now, 0
	if changes := c.finalize(p); len(changes) > 0 {
		return changes, 0
	}
	components := [...]func(*Pool, *Progress) []Change{
		c.aggregate, c.validate, c.makeBeacon, c.makeBlock, c.notarize, c.makeTape, c.certify, c.confirmCheckpoint,
	}
	for range components {
		component := components[c.next]
		c.next = (c.next + 1) % len(components)
		if changes := component(p, s); len(changes) > 0 {
			return changes, 0
		}
	}
	return nil, c.wake
}

// wakeAt asks to be called at a time.
func (c *Consensus) wakeAt(t types.Time) {
	if c.wake == 0 || t < c.wake {
		c.wake = t
	}
}

// reached reports whether a time has come, and otherwise asks to be called at it.
func (c *Consensus) reached(t types.Time) bool {
	if c.now >= t {
		return true
	}
	c.wakeAt(t)
	return false
}

// committee are the notaries of a height, or nil while its beacon is not known.
func (c *Consensus) committee(p *Pool, h types.Height) []types.Member {
	return c.drawn(c.committees, p, h, Committee)
}

// drawn are the members drawn for a height by the beacon before it, remembered in a cache.
func (c *Consensus) drawn(cache map[types.Height][]types.Member, p *Pool, h types.Height, draw func(int, *Aggregate) []types.Member) []types.Member {
	if m := cache[h]; m != nil {
		return m
	}
	if h == 0 {
		return nil
	}
	beacon := p.Aggregate(artifact.Beacon, h-1)
	if beacon == nil {
		return nil
	}
	if len(cache) >= maxCommittees {
		clear(cache)
	}
	cache[h] = draw(c.members, beacon)
	return cache[h]
}

// maxCommittees bounds each cache.
const maxCommittees = 1000

// eligible reports whether a member may sign a kind at a height.
func (c *Consensus) eligible(p *Pool, content Content, m types.Member) bool {
	if content.Scheme() != SchemeCommittee {
		return int(m) < c.members
	}
	_, ok := slices.BinarySearch(c.committee(p, content.Height), m)
	return ok
}

// threshold is how many members must sign a kind.
func (c *Consensus) threshold(content Content) int {
	if content.Scheme() == SchemeLow {
		return types.Faults(c.members) + 1
	}
	return types.Quorum(c.members)
}

// sign makes this node's share of a content, if it may sign it and has not yet.
func (c *Consensus) sign(p *Pool, content Content) []Change {
	if !c.eligible(p, content, c.Self) {
		return nil
	}
	for _, s := range p.at(content.Height).shares[content.Kind] {
		if s.By == c.Self && s.Content == content {
			return nil
		}
	}
	return []Change{Add{&Share{Content: content, By: c.Self, Signature: c.Crypto.Sign(content.Scheme(), content.Message())}}}
}

// makeBeacon signs the next beacon once a block of the newest one's height is notarized: who
// makes blocks stays unknown until then.
func (c *Consensus) makeBeacon(p *Pool, _ *Progress) []Change {
	h := p.beacon
	if h > p.notarized {
		return nil
	}
	tip := p.Aggregate(artifact.Beacon, h)
	return c.sign(p, Content{artifact.Beacon, h + 1, beaconHash(tip)})
}

// makeTape signs the randomness of a height once the block before it is final, so that
// what is asked for in a block is answered by what nobody knew when it was made.
func (c *Consensus) makeTape(p *Pool, s *Progress) []Change {
	for h := max(s.Executed+1, p.base+1); c.Rules.MayTape(h, p.FinalizedHeight()) && h <= p.notarized+1; h++ {
		if p.Aggregate(artifact.Tape, h) != nil {
			continue
		}
		if changes := c.sign(p, Content{Kind: artifact.Tape, Height: h}); changes != nil {
			return changes
		}
	}
	return nil
}

// certify signs the newest state's root.
func (c *Consensus) certify(p *Pool, s *Progress) []Change {
	if p.Aggregate(artifact.Certification, s.Executed) != nil || s.Root == (types.Hash{}) {
		return nil
	}
	return c.sign(p, Content{artifact.Certification, s.Executed, s.Root})
}

// confirmCheckpoint signs catch-up packages for this node's checkpoints.
func (c *Consensus) confirmCheckpoint(p *Pool, s *Progress) []Change {
	for _, h := range slices.Sorted(maps.Keys(s.Checkpoints)) {
		block, beacon := p.Finalized(h), p.Aggregate(artifact.Beacon, h)
		// the tip's context says that a quorum had the state of the summary block
		if tip := p.Finalized(p.FinalizedHeight()); block == nil || beacon == nil || tip.Context.Certified < h {
			continue
		}
		if h <= p.catchUpHeight() {
			continue
		}
		if changes := c.sign(p, catchUpContent(block, beacon, s.Checkpoints[h])); changes != nil {
			return changes
		}
	}
	return nil
}
