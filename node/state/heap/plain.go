//go:build unix

package heap

import (
	"bytes"
	"fmt"
	"os"
	"unsafe"

	"golang.org/x/sys/unix"
)

// plain is the portable space: a copy of the file in anonymous memory.
type plain struct {
	mem  []byte
	f    *os.File
	size uint64 // of what f shows
}

const plainFlags = unix.MAP_PRIVATE | unix.MAP_ANON | unix.MAP_NORESERVE

func newPlain(maxBytes uint64) (*plain, error) {
	p, err := unix.MmapPtr(-1, 0, nil, uintptr(maxBytes), unix.PROT_READ|unix.PROT_WRITE, plainFlags)
	if err != nil {
		return nil, fmt.Errorf("heap: reserving %d bytes: %w", maxBytes, err)
	}
	return &plain{mem: unsafe.Slice((*byte)(p), maxBytes)}, nil
}

func (s *plain) Room() uint64 { return uint64(len(s.mem)) }

func (s *plain) Bytes() []byte { return s.mem }

func (s *plain) Read(b []byte, off uint64) error { copy(b, s.mem[off:]); return nil }

func (s *plain) Write(b []byte, off uint64) error { copy(s.mem[off:], b); return nil }

func (s *plain) Show(f *os.File, size uint64) error {
	p := unsafe.Pointer(unsafe.SliceData(s.mem))
	if _, err := unix.MmapPtr(-1, 0, p, uintptr(len(s.mem)), unix.PROT_READ|unix.PROT_WRITE, plainFlags|unix.MAP_FIXED); err != nil {
		return fmt.Errorf("heap: clearing %d bytes: %w", len(s.mem), err)
	}
	s.f, s.size = f, size
	return s.Drop([]Range{{0, size}})
}

func (s *plain) Drop(rs []Range) error {
	for _, r := range rs {
		n := min(r.Len, max(s.size, r.Off)-r.Off)
		if n > 0 {
			if _, err := s.f.ReadAt(s.mem[r.Off:r.Off+n], int64(r.Off)); err != nil {
				return fmt.Errorf("heap: %s: reading %d bytes at %d: %w", s.f.Name(), n, r.Off, err)
			}
		}
		// Only pages that are not zero: reading an untouched page takes no memory,
		// writing one does.
		for off := r.Off + n; off < r.Off+r.Len; off += PageBytes {
			if page := s.mem[off : off+PageBytes]; !isZero(page) {
				clear(page)
			}
		}
	}
	return nil
}

func (s *plain) Keep([]Range) error { return nil }

func (s *plain) Touched(size uint64) ([]Range, error) {
	if size == 0 {
		return nil, nil
	}
	return []Range{{0, size}}, nil
}

func (s *plain) Lazy() bool { return false }

func (s *plain) Close() error {
	return unix.MunmapPtr(unsafe.Pointer(unsafe.SliceData(s.mem)), uintptr(len(s.mem)))
}

// isZero reports whether all bytes of b are zero.
func isZero(b []byte) bool {
	return len(b) == 0 || b[0] == 0 && bytes.Equal(b[1:], b[:len(b)-1])
}
