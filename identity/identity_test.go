package identity

import (
	"crypto/rand"
	"errors"
	"strings"
	"testing"
	"time"

	"portico/lightclient/envelope"
	"portico/lightclient/fakenet"
	"portico/lightclient/principal"
	"portico/lightclient/signature/testsigner"
)

var now = time.Date(2026, 11, 28, 9, 0, 0, 0, time.UTC)

const (
	origin  = "https://dapp.example"
	browser = "the cookie of a browser"
)

// A world is a network with Internet Identity, a server, and a user's session key.
type world struct {
	t       testing.TB
	net     *fakenet.Network
	v       *Verifier
	user    testsigner.Signer // the canister, with the seed of the user at the origin
	session testsigner.Signer
}

func newWorld(t testing.TB, edit func(*Config)) *world {
	t.Helper()
	n := fakenet.New("identity")
	cfg := Config{RootKey: n.RootKey(), Origin: origin}
	if edit != nil {
		edit(&cfg)
	}
	v, err := New(cfg)
	must(t, err)
	return &world{t, n, v, userOf(n, InternetIdentity(), "a user's seed"), testsigner.P256(t)}
}

func userOf(n *fakenet.Network, canister principal.ID, seed string) testsigner.Signer {
	return testsigner.Canister(n, now.Add(-time.Minute), canister, []byte(seed))
}

// chain delegates from each signer to the next for half an hour. edit changes a
// delegation before it is signed.
func (w *world) chain(edit func(i int, d *envelope.Delegation), signers ...testsigner.Signer) Chain {
	w.t.Helper()
	c := Chain{PublicKey: signers[0].DER}
	for i, to := range signers[1:] {
		d := envelope.Delegation{PublicKey: to.DER, Expiration: uint64(now.Add(30 * time.Minute).UnixNano())}
		if edit != nil {
			edit(i, &d)
		}
		s, err := envelope.Delegate(signers[i], d)
		must(w.t, err)
		c.Delegations = append(c.Delegations, s)
	}
	return c
}

// logIn signs a new challenge with the last of the signers of a chain.
func (w *world) logIn(c Chain, last testsigner.Signer) *LogIn {
	challenge := w.v.Challenge(browser, now)
	return &LogIn{Challenge: challenge, Chain: c, Signature: last.Signature(Message(challenge, w.v.cfg.Origin))}
}

// good is a log-in that nothing is wrong with.
func (w *world) good() *LogIn { return w.logIn(w.chain(nil, w.user, w.session), w.session) }

func (w *world) verify(l *LogIn) error {
	_, err := w.v.Verify(l, browser, now)
	return err
}

