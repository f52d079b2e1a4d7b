package live

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/x509"
	"encoding/binary"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"portico/lightclient/candid/marshal"
	"portico/lightclient/envelope"
	"portico/lightclient/principal"
	"portico/node/api"
	"portico/node/canistertest"
	"portico/node/crypto/bls"
	"portico/node/execution"
	"portico/node/state/tree"
	"portico/node/types"
)

func testConfig(t testing.TB, dir string) Config {
	t.Helper()
	_, node, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	subnet, err := bls.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	der, err := x509.MarshalPKIXPublicKey(node.Public())
	if err != nil {
		t.Fatal(err)
	}
	id := principal.SelfAuthenticating(subnet.PublicKeyDER())
	last := uint64(1 << 20)
	return Config{
		Dir: dir, NodeKey: node, SubnetKey: subnet, IdleRound: 50 * time.Millisecond, Checkpoints: 5, Log: slog.New(slog.DiscardHandler),
		Topology: tree.Topology{
			Subnet: id, PublicKey: subnet.PublicKeyDER(), Type: "application", Nodes: []tree.Member{{ID: principal.SelfAuthenticating(der), PublicKey: der}},
			Ranges: []tree.Range{{First: principal.Canister(0), Last: principal.Canister(last)}},
		},
		Subnet: execution.Subnet{ID: id, RootKey: subnet.PublicKeyDER(), CostNodes: 13, LastCanister: last, Provisional: true},
	}
}

func open(t testing.TB, cfg Config) *Replica {
	t.Helper()
	r, err := Open(cfg)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// submit puts an anonymous call into the pool.
func submit(t testing.TB, r *Replica, to, effective principal.ID, method string, arg []byte) types.RequestID {
	t.Helper()
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
	rej, err := r.Submit(t.Context(), api.Ingress{Envelope: e, Raw: e.Append(nil), Effective: api.Target{ID: effective}})
	if err != nil || rej != nil {
		t.Fatal(err, rej)
	}
	return e.RequestID
}

// call submits a call and makes rounds until it is answered.
func call(t testing.TB, r *Replica, to, effective principal.ID, method string, arg []byte) []byte {
	t.Helper()
	id := submit(t, r, to, effective, method, arg)
	for range 10 {
		if _, err := r.round(); err != nil {
			t.Fatal(err)
		}
		if e := r.view.Request(id); e != nil && e.Status.Terminal() {
			if e.Reject != nil {
				t.Fatal(e.Reject)
			}
			return e.Reply
		}
	}
	t.Fatalf("%s was not answered", method)
	return nil
}

// installCounter makes a canister that counts.
func installCounter(t testing.TB, r *Replica) principal.ID {
	t.Helper()
	any := principal.Canister(0)
	reply := call(t, r, principal.ID{}, any, "provisional_create_canister_with_cycles", canistertest.Encode(t, struct{}{}))
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
	call(t, r, principal.ID{}, created.ID, "install_code", arg)
	return created.ID
}

func increment(t testing.TB, r *Replica, id principal.ID) uint64 {
	return binary.LittleEndian.Uint64(call(t, r, id, id, "inc", nil))
}

// TestACrashAtAnyHeightLeavesTheCertifiedState abandons a replica without closing it in
// order, around heights with and without checkpoints.
func TestACrashAtAnyHeightLeavesTheCertifiedState(t *testing.T) {
	cfg := testConfig(t, t.TempDir())
	r := open(t, cfg)
	id := installCounter(t, r)
	for n := uint64(1); n <= 12; n++ {
		if got := increment(t, r, id); got != n {
			t.Fatalf("the counter is %d, want %d", got, n)
		}
		before, height := r.view.Root.Hash(), r.state.Height
		if err := r.close(); err != nil { // files are let go, nothing is saved
			t.Fatal(err)
		}
		r = open(t, cfg)
		if after := r.view.Root.Hash(); after != before || r.state.Height != height {
			t.Fatalf("height %d with root %x after the crash, want %d with %x", r.state.Height, after, height, before)
		}
	}
	if err := r.close(); err != nil {
		t.Fatal(err)
	}
}

func TestADivergentBlockStopsTheReplicaWithBothHashes(t *testing.T) {
	cfg := testConfig(t, t.TempDir())
	r := open(t, cfg)
	installCounter(t, r)
	r.certified.Root[0] ^= 1 // what the next block will claim
	if _, err := r.round(); err != nil {
		t.Fatal(err)
	}
	if err := r.close(); err != nil {
		t.Fatal(err)
	}
	_, err := Open(cfg)
	if err == nil || !strings.Contains(err.Error(), "was certified") {
		t.Fatalf("a divergent chain was opened with error %v", err)
	}
}

func TestDamagedBlocksAreNamed(t *testing.T) {
	cfg := testConfig(t, t.TempDir())
	r := open(t, cfg)
	id := installCounter(t, r)
	increment(t, r, id)
	if err := r.close(); err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(cfg.Dir, "blocks.db")
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
	_, err = Open(cfg)
	if err == nil || !strings.Contains(err.Error(), path) || !strings.Contains(err.Error(), "damaged") {
		t.Fatalf("a damaged block was opened with error %v", err)
	}
}

func TestRunAnswersAndSavesWhenItEnds(t *testing.T) {
	cfg := testConfig(t, t.TempDir())
	r := open(t, cfg)
	id := installCounter(t, r)
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error)
	go func() { done <- r.Run(ctx) }()
	request := submit(t, r, id, id, "inc", nil)
	s, err := r.Await(ctx, request)
	if err != nil {
		t.Fatal(err)
	}
	if info, ok := s.Request(request); !ok || !info.Terminal {
		t.Fatal("Await returned before the call was decided")
	}
	cancel()
	if err := <-done; err != nil {
		t.Fatal(err)
	}
	if r.saved != r.state.Height {
		t.Errorf("saved height %d of %d", r.saved, r.state.Height)
	}
	if err := r.Close(); err != nil {
		t.Fatal(err)
	}
}
