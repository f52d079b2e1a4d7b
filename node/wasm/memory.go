package wasm

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
