package execution

import (
	"math/big"

	"portico/lightclient/principal"
)

// The arguments and results of the management canister, as its Candid interface
// names them (interface specification, "The IC management canister").

type settingsArg struct {
	Controllers          *[]principal.ID `candid:"controllers"`
	OptComputeAllocation **big.Int       `candid:"compute_allocation"`
	OptMemoryAllocation  **big.Int       `candid:"memory_allocation"`
	OptFreezingThreshold **big.Int       `candid:"freezing_threshold"`
	OptReservedLimit     **big.Int       `candid:"reserved_cycles_limit"`
	OptMinimumIncoming   **big.Int       `candid:"minimum_incoming_canister_call_cycles"`
	OptWasmMemoryLimit   **big.Int       `candid:"wasm_memory_limit"`
	OptWasmMemoryThresh  **big.Int       `candid:"wasm_memory_threshold"`
	OptLogMemoryLimit    **big.Int       `candid:"log_memory_limit"`
	LogVisibility        *visibilityArg  `candid:"log_visibility"`
	SnapshotVisibility   *visibilityArg  `candid:"snapshot_visibility"`
	StatusVisibility     *visibilityArg  `candid:"status_visibility"`
	EnvironmentVariables *[]envVarArg    `candid:"environment_variables"`
}

type visibilityArg struct {
	Controllers    bool            `candid:"controllers,variant"`
	Public         bool            `candid:"public,variant"`
	AllowedViewers *[]principal.ID `candid:"allowed_viewers,variant"`
}

type envVarArg struct {
	Name  string `candid:"name"`
	Value string `candid:"value"`
}

type settingsResult struct {
	Controllers          []principal.ID `candid:"controllers"`
	ComputeAllocation    *big.Int       `candid:"compute_allocation"`
	MemoryAllocation     *big.Int       `candid:"memory_allocation"`
	FreezingThreshold    *big.Int       `candid:"freezing_threshold"`
	ReservedCyclesLimit  *big.Int       `candid:"reserved_cycles_limit"`
	MinimumIncoming      *big.Int       `candid:"minimum_incoming_canister_call_cycles"`
	LogVisibility        visibilityArg  `candid:"log_visibility"`
	SnapshotVisibility   visibilityArg  `candid:"snapshot_visibility"`
	StatusVisibility     visibilityArg  `candid:"status_visibility"`
	WasmMemoryLimit      *big.Int       `candid:"wasm_memory_limit"`
	WasmMemoryThreshold  *big.Int       `candid:"wasm_memory_threshold"`
	EnvironmentVariables []envVarArg    `candid:"environment_variables"`
	// LogMemoryLimit is beyond the specification, like the size of the log in the status.
	LogMemoryLimit *big.Int `candid:"log_memory_limit"`
}

type canisterArg struct {
	Canister principal.ID `candid:"canister_id"`
}

type createArg struct {
	Settings      *settingsArg `candid:"settings"`
	SenderVersion *uint64      `candid:"sender_canister_version"`
}

type provisionalCreateArg struct {
	Amount        **big.Int     `candid:"amount"`
	Settings      *settingsArg  `candid:"settings"`
	SpecifiedID   *principal.ID `candid:"specified_id"`
	SenderVersion *uint64       `candid:"sender_canister_version"`
}

type topUpArg struct {
	Canister principal.ID `candid:"canister_id"`
	Amount   *big.Int     `candid:"amount"`
}

type updateSettingsArg struct {
	Canister      principal.ID `candid:"canister_id"`
	Settings      settingsArg  `candid:"settings"`
	SenderVersion *uint64      `candid:"sender_canister_version"`
}

type versionedArg struct {
	Canister      principal.ID `candid:"canister_id"`
	SenderVersion *uint64      `candid:"sender_canister_version"`
}

type modeArg struct {
	Install   bool         `candid:"install,variant"`
	Reinstall bool         `candid:"reinstall,variant"`
	Upgrade   **upgradeArg `candid:"upgrade,variant"`
}

type upgradeArg struct {
	SkipPreUpgrade *bool           `candid:"skip_pre_upgrade"`
	Persistence    *persistenceArg `candid:"wasm_memory_persistence"`
}

type persistenceArg struct {
	Keep    bool `candid:"keep,variant"`
	Replace bool `candid:"replace,variant"`
}

type installArg struct {
	Mode          modeArg      `candid:"mode"`
	Canister      principal.ID `candid:"canister_id"`
	Module        []byte       `candid:"wasm_module"`
	Arg           []byte       `candid:"arg"`
	SenderVersion *uint64      `candid:"sender_canister_version"`
}

type chunkHash struct {
	Hash []byte `candid:"hash"`
}

type installChunkedArg struct {
	Mode          modeArg       `candid:"mode"`
	Target        principal.ID  `candid:"target_canister"`
	Store         *principal.ID `candid:"store_canister"`
	Chunks        []chunkHash   `candid:"chunk_hashes_list"`
	ModuleHash    []byte        `candid:"wasm_module_hash"`
	Arg           []byte        `candid:"arg"`
	SenderVersion *uint64       `candid:"sender_canister_version"`
}

type uploadChunkArg struct {
	Canister principal.ID `candid:"canister_id"`
	Chunk    []byte       `candid:"chunk"`
}

type statusArm struct {
	Running  bool `candid:"running,variant"`
	Stopping bool `candid:"stopping,variant"`
	Stopped  bool `candid:"stopped,variant"`
}

