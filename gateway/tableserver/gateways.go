package main

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"log/slog"
	"math/big"
	"net"
	"os"
	"time"

	"portico/gateway"
	"portico/gateway/front"
	"portico/gateway/host"
	"portico/gateway/limit"
)

// Files of the gateways.
const (
	aliasFile     = "aliases.txt"
	denyFile      = "denied.txt"
	domainFile    = "domains.txt"
	authorityFile = "authority.pem"
	keyFile       = "key.pem"
)

// zone is DNS: one domain names the web canister.
type zone struct{ canister string }

// LookupTXT implements domain.Resolver.
func (z zone) LookupTXT(_ context.Context, name string) ([]string, error) {
	if name == "_canister-id.registered.example" || name == "_canister-id.unlisted.example" {
		return []string{z.canister}, nil
	}
	return nil, &net.DNSError{Err: "no such host", Name: name, IsNotFound: true}
}

// LookupCNAME implements domain.Resolver.
func (zone) LookupCNAME(_ context.Context, name string) (string, error) {
	return "", &net.DNSError{Err: "no such host", Name: name, IsNotFound: true}
}

// gateways starts the gateways and gives their ports.
func (b *bench) gateways(replica string) (map[string]int, error) {
	if err := os.WriteFile(b.file(aliasFile), []byte("shop.localhost:"+b.site.Web().String()+"\n"), 0o600); err != nil {
		return nil, err
	}
	if err := os.WriteFile(b.file(denyFile), []byte("# nobody\n"), 0o600); err != nil {
		return nil, err
	}
	if err := b.certificate(); err != nil {
		return nil, err
	}
	ports := map[string]int{}
	full := gateway.Config{
		Domains: []string{"localhost", "gateway.test"}, Replicas: []string{replica}, RootKey: b.site.RootKey(),
		Aliases: &host.File{Path: b.file(aliasFile)}, Denied: &host.Denylist{Path: b.file(denyFile)},
		Custom: &gateway.CustomDomains{Path: b.file(domainFile), Resolver: zone{b.site.Web().String()}},
	}
	for name, limits := range map[string]limit.Config{"main": {}, "slow": {PerSecond: 0.01, Burst: 3}, "small": {InFlight: 1}} {
		cfg := full
		cfg.Limits = limits
		if name == "main" {
			cfg.CacheBytes = 64 << 20
		} else {
			cfg.Custom = nil // one gateway rewrites the file
		}
		g, err := gateway.New(cfg)
		if err != nil {
			return nil, err
		}
		f := front.Config{Handler: g, Metrics: g.Metrics().Handler()}
		if err := start(f, name, ports, name == "main"); err != nil {
			return nil, err
		}
		if name != "main" {
			continue
		}
		pair := front.Pair{Certificate: b.file(authorityFile), Key: b.file(keyFile)}
		if f.Certificates, err = front.NewCertificates([]front.Pair{pair}, nil, slog.Default()); err != nil {
			return nil, err
		}
		if err := start(f, "tls", ports, false); err != nil {
			return nil, err
		}
	}
	return ports, nil
}

// start starts a front until the program ends; one with certificates gets a door for
// those who come by HTTP.
func start(f front.Config, name string, ports map[string]int, admin bool) (err error) {
	listen := func(name string) net.Listener {
		l, e := net.Listen("tcp", "127.0.0.1:0")
		if e != nil {
			err = e
			return nil
		}
		ports[name] = l.Addr().(*net.TCPAddr).Port
		return l
	}
	f.Log = slog.Default()
	f.Listener = listen(name)
	if admin {
		f.Admin = listen("metrics")
	}
	if f.Certificates != nil {
		f.Plain = listen("plain")
	}
	if err == nil {
		go func() { _ = front.Serve(context.Background(), f) }()
	}
	return err
}

// certificate makes a certificate for *.gateway.test.
func (b *bench) certificate() error {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return err
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "table"}, DNSNames: []string{"gateway.test", "*.gateway.test"}, IsCA: true, BasicConstraintsValid: true,
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		return err
	}
	secret, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return err
	}
	for name, block := range map[string]*pem.Block{authorityFile: {Type: "CERTIFICATE", Bytes: der}, keyFile: {Type: "PRIVATE KEY", Bytes: secret}} {
		if err := os.WriteFile(b.file(name), pem.EncodeToMemory(block), 0o600); err != nil {
			return err
		}
	}
	return nil
}
