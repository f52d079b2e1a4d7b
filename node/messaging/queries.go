package messaging

import (
	"cmp"
	"slices"

	"portico/lightclient/principal"
	"portico/node/types"
)

// countQueries takes what the block's maker reports of the queries that it answered in the epoch
// before, and adds up the reports when their epoch is over.
func (r *round) countQueries() {
	epoch := types.QueryEpoch(r.s.Height, r.Subnet.QueryEpoch)
	if r.s.Queries.Epoch != epoch {
		r.addUpQueries()
		r.s.Queries.Epoch, r.s.Queries.Nodes = epoch, nil
	}
	if !r.batch.Maker.IsManagement() {
		r.s.Queries = r.s.Queries.Add(r.batch.Maker, r.batch.Queries)
	}
}

// addUpQueries adds to each canister's counts the median of what was reported, for each node
// there is. Nodes that made blocks and did not report a canister count as having answered no
// queries to it. The median of n-f reports is a right one or lies between right ones.
func (r *round) addUpQueries() {
	n, nodes := r.Subnet.Nodes, r.s.Queries.Nodes
	if len(nodes) == 0 || len(nodes) < n-types.Faults(n) {
		return
	}
	byCanister := map[types.CanisterID][]types.QueryCounts{}
	var ids []types.CanisterID
	for _, node := range nodes {
		for _, report := range node.Reports {
			if byCanister[report.Canister] == nil {
				ids = append(ids, report.Canister)
			}
			byCanister[report.Canister] = append(byCanister[report.Canister], report.QueryCounts)
		}
	}
	slices.SortFunc(ids, principal.ID.Compare)
	for _, id := range ids {
		reports := append(byCanister[id], make([]types.QueryCounts, len(nodes)-len(byCanister[id]))...)
		if c := r.s.Touch(id); c != nil {
			c.Queries = c.Queries.Plus(types.QueryCounts{
				Calls:        median(reports, func(q types.QueryCounts) uint64 { return q.Calls }),
				Instructions: median(reports, func(q types.QueryCounts) uint64 { return q.Instructions }),
				RequestBytes: median(reports, func(q types.QueryCounts) uint64 { return q.RequestBytes }),
				ReplyBytes:   median(reports, func(q types.QueryCounts) uint64 { return q.ReplyBytes }),
			}, uint64(n))
		}
	}
}

// median is the middle one of a number of each report, the larger of two.
func median(reports []types.QueryCounts, number func(types.QueryCounts) uint64) uint64 {
	slices.SortFunc(reports, func(a, b types.QueryCounts) int { return cmp.Compare(number(a), number(b)) })
	return number(reports[len(reports)/2])
}
