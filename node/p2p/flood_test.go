package p2p

import (
	"slices"
	"testing"
	"time"

	"portico/node/artifact"
	"portico/node/loop"
	"portico/node/types"
)

// hostile makes node 1 of a world a peer that says only what the test makes it say, and returns a
// function with which it does. Frames are delivered at once.
func hostile(w *world) func(f *frame) {
	evil := w.nodes[1]
	evil.mute = func(loop.Received) bool { return true }
	w.cut = func(from, _ int) bool { return from == 1 }
	w.boot()
	w.run(time.Second)
	return func(f *frame) {
		if f.life == 0 {
			f.life = 1
		}
		f.yours = w.nodes[0].b.byNode[evil.id].life
		encoded := f.append(nil)
		w.handle(0, loop.Received{From: evil.id, Channel: loop.Channel(f.stream), Frame: encoded})
		clear(encoded) // what was received must not depend on it
	}
}

// victim is what node 0 thinks of the hostile node.
func (w *world) victim() PeerStats {
	s := w.nodes[0].b.Stats(w.now)
	for _, p := range s.Peers {
		if p.Node == w.nodes[1].id {
			return p
		}
	}
	w.t.Fatal("node 0 does not know node 1")
	return PeerStats{}
}

// A healthy pair goes on whatever the hostile peer does.
func (w *world) checkHealthy(number uint64) {
	w.t.Helper()
	id, encoded := makeArtifact(artifact.Beacon, 1, number, 100)
	large, bytes := makeArtifact(artifact.Beacon, 1, number+1, 50_000)
	w.nodes[2].publish(Consensus, id, encoded)
	w.nodes[2].publish(Consensus, large, bytes)
	w.run(time.Second)
	pool := w.nodes[0].pools[Consensus]
	if pool.has[id] == nil || pool.has[large] == nil {
		w.t.Error("artifacts of an honest peer did not arrive")
	}
	w.nodes[0].checkTables(Consensus)
}

func TestAFloodOfAdvertsFillsATableAndNoMore(t *testing.T) {
	w := newWorld(t, 1, 3)
	w.limits.Slots = [Streams]int{1000, 1000}
	say := hostile(w)
	n := w.nodes[0]
	commit, beyond := uint64(0), uint64(0)
	for range 40 {
		f := &frame{stream: Consensus}
		for len(f.updates) < maxItems {
			commit++
			if commit%2000 >= 1000 {
				beyond++
			}
			id, _ := makeArtifact(artifact.Beacon, 1, commit, 8)
			f.updates = append(f.updates, update{slot: uint32(commit % 2000), commit: commit, id: id})
		}
		say(f)
		if commit%3 == 0 {
			w.run(10 * time.Millisecond)
		}
		p := n.b.byNode[w.nodes[1].id]
		l := &p.links[Consensus]
		if len(l.heard) > 1000 || len(n.b.streams[Consensus].adverts) > 1000 || cap(n.b.streams[Consensus].order) > 3000 ||
			len(l.acks) > maxItems || len(p.outstanding) > w.limits.Parallel || len(p.waiting) > 2*1000+64 || len(l.asking) > 4*maxItems {
			t.Fatalf("tables of %d slots, %d adverts (%d), %d acknowledgements, %d + %d fetches, %d to be asked", len(l.heard),
				len(n.b.streams[Consensus].adverts), cap(n.b.streams[Consensus].order), len(l.acks), len(p.outstanding), len(p.waiting), len(l.asking))
		}
		if len(n.b.timers) > 16 {
			t.Fatalf("%d timers", len(n.b.timers))
		}
	}
	v := w.victim()
	if v.Dropped != beyond {
		t.Errorf("%d of %d updates beyond the limit were dropped", v.Dropped, beyond)
	}
	w.checkHealthy(1 << 40)
	if len(n.b.streams[Consensus].parked) > 1000 {
		t.Errorf("%d parked", len(n.b.streams[Consensus].parked))
	}
}

func TestSlotsThatFlickerCostNothing(t *testing.T) {
	w := newWorld(t, 1, 3)
	say := hostile(w)
	p := w.nodes[0].b.byNode[w.nodes[1].id]
	commit := uint64(0)
	next := func(slot uint32, number uint64) update {
		commit++
		u := update{slot: slot, commit: commit}
		if number != 0 {
			u.id, _ = makeArtifact(artifact.Beacon, 1, number, 8)
		}
		return u
	}
	for i := range uint64(100) {
		say(&frame{stream: Consensus, updates: []update{next(uint32(i), i+1)}})
	}
	// The adverts stay when their holder goes.
	for i := range uint64(2) {
		id, _ := makeArtifact(artifact.Beacon, 1, 1000+i, 8)
		w.nodes[0].b.Fetch(w.nodes[0], Consensus, id, nil)
	}
	for range 20_000 {
		say(&frame{stream: Consensus, updates: []update{next(200, 1000), next(201, 0), next(201, 1001), next(200, 0)}})
	}
	if len(p.waiting) > 400 || len(p.outstanding) > w.limits.Parallel {
		t.Errorf("%d wait, %d are under way", len(p.waiting), len(p.outstanding))
	}
	w.nodes[0].checkTables(Consensus)
	w.checkHealthy(1 << 40)
}

