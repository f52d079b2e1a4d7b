package execution_test

import (
	"bytes"
	"math/big"
	"strings"
	"testing"
	"time"

	"portico/lightclient/principal"
	"portico/node/canistertest"
	"portico/node/state"
	"portico/node/types"
	"portico/node/wasm/wat"
)

func nat0(n uint64) *big.Int { return new(big.Int).SetUint64(n) }

// The arguments and results of the snapshot methods, as a client writes them.
type (
	takeArg struct {
		Canister  principal.ID `candid:"canister_id"`
		Replace   *[]byte      `candid:"replace_snapshot"`
		Uninstall *bool        `candid:"uninstall_code"`
		Version   *uint64      `candid:"sender_canister_version"`
	}
	snapshot struct {
		ID    []byte `candid:"id"`
		Taken uint64 `candid:"taken_at_timestamp"`
		Size  uint64 `candid:"total_size"`
	}
	onSnapshot struct {
		Canister principal.ID `candid:"canister_id"`
		Snapshot []byte       `candid:"snapshot_id"`
	}
	onCanister struct {
		Canister principal.ID `candid:"canister_id"`
	}
	visibility struct {
		Controllers bool            `candid:"controllers,variant"`
		Public      bool            `candid:"public,variant"`
		Viewers     *[]principal.ID `candid:"allowed_viewers,variant"`
	}
)

func take(t *testing.T, n *canistertest.Network, arg takeArg) snapshot {
	t.Helper()
	var s snapshot
	if rej := n.Manage(user(), "take_canister_snapshot", arg, &s); rej != nil {
		t.Fatal(rej)
	}
	return s
}

func list(t *testing.T, n *canistertest.Network, id principal.ID) []snapshot {
	t.Helper()
	var s []snapshot
	if rej := n.Manage(user(), "list_canister_snapshots", onCanister{id}, &s); rej != nil {
		t.Fatal(rej)
	}
	return s
}

// rejected checks that a call was rejected with a code and a message that says so.
func rejected(t *testing.T, what string, rej *types.Reject, code types.ErrorCode, says string) {
	t.Helper()
	if rej == nil || rej.Code != code || !strings.Contains(rej.Message, says) {
		t.Errorf("%s was answered %v, want %s with %q", what, rej, code, says)
	}
}

func other() principal.ID { return principal.SelfAuthenticating([]byte("other")) }

func TestALoadedSnapshotBringsBackEverything(t *testing.T) {
	n := canistertest.New(t)
	id := n.Install(user(), notebookModule(), nil)
	write(t, n, id, "first")
	s := take(t, n, takeArg{Canister: id})
	before := *n.State().Canister(id)
	write(t, n, id, "second, and longer")
	holds(t, n, id, "second, and longer")
	if rej := n.Manage(user(), "load_canister_snapshot", onSnapshot{id, s.ID}); rej != nil {
		t.Fatal(rej)
	}
	holds(t, n, id, "first")
	after := n.State().Canister(id)
	if after.Timer != before.Timer || after.Code.Globals[0] != 5 || after.StableBytes != before.StableBytes {
		t.Errorf("timer %d, globals %v, stable memory of %d bytes; want %d, [5], %d", after.Timer, after.Code.Globals, after.StableBytes, before.Timer, before.StableBytes)
	}
	if want := before.Version + 2; after.Version != want {
		t.Errorf("the version is %d, want %d", after.Version, want)
	}
	change := after.History[len(after.History)-1]
	if change.Kind != state.ChangeLoadSnapshot || !bytes.Equal(change.Loaded.ID.Bytes(), s.ID) || change.Loaded.Version != before.Version || change.ModuleHash != (types.Hash{}) {
		t.Errorf("the history ends with %+v", change)
	}
	// the snapshot is still there, and as it was
	write(t, n, id, "third")
	if rej := n.Manage(user(), "load_canister_snapshot", onSnapshot{id, s.ID}); rej != nil {
		t.Fatal(rej)
	}
	holds(t, n, id, "first")
}

