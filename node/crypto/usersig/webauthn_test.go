package usersig

import (
	"bytes"
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"slices"
	"strings"
	"testing"

	"portico/lightclient/cbor"
	"portico/lightclient/envelope"
)

// passkeys makes a passkey of each scheme.
func passkeys(t testing.TB) map[string]testSigner {
	return map[string]testSigner{"P-256": newWebAuthnP256(t), "RSA": newWebAuthnRSA(t), "Ed25519": newWebAuthnEd25519(t)}
}

// field is one of a WebAuthn signature's.
type field struct {
	name  string
	value cbor.Value
}

func signatureOf(fields ...field) []byte {
	m := &cbor.Map{}
	for _, f := range fields {
		m.Set(f.name, f.value)
	}
	return cbor.AppendValue(cbor.AppendSelfDescribe(nil), m)
}

// altered changes a field of a signature that an authenticator made.
func altered(t testing.TB, sig []byte, name string, value cbor.Value) []byte {
	a, err := decodeAssertion(sig)
	must(t, err)
	fields := []field{
		{"authenticator_data", cbor.Bytes(a.authenticatorData)}, {"client_data_json", cbor.Text(a.clientDataJSON)}, {"signature", cbor.Bytes(a.signature)},
	}
	for i := range fields {
		if fields[i].name == name {
			fields[i].value = value
		}
	}
	return signatureOf(slices.DeleteFunc(fields, func(f field) bool { return f.value == nil })...)
}

var message = []byte("message")

func refused(t *testing.T, what string, key, sig []byte, want string) {
	t.Helper()
	if err := New(Config{}).Verify(key, message, sig); err == nil || !strings.Contains(err.Error(), want) {
		t.Errorf("%s: error %v, want one with %q", what, err, want)
	}
}

func TestPasskeysSignRequestsAndDelegations(t *testing.T) {
	for name, s := range passkeys(t) {
		for _, kind := range kinds {
			e, err := envelope.Keyed{Signer: s}.Sign(request(kind))
			must(t, err)
			if auth, err := New(Config{}).Check(received(t, e), now); err != nil || auth.Sender != s.principal() {
				t.Errorf("%s signs a %s: %v", name, kind, err)
			}
			e, err = chainOf(t, []testSigner{s, newEd25519(t)}, nil).Sign(request(kind))
			must(t, err)
			if auth, err := New(Config{}).Check(received(t, e), now); err != nil || auth.Sender != s.principal() {
				t.Errorf("%s delegates a %s: %v", name, kind, err)
			}
		}
	}
}

