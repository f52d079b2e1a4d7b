package live

import (
	"errors"
	"fmt"
	"hash/fnv"
	"path/filepath"
	"sync"

	"golang.org/x/sys/unix"

	"portico/lightclient/principal"
	"portico/node/execution"
	"portico/node/state"
	"portico/node/state/heap"
	"portico/node/state/store"
	"portico/node/types"
	"portico/node/wasm/sandbox"
)

// memories are the working files of canisters' memories.
type memories struct {
	dir     string
	backend heap.Backend
	pool    *sandbox.Pool // with the heaps' mappings; nil if they are in this process
	mu      sync.Mutex
	open    map[string]*heap.Memory
}

func newMemories(dir string, b heap.Backend, pool *sandbox.Pool) *memories {
	return &memories{dir: dir, backend: b, pool: pool, open: map[string]*heap.Memory{}}
}

// Names of a canister's memories, in checkpoints and as working files.
func heapName(id types.CanisterID) string   { return fmt.Sprintf("%x.heap", id.Bytes()) }
func stableName(id types.CanisterID) string { return fmt.Sprintf("%x.stable", id.Bytes()) }

// Names of a snapshot's memories.
func snapshotHeapName(id state.SnapshotID) string {
	return fmt.Sprintf("%x.snapshot-%d.heap", id.Canister.Bytes(), id.Number)
}

func snapshotStableName(id state.SnapshotID) string {
	return fmt.Sprintf("%x.snapshot-%d.stable", id.Canister.Bytes(), id.Number)
}

// Heap returns a canister's heap.
func (m *memories) Heap(id principal.ID) (*heap.Memory, error) {
	return m.get(heapName(id), m.place(id))
}

// place is where a canister's heap is mapped; nil is in this process.
func (m *memories) place(id principal.ID) heap.Spaces {
	if m.pool == nil {
		return nil
	}
	h := fnv.New64a()
	h.Write(id.Bytes())
	return m.pool.Group(h.Sum64())
}

// Stable returns a canister's stable memory.
func (m *memories) Stable(id principal.ID) (*heap.Memory, error) { return m.get(stableName(id), nil) }

func (m *memories) get(name string, place heap.Spaces) (*heap.Memory, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if mem := m.open[name]; mem != nil {
		return mem, nil
	}
	mem, err := heap.Open(filepath.Join(m.dir, name), m.backend)
	if err != nil {
		return nil, err
	}
	if place != nil {
		mem.ViewsIn(place)
	}
	m.open[name] = mem
	return mem, nil
}

// Snapshot returns the heap and the stable memory of a snapshot.
func (m *memories) Snapshot(id state.SnapshotID) (heap, stable *heap.Memory, err error) {
	if heap, err = m.get(snapshotHeapName(id), nil); err == nil {
		stable, err = m.get(snapshotStableName(id), nil)
	}
	return heap, stable, err
}

// Remove closes and deletes a canister's memories.
func (m *memories) Remove(id principal.ID) error { return m.remove(heapName(id), stableName(id)) }

// RemoveSnapshot closes and deletes a snapshot's memories.
func (m *memories) RemoveSnapshot(id state.SnapshotID) error {
	return m.remove(snapshotHeapName(id), snapshotStableName(id))
}

func (m *memories) remove(names ...string) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	var errs []error
	for _, name := range names {
		if mem := m.open[name]; mem != nil {
			errs = append(errs, mem.Remove())
			delete(m.open, name)
		}
	}
	return errors.Join(errs...)
}

// restore makes working files of the memories that a checkpoint's state refers to.
func (m *memories) restore(from *store.Loaded, s *state.State) error {
	for _, id := range s.IDs() {
		names := []string{heapName(id), stableName(id)}
		for _, snapshot := range s.Canister(id).Snapshots {
			at := state.SnapshotID{Canister: id, Number: snapshot.Number}
			names = append(names, snapshotHeapName(at), snapshotStableName(at))
		}
		for _, name := range names {
			if !from.Has(name) {
				continue
			}
			mem, err := from.Memory(name, filepath.Join(m.dir, name), m.backend)
			if err != nil {
				return err
			}
			if place := m.place(id); place != nil && name == heapName(id) {
				mem.ViewsIn(place)
			}
			m.open[name] = mem
		}
	}
	return nil
}

// filled lists the memories for a checkpoint. One that is not in it is empty.
func (m *memories) filled() map[string]*heap.Memory {
	m.mu.Lock()
	defer m.mu.Unlock()
	out := make(map[string]*heap.Memory, len(m.open))
	for name, mem := range m.open {
		if mem.Size() > 0 {
			out[name] = mem
		}
	}
	return out
}

func (m *memories) close() error {
	m.mu.Lock()
	defer m.mu.Unlock()
	var errs []error
	for _, mem := range m.open {
		errs = append(errs, mem.Close())
	}
	return errors.Join(errs...)
}

// Background does one thing after the other while rounds go on.
type background struct {
	working sync.WaitGroup
	mu      sync.Mutex // held by the one at work
	err     error
}

// begin begins work.
func (p *background) begin(work func() error) {
	p.working.Go(func() {
		p.mu.Lock()
		defer p.mu.Unlock()
		p.err = errors.Join(p.err, work())
	})
}

// wait waits for all work that was begun.
func (p *background) wait() error {
	p.working.Wait()
	return p.err
}

// residency is what a node keeps open: more canisters if the system allows more descriptors, of
// which at most half are theirs.
func residency() execution.Residency {
	r := execution.DefaultResidency()
	var limit unix.Rlimit
	if unix.Getrlimit(unix.RLIMIT_NOFILE, &limit) == nil {
		r.Canisters = int(min(max(limit.Cur/10, 10), maxOpenCanisters))
	}
	return r
}

// maxOpenCanisters bounds what open canisters take of addresses and memory: some 100 KiB each. A
// thousand with heartbeats are opened in every round, which takes five times as long if each has
// been closed by the others.
const maxOpenCanisters = 1500
