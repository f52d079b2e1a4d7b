package consensus

import (
	"fmt"
	"slices"

	"portico/node/artifact"
	"portico/node/types"
)

// Pool holds a node's artifacts: validated ones, which are on disk and which peers get,
// and unvalidated ones, which came from peers and are believed by nobody. It is changed by
// Insert and Apply alone and belongs to the node's loop.
type Pool struct {
	levels      map[types.Height]*level
	ids         map[artifact.ID]bool // of everything in it: true if validated
	held        map[types.NodeID]usage
	unvalidated int
	pending     map[types.Height]int // how many unvalidated artifacts each height has

	// refused says that something was left out for want of room.
	refused bool

	beacon, notarized types.Height // tips
	// chain are the finalized blocks since its first, which is at height base.
	chain   []*Block
	base    types.Height
	catchUp *CatchUp // the newest
}

// usage is what a peer's unvalidated artifacts take.
type usage struct{ artifacts, bytes int }

// level are the artifacts of a height.
type level struct {
	proposals     []*Proposal
	equivocations map[types.Member]*Equivocation
	shares        map[artifact.Kind][]*Share // by the kind of the aggregate
	aggregates    map[artifact.Kind][]*Aggregate
	unvalidated   []*candidate
	// beaconAt and notarizedAt are when the first of each became known to this node.
	beaconAt, notarizedAt types.Time
}

// candidate is an unvalidated artifact.
type candidate struct {
	artifact Artifact
	id       artifact.ID
	from     types.NodeID
	bytes    int

	signed    bool // a proposal whose maker and signature were checked
	sound     bool // a proposal that can be valid
	unchecked bool // a proposal some of whose calls have no good signature
}

// Genesis is the block at height 0, which every node of a subnet knows: it stands for what
// the registry says.
func Genesis(at types.Time) *Block {
	return &Block{Summary: true, Context: Context{Registry: 1, Time: at}}
}

// genesisBeacon is the beacon at height 0.
func genesisBeacon(b *Block) *Aggregate {
	h := b.Hash()
	return &Aggregate{Content: Content{Kind: artifact.Beacon}, Signature: h[:]}
}

// NewPool is a pool that knows the genesis block.
func NewPool(genesis *Block) *Pool {
	p := &Pool{levels: map[types.Height]*level{}, ids: map[artifact.ID]bool{}, held: map[types.NodeID]usage{}, pending: map[types.Height]int{}, chain: []*Block{genesis}}
	l := p.level(0)
	l.proposals = []*Proposal{{Block: genesis}}
	l.aggregates[artifact.Beacon] = []*Aggregate{genesisBeacon(genesis)}
	l.aggregates[artifact.Notarization] = []*Aggregate{{Content: Content{artifact.Notarization, 0, genesis.Hash()}}}
	return p
}

// level is the level of a height, made if it is missing.
func (p *Pool) level(h types.Height) *level {
	l := p.levels[h]
	if l == nil {
		l = &level{equivocations: map[types.Member]*Equivocation{}, shares: map[artifact.Kind][]*Share{}, aggregates: map[artifact.Kind][]*Aggregate{}}
		p.levels[h] = l
	}
	return l
}

var nothing = &level{}

// at is the level of a height to read.
func (p *Pool) at(h types.Height) *level {
	if l := p.levels[h]; l != nil {
		return l
	}
	return nothing
}

// BeaconHeight and NotarizedHeight are those of the newest beacon and notarization,
// FinalizedHeight of the newest finalized block.
func (p *Pool) BeaconHeight() types.Height { return p.beacon }

// NotarizedHeight is the height of the newest notarization.
func (p *Pool) NotarizedHeight() types.Height { return p.notarized }

// FinalizedHeight is the height of the newest finalized block.
func (p *Pool) FinalizedHeight() types.Height {
	return p.base + types.Height(len(p.chain)) - 1
}

