package signature

import (
	"fmt"
	"time"

	"portico/lightclient/envelope"
	"portico/lightclient/principal"
)

// A DelegationError says that a chain of delegations is not allowed, whoever signed it.
type DelegationError struct {
	// Index counts the delegations from one; zero is the chain as a whole.
	Index  int
	Reason string
	// Expired says that the one fault is the time.
	Expired bool
}

func (e *DelegationError) Error() string {
	if e.Index == 0 {
		return "sender_delegation: " + e.Reason
	}
	return fmt.Sprintf("delegation %d: %s", e.Index, e.Reason)
}

// Terms are what the delegations of a chain allow together.
type Terms struct {
	// Key is the one that may sign, DER: the last of the chain.
	Key []byte
	// Expiration is when the first delegation of the chain ends, nanoseconds since
	// 1970; the greatest number if there is none.
	Expiration uint64
	// QueriesOnly counts the first delegation that allows no calls from one; zero
	// if calls are allowed.
	QueriesOnly int

	targets map[principal.ID]bool // nil: any
}

// MayReach reports whether requests may be sent to a canister.
func (t *Terms) MayReach(canister principal.ID) bool {
	return t.targets == nil || t.targets[canister]
}

// Restricted reports whether a delegation of the chain names targets.
func (t *Terms) Restricted() bool { return t.targets != nil }

// ReadChain checks everything about a chain from a DER-encoded key but its signatures
// (interface specification, "Authentication"): at most envelope.MaxDelegations with at
// most envelope.MaxTargets each, none expired at the time now, no key twice,
// permissions that exist. Errors are *DelegationError.
func ReadChain(publicKey []byte, chain []envelope.SignedDelegation, now time.Time) (*Terms, error) {
	if len(chain) > envelope.MaxDelegations {
		return nil, &DelegationError{Reason: fmt.Sprintf("the chain has %d delegations, at most %d are allowed", len(chain), envelope.MaxDelegations)}
	}
	t := &Terms{Key: publicKey, Expiration: ^uint64(0)}
	seen := map[string]bool{string(publicKey): true}
	for i := range chain {
		d := &chain[i].Delegation
		if err := checkDelegation(d, now); err != nil {
			err.Index = i + 1
			return nil, err
		}
		if seen[string(d.PublicKey)] {
			return nil, &DelegationError{Index: i + 1, Reason: "its key appears in the chain before: the chain is a cycle"}
		}
		seen[string(d.PublicKey)] = true
		t.Key, t.Expiration = d.PublicKey, min(t.Expiration, d.Expiration)
		if d.Permissions == envelope.PermissionQueries && t.QueriesOnly == 0 {
			t.QueriesOnly = i + 1
		}
		if d.Targets != nil {
			t.targets = intersect(t.targets, d.Targets)
		}
	}
	return t, nil
}

// checkDelegation returns what is wrong with one delegation, or nil.
func checkDelegation(d *envelope.Delegation, now time.Time) *DelegationError {
	switch {
	case d.Expiration < uint64(now.UnixNano()):
		return &DelegationError{Reason: fmt.Sprintf("expired at %s; it is %s", stamp(time.Unix(0, int64(d.Expiration))), stamp(now)), Expired: true}
	case len(d.Targets) > envelope.MaxTargets:
		return &DelegationError{Reason: fmt.Sprintf("has %d targets, at most %d are allowed", len(d.Targets), envelope.MaxTargets)}
	case d.Permissions != "" && d.Permissions != envelope.PermissionAll && d.Permissions != envelope.PermissionQueries:
		return &DelegationError{Reason: fmt.Sprintf("has the permissions %q: want \"queries\" or \"all\"", d.Permissions)}
	}
	return nil
}

func stamp(t time.Time) string { return t.UTC().Format(time.RFC3339Nano) }

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

// VerifyChain checks the signature of every delegation: that of the first by
// publicKey, that of each other by the key before it. Errors are *Error.
func (v *Verifier) VerifyChain(publicKey []byte, chain []envelope.SignedDelegation) error {
	key := publicKey
	for i := range chain {
		d := &chain[i]
		if err := v.VerifyAs(fmt.Sprintf("delegation %d", i+1), key, d.Delegation.SignedBytes(), d.Signature); err != nil {
			return err
		}
		key = d.Delegation.PublicKey
	}
	return nil
}
