package conformance

import (
	"portico/lightclient"
	u "portico/node/conformance/universal"
)

// guarded makes a canister with inspect_message.
func (c *check) guarded(programs ...u.Program) *canister {
	c.Helper()
	return c.installWith([]string{u.Export("canister_inspect_message", u.Inspect)}, u.SetHook(u.Inspect, programs...))
}

func sectionZ(s *section) {
	hello, ok := u.Reply(u.Text("hello")), u.IC0("accept_message")
	s.check("Z1 messages to an empty canister are not accepted", func(c *check) {
		c.rejectedBefore("call", c.empty().update(hello), 3, 5)
	})
	s.check("Z2 accepted messages are executed", func(c *check) {
		can := c.guarded(ok)
		c.replies("update", can.update(hello), []byte("hello"))
		c.replies("query as a call", can.askReplicated(hello), []byte("hello"))
	})
	s.check("Z3 messages that are not accepted are rejected", func(c *check) {
		can := c.guarded()
		c.rejectedBefore("update", can.update(hello), 4)
		c.rejectedBefore("query as a call", can.askReplicated(hello), 4)
		c.replies("query", can.ask(hello), []byte("hello"))
		c.replies("inter-canister call", c.shared(c).send(program(can.id, hello)), []byte("hello"))
	})
	s.check("Z4 accepting twice traps", func(c *check) {
		c.rejectedBefore("update", c.guarded(ok, ok).update(hello), 5)
	})
	s.check("Z5 a trap rejects", func(c *check) {
		c.rejectedBefore("update", c.guarded(u.Trap("x")).update(hello), 5)
		c.rejectedBefore("accept, then trap", c.guarded(ok, u.Trap("x")).update(hello), 5)
	})
	s.check("Z6 the method's name, the caller and the argument are visible", func(c *check) {
		user := newUser()
		for name, what := range map[string]struct{ got, want u.Program }{
			"method name": {u.Get("msg_method_name"), u.Text(u.Update)},
			"caller":      {u.Caller(), u.ID(user.Sender())},
		} {
			can := c.guarded(u.If(u.Equal(u.ToInt(what.got), u.ToInt(what.want)), ok, nil))
			c.ok(name, can.updateAs(user, hello))
		}
		can := c.guarded(u.If(u.Equal(u.ToInt(u.Caller()), u.ToInt(u.ID(user.Sender()))), ok, nil))
		c.rejectedBefore("another caller", can.updateAs(newUser(), hello), 4)
		can = c.guarded(u.If(u.Equal(u.ToInt(u.Get("msg_method_name")), u.ToInt(u.Text(u.Update))), ok, nil))
		c.rejectedBefore("another method", can.askReplicated(hello), 4)
		can = c.guarded(u.If(u.Equal(u.ToInt(u.Arg()), u.ToInt(u.Bytes(hello))), ok, nil))
		c.replies("the right argument", can.update(hello), []byte("hello"))
		c.rejectedBefore("another argument", can.update(u.SetGlobal(u.Text("x")), hello), 4)
	})
	for _, method := range []string{"raw_rand", "http_request", "ecdsa_public_key", "sign_with_ecdsa", "deposit_cycles", "canister_info", "create_canister"} {
		s.check("Z7 users cannot call "+method, func(c *check) {
			can := c.empty()
			arg := c.encode(canisterArg{can.id})
			if method == "raw_rand" {
				arg = c.encode()
			}
			c.rejectedBefore("call", c.call(can.owner, lightclient.Message{Method: method, Arg: arg, Effective: can.id}), 4)
		})
	}
	s.check("Z7 the status is refused to others before it is accepted", func(c *check) {
		can := c.empty()
		c.rejectedBefore("canister_status", can.manage(newUser(), can.id, "canister_status", canisterArg{can.id}), 5)
	})
}
