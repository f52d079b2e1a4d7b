// Package live runs a replica on real time, goroutines and files: it drives rounds,
// certifies their states, and answers the HTTPS interface from them.
//
// Every block is on disk before it runs, and every state can be computed again from
// the newest checkpoint and the blocks since, so that a replica which is killed at
// any moment goes on with the state that it had certified.
package live

import (
	"context"
	"crypto/ed25519"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"runtime"
	"sync"
	"sync/atomic"
	"time"

	"portico/node/consensus"
	"portico/node/consensus/pool"
	"portico/node/crypto/bls"
	"portico/node/execution"
	"portico/node/ingress"
	"portico/node/messaging"
	"portico/node/state"
	"portico/node/state/heap"
	"portico/node/state/store"
	"portico/node/state/tree"
	"portico/node/types"
	"portico/node/wasm"
	"portico/node/wasm/ic0"
)

// Version is what the replica says of itself at /api/v2/status.
const Version = "portico-0.1.0"

// Config is what a replica is made of.
type Config struct {
	// Dir is the replica's folder: keys, blocks, checkpoints, working files.
	Dir         string
	Topology    tree.Topology
	Subnet      execution.Subnet
	NodeKey     ed25519.PrivateKey
	SubnetKey   *bls.SecretKey
	IdleRound   time.Duration // between rounds when nothing happens
	Checkpoints types.Height  // between checkpoints
	Log         *slog.Logger
}

// Replica is a running replica.
type Replica struct {
	cfg      Config
	engine   *wasm.Engine
	executor *execution.Executor
	machine  *messaging.Machine
	memories *memories
	store    *store.Store
	blocks   *pool.Pool
	ingress  *ingress.Pool
	metadata *metadata

	// What follows belongs to the goroutine that runs rounds.
	state     *state.State
	view      *tree.View
	parent    types.Hash
	certified *pool.Certification
	saved     types.Height // of the newest checkpoint

	snapshot atomic.Pointer[snapshot]
	mu       sync.Mutex
	next     chan struct{} // closed when a newer snapshot is there
}

// Open loads a replica from its folder, which may be empty, and replays the blocks
// since its newest checkpoint.
func Open(cfg Config) (*Replica, error) {
	r := &Replica{cfg: cfg, ingress: ingress.NewPool(), next: make(chan struct{})}
	if err := r.open(); err != nil {
		return nil, errors.Join(err, r.close())
	}
	return r, nil
}

func (r *Replica) open() (err error) {
	work := filepath.Join(r.cfg.Dir, "work")
	// working files promise nothing after a crash: they are made anew from checkpoints
	if err := os.RemoveAll(work); err != nil {
		return err
	}
	if err := os.MkdirAll(work, 0o700); err != nil {
		return err
	}
	// one worker: a defect of the compiler then refuses a module instead of ending the process
	r.engine, err = wasm.NewEngine(wasm.EngineConfig{Host: ic0.Functions(), CacheDir: filepath.Join(r.cfg.Dir, "compiled"), Workers: 1})
	if err != nil {
		return err
	}
	if r.store, err = store.Open(filepath.Join(r.cfg.Dir, "checkpoints")); err != nil {
		return err
	}
	if r.blocks, err = pool.Open(filepath.Join(r.cfg.Dir, "blocks.db")); err != nil {
		return err
	}
	r.memories = newMemories(work, heap.Best())
	parallel := Parallel(runtime.GOMAXPROCS(0))
	r.executor = execution.New(execution.Deps{Subnet: r.cfg.Subnet, Engine: r.engine, Memories: r.memories, Parallel: parallel})
	r.machine = &messaging.Machine{Subnet: r.cfg.Subnet, Executor: r.executor, Parallel: parallel}
	r.metadata = &metadata{executor: r.executor, sections: map[types.Hash]*tree.Trie{}}
	if err := r.load(); err != nil {
		return err
	}
	return r.replay()
}

// Parallel is execution's Parallel on n processors.
func Parallel(n int) execution.Parallel {
	return func(items int, work func(i int)) {
		if items == 1 || n == 1 {
			for i := range items {
				work(i)
			}
			return
		}
		var next atomic.Int64
		var wg sync.WaitGroup
		var failed atomic.Pointer[any]
		for range min(n, items) {
			wg.Go(func() {
				defer func() {
					if e := recover(); e != nil {
						failed.Store(&e)
					}
				}()
				for i := int(next.Add(1)) - 1; i < items; i = int(next.Add(1)) - 1 {
					work(i)
				}
			})
		}
		wg.Wait()
		if e := failed.Load(); e != nil {
			panic(*e)
		}
	}
}

// load takes the newest checkpoint, or the genesis state.
func (r *Replica) load() error {
	loaded, err := r.store.Latest()
	if err != nil {
		return err
	}
	if loaded == nil {
		r.state = state.New(types.TimeOf(time.Now()), r.cfg.Subnet.FirstCanister)
	} else if err := r.restore(loaded); err != nil {
		return err
	}
	r.view = tree.First(r.state, &r.cfg.Topology, r.metadata.of)
	r.saved = r.state.Height
	if loaded != nil && r.view.Root.Hash() != loaded.Root {
		return fmt.Errorf("checkpoint %d: its state has root hash %x, not %x", loaded.Height, r.view.Root.Hash(), loaded.Root)
	}
	r.certify()
	if loaded == nil {
		// what follows is computed from the genesis state, so it must be durable first
		return r.save()
	}
	return nil
}

