package execution_test

import (
	"bytes"
	"crypto/sha256"
	"math/big"
	"testing"

	"portico/lightclient/candid"
	"portico/lightclient/principal"
	"portico/node/canistertest"
	"portico/node/types"
)

type (
	source struct {
		Taken    *candid.Reserved `candid:"taken_from_canister,variant"`
		Uploaded *candid.Reserved `candid:"metadata_upload,variant"`
	}
	global struct {
		I32  *int32    `candid:"i32,variant"`
		I64  *int64    `candid:"i64,variant"`
		F32  *float32  `candid:"f32,variant"`
		F64  *float64  `candid:"f64,variant"`
		V128 **big.Int `candid:"v128,variant"`
	}
	timer struct {
		Inactive bool    `candid:"inactive,variant"`
		Active   *uint64 `candid:"active,variant"`
	}
	hook struct {
		NotReached bool `candid:"condition_not_satisfied,variant"`
		Ready      bool `candid:"ready,variant"`
		Executed   bool `candid:"executed,variant"`
	}
	hash struct {
		Hash []byte `candid:"hash"`
	}
	metadata struct {
		Source    source   `candid:"source"`
		Taken     uint64   `candid:"taken_at_timestamp"`
		Module    uint64   `candid:"wasm_module_size"`
		Globals   []global `candid:"globals"`
		Heap      uint64   `candid:"wasm_memory_size"`
		Stable    uint64   `candid:"stable_memory_size"`
		Chunks    []hash   `candid:"wasm_chunk_store"`
		Version   uint64   `candid:"canister_version"`
		Certified []byte   `candid:"certified_data"`
		Timer     *timer   `candid:"global_timer"`
		Hook      *hook    `candid:"on_low_wasm_memory_hook_status"`
	}
	metadataUpload struct {
		Canister  principal.ID `candid:"canister_id"`
		Replace   *[]byte      `candid:"replace_snapshot"`
		Module    uint64       `candid:"wasm_module_size"`
		Globals   []global     `candid:"globals"`
		Heap      uint64       `candid:"wasm_memory_size"`
		Stable    uint64       `candid:"stable_memory_size"`
		Certified []byte       `candid:"certified_data"`
		Timer     *timer       `candid:"global_timer"`
		Hook      *hook        `candid:"on_low_wasm_memory_hook_status"`
	}
	part struct {
		Offset uint64 `candid:"offset"`
		Size   uint64 `candid:"size"`
	}
	place struct {
		Offset uint64 `candid:"offset"`
	}
	readKind struct {
		Module *part `candid:"wasm_module,variant"`
		Heap   *part `candid:"wasm_memory,variant"`
		Stable *part `candid:"stable_memory,variant"`
		Chunk  *hash `candid:"wasm_chunk,variant"`
	}
	uploadKind struct {
		Module *place `candid:"wasm_module,variant"`
		Heap   *place `candid:"wasm_memory,variant"`
		Stable *place `candid:"stable_memory,variant"`
		Chunk  bool   `candid:"wasm_chunk,variant"`
	}
	dataRead struct {
		Canister principal.ID `candid:"canister_id"`
		Snapshot []byte       `candid:"snapshot_id"`
		Kind     readKind     `candid:"kind"`
	}
	dataUpload struct {
		Canister principal.ID `candid:"canister_id"`
		Snapshot []byte       `candid:"snapshot_id"`
		Kind     uploadKind   `candid:"kind"`
		Chunk    []byte       `candid:"chunk"`
	}
	chunkUpload struct {
		Canister principal.ID `candid:"canister_id"`
		Chunk    []byte       `candid:"chunk"`
	}
)

// transfer copies a snapshot through its user, piece by piece, and returns the copy's id.
func transfer(t *testing.T, n *canistertest.Network, from, onto principal.ID, id []byte, step uint64) []byte {
	t.Helper()
	must := func(rej *types.Reject) {
		t.Helper()
		if rej != nil {
			t.Fatal(rej)
		}
	}
	var m metadata
	must(n.Manage(user(), "read_canister_snapshot_metadata", onSnapshot{from, id}, &m))
	var made struct {
		ID []byte `candid:"snapshot_id"`
	}
	must(n.Manage(user(), "upload_canister_snapshot_metadata", metadataUpload{onto, nil, m.Module, m.Globals, m.Heap, m.Stable, m.Certified, m.Timer, m.Hook}, &made))
	move := func(read readKind, upload uploadKind) {
		t.Helper()
		var got struct {
			Chunk []byte `candid:"chunk"`
		}
		must(n.Manage(user(), "read_canister_snapshot_data", dataRead{from, id, read}, &got))
		must(n.Manage(user(), "upload_canister_snapshot_data", dataUpload{onto, made.ID, upload, got.Chunk}))
	}
	pieces := func(total uint64, do func(part, place)) {
		for off := uint64(0); off < total; off += step {
			do(part{off, min(step, total-off)}, place{off})
		}
	}
	pieces(m.Module, func(p part, to place) { move(readKind{Module: &p}, uploadKind{Module: &to}) })
	pieces(m.Heap, func(p part, to place) { move(readKind{Heap: &p}, uploadKind{Heap: &to}) })
	pieces(m.Stable, func(p part, to place) { move(readKind{Stable: &p}, uploadKind{Stable: &to}) })
	for _, h := range m.Chunks {
		move(readKind{Chunk: &h}, uploadKind{Chunk: true})
	}
	return made.ID
}

