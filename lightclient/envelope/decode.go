package envelope

import (
	"errors"
	"slices"
	"strconv"

	"portico/lightclient/cbor"
	"portico/lightclient/hashtree"
	"portico/lightclient/principal"
	"portico/lightclient/reason"
)

// Decode reads an envelope, with or without CBOR's self-describing tag. Errors
// name the field, its value and what would be right.
func Decode(b []byte) (*Envelope, error) {
	e, err := decode(b)
	if err != nil {
		return nil, reason.Wrap("envelope", err)
	}
	return e, nil
}

func decode(b []byte) (*Envelope, error) {
	v, err := cbor.Decode(b)
	if err != nil {
		return nil, err
	}
	r := open("", v)
	content := r.take("content")
	e := &Envelope{SenderPublicKey: r.blob("sender_pubkey", optional), SenderSig: r.blob("sender_sig", optional)}
	chain := r.list("sender_delegation", optional, MaxDelegations)
	if r.err != nil {
		return nil, r.err
	}
	if e.Request, err = decodeRequest(content); err != nil {
		return nil, err
	}
	if e.RequestID, err = HashOfMap(content.(*cbor.Map)); err != nil {
		return nil, errors.New("content." + err.Error())
	}
	for i, v := range chain {
		d, err := decodeSignedDelegation("sender_delegation["+strconv.Itoa(i)+"]", v)
		if err != nil {
			return nil, err
		}
		e.SenderDelegation = append(e.SenderDelegation, d)
	}
	return e, e.checkAuthentication(chain != nil)
}

// checkAuthentication checks which fields are there and that no key appears twice
// in the chain of delegations.
func (e *Envelope) checkAuthentication(hasChain bool) error {
	if e.Request.Sender.IsAnonymous() {
		if e.SenderPublicKey != nil || e.SenderSig != nil || hasChain {
			return errors.New("the sender is anonymous, so sender_pubkey, sender_sig and sender_delegation must be omitted")
		}
		return nil
	}
	if e.SenderPublicKey == nil || e.SenderSig == nil {
		return errors.New("sender " + e.Request.Sender.String() + " is not anonymous, so sender_pubkey and sender_sig must be set")
	}
	seen := map[string]bool{string(e.SenderPublicKey): true}
	for i, d := range e.SenderDelegation {
		if seen[string(d.Delegation.PublicKey)] {
			return errors.New("sender_delegation[" + strconv.Itoa(i) + "].delegation.pubkey: the key appeared before in the chain")
		}
		seen[string(d.Delegation.PublicKey)] = true
	}
	return nil
}

func decodeRequest(v cbor.Value) (Request, error) {
	r := open("content", v)
	req := Request{
		Sender:        r.principal("sender"),
		IngressExpiry: r.nat("ingress_expiry"),
		Nonce:         r.blob("nonce", optional),
	}
	if r.err == nil && len(req.Nonce) > MaxNonceBytes {
		r.fail("nonce", strconv.Itoa(len(req.Nonce))+" bytes; at most "+strconv.Itoa(MaxNonceBytes)+" are allowed")
	}
	switch kind := r.text("request_type", required); kind {
	case "call", "query":
		req.Kind = Call
		if kind == "query" {
			req.Kind = Query
		}
		req.Canister = r.principal("canister_id")
		req.Method = r.text("method_name", required)
		req.Arg = r.blob("arg", required)
		if v := r.take("sender_info"); v != nil && r.err == nil {
			req.SenderInfo, r.err = decodeSenderInfo(v)
		}
	case "read_state":
		req.Kind = ReadState
		req.Paths = r.paths("paths")
	default:
		r.fail("request_type", reason.Quote(kind)+" is none of call, query and read_state")
	}
	req.unknown = r.rest()
	return req, r.err
}

func decodeSenderInfo(v cbor.Value) (*SenderInfo, error) {
	r := open("content.sender_info", v)
	s := &SenderInfo{Info: r.blob("info", required), Signer: r.principal("signer"), Sig: r.blob("sig", required)}
	s.unknown = r.rest()
	return s, r.err
}

func decodeSignedDelegation(where string, v cbor.Value) (SignedDelegation, error) {
	outer := open(where, v)
	s := SignedDelegation{Signature: outer.blob("signature", required)}
	inner := outer.take("delegation")
	if outer.err != nil {
		return s, outer.err
	}
	r := open(where+".delegation", inner)
	d := Delegation{
		PublicKey:   r.blob("pubkey", required),
		Expiration:  r.nat("expiration"),
		Targets:     r.principals("targets", MaxTargets),
		Permissions: r.text("permissions", optional),
	}
	if r.has("permissions") && d.Permissions != PermissionQueries && d.Permissions != PermissionAll {
		r.fail("permissions", reason.Quote(d.Permissions)+" is neither "+reason.Quote(PermissionQueries)+" nor "+reason.Quote(PermissionAll))
	}
	d.unknown = r.rest()
	if r.err == nil {
		if _, err := HashOfMap(&d.unknown); err != nil {
			r.err = errors.New(where + ".delegation." + err.Error())
		}
	}
	s.Delegation = d
	return s, r.err
}

