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

// A space is a reserved range of addresses that shows the first bytes of a file and
// zeros after them, with private writes on top.
type space interface {
	// bytes is the whole reservation; its address never changes.
	bytes() []byte
	// show forgets all private writes and shows the first size bytes of f.
	show(f *os.File, size uint64) error
	// drop forgets the private writes in the ranges.
	drop(rs []Range) error
	// keep makes what is seen in the ranges private, so that writes to the file do
	// not show. It may run while somebody reads and writes the space.
	keep(rs []Range) error
	// touched are ordered ranges of the first size bytes, a superset of what was
	// written since the last call or show.
	touched(size uint64) ([]Range, error)
	// lazy says that drop costs what was touched, and needs no protection from
	// writes to the file.
	lazy() bool
	close() error
}

// newSpace reserves maxBytes for a view that needs tracking (or not) under backend b.
func newSpace(b Backend, tracked bool, maxBytes uint64) (space, error) {
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
		return newMapped(t, maxBytes)
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
	s, err := newSpace(b, true, 2*types.WasmPageBytes)
	if err != nil {
		return false
	}
	defer s.close()
	if s.show(f, types.WasmPageBytes) != nil {
		return false
	}
	// The first write is to a file page, the second to an anonymous one. Both must be
	// seen again after having been reported, and be gone after a drop.
	for round := range byte(2) {
		s.bytes()[3*PageBytes] = round + 1
		s.bytes()[types.WasmPageBytes] = round + 1
		rs, err := s.touched(2 * types.WasmPageBytes)
		if err != nil || len(rs) != 2 || rs[0] != (Range{3 * PageBytes, PageBytes}) || rs[1] != (Range{types.WasmPageBytes, PageBytes}) {
			return false
		}
	}
	all := []Range{{0, 2 * types.WasmPageBytes}}
	return s.keep(all) == nil && s.drop(all) == nil &&
		bytes.Equal(s.bytes()[:2*types.WasmPageBytes], make([]byte, 2*types.WasmPageBytes))
}
