package sync

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"encoding/asn1"
	"encoding/pem"
	"errors"
	"fmt"

	"github.com/decred/dcrd/dcrec/secp256k1/v4"
	secpecdsa "github.com/decred/dcrd/dcrec/secp256k1/v4/ecdsa"

	"portico/lightclient/envelope"
)

// ParseIdentity reads the private key of an identity: PEM with PKCS #8 ("PRIVATE
// KEY") or SEC 1 ("EC PRIVATE KEY"), of Ed25519, secp256k1 or prime256v1, as the
// network's tools write them. Keys under a password must be exported first.
func ParseIdentity(text []byte) (envelope.Identity, error) {
	for {
		block, rest := pem.Decode(text)
		switch {
		case block == nil:
			return nil, errors.New("there is no private key in PEM in the file")
		case block.Type == "PRIVATE KEY":
			return parsePKCS8(block.Bytes)
		case block.Type == "EC PRIVATE KEY":
			return parseSEC1(block.Bytes, nil)
		case block.Type == "ENCRYPTED PRIVATE KEY":
			return nil, errors.New("the private key is under a password: export it, for instance with icp identity export")
		}
		text = rest // such as EC PARAMETERS, which the key repeats
	}
}

// Object identifiers of algorithms and curves (RFC 5480, RFC 8410, SEC 2).
func oidECKey() asn1.ObjectIdentifier     { return asn1.ObjectIdentifier{1, 2, 840, 10045, 2, 1} }
func oidEd25519() asn1.ObjectIdentifier   { return asn1.ObjectIdentifier{1, 3, 101, 112} }
func oidSecp256k1() asn1.ObjectIdentifier { return asn1.ObjectIdentifier{1, 3, 132, 0, 10} }
func oidP256() asn1.ObjectIdentifier      { return asn1.ObjectIdentifier{1, 2, 840, 10045, 3, 1, 7} }

// pkcs8Key is a PrivateKeyInfo, of either version (RFC 5958).
type pkcs8Key struct {
	Version   int
	Algorithm struct {
		Algorithm  asn1.ObjectIdentifier
		Parameters asn1.RawValue `asn1:"optional"`
	}
	Key        []byte
	Attributes asn1.RawValue `asn1:"optional,tag:0"`
	Public     asn1.RawValue `asn1:"optional,tag:1"`
}

func parsePKCS8(der []byte) (envelope.Identity, error) {
	var key pkcs8Key
	if err := unmarshal(der, &key); err != nil {
		return nil, err
	}
	switch alg := key.Algorithm.Algorithm; {
	case alg.Equal(oidEd25519()):
		var seed []byte
		if err := unmarshal(key.Key, &seed); err != nil {
			return nil, err
		}
		signer, err := envelope.NewEd25519(seed)
		return envelope.Keyed{Signer: signer}, err
	case alg.Equal(oidECKey()):
		var curve asn1.ObjectIdentifier
		if err := unmarshal(key.Algorithm.Parameters.FullBytes, &curve); err != nil {
			return nil, err
		}
		return parseSEC1(key.Key, curve)
	default:
		return nil, fmt.Errorf("the private key is of algorithm %v; Ed25519, secp256k1 and prime256v1 are known", alg)
	}
}

// sec1Key is an ECPrivateKey (RFC 5915).
type sec1Key struct {
	Version int
	Key     []byte
	Curve   asn1.ObjectIdentifier `asn1:"optional,explicit,tag:0"`
	Public  asn1.BitString        `asn1:"optional,explicit,tag:1"`
}

// parseSEC1 reads a key of a curve, which may be named outside.
func parseSEC1(der []byte, curve asn1.ObjectIdentifier) (envelope.Identity, error) {
	var key sec1Key
	if err := unmarshal(der, &key); err != nil {
		return nil, err
	}
	if curve == nil {
		curve = key.Curve
	}
	const scalarBytes = 32
	if len(key.Key) > scalarBytes {
		return nil, fmt.Errorf("the private key has %d bytes instead of %d", len(key.Key), scalarBytes)
	}
	scalar := append(make([]byte, scalarBytes-len(key.Key)), key.Key...)
	switch {
	case curve.Equal(oidP256()):
		k, err := ecdsa.ParseRawPrivateKey(elliptic.P256(), scalar)
		return envelope.Keyed{Signer: p256Signer{k}}, err
	case curve.Equal(oidSecp256k1()):
		var n secp256k1.ModNScalar
		if overflow := n.SetByteSlice(scalar); overflow || n.IsZero() {
			return nil, errors.New("the private key is not in the range of secp256k1")
		}
		return envelope.Keyed{Signer: secpSigner{secp256k1.NewPrivateKey(&n)}}, nil
	default:
		return nil, fmt.Errorf("the private key is of curve %v; secp256k1 and prime256v1 are known", curve)
	}
}

func unmarshal(der []byte, into any) error {
	rest, err := asn1.Unmarshal(der, into)
	if err == nil && len(rest) > 0 {
		err = fmt.Errorf("%d bytes follow it", len(rest))
	}
	if err != nil {
		return fmt.Errorf("the private key: %w", err)
	}
	return nil
}

// p256Signer signs with ECDSA over SHA-256; signatures are r and s, 32 bytes each.
type p256Signer struct{ key *ecdsa.PrivateKey }

func (s p256Signer) PublicKey() []byte {
	der, err := x509.MarshalPKIXPublicKey(&s.key.PublicKey)
	if err != nil {
		panic(err) // P-256 keys always have a form
	}
	return der
}

func (s p256Signer) Sign(msg []byte) ([]byte, error) {
	hash := sha256.Sum256(msg)
	r, v, err := ecdsa.Sign(rand.Reader, s.key, hash[:])
	if err != nil {
		return nil, err
	}
	out := make([]byte, 64)
	r.FillBytes(out[:32])
	v.FillBytes(out[32:])
	return out, nil
}

// secpSigner is p256Signer for secp256k1.
type secpSigner struct{ key *secp256k1.PrivateKey }

// secpDER precedes the 65 bytes of an uncompressed public key.
const secpDER = "\x30\x56\x30\x10\x06\x07\x2a\x86\x48\xce\x3d\x02\x01\x06\x05\x2b\x81\x04\x00\x0a\x03\x42\x00"

func (s secpSigner) PublicKey() []byte {
	return append([]byte(secpDER), s.key.PubKey().SerializeUncompressed()...)
}

func (s secpSigner) Sign(msg []byte) ([]byte, error) {
	hash := sha256.Sum256(msg)
	sig := secpecdsa.Sign(s.key, hash[:])
	r, v := sig.R(), sig.S()
	rb, vb := r.Bytes(), v.Bytes()
	return append(rb[:], vb[:]...), nil
}
