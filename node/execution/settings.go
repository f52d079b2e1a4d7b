package execution

import (
	"math/big"
	"slices"
	"strings"
	"unicode/utf8"

	"portico/lightclient/principal"
	"portico/node/state"
	"portico/node/types"
)

// Limits and defaults of settings (interface specification, "create_canister").
const (
	maxControllers           = 10
	maxViewers               = 10
	maxEnvVars               = 20
	maxEnvVarBytes           = 128
	defaultFreezingThreshold = 2_592_000
	defaultReservedLimit     = 5_000_000_000_000
	// maxMemoryAllocation is more than any subnet can store.
	maxMemoryAllocation = 1 << 48
)

func defaultSettings(controller principal.ID) state.Settings {
	return state.Settings{
		Controllers: []principal.ID{controller}, FreezingThreshold: defaultFreezingThreshold,
		ReservedCyclesLimit: types.CyclesOf(defaultReservedLimit),
	}
}

// apply changes settings, all or none, and reports whether the controllers are set.
func (m *managed) apply(c *state.Canister, arg *settingsArg) (controllers bool, rej *types.Reject) {
	s := c.Settings
	if arg.Controllers != nil {
		list, err := idSet("controllers", *arg.Controllers, maxControllers)
		if err != nil {
			return false, err
		}
		s.Controllers = list
	}
	numbers := []struct {
		name string
		arg  **big.Int
		most uint64
		to   *uint64
	}{
		{"compute_allocation", arg.OptComputeAllocation, 100, &s.ComputeAllocation},
		{"memory_allocation", arg.OptMemoryAllocation, maxMemoryAllocation, &s.MemoryAllocation},
		{"freezing_threshold", arg.OptFreezingThreshold, 1<<64 - 1, &s.FreezingThreshold},
		{"wasm_memory_limit", arg.OptWasmMemoryLimit, maxMemoryAllocation, &s.WasmMemoryLimit},
		{"wasm_memory_threshold", arg.OptWasmMemoryThresh, 1<<64 - 1, &s.WasmMemoryThreshold},
	}
	for _, n := range numbers {
		if n.arg == nil {
			continue
		}
		if v := *n.arg; !v.IsUint64() || v.Uint64() > n.most {
			return false, types.Rejectf(types.ErrCanisterContractViolation, "%s of %s is out of range: it may be at most %d", n.name, v, n.most)
		}
		*n.to = (*n.arg).Uint64()
	}
	if arg.OptReservedLimit != nil {
		s.ReservedCyclesLimit = types.CyclesOfBig(*arg.OptReservedLimit)
	}
	if arg.OptMinimumIncoming != nil {
		s.MinimumIncomingCycles = types.CyclesOfBig(*arg.OptMinimumIncoming)
	}
	if rej := applyVisibilities(&s, arg); rej != nil {
		return false, rej
	}
	if arg.EnvironmentVariables != nil {
		if s.EnvVars, rej = envVars(*arg.EnvironmentVariables); rej != nil {
			return false, rej
		}
	}
	if s.MemoryAllocation > 0 && s.MemoryAllocation < MemoryUsage(c) {
		return false, types.Rejectf(types.ErrInsufficientMemoryAllocation, "Canister was given %d bytes of memory allocation but at least %d bytes are needed.", s.MemoryAllocation, MemoryUsage(c))
	}
	c.Settings = s
	return arg.Controllers != nil, nil
}

func applyVisibilities(s *state.Settings, arg *settingsArg) *types.Reject {
	for _, v := range []struct {
		name string
		arg  *visibilityArg
		to   *state.Visibility
	}{
		{"log_visibility", arg.LogVisibility, &s.LogVisibility},
		{"snapshot_visibility", arg.SnapshotVisibility, &s.SnapshotVisibility},
		{"status_visibility", arg.StatusVisibility, &s.StatusVisibility},
	} {
		if v.arg == nil {
			continue
		}
		*v.to = state.Visibility{Public: v.arg.Public}
		if v.arg.AllowedViewers != nil {
			viewers, rej := idSet(v.name, *v.arg.AllowedViewers, maxViewers)
			if rej != nil {
				return rej
			}
			v.to.Viewers = viewers
		}
	}
	return nil
}

// idSet orders principals and drops duplicates.
func idSet(name string, ids []principal.ID, most int) ([]principal.ID, *types.Reject) {
	if len(ids) > most {
		return nil, types.Rejectf(types.ErrInvalidManagementPayload, "%s: the number of elements exceeds maximum allowed %d: %d", name, most, len(ids))
	}
	set := slices.Clone(ids)
	slices.SortFunc(set, principal.ID.Compare)
	return slices.Compact(set), nil
}

