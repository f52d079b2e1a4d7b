package usersig

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"portico/lightclient/envelope"
	"portico/lightclient/principal"
	"portico/lightclient/signature"
	"portico/lightclient/signature/testsigner"
	"portico/node/types"
)

const now = types.Time(1_800_000_000_000_000_000)

var (
	canisterA = principal.Canister(1)
	canisterB = principal.Canister(2)
)

func request(kind envelope.Kind) envelope.Request {
	r := envelope.Request{Kind: kind, IngressExpiry: uint64(now.Add(4 * time.Minute)), Nonce: []byte("nonce")}
	if kind != envelope.ReadState {
		r.Canister, r.Method, r.Arg = canisterA, "greet", []byte("DIDL\x00\x00")
	}
	return r
}

var kinds = []envelope.Kind{envelope.Call, envelope.Query, envelope.ReadState}

func signed(t testing.TB, id envelope.Identity, r envelope.Request) *envelope.Envelope {
	t.Helper()
	e, err := id.Sign(r)
	must(t, err)
	return received(t, e)
}

// chainOf makes the identity of the first signer, delegated from each to the next.
// edit changes a delegation before it is signed.
func chainOf(t testing.TB, signers []testsigner.Signer, edit func(i int, d *envelope.Delegation)) envelope.Delegated {
	t.Helper()
	id := envelope.Delegated{PublicKey: signers[0].DER, Signer: signers[len(signers)-1]}
	for i, to := range signers[1:] {
		d := envelope.Delegation{PublicKey: to.DER, Expiration: uint64(now.Add(time.Hour))}
		if edit != nil {
			edit(i, &d)
		}
		s, err := envelope.Delegate(signers[i], d)
		must(t, err)
		id.Chain = append(id.Chain, s)
	}
	return id
}

func ed25519Keys(t testing.TB, n int) []testsigner.Signer {
	keys := make([]testsigner.Signer, n)
	for i := range keys {
		keys[i] = testsigner.Ed25519(t)
	}
	return keys
}

func wantError[E error](t *testing.T, err error, text string) {
	t.Helper()
	var as E
	if !errors.As(err, &as) {
		t.Fatalf("error %v (%T), want a %T", err, err, as)
	}
	if !strings.Contains(err.Error(), text) {
		t.Fatalf("error %q does not say %q", err, text)
	}
}

func TestEverySchemeAuthenticatesEveryKindOfRequest(t *testing.T) {
	v := New(signature.Config{})
	for name, s := range testsigner.All(t) {
		for _, kind := range kinds {
			t.Run(name+" "+kind.String(), func(t *testing.T) {
				auth, err := v.Check(signed(t, envelope.Keyed{Signer: s}, request(kind)), now)
				must(t, err)
				if auth.Sender != s.Principal() || !auth.MayReach(canisterB) {
					t.Fatalf("authenticated as %+v", auth)
				}
			})
		}
	}
}

func TestTheSameRequestIsRefusedWithAnySignatureBitChanged(t *testing.T) {
	v := New(signature.Config{})
	for name, s := range testsigner.All(t) {
		e := signed(t, envelope.Keyed{Signer: s}, request(envelope.Query))
		_, err := v.Check(e, now)
		must(t, err)
		good := e.SenderSig
		from := 0
		if strings.HasPrefix(name, "WebAuthn") {
			from = 24 // tags, such as the one in the first three bytes, have no meaning
		}
		for bit := from; bit < 8*len(good); bit += 7 {
			e.SenderSig = slices.Clone(good)
			e.SenderSig[bit/8] ^= 1 << (bit % 8)
			if _, err := v.Check(e, now); err == nil {
				t.Fatalf("%s: signature with bit %d changed was accepted", name, bit)
			}
		}
	}
}

func TestSignatureMustCoverTheRequestWithItsDomainSeparator(t *testing.T) {
	v := New(signature.Config{})
	for name, s := range testsigner.All(t) {
		t.Run(name, func(t *testing.T) {
			e := signed(t, envelope.Keyed{Signer: s}, request(envelope.Call))
			e.SenderSig = s.Signature(e.RequestID[:])
			_, err := v.Check(e, now)
			wantError[*signature.Error](t, err, "sender_sig")

			other := request(envelope.Call)
			other.Method = "other"
			e.SenderSig = s.Signature(envelope.RequestSignedBytes(other.ID()))
			_, err = v.Check(e, now)
			wantError[*signature.Error](t, err, "sender_sig")
		})
	}
}

