package state

import (
	"encoding/binary"
	"iter"
	"slices"

	"portico/lightclient/principal"
	"portico/node/types"
)

// Snapshot is a copy of a canister's code and memories; the content of the memories lies in
// files beside the state. A snapshot that was taken never changes, and one that is being
// uploaded is replaced as a whole by each upload: earlier states may share it.
type Snapshot struct {
	Number uint64
	Taken  types.Time
	// Uploaded: made by upload_canister_snapshot_metadata, so that data may be uploaded to it.
	Uploaded bool
	Version  uint64 // of the canister when the snapshot was made
	// Module are the consecutive pieces of the module as it was installed, ModuleBytes long
	// together. Of an uploaded one they are ModulePieceBytes long, the last as long as needed,
	// and those whose Hash is zero are zeros.
	Module                 []Chunk
	ModuleBytes            uint64
	Globals                []Global // of the mutable globals, in the engine's order
	HeapBytes, StableBytes uint64
	Chunks                 []Chunk
	CertifiedData          []byte
	// Timer and LowMemory are nil if an upload left them out.
	Timer     *uint64
	LowMemory *LowMemory
}

// ModulePieceBytes is the length of the pieces of an uploaded module.
const ModulePieceBytes = types.MiB

// GlobalType is the type of a global.
type GlobalType uint8

// The types of globals. The engine has a v128 as two of type GlobalI64.
const (
	GlobalI32 GlobalType = iota + 1
	GlobalI64
	GlobalF32
	GlobalF64
)

// Global is the value of a global as raw bits.
type Global struct {
	Type GlobalType
	Bits uint64
}

// chunkCharge is what a chunk counts for, whatever its length.
const chunkCharge = types.MiB

// Bytes is what the snapshot stores and is charged for.
func (s *Snapshot) Bytes() uint64 {
	return s.HeapBytes + s.StableBytes + s.ModuleBytes + uint64(len(s.Globals))*8 + uint64(len(s.Chunks))*chunkCharge + uint64(len(s.CertifiedData))
}

// SnapshotID names a snapshot: no two ever have the same.
type SnapshotID struct {
	Canister types.CanisterID
	Number   uint64
}

// Bytes is the form that users see: the number in 8 bytes, big-endian, and the canister's id.
func (id SnapshotID) Bytes() []byte {
	return append(binary.BigEndian.AppendUint64(nil, id.Number), id.Canister.Bytes()...)
}

// ParseSnapshotID reads what Bytes wrote.
func ParseSnapshotID(b []byte) (SnapshotID, bool) {
	if len(b) < 8 {
		return SnapshotID{}, false
	}
	canister, err := principal.FromBytes(b[8:])
	return SnapshotID{canister, binary.BigEndian.Uint64(b)}, err == nil
}

// Snapshot finds a snapshot of the canister, or returns nil.
func (c *Canister) Snapshot(number uint64) *Snapshot {
	if i, ok := c.snapshot(number); ok {
		return c.Snapshots[i]
	}
	return nil
}

func (c *Canister) snapshot(number uint64) (int, bool) {
	return slices.BinarySearchFunc(c.Snapshots, number, func(s *Snapshot, n uint64) int {
		switch {
		case s.Number < n:
			return -1
		case s.Number > n:
			return 1
		default:
			return 0
		}
	})
}

// PutSnapshot replaces a snapshot by one with the same number.
func (c *Canister) PutSnapshot(s *Snapshot) {
	i, _ := c.snapshot(s.Number)
	c.Snapshots[i] = s
}

// DropSnapshot forgets a snapshot.
func (c *Canister) DropSnapshot(number uint64) {
	if i, ok := c.snapshot(number); ok {
		c.Snapshots = slices.Delete(c.Snapshots, i, i+1)
	}
}

// pieces are the contents that are saved as objects: those of the chunk store, and of the
// snapshots with their modules.
func (c *Canister) pieces() iter.Seq[*Chunk] {
	return func(yield func(*Chunk) bool) {
		lists := [][]Chunk{c.Chunks}
		for _, s := range c.Snapshots {
			lists = append(lists, s.Module, s.Chunks)
		}
		for _, list := range lists {
			for i := range list {
				if list[i].Hash != (types.Hash{}) && !yield(&list[i]) {
					return
				}
			}
		}
	}
}
