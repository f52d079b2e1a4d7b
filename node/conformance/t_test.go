package conformance

import (
	"portico/lightclient/hashtree"
	"portico/lightclient/principal"
	u "portico/node/conformance/universal"
)

func sectionT(s *section) {
	hello := u.Reply(u.Text("hello"))
	s.check("T1 an empty canister stays as it is", func(c *check) {
		can := c.empty()
		c.ok("uninstall", can.control("uninstall_code"))
		can.statusIs("afterwards", "running")
		if can.status().ModuleHash != nil {
			c.Errorf("there is a module hash")
		}
	})
	s.check("T2 others cannot uninstall", func(c *check) {
		can := c.install()
		c.rejects("uninstall", can.manage(newUser(), can.id, "uninstall_code", canisterArg{can.id}), 3, 5)
		c.rejects("uninstall by a canister", c.shared(c).through("uninstall_code", canisterArg{can.id}), 3, 5)
		c.replies("call", can.update(hello), []byte("hello"))
	})
	s.check("T3 uninstall wipes heap, stable memory and certified data", func(c *check) {
		can := c.install(u.SetGlobal(u.Text("FOO")), u.StableGrow(1), u.StableWrite(0, u.Text("BAR")), u.IC0("certified_data_set", u.Split(u.Text("FOO"))))
		c.ok("uninstall", can.control("uninstall_code"))
		can.statusIs("afterwards", "running")
		if can.status().ModuleHash != nil {
			c.Errorf("there is a module hash")
		}
		c.ok("install", can.deploy(installMode(), c.module))
		c.replies("heap", can.ask(u.Reply(u.Global())), nil)
		equal(c, "stable size", can.number(u.IC0("stable64_size")), 0)
		can.certifies("afterwards", nil)
	})
	s.check("T4 calls and queries of an uninstalled canister are rejected", func(c *check) {
		can := c.install()
		c.ok("uninstall", can.control("uninstall_code"))
		c.rejectedBefore("call", can.update(hello), 3, 5)
		c.rejects("query", can.ask(hello), 3, 5)
		c.rejects("inter-canister call", c.shared(c).send(program(can.id, hello)), 3, 5)
	})
	s.check("T5 open calls are rejected at once and stay so", func(c *check) {
		can, h := c.install(), c.newHold()
		call := h.call()
		call.OnReply = u.Reply(u.Text("late"))
		reply := can.holding(h, call)
		c.ok("uninstall", can.control("uninstall_code"))
		c.rejects("the open call", <-reply, 4)
		h.release()
		c.ok("install", can.deploy(installMode(), c.module))
		c.replies("a new call", can.update(hello), []byte("hello"))
	})
	s.check("T6 deleted call contexts hold back a stop", func(c *check) {
		can, h := c.install(), c.newHold()
		reply := can.holding(h, h.call())
		c.ok("uninstall", can.control("uninstall_code"))
		c.rejects("the open call", <-reply, 4)
		stopped := c.later(func() answer { return can.control("stop_canister") })
		c.await("the canister is stopping", func() bool { return !can.status().Status.Running })
		can.statusIs("before the late response", "stopping")
		c.pending("stop", stopped)
		h.release()
		c.ok("stop", <-stopped)
		can.statusIs("after the late response", "stopped")
	})
	s.check("T7 late responses do not reach code that was installed since", func(c *check) {
		can, old, h := c.install(), c.newHold(), c.newHold()
		call := old.call()
		call.OnReply, call.OnReject, call.OnCleanup = u.SetGlobal(u.Text("late")), u.SetGlobal(u.Text("late")), u.SetGlobal(u.Text("late"))
		reply := can.holding(old, call)
		c.ok("uninstall", can.control("uninstall_code"))
		c.rejects("the open call", <-reply, 4)
		c.ok("install", can.deploy(installMode(), c.module))
		fresh := can.holding(h, h.call())
		old.release()
		old.run() // the answer of the old call has left
		h.release()
		c.replies("the new call", <-fresh, []byte(released))
		c.replies("state", can.ask(u.Reply(u.Global())), nil)
	})
}

func sectionU(s *section) {
	print := func(p u.Program) u.Program { return u.IC0("debug_print", p) }
	hello := u.Reply(u.Text("hello"))
	s.both("U1 debug_print does not disturb", u.Seq(print(u.Split(u.Text("text"))), hello), func(c *check, what string, a answer) {
		c.replies(what, a, []byte("hello"))
	})
	for name, bounds := range map[string]u.Program{
		"address": u.Seq(u.Int(1<<31), u.Int(5)), "size": u.Seq(u.Int(0), u.Int(1<<31)), "both": u.Seq(u.Int(1<<32-1), u.Int(1<<32-1)),
	} {
		s.both("U1 debug_print with invalid bounds does not trap: "+name, u.Seq(print(bounds), hello), func(c *check, what string, a answer) {
			c.replies(what, a, []byte("hello"))
		})
	}
	s.both("U2 trap is an error of the canister", u.Trap("reason"), func(c *check, what string, a answer) {
		c.rejects(what, a, 5)
	})
	s.check("U3 caller and self in init", func(c *check) {
		can := c.install(u.SetGlobal(u.Concat(u.Caller(), u.Self())))
		c.replies("state", can.ask(u.Reply(u.Global())), append(can.owner.Sender().Bytes(), can.id.Bytes()...))
		boss := c.install()
		child := boss.child()
		c.ok("install", boss.through("install_code", installArg{Mode: installMode(), Canister: child, Module: c.module, Arg: u.SetGlobal(u.Caller())}))
		c.replies("the caller is the installing canister", boss.send(program(child, u.Reply(u.Global()))), boss.id.Bytes())
	})
	for name, p := range map[string]u.Program{
		"trap": u.Trap("x"), "call": program(principal.Canister(0), hello).Do(), "reply": hello, "reject": u.Reject(u.Text("no")), "unreachable": u.Unreachable(),
	} {
		s.check("U4 in init fails: "+name, func(c *check) {
			can := c.empty()
			c.rejects("install", can.deploy(installMode(), c.module, p), 5)
			if can.status().ModuleHash != nil {
				c.Errorf("the code was installed")
			}
		})
	}
}

// certifies checks the certified data in a query's certificate.
func (can *canister) certifies(what string, want []byte) {
	can.Helper()
	cert := can.certificate(can.peek(u.Get("data_certificate")))
	got, status := hashtree.Lookup(cert.Tree, []byte("canister"), can.id.Bytes(), []byte("certified_data"))
	if status != hashtree.Found || string(got) != string(want) {
		can.Errorf("%s: the certified data is %v %q, want %q", what, status, got, want)
	}
}