func TestClientDataAreTakenAsTextAndAsBytes(t *testing.T) {
	for name, s := range passkeys(t) {
		sig := s.sign(message)
		a, err := decodeAssertion(sig)
		must(t, err)
		must(t, New(Config{}).Verify(s.der, message, sig))
		if err := New(Config{}).Verify(s.der, message, altered(t, sig, "client_data_json", cbor.Bytes(a.clientDataJSON))); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestWebAuthnOriginAndFlagsDoNotMatter(t *testing.T) {
	s := newWebAuthnP256(t)
	sign := func(client string) []byte { return s.resign(client) }
	for _, origin := range []string{"http://localhost:8000", "https://id.ai", "android:apk-key-hash:abc", ""} {
		client := fmt.Sprintf(`{"type":"webauthn.get","challenge":%q,"origin":%q,"crossOrigin":true}`, base64.RawURLEncoding.EncodeToString(message), origin)
		if err := New(Config{}).Verify(s.der, message, sign(client)); err != nil {
			t.Errorf("origin %q: %v", origin, err)
		}
	}
}

func TestAnAssertionIsForItsChallengeAlone(t *testing.T) {
	for name, s := range passkeys(t) {
		sig := s.sign([]byte("other"))
		refused(t, name+" signs another message", s.der, sig, "the challenge in the client data is not the signed message")
		refused(t, name+" with other client data", s.der, altered(t, sig, "client_data_json", cbor.Text(clientData(message))), errWrongSignature.Error())
		sig = s.sign(message)
		refused(t, name+" with other authenticator data", s.der, altered(t, sig, "authenticator_data", cbor.Bytes("other data")), errWrongSignature.Error())
		refused(t, name+" without signature", s.der, altered(t, sig, "signature", cbor.Bytes{}), errWrongSignature.Error())
		for other, o := range passkeys(t) {
			if !bytes.Equal(o.der, s.der) {
				refused(t, name+" for "+other, o.der, sig, errWrongSignature.Error())
			}
		}
	}
}

func TestAnAssertionHasTheDomainSeparator(t *testing.T) {
	s := newWebAuthnP256(t)
	e, err := envelope.Keyed{Signer: s}.Sign(request(envelope.Call))
	must(t, err)
	id := e.RequestID
	e.SenderSig = s.sign(id[:])
	if _, err := New(Config{}).Check(received(t, e), now); err == nil || !strings.Contains(err.Error(), "challenge") {
		t.Errorf("a passkey signed the bare request id: error %v", err)
	}
}

func TestClientDataOfAnotherFormAreRefusedWithTheReason(t *testing.T) {
	s := newWebAuthnP256(t)
	for client, want := range map[string]string{
		"":       "not a JSON object",
		"client": "not a JSON object",
		`"text"`: "not a JSON object",
		`[{"type":"webauthn.get","challenge":"bWVzc2FnZQ","origin":"o"}]`: "not a JSON object",
		`{"type":"webauthn.get"`: "client data: EOF",
		`{"type":"webauthn.get","challenge":"bWVzc2FnZQ","origin":"o"} {`:                          "something follows",
		`{"type":"webauthn.get","origin":"o"}`:                                                     `no text "challenge"`,
		`{"type":"webauthn.get","Challenge":"bWVzc2FnZQ","origin":"o"}`:                            `no text "challenge"`,
		`{"type":"webauthn.get","challenge":7,"origin":"o"}`:                                       `no text "challenge"`,
		`{"type":"webauthn.get","challenge":null,"origin":"o"}`:                                    `no text "challenge"`,
		`{"type":"webauthn.get","challenge":"bWVzc2FnZQ"}`:                                         `no text "origin"`,
		`{"challenge":"bWVzc2FnZQ","origin":"o"}`:                                                  `no text "type"`,
		`{"type":"webauthn.create","challenge":"bWVzc2FnZQ","origin":"o"}`:                         `of type "webauthn.create"`,
		`{"type":"payment.get","challenge":"bWVzc2FnZQ","origin":"o"}`:                             `of type "payment.get"`,
		`{"type":"webauthn.get","challenge":"b3RoZXI","origin":"o","challenge":"bWVzc2FnZQ"}`:      `"challenge" is there twice`,
		`{"type":"webauthn.get","challenge":"b3RoZXI","origin":"o","\u0063hallenge":"bWVzc2FnZQ"}`: `"challenge" is there twice`,
		`{"type":"webauthn.get","challenge":"bWVzc2FnZQ==","origin":"o"}`:                          "unpadded base64url",
		`{"type":"webauthn.get","challenge":"+/+/","origin":"o"}`:                                  "unpadded base64url",
		`{"type":"webauthn.get","challenge":"bWVzc2FnZR","origin":"o"}`:                            "unpadded base64url", // bits that do not count
		`{"type":"webauthn.get","challenge":"","origin":"o"}`:                                      "not the signed message",
	} {
		// the authenticator has signed all of them
		refused(t, client, s.der, s.resign(client), want)
	}
	must(t, New(Config{}).Verify(s.der, message, s.resign(`{"type":"webauthn.get","challenge":"bWVzc2FnZQ","origin":"o"}`)))
}

func TestWebAuthnSignaturesOfAnotherFormAreRefusedWithTheReason(t *testing.T) {
	s := newWebAuthnP256(t)
	sig := s.sign(message)
	for what, x := range map[string]struct {
		sig  []byte
		want string
	}{
		"empty":                      {nil, "WebAuthn signature: "},
		"not CBOR":                   {[]byte{0xff}, "WebAuthn signature: "},
		"a number":                   {[]byte{0x01}, "not a CBOR map"},
		"an array":                   {[]byte{0x80}, "not a CBOR map"},
		"cut off":                    {sig[:len(sig)-1], "WebAuthn signature: "},
		"with something behind":      {append(bytes.Clone(sig), 0), "WebAuthn signature: "},
		"another tag":                {append([]byte{0xc1}, sig...), "tag 1 has no meaning"},
		"a field twice":              {signatureOf(field{"signature", cbor.Bytes{}}, field{"signature", cbor.Bytes{}}), "appears twice"},
		"no authenticator data":      {altered(t, sig, "authenticator_data", nil), "no authenticator_data"},
		"no client data":             {altered(t, sig, "client_data_json", nil), "no client_data_json"},
		"no signature":               {altered(t, sig, "signature", nil), "no signature"},
		"a number as client data":    {altered(t, sig, "client_data_json", cbor.NatOf(7)), "no client_data_json"},
		"authenticator data as text": {altered(t, sig, "authenticator_data", cbor.Text("data")), "authenticator_data is a text"},
		"a signature as text":        {altered(t, sig, "signature", cbor.Text("sig")), "signature is a text"},
		"ECDSA that is not DER":      {altered(t, sig, "signature", cbor.Bytes("signature")), errWrongSignature.Error()},
		"ECDSA as r and s":           {altered(t, sig, "signature", cbor.Bytes(make([]byte, rawSigBytes))), errWrongSignature.Error()},
		"a plain signature":          {make([]byte, rawSigBytes), "WebAuthn signature: "},
	} {
		refused(t, what, s.der, x.sig, x.want)
	}
}

func TestCOSEKeysOfAnotherFormAreRefusedWithTheReason(t *testing.T) {
	_, point := generateP256(t)
	x, y := point[1:33], point[33:]
	ed := newEd25519(t).der[12:]
	rsaN := append([]byte{0x80}, bytes.Repeat([]byte{0xff}, 255)...)
	for what, c := range map[string]struct {
		cose []byte
		want string
	}{
		"nothing":                        {nil, "COSE key"},
		"not CBOR":                       {[]byte("key"), "COSE key"},
		"an array":                       {[]byte{0x80}, "COSE key"},
		"no key type":                    {coseMap(coseInt(3, -7), coseInt(-1, 1), coseBytes(-2, x), coseBytes(-3, y)), "COSE key"},
		"symmetric":                      {coseMap(coseInt(1, 4), coseInt(3, 5), coseBytes(-1, x)), "COSE key"},
		"something behind":               {append(coseMap(coseInt(1, 2), coseInt(3, -7), coseInt(-1, 1), coseBytes(-2, x), coseBytes(-3, y)), 0), "COSE key"},
		"a parameter twice":              {coseMap(coseInt(1, 2), coseInt(3, -7), coseInt(-1, 1), coseBytes(-2, x), coseBytes(-2, x), coseBytes(-3, y)), "COSE key"},
		"tagged":                         {append([]byte{0xd9, 0xd9, 0xf7}, coseMap(coseInt(1, 2), coseInt(3, -7), coseInt(-1, 1), coseBytes(-2, x), coseBytes(-3, y))...), "COSE key"},
		"P-256 without algorithm":        {coseMap(coseInt(1, 2), coseInt(-1, 1), coseBytes(-2, x), coseBytes(-3, y)), "COSE "},
		"P-256 without y":                {coseMap(coseInt(1, 2), coseInt(3, -7), coseInt(-1, 1), coseBytes(-2, x)), "COSE key"},
		"P-256 with a short x":           {coseMap(coseInt(1, 2), coseInt(3, -7), coseInt(-1, 1), coseBytes(-2, x[1:]), coseBytes(-3, y)), "COSE key"},
		"ES256 on P-384":                 {coseMap(coseInt(1, 2), coseInt(3, -7), coseInt(-1, 2), coseBytes(-2, x), coseBytes(-3, y)), "COSE "},
		"ESP256":                         {coseMap(coseInt(1, 2), coseInt(3, -9), coseInt(-1, 1), coseBytes(-2, x), coseBytes(-3, y)), "want ES256 (-7) on P-256 (1)"},
		"P-256 in the place of Ed25519":  {coseMap(coseInt(1, 1), coseInt(3, -8), coseInt(-1, 6), coseBytes(-2, x), coseBytes(-3, y))[:10], "COSE key"},
		"EdDSA on X25519":                {coseMap(coseInt(1, 1), coseInt(3, -8), coseInt(-1, 4), coseBytes(-2, ed)), "COSE key"},
		"Ed25519 of 31 bytes":            {coseMap(coseInt(1, 1), coseInt(3, -8), coseInt(-1, 6), coseBytes(-2, ed[1:])), "COSE key"},
		"Ed25519 with another algorithm": {coseMap(coseInt(1, 1), coseInt(3, -7), coseInt(-1, 6), coseBytes(-2, ed)), "COSE "},
		"RSA with RS1":                   {coseMap(coseInt(1, 3), coseInt(3, -65535), coseBytes(-1, rsaN), coseBytes(-2, []byte{1, 0, 1})), "COSE "},
		"RSA with RS512":                 {coseMap(coseInt(1, 3), coseInt(3, -259), coseBytes(-1, rsaN), coseBytes(-2, []byte{1, 0, 1})), "want RS256 (-257)"},
		"RSA without exponent":           {coseMap(coseInt(1, 3), coseInt(3, -257), coseBytes(-1, rsaN)), "COSE key"},
		"RSA with an even exponent":      {coseMap(coseInt(1, 3), coseInt(3, -257), coseBytes(-1, rsaN), coseBytes(-2, []byte{4})), "exponent 4: want an odd number"},
		"RSA with exponent 1":            {coseMap(coseInt(1, 3), coseInt(3, -257), coseBytes(-1, rsaN), coseBytes(-2, []byte{0, 1})), "exponent 1: want an odd number"},
		"RSA with an empty exponent":     {coseMap(coseInt(1, 3), coseInt(3, -257), coseBytes(-1, rsaN), coseBytes(-2, nil)), "COSE key"},
		"RSA with a huge exponent":       {coseMap(coseInt(1, 3), coseInt(3, -257), coseBytes(-1, rsaN), coseBytes(-2, bytes.Repeat([]byte{1}, 9))), "COSE key"},
		"RSA of 1024 bits":               {coseMap(coseInt(1, 3), coseInt(3, -257), coseBytes(-1, rsaN[:128]), coseBytes(-2, []byte{1, 0, 1})), "want 2048 to 8192"},
		"long":                           {append(coseMap(coseInt(1, 1), coseInt(3, -8), coseInt(-1, 6), coseBytes(-2, ed)), make([]byte, maxCOSEKeyBytes)...), "at most 2048"},
	} {
		key, err := ParseKey(spki(c.cose, oidCOSE()))
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %+v, error %v, want one with %q", what, key, err, c.want)
		}
	}
}

// What is read of a signature is there, and one signature has one challenge.
func FuzzAssertion(f *testing.F) {
	for _, s := range passkeys(f) {
		f.Add(s.sign(message))
	}
	f.Add(signatureOf(field{"signature", cbor.Bytes{}}))
	f.Fuzz(func(t *testing.T, sig []byte) {
		a, err := decodeAssertion(sig)
		if err != nil {
			return
		}
		again, err := decodeAssertion(signatureOf(
			field{"authenticator_data", cbor.Bytes(a.authenticatorData)}, field{"client_data_json", cbor.Bytes(a.clientDataJSON)}, field{"signature", cbor.Bytes(a.signature)}))
		if err != nil || sha256.Sum256(again.clientDataJSON) != sha256.Sum256(a.clientDataJSON) || !bytes.Equal(again.authenticatorData, a.authenticatorData) || !bytes.Equal(again.signature, a.signature) {
			t.Fatalf("%+v is read again as %+v, %v", a, again, err)
		}
		challenge, err := clientChallenge(a.clientDataJSON)
		if text := base64.RawURLEncoding.EncodeToString(challenge); err == nil && !bytes.Contains(a.clientDataJSON, []byte(text)) && !bytes.Contains(a.clientDataJSON, []byte(`\`)) {
			t.Fatalf("%q has no challenge %q", a.clientDataJSON, text)
		}
	})
}

// A key that is accepted is of one of the three kinds, and verifying with it never fails
// other than by refusing.
func FuzzCOSEKey(f *testing.F) {
	for _, s := range passkeys(f) {
		_, _, key, err := parseSPKI(s.der)
		must(f, err)
		f.Add(key, s.sign(message))
	}
	f.Fuzz(func(t *testing.T, cose, sig []byte) {
		key, err := parseCOSE(cose)
		if err != nil {
			return
		}
		if key.verifyWebAuthn([]byte("asked"), sig) == nil {
			t.Fatalf("%x verifies %x", cose, sig)
		}
		a, err := decodeAssertion(sig)
		if err != nil {
			return
		}
		_, _ = key.cose.Verify(a.authenticatorData, a.signature)
	})
}
