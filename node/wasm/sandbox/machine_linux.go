package sandbox

import (
	"errors"
	"slices"

	"portico/node/state/heap"
	"portico/node/wasm/guest"
)

// machine is a guest.Machine in a process. A machine whose process has ended reads as zeros
// until Run tells.
type machine struct {
	code   *code
	id     uint64
	proc   *process
	space  *space
	memory guest.LinearMemory
	size   uint64 // of the memory: the process is not asked

	counter uint64
	depth   int64
	globals []uint64
	set     bool // the process does not have the globals yet
	lost    bool
	scratch []byte
}

// make makes the instance in the process.
func (m *machine) make() error {
	m.globals = make([]uint64, len(m.code.shape.Globals))
	return m.proc.ask(func(s *slot) { s.say(askMachine, m.id, m.code.id, m.space.id, m.size) }, m.takeGlobals)
}

func (m *machine) takeGlobals(s *slot) error {
	if !s.words(0, m.globals) {
		return m.proc.lost()
	}
	return nil
}

// Counter implements guest.Machine, and so do the following.
func (m *machine) Counter() uint64     { return m.counter }
func (m *machine) SetCounter(v uint64) { m.counter = v }
func (m *machine) Depth() int64        { return m.depth }
func (m *machine) SetDepth(v uint64)   { m.depth = int64(v) }
func (m *machine) Size() uint64        { return m.size }

// Globals implements guest.Machine.
func (m *machine) Globals() []uint64 { return slices.Clone(m.globals) }

// SetGlobals implements guest.Machine: the next Run takes them along.
func (m *machine) SetGlobals(values []uint64) {
	if !slices.Equal(m.globals, values) {
		m.globals, m.set = slices.Clone(values), true
	}
}

// Bytes implements guest.Machine.
func (m *machine) Bytes(off, n uint64) []byte {
	if uint64(cap(m.scratch)) < n {
		m.scratch = make([]byte, n)
	}
	b := m.scratch[:n]
	m.Read(b, off)
	return b
}

// Read implements guest.Machine.
func (m *machine) Read(dst []byte, off uint64) {
	if !m.lost {
		m.lost = m.space.Read(dst, off) != nil
	}
	if m.lost {
		clear(dst)
	}
}

// Write implements guest.Machine.
func (m *machine) Write(off uint64, src []byte) {
	if !m.lost {
		m.lost = m.space.Write(src, off) != nil
	}
}

// Drop implements guest.Machine.
func (m *machine) Drop(export string) {
	m.proc.ask(func(s *slot) {
		s.say(askDropCall, m.id)
		s.add([]byte(export))
	}, nil)
}

// Close implements guest.Machine.
func (m *machine) Close() error {
	m.memory.Free()
	if err := m.proc.ask(func(s *slot) { s.say(askEnd, m.id) }, nil); !errors.Is(err, heap.ErrGone) {
		return err
	}
	return nil
}

// Run implements guest.Machine.
func (m *machine) Run(export string, args [2]uint64, h guest.Host) error {
	if m.lost {
		return guest.ErrCrashed
	}
	s, err := m.proc.acquire()
	if err != nil {
		return m.crashed()
	}
	ended := false
	defer func() {
		if !ended { // the process has ended, or a panic of the host leaves it in the middle
			m.proc.lost()
			return
		}
		m.proc.release(s)
	}()
	s.say(askRun, m.id, args[0], args[1], m.counter, uint64(m.depth), flag(m.set), uint64(len(export)))
	if s.add([]byte(export)) != len(export) || m.set && !s.addWords(m.globals...) {
		return m.crashed()
	}
	m.set = false
	var failed error // of the host
	for {
		s.pass(childTurn)
		if !s.await(parentTurn) {
			return m.crashed()
		}
		what := s.what()
		if what == sayDone {
			err, ok := m.done(s, failed)
			ended = ok
			return err
		}
		if failed != nil || !m.serve(s, what, h, &failed) {
			return m.crashed()
		}
	}
}

func (m *machine) crashed() error {
	m.lost = true
	return guest.ErrCrashed
}

// serve answers what the code asks of the host. It reports false if the process is of no use any
// more.
func (m *machine) serve(s *slot, what uint32, h guest.Host, failed *error) bool {
	switch what {
	case sayHost:
		index := s.arg(0)
		if index >= uint64(len(m.code.pool.cfg.Imports)) {
			return false
		}
		f := m.code.pool.cfg.Imports[index]
		var words [16]uint64 // more than any function has
		stack := words[:max(len(f.Params), len(f.Results))]
		m.counter = s.arg(1)
		if !s.words(0, stack) {
			return false
		}
		*failed = h.HostCall(int(index), stack)
		s.say(askReply, flag(*failed != nil), m.counter)
		s.addWords(stack...)
	case sayCheck:
		m.counter, m.depth = s.arg(0), int64(s.arg(1))
		*failed = h.Check()
		s.say(askReply, flag(*failed != nil), m.counter)
	case sayGrow:
		pages := s.arg(0)
		m.counter = s.arg(1)
		if pages >= 1<<32 {
			return false
		}
		refused, err := h.Grow(uint32(pages))
		*failed = err
		if err == nil && !refused {
			size := m.size + pages<<16
			if size > m.space.room {
				return false
			}
			m.size = size
			m.memory.Reallocate(size)
		}
		s.say(askReply, flag(err != nil), m.counter, flag(refused))
	default:
		return false
	}
	return !m.lost
}

// done takes the end of a call; ok is false if the process is of no use any more.
func (m *machine) done(s *slot, failed error) (err error, ok bool) {
	status := s.arg(0)
	m.counter, m.depth = s.arg(1), int64(s.arg(2))
	if status == statusOK && failed == nil || status == statusHost && failed != nil {
		if m.takeGlobals(s) != nil {
			return m.crashed(), false
		}
		return failed, true
	}
	if status == statusFault && failed == nil {
		if reason := string(s.data()); slices.Contains(guest.Faults(), reason) {
			m.set = true // it changed them, and whoever goes on wants those from before
			return &guest.Fault{Reason: reason}, true
		}
	}
	return m.crashed(), false
}
