package ic0

import (
	"context"
	"errors"
	"strings"
	"testing"

	"portico/lightclient/leb128"
	"portico/lightclient/principal"
	"portico/node/types"
	"portico/node/wasm"
)

// specified is the interface specification's overview of imports: name, parameters,
// result, the letters of the contexts, and whether 64-bit modules lack it.
var specified = []struct {
	name, params, result, from string
	only32                     bool
}{
	{"msg_arg_data_size", "", "I", "I U RQ NRQ TQ CQ Ry CRy F", false},
	{"msg_arg_data_copy", "I I I", "", "I U RQ NRQ TQ CQ Ry CRy F", false},
	{"msg_caller_size", "", "I", "*", false},
	{"msg_caller_copy", "I I I", "", "*", false},
	{"msg_caller_info_data_size", "", "I", "U RQ NRQ CQ Ry Rt CRy CRt C CC F", false},
	{"msg_caller_info_data_copy", "I I I", "", "U RQ NRQ CQ Ry Rt CRy CRt C CC F", false},
	{"msg_caller_info_signer_size", "", "I", "U RQ NRQ CQ Ry Rt CRy CRt C CC F", false},
	{"msg_caller_info_signer_copy", "I I I", "", "U RQ NRQ CQ Ry Rt CRy CRt C CC F", false},
	{"msg_reject_code", "", "i32", "Ry Rt CRy CRt C", false},
	{"msg_reject_msg_size", "", "I", "Rt CRt", false},
	{"msg_reject_msg_copy", "I I I", "", "Rt CRt", false},
	{"msg_deadline", "", "i64", "U Q CQ Ry Rt CRy CRt", false},
	{"msg_reply_data_append", "I I", "", "U RQ NRQ TQ CQ Ry Rt CRy CRt", false},
	{"msg_reply", "", "", "U RQ NRQ TQ CQ Ry Rt CRy CRt", false},
	{"msg_reject", "I I", "", "U RQ NRQ TQ CQ Ry Rt CRy CRt", false},
	{"msg_cycles_available128", "I", "", "U RQ Rt Ry", false},
	{"msg_cycles_refunded128", "I", "", "Rt Ry", false},
	{"msg_cycles_accept128", "i64 i64 I", "", "U RQ Rt Ry", false},
	{"cycles_burn128", "i64 i64 I", "", "I G U RQ Ry Rt C T", false},
	{"canister_self_size", "", "I", "*", false},
	{"canister_self_copy", "I I I", "", "*", false},
	{"canister_cycle_balance128", "I", "", "*", false},
	{"canister_liquid_cycle_balance128", "I", "", "*", false},
	{"canister_status", "", "i32", "*", false},
	{"canister_version", "", "i64", "*", false},
	{"subnet_self_size", "", "I", "*", false},
	{"subnet_self_copy", "I I I", "", "*", false},
	{"msg_method_name_size", "", "I", "F", false},
	{"msg_method_name_copy", "I I I", "", "F", false},
	{"accept_message", "", "", "F", false},
	{"call_new", "I I I I I I I I", "", "U CQ Ry Rt CRy CRt T", false},
	{"call_on_cleanup", "I I", "", "U CQ Ry Rt CRy CRt T", false},
	{"call_data_append", "I I", "", "U CQ Ry Rt CRy CRt T", false},
	{"call_with_best_effort_response", "i32", "", "U CQ Ry Rt CRy CRt T", false},
	{"call_cycles_add128", "i64 i64", "", "U Ry Rt T", false},
	{"call_perform", "", "i32", "U CQ Ry Rt CRy CRt T", false},
	{"stable64_size", "", "i64", "* s", false},
	{"stable64_grow", "i64", "i64", "* s", false},
	{"stable64_write", "i64 i64 i64", "", "* s", false},
	{"stable64_read", "i64 i64 i64", "", "* s", false},
	{"root_key_size", "", "I", "I G U RQ Ry Rt C T", false},
	{"root_key_copy", "I I I", "", "I G U RQ Ry Rt C T", false},
	{"certified_data_set", "I I", "", "I G U Ry Rt T", false},
	{"data_certificate_present", "", "i32", "*", false},
	{"data_certificate_size", "", "I", "NRQ CQ", false},
	{"data_certificate_copy", "I I I", "", "NRQ CQ", false},
	{"time", "", "i64", "*", false},
	{"global_timer_set", "i64", "i64", "I G U Ry Rt C T", false},
	{"performance_counter", "i32", "i64", "* s", false},
	{"is_controller", "I I", "i32", "* s", false},
	{"in_replicated_execution", "", "i32", "* s", false},
	{"cost_call", "i64 i64 I", "", "* s", false},
	{"cost_create_canister", "I", "", "* s", false},
	{"cost_http_request", "i64 i64 I", "", "* s", false},
	{"cost_sign_with_ecdsa", "I I i32 I", "i32", "* s", false},
	{"cost_sign_with_schnorr", "I I i32 I", "i32", "* s", false},
	{"cost_vetkd_derive_key", "I I i32 I", "i32", "* s", false},
	{"env_var_count", "", "I", "*", false},
	{"env_var_name_size", "I", "I", "*", false},
	{"env_var_name_copy", "I I I I", "", "*", false},
	{"env_var_name_exists", "I I", "i32", "*", false},
	{"env_var_value_size", "I I", "I", "*", false},
	{"env_var_value_copy", "I I I I I", "", "*", false},
	{"debug_print", "I I", "", "* s", false},
	{"trap", "I I", "", "* s", false},
	{"msg_cycles_available", "", "i64", "U RQ Rt Ry", true},
	{"msg_cycles_refunded", "", "i64", "Rt Ry", true},
	{"msg_cycles_accept", "i64", "i64", "U RQ Rt Ry", true},
	{"canister_cycle_balance", "", "i64", "*", true},
	{"call_cycles_add", "i64", "", "U Ry Rt T", true},
	{"stable_size", "", "i32", "* s", true},
	{"stable_grow", "i32", "i32", "* s", true},
	{"stable_write", "i32 i32 i32", "", "* s", true},
	{"stable_read", "i32 i32 i32", "", "* s", true},
}

