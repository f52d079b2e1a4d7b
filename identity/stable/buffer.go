package stable

import "io"

// Buffer is a Medium for what does not run as a canister.
type Buffer struct{ b []byte }

// ReadAt is that of io.ReaderAt.
func (m *Buffer) ReadAt(p []byte, off int64) (int, error) {
	if off >= int64(len(m.b)) {
		return 0, io.EOF
	}
	n := copy(p, m.b[off:])
	if n < len(p) {
		return n, io.EOF
	}
	return n, nil
}

// WriteAt is that of io.WriterAt. What was between the end and off is zero.
func (m *Buffer) WriteAt(p []byte, off int64) (int, error) {
	if need := int(off) + len(p); need > len(m.b) {
		m.b = append(m.b, make([]byte, need-len(m.b))...)
	}
	return copy(m.b[off:], p), nil
}

// Len is how long it is by now.
func (m *Buffer) Len() int { return len(m.b) }
