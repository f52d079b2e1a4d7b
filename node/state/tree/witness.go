package tree

import (
	"portico/lightclient/hashtree"
)

// want says which parts of a subtree a witness shows: all of it, or those under
// certain labels.
type want struct {
	all    bool
	labels map[string]*want
	// order of the labels, for a witness that is the same every time
	names []string
}

func (w *want) child(label string) *want {
	if w.labels == nil {
		w.labels = map[string]*want{}
	}
	c := w.labels[label]
	if c == nil {
		c = &want{}
		w.labels[label] = c
		w.names = append(w.names, label)
	}
	return c
}

// Witness shows the parts of the tree at the given paths, whole, or that they are
// absent, and leaves the hashes of the rest. Its root hash is that of the tree.
func (t *Trie) Witness(paths []hashtree.Path) hashtree.Tree {
	root := &want{}
	for _, path := range paths {
		w := root
		for _, label := range path {
			w = w.child(string(label))
		}
		w.all = true
	}
	return t.show(root)
}

// show makes the hash tree of a trie of which w is wanted.
func (t *Trie) show(w *want) hashtree.Tree {
	if w.all {
		return t.whole()
	}
	if t == nil {
		return hashtree.Empty{}
	}
	v := &view{leaves: map[*Trie]*want{}, forks: map[*Trie]bool{}}
	for _, label := range w.names {
		t.reveal(label, w.labels[label], v)
	}
	return t.prune(v)
}

// view is what a witness shows of a trie: leaves with what is wanted of them, and the
// forks above them.
type view struct {
	leaves map[*Trie]*want
	forks  map[*Trie]bool
}

// reveal marks the leaf that has the label, or, where there is none, the two
// neighbours whose labels prove it.
func (t *Trie) reveal(label string, w *want, v *view) {
	before, at, after := t.around(label)
	if at != nil {
		v.leaves[at] = w
		t.descend(label, v)
		return
	}
	for _, n := range []*Trie{before, after} {
		if n == nil {
			continue
		}
		if v.leaves[n] == nil {
			v.leaves[n] = &want{}
		}
		t.descend(n.label, v)
	}
}

// descend marks the forks above the leaf with a label.
func (t *Trie) descend(label string, v *view) {
	for t.node == nil {
		v.forks[t] = true
		if bitAt(label, t.bit) == 0 {
			t = t.left
		} else {
			t = t.right
		}
	}
}

// around finds the leaf with a label, or the leaves before and after its place.
func (t *Trie) around(label string) (before, at, after *Trie) {
	for t != nil {
		if t.node != nil {
			switch {
			case t.label == label:
				return before, t, after
			case t.label < label:
				return t, nil, after
			default:
				return before, nil, t
			}
		}
		// the right half holds the labels from its least one on
		if label < t.right.label {
			after = t.right.least()
			t = t.left
		} else {
			before = t.left.greatest()
			t = t.right
		}
	}
	return before, nil, after
}

func (t *Trie) least() *Trie {
	for t.node == nil {
		t = t.left
	}
	return t
}

func (t *Trie) greatest() *Trie {
	for t.node == nil {
		t = t.right
	}
	return t
}

func (t *Trie) prune(v *view) hashtree.Tree {
	switch {
	case t.node != nil:
		if w := v.leaves[t]; w != nil {
			return &hashtree.Labeled{Label: []byte(t.label), Sub: t.node.show(w)}
		}
		return hashtree.Pruned(t.Hash())
	case !v.forks[t]:
		return hashtree.Pruned(t.Hash())
	default:
		return &hashtree.Fork{Left: t.left.prune(v), Right: t.right.prune(v)}
	}
}

func (n *Node) show(w *want) hashtree.Tree {
	switch {
	case n.IsSub && (w.all || len(w.names) > 0):
		return n.Sub.show(w)
	case !n.IsSub && (w.all || len(w.names) > 0):
		return hashtree.Leaf(n.Value)
	default:
		return hashtree.Pruned(n.hash())
	}
}

func (t *Trie) whole() hashtree.Tree {
	switch {
	case t == nil:
		return hashtree.Empty{}
	case t.node != nil:
		if t.node.IsSub {
			return &hashtree.Labeled{Label: []byte(t.label), Sub: t.node.Sub.whole()}
		}
		return &hashtree.Labeled{Label: []byte(t.label), Sub: hashtree.Leaf(t.node.Value)}
	default:
		return &hashtree.Fork{Left: t.left.whole(), Right: t.right.whole()}
	}
}
