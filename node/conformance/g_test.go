package conformance

import (
	"portico/lightclient"
	"portico/lightclient/envelope"
	"portico/lightclient/principal"
	u "portico/node/conformance/universal"
)

func sectionG(s *section) {
	s.check("G1 call and query return data", func(c *check) {
		can := c.shared(c)
		c.replies("call", can.update(u.Reply(u.Text("ABC\x00\xff"))), []byte("ABC\x00\xff"))
		c.replies("query", can.ask(u.Reply(u.Text("ABC\x00\xff"))), []byte("ABC\x00\xff"))
	})
	s.check("G2 missing update and query methods are rejected", func(c *check) {
		can := c.shared(c)
		missing := lightclient.Message{Canister: can.id, Method: "missing"}
		c.rejects("call", c.call(can.owner, missing), 3, 5)
		c.rejects("query", c.query(can.owner, missing), 3, 5)
	})
	s.both("G3 an explicit reject has code 4", u.Reject(u.Text("ABC")), func(c *check, what string, a answer) {
		c.rejects(what, a, 4)
	})
	s.both("G4 no response is an error of the canister", u.Program{}, func(c *check, what string, a answer) {
		c.rejects(what, a, 5)
	})
	s.check("G4 state changes of a call without response stay", func(c *check) {
		can := c.install()
		c.rejects("call", can.update(u.SetGlobal(u.Text("changed"))), 5)
		c.replies("afterwards", can.ask(u.Reply(u.Global())), []byte("changed"))
	})
	s.both("G5 a second reply traps", u.Seq(u.Reply(u.Text("a")), u.Reply(u.Text("b"))), func(c *check, what string, a answer) {
		c.rejects(what, a, 5)
	})
	s.both("G6 reply data after a reply traps", u.Seq(u.Reply(u.Text("a")), u.Append(u.Text("b"))), func(c *check, what string, a answer) {
		c.rejects(what, a, 5)
	})
	s.both("G6 reply data after a reject traps", u.Seq(u.Reject(u.Text("a")), u.Append(u.Text("b"))), func(c *check, what string, a answer) {
		c.rejects(what, a, 5)
	})
	s.check("G7 the caller is the sender", func(c *check) {
		can, user := c.shared(c), newUser()
		c.replies("call", can.updateAs(user, u.Reply(u.Caller())), user.Sender().Bytes())
		c.replies("query", can.askAs(user, u.Reply(u.Caller())), user.Sender().Bytes())
	})
}

// both runs a program as an update and as a query.
func (s *section) both(name string, p u.Program, judge func(c *check, what string, a answer)) {
	s.check(name, func(c *check) {
		can := c.shared(c)
		judge(c, "call", can.update(p))
		judge(c, "query", can.ask(p))
		judge(c, "replicated query", can.askReplicated(p))
	})
}

func sectionI(s *section) {
	s.check("I1 calls and queries without a sender are refused", func(c *check) {
		can := c.shared(c)
		for _, kind := range []envelope.Kind{envelope.Call, envelope.Query} {
			r := c.raw(kind, can.id, u.Reply(u.Caller()))
			c.refused(kind.String(), r.without("sender").unsigned().post(c))
		}
	})
	s.check("I2 the anonymous sender needs no signature", func(c *check) {
		can := c.shared(c)
		anonymous := principal.Anonymous().Bytes()
		c.replies("call", can.updateAs(envelope.Anonymous{}, u.Reply(u.Caller())), anonymous)
		c.replies("query", can.askAs(envelope.Anonymous{}, u.Reply(u.Caller())), anonymous)
	})
}

func sectionJ(s *section) {
	s.check("J1 what is set can be read", func(c *check) {
		can := c.install()
		can.run(u.SetGlobal(u.Text("FOO")))
		c.replies("get", can.ask(u.Reply(u.Global())), []byte("FOO"))
	})
	s.check("J2 the last of two values stays", func(c *check) {
		can := c.install()
		can.run(u.SetGlobal(u.Text("FOO")))
		can.run(u.SetGlobal(u.Text("BAR")))
		c.replies("get", can.ask(u.Reply(u.Global())), []byte("BAR"))
	})
	s.check("J3 the same request is executed once", func(c *check) {
		can := c.install()
		r := c.raw(envelope.Call, can.id, u.Seq(u.Record(u.Text("x")), u.Reply(u.Text("")))).signed(c, can.owner)
		for range 3 {
			c.ok("call", r.call(c))
		}
		c.replies("afterwards", can.ask(u.Reply(u.Global())), []byte("x"))
	})
}
