package wasm

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"path/filepath"
	"runtime"
	"testing"
	"time"

	"portico/node/cdk/link"
	"portico/node/wasm/instrument"
)

func workloads(tb testing.TB) []byte {
	tb.Helper()
	code, err := link.Build(filepath.Join("testdata", "workloads"), "")
	if err != nil {
		tb.Fatal(err)
	}
	return code
}

// What the benchmarks measure has the result that it should have.
func TestWorkloadsHash(t *testing.T) {
	if testing.Short() {
		t.Skip("builds a canister for the sake of benchmarks")
	}
	h, piece := sha256.New(), make([]byte, 4096)
	for i := range uint64(512) {
		binary.LittleEndian.PutUint64(piece[i*8:], i)
		h.Write(piece)
	}
	i := install(t, newTestModule(t, EngineConfig{Host: systemAPI()}, workloads(t)))
	msg := &message{}
	mustCall(t, i, "canister_update hash", msg)
	if want := fmt.Sprintf("%x", h.Sum(nil)); string(msg.reply) != want {
		t.Errorf("reply %q, want %q", msg.reply, want)
	}
}

// BenchmarkWorkloads compares instrumented code with raw code as BenchmarkAgainstRaw
// does, on what canisters spend their time with: in Go, and collections in Motoko.
func BenchmarkWorkloads(b *testing.B) {
	var code []byte
	for _, w := range []struct{ name, method string }{{"hashing", "hash"}, {"JSON", "json"}, {"sorting", "sort"}, {"image scaling", "scale"}} {
		b.Run(w.name, func(b *testing.B) {
			if code == nil {
				code = workloads(b)
			}
			compare(b, code, code, "canister_update "+w.method, nil)
		})
	}
	b.Run("Motoko collections", func(b *testing.B) {
		code := motoko(b, "classicOP")
		compare(b, code, code, "canister_update collect", nat(3000))
	})
	b.Run("Motoko collections, 64-bit against raw 32-bit", func(b *testing.B) {
		compare(b, motoko(b, "classicOP"), motoko(b, ""), "canister_update collect", nat(3000))
	})
}

// sized is a valid module of about so many bytes of code: functions of a Go program, as
// they are or over and over again.
func sized(tb testing.TB, program *mutant, size int) []byte {
	tb.Helper()
	m := program.excerpt(0, size)
	for own := len(m.funcs); m.size() < size; {
		for i := 0; i < own && m.size() < size; i += 50 {
			m.funcs = append(m.funcs, m.funcs[i:min(i+50, own)]...)
		}
	}
	return m.assemble()
}

// BenchmarkInstallation is what stands between a module's arrival and its first call,
// by the size of the module.
func BenchmarkInstallation(b *testing.B) {
	program := takeApart(goCanister(b)).trim()
	for _, size := range []struct {
		name  string
		bytes int
	}{{"0.2 MB", 200_000}, {"2 MB", 2_000_000}, {"6 MB", 6_000_000}} {
		code := sized(b, program, size.bytes)
		run := func(name string, work func(b *testing.B, e *Engine), cache string) {
			b.Run(size.name+"/"+name, func(b *testing.B) {
				b.SetBytes(int64(len(code)))
				runtime.LockOSThread()
				defer runtime.UnlockOSThread()
				var used time.Duration
				for b.Loop() {
					b.StopTimer()
					e, err := NewEngine(EngineConfig{Host: systemAPI(), CacheDir: cache})
					if err != nil {
						b.Fatal(err)
					}
					b.StartTimer()
					begin := threadTime()
					work(b, e)
					used += threadTime() - begin
					b.StopTimer()
					if err := e.Close(); err != nil {
						b.Fatal(err)
					}
					b.StartTimer()
				}
				b.ReportMetric(float64(b.Elapsed())/float64(b.N)/float64(time.Millisecond), "ms")
				b.ReportMetric(float64(used)/float64(b.N)/float64(time.Millisecond), "cpu-ms")
				b.ReportMetric(0, "ns/op")
			})
		}
		run("rewrite", func(b *testing.B, e *Engine) {
			if _, _, err := instrument.Rewrite(code, instrument.Options{Imports: e.imports}); err != nil {
				b.Fatal(err)
			}
		}, "")
		// The rewriting is part of both.
		compile := func(b *testing.B, e *Engine) {
			if _, err := e.Compile(context.Background(), code); err != nil {
				b.Fatal(err)
			}
		}
		run("compile", compile, "")
		dir := b.TempDir()
		e, err := NewEngine(EngineConfig{Host: systemAPI(), CacheDir: dir})
		if err != nil {
			b.Fatal(err)
		}
		compile(b, e)
		if err := e.Close(); err != nil {
			b.Fatal(err)
		}
		run("from the cache", compile, dir)
	}
}

func TestSizedModulesHaveTheirSize(t *testing.T) {
	if testing.Short() {
		t.Skip("builds a canister for the sake of benchmarks")
	}
	program := takeApart(goCanister(t)).trim()
	for _, size := range []int{200_000, 3_000_000} {
		code := sized(t, program, size)
		if len(code) < size || len(code) > size*3/2 {
			t.Errorf("%d bytes instead of %d", len(code), size)
		}
		if !bytes.Equal(code, sized(t, program, size)) {
			t.Error("two modules of one size")
		}
	}
}
