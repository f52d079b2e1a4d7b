//go:build unix

package heap

import (
	"errors"
	"fmt"
	"os"
	"sync/atomic"
)

// A QueryView is a private mapping of the published content for one query at a time,
// meant to be pooled. One goroutine uses it at a time.
type QueryView struct {
	m       *Memory
	s       Space
	size    uint64 // current
	reached uint64 // largest size since Refresh
	undo    *undo  // nil without Mark and Undo

	// What the mapping shows; written with m.mu held, by one side each.
	on    *inode
	shown uint64
	kept  bool // Publish has put pages into the view since Refresh
	used  atomic.Bool

	dropped bool // nothing was touched since Idle
}

// Query makes a view for queries with room for maxBytes (whole 64-KiB pages). It must
// be refreshed before it is used.
func (m *Memory) Query(maxBytes uint64) (*QueryView, error) { return m.query(maxBytes, nil) }

func (m *Memory) query(maxBytes uint64, u *undo) (*QueryView, error) {
	s, err := m.newSpace(false, u != nil, maxBytes)
	if err != nil {
		return nil, err
	}
	q := &QueryView{m: m, s: s, undo: u}
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.work == nil {
		return nil, errors.Join(fmt.Errorf("heap: %s: closed", m.path), s.Close())
	}
	m.queries[q] = struct{}{}
	return q, nil
}

// Refresh forgets what the last query wrote, shows the content published now and keeps
// showing it until Idle or the next Refresh.
func (q *QueryView) Refresh() error {
	err := q.refresh()
	for tries := 1; errors.Is(err, ErrGone) && tries < maxTries; tries++ {
		err = q.refresh()
	}
	return err
}

// maxTries is how often another process is asked for a space before that is an error.
const maxTries = 3

func (q *QueryView) refresh() error {
	q.used.Store(false)
	m := q.m
	// A query may have touched a lot: drop that without holding up Publish.
	dropped := q.s.Lazy() && q.on != nil
	if err := q.s.Drop(nil); errors.Is(err, ErrGone) {
		if err := q.renew(); err != nil {
			return err
		}
		dropped = false
	}
	if dropped && !q.dropped {
		if err := q.drop(); err != nil {
			return err
		}
	}
	q.dropped = false
	m.mu.RLock()
	defer m.mu.RUnlock()
	switch {
	case m.work == nil:
		return fmt.Errorf("heap: %s: closed", m.path)
	case m.torn != nil:
		return fmt.Errorf("heap: %s: not readable until published again: %w", m.path, m.torn)
	case m.size > q.s.Room():
		return fmt.Errorf("heap: %s: a query view of at most %d bytes for a memory of %d", m.path, q.s.Room(), m.size)
	}
	if !dropped || q.on != m.work || q.shown != m.size {
		if err := m.work.with(func(f *os.File) error { return q.s.Show(f, m.size) }); err != nil {
			q.on = nil
			return fmt.Errorf("%s: %w", m.path, err)
		}
		q.on, q.shown = m.work, m.size
	} else if q.kept {
		// A Publish that took the view for one in use may have been keeping pages for it
		// while they were dropped.
		if err := q.drop(); err != nil {
			return err
		}
	}
	q.kept = false
	if q.undo != nil {
		q.undo.forget()
	}
	q.size, q.reached = m.size, m.size
	q.used.Store(true)
	return nil
}

// renew takes another space for one that is gone.
func (q *QueryView) renew() error {
	s, err := q.m.newSpace(false, q.undo != nil, q.s.Room())
	if err != nil {
		return err
	}
	q.m.mu.Lock()
	defer q.m.mu.Unlock()
	q.s, q.on = s, nil
	return nil
}

func (q *QueryView) drop() error {
	if err := q.s.Drop(within([]Range{{0, q.reached}}, q.reached)); err != nil {
		return fmt.Errorf("%s: %w", q.m.path, err)
	}
	return nil
}

// Idle ends the use of the view, which from now on takes no memory: its bytes must not be
// touched until the next Refresh.
func (q *QueryView) Idle() {
	if !q.used.Swap(false) {
		return
	}
	if q.undo != nil {
		q.m.mu.RLock() // a Publish may have begun when it was in use
		q.undo.forget()
		q.m.mu.RUnlock()
	}
	if !q.s.Lazy() {
		return
	}
	// What cannot be dropped now is dropped, or seen to fail, by Refresh.
	q.dropped = q.drop() == nil
}

// Size is the current size in bytes.
func (q *QueryView) Size() uint64 { return q.size }

// Space is where the content is.
func (q *QueryView) Space() Space { return q.s }

// Bytes is the current extent. Its address never changes while the view is open. Only a view in
// this process has it.
func (q *QueryView) Bytes() []byte { return q.s.Bytes()[:q.size:q.size] }

// Reallocate is as for View.
func (q *QueryView) Reallocate(size uint64) []byte {
	if size > q.s.Room() {
		return nil
	}
	q.size = max(size, q.size)
	q.reached = max(q.reached, q.size)
	return first(q.s, size)
}

// Grow is as for View.
func (q *QueryView) Grow(size uint64) error {
	if size < q.size || size > q.s.Room() {
		return fmt.Errorf("heap: %s: growing a query view from %d to %d bytes, at most %d", q.m.path, q.size, size, q.s.Room())
	}
	q.Reallocate(size)
	return nil
}

// Free does nothing; see Close.
func (q *QueryView) Free() {}

// Close closes the view.
func (q *QueryView) Close() error {
	q.m.mu.Lock()
	defer q.m.mu.Unlock()
	if _, ok := q.m.queries[q]; !ok {
		return nil
	}
	delete(q.m.queries, q)
	return q.s.Close()
}
