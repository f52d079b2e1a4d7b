package cdk

import (
	"fmt"
	"io"
)

// StablePage is the unit in which stable memory grows, in bytes.
const StablePage = 65536

// Stable is the canister's stable memory: it outlives upgrades. io.NewOffsetWriter
// and io.NewSectionReader make streams of it.
type Stable struct{}

// Size is the size of stable memory in bytes, a multiple of StablePage.
func (Stable) Size() int64 { return int64(stable64Size() * StablePage) }

// ReadAt fills p from off on; it returns io.EOF where stable memory ends first.
func (s Stable) ReadAt(p []byte, off int64) (int, error) {
	size := s.Size()
	if off < 0 {
		return 0, fmt.Errorf("stable memory at the negative offset %d", off)
	}
	n := int(min(int64(len(p)), max(size-off, 0)))
	if n > 0 {
		stable64Read(uint64(addr(&p[0])), uint64(off), uint64(n))
	}
	if n < len(p) {
		return n, io.EOF
	}
	return n, nil
}

// WriteAt stores p at off and grows stable memory where needed.
func (s Stable) WriteAt(p []byte, off int64) (int, error) {
	if off < 0 {
		return 0, fmt.Errorf("stable memory at the negative offset %d", off)
	}
	if len(p) == 0 {
		return 0, nil
	}
	if err := s.Grow(off + int64(len(p))); err != nil {
		return 0, err
	}
	stable64Write(uint64(off), uint64(addr(&p[0])), uint64(len(p)))
	return len(p), nil
}

// Grow makes stable memory at least size bytes large; the new bytes are zero.
func (s Stable) Grow(size int64) error {
	have := s.Size()
	if size <= have {
		return nil
	}
	pages := uint64(size-have+StablePage-1) / StablePage
	if stable64Grow(pages) == 1<<64-1 {
		return fmt.Errorf("stable memory cannot grow from %d to %d bytes", have, size)
	}
	return nil
}
