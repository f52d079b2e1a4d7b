package main

import (
	"bytes"
	"fmt"
	"strings"
	"testing"

	"portico/lightclient/bls"
	"portico/lightclient/candid/marshal"
	"portico/lightclient/certificate"
	"portico/lightclient/envelope"
	"portico/lightclient/principal"
	sigs "portico/lightclient/signature"
	"portico/node/crypto/usersig"
)

var aNonce = bytes.Repeat([]byte{7}, nonceBytes)

func (c *canister) prepareAttributes(as principal.ID, r prepareIcrc3Request) result[preparedIcrc3, prepareIcrc3Error] {
	c.t.Helper()
	var p result[preparedIcrc3, prepareIcrc3Error]
	c.do(as, "prepare_icrc3_attributes", args{r}, &p)
	return p
}

// A dapp that signed in sends a call with sender_info, and the replica's own check takes it.
func TestReplicasTakeTheMessageOfAttributesAsSenderInfo(t *testing.T) {
	c := install(t)
	anna, session := newPasskey(t, "anna"), newPasskey(t, "session")
	n := c.newAnchor(anna, "anna")
	const origin, unmapped = "https://ryjl3-tyaaa-aaaaa-aaaba-cai.ic0.app", "https://ryjl3-tyaaa-aaaaa-aaaba-cai.icp0.io"
	userKey, d := c.logIn(anna.id, n, origin, session.der, nil)
	actual := unmapped
	p := c.prepareAttributes(anna.id, prepareIcrc3Request{Number: n, Origin: origin, Unmapped: &actual, Nonce: aNonce})
	if p.Ok == nil {
		t.Fatalf("%+v", p.Err)
	}
	var v icrc3Value
	if err := marshal.Decode(p.Ok.Message, &v); err != nil || v.Map == nil {
		t.Fatalf("the message is %+v, %v", v, err)
	}
	var got []string
	for _, e := range *v.Map {
		switch {
		case e.Value.Text != nil:
			got = append(got, e.Key+"="+*e.Value.Text)
		case e.Value.Nat != nil:
			got = append(got, fmt.Sprint(e.Key, "=", *e.Value.Nat))
		case e.Value.Blob != nil:
			got = append(got, fmt.Sprintf("%s=%x", e.Key, *e.Value.Blob))
		}
	}
	want := fmt.Sprintf("implicit:issued_at_timestamp_ns=%d implicit:nonce=%x implicit:origin=%s", uint64(c.Now), aNonce, unmapped)
	if strings.Join(got, " ") != want {
		t.Errorf("the message says %s, want %s", got, want)
	}
	var g result[icrc3Signature, getIcrc3Error]
	c.query(anna.id, "get_icrc3_attributes", args{getIcrc3Request{Number: n, Origin: origin, Message: p.Ok.Message}}, &g)
	if g.Ok == nil {
		t.Fatalf("%+v", g.Err)
	}
	check := func(info, sig []byte) error {
		r := envelope.Request{
			Kind: envelope.Call, IngressExpiry: uint64(c.Now) + minute, Canister: principal.Canister(3), Method: "greet",
			SenderInfo: &envelope.SenderInfo{Info: info, Signer: c.Self, Sig: sig},
		}
		identity := envelope.Delegated{Signer: session.key, PublicKey: userKey, Chain: []envelope.SignedDelegation{{
			Delegation: envelope.Delegation{PublicKey: d.Delegation.PubKey, Expiration: d.Delegation.Expiration}, Signature: d.Signature,
		}}}
		e, err := identity.Sign(r)
		if err != nil {
			t.Fatal(err)
		}
		_, err = usersig.New(sigs.Config{Certificates: &certificate.Verifier{RootKey: c.net.RootKey(), BLS: bls.NewVerifier().Verify}}).Check(e, c.Now)
		return err
	}
	if err := check(p.Ok.Message, g.Ok.Signature); err != nil {
		t.Error(err)
	}
	if check(append(bytes.Clone(p.Ok.Message), 0), g.Ok.Signature) == nil {
		t.Error("another message is taken")
	}
	if check(p.Ok.Message, d.Signature) == nil {
		t.Error("the delegation's signature is taken for the message's")
	}
}

