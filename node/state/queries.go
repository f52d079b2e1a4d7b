package state

import (
	"slices"

	"portico/lightclient/principal"
	"portico/node/types"
)

// QueryReports are what the makers of an epoch's blocks have reported of the queries that they
// answered in the epoch before it.
type QueryReports struct {
	Epoch uint64        // in which is reported
	Nodes []NodeQueries // of those that made blocks, ordered by Node
}

// NodeQueries are a node's reports, ordered by canister.
type NodeQueries struct {
	Node    types.NodeID
	Reports []types.QueryReport
}

func (q QueryReports) find(node types.NodeID) (int, bool) {
	return slices.BinarySearchFunc(q.Nodes, node, func(n NodeQueries, id types.NodeID) int { return principal.ID.Compare(n.Node, id) })
}

// Add returns the reports with those of a block, whose canisters come after those that its maker
// has reported before. What it was stays as it is.
func (q QueryReports) Add(maker types.NodeID, reports []types.QueryReport) QueryReports {
	q.Nodes = slices.Clone(q.Nodes)
	i, ok := q.find(maker)
	if !ok {
		q.Nodes = slices.Insert(q.Nodes, i, NodeQueries{Node: maker})
	}
	n := &q.Nodes[i]
	n.Reports = append(slices.Clip(n.Reports), reports...)
	return q
}

// Last is the last canister that a node has reported in an epoch, or the zero id.
func (q QueryReports) Last(node types.NodeID, epoch uint64) types.CanisterID {
	i, ok := q.find(node)
	if !ok || q.Epoch != epoch || len(q.Nodes[i].Reports) == 0 {
		return types.CanisterID{}
	}
	reports := q.Nodes[i].Reports
	return reports[len(reports)-1].Canister
}
