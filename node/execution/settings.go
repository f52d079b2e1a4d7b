package execution

import (
	"math/big"
	"slices"
	"strings"
	"unicode/utf8"

	"portico/lightclient/cbor"
	"portico/lightclient/envelope"
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
		ReservedCyclesLimit: types.CyclesOf(defaultReservedLimit), LogMemoryLimit: state.MinLogBytes,
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
		{"wasm_memory_threshold", arg.OptWasmMemoryThresh, maxMemoryAllocation, &s.WasmMemoryThreshold},
		{"log_memory_limit", arg.OptLogMemoryLimit, state.MaxLogBytes, &s.LogMemoryLimit},
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
	if n := s.LogMemoryLimit; n > 0 && n < state.MinLogBytes {
		return false, types.Rejectf(types.ErrCanisterContractViolation, "log_memory_limit of %d is out of range: it may be 0, or at least %d", n, state.MinLogBytes)
	}
	for _, n := range []struct {
		name string
		arg  **big.Int
		to   *types.Cycles
	}{
		{"reserved_cycles_limit", arg.OptReservedLimit, &s.ReservedCyclesLimit},
		{"minimum_incoming_canister_call_cycles", arg.OptMinimumIncoming, &s.MinimumIncomingCycles},
	} {
		if n.arg == nil {
			continue
		}
		if (*n.arg).BitLen() > 128 {
			return false, types.Rejectf(types.ErrCanisterContractViolation, "%s of %s is out of range: it may be at most 2^128-1", n.name, *n.arg)
		}
		*n.to = types.CyclesOfBig(*n.arg)
	}
	if rej := applyVisibilities(&s, arg); rej != nil {
		return false, rej
	}
	if arg.EnvironmentVariables != nil {
		if s.EnvVars, rej = envVars(*arg.EnvironmentVariables); rej != nil {
			return false, rej
		}
	}
	if rej := m.allot(c, s); rej != nil {
		return false, rej
	}
	c.Settings = s
	c.LimitLog(s.LogMemoryLimit)
	return arg.Controllers != nil, nil
}

// allot checks whether the subnet and the canister can afford the allocations of new settings,
// and reserves cycles for the memory.
func (m *managed) allot(c *state.Canister, s state.Settings) *types.Reject {
	if s.ReservedCyclesLimit.Cmp(c.Reserved) < 0 {
		return types.Rejectf(types.ErrReservedCyclesLimitTooLow, "Cannot set the reserved cycles limit %s below the reserved cycles balance of the canister %s.", s.ReservedCyclesLimit, c.Reserved)
	}
	after := *c
	after.Settings = s
	if more := s.ComputeAllocation; more > c.Settings.ComputeAllocation {
		var others uint64
		for _, id := range m.s.IDs() {
			if id != c.ID {
				others += m.s.Canister(id).Settings.ComputeAllocation
			}
		}
		if left := m.x.limits.ComputePercent - min(others, m.x.limits.ComputePercent); more > left {
			return types.Rejectf(types.ErrSubnetOversubscribed, "Canister requested a compute allocation of %d%% which cannot be satisfied because the Subnet's remaining compute capacity is %d%%", more, left)
		}
		if threshold := m.x.costs.FreezingThreshold(&after); c.Cycles.Cmp(threshold) < 0 {
			return types.Rejectf(types.ErrInsufficientCyclesCompute, "Cannot increase compute allocation to %d%% due to insufficient cycles. At least %s additional cycles are required.", more, threshold.Sub(c.Cycles))
		}
	}
	usage := MemoryUsage(&after)
	if s.MemoryAllocation > 0 && s.MemoryAllocation < usage {
		return types.Rejectf(types.ErrInsufficientMemoryAllocation, "Canister was given %d bytes of memory allocation but at least %d bytes are needed.", s.MemoryAllocation, usage)
	}
	most := max(usage, s.MemoryAllocation)
	if most <= max(MemoryUsage(c), c.Settings.MemoryAllocation) {
		return nil
	}
	// what is allotted counts as stored; the balance must hold it under the new settings
	before := after
	before.Settings.MemoryAllocation, before.Settings.LogMemoryLimit = c.Settings.MemoryAllocation, c.Settings.LogMemoryLimit
	reserve, rej := m.x.allotment(&before, most, m.s.Metrics.StateBytes, c.Cycles)
	if rej != nil {
		if rej.Code == types.ErrInsufficientCyclesMemoryGrow {
			rej.Code = types.ErrInsufficientCyclesMemory
		}
		return rej
	}
	c.Cycles, c.Reserved = c.Cycles.Sub(reserve), c.Reserved.Add(reserve)
	return nil
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
	set := append([]principal.ID{}, ids...)
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

// envVarsHash is the representation-independent hash of the map of names to values.
func envVarsHash(vars []state.EnvVar) types.Hash {
	all := &cbor.Map{}
	for _, v := range vars {
		all.Set(v.Name, cbor.Text(v.Value))
	}
	hash, err := envelope.HashOfMap(all)
	if err != nil {
		panic("execution: environment variables have no hash: " + err.Error())
	}
	return hash
}

func (m *managed) canisterStatus() *types.Reject {
	arg, rej := decode[canisterArg](m)
	if rej != nil {
		return rej
	}
	if rej := m.x.mayReadStatus(m.s, arg.Canister, m.r.Origin.Sender); rej != nil {
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
			nat(c.Log.Bytes),
		},
		Cycles: c.Cycles.Big(), ReservedCycles: c.Reserved.Big(), IdlePerDay: x.costs.IdlePerDay(c).Big(),
		QueryStats:        queryStatsResult{nat(c.Queries.Calls), nat(c.Queries.Instructions), nat(c.Queries.RequestBytes), nat(c.Queries.ReplyBytes)},
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
		LogMemoryLimit: nat(s.LogMemoryLimit),
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