func TestGarbageCostsCreditAndNothingElse(t *testing.T) {
	w := newWorld(t, 1, 3)
	say := hostile(w)
	n, evil := w.nodes[0], w.nodes[1]
	for range 10_000 {
		garbage := make([]byte, w.rng.IntN(100))
		for i := range garbage {
			garbage[i] = byte(w.rng.Uint32())
		}
		w.handle(0, loop.Received{From: evil.id, Channel: loop.Ingress, Frame: garbage})
	}
	v := w.victim()
	if v.Garbage != 10_000 || v.Credit > 0 {
		t.Errorf("%d frames counted as garbage, credit %d", v.Garbage, v.Credit)
	}
	id, encoded := makeArtifact(artifact.Beacon, 1, 1, 100)
	push := &frame{stream: Consensus, updates: []update{{slot: 0, commit: 1, id: id, encoded: encoded}}}
	say(push)
	if n.pools[Consensus].has[id] != nil {
		t.Error("a push of a peer without credit was delivered")
	}
	w.run(4 * time.Minute)
	say(push)
	if n.pools[Consensus].has[id] == nil {
		t.Error("a peer that has stopped offending was not heard")
	}
	w.checkHealthy(1 << 40)
}

func TestWhatItsIDDoesNotNameIsRefused(t *testing.T) {
	w := newWorld(t, 1, 3)
	say := hostile(w)
	n := w.nodes[0]
	id, encoded := makeArtifact(artifact.Beacon, 1, 1, 100)
	say(&frame{stream: Consensus, updates: []update{{slot: 0, commit: 1, id: id, encoded: []byte("something else")}}})
	if n.pools[Consensus].has[id] != nil || w.victim().Offences != 1 {
		t.Error("bytes that the id does not name were accepted")
	}
	proposal := artifact.ID{Kind: artifact.Proposal, Height: 1}
	say(&frame{stream: Consensus, updates: []update{{slot: 1, commit: 2, id: proposal, encoded: []byte("stripped")}}})
	if n.pools[Consensus].has[proposal] == nil {
		t.Error("the hash of a proposal is not ours to check")
	}
	large, bytes := makeArtifact(artifact.Beacon, 1, 2, 5000)
	say(&frame{stream: Consensus, answers: []answer{{large, bytes}}})
	if n.pools[Consensus].has[large] != nil {
		t.Error("an answer that nobody asked for was accepted")
	}
	w.nodes[2].publish(Consensus, id, encoded)
	w.run(time.Second)
	if n.pools[Consensus].has[id] == nil {
		t.Error("it was not accepted from an honest peer either")
	}
	kept, encoded := makeArtifact(artifact.Beacon, 1, 3, 100)
	say(&frame{stream: Consensus, updates: []update{{slot: 2, commit: 3, id: kept, encoded: encoded}}})
	if !slices.Equal(n.pools[Consensus].has[kept], encoded) {
		t.Error("an artifact changed with the frame in which it came")
	}
}

func TestFetchesOfOnePeerAreServedWithinItsBuckets(t *testing.T) {
	w := newWorld(t, 1, 3)
	w.limits.ServedItems, w.limits.ServedBytes = 100, 1_000_000
	say := hostile(w)
	n := w.nodes[0]
	id, encoded := makeArtifact(artifact.Beacon, 1, 1, 30_000)
	n.publish(Consensus, id, encoded)
	w.run(time.Second)
	before := w.victim().BytesOut
	ids := make([]artifact.ID, maxItems)
	for i := range ids {
		ids[i] = id
	}
	for range 245 {
		say(&frame{stream: Consensus, wants: ids})
	}
	w.run(100 * time.Millisecond)
	v := w.victim()
	if v.Served > 100 || v.BytesOut-before > 1_200_000 || v.Refused < 1_000_000 {
		t.Errorf("a million fetches: %d served with %d bytes, %d refused", v.Served, v.BytesOut-before, v.Refused)
	}
	w.run(10 * time.Second)
	before = w.victim().Served
	for i := range ids {
		ids[i], _ = makeArtifact(artifact.Beacon, 1, uint64(i)+10, 8)
	}
	say(&frame{stream: Consensus, wants: ids})
	if got := w.victim().Served - before; got > 100 {
		t.Errorf("%d fetches of what is not here were served", got)
	}
	w.run(10 * time.Second)
	v = w.victim()
	say(&frame{stream: Consensus, wants: ids[:1]})
	if w.victim().Served != v.Served+1 {
		t.Error("the bucket does not refill")
	}
	w.checkHealthy(1 << 40)
}

