package consensus_test

import (
	"slices"
	"testing"
	"time"

	"portico/node/artifact"
	"portico/node/consensus"
	"portico/node/ingress"
	"portico/node/types"
)

// judged is a node that has final blocks up to a height, whose next block others make.
func judged(s *subnet, h types.Height) (*node, *consensus.Block) {
	n := s.node(s.without(h + 1))
	return n, n.grow(s.genesis, h)
}

func TestWrongBlocksAreBlamedWithTheReason(t *testing.T) {
	s := newSubnet(t, 4)
	now := genesisTime.Add(time.Hour)
	plain := func(i int) *ingress.Call { return call(t, i, genesisTime.Add(time.Minute)) }
	big := func(i int) *ingress.Call {
		return call(t, i, genesisTime.Add(time.Minute), make([]byte, ingress.MaxBlockBytes*2/3)...)
	}
	for name, x := range map[string]struct {
		height types.Height // of the block
		edit   func(*consensus.Block)
		want   string
	}{
		"nothing":          {2, func(*consensus.Block) {}, "valid"},
		"a call":           {2, carrying(plain(1)), "valid"},
		"a summary block":  {interval, func(*consensus.Block) {}, "valid"},
		"time stands":      {2, at(genesisTime.Add(time.Second)), "is not after that of its parent"},
		"certified itself": {2, func(b *consensus.Block) { b.Context.Certified = 2 }, "its context has certified height 2, its parent's 0"},
		"certified less":   {3, func(b *consensus.Block) { b.Context.Certified = 0 }, "its context has certified height 0, its parent's 1"},
		"other registry":   {2, func(b *consensus.Block) { b.Context.Registry = 2 }, "registry version 2 in an interval of version 1"},
		"early summary":    {2, func(b *consensus.Block) { b.Summary = true }, "summary blocks stand at the beginning of intervals"},
		"no summary":       {interval, func(b *consensus.Block) { b.Summary = false }, "summary blocks stand at the beginning of intervals"},
		"summary and call": {interval, carrying(plain(1)), "a summary block carries no calls"},
		"missing calls":    {2, func(b *consensus.Block) { b.Ingress = []artifact.ID{plain(1).ID} }, "its calls are missing"},
		"expired":          {2, carrying(call(t, 1, genesisTime.Add(time.Second))), "which is not within reach"},
		"too far ahead":    {2, carrying(call(t, 1, genesisTime.Add(7*time.Minute))), "which is not within reach"},
		"twice":            {2, carrying(plain(1), plain(1)), "was in a block already"},
		"in the parent":    {3, carrying(plain(7)), "was in a block already"},
		"in the state":     {2, carrying(plain(8)), "was in a block already"},
		"too large":        {2, carrying(big(1), big(2)), "bytes of calls, at most 4194304 are allowed"},
	} {
		n := s.node(s.without(x.height))
		parent := n.grow(s.genesis, 1)
		for parent.Height+1 < x.height {
			p := s.block(parent, 0, func(b *consensus.Block) {
				b.Context.Certified = 1
				if !b.Summary {
					b.Calls = []*ingress.Call{plain(int(b.Height) + 5)}
				}
			})
			n.haveFinal(p)
			parent = p.Block
		}
		n.known[plain(8).RequestID()] = true
		n.progress.Certified = 1
		n.now = now
		p := s.block(parent, 0, x.edit)
		n.get(p.Maker, p)
		n.run()
		if got := n.fate(p); got != x.want {
			t.Run(name, func(t *testing.T) { n.t = t; n.expectFate(p, x.want) })
		}
	}
}

func TestWrongMakersAreBlamedWithTheReason(t *testing.T) {
	s := newSubnet(t, 4)
	makers := s.makers(2)
	for name, x := range map[string]struct {
		rank  int
		maker types.Member
		want  string
	}{
		"right":             {1, makers[1], "valid"},
		"of another rank":   {0, makers[1], "is not the block maker of rank 0 at height 2"},
		"of no rank":        {0, s.without(2), "is not the block maker of rank 0 at height 2"},
		"beyond all ranks":  {2, makers[1], "is not the block maker of rank 2 at height 2"},
		"not even a member": {0, 9, "is not the block maker of rank 0 at height 2"},
	} {
		n, tip := judged(s, 1)
		p := s.block(tip, x.rank)
		if x.maker == 9 {
			p.Maker = 9
		} else {
			p = s.proposal(p.Block, x.maker)
		}
		n.get(3, p)
		n.after(time.Hour)
		if got := n.fate(p); got != x.want {
			t.Run(name, func(t *testing.T) { n.t = t; n.expectFate(p, x.want) })
		}
	}
	n, tip := judged(s, 1)
	p := s.block(tip, 0)
	p.Signature = s.block(tip, 0, at(tip.Context.Time+9)).Signature
	n.get(3, p)
	n.run()
	n.expectFate(p, "does not match")
	if e := n.effects[len(n.effects)-1]; e.Blamed != s.id(3) && !slices.ContainsFunc(n.effects, func(e consensus.Effect) bool { return e.Blamed == s.id(3) }) {
		t.Errorf("nobody is blamed: %+v", e)
	}
}

