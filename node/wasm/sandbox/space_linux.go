package sandbox

import (
	"encoding/binary"
	"fmt"
	"os"

	"portico/node/state/heap"

	"golang.org/x/sys/unix"
)

// space is a heap.Space in a process.
type space struct {
	proc      *process
	id, room  uint64
	base      uintptr // in the process
	lazy      bool
	destroyed bool
}

func newSpace(p *process, id uint64, tracked bool, maxBytes uint64) (*space, error) {
	s := &space{proc: p, id: id}
	err := p.ask(func(sl *slot) { sl.say(askSpace, id, flag(tracked), maxBytes) }, func(sl *slot) error {
		s.base, s.room, s.lazy = uintptr(sl.arg(1)), maxBytes, sl.arg(2) == 1
		return nil
	})
	return s, err
}

// Room implements heap.Space.
func (s *space) Room() uint64 { return s.room }

// Bytes implements heap.Space: the content is not here.
func (s *space) Bytes() []byte { return nil }

// Lazy implements heap.Space.
func (s *space) Lazy() bool { return s.lazy }

// Read implements heap.Space.
func (s *space) Read(b []byte, off uint64) error { return s.move(b, off, unix.ProcessVMReadv) }

// Write implements heap.Space.
func (s *space) Write(b []byte, off uint64) error { return s.move(b, off, unix.ProcessVMWritev) }

// mostAtOnce is less than what one system call moves.
const mostAtOnce = 1 << 30

func (s *space) move(b []byte, off uint64, call func(int, []unix.Iovec, []unix.RemoteIovec, uint) (int, error)) error {
	if off > s.room || uint64(len(b)) > s.room-off {
		return fmt.Errorf("sandbox: %d bytes at %d of a space of %d", len(b), off, s.room)
	}
	for len(b) > 0 {
		if s.proc.gone() {
			return heap.ErrGone // its number may be another's by now
		}
		n := min(len(b), mostAtOnce)
		local := unix.Iovec{Base: &b[0]}
		local.SetLen(n)
		done, err := call(s.proc.cmd.Process.Pid, []unix.Iovec{local}, []unix.RemoteIovec{{Base: s.base + uintptr(off), Len: n}}, 0)
		if err != nil || done <= 0 {
			// Whatever it did to its mappings, it is of no use any more.
			return fmt.Errorf("%w: %v", s.proc.lost(), err)
		}
		b, off = b[done:], off+uint64(done)
	}
	return nil
}

// Show implements heap.Space.
func (s *space) Show(f *os.File, size uint64) error {
	var tag uint64
	if size > 0 {
		var err error
		if tag, err = s.proc.sendFile(f); err != nil {
			return err
		}
	}
	return s.proc.ask(func(sl *slot) { sl.say(askShow, s.id, tag, size) }, nil)
}

// Drop implements heap.Space.
func (s *space) Drop(rs []heap.Range) error {
	if len(rs) == 0 && s.proc.gone() {
		return heap.ErrGone
	}
	return s.tell(askDrop, rs)
}

// Keep implements heap.Space.
func (s *space) Keep(rs []heap.Range) error { return s.tell(askKeep, rs) }

// rangesAtOnce fit into a slot.
const rangesAtOnce = slotData / 16

func (s *space) tell(what uint32, rs []heap.Range) error {
	for len(rs) > 0 {
		n := min(len(rs), rangesAtOnce)
		err := s.proc.ask(func(sl *slot) {
			sl.say(what, s.id)
			addRanges(sl, rs[:n])
		}, nil)
		if err != nil {
			return err
		}
		rs = rs[n:]
	}
	return nil
}

func addRanges(sl *slot, rs []heap.Range) {
	for _, r := range rs {
		sl.addWords(r.Off, r.Len)
	}
}

func rangesIn(sl *slot) []heap.Range {
	b := sl.data()
	out := make([]heap.Range, len(b)/16)
	for i := range out {
		out[i] = heap.Range{Off: binary.NativeEndian.Uint64(b[16*i:]), Len: binary.NativeEndian.Uint64(b[16*i+8:])}
	}
	return out
}

// Touched implements heap.Space.
func (s *space) Touched(size uint64) (out []heap.Range, err error) {
	for rest := uint64(0); ; rest = 1 {
		more := false
		err := s.proc.ask(func(sl *slot) { sl.say(askTouched, s.id, size, rest) }, func(sl *slot) error {
			more = sl.arg(1) == 1
			rs := rangesIn(sl)
			if !ordered(out, rs, size) {
				return s.proc.lost()
			}
			out = append(out, rs...)
			return nil
		})
		if err != nil || !more {
			return out, err
		}
	}
}

// ordered reports whether rs are ranges of whole pages that follow before, up to size.
func ordered(before, rs []heap.Range, size uint64) bool {
	at := uint64(0)
	if n := len(before); n > 0 {
		at = before[n-1].Off + before[n-1].Len
	}
	for _, r := range rs {
		if r.Off < at || r.Off%heap.PageBytes != 0 || r.Len%heap.PageBytes != 0 || r.Len == 0 || r.Off > size || r.Len > size-r.Off {
			return false
		}
		at = r.Off + r.Len
	}
	return true
}

// Close implements heap.Space.
func (s *space) Close() error {
	if s.destroyed || s.proc.gone() {
		return nil
	}
	s.destroyed = true
	return s.proc.ask(func(sl *slot) { sl.say(askEnd, s.id) }, nil)
}