func TestKeyMustBelongToTheSender(t *testing.T) {
	mine, others := testsigner.Ed25519(t), testsigner.Ed25519(t)
	e := signed(t, envelope.Keyed{Signer: mine}, request(envelope.Query))
	e.SenderPublicKey = others.DER
	_, err := New(signature.Config{}).Check(e, now)
	wantError[*SenderError](t, err, others.Principal().String())
}

func TestMixedSchemesMayDelegateToEachOther(t *testing.T) {
	v := New(signature.Config{})
	all := testsigner.All(t)
	for _, names := range [][]string{
		{"Ed25519", "P-256"},
		{"P-256", "secp256k1", "Ed25519", "WebAuthn P-256"},
		{"WebAuthn RSA", "Ed25519", "secp256k1", "P-256", "WebAuthn Ed25519"},
	} {
		var signers []testsigner.Signer
		for _, n := range names {
			signers = append(signers, all[n])
		}
		for _, kind := range kinds {
			auth, err := v.Check(signed(t, chainOf(t, signers, nil), request(kind)), now)
			if err != nil || auth.Sender != signers[0].Principal() {
				t.Fatalf("%v, %s: %+v, %v", names, kind, auth, err)
			}
		}
	}
}

func TestEveryLinkOfAChainIsVerified(t *testing.T) {
	v := New(signature.Config{})
	for broken := range 3 {
		id := chainOf(t, ed25519Keys(t, 4), nil)
		id.Chain[broken].Delegation.Expiration++
		_, err := v.Check(signed(t, id, request(envelope.Query)), now)
		wantError[*signature.Error](t, err, fmt.Sprintf("delegation %d", broken+1))
	}
}

func TestDelegationTargetsAreIntersected(t *testing.T) {
	many := make([]principal.ID, envelope.MaxTargets)
	for i := range many {
		many[i] = principal.Canister(uint64(i))
	}
	for _, c := range []struct {
		name    string
		targets [][]principal.ID // of each delegation
		ok      bool
	}{
		{"one target", [][]principal.ID{{canisterA}}, true},
		{"two targets", [][]principal.ID{{canisterA, canisterB}}, true},
		{"a thousand targets", [][]principal.ID{many}, true},
		{"redundant targets", [][]principal.ID{{canisterA, canisterA}}, true},
		{"both restricted to the same", [][]principal.ID{{canisterA}, {canisterA}}, true},
		{"only the first restricted", [][]principal.ID{{canisterA}, nil}, true},
		{"only the second restricted", [][]principal.ID{nil, {canisterA}}, true},
		{"overlapping", [][]principal.ID{{canisterB, canisterA}, {canisterA, principal.Canister(9)}}, true},
		{"another target", [][]principal.ID{{canisterB}}, false},
		{"empty intersection", [][]principal.ID{{canisterA}, {canisterB}}, false},
		{"empty first set", [][]principal.ID{{}, {canisterA}}, false},
		{"empty second set", [][]principal.ID{{canisterA}, {}}, false},
		{"a later set cannot widen", [][]principal.ID{{canisterB}, {canisterA, canisterB}}, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			id := chainOf(t, ed25519Keys(t, len(c.targets)+1), func(i int, d *envelope.Delegation) { d.Targets = c.targets[i] })
			v := New(signature.Config{})
			for _, kind := range []envelope.Kind{envelope.Call, envelope.Query} {
				_, err := v.Check(signed(t, id, request(kind)), now)
				if c.ok {
					must(t, err)
				} else {
					wantError[*TargetError](t, err, canisterA.String())
				}
			}
			auth, err := v.Check(signed(t, id, request(envelope.ReadState)), now)
			must(t, err)
			if auth.MayReach(canisterA) != c.ok {
				t.Errorf("read_state: MayReach = %v", !c.ok)
			}
		})
	}
}

