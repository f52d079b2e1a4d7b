package lightclient

import (
	"context"
	"errors"
	"strconv"
	"strings"
	"time"

	"portico/lightclient/asset"
	"portico/lightclient/cbor"
	"portico/lightclient/certificate"
	"portico/lightclient/envelope"
	"portico/lightclient/hashtree"
	"portico/lightclient/principal"
)

// Query calls a query method and checks that a node of the canister's subnet
// signed the answer. A single dishonest node can thus forge it; what must be
// beyond doubt needs Call, or an answer that carries its own certificate. A
// reject is a *Reject with Certified unset.
func (c *Client) Query(ctx context.Context, m Message) (reply []byte, err error) {
	target, err := m.effective()
	if err != nil {
		return nil, err
	}
	// The keys are on their way while the query is.
	fetched := make(chan struct{})
	go func() {
		defer close(fetched)
		_, _ = c.keys(ctx, target, time.Time{}) // an error shows again below
	}()
	q, err := c.query(ctx, c.identity, m)
	<-fetched
	if err != nil {
		return nil, err
	}
	if err := c.checkSignatures(ctx, q); err != nil {
		return nil, err
	}
	if q.reply.hasReject {
		return nil, &q.reply.reject
	}
	return q.reply.arg, nil
}

// A queryReply is an answer whose signatures are still to be checked.
type queryReply struct {
	reply     *reply
	target    principal.ID
	requestID [32]byte
}

// nodeSignature is a node's signature of an answer.
type nodeSignature struct {
	timestamp uint64 // nanoseconds since 1970
	signature []byte
	identity  []byte
}

// query sends a query. The answer is well formed, with a reply or a reject.
func (c *Client) query(ctx context.Context, as envelope.Identity, m Message) (*queryReply, error) {
	target, err := m.effective()
	if err != nil {
		return nil, err
	}
	e, err := as.Sign(envelope.Request{
		Kind: envelope.Query, Canister: m.Canister, Method: m.Method, Arg: m.Arg,
		IngressExpiry: uint64(c.expiry().UnixNano()),
	})
	if err != nil {
		return nil, err
	}
	status, body, err := c.post(ctx, "/api/v3/canister/"+target.String()+"/query", e)
	if err != nil {
		return nil, err
	}
	if status != statusOK {
		return nil, statusError(status, body)
	}
	r, err := decodeReply(body)
	if err == nil && (r.status != "replied" || !r.hasArg || r.hasReject) && (r.status != "rejected" || !r.hasReject || r.hasArg) {
		err = errors.New("it is neither a reply nor a reject")
	}
	if err != nil {
		return nil, &VerificationError{What: "answer to the query", Err: err}
	}
	return &queryReply{reply: r, target: target, requestID: e.RequestID}, nil
}

// checkSignatures checks that the answer has signatures and that all of them are
// by nodes of the target's subnet and recent. Keys that may have changed since
// they were read are read once more.
func (c *Client) checkSignatures(ctx context.Context, q *queryReply) error {
	asked := c.now()
	keys, err := c.keys(ctx, q.target, time.Time{})
	if err != nil {
		return err
	}
	wrong := c.checkBy(keys, q)
	if wrong != nil && keys.fetched.Before(asked) {
		if keys, err = c.keys(ctx, q.target, asked); err != nil {
			return err
		}
		wrong = c.checkBy(keys, q)
	}
	if wrong != nil {
		return &VerificationError{What: "answer to the query", Err: wrong}
	}
	return nil
}

// nodeKeys are the public keys of the nodes of a subnet.
type nodeKeys struct {
	fetched time.Time
	keys    map[string][]byte // Ed25519, 32 bytes, by the node's raw principal
}

