package replica

import (
	"errors"
	"strings"
	"testing"
	"time"

	"portico/lightclient/envelope"
	"portico/node/artifact"
	"portico/node/consensus"
	"portico/node/ingress"
	"portico/node/loop"
	"portico/node/types"
)

func TestUsersSeeNoStateBeforeTheDiskHasWhatItRestsOn(t *testing.T) {
	r := offRig(t, 1)
	seen := 0
	r.states.certified = func(c *consensus.Aggregate) {
		seen++
		if r.store.items[c.ID()] == nil {
			t.Errorf("the certification of height %d is shown and not on disk", c.Height)
		}
		if c.Height == 0 {
			return
		}
		final := types.Height(0)
		for id := range r.store.items {
			if id.Kind == artifact.Finalization {
				final = max(final, id.Height)
			}
		}
		if final < c.Height {
			t.Errorf("the state of height %d is shown, the disk has final blocks up to %d", c.Height, final)
		}
	}
	r.boot()
	r.pass(20 * time.Second)
	if seen < 10 {
		t.Errorf("%d heights in 20 s", seen)
	}
}

func TestWhatEventsChangeTogetherSharesATransaction(t *testing.T) {
	r := newRig(t, 4)
	r.pass(time.Second)
	before := r.store.applied
	one, two := r.proposal(0, genesisTime+1), r.proposal(1, genesisTime+1)
	r.give(r.offer(one.Maker, one), r.offer(two.Maker, two))
	if r.store.items[one.ID()] == nil || r.store.items[two.ID()] == nil || !r.voted(one.Block) {
		t.Fatal("the proposals are not on disk, or not voted for")
	}
	if n := r.store.applied - before; n != 1 {
		t.Errorf("two events and what followed took %d transactions", n)
	}
}

// Every Send of a rig sees to it that what is sent is on disk.
func TestADiskErrorStopsTheNodeBeforeItSaysAnything(t *testing.T) {
	r := newRig(t, 4)
	r.pass(time.Second)
	r.store.fail = errors.New("no space left")
	p := r.proposal(0, genesisTime+1)
	r.give(r.offer(p.Maker, p))
	if !errors.Is(r.stopped, r.store.fail) {
		t.Fatalf("the node stops because of %v", r.stopped)
	}
}

func TestAWrongStateStopsTheNode(t *testing.T) {
	r := newRig(t, 4)
	other := types.Hash{0xab}
	c := r.signed(consensus.Content{Kind: artifact.Certification, Hash: other}, r.peers())
	r.give(r.offer(r.peers()[0], c))
	if r.stopped == nil {
		t.Fatal("the node goes on with another state than the subnet certified")
	}
	for _, want := range []string{"height 0", "root hash 01000000", "the subnet certified ab000000"} {
		if !strings.Contains(r.stopped.Error(), want) {
			t.Errorf("the reason is %q, want %q in it", r.stopped, want)
		}
	}
}

func TestStrippedProposalsGetTheirCalls(t *testing.T) {
	r := newRig(t, 4)
	r.pass(time.Second)
	here, there := r.call(1), r.call(2)
	r.give(Submit{here, func(err error) {
		if err != nil {
			t.Error(err)
		}
	}})
	p := r.proposal(0, r.now-1, here, there)
	r.give(r.offer(p.Maker, p))
	if r.asked(p.Maker, there.ID) != 1 || r.asked(p.Maker, here.ID) != 0 {
		t.Errorf("the maker was asked %d times for the call that is missing, and %d for the other", r.asked(p.Maker, there.ID), r.asked(p.Maker, here.ID))
	}
	if r.voted(p.Block) {
		t.Error("the node votes for a block without its calls")
	}
	r.give(r.frame(p.Maker, loop.Ingress, there.ID, there.Encoded, true))
	if !r.voted(p.Block) {
		t.Error("the node does not vote for the complete block")
	}
	if len(r.node.blocks.fetching) != 0 || r.node.blocks.loads[r.id(p.Maker)] != 0 {
		t.Errorf("still under way: %v", r.node.blocks.fetching)
	}
}

