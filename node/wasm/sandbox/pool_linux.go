package sandbox

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"sync"

	"portico/node/state/heap"
	"portico/node/wasm/guest"
)

const defaultGroups = 2

// Pool is a guest.Backend in other processes.
type Pool struct {
	cfg Config

	mu     sync.Mutex
	groups []*process // nil or ended: the next that needs it starts it
	next   uint64     // id
	closed bool
}

var _ guest.Backend = (*Pool)(nil)

// New makes a Pool. It starts one process, to see that it works.
func New(cfg Config) (*Pool, error) {
	if cfg.Groups == 0 {
		cfg.Groups = defaultGroups
	}
	if cfg.Backend == heap.Auto {
		cfg.Backend = heap.Best()
	}
	p := &Pool{cfg: cfg, groups: make([]*process, cfg.Groups)}
	if _, err := p.process(0); err != nil {
		return nil, err
	}
	return p, nil
}

// Confined is nil if the processes run under a seccomp filter, and otherwise says why not.
func (p *Pool) Confined() error {
	proc, err := p.process(0)
	if err != nil {
		return err
	}
	return proc.confined
}

// Close implements guest.Backend: it ends all processes.
func (p *Pool) Close() error {
	p.mu.Lock()
	p.closed = true
	groups := p.groups
	p.groups = make([]*process, len(groups))
	p.mu.Unlock()
	for _, proc := range groups {
		if proc != nil {
			proc.kill()
			<-proc.ended
		}
	}
	return nil
}

// process returns a group's process, starting it if need be.
func (p *Pool) process(group int) (*process, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed {
		return nil, errors.New("sandbox: closed")
	}
	if proc := p.groups[group]; proc != nil && !proc.gone() {
		return proc, nil
	}
	proc, err := start(p.cfg)
	if err != nil {
		return nil, fmt.Errorf("sandbox: %w", err)
	}
	p.groups[group] = proc
	return proc, nil
}

// id is a number that no other object of the Pool has.
func (p *Pool) id() uint64 {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.next++
	return p.next
}

// Group is where the memories of a canister are, by a number that tells canisters apart.
func (p *Pool) Group(n uint64) heap.Spaces { return group{p, int(n % uint64(len(p.groups)))} }

type group struct {
	pool  *Pool
	index int
}

// maxTries is how often a process is started in place of one that has just ended.
const maxTries = 3

// NewSpace implements heap.Spaces.
func (g group) NewSpace(tracked bool, maxBytes uint64) (s heap.Space, err error) {
	for range maxTries {
		var proc *process
		if proc, err = g.pool.process(g.index); err != nil {
			return nil, err
		}
		if s, err = newSpace(proc, g.pool.id(), tracked, maxBytes); !errors.Is(err, heap.ErrGone) {
			return s, err
		}
	}
	return nil, err
}

// code is a module, compiled by every process that runs it.
type code struct {
	pool  *Pool
	id    uint64
	wasm  []byte
	shape guest.Shape

	mu     sync.Mutex
	loaded map[*process]error
	has    map[string]bool // exports
}

// Compile implements guest.Backend: the processes that are there compile the module, so that
// none has to when the code is first run.
func (p *Pool) Compile(ctx context.Context, wasm []byte, shape guest.Shape) (guest.Code, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	c := &code{pool: p, id: p.id(), wasm: wasm, shape: shape, loaded: map[*process]error{}, has: map[string]bool{}}
	first, err := p.process(0)
	if err != nil {
		return nil, err
	}
	p.mu.Lock()
	procs := append([]*process(nil), p.groups...)
	p.mu.Unlock()
	var wg sync.WaitGroup
	for _, proc := range procs {
		if proc != nil && !proc.gone() {
			wg.Go(func() { c.load(proc) })
		}
	}
	wg.Wait()
	err = c.load(first)
	switch {
	case ctx.Err() != nil:
		return nil, errors.Join(ctx.Err(), c.Close())
	case errors.Is(err, heap.ErrGone):
		// What ends the compiler is not to end the node.
		return nil, &guest.Refused{Reason: "the compiler ended while it compiled the module"}
	case err != nil:
		return nil, err
	}
	return c, nil
}

// load makes a process compile the code, once.
func (c *code) load(p *process) error {
	c.mu.Lock()
	err, ok := c.loaded[p]
	c.mu.Unlock()
	if ok {
		return err
	}
	err = p.load(c)
	c.mu.Lock()
	defer c.mu.Unlock()
	maps.DeleteFunc(c.loaded, func(p *process, _ error) bool { return p.gone() })
	c.loaded[p] = err
	return err
}

// Exports implements guest.Code, asking for each name once.
func (c *code) Exports(name string) bool {
	c.mu.Lock()
	has, ok := c.has[name]
	c.mu.Unlock()
	if ok {
		return has
	}
	p, err := c.pool.process(0)
	if err == nil {
		err = c.load(p)
	}
	if err == nil {
		has, err = p.exports(c, name)
	}
	if err != nil {
		return true // Run tells
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.has[name] = has
	return has
}

// Close implements guest.Code.
func (c *code) Close() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	for p, err := range c.loaded {
		if err == nil {
			p.unload(c)
		}
	}
	clear(c.loaded)
	return nil
}

// placed is a memory that knows where its content is.
type placed interface{ Space() heap.Space }

// Instantiate implements guest.Code. The memory must be a view whose space is of a Group.
func (c *code) Instantiate(memory guest.LinearMemory, size uint64) (guest.Machine, error) {
	view, ok := memory.(placed)
	if !ok {
		return nil, errors.New("sandbox: an instance needs a view of a heap.Memory")
	}
	s, ok := view.Space().(*space)
	if !ok {
		return nil, errors.New("sandbox: the memory of an instance is in another process")
	}
	if size > s.room {
		return nil, fmt.Errorf("sandbox: a memory of %d bytes in a space of %d", size, s.room)
	}
	m := &machine{code: c, id: c.pool.id(), proc: s.proc, space: s, memory: memory, size: size}
	if !c.shape.HasMemory {
		m.size = 0
	}
	err := c.load(s.proc)
	if err == nil {
		err = m.make()
	}
	if errors.Is(err, heap.ErrGone) {
		m.lost, m.globals = true, make([]uint64, len(c.shape.Globals))
		return m, nil // Run tells
	} else if err != nil {
		return nil, err
	}
	memory.Reallocate(m.size)
	return m, nil
}
