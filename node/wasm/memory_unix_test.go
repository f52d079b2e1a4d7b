//go:build unix

package wasm

import (
	"strings"
	"syscall"
	"testing"

	"portico/node/wasm/wat"
)

// reserved is 4 GiB of address space, of which only what is touched takes memory.
type reserved struct{ b []byte }

func reserve(t *testing.T) LinearMemory {
	b, err := syscall.Mmap(-1, 0, 1<<32, syscall.PROT_READ|syscall.PROT_WRITE, syscall.MAP_PRIVATE|syscall.MAP_ANON)
	if err != nil {
		t.Skip("4 GiB of address space cannot be reserved: ", err)
	}
	return &reserved{b}
}

func (m *reserved) Reallocate(size uint64) []byte { return m.b[:size] }

func (m *reserved) Free() {
	if err := syscall.Munmap(m.b); err != nil {
		panic(err)
	}
}

func TestMemoriesOf4GiBLessAPageWork(t *testing.T) {
	for _, width := range []string{"i32", "i64"} {
		m := newTestModule(t, EngineConfig{}, wat.MustAssemble(strings.ReplaceAll(`(module (memory PTR 65535) (global $s (mut PTR) (PTR.const 0))
			(func (export "canister_update go") (global.set $s (memory.size)) (PTR.store8 (PTR.const 0xfffeffff) (PTR.const 3))
				(drop (memory.grow (PTR.const 1))))
			(func (export "canister_update beyond") (PTR.store8 (PTR.const 0xffff0000) (PTR.const 3))))`, "PTR", width)))
		i, err := m.Instantiate(InstanceConfig{Memory: reserve(t), InitialPages: 65535})
		if err != nil {
			t.Fatal(err)
		}
		if out := goTest(i); out.Trap != nil || i.Globals()[0] != 65535 || i.Size() != 65535<<16 || memoryOf(i)[0xfffeffff] != 3 {
			t.Errorf("%s: %v, %d pages, %d bytes", width, out.Trap, i.Globals()[0], i.Size())
		}
		if out := i.Call("canister_update beyond", &Call{Limit: 100}); out.Trap == nil || out.Trap.Kind != MemoryOutOfBounds {
			t.Errorf("%s: %v", width, out.Trap)
		}
		i.Close()
	}
}
