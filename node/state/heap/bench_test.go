//go:build unix

package heap

import (
	"fmt"
	"math/rand/v2"
	"path/filepath"
	"testing"

	"portico/node/types"
)

const (
	benchBytes = types.GiB
	benchDirty = 100
)

// benchSize is 1 GiB, but 64 MiB for the backend that compares and copies whole memories:
// what it costs grows with the size, and a gigabyte would take minutes.
func benchSize(backend Backend) uint64 {
	if backend == Portable {
		return benchBytes / 16
	}
	return benchBytes
}

// benchName names the size where it is not the one in the benchmark's own name.
func benchName(backend Backend) string {
	if backend == Portable {
		return "Portable,64MiB"
	}
	return backend.String()
}

// benchMemory is a published memory of benchSize, none of it zero, all of it seen by its view.
func benchMemory(b *testing.B, backend Backend, how Tracked) (*Memory, *View) {
	m, err := Open(filepath.Join(b.TempDir(), "memory"), backend)
	must(b, err)
	b.Cleanup(func() { must(b, m.Close()) })
	v, err := m.Update(4*types.GiB-types.WasmPageBytes, how)
	must(b, err)
	for off := uint64(0); off < benchSize(backend); off += 8 * types.MiB {
		must(b, v.Grow(off+8*types.MiB))
		fill(v.Bytes()[off:off+8*types.MiB], byte(off>>23)|1)
		v.MarkDirty(off, 8*types.MiB)
		_, err = v.Commit()
		must(b, err)
		must(b, m.Publish())
	}
	sum := byte(0)
	for off := uint64(0); off < benchSize(backend); off += PageBytes {
		sum += v.Bytes()[off]
	}
	must(b, v.Rollback())
	return m, v
}

func dirty(v *View) {
	for range benchDirty {
		off := rand.Uint64N(v.Size() / 8)
		v.Bytes()[off*8]++
		v.MarkDirty(off*8, 1)
	}
}

func eachTracking(b *testing.B, do func(b *testing.B, m *Memory, v *View)) {
	for _, backend := range backends() {
		b.Run(benchName(backend), func(b *testing.B) {
			m, v := benchMemory(b, backend, KernelTracked)
			do(b, m, v)
		})
	}
	b.Run("HostTracked", func(b *testing.B) {
		m, v := benchMemory(b, Best(), HostTracked)
		do(b, m, v)
	})
}

func BenchmarkCommit100PagesOf1GiB(b *testing.B) {
	eachTracking(b, func(b *testing.B, m *Memory, v *View) {
		for b.Loop() {
			b.StopTimer()
			dirty(v)
			b.StartTimer()
			if _, err := v.Commit(); err != nil {
				b.Fatal(err)
			}
			b.StopTimer()
			must(b, m.Publish())
			b.StartTimer()
		}
	})
}

func BenchmarkPublish100PagesOf1GiB(b *testing.B) {
	eachTracking(b, func(b *testing.B, m *Memory, v *View) {
		for b.Loop() {
			b.StopTimer()
			dirty(v)
			_, err := v.Commit()
			must(b, err)
			b.StartTimer()
			must(b, m.Publish())
		}
	})
}

func BenchmarkRollback100PagesOf1GiB(b *testing.B) {
	eachTracking(b, func(b *testing.B, m *Memory, v *View) {
		for b.Loop() {
			b.StopTimer()
			dirty(v)
			b.StartTimer()
			must(b, v.Rollback())
		}
	})
}

// Queries that read so many pages here and there and write as many.
func BenchmarkQueryRefreshOf1GiB(b *testing.B) {
	for _, backend := range backends() {
		for _, touched := range []int{0, 10, 100} {
			b.Run(fmt.Sprintf("%s/touched=%d", benchName(backend), touched), func(b *testing.B) { benchRefresh(b, backend, touched) })
		}
	}
}

func benchRefresh(b *testing.B, backend Backend, touched int) {
	m, _ := benchMemory(b, backend, KernelTracked)
	q, err := m.Query(4*types.GiB - types.WasmPageBytes)
	must(b, err)
	must(b, q.Refresh())
	sum := byte(0)
	for b.Loop() {
		b.StopTimer()
		for range touched {
			sum += q.Bytes()[rand.Uint64N(benchSize(backend))]
			q.Bytes()[rand.Uint64N(benchSize(backend))]++
		}
		b.StartTimer()
		must(b, q.Refresh())
	}
}

// Callbacks of a composite query that each write so many pages here and there and are undone; the
// first Mark after a Refresh is not among them.
func BenchmarkQueryUndoOf1GiB(b *testing.B) {
	for _, backend := range []Backend{PageMap, WriteProtect} {
		for _, touched := range []int{0, 10, 100} {
			b.Run(fmt.Sprintf("%v/touched=%d", backend, touched), func(b *testing.B) {
				if !works(backend) {
					b.Skip("not on this machine")
				}
				m, _ := benchMemory(b, backend, KernelTracked)
				q, err := m.QueryWithUndo(4*types.GiB - types.WasmPageBytes)
				must(b, err)
				must(b, q.Refresh())
				must(b, q.Mark())
				for b.Loop() {
					must(b, q.Mark())
					for range touched {
						q.Bytes()[rand.Uint64N(benchBytes)]++
					}
					must(b, q.Undo())
				}
			})
		}
	}
}

// The files are synced: the figure is the disk's more than ours.
func BenchmarkCheckpoint100PagesOf1GiB(b *testing.B) {
	m, v := benchMemory(b, Best(), KernelTracked)
	dir := b.TempDir()
	paths := [2]string{filepath.Join(dir, "a"), filepath.Join(dir, "b")}
	for i := 0; b.Loop(); i++ {
		b.StopTimer()
		must(b, remove(paths[i%2]))
		dirty(v)
		_, err := v.Commit()
		must(b, err)
		must(b, m.Publish())
		b.StartTimer()
		_, err = m.Checkpoint(paths[i%2])
		must(b, err)
	}
}
