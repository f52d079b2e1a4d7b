package execution

import (
	"bytes"
	"context"
	"crypto/sha256"
	"fmt"
	"io"
	"sync"

	"portico/node/state"
	"portico/node/state/heap"
	"portico/node/types"
	"portico/node/wasm"

	"github.com/klauspost/compress/gzip"
)

// Executor runs canisters. Different canisters may be run at the same time;
// queries may run at any time.
type Executor struct {
	deps   Deps
	costs  Costs
	limits Limits

	mu      sync.Mutex
	modules map[types.Hash]*compiled
	live    map[types.CanisterID]*live
	turns   map[types.CanisterID]*live // those in the middle of a message
	runners []*runner                  // idle

	// What follows belongs to the round's goroutine: the canisters whose message was given
	// up because too many others were in the middle, and the installation in progress.
	deferred   map[types.CanisterID]bool
	installing *installer

	// publishing is held while the content that queries see changes.
	publishing sync.RWMutex
	published  Published

	queries queryCounter

	// unpublished are the snapshots whose memories changed in this round. It belongs to the
	// round's goroutine.
	unpublished map[state.SnapshotID]bool
}

// compiled is a module; done is closed when module or err is set.
type compiled struct {
	done   chan struct{}
	module *wasm.Module
	err    error
}

// live is a canister's memories and its instance for updates.
type live struct {
	heapFile, stableFile *heap.Memory
	heap, stable         *heap.View
	instance             *wasm.Instance
	module               types.Hash // of the instance
	turn                 *turn      // the message that it is in the middle of, or nil

	queryMu sync.Mutex
	idle    []*queryInstance
}

// New makes an Executor.
func New(d Deps) *Executor {
	limits := d.Limits
	if limits == (Limits{}) {
		limits = DefaultLimits()
	}
	return &Executor{
		deps: d, costs: Costs{d.Subnet.CostNodes}, limits: limits,
		modules: map[types.Hash]*compiled{}, live: map[types.CanisterID]*live{}, turns: map[types.CanisterID]*live{}, deferred: map[types.CanisterID]bool{}, unpublished: map[state.SnapshotID]bool{},
	}
}

// Costs are the subnet's prices.
func (x *Executor) Costs() Costs { return x.costs }

// Limits are the subnet's limits.
func (x *Executor) Limits() Limits { return x.limits }

// Compile prepares a module as uploaded, raw or gzip, so that installing it takes
// no time in a round. It is safe to call at any time.
func (x *Executor) Compile(uploaded []byte) (*wasm.Module, error) {
	return x.compile(sha256.Sum256(uploaded), uploaded)
}

func (x *Executor) compile(hash types.Hash, uploaded []byte) (*wasm.Module, error) {
	x.mu.Lock()
	c := x.modules[hash]
	if c != nil {
		x.mu.Unlock()
		<-c.done
		return c.module, c.err
	}
	c = &compiled{done: make(chan struct{})}
	x.modules[hash] = c
	x.mu.Unlock()
	defer close(c.done)
	raw, err := Decompress(uploaded)
	if err == nil {
		c.module, err = x.deps.Engine.Compile(context.Background(), raw)
	}
	if c.err = err; err != nil {
		// a refused module is not worth remembering
		x.mu.Lock()
		delete(x.modules, hash)
		x.mu.Unlock()
	}
	return c.module, c.err
}

// gzipMagic begins a gzip file.
const gzipMagic = "\x1f\x8b\x08"

// Decompress returns the raw Wasm of a module as uploaded.
func Decompress(uploaded []byte) ([]byte, error) {
	if !bytes.HasPrefix(uploaded, []byte(gzipMagic)) {
		if len(uploaded) > maxModuleBytes {
			return nil, &wasm.Invalid{Reason: fmt.Sprintf("the module of %d bytes is larger than %d", len(uploaded), maxModuleBytes)}
		}
		return uploaded, nil
	}
	r, err := gzip.NewReader(bytes.NewReader(uploaded))
	if err != nil {
		return nil, &wasm.Invalid{Reason: "the module is not valid gzip: " + err.Error()}
	}
	raw, err := io.ReadAll(io.LimitReader(r, maxModuleBytes+1))
	switch {
	case err != nil:
		return nil, &wasm.Invalid{Reason: "the module is not valid gzip: " + err.Error()}
	case len(raw) > maxModuleBytes:
		return nil, &wasm.Invalid{Reason: fmt.Sprintf("the decompressed module is larger than %d bytes", maxModuleBytes)}
	}
	return raw, nil
}

// Module returns a canister's module; it compiled when it was installed.
func (x *Executor) Module(id types.CanisterID, code *state.Code) *wasm.Module {
	m, err := x.compile(code.ModuleHash, code.Module)
	must(id, err)
	return m
}

// open returns a canister's memories.
func (x *Executor) open(id types.CanisterID) *live {
	x.mu.Lock()
	defer x.mu.Unlock()
	if l := x.live[id]; l != nil {
		return l
	}
	l := &live{}
	var err error
	l.heapFile, err = x.deps.Memories.Heap(id)
	must(id, err)
	l.stableFile, err = x.deps.Memories.Stable(id)
	must(id, err)
	l.heap, err = l.heapFile.Update(MaxHeapBytes)
	must(id, err)
	l.stable, err = l.stableFile.Update(maxStableBytes, heap.HostTracked)
	must(id, err)
	x.live[id] = l
	return l
}

// instanceFor returns the canister's instance with its globals as they were last
// committed, making a new one if the code has changed, or if the instance's memory grew in
// a message that was forgotten: memories of instances do not shrink.
func (x *Executor) instanceFor(c *state.Canister, l *live) *wasm.Instance {
	if l.instance != nil && l.module == c.Code.ModuleHash && l.instance.Reusable() && len(l.instance.Memory()) == len(l.heap.Bytes()) {
		l.instance.SetGlobals(c.Code.Globals)
		return l.instance
	}
	l.dropInstance(c.ID)
	i, err := x.Module(c.ID, c.Code).Instantiate(wasm.InstanceConfig{
		Memory: l.heap, InitialPages: uint64(len(l.heap.Bytes())) / types.WasmPageBytes, Globals: c.Code.Globals,
	})
	must(c.ID, err)
	l.instance, l.module = i, c.Code.ModuleHash
	return i
}

func (l *live) dropInstance(id types.CanisterID) {
	if l.instance != nil {
		must(id, l.instance.Close())
		l.instance = nil
	}
}

// commit keeps what changed and returns how many bytes, in whole pages, that is.
func (l *live) commit(c *state.Canister) (changed uint64) {
	pages, err := l.heap.Commit()
	must(c.ID, err)
	more, err := l.stable.Commit()
	must(c.ID, err)
	c.StableBytes = uint64(len(l.stable.Bytes()))
	return uint64(pages+more) * types.OSPageBytes
}

func (l *live) rollback(id types.CanisterID) {
	must(id, l.heap.Rollback())
	must(id, l.stable.Rollback())
}
