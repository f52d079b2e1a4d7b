package execution_test

import (
	"crypto/sha256"
	"math/big"
	"testing"
	"time"

	"portico/lightclient/principal"
	"portico/node/canistertest"
	"portico/node/types"
)

type chunkedArg struct {
	Mode   canistertest.Mode `candid:"mode"`
	Target principal.ID      `candid:"target_canister"`
	Store  *principal.ID     `candid:"store_canister"`
	Chunks []hash            `candid:"chunk_hashes_list"`
	Hash   []byte            `candid:"wasm_module_hash"`
	Arg    []byte            `candid:"arg"`
}

func TestAChunkStoreHoldsAHundredChunksOfOneMiB(t *testing.T) {
	n := canistertest.New(t)
	id := n.Create(user())
	upload := func(size int) *types.Reject {
		return n.Manage(user(), "upload_chunk", chunkUpload{id, make([]byte, size)})
	}
	if rej := upload(types.MiB); rej != nil {
		t.Fatal(rej)
	}
	rejected(t, "a larger chunk", upload(types.MiB+1), types.ErrCanisterContractViolation, "maximum chunk size")
	for i := range 99 {
		if rej := upload(i); rej != nil {
			t.Fatal(rej)
		}
	}
	rejected(t, "a chunk too many", upload(100), types.ErrCanisterContractViolation, "maximum capacity")
	if rej := upload(98); rej != nil {
		t.Errorf("a chunk that is there already: %v", rej)
	}
	var stored []hash
	if rej := n.Manage(user(), "stored_chunks", onCanister{id}, &stored); rej != nil || len(stored) != 100 {
		t.Errorf("%d chunks are stored, %v", len(stored), rej)
	}
	if rej := n.Manage(user(), "clear_chunk_store", onCanister{id}); rej != nil {
		t.Fatal(rej)
	}
	if rej := n.Manage(user(), "stored_chunks", onCanister{id}, &stored); rej != nil || len(stored) != 0 {
		t.Errorf("%d chunks are left, %v", len(stored), rej)
	}
	rejected(t, "uploading to a canister of somebody else", n.Manage(other(), "upload_chunk", chunkUpload{id, nil}), types.ErrCanisterInvalidController, "controllers")
}

func TestCodeIsInstalledFromTheChunksOfAnotherCanister(t *testing.T) {
	n := canistertest.New(t)
	store, target := n.Create(user()), n.Create(user())
	module := notebookModule()
	good := chunkedArg{Mode: canistertest.Mode{Install: true}, Target: target, Store: &store, Hash: sum(module)}
	for _, part := range [][]byte{module[:50], module[50:]} {
		var stored hash
		if rej := n.Manage(user(), "upload_chunk", chunkUpload{store, part}, &stored); rej != nil {
			t.Fatal(rej)
		}
		good.Chunks = append(good.Chunks, stored)
	}
	install := func(by principal.ID, change func(*chunkedArg)) *types.Reject {
		arg := good
		change(&arg)
		return n.Manage(by, "install_chunked_code", arg)
	}
	rejected(t, "another hash", install(user(), func(a *chunkedArg) { a.Hash = sum(nil) }), types.ErrCanisterContractViolation, "does not match")
	rejected(t, "a missing chunk", install(user(), func(a *chunkedArg) { a.Chunks = []hash{{sum([]byte("no"))}} }), types.ErrCanisterContractViolation, "not found")
	rejected(t, "chunks in another canister", install(user(), func(a *chunkedArg) { a.Store = nil }), types.ErrCanisterContractViolation, "not found")
	rejected(t, "more than a hundred chunks", install(user(), func(a *chunkedArg) { a.Chunks = make([]hash, 101) }), types.ErrInvalidManagementPayload, "at most 100")
	foreign := n.Create(other())
	rejected(t, "a store of somebody else", install(user(), func(a *chunkedArg) { a.Store = &foreign }), types.ErrCanisterInvalidController, "controllers")
	rejected(t, "a target of somebody else", install(user(), func(a *chunkedArg) { a.Target = foreign }), types.ErrCanisterInvalidController, "controllers")
	if rej := install(user(), func(*chunkedArg) {}); rej != nil {
		t.Fatal(rej)
	}
	write(t, n, target, "works")
	holds(t, n, target, "works")
}

func sum(b []byte) []byte {
	h := sha256.Sum256(b)
	return h[:]
}

func TestACanisterOutOfCyclesLosesItsSnapshotsAndHistory(t *testing.T) {
	n := canistertest.New(t)
	amount := nat0(3_000_000_000_000)
	var created struct {
		ID principal.ID `candid:"canister_id"`
	}
	if rej := n.Manage(user(), "provisional_create_canister_with_cycles", struct {
		Amount **big.Int `candid:"amount"`
	}{&amount}, &created); rej != nil {
		t.Fatal(rej)
	}
	id := created.ID
	if rej := n.InstallCode(user(), id, canistertest.Mode{Install: true}, notebookModule(), nil); rej != nil {
		t.Fatal(rej)
	}
	s := take(t, n, takeArg{Canister: id})
	none, all := nat0(0), nat0(100)
	if rej := update(t, n, id, struct {
		Freezing **big.Int `candid:"freezing_threshold"`
		Compute  **big.Int `candid:"compute_allocation"`
	}{&none, &all}); rej != nil {
		t.Fatal(rej)
	}
	n.Tick(2 * time.Hour)
	n.Tick(time.Minute)
	c := n.State().Canister(id)
	if c.Code != nil || !c.Cycles.IsZero() || len(c.Snapshots) != 0 || len(c.History) != 0 || c.TotalChanges == 0 {
		t.Errorf("after two hours at full allocation the canister has %s cycles, %d snapshots and %d changes", c.Cycles, len(c.Snapshots), len(c.History))
	}
	if n.State().Canister(id).Snapshot(0) != nil {
		t.Errorf("snapshot %x is still there", s.ID)
	}
}
