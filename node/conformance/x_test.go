package conformance

import (
	u "portico/node/conformance/universal"
)

// certify sets the certified data.
func certify(text string) u.Program { return u.IC0("certified_data_set", u.Split(u.Text(text))) }

func sectionX(s *section) {
	present := u.Reply(u.ToBytes(u.IC0("data_certificate_present")))
	s.check("X1 certified data is empty at first", func(c *check) {
		c.install().certifies("at first", nil)
	})
	s.check("X2 the certificate verifies and has the data", func(c *check) {
		can := c.install()
		can.run(certify("FOO"))
		can.certifies("afterwards", []byte("FOO"))
	})
	s.check("X3 a certificate is present in query calls only", func(c *check) {
		can := c.install()
		is := func(what string, a answer, want uint64) {
			c.Helper()
			equal(c, what, fromLittleEndian(c.ok(what, a)), want)
		}
		is("query", can.ask(present), 1)
		is("composite query", can.composite(present), 1)
		is("replicated query", can.askReplicated(present), 0)
		is("update", can.update(present), 0)
		is("inter-canister update", c.shared(c).send(program(can.id, present)), 0)
		is("inter-canister query", c.shared(c).send(to(can.id, u.Query, present)), 0)
		c.rejects("reading it in an update", can.update(u.Reply(u.Get("data_certificate"))), 5)
	})
	s.check("X4 the last data that was set without a trap counts", func(c *check) {
		can := c.install()
		can.run(certify("FOO"))
		can.certifies("one", []byte("FOO"))
		can.run(certify("FOO"), certify("BAR"))
		can.certifies("two in a message", []byte("BAR"))
		c.rejects("trap", can.update(certify("no"), u.Trap("x")), 5)
		can.certifies("after a trap", []byte("BAR"))
		const tooLong = "123456789012345678901234567890123"
		c.rejects("33 bytes", can.update(certify(tooLong), u.Reply(u.Text(""))), 5)
		can.certifies("after 33 bytes", []byte("BAR"))
		can.run(certify(tooLong[1:]))
		can.certifies("32 bytes", []byte(tooLong[1:]))
		can.run(certify(""))
		can.certifies("nothing", nil)
	})
	s.check("X5 certified data can be set in init and upgrades", func(c *check) {
		can := c.install(certify("INIT"), u.SetHook(u.PreUpgrade, certify("PRE")))
		can.certifies("init", []byte("INIT"))
		c.ok("upgrade", can.deploy(upgradeMode(), c.module))
		can.certifies("pre_upgrade", []byte("PRE"))
		c.ok("upgrade", can.deploy(upgradeMode(), c.module, certify("POST")))
		can.certifies("post_upgrade", []byte("POST"))
		c.ok("upgrade", can.deploy(upgradeMode(), c.module))
		can.certifies("an upgrade that sets nothing", []byte("POST"))
	})
	s.check("X6 reinstall and uninstall clear certified data", func(c *check) {
		can := c.install(certify("FOO"))
		c.ok("reinstall", can.deploy(reinstallMode(), c.module))
		can.certifies("reinstall", nil)
		can.run(certify("FOO"))
		c.ok("uninstall", can.control("uninstall_code"))
		c.ok("install", can.deploy(installMode(), c.module))
		can.certifies("uninstall", nil)
	})
}