func TestATrapAfterLoadingASnapshotLeavesWhatWasLoaded(t *testing.T) {
	n := canistertest.New(t)
	id := n.Install(user(), notebookModule(), nil)
	write(t, n, id, "kept")
	s := take(t, n, takeArg{Canister: id})
	write(t, n, id, "gone")
	load := n.Send(user(), principal.ID{}, "load_canister_snapshot", canistertest.Encode(t, onSnapshot{id, s.ID}))
	if _, rej := n.Call(user(), id, "crash", nil); rej == nil {
		t.Fatal("unreachable did not trap")
	}
	if _, rej, ok := n.Result(load); !ok || rej != nil {
		t.Fatalf("loading was answered %v, %v", rej, ok)
	}
	holds(t, n, id, "kept")
}

func TestMotokoCanistersComeBackFromSnapshots(t *testing.T) {
	each(t, func(t *testing.T, persistence string) {
		n := canistertest.New(t)
		id := n.Install(user(), canistertest.Motoko(t, persistence, counterSource), empty(t))
		increment := func(want uint64) {
			t.Helper()
			reply, rej := n.Call(user(), id, "increment", empty(t))
			if got := nat(t, reply, rej); got != want {
				t.Fatalf("increment gave %d, want %d", got, want)
			}
		}
		increment(1)
		s := take(t, n, takeArg{Canister: id})
		increment(2)
		increment(3)
		if rej := n.Manage(user(), "load_canister_snapshot", onSnapshot{id, s.ID}); rej != nil {
			t.Fatal(rej)
		}
		increment(2)
	})
}

func TestACanisterHasTenSnapshotsAndReplacesThem(t *testing.T) {
	n := canistertest.New(t)
	id := n.Install(user(), notebookModule(), nil)
	var first snapshot
	for i := range 10 {
		s := take(t, n, takeArg{Canister: id})
		if i == 0 {
			first = s
		}
	}
	rejected(t, "an eleventh snapshot", n.Manage(user(), "take_canister_snapshot", takeArg{Canister: id}), types.ErrCanisterRejectedMessage, "maximum number of snapshots allowed: 10")
	replacing := take(t, n, takeArg{Canister: id, Replace: &first.ID})
	all := list(t, n, id)
	if len(all) != 10 || bytes.Equal(all[0].ID, first.ID) || !bytes.Equal(all[9].ID, replacing.ID) {
		t.Fatalf("after replacing the first of ten there are %x", all)
	}
	rejected(t, "replacing a snapshot that is gone", n.Manage(user(), "take_canister_snapshot", takeArg{Canister: id, Replace: &first.ID}), types.ErrSnapshotNotFound, "Could not find")
	rejected(t, "loading it", n.Manage(user(), "load_canister_snapshot", onSnapshot{id, first.ID}), types.ErrSnapshotNotFound, "Could not find")
	rejected(t, "a nonsense id", n.Manage(user(), "load_canister_snapshot", onSnapshot{id, []byte{1}}), types.ErrSnapshotNotFound, "Could not find")
	for _, s := range all {
		if rej := n.Manage(user(), "delete_canister_snapshot", onSnapshot{id, s.ID}); rej != nil {
			t.Fatal(rej)
		}
	}
	if left := list(t, n, id); len(left) != 0 {
		t.Errorf("%d snapshots are left", len(left))
	}
	if s := take(t, n, takeArg{Canister: id}); bytes.Equal(s.ID, first.ID) {
		t.Error("a snapshot id was used twice")
	}
}

