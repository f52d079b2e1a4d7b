package usersig

import (
	"fmt"

	"portico/lightclient/envelope"
	"portico/lightclient/principal"
	"portico/node/types"
)

// checkDelegations checks everything about a chain but its signatures, and returns
// the canisters that all its delegations allow; nil is any.
func checkDelegations(e *envelope.Envelope, now types.Time) (map[principal.ID]bool, error) {
	chain := e.SenderDelegation
	if len(chain) > envelope.MaxDelegations {
		return nil, &DelegationError{Reason: fmt.Sprintf("the chain has %d delegations, at most %d are allowed", len(chain), envelope.MaxDelegations)}
	}
	seen := map[string]bool{string(e.SenderPublicKey): true}
	var targets map[principal.ID]bool
	for i := range chain {
		d := &chain[i].Delegation
		if err := checkDelegation(d, e.Request.Kind, now); err != "" {
			return nil, &DelegationError{i + 1, err}
		}
		if seen[string(d.PublicKey)] {
			return nil, &DelegationError{i + 1, "its key appears in the chain before: the chain is a cycle"}
		}
		seen[string(d.PublicKey)] = true
		if d.Targets != nil {
			targets = intersect(targets, d.Targets)
		}
	}
	return targets, nil
}

// checkDelegation returns what is wrong with one delegation, or nothing.
func checkDelegation(d *envelope.Delegation, kind envelope.Kind, now types.Time) string {
	switch {
	case types.Time(d.Expiration) < now:
		return fmt.Sprintf("expired at %s; it is %s", types.Time(d.Expiration), now)
	case len(d.Targets) > envelope.MaxTargets:
		return fmt.Sprintf("has %d targets, at most %d are allowed", len(d.Targets), envelope.MaxTargets)
	}
	switch d.Permissions {
	case "", envelope.PermissionAll:
		return ""
	case envelope.PermissionQueries:
		if kind == envelope.Call {
			return `has the permissions "queries", which allow queries and read_state but no calls`
		}
		return ""
	default:
		return fmt.Sprintf("has the permissions %q: want \"queries\" or \"all\"", d.Permissions)
	}
}

// intersect keeps the allowed canisters that are also in more. An empty list of
// targets allows none, which differs from no list.
func intersect(allowed map[principal.ID]bool, more []principal.ID) map[principal.ID]bool {
	out := make(map[principal.ID]bool, len(more))
	for _, id := range more {
		if allowed == nil || allowed[id] {
			out[id] = true
		}
	}
	return out
}
