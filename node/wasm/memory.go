package wasm

import "fmt"

// NewMemory returns a memory in the Go heap, for tests and tools.
func NewMemory() LinearMemory { return &plainMemory{} }

type plainMemory struct{ b []byte }

func (m *plainMemory) Reallocate(size uint64) []byte {
	if size > uint64(cap(m.b)) {
		b := make([]byte, size, size+size/4)
		copy(b, m.b)
		m.b = b
	}
	m.b = m.b[:size]
	return m.b
}

func (m *plainMemory) Free() { m.b = nil }

// linear is the memory as the runtime asks for it: it begins with as much as the
// instance is to have rather than with the module's minimum.
type linear struct {
	memory  LinearMemory
	atLeast uint64 // bytes
}

func (l *linear) Reallocate(size uint64) []byte {
	size = max(size, l.atLeast)
	b := l.memory.Reallocate(size)
	if uint64(len(b)) != size {
		// Growth has been allowed already. Nodes would diverge if some went on without.
		panic(fmt.Sprintf("wasm: memory of %d bytes instead of %d", len(b), size))
	}
	return b
}

func (l *linear) Free() { l.memory.Free() }
