package conformance

import (
	"bytes"
	"crypto/sha256"
	"fmt"
	"math/big"
	"slices"
	"strings"
	"time"

	"portico/lightclient"
	"portico/lightclient/candid/marshal"
	"portico/lightclient/envelope"
	"portico/lightclient/hashtree"
	"portico/lightclient/leb128"
	"portico/lightclient/principal"
	u "portico/node/conformance/universal"
)

type chunkArg struct {
	Canister principal.ID `candid:"canister_id"`
	Chunk    []byte       `candid:"chunk"`
}

type chunkHash struct {
	Hash []byte `candid:"hash"`
}

type chunkedArg struct {
	Mode       mode          `candid:"mode"`
	Target     principal.ID  `candid:"target_canister"`
	Store      *principal.ID `candid:"store_canister"`
	Chunks     []chunkHash   `candid:"chunk_hashes_list"`
	ModuleHash []byte        `candid:"wasm_module_hash"`
	Arg        []byte        `candid:"arg"`
}

type metadataArg struct {
	Canister principal.ID `candid:"canister_id"`
	Name     string       `candid:"name"`
}

type metadataResult struct {
	Value []byte `candid:"value"`
}

type logsResult struct {
	Records []logRecord `candid:"canister_log_records"`
}

type logRecord struct {
	Index   uint64 `candid:"idx"`
	Time    uint64 `candid:"timestamp_nanos"`
	Content []byte `candid:"content"`
}

type metricsResult struct {
	Consumed consumed `candid:"cycles_consumed"`
}

type consumed struct {
	Memory       *big.Int `candid:"memory"`
	Compute      *big.Int `candid:"compute_allocation"`
	Ingress      *big.Int `candid:"ingress_induction"`
	Instructions *big.Int `candid:"instructions"`
	Transmission *big.Int `candid:"request_and_response_transmission"`
	Uninstall    *big.Int `candid:"uninstall"`
	Creation     *big.Int `candid:"canister_creation"`
	Outcalls     *big.Int `candid:"http_outcalls"`
	Burned       *big.Int `candid:"burned_cycles"`
}

type memoryResult struct {
	Size    *big.Int `candid:"memory_size"`
	Metrics struct {
		Heap     *big.Int `candid:"wasm_memory_size"`
		Stable   *big.Int `candid:"stable_memory_size"`
		Global   *big.Int `candid:"global_memory_size"`
		Binary   *big.Int `candid:"wasm_binary_size"`
		Custom   *big.Int `candid:"custom_sections_size"`
		History  *big.Int `candid:"canister_history_size"`
		Chunks   *big.Int `candid:"wasm_chunk_store_size"`
		Snapshot *big.Int `candid:"snapshots_size"`
	} `candid:"memory_metrics"`
	Ready    bool `candid:"ready_for_migration"`
	Settings struct {
		Reserved *big.Int   `candid:"reserved_cycles_limit"`
		Minimum  *big.Int   `candid:"minimum_incoming_canister_call_cycles"`
		Limit    *big.Int   `candid:"wasm_memory_limit"`
		Thresh   *big.Int   `candid:"wasm_memory_threshold"`
		Log      visibility `candid:"log_visibility"`
		Snapshot visibility `candid:"snapshot_visibility"`
		Status   visibility `candid:"status_visibility"`
		EnvVars  []envVar   `candid:"environment_variables"`
	} `candid:"settings"`
}

// queryManagement is a query call of the management canister.
func (c *check) queryManagement(as envelope.Identity, effective principal.ID, method string, arg any, results ...any) answer {
	c.Helper()
	a := c.query(as, lightclient.Message{Method: method, Arg: c.encode(arg), Effective: effective})
	if a.status == 0 && a.code == 0 {
		c.must(marshal.Decode(a.reply, results...))
	}
	return a
}

