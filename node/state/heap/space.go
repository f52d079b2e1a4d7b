//go:build unix

package heap

import (
	"bytes"
	"fmt"
	"os"

	"portico/node/types"
)

// tracking says how a space notices writes.
type tracking uint8

const (
	untracked tracking = iota
	byWriteProtect
	byPageMap
)

// A Space is a reserved range of addresses that shows the first bytes of a file and
// zeros after them, with private writes on top.
type Space interface {
	// Room is the size of the reservation.
	Room() uint64
	// Bytes is the whole reservation, whose address never changes; nil if it is in another
	// process.
	Bytes() []byte
	// Read copies the content from off on to b, and Write copies b there. Both lie within
	// the reservation.
	Read(b []byte, off uint64) error
	Write(b []byte, off uint64) error
	// Show forgets all private writes and shows the first size bytes of f.
	Show(f *os.File, size uint64) error
	// Drop forgets the private writes in the ranges.
	Drop(rs []Range) error
	// Keep makes what is seen in the ranges private, so that writes to the file do
	// not show. It may run while somebody reads and writes the space.
	Keep(rs []Range) error
	// Touched are ordered ranges of the first size bytes, a superset of what was
	// written since the last call or Show.
	Touched(size uint64) ([]Range, error)
	// Lazy says that Drop costs what was touched, and needs no protection from
	// writes to the file.
	Lazy() bool
	Close() error
}

// Spaces makes Spaces elsewhere than in this process: package wasm/sandbox has one.
type Spaces interface {
	// NewSpace reserves maxBytes, whole 64-KiB pages; tracked ones know what was touched.
	NewSpace(tracked bool, maxBytes uint64) (Space, error)
}

// NewSpace reserves maxBytes in this process, for a view that needs tracking (or not). pageMap is
// this process's page map, or nil to open it.
func NewSpace(b Backend, tracked bool, maxBytes uint64, pageMap *os.File) (Space, error) {
	if maxBytes%types.WasmPageBytes != 0 || maxBytes > MaxBytes {
		return nil, fmt.Errorf("heap: a view of %d bytes, want whole 64-KiB pages, at most %d bytes", maxBytes, uint64(MaxBytes))
	}
	maxBytes = max(maxBytes, types.WasmPageBytes)
	switch b {
	case WriteProtect, PageMap:
		t := untracked
		if tracked {
			t = map[Backend]tracking{WriteProtect: byWriteProtect, PageMap: byPageMap}[b]
		}
		return newMapped(t, maxBytes, pageMap)
	case Portable:
		return newPlain(maxBytes)
	default:
		return nil, fmt.Errorf("heap: unknown backend %d", b)
	}
}

// works tries a backend on one page of a temporary file.
func works(b Backend) bool {
	f, err := os.CreateTemp("", "heap-probe-*")
	if err != nil {
		return false
	}
	defer f.Close()
	defer os.Remove(f.Name())
	if err := f.Truncate(types.WasmPageBytes); err != nil {
		return false
	}
	s, err := NewSpace(b, true, 2*types.WasmPageBytes, nil)
	if err != nil {
		return false
	}
	defer s.Close()
	if s.Show(f, types.WasmPageBytes) != nil {
		return false
	}
	// The first write is to a file page, the second to an anonymous one. Both must be
	// seen again after having been reported, and be gone after a drop.
	for round := range byte(2) {
		s.Bytes()[3*PageBytes] = round + 1
		s.Bytes()[types.WasmPageBytes] = round + 1
		rs, err := s.Touched(2 * types.WasmPageBytes)
		if err != nil || len(rs) != 2 || rs[0] != (Range{3 * PageBytes, PageBytes}) || rs[1] != (Range{types.WasmPageBytes, PageBytes}) {
			return false
		}
	}
	all := []Range{{0, 2 * types.WasmPageBytes}}
	return s.Keep(all) == nil && s.Drop(all) == nil &&
		bytes.Equal(s.Bytes()[:2*types.WasmPageBytes], make([]byte, 2*types.WasmPageBytes))
}
