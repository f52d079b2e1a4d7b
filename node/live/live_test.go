package live

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/binary"
	"errors"
	"fmt"
	"log/slog"
	mathrand "math/rand/v2"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"portico/lightclient/candid/marshal"
	"portico/lightclient/envelope"
	"portico/lightclient/principal"
	"portico/node/api"
	"portico/node/artifact"
	"portico/node/canistertest"
	"portico/node/consensus"
	"portico/node/registry"
	"portico/node/replica"
	"portico/node/types"
)

// subnet is a network whose replicas run in this process.
type subnet struct {
	t       testing.TB
	dir     string
	records *registry.Records
	members []Member
	nodes   []*running
	seen    types.Height // of the newest answer: a user's next request is answered from there on
}

type running struct {
	*Replica
	subnet *subnet
	cancel context.CancelFunc
	done   chan error
}

// testInterval is the distance of checkpoints in tests.
const testInterval = 5

// newSubnet deals for n nodes and starts none.
func newSubnet(t testing.TB, n int, interval types.Height) *subnet {
	t.Helper()
	g := Genesis{
		UnitDelay: 1500 * time.Millisecond, NotaryDelay: 5 * time.Millisecond, IdleDelay: 20 * time.Millisecond, Interval: interval,
		Type: "application", Provisional: true, LastCanister: 1 << 20, CostNodes: 13,
	}
	for range n {
		g.Addresses = append(g.Addresses, Addresses{Peers: freeAddress(t)})
	}
	records, members, err := Deal(g)
	if err != nil {
		t.Fatal(err)
	}
	return &subnet{t: t, dir: t.TempDir(), records: records, members: members, nodes: make([]*running, n)}
}

// startSubnet starts n replicas, which end with the test.
func startSubnet(t testing.TB, n int, interval types.Height) *subnet {
	s := newSubnet(t, n, interval)
	for i := range n {
		s.start(i)
	}
	t.Cleanup(func() {
		for i, r := range s.nodes {
			if r != nil {
				s.stop(i)
			}
		}
	})
	return s
}

// freeAddress is one that nobody listens at. Its port is below those that systems choose for
// outgoing connections: nobody is given it before its node starts, or starts again.
func freeAddress(t testing.TB) string {
	t.Helper()
	const first, count = 20_000, 12_000
	for range 100 {
		l, err := net.Listen("tcp", net.JoinHostPort("127.0.0.1", strconv.Itoa(first+mathrand.IntN(count))))
		if err != nil {
			continue
		}
		if err := l.Close(); err != nil {
			t.Fatal(err)
		}
		return l.Addr().String()
	}
	t.Fatal("no free port found")
	return ""
}