func TestBlocksWaitForWhatThisNodeLacks(t *testing.T) {
	s := newSubnet(t, 4)
	next := func(edit ...func(*consensus.Block)) func(*consensus.Block) *consensus.Proposal {
		return func(tip *consensus.Block) *consensus.Proposal { return s.block(tip, 0, edit...) }
	}
	for name, x := range map[string]struct {
		p    func(tip *consensus.Block) *consensus.Proposal
		then func(n *node, tip *consensus.Block)
	}{
		"its certified state": {
			next(func(b *consensus.Block) { b.Context.Certified = 1 }),
			func(n *node, _ *consensus.Block) { n.progress.Certified = 1 },
		},
		"its time": {next(at(genesisTime.Add(2 * time.Hour))), func(n *node, _ *consensus.Block) {
			if n.wake != genesisTime.Add(2*time.Hour) {
				t.Errorf("it asks to be woken at %s", n.wake)
			}
			n.now = n.wake
		}},
		"its turn": {
			func(tip *consensus.Block) *consensus.Proposal { return s.block(tip, 1) },
			func(n *node, _ *consensus.Block) { n.now = n.wake },
		},
		"its parent": {func(tip *consensus.Block) *consensus.Proposal { return s.block(s.block(tip, 0).Block, 0) }, func(n *node, tip *consensus.Block) {
			n.have(s.beacon(2), s.block(tip, 0))
			n.run()
			if n.pool.NotarizedHeight() != 1 {
				t.Error("the parent is notarized already")
			}
			n.have(s.notarization(s.block(tip, 0).Block))
		}},
		"its parent, though another is notarized": {
			func(tip *consensus.Block) *consensus.Proposal { return s.block(s.block(tip, 1).Block, 0) },
			func(n *node, tip *consensus.Block) {
				n.haveNotarized(s.block(tip, 0))
				n.have(s.block(tip, 1))
				n.run()
				if n.pool.NotarizedHeight() != 2 || n.proposed(3) != nil {
					t.Error("height 2 is not notarized, or the node makes a block itself")
				}
				for _, c := range n.done {
					if _, moved := c.(consensus.Move); moved {
						t.Error("a block on a block that is not notarized is valid")
					}
				}
				n.have(s.notarization(s.block(tip, 1).Block))
			},
		},
		"the beacon": {func(tip *consensus.Block) *consensus.Proposal { return s.block(s.block(tip, 0).Block, 0) }, func(n *node, tip *consensus.Block) {
			n.have(s.block(tip, 0), s.notarization(s.block(tip, 0).Block))
			n.run()
			n.have(s.beacon(2))
		}},
	} {
		t.Run(name, func(t *testing.T) {
			n, tip := judged(s, 1)
			n.t = t
			n.progress.Certified = 0
			p := x.p(tip)
			n.get(p.Maker, p)
			n.run()
			n.expectFate(p, "waits")
			x.then(n, tip)
			n.run()
			n.expectFate(p, "valid")
		})
	}
}

func TestANotarizedBlockNeedsNoOtherCheck(t *testing.T) {
	s := newSubnet(t, 4)
	n, tip := judged(s, 1)
	p := s.block(tip, 1, carrying(call(t, 1, genesisTime.Add(2*time.Hour))), at(genesisTime.Add(2*time.Hour)))
	n.pool.Insert(p, 100, s.id(2), true)
	n.after(3 * time.Hour)
	n.expectFate(p, "waits") // for ever: its call is not signed as far as this node knows
	n.get(3, s.notarization(p.Block))
	n.run()
	n.expectFate(p, "valid")
	if n.pool.NotarizedHeight() != 2 {
		t.Error("the block is not notarized")
	}
}

