package conformance

import (
	"bytes"
	"crypto/sha256"
	"math/big"

	"portico/lightclient/candid"
	"portico/lightclient/envelope"
	"portico/lightclient/principal"
	u "portico/node/conformance/universal"
)

type takeArg struct {
	Canister  principal.ID `candid:"canister_id"`
	Replace   *[]byte      `candid:"replace_snapshot"`
	Uninstall *bool        `candid:"uninstall_code"`
}

type snapshot struct {
	ID   []byte `candid:"id"`
	Time uint64 `candid:"taken_at_timestamp"`
	Size uint64 `candid:"total_size"`
}

type snapshotArg struct {
	Canister principal.ID `candid:"canister_id"`
	Snapshot []byte       `candid:"snapshot_id"`
}

type snapshotGlobal struct {
	I32  *int32    `candid:"i32,variant"`
	I64  *int64    `candid:"i64,variant"`
	F32  *float32  `candid:"f32,variant"`
	F64  *float64  `candid:"f64,variant"`
	V128 **big.Int `candid:"v128,variant"`
}

type snapshotTimer struct {
	Inactive bool    `candid:"inactive,variant"`
	Active   *uint64 `candid:"active,variant"`
}

type snapshotHook struct {
	NotSatisfied bool `candid:"condition_not_satisfied,variant"`
	Ready        bool `candid:"ready,variant"`
	Executed     bool `candid:"executed,variant"`
}

type snapshotMetadata struct {
	Source struct {
		Taken    *candid.Reserved `candid:"taken_from_canister,variant"`
		Uploaded *candid.Reserved `candid:"metadata_upload,variant"`
	} `candid:"source"`
	ModuleSize uint64           `candid:"wasm_module_size"`
	Globals    []snapshotGlobal `candid:"globals"`
	HeapSize   uint64           `candid:"wasm_memory_size"`
	StableSize uint64           `candid:"stable_memory_size"`
	Chunks     []chunkHash      `candid:"wasm_chunk_store"`
	Version    uint64           `candid:"canister_version"`
	Certified  []byte           `candid:"certified_data"`
	Timer      *snapshotTimer   `candid:"global_timer"`
	Hook       *snapshotHook    `candid:"on_low_wasm_memory_hook_status"`
}

type uploadMetadataArg struct {
	Canister   principal.ID     `candid:"canister_id"`
	Replace    *[]byte          `candid:"replace_snapshot"`
	ModuleSize uint64           `candid:"wasm_module_size"`
	Globals    []snapshotGlobal `candid:"globals"`
	HeapSize   uint64           `candid:"wasm_memory_size"`
	StableSize uint64           `candid:"stable_memory_size"`
	Certified  []byte           `candid:"certified_data"`
	Timer      *snapshotTimer   `candid:"global_timer"`
	Hook       *snapshotHook    `candid:"on_low_wasm_memory_hook_status"`
}

type span struct {
	Offset uint64 `candid:"offset"`
	Size   uint64 `candid:"size"`
}

type from struct {
	Offset uint64 `candid:"offset"`
}

type readDataArg struct {
	Canister principal.ID `candid:"canister_id"`
	Snapshot []byte       `candid:"snapshot_id"`
	Kind     struct {
		Module *span      `candid:"wasm_module,variant"`
		Heap   *span      `candid:"wasm_memory,variant"`
		Stable *span      `candid:"stable_memory,variant"`
		Chunk  *chunkHash `candid:"wasm_chunk,variant"`
	} `candid:"kind"`
}

type uploadDataArg struct {
	Canister principal.ID `candid:"canister_id"`
	Snapshot []byte       `candid:"snapshot_id"`
	Kind     struct {
		Module *from `candid:"wasm_module,variant"`
		Heap   *from `candid:"wasm_memory,variant"`
		Stable *from `candid:"stable_memory,variant"`
		Chunk  bool  `candid:"wasm_chunk,variant"`
	} `candid:"kind"`
	Chunk []byte `candid:"chunk"`
}

// take takes a snapshot as the owner.
func (can *canister) take() snapshot {
	can.Helper()
	var out snapshot
	can.manageOK(can.owner, can.id, "take_canister_snapshot", takeArg{Canister: can.id}, &out)
	return out
}

