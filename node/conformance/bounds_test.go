package conformance

import (
	"fmt"
	"strings"
	"time"

	"portico/lightclient/principal"
	u "portico/node/conformance/universal"
)

// compositeLimits checks how deep, how long and how many the calls of composite queries are.
func (s *section) compositeLimits() {
	s.check("BB10 composite queries nest six deep and no deeper", func(c *check) {
		can := c.shared(c)
		nested := func(depth int) u.Program {
			p := u.Reply(u.Text("deep"))
			for range depth {
				p = u.Call{Callee: u.Self(), Method: u.Composite, Arg: u.Bytes(p), OnReject: rejectWithCode()}.Do()
			}
			return p
		}
		// the query itself is the first of the six
		c.replies("six", can.composite(nested(5)), []byte("deep"))
		c.fails("seven", decodeOutcome(can.composite(nested(6))))
	})
	s.check("BB10 composite queries have one limit of instructions together", func(c *check) {
		can := c.shared(c)
		burn := u.Call{
			Callee: u.Self(), Method: u.Query, Arg: u.Code(u.Burn(u.Int(150_000_000)), u.Reply(u.Text(""))),
			OnReply: u.Record(u.Text("+")), OnReject: u.Record(u.Text("-")),
		}
		last := u.Call{Callee: u.Self(), Method: u.Query, Arg: u.Code(u.Reply(u.Text(""))), OnReply: u.Reply(u.Global()), OnReject: u.Reply(u.Global())}
		// each takes 1.2 billion of five
		few := can.composite(u.SetGlobal(u.Text("")), burn.Do(), burn.Do(), last.Do())
		c.replies("two calls", few, []byte("++"))
		many := can.composite(u.SetGlobal(u.Text("")), burn.Do(), burn.Do(), burn.Do(), burn.Do(), burn.Do(), last.Do())
		if many.code == 0 && string(many.reply) == "+++++" {
			c.Errorf("six billion instructions were executed")
		}
	})
	s.check("BB10 composite queries make a hundred calls at most", func(c *check) {
		can := c.shared(c)
		calls := func(n uint64) answer {
			call := u.Call{Callee: u.Self(), Method: u.Query, Arg: u.Code(u.Reply(u.Text(""))), OnReply: u.Record(u.Text("+")), OnReject: u.Seq()}
			last := call
			last.OnReply, last.OnReject = u.Reply(u.Global()), u.Reply(u.Global())
			return can.composite(u.SetGlobal(u.Text("")), u.Repeat(u.Int(n), call.Do()), last.Do())
		}
		c.replies("ninety calls", calls(90), []byte(strings.Repeat("+", 90)))
		if a := calls(110); a.code == 0 && len(a.reply) >= 100 {
			c.Errorf("%d calls were made", len(a.reply))
		}
	})
}

// lateReply checks where the cycles of a bounded-wait call go that comes back too late.
func lateReply(c *check) {
	can, h := c.rich(trillions(20)), c.newHold()
	call := h.call()
	call.Timeout, call.Cycles = u.Int(1), cycles(trillion)
	call.OnReject = u.Reply(u.Concat(u.ToBytes(u.IC0("msg_reject_code")), refunded()))
	got := c.ok("the held call", can.update(call.Do()))
	equal(c, "reject code", fromLittleEndian(got[:8]), 6)
	c.exactly("refunded with the time-out", got[8:], 0)
	h.release()
	// a later call of the same caller is answered after the late reply has come
	c.shared(c).ok("another call", can.send(program(h.id, u.Reply(u.Text("")))))
	c.near("afterwards", amount(can.peek(balance())), trillions(19))
	c.near("of the callee, which accepted nothing", amount(h.peek(balance())), trillions(100))
}

// frozenHook checks that the low-memory hook waits until its canister is not frozen any more.
func frozenHook(c *check) {
	const mib = 1 << 20
	can := c.installWith([]string{u.Export("canister_on_low_wasm_memory", u.LowMemory)}, u.SetHook(u.LowMemory, u.Record(u.Text("low "))))
	version := func() uint64 {
		var got statusResult
		c.ok("canister_status", c.queryManagement(can.owner, can.id, "canister_status", canisterArg{can.id}, &got))
		return got.Version
	}
	c.ok("settings", can.set(canSettings{
		WasmMemoryLimit: optionalInt(8 * mib), WasmMemoryThresh: optionalInt(8 * mib), FreezingThreshold: optionalInt(1 << 60),
	}))
	frozen := version()
	for range 3 {
		c.shared(c).run() // some rounds
	}
	equal(c, "version while frozen", version(), frozen)
	c.ok("settings", can.set(canSettings{FreezingThreshold: optionalInt(0)}))
	c.replies("the first update afterwards", can.update(u.Record(u.Text("update")), u.Reply(u.Global())), []byte("low update"))
}

