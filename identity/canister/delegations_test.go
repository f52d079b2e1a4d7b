package main

import (
	"bytes"
	"encoding/hex"
	"fmt"
	"math"
	"strings"
	"testing"
	"time"

	"portico/lightclient/asset"
	"portico/lightclient/bls"
	"portico/lightclient/certificate"
	"portico/lightclient/hashtree"
	"portico/lightclient/principal"
)

// The seeds and principals are those of the specification's formulas, computed apart from
// this code by Python's hashlib, zlib and base64, for the salt of 32 bytes 1, 2, …, 32.
func TestSeedsAndPrincipalsAreAsSpecified(t *testing.T) {
	s := newStore(nil, principal.MustParse("rdmx6-jaaaa-aaaaa-aaadq-cai"))
	for i := range s.salt {
		s.salt[i] = byte(i + 1)
	}
	for _, x := range []struct {
		number          uint64
		account         bool
		origin          string
		seed, principal string
	}{
		{
			number: 10000, origin: "https://nice-name.com",
			seed: "c54bacdf2bd51e18df418a8ce0745617886a5b2b7b189c9af09cbf89bbae2dfa", principal: "kast4-xljft-6jbnj-i7ctf-ngitt-eb2sr-siv5h-4e6oj-3utkp-hpcc2-3qe",
		},
		{
			number: 10001, origin: "https://nice-name.com",
			seed: "cea6368fdc608158cb93a7733244fa5ec661c42f9be43580ed8a54fd2a1995ac", principal: "thyp3-hb3c2-hgofr-7btx3-n2t3b-ih7ln-4fbww-u7ppk-jbimk-urgye-yae",
		},
		{
			number: 10000, origin: "http://nice-name.com",
			seed: "cfcb59cc119b12950a6be2a14e5ca6a32dd42535510be672243a8125bd71df57", principal: "jqoeo-wg2g2-qayve-regpf-tc3jq-m5rzk-hvtho-fmdji-4yx6v-ky755-bae",
		},
		{
			number: 10000, origin: "https://nice-name.com:8443",
			seed: "bfeb4520daa882f1c1a76c9a9d04dacc6e50f1cc962aff8adb854676af1bd9b9", principal: "l5ejk-lxmwp-lfijm-oj42l-jfevz-sq5ev-fyyq3-5pvyf-nyfc7-t7glw-xae",
		},
		{ // that of ic0.app
			number: 10000, origin: "https://ryjl3-tyaaa-aaaaa-aaaba-cai.icp0.io",
			seed: "ab363c5c3f3e038e291627295cf7c4655df3b396725dc16682d0b03321166f88", principal: "aikq5-pz34n-qh4ws-bkw72-eswgm-jcioh-qrbnb-7nrii-6kue6-vzdby-eae",
		},
		{ // of 255 bytes
			number: 2999999, origin: "https://x." + strings.Repeat("a", 242) + ".de",
			seed: "a7d13acfc1ea048fa4c83b507608cbd79761d7447261b5a9af70aa7b27ecd04c", principal: "ix5bi-ksqrb-bwox3-ghzqd-jak6x-htfck-6jbfn-4lxqo-6bnme-th3ck-mae",
		},
		{
			number: 7, account: true, origin: "https://nice-name.com",
			seed: "c2a066871a0806f0f6cfe9ca4d01e3857cb0a11a9f5edf9ef2f92a30244d53ee", principal: "j7ioh-kqtnk-p3oj2-r3dzw-f4fam-fdaxs-vazhl-4ieij-wtxnq-kaz6b-gae",
		},
		{
			number: 8, account: true, origin: "https://nice-name.com",
			seed: "7f68e4c039c8699585d24ee6fcbee6ccdeeda14ef58b36c260185dc3eca5bd0d", principal: "fekzx-rbinu-bnczc-dts3p-xzfui-kkscb-lwyjs-2px3n-gevbu-y6qie-xqe",
		},
	} {
		origin, err := frontend(x.origin)
		if err != nil {
			t.Fatal(err)
		}
		got := s.anchorSeed(x.number, origin)
		if x.account {
			got = s.accountSeed(x.number, origin)
		}
		if hex.EncodeToString(got[:]) != x.seed {
			t.Errorf("%d at %s: the seed is %x, want %s", x.number, x.origin, got, x.seed)
		}
		if id := principal.SelfAuthenticating(s.userKey(got)).String(); id != x.principal {
			t.Errorf("%d at %s: the principal is %s, want %s", x.number, x.origin, id, x.principal)
		}
	}
	key := s.userKey(s.anchorSeed(10000, "https://nice-name.com"))
	if want := "303c300c060a2b0601040183b8430102032c000a00000000000000070101"; !strings.HasPrefix(hex.EncodeToString(key), want) {
		t.Errorf("the public key is %x, want %s and the seed", key, want)
	}
}

