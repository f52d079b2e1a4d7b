// Package canistertest runs canisters for tests: one replica's message routing,
// execution and certified tree, without consensus, signatures or time of its own.
package canistertest

import (
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"portico/lightclient/candid/marshal"
	"portico/lightclient/hashtree"
	"portico/lightclient/principal"
	"portico/node/execution"
	"portico/node/messaging"
	"portico/node/state"
	"portico/node/state/heap"
	"portico/node/state/tree"
	"portico/node/types"
	"portico/node/wasm"
	"portico/node/wasm/ic0"
	"portico/node/wasm/sandbox"
)

// start is the time at which every Network begins.
const start types.Time = 1_750_000_000_000_000_000

// maxRounds is how many rounds a call may take.
const maxRounds = 50

// Network is a subnet of one in a test.
type Network struct {
	t        testing.TB
	executor *execution.Executor
	machine  *messaging.Machine
	state    *state.State
	setup    Setup
	files    *files
	requests uint64
}

// Subnet is what New makes a network of.
func Subnet() execution.Subnet {
	return execution.Subnet{
		ID: principal.SelfAuthenticating([]byte("subnet")), RootKey: make([]byte, 133), CostNodes: 13, LastCanister: 1 << 20, Provisional: true, Nodes: 1,
		Version: "test", RegistryVersion: 7,
	}
}

// Setup is what a Network is made of.
type Setup struct {
	Subnet execution.Subnet
	// Limits of the subnet; the zero value means execution.DefaultLimits.
	Limits execution.Limits
	// Parallel is in order if it is nil.
	Parallel execution.Parallel
	// Residency is that of execution.Deps.
	Residency execution.Residency
	// Sandboxes are where canisters run and have their heaps; nil is this process. The
	// Network closes them.
	Sandboxes *sandbox.Pool
	// QueryDeadline is that of execution.Deps.
	QueryDeadline func() func() bool
	// Unchecked: the rounds do not add up all cycles, as they do otherwise.
	Unchecked bool
}

// New makes an empty network that ends with the test.
func New(t testing.TB) *Network {
	t.Helper()
	return NewOn(t, Subnet())
}

// NewOn makes an empty network of a subnet that ends with the test.
func NewOn(t testing.TB, subnet execution.Subnet) *Network {
	t.Helper()
	return NewWith(t, Setup{Subnet: subnet})
}

// NewWith makes an empty network that ends with the test.
func NewWith(t testing.TB, setup Setup) *Network {
	t.Helper()
	cfg := wasm.EngineConfig{Host: ic0.Functions()}
	if setup.Sandboxes != nil {
		cfg.Backend = setup.Sandboxes
	}
	engine, err := wasm.NewEngine(cfg)
	if err != nil {
		t.Fatal(err)
	}
	files := &files{dir: t.TempDir(), backend: heap.Best(), sandboxes: setup.Sandboxes, open: map[string]*heap.Memory{}}
	parallel := setup.Parallel
	if parallel == nil {
		parallel = func(n int, work func(int)) {
			for i := range n {
				work(i)
			}
		}
	}
	x := execution.New(execution.Deps{
		Subnet: setup.Subnet, Engine: engine, Memories: files, Parallel: parallel, Limits: setup.Limits, Residency: setup.Residency, QueryDeadline: setup.QueryDeadline,
	})
	n := &Network{
		t: t, executor: x, state: state.New(start, max(setup.Subnet.FirstCanister, setup.Subnet.FirstGiven)), setup: setup, files: files,
		machine: &messaging.Machine{Subnet: setup.Subnet, Executor: x, Parallel: parallel},
	}
	t.Cleanup(func() {
		files.close(t)
		if err := engine.Close(); err != nil {
			t.Error(err)
		}
	})
	n.publish()
	return n
}

// Executor runs the network's canisters.
func (n *Network) Executor() *execution.Executor { return n.executor }

// State is the newest state, to read.
func (n *Network) State() *state.State { return n.state }

// Tick runs a round a duration after the last one.
func (n *Network) Tick(after time.Duration) { n.round(after, messaging.Batch{}) }

// TickBy is Tick with a block by a node, which others failed to make.
func (n *Network) TickBy(after time.Duration, maker types.NodeID, failed ...types.NodeID) {
	n.round(after, messaging.Batch{Maker: maker, Failed: failed})
}

// TickReporting is Tick with a block whose maker reports queries that it answered.
func (n *Network) TickReporting(after time.Duration, maker types.NodeID, reports ...types.QueryReport) {
	n.round(after, messaging.Batch{Maker: maker, Queries: reports})
}

func (n *Network) round(after time.Duration, b messaging.Batch) {
	b.Height, b.Time = n.state.Height+1, n.state.Time.Add(after)
	b.Randomness = sha256.Sum256(binary.BigEndian.AppendUint64(nil, uint64(b.Height)))
	n.state = n.machine.Round(n.state, b)
	if !n.setup.Unchecked {
		if err := execution.LedgerOf(n.state).Check(); err != nil {
			n.t.Errorf("height %d: %v", b.Height, err)
		}
	}
	n.publish()
}

