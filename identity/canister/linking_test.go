package main

import (
	"bytes"
	"fmt"
	"testing"

	"portico/identity/history"
	"portico/lightclient/candid"
	"portico/lightclient/principal"
)

// strange are the arguments with which strangers try every method, about an anchor and
// its device and an origin.
func strange(n uint64, p passkey, origin string, session []byte, expires uint64) map[string]args {
	none, d, m := (*uint64)(nil), newStranger().device("stranger"), newStranger().method("stranger")
	settings := securitySettings{protection2{Unprotected: true}, purpose2{Authentication: true}}
	message := []byte("message")
	return map[string]args{
		"create_challenge": nil, "register": {p.device("anna"), challengeResult{}, (*principal.ID)(nil)}, "add": {n, d}, "update": {n, p.der, d}, "replace": {n, p.der, d}, "remove": {n, p.der},
		"lookup": {n}, "get_anchor_credentials": {n}, "get_anchor_info": {n}, "get_principal": {n, origin}, "enter_device_registration_mode": {n}, "exit_device_registration_mode": {n},
		"add_tentative_device": {n, d}, "verify_tentative_device": {n, "000000"}, "identity_registration_start": nil, "check_captcha": {checkCaptchaArg{"x"}},
		"identity_registration_finish": {finishArg{Method: m}}, "identity_authn_info": {n}, "identity_info": {n}, "identity_metadata_replace": {n, []metadataEntry2{}},
		"identity_properties_replace": {n, properties{}}, "authn_method_add": {n, m}, "authn_method_replace": {n, p.der, m}, "authn_method_metadata_replace": {n, p.der, []metadataEntry2{}},
		"authn_method_security_settings_replace": {n, p.der, settings}, "authn_method_remove": {n, p.der}, "authn_method_registration_mode_enter": {n, (*string)(nil)},
		"authn_method_registration_mode_exit": {n, (*authnMethodData)(nil)}, "authn_method_register": {n, m}, "authn_method_session_register": {n}, "authn_method_session_info": {n},
		"authn_method_confirm": {n, "000000"}, "lookup_by_registration_mode_id": {"abcde"}, "prepare_delegation": {n, origin, session, none}, "get_delegation": {n, origin, session, expires},
		"prepare_attributes": {prepareRequest{Number: n, Origin: origin}}, "get_attributes": {getRequest{Number: n, Origin: origin}},
		"prepare_icrc3_attributes": {prepareIcrc3Request{Number: n, Origin: origin, Nonce: make([]byte, nonceBytes)}}, "get_icrc3_attributes": {getIcrc3Request{Number: n, Origin: origin, Message: message}},
		"list_available_attributes": {listRequest{Number: n}}, "deploy_archive": {message}, "fetch_entries": nil, "acknowledge_entries": {uint64(0)},
		"http_request": {httpRequest{Method: "GET", URL: "/"}}, "init_salt": nil, "stats": nil, "config": nil, "whoami": nil, "lookup_device_key": {[]byte("credential anna")},
		"get_accounts": {n, origin}, "create_account": {n, origin, "x"}, "update_account": {n, origin, none, accountUpdate{}},
		"prepare_account_delegation": {n, origin, none, session, none, (*permissions)(nil)}, "get_account_delegation": {n, origin, none, session, expires, (*permissions)(nil)},
		"get_default_account": {n, origin}, "set_default_account": {n, origin, none}, "lookup_caller_identity_by_recovery_phrase": nil,
	}
}

func newStranger() passkey { return passkey{der: spki(algorithmEd25519, make([]byte, 32))} }

// everyAnswer calls every method of the interface and hands over what it answered, or the
// text of the refusal.
func (c *canister) everyAnswer(as principal.ID, with map[string]args, visit func(method string, answer []byte)) {
	c.t.Helper()
	for _, m := range service(c.t).Methods {
		in, known := with[m.Name]
		if !known {
			c.t.Errorf("nobody tries what %s shows", m.Name)
			continue
		}
		f, _ := candid.Resolve(m.Type).(*candid.FuncType)
		var b []byte
		var err error
		if f.Annotations&candid.Query != 0 {
			b, err = c.Query(as, m.Name, encode(c.t, in...))
		} else {
			b, err = c.Update(as, m.Name, encode(c.t, in...), c.remote)
		}
		if err != nil {
			b = []byte(err.Error())
		}
		visit(m.Name, b)
	}
}

