package sandbox

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"sync"
	"syscall"

	"portico/node/state/heap"
	"portico/node/wasm/guest"
	"portico/node/wasm/instrument"

	"golang.org/x/sys/unix"
)

// serveMark is the environment variable of a process that is to call Serve.
const serveMark = "PORTICO_SANDBOX"

// Called reports whether this process was started to call Serve.
func Called() bool { return os.Getenv(serveMark) != "" }

// child is what a process holds.
type child struct {
	backend guest.Backend
	mapping heap.Backend
	pageMap *os.File
	mem     []byte

	mu       sync.Mutex
	arrived  *sync.Cond // another file
	files    map[uint64]int
	spaces   map[uint64]*childSpace
	codes    map[uint64]guest.Code
	machines map[uint64]*childMachine
}

type childSpace struct {
	heap.Space
	rest []heap.Range // of an answer to askTouched
}

// Reallocate implements guest.LinearMemory.
func (s *childSpace) Reallocate(size uint64) []byte { return s.Bytes()[:size:size] }

// Free implements guest.LinearMemory.
func (s *childSpace) Free() {}

type childMachine struct {
	guest.Machine
	globals []uint64
}

// Serve is what a process of a Pool does: it confines itself and runs code until the Pool
// ends. It does not return unless it cannot begin. The imports are those of the Pool's
// Config.
func Serve(imports []instrument.Import) error {
	signal.Ignore(syscall.SIGINT, syscall.SIGTERM, syscall.SIGHUP)
	c := &child{files: map[uint64]int{}, spaces: map[uint64]*childSpace{}, codes: map[uint64]guest.Code{}, machines: map[uint64]*childMachine{}}
	c.arrived = sync.NewCond(&c.mu)
	for _, b := range []heap.Backend{heap.WriteProtect, heap.PageMap, heap.Portable} {
		if b.String() == os.Args[len(os.Args)-1] {
			c.mapping = b
		}
	}
	var err error
	if c.mem, err = unix.Mmap(sharedFD, 0, maxSlots*slotBytes, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_SHARED); err != nil {
		return fmt.Errorf("shared memory: %w", err)
	}
	unix.Close(sharedFD)
	if c.pageMap, err = os.Open("/proc/self/pagemap"); err != nil {
		return err
	}
	// one worker: a defect of the compiler then refuses a module instead of ending the process
	if c.backend, err = guest.New(guest.Config{Imports: imports, Workers: 1}); err != nil {
		return err
	}
	hello := []byte{0}
	if err := confine(); err != nil {
		hello = append([]byte{1}, err.Error()...)
	}
	if _, err := unix.Write(socketFD, hello[:min(len(hello), 256)]); err != nil {
		return err
	}
	return c.listen()
}

// listen takes messages from the socket until the other side has closed it.
func (c *child) listen() error {
	msg, rights := make([]byte, 9), make([]byte, unix.CmsgSpace(4))
	for {
		n, rn, _, _, err := unix.Recvmsg(socketFD, msg, rights, unix.MSG_CMSG_CLOEXEC)
		switch {
		case errors.Is(err, unix.EINTR):
			continue
		case err != nil || n != len(msg):
			os.Exit(0)
		}
		number := binary.NativeEndian.Uint64(msg[1:])
		if msg[0] == sendSlot {
			go c.serve(&slot{mem: c.mem[number*slotBytes : (number+1)*slotBytes]})
			continue
		}
		fd, err := fileIn(rights[:rn])
		if err != nil {
			return err
		}
		c.mu.Lock()
		c.files[number] = fd
		c.mu.Unlock()
		c.arrived.Broadcast()
	}
}

func fileIn(rights []byte) (int, error) {
	msgs, err := unix.ParseSocketControlMessage(rights)
	if err != nil || len(msgs) != 1 {
		return 0, fmt.Errorf("a message without a file: %v", err)
	}
	fds, err := unix.ParseUnixRights(&msgs[0])
	if err != nil || len(fds) != 1 {
		return 0, fmt.Errorf("a message without a file: %v", err)
	}
	return fds[0], nil
}