func envVars(args []envVarArg) ([]state.EnvVar, *types.Reject) {
	if len(args) > maxEnvVars {
		return nil, types.Rejectf(types.ErrCanisterContractViolation, "environment_variables: %d variables are more than %d", len(args), maxEnvVars)
	}
	vars := make([]state.EnvVar, 0, len(args))
	for _, v := range args {
		if len(v.Name) > maxEnvVarBytes || len(v.Value) > maxEnvVarBytes || !utf8.ValidString(v.Name) {
			return nil, types.Rejectf(types.ErrCanisterContractViolation, "environment_variables: %q: names and values may have at most %d bytes", v.Name, maxEnvVarBytes)
		}
		vars = append(vars, state.EnvVar(v))
	}
	slices.SortFunc(vars, func(a, b state.EnvVar) int { return strings.Compare(a.Name, b.Name) })
	for i := 1; i < len(vars); i++ {
		if vars[i-1].Name == vars[i].Name {
			return nil, types.Rejectf(types.ErrCanisterContractViolation, "environment_variables: %q is given twice", vars[i].Name)
		}
	}
	return vars, nil
}

func (m *managed) canisterStatus() *types.Reject {
	arg, rej := decode[canisterArg](m)
	if rej != nil {
		return rej
	}
	if rej := mayReadStatus(m.s, arg.Canister, m.r.Origin.Sender); rej != nil {
		return rej
	}
	return m.answer(m.x.status(m.s.Canister(arg.Canister)))
}

func (x *Executor) status(c *state.Canister) statusResult {
	metrics := MemoryMetrics(c)
	out := statusResult{
		Status:  statusArm{c.Status == state.Running, c.Status == state.Stopping, c.Status == state.Stopped},
		Version: c.Version, Settings: settingsOf(c), MemorySize: nat(MemoryUsage(c)),
		MemoryMetrics: memoryMetricsResult{
			nat(metrics.Heap), nat(metrics.Stable), nat(metrics.Global), nat(metrics.Module),
			nat(metrics.CustomSections), nat(metrics.History), nat(metrics.Chunks), nat(metrics.Snapshots),
		},
		Cycles: c.Cycles.Big(), ReservedCycles: nat(0), IdlePerDay: x.costs.IdlePerDay(c).Big(),
		QueryStats:        queryStatsResult{nat(0), nat(0), nat(0), nat(0)},
		ReadyForMigration: c.Status == state.Stopped && len(c.Inbox) == 0,
	}
	out.ModuleHash = moduleHash(c)
	return out
}

func moduleHash(c *state.Canister) *[]byte {
	if c.Code == nil {
		return nil
	}
	h := c.Code.ModuleHash[:]
	return &h
}

func settingsOf(c *state.Canister) settingsResult {
	s := c.Settings
	out := settingsResult{
		Controllers: s.Controllers, ComputeAllocation: nat(s.ComputeAllocation), MemoryAllocation: nat(s.MemoryAllocation),
		FreezingThreshold: nat(s.FreezingThreshold), ReservedCyclesLimit: s.ReservedCyclesLimit.Big(), MinimumIncoming: s.MinimumIncomingCycles.Big(),
		LogVisibility: visibilityOf(s.LogVisibility), SnapshotVisibility: visibilityOf(s.SnapshotVisibility), StatusVisibility: visibilityOf(s.StatusVisibility),
		WasmMemoryLimit: nat(s.WasmMemoryLimit), WasmMemoryThreshold: nat(s.WasmMemoryThreshold),
	}
	for _, v := range s.EnvVars {
		out.EnvironmentVariables = append(out.EnvironmentVariables, envVarArg(v))
	}
	return out
}

func visibilityOf(v state.Visibility) visibilityArg {
	switch {
	case v.Public:
		return visibilityArg{Public: true}
	case v.Viewers != nil:
		return visibilityArg{AllowedViewers: &v.Viewers}
	default:
		return visibilityArg{Controllers: true}
	}
}

func (m *managed) canisterInfo() *types.Reject {
	arg, rej := decode[infoArg](m)
	if rej != nil {
		return rej
	}
	c := m.s.Canister(arg.Canister)
	if c == nil {
		return NotFound(arg.Canister)
	}
	out := infoResult{Total: c.TotalChanges, ModuleHash: moduleHash(c), Controllers: c.Settings.Controllers}
	n := uint64(0)
	if arg.Requested != nil {
		n = min(*arg.Requested, uint64(len(c.History)))
	}
	for _, ch := range c.History[uint64(len(c.History))-n:] {
		out.Recent = append(out.Recent, changeOf(ch))
	}
	return m.answer(out)
}

func changeOf(ch state.Change) changeResult {
	out := changeResult{Time: uint64(ch.Time), Version: ch.Version}
	if ch.ByCanister {
		out.Origin.Canister = &fromCanisterResult{ch.By, ch.ByVersion}
	} else {
		out.Origin.User = &fromUserResult{ch.By}
	}
	deployment := func(mode deploymentMode) { out.Details.Deployment = &deploymentResult{mode, ch.ModuleHash[:]} }
	switch ch.Kind {
	case state.ChangeCreation:
		out.Details.Creation = &creationResult{Controllers: ch.Controllers}
	case state.ChangeUninstall:
		out.Details.Uninstall = true
	case state.ChangeInstall:
		deployment(deploymentMode{Install: true})
	case state.ChangeReinstall:
		deployment(deploymentMode{Reinstall: true})
	case state.ChangeUpgrade:
		deployment(deploymentMode{Upgrade: true})
	case state.ChangeControllers:
		out.Details.Controllers = &controllersResult{ch.Controllers}
	default:
		panic("execution: history entry of unknown kind")
	}
	return out
}
