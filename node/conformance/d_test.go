package conformance

import (
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"slices"

	"portico/lightclient"
	"portico/lightclient/principal"
	u "portico/node/conformance/universal"
)

func (c *check) gzip(b []byte) []byte {
	c.Helper()
	var out bytes.Buffer
	w := gzip.NewWriter(&out)
	_, err := w.Write(b)
	c.must(err)
	c.must(w.Close())
	return out.Bytes()
}

// hashIs checks the module hash that the status gives.
func (can *canister) hashIs(what string, module []byte) {
	can.Helper()
	hash := sha256.Sum256(module)
	if got := can.status().ModuleHash; got == nil || !slices.Equal(*got, hash[:]) {
		can.Errorf("%s: the module hash is %x, want %x", what, got, hash)
	}
}

func (can *canister) statusIs(what, want string) {
	can.Helper()
	if got := can.status().Status.String(); got != want {
		can.Errorf("%s: the canister is %s, want %s", what, got, want)
	}
}

func sectionD(s *section) {
	s.check("D1 install, reinstall and upgrade by controllers only", lifecycleByUser)
	s.check("D2 modules may be compressed and hashes are of the bytes sent", func(c *check) {
		can, packed := c.empty(), c.gzip(c.module)
		for i, module := range [][]byte{packed, c.module, packed, c.module} {
			m := mode{Reinstall: i > 0, Install: i == 0}
			c.ok("install", can.deploy(m, module))
			can.hashIs("after install", module)
			c.ok("upgrade", can.deploy(upgradeMode(), packed))
			can.hashIs("after upgrade", packed)
			c.replies("call", can.update(u.Reply(u.Text("x"))), []byte("x"))
		}
	})
	s.check("D3 an empty canister can be reinstalled", func(c *check) {
		can := c.empty()
		c.ok("reinstall", can.deploy(reinstallMode(), c.module))
		c.replies("call", can.update(u.Reply(u.Text("x"))), []byte("x"))
	})
	s.check("D4 status of an empty and of an installed canister", func(c *check) {
		can := c.empty()
		got := can.status()
		if !got.Status.Running || got.ModuleHash != nil || !slices.Equal(got.Settings.Controllers, []principal.ID{can.owner.Sender()}) {
			c.Errorf("the status of an empty canister is %+v", got)
		}
		c.ok("install", can.deploy(installMode(), c.module))
		can.hashIs("after install", c.module)
	})
	s.check("D5 stopped canisters execute nothing but upgrades", stoppedCanister)
	s.check("D6 stopping waits for open calls", stoppingWaits)
	s.check("D7 start ends a stop that waits", func(c *check) {
		can, h := c.install(), c.newHold()
		reply := can.holding(h, h.call())
		stopped := c.later(func() answer { return can.control("stop_canister") })
		c.await("the canister is stopping", func() bool { return can.status().Status.Stopping })
		c.ok("start", can.control("start_canister"))
		c.fails("the pending stop", <-stopped)
		can.statusIs("after start", "running")
		c.replies("a call", can.update(u.Reply(u.Text("x"))), []byte("x"))
		h.release()
		c.replies("the held call", <-reply, []byte(released))
		can.statusIs("after the held call", "running")
	})
	s.check("D8 only stopped canisters can be deleted", deletion)
	s.check("D9 others cannot start, stop, delete or look", func(c *check) {
		can, other := c.install(), newUser()
		for _, method := range []string{"start_canister", "stop_canister", "delete_canister", "canister_status", "uninstall_code"} {
			c.rejects(method, can.manage(other, can.id, method, canisterArg{can.id}), 3, 5)
			c.rejects(method+" by a canister", c.shared(c).through(method, canisterArg{can.id}), 3, 5)
		}
		can.statusIs("afterwards", "running")
	})
	s.check("D10 the life of a canister that a canister controls", lifecycleByCanister)
	s.check("D11 a large module passes through a canister's call", func(c *check) {
		boss := c.install()
		child := boss.child()
		large := c.universal(u.Section("large", string(bytes.Repeat([]byte("x"), 1<<20))))
		c.ok("install", boss.through("install_code", installArg{Mode: installMode(), Canister: child, Module: large}))
		c.replies("call", boss.send(program(child, u.Reply(u.Text("x")))), []byte("x"))
	})
	s.check("D12 raw_rand gives 32 bytes, others each time", func(c *check) {
		can := c.shared(c)
		var a, b []byte
		c.decode(c.ok("raw_rand", can.send(to(principal.ID{}, "raw_rand", c.encode()))), &a)
		c.decode(c.ok("raw_rand", can.send(to(principal.ID{}, "raw_rand", c.encode()))), &b)
		if len(a) != 32 || len(b) != 32 || slices.Equal(a, b) {
			c.Errorf("raw_rand gave %x and %x", a, b)
		}
	})
}

func lifecycleByUser(c *check) {
	can, other := c.install(), newUser()
	c.rejects("a second install", can.deploy(installMode(), c.module), 3, 5)
	c.ok("reinstall", can.deploy(reinstallMode(), c.module))
	c.ok("upgrade", can.deploy(upgradeMode(), c.module))
	for _, m := range []mode{installMode(), reinstallMode(), upgradeMode()} {
		c.rejects("as another user", can.deployAs(other, m, c.module), 3, 5)
	}
	c.rejects("settings by another user", can.setAs(other, settingControllers(other.Sender())), 3, 5)
	c.ok("settings", can.set(settingControllers(other.Sender())))
	c.rejects("as the old controller", can.deploy(reinstallMode(), c.module), 3, 5)
	c.ok("as the new controller", can.deployAs(other, reinstallMode(), c.module))
}