func sectionBC(s *section) {
	s.chunkStore()
	s.snapshots()
	s.statusRules()
	s.logs()
	s.check("BC5 metadata through canister_metadata", func(c *check) {
		can := c.installWith([]string{u.Section("icp:public open", "for all"), u.Section("icp:private closed", "for controllers")})
		stranger, boss := c.shared(c), c.install()
		c.ok("settings", can.set(settingControllers(can.owner.Sender(), boss.id)))
		var got metadataResult
		c.decode(c.ok("public", stranger.through("canister_metadata", metadataArg{can.id, "open"})), &got)
		equal(c, "public", string(got.Value), "for all")
		c.fails("private", stranger.through("canister_metadata", metadataArg{can.id, "closed"}))
		c.decode(c.ok("private for a controller", boss.through("canister_metadata", metadataArg{can.id, "closed"})), &got)
		equal(c, "private", string(got.Value), "for controllers")
		c.fails("missing", boss.through("canister_metadata", metadataArg{can.id, "missing"}))
		c.fails("by a user", can.manage(can.owner, can.id, "canister_metadata", metadataArg{can.id, "open"}))
	})
	s.check("BC7 subnet_info and node_metrics_history", func(c *check) {
		var info struct {
			Version  string `candid:"replica_version"`
			Registry uint64 `candid:"registry_version"`
		}
		subnetArg := struct {
			Subnet principal.ID `candid:"subnet_id"`
		}{c.subnet()}
		c.decode(c.ok("subnet_info", c.shared(c).through("subnet_info", subnetArg)), &info)
		if info.Version == "" {
			c.Errorf("there is no replica version")
		}
		var history []struct {
			Time  uint64 `candid:"timestamp_nanos"`
			Nodes []struct {
				Node     principal.ID `candid:"node_id"`
				Proposed uint64       `candid:"num_blocks_proposed_total"`
				Failed   uint64       `candid:"num_block_failures_total"`
			} `candid:"node_metrics"`
		}
		c.decode(c.ok("node_metrics_history", c.shared(c).through("node_metrics_history", struct {
			Subnet principal.ID `candid:"subnet_id"`
			Start  uint64       `candid:"start_at_timestamp_nanos"`
		}{c.subnet(), 0})), &history)
		subnetArg.Subnet = principal.SelfAuthenticating(nil)
		c.fails("of an unknown subnet", c.shared(c).through("subnet_info", subnetArg))
		c.fails("by a user", c.manage(newUser(), c.effective, "subnet_info", subnetArg))
	})
	s.check("BC8 subnet admins make, list, stop and delete canisters, and no more", subnetAdmins)
	s.notYet("BC9 Schnorr signatures and vetKeys", needsKeys)
	s.notYet("BC11 methods and user agent of outcalls", needsOutcall)
	s.check("BC12 times of creation and last install are in the state tree", timesInTree)
}

func timesInTree(c *check) {
	can := c.empty()
	at := func(label string) (uint64, hashtree.Status) {
		b, status := can.lookup(envelope.Anonymous{}, can.id, "canister", can.id.Raw(), label)
		n, err := leb128.Canonical(b)
		if status == hashtree.Found {
			c.must(err)
		}
		return n, status
	}
	created, status := at("canister_creation_timestamp")
	if off := time.Since(time.Unix(0, int64(created))).Abs(); status != hashtree.Found || off > time.Minute {
		c.Errorf("the time of creation is %v, off by %v", status, off)
	}
	if _, status := at("last_install_timestamp"); status != hashtree.Absent {
		c.Errorf("the time of install of an empty canister is %v", status)
	}
	last := created
	for i, m := range []mode{installMode(), reinstallMode(), upgradeMode()} {
		c.ok("install", can.deploy(m, c.module))
		installed, status := at("last_install_timestamp")
		if status != hashtree.Found || installed < last {
			c.Errorf("after install %d the time is %v %d, before it was %d", i, status, installed, last)
		}
		last = installed
	}
	c.ok("uninstall", can.control("uninstall_code"))
	if _, status := at("last_install_timestamp"); status != hashtree.Absent {
		c.Errorf("the time of install after uninstall is %v", status)
	}
}

