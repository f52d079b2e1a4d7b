package conformance

import (
	"portico/lightclient/envelope"
	u "portico/node/conformance/universal"
)

// requiredFields checks that a request lacking any of the fields is refused.
func (s *section) requiredFields(id string, kind envelope.Kind, fields ...string) {
	for _, field := range fields {
		s.check(id+" a "+kind.String()+" without "+field+" is refused", func(c *check) {
			can := c.shared(c)
			r := c.raw(kind, can.id, u.Reply(u.Text("")))
			if field == "sender" {
				c.refused("unsigned", r.without(field).unsigned().post(c))
				return
			}
			c.refused("signed", r.without(field).signed(c, can.owner).post(c))
			c.refused("anonymous", r.without(field).signed(c, envelope.Anonymous{}).post(c))
			c.ok("with all fields", r.signed(c, can.owner).post(c))
		})
	}
}

func sectionV(s *section) {
	s.requiredFields("V1", envelope.Query, "request_type", "sender", "canister_id", "method_name", "arg", "ingress_expiry")
	s.requiredFields("V1", envelope.Call, "request_type", "sender", "canister_id", "method_name", "arg", "ingress_expiry")
	s.check("V2 queries of deleted canisters are rejected", func(c *check) {
		can := c.install()
		c.ok("stop", can.control("stop_canister"))
		c.ok("delete", can.control("delete_canister"))
		c.rejects("query", can.ask(u.Reply(u.Text(""))), 3)
	})
	s.check("V2 queries of canisters that never were are rejected", func(c *check) {
		can := &canister{c, c.unknown(), newUser()}
		if a := can.ask(u.Reply(u.Text(""))); a.code != 3 && (a.status < 400 || a.status > 499) {
			c.Errorf("want a reject with code 3 or HTTP status 4xx, got %v", a)
		}
	})
	s.check("V3 queries change nothing", func(c *check) {
		can := c.install(u.SetGlobal(u.Text("FOO")))
		c.replies("query", can.ask(u.SetGlobal(u.Text("BAR")), u.Reply(u.Global())), []byte("BAR"))
		c.replies("replicated query", can.askReplicated(u.SetGlobal(u.Text("BAR")), u.Reply(u.Global())), []byte("BAR"))
		c.replies("afterwards", can.ask(u.Reply(u.Global())), []byte("FOO"))
	})
}
