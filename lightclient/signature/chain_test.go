package signature

import (
	"errors"
	"strings"
	"testing"
	"time"

	"portico/lightclient/envelope"
	"portico/lightclient/fakenet"
	"portico/lightclient/principal"
	"portico/lightclient/signature/testsigner"
)

// chain delegates from each signer to the next, for an hour.
func chain(t *testing.T, signers []testsigner.Signer, edit func(i int, d *envelope.Delegation)) []envelope.SignedDelegation {
	t.Helper()
	var out []envelope.SignedDelegation
	for i, to := range signers[1:] {
		d := envelope.Delegation{PublicKey: to.DER, Expiration: uint64(now.Add(time.Hour).UnixNano())}
		if edit != nil {
			edit(i, &d)
		}
		s, err := envelope.Delegate(signers[i], d)
		must(t, err)
		out = append(out, s)
	}
	return out
}

func ed25519s(t *testing.T, n int) []testsigner.Signer {
	out := make([]testsigner.Signer, n)
	for i := range out {
		out[i] = testsigner.Ed25519(t)
	}
	return out
}

func TestAChainLeadsToItsLastKeyUntilTheFirstExpiry(t *testing.T) {
	keys := ed25519s(t, 4)
	first := uint64(now.Add(time.Minute).UnixNano())
	terms, err := ReadChain(keys[0].DER, chain(t, keys, func(i int, d *envelope.Delegation) {
		if i == 1 {
			d.Expiration = first
		}
	}), now)
	must(t, err)
	if string(terms.Key) != string(keys[3].DER) || terms.Expiration != first || terms.QueriesOnly != 0 || terms.Restricted() || !terms.MayReach(canisterA) {
		t.Errorf("terms %+v", terms)
	}
	terms, err = ReadChain(keys[0].DER, nil, now)
	must(t, err)
	if string(terms.Key) != string(keys[0].DER) || terms.Expiration != ^uint64(0) {
		t.Errorf("terms of no delegations: %+v", terms)
	}
}

func TestTermsAreThoseOfAllDelegations(t *testing.T) {
	keys := ed25519s(t, 4)
	terms, err := ReadChain(keys[0].DER, chain(t, keys, func(i int, d *envelope.Delegation) {
		d.Permissions = []string{envelope.PermissionAll, envelope.PermissionQueries, envelope.PermissionQueries}[i]
		d.Targets = [][]principal.ID{{canisterA, canisterB}, nil, {canisterB, principal.Canister(3)}}[i]
	}), now)
	must(t, err)
	if terms.QueriesOnly != 2 || !terms.Restricted() || terms.MayReach(canisterA) || !terms.MayReach(canisterB) || terms.MayReach(principal.Canister(3)) {
		t.Errorf("terms %+v", terms)
	}
}

func TestChainsThatTheSpecificationForbidsAreRefused(t *testing.T) {
	k := ed25519s(t, envelope.MaxDelegations+2)
	all := func(change func(d *envelope.Delegation)) func(int, *envelope.Delegation) {
		return func(i int, d *envelope.Delegation) {
			if i == 1 {
				change(d)
			}
		}
	}
	_, err := ReadChain(k[0].DER, chain(t, k[:envelope.MaxDelegations+1], nil), now)
	must(t, err)
	for name, c := range map[string]struct {
		signers []testsigner.Signer
		edit    func(int, *envelope.Delegation)
		index   int
		text    string
		expired bool
	}{
		"21 delegations":      {k, nil, 0, "at most 20", false},
		"1001 targets":        {k[:4], all(func(d *envelope.Delegation) { d.Targets = make([]principal.ID, envelope.MaxTargets+1) }), 2, "at most 1000", false},
		"expired":             {k[:4], all(func(d *envelope.Delegation) { d.Expiration = uint64(now.UnixNano()) - 1 }), 2, "expired at", true},
		"unknown permissions": {k[:4], all(func(d *envelope.Delegation) { d.Permissions = "some" }), 2, `"some"`, false},
		"to itself":           {[]testsigner.Signer{k[0], k[0]}, nil, 1, "cycle", false},
		"back to the start":   {[]testsigner.Signer{k[0], k[1], k[0]}, nil, 2, "cycle", false},
		"round the middle":    {[]testsigner.Signer{k[0], k[1], k[2], k[1]}, nil, 3, "cycle", false},
	} {
		_, err := ReadChain(c.signers[0].DER, chain(t, c.signers, c.edit), now)
		var d *DelegationError
		if !errors.As(err, &d) || d.Index != c.index || d.Expired != c.expired || !strings.Contains(err.Error(), c.text) {
			t.Errorf("%s: error %v", name, err)
		}
	}
}

func TestEveryDelegationOfAChainIsVerified(t *testing.T) {
	n := fakenet.New("chain")
	v := verifierOf(n)
	signers := append([]testsigner.Signer{testsigner.Canister(n, now, canisterA, []byte("seed"))}, ed25519s(t, 3)...)
	must(t, v.VerifyChain(signers[0].DER, chain(t, signers, nil)))
	for i := range 3 {
		broken := chain(t, signers, nil)
		broken[i].Delegation.Expiration++
		err := v.VerifyChain(signers[0].DER, broken)
		var e *Error
		if !errors.As(err, &e) || e.What != []string{"delegation 1", "delegation 2", "delegation 3"}[i] {
			t.Errorf("delegation %d broken: %v", i+1, err)
		}
	}
	if v.VerifyChain(signers[1].DER, chain(t, signers, nil)) == nil {
		t.Error("a chain from another key was verified")
	}
}