func (s *section) chunkStore() {
	upload := func(can *canister, as envelope.Identity, chunk []byte) ([]byte, answer) {
		var got chunkHash
		a := can.manage(as, can.id, "upload_chunk", chunkArg{can.id, chunk}, &got)
		return got.Hash, a
	}
	stored := func(can *canister) (hashes [][]byte) {
		var got []chunkHash
		can.ok("stored_chunks", can.control("stored_chunks", &got))
		for _, h := range got {
			hashes = append(hashes, h.Hash)
		}
		slices.SortFunc(hashes, bytes.Compare)
		return hashes
	}
	s.check("BC1 chunks are uploaded, listed and cleared", func(c *check) {
		can := c.empty()
		var want [][]byte
		for _, chunk := range [][]byte{[]byte("one"), []byte("two"), bytes.Repeat([]byte("x"), 1<<20), []byte("one")} {
			hash, a := upload(can, can.owner, chunk)
			c.ok("upload_chunk", a)
			if h := sha256.Sum256(chunk); !bytes.Equal(hash, h[:]) {
				c.Errorf("the hash of a chunk is %x", hash)
			}
			want = append(want, hash)
		}
		slices.SortFunc(want, bytes.Compare)
		want = slices.CompactFunc(want, bytes.Equal)
		if got := stored(can); !slices.EqualFunc(got, want, bytes.Equal) {
			c.Errorf("the store has %x, want %x", got, want)
		}
		_, a := upload(can, can.owner, make([]byte, 1<<20+1))
		c.fails("a chunk of more than 1 MiB", a)
		_, a = upload(can, newUser(), []byte("x"))
		c.rejects("another user", a, 3, 5)
		c.rejects("another user clears", can.manage(newUser(), can.id, "clear_chunk_store", canisterArg{can.id}), 3, 5)
		c.ok("clear_chunk_store", can.control("clear_chunk_store"))
		equal(c, "chunks", len(stored(can)), 0)
	})
	s.check("BC1 a store has room for a hundred chunks", func(c *check) {
		const room = 100
		can := c.empty()
		var uploads []<-chan answer
		for i := range room {
			uploads = append(uploads, c.later(func() answer {
				_, a := upload(can, can.owner, []byte{byte(i)})
				return a
			}))
		}
		for _, u := range uploads {
			c.ok("upload_chunk", <-u)
		}
		_, a := upload(can, can.owner, []byte("one more"))
		c.fails("one more", a)
		_, a = upload(can, can.owner, []byte{0})
		c.ok("one that is there", a)
		equal(c, "chunks", len(stored(can)), room)
	})
	s.check("BC1 code is installed from chunks, of the canister or of another", func(c *check) {
		store := c.install()
		can := c.emptyOf(store.owner, provisional{})
		var chunks []chunkHash
		for part := range slices.Chunk(c.module, len(c.module)/3+1) {
			for _, target := range []*canister{store, can} {
				hash, a := upload(target, store.owner, part)
				c.ok("upload_chunk", a)
				if target == store {
					chunks = append(chunks, chunkHash{hash})
				}
			}
		}
		whole := sha256.Sum256(c.module)
		arg := chunkedArg{Mode: installMode(), Target: can.id, Store: &store.id, Chunks: chunks, ModuleHash: whole[:], Arg: u.SetGlobal(u.Text("arg"))}
		install := func(edit func(*chunkedArg)) answer {
			a := arg
			edit(&a)
			return can.manage(can.owner, can.id, "install_chunked_code", a)
		}
		c.fails("a wrong hash", install(func(a *chunkedArg) { a.ModuleHash = make([]byte, 32) }))
		c.fails("a hash of wrong length", install(func(a *chunkedArg) { a.ModuleHash = whole[:31] }))
		c.fails("a missing chunk", install(func(a *chunkedArg) { a.Chunks = append(slices.Clone(chunks), chunkHash{make([]byte, 32)}) }))
		c.fails("another order", install(func(a *chunkedArg) { a.Chunks = []chunkHash{chunks[1], chunks[0], chunks[2]} }))
		c.fails("a store that is not there", install(func(a *chunkedArg) { missing := c.unknown(); a.Store = &missing }))
		strange := c.install()
		c.fails("a store of somebody else", install(func(a *chunkedArg) { a.Store = &strange.id }))
		c.ok("from another canister's store", install(func(*chunkedArg) {}))
		can.hashIs("afterwards", c.module)
		c.replies("argument", can.ask(u.Reply(u.Global())), []byte("arg"))
		c.ok("from the own store", install(func(a *chunkedArg) { a.Store, a.Mode = nil, reinstallMode() }))
		c.rejects("by another user", can.manage(newUser(), can.id, "install_chunked_code", arg), 3, 5)
		c.ok("through a canister", c.throughStore(store, can, arg))
	})
}

