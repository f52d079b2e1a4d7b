package api

import (
	"context"

	"portico/lightclient/envelope"
	"portico/lightclient/hashtree"
	"portico/lightclient/principal"
	"portico/node/types"
)

// Replica is the node behind the interface. Its methods are called concurrently.
//
// Errors are *Unavailable (answered with 503), *Busy (429), the context's error
// when the client went away or a wait was long enough, and anything else (500).
type Replica interface {
	// Submit decides whether this node accepts a call and, if so, puts it into its
	// ingress pool. The signature, expiry, delegation targets and effective id were
	// checked; what is left are the checks that need state: that the canister
	// exists, runs, has cycles and accepts the message (inspect_message), and for
	// calls to the management canister that the method may be called by a user
	// and by this one. A Reject is a refusal that the client gets as such. Submitting
	// a message that the pool or the subnet knows already is not an error.
	Submit(ctx context.Context, call Ingress) (*types.Reject, error)
	// Await returns a certified state in which the status of a request is
	// terminal: replied, rejected or done. It returns at once if the latest one is such.
	Await(ctx context.Context, id types.RequestID) (Snapshot, error)
	// Query runs a query call, also those to the management canister, on the latest
	// certified state. A Reject is a refusal that the client gets signed.
	Query(ctx context.Context, q Query) (reply []byte, reject *types.Reject, err error)
	// Certified returns the latest certified state; *Unavailable while there is none.
	Certified() (Snapshot, error)
	// Status is what /api/v2/status tells of the node.
	Status() Status
}

// Snapshot is a certified state. It never changes and its methods never block.
type Snapshot interface {
	// Certificate encodes a certificate whose tree shows the subtree at every path,
	// or proves that nothing is there. The paths are sorted and in no other way
	// restricted: access was decided by the caller. The delegation of a subnet
	// other than the root has the given form.
	Certificate(paths []hashtree.Path, delegation Delegation) ([]byte, error)
	// Request returns what the state knows of a request; ok is false if that is
	// nothing, that is, if /request_status has no such label.
	Request(id types.RequestID) (info Request, ok bool)
	// MayReadMetadata reports whether reader may see a metadata section: whether it
	// is public, or private and reader is a controller, or is not there at all.
	MayReadMetadata(canister types.CanisterID, name string, reader principal.ID) bool
	// Hosts reports whether the id lies in the canister ranges of this subnet.
	Hosts(id principal.ID) bool
	// Topology is what the state knows of subnets.
	Topology() Topology
}

// Target is the effective destination of a request, which its URL names.
type Target struct {
	ID principal.ID
	// Subnet says that ID is a subnet, not a canister.
	Subnet bool
}

// Ingress is a call that was authenticated.
type Ingress struct {
	Envelope *envelope.Envelope
	// Raw is the envelope as it was received, CBOR.
	Raw       []byte
	Effective Target
}

// ID is the request id, by which the subnet knows the call.
func (i Ingress) ID() types.RequestID { return i.Envelope.RequestID }

// Query is a query call that was authenticated.
type Query struct {
	Request   *envelope.Request
	ID        types.RequestID
	Effective Target
}

// Request is what a certified state knows of an ingress message.
type Request struct {
	Sender    principal.ID
	Canister  types.CanisterID // the one that was called; the management canister for calls to it
	Effective Target
	// Terminal says that the status is replied, rejected or done.
	Terminal bool
}

// Topology names the subnets of the network that a certified state lists under /subnet.
type Topology struct {
	Subnet types.SubnetID   // this one
	Root   types.SubnetID   // the one whose key everybody knows
	All    []types.SubnetID // in order
}

// DelegationForm says how the delegation of a certificate shows which canisters
// the subnet may speak for.
type DelegationForm uint8

const (
	// DelegationFlat shows /subnet/<id>/canister_ranges.
	DelegationFlat DelegationForm = iota
	// DelegationShard shows the one leaf below /canister_ranges/<id> in whose range
	// the canister lies: the greatest label that is not greater than its id. Nothing
	// else below that path may be shown: agents take whichever shard they find.
	DelegationShard
	// DelegationBare shows no ranges: it is for answers about the subnet itself.
	DelegationBare
)

// Delegation is the form of a delegation and, for DelegationShard, the canister.
type Delegation struct {
	Form     DelegationForm
	Canister types.CanisterID
}

// Status is what a node says of itself at /api/v2/status. Nobody has to believe it.
type Status struct {
	// RootKey is the DER-encoded key of the network, or nil where clients must not
	// take it from here.
	RootKey         []byte
	Version         string
	Healthy         bool
	CertifiedHeight types.Height
}

// Signer signs query responses with the node's Ed25519 key.
type Signer interface {
	NodeID() types.NodeID
	Sign(message []byte) (signature []byte)
}

// Unavailable says that the node cannot answer now, for example because it has no
// certified state yet. Reason is a sentence for the client.
type Unavailable struct{ Reason string }

func (e *Unavailable) Error() string { return e.Reason }

// Busy says that the node refuses for its load. Reason is a sentence for the client.
type Busy struct{ Reason string }

func (e *Busy) Error() string { return e.Reason }
