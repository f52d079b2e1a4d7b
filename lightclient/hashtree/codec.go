package hashtree

import (
	"errors"
	"fmt"

	"portico/lightclient/cbor"
)

// MaxDepth bounds the nesting of trees that Decode reads. The state tree of a
// subnet with a billion canisters is about 100 nodes deep; asset trees add a few
// nodes for each part of a URL.
const MaxDepth = 512

// First items of the arrays that encode nodes (specification, "Encoding of certificates").
const (
	tagEmpty   = 0
	tagFork    = 1
	tagLabeled = 2
	tagLeaf    = 3
	tagPruned  = 4
)

// Decode reads all of b as a tree, with or without CBOR's self-describing tag.
// Labels and leaves alias b. It refuses trees that are not well formed.
func Decode(b []byte) (Tree, error) {
	d := cbor.NewDecoder(b)
	d.SkipSelfDescribe()
	t, err := DecodeFrom(d)
	if err != nil {
		return nil, err
	}
	if err := d.End(); err != nil {
		return nil, fmt.Errorf("hashtree: %w", err)
	}
	return t, nil
}

// DecodeFrom is Decode for a tree that is the next item of d.
func DecodeFrom(d *cbor.Decoder) (Tree, error) {
	t, err := decodeNode(d, 0)
	if err != nil {
		return nil, fmt.Errorf("hashtree: %w", err)
	}
	if err := Wellformed(t); err != nil {
		return nil, err
	}
	return t, nil
}

func decodeNode(d *cbor.Decoder, depth int) (Tree, error) {
	at := d.Offset()
	if depth == MaxDepth {
		return nil, fmt.Errorf("offset %d: nesting is deeper than %d", at, MaxDepth)
	}
	n, err := d.Array()
	if err != nil {
		return nil, err
	}
	tag, err := d.Uint()
	if err != nil {
		return nil, err
	}
	lengths := [...]int{tagEmpty: 1, tagFork: 3, tagLabeled: 3, tagLeaf: 2, tagPruned: 2}
	if tag >= uint64(len(lengths)) {
		return nil, fmt.Errorf("offset %d: node of unknown kind %d", at, tag)
	}
	if n != lengths[tag] && n != cbor.Indefinite {
		return nil, fmt.Errorf("offset %d: node of kind %d has %d items instead of %d", at, tag, n, lengths[tag])
	}
	t, err := decodeItems(d, tag, depth)
	if err != nil {
		return nil, err
	}
	if n == cbor.Indefinite && !d.Break() {
		return nil, fmt.Errorf("offset %d: node of kind %d has more than %d items", at, tag, lengths[tag])
	}
	return t, nil
}

// decodeItems reads what follows the kind of a node.
func decodeItems(d *cbor.Decoder, tag uint64, depth int) (Tree, error) {
	switch tag {
	case tagEmpty:
		return Empty{}, nil
	case tagFork:
		left, err := decodeNode(d, depth+1)
		if err != nil {
			return nil, err
		}
		right, err := decodeNode(d, depth+1)
		if err != nil {
			return nil, err
		}
		return &Fork{Left: left, Right: right}, nil
	case tagLabeled:
		label, err := d.Bytes()
		if err != nil {
			return nil, err
		}
		sub, err := decodeNode(d, depth+1)
		if err != nil {
			return nil, err
		}
		return &Labeled{Label: label, Sub: sub}, nil
	case tagLeaf:
		v, err := d.Bytes()
		return Leaf(v), err
	default:
		at := d.Offset()
		b, err := d.Bytes()
		if err != nil {
			return nil, err
		}
		if len(b) != len(Hash{}) {
			return nil, fmt.Errorf("offset %d: %w: %d bytes", at, errHashLength, len(b))
		}
		return Pruned(b), nil
	}
}

var errHashLength = errors.New("a pruned node must hold a hash of 32 bytes")

// Append appends the CBOR form of t, without the self-describing tag.
func Append(b []byte, t Tree) []byte {
	switch t := t.(type) {
	case Empty:
		return cbor.AppendUint(cbor.AppendArray(b, 1), tagEmpty)
	case *Fork:
		b = cbor.AppendUint(cbor.AppendArray(b, 3), tagFork)
		return Append(Append(b, t.Left), t.Right)
	case *Labeled:
		b = cbor.AppendUint(cbor.AppendArray(b, 3), tagLabeled)
		return Append(cbor.AppendBytes(b, t.Label), t.Sub)
	case Leaf:
		return cbor.AppendBytes(cbor.AppendUint(cbor.AppendArray(b, 2), tagLeaf), t)
	case Pruned:
		return cbor.AppendBytes(cbor.AppendUint(cbor.AppendArray(b, 2), tagPruned), t[:])
	default:
		panic(unknownNode(t))
	}
}