// throughStore lets a canister that controls the target install from its own store.
func (c *check) throughStore(store, target *canister, arg chunkedArg) answer {
	c.Helper()
	c.ok("settings", target.set(settingControllers(target.owner.Sender(), store.id)))
	arg.Mode = reinstallMode()
	return store.through("install_chunked_code", arg)
}

func (s *section) statusRules() {
	s.check("BC3 the status is told by query", func(c *check) {
		can := c.install()
		var byQuery, byCall statusResult
		c.ok("query", c.queryManagement(can.owner, can.id, "canister_status", canisterArg{can.id}, &byQuery))
		c.ok("call", can.control("canister_status", &byCall))
		equal(c, "version", byQuery.Version, byCall.Version)
		equal(c, "status", byQuery.Status.String(), "running")
		c.rejects("by another user", c.queryManagement(newUser(), can.id, "canister_status", canisterArg{can.id}), 5)
	})
	s.check("BC3 the status may be public or for viewers", func(c *check) {
		can, viewer := c.install(), newUser()
		ask := func(as envelope.Identity) (answer, answer) {
			return can.manage(as, can.id, "canister_status", canisterArg{can.id}), c.queryManagement(as, can.id, "canister_status", canisterArg{can.id})
		}
		c.ok("settings", can.set(canSettings{StatusVisibility: &visibility{AllowedViewers: &[]principal.ID{viewer.Sender()}}}))
		call, query := ask(viewer)
		c.ok("call by a viewer", call)
		c.ok("query by a viewer", query)
		call, query = ask(newUser())
		c.rejects("call by another", call, 5)
		c.rejects("query by another", query, 5)
		c.ok("settings", can.set(canSettings{StatusVisibility: &visibility{Public: true}}))
		call, query = ask(envelope.Anonymous{})
		c.ok("call by anybody", call)
		c.ok("query by anybody", query)
	})
	s.check("BC3 the sizes of memory add up", func(c *check) {
		can := c.install(u.StableGrow(3), u.Drop(u.GrowMemory(u.Int(4))))
		var got memoryResult
		c.ok("canister_status", can.control("canister_status", &got))
		m := got.Metrics
		sum := new(big.Int)
		for _, n := range []*big.Int{m.Heap, m.Stable, m.Global, m.Binary, m.Custom, m.History, m.Chunks, m.Snapshot} {
			sum.Add(sum, n)
		}
		if sum.Cmp(got.Size) != 0 {
			c.Errorf("the parts add up to %v, the size is %v", sum, got.Size)
		}
		equal(c, "stable memory", m.Stable.Int64(), 3<<16)
		if m.Heap.Int64() < 6<<16 || m.Binary.Int64() < int64(len(c.module)) {
			c.Errorf("heap %v, module %v", m.Heap, m.Binary)
		}
		equal(c, "ready for migration while it runs", got.Ready, false)
		c.ok("stop", can.control("stop_canister"))
		c.ok("canister_status", can.control("canister_status", &got))
		equal(c, "ready for migration when it is stopped", got.Ready, true)
	})
	s.check("BC4 canister_metrics grow", func(c *check) {
		can := c.install()
		ask := func() (got metricsResult) {
			c.ok("canister_metrics", can.control("canister_metrics", &got))
			return got
		}
		before := ask()
		can.run(u.Burn(u.Int(100_000)), u.Drop(u.Get128("cycles_burn128", u.Int(0), u.Int(trillion))))
		after := ask()
		for name, pair := range map[string][2]*big.Int{
			"instructions": {before.Consumed.Instructions, after.Consumed.Instructions}, "ingress_induction": {before.Consumed.Ingress, after.Consumed.Ingress},
			"burned_cycles": {before.Consumed.Burned, after.Consumed.Burned},
		} {
			if pair[1].Cmp(pair[0]) <= 0 {
				c.Errorf("%s did not grow: %v, then %v", name, pair[0], pair[1])
			}
		}
		equal(c, "burned", new(big.Int).Sub(after.Consumed.Burned, before.Consumed.Burned).Int64(), trillion)
		c.rejects("another user", can.manage(newUser(), can.id, "canister_metrics", canisterArg{can.id}), 5)
		var queried metricsResult
		c.ok("by query", c.queryManagement(can.owner, can.id, "canister_metrics", canisterArg{can.id}, &queried))
	})
	s.elsewhere("BC3 query statistics, which need twelve hundred blocks", "node/consensus, node/messaging and node/live")
	s.reportedSettings()
}

