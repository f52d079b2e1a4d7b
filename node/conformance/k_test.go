package conformance

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"portico/lightclient"
	u "portico/node/conformance/universal"
)

// The contexts of section K by the letters of the interface specification, "Overview
// of imports". The composite cleanup is missing: nothing of it can be seen from outside.
const (
	everywhere = "I post G U inter RQ NRQ CQ Ry Rt CRy CRt C F T"
	answering  = "U inter RQ NRQ CQ Ry Rt CRy CRt"
	calling    = "U inter CQ Ry Rt CRy CRt T"
	paying     = "U inter RQ Ry Rt"
	inside     = "I post G U inter RQ Ry Rt C T" // replicated execution
	never      = ""
)

// probe is a program that works in some contexts and traps in all others.
type probe struct {
	name    string
	works   string
	program u.Program
	answers bool // the program itself replies or rejects
	accepts bool // the program itself accepts the message
}

func probes() []probe {
	ic0 := u.IC0
	var (
		zero, size16 = u.Int(0), u.Int(spare)
		empty        = u.Split(u.Text(""))
		drop         = u.Drop
		selfCall     = u.Call{Callee: u.Self(), Method: u.Query, Arg: u.Code(u.Reply(u.Text(""))), OnReply: u.Program{}, OnReject: u.Program{}}
	)
	out := []probe{
		{name: "K1 msg_arg_data_size", works: "I post U inter RQ NRQ CQ Ry CRy F", program: drop(ic0("msg_arg_data_size"))},
		{name: "K1 msg_arg_data_copy", works: "I post U inter RQ NRQ CQ Ry CRy F", program: copying("msg_arg_data")},
		{name: "K1 msg_caller_size", works: everywhere, program: drop(ic0("msg_caller_size"))},
		{name: "K1 msg_caller_copy", works: everywhere, program: copying("msg_caller")},
		{name: "K1 msg_caller_info_data", works: answering + " C F", program: drop(u.Get("msg_caller_info_data"))},
		{name: "K1 msg_caller_info_signer", works: answering + " C F", program: drop(u.Get("msg_caller_info_signer"))},
		{name: "K1 msg_reject_code", works: "Ry Rt CRy CRt C", program: drop(ic0("msg_reject_code"))},
		{name: "K1 msg_reject_msg_size", works: "Rt CRt", program: drop(ic0("msg_reject_msg_size"))},
		{name: "K1 msg_reject_msg_copy", works: "Rt CRt", program: copying("msg_reject_msg")},
		{name: "K1 msg_deadline", works: answering, program: drop(ic0("msg_deadline"))},
		{name: "K2 msg_reply_data_append", works: answering, program: u.Append(u.Text("x"))},
		{name: "K2 msg_reply_data_append of nothing", works: answering, program: u.Append(u.Text(""))},
		{name: "K2 msg_reply", works: answering, program: ic0("msg_reply"), answers: true},
		{name: "K2 msg_reject", works: answering, program: u.Reject(u.Text("no")), answers: true},
		{name: "K2 msg_cycles_available", works: paying, program: drop(ic0("msg_cycles_available"))},
		{name: "K2 msg_cycles_available128", works: paying, program: ic0("msg_cycles_available128", size16)},
		{name: "K2 msg_cycles_accept", works: paying, program: drop(ic0("msg_cycles_accept", zero))},
		{name: "K2 msg_cycles_accept128", works: paying, program: ic0("msg_cycles_accept128", zero, zero, size16)},
		{name: "K2 msg_cycles_refunded", works: "Ry Rt", program: drop(ic0("msg_cycles_refunded"))},
		{name: "K2 msg_cycles_refunded128", works: "Ry Rt", program: ic0("msg_cycles_refunded128", size16)},
		{name: "K2 cycles_burn128", works: inside, program: ic0("cycles_burn128", zero, zero, size16)},
		{name: "K4 call_new to call_perform", works: calling, program: drop(selfCall.Perform())},
		{name: "K4 call_cycles_add", works: "U inter Ry Rt T", program: u.Seq(selfCall.New(), ic0("call_cycles_add", zero))},
		{name: "K4 call_cycles_add128", works: "U inter Ry Rt T", program: u.Seq(selfCall.New(), ic0("call_cycles_add128", zero, zero))},
		{name: "K4 call_with_best_effort_response", works: calling, program: u.Seq(selfCall.New(), ic0("call_with_best_effort_response", u.Int(1)))},
		{name: "K4 call_data_append without call_new", works: never, program: ic0("call_data_append", empty)},
		{name: "K4 call_on_cleanup without call_new", works: never, program: ic0("call_on_cleanup", zero, zero)},
		{name: "K4 call_cycles_add without call_new", works: never, program: ic0("call_cycles_add", zero)},
		{name: "K4 call_cycles_add128 without call_new", works: never, program: ic0("call_cycles_add128", zero, zero)},
		{name: "K4 call_with_best_effort_response without call_new", works: never, program: ic0("call_with_best_effort_response", u.Int(1))},
		{name: "K4 call_perform without call_new", works: never, program: drop(ic0("call_perform"))},
		{name: "K4 certified_data_set", works: "I post G U inter Ry Rt T", program: ic0("certified_data_set", empty)},
		{name: "K4 global_timer_set", works: "I post G U inter Ry Rt C T", program: drop(ic0("global_timer_set", zero))},
		{name: "K5 msg_method_name_size", works: "F", program: drop(ic0("msg_method_name_size"))},
		{name: "K5 msg_method_name_copy", works: "F", program: copying("msg_method_name")},
		{name: "K5 accept_message", works: "F", program: ic0("accept_message"), accepts: true},
		{name: "K5 accept_message twice", works: never, program: u.Seq(ic0("accept_message"), ic0("accept_message")), accepts: true},
		{name: "K5 msg_reply twice", works: never, program: u.Seq(ic0("msg_reply"), ic0("msg_reply")), answers: true},
		{name: "K5 msg_reject twice", works: never, program: u.Seq(u.Reject(u.Text("")), u.Reject(u.Text(""))), answers: true},
		{name: "K5 msg_reject after msg_reply", works: never, program: u.Seq(ic0("msg_reply"), u.Reject(u.Text(""))), answers: true},
		{name: "K5 trap", works: never, program: u.Trap("probe")},
		{name: "K5 unreachable", works: never, program: u.Unreachable()},
		{name: "K6 data_certificate_size", works: "NRQ CQ", program: drop(ic0("data_certificate_size"))},
		{name: "K6 root_key", works: inside, program: drop(u.Get("root_key"))},
	}
	for name, p := range harmless() {
		out = append(out, probe{name: "K3 " + name, works: everywhere, program: p})
	}
	return out
}

