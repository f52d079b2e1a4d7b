package live

import (
	"testing"

	"portico/lightclient/principal"
	"portico/node/canistertest"
)

// TestSnapshotsSurviveRestarts loads a snapshot after its replica has started again: once from
// a checkpoint without it, so that the blocks since are run again, and once from one with it.
func TestSnapshotsSurviveRestarts(t *testing.T) {
	s := startSubnet(t, 1, testInterval)
	n := func() *running { return s.nodes[0] }
	id := installCounter(t, n())
	increment(t, n(), id)
	type onSnapshot struct {
		Canister principal.ID `candid:"canister_id"`
		ID       []byte       `candid:"snapshot_id"`
	}
	reply := n().call(t, principal.ID{}, id, "take_canister_snapshot", canistertest.Encode(t, struct {
		Canister principal.ID `candid:"canister_id"`
	}{id}))
	var taken struct {
		ID []byte `candid:"id"`
	}
	canistertest.Decode(t, reply, &taken)
	increment(t, n(), id)
	for range 2 {
		s.stop(0)
		s.start(0)
		n().call(t, principal.ID{}, id, "load_canister_snapshot", canistertest.Encode(t, onSnapshot{id, taken.ID}))
		for want := uint64(2); want <= 3; want++ {
			if got := increment(t, n(), id); got != want {
				t.Fatalf("after loading the snapshot the counter is %d, want %d", got, want)
			}
		}
		n().reach(t, n().reach(t, 0).view.Height+2*testInterval)
	}
	n().call(t, principal.ID{}, id, "delete_canister_snapshot", canistertest.Encode(t, onSnapshot{id, taken.ID}))
	n().reach(t, n().reach(t, 0).view.Height+2*testInterval)
	s.stop(0)
	s.start(0)
	if got := increment(t, n(), id); got != 4 {
		t.Fatalf("after deleting the snapshot the counter is %d, want 4", got)
	}
}
