package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"os"
	"sync"
	"time"

	"portico/gateway"
	"portico/gateway/front"
	"portico/gateway/host"
	"portico/gateway/limit"
	"portico/gateway/serve"
	"portico/node/config"
)

func gatewayCommand(ctx context.Context, args []string) (err error) {
	flags := flag.NewFlagSet("portico gateway", flag.ContinueOnError)
	path := flags.String("config", "gateway.toml", "the gateway's TOML `file`")
	assets := flags.String("worker-dir", "", "`directory` with the built service worker; without it the gateway verifies for browsers, too")
	verbose := flags.Bool("verbose", false, "log requests that failed")
	if err := parse(flags, args); err != nil {
		return err
	}
	setLog(*verbose)
	cfg, err := config.LoadGateway(*path)
	if err != nil {
		return err
	}
	rootKey, err := os.ReadFile(cfg.RootKeyFile)
	if err != nil {
		return err
	}
	g := gatewayConfig{replicas: cfg.Replicas, rootKey: rootKey, domains: cfg.Domains, workerDir: *assets}
	if cfg.AliasFile != "" {
		file := &host.File{Path: cfg.AliasFile, Log: slog.Default()}
		if err := file.Check(); err != nil {
			return err
		}
		g.aliases = file
	}
	access, err := openLog(cfg.AccessLog)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, access.Close()) }()
	if g.operation, err = operationOf(cfg, access); err != nil {
		return err
	}
	if g.listener, err = net.Listen("tcp", cfg.Listen); err != nil {
		return err
	}
	fmt.Println("The gateway answers at", g.listener.Addr())
	return runGateway(ctx, g)
}

type gatewayConfig struct {
	listener  net.Listener
	replicas  []string // base URLs
	rootKey   []byte   // DER
	domains   []string
	aliases   host.Aliases
	workerDir string       // "" for none
	home      http.Handler // of the bare domains; nil for a plain page
	operation
}

// operation is how whoever runs a gateway wants it run.
type operation struct {
	custom         *gateway.CustomDomains
	denied         serve.Denylist
	limits         config.Limits
	proxies        []netip.Prefix
	keepRequestIDs bool
	cacheBytes     uint64
	staleFor       time.Duration
	accessLog      *slog.Logger // nil for none
	certificates   []front.Pair
	authority      *front.Authority // its Allowed is the gateway's
	plain, metrics string           // addresses, "" for none
}

// operationOf reads what the file names, so that mistakes are found before anybody is served.
func operationOf(cfg config.Gateway, access io.Writer) (operation, error) {
	o := operation{
		limits: cfg.Limits, proxies: cfg.TrustedProxies, keepRequestIDs: cfg.KeepRequestIDs, plain: cfg.ListenPlain, metrics: cfg.Metrics,
		cacheBytes: uint64(cfg.CacheMegabytes) << 20, staleFor: time.Duration(cfg.StaleSeconds) * time.Second,
	}
	if cfg.AccessLog != "" {
		o.accessLog = slog.New(slog.NewJSONHandler(access, nil))
	}
	if cfg.DomainFile != "" {
		o.custom = &gateway.CustomDomains{Path: cfg.DomainFile, Delegation: cfg.AcmeDelegation, Max: cfg.MaxDomains}
	}
	if cfg.DenyFile != "" {
		denied := &host.Denylist{Path: cfg.DenyFile, Log: slog.Default()}
		if err := denied.Check(); err != nil {
			return o, err
		}
		o.denied = denied
	}
	for _, c := range cfg.Certificates {
		o.certificates = append(o.certificates, front.Pair{Certificate: c.CertificateFile, Key: c.KeyFile})
	}
	if a := cfg.ACME; a != nil {
		o.authority = &front.Authority{Directory: a.Directory, Email: a.Email, CacheDir: a.CacheDir}
	}
	return o, nil
}

// openLog opens the access log; what is closed is never standard error.
func openLog(path string) (io.WriteCloser, error) {
	switch path {
	case "", "-":
		return nopCloser{os.Stderr}, nil
	default:
		return os.OpenFile(path, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o640)
	}
}

type nopCloser struct{ io.Writer }

func (nopCloser) Close() error { return nil }

// runGateway serves until the context ends. It closes the listener.
func runGateway(ctx context.Context, cfg gatewayConfig) error {
	g, f, err := openGateway(cfg)
	if err != nil {
		return errors.Join(err, cfg.listener.Close())
	}
	ctx, cancel := context.WithCancel(ctx)
	var rechecking sync.WaitGroup
	rechecking.Go(func() { g.RecheckDomains(ctx) })
	err = front.Serve(ctx, f)
	cancel()
	rechecking.Wait()
	return err
}

// openGateway makes the gateway and its front.
func openGateway(cfg gatewayConfig) (*gateway.Gateway, front.Config, error) {
	var worker fs.FS
	if cfg.workerDir != "" {
		worker = os.DirFS(cfg.workerDir)
	}
	f := front.Config{
		Listener: cfg.listener, MaxConnections: cfg.limits.Connections, MaxPerAddress: cfg.limits.ConnectionsPerAddress, Log: slog.Default(),
	}
	g, err := gateway.New(gateway.Config{
		Domains: cfg.domains, Aliases: cfg.aliases, Replicas: cfg.replicas, RootKey: cfg.rootKey, Worker: worker, Home: cfg.home, Log: slog.Default(),
		Custom: cfg.custom, Denied: cfg.denied, Proxies: cfg.proxies, KeepRequestIDs: cfg.keepRequestIDs, AccessLog: cfg.accessLog,
		CacheBytes: cfg.cacheBytes, StaleFor: cfg.staleFor,
		Limits: limit.Config{
			InFlight: cfg.limits.InFlight, BodyBytes: int64(cfg.limits.BodyMegabytes) << 20,
			PerSecond: cfg.limits.RequestsPerSecond, Burst: cfg.limits.Burst, Addresses: cfg.limits.Addresses,
		},
	})
	if err != nil {
		return g, f, err
	}
	f.Handler, f.Metrics = g, g.Metrics().Handler()
	if len(cfg.certificates) > 0 || cfg.authority != nil {
		if cfg.authority != nil {
			cfg.authority.Allowed = g.MayHaveCertificate
		}
		if f.Certificates, err = front.NewCertificates(cfg.certificates, cfg.authority, slog.Default()); err != nil {
			return g, f, err
		}
	}
	if f.Plain, err = listenAt(cfg.plain); err != nil {
		return g, f, err
	}
	if f.Admin, err = listenAt(cfg.metrics); err != nil && f.Plain != nil {
		err = errors.Join(err, f.Plain.Close())
	}
	return g, f, err
}

// listenAt listens at an address, if there is one.
func listenAt(address string) (net.Listener, error) {
	if address == "" {
		return nil, nil
	}
	return net.Listen("tcp", address)
}