// rateLimits checks that who changes or installs too much has to wait.
func (s *section) rateLimits() {
	s.check("BB13 a canister that changed too much memory waits", func(c *check) {
		// 75 MiB may change at once, and 75,000 KiB a second
		const changed, most, perSecond = 300 << 20, 75 << 20, 75_000 << 10
		clock, can := c.install(), c.install()
		// both calls ask for the time; the second waits for what the first changed
		ask := to(clock.id, u.Query, u.Reply(u.ToBytes(u.IC0("time"))))
		first := ask
		first.OnReply = u.Seq(u.Drop(u.Fill(1, changed)), u.Reply(u.Arg()))
		before := c.later(func() answer { return can.update(first.Do()) })
		start := fromLittleEndian(c.ok("the first call", <-before))
		end := fromLittleEndian(c.ok("the second call", can.update(ask.Do())))
		if passed := time.Duration(end - start); passed.Seconds() < float64(changed-most)/perSecond {
			c.Errorf("after a change of %d bytes the next message ran %s later", changed, passed)
		}
	})
	s.check("BB13 a canister that installed too much waits", func(c *check) {
		can := c.install()
		// eight billion instructions of which each round allows two
		upgrade := func() answer { return can.deploy(upgradeMode(), c.module, u.Burn(u.Int(1_000_000_000))) }
		one := c.later(upgrade)
		answers := []answer{upgrade(), <-one}
		var limited int
		for _, a := range answers {
			if a.code != 0 {
				limited++
				c.rejects("the second upgrade", a, 2)
				equal(c, "its error code", a.errorCode, "IC0209")
			}
		}
		equal(c, "upgrades that were refused", limited, 1)
		c.await("a later upgrade", func() bool { return can.deploy(upgradeMode(), c.module).code == 0 })
	})
	s.notYet("BB13 forty billion instructions and no more", "takes minutes on a network; a test of node/execution executes as many and one more")
}

// subnetAdmins checks, on a network of its own, what subnet admins may do.
func subnetAdmins(c *check) {
	admin := newUser()
	cfg := config
	cfg.nodes, cfg.admins = 1, []principal.ID{admin.Sender()}
	other := &check{T: c.T, network: start(c.T, cfg)}
	var created canisterArg
	c.ok("create_canister", other.manage(admin, other.effective, "create_canister", createArg{}, &created))
	c.fails("create_canister by another user", other.manage(newUser(), other.effective, "create_canister", createArg{}))
	can := other.install()
	type ranges struct {
		Canisters []struct {
			Start principal.ID `candid:"start"`
			End   principal.ID `candid:"end"`
		} `candid:"canisters"`
	}
	var list ranges
	c.ok("list_canisters", other.queryManagement(admin, can.id, "list_canisters", struct{}{}, &list))
	if r := list.Canisters; len(r) != 1 || r[0].Start != created.Canister || r[0].End != can.id {
		c.Errorf("list_canisters tells %v, want %s to %s", r, created.Canister, can.id)
	}
	c.fails("list_canisters by another user", other.queryManagement(newUser(), can.id, "list_canisters", struct{}{}))
	for _, method := range []string{"canister_status", "canister_metrics", "stop_canister", "start_canister", "uninstall_code", "stop_canister", "delete_canister"} {
		if method != "canister_metrics" && method != "delete_canister" {
			c.fails(method+" by another user", other.manage(newUser(), can.id, method, canisterArg{can.id}))
		}
		c.ok(method, other.manage(admin, can.id, method, canisterArg{can.id}))
	}
	more := other.empty()
	for method, arg := range map[string]any{
		"update_settings": settingsArg{Canister: more.id}, "install_code": installArg{Mode: installMode(), Canister: more.id, Module: c.module},
		"upload_chunk": chunkArg{more.id, []byte("x")}, "take_canister_snapshot": canisterArg{more.id},
	} {
		c.fails(method+" by an admin", other.manage(admin, more.id, method, arg))
	}
	for _, found := range other.found {
		c.Errorf("%s", found)
	}
}

// adminFlags are the command line's for subnet admins.
func adminFlags(ids []principal.ID) (out []string) {
	for _, id := range ids {
		out = append(out, fmt.Sprint("--subnet-admin=", id))
	}
	return out
}