// copying copies nothing of a value.
func copying(name string) u.Program { return u.IC0(name+"_copy", u.Int(spare), u.Int(0), u.Int(0)) }

// spare is an address that nothing else uses.
const spare = 128

// harmless are programs that work everywhere.
func harmless() map[string]u.Program {
	ic0, drop, zero, size16, empty := u.IC0, u.Drop, u.Int(0), u.Int(spare), u.Split(u.Text(""))
	return map[string]u.Program{
		"canister_self_size": drop(ic0("canister_self_size")), "canister_self_copy": copying("canister_self"),
		"subnet_self_size": drop(ic0("subnet_self_size")), "subnet_self_copy": copying("subnet_self"),
		"canister_cycle_balance": drop(ic0("canister_cycle_balance")), "canister_cycle_balance128": ic0("canister_cycle_balance128", size16),
		"canister_liquid_cycle_balance128": ic0("canister_liquid_cycle_balance128", size16),
		"canister_status":                  drop(ic0("canister_status")), "canister_version": drop(ic0("canister_version")),
		"stable_size": drop(ic0("stable_size")), "stable_grow": drop(ic0("stable_grow", u.Int(1))),
		"stable_write": ic0("stable_write", zero, zero, zero), "stable_read": ic0("stable_read", zero, zero, zero),
		"stable64_size": drop(ic0("stable64_size")), "stable64_grow": drop(ic0("stable64_grow", u.Int(1))),
		"stable64_write": ic0("stable64_write", zero, zero, zero), "stable64_read": ic0("stable64_read", size16, zero, zero),
		"data_certificate_present": drop(ic0("data_certificate_present")), "time": drop(ic0("time")),
		"performance_counter": drop(ic0("performance_counter", zero)), "performance_counter of the call context": drop(ic0("performance_counter", u.Int(1))),
		"is_controller": drop(ic0("is_controller", empty)), "in_replicated_execution": drop(ic0("in_replicated_execution")),
		"env_var_count": drop(ic0("env_var_count")), "env_var_name_exists": drop(ic0("env_var_name_exists", u.Split(u.Text("x")))),
		"cost_call": ic0("cost_call", zero, zero, size16), "cost_create_canister": ic0("cost_create_canister", size16),
		"cost_http_request":    ic0("cost_http_request", zero, zero, size16),
		"cost_sign_with_ecdsa": drop(ic0("cost_sign_with_ecdsa", u.Split(u.Text("none")), zero, size16)), "cost_sign_with_schnorr": drop(ic0("cost_sign_with_schnorr", u.Split(u.Text("none")), zero, size16)),
		"cost_vetkd_derive_key": drop(ic0("cost_vetkd_derive_key", u.Split(u.Text("none")), zero, size16)), "debug_print": ic0("debug_print", u.Split(u.Text("probe"))),
	}
}

// inStart lists what the (start) function of a module may call.
const inStart = `stable64_size stable64_grow stable64_write stable64_read stable_size stable_grow stable_write stable_read
	performance_counter is_controller in_replicated_execution cost_call cost_create_canister cost_http_request
	cost_sign_with_ecdsa cost_sign_with_schnorr cost_vetkd_derive_key debug_print`

