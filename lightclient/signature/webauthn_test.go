package signature

import (
	"bytes"
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"slices"
	"strings"
	"testing"

	"portico/lightclient/cbor"
	"portico/lightclient/signature/testsigner"
)

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

func TestClientDataAreTakenAsTextAndAsBytes(t *testing.T) {
	for name, s := range testsigner.Passkeys(t) {
		sig := s.Signature(message)
		a, err := decodeAssertion(sig)
		must(t, err)
		must(t, New(Config{}).Verify(s.DER, message, sig))
		if err := New(Config{}).Verify(s.DER, message, altered(t, sig, "client_data_json", cbor.Bytes(a.clientDataJSON))); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestWebAuthnOriginAndFlagsDoNotMatter(t *testing.T) {
	s := testsigner.WebAuthnP256(t)
	sign := func(client string) []byte { return s.Resign(client) }
	for _, origin := range []string{"http://localhost:8000", "https://id.ai", "android:apk-key-hash:abc", ""} {
		client := fmt.Sprintf(`{"type":"webauthn.get","challenge":%q,"origin":%q,"crossOrigin":true}`, base64.RawURLEncoding.EncodeToString(message), origin)
		if err := New(Config{}).Verify(s.DER, message, sign(client)); err != nil {
			t.Errorf("origin %q: %v", origin, err)
		}
	}
}

func TestAnAssertionIsForItsChallengeAlone(t *testing.T) {
	for name, s := range testsigner.Passkeys(t) {
		sig := s.Signature([]byte("other"))
		refused(t, name+" signs another message", s.DER, sig, "the challenge in the client data is not the signed message")
		refused(t, name+" with other client data", s.DER, altered(t, sig, "client_data_json", cbor.Text(testsigner.ClientData(message))), errWrongSignature.Error())
		sig = s.Signature(message)
		refused(t, name+" with other authenticator data", s.DER, altered(t, sig, "authenticator_data", cbor.Bytes("other data")), errWrongSignature.Error())
		refused(t, name+" without signature", s.DER, altered(t, sig, "signature", cbor.Bytes{}), errWrongSignature.Error())
		for other, o := range testsigner.Passkeys(t) {
			if !bytes.Equal(o.DER, s.DER) {
				refused(t, name+" for "+other, o.DER, sig, errWrongSignature.Error())
			}
		}
	}
}

func TestClientDataOfAnotherFormAreRefusedWithTheReason(t *testing.T) {
	s := testsigner.WebAuthnP256(t)
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
		refused(t, client, s.DER, s.Resign(client), want)
	}
	must(t, New(Config{}).Verify(s.DER, message, s.Resign(`{"type":"webauthn.get","challenge":"bWVzc2FnZQ","origin":"o"}`)))
}

func TestWebAuthnSignaturesOfAnotherFormAreRefusedWithTheReason(t *testing.T) {
	s := testsigner.WebAuthnP256(t)
	sig := s.Signature(message)
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
		refused(t, what, s.DER, x.sig, x.want)
	}
}

