package sim

import (
	"bytes"
	"compress/gzip"
	"errors"
	"maps"
	"math/rand/v2"
	"os"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	u "portico/node/conformance/universal"
	"portico/node/crypto/bls"
	"portico/node/execution"
	"portico/node/wasm"
	"portico/node/wasm/ic0"
)

// workshop is what all canister runs share: the engine, and the canisters as uploaded.
type workshop struct {
	engine  *wasm.Engine
	modules [][]byte
	// compiled are the modules, kept so that nobody compiles them again.
	compiled []*wasm.Module
	key      []byte // of the subnet
	dir      string // for the nodes' files
}

func newWorkshop(t testing.TB) *workshop {
	t.Helper()
	w := &workshop{}
	var err error
	if w.dir, err = os.MkdirTemp(scratch(), "portico-sim-"); err != nil {
		t.Fatal(err)
	}
	if w.engine, err = wasm.NewEngine(wasm.EngineConfig{Host: ic0.Functions()}); err != nil {
		t.Fatal(err)
	}
	for _, extra := range [][]string{
		nil,
		{u.Export("canister_inspect_message", u.Inspect)},
		{u.Export("canister_heartbeat", u.Heartbeat), u.Export("canister_on_low_wasm_memory", u.LowMemory)},
	} {
		module, err := u.Module(extra...)
		if err != nil {
			t.Fatal(err)
		}
		compiled, err := w.engine.Compile(t.Context(), module)
		if err != nil {
			t.Fatal(err)
		}
		w.modules, w.compiled = append(w.modules, zipped(t, module)), append(w.compiled, compiled)
	}
	secret, err := bls.GenerateKey(rand.NewChaCha8([32]byte{1}))
	if err != nil {
		t.Fatal(err)
	}
	w.key = secret.PublicKey()
	t.Cleanup(func() {
		for _, m := range w.compiled {
			if err := m.Close(); err != nil {
				t.Error(err)
			}
		}
		if err := errors.Join(w.engine.Close(), os.RemoveAll(w.dir)); err != nil {
			t.Error(err)
		}
	})
	return w
}

func zipped(t testing.TB, b []byte) []byte {
	t.Helper()
	var out bytes.Buffer
	z := gzip.NewWriter(&out)
	if _, err := z.Write(b); err != nil {
		t.Fatal(err)
	}
	if err := z.Close(); err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}

// simulatedLimits has slices so short that some messages take several, and rounds so short that
// some messages wait.
func simulatedLimits() execution.Limits {
	l := execution.DefaultLimits()
	l.SliceInstructions, l.RoundInstructions = 12_000_000, 42_000_000
	l.QuickSliceInstructions, l.QuickRoundInstructions = 2_200_000, 5_000_000
	return l
}

func TestCanisterSeeds(t *testing.T) {
	n := *seedsFlag
	switch {
	case n > 0:
	case testing.Short():
		n = 2
	default:
		n = 10
	}
	w := newWorkshop(t)
	begin, cpu := time.Now(), cpuTime()
	var heights, calls, messages atomic.Uint64
	var mu sync.Mutex
	met := map[string]int{}
	inParallel(*firstFlag, n, func(seed uint64) bool {
		r, audit, err := w.run(seed)
		heights.Add(uint64(r.Heights))
		calls.Add(uint64(r.Calls))
		messages.Add(audit.newest.Metrics.UpdateTransactions)
		mu.Lock()
		for what, n := range audit.met {
			met[what] += n
		}
		mu.Unlock()
		if err := errors.Join(r.Failure, err); err != nil {
			t.Errorf("%v\n%srun it again: go test ./node/sim -run TestCanisterSeeds -v -seeds 1 -first %d", err, r.String(), seed)
		}
		return !t.Failed()
	})
	took := time.Since(begin)
	cpu = cpuTime() - cpu
	if n >= 100 && !t.Failed() {
		for _, what := range canistersMeet {
			if met[what] == 0 {
				t.Errorf("no seed met %q", what)
			}
		}
	}
	t.Logf("met %v", met)
	t.Logf("%d seeds in %v, %v of CPU each: %d heights, %d calls, %d messages",
		n, took, cpu/time.Duration(n), heights.Load(), calls.Load(), messages.Load())
}

// canistersMeet is what some of many seeds lead to.
var canistersMeet = []string{
	"created", "deleted", "uninstalled", "broke", "stopping", "stopped", "paused", "waited", "orphaned", "snapshot", "loaded", "timed out", "compared",
	"update replied", "update rejected", "query replied", "install_code replied", "install_code rejected", "install_chunked_code replied", "provisional_top_up_canister replied",
	"update_settings replied", "stop_canister replied", "delete_canister replied", "load_canister_snapshot replied",
}

func TestTheSameSeedGivesTheSameCanisters(t *testing.T) {
	w := newWorkshop(t)
	const seed = 3
	a, first, err := w.run(seed)
	left := runtime.NumGoroutine()
	b, second, again := w.run(seed)
	// Nodes keep some coroutines each until they are closed.
	if more := runtime.NumGoroutine() - left; more > 4 {
		t.Errorf("a run leaves %d goroutines", more)
	}
	if err := errors.Join(err, again, a.Failure, b.Failure); err != nil {
		t.Fatal(err)
	}
	if a.Trace != b.Trace || a.Score != b.Score || !maps.Equal(first.whole, second.whole) {
		t.Errorf("two runs of seed %d differ: %x after %d events and %x after %d", seed, a.Trace[:4], a.Events, b.Trace[:4], b.Events)
	}
}
