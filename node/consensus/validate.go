package consensus

import (
	"bytes"
	"fmt"
	"maps"
	"slices"
	"time"

	"portico/node/artifact"
	"portico/node/ingress"
	"portico/node/types"
)

// validate decides about unvalidated artifacts whose time has come. What depends on
// something that this node does not have yet stays where it is.
func (c *Consensus) validate(p *Pool, s *Progress) []Change {
	var drops []Change // of which there may be thousands, and none bears on another
	for _, h := range slices.Sorted(maps.Keys(p.pending)) {
		for _, x := range p.levels[h].unvalidated {
			changes := c.judge(p, s, x)
			if len(changes) == 0 {
				continue
			}
			drops = append(drops, changes...)
			if _, dropped := changes[0].(Drop); !dropped {
				return drops
			}
		}
	}
	return drops
}

// judge decides about one artifact; nil says that it has to wait.
func (c *Consensus) judge(p *Pool, s *Progress, x *candidate) []Change {
	switch a := x.artifact.(type) {
	case *Proposal:
		return c.judgeProposal(p, s, x, a)
	case *Share:
		if c.superfluous(p, s, a.Content) {
			return []Change{Drop{x.id}}
		}
		return nil // until it can be combined with others
	case *Aggregate:
		return c.judgeAggregate(p, s, x, a)
	case *Equivocation:
		return c.judgeEquivocation(p, x, a)
	case *CatchUp:
		return c.judgeCatchUp(p, s, x, a)
	default:
		panic(fmt.Sprintf("consensus: artifact of type %T", a))
	}
}

// superfluous reports whether a signature of the content would be of no use any more.
func (c *Consensus) superfluous(p *Pool, s *Progress, content Content) bool {
	h := content.Height
	switch content.Kind {
	case artifact.Beacon:
		return h <= p.beacon
	case artifact.Notarization:
		return h <= p.FinalizedHeight() || p.notarization(h, content.Hash) != nil
	case artifact.Finalization:
		return h <= p.FinalizedHeight()
	case artifact.Tape, artifact.Certification:
		return h < s.Executed || p.Aggregate(content.Kind, h) != nil
	default:
		return h <= p.catchUpHeight()
	}
}

// judgeCatchUp checks both signatures: that of the package covers no more of the beacon
// than the beacon's own.
func (c *Consensus) judgeCatchUp(p *Pool, s *Progress, x *candidate, a *CatchUp) []Change {
	if c.superfluous(p, s, a.Content()) {
		return []Change{Drop{x.id}}
	}
	if err := c.Crypto.VerifyCombined(a.Beacon.Scheme(), nil, a.Beacon.Message(), a.Beacon.Signature); err != nil {
		return []Change{Blame{x.id, err.Error()}}
	}
	return c.verified(x, nil, a.Content(), a.Signature)
}

// verified verifies a subnet's signature.
func (c *Consensus) verified(x *candidate, signers []types.Member, content Content, signature []byte) []Change {
	if err := c.Crypto.VerifyCombined(content.Scheme(), signers, content.Message(), signature); err != nil {
		return []Change{Blame{x.id, err.Error()}}
	}
	return []Change{Move{x.id}}
}

func (c *Consensus) judgeAggregate(p *Pool, s *Progress, x *candidate, a *Aggregate) []Change {
	if c.superfluous(p, s, a.Content) {
		return []Change{Drop{x.id}}
	}
	switch a.Kind {
	case artifact.Beacon:
		if a.Height > p.beacon+1 {
			return nil
		}
		if a.Hash != beaconHash(p.Aggregate(artifact.Beacon, p.beacon)) {
			return []Change{Blame{x.id, "it does not follow the beacon before it"}}
		}
	case artifact.Notarization:
		if p.block(a.Height, a.Hash) == nil {
			return nil
		}
		return c.judgeVotes(p, x, a)
	case artifact.Finalization:
		if p.notarization(a.Height, a.Hash) == nil || !p.connected(a.Height, a.Hash) {
			return nil
		}
		return c.judgeVotes(p, x, a)
	}
	if len(a.Signers) > 0 {
		return []Change{Blame{x.id, "a threshold signature has no list of signers"}}
	}
	return c.verified(x, nil, a.Content, a.Signature)
}

