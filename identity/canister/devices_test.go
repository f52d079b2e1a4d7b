package main

import (
	"bytes"
	"fmt"
	"strings"
	"testing"
	"time"

	"portico/identity/stable"
	"portico/lightclient/principal"
)

func TestOnlyAnAnchorsOwnKeysChangeIt(t *testing.T) {
	c := install(t)
	anna, mallory := newPasskey(t, "anna"), newPasskey(t, "mallory")
	n := c.newAnchor(anna, "anna")
	c.newAnchor(mallory, "mallory")
	mine := mallory.device("new")
	for method, in := range map[string]args{
		"add": {n, mine}, "update": {n, anna.der, anna.device("renamed")}, "replace": {n, anna.der, mine}, "remove": {n, anna.der},
		"get_anchor_info": {n}, "enter_device_registration_mode": {n}, "exit_device_registration_mode": {n},
		"verify_tentative_device": {n, "000000"}, "authn_method_add": {n, mallory.method("new")},
		"authn_method_replace": {n, anna.der, mallory.method("new")}, "authn_method_remove": {n, anna.der},
		"authn_method_metadata_replace":          {n, anna.der, []metadataEntry2{}},
		"authn_method_security_settings_replace": {n, anna.der, securitySettings{protection2{Unprotected: true}, purpose2{Recovery: true}}},
	} {
		for _, who := range []principal.ID{mallory.id, principal.Anonymous(), c.Self} {
			c.refuses(c.try(who, method, in), "could not be authenticated")
		}
	}
	var info result[identityInfo, identityInfoError]
	c.do(mallory.id, "identity_info", args{n}, &info)
	var meta done[metadataReplaceError]
	c.do(mallory.id, "identity_metadata_replace", args{n, []metadataEntry2{}}, &meta)
	var props done[propertiesReplaceError]
	c.do(mallory.id, "identity_properties_replace", args{n, properties{}}, &props)
	var account result[accountInfo, changeAccountError]
	c.do(mallory.id, "create_account", args{n, "https://dapp.com", "x"}, &account)
	var enter result[expirationInfo, enterError]
	c.do(mallory.id, "authn_method_registration_mode_enter", args{n, (*string)(nil)}, &enter)
	if info.Err == nil || info.Err.Unauthorized == nil || meta.Err == nil || meta.Err.Unauthorized == nil || props.Err == nil || props.Err.Unauthorized == nil ||
		account.Err == nil || account.Err.Unauthorized == nil || enter.Err == nil || enter.Err.Unauthorized == nil {
		t.Errorf("not refused: %+v %+v %+v %+v %+v", info, meta, props, account, enter)
	}
	var mine2 result[identityInfo, identityInfoError]
	c.do(anna.id, "identity_info", args{n}, &mine2)
	if mine2.Ok == nil || len(mine2.Ok.Methods) != 1 || !bytes.Equal(mine2.Ok.Methods[0].Method.WebAuthn.PubKey, anna.der) {
		t.Errorf("anna's anchor is %+v", mine2)
	}
}

func TestARemovedDeviceCanDoNothingAndItsKeyMayBeRegisteredAgain(t *testing.T) {
	c := install(t)
	anna, phone := newPasskey(t, "anna"), newPasskey(t, "phone")
	n := c.newAnchor(anna, "anna")
	c.do(anna.id, "add", args{n, phone.device("phone")})
	c.do(phone.id, "remove", args{n, anna.der})
	c.refuses(c.try(anna.id, "get_anchor_info", args{n}), "could not be authenticated")
	var found *keyWithAnchor
	c.query(principal.ID{}, "lookup_device_key", args{[]byte("credential anna")}, &found)
	if found != nil {
		t.Errorf("its credential is still found: %+v", found)
	}
	if again := c.newAnchor(anna, "anna"); again != n+1 {
		t.Errorf("registered again as %d", again)
	}
}

