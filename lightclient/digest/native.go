//go:build !js

package digest

import (
	"crypto/sha256"
	"hash"
)

// Sum256 is the SHA-256 of b.
func Sum256(b []byte) [32]byte { return sha256.Sum256(b) }

// Of is the SHA-256 of the parts one after the other.
func Of(parts ...[]byte) (out [32]byte) {
	h := sha256.New()
	for _, p := range parts {
		h.Write(p)
	}
	h.Sum(out[:0])
	return out
}

// Sum224 is the SHA-224 of b.
func Sum224(b []byte) [28]byte { return sha256.Sum224(b) }

// A Hash is the SHA-256 of bytes that come one after the other.
type Hash struct{ h hash.Hash }

// New begins with no bytes.
func New() *Hash { return &Hash{sha256.New()} }

// Add adds bytes.
func (h *Hash) Add(b []byte) { h.h.Write(b) }

// Sum is the digest of all bytes that were added; nothing can be added any more.
func (h *Hash) Sum() [32]byte { return [32]byte(h.h.Sum(nil)) }
