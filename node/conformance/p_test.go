package conformance

import (
	u "portico/node/conformance/universal"
)

func version() u.Program { return u.ToBytes(u.IC0("canister_version")) }

// versionIs checks the version that a query sees.
func (can *canister) versionIs(what string, want uint64) {
	can.Helper()
	equal(can.check, "version "+what, can.number(u.IC0("canister_version")), want)
}

func sectionP(s *section) {
	s.check("P1 the version is 0 after creation and 1 after install", func(c *check) {
		can := c.empty()
		equal(c, "created", can.status().Version, 0)
		c.ok("install", can.deploy(installMode(), c.module, u.SetGlobal(version())))
		can.versionIs("after install", 1)
		equal(c, "version in init", fromLittleEndian(can.peek(u.Global())), 1)
		c.ok("reinstall", can.deploy(reinstallMode(), c.module, u.SetGlobal(version())))
		equal(c, "version in init of reinstall", fromLittleEndian(can.peek(u.Global())), 2)
	})
	s.check("P1 the version in queries and updates", func(c *check) {
		can := c.install()
		can.versionIs("in a query", 1)
		equal(c, "version in a replicated query", fromLittleEndian(c.ok("query", can.askReplicated(u.Reply(version())))), 1)
		before := can.number(u.IC0("canister_version"))
		equal(c, "version in an update", fromLittleEndian(can.get(version())), before)
		can.versionIs("after the update", before+1)
	})
	s.check("P1 the version before and after an upgrade", func(c *check) {
		can := c.install(u.SetHook(u.PreUpgrade, u.StableGrow(1), u.StableWrite(0, version())))
		c.ok("upgrade", can.deploy(upgradeMode(), c.module, u.SetGlobal(version())))
		equal(c, "version in pre_upgrade", fromLittleEndian(can.peek(u.StableRead(0, 8))), 1)
		equal(c, "version in post_upgrade", fromLittleEndian(can.peek(u.Global())), 2)
		can.versionIs("after the upgrade", 2)
	})
	s.check("P1 the version in a heartbeat and after it", func(c *check) {
		can := c.installWith([]string{u.Export("canister_heartbeat", u.Heartbeat)}, u.SetHook(u.Heartbeat, u.SetGlobal(version())))
		seen := func() uint64 { return fromLittleEndian(can.peek(u.Global())) }
		c.await("two heartbeats", func() bool { return seen() > 2 })
		both := can.peek(u.Concat(version(), u.Global()))
		equal(c, "version after the heartbeat", fromLittleEndian(both[:8]), fromLittleEndian(both[8:])+1)
	})
	s.check("P1 the version in a timer and after it", func(c *check) {
		can := c.install(u.SetHook(u.Timer, u.SetGlobal(version())), u.Drop(timer(now())))
		c.await("the timer fires", func() bool { return len(can.peek(u.Global())) > 0 })
		equal(c, "version in the timer", fromLittleEndian(can.peek(u.Global())), 1)
		can.versionIs("after the timer", 2)
	})
	s.check("P1 the version in callbacks", func(c *check) {
		for name, callee := range map[string]u.Program{"reply": u.Reply(u.Text("")), "reject": u.Reject(u.Text(""))} {
			can, call := c.versionCall(callee)
			equal(c, "version in a "+name+" callback", fromLittleEndian(c.ok("call", can.update(call.Do()))), 2)
			can.versionIs("after the "+name+" callback", 3)
		}
		can, call := c.versionCall(u.Reply(u.Text("")))
		call.OnReply, call.OnCleanup = u.Trap("x"), u.SetGlobal(version())
		c.rejects("call", can.update(call.Do()), 5)
		equal(c, "version in cleanup", fromLittleEndian(can.peek(u.Global())), 2)
	})
	s.versionChanges()
}

// versionChanges checks what adds to the version, and what does not.
func (s *section) versionChanges() {
	s.check("P2 what is done to a canister adds one", func(c *check) {
		can := c.install()
		want := uint64(1)
		grows := func(what string, a answer) {
			c.ok(what, a)
			want++
			equal(c, "version after "+what, can.status().Version, want)
		}
		grows("update", can.update(u.Reply(u.Text(""))))
		grows("upgrade", can.deploy(upgradeMode(), c.module))
		grows("reinstall", can.deploy(reinstallMode(), c.module))
		grows("uninstall", can.control("uninstall_code"))
		grows("install", can.deploy(installMode(), c.module))
		grows("controllers", can.set(settingControllers(can.owner.Sender(), newUser().Sender())))
		grows("a setting", can.set(canSettings{FreezingThreshold: optionalInt(1_000_000)}))
	})
	s.check("P3 what fails adds nothing", func(c *check) {
		can := c.install()
		stays := func(what string, a answer) {
			c.fails(what, a)
			equal(c, "version after failed "+what, can.status().Version, 1)
		}
		trap := u.Trap("x")
		stays("update", can.update(trap))
		stays("query", can.ask(trap))
		stays("replicated query", can.askReplicated(trap))
		stays("install", can.deploy(installMode(), c.module))
		stays("reinstall", can.deploy(reinstallMode(), c.module, trap))
		stays("upgrade with a trap in post_upgrade", can.deploy(upgradeMode(), c.module, trap))
		stays("upgrade to an invalid module", can.deploy(upgradeMode(), []byte("no")))
		stays("settings", can.set(canSettings{ComputeAllocation: optionalInt(101)}))
		stays("settings by another", can.setAs(newUser(), canSettings{ComputeAllocation: optionalInt(1)}))
		stays("uninstall by another", can.manage(newUser(), can.id, "uninstall_code", canisterArg{can.id}))
		can.run(u.SetHook(u.PreUpgrade, trap))
		c.fails("upgrade with a trap in pre_upgrade", can.deploy(upgradeMode(), c.module))
		equal(c, "version after failed pre_upgrade", can.status().Version, 2)
		c.fails("init", c.empty().deploy(installMode(), c.module, trap))
	})
	s.check("P3 an init that fails adds nothing", func(c *check) {
		can := c.empty()
		c.fails("install", can.deploy(installMode(), c.module, u.Trap("x")))
		equal(c, "version", can.status().Version, 0)
	})
	s.check("P3 callbacks that fail add nothing", func(c *check) {
		can, call := c.versionCall(u.Reply(u.Text("")))
		call.OnReply = u.Trap("x")
		c.rejects("without cleanup", can.update(call.Do()), 5)
		can.versionIs("after the failed callback", 2)
		call.OnCleanup = u.Trap("y")
		c.rejects("with a failing cleanup", can.update(call.Do()), 5)
		can.versionIs("after the failed cleanup", 3)
	})
	s.check("P3 timers and heartbeats that fail add nothing", func(c *check) {
		can := c.install(u.SetHook(u.Timer, u.Trap("x")), u.Drop(timer(u.Int(1))))
		updates := uint64(0)
		c.await("the timer fires", func() bool {
			updates++
			return fromLittleEndian(can.get(u.ToBytes(timer(u.Int(1))))) != 1
		})
		can.versionIs("after a failed timer", 1+updates)
		can = c.installWith([]string{u.Export("canister_heartbeat", u.Heartbeat)}, u.SetHook(u.Heartbeat, u.Trap("x")))
		can.run()
		can.run()
		can.versionIs("after failed heartbeats", 3)
	})
}

// versionCall is a canister and a call of it whose callbacks reply with the version.
func (c *check) versionCall(callee u.Program) (*canister, u.Call) {
	c.Helper()
	call := program(c.shared(c).id, callee)
	call.OnReply, call.OnReject = u.Reply(version()), u.Reply(version())
	return c.install(), call
}
