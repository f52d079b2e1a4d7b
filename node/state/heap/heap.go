//go:build unix

// Package heap keeps the memories of canisters (the Wasm heap and the stable
// memory) as files that running instances see through private mappings, so that
// the cost of a message is what it touches and not what the memory holds.
//
// # Layers
//
// A Memory has three layers of content, from old to new:
//
//   - the published content, a sparse file of whole Wasm pages: what queries read
//     and checkpoints keep;
//   - the committed content: the published one with an overlay of the pages that
//     this round's successful messages changed, kept in ordinary memory;
//   - the content of the one updating View: a private mapping into which the
//     running message writes.
//
// Commit moves the message's changes into the overlay, Rollback forgets them,
// Publish at the end of the round writes the overlay to the file. A View whose
// message is suspended over a round's end (a message longer than its slice) keeps
// what it wrote through Publish.
//
// # What counts as changed
//
// A page (4 KiB) is changed if its bytes differ, not if it was written: the
// kernel only narrows down where to look. That makes the page counts of Commit and
// the ranges of Changed equal on every Backend, so replicated code may use them.
//
// # Queries
//
// A QueryView is a private mapping of the published file. Publish first gives
// every view in use its own copy of the pages that it is about to overwrite, so a
// query sees one round from its Refresh to its Idle and never waits. Refresh does wait
// while a Publish of the same memory is writing. Two memories share no lock; a
// caller that wants the heap and the stable memory of a canister from the same
// round holds a lock of its own around both Publishes and both Refreshes.
//
// # Checkpoints
//
// Checkpoint makes a hard link of the working file and syncs it: it copies nothing.
// From then on one rule protects every checkpoint: a file is written only while the
// memory's own working path is its only link. The next Publish therefore
// turns to another file, the spare: the file of the checkpoint before, once nobody
// links to it any more, on which the pages changed since then are copied; or, if
// there is none, a copy without the holes. Rounds go on while a checkpoint is made durable:
// meanwhile the checkpoint before it still has the spare, so that a small memory is copied, and
// the Publish of a large one waits. A crash at any moment leaves checkpoints as
// they were, since nothing that is linked elsewhere is ever opened for writing.
// Working files promise nothing after a crash: a restarted process opens
// checkpoints with OpenCheckpoint.
//
// # Snapshots
//
// Adopt makes the committed content of a memory that of another: a hard link of its file
// (the base), and a copy of its overlay. The rule above protects the base as it does
// checkpoints; the next Publish of the adopting memory takes it as its working file, or
// copies it if something was changed since. Resize and Write fill a memory without a view.
//
// # Concurrency and bounds
//
// The methods of a View, and Publish, are called by one goroutine at a time (the
// round's); everything else may be called at any time from anywhere. A Memory holds no
// file descriptor and no memory mapping of its own, so that there may be any number of
// them: its file is open while it has an updating View, which holds two descriptors more
// if it is kernel-tracked. A QueryView holds none, and no memory while it is idle. The
// overlay is bounded by the pages that a round may change.
//
// Unix only; Linux for the kernel-tracked backends. The memories are those of the
// interface specification, "WebAssembly module requirements" and "Stable memory".
package heap

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"sync"

	"portico/node/types"
)

const (
	// PageBytes is the unit in which changes are counted.
	PageBytes = types.OSPageBytes

	// MaxBytes is the largest memory that is accepted (500 GiB of stable memory, the
	// network's limit, rounded up to a power of two).
	MaxBytes = 512 * types.GiB
)

// Backend says how a View learns which pages a message has written.
type Backend uint8

const (
	// Auto stands for Best().
	Auto Backend = iota
	// WriteProtect uses asynchronous write protection (userfaultfd in user mode,
	// PAGEMAP_SCAN): Linux 6.7 and later, no privileges.
	WriteProtect
	// PageMap reads /proc/self/pagemap: Linux 5.14 and later, no privileges.
	PageMap
	// Portable keeps whole memories in ordinary memory and compares all pages.
	Portable
)

