package signature

import (
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/sha256"
	"encoding/asn1"
	"errors"
	"fmt"
	"math/big"
	"slices"

	"github.com/decred/dcrd/dcrec/secp256k1/v4"
	secpecdsa "github.com/decred/dcrd/dcrec/secp256k1/v4/ecdsa"
	"golang.org/x/crypto/cryptobyte"
	cbasn1 "golang.org/x/crypto/cryptobyte/asn1"

	"portico/lightclient/principal"
)

// A Scheme is one of the ways to sign (interface specification, "Signatures").
type Scheme uint8

// The schemes.
const (
	Ed25519 Scheme = iota + 1
	ECDSAP256
	ECDSASecp256k1
	WebAuthn
	CanisterSignature
)

// String names the scheme as error messages do.
func (s Scheme) String() string {
	return [...]string{
		Ed25519: "Ed25519", ECDSAP256: "ECDSA P-256", ECDSASecp256k1: "ECDSA secp256k1",
		WebAuthn: "WebAuthn", CanisterSignature: "canister signature",
	}[s]
}

// A PublicKey is a decoded public key.
type PublicKey struct {
	Scheme Scheme
	// Signer and Seed are set for canister signatures only.
	Signer principal.ID
	Seed   []byte

	ed25519   ed25519.PublicKey
	p256      *ecdsa.PublicKey
	secp256k1 *secp256k1.PublicKey
	cose      coseKey
}

// Sizes of keys and signatures in bytes.
const (
	pointBytes  = 65 // 0x04, x, y
	scalarBytes = 32
	rawSigBytes = 2 * scalarBytes
)

// pointUncompressed is the first byte of an uncompressed point (SEC 1, 2.3.3).
const pointUncompressed = 0x04

// ParseKey decodes a DER-encoded public key, a SubjectPublicKeyInfo of one of the
// schemes. It refuses what is not DER, parameters that the scheme does not have,
// and points that are not on the curve.
func ParseKey(der []byte) (*PublicKey, error) {
	algorithm, curve, key, err := parseSPKI(der)
	if err != nil {
		return nil, err
	}
	switch {
	case algorithm.Equal(oidEC()):
		return parseECKey(curve, key)
	case curve != nil:
		return nil, fmt.Errorf("algorithm %s takes no parameters", algorithm)
	case algorithm.Equal(oidEd25519()):
		if len(key) != ed25519.PublicKeySize {
			return nil, fmt.Errorf("Ed25519 key of %d bytes: want %d", len(key), ed25519.PublicKeySize)
		}
		return &PublicKey{Scheme: Ed25519, ed25519: key}, nil
	case algorithm.Equal(oidCOSE()):
		return parseCOSE(key)
	case algorithm.Equal(oidCanister()):
		return parseCanisterKey(key)
	default:
		return nil, fmt.Errorf("algorithm %s is not one that requests may be signed with", algorithm)
	}
}

// Object identifiers: RFC 5480, RFC 8410, SEC 2, and the interface specification.
func oidEC() asn1.ObjectIdentifier { return asn1.ObjectIdentifier{1, 2, 840, 10045, 2, 1} }

func oidP256() asn1.ObjectIdentifier      { return asn1.ObjectIdentifier{1, 2, 840, 10045, 3, 1, 7} }
func oidSecp256k1() asn1.ObjectIdentifier { return asn1.ObjectIdentifier{1, 3, 132, 0, 10} }
func oidEd25519() asn1.ObjectIdentifier   { return asn1.ObjectIdentifier{1, 3, 101, 112} }
func oidCOSE() asn1.ObjectIdentifier {
	return asn1.ObjectIdentifier{1, 3, 6, 1, 4, 1, 56387, 1, 1}
}

func oidCanister() asn1.ObjectIdentifier {
	return asn1.ObjectIdentifier{1, 3, 6, 1, 4, 1, 56387, 1, 2}
}

var errNotSPKI = errors.New("public key is not a DER-encoded SubjectPublicKeyInfo")

