package p2p

import (
	"testing"
	"time"

	"portico/node/artifact"
	"portico/node/loop"
)

// restart is a crash and a new life, of which the others' transport may say nothing.
// The validated pool survives, as it does on disk.
func (w *world) restart(n *testNode, silent bool) {
	before, pools := n.b, n.pools
	n.boot()
	for s := range n.pools {
		n.pools[s].low, n.pools[s].high = pools[s].low, pools[s].high
		for _, sl := range before.streams[s].slots {
			if sl.live {
				n.publish(Stream(s), sl.id, pools[s].has[sl.id])
			}
		}
	}
	for i, m := range w.nodes {
		switch {
		case m == n:
		case silent:
			w.handle(n.index, loop.Connected{Peer: m.id})
		default:
			w.handle(i, loop.Disconnected{Peer: n.id})
			w.connect(i, n.index)
		}
	}
}

func TestLargeArtifactsTravelOnceToEachPeer(t *testing.T) {
	w := newWorld(t, 1, 5)
	for _, n := range w.nodes {
		n.relay = true
	}
	sent, carried := 0, 0
	w.sent = func(_, _ int, ch loop.Channel, encoded []byte) {
		sent += len(encoded)
		f, err := decodeFrame(encoded)
		if err != nil {
			t.Fatal(err)
		}
		carried += len(f.answers)
		for _, u := range f.updates {
			if len(u.encoded) > 0 {
				t.Error("a large artifact was pushed")
			}
		}
	}
	w.boot()
	id, encoded := makeArtifact(artifact.Ingress, 1, 1, 1_000_000)
	w.nodes[0].publish(Ingress, id, encoded)
	w.run(10 * time.Second)
	w.checkEqual()
	for _, n := range w.nodes[1:] {
		if got := n.pools[Ingress].received[id]; got != 1 {
			t.Errorf("node %d received it %d times", n.index, got)
		}
	}
	if carried != 4 || sent > 4*1_010_000 {
		t.Errorf("it travelled %d times, %d bytes were sent", carried, sent)
	}
	w.nodes[0].b.Publish(w.nodes[0], Ingress, id, encoded)
	before := sent
	w.run(time.Second)
	if sent != before {
		t.Error("publishing it again sent something")
	}
}

func TestFetchesAreSpreadOverHolders(t *testing.T) {
	w := newWorld(t, 1, 5)
	w.boot()
	w.nodes[4].pools[Ingress].high = 0 // later
	const artifacts = 200
	for i := range uint64(artifacts) {
		id, encoded := makeArtifact(artifact.Ingress, 1, i, 5000)
		for _, n := range w.nodes[:4] {
			n.publish(Ingress, id, encoded)
		}
	}
	w.run(time.Second)
	w.nodes[4].pools[Ingress].high = 1
	w.run(3 * time.Second)
	w.checkEqual()
	for _, p := range w.nodes[4].b.Stats(w.now).Peers {
		if p.Asked < artifacts/8 || p.Asked > artifacts/2 {
			t.Errorf("a peer was asked for %d of %d artifacts that four hold", p.Asked, artifacts)
		}
	}
}

func TestHoldersOfEqualLoadTakeTurns(t *testing.T) {
	w := newWorld(t, 1, 5)
	w.boot()
	for i := range uint64(100) {
		id, encoded := makeArtifact(artifact.Ingress, 1, i, 5000)
		w.nodes[4].pools[Ingress].high = 0
		for _, n := range w.nodes[:4] {
			n.publish(Ingress, id, encoded)
		}
		w.run(step)
		w.nodes[4].pools[Ingress].high = 1
		w.run(2 * step)
	}
	w.checkEqual()
	for _, p := range w.nodes[4].b.Stats(w.now).Peers {
		if p.Asked < 10 {
			t.Errorf("a peer was asked for %d of 100 artifacts, one after the other", p.Asked)
		}
	}
}

func TestASlowHolderIsAskedForLess(t *testing.T) {
	w := newWorld(t, 1, 3)
	w.boot()
	w.run(time.Second)
	w.delay = func(from int) time.Duration {
		if from == 0 {
			return time.Second
		}
		return 10 * time.Millisecond
	}
	n := w.nodes[2]
	for i := range uint64(100) {
		id, _ := makeArtifact(artifact.Ingress, 1, i, 5000)
		_, encoded := makeArtifact(artifact.Ingress, 1, i, 5000)
		w.nodes[0].pools[Ingress].has[id], w.nodes[1].pools[Ingress].has[id] = encoded, encoded
		n.b.Fetch(n, Ingress, id, nodeIDs(w))
		w.run(25 * time.Millisecond)
	}
	w.run(3 * time.Second)
	slow, fast := n.b.byNode[w.nodes[0].id].stats, n.b.byNode[w.nodes[1].id].stats
	if slow.Received+fast.Received != 100 || 4*slow.Asked > fast.Asked {
		t.Errorf("the slow holder was asked %d times, the fast one %d times; %d arrived", slow.Asked, fast.Asked, slow.Received+fast.Received)
	}
}

// silent drops the frames in which a node is asked for something.
func silent(r loop.Received) bool {
	f, err := decodeFrame(r.Frame)
	return err == nil && len(f.wants) > 0
}

