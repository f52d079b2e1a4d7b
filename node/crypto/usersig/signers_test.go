package usersig

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

	"github.com/decred/dcrd/dcrec/secp256k1/v4"
	secpecdsa "github.com/decred/dcrd/dcrec/secp256k1/v4/ecdsa"
	"golang.org/x/crypto/cryptobyte"
	cbasn1 "golang.org/x/crypto/cryptobyte/asn1"

	"portico/lightclient/cbor"
	"portico/lightclient/envelope"
	"portico/lightclient/principal"
)

// A testSigner signs as a user's device would.
type testSigner struct {
	der  []byte
	sign func(msg []byte) []byte
	// resign makes a passkey sign client data that no browser would give it; nil for others.
	resign func(client string) []byte
}

func (s testSigner) PublicKey() []byte               { return s.der }
func (s testSigner) Sign(msg []byte) ([]byte, error) { return s.sign(msg), nil }
func (s testSigner) principal() principal.ID         { return principal.SelfAuthenticating(s.der) }

// plainSchemes makes a signer of every scheme but canister signatures.
func plainSchemes(t testing.TB) map[string]testSigner {
	return map[string]testSigner{
		"Ed25519": newEd25519(t), "P-256": newP256(t), "secp256k1": newSecp256k1(t),
		"WebAuthn P-256": newWebAuthnP256(t), "WebAuthn RSA": newWebAuthnRSA(t), "WebAuthn Ed25519": newWebAuthnEd25519(t),
	}
}

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

// canisterKey is the public key under which a canister signs with a seed.
func canisterKey(signer principal.ID, seed []byte) []byte {
	return spki(slices.Concat([]byte{byte(signer.Len())}, signer.Bytes(), seed), oidCanister())
}

func newEd25519(t testing.TB) testSigner {
	public, private, err := ed25519.GenerateKey(rand.Reader)
	must(t, err)
	return testSigner{der: spki(public, oidEd25519()), sign: func(msg []byte) []byte { return ed25519.Sign(private, msg) }}
}

func newP256(t testing.TB) testSigner {
	key, point := generateP256(t)
	return testSigner{der: spki(point, oidEC(), oidP256()), sign: func(msg []byte) []byte {
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
	out := make([]byte, rawSigBytes)
	r.FillBytes(out[:scalarBytes])
	s.FillBytes(out[scalarBytes:])
	return out
}

func newSecp256k1(t testing.TB) testSigner {
	key, err := secp256k1.GeneratePrivateKey()
	must(t, err)
	return testSigner{der: spki(key.PubKey().SerializeUncompressed(), oidEC(), oidSecp256k1()), sign: func(msg []byte) []byte {
		h := sha256.Sum256(msg)
		sig := secpecdsa.Sign(key, h[:])
		r, s := sig.R(), sig.S()
		rb, sb := r.Bytes(), s.Bytes()
		return slices.Concat(rb[:], sb[:])
	}}
}

func newWebAuthnP256(t testing.TB) testSigner {
	key, point := generateP256(t)
	cose := coseMap(coseInt(1, 2), coseInt(3, -7), coseInt(-1, 1), coseBytes(-2, point[1:33]), coseBytes(-3, point[33:]))
	return webAuthn(cose, func(data []byte) []byte {
		h := sha256.Sum256(data)
		sig, err := ecdsa.SignASN1(rand.Reader, key, h[:])
		must(t, err)
		return sig
	})
}

var testRSAKey = sync.OnceValues(func() (*rsa.PrivateKey, error) { return rsa.GenerateKey(rand.Reader, 2048) })

func newWebAuthnRSA(t testing.TB) testSigner {
	key, err := testRSAKey()
	must(t, err)
	cose := coseMap(coseInt(1, 3), coseInt(3, -257), coseBytes(-1, key.N.Bytes()), coseBytes(-2, big.NewInt(int64(key.E)).Bytes()))
	return webAuthn(cose, func(data []byte) []byte {
		h := sha256.Sum256(data)
		sig, err := rsa.SignPKCS1v15(rand.Reader, key, crypto.SHA256, h[:])
		must(t, err)
		return sig
	})
}

func newWebAuthnEd25519(t testing.TB) testSigner {
	public, private, err := ed25519.GenerateKey(rand.Reader)
	must(t, err)
	cose := coseMap(coseInt(1, 1), coseInt(3, -8), coseInt(-1, 6), coseBytes(-2, public))
	return webAuthn(cose, func(data []byte) []byte { return ed25519.Sign(private, data) })
}

func webAuthn(cose []byte, sign func(data []byte) []byte) testSigner {
	resign := func(client string) []byte { return assertionOf(client, sign) }
	return testSigner{der: spki(cose, oidCOSE()), sign: func(msg []byte) []byte { return resign(clientData(msg)) }, resign: resign}
}

func clientData(challenge []byte) string {
	b, err := json.Marshal(map[string]any{
		"type": "webauthn.get", "challenge": base64.RawURLEncoding.EncodeToString(challenge), "origin": "https://dapp.example",
	})
	if err != nil {
		panic(err)
	}
	return string(b)
}

func assertionOf(client string, sign func(data []byte) []byte) []byte {
	data := []byte("authenticator data")
	h := sha256.Sum256([]byte(client))
	b := cbor.AppendMap(cbor.AppendSelfDescribe(nil), 3)
	b = cbor.AppendBytes(cbor.AppendText(b, "authenticator_data"), data)
	b = cbor.AppendText(cbor.AppendText(b, "client_data_json"), client)
	return cbor.AppendBytes(cbor.AppendText(b, "signature"), sign(slices.Concat(data, h[:])))
}

// COSE maps have integer keys, which our own codec does not write.
func coseMap(entries ...[]byte) []byte {
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

func coseInt(key, value int64) []byte { return slices.Concat(coseInteger(key), coseInteger(value)) }

func coseBytes(key int64, value []byte) []byte {
	return cbor.AppendBytes(coseInteger(key), value)
}

// received sends an envelope through its encoding, as it would reach a node.
func received(t testing.TB, e *envelope.Envelope) *envelope.Envelope {
	t.Helper()
	got, err := envelope.Decode(e.Append(nil))
	must(t, err)
	return got
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
