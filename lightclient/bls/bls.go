// Package bls verifies the BLS signatures of subnets in pure Go (interface
// specification, "Certificate": ciphersuite
// BLS_SIG_BLS12381G1_XMD:SHA-256_SSWU_RO_NUL_, and the DER form of keys).
//
// Signatures are compressed points of G1, 48 bytes; keys are compressed points of
// G2, 96 bytes. Other lengths, the point at infinity and points outside the
// subgroups of prime order are refused.
package bls

import (
	"errors"
	"fmt"
	"sync"

	"github.com/consensys/gnark-crypto/ecc/bls12-381"
)

// Lengths in bytes.
const (
	PublicKeyLen = 96
	SignatureLen = 48
	DERLen       = len(derPrefix) + PublicKeyLen
)

// DST is the domain separation tag of hashing messages to G1.
const DST = "BLS_SIG_BLS12381G1_XMD:SHA-256_SSWU_RO_NUL_"

// derPrefix is a SubjectPublicKeyInfo up to the key: algorithm
// 1.3.6.1.4.1.44668.5.3.1.2.1, curve 1.3.6.1.4.1.44668.5.3.2.1, a bit string of 96 bytes.
const derPrefix = "\x30\x81\x82\x30\x1d\x06\x0d\x2b\x06\x01\x04\x01\x82\xdc\x7c\x05\x03\x01\x02\x01" +
	"\x06\x0c\x2b\x06\x01\x04\x01\x82\xdc\x7c\x05\x03\x02\x01\x03\x61\x00"

// ErrMismatch means that key and signature are well formed and the signature is
// not one of this message by this key.
var ErrMismatch = errors.New("bls: the signature does not match")

// ToDER wraps a public key of 96 bytes in DER, 133 bytes.
func ToDER(pk []byte) []byte { return append([]byte(derPrefix), pk...) }

// FromDER unwraps a public key. It does not check that the key is a point.
func FromDER(der []byte) (pk []byte, err error) {
	if len(der) != DERLen {
		return nil, fmt.Errorf("bls: DER key of %d bytes, expected %d", len(der), DERLen)
	}
	if string(der[:len(derPrefix)]) != derPrefix {
		return nil, errors.New("bls: DER key of another algorithm than BLS12-381 with keys in G2")
	}
	return der[len(derPrefix):], nil
}

// Verify checks a signature. Whoever meets keys again uses a Verifier.
func Verify(pk, msg, sig []byte) error {
	key, err := parseKey(pk)
	if err != nil {
		return err
	}
	points, err := pairingPoints(msg, sig)
	if err != nil {
		return err
	}
	_, _, _, generator := bls12381.Generators()
	return verdict(bls12381.PairingCheck(points, []bls12381.G2Affine{generator, key}))
}

// maxKeys bounds how many keys each of the two generations of a Verifier's memory
// holds. A prepared key takes 24 kB.
const maxKeys = 32

// A Verifier verifies signatures and remembers the keys it met in a form that
// saves a third of the work. It is safe for concurrent use.
type Verifier struct {
	generator *lines

	mu         sync.Mutex
	young, old map[string]*lines
}

// lines are the coefficients of the Miller loop of one point of G2.
type lines = [2][len(bls12381.LoopCounter) - 1]bls12381.LineEvaluationAff

// NewVerifier makes a Verifier that has met no key.
func NewVerifier() *Verifier {
	_, _, _, generator := bls12381.Generators()
	l := bls12381.PrecomputeLines(generator)
	return &Verifier{generator: &l, young: map[string]*lines{}}
}

// Verify checks a signature.
func (v *Verifier) Verify(pk, msg, sig []byte) error {
	key, err := v.prepare(pk)
	if err != nil {
		return err
	}
	points, err := pairingPoints(msg, sig)
	if err != nil {
		return err
	}
	return verdict(bls12381.PairingCheckFixedQ(points, []lines{*v.generator, *key}))
}

// prepare returns the lines of a key. Keys that were not used while maxKeys others
// came are forgotten.
func (v *Verifier) prepare(pk []byte) (*lines, error) {
	v.mu.Lock()
	key, ok := v.young[string(pk)]
	if !ok {
		key = v.old[string(pk)]
	}
	v.mu.Unlock()
	if key == nil {
		point, err := parseKey(pk)
		if err != nil {
			return nil, err
		}
		l := bls12381.PrecomputeLines(point)
		key = &l
	}
	if !ok {
		v.mu.Lock()
		defer v.mu.Unlock()
		if len(v.young) >= maxKeys {
			v.young, v.old = map[string]*lines{}, v.young
		}
		v.young[string(pk)] = key
	}
	return key, nil
}

func verdict(equal bool, err error) error {
	switch {
	case err != nil:
		return fmt.Errorf("bls: pairing: %w", err)
	case !equal:
		return ErrMismatch
	default:
		return nil
	}
}

// pairingPoints returns -sig and the hash of msg: the signature is right if the
// product of their pairings with the generator and the key is one.
func pairingPoints(msg, sig []byte) ([]bls12381.G1Affine, error) {
	if len(sig) != SignatureLen {
		return nil, fmt.Errorf("bls: signature of %d bytes, expected %d", len(sig), SignatureLen)
	}
	var s bls12381.G1Affine
	if _, err := s.SetBytes(sig); err != nil {
		return nil, fmt.Errorf("bls: signature: %w", err)
	}
	if s.IsInfinity() {
		return nil, errors.New("bls: signature: point at infinity")
	}
	h, err := bls12381.HashToG1(msg, []byte(DST))
	if err != nil {
		return nil, fmt.Errorf("bls: hashing to the curve: %w", err)
	}
	s.Neg(&s)
	return []bls12381.G1Affine{s, h}, nil
}

func parseKey(pk []byte) (bls12381.G2Affine, error) {
	var p bls12381.G2Affine
	if len(pk) != PublicKeyLen {
		return p, fmt.Errorf("bls: public key of %d bytes, expected %d", len(pk), PublicKeyLen)
	}
	if _, err := p.SetBytes(pk); err != nil {
		return p, fmt.Errorf("bls: public key: %w", err)
	}
	if p.IsInfinity() {
		return p, errors.New("bls: public key: point at infinity")
	}
	return p, nil
}
