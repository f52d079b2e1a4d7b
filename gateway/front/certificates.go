package front

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"os"
	"slices"
	"sync"
	"time"

	"golang.org/x/crypto/acme"
	"golang.org/x/crypto/acme/autocert"
)

// Pair names the files of a certificate with its chain and of its key, PEM.
type Pair struct{ Certificate, Key string }

// Authority is a certificate authority that is asked for certificates (RFC 8555).
type Authority struct {
	Directory string // URL; "": Let's Encrypt
	Email     string // for notices of the authority; may be ""
	CacheDir  string // keeps the account and the certificates
	// Allowed reports with an error that a host gets no certificate. Authorities
	// bound how often they are asked, so strangers must not be able to make us ask.
	Allowed func(ctx context.Context, host string) error
	Client  *http.Client // nil: http.DefaultClient
}

// Certificates are those of a gateway: from files, which are read again when they
// change, and for names that these do not have from an authority.
type Certificates struct {
	files   []*file
	manager *autocert.Manager // nil: there is no authority
}

// NewCertificates reads the files; there must be some, or an authority, which may be nil.
func NewCertificates(pairs []Pair, authority *Authority, log *slog.Logger) (*Certificates, error) {
	c := &Certificates{}
	for _, p := range pairs {
		f := &file{pair: p, log: log}
		if err := f.load(); err != nil {
			return nil, err
		}
		c.files = append(c.files, f)
	}
	if authority == nil {
		if len(pairs) == 0 {
			return nil, errors.New("front: neither certificates nor an authority that gives some")
		}
		return c, nil
	}
	c.manager = &autocert.Manager{
		Prompt: autocert.AcceptTOS, Cache: autocert.DirCache(authority.CacheDir), HostPolicy: authority.Allowed, Email: authority.Email,
		Client: &acme.Client{DirectoryURL: authority.Directory, HTTPClient: authority.Client},
	}
	if authority.Directory == "" {
		c.manager.Client.DirectoryURL = autocert.DefaultACMEDirectory
	}
	return c, nil
}

func (c *Certificates) config() *tls.Config {
	return &tls.Config{
		GetCertificate: c.get, MinVersion: tls.VersionTLS12,
		NextProtos: []string{"h2", "http/1.1", acme.ALPNProto},
	}
}

// challenges answers an authority's challenges and leaves the rest to the handler.
func (c *Certificates) challenges(rest http.Handler) http.Handler {
	if c.manager == nil {
		return rest
	}
	return c.manager.HTTPHandler(rest)
}

// get chooses the certificate for a handshake.
func (c *Certificates) get(hello *tls.ClientHelloInfo) (*tls.Certificate, error) {
	if c.manager != nil && slices.Contains(hello.SupportedProtos, acme.ALPNProto) {
		return c.manager.GetCertificate(hello)
	}
	for _, f := range c.files {
		if certificate := f.latest(); hello.SupportsCertificate(certificate) == nil {
			return certificate, nil
		}
	}
	if c.manager != nil && hello.ServerName != "" {
		return c.manager.GetCertificate(hello)
	}
	if len(c.files) == 0 {
		return nil, errors.New("front: the client names no host")
	}
	// The client will complain of the name, which tells people more than a broken handshake.
	return c.files[0].latest(), nil
}

// file is a pair of files and the certificate that they had when they were last whole.
type file struct {
	pair Pair
	log  *slog.Logger

	mu      sync.Mutex
	stamps  [2]stamp // of the last attempt to load
	current *tls.Certificate
}

// stamp tells versions of a file apart.
type stamp struct {
	modified time.Time
	size     int64
}

// latest gives the certificate. While the files are being replaced, one may not go
// with the other: then it is the one before.
func (f *file) latest() *tls.Certificate {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.now() != f.stamps {
		if err := f.load(); err != nil {
			f.log.Warn("a certificate was not renewed: the one before stays", "err", err)
		}
	}
	return f.current
}

func (f *file) now() (s [2]stamp) {
	for i, path := range []string{f.pair.Certificate, f.pair.Key} {
		if info, err := os.Stat(path); err == nil {
			s[i] = stamp{info.ModTime(), info.Size()}
		}
	}
	return s
}

func (f *file) load() error {
	f.stamps = f.now()
	certificate, err := tls.LoadX509KeyPair(f.pair.Certificate, f.pair.Key)
	if err != nil {
		return fmt.Errorf("certificate %s with key %s: %w", f.pair.Certificate, f.pair.Key, err)
	}
	f.current = &certificate
	return nil
}
