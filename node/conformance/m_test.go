package conformance

import (
	"portico/lightclient/principal"
	u "portico/node/conformance/universal"
)

// unknown is a canister id that nobody has.
func (c *check) unknown() principal.ID {
	index, _ := c.effective.CanisterIndex()
	return principal.Canister(index + 777_777)
}

func sectionM(s *section) {
	for name, p := range map[string]u.Program{
		"call_data_append":    u.IC0("call_data_append", u.Split(u.Text("x"))),
		"call_on_cleanup":     u.IC0("call_on_cleanup", u.Closure(nil)),
		"call_cycles_add":     u.IC0("call_cycles_add", u.Int(0)),
		"call_cycles_add128":  u.IC0("call_cycles_add128", u.Int(0), u.Int(0)),
		"call_perform":        u.Drop(u.IC0("call_perform")),
		"call_with_best_effo": u.IC0("call_with_best_effort_response", u.Int(1)),
	} {
		s.check("M1 without call_new traps "+name, func(c *check) {
			c.rejects("update", c.shared(c).update(p, u.Reply(u.Text(""))), 5)
			done := u.Call{Callee: u.Self(), Method: u.Query, Arg: u.Code(u.Reply(u.Text("")))}
			c.rejects("after call_perform", c.shared(c).update(done.Do(), p), 5)
		})
	}
	s.check("M2 call_new drops the call that is being built", func(c *check) {
		can, callee := c.install(), c.install()
		first, second := program(callee.id, u.Record(u.Text("first")), u.Reply(u.Text(""))), program(callee.id, u.Record(u.Text("second")), u.Reply(u.Text("")))
		c.ok("call", can.update(first.New(), u.IC0("call_data_append", u.Split(first.Arg)), second.Do()))
		c.replies("what was called", callee.ask(u.Reply(u.Global())), []byte("second"))
	})
	s.check("M3 what is appended to the argument is concatenated", func(c *check) {
		can := c.shared(c)
		arg := u.Reply(u.Text("joined"))
		call := u.Call{Callee: u.Self(), Method: u.Update}
		p := call.New()
		for _, b := range arg {
			p = u.Seq(p, u.IC0("call_data_append", u.Split(u.Bytes([]byte{b}))))
		}
		c.replies("call", can.update(p, u.Drop(u.IC0("call_perform"))), []byte("joined"))
	})
	s.check("M4 call_on_cleanup twice traps", func(c *check) {
		call := u.Call{Callee: u.Self(), Method: u.Query, OnCleanup: u.Program{}}
		again := u.IC0("call_on_cleanup", u.Closure(nil))
		c.rejects("update", c.shared(c).update(call.New(), again, u.Reply(u.Text(""))), 5)
	})
	s.check("M5 calls that reach nobody are rejected", func(c *check) {
		can := c.shared(c)
		hello := u.Reply(u.Text(""))
		c.rejects("an unknown canister", can.send(program(c.unknown(), hello)), 3)
		c.rejects("a user", can.send(program(can.owner.Sender(), hello)), 3)
		c.rejects("the anonymous principal", can.send(program(principal.Anonymous(), hello)), 3)
		c.rejects("an unknown method", can.send(to(can.id, "missing", nil)), 3, 5)
		c.rejects("an unknown method of the management canister", can.send(to(principal.ID{}, "missing", nil)), 3, 4)
	})
	s.check("M6 queries cannot call", func(c *check) {
		can := c.shared(c)
		call := program(can.id, u.Reply(u.Text("")))
		c.rejects("query", can.ask(call.Do()), 5)
		c.rejects("replicated query", can.askReplicated(call.Do()), 5)
		c.rejects("inter-canister query", can.send(to(can.id, u.Query, call.Do())), 5)
	})
	s.callees()
	s.callbacks()
}

// callees checks what a canister that is called may do.
func (s *section) callees() {
	s.check("M7 a canister can call itself", func(c *check) {
		can := c.shared(c)
		c.replies("update", can.send(program(can.id, u.Reply(u.Caller()))), can.id.Bytes())
		c.replies("query", can.send(to(can.id, u.Query, u.Reply(u.Caller()))), can.id.Bytes())
	})
	s.check("M8 a callee's update is committed, its query is not", func(c *check) {
		can, callee := c.install(), c.install()
		change := func(value string) u.Program { return u.Seq(u.SetGlobal(u.Text(value)), u.Reply(u.Text(""))) }
		c.ok("update", can.send(to(callee.id, u.Update, change("update"))))
		c.ok("query", can.send(to(callee.id, u.Query, change("query"))))
		c.replies("state", callee.ask(u.Reply(u.Global())), []byte("update"))
	})
	s.check("M9 a callee's query without or with two replies is an error", func(c *check) {
		can := c.shared(c)
		c.rejects("none", can.send(to(can.id, u.Query, nil)), 5)
		c.rejects("two", can.send(to(can.id, u.Query, u.Seq(u.Reply(u.Text("")), u.Reply(u.Text(""))))), 5)
	})
}

