package conformance

import (
	"math/big"

	"portico/lightclient/principal"
	u "portico/node/conformance/universal"
)

// trillion cycles are the unit of this section.
const trillion = 1_000_000_000_000

func trillions(n int64) *big.Int { return new(big.Int).Mul(big.NewInt(n), big.NewInt(trillion)) }

func pow2(n uint) *big.Int { return new(big.Int).Lsh(big.NewInt(1), n) }

func balance() u.Program   { return u.Get128("canister_cycle_balance128") }
func available() u.Program { return u.Get128("msg_cycles_available128") }
func refunded() u.Program  { return u.Get128("msg_cycles_refunded128") }

// accept takes up to this many cycles; its value is what was taken.
func accept(n uint64) u.Program { return u.Get128("msg_cycles_accept128", u.Int(0), u.Int(n)) }

func acceptAll() u.Program {
	return u.Get128("msg_cycles_accept128", u.Int(1<<63), u.Int(0))
}

// cycles are what a call carries.
func cycles(n uint64) u.Program { return u.Seq(u.Int(0), u.Int(n)) }

// rich makes a universal canister with a balance.
func (c *check) rich(amount *big.Int, programs ...u.Program) *canister {
	c.Helper()
	can := c.emptyOf(newUser(), provisional{Amount: &amount})
	c.ok("install", can.deploy(installMode(), c.module, programs...))
	return can
}

// near checks that an amount is at most what it was meant to be, and only fees less.
func (c *check) near(what string, got, want *big.Int) {
	c.Helper()
	fees := trillions(1)
	if got.Cmp(want) > 0 || new(big.Int).Sub(want, got).Cmp(fees) > 0 {
		c.Errorf("%s: want %v cycles less fees, got %v", what, want, got)
	}
}

func (c *check) exactly(what string, got []byte, want uint64) {
	c.Helper()
	if a := amount(got); a.Cmp(new(big.Int).SetUint64(want)) != 0 {
		c.Errorf("%s: want %d cycles, got %v", what, want, a)
	}
}

