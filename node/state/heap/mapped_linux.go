package heap

import (
	"errors"
	"fmt"
	"os"
	"unsafe"

	"golang.org/x/sys/unix"
)

// mapped is the space of the kernel-tracked backends: a private mapping of the file
// inside an anonymous reservation.
type mapped struct {
	mem   []byte
	track tracker // nil if untracked
}

// A tracker finds written pages with the kernel's help.
type tracker interface {
	// attach starts tracking after the mapping was made anew.
	attach() error
	// written are ordered ranges of the first size bytes that hold private pages, at
	// least those written since the last call or attach.
	written(size uint64) ([]Range, error)
	close() error
}

const mapFlags = unix.MAP_PRIVATE | unix.MAP_NORESERVE

func newMapped(t tracking, maxBytes uint64, pageMap *os.File) (Space, error) {
	if os.Getpagesize() != PageBytes {
		return nil, fmt.Errorf("heap: pages of %d bytes, the kernel-tracked backends need %d", os.Getpagesize(), PageBytes)
	}
	p, err := unix.MmapPtr(-1, 0, nil, uintptr(maxBytes), unix.PROT_READ|unix.PROT_WRITE, mapFlags|unix.MAP_ANON)
	if err != nil {
		return nil, fmt.Errorf("heap: reserving %d bytes: %w", maxBytes, err)
	}
	s := &mapped{mem: unsafe.Slice((*byte)(p), maxBytes)}
	switch t {
	case byWriteProtect:
		s.track, err = newWriteProtectTracker(s.mem, pageMap)
	case byPageMap:
		s.track, err = newPageMapTracker(s.mem, pageMap)
	}
	if err == nil {
		err = s.Show(nil, 0)
	}
	if err != nil {
		return nil, errors.Join(err, s.Close())
	}
	return s, nil
}

func (s *mapped) Room() uint64 { return uint64(len(s.mem)) }

func (s *mapped) Bytes() []byte { return s.mem }

func (s *mapped) Read(b []byte, off uint64) error { copy(b, s.mem[off:]); return nil }

func (s *mapped) Write(b []byte, off uint64) error { copy(s.mem[off:], b); return nil }

func (s *mapped) Show(f *os.File, size uint64) error {
	start := unsafe.Pointer(unsafe.SliceData(s.mem))
	if size > 0 {
		_, err := unix.MmapPtr(int(f.Fd()), 0, start, uintptr(size), unix.PROT_READ|unix.PROT_WRITE, mapFlags|unix.MAP_FIXED)
		if err != nil {
			return fmt.Errorf("heap: %s: mapping %d bytes: %w", f.Name(), size, err)
		}
	}
	if rest := uint64(len(s.mem)) - size; rest > 0 {
		_, err := unix.MmapPtr(-1, 0, unsafe.Add(start, size), uintptr(rest), unix.PROT_READ|unix.PROT_WRITE, mapFlags|unix.MAP_FIXED|unix.MAP_ANON)
		if err != nil {
			return fmt.Errorf("heap: mapping %d bytes of zeros: %w", rest, err)
		}
	}
	// One write must dirty one page: a huge page would count as 512. A kernel built
	// without huge pages answers EINVAL.
	if err := unix.Madvise(s.mem, unix.MADV_NOHUGEPAGE); err != nil && !errors.Is(err, unix.EINVAL) {
		return fmt.Errorf("heap: no huge pages: %w", err)
	}
	if s.track == nil {
		return nil
	}
	return s.track.attach()
}

func (s *mapped) Drop(rs []Range) error { return s.advise(rs, unix.MADV_DONTNEED, "dropping") }

func (s *mapped) Keep(rs []Range) error { return s.advise(rs, unix.MADV_POPULATE_WRITE, "keeping") }

func (s *mapped) advise(rs []Range, advice int, doing string) error {
	for _, r := range rs {
		if err := unix.Madvise(s.mem[r.Off:r.Off+r.Len], advice); err != nil {
			return fmt.Errorf("heap: %s %d bytes at %d: %w", doing, r.Len, r.Off, err)
		}
	}
	return nil
}

func (s *mapped) Touched(size uint64) ([]Range, error) { return s.track.written(size) }

func (s *mapped) Lazy() bool { return true }

func (s *mapped) Close() error {
	err := unix.MunmapPtr(unsafe.Pointer(unsafe.SliceData(s.mem)), uintptr(len(s.mem)))
	if s.track != nil {
		err = errors.Join(err, s.track.close())
	}
	return err
}
