package sim

import (
	"crypto/sha256"
	"math/big"

	"portico/lightclient/candid/marshal"
	"portico/lightclient/principal"
	u "portico/node/conformance/universal"
	"portico/node/state"
)

// The arguments of the management canister, as far as authors fill them in (interface
// specification, "The IC management canister").
type (
	target struct {
		Canister principal.ID `candid:"canister_id"`
	}
	creation struct {
		Settings *settings `candid:"settings"`
	}
	provision struct {
		Amount   **big.Int `candid:"amount"`
		Settings *settings `candid:"settings"`
	}
	topUp struct {
		Canister principal.ID `candid:"canister_id"`
		Amount   *big.Int     `candid:"amount"`
	}
	settings struct {
		Controllers       *[]principal.ID `candid:"controllers"`
		ComputeAllocation **big.Int       `candid:"compute_allocation"`
		MemoryAllocation  **big.Int       `candid:"memory_allocation"`
		FreezingThreshold **big.Int       `candid:"freezing_threshold"`
		WasmMemoryLimit   **big.Int       `candid:"wasm_memory_limit"`
		WasmThreshold     **big.Int       `candid:"wasm_memory_threshold"`
	}
	update struct {
		Canister principal.ID `candid:"canister_id"`
		Settings settings     `candid:"settings"`
	}
	mode struct {
		Install   bool            `candid:"install,variant"`
		Reinstall bool            `candid:"reinstall,variant"`
		Upgrade   **upgradeOption `candid:"upgrade,variant"`
	}
	upgradeOption struct {
		SkipPreUpgrade *bool `candid:"skip_pre_upgrade"`
	}
	installation struct {
		Mode     mode         `candid:"mode"`
		Canister principal.ID `candid:"canister_id"`
		Module   []byte       `candid:"wasm_module"`
		Arg      []byte       `candid:"arg"`
	}
	chunk struct {
		Canister principal.ID `candid:"canister_id"`
		Chunk    []byte       `candid:"chunk"`
	}
	chunkHash struct {
		Hash []byte `candid:"hash"`
	}
	chunkedInstallation struct {
		Mode   mode         `candid:"mode"`
		Target principal.ID `candid:"target_canister"`
		Chunks []chunkHash  `candid:"chunk_hashes_list"`
		Hash   []byte       `candid:"wasm_module_hash"`
		Arg    []byte       `candid:"arg"`
	}
	taking struct {
		Canister  principal.ID `candid:"canister_id"`
		Replace   *[]byte      `candid:"replace_snapshot"`
		Uninstall *bool        `candid:"uninstall_code"`
	}
	snapshotOf struct {
		Canister principal.ID `candid:"canister_id"`
		Snapshot []byte       `candid:"snapshot_id"`
	}
)

// encode encodes an argument whose type is ours.
func encode(arg any) []byte {
	b, err := marshal.Encode(arg)
	if err != nil {
		panic(err)
	}
	return b
}

func number(n int64) **big.Int {
	b := big.NewInt(n)
	return &b
}

// settings has everybody control everything, and sometimes little room.
func (a *author) settings() *settings {
	controllers := []principal.ID{principal.Anonymous()}
	for i := range uint64(9) {
		controllers = append(controllers, principal.Canister(i))
	}
	s := &settings{Controllers: &controllers}
	if a.chance(30) {
		s.FreezingThreshold = number(one[int64](a, 0, 1000, 100_000_000))
	}
	if a.chance(10) {
		s.ComputeAllocation = number(one[int64](a, 0, 1, 50, 100))
	}
	if a.chance(10) {
		s.MemoryAllocation = number(one[int64](a, 0, 1<<20, 1<<30))
	}
	if a.chance(10) {
		s.WasmMemoryLimit, s.WasmThreshold = number(one[int64](a, 0, 4<<20)), number(2<<20)
	}
	return s
}

// install is the argument of install_code.
func (a *author) install(id principal.ID) []byte {
	return encode(installation{a.mode(id), id, one(a, a.modules...), a.initial()})
}

