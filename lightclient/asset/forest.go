package asset

import "portico/lightclient/hashtree"

// A forest is a set of labels in order, each with what is below it: an immutable
// weight-balanced tree with the labels at its leaves, nil if it is empty. Changing
// one label makes new nodes on the way to it alone, and as every node keeps its
// hash tree, whose hash is computed once, so does hashing again.
//
// The shape depends on the order of the changes; equal histories give equal hashes.
type forest struct {
	left, right *forest // nil for a label
	size        int     // number of labels
	first       string  // the first label
	below       *forest // below the label; nil if there is a leaf
	tree        hashtree.Tree
}

// balance is how many times as many labels one side may have as the other; a
// rotation is single if the inner grandchild has less than rotation times the
// labels of the outer one (Hirai and Yamamoto, "Balancing weight-balanced trees").
const (
	balance  = 3
	rotation = 2
)

// label makes a forest of one label with a forest or, if that is nil, a value below it.
func label(name string, below *forest, value hashtree.Leaf) *forest {
	var sub hashtree.Tree = value
	if below != nil {
		sub = below.tree
	}
	return &forest{size: 1, first: name, below: below, tree: &hashtree.Labeled{Label: []byte(name), Sub: sub}}
}

func fork(l, r *forest) *forest {
	return &forest{left: l, right: r, size: l.size + r.size, first: l.first, tree: &hashtree.Fork{Left: l.tree, Right: r.tree}}
}

// merge forks two forests whose sizes were in balance before one label came or went.
func merge(l, r *forest) *forest {
	switch {
	case l == nil:
		return r
	case r == nil:
		return l
	case l.size+r.size <= 2:
		return fork(l, r)
	case r.size > balance*l.size:
		if r.left.size < rotation*r.right.size {
			return fork(fork(l, r.left), r.right)
		}
		return fork(fork(l, r.left.left), fork(r.left.right, r.right))
	case l.size > balance*r.size:
		if l.right.size < rotation*l.left.size {
			return fork(l.left, fork(l.right, r))
		}
		return fork(fork(l.left, l.right.left), fork(l.right.right, r))
	default:
		return fork(l, r)
	}
}

// get returns the node of a label, or nil.
func (f *forest) get(name string) *forest {
	for f != nil && f.left != nil {
		if name < f.right.first {
			f = f.left
		} else {
			f = f.right
		}
	}
	if f == nil || f.first != name {
		return nil
	}
	return f
}

// with adds a node of one label, or puts it in the place of the one with this label.
func (f *forest) with(n *forest) *forest {
	switch {
	case f == nil:
		return n
	case f.left != nil && n.first < f.right.first:
		return merge(f.left.with(n), f.right)
	case f.left != nil:
		return merge(f.left, f.right.with(n))
	case n.first < f.first:
		return fork(n, f)
	case n.first > f.first:
		return fork(f, n)
	default:
		return n
	}
}

// without removes a label that is there.
func (f *forest) without(name string) *forest {
	switch {
	case f.left == nil:
		return nil
	case name < f.right.first:
		return merge(f.left.without(name), f.right)
	default:
		return merge(f.left, f.right.without(name))
	}
}

// insert puts a value at a path of at least one label, in place of whatever is there.
func (f *forest) insert(path []string, value hashtree.Leaf) *forest {
	if len(path) == 1 {
		return f.with(label(path[0], nil, value))
	}
	var below *forest
	if n := f.get(path[0]); n != nil {
		below = n.below
	}
	return f.with(label(path[0], below.insert(path[1:], value), nil))
}

// remove takes what is at a path away, and labels that have nothing below them then.
func (f *forest) remove(path []string) *forest {
	n := f.get(path[0])
	if n == nil {
		return f
	}
	if len(path) > 1 {
		below := n.below.remove(path[1:])
		if below == n.below {
			return f
		}
		if below != nil {
			return f.with(label(path[0], below, nil))
		}
	}
	return f.without(path[0])
}
