package execution

import (
	"portico/lightclient/candid/marshal"
	"portico/lightclient/principal"
	"portico/node/state"
	"portico/node/types"
)

// callers says who may call a method of the management canister.
type callers uint8

const (
	byCanister callers = 1 << iota
	byUser
	byAdmin // users who are subnet admins
	byQuery // query calls, by users and by composite queries
)

// A method of the management canister. handler answers through the call; one that queries
// may reach changes nothing.
type method struct {
	callers callers
	handler func(m *managed) *types.Reject
}

func methods() map[string]method {
	const both = byCanister | byUser
	return map[string]method{
		"create_canister":      {byCanister | byAdmin, (*managed).createCanister},
		"update_settings":      {both, (*managed).updateSettings},
		"install_code":         {both, (*managed).installCode},
		"install_chunked_code": {both, (*managed).installChunkedCode},
		"upload_chunk":         {both, (*managed).uploadChunk},
		"clear_chunk_store":    {both, (*managed).clearChunkStore},
		"stored_chunks":        {both, (*managed).storedChunks},
		"uninstall_code":       {both, (*managed).uninstallCode},
		"start_canister":       {both, (*managed).startCanister},
		"stop_canister":        {both, (*managed).stopCanister},
		"delete_canister":      {both, (*managed).deleteCanister},
		"canister_status":      {both | byQuery, (*managed).canisterStatus},
		"canister_metrics":     {both | byQuery, (*managed).canisterMetrics},
		"canister_info":        {byCanister | byQuery, (*managed).canisterInfo},
		"canister_metadata":    {byCanister, (*managed).canisterMetadata},
		"fetch_canister_logs":  {byQuery, (*managed).fetchLogs},
		"list_canisters":       {byQuery, (*managed).listCanisters},
		"deposit_cycles":       {byCanister, (*managed).depositCycles},
		"raw_rand":             {byCanister, (*managed).rawRand},
		"subnet_info":          {byCanister, (*managed).subnetInfo},
		"node_metrics_history": {byCanister, (*managed).nodeMetricsHistory},

		"take_canister_snapshot":            {both, (*managed).takeSnapshot},
		"load_canister_snapshot":            {both, (*managed).loadSnapshot},
		"list_canister_snapshots":           {both, (*managed).listSnapshots},
		"delete_canister_snapshot":          {both, (*managed).deleteSnapshot},
		"read_canister_snapshot_metadata":   {both, (*managed).readSnapshotMetadata},
		"read_canister_snapshot_data":       {both, (*managed).readSnapshotData},
		"upload_canister_snapshot_metadata": {both, (*managed).uploadSnapshotMetadata},
		"upload_canister_snapshot_data":     {both, (*managed).uploadSnapshotData},

		"provisional_create_canister_with_cycles": {both, (*managed).provisionalCreate},
		"provisional_top_up_canister":             {both, (*managed).provisionalTopUp},
	}
}

// missing lists the methods that the specification has and this subnet does not
// offer yet.
var missing = map[string]bool{
	"http_request":     true,
	"ecdsa_public_key": true, "sign_with_ecdsa": true, "schnorr_public_key": true, "sign_with_schnorr": true,
	"vetkd_public_key": true, "vetkd_derive_key": true,
	"bitcoin_get_balance": true, "bitcoin_get_utxos": true, "bitcoin_send_transaction": true,
	"bitcoin_get_current_fee_percentiles": true, "bitcoin_get_block_headers": true,
}

// managed is one call to the management canister.
type managed struct {
	x   *Executor
	s   *state.State
	r   *state.Request
	out *Output
	// most is how many instructions an installation runs.
	most uint64
	// refund is what the caller gets back of the cycles it sent.
	refund types.Cycles
	// reply is set by handlers that answer at once; pending by those that do not.
	reply   []byte
	pending bool
}

// Manage runs a call to the management canister. If its Output says that it is Paused, it
// goes on when it is given the same request again. An installation runs a slice of so many
// instructions.
func (x *Executor) Manage(s *state.State, r *state.Request, slice uint64) (out Output) {
	m := &managed{x: x, s: s, r: r, most: slice, out: &out, refund: r.Cycles}
	var rej *types.Reject
	if t := x.installing; t != nil && t.request == r {
		rej = m.goOn(t)
	} else if rej = expired(r, s.Time); rej == nil {
		rej = m.call()
	}
	if out.Paused {
		return out
	}
	out.Messages++
	switch {
	case rej != nil:
		out.answer(r.Origin, nil, rej, r.Cycles)
	case !m.pending:
		out.answer(r.Origin, m.reply, nil, m.refund)
	}
	return out
}

