package conformance

import (
	"fmt"
	"maps"
	"math"
	"math/big"
	"slices"
	"strings"
	"time"

	"portico/lightclient/hashtree"
	"portico/lightclient/principal"
	u "portico/node/conformance/universal"
)

func sectionBB(s *section) {
	s.wideMemory()
	s.boundedWait()
	s.systemValues()
	s.composites()
	s.memoryRules()
	s.cyclesRules()
}

func (s *section) wideMemory() {
	s.check("BB1 a module with 64-bit memory can import the whole system API", func(c *check) {
		fields := u.Imports("i64")
		for _, name := range u.Only32() {
			delete(fields, name)
		}
		text := strings.Join(slices.Sorted(maps.Values(fields)), "\n")
		can := c.installModule(c.wasm(text, `(memory i64 1) (data (i64.const 8) "wide")
			(func (export "canister_query hello") (call $msg_reply_data_append (i64.const 8) (i64.const 4)) (call $msg_reply))`))
		c.replies("query", c.query(can.owner, can.message("hello", nil)), []byte("wide"))
	})
	s.check("BB1 a module with 64-bit memory cannot import functions for 32 bits only", func(c *check) {
		can := c.empty()
		fields := u.Imports("i64")
		for _, name := range u.Only32() {
			c.rejects(name, can.deploy(reinstallMode(), c.wasm(fields[name], `(memory i64 1)`)), 5)
		}
		c.rejects("addresses of 32 bits", can.deploy(reinstallMode(), c.wasm(u.Imports("i32")["msg_reject"], `(memory i64 1)`)), 5)
		c.rejects("addresses of 64 bits with a 32-bit memory", can.deploy(reinstallMode(), c.wasm(fields["msg_reject"], `(memory 1)`)), 5)
	})
}

func (s *section) boundedWait() {
	deadline := u.Reply(u.Concat(u.ToBytes(u.IC0("msg_deadline")), u.ToBytes(now())))
	s.check("BB2 a bounded-wait call has a deadline of at most five minutes", func(c *check) {
		can := c.shared(c)
		for _, p := range []struct {
			timeout u.Program
			most    time.Duration
		}{{nil, 0}, {u.Int(10), 10 * time.Second}, {u.Int(300), 300 * time.Second}, {u.Int(math.MaxUint32), 300 * time.Second}} {
			call := program(can.id, deadline)
			call.Timeout = p.timeout
			got := c.ok("call", can.send(call))
			at, now := fromLittleEndian(got[:8]), fromLittleEndian(got[8:])
			switch {
			case p.most == 0 && at != 0:
				c.Errorf("a call without bound has the deadline %d", at)
			case p.most > 0 && (at <= now || at > now+uint64(p.most)):
				c.Errorf("at %d the deadline of a call bounded by %v is %d", now, p.most, at)
			}
		}
		equal(c, "deadline of an ingress message", fromLittleEndian(can.get(u.ToBytes(u.IC0("msg_deadline")))), 0)
	})
	s.check("BB2 the bound is given once, for the call that is being built", func(c *check) {
		call := program(c.shared(c).id, u.Reply(u.Text("")))
		call.Timeout = u.Int(1)
		c.rejects("twice", c.shared(c).update(call.New(), u.IC0("call_with_best_effort_response", u.Int(1))), 5)
		c.rejects("too late", c.shared(c).update(call.Do(), u.IC0("call_with_best_effort_response", u.Int(1))), 5)
	})
	s.check("BB2 a call that takes longer than its bound is rejected with code 6", func(c *check) {
		can, h := c.install(), c.newHold()
		call := h.call()
		call.Timeout, call.OnReply = u.Int(1), u.Seq(u.SetGlobal(u.Text("late")), u.Reply(u.Text("")))
		c.rejects("the held call", can.send(call), 6)
		h.release()
		c.shared(c).ok("another call", can.send(program(h.id, u.Reply(u.Text("")))))
		c.replies("the late reply has no effect", can.ask(u.Reply(u.Global())), nil)
	})
	s.check("BB2 the cycles of a reply that comes too late are lost", lateReply)
	s.check("BB2 a bounded-wait call that is answered in time is like any other", func(c *check) {
		call := program(c.shared(c).id, u.Reply(accept(5)))
		call.Timeout, call.Cycles, call.OnReply = u.Int(60), cycles(trillion), u.Reply(u.Concat(u.Arg(), refunded()))
		got := c.ok("call", c.install().update(call.Do()))
		c.exactly("accepted", got[:16], 5)
		c.exactly("refunded", got[16:], trillion-5)
	})
}

