// Package stable keeps values in a canister's stable memory, where they outlive upgrades.
//
// Stable memory begins with a header: what it is, a secret, some counters, a
// configuration. After it come chunks, each of which belongs to one region. A region is
// thus a memory of its own that grows without moving. Upon regions there are blocks, for
// values of any length, and an index, for finding things by name. All changes go straight
// to stable memory, so that an upgrade has nothing to save and costs the same however
// much there is.
package stable

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
)

// Medium is what everything is written to: a canister's stable memory. Reading beyond its
// end returns io.EOF, writing there makes it longer.
type Medium interface {
	io.ReaderAt
	io.WriterAt
}

// Where the parts of the header are.
const (
	headerBytes  = 64 << 10
	versionAt    = MagicBytes
	secretAt     = versionAt + 4
	countersAt   = 64
	configAt     = 4 << 10  // with its length before it
	chunkTableAt = 32 << 10 // a byte for each chunk: whose it is

	// MagicBytes is the length of what tells one program's memory from another's.
	MagicBytes = 16
	// SecretBytes is the length of the secret.
	SecretBytes = 32
	// ChunkBytes is the size of a chunk. What is read or written at once must not cross the
	// border of one.
	ChunkBytes = 1 << 20
	// MaxChunks is how many chunks all regions have together, 32 GiB.
	MaxChunks = headerBytes - chunkTableAt
	// MaxConfig is how many bytes a configuration has at most.
	MaxConfig = chunkTableAt - configAt - 4

	maxCounters = (configAt - countersAt) / 8
)

// Region names one of the memories that stable memory is divided into, from 1 to
// MaxRegions.
type Region byte

// MaxRegions is how many regions there can be.
const MaxRegions = 8

// Regions gives each region its chunks. It is not for use by several goroutines at once.
type Regions struct {
	medium Medium
	chunks [MaxRegions + 1][]uint32
	used   uint32
}

// New is what a medium holds. Begin or Open comes next.
func New(m Medium) *Regions { return &Regions{medium: m} }

// Begin writes the header of a medium that was empty. The magic has MagicBytes bytes.
func (r *Regions) Begin(magic string, version uint32) error {
	h := make([]byte, configAt+4)
	if copy(h, magic) != MagicBytes {
		return fmt.Errorf("the magic %q has not %d bytes", magic, MagicBytes)
	}
	binary.LittleEndian.PutUint32(h[versionAt:], version)
	_, err := r.medium.WriteAt(h, 0)
	return err
}

// Open reads whose the chunks are. It fails if the medium is another program's or of
// another version.
func (r *Regions) Open(magic string, version uint32) error {
	h := make([]byte, secretAt)
	if _, err := r.medium.ReadAt(h, 0); err != nil && !errors.Is(err, io.EOF) {
		return err
	}
	if string(h[:MagicBytes]) != magic {
		return errors.New("stable memory holds the state of another program")
	}
	if v := binary.LittleEndian.Uint32(h[versionAt:]); v != version {
		return fmt.Errorf("stable memory has format version %d, this code knows %d", v, version)
	}
	return r.loadTable()
}

// Secret reads the secret, which is zero until it is set.
func (r *Regions) Secret() (s [SecretBytes]byte, err error) {
	_, err = r.medium.ReadAt(s[:], secretAt)
	return s, err
}

// SetSecret writes the secret.
func (r *Regions) SetSecret(s [SecretBytes]byte) error {
	_, err := r.medium.WriteAt(s[:], secretAt)
	return err
}

// Counters reads as many counters as there are pointers. Those never written are zero.
func (r *Regions) Counters(into []*uint64) error {
	b := make([]byte, 8*len(into))
	if _, err := r.medium.ReadAt(b, countersAt); err != nil {
		return fmt.Errorf("the counters: %w", err)
	}
	for i, f := range into {
		*f = binary.LittleEndian.Uint64(b[8*i:])
	}
	return nil
}

// SetCounters writes counters, of which there is room for some hundred.
func (r *Regions) SetCounters(from []*uint64) error {
	if len(from) > maxCounters {
		return fmt.Errorf("there is room for %d counters, not %d", maxCounters, len(from))
	}
	b := make([]byte, 0, 8*len(from))
	for _, f := range from {
		b = binary.LittleEndian.AppendUint64(b, *f)
	}
	_, err := r.medium.WriteAt(b, countersAt)
	return err
}

// Config reads the configuration, empty if none was written.
func (r *Regions) Config() ([]byte, error) {
	var size [4]byte
	if _, err := r.medium.ReadAt(size[:], configAt); err != nil {
		return nil, fmt.Errorf("the configuration: %w", err)
	}
	n := binary.LittleEndian.Uint32(size[:])
	if n > MaxConfig {
		return nil, fmt.Errorf("the configuration says it has %d bytes", n)
	}
	b := make([]byte, n)
	if n == 0 {
		return b, nil
	}
	if _, err := r.medium.ReadAt(b, configAt+4); err != nil {
		return nil, fmt.Errorf("the configuration: %w", err)
	}
	return b, nil
}

// SetConfig writes the configuration, of MaxConfig bytes at most.
func (r *Regions) SetConfig(b []byte) error {
	if len(b) > MaxConfig {
		return fmt.Errorf("the configuration has %d bytes, at most %d fit", len(b), MaxConfig)
	}
	_, err := r.medium.WriteAt(append(binary.LittleEndian.AppendUint32(nil, uint32(len(b))), b...), configAt)
	return err
}

// ErrFull is returned when stable memory has no chunk left, 32 GiB in all.
var ErrFull = errors.New("the canister is full")

// locate is where an offset of a region lies in stable memory; ok is false where the
// region does not reach.
func (r *Regions) locate(g Region, off uint64) (at int64, ok bool) {
	i := off / ChunkBytes
	if i >= uint64(len(r.chunks[g])) {
		return 0, false
	}
	return headerBytes + int64(r.chunks[g][i])*ChunkBytes + int64(off%ChunkBytes), true
}

// Read fills p, which must not cross the border of a chunk. What was never written is zero.
func (r *Regions) Read(g Region, off uint64, p []byte) error {
	at, ok := r.locate(g, off)
	if !ok {
		clear(p)
		return nil
	}
	n, err := r.medium.ReadAt(p, at)
	if errors.Is(err, io.EOF) {
		clear(p[n:])
		return nil
	}
	return err
}

// Write stores p, which must not cross the border of a chunk, and gives the region the
// chunks up to there.
func (r *Regions) Write(g Region, off uint64, p []byte) error {
	for {
		at, ok := r.locate(g, off)
		if ok {
			_, err := r.medium.WriteAt(p, at)
			return err
		}
		if r.used >= MaxChunks {
			return ErrFull
		}
		if _, err := r.medium.WriteAt([]byte{byte(g)}, chunkTableAt+int64(r.used)); err != nil {
			return err
		}
		r.chunks[g] = append(r.chunks[g], r.used)
		r.used++
	}
}

// loadTable reads whose the chunks are.
func (r *Regions) loadTable() error {
	table := make([]byte, MaxChunks)
	if _, err := r.medium.ReadAt(table, chunkTableAt); err != nil && !errors.Is(err, io.EOF) {
		return fmt.Errorf("the table of chunks: %w", err)
	}
	for i, g := range table {
		switch {
		case g == 0:
			return nil
		case g > MaxRegions:
			return fmt.Errorf("chunk %d belongs to the unknown region %d", i, g)
		}
		r.chunks[g] = append(r.chunks[g], uint32(i))
		r.used++
	}
	return nil
}