// reportedSettings checks that the status tells the settings.
func (s *section) reportedSettings() {
	s.check("BC10 settings are reported as they were set", func(c *check) {
		can := c.empty()
		viewers := visibility{AllowedViewers: &[]principal.ID{newUser().Sender()}}
		vars := []envVar{{"NAME", "value"}}
		c.ok("settings", can.set(canSettings{
			ReservedLimit: optionalInt(7 * trillion), MinimumIncoming: optionalInt(5), WasmMemoryLimit: optionalInt(1 << 30), WasmMemoryThresh: optionalInt(1 << 20),
			LogVisibility: &visibility{Public: true}, SnapshotVisible: &viewers, StatusVisibility: &viewers, EnvVars: &vars,
		}))
		var got memoryResult
		c.ok("canister_status", can.control("canister_status", &got))
		set := got.Settings
		equal(c, "reserved_cycles_limit", set.Reserved.Int64(), 7*trillion)
		equal(c, "minimum_incoming_canister_call_cycles", set.Minimum.Int64(), 5)
		equal(c, "wasm_memory_limit", set.Limit.Int64(), 1<<30)
		equal(c, "wasm_memory_threshold", set.Thresh.Int64(), 1<<20)
		equal(c, "log_visibility", set.Log.Public, true)
		for what, v := range map[string]visibility{"snapshot_visibility": set.Snapshot, "status_visibility": set.Status} {
			if v.AllowedViewers == nil || !slices.Equal(*v.AllowedViewers, *viewers.AllowedViewers) {
				c.Errorf("%s is %+v", what, v)
			}
		}
		if !slices.Equal(set.EnvVars, vars) {
			c.Errorf("environment_variables are %v", set.EnvVars)
		}
	})
	s.check("BC10 there are at most ten viewers", func(c *check) {
		can := c.empty()
		ten, eleven := users(10), users(11)
		for name, set := range map[string]func(v *visibility) canSettings{
			"log":      func(v *visibility) canSettings { return canSettings{LogVisibility: v} },
			"snapshot": func(v *visibility) canSettings { return canSettings{SnapshotVisible: v} },
			"status":   func(v *visibility) canSettings { return canSettings{StatusVisibility: v} },
		} {
			c.ok(name+", ten", can.set(set(&visibility{AllowedViewers: &ten})))
			c.fails(name+", eleven", can.set(set(&visibility{AllowedViewers: &eleven})))
		}
	})
}