func (s *section) systemValues() {
	s.check("BB5 environment variables", environmentVariables)
	s.check("BB6 subnet_self and root_key", func(c *check) {
		can := c.shared(c)
		c.replies("subnet_self", can.ask(u.Reply(u.Get("subnet_self"))), c.subnet().Bytes())
		c.replies("root_key", can.update(u.Reply(u.Get("root_key"))), c.rootKey)
		c.rejects("root_key in a query", can.ask(u.Reply(u.Get("root_key"))), 5)
		c.rejects("root_key in a composite query", can.composite(u.Reply(u.Get("root_key"))), 5)
	})
	s.check("BB7 performance counters of the message and of the call", func(c *check) {
		can := c.install()
		both := u.Concat(u.ToBytes(u.IC0("performance_counter", u.Int(0))), u.ToBytes(u.IC0("performance_counter", u.Int(1))))
		const work = 1_000_000
		call := program(c.shared(c).id, u.Reply(u.Text("")))
		call.OnReply = u.Reply(u.Concat(u.Global(), both))
		got := c.ok("call", can.update(u.Burn(u.Int(work)), u.SetGlobal(both), call.Do()))
		message, context := fromLittleEndian(got[:8]), fromLittleEndian(got[8:16])
		if message < work || context < message || context > message+message/10 {
			c.Errorf("the first message counted %d, the call %d", message, context)
		}
		later, total := fromLittleEndian(got[16:24]), fromLittleEndian(got[24:])
		if later > work || total < context+later {
			c.Errorf("the callback counted %d, the call then %d", later, total)
		}
		c.rejects("an unknown counter", can.update(u.Reply(u.ToBytes(u.IC0("performance_counter", u.Int(2))))), 5)
	})
	s.check("BB8 in_replicated_execution tells queries from the rest", func(c *check) {
		flag := u.ToBytes(u.IC0("in_replicated_execution"))
		can := c.install(u.SetGlobal(flag))
		is := func(what string, got []byte, want uint64) { c.Helper(); equal(c, what, fromLittleEndian(got), want) }
		is("init", can.peek(u.Global()), 1)
		is("update", can.get(flag), 1)
		is("query", can.peek(flag), 0)
		is("replicated query", c.ok("call", can.askReplicated(u.Reply(flag))), 1)
		is("composite query", c.ok("query", can.composite(u.Reply(flag))), 0)
		call := program(can.id, u.Reply(flag))
		call.OnReply = u.Reply(u.Concat(u.Arg(), flag))
		got := c.ok("call", can.update(call.Do()))
		is("inter-canister update", got[:8], 1)
		is("callback", got[8:], 1)
		can.run(u.SetHook(u.Timer, u.SetGlobal(u.Concat(u.Text("timer"), flag))), u.Drop(timer(u.Int(1))))
		c.await("the timer fires", func() bool { return strings.HasPrefix(string(can.peek(u.Global())), "timer") })
		is("timer", can.peek(u.Global())[5:], 1)
		guarded := c.guarded(u.If(u.IC0("in_replicated_execution"), nil, u.IC0("accept_message")))
		c.ok("inspect_message", guarded.update(u.Reply(u.Text(""))))
	})
	s.check("BB14 cleanup sees the reject code", func(c *check) {
		can := c.install()
		for want, callee := range map[uint64]u.Program{0: u.Reply(u.Text("")), 4: u.Reject(u.Text("")), 5: u.Trap("x")} {
			call := program(c.shared(c).id, callee)
			call.OnReply, call.OnReject, call.OnCleanup = u.Trap("x"), u.Trap("x"), u.SetGlobal(u.ToBytes(u.IC0("msg_reject_code")))
			c.rejects("call", can.update(call.Do()), 5)
			equal(c, "reject code in cleanup", fromLittleEndian(can.peek(u.Global())), want)
		}
	})
}

