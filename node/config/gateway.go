package config

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"net/url"
)

// Gateway configures one gateway. Paths are relative to the file.
type Gateway struct {
	// Listen is the address that browsers reach, such as "127.0.0.1:8000".
	Listen string `toml:"listen"`
	// Replicas are the base URLs of replicas of one subnet.
	Replicas []string `toml:"replicas"`
	// RootKeyFile holds the network's public key, DER.
	RootKeyFile string `toml:"root_key_file"`
	// Domains are the names below which canisters are served.
	Domains []string `toml:"domains"`
	// AliasFile has lines "host:canister", for names and custom domains that the gateway's
	// owner gives out; it is read again when it changes.
	AliasFile string `toml:"alias_file"`
	// DomainFile keeps the custom domains that people register for themselves, at
	// /custom-domains/v1/ on the gateway's domains; "" if they cannot. At most MaxDomains, or
	// 10,000. AcmeDelegation, if given, is the domain to which a custom domain must delegate
	// the challenges of certificate authorities by a CNAME record.
	DomainFile     string `toml:"domain_file"`
	MaxDomains     int    `toml:"max_domains"`
	AcmeDelegation string `toml:"acme_delegation"`
	// DenyFile has lines with canisters that are not served; it is read again when it changes.
	DenyFile string `toml:"deny_file"`
	// Metrics is the address of metrics for Prometheus, or "" for none. Whoever reaches it
	// may read them.
	Metrics string `toml:"metrics"`
	// AccessLog is the file that gets a line of JSON for each request, "-" for standard error, "" for
	// none.
	AccessLog string `toml:"access_log"`
	// TrustedProxies are networks, such as "10.0.0.0/8", whose X-Forwarded-For counts.
	TrustedProxies []netip.Prefix `toml:"trusted_proxies"`
	// KeepRequestIDs keeps the x-request-id of requests, for a gateway behind another.
	KeepRequestIDs bool `toml:"keep_request_ids"`
	// Certificates make it HTTPS, and so does ACME.
	Certificates []Certificate `toml:"certificates"`
	ACME         *ACME         `toml:"acme"`
	// CacheMegabytes bounds the verified answers that are kept, 0 for none; 256 if nothing is said.
	CacheMegabytes int `toml:"cache_megabytes"`
	// StaleSeconds is how long after its certification a page that is kept may be given,
	// marked, while the subnet is away, 0 for never; 3600 if nothing is said.
	StaleSeconds int `toml:"stale_seconds"`
	// ListenPlain is an address, such as ":80", from where those who come by HTTP are sent to
	// HTTPS; "" for none.
	ListenPlain string `toml:"listen_plain"`
	Limits      Limits `toml:"limits"`
}

// Certificate names two PEM files: a certificate with its chain, and its key. They
// are read again when they change.
type Certificate struct {
	CertificateFile string `toml:"certificate_file"`
	KeyFile         string `toml:"key_file"`
}

// ACME asks a certificate authority for certificates of the gateway's domains, its
// aliases and custom domains; names of canisters need one for *.<domain> from a file.
type ACME struct {
	// Directory is the authority's URL; "" is Let's Encrypt's.
	Directory string `toml:"directory"`
	Email     string `toml:"email"`
	// CacheDir keeps the account and the certificates.
	CacheDir string `toml:"cache_dir"`
	// AcceptTerms says that you agree to the authority's terms of service.
	AcceptTerms bool `toml:"accept_terms"`
}

// Limits bound what a gateway does; 0 is no bound.
type Limits struct {
	// InFlight are requests at the same time, BodyMegabytes what their bodies may take
	// together. Further ones get status 503.
	InFlight      int `toml:"in_flight"`
	BodyMegabytes int `toml:"body_megabytes"`
	// RequestsPerSecond and Burst are those of one address, or of one IPv6 network of 64 bits;
	// beyond, the status is 429. Of at most Addresses, or 65,536, something is remembered.
	RequestsPerSecond float64 `toml:"requests_per_second"`
	Burst             int     `toml:"burst"`
	Addresses         int     `toml:"addresses"`
	// Connections are those of all, beyond which new ones wait, and ConnectionsPerAddress
	// those of one address, beyond which they are closed.
	Connections           int `toml:"connections"`
	ConnectionsPerAddress int `toml:"connections_per_address"`
}

