package p2p

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"portico/node/artifact"
	"portico/node/loop"
	"portico/node/types"
)

// chaos lets nodes publish, withdraw, restart and lose each other for a while, over
// links that lose, double and reorder.
func (w *world) chaos(d time.Duration) {
	w.loss, w.double = 0.2, 0.1
	w.delay = func(int) time.Duration { return time.Duration(1+w.rng.IntN(400)) * time.Millisecond }
	cut := map[[2]int]bool{}
	w.cut = func(from, to int) bool { return cut[[2]int{from, to}] }
	height := types.Height(1)
	for end := w.now.Add(d); w.now < end; {
		w.run(time.Duration(w.rng.IntN(100)) * time.Millisecond)
		n := w.nodes[w.rng.IntN(len(w.nodes))]
		s := Stream(w.rng.IntN(Streams))
		m := w.rng.IntN(len(w.nodes))
		switch k := w.rng.IntN(100); {
		case k < 60:
			size := 8 + w.rng.IntN(3000)
			if w.rng.IntN(50) == 0 {
				size = 300_000
			}
			kind := []artifact.Kind{artifact.Beacon, artifact.Proposal, artifact.Ingress}[w.rng.IntN(3)]
			id, encoded := makeArtifact(kind, height+types.Height(w.rng.IntN(5)), w.rng.Uint64()>>56, size)
			n.publish(s, id, encoded)
		case k < 75:
			height++
			for _, n := range w.nodes {
				n.pools[s].high = height + 3
			}
			low := height - min(height, 4)
			n.pools[s].low = low
			n.b.Withdraw(n, s, func(id artifact.ID) bool { return id.Height >= low })
		case k < 80:
			w.restart(n, w.rng.IntN(2) == 0)
		case k < 88 && m != n.index:
			w.disconnect(n.index, m)
			w.run(time.Duration(w.rng.IntN(1000)) * time.Millisecond)
			w.connect(n.index, m)
		case k < 94:
			cut[[2]int{n.index, m}] = w.rng.IntN(3) > 0
		default:
			members := slices.DeleteFunc(nodeIDs(w), func(id types.NodeID) bool { return id == w.nodes[m].id && id != n.id })
			n.b.SetPeers(n, append(members, nodeID(1000+w.rng.IntN(3))))
		}
	}
	for _, n := range w.nodes {
		n.b.SetPeers(n, nodeIDs(w))
		for _, p := range n.pools {
			p.high = 1 << 60
		}
	}
	w.loss, w.double, w.cut = 0, 0, func(int, int) bool { return false }
}

func nodeIDs(w *world) []types.NodeID {
	var out []types.NodeID
	for _, n := range w.nodes {
		out = append(out, n.id)
	}
	return out
}

func TestPoolsAreEqualOnceFaultsEnd(t *testing.T) {
	seeds := 60
	if testing.Short() {
		seeds = 12
	}
	for seed := range seeds {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			w := newWorld(t, uint64(seed), 2+seed%4)
			for _, n := range w.nodes {
				n.relay = seed%3 == 0
			}
			w.boot()
			w.chaos(30 * time.Second)
			w.run(3 * time.Minute) // the longest pause is one
			w.checkEqual()
			sent := 0
			w.sent = func(int, int, loop.Channel, []byte) { sent++ }
			w.run(3 * time.Minute)
			if sent != 0 {
				t.Errorf("%d frames were sent though everybody knows everything", sent)
			}
			for _, n := range w.nodes {
				for _, p := range n.b.Stats(n.Now()).Peers {
					if p.Offences != 0 || p.Dropped != 0 {
						t.Errorf("an honest peer has %d offences, %d dropped updates", p.Offences, p.Dropped)
					}
				}
			}
		})
	}
}

func TestTheSameEventsLeadToTheSameFrames(t *testing.T) {
	trace := func() (out []byte) {
		w := newWorld(t, 7, 4)
		w.sent = func(from, to int, ch loop.Channel, encoded []byte) {
			out = append(out, byte(from), byte(to), byte(ch))
			out = append(out, encoded...)
		}
		w.boot()
		w.chaos(10 * time.Second)
		return out
	}
	first := trace()
	for range 3 {
		if !slices.Equal(first, trace()) {
			t.Fatal("two runs of the same seed sent different frames")
		}
	}
}