func TestAProtectedPhraseIsChangedByItselfAlone(t *testing.T) {
	c := install(t)
	anna, phrase, next := newPasskey(t, "anna"), newPasskey(t, "phrase"), newPasskey(t, "next phrase")
	n := c.newAnchor(anna, "anna")
	c.do(anna.id, "add", args{n, phrase.phrase(true)})
	for method, in := range map[string]args{
		"remove": {n, phrase.der}, "replace": {n, phrase.der, next.phrase(true)}, "update": {n, phrase.der, phrase.phrase(false)}, "authn_method_remove": {n, phrase.der},
		"authn_method_security_settings_replace": {n, phrase.der, securitySettings{protection2{Unprotected: true}, purpose2{Recovery: true}}},
	} {
		c.refuses(c.try(anna.id, method, in), "protected")
	}
	c.do(phrase.id, "replace", args{n, phrase.der, next.phrase(false)})
	c.do(anna.id, "remove", args{n, next.der})
}

func TestAPhraseFindsItsAnchorWhenAllDevicesAreLost(t *testing.T) {
	c := install(t)
	anna, phrase := newPasskey(t, "anna"), newPasskey(t, "phrase")
	n := c.newAnchor(anna, "anna")
	c.do(anna.id, "add", args{n, phrase.phrase(false)})
	c.do(anna.id, "remove", args{n, anna.der})
	var found *uint64
	c.do(phrase.id, "lookup_caller_identity_by_recovery_phrase", nil, &found)
	if found == nil || *found != n {
		t.Errorf("the phrase finds %v", found)
	}
	var credentials anchorCredentials
	c.query(principal.ID{}, "get_anchor_credentials", args{n}, &credentials)
	if len(credentials.Phrases) != 1 || len(credentials.Credentials) != 0 {
		t.Errorf("credentials: %+v", credentials)
	}
	c.do(phrase.id, "add", args{n, newPasskey(t, "new").device("new")})
	other := newPasskey(t, "other")
	c.newAnchor(other, "other")
	for _, id := range []principal.ID{other.id, anna.id, principal.Anonymous()} {
		found = nil
		c.do(id, "lookup_caller_identity_by_recovery_phrase", nil, &found)
		if found != nil {
			t.Errorf("%s, which is no phrase, finds %d", id, *found)
		}
	}
}

func TestDevicesAreBounded(t *testing.T) {
	c := install(t)
	anna := newPasskey(t, "anna")
	n := c.newAnchor(anna, "anna")
	with := func(change func(d *device)) device {
		d := newPasskey(t, "another").device("another")
		change(&d)
		return d
	}
	text := func(n int) *string { s := strings.Repeat("x", n); return &s }
	data := func(n int) *[]byte { b := make([]byte, n); return &b }
	for words, d := range map[string]device{
		"alias has at most 64":       with(func(d *device) { d.Alias = *text(65) }),
		"and at most 350, not 351":   with(func(d *device) { d.CredentialID = data(351) }),
		"and at most 350, not 0":     with(func(d *device) { d.CredentialID = data(0) }),
		"origin has at most 50":      with(func(d *device) { d.Origin = text(51) }),
		"AAGUID has 16":              with(func(d *device) { d.AAGUID = data(15) }),
		"public key has at most 300": with(func(d *device) { d.PubKey = make([]byte, 301) }),
		"phrase has no credential":   with(func(d *device) { d.KeyType = keyType{SeedPhrase: true} }),
		"only a recovery phrase":     with(func(d *device) { d.Protection = protection{Protected: true} }),
		"is reserved":                with(func(d *device) { d.Metadata = &[]metadataEntry{{"usage", metadataValue{String: text(1)}}} }),
		"at most 2500 fit":           with(func(d *device) { d.Metadata = &[]metadataEntry{{"x", metadataValue{Bytes: data(2500)}}} }),
		"2500 fit":                   with(func(d *device) { d.Metadata = deep(700) }),
	} {
		c.refuses(c.try(anna.id, "add", args{n, d}), words)
	}
	for i := range maxDevices - 1 {
		c.do(anna.id, "add", args{n, newPasskey(t, fmt.Sprint(i)).device(fmt.Sprint(i))})
	}
	c.refuses(c.try(anna.id, "add", args{n, newPasskey(t, "too many").device("too many")}), "at most 10 devices")
	c.do(anna.id, "remove", args{n, newPasskey(t, "0").der})
	c.do(anna.id, "add", args{n, newPasskey(t, "phrase").phrase(false)})
	c.do(anna.id, "remove", args{n, newPasskey(t, "1").der})
	c.refuses(c.try(anna.id, "add", args{n, newPasskey(t, "second phrase").phrase(false)}), "only one is allowed")
}

