package heap

import (
	"encoding/binary"
	"fmt"
	"os"
	"runtime"
	"unsafe"

	"golang.org/x/sys/unix"
)

// pageMapTracker reads the page map (Documentation/admin-guide/mm/pagemap.rst): a
// page of a private mapping that is present (bit 63) and not the file's (bit 61), or
// swapped out (bit 62), is one that was written.
type pageMapTracker struct {
	mem     []byte
	pagemap *os.File
	owned   bool // pagemap is to be closed
	buf     []byte
}

const pageMapEntries = 64 << 10 // read at once: 512 KiB for 256 MiB of memory

func newPageMapTracker(mem []byte, pageMap *os.File) (*pageMapTracker, error) {
	if pageMap != nil {
		return &pageMapTracker{mem: mem, pagemap: pageMap}, nil
	}
	f, err := os.Open("/proc/self/pagemap")
	if err != nil {
		return nil, fmt.Errorf("heap: %w", err)
	}
	return &pageMapTracker{mem: mem, pagemap: f, owned: true}, nil
}

func (t *pageMapTracker) attach() error { return nil }

func (t *pageMapTracker) written(size uint64) ([]Range, error) {
	return t.private(nil, Range{0, size})
}

// private appends the private pages within r to rs.
func (t *pageMapTracker) private(rs []Range, r Range) ([]Range, error) {
	first := uint64(uintptr(unsafe.Pointer(unsafe.SliceData(t.mem)))) / PageBytes
	for off, end := r.Off, r.Off+r.Len; off < end; {
		n := min((end-off)/PageBytes, pageMapEntries)
		if uint64(len(t.buf)) < n*8 {
			t.buf = make([]byte, n*8)
		}
		b := t.buf[:n*8]
		if _, err := t.pagemap.ReadAt(b, int64((first+off/PageBytes)*8)); err != nil {
			return nil, fmt.Errorf("heap: the page map at %d: %w", off, err)
		}
		for ; len(b) > 0; b, off = b[8:], off+PageBytes {
			e := binary.NativeEndian.Uint64(b)
			if present, swapped, file := e>>63&1 == 1, e>>62&1 == 1, e>>61&1 == 1; swapped || present && !file {
				rs = appendRange(rs, off, PageBytes)
			}
		}
	}
	return rs, nil
}

func (t *pageMapTracker) close() error {
	if !t.owned {
		return nil
	}
	return t.pagemap.Close()
}

// writeProtectTracker lets the kernel protect pages and note, without telling anybody,
// which of them lose the protection by being written (userfaultfd(2), UFFD_FEATURE_WP_ASYNC;
// PAGEMAP_SCAN in pagemap.rst).
//
// Nothing is protected to begin with. Every scan reports the pages that are not
// protected and protects them, so a page that is only read is reported once, and its
// page map entry then says that it is the file's. That also covers what loses the
// protection without being written: dropped pages and new mappings.
type writeProtectTracker struct {
	pageMapTracker
	uffd    int
	arg     scanArg
	regions [1024]pageRegion
	seen    []Range
}

// From linux/userfaultfd.h and linux/fs.h (6.7).
const (
	uffdUserModeOnly   = 1
	uffdAPI            = 0xAA
	uffdFeatures       = 1<<13 | 1<<15 // UFFD_FEATURE_WP_UNPOPULATED, UFFD_FEATURE_WP_ASYNC
	uffdRegisterModeWP = 2
	uffdioAPI          = 0xc018aa3f
	uffdioRegister     = 0xc020aa00
	pagemapScan        = 0xc0606610
	scanProtect        = 1 // PM_SCAN_WP_MATCHING
	scanCheckAsync     = 2 // PM_SCAN_CHECK_WPASYNC
	pageIsWritten      = 2
	scanArgBytes       = 96
)

// maxSingleProtects is how many ranges are protected one by one; beyond, one pass
// over all pages is cheaper.
const maxSingleProtects = 128

type pageRegion struct{ start, end, categories uint64 }

type scanArg struct {
	size, flags, start, end, walkEnd, vec, vecLen, maxPages uint64
	inverted, mask, anyOf, returned                         uint64
}