func TestForgedNotarizationsDoNotHideTheRightOne(t *testing.T) {
	s := newSubnet(t, 4)
	n, tip := judged(s, 1)
	p := s.block(tip, 0)
	right, forged, few := s.notarization(p.Block), s.notarization(p.Block), s.signed(content(artifact.Notarization, p.Block), 0, 1)
	forged.Signature = slices.Clone(forged.Signature)
	forged.Signature[3] ^= 1
	n.pool.Insert(p, 100, s.id(2), true)
	n.get(3, forged, few)
	n.run()
	n.expectFate(forged, "does not match")
	n.expectFate(few, "2 signers, want at least 3")
	n.get(2, right)
	n.run()
	n.expectFate(p, "valid")
	n.expectFate(right, "valid")
}

func TestVotesAreThoseOfTheCommittee(t *testing.T) {
	s := newSubnet(t, 6) // of whom 4 are the committee
	n, tip := judged(s, 1)
	p := s.block(tip, 0)
	committee := consensus.Committee(6, s.beacon(1))
	var outsiders []types.Member
	for _, m := range s.members(0, 6) {
		if !slices.Contains(committee, m) {
			outsiders = append(outsiders, m)
		}
	}
	mixed := append(slices.Clone(committee[:2]), outsiders[0])
	slices.Sort(mixed)
	n.have(p)
	wrong := s.signed(content(artifact.Notarization, p.Block), mixed...)
	n.get(2, wrong)
	n.run()
	n.expectFate(wrong, "is not in the committee of height 2")

	early := s.finalization(p.Block)
	n.get(2, early)
	n.run()
	n.expectFate(early, "waits")
	right := s.notarization(p.Block)
	n.get(2, right)
	n.run()
	n.expectFate(right, "valid")
	n.expectFate(early, "valid")
	if n.pool.FinalizedHeight() != 2 || n.pool.Finalized(2).Hash() != p.Block.Hash() {
		t.Error("the block is not final")
	}
}

func TestOutsidersDoNotVote(t *testing.T) {
	s := newSubnet(t, 6)
	committee := consensus.Committee(6, s.beacon(1))
	for _, m := range s.members(0, 6) {
		n := s.node(m)
		tip := n.grow(s.genesis, 1)
		n.have(s.block(tip, 0))
		n.after(time.Hour)
		if got := len(n.votes(artifact.Notarization, 2)) > 0; got != slices.Contains(committee, m) {
			t.Errorf("member %d votes: %t, committee %v", m, got, committee)
		}
	}
}

func TestOutsidersVotesDoNotCount(t *testing.T) {
	s := newSubnet(t, 6)
	committee := consensus.Committee(6, s.beacon(1))
	outsiders := slices.DeleteFunc(s.members(0, 6), func(m types.Member) bool { return slices.Contains(committee, m) })
	n := s.node(outsiders[0])
	p := s.block(n.grow(s.genesis, 1), 0)
	n.have(p)
	of := content(artifact.Notarization, p.Block)
	for _, m := range []types.Member{outsiders[1], committee[0], committee[1]} {
		n.get(m, s.share(of, m))
	}
	n.run()
	if n.pool.NotarizedHeight() != 1 {
		t.Error("two of the committee and an outsider notarize")
	}
	n.get(committee[2], s.share(of, committee[2]))
	n.run()
	if n.pool.NotarizedHeight() != 2 {
		t.Error("three of the committee do not notarize")
	}
}

func TestBeaconsFollowEachOther(t *testing.T) {
	s := newSubnet(t, 4)
	n, _ := judged(s, 1)
	ahead, other := s.beacon(3), s.signed(consensus.Content{Kind: artifact.Beacon, Height: 2, Hash: types.Hash{1}})
	listed := s.signed(s.beaconContent(2))
	listed.Signers = []types.Member{0, 1}
	n.get(2, ahead, other, listed)
	n.run()
	n.expectFate(ahead, "waits")
	n.expectFate(other, "it does not follow the beacon before it")
	n.expectFate(listed, "a threshold signature has no list of signers")
	n.get(2, s.beacon(2))
	n.run()
	n.expectFate(ahead, "valid")
	if n.pool.BeaconHeight() < 3 {
		t.Errorf("beacons up to height %d", n.pool.BeaconHeight())
	}
}

func TestTheNextBeaconIsSignedOnceABlockIsNotarized(t *testing.T) {
	s := newSubnet(t, 4)
	n, tip := judged(s, 1)
	n.run()
	n.expectVotes(artifact.Beacon, 3)
	if len(n.votes(artifact.Beacon, 2)) != 1 {
		t.Error("the beacon after the notarized block's height is not signed")
	}
	p := s.block(tip, 0)
	n.have(s.beacon(2))
	n.run()
	n.expectVotes(artifact.Beacon, 3)
	n.have(p, s.notarization(p.Block))
	n.run()
	if got := n.votes(artifact.Beacon, 3); len(got) != 1 || got[0] != consensus.Randomness(s.beacon(2)) {
		t.Errorf("shares of beacon 3: %x", got)
	}
}