// letters are the contexts as the specification abbreviates them.
var letters = map[string]Context{
	"I": Init, "G": PreUpgrade, "U": Update, "RQ": ReplicatedQuery, "NRQ": Query, "Q": ReplicatedQuery | Query, "TQ": Transform, "CQ": CompositeQuery,
	"Ry": Reply, "Rt": Reject, "CRy": CompositeReply, "CRt": CompositeReject, "C": Cleanup, "CC": CompositeCleanup, "F": Inspect, "T": Task, "s": Start,
	"*": Init | PreUpgrade | Update | ReplicatedQuery | Query | Transform | CompositeQuery | Reply | Reject | CompositeReply | CompositeReject |
		Cleanup | CompositeCleanup | Inspect | Task,
}

// caller is a module that calls one system API function with zeros.
func caller(name string, params []string, result string, memory64 bool) []byte {
	kind := func(t string) (valueType, zero string) {
		if t == "i32" || (t == "I" && !memory64) {
			return "\x7f", "\x41\x00"
		}
		return "\x7e", "\x42\x00"
	}
	var types, zeros, results, drop string
	for _, p := range params {
		t, zero := kind(p)
		types, zeros = types+t, zeros+zero
	}
	if result != "" {
		t, _ := kind(result)
		results, drop = t, "\x1a"
	}
	text := func(s string) string { return string(leb128.AppendUint(nil, uint64(len(s)))) + s }
	module := "\x00asm\x01\x00\x00\x00"
	section := func(id byte, items ...string) {
		module += string(id) + text(string(leb128.AppendUint(nil, uint64(len(items))))+strings.Join(items, ""))
	}
	limits := "\x00\x01"
	if memory64 {
		limits = "\x04\x01"
	}
	section(1, "\x60"+text(types)+text(results), "\x60\x00\x00")
	section(2, text("ic0")+text(name)+"\x00\x00")
	section(3, "\x01")
	section(5, limits)
	section(7, text("canister_update run")+"\x00\x01")
	section(10, text("\x00"+zeros+"\x10\x00"+drop+"\x0b"))
	return []byte(module)
}

