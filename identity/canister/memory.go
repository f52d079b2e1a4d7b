package main

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
)

// memory is where everything is kept that outlives an upgrade: the canister's stable
// memory.
type memory interface {
	io.ReaderAt
	io.WriterAt
}

// Stable memory begins with a header; after it come chunks, each of which belongs to
// one region. A region is thus a memory of its own that grows without moving. All
// changes go straight there, so that an upgrade has nothing to save and costs the same
// however many anchors there are.
const (
	headerBytes   = 64 << 10
	countersAt    = 64       // the header's fields that change
	configAt      = 4 << 10  // the configuration, with its length before it
	chunkTableAt  = 32 << 10 // a byte for each chunk: whose it is
	maxChunks     = headerBytes - chunkTableAt
	maxConfig     = chunkTableAt - configAt - 4
	chunkBytes    = 1 << 20
	magic         = "portico identity"
	formatVersion = 1
)

// region is one of the memories that stable memory is divided into.
type region byte

const (
	_            region = iota // a chunk that nobody has
	anchorRegion               // a slot for each anchor
	bucketRegion               // the buckets of the index
	blockRegion                // blocks, see blocks
	regionCount
)

// regions gives each region its chunks.
type regions struct {
	mem    memory
	chunks [regionCount][]uint32
	used   uint32
}

// errFull is returned when stable memory has no chunk left, 32 GiB in all.
var errFull = errors.New("the canister is full")

// locate is where an offset of a region lies in stable memory; ok is false where the
// region does not reach.
func (r *regions) locate(g region, off uint64) (at int64, ok bool) {
	i := off / chunkBytes
	if i >= uint64(len(r.chunks[g])) {
		return 0, false
	}
	return headerBytes + int64(r.chunks[g][i])*chunkBytes + int64(off%chunkBytes), true
}

// read fills p, which must not cross the border of a chunk. What was never written is zero.
func (r *regions) read(g region, off uint64, p []byte) error {
	at, ok := r.locate(g, off)
	if !ok {
		clear(p)
		return nil
	}
	n, err := r.mem.ReadAt(p, at)
	if errors.Is(err, io.EOF) {
		clear(p[n:])
		return nil
	}
	return err
}

// write stores p, which must not cross the border of a chunk, and gives the region the
// chunks up to there.
func (r *regions) write(g region, off uint64, p []byte) error {
	for {
		at, ok := r.locate(g, off)
		if ok {
			_, err := r.mem.WriteAt(p, at)
			return err
		}
		if r.used >= maxChunks {
			return errFull
		}
		if _, err := r.mem.WriteAt([]byte{byte(g)}, chunkTableAt+int64(r.used)); err != nil {
			return err
		}
		r.chunks[g] = append(r.chunks[g], r.used)
		r.used++
	}
}

// load reads whose the chunks are.
func (r *regions) load() error {
	table := make([]byte, maxChunks)
	if _, err := r.mem.ReadAt(table, chunkTableAt); err != nil && !errors.Is(err, io.EOF) {
		return fmt.Errorf("the table of chunks: %w", err)
	}
	for i, g := range table {
		switch {
		case g == 0:
			return nil
		case region(g) >= regionCount:
			return fmt.Errorf("chunk %d belongs to the unknown region %d", i, g)
		}
		r.chunks[g] = append(r.chunks[g], uint32(i))
		r.used++
	}
	return nil
}

// counters are the numbers of the header that change.
type counters struct {
	anchors  uint64 // allocated so far
	accounts uint64 // numbered so far
	entries  uint64 // of the index
	buckets  uint64 // of the index
	blocks   uint64 // handed out at some time
	freed    uint64 // the first block of the list of free ones, plus one
	salted   uint64 // 1 once the salt is set
}

func (c *counters) fields() []*uint64 {
	return []*uint64{&c.anchors, &c.accounts, &c.entries, &c.buckets, &c.blocks, &c.freed, &c.salted}
}

func (c *counters) append(b []byte) []byte {
	for _, f := range c.fields() {
		b = binary.LittleEndian.AppendUint64(b, *f)
	}
	return b
}

func (c *counters) set(b []byte) {
	for i, f := range c.fields() {
		*f = binary.LittleEndian.Uint64(b[8*i:])
	}
}

// Blocks are pieces of one size that are chained: the number of the next one plus one,
// how many bytes this one holds, and those.
const (
	blockBytes  = 1024
	blockHeader = 8
	blockRoom   = blockBytes - blockHeader
)

// blocks keeps values of any length in chains of blocks. Chains are named by the
// number of their first block plus one; zero is no chain.
type blocks struct {
	r *regions
	c *counters
}

func (s *blocks) allocate() (uint32, error) {
	if s.c.freed == 0 {
		s.c.blocks++
		return uint32(s.c.blocks), nil
	}
	n := uint32(s.c.freed)
	var next [4]byte
	if err := s.r.read(blockRegion, s.offset(n), next[:]); err != nil {
		return 0, err
	}
	s.c.freed = uint64(binary.LittleEndian.Uint32(next[:]))
	return n, nil
}

func (s *blocks) offset(n uint32) uint64 { return uint64(n-1) * blockBytes }

// release puts one block on the list of free ones.
func (s *blocks) release(n uint32) error {
	next := binary.LittleEndian.AppendUint32(nil, uint32(s.c.freed))
	s.c.freed = uint64(n)
	return s.r.write(blockRegion, s.offset(n), next)
}

// get reads a chain's value.
func (s *blocks) get(first uint32) ([]byte, error) {
	var out []byte
	var b [blockBytes]byte
	for n := first; n != 0; n = binary.LittleEndian.Uint32(b[:]) {
		if err := s.r.read(blockRegion, s.offset(n), b[:]); err != nil {
			return nil, err
		}
		size := binary.LittleEndian.Uint16(b[4:])
		if int(size) > blockRoom {
			return nil, fmt.Errorf("block %d says it holds %d bytes", n, size)
		}
		out = append(out, b[blockHeader:blockHeader+int(size)]...)
	}
	return out, nil
}

// put writes a value over a chain, which may be none, and returns the chain.
func (s *blocks) put(first uint32, value []byte) (uint32, error) {
	need := max(1, (len(value)+blockRoom-1)/blockRoom)
	chain := make([]uint32, 0, need)
	for n := first; n != 0; {
		chain = append(chain, n)
		var next [4]byte
		if err := s.r.read(blockRegion, s.offset(n), next[:]); err != nil {
			return 0, err
		}
		n = binary.LittleEndian.Uint32(next[:])
	}
	for len(chain) > need {
		if err := s.release(chain[len(chain)-1]); err != nil {
			return 0, err
		}
		chain = chain[:len(chain)-1]
	}
	for len(chain) < need {
		n, err := s.allocate()
		if err != nil {
			return 0, err
		}
		chain = append(chain, n)
	}
	for i, n := range chain {
		part := value[min(i*blockRoom, len(value)):min((i+1)*blockRoom, len(value))]
		var next uint32
		if i+1 < len(chain) {
			next = chain[i+1]
		}
		b := binary.LittleEndian.AppendUint32(make([]byte, 0, blockBytes), next)
		b = binary.LittleEndian.AppendUint32(b, uint32(len(part)))
		if err := s.r.write(blockRegion, s.offset(n), append(b, part...)); err != nil {
			return 0, err
		}
	}
	return chain[0], nil
}
