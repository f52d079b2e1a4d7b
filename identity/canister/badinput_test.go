package main

import (
	"strings"
	"testing"

	"portico/lightclient/principal"
)

// waysIn are all ways in which a device comes to an anchor. Each returns the refusal in
// words, "" if the device was taken.
func (c *canister) waysIn(owner passkey, n uint64) map[string]func(p passkey, d device) string {
	text := func(err error) string {
		if err == nil {
			return ""
		}
		return err.Error()
	}
	method := func(d device) authnMethodData { u := d.used(nil); return u.data() }
	return map[string]func(p passkey, d device) string{
		"register": func(p passkey, d device) string {
			var ch challenge
			c.do(p.id, "create_challenge", nil, &ch)
			return text(c.try(p.id, "register", args{d, challengeResult{ch.Key, "a"}, &p.id}))
		},
		"identity_registration_finish": func(p passkey, d device) string {
			r := c.enroll(newPasskey(c.t, "way in "+d.Alias+string(d.PubKey)), method(d))
			if r.Err != nil && r.Err.Invalid != nil {
				return *r.Err.Invalid
			}
			return ""
		},
		"add":     func(_ passkey, d device) string { return text(c.try(owner.id, "add", args{n, d})) },
		"replace": func(_ passkey, d device) string { return text(c.try(owner.id, "replace", args{n, owner.der, d})) },
		"authn_method_add": func(_ passkey, d device) string {
			var r done[methodAddError]
			if err := c.try(owner.id, "authn_method_add", args{n, method(d)}, &r); err != nil || r.Ok {
				return text(err)
			}
			return *r.Err.Invalid
		},
		"authn_method_replace": func(_ passkey, d device) string {
			var r done[methodReplaceError]
			err := c.try(owner.id, "authn_method_replace", args{n, owner.der, method(d)}, &r)
			if err == nil && r.Err != nil && r.Err.Used {
				return errTaken.Error()
			}
			return text(err)
		},
		"add_tentative_device": func(p passkey, d device) string {
			var r addTentativeResponse
			err := c.try(p.id, "add_tentative_device", args{n, d}, &r)
			if err == nil && r.Used {
				return errTaken.Error()
			}
			return text(err)
		},
		"authn_method_register": func(p passkey, d device) string {
			var r result[confirmationCode, methodRegisterError]
			err := c.try(p.id, "authn_method_register", args{n, method(d)}, &r)
			switch {
			case err != nil || r.Ok != nil:
				return text(err)
			case r.Err.Used:
				return errTaken.Error()
			}
			return *r.Err.Invalid
		},
	}
}

func TestACredentialOfAnotherUserIsRefusedEverywhere(t *testing.T) {
	c := install(t)
	anna, mallory, fresh := newPasskey(t, "anna"), newPasskey(t, "mallory"), newPasskey(t, "fresh")
	c.newAnchor(anna, "anna")
	n := c.newAnchor(mallory, "mallory")
	c.do(mallory.id, "enter_device_registration_mode", args{n})
	for way, try := range c.waysIn(mallory, n) {
		for named, d := range map[string]device{"another's credential id": fresh.device("anna"), "another's key": anna.device("fresh")} {
			if words := try(fresh, d); !strings.Contains(words, "already used") {
				t.Errorf("%s with %s: %q", way, named, words)
			}
		}
	}
	var info anchorInfo
	c.do(mallory.id, "get_anchor_info", args{n}, &info)
	if len(info.Devices) != 1 {
		t.Errorf("the anchor has %d devices", len(info.Devices))
	}
	changed := mallory.device("anna")
	c.refuses(c.try(mallory.id, "update", args{n, mallory.der, changed}), "already used")
}

func TestUnknownAlgorithmsAndMalformedKeysAreRefusedEverywhere(t *testing.T) {
	c := install(t)
	anna, fresh := newPasskey(t, "anna"), newPasskey(t, "fresh")
	n := c.newAnchor(anna, "anna")
	c.do(anna.id, "enter_device_registration_mode", args{n})
	rsa := spki("\x06\x09\x2a\x86\x48\x86\xf7\x0d\x01\x01\x01\x05\x00", make([]byte, 200))
	ed448 := spki("\x06\x03\x2b\x65\x71", make([]byte, 57))
	malformed := "no DER-encoded SubjectPublicKeyInfo"
	for way, try := range c.waysIn(anna, n) {
		for named, x := range map[string]struct {
			key   []byte
			words string
		}{
			"RSA":                 {rsa, "algorithm is not one"},
			"Ed448":               {ed448, "algorithm is not one"},
			"no DER":              {[]byte("key"), malformed},
			"nothing":             {nil, malformed},
			"COSE that is cut":    {spki(algorithmCOSE, []byte{0xa5, 1, 2, 3}), "the COSE key"},
			"COSE that is text":   {spki(algorithmCOSE, []byte("\x64text")), "the COSE key"},
			"COSE of endless map": {spki(algorithmCOSE, []byte{0xbb, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff}), "the COSE key"},
			"COSE of ES512":       {spki(algorithmCOSE, []byte{0xa2, 1, 2, 3, 0x38, 35}), "want ES256"},
			"deep COSE":           {spki(algorithmCOSE, append([]byte{0xa1, 1}, []byte(strings.Repeat("\x81", 200))...)), "the COSE key"},
		} {
			d := fresh.device("fresh")
			d.PubKey = x.key
			if words := try(fresh, d); !strings.Contains(words, x.words) {
				t.Errorf("%s of %s: %q, want %q", way, named, words, x.words)
			}
		}
	}
}

func TestSessionKeysOfWrongFormAreRefusedForAccountsToo(t *testing.T) {
	c := install(t)
	anna, session := newPasskey(t, "anna"), newPasskey(t, "session")
	n := c.newAnchor(anna, "anna")
	for named, key := range map[string][]byte{"nothing": {}, "raw bytes": session.der[12:], "one byte more": append(session.der[:44:44], 0), "a huge key": make([]byte, 100_000)} {
		var p result[preparedDelegation, delegationError]
		c.do(anna.id, "prepare_account_delegation", args{n, "https://dapp.com", (*uint64)(nil), key, (*uint64)(nil), (*permissions)(nil)}, &p)
		if p.Err == nil || p.Err.Internal == nil || !strings.Contains(*p.Err.Internal, "key") {
			t.Errorf("%s: %+v", named, p)
		}
	}
}

// Metadata is nested as deep as somebody cares to send.
func TestDeepMetadataIsRefusedAndTheCanisterGoesOn(t *testing.T) {
	c := install(t)
	anna := newPasskey(t, "anna")
	n := c.newAnchor(anna, "anna")
	for _, levels := range []int{800, 40_000} {
		v := metadataValue2{String: new(string)}
		for range levels {
			v = metadataValue2{Map: &[]metadataEntry2{{"", v}}}
		}
		var r done[metadataReplaceError]
		if err := c.try(anna.id, "identity_metadata_replace", args{n, []metadataEntry2{{"deep", v}}}, &r); err == nil && (r.Err == nil || r.Err.Space == nil) {
			t.Errorf("metadata %d levels deep is taken: %+v", levels, r)
		}
	}
	for i := range 3 {
		if err := c.try(anna.id, "add", nil); err == nil {
			t.Error("no arguments at all are taken")
		}
		b := append([]byte("DIDL"), make([]byte, 1<<(6*i))...)
		if _, err := c.Update(anna.id, "add", b, c.remote); err == nil {
			t.Errorf("%d zeros are taken", len(b))
		}
	}
	c.query(anna.id, "get_principal", args{n, "https://dapp.com"}, new(principal.ID))
}