// A record takes named fields out of a map. It keeps the first error, after which
// every field reads as zero.
type record struct {
	where string
	m     *cbor.Map
	known []string
	err   error
}

const (
	required = true
	optional = false
)

func open(where string, v cbor.Value) *record {
	r := &record{where: where}
	m, ok := v.(*cbor.Map)
	if !ok {
		r.m, r.err = &cbor.Map{}, errors.New(nameOr(where, "the request")+" is "+describe(v)+" instead of a map")
		return r
	}
	r.m = m
	return r
}

func nameOr(name, other string) string {
	if name == "" {
		return other
	}
	return name
}

func describe(v cbor.Value) string {
	switch v.(type) {
	case nil:
		return "missing"
	case cbor.Nat, cbor.NegInt:
		return "a number"
	case cbor.Bytes:
		return "a blob"
	case cbor.Text:
		return "a text"
	case cbor.Array:
		return "an array"
	case *cbor.Map:
		return "a map"
	default:
		return "a simple value or float"
	}
}

func (r *record) fail(key, why string) {
	if r.err != nil {
		return
	}
	if r.where != "" {
		key = r.where + "." + key
	}
	r.err = errors.New(key + ": " + why)
}

// take returns the value under key; null and undefined count as absent.
func (r *record) take(key string) cbor.Value {
	r.known = append(r.known, key)
	v := r.m.Get(key)
	if isNull(v) {
		return nil
	}
	return v
}

func (r *record) has(key string) bool { return !isNull(r.m.Get(key)) && r.m.Get(key) != nil }

// rest returns the fields that were not taken.
func (r *record) rest() cbor.Map {
	var m cbor.Map
	for i, k := range r.m.Keys {
		if !slices.Contains(r.known, k) {
			m.Set(k, r.m.Values[i])
		}
	}
	return m
}

// field takes a value of type T.
func field[T cbor.Value](r *record, key, want string, need bool) (out T) {
	v := r.take(key)
	if v == nil && !need {
		return out
	}
	out, ok := v.(T)
	if !ok {
		r.fail(key, describe(v)+", expected "+want)
	}
	return out
}

func (r *record) blob(key string, need bool) []byte {
	return field[cbor.Bytes](r, key, "a blob", need)
}

func (r *record) text(key string, need bool) string {
	return string(field[cbor.Text](r, key, "a text", need))
}

func (r *record) nat(key string) uint64 {
	n := field[cbor.Nat](r, key, "a number", required)
	switch {
	case !n.IsUint64():
		r.fail(key, "the number does not fit into 64 bits")
		return 0
	default:
		return n.Uint64()
	}
}

func (r *record) list(key string, need bool, limit int) cbor.Array {
	a := field[cbor.Array](r, key, "an array", need)
	if len(a) > limit {
		r.fail(key, strconv.Itoa(len(a))+" elements; at most "+strconv.Itoa(limit)+" are allowed")
		return nil
	}
	return a
}

func (r *record) principal(key string) principal.ID {
	return r.toPrincipal(key, field[cbor.Bytes](r, key, "a blob", required))
}

func (r *record) toPrincipal(key string, v cbor.Value) principal.ID {
	b, ok := v.(cbor.Bytes)
	if !ok {
		r.fail(key, describe(v)+", expected a blob")
	}
	id, err := principal.FromBytes(b)
	if err != nil {
		r.fail(key, err.Error())
	}
	return id
}

func (r *record) principals(key string, limit int) []principal.ID {
	a := r.list(key, optional, limit)
	if a == nil {
		return nil
	}
	ids := make([]principal.ID, len(a))
	for i, v := range a {
		ids[i] = r.toPrincipal(key+"["+strconv.Itoa(i)+"]", v)
	}
	return ids
}

func (r *record) paths(key string) []hashtree.Path {
	a := r.list(key, required, MaxPaths)
	paths := make([]hashtree.Path, len(a))
	for i, v := range a {
		labels, ok := v.(cbor.Array)
		switch {
		case !ok:
			r.fail(key, "path "+strconv.Itoa(i)+" is "+describe(v)+", expected an array")
		case len(labels) > MaxPathLabels:
			r.fail(key, "path "+strconv.Itoa(i)+" has "+strconv.Itoa(len(labels))+" labels; at most "+strconv.Itoa(MaxPathLabels)+" are allowed")
			labels = nil
		}
		paths[i] = make(hashtree.Path, len(labels))
		for j, l := range labels {
			b, ok := l.(cbor.Bytes)
			if !ok {
				r.fail(key, "label "+strconv.Itoa(j)+" of path "+strconv.Itoa(i)+" is "+describe(l)+", expected a blob")
			}
			paths[i][j] = b
		}
	}
	return paths
}
