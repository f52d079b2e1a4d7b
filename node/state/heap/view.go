//go:build unix

package heap

import (
	"bytes"
	"errors"
	"fmt"
	"os"

	"portico/node/types"
)

// Tracked says who notices the writes to a View.
type Tracked uint8

const (
	// KernelTracked views may be written by anybody in this process.
	KernelTracked Tracked = iota
	// HostTracked views are written by host functions only, which call MarkDirty for
	// what they write: no scan, and a cost that does not depend on the size at all.
	HostTracked
)

// A View is the one place where a memory is written. It satisfies the linear memory
// interface that Wasm runtimes take (Reallocate, Free).
type View struct {
	m       *Memory
	s       Space
	limit   uint64 // largest size; a hosted view reserves addresses for less at first
	size    uint64
	reached uint64 // largest size since the last Commit or Rollback
	hosted  bool
	marked  pageSet // hosted: written since the last Commit or Rollback
	pending pageSet // tracked: seen to be written, but neither committed nor rolled back

	// replaced: all content since the last Commit or Rollback began with zeros.
	replaced bool
	// broken: the mapping could not be made; only Rollback helps.
	broken error
	was    []byte // what changes compares with; zeros while replaced
	seen   []byte // see's, for a space in another process
}

// Update opens the updating view, showing the committed content, with room for maxBytes (whole
// 64-KiB pages). Only address space is taken, not memory. A second open view is an error.
func (m *Memory) Update(maxBytes uint64, how ...Tracked) (*View, error) {
	if m.view != nil {
		return nil, fmt.Errorf("heap: %s: there is an updating view already", m.path)
	}
	if maxBytes < m.next {
		return nil, fmt.Errorf("heap: %s: a view of at most %d bytes for a memory of %d", m.path, maxBytes, m.next)
	}
	hosted := len(how) > 0 && how[0] == HostTracked
	reserved := maxBytes
	if hosted {
		reserved = m.roomFor(m.next, maxBytes)
	}
	if err := m.hold(); err != nil {
		return nil, err
	}
	s, err := m.newSpace(hosted, !hosted, reserved)
	if err != nil {
		return nil, errors.Join(err, m.release())
	}
	v := &View{m: m, s: s, limit: maxBytes, hosted: hosted, marked: pageSet{}, pending: pageSet{}}
	if err := v.rebuild(); err != nil {
		return nil, errors.Join(err, s.Close(), m.release())
	}
	m.view = v
	return v, nil
}

// newSpace makes the space of a view; one that is written by host functions is always here.
func (m *Memory) newSpace(hosted, tracked bool, maxBytes uint64) (Space, error) {
	if m.spaces == nil || hosted {
		return NewSpace(m.backend, tracked, maxBytes, nil)
	}
	return m.spaces.NewSpace(tracked, maxBytes)
}

// minRoom is the least that is reserved for a hosted view to grow into.
const minRoom = types.GiB

// roomFor is how much address space is reserved for a hosted view of size bytes: twice
// as much, because reserving the limit for every canister would use up the addresses
// that a process has.
func (m *Memory) roomFor(size, limit uint64) uint64 { return min(max(2*size, m.room), limit) }

// Bytes is the current extent. Its address never changes while the view is open, except
// that Grow and Replace may move a HostTracked view. Only a view in this process has it.
func (v *View) Bytes() []byte { return v.s.Bytes()[:v.size:v.size] }

// Size is the current size in bytes.
func (v *View) Size() uint64 { return v.size }

// Space is where the content is.
func (v *View) Space() Space { return v.s }

// Revive shows the committed content in a new space if the process with the old one has ended.
func (v *View) Revive() error {
	if err := v.s.Drop(nil); !errors.Is(err, ErrGone) {
		return err
	}
	return v.rebuild()
}

// Reallocate makes the view at least size bytes large and returns the first size
// bytes, or nil if that is beyond maxBytes or in another process. It never shrinks the
// content: a Wasm runtime starts with the module's least size, whatever the memory holds.
func (v *View) Reallocate(size uint64) []byte {
	if size > v.s.Room() {
		return nil
	}
	v.resize(max(size, v.size))
	return first(v.s, size)
}

// first are the first size bytes of a space; nil if it is in another process.
func first(s Space, size uint64) []byte {
	b := s.Bytes()
	if b == nil {
		return nil
	}
	return b[:size:size]
}

