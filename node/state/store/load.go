package store

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"slices"

	"golang.org/x/sync/errgroup"

	"portico/node/state/heap"
	"portico/node/types"
)

// WholeFile is the Chunk of a Corrupt that is not about one chunk.
const WholeFile = -1

// Corrupt says that a checkpoint is not as it was written. No part of it is served.
type Corrupt struct {
	File    string
	Chunk   int // index of the 1-MiB chunk, or WholeFile
	Problem string
}

func (c *Corrupt) Error() string {
	if c.Chunk == WholeFile {
		return fmt.Sprintf("store: %s is damaged: %s", c.File, c.Problem)
	}
	return fmt.Sprintf("store: %s is damaged at byte %d (chunk %d): %s", c.File, c.Chunk*chunkBytes, c.Chunk, c.Problem)
}

// Loaded is a verified checkpoint. It can be read until the next Write.
type Loaded struct {
	Height types.Height
	Root   types.Hash

	s   *Store
	m   *manifest
	dir string
}

// Latest verifies every file of the newest checkpoint against its manifest and returns it, or nil if
// there is none. An error that is a *Corrupt names what is damaged.
func (s *Store) Latest() (*Loaded, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	heights, err := s.heights()
	if err != nil || len(heights) == 0 {
		return nil, err
	}
	dir := s.folder(heights[len(heights)-1])
	m, err := readManifest(dir)
	if err != nil {
		return nil, err
	}
	var group errgroup.Group
	group.SetLimit(s.workers)
	for _, e := range m.Entries {
		group.Go(func() error { return verify(e, dir) })
	}
	if err := group.Wait(); err != nil {
		return nil, err
	}
	s.latest = m
	return &Loaded{Height: m.Height, Root: m.Root, s: s, m: m, dir: dir}, nil
}

func verify(e entry, dir string) error {
	path := e.path(dir)
	st, err := os.Stat(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return &Corrupt{path, WholeFile, "it is missing"}
	case err != nil:
		return fmt.Errorf("store: %w", err)
	case uint64(st.Size()) != e.Size || !st.Mode().IsRegular():
		return &Corrupt{path, WholeFile, fmt.Sprintf("%d bytes, want a file of %d", st.Size(), e.Size)}
	}
	got := make([]types.Hash, len(e.Chunks))
	if err := rehash(path, e.Size, []heap.Range{{Off: 0, Len: e.Size}}, got, nil); err != nil {
		return fmt.Errorf("store: %w", err)
	}
	return compare(path, e.Chunks, got)
}

func compare(path string, want, got []types.Hash) error {
	for i := range want {
		if want[i] != got[i] {
			return &Corrupt{path, i, fmt.Sprintf("its hash is %x, want %x", got[i], want[i])}
		}
	}
	return nil
}

// Hash is the checkpoint's Store.Hash.
func (l *Loaded) Hash() types.Hash { return l.m.hash() }

// Has reports whether there is a memory of that name.
func (l *Loaded) Has(memory string) bool {
	_, ok := l.m.find(kindMemory, memory)
	return ok
}

// Blob returns a blob, verified once more.
func (l *Loaded) Blob(name string) ([]byte, error) {
	e, err := l.entry(kindBlob, name)
	if err != nil {
		return nil, err
	}
	b, err := os.ReadFile(e.path(l.dir))
	if err != nil {
		return nil, fmt.Errorf("store: %w", err)
	}
	if uint64(len(b)) != e.Size {
		return nil, &Corrupt{e.path(l.dir), WholeFile, fmt.Sprintf("%d bytes, want %d", len(b), e.Size)}
	}
	var got []types.Hash
	for chunk := range slices.Chunk(b, chunkBytes) {
		got = append(got, chunkSum(chunk))
	}
	if err := compare(e.path(l.dir), e.Chunks, got); err != nil {
		return nil, err
	}
	return b, nil
}

// Memory opens a memory at workPath, on the same file system, without copying it.
func (l *Loaded) Memory(name, workPath string, b heap.Backend) (*heap.Memory, error) {
	e, err := l.entry(kindMemory, name)
	if err != nil {
		return nil, err
	}
	m, err := heap.OpenCheckpoint(e.path(l.dir), workPath, b)
	if err != nil {
		return nil, err
	}
	l.s.mu.Lock()
	defer l.s.mu.Unlock()
	l.s.sums[m] = &sums{number: m.Checkpoints(), chunks: e.Chunks, pieces: map[uint64]*pieceSums{}}
	return m, nil
}

// LinkedFile makes path, which must not exist, a link to a linked file.
func (l *Loaded) LinkedFile(name, path string) error {
	e, err := l.entry(kindFile, name)
	if err != nil {
		return err
	}
	if err := os.Link(e.path(l.dir), path); err != nil {
		return fmt.Errorf("store: %w", err)
	}
	return nil
}

func (l *Loaded) entry(k kind, name string) (entry, error) {
	e, ok := l.m.find(k, name)
	if !ok {
		return e, fmt.Errorf("store: checkpoint %d has no %q among its %s", l.Height, name, k.folder(""))
	}
	return e, nil
}