func TestManagementCallsNeedTheManagementCanisterAsTarget(t *testing.T) {
	check := func(kind envelope.Kind, targets ...principal.ID) error {
		r := request(kind)
		r.Canister = principal.ID{}
		id := chainOf(t, ed25519Keys(t, 2), func(_ int, d *envelope.Delegation) { d.Targets = targets })
		_, err := New(signature.Config{}).Check(signed(t, id, r), now)
		return err
	}
	must(t, check(envelope.Call, principal.ID{}))
	wantError[*TargetError](t, check(envelope.Call, canisterA), "aaaaa-aa")
	wantError[*TargetError](t, check(envelope.Call, []principal.ID{}...), "aaaaa-aa")
	// Queries are decided by the canister that the argument names.
	must(t, check(envelope.Query, canisterA))
}

func TestChainsAreBounded(t *testing.T) {
	v := New(signature.Config{})
	keys := ed25519Keys(t, envelope.MaxDelegations+2)
	_, err := v.Check(signed(t, chainOf(t, keys[:envelope.MaxDelegations+1], nil), request(envelope.Call)), now)
	must(t, err)

	e, err := chainOf(t, keys, nil).Sign(request(envelope.Call))
	must(t, err)
	_, err = v.Check(e, now)
	wantError[*signature.DelegationError](t, err, "at most 20")

	e, err = chainOf(t, keys[:2], func(_ int, d *envelope.Delegation) {
		d.Targets = slices.Repeat([]principal.ID{canisterA}, envelope.MaxTargets+1)
	}).Sign(request(envelope.Call))
	must(t, err)
	_, err = v.Check(e, now)
	wantError[*signature.DelegationError](t, err, "at most 1000")
}

func TestCyclesAreRefused(t *testing.T) {
	k := ed25519Keys(t, 3)
	for name, signers := range map[string][]testsigner.Signer{
		"to itself":          {k[0], k[0]},
		"back to the sender": {k[0], k[1], k[0]},
		"in the middle":      {k[0], k[1], k[2], k[1]},
	} {
		e, err := chainOf(t, signers, nil).Sign(request(envelope.Query))
		must(t, err)
		if _, err = New(signature.Config{}).Check(e, now); err == nil {
			t.Fatalf("a chain that goes %s was accepted", name)
		}
		wantError[*signature.DelegationError](t, err, "cycle")
	}
}

func TestExpiredDelegationsAreRefused(t *testing.T) {
	for _, c := range []struct {
		expiration types.Time
		ok         bool
	}{{now - 1, false}, {now, true}, {now + 1, true}} {
		id := chainOf(t, ed25519Keys(t, 3), func(i int, d *envelope.Delegation) {
			if i == 1 {
				d.Expiration = uint64(c.expiration)
			}
		})
		_, err := New(signature.Config{}).Check(signed(t, id, request(envelope.Query)), now)
		if c.ok {
			must(t, err)
		} else {
			wantError[*signature.DelegationError](t, err, "delegation 2: expired")
		}
	}
}

func TestQueriesPermissionAnywhereInTheChainBlocksCalls(t *testing.T) {
	v := New(signature.Config{})
	for at := range 3 {
		id := chainOf(t, ed25519Keys(t, 4), func(i int, d *envelope.Delegation) {
			d.Permissions = envelope.PermissionAll
			if i == at {
				d.Permissions = envelope.PermissionQueries
			}
		})
		_, err := v.Check(signed(t, id, request(envelope.Call)), now)
		wantError[*signature.DelegationError](t, err, fmt.Sprintf("delegation %d", at+1))
		for _, kind := range []envelope.Kind{envelope.Query, envelope.ReadState} {
			_, err = v.Check(signed(t, id, request(kind)), now)
			must(t, err)
		}
	}
	id := chainOf(t, ed25519Keys(t, 2), func(_ int, d *envelope.Delegation) { d.Permissions = envelope.PermissionAll })
	_, err := v.Check(signed(t, id, request(envelope.Call)), now)
	must(t, err)

	e, err := chainOf(t, ed25519Keys(t, 2), func(_ int, d *envelope.Delegation) { d.Permissions = "none" }).Sign(request(envelope.Query))
	must(t, err)
	_, err = v.Check(e, now)
	wantError[*signature.DelegationError](t, err, `"none"`)
}

