// Package hashtree implements the Merkle trees that certificates carry: their
// hashes, CBOR form, lookups and witnesses (interface specification,
// "Certification").
//
// A tree reveals some of its nodes and replaces others by their hashes, so a
// lookup has more answers than yes and no: see Status. Lookups and witnesses
// rely on labels being in order, which Decode checks and New guarantees; whoever
// puts a tree together from Fork and Labeled calls Wellformed.
//
// Trees are immutable once hashed and may be shared between goroutines.
package hashtree

import (
	"bytes"
	"errors"
	"strconv"
	"sync/atomic"

	"portico/lightclient/digest"
	"portico/lightclient/reason"
)

// Hash is a SHA-256 digest.
type Hash = [32]byte

// Path is a sequence of labels that leads from the root to a node.
type Path = [][]byte

// A Tree is Empty, *Fork, *Labeled, Leaf or Pruned.
type Tree interface {
	// Hash is the root hash: what "reconstruct" computes in the specification.
	Hash() Hash
	isTree()
}

type (
	// Empty has no labels and no value.
	Empty struct{}
	// Fork joins two forests of labels; all labels on the left come before those on the right.
	Fork struct {
		Left, Right Tree
		hash        cachedHash
	}
	// Labeled is an edge of the tree: a label and what is below it.
	Labeled struct {
		Label []byte
		Sub   Tree
		hash  cachedHash
	}
	// Leaf is a value.
	Leaf []byte
	// Pruned stands for a subtree with this hash that is not shown.
	Pruned Hash
)

func (Empty) isTree()    {}
func (*Fork) isTree()    {}
func (*Labeled) isTree() {}
func (Leaf) isTree()     {}
func (Pruned) isTree()   {}

// Domain separators: the length of the text, then the text.
const (
	sepEmpty   = "\x11ic-hashtree-empty"
	sepFork    = "\x10ic-hashtree-fork"
	sepLabeled = "\x13ic-hashtree-labeled"
	sepLeaf    = "\x10ic-hashtree-leaf"
)

// Hash is SHA-256 of the domain separator alone.
func (Empty) Hash() Hash { return digest.Sum256([]byte(sepEmpty)) }

// Hash covers the hashes of both sides. It is computed once.
func (f *Fork) Hash() Hash {
	if h, ok := f.hash.load(); ok {
		return h
	}
	var b [len(sepFork) + 64]byte
	l, r := f.Left.Hash(), f.Right.Hash()
	n := copy(b[:], sepFork)
	n += copy(b[n:], l[:])
	copy(b[n:], r[:])
	return f.hash.store(digest.Sum256(b[:]))
}

// Hash covers the label and the hash of the subtree. It is computed once.
func (l *Labeled) Hash() Hash {
	if h, ok := l.hash.load(); ok {
		return h
	}
	var buf [len(sepLabeled) + 64 + 32]byte // room for the usual labels without allocating
	sub := l.Sub.Hash()
	b := append(buf[:0], sepLabeled...)
	b = append(b, l.Label...)
	b = append(b, sub[:]...)
	return l.hash.store(digest.Sum256(b))
}

// Hash covers the value.
func (l Leaf) Hash() Hash { return digest.Of([]byte(sepLeaf), l) }

// Hash is the hash that the node carries.
func (p Pruned) Hash() Hash { return Hash(p) }

// A cachedHash is filled at most once. Goroutines that race to fill it compute
// the same value; one of them stores it.
type cachedHash struct {
	state atomic.Uint32
	value Hash
}

const (
	hashMissing = iota
	hashWriting
	hashReady
)

func (c *cachedHash) load() (Hash, bool) {
	if c.state.Load() != hashReady {
		return Hash{}, false
	}
	return c.value, true
}

func (c *cachedHash) store(h Hash) Hash {
	if c.state.CompareAndSwap(hashMissing, hashWriting) {
		c.value = h
		c.state.Store(hashReady)
	}
	return h
}

// New makes a balanced tree of the children, which must be in strictly
// increasing order of their labels; it panics if they are not. No children make
// an Empty tree. The shape depends on the number of children alone.
func New(children []*Labeled) Tree {
	for i := 1; i < len(children); i++ {
		if bytes.Compare(children[i-1].Label, children[i].Label) >= 0 {
			panic("hashtree: child " + strconv.Itoa(i) + " has label " + reason.Hex(children[i].Label) + ", which does not come after " + reason.Hex(children[i-1].Label))
		}
	}
	return balanced(children)
}

func balanced(children []*Labeled) Tree {
	switch n := len(children); n {
	case 0:
		return Empty{}
	case 1:
		return children[0]
	default:
		return &Fork{Left: balanced(children[:n/2]), Right: balanced(children[n/2:])}
	}
}

// Wellformed checks that the labels of every forest of t are strictly
// increasing and not mixed with leaves (specification, "well_formed").
func Wellformed(t Tree) error {
	if _, ok := t.(Leaf); ok {
		return nil
	}
	var last *Labeled
	return wellformedForest(t, &last)
}

// wellformedForest walks a forest from left to right; last is the label seen last.
func wellformedForest(t Tree, last **Labeled) error {
	switch t := t.(type) {
	case Empty, Pruned:
		return nil
	case Leaf:
		return errors.New("hashtree: a leaf of " + strconv.Itoa(len(t)) + " bytes stands beside a fork")
	case *Fork:
		if err := wellformedForest(t.Left, last); err != nil {
			return err
		}
		return wellformedForest(t.Right, last)
	case *Labeled:
		if *last != nil && bytes.Compare((*last).Label, t.Label) >= 0 {
			return errors.New("hashtree: label " + reason.Hex(t.Label) + " follows label " + reason.Hex((*last).Label) + "; labels must increase")
		}
		*last = t
		return Wellformed(t.Sub)
	default:
		panic(unknownNode)
	}
}

const unknownNode = "hashtree: node of unknown type"