type memoryMetricsResult struct {
	Heap     *big.Int `candid:"wasm_memory_size"`
	Stable   *big.Int `candid:"stable_memory_size"`
	Global   *big.Int `candid:"global_memory_size"`
	Binary   *big.Int `candid:"wasm_binary_size"`
	Custom   *big.Int `candid:"custom_sections_size"`
	History  *big.Int `candid:"canister_history_size"`
	Chunks   *big.Int `candid:"wasm_chunk_store_size"`
	Snapshot *big.Int `candid:"snapshots_size"`
	// Log is beyond the specification: the released icp-cli does not read the reply without it.
	Log *big.Int `candid:"log_memory_store_size"`
}

type queryStatsResult struct {
	Calls        *big.Int `candid:"num_calls_total"`
	Instructions *big.Int `candid:"num_instructions_total"`
	Requests     *big.Int `candid:"request_payload_bytes_total"`
	Responses    *big.Int `candid:"response_payload_bytes_total"`
}

type statusResult struct {
	Status            statusArm           `candid:"status"`
	ReadyForMigration bool                `candid:"ready_for_migration"`
	Version           uint64              `candid:"version"`
	Settings          settingsResult      `candid:"settings"`
	ModuleHash        *[]byte             `candid:"module_hash"`
	MemorySize        *big.Int            `candid:"memory_size"`
	MemoryMetrics     memoryMetricsResult `candid:"memory_metrics"`
	Cycles            *big.Int            `candid:"cycles"`
	ReservedCycles    *big.Int            `candid:"reserved_cycles"`
	IdlePerDay        *big.Int            `candid:"idle_cycles_burned_per_day"`
	QueryStats        queryStatsResult    `candid:"query_stats"`
}

type infoArg struct {
	Canister  principal.ID `candid:"canister_id"`
	Requested *uint64      `candid:"num_requested_changes"`
}

type infoResult struct {
	Total       uint64         `candid:"total_num_changes"`
	Recent      []changeResult `candid:"recent_changes"`
	ModuleHash  *[]byte        `candid:"module_hash"`
	Controllers []principal.ID `candid:"controllers"`
}

type changeResult struct {
	Time    uint64        `candid:"timestamp_nanos"`
	Version uint64        `candid:"canister_version"`
	Origin  originResult  `candid:"origin"`
	Details detailsResult `candid:"details"`
}

type originResult struct {
	User     *fromUserResult     `candid:"from_user,variant"`
	Canister *fromCanisterResult `candid:"from_canister,variant"`
}

type fromUserResult struct {
	User principal.ID `candid:"user_id"`
}

type fromCanisterResult struct {
	Canister principal.ID `candid:"canister_id"`
	Version  *uint64      `candid:"canister_version"`
}

type detailsResult struct {
	Creation    *creationResult    `candid:"creation,variant"`
	Uninstall   bool               `candid:"code_uninstall,variant"`
	Deployment  *deploymentResult  `candid:"code_deployment,variant"`
	Controllers *controllersResult `candid:"controllers_change,variant"`
	Loaded      *loadedResult      `candid:"load_snapshot,variant"`
}

type loadedResult struct {
	From    *principal.ID  `candid:"from_canister_id"`
	ID      []byte         `candid:"snapshot_id"`
	Version uint64         `candid:"canister_version"`
	Taken   uint64         `candid:"taken_at_timestamp"`
	Source  snapshotSource `candid:"source"`
}

type creationResult struct {
	Controllers []principal.ID `candid:"controllers"`
	EnvHash     *[]byte        `candid:"environment_variables_hash"`
}

type deploymentResult struct {
	Mode       deploymentMode `candid:"mode"`
	ModuleHash []byte         `candid:"module_hash"`
}

type deploymentMode struct {
	Install   bool `candid:"install,variant"`
	Reinstall bool `candid:"reinstall,variant"`
	Upgrade   bool `candid:"upgrade,variant"`
}

type controllersResult struct {
	Controllers []principal.ID `candid:"controllers"`
}

type metadataArg struct {
	Canister principal.ID `candid:"canister_id"`
	Name     string       `candid:"name"`
}

type metadataResult struct {
	Value []byte `candid:"value"`
}

type metricsResult struct {
	Consumed consumedResult `candid:"cycles_consumed"`
}

type consumedResult struct {
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

type logRecordResult struct {
	Index   uint64 `candid:"idx"`
	Time    uint64 `candid:"timestamp_nanos"`
	Content []byte `candid:"content"`
}

type logsResult struct {
	Records []logRecordResult `candid:"canister_log_records"`
}

type rangeResult struct {
	Start principal.ID `candid:"start"`
	End   principal.ID `candid:"end"`
}

type listResult struct {
	Canisters []rangeResult `candid:"canisters"`
}

type subnetArg struct {
	Subnet principal.ID `candid:"subnet_id"`
}

type subnetInfoResult struct {
	Version  string `candid:"replica_version"`
	Registry uint64 `candid:"registry_version"`
}

type nodeMetricsArg struct {
	Subnet principal.ID `candid:"subnet_id"`
	From   uint64       `candid:"start_at_timestamp_nanos"`
}

type nodeMetricsResult struct {
	Node     principal.ID `candid:"node_id"`
	Proposed uint64       `candid:"num_blocks_proposed_total"`
	Failed   uint64       `candid:"num_block_failures_total"`
}

type dayResult struct {
	Time  uint64              `candid:"timestamp_nanos"`
	Nodes []nodeMetricsResult `candid:"node_metrics"`
}
