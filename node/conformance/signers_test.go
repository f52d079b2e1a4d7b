package conformance

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"encoding/asn1"
	"encoding/base64"
	"encoding/json"
	"math/big"
	"slices"

	"github.com/decred/dcrd/dcrec/secp256k1/v4"
	secpecdsa "github.com/decred/dcrd/dcrec/secp256k1/v4/ecdsa"
	"golang.org/x/crypto/cryptobyte"
	cbasn1 "golang.org/x/crypto/cryptobyte/asn1"

	"portico/lightclient/cbor"
	"portico/lightclient/envelope"
	"portico/lightclient/signature/testsigner"
)

// signer signs as a user's device does (interface specification, "Signatures").
type signer struct {
	der  []byte
	sign func(msg []byte) ([]byte, error)
}

func (s signer) PublicKey() []byte               { return s.der }
func (s signer) Sign(msg []byte) ([]byte, error) { return s.sign(msg) }

// spki is a public key in DER.
func spki(key []byte, algorithm ...asn1.ObjectIdentifier) []byte {
	var b cryptobyte.Builder
	b.AddASN1(cbasn1.SEQUENCE, func(b *cryptobyte.Builder) {
		b.AddASN1(cbasn1.SEQUENCE, func(b *cryptobyte.Builder) {
			for _, oid := range algorithm {
				b.AddASN1ObjectIdentifier(oid)
			}
		})
		b.AddASN1BitString(key)
	})
	return b.BytesOrPanic()
}

// schemes makes new keys of a scheme by its name.
func schemes() map[string]func(*check) envelope.Signer {
	return map[string]func(*check) envelope.Signer{
		"Ed25519":          func(*check) envelope.Signer { return newUser().Signer },
		"ECDSA P-256":      (*check).newP256,
		"ECDSA secp256k1":  (*check).newSecp256k1,
		"WebAuthn ECDSA":   (*check).newWebAuthnECDSA,
		"WebAuthn RSA":     (*check).newWebAuthnRSA,
		"WebAuthn Ed25519": (*check).newWebAuthnEd25519,
	}
}

func (c *check) ecdsaKey() (key *ecdsa.PrivateKey, point []byte) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	c.must(err)
	point, err = key.PublicKey.Bytes()
	c.must(err)
	return key, point
}

func (c *check) newP256() envelope.Signer {
	key, point := c.ecdsaKey()
	oids := []asn1.ObjectIdentifier{{1, 2, 840, 10045, 2, 1}, {1, 2, 840, 10045, 3, 1, 7}}
	return signer{spki(point, oids...), func(msg []byte) ([]byte, error) {
		h := sha256.Sum256(msg)
		r, s, err := ecdsa.Sign(rand.Reader, key, h[:])
		if err != nil {
			return nil, err
		}
		return slices.Concat(r.FillBytes(make([]byte, 32)), s.FillBytes(make([]byte, 32))), nil
	}}
}

func (c *check) newSecp256k1() envelope.Signer {
	key, err := secp256k1.GeneratePrivateKey()
	c.must(err)
	oids := []asn1.ObjectIdentifier{{1, 2, 840, 10045, 2, 1}, {1, 3, 132, 0, 10}}
	return signer{spki(key.PubKey().SerializeUncompressed(), oids...), func(msg []byte) ([]byte, error) {
		h := sha256.Sum256(msg)
		sig := secpecdsa.Sign(key, h[:])
		r, s := sig.R(), sig.S()
		rb, sb := r.Bytes(), s.Bytes()
		return slices.Concat(rb[:], sb[:]), nil
	}}
}

func (c *check) newWebAuthnECDSA() envelope.Signer {
	key, point := c.ecdsaKey()
	cose := testsigner.COSEMap(testsigner.COSEInt(1, 2), testsigner.COSEInt(3, -7), testsigner.COSEInt(-1, 1), testsigner.COSEBytes(-2, point[1:33]), testsigner.COSEBytes(-3, point[33:]))
	return webAuthn(cose, func(data []byte) ([]byte, error) {
		h := sha256.Sum256(data)
		return ecdsa.SignASN1(rand.Reader, key, h[:])
	})
}

func (c *check) newWebAuthnRSA() envelope.Signer {
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	c.must(err)
	cose := testsigner.COSEMap(testsigner.COSEInt(1, 3), testsigner.COSEInt(3, -257), testsigner.COSEBytes(-1, key.N.Bytes()), testsigner.COSEBytes(-2, big.NewInt(int64(key.E)).Bytes()))
	return webAuthn(cose, func(data []byte) ([]byte, error) {
		h := sha256.Sum256(data)
		return rsa.SignPKCS1v15(rand.Reader, key, crypto.SHA256, h[:])
	})
}

func (c *check) newWebAuthnEd25519() envelope.Signer {
	public, private, err := ed25519.GenerateKey(rand.Reader)
	c.must(err)
	cose := testsigner.COSEMap(testsigner.COSEInt(1, 1), testsigner.COSEInt(3, -8), testsigner.COSEInt(-1, 6), testsigner.COSEBytes(-2, public))
	return webAuthn(cose, func(data []byte) ([]byte, error) { return ed25519.Sign(private, data), nil })
}

// webAuthn is an authenticator that signs what it is challenged with.
func webAuthn(cose []byte, sign func(data []byte) ([]byte, error)) envelope.Signer {
	return signer{spki(cose, asn1.ObjectIdentifier{1, 3, 6, 1, 4, 1, 56387, 1, 1}), func(msg []byte) ([]byte, error) {
		client, err := json.Marshal(map[string]any{
			"type": "webauthn.get", "challenge": base64.RawURLEncoding.EncodeToString(msg), "origin": "https://dapp.example",
		})
		if err != nil {
			return nil, err
		}
		data, h := []byte("authenticator data"), sha256.Sum256(client)
		sig, err := sign(slices.Concat(data, h[:]))
		b := cbor.AppendMap(cbor.AppendSelfDescribe(nil), 3)
		b = cbor.AppendBytes(cbor.AppendText(b, "authenticator_data"), data)
		b = cbor.AppendText(cbor.AppendText(b, "client_data_json"), string(client))
		return cbor.AppendBytes(cbor.AppendText(b, "signature"), sig), err
	}}
}