// judgeVotes checks who signed, and then the signature.
func (c *Consensus) judgeVotes(p *Pool, x *candidate, a *Aggregate) []Change {
	if c.committee(p, a.Height) == nil {
		return nil
	}
	if reason := c.wrongVotes(p, a); reason != "" {
		return []Change{Blame{x.id, reason}}
	}
	return []Change{Move{x.id}}
}

// wrongVotes says what is wrong with a notarization or finalization, "" if nothing is.
func (c *Consensus) wrongVotes(p *Pool, a *Aggregate) string {
	if reason := c.signersMissing(p, a); reason != "" {
		return reason
	}
	if err := c.Crypto.VerifyCombined(a.Scheme(), a.Signers, a.Message(), a.Signature); err != nil {
		return err.Error()
	}
	return ""
}

// signersMissing says what is wrong with the signers of an aggregate, "" if nothing is. They
// are in order, and so each there once.
func (c *Consensus) signersMissing(p *Pool, a *Aggregate) string {
	if need := c.threshold(a.Content); len(a.Signers) < need {
		return fmt.Sprintf("%d signers, want at least %d", len(a.Signers), need)
	}
	for _, m := range a.Signers {
		if !c.eligible(p, a.Content, m) {
			return fmt.Sprintf("member %d is not in the committee of height %d", m, a.Height)
		}
	}
	return ""
}

// connected reports whether all blocks between a block and the finalized ones are there.
func (p *Pool) connected(h types.Height, hash types.Hash) bool {
	for ; h > p.FinalizedHeight(); h-- {
		b := p.block(h, hash)
		if b == nil {
			return false
		}
		hash = b.Parent
	}
	return true
}

func (c *Consensus) judgeEquivocation(p *Pool, x *candidate, e *Equivocation) []Change {
	if p.disqualified(e.Height, e.Maker) || e.Height <= p.FinalizedHeight() {
		return []Change{Drop{x.id}}
	}
	for i, block := range e.Blocks {
		if err := c.Crypto.Verify(SchemeNode, e.Maker, ProposalMessage(e.Height, block), e.Signatures[i]); err != nil {
			return []Change{Blame{x.id, err.Error()}}
		}
	}
	return []Change{Move{x.id}}
}

// judgeProposal decides about a block. One that is notarized was found valid by an honest
// node at least, so that its place in the chain is all that counts.
func (c *Consensus) judgeProposal(p *Pool, s *Progress, x *candidate, a *Proposal) []Change {
	b := a.Block
	if b.Height <= p.FinalizedHeight() || p.block(b.Height, b.Hash()) != nil {
		return []Change{Drop{x.id}}
	}
	start, ok := p.start(b.Height)
	if !ok {
		return nil
	}
	parent := p.block(b.Height-1, b.Parent)
	if parent == nil || p.notarization(parent.Height, b.Parent) == nil {
		return nil
	}
	if !x.signed {
		if reason := c.wrongMaker(p, a); reason != "" {
			return []Change{Blame{x.id, reason}}
		}
		x.signed = true
	}
	if n, votes := p.notarizationOf(b); n != nil {
		if reason := c.wrongVotes(p, votes); reason != "" {
			return []Change{Blame{n.id, reason}}
		}
		return []Change{Move{x.id}, Move{n.id}}
	}
	if !x.sound {
		if reason := c.wrongBlock(p, s, b, parent); reason != "" {
			return []Change{Blame{x.id, reason}}
		}
		x.sound = true
	}
	if other := p.proposalBy(b.Height, a.Maker); other != nil {
		if p.disqualified(b.Height, a.Maker) {
			return nil // it may be notarized yet
		}
		return []Change{Add{equivocation(other, a)}}
	}
	// what may be right later
	if x.unchecked || b.Context.Certified > s.Certified || !c.reached(b.Context.Time) ||
		!c.reached(start.Add(time.Duration(b.Rank)*c.Records.Subnet.UnitDelay)) {
		return nil
	}
	return []Change{Move{x.id}}
}