func environmentVariables(c *check) {
	can := c.install()
	set := func(vars ...envVar) answer { return can.set(canSettings{EnvVars: &vars}) }
	c.ok("settings", set(envVar{"FIRST", "one"}, envVar{"SECOND", ""}))
	is := func(what string, e u.Program, want uint64) { c.Helper(); equal(c, what, can.number(e), want) }
	name := func(s string) u.Program { return u.Split(u.Text(s)) }
	is("count", u.IC0("env_var_count"), 2)
	is("exists", u.IC0("env_var_name_exists", name("SECOND")), 1)
	is("does not exist", u.IC0("env_var_name_exists", name("THIRD")), 0)
	is("size of a value", u.IC0("env_var_value_size", name("FIRST")), 3)
	const at = 512
	names := []string{}
	for i := range uint64(2) {
		size := can.number(u.IC0("env_var_name_size", u.Int(i)))
		names = append(names, string(can.peek(u.Seq(u.IC0("env_var_name_copy", u.Int(i), u.Int(at), u.Int(0), u.Int(size)), u.Join(u.Int(at), u.Int(size))))))
	}
	if slices.Sort(names); !slices.Equal(names, []string{"FIRST", "SECOND"}) {
		c.Errorf("the names are %q", names)
	}
	c.replies("value", can.ask(u.IC0("env_var_value_copy", name("FIRST"), u.Int(at), u.Int(0), u.Int(3)), u.Reply(u.Join(u.Int(at), u.Int(3)))), []byte("one"))
	c.replies("part of a value", can.ask(u.IC0("env_var_value_copy", name("FIRST"), u.Int(at), u.Int(1), u.Int(2)), u.Reply(u.Join(u.Int(at), u.Int(2)))), []byte("ne"))
	for what, p := range map[string]u.Program{
		"a name that is not there": u.Drop(u.IC0("env_var_value_size", name("THIRD"))), "an index that is not there": u.Drop(u.IC0("env_var_name_size", u.Int(2))),
		"more of a value than there is": u.IC0("env_var_value_copy", name("FIRST"), u.Int(at), u.Int(1), u.Int(3)),
		"a name that is no UTF-8":       u.Drop(u.IC0("env_var_name_exists", name("\xff"))),
	} {
		c.rejects(what, can.ask(p, u.Reply(u.Text(""))), 5)
	}
	var many []envVar
	for i := range 20 {
		many = append(many, envVar{fmt.Sprint("name", i), "value"})
	}
	c.ok("twenty variables", set(many...))
	c.fails("twenty-one variables", set(append(many, envVar{"one more", ""})...))
	long := strings.Repeat("x", 128)
	c.ok("128 bytes", set(envVar{long, long}))
	c.fails("a name of 129 bytes", set(envVar{long + "x", ""}))
	c.fails("a value of 129 bytes", set(envVar{"x", long + "x"}))
	c.fails("a name twice", set(envVar{"x", "1"}, envVar{"x", "2"}))
}

