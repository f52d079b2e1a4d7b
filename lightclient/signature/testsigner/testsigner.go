// Package testsigner signs as users' devices do, with fresh keys of every scheme
// that requests may be signed with, so that tests can see who is believed.
package testsigner

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
	"sync"
	"testing"
	"time"

	"github.com/decred/dcrd/dcrec/secp256k1/v4"
	secpecdsa "github.com/decred/dcrd/dcrec/secp256k1/v4/ecdsa"
	"golang.org/x/crypto/cryptobyte"
	cbasn1 "golang.org/x/crypto/cryptobyte/asn1"

	"portico/lightclient/cbor"
	"portico/lightclient/fakenet"
	"portico/lightclient/principal"
)

// A Signer signs as a user's device would. It is an envelope.Signer.
type Signer struct {
	DER       []byte // the public key
	Signature func(msg []byte) []byte
	// Resign makes a passkey sign client data that no browser would give it; nil for others.
	Resign func(client string) []byte
}

// PublicKey is in DER.
func (s Signer) PublicKey() []byte { return s.DER }

// Sign never fails.
func (s Signer) Sign(msg []byte) ([]byte, error) { return s.Signature(msg), nil }

// Principal is the self-authenticating one of the key.
func (s Signer) Principal() principal.ID { return principal.SelfAuthenticating(s.DER) }

// All makes a signer of every scheme but canister signatures.
func All(t testing.TB) map[string]Signer {
	return map[string]Signer{
		"Ed25519": Ed25519(t), "P-256": P256(t), "secp256k1": Secp256k1(t),
		"WebAuthn P-256": WebAuthnP256(t), "WebAuthn RSA": WebAuthnRSA(t), "WebAuthn Ed25519": WebAuthnEd25519(t),
	}
}

// Passkeys makes a passkey of every scheme.
func Passkeys(t testing.TB) map[string]Signer {
	return map[string]Signer{"P-256": WebAuthnP256(t), "RSA": WebAuthnRSA(t), "Ed25519": WebAuthnEd25519(t)}
}

// SPKI wraps a key in DER, as a SubjectPublicKeyInfo with an algorithm and its parameters.
func SPKI(key []byte, algorithm ...asn1.ObjectIdentifier) []byte {
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

// CanisterKey is the public key under which a canister signs with a seed.
func CanisterKey(signer principal.ID, seed []byte) []byte {
	return SPKI(slices.Concat([]byte{byte(signer.Len())}, signer.Bytes(), seed), oidCanister())
}

// Canister makes a Signer whose messages a canister of a network signs with a seed, in
// certificates of the time at.
func Canister(n *fakenet.Network, at time.Time, canister principal.ID, seed []byte) Signer {
	return Signer{DER: CanisterKey(canister, seed), Signature: func(msg []byte) []byte { return n.CanisterSignature(at, canister, seed, msg) }}
}

// Ed25519 makes a Signer.
func Ed25519(t testing.TB) Signer {
	public, private, err := ed25519.GenerateKey(rand.Reader)
	must(t, err)
	return Signer{DER: SPKI(public, oidEd25519()), Signature: func(msg []byte) []byte { return ed25519.Sign(private, msg) }}
}

// P256 makes a Signer.
func P256(t testing.TB) Signer {
	key, point := generateP256(t)
	return Signer{DER: SPKI(point, oidEC(), oidP256()), Signature: func(msg []byte) []byte {
		h := sha256.Sum256(msg)
		r, s, err := ecdsa.Sign(rand.Reader, key, h[:])
		must(t, err)
		return rawSignature(r, s)
	}}
}

func generateP256(t testing.TB) (key *ecdsa.PrivateKey, point []byte) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	must(t, err)
	point, err = key.PublicKey.Bytes()
	must(t, err)
	return key, point
}

func rawSignature(r, s *big.Int) []byte {
	out := make([]byte, 64)
	r.FillBytes(out[:32])
	s.FillBytes(out[32:])
	return out
}

// Secp256k1 makes a Signer.
func Secp256k1(t testing.TB) Signer {
	key, err := secp256k1.GeneratePrivateKey()
	must(t, err)
	return Signer{DER: SPKI(key.PubKey().SerializeUncompressed(), oidEC(), oidSecp256k1()), Signature: func(msg []byte) []byte {
		h := sha256.Sum256(msg)
		sig := secpecdsa.Sign(key, h[:])
		r, s := sig.R(), sig.S()
		rb, sb := r.Bytes(), s.Bytes()
		return slices.Concat(rb[:], sb[:])
	}}
}

