//go:build linux

package sandbox

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"portico/node/state/heap"
	"portico/node/types"
	"portico/node/wasm"
	"portico/node/wasm/wat"
)

// host are functions for tests: one that reads and writes memory, and one that fails.
func host() []wasm.HostFunc {
	return []wasm.HostFunc{
		{Name: "swap", Params: []wasm.ValueType{wasm.Ptr, wasm.Ptr}, Results: []wasm.ValueType{wasm.I32}, Func: func(c *wasm.Caller, stack []uint64) error {
			if err := c.Charge(1000); err != nil {
				return err
			}
			b := append([]byte(nil), c.Bytes(stack[0], stack[1])...)
			for i, j := 0, len(b)-1; i < j; i, j = i+1, j-1 {
				b[i], b[j] = b[j], b[i]
			}
			c.Write(stack[0], b)
			stack[0] = c.Instructions()
			return nil
		}},
		{Name: "fail", Func: func(c *wasm.Caller, _ []uint64) error { return c.Env().(error) }},
	}
}

func TestMain(m *testing.M) {
	if Called() {
		fmt.Fprintln(os.Stderr, Serve(wasm.Imports(host())))
		os.Exit(1)
	}
	os.Exit(m.Run())
}

func newPool(t testing.TB) *Pool {
	t.Helper()
	p, err := New(Config{Command: []string{os.Args[0]}, Imports: wasm.Imports(host()), Stderr: os.Stderr})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { p.Close() })
	return p
}

// guestOf is a canister's heap with an instance on it.
type guestOf struct {
	memory   *heap.Memory
	view     *heap.View
	instance *wasm.Instance
}

func open(t testing.TB, e *wasm.Engine, in heap.Spaces, src string) *guestOf {
	t.Helper()
	m, err := heap.Open(filepath.Join(t.TempDir(), "heap"), heap.Auto)
	if err != nil {
		t.Fatal(err)
	}
	if in != nil {
		m.ViewsIn(in)
	}
	g := &guestOf{memory: m}
	if g.view, err = m.Update(1 << 32); err != nil {
		t.Fatal(err)
	}
	module, err := e.Compile(context.Background(), wat.MustAssemble(src))
	if err != nil {
		t.Fatal(err)
	}
	g.start(t, module)
	return g
}

func (g *guestOf) start(t testing.TB, module *wasm.Module) {
	t.Helper()
	pages := max(module.Info().MinPages, g.view.Size()/types.WasmPageBytes)
	var err error
	if g.instance, err = module.Instantiate(wasm.InstanceConfig{Memory: g.view, InitialPages: pages}); err != nil {
		t.Fatal(err)
	}
}

const everything = `(module
	(import "ic0" "swap" (func $swap (param i32 i32) (result i32)))
	(import "ic0" "fail" (func $fail))
	(memory 2 1000)
	(global $g (mut i32) (i32.const 7)) (global $h (mut i64) (i64.const 8))
	(func (export "canister_update go") (local $n i32)
		(i32.store (i32.const 70000) (i32.const 0x04030201))
		(global.set $g (call $swap (i32.const 70000) (i32.const 4)))
		(global.set $h (i64.load (i32.const 70000)))
		(local.set $n (i32.const 3000000))
		(loop $l (br_if $l (local.tee $n (i32.sub (local.get $n) (i32.const 1)))))
		(drop (memory.grow (i32.const 3)))
		(i32.store8 (i32.const 300000) (i32.const 9)))
	(func (export "canister_update trap") (i32.store (i32.const 10) (i32.const 1)) (drop (memory.grow (i32.const 1))) (unreachable))
	(func (export "canister_update fail") (i32.store (i32.const 10) (i32.const 1)) (call $fail))
	(func (export "canister_update spin") (loop $l (br $l))))`

// TestCodeDoesTheSameInAnotherProcess runs everything that a call can do here and there.
func TestCodeDoesTheSameInAnotherProcess(t *testing.T) {
	pool := newPool(t)
	if err := pool.Confined(); err != nil {
		t.Errorf("the process is not confined: %v", err)
	}
	var seen []string
	for _, where := range []string{"here", "there"} {
		cfg := wasm.EngineConfig{Host: host()}
		var in heap.Spaces
		if where == "there" {
			cfg.Backend, in = pool, pool.Group(1)
		}
		e, err := wasm.NewEngine(cfg)
		if err != nil {
			t.Fatal(err)
		}
		g := open(t, e, in, everything)
		log := ""
		for _, method := range []string{"go", "trap", "fail", "spin", "missing", "go"} {
			yields := 0
			out := g.instance.Call("canister_update "+method, &wasm.Call{
				Env: errors.New("as it must"), Limit: 50_000_000, Yield: func(uint64) error { yields++; return nil },
			})
			b := make([]byte, g.instance.Size())
			g.instance.Read(b, 0)
			log += fmt.Sprintf("%s: %d %v, %d yields, %d bytes, % x % x", method, out.Instructions, out.Trap, yields, len(b), b[8:16], b[70000:70004])
			if out.Trap != nil {
				if err := g.view.Rollback(); err != nil {
					t.Fatal(err)
				}
				log += fmt.Sprintf(", reusable %v, size %d\n", g.instance.Reusable(), g.view.Size())
				continue
			}
			pages, err := g.view.Commit()
			log += fmt.Sprintf(", globals %d, %d pages %v\n", g.instance.Globals(), pages, err)
		}
		if err := g.memory.Publish(); err != nil {
			t.Fatal(err)
		}
		b := make([]byte, g.view.Size())
		if err := g.memory.ReadCommitted(b, 0); err != nil {
			t.Fatal(err)
		}
		seen = append(seen, log+fmt.Sprintf("% x %d", b[70000:70004], b[300000]))
		if where == "here" {
			defer e.Close()
		}
	}
	if seen[0] != seen[1] {
		t.Errorf("here:\n%s\nthere:\n%s", seen[0], seen[1])
	}
	t.Log(seen[0])
}
