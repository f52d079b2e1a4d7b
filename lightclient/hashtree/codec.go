package hashtree

import (
	"errors"
	"strconv"

	"portico/lightclient/cbor"
	"portico/lightclient/reason"
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
		return nil, reason.Wrap("hashtree", err)
	}
	return t, nil
}

// DecodeFrom is Decode for a tree that is the next item of d.
func DecodeFrom(d *cbor.Decoder) (Tree, error) {
	t, err := decodeNode(d, 0)
	if err != nil {
		return nil, reason.Wrap("hashtree", err)
	}
	if err := Wellformed(t); err != nil {
		return nil, err
	}
	return t, nil
}

func decodeNode(d *cbor.Decoder, depth int) (Tree, error) {
	at := d.Offset()
	if depth == MaxDepth {
		return nil, malformed(at, "nesting is deeper than "+strconv.Itoa(MaxDepth))
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
		return nil, malformed(at, "node of unknown kind "+strconv.FormatUint(tag, 10))
	}
	if n != lengths[tag] && n != cbor.Indefinite {
		return nil, malformed(at, "node of kind "+strconv.Itoa(int(tag))+" has "+strconv.Itoa(n)+" items instead of "+strconv.Itoa(lengths[tag]))
	}
	t, err := decodeItems(d, tag, depth)
	if err != nil {
		return nil, err
	}
	if n == cbor.Indefinite && !d.Break() {
		return nil, malformed(at, "node of kind "+strconv.Itoa(int(tag))+" has more than "+strconv.Itoa(lengths[tag])+" items")
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
			return nil, malformed(at, "a pruned node must hold a hash of 32 bytes, not "+strconv.Itoa(len(b)))
		}
		return Pruned(b), nil
	}
}

func malformed(offset int, what string) error {
	return errors.New("offset " + strconv.Itoa(offset) + ": " + what)
}

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
		panic(unknownNode)
	}
}