func (s *section) composites() {
	nested := func(depth int) u.Program {
		p := u.Reply(u.Text("deep"))
		for range depth {
			p = u.Call{Callee: u.Self(), Method: u.Composite, Arg: u.Bytes(p), OnReject: rejectWithCode()}.Do()
		}
		return p
	}
	s.check("BB10 composite queries call queries and composite queries", func(c *check) {
		can, other := c.shared(c), c.install(u.SetGlobal(u.Text("state")))
		call := to(other.id, u.Query, u.Reply(u.Concat(u.Global(), u.Caller())))
		want := append([]byte("state"), can.id.Bytes()...)
		c.replies("a query", can.composite(call.Do()), want)
		call.Method = u.Composite
		c.replies("a composite query", can.composite(call.Do()), want)
		call.Method, call.OnReject = u.Update, rejectWithCode()
		c.fails("an update", decodeOutcome(can.composite(call.Do())))
		c.replies("four deep", can.composite(nested(4)), []byte("deep"))
		c.fails("ten deep", decodeOutcome(can.composite(nested(10))))
	})
	s.check("BB10 a composite query is no update", func(c *check) {
		can := c.shared(c)
		a := c.call(can.owner, can.message(u.Composite, u.Reply(u.Text(""))))
		c.rejects("call", a, 3, 5)
		c.rejects("inter-canister call", can.send(to(can.id, u.Composite, u.Reply(u.Text("")))), 3, 5)
		c.rejects("a composite query of a query", can.ask(to(can.id, u.Composite, nil).Do()), 5)
	})
	s.check("BB10 the certificate is there for the canister that was asked", func(c *check) {
		can, other := c.shared(c), c.install()
		present := u.ToBytes(u.IC0("data_certificate_present"))
		call := to(other.id, u.Query, u.Reply(present))
		call.OnReply = u.Reply(u.Concat(u.Arg(), present))
		got := c.ok("query", can.composite(call.Do()))
		equal(c, "in the callee", fromLittleEndian(got[:8]), 0)
	})
	s.check("BB10 state changes of a composite query are kept for its callbacks only", func(c *check) {
		can := c.install()
		call := to(c.shared(c).id, u.Query, u.Reply(u.Text("")))
		call.OnReply = u.Reply(u.Global())
		c.replies("query", can.composite(u.SetGlobal(u.Text("x")), call.Do()), []byte("x"))
		c.replies("afterwards", can.ask(u.Reply(u.Global())), nil)
	})
	s.check("BB10 composite queries can ask for a canister's status", func(c *check) {
		can := c.install()
		call := to(principal.ID{}, "canister_status", c.encode(canisterArg{can.id}))
		call.OnReject = rejectWithCode()
		var got statusResult
		c.decode(c.ok("canister_status", decodeOutcome(can.composite(call.Do()))), &got)
		equal(c, "status", got.Status.String(), "running")
	})
	s.compositeLimits()
	s.notYet("BB10 composite queries do not cross subnets", needsSubnets)
}

func (s *section) memoryRules() {
	const page, mib = 1 << 16, 1 << 20
	eop := u.Section("icp:private enhanced-orthogonal-persistence", "")
	s.check("BB11 skip_pre_upgrade skips it", func(c *check) {
		can, skip := c.install(u.SetHook(u.PreUpgrade, u.Trap("x"))), true
		c.rejects("upgrade", can.deploy(upgradeMode(), c.module), 5)
		c.ok("upgrade that skips it", can.deploy(upgradeWith(options{SkipPreUpgrade: &skip}), c.module))
	})
	s.check("BB11 wasm_memory_persistence keeps or replaces the heap", func(c *check) {
		module := c.universal(eop)
		// what is kept lies beyond what the next messages allocate
		can := c.installModule(module, u.SetGlobal(u.Concat(u.Fill(0, 4096), u.Text("KEPT"))))
		c.ok("keep", can.deploy(upgradeWith(options{Persistence: &persistence{Keep: true}}), module))
		if got := can.peek(u.Global()); !strings.HasSuffix(string(got), "KEPT") {
			c.Errorf("keep lost the heap: %.20x", got)
		}
		c.ok("replace", can.deploy(upgradeWith(options{Persistence: &persistence{Replace: true}}), module))
		c.replies("after replace", can.ask(u.Reply(u.Global())), nil)
	})
	s.check("BB11 such modules are not upgraded without saying so", func(c *check) {
		module := c.universal(eop)
		c.fails("upgrade", c.installModule(module).deploy(upgradeMode(), module))
		c.fails("keep for an ordinary module", c.install().deploy(upgradeWith(options{Persistence: &persistence{Keep: true}}), c.module))
	})
	grow := u.Drop(u.GrowMemory(u.Int(32)))
	s.check("BB12 wasm_memory_limit holds for updates only", func(c *check) {
		can := c.install()
		c.ok("settings", can.set(canSettings{WasmMemoryLimit: optionalInt(mib)}))
		c.ok("below the limit", can.update(u.Reply(u.Text(""))))
		c.fails("growth in an update", can.update(grow, u.Reply(u.Text(""))))
		c.ok("growth in a query", can.ask(grow, u.Reply(u.Text(""))))
		c.ok("no limit", can.set(canSettings{WasmMemoryLimit: optionalInt(0)}))
		can.run(grow)
		c.ok("a limit again", can.set(canSettings{WasmMemoryLimit: optionalInt(mib)}))
		c.fails("an update above the limit", can.update(u.Reply(u.Text(""))))
		c.ok("a query above the limit", can.ask(u.Reply(u.Text(""))))
	})
	s.check("BB9 the low-memory hook runs once when memory becomes low", func(c *check) {
		can := c.installWith([]string{u.Export("canister_on_low_wasm_memory", u.LowMemory)}, u.SetHook(u.LowMemory, u.Record(u.Text("low "))))
		c.ok("settings", can.set(canSettings{WasmMemoryLimit: optionalInt(8 * mib), WasmMemoryThresh: optionalInt(7 * mib)}))
		c.replies("at first", can.update(u.Reply(u.Global())), nil)
		can.run(grow)
		c.await("the hook runs", func() bool { return string(can.get(u.Global())) != "" })
		can.run(grow)
		can.run()
		c.replies("afterwards", can.update(u.Reply(u.Global())), []byte("low "))
		equal(c, "memory in pages", can.number(u.MemorySize())*page > mib, true)
	})
	s.check("BB13 a message of several slices is executed", func(c *check) {
		can := c.install()
		counter := u.ToBytes(u.IC0("performance_counter", u.Int(0)))
		got := fromLittleEndian(can.get(u.Seq(u.Burn(u.Int(280_000_000)), counter)))
		if got < 2_000_000_000 {
			c.Errorf("only %d instructions were executed", got)
		}
	})
	s.check("BB9 the low-memory hook waits while its canister is frozen", frozenHook)
	s.rateLimits()
}

