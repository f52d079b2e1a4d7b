//go:build unix

package heap

import (
	"bytes"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"pgregory.net/rapid"

	"portico/node/types"
)

const (
	testPages = 4 // Wasm pages of a memory in these tests
	testMax   = testPages * types.WasmPageBytes
)

// backends are those that this machine has.
func backends() []Backend {
	all := []Backend{Portable}
	for _, b := range []Backend{PageMap, WriteProtect} {
		if works(b) {
			all = append(all, b)
		}
	}
	return all
}

// TestAllBackendsBehaveLikePlainSlices drives one memory per backend, and one per backend with
// a host-tracked view, through the same random operations as a model of byte slices.
func TestAllBackendsBehaveLikePlainSlices(t *testing.T) {
	if testing.Short() {
		checks := flag.Lookup("rapid.checks").Value
		before := checks.String()
		must(t, checks.Set("15"))
		defer func() { must(t, checks.Set(before)) }()
	}
	dir := t.TempDir()
	run := 0
	rapid.Check(t, func(t *rapid.T) {
		run++
		w := newWorld(t, filepath.Join(dir, fmt.Sprint(run)))
		defer w.close()
		t.Repeat(map[string]func(*rapid.T){
			"write":            w.write,
			"write again":      w.write,
			"message":          w.message,
			"message again":    w.message,
			"grow":             w.grow,
			"replace":          w.replace,
			"commit":           w.commit,
			"rollback":         w.rollback,
			"publish":          w.publish,
			"publish again":    w.publish,
			"reopenView":       w.reopenView,
			"refresh":          w.refresh,
			"idle":             w.idle,
			"queryWrite":       w.queryWrite,
			"queryMark":        w.queryMark,
			"queryUndo":        w.queryUndo,
			"checkpoint":       w.checkpoint,
			"removeCheckpoint": w.removeCheckpoint,
			"prepare":          w.prepare,
			"restart":          w.restart,
			"snapshot":         w.snapshot,
			"publishSnapshot":  w.publishSnapshot,
			"writeSnapshot":    w.writeSnapshot,
			"load":             w.load,
			"":                 w.check,
		})
	})
}

// world is the model and the memories that must equal it.
type world struct {
	dir string
	all []*subject

	published, committed, current []byte
	overlay                       map[int]bool
	fresh, replaced               bool
	changed                       map[int]bool
	low                           int

	queries     [3]struct{ shows, marked []byte } // nil = idle, not marked
	checkpoints map[string][]byte
	taken       int
	saved       []byte // the snapshot
}

type subject struct {
	name    string
	path    string
	backend Backend
	hosted  bool
	m       *Memory
	v       *View
	q       [3]*QueryView
	links   map[string]string // name of a checkpoint -> its file
	saved   *Memory           // the snapshot, which has no view
}

func newWorld(t *rapid.T, dir string) *world {
	must(t, os.Mkdir(dir, 0o755))
	w := &world{dir: dir, overlay: map[int]bool{}, changed: map[int]bool{}, checkpoints: map[string][]byte{}}
	for _, b := range backends() {
		for _, hosted := range []bool{false, true} {
			if hosted && b == WriteProtect {
				continue // the same as PageMap
			}
			s := &subject{name: fmt.Sprintf("%v-%v", b, hosted), backend: b, hosted: hosted, links: map[string]string{}}
			s.path = filepath.Join(dir, s.name)
			var err error
			s.m, err = Open(s.path, b)
			must(t, err)
			s.saved, err = Open(s.path+".saved", b)
			must(t, err)
			s.open(t)
			w.all = append(w.all, s)
		}
	}
	w.grow(t)
	w.commit(t)
	w.publish(t)
	return w
}

func (s *subject) open(t *rapid.T) {
	var err error
	if s.hosted {
		s.m.room = types.WasmPageBytes // so that growing moves the view
		s.v, err = s.m.Update(testMax, HostTracked)
	} else {
		s.v, err = s.m.Update(testMax)
	}
	must(t, err)
	for i := range s.q {
		if s.q[i] == nil {
			if i == undoable {
				s.q[i], err = s.m.QueryWithUndo(testMax)
			} else {
				s.q[i], err = s.m.Query(testMax)
			}
			must(t, err)
		}
	}
}

func (w *world) close() {
	for _, s := range w.all {
		s.m.Close()
		s.saved.Close()
	}
	os.RemoveAll(w.dir)
}

func (w *world) write(t *rapid.T) {
	if len(w.current) == 0 {
		t.Skip("empty")
	}
	// Few places, so that writes meet.
	off := rapid.SampledFrom([]int{0, 0, 1, 15, 16, 40}).Draw(t, "page") * PageBytes % len(w.current)
	off += rapid.SampledFrom([]int{0, 5, PageBytes - 1}).Draw(t, "in page")
	n := min(rapid.SampledFrom([]int{1, 8, 5000, 70000}).Draw(t, "n"), len(w.current)-off)
	// Few values, so that pages come to be what they were, or zero.
	fill := rapid.ByteRange(0, 2).Draw(t, "fill")
	w.poke(w.current, off, n, fill)
	for _, s := range w.all {
		w.poke(s.v.Bytes(), off, n, fill)
		s.v.MarkDirty(uint64(off), uint64(n))
	}
}

