package conformance

import (
	"math/big"

	"portico/lightclient"
	"portico/lightclient/candid/marshal"
	"portico/lightclient/envelope"
	"portico/lightclient/principal"
)

// The management canister's arguments and results (interface specification, "The IC
// management canister").

type canisterArg struct {
	Canister principal.ID `candid:"canister_id"`
}

type provisional struct {
	Amount        **big.Int     `candid:"amount"`
	Settings      *canSettings  `candid:"settings"`
	SpecifiedID   *principal.ID `candid:"specified_id"`
	SenderVersion *uint64       `candid:"sender_canister_version"`
}

type createArg struct {
	Settings      *canSettings `candid:"settings"`
	SenderVersion *uint64      `candid:"sender_canister_version"`
}

type canSettings struct {
	Controllers       *[]principal.ID `candid:"controllers"`
	ComputeAllocation **big.Int       `candid:"compute_allocation"`
	MemoryAllocation  **big.Int       `candid:"memory_allocation"`
	FreezingThreshold **big.Int       `candid:"freezing_threshold"`
	ReservedLimit     **big.Int       `candid:"reserved_cycles_limit"`
	MinimumIncoming   **big.Int       `candid:"minimum_incoming_canister_call_cycles"`
	WasmMemoryLimit   **big.Int       `candid:"wasm_memory_limit"`
	WasmMemoryThresh  **big.Int       `candid:"wasm_memory_threshold"`
	LogVisibility     *visibility     `candid:"log_visibility"`
	LogMemoryLimit    **big.Int       `candid:"log_memory_limit"`
	SnapshotVisible   *visibility     `candid:"snapshot_visibility"`
	StatusVisibility  *visibility     `candid:"status_visibility"`
	EnvVars           *[]envVar       `candid:"environment_variables"`
}

type visibility struct {
	Controllers    bool            `candid:"controllers,variant"`
	Public         bool            `candid:"public,variant"`
	AllowedViewers *[]principal.ID `candid:"allowed_viewers,variant"`
}

type envVar struct {
	Name  string `candid:"name"`
	Value string `candid:"value"`
}

type settingsArg struct {
	Canister      principal.ID `candid:"canister_id"`
	Settings      canSettings  `candid:"settings"`
	SenderVersion *uint64      `candid:"sender_canister_version"`
}

type versionedArg struct {
	Canister      principal.ID `candid:"canister_id"`
	SenderVersion *uint64      `candid:"sender_canister_version"`
}

type mode struct {
	Install   bool      `candid:"install,variant"`
	Reinstall bool      `candid:"reinstall,variant"`
	Upgrade   **options `candid:"upgrade,variant"`
}

type options struct {
	SkipPreUpgrade *bool        `candid:"skip_pre_upgrade"`
	Persistence    *persistence `candid:"wasm_memory_persistence"`
}

type persistence struct {
	Keep    bool `candid:"keep,variant"`
	Replace bool `candid:"replace,variant"`
}

func installMode() mode   { return mode{Install: true} }
func reinstallMode() mode { return mode{Reinstall: true} }
func upgradeMode() mode   { return mode{Upgrade: new(*options)} }

func upgradeWith(o options) mode {
	p := &o
	return mode{Upgrade: &p}
}

type installArg struct {
	Mode          mode         `candid:"mode"`
	Canister      principal.ID `candid:"canister_id"`
	Module        []byte       `candid:"wasm_module"`
	Arg           []byte       `candid:"arg"`
	SenderVersion *uint64      `candid:"sender_canister_version"`
}

type statusResult struct {
	Status         statusArm      `candid:"status"`
	Version        uint64         `candid:"version"`
	Settings       settingsResult `candid:"settings"`
	ModuleHash     *[]byte        `candid:"module_hash"`
	MemorySize     *big.Int       `candid:"memory_size"`
	Cycles         *big.Int       `candid:"cycles"`
	ReservedCycles *big.Int       `candid:"reserved_cycles"`
}

type statusArm struct {
	Running  bool `candid:"running,variant"`
	Stopping bool `candid:"stopping,variant"`
	Stopped  bool `candid:"stopped,variant"`
}