// Checkpoint runs a round whose state is made durable.
func (n *Network) Checkpoint() { n.round(time.Second, messaging.Batch{Checkpoint: true}) }

func (n *Network) publish() {
	shown := n.state
	certificate := func(id principal.ID) ([]byte, error) { return certificate(shown, id) }
	n.executor.Publish(execution.Published{State: shown, Certificate: certificate}, shown.Edited())
}

// certificate is a stand-in that only this package reads: the witness, unsigned.
func certificate(s *state.State, id types.CanisterID) ([]byte, error) {
	trie := (*tree.Trie)(nil).With(id.Raw(), tree.Leaf(s.Canister(id).CertifiedData))
	return hashtree.Append(nil, trie.Witness([]hashtree.Path{{id.Bytes()}})), nil
}

// A Call is a user's call for SendAll.
type Call struct {
	From, To principal.ID
	Method   string
	Arg      []byte
}

// SendAll submits calls in one block and returns their ids.
func (n *Network) SendAll(calls ...Call) []types.RequestID {
	n.t.Helper()
	var ids []types.RequestID
	var ingress []*messaging.Ingress
	for _, c := range calls {
		in := n.ingress(c.From, c.To, c.Method, c.Arg)
		ids, ingress = append(ids, in.ID), append(ingress, in)
	}
	n.round(time.Millisecond, messaging.Batch{Ingress: ingress})
	return ids
}

// Send submits a user's call and returns its id; Tick lets it run.
func (n *Network) Send(from, to principal.ID, method string, arg []byte) types.RequestID {
	n.t.Helper()
	in := n.ingress(from, to, method, arg)
	n.round(time.Millisecond, messaging.Batch{Ingress: []*messaging.Ingress{in}})
	return in.ID
}

func (n *Network) ingress(from, to principal.ID, method string, arg []byte) *messaging.Ingress {
	n.requests++
	id := types.RequestID(sha256.Sum256(binary.BigEndian.AppendUint64(nil, n.requests)))
	return &messaging.Ingress{ID: id, Expiry: n.state.Time.Add(5 * time.Minute), Bytes: len(arg), Request: state.Request{
		Origin: state.Origin{Kind: state.FromUser, Sender: from, Request: id}, Receiver: to, Method: method, Arg: arg, Effective: to,
	}}
}

// Result is the answer to a call; ok is false while there is none.
func (n *Network) Result(id types.RequestID) (reply []byte, reject *types.Reject, ok bool) {
	e := n.state.Ingress().Get(id)
	if e == nil || !e.Status.Terminal() {
		return nil, nil, false
	}
	return e.Reply, e.Reject, true
}

// Call makes a user's call and runs rounds until it is answered.
func (n *Network) Call(from, to principal.ID, method string, arg []byte) ([]byte, *types.Reject) {
	n.t.Helper()
	id := n.Send(from, to, method, arg)
	for range maxRounds {
		if reply, reject, ok := n.Result(id); ok {
			return reply, reject
		}
		n.Tick(time.Second)
	}
	n.t.Fatalf("%s was not answered within %d rounds", method, maxRounds)
	return nil, nil
}

// Query makes a user's query call.
func (n *Network) Query(from, to principal.ID, method string, arg []byte) ([]byte, *types.Reject) {
	q := execution.Query{Canister: to, Method: method, Arg: arg, Sender: from}
	if to.IsManagement() {
		return n.executor.QueryManagement(q)
	}
	return n.executor.Query(q)
}

// Inspect asks whether the replica would take a user's call to the management canister
// into a block.
func (n *Network) Inspect(from principal.ID, method string, arg any) *types.Reject {
	n.t.Helper()
	return n.executor.InspectManagement(execution.Query{Method: method, Arg: Encode(n.t, arg), Sender: from})
}

// InspectCall asks whether the replica would take a user's call to a canister into a block.
func (n *Network) InspectCall(from, to principal.ID, method string, arg []byte) *types.Reject {
	return n.executor.Inspect(execution.Query{Canister: to, Method: method, Arg: arg, Sender: from})
}

// Manage calls the management canister with one argument and decodes its results.
func (n *Network) Manage(from principal.ID, method string, arg any, results ...any) *types.Reject {
	n.t.Helper()
	reply, reject := n.Call(from, principal.ID{}, method, Encode(n.t, arg))
	if reject == nil {
		Decode(n.t, reply, results...)
	}
	return reject
}

