package messaging_test

import (
	"math/big"
	"testing"
	"time"

	"portico/lightclient/principal"
	"portico/node/canistertest"
	u "portico/node/conformance/universal"
	"portico/node/types"
)

const queryEpoch = 20

// epochs is a network of so many nodes that counts queries in short epochs.
func epochs(t *testing.T, nodes int) (*canistertest.Network, []principal.ID) {
	subnet := canistertest.Subnet()
	subnet.Nodes, subnet.QueryEpoch = nodes, queryEpoch
	n := canistertest.NewOn(t, subnet)
	return n, install(t, n, 2)
}

func maker(i int) types.NodeID { return principal.SelfAuthenticating([]byte{byte(i)}) }

// until runs rounds until an epoch begins.
func until(n *canistertest.Network, epoch uint64) {
	for types.QueryEpoch(n.State().Height, queryEpoch) < epoch {
		n.Tick(time.Second)
	}
}

func TestQueryStatisticsAreTheMedianForEachNode(t *testing.T) {
	for name, x := range map[string]struct {
		reports [][2]uint64 // by node: the queries to each of two canisters, 0 for no report
		want    [2]uint64
	}{
		"all agree":               {[][2]uint64{{5, 1}, {5, 1}, {5, 1}, {5, 1}}, [2]uint64{20, 4}},
		"one says far too much":   {[][2]uint64{{5, 0}, {6, 0}, {7, 0}, {1 << 60, 1 << 60}}, [2]uint64{28, 0}},
		"one says far too little": {[][2]uint64{{5, 9}, {6, 9}, {7, 9}, {0, 0}}, [2]uint64{24, 36}},
		"one makes no block":      {[][2]uint64{{5, 1}, {6, 1}, {7, 1}}, [2]uint64{24, 4}},
		"two make no block":       {[][2]uint64{{5, 1}, {6, 1}}, [2]uint64{0, 0}},
		"half of them answered":   {[][2]uint64{{8, 0}, {8, 0}, {0, 0}, {0, 0}}, [2]uint64{32, 0}},
		"one of them answered":    {[][2]uint64{{8, 0}, {0, 0}, {0, 0}, {0, 0}}, [2]uint64{0, 0}},
		"the sum is too large":    {[][2]uint64{{1 << 63, 0}, {1 << 63, 0}, {1 << 63, 0}}, [2]uint64{1<<64 - 1, 0}},
	} {
		t.Run(name, func(t *testing.T) {
			n, ids := epochs(t, 4)
			until(n, 1)
			for node, calls := range x.reports {
				// each canister in a block of its own, and nodes with nothing to report make blocks too
				n.TickReporting(time.Second, maker(node))
				for i, count := range calls {
					if count > 0 {
						n.TickReporting(time.Millisecond, maker(node), types.QueryReport{
							Canister: ids[i], QueryCounts: types.QueryCounts{Calls: count, Instructions: count, RequestBytes: count, ReplyBytes: count},
						})
					}
				}
				if types.QueryEpoch(n.State().Height, queryEpoch) > 1 {
					t.Fatal("the epoch is too short for this test")
				}
			}
			until(n, 2)
			until(n, 3) // reports of an epoch count once
			for i, want := range x.want {
				if got := n.State().Canister(ids[i]).Queries; got != (types.QueryCounts{Calls: want, Instructions: want, RequestBytes: want, ReplyBytes: want}) {
					t.Errorf("canister %d: %+v, want %d of each", i, got, want)
				}
			}
		})
	}
}

func TestReportsOfCanistersThatAreGoneAreIgnored(t *testing.T) {
	n, ids := epochs(t, 1)
	until(n, 1)
	n.TickReporting(time.Second, maker(0), types.QueryReport{Canister: principal.Canister(77), QueryCounts: types.QueryCounts{Calls: 1}})
	until(n, 2)
	if got := n.State().Canister(ids[0]).Queries; got != (types.QueryCounts{}) {
		t.Errorf("%+v", got)
	}
}

func TestANodeCountsTheQueriesThatItAnswers(t *testing.T) {
	n, ids := epochs(t, 1)
	until(n, 1)
	query := u.Reply(u.Text("answer"))
	for range 3 {
		if _, rej := n.Query(user(), ids[0], u.Query, query); rej != nil {
			t.Fatal(rej)
		}
	}
	// a composite query counts, and so does what it calls; one that fails has no reply
	composite := u.Call{Callee: u.ID(ids[1]), Method: u.Query, Arg: u.Code(query)}.Do()
	if _, rej := n.Query(user(), ids[0], u.Composite, composite); rej != nil {
		t.Fatal(rej)
	}
	if _, rej := n.Query(user(), ids[1], u.Query, u.Trap("")); rej == nil {
		t.Fatal("no trap")
	}
	until(n, 2)
	x := n.Executor()
	counted := x.CountedQueries(1, principal.ID{}, 10)
	if len(counted) != 2 || counted[0].Canister != ids[0] || counted[1].Canister != ids[1] {
		t.Fatalf("counted: %+v", counted)
	}
	first, second := counted[0].QueryCounts, counted[1].QueryCounts
	if first.Calls != 4 || first.RequestBytes != uint64(3*len(query)+len(composite)) || first.ReplyBytes != 4*6 || first.Instructions == 0 {
		t.Errorf("the first canister: %+v", first)
	}
	if second.Calls != 2 || second.RequestBytes != uint64(len(query)+len(u.Trap(""))) || second.ReplyBytes != 6 || second.Instructions == 0 {
		t.Errorf("the second canister: %+v", second)
	}
	if rest := x.CountedQueries(1, ids[0], 10); len(rest) != 1 || rest[0] != counted[1] {
		t.Errorf("after the first: %+v", rest)
	}
	if one := x.CountedQueries(1, principal.ID{}, 1); len(one) != 1 || one[0] != counted[0] {
		t.Errorf("one: %+v", one)
	}
	n.TickReporting(time.Second, maker(0), counted...)
	until(n, 3)
	if again := x.CountedQueries(2, principal.ID{}, 10); len(again) != 0 {
		t.Errorf("of the next epoch: %+v", again)
	}
	var status struct {
		Queries struct {
			Calls    *big.Int `candid:"num_calls_total"`
			Request  *big.Int `candid:"request_payload_bytes_total"`
			Response *big.Int `candid:"response_payload_bytes_total"`
		} `candid:"query_stats"`
	}
	if rej := n.Manage(user(), "canister_status", struct {
		Canister principal.ID `candid:"canister_id"`
	}{ids[0]}, &status); rej != nil {
		t.Fatal(rej)
	}
	if q := status.Queries; q.Calls.Uint64() != 4 || q.Request.Uint64() != first.RequestBytes || q.Response.Uint64() != 24 {
		t.Errorf("canister_status tells %+v", q)
	}
}
