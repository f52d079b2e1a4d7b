package execution

import (
	"portico/lightclient/candid/marshal"
	"portico/lightclient/principal"
	"portico/node/state"
	"portico/node/types"
)

// A method of the management canister. handler answers through the call.
type method struct {
	ingress bool // users may call it
	handler func(m *managed) *types.Reject
}

func methods() map[string]method {
	return map[string]method{
		"create_canister":      {false, (*managed).createCanister},
		"update_settings":      {true, (*managed).updateSettings},
		"install_code":         {true, (*managed).installCode},
		"install_chunked_code": {true, (*managed).installChunkedCode},
		"upload_chunk":         {true, (*managed).uploadChunk},
		"clear_chunk_store":    {true, (*managed).clearChunkStore},
		"stored_chunks":        {true, (*managed).storedChunks},
		"uninstall_code":       {true, (*managed).uninstallCode},
		"start_canister":       {true, (*managed).startCanister},
		"stop_canister":        {true, (*managed).stopCanister},
		"delete_canister":      {true, (*managed).deleteCanister},
		"canister_status":      {true, (*managed).canisterStatus},
		"canister_info":        {false, (*managed).canisterInfo},
		"deposit_cycles":       {false, (*managed).depositCycles},
		"raw_rand":             {false, (*managed).rawRand},
		"provisional_create_canister_with_cycles": {true, (*managed).provisionalCreate},
		"provisional_top_up_canister":             {true, (*managed).provisionalTopUp},
	}
}

// missing lists the methods that the specification has and this subnet does not
// offer yet.
var missing = map[string]bool{
	"canister_metrics": true, "canister_metadata": true, "http_request": true,
	"ecdsa_public_key": true, "sign_with_ecdsa": true, "schnorr_public_key": true, "sign_with_schnorr": true,
	"vetkd_public_key": true, "vetkd_derive_key": true, "node_metrics_history": true, "subnet_info": true,
	"take_canister_snapshot": true, "load_canister_snapshot": true, "list_canister_snapshots": true, "delete_canister_snapshot": true,
	"read_canister_snapshot_metadata": true, "read_canister_snapshot_data": true,
	"upload_canister_snapshot_metadata": true, "upload_canister_snapshot_data": true,
	"fetch_canister_logs": true, "list_canisters": true,
	"bitcoin_get_balance": true, "bitcoin_get_utxos": true, "bitcoin_send_transaction": true,
	"bitcoin_get_current_fee_percentiles": true, "bitcoin_get_block_headers": true,
}

// managed is one call to the management canister.
type managed struct {
	x   *Executor
	s   *state.State
	r   *state.Request
	out *Output
	// refund is what the caller gets back of the cycles it sent.
	refund types.Cycles
	// reply is set by handlers that answer at once; pending by those that do not.
	reply   []byte
	pending bool
}

// Manage runs a call to the management canister.
func (x *Executor) Manage(s *state.State, r *state.Request) (out Output) {
	m := &managed{x: x, s: s, r: r, out: &out, refund: r.Cycles}
	rej := m.call()
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
	h, rej := m.x.methodFor(m.r.Method, m.r.Origin.Kind == state.FromUser)
	if rej != nil {
		return rej
	}
	return h.handler(m)
}

// methodFor finds a method that a user, or a canister, may call.
func (x *Executor) methodFor(name string, user bool) (method, *types.Reject) {
	h, ok := methods()[name]
	switch {
	case !ok && missing[name]:
		return h, types.Rejectf(types.ErrUnknownManagementMessage, "Management canister has no method '%s': it is not offered yet", name)
	case !ok:
		return h, types.Rejectf(types.ErrUnknownManagementMessage, "Management canister has no method '%s'", name)
	case !x.deps.Subnet.Provisional && (name == "provisional_create_canister_with_cycles" || name == "provisional_top_up_canister"):
		return h, types.Rejectf(types.ErrUnknownManagementMessage, "Management canister has no method '%s' on this network", name)
	case user && !h.ingress:
		return h, types.Rejectf(types.ErrCanisterRejectedMessage, "ic00 method %s can be called only by a canister", name)
	}
	return h, nil
}

