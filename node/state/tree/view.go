package tree

import (
	"portico/lightclient/cbor"
	"portico/lightclient/leb128"
	"portico/lightclient/principal"
	"portico/node/state"
	"portico/node/types"
)

// Topology is what the tree says of the network. It changes with the registry only.
type Topology struct {
	Subnet    types.SubnetID
	PublicKey []byte // DER of the subnet's BLS key
	Type      string // such as "application"
	Nodes     []Member
	// Ranges are the canister ids the subnet hosts, inclusive.
	Ranges []Range
}

// Member is a node of the subnet.
type Member struct {
	ID        types.NodeID
	PublicKey []byte // DER of its Ed25519 key
}

// Range is a range of canister ids, both ends inclusive.
type Range struct{ First, Last types.CanisterID }

// A Metadata function returns a module's custom sections as labels. It returns the
// same Trie for the same code, so that hashing happens once.
type Metadata func(id types.CanisterID, code *state.Code) *Trie

// View is the tree of one height.
type View struct {
	Height types.Height
	Time   types.Time
	Root   *Trie

	canisters, requests *Trie
	topology            *Topology
}

// First is the tree of a state of which nothing is known yet.
func First(s *state.State, t *Topology, m Metadata) *View {
	v := &View{topology: t}
	for _, id := range s.IDs() {
		v.canisters = v.canisters.With(id.Raw(), canister(s.Canister(id), m))
	}
	for _, id := range s.Ingress().IDs() {
		v.requests = v.requests.With(string(id[:]), request(s.Ingress().Get(id)))
	}
	return v.finish(s)
}

// Next is the tree of the following height: changed are the ingress messages whose
// entries changed.
func (v *View) Next(s *state.State, changed []types.RequestID, m Metadata) *View {
	next := &View{canisters: v.canisters, requests: v.requests, topology: v.topology}
	for _, id := range s.Edited() {
		if c := s.Canister(id); c != nil {
			next.canisters = next.canisters.With(id.Raw(), canister(c, m))
		} else {
			next.canisters = next.canisters.Without(id.Raw())
		}
	}
	for _, id := range changed {
		if e := s.Ingress().Get(id); e != nil {
			next.requests = next.requests.With(string(id[:]), request(e))
		} else {
			next.requests = next.requests.Without(string(id[:]))
		}
	}
	return next.finish(s)
}

func (v *View) finish(s *state.State) *View {
	v.Height, v.Time = s.Height, s.Time
	v.Root = build(
		"canister", Sub(v.canisters),
		"canister_ranges", v.topology.shards(),
		"request_status", Sub(v.requests),
		"subnet", v.topology.subnets(s),
		"time", Leaf(leb128.AppendUint(nil, uint64(s.Time))),
	).Sub
	return v
}

// build makes a subtree of labels, each followed by its node; nil nodes are left out.
func build(pairs ...any) *Node {
	var t *Trie
	for i := 0; i < len(pairs); i += 2 {
		if n := pairs[i+1].(*Node); n != nil {
			t = t.With(pairs[i].(string), n)
		}
	}
	return Sub(t)
}

func nat(n uint64) *Node { return Leaf(leb128.AppendUint(nil, n)) }

// canister is the subtree /canister/<id>.
func canister(c *state.Canister, m Metadata) *Node {
	var hash, metadata, installed *Node
	if c.Code != nil {
		hash = Leaf(c.Code.ModuleHash[:])
		metadata = Sub(m(c.ID, c.Code))
		installed = nat(uint64(c.Installed))
	}
	return build(
		"canister_creation_timestamp", nat(uint64(c.Created)),
		"certified_data", Leaf(c.CertifiedData),
		"controllers", Leaf(principals(c.Settings.Controllers)),
		"last_install_timestamp", installed,
		"metadata", metadata,
		"module_hash", hash,
	)
}

func principals(ids []principal.ID) []byte {
	b := cbor.AppendArray(cbor.AppendSelfDescribe(nil), len(ids))
	for _, id := range ids {
		b = cbor.AppendBytes(b, id.Bytes())
	}
	return b
}

// Request is what the tree's height knows of an ingress message, or nil.
func (v *View) Request(id types.RequestID) *state.IngressEntry {
	n := v.requests.Get(string(id[:]))
	if n == nil {
		return nil
	}
	return n.Of.(*state.IngressEntry)
}

// request is the subtree /request_status/<id>.
func request(e *state.IngressEntry) *Node {
	n := requestStatus(e)
	n.Of = e
	return n
}

func requestStatus(e *state.IngressEntry) *Node {
	status := Leaf([]byte(e.Status.String()))
	switch {
	case e.Status == state.Rejected:
		return build(
			"error_code", Leaf([]byte(e.Reject.Code.String())),
			"reject_code", nat(uint64(e.Reject.Code.RejectCode())),
			"reject_message", Leaf([]byte(e.Reject.Message)),
			"status", status,
		)
	case e.Status == state.Replied:
		return build("reply", Leaf(e.Reply), "status", status)
	default:
		return build("status", status)
	}
}

// shards is the subtree /canister_ranges.
func (t *Topology) shards() *Node {
	var shards *Trie
	for _, r := range t.Ranges {
		shards = shards.With(r.First.Raw(), Leaf(ranges([]Range{r})))
	}
	return build(t.Subnet.Raw(), Sub(shards))
}

func ranges(rs []Range) []byte {
	b := cbor.AppendArray(cbor.AppendSelfDescribe(nil), len(rs))
	for _, r := range rs {
		b = cbor.AppendArray(b, 2)
		b = cbor.AppendBytes(b, r.First.Bytes())
		b = cbor.AppendBytes(b, r.Last.Bytes())
	}
	return b
}

// subnets is the subtree /subnet.
func (t *Topology) subnets(s *state.State) *Node {
	var nodes *Trie
	for _, n := range t.Nodes {
		nodes = nodes.With(n.ID.Raw(), build("public_key", Leaf(n.PublicKey)))
	}
	return build(t.Subnet.Raw(), build(
		"canister_ranges", Leaf(ranges(t.Ranges)),
		"metrics", Leaf(metrics(s)),
		"node", Sub(nodes),
		"public_key", Leaf(t.PublicKey),
		"type", Leaf([]byte(t.Type)),
	))
}

// metrics is the CBOR map of the subnet's counters.
func metrics(s *state.State) []byte {
	b := cbor.AppendMap(cbor.AppendSelfDescribe(nil), 4)
	b = cbor.AppendUint(cbor.AppendText(b, "num_canisters"), uint64(len(s.IDs())))
	b = cbor.AppendUint(cbor.AppendText(b, "canister_state_bytes"), s.Metrics.StateBytes)
	// a 128-bit amount in two numbers: clients want the keys 0 for the low one and
	// 1 for the high one
	b = cbor.AppendMap(cbor.AppendText(b, "consumed_cycles_total"), 2)
	b = cbor.AppendUint(cbor.AppendUint(b, 0), s.Metrics.ConsumedCycles.Lo)
	b = cbor.AppendUint(cbor.AppendUint(b, 1), s.Metrics.ConsumedCycles.Hi)
	b = cbor.AppendText(b, "update_transactions_total")
	return cbor.AppendUint(b, s.Metrics.UpdateTransactions)
}
