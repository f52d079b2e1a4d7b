package universal

import (
	"fmt"
	"slices"
	"strings"
)

// function is a function of the system API with its types as Wasm text; at most one result.
type function struct {
	name   string
	params []string
	result string
	only32 bool // for 32-bit memories only
}

func (f function) signature() string {
	var b strings.Builder
	if len(f.params) > 0 {
		fmt.Fprintf(&b, "(param %s) ", strings.Join(f.params, " "))
	}
	if f.result != "" {
		fmt.Fprintf(&b, "(result %s)", f.result)
	}
	return b.String()
}

// Imports is a field of a module, in Wasm text, for every function of the system API
// by its name, with the types for a memory with the given addresses: "i32" or "i64".
func Imports(address string) map[string]string {
	out := map[string]string{}
	for _, f := range imports(address) {
		out[f.name] = fmt.Sprintf("(import \"ic0\" %q (func $%s %s))", f.name, f.name, f.signature())
	}
	return out
}

// CallWithZeros is Wasm text that calls a function that a module has from Imports("i32"), with
// zeros, and drops its result.
func CallWithZeros(name string) string {
	all := imports("i32")
	f := all[slices.IndexFunc(all, func(f function) bool { return f.name == name })]
	call := "(call $" + name
	for _, t := range f.params {
		call += " (" + t + ".const 0)"
	}
	if call += ")"; f.result != "" {
		call = "(drop " + call + ")"
	}
	return call
}

// Only32 lists the functions that modules with a 64-bit memory must not import.
func Only32() (names []string) {
	for _, f := range imports("i32") {
		if f.only32 {
			names = append(names, f.name)
		}
	}
	return names
}

// imports lists the whole system API.
func imports(address string) []function {
	var out []function
	for line := range strings.Lines(systemAPI) {
		name, types, ok := strings.Cut(strings.TrimSpace(line), ":")
		if !ok {
			continue
		}
		types, only32 := strings.CutSuffix(types, " only32")
		from, to, _ := strings.Cut(strings.ReplaceAll(types, "I", address), "->")
		out = append(out, function{name, strings.Fields(from), strings.TrimSpace(to), only32})
	}
	return out
}

// systemAPI is the table of the interface specification, "Overview of imports"; I is
// an address.
const systemAPI = `
msg_arg_data_size: -> I
msg_arg_data_copy: I I I
msg_caller_size: -> I
msg_caller_copy: I I I
msg_caller_info_data_size: -> I
msg_caller_info_data_copy: I I I
msg_caller_info_signer_size: -> I
msg_caller_info_signer_copy: I I I
msg_reject_code: -> i32
msg_reject_msg_size: -> I
msg_reject_msg_copy: I I I
msg_deadline: -> i64
msg_reply_data_append: I I
msg_reply:
msg_reject: I I
msg_cycles_available128: I
msg_cycles_available: -> i64 only32
msg_cycles_refunded128: I
msg_cycles_refunded: -> i64 only32
msg_cycles_accept128: i64 i64 I
msg_cycles_accept: i64 -> i64 only32
cycles_burn128: i64 i64 I
canister_self_size: -> I
canister_self_copy: I I I
subnet_self_size: -> I
subnet_self_copy: I I I
canister_cycle_balance128: I
canister_liquid_cycle_balance128: I
canister_cycle_balance: -> i64 only32
canister_status: -> i32
canister_version: -> i64
msg_method_name_size: -> I
msg_method_name_copy: I I I
accept_message:
call_new: I I I I I I I I
call_on_cleanup: I I
call_data_append: I I
call_with_best_effort_response: i32
call_perform: -> i32
call_cycles_add128: i64 i64
call_cycles_add: i64 only32
stable64_size: -> i64
stable64_grow: i64 -> i64
stable64_write: i64 i64 i64
stable64_read: i64 i64 i64
stable_size: -> i32 only32
stable_grow: i32 -> i32 only32
stable_write: i32 i32 i32 only32
stable_read: i32 i32 i32 only32
root_key_size: -> I
root_key_copy: I I I
certified_data_set: I I
data_certificate_present: -> i32
data_certificate_size: -> I
data_certificate_copy: I I I
time: -> i64
global_timer_set: i64 -> i64
performance_counter: i32 -> i64
is_controller: I I -> i32
in_replicated_execution: -> i32
cost_call: i64 i64 I
cost_create_canister: I
cost_http_request: i64 i64 I
cost_sign_with_ecdsa: I I i32 I -> i32
cost_sign_with_schnorr: I I i32 I -> i32
cost_vetkd_derive_key: I I i32 I -> i32
env_var_count: -> I
env_var_name_size: I -> I
env_var_name_copy: I I I I
env_var_name_exists: I I -> i32
env_var_value_size: I I -> I
env_var_value_copy: I I I I I
debug_print: I I
trap: I I
`
