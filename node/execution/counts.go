package execution

import (
	"slices"
	"sync"

	"portico/lightclient/principal"
	"portico/node/types"
)

// queryCounter counts the queries that this node answers, by epochs of the states that they see.
// It is no part of what replicas agree on: block makers report it.
type queryCounter struct {
	mu    sync.Mutex
	epoch uint64
	// now are the counts of the epoch, before those of the one before it.
	now, before map[types.CanisterID]types.QueryCounts
}

// count adds a query. Those that began in an earlier epoch count for the newest one.
func (q *queryCounter) count(epoch uint64, id types.CanisterID, n types.QueryCounts) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.advance(epoch)
	q.now[id] = q.now[id].Plus(n, 1)
}

// advance begins an epoch, if it is a later one. The caller holds the lock.
func (q *queryCounter) advance(epoch uint64) {
	if epoch <= q.epoch && q.now != nil {
		return
	}
	q.before = nil
	if epoch == q.epoch+1 {
		q.before = q.now
	}
	q.epoch, q.now = max(epoch, q.epoch), map[types.CanisterID]types.QueryCounts{}
}

// CountedQueries are this node's counts of an epoch that is over, for the canisters after one, in
// order and at most so many.
func (x *Executor) CountedQueries(epoch uint64, after types.CanisterID, most int) []types.QueryReport {
	q := &x.counts
	q.mu.Lock()
	defer q.mu.Unlock()
	q.advance(epoch + 1)
	if epoch+1 != q.epoch {
		return nil
	}
	var out []types.QueryReport
	for id, n := range q.before {
		if after.Compare(id) < 0 {
			out = append(out, types.QueryReport{Canister: id, QueryCounts: n})
		}
	}
	slices.SortFunc(out, func(a, b types.QueryReport) int { return principal.ID.Compare(a.Canister, b.Canister) })
	return out[:min(len(out), most)]
}