// Free does nothing: the view outlives the instance that used it. See Close.
func (v *View) Free() {}

// Grow makes the view size bytes large, whole 64-KiB pages; new bytes are zero.
func (v *View) Grow(size uint64) error {
	if size < v.size || size%types.WasmPageBytes != 0 || size > v.limit {
		return fmt.Errorf("heap: %s: growing from %d to %d bytes, want whole 64-KiB pages, at most %d bytes", v.m.path, v.size, size, v.limit)
	}
	if err := v.makeRoom(size); err != nil {
		return err
	}
	v.resize(size)
	return nil
}

// makeRoom moves a hosted view to a larger reservation if it needs one. What the
// running message wrote moves with it.
func (v *View) makeRoom(size uint64) error {
	if size <= v.s.Room() {
		return nil
	}
	larger, err := v.m.newSpace(v.hosted, !v.hosted, v.m.roomFor(size, v.limit))
	if err != nil {
		return err
	}
	old := v.s
	v.s = larger
	if err := v.showCommitted(); err != nil {
		v.s = old
		return errors.Join(err, larger.Close())
	}
	for _, r := range within(v.marked.ranges(), v.size) {
		copy(larger.Bytes()[r.Off:r.Off+r.Len], old.Bytes()[r.Off:])
	}
	return old.Close()
}

func (v *View) resize(size uint64) {
	v.size = size
	v.reached = max(v.reached, size)
}

// MarkDirty says that n bytes from off on were or will be written. Only HostTracked views
// need it; bytes outside the current extent are ignored.
func (v *View) MarkDirty(off, n uint64) {
	if v.hosted && n > 0 && off < v.size {
		v.marked.add(Range{off, min(n, v.size-off)})
	}
}

// Replace makes the content size zero bytes (whole 64-KiB pages): an installation
// that keeps nothing. Commit and Rollback work as for any other change.
func (v *View) Replace(size uint64) error {
	if size%types.WasmPageBytes != 0 || size > v.limit {
		return fmt.Errorf("heap: %s: replacing by %d bytes, want whole 64-KiB pages, at most %d bytes", v.m.path, size, v.limit)
	}
	if err := v.makeRoom(size); err != nil {
		return err
	}
	if err := v.s.Show(nil, 0); err != nil {
		v.broken = fmt.Errorf("%s: %w", v.m.path, err)
		return v.broken
	}
	v.size = size
	v.settled()
	v.replaced = true
	return nil
}

// Clear is Replace with no content at all: an uninstallation.
func (v *View) Clear() error { return v.Replace(0) }

// Commit keeps what was changed since the last Commit or Rollback and returns the
// number of pages that differ (after a Replace: that are not zero).
func (v *View) Commit() (pages int, err error) {
	m := v.m
	changed, same, err := v.changes()
	if err != nil {
		return 0, err
	}
	if v.replaced {
		if err := m.dropBase(); err != nil {
			return 0, err
		}
		m.overlay.reset(m.view != nil)
		m.fresh = true
	}
	for _, r := range changed {
		for off, end := r.Off, r.Off+r.Len; off < end; {
			now, err := v.see(off, min(end-off, compareBytes))
			if err != nil {
				return 0, err
			}
			for ; len(now) > 0; now, off = now[PageBytes:], off+PageBytes {
				m.overlay.put(off/PageBytes, now[:PageBytes])
			}
		}
		pages += int(r.Len / PageBytes)
	}
	m.next = v.size
	v.settled()
	if v.s.Lazy() {
		// Written with what was there before: give the memory back.
		return pages, v.s.Drop(same)
	}
	return pages, nil
}

// Rollback makes content and size what they were after the last Commit.
func (v *View) Rollback() error {
	if v.replaced || v.broken != nil {
		return v.rebuild()
	}
	err := v.undo()
	if errors.Is(err, ErrGone) {
		return v.rebuild()
	} else if err != nil {
		return err
	}
	v.size = v.m.next
	v.settled()
	return nil
}

// undo makes the content what was committed.
func (v *View) undo() error {
	rs, err := v.candidates()
	if err != nil {
		return err
	}
	var drops []Range
	for _, r := range rs {
		for off := r.Off; off < r.Off+r.Len; off += PageBytes {
			page := v.m.overlay.page(off / PageBytes)
			if page == nil {
				drops = appendRange(drops, off, PageBytes)
				continue
			}
			now, err := v.see(off, PageBytes)
			if err != nil {
				return err
			}
			if !bytes.Equal(page, now) {
				if err := v.s.Write(page, off); err != nil {
					return err
				}
			}
		}
	}
	return v.s.Drop(drops)
}