func (s *section) cyclesRules() {
	liquid := u.Get128("canister_liquid_cycle_balance128")
	burn := func(n uint64) u.Program { return u.Get128("cycles_burn128", u.Int(0), u.Int(n)) }
	s.check("BB3 cycles_burn128 burns what it says", func(c *check) {
		can := c.rich(trillions(20))
		got := can.get(u.Concat(balance(), burn(trillion), balance()))
		c.exactly("burned", got[16:32], trillion)
		if spent := new(big.Int).Sub(amount(got[:16]), amount(got[32:])); spent.Cmp(big.NewInt(trillion)) != 0 {
			c.Errorf("the balance fell by %v", spent)
		}
		c.near("afterwards", amount(can.peek(balance())), trillions(19))
	})
	s.check("BB3 no more than the liquid balance is burned", func(c *check) {
		can := c.rich(trillions(20))
		got := can.get(u.Concat(liquid, u.Get128("cycles_burn128", u.Int(1<<62), u.Int(0)), liquid))
		if amount(got[:16]).Cmp(amount(got[16:32])) != 0 || amount(got[32:]).Sign() != 0 {
			c.Errorf("of %v liquid cycles %v were burned, %v are left", amount(got[:16]), amount(got[16:32]), amount(got[32:]))
		}
	})
	s.check("BB4 cost_call is what a call costs", func(c *check) {
		can := c.rich(trillions(20))
		for _, n := range []uint64{0, 1, 1000} {
			call := u.Call{Callee: u.ID(c.shared(c).id), Method: u.Update, Arg: u.Fill(0, n), OnReply: u.Program{}, OnReject: u.Program{}}
			got := can.get(u.Concat(balance(), u.Seq(call.Do(), balance()), u.Get128("cost_call", u.Int(uint64(len(u.Update))), u.Int(n))))
			if spent := new(big.Int).Sub(amount(got[:16]), amount(got[16:32])); spent.Cmp(amount(got[32:])) != 0 {
				c.Errorf("a call with %d bytes took %v cycles, cost_call says %v", n, spent, amount(got[32:]))
			}
		}
	})
	s.check("BB4 cost_create_canister is what creation costs", func(c *check) {
		can := c.rich(trillions(40))
		price := amount(can.peek(u.Get128("cost_create_canister")))
		_, reply := can.paid("create_canister", createArg{}, 10*trillion)
		var child canisterArg
		c.decode(reply, &child)
		var got statusResult
		c.decode(c.ok("status", can.through("canister_status", child)), &got)
		left := new(big.Int).Sub(trillions(10), price)
		if short := new(big.Int).Sub(left, got.Cycles); short.Sign() < 0 || short.Cmp(big.NewInt(trillion/100)) > 0 {
			c.Errorf("the child has %v cycles, want %v", got.Cycles, left)
		}
		refund, _ := can.paid("create_canister", createArg{}, price.Uint64()-1)
		c.exactly("refunded when one cycle is missing", refund, price.Uint64()-1)
	})
	for _, name := range []string{"cost_sign_with_ecdsa", "cost_sign_with_schnorr", "cost_vetkd_derive_key"} {
		s.check("BB4 "+name+" knows curves and keys", func(c *check) {
			call := func(key string, curve uint64) u.Program {
				return u.IC0(name, u.Split(u.Text(key)), u.Int(curve), u.Int(128))
			}
			equal(c, "an unknown curve", c.shared(c).number(call("key_1", 77)), 1)
			equal(c, "an unknown key", c.shared(c).number(call("no such key", 0)), 2)
		})
	}
	s.cyclesShort()
}

