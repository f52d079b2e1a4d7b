package conformance

import (
	"slices"
	"strings"

	"portico/lightclient"
	u "portico/node/conformance/universal"
)

// errorCase is something that fails with an error code; two where versions differ.
type errorCase struct {
	codes string
	what  string
	run   func(c *check) answer
}

func errorCases() []errorCase {
	update := func(p u.Program) func(c *check) answer {
		return func(c *check) answer { return c.shared(c).update(p) }
	}
	missing := func(c *check) lightclient.Message {
		return lightclient.Message{Canister: c.shared(c).id, Method: "missing"}
	}
	manage := func(method string, arg []byte) func(c *check) answer {
		return func(c *check) answer {
			return c.call(newUser(), lightclient.Message{Method: method, Arg: arg, Effective: c.shared(c).id})
		}
	}
	return []errorCase{
		{"IC0301", "a query of a canister that was deleted", func(c *check) answer {
			can := c.empty()
			c.ok("stop", can.control("stop_canister"))
			c.ok("delete", can.control("delete_canister"))
			return can.ask(nil)
		}},
		{"IC0406", "an explicit reject", update(u.Reject(u.Text("no")))},
		{"IC0406", "a message that inspect_message does not accept", func(c *check) answer { return c.guarded().update(nil) }},
		{"IC0407 IC0406", "a method that the management canister does not have", manage("missing", nil)},
		{"IC0408", "an argument that cannot be decoded", func(c *check) answer {
			return c.call(newUser(), lightclient.Message{Method: "provisional_create_canister_with_cycles", Arg: []byte("no"), Effective: c.effective})
		}},
		{"IC0502", "unreachable", update(u.Unreachable())},
		{"IC0503", "ic0.trap", update(u.Trap("x"))},
		{"IC0504", "a function in the wrong context", update(u.IC0("accept_message"))},
		{"IC0505", "a module that is none", func(c *check) answer { return c.empty().deploy(installMode(), []byte("no")) }},
		{"IC0506", "no reply", update(nil)},
		{"IC0508", "a stopped canister", func(c *check) answer {
			can := c.install()
			c.ok("stop", can.control("stop_canister"))
			return can.update(nil)
		}},
		{"IC0510", "deleting a canister that runs", func(c *check) answer { return c.empty().control("delete_canister") }},
		{"IC0512", "a user who is no controller", func(c *check) answer {
			can := c.shared(c)
			return can.manage(newUser(), can.id, "stop_canister", canisterArg{can.id})
		}},
		{"IC0514 IC0538", "installing over code", func(c *check) answer { return c.install().deploy(installMode(), c.module) }},
		{"IC0527", "a composite query in replicated execution", func(c *check) answer {
			return c.call(newUser(), c.shared(c).message(u.Composite, nil))
		}},
		{"IC0536", "a missing update method", func(c *check) answer { return c.call(newUser(), missing(c)) }},
		{"IC0536", "a missing query method", func(c *check) answer { return c.query(newUser(), missing(c)) }},
		{"IC0537", "an empty canister", func(c *check) answer { return c.empty().update(nil) }},
	}
}

// errorCodes checks the error codes that clients match on.
func (s *section) errorCodes() {
	for _, e := range errorCases() {
		s.check("BA5 error code "+e.codes+": "+e.what, func(c *check) {
			a := e.run(c)
			if !slices.Contains(strings.Fields(e.codes), a.errorCode) {
				c.Errorf("want the error code %s, got %v", e.codes, a)
			}
			if a.code != 0 && a.errorCode != "" && a.errorCode[2:4] != "0"+string('0'+rune(a.code)) {
				c.Errorf("the error code does not belong to the reject code: %v", a)
			}
		})
	}
}
