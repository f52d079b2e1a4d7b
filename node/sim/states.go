package sim

import (
	"crypto/sha256"
	"encoding/binary"
	"fmt"

	"portico/lightclient/principal"
	"portico/node/consensus"
	"portico/node/replica"
	"portico/node/state"
	"portico/node/types"
)

// States is a node's replica.States and what its machine keeps of them between lives.
type States interface {
	replica.States
	// Crash goes back to what is durable, as a new life finds it.
	Crash() error
}

// ModelStates is a States without canisters: the state is a chained hash of all
// batches and the set of the calls that were executed. It outlives its node's lives: Crash
// goes back to the newest checkpoint.
type ModelStates struct {
	newest     model
	certified  types.Height
	checkpoint model // durable
	// executed are the calls in the order of their execution, known the same by their ids.
	executed []executedCall
	known    map[types.RequestID]executedCall
	// queryEpoch is that of the subnet's record, reported what the certified state has of it.
	queryEpoch types.Height
	reported   state.QueryReports
}

// model is the state of a height.
type model struct {
	height  types.Height
	time    types.Time
	root    types.Hash
	calls   int // how many of executed it has
	queries state.QueryReports
	asked   bool
}

type executedCall struct {
	id     types.RequestID
	height types.Height
}

// NewModelStates is the state at height 0 of a subnet that began at a time, and counts queries in
// epochs of so many heights.
func NewModelStates(genesis types.Time, queryEpoch types.Height) *ModelStates {
	m := model{time: genesis, root: sha256.Sum256([]byte("genesis"))}
	return &ModelStates{newest: m, checkpoint: m, known: map[types.RequestID]executedCall{}, queryEpoch: queryEpoch}
}

// Crash forgets what is not durable.
func (s *ModelStates) Crash() error {
	for _, c := range s.executed[s.checkpoint.calls:] {
		delete(s.known, c.id)
	}
	s.executed = s.executed[:s.checkpoint.calls]
	s.newest, s.certified, s.reported = s.checkpoint, s.checkpoint.height, s.checkpoint.queries
	return nil
}

// Newest is the newest checkpoint at the beginning of a life.
func (s *ModelStates) Newest() replica.Executed {
	return replica.Executed{Height: s.newest.height, Root: s.newest.root, Checkpoint: s.newest.whole()}
}

// Execute takes no time: it hashes.
func (s *ModelStates) Execute(b *replica.Batch) (replica.Executed, error) {
	if b.Height != s.newest.height+1 {
		return replica.Executed{}, fmt.Errorf("batch %d after the state of height %d", b.Height, s.newest.height)
	}
	if b.Time < s.newest.time {
		return replica.Executed{}, fmt.Errorf("batch %d: time goes back from %s to %s", b.Height, s.newest.time, b.Time)
	}
	h := sha256.New()
	h.Write(s.newest.root[:])
	var head [16]byte
	binary.BigEndian.PutUint64(head[:], uint64(b.Height))
	binary.BigEndian.PutUint64(head[8:], uint64(b.Time))
	h.Write(head[:])
	h.Write(b.Randomness[:])
	for _, c := range b.Calls {
		call := executedCall{c.RequestID(), b.Height}
		h.Write(call.id[:])
		s.executed = append(s.executed, call)
		s.known[call.id] = call
	}
	queries, err := s.report(b)
	if err != nil {
		return replica.Executed{}, err
	}
	for _, q := range b.Queries {
		h.Write(q.Canister.Bytes())
	}
	s.newest = model{b.Height, b.Time, types.Hash(h.Sum(nil)), len(s.executed), queries, b.Checkpoint}
	return replica.Executed{Height: b.Height, Root: s.newest.root}, nil
}

// Certify makes the newest state the one that Known tells of.
func (s *ModelStates) Certify(c *consensus.Aggregate) (func() (types.Hash, error), error) {
	if c.Height != s.newest.height || c.Hash != s.newest.root {
		return nil, fmt.Errorf("the certification is of %x at height %d, the newest state is %x at height %d",
			c.Hash[:4], c.Height, s.newest.root[:4], s.newest.height)
	}
	s.certified, s.reported = c.Height, s.newest.queries
	if !s.newest.asked {
		return nil, nil
	}
	m := s.newest
	return func() (types.Hash, error) {
		s.checkpoint = m
		return m.whole(), nil
	}, nil
}

// Known reports whether the newest certified state has executed a call. Unlike a real state
// it never forgets one: runs are shorter than that.
func (s *ModelStates) Known(id types.RequestID) bool {
	c, ok := s.known[id]
	return ok && c.height <= s.certified
}

// report takes what a batch reports of queries; no node reports a canister twice in an epoch.
func (s *ModelStates) report(b *replica.Batch) (state.QueryReports, error) {
	epoch := types.QueryEpoch(b.Height, s.queryEpoch)
	queries := s.newest.queries
	if queries.Epoch != epoch {
		queries = state.QueryReports{Epoch: epoch}
	}
	if n := len(b.Queries); n > 0 {
		if last := queries.Last(b.Maker, epoch); last.Compare(b.Queries[0].Canister) >= 0 {
			return queries, fmt.Errorf("batch %d: node %s reports queries to canister %s after those to %s", b.Height, b.Maker, b.Queries[0].Canister, last)
		}
	}
	return queries.Add(b.Maker, b.Queries), nil
}

// modelCanisters is to how many canisters each node has answered queries in an epoch.
const modelCanisters = 3

// Counted pretends that the node answered queries in each epoch; one canister fits into a block.
func (s *ModelStates) Counted(epoch uint64, after types.CanisterID, _ int) []types.QueryReport {
	for i := range uint64(modelCanisters) {
		if id := principal.Canister(i); after.Compare(id) < 0 {
			return []types.QueryReport{{Canister: id, QueryCounts: types.QueryCounts{Calls: epoch + 1}}}
		}
	}
	return nil
}

// Reported is the last canister that the certified state has a report of.
func (s *ModelStates) Reported(by types.NodeID, epoch uint64) types.CanisterID {
	return s.reported.Last(by, epoch)
}

// whole identifies the whole state.
func (m *model) whole() types.Hash { return sha256.Sum256(append([]byte("whole"), m.root[:]...)) }