// callbacks checks what happens when the response is there.
func (s *section) callbacks() {
	s.check("M10 the reject code in a reply callback is 0", func(c *check) {
		call := program(c.shared(c).id, u.Reply(u.Text("")))
		call.OnReply = u.Reply(u.ToBytes(u.IC0("msg_reject_code")))
		c.replies("call", c.shared(c).update(call.Do()), make([]byte, 8))
	})
	s.check("M10 the reject code and message in a reject callback are the callee's", func(c *check) {
		call := program(c.shared(c).id, u.Reject(u.Text("my reasons")))
		call.OnReject = u.Reply(u.Concat(u.ToBytes(u.IC0("msg_reject_code")), u.Get("msg_reject_msg")))
		c.replies("call", c.shared(c).update(call.Do()), []byte("\x04\x00\x00\x00\x00\x00\x00\x00my reasons"))
	})
	s.check("M11 a second reply in a callback changes nothing", func(c *check) {
		can := c.install()
		call := program(c.shared(c).id, u.Reply(u.Text("")))
		call.OnReply = u.Seq(u.SetGlobal(u.Text("changed")), u.Reply(u.Text("second")))
		call.OnCleanup = u.Drop(u.IC0("global_timer_set", u.Int(1<<62)))
		c.replies("call", can.update(u.SetGlobal(u.Text("first state")), call.Do(), u.Reply(u.Text("first"))), []byte("first"))
		c.await("the callback ran", func() bool {
			return fromLittleEndian(can.get(u.ToBytes(u.IC0("global_timer_set", u.Int(0))))) != 0
		})
		c.replies("state", can.ask(u.Reply(u.Global())), []byte("first state"))
	})
	s.check("M12 reply data that was not sent is dropped between executions", func(c *check) {
		call := program(c.shared(c).id, u.Reply(u.Text("")))
		call.OnReply = u.Reply(u.Text("BAR"))
		c.replies("call", c.shared(c).update(u.Append(u.Text("FOO")), call.Do()), []byte("BAR"))
	})
	s.check("M13 cleanup does not run when a callback ends well", func(c *check) {
		can := c.install()
		for _, callee := range []u.Program{u.Reply(u.Text("")), u.Reject(u.Text(""))} {
			call := program(c.shared(c).id, callee)
			call.OnReply, call.OnReject, call.OnCleanup = u.Reply(u.Text("")), u.Reply(u.Text("")), u.SetGlobal(u.Text("cleaned"))
			c.ok("call", can.update(call.Do()))
		}
		c.replies("state", can.ask(u.Reply(u.Global())), nil)
	})
	s.check("M13 cleanup runs when a callback traps", func(c *check) {
		can := c.install()
		for _, callee := range []u.Program{u.Reply(u.Text("")), u.Reject(u.Text(""))} {
			call := program(c.shared(c).id, callee)
			call.OnReply, call.OnReject, call.OnCleanup = u.Trap("a"), u.Trap("b"), u.Record(u.Text("cleaned "))
			c.rejects("call", can.update(call.Do()), 5)
		}
		c.replies("state", can.ask(u.Reply(u.Global())), []byte("cleaned cleaned "))
	})
	for name, p := range map[string]struct {
		first, second u.Program
		code          uint8
	}{
		"a trap, then a reply": {u.Trap("x"), u.Reply(u.Text("replied")), 0},
		"a reply, then a trap": {u.Reply(u.Text("replied")), u.Trap("x"), 0},
		"two traps":            {u.Trap("x"), u.Trap("x"), 5},
	} {
		s.check("M14 the outcome of two callbacks: "+name, func(c *check) {
			a, b := program(c.shared(c).id, u.Reply(u.Text(""))), program(c.shared(c).id, u.Reply(u.Text("")))
			a.OnReply, b.OnReply = p.first, p.second
			got := c.install().update(a.Do(), b.Do())
			if p.code != 0 {
				c.rejects("call", got, p.code)
			} else {
				c.replies("call", got, []byte("replied"))
			}
		})
	}
	s.check("M15 another canister's methods can be called", func(c *check) {
		can, callee := c.shared(c), c.install()
		both := u.Concat(u.Self(), u.Caller())
		want := append(callee.id.Bytes(), can.id.Bytes()...)
		c.replies("update", can.send(program(callee.id, u.Reply(both))), want)
		c.replies("query", can.send(to(callee.id, u.Query, u.Reply(both))), want)
		c.rejects("composite query", can.send(to(callee.id, u.Composite, u.Reply(both))), 3, 5)
	})
}
