package replica

import (
	"fmt"
	"slices"
	"time"

	"portico/node/artifact"
	"portico/node/consensus"
	"portico/node/ingress"
	"portico/node/loop"
	"portico/node/p2p"
	"portico/node/types"
)

// blockStore knows the calls in blocks, and completes the blocks that came without theirs.
type blockStore struct {
	calls   map[artifact.ID]*ingress.Call
	heights map[types.Height][]artifact.ID
	// expired is the second up to which the calls are too old to be wanted.
	expired types.Height
	// assembling are the proposals that lack calls, in the order in which they came.
	assembling []*assembly
	// fetching are the calls that were asked for, each with the peer whose proposal lacks it;
	// loads counts them by peer. No proposal needs those found, nor those given up
	// unless it is another than the one that was given up.
	fetching       map[artifact.ID]types.NodeID
	loads          map[types.NodeID]int
	found, givenUp []artifact.ID
	// refused says that a proposal or a call was left out for want of room.
	refused   bool
	arrivals  []*arrival
	offenders []offence
}

// assembly is a proposal some of whose calls are missing.
type assembly struct {
	proposal *consensus.Proposal
	from     types.NodeID
	bytes    int
	missing  int
	asked    bool
	// askedAt is when its calls were asked for first, everybody whether all peers were asked.
	askedAt   types.Time
	everybody bool
	// unchecked says that a call's signature is not good, or cannot be judged any more.
	unchecked bool
}

// arrival is a consensus artifact that came from a peer in this event.
type arrival struct {
	artifact consensus.Artifact
	bytes    int
	from     types.NodeID
}

// offence is what a peer sent that is malformed.
type offence struct {
	by     types.NodeID
	reason error
}

const (
	// maxAssembling bounds the proposals of a peer that lack calls.
	maxAssembling = 16
	// maxPeerFetches bounds the calls that are asked for because of a peer's proposals: a
	// maker may name any number that nobody has.
	maxPeerFetches = 2 * ingress.MaxBlockMessages
	// fetchPatience is how long the peer that sent a proposal has to send its calls before all
	// are asked, of whom those that voted for it have them.
	fetchPatience = time.Second
)

func newBlockStore() blockStore {
	return blockStore{
		calls: map[artifact.ID]*ingress.Call{}, heights: map[types.Height][]artifact.ID{},
		fetching: map[artifact.ID]types.NodeID{}, loads: map[types.NodeID]int{},
	}
}

// add remembers the calls of a validated block.
func (s *blockStore) add(b *consensus.Block) {
	for _, c := range b.Calls {
		if s.calls[c.ID] == nil {
			s.calls[c.ID] = c
			s.heights[b.Height] = append(s.heights[b.Height], c.ID)
		}
	}
}

// purge forgets the calls of blocks below a height.
func (s *blockStore) purge(below types.Height) {
	for h, ids := range s.heights {
		if h < below {
			for _, id := range ids {
				delete(s.calls, id)
			}
			delete(s.heights, h)
		}
	}
}

// consensusClient is the pool of consensus artifacts as the broadcast sees it.
type consensusClient struct{ r *Replica }

// Interest is the bouncer: what is too old is unwanted, what is too far ahead may be wanted later.
func (c consensusClient) Interest(id artifact.ID) p2p.Interest {
	r := c.r
	if r.pool.Has(id) || id.Kind == artifact.Ingress || r.blocks.assembles(id) {
		return p2p.Unwanted
	}
	var done types.Height // the greatest height that is of no use any more
	switch id.Kind {
	case artifact.CatchUp, artifact.CatchUpShare:
		if p := r.pool.CatchUp(); p != nil {
			done = p.Block.Height
		}
	case artifact.Beacon, artifact.BeaconShare:
		done = r.pool.BeaconHeight()
	case artifact.Tape, artifact.TapeShare:
		done = r.progress.Executed
	case artifact.Certification, artifact.CertificationShare:
		if id.Height < r.progress.Executed || r.pool.Aggregate(artifact.Certification, id.Height) != nil {
			return p2p.Unwanted
		}
	default:
		done = r.pool.FinalizedHeight()
	}
	switch {
	case done > 0 && id.Height <= done:
		return p2p.Unwanted
	case id.Kind != artifact.CatchUp && id.Height > r.pool.NotarizedHeight()+window:
		return p2p.Later
	default:
		return p2p.Wanted
	}
}

