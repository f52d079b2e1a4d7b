package live

import (
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"runtime"
	"sync"
	"sync/atomic"
	"time"

	"portico/lightclient/principal"
	"portico/node/consensus"
	"portico/node/crypto/bls"
	"portico/node/execution"
	"portico/node/messaging"
	"portico/node/registry"
	"portico/node/replica"
	"portico/node/state"
	"portico/node/state/heap"
	"portico/node/state/store"
	"portico/node/state/tree"
	"portico/node/types"
	"portico/node/wasm"
	"portico/node/wasm/ic0"
	"portico/node/wasm/sandbox"
)

// StatesConfig is what States are made of.
type StatesConfig struct {
	// Dir is the node's folder: checkpoints, compiled modules, working files.
	Dir     string
	Records *registry.Records
	// ShowFrom is the height that an earlier life of the node showed to users: those that are
	// computed again below it are not shown, so that users never see the subnet go back.
	ShowFrom types.Height
	// Engine, if given, is shared with others, who close it; the folder then keeps no compiled
	// modules.
	Engine *wasm.Engine
	// Limits of the subnet; the zero value means execution.DefaultLimits.
	Limits execution.Limits
	// Sandboxes is how many processes run canisters' code, each for a group of canisters; 0 runs
	// it in this process. The program must begin with sandbox.Serve when sandbox.Called.
	Sandboxes int
	// Interpreter runs canisters without compiling them: slow, and for comparisons only.
	Interpreter bool
	Log         *slog.Logger
}

// States is message routing, execution and state management on real files. It makes
// the states of a subnet, and shows those that are certified to users.
//
// What is on disk is the newest checkpoint; whatever came after it is computed again
// from the blocks since when the node starts.
type States struct {
	cfg      StatesConfig
	subnet   execution.Subnet
	topology tree.Topology
	engine   *wasm.Engine  // nil if it is shared
	pool     *sandbox.Pool // nil if canisters run in this process
	executor *execution.Executor
	machine  *messaging.Machine
	memories *memories
	finish   background // of the checkpoint that is being made
	prepare  background // of memories
	store    *store.Store
	metadata *metadata
	newest   replica.Executed

	// What follows belongs to whoever calls Execute and Certify.
	state *state.State
	view  *tree.View
	// checkpoint says that the newest state's batch asked for one.
	checkpoint bool

	known    atomic.Pointer[tree.View]          // the newest certified one
	full     atomic.Bool                        // the newest state can remember no more calls
	reports  atomic.Pointer[state.QueryReports] // of the newest certified one
	snapshot atomic.Pointer[snapshot]           // the newest that is shown; nil before this life's first
	mu       sync.Mutex
	next     chan struct{} // closed when a newer snapshot is there
}

var _ replica.States = (*States)(nil)

// OpenStates loads the newest checkpoint from a folder, which may be empty, or makes the
// genesis state.
func OpenStates(cfg StatesConfig) (*States, error) {
	s := &States{cfg: cfg, next: make(chan struct{})}
	if err := s.open(); err != nil {
		return nil, errors.Join(err, s.Close())
	}
	return s, nil
}

func (s *States) open() (err error) {
	if s.topology, err = topologyOf(s.cfg.Records); err != nil {
		return err
	}
	s.subnet = subnetOf(s.cfg.Records, s.topology.PublicKey)
	work := filepath.Join(s.cfg.Dir, "work")
	// working files promise nothing after a crash: they are made anew from checkpoints
	if err := os.RemoveAll(work); err != nil {
		return err
	}
	if err := os.MkdirAll(work, 0o700); err != nil {
		return err
	}
	engine := s.cfg.Engine
	if engine == nil {
		if err := s.start(); err != nil {
			return err
		}
		engine = s.engine
	}
	if s.store, err = store.Open(filepath.Join(s.cfg.Dir, "checkpoints")); err != nil {
		return err
	}
	s.memories = newMemories(work, heap.Best(), s.pool)
	parallel := Parallel(runtime.GOMAXPROCS(0))
	s.executor = execution.New(execution.Deps{
		Subnet: s.subnet, Engine: engine, Memories: s.memories, Residency: residency(), Parallel: parallel, Limits: s.cfg.Limits, QueryDeadline: queryDeadline,
	})
	s.machine = &messaging.Machine{Subnet: s.subnet, Executor: s.executor, Parallel: parallel}
	s.metadata = &metadata{executor: s.executor, modules: map[types.Hash]module{}}
	return s.load()
}