func TestSmallArtifactsArePushedInOneTrip(t *testing.T) {
	w := newWorld(t, 1, 4)
	w.boot()
	w.run(time.Second)
	small, a := makeArtifact(artifact.NotarizationShare, 1, 1, 300)
	urgent, c := makeArtifact(artifact.Proposal, 1, 2, 200_000)
	w.nodes[0].publish(Consensus, small, a)
	w.nodes[0].publish(Consensus, urgent, c)
	w.run(25 * time.Millisecond)
	for _, n := range w.nodes[1:] {
		if n.pools[Consensus].has[small] == nil || n.pools[Consensus].has[urgent] == nil {
			t.Errorf("node %d does not have them after a trip", n.index)
		}
	}
}

func TestRelayingCostsAdvertsAndNotCopies(t *testing.T) {
	w := newWorld(t, 1, 5)
	pushed := 0
	w.sent = func(_, _ int, _ loop.Channel, encoded []byte) {
		f, err := decodeFrame(encoded)
		if err != nil {
			t.Fatal(err)
		}
		for _, u := range f.updates {
			if len(u.encoded) > 0 {
				pushed++
			}
		}
	}
	for _, n := range w.nodes {
		n.relay = true
	}
	w.boot()
	w.run(time.Second)
	id, encoded := makeArtifact(artifact.NotarizationShare, 1, 1, 300)
	w.cut = func(from, to int) bool { return from == 0 && to == 4 }
	w.nodes[0].publish(Consensus, id, encoded)
	w.run(100 * time.Millisecond)
	if pushed != 4 {
		t.Errorf("%d copies were pushed to four peers", pushed)
	}
	if w.nodes[4].pools[Consensus].has[id] == nil {
		t.Error("who did not hear the first did not fetch from the others")
	}
}

func TestTheWithdrawnIsNotSentAgain(t *testing.T) {
	w := newWorld(t, 1, 2)
	w.boot()
	w.run(time.Second)
	n := w.nodes[0]
	w.cut = func(from, _ int) bool { return from == 0 }
	id, encoded := makeArtifact(artifact.Beacon, 1, 1, 500)
	var carried, frames int
	w.sent = func(from, _ int, _ loop.Channel, encoded []byte) {
		if from == 0 {
			frames++
			f, err := decodeFrame(encoded)
			if err != nil {
				t.Fatal(err)
			}
			for _, u := range f.updates {
				if u.id == id {
					carried++
				}
			}
		}
	}
	n.publish(Consensus, id, encoded)
	w.run(10 * time.Second)
	// 0, ¼, ¾, 1¾, 3¾, 7¾ s
	if carried != 6 || frames != 6 {
		t.Fatalf("in ten seconds without an answer it was sent %d times in %d frames, want 6", carried, frames)
	}
	n.b.Withdraw(n, Consensus, func(artifact.ID) bool { return false })
	w.run(10 * time.Minute)
	if carried != 6 {
		t.Errorf("it was sent %d times after it was withdrawn", carried-6)
	}
	if frames > 25 {
		t.Errorf("%d frames in ten minutes: the pauses do not grow", frames)
	}
	w.cut = func(int, int) bool { return false }
	w.run(time.Minute)
	w.checkEqual()
	before := frames
	w.run(10 * time.Minute)
	if frames != before {
		t.Error("what is acknowledged is repeated")
	}
	if w.nodes[1].pools[Consensus].received[id] != 0 {
		t.Error("the withdrawn artifact arrived")
	}
}

