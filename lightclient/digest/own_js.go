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
