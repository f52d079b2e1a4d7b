//go:build unix

package heap

import (
	"errors"
	"fmt"
	"os"
	"slices"
	"syscall"
)

const (
	spareSuffix = ".spare"
	tempSuffix  = ".tmp"
	baseSuffix  = ".base"
)

// Publish makes the committed content the published one. Query views in use keep what
// they show. After an error queries are refused until a later Publish succeeds; the
// committed content is kept for that.
func (m *Memory) Publish() error {
	m.io.Lock()
	defer m.io.Unlock()
	if len(m.overlay.slots) == 0 && !m.fresh && m.next == m.size && m.torn == nil {
		return nil
	}
	v := m.view
	var parked []Range // written by a suspended message
	gone := false      // with the process that it ran in
	if v != nil && !v.replaced {
		var err error
		if parked, _, err = v.changes(); errors.Is(err, ErrGone) {
			parked, gone = nil, true
		} else if err != nil {
			return err
		}
	}
	published := m.overlay.ranges()
	before, grown := m.work, m.next != m.size
	var err error
	if m.fresh {
		err = m.publishNew(published)
	} else {
		err = m.publishPages(published)
	}
	if err != nil {
		return err
	}
	m.writes++
	m.fresh = false
	m.overlay.reset(m.view != nil)
	switch {
	case v == nil || v.replaced:
		return nil // a replaced view shows nothing of the file
	case gone || m.work != before || grown:
		return v.remap(parked)
	default:
		return v.forget(published, parked)
	}
}

