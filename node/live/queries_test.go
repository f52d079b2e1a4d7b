package live

import (
	"testing"

	"portico/lightclient/envelope"
	"portico/node/api"
	"portico/node/types"
)

func TestAllReplicasAgreeOnTheQueriesThatEachAnswers(t *testing.T) {
	const epoch, each = 24, 7
	if testing.Short() {
		t.Skip("waits for two epochs of blocks")
	}
	s := newSubnet(t, 4, testInterval)
	s.records.Subnet.QueryEpoch = epoch
	for i := range s.nodes {
		s.start(i)
		defer s.stop(i)
	}
	id := installCounter(t, s.nodes[0])
	increment(t, s.nodes[0], id)
	// at the beginning of an epoch, so that all queries are of the same one
	began := (s.nodes[0].reach(t, 0).view.Height/epoch + 1) * epoch
	for _, n := range s.nodes {
		n.reach(t, began)
	}
	for _, n := range s.nodes {
		for range each {
			if reply, rej, err := n.Query(t.Context(), api.Query{Request: &envelope.Request{Kind: envelope.Query, Canister: id, Method: "get"}}); err != nil || rej != nil || len(reply) == 0 {
				t.Fatalf("query: %x, %v, %v", reply, rej, err)
			}
		}
	}
	var counts []types.QueryCounts
	for _, n := range s.nodes {
		counts = append(counts, n.reach(t, began+2*epoch).state.Canister(id).Queries)
	}
	for i, c := range counts {
		if c != counts[0] {
			t.Errorf("replica %d has %+v, the first %+v", i, c, counts[0])
		}
	}
	if c := counts[0]; c.Calls != 4*each || c.ReplyBytes != 4*each*8 || c.Instructions == 0 {
		t.Errorf("%+v, want %d calls", c, 4*each)
	}
}
