package consensus_test

import (
	"testing"
	"time"

	"portico/node/artifact"
	"portico/node/consensus"
	"portico/node/types"
)

// counting is a member's Crypto that counts what verification costs.
type counting struct {
	consensus.Crypto
	t                  *testing.T
	verified, combined int
}

func (c *counting) Verify(s consensus.Scheme, by types.Member, message, signature []byte) error {
	c.verified++
	return c.Crypto.Verify(s, by, message, signature)
}

func (c *counting) VerifyCombined(s consensus.Scheme, signers []types.Member, message, signature []byte) error {
	c.combined++
	return c.Crypto.VerifyCombined(s, signers, message, signature)
}

func (c *counting) Combine(s consensus.Scheme, message []byte, shares []consensus.Signature) ([]byte, error) {
	seen := map[types.Member]bool{}
	for _, share := range shares {
		if seen[share.By] {
			c.t.Errorf("member %d counts twice", share.By)
		}
		seen[share.By] = true
	}
	return c.Crypto.Combine(s, message, shares)
}

// voting is a node of seven that waits for the others' shares of a finalization.
func voting(t *testing.T) (*node, *counting, *consensus.Block, []types.Member) {
	s := newSubnet(t, 7)
	n := s.node(s.without(2))
	tip := n.grow(s.genesis, 1)
	p := s.block(tip, 0)
	n.haveNotarized(p)
	crypto := &counting{Crypto: s.crypto.Member(n.self), t: t}
	n.consensus = consensus.New(consensus.Config{Records: s.records, Self: n.self, Crypto: crypto})
	n.run()
	n.expectVotes(artifact.Finalization, 2, p.Block)
	return n, crypto, p.Block, n.others()
}

func TestSharesAreCombinedBeforeTheyAreVerified(t *testing.T) {
	n, crypto, block, others := voting(t)
	before := crypto.combined
	for _, m := range others[:4] {
		n.get(m, n.share(content(artifact.Finalization, block), m))
	}
	n.run()
	if n.pool.FinalizedHeight() != 2 {
		t.Fatal("five of seven do not finalize")
	}
	if crypto.verified != 0 || crypto.combined != before+1 {
		t.Errorf("it took %d verifications of shares and %d of signatures, want none and one", crypto.verified, crypto.combined-before)
	}
	late := n.share(content(artifact.Finalization, block), others[5])
	n.get(others[5], late)
	n.run()
	n.expectFate(late, "dropped")
}

func TestAWrongShareIsFoundAndTheSignatureIsMadeAllTheSame(t *testing.T) {
	n, _, block, others := voting(t)
	of := content(artifact.Finalization, block)
	bad := n.forged(of, others[0])
	n.get(others[0], bad)
	for _, m := range others[1:4] {
		n.get(m, n.share(of, m))
	}
	n.run()
	n.expectFate(bad, "does not match")
	if n.pool.FinalizedHeight() != 1 {
		t.Fatal("four of seven finalize")
	}
	blamed := map[types.NodeID]int{}
	for _, e := range n.effects {
		if e.Blamed != (types.NodeID{}) {
			blamed[e.Blamed]++
		}
	}
	if len(blamed) != 1 || blamed[n.id(others[0])] != 1 {
		t.Errorf("blamed: %v", blamed)
	}
	n.get(others[4], n.share(of, others[4]))
	n.run()
	if n.pool.FinalizedHeight() != 2 {
		t.Error("five of seven do not finalize after one was wrong")
	}
}

func TestNobodyCountsTwice(t *testing.T) {
	n, _, block, others := voting(t)
	of := content(artifact.Finalization, block)
	// one peer cannot have two under way, but several can say the same of one
	for i, m := range others {
		x := n.share(of, others[0])
		if i > 0 {
			x.Signature = append([]byte{byte(i)}, x.Signature[1:]...)
		}
		n.get(m, x)
	}
	n.get(others[1], n.share(of, n.self))
	n.after(time.Hour)
	if n.pool.FinalizedHeight() != 1 {
		t.Error("two members out of seven finalize")
	}
}

func TestWhatIsOfNoUseIsDroppedAtOnce(t *testing.T) {
	s := newSubnet(t, 4)
	n := s.node(0)
	for h := types.Height(1); h <= 5; h++ {
		for i := range 300 {
			n.get(1, &consensus.Share{Content: ofHash(artifact.Notarization, h, i), By: 1, Signature: []byte{1}})
		}
	}
	n.grow(s.genesis, 5)
	for range 9 { // as many as there are components
		changes, _ := n.consensus.Next(n.pool, &n.progress, n.now)
		for _, c := range changes {
			n.pool.Apply(c, n.now)
		}
	}
	if _, waiting := n.pool.Len(); waiting != 0 {
		t.Errorf("after every component had its turn, %d of 1500 useless shares are still there", waiting)
	}
}

func TestEveryMemberReachesWhatItNeedsAlone(t *testing.T) {
	s := newSubnet(t, 1)
	n := s.node(0)
	for h := types.Height(1); h <= 3*interval; h++ {
		n.progress.Backlog = true
		n.after(notary)
		if n.pool.FinalizedHeight() != h {
			t.Fatalf("height %d is not final, but %d", h, n.pool.FinalizedHeight())
		}
		if n.pool.Aggregate(artifact.Tape, h) == nil {
			t.Fatalf("height %d has no tape", h)
		}
		n.progress.Executed, n.progress.Root = h, types.Hash{byte(h)}
		n.run()
		if n.pool.Aggregate(artifact.Certification, h) == nil {
			t.Fatalf("height %d is not certified", h)
		}
		n.progress.Certified = h
		if n.pool.Finalized(h).Summary {
			n.progress.Checkpoints[h] = types.Hash{byte(h)}
		}
	}
	if c := n.pool.CatchUp(); c == nil || c.Block.Height != 2*interval {
		t.Errorf("catch-up package: %+v", c)
	}
}
