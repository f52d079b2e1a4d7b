package conformance

import (
	"crypto/sha256"
	"fmt"
	"slices"

	"portico/lightclient"
	"portico/lightclient/principal"
	u "portico/node/conformance/universal"
)

// maxHistory is how many entries of a canister's history are kept, at least.
const maxHistory = 20

// history asks for a canister's history through another canister.
func (can *canister) history(requested *uint64) (out infoResult) {
	can.Helper()
	return can.historyOf(can.id, requested)
}

func (c *check) historyOf(id principal.ID, requested *uint64) (out infoResult) {
	c.Helper()
	c.decode(c.ok("canister_info", c.shared(c).through("canister_info", infoArg{id, requested})), &out)
	return out
}

func all() *uint64 {
	n := uint64(100)
	return &n
}

// summary names an entry in one line.
func (e change) summary() string {
	switch d := e.Details; {
	case d.Creation != nil:
		return fmt.Sprintf("creation %v", sorted(d.Creation.Controllers))
	case d.Uninstall:
		return "uninstall"
	case d.Controllers != nil:
		return fmt.Sprintf("controllers %v", sorted(d.Controllers.Controllers))
	case d.Deployment != nil:
		m := d.Deployment.Mode
		name := map[bool]string{m.Install: "install", m.Reinstall: "reinstall", m.Upgrade: "upgrade"}[true]
		return fmt.Sprintf("%s %x", name, d.Deployment.ModuleHash)
	default:
		return "something else"
	}
}

func (c *check) historyIs(got infoResult, want ...string) {
	c.Helper()
	var names []string
	for _, e := range got.Recent {
		names = append(names, e.summary())
	}
	if !slices.Equal(names, want) {
		c.Errorf("the history is %q, want %q", names, want)
	}
	if !slices.IsSortedFunc(got.Recent, func(a, b change) int { return int(int64(a.Time - b.Time)) }) {
		c.Errorf("the entries are not ordered by time")
	}
}

func sectionQ(s *section) {
	s.check("Q1 creation, install, reinstall and upgrade are recorded", func(c *check) {
		can := c.empty()
		packed := c.gzip(c.module)
		c.ok("install", can.deploy(installMode(), c.module))
		c.ok("reinstall", can.deploy(reinstallMode(), packed))
		c.ok("upgrade", can.deploy(upgradeMode(), c.module))
		owner := []principal.ID{can.owner.Sender()}
		raw, zipped := sha256.Sum256(c.module), sha256.Sum256(packed)
		got := can.history(all())
		c.historyIs(got, fmt.Sprintf("creation %v", owner), fmt.Sprintf("install %x", raw), fmt.Sprintf("reinstall %x", zipped), fmt.Sprintf("upgrade %x", raw))
		equal(c, "total", got.Total, 4)
		if got.ModuleHash == nil || !slices.Equal(*got.ModuleHash, raw[:]) || !slices.Equal(got.Controllers, owner) {
			c.Errorf("the present state is given as %x, %v", got.ModuleHash, got.Controllers)
		}
		for i, e := range got.Recent {
			equal(c, "version of entry", e.Version, uint64(i))
			if e.Origin.User == nil || e.Origin.User.User != can.owner.Sender() {
				c.Errorf("the origin of entry %d is %+v", i, e.Origin)
			}
		}
	})
	s.check("Q2 uninstall is recorded", func(c *check) {
		can := c.install()
		c.ok("uninstall", can.control("uninstall_code"))
		got := can.history(all())
		equal(c, "total", got.Total, 3)
		equal(c, "last entry", got.Recent[len(got.Recent)-1].summary(), "uninstall")
		if got.ModuleHash != nil {
			c.Errorf("there is still a module hash")
		}
	})
	s.check("Q3 changes of controllers are recorded", func(c *check) {
		can, other := c.empty(), newUser().Sender()
		owner := can.owner.Sender()
		c.ok("settings", can.set(settingControllers(owner, other, owner)))
		got := can.history(all())
		c.historyIs(got, fmt.Sprintf("creation %v", []principal.ID{owner}), fmt.Sprintf("controllers %v", sorted([]principal.ID{owner, other})))
	})
	s.historyRules()
}