func TestCOSEKeysOfAnotherFormAreRefusedWithTheReason(t *testing.T) {
	point := testsigner.P256(t).DER[26:] // after the algorithm
	x, y := point[1:33], point[33:]
	ed := testsigner.Ed25519(t).DER[12:]
	rsaN := append([]byte{0x80}, bytes.Repeat([]byte{0xff}, 255)...)
	for what, c := range map[string]struct {
		cose []byte
		want string
	}{
		"nothing":                        {nil, "COSE key"},
		"not CBOR":                       {[]byte("key"), "COSE key"},
		"an array":                       {[]byte{0x80}, "COSE key"},
		"no key type":                    {testsigner.COSEMap(testsigner.COSEInt(3, -7), testsigner.COSEInt(-1, 1), testsigner.COSEBytes(-2, x), testsigner.COSEBytes(-3, y)), "COSE key"},
		"symmetric":                      {testsigner.COSEMap(testsigner.COSEInt(1, 4), testsigner.COSEInt(3, 5), testsigner.COSEBytes(-1, x)), "COSE key"},
		"something behind":               {append(testsigner.COSEMap(testsigner.COSEInt(1, 2), testsigner.COSEInt(3, -7), testsigner.COSEInt(-1, 1), testsigner.COSEBytes(-2, x), testsigner.COSEBytes(-3, y)), 0), "COSE key"},
		"a parameter twice":              {testsigner.COSEMap(testsigner.COSEInt(1, 2), testsigner.COSEInt(3, -7), testsigner.COSEInt(-1, 1), testsigner.COSEBytes(-2, x), testsigner.COSEBytes(-2, x), testsigner.COSEBytes(-3, y)), "COSE key"},
		"tagged":                         {append([]byte{0xd9, 0xd9, 0xf7}, testsigner.COSEMap(testsigner.COSEInt(1, 2), testsigner.COSEInt(3, -7), testsigner.COSEInt(-1, 1), testsigner.COSEBytes(-2, x), testsigner.COSEBytes(-3, y))...), "COSE key"},
		"P-256 without algorithm":        {testsigner.COSEMap(testsigner.COSEInt(1, 2), testsigner.COSEInt(-1, 1), testsigner.COSEBytes(-2, x), testsigner.COSEBytes(-3, y)), "COSE "},
		"P-256 without y":                {testsigner.COSEMap(testsigner.COSEInt(1, 2), testsigner.COSEInt(3, -7), testsigner.COSEInt(-1, 1), testsigner.COSEBytes(-2, x)), "COSE key"},
		"P-256 with a short x":           {testsigner.COSEMap(testsigner.COSEInt(1, 2), testsigner.COSEInt(3, -7), testsigner.COSEInt(-1, 1), testsigner.COSEBytes(-2, x[1:]), testsigner.COSEBytes(-3, y)), "COSE key"},
		"ES256 on P-384":                 {testsigner.COSEMap(testsigner.COSEInt(1, 2), testsigner.COSEInt(3, -7), testsigner.COSEInt(-1, 2), testsigner.COSEBytes(-2, x), testsigner.COSEBytes(-3, y)), "COSE "},
		"ESP256":                         {testsigner.COSEMap(testsigner.COSEInt(1, 2), testsigner.COSEInt(3, -9), testsigner.COSEInt(-1, 1), testsigner.COSEBytes(-2, x), testsigner.COSEBytes(-3, y)), "want ES256 (-7) on P-256 (1)"},
		"P-256 in the place of Ed25519":  {testsigner.COSEMap(testsigner.COSEInt(1, 1), testsigner.COSEInt(3, -8), testsigner.COSEInt(-1, 6), testsigner.COSEBytes(-2, x), testsigner.COSEBytes(-3, y))[:10], "COSE key"},
		"EdDSA on X25519":                {testsigner.COSEMap(testsigner.COSEInt(1, 1), testsigner.COSEInt(3, -8), testsigner.COSEInt(-1, 4), testsigner.COSEBytes(-2, ed)), "COSE key"},
		"Ed25519 of 31 bytes":            {testsigner.COSEMap(testsigner.COSEInt(1, 1), testsigner.COSEInt(3, -8), testsigner.COSEInt(-1, 6), testsigner.COSEBytes(-2, ed[1:])), "COSE key"},
		"Ed25519 with another algorithm": {testsigner.COSEMap(testsigner.COSEInt(1, 1), testsigner.COSEInt(3, -7), testsigner.COSEInt(-1, 6), testsigner.COSEBytes(-2, ed)), "COSE "},
		"RSA with RS1":                   {testsigner.COSEMap(testsigner.COSEInt(1, 3), testsigner.COSEInt(3, -65535), testsigner.COSEBytes(-1, rsaN), testsigner.COSEBytes(-2, []byte{1, 0, 1})), "COSE "},
		"RSA with RS512":                 {testsigner.COSEMap(testsigner.COSEInt(1, 3), testsigner.COSEInt(3, -259), testsigner.COSEBytes(-1, rsaN), testsigner.COSEBytes(-2, []byte{1, 0, 1})), "want RS256 (-257)"},
		"RSA without exponent":           {testsigner.COSEMap(testsigner.COSEInt(1, 3), testsigner.COSEInt(3, -257), testsigner.COSEBytes(-1, rsaN)), "COSE key"},
		"RSA with an even exponent":      {testsigner.COSEMap(testsigner.COSEInt(1, 3), testsigner.COSEInt(3, -257), testsigner.COSEBytes(-1, rsaN), testsigner.COSEBytes(-2, []byte{4})), "exponent 4: want an odd number"},
		"RSA with exponent 1":            {testsigner.COSEMap(testsigner.COSEInt(1, 3), testsigner.COSEInt(3, -257), testsigner.COSEBytes(-1, rsaN), testsigner.COSEBytes(-2, []byte{0, 1})), "exponent 1: want an odd number"},
		"RSA with an empty exponent":     {testsigner.COSEMap(testsigner.COSEInt(1, 3), testsigner.COSEInt(3, -257), testsigner.COSEBytes(-1, rsaN), testsigner.COSEBytes(-2, nil)), "COSE key"},
		"RSA with a huge exponent":       {testsigner.COSEMap(testsigner.COSEInt(1, 3), testsigner.COSEInt(3, -257), testsigner.COSEBytes(-1, rsaN), testsigner.COSEBytes(-2, bytes.Repeat([]byte{1}, 9))), "COSE key"},
		"RSA of 1024 bits":               {testsigner.COSEMap(testsigner.COSEInt(1, 3), testsigner.COSEInt(3, -257), testsigner.COSEBytes(-1, rsaN[:128]), testsigner.COSEBytes(-2, []byte{1, 0, 1})), "want 2048 to 8192"},
		"long":                           {append(testsigner.COSEMap(testsigner.COSEInt(1, 1), testsigner.COSEInt(3, -8), testsigner.COSEInt(-1, 6), testsigner.COSEBytes(-2, ed)), make([]byte, maxCOSEKeyBytes)...), "at most 2048"},
	} {
		key, err := ParseKey(testsigner.SPKI(c.cose, oidCOSE()))
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %+v, error %v, want one with %q", what, key, err, c.want)
		}
	}
}

// What is read of a signature is there, and one signature has one challenge.
func FuzzAssertion(f *testing.F) {
	for _, s := range testsigner.Passkeys(f) {
		f.Add(s.Signature(message))
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
	for _, s := range testsigner.Passkeys(f) {
		_, _, key, err := parseSPKI(s.DER)
		must(f, err)
		f.Add(key, s.Signature(message))
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