// decode reads the argument of the call.
func decode[T any](m *managed) (arg T, rej *types.Reject) {
	if err := marshal.Decode(m.r.Arg, &arg); err != nil {
		return arg, types.Rejectf(types.ErrInvalidManagementPayload, "Error decoding candid argument of %s: %v", m.r.Method, err)
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

func notController(id, caller principal.ID) *types.Reject {
	return types.Rejectf(types.ErrCanisterInvalidController, "Only controllers of canister %s can call ic00 methods on it; %s is not one of them", id, caller)
}

// senderVersion checks that the version a calling canister states is its own.
func (m *managed) senderVersion(v *uint64) *types.Reject {
	if v == nil || m.r.Origin.Kind != state.FromCanister {
		return nil
	}
	if c := m.s.Canister(m.r.Origin.Sender); c != nil && *v > c.Version {
		return types.Rejectf(types.ErrCanisterContractViolation, "sender_canister_version %d is higher than the version %d of canister %s", *v, c.Version, c.ID)
	}
	return nil
}

// change makes a history entry of the call.
func (m *managed) change(c *state.Canister, kind state.ChangeKind, byVersion *uint64) state.Change {
	return state.Change{
		Time: m.s.Time, Version: c.Version, By: m.r.Origin.Sender, ByCanister: m.r.Origin.Kind == state.FromCanister,
		ByVersion: byVersion, Kind: kind,
	}
}

// RandomReply answers a raw_rand call.
func (x *Executor) RandomReply(to state.Origin, bytes [32]byte) (out Output) {
	reply, err := marshal.Encode(bytes[:])
	if err != nil {
		panic(&Failure{principal.ID{}, err})
	}
	out.answer(to, reply, nil, types.Cycles{})
	return out
}

// InspectManagement decides whether a user's call to the management canister is
// worth a block: the method must be open to users, and the sender must control the
// canister that it concerns.
func (x *Executor) InspectManagement(q Query) *types.Reject {
	if _, rej := x.methodFor(q.Method, true); rej != nil {
		return rej
	}
	x.publishing.RLock()
	s := x.published.State
	x.publishing.RUnlock()
	switch q.Method {
	case "provisional_create_canister_with_cycles", "provisional_top_up_canister":
		return nil
	case "install_code":
		var arg installArg
		if err := marshal.Decode(q.Arg, &arg); err != nil {
			return types.Rejectf(types.ErrInvalidManagementPayload, "Error decoding candid argument of %s: %v", q.Method, err)
		}
		rej := mayManage(s, arg.Canister, q.Sender)
		if rej == nil {
			// Compiling ahead keeps the round short. What is wrong with the module is
			// said there, for all replicas alike.
			_, _ = x.Compile(arg.Module)
		}
		return rej
	case "install_chunked_code":
		var arg installChunkedArg
		if err := marshal.Decode(q.Arg, &arg); err != nil {
			return types.Rejectf(types.ErrInvalidManagementPayload, "Error decoding candid argument of %s: %v", q.Method, err)
		}
		return mayManage(s, arg.Target, q.Sender)
	}
	var arg canisterArg
	if err := marshal.Decode(q.Arg, &arg); err != nil {
		return types.Rejectf(types.ErrInvalidManagementPayload, "Error decoding candid argument of %s: %v", q.Method, err)
	}
	if q.Method == "canister_status" {
		return mayReadStatus(s, arg.Canister, q.Sender)
	}
	return mayManage(s, arg.Canister, q.Sender)
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

func mayReadStatus(s *state.State, id, sender principal.ID) *types.Reject {
	if c := s.Canister(id); c != nil && (sender == id || c.Settings.StatusVisibility.Allows(sender)) {
		return nil
	}
	return mayManage(s, id, sender)
}

// QueryManagement answers a query call to the management canister.
func (x *Executor) QueryManagement(q Query) ([]byte, *types.Reject) {
	if q.Method != "canister_status" {
		return nil, types.Rejectf(types.ErrCanisterMethodNotFound, "Query method %s not found on the management canister", q.Method)
	}
	x.publishing.RLock()
	s := x.published.State
	x.publishing.RUnlock()
	var out Output
	m := &managed{x: x, s: s, out: &out, r: &state.Request{Origin: state.Origin{Kind: state.FromUser, Sender: q.Sender}, Method: q.Method, Arg: q.Arg}}
	rej := m.canisterStatus()
	return m.reply, rej
}
