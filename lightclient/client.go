// Package lightclient talks to an Internet Computer and believes nothing but
// its public key: replies to calls and state that is read are checked against
// certificates, replies to queries against the nodes' signatures, and HTTP
// responses against the canister's own certification (interface specification,
// "HTTPS interface"; HTTP gateway protocol specification).
//
// It is pure Go, small enough for a browser, and leaves the network to a
// Transport: fetch in a service worker, net/http elsewhere. It never asks a
// replica for the public key.
//
// Errors say who is to blame: *TransportError and *StatusError the way to the
// network, *VerificationError and *asset.Error whoever answered, *Reject the
// canister or the system.
package lightclient

import (
	"context"
	"errors"
	"io"
	"sync"
	"time"

	"portico/lightclient/certificate"
	"portico/lightclient/envelope"
	"portico/lightclient/hashtree"
	"portico/lightclient/principal"
)

// A Transport posts CBOR to a replica or boundary node. The path begins with
// "/api/". An error means that no answer came. Answers may be of any status; the
// transport bounds their size. It must allow concurrent use.
type Transport interface {
	Post(ctx context.Context, path string, body []byte) (status int, reply []byte, err error)
}

// Config is what a Client needs. All of the cryptography that browsers have
// themselves comes from outside, so that it does not enlarge the binary.
type Config struct {
	Transport Transport
	RootKey   []byte                                    // the network's public key, DER
	BLS       certificate.VerifyBLS                     // how signatures of the network are verified
	Ed25519   func(publicKey, message, sig []byte) bool // how nodes' signatures are verified
	Rand      io.Reader                                 // for nonces

	// The rest is optional.
	Identity envelope.Identity // nil: anonymous
	Now      func() time.Time  // nil: time.Now
	// SHA256 hashes bodies of HTTP responses; nil: crypto/sha256.
	SHA256 func([]byte) [32]byte
	// Decode undoes the content encodings gzip and deflate, for canisters that
	// certify decoded bodies; nil: such responses are refused.
	Decode func(encoding string, body []byte) ([]byte, error)
}

// Client is safe for concurrent use.
type Client struct {
	transport Transport
	identity  envelope.Identity
	ed25519   func(publicKey, message, sig []byte) bool
	rand      io.Reader
	now       func() time.Time
	sha256    func([]byte) [32]byte
	decode    func(encoding string, body []byte) ([]byte, error)
	verifier  *certificate.Verifier

	mu       sync.Mutex
	nodeKeys map[principal.ID]*nodeKeys // by canister
	version1 map[principal.ID]time.Time // canisters that offer no version 2, and when that was proven
}

// New makes a client.
func New(cfg Config) *Client {
	c := &Client{
		transport: cfg.Transport,
		identity:  cfg.Identity,
		ed25519:   cfg.Ed25519,
		rand:      cfg.Rand,
		now:       cfg.Now,
		sha256:    cfg.SHA256,
		decode:    cfg.Decode,
		verifier:  &certificate.Verifier{RootKey: cfg.RootKey, BLS: cfg.BLS},
		nodeKeys:  map[principal.ID]*nodeKeys{},
		version1:  map[principal.ID]time.Time{},
	}
	if c.identity == nil {
		c.identity = envelope.Anonymous{}
	}
	if c.now == nil {
		c.now = time.Now
	}
	return c
}

// A Message calls a method.
type Message struct {
	Canister principal.ID
	Method   string
	Arg      []byte // Candid
	// Effective is the canister whose subnet gets the message. It is needed for
	// the management canister only: usually the canister that the argument names.
	Effective principal.ID
}

func (m *Message) effective() (principal.ID, error) {
	switch {
	case m.Effective != principal.ID{}:
		return m.Effective, nil
	case m.Canister.IsManagement():
		return principal.ID{}, errors.New("a message to the management canister needs an effective canister id")
	default:
		return m.Canister, nil
	}
}

const (
	// ingressExpiry is how far ahead messages expire: a minute less than replicas
	// accept, for clocks that differ.
	ingressExpiry = 4 * time.Minute
	// keysLifetime is how long node keys and the like are believed after they were
	// read: as long as a certificate is.
	keysLifetime = 5 * time.Minute
	// maxCached bounds each of the client's caches by canister.
	maxCached = 1024
)

// expiryStep is what expiries are whole multiples of since 1970, so that a query
// made twice within it is the same byte for byte: by a worker that sends it before
// this client has started, and for caches on the way.
const expiryStep = 10 * time.Second

func (c *Client) expiry() time.Time {
	ns := c.now().Add(ingressExpiry).UnixNano()
	return time.Unix(0, ns-ns%int64(expiryStep))
}

// ReadState reads paths of the system state tree of the subnet that hosts a
// canister. The certificate is verified for the canister.
func (c *Client) ReadState(ctx context.Context, canister principal.ID, paths ...hashtree.Path) (*certificate.Certificate, error) {
	return c.readState(ctx, c.identity, canister, paths)
}

func (c *Client) readState(ctx context.Context, as envelope.Identity, canister principal.ID, paths []hashtree.Path) (*certificate.Certificate, error) {
	b, err := c.postReadState(ctx, as, "/api/v3/canister/"+canister.String()+"/read_state", paths)
	if err != nil {
		return nil, err
	}
	cert, err := c.verifier.Canister(b, canister, c.now())
	if err != nil {
		return nil, &VerificationError{What: "state of " + canister.String(), Err: err}
	}
	return cert, nil
}

// ReadSubnetState reads paths of the system state tree of a subnet. The
// certificate is verified for the subnet.
func (c *Client) ReadSubnetState(ctx context.Context, subnet principal.ID, paths ...hashtree.Path) (*certificate.Certificate, error) {
	b, err := c.postReadState(ctx, c.identity, "/api/v3/subnet/"+subnet.String()+"/read_state", paths)
	if err != nil {
		return nil, err
	}
	cert, err := c.verifier.Subnet(b, subnet, c.now())
	if err != nil {
		return nil, &VerificationError{What: "state of subnet " + subnet.String(), Err: err}
	}
	return cert, nil
}

func (c *Client) postReadState(ctx context.Context, as envelope.Identity, path string, paths []hashtree.Path) (cert []byte, err error) {
	e, err := as.Sign(envelope.Request{Kind: envelope.ReadState, IngressExpiry: uint64(c.expiry().UnixNano()), Paths: paths})
	if err != nil {
		return nil, err
	}
	status, body, err := c.post(ctx, path, e)
	if err != nil {
		return nil, err
	}
	if status != statusOK {
		return nil, statusError(status, body)
	}
	r, err := decodeReply(body)
	if err == nil && r.certificate == nil {
		err = errors.New("it has no certificate")
	}
	if err != nil {
		return nil, &VerificationError{What: "answer to read_state", Err: err}
	}
	return r.certificate, nil
}

// Metadata reads a metadata section of a canister's module, such as
// "candid:service". Found is false if the canister provably does not have it;
// private sections are errors unless the identity is a controller.
func (c *Client) Metadata(ctx context.Context, canister principal.ID, name string) (content []byte, found bool, err error) {
	path := hashtree.Path{[]byte("canister"), []byte(canister.Raw()), []byte("metadata"), []byte(name)}
	cert, err := c.ReadState(ctx, canister, path)
	if err != nil {
		return nil, false, err
	}
	content, s := hashtree.Lookup(cert.Tree, path...)
	switch s {
	case hashtree.Found:
		return content, true, nil
	case hashtree.Absent:
		return nil, false, nil
	default:
		return nil, false, &VerificationError{What: "metadata " + name, Err: errors.New("the certificate does not show whether it exists")}
	}
}