func (can *canister) load(id []byte) answer {
	can.Helper()
	return can.manage(can.owner, can.id, "load_canister_snapshot", snapshotArg{can.id, id})
}

func (can *canister) listed() (out []snapshot) {
	can.Helper()
	can.ok("list_canister_snapshots", can.control("list_canister_snapshots", &out))
	return out
}

// marked makes a canister whose heap, stable and certified data say the same word.
func (c *check) marked(word string) *canister {
	c.Helper()
	return c.install(u.StableGrow(1), mark(word))
}

func mark(word string) u.Program {
	return u.Seq(u.SetGlobal(u.Text(word)), u.StableWrite(0, u.Text(word)), certify(word))
}

func (can *canister) isMarked(what, word string) {
	can.Helper()
	can.replies(what+": heap", can.ask(u.Reply(u.Global())), []byte(word))
	can.replies(what+": stable memory", can.ask(u.Reply(u.StableRead(0, uint64(len(word))))), []byte(word))
	can.certifies(what, []byte(word))
}

// maxSnapshots of a canister.
const maxSnapshots = 10

func (s *section) snapshots() {
	s.check("BC2 a snapshot brings back heap, stable memory, certified data and code", func(c *check) {
		can := c.marked("FIRST")
		taken := can.take()
		can.run(mark("OTHER"))
		c.ok("load", can.load(taken.ID))
		can.isMarked("after load", "FIRST")
		c.ok("reinstall", can.deploy(reinstallMode(), c.universal(u.Section("other", ""))))
		c.ok("load", can.load(taken.ID))
		can.hashIs("after load", c.module)
		can.isMarked("after load over other code", "FIRST")
		c.ok("uninstall", can.control("uninstall_code"))
		c.ok("load", can.load(taken.ID))
		can.isMarked("after load over nothing", "FIRST")
	})
	s.check("BC2 snapshots are listed, replaced, limited and deleted", func(c *check) {
		can := c.install()
		var ids [][]byte
		for range maxSnapshots {
			ids = append(ids, can.take().ID)
		}
		equal(c, "snapshots", len(can.listed()), maxSnapshots)
		c.fails("one more", can.manage(can.owner, can.id, "take_canister_snapshot", takeArg{Canister: can.id}))
		var replaced snapshot
		c.manageOK(can.owner, can.id, "take_canister_snapshot", takeArg{Canister: can.id, Replace: &ids[0]}, &replaced)
		equal(c, "snapshots after a replacement", len(can.listed()), maxSnapshots)
		c.fails("load of the replaced one", can.load(ids[0]))
		c.ok("delete", can.manage(can.owner, can.id, "delete_canister_snapshot", snapshotArg{can.id, ids[1]}))
		c.fails("delete again", can.manage(can.owner, can.id, "delete_canister_snapshot", snapshotArg{can.id, ids[1]}))
		equal(c, "snapshots after a deletion", len(can.listed()), maxSnapshots-1)
		c.fails("load of a snapshot that never was", can.load(bytes.Repeat([]byte{7}, 16)))
	})
	s.check("BC2 others cannot take, load, list or delete", func(c *check) {
		can, other := c.install(), newUser()
		taken := can.take()
		for method, arg := range map[string]any{
			"take_canister_snapshot": takeArg{Canister: can.id}, "load_canister_snapshot": snapshotArg{can.id, taken.ID},
			"list_canister_snapshots": canisterArg{can.id}, "delete_canister_snapshot": snapshotArg{can.id, taken.ID},
			"read_canister_snapshot_metadata": snapshotArg{can.id, taken.ID},
		} {
			c.fails(method, can.manage(other, can.id, method, arg))
		}
		c.ok("settings", can.set(canSettings{SnapshotVisible: &visibility{AllowedViewers: &[]principal.ID{other.Sender()}}}))
		c.ok("list for a viewer", can.manage(other, can.id, "list_canister_snapshots", canisterArg{can.id}))
		c.ok("metadata for a viewer", can.manage(other, can.id, "read_canister_snapshot_metadata", snapshotArg{can.id, taken.ID}))
		c.fails("take by a viewer", can.manage(other, can.id, "take_canister_snapshot", takeArg{Canister: can.id}))
		c.ok("settings", can.set(canSettings{SnapshotVisible: &visibility{Public: true}}))
		c.ok("list for anybody", can.manage(newUser(), can.id, "list_canister_snapshots", canisterArg{can.id}))
	})
	s.snapshotUses()
}