func TestTheNewerDomainOfCanistersIsTheOlderOneInSeeds(t *testing.T) {
	for origin, want := range map[string]string{
		"https://ryjl3-tyaaa-aaaaa-aaaba-cai.icp0.io":     "https://ryjl3-tyaaa-aaaaa-aaaba-cai.ic0.app",
		"https://ryjl3-tyaaa-aaaaa-aaaba-cai.raw.icp0.io": "https://ryjl3-tyaaa-aaaaa-aaaba-cai.raw.ic0.app",
		"https://ryjl3-tyaaa-aaaaa-aaaba-cai.ic0.app":     "https://ryjl3-tyaaa-aaaaa-aaaba-cai.ic0.app",
		"http://ryjl3-tyaaa-aaaaa-aaaba-cai.icp0.io":      "http://ryjl3-tyaaa-aaaaa-aaaba-cai.icp0.io",
		"https://a.b.icp0.io":                             "https://a.b.icp0.io",
		"https://icp0.io":                                 "https://icp0.io",
		"https://.icp0.io":                                "https://.icp0.io",
		"https://x.icp0.io:8000":                          "https://x.icp0.io:8000",
		"https://x.icp0.io.evil.com":                      "https://x.icp0.io.evil.com",
	} {
		if got, err := frontend(origin); err != nil || got != want {
			t.Errorf("%s became %s, %v", origin, got, err)
		}
	}
}

func TestADelegationVerifiesAsTheUserKeyOnTheOriginsPrincipal(t *testing.T) {
	c := install(t)
	anna, session := newPasskey(t, "anna"), newPasskey(t, "session")
	number := c.newAnchor(anna, "anna")
	userKey, d := c.logIn(anna.id, number, "https://dapp.com", session.der, nil)
	if err := c.verify(userKey, d); err != nil {
		t.Error(err)
	}
	if want := uint64(c.Now) + uint64(30*time.Minute); d.Delegation.Expiration != want {
		t.Errorf("it expires at %d, want %d", d.Delegation.Expiration, want)
	}
	var id principal.ID
	c.query(anna.id, "get_principal", args{number, "https://dapp.com"}, &id)
	if id != principal.SelfAuthenticating(userKey) {
		t.Errorf("get_principal says %s", id)
	}
	salt := firstRandom()
	seed := hash(salt[:], []byte("10000"), []byte("https://dapp.com"))
	if !bytes.HasSuffix(userKey, seed[:]) {
		t.Errorf("the user's key ends in %x, want %x", userKey, seed)
	}
	forged := d
	forged.Delegation.Expiration++
	if c.verify(userKey, forged) == nil {
		t.Error("a delegation with another expiration verifies")
	}
	forged = d
	forged.Delegation.PubKey = anna.der
	if c.verify(userKey, forged) == nil {
		t.Error("a delegation to another key verifies")
	}
	other, _ := c.logIn(anna.id, number, "https://other.com", session.der, nil)
	if c.verify(other, d) == nil {
		t.Error("the delegation verifies for the principal of another origin")
	}
}

func TestManyDelegationsVerifyWhileTheyAreWaiting(t *testing.T) {
	c := install(t)
	anna, session := newPasskey(t, "anna"), newPasskey(t, "session")
	number := c.newAnchor(anna, "anna")
	keys, expirations := map[string][]byte{}, map[string]uint64{}
	for i := range 40 {
		origin := "https://dapp" + strings.Repeat("x", i) + ".com"
		var key []byte
		var expires uint64
		c.do(anna.id, "prepare_delegation", args{number, origin, session.der, (*uint64)(nil)}, &key, &expires)
		keys[origin], expirations[origin] = key, expires
	}
	for origin, key := range keys {
		var got getDelegationResponse
		c.query(anna.id, "get_delegation", args{number, origin, session.der, expirations[origin]}, &got)
		if got.Signed == nil {
			t.Fatalf("%s: no such delegation", origin)
		}
		if err := c.verify(key, *got.Signed); err != nil {
			t.Errorf("%s: %v", origin, err)
		}
		for other, otherKey := range keys {
			if seed := plainHash(otherKey[len(otherKey)-32:]); other != origin && bytes.Contains(got.Signed.Signature, seed[:]) {
				t.Errorf("the delegation for %s shows that there is one for %s", origin, other)
			}
		}
	}
}