// checkBy checks the signatures of an answer by the given keys.
func (c *Client) checkBy(k *nodeKeys, q *queryReply) error {
	n := len(q.reply.signatures)
	if n == 0 || n > len(k.keys) {
		return errors.New("it has " + strconv.Itoa(n) + " signatures for a subnet of " + strconv.Itoa(len(k.keys)) + " nodes")
	}
	for _, s := range q.reply.signatures {
		if age := c.now().Sub(time.Unix(0, int64(s.timestamp))); age > keysLifetime || age < -keysLifetime {
			return errors.New("it was signed " + age.Round(time.Second).String() + " ago")
		}
		key := k.keys[string(s.identity)]
		if key == nil {
			return errors.New("it is signed by someone who is no node of the canister's subnet")
		}
		h, err := q.reply.signedHash(q.requestID, s.timestamp)
		if err != nil {
			return err
		}
		if !c.ed25519(key, envelope.ResponseSignedBytes(h), s.signature) {
			return errors.New("the signature by its node is not valid")
		}
	}
	return nil
}

// signedHash is the hash of the map that a node signs.
func (r *reply) signedHash(requestID [32]byte, timestamp uint64) ([32]byte, error) {
	m := &cbor.Map{}
	m.Set("status", cbor.Text(r.status))
	m.Set("timestamp", cbor.NatOf(timestamp))
	m.Set("request_id", cbor.Bytes(requestID[:]))
	if r.hasReject {
		m.Set("reject_code", cbor.NatOf(uint64(r.reject.Code)))
		m.Set("reject_message", cbor.Text(r.reject.Message))
		if r.hasCode {
			m.Set("error_code", cbor.Text(r.reject.ErrorCode))
		}
	} else {
		arg := &cbor.Map{}
		arg.Set("arg", cbor.Bytes(r.arg))
		m.Set("reply", arg)
	}
	return envelope.HashOfMap(m)
}

// keys returns the keys of the nodes that host a canister, from the cache if they
// were read within the last five minutes and not before notBefore.
func (c *Client) keys(ctx context.Context, canister principal.ID, notBefore time.Time) (*nodeKeys, error) {
	now := c.now()
	c.mu.Lock()
	k := c.nodeKeys[canister]
	c.mu.Unlock()
	if k != nil && now.Sub(k.fetched) < keysLifetime && !k.fetched.Before(notBefore) {
		return k, nil
	}
	cert, err := c.readState(ctx, envelope.Anonymous{}, canister, []hashtree.Path{{[]byte("subnet")}})
	if err != nil {
		return nil, err
	}
	k, err = nodeKeysOf(cert, c.verifier.RootKey)
	if err != nil {
		return nil, &VerificationError{What: "list of the nodes of " + canister.String(), Err: err}
	}
	k.fetched = now
	c.mu.Lock()
	makeRoom(c.nodeKeys)
	c.nodeKeys[canister] = k
	c.mu.Unlock()
	return k, nil
}

// makeRoom drops some entry of a cache that is full.
func makeRoom[V any](cache map[principal.ID]V) {
	for id := range cache {
		if len(cache) < maxCached {
			return
		}
		delete(cache, id)
	}
}

// ed25519DER precedes the bytes of a node's public key (RFC 8410).
const (
	ed25519DER    = "\x30\x2a\x30\x05\x06\x03\x2b\x65\x70\x03\x21\x00"
	ed25519KeyLen = 32
)

// nodeKeysOf reads the keys of the nodes of the subnet that made a certificate.
func nodeKeysOf(cert *certificate.Certificate, rootKey []byte) (*nodeKeys, error) {
	subnet := asset.Signer(cert, rootKey)
	nodes, s := hashtree.Find(cert.Tree, []byte("subnet"), []byte(subnet.Raw()), []byte("node"))
	if s != hashtree.Found {
		return nil, errors.New("the certificate does not show the nodes of subnet " + subnet.String())
	}
	k := &nodeKeys{keys: map[string][]byte{}}
	for _, node := range hashtree.Children(nodes) {
		der, s := hashtree.Lookup(node.Sub, []byte("public_key"))
		raw, ok := strings.CutPrefix(string(der), ed25519DER)
		if s != hashtree.Found || !ok || len(raw) != ed25519KeyLen {
			return nil, errors.New("a node has no Ed25519 key")
		}
		k.keys[string(node.Label)] = []byte(raw)
	}
	return k, nil
}
