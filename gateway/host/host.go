// Package host finds the canister that a request is meant for (HTTP gateway
// protocol specification, "Canister ID Resolution").
//
// A canister is named by the host of a request: "<canister>.<domain>",
// "<anything>--<canister>.<domain>", the same below "raw.<domain>" for answers
// that nobody verifies, or an alias: a friendly name below a domain, or a custom
// domain. On the bare domain and on plain addresses, where the host names
// nothing, the parameter canisterId of the URL does, or that of the page that
// the request came from.
package host

import (
	"fmt"
	"net"
	"net/netip"
	"net/url"
	"strconv"
	"strings"

	"portico/lightclient/principal"
)

// A Target is what a host stands for.
type Target struct {
	Host     string // lower case, without port: "rwlgt-iiaaa-aaaaa-aaaaa-cai.localhost"
	Named    bool   // Canister is known; false on a bare domain that no parameter adds to
	Canister principal.ID
	Raw      bool // the person asked for answers that are not verified
	Bare     bool // the host names no canister: its origin is shared by all canisters
	Alias    bool // the name of the canister is the gateway's word, not part of the host
}

// UnknownDomain is the error for a host outside every domain that is served.
type UnknownDomain struct{ Host string }

func (e *UnknownDomain) Error() string {
	return fmt.Sprintf("%q is not a name that this gateway serves", e.Host)
}

// Malformed is the error for what is no host at all.
type Malformed struct{ Host string }

func (e *Malformed) Error() string {
	return fmt.Sprintf("%q is not a host name or an address", e.Host)
}

// NotACanister is the error for a name, in the place of a canister, that is none.
type NotACanister struct {
	Name   string
	Reason error
}

func (e *NotACanister) Error() string {
	return fmt.Sprintf("%q does not name a canister: %v", e.Name, e.Reason)
}

func (e *NotACanister) Unwrap() error { return e.Reason }

// Aliases gives the canister behind a name, as custom domains and friendly names do.
type Aliases interface {
	Lookup(host string) (principal.ID, bool)
}

// A Resolver turns hosts into targets. Domains are lower-case names, such as
// "localhost"; plain addresses are always served. Aliases may be nil; they come
// after names that spell out a canister, which nobody can redirect.
type Resolver struct {
	Domains []string
	Aliases Aliases
}

// The parameter of a URL that names a canister, and the label that asks for raw answers.
const (
	canisterParameter = "canisterId"
	rawLabel          = "raw"
)

// Resolve finds the target of a request by its Host header, its URL and its
// Referer header, in this order. The errors are *Malformed, *UnknownDomain and
// *NotACanister.
func (r *Resolver) Resolve(hostport string, u *url.URL, referer string) (Target, error) {
	t, err := r.host(hostport)
	if err != nil || t.Named {
		return t, err
	}
	if name := u.Query().Get(canisterParameter); name != "" {
		return t.withCanister(name)
	}
	page, err := url.Parse(referer)
	if err != nil || referer == "" {
		return t, nil
	}
	// Only a page of this very origin may lend its canister: a page elsewhere
	// must not choose what a link on the bare domain shows.
	if from, err := Normalize(page.Host); err == nil && from == t.Host {
		if name := page.Query().Get(canisterParameter); name != "" {
			return t.withCanister(name)
		}
	}
	return t, nil
}

func (r *Resolver) host(hostport string) (Target, error) {
	name, err := Normalize(hostport)
	t := Target{Host: name}
	if err != nil {
		return t, err
	}
	below, err := r.below(t)
	if err == nil && below.Named {
		return below, nil
	}
	if r.Aliases != nil {
		if id, ok := r.Aliases.Lookup(t.Host); ok {
			t.Named, t.Alias, t.Canister = true, true, id
			return t, nil
		}
	}
	return below, err
}

// below finds what a host says without aliases.
func (r *Resolver) below(t Target) (Target, error) {
	if _, err := netip.ParseAddr(t.Host); err == nil {
		t.Bare = true
		return t, nil
	}
	for _, domain := range r.Domains {
		if t.Host == domain {
			t.Bare = true
			return t, nil
		}
		if labels, ok := strings.CutSuffix(t.Host, "."+domain); ok {
			return t.below(labels)
		}
	}
	return t, &UnknownDomain{t.Host}
}

// below completes t by the labels in front of the domain.
func (t Target) below(labels string) (Target, error) {
	if labels == rawLabel {
		t.Bare, t.Raw = true, true
		return t, nil
	}
	if name, ok := strings.CutSuffix(labels, "."+rawLabel); ok {
		t.Raw, labels = true, name
	}
	if strings.Contains(labels, ".") {
		return t, &UnknownDomain{t.Host}
	}
	if i := strings.LastIndex(labels, "--"); i >= 0 {
		labels = labels[i+2:]
	}
	return t.withCanister(labels)
}

func (t Target) withCanister(name string) (Target, error) {
	id, err := principal.Parse(name)
	if err != nil {
		return t, &NotACanister{Name: name, Reason: err}
	}
	t.Named, t.Canister = true, id
	return t, nil
}

// maxNameBytes bounds a host name, maxLabelBytes its labels (RFC 1035, 2.3.4).
const (
	maxNameBytes  = 253
	maxLabelBytes = 63
)

// Normalize takes the port and a final dot from a host and lowers its case. The
// error is *Malformed for what is neither a name of letters, digits, hyphens and
// underscores nor an address.
func Normalize(hostport string) (string, error) {
	h, port := hostport, ""
	switch colons := strings.Count(hostport, ":"); {
	case strings.HasPrefix(hostport, "["), colons == 1:
		var err error
		if strings.HasSuffix(hostport, "]") {
			h = hostport[1 : len(hostport)-1]
		} else if h, port, err = net.SplitHostPort(hostport); err != nil {
			return hostport, &Malformed{hostport}
		}
		if _, err := strconv.ParseUint(port, 10, 16); port != "" && err != nil {
			return hostport, &Malformed{hostport}
		}
		if strings.HasPrefix(hostport, "[") != strings.Contains(h, ":") {
			return hostport, &Malformed{hostport}
		}
	}
	if addr, err := netip.ParseAddr(h); err == nil {
		if addr.Zone() != "" {
			return hostport, &Malformed{hostport} // a zone means something on one machine only
		}
		return addr.String(), nil
	}
	h = strings.ToLower(strings.TrimSuffix(h, "."))
	if !isName(h) {
		return hostport, &Malformed{hostport}
	}
	return h, nil
}

// isName reports whether h is a name as DNS has them, in lower case. Underscores are no
// part of host names, but people have them in theirs.
func isName(h string) bool {
	if len(h) > maxNameBytes {
		return false
	}
	for label := range strings.SplitSeq(h, ".") {
		if label == "" || len(label) > maxLabelBytes {
			return false
		}
		for _, c := range []byte(label) {
			if (c < 'a' || c > 'z') && (c < '0' || c > '9') && c != '-' && c != '_' {
				return false
			}
		}
	}
	return true
}
