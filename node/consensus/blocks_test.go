package consensus_test

import (
	"slices"
	"testing"
	"time"

	"portico/node/artifact"
	"portico/node/consensus"
	"portico/node/types"
)

// without is a member that makes no block at a height.
func (s *subnet) without(h types.Height) types.Member {
	return types.Member(slices.IndexFunc(s.members(0, s.n), func(m types.Member) bool { return !slices.Contains(s.makers(h), m) }))
}

func TestTheFinalizerWaitsForOneNotarizedBlock(t *testing.T) {
	s := newSubnet(t, 4)
	n := s.node(s.without(2))
	tip := n.grow(s.genesis, 1)
	a, b := s.block(tip, 0), s.block(tip, 1)
	n.have(s.beacon(2), a)
	n.run()
	n.expectVotes(artifact.Finalization, 2)
	n.have(s.notarization(a.Block))
	n.run()
	n.expectVotes(artifact.Finalization, 2, a.Block)
	if n.pool.FinalizedHeight() != 1 {
		t.Error("a block is final by one share")
	}

	n = s.node(s.without(2))
	n.grow(s.genesis, 1)
	n.haveNotarized(a)
	n.haveNotarized(b)
	n.run()
	n.after(time.Minute)
	n.expectVotes(artifact.Finalization, 2)
}

func TestTheFinalizerSignsNothingIfItNotarizedAnother(t *testing.T) {
	s := newSubnet(t, 4)
	n := s.node(s.without(2))
	tip := n.grow(s.genesis, 1)
	a, b := s.block(tip, 0), s.block(tip, 1)
	n.have(s.beacon(2), b)
	n.after(unit + notary)
	n.expectVotes(artifact.Notarization, 2, b.Block)
	n.have(a, s.notarization(a.Block))
	n.run()
	n.expectVotes(artifact.Finalization, 2)

	// nor in its next life, which has the shares of this one
	again := s.node(n.self)
	var artifacts []consensus.Artifact
	for _, e := range n.effects {
		if e.Added != nil {
			artifacts = append(artifacts, e.Added)
		}
	}
	again.now = n.now
	again.progress.Executed, again.progress.Certified = 1, 1
	again.pool.Restore(artifacts)
	again.run()
	again.expectVotes(artifact.Finalization, 2)
	if again.pool.FinalizedHeight() != 1 || again.pool.NotarizedHeight() != 2 || again.pool.BeaconHeight() < 2 {
		t.Errorf("restored: final up to %d, notarized up to %d, beacons up to %d",
			again.pool.FinalizedHeight(), again.pool.NotarizedHeight(), again.pool.BeaconHeight())
	}
}

func TestTheNotaryPrefersTheLeastRank(t *testing.T) {
	s := newSubnet(t, 7)
	n := s.node(s.without(2))
	tip := n.grow(s.genesis, 1)
	best, second, third := s.block(tip, 0), s.block(tip, 1), s.block(tip, 2)
	n.have(third)
	n.after(notary + 2*unit - 1)
	n.expectVotes(artifact.Notarization, 2)
	if n.wake != n.now+1 {
		t.Errorf("it asks to be woken at %s, want %s", n.wake, n.now+1)
	}
	n.after(1)
	n.expectVotes(artifact.Notarization, 2, third.Block)
	n.have(best)
	n.run()
	n.have(second)
	n.run()
	n.expectVotes(artifact.Notarization, 2, third.Block, best.Block)
}

func TestTheNotarySkipsMakersThatEquivocate(t *testing.T) {
	s := newSubnet(t, 4)
	n := s.node(s.without(2))
	tip := n.grow(s.genesis, 1)
	one, two, other := s.block(tip, 0), s.block(tip, 0, at(tip.Context.Time+7)), s.block(tip, 1)
	n.get(one.Maker, one, two)
	n.get(other.Maker, other)
	n.run()
	n.after(notary + 2*unit)
	n.expectFate(one, "valid")
	n.expectFate(two, "waits")
	n.expectVotes(artifact.Notarization, 2, other.Block)
	var proof *consensus.Equivocation
	for _, e := range n.effects {
		if x, ok := e.Added.(*consensus.Equivocation); ok {
			proof = x
		}
	}
	if proof == nil || proof.Maker != one.Maker || proof.Height != 2 {
		t.Fatalf("proof: %+v", proof)
	}

	peer := s.node(s.without(2))
	peer.grow(s.genesis, 1)
	peer.get(2, proof)
	peer.get(one.Maker, one)
	peer.after(unit)
	peer.expectFate(proof, "valid")
	peer.expectVotes(artifact.Notarization, 2)

	forged := &consensus.Equivocation{Height: 2, Maker: one.Maker, Blocks: proof.Blocks, Signatures: [2][]byte{proof.Signatures[0], proof.Signatures[0]}}
	peer = s.node(s.without(2))
	peer.grow(s.genesis, 1)
	peer.get(2, forged)
	peer.run()
	peer.expectFate(forged, "does not match")
}