// publishNew makes a new working file of the overlay on its base. Query views keep the old one.
func (m *Memory) publishNew(published []Range) error {
	temp := m.path + tempSuffix
	f, err := m.compose(temp, published)
	if err != nil {
		return err
	}
	if err := m.dropSpare(); err != nil {
		return errors.Join(err, f.Close(), os.Remove(temp))
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if err := os.Rename(temp, m.work.path); err != nil {
		return errors.Join(fmt.Errorf("heap: %w", err), f.Close(), os.Remove(temp))
	}
	m.size, m.torn = m.next, nil
	m.low = 0
	clear(m.changed)
	return errors.Join(m.turnTo(&inode{path: m.work.path}, f), m.dropBase())
}

// compose makes a file of the overlay on its base, or opens the base as that file if nothing
// was changed on it.
func (m *Memory) compose(temp string, published []Range) (*os.File, error) {
	if err := remove(temp); err != nil {
		return nil, err
	}
	base, size := m.under() // a base, which is held open
	if base != nil && size == m.next && len(published) == 0 {
		if err := os.Link(m.base.path, temp); err != nil {
			return nil, fmt.Errorf("heap: %w", err)
		}
		f, err := os.OpenFile(temp, os.O_RDWR, 0)
		if err != nil {
			return nil, errors.Join(fmt.Errorf("heap: %w", err), os.Remove(temp))
		}
		return f, nil
	}
	f, err := os.OpenFile(temp, os.O_RDWR|os.O_CREATE|os.O_EXCL, 0o644)
	if err != nil {
		return nil, fmt.Errorf("heap: %w", err)
	}
	if base != nil {
		err = copySparse(f, base.f, size)
	}
	if err == nil {
		err = m.writePages(f, published)
	}
	if err == nil {
		err = f.Truncate(int64(m.next))
	}
	if err != nil {
		return nil, errors.Join(fmt.Errorf("heap: %s: %w", temp, err), f.Close(), os.Remove(temp))
	}
	return f, nil
}

// publishPages writes the overlay over the working file.
func (m *Memory) publishPages(published []Range) error {
	if err := m.thaw(); err != nil {
		return err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if err := m.preserve(m.work, m.work.f, published); err != nil {
		return err
	}
	m.torn = fmt.Errorf("heap: %s: a publication was cut short", m.path)
	for _, r := range published {
		m.changed.add(r)
		m.stale.add(r)
	}
	err := m.work.with(func(f *os.File) error {
		if m.next > m.size {
			if err := f.Truncate(int64(m.next)); err != nil {
				return fmt.Errorf("heap: %w", err)
			}
		}
		return m.writePages(f, published)
	})
	if err != nil {
		return err
	}
	m.size, m.torn = m.next, nil
	return nil
}

// preserve gives the query views in use that show n, whose file is f, their own copies of the
// pages in rs.
func (m *Memory) preserve(n *inode, f *os.File, rs []Range) error {
	for q := range m.queries {
		if !q.used.Load() || q.on != n {
			continue
		}
		q.kept = true
		shown := within(slices.Clone(rs), q.shown)
		err := q.s.Keep(shown)
		if err == nil && q.undo != nil {
			err = q.undo.keep(f, shown)
		}
		if err != nil && !errors.Is(err, ErrGone) {
			return fmt.Errorf("%s: for a query: %w", m.path, err)
		}
	}
	return nil
}

func (m *Memory) writePages(f *os.File, rs []Range) error {
	for _, r := range rs {
		for off := r.Off; off < r.Off+r.Len; off += PageBytes {
			if _, err := f.WriteAt(m.overlay.page(off/PageBytes), int64(off)); err != nil {
				return fmt.Errorf("heap: %s: writing the page at %d: %w", m.path, off, err)
			}
		}
	}
	return nil
}

// thaw makes sure that the working file has no other link, so that it may be written.
func (m *Memory) thaw() error {
	sole, err := soleLink(m.work.path)
	if err != nil || sole {
		return err
	}
	f, err := m.readySpare()
	if err != nil {
		return err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	old := m.work
	err = m.turnTo(m.spare, f)
	m.spare = old
	m.writes++
	return err
}

// readySpare opens the spare and gives it the published content.
func (m *Memory) readySpare() (*os.File, error) {
	if err := m.awaitSpare(); err != nil {
		return nil, err
	}
	f, err := m.openSpare()
	if err != nil {
		return nil, err
	}
	if f == nil {
		return m.copyToSpare()
	}
	rs := within(m.stale.ranges(), m.size)
	// Queries still in use since two checkpoints ago; no view begins to show the spare.
	m.mu.Lock()
	err = m.preserve(m.spare, f, rs)
	m.mu.Unlock()
	if err == nil {
		err = m.fromPublished(func(from *os.File) error { return copyRanges(f, from, rs) })
	}
	if err == nil {
		err = f.Truncate(int64(m.size))
	}
	if err != nil {
		return nil, errors.Join(fmt.Errorf("heap: %s: %w", f.Name(), err), f.Close())
	}
	clear(m.stale)
	return f, nil
}

// openSpare opens the spare if nobody else links to it, and otherwise lets go of it.
func (m *Memory) openSpare() (*os.File, error) {
	if m.spare == nil {
		return nil, nil
	}
	f, err := os.OpenFile(m.spare.path, os.O_RDWR, 0)
	if err != nil {
		return nil, errors.Join(fmt.Errorf("heap: %w", err), m.dropSpare())
	}
	sole, err := soleLink(m.spare.path)
	if err == nil && sole {
		return f, nil
	}
	return nil, errors.Join(err, f.Close(), m.dropSpare())
}

func (m *Memory) dropSpare() error {
	m.spare = nil
	return remove(m.otherPath())
}

// copyToSpare makes a spare of the published content.
func (m *Memory) copyToSpare() (*os.File, error) {
	path := m.otherPath()
	if err := remove(path); err != nil {
		return nil, err
	}
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE|os.O_EXCL, 0o644)
	if err != nil {
		return nil, fmt.Errorf("heap: %w", err)
	}
	if err := m.fromPublished(func(from *os.File) error { return copySparse(f, from, m.size) }); err != nil {
		return nil, errors.Join(fmt.Errorf("heap: %s: copying %s: %w", path, m.work.path, err), f.Close(), os.Remove(path))
	}
	m.spare = &inode{path: path}
	clear(m.stale)
	return f, nil
}

// fromPublished opens the published content, whether or not the working file is held open: that
// is the round's affair, and Prepare does not wait for the round.
func (m *Memory) fromPublished(do func(from *os.File) error) error {
	return (&inode{path: m.work.path}).with(do)
}

// otherPath is the name of the working file that is not in use.
func (m *Memory) otherPath() string {
	if m.work.path == m.path {
		return m.path + spareSuffix
	}
	return m.path
}

// remap shows the published content on a new mapping and puts back what a suspended message
// wrote.
func (v *View) remap(parked []Range) error {
	size := v.size
	kept := make([][]byte, len(parked))
	for i, r := range parked {
		kept[i] = make([]byte, r.Len)
		if err := v.s.Read(kept[i], r.Off); err != nil {
			return err
		}
	}
	if err := v.rebuild(); err != nil {
		return err
	}
	for i, r := range parked {
		if err := v.s.Write(kept[i], r.Off); err != nil {
			return err
		}
	}
	v.resize(size)
	v.suspend(parked)
	return nil
}

// forget drops the private copies of pages that the file now has, except those that a
// suspended message wrote again.
func (v *View) forget(published, parked []Range) error {
	v.suspend(parked)
	drops := pageSet{}
	for _, r := range published {
		drops.add(r)
	}
	for _, r := range parked {
		drops.remove(r)
	}
	return v.s.Drop(drops.ranges())
}

// suspend remembers what a suspended message wrote.
func (v *View) suspend(parked []Range) {
	if len(parked) == 0 {
		v.settled()
		return
	}
	set := v.pending
	if v.hosted {
		set = v.marked
	}
	clear(set)
	for _, r := range parked {
		set.add(r)
	}
}

// soleLink reports whether a file has exactly one name.
func soleLink(path string) (bool, error) {
	st, err := os.Stat(path)
	if err != nil {
		return false, fmt.Errorf("heap: %w", err)
	}
	return st.Sys().(*syscall.Stat_t).Nlink == 1, nil
}

func closeFile(f *os.File) error {
	if err := f.Close(); err != nil {
		return fmt.Errorf("heap: %w", err)
	}
	return nil
}