func TestSnapshotsAreStoredAndPaidFor(t *testing.T) {
	n := canistertest.New(t)
	id := n.Install(user(), notebookModule(), nil)
	write(t, n, id, "x")
	var before, after struct {
		Memory  *big.Int `candid:"memory_size"`
		Metrics struct {
			Snapshots *big.Int `candid:"snapshots_size"`
		} `candid:"memory_metrics"`
		Cycles *big.Int `candid:"cycles"`
	}
	if rej := n.Manage(user(), "canister_status", onCanister{id}, &before); rej != nil {
		t.Fatal(rej)
	}
	s := take(t, n, takeArg{Canister: id})
	if rej := n.Manage(user(), "canister_status", onCanister{id}, &after); rej != nil {
		t.Fatal(rej)
	}
	grown := new(big.Int).Sub(after.Memory, before.Memory)
	if grown.Cmp(nat0(s.Size)) != 0 || after.Metrics.Snapshots.Cmp(nat0(s.Size)) != 0 || s.Size < 2*types.WasmPageBytes {
		t.Errorf("a snapshot of %d bytes made memory grow by %s and snapshots be %s", s.Size, grown, after.Metrics.Snapshots)
	}
	spent := new(big.Int).Sub(before.Cycles, after.Cycles)
	if want := nat0(2_005_000_000 + s.Size); spent.Cmp(want) < 0 {
		t.Errorf("the snapshot cost %s cycles, want at least %s", spent, want)
	}
}

func TestTakingASnapshotMayUninstallTheCode(t *testing.T) {
	n := canistertest.New(t)
	id := n.Install(user(), notebookModule(), nil)
	write(t, n, id, "packed away")
	yes := true
	s := take(t, n, takeArg{Canister: id, Uninstall: &yes})
	c := n.State().Canister(id)
	if c.Code != nil || c.StableBytes != 0 || c.History[len(c.History)-1].Kind != state.ChangeUninstall {
		t.Fatalf("the canister was not uninstalled: %+v", c.History)
	}
	rejected(t, "a snapshot of an empty canister", n.Manage(user(), "take_canister_snapshot", takeArg{Canister: id}), types.ErrCanisterRejectedMessage, "empty canister")
	if rej := n.Manage(user(), "load_canister_snapshot", onSnapshot{id, s.ID}); rej != nil {
		t.Fatal(rej)
	}
	holds(t, n, id, "packed away")
}

func TestSnapshotsLoadOntoOtherCanistersOfTheSameController(t *testing.T) {
	n := canistertest.New(t)
	from := n.Install(user(), notebookModule(), nil)
	write(t, n, from, "moves")
	s := take(t, n, takeArg{Canister: from})
	onto := n.Create(user())
	if rej := n.Manage(user(), "load_canister_snapshot", onSnapshot{onto, s.ID}); rej != nil {
		t.Fatal(rej)
	}
	holds(t, n, onto, "moves")
	write(t, n, onto, "goes on")
	holds(t, n, onto, "goes on")
	holds(t, n, from, "moves")
	strange := n.Create(other())
	rejected(t, "loading a snapshot of a canister of somebody else", n.Manage(other(), "load_canister_snapshot", onSnapshot{strange, s.ID}), types.ErrCanisterInvalidController, "controllers")
	rejected(t, "deleting it through another canister", n.Manage(user(), "delete_canister_snapshot", onSnapshot{onto, s.ID}), types.ErrCanisterRejectedMessage, "does not belong")
	// deleting a canister deletes its snapshots
	for _, method := range []string{"stop_canister", "delete_canister"} {
		if rej := n.Manage(user(), method, onCanister{from}); rej != nil {
			t.Fatal(rej)
		}
	}
	rejected(t, "loading a snapshot of a deleted canister", n.Manage(user(), "load_canister_snapshot", onSnapshot{onto, s.ID}), types.ErrSnapshotNotFound, "Could not find")
	holds(t, n, onto, "goes on")
}

