package execution

import (
	"errors"

	"portico/lightclient/principal"
	"portico/node/state"
	"portico/node/types"
	"portico/node/wasm"
	"portico/node/wasm/ic0"
)

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
		out.Recent = append(out.Recent, changeOf(c.ID, ch))
	}
	return m.answer(out)
}

func changeOf(id principal.ID, ch state.Change) changeResult {
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
		if ch.EnvVars != nil {
			hash := ch.EnvVars[:]
			out.Details.Creation.EnvHash = &hash
		}
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
	case state.ChangeLoadSnapshot:
		out.Details.Loaded = loadedOf(id, ch.Loaded)
	default:
		panic("execution: history entry of unknown kind")
	}
	return out
}

func loadedOf(onto principal.ID, l *state.LoadedSnapshot) *loadedResult {
	out := &loadedResult{ID: l.ID.Bytes(), Version: l.Version, Taken: uint64(l.Taken), Source: sourceOf(l.Uploaded)}
	if l.ID.Canister != onto {
		out.From = &l.ID.Canister
	}
	return out
}

// canisterMetadata returns a custom section: a public one to everybody, a private one to
// controllers.
func (m *managed) canisterMetadata() *types.Reject {
	arg, rej := decode[metadataArg](m)
	if rej != nil {
		return rej
	}
	c := m.s.Canister(arg.Canister)
	if c == nil {
		return NotFound(arg.Canister)
	}
	if c.Code == nil {
		return types.Rejectf(types.ErrCanisterWasmModuleNotFound, "The canister %s has no Wasm module and hence no metadata is available.", c.ID)
	}
	for _, section := range m.x.Module(c.ID, c.Code).Info().Custom {
		if section.Name != arg.Name {
			continue
		}
		if !section.Public && !c.IsController(m.r.Origin.Sender) {
			return notController(c.ID, m.r.Origin.Sender)
		}
		return m.answer(metadataResult{section.Content})
	}
	return types.Rejectf(types.ErrCanisterRejectedMessage, "The canister %s has no metadata section with the name %s.", c.ID, arg.Name)
}

func (m *managed) canisterMetrics() *types.Reject {
	arg, rej := decode[canisterArg](m)
	if rej != nil {
		return rej
	}
	if rej := m.x.mayAdminister(m.s, arg.Canister, m.r.Origin.Sender); rej != nil {
		return rej
	}
	use := m.s.Canister(arg.Canister).ByUse
	return m.answer(metricsResult{consumedResult{
		Memory: use[state.UseMemory].Big(), Compute: use[state.UseComputeAllocation].Big(), Ingress: use[state.UseIngress].Big(),
		Instructions: use[state.UseInstructions].Big(), Transmission: use[state.UseTransmission].Big(), Uninstall: use[state.UseUninstall].Big(),
		Creation: use[state.UseCreation].Big(), Outcalls: use[state.UseOutcalls].Big(), Burned: use[state.UseBurned].Big(),
	}})
}

// logged are the lines that a message logged, with its trap as the last one.
func logged(env *ic0.Env, trap *wasm.Trap) [][]byte {
	var rej *types.Reject
	switch {
	case trap == nil:
		return env.Log
	case !errors.As(trap.Err, &rej):
		return append(env.Log, []byte("[TRAP]: "+trap.Message))
	case rej.Code == types.ErrCanisterCalledTrap:
		return env.Log // ic0.trap logs by itself
	default:
		return append(env.Log, []byte("[TRAP]: "+rej.Message))
	}
}

func (m *managed) fetchLogs() *types.Reject {
	arg, rej := decode[canisterArg](m)
	if rej != nil {
		return rej
	}
	c := m.s.Canister(arg.Canister)
	if c == nil || !c.Settings.LogVisibility.Allows(m.r.Origin.Sender) {
		if rej := mayManage(m.s, arg.Canister, m.r.Origin.Sender); rej != nil {
			return rej
		}
	}
	out := logsResult{Records: []logRecordResult{}}
	for r := range c.Log.All() {
		out.Records = append(out.Records, logRecordResult{r.Index, uint64(r.Time), r.Content})
	}
	return m.answer(out)
}

// listCanisters answers admins with the ids of all canisters as ranges. It takes no arguments.
func (m *managed) listCanisters() *types.Reject {
	if !m.x.deps.Subnet.IsAdmin(m.r.Origin.Sender) {
		return types.Rejectf(types.ErrCanisterRejectedMessage, "Only subnet admins can call list_canisters; %s is not one of them", m.r.Origin.Sender)
	}
	out := listResult{Canisters: []rangeResult{}}
	var last uint64
	for _, id := range m.s.IDs() {
		index, _ := id.CanisterIndex()
		if n := len(out.Canisters); n > 0 && index == last+1 {
			out.Canisters[n-1].End = id
		} else {
			out.Canisters = append(out.Canisters, rangeResult{id, id})
		}
		last = index
	}
	return m.answer(out)
}

// ownSubnet checks that a call concerns this subnet.
func (m *managed) ownSubnet(id principal.ID) *types.Reject {
	if own := m.x.deps.Subnet.ID; id != own {
		return types.Rejectf(types.ErrSubnetNotFound, "subnet %s not found: this is subnet %s", id, own)
	}
	return nil
}

func (m *managed) subnetInfo() *types.Reject {
	arg, rej := decode[subnetArg](m)
	if rej != nil {
		return rej
	}
	if rej := m.ownSubnet(arg.Subnet); rej != nil {
		return rej
	}
	return m.answer(subnetInfoResult{m.x.deps.Subnet.Version, m.x.deps.Subnet.RegistryVersion})
}

func (m *managed) nodeMetricsHistory() *types.Reject {
	arg, rej := decode[nodeMetricsArg](m)
	if rej != nil {
		return rej
	}
	if rej := m.ownSubnet(arg.Subnet); rej != nil {
		return rej
	}
	out := []dayResult{}
	for _, day := range m.s.BlockMakers {
		if uint64(day.Time) < arg.From {
			continue
		}
		nodes := []nodeMetricsResult{}
		for _, n := range day.Nodes {
			nodes = append(nodes, nodeMetricsResult{n.Node, n.Proposed, n.Failed})
		}
		out = append(out, dayResult{uint64(day.Time), nodes})
	}
	return m.answer(out)
}