// String is the name of the constant.
func (b Backend) String() string {
	switch b {
	case Auto:
		return "Auto"
	case WriteProtect:
		return "WriteProtect"
	case PageMap:
		return "PageMap"
	case Portable:
		return "Portable"
	default:
		return fmt.Sprintf("Backend(%d)", uint8(b))
	}
}

// Best tries the backends on this machine, best first, and returns the first that
// works. It takes about a millisecond: ask once and pass the answer on.
func Best() Backend {
	for _, b := range []Backend{WriteProtect, PageMap} {
		if works(b) {
			return b
		}
	}
	return Portable
}

// ErrGone is the error of a Space whose process has ended.
var ErrGone = errors.New("heap: the process with the mapping has ended")

// Range is Len bytes from Off, both multiples of PageBytes.
type Range struct{ Off, Len uint64 }

// A Memory is one canister memory. The zero Memory is not usable; see Open.
type Memory struct {
	path    string
	backend Backend
	spaces  Spaces // of the views; nil = in this process
	room    uint64 // least address space that a hosted view reserves

	// io serialises what writes files: Publish, Link, Prepare.
	io sync.Mutex
	// settling says that a checkpoint is being made, settled when it is not any more.
	settling bool
	settled  *sync.Cond // of io
	// mu lets queries start while io is held, except while work changes.
	mu      sync.RWMutex
	work    *inode
	size    uint64 // published
	torn    error  // a Publish failed half-way: the file is neither old nor new
	queries map[*QueryView]struct{}

	spare   *inode  // the other working file; nil = none
	stale   pageSet // where the spare differs from the published content
	changed pageSet // since the last checkpoint
	low     uint64  // least size since the last checkpoint: beyond it everything is new
	seq     uint64  // checkpoints taken
	writes  uint64  // counts what changes the working file
	synced  uint64  // the value of writes that is known to be on disk

	// The committed layer belongs to the round's goroutine.
	next    uint64 // committed size
	fresh   bool   // the overlay lies on base, or on zeros if there is none, not on the file
	base    *base  // what was adopted since the last Publish; nil = none
	overlay overlay
	view    *View
}

// An inode is a file of a memory. Views remember which one they show.
type inode struct {
	path string
	f    *os.File // nil unless it is held open
}

// with calls do with the file, opened if nobody holds it open.
func (n *inode) with(do func(f *os.File) error) error {
	if n.f != nil {
		return do(n.f)
	}
	f, err := os.OpenFile(n.path, os.O_RDWR, 0)
	if err != nil {
		return fmt.Errorf("heap: %w", err)
	}
	return errors.Join(do(f), closeFile(f))
}

// Open opens the memory whose working file is at path, or makes an empty one if there is
// no such file. The content of a file that is there counts as changed since the last
// checkpoint; see OpenCheckpoint for the other case.
func Open(path string, b Backend) (*Memory, error) {
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o644)
	if err != nil {
		return nil, fmt.Errorf("heap: %w", err)
	}
	m, err := newMemory(path, b, f)
	if err := errors.Join(err, f.Close()); err != nil {
		return nil, err
	}
	return m, nil
}

// ViewsIn makes query views and KernelTracked views in spaces of s from now on. It is called
// before there are any.
func (m *Memory) ViewsIn(s Spaces) { m.spaces = s }

func newMemory(path string, b Backend, f *os.File) (*Memory, error) {
	st, err := f.Stat()
	if err != nil {
		return nil, fmt.Errorf("heap: %w", err)
	}
	size := uint64(st.Size())
	if !st.Mode().IsRegular() || size%types.WasmPageBytes != 0 || size > MaxBytes {
		return nil, fmt.Errorf("heap: %s: %d bytes, want a regular file of whole 64-KiB pages, at most %d bytes", path, size, uint64(MaxBytes))
	}
	if b == Auto {
		b = Best()
	}
	// A spare of an earlier process cannot be trusted to be what it was.
	if err := remove(path+spareSuffix, path+tempSuffix, path+baseSuffix); err != nil {
		return nil, err
	}
	m := &Memory{
		path: path, backend: b, room: minRoom, work: &inode{path: path}, size: size, next: size,
		queries: map[*QueryView]struct{}{}, writes: 1, stale: pageSet{}, changed: pageSet{},
	}
	m.settled = sync.NewCond(&m.io)
	return m, nil
}

