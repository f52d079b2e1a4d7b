package conformance

import (
	"time"

	u "portico/node/conformance/universal"
)

// timer sets the global timer; its value is the old one.
func timer(at u.Program) u.Program { return u.IC0("global_timer_set", at) }

func now() u.Program { return u.IC0("time") }

// inAnHour is later than any check ends.
func inAnHour() u.Program { return u.Add(now(), u.Int(uint64(time.Hour))) }

// wound makes a canister whose timer appends to its global. What programs do is part
// of its installation.
func (c *check) wound(programs ...u.Program) *canister {
	c.Helper()
	return c.install(append([]u.Program{onTimer()}, programs...)...)
}

func onTimer() u.Program { return u.SetHook(u.Timer, u.Record(u.Text("fired "))) }

// fires waits until the timer has fired.
func (can *canister) fires(times string) {
	can.Helper()
	can.await("the timer fires", func() bool { return string(can.get(u.Global())) == times })
}

// timerIs checks what the timer is set to, and clears it.
func (can *canister) timerIs(what string, want uint64) {
	can.Helper()
	equal(can.check, what, fromLittleEndian(can.get(u.ToBytes(timer(u.Int(0))))), want)
}

// aside is a time that never comes.
const aside = 1 << 62

func sectionO(s *section) {
	s.check("O1 time is that of the world", func(c *check) {
		can := c.install(u.SetGlobal(u.ToBytes(now())), u.SetHook(u.PreUpgrade, u.StableGrow(1), u.StableWrite(0, u.ToBytes(now()))))
		sensible := func(where string, b []byte) {
			if off := time.Since(time.Unix(0, int64(fromLittleEndian(b)))).Abs(); off > 3*time.Minute {
				c.Errorf("time in %s is off by %v", where, off)
			}
		}
		sensible("init", can.get(u.Global()))
		sensible("query", can.peek(u.ToBytes(now())))
		sensible("update", can.get(u.ToBytes(now())))
		c.ok("upgrade", can.deploy(upgradeMode(), c.module, u.SetGlobal(u.ToBytes(now()))))
		sensible("post_upgrade", can.get(u.Global()))
		sensible("pre_upgrade", can.get(u.StableRead(0, 8)))
	})
	s.check("O2 setting the timer gives the old value", func(c *check) {
		can := c.install()
		equal(c, "at first", fromLittleEndian(can.get(u.ToBytes(timer(u.Int(aside))))), 0)
		equal(c, "afterwards", fromLittleEndian(can.get(u.ToBytes(timer(u.Int(aside+1))))), aside)
		equal(c, "twice in a message", fromLittleEndian(can.get(u.ToBytes(u.Seq(u.Drop(timer(u.Int(7*aside/8))), timer(u.Int(aside)))))), 7*aside/8)
	})
	s.check("O2 a timer set in an update fires once", func(c *check) {
		can := c.wound()
		can.run(u.Drop(timer(now())))
		can.fires("fired ")
		can.timerIs("after firing", 0)
	})
	s.check("O2 a timer set in init fires", func(c *check) {
		c.wound(u.Drop(timer(now()))).fires("fired ")
	})
	s.check("O2 a timer set in pre_upgrade is cleared", func(c *check) {
		can := c.install(u.SetHook(u.PreUpgrade, u.Drop(timer(u.Int(aside)))))
		c.ok("upgrade", can.deploy(upgradeMode(), c.module))
		can.timerIs("after the upgrade", 0)
	})
	s.check("O2 a timer set in post_upgrade fires", func(c *check) {
		can := c.install()
		c.ok("upgrade", can.deploy(upgradeMode(), c.module, onTimer(), u.Drop(timer(now()))))
		can.fires("fired ")
	})
	s.check("O2 a timer set while the canister is stopped fires after the start", func(c *check) {
		can := c.install()
		c.ok("stop", can.control("stop_canister"))
		c.ok("upgrade", can.deploy(upgradeMode(), c.module, onTimer(), u.Drop(timer(now()))))
		c.ok("start", can.control("start_canister"))
		can.fires("fired ")
	})
	s.check("O2 a timer set while the canister is stopping fires after the start", func(c *check) {
		can, h := c.wound(), c.newHold()
		call := h.call()
		call.OnReply = u.Seq(u.Drop(timer(now())), u.Reply(u.Text("")))
		reply := can.holding(h, call)
		stopped := c.later(func() answer { return can.control("stop_canister") })
		c.await("the canister is stopping", func() bool { return can.status().Status.Stopping })
		h.release()
		c.ok("the held call", <-reply)
		c.ok("stop", <-stopped)
		c.ok("start", can.control("start_canister"))
		can.fires("fired ")
	})
	s.check("O2 a timer can set the timer", func(c *check) {
		again := u.If(u.Equal(u.ToInt(u.Global()), u.Int(0)), u.Drop(timer(now())), nil)
		can := c.install(u.SetHook(u.Timer, again, u.Record(u.Text("fired "))), u.Drop(timer(now())))
		can.fires("fired fired ")
		can.timerIs("at the end", 0)
	})
	s.timerRules()
}

// timerRules checks when a timer fires, and when it is cleared.
func (s *section) timerRules() {
	s.check("O3 the value 0 deactivates the timer", func(c *check) {
		can := c.wound(u.Drop(timer(u.Add(now(), u.Int(uint64(time.Second))))))
		can.run(u.Drop(timer(u.Int(0))))
		begin := fromLittleEndian(can.get(u.ToBytes(now())))
		c.await("the time of the timer passes", func() bool {
			return fromLittleEndian(can.get(u.ToBytes(now()))) > begin+uint64(time.Second)
		})
		c.replies("what fired", can.ask(u.Reply(u.Global())), nil)
	})
	s.check("O4 a timer far in the past fires", func(c *check) {
		c.wound(u.Drop(timer(u.Int(1)))).fires("fired ")
	})
	s.check("O5 a timer for now fires", func(c *check) {
		c.wound(u.Drop(timer(now()))).fires("fired ")
	})
	s.check("O6 the timer survives stop and start", func(c *check) {
		can := c.install(u.Drop(timer(u.Int(aside))))
		c.ok("stop", can.control("stop_canister"))
		c.ok("start", can.control("start_canister"))
		can.timerIs("after the start", aside)
		can = c.wound(u.Drop(timer(inAnHour())))
		c.ok("stop", can.control("stop_canister"))
		c.ok("start", can.control("start_canister"))
		can.run(u.Drop(timer(now())))
		can.fires("fired ")
	})
	s.check("O7 the timer is cleared with the code", func(c *check) {
		can := c.empty()
		set := u.Drop(timer(u.Int(aside)))
		c.ok("install", can.deploy(installMode(), c.module, set))
		c.ok("upgrade", can.deploy(upgradeMode(), c.module))
		can.timerIs("after upgrade", 0)
		can.run(set)
		c.ok("reinstall", can.deploy(reinstallMode(), c.module))
		can.timerIs("after reinstall", 0)
		can.run(set)
		c.ok("uninstall", can.control("uninstall_code"))
		c.ok("install", can.deploy(installMode(), c.module))
		can.timerIs("after uninstall and install", 0)
	})
}