// parseSPKI takes SEQUENCE { SEQUENCE { algorithm, curve OPTIONAL }, BIT STRING } apart.
func parseSPKI(der []byte) (algorithm, curve asn1.ObjectIdentifier, key []byte, err error) {
	in := cryptobyte.String(der)
	var info, id cryptobyte.String
	if !in.ReadASN1(&info, cbasn1.SEQUENCE) || !in.Empty() ||
		!info.ReadASN1(&id, cbasn1.SEQUENCE) || !id.ReadASN1ObjectIdentifier(&algorithm) {
		return nil, nil, nil, errNotSPKI
	}
	if !id.Empty() && (!id.ReadASN1ObjectIdentifier(&curve) || !id.Empty()) {
		return nil, nil, nil, fmt.Errorf("%w: parameters are not the object identifier of a curve", errNotSPKI)
	}
	if !info.ReadASN1BitStringAsBytes(&key) || !info.Empty() {
		return nil, nil, nil, errNotSPKI
	}
	return algorithm, curve, key, nil
}

func parseECKey(curve asn1.ObjectIdentifier, point []byte) (*PublicKey, error) {
	if len(point) != pointBytes || point[0] != pointUncompressed {
		return nil, errors.New("elliptic curve point is not in the uncompressed form of 65 bytes")
	}
	switch {
	case curve.Equal(oidP256()):
		key, err := ecdsa.ParseUncompressedPublicKey(elliptic.P256(), point)
		if err != nil {
			return nil, fmt.Errorf("P-256 key: %w", err)
		}
		return &PublicKey{Scheme: ECDSAP256, p256: key}, nil
	case curve.Equal(oidSecp256k1()):
		key, err := secp256k1.ParsePubKey(point)
		if err != nil {
			return nil, fmt.Errorf("secp256k1 key: %w", err)
		}
		return &PublicKey{Scheme: ECDSASecp256k1, secp256k1: key}, nil
	default:
		return nil, fmt.Errorf("curve %s is neither P-256 nor secp256k1", curve)
	}
}

// parseCanisterKey reads the length of the canister's id, the id and the seed.
func parseCanisterKey(key []byte) (*PublicKey, error) {
	if len(key) == 0 || len(key)-1 < int(key[0]) {
		return nil, errors.New("canister signature key ends inside the canister id")
	}
	id, err := principal.FromBytes(key[1 : 1+key[0]])
	if err != nil {
		return nil, fmt.Errorf("canister signature key: %w", err)
	}
	return &PublicKey{Scheme: CanisterSignature, Signer: id, Seed: slices.Clone(key[1+key[0]:])}, nil
}

var errWrongSignature = errors.New("the signature is not one of this key on this message")

func (k *PublicKey) verifyEd25519(msg, sig []byte) error {
	if len(sig) != ed25519.SignatureSize {
		return rawLengthError(sig)
	}
	if !ed25519.Verify(k.ed25519, msg, sig) {
		return errWrongSignature
	}
	return nil
}

func (k *PublicKey) verifyP256(msg, sig []byte) error {
	if len(sig) != rawSigBytes {
		return rawLengthError(sig)
	}
	h := sha256.Sum256(msg)
	r, s := new(big.Int).SetBytes(sig[:scalarBytes]), new(big.Int).SetBytes(sig[scalarBytes:])
	if !ecdsa.Verify(k.p256, h[:], r, s) {
		return errWrongSignature
	}
	return nil
}

func (k *PublicKey) verifySecp256k1(msg, sig []byte) error {
	if len(sig) != rawSigBytes {
		return rawLengthError(sig)
	}
	var r, s secp256k1.ModNScalar
	if r.SetByteSlice(sig[:scalarBytes]) || s.SetByteSlice(sig[scalarBytes:]) {
		return errors.New("r or s is not below the order of the curve")
	}
	h := sha256.Sum256(msg)
	if !secpecdsa.NewSignature(&r, &s).Verify(h[:], k.secp256k1) {
		return errWrongSignature
	}
	return nil
}

func rawLengthError(sig []byte) error {
	return fmt.Errorf("signature of %d bytes: want r and s, %d bytes", len(sig), rawSigBytes)
}