func (m *managed) call() *types.Reject {
	by := byCanister
	if m.r.Origin.Kind == state.FromUser {
		by = m.x.userKind(m.r.Origin.Sender)
	}
	h, rej := m.x.methodFor(m.r.Method, by)
	if rej != nil {
		return rej
	}
	return h.handler(m)
}

func (x *Executor) userKind(id principal.ID) callers {
	if x.deps.Subnet.IsAdmin(id) {
		return byUser | byAdmin
	}
	return byUser
}

// methodFor finds a method that somebody may call.
func (x *Executor) methodFor(name string, by callers) (method, *types.Reject) {
	h, ok := methods()[name]
	switch {
	case !ok && missing[name]:
		return h, types.Rejectf(types.ErrUnknownManagementMessage, "Management canister has no method '%s': it is not offered yet", name)
	case !ok:
		return h, types.Rejectf(types.ErrUnknownManagementMessage, "Management canister has no method '%s'", name)
	case !x.deps.Subnet.Provisional && (name == "provisional_create_canister_with_cycles" || name == "provisional_top_up_canister"):
		return h, types.Rejectf(types.ErrUnknownManagementMessage, "Management canister has no method '%s' on this network", name)
	case h.callers&by != 0:
		return h, nil
	case by == byQuery:
		return h, types.Rejectf(types.ErrCanisterMethodNotFound, "Query method %s not found on the management canister", name)
	case h.callers == byQuery:
		return h, types.Rejectf(types.ErrCanisterRejectedMessage, "ic00 method %s can be called only by a query", name)
	default:
		return h, types.Rejectf(types.ErrCanisterRejectedMessage, "ic00 method %s can be called only by a canister", name)
	}
}

// decode reads the argument of the call.
func decode[T any](m *managed) (arg T, rej *types.Reject) {
	if err := marshal.Decode(m.r.Arg, &arg); err != nil {
		return arg, undecodable(m.r.Method, err)
	}
	return arg, nil
}

// answer encodes the results of the call.
func (m *managed) answer(results ...any) *types.Reject {
	reply, err := marshal.Encode(results...)
	if err != nil {
		panic(&Failure{principal.ID{}, err})
	}
	m.reply = reply
	return nil
}

// target decodes an argument that only names a canister, and finds it.
func (m *managed) target(find func(principal.ID) (*state.Canister, *types.Reject)) (*state.Canister, *types.Reject) {
	arg, rej := decode[canisterArg](m)
	if rej != nil {
		return nil, rej
	}
	return find(arg.Canister)
}

// canister finds a canister to edit.
func (m *managed) canister(id principal.ID) (*state.Canister, *types.Reject) {
	if m.s.Canister(id) == nil {
		return nil, NotFound(id)
	}
	return m.s.Edit(id), nil
}

// controlled finds a canister that the caller controls.
func (m *managed) controlled(id principal.ID) (*state.Canister, *types.Reject) {
	c, rej := m.canister(id)
	if rej != nil {
		return nil, rej
	}
	if !c.IsController(m.r.Origin.Sender) {
		return nil, notController(id, m.r.Origin.Sender)
	}
	return c, nil
}

// administered finds a canister that the caller controls, or any if it is a subnet admin.
func (m *managed) administered(id principal.ID) (*state.Canister, *types.Reject) {
	if m.x.deps.Subnet.IsAdmin(m.r.Origin.Sender) {
		return m.canister(id)
	}
	return m.controlled(id)
}

func notController(id, caller principal.ID) *types.Reject {
	return types.Rejectf(types.ErrCanisterInvalidController, "Only controllers of canister %s can call ic00 methods on it; %s is not one of them", id, caller)
}

// senderVersion checks that the version a calling canister states is the one it had when it
// made the call.
func (m *managed) senderVersion(v *uint64) *types.Reject {
	if v == nil || m.r.Origin.Kind != state.FromCanister || *v == m.r.SenderVersion {
		return nil
	}
	return types.Rejectf(types.ErrCanisterContractViolation, "Management canister call payload includes sender canister version %d that does not match the actual sender canister version %d.", *v, m.r.SenderVersion)
}

// change makes a history entry of the call.
func (m *managed) change(c *state.Canister, kind state.ChangeKind, byVersion *uint64) state.Change {
	return state.Change{
		Time: m.s.Time, Version: c.Version, By: m.r.Origin.Sender, ByCanister: m.r.Origin.Kind == state.FromCanister,
		ByVersion: byVersion, Kind: kind,
	}
}

// RandomReply answers a raw_rand call.
func (x *Executor) RandomReply(r *state.Request, bytes [32]byte) (out Output) {
	reply, err := marshal.Encode(bytes[:])
	if err != nil {
		panic(&Failure{principal.ID{}, err})
	}
	out.answer(r.Origin, reply, nil, r.Cycles)
	return out
}