func sectionY(s *section) {
	s.check("Y1 the interfaces for 64 and 128 bits agree", func(c *check) {
		can := c.rich(trillions(100))
		both := can.peek(u.Concat(u.ToBytes(u.IC0("canister_cycle_balance")), balance()))
		if amount(both[:8]).Cmp(amount(both[8:])) != 0 {
			c.Errorf("the balances are %v and %v", amount(both[:8]), amount(both[8:]))
		}
		callee := c.shared(c)
		call := program(callee.id, u.Reply(u.Concat(u.ToBytes(u.IC0("msg_cycles_available")), available())))
		call.Cycles = cycles(trillion)
		got := c.ok("call", can.update(call.Do()))
		c.exactly("available, 64 bits", got[:8], trillion)
		c.exactly("available, 128 bits", got[8:], trillion)
		call = program(callee.id, u.Reply(u.ToBytes(u.IC0("msg_cycles_accept", u.Int(7)))))
		call.Cycles = cycles(trillion)
		call.OnReply = u.Reply(u.Concat(u.Arg(), u.ToBytes(u.IC0("msg_cycles_refunded")), refunded()))
		got = c.ok("call", can.update(call.Do()))
		c.exactly("accepted, 64 bits", got[:8], 7)
		c.exactly("refunded, 64 bits", got[8:16], trillion-7)
		c.exactly("refunded, 128 bits", got[16:], trillion-7)
	})
	s.check("Y1 64 bits that do not suffice trap", func(c *check) {
		can := c.rich(pow2(70))
		c.rejects("balance", can.ask(u.Reply(u.ToBytes(u.IC0("canister_cycle_balance")))), 5)
		c.near("128 bits", amount(can.peek(balance())), pow2(70))
		call := program(c.shared(c).id, u.Reply(u.ToBytes(u.IC0("msg_cycles_available"))))
		call.Cycles = u.Seq(u.Int(1), u.Int(0))
		c.rejects("available", can.send(call), 5)
		call = program(c.shared(c).id, u.Reply(u.Text("")))
		call.Cycles, call.OnReply = u.Seq(u.Int(1), u.Int(0)), u.Reply(u.ToBytes(u.IC0("msg_cycles_refunded")))
		c.rejects("refunded", can.update(call.Do()), 5)
	})
	s.check("Y2 balance and available cycles in all kinds of messages", func(c *check) {
		can := c.rich(trillions(100), u.SetGlobal(balance()))
		c.near("init", amount(can.peek(u.Global())), trillions(100))
		c.near("query", amount(can.peek(balance())), trillions(100))
		c.near("update", amount(can.get(balance())), trillions(100))
		c.exactly("available in an ingress update", can.get(available()), 0)
		call := program(c.shared(c).id, u.Reply(available()))
		call.Cycles, call.OnReply = cycles(trillion), u.Reply(u.Concat(u.Arg(), balance()))
		got := c.ok("call", can.update(call.Do()))
		c.exactly("available in an inter-canister update", got[:16], trillion)
		c.near("callback", amount(got[16:]), trillions(100))
		inner := u.Call{Callee: u.Self(), Method: u.Query, Arg: u.Code(u.Reply(u.Text(""))), OnReply: u.Reply(available())}
		call = program(c.shared(c).id, inner.Do())
		call.Cycles = cycles(trillion)
		c.exactly("available in a callback", c.ok("call", can.send(call)), trillion)
	})
	s.check("Y3 a callee may accept nothing, or more than there is", func(c *check) {
		can := c.rich(trillions(100))
		for name, p := range map[string]struct {
			accept u.Program
			want   uint64
		}{
			"nothing": {accept(0), 0}, "all": {accept(trillion), trillion}, "one more than all": {accept(trillion + 1), trillion},
			"an absurd amount": {acceptAll(), trillion}, "some": {accept(1234), 1234},
		} {
			call := program(c.shared(c).id, u.Reply(u.Concat(p.accept, available())))
			call.Cycles, call.OnReply = cycles(trillion), u.Reply(u.Concat(u.Arg(), refunded()))
			got := c.ok("call", can.update(call.Do()))
			c.exactly(name+": accepted", got[:16], p.want)
			c.exactly(name+": still available", got[16:32], trillion-p.want)
			c.exactly(name+": refunded", got[32:], trillion-p.want)
		}
	})
	s.check("Y4 provisional creation with an amount", func(c *check) {
		amount := trillions(7)
		c.near("7 T", c.emptyOf(newUser(), provisional{Amount: &amount}).status().Cycles, amount)
		if got := c.empty().status().Cycles; got.Sign() <= 0 {
			c.Errorf("by default there are %v cycles", got)
		}
		absurd := new(big.Int).Mul(big.NewInt(10), pow2(128))
		c.near("10·2^128", c.emptyOf(newUser(), provisional{Amount: &absurd}).status().Cycles, new(big.Int).Sub(pow2(128), big.NewInt(1)))
	})
	s.check("Y5 the status shows the cycles", func(c *check) {
		can := c.rich(trillions(50))
		c.near("status", can.status().Cycles, trillions(50))
		c.near("status by itself", can.statusThrough().Cycles, trillions(50))
	})
	s.check("Y6 the balance is right in install and upgrades", func(c *check) {
		can := c.rich(trillions(50), u.SetGlobal(balance()), u.SetHook(u.PreUpgrade, u.StableGrow(1), u.StableWrite(0, balance())))
		c.near("init", amount(can.peek(u.Global())), trillions(50))
		c.ok("upgrade", can.deploy(upgradeMode(), c.module, u.SetGlobal(balance())))
		c.near("pre_upgrade", amount(can.peek(u.StableRead(0, 16))), trillions(50))
		c.near("post_upgrade", amount(can.peek(u.Global())), trillions(50))
	})
	s.transfers()
	s.cyclesOfManagement()
}