// wrongMaker says why a block was not its maker's to make, "" if it was.
func (c *Consensus) wrongMaker(p *Pool, a *Proposal) string {
	makers := c.makers(p, a.Block.Height)
	if int(a.Block.Rank) >= len(makers) || makers[a.Block.Rank] != a.Maker {
		return fmt.Sprintf("member %d is not the block maker of rank %d at height %d", a.Maker, a.Block.Rank, a.Block.Height)
	}
	if err := c.Crypto.Verify(SchemeNode, a.Maker, ProposalMessage(a.Block.Height, a.Block.Hash()), a.Signature); err != nil {
		return err.Error()
	}
	return ""
}

// wrongBlock says why a block can never be valid, "" if it can.
func (c *Consensus) wrongBlock(p *Pool, s *Progress, b, parent *Block) string {
	switch {
	case b.Context.Time <= parent.Context.Time:
		return fmt.Sprintf("its time %s is not after that of its parent, %s", b.Context.Time, parent.Context.Time)
	case b.Context.Certified < parent.Context.Certified || b.Context.Certified >= b.Height:
		return fmt.Sprintf("its context has certified height %d, its parent's %d", b.Context.Certified, parent.Context.Certified)
	case b.Context.Registry != parent.Context.Registry:
		return fmt.Sprintf("registry version %d in an interval of version %d", b.Context.Registry, parent.Context.Registry)
	case b.Summary != (b.Height%c.Records.Subnet.Interval == 0):
		return "summary blocks stand at the beginning of intervals, and only there"
	case b.Summary && len(b.Ingress) > 0:
		return "a summary block carries no calls"
	case b.Summary && len(b.Queries) > 0:
		return "a summary block reports no queries"
	}
	if reason := c.wrongQueries(p, s, b, parent); reason != "" {
		return reason
	}
	return wrongPayload(b, c.taken(p, s, parent))
}

// wrongPayload says what is wrong with a block's calls, whose signatures were checked.
func wrongPayload(b *Block, taken func(types.RequestID) bool) string {
	if b.Stripped() {
		return "its calls are missing"
	}
	size := 0
	seen := make(map[types.RequestID]bool, len(b.Calls))
	for _, call := range b.Calls {
		id := call.RequestID()
		size += len(call.Encoded)
		switch {
		case !ingress.Fresh(call, b.Context.Time):
			return fmt.Sprintf("call %x expires at %s, which is not within reach of the block's time %s", id, call.Expiry(), b.Context.Time)
		case seen[id] || taken(id):
			return fmt.Sprintf("call %x was in a block already", id)
		}
		seen[id] = true
	}
	if size > ingress.MaxBlockBytes {
		return fmt.Sprintf("%d bytes of calls, at most %d are allowed", size, ingress.MaxBlockBytes)
	}
	return ""
}

// notarizationOf is a notarization of a block among the unvalidated artifacts, or nil.
func (p *Pool) notarizationOf(b *Block) (*candidate, *Aggregate) {
	content := Content{artifact.Notarization, b.Height, b.Hash()}
	for _, x := range p.at(b.Height).unvalidated {
		if a, ok := x.artifact.(*Aggregate); ok && a.Content == content {
			return x, a
		}
	}
	return nil, nil
}

// proposalBy is a member's validated proposal at a height, or nil.
func (p *Pool) proposalBy(h types.Height, m types.Member) *Proposal {
	for _, x := range p.at(h).proposals {
		if x.Maker == m {
			return x
		}
	}
	return nil
}

// equivocation is the proof that two proposals are.
func equivocation(a, b *Proposal) *Equivocation {
	x, y := a.Block.Hash(), b.Block.Hash()
	if bytes.Compare(x[:], y[:]) > 0 {
		a, b, x, y = b, a, y, x
	}
	return &Equivocation{
		Height: a.Block.Height, Maker: a.Maker, Blocks: [2]types.Hash{x, y}, Signatures: [2][]byte{a.Signature, b.Signature},
	}
}
