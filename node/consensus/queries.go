package consensus

import (
	"fmt"

	"portico/lightclient/cbor"
	"portico/lightclient/principal"
	"portico/node/types"
)

// MaxQueryReports is how many canisters a block reports queries of.
const MaxQueryReports = 1000

// Queries is what a node must know to report the queries that it answered, and to check the
// reports of others. A block reports those that its maker answered in the epoch before the block's
// (types.QueryEpoch), in order of canisters and after those of its maker's earlier blocks of the epoch.
type Queries interface {
	// Counted are this node's counts of an epoch that is over, for the canisters after one, in
	// order and at most so many.
	Counted(epoch uint64, after types.CanisterID, most int) []types.QueryReport
	// Reported is the last canister that the newest certified state has a report of, by a node in
	// the blocks of an epoch, or the zero id.
	Reported(by types.NodeID, epoch uint64) types.CanisterID
}

func (c *Consensus) queryEpoch(h types.Height) uint64 {
	return types.QueryEpoch(h, c.Records.Subnet.QueryEpoch)
}

// reportQueries are the reports that this node's block on a parent carries. It has all counts once
// users see states of the block's epoch.
func (c *Consensus) reportQueries(p *Pool, s *Progress, b, parent *Block) []types.QueryReport {
	epoch := c.queryEpoch(b.Height)
	if epoch == 0 || c.queryEpoch(b.Context.Certified) != epoch {
		return nil
	}
	return s.Queries.Counted(epoch-1, c.lastReported(p, s, parent, c.Self, epoch), MaxQueryReports)
}

// lastReported is the last canister that a member has reported in the blocks of an epoch up to one.
func (c *Consensus) lastReported(p *Pool, s *Progress, b *Block, by types.Member, epoch uint64) types.CanisterID {
	for ; b != nil && b.Height > s.Certified && c.queryEpoch(b.Height) == epoch; b = p.block(b.Height-1, b.Parent) {
		if makers := c.makers(p, b.Height); len(b.Queries) > 0 && int(b.Rank) < len(makers) && makers[b.Rank] == by {
			return b.Queries[len(b.Queries)-1].Canister
		}
	}
	return s.Queries.Reported(c.Records.Subnet.Members[by], epoch)
}

// wrongQueries says what is wrong with a block's reports of queries, "" if nothing is. Its maker
// was checked.
func (c *Consensus) wrongQueries(p *Pool, s *Progress, b, parent *Block) string {
	if len(b.Queries) == 0 {
		return ""
	}
	epoch := c.queryEpoch(b.Height)
	if epoch == 0 {
		return "it reports queries of an epoch before the first"
	}
	subnet := &c.Records.Subnet
	last := c.lastReported(p, s, parent, c.makers(p, b.Height)[b.Rank], epoch)
	for _, q := range b.Queries {
		n, ok := q.Canister.CanisterIndex()
		switch {
		case last.Compare(q.Canister) >= 0:
			return fmt.Sprintf("it reports queries to canister %s after those to %s", q.Canister, last)
		case !ok || n < subnet.FirstCanister || n > subnet.LastCanister:
			return fmt.Sprintf("it reports queries to canister %s, which the subnet does not host", q.Canister)
		case q.Calls == 0:
			return fmt.Sprintf("it reports no queries to canister %s", q.Canister)
		}
		last = q.Canister
	}
	return ""
}

// appendQueries appends a list of [canister, calls, instructions, request bytes, reply bytes].
func appendQueries(out []byte, reports []types.QueryReport) []byte {
	out = cbor.AppendArray(out, len(reports))
	for _, q := range reports {
		out = cbor.AppendBytes(cbor.AppendArray(out, 5), q.Canister.Bytes())
		for _, n := range [...]uint64{q.Calls, q.Instructions, q.RequestBytes, q.ReplyBytes} {
			out = cbor.AppendUint(out, n)
		}
	}
	return out
}

func decodeQueries(d *cbor.Decoder) ([]types.QueryReport, error) {
	n, err := d.Array()
	if err != nil {
		return nil, err
	}
	if n < 0 || n > MaxQueryReports {
		return nil, fmt.Errorf("a block reports queries to at most %d canisters", MaxQueryReports)
	}
	var out []types.QueryReport
	for range n {
		if err := expectArray(d, 5); err != nil {
			return nil, err
		}
		id, err := d.Bytes()
		if err != nil {
			return nil, err
		}
		var q types.QueryReport
		if q.Canister, err = principal.FromBytes(id); err != nil {
			return nil, err
		}
		for _, to := range [...]*uint64{&q.Calls, &q.Instructions, &q.RequestBytes, &q.ReplyBytes} {
			if *to, err = d.Uint(); err != nil {
				return nil, err
			}
		}
		out = append(out, q)
	}
	return out, nil
}
