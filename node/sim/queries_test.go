package sim

import (
	"testing"
	"time"
)

// TestAllNodesReportTheQueriesOfAnEpoch once for each canister, which the states check.
func TestAllNodesReportTheQueriesOfAnEpoch(t *testing.T) {
	s := NewSubnet(SubnetConfig{Seed: 3, Nodes: 4, Score: NewScore(10)})
	s.StartAll()
	s.Load.Rate(5)
	most, epochs := 0, map[uint64]bool{}
	for range 60 {
		s.World.Run(time.Second)
		reported := 0
		queries := s.members[0].states.(*ModelStates).newest.queries
		for _, node := range queries.Nodes {
			reported += len(node.Reports)
		}
		if most = max(most, reported); reported > 0 {
			epochs[queries.Epoch] = true
		}
	}
	if s.World.Failure() != nil {
		t.Fatal(s.World.Failure())
	}
	if most < 2*modelCanisters || most > 4*modelCanisters || len(epochs) < 3 {
		t.Errorf("%d reports at most in each of %d epochs, want up to %d", most, len(epochs), 4*modelCanisters)
	}
}