// Get returns a validated artifact, proposals with their calls.
func (c consensusClient) Get(id artifact.ID) []byte {
	a := c.r.pool.Validated(id)
	if a == nil {
		return nil
	}
	return consensus.Encode(a)
}

// Received takes an artifact from a peer.
func (c consensusClient) Received(from types.NodeID, id artifact.ID, encoded []byte) {
	s := &c.r.blocks
	a, err := consensus.Decode(id, encoded)
	if err != nil {
		s.offenders = append(s.offenders, offence{from, err})
		s.refused = true // another peer may have the artifact that was promised
		return
	}
	if share, ok := a.(*consensus.Share); ok && !c.r.isMember(from, share.By) {
		// so that nobody can have shares checked in others' names, nor take their place
		s.offenders = append(s.offenders, offence{from, fmt.Errorf("%s is member %d's to send", id, share.By)})
		return
	}
	s.arrivals = append(s.arrivals, &arrival{a, len(encoded), from})
}

// news reports whether anything came that is to be looked at.
func (s *blockStore) news() bool { return len(s.arrivals)+len(s.offenders) > 0 }

// settle puts what arrived into the pool, except proposals that lack calls, and the proposals
// that are complete now. Those that are of no use any more are given up.
func (s *blockStore) settle(r *Replica) {
	for _, x := range s.arrivals {
		if p, ok := x.artifact.(*consensus.Proposal); ok {
			s.begin(r, p, x.from)
		} else {
			r.pool.Insert(x.artifact, x.bytes, x.from, false)
		}
	}
	s.arrivals = nil
	s.assembling = slices.DeleteFunc(s.assembling, func(a *assembly) bool {
		if a.missing == 0 {
			r.pool.Insert(a.proposal, a.bytes, a.from, a.unchecked)
			return true
		}
		if a.proposal.Block.Height <= r.pool.FinalizedHeight() {
			s.giveUp(a)
			return true
		}
		return false
	})
}

// giveUp ends the search for the calls of a proposal.
func (s *blockStore) giveUp(a *assembly) {
	for i, id := range a.proposal.Block.Ingress {
		if _, ok := s.fetching[id]; ok && a.proposal.Block.Calls[i] == nil {
			s.givenUp = append(s.givenUp, id)
		}
	}
}

// room makes room for a peer's proposal, if need be by giving up one that is farther ahead.
func (s *blockStore) room(from types.NodeID, h types.Height) bool {
	n, far := 0, -1
	for i, a := range s.assembling {
		if a.from != from {
			continue
		}
		if n++; far < 0 || a.proposal.Block.Height > s.assembling[far].proposal.Block.Height {
			far = i
		}
	}
	if n < maxAssembling {
		return true
	}
	s.refused = true
	if s.assembling[far].proposal.Block.Height <= h {
		return false
	}
	s.giveUp(s.assembling[far])
	s.assembling = slices.Delete(s.assembling, far, far+1)
	return true
}

// begin looks for the calls of a proposal. Calls that came with it are checked like any others.
func (s *blockStore) begin(r *Replica, p *consensus.Proposal, from types.NodeID) {
	if s.assembles(p.ID()) || r.pool.Has(p.ID()) || !s.room(from, p.Block.Height) {
		return
	}
	b := p.Block
	came := b.Calls
	b.Calls = make([]*ingress.Call, len(b.Ingress))
	a := &assembly{proposal: p, from: from, bytes: len(b.Ingress) * len(types.Hash{}), missing: len(b.Ingress)}
	s.assembling = append(s.assembling, a)
	for i, id := range b.Ingress {
		call := r.calls.Get(id)
		if call == nil {
			call = s.calls[id]
		}
		switch {
		case call != nil:
			a.fill(call)
		case came != nil:
			r.checking.add(came[i], from)
		}
	}
}