// Finalized is the finalized block of a height, or nil if there is none yet or no longer.
func (p *Pool) Finalized(h types.Height) *Block {
	if h < p.base || h > p.FinalizedHeight() {
		return nil
	}
	return p.chain[h-p.base]
}

// Aggregate is the subnet's signature of a kind at a height, or nil; of several
// notarizations, the first that came.
func (p *Pool) Aggregate(k artifact.Kind, h types.Height) *Aggregate {
	if as := p.at(h).aggregates[k]; len(as) > 0 {
		return as[0]
	}
	return nil
}

// CatchUp is the newest catch-up package, or nil.
func (p *Pool) CatchUp() *CatchUp { return p.catchUp }

// catchUpHeight is the newest catch-up package's height. Height 0 has none: everybody knows it.
func (p *Pool) catchUpHeight() types.Height {
	if p.catchUp == nil {
		return 0
	}
	return p.catchUp.Block.Height
}

// Has reports whether the pool holds an artifact, validated or not.
func (p *Pool) Has(id artifact.ID) bool { _, ok := p.ids[id]; return ok }

// Len is the number of artifacts that are validated, and that are not.
func (p *Pool) Len() (validated, unvalidated int) {
	return len(p.ids) - p.unvalidated, p.unvalidated
}

// Validated returns a validated artifact, or nil.
func (p *Pool) Validated(id artifact.ID) Artifact {
	if !p.ids[id] {
		return nil
	}
	var found Artifact
	p.at(id.Height).each(func(a Artifact) {
		if a.ID() == id {
			found = a
		}
	})
	if found == nil && p.catchUp != nil && p.catchUp.ID() == id {
		return p.catchUp
	}
	return found
}

// each calls do for the validated artifacts of a level.
func (l *level) each(do func(Artifact)) {
	for _, x := range l.proposals {
		do(x)
	}
	for _, k := range signedKinds {
		for _, x := range l.aggregates[k] {
			do(x)
		}
		for _, x := range l.shares[k] {
			do(x)
		}
	}
	makers := make([]types.Member, 0, len(l.equivocations))
	for m := range l.equivocations {
		makers = append(makers, m)
	}
	slices.Sort(makers)
	for _, m := range makers {
		do(l.equivocations[m])
	}
}

// block is a validated block, or nil.
func (p *Pool) block(h types.Height, hash types.Hash) *Block {
	for _, x := range p.at(h).proposals {
		if x.Block.Hash() == hash {
			return x.Block
		}
	}
	return nil
}

// notarization of a block, or nil.
func (p *Pool) notarization(h types.Height, hash types.Hash) *Aggregate {
	for _, n := range p.at(h).aggregates[artifact.Notarization] {
		if n.Hash == hash {
			return n
		}
	}
	return nil
}

// share is a member's validated share of a kind at a height, or nil.
func (p *Pool) share(k artifact.Kind, h types.Height, by types.Member) *Share {
	for _, s := range p.at(h).shares[k] {
		if s.By == by {
			return s
		}
	}
	return nil
}

// A Change is a step from one content of the pool to the next: one of Add, Move, Drop and Blame.
type Change interface{ change() }

// Add adds what this node made to the validated section.
type Add struct{ Artifact Artifact }

// Move moves an artifact to the validated section.
type Move struct{ ID artifact.ID }

// Drop forgets an unvalidated artifact that is of no use any more.
type Drop struct{ ID artifact.ID }

// Blame forgets an unvalidated artifact that no honest node sends.
type Blame struct {
	ID     artifact.ID
	Reason string
}

func (Add) change()   {}
func (Move) change()  {}
func (Drop) change()  {}
func (Blame) change() {}

// Effect is what a change did, for those who keep the disk and the peers in step.
type Effect struct {
	// Added is now validated; Own says that this node made it.
	Added Artifact
	Own   bool
	// Finalized are the blocks that this finalized, in order.
	Finalized []*Block
	// Blamed is the peer that sent what was not valid, for the Reason.
	Blamed types.NodeID
	Reason string
}

