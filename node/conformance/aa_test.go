package conformance

import (
	"slices"
	"time"

	"portico/lightclient/cbor"
	"portico/lightclient/envelope"
	"portico/lightclient/principal"
	u "portico/node/conformance/universal"
)

// chained delegates from the first signer to the last, with these targets in each
// step; nil is none.
func (c *check) chained(signers []envelope.Signer, targets ...[]principal.ID) envelope.Delegated {
	c.Helper()
	d := envelope.Delegated{PublicKey: signers[0].PublicKey(), Signer: signers[len(signers)-1], Chain: []envelope.SignedDelegation{}}
	for i, from := range signers[:len(signers)-1] {
		step := envelope.Delegation{PublicKey: signers[i+1].PublicKey(), Expiration: uint64(time.Now().Add(time.Hour).UnixNano())}
		if i < len(targets) {
			step.Targets = targets[i]
		}
		signed, err := envelope.Delegate(from, step)
		c.must(err)
		d.Chain = append(d.Chain, signed)
	}
	return d
}

// keys makes n Ed25519 keys.
func keys(n int) (out []envelope.Signer) {
	for range n {
		out = append(out, newUser().Signer)
	}
	return out
}

// statusByChain makes a call with the first key of a chain and asks for its status with
// the chain.
func (can *canister) statusByChain(first envelope.Signer, d envelope.Delegated, call raw) answer {
	can.Helper()
	mine := call.signed(can.check, envelope.Keyed{Signer: first})
	can.ok("the owner's call", mine.call(can.check))
	return can.raw(envelope.ReadState, mine.canister, nil).paths(statusPath(mine.id)).signed(can.check, d).post(can.check)
}

type ids = []principal.ID

// chainTest is a chain of delegations by the keys in it and the targets of each step.
type chainTest struct {
	name    string
	signers func(c *check) []envelope.Signer
	targets func(can, other principal.ID) []ids
}

func two(*check) []envelope.Signer   { return keys(2) }
func three(*check) []envelope.Signer { return keys(3) }

// many are n targets.
func many(n int, can principal.ID) ids {
	out := ids{can}
	for i := range n - 1 {
		out = append(out, principal.Canister(uint64(i)+1_000_000_000))
	}
	return out
}

func noTargets(principal.ID, principal.ID) []ids { return nil }

func schemed(name string) func(c *check) []envelope.Signer {
	return func(c *check) []envelope.Signer { return []envelope.Signer{schemes()[name](c), schemes()[name](c)} }
}

func goodChains() []chainTest {
	return []chainTest{
		{"one target", two, func(can, _ principal.ID) []ids { return []ids{{can}} }},
		{"two targets", two, func(can, other principal.ID) []ids { return []ids{{can, other}} }},
		{"a thousand targets", two, func(can, _ principal.ID) []ids { return []ids{many(1000, can)} }},
		{"a target twice", two, func(can, _ principal.ID) []ids { return []ids{{can, can}} }},
		{"two delegations with the same target", three, func(can, _ principal.ID) []ids { return []ids{{can}, {can}} }},
		{"two delegations with overlapping targets", three, func(can, other principal.ID) []ids { return []ids{{can, other}, {principal.Canister(1), can}} }},
		{"only the first restricted", three, func(can, _ principal.ID) []ids { return []ids{{can}} }},
		{"only the second restricted", three, func(can, _ principal.ID) []ids { return []ids{nil, {can}} }},
		{"WebAuthn ECDSA", schemed("WebAuthn ECDSA"), func(can, _ principal.ID) []ids { return []ids{{can}} }},
		{"WebAuthn RSA", schemed("WebAuthn RSA"), func(can, _ principal.ID) []ids { return []ids{{can}} }},
		{"twenty delegations", func(*check) []envelope.Signer { return keys(21) }, noTargets},
	}
}

