package execution

import (
	"math/big"

	"portico/lightclient/candid"
	"portico/lightclient/principal"
)

// The arguments and results of the snapshot methods, as the management canister's Candid
// interface names them.

type takeSnapshotArg struct {
	Canister      principal.ID `candid:"canister_id"`
	Replace       *[]byte      `candid:"replace_snapshot"`
	UninstallCode *bool        `candid:"uninstall_code"`
	SenderVersion *uint64      `candid:"sender_canister_version"`
}

type loadSnapshotArg struct {
	Canister      principal.ID `candid:"canister_id"`
	Snapshot      []byte       `candid:"snapshot_id"`
	SenderVersion *uint64      `candid:"sender_canister_version"`
}

type snapshotArg struct {
	Canister principal.ID `candid:"canister_id"`
	Snapshot []byte       `candid:"snapshot_id"`
}

type snapshotResult struct {
	ID    []byte `candid:"id"`
	Taken uint64 `candid:"taken_at_timestamp"`
	Size  uint64 `candid:"total_size"`
}

type snapshotSource struct {
	Taken    *candid.Reserved `candid:"taken_from_canister,variant"`
	Uploaded *candid.Reserved `candid:"metadata_upload,variant"`
}

type globalArg struct {
	I32  *int32    `candid:"i32,variant"`
	I64  *int64    `candid:"i64,variant"`
	F32  *float32  `candid:"f32,variant"`
	F64  *float64  `candid:"f64,variant"`
	V128 **big.Int `candid:"v128,variant"`
}

type timerArg struct {
	Inactive bool    `candid:"inactive,variant"`
	Active   *uint64 `candid:"active,variant"`
}

type lowMemoryArg struct {
	NotReached bool `candid:"condition_not_satisfied,variant"`
	Ready      bool `candid:"ready,variant"`
	Executed   bool `candid:"executed,variant"`
}

type snapshotMetadataResult struct {
	Source        snapshotSource `candid:"source"`
	Taken         uint64         `candid:"taken_at_timestamp"`
	ModuleSize    uint64         `candid:"wasm_module_size"`
	Globals       []globalArg    `candid:"globals"`
	HeapSize      uint64         `candid:"wasm_memory_size"`
	StableSize    uint64         `candid:"stable_memory_size"`
	Chunks        []chunkHash    `candid:"wasm_chunk_store"`
	Version       uint64         `candid:"canister_version"`
	CertifiedData []byte         `candid:"certified_data"`
	Timer         *timerArg      `candid:"global_timer"`
	LowMemory     *lowMemoryArg  `candid:"on_low_wasm_memory_hook_status"`
}

type uploadMetadataArg struct {
	Canister      principal.ID  `candid:"canister_id"`
	Replace       *[]byte       `candid:"replace_snapshot"`
	ModuleSize    uint64        `candid:"wasm_module_size"`
	Globals       []globalArg   `candid:"globals"`
	HeapSize      uint64        `candid:"wasm_memory_size"`
	StableSize    uint64        `candid:"stable_memory_size"`
	CertifiedData []byte        `candid:"certified_data"`
	Timer         *timerArg     `candid:"global_timer"`
	LowMemory     *lowMemoryArg `candid:"on_low_wasm_memory_hook_status"`
}

type uploadMetadataResult struct {
	Snapshot []byte `candid:"snapshot_id"`
}

type sliceArg struct {
	Offset uint64 `candid:"offset"`
	Size   uint64 `candid:"size"`
}

type offsetArg struct {
	Offset uint64 `candid:"offset"`
}

type readKindArg struct {
	Module *sliceArg  `candid:"wasm_module,variant"`
	Heap   *sliceArg  `candid:"wasm_memory,variant"`
	Stable *sliceArg  `candid:"stable_memory,variant"`
	Chunk  *chunkHash `candid:"wasm_chunk,variant"`
}

type readDataArg struct {
	Canister principal.ID `candid:"canister_id"`
	Snapshot []byte       `candid:"snapshot_id"`
	Kind     readKindArg  `candid:"kind"`
}

type readDataResult struct {
	Chunk []byte `candid:"chunk"`
}

type uploadKindArg struct {
	Module *offsetArg `candid:"wasm_module,variant"`
	Heap   *offsetArg `candid:"wasm_memory,variant"`
	Stable *offsetArg `candid:"stable_memory,variant"`
	Chunk  bool       `candid:"wasm_chunk,variant"`
}

type uploadDataArg struct {
	Canister principal.ID  `candid:"canister_id"`
	Snapshot []byte        `candid:"snapshot_id"`
	Kind     uploadKindArg `candid:"kind"`
	Chunk    []byte        `candid:"chunk"`
}
