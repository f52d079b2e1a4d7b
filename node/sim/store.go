package sim

import (
	"errors"
	"fmt"
	"maps"
	"slices"

	"portico/node/artifact"
	"portico/node/types"
)

// ErrDisk is the error of a transaction that was meant to fail.
var ErrDisk = errors.New("sim: the disk reports an error")

// Fault is what happens to a transaction of a Store.
type Fault uint8

// The faults.
const (
	NoFault     Fault = iota
	CrashBefore       // the node crashes, nothing of the transaction took effect
	CrashAfter        // the node crashes, all of it did
	ErrorBefore       // an error, nothing took effect
	ErrorAfter        // an error, although all of it did
	faults            // their number
)

// String is what the fault is called in scores.
func (f Fault) String() string {
	switch f {
	case NoFault:
		return "no fault"
	case CrashBefore:
		return "a crash before a transaction"
	case CrashAfter:
		return "a crash after a transaction"
	case ErrorBefore:
		return "an error of the disk"
	case ErrorAfter:
		return "an error of the disk, although it wrote"
	default:
		return fmt.Sprintf("Fault(%d)", uint8(f))
	}
}

// Store is an artifact.Store that outlives its node's lives.
type Store struct {
	items map[artifact.ID][]byte
	// kinds are the ids in items, by kind and height.
	kinds [artifact.Kinds]map[types.Height]map[types.Hash]bool
	next  Fault
	after int // so many transactions
}

// NewStore is an empty store.
func NewStore() *Store { return &Store{items: map[artifact.ID][]byte{}} }

// Arm has the transaction after so many others meet a fault.
func (s *Store) Arm(f Fault, after int) { s.next, s.after = f, after }

// Len is the number of artifacts.
func (s *Store) Len() int { return len(s.items) }

// Load yields everything by kind, height and hash.
func (s *Store) Load(yield func(artifact.Item) error) error {
	ids := slices.SortedFunc(maps.Keys(s.items), func(a, b artifact.ID) int {
		if a.Kind != b.Kind {
			return int(a.Kind) - int(b.Kind)
		}
		return a.Compare(b)
	})
	for _, id := range ids {
		if err := yield(artifact.Item{ID: id, Encoded: slices.Clone(s.items[id])}); err != nil {
			return err
		}
	}
	return nil
}

// Apply is a transaction, which a fault may meet.
func (s *Store) Apply(c artifact.Change) error {
	fault := NoFault
	if s.next != NoFault {
		if s.after--; s.after < 0 {
			fault, s.next = s.next, NoFault
		}
	}
	switch fault {
	case CrashBefore:
		panic(crash{})
	case ErrorBefore:
		return ErrDisk
	}
	for _, p := range c.Purge {
		s.purge(p)
	}
	for _, it := range c.Put {
		s.put(it)
	}
	switch fault {
	case CrashAfter:
		panic(crash{})
	case ErrorAfter:
		return ErrDisk
	}
	return nil
}

func (s *Store) put(it artifact.Item) {
	heights := s.kinds[it.ID.Kind]
	if heights == nil {
		heights = map[types.Height]map[types.Hash]bool{}
		s.kinds[it.ID.Kind] = heights
	}
	if heights[it.ID.Height] == nil {
		heights[it.ID.Height] = map[types.Hash]bool{}
	}
	heights[it.ID.Height][it.ID.Hash] = true
	s.items[it.ID] = slices.Clone(it.Encoded)
}

func (s *Store) purge(p artifact.Purge) {
	heights := s.kinds[p.Kind]
	for h, hashes := range heights {
		if h >= p.Below {
			continue
		}
		for hash := range hashes {
			delete(s.items, artifact.ID{Kind: p.Kind, Height: h, Hash: hash})
		}
		delete(heights, h)
	}
}