func TestACallIsKnownToBlocksByItsIdAlone(t *testing.T) {
	r := newRig(t, 4)
	r.pass(time.Second)
	one := r.call(1)
	// the same request in another envelope, which the pool of calls does not take besides
	m := one.Message
	m.Effective = r.id(0)
	two, err := ingress.Open(m)
	if err != nil || two.RequestID() != one.RequestID() || two.ID == one.ID {
		t.Fatal(err)
	}
	r.give(Submit{one, func(error) {}})
	p := r.proposal(0, r.now-1, two)
	r.give(r.offer(p.Maker, p))
	r.give(r.frame(p.Maker, loop.Ingress, two.ID, two.Encoded, true))
	if !r.voted(p.Block) {
		t.Error("the node does not vote for a block with another signature of a request that it has")
	}
	if r.node.calls.Get(two.ID) != nil {
		t.Error("the pool has both")
	}
}

func TestABlockWithABadCallNeedsANotarization(t *testing.T) {
	r := newRig(t, 4)
	r.pass(time.Second)
	bad := r.call(1)
	r.invalid[bad.RequestID()] = true
	p := r.proposal(0, r.now-1, bad)
	r.give(r.offer(p.Maker, p), r.frame(p.Maker, loop.Ingress, bad.ID, bad.Encoded, true))
	r.give(r.frame(p.Maker, loop.Ingress, bad.ID, bad.Encoded, true))
	r.pass(10 * time.Second)
	if r.voted(p.Block) || !r.node.pool.Has(p.ID()) {
		t.Fatalf("voted: %t, in the pool: %t", r.voted(p.Block), r.node.pool.Has(p.ID()))
	}
	for _, s := range r.node.status(r.now).Peers.Peers {
		if (s.Offences > 0) != (s.Node == r.id(p.Maker)) {
			t.Errorf("peer %s has %d offences", s.Node, s.Offences)
		}
	}
	n := r.signed(consensus.Content{Kind: artifact.Notarization, Height: 1, Hash: p.Block.Hash()}, r.peers())
	r.give(r.offer(r.peers()[0], n))
	if r.node.pool.NotarizedHeight() != 1 {
		t.Error("the block is not notarized")
	}
}

func TestSharesComeFromTheirSigners(t *testing.T) {
	r := newRig(t, 4)
	r.pass(time.Second)
	p := r.proposal(0, genesisTime+1)
	c := consensus.Content{Kind: artifact.Notarization, Height: 1, Hash: p.Block.Hash()}
	peers := r.peers()
	mine, others := r.share(c, peers[0]), r.share(c, peers[1])
	r.give(r.offer(peers[0], mine), r.offer(peers[0], others))
	if !r.node.pool.Has(mine.ID()) || r.node.pool.Has(others.ID()) {
		t.Errorf("its own share is there: %t, another's: %t", r.node.pool.Has(mine.ID()), r.node.pool.Has(others.ID()))
	}
	r.give(r.offer(peers[1], others))
	if !r.node.pool.Has(others.ID()) {
		t.Error("a share from its signer is not there")
	}
}

