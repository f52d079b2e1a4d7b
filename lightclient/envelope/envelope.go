// Package envelope holds the requests that users send to the Internet Computer
// and the envelopes that authenticate them: their CBOR form, request ids and the
// bytes that signatures cover (interface specification, "HTTPS interface",
// sections "Authentication", "Representation-independent hashing" and "Request ids").
//
// Decode checks structure and limits. It does not check signatures, that the
// public key belongs to the sender, or any time: who serves requests does. For
// clients there are identities that sign with keys or on behalf of others.
package envelope

import (
	"strconv"

	"portico/lightclient/cbor"
	"portico/lightclient/hashtree"
	"portico/lightclient/principal"
)

// Limits of the specification; Decode refuses what exceeds them.
const (
	MaxNonceBytes  = 32
	MaxDelegations = 20
	MaxTargets     = 1000 // of one delegation
	MaxPaths       = 1000
	MaxPathLabels  = 127
)

// Kind is the request_type.
type Kind uint8

// The kinds of requests.
const (
	Call Kind = iota + 1
	Query
	ReadState
)

// String is the kind as requests spell it: "call", "query" or "read_state".
func (k Kind) String() string {
	switch k {
	case Call:
		return "call"
	case Query:
		return "query"
	case ReadState:
		return "read_state"
	default:
		panic("envelope: kind " + strconv.Itoa(int(k)))
	}
}

// A Request is the content of an envelope. Byte strings of a decoded request
// alias the input.
type Request struct {
	Kind          Kind
	Sender        principal.ID
	IngressExpiry uint64 // nanoseconds since 1970
	Nonce         []byte // nil for none; at most MaxNonceBytes

	// Of calls and queries.
	Canister   principal.ID
	Method     string
	Arg        []byte
	SenderInfo *SenderInfo // nil for none

	// Of read_state requests; at most MaxPaths of at most MaxPathLabels each.
	Paths []hashtree.Path

	unknown cbor.Map // fields of the received content that are none of the above
}

// SenderInfo is what a canister that signs for the sender tells the callee about it.
type SenderInfo struct {
	Info   []byte
	Signer principal.ID // the canister
	Sig    []byte       // a canister signature over SenderInfoSignedBytes

	unknown cbor.Map
}

// The permissions of a delegation.
const (
	PermissionQueries = "queries" // queries and read_state requests only
	PermissionAll     = "all"     // the same as none given
)

// A Delegation lets another key sign for its maker.
type Delegation struct {
	PublicKey   []byte         // DER
	Expiration  uint64         // nanoseconds since 1970
	Targets     []principal.ID // nil: any canister; empty: none. At most MaxTargets
	Permissions string         // "" if not given, PermissionQueries or PermissionAll

	unknown cbor.Map
}

// A SignedDelegation carries the signature, over SignedBytes, of the key before
// it in the chain.
type SignedDelegation struct {
	Delegation Delegation
	Signature  []byte
}

// An Envelope is a request with what authenticates it. The sender's key, signature
// and delegations are absent if, and only if, the sender is anonymous; the
// delegations may be absent for others too.
type Envelope struct {
	Request Request
	// RequestID covers every field of the content as received, unknown ones too.
	RequestID        [32]byte
	SenderPublicKey  []byte // DER
	SenderSig        []byte // over RequestSignedBytes(RequestID)
	SenderDelegation []SignedDelegation
}

// Append appends the CBOR form, with the self-describing tag.
func (e *Envelope) Append(b []byte) []byte {
	m := &cbor.Map{}
	m.Set("content", e.Request.content())
	if e.SenderPublicKey != nil {
		m.Set("sender_pubkey", cbor.Bytes(e.SenderPublicKey))
	}
	if e.SenderSig != nil {
		m.Set("sender_sig", cbor.Bytes(e.SenderSig))
	}
	if len(e.SenderDelegation) > 0 {
		chain := cbor.Array{}
		for i := range e.SenderDelegation {
			d := &cbor.Map{}
			d.Set("delegation", e.SenderDelegation[i].Delegation.fields())
			d.Set("signature", cbor.Bytes(e.SenderDelegation[i].Signature))
			chain = append(chain, d)
		}
		m.Set("sender_delegation", chain)
	}
	return cbor.AppendValue(cbor.AppendSelfDescribe(b), m)
}

// ID computes the request id: the hash of the content map.
func (r *Request) ID() [32]byte { return mustHash(r.content()) }

// SignedBytes is what the maker of the delegation signs.
func (d *Delegation) SignedBytes() []byte {
	h := mustHash(d.fields())
	return append([]byte("\x1Aic-request-auth-delegation"), h[:]...)
}

// RequestSignedBytes is what the sender of a request signs.
func RequestSignedBytes(id [32]byte) []byte { return append([]byte("\x0Aic-request"), id[:]...) }

// ResponseSignedBytes is what a node signs that answers a query; h is the hash of
// the response's map.
func ResponseSignedBytes(h [32]byte) []byte { return append([]byte("\x0Bic-response"), h[:]...) }

// SenderInfoSignedBytes is what the canister signs that vouches for the info.
func SenderInfoSignedBytes(info []byte) []byte { return append([]byte("\x0Eic-sender-info"), info...) }

// content is the map that is sent and hashed.
func (r *Request) content() *cbor.Map {
	m := &cbor.Map{}
	m.Set("request_type", cbor.Text(r.Kind.String()))
	m.Set("sender", principalValue(r.Sender))
	m.Set("ingress_expiry", cbor.NatOf(r.IngressExpiry))
	if r.Nonce != nil {
		m.Set("nonce", cbor.Bytes(r.Nonce))
	}
	if r.Kind == ReadState {
		paths := make(cbor.Array, len(r.Paths))
		for i, p := range r.Paths {
			labels := make(cbor.Array, len(p))
			for j, l := range p {
				labels[j] = cbor.Bytes(l)
			}
			paths[i] = labels
		}
		m.Set("paths", paths)
	} else {
		m.Set("canister_id", principalValue(r.Canister))
		m.Set("method_name", cbor.Text(r.Method))
		m.Set("arg", cbor.Bytes(r.Arg))
		if r.SenderInfo != nil {
			m.Set("sender_info", r.SenderInfo.fields())
		}
	}
	return extend(m, &r.unknown)
}

func (s *SenderInfo) fields() *cbor.Map {
	m := &cbor.Map{}
	m.Set("info", cbor.Bytes(s.Info))
	m.Set("signer", principalValue(s.Signer))
	m.Set("sig", cbor.Bytes(s.Sig))
	return extend(m, &s.unknown)
}

func (d *Delegation) fields() *cbor.Map {
	m := &cbor.Map{}
	m.Set("pubkey", cbor.Bytes(d.PublicKey))
	m.Set("expiration", cbor.NatOf(d.Expiration))
	if d.Targets != nil {
		targets := make(cbor.Array, len(d.Targets))
		for i, id := range d.Targets {
			targets[i] = principalValue(id)
		}
		m.Set("targets", targets)
	}
	if d.Permissions != "" {
		m.Set("permissions", cbor.Text(d.Permissions))
	}
	return extend(m, &d.unknown)
}

func principalValue(id principal.ID) cbor.Value { return cbor.Bytes(id.Bytes()) }

func extend(m, more *cbor.Map) *cbor.Map {
	for i, k := range more.Keys {
		m.Set(k, more.Values[i])
	}
	return m
}