func wantCheck(t *testing.T, err error, want Check, text string) {
	t.Helper()
	var r *Refusal
	if !errors.As(err, &r) {
		t.Fatalf("error %v, want a refusal", err)
	}
	if r.Check != want || !strings.Contains(err.Error(), text) {
		t.Fatalf("refused with %q, want the check %s and %q", err, want, text)
	}
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func TestInternetIdentityHasItsUsualPrincipal(t *testing.T) {
	if got := InternetIdentity().String(); got != "rdmx6-jaaaa-aaaaa-aaadq-cai" {
		t.Errorf("Internet Identity is %s", got)
	}
}

func TestSessionKeysOfEverySchemeLogInAsTheUser(t *testing.T) {
	w := newWorld(t, nil)
	for name, key := range testsigner.All(t) {
		user, err := w.v.Verify(w.logIn(w.chain(nil, w.user, key), key), browser, now)
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if user.Principal != principal.SelfAuthenticating(w.user.DER) || !user.Expires.Equal(now.Add(30*time.Minute)) {
			t.Errorf("%s: logged in as %+v", name, user)
		}
	}
}

func TestTheFirstDelegationToExpireEndsTheLogIn(t *testing.T) {
	w := newWorld(t, nil)
	keys := []testsigner.Signer{w.user, testsigner.Ed25519(t), testsigner.Ed25519(t), w.session}
	c := w.chain(func(i int, d *envelope.Delegation) {
		if i == 1 {
			d.Expiration = uint64(now.Add(time.Minute).UnixNano())
		}
	}, keys...)
	user, err := w.v.Verify(w.logIn(c, w.session), browser, now)
	must(t, err)
	if !user.Expires.Equal(now.Add(time.Minute)) {
		t.Errorf("expires at %s", user.Expires)
	}
}

func TestChainsOfTwentyLogInAndLongerOnesAreRefused(t *testing.T) {
	w := newWorld(t, nil)
	keys := []testsigner.Signer{w.user}
	for range envelope.MaxDelegations + 1 {
		keys = append(keys, testsigner.Ed25519(t))
	}
	must(t, w.verify(w.logIn(w.chain(nil, keys[:len(keys)-1]...), keys[len(keys)-2])))
	err := w.verify(w.logIn(w.chain(nil, keys...), keys[len(keys)-1]))
	wantCheck(t, err, Delegations, "at most 20")
}

func TestSignaturesOfAChainAreChecked(t *testing.T) {
	w := newWorld(t, nil)
	middle := testsigner.Ed25519(t)
	for name, c := range map[string]struct {
		change func(l *LogIn)
		check  Check
		text   string
	}{
		"the canister signed another expiration":  {func(l *LogIn) { l.Chain.Delegations[0].Delegation.Expiration++ }, ChainSignature, "delegation 1"},
		"the canister signed another session key": {func(l *LogIn) { l.Chain.Delegations[0].Delegation.PublicKey = testsigner.Ed25519(t).DER }, ChainSignature, "delegation 1"},
		"the middle key signed another key":       {func(l *LogIn) { l.Chain.Delegations[1].Delegation.PublicKey = testsigner.Ed25519(t).DER }, ChainSignature, "delegation 2"},
		"the user is another of the canister's":   {func(l *LogIn) { l.Chain.PublicKey = userOf(w.net, InternetIdentity(), "another's seed").DER }, ChainSignature, "delegation 1"},
		"the canister's signature is damaged":     {func(l *LogIn) { l.Chain.Delegations[0].Signature[100] ^= 1 }, ChainSignature, "delegation 1"},
		"the canister's signature is missing":     {func(l *LogIn) { l.Chain.Delegations[0].Signature = nil }, ChainSignature, "delegation 1"},
		"the session signature is damaged":        {func(l *LogIn) { l.Signature[10] ^= 1 }, SessionSignature, "log-in"},
		"the session signature is missing":        {func(l *LogIn) { l.Signature = nil }, SessionSignature, "log-in"},
		"another key signed the challenge":        {func(l *LogIn) { l.Signature = testsigner.P256(t).Signature(Message(l.Challenge, origin)) }, SessionSignature, "log-in"},
		"the middle key signed the challenge":     {func(l *LogIn) { l.Signature = middle.Signature(Message(l.Challenge, origin)) }, SessionSignature, "log-in"},
		"the challenge is signed without domain":  {func(l *LogIn) { l.Signature = w.session.Signature(l.Challenge) }, SessionSignature, "log-in"},
		"the challenge is signed for another origin": {
			func(l *LogIn) { l.Signature = w.session.Signature(Message(l.Challenge, "https://evil.example")) }, SessionSignature, "log-in",
		},
	} {
		t.Run(name, func(t *testing.T) {
			l := w.logIn(w.chain(nil, w.user, middle, w.session), w.session)
			must(t, w.verify(l))
			l = w.logIn(w.chain(nil, w.user, middle, w.session), w.session)
			c.change(l)
			wantCheck(t, w.verify(l), c.check, c.text)
		})
	}
}

func TestCertificatesOfOthersAreRefused(t *testing.T) {
	w := newWorld(t, nil)
	cloud := *w.net
	cloud.SubnetType = "cloud_engine"
	outside := principal.Canister(0x100000)
	for name, c := range map[string]struct {
		user    testsigner.Signer
		trusted []principal.ID
		text    string
	}{
		"another network's root key":        {userOf(fakenet.New("another"), InternetIdentity(), "seed"), nil, "wrong signature"},
		"a canister outside the ranges":     {userOf(w.net, outside, "seed"), []principal.ID{outside}, "none of the ranges"},
		"a cloud engine":                    {userOf(&cloud, InternetIdentity(), "seed"), nil, "cloud_engine"},
		"the certified data of another one": {testsigner.Signer{DER: w.user.DER, Signature: userOf(w.net, principal.Canister(8), "a user's seed").Signature}, nil, "does not show the certified data"},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, func(cfg *Config) { cfg.Canisters = c.trusted })
			wantCheck(t, w.verify(w.logIn(w.chain(nil, c.user, w.session), w.session)), ChainSignature, c.text)
		})
	}
}