func TestFetchesEndWithTheirProposals(t *testing.T) {
	r := newRig(t, 4)
	r.pass(time.Second)
	var names []artifact.ID
	for i := range ingress.MaxBlockMessages {
		names = append(names, artifact.ID{Kind: artifact.Ingress, Height: types.Height(r.now/1e9) + 60, Hash: types.Hash{byte(i), byte(i >> 8)}})
	}
	lie := r.proposal(0, genesisTime+1)
	for i := range 5 { // a maker that names what nobody has
		b := *lie.Block
		b.Context.Time += types.Time(i)
		for _, id := range names {
			id.Hash[2] = byte(i)
			b.Ingress = append(b.Ingress, id)
		}
		x := consensus.Block{Height: 1, Parent: b.Parent, Context: b.Context, Ingress: b.Ingress}
		p := &consensus.Proposal{Block: &x, Maker: lie.Maker, Signature: r.crypto.Member(lie.Maker).Sign(consensus.SchemeNode, consensus.ProposalMessage(1, x.Hash()))}
		r.give(r.offer(lie.Maker, p))
	}
	if got := len(r.node.blocks.fetching); got != maxPeerFetches {
		t.Errorf("%d calls are asked for because of one peer, want %d", got, maxPeerFetches)
	}
	good := r.proposal(1, r.now-1, r.call(1))
	r.give(r.offer(good.Maker, good))
	if r.asked(good.Maker, good.Block.Ingress[0]) != 1 {
		t.Error("another peer's proposal is not completed")
	}
	r.give(r.frame(good.Maker, loop.Ingress, good.Block.Ingress[0], good.Block.Calls[0].Encoded, true))
	n := consensus.Content{Kind: artifact.Notarization, Height: 1, Hash: good.Block.Hash()}
	f := n
	f.Kind = artifact.Finalization
	r.give(r.offer(r.peers()[0], r.signed(n, r.peers())), r.offer(r.peers()[0], r.signed(f, r.peers())))
	r.give(Submit{r.call(2), func(error) {}}) // whatever comes next
	if r.node.pool.FinalizedHeight() != 1 {
		t.Fatal("the good block is not final")
	}
	if len(r.node.blocks.fetching)+len(r.node.blocks.assembling) != 0 {
		t.Errorf("%d calls are still asked for, for %d proposals", len(r.node.blocks.fetching), len(r.node.blocks.assembling))
	}
}

func TestWhatHadNoRoomIsAskedForAgain(t *testing.T) {
	r := newRig(t, 4)
	r.pass(time.Second)
	maker := r.makers()[0]
	var all []*consensus.Proposal
	for i := range maxAssembling + 1 {
		all = append(all, r.proposal(0, r.now-100+types.Time(i), r.call(i)))
		r.give(r.offer(maker, all[i]))
	}
	last := all[maxAssembling]
	if got := len(r.node.blocks.assembling); got != maxAssembling || r.node.blocks.assembles(last.ID()) {
		t.Fatalf("%d proposals are assembled", got)
	}
	r.pass(refreshPause)
	if r.asked(maker, last.ID()) == 0 {
		t.Error("what there was no room for is not asked for again")
	}
	for _, p := range all[:2] {
		r.give(r.frame(maker, loop.Ingress, p.Block.Ingress[0], p.Block.Calls[0].Encoded, true))
	}
	r.pass(refreshPause)
	r.give(r.frame(maker, loop.Consensus, last.ID(), consensus.Encode(last), true))
	if !r.node.blocks.assembles(last.ID()) && !r.node.pool.Has(last.ID()) {
		t.Error("there is room, and what came again is not taken")
	}
}

func TestAllAreAskedForTheCallsThatAMakerKeeps(t *testing.T) {
	r := newRig(t, 4)
	r.pass(time.Second)
	maker, other := r.makers()[0], r.makers()[1]
	p := r.proposal(0, r.now-1, r.call(1))
	id := p.Block.Ingress[0]
	for _, m := range r.peers() {
		r.give(loop.Connected{Peer: r.id(m)})
	}
	r.give(r.offer(maker, p))
	r.pass(fetchPatience - 1)
	if r.asked(maker, id) != 1 || r.asked(other, id) != 0 {
		t.Errorf("at first, the maker is asked %d times, another %d times", r.asked(maker, id), r.asked(other, id))
	}
	r.pass(5 * time.Second)
	if r.asked(other, id) == 0 {
		t.Fatal("nobody is asked but the maker, who does not answer")
	}
	r.give(r.frame(other, loop.Ingress, id, p.Block.Calls[0].Encoded, true))
	if !r.voted(p.Block) {
		t.Error("the node does not vote for the complete block")
	}
}

