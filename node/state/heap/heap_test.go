//go:build unix

package heap

import (
	"bytes"
	"encoding/binary"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"

	"portico/node/types"
)

// eachBackend runs do with a memory of two Wasm pages that hold ones, published, and its view.
func eachBackend(t *testing.T, do func(t *testing.T, m *Memory, v *View)) {
	for _, b := range backends() {
		t.Run(b.String(), func(t *testing.T) {
			m, err := Open(filepath.Join(t.TempDir(), "memory"), b)
			must(t, err)
			defer func() { must(t, m.Close()) }()
			v, err := m.Update(testMax)
			must(t, err)
			must(t, v.Grow(2*types.WasmPageBytes))
			fill(v.Bytes(), 1)
			commit(t, v, 32)
			must(t, m.Publish())
			do(t, m, v)
		})
	}
}

func fill(b []byte, value byte) {
	for i := range b {
		b[i] = value
	}
}

func commit(t *testing.T, v *View, want int) {
	t.Helper()
	if got, err := v.Commit(); err != nil || got != want {
		t.Fatalf("Commit: %d pages, %v; want %d", got, err, want)
	}
}

func all(t *testing.T, b []byte, want byte) {
	t.Helper()
	for i, got := range b {
		if got != want {
			t.Fatalf("byte %d of %d is %d, want %d", i, len(b), got, want)
		}
	}
}

func TestSuspendedMessageKeepsItsWritesThroughPublish(t *testing.T) {
	eachBackend(t, func(t *testing.T, m *Memory, v *View) {
		v.Bytes()[0] = 2
		commit(t, v, 1)
		v.Bytes()[1] = 3         // over a page that Publish is about to write
		v.Bytes()[PageBytes] = 3 // and over one that it does not know
		must(t, m.Publish())
		if got := v.Bytes()[:2]; got[0] != 2 || got[1] != 3 || v.Bytes()[PageBytes] != 3 {
			t.Fatalf("after Publish: %v %d", got, v.Bytes()[PageBytes])
		}
		must(t, m.Publish()) // nothing to do, and nothing forgotten
		must(t, v.Rollback())
		if got := v.Bytes()[:2]; got[0] != 2 || got[1] != 1 || v.Bytes()[PageBytes] != 1 {
			t.Fatalf("after Rollback: %v %d", got, v.Bytes()[PageBytes])
		}
		commit(t, v, 0)
	})
}

// The file of the checkpoint before the last becomes the working file again while a query
// still reads it.
func TestQueryOlderThanTwoCheckpointsSeesItsRound(t *testing.T) {
	eachBackend(t, func(t *testing.T, m *Memory, v *View) {
		q, err := m.Query(testMax)
		must(t, err)
		must(t, q.Refresh())
		dir := t.TempDir()
		for round := byte(2); round < 7; round++ {
			path := filepath.Join(dir, string('0'+round))
			_, err := m.Checkpoint(path)
			must(t, err)
			fill(v.Bytes(), round)
			commit(t, v, 32)
			must(t, m.Publish())
			must(t, os.Remove(path))
			must(t, m.Prepare())
			all(t, q.Bytes(), 1)
		}
		must(t, q.Refresh())
		all(t, q.Bytes(), 6)
	})
}

// While a checkpoint is made, the one before it keeps the file that the next round would write to.
func TestOnlyALargeMemoryWaitsForACheckpointThatIsBeingMade(t *testing.T) {
	for _, size := range []uint64{smallCopy, smallCopy + types.WasmPageBytes} {
		synctest.Test(t, func(t *testing.T) { publishBesideACheckpoint(t, size) })
	}
}

func publishBesideACheckpoint(t *testing.T, size uint64) {
	m, err := Open(filepath.Join(t.TempDir(), "memory"), Auto)
	must(t, err)
	defer func() { must(t, m.Close()) }()
	must(t, m.Resize(size))
	must(t, m.Write(bytes.Repeat([]byte{1}, int(size)), 0))
	must(t, m.Publish())
	round := func(n byte) {
		must(t, m.Write([]byte{n}, 0))
		must(t, m.Publish())
	}
	dir := t.TempDir()
	first, second := filepath.Join(dir, "1"), filepath.Join(dir, "2")
	_, err = m.Checkpoint(first)
	must(t, err)
	round(2)
	_, sync, err := m.Link(second)
	must(t, err)
	published := false
	go func() {
		round(3)
		published = true
	}()
	synctest.Wait()
	if small := size <= smallCopy; published != small {
		t.Errorf("while a checkpoint is made, a memory of %d bytes is published: %v, want %v", size, published, small)
	}
	must(t, sync())
	must(t, os.Remove(first))
	m.Settle()
	synctest.Wait()
	file, err := os.ReadFile(second)
	must(t, err)
	if !published || file[0] != 2 {
		t.Errorf("published %v; the checkpoint begins with %d, want what was published before it", published, file[0])
	}
}