func TestASnapshotThatIsDownloadedAndUploadedIsTheSame(t *testing.T) {
	n := canistertest.New(t)
	// larger than a piece of an uploaded module
	module := appendCustom(notebookModule(), "icp:public filler", bytes.Repeat([]byte{7}, 3*types.MiB/4))
	module = appendCustom(module, "padding", bytes.Repeat([]byte{8}, types.MiB))
	id := n.Install(user(), module, nil)
	if rej := n.Manage(user(), "upload_chunk", chunkUpload{id, []byte("chunk")}); rej != nil {
		t.Fatal(rej)
	}
	write(t, n, id, "over the wire")
	s := take(t, n, takeArg{Canister: id})
	onto := n.Create(user())
	copied := transfer(t, n, id, onto, s.ID, 1_300_001)
	if rej := n.Manage(user(), "load_canister_snapshot", onSnapshot{onto, copied}); rej != nil {
		t.Fatal(rej)
	}
	holds(t, n, onto, "over the wire")
	a, b := n.State().Canister(id), n.State().Canister(onto)
	if a.Code.ModuleHash != b.Code.ModuleHash || a.Timer != b.Timer || len(b.Chunks) != 1 || a.Chunks[0].Hash != b.Chunks[0].Hash {
		t.Error("module, timer or chunk store differ")
	}
	if l := list(t, n, onto)[0]; l.Size != s.Size {
		t.Errorf("the copy has %d bytes, the snapshot %d", l.Size, s.Size)
	}
	change := b.History[len(b.History)-1]
	if change.Loaded == nil || !change.Loaded.Uploaded {
		t.Errorf("the history says %+v", change.Loaded)
	}
	rejected(t, "uploading to a snapshot that was taken", n.Manage(user(), "upload_canister_snapshot_data", dataUpload{id, s.ID, uploadKind{Heap: &place{}}, []byte{1}}), types.ErrCanisterRejectedMessage, "metadata upload")
	// what was loaded does not change with the snapshot that it came from
	if rej := n.Manage(user(), "upload_canister_snapshot_data", dataUpload{onto, copied, uploadKind{Heap: &place{100}}, []byte("X")}); rej != nil {
		t.Fatal(rej)
	}
	holds(t, n, onto, "over the wire")
}