// see returns n bytes of the content from off on, valid until the next call.
func (v *View) see(off, n uint64) ([]byte, error) {
	if mem := v.s.Bytes(); mem != nil {
		return mem[off : off+n], nil
	}
	if v.seen == nil {
		v.seen = make([]byte, compareBytes)
	}
	return v.seen[:n], v.s.Read(v.seen[:n], off)
}

// Close closes the view. What was not committed is forgotten; the committed content
// stays with the Memory.
func (v *View) Close() error {
	if v.m.view != v {
		return nil
	}
	v.m.view = nil
	if len(v.m.overlay.slots) == 0 {
		v.m.overlay.reset(false)
	}
	return errors.Join(v.s.Close(), v.m.release())
}

// rebuild shows the committed content on a new mapping, and nothing else; in a new space if
// the old one is gone.
func (v *View) rebuild() error {
	v.replaced = false
	err := v.showCommitted()
	for tries := 0; errors.Is(err, ErrGone) && tries < maxTries; tries++ {
		var s Space
		if s, err = v.m.newSpace(v.hosted, !v.hosted, v.s.Room()); err == nil {
			v.s = s
			err = v.showCommitted()
		}
	}
	if err != nil {
		v.broken = err
		return err
	}
	v.size = v.m.next
	v.settled()
	v.broken = nil
	return nil
}

// showCommitted maps the content that the running message began with: the committed
// one, or zeros after a Replace.
func (v *View) showCommitted() error {
	m := v.m
	file, size := m.under()
	if v.replaced || file == nil {
		if err := v.s.Show(nil, 0); err != nil {
			return fmt.Errorf("%s: %w", m.path, err)
		}
	} else if err := file.with(func(f *os.File) error { return v.s.Show(f, size) }); err != nil {
		return fmt.Errorf("%s: %w", m.path, err)
	}
	if v.replaced {
		return nil
	}
	for _, p := range m.overlay.pages() {
		if err := v.s.Write(m.overlay.page(p), p*PageBytes); err != nil {
			return fmt.Errorf("%s: %w", m.path, err)
		}
	}
	return nil
}

// settled notes that view and committed content are the same.
func (v *View) settled() {
	clear(v.marked)
	clear(v.pending)
	v.replaced = false
	v.reached = v.size
}

// candidates are the pages that may differ from the committed content. They stay
// candidates until settled.
func (v *View) candidates() ([]Range, error) {
	if v.broken != nil {
		return nil, v.broken
	}
	if v.hosted {
		return v.marked.ranges(), nil
	}
	rs, err := v.s.Touched(v.reached)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", v.m.path, err)
	}
	if len(v.pending) == 0 {
		return rs, nil
	}
	all := pageSet{}
	for _, r := range append(rs, v.pending.ranges()...) {
		all.add(r)
	}
	return all.ranges(), nil
}

// compareBytes is how much committed content is read at once.
const compareBytes = 16 * PageBytes

// changes splits the candidates into pages that differ from the committed content and pages
// outside the overlay that do not.
func (v *View) changes() (changed, same []Range, err error) {
	rs, err := v.candidates()
	if err != nil {
		return nil, nil, err
	}
	if v.was == nil {
		v.was = make([]byte, compareBytes)
	} else if v.replaced {
		clear(v.was)
	}
	for _, r := range within(rs, v.size) {
		for off, end := r.Off, r.Off+r.Len; off < end; {
			n := min(end-off, compareBytes)
			if !v.replaced {
				if err := v.m.ReadCommitted(v.was[:n], off); err != nil {
					return nil, nil, err
				}
			}
			now, err := v.see(off, n)
			if err != nil {
				return nil, nil, fmt.Errorf("%s: %w", v.m.path, err)
			}
			for i := uint64(0); i < n; i += PageBytes {
				if !bytes.Equal(now[i:i+PageBytes], v.was[i:i+PageBytes]) {
					changed = appendRange(changed, off+i, PageBytes)
				} else if v.replaced || v.m.overlay.page((off+i)/PageBytes) == nil {
					same = appendRange(same, off+i, PageBytes)
				}
			}
			off += n
		}
	}
	return changed, same, nil
}