func TestAttributesThatNobodyVouchesForAreRefusedInWords(t *testing.T) {
	c := install(t)
	anna := newPasskey(t, "anna")
	n := c.newAnchor(anna, "anna")
	const origin = "https://dapp.com"
	value, other := []byte("anna@example.com"), "https://evil.com"
	good := []string{"email", "openid:https://accounts.google.com:email", "sso:dfinity.org:name"}
	for _, key := range good {
		p := c.prepareAttributes(anna.id, prepareIcrc3Request{Number: n, Origin: origin, Nonce: aNonce, Attributes: []attributeSpec{{Key: key, Value: &value}}})
		if p.Err == nil || p.Err.Mismatch == nil || !strings.Contains(p.Err.Mismatch.Problems[0], "no attribute "+key) {
			t.Errorf("%s: %+v", key, p)
		}
	}
	for words, r := range map[string]prepareIcrc3Request{
		"32 bytes, not 31":                {Nonce: aNonce[1:]},
		"32 bytes, not 0":                 {},
		"not rewritten":                   {Nonce: aNonce, Unmapped: &other},
		`"phone" is no attribute`:         {Nonce: aNonce, Attributes: []attributeSpec{{Key: "phone"}}},
		`scope of "x:y:email"`:            {Nonce: aNonce, Attributes: []attributeSpec{{Key: "x:y:email"}}},
		`scope of "openid::email"`:        {Nonce: aNonce, Attributes: []attributeSpec{{Key: "openid::email"}}},
		"at most 512 bytes, not 100000":   {Nonce: aNonce, Attributes: []attributeSpec{{Key: strings.Repeat("x", 100_000)}}},
		"at most 100 attributes":          {Nonce: aNonce, Attributes: make([]attributeSpec, 101)},
		"exceeds the limit of 255 bytes ": {Nonce: aNonce, Origin: strings.Repeat("x", 256)},
	} {
		r.Number = n
		if r.Origin == "" {
			r.Origin = origin
		}
		p := c.prepareAttributes(anna.id, r)
		if p.Err == nil || p.Err.Validation == nil || !strings.Contains(strings.Join(p.Err.Validation.Problems, ";"), strings.TrimSpace(words)) {
			t.Errorf("%s: %+v %+v", words, p.Ok, p.Err)
		}
	}
	var list result[[]attribute, listError]
	c.query(anna.id, "list_available_attributes", args{listRequest{Number: n, Keys: &good}}, &list)
	if list.Ok == nil || len(*list.Ok) != 0 {
		t.Errorf("available: %+v", list)
	}
	var first result[preparedAttributes, attributeError]
	c.do(anna.id, "prepare_attributes", args{prepareRequest{Number: n, Origin: origin, Keys: good}}, &first)
	if first.Ok == nil || first.Ok.Issued != uint64(c.Now) || len(first.Ok.Attributes) != 0 {
		t.Errorf("prepared: %+v", first)
	}
	var got result[certifiedAttributes, attributeError]
	c.query(anna.id, "get_attributes", args{getRequest{Number: n, Origin: origin, Issued: 5, Attributes: []attribute{{"email", value}}}}, &got)
	if got.Ok == nil || got.Ok.Expires != 5+30*minute || len(got.Ok.Attributes) != 0 {
		t.Errorf("certified: %+v", got)
	}
}

func TestAttributesOfAnothersIdentityAreRefused(t *testing.T) {
	c := install(t)
	anna, mallory := newPasskey(t, "anna"), newPasskey(t, "mallory")
	n := c.newAnchor(anna, "anna")
	c.newAnchor(mallory, "mallory")
	const origin = "https://dapp.com"
	message := c.prepareAttributes(anna.id, prepareIcrc3Request{Number: n, Origin: origin, Nonce: aNonce}).Ok.Message
	for _, number := range []uint64{n, 9_999, 20_000} {
		var errs []*principal.ID
		if p := c.prepareAttributes(mallory.id, prepareIcrc3Request{Number: number, Origin: origin, Nonce: aNonce}); p.Err != nil {
			errs = append(errs, p.Err.Unauthorized)
		}
		var g result[icrc3Signature, getIcrc3Error]
		c.query(mallory.id, "get_icrc3_attributes", args{getIcrc3Request{Number: number, Origin: origin, Message: message}}, &g)
		if g.Err != nil {
			errs = append(errs, g.Err.Unauthorized)
		}
		var list result[[]attribute, listError]
		c.query(mallory.id, "list_available_attributes", args{listRequest{Number: number}}, &list)
		if list.Err != nil {
			errs = append(errs, list.Err.Unauthorized)
		}
		var first result[preparedAttributes, attributeError]
		c.do(mallory.id, "prepare_attributes", args{prepareRequest{Number: number, Origin: origin}}, &first)
		if first.Err != nil {
			errs = append(errs, first.Err.Unauthorized)
		}
		var got result[certifiedAttributes, attributeError]
		c.query(mallory.id, "get_attributes", args{getRequest{Number: number, Origin: origin}}, &got)
		if got.Err != nil {
			errs = append(errs, got.Err.Unauthorized)
		}
		if len(errs) != 5 {
			t.Fatalf("anchor %d: %d refusals of 5", number, len(errs))
		}
		for i, who := range errs {
			if who == nil || *who != mallory.id {
				t.Errorf("anchor %d, request %d: refused as %v", number, i, who)
			}
		}
	}
	nobodys := uint64(77)
	p := c.prepareAttributes(anna.id, prepareIcrc3Request{Number: n, Origin: origin, Account: &nobodys, Nonce: aNonce})
	if p.Err == nil || p.Err.Account == nil || p.Err.Account.Account == nil || p.Err.Account.Account.Origin != origin {
		t.Errorf("an account that is not there: %+v", p)
	}
	var g result[icrc3Signature, getIcrc3Error]
	c.query(anna.id, "get_icrc3_attributes", args{getIcrc3Request{Number: n, Origin: "https://other.com", Message: message}}, &g)
	if g.Err == nil || !g.Err.None {
		t.Errorf("for another origin: %+v", g)
	}
}