func listenAt(t testing.TB, address string) net.Listener {
	t.Helper()
	l, err := net.Listen("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	return l
}

func (s *subnet) config(i int) Config {
	return Config{
		Dir: filepath.Join(s.dir, fmt.Sprint(i)), Records: s.records, Keys: s.members[i].Keys,
		Listener: listenAt(s.t, s.members[i].Node.Peers), Log: slog.New(slog.DiscardHandler),
	}
}

func (s *subnet) start(i int) {
	s.t.Helper()
	r, err := Open(s.config(i))
	if err != nil {
		s.t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	n := &running{r, s, cancel, make(chan error, 1)}
	go func() { n.done <- r.Run(ctx) }()
	s.nodes[i] = n
}

// stop ends a replica. As nothing is saved then, it is what a crash leaves.
func (s *subnet) stop(i int) {
	s.t.Helper()
	n := s.nodes[i]
	s.nodes[i] = nil
	n.cancel()
	if err := errors.Join(<-n.done, n.Close()); err != nil {
		s.t.Fatal(err)
	}
}

// reach waits until a replica has certified a height, and returns the state.
func (n *running) reach(t testing.TB, h types.Height) *snapshot {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	shown, err := n.states.await(ctx, func(s *snapshot) bool { return s.view.Height >= h })
	if err != nil {
		t.Fatalf("waiting for height %d: %v", h, err)
	}
	return shown
}

// submit hands an anonymous call to a replica.
func (n *running) submit(t testing.TB, to, effective principal.ID, method string, arg []byte) types.RequestID {
	t.Helper()
	n.reach(t, n.subnet.seen)
	nonce := make([]byte, 16)
	if _, err := rand.Read(nonce); err != nil {
		t.Fatal(err)
	}
	e, err := envelope.Anonymous{}.Sign(envelope.Request{
		Kind: envelope.Call, Canister: to, Method: method, Arg: arg, Nonce: nonce, IngressExpiry: uint64(time.Now().Add(4 * time.Minute).UnixNano()),
	})
	if err != nil {
		t.Fatal(err)
	}
	rej, err := n.Submit(context.Background(), api.Ingress{Envelope: e, Raw: e.Append(nil), Effective: api.Target{ID: effective}})
	if err != nil || rej != nil {
		t.Fatal(err, rej)
	}
	return e.RequestID
}

// call submits a call and waits for its certified answer.
func (n *running) call(t testing.TB, to, effective principal.ID, method string, arg []byte) []byte {
	t.Helper()
	id := n.submit(t, to, effective, method, arg)
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	found, err := n.Await(ctx, id)
	if err != nil {
		t.Fatalf("%s: %v", method, err)
	}
	s := found.(*snapshot)
	n.subnet.seen = s.view.Height
	e := s.view.Request(id)
	if e.Reject != nil {
		t.Fatal(e.Reject)
	}
	return e.Reply
}

// installCounter makes a canister that counts.
func installCounter(t testing.TB, n *running) principal.ID {
	t.Helper()
	any := principal.Canister(0)
	reply := n.call(t, principal.ID{}, any, "provisional_create_canister_with_cycles", canistertest.Encode(t, struct{}{}))
	var created struct {
		ID principal.ID `candid:"canister_id"`
	}
	canistertest.Decode(t, reply, &created)
	arg, err := marshal.Encode(struct {
		Mode     canistertest.Mode `candid:"mode"`
		Canister principal.ID      `candid:"canister_id"`
		Module   []byte            `candid:"wasm_module"`
		Arg      []byte            `candid:"arg"`
	}{canistertest.Mode{Install: true}, created.ID, canistertest.Counter(), nil})
	if err != nil {
		t.Fatal(err)
	}
	n.call(t, principal.ID{}, created.ID, "install_code", arg)
	return created.ID
}

func increment(t testing.TB, n *running, id principal.ID) uint64 {
	return binary.LittleEndian.Uint64(n.call(t, id, id, "inc", nil))
}

// TestACrashAtAnyHeightLeavesTheCertifiedState ends a replica around heights with and
// without checkpoints. When it starts again it executes its blocks again: would one give
// another root hash than was certified, it would stop.
func TestACrashAtAnyHeightLeavesTheCertifiedState(t *testing.T) {
	s := startSubnet(t, 1, testInterval)
	id := installCounter(t, s.nodes[0])
	for n := uint64(1); n <= 12; n++ {
		if got := increment(t, s.nodes[0], id); got != n {
			t.Fatalf("the counter is %d, want %d", got, n)
		}
		before := s.nodes[0].reach(t, 0).view
		s.stop(0)
		s.start(0)
		after := s.nodes[0].reach(t, before.Height).view
		if after.Height == before.Height && after.Root.Hash() != before.Root.Hash() {
			t.Fatalf("height %d has root %x after the crash, want %x", after.Height, after.Root.Hash(), before.Root.Hash())
		}
	}
}

func TestFourReplicasCountTogether(t *testing.T) {
	s := startSubnet(t, 4, testInterval)
	id := installCounter(t, s.nodes[0])
	for n := uint64(1); n <= 20; n++ {
		if got := increment(t, s.nodes[n%4], id); got != n {
			t.Fatalf("the counter is %d, want %d", got, n)
		}
	}
}

// TestCheckpointsAreTheSameOnAllReplicas restarts one replica between checkpoints, so that
// its state is computed from a file and not from genesis.
func TestCheckpointsAreTheSameOnAllReplicas(t *testing.T) {
	s := startSubnet(t, 4, testInterval)
	id := installCounter(t, s.nodes[0])
	for n := range types.Height(4) {
		increment(t, s.nodes[0], id)
		h := s.nodes[0].reach(t, 0).view.Height
		victim := 1 + int(n)%3
		s.nodes[victim].reach(t, h+testInterval)
		s.stop(victim)
		s.start(victim)
		for _, r := range s.nodes {
			r.reach(t, h+3*testInterval)
		}
	}
	hashes := map[types.Height]types.Hash{}
	for i := range s.nodes {
		s.stop(i)
		states, err := OpenStates(StatesConfig{Dir: filepath.Join(s.dir, fmt.Sprint(i)), Records: s.records, Log: slog.New(slog.DiscardHandler)})
		if err != nil {
			t.Fatal(err)
		}
		n := states.Newest()
		if h, ok := hashes[n.Height]; ok && h != n.Checkpoint || n.Checkpoint == (types.Hash{}) {
			t.Errorf("replica %d has checkpoint %x of height %d, another has %x", i, n.Checkpoint, n.Height, h)
		}
		hashes[n.Height] = n.Checkpoint
		if err := states.Close(); err != nil {
			t.Fatal(err)
		}
	}
	if len(hashes) > 2 {
		t.Errorf("the replicas' newest checkpoints are of %d different heights", len(hashes))
	}
}

func TestAStateThatWasCertifiedDifferentlyIsNotServed(t *testing.T) {
	s := newSubnet(t, 1, testInterval)
	states, err := OpenStates(StatesConfig{Dir: s.dir, Records: s.records, Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	ended, err := states.Execute(&replica.Batch{Height: 1, Time: s.records.Subnet.Genesis + 1})
	if err != nil {
		t.Fatal(err)
	}
	other := ended.Root
	other[0] ^= 1
	_, err = states.Certify(&consensus.Aggregate{Content: consensus.Content{Kind: artifact.Certification, Height: 1, Hash: other}})
	if err == nil || !strings.Contains(err.Error(), fmt.Sprintf("%x", other)) || !strings.Contains(err.Error(), fmt.Sprintf("%x", ended.Root)) {
		t.Errorf("another root hash was certified, with error %v", err)
	}
	if _, err := states.certified(); err == nil {
		t.Error("the state is served")
	}
	if err := states.Close(); err != nil {
		t.Fatal(err)
	}
}

func TestADamagedBlockIsNamed(t *testing.T) {
	s := startSubnet(t, 1, 1000)
	id := installCounter(t, s.nodes[0])
	increment(t, s.nodes[0], id)
	s.stop(0)
	path := filepath.Join(s.dir, "0", "artifacts.db")
	content, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	damaged := bytes.ReplaceAll(content, []byte("inc"), []byte("inb")) // in pages of earlier versions, too
	if bytes.Equal(content, damaged) {
		t.Fatal("the block with the call is not in the file")
	}
	if err := os.WriteFile(path, damaged, 0o600); err != nil {
		t.Fatal(err)
	}
	_, err = Open(s.config(0))
	if err == nil || !strings.Contains(err.Error(), path) {
		t.Fatalf("a damaged block was opened with error %v", err)
	}
}

func TestANodeOfAnotherSubnetIsRefused(t *testing.T) {
	s, other := newSubnet(t, 1, testInterval), newSubnet(t, 1, testInterval)
	cfg := s.config(0)
	cfg.Keys = other.members[0].Keys
	if _, err := Open(cfg); err == nil || !strings.Contains(err.Error(), other.members[0].Node.ID.String()) {
		t.Errorf("opened with error %v", err)
	}
}