func TestAQueryIsUndoneToItsRoundWhateverIsPublishedMeanwhile(t *testing.T) {
	eachBackend(t, func(t *testing.T, m *Memory, v *View) {
		q, err := m.QueryWithUndo(testMax)
		must(t, err)
		must(t, q.Refresh())
		q.Bytes()[0] = 7
		must(t, q.Mark())
		dir := t.TempDir()
		for round := byte(2); round < 7; round++ {
			q.Bytes()[0], q.Bytes()[PageBytes*uint64(round)] = round, round
			path := filepath.Join(dir, string('0'+round))
			_, err := m.Checkpoint(path)
			must(t, err)
			fill(v.Bytes(), round)
			commit(t, v, 32)
			must(t, m.Publish())
			must(t, os.Remove(path))
			must(t, m.Prepare())
			must(t, q.Grow(3*types.WasmPageBytes))
			q.Bytes()[2*types.WasmPageBytes] = round
			must(t, q.Undo())
			if len(q.Bytes()) != 2*types.WasmPageBytes || q.Bytes()[0] != 7 {
				t.Fatalf("undone, the view has %d bytes and begins with %d", len(q.Bytes()), q.Bytes()[0])
			}
			all(t, q.Bytes()[1:], 1)
		}
		must(t, q.Grow(3*types.WasmPageBytes))
		all(t, q.Bytes()[2*types.WasmPageBytes:], 0)
	})
}

func TestSpareCatchesUpWithEverythingSinceItWasLeft(t *testing.T) {
	eachBackend(t, func(t *testing.T, m *Memory, v *View) {
		dir := t.TempDir()
		want := slices.Clone(v.Bytes())
		for i := range 6 {
			if i > 0 {
				must(t, os.Remove(filepath.Join(dir, string(rune('a'+i-1)))))
			}
			path := filepath.Join(dir, string(rune('a'+i)))
			_, err := m.Checkpoint(path)
			must(t, err)
			for range 2 {
				at := binary.LittleEndian.Uint16([]byte{byte(i * 37), byte(i * 59)})
				v.Bytes()[at]++
				want[at]++
				commit(t, v, 1)
				must(t, m.Publish())
			}
			got, err := os.ReadFile(m.work.path)
			must(t, err)
			if !bytes.Equal(got, want) {
				t.Fatalf("after checkpoint %d the working file differs at %d", i, firstDifference(got, want))
			}
		}
		if m.spare == nil {
			t.Fatal("no spare: every checkpoint copies the whole memory")
		}
	})
}

func TestCheckpointCopiesNothingAndSharesTheFile(t *testing.T) {
	eachBackend(t, func(t *testing.T, m *Memory, v *View) {
		path := filepath.Join(t.TempDir(), "checkpoint")
		_, err := m.Checkpoint(path)
		must(t, err)
		a, err := os.Stat(path)
		must(t, err)
		b, err := m.work.f.Stat()
		must(t, err)
		if !os.SameFile(a, b) {
			t.Fatal("the checkpoint is a copy")
		}
		if _, err := m.Checkpoint(path); err == nil || !strings.Contains(err.Error(), path) {
			t.Fatalf("checkpoint over an existing file: %v, want an error that names it", err)
		}
	})
}

func TestSecondUpdatingViewIsRefused(t *testing.T) {
	eachBackend(t, func(t *testing.T, m *Memory, v *View) {
		if _, err := m.Update(testMax); err == nil {
			t.Fatal("a second updating view was opened")
		}
		must(t, v.Close())
		v, err := m.Update(2 * types.WasmPageBytes)
		must(t, err)
		if err := v.Grow(3 * types.WasmPageBytes); err == nil {
			t.Fatal("grown beyond the reservation")
		}
		if v.Reallocate(3*types.WasmPageBytes) != nil {
			t.Fatal("reallocated beyond the reservation")
		}
		if got := v.Reallocate(types.WasmPageBytes); len(got) != types.WasmPageBytes || v.Size() != 2*types.WasmPageBytes {
			t.Fatalf("Reallocate of less: %d bytes, view of %d", len(got), v.Size())
		}
		must(t, v.Close())
		if _, err := m.Update(types.WasmPageBytes); err == nil {
			t.Fatal("a view smaller than the memory was opened")
		}
	})
}

func TestWritesBySystemCallsAreSeen(t *testing.T) {
	eachBackend(t, func(t *testing.T, m *Memory, v *View) {
		commit(t, v, 0) // everything that can be protected now is
		f, err := os.Open("heap_test.go")
		must(t, err)
		defer f.Close()
		for range 2 {
			if _, err := f.Read(v.Bytes()[PageBytes-10 : PageBytes+10]); err != nil {
				t.Fatal(err)
			}
			commit(t, v, 2)
		}
	})
}

func TestReadingIsNotWriting(t *testing.T) {
	eachBackend(t, func(t *testing.T, m *Memory, v *View) {
		must(t, v.Grow(testMax))
		commit(t, v, 0)
		for range 2 {
			sum := 0
			for _, b := range v.Bytes() {
				sum += int(b)
			}
			if sum != 2*types.WasmPageBytes {
				t.Fatal(sum)
			}
			commit(t, v, 0)
		}
		v.Bytes()[testMax-1] = 0 // zero over zero, one over one
		v.Bytes()[0] = 1
		commit(t, v, 0)
	})
}

