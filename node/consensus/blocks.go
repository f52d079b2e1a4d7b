package consensus

import (
	"slices"
	"time"

	"portico/node/artifact"
	"portico/node/registry"
	"portico/node/types"
)

// start is when the round of a height began for this node: when both the beacon that ranks
// its makers and a notarized parent were there. ok is false before.
func (p *Pool) start(h types.Height) (at types.Time, ok bool) {
	if h == 0 {
		return 0, false
	}
	l := p.at(h - 1)
	if len(l.aggregates[artifact.Beacon]) == 0 || len(l.aggregates[artifact.Notarization]) == 0 {
		return 0, false
	}
	return max(l.beaconAt, l.notarizedAt), true
}

// makers are the block makers of a height by rank; its round has begun.
func (c *Consensus) makers(p *Pool, h types.Height) []types.Member {
	return c.drawn(c.ranked, p, h, Makers)
}

// disqualified reports whether a member proposed two blocks at a height.
func (p *Pool) disqualified(h types.Height, m types.Member) bool {
	return p.at(h).equivocations[m] != nil
}

// makeBlock proposes a block when it is this node's turn.
func (c *Consensus) makeBlock(p *Pool, s *Progress) []Change {
	h := p.notarized + 1
	start, ok := p.start(h)
	if !ok {
		return nil
	}
	rank := slices.Index(c.makers(p, h), c.Self)
	if rank < 0 || p.disqualified(h, c.Self) {
		return nil
	}
	for _, x := range p.at(h).proposals {
		if x.Maker == c.Self || int(x.Block.Rank) < rank && !p.disqualified(h, x.Maker) {
			return nil
		}
	}
	subnet := &c.Records.Subnet
	if !c.reached(start.Add(time.Duration(rank)*subnet.UnitDelay + c.patience(p, s, h))) {
		return nil
	}
	parent := c.parent(p, h-1)
	b := &Block{
		Height: h, Parent: parent.Hash(), Rank: uint16(rank), Summary: h%subnet.Interval == 0,
		Context: Context{
			Certified: max(min(s.Certified, h-1), parent.Context.Certified), Registry: parent.Context.Registry, Time: max(c.now, parent.Context.Time+1),
		},
	}
	if !b.Summary {
		b.Calls = s.Calls.Select(b.Context.Time, c.taken(p, s, parent))
		for _, call := range b.Calls {
			b.Ingress = append(b.Ingress, call.ID)
		}
		b.Queries = c.reportQueries(p, s, b, parent)
		busy := len(b.Calls) > 0 && (s.Certified < h-1 || c.reached(s.CertifiedAt.Add(gathering(subnet, s, parent)))) ||
			s.Backlog && s.Certified >= h-1 && c.reached(s.CertifiedAt.Add(pause(subnet, s, parent)))
		if !busy && !c.reached(start.Add(subnet.IdleDelay)) {
			return nil
		}
	}
	return []Change{Add{&Proposal{Block: b, Maker: c.Self, Signature: c.Crypto.Sign(SchemeNode, ProposalMessage(h, b.Hash()))}}}
}

// patience is how long a maker whose turn it is waits for the states of the blocks before. Its block
// is executed after them: until then it leaves room for the calls that come meanwhile, which would
// have to wait for another block. That is a tenth of its turn at most, in case certifications take
// their time; and half of it if the notaries would not sign the block because states fall behind.
func (c *Consensus) patience(p *Pool, s *Progress, h types.Height) time.Duration {
	turn := c.Records.Subnet.UnitDelay
	if s.Certified >= h-1 {
		return 0
	}
	return max(turn/10, min(lag(p, s), turn/2))
}

// pause is how long canisters that go on by themselves wait for the next round when they have had
// this one: a block that is made earlier would go before the calls that come meanwhile. While users
// get quick answers it is as long as the last height took, so that calls, which mostly come soon
// after the answer to the one before, find every other moment free.
func pause(subnet *registry.Subnet, s *Progress, parent *Block) time.Duration {
	if !s.Quick {
		return 0
	}
	return min(took(s, parent), subnet.UnitDelay/10)
}

// gathering is how long a maker waits, once the state before its block is certified, for calls by those
// who have their answers from that state: theirs would otherwise always come just after a block with
// the calls that came before, and wait for two. It is a part of what the last height took.
func gathering(subnet *registry.Subnet, s *Progress, parent *Block) time.Duration {
	return min(took(s, parent)/6, subnet.UnitDelay/50)
}

// took is how long the height of a certified block took; 0 if its maker's clock is ahead.
func took(s *Progress, parent *Block) time.Duration {
	return max(s.CertifiedAt.Sub(parent.Context.Time), 0)
}

