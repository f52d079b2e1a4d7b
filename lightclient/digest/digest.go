// Package digest is SHA-256 (FIPS 180-4) for hash trees, request ids and bodies.
//
// Native programs use the processor's instructions through crypto/sha256. For
// browsers that package weighs 50 kB compressed, most of it self-tests and random
// numbers of the FIPS module, so there the digest is computed here; the tests
// compare both on every platform.
package digest

import "math/bits"

const blockLen = 64

// state is the state of a computation after whole blocks.
type state [8]uint32

var (
	start256 = state{0x6a09e667, 0xbb67ae85, 0x3c6ef372, 0xa54ff53a, 0x510e527f, 0x9b05688c, 0x1f83d9ab, 0x5be0cd19}
	start224 = state{0xc1059ed8, 0x367cd507, 0x3070dd17, 0xf70e5939, 0xffc00b31, 0x68581511, 0x64f98fa7, 0xbefa4fa4}
)

var roundKeys = [64]uint32{
	0x428a2f98, 0x71374491, 0xb5c0fbcf, 0xe9b5dba5, 0x3956c25b, 0x59f111f1, 0x923f82a4, 0xab1c5ed5,
	0xd807aa98, 0x12835b01, 0x243185be, 0x550c7dc3, 0x72be5d74, 0x80deb1fe, 0x9bdc06a7, 0xc19bf174,
	0xe49b69c1, 0xefbe4786, 0x0fc19dc6, 0x240ca1cc, 0x2de92c6f, 0x4a7484aa, 0x5cb0a9dc, 0x76f988da,
	0x983e5152, 0xa831c66d, 0xb00327c8, 0xbf597fc7, 0xc6e00bf3, 0xd5a79147, 0x06ca6351, 0x14292967,
	0x27b70a85, 0x2e1b2138, 0x4d2c6dfc, 0x53380d13, 0x650a7354, 0x766a0abb, 0x81c2c92e, 0x92722c85,
	0xa2bfe8a1, 0xa81a664b, 0xc24b8b70, 0xc76c51a3, 0xd192e819, 0xd6990624, 0xf40e3585, 0x106aa070,
	0x19a4c116, 0x1e376c08, 0x2748774c, 0x34b0bcb5, 0x391c0cb3, 0x4ed8aa4a, 0x5b9cca4f, 0x682e6ff3,
	0x748f82ee, 0x78a5636f, 0x84c87814, 0x8cc70208, 0x90befffa, 0xa4506ceb, 0xbef9a3f7, 0xc67178f2,
}

// running is a computation that goes on.
type running struct {
	s     state
	tail  [2 * blockLen]byte // what is left of the parts so far, less than a block
	n     int                // of tail
	total uint64
}

// sum digests the parts one after the other.
func sum(s state, parts ...[]byte) [32]byte {
	r := running{s: s}
	for _, p := range parts {
		r.write(p)
	}
	return r.finish()
}

func (r *running) write(p []byte) {
	r.total += uint64(len(p))
	if r.n > 0 {
		k := copy(r.tail[r.n:blockLen], p)
		r.n, p = r.n+k, p[k:]
		if r.n == blockLen {
			r.s.blocks(r.tail[:blockLen])
			r.n = 0
		}
	}
	if whole := len(p) &^ (blockLen - 1); whole > 0 {
		r.s.blocks(p[:whole])
		p = p[whole:]
	}
	r.n += copy(r.tail[r.n:], p)
}

// finish ends the computation.
func (r *running) finish() [32]byte {
	clear(r.tail[r.n:])
	r.tail[r.n] = 0x80
	end := blockLen
	if r.n+9 > blockLen {
		end = 2 * blockLen
	}
	for i := range 8 {
		r.tail[end-1-i] = byte(8 * r.total >> (8 * i))
	}
	r.s.blocks(r.tail[:end])
	var out [32]byte
	for i, v := range r.s {
		out[4*i], out[4*i+1], out[4*i+2], out[4*i+3] = byte(v>>24), byte(v>>16), byte(v>>8), byte(v)
	}
	return out
}

// blocks digests whole blocks.
func (s *state) blocks(p []byte) {
	var w [64]uint32
	for ; len(p) >= blockLen; p = p[blockLen:] {
		for i := range 16 {
			w[i] = uint32(p[4*i])<<24 | uint32(p[4*i+1])<<16 | uint32(p[4*i+2])<<8 | uint32(p[4*i+3])
		}
		for i := 16; i < 64; i++ {
			x, y := w[i-15], w[i-2]
			s0 := bits.RotateLeft32(x, -7) ^ bits.RotateLeft32(x, -18) ^ x>>3
			s1 := bits.RotateLeft32(y, -17) ^ bits.RotateLeft32(y, -19) ^ y>>10
			w[i] = w[i-16] + s0 + w[i-7] + s1
		}
		a, b, c, d, e, f, g, h := s[0], s[1], s[2], s[3], s[4], s[5], s[6], s[7]
		for i := range 64 {
			t1 := h + (bits.RotateLeft32(e, -6) ^ bits.RotateLeft32(e, -11) ^ bits.RotateLeft32(e, -25)) + (e&f ^ ^e&g) + roundKeys[i] + w[i]
			t2 := (bits.RotateLeft32(a, -2) ^ bits.RotateLeft32(a, -13) ^ bits.RotateLeft32(a, -22)) + (a&b ^ a&c ^ b&c)
			h, g, f, e, d, c, b, a = g, f, e, d+t1, c, b, a, t1+t2
		}
		s[0], s[1], s[2], s[3], s[4], s[5], s[6], s[7] = s[0]+a, s[1]+b, s[2]+c, s[3]+d, s[4]+e, s[5]+f, s[6]+g, s[7]+h
	}
}
