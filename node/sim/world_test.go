package sim

import (
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"portico/lightclient/principal"
	"portico/node/artifact"
	"portico/node/loop"
	"portico/node/types"
)

// gossip is a small node: it counts, tells its peers, and keeps the largest count that
// it has heard of on its disk.
type gossip struct {
	store  *Store
	peers  []types.NodeID
	count  uint64
	events []loop.Event
	clocks []types.Time
}

type tick struct{}

type worked struct{ n uint64 }

func (g *gossip) Handle(env loop.Env, ev loop.Event) {
	g.events = append(g.events, ev)
	g.clocks = append(g.clocks, env.Now())
	switch ev := ev.(type) {
	case loop.Boot:
		_ = g.store.Load(func(it artifact.Item) error {
			g.count = max(g.count, uint64(it.ID.Height))
			return nil
		})
		env.After(100*time.Millisecond, tick{})
	case tick:
		n := g.count + 1
		env.Go(func() loop.Event { return worked{n} })
		env.After(100*time.Millisecond, tick{})
	case worked:
		g.reach(env, ev.n)
	case loop.Received:
		if n := binary.BigEndian.Uint64(ev.Frame); n > g.count {
			g.reach(env, n)
		}
	}
}

func (g *gossip) reach(env loop.Env, n uint64) {
	h := types.Height(n)
	err := g.store.Apply(artifact.Change{
		Put:   []artifact.Item{{ID: artifact.ID{Kind: artifact.Beacon, Height: h}, Encoded: []byte{1}}},
		Purge: []artifact.Purge{{Kind: artifact.Beacon, Below: h}},
	})
	if err != nil {
		env.Stop(err)
		return
	}
	g.count = n
	for _, p := range g.peers {
		env.Send(p, loop.Consensus, binary.BigEndian.AppendUint64(nil, n))
	}
}

// gossips is a world of n of them; nodes are their present lives.
func gossips(seed uint64, n int) (w *World, nodes []*gossip) {
	w = NewWorld(seed, NewScore(0))
	var ids []types.NodeID
	for i := range n {
		ids = append(ids, principal.SelfAuthenticating([]byte{byte(i)}))
	}
	nodes = make([]*gossip, n)
	for i := range n {
		store := NewStore()
		w.Add(ids[i], func() (loop.Handler, error) {
			nodes[i] = &gossip{store: store, peers: ids}
			return nodes[i], nil
		})
		w.Start(i)
	}
	return w, nodes
}

func TestTheSameSeedGivesTheSameTrace(t *testing.T) {
	trace := func(seed uint64) types.Hash {
		w, _ := gossips(seed, 4)
		w.SetWeather(Weather{Delay: time.Millisecond, Jitter: time.Second, Lost: 20, Doubled: 20, Overtaken: 100, Slow: 10, Break: 2000, Queue: 100})
		w.In(time.Second, func() { w.Partition([]int{0, 1}, []int{2, 3}) })
		w.In(2*time.Second, func() { w.Heal(); w.Crash(2); w.CutOneWay(0, 1) })
		w.In(3*time.Second, func() { w.Start(2); w.Heal() })
		w.Run(10 * time.Second)
		return w.Trace()
	}
	one := trace(1)
	if again := trace(1); again != one {
		t.Errorf("two runs of seed 1 differ: %x and %x", one, again)
	}
	if trace(2) == one {
		t.Error("seeds 1 and 2 have one trace")
	}
}

func TestPartitionsCutAndHeal(t *testing.T) {
	w, nodes := gossips(1, 4)
	w.Run(5 * time.Second)
	w.Partition([]int{0, 1}, []int{2})
	w.Run(5 * time.Second)
	w.Crash(1)
	w.Crash(0)
	w.Run(time.Second)
	before := nodes[3].count
	w.Start(0)
	w.Heal()
	w.Run(5 * time.Second)
	if slices.Contains(nodes[2].events, loop.Event(loop.Disconnected{Peer: w.hosts[3].id})) == false {
		t.Error("a node that was cut off was not told")
	}
	for _, i := range []int{0, 2, 3} {
		if nodes[i].count < before+10 {
			t.Errorf("node %d counted to %d after the partition, %d before", i, nodes[i].count, before)
		}
		if d := int64(nodes[i].count) - int64(nodes[2].count); d < -2 || d > 2 {
			t.Errorf("nodes 2 and %d differ by %d after the partition", i, d)
		}
	}
	if w.Failure() != nil {
		t.Error(w.Failure())
	}
}

