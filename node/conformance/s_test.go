package conformance

import (
	"portico/lightclient/principal"
	u "portico/node/conformance/universal"
)

func sectionS(s *section) {
	done := u.Reply(u.Text(""))
	s.check("S1 an upgrade keeps stable memory and drops the heap", func(c *check) {
		can := c.install(u.SetGlobal(u.Text("FOO")), u.StableGrow(1), u.StableWrite(0, u.Text("BAR")))
		c.replies("heap", can.ask(u.Reply(u.Global())), []byte("FOO"))
		c.ok("upgrade", can.deploy(upgradeMode(), c.module))
		c.replies("heap", can.ask(u.Reply(u.Global())), nil)
		c.replies("stable memory", can.ask(u.Reply(u.StableRead(0, 3))), []byte("BAR"))
	})
	s.check("S1 pre_upgrade and post_upgrade pass on what they like", func(c *check) {
		can := c.install(u.SetGlobal(u.Text("FOO")), u.SetHook(u.PreUpgrade, u.StableGrow(1), u.StableWrite(0, u.Global())))
		c.ok("upgrade", can.deploy(upgradeMode(), c.module, u.SetGlobal(u.StableRead(0, 3))))
		c.replies("heap", can.ask(u.Reply(u.Global())), []byte("FOO"))
	})
	call := program(principal.Anonymous(), done)
	for name, p := range map[string]struct{ pre, post u.Program }{
		"a trap in pre_upgrade":                 {pre: u.Trap("x")},
		"a call in pre_upgrade":                 {pre: call.Do()},
		"reading the argument in pre_upgrade":   {pre: u.Drop(u.Arg())},
		"a trap in post_upgrade":                {post: u.Trap("x")},
		"a call in post_upgrade":                {post: call.Do()},
		"a reply in post_upgrade":               {post: done},
		"an unreachable in post_upgrade":        {post: u.Unreachable()},
		"stable memory out of bounds afterward": {post: u.StableWrite(1<<16, u.Text("x"))},
	} {
		s.check("S2 a failed upgrade leaves everything as it was: "+name, func(c *check) {
			can := c.install(u.SetGlobal(u.Text("FOO")), u.StableGrow(1), u.StableWrite(0, u.Text("BAR")), u.SetHook(u.PreUpgrade, u.SetGlobal(u.Text("no")), u.StableWrite(0, u.Text("no ")), p.pre))
			other := c.universal(u.Section("other", ""))
			c.rejects("upgrade", can.deploy(upgradeMode(), other, u.SetGlobal(u.Text("no")), u.StableWrite(0, u.Text("no ")), p.post), 5)
			can.hashIs("afterwards", c.module)
			c.replies("heap", can.ask(u.Reply(u.Global())), []byte("FOO"))
			c.replies("stable memory", can.ask(u.Reply(u.StableRead(0, 3))), []byte("BAR"))
		})
	}
	heartbeat := []string{u.Export("canister_heartbeat", u.Heartbeat)}
	s.check("S3 heartbeats of all canisters run", func(c *check) {
		beat := u.SetHook(u.Heartbeat, u.Record(u.Text("x")))
		a, b := c.installWith(heartbeat, beat), c.installWith(heartbeat, beat)
		beats := func(can *canister) int { return len(can.get(u.Global())) }
		for _, can := range []*canister{a, b} {
			before := beats(can)
			c.await("a heartbeat", func() bool { return beats(can) > before })
		}
	})
	s.check("S3 a heartbeat cannot reply and leaves no trace then", func(c *check) {
		can := c.installWith(heartbeat, u.SetHook(u.Heartbeat, u.SetGlobal(u.Text("beat")), u.Reply(u.Text(""))))
		can.run()
		can.run()
		c.replies("state", can.ask(u.Reply(u.Global())), nil)
	})
	s.check("S4 reinstall wipes heap and stable memory", func(c *check) {
		can := c.install(u.SetGlobal(u.Text("FOO")), u.StableGrow(1), u.StableWrite(0, u.Text("BAR")))
		c.ok("reinstall", can.deploy(reinstallMode(), c.module))
		c.replies("heap", can.ask(u.Reply(u.Global())), nil)
		equal(c, "stable size", can.number(u.IC0("stable64_size")), 0)
		can.run(u.StableGrow(1))
		c.replies("stable memory", can.ask(u.Reply(u.StableRead(0, 3))), []byte{0, 0, 0})
	})
	s.check("S4 a reinstall that traps leaves everything as it was", func(c *check) {
		can := c.install(u.SetGlobal(u.Text("FOO")), u.StableGrow(1), u.StableWrite(0, u.Text("BAR")))
		c.rejects("reinstall", can.deploy(reinstallMode(), c.universal(u.Section("other", "")), u.Trap("x")), 5)
		can.hashIs("afterwards", c.module)
		c.replies("heap", can.ask(u.Reply(u.Global())), []byte("FOO"))
		c.replies("stable memory", can.ask(u.Reply(u.StableRead(0, 3))), []byte("BAR"))
	})
}