// parent is the notarized block of a height that this node builds on: the one of least rank
// whose maker is not disqualified, if there is one.
func (c *Consensus) parent(p *Pool, h types.Height) *Block {
	var best *Block
	var bestBad bool
	for _, x := range p.at(h).proposals {
		if p.notarization(h, x.Block.Hash()) == nil {
			continue
		}
		if bad := p.disqualified(h, x.Maker); best == nil || bestBad && !bad {
			best, bestBad = x.Block, bad
		}
	}
	return best
}

// taken tells which calls a block on a parent must not carry again: those that the certified
// state remembers and those in the blocks since.
func (c *Consensus) taken(p *Pool, s *Progress, parent *Block) func(types.RequestID) bool {
	since := map[types.RequestID]bool{}
	for b := parent; b != nil && b.Height > s.Certified; b = p.block(b.Height-1, b.Parent) {
		for _, call := range b.Calls {
			since[call.RequestID()] = true
		}
	}
	return func(id types.RequestID) bool { return since[id] || s.Known(id) }
}

// How long notaries wait beyond the subnet's least delay, so that a subnet whose rounds, or
// states, fall behind slows down until they do not.
const (
	finalizationBackoff = 1.5                     // for each height that is notarized and not final
	certificationDelay  = 2000 * time.Millisecond // for each height that is final and not certified, from the second on
	// maxGap is how far notarization may be ahead of certification.
	maxGap = 70
)

// notarize signs the blocks of least rank at the height that is to be notarized, once there
// was time for one of lesser rank to come.
func (c *Consensus) notarize(p *Pool, s *Progress) []Change {
	h := p.notarized + 1
	start, ok := p.start(h)
	if !ok || p.notarized-min(p.notarized, s.Certified) >= maxGap || h > c.lastHeight(p) {
		return nil
	}
	var least []*Proposal
	for _, x := range p.at(h).proposals {
		if p.disqualified(h, x.Maker) || len(least) > 0 && x.Block.Rank != least[0].Block.Rank {
			continue
		}
		// only this node's own can be ahead of its clock, if that was put right since
		if c.reached(x.Block.Context.Time) {
			least = append(least, x)
		}
	}
	if len(least) == 0 || !c.reached(start.Add(c.notaryDelay(p, s, least[0].Block.Rank))) {
		return nil
	}
	for _, x := range least {
		if changes := c.sign(p, Content{artifact.Notarization, h, x.Block.Hash()}); changes != nil {
			return changes
		}
	}
	return nil
}

// lastHeight is the greatest height that is notarized before there is a newer catch-up package:
// without one nothing can be purged. Its own height is an interval after the newest one's, and
// it can be made once blocks that know the state of that height are final.
func (c *Consensus) lastHeight(p *Pool) types.Height {
	last := c.Records.Subnet.Interval + 2*maxGap
	if p.catchUp != nil {
		last += p.catchUp.Block.Height
	}
	return last
}

func (c *Consensus) notaryDelay(p *Pool, s *Progress, rank uint16) time.Duration {
	subnet := &c.Records.Subnet
	d := float64(subnet.UnitDelay) * float64(rank)
	for range p.notarized - p.FinalizedHeight() {
		d *= finalizationBackoff
	}
	out := subnet.NotaryDelay + time.Duration(min(d, float64(maxNotaryDelay)))
	return min(out+lag(p, s), maxNotaryDelay)
}

// lag is how long makers and notaries wait because states fall behind blocks.
func lag(p *Pool, s *Progress) time.Duration {
	gap := p.FinalizedHeight() - min(p.FinalizedHeight(), s.Certified)
	if gap <= 1 {
		return 0
	}
	return min(time.Duration(gap)*certificationDelay, maxNotaryDelay)
}

// maxNotaryDelay bounds the sum of delays.
const maxNotaryDelay = 5 * time.Minute

// finalize signs a notarized block that nobody can have another one beside.
func (c *Consensus) finalize(p *Pool) []Change {
	for h := p.FinalizedHeight() + 1; h <= p.notarized; h++ {
		if c.signedAt(p, artifact.Finalization, h) != nil {
			continue
		}
		var notarized []types.Hash
		for _, n := range p.at(h).aggregates[artifact.Notarization] {
			notarized = append(notarized, n.Hash)
		}
		block, ok := c.Rules.MayFinalize(notarized, c.signedAt(p, artifact.Notarization, h))
		if !ok {
			continue
		}
		if changes := c.sign(p, Content{artifact.Finalization, h, block}); changes != nil {
			return changes
		}
	}
	return nil
}

// signedAt are the blocks that this node signed at a height.
func (c *Consensus) signedAt(p *Pool, k artifact.Kind, h types.Height) []types.Hash {
	var out []types.Hash
	for _, s := range p.at(h).shares[k] {
		if s.By == c.Self {
			out = append(out, s.Hash)
		}
	}
	return out
}