func (w *world) poke(b []byte, off, n int, fill byte) {
	for i := off; i < off+n; i++ {
		b[i] = fill
	}
}

func (w *world) grow(t *rapid.T) {
	pages := rapid.IntRange(len(w.current)/types.WasmPageBytes, testPages).Draw(t, "pages")
	w.current = append(w.current, make([]byte, pages*types.WasmPageBytes-len(w.current))...)
	for _, s := range w.all {
		must(t, s.v.Grow(uint64(len(w.current))))
	}
}

func (w *world) replace(t *rapid.T) {
	pages := rapid.IntRange(0, testPages).Draw(t, "pages")
	w.current = make([]byte, pages*types.WasmPageBytes)
	w.replaced = true
	for _, s := range w.all {
		must(t, s.v.Replace(uint64(len(w.current))))
	}
}

func (w *world) commit(t *rapid.T) {
	want := 0
	was := w.committed
	if w.replaced {
		was = nil
		w.fresh, w.replaced = true, false
		clear(w.overlay)
	}
	for p := range len(w.current) / PageBytes {
		if !bytes.Equal(page(w.current, p), page(was, p)) {
			want++
			w.overlay[p] = true
		}
	}
	w.committed = slices.Clone(w.current)
	for _, s := range w.all {
		got, err := s.v.Commit()
		must(t, err)
		if got != want {
			t.Fatalf("%s: Commit says %d pages, want %d", s.name, got, want)
		}
	}
}

// message is a whole successful message.
func (w *world) message(t *rapid.T) {
	w.write(t)
	w.commit(t)
}

// page is page p of b, zeros beyond its end.
func page(b []byte, p int) []byte {
	if (p+1)*PageBytes > len(b) {
		return make([]byte, PageBytes)
	}
	return b[p*PageBytes : (p+1)*PageBytes]
}

func (w *world) rollback(t *rapid.T) {
	w.current = slices.Clone(w.committed)
	w.replaced = false
	for _, s := range w.all {
		must(t, s.v.Rollback())
	}
}

func (w *world) publish(t *rapid.T) {
	w.published = slices.Clone(w.committed)
	if w.fresh {
		w.low = 0
		clear(w.changed)
	} else {
		for p := range w.overlay {
			w.changed[p] = true
		}
	}
	w.fresh = false
	clear(w.overlay)
	for _, s := range w.all {
		must(t, s.m.Publish())
	}
	w.checkCheckpoints(t)
}

// reopenView forgets what was not committed.
func (w *world) reopenView(t *rapid.T) {
	w.current = slices.Clone(w.committed)
	w.replaced = false
	for _, s := range w.all {
		must(t, s.v.Close())
		s.open(t)
	}
}

func (w *world) refresh(t *rapid.T) {
	i := rapid.IntRange(0, len(w.queries)-1).Draw(t, "query")
	w.queries[i].shows, w.queries[i].marked = append([]byte{}, w.published...), nil
	for _, s := range w.all {
		must(t, s.q[i].Refresh())
	}
}

func (w *world) idle(t *rapid.T) {
	i := rapid.IntRange(0, len(w.queries)-1).Draw(t, "query")
	w.queries[i].shows = nil
	for _, s := range w.all {
		s.q[i].Idle()
	}
}

func (w *world) queryWrite(t *rapid.T) {
	i := rapid.IntRange(0, len(w.queries)-1).Draw(t, "query")
	q := &w.queries[i]
	if q.shows == nil {
		t.Skip("idle")
	}
	pages := rapid.IntRange(len(q.shows)/types.WasmPageBytes, testPages).Draw(t, "pages")
	q.shows = append(q.shows, make([]byte, pages*types.WasmPageBytes-len(q.shows))...)
	for _, s := range w.all {
		must(t, s.q[i].Grow(uint64(len(q.shows))))
	}
	if pages == 0 {
		return
	}
	off := rapid.IntRange(0, len(q.shows)-1).Draw(t, "off")
	n := min(9000, len(q.shows)-off)
	w.poke(q.shows, off, n, 3)
	for _, s := range w.all {
		w.poke(s.q[i].Bytes(), off, n, 3)
	}
}

// undoable is the query view that has Mark and Undo.
const undoable = 0

func (w *world) queryMark(t *rapid.T) {
	q := &w.queries[undoable]
	if q.shows == nil {
		t.Skip("idle")
	}
	q.marked = slices.Clone(q.shows)
	for _, s := range w.all {
		must(t, s.q[undoable].Mark())
	}
}

func (w *world) queryUndo(t *rapid.T) {
	q := &w.queries[undoable]
	if q.shows == nil || q.marked == nil {
		t.Skip("idle or not marked")
	}
	q.shows = slices.Clone(q.marked)
	for _, s := range w.all {
		must(t, s.q[undoable].Undo())
	}
}