func newWriteProtectTracker(mem []byte, pageMap *os.File) (*writeProtectTracker, error) {
	pm, err := newPageMapTracker(mem, pageMap)
	if err != nil {
		return nil, err
	}
	fd, _, errno := unix.Syscall(unix.SYS_USERFAULTFD, unix.O_CLOEXEC|unix.O_NONBLOCK|uffdUserModeOnly, 0, 0)
	if errno != 0 {
		pm.close()
		return nil, fmt.Errorf("heap: userfaultfd: %w", errno)
	}
	t := &writeProtectTracker{pageMapTracker: *pm, uffd: int(fd)}
	api := &[3]uint64{uffdAPI, uffdFeatures, 0}
	if err := t.ioctl(t.uffd, uffdioAPI, unsafe.Pointer(api)); err != nil {
		t.close()
		return nil, fmt.Errorf("heap: userfaultfd without asynchronous write protection: %w", err)
	}
	return t, nil
}

func (t *writeProtectTracker) attach() error {
	reg := &[4]uint64{t.address(0), uint64(len(t.mem)), uffdRegisterModeWP, 0}
	if err := t.ioctl(t.uffd, uffdioRegister, unsafe.Pointer(reg)); err != nil {
		return fmt.Errorf("heap: write protection for %d bytes: %w", len(t.mem), err)
	}
	return nil
}

// written first looks without protecting, then asks the page map which of these pages
// are private, then protects. The order matters: a protected page that is not there
// looks like one that was swapped out.
func (t *writeProtectTracker) written(size uint64) ([]Range, error) {
	if size == 0 {
		return nil, nil
	}
	var err error
	if t.seen, err = t.scan(t.seen[:0], Range{0, size}); err != nil {
		return nil, err
	}
	var rs []Range
	for _, r := range t.seen {
		if rs, err = t.private(rs, r); err != nil {
			return nil, err
		}
	}
	if len(t.seen) > maxSingleProtects {
		return rs, t.protect(Range{0, size})
	}
	for _, r := range t.seen {
		if err := t.protect(r); err != nil {
			return nil, err
		}
	}
	return rs, nil
}

// scan appends the pages of r that are not protected.
func (t *writeProtectTracker) scan(rs []Range, r Range) ([]Range, error) {
	base, end := t.address(0), t.address(r.Off+r.Len)
	for at := t.address(r.Off); at < end; {
		n, walkEnd, err := t.pagemapScan(at, end, scanCheckAsync, t.regions[:])
		if err != nil {
			return nil, err
		}
		for _, g := range t.regions[:n] {
			rs = appendRange(rs, g.start-base, g.end-g.start)
		}
		at = walkEnd
	}
	return rs, nil
}

func (t *writeProtectTracker) protect(r Range) error {
	_, _, err := t.pagemapScan(t.address(r.Off), t.address(r.Off+r.Len), scanCheckAsync|scanProtect, nil)
	return err
}

// pagemapScan fills regions with written pages in [start, end) and says how far it got.
// The masks are those of the kernel's fast path.
func (t *writeProtectTracker) pagemapScan(start, end, flags uint64, regions []pageRegion) (n int, walkEnd uint64, err error) {
	t.arg = scanArg{size: scanArgBytes, flags: flags, start: start, end: end, mask: pageIsWritten}
	if regions != nil {
		t.arg.returned = pageIsWritten
		t.arg.vec = uint64(uintptr(unsafe.Pointer(unsafe.SliceData(regions))))
		t.arg.vecLen = uint64(len(regions))
	}
	got, _, errno := unix.Syscall(unix.SYS_IOCTL, t.pagemap.Fd(), pagemapScan, uintptr(unsafe.Pointer(&t.arg)))
	runtime.KeepAlive(regions)
	if errno != 0 {
		return 0, 0, fmt.Errorf("heap: PAGEMAP_SCAN of %d bytes: %w", end-start, errno)
	}
	return int(got), t.arg.walkEnd, nil
}

func (t *writeProtectTracker) address(off uint64) uint64 {
	return uint64(uintptr(unsafe.Pointer(unsafe.SliceData(t.mem)))) + off
}

func (t *writeProtectTracker) ioctl(fd int, request uintptr, arg unsafe.Pointer) error {
	if _, _, errno := unix.Syscall(unix.SYS_IOCTL, uintptr(fd), request, uintptr(arg)); errno != 0 {
		return errno
	}
	return nil
}

func (t *writeProtectTracker) close() error {
	if err := unix.Close(t.uffd); err != nil {
		t.pageMapTracker.close()
		return fmt.Errorf("heap: closing userfaultfd: %w", err)
	}
	return t.pageMapTracker.close()
}
