package digest

// Sum256 is the SHA-256 of b.
func Sum256(b []byte) [32]byte { return sum(start256, b) }

// Of is the SHA-256 of the parts one after the other.
func Of(parts ...[]byte) [32]byte { return sum(start256, parts...) }

// Sum224 is the SHA-224 of b.
func Sum224(b []byte) [28]byte {
	h := sum(start224, b)
	return [28]byte(h[:28])
}

// A Hash is the SHA-256 of bytes that come one after the other.
type Hash struct{ r running }

// New begins with no bytes.
func New() *Hash { return &Hash{running{s: start256}} }

// Add adds bytes.
func (h *Hash) Add(b []byte) { h.r.write(b) }

// Sum is the digest of all bytes that were added; nothing can be added any more.
func (h *Hash) Sum() [32]byte { return h.r.finish() }