func TestExpiryMustBeAheadButNotFar(t *testing.T) {
	id := envelope.Keyed{Signer: testsigner.Ed25519(t)}
	v := New(signature.Config{})
	for _, c := range []struct {
		expiry types.Time
		fault  string
	}{
		{0, "in the past"},
		{now - 1, "in the past"},
		{now, ""},
		{now.Add(5 * time.Minute), ""},
		{now.Add(MaxIngressExpiry), ""},
		{now.Add(MaxIngressExpiry) + 1, "too far ahead"},
		{^types.Time(0), "too far ahead"},
	} {
		for _, kind := range kinds {
			r := request(kind)
			r.IngressExpiry = uint64(c.expiry)
			_, err := v.Check(signed(t, id, r), now)
			if c.fault == "" {
				must(t, err)
				continue
			}
			wantError[*ExpiryError](t, err, c.fault)
			if !strings.HasPrefix(err.Error(), "Invalid request expiry: ") {
				t.Errorf("agents do not recognise %q", err)
			}
			_, err = v.Check(signed(t, envelope.Anonymous{}, r), now)
			if kind == envelope.Call {
				wantError[*ExpiryError](t, err, c.fault)
			} else {
				must(t, err)
			}
		}
	}
}

func TestAnonymousRequestsCarryNoAuthentication(t *testing.T) {
	v := New(signature.Config{})
	auth, err := v.Check(signed(t, envelope.Anonymous{}, request(envelope.Call)), now)
	if err != nil || !auth.Sender.IsAnonymous() || !auth.MayReach(canisterA) {
		t.Fatalf("%+v, %v", auth, err)
	}
	for name, edit := range map[string]func(e *envelope.Envelope){
		"sender_pubkey":     func(e *envelope.Envelope) { e.SenderPublicKey = []byte{} },
		"sender_sig":        func(e *envelope.Envelope) { e.SenderSig = []byte{} },
		"sender_delegation": func(e *envelope.Envelope) { e.SenderDelegation = []envelope.SignedDelegation{} },
		"sender_info":       func(e *envelope.Envelope) { e.Request.SenderInfo = &envelope.SenderInfo{} },
	} {
		e := signed(t, envelope.Anonymous{}, request(envelope.Call))
		edit(e)
		_, err := v.Check(e, now)
		wantError[*SenderError](t, err, name)
	}
	e := signed(t, envelope.Keyed{Signer: testsigner.Ed25519(t)}, request(envelope.Call))
	e.SenderSig = nil
	_, err = v.Check(e, now)
	wantError[*SenderError](t, err, "sender_sig is missing")
}

// received sends an envelope through its encoding, as it would reach a node.
func received(t testing.TB, e *envelope.Envelope) *envelope.Envelope {
	t.Helper()
	got, err := envelope.Decode(e.Append(nil))
	must(t, err)
	return got
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func TestPasskeysSignRequestsAndDelegations(t *testing.T) {
	for name, s := range testsigner.Passkeys(t) {
		for _, kind := range kinds {
			e, err := envelope.Keyed{Signer: s}.Sign(request(kind))
			must(t, err)
			if auth, err := New(signature.Config{}).Check(received(t, e), now); err != nil || auth.Sender != s.Principal() {
				t.Errorf("%s signs a %s: %v", name, kind, err)
			}
			e, err = chainOf(t, []testsigner.Signer{s, testsigner.Ed25519(t)}, nil).Sign(request(kind))
			must(t, err)
			if auth, err := New(signature.Config{}).Check(received(t, e), now); err != nil || auth.Sender != s.Principal() {
				t.Errorf("%s delegates a %s: %v", name, kind, err)
			}
		}
	}
}

func TestAnAssertionHasTheDomainSeparator(t *testing.T) {
	s := testsigner.WebAuthnP256(t)
	e, err := envelope.Keyed{Signer: s}.Sign(request(envelope.Call))
	must(t, err)
	id := e.RequestID
	e.SenderSig = s.Signature(id[:])
	if _, err := New(signature.Config{}).Check(received(t, e), now); err == nil || !strings.Contains(err.Error(), "challenge") {
		t.Errorf("a passkey signed the bare request id: error %v", err)
	}
}
