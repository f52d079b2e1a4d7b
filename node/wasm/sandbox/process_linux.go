package sandbox

import (
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"sync"
	"sync/atomic"

	"portico/node/state/heap"
	"portico/node/wasm/guest"

	"golang.org/x/sys/unix"
)

// process is one of the processes, as this side sees it.
type process struct {
	cmd      *exec.Cmd
	confined error // nil if it runs under a filter
	mem      []byte
	slots    chan *slot // that are free
	ended    chan struct{}

	mu     sync.Mutex // guards what follows, and the order on the socket
	socket *os.File
	tag    uint64
	opened int // slots that the process serves
	down   atomic.Bool
}

// Descriptors that a process begins with.
const (
	socketFD = 3
	sharedFD = 4
)

// Messages on the socket: a kind and a number.
const (
	sendSlot byte = iota + 1 // serve another slot
	sendFile                 // a file with a tag
)

func start(cfg Config) (*process, error) {
	pair, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_SEQPACKET|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return nil, fmt.Errorf("socket pair: %w", err)
	}
	ours, theirs := os.NewFile(uintptr(pair[0]), "sandbox"), os.NewFile(uintptr(pair[1]), "sandbox")
	defer theirs.Close()
	fd, err := unix.MemfdCreate("portico-sandbox", unix.MFD_CLOEXEC)
	if err != nil {
		return nil, errors.Join(fmt.Errorf("shared memory: %w", err), ours.Close())
	}
	shared := os.NewFile(uintptr(fd), "shared")
	defer shared.Close()
	if err := shared.Truncate(maxSlots * slotBytes); err != nil {
		return nil, errors.Join(err, ours.Close())
	}
	mem, err := unix.Mmap(fd, 0, maxSlots*slotBytes, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_SHARED)
	if err != nil {
		return nil, errors.Join(fmt.Errorf("shared memory: %w", err), ours.Close())
	}
	p := &process{mem: mem, socket: ours, slots: make(chan *slot, maxSlots), ended: make(chan struct{})}
	p.cmd = exec.Command(cfg.Command[0], cfg.Command[1:]...)
	p.cmd.Args = append(p.cmd.Args, cfg.Backend.String())
	p.cmd.Env = []string{"GOMAXPROCS=" + os.Getenv("GOMAXPROCS"), serveMark + "=1"}
	p.cmd.Stderr = cfg.Stderr
	p.cmd.ExtraFiles = []*os.File{theirs, shared}
	if err := p.cmd.Start(); err != nil {
		return nil, errors.Join(err, ours.Close(), unix.Munmap(mem))
	}
	var hello [256]byte
	theirs.Close()
	n, err := ours.Read(hello[:])
	if err != nil || n == 0 || hello[0] > 1 {
		p.cmd.Process.Kill()
		return nil, errors.Join(fmt.Errorf("%s does not say that it is ready: %v", cfg.Command[0], err), p.cmd.Wait(), ours.Close(), unix.Munmap(mem))
	}
	if hello[0] == 1 {
		p.confined = errors.New(string(hello[1:n]))
	}
	// Not when the process ends: somebody may be about to look at a slot.
	runtime.AddCleanup(p, func(mem []byte) { unix.Munmap(mem) }, mem)
	go p.watch()
	return p, nil
}

// watch waits for the end of the process.
func (p *process) watch() {
	p.cmd.Wait()
	p.mu.Lock()
	defer p.mu.Unlock()
	p.down.Store(true)
	p.socket.Close()
	for i := range p.opened {
		(&slot{mem: p.mem[i*slotBytes : (i+1)*slotBytes]}).end()
	}
	close(p.ended)
}

func (p *process) gone() bool { return p.down.Load() }

func (p *process) kill() { p.cmd.Process.Kill() }

// lost ends a process that is of no use any more, and waits until that is known.
func (p *process) lost() error {
	p.kill()
	<-p.ended
	return heap.ErrGone
}