// snapshotUses checks what snapshots are good for besides going back.
func (s *section) snapshotUses() {
	s.check("BC2 a snapshot can be loaded into another canister of the same controller", func(c *check) {
		can := c.marked("FIRST")
		taken := can.take()
		other := c.emptyOf(can.owner, provisional{})
		c.ok("load", other.load(taken.ID))
		other.isMarked("after load", "FIRST")
		stranger := c.empty()
		c.fails("load into a stranger's", stranger.load(taken.ID))
	})
	s.check("BC2 taking a snapshot may uninstall the code", func(c *check) {
		can, yes := c.marked("FIRST"), true
		var taken snapshot
		c.manageOK(can.owner, can.id, "take_canister_snapshot", takeArg{Canister: can.id, Uninstall: &yes}, &taken)
		if can.status().ModuleHash != nil {
			c.Errorf("the code is still there")
		}
		c.ok("load", can.load(taken.ID))
		can.isMarked("after load", "FIRST")
		c.fails("of an empty canister", func() answer {
			empty := c.empty()
			return empty.manage(empty.owner, empty.id, "take_canister_snapshot", takeArg{Canister: empty.id})
		}())
	})
	s.check("BC2 a load is in the history and counts as a version", func(c *check) {
		can := c.install()
		taken := can.take()
		before := can.status().Version
		c.ok("load", can.load(taken.ID))
		equal(c, "version", can.status().Version, before+1)
		recent := can.history(all()).Recent
		if last := recent[len(recent)-1]; last.Details.LoadSnap == nil {
			c.Errorf("the last entry is %+v", last.Details)
		}
	})
	s.check("BC2 data of a snapshot can be read", readSnapshot)
	s.check("BC2 a snapshot can be uploaded", uploadSnapshot)
}

// part reads a part of a snapshot.
func (can *canister) part(id []byte, edit func(*readDataArg)) answer {
	can.Helper()
	arg := readDataArg{Canister: can.id, Snapshot: id}
	edit(&arg)
	var out struct {
		Chunk []byte `candid:"chunk"`
	}
	a := can.manage(can.owner, can.id, "read_canister_snapshot_data", arg, &out)
	if a.code == 0 && a.status == 0 {
		a.reply = out.Chunk
	}
	return a
}

// whole reads one kind of a snapshot's data in pieces.
func (can *canister) whole(id []byte, size uint64, kind func(*readDataArg, *span)) (out []byte) {
	can.Helper()
	const piece = 1_000_000
	for at := uint64(0); at < size; at += piece {
		part := &span{at, min(piece, size-at)}
		out = append(out, can.ok("read_canister_snapshot_data", can.part(id, func(a *readDataArg) { kind(a, part) }))...)
	}
	return out
}

func moduleOf(a *readDataArg, p *span) { a.Kind.Module = p }
func heapOf(a *readDataArg, p *span)   { a.Kind.Heap = p }
func stableOf(a *readDataArg, p *span) { a.Kind.Stable = p }

func (can *canister) metadataOf(id []byte) (out snapshotMetadata) {
	can.Helper()
	can.manageOK(can.owner, can.id, "read_canister_snapshot_metadata", snapshotArg{can.id, id}, &out)
	return out
}