func TestOnlyTrustedCanistersMaySign(t *testing.T) {
	other := principal.Canister(8)
	w := newWorld(t, nil)
	user := userOf(w.net, other, "seed")
	wantCheck(t, w.verify(w.logIn(w.chain(nil, user, w.session), w.session)), Signer, other.String())
	// Neither in the middle nor at the end.
	wantCheck(t, w.verify(w.logIn(w.chain(nil, w.user, user, w.session), w.session)), Signer, other.String())
	wantCheck(t, w.verify(w.logIn(w.chain(nil, w.user, user), user)), Signer, other.String())

	w = newWorld(t, func(cfg *Config) { cfg.Canisters = []principal.ID{other} })
	must(t, w.verify(w.logIn(w.chain(nil, user, w.session), w.session)))
	wantCheck(t, w.verify(w.good()), Signer, InternetIdentity().String())
}

func TestPlainKeysLogInOnlyWhereTheyAreAllowed(t *testing.T) {
	strict, open := newWorld(t, nil), newWorld(t, func(cfg *Config) { cfg.PlainKeys = true })
	for name, key := range testsigner.All(t) {
		for _, w := range []*world{strict, open} {
			for delegations, l := range []*LogIn{w.logIn(w.chain(nil, key), key), w.logIn(w.chain(nil, key, w.session), w.session)} {
				user, err := w.v.Verify(l, browser, now)
				if w == strict {
					wantCheck(t, err, PlainKey, "")
				} else if err != nil || user.Principal != key.Principal() {
					t.Errorf("%s with %d delegations: %v, %v", name, delegations, user, err)
				}
			}
		}
	}
	must(t, open.verify(open.good()))
	wantCheck(t, strict.verify(strict.logIn(strict.chain(nil, strict.user), strict.user)), PlainKey, "no delegation")
	other := userOf(open.net, principal.Canister(8), "seed")
	wantCheck(t, open.verify(open.logIn(open.chain(nil, other, open.session), open.session)), Signer, "")
}

func TestRulesOfDelegationsAreKept(t *testing.T) {
	w := newWorld(t, nil)
	middle := testsigner.Ed25519(t)
	at := func(i int, change func(d *envelope.Delegation)) func(int, *envelope.Delegation) {
		return func(j int, d *envelope.Delegation) {
			if i == j {
				change(d)
			}
		}
	}
	for name, c := range map[string]struct {
		change func(int, *envelope.Delegation)
		check  Check // zero for none
		text   string
	}{
		"expires now":         {at(0, func(d *envelope.Delegation) { d.Expiration = uint64(now.UnixNano()) }), 0, ""},
		"expired just now":    {at(0, func(d *envelope.Delegation) { d.Expiration = uint64(now.UnixNano()) - 1 }), Expired, "delegation 1"},
		"the last expired":    {at(1, func(d *envelope.Delegation) { d.Expiration = 0 }), Expired, "delegation 2"},
		"all permissions":     {at(0, func(d *envelope.Delegation) { d.Permissions = envelope.PermissionAll }), 0, ""},
		"queries only":        {at(1, func(d *envelope.Delegation) { d.Permissions = envelope.PermissionQueries }), Permissions, "delegation 2"},
		"unknown permissions": {at(0, func(d *envelope.Delegation) { d.Permissions = "none" }), Delegations, `"none"`},
		"targets":             {at(0, func(d *envelope.Delegation) { d.Targets = []principal.ID{principal.Canister(1)} }), Targets, "acts for none"},
		"empty targets":       {at(1, func(d *envelope.Delegation) { d.Targets = []principal.ID{} }), Targets, "acts for none"},
		"1001 targets":        {at(1, func(d *envelope.Delegation) { d.Targets = make([]principal.ID, envelope.MaxTargets+1) }), Delegations, "at most 1000"},
		"a cycle":             {at(1, func(d *envelope.Delegation) { d.PublicKey = middle.DER }), Delegations, "cycle"},
		"no key":              {at(1, func(d *envelope.Delegation) { d.PublicKey = []byte("key") }), Form, "delegation 2"},
	} {
		t.Run(name, func(t *testing.T) {
			err := w.verify(w.logIn(w.chain(c.change, w.user, middle, w.session), w.session))
			if c.check == 0 {
				must(t, err)
			} else {
				wantCheck(t, err, c.check, c.text)
			}
		})
	}
}

