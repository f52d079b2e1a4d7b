package domain

import (
	"context"
	"errors"
	"maps"
	"slices"
	"time"

	"portico/gateway/host"
	"portico/lightclient/principal"
)

const (
	// recheckEvery is the pause between two looks at all domains.
	recheckEvery = 6 * time.Hour
	// maxMisses is how many looks in a row a domain may fail before it is dropped: records are
	// away for hours while somebody moves a zone to another provider.
	maxMisses = 3
)

// Recheck looks at all registered domains again, every six hours until the context
// ends, and drops those that three looks in a row show not to be set up for their canister any
// more: DNS names none or another one, or the canister does not list the domain. That DNS or the
// canister cannot be asked counts neither for nor against a domain. It asks about one domain
// after the other, for 15 seconds each at most.
func (r *Registry) Recheck(ctx context.Context) {
	misses := map[string]int{}
	again := time.NewTicker(recheckEvery)
	defer again.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-again.C:
			misses = r.look(ctx, misses)
		}
	}
}

// look checks every domain once. misses counts the looks in a row that a domain has
// failed, and so does what it returns.
func (r *Registry) look(ctx context.Context, misses map[string]int) map[string]int {
	all, err := r.all()
	if err != nil {
		r.cfg.Log.Error("custom domains cannot be checked again", "err", err)
		return misses
	}
	now := map[string]int{}
	for _, name := range slices.Sorted(maps.Keys(all)) {
		if ctx.Err() != nil {
			return misses
		}
		canister := all[name]
		reason := r.recheck(ctx, name, canister)
		var no *Refused
		switch {
		case reason == nil:
			continue
		case !errors.As(reason, &no) || no.unanswered:
			if misses[name] > 0 {
				now[name] = misses[name]
			}
			continue
		}
		now[name] = misses[name] + 1
		r.cfg.Log.Warn("a custom domain is not set up any more", "domain", name, "canister", canister, "err", reason, "looks", now[name], "of", maxMisses)
		if now[name] < maxMisses {
			continue
		}
		delete(now, name)
		err := r.rewrite(func(all host.Fixed) error {
			if all[name] == canister { // it may have been moved meanwhile, which checked it
				delete(all, name)
			}
			return nil
		})
		if err != nil {
			r.cfg.Log.Error("a custom domain cannot be dropped", "domain", name, "err", err)
		}
	}
	return now
}

// recheck is Check, for the canister that a domain was registered for.
func (r *Registry) recheck(ctx context.Context, name string, registered principal.ID) error {
	ctx, cancel := context.WithTimeout(ctx, checkTimeout)
	defer cancel()
	canister, err := r.Check(ctx, name)
	if err == nil && canister != registered {
		return refused("DNS names canister %s now", canister)
	}
	return err
}
