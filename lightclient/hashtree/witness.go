package hashtree

import (
	"bytes"
	"slices"
)

// Witness returns a tree with the hash of t that shows the whole subtree at
// every path, or proves that nothing is there, and prunes the rest. Lookups at
// the paths and below them answer as they do in t.
//
// The absence of a label is proved by its neighbours, whose labels are shown and
// whose subtrees are pruned; the absence of a path below a leaf is proved by
// showing the leaf. The result shares nodes with t.
func Witness(t Tree, paths []Path) Tree {
	sorted := slices.SortedFunc(slices.Values(paths), func(p, q Path) int { return slices.CompareFunc(p, q, bytes.Compare) })
	return witness(t, sorted)
}

// witness takes sorted paths that begin at t.
func witness(t Tree, paths []Path) Tree {
	switch {
	case len(paths) == 0:
		return prune(t)
	case len(paths[0]) == 0: // the empty path sorts first and asks for everything
		return t
	default:
		return witnessForest(t, share{paths: paths})
	}
}

// A share is what a forest has to show: the subtrees at sorted paths of at least
// one label, and the label at either end, which proves that one beyond it is absent.
type share struct {
	paths       []Path
	first, last bool
}

func witnessForest(t Tree, s share) Tree {
	if len(s.paths) == 0 && !s.first && !s.last {
		return prune(t)
	}
	switch t := t.(type) {
	case Empty, Pruned, Leaf:
		return t
	case *Labeled:
		var below []Path
		for _, p := range s.paths {
			if bytes.Equal(p[0], t.Label) {
				below = append(below, p[1:])
			}
		}
		n := &Labeled{Label: t.Label, Sub: witness(t.Sub, below)}
		n.hash.store(t.Hash())
		return n
	case *Fork:
		l, r := split(t, s)
		n := &Fork{Left: witnessForest(t.Left, l), Right: witnessForest(t.Right, r)}
		n.hash.store(t.Hash())
		return n
	default:
		panic(unknownNode)
	}
}

// split divides a share between the sides of a fork. Where pruned parts hide the
// border, both sides get all paths: the neighbours of a label are then shown on both.
func split(f *Fork, s share) (l, r share) {
	left, leftKind := lastLabel(f.Left)
	right, rightKind := firstLabel(f.Right)
	switch {
	case rightKind == edgeNone:
		return s, share{}
	case leftKind == edgeNone:
		return share{}, s
	}
	l, r = share{paths: s.paths, first: s.first}, share{paths: s.paths, last: s.last}
	if leftKind == edgeLabel && rightKind == edgeLabel {
		afterLeft, atRight := from(s.paths, left, true), from(s.paths, right, false)
		l.paths, r.paths = s.paths[:afterLeft], s.paths[atRight:]
		// paths between the two belong to labels in the gap between the sides
		l.last, r.first = afterLeft < atRight, afterLeft < atRight
	}
	return l, r
}

// from is the index of the first path that begins with label or a later one, or
// only with a later one.
func from(paths []Path, label []byte, after bool) int {
	i, _ := slices.BinarySearchFunc(paths, label, func(p Path, label []byte) int {
		if c := bytes.Compare(p[0], label); c != 0 || !after {
			return c
		}
		return -1
	})
	return i
}

// prune replaces a node by its hash. A forest without nodes shows nothing and
// stays: a hash in its place would hide the end of the forest that it is in.
func prune(t Tree) Tree {
	switch t.(type) {
	case Empty, *Fork:
		if _, kind := firstLabel(t); kind == edgeNone {
			return t
		}
	}
	return Pruned(t.Hash())
}
