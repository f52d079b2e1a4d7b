package stable

import (
	"encoding/binary"
	"fmt"
)

// Blocks are pieces of one size that are chained: the number of the next one plus one,
// how many bytes this one holds, and those.
const (
	blockBytes  = 1024
	blockHeader = 8
	blockRoom   = blockBytes - blockHeader
)

// Blocks keeps values of any length in chains of blocks. Chains are named by the
// number of their first block plus one; zero is no chain. Its fields are
// to be set, and the counters kept.
type Blocks struct {
	Regions *Regions
	Region  Region  // of its own
	Handed  *uint64 // how many blocks were handed out at some time
	Freed   *uint64 // the first block of the list of free ones, plus one
}

func (s *Blocks) allocate() (uint32, error) {
	if *s.Freed == 0 {
		(*s.Handed)++
		return uint32(*s.Handed), nil
	}
	n := uint32(*s.Freed)
	var next [4]byte
	if err := s.Regions.Read(s.Region, s.offset(n), next[:]); err != nil {
		return 0, err
	}
	*s.Freed = uint64(binary.LittleEndian.Uint32(next[:]))
	return n, nil
}

func (s *Blocks) offset(n uint32) uint64 { return uint64(n-1) * blockBytes }

// release puts one block on the list of free ones.
func (s *Blocks) release(n uint32) error {
	next := binary.LittleEndian.AppendUint32(nil, uint32(*s.Freed))
	*s.Freed = uint64(n)
	return s.Regions.Write(s.Region, s.offset(n), next)
}

// Get reads a chain's value.
func (s *Blocks) Get(first uint32) ([]byte, error) {
	var out []byte
	var b [blockBytes]byte
	for n := first; n != 0; n = binary.LittleEndian.Uint32(b[:]) {
		if err := s.Regions.Read(s.Region, s.offset(n), b[:]); err != nil {
			return nil, err
		}
		size := binary.LittleEndian.Uint16(b[4:])
		if int(size) > blockRoom {
			return nil, fmt.Errorf("block %d says it holds %d bytes", n, size)
		}
		out = append(out, b[blockHeader:blockHeader+int(size)]...)
	}
	return out, nil
}

// Put writes a value over a chain, which may be none, and returns the chain.
func (s *Blocks) Put(first uint32, value []byte) (uint32, error) {
	need := max(1, (len(value)+blockRoom-1)/blockRoom)
	chain := make([]uint32, 0, need)
	for n := first; n != 0; {
		chain = append(chain, n)
		var next [4]byte
		if err := s.Regions.Read(s.Region, s.offset(n), next[:]); err != nil {
			return 0, err
		}
		n = binary.LittleEndian.Uint32(next[:])
	}
	for len(chain) > need {
		if err := s.release(chain[len(chain)-1]); err != nil {
			return 0, err
		}
		chain = chain[:len(chain)-1]
	}
	for len(chain) < need {
		n, err := s.allocate()
		if err != nil {
			return 0, err
		}
		chain = append(chain, n)
	}
	for i, n := range chain {
		part := value[min(i*blockRoom, len(value)):min((i+1)*blockRoom, len(value))]
		var next uint32
		if i+1 < len(chain) {
			next = chain[i+1]
		}
		b := binary.LittleEndian.AppendUint32(make([]byte, 0, blockBytes), next)
		b = binary.LittleEndian.AppendUint32(b, uint32(len(part)))
		if err := s.Regions.Write(s.Region, s.offset(n), append(b, part...)); err != nil {
			return 0, err
		}
	}
	return chain[0], nil
}
