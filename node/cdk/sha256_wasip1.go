package cdk

import (
	"encoding/binary"
	"hash"
	"runtime"
)

const (
	sha256Size  = 32
	sha256Block = 64
)

// sha256Hash is SHA-256 over the linker's compression function.
type sha256Hash struct {
	state  [8]uint32
	length uint64
	rest   [sha256Block]byte // the last length%sha256Block bytes
}

func newSHA256() hash.Hash {
	h := new(sha256Hash)
	h.Reset()
	return h
}

func (h *sha256Hash) Size() int      { return sha256Size }
func (h *sha256Hash) BlockSize() int { return sha256Block }

func (h *sha256Hash) Reset() {
	// the first 32 bits of the fractional parts of the square roots of the first 8 primes
	*h = sha256Hash{state: [8]uint32{0x6a09e667, 0xbb67ae85, 0x3c6ef372, 0xa54ff53a, 0x510e527f, 0x9b05688c, 0x1f83d9ab, 0x5be0cd19}}
}

func (h *sha256Hash) Write(p []byte) (int, error) {
	n := len(p)
	if have := int(h.length % sha256Block); have > 0 {
		took := copy(h.rest[have:], p)
		h.length += uint64(took)
		p = p[took:]
		if have+took < sha256Block {
			return n, nil
		}
		h.compress(h.rest[:])
	}
	whole := len(p) &^ (sha256Block - 1)
	h.compress(p[:whole])
	copy(h.rest[:], p[whole:])
	h.length += uint64(len(p))
	return n, nil
}

func (h *sha256Hash) compress(blocks []byte) {
	if len(blocks) > 0 {
		sha256Blocks(addr(&h.state), addr(&blocks[0]), uint32(len(blocks)/sha256Block))
		runtime.KeepAlive(blocks)
		runtime.KeepAlive(h)
	}
}

// Sum leaves h as it is.
func (h *sha256Hash) Sum(b []byte) []byte {
	end := *h
	bits := end.length * 8
	pad := make([]byte, 1, 2*sha256Block)
	pad[0] = 0x80
	for (int(end.length)+len(pad))%sha256Block != sha256Block-8 {
		pad = append(pad, 0)
	}
	// a Write of whole blocks never fails
	_, _ = end.Write(binary.BigEndian.AppendUint64(pad, bits))
	for _, v := range end.state {
		b = binary.BigEndian.AppendUint32(b, v)
	}
	return b
}