// historyRules checks how much is kept, and of whom.
func (s *section) historyRules() {
	s.check("Q4 the last entries are kept and all are counted", func(c *check) {
		can := c.empty()
		const changes = 24
		for range changes {
			c.ok("install", can.deploy(reinstallMode(), c.module))
		}
		got := can.history(all())
		equal(c, "total", got.Total, changes+1)
		if len(got.Recent) < maxHistory {
			c.Errorf("only %d entries are kept", len(got.Recent))
		}
		equal(c, "version of the last", got.Recent[len(got.Recent)-1].Version, changes)
	})
	s.check("Q5 the origin of what a canister did", func(c *check) {
		boss := c.install()
		child := boss.child()
		install := installArg{Mode: installMode(), Canister: child, Module: c.module}
		c.ok("install", boss.through("install_code", install))
		v := boss.number(u.IC0("canister_version"))
		install.Mode, install.SenderVersion = reinstallMode(), &v
		c.ok("reinstall", boss.through("install_code", install))
		got := c.historyOf(child, all())
		for i, want := range []*uint64{nil, nil, &v} {
			from := got.Recent[i].Origin.Canister
			if from == nil || from.Canister != boss.id || (from.Version == nil) != (want == nil) || want != nil && *from.Version != *want {
				c.Errorf("the origin of entry %d is %+v", i, got.Recent[i].Origin)
			}
		}
	})
	s.check("Q6 other settings are not recorded but count as versions", func(c *check) {
		can := c.empty()
		c.ok("settings", can.set(canSettings{FreezingThreshold: optionalInt(1_000_000)}))
		equal(c, "total", can.history(all()).Total, 1)
		equal(c, "version", can.status().Version, 1)
	})
	s.check("Q7 a wrong sender_canister_version is refused", func(c *check) {
		boss := c.install()
		child := boss.child()
		for _, off := range []uint64{1, ^uint64(0)} {
			v := boss.number(u.IC0("canister_version")) + off
			c.rejects("install_code", boss.through("install_code", installArg{Mode: installMode(), Canister: child, Module: c.module, SenderVersion: &v}), 5)
			v = boss.number(u.IC0("canister_version")) + off
			c.rejects("create_canister", boss.throughPaying("create_canister", createArg{SenderVersion: &v}, creationCycles), 5)
			v = boss.number(u.IC0("canister_version")) + off
			c.rejects("update_settings", boss.through("update_settings", settingsArg{Canister: child, SenderVersion: &v}), 5)
			v = boss.number(u.IC0("canister_version")) + off
			c.rejects("uninstall_code", boss.through("uninstall_code", versionedArg{child, &v}), 5)
		}
	})
	s.check("Q8 users cannot ask for the history", func(c *check) {
		can := c.empty()
		c.rejects("canister_info", c.call(can.owner, lightclient.Message{Method: "canister_info", Arg: c.encode(infoArg{can.id, all()}), Effective: can.id}), 4)
	})
	s.check("Q9 as many entries are given as were asked for", func(c *check) {
		can := c.install()
		for _, n := range []uint64{0, 1, 2, 3, 20} {
			got := can.history(&n)
			equal(c, "entries", len(got.Recent), int(min(n, 2)))
			equal(c, "total", got.Total, 2)
		}
		equal(c, "entries if nothing is said", len(can.history(nil).Recent), 0)
	})
}

func sectionR(s *section) {
	isController := func(id []byte) u.Program {
		return u.ToBytes(u.IC0("is_controller", u.Split(u.Bytes(id))))
	}
	s.check("R1 is_controller tells controllers from others", func(c *check) {
		can := c.install()
		equal(c, "the owner", fromLittleEndian(can.get(isController(can.owner.Sender().Bytes()))), 1)
		equal(c, "the owner, in a query", fromLittleEndian(can.peek(isController(can.owner.Sender().Bytes()))), 1)
		equal(c, "another", fromLittleEndian(can.get(isController(newUser().Sender().Bytes()))), 0)
		equal(c, "itself", fromLittleEndian(can.get(isController(can.id.Bytes()))), 0)
	})
	s.check("R2 any principal may be asked about", func(c *check) {
		for _, id := range [][]byte{{}, {4}, make([]byte, principal.MaxLen)} {
			equal(c, "is_controller", fromLittleEndian(c.shared(c).get(isController(id))), 0)
		}
	})
	s.check("R3 what is too long for a principal traps", func(c *check) {
		c.rejects("is_controller", c.shared(c).update(u.Reply(isController(make([]byte, principal.MaxLen+1)))), 5)
	})
}