func TestACutInOneDirectionIsSilent(t *testing.T) {
	w, nodes := gossips(1, 2)
	w.Run(2 * time.Second)
	w.CutOneWay(0, 1)
	w.Run(time.Second)
	heard := func(node int) (frames, lost int) {
		for _, ev := range nodes[node].events {
			switch ev.(type) {
			case loop.Received:
				frames++
			case loop.Disconnected:
				lost++
			}
		}
		return frames, lost
	}
	frames0, _ := heard(0)
	frames1, _ := heard(1)
	w.Run(2 * time.Second)
	if n, lost := heard(1); n != frames1 || lost != 0 {
		t.Errorf("node 1 got %d frames over the cut link and heard of %d disconnections", n-frames1, lost)
	}
	if n, _ := heard(0); n == frames0 {
		t.Error("node 0 got nothing, though only its own frames are cut")
	}
	w.Heal()
	w.Run(2 * time.Second)
	if n, lost := heard(1); n == frames1 || lost != 1 {
		t.Errorf("after healing, node 1 got %d frames and heard of %d disconnections, want 1", n-frames1, lost)
	}
}

func TestACrashKeepsWhatIsDurableAndNothingElse(t *testing.T) {
	w, nodes := gossips(1, 1)
	w.Run(2 * time.Second)
	old := nodes[0]
	handled := len(old.events)
	w.Crash(0)
	w.Run(time.Second)
	if len(old.events) != handled {
		t.Error("a node that crashed handles events")
	}
	w.Start(0)
	w.Run(150 * time.Millisecond)
	if nodes[0] == old || nodes[0].count < old.count {
		t.Errorf("after the crash it counts from %d, it had come to %d", nodes[0].count, old.count)
	}
}

func TestACrashInATransactionLeavesAllOrNothing(t *testing.T) {
	for fault, done := range map[Fault]bool{CrashBefore: false, CrashAfter: true, ErrorBefore: false, ErrorAfter: true} {
		w, nodes := gossips(1, 1)
		var reasons []error
		w.OnDown(func(_ int, reason error) { reasons = append(reasons, reason) })
		w.Run(time.Second)
		nodes[0].store.Arm(fault, 0)
		before := nodes[0].count
		w.Run(time.Second)
		if w.Up(0) || len(reasons) != 1 {
			t.Fatalf("%s: the node is still up; it was down for %v", fault, reasons)
		}
		if io := fault == ErrorBefore || fault == ErrorAfter; errors.Is(reasons[0], ErrDisk) != io {
			t.Errorf("%s: the node was down for %v", fault, reasons[0])
		}
		w.Start(0)
		w.Run(10 * time.Millisecond)
		if got := nodes[0].count > before; got != done || nodes[0].store.Len() != 1 {
			t.Errorf("%s: the transaction took effect: %t", fault, got)
		}
	}
}

func TestClocksAreWrongAndNeverGoBack(t *testing.T) {
	w, nodes := gossips(1, 2)
	w.SetClock(1, -time.Minute, 1000)
	w.Run(10 * time.Second)
	if late := w.Now().Sub(nodes[1].clocks[len(nodes[1].clocks)-1]); late < 59*time.Second || late > 61*time.Second {
		t.Errorf("a clock that is a minute late is %v late", late)
	}
	w.SetClock(1, time.Minute, 0)
	w.Run(time.Second)
	w.SetClock(1, 0, 0)
	w.Run(time.Second)
	for i, n := range nodes {
		if !slices.IsSorted(n.clocks) {
			t.Errorf("the clock of node %d goes back", i)
		}
	}
}

func TestAPanicIsAFailureWithItsStack(t *testing.T) {
	w := NewWorld(1, NewScore(0))
	w.Add(principal.Anonymous(), func() (loop.Handler, error) { return bomb{}, nil })
	w.Start(0)
	w.Run(time.Second)
	if w.Failure() == nil || !strings.Contains(w.Failure().Error(), "bomb.Handle") {
		t.Errorf("failure: %v", w.Failure())
	}
}

type bomb struct{}

func (bomb) Handle(loop.Env, loop.Event) { panic("boom") }

func TestScoresKeepTheirEnd(t *testing.T) {
	s := NewScore(3)
	for i := range 10 {
		s.Note(i, "event", "%d", i)
	}
	text := s.String()
	if !strings.HasPrefix(text, "… 7 lines before\n") || !strings.HasSuffix(text, "  9 event      9\n") || strings.Count(text, "\n") != 5 {
		t.Errorf("score:\n%s", text)
	}
}

func TestTheQueueIsInOrder(t *testing.T) {
	w := NewWorld(7, NewScore(1))
	var got []string
	for i := range 1000 {
		d := w.upTo(50)
		w.In(d, func() { got = append(got, fmt.Sprintf("%02d %04d", d, i)) })
	}
	w.Run(time.Second)
	if len(got) != 1000 || !slices.IsSorted(got) {
		t.Errorf("%d acts, in order: %t", len(got), slices.IsSorted(got))
	}
}

func BenchmarkWorld(b *testing.B) {
	w, _ := gossips(1, 4)
	w.score.max = 1
	for b.Loop() {
		for n := w.Handled(); w.Handled() == n; {
			w.step()
		}
	}
}