func (s statusArm) String() string {
	switch {
	case s.Running:
		return "running"
	case s.Stopping:
		return "stopping"
	default:
		return "stopped"
	}
}

type settingsResult struct {
	Controllers       []principal.ID `candid:"controllers"`
	ComputeAllocation *big.Int       `candid:"compute_allocation"`
	MemoryAllocation  *big.Int       `candid:"memory_allocation"`
	FreezingThreshold *big.Int       `candid:"freezing_threshold"`
}

type infoArg struct {
	Canister  principal.ID `candid:"canister_id"`
	Requested *uint64      `candid:"num_requested_changes"`
}

type infoResult struct {
	Total       uint64         `candid:"total_num_changes"`
	Recent      []change       `candid:"recent_changes"`
	ModuleHash  *[]byte        `candid:"module_hash"`
	Controllers []principal.ID `candid:"controllers"`
}

type change struct {
	Time    uint64  `candid:"timestamp_nanos"`
	Version uint64  `candid:"canister_version"`
	Origin  origin  `candid:"origin"`
	Details details `candid:"details"`
}

type origin struct {
	User     *fromUser     `candid:"from_user,variant"`
	Canister *fromCanister `candid:"from_canister,variant"`
}

type fromUser struct {
	User principal.ID `candid:"user_id"`
}

type fromCanister struct {
	Canister principal.ID `candid:"canister_id"`
	Version  *uint64      `candid:"canister_version"`
}

type details struct {
	Creation    *controllers `candid:"creation,variant"`
	Uninstall   bool         `candid:"code_uninstall,variant"`
	Deployment  *deployment  `candid:"code_deployment,variant"`
	LoadSnap    *loaded      `candid:"load_snapshot,variant"`
	Controllers *controllers `candid:"controllers_change,variant"`
}

// loaded is what the history tells of a snapshot; the rest does not matter here.
type loaded struct {
	ID []byte `candid:"snapshot_id"`
}

type controllers struct {
	Controllers []principal.ID `candid:"controllers"`
}

type deployment struct {
	Mode       deploymentMode `candid:"mode"`
	ModuleHash []byte         `candid:"module_hash"`
}

type deploymentMode struct {
	Install   bool `candid:"install,variant"`
	Reinstall bool `candid:"reinstall,variant"`
	Upgrade   bool `candid:"upgrade,variant"`
}

type topUpArg struct {
	Canister principal.ID `candid:"canister_id"`
	Amount   *big.Int     `candid:"amount"`
}

// optional is a present optional number.
func optional(n *big.Int) **big.Int { return &n }

func optionalInt(n int64) **big.Int { return optional(big.NewInt(n)) }

// manage calls the management canister as a user and decodes its results.
func (c *check) manage(as envelope.Identity, effective principal.ID, method string, arg any, results ...any) answer {
	c.Helper()
	a := c.call(as, lightclient.Message{Method: method, Arg: c.encode(arg), Effective: effective})
	if a.status == 0 && a.code == 0 && len(results) > 0 {
		if err := marshal.Decode(a.reply, results...); err != nil {
			c.Fatalf("the result of %s: %v", method, err)
		}
	}
	return a
}

func (c *check) manageOK(as envelope.Identity, effective principal.ID, method string, arg any, results ...any) {
	c.Helper()
	c.ok(method, c.manage(as, effective, method, arg, results...))
}

// control calls a method that takes the canister's id, as its owner.
func (can *canister) control(method string, results ...any) answer {
	can.Helper()
	return can.manage(can.owner, can.id, method, canisterArg{can.id}, results...)
}

// status is the canister's status.
func (can *canister) status() (s statusResult) {
	can.Helper()
	can.ok("canister_status", can.control("canister_status", &s))
	return s
}

// set changes settings.
func (can *canister) set(s canSettings) answer {
	can.Helper()
	return can.setAs(can.owner, s)
}

func (can *canister) setAs(as envelope.Identity, s canSettings) answer {
	can.Helper()
	return can.manage(as, can.id, "update_settings", settingsArg{Canister: can.id, Settings: s})
}

func settingControllers(ids ...principal.ID) canSettings { return canSettings{Controllers: &ids} }