func TestTargetsMustHaveEveryCanisterOfTheServer(t *testing.T) {
	a, b := principal.Canister(1), principal.Canister(2)
	w := newWorld(t, func(cfg *Config) { cfg.Targets = []principal.ID{a, b} })
	must(t, logInWithTargets(w, nil, nil))
	must(t, logInWithTargets(w, []principal.ID{b, a}, nil))
	must(t, logInWithTargets(w, []principal.ID{a, b}, []principal.ID{principal.Canister(3), b, a}))
	wantCheck(t, logInWithTargets(w, []principal.ID{a}, nil), Targets, b.String())
	wantCheck(t, logInWithTargets(w, []principal.ID{a}, []principal.ID{a, b}), Targets, b.String())
	wantCheck(t, logInWithTargets(w, []principal.ID{a, b}, []principal.ID{b}), Targets, a.String())
	wantCheck(t, logInWithTargets(w, nil, []principal.ID{}), Targets, a.String())
}

// logInWithTargets logs in with the targets of two delegations.
func logInWithTargets(w *world, first, second []principal.ID) error {
	middle := testsigner.Ed25519(w.t)
	return w.verify(w.logIn(w.chain(func(i int, d *envelope.Delegation) {
		d.Targets = [][]principal.ID{first, second}[i]
	}, w.user, middle, w.session), w.session))
}

func TestServersThatNobodyShouldTrustAreNotMade(t *testing.T) {
	key := fakenet.New("identity").RootKey()
	for _, good := range []string{"https://dapp.example", "https://dapp.example:8443", "http://localhost:9000", "http://127.0.0.1:9000", "http://[::1]:9000", "http://app.localhost"} {
		if _, err := New(Config{RootKey: key, Origin: good}); err != nil {
			t.Errorf("%s: %v", good, err)
		}
	}
	for _, bad := range []string{
		"", "dapp.example", "http://dapp.example", "http://192.168.1.2:9000", "https://dapp.example/", "https://Dapp.example", "https://dapp.example:443",
		"http://localhost:80", "https://user@dapp.example", "https://dapp.example?x", "ftp://localhost", "https://", "https://" + strings.Repeat("a", 300),
	} {
		if _, err := New(Config{RootKey: key, Origin: bad}); err == nil {
			t.Errorf("the origin %q was taken", bad)
		}
	}
	for _, bad := range [][]byte{nil, key[:132], []byte(strings.Repeat("k", 133))} {
		if _, err := New(Config{RootKey: bad, Origin: origin}); err == nil {
			t.Errorf("a root key of %d bytes was taken", len(bad))
		}
	}
}

// BenchmarkVerify measures log-ins with chains of Internet Identity, offline.
func BenchmarkVerify(b *testing.B) {
	w := newWorld(b, nil)
	for _, c := range []struct {
		name string
		user func() testsigner.Signer
	}{
		{"first log-in with a delegation", func() testsigner.Signer { return userOf(w.net, InternetIdentity(), rand.Text()) }},
		{"again with the same delegation", func() testsigner.Signer { return w.user }},
	} {
		b.Run(c.name, func(b *testing.B) {
			fixed := w.chain(nil, w.user, w.session)
			for b.Loop() {
				b.StopTimer()
				l := w.logIn(fixed, w.session)
				if user := c.user(); string(user.DER) != string(w.user.DER) {
					l = w.logIn(w.chain(nil, user, w.session), w.session)
				}
				b.StartTimer()
				must(b, w.verify(l))
			}
		})
	}
}
