package main

import (
	"fmt"
	"io"
	"slices"
)

// memory is where contents are kept: the canister's stable memory.
type memory interface {
	io.ReaderAt
	io.WriterAt
}

// extent is a piece of stable memory.
type extent struct {
	Offset uint64 `candid:"0"`
	Length uint64 `candid:"1"`
}

func (e extent) end() uint64 { return e.Offset + e.Length }

// space gives out stable memory from headerBytes on. Contents live there and not in
// the heap: uploading, serving and upgrading cost no second copy.
type space struct {
	mem  memory
	free []extent // in order, apart from each other, none reaching the end
	end  uint64   // nothing is in use from here on
}

func newSpace(mem memory) space { return space{mem: mem, end: headerBytes} }

// store puts b where there is room: in the smallest gap that it fits into, else at
// the end.
func (s *space) store(b []byte) (extent, error) {
	e := s.allocate(uint64(len(b)))
	if _, err := s.mem.WriteAt(b, int64(e.Offset)); err != nil {
		s.release(e)
		return extent{}, err
	}
	return e, nil
}

func (s *space) allocate(n uint64) extent {
	if n == 0 {
		return extent{}
	}
	best := -1
	for i, f := range s.free {
		if f.Length >= n && (best < 0 || f.Length < s.free[best].Length) {
			best = i
		}
	}
	if best < 0 {
		e := extent{s.end, n}
		s.end += n
		return e
	}
	f := &s.free[best]
	e := extent{f.Offset, n}
	f.Offset, f.Length = f.Offset+n, f.Length-n
	if f.Length == 0 {
		s.free = slices.Delete(s.free, best, best+1)
	}
	return e
}

// release gives an extent back. It must have been in use.
func (s *space) release(e extent) {
	if e.Length == 0 {
		return
	}
	i, _ := slices.BinarySearchFunc(s.free, e.Offset, func(f extent, at uint64) int {
		if f.Offset < at {
			return -1
		}
		return 1
	})
	if i < len(s.free) && e.end() == s.free[i].Offset {
		e.Length += s.free[i].Length
		s.free = slices.Delete(s.free, i, i+1)
	}
	if i > 0 && s.free[i-1].end() == e.Offset {
		i--
		e = extent{s.free[i].Offset, s.free[i].Length + e.Length}
		s.free = slices.Delete(s.free, i, i+1)
	}
	if e.end() == s.end {
		s.end = e.Offset
		return
	}
	s.free = slices.Insert(s.free, i, e)
}

// content is bytes in stable memory, in pieces as they were uploaded.
type content []extent

func (c content) size() uint64 {
	var n uint64
	for _, e := range c {
		n += e.Length
	}
	return n
}

// slice reads up to n bytes of c from off on.
func (s *space) slice(c content, off, n uint64) ([]byte, error) {
	size := c.size()
	if off > size {
		return nil, fmt.Errorf("offset %d is beyond the %d bytes of the content", off, size)
	}
	out := make([]byte, 0, min(n, size-off))
	for _, e := range c {
		if off >= e.Length {
			off -= e.Length
			continue
		}
		take := min(e.Length-off, uint64(cap(out)-len(out)))
		part := out[len(out) : len(out)+int(take)]
		if _, err := s.mem.ReadAt(part, int64(e.Offset+off)); err != nil {
			return nil, err
		}
		out, off = out[:len(out)+int(take)], 0
	}
	return out, nil
}

// copyTo writes c into w, such as a hash, a window at a time.
func (s *space) copyTo(w io.Writer, c content) error {
	buf := make([]byte, windowBytes)
	for _, e := range c {
		r := io.NewSectionReader(s.mem, int64(e.Offset), int64(e.Length))
		if _, err := io.CopyBuffer(onlyWriter{w}, r, buf); err != nil {
			return err
		}
	}
	return nil
}

// windowBytes is how much of a content is in the heap at once while it is hashed.
const windowBytes = 64 << 10

// onlyWriter hides other methods, so that io.CopyBuffer uses the buffer.
type onlyWriter struct{ io.Writer }
