// Package store keeps checkpoints of the replicated state on disk. It promises that,
// whenever the process or the machine stops, the newest checkpoint whose Write returned is
// there when it starts again, whole; and that what was changed behind its back is named, never served.
//
// A checkpoint is the folder <height> with three kinds of files and a manifest, which
// has a hash of every MiB of each (chunkSum):
//
//	<height>/blobs/…      bytes that the caller made, such as the encoded state
//	<height>/memories/…   canister memories: hard links that heap.Memory makes
//	<height>/files/…      immutable files of others, such as Wasm modules: hard links
//	<height>/manifest
//
// It is written as the folder writing-<height>; when every file and folder is synced, that is
// renamed, the parent synced, and only then the older checkpoint removed. What did not
// change since that one costs a hard link and no hashing.
//
// Checkpoints and working files must lie on one file system.
package store

import (
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync"

	"golang.org/x/sync/errgroup"

	"portico/node/state/heap"
	"portico/node/types"
)

// Checkpoint is what Write keeps. Names are any strings of 1 to 100 bytes, of each kind
// their own.
type Checkpoint struct {
	Height      types.Height
	Root        types.Hash // of the certified state tree
	Blobs       map[string][]byte
	Memories    map[string]*heap.Memory // their published content
	LinkedFiles map[string]string       // name -> path of a file that never changes
}

// A Store is a folder of checkpoints. Its methods may be called at any time; Write calls
// run one after the other. A folder belongs to one Store at a time.
type Store struct {
	dir     string
	files   files
	workers int

	mu     sync.Mutex
	latest *manifest // nil: there is none, or it was not read yet
	sums   map[*heap.Memory]*sums
	busy   []*heap.Memory // those that the last Write found changed
}

// sums are the hashes of a memory as of its checkpoint with that number. Those of the pieces of
// chunks, for each that was written since the process started, take 512 bytes for a MiB.
type sums struct {
	number uint64
	chunks []types.Hash
	pieces map[uint64]*pieceSums
}

const (
	manifestName  = "manifest"
	writingPrefix = "writing-"
)

// Open opens the folder of checkpoints, makes it if there is none, and removes what a
// crash left over. The checkpoint itself is read by Latest.
func Open(dir string) (*Store, error) {
	s := &Store{dir: dir, workers: runtime.GOMAXPROCS(0), sums: map[*heap.Memory]*sums{}}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return nil, fmt.Errorf("store: %w", err)
	}
	heights, err := s.heights()
	if err != nil {
		return nil, err
	}
	if len(heights) == 0 {
		return s, s.clean(0)
	}
	return s, s.clean(heights[len(heights)-1])
}

// Write makes c durable and removes the checkpoint before it. Heights must increase. After an
// error the older checkpoint is still there, unless the error says that c stands.
func (s *Store) Write(c Checkpoint) error {
	w, err := s.Begin(c)
	if err != nil {
		return err
	}
	return w.Finish()
}

// A Writing is a checkpoint that is being made.
type Writing struct {
	store  *Store
	c      Checkpoint
	folder string
	linked map[string]linked // by the memory's name
}

// linked is a memory that is part of a checkpoint but for its hashes and its durability.
type linked struct {
	delta heap.Delta
	sync  func() error
}

// Begin begins a checkpoint: its memories are those of now, whatever is published afterwards. The
// rest is Finish, which must be called, and before the next Begin. It may take seconds, and rounds
// may go on meanwhile; only a large memory's may have to wait (heap.Memory.Link).
func (s *Store) Begin(c Checkpoint) (*Writing, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	heights, err := s.heights()
	if err != nil {
		return nil, err
	}
	if n := len(heights); n > 0 && c.Height <= heights[n-1] {
		return nil, fmt.Errorf("store: checkpoint %d after checkpoint %d", c.Height, heights[n-1])
	}
	if err := s.readLatest(heights); err != nil {
		return nil, err
	}
	w := &Writing{store: s, c: c, folder: filepath.Join(s.dir, writingPrefix+strconv.FormatUint(uint64(c.Height), 10)), linked: map[string]linked{}}
	if err := s.files.removeAll(w.folder); err != nil {
		return nil, err
	}
	if err := w.link(); err != nil {
		return nil, w.failed(err)
	}
	return w, nil
}

