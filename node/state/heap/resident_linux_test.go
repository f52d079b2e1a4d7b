package heap

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"strconv"
	"syscall"
	"testing"

	"portico/node/types"
)

// descriptors is how many file descriptors the process has.
func descriptors(t *testing.T) int {
	t.Helper()
	list, err := os.ReadDir("/proc/self/fd")
	must(t, err)
	return len(list)
}

// anonymous is how many bytes of the process's memory are no file's.
func anonymous(t *testing.T) int64 {
	t.Helper()
	b, err := os.ReadFile("/proc/self/smaps_rollup")
	must(t, err)
	_, rest, _ := bytes.Cut(b, []byte("\nAnonymous:"))
	kib, err := strconv.ParseInt(string(bytes.Fields(rest)[0]), 10, 64)
	must(t, err)
	return kib << 10
}

// diskBytes is what a file takes on the disk.
func diskBytes(t *testing.T, path string) int64 {
	t.Helper()
	st, err := os.Stat(path)
	must(t, err)
	return st.Sys().(*syscall.Stat_t).Blocks * 512
}

func TestOnlyAMemoryThatIsBeingUpdatedHoldsDescriptors(t *testing.T) {
	dir, before := t.TempDir(), descriptors(t)
	for i := range 200 {
		m, err := Open(filepath.Join(dir, strconv.Itoa(i)), Best())
		must(t, err)
		defer func() { must(t, m.Close()) }()
		v, err := m.Update(testMax)
		must(t, err)
		must(t, v.Grow(types.WasmPageBytes))
		fill(v.Bytes(), byte(i))
		_, err = v.Commit()
		must(t, err)
		must(t, v.Close())
		must(t, m.Publish())
		_, err = m.Checkpoint(filepath.Join(dir, "checkpoint"+strconv.Itoa(i)))
		must(t, err)
		must(t, m.Prepare())
		q, err := m.Query(testMax)
		must(t, err)
		must(t, q.Refresh())
		all(t, q.Bytes(), byte(i))
		q.Idle()
	}
	if got := descriptors(t) - before; got > 0 {
		t.Errorf("200 memories that nobody updates hold %d descriptors", got)
	}
}

func TestAnIdleQueryViewTakesNoMemory(t *testing.T) {
	const size = 64 * types.MiB
	m, err := Open(filepath.Join(t.TempDir(), "memory"), Best())
	must(t, err)
	defer func() { must(t, m.Close()) }()
	must(t, m.Resize(size))
	must(t, m.Publish())
	q, err := m.Query(size)
	must(t, err)
	before := anonymous(t)
	must(t, q.Refresh())
	for off := 0; off < size; off += PageBytes {
		q.Bytes()[off] = 1
	}
	if got := anonymous(t) - before; got < size*3/4 {
		t.Fatalf("a query wrote %d bytes and %d are resident", size, got)
	}
	q.Idle()
	if got := anonymous(t) - before; got > size/4 {
		t.Errorf("an idle view takes %d bytes", got)
	}
	must(t, q.Refresh())
	all(t, q.Bytes(), 0)
}

func TestAQueryGoesOnWhenItsMemoryIsRemoved(t *testing.T) {
	eachBackend(t, func(t *testing.T, m *Memory, v *View) {
		used, err := m.Query(testMax)
		must(t, err)
		idle, err := m.Query(testMax)
		must(t, err)
		must(t, used.Refresh())
		must(t, m.Remove())
		all(t, used.Bytes(), 1)
		used.Idle()
		if used.Refresh() == nil {
			t.Error("a query began in a memory that was removed")
		}
		must(t, used.Close())
		must(t, idle.Close())
	})
}

func TestARoundIsPublishedWithoutAViewAndSeenByTheNext(t *testing.T) {
	eachBackend(t, func(t *testing.T, m *Memory, v *View) {
		v.Bytes()[5] = 7
		commit(t, v, 1)
		v.Bytes()[6] = 8 // not committed
		must(t, v.Close())
		again, err := m.Update(testMax)
		must(t, err)
		if got := again.Bytes()[4:8]; !bytes.Equal(got, []byte{1, 7, 1, 1}) {
			t.Errorf("before Publish a new view shows %d", got)
		}
		must(t, again.Close())
		must(t, m.Publish())
		again, err = m.Update(testMax)
		must(t, err)
		if got := again.Bytes()[4:8]; !bytes.Equal(got, []byte{1, 7, 1, 1}) {
			t.Errorf("after Publish a new view shows %d", got)
		}
	})
}

// TestALargeSparseMemoryCostsWhatIsWritten goes through a memory's life with the largest stable
// memory that canisters have, of which two pages are written.
func TestALargeSparseMemoryCostsWhatIsWritten(t *testing.T) {
	const size = 500 * types.GiB
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "probe"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Truncate(filepath.Join(dir, "probe"), size); errors.Is(err, syscall.EFBIG) {
		t.Skip("the file system of ", dir, " cannot hold a file of 500 GiB: ", err)
	}
	before := anonymous(t)
	m, err := Open(filepath.Join(dir, "memory"), Best())
	must(t, err)
	defer func() { must(t, m.Close()) }()
	v, err := m.Update(size, HostTracked)
	must(t, err)
	must(t, v.Grow(size))
	if v.Grow(size+types.WasmPageBytes) == nil {
		t.Error("a view grew beyond its limit")
	}
	write := func(value byte, want int) {
		t.Helper()
		for _, off := range []uint64{0, size - 1} {
			v.Bytes()[off] = value
			v.MarkDirty(off, 1)
		}
		commit(t, v, want)
		must(t, m.Publish())
	}
	write(1, 2)
	checkpoint := filepath.Join(dir, "checkpoint")
	d, err := m.Checkpoint(checkpoint)
	must(t, err)
	if len(d.Changed) != 1 || d.Changed[0] != (Range{0, size}) {
		t.Errorf("a memory that grew changed at %v", d.Changed)
	}
	write(2, 2) // copies the file that the checkpoint has
	d, err = m.Checkpoint(checkpoint + "2")
	must(t, err)
	if want := []Range{{0, PageBytes}, {size - PageBytes, PageBytes}}; len(d.Changed) != 2 || d.Changed[0] != want[0] || d.Changed[1] != want[1] {
		t.Errorf("two pages changed, but %v is listed", d.Changed)
	}
	q, err := m.Query(size)
	must(t, err)
	must(t, q.Refresh())
	if b := q.Bytes(); b[0] != 2 || b[size/2] != 0 || b[size-1] != 2 {
		t.Errorf("a query reads %d, %d, %d", b[0], b[size/2], b[size-1])
	}
	restored, err := OpenCheckpoint(checkpoint, filepath.Join(dir, "restored"), Best())
	must(t, err)
	defer func() { must(t, restored.Close()) }()
	if got := restored.Size(); got != size {
		t.Errorf("the restored memory has %d bytes, want %d", got, uint64(size))
	}
	b := make([]byte, 2)
	must(t, restored.ReadCommitted(b, size-2))
	if b[1] != 1 {
		t.Errorf("the restored memory ends with %d, want 1", b)
	}
	if got := anonymous(t) - before; got > 16*types.MiB {
		t.Errorf("two pages of 500 GiB take %d bytes of memory", got)
	}
	for _, path := range []string{m.path, checkpoint, checkpoint + "2", restored.path} {
		if got := diskBytes(t, path); got > types.MiB {
			t.Errorf("%s takes %d bytes of disk", filepath.Base(path), got)
		}
	}
}
