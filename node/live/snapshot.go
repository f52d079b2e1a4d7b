package live

import (
	"sync"

	"portico/lightclient/certificate"
	"portico/lightclient/hashtree"
	"portico/lightclient/principal"
	"portico/node/api"
	"portico/node/execution"
	"portico/node/state"
	"portico/node/state/tree"
	"portico/node/types"
)

// metadata describes modules, each once.
type metadata struct {
	executor *execution.Executor
	mu       sync.Mutex
	modules  map[types.Hash]module
}

// module is what is shown of a module.
type module struct {
	sections *tree.Trie // the labels of its custom sections
	web      bool       // it answers HTTP requests
}

// maxDescribed bounds the cache; beyond it, it begins anew.
const maxDescribed = 10_000

// of are the labels of a module's custom sections.
func (m *metadata) of(id types.CanisterID, code *state.Code) *tree.Trie {
	return m.describe(id, code).sections
}

func (m *metadata) describe(id types.CanisterID, code *state.Code) module {
	m.mu.Lock()
	d, ok := m.modules[code.ModuleHash]
	m.mu.Unlock()
	if ok {
		return d
	}
	info := m.executor.Module(id, code).Info()
	for _, s := range info.Custom {
		d.sections = d.sections.With(s.Name, tree.Leaf(s.Content))
	}
	for _, method := range info.Methods {
		d.web = d.web || method.Name == "http_request"
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if len(m.modules) >= maxDescribed {
		clear(m.modules)
	}
	m.modules[code.ModuleHash] = d
	return d
}

// snapshot is a certified state.
type snapshot struct {
	states    *States
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
	for _, section := range s.states.executor.Module(id, c.Code).Info().Custom {
		if section.Name == name {
			return section.Public
		}
	}
	return true
}

// Hosts reports whether a canister id is in the subnet's ranges.
func (s *snapshot) Hosts(id principal.ID) bool { return s.states.subnet.Hosts(id) }

// Topology names the subnets.
func (s *snapshot) Topology() api.Topology {
	id := s.states.subnet.ID
	return api.Topology{Subnet: id, Root: id, All: []types.SubnetID{id}}
}
