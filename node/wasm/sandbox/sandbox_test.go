//go:build linux

package sandbox

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"testing"

	"portico/node/state/heap"
	"portico/node/types"
	"portico/node/wasm"
	"portico/node/wasm/guest"
	"portico/node/wasm/wat"

	"golang.org/x/sys/unix"
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
	if os.Getenv("PORTICO_PROBE") != "" {
		probe()
		return
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

func spin(g *guestOf, limit uint64, yield func(uint64) error) wasm.Outcome {
	return g.instance.Call("canister_update spin", &wasm.Call{Limit: limit, Yield: yield})
}

func TestWhenTheProcessEndsOnlyTheCallIsLost(t *testing.T) {
	pool := newPool(t)
	e, err := wasm.NewEngine(wasm.EngineConfig{Host: host(), Backend: pool})
	if err != nil {
		t.Fatal(err)
	}
	g, idle := open(t, e, pool.Group(0), everything), open(t, e, pool.Group(0), everything)
	if out := g.instance.Call("canister_update go", &wasm.Call{Limit: 50_000_000}); out.Trap != nil {
		t.Fatal(out.Trap)
	}
	if _, err := g.view.Commit(); err != nil {
		t.Fatal(err)
	}
	out := spin(g, 1<<40, func(uint64) error {
		proc, err := pool.process(0)
		if err != nil {
			return err
		}
		proc.kill()
		<-proc.ended
		return nil
	})
	if out.Trap == nil || out.Trap.Kind != wasm.Crashed || out.Instructions != 1<<40 || g.instance.Reusable() {
		t.Errorf("the call ended with %+v, reusable %v", out, g.instance.Reusable())
	}
	for name, g := range map[string]*guestOf{"the one that ran": g, "the one that did not": idle} {
		if out := spin(g, 1000, nil); out.Trap == nil || out.Trap.Kind != wasm.Crashed {
			t.Errorf("%s: a call afterwards ends with %v", name, out.Trap)
		}
		if err := errors.Join(g.view.Rollback(), g.instance.Close(), g.view.Revive()); err != nil {
			t.Fatalf("%s: %v", name, err)
		}
	}
	module, err := e.Compile(context.Background(), wat.MustAssemble(everything))
	if err != nil {
		t.Fatal(err)
	}
	g.start(t, module)
	b := make([]byte, g.instance.Size())
	g.instance.Read(b, 0)
	if len(b) != 5<<16 || b[300000] != 9 {
		t.Errorf("what was committed is gone: %d bytes, %d", len(b), b[300000])
	}
	if out := spin(g, 1000, nil); out.Trap == nil || out.Trap.Kind != wasm.InstructionLimit {
		t.Errorf("in another process a call ends with %v", out.Trap)
	}
}

func TestAMessageInTheMiddleThatIsLostDoesNotStopAPublish(t *testing.T) {
	pool := newPool(t)
	e, err := wasm.NewEngine(wasm.EngineConfig{Host: host(), Backend: pool})
	if err != nil {
		t.Fatal(err)
	}
	g := open(t, e, pool.Group(0), everything)
	if out := g.instance.Call("canister_update go", &wasm.Call{Limit: 50_000_000}); out.Trap != nil {
		t.Fatal(out.Trap)
	}
	if _, err := g.view.Commit(); err != nil {
		t.Fatal(err)
	}
	q, err := g.memory.Query(1 << 32)
	if err != nil {
		t.Fatal(err)
	}
	if err := q.Refresh(); err != nil {
		t.Fatal(err)
	}
	proc, err := pool.process(0)
	if err != nil {
		t.Fatal(err)
	}
	proc.kill()
	<-proc.ended
	if err := g.memory.Publish(); err != nil {
		t.Fatal(err)
	}
	q.Idle()
	if err := q.Refresh(); err != nil || q.Size() != 5<<16 {
		t.Errorf("a query afterwards sees %d bytes, %v", q.Size(), err)
	}
	var b [1]byte
	if err := q.Space().Read(b[:], 300000); err != nil || b[0] != 9 {
		t.Errorf("and reads %d, %v", b[0], err)
	}
}

func TestOneGroupsEndIsNotAnothers(t *testing.T) {
	pool := newPool(t)
	e, err := wasm.NewEngine(wasm.EngineConfig{Host: host(), Backend: pool})
	if err != nil {
		t.Fatal(err)
	}
	one, other := open(t, e, pool.Group(0), everything), open(t, e, pool.Group(1), everything)
	proc, err := pool.process(0)
	if err != nil {
		t.Fatal(err)
	}
	proc.kill()
	<-proc.ended
	if out := spin(one, 1000, nil); out.Trap.Kind != wasm.Crashed {
		t.Error(out.Trap)
	}
	if out := spin(other, 1000, nil); out.Trap.Kind != wasm.InstructionLimit {
		t.Error(out.Trap)
	}
}

func TestModulesThatTheCompilerRefusesAreRefused(t *testing.T) {
	_, err := newPool(t).Compile(context.Background(), []byte("\x00asm\x01\x00\x00\x00\xff"), guest.Shape{})
	if refused := (*guest.Refused)(nil); !errors.As(err, &refused) {
		t.Errorf("garbage gives %v", err)
	}
}

// probe tries what a confined process may not do, and prints what it could do.
func probe() {
	parent := os.Getppid()
	if err := confine(); err != nil {
		fmt.Println("confine:", err)
		return
	}
	for what, err := range map[string]error{
		"open a file":    func() error { _, err := os.Open("/etc/passwd"); return err }(),
		"create a file":  os.WriteFile(filepath.Join(os.TempDir(), "portico-probe"), nil, 0o600),
		"connect":        func() error { _, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM, 0); return err }(),
		"kill":           unix.Kill(parent, 0),
		"run a program":  unix.Exec("/bin/true", []string{"true"}, nil),
		"trace":          unix.PtraceAttach(parent),
		"read others":    func() error { _, err := unix.ProcessVMReadv(parent, nil, nil, 0); return err }(),
		"signal threads": unix.Tgkill(parent, parent, 0),
	} {
		if !errors.Is(err, unix.EPERM) {
			fmt.Printf("%s: %v\n", what, err)
		}
	}
	// what is left works
	b, err := unix.Mmap(-1, 0, 1<<20, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_ANON|unix.MAP_PRIVATE)
	if err != nil {
		fmt.Println("mmap:", err)
	}
	done := make(chan byte)
	go func() { b[5] = 1; done <- b[5] }()
	<-done
	runtime.GC()
	fmt.Print("confined")
}