func TestADelegationLastsAsLongAsAskedForAndThirtyDaysAtMost(t *testing.T) {
	c := install(t)
	anna, session := newPasskey(t, "anna"), newPasskey(t, "session")
	number := c.newAnchor(anna, "anna")
	for ttl, want := range map[uint64]uint64{0: 0, minute: minute, 29 * day: 29 * day, 31 * day: 30 * day, math.MaxUint64: 30 * day} {
		if _, d := c.logIn(anna.id, number, "https://dapp.com", session.der, &ttl); d.Delegation.Expiration != uint64(c.Now)+want {
			t.Errorf("asked for %d, it lasts %d", ttl, d.Delegation.Expiration-uint64(c.Now))
		}
	}
}

func TestASignatureCanBeFetchedForAMinute(t *testing.T) {
	c := install(t)
	anna, session := newPasskey(t, "anna"), newPasskey(t, "session")
	number := c.newAnchor(anna, "anna")
	var key []byte
	var expires uint64
	c.do(anna.id, "prepare_delegation", args{number, "https://dapp.com", session.der, (*uint64)(nil)}, &key, &expires)
	get := func() bool {
		var got getDelegationResponse
		c.query(anna.id, "get_delegation", args{number, "https://dapp.com", session.der, expires}, &got)
		return got.Signed != nil
	}
	c.pass(59 * time.Second)
	c.logIn(anna.id, number, "https://other.com", session.der, nil)
	if !get() {
		t.Error("it is gone after 59 seconds")
	}
	c.pass(2 * time.Second)
	c.logIn(anna.id, number, "https://other.com", session.der, nil)
	if get() {
		t.Error("it is still there after 61 seconds")
	}
}

func TestWaitingSignaturesAreBounded(t *testing.T) {
	s := newSignatures()
	for i := range maxPerAnchor {
		if err := s.sign(1, [32]byte{1}, []byte{byte(i)}, 0); err != nil {
			t.Fatal(err)
		}
	}
	if err := s.sign(1, [32]byte{1}, []byte("one more"), 0); err != errBusy {
		t.Errorf("one more of the same anchor: %v", err)
	}
	if err := s.sign(2, [32]byte{2}, []byte("another"), 0); err != nil {
		t.Errorf("one of another anchor: %v", err)
	}
	for i := len(s.queue); i < maxSignatures; i++ {
		if err := s.sign(uint64(i), [32]byte{byte(i), byte(i >> 8)}, []byte("x"), 1); err != nil {
			t.Fatal(err)
		}
	}
	if err := s.sign(1_000_000, [32]byte{1}, []byte("x"), 1); err != errBusy {
		t.Errorf("too many in all: %v", err)
	}
	for range maxSignatures {
		s.prune(2 * minute)
	}
	if empty := newSignatures(); s.tree.Hash() != empty.tree.Hash() || len(s.queue) != 0 || len(s.signed) != 0 {
		t.Error("something is left of expired signatures")
	}
}

// A call that is refused may have removed what expired, and pages are proved by the same root.
func TestARefusedDelegationLeavesPagesCertified(t *testing.T) {
	c := install(t)
	anna, ben, session := newPasskey(t, "anna"), newPasskey(t, "ben"), newPasskey(t, "session")
	a, b := c.newAnchor(anna, "anna"), c.newAnchor(ben, "ben")
	prepare := func(p passkey, number uint64, origin string) (r result[preparedDelegation, delegationError]) {
		c.do(p.id, "prepare_account_delegation", args{number, origin, (*uint64)(nil), session.der, (*uint64)(nil), (*permissions)(nil)}, &r)
		return r
	}
	prepare(anna, a, "https://dapp.com")
	c.pass(30 * time.Second)
	for i := range maxPerAnchor {
		prepare(ben, b, fmt.Sprintf("https://dapp%d.com", i))
	}
	c.pass(40 * time.Second)
	if r := prepare(ben, b, "https://dapp.com"); r.Err == nil || r.Err.Internal == nil {
		t.Fatalf("one more than may wait: %+v", r)
	}
	two := uint16(2)
	var page httpResponse
	c.query(principal.Anonymous(), "http_request", args{httpRequest{Method: "GET", URL: cliPath, CertificateVersion: &two}}, &page)
	got := &asset.Response{Status: page.Status, Body: page.Body}
	for _, h := range page.Headers {
		got.Headers = append(got.Headers, asset.Header{Name: h.Name, Value: h.Value})
	}
	v := &asset.Verifier{Certificates: &certificate.Verifier{RootKey: c.net.RootKey(), BLS: bls.NewVerifier().Verify}}
	if _, err := v.Verify(c.Self, &asset.Request{Method: "GET", URL: cliPath}, got, c.Now.Std()); err != nil {
		t.Error(err)
	}
}