// Apply applies a change at a time of this node's clock.
func (p *Pool) Apply(c Change, now types.Time) Effect {
	switch c := c.(type) {
	case Add:
		if p.ids[c.Artifact.ID()] {
			return Effect{}
		}
		return Effect{Added: c.Artifact, Own: true, Finalized: p.add(c.Artifact, now)}
	case Move:
		x := p.take(c.ID)
		if x == nil {
			return Effect{}
		}
		return Effect{Added: x.artifact, Finalized: p.add(x.artifact, now)}
	case Drop:
		p.take(c.ID)
		return Effect{}
	case Blame:
		if x := p.take(c.ID); x != nil {
			return Effect{Blamed: x.from, Reason: c.Reason}
		}
		return Effect{}
	default:
		panic("consensus: a change of an unknown kind")
	}
}

// take removes an artifact from the unvalidated section.
func (p *Pool) take(id artifact.ID) *candidate {
	l := p.levels[id.Height]
	if l == nil {
		return nil
	}
	i := slices.IndexFunc(l.unvalidated, func(x *candidate) bool { return x.id == id })
	if i < 0 {
		return nil
	}
	x := l.unvalidated[i]
	l.unvalidated = slices.Delete(l.unvalidated, i, i+1)
	p.release(x)
	if id.Height > 0 && l.empty() {
		delete(p.levels, id.Height)
	}
	return x
}

func (p *Pool) release(x *candidate) {
	delete(p.ids, x.id)
	p.unvalidated--
	if p.pending[x.id.Height]--; p.pending[x.id.Height] == 0 {
		delete(p.pending, x.id.Height)
	}
	u := p.held[x.from]
	if u = (usage{u.artifacts - 1, u.bytes - x.bytes}); u.artifacts == 0 {
		delete(p.held, x.from)
	} else {
		p.held[x.from] = u
	}
}

// Restore puts back what was validated in an earlier life of the node. Its finalized chain
// reaches back as far as there are blocks.
func (p *Pool) Restore(artifacts []Artifact) {
	var tip *Aggregate
	for _, a := range artifacts {
		if f, ok := a.(*Aggregate); ok && f.Kind == artifact.Finalization {
			if tip == nil || f.Height > tip.Height {
				tip = f
			}
			p.ids[f.ID()] = true
			l := p.level(f.Height)
			l.aggregates[f.Kind] = append(l.aggregates[f.Kind], f)
			continue
		}
		p.add(a, 0)
	}
	if tip == nil {
		return
	}
	var blocks []*Block
	for h, hash := tip.Height, tip.Hash; ; h-- {
		b := p.block(h, hash)
		if b == nil {
			break
		}
		blocks = append(blocks, b)
		if hash = b.Parent; h == 0 {
			break
		}
	}
	if len(blocks) > 0 {
		slices.Reverse(blocks)
		p.chain, p.base = blocks, blocks[0].Height
	}
}

// Resume says when this life of the node began: the rounds that an earlier one left begin then, so
// that their makers get their time again.
func (p *Pool) Resume(now types.Time) {
	for _, l := range p.levels {
		if len(l.aggregates[artifact.Beacon]) > 0 && l.beaconAt == 0 {
			l.beaconAt = now
		}
		if len(l.aggregates[artifact.Notarization]) > 0 && l.notarizedAt == 0 {
			l.notarizedAt = now
		}
	}
}