// deep is metadata of as many entries without names or values.
func deep(n int) *[]metadataEntry {
	m := make([]metadataEntry, n)
	for i := range m {
		m[i].Value.Bytes = new([]byte)
	}
	return &m
}

func TestMetadataComesBackAsItWasSet(t *testing.T) {
	c := install(t)
	anna := newPasskey(t, "anna")
	n := c.newAnchor(anna, "anna")
	alias, platform, icon := "my phone", "cross_platform", []byte{1, 2, 3}
	inner := []metadataEntry2{{"icon", metadataValue2{Bytes: &icon}}}
	entries := []metadataEntry2{
		{"alias", metadataValue2{String: &alias}}, {"authenticator_attachment", metadataValue2{String: &platform}}, {"more", metadataValue2{Map: &inner}},
	}
	c.do(anna.id, "authn_method_metadata_replace", args{n, anna.der, entries})
	c.do(anna.id, "identity_metadata_replace", args{n, inner})
	name := "Anna"
	c.do(anna.id, "identity_properties_replace", args{n, properties{&name}})
	var info result[identityInfo, identityInfoError]
	c.do(anna.id, "identity_info", args{n}, &info)
	if info.Ok == nil {
		t.Fatalf("%+v", info.Err)
	}
	if got, want := encode(t, info.Ok.Methods[0].Metadata), encode(t, entries); !bytes.Equal(got, want) {
		t.Errorf("the device's metadata: %q, want %q", got, want)
	}
	if !bytes.Equal(encode(t, info.Ok.Metadata), encode(t, inner)) || info.Ok.Name == nil || *info.Ok.Name != name {
		t.Errorf("the identity: %+v", info.Ok)
	}
	var invalid done[methodMetadataError]
	c.do(anna.id, "authn_method_metadata_replace", args{n, anna.der, []metadataEntry2{{"alias", metadataValue2{Bytes: &icon}}}}, &invalid)
	if invalid.Err == nil || invalid.Err.Invalid == nil {
		t.Errorf("an alias of bytes: %+v", invalid)
	}
	// A name that means a field is metadata that is wrong, and the interface has a word for that.
	ben := newPasskey(t, "ben").method("ben")
	ben.Metadata = append(ben.Metadata, metadataEntry2{"pubkey", metadataValue2{Bytes: &icon}})
	var added done[methodAddError]
	if err := c.try(anna.id, "authn_method_add", args{n, ben}, &added); err != nil || added.Err == nil || added.Err.Invalid == nil {
		t.Errorf("a reserved name: %+v, %v", added, err)
	}
	var long done[propertiesReplaceError]
	tooLong := strings.Repeat("x", maxNameBytes+1)
	c.do(anna.id, "identity_properties_replace", args{n, properties{&tooLong}}, &long)
	if long.Err == nil || long.Err.NameTooLong == nil || long.Err.NameTooLong.Limit != maxNameBytes {
		t.Errorf("a long name: %+v", long)
	}
	var plenty done[metadataReplaceError]
	big := make([]byte, maxVariable)
	c.do(anna.id, "identity_metadata_replace", args{n, []metadataEntry2{{"x", metadataValue2{Bytes: &big}}}}, &plenty)
	if plenty.Err == nil || plenty.Err.Space == nil {
		t.Errorf("much metadata: %+v", plenty)
	}
}

func TestStrangersSeeNoNamesOfDevices(t *testing.T) {
	c := install(t)
	anna := newPasskey(t, "anna")
	n := c.newAnchor(anna, "anna")
	renamed := anna.device("anna")
	renamed.Alias = "the secret alias"
	c.do(anna.id, "update", args{n, anna.der, renamed})
	var got []device
	c.query(principal.Anonymous(), "lookup", args{n}, &got)
	if len(got) != 1 || got[0].Alias != "" || got[0].Metadata != nil || !bytes.Equal(got[0].PubKey, anna.der) {
		t.Errorf("lookup: %+v", got)
	}
	b, err := c.Query(principal.Anonymous(), "identity_authn_info", encode(t, n))
	if err != nil || bytes.Contains(b, []byte("the secret alias")) || !bytes.Contains(b, anna.der) {
		t.Errorf("identity_authn_info: %q, %v", b, err)
	}
	c.query(principal.Anonymous(), "lookup", args{n + 1}, &got)
	if len(got) != 0 {
		t.Errorf("an anchor that does not exist: %+v", got)
	}
}

