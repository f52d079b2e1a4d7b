package signature

import (
	"bytes"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/big"
	"slices"

	"github.com/go-webauthn/webauthn/protocol/webauthncose"

	"portico/lightclient/cbor"
)

// A coseKey verifies signatures of an authenticator.
type coseKey interface {
	Verify(data, sig []byte) (bool, error)
}

// Bounds on COSE keys. Verifying takes time that grows with the cube of the
// modulus, and nobody else limits it.
const (
	maxCOSEKeyBytes = 2048
	minRSABits      = 2048
	maxRSABits      = 8192
)

// parseCOSE decodes a COSE key (RFC 9053) of one of the three kinds that the
// interface specification allows: ES256 on P-256, RS256, EdDSA on Ed25519.
func parseCOSE(key []byte) (*PublicKey, error) {
	if len(key) > maxCOSEKeyBytes {
		return nil, fmt.Errorf("COSE key of %d bytes: at most %d are allowed", len(key), maxCOSEKeyBytes)
	}
	decoded, err := webauthncose.ParsePublicKey(key)
	if err != nil {
		return nil, fmt.Errorf("COSE key: %w", err)
	}
	switch k := decoded.(type) {
	case webauthncose.EC2PublicKeyData:
		if k.Algorithm != int64(webauthncose.AlgES256) || k.Curve != int64(webauthncose.P256) {
			return nil, fmt.Errorf("COSE elliptic curve key with algorithm %d on curve %d: want ES256 (-7) on P-256 (1)", k.Algorithm, k.Curve)
		}
		return &PublicKey{Scheme: WebAuthn, cose: &k}, nil
	case webauthncose.RSAPublicKeyData:
		if k.Algorithm != int64(webauthncose.AlgRS256) {
			return nil, fmt.Errorf("COSE RSA key with algorithm %d: want RS256 (-257)", k.Algorithm)
		}
		if bits := new(big.Int).SetBytes(k.Modulus).BitLen(); bits < minRSABits || bits > maxRSABits {
			return nil, fmt.Errorf("COSE RSA key of %d bits: want %d to %d", bits, minRSABits, maxRSABits)
		}
		if e := new(big.Int).SetBytes(k.Exponent); e.Bit(0) == 0 || e.BitLen() < 2 {
			return nil, fmt.Errorf("COSE RSA key with exponent %s: want an odd number above 1", e)
		}
		return &PublicKey{Scheme: WebAuthn, cose: &k}, nil
	case webauthncose.OKPPublicKeyData:
		if k.Algorithm != int64(webauthncose.AlgEdDSA) {
			return nil, fmt.Errorf("COSE octet key with algorithm %d: want EdDSA (-8)", k.Algorithm)
		}
		return &PublicKey{Scheme: WebAuthn, cose: &k}, nil
	default:
		return nil, errors.New("COSE key is neither an elliptic curve, an RSA nor an octet key")
	}
}

// verifyWebAuthn checks that the client data is that of an assertion with msg as its
// challenge, and that the authenticator signed its own data and the hash of the client
// data. Who signs for which origin, and whether somebody was asked, is between people and
// their authenticators: the network has no origin, and the specification has no flag.
func (k *PublicKey) verifyWebAuthn(msg, sig []byte) error {
	s, err := decodeAssertion(sig)
	if err != nil {
		return err
	}
	challenge, err := clientChallenge(s.clientDataJSON)
	if err != nil {
		return err
	}
	if subtle.ConstantTimeCompare(challenge, msg) != 1 {
		return errors.New("the challenge in the client data is not the signed message")
	}
	clientData := sha256.Sum256(s.clientDataJSON)
	ok, err := k.cose.Verify(slices.Concat(s.authenticatorData, clientData[:]), s.signature)
	if err != nil {
		return fmt.Errorf("%w: %w", errWrongSignature, err)
	}
	if !ok {
		return errWrongSignature
	}
	return nil
}

// An assertion is what an authenticator answers to a challenge.
type assertion struct {
	authenticatorData []byte
	clientDataJSON    []byte
	signature         []byte
}

func decodeAssertion(sig []byte) (assertion, error) {
	v, err := cbor.Decode(sig)
	if err != nil {
		return assertion{}, fmt.Errorf("WebAuthn signature: %w", err)
	}
	m, ok := v.(*cbor.Map)
	if !ok {
		return assertion{}, errors.New("WebAuthn signature is not a CBOR map")
	}
	var a assertion
	for _, field := range []struct {
		name string
		to   *[]byte
		text bool
	}{{"authenticator_data", &a.authenticatorData, false}, {"client_data_json", &a.clientDataJSON, true}, {"signature", &a.signature, false}} {
		switch v := m.Get(field.name).(type) {
		case cbor.Bytes:
			// Older clients send the client data as bytes, and replicas of the Internet Computer take both.
			*field.to = v
		case cbor.Text:
			if !field.text {
				return assertion{}, fmt.Errorf("WebAuthn signature: %s is a text, want a blob", field.name)
			}
			*field.to = []byte(v)
		default:
			return assertion{}, fmt.Errorf("WebAuthn signature: there is no %s, or it is neither a blob nor a text", field.name)
		}
	}
	return a, nil
}

// assertionType is what the client data of an assertion says it is. A credential that was
// just made signs client data, too, of a challenge that others have chosen.
const assertionType = "webauthn.get"

// clientChallenge reads the challenge of the client data of an assertion (WebAuthn, 5.8.1).
func clientChallenge(clientDataJSON []byte) ([]byte, error) {
	members, err := objectOf(clientDataJSON)
	if err != nil {
		return nil, fmt.Errorf("WebAuthn client data: %w", err)
	}
	texts := map[string]string{}
	for _, name := range []string{"type", "challenge", "origin"} {
		var text *string
		if err := json.Unmarshal(members[name], &text); err != nil || text == nil {
			return nil, fmt.Errorf("WebAuthn client data has no text %q", name)
		}
		texts[name] = *text
	}
	if texts["type"] != assertionType {
		return nil, fmt.Errorf("WebAuthn client data is of type %q, want %q", texts["type"], assertionType)
	}
	challenge, err := base64.RawURLEncoding.Strict().DecodeString(texts["challenge"])
	if err != nil {
		return nil, fmt.Errorf("WebAuthn challenge is not unpadded base64url: %w", err)
	}
	return challenge, nil
}

// objectOf reads a JSON object whose names are exact, each there once: of two challenges
// somebody else might believe the other.
func objectOf(text []byte) (map[string]json.RawMessage, error) {
	d := json.NewDecoder(bytes.NewReader(text))
	if open, err := d.Token(); err != nil || open != json.Delim('{') {
		return nil, errors.New("it is not a JSON object")
	}
	out := map[string]json.RawMessage{}
	for d.More() {
		key, err := d.Token()
		if err != nil {
			return nil, err
		}
		name := fmt.Sprint(key) // the decoder lets nothing but text be a name
		var value json.RawMessage
		if err := d.Decode(&value); err != nil {
			return nil, err
		}
		if _, ok := out[name]; ok {
			return nil, fmt.Errorf("%q is there twice", name)
		}
		out[name] = value
	}
	if _, err := d.Token(); err != nil {
		return nil, err
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return nil, errors.New("something follows the JSON object")
	}
	return out, nil
}
