package execution

import (
	"crypto/sha256"
	"errors"
	"iter"

	"portico/lightclient/candid/marshal"
	"portico/lightclient/principal"
	"portico/node/state"
	"portico/node/state/heap"
	"portico/node/types"
	"portico/node/wasm"
	"portico/node/wasm/ic0"
)

// An InstallMode says what becomes of what a canister holds.
type InstallMode uint8

// The modes.
const (
	Install InstallMode = iota + 1
	Reinstall
	Upgrade
)

// Persistence says what an upgrade does to the heap.
type Persistence uint8

// The choices of wasm_memory_persistence.
const (
	PersistenceUnset Persistence = iota
	PersistenceKeep
	PersistenceReplace
)

// Installation is a call of install_code.
type Installation struct {
	Mode           InstallMode
	Module         []byte // as uploaded
	Arg            []byte
	By             state.Origin
	ByVersion      *uint64
	SkipPreUpgrade bool
	Persistence    Persistence
}

// enhancedPersistence is the custom section by which Motoko says that it keeps its
// heap over upgrades.
const enhancedPersistence = "enhanced-orthogonal-persistence"

// installModule installs code, all or nothing, within the call m: in slices, one a round. Until it
// ends the canister's state shows nothing of it. A canister may use a slice of instructions in each
// round on average: one that used more cannot be installed again until the rounds have caught up.
func (m *managed) installModule(c *state.Canister, in Installation) *types.Reject {
	x := m.x
	if rej := x.installable(c, in); rej != nil {
		return rej
	}
	if c.Install.Left(uint64(m.s.Height), x.limits.SliceInstructions) >= x.limits.SliceInstructions {
		return types.Rejectf(types.ErrCanisterInstallRateLimited, "Canister %s is rate limited because it executed too many instructions in the previous install_code messages. Please retry installation after several minutes.", c.ID)
	}
	hash := types.Hash(sha256.Sum256(in.Module))
	code, err := x.compile(hash, in.Module)
	if err != nil {
		var invalid *wasm.Invalid
		if !errors.As(err, &invalid) {
			panic(&Failure{c.ID, err})
		}
		return types.Rejectf(types.ErrCanisterInvalidWasm, "Error from Canister %s: Canister's Wasm module is not valid: %s", c.ID, invalid.Reason)
	}
	// canisters with the same code share its bytes
	in.Module = code.uploaded
	if rej := x.persistable(c, in, code.module); rej != nil {
		x.modules.leave(code)
		return rej
	}
	prepaid := x.costs.Execution(maxInstallInstructions, code.module.Info().Memory64)
	if threshold := x.costs.FreezingThreshold(c); c.Cycles.Sub(threshold).Cmp(prepaid) < 0 {
		x.modules.leave(code)
		return types.Rejectf(types.ErrCanisterOutOfCycles, "Canister %s is out of cycles: installing code needs %s cycles above its freezing threshold of %s, but its balance is %s", c.ID, prepaid, threshold, c.Cycles)
	}
	x.Abandon(c.ID)
	s := &installer{
		x: x, c: c, l: x.open(c.ID), in: in, code: code, module: code.module, hash: hash, now: m.s.Time,
		timer: c.Timer, data: c.CertifiedData, balance: c.Cycles.Sub(prepaid), prepaid: prepaid, request: m.r,
	}
	s.began = s.balance
	s.next, s.stop = iter.Pull(func(yield func(struct{}) bool) {
		s.pause = func() bool { return yield(struct{}{}) }
		s.rej = s.run()
	})
	x.installing = s
	return m.goOn(s)
}

