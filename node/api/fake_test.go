package api

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"log/slog"
	"maps"
	"net/http"
	"net/http/httptest"
	"slices"
	"sync"
	"testing"
	"time"

	"portico/lightclient/cbor"
	"portico/lightclient/certificate"
	"portico/lightclient/envelope"
	"portico/lightclient/hashtree"
	"portico/lightclient/leb128"
	"portico/lightclient/principal"
	"portico/lightclient/signature"
	"portico/node/crypto/bls"
	"portico/node/crypto/usersig"
	"portico/node/types"
)

const now = types.Time(1_800_000_000_000_000_000)

var (
	canisterA = principal.Canister(1)
	canisterB = principal.Canister(2)
	foreign   = principal.Canister(1000)
)

// node is a part of a state: a value, or more of it below labels.
type node = map[string]any

// A fakeReplica holds a state in maps and certifies it with a real key. Its subnet
// is the root or, with parent, delegated to; it hosts canisters 0 to 100.
type fakeReplica struct {
	key, parent *bls.SecretKey
	nodeKey     ed25519.PrivateKey

	subnetID, rootID principal.ID

	mu        sync.Mutex
	state     node
	requests  map[types.RequestID]Request
	latest    *fakeSnapshot           // of state and requests; nil if they changed
	private   map[string]principal.ID // metadata sections and the controller who may read them
	changed   chan struct{}           // closed by the next change
	submitted []Ingress
	asked     []Query

	onSubmit func(Ingress) (*types.Reject, error)
	onQuery  func(context.Context, Query) ([]byte, *types.Reject, error)
	failing  error // of Certified
	status   Status
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func newReplica(t testing.TB, root bool) *fakeReplica {
	key, err := bls.GenerateKey(rand.Reader)
	must(t, err)
	_, nodeKey, err := ed25519.GenerateKey(rand.Reader)
	must(t, err)
	f := &fakeReplica{
		key: key, nodeKey: nodeKey,
		requests: map[types.RequestID]Request{}, private: map[string]principal.ID{}, changed: make(chan struct{}),
	}
	if !root {
		f.parent, err = bls.GenerateKey(rand.Reader)
		must(t, err)
	}
	f.subnetID, f.rootID = principal.SelfAuthenticating(f.key.PublicKeyDER()), principal.SelfAuthenticating(f.rootKey())
	about := func(name string) node {
		return node{
			"public_key": []byte(name), "type": []byte("application"), "canister_ranges": ranges(),
			"metrics": []byte("metrics"), "node": node{"a node": node{"public_key": []byte("node key")}},
		}
	}
	f.state = node{
		"time": leb128.AppendUint(nil, uint64(now)),
		"subnet": node{
			f.subnet().Raw(): about("ours"), f.rootSubnet().Raw(): about("root"), foreignSubnet.Raw(): about("theirs"),
		},
		"canister_ranges": node{f.subnet().Raw(): node{principal.Canister(0).Raw(): ranges()}},
		"canister": node{
			canisterA.Raw(): node{
				"controllers": []byte("controllers"), "module_hash": []byte("hash"), "certified_data": []byte("data"),
				"metadata": node{"open": []byte("public"), "": []byte("nameless"), "ключ": []byte("unicode"), "secret": []byte("private")},
			},
			canisterB.Raw(): node{"controllers": []byte("controllers")},
		},
		"request_status": node{},
	}
	return f
}

var foreignSubnet = principal.SelfAuthenticating([]byte("another subnet"))

func ranges() []byte {
	b := cbor.AppendArray(cbor.AppendArray(cbor.AppendSelfDescribe(nil), 1), 2)
	return cbor.AppendBytes(cbor.AppendBytes(b, principal.Canister(0).Bytes()), principal.Canister(100).Bytes())
}

func (f *fakeReplica) rootKey() []byte {
	if f.parent != nil {
		return f.parent.PublicKeyDER()
	}
	return f.key.PublicKeyDER()
}

func (f *fakeReplica) subnet() principal.ID     { return f.subnetID }
func (f *fakeReplica) rootSubnet() principal.ID { return f.rootID }

func (f *fakeReplica) verifier() *certificate.Verifier {
	return &certificate.Verifier{RootKey: f.rootKey(), BLS: bls.VerifyBLS}
}

func (f *fakeReplica) Submit(_ context.Context, call Ingress) (*types.Reject, error) {
	f.mu.Lock()
	f.submitted = append(f.submitted, call)
	f.mu.Unlock()
	if f.onSubmit == nil {
		return nil, nil
	}
	return f.onSubmit(call)
}

// decide certifies the fate of a request.
func (f *fakeReplica) decide(id types.RequestID, request Request, status node) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.state = maps.Clone(f.state)
	statuses := maps.Clone(f.state["request_status"].(node))
	statuses[string(id[:])] = status
	f.state["request_status"] = statuses
	f.requests = maps.Clone(f.requests)
	f.requests[id] = request
	f.latest = nil
	close(f.changed)
	f.changed = make(chan struct{})
}

