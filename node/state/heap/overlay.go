//go:build unix

package heap

import (
	"iter"
	"maps"
	"math/bits"
	"slices"

	"portico/node/types"
)

// Pages in the first chunk of an overlay, and in each of the others.
const (
	firstChunkPages = 16
	chunkPages      = types.MiB / PageBytes
)

// overlay holds the pages changed since the last Publish. Pages lie in chunks of
// 1 MiB, so that a round that changes a lot does not make a lot of garbage; the first
// one is small, because most messages change little.
type overlay struct {
	slots  map[uint64]int // page number -> index of its copy
	chunks [][]byte
}

// page is the copy of page p, or nil.
func (o *overlay) page(p uint64) []byte {
	i, ok := o.slots[p]
	if !ok {
		return nil
	}
	return o.at(i)
}

func (o *overlay) at(i int) []byte {
	chunk := 0
	if i >= firstChunkPages {
		chunk, i = 1+(i-firstChunkPages)/chunkPages, (i-firstChunkPages)%chunkPages
	}
	off := i * PageBytes
	return o.chunks[chunk][off : off+PageBytes : off+PageBytes]
}

func (o *overlay) put(p uint64, content []byte) {
	i, ok := o.slots[p]
	if !ok {
		if o.slots == nil {
			o.slots = map[uint64]int{}
		}
		i = len(o.slots)
		switch {
		case i == 0 && len(o.chunks) == 0:
			o.chunks = append(o.chunks, make([]byte, firstChunkPages*PageBytes))
		case i >= firstChunkPages && 1+(i-firstChunkPages)/chunkPages == len(o.chunks):
			o.chunks = append(o.chunks, make([]byte, chunkPages*PageBytes))
		}
		o.slots[p] = i
	}
	copy(o.at(i), content)
}

// reset empties the overlay. If it is to be used again soon it keeps two chunks for that, and
// otherwise nothing.
func (o *overlay) reset(soon bool) {
	if !soon {
		*o = overlay{}
		return
	}
	if len(o.chunks) > 2 {
		o.chunks = slices.Clone(o.chunks[:2])
	}
	if len(o.slots) > chunkPages {
		o.slots = nil // a map never shrinks
	}
	clear(o.slots)
}

// pages are the page numbers in order.
func (o *overlay) pages() []uint64 { return slices.Sorted(maps.Keys(o.slots)) }

// ranges are the pages as ranges, in order.
func (o *overlay) ranges() []Range {
	var rs []Range
	for _, p := range o.pages() {
		rs = appendRange(rs, p*PageBytes, PageBytes)
	}
	return rs
}

// appendRange appends to ordered ranges, joining what touches.
func appendRange(rs []Range, off, n uint64) []Range {
	if k := len(rs); k > 0 && rs[k-1].Off+rs[k-1].Len == off {
		rs[k-1].Len += n
		return rs
	}
	return append(rs, Range{off, n})
}

// pageSet is a set of pages: a sparse bitmap.
type pageSet map[uint64]uint64

// add adds the pages of r.
func (s pageSet) add(r Range) {
	for word, pages := range words(r) {
		s[word] |= pages
	}
}

// remove removes the pages of r.
func (s pageSet) remove(r Range) {
	for word, pages := range words(r) {
		if s[word] &^= pages; s[word] == 0 {
			delete(s, word)
		}
	}
}

// words are the words of a bitmap that hold the pages of r, with the bits of these pages.
func words(r Range) iter.Seq2[uint64, uint64] {
	return func(yield func(uint64, uint64) bool) {
		for p, end := r.Off/PageBytes, (r.Off+r.Len+PageBytes-1)/PageBytes; p < end; {
			n := min(64-p%64, end-p)
			if !yield(p/64, ^uint64(0)>>(64-n)<<(p%64)) {
				return
			}
			p += n
		}
	}
}

// bytes is the size of the pages of the set.
func (s pageSet) bytes() uint64 {
	n := 0
	for _, pages := range s {
		n += bits.OnesCount64(pages)
	}
	return uint64(n) * PageBytes
}

// ranges are the pages of the set in order.
func (s pageSet) ranges() []Range {
	var rs []Range
	for _, w := range slices.Sorted(maps.Keys(s)) {
		for set := s[w]; set != 0; {
			first := uint64(bits.TrailingZeros64(set))
			n := uint64(bits.TrailingZeros64(^(set >> first)))
			rs = appendRange(rs, (w*64+first)*PageBytes, n*PageBytes)
			if first+n >= 64 {
				break
			}
			set &^= (1<<n - 1) << first
		}
	}
	return rs
}

// within cuts ordered ranges off at size, in place.
func within(rs []Range, size uint64) []Range {
	for i, r := range rs {
		if r.Off >= size {
			return rs[:i]
		}
		if r.Off+r.Len > size {
			rs[i].Len = size - r.Off
			return rs[:i+1]
		}
	}
	return rs
}