func TestADelegationForAnothersAnchorIsRefused(t *testing.T) {
	c := install(t)
	anna, mallory, session := newPasskey(t, "anna"), newPasskey(t, "mallory"), newPasskey(t, "session")
	number := c.newAnchor(anna, "anna")
	c.newAnchor(mallory, "mallory")
	var key []byte
	var expires uint64
	c.do(anna.id, "prepare_delegation", args{number, "https://dapp.com", session.der, (*uint64)(nil)}, &key, &expires)
	for _, who := range []principal.ID{mallory.id, session.id, principal.Anonymous(), c.Self} {
		for _, n := range []uint64{number, 9_999, 20_000, math.MaxUint64} {
			c.refuses(c.try(who, "prepare_delegation", args{n, "https://dapp.com", session.der, (*uint64)(nil)}), "could not be authenticated")
			c.refuses(c.ask(who, "get_delegation", args{n, "https://dapp.com", session.der, expires}), "could not be authenticated")
			c.refuses(c.ask(who, "get_principal", args{n, "https://dapp.com"}), "could not be authenticated")
			var p result[preparedDelegation, delegationError]
			c.do(who, "prepare_account_delegation", args{n, "https://dapp.com", (*uint64)(nil), session.der, (*uint64)(nil), (*permissions)(nil)}, &p)
			var g result[signedDelegation, delegationError]
			c.query(who, "get_account_delegation", args{n, "https://dapp.com", (*uint64)(nil), session.der, expires, (*permissions)(nil)}, &g)
			if p.Err == nil || p.Err.Unauthorized == nil || *p.Err.Unauthorized != who || g.Err == nil || g.Err.Unauthorized == nil {
				t.Errorf("%s at anchor %d: %+v, %+v", who, n, p, g)
			}
		}
	}
}

func TestSessionKeysOfWrongFormAndLongOriginsAreRefused(t *testing.T) {
	c := install(t)
	anna, session := newPasskey(t, "anna"), newPasskey(t, "session")
	number := c.newAnchor(anna, "anna")
	for named, key := range map[string][]byte{
		"nothing": {}, "raw bytes": session.der[12:], "one byte short": session.der[:43], "one byte more": append(bytes.Clone(session.der), 0),
		"a huge key": make([]byte, 100_000),
	} {
		err := c.try(anna.id, "prepare_delegation", args{number, "https://dapp.com", key, (*uint64)(nil)})
		if err == nil || !strings.Contains(err.Error(), "key") {
			t.Errorf("%s: %v", named, err)
		}
	}
	long := "https://" + strings.Repeat("a", 248)
	c.refuses(c.try(anna.id, "prepare_delegation", args{number, long, session.der, (*uint64)(nil)}), "exceeds the limit of 255 bytes")
	c.logIn(anna.id, number, long[:255], session.der, nil)
}

func TestPrincipalsOfOnePersonAreDifferentAtEveryOriginAndTheSameOnEveryDevice(t *testing.T) {
	c := install(t)
	anna, phone, ben, session := newPasskey(t, "anna"), newPasskey(t, "phone"), newPasskey(t, "ben"), newPasskey(t, "session")
	a, b := c.newAnchor(anna, "anna"), c.newAnchor(ben, "ben")
	c.do(anna.id, "add", args{a, phone.device("phone")})
	seen := map[principal.ID]string{}
	at := func(p passkey, n uint64, origin string) principal.ID {
		key, d := c.logIn(p.id, n, origin, session.der, nil)
		if err := c.verify(key, d); err != nil {
			t.Error(err)
		}
		return principal.SelfAuthenticating(key)
	}
	for _, origin := range []string{"https://one.com", "https://two.com", "http://one.com", "https://one.com:444"} {
		for _, x := range []struct {
			p passkey
			n uint64
		}{{anna, a}, {ben, b}} {
			id := at(x.p, x.n, origin)
			if other, ok := seen[id]; ok {
				t.Errorf("%s at %s is who was there at %s", id, origin, other)
			}
			seen[id] = origin
		}
		if at(anna, a, origin) != at(phone, a, origin) {
			t.Errorf("another device is another principal at %s", origin)
		}
	}
}