func (w *world) checkpoint(t *rapid.T) {
	w.taken++
	name := fmt.Sprintf("checkpoint-%d", w.taken)
	w.checkpoints[name] = slices.Clone(w.published)
	want := w.changedRanges()
	for _, s := range w.all {
		s.links[name] = s.path + "." + name
		d, err := s.m.Checkpoint(s.links[name])
		must(t, err)
		if !slices.Equal(d.Changed, want) || d.Size != uint64(len(w.published)) {
			t.Fatalf("%s: checkpoint says %v of %d, want %v of %d", s.name, d.Changed, d.Size, want, len(w.published))
		}
	}
	clear(w.changed)
	w.low = len(w.published)
	w.checkCheckpoints(t)
}

func (w *world) changedRanges() []Range {
	var rs []Range
	for p := range len(w.published) / PageBytes {
		if w.changed[p] || p*PageBytes >= w.low {
			rs = appendRange(rs, uint64(p*PageBytes), PageBytes)
		}
	}
	return rs
}

func (w *world) drawCheckpoint(t *rapid.T) string {
	if len(w.checkpoints) == 0 {
		t.Skip("no checkpoint")
	}
	var names []string
	for name := range w.checkpoints {
		names = append(names, name)
	}
	slices.Sort(names)
	return rapid.SampledFrom(names).Draw(t, "checkpoint")
}

func (w *world) removeCheckpoint(t *rapid.T) {
	name := w.drawCheckpoint(t)
	delete(w.checkpoints, name)
	for _, s := range w.all {
		must(t, os.Remove(s.links[name]))
	}
}

func (w *world) prepare(t *rapid.T) {
	for _, s := range w.all {
		must(t, s.m.Prepare())
	}
	w.checkCheckpoints(t)
}

// restart drops everything but the checkpoints and goes on from one of them.
func (w *world) restart(t *rapid.T) {
	name := w.drawCheckpoint(t)
	content := w.checkpoints[name]
	w.published, w.committed, w.current = slices.Clone(content), slices.Clone(content), slices.Clone(content)
	w.fresh, w.replaced, w.low = false, false, len(content)
	clear(w.overlay)
	clear(w.changed)
	for i := range w.queries {
		w.queries[i].shows = nil
	}
	for _, s := range w.all {
		must(t, s.m.Close())
		m, err := OpenCheckpoint(s.links[name], s.path, s.backend)
		must(t, err)
		s.m, s.q = m, [3]*QueryView{}
		s.open(t)
	}
}

func (w *world) check(t *rapid.T) {
	want := w.changedRanges()
	committed := make([]byte, testMax)
	for _, s := range w.all {
		if !bytes.Equal(s.v.Bytes(), w.current) {
			t.Fatalf("%s: view of %d bytes differs from the model's %d at %d", s.name, len(s.v.Bytes()), len(w.current), firstDifference(s.v.Bytes(), w.current))
		}
		if s.m.Size() != uint64(len(w.published)) || s.m.CommittedSize() != uint64(len(w.committed)) {
			t.Fatalf("%s: sizes %d and %d, want %d and %d", s.name, s.m.Size(), s.m.CommittedSize(), len(w.published), len(w.committed))
		}
		must(t, s.m.ReadCommitted(committed, 0))
		if !bytes.Equal(committed[:len(w.committed)], w.committed) || !isZero(committed[len(w.committed):]) {
			t.Fatalf("%s: committed content differs", s.name)
		}
		must(t, s.saved.ReadCommitted(committed, 0))
		if s.saved.CommittedSize() != uint64(len(w.saved)) || !bytes.Equal(committed[:len(w.saved)], w.saved) {
			t.Fatalf("%s: the snapshot differs at %d", s.name, firstDifference(committed, w.saved))
		}
		if got := s.m.Changed(); !slices.Equal(got, want) {
			t.Fatalf("%s: changed %v, want %v", s.name, got, want)
		}
		for i, q := range w.queries {
			if q.shows != nil && !bytes.Equal(s.q[i].Bytes(), q.shows) {
				t.Fatalf("%s: query %d differs at %d", s.name, i, firstDifference(s.q[i].Bytes(), q.shows))
			}
		}
	}
}

// checkCheckpoints is for the operations that write files.
func (w *world) checkCheckpoints(t *rapid.T) {
	for _, s := range w.all {
		for name, content := range w.checkpoints {
			got, err := os.ReadFile(s.links[name])
			must(t, err)
			if !bytes.Equal(got, content) {
				t.Fatalf("%s: %s differs at %d", s.name, name, firstDifference(got, content))
			}
		}
	}
}

func firstDifference(a, b []byte) int {
	for i := range min(len(a), len(b)) {
		if a[i] != b[i] {
			return i
		}
	}
	return min(len(a), len(b))
}

func must(t interface {
	Helper()
	Fatal(...any)
}, err error,
) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