func TestSnapshotVisibilityOpensReadingOnly(t *testing.T) {
	n := canistertest.New(t)
	id := n.Install(user(), notebookModule(), nil)
	s := take(t, n, takeArg{Canister: id})
	reads := map[string]any{"list_canister_snapshots": onCanister{id}, "read_canister_snapshot_metadata": onSnapshot{id, s.ID}}
	type settings struct {
		Visibility *visibility `candid:"snapshot_visibility"`
	}
	for method, arg := range reads {
		rejected(t, method+" by somebody else", n.Manage(other(), method, arg), types.ErrCanisterInvalidController, "controllers")
	}
	for _, v := range []visibility{{Public: true}, {Viewers: &[]principal.ID{other()}}} {
		if rej := update(t, n, id, settings{&v}); rej != nil {
			t.Fatal(rej)
		}
		for method, arg := range reads {
			if rej := n.Inspect(other(), method, arg); rej != nil {
				t.Errorf("%s was not let in: %v", method, rej)
			}
			if rej := n.Manage(other(), method, arg); rej != nil {
				t.Errorf("%s: %v", method, rej)
			}
		}
		rejected(t, "deleting by a viewer", n.Manage(other(), "delete_canister_snapshot", onSnapshot{id, s.ID}), types.ErrCanisterInvalidController, "controllers")
	}
}

// slowAdder reads its number, works for more than a round, and writes the number plus one.
const slowAdder = `(module
  (import "ic0" "msg_reply" (func $reply))
  (import "ic0" "msg_reply_data_append" (func $append (param i32 i32)))
  (memory 1)
  (func (export "canister_update add")
    (i64.store (i32.const 0) (i64.add (i64.load (i32.const 0)) (i64.const 1)))
    (call $reply))
  (func (export "canister_update slowly") (local $was i64) (local $n i64)
    (local.set $was (i64.load (i32.const 0)))
    (i64.store (i32.const 8) (i64.const 99))
    (loop $again
      (local.set $n (i64.add (local.get $n) (i64.const 1)))
      (br_if $again (i64.lt_u (local.get $n) (i64.const 500000000))))
    (i64.store (i32.const 0) (i64.add (local.get $was) (i64.const 1)))
    (call $reply))
  (func (export "canister_query get") (call $append (i32.const 0) (i32.const 16)) (call $reply)))`

// TestASnapshotIsOfTheStateBetweenMessages: it has nothing of the message that a canister is
// in the middle of, which begins again after a snapshot was loaded.
func TestASnapshotIsOfTheStateBetweenMessages(t *testing.T) {
	if testing.Short() {
		t.Skip("runs billions of instructions")
	}
	n := canistertest.New(t)
	id := n.Install(user(), wat.MustAssemble(slowAdder), nil)
	get := func() (number, mark byte) {
		t.Helper()
		reply, rej := n.Query(user(), id, "get", nil)
		if rej != nil {
			t.Fatal(rej)
		}
		return reply[0], reply[8]
	}
	slow := n.Send(user(), id, "slowly", nil)
	s := take(t, n, takeArg{Canister: id})
	finish := func() {
		t.Helper()
		for range 20 {
			if _, rej, ok := n.Result(slow); ok && rej == nil {
				return
			}
			n.Tick(time.Second)
		}
		t.Fatal("the long message has not ended after 20 rounds")
	}
	finish()
	if number, mark := get(); number != 1 || mark != 99 {
		t.Fatalf("after the long message the heap holds %d and %d, want 1 and 99", number, mark)
	}
	slow = n.Send(user(), id, "slowly", nil) // reads 1
	if rej := n.Manage(user(), "load_canister_snapshot", onSnapshot{id, s.ID}); rej != nil {
		t.Fatal(rej)
	}
	if number, mark := get(); number != 0 || mark != 0 {
		t.Errorf("the snapshot holds %d and %d, want zeros", number, mark)
	}
	finish()
	if number, _ := get(); number != 1 {
		t.Errorf("the message that began again ended with %d, want 1", number)
	}
}
