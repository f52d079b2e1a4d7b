//go:build unix

package heap

import (
	"errors"
	"fmt"
	"os"

	"portico/node/types"
)

// base is a link to a file of another memory, which nobody writes while the link is there.
type base struct {
	inode
	size uint64
}

// Adopt makes the committed content of m that of another memory on the same file system,
// whose committed content it leaves as it is. It copies what from has not published yet, and
// links to the rest: files are copied only when one of the two is written again. What the
// running message wrote to m is forgotten. Like Commit it belongs to the round's goroutine.
func (m *Memory) Adopt(from *Memory) error {
	if m.view != nil && from.next > m.view.limit {
		return fmt.Errorf("heap: %s: adopting %d bytes, at most %d", m.path, from.next, m.view.limit)
	}
	if err := m.dropBase(); err != nil {
		return err
	}
	adopted, err := m.linkBase(from)
	if err != nil {
		return err
	}
	m.base, m.fresh, m.next = adopted, true, from.next
	m.overlay.reset(m.view != nil)
	for _, p := range from.overlay.pages() {
		m.overlay.put(p, from.overlay.page(p))
	}
	if m.view == nil {
		return nil
	}
	return m.view.follow()
}

// linkBase links to the file under the overlay of a memory; nil if there is none.
func (m *Memory) linkBase(from *Memory) (*base, error) {
	from.io.Lock() // its files keep their names
	defer from.io.Unlock()
	if from.torn != nil {
		return nil, fmt.Errorf("heap: %s cannot be adopted before it is published again: %w", from.path, from.torn)
	}
	var source string
	_, size := from.under()
	switch {
	case !from.fresh:
		source = from.work.path
	case from.base != nil:
		source = from.base.path
	default:
		return nil, nil
	}
	path := m.path + baseSuffix
	if err := os.Link(source, path); err != nil {
		return nil, fmt.Errorf("heap: %w", err)
	}
	f, err := os.Open(path)
	if err != nil {
		return nil, errors.Join(fmt.Errorf("heap: %w", err), os.Remove(path))
	}
	return &base{inode{path, f}, size}, nil
}

func (m *Memory) dropBase() error {
	b := m.base
	if b == nil {
		return nil
	}
	m.base = nil
	return errors.Join(closeFile(b.f), remove(b.path))
}

// follow shows the committed content, which was replaced, and forgets what was written.
func (v *View) follow() error {
	clear(v.marked)
	v.replaced = false
	if err := v.makeRoom(v.m.next); err != nil {
		return err
	}
	return v.rebuild()
}

// under is the file that the overlay lies on with its size; nil if it lies on zeros.
func (m *Memory) under() (*inode, uint64) {
	switch {
	case !m.fresh:
		return m.work, m.size
	case m.base != nil:
		return &m.base.inode, m.base.size
	default:
		return nil, 0
	}
}

// Resize makes a memory that has no view size bytes large (whole 64-KiB pages, not fewer than
// there are); new bytes are zero. It is committed at once.
func (m *Memory) Resize(size uint64) error {
	if m.view != nil || size < m.next || size%types.WasmPageBytes != 0 || size > MaxBytes {
		return fmt.Errorf("heap: %s: resizing from %d to %d bytes: want no view and whole 64-KiB pages, at most %d bytes", m.path, m.next, size, uint64(MaxBytes))
	}
	m.next = size
	return nil
}

// Write changes the bytes from off on of a memory that has no view. It is committed at once.
func (m *Memory) Write(b []byte, off uint64) error {
	if m.view != nil || off > m.next || uint64(len(b)) > m.next-off {
		return fmt.Errorf("heap: %s: writing %d bytes at %d: want no view, and an end within %d bytes", m.path, len(b), off, m.next)
	}
	page := make([]byte, PageBytes)
	for len(b) > 0 {
		in := off % PageBytes
		if in > 0 || len(b) < PageBytes {
			if err := m.ReadCommitted(page, off-in); err != nil {
				return err
			}
		}
		n := copy(page[in:], b)
		m.overlay.put(off/PageBytes, page)
		b, off = b[n:], off+uint64(n)
	}
	return nil
}