// link makes the folders, and links to the memories.
func (w *Writing) link() error {
	s := w.store
	for _, d := range []string{w.folder, kindBlob.folder(w.folder), kindMemory.folder(w.folder), kindFile.folder(w.folder)} {
		if err := s.files.mkdir(d); err != nil {
			return err
		}
	}
	var group errgroup.Group
	group.SetLimit(s.workers)
	var mu sync.Mutex // w.linked
	for _, name := range slices.Sorted(maps.Keys(w.c.Memories)) {
		group.Go(func() error {
			if err := checkName(name); err != nil {
				return err
			}
			path := entry{Kind: kindMemory, Name: name}.path(w.folder)
			if err := s.files.before("checkpoint", path); err != nil {
				return err
			}
			d, sync, err := w.c.Memories[name].Link(path)
			if err != nil {
				return err
			}
			mu.Lock()
			defer mu.Unlock()
			w.linked[name] = linked{d, sync}
			return nil
		})
	}
	return group.Wait()
}

// failed gives the checkpoint up.
func (w *Writing) failed(err error) error {
	w.settle()
	return errors.Join(fmt.Errorf("store: checkpoint %d: %w", w.c.Height, err), w.store.files.removeAll(w.folder))
}

// settle lets the memories go on.
func (w *Writing) settle() {
	for name := range w.linked {
		w.c.Memories[name].Settle()
	}
}

// Finish makes the checkpoint durable and removes the one before it. After an error that one is
// still there, unless the error says that the new one stands.
func (w *Writing) Finish() error {
	s := w.store
	s.mu.Lock()
	defer s.mu.Unlock()
	m, err := s.fill(w)
	if err == nil {
		err = s.files.rename(w.folder, s.folder(w.c.Height))
	}
	if err != nil {
		return w.failed(err)
	}
	// Removing older checkpoints sets their files free for the memories to use again.
	defer w.settle()
	s.latest = m
	if err := s.files.sync(s.dir); err != nil {
		return fmt.Errorf("store: checkpoint %d may or may not stand: %w", w.c.Height, err)
	}
	s.busy = nil
	kept := map[*heap.Memory]bool{}
	for name, x := range w.linked {
		kept[w.c.Memories[name]] = true
		if len(x.delta.Changed) > 0 {
			s.busy = append(s.busy, w.c.Memories[name])
		}
	}
	maps.DeleteFunc(s.sums, func(m *heap.Memory, _ *sums) bool { return !kept[m] })
	if err := s.clean(w.c.Height); err != nil {
		return fmt.Errorf("store: checkpoint %d stands, but: %w", w.c.Height, err)
	}
	return nil
}

// Prepare spares the round after a checkpoint the work of heap.Memory.Prepare, for the memories
// that changed before it: they will again. It takes seconds for each GiB of a memory that has
// no second file yet, and is meant to be called after Write, while rounds go on.
func (s *Store) Prepare() error {
	s.mu.Lock()
	busy := s.busy
	s.busy = nil
	s.mu.Unlock()
	for _, m := range busy {
		if err := m.Prepare(); err != nil {
			return err
		}
	}
	return nil
}

// Hash identifies all of the newest checkpoint's state, heaps included: blobs and memories
// with their sizes and the hashes of their chunks. It is the same on every node with the same
// state, and zero before the first Write or Latest.
func (s *Store) Hash() types.Hash {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.latest.hash()
}

// fill completes the folder of a checkpoint, synced.
func (s *Store) fill(w *Writing) (*manifest, error) {
	dir, c := w.folder, w.c
	var jobs []func() (entry, error)
	for _, name := range slices.Sorted(maps.Keys(c.Blobs)) {
		jobs = append(jobs, func() (entry, error) { return s.writeBlob(dir, name, c.Blobs[name]) })
	}
	var mu sync.Mutex // s.sums
	for _, name := range slices.Sorted(maps.Keys(c.Memories)) {
		jobs = append(jobs, func() (entry, error) { return s.hashMemory(dir, name, c.Memories[name], w.linked[name], &mu) })
	}
	for _, name := range slices.Sorted(maps.Keys(c.LinkedFiles)) {
		jobs = append(jobs, func() (entry, error) { return s.linkFile(dir, name, c.LinkedFiles[name]) })
	}
	m := &manifest{Height: c.Height, Root: c.Root, Entries: make([]entry, len(jobs))}
	var group errgroup.Group
	group.SetLimit(s.workers)
	for i, job := range jobs {
		group.Go(func() (err error) {
			m.Entries[i], err = job()
			return err
		})
	}
	if err := group.Wait(); err != nil {
		return nil, err
	}
	if err := s.files.write(filepath.Join(dir, manifestName), m.append(nil)); err != nil {
		return nil, err
	}
	for _, d := range []string{kindBlob.folder(dir), kindMemory.folder(dir), kindFile.folder(dir), dir} {
		if err := s.files.sync(d); err != nil {
			return nil, err
		}
	}
	return m, nil
}