func stoppedCanister(c *check) {
	can := c.install()
	c.ok("stop", can.control("stop_canister"))
	can.statusIs("after stop", "stopped")
	c.ok("stop again", can.control("stop_canister"))
	can.statusIs("after two stops", "stopped")
	c.rejects("update", can.update(u.Reply(u.Text(""))), 5)
	c.rejects("query", can.ask(u.Reply(u.Text(""))), 5)
	c.rejects("inter-canister call", c.shared(c).send(program(can.id, u.Reply(u.Text("")))), 5)
	saveStatus := u.SetGlobal(u.ToBytes(u.IC0("canister_status")))
	c.ok("start", can.control("start_canister"))
	can.run(u.SetHook(u.PreUpgrade, u.StableGrow(1), u.StableWrite(0, u.ToBytes(u.IC0("canister_status")))))
	c.ok("stop", can.control("stop_canister"))
	c.ok("upgrade while stopped", can.deploy(upgradeMode(), c.module, saveStatus))
	can.statusIs("after upgrade", "stopped")
	c.ok("start", can.control("start_canister"))
	can.statusIs("after start", "running")
	c.ok("start again", can.control("start_canister"))
	equal(c, "status in post_upgrade", fromLittleEndian(can.get(u.Global())), 3)
	equal(c, "status in pre_upgrade", fromLittleEndian(can.get(u.StableRead(0, 8))), 3)
	equal(c, "status when running", can.number(u.IC0("canister_status")), 1)
}

func stoppingWaits(c *check) {
	can, h := c.install(), c.newHold()
	reply := can.holding(h, h.call())
	stops := []<-chan answer{c.later(func() answer { return can.control("stop_canister") })}
	c.await("the canister is stopping", func() bool { return can.status().Status.Stopping })
	stops = append(stops, c.later(func() answer { return can.control("stop_canister") }))
	c.rejects("a new call", can.update(u.Reply(u.Text(""))), 5)
	c.rejects("a new query", can.ask(u.Reply(u.Text(""))), 5)
	c.rejects("a new inter-canister call", c.shared(c).send(program(can.id, u.Reply(u.Text("")))), 5)
	can.statusIs("while the call is open", "stopping")
	for _, stop := range stops {
		c.pending("stop", stop)
	}
	c.pending("the held call", reply)
	h.release()
	c.replies("the held call", <-reply, []byte(released))
	for _, stop := range stops {
		c.ok("stop", <-stop)
	}
	can.statusIs("after the stops", "stopped")
}

func deletion(c *check) {
	can, h := c.install(), c.newHold()
	c.rejects("delete while running", can.control("delete_canister"), 5)
	reply := can.holding(h, h.call())
	stopped := c.later(func() answer { return can.control("stop_canister") })
	c.await("the canister is stopping", func() bool { return can.status().Status.Stopping })
	c.rejects("delete while stopping", can.control("delete_canister"), 5)
	h.release()
	c.ok("the held call", <-reply)
	c.ok("stop", <-stopped)
	c.ok("delete when stopped", can.control("delete_canister"))
	c.rejects("inter-canister call", c.shared(c).send(program(can.id, u.Reply(u.Text("")))), 3)
	c.rejects("query", can.ask(u.Reply(u.Text(""))), 3)
	c.fails("status", can.control("canister_status"))
	c.fails("delete", can.control("delete_canister"))
}

// child creates a canister through this one, which controls it.
func (can *canister) child() principal.ID {
	can.Helper()
	var created canisterArg
	can.decode(can.ok("create_canister", can.throughPaying("create_canister", createArg{}, creationCycles)), &created)
	return created.Canister
}

// creationCycles pays for a canister and leaves it something.
const creationCycles = 10_000_000_000_000

func lifecycleByCanister(c *check) {
	boss := c.install()
	child := boss.child()
	install := func(m mode, module []byte, id principal.ID) answer {
		return boss.through("install_code", installArg{Mode: m, Canister: id, Module: module, Arg: u.SetGlobal(u.Text("new"))})
	}
	c.ok("install", install(installMode(), c.module, child))
	c.rejects("install twice", install(installMode(), c.module, child), 3, 5)
	c.replies("state", boss.send(program(child, u.Reply(u.Global()))), []byte("new"))
	c.ok("reinstall", install(reinstallMode(), c.module, child))
	c.ok("reinstall, compressed", install(reinstallMode(), c.gzip(c.module), child))
	c.ok("upgrade", install(upgradeMode(), c.module, child))
	stranger := c.install()
	c.rejects("as the wrong canister", stranger.through("install_code", installArg{Mode: reinstallMode(), Canister: child, Module: c.module}), 3, 5)
	c.ok("settings", boss.through("update_settings", settingsArg{Canister: child, Settings: settingControllers(stranger.id)}))
	c.rejects("as the old controller", install(reinstallMode(), c.module, child), 3, 5)
	c.ok("as the new controller", stranger.through("install_code", installArg{Mode: reinstallMode(), Canister: child, Module: c.module}))
	c.ok("reinstall over empty", boss.through("install_code", installArg{Mode: reinstallMode(), Canister: boss.child(), Module: c.module}))
	c.rejects("by a user", c.call(boss.owner, lightclient.Message{Method: "canister_status", Arg: c.encode(canisterArg{child}), Effective: child}), 3, 5)
}