// goOn runs a slice of the installation in progress.
func (m *managed) goOn(s *installer) *types.Reject {
	s.c, s.most = m.s.Edit(s.c.ID), m.most
	before := s.used
	if s.slice != 0 {
		before = s.slice
	}
	if _, more := s.next(); more {
		m.out.Instructions += s.slice - before
		m.out.Paused, m.pending = true, true
		return nil
	}
	m.x.installing = nil
	defer m.x.leaveInstall(s)
	m.out.Instructions += s.used - before
	rej := s.rej
	if rej == nil {
		rej = s.afford(m.s.Metrics.StateBytes)
	}
	var spent types.Cycles
	cost := m.x.costs.Execution(s.used, s.module.Info().Memory64).Min(s.prepaid)
	if rej == nil {
		spent = cost.Add(s.began.Sub(s.balance))
		if s.c.Cycles.Cmp(spent) < 0 {
			rej = types.Rejectf(types.ErrCanisterOutOfCycles, "Canister %s is out of cycles: while its code was being installed its balance went below the %s cycles that this spent", s.c.ID, spent)
		}
	}
	if rej == nil {
		s.c.Cycles = s.c.Cycles.Sub(spent)
		s.c.Consume(state.UseBurned, s.burned)
		s.c.Consume(state.UseInstructions, cost)
		s.c.Reserved = s.c.Reserved.Add(s.reserved)
		m.out.ChangedBytes += s.apply()
	} else {
		s.l.rollback(s.c.ID)
		s.l.dropInstance(s.c.ID)
		s.c.AppendLog(s.now, s.log)
		cost = cost.Min(s.c.Cycles)
		s.c.Cycles = s.c.Cycles.Sub(cost)
		s.c.Consume(state.UseInstructions, cost)
	}
	s.c.Install = s.c.Install.Plus(s.used, uint64(m.s.Height), m.x.limits.SliceInstructions)
	if rej != nil {
		return rej
	}
	return m.answer()
}

// Installing is the canister whose code is being installed over several rounds.
func (x *Executor) Installing() (types.CanisterID, bool) {
	if x.installing == nil {
		return types.CanisterID{}, false
	}
	return x.installing.c.ID, true
}

// Installs reports whether a call to the management canister installs code.
func Installs(r *state.Request) bool {
	return r.Method == "install_code" || r.Method == "install_chunked_code"
}

// Holds reports whether a call to the management canister has to wait for the installation
// in progress: it concerns the same canister, or installs code too.
func (x *Executor) Holds(r *state.Request) bool {
	s := x.installing
	switch {
	case s == nil || s.request == r:
		return false
	case Installs(r):
		return true
	}
	var arg canisterArg
	return marshal.Decode(r.Arg, &arg) == nil && arg.Canister == s.c.ID
}

// abandonInstall gives up the installation in progress; its call begins again.
func (x *Executor) abandonInstall() {
	s := x.installing
	if s == nil {
		return
	}
	x.installing = nil
	s.stop()
	s.l.rollback(s.c.ID)
	s.l.dropInstance(s.c.ID)
	x.leaveInstall(s)
}

// leaveInstall gives back what an installation that has ended used.
func (x *Executor) leaveInstall(s *installer) {
	x.modules.leave(s.code)
	x.done(s.l)
}

// afford checks what the new code stores against the limits, and reserves cycles for it.
func (s *installer) afford(stored uint64) *types.Reject {
	after := s.after()
	if limit := s.c.Settings.WasmMemoryLimit; limit != 0 && after.Code.HeapBytes > limit {
		return wasmMemoryLimit(limit)
	}
	reserve, rej := s.x.storage(s.c, MemoryUsage(after), stored, s.balance)
	s.balance, s.reserved = s.balance.Sub(reserve), reserve
	return rej
}

// after is the canister with the new code and the memories as they are, for their sizes.
func (s *installer) after() *state.Canister {
	after := *s.c
	after.Code = &state.Code{
		Module: s.in.Module, Globals: make([]uint64, len(s.module.Info().Globals)),
		HeapBytes: s.l.heap.Size(), CustomBytes: customBytes(s.module),
	}
	after.StableBytes = uint64(len(s.l.stable.Bytes()))
	return &after
}

// installable checks that the mode fits the canister.
func (x *Executor) installable(c *state.Canister, in Installation) *types.Reject {
	switch in.Mode {
	case Install:
		if c.Code != nil {
			return types.Rejectf(types.ErrCanisterNonEmpty, "Canister %s cannot be installed because the canister is not empty. Try installing with mode='reinstall' instead.", c.ID)
		}
	case Upgrade:
		if c.Code == nil {
			return types.Rejectf(types.ErrCanisterWasmModuleNotFound, "Error from Canister %s: Attempted to upgrade, but the canister contains no Wasm module.", c.ID)
		}
	case Reinstall:
	default:
		panic("execution: unknown install mode")
	}
	return nil
}