func (f *fakeReplica) replyTo(call Ingress, reply string) {
	r := call.Envelope.Request
	f.decide(call.ID(), Request{Sender: r.Sender, Canister: r.Canister, Effective: call.Effective, Terminal: true},
		node{"status": []byte("replied"), "reply": []byte(reply)})
}

func (f *fakeReplica) Await(ctx context.Context, id types.RequestID) (Snapshot, error) {
	for {
		f.mu.Lock()
		s, changed := f.snapshot(), f.changed
		f.mu.Unlock()
		if s.requests[id].Terminal {
			return s, nil
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
}

func (f *fakeReplica) Query(ctx context.Context, q Query) ([]byte, *types.Reject, error) {
	f.mu.Lock()
	f.asked = append(f.asked, q)
	f.mu.Unlock()
	if f.onQuery == nil {
		return []byte("reply to " + q.Request.Method), nil, nil
	}
	return f.onQuery(ctx, q)
}

func (f *fakeReplica) Certified() (Snapshot, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.failing != nil {
		return nil, f.failing
	}
	return f.snapshot(), nil
}

func (f *fakeReplica) Status() Status { return f.status }

func (f *fakeReplica) NodeID() types.NodeID {
	return principal.SelfAuthenticating(f.nodeKey.Public().(ed25519.PublicKey))
}
func (f *fakeReplica) Sign(msg []byte) []byte { return ed25519.Sign(f.nodeKey, msg) }

func (f *fakeReplica) snapshot() *fakeSnapshot {
	if f.latest == nil {
		f.latest = &fakeSnapshot{replica: f, tree: treeOf(f.state), requests: f.requests}
	}
	return f.latest
}

type fakeSnapshot struct {
	replica  *fakeReplica
	tree     hashtree.Tree
	requests map[types.RequestID]Request
}

func treeOf(v any) hashtree.Tree {
	switch v := v.(type) {
	case []byte:
		return hashtree.Leaf(v)
	default:
		var children []*hashtree.Labeled
		for _, label := range slices.Sorted(maps.Keys(v.(node))) {
			children = append(children, &hashtree.Labeled{Label: []byte(label), Sub: treeOf(v.(node)[label])})
		}
		return hashtree.New(children)
	}
}

func (s *fakeSnapshot) Certificate(paths []hashtree.Path, d Delegation) ([]byte, error) {
	f := s.replica
	c := &certificate.Certificate{Tree: hashtree.Witness(s.tree, paths), Signature: signRoot(f.key, s.tree)}
	if f.parent != nil {
		c.Delegation = f.delegation(d)
	}
	return c.Append(nil), nil
}

func signRoot(key *bls.SecretKey, t hashtree.Tree) []byte {
	return key.Sign(certificate.StateRootMessage(t.Hash()))
}

func (f *fakeReplica) delegation(d Delegation) *certificate.Delegation {
	id := f.subnet()
	state := treeOf(node{
		"time":            leb128.AppendUint(nil, uint64(now)),
		"subnet":          node{id.Raw(): node{"public_key": f.key.PublicKeyDER(), "canister_ranges": ranges()}},
		"canister_ranges": node{id.Raw(): node{principal.Canister(0).Raw(): ranges()}},
	})
	path := func(labels ...string) hashtree.Path {
		var p hashtree.Path
		for _, l := range labels {
			p = append(p, []byte(l))
		}
		return p
	}
	shown := []hashtree.Path{path("time"), path("subnet", id.Raw(), "public_key")}
	switch d.Form {
	case DelegationFlat:
		shown = append(shown, path("subnet", id.Raw(), "canister_ranges"))
	case DelegationShard:
		shown = append(shown, path("canister_ranges", id.Raw(), principal.Canister(0).Raw()))
	}
	parent := &certificate.Certificate{Tree: hashtree.Witness(state, shown), Signature: signRoot(f.parent, state)}
	return &certificate.Delegation{Subnet: id, Certificate: parent.Append(nil)}
}

func (s *fakeSnapshot) Request(id types.RequestID) (Request, bool) {
	r, ok := s.requests[id]
	return r, ok
}

func (s *fakeSnapshot) MayReadMetadata(_ types.CanisterID, name string, reader principal.ID) bool {
	controller, private := s.replica.private[name]
	return !private || controller == reader
}

func (s *fakeSnapshot) Hosts(id principal.ID) bool {
	return id.Compare(principal.Canister(0)) >= 0 && id.Compare(principal.Canister(100)) <= 0
}

func (s *fakeSnapshot) Topology() Topology {
	f := s.replica
	all := []principal.ID{f.subnet(), f.rootSubnet(), foreignSubnet}
	slices.SortFunc(all, principal.ID.Compare)
	return Topology{Subnet: f.subnet(), Root: f.rootSubnet(), All: slices.Compact(all)}
}

// handler serves the replica with the default limits, changed by edit.
func (f *fakeReplica) handler(edit func(*Deps)) http.Handler {
	deps := Deps{
		Replica: f, Auth: usersig.New(signature.Config{Certificates: f.verifier()}), Signer: f,
		Now: func() types.Time { return now }, Limits: DefaultLimits(), Log: slog.New(slog.DiscardHandler),
	}
	if edit != nil {
		edit(&deps)
	}
	return New(deps)
}

// post sends a body the way agents do.
func post(h http.Handler, path string, body []byte) *httptest.ResponseRecorder {
	r := httptest.NewRequest(http.MethodPost, path, bytes.NewReader(body))
	r.Header.Set("Content-Type", "application/cbor")
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	return w
}

func expiresSoon() uint64 { return uint64(now.Add(4 * time.Minute)) }

func callOf(canister principal.ID, method string, arg []byte) envelope.Request {
	return envelope.Request{Kind: envelope.Call, Canister: canister, Method: method, Arg: arg, IngressExpiry: expiresSoon()}
}

func queryOf(canister principal.ID, method string, arg []byte) envelope.Request {
	r := callOf(canister, method, arg)
	r.Kind = envelope.Query
	return r
}

func readOf(paths ...hashtree.Path) envelope.Request {
	return envelope.Request{Kind: envelope.ReadState, IngressExpiry: expiresSoon(), Paths: paths}
}

func newUser(t testing.TB) envelope.Keyed {
	seed := make([]byte, ed25519.SeedSize)
	_, err := rand.Read(seed)
	must(t, err)
	key, err := envelope.NewEd25519(seed)
	must(t, err)
	return envelope.Keyed{Signer: key}
}

func seal(t testing.TB, id envelope.Identity, r envelope.Request) []byte {
	t.Helper()
	e, err := id.Sign(r)
	must(t, err)
	return e.Append(nil)
}

func idOf(t testing.TB, body []byte) types.RequestID {
	t.Helper()
	e, err := envelope.Decode(body)
	must(t, err)
	return e.RequestID
}

// answer decodes a 200.
func answer(t testing.TB, w *httptest.ResponseRecorder) *cbor.Map {
	t.Helper()
	if w.Code != http.StatusOK {
		t.Fatalf("status %d: %s", w.Code, w.Body)
	}
	if !bytes.HasPrefix(w.Body.Bytes(), []byte{0xd9, 0xd9, 0xf7}) || w.Header().Get("Content-Type") != "application/cbor" {
		t.Fatalf("not self-described CBOR: %x", w.Body.Bytes()[:min(8, w.Body.Len())])
	}
	v, err := cbor.Decode(w.Body.Bytes())
	must(t, err)
	return v.(*cbor.Map)
}

// wantRefusal checks that an answer is a plain text of the given status that says what was wrong.
func wantRefusal(t testing.TB, w *httptest.ResponseRecorder, status int, text string) {
	t.Helper()
	if w.Code != status || !bytes.Contains(w.Body.Bytes(), []byte(text)) {
		t.Fatalf("status %d, %q: want %d and %q", w.Code, w.Body, status, text)
	}
	if got := w.Header().Get("Content-Type"); got != "text/plain; charset=utf-8" {
		t.Fatalf("Content-Type %q", got)
	}
}
