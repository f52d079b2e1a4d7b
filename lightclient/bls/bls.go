// Package bls verifies the BLS signatures of subnets in pure Go (interface
// specification, "Certificate": ciphersuite
// BLS_SIG_BLS12381G1_XMD:SHA-256_SSWU_RO_NUL_, and the DER form of keys).
//
// Signatures are compressed points of G1, 48 bytes; keys are compressed points of
// G2, 96 bytes. Other lengths, encodings that are not canonical, the point at infinity
// and points outside the subgroups of prime order are refused.
//
// Everything verified is public, and nothing runs in constant time. Package curve does
// the arithmetic.
package bls

import (
	"errors"
	"strconv"
	"sync"

	"portico/lightclient/bls/curve"
)

// Lengths in bytes.
const (
	PublicKeyLen = curve.G2Len
	SignatureLen = curve.G1Len
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
		return nil, lengthError("DER key", len(der), DERLen)
	}
	if string(der[:len(derPrefix)]) != derPrefix {
		return nil, errors.New("bls: DER key of another algorithm than BLS12-381 with keys in G2")
	}
	return der[len(derPrefix):], nil
}

// Verify checks a signature. Whoever meets keys again uses a Verifier.
func Verify(pk, msg, sig []byte) error { return NewVerifier().Verify(pk, msg, sig) }

// maxKeys bounds how many keys each of the two generations of a Verifier's memory
// holds. A prepared key takes 15 kB.
const maxKeys = 32

// A Verifier verifies signatures and remembers the keys it met in a form that
// saves a third of the work. It is safe for concurrent use.
type Verifier struct {
	generator *curve.Lines

	mu         sync.Mutex
	young, old map[string]*curve.Lines
}

// NewVerifier makes a Verifier that has met no key.
func NewVerifier() *Verifier {
	return &Verifier{
		generator: curve.GeneratorLines(),
		young:     map[string]*curve.Lines{},
	}
}

// Verify checks a signature: it is right if the product of the pairings of -sig with
// the generator and of the message's hash with the key is one.
func (v *Verifier) Verify(pk, msg, sig []byte) error {
	key, err := v.prepare(pk)
	if err != nil {
		return err
	}
	if len(sig) != SignatureLen {
		return lengthError("signature", len(sig), SignatureLen)
	}
	s, err := curve.DecodeG1((*[SignatureLen]byte)(sig))
	if err != nil {
		return errors.New("bls: signature: " + err.Error())
	}
	if !curve.ProductIsOne(curve.Pair{P: s.Neg(), Q: v.generator}, curve.Pair{P: curve.HashToG1(msg, DST), Q: key}) {
		return ErrMismatch
	}
	return nil
}

// Warm does what verifying a signature takes, with constants, and forgets it. A program
// that has just started in a browser does so while it waits for an answer, since the
// browser compiles every function when it first runs.
func (v *Verifier) Warm() {
	const generator = "\x97\xf1\xd3\xa7\x31\x97\xd7\x94\x26\x95\x63\x8c\x4f\xa9\xac\x0f\xc3\x68\x8c\x4f\x97\x74\xb9\x05" +
		"\xa1\x4e\x3a\x3f\x17\x1b\xac\x58\x6c\x55\xe8\x3f\xf9\x7a\x1a\xef\xfb\x3a\xf0\x0a\xdb\x22\xc6\xbb"
	p, err := curve.DecodeG1((*[SignatureLen]byte)([]byte(generator)))
	if err != nil || !curve.ProductIsOne(curve.Pair{P: p.Neg(), Q: v.generator}, curve.Pair{P: p, Q: v.generator}) {
		panic("bls: the generators' pairing is not that of the inverse, inverted")
	}
	curve.HashToG1(nil, DST)
}

// Prepare makes a key known whose signatures are expected. A malformed key is
// refused when it is used.
func (v *Verifier) Prepare(pk []byte) { _, _ = v.prepare(pk) }

// prepare returns the lines of a key. Keys that were not used while maxKeys others
// came are forgotten.
func (v *Verifier) prepare(pk []byte) (*curve.Lines, error) {
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
		key = curve.NewLines(point)
	}
	if !ok {
		v.mu.Lock()
		defer v.mu.Unlock()
		if len(v.young) >= maxKeys {
			v.young, v.old = map[string]*curve.Lines{}, v.young
		}
		v.young[string(pk)] = key
	}
	return key, nil
}

func parseKey(pk []byte) (*curve.G2, error) {
	if len(pk) != PublicKeyLen {
		return nil, lengthError("public key", len(pk), PublicKeyLen)
	}
	point, err := curve.DecodeG2((*[PublicKeyLen]byte)(pk))
	if err != nil {
		return nil, errors.New("bls: public key: " + err.Error())
	}
	return point, nil
}

func lengthError(what string, got, want int) error {
	return errors.New("bls: " + what + " of " + strconv.Itoa(got) + " bytes, expected " + strconv.Itoa(want))
}