func TestADamagedProposalIsAskedForFromOthers(t *testing.T) {
	r := newRig(t, 4)
	r.pass(time.Second)
	maker, other := r.makers()[0], r.makers()[1]
	p := r.proposal(0, genesisTime+1)
	damaged := append([]byte{}, p.Encode(false)...)
	damaged[len(damaged)/2]++
	r.give(r.frame(other, loop.Consensus, p.ID(), nil, false), r.frame(maker, loop.Consensus, p.ID(), damaged, false))
	r.give(r.frame(other, loop.Consensus, p.ID(), damaged, true))
	before := r.asked(maker, p.ID()) + r.asked(other, p.ID())
	r.pass(2 * refreshPause)
	if r.asked(maker, p.ID())+r.asked(other, p.ID()) == before {
		t.Fatal("nobody is asked for the proposal again")
	}
	r.give(r.frame(other, loop.Consensus, p.ID(), p.Encode(false), true))
	if !r.voted(p.Block) {
		t.Error("the node does not vote for the block")
	}
}

func TestABlockOfTheFarFutureDoesNotKeepTheNodeAwake(t *testing.T) {
	r := newRig(t, 4)
	r.pass(time.Second)
	p := r.proposal(0, ^types.Time(0))
	r.give(r.offer(p.Maker, p))
	if !r.node.pool.Has(p.ID()) {
		t.Fatal("the proposal is not there")
	}
	before := r.handled
	r.pass(10 * time.Second)
	if n := r.handled - before; n > 500 {
		t.Errorf("the node handles %d events in ten seconds without anything to do", n)
	}
}

func TestSubmittedCallsArePooledKnownOrTooMany(t *testing.T) {
	r := newRig(t, 4)
	submit := func(c *ingress.Call) (err error) {
		done := false
		r.give(Submit{c, func(e error) { done, err = true, e }})
		if !done {
			t.Error("nobody was told")
		}
		return err
	}
	known, c := r.call(1), r.call(2)
	r.states.known[known.RequestID()] = true
	if err := submit(known); err != nil || r.node.calls.Len() != 0 {
		t.Errorf("known: %v, %d in the pool", err, r.node.calls.Len())
	}
	for range 2 {
		if err := submit(c); err != nil || r.node.calls.Len() != 1 {
			t.Errorf("added: %v, %d in the pool", err, r.node.calls.Len())
		}
	}
	for i := range 30_000 {
		id := types.RequestID{byte(i), byte(i >> 8), 1}
		other := &ingress.Call{Envelope: &envelope.Envelope{RequestID: id}, ID: artifact.ID{Kind: artifact.Ingress, Hash: id}}
		if _, err := r.node.calls.Add(other, types.NodeID{}); err != nil {
			break
		}
	}
	full := r.node.calls.Len()
	if err := submit(r.call(3)); !errors.Is(err, ingress.ErrFull) || r.node.calls.Len() != full {
		t.Errorf("after %d calls: %v, %d in the pool", full, err, r.node.calls.Len())
	}
	if err := submit(c); err != nil {
		t.Errorf("a call that is there, in a full pool: %v", err)
	}
}

func TestRoundsGoOnWhileACheckpointIsMade(t *testing.T) {
	r := offRig(t, 1)
	r.slowDisk = true
	r.boot()
	interval := r.records.Subnet.Interval
	r.pass(time.Duration(3*interval) * r.records.Subnet.IdleDelay)
	if n := len(r.checkpoints); n != 1 || r.node.progress.Certified != 2*interval-1 {
		t.Fatalf("with a checkpoint that takes for ever, %d were begun and height %d was reached, want the last before the next checkpoint", n, r.node.progress.Certified)
	}
	if len(r.node.progress.Checkpoints) != 0 || r.node.pool.CatchUp() != nil {
		t.Error("a checkpoint counts that is not durable yet")
	}
	r.give(r.checkpoints[0])
	r.pass(time.Duration(interval) / 2 * r.records.Subnet.IdleDelay)
	if c := r.node.pool.CatchUp(); r.node.progress.Certified < 2*interval || c == nil || c.Block.Height != interval {
		t.Errorf("once it is durable, height %d was reached with the catch-up package %v", r.node.progress.Certified, c)
	}
}