// file waits for a file to arrive.
func (c *child) file(tag uint64) *os.File {
	c.mu.Lock()
	defer c.mu.Unlock()
	for {
		if fd, ok := c.files[tag]; ok {
			delete(c.files, tag)
			return os.NewFile(uintptr(fd), "file")
		}
		c.arrived.Wait()
	}
}

// serve answers what is asked in a slot.
func (c *child) serve(s *slot) {
	for s.await(childTurn) {
		status, err := statusOK, error(nil)
		switch what := s.what(); what {
		case askRun:
			c.run(s)
			s.pass(parentTurn)
			continue
		default:
			err = c.answer(s, what)
		}
		if err != nil {
			status = statusError
			if _, ok := errors.AsType[*guest.Refused](err); ok {
				status = statusRefused
			}
			s.say(sayDone, status)
			s.add([]byte(err.Error()))
		}
		s.pass(parentTurn)
	}
}

func lookUp[T any](c *child, m map[uint64]T, id uint64) T {
	c.mu.Lock()
	defer c.mu.Unlock()
	v, ok := m[id]
	if !ok {
		panic(fmt.Sprintf("sandbox: there is no %T with number %d", v, id))
	}
	return v
}

func keep[T any](c *child, m map[uint64]T, id uint64, v T) {
	c.mu.Lock()
	defer c.mu.Unlock()
	m[id] = v
}

// answer does what is asked, leaving the answer in the slot unless there is an error.
func (c *child) answer(s *slot, what uint32) error {
	id := s.arg(0)
	switch what {
	case askSpace:
		return c.newSpace(s, id)
	case askCode:
		return c.compile(s, id)
	case askMachine:
		return c.instantiate(s, id)
	case askExports:
		name := string(s.data())
		has := c.has(id, name)
		s.say(sayDone, statusOK, flag(has))
		return nil
	case askDropCall:
		lookUp(c, c.machines, id).Drop(string(s.data()))
	case askEnd:
		return c.end(s, id)
	case askTouched:
		return c.touched(s, lookUp(c, c.spaces, id))
	default:
		if err := c.change(s, what, lookUp(c, c.spaces, id)); err != nil {
			return err
		}
	}
	s.say(sayDone, statusOK)
	return nil
}

// change does what changes a space.
func (c *child) change(s *slot, what uint32, space *childSpace) error {
	switch what {
	case askShow:
		tag, size := s.arg(1), s.arg(2)
		if tag == 0 {
			return space.Show(nil, 0)
		}
		f := c.file(tag)
		defer f.Close()
		return space.Show(f, size)
	case askDrop:
		return space.Drop(rangesIn(s))
	case askKeep:
		return space.Keep(rangesIn(s))
	}
	return fmt.Errorf("unknown request %d", what)
}

func (c *child) newSpace(s *slot, id uint64) error {
	space, err := heap.NewSpace(c.mapping, s.arg(1) == 1, s.arg(2), c.pageMap)
	if err != nil {
		return err
	}
	keep(c, c.spaces, id, &childSpace{Space: space})
	s.say(sayDone, statusOK, addressOf(space.Bytes()), flag(space.Lazy()))
	return nil
}

func (c *child) touched(s *slot, space *childSpace) error {
	if size, rest := s.arg(1), s.arg(2) == 1; !rest {
		var err error
		if space.rest, err = space.Touched(size); err != nil {
			return err
		}
	}
	n := min(len(space.rest), rangesAtOnce)
	s.say(sayDone, statusOK, flag(n < len(space.rest)))
	addRanges(s, space.rest[:n])
	space.rest = space.rest[n:]
	return nil
}

