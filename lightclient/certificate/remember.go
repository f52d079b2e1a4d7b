package certificate

import (
	"bytes"
	"time"

	"portico/lightclient/bls"
)

// MaxRemembered is how long the check of a delegation's signature counts elsewhere.
const MaxRemembered = 24 * time.Hour

// A Checked is a delegation whose signature was found right at some time.
type Checked struct {
	Delegation Delegation
	At         time.Time
}

// Delegations returns the delegations that v has found right, for a Verifier of the
// same root key that is to start where this one ended.
func (v *Verifier) Delegations() []Checked {
	v.mu.Lock()
	defer v.mu.Unlock()
	var out []Checked
	for _, d := range v.delegations.all() {
		out = append(out, Checked{Delegation{Subnet: d.subnet, Certificate: d.certificate}, d.checked})
	}
	return out
}

// Keys returns the keys that the next certificates are likely to be signed by, 96 bytes
// each: those of the delegations that v knows or, if it knows none, the root key.
func (v *Verifier) Keys() [][]byte {
	v.mu.Lock()
	defer v.mu.Unlock()
	var out [][]byte
	for _, d := range v.delegations.all() {
		out = append(out, d.key)
	}
	if out == nil {
		if key, err := bls.FromDER(v.RootKey); err == nil {
			out = append(out, key)
		}
	}
	return out
}

// Remember takes over what Delegations returned for a Verifier of the same root key,
// without checking the signature again. Whoever calls it vouches for the storage in
// between: a forged delegation lets another key speak for every canister in its ranges.
// So a check counts for a day at most, by its time, which must not be in the future;
// time, ranges and the subnet's key are read from the certificate and checked with every
// use as always. It reports whether the delegation was taken over.
func (v *Verifier) Remember(c Checked, now time.Time) bool {
	if age := now.Sub(c.At); age < 0 || age > MaxRemembered {
		return false
	}
	d := Delegation{Subnet: c.Delegation.Subnet, Certificate: bytes.Clone(c.Delegation.Certificate)}
	parsed, err := decode(d.Certificate)
	if err != nil || parsed.Delegation != nil {
		return false
	}
	out, err := readDelegation(&d, parsed)
	if err != nil || !within(out.time, now, MaxDelegationAge) {
		return false
	}
	out.checked = c.At
	v.mu.Lock()
	v.delegations.put(d.id(), out, maxDelegationBytes)
	v.mu.Unlock()
	return true
}