// Size is the published size in bytes.
func (m *Memory) Size() uint64 {
	m.mu.RLock()
	defer m.mu.RUnlock()
	return m.size
}

// CommittedSize is the size in bytes after the last Commit. It belongs to the
// round's goroutine.
func (m *Memory) CommittedSize() uint64 { return m.next }

// Close closes the memory and its views, whose bytes must not be touched any more; a query
// view in use shows what it shows until its own Close. What was not published is lost; the
// published content stays at the path of Open.
func (m *Memory) Close() error {
	var errs []error
	if m.view != nil {
		errs = append(errs, m.view.Close())
	}
	m.io.Lock()
	defer m.io.Unlock()
	m.mu.Lock()
	defer m.mu.Unlock()
	for q := range m.queries {
		if !q.used.Load() {
			delete(m.queries, q)
			errs = append(errs, q.s.Close())
		}
	}
	if m.work != nil {
		if m.work.path != m.path {
			errs = append(errs, os.Rename(m.work.path, m.path))
		}
		m.work = nil
	}
	errs = append(errs, m.dropBase())
	m.overlay.reset(false)
	return errors.Join(errs...)
}

// Remove closes the memory and removes its working files. Checkpoints stay.
func (m *Memory) Remove() error {
	return errors.Join(m.Close(), remove(m.path, m.path+spareSuffix, m.path+tempSuffix))
}

// remove removes what there is of the files.
func remove(paths ...string) error {
	for _, path := range paths {
		if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return fmt.Errorf("heap: %w", err)
		}
	}
	return nil
}

// ReadCommitted fills b with the committed content from off on; bytes beyond the
// committed size read as zero. It belongs to the round's goroutine.
func (m *Memory) ReadCommitted(b []byte, off uint64) error {
	for len(b) > 0 {
		in := off % PageBytes
		n := min(uint64(len(b)), PageBytes-in)
		if page := m.overlay.page(off / PageBytes); page != nil {
			copy(b[:n], page[in:])
			b, off = b[n:], off+n
			continue
		}
		// One read for all the pages up to the next one of the overlay.
		for n < uint64(len(b)) && m.overlay.page((off+n)/PageBytes) == nil {
			n += min(uint64(len(b))-n, PageBytes)
		}
		if err := m.readBase(b[:n], off); err != nil {
			return err
		}
		b, off = b[n:], off+n
	}
	return nil
}

// readBase reads what lies under the overlay.
func (m *Memory) readBase(b []byte, off uint64) error {
	file, size := m.under()
	if off >= size {
		clear(b)
		return nil
	}
	n := min(uint64(len(b)), size-off)
	clear(b[n:])
	return file.with(func(f *os.File) error {
		if _, err := f.ReadAt(b[:n], int64(off)); err != nil {
			return fmt.Errorf("heap: %s: reading %d bytes at %d: %w", m.path, n, off, err)
		}
		return nil
	})
}

// hold keeps the working file open for the updating view.
func (m *Memory) hold() error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.work == nil {
		return fmt.Errorf("heap: %s: closed", m.path)
	}
	f, err := os.OpenFile(m.work.path, os.O_RDWR, 0)
	if err != nil {
		return fmt.Errorf("heap: %w", err)
	}
	m.work.f = f
	return nil
}

// release closes the working file.
func (m *Memory) release() error {
	m.mu.Lock()
	defer m.mu.Unlock()
	f := m.work.f
	m.work.f = nil
	return closeFile(f)
}

// turnTo makes another file the working file; it is held open if the old one was. The caller
// holds mu.
func (m *Memory) turnTo(n *inode, f *os.File) error {
	unused := f
	if old := m.work; old.f != nil {
		n.f, unused, old.f = f, old.f, nil
	}
	m.work = n
	return closeFile(unused)
}