func (c *child) compile(s *slot, id uint64) error {
	shape := guest.Shape{HasMemory: s.arg(3) == 1}
	for _, t := range s.data() {
		shape.Globals = append(shape.Globals, instrument.ValueType(t))
	}
	f := c.file(s.arg(1))
	defer f.Close()
	wasm := make([]byte, s.arg(2))
	if _, err := f.ReadAt(wasm, 0); err != nil {
		return fmt.Errorf("reading a module: %w", err)
	}
	code, err := c.backend.Compile(context.Background(), wasm, shape)
	if err != nil {
		return err
	}
	keep(c, c.codes, id, code)
	s.say(sayDone, statusOK)
	return nil
}

func (c *child) has(code uint64, export string) bool {
	return lookUp(c, c.codes, code).Exports(export)
}

func (c *child) instantiate(s *slot, id uint64) error {
	code, space := lookUp(c, c.codes, s.arg(1)), lookUp(c, c.spaces, s.arg(2))
	m, err := code.Instantiate(space, s.arg(3))
	if err != nil {
		return err
	}
	globals := m.Globals()
	keep(c, c.machines, id, &childMachine{Machine: m, globals: globals})
	s.say(sayDone, statusOK)
	if !s.addWords(globals...) {
		return fmt.Errorf("%d globals are too many", len(globals))
	}
	return nil
}

// end closes a space, a code or a machine.
func (c *child) end(s *slot, id uint64) error {
	c.mu.Lock()
	space, code, machine := c.spaces[id], c.codes[id], c.machines[id]
	delete(c.spaces, id)
	delete(c.codes, id)
	delete(c.machines, id)
	c.mu.Unlock()
	var err error
	switch {
	case space != nil:
		err = space.Close()
	case code != nil:
		err = code.Close()
	case machine != nil:
		err = machine.Close()
	}
	s.say(sayDone, statusOK)
	return err
}

// run calls into a machine.
func (c *child) run(s *slot) {
	m := lookUp(c, c.machines, s.arg(0))
	args := [2]uint64{s.arg(1), s.arg(2)}
	m.SetCounter(s.arg(3))
	m.SetDepth(s.arg(4))
	name := int(s.arg(6))
	export := string(s.data()[:name])
	if s.arg(5) == 1 {
		s.words(name, m.globals)
		m.SetGlobals(m.globals)
	}
	err := m.Run(export, args, &childHost{s, m})
	status := statusOK
	if fault, ok := errors.AsType[*guest.Fault](err); ok {
		s.say(sayDone, statusFault, m.Counter(), uint64(m.Depth()))
		s.add([]byte(fault.Reason))
		return
	} else if err != nil {
		status = statusHost
	}
	s.say(sayDone, status, m.Counter(), uint64(m.Depth()))
	s.addWords(m.Globals()...)
}

// childHost asks the other side for everything.
type childHost struct {
	s *slot
	m *childMachine
}

var errEnded = errors.New("the host ended the call")

// talk passes the slot and waits for the answer.
func (h *childHost) talk() error {
	h.s.pass(parentTurn)
	if !h.s.await(childTurn) {
		return errEnded
	}
	h.m.SetCounter(h.s.arg(1))
	if h.s.arg(0) != 0 {
		return errEnded
	}
	return nil
}

// HostCall implements guest.Host.
func (h *childHost) HostCall(index int, stack []uint64) error {
	h.s.say(sayHost, uint64(index), h.m.Counter())
	h.s.addWords(stack...)
	err := h.talk()
	h.s.words(0, stack)
	return err
}

// Check implements guest.Host.
func (h *childHost) Check() error {
	h.s.say(sayCheck, h.m.Counter(), uint64(h.m.Depth()))
	return h.talk()
}

// Grow implements guest.Host.
func (h *childHost) Grow(pages uint32) (refused bool, err error) {
	h.s.say(sayGrow, uint64(pages), h.m.Counter())
	err = h.talk()
	return h.s.arg(2) == 1, err
}