// cyclesShort checks what happens without enough cycles.
func (s *section) cyclesShort() {
	s.check("BB15 minimum_incoming_canister_call_cycles", func(c *check) {
		can := c.install()
		c.ok("settings", can.set(canSettings{MinimumIncoming: optionalInt(trillion)}))
		caller := c.rich(trillions(40))
		attempt := func(from *canister, n uint64) []byte {
			call := program(can.id, u.Reply(u.Text("")))
			call.Cycles = cycles(n)
			call.OnReply = u.Reply(u.Concat(u.ToBytes(u.Int(0)), refunded()))
			call.OnReject = u.Reply(u.Concat(u.ToBytes(u.IC0("msg_reject_code")), refunded()))
			return c.ok("call", from.update(call.Do()))
		}
		got := attempt(caller, trillion-1)
		equal(c, "with too few", fromLittleEndian(got[:8]), 5)
		c.exactly("refunded", got[8:], trillion-1)
		equal(c, "with enough", fromLittleEndian(attempt(caller, trillion)[:8]), 0)
		equal(c, "by itself", fromLittleEndian(attempt(can, 0)[:8]), 0)
		c.ok("by a user", can.update(u.Reply(u.Text(""))))
	})
	s.check("BB16 a frozen canister executes nothing", func(c *check) {
		can := c.install()
		c.ok("settings", can.set(canSettings{FreezingThreshold: optional(new(big.Int).SetUint64(math.MaxUint64))}))
		c.rejects("update", can.update(u.Reply(u.Text(""))), 2)
		c.rejects("inter-canister call", c.shared(c).send(program(can.id, u.Reply(u.Text("")))), 2)
	})
	s.check("BB16 a frozen canister thaws when its controller lowers the threshold", func(c *check) {
		can := c.install()
		c.ok("settings", can.set(canSettings{FreezingThreshold: optional(new(big.Int).SetUint64(math.MaxUint64))}))
		c.ok("settings", can.set(canSettings{FreezingThreshold: optionalInt(1)}))
		c.ok("update", can.update(u.Reply(u.Text(""))))
	})
	s.check("BB16 call_perform tells that a call cannot be paid", func(c *check) {
		can := c.rich(trillions(1))
		c.ok("settings", can.set(canSettings{FreezingThreshold: optionalInt(0)}))
		// Some cycles for a message are left, not enough for a call and its callback as well.
		const left = 15_000_000_000
		all := u.ToInt(u.Get128("canister_liquid_cycle_balance128"))
		can.run(u.Drop(u.Get128("cycles_burn128", u.Int(0), u.Sub(all, u.Int(left)))))
		call := program(c.shared(c).id, u.Reply(u.Text("")))
		c.isNumber("call_perform", can.update(value(call.Perform())), 2)
	})
	s.check("BB17 a canister without cycles loses its code and can be revived", func(c *check) {
		can := c.rich(trillions(20))
		// What an update sets aside for its execution cannot be burned: the allocation takes it.
		c.ok("settings", can.set(canSettings{FreezingThreshold: optionalInt(0), ComputeAllocation: optionalInt(100)}))
		can.run(u.Drop(u.Get128("cycles_burn128", u.Int(1<<62), u.Int(0))))
		c.await("the code is lost", func() bool {
			_, status := can.lookup(can.owner, can.id, "canister", can.id.Raw(), "module_hash")
			return status == hashtree.Absent
		})
		c.ok("top up", c.shared(c).through("provisional_top_up_canister", topUpArg{can.id, trillions(100)}))
		c.rejects("update", can.update(u.Reply(u.Text(""))), 3, 5)
		c.ok("install", can.deploy(installMode(), c.module))
		c.replies("update", can.update(u.Reply(u.Text("x"))), []byte("x"))
	})
}