func TestAccountsHavePrincipalsOfTheirOwn(t *testing.T) {
	c := install(t)
	anna, ben, session := newPasskey(t, "anna"), newPasskey(t, "ben"), newPasskey(t, "session")
	a, b := c.newAnchor(anna, "anna"), c.newAnchor(ben, "ben")
	const origin = "https://dapp.com"
	logIn := func(account *uint64, p *permissions) principal.ID {
		var prepared result[preparedDelegation, delegationError]
		c.do(anna.id, "prepare_account_delegation", args{a, origin, account, session.der, (*uint64)(nil), p}, &prepared)
		if prepared.Ok == nil {
			t.Fatalf("%+v", prepared.Err)
		}
		var got result[signedDelegation, delegationError]
		c.query(anna.id, "get_account_delegation", args{a, origin, account, session.der, prepared.Ok.Expiration, p}, &got)
		if got.Ok == nil {
			t.Fatalf("%+v", got.Err)
		}
		if err := c.verify(prepared.Ok.UserKey, *got.Ok); err != nil {
			t.Error(err)
		}
		if restricted := got.Ok.Delegation.Permissions != nil; restricted != (p != nil && p.Queries) {
			t.Errorf("permissions %v", got.Ok.Delegation.Permissions)
		}
		return principal.SelfAuthenticating(prepared.Ok.UserKey)
	}
	primary := logIn(nil, nil)
	var plain principal.ID
	c.query(anna.id, "get_principal", args{a, origin}, &plain)
	if primary != plain {
		t.Errorf("the primary account is %s, the anchor %s", primary, plain)
	}
	var added, named result[accountInfo, changeAccountError]
	c.do(anna.id, "create_account", args{a, origin, "work"}, &added)
	work := logIn(added.Ok.Number, &permissions{Queries: true})
	if work == primary || logIn(added.Ok.Number, &permissions{All: true}) != work {
		t.Error("an added account has not one principal of its own")
	}
	text := "home"
	c.do(anna.id, "update_account", args{a, origin, (*uint64)(nil), accountUpdate{&text}}, &named)
	if named.Ok == nil || logIn(named.Ok.Number, nil) != primary || logIn(nil, nil) != primary {
		t.Errorf("a name changed the primary account's principal: %+v", named)
	}
	var set result[accountInfo, setDefaultError]
	c.do(anna.id, "set_default_account", args{a, origin, added.Ok.Number}, &set)
	var standard result[accountInfo, getDefaultError]
	c.query(anna.id, "get_default_account", args{a, origin}, &standard)
	if standard.Ok == nil || *standard.Ok.Number != *added.Ok.Number {
		t.Errorf("the default account is %+v", standard)
	}
	var refusal result[preparedDelegation, delegationError]
	c.do(ben.id, "prepare_account_delegation", args{b, origin, added.Ok.Number, session.der, (*uint64)(nil), (*permissions)(nil)}, &refusal)
	if refusal.Err == nil || refusal.Err.Unauthorized == nil {
		t.Errorf("another's account: %+v", refusal)
	}
	var long result[accountInfo, changeAccountError]
	c.do(anna.id, "create_account", args{a, origin, strings.Repeat("x", maxAccountName+1)}, &long)
	if long.Err == nil || !long.Err.NameTooLong {
		t.Errorf("a long name: %+v", long)
	}
}