// A principal at an origin would be linked to another one by whatever tells both: the
// seed, its hash in the tree of signatures, the key, the principal, and the salt, which
// tells all. Nothing of that is in anything that the canister answers to anybody but the
// anchor's owner, while signatures for both origins wait; nor in what a dapp is given of the other one.
func TestNothingThatIsShownLinksTheTwoPrincipalsOfOnePerson(t *testing.T) {
	c, archive := withArchive(t, 100, 100)
	anna, mallory, session := newPasskey(t, "anna"), newPasskey(t, "mallory"), newPasskey(t, "session")
	n := c.newAnchor(anna, "anna")
	c.newAnchor(mallory, "mallory")
	c.do(anna.id, "enter_device_registration_mode", args{n})
	origins := []string{"https://one.com", "https://two.com"}
	var secrets [2]map[string][]byte
	var given [2][]byte // what each dapp has
	var ids [2]principal.ID
	var expires uint64
	for i, origin := range origins {
		var added result[accountInfo, changeAccountError]
		c.do(anna.id, "create_account", args{n, origin, "work"}, &added)
		key, d := c.logIn(anna.id, n, origin, session.der, nil)
		expires = d.Delegation.Expiration
		p := c.prepareAttributes(anna.id, prepareIcrc3Request{Number: n, Origin: origin, Nonce: aNonce})
		var g result[icrc3Signature, getIcrc3Error]
		c.query(anna.id, "get_icrc3_attributes", args{getIcrc3Request{Number: n, Origin: origin, Message: p.Ok.Message}}, &g)
		seed := key[len(key)-32:]
		hashed := plainHash(seed)
		ids[i] = principal.SelfAuthenticating(key)
		salt := firstRandom()
		secrets[i] = map[string][]byte{"seed": seed, "seed's hash": hashed[:], "principal": ids[i].Bytes(), "principal's text": []byte(ids[i].String()), "salt": salt[:]}
		given[i] = bytes.Join([][]byte{key, encode(t, d), p.Ok.Message, g.Ok.Signature}, nil)
	}
	archived := c.fetchAll(archive)
	look := func(where string, shown []byte, as principal.ID) {
		for i, all := range secrets {
			for what, secret := range all {
				if bytes.Contains(shown, secret) && ids[i] != as {
					t.Errorf("%s shows the %s at %s", where, what, origins[i])
				}
			}
		}
	}
	for _, who := range []principal.ID{principal.Anonymous(), mallory.id, ids[0], ids[1], archive} {
		for _, origin := range origins {
			c.everyAnswer(who, strange(n, anna, origin, session.der, expires), func(method string, answer []byte) {
				look(fmt.Sprintf("%s to %s", method, who), answer, who)
			})
		}
	}
	for i := range given {
		for what, secret := range secrets[1-i] {
			if bytes.Contains(given[i], secret) {
				t.Errorf("what %s is given has the %s at %s", origins[i], what, origins[1-i])
			}
		}
		if !bytes.Contains(given[i], secrets[i]["seed"]) {
			t.Error("the test does not see what it looks for")
		}
		if bytes.Contains(given[i], []byte(fmt.Sprint(n))) || bytes.Contains(given[i], anna.der) || bytes.Contains(given[i], anna.id.Bytes()) {
			t.Errorf("what %s is given names the anchor or its device", origins[i])
		}
	}
	told := 0
	for _, e := range archived {
		if e.Anchor == n {
			told++
		}
		look("the archive", e.Entry, principal.ID{})
		for _, origin := range origins {
			if bytes.Contains(e.Entry, []byte(origin)) {
				t.Errorf("the archive is told of %s", origin)
			}
		}
	}
	if told != 1 {
		t.Errorf("the archive is told %d things of the anchor, want its registration alone: not when it made accounts", told)
	}
}

func (c *canister) fetchAll(archive principal.ID) []history.Buffered {
	c.t.Helper()
	var batch []history.Buffered
	c.do(archive, "fetch_entries", nil, &batch)
	if len(batch) == 0 {
		c.t.Fatal("nothing is archived")
	}
	return batch
}

// Numbers of anchors are no secret, and neither are the public keys of their devices,
// which signing in begins with. What nobody learns by trying numbers is anything else: an
// anchor of somebody else and one that does not exist are refused in the same words.
func TestGuessingAnchorsTellsNothingButTheirKeys(t *testing.T) {
	c := install(t)
	anna, mallory, session := newPasskey(t, "anna"), newPasskey(t, "mallory"), newPasskey(t, "session")
	n := c.newAnchor(anna, "anna")
	c.newAnchor(mallory, "mallory")
	public := map[string]bool{"lookup": true, "get_anchor_credentials": true, "identity_authn_info": true}
	const origin, nobodys = "https://dapp.com", 20_000
	there, missing := map[string][]byte{}, map[string][]byte{}
	c.everyAnswer(mallory.id, strange(n, anna, origin, session.der, 7), func(m string, b []byte) { there[m] = b })
	if err := c.upgrade((*initArgs)(nil)); err != nil { // ends the registrations that were tried
		t.Fatal(err)
	}
	c.everyAnswer(mallory.id, strange(nobodys, anna, origin, session.der, 7), func(m string, b []byte) { missing[m] = b })
	takesNumber := 0
	for method, in := range strange(n, anna, origin, session.der, 7) {
		if len(in) == 0 {
			continue
		}
		if _, first := in[0].(uint64); !first || public[method] {
			continue
		}
		takesNumber++
		if !bytes.Equal(there[method], missing[method]) {
			t.Errorf("%s tells whether there is an anchor:\n%q\n%q", method, there[method], missing[method])
		}
	}
	if takesNumber < 25 {
		t.Errorf("%d methods were compared", takesNumber)
	}
}