// transfers checks the cycles of calls between canisters.
func (s *section) transfers() {
	s.check("Y7 a quarter of the balance moves exactly", func(c *check) {
		can, callee := c.rich(trillions(40)), c.rich(trillions(40))
		call := program(callee.id, u.Reply(acceptAll()))
		call.Cycles, call.OnReply = cycles(10*trillion), u.Reply(u.Concat(u.Arg(), refunded()))
		got := c.ok("call", can.update(call.Do()))
		c.exactly("accepted", got[:16], 10*trillion)
		c.exactly("refunded", got[16:], 0)
		c.near("the sender's balance", amount(can.peek(balance())), trillions(30))
		c.near("the receiver's balance", amount(callee.peek(balance())), trillions(50))
	})
	s.check("Y8 a canister cannot send more than it has", func(c *check) {
		can := c.rich(trillions(10))
		call := program(c.shared(c).id, u.Reply(u.Text("")))
		call.Cycles = cycles(11 * trillion)
		c.rejects("more than the balance", can.update(call.Do()), 2, 5) // the replicas of the Internet Computer say IC0207
		call.Cycles = u.Seq(u.Int(1<<63), u.Int(0))
		c.rejects("an absurd amount", can.update(call.Do()), 2, 5)
		c.near("the balance", amount(can.peek(balance())), trillions(10))
	})
	s.check("Y9 cycles can be passed on once they are accepted", func(c *check) {
		can, relay, last := c.rich(trillions(100)), c.rich(trillions(10)), c.rich(trillions(10))
		onward := program(last.id, u.Reply(acceptAll()))
		onward.Cycles = cycles(50 * trillion)
		call := program(relay.id, onward.Do())
		call.Cycles, call.OnReject = cycles(60*trillion), u.Reply(refunded())
		c.exactly("refunded when the relay trapped", c.ok("call", can.update(call.Do())), 60*trillion)
		call = program(relay.id, u.Drop(accept(60*trillion)), onward.Do())
		call.Cycles = cycles(60 * trillion)
		c.exactly("passed on", c.ok("call", can.send(call)), 50*trillion)
		c.near("the last balance", amount(last.peek(balance())), trillions(60))
		c.near("the relay's balance", amount(relay.peek(balance())), trillions(20))
	})
	s.check("Y10 a call that is not made gives its cycles back", func(c *check) {
		can := c.rich(trillions(20))
		call := program(c.shared(c).id, u.Reply(u.Text("")))
		begun := u.Seq(call.New(), u.IC0("call_cycles_add128", cycles(10*trillion)))
		got := can.get(u.Seq(begun, u.Concat(balance(), u.Seq(call.New(), balance()))))
		c.near("while the call is built", amount(got[:16]), trillions(10))
		c.near("after another call_new", amount(got[16:]), trillions(20))
		can.run(begun)
		c.near("after a message that ended without the call", amount(can.peek(balance())), trillions(20))
	})
	s.check("Y11 what is not accepted is refunded", func(c *check) {
		can := c.rich(trillions(20))
		for _, answer := range []u.Program{u.Reply(u.Text("")), u.Reject(u.Text(""))} {
			call := program(c.shared(c).id, u.Drop(accept(4*trillion)), answer)
			call.Cycles, call.OnReply, call.OnReject = cycles(5*trillion), u.Reply(refunded()), u.Reply(refunded())
			c.exactly("refunded", c.ok("call", can.update(call.Do())), trillion)
		}
		c.near("the balance", amount(can.peek(balance())), trillions(12))
	})
	s.check("Y12 cycles in transit are not in the balance", func(c *check) {
		can, h := c.rich(trillions(40)), c.newHold()
		call := h.call()
		call.Cycles = cycles(20 * trillion)
		reply := can.holding(h, call)
		c.near("while the call is held", amount(can.peek(balance())), trillions(20))
		h.release()
		c.ok("the held call", <-reply)
		c.near("afterwards", amount(can.peek(balance())), trillions(40))
	})
}

// statusThrough is the canister's status as it asks itself.
func (can *canister) statusThrough() (s statusResult) {
	can.Helper()
	can.decode(can.ok("canister_status", can.through("canister_status", canisterArg{can.id})), &s)
	return s
}

