// Package signature checks what users sign, for whoever is asked to believe it:
// replicas, and servers that are not on the network (interface specification,
// "Signatures" and "Authentication").
//
// The schemes are Ed25519, ECDSA on P-256 and secp256k1, WebAuthn (P-256, RSA,
// Ed25519) and canister signatures. Chains of delegations let one key sign for
// another. What a signer may do is decided elsewhere, except for what
// delegations themselves restrict. Browsers verify no users' signatures: this
// package is no part of the light client there.
package signature

import (
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"time"

	"portico/lightclient/certificate"
	"portico/lightclient/principal"
)

// A CertificateVerifier checks certificates under the network's root key;
// certificate.Verifier is one.
type CertificateVerifier interface {
	Canister(cert []byte, canister principal.ID, now time.Time) (*certificate.Certificate, error)
}

// Config makes a Verifier.
type Config struct {
	// Certificates checks the certificates inside canister signatures; nil refuses
	// every canister signature.
	Certificates CertificateVerifier
	// CacheEntries bounds how many verified signatures are remembered; zero
	// remembers none. An entry takes about 100 bytes.
	CacheEntries int
}

// A Verifier checks signatures. It may be used by many goroutines.
type Verifier struct {
	certificates CertificateVerifier
	verified     *cache
}

// New makes a Verifier.
func New(cfg Config) *Verifier {
	return &Verifier{certificates: cfg.Certificates, verified: newCache(cfg.CacheEntries)}
}

// An Error says that a key or a signature is malformed or does not verify.
type Error struct {
	// What is signed, as the interface specification names it or, for a
	// delegation, its place in the chain: "sender_sig", "delegation 3".
	What string
	Err  error
}

func (e *Error) Error() string { return fmt.Sprintf("Invalid signature: %s: %v", e.What, e.Err) }

// Unwrap returns what is wrong with the key or the signature.
func (e *Error) Unwrap() error { return e.Err }

// VerifyAs is Verify with an *Error that says what was signed.
func (v *Verifier) VerifyAs(what string, keyDER, msg, sig []byte) error {
	if err := v.Verify(keyDER, msg, sig); err != nil {
		return &Error{What: what, Err: err}
	}
	return nil
}

// Verify checks one signature under a DER-encoded key of any scheme. What was
// verified once is remembered: no scheme's verdict changes with time.
func (v *Verifier) Verify(keyDER, msg, sig []byte) error {
	id := signatureID(keyDER, msg, sig)
	if v.verified.has(id) {
		return nil
	}
	key, err := ParseKey(keyDER)
	if err != nil {
		return err
	}
	if err := v.verify(key, msg, sig); err != nil {
		return fmt.Errorf("%s: %w", key.Scheme, err)
	}
	v.verified.add(id)
	return nil
}

func (v *Verifier) verify(key *PublicKey, msg, sig []byte) error {
	switch key.Scheme {
	case Ed25519:
		return key.verifyEd25519(msg, sig)
	case ECDSAP256:
		return key.verifyP256(msg, sig)
	case ECDSASecp256k1:
		return key.verifySecp256k1(msg, sig)
	case WebAuthn:
		return key.verifyWebAuthn(msg, sig)
	case CanisterSignature:
		return v.verifyCanister(key, msg, sig)
	default:
		panic(fmt.Sprintf("signature: key of scheme %d", key.Scheme))
	}
}

// signatureID is a digest of all three, with lengths so that no two triples run together.
func signatureID(key, msg, sig []byte) [sha256.Size]byte {
	h := sha256.New()
	var lengths [16]byte
	binary.BigEndian.PutUint64(lengths[:8], uint64(len(key)))
	binary.BigEndian.PutUint64(lengths[8:], uint64(len(msg)))
	h.Write(lengths[:])
	h.Write(key)
	h.Write(msg)
	h.Write(sig)
	return [sha256.Size]byte(h.Sum(nil))
}
