package conformance

import (
	"math/big"
	"slices"

	"portico/lightclient/principal"
	u "portico/node/conformance/universal"
)

// sorted orders principals, to compare sets.
func sorted(ids []principal.ID) []principal.ID {
	out := slices.Clone(ids)
	slices.SortFunc(out, principal.ID.Compare)
	return out
}

func sameSet(a, b []principal.ID) bool { return slices.Equal(sorted(a), sorted(b)) }

func users(n int) (ids []principal.ID) {
	for range n {
		ids = append(ids, newUser().Sender())
	}
	return ids
}

// maxControllers is how many controllers a canister may have.
const maxControllers = 10

func sectionH(s *section) {
	s.check("H1 a canister may read its own status", func(c *check) {
		can := c.install()
		var got statusResult
		c.decode(c.ok("canister_status", can.through("canister_status", canisterArg{can.id})), &got)
		equal(c, "controllers", len(got.Settings.Controllers), 1)
	})
	s.check("H2 replacing the controllers moves the right to change them", func(c *check) {
		can, heir := c.empty(), newUser()
		c.ok("settings", can.set(settingControllers(heir.Sender())))
		c.rejects("status for the old controller", can.control("canister_status"), 3, 5)
		c.rejects("settings by the old controller", can.set(settingControllers(can.owner.Sender())), 3, 5)
		c.ok("settings by the new controller", can.setAs(heir, settingControllers(can.owner.Sender())))
		c.ok("status for the first controller again", can.control("canister_status"))
	})
	s.check("H3 a canister may have several controllers", func(c *check) {
		a, b := newUser(), newUser()
		set := settingControllers(a.Sender(), b.Sender())
		can := c.emptyOf(a, provisional{Settings: &set})
		for _, user := range []userIdentity{a, b} {
			c.ok("status", can.manage(user, can.id, "canister_status", canisterArg{can.id}))
		}
		boss := c.install()
		set = settingControllers(boss.id, b.Sender())
		var created canisterArg
		c.decode(c.ok("create", boss.throughPaying("create_canister", createArg{Settings: &set}, creationCycles)), &created)
		c.ok("status for the user", c.manage(b, created.Canister, "canister_status", created))
		c.ok("status for the canister", boss.through("canister_status", created))
	})
	s.check("H4 eleven controllers are too many", func(c *check) {
		can := c.empty()
		tooMany := settingControllers(users(maxControllers + 1)...)
		c.fails("settings", can.set(tooMany))
		c.fails("provisional create", c.manage(can.owner, c.effective, "provisional_create_canister_with_cycles", provisional{Settings: &tooMany}))
		c.fails("create", c.shared(c).throughPaying("create_canister", createArg{Settings: &tooMany}, creationCycles))
		c.ok("ten", can.set(settingControllers(append(users(maxControllers-1), can.owner.Sender())...)))
	})
	s.check("H5 without controllers nobody may do anything", func(c *check) {
		can := c.install()
		c.ok("settings", can.set(settingControllers()))
		c.rejects("status", can.control("canister_status"), 3, 5)
		c.rejects("settings", can.set(settingControllers(can.owner.Sender())), 3, 5)
		c.rejects("upgrade", can.deploy(upgradeMode(), c.module), 3, 5)
		c.replies("it still runs", can.update(u.Reply(u.Text("x"))), []byte("x"))
	})
	s.check("H6 a canister may be its own controller", func(c *check) {
		can := c.install()
		c.ok("settings", can.set(settingControllers(can.id)))
		c.ok("settings by itself", can.through("update_settings", settingsArg{Canister: can.id, Settings: settingControllers(can.id, can.owner.Sender())}))
		equal(c, "controllers", len(can.status().Settings.Controllers), 2)
	})
	s.check("H7 controllers given twice count once", func(c *check) {
		can, other := c.empty(), newUser().Sender()
		owner := can.owner.Sender()
		c.ok("settings", can.set(settingControllers(owner, other, owner, other, other)))
		if got := can.status().Settings.Controllers; !sameSet(got, []principal.ID{owner, other}) {
			c.Errorf("the controllers are %v", got)
		}
		many := slices.Repeat([]principal.ID{owner}, maxControllers+1)
		if a := can.set(settingControllers(many...)); a.code == 0 && len(can.status().Settings.Controllers) != 1 {
			c.Errorf("one controller eleven times is not one: %v", a)
		}
	})
	s.allocations()
}

// allocations checks settings that are numbers.
func (s *section) allocations() {
	s.check("H8 allocations are reported as they were set", func(c *check) {
		can := c.empty()
		c.ok("settings", can.set(canSettings{
			ComputeAllocation: optionalInt(1), MemoryAllocation: optionalInt(1 << 20), FreezingThreshold: optionalInt(1_000_000),
		}))
		got := can.status().Settings
		equal(c, "compute allocation", got.ComputeAllocation.Int64(), 1)
		equal(c, "memory allocation", got.MemoryAllocation.Int64(), 1<<20)
		equal(c, "freezing threshold", got.FreezingThreshold.Int64(), 1_000_000)
	})
	tooMuch := new(big.Int).Lsh(big.NewInt(1), 64)
	for name, set := range map[string]canSettings{
		"compute allocation 101":    {ComputeAllocation: optionalInt(101)},
		"memory allocation 2^64":    {MemoryAllocation: optional(tooMuch)},
		"freezing threshold 2^64":   {FreezingThreshold: optional(tooMuch)},
		"reserved limit 2^128":      {ReservedLimit: optional(new(big.Int).Lsh(big.NewInt(1), 128))},
		"wasm memory limit 2^48 +1": {WasmMemoryLimit: optionalInt(1<<48 + 1)},
	} {
		s.check("H9 invalid settings fail: "+name, func(c *check) {
			can := c.empty()
			c.fails("settings", can.set(set))
			c.fails("provisional create", c.manage(can.owner, c.effective, "provisional_create_canister_with_cycles", provisional{Settings: &set}))
			c.fails("create", c.shared(c).throughPaying("create_canister", createArg{Settings: &set}, creationCycles))
		})
	}
}