func (r *Replica) restore(loaded *store.Loaded) error {
	saved, err := loaded.Blob(stateBlob)
	if err != nil {
		return err
	}
	r.state, err = state.Load(saved, func(h types.Hash) ([]byte, error) { return loaded.Blob(objectName(h)) })
	if err != nil {
		return err
	}
	parent, err := loaded.Blob(parentBlob)
	if err != nil {
		return err
	}
	r.parent = types.Hash(parent)
	return r.memories.restore(loaded, r.state.IDs())
}

// replay runs the blocks since the checkpoint again.
func (r *Replica) replay() error {
	n := 0
	err := r.blocks.Blocks(r.state.Height+1, func(b *consensus.Block) error {
		if b.Height != r.state.Height+1 {
			return fmt.Errorf("block %d follows height %d: blocks are missing", b.Height, r.state.Height)
		}
		if b.Parent != r.parent {
			return fmt.Errorf("block %d follows block %x, but the one before it is %x", b.Height, b.Parent, r.parent)
		}
		if b.ParentRoot != r.certified.Root {
			return fmt.Errorf("height %d: running its block again gives root hash %x, but %x was certified", r.state.Height, r.certified.Root, b.ParentRoot)
		}
		n++
		return r.execute(b)
	})
	if err != nil {
		return err
	}
	if n > 0 {
		r.cfg.Log.Info("replayed blocks", "blocks", n, "height", r.state.Height, "root", fmt.Sprintf("%x", r.certified.Root))
	}
	return nil
}

// Run makes rounds until the context ends, then takes a checkpoint. A panic of the
// replicated code stops the node and is returned with the height at which it happened.
func (r *Replica) Run(ctx context.Context) (err error) {
	defer func() {
		if e := recover(); e != nil {
			buf := make([]byte, 64<<10)
			err = fmt.Errorf("height %d, last root hash %x: %v\n%s", r.state.Height+1, r.certified.Root, e, buf[:runtime.Stack(buf, false)])
		}
	}()
	idle := time.NewTimer(0)
	defer idle.Stop()
	for {
		select {
		case <-ctx.Done():
			return r.checkpoint()
		case <-r.ingress.Arrived():
		case <-idle.C:
		}
		for more := true; more && ctx.Err() == nil; {
			if more, err = r.round(); err != nil {
				return err
			}
		}
		idle.Reset(r.cfg.IdleRound)
	}
}

// round makes one block and runs it.
func (r *Replica) round() (more bool, err error) {
	now := max(types.TimeOf(time.Now()), r.state.Time+1)
	b := &consensus.Block{
		Height: r.state.Height + 1, Parent: r.parent, Time: now, ParentRoot: r.certified.Root, Payload: r.ingress.Select(now),
	}
	change := pool.Change{Block: b, Certification: r.certified, PurgeBelow: r.saved}
	if err := r.blocks.Apply(change); err != nil {
		return false, err
	}
	if err := r.execute(b); err != nil {
		return false, err
	}
	if r.state.Height >= r.saved+r.cfg.Checkpoints {
		if err := r.checkpoint(); err != nil {
			return false, err
		}
	}
	var taken []types.RequestID
	for _, m := range b.Payload {
		call, err := m.Call()
		if err != nil {
			return false, err
		}
		taken = append(taken, call.ID)
	}
	return r.ingress.Remove(taken) || r.state.Backlog(), nil
}

// execute runs a block's batch, certifies the state and shows it to readers.
func (r *Replica) execute(b *consensus.Block) error {
	batch := messaging.Batch{Height: b.Height, Time: b.Time, Randomness: consensus.Randomness(r.cfg.SubnetKey.Sign(consensus.TapeMessage(b.Height)))}
	for _, m := range b.Payload {
		call, err := m.Call()
		if err != nil {
			return fmt.Errorf("block %d: %w", b.Height, err)
		}
		batch.Ingress = append(batch.Ingress, call)
	}
	r.state = r.machine.Round(r.state, batch)
	r.view = r.view.Next(r.state, r.state.Ingress().TakeChanged(), r.metadata.of)
	r.parent = b.Hash()
	r.certify()
	return nil
}

// The blobs of a checkpoint besides objects and memories.
const (
	stateBlob  = "state.cbor"
	parentBlob = "parent"
)

func objectName(h types.Hash) string { return fmt.Sprintf("object-%x", h[:]) }

// checkpoint makes the state durable, if it is newer than the newest checkpoint.
func (r *Replica) checkpoint() error {
	if r.state.Height == r.saved {
		return nil
	}
	return r.save()
}

func (r *Replica) save() error {
	began := time.Now()
	r.executor.AbandonAll()
	saved, objects, err := r.state.Save()
	if err != nil {
		return err
	}
	blobs := map[string][]byte{stateBlob: saved, parentBlob: r.parent[:]}
	for h, content := range objects {
		blobs[objectName(h)] = content
	}
	err = r.store.Write(store.Checkpoint{Height: r.state.Height, Root: r.certified.Root, Blobs: blobs, Memories: r.memories.all()})
	if err != nil {
		return err
	}
	r.saved = r.state.Height
	r.cfg.Log.Info("checkpoint", "height", r.saved, "took", time.Since(began).Round(time.Millisecond))
	return nil
}

// Close releases files. Run must have returned.
func (r *Replica) Close() error { return r.close() }

func (r *Replica) close() error {
	var errs []error
	if r.memories != nil {
		errs = append(errs, r.memories.close())
	}
	if r.engine != nil {
		errs = append(errs, r.engine.Close())
	}
	if r.blocks != nil {
		errs = append(errs, r.blocks.Close())
	}
	return errors.Join(errs...)
}
