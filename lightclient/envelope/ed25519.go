//go:build !js

package envelope

// Browsers have Ed25519 themselves, and keys there that no program can read.

import (
	"crypto/ed25519"
	"errors"
)

// Ed25519 is a Signer whose key is in memory.
type Ed25519 struct{ key ed25519.PrivateKey }

// NewEd25519 makes a Signer of the 32 secret bytes of RFC 8032.
func NewEd25519(seed []byte) (Ed25519, error) {
	if len(seed) != ed25519.SeedSize {
		return Ed25519{}, errors.New("envelope: an Ed25519 seed has 32 bytes")
	}
	return Ed25519{ed25519.NewKeyFromSeed(seed)}, nil
}

// ed25519DER precedes the 32 bytes of a public key (RFC 8410).
const ed25519DER = "\x30\x2a\x30\x05\x06\x03\x2b\x65\x70\x03\x21\x00"

// PublicKey is the DER form of RFC 8410, 44 bytes.
func (k Ed25519) PublicKey() []byte {
	return append([]byte(ed25519DER), k.key.Public().(ed25519.PublicKey)...)
}

// Sign never fails.
func (k Ed25519) Sign(msg []byte) ([]byte, error) { return ed25519.Sign(k.key, msg), nil }