// paid calls the management canister and gives what was refunded and the reply.
func (can *canister) paid(method string, arg any, n uint64) (refund []byte, reply []byte) {
	can.Helper()
	call := to(principal.ID{}, method, can.encode(arg))
	call.Cycles, call.OnReply, call.OnReject = cycles(n), u.Reply(u.Concat(refunded(), u.Arg())), u.Reply(refunded())
	got := can.ok(method, can.update(call.Do()))
	return got[:16], got[16:]
}

func (s *section) cyclesOfManagement() {
	s.check("Y13 canisters are created with the cycles of the call", func(c *check) {
		can := c.rich(trillions(40))
		refund, reply := can.paid("create_canister", createArg{}, 20*trillion)
		var child canisterArg
		c.decode(reply, &child)
		c.exactly("refunded", refund, 0)
		var got statusResult
		c.decode(c.ok("status", can.through("canister_status", child)), &got)
		c.near("the child's balance", got.Cycles, trillions(20))
		c.ok("stop", can.through("stop_canister", child))
		refund, _ = can.paid("delete_canister", child, 3*trillion)
		c.exactly("refunded by delete", refund, 3*trillion)
	})
	s.check("Y13 too few cycles create nothing and come back", func(c *check) {
		can := c.rich(trillions(40))
		refund, reply := can.paid("create_canister", createArg{}, 1000)
		c.exactly("refunded", refund, 1000)
		equal(c, "length of the reply", len(reply), 0)
	})
	s.check("Y14 anybody may deposit cycles in a canister that exists", func(c *check) {
		can, child := c.rich(trillions(40)), c.emptyOf(newUser(), provisional{Amount: optional(trillions(1))})
		refund, _ := can.paid("deposit_cycles", canisterArg{child.id}, 5*trillion)
		c.exactly("refunded", refund, 0)
		c.near("the balance", child.status().Cycles, trillions(6))
		refund, _ = can.paid("deposit_cycles", canisterArg{c.unknown()}, 5*trillion)
		c.exactly("refunded for a missing canister", refund, 5*trillion)
	})
	s.check("Y15 refunds of two steps add up", func(c *check) {
		can, middle, last := c.rich(trillions(40)), c.rich(trillions(10)), c.rich(trillions(10))
		onward := program(last.id, u.Reply(accept(3*trillion)))
		onward.Cycles = cycles(5 * trillion)
		onward.OnReply = u.Reply(u.Concat(refunded(), available()))
		call := program(middle.id, u.Drop(accept(6*trillion)), onward.Do())
		call.Cycles, call.OnReply = cycles(10*trillion), u.Reply(u.Concat(u.Arg(), refunded()))
		got := c.ok("call", can.update(call.Do()))
		c.exactly("refunded to the middle", got[:16], 2*trillion)
		c.exactly("still available in the middle", got[16:32], 4*trillion)
		c.exactly("refunded to the first", got[32:], 4*trillion)
		c.near("the first balance", amount(can.peek(balance())), trillions(34))
		c.near("the middle balance", amount(middle.peek(balance())), trillions(13))
		c.near("the last balance", amount(last.peek(balance())), trillions(13))
	})
	s.check("Y16 provisional top-ups", func(c *check) {
		can := c.rich(trillions(10))
		c.ok("by a user", can.manage(newUser(), can.id, "provisional_top_up_canister", topUpArg{can.id, trillions(10)}))
		c.ok("by itself", can.through("provisional_top_up_canister", topUpArg{can.id, trillions(10)}))
		c.ok("by another", c.shared(c).through("provisional_top_up_canister", topUpArg{can.id, trillions(10)}))
		c.near("the balance", can.status().Cycles, trillions(40))
		c.fails("of a missing canister", c.shared(c).through("provisional_top_up_canister", topUpArg{c.unknown(), trillions(10)}))
		c.ok("beyond 2^128", can.manage(can.owner, can.id, "provisional_top_up_canister", topUpArg{can.id, new(big.Int).Mul(big.NewInt(10), pow2(128))}))
		c.near("the full balance", can.status().Cycles, new(big.Int).Sub(pow2(128), big.NewInt(1)))
	})
}