func TestSnapshotDataHasBounds(t *testing.T) {
	n := canistertest.New(t)
	id := n.Install(user(), notebookModule(), nil)
	const heapBytes = 40 * types.WasmPageBytes
	up := metadataUpload{Canister: id, Module: 100, Heap: heapBytes, Stable: types.WasmPageBytes, Globals: []global{}}
	var made struct {
		ID []byte `candid:"snapshot_id"`
	}
	if rej := n.Manage(user(), "upload_canister_snapshot_metadata", up, &made); rej != nil {
		t.Fatal(rej)
	}
	read := func(k readKind) *types.Reject {
		return n.Manage(user(), "read_canister_snapshot_data", dataRead{id, made.ID, k})
	}
	upload := func(k uploadKind, size int) *types.Reject {
		return n.Manage(user(), "upload_canister_snapshot_data", dataUpload{id, made.ID, k, make([]byte, size)})
	}
	for name, fits := range map[string]*types.Reject{
		"the largest read":               read(readKind{Heap: &part{0, 2_000_000}}),
		"the end of the heap":            read(readKind{Heap: &part{heapBytes - 1, 1}}),
		"nothing at the end of the heap": read(readKind{Heap: &part{heapBytes, 0}}),
		"all of the module":              read(readKind{Module: &part{0, 100}}),
		"writing all of the module":      upload(uploadKind{Module: &place{0}}, 100),
		"writing the end of the heap":    upload(uploadKind{Heap: &place{heapBytes - 5}}, 5),
		"a chunk of 1 MiB":               upload(uploadKind{Chunk: true}, types.MiB),
	} {
		if fits != nil {
			t.Errorf("%s: %v", name, fits)
		}
	}
	const bad = types.ErrInvalidManagementPayload
	rejected(t, "a larger read", read(readKind{Heap: &part{0, 2_000_001}}), bad, "2000000")
	rejected(t, "a read beyond the heap", read(readKind{Heap: &part{heapBytes - 1, 2}}), bad, "not within")
	rejected(t, "a read whose end overflows", read(readKind{Stable: &part{1<<64 - 1, 2}}), bad, "not within")
	rejected(t, "a read beyond the module", read(readKind{Module: &part{0, 101}}), bad, "not within")
	rejected(t, "an unknown chunk", read(readKind{Chunk: &hash{make([]byte, 32)}}), types.ErrCanisterRejectedMessage, "no chunk")
	rejected(t, "writing beyond the module", upload(uploadKind{Module: &place{1}}, 100), bad, "not within")
	rejected(t, "writing beyond stable memory", upload(uploadKind{Stable: &place{types.WasmPageBytes - 1}}, 2), bad, "not within")
	rejected(t, "a chunk of more than 1 MiB", upload(uploadKind{Chunk: true}, types.MiB+1), types.ErrCanisterContractViolation, "maximum chunk size")
	for i := range 99 { // one is there
		if rej := upload(uploadKind{Chunk: true}, i); rej != nil {
			t.Fatal(rej)
		}
	}
	rejected(t, "a chunk too many", upload(uploadKind{Chunk: true}, 200), types.ErrCanisterContractViolation, "maximum capacity")

	for name, change := range map[string]func(*metadataUpload){
		"a heap of half a page":           func(m *metadataUpload) { m.Heap = types.WasmPageBytes / 2 },
		"a heap that is too large":        func(m *metadataUpload) { m.Heap = 1 << 32 },
		"stable memory that is too large": func(m *metadataUpload) { m.Stable = 500*types.GiB + types.WasmPageBytes },
		"a module that is too large":      func(m *metadataUpload) { m.Module = 100*types.MiB + 1 },
		"no module":                       func(m *metadataUpload) { m.Module = 0 },
		"33 bytes of certified data":      func(m *metadataUpload) { m.Certified = make([]byte, 33) },
	} {
		m := up
		change(&m)
		rejected(t, name, n.Manage(user(), "upload_canister_snapshot_metadata", m), bad, "")
	}
}

func TestAnUploadedSnapshotMustFitTogether(t *testing.T) {
	n := canistertest.New(t)
	id := n.Create(user())
	module := notebookModule()
	seven := int64(7)
	good := metadataUpload{Canister: id, Module: uint64(len(module)), Heap: types.WasmPageBytes, Globals: []global{{I64: &seven}}}
	load := func(m metadataUpload, code []byte) *types.Reject {
		t.Helper()
		var made struct {
			ID []byte `candid:"snapshot_id"`
		}
		if rej := n.Manage(user(), "upload_canister_snapshot_metadata", m, &made); rej != nil {
			t.Fatal(rej)
		}
		if rej := n.Manage(user(), "upload_canister_snapshot_data", dataUpload{id, made.ID, uploadKind{Module: &place{}}, code}); rej != nil {
			t.Fatal(rej)
		}
		return n.Manage(user(), "load_canister_snapshot", onSnapshot{id, made.ID})
	}
	short, number := good, int32(1)
	short.Heap = 0
	rejected(t, "a heap smaller than the module's", load(short, module), types.ErrCanisterRejectedMessage, "inconsistent")
	few := good
	few.Globals = []global{}
	rejected(t, "too few globals", load(few, module), types.ErrCanisterRejectedMessage, "inconsistent")
	wrong := good
	wrong.Globals = []global{{I32: &number}}
	rejected(t, "a global of another type", load(wrong, module), types.ErrCanisterRejectedMessage, "inconsistent")
	rejected(t, "a broken module", load(good, bytes.Repeat([]byte{1}, len(module))), types.ErrCanisterInvalidWasm, "not valid")
	if n.State().Canister(id).Code != nil {
		t.Fatal("the canister is not empty any more")
	}
	if rej := load(good, module); rej != nil {
		t.Fatal(rej)
	}
	c := n.State().Canister(id)
	if c.Code.ModuleHash != sha256.Sum256(module) || c.Code.Globals[0] != 7 || c.Timer != 0 {
		t.Errorf("the code is %x with globals %v", c.Code.ModuleHash, c.Code.Globals)
	}
}
