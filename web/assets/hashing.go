package main

import (
	"errors"
	"fmt"
	"hash"

	"portico/lightclient/hashtree"
	"portico/node/cdk"
)

// digest is what certification needs to know of a content.
type digest struct {
	sha256 hashtree.Hash
	parts  []hashtree.Hash // of each piece of chunkBytes, if there are several
}

// pauseBytes is how much is hashed in one message: about five billion instructions.
const pauseBytes = 32 << 20

// digests hashes contents that are about to be set, ahead of the change and without
// changing anything itself: so a batch of any size is applied in one message, whole
// or not at all. After every pauseBytes it pauses; chunks that vanish meanwhile are
// an error. A chunk never changes, so what was hashed stays true as long as it exists.
func (s *store) digests(ops []*setContent, pause func() error) (map[*setContent]*digest, error) {
	out := map[*setContent]*digest{}
	var done uint64
	for _, op := range ops {
		size, err := s.sizeOf(op)
		if err != nil {
			return nil, err
		}
		h := newContentHash(size)
		for _, id := range op.ChunkIDs {
			chunk, ok := s.uploads.chunks[id]
			if !ok {
				return nil, errNoChunk
			}
			if err := s.space.copyTo(h, content{chunk.extent}); err != nil {
				return nil, err
			}
			if done += chunk.extent.Length; done >= pauseBytes {
				if done = 0; pause != nil {
					if err := pause(); err != nil {
						return nil, err
					}
				}
			}
		}
		if op.LastChunk != nil {
			h.add(*op.LastChunk)
			done += uint64(len(*op.LastChunk))
		}
		d := h.digest()
		if op.SHA256 != nil && string(*op.SHA256) != string(d.sha256[:]) {
			return nil, errSHA
		}
		out[op] = d
	}
	return out, nil
}

// sizeOf is how large a content will be.
func (s *store) sizeOf(op *setContent) (uint64, error) {
	if len(op.ChunkIDs) == 0 && op.LastChunk == nil {
		return 0, errors.New("encoding must have at least one chunk or contain last_chunk")
	}
	var n uint64
	for _, id := range op.ChunkIDs {
		chunk, ok := s.uploads.chunks[id]
		if !ok {
			return 0, errNoChunk
		}
		n += chunk.extent.Length
	}
	if op.LastChunk != nil {
		n += uint64(len(*op.LastChunk))
	}
	return n, nil
}

// contentHash hashes a content of a known size, and its pieces if it has several.
type contentHash struct {
	whole, part hash.Hash
	left        uint64 // in the piece
	several     bool
	parts       []hashtree.Hash
}

func newContentHash(size uint64) *contentHash {
	h := &contentHash{whole: cdk.NewSHA256(), several: size > chunkBytes}
	if h.several {
		h.part, h.left = cdk.NewSHA256(), chunkBytes
	}
	return h
}

// Write never fails.
func (h *contentHash) Write(p []byte) (int, error) {
	h.add(p)
	return len(p), nil
}

func (h *contentHash) add(p []byte) {
	h.whole.Write(p)
	for h.several && len(p) > 0 {
		n := min(h.left, uint64(len(p)))
		h.part.Write(p[:n])
		if p, h.left = p[n:], h.left-n; h.left == 0 {
			h.endPart()
		}
	}
}

func (h *contentHash) endPart() {
	h.parts = append(h.parts, hashtree.Hash(h.part.Sum(nil)))
	h.part, h.left = cdk.NewSHA256(), chunkBytes
}

// digest ends the hash.
func (h *contentHash) digest() *digest {
	if h.several && h.left < chunkBytes {
		h.endPart()
	}
	return &digest{hashtree.Hash(h.whole.Sum(nil)), h.parts}
}

// contentsOf are the contents that operations set.
func contentsOf(ops []operation) []*setContent {
	var out []*setContent
	for i := range ops {
		if op := ops[i].SetContent; op != nil {
			out = append(out, op)
		}
	}
	return out
}

// ownChunks refuses chunks of other batches. Batch 0 is none: clients commit parts of
// a batch under that number.
func (s *store) ownChunks(batch uint64, op *setContent) error {
	for _, id := range op.ChunkIDs {
		if chunk, ok := s.uploads.chunks[id]; ok && batch != 0 && chunk.batch != batch {
			return fmt.Errorf("chunk %d belongs to batch %d and not to batch %d", id, chunk.batch, batch)
		}
	}
	return nil
}