func (s *Store) writeBlob(dir, name string, content []byte) (entry, error) {
	if err := checkName(name); err != nil {
		return entry{}, err
	}
	e := entry{Kind: kindBlob, Name: name, Size: uint64(len(content))}
	for chunk := range slices.Chunk(content, chunkBytes) {
		e.Chunks = append(e.Chunks, chunkSum(chunk))
	}
	if old, ok := s.latest.find(kindBlob, name); ok && old.Size == e.Size && slices.Equal(old.Chunks, e.Chunks) {
		return e, s.files.link(old.path(s.folder(s.latest.Height)), e.path(dir))
	}
	return e, s.files.write(e.path(dir), content)
}

// hashMemory makes a memory that is linked durable, and hashes what changed of it.
func (s *Store) hashMemory(dir, name string, m *heap.Memory, x linked, mu *sync.Mutex) (entry, error) {
	e, d := entry{Kind: kindMemory, Name: name}, x.delta
	if err := x.sync(); err != nil {
		return entry{}, err
	}
	mu.Lock()
	old := s.sums[m]
	delete(s.sums, m)
	mu.Unlock()
	e.Size = d.Size
	ranges := d.Changed
	if old == nil || old.number != d.Since {
		old, ranges = &sums{pieces: map[uint64]*pieceSums{}}, []heap.Range{{Off: 0, Len: d.Size}}
	}
	e.Chunks = old.chunks
	if n := chunksOf(d.Size); len(ranges) > 0 || n != uint64(len(old.chunks)) {
		// The older manifest shares old.chunks, so these are not written.
		e.Chunks = make([]types.Hash, n)
		copy(e.Chunks, old.chunks)
		if err := rehash(e.path(dir), e.Size, ranges, e.Chunks, old.pieces); err != nil {
			return entry{}, err
		}
	}
	mu.Lock()
	s.sums[m] = &sums{d.Number, e.Chunks, old.pieces}
	mu.Unlock()
	return e, nil
}

func (s *Store) linkFile(dir, name, from string) (entry, error) {
	if err := checkName(name); err != nil {
		return entry{}, err
	}
	e := entry{Kind: kindFile, Name: name}
	if err := s.files.link(from, e.path(dir)); err != nil {
		return entry{}, err
	}
	now, err := os.Stat(e.path(dir))
	if err != nil {
		return entry{}, err
	}
	if old, ok := s.latest.find(kindFile, name); ok {
		if was, err := os.Stat(old.path(s.folder(s.latest.Height))); err == nil && os.SameFile(was, now) {
			return old, nil
		}
	}
	e.Size = uint64(now.Size())
	e.Chunks = make([]types.Hash, chunksOf(e.Size))
	if err := rehash(e.path(dir), e.Size, []heap.Range{{Off: 0, Len: e.Size}}, e.Chunks, nil); err != nil {
		return entry{}, err
	}
	return e, s.files.sync(e.path(dir))
}

// readLatest reads the newest checkpoint's manifest, once, to link what did not change.
// A damaged one is no reason not to write the next.
func (s *Store) readLatest(heights []types.Height) error {
	if s.latest != nil || len(heights) == 0 {
		return nil
	}
	m, err := readManifest(s.folder(heights[len(heights)-1]))
	if c := (*Corrupt)(nil); errors.As(err, &c) {
		return nil
	}
	s.latest = m
	return err
}

func (s *Store) folder(h types.Height) string {
	return filepath.Join(s.dir, strconv.FormatUint(uint64(h), 10))
}

// heights are those of the checkpoints in the folder, in order.
func (s *Store) heights() ([]types.Height, error) {
	list, err := os.ReadDir(s.dir)
	if err != nil {
		return nil, fmt.Errorf("store: %w", err)
	}
	var heights []types.Height
	for _, e := range list {
		if h, ok := heightOf(e); ok {
			heights = append(heights, h)
		}
	}
	slices.Sort(heights)
	return heights, nil
}

func heightOf(e fs.DirEntry) (types.Height, bool) {
	h, err := strconv.ParseUint(e.Name(), 10, 64)
	return types.Height(h), err == nil && e.IsDir() && strconv.FormatUint(h, 10) == e.Name()
}

// clean removes checkpoints below h and unfinished ones. A checkpoint that is half removed when
// the process dies is still not the newest.
func (s *Store) clean(h types.Height) error {
	list, err := os.ReadDir(s.dir)
	if err != nil {
		return fmt.Errorf("store: %w", err)
	}
	removed := false
	for _, e := range list {
		if old, ok := heightOf(e); ok && old < h || strings.HasPrefix(e.Name(), writingPrefix) {
			if err := s.files.removeAll(filepath.Join(s.dir, e.Name())); err != nil {
				return err
			}
			removed = true
		}
	}
	if !removed {
		return nil
	}
	return s.files.sync(s.dir)
}