// start makes the engine, and the processes for it if there are to be any.
func (s *States) start() (err error) {
	// one worker: a defect of the compiler then refuses a module instead of ending the process
	cfg := wasm.EngineConfig{Host: ic0.Functions(), CacheDir: filepath.Join(s.cfg.Dir, "compiled"), Interpreter: s.cfg.Interpreter, Workers: 1}
	if s.cfg.Sandboxes > 0 {
		self, err := os.Executable()
		if err != nil {
			return err
		}
		s.pool, err = sandbox.New(sandbox.Config{Command: []string{self}, Imports: wasm.Imports(cfg.Host), Groups: s.cfg.Sandboxes, Stderr: os.Stderr})
		if err != nil {
			return err
		}
		if err := s.pool.Confined(); err != nil {
			s.cfg.Log.Warn("canisters run in processes that the system does not confine", "error", err)
		}
		cfg.Backend = s.pool
	}
	s.engine, err = wasm.NewEngine(cfg)
	return err
}

// topologyOf is what the state tree says of the subnet.
func topologyOf(r *registry.Records) (tree.Topology, error) {
	key, err := bls.ParsePublicKey(r.Subnet.High.Coefficients[0])
	if err != nil {
		return tree.Topology{}, fmt.Errorf("the subnet's key: %w", err)
	}
	t := tree.Topology{
		Subnet: r.Subnet.ID, PublicKey: key.DER(), Type: r.Subnet.Type,
		Ranges: []tree.Range{{First: principal.Canister(r.Subnet.FirstCanister), Last: principal.Canister(r.Subnet.LastCanister)}},
	}
	for _, id := range r.Subnet.Members {
		t.Nodes = append(t.Nodes, tree.Member{ID: id, PublicKey: r.Node(id).Key})
	}
	return t, nil
}

func subnetOf(r *registry.Records, rootKey []byte) execution.Subnet {
	return execution.Subnet{
		ID: r.Subnet.ID, RootKey: rootKey, CostNodes: r.Subnet.CostNodes,
		FirstCanister: r.Subnet.FirstCanister, LastCanister: r.Subnet.LastCanister, FirstGiven: r.Subnet.FirstGiven, Provisional: r.Subnet.Provisional,
		Admins: r.Subnet.Admins, Nodes: len(r.Subnet.Members), QueryEpoch: r.Subnet.QueryEpoch, Version: Version, RegistryVersion: uint64(r.Version),
	}
}

// maxQueryTime bounds a query and those that it calls in turn.
const maxQueryTime = 10 * time.Second