// Who signs in without choosing gets the account that they made the default one, from one
// update call, and from then on the query that names it.
func TestTheDefaultAccountIsFoundByTheCallThatSigns(t *testing.T) {
	c := install(t)
	anna, session := newPasskey(t, "anna"), newPasskey(t, "session")
	a := c.newAnchor(anna, "anna")
	const origin = "https://dapp.com"
	var none *uint64
	logIn := func(account *uint64, useDefault *bool) (principal.ID, *uint64) {
		var prepared result[preparedDelegation, delegationError]
		c.do(anna.id, "prepare_account_delegation", args{a, origin, account, session.der, none, (*permissions)(nil), useDefault}, &prepared)
		if prepared.Ok == nil {
			t.Fatalf("%+v", prepared.Err)
		}
		var got result[signedDelegation, delegationError]
		c.query(anna.id, "get_account_delegation", args{a, origin, prepared.Ok.Account, session.der, prepared.Ok.Expiration, (*permissions)(nil)}, &got)
		if got.Ok == nil {
			t.Fatalf("%+v", got.Err)
		}
		if err := c.verify(prepared.Ok.UserKey, *got.Ok); err != nil {
			t.Error(err)
		}
		return principal.SelfAuthenticating(prepared.Ok.UserKey), prepared.Ok.Account
	}
	makeDefault := func(account *uint64) {
		var set result[accountInfo, setDefaultError]
		c.do(anna.id, "set_default_account", args{a, origin, account}, &set)
		if set.Ok == nil {
			t.Fatalf("%+v", set.Err)
		}
	}
	yes, no := true, false
	primary, number := logIn(nil, &yes)
	if plain, _ := logIn(nil, nil); plain != primary || number != nil {
		t.Errorf("with no account but the primary one, the default is %s, number %v", primary, number)
	}
	var added, named result[accountInfo, changeAccountError]
	c.do(anna.id, "create_account", args{a, origin, "work"}, &added)
	work, _ := logIn(added.Ok.Number, nil)
	makeDefault(added.Ok.Number)
	if got, number := logIn(nil, &yes); got != work || number == nil || *number != *added.Ok.Number {
		t.Errorf("the default account is %s, number %v, want %s", got, number, work)
	}
	// whoever knows nothing of it, or names an account, gets what they asked for
	for _, useDefault := range []*bool{nil, &no} {
		if got, _ := logIn(nil, useDefault); got != primary {
			t.Errorf("without a wish for the default account it is %s, want %s", got, primary)
		}
	}
	text := "home"
	c.do(anna.id, "update_account", args{a, origin, none, accountUpdate{&text}}, &named)
	if got, _ := logIn(named.Ok.Number, &yes); got != primary {
		t.Errorf("an account that was named is %s, want %s", got, primary)
	}
	makeDefault(named.Ok.Number)
	if got, _ := logIn(nil, &yes); got != primary {
		t.Errorf("after the primary account was made the default again, it is %s", got)
	}
}

// Agents in Rust stop at an empty left side and find nothing beyond it.
func TestProofsOfSignaturesHaveNoEmptySides(t *testing.T) {
	s := &store{signatures: newSignatures()}
	emptySides := 0
	for i := range 40 {
		if err := s.signatures.sign(1, [32]byte{byte(i)}, []byte("message"), 0); err != nil {
			t.Fatal(err)
		}
	}
	for i := range 40 {
		a, b := plainHash([]byte{byte(i), 31: 0}), plainHash([]byte("message"))
		whole := hashtree.Witness(s.tree(), []hashtree.Path{{[]byte(sigLabel), a[:], b[:]}})
		sent := s.signatureOf([32]byte{byte(i)}, []byte("message"), []byte{0})
		_, tree, _ := bytes.Cut(sent, []byte("dtree"))
		shown, err := hashtree.Decode(tree)
		if err != nil {
			t.Fatalf("signature %d: %v", i, err)
		}
		if shown.Hash() != s.root() {
			t.Fatalf("signature %d: the proof has another root", i)
		}
		if _, status := hashtree.Lookup(shown, []byte(sigLabel), a[:], b[:]); status != hashtree.Found {
			t.Errorf("signature %d: %v in the proof", i, status)
		}
		emptySides += countEmpty(whole)
		if n := countEmpty(shown); n > 0 {
			t.Errorf("signature %d: %d empty sides", i, n)
		}
	}
	if emptySides == 0 {
		t.Error("no proof had anything to hide")
	}
}

func countEmpty(t hashtree.Tree) int {
	switch t := t.(type) {
	case hashtree.Empty:
		return 1
	case *hashtree.Fork:
		return countEmpty(t.Left) + countEmpty(t.Right)
	case *hashtree.Labeled:
		return countEmpty(t.Sub)
	default:
		return 0
	}
}