func TestAPeerThatNeverAcknowledgesCostsAWindow(t *testing.T) {
	w := newWorld(t, 1, 3)
	w.limits.Slots = [Streams]int{2000, 2000}
	w.limits.WindowItems, w.limits.WindowBytes = 500, 100_000
	hostile(w)
	n := w.nodes[0]
	p := n.b.byNode[w.nodes[1].id]
	most := [Streams]struct{ items, bytes int }{}
	for i := range uint64(8000) {
		for s, size := range [Streams]int{5000, 500} { // advertised, and pushed
			id, encoded := makeArtifact(artifact.Ingress, types.Height(i), i, size)
			n.publish(Stream(s), id, encoded)
			delete(n.pools[s].has, id)
			if i%100 == 99 {
				// The first stays, and with it the head of what is under way.
				n.b.Withdraw(n, Stream(s), func(id artifact.ID) bool { return id.Height == 0 || uint64(id.Height)+1000 > i })
			}
			o := &p.links[s].outbox
			most[s].items, most[s].bytes = max(most[s].items, o.flying), max(most[s].bytes, o.flyingBytes)
			if len(o.told) > 2000 || len(o.queue) > 2000 || len(o.flight) > 2*o.flying+64+500 {
				t.Fatalf("%d slots told, %d queued, %d (%d) under way", len(o.told), len(o.queue), o.flying, len(o.flight))
			}
		}
		if i%10 == 0 {
			w.run(time.Millisecond)
		}
		if len(n.b.timers) > 16 {
			t.Fatalf("%d timers", len(n.b.timers))
		}
	}
	if most[Consensus].items > 500 || most[Ingress].bytes > 100_000 {
		t.Errorf("windows of 500 updates and 100000 bytes held %+v", most)
	}
	// Once the pool is quiet only repetitions are left, and they become rare.
	before := w.victim().BytesOut
	w.run(10 * time.Minute)
	if sent := w.victim().BytesOut - before; sent > 40*150_000 {
		t.Errorf("%d bytes in ten minutes to a peer that never answers", sent)
	}
}

func TestAcknowledgingWhatWasNotSentChangesNothing(t *testing.T) {
	w := newWorld(t, 1, 3)
	say := hostile(w)
	id, encoded := makeArtifact(artifact.Beacon, 1, 1, 100)
	w.nodes[0].publish(Consensus, id, encoded)
	say(&frame{stream: Consensus, acks: []ack{{0, 1 << 40}, {29_999, 1}, {1<<32 - 1, 1}}})
	w.run(time.Second)
	if w.victim().Unconfirmed != 1 {
		t.Errorf("%d updates are under way, want 1", w.victim().Unconfirmed)
	}
	say(&frame{stream: Consensus, acks: []ack{{0, 1}}})
	if w.victim().Unconfirmed != 0 {
		t.Error("what is acknowledged is still under way")
	}
}

func TestNewLivesCostCredit(t *testing.T) {
	w := newWorld(t, 1, 3)
	say := hostile(w)
	n := w.nodes[0]
	for i := range uint64(1000) {
		id, encoded := makeArtifact(artifact.Beacon, 1, i, 500)
		n.publish(Consensus, id, encoded)
	}
	w.run(10 * time.Second)
	before := w.victim().BytesOut
	for i := range uint64(1000) {
		say(&frame{life: 10 + i, stream: Consensus})
		w.run(time.Millisecond)
	}
	if sent := w.victim().BytesOut - before; sent > 25*1000*600 {
		t.Errorf("a thousand lives in a second had %d bytes sent again", sent)
	}
	w.checkHealthy(1 << 40)
}

func TestPublishSaysWhenSlotsAreTaken(t *testing.T) {
	w := newWorld(t, 1, 2)
	w.limits.Slots[Ingress] = 10
	w.boot()
	for i := range uint64(12) {
		id, encoded := makeArtifact(artifact.Ingress, types.Height(i), i, 100)
		if got := w.nodes[0].publish(Ingress, id, encoded); got != (i < 10) {
			t.Errorf("publishing artifact %d into ten slots: %v", i, got)
		}
	}
	w.run(time.Second)
	w.checkEqual()
	if !w.nodes[0].fetchAll(20, 15) {
		t.Error("more fetches are under way than the limit")
	}
}

// fetchAll tries to fetch some artifacts under a limit.
func (n *testNode) fetchAll(artifacts uint64, limit int) bool {
	n.b.cfg.Limits.Fetches = limit
	begun := 0
	for i := range artifacts {
		id, _ := makeArtifact(artifact.Beacon, 1, i, 10)
		if n.b.Fetch(n, Consensus, id, nodeIDs(n.w)) {
			begun++
		}
	}
	return begun == limit && n.b.streams[Consensus].fetches == limit
}
