package main

import (
	"bytes"
	"errors"
	"fmt"

	"portico/lightclient/cbor"
	"portico/lightclient/principal"
)

// DER of the algorithms that requests may be signed with (interface specification,
// "Signatures"): the contents of AlgorithmIdentifier. The hexadecimal is the object
// identifiers of RFC 8410, RFC 5480, SEC 2 and the specification.
const (
	algorithmEd25519   = "\x06\x03\x2b\x65\x70"
	algorithmP256      = "\x06\x07\x2a\x86\x48\xce\x3d\x02\x01\x06\x08\x2a\x86\x48\xce\x3d\x03\x01\x07"
	algorithmSecp256k1 = "\x06\x07\x2a\x86\x48\xce\x3d\x02\x01\x06\x05\x2b\x81\x04\x00\x0a"
	algorithmCOSE      = "\x06\x0a\x2b\x06\x01\x04\x01\x83\xb8\x43\x01\x01"
	algorithmCanister  = "\x06\x0a\x2b\x06\x01\x04\x01\x83\xb8\x43\x01\x02"
)

const (
	tagSequence  = 0x30
	tagBitString = 0x03

	ed25519KeyBytes = 32
	pointBytes      = 65 // of an uncompressed point, which begins with 4
	// maxSessionKey is far more than any key that requests are signed with needs.
	maxSessionKey = 2048
)

// checkKey decides whether der is the public key of a scheme that requests may be
// signed with. It looks at the form alone: that a point is on its curve is found out by
// the replica when the key signs.
func checkKey(der []byte) error {
	algorithm, key, err := splitKey(der)
	if err != nil {
		return err
	}
	switch string(algorithm) {
	case algorithmEd25519:
		if len(key) != ed25519KeyBytes {
			return fmt.Errorf("an Ed25519 key has %d bytes, not %d", ed25519KeyBytes, len(key))
		}
	case algorithmP256, algorithmSecp256k1:
		if len(key) != pointBytes || key[0] != 4 {
			return fmt.Errorf("a key on an elliptic curve is an uncompressed point of %d bytes", pointBytes)
		}
	case algorithmCOSE:
		return checkCOSE(key)
	case algorithmCanister:
		if len(key) == 0 || int(key[0]) > principal.MaxLen || len(key)-1 < int(key[0]) {
			return errors.New("a canister's key begins with the length of its id and the id")
		}
	default:
		return errors.New("the public key's algorithm is not one that requests may be signed with")
	}
	return nil
}

var errNotKey = errors.New("the public key is no DER-encoded SubjectPublicKeyInfo")

// splitKey takes SEQUENCE { SEQUENCE algorithm, BIT STRING key } apart.
func splitKey(der []byte) (algorithm, key []byte, err error) {
	info, rest, ok := element(der, tagSequence)
	if !ok || len(rest) > 0 {
		return nil, nil, errNotKey
	}
	algorithm, rest, ok = element(info, tagSequence)
	if !ok {
		return nil, nil, errNotKey
	}
	bits, rest, ok := element(rest, tagBitString)
	if !ok || len(rest) > 0 || len(bits) == 0 || bits[0] != 0 {
		return nil, nil, errNotKey
	}
	return algorithm, bits[1:], nil
}

// element takes one element of DER off b, whose length must have its shortest form.
func element(b []byte, tag byte) (content, rest []byte, ok bool) {
	if len(b) < 2 || b[0] != tag {
		return nil, nil, false
	}
	n, b := int(b[1]), b[2:]
	switch {
	case n < 0x80:
	case n == 0x81 && len(b) >= 1 && b[0] >= 0x80:
		n, b = int(b[0]), b[1:]
	case n == 0x82 && len(b) >= 2 && b[0] > 0:
		n, b = int(b[0])<<8|int(b[1]), b[2:]
	default:
		return nil, nil, false
	}
	if n > len(b) {
		return nil, nil, false
	}
	return b[:n], b[n:], true
}

// COSE parameters (RFC 9052 and 9053): labels, key types, algorithms and curves.
const (
	coseKeyType   = 1
	coseAlgorithm = 3
	coseCurve     = -1
	coseX         = -2
	coseY         = -3
	coseModulus   = -1
	coseExponent  = -2

	coseOctetPair = 1
	coseEC2       = 2
	coseRSA       = 3
	coseES256     = -7
	coseEdDSA     = -8
	coseRS256     = -257
	coseP256      = 1
	coseEd25519   = 6

	minModulusBytes = 256
	maxModulusBytes = 1024
)

// checkCOSE decides whether b is a COSE key of ES256 on P-256, of RS256, or of EdDSA on
// Ed25519, with nothing after it.
func checkCOSE(b []byte) error {
	d := cbor.NewDecoder(b)
	n, err := d.Map()
	if err != nil {
		return fmt.Errorf("the COSE key: %w", err)
	}
	ints, strs := map[int64]int64{}, map[int64][]byte{}
	for i := 0; d.More(i, n); i++ {
		label, err := coseInt(d)
		if err != nil {
			return fmt.Errorf("the COSE key: %w", err)
		}
		_, seenInt := ints[label]
		if _, seen := strs[label]; seen || seenInt {
			return fmt.Errorf("the COSE key has the parameter %d twice", label)
		}
		if err := coseValue(d, label, ints, strs); err != nil {
			return fmt.Errorf("the COSE key's parameter %d: %w", label, err)
		}
	}
	if err := d.End(); err != nil {
		return fmt.Errorf("the COSE key: %w", err)
	}
	modulus := bytes.TrimLeft(strs[coseModulus], "\x00")
	switch kty, alg, crv := ints[coseKeyType], ints[coseAlgorithm], ints[coseCurve]; {
	case kty == coseEC2 && alg == coseES256 && crv == coseP256 && len(strs[coseX]) == 32 && len(strs[coseY]) == 32:
	case kty == coseOctetPair && alg == coseEdDSA && crv == coseEd25519 && len(strs[coseX]) == ed25519KeyBytes:
	case kty == coseRSA && alg == coseRS256 && len(modulus) >= minModulusBytes && len(modulus) <= maxModulusBytes && len(strs[coseExponent]) > 0:
	default:
		return fmt.Errorf("a COSE key of type %d with algorithm %d and curve %d: want ES256 on P-256, RS256 of 2,048 bits or more, or EdDSA on Ed25519", kty, alg, crv)
	}
	return nil
}

// coseValue reads a parameter's value, an integer or a byte string.
func coseValue(d *cbor.Decoder, label int64, ints map[int64]int64, strs map[int64][]byte) error {
	v, err := d.Value()
	if err != nil {
		return err
	}
	switch v := v.(type) {
	case cbor.Bytes:
		strs[label] = v
	case cbor.Nat:
		ints[label] = int64(min(v.Uint64(), 1<<31))
	case cbor.NegInt:
		ints[label] = negative(v)
	default:
		return errors.New("neither an integer nor a byte string")
	}
	return nil
}

func coseInt(d *cbor.Decoder) (int64, error) {
	v, err := d.Value()
	if err != nil {
		return 0, err
	}
	switch v := v.(type) {
	case cbor.Nat:
		return int64(min(v.Uint64(), 1<<31)), nil
	case cbor.NegInt:
		return negative(v), nil
	default:
		return 0, errors.New("a parameter's name is no integer")
	}
}

func negative(v cbor.NegInt) int64 { return -1 - int64(min(v.N, 1<<31)) }