func TestAPeerThatRestartsHearsEverythingAgain(t *testing.T) {
	for _, silent := range []bool{false, true} {
		for _, lag := range []time.Duration{0, time.Hour / 2} {
			w := newWorld(t, 1, 3)
			w.boot()
			for i := range uint64(100) {
				id, encoded := makeArtifact(artifact.Beacon, 1, i, 100+int(i)*30)
				w.nodes[i%3].publish(Consensus, id, encoded)
			}
			w.run(5 * time.Second)
			w.checkEqual()
			w.nodes[0].behind = lag // its clock was set back meanwhile
			w.restart(w.nodes[0], silent)
			w.run(5 * time.Second)
			w.checkEqual()
			if got := len(w.nodes[0].pools[Consensus].has); got != 100 {
				t.Errorf("after its restart (silent %v, clock %s behind) a node has %d of 100 artifacts", silent, lag, got)
			}
		}
	}
}

// A node restarts, hears of an artifact in a frame that its peer meant for the life before, and
// does not hear that it is withdrawn.
func TestWhatTheNextLifeHeardTooEarlyIsWithdrawn(t *testing.T) {
	w := newWorld(t, 1, 2)
	w.boot()
	w.run(time.Second)
	sender := w.nodes[1]
	w.cut = func(from, _ int) bool { return from == 0 }
	w.restart(w.nodes[0], true)
	id, encoded := makeArtifact(artifact.Beacon, 1, 1, 100)
	sender.publish(Consensus, id, encoded)
	w.run(25 * time.Millisecond)
	if len(w.nodes[0].hears(Consensus, sender.id)) != 1 {
		t.Fatal("the scene is not as intended")
	}
	w.cut = func(int, int) bool { return true }
	sender.b.Withdraw(sender, Consensus, func(artifact.ID) bool { return false })
	w.run(25 * time.Millisecond)
	w.cut = func(int, int) bool { return false }
	w.run(time.Minute)
	w.checkEqual()
}

func TestTheOldestIsToldFirstAfterARestart(t *testing.T) {
	w := newWorld(t, 1, 2)
	w.boot()
	n := w.nodes[0]
	for i := range uint64(30) {
		id, encoded := makeArtifact(artifact.Beacon, types.Height(i), i, 100)
		n.publish(Consensus, id, encoded)
		if i == 20 {
			n.b.Withdraw(n, Consensus, func(id artifact.ID) bool { return id.Height > 10 })
		}
	}
	w.run(time.Second)
	last := uint64(0)
	w.sent = func(from, _ int, _ loop.Channel, encoded []byte) {
		f, err := decodeFrame(encoded)
		if err != nil {
			t.Fatal(err)
		}
		for _, u := range f.updates {
			if u.commit < last {
				t.Errorf("commit %d was sent after %d", u.commit, last)
			}
			last = u.commit
		}
	}
	w.restart(w.nodes[1], false)
	w.run(time.Second)
	if last == 0 {
		t.Error("nothing was sent")
	}
}

func TestPeersThatWereReachableBeforeTheyWereMembersAreTold(t *testing.T) {
	w := newWorld(t, 1, 3)
	w.boot()
	w.run(time.Second)
	for i, n := range w.nodes {
		n.b.SetPeers(n, slices.Delete(nodeIDs(w), 2*(1-min(i, 1)), 2*(1-min(i, 1))+1)) // 0 without 2; 1 and 2 without 0
	}
	id, encoded := makeArtifact(artifact.Beacon, 1, 1, 100)
	w.nodes[0].publish(Consensus, id, encoded)
	w.run(10 * time.Second)
	if w.nodes[2].pools[Consensus].has[id] != nil {
		t.Error("a node that is not a peer was told")
	}
	for _, n := range w.nodes {
		n.b.SetPeers(n, nodeIDs(w))
	}
	w.run(time.Second)
	w.checkEqual()
	if w.nodes[2].pools[Consensus].has[id] == nil {
		t.Error("a new peer was not told")
	}
}

func TestAConnectionMakesPausesShort(t *testing.T) {
	w := newWorld(t, 1, 2)
	w.boot()
	w.run(time.Second)
	n, m := w.nodes[0], w.nodes[1]
	w.cut = func(int, int) bool { return true }
	pushed, encoded := makeArtifact(artifact.Beacon, 1, 1, 100)
	n.publish(Consensus, pushed, encoded)
	w.run(10 * time.Second)
	w.disconnect(0, 1)
	fetched, encoded := makeArtifact(artifact.Beacon, 1, 2, 100)
	n.pools[Consensus].has[fetched] = encoded
	m.b.Fetch(m, Consensus, fetched, nodeIDs(w))
	w.run(time.Second)
	w.cut = func(int, int) bool { return false }
	w.connect(0, 1)
	w.run(45 * time.Millisecond)
	for _, id := range []artifact.ID{pushed, fetched} {
		if m.pools[Consensus].received[id] != 1 {
			t.Errorf("%s did not arrive as soon as there was a connection", id)
		}
	}
}

