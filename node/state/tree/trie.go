// Package tree is the certified view of the state: the hash tree whose root the
// subnet signs at every height (interface specification, "The system state tree"
// and "Certification").
//
// It is persistent: the tree of the next height shares what did not change with
// the one before, so that hashing costs what changed, and a reader of an earlier
// height is never disturbed.
package tree

import (
	"crypto/sha256"
	"sync/atomic"

	"portico/lightclient/hashtree"
)

// A Trie maps labels to nodes, in the order of the labels. It is a binary trie
// over the labels' bits without one-way branches, so its shape depends only on
// which labels there are, never on the order in which they came. The nil Trie is empty.
type Trie struct {
	// bit is the position at which left and right differ; leaves have none.
	bit         int
	left, right *Trie
	label       string // of a leaf; the least label of a fork
	node        *Node  // of a leaf
	digest      atomic.Pointer[hashtree.Hash]
}

// Node is what a label leads to: a value, or a subtree of labels.
type Node struct {
	Value []byte
	Sub   *Trie
	// IsSub tells an empty subtree from an empty value.
	IsSub bool
	// Of is what the node was made of, for readers of the same height. It is not hashed.
	Of any
}

// Leaf is a value.
func Leaf(value []byte) *Node { return &Node{Value: value} }

// Sub is a subtree.
func Sub(t *Trie) *Node { return &Node{Sub: t, IsSub: true} }

// bitAt is bit i of a label. Every byte has nine: one that says that it is there,
// so that a label sorts before its extensions, then its eight.
func bitAt(label string, i int) int {
	at, within := i/9, i%9
	if at >= len(label) {
		return 0
	}
	if within == 0 {
		return 1
	}
	return int(label[at]>>(8-within)) & 1
}

// firstDifference is the first bit at which two different labels differ.
func firstDifference(a, b string) int {
	n := 0
	for n < len(a) && n < len(b) && a[n] == b[n] {
		n++
	}
	if n == len(a) || n == len(b) {
		return 9 * n
	}
	x, bit := a[n]^b[n], 1
	for x&0x80 == 0 {
		x <<= 1
		bit++
	}
	return 9*n + bit
}

// Get finds a label; it is nil if there is none.
func (t *Trie) Get(label string) *Node {
	for t != nil && t.node == nil {
		if bitAt(label, t.bit) == 0 {
			t = t.left
		} else {
			t = t.right
		}
	}
	if t == nil || t.label != label {
		return nil
	}
	return t.node
}

// With is the trie with a label set to a node.
func (t *Trie) With(label string, node *Node) *Trie {
	leaf := &Trie{label: label, node: node}
	if t == nil {
		return leaf
	}
	near := t
	for near.node == nil {
		if bitAt(label, near.bit) == 0 {
			near = near.left
		} else {
			near = near.right
		}
	}
	if near.label == label {
		return t.replace(label, leaf)
	}
	return t.insert(leaf, firstDifference(label, near.label))
}

func (t *Trie) replace(label string, leaf *Trie) *Trie {
	if t.node != nil {
		return leaf
	}
	if bitAt(label, t.bit) == 0 {
		return fork(t.bit, t.left.replace(label, leaf), t.right)
	}
	return fork(t.bit, t.left, t.right.replace(label, leaf))
}

func (t *Trie) insert(leaf *Trie, at int) *Trie {
	if t.node != nil || t.bit > at {
		if bitAt(leaf.label, at) == 0 {
			return fork(at, leaf, t)
		}
		return fork(at, t, leaf)
	}
	if bitAt(leaf.label, t.bit) == 0 {
		return fork(t.bit, t.left.insert(leaf, at), t.right)
	}
	return fork(t.bit, t.left, t.right.insert(leaf, at))
}

func fork(bit int, left, right *Trie) *Trie {
	return &Trie{bit: bit, left: left, right: right, label: left.label}
}

// Without is the trie without a label.
func (t *Trie) Without(label string) *Trie {
	switch {
	case t == nil:
		return nil
	case t.node != nil:
		if t.label == label {
			return nil
		}
		return t
	case bitAt(label, t.bit) == 0:
		left := t.left.Without(label)
		if left == t.left {
			return t
		}
		if left == nil {
			return t.right
		}
		return fork(t.bit, left, t.right)
	default:
		right := t.right.Without(label)
		if right == t.right {
			return t
		}
		if right == nil {
			return t.left
		}
		return fork(t.bit, t.left, right)
	}
}

// All calls yield for every label in order, until it returns false.
func (t *Trie) All(yield func(label string, n *Node) bool) bool {
	switch {
	case t == nil:
		return true
	case t.node != nil:
		return yield(t.label, t.node)
	default:
		return t.left.All(yield) && t.right.All(yield)
	}
}

// Domain separators of hash trees, each behind its length.
const (
	sepEmpty   = "\x11ic-hashtree-empty"
	sepFork    = "\x10ic-hashtree-fork"
	sepLabeled = "\x13ic-hashtree-labeled"
	sepLeaf    = "\x10ic-hashtree-leaf"
)

// Hash is the root hash of the labels, as a hash tree has it.
func (t *Trie) Hash() hashtree.Hash {
	if t == nil {
		return sha256.Sum256([]byte(sepEmpty))
	}
	if h := t.digest.Load(); h != nil {
		return *h
	}
	var h hashtree.Hash
	if t.node != nil {
		sub := t.node.hash()
		h = sha256.Sum256(append(append([]byte(sepLabeled), t.label...), sub[:]...))
	} else {
		left, right := t.left.Hash(), t.right.Hash()
		b := make([]byte, 0, len(sepFork)+2*len(left))
		b = append(append(append(b, sepFork...), left[:]...), right[:]...)
		h = sha256.Sum256(b)
	}
	t.digest.Store(&h)
	return h
}

func (n *Node) hash() hashtree.Hash {
	if n.IsSub {
		return n.Sub.Hash()
	}
	h := sha256.New()
	h.Write([]byte(sepLeaf))
	h.Write(n.Value)
	return hashtree.Hash(h.Sum(nil))
}