// InspectManagement decides whether a user's call to the management canister is
// worth a block: the method must be open to the sender, who must have the right to
// use it on the canister that it concerns.
func (x *Executor) InspectManagement(q Query) *types.Reject {
	if _, rej := x.methodFor(q.Method, x.userKind(q.Sender)); rej != nil {
		return rej
	}
	x.publishing.RLock()
	s := x.published.State
	x.publishing.RUnlock()
	switch q.Method {
	case "create_canister", "provisional_create_canister_with_cycles", "provisional_top_up_canister":
		return nil
	case "install_code":
		var arg installArg
		if err := marshal.Decode(q.Arg, &arg); err != nil {
			return undecodable(q.Method, err)
		}
		rej := mayManage(s, arg.Canister, q.Sender)
		if rej == nil {
			// Compiling ahead keeps the round short. What is wrong with the module is
			// said there, for all replicas alike.
			_ = x.Compile(arg.Module)
		}
		return rej
	case "install_chunked_code":
		var arg installChunkedArg
		if err := marshal.Decode(q.Arg, &arg); err != nil {
			return undecodable(q.Method, err)
		}
		return mayManage(s, arg.Target, q.Sender)
	}
	var arg canisterArg
	if err := marshal.Decode(q.Arg, &arg); err != nil {
		return undecodable(q.Method, err)
	}
	switch q.Method {
	case "canister_status":
		return x.mayReadStatus(s, arg.Canister, q.Sender)
	case "start_canister", "stop_canister", "uninstall_code", "delete_canister", "canister_metrics":
		return x.mayAdminister(s, arg.Canister, q.Sender)
	case "list_canister_snapshots", "read_canister_snapshot_metadata", "read_canister_snapshot_data":
		return mayReadSnapshots(s, arg.Canister, q.Sender)
	default:
		return mayManage(s, arg.Canister, q.Sender)
	}
}

// Payer is the canister that pays for taking in a user's call: the one that it concerns, or
// none (the zero id) if it makes a canister.
func Payer(r *state.Request) types.CanisterID {
	switch {
	case !r.Receiver.IsManagement():
		return r.Receiver
	case r.Method == "create_canister" || r.Method == "provisional_create_canister_with_cycles":
		return types.CanisterID{}
	default:
		return r.Effective
	}
}

// maxThawBytes is the longest argument of a settings change that a frozen canister pays for
// (MAX_DELAYED_INGRESS_COST_PAYLOAD_SIZE).
const maxThawBytes = 267

// Thaws reports whether a call may change the settings that a canister is frozen by, so that
// the canister pays for taking it in although it is frozen.
func Thaws(c *state.Canister, r *state.Request) bool {
	return r.Receiver.IsManagement() && r.Method == "update_settings" && len(r.Arg) <= maxThawBytes && c.IsController(r.Origin.Sender)
}

func undecodable(method string, err error) *types.Reject {
	return types.Rejectf(types.ErrInvalidManagementPayload, "Error decoding candid argument of %s: %v", method, err)
}

func mayManage(s *state.State, id, sender principal.ID) *types.Reject {
	c := s.Canister(id)
	switch {
	case c == nil:
		return NotFound(id)
	case !c.IsController(sender):
		return notController(id, sender)
	}
	return nil
}

func (x *Executor) mayAdminister(s *state.State, id, sender principal.ID) *types.Reject {
	if s.Canister(id) != nil && x.deps.Subnet.IsAdmin(sender) {
		return nil
	}
	return mayManage(s, id, sender)
}

func (x *Executor) mayReadStatus(s *state.State, id, sender principal.ID) *types.Reject {
	if c := s.Canister(id); c != nil && (sender == id || c.Settings.StatusVisibility.Allows(sender)) {
		return nil
	}
	return x.mayAdminister(s, id, sender)
}

// QueryManagement answers a query call to the management canister.
func (x *Executor) QueryManagement(q Query) ([]byte, *types.Reject) {
	x.publishing.RLock()
	s := x.published.State
	x.publishing.RUnlock()
	return x.queryManagement(s, q)
}

func (x *Executor) queryManagement(s *state.State, q Query) ([]byte, *types.Reject) {
	h, rej := x.methodFor(q.Method, byQuery)
	if rej != nil {
		return nil, rej
	}
	m := &managed{x: x, s: s, out: &Output{}, r: &state.Request{Origin: state.Origin{Kind: state.FromUser, Sender: q.Sender}, Method: q.Method, Arg: q.Arg}}
	rej = h.handler(m)
	return m.reply, rej
}