// persistable checks wasm_memory_persistence, so that no Motoko heap is lost or
// misread by mistake.
func (x *Executor) persistable(c *state.Canister, in Installation, module *wasm.Module) *types.Reject {
	if in.Mode != Upgrade {
		return nil
	}
	switch {
	case in.Persistence == PersistenceKeep && !hasSection(module, enhancedPersistence):
		return types.Rejectf(types.ErrCanisterContractViolation, "Error from Canister %s: Invalid upgrade option: The `wasm_memory_persistence: opt Keep` upgrade option requires that the new canister module supports enhanced orthogonal persistence.", c.ID)
	case in.Persistence == PersistenceUnset && hasSection(x.Module(c.ID, c.Code), enhancedPersistence):
		return types.Rejectf(types.ErrCanisterContractViolation, "Error from Canister %s: Missing upgrade option: Enhanced orthogonal persistence requires the `wasm_memory_persistence` upgrade option.", c.ID)
	}
	return nil
}

func hasSection(m *wasm.Module, name string) bool {
	for _, s := range m.Info().Custom {
		if s.Name == name {
			return true
		}
	}
	return false
}

// installer carries one installation through its steps.
type installer struct {
	x      *Executor
	c      *state.Canister
	l      *live
	in     Installation
	code   *compiled // in use until the installation ends
	module *wasm.Module
	hash   types.Hash
	now    types.Time

	instance *wasm.Instance
	timer    uint64
	data     []byte
	used     uint64 // instructions, of the steps that ended
	log      [][]byte
	// balance is what the steps see, began what it was at first; the prepaid is not in it.
	balance, began, prepaid types.Cycles
	burned, reserved        types.Cycles

	// It is a coroutine, as a turn is.
	request *state.Request // that asked for it
	next    func() (struct{}, bool)
	stop    func()
	pause   func() bool
	slice   uint64 // instructions when it paused last
	most    uint64 // instructions of this round's slice
	rej     *types.Reject
}

func (s *installer) run() *types.Reject {
	if s.in.Mode == Upgrade && !s.in.SkipPreUpgrade && s.x.Module(s.c.ID, s.c.Code).Info().PreUpgrade {
		old := s.x.instanceFor(s.c, s.l)
		if rej := s.step(old, ic0.PreUpgrade, s.c.Version, exported("canister_pre_upgrade")); rej != nil {
			return rej
		}
	}
	s.timer = 0
	if s.in.Mode != Upgrade {
		s.data = nil
	}
	s.instantiate()
	info := s.module.Info()
	if info.Start {
		if rej := s.step(s.instance, ic0.Start, s.c.Version+1, func(i *wasm.Instance, call *wasm.Call) wasm.Outcome { return i.Start(call) }); rej != nil {
			return rej
		}
	}
	switch {
	case s.in.Mode == Upgrade && info.PostUpgrade:
		return s.step(s.instance, ic0.Init, s.c.Version+1, exported("canister_post_upgrade"))
	case s.in.Mode != Upgrade && info.Init:
		return s.step(s.instance, ic0.Init, s.c.Version+1, exported("canister_init"))
	}
	return nil
}

// step runs one entry point; its effects accumulate until apply.
func (s *installer) step(i *wasm.Instance, context ic0.Context, version uint64, f entryPoint) *types.Reject {
	env := s.x.env(s.c, context, s.now)
	env.Arg, env.Caller, env.Version = s.in.Arg, s.in.By.Sender, version
	env.Timer, env.CertifiedData, env.Balance = s.timer, s.data, s.balance
	env.Limits.MaxStableReadBytes, env.Limits.MaxStableWriteBytes = stableAccessPerUpgrade, stableAccessPerUpgrade
	g := &grower{x: s.x, c: s.c, env: env}
	if context != ic0.PreUpgrade {
		g.c = s.after()
	}
	used, rej := s.x.runSlices(i, s.c, s.l, g, maxInstallInstructions-s.used, s.yield, f)
	s.used += used
	s.log = append(s.log, env.Log...)
	if rej != nil {
		return rej
	}
	s.timer, s.data, s.balance = env.Timer, env.CertifiedData, env.Balance
	s.burned = s.burned.Add(env.Burned)
	return nil
}