type memory struct{ b []byte }

func (m *memory) Reallocate(size uint64) []byte {
	m.b = append(m.b, make([]byte, size-uint64(len(m.b)))...)
	return m.b
}
func (m *memory) Free() {}

type stableMemory struct{ b []byte }

func (s *stableMemory) Bytes() []byte { return s.b }
func (s *stableMemory) Grow(size uint64) error {
	s.b = append(s.b, make([]byte, size-uint64(len(s.b)))...)
	return nil
}
func (s *stableMemory) MarkDirty(_, _ uint64) {}

type freeOfCharge struct{}

func (freeOfCharge) Call(_, _ uint64) (sent, reserved types.Cycles) {
	return types.Cycles{}, types.Cycles{}
}
func (freeOfCharge) CreateCanister() types.Cycles                 { return types.CyclesOf(7) }
func (freeOfCharge) HTTPRequest(_, _ uint64) types.Cycles         { return types.Cycles{} }
func (freeOfCharge) Sign(SignScheme, string) (types.Cycles, bool) { return types.Cycles{}, true }

func newEnv(from Context) *Env {
	return &Env{
		Context: from, Self: principal.Canister(1), Subnet: principal.Canister(2), Costs: freeOfCharge{}, Stable: &stableMemory{}, Status: Running,
		Limits:     Limits{MaxReplyBytes: 100, MaxCallPayloadBytes: 100, MaxStableBytes: types.GiB, MaxStableReadBytes: 1000, MaxStableWriteBytes: 1000, MaxCalls: 10},
		TakeCall:   func(*Call) bool { return true },
		GrowStable: func(_, _ uint64) error { return nil },
	}
}

func newEngine(t *testing.T) *wasm.Engine {
	t.Helper()
	engine, err := wasm.NewEngine(wasm.EngineConfig{Host: Functions()})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := engine.Close(); err != nil {
			t.Error(err)
		}
	})
	return engine
}

func instantiate(t *testing.T, engine *wasm.Engine, module []byte) *wasm.Instance {
	t.Helper()
	m, err := engine.Compile(context.Background(), module)
	if err != nil {
		t.Fatal(err)
	}
	i, err := m.Instantiate(wasm.InstanceConfig{Memory: &memory{}, InitialPages: 1})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := errors.Join(i.Close(), m.Close()); err != nil {
			t.Error(err)
		}
	})
	return i
}

func TestEveryFunctionIsThereWithItsTypeAndTrapsOutsideItsContexts(t *testing.T) {
	engine := newEngine(t)
	offered := map[string]bool{}
	for _, f := range Functions() {
		offered[f.Name] = true
	}
	for _, f := range specified {
		if !offered[f.name] {
			t.Errorf("%s is not there", f.name)
			continue
		}
		delete(offered, f.name)
		var from Context
		for _, l := range strings.Fields(f.from) {
			from |= letters[l]
		}
		for _, memory64 := range []bool{false, true} {
			module := caller(f.name, strings.Fields(f.params), f.result, memory64)
			if f.only32 && memory64 {
				if _, err := engine.Compile(context.Background(), module); err == nil {
					t.Errorf("%s may be imported by a module with a 64-bit memory", f.name)
				}
				continue
			}
			checkContexts(t, instantiate(t, engine, module), f.name, from)
		}
	}
	for name := range offered {
		t.Errorf("%s is not in the specification", name)
	}
}

// checkContexts calls the function from every context; only those it is not for may
// end with a complaint about the context.
func checkContexts(t *testing.T, i *wasm.Instance, name string, from Context) {
	t.Helper()
	for c := Start; c <= Task; c <<= 1 {
		out := i.Call("canister_update run", &wasm.Call{Env: newEnv(c), Limit: 1_000_000})
		var rej *types.Reject
		refused := out.Trap != nil && errors.As(out.Trap.Err, &rej) &&
			rej.Code == types.ErrCanisterContractViolation && strings.Contains(rej.Message, "cannot be executed in")
		if refused == (from&c != 0) {
			t.Errorf("%s from %s: outcome %v", name, c, out.Trap)
		}
	}
}