func TestProgressMakesPausesShort(t *testing.T) {
	w := newWorld(t, 1, 2)
	w.boot()
	w.run(time.Second)
	for i := range uint64(2) {
		w.cut = func(int, int) bool { return true }
		id, encoded := makeArtifact(artifact.Beacon, 1, i, 100)
		w.nodes[0].publish(Consensus, id, encoded)
		w.run([]time.Duration{30 * time.Second, 10 * time.Millisecond}[i])
		w.cut = func(int, int) bool { return false }
		w.run([]time.Duration{time.Minute, time.Second}[i])
		if w.nodes[1].pools[Consensus].received[id] != 1 {
			t.Errorf("artifact %d did not arrive in time", i)
		}
	}
}

// Node 0 knows that node 1 knows it only from an answer, which is lost.
func TestGreetingsEnd(t *testing.T) {
	w := newWorld(t, 1, 2)
	w.cut = func(from, _ int) bool { return from == 0 }
	w.boot()
	w.run(100 * time.Millisecond)
	w.cut = func(from, _ int) bool { return from == 1 }
	w.run(5 * time.Second)
	w.cut = func(int, int) bool { return false }
	w.run(2 * time.Minute)
	sent := 0
	w.sent = func(int, int, loop.Channel, []byte) { sent++ }
	w.run(10 * time.Minute)
	if sent != 0 {
		t.Errorf("%d frames were sent by nodes that have nothing to say", sent)
	}
}

func TestOldUpdatesDoNotResurrect(t *testing.T) {
	w := newWorld(t, 1, 2)
	w.boot()
	w.run(time.Second)
	n, m := w.nodes[0], w.nodes[1]
	var recorded [][]byte
	w.sent = func(from, _ int, _ loop.Channel, encoded []byte) {
		if from == 0 {
			recorded = append(recorded, encoded)
		}
	}
	for i := range uint64(50) {
		id, encoded := makeArtifact(artifact.Beacon, types.Height(i), i, 100)
		n.publish(Consensus, id, encoded)
		w.run(10 * time.Millisecond)
		n.b.Withdraw(n, Consensus, func(id artifact.ID) bool { return id.Height+5 > types.Height(i) })
	}
	w.restart(n, false)
	w.run(5 * time.Second)
	w.checkEqual()
	rng := rand.New(rand.NewPCG(5, 5))
	received := len(m.pools[Consensus].has)
	for range 500 {
		w.handle(1, loop.Received{From: n.id, Frame: recorded[rng.IntN(len(recorded))]})
	}
	w.run(time.Second)
	w.checkEqual()
	if len(m.pools[Consensus].has) != received {
		t.Error("an old frame brought an artifact")
	}
}

func TestLargeArtifactsFitIntoFrames(t *testing.T) {
	w := newWorld(t, 1, 2)
	w.limits.UrgentBytes = MaxArtifactBytes
	w.limits.WindowBytes = 64 * types.MiB
	w.boot()
	for i := range uint64(2) {
		id, encoded := makeArtifact(artifact.Proposal, 1, i, MaxArtifactBytes)
		w.nodes[i].publish(Consensus, id, encoded)
		id, encoded = makeArtifact(artifact.Ingress, 1, i, MaxArtifactBytes)
		w.nodes[i].publish(Ingress, id, encoded)
		for j := range uint64(3000) {
			id, encoded := makeArtifact(artifact.Beacon, 1, 10000*(i+1)+j, 40)
			w.nodes[i].publish(Consensus, id, encoded)
		}
	}
	w.run(10 * time.Second)
	w.checkEqual()
}