func TestASilentHolderIsPassedOver(t *testing.T) {
	w := newWorld(t, 1, 4)
	w.limits.Parallel = 8
	w.boot()
	w.nodes[3].pools[Ingress].high = 0
	w.nodes[0].mute = silent
	publish := func(i uint64) artifact.ID {
		id, encoded := makeArtifact(artifact.Ingress, 1, i, 1500)
		for _, n := range w.nodes[:3] {
			n.publish(Ingress, id, encoded)
		}
		return id
	}
	for i := range uint64(4000) {
		publish(i)
	}
	w.run(time.Second)
	w.nodes[3].pools[Ingress].high = 1
	w.run(20 * time.Second)
	w.checkEqual()
	stats := &w.nodes[3].b.byNode[w.nodes[0].id].stats
	// All eight at first, then one every two seconds for as long as the others are busy.
	if stats.Late == 0 || stats.Asked > 20 {
		t.Errorf("the silent holder was asked %d times, %d times in vain", stats.Asked, stats.Late)
	}
	for i := range uint64(100) {
		id := publish(10_000 + i)
		w.run(200 * time.Millisecond)
		if w.nodes[3].pools[Ingress].has[id] == nil {
			t.Fatal("an artifact waited for the silent holder though others hold it")
		}
	}
	before := stats.Asked
	for i := range uint64(20) {
		id, encoded := makeArtifact(artifact.Ingress, 1, 20_000+i, 5000)
		w.nodes[1].pools[Ingress].has[id], w.nodes[2].pools[Ingress].has[id] = encoded, encoded
		w.nodes[3].b.Fetch(w.nodes[3], Ingress, id, nodeIDs(w))
		w.run(time.Second)
	}
	if stats.Asked != before {
		t.Errorf("the silent holder was asked %d times though others were free", stats.Asked-before)
	}
}

func TestAWithdrawnAdvertMovesTheFetchOn(t *testing.T) {
	w := newWorld(t, 1, 3)
	w.boot()
	w.run(time.Second)
	w.nodes[0].mute = silent
	id, encoded := makeArtifact(artifact.Ingress, 1, 1, 5000)
	w.nodes[0].publish(Ingress, id, encoded)
	w.run(25 * time.Millisecond)
	w.nodes[1].publish(Ingress, id, encoded)
	w.nodes[0].b.Withdraw(w.nodes[0], Ingress, func(artifact.ID) bool { return false })
	w.run(70 * time.Millisecond)
	if w.nodes[2].pools[Ingress].received[id] != 1 {
		t.Error("who waits for a holder that has withdrawn did not turn to the other")
	}
	w.checkEqual()
}

func TestAFetchMovesOnWhenItsTimeIsUp(t *testing.T) {
	w := newWorld(t, 1, 3)
	w.boot()
	w.run(time.Second)
	id, encoded := makeArtifact(artifact.Ingress, 1, 1, 5000)
	first, second := w.nodes[int(id.Hash[0])%2], w.nodes[1-int(id.Hash[0])%2]
	first.mute = silent
	second.pools[Ingress].has[id] = encoded
	n := w.nodes[2]
	n.b.Fetch(n, Ingress, id, nodeIDs(w))
	w.run(w.limits.FetchWait[Ingress])
	if n.b.byNode[first.id].stats.Asked != 1 || n.pools[Ingress].received[id] != 0 {
		t.Fatal("the scene is not as intended")
	}
	w.run(45 * time.Millisecond)
	if n.pools[Ingress].received[id] != 1 {
		t.Error("the other holder was not asked at once")
	}
}

func TestLaterBecomesWantedOnRefresh(t *testing.T) {
	w := newWorld(t, 1, 2)
	w.boot()
	pool := w.nodes[1].pools[Consensus]
	pool.high = 10
	id, encoded := makeArtifact(artifact.Beacon, 11, 1, 100)
	w.nodes[0].publish(Consensus, id, encoded)
	w.run(5 * time.Second)
	if pool.received[id] != 0 {
		t.Fatal("an artifact for later was delivered")
	}
	pool.high = 11
	w.run(time.Second)
	if pool.received[id] != 1 {
		t.Error("it was not fetched when it was wanted")
	}
}

func TestFetchAsksHoldersInTurn(t *testing.T) {
	w := newWorld(t, 1, 4)
	w.boot()
	n := w.nodes[3]
	n.pools[Ingress].unwantedAll = true
	id, encoded := makeArtifact(artifact.Ingress, 1, 1, 100_000)
	n.b.Fetch(n, Ingress, id, nodeIDs(w)[:3])
	w.run(5 * time.Second)
	if asked := w.asked(n); asked < 9 {
		t.Errorf("three peers that do not have it were asked %d times in five seconds", asked)
	}
	n.b.CancelFetch(n, Ingress, id)
	// Who is asked first depends on the id: the last of three has it.
	w.nodes[(int(id.Hash[0])+2)%3].pools[Ingress].has[id] = encoded
	n.b.Fetch(n, Ingress, id, nodeIDs(w)[:3])
	w.run(125 * time.Millisecond) // three trips there and back
	if n.pools[Ingress].received[id] != 1 {
		t.Error("the only holder was not found")
	}
	before := w.asked(n)
	w.run(time.Minute)
	if w.asked(n) != before || n.b.streams[Ingress].fetches != 0 || len(n.b.streams[Ingress].adverts) != 0 {
		t.Error("something is left of the fetch")
	}
	other, _ := makeArtifact(artifact.Ingress, 1, 2, 100)
	n.b.Fetch(n, Ingress, other, nodeIDs(w)[:3])
	w.run(time.Second)
	n.b.CancelFetch(n, Ingress, other)
	before = w.asked(n)
	w.run(time.Minute)
	if w.asked(n) != before || n.b.streams[Ingress].fetches != 0 || len(n.b.streams[Ingress].adverts) != 0 {
		t.Error("something is left of the cancelled fetch")
	}
}

func (w *world) asked(n *testNode) (sum uint64) {
	for _, p := range n.b.Stats(w.now).Peers {
		sum += p.Asked
	}
	return sum
}
