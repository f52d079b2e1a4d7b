package conformance

import (
	"math"

	u "portico/node/conformance/universal"
)

// value replies with a number.
func value(e u.Program) u.Program { return u.Reply(u.ToBytes(e)) }

// isNumber checks a reply that is a number.
func (c *check) isNumber(what string, a answer, want uint64) {
	c.Helper()
	equal(c, what, fromLittleEndian(c.ok(what, a)), want)
}

func sectionN(s *section) {
	ic0, drop := u.IC0, u.Drop
	type width struct {
		id                      string
		size, grow, write, read string
		failed                  uint64
		tooMany                 uint64 // pages
	}
	for _, w := range []width{
		{"N1", "stable_size", "stable_grow", "stable_write", "stable_read", math.MaxUint32, 1<<16 + 1},
		{"N2", "stable64_size", "stable64_grow", "stable64_write", "stable64_read", math.MaxUint64, 1 << 40},
	} {
		write := func(at uint64, text string) u.Program { return ic0(w.write, u.Int(at), u.Split(u.Text(text))) }
		read := func(at, n uint64) u.Program {
			return u.Seq(ic0(w.read, u.Int(1<<15), u.Int(at), u.Int(n)), u.Reply(u.Join(u.Int(1<<15), u.Int(n))))
		}
		done := u.Reply(u.Text(""))
		s.check(w.id+" stable memory is empty at first and cannot be used", func(c *check) {
			can := c.install()
			c.isNumber(w.size, can.ask(value(ic0(w.size))), 0)
			c.rejects("write in an update", can.update(write(0, "x"), done), 5)
			c.rejects("write in a query", can.ask(write(0, "x"), done), 5)
			c.rejects("read", can.ask(read(0, 1)), 5)
			c.ok("writing nothing", can.update(write(0, ""), done))
		})
		s.check(w.id+" growing gives the old size", func(c *check) {
			can := c.install()
			c.isNumber("grow by 1", can.update(value(ic0(w.grow, u.Int(1)))), 0)
			c.isNumber("grow by 2", can.update(value(ic0(w.grow, u.Int(2)))), 1)
			c.isNumber("size", can.ask(value(ic0(w.size))), 3)
			c.isNumber("grow in a query", can.ask(value(ic0(w.grow, u.Int(1)))), 3)
			c.isNumber("size after the query", can.ask(value(ic0(w.size))), 3)
			c.isNumber("grow by too much", can.update(value(ic0(w.grow, u.Int(w.tooMany-3)))), w.failed)
			c.isNumber("size after the failure", can.ask(value(ic0(w.size))), 3)
		})
		s.check(w.id+" what is written can be read", func(c *check) {
			can := c.install()
			can.run(drop(ic0(w.grow, u.Int(1))), write(10, "HELLO"))
			c.replies("read", can.ask(read(9, 7)), []byte("\x00HELLO\x00"))
			c.replies("write in a query", can.ask(write(10, "JELLY"), read(10, 5)), []byte("JELLY"))
			c.replies("after the query", can.ask(read(10, 5)), []byte("HELLO"))
			c.rejects("trap after a write", can.update(write(10, "JELLY"), u.Trap("x")), 5)
			c.replies("after the trap", can.ask(read(10, 5)), []byte("HELLO"))
		})
		s.check(w.id+" out of bounds traps", func(c *check) {
			can := c.install()
			can.run(drop(ic0(w.grow, u.Int(1))))
			c.rejects("write", can.update(write(1<<16-1, "xy"), done), 5)
			c.ok("write at the end", can.update(write(1<<16-1, "x"), done))
			c.rejects("read", can.ask(read(1<<16-1, 2)), 5)
			c.rejects("write from outside of the heap", can.update(ic0(w.write, u.Int(0), u.Int(1<<31), u.Int(8)), done), 5)
			c.rejects("read to outside of the heap", can.update(ic0(w.read, u.Int(1<<31), u.Int(0), u.Int(8)), done), 5)
			c.rejects("a far offset", can.update(write(math.MaxUint32, "xy"), done), 5)
		})
	}
	s.beyond32Bits()
}

// beyond32Bits checks the border of 4 GiB.
func (s *section) beyond32Bits() {
	ic0, drop := u.IC0, u.Drop
	s.check("N1 stable memory can grow to 4 GiB", func(c *check) {
		can := c.install()
		c.isNumber("grow", can.update(value(ic0("stable_grow", u.Int(1<<16)))), 0)
		c.isNumber("size", can.ask(value(ic0("stable_size"))), 1<<16)
		c.isNumber("grow further", can.update(value(ic0("stable_grow", u.Int(1)))), math.MaxUint32)
		can.run(ic0("stable_write", u.Int(math.MaxUint32), u.Split(u.Text("z"))))
		c.replies("read at the end", can.ask(u.Reply(u.StableRead(math.MaxUint32, 1))), []byte("z"))
	})
	s.check("N2 beyond 4 GiB only the 64-bit functions work", func(c *check) {
		can := c.install()
		can.run(u.StableGrow(1<<16 + 1))
		const border = 1<<32 - 3
		can.run(u.StableWrite(border, u.Text("ACROSS")))
		c.replies("read across 4 GiB", can.ask(u.Reply(u.StableRead(border, 6))), []byte("ACROSS"))
		done := u.Reply(u.Text(""))
		c.rejects("stable_size", can.ask(drop(ic0("stable_size")), done), 5)
		c.rejects("stable_grow", can.ask(drop(ic0("stable_grow", u.Int(1))), done), 5)
		c.rejects("stable_read", can.ask(ic0("stable_read", u.Int(0), u.Int(0), u.Int(0)), done), 5)
		c.rejects("stable_write", can.ask(ic0("stable_write", u.Int(0), u.Int(0), u.Int(0)), done), 5)
	})
	s.check("N2 both interfaces see the same memory", func(c *check) {
		can := c.install()
		can.run(u.StableGrow(2), ic0("stable_write", u.Int(5), u.Split(u.Text("narrow"))), u.StableWrite(11, u.Text("wide")))
		c.replies("64-bit read", can.ask(u.Reply(u.StableRead(5, 10))), []byte("narrowwide"))
		c.replies("32-bit read", can.ask(ic0("stable_read", u.Int(1<<15), u.Int(5), u.Int(10)), u.Reply(u.Join(u.Int(1<<15), u.Int(10)))), []byte("narrowwide"))
		c.isNumber("stable_size", can.ask(value(ic0("stable_size"))), 2)
		c.isNumber("stable64_size", can.ask(value(ic0("stable64_size"))), 2)
	})
}