// notaryWait is how long the notary waits for a block of rank 1.
func notaryWait(t *testing.T, n *node, tip *consensus.Block) time.Duration {
	t.Helper()
	h := n.pool.NotarizedHeight() + 1
	n.have(n.block(tip, 1))
	begin := n.now
	for n.run(); len(n.votes(artifact.Notarization, h)) == 0; n.run() {
		if n.wake <= n.now {
			t.Fatalf("it does not vote and asks to be woken at %s", n.wake)
		}
		n.now = n.wake
	}
	return n.now.Sub(begin)
}

func TestTheNotarySlowsDownWithTheGaps(t *testing.T) {
	for _, x := range []struct {
		notarized, certified types.Height // the final height is 3
		want                 time.Duration
	}{
		{3, 3, notary + unit},
		{3, 2, notary + unit},
		{3, 1, notary + unit + 2*2*time.Second},
		{3, 0, notary + unit + 3*2*time.Second},
		{4, 3, notary + 3*unit/2},
		{5, 3, notary + 9*unit/4},
		{5, 1, notary + 9*unit/4 + 2*2*time.Second},
	} {
		s := newSubnet(t, 4)
		n := s.node(0)
		tip := n.grow(s.genesis, 3)
		for tip.Height < x.notarized {
			p := s.block(tip, 0)
			n.haveNotarized(p)
			tip = p.Block
		}
		n.self = s.without(tip.Height + 1)
		n.consensus = s.node(n.self).consensus
		n.progress.Certified = x.certified
		if got := notaryWait(t, n, tip); got != x.want {
			t.Errorf("notarized %d, final 3, certified %d: it waits %v, want %v", x.notarized, x.certified, got, x.want)
		}
	}
}

func TestTheNotaryStopsFarAheadOfCertification(t *testing.T) {
	for certified, signs := range map[types.Height]bool{0: false, 1: true} {
		s := newSubnet(t, 4)
		n := s.node(s.without(71))
		tip := n.grow(s.genesis, 70)
		n.progress.Certified = certified
		b := s.block(tip, 0)
		n.have(b)
		n.after(time.Hour)
		if got := len(n.votes(artifact.Notarization, 71)) > 0; got != signs {
			t.Errorf("notarized 70, certified %d: it signs: %t", certified, got)
		}
	}
}

func TestMakersWaitForThoseOfBetterRank(t *testing.T) {
	s := newSubnet(t, 7)
	n := s.node(s.makers(2)[2])
	tip := n.grow(s.genesis, 1)
	n.progress.Backlog = true
	n.after(2*unit - 1)
	if n.proposed(2) != nil || n.wake != n.now+1 {
		t.Errorf("a block of rank 2 is made too early; wake at %s, want %s", n.wake, n.now+1)
	}
	n.after(1)
	if b := n.proposed(2); b == nil || b.Rank != 2 || b.Parent != tip.Hash() || b.Height != 2 {
		t.Errorf("block: %+v", b)
	}
	n.after(time.Hour)
	if n.pool.NotarizedHeight() != 1 || len(n.votes(artifact.Notarization, 2)) != 1 {
		t.Error("the block was made more than once")
	}

	n = s.node(s.makers(2)[2])
	n.grow(s.genesis, 1)
	n.have(s.block(tip, 1))
	n.after(time.Hour)
	if n.proposed(2) != nil {
		t.Error("a block is made although one of better rank is there")
	}

	n = s.node(s.makers(2)[2])
	n.grow(s.genesis, 1)
	n.get(s.makers(2)[1], s.block(tip, 1), s.block(tip, 1, at(tip.Context.Time+9)))
	n.after(time.Hour)
	if n.proposed(2) == nil {
		t.Error("a maker that equivocated keeps the next one from making a block")
	}

	n = s.node(s.without(2))
	n.grow(s.genesis, 1)
	n.after(time.Hour)
	if n.proposed(2) != nil {
		t.Error("a member that is no maker makes a block")
	}
}