func TestRollbackOfGrowthLeavesZerosBehind(t *testing.T) {
	eachBackend(t, func(t *testing.T, m *Memory, v *View) {
		for range 2 {
			must(t, v.Grow(testMax))
			fill(v.Bytes()[2*types.WasmPageBytes:], 7)
			must(t, v.Rollback())
			if v.Size() != 2*types.WasmPageBytes {
				t.Fatal(v.Size())
			}
		}
		must(t, v.Grow(testMax))
		all(t, v.Bytes()[2*types.WasmPageBytes:], 0)
	})
}

func TestFailedPublishRefusesQueriesUntilRepeated(t *testing.T) {
	eachBackend(t, func(t *testing.T, m *Memory, v *View) {
		q, err := m.Query(testMax)
		must(t, err)
		fill(v.Bytes(), 2)
		commit(t, v, 32)
		// A file that cannot be written stands for a full disk.
		good := m.work.f
		m.work.f, err = os.Open(m.work.path)
		must(t, err)
		if err := m.Publish(); err == nil || !strings.Contains(err.Error(), m.path) {
			t.Fatalf("Publish: %v, want an error that names the file", err)
		}
		if q.Refresh() == nil {
			t.Fatal("a query was let in")
		}
		if _, err := m.Checkpoint(m.path + ".checkpoint"); err == nil {
			t.Fatal("a checkpoint was taken")
		}
		must(t, m.work.f.Close())
		m.work.f = good
		must(t, m.Publish())
		must(t, q.Refresh())
		all(t, q.Bytes(), 2)
	})
}

func TestOpenRefusesWhatIsNotAMemory(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "memory")
	must(t, os.WriteFile(path, make([]byte, types.WasmPageBytes+1), 0o644))
	for _, path := range []string{path, dir} {
		if _, err := Open(path, Portable); err == nil || !strings.Contains(err.Error(), path) {
			t.Fatalf("Open(%s): %v", path, err)
		}
	}
	m, err := Open(filepath.Join(dir, "new"), Portable)
	must(t, err)
	defer m.Close()
	for _, size := range []uint64{1, types.WasmPageBytes + PageBytes, MaxBytes + types.WasmPageBytes} {
		if _, err := m.Update(size); err == nil {
			t.Fatalf("a view of %d bytes was opened", size)
		}
	}
}

func TestCloseLeavesThePublishedContentAtThePath(t *testing.T) {
	eachBackend(t, func(t *testing.T, m *Memory, v *View) {
		_, err := m.Checkpoint(filepath.Join(t.TempDir(), "checkpoint"))
		must(t, err)
		fill(v.Bytes(), 2)
		commit(t, v, 32)
		must(t, m.Publish()) // to the spare's name
		must(t, m.Close())
		again, err := Open(m.path, m.backend)
		must(t, err)
		defer again.Close()
		got := make([]byte, again.Size())
		must(t, again.ReadCommitted(got, 0))
		all(t, got, 2)
		must(t, again.Remove())
		if left, err := filepath.Glob(m.path + "*"); err != nil || len(left) > 0 {
			t.Fatalf("Remove left %v, %v", left, err)
		}
	})
}

// Queries run while rounds are published, views are closed and files prepared: each must see one
// round, whole.
func TestQueriesSeeWholeRoundsWhilePublishing(t *testing.T) {
	eachBackend(t, func(t *testing.T, m *Memory, v *View) {
		const readers = 2
		stop, done := make(chan struct{}), make(chan error, readers)
		for range readers {
			q, err := m.Query(testMax)
			must(t, err)
			go func() { done <- readRounds(q, stop) }()
		}
		dir := t.TempDir()
		var preparing sync.WaitGroup
		var prepared error
		for round := range 60 {
			fill(v.Bytes(), byte(round))
			if _, err := v.Commit(); err != nil {
				t.Fatal(err)
			}
			must(t, m.Publish())
			if round%10 == 0 {
				path := filepath.Join(dir, "checkpoint")
				os.Remove(path)
				_, err := m.Checkpoint(path)
				must(t, err)
				preparing.Go(func() { prepared = errors.Join(prepared, m.Prepare()) })
			}
			if round%3 == 0 {
				must(t, v.Close())
				var err error
				v, err = m.Update(testMax)
				must(t, err)
			}
			if round%10 == 7 {
				preparing.Wait()
				must(t, prepared)
			}
		}
		close(stop)
		for range readers {
			must(t, <-done)
		}
	})
}

func readRounds(q *QueryView, stop <-chan struct{}) error {
	for {
		select {
		case <-stop:
			return q.Close()
		default:
		}
		if err := q.Refresh(); err != nil {
			return err
		}
		b := q.Bytes()
		for i := range b {
			if b[i] != b[0] {
				return &mixedRounds{b[0], b[i]}
			}
		}
		q.Idle()
	}
}

type mixedRounds struct{ a, b byte }

func (e *mixedRounds) Error() string {
	return "one query saw rounds " + string([]byte{'0' + e.a, ' ', '0' + e.b})
}
