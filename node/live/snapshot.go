package live

import (
	"context"
	"crypto/ed25519"
	"sync"

	"portico/lightclient/certificate"
	"portico/lightclient/hashtree"
	"portico/lightclient/principal"
	"portico/node/api"
	"portico/node/consensus/pool"
	"portico/node/execution"
	"portico/node/ingress"
	"portico/node/state"
	"portico/node/state/tree"
	"portico/node/types"
)

// metadata makes the labels of modules' custom sections, once for each module.
type metadata struct {
	executor *execution.Executor
	mu       sync.Mutex
	sections map[types.Hash]*tree.Trie
}

// maxCachedSections bounds the cache; beyond it, it begins anew.
const maxCachedSections = 10_000

func (m *metadata) of(id types.CanisterID, code *state.Code) *tree.Trie {
	m.mu.Lock()
	t, ok := m.sections[code.ModuleHash]
	m.mu.Unlock()
	if ok {
		return t
	}
	for _, s := range m.executor.Module(id, code).Info().Custom {
		t = t.With(s.Name, tree.Leaf(s.Content))
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if len(m.sections) >= maxCachedSections {
		clear(m.sections)
	}
	m.sections[code.ModuleHash] = t
	return t
}

// certify signs the state's root hash and shows the state to readers.
func (r *Replica) certify() {
	root := r.view.Root.Hash()
	r.certified = &pool.Certification{Height: r.state.Height, Root: root, Signature: r.cfg.SubnetKey.Sign(certificate.StateRootMessage(root))}
	s := &snapshot{replica: r, state: r.state, view: r.view, signature: r.certified.Signature}
	r.executor.Publish(execution.Published{State: r.state, Certificate: s.dataCertificate}, r.state.Edited())
	r.mu.Lock()
	defer r.mu.Unlock()
	r.snapshot.Store(s)
	close(r.next)
	r.next = make(chan struct{})
}

// snapshot is a certified state.
type snapshot struct {
	replica   *Replica
	state     *state.State
	view      *tree.View
	signature []byte
}

// Certificate certifies the subtrees at paths. This subnet's key is the root key,
// so there is no delegation.
func (s *snapshot) Certificate(paths []hashtree.Path, _ api.Delegation) ([]byte, error) {
	c := certificate.Certificate{Tree: s.view.Root.Witness(paths), Signature: s.signature}
	return c.Append(nil), nil
}

func (s *snapshot) dataCertificate(id types.CanisterID) ([]byte, error) {
	return s.Certificate([]hashtree.Path{
		{[]byte("canister"), id.Bytes(), []byte("certified_data")}, {[]byte("time")},
	}, api.Delegation{})
}

// Request tells of an ingress message.
func (s *snapshot) Request(id types.RequestID) (api.Request, bool) {
	e := s.view.Request(id)
	if e == nil {
		return api.Request{}, false
	}
	return api.Request{Sender: e.Sender, Canister: e.Receiver, Effective: api.Target{ID: e.Effective}, Terminal: e.Status.Terminal()}, true
}

// MayReadMetadata reports whether a reader may see a metadata section.
func (s *snapshot) MayReadMetadata(id types.CanisterID, name string, reader principal.ID) bool {
	c := s.state.Canister(id)
	if c == nil || c.Code == nil || c.IsController(reader) {
		return true
	}
	for _, section := range s.replica.executor.Module(id, c.Code).Info().Custom {
		if section.Name == name {
			return section.Public
		}
	}
	return true
}

// Hosts reports whether a canister id is in the subnet's ranges.
func (s *snapshot) Hosts(id principal.ID) bool { return s.replica.cfg.Subnet.Hosts(id) }

// Topology names the subnets.
func (s *snapshot) Topology() api.Topology {
	id := s.replica.cfg.Subnet.ID
	return api.Topology{Subnet: id, Root: id, All: []types.SubnetID{id}}
}

// Certified returns the newest certified state.
func (r *Replica) Certified() (api.Snapshot, error) { return r.snapshot.Load(), nil }

// Await waits for a certified state that knows the end of a request.
func (r *Replica) Await(ctx context.Context, id types.RequestID) (api.Snapshot, error) {
	for {
		r.mu.Lock()
		next := r.next
		r.mu.Unlock()
		s := r.snapshot.Load()
		if e := s.view.Request(id); e != nil && e.Status.Terminal() {
			return s, nil
		}
		select {
		case <-ctx.Done():
			return nil, ctx.Err()
		case <-next:
		}
	}
}

// Submit accepts a call into the ingress pool.
func (r *Replica) Submit(_ context.Context, call api.Ingress) (*types.Reject, error) {
	req := &call.Envelope.Request
	id := call.ID()
	if r.snapshot.Load().view.Request(id) != nil {
		return nil, nil
	}
	q := execution.Query{Canister: req.Canister, Method: req.Method, Arg: req.Arg, Sender: req.Sender}
	if req.SenderInfo != nil {
		q.CallerInfo, q.CallerSigner = req.SenderInfo.Info, req.SenderInfo.Signer
	}
	inspect := r.executor.Inspect
	if req.Canister.IsManagement() {
		inspect = r.executor.InspectManagement
	}
	if rej := inspect(q); rej != nil {
		return rej, nil
	}
	if !r.ingress.Add(id, types.Time(req.IngressExpiry), ingress.Message{Envelope: call.Raw, Effective: call.Effective.ID}) {
		return nil, &api.Busy{Reason: "the pool of messages that wait for a block is full; try again in a few seconds"}
	}
	return nil, nil
}

// Query runs a query on the newest certified state.
func (r *Replica) Query(_ context.Context, q api.Query) ([]byte, *types.Reject, error) {
	query := execution.Query{Canister: q.Request.Canister, Method: q.Request.Method, Arg: q.Request.Arg, Sender: q.Request.Sender}
	if q.Request.SenderInfo != nil {
		query.CallerInfo, query.CallerSigner = q.Request.SenderInfo.Info, q.Request.SenderInfo.Signer
	}
	if q.Request.Canister.IsManagement() {
		reply, rej := r.executor.QueryManagement(query)
		return reply, rej, nil
	}
	reply, rej := r.executor.Query(query)
	return reply, rej, nil
}

// Status is what the node says of itself.
func (r *Replica) Status() api.Status {
	return api.Status{RootKey: r.cfg.Subnet.RootKey, Version: Version, Healthy: true, CertifiedHeight: r.snapshot.Load().view.Height}
}

// NodeID is the node's id.
func (r *Replica) NodeID() types.NodeID { return r.cfg.Topology.Nodes[0].ID }

// Sign signs with the node's key.
func (r *Replica) Sign(message []byte) []byte { return ed25519.Sign(r.cfg.NodeKey, message) }