func TestTapesWaitUntilTheHeightBeforeIsFinal(t *testing.T) {
	s := newSubnet(t, 4)
	n, tip := judged(s, 1)
	p := s.block(tip, 0)
	n.haveNotarized(p)
	n.after(time.Hour)
	if len(n.votes(artifact.Tape, 2)) != 1 || len(n.votes(artifact.Tape, 3)) != 0 {
		t.Errorf("final 1, notarized 2: %d shares of tape 2, %d of tape 3", len(n.votes(artifact.Tape, 2)), len(n.votes(artifact.Tape, 3)))
	}
	n.have(s.finalization(p.Block))
	n.run()
	if len(n.votes(artifact.Tape, 3)) != 1 || len(n.votes(artifact.Tape, 4)) != 0 {
		t.Error("final 2: want a share of tape 3 and none of tape 4")
	}
}

func TestStatesAreCertified(t *testing.T) {
	s := newSubnet(t, 4)
	n, _ := judged(s, 1)
	n.progress.Root = types.Hash{7}
	n.run()
	if got := n.votes(artifact.Certification, 1); len(got) != 1 || got[0] != n.progress.Root {
		t.Fatalf("shares of the certification: %x", got)
	}
	of := consensus.Content{Kind: artifact.Certification, Height: 1, Hash: n.progress.Root}
	others := n.others()
	n.get(others[0], s.share(of, others[0]))
	n.get(others[1], s.share(consensus.Content{Kind: artifact.Certification, Height: 1, Hash: types.Hash{8}}, others[1]))
	n.run()
	if n.pool.Aggregate(artifact.Certification, 1) != nil {
		t.Fatal("certified by two members out of four")
	}
	n.get(others[2], s.share(of, others[2]))
	n.run()
	if c := n.pool.Aggregate(artifact.Certification, 1); c == nil || c.Hash != n.progress.Root {
		t.Errorf("certification: %+v", c)
	}
}

// checkpointed is a node that has a checkpoint of the first summary block and blocks after it.
func checkpointed(s *subnet, certified types.Height) *node {
	n := s.node(0)
	tip := n.grow(s.genesis, interval+1)
	n.haveFinal(s.block(tip, 0, func(b *consensus.Block) { b.Context.Certified = certified }))
	n.progress.Certified = interval
	n.progress.Checkpoints[interval] = types.Hash{9}
	return n
}

func TestCatchUpPackagesAreMadeOfSharesAndAreValid(t *testing.T) {
	s := newSubnet(t, 4)
	if n := checkpointed(s, interval-1); true {
		n.run()
		if len(n.votes(artifact.CatchUp, interval)) != 0 {
			t.Error("signed although the final block does not say that the summary's state is certified")
		}
	}
	n := checkpointed(s, interval)
	n.run()
	votes := n.votes(artifact.CatchUp, interval)
	if len(votes) != 1 {
		t.Fatalf("%d shares", len(votes))
	}
	of := consensus.Content{Kind: artifact.CatchUp, Height: interval, Hash: votes[0]}
	n.get(1, s.share(of, 1))
	n.get(2, s.forged(of, 2))
	n.get(3, s.share(of, 3))
	n.run()
	c := n.pool.CatchUp()
	if c == nil || c.Block.Height != interval || c.State != (types.Hash{9}) || c.Content() != of || !n.pool.Has(c.ID()) || n.pool.Validated(c.ID()) != c {
		t.Fatalf("catch-up package: %+v", c)
	}

	peer := s.node(1)
	beacon := *s.signed(consensus.Content{Kind: artifact.Beacon, Height: c.Beacon.Height, Hash: types.Hash{1}})
	beacon.Signature = c.Beacon.Signature // which is all that the package's own signature covers
	lie, other := *c, *c
	lie.Beacon = &beacon
	other.State = types.Hash{8}
	peer.get(3, &lie, &other)
	peer.run()
	peer.expectFate(&lie, "combined low threshold signature")
	peer.expectFate(&other, "combined high threshold signature")
	peer.get(3, c)
	peer.run()
	peer.expectFate(c, "valid")
	if peer.pool.CatchUp() != c {
		t.Error("the package is not the newest")
	}
	again := *c
	again.Signature = slices.Clone(c.Signature)
	again.Signature[0] ^= 1
	peer.get(3, &again)
	peer.run()
	peer.expectFate(&again, "dropped")
}