// add puts an artifact into the validated section and returns the blocks that it finalizes.
func (p *Pool) add(a Artifact, now types.Time) []*Block {
	id := a.ID()
	if _, ok := p.ids[id]; ok {
		p.take(id)
	}
	p.ids[id] = true
	l := p.level(id.Height)
	switch a := a.(type) {
	case *Proposal:
		l.proposals = append(l.proposals, a)
		slices.SortStableFunc(l.proposals, func(x, y *Proposal) int { return int(x.Block.Rank) - int(y.Block.Rank) })
	case *Equivocation:
		l.equivocations[a.Maker] = a
	case *Share:
		l.shares[a.Kind] = append(l.shares[a.Kind], a)
	case *CatchUp:
		if p.catchUp != nil && a.Block.Height <= p.catchUp.Block.Height {
			delete(p.ids, id)
			return nil
		}
		if p.catchUp != nil {
			delete(p.ids, p.catchUp.ID())
		}
		p.catchUp = a
	case *Aggregate:
		return p.addAggregate(l, a, now)
	}
	return nil
}

func (p *Pool) addAggregate(l *level, a *Aggregate, now types.Time) []*Block {
	l.aggregates[a.Kind] = append(l.aggregates[a.Kind], a)
	switch a.Kind {
	case artifact.Beacon:
		p.beacon = max(p.beacon, a.Height)
		l.beaconAt = now
	case artifact.Notarization:
		p.notarized = max(p.notarized, a.Height)
		if l.notarizedAt == 0 {
			l.notarizedAt = now
		}
	case artifact.Finalization:
		return p.finalize(a)
	}
	return nil
}

// finalize extends the finalized chain up to a finalization's block.
func (p *Pool) finalize(f *Aggregate) []*Block {
	var blocks []*Block
	for h, hash := f.Height, f.Hash; h > p.FinalizedHeight(); h-- {
		b := p.block(h, hash)
		if b == nil {
			return nil // its chain is not there, which only Restore meets
		}
		blocks = append(blocks, b)
		hash = b.Parent
	}
	if len(blocks) == 0 {
		return nil
	}
	slices.Reverse(blocks)
	if tip := p.chain[len(p.chain)-1]; blocks[0].Parent != tip.Hash() {
		panic(fmt.Sprintf("consensus: block %x at height %d is final, but does not follow the final block %x: more than a third of the nodes are faulty",
			blocks[0].Hash(), blocks[0].Height, tip.Hash()))
	}
	p.chain = append(p.chain, blocks...)
	return blocks
}

// Purge removes artifacts by kind and height from both sections, and the finalized chain
// below the height from which proposals are kept.
func (p *Pool) Purge(purges []artifact.Purge) {
	for _, purge := range purges {
		for h, l := range p.levels {
			if h < purge.Below && h > 0 {
				p.purgeLevel(l, purge.Kind)
			}
		}
		if purge.Kind == artifact.Proposal && purge.Below > p.base {
			n := min(int(purge.Below-p.base), len(p.chain)-1)
			p.chain, p.base = slices.Clone(p.chain[n:]), p.base+types.Height(n)
		}
	}
	for h, l := range p.levels {
		if h > 0 && l.empty() {
			delete(p.levels, h)
		}
	}
}

func (p *Pool) purgeLevel(l *level, k artifact.Kind) {
	l.unvalidated = slices.DeleteFunc(l.unvalidated, func(x *candidate) bool {
		if x.id.Kind == k {
			p.release(x)
		}
		return x.id.Kind == k
	})
	switch k {
	case artifact.Proposal:
		forget(p, l.proposals)
		l.proposals = nil
	case artifact.Equivocation:
		for _, e := range l.equivocations {
			delete(p.ids, e.ID())
		}
		clear(l.equivocations)
	default:
		if signed, ok := kindOfShares(k); ok {
			forget(p, l.shares[signed])
			delete(l.shares, signed)
			return
		}
		forget(p, l.aggregates[k])
		delete(l.aggregates, k)
	}
}

func forget[A Artifact](p *Pool, gone []A) {
	for _, a := range gone {
		delete(p.ids, a.ID())
	}
}

func (l *level) empty() bool {
	return len(l.proposals)+len(l.equivocations)+len(l.shares)+len(l.aggregates)+len(l.unvalidated) == 0
}