// yield pauses the installation when its slice is used up.
func (s *installer) yield(used uint64) error {
	if s.used+used-s.slice < s.most {
		return nil
	}
	s.slice = s.used + used
	if !s.pause() {
		return errAbandoned
	}
	return nil
}

// instantiate makes the new instance over fresh memory, or over the kept heap.
func (s *installer) instantiate() {
	s.l.dropInstance(s.c.ID)
	must(s.c.ID, s.l.heap.Revive())
	info := s.module.Info()
	keep := s.in.Mode == Upgrade && s.in.Persistence == PersistenceKeep
	if !keep {
		must(s.c.ID, s.l.heap.Replace(info.MinPages*types.WasmPageBytes))
	}
	if s.in.Mode != Upgrade {
		must(s.c.ID, s.l.stable.Replace(0))
	}
	pages := s.l.heap.Size() / types.WasmPageBytes
	instance, err := s.module.Instantiate(wasm.InstanceConfig{Memory: s.l.heap, InitialPages: max(pages, info.MinPages)})
	must(s.c.ID, err)
	s.x.modules.share(s.code)
	s.l.instance, s.l.code, s.instance = instance, s.code, instance
	if keep {
		return
	}
	for _, d := range info.Data { // within the memory: the engine has checked it
		instance.Write(d.Offset, d.Bytes)
	}
}

var changeKinds = map[InstallMode]state.ChangeKind{
	Install: state.ChangeInstall, Reinstall: state.ChangeReinstall, Upgrade: state.ChangeUpgrade,
}

// apply makes a successful installation the canister's state, and returns how many bytes of
// memories changed.
func (s *installer) apply() (changed uint64) {
	c := s.c
	changed = s.l.commit(c)
	code := &state.Code{
		ModuleHash: s.hash, Module: s.in.Module, Globals: s.instance.Globals(),
		HeapBytes: s.l.heap.Size(), CustomBytes: customBytes(s.module),
	}
	c.Code, c.CertifiedData, c.Timer = code, s.data, s.timer
	if s.in.Mode != Upgrade {
		c.Log = state.Log{}
		c.LowMemory = state.LowMemoryNotReached
	}
	c.AppendLog(s.now, s.log)
	c.Version++
	c.Installed = s.now
	watchLowMemory(c)
	c.Record(state.Change{
		Time: s.now, Version: c.Version, By: s.in.By.Sender, ByCanister: s.in.By.Kind == state.FromCanister,
		ByVersion: s.in.ByVersion, Kind: changeKinds[s.in.Mode], ModuleHash: s.hash,
	})
	return changed
}

func customBytes(m *wasm.Module) uint64 {
	n := 0
	for _, s := range m.Info().Custom {
		n += len(s.Name) + len(s.Content)
	}
	return uint64(n)
}

// Uninstall removes a canister's code and memories. Its open calls are rejected and
// their late responses dropped.
func (x *Executor) Uninstall(c *state.Canister) (out Output) {
	x.erase(c.ID)
	c.StableBytes = 0
	c.Code, c.CertifiedData, c.Timer, c.Chunks, c.Log = nil, nil, 0, nil, state.Log{}
	c.LowMemory = state.LowMemoryNotReached
	for _, id := range sortedIDs(c.Contexts) {
		ctx := c.Contexts[id]
		if !ctx.Responded {
			x.respond(ctx, nil, types.Rejectf(types.ErrCanisterRejectedMessage, "Canister %s has been uninstalled.", c.ID), &out)
		}
		ctx.Deleted = true
		if ctx.Outstanding == 0 {
			delete(c.Contexts, id)
		}
	}
	c.Version++
	return out
}

// erase empties a canister's memories.
func (x *Executor) erase(id principal.ID) {
	x.Abandon(id)
	l := x.open(id)
	defer x.done(l)
	l.dropInstance(id)
	for _, v := range []*heap.View{l.heap, l.stable} {
		must(id, v.Replace(0))
		_, err := v.Commit()
		must(id, err)
	}
}
