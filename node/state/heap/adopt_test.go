//go:build unix

package heap

import (
	"bytes"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"

	"portico/node/types"
)

func (w *world) snapshot(t *rapid.T) {
	w.saved = slices.Clone(w.committed)
	for _, s := range w.all {
		must(t, s.saved.Adopt(s.m))
	}
}

func (w *world) publishSnapshot(t *rapid.T) {
	for _, s := range w.all {
		must(t, s.saved.Publish())
	}
	w.checkCheckpoints(t)
}

// writeSnapshot grows the snapshot, which has no view, and writes to it.
func (w *world) writeSnapshot(t *rapid.T) {
	pages := rapid.IntRange(max(1, len(w.saved)/types.WasmPageBytes), testPages).Draw(t, "pages")
	w.saved = append(w.saved, make([]byte, pages*types.WasmPageBytes-len(w.saved))...)
	off := rapid.IntRange(0, len(w.saved)-1).Draw(t, "off")
	b := bytes.Repeat([]byte{7}, rapid.IntRange(0, min(9000, len(w.saved)-off)).Draw(t, "n"))
	copy(w.saved[off:], b)
	for _, s := range w.all {
		must(t, s.saved.Resize(uint64(len(w.saved))))
		must(t, s.saved.Write(b, uint64(off)))
	}
}

// load makes the snapshot the committed content.
func (w *world) load(t *rapid.T) {
	w.committed, w.current = slices.Clone(w.saved), slices.Clone(w.saved)
	w.fresh, w.replaced = true, false
	clear(w.overlay)
	for _, s := range w.all {
		must(t, s.m.Adopt(s.saved))
	}
}

func TestAdoptingLinksAndCopiesOnlyWhenEitherIsWritten(t *testing.T) {
	eachBackend(t, func(t *testing.T, m *Memory, v *View) {
		saved, err := Open(filepath.Join(t.TempDir(), "saved"), m.backend)
		must(t, err)
		defer func() { must(t, saved.Remove()) }()
		must(t, saved.Adopt(m))
		must(t, saved.Publish())
		same := func() bool {
			a, err := os.Stat(m.work.path)
			must(t, err)
			b, err := os.Stat(saved.work.path)
			must(t, err)
			return os.SameFile(a, b)
		}
		if !same() {
			t.Error("a published snapshot of a published memory is a file of its own")
		}
		v.Bytes()[0] = 9
		commit(t, v, 1)
		must(t, m.Publish())
		if same() {
			t.Fatal("writing the memory wrote its snapshot")
		}
		content := make([]byte, 2*types.WasmPageBytes)
		must(t, saved.ReadCommitted(content, 0))
		all(t, content, 1)
		must(t, m.Adopt(saved))
		all(t, v.Bytes(), 1)
		must(t, m.Publish())
		if !same() {
			t.Error("a loaded snapshot is a file of its own")
		}
	})
}

func TestAMemoryThatIsTooLargeIsNotAdopted(t *testing.T) {
	eachBackend(t, func(t *testing.T, m *Memory, v *View) {
		small, err := Open(filepath.Join(t.TempDir(), "small"), m.backend)
		must(t, err)
		defer func() { must(t, small.Close()) }()
		view, err := small.Update(types.WasmPageBytes)
		must(t, err)
		if err := small.Adopt(m); err == nil {
			t.Fatal("128 KiB were adopted by a memory with room for 64 KiB")
		}
		if view.Size() != 0 || small.CommittedSize() != 0 {
			t.Error("the refused content is there")
		}
	})
}

// BenchmarkSnapshot takes and loads snapshots of a memory of 256 MiB of which one page is
// written in between, and says what the first write after a snapshot costs, which copies a file.
func BenchmarkSnapshot(b *testing.B) {
	const size = 256 * types.MiB
	m, err := Open(filepath.Join(b.TempDir(), "memory"), Auto)
	must(b, err)
	defer func() { must(b, m.Close()) }()
	v, err := m.Update(size)
	must(b, err)
	must(b, v.Grow(size))
	fill(v.Bytes(), 1)
	_, err = v.Commit()
	must(b, err)
	must(b, m.Publish())
	saved, err := Open(filepath.Join(b.TempDir(), "saved"), Auto)
	must(b, err)
	defer func() { must(b, saved.Close()) }()
	var linking, writing time.Duration
	n := 0
	for b.Loop() {
		began := time.Now()
		must(b, saved.Adopt(m))
		must(b, saved.Publish())
		must(b, m.Adopt(saved))
		must(b, m.Publish())
		linked := time.Now()
		v.Bytes()[n%size]++
		_, err = v.Commit()
		must(b, err)
		must(b, m.Publish())
		linking, writing = linking+linked.Sub(began), writing+time.Since(linked)
		n++
	}
	b.ReportMetric(float64(linking.Microseconds())/float64(n), "µs-to-take-and-load")
	b.ReportMetric(float64(writing.Milliseconds())/float64(n), "ms-first-write")
}