func badChains() []chainTest {
	return []chainTest{
		{"a wrong target", two, func(_, other principal.ID) []ids { return []ids{{other}} }},
		{"a thousand and one targets", two, func(can, _ principal.ID) []ids { return []ids{many(1001, can)} }},
		{"an empty intersection", three, func(can, other principal.ID) []ids { return []ids{{can}, {other}} }},
		{"an empty set first", three, func(can, _ principal.ID) []ids { return []ids{{}, {can}} }},
		{"an empty set second", three, func(can, _ principal.ID) []ids { return []ids{{can}, {}} }},
		{"twenty-one delegations", func(*check) []envelope.Signer { return keys(22) }, noTargets},
		{"a key that delegates to itself", func(*check) []envelope.Signer { k := keys(1); return slices.Concat(k, k) }, noTargets},
		{"a cycle", func(*check) []envelope.Signer { k := keys(2); return slices.Concat(k, k[:1]) }, noTargets},
		{"a cycle that does not begin with the first", func(*check) []envelope.Signer { k := keys(3); return slices.Concat(k, k[1:2]) }, noTargets},
	}
}

func sectionAA(s *section) {
	for _, group := range []struct {
		id    string
		tests []chainTest
		judge func(c *check, what string, a answer)
	}{
		{"AA1 good: ", goodChains(), func(c *check, what string, a answer) { c.ok(what, a) }},
		{"AA2 bad: ", badChains(), func(c *check, what string, a answer) { c.refused(what, a) }},
	} {
		for _, test := range group.tests {
			s.check(group.id+test.name, func(c *check) {
				can := c.shared(c)
				signers := test.signers(c)
				d := c.chained(signers, test.targets(can.id, c.unknown())...)
				request := func() raw { return c.raw(envelope.Call, can.id, u.Reply(u.Caller())) }
				group.judge(c, "call", request().signed(c, d).call(c))
				group.judge(c, "query", c.raw(envelope.Query, can.id, u.Reply(u.Caller())).signed(c, d).post(c))
				group.judge(c, "read_state", can.statusByChain(signers[0], d, request()))
			})
		}
	}
	for name, targets := range map[string]func(can principal.ID) ids{
		"the management canister": func(principal.ID) ids { return ids{{}} },
		"none":                    func(principal.ID) ids { return ids{} },
		"an unrelated canister":   func(principal.ID) ids { return ids{principal.Canister(5)} },
		"the managed canister":    func(can principal.ID) ids { return ids{can} },
	} {
		s.check("AA3 targets for management calls: "+name, func(c *check) {
			signers := keys(2)
			can := c.emptyOf(envelope.Keyed{Signer: signers[0]}, provisional{})
			d := c.chained(signers, targets(can.id))
			r := c.raw(envelope.Call, can.id, nil).with("canister_id", cbor.Bytes{}).with("method_name", cbor.Text("canister_status")).with("arg", cbor.Bytes(c.encode(canisterArg{can.id})))
			status := can.statusByChain(signers[0], d, r)
			if name == "the management canister" {
				c.ok("call", r.signed(c, d).call(c))
				c.ok("read_state", status)
				return
			}
			c.refused("call", r.signed(c, d).call(c))
			c.refused("read_state", status)
		})
	}
}

func sectionAB(s *section) {
	works := func(c *check, d envelope.Delegated) {
		can := c.shared(c)
		c.replies("query", c.raw(envelope.Query, can.id, u.Reply(u.Caller())).signed(c, d).post(c), d.Sender().Bytes())
		c.replies("update", c.raw(envelope.Call, can.id, u.Reply(u.Caller())).signed(c, d).call(c), d.Sender().Bytes())
	}
	for name, key := range schemes() {
		id := "AB1 "
		if name == "WebAuthn Ed25519" {
			id = "BA10 "
		}
		s.check(id+"signatures by "+name, func(c *check) {
			k := key(c)
			works(c, envelope.Delegated{PublicKey: k.PublicKey(), Signer: k})
		})
		s.check(id+"a chain of delegations by "+name, func(c *check) {
			works(c, c.chained([]envelope.Signer{key(c), key(c), key(c)}))
		})
	}
	s.check("AB1 an empty list of delegations", func(c *check) { works(c, c.chained(keys(1))) })
	s.check("AB1 three delegations", func(c *check) { works(c, c.chained(keys(4))) })
	s.check("AB1 four delegations", func(c *check) { works(c, c.chained(keys(5))) })
	s.check("AB1 delegations between schemes", func(c *check) {
		var mixed []envelope.Signer
		for _, name := range []string{"WebAuthn RSA", "Ed25519", "WebAuthn ECDSA", "ECDSA secp256k1", "ECDSA P-256"} {
			mixed = append(mixed, schemes()[name](c))
		}
		works(c, c.chained(mixed))
	})
}
