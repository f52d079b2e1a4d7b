package store

import (
	"bytes"
	"flag"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strconv"
	"sync/atomic"
	"testing"

	"portico/node/state/heap"
	"portico/node/types"
)

// maxBenchGiB bounds the state that benchmarks make; they need twice as much disk.
var maxBenchGiB = flag.Int("store.gib", 10, "GiB of state that benchmarks make at most; they need twice as much disk")

// benchState is canisters with heaps of 1 GiB, none of it zero.
type benchState struct {
	memories map[string]*heap.Memory
	views    []*heap.View
}

func newBenchState(b *testing.B, dir string, gib int) *benchState {
	s := &benchState{memories: map[string]*heap.Memory{}}
	content := make([]byte, 8*types.MiB)
	random := rand.NewChaCha8([32]byte{})
	for i := range gib {
		m, err := heap.Open(filepath.Join(dir, strconv.Itoa(i)), heap.Best())
		must(b, err)
		b.Cleanup(func() { must(b, m.Close()) })
		must(b, m.Resize(types.GiB))
		for off := uint64(0); off < types.GiB; off += uint64(len(content)) {
			random.Read(content)
			must(b, m.Write(content, off))
			must(b, m.Publish())
		}
		v, err := m.Update(4*types.GiB - types.WasmPageBytes)
		must(b, err)
		s.memories[strconv.Itoa(i)] = m
		s.views = append(s.views, v)
	}
	return s
}

// change writes to one page in a hundred, in runs of so many pages, and publishes that.
func (s *benchState) change(b *testing.B, run int) (pages int) {
	const dirty = types.GiB / heap.PageBytes / 100
	for _, v := range s.views {
		for range dirty / run {
			first := rand.N(types.GiB/heap.PageBytes/run) * run
			for page := first; page < first+run; page++ {
				v.Bytes()[page*heap.PageBytes+rand.N(heap.PageBytes)]++
			}
		}
		n, err := v.Commit()
		must(b, err)
		pages += n
	}
	for _, m := range s.memories {
		must(b, m.Publish())
	}
	return pages
}

// written is how many bytes the process has written to files so far.
func written(b *testing.B) int {
	all, err := os.ReadFile("/proc/self/io")
	if err != nil {
		return 0
	}
	_, rest, _ := bytes.Cut(all, []byte("\nwrite_bytes: "))
	n, err := strconv.Atoi(string(bytes.Fields(rest)[0]))
	must(b, err)
	return n
}

// BenchmarkCheckpoint makes one page in a hundred dirty and takes a checkpoint. Its time is what
// the round waits for: linking, syncing, hashing, the manifest, and removing the last checkpoint.
// Bytes are those of rounds, checkpoint and Prepare together.
func BenchmarkCheckpoint(b *testing.B) {
	for _, gib := range []int{2, 10} {
		if gib > *maxBenchGiB {
			continue
		}
		b.Run(fmt.Sprintf("%dGiB", gib), func(b *testing.B) {
			dir := b.TempDir()
			state := newBenchState(b, dir, gib)
			store, err := Open(filepath.Join(dir, "checkpoints"))
			must(b, err)
			var syncs atomic.Int64
			store.files.fault = func(op, _ string) error {
				if op == "write" || op == "sync" || op == "checkpoint" {
					syncs.Add(1) // all memories change, so each is synced
				}
				return nil
			}
			write := func() {
				must(b, store.Write(Checkpoint{Height: store.latest.height() + 1, Memories: state.memories}))
			}
			write()
			must(b, store.Prepare())
			for _, run := range []int{1, 64} {
				b.Run(fmt.Sprintf("runs=%d", run), func(b *testing.B) {
					pages, hashed, began := 0, 0, written(b)
					syncs.Store(0)
					for b.Loop() {
						b.StopTimer()
						pages += state.change(b, run)
						last := store.pieceSums()
						b.StartTimer()
						write()
						b.StopTimer()
						must(b, store.Prepare())
						hashed += differences(last, store.pieceSums())
						b.StartTimer()
					}
					each := func(n int) float64 { return float64(n) / float64(b.N) / types.MiB }
					b.ReportMetric(each(pages*heap.PageBytes), "dirty-MiB/op")
					b.ReportMetric(each(hashed*pieceBytes), "hashed-MiB/op")
					b.ReportMetric(each(written(b)-began), "written-MiB/op")
					b.ReportMetric(float64(syncs.Load())/float64(b.N), "fsyncs/op")
				})
			}
		})
	}
}

// height is that of the newest checkpoint; 0 if there is none.
func (m *manifest) height() types.Height {
	if m == nil {
		return 0
	}
	return m.Height
}

// pieceSums are the hashes of all pieces of memories.
func (s *Store) pieceSums() map[*heap.Memory]map[uint64]pieceSums {
	out := map[*heap.Memory]map[uint64]pieceSums{}
	for m, sums := range s.sums {
		out[m] = map[uint64]pieceSums{}
		for i, p := range sums.pieces {
			out[m][i] = *p
		}
	}
	return out
}

// differences is how many pieces have other hashes.
func differences(a, b map[*heap.Memory]map[uint64]pieceSums) (n int) {
	for m, chunks := range b {
		for i, p := range chunks {
			for k, h := range p {
				if a[m][i][k] != h {
					n++
				}
			}
		}
	}
	return n
}