// mode is mostly one that fits.
func (a *author) mode(id principal.ID) mode {
	if c := a.state().Canister(id); c != nil && c.Code == nil && a.chance(90) {
		return mode{Install: true}
	}
	switch a.r.IntN(4) {
	case 0:
		return mode{Install: true}
	case 1:
		return mode{Reinstall: true}
	default:
		skip := a.chance(30)
		o := &upgradeOption{SkipPreUpgrade: &skip}
		return mode{Upgrade: &o}
	}
}

// initial is what an installation runs.
func (a *author) initial() []byte {
	p := u.Seq(u.SetHook(u.PreUpgrade, a.memory()), u.Drop(u.IC0("stable64_grow", u.Int(4))))
	if a.chance(90) {
		p = u.Seq(p, u.SetHook(u.Inspect, u.IC0("accept_message")))
	}
	if a.chance(40) {
		p = u.Seq(p, a.hook(depth))
	}
	if a.chance(3) {
		p = u.Seq(p, u.Burn(u.Int(uint64(a.r.IntN(longBurn)))))
	}
	if a.chance(10) {
		p = u.Seq(p, a.step(depth))
	}
	return p
}

// management is a call to the management canister that concerns a canister.
func (a *author) management(id principal.ID) (method string, arg []byte) {
	method = one(a, "canister_status", "start_canister", "stop_canister", "uninstall_code", "delete_canister", "canister_metrics", "stored_chunks", "clear_chunk_store", "list_canister_snapshots",
		"install_code", "install_code", "update_settings", "update_settings", "upload_chunk", "install_chunked_code", "take_canister_snapshot", "take_canister_snapshot", "take_canister_snapshot", "stop_canister", "load_canister_snapshot", "delete_canister_snapshot")
	switch method {
	case "install_code":
		return method, a.install(id)
	case "update_settings":
		return method, encode(update{id, *a.settings()})
	case "upload_chunk":
		return method, encode(chunk{id, a.modules[0]})
	case "install_chunked_code":
		h := sha256.Sum256(a.modules[0])
		return method, encode(chunkedInstallation{a.mode(id), id, []chunkHash{{h[:]}}, h[:], a.initial()})
	case "take_canister_snapshot":
		uninstall := a.chance(10)
		return method, encode(taking{Canister: id, Replace: a.snapshot(id), Uninstall: &uninstall})
	case "load_canister_snapshot", "delete_canister_snapshot":
		if snapshot := a.snapshot(id); snapshot != nil {
			return method, encode(snapshotOf{id, *snapshot})
		}
	}
	return method, encode(target{id})
}

// snapshot is the id of a snapshot of a canister, or nil.
func (a *author) snapshot(id principal.ID) *[]byte {
	c := a.state().Canister(id)
	if c == nil || len(c.Snapshots) == 0 {
		return nil
	}
	b := state.SnapshotID{Canister: id, Number: one(a, c.Snapshots...).Number}.Bytes()
	return &b
}

// managementCall is what a canister asks of the management canister. Those that stop a
// canister may go on to delete it or to start it again.
func (a *author) managementCall(depth int) u.Call {
	id := a.canister()
	c := a.callbacks(u.Call{Callee: u.Bytes(nil)}, depth)
	switch a.r.IntN(6) {
	case 0:
		c.Method, c.Arg, c.Cycles = "create_canister", u.Bytes(encode(creation{a.settings()})), a.amount(3*trillion)
	case 1:
		c.Method, c.Arg, c.Cycles = "deposit_cycles", u.Bytes(encode(target{id})), a.amount(trillion)
	case 2:
		c.Method, c.Arg = one(a, "raw_rand", "subnet_info", "canister_info", "missing"), u.Text("DIDL\x00\x00")
	case 3:
		c.Method, c.Arg = "stop_canister", u.Bytes(encode(target{id}))
		next := u.Call{Callee: u.Bytes(nil), Method: one(a, "delete_canister", "start_canister"), Arg: c.Arg}
		c.OnReply = u.Seq(u.Drop(next.Perform()), c.OnReply)
	default:
		method, arg := a.management(id)
		c.Method, c.Arg = method, u.Bytes(arg)
	}
	return c
}
