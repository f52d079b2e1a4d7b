package domain

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"slices"
	"strings"

	"portico/gateway/host"
	"portico/lightclient"
	"portico/lightclient/asset"
	"portico/lightclient/principal"
)

// Resolver asks DNS; *net.Resolver is one. That there is no such record is a
// *net.DNSError with IsNotFound.
type Resolver interface {
	LookupTXT(ctx context.Context, name string) ([]string, error)
	LookupCNAME(ctx context.Context, name string) (string, error)
}

// Canisters answers HTTP requests as canisters do, verified; *lightclient.Client is one.
type Canisters interface {
	HTTPRequest(ctx context.Context, canister principal.ID, req *asset.Request, opt lightclient.HTTPOptions) (*lightclient.HTTPResponse, error)
}

// Refused is the error for a domain that is not set up as it has to be. Its text
// says what is missing, for whoever owns the domain.
type Refused struct {
	Reason     string
	unanswered bool // the canister gave no answer that verifies, which may be for a while only
}

func (e *Refused) Error() string { return e.Reason }

func refused(format string, args ...any) error { return &Refused{Reason: fmt.Sprintf(format, args...)} }

// Names of records, as the Internet Computer documents them for custom domains.
const (
	canisterRecord  = "_canister-id."
	challengeRecord = "_acme-challenge."
	// knownDomains is where a canister lists the domains that it may be served under.
	knownDomains = "/.well-known/ic-domains"
	// maxKnownDomains bounds that list, in bytes.
	maxKnownDomains = 64 << 10
)

// Check finds the canister that a domain is for, and that both agree: the domain's
// owner names the canister in DNS, and the canister lists the domain. The error is
// a *Refused if they do not, and another one if one of them could not be asked.
func (r *Registry) Check(ctx context.Context, name string) (principal.ID, error) {
	if err := r.checkChallenge(ctx, name); err != nil {
		return principal.ID{}, err
	}
	records, err := r.cfg.Resolver.LookupTXT(ctx, canisterRecord+name)
	switch {
	case notFound(err) || err == nil && len(records) == 0:
		return principal.ID{}, refused("missing DNS TXT record from %s to a canister id", canisterRecord+name)
	case err != nil:
		return principal.ID{}, fmt.Errorf("the TXT records of %s: %w", canisterRecord+name, err)
	case len(records) > 1:
		return principal.ID{}, refused("multiple DNS TXT records for canister id at %s: %q", canisterRecord+name, records)
	}
	canister, err := principal.Parse(strings.TrimSpace(records[0]))
	if err != nil {
		return principal.ID{}, refused("invalid DNS TXT record from %s to %q: %v", canisterRecord+name, records[0], err)
	}
	return canister, r.checkCanister(ctx, name, canister)
}

// checkChallenge checks that whoever gets certificates for this gateway may get them for
// the domain, too.
func (r *Registry) checkChallenge(ctx context.Context, name string) error {
	if r.cfg.Delegation == "" {
		return nil
	}
	from := challengeRecord + name
	want := from + "." + r.cfg.Delegation
	got, err := r.cfg.Resolver.LookupCNAME(ctx, from)
	switch {
	case notFound(err), err == nil && strings.TrimSuffix(strings.ToLower(got), ".") != want:
		return refused("missing DNS CNAME record from %s to %s", from, want)
	case err != nil:
		return fmt.Errorf("the CNAME record of %s: %w", from, err)
	}
	return nil
}

// checkCanister checks that the canister wants the domain. A gateway that only
// looked at DNS would let anybody put a canister behind a name of theirs.
func (r *Registry) checkCanister(ctx context.Context, name string, canister principal.ID) error {
	resp, err := r.cfg.Canisters.HTTPRequest(ctx, canister, &asset.Request{
		Method: http.MethodGet, URL: knownDomains,
		Headers: []asset.Header{{Name: "accept-encoding", Value: "identity"}, {Name: "host", Value: name}},
	}, lightclient.HTTPOptions{})
	switch {
	case err != nil:
		return &Refused{Reason: fmt.Sprintf("failed to retrieve known domains from canister %s: %v", canister, err), unanswered: true}
	case resp.Status != http.StatusOK:
		return refused("failed to retrieve known domains from canister %s: %s has the status %d", canister, knownDomains, resp.Status)
	case resp.Next != nil || len(resp.Body) > maxKnownDomains:
		return refused("failed to retrieve known domains from canister %s: %s has more than %d bytes", canister, knownDomains, maxKnownDomains)
	}
	for line := range strings.Lines(string(resp.Body)) {
		if known, err := host.Normalize(strings.TrimSpace(line)); err == nil && known == name {
			return nil
		}
	}
	return refused("domain is missing from canister %s list of known domains", canister)
}

// checkGone checks that DNS names no canister for the domain any more: only its owner
// can see to that.
func (r *Registry) checkGone(ctx context.Context, name string) error {
	records, err := r.cfg.Resolver.LookupTXT(ctx, canisterRecord+name)
	switch {
	case notFound(err) || err == nil && len(records) == 0:
		return nil
	case err != nil:
		return fmt.Errorf("the TXT records of %s: %w", canisterRecord+name, err)
	default:
		return refused("existing DNS TXT _canister-id record at %s", canisterRecord+name)
	}
}

// parseName checks that a name can be a custom domain here.
func (r *Registry) parseName(text string) (string, error) {
	name, err := host.Normalize(text)
	switch {
	case err != nil || name != strings.ToLower(strings.TrimSuffix(text, ".")):
		return "", refused("%q is not a domain name", text)
	case !strings.Contains(name, "."), net.ParseIP(name) != nil:
		return "", refused("%q is not a domain that somebody could own", name)
	case slices.ContainsFunc(r.cfg.Own, func(own string) bool { return name == own || strings.HasSuffix(name, "."+own) }):
		return "", refused("%q belongs to this gateway", name)
	}
	return name, nil
}

func notFound(err error) bool {
	var dns *net.DNSError
	return errors.As(err, &dns) && dns.IsNotFound
}
