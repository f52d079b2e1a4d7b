package conformance

import (
	"bytes"

	"portico/lightclient/envelope"
	u "portico/node/conformance/universal"
)

// Limits of messages (interface specification and the resource limits of the Internet
// Computer's documentation).
const (
	maxReplyBytes      = 2 << 20
	maxQueryReplyBytes = 3 << 20
	maxIngressBytes    = 7 << 19 // on the root subnet; two MiB are enough elsewhere
	maxQueued          = 500     // calls from one canister to another
	maxMethodBytes     = 20_000
)

func (s *section) limits() {
	s.check("BA4 replies have a largest size", func(c *check) {
		can := c.shared(c)
		sized := func(n uint64) u.Program { return u.Reply(u.Fill('x', n)) }
		equal(c, "reply of an update", len(c.ok("update", can.update(sized(maxReplyBytes)))), maxReplyBytes)
		c.rejects("one byte more", can.update(sized(maxReplyBytes+1)), 5)
		equal(c, "reply of a query", len(c.ok("query", can.ask(sized(maxQueryReplyBytes)))), maxQueryReplyBytes)
		c.rejects("one byte more, query", can.ask(sized(maxQueryReplyBytes+1)), 5)
	})
	s.check("BA4 ingress messages have a largest size", func(c *check) {
		can := c.shared(c)
		request := func(n int) raw {
			return c.raw(envelope.Call, can.id, u.Seq(u.Drop(u.Bytes(bytes.Repeat([]byte("x"), n))), u.Reply(u.Text("ok")))).signed(c, can.owner)
		}
		c.replies("nearly 2 MiB", request(2<<20-2000).call(c), []byte("ok"))
		c.refused("above 3.5 MiB", request(maxIngressBytes).post(c))
	})
	s.check("BA4 names of methods that are called have a largest size", func(c *check) {
		can := c.shared(c)
		name := func(n int) u.Call {
			return u.Call{Callee: u.Self(), Method: string(bytes.Repeat([]byte("x"), n))}
		}
		c.rejects("a long name", can.send(name(maxMethodBytes)), 3, 5)
		c.rejects("a name that is too long", can.update(name(maxMethodBytes+1).New(), u.Reply(u.Text(""))), 5)
	})
	s.check("BB16 call_perform tells that a queue is full", func(c *check) {
		can, callee := c.install(), c.install()
		call := program(callee.id, u.Reply(u.Text("")))
		call.OnReply = u.Program{}
		got := can.get(u.Seq(u.Repeat(u.Int(maxQueued+1), u.Record(u.ToBytes(call.Perform()))), u.Global()))
		want := make([]byte, 8*(maxQueued+1))
		want[8*maxQueued] = 2
		if !bytes.Equal(got, want) {
			c.Errorf("the first call that failed is number %d of %d", bytes.IndexByte(got, 2)/8, len(got)/8)
		}
	})
	s.check("BB13 queries and inspect_message may execute less", func(c *check) {
		// a turn of the loop takes seven instructions or more
		c.rejects("a query of more than five billion instructions", c.shared(c).ask(u.Burn(u.Int(5_000_000_000/7)), u.Reply(u.Text(""))), 5)
		guarded := c.guarded(u.Burn(u.Int(200_000_000/7)), u.IC0("accept_message"))
		c.rejectedBefore("inspect_message of more than 200 million instructions", guarded.update(u.Reply(u.Text(""))), 5)
	})
}