// acquire takes a free slot, making one if there is none, or waits for one.
func (p *process) acquire() (*slot, error) {
	select {
	case s := <-p.slots:
		return s, nil
	default:
	}
	s, err := p.open()
	if err != nil {
		return nil, p.lost()
	} else if s != nil {
		return s, nil
	}
	select {
	case s := <-p.slots:
		return s, nil
	case <-p.ended:
		return nil, heap.ErrGone
	}
}

// open makes another slot; nil if there are as many as there can be.
func (p *process) open() (*slot, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.gone() {
		return nil, heap.ErrGone
	}
	if p.opened == maxSlots {
		return nil, nil
	}
	s := &slot{mem: p.mem[p.opened*slotBytes : (p.opened+1)*slotBytes], index: p.opened}
	if err := p.send(sendSlot, uint64(s.index), nil); err != nil {
		return nil, err
	}
	p.opened++
	return s, nil
}

func (p *process) release(s *slot) { p.slots <- s }

// send sends a message on the socket; p.mu is held.
func (p *process) send(kind byte, n uint64, f *os.File) error {
	msg := binary.NativeEndian.AppendUint64([]byte{kind}, n)
	var rights []byte
	if f != nil {
		rights = unix.UnixRights(int(f.Fd()))
	}
	if err := unix.Sendmsg(int(p.socket.Fd()), msg, rights, nil, unix.MSG_NOSIGNAL); err != nil {
		return heap.ErrGone
	}
	return nil
}

// sendFile passes a file, for reading only, and returns its tag.
func (p *process) sendFile(f *os.File) (uint64, error) {
	// Opened anew: a descriptor that can write would let the process change the state.
	r, err := os.Open(fmt.Sprintf("/proc/self/fd/%d", f.Fd()))
	if err != nil {
		return 0, err
	}
	defer r.Close()
	p.mu.Lock()
	p.tag++
	tag := p.tag
	err = p.send(sendFile, tag, r)
	p.mu.Unlock()
	if err != nil {
		return 0, p.lost()
	}
	return tag, nil
}

// ask asks one question that takes no host calls. answer, if not nil, sees the slot with the
// answer. The error is heap.ErrGone if the process has ended or broke the protocol.
func (p *process) ask(question func(*slot), answer func(*slot) error) error {
	s, err := p.acquire()
	if err != nil {
		return err
	}
	question(s)
	s.pass(childTurn)
	if !s.await(parentTurn) {
		return p.lost()
	}
	defer p.release(s)
	if s.what() != sayDone {
		return p.lost()
	}
	switch text := func() string { return string(s.data()) }; s.arg(0) {
	case statusOK:
		if answer != nil {
			return answer(s)
		}
		return nil
	case statusRefused:
		return &guest.Refused{Reason: text()}
	default:
		return errors.New("sandbox: " + text())
	}
}

// load makes the process compile a module.
func (p *process) load(c *code) error {
	fd, err := unix.MemfdCreate("module", unix.MFD_CLOEXEC)
	if err != nil {
		return fmt.Errorf("sandbox: passing a module: %w", err)
	}
	f := os.NewFile(uintptr(fd), "module")
	defer f.Close()
	if _, err := f.Write(c.wasm); err != nil {
		return fmt.Errorf("sandbox: passing a module: %w", err)
	}
	tag, err := p.sendFile(f)
	if err != nil {
		return err
	}
	return p.ask(func(s *slot) {
		s.say(askCode, c.id, tag, uint64(len(c.wasm)), flag(c.shape.HasMemory))
		for _, t := range c.shape.Globals {
			s.add([]byte{byte(t)})
		}
	}, nil)
}

// unload makes the process forget a module.
func (p *process) unload(c *code) {
	p.ask(func(s *slot) { s.say(askEnd, c.id) }, nil)
}

func (p *process) exports(c *code, name string) (has bool, err error) {
	err = p.ask(func(s *slot) {
		s.say(askExports, c.id)
		s.add([]byte(name))
	}, func(s *slot) error {
		has = s.arg(1) == 1
		return nil
	})
	return has, err
}

func flag(b bool) uint64 {
	if b {
		return 1
	}
	return 0
}
