//go:build unix

package heap

import (
	"fmt"
	"os"
)

// undo is what a QueryView that can go back knows of earlier content.
type undo struct {
	size uint64 // at the last Mark
	// saved holds, as of the last Mark, the pages written until then; published the pages that
	// were published over since Refresh, as they were before. The former belongs to the query,
	// the latter is written with m.mu held by Publish.
	saved, published overlay
}

// QueryWithUndo is Query for a view that has Mark and Undo.
func (m *Memory) QueryWithUndo(maxBytes uint64) (*QueryView, error) {
	return m.query(maxBytes, &undo{})
}

// Mark remembers the content for Undo. It costs what was written since the last Mark, and a look at
// the page table, which takes a millisecond or two for a GiB.
func (q *QueryView) Mark() error {
	rs, err := q.s.Touched(q.size)
	if err != nil {
		return fmt.Errorf("%s: %w", q.m.path, err)
	}
	var page [PageBytes]byte
	for off := range pagesOf(rs) {
		if err := q.s.Read(page[:], off); err != nil {
			return fmt.Errorf("%s: %w", q.m.path, err)
		}
		q.undo.saved.put(off/PageBytes, page[:])
	}
	q.undo.size = q.size
	return nil
}

// Undo makes the content and the size again what they were at the last Mark since Refresh. It
// costs what was written since then, and a look at the page table.
func (q *QueryView) Undo() error {
	// a page that is dropped shows the file, which must not be published over meanwhile
	q.m.mu.RLock()
	defer q.m.mu.RUnlock()
	rs, err := q.s.Touched(q.size)
	if err != nil {
		return fmt.Errorf("%s: %w", q.m.path, err)
	}
	var untouched []Range
	for off := range pagesOf(rs) {
		content := q.undo.saved.page(off / PageBytes)
		if content == nil {
			content = q.undo.published.page(off / PageBytes)
		}
		if content == nil {
			untouched = appendRange(untouched, off, PageBytes)
		} else if err := q.s.Write(content, off); err != nil {
			return fmt.Errorf("%s: %w", q.m.path, err)
		}
	}
	q.size = q.undo.size
	if err := q.s.Drop(untouched); err != nil {
		return fmt.Errorf("%s: %w", q.m.path, err)
	}
	return nil
}

// Truncate makes the view smaller again after it grew.
func (q *QueryView) Truncate(size uint64) error {
	if size == q.size {
		return nil
	}
	gone := []Range{{size, q.size - size}}
	q.size = size
	if err := q.s.Drop(gone); err != nil {
		return fmt.Errorf("%s: %w", q.m.path, err)
	}
	return nil
}

// keep notes the content of f, which the view shows, where it is about to be published over.
func (u *undo) keep(f *os.File, rs []Range) error {
	content := make([]byte, PageBytes)
	for off := range pagesOf(rs) {
		if u.published.page(off/PageBytes) != nil {
			continue
		}
		if _, err := f.ReadAt(content, int64(off)); err != nil {
			return fmt.Errorf("heap: the page at %d: %w", off, err)
		}
		u.published.put(off/PageBytes, content)
	}
	return nil
}

// forget drops what is known of earlier content.
func (u *undo) forget() {
	u.saved.reset(false)
	u.published.reset(false)
}

// pagesOf are the offsets of the pages in ranges.
func pagesOf(rs []Range) func(yield func(off uint64) bool) {
	return func(yield func(uint64) bool) {
		for _, r := range rs {
			for off := r.Off; off < r.Off+r.Len; off += PageBytes {
				if !yield(off) {
					return
				}
			}
		}
	}
}
