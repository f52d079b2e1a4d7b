package store

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"fmt"
	"os"
	"sync"

	"golang.org/x/sys/unix"

	"portico/node/state/heap"
	"portico/node/types"
)

// chunksOf is the number of chunks of a file of size bytes.
func chunksOf(size uint64) uint64 { return (size + chunkBytes - 1) / chunkBytes }

// zeroChunk is the hash of a whole chunk of zeros, of which sparse memories have many.
var zeroChunk = sync.OnceValue(func() types.Hash { return sha256.Sum256(make([]byte, chunkBytes)) })

// rehash hashes the chunks of the file that ranges, in order, touch.
func rehash(path string, size uint64, ranges []heap.Range, into []types.Hash) error {
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	defer f.Close()
	h := chunkHasher{f: f, size: size}
	next := uint64(0)
	for _, r := range ranges {
		if r.Len == 0 {
			continue
		}
		for i := max(next, r.Off/chunkBytes); i <= (r.Off+r.Len-1)/chunkBytes; i++ {
			if into[i], err = h.hash(i); err != nil {
				return err
			}
			next = i + 1
		}
	}
	return nil
}

// A chunkHasher hashes the chunks of a file in ascending order, skipping holes.
type chunkHasher struct {
	f    *os.File
	size uint64
	data uint64 // there is only a hole from the last chunk's end up to here
	buf  []byte
}

func (h *chunkHasher) hash(i uint64) (types.Hash, error) {
	off := i * chunkBytes
	n := min(h.size-off, chunkBytes)
	if err := h.seek(off); err != nil {
		return types.Hash{}, err
	}
	if n == chunkBytes && h.data >= off+n {
		return zeroChunk(), nil
	}
	if h.buf == nil {
		h.buf = make([]byte, min(h.size, chunkBytes))
	}
	b := h.buf[:n]
	if _, err := h.f.ReadAt(b, int64(off)); err != nil {
		return types.Hash{}, fmt.Errorf("%s: reading chunk %d: %w", h.f.Name(), i, err)
	}
	if n == chunkBytes && b[0] == 0 && bytes.Equal(b[1:], b[:n-1]) {
		return zeroChunk(), nil
	}
	return sha256.Sum256(b), nil
}

// seek finds the first data at or after off.
func (h *chunkHasher) seek(off uint64) error {
	if h.data > off {
		return nil
	}
	data, err := h.f.Seek(int64(off), unix.SEEK_DATA)
	switch {
	case err == nil:
		h.data = uint64(data)
	case errors.Is(err, unix.ENXIO):
		h.data = h.size
	case errors.Is(err, unix.EINVAL): // a file system that does not know its holes
		h.data = off
	default:
		return fmt.Errorf("%s: looking for data from %d on: %w", h.f.Name(), off, err)
	}
	return nil
}