// WebAuthnP256 makes a Signer that answers as a passkey with ES256 does.
func WebAuthnP256(t testing.TB) Signer {
	key, point := generateP256(t)
	cose := COSEMap(COSEInt(1, 2), COSEInt(3, -7), COSEInt(-1, 1), COSEBytes(-2, point[1:33]), COSEBytes(-3, point[33:]))
	return webAuthn(cose, func(data []byte) []byte {
		h := sha256.Sum256(data)
		sig, err := ecdsa.SignASN1(rand.Reader, key, h[:])
		must(t, err)
		return sig
	})
}

var testRSAKey = sync.OnceValues(func() (*rsa.PrivateKey, error) { return rsa.GenerateKey(rand.Reader, 2048) })

// WebAuthnRSA makes a Signer that answers as a passkey with RS256 does. All have one key.
func WebAuthnRSA(t testing.TB) Signer {
	key, err := testRSAKey()
	must(t, err)
	cose := COSEMap(COSEInt(1, 3), COSEInt(3, -257), COSEBytes(-1, key.N.Bytes()), COSEBytes(-2, big.NewInt(int64(key.E)).Bytes()))
	return webAuthn(cose, func(data []byte) []byte {
		h := sha256.Sum256(data)
		sig, err := rsa.SignPKCS1v15(rand.Reader, key, crypto.SHA256, h[:])
		must(t, err)
		return sig
	})
}

// WebAuthnEd25519 makes a Signer that answers as a passkey with EdDSA does.
func WebAuthnEd25519(t testing.TB) Signer {
	public, private, err := ed25519.GenerateKey(rand.Reader)
	must(t, err)
	cose := COSEMap(COSEInt(1, 1), COSEInt(3, -8), COSEInt(-1, 6), COSEBytes(-2, public))
	return webAuthn(cose, func(data []byte) []byte { return ed25519.Sign(private, data) })
}

func webAuthn(cose []byte, sign func(data []byte) []byte) Signer {
	resign := func(client string) []byte { return Assertion(client, sign) }
	return Signer{DER: SPKI(cose, oidCOSE()), Signature: func(msg []byte) []byte { return resign(ClientData(msg)) }, Resign: resign}
}

// ClientData is the JSON that a browser has an authenticator sign.
func ClientData(challenge []byte) string {
	b, err := json.Marshal(map[string]any{
		"type": "webauthn.get", "challenge": base64.RawURLEncoding.EncodeToString(challenge), "origin": "https://dapp.example",
	})
	if err != nil {
		panic(err)
	}
	return string(b)
}

// Assertion is the signature of a passkey as requests carry it; sign is what the authenticator does.
func Assertion(client string, sign func(data []byte) []byte) []byte {
	data := []byte("authenticator data")
	h := sha256.Sum256([]byte(client))
	b := cbor.AppendMap(cbor.AppendSelfDescribe(nil), 3)
	b = cbor.AppendBytes(cbor.AppendText(b, "authenticator_data"), data)
	b = cbor.AppendText(cbor.AppendText(b, "client_data_json"), client)
	return cbor.AppendBytes(cbor.AppendText(b, "signature"), sign(slices.Concat(data, h[:])))
}

// COSEMap joins entries to a map. COSE maps have integer keys, which our own codec does not write.
func COSEMap(entries ...[]byte) []byte {
	return slices.Concat(append([][]byte{cbor.AppendMap(nil, len(entries))}, entries...)...)
}

func coseInteger(n int64) []byte {
	if n >= 0 {
		return cbor.AppendUint(nil, uint64(n))
	}
	b := cbor.AppendUint(nil, uint64(-1-n))
	b[0] |= 1 << 5 // negative integer
	return b
}

// COSEInt is an entry of a COSEMap.
func COSEInt(key, value int64) []byte { return slices.Concat(coseInteger(key), coseInteger(value)) }

// COSEBytes is an entry of a COSEMap.
func COSEBytes(key int64, value []byte) []byte {
	return cbor.AppendBytes(coseInteger(key), value)
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// Object identifiers of RFC 5480, RFC 8410, SEC 2 and the interface specification.
func oidEC() asn1.ObjectIdentifier { return asn1.ObjectIdentifier{1, 2, 840, 10045, 2, 1} }

func oidP256() asn1.ObjectIdentifier      { return asn1.ObjectIdentifier{1, 2, 840, 10045, 3, 1, 7} }
func oidSecp256k1() asn1.ObjectIdentifier { return asn1.ObjectIdentifier{1, 3, 132, 0, 10} }
func oidEd25519() asn1.ObjectIdentifier   { return asn1.ObjectIdentifier{1, 3, 101, 112} }
func oidCOSE() asn1.ObjectIdentifier      { return asn1.ObjectIdentifier{1, 3, 6, 1, 4, 1, 56387, 1, 1} }

func oidCanister() asn1.ObjectIdentifier { return asn1.ObjectIdentifier{1, 3, 6, 1, 4, 1, 56387, 1, 2} }