// DefaultLimits are those of a gateway whose file says nothing else: a gateway that is
// flooded keeps answering, and one address may take it all.
func DefaultLimits() Limits {
	return Limits{InFlight: 1024, BodyMegabytes: 256, Connections: 10_000}
}

// What a gateway keeps whose file says nothing else.
const (
	DefaultCacheMegabytes = 256
	DefaultStaleSeconds   = 3600
)

// LoadGateway reads a gateway's file.
func LoadGateway(path string) (Gateway, error) {
	c := Gateway{Domains: []string{"localhost"}, CacheMegabytes: DefaultCacheMegabytes, StaleSeconds: DefaultStaleSeconds, Limits: DefaultLimits()}
	if err := load(path, &c); err != nil {
		return c, err
	}
	if err := c.check(); err != nil {
		return c, fmt.Errorf("%s: %w", path, err)
	}
	files := []*string{&c.RootKeyFile, &c.AliasFile, &c.DomainFile, &c.DenyFile}
	if c.AccessLog != "-" {
		files = append(files, &c.AccessLog)
	}
	for i := range c.Certificates {
		files = append(files, &c.Certificates[i].CertificateFile, &c.Certificates[i].KeyFile)
	}
	if c.ACME != nil {
		files = append(files, &c.ACME.CacheDir)
	}
	for _, f := range files {
		if *f != "" {
			*f = relative(path, *f)
		}
	}
	return c, nil
}

// check finds mistakes before anything is started. Each message says what would be right.
func (c *Gateway) check() error {
	switch {
	case c.Listen == "":
		return errors.New(`listen is missing: give an address such as listen = "127.0.0.1:8000"`)
	case len(c.Replicas) == 0:
		return errors.New(`replicas is missing: give base URLs such as replicas = ["http://127.0.0.1:8080"]`)
	case c.RootKeyFile == "":
		return errors.New("root_key_file is missing: a gateway verifies everything under the network's public key")
	case c.DomainFile == "" && (c.MaxDomains != 0 || c.AcmeDelegation != ""):
		return errors.New("max_domains and acme_delegation need domain_file: without one, nobody can register a domain")
	case c.CacheMegabytes < 0 || c.StaleSeconds < 0:
		return errors.New("cache_megabytes and stale_seconds are positive numbers, or 0 to keep nothing, or nothing stale")
	case c.ListenPlain != "" && len(c.Certificates) == 0 && c.ACME == nil:
		return errors.New("listen_plain needs certificates or acme: there is no HTTPS to send people to")
	}
	for _, a := range []struct{ key, address string }{{"listen", c.Listen}, {"listen_plain", c.ListenPlain}, {"metrics", c.Metrics}} {
		if _, _, err := net.SplitHostPort(a.address); err != nil && a.address != "" {
			return fmt.Errorf(`%s = %q is no address with a port, such as "127.0.0.1:8000"`, a.key, a.address)
		}
	}
	for _, r := range c.Replicas {
		if u, err := url.Parse(r); err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" {
			return fmt.Errorf(`replicas has %q: give base URLs such as "http://127.0.0.1:8080"`, r)
		}
	}
	for i, p := range c.Certificates {
		if p.CertificateFile == "" || p.KeyFile == "" {
			return fmt.Errorf("certificates: the %d. needs both certificate_file and key_file", i+1)
		}
	}
	if c.ACME != nil {
		switch {
		case !c.ACME.AcceptTerms:
			return errors.New("acme: read the terms of service of the certificate authority and set accept_terms = true")
		case c.ACME.CacheDir == "":
			return errors.New("acme: cache_dir is missing: without one, every start asks for certificates anew, and authorities refuse after a few")
		}
	}
	return c.Limits.check()
}

func (l Limits) check() error {
	for _, n := range []struct {
		key   string
		value int
	}{
		{"in_flight", l.InFlight},
		{"body_megabytes", l.BodyMegabytes},
		{"burst", l.Burst},
		{"addresses", l.Addresses},
		{"connections", l.Connections},
		{"connections_per_address", l.ConnectionsPerAddress},
	} {
		if n.value < 0 {
			return fmt.Errorf("limits: %s = %d: give a positive number, or 0 for no bound", n.key, n.value)
		}
	}
	if l.RequestsPerSecond < 0 || l.RequestsPerSecond == 0 && (l.Burst != 0 || l.Addresses != 0) {
		return fmt.Errorf("limits: requests_per_second = %v: give a positive number; burst and addresses mean nothing without it", l.RequestsPerSecond)
	}
	return nil
}