func (s *section) logs() {
	fetch := func(can *canister, as envelope.Identity) (got logsResult, a answer) {
		a = can.queryManagement(as, can.id, "fetch_canister_logs", canisterArg{can.id}, &got)
		return got, a
	}
	texts := func(can *canister) (out []string) {
		can.Helper()
		got, a := fetch(can, can.owner)
		can.ok("fetch_canister_logs", a)
		for i, r := range got.Records {
			if i > 0 && (r.Index != got.Records[i-1].Index+1 || r.Time < got.Records[i-1].Time) {
				can.Errorf("record %d does not follow record %d", i, i-1)
			}
			out = append(out, string(r.Content))
		}
		return out
	}
	print := func(text string) u.Program { return u.IC0("debug_print", u.Split(u.Text(text))) }
	s.check("BC6 logs come in order, with traps, but not from queries", func(c *check) {
		can := c.install(print("init"))
		can.run(print("one"), print("two"))
		c.ok("query", can.ask(print("query"), u.Reply(u.Text(""))))
		c.fails("trap", can.update(print("before"), u.Trap("my trap")))
		got := texts(can)
		if len(got) < 5 || !slices.Equal(got[:4], []string{"init", "one", "two", "before"}) || !strings.Contains(got[4], "my trap") {
			c.Errorf("the log is %q", got)
		}
		c.ok("upgrade", can.deploy(upgradeMode(), c.module, print("upgraded")))
		after := texts(can)
		equal(c, "last record after an upgrade", after[len(after)-1], "upgraded")
		equal(c, "records after an upgrade", len(after), len(got)+1)
		c.ok("reinstall", can.deploy(reinstallMode(), c.module))
		equal(c, "records after a reinstall", len(texts(can)), 0)
	})
	s.check("BC6 logs keep the newest 4 KiB", func(c *check) {
		can := c.install()
		for i := range 10 {
			can.run(print(fmt.Sprint(i, " ", strings.Repeat("x", 1000))))
		}
		got := texts(can)
		total := 0
		for _, t := range got {
			total += len(t)
		}
		if total > 4<<10 || len(got) < 2 || !strings.HasPrefix(got[len(got)-1], "9 ") {
			c.Errorf("%d records of %d bytes are kept", len(got), total)
		}
		can.run(print(strings.Repeat("y", 100_000)))
		if got := texts(can); len(got) == 0 || len(got[len(got)-1]) > 4<<10 || !strings.HasPrefix(got[len(got)-1], "yyy") {
			c.Errorf("a long record is kept as %d records", len(got))
		}
	})
	s.check("BC6 logs keep what log_memory_limit says, from 4 KiB to 2 MiB, or nothing", func(c *check) {
		can := c.install()
		limit := func(n int64) canSettings {
			v := big.NewInt(n)
			return canSettings{LogMemoryLimit: &v}
		}
		for n, valid := range map[int64]bool{1: false, 4<<10 - 1: false, 2<<20 + 1: false, 4 << 10: true, 2 << 20: true} {
			if a := can.set(limit(n)); valid {
				c.ok(fmt.Sprint(n, " bytes"), a)
			} else {
				c.fails(fmt.Sprint(n, " bytes"), a)
			}
		}
		c.ok("64 KiB", can.set(limit(64<<10)))
		var lines []u.Program
		for range 100 {
			lines = append(lines, print(strings.Repeat("x", 1000)))
		}
		can.run(lines...)
		if n := len(texts(can)); n < 60 || n > 65 {
			c.Errorf("64 KiB hold %d lines of 1000 bytes", n)
		}
		c.ok("none", can.set(limit(0)))
		can.run(print("unheard"))
		equal(c, "records without a log", len(texts(can)), 0)
	})
	s.check("BC6 logs are seen by whom the settings allow", func(c *check) {
		can, viewer := c.install(), newUser()
		can.run(print("x"))
		_, a := fetch(can, viewer)
		c.rejects("by another user", a, 4, 5)
		c.ok("settings", can.set(canSettings{LogVisibility: &visibility{AllowedViewers: &[]principal.ID{viewer.Sender()}}}))
		_, a = fetch(can, viewer)
		c.ok("by a viewer", a)
		_, a = fetch(can, newUser())
		c.rejects("by no viewer", a, 4, 5)
		c.ok("settings", can.set(canSettings{LogVisibility: &visibility{Public: true}}))
		_, a = fetch(can, envelope.Anonymous{})
		c.ok("by anybody", a)
		c.fails("as a call", can.control("fetch_canister_logs"))
	})
}
