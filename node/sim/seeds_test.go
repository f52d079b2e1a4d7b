package sim

import (
	"flag"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

var (
	seedsFlag = flag.Uint64("seeds", 0, "how many seeds to run; 0 stands for 200, or 20 with -short; with canisters 10 or 2")
	firstFlag = flag.Uint64("first", 1, "the first of them")
)

// inParallel calls work for seeds from first on, on as many goroutines as there are
// processors, until there were n or work returns false.
func inParallel(first, n uint64, work func(seed uint64) bool) {
	var next atomic.Uint64
	var stop atomic.Bool
	var group sync.WaitGroup
	for range runtime.GOMAXPROCS(0) {
		group.Go(func() {
			for i := next.Add(1) - 1; i < n && !stop.Load(); i = next.Add(1) - 1 {
				if !work(first + i) {
					stop.Store(true)
				}
			}
		})
	}
	group.Wait()
}

func TestSeeds(t *testing.T) {
	n := *seedsFlag
	switch {
	case n > 0:
	case testing.Short():
		n = 20
	default:
		n = 200
	}
	begin, cpu := time.Now(), cpuTime()
	var events, calls, heights atomic.Uint64
	var mu sync.Mutex
	counts := map[string]int{}
	inParallel(*firstFlag, n, func(seed uint64) bool {
		r := Run(seed, Options{ScoreLines: 200})
		events.Add(r.Events)
		calls.Add(uint64(r.Calls))
		heights.Add(uint64(r.Heights))
		mu.Lock()
		for what, n := range r.Counts {
			counts[what] += n
		}
		mu.Unlock()
		if r.Failure != nil {
			t.Error(r.String())
		}
		return !t.Failed()
	})
	took := time.Since(begin)
	cpu = cpuTime() - cpu
	if n >= 100 && !t.Failed() {
		met := []string{"crash", "stop", "partition", "cut", "skew", "storm", "break", "arm", "calm", "prove"}
		if n >= 1000 {
			met = append(met, "notarize") // two blocks at a height: once in a hundred seeds or two
		}
		for _, what := range met {
			if counts[what] == 0 {
				t.Errorf("no seed met %q", what)
			}
		}
	}
	t.Logf("met %v", counts)
	t.Logf("%d seeds in %v, %v of CPU each: %d events (%.0f a second of CPU), %d heights, %d calls",
		n, took, cpu/time.Duration(n), events.Load(), float64(events.Load())/cpu.Seconds(), heights.Load(), calls.Load())
}

func TestTheSameSeedGivesTheSameResult(t *testing.T) {
	for seed := range uint64(3) {
		a, b := Run(seed, Options{}), Run(seed, Options{})
		if a.Trace != b.Trace || a.Score != b.Score || a.Events != b.Events {
			t.Errorf("two runs of seed %d differ: %x after %d events and %x after %d", seed, a.Trace[:4], a.Events, b.Trace[:4], b.Events)
		}
	}
}
