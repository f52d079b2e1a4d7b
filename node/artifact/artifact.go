// Package artifact names what nodes exchange. An artifact is an immutable byte
// string; its ID says what it is and, by a hash, which one, so that nobody can
// pass one off as another.
package artifact

import (
	"cmp"
	"fmt"
	"slices"

	"portico/lightclient/cbor"
	"portico/node/types"
)

// Kind is a kind of artifact.
type Kind uint8

// The kinds. Shares and aggregates come in the kinds of what is signed.
const (
	Proposal Kind = iota + 1
	Equivocation
	CatchUp
	BeaconShare
	Beacon
	NotarizationShare
	Notarization
	FinalizationShare
	Finalization
	TapeShare
	Tape
	CertificationShare
	Certification
	CatchUpShare
	Ingress
	Kinds // one more than the last
)

var names = [Kinds]string{
	Proposal: "proposal", Equivocation: "equivocation proof", CatchUp: "catch-up package",
	BeaconShare: "beacon share", Beacon: "beacon",
	NotarizationShare: "notarization share", Notarization: "notarization",
	FinalizationShare: "finalization share", Finalization: "finalization",
	TapeShare: "tape share", Tape: "tape",
	CertificationShare: "certification share", Certification: "certification",
	CatchUpShare: "catch-up share", Ingress: "ingress message",
}

// String is the kind's name.
func (k Kind) String() string {
	if k == 0 || k >= Kinds {
		return fmt.Sprintf("Kind(%d)", uint8(k))
	}
	return names[k]
}

// ID identifies an artifact. Height is that of the subnet's chain that it belongs to;
// for ingress messages it is the second in which they expire.
type ID struct {
	Kind   Kind
	Height types.Height
	Hash   types.Hash // of its encoding
}

// Compare orders ids by height, kind and hash.
func (id ID) Compare(other ID) int {
	return cmp.Or(cmp.Compare(id.Height, other.Height), cmp.Compare(id.Kind, other.Kind), slices.Compare(id.Hash[:], other.Hash[:]))
}

// String is short and meant for logs.
func (id ID) String() string { return fmt.Sprintf("%s %d/%x", id.Kind, id.Height, id.Hash[:4]) }

// Append appends the id's CBOR: [kind, height, hash].
func (id ID) Append(b []byte) []byte {
	b = cbor.AppendArray(b, 3)
	b = cbor.AppendUint(b, uint64(id.Kind))
	b = cbor.AppendUint(b, uint64(id.Height))
	return cbor.AppendBytes(b, id.Hash[:])
}

// Decode reads what Append wrote.
func Decode(d *cbor.Decoder) (ID, error) {
	at := d.Offset()
	n, err := d.Array()
	if err != nil {
		return ID{}, err
	}
	if n != 3 {
		return ID{}, fmt.Errorf("artifact id at offset %d: expected 3 items, found %d", at, n)
	}
	kind, err := d.Uint()
	if err != nil {
		return ID{}, err
	}
	if kind == 0 || kind >= uint64(Kinds) {
		return ID{}, fmt.Errorf("artifact id at offset %d: there is no kind %d", at, kind)
	}
	height, err := d.Uint()
	if err != nil {
		return ID{}, err
	}
	hash, err := d.Bytes()
	if err != nil {
		return ID{}, err
	}
	id := ID{Kind: Kind(kind), Height: types.Height(height)}
	if len(hash) != len(id.Hash) {
		return ID{}, fmt.Errorf("artifact id at offset %d: a hash has %d bytes, not %d", at, len(id.Hash), len(hash))
	}
	copy(id.Hash[:], hash)
	return id, nil
}