// start checks what works while a module is instantiated.
func (s *section) start() {
	module := func(c *check, names ...string) []byte {
		all := u.Imports("i32")
		var fields []string
		body := "(memory 1) (func $start"
		for _, name := range names {
			fields = append(fields, all[name])
			body += " " + u.CallWithZeros(name)
		}
		return c.wasm(append(fields, body+") (start $start)")...)
	}
	allowed := strings.Fields(inStart)
	s.check("K6 a start function may call what depends on no message", func(c *check) {
		c.ok("install", c.empty().deploy(installMode(), module(c, allowed...)))
	})
	s.check("K6 a start function traps if it calls anything else", func(c *check) {
		can := c.empty()
		for _, name := range slices.Sorted(maps.Keys(u.Imports("i32"))) {
			if !slices.Contains(allowed, name) {
				c.rejects(name, can.deploy(reinstallMode(), module(c, name)), 5)
			}
		}
	})
}

func sectionK(s *section) {
	s.start()
	for _, p := range probes() {
		s.check(p.name, func(c *check) {
			can := c.install()
			for context := range strings.FieldsSeq(everywhere) {
				works, got := p.in(context, can)
				if want := slices.Contains(strings.Fields(p.works), context); works != want {
					c.Errorf("in %s: works is %t, want %t (%s)", context, works, want, got)
				}
			}
		})
	}
}

// in runs the probe in a context and reports whether it worked; got says how it is known.
func (p probe) in(context string, can *canister) (works bool, got string) {
	can.Helper()
	answered := u.Seq(p.program, u.Reply(u.Text("")))
	if p.answers {
		answered = p.program
	}
	callback := u.Call{Callee: u.Self(), Method: u.Query, Arg: u.Code(u.Reply(u.Text("")))}
	switch context {
	case "I":
		return p.judge(can.deploy(reinstallMode(), can.module, p.program))
	case "post":
		return p.judge(can.deploy(upgradeMode(), can.module, p.program))
	case "G":
		can.run(u.SetHook(u.PreUpgrade, p.program))
		works, got = p.judge(can.deploy(upgradeMode(), can.module))
		can.ok("reinstall", can.deploy(reinstallMode(), can.module))
		return works, got
	case "U":
		return p.judge(can.update(answered))
	case "inter":
		return p.judge(can.shared(can.check).send(program(can.id, answered)))
	case "RQ":
		return p.judge(can.askReplicated(answered))
	case "NRQ":
		return p.judge(can.ask(answered))
	case "CQ":
		return p.judge(can.composite(answered))
	case "Ry", "CRy":
		callback.OnReply = answered
	case "Rt", "CRt":
		callback.Method, callback.OnReject = "no such method", answered
	case "C":
		return p.inCleanup(can)
	case "F":
		return p.inInspect(can.check)
	case "T":
		return p.inTimer(can)
	}
	if context[0] == 'C' {
		return p.judge(can.composite(callback.Do()))
	}
	return p.judge(can.update(callback.Do()))
}

// judge takes a reply for success, and an explicit reject if the probe does that.
func (p probe) judge(a answer) (works bool, got string) {
	return a.status == 0 && a.code == 0 || p.answers && a.code == 4, a.String()
}

func (can *canister) composite(programs ...u.Program) answer {
	can.Helper()
	return can.query(can.owner, lightclient.Message{Canister: can.id, Method: u.Composite, Arg: u.Seq(programs...)})
}

func (p probe) inCleanup(can *canister) (works bool, got string) {
	can.Helper()
	can.run(u.SetGlobal(u.Text("")))
	call := u.Call{
		Callee: u.Self(), Method: u.Query, Arg: u.Code(u.Reply(u.Text(""))),
		OnReply: u.Trap("on purpose"), OnCleanup: u.Seq(p.program, u.SetGlobal(u.Text("cleaned"))),
	}
	a := can.update(call.Do())
	return string(can.get(u.Global())) == "cleaned", a.String()
}

// inInspect runs the probe in inspect_message, before the update that carries it.
func (p probe) inInspect(c *check) (works bool, got string) {
	c.Helper()
	can := c.installWith([]string{u.Export("canister_inspect_message", u.Inspect)}, u.SetHook(u.Inspect, p.program, u.If(u.Int(truth(p.accepts)), nil, u.IC0("accept_message"))))
	return probe{}.judge(can.update(u.Reply(u.Text(""))))
}

func truth(b bool) uint64 {
	if b {
		return 1
	}
	return 0
}

// inTimer runs the probe in the global timer. A timer that has fired, well or not, is
// no longer set: that tells when to look.
func (p probe) inTimer(can *canister) (works bool, got string) {
	can.Helper()
	timer := u.IC0("global_timer_set", u.Int(1))
	can.run(u.SetGlobal(u.Text("")), u.SetHook(u.Timer, u.SetGlobal(u.Text("fired")), p.program), u.Drop(timer))
	can.await("the timer fires", func() bool { return fromLittleEndian(can.get(u.ToBytes(timer))) != 1 })
	got = string(can.get(u.Global()))
	return got == "fired", fmt.Sprintf("the global is %q after the timer", got)
}
