package store

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"fmt"
	"os"
	"slices"
	"sync"

	"golang.org/x/sys/unix"

	"portico/node/state/heap"
	"portico/node/types"
)

// chunksOf is the number of chunks of a file of size bytes.
func chunksOf(size uint64) uint64 { return (size + chunkBytes - 1) / chunkBytes }

// pieceBytes is the unit in which a chunk is hashed again: if pages here and there were written, a
// chunk each, hashing takes a sixteenth of what it takes with whole chunks.
const pieceBytes = types.WasmPageBytes

const piecesPerChunk = chunkBytes / pieceBytes

// pieceSums are the SHA-256 of a chunk's pieces, in order.
type pieceSums [piecesPerChunk]types.Hash

// chunkSum is the hash of a chunk: the SHA-256 of the SHA-256 of its pieces of 64 KiB.
func chunkSum(chunk []byte) types.Hash {
	var sums pieceSums
	n := 0
	for piece := range slices.Chunk(chunk, pieceBytes) {
		sums[n] = sha256.Sum256(piece)
		n++
	}
	return sums.sum(n)
}

// sum is the hash of a chunk of n pieces.
func (s *pieceSums) sum(n int) types.Hash {
	h := sha256.New()
	for i := range n {
		h.Write(s[i][:])
	}
	return types.Hash(h.Sum(nil))
}

// Hashes of a whole piece and of a whole chunk of zeros, of which sparse memories have many.
var (
	zeroPiece = sync.OnceValue(func() types.Hash { return sha256.Sum256(make([]byte, pieceBytes)) })
	zeroChunk = sync.OnceValue(func() types.Hash { return chunkSum(make([]byte, chunkBytes)) })
)

// rehash hashes the chunks of the file that ranges, in order, touch. What it knows of their other
// pieces is in pieces, which may be nil, by chunk; chunks of zeros need not be there.
func rehash(path string, size uint64, ranges []heap.Range, into []types.Hash, pieces map[uint64]*pieceSums) error {
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	defer f.Close()
	if len(ranges) > 1 {
		scattered(f)
	}
	h := chunkHasher{f: f, size: size, pieces: pieces}
	var chunk uint64
	var touched uint16 // pieces of chunk
	flush := func() (err error) {
		if touched != 0 {
			into[chunk], err = h.hash(chunk, touched, into[chunk])
		}
		touched = 0
		return err
	}
	for _, r := range ranges {
		for off, end := r.Off, r.Off+r.Len; off < end; {
			if off/chunkBytes != chunk {
				if err := flush(); err != nil {
					return err
				}
				chunk = off / chunkBytes
			}
			touched |= 1 << (off % chunkBytes / pieceBytes)
			off = (off/pieceBytes + 1) * pieceBytes
		}
	}
	return flush()
}

// A chunkHasher hashes the chunks of a file in ascending order, skipping holes.
type chunkHasher struct {
	f      *os.File
	size   uint64
	pieces map[uint64]*pieceSums
	data   uint64 // there is only a hole from the last chunk's end up to here
	buf    []byte
}

// hash returns the hash of chunk i, which was another before some of its pieces were touched.
func (h *chunkHasher) hash(i uint64, touched uint16, was types.Hash) (types.Hash, error) {
	off := i * chunkBytes
	n := min(h.size-off, chunkBytes)
	if err := h.seek(off); err != nil {
		return types.Hash{}, err
	}
	if n == chunkBytes && h.data >= off+n {
		delete(h.pieces, i)
		return zeroChunk(), nil
	}
	known := h.pieces[i]
	if known == nil {
		known = &pieceSums{}
		if was == zeroChunk() {
			for p := range known {
				known[p] = zeroPiece()
			}
		} else {
			touched = 1<<piecesPerChunk - 1
		}
		if h.pieces != nil {
			h.pieces[i] = known
		}
	}
	count := 0
	for at := uint64(0); at < n; at += pieceBytes {
		if touched>>count&1 == 1 {
			sum, err := h.piece(off+at, min(n-at, pieceBytes))
			if err != nil {
				return types.Hash{}, fmt.Errorf("%s: reading chunk %d: %w", h.f.Name(), i, err)
			}
			known[count] = sum
		}
		count++
	}
	return known.sum(count), nil
}

// piece hashes n bytes from off on.
func (h *chunkHasher) piece(off, n uint64) (types.Hash, error) {
	if h.buf == nil {
		h.buf = make([]byte, min(h.size, pieceBytes))
	}
	b := h.buf[:n]
	if _, err := h.f.ReadAt(b, int64(off)); err != nil {
		return types.Hash{}, err
	}
	if n == pieceBytes && b[0] == 0 && bytes.Equal(b[1:], b[:n-1]) {
		return zeroPiece(), nil
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
