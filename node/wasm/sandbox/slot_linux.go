package sandbox

import (
	"encoding/binary"
	"math"
	"sync/atomic"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// slots are the places for conversations in the memory that both sides share.
const (
	slotBytes  = 64 << 10
	slotHeader = 128
	slotData   = slotBytes - slotHeader
	maxSlots   = 64
	slotArgs   = 8
)

// Whose turn it is in a slot, in the first word.
const (
	parentTurn uint32 = iota
	childTurn
	over             // the process has ended
	asleep = 1 << 31 // added by a side that waits in the kernel
)

// A slot is one conversation: whoever's turn it is reads and writes it.
//
// Layout: the turn (4 bytes), what is said (4), eight arguments (64), the length of the data
// (8); the data follow from byte 128 on.
type slot struct {
	mem   []byte
	index int
}

func (s *slot) word(off int) *uint64 { return (*uint64)(unsafe.Pointer(&s.mem[off])) }
func (s *slot) turn() *uint32        { return (*uint32)(unsafe.Pointer(&s.mem[0])) }
func (s *slot) what() uint32         { return binary.NativeEndian.Uint32(s.mem[4:]) }
func (s *slot) arg(i int) uint64     { return *s.word(8 + 8*i) }

// say writes what is said, and its arguments.
func (s *slot) say(what uint32, args ...uint64) {
	binary.NativeEndian.PutUint32(s.mem[4:], what)
	for i, a := range args {
		*s.word(8 + 8*i) = a
	}
	*s.word(72) = 0
}

// add appends data, as much as there is room for, and returns how much that was.
func (s *slot) add(b []byte) int {
	n := *s.word(72)
	if n > slotData {
		return 0
	}
	done := copy(s.mem[slotHeader+n:], b)
	*s.word(72) = n + uint64(done)
	return done
}

func (s *slot) addWords(words ...uint64) bool {
	var b [8]byte
	for _, w := range words {
		binary.NativeEndian.PutUint64(b[:], w)
		if s.add(b[:]) != len(b) {
			return false
		}
	}
	return true
}

// data is what was added, in place; the other side may change it at any time if it is broken.
func (s *slot) data() []byte {
	return s.mem[slotHeader : slotHeader+min(*s.word(72), slotData)]
}

// words copies the data's words from off on to dst, and reports whether there are as many.
func (s *slot) words(off int, dst []uint64) bool {
	b := s.data()
	if len(b) < off+8*len(dst) {
		return false
	}
	for i := range dst {
		dst[i] = binary.NativeEndian.Uint64(b[off+8*i:])
	}
	return true
}

// pass gives the slot to the other side.
func (s *slot) pass(to uint32) {
	switch old := atomic.SwapUint32(s.turn(), to); {
	case old&^asleep == over:
		s.end()
	case old&asleep != 0:
		s.wake()
	}
}

func (s *slot) wake() {
	const futexWake = 1
	unix.Syscall6(unix.SYS_FUTEX, uintptr(unsafe.Pointer(s.turn())), futexWake, math.MaxInt32, 0, 0, 0)
}

// spins is how often the turn is looked at before a side sleeps: less than what falling asleep and
// being woken takes.
const spins = 2000

// patience is how long this side waits for the other: far longer than a module takes to compile,
// and code turns to its host every few milliseconds.
const patience = 5 * time.Minute

// await waits for a turn and reports whether it came; it does not once the process has ended, and
// for the parent if it takes longer than its patience.
func (s *slot) await(mine uint32) bool {
	for range spins {
		switch atomic.LoadUint32(s.turn()) &^ asleep {
		case mine:
			return true
		case over:
			return false
		}
	}
	const futexWait = 0
	var limit *unix.Timespec // relative to now
	if mine == parentTurn {
		ts := unix.NsecToTimespec(int64(patience))
		limit = &ts
	}
	for {
		switch now := atomic.LoadUint32(s.turn()); {
		case now&^asleep == mine:
			return true
		case now&^asleep == over:
			return false
		case now&asleep != 0 || atomic.CompareAndSwapUint32(s.turn(), now, now|asleep):
			_, _, errno := unix.Syscall6(unix.SYS_FUTEX, uintptr(unsafe.Pointer(s.turn())), futexWait, uintptr(now|asleep), uintptr(unsafe.Pointer(limit)), 0, 0)
			if errno == unix.ETIMEDOUT {
				return false
			}
		}
	}
}

// end tells the side that waits, or will wait, that the process has ended.
func (s *slot) end() {
	atomic.StoreUint32(s.turn(), over)
	s.wake()
}

// What the parent asks.
const (
	askSpace    uint32 = iota + 1 // id, tracked, room -> address
	askShow                       // id, file's tag or 0, size
	askDrop                       // id; ranges
	askKeep                       // id; ranges
	askTouched                    // id, size, 1 for the rest of an answer -> 1 if there is more; ranges
	askEnd                        // id of a space, code or machine
	askCode                       // id, file's tag, length, has memory; types of globals
	askExports                    // id; name -> 1 if there is
	askMachine                    // id, code, space, size -> ; globals
	askRun                        // id, args, counter, depth, 1 if globals are set, length of the name; name, globals
	askDropCall                   // id; name
	askReply                      // 1 to end the call or 1 for a refusal, counter; results
)

// What the child says.
const (
	sayDone  uint32 = iota + 100 // 0 or the status, counter, depth; the answer, or what went wrong
	sayHost                      // index, counter; stack
	sayCheck                     // counter, depth
	sayGrow                      // pages, counter
)

// How what was asked ended, in the first argument of sayDone.
const (
	statusOK uint64 = iota
	statusError
	statusRefused // by the compiler
	statusFault
	statusHost // an error of the host ended the call
)