func TestASecondDeviceIsAddedByItsCode(t *testing.T) {
	c := install(t)
	anna, phone := newPasskey(t, "anna"), newPasskey(t, "phone")
	n := c.newAnchor(anna, "anna")
	var r addTentativeResponse
	c.do(phone.id, "add_tentative_device", args{n, phone.device("phone")}, &r)
	if !r.ModeOff {
		t.Fatalf("without registration mode: %+v", r)
	}
	var expires uint64
	c.do(anna.id, "enter_device_registration_mode", args{n}, &expires)
	if expires != uint64(c.Now)+15*minute {
		t.Errorf("the mode ends at %d", expires)
	}
	c.do(phone.id, "add_tentative_device", args{n, phone.device("phone")}, &r)
	if r.Added == nil || len(r.Added.Code) != 6 {
		t.Fatalf("%+v", r)
	}
	code := r.Added.Code
	c.refuses(c.try(phone.id, "get_anchor_info", args{n}), "could not be authenticated")
	c.refuses(c.try(phone.id, "verify_tentative_device", args{n, code}), "could not be authenticated")
	mallory := newPasskey(t, "mallory")
	c.do(mallory.id, "add_tentative_device", args{n, mallory.device("mallory")}, &r)
	if !r.Another {
		t.Errorf("a second one at once: %+v", r)
	}
	var info anchorInfo
	c.do(anna.id, "get_anchor_info", args{n}, &info)
	if info.Registration == nil || info.Registration.Device == nil || !bytes.Equal(info.Registration.Device.PubKey, phone.der) {
		t.Errorf("the anchor says %+v", info.Registration)
	}
	var v verifyTentativeResponse
	c.do(anna.id, "verify_tentative_device", args{n, code}, &v)
	if !v.Verified {
		t.Fatalf("%+v", v)
	}
	c.do(phone.id, "get_anchor_info", args{n}, &info)
	c.do(anna.id, "verify_tentative_device", args{n, code}, &v)
	if !v.ModeOff {
		t.Errorf("a replayed code: %+v", v)
	}
}

func TestACodeCanBeGuessedFiveTimes(t *testing.T) {
	c := install(t)
	anna, phone := newPasskey(t, "anna"), newPasskey(t, "phone")
	n := c.newAnchor(anna, "anna")
	c.do(anna.id, "enter_device_registration_mode", args{n}, new(uint64))
	var v verifyTentativeResponse
	c.do(anna.id, "verify_tentative_device", args{n, "000000"}, &v)
	if !v.Nothing {
		t.Errorf("nothing to verify: %+v", v)
	}
	var r addTentativeResponse
	c.do(phone.id, "add_tentative_device", args{n, phone.device("phone")}, &r)
	for left := 4; left >= 0; left-- {
		c.do(anna.id, "verify_tentative_device", args{n, "wrong"}, &v)
		if v.Wrong == nil || v.Wrong.Left != uint8(left) {
			t.Errorf("%d tries left: %+v", left, v)
		}
	}
	c.do(anna.id, "verify_tentative_device", args{n, r.Added.Code}, &v)
	if !v.ModeOff {
		t.Errorf("the right code after five wrong ones: %+v", v)
	}
}

func TestRegistrationModeEndsAfterFifteenMinutes(t *testing.T) {
	c := install(t)
	anna, phone := newPasskey(t, "anna"), newPasskey(t, "phone")
	n := c.newAnchor(anna, "anna")
	c.do(anna.id, "enter_device_registration_mode", args{n}, new(uint64))
	var r addTentativeResponse
	c.do(phone.id, "add_tentative_device", args{n, phone.device("phone")}, &r)
	c.pass(15 * time.Minute)
	var v verifyTentativeResponse
	c.do(anna.id, "verify_tentative_device", args{n, r.Added.Code}, &v)
	if !v.ModeOff {
		t.Errorf("after fifteen minutes: %+v", v)
	}
	c.do(phone.id, "add_tentative_device", args{n, phone.device("phone")}, &r)
	if !r.ModeOff {
		t.Errorf("a device after fifteen minutes: %+v", r)
	}
}

