package consensus

import (
	"maps"
	"slices"

	"portico/node/types"
)

// Bounds of what a peer's unvalidated artifacts may take.
const (
	maxPeerArtifacts = 10_000
	maxPeerBytes     = 64 * types.MiB
	// maxPeerKind bounds those of one kind at a height. The most that an honest peer offers
	// is a few for each of the 334 block makers that there can be.
	maxPeerKind = 400
	// maxPeerMaker bounds the proposals of one maker at a height. An honest peer has one
	// and, of a maker that equivocates, those that are notarized.
	maxPeerMaker = 4
)

// Insert puts an artifact from a peer into the unvalidated section. It returns false
// if it is there already, or if the peer's share of the section is used up by what is not of
// greater height: that makes room.
// Of a block whose calls were not all found to be signed, unchecked is true: it is good only
// once it is notarized.
func (p *Pool) Insert(a Artifact, bytes int, from types.NodeID, unchecked bool) bool {
	id := a.ID()
	if p.Has(id) {
		return false
	}
	if p.crowded(a, from) || !p.makeRoom(id.Height, bytes, from) {
		p.refused = true
		return false
	}
	u := p.held[from]
	p.held[from] = usage{u.artifacts + 1, u.bytes + bytes}
	p.unvalidated++
	p.pending[id.Height]++
	p.ids[id] = false
	l := p.level(id.Height)
	l.unvalidated = append(l.unvalidated, &candidate{artifact: a, id: id, from: from, bytes: bytes, unchecked: unchecked})
	return true
}

// Refused reports whether Insert left anything out for want of room since it was last asked.
func (p *Pool) Refused() bool {
	refused := p.refused
	p.refused = false
	return refused
}

// crowded reports whether a peer has sent as much of the kind, for the height, as an honest one
// would at most.
func (p *Pool) crowded(a Artifact, from types.NodeID) bool {
	id := a.ID()
	kind, rivals := 0, 0
	for _, x := range p.at(id.Height).unvalidated {
		if x.id.Kind != id.Kind || x.from != from {
			continue
		}
		kind++
		switch a := a.(type) {
		case *Share:
			// a second signature of one content: at least one of them is wrong
			if b := x.artifact.(*Share); b.By == a.By && b.Content == a.Content {
				return true
			}
		case *Proposal:
			if x.artifact.(*Proposal).Maker == a.Maker {
				rivals++
			}
		}
	}
	return kind >= maxPeerKind || rivals >= maxPeerMaker
}

// makeRoom drops what is farthest ahead among a peer's unvalidated artifacts until there is
// room for one of a height, which may be what the node waits for.
func (p *Pool) makeRoom(h types.Height, bytes int, from types.NodeID) bool {
	for {
		if u := p.held[from]; u.artifacts < maxPeerArtifacts && u.bytes+bytes <= maxPeerBytes {
			return true
		}
		far := p.farthest(from)
		if far == nil || far.id.Height <= h {
			return false
		}
		p.refused = true
		p.take(far.id)
	}
}

// farthest is a peer's unvalidated artifact of the greatest height, or nil.
func (p *Pool) farthest(from types.NodeID) *candidate {
	heights := slices.Sorted(maps.Keys(p.pending))
	for _, h := range slices.Backward(heights) {
		for _, x := range p.levels[h].unvalidated {
			if x.from == from {
				return x
			}
		}
	}
	return nil
}