func (s *blockStore) assembles(id artifact.ID) bool {
	return slices.ContainsFunc(s.assembling, func(a *assembly) bool { return a.proposal.ID() == id })
}

// needless are the calls that are being fetched and that no proposal lacks any more.
func (s *blockStore) needless() []artifact.ID {
	out := slices.DeleteFunc(s.found, func(id artifact.ID) bool { _, ok := s.fetching[id]; return !ok })
	if len(s.givenUp) > 0 {
		lacking := map[artifact.ID]bool{}
		for _, a := range s.assembling {
			for i, id := range a.proposal.Block.Ingress {
				if a.proposal.Block.Calls[i] == nil {
					lacking[id] = true
				}
			}
		}
		for _, id := range s.givenUp {
			if !lacking[id] {
				out = append(out, id)
			}
		}
	}
	s.found, s.givenUp = nil, nil
	return out
}

// fill puts a call where the proposal lacks it.
func (a *assembly) fill(c *ingress.Call) (filled bool) {
	b := a.proposal.Block
	for i, id := range b.Ingress {
		if id == c.ID && b.Calls[i] == nil {
			b.Calls[i] = c
			a.missing--
			a.bytes += len(c.Encoded)
			filled = true
		}
	}
	return filled
}

// arrived gives a call to the proposals that lack it; good says that its signature is.
func (s *blockStore) arrived(c *ingress.Call, good bool) {
	s.found = append(s.found, c.ID)
	for _, a := range s.assembling {
		if a.fill(c) && !good {
			a.unchecked = true
		}
	}
}

// fetchMissing asks for the calls that proposals lack.
func (r *Replica) fetchMissing(env loop.Env) {
	s := &r.blocks
	for _, o := range s.offenders {
		r.cfg.Log.Warn("a peer sent what cannot be read", "peer", o.by, "reason", o.reason)
		r.broadcast.Penalise(env, o.by)
	}
	s.offenders = nil
	for _, id := range s.needless() {
		s.fetched(id)
		r.broadcast.CancelFetch(env, p2p.Ingress, id)
	}
	for _, a := range s.assembling {
		if !a.asked && !r.checking.full() {
			a.asked = s.fetch(env, r, a)
		}
		if a.everybody || a.askedAt == 0 {
			continue
		}
		if due := a.askedAt.Add(fetchPatience); env.Now() < due {
			r.wakeAt(env, due)
			continue
		}
		a.everybody = true
		for i, id := range a.proposal.Block.Ingress {
			if _, ok := s.fetching[id]; ok && a.proposal.Block.Calls[i] == nil {
				r.broadcast.Fetch(env, p2p.Ingress, id, r.cfg.Records.Subnet.Members)
			}
		}
	}
}

// fetch asks for the calls of a proposal and reports whether all were asked for: if not,
// there was no room.
func (s *blockStore) fetch(env loop.Env, r *Replica, a *assembly) bool {
	from := []types.NodeID{a.from}
	if a.everybody {
		from = r.cfg.Records.Subnet.Members
	}
	if a.askedAt == 0 {
		a.askedAt = env.Now()
	}
	for i, id := range a.proposal.Block.Ingress {
		if _, ok := s.fetching[id]; ok || a.proposal.Block.Calls[i] != nil || r.checking.ids[id] {
			continue
		}
		if s.loads[a.from] >= maxPeerFetches || !r.broadcast.Fetch(env, p2p.Ingress, id, from) {
			return false
		}
		s.fetching[id] = a.from
		s.loads[a.from]++
	}
	return true
}

// fetched notes that a fetch has ended.
func (s *blockStore) fetched(id artifact.ID) {
	if from, ok := s.fetching[id]; ok {
		delete(s.fetching, id)
		s.loads[from]--
	}
}

// askAgain has a call asked for again that came and could not be kept.
func (s *blockStore) askAgain(id artifact.ID) {
	s.refused = true
	for _, a := range s.assembling {
		if slices.Contains(a.proposal.Block.Ingress, id) {
			a.asked = false
		}
	}
}
