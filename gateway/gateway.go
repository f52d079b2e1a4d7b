// Package gateway is the HTTP gateway: it lets ordinary browsers and tools use
// canisters over HTTP (HTTP gateway protocol specification).
//
// It believes the network's public key and nothing else: neither the replicas
// that it asks nor, on the way back, itself. A browser that can gets a light
// client to check everything again.
package gateway

import (
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"slices"
	"time"

	"portico/gateway/cache"
	"portico/gateway/domain"
	"portico/gateway/fetch"
	"portico/gateway/host"
	"portico/gateway/limit"
	"portico/gateway/metrics"
	"portico/gateway/quick"
	"portico/gateway/serve"
	"portico/lightclient"
	"portico/lightclient/asset"
	"portico/node/crypto/bls"
)

// Config is what a gateway needs. What may be left out says so.
type Config struct {
	// Domains are the names below which canisters are served, such as "localhost".
	Domains []string
	// Aliases are names of canisters beyond those; nil: none.
	Aliases host.Aliases
	// Custom lets people register domains of their own; nil: they cannot.
	Custom *CustomDomains
	// Replicas are the base URLs of the replicas behind the gateway; at least one.
	Replicas []string
	// RootKey is the public key of the network, DER.
	RootKey []byte
	// Worker has the built service worker (see web/ts); nil: the gateway verifies
	// for everybody.
	Worker fs.FS
	// CacheBytes bounds the verified answers that are kept; 0: none are.
	CacheBytes uint64
	// StaleFor is how long after its certificate's time an answer that is kept may be
	// given, marked, while the network is away; 0: never.
	StaleFor time.Duration
	// Home answers for the bare domains, such as with the start page of a local
	// network; nil: there is a plain page.
	Home http.Handler
	// Denied says which canisters are not served; nil: all are.
	Denied serve.Denylist
	// Limits bound what the gateway does at the same time and for one address.
	Limits limit.Config
	// Proxies are the machines in front whose word counts for where a request comes from.
	Proxies []netip.Prefix
	// KeepRequestIDs keeps the ids that requests bring, for a gateway behind one that
	// made them.
	KeepRequestIDs bool
	// AccessLog gets a line for each request; nil: nobody does.
	AccessLog *slog.Logger
	// Log is told of problems; nil: nobody.
	Log *slog.Logger
	// Now is the clock by which certificates are fresh; nil: time.Now.
	Now func() time.Time
}

// CustomDomains configures the registration of domains (package domain).
type CustomDomains struct {
	Path       string          // the file that keeps them
	Resolver   domain.Resolver // nil: the system's
	Delegation string          // see domain.Config
	Max        int             // 0: domain.DefaultMax
}

// A Gateway is the handler of a gateway's requests. The connections to replicas close
// by themselves when they are idle.
type Gateway struct {
	quick.Handler
	domains []string
	aliases host.Aliases
	custom  *domain.Registry // nil: nobody registers domains
	metrics *metrics.Metrics
}

// New makes a gateway.
func New(cfg Config) (*Gateway, error) {
	if len(cfg.RootKey) == 0 {
		return nil, errors.New("gateway: the root key is missing")
	}
	for _, name := range cfg.Domains {
		if normal, err := host.Normalize(name); err != nil || normal != name {
			return nil, fmt.Errorf("gateway: the domain %q is not a name in lower case, such as \"localhost\"", name)
		}
	}
	pool, err := fetch.NewPool(cfg.Replicas)
	if err != nil {
		return nil, err
	}
	client := lightclient.New(ClientConfig(pool, cfg.RootKey, cfg.Now))
	g := &Gateway{domains: cfg.Domains, aliases: cfg.Aliases, metrics: metrics.New(pool.Failures)}
	deps := serve.Deps{
		Cache:     cache.New(cache.Config{Bytes: cfg.CacheBytes, StaleFor: cfg.StaleFor, Now: cfg.Now}),
		Canisters: client, Upstream: pool, Home: cfg.Home,
		Denied: cfg.Denied, Limits: limit.New(cfg.Limits), Proxies: cfg.Proxies, KeepRequestIDs: cfg.KeepRequestIDs,
		Observer: g.metrics, Log: cfg.Log,
	}
	if deps.Log == nil {
		deps.Log = slog.New(slog.DiscardHandler)
	}
	if cfg.AccessLog != nil {
		deps.Observer = serve.Observers{g.metrics, serve.AccessLog{Log: cfg.AccessLog}}
	}
	if cfg.Custom != nil {
		registry, err := cfg.registry(client, deps.Log)
		if err != nil {
			return nil, err
		}
		deps.Domains = registry
		g.custom, g.aliases = registry, registry
		if cfg.Aliases != nil {
			g.aliases = host.Chain{cfg.Aliases, registry}
		}
	}
	deps.Resolver = &host.Resolver{Domains: cfg.Domains, Aliases: g.aliases}
	if cfg.Worker != nil {
		if deps.Worker, err = serve.LoadWorker(cfg.Worker, cfg.RootKey); err != nil {
			return nil, err
		}
	}
	g.Handler = serve.New(deps)
	return g, nil
}

func (cfg Config) registry(canisters domain.Canisters, log *slog.Logger) (*domain.Registry, error) {
	c := domain.Config{
		Path: cfg.Custom.Path, Own: cfg.Domains, Resolver: cfg.Custom.Resolver, Canisters: canisters,
		Delegation: cfg.Custom.Delegation, Max: cfg.Custom.Max, Log: log,
	}
	if c.Resolver == nil {
		c.Resolver = net.DefaultResolver
	}
	return domain.NewRegistry(c)
}

// Metrics are the gateway's figures.
func (g *Gateway) Metrics() *metrics.Metrics { return g.metrics }

// RecheckDomains looks at the custom domains that people registered again and again until the
// context ends (domain.Registry.Recheck).
func (g *Gateway) RecheckDomains(ctx context.Context) {
	if g.custom != nil {
		g.custom.Recheck(ctx)
	}
}

// MayHaveCertificate reports with an error that a certificate authority should not be
// asked for a certificate for a host: only the gateway's domains and names that somebody
// has put there get one. Names of canisters do not, since there are as many as
// anybody cares to make up: these need a certificate for *.<domain>, from a file.
func (g *Gateway) MayHaveCertificate(_ context.Context, name string) error {
	name, err := host.Normalize(name)
	if err != nil {
		return err
	}
	if slices.Contains(g.domains, name) {
		return nil
	}
	if g.aliases != nil {
		if _, ok := g.aliases.Lookup(name); ok {
			return nil
		}
	}
	return &host.UnknownDomain{Host: name}
}

// ClientConfig configures a light client outside browsers: with this machine's
// cryptography. now may be nil.
func ClientConfig(t lightclient.Transport, rootKey []byte, now func() time.Time) lightclient.Config {
	return lightclient.Config{
		Transport: t, RootKey: rootKey, BLS: new(bls.Verifier).Verify, Now: now,
		Ed25519: verifyEd25519, Rand: rand.Reader, Decode: asset.Decode,
	}
}

func verifyEd25519(publicKey, message, sig []byte) bool {
	return len(publicKey) == ed25519.PublicKeySize && ed25519.Verify(publicKey, message, sig)
}
