// Package domain lets people put domains of their own in front of their canisters,
// as the Internet Computer's gateways do: the domain names the canister in DNS
// (a TXT record at _canister-id.<domain>), the canister lists the domain at
// /.well-known/ic-domains, and whoever asks for it has both checked and the
// domain registered, through the interface at /custom-domains/v1/.
//
// Nobody needs a password for that: only who controls the domain and the canister
// can make the two agree.
package domain

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"portico/gateway/host"
	"portico/lightclient/principal"
)

// Config is what a Registry needs.
type Config struct {
	// Path is the file that keeps the registered domains, in lines "host:principal".
	Path string
	// Own are the gateway's domains, which nobody can register.
	Own       []string
	Resolver  Resolver
	Canisters Canisters
	// Delegation, if not empty, is the domain through which the gateway's owner gets
	// certificates for custom domains: _acme-challenge.<domain> must then be a CNAME of
	// _acme-challenge.<domain>.<Delegation>.
	Delegation string
	Max        int // domains; 0: DefaultMax
	Log        *slog.Logger
}

// DefaultMax bounds the domains of a registry, some 100 bytes each.
const DefaultMax = 10_000

// Bounds of checks, which ask machines of strangers.
const (
	checkTimeout = 15 * time.Second
	maxChecks    = 8 // at the same time
)

// A Registry holds the domains that were registered. It is safe for concurrent use.
type Registry struct {
	cfg    Config
	file   *host.File
	checks chan struct{} // one for each check that runs
	mu     sync.Mutex    // held while the file is rewritten
}

// NewRegistry makes a registry of what its file has; the error says what is wrong
// with that.
func NewRegistry(cfg Config) (*Registry, error) {
	if cfg.Max == 0 {
		cfg.Max = DefaultMax
	}
	if cfg.Log == nil {
		cfg.Log = slog.New(slog.DiscardHandler)
	}
	r := &Registry{cfg: cfg, file: &host.File{Path: cfg.Path, Log: cfg.Log}, checks: make(chan struct{}, maxChecks)}
	return r, r.file.Check()
}

// Lookup gives the canister behind a registered domain (host.Aliases).
func (r *Registry) Lookup(name string) (principal.ID, bool) { return r.file.Lookup(name) }

// The errors of a registration, besides *Refused.
var (
	errExists  = errors.New("the domain is registered already")
	errUnknown = errors.New("the domain is not registered")
	errFull    = errors.New("this gateway has as many domains as it may")
	errBusy    = errors.New("too many domains are being checked")
)

// checked runs a check, bounded in time and number.
func checked[T any](ctx context.Context, r *Registry, check func(context.Context) (T, error)) (T, error) {
	select {
	case r.checks <- struct{}{}:
		defer func() { <-r.checks }()
	default:
		var none T
		return none, errBusy
	}
	ctx, cancel := context.WithTimeout(ctx, checkTimeout)
	defer cancel()
	return check(ctx)
}

// validate checks a domain that may be registered or not.
func (r *Registry) validate(ctx context.Context, name string) (principal.ID, error) {
	return checked(ctx, r, func(ctx context.Context) (principal.ID, error) { return r.Check(ctx, name) })
}

// register checks a domain and registers it; with again, one that is registered is
// moved to the canister that DNS names now.
func (r *Registry) register(ctx context.Context, name string, again bool) (principal.ID, error) {
	if _, known := r.Lookup(name); known != again {
		if known {
			return principal.ID{}, errExists
		}
		return principal.ID{}, errUnknown
	}
	canister, err := r.validate(ctx, name)
	if err != nil {
		return principal.ID{}, err
	}
	return canister, r.rewrite(func(all host.Fixed) error {
		if _, known := all[name]; !known && len(all) >= r.cfg.Max {
			return errFull
		}
		all[name] = canister
		return nil
	})
}

// remove takes a domain from the registry, if DNS does not name a canister any more.
func (r *Registry) remove(ctx context.Context, name string) error {
	if _, known := r.Lookup(name); !known {
		return errUnknown
	}
	_, err := checked(ctx, r, func(ctx context.Context) (struct{}, error) { return struct{}{}, r.checkGone(ctx, name) })
	if err != nil {
		return err
	}
	return r.rewrite(func(all host.Fixed) error {
		delete(all, name)
		return nil
	})
}

// rewrite changes the file as a whole: a crash leaves the old one or the new one.
func (r *Registry) rewrite(change func(host.Fixed) error) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	all, err := r.all()
	if err != nil {
		return err
	}
	if err := change(all); err != nil {
		return err
	}
	lines := []string{"# Domains that were registered at this gateway; it rewrites this file."}
	for name, id := range all {
		lines = append(lines, name+":"+id.String())
	}
	slices.Sort(lines[1:])
	return replace(r.cfg.Path, strings.Join(lines, "\n")+"\n")
}

// all reads the file.
func (r *Registry) all() (host.Fixed, error) {
	text, err := os.ReadFile(r.cfg.Path)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	all, err := host.ParseAliases(string(text))
	if err != nil {
		return nil, fmt.Errorf("%s: %w", r.cfg.Path, err)
	}
	return all, nil
}

func replace(path, text string) (err error) {
	f, err := os.CreateTemp(filepath.Dir(path), filepath.Base(path)+".*")
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, os.Remove(f.Name()))
		}
	}()
	_, err = f.WriteString(text)
	if err == nil {
		err = f.Sync()
	}
	if err := errors.Join(err, f.Close()); err != nil {
		return err
	}
	return os.Rename(f.Name(), path)
}