func readSnapshot(c *check) {
	can := c.marked("FIRST")
	chunk := []byte("a chunk")
	can.manageOK(can.owner, can.id, "upload_chunk", chunkArg{can.id, chunk})
	can.run(u.Drop(timer(u.Int(aside))))
	taken := can.take()
	m := can.metadataOf(taken.ID)
	equal(c, "module size", m.ModuleSize, uint64(len(c.module)))
	equal(c, "stable size", m.StableSize, 1<<16)
	equal(c, "certified data", string(m.Certified), "FIRST")
	equal(c, "chunks", len(m.Chunks), 1)
	equal(c, "version", m.Version, 2)
	equal(c, "taken from a canister", m.Source.Taken != nil, true)
	if m.Timer == nil || m.Timer.Active == nil || *m.Timer.Active != aside {
		c.Errorf("the timer is %+v", m.Timer)
	}
	if got := can.whole(taken.ID, m.ModuleSize, moduleOf); !bytes.Equal(got, c.module) {
		c.Errorf("the module has %d bytes, want %d", len(got), len(c.module))
	}
	if got := can.whole(taken.ID, m.StableSize, stableOf); uint64(len(got)) != m.StableSize || !bytes.HasPrefix(got, []byte("FIRST")) {
		c.Errorf("the stable memory is %.10q", got)
	}
	if got := can.whole(taken.ID, m.HeapSize, heapOf); uint64(len(got)) != m.HeapSize || !bytes.Contains(got, []byte("FIRST")) {
		c.Errorf("the heap has %d bytes, want %d with the word", len(got), m.HeapSize)
	}
	hash := sha256.Sum256(chunk)
	c.replies("chunk", can.part(taken.ID, func(a *readDataArg) { a.Kind.Chunk = &chunkHash{hash[:]} }), chunk)
	c.fails("an unknown chunk", can.part(taken.ID, func(a *readDataArg) { a.Kind.Chunk = &chunkHash{make([]byte, 32)} }))
	c.fails("beyond the end", can.part(taken.ID, func(a *readDataArg) { a.Kind.Stable = &span{m.StableSize - 1, 2} }))
}

func uploadSnapshot(c *check) {
	source := c.marked("FIRST")
	taken := source.take()
	m := source.metadataOf(taken.ID)
	can := c.empty()
	var uploaded struct {
		ID []byte `candid:"snapshot_id"`
	}
	arg := uploadMetadataArg{
		Canister: can.id, ModuleSize: m.ModuleSize, Globals: m.Globals, HeapSize: m.HeapSize, StableSize: m.StableSize, Certified: m.Certified, Timer: m.Timer, Hook: m.Hook,
	}
	c.fails("by another user", can.manage(newUser(), can.id, "upload_canister_snapshot_metadata", arg))
	can.manageOK(can.owner, can.id, "upload_canister_snapshot_metadata", arg, &uploaded)
	put := func(as envelope.Identity, data []byte, edit func(*uploadDataArg)) answer {
		a := uploadDataArg{Canister: can.id, Snapshot: uploaded.ID, Chunk: data}
		edit(&a)
		return can.manage(as, can.id, "upload_canister_snapshot_data", a)
	}
	module := source.whole(taken.ID, m.ModuleSize, moduleOf)
	heap, stable := source.whole(taken.ID, m.HeapSize, heapOf), source.whole(taken.ID, m.StableSize, stableOf)
	half := len(module) / 2
	c.ok("module, first half", put(can.owner, module[:half], func(a *uploadDataArg) { a.Kind.Module = &from{0} }))
	c.ok("module, second half", put(can.owner, module[half:], func(a *uploadDataArg) { a.Kind.Module = &from{uint64(half)} }))
	c.ok("heap", put(can.owner, heap, func(a *uploadDataArg) { a.Kind.Heap = &from{0} }))
	c.ok("stable memory", put(can.owner, stable, func(a *uploadDataArg) { a.Kind.Stable = &from{0} }))
	c.ok("chunk", put(can.owner, []byte("chunk"), func(a *uploadDataArg) { a.Kind.Chunk = true }))
	c.fails("beyond the end", put(can.owner, []byte("xy"), func(a *uploadDataArg) { a.Kind.Stable = &from{m.StableSize - 1} }))
	c.fails("by another user", put(newUser(), stable, func(a *uploadDataArg) { a.Kind.Stable = &from{0} }))
	equal(c, "uploaded", can.metadataOf(uploaded.ID).Source.Uploaded != nil, true)
	c.ok("load", can.load(uploaded.ID))
	can.hashIs("after load", c.module)
	can.isMarked("after load", "FIRST")
}
