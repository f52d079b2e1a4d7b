package state

import (
	"fmt"
	"io"

	"portico/lightclient/principal"
	"portico/node/types"

	"github.com/fxamacker/cbor/v2"
)

// saved is the form of a State on disk. Modules and chunks are kept apart, as
// objects named by their hashes.
type saved struct {
	Height             types.Height
	Time               types.Time
	NextCanister       uint64
	Management         []Input
	AwaitingRandomness []*Request
	NextCharged        types.CanisterID
	HeapDelta          uint64
	Metrics            Metrics
	BlockMakers        []BlockDay
	Quick              Moment
	InstallRestarts    uint8
	Queries            QueryReports
	Canisters          []*Canister
	Ingress            []savedIngress
}

type savedIngress struct {
	ID    types.RequestID
	Entry *IngressEntry
}

// Objects are the contents, by SHA-256, that a State refers to: modules as uploaded
// and chunks.
type Objects map[types.Hash][]byte

// Save encodes the state, the same bytes for the same state, and lists the objects it needs.
func (s *State) Save() ([]byte, Objects, error) {
	mode, err := cbor.CoreDetEncOptions().EncMode()
	if err != nil {
		return nil, nil, err
	}
	out := saved{
		Height: s.Height, Time: s.Time, NextCanister: s.NextCanister, Management: s.Management,
		AwaitingRandomness: s.AwaitingRandomness, NextCharged: s.NextCharged, HeapDelta: s.HeapDelta, Metrics: s.Metrics,
		BlockMakers: s.BlockMakers, Quick: s.Quick, InstallRestarts: s.InstallRestarts, Queries: s.Queries,
	}
	objects := Objects{}
	for _, id := range s.ids {
		c := s.Canister(id)
		out.Canisters = append(out.Canisters, c)
		if c.Code != nil {
			objects[c.Code.ModuleHash] = c.Code.Module
		}
		for p := range c.pieces() {
			objects[p.Hash] = p.Data
		}
	}
	for _, id := range s.history.IDs() {
		out.Ingress = append(out.Ingress, savedIngress{id, s.history.entries[id]})
	}
	b, err := mode.Marshal(&out)
	return b, objects, err
}

// maxSavedItems bounds the arrays and maps of a saved state.
const maxSavedItems = 100_000_000

// Load decodes what Save encoded; object returns the content with a hash.
func Load(b []byte, object func(types.Hash) ([]byte, error)) (*State, error) {
	mode, err := cbor.DecOptions{MaxArrayElements: maxSavedItems, MaxMapPairs: maxSavedItems, ExtraReturnErrors: cbor.ExtraDecErrorUnknownField}.DecMode()
	if err != nil {
		return nil, err
	}
	var in saved
	if err := mode.Unmarshal(b, &in); err != nil {
		return nil, fmt.Errorf("saved state: %w", err)
	}
	s := New(in.Time, in.NextCanister)
	s.Height, s.Management, s.AwaitingRandomness = in.Height, in.Management, in.AwaitingRandomness
	s.NextCharged, s.HeapDelta, s.Metrics = in.NextCharged, in.HeapDelta, in.Metrics
	s.BlockMakers, s.Quick, s.InstallRestarts, s.Queries = in.BlockMakers, in.Quick, in.InstallRestarts, in.Queries
	for _, c := range in.Canisters {
		if c == nil {
			return nil, fmt.Errorf("saved state: %w", io.ErrUnexpectedEOF)
		}
		if err := c.load(object); err != nil {
			return nil, fmt.Errorf("saved state: canister %s: %w", c.ID, err)
		}
		s.base[c.ID] = c
		s.ids = append(s.ids, c.ID)
		if len(c.Inbox) > 0 {
			s.waiting = append(s.waiting, c.ID)
		}
	}
	for i := 1; i < len(s.ids); i++ {
		if principal.ID.Compare(s.ids[i-1], s.ids[i]) >= 0 {
			return nil, fmt.Errorf("saved state: canisters %s and %s are out of order", s.ids[i-1], s.ids[i])
		}
	}
	for _, e := range in.Ingress {
		s.history.Begin(e.ID, *e.Entry)
	}
	clear(s.history.changed)
	return s, nil
}

// load fills in what is kept as objects, and the maps that were empty.
func (c *Canister) load(object func(types.Hash) ([]byte, error)) error {
	if c.Code != nil {
		module, err := object(c.Code.ModuleHash)
		if err != nil {
			return err
		}
		c.Code.Module = module
	}
	for p := range c.pieces() {
		data, err := object(p.Hash)
		if err != nil {
			return err
		}
		p.Data = data
	}
	if c.Contexts == nil {
		c.Contexts = map[uint64]*CallContext{}
	}
	if c.Callbacks == nil {
		c.Callbacks = map[uint64]*Callback{}
	}
	if c.Pending == nil {
		c.Pending = map[types.CanisterID]int{}
	}
	return nil
}
