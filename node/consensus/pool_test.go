package consensus_test

import (
	"slices"
	"testing"
	"time"

	"portico/node/artifact"
	"portico/node/consensus"
	"portico/node/types"
)

func ofHash(k artifact.Kind, h types.Height, i int) consensus.Content {
	return consensus.Content{Kind: k, Height: h, Hash: types.Hash{byte(i), byte(i >> 8), 1}}
}

func TestAPeerFillsNoMoreThanItsShareOfThePool(t *testing.T) {
	s := newSubnet(t, 4)
	n := s.node(0)
	share := func(h types.Height, i int) *consensus.Share {
		return &consensus.Share{Content: ofHash(artifact.Notarization, h, i), By: 1, Signature: []byte{1}}
	}
	in := 0
	for h := types.Height(2); h < 100; h++ {
		for i := range 200 {
			if n.pool.Insert(share(h, i), 100, s.id(1), false) {
				in++
			}
		}
	}
	if _, waiting := n.pool.Len(); waiting != 10_000 || in != 10_000 {
		t.Errorf("%d artifacts of one peer wait, %d were taken", waiting, in)
	}
	if !n.pool.Refused() || n.pool.Refused() {
		t.Error("it does not say, once, that it refused some")
	}
	low := share(1, 1)
	if !n.pool.Insert(low, 100, s.id(1), false) {
		t.Error("what is needed first finds no room behind what is farther ahead")
	}
	if _, waiting := n.pool.Len(); waiting != 10_000 || !n.pool.Refused() {
		t.Errorf("%d artifacts wait after one made room", waiting)
	}
	if !n.pool.Insert(&consensus.Share{Content: ofHash(artifact.Notarization, 200, 1), By: 2, Signature: []byte{1}}, 100, s.id(2), false) {
		t.Error("another peer finds no room")
	}
	if n.pool.Insert(share(1, 2), 65*types.MiB, s.id(3), false) {
		t.Error("65 MiB of one peer are taken")
	}
}

func TestAPeerHasAHandfulOfAKindAtAHeight(t *testing.T) {
	s := newSubnet(t, 4)
	n := s.node(0)
	of := ofHash(artifact.Notarization, 1, 1)
	insert := func(a consensus.Artifact, from types.Member) bool { return n.pool.Insert(a, 100, s.id(from), false) }
	if !insert(s.forged(of, 1), 1) || insert(s.share(of, 1), 1) || !insert(s.share(of, 1), 2) || insert(s.share(of, 1), 2) {
		t.Error("a peer has one share of a member and content under way, and another peer one, too")
	}
	proposals := 0
	for i := range 100 {
		if insert(s.block(s.genesis, 0, at(genesisTime+1+types.Time(i))), 1) {
			proposals++
		}
	}
	if proposals != 4 {
		t.Errorf("%d proposals of one maker, want 4", proposals)
	}
	votes := 0
	for i := range 1000 {
		if insert(&consensus.Aggregate{Content: ofHash(artifact.Notarization, 1, i), Signature: []byte{1}}, 1) {
			votes++
		}
	}
	if votes != 400 {
		t.Errorf("%d notarizations, want 400", votes)
	}
}

func TestNothingIsKeptOfHeightsThatCameToNothing(t *testing.T) {
	s := newSubnet(t, 4)
	n := s.node(0)
	before := n.pool.Levels()
	for h := types.Height(1000); h < 1100; h++ {
		n.get(1, &consensus.CatchUp{Block: &consensus.Block{Height: h, Summary: true}, Beacon: s.beacon(1)})
	}
	n.run()
	if got := n.pool.Levels(); got > before+2 {
		t.Errorf("%d levels, %d before", got, before)
	}
}