func TestMakersGiveCanistersTheNextRoundWhenTheyHaveHadThisOne(t *testing.T) {
	for certified, makes := range map[types.Height]bool{1: false, 2: true} {
		s := newSubnet(t, 4)
		n := s.node(s.makers(3)[0])
		n.grow(s.genesis, 2)
		n.progress.Certified, n.progress.Backlog = certified, true
		n.run()
		if made := n.proposed(3) != nil; made != makes {
			t.Errorf("notarized 2, certified %d: a block for canisters that go on is made: %t", certified, made)
		}
	}
}

func TestMakersWaitForStatesButNotPastTheirTurn(t *testing.T) {
	for certified, wait := range map[types.Height]time.Duration{1: unit / 2, 2: unit / 10, 3: 0} {
		s := newSubnet(t, 4)
		n := s.node(s.makers(4)[0])
		n.grow(s.genesis, 3)
		n.progress.Certified = certified
		n.waits(call(t, 1, n.now.Add(time.Minute)))
		if n.after(wait - 1); wait > 0 && n.proposed(4) != nil {
			t.Errorf("final 3, certified %d: a block is made too early", certified)
		}
		n.after(1)
		if n.proposed(4) == nil {
			t.Errorf("final 3, certified %d: no block is made after %s", certified, wait)
		}
	}
	s := newSubnet(t, 4)
	n := s.node(s.makers(4)[0])
	n.grow(s.genesis, 3)
	n.progress.Certified = 2
	n.waits(call(t, 1, n.now.Add(time.Minute)))
	n.run()
	n.waits(call(t, 2, n.now.Add(time.Minute)))
	n.progress.Certified = 3
	n.run()
	if b := n.proposed(4); b == nil || len(b.Calls) != 2 {
		t.Errorf("when the state before it is certified, the block is %+v, want one with the call that came meanwhile", b)
	}
}

func TestCanistersPauseForAsLongAsTheLastHeightTookWhileUsersGetQuickAnswers(t *testing.T) {
	const took = unit / 20
	for _, x := range []struct {
		quick      bool
		took, want time.Duration
	}{
		{quick: false, took: took, want: 0},
		{quick: true, took: took, want: took},
		{quick: true, took: unit, want: unit / 10}, // a minute's height would mean a minute's pause
		{quick: true, took: -took, want: 0},        // the maker's clock is ahead of this node's
	} {
		s := newSubnet(t, 4)
		n := s.node(s.makers(3)[0])
		tip := n.grow(s.genesis, 1)
		n.haveFinal(s.block(tip, 0, at(n.now.Add(-x.took))))
		n.progress.Executed, n.progress.Certified, n.progress.CertifiedAt = 2, 2, n.now
		n.progress.Backlog, n.progress.Quick = true, x.quick
		if n.after(x.want - 1); x.want > 0 && n.proposed(3) != nil {
			t.Errorf("%+v: a block is made too early", x)
		}
		n.after(1)
		if n.proposed(3) == nil {
			t.Errorf("%+v: no block is made", x)
		}
	}
}

func TestMakersGatherTheCallsOfThoseWhoHaveJustBeenAnswered(t *testing.T) {
	for _, x := range []struct {
		took, want time.Duration
		behind     bool
	}{
		{took: unit / 20, want: unit / 120},
		{took: 4 * unit, want: unit / 50},        // not as long as heights take that are far too long
		{took: -unit, want: 0},                   // the maker's clock is ahead of this node's
		{took: unit / 20, want: 0, behind: true}, // the state's time says nothing of the block before
	} {
		s := newSubnet(t, 4)
		n := s.node(s.makers(3)[0])
		tip := n.grow(s.genesis, 1)
		n.haveFinal(s.block(tip, 0, at(n.now.Add(-x.took))))
		n.progress.Executed, n.progress.Certified, n.progress.CertifiedAt = 2, 2, n.now
		if x.behind {
			n.progress.Certified, n.now = 1, n.now.Add(unit/10)
			n.progress.CertifiedAt = n.now
		}
		n.waits(call(t, 1, n.now.Add(time.Minute)))
		if n.after(x.want - 1); x.want > 0 && n.proposed(3) != nil {
			t.Errorf("%+v: a block is made too early", x)
		}
		n.waits(call(t, 2, n.now.Add(time.Minute)))
		n.after(1)
		if b := n.proposed(3); b == nil || len(b.Calls) != 2 {
			t.Errorf("%+v: the block is %+v, want one with both calls", x, b)
		}
	}
}