func TestAProcessReachesNothingElse(t *testing.T) {
	cmd := exec.Command(os.Args[0])
	cmd.Env = []string{"PORTICO_PROBE=1"}
	out, err := cmd.CombinedOutput()
	if string(out) != "confined" {
		t.Errorf("a confined process could: %s (%v)", out, err)
	}
}

// BenchmarkHostCalls is a call with a thousand host calls, here and there.
func BenchmarkHostCalls(b *testing.B) {
	const src = `(module (import "ic0" "swap" (func $swap (param i32 i32) (result i32))) (memory 1)
		(func (export "canister_update none"))
		(func (export "canister_update go") (local $n i32) (local.set $n (i32.const 1000))
			(loop $l (drop (call $swap (i32.const 64) (i32.const 32))) (br_if $l (local.tee $n (i32.sub (local.get $n) (i32.const 1)))))))`
	pool := newPool(b)
	for _, where := range []string{"here", "there"} {
		cfg := wasm.EngineConfig{Host: host()}
		var in heap.Spaces
		if where == "there" {
			cfg.Backend, in = pool, pool.Group(0)
		}
		e, err := wasm.NewEngine(cfg)
		if err != nil {
			b.Fatal(err)
		}
		g := open(b, e, in, src)
		for name, method := range map[string]string{"1000 host calls": "go", "no host call": "none"} {
			b.Run(where+"/"+name, func(b *testing.B) {
				for b.Loop() {
					if out := g.instance.Call("canister_update "+method, &wasm.Call{Limit: 1 << 40}); out.Trap != nil {
						b.Fatal(out.Trap)
					}
				}
			})
		}
	}
}
