// Package bls makes and verifies BLS signatures with blst: the keys of subnets and
// whatever else touches a secret (interface specification, "Certificate"). It
// accepts exactly what portico/lightclient/bls accepts, which verifies in pure Go.
//
// Signatures are compressed points of G1, 48 bytes; public keys are compressed
// points of G2, 96 bytes.
//
// Several holders sign together in two ways. With a threshold key (Deal, ThresholdKey,
// Combine) each holds a share, and any threshold of them make the one signature that
// verifies under the one public key; nobody can tell who they were. With keys of
// their own (AggregateSignatures, AggregateKeys) the signature verifies under the sum of
// the signers' keys, so it comes with their names, and every key with a proof of
// possession.
package bls

import (
	"errors"
	"fmt"
	"io"

	"portico/lightclient/bls"

	blst "github.com/supranational/blst/bindings/go"
)

// SecretKeyLen is the length in bytes of an encoded secret key.
const SecretKeyLen = 32

// A SecretKey is a scalar that is not zero.
type SecretKey struct{ scalar *blst.SecretKey }

// GenerateKey makes a key of 32 bytes of randomness, by the standard's KeyGen.
func GenerateKey(random io.Reader) (*SecretKey, error) {
	var ikm [32]byte
	if _, err := io.ReadFull(random, ikm[:]); err != nil {
		return nil, fmt.Errorf("bls: randomness for a key: %w", err)
	}
	defer clear(ikm[:])
	return &SecretKey{blst.KeyGen(ikm[:])}, nil
}

// ParseSecretKey reads 32 bytes, big-endian, of a number that is not zero and
// smaller than the order of the group.
func ParseSecretKey(b []byte) (*SecretKey, error) {
	if len(b) != SecretKeyLen {
		return nil, fmt.Errorf("bls: secret key of %d bytes, expected %d", len(b), SecretKeyLen)
	}
	s := new(blst.SecretKey).Deserialize(b)
	if s == nil {
		return nil, errors.New("bls: secret key is zero or not below the order of the group")
	}
	return &SecretKey{s}, nil
}

// Bytes returns the 32 bytes that ParseSecretKey reads.
func (k *SecretKey) Bytes() []byte { return k.scalar.Serialize() }

// PublicKey returns the compressed public key, 96 bytes.
func (k *SecretKey) PublicKey() []byte { return new(blst.P2Affine).From(k.scalar).Compress() }

// PublicKeyDER returns the public key in DER, 133 bytes.
func (k *SecretKey) PublicKeyDER() []byte { return bls.ToDER(k.PublicKey()) }

// Sign returns the compressed signature of a message, 48 bytes.
func (k *SecretKey) Sign(msg []byte) []byte {
	return new(blst.P1Affine).Sign(k.scalar, msg, []byte(bls.DST)).Compress()
}

// VerifyBLS checks a signature as PublicKey.Verify does, and decodes and checks the key
// before. A well-formed signature that is wrong gives the error bls.ErrMismatch of
// portico/lightclient/bls.
func VerifyBLS(pk, msg, sig []byte) error {
	k, err := ParsePublicKey(pk)
	if err != nil {
		return err
	}
	return k.Verify(msg, sig)
}
