// Package live runs a replica on real time, goroutines, sockets and files: it is the
// surroundings that package loop asks for, drives the node in them, and answers the
// HTTPS interface from the states that the subnet certified.
//
// What the node agreed to is on disk before it tells anybody, and every state can be
// computed again from the newest checkpoint and the blocks since, so that a replica
// which is killed at any moment goes on where it was.
package live

import (
	"context"
	"crypto/ed25519"
	"crypto/x509"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"sync/atomic"
	"time"

	"portico/lightclient/certificate"
	"portico/lightclient/principal"
	"portico/lightclient/signature"
	"portico/node/api"
	"portico/node/artifact"
	"portico/node/consensus/pool"
	"portico/node/crypto/bls"
	"portico/node/crypto/committee"
	"portico/node/crypto/usersig"
	"portico/node/ingress"
	"portico/node/loop"
	"portico/node/p2p/transport"
	"portico/node/registry"
	"portico/node/replica"
	"portico/node/types"
)

// Version is what the replica says of itself at /api/v2/status.
const Version = "portico-0.1.0"

// Config is what a Replica is made of.
type Config struct {
	// Dir is the replica's folder: artifacts, checkpoints, working files.
	Dir     string
	Records *registry.Records
	Keys    *committee.Keys
	// Listener takes the connections of peers. The Replica closes it.
	Listener net.Listener
	// Sandboxes is that of StatesConfig.
	Sandboxes int
	Log       *slog.Logger
}

const (
	// signatureCacheEntries bounds the users' signatures that are remembered as verified.
	signatureCacheEntries = 100_000
	// maxClockSkew is how much later than this node's clock that of a peer may be when it
	// takes in a user's call.
	maxClockSkew = 30 * time.Second
)

// Replica is a running replica.
type Replica struct {
	cfg       Config
	self      *registry.Node
	states    *States
	store     *pool.Store
	auth      *usersig.Verifier
	transport *transport.Transport
	driver    *driver
	metrics   *metrics
	opened    time.Time
	failed    atomic.Bool // the node has stopped itself
}

var (
	_ api.Replica = (*Replica)(nil)
	_ api.Signer  = (*Replica)(nil)
)

// Open loads a replica from its folder, which may be empty. An error names the file, the
// record or the key that is at fault.
func Open(cfg Config) (*Replica, error) {
	r := &Replica{cfg: cfg, opened: time.Now()}
	if err := r.open(); err != nil {
		return nil, errors.Join(err, r.Close(), cfg.Listener.Close())
	}
	return r, nil
}

func (r *Replica) open() error {
	self, member, err := find(r.cfg.Records, r.cfg.Keys.Node)
	if err != nil {
		return err
	}
	r.self = self
	if err := os.MkdirAll(r.cfg.Dir, 0o700); err != nil {
		return err
	}
	crypto, err := committee.New(r.cfg.Records, r.cfg.Keys, member)
	if err != nil {
		return err
	}
	if r.store, err = pool.Open(filepath.Join(r.cfg.Dir, "artifacts.db")); err != nil {
		return err
	}
	shown, err := r.store.Newest(artifact.Certification)
	if err != nil {
		return err
	}
	if r.states, err = OpenStates(StatesConfig{Dir: r.cfg.Dir, Records: r.cfg.Records, ShowFrom: shown, Sandboxes: r.cfg.Sandboxes, Log: r.cfg.Log}); err != nil {
		return err
	}
	r.auth = usersig.New(signature.Config{
		Certificates: &certificate.Verifier{RootKey: r.states.subnet.RootKey, BLS: bls.VerifyBLS},
		CacheEntries: signatureCacheEntries,
	})
	r.metrics = newMetrics(r)
	node, err := replica.New(replica.Config{
		Records: r.cfg.Records, Self: self.ID, Crypto: &countedCrypto{crypto, r.metrics}, Store: r.store, States: r.states,
		Check: r.check, Observe: r.metrics.observe, Log: r.cfg.Log,
	})
	if err != nil {
		return err
	}
	r.driver = newDriver(node, r.send, r.metrics.where)
	r.transport, err = transport.New(transport.Config{
		Self: *self, Key: r.cfg.Keys.Node, Peers: r.cfg.Records.Nodes, Listener: r.cfg.Listener,
		Deliver: r.driver.deliver, Log: r.cfg.Log, Limits: transport.DefaultLimits(),
	})
	return err
}

// find finds the record of the node that holds a key.
func find(records *registry.Records, key ed25519.PrivateKey) (*registry.Node, types.Member, error) {
	der, err := x509.MarshalPKIXPublicKey(key.Public())
	if err != nil {
		return nil, 0, err
	}
	id := principal.SelfAuthenticating(der)
	member, ok := records.Subnet.Member(id)
	if !ok {
		return nil, 0, fmt.Errorf("the registry's subnet %s has no member %s, whose key this node holds", records.Subnet.ID, id)
	}
	return records.Node(id), member, nil
}

func (r *Replica) send(to types.NodeID, ch loop.Channel, frame []byte) {
	r.transport.Send(to, ch, frame)
}

// Run takes part in the subnet until the context ends, or until the node stops itself for the
// reason that it returns: a panic comes with its height and stack. Nothing is saved when it
// ends, because everything was before it counted.
func (r *Replica) Run(ctx context.Context) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	connected := make(chan error, 1)
	go func() {
		err := r.transport.Run(ctx)
		cancel(err) // without peers the node could only fall behind
		connected <- err
	}()
	err := r.driver.run(ctx)
	r.failed.Store(err != nil)
	cancel(err)
	return errors.Join(err, <-connected)
}

// Close releases files. Run must have returned.
func (r *Replica) Close() error {
	var errs []error
	if r.states != nil {
		errs = append(errs, r.states.Close())
	}
	if r.store != nil {
		errs = append(errs, r.store.Close())
	}
	return errors.Join(errs...)
}

// API is the handler of the HTTPS interface.
func (r *Replica) API() http.Handler {
	handler := api.New(api.Deps{Replica: r, Auth: r.auth, Signer: r, Now: now, Limits: api.DefaultLimits(), Log: r.cfg.Log})
	return &ordered{handler, r.states}
}

// RootKey is the network's public key, DER.
func (r *Replica) RootKey() []byte { return r.states.subnet.RootKey }

func now() types.Time { return types.TimeOf(time.Now()) }

// check checks a call that a peer took in from its user, as the peer should have done.
func (r *Replica) check(c *ingress.Call, at types.Time) error {
	request := &c.Envelope.Request
	if err := api.CheckEffective(request, c.Effective, r.states.subnet.Hosts); err != nil {
		return err
	}
	if latest := at.Add(usersig.MaxIngressExpiry); c.Expiry() > latest && c.Expiry() <= latest.Add(maxClockSkew) {
		at = c.Expiry().Add(-usersig.MaxIngressExpiry)
	}
	_, err := r.auth.Check(c.Envelope, at)
	return err
}

// NodeID implements api.Signer.
func (r *Replica) NodeID() types.NodeID { return r.self.ID }

// Sign implements api.Signer.
func (r *Replica) Sign(message []byte) []byte { return ed25519.Sign(r.cfg.Keys.Node, message) }