func TestMakersWithNothingToDoWait(t *testing.T) {
	s := newSubnet(t, 4)
	maker := s.makers(2)[0]
	n := s.node(maker)
	n.grow(s.genesis, 1)
	n.after(idle - 1)
	if n.proposed(2) != nil {
		t.Error("an empty block is made at once")
	}
	n.after(1)
	if b := n.proposed(2); b == nil || len(b.Calls) != 0 {
		t.Errorf("block: %+v", b)
	}

	n = s.node(maker)
	tip := n.grow(s.genesis, 1)
	c, taken, old := call(t, 1, n.now.Add(time.Minute)), call(t, 2, n.now.Add(time.Minute)), call(t, 3, n.now-1)
	n.known[taken.RequestID()] = true
	n.waits(taken)
	n.waits(old)
	n.run()
	if n.proposed(2) != nil {
		t.Error("a block is made for calls that it must not carry")
	}
	n.waits(c)
	n.run()
	b := n.proposed(2)
	if b == nil || len(b.Calls) != 1 || b.Calls[0] != c || b.Ingress[0] != c.ID {
		t.Fatalf("block: %+v", b)
	}
	if b.Context != (consensus.Context{Certified: 1, Registry: 1, Time: n.now}) || b.Parent != tip.Hash() {
		t.Errorf("context %+v", b.Context)
	}
}

func TestContextsNeverDecrease(t *testing.T) {
	s := newSubnet(t, 4)
	n := s.node(s.makers(4)[0])
	tip := n.grow(s.genesis, 2)
	later := n.now.Add(time.Hour)
	p := s.block(tip, 0, at(later), func(b *consensus.Block) { b.Context.Certified = 2 })
	n.haveNotarized(p)
	n.progress.Certified = 1
	n.after(idle)
	if b := n.proposed(4); b == nil || b.Context != (consensus.Context{Certified: 2, Registry: 1, Time: later + 1}) {
		t.Errorf("block: %+v", b)
	}
}

func TestSummaryBlocksStandAtIntervalsAndCarryNothing(t *testing.T) {
	s := newSubnet(t, 4)
	n := s.node(s.makers(interval)[0])
	n.grow(s.genesis, interval-1)
	n.waits(call(t, 1, n.now.Add(time.Minute)))
	n.run()
	if b := n.proposed(interval); b == nil || !b.Summary || len(b.Calls) > 0 {
		t.Errorf("block: %+v", b)
	}
}

func TestParentsAreOfTheLeastRankAmongTheHonest(t *testing.T) {
	s := newSubnet(t, 4)
	n := s.node(s.makers(3)[0])
	tip := n.grow(s.genesis, 1)
	good, bad := s.block(tip, 1), s.block(tip, 0)
	n.haveNotarized(good)
	n.have(bad, s.notarization(bad.Block))
	n.progress.Certified, n.progress.Backlog = 2, true
	n.run()
	if b := n.proposed(3); b == nil || b.Parent != bad.Block.Hash() {
		t.Errorf("block: %+v", b)
	}

	n = s.node(s.makers(3)[0])
	n.grow(s.genesis, 1)
	n.haveNotarized(good)
	n.have(bad, s.notarization(bad.Block))
	n.get(bad.Maker, s.block(tip, 0, at(tip.Context.Time+9)))
	n.run()
	n.progress.Certified, n.progress.Backlog = 2, true
	n.run()
	if b := n.proposed(3); b == nil || b.Parent != good.Block.Hash() {
		t.Errorf("block on the block of a maker that equivocated: %+v", b)
	}
}
