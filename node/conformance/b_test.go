package conformance

import (
	"crypto/rand"
	"math/big"

	"portico/lightclient"
	"portico/lightclient/principal"
	u "portico/node/conformance/universal"
)

// free is a canister id of the subnet that nobody has yet.
func (c *check) free() principal.ID {
	c.Helper()
	n, err := rand.Int(rand.Reader, big.NewInt(100_000))
	c.must(err)
	index, _ := c.effective.CanisterIndex()
	return principal.Canister(index + 600_000 + n.Uint64())
}

func (c *check) subnet() principal.ID { return principal.SelfAuthenticating(c.rootKey) }

// needs that nothing so far satisfies.
const (
	needsSubnets = "needs a second subnet"
	needsKeys    = "needs threshold ECDSA, Schnorr or vetKeys"
	needsOutcall = "needs HTTPS outcalls"
)

func sectionA(s *section) {
	s.notYet("A1 the first ten canisters of the root subnet", "needs the system canisters")
	s.notYet("A2 mint_cycles works in the cycles minting canister only", "needs the system canisters")
}

func sectionB(s *section) {
	s.check("B1 a canister is created and installed", func(c *check) {
		c.replies("call", c.install().update(u.Reply(u.Text("x"))), []byte("x"))
	})
	s.check("B2 code cannot be installed where no canister is", func(c *check) {
		can := &canister{c, c.unknown(), newUser()}
		if a := can.deploy(installMode(), c.module); a.status == 0 && a.code != 3 && a.code != 5 {
			c.Errorf("want a failure, got %v", a)
		}
	})
	s.check("B3 users cannot call a subnet", func(c *check) {
		can := c.shared(c)
		m := lightclient.Message{Canister: c.subnet(), Method: "raw_rand", Arg: c.encode()}
		c.fails("with the subnet's id in the path", c.call(can.owner, m))
		m.Effective = can.id
		c.fails("with a canister's id in the path", c.call(can.owner, m))
	})
	s.notYet("B4 canisters of the root subnet address subnets", needsSubnets)
	s.notYet("B5 canisters of other subnets cannot", needsSubnets)
	s.check("B6 a canister is created with the id that was asked for", func(c *check) {
		id := c.free()
		can := &canister{c, id, newUser()}
		var got canisterArg
		c.manageOK(can.owner, id, "provisional_create_canister_with_cycles", provisional{SpecifiedID: &id}, &got)
		equal(c, "id", got.Canister, id)
		c.ok("install", can.deploy(installMode(), c.module))
		c.replies("self", can.ask(u.Reply(u.Self())), id.Bytes())
	})
	s.check("B7 an id is given once", func(c *check) {
		id, user := c.free(), newUser()
		c.manageOK(user, id, "provisional_create_canister_with_cycles", provisional{SpecifiedID: &id})
		c.rejects("the same id", c.manage(user, id, "provisional_create_canister_with_cycles", provisional{SpecifiedID: &id}), 2, 3)
		taken := c.shared(c).id
		c.rejects("the id of a canister that the subnet chose", c.manage(user, taken, "provisional_create_canister_with_cycles", provisional{SpecifiedID: &taken}), 2, 3)
	})
	s.check("B8 an id outside of the subnet's ranges is refused", func(c *check) {
		outside := principal.Canister(1 << 60)
		c.rejects("create", c.manage(newUser(), c.effective, "provisional_create_canister_with_cycles", provisional{SpecifiedID: &outside}), 4)
	})
}

func sectionsEF(s *section) {
	for _, name := range []string{
		"E1 signatures verify under the caller's key", "E2 malformed derivation paths", "E3 public keys of canisters that cannot be",
	} {
		s.notYet(name, needsKeys)
	}
	for _, name := range []string{
		"F1 unresolvable domains", "F2 unroutable addresses", "F3 GET, POST and HEAD", "F4 plain http", "F5 size of requests", "F6 max_response_bytes",
		"F7 headers count", "F8 responses of 2 MB", "F9 URLs that are no ASCII", "F10 long URLs", "F11 largest max_response_bytes", "F12 transform",
		"F13 context of the transform", "F14 missing transform", "F15 transform of another canister", "F16 size after the transform", "F17 caller of the transform",
		"F18 number of request headers", "F19 number of response headers", "F20 length of request names", "F21 length of response names",
		"F22 length of request values", "F23 length of response values", "F24 size of request headers", "F25 size of response headers", "F26 names of response headers, refunds",
	} {
		s.notYet(name, needsOutcall)
	}
}

func sectionAE(s *section) {
	s.elsewhere("AE1 hash trees", "lightclient/hashtree")
	s.elsewhere("AE2 BLS signatures", "lightclient/bls and node/crypto/bls")
	s.elsewhere("AE3 signatures of users", "node/crypto/usersig")
	s.elsewhere("AE4 stable memory", "node/state/heap and node/wasm")
}

func sectionBD(s *section) {
	s.elsewhere("BD1 verification of HTTP responses", "lightclient/asset and gateway")
	s.elsewhere("BD2 upgrade to update, streaming", "lightclient, gateway and web/e2e")
	s.elsewhere("BD3 principals and delegations of Internet Identity", "identity/canister and identity/e2e")
}
