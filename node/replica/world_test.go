package replica_test

import (
	"log/slog"
	"slices"
	"strings"
	"testing"
	"time"

	"portico/lightclient/principal"
	"portico/node/consensus"
	"portico/node/crypto/fake"
	"portico/node/ingress"
	"portico/node/loop"
	"portico/node/registry"
	"portico/node/replica"
	"portico/node/sim"
	"portico/node/types"
)

func inspect(s *sim.Subnet, node int) (status replica.Status) {
	s.World.Inject(node, replica.Inspect{Done: func(st replica.Status) { status = st }})
	s.World.Run(time.Millisecond)
	return status
}

// The heights whose artifacts a node keeps at most: two intervals, since what lies between two
// catch-up packages goes at once, those kept besides, and the gap that notaries allow.
const (
	interval    = 10
	keptHeights = 2*interval + 50 + 70 + 1
)

// TestPoolsAreBounded counts what a run of several intervals leaves, by the bounds of the
// Internet Computer for a subnet of this size.
func TestPoolsAreBounded(t *testing.T) {
	t.Parallel()
	const n, f, gap = 4, 1, 70
	s := sim.NewSubnet(sim.SubnetConfig{Seed: 1, Nodes: n, Interval: interval, Score: sim.NewScore(10)})
	s.StartAll()
	s.Load.Rate(2)
	bound := (f+1)*gap + (keptHeights - gap) + 1 + // proposals
		gap*(f+1)*n + gap*n + // votes
		3*keptHeights*n + // shares of beacons, tapes and certifications
		5*keptHeights + 3
	most, low, high := 0, types.Height(0), types.Height(0)
	for range 10 {
		s.World.Run(10 * time.Second)
		st := inspect(s, 0)
		most = max(most, st.Validated)
		if st.Unvalidated > 200 || st.Checking > 10 || st.Calls > 100 {
			t.Errorf("%+v", st)
		}
		if low = high; st.Certified > low {
			high = st.Certified
		}
	}
	if s.World.Failure() != nil {
		t.Fatal(s.World.Failure())
	}
	if high < 120 || most > bound {
		t.Errorf("at height %d, %d artifacts were there at most, want %d", high, most, bound)
	}
	// Without a gap, a height has hardly more than one artifact of each kind, and there are
	// shares of the last heights alone.
	if quiet := 7*(2*interval+50) + 4*n*20; most > quiet {
		t.Errorf("%d artifacts without any gap, want %d at most", most, quiet)
	}
	t.Logf("%d heights, %d artifacts at most; the bound is %d", high, most, bound)
}

func TestANodeThatWasAwayCatchesUp(t *testing.T) {
	t.Parallel()
	s := sim.NewSubnet(sim.SubnetConfig{Seed: 2, Nodes: 4, Interval: 500, Score: sim.NewScore(10)})
	s.StartAll()
	s.Load.Rate(2)
	s.World.Run(10 * time.Second)
	s.World.Crash(3)
	s.World.Run(100 * time.Second)
	away := s.Checker.Certified()
	s.World.Start(3)
	s.World.Run(30 * time.Second)
	if st := inspect(s, 3); s.World.Failure() != nil || away < 150 || st.Certified < away || st.Certified+3 < s.Checker.Certified() {
		t.Errorf("after height %d it was away for: %+v, %v", away, st, s.World.Failure())
	}
}

// wrongCheckpoint are States whose checkpoints are damaged.
type wrongCheckpoint struct{ *sim.ModelStates }

func (s wrongCheckpoint) Certify(c *consensus.Aggregate) (func() (types.Hash, error), error) {
	checkpoint, err := s.ModelStates.Certify(c)
	if checkpoint == nil {
		return nil, err
	}
	return func() (types.Hash, error) {
		_, err := checkpoint()
		return types.Hash{0xbb}, err
	}, err
}

func TestAWrongCheckpointStopsTheNode(t *testing.T) {
	const n = 4
	records := &registry.Records{Version: 1, Subnet: registry.Subnet{
		UnitDelay: time.Second, NotaryDelay: 300 * time.Millisecond, IdleDelay: time.Second, Interval: 5,
	}}
	for i := range n {
		records.Subnet.Members = append(records.Subnet.Members, principal.SelfAuthenticating([]byte{byte(i)}))
	}
	slices.SortFunc(records.Subnet.Members, principal.ID.Compare)
	w := sim.NewWorld(1, sim.NewScore(10))
	records.Subnet.Genesis = w.Now()
	crypto := fake.NewWorld(1, n)
	for i, id := range records.Subnet.Members {
		model := sim.NewModelStates(w.Now(), 0)
		var states replica.States = model
		if i == 2 {
			states = wrongCheckpoint{model}
		}
		store := sim.NewStore()
		w.Add(id, func() (loop.Handler, error) {
			return replica.New(replica.Config{
				Records: records, Self: id, Crypto: crypto.Member(types.Member(i)), Store: store, States: states,
				Check: func(*ingress.Call, types.Time) error { return nil }, Log: slog.New(slog.DiscardHandler),
			})
		})
	}
	reasons := map[int]error{}
	w.OnDown(func(node int, reason error) { reasons[node] = reason })
	for i := range n {
		w.Start(i)
	}
	w.Run(30 * time.Second)
	if w.Failure() != nil || len(reasons) != 1 || reasons[2] == nil {
		t.Fatalf("stopped: %v, %v", reasons, w.Failure())
	}
	for _, want := range []string{"height 5: ", "this node's checkpoint has hash bb00", "the subnet's catch-up package has "} {
		if !strings.Contains(reasons[2].Error(), want) {
			t.Errorf("it stops because of %q, want %q in it", reasons[2], want)
		}
	}
}