func TestRestoringBringsBackTheChainAndOwnShares(t *testing.T) {
	s := newSubnet(t, 4)
	for _, from := range []types.Height{1, 3} { // the first height that is on disk
		n := s.node(s.without(7))
		n.now = n.now.Add(time.Second)
		tip := n.grow(s.genesis, 5)
		p := s.block(tip, 0)
		n.have(s.beacon(6), p)
		n.after(time.Hour)
		n.have(s.notarization(p.Block))
		n.run()
		var kept []consensus.Artifact
		for _, e := range n.effects {
			if e.Added != nil && e.Added.ID().Height >= from {
				kept = append(kept, e.Added)
			}
		}
		slices.SortStableFunc(kept, func(a, b consensus.Artifact) int {
			if x, y := a.ID(), b.ID(); x.Kind != y.Kind {
				return int(x.Kind) - int(y.Kind)
			}
			return a.ID().Compare(b.ID())
		})
		again := s.node(n.self)
		again.now = n.now
		again.pool.Restore(kept)
		again.progress.Executed, again.progress.Certified = 5, 5
		if again.pool.FinalizedHeight() != 5 || again.pool.NotarizedHeight() != 6 || again.pool.BeaconHeight() != n.pool.BeaconHeight() {
			t.Errorf("final %d, notarized %d, beacon %d", again.pool.FinalizedHeight(), again.pool.NotarizedHeight(), again.pool.BeaconHeight())
		}
		first := from
		if from == 1 {
			first = 0
		}
		for h := types.Height(0); h <= 6; h++ {
			if b := again.pool.Finalized(h); (b != nil) != (h >= first && h <= 5) || b != nil && b.Hash() != n.pool.Finalized(h).Hash() {
				t.Errorf("kept from %d: final block of height %d: %v", from, h, b)
			}
		}
		again.run()
		if len(again.votes(artifact.Notarization, 6))+len(again.votes(artifact.Finalization, 6)) != 0 {
			t.Error("it signs again what it signed in its earlier life")
		}
		validated, _ := again.pool.Len()
		for _, a := range kept {
			if again.pool.Validated(a.ID()) == nil {
				t.Errorf("%s is gone", a.ID())
			}
		}
		if validated < len(kept) {
			t.Errorf("%d artifacts of %d", validated, len(kept))
		}
	}
}

func TestPurgingForgetsEverythingBelow(t *testing.T) {
	s := newSubnet(t, 4)
	n := s.node(s.without(9))
	n.grow(s.genesis, 8)
	n.run()
	share := s.share(ofHash(artifact.Notarization, 3, 1), 1)
	n.get(1, share)
	var purges []artifact.Purge
	for k := artifact.Proposal; k < artifact.Ingress; k++ {
		purges = append(purges, artifact.Purge{Kind: k, Below: 5})
	}
	n.pool.Purge(purges)
	for _, e := range n.effects {
		if e.Added == nil {
			continue
		}
		if id := e.Added.ID(); n.pool.Has(id) != (id.Height >= 5) || (n.pool.Validated(id) != nil) != (id.Height >= 5) {
			t.Errorf("%s is there: %t", id, n.pool.Has(id))
		}
	}
	if n.pool.Has(share.ID()) {
		t.Error("an unvalidated share is still there")
	}
	if _, waiting := n.pool.Len(); waiting != 0 {
		t.Errorf("%d unvalidated artifacts", waiting)
	}
	if n.pool.Finalized(4) != nil || n.pool.Finalized(5) == nil || n.pool.FinalizedHeight() != 8 || n.pool.Finalized(0) != nil {
		t.Error("the finalized chain does not begin at height 5")
	}
	n.pool.Purge([]artifact.Purge{{Kind: artifact.Proposal, Below: 100}})
	if n.pool.FinalizedHeight() != 8 || n.pool.Finalized(8) == nil {
		t.Error("the tip of the finalized chain is gone")
	}
}

func TestOfCatchUpPackagesTheNewestIsKept(t *testing.T) {
	s := newSubnet(t, 4)
	n := s.node(0)
	var packages []*consensus.CatchUp
	for h := types.Height(interval); h <= 3*interval; h += interval {
		packages = append(packages, &consensus.CatchUp{Block: &consensus.Block{Height: h, Summary: true}, Beacon: s.beacon(h)})
	}
	n.have(packages[1], packages[0], packages[2])
	for i, c := range packages {
		if n.pool.Has(c.ID()) != (i == 2) {
			t.Errorf("package of height %d is there: %t", c.Block.Height, n.pool.Has(c.ID()))
		}
	}
	if validated, _ := n.pool.Len(); validated != 1 {
		t.Errorf("%d artifacts", validated)
	}
}
