// Package gateway is the HTTP gateway: it lets ordinary browsers and tools use
// canisters over HTTP (HTTP gateway protocol specification).
//
// It believes the network's public key and nothing else: neither the replicas
// that it asks nor, on the way back, itself. A browser that can gets a light
// client to check everything again.
package gateway

import (
	"crypto/ed25519"
	"crypto/rand"
	"errors"
	"io/fs"
	"log/slog"
	"net/http"
	"time"

	"portico/gateway/fetch"
	"portico/gateway/host"
	"portico/gateway/serve"
	"portico/lightclient"
	"portico/lightclient/asset"
	"portico/node/crypto/bls"
)

// Config is what a gateway needs.
type Config struct {
	// Domains are the names below which canisters are served, such as "localhost".
	Domains []string
	// Aliases are names of canisters beyond those; nil: none.
	Aliases host.Aliases
	// Replicas are the base URLs of the replicas behind the gateway; at least one.
	Replicas []string
	// RootKey is the public key of the network, DER.
	RootKey []byte
	// Worker has the built service worker (see web/ts); nil: the gateway verifies
	// for everybody.
	Worker fs.FS
	// Home answers for the bare domains, such as with the start page of a local
	// network; nil: there is a plain page.
	Home http.Handler
	// Log is told of problems; nil: nobody.
	Log *slog.Logger
	// Now is the clock by which certificates are fresh; nil: time.Now.
	Now func() time.Time
}

// New makes the handler of a gateway. The pool's connections close by themselves
// when they are idle.
func New(cfg Config) (http.Handler, error) {
	if len(cfg.RootKey) == 0 {
		return nil, errors.New("gateway: the root key is missing")
	}
	pool, err := fetch.NewPool(cfg.Replicas)
	if err != nil {
		return nil, err
	}
	deps := serve.Deps{
		Resolver:  &host.Resolver{Domains: cfg.Domains, Aliases: cfg.Aliases},
		Canisters: lightclient.New(ClientConfig(pool, cfg.RootKey, cfg.Now)),
		Upstream:  pool,
		Home:      cfg.Home,
		Log:       cfg.Log,
	}
	if deps.Log == nil {
		deps.Log = slog.New(slog.DiscardHandler)
	}
	if cfg.Worker != nil {
		if deps.Worker, err = serve.LoadWorker(cfg.Worker, cfg.RootKey); err != nil {
			return nil, err
		}
	}
	return serve.New(deps), nil
}

// ClientConfig configures a light client outside browsers: with this machine's
// cryptography. now may be nil.
func ClientConfig(t lightclient.Transport, rootKey []byte, now func() time.Time) lightclient.Config {
	return lightclient.Config{
		Transport: t, RootKey: rootKey, BLS: bls.VerifyBLS, Now: now,
		Ed25519: verifyEd25519, Rand: rand.Reader, Decode: asset.Decode,
	}
}

func verifyEd25519(publicKey, message, sig []byte) bool {
	return len(publicKey) == ed25519.PublicKeySize && ed25519.Verify(publicKey, message, sig)
}
