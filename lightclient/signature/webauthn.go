package signature

import (
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
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

// verifyWebAuthn checks that the client data names msg as the challenge and that
// the authenticator signed its own data and the hash of the client data.
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
	clientData := sha256.Sum256([]byte(s.clientDataJSON))
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
	clientDataJSON    string
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
	data, ok1 := m.Get("authenticator_data").(cbor.Bytes)
	client, ok2 := m.Get("client_data_json").(cbor.Text)
	inner, ok3 := m.Get("signature").(cbor.Bytes)
	if !ok1 || !ok2 || !ok3 {
		return assertion{}, errors.New("WebAuthn signature lacks authenticator_data (blob), client_data_json (text) or signature (blob)")
	}
	return assertion{data, string(client), inner}, nil
}

// clientChallenge reads the challenge of a collected client data (WebAuthn, 5.8.1).
func clientChallenge(clientDataJSON string) ([]byte, error) {
	// A map keeps the keys exact: a struct would also take "Challenge".
	var client map[string]json.RawMessage
	if err := json.Unmarshal([]byte(clientDataJSON), &client); err != nil {
		return nil, fmt.Errorf("WebAuthn client data: %w", err)
	}
	var text string
	if err := json.Unmarshal(client["challenge"], &text); err != nil {
		return nil, errors.New("WebAuthn client data has no challenge")
	}
	challenge, err := base64.RawURLEncoding.Strict().DecodeString(text)
	if err != nil {
		return nil, fmt.Errorf("WebAuthn challenge is not unpadded base64url: %w", err)
	}
	return challenge, nil
}