// queryDeadline begins the time that a query has.
func queryDeadline() func() bool {
	began := time.Now()
	return func() bool { return time.Since(began) > maxQueryTime }
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
func (s *States) load() error {
	loaded, err := s.store.Latest()
	if err != nil {
		return err
	}
	if loaded == nil {
		subnet := &s.cfg.Records.Subnet
		s.state = state.New(subnet.Genesis, max(subnet.FirstCanister, subnet.FirstGiven))
	} else if err := s.restore(loaded); err != nil {
		return err
	}
	s.view = tree.First(s.state, &s.topology, s.metadata.of)
	s.known.Store(s.view)
	s.reports.Store(&s.state.Queries)
	s.newest = s.executed()
	if loaded == nil {
		return nil
	}
	if s.newest.Root != loaded.Root {
		return fmt.Errorf("checkpoint %d: its state has root hash %x, not %x", loaded.Height, s.newest.Root, loaded.Root)
	}
	s.newest.Checkpoint = loaded.Hash()
	return nil
}

func (s *States) restore(loaded *store.Loaded) error {
	saved, err := loaded.Blob(stateBlob)
	if err != nil {
		return err
	}
	s.state, err = state.Load(saved, func(h types.Hash) ([]byte, error) { return loaded.Blob(objectName(h)) })
	if err != nil {
		return err
	}
	return s.memories.restore(loaded, s.state)
}

// Newest implements replica.States.
func (s *States) Newest() replica.Executed { return s.newest }

func (s *States) executed() replica.Executed {
	return replica.Executed{
		Height: s.state.Height, Root: s.view.Root.Hash(), Backlog: s.state.Backlog(), Quick: execution.Quick(s.state, s.state.Time),
	}
}

// State is the newest state, certified or not, to read until the next Execute.
func (s *States) State() *state.State { return s.state }

// Execute implements replica.States.
func (s *States) Execute(b *replica.Batch) (replica.Executed, error) {
	if b.Height != s.state.Height+1 {
		return replica.Executed{}, fmt.Errorf("the batch of height %d follows the state of height %d", b.Height, s.state.Height)
	}
	batch := messaging.Batch{Height: b.Height, Time: b.Time, Randomness: b.Randomness, Maker: b.Maker, Failed: b.Failed, Queries: b.Queries, Checkpoint: b.Checkpoint}
	for _, c := range b.Calls {
		batch.Ingress = append(batch.Ingress, c.Batched())
	}
	s.state = s.machine.Round(s.state, batch)
	s.view = s.view.Next(s.state, s.state.Ingress().TakeChanged(), s.metadata.of)
	s.checkpoint = b.Checkpoint
	s.full.Store(s.state.Ingress().Full())
	return s.executed(), nil
}

// Certify implements replica.States. A certification of another root hash than this
// node's stops the node: one of the two computed something else.
func (s *States) Certify(c *consensus.Aggregate) (func() (types.Hash, error), error) {
	root := s.view.Root.Hash()
	if c.Height != s.state.Height {
		return nil, fmt.Errorf("height %d was certified, but the newest state is of height %d", c.Height, s.state.Height)
	}
	if c.Hash != root {
		return nil, fmt.Errorf("height %d: running its block gives root hash %x, but %x was certified", c.Height, root, c.Hash)
	}
	s.publish(c.Signature)
	if !s.checkpoint {
		return nil, nil
	}
	s.checkpoint = false
	return s.save(root)
}

// publish shows the newest state to users.
func (s *States) publish(signature []byte) {
	shown := &snapshot{states: s, state: s.state, view: s.view, signature: signature}
	shared := s.executor.Publish(execution.Published{State: s.state, Certificate: shown.dataCertificate}, s.state.Edited())
	for _, m := range shared {
		s.prepare.begin(m.Prepare)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.known.Store(s.view)
	s.reports.Store(&s.state.Queries)
	if s.state.Height < s.cfg.ShowFrom {
		return
	}
	s.snapshot.Store(shown)
	close(s.next)
	s.next = make(chan struct{})
}

// Known implements replica.States.
func (s *States) Known(id types.RequestID) bool { return s.known.Load().Request(id) != nil }

// Counted implements consensus.Queries.
func (s *States) Counted(epoch uint64, after types.CanisterID, most int) []types.QueryReport {
	return s.executor.CountedQueries(epoch, after, most)
}

// Reported implements consensus.Queries.
func (s *States) Reported(by types.NodeID, epoch uint64) types.CanisterID {
	return s.reports.Load().Last(by, epoch)
}

// stateBlob is a checkpoint's blob besides objects and memories.
const stateBlob = "state.cbor"

func objectName(h types.Hash) string { return fmt.Sprintf("object-%x", h[:]) }

// save begins to make the state durable, and returns what waits for the end of that. Messages that
// are in the middle are given up: whoever starts from the checkpoint knows nothing of them, so
// nobody goes on with them.
func (s *States) save(root types.Hash) (func() (types.Hash, error), error) {
	began := time.Now()
	s.executor.AbandonAll()
	saved, objects, err := s.state.Save()
	if err != nil {
		return nil, err
	}
	blobs := map[string][]byte{stateBlob: saved}
	for h, content := range objects {
		blobs[objectName(h)] = content
	}
	if err := s.prepare.wait(); err != nil {
		return nil, err
	}
	height := s.state.Height
	w, err := s.store.Begin(store.Checkpoint{Height: height, Root: root, Blobs: blobs, Memories: s.memories.filled()})
	if err != nil {
		return nil, err
	}
	held := time.Since(began)
	s.finish.begin(func() error {
		if err := w.Finish(); err != nil {
			return err
		}
		s.prepare.begin(s.store.Prepare)
		s.cfg.Log.Info("checkpoint", "height", uint64(height), "took", time.Since(began).Round(time.Millisecond), "held up the next round for", held.Round(time.Millisecond))
		return nil
	})
	return func() (types.Hash, error) {
		err := s.finish.wait()
		return s.store.Hash(), err
	}, nil
}

// Close releases files. Nobody may use the States any more.
func (s *States) Close() error {
	errs := []error{s.finish.wait(), s.prepare.wait()}
	if s.executor != nil {
		errs = append(errs, s.executor.Close())
	}
	if s.memories != nil {
		errs = append(errs, s.memories.close())
	}
	if s.engine != nil {
		errs = append(errs, s.engine.Close())
	}
	return errors.Join(errs...)
}
