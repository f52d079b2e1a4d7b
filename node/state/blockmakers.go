package state

import (
	"slices"

	"portico/lightclient/principal"
	"portico/node/types"
)

// BlockDay tells how many blocks nodes have made, as of the last batch of a day
// (interface specification, "node_metrics_history").
type BlockDay struct {
	Time  types.Time  // of that batch
	Nodes []NodeCount // those whose counts changed on the day, ordered by Node
}

// NodeCount are a node's counts since it was last missing for a day.
type NodeCount struct {
	Node             types.NodeID
	Proposed, Failed uint64
}

const (
	// maxBlockDays is how many days are kept.
	maxBlockDays = 60
	nanosPerDay  = 86_400_000_000_000
)

// CountBlock counts the maker of this height's block, and the nodes of better rank that
// failed to make it.
func (s *State) CountBlock(maker types.NodeID, failed []types.NodeID) {
	days := slices.Clone(s.BlockMakers)
	if n := len(days); n == 0 || days[n-1].Time/nanosPerDay != s.Time/nanosPerDay {
		days = append(days, BlockDay{})
	}
	if n := len(days) - maxBlockDays; n > 0 {
		days = slices.Delete(days, 0, n)
	}
	today := &days[len(days)-1]
	today.Time, today.Nodes = s.Time, slices.Clone(today.Nodes)
	var before []NodeCount
	if n := len(days); n > 1 {
		before = days[n-2].Nodes
	}
	today.count(maker, before).Proposed++
	for _, id := range failed {
		today.count(id, before).Failed++
	}
	s.BlockMakers = days
}

// count finds a node's counts of the day, which begin with those of the day before.
func (d *BlockDay) count(id types.NodeID, before []NodeCount) *NodeCount {
	compare := func(n NodeCount, id types.NodeID) int { return principal.ID.Compare(n.Node, id) }
	i, ok := slices.BinarySearchFunc(d.Nodes, id, compare)
	if !ok {
		count := NodeCount{Node: id}
		if j, known := slices.BinarySearchFunc(before, id, compare); known {
			count = before[j]
		}
		d.Nodes = slices.Insert(d.Nodes, i, count)
	}
	return &d.Nodes[i]
}
