package consensus

import (
	"cmp"
	"maps"
	"slices"

	"portico/node/artifact"
	"portico/node/types"
)

// aggregate combines shares to the subnet's signatures. Shares of peers are combined before any is
// verified: if the result is valid, all of them were, for the price of one verification.
// Otherwise each is verified, so that the wrong ones are found.
func (c *Consensus) aggregate(p *Pool, s *Progress) []Change {
	for _, content := range c.wanted(p, s) {
		if changes := c.combine(p, s, content); changes != nil {
			return changes
		}
	}
	return nil
}

// wanted are the contents whose signatures this node has a use for and lacks.
func (c *Consensus) wanted(p *Pool, s *Progress) []Content {
	var out []Content
	if tip := p.Aggregate(artifact.Beacon, p.beacon); tip != nil {
		out = append(out, Content{artifact.Beacon, p.beacon + 1, beaconHash(tip)})
	}
	final := p.FinalizedHeight()
	for h := final + 1; h <= p.notarized+1; h++ {
		for _, x := range p.at(h).proposals {
			if hash := x.Block.Hash(); p.notarization(h, hash) == nil {
				out = append(out, Content{artifact.Notarization, h, hash})
			}
		}
		for _, n := range p.at(h).aggregates[artifact.Notarization] {
			out = append(out, Content{artifact.Finalization, h, n.Hash})
		}
	}
	for h := max(s.Executed, p.base) + 1; h <= final+1; h++ {
		if p.Aggregate(artifact.Tape, h) == nil {
			out = append(out, Content{Kind: artifact.Tape, Height: h})
		}
	}
	if s.Root != (types.Hash{}) && p.Aggregate(artifact.Certification, s.Executed) == nil {
		out = append(out, Content{artifact.Certification, s.Executed, s.Root})
	}
	for _, share := range c.ownCatchUpShares(p, s) {
		out = append(out, share.Content)
	}
	return out
}

// ownCatchUpShares are this node's shares of catch-up packages newer than the newest.
func (c *Consensus) ownCatchUpShares(p *Pool, s *Progress) []*Share {
	var out []*Share
	for _, h := range slices.Sorted(maps.Keys(s.Checkpoints)) {
		if share := p.share(artifact.CatchUp, h, c.Self); share != nil && h > p.catchUpHeight() {
			out = append(out, share)
		}
	}
	return out
}

// combine makes the aggregate of a content, if there are shares enough.
func (c *Consensus) combine(p *Pool, s *Progress, content Content) []Change {
	l := p.at(content.Height)
	var shares []*Share
	for _, share := range l.shares[content.Kind] {
		if share.Content == content {
			shares = append(shares, share)
		}
	}
	for _, x := range l.unvalidated {
		if share, ok := x.artifact.(*Share); ok && share.Content == content && c.eligible(p, content, share.By) {
			shares = append(shares, share)
		}
	}
	shares = c.Rules.Distinct(shares)
	need := c.threshold(content)
	if len(shares) < need {
		return nil
	}
	shares = shares[:need]
	slices.SortFunc(shares, func(a, b *Share) int { return cmp.Compare(a.By, b.By) })
	a := &Aggregate{Content: content}
	signatures := make([]Signature, len(shares))
	for i, share := range shares {
		signatures[i] = Signature{share.By, share.Signature}
		if content.Scheme() == SchemeCommittee {
			a.Signers = append(a.Signers, share.By)
		}
	}
	message := content.Message()
	var err error
	a.Signature, err = c.Crypto.Combine(content.Scheme(), message, signatures)
	if err == nil {
		err = c.Crypto.VerifyCombined(content.Scheme(), a.Signers, message, a.Signature)
	}
	if err == nil {
		return c.combined(p, s, a)
	}
	return c.verifyShares(p, content)
}

// combined is the change by which an aggregate enters the pool.
func (c *Consensus) combined(p *Pool, s *Progress, a *Aggregate) []Change {
	if a.Kind != artifact.CatchUp {
		return []Change{Add{a}}
	}
	return []Change{Add{&CatchUp{
		Block: p.Finalized(a.Height), Beacon: p.Aggregate(artifact.Beacon, a.Height), State: s.Checkpoints[a.Height], Signature: a.Signature,
	}}}
}

// verifyShares verifies the unvalidated shares of a content one by one.
func (c *Consensus) verifyShares(p *Pool, content Content) []Change {
	var out []Change
	message := content.Message()
	for _, x := range p.at(content.Height).unvalidated {
		share, ok := x.artifact.(*Share)
		if !ok || share.Content != content {
			continue
		}
		if !c.eligible(p, content, share.By) {
			out = append(out, Blame{x.id, "its signer may not sign at this height"})
			continue
		}
		if err := c.Crypto.Verify(content.Scheme(), share.By, message, share.Signature); err != nil {
			out = append(out, Blame{x.id, err.Error()})
			continue
		}
		out = append(out, Move{x.id})
	}
	return out
}