func TestAConfirmedSessionBringsItsPasskey(t *testing.T) {
	c := install(t)
	anna, session, phone := newPasskey(t, "anna"), newPasskey(t, "session"), newPasskey(t, "phone")
	n := c.newAnchor(anna, "anna")
	id := "a1B2c"
	var entered result[expirationInfo, enterError]
	c.do(anna.id, "authn_method_registration_mode_enter", args{n, &id}, &entered)
	var number *uint64
	c.query(session.id, "lookup_by_registration_mode_id", args{id}, &number)
	if entered.Ok == nil || number == nil || *number != n {
		t.Fatalf("%+v, found %v", entered, number)
	}
	var code result[confirmationCode, methodRegisterError]
	c.do(session.id, "authn_method_session_register", args{n}, &code)
	var exit done[exitError]
	method := phone.method("phone")
	c.do(session.id, "authn_method_registration_mode_exit", args{n, &method}, &exit)
	if code.Ok == nil || exit.Err == nil || exit.Err.Unauthorized == nil {
		t.Fatalf("before it is confirmed: %+v, %+v", code, exit)
	}
	var confirmed done[confirmError]
	c.do(anna.id, "authn_method_confirm", args{n, code.Ok.Code}, &confirmed)
	var info *sessionInfo
	c.query(session.id, "authn_method_session_info", args{n}, &info)
	if !confirmed.Ok || info == nil {
		t.Fatalf("%+v, %+v", confirmed, info)
	}
	var again done[confirmError]
	c.do(anna.id, "authn_method_confirm", args{n, code.Ok.Code}, &again)
	if again.Err == nil || !again.Err.Nothing {
		t.Errorf("a replayed code: %+v", again)
	}
	c.query(phone.id, "authn_method_session_info", args{n}, &info)
	if info != nil {
		t.Error("another key is told of the session")
	}
	c.refuses(c.try(session.id, "get_anchor_info", args{n}), "could not be authenticated")
	c.do(session.id, "authn_method_registration_mode_exit", args{n, &method}, &exit)
	if !exit.Ok {
		t.Fatalf("%+v", exit.Err)
	}
	c.do(phone.id, "get_anchor_info", args{n}, new(anchorInfo))
	c.query(session.id, "lookup_by_registration_mode_id", args{id}, &number)
	if number != nil {
		t.Error("the id is still found")
	}
	var bad result[expirationInfo, enterError]
	short := "abc"
	c.do(anna.id, "authn_method_registration_mode_enter", args{n, &short}, &bad)
	if bad.Err == nil || bad.Err.InvalidID == nil {
		t.Errorf("an id of three characters: %+v", bad)
	}
	var anonymous result[confirmationCode, methodRegisterError]
	c.do(principal.Anonymous(), "authn_method_session_register", args{n}, &anonymous)
	if anonymous.Err == nil || anonymous.Err.NotSelf == nil {
		t.Errorf("nobody's session: %+v", anonymous)
	}
}

func TestAccountsAreBounded(t *testing.T) {
	s := newStore(&stable.Buffer{}, principal.Canister(7))
	s.config = defaultConfig()
	if err := s.begin(); err != nil {
		t.Fatal(err)
	}
	a, err := s.register(principal.ID{}, newPasskey(t, "anna").device("anna"), nil, 0)
	if err != nil {
		t.Fatal(err)
	}
	for i := range maxAccounts {
		h, err := s.accountsAt(a.number, fmt.Sprintf("https://dapp%d.com", i%50))
		if err != nil {
			t.Fatal(err)
		}
		if _, err := s.addAccount(a, h, strings.Repeat("x", maxAccountName), false); err != nil {
			t.Fatal(err)
		}
	}
	h, err := s.accountsAt(a.number, "https://one-more.com")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := s.addAccount(a, h, "x", false); err != errManyAccounts {
		t.Errorf("one more: %v", err)
	}
	if h, err := s.accountsAt(a.number, "https://dapp7.com"); err != nil || len(h.Accounts) != maxAccounts/50 {
		t.Errorf("%d accounts at one origin, %v", len(h.Accounts), err)
	}
}