// Encode encodes Candid arguments.
func Encode(t testing.TB, values ...any) []byte {
	t.Helper()
	b, err := marshal.Encode(values...)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// Decode decodes Candid results.
func Decode(t testing.TB, b []byte, into ...any) {
	t.Helper()
	if err := marshal.Decode(b, into...); err != nil {
		t.Fatal(err)
	}
}

// Mode is an install mode.
type Mode struct {
	Install   bool      `candid:"install,variant"`
	Reinstall bool      `candid:"reinstall,variant"`
	Upgrade   **Options `candid:"upgrade,variant"`
}

// Options are the options of an upgrade.
type Options struct {
	SkipPreUpgrade *bool        `candid:"skip_pre_upgrade"`
	Persistence    *Persistence `candid:"wasm_memory_persistence"`
}

// Persistence says what becomes of the heap.
type Persistence struct {
	Keep    bool `candid:"keep,variant"`
	Replace bool `candid:"replace,variant"`
}

// Upgrade is the mode of an upgrade with these options.
func Upgrade(o Options) Mode {
	p := &o
	return Mode{Upgrade: &p}
}

// Create makes a canister with cycles for anything.
func (n *Network) Create(by principal.ID) principal.ID {
	n.t.Helper()
	var created struct {
		ID principal.ID `candid:"canister_id"`
	}
	if rej := n.Manage(by, "provisional_create_canister_with_cycles", struct{}{}, &created); rej != nil {
		n.t.Fatal(rej)
	}
	return created.ID
}

// installArg is the argument of install_code.
type installArg struct {
	Mode     Mode         `candid:"mode"`
	Canister principal.ID `candid:"canister_id"`
	Module   []byte       `candid:"wasm_module"`
	Arg      []byte       `candid:"arg"`
}

// InstallCode calls install_code.
func (n *Network) InstallCode(by, canister principal.ID, mode Mode, module, arg []byte) *types.Reject {
	n.t.Helper()
	return n.Manage(by, "install_code", installArg{mode, canister, module, arg})
}

// SendInstall submits a call of install_code and returns its id.
func (n *Network) SendInstall(by, canister principal.ID, mode Mode, module, arg []byte) types.RequestID {
	n.t.Helper()
	return n.SendAll(n.InstallCall(by, canister, mode, module, arg))[0]
}

// InstallCall is a call of install_code.
func (n *Network) InstallCall(by, canister principal.ID, mode Mode, module, arg []byte) Call {
	n.t.Helper()
	return Call{by, principal.ID{}, "install_code", Encode(n.t, installArg{mode, canister, module, arg})}
}

// Install makes a canister and installs a module into it.
func (n *Network) Install(by principal.ID, module, arg []byte) principal.ID {
	n.t.Helper()
	id := n.Create(by)
	if rej := n.InstallCode(by, id, Mode{Install: true}, module, arg); rej != nil {
		n.t.Fatal(rej)
	}
	return id
}

// Memories are the hashes of what a canister's heap and stable memory hold.
func (n *Network) Memories(id principal.ID) (heap, stable types.Hash) {
	n.t.Helper()
	return n.hash(n.files.Heap(id)), n.hash(n.files.Stable(id))
}

func (n *Network) hash(m *heap.Memory, err error) types.Hash {
	n.t.Helper()
	if err != nil {
		n.t.Fatal(err)
	}
	content := make([]byte, m.CommittedSize())
	if err := m.ReadCommitted(content, 0); err != nil {
		n.t.Fatal(err)
	}
	return sha256.Sum256(content)
}

// files are memories in a temporary folder.
type files struct {
	dir       string
	backend   heap.Backend
	sandboxes *sandbox.Pool
	mu        sync.Mutex
	open      map[string]*heap.Memory
}

func (f *files) Heap(id principal.ID) (*heap.Memory, error) {
	m, err := f.get(id.String() + ".heap")
	if err == nil && f.sandboxes != nil {
		m.ViewsIn(f.sandboxes.Group(0))
	}
	return m, err
}

func (f *files) Stable(id principal.ID) (*heap.Memory, error) { return f.get(id.String() + ".stable") }

func (f *files) get(name string) (*heap.Memory, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if m := f.open[name]; m != nil {
		return m, nil
	}
	m, err := heap.Open(filepath.Join(f.dir, name), f.backend)
	f.open[name] = m
	return m, err
}

func (f *files) Remove(id principal.ID) error { return f.remove(id.String()) }

func (f *files) Snapshot(id state.SnapshotID) (heap, stable *heap.Memory, err error) {
	if heap, err = f.get(snapshotName(id) + ".heap"); err == nil {
		stable, err = f.get(snapshotName(id) + ".stable")
	}
	return heap, stable, err
}

func (f *files) RemoveSnapshot(id state.SnapshotID) error { return f.remove(snapshotName(id)) }

func snapshotName(id state.SnapshotID) string {
	return fmt.Sprintf("%s.snapshot-%d", id.Canister, id.Number)
}

func (f *files) remove(id string) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, name := range []string{id + ".heap", id + ".stable"} {
		if m := f.open[name]; m != nil {
			delete(f.open, name)
			if err := m.Remove(); err != nil {
				return err
			}
		}
	}
	return nil
}

func (f *files) close(t testing.TB) {
	for _, m := range f.open {
		if err := m.Close(); err != nil {
			t.Error(err)
		}
	}
}
