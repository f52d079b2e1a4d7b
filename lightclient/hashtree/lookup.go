package hashtree

import "bytes"

// Status says what a tree proves about a path.
type Status uint8

const (
	// Unknown means that the tree does not show enough: the path may or may not exist.
	Unknown Status = iota
	// Absent means that the tree proves that nothing is at the path.
	Absent
	// Found means that the node is there.
	Found
	// NotLeaf means that the path exists and has labels below it, not a value.
	// The specification calls this "Error".
	NotLeaf
)

// String is the status as a word of the specification.
func (s Status) String() string {
	return [...]string{"Unknown", "Absent", "Found", "Error"}[s]
}

// Lookup returns the value at a path. The value aliases the tree and is nil
// unless the status is Found.
func Lookup(t Tree, path ...[]byte) (value []byte, s Status) {
	sub, s := Find(t, path...)
	if s != Found {
		return nil, s
	}
	switch sub := sub.(type) {
	case Empty:
		return nil, Absent
	case Leaf:
		return sub, Found
	case Pruned:
		return nil, Unknown
	case *Fork, *Labeled:
		return nil, NotLeaf
	default:
		panic(unknownNode)
	}
}

// Find returns the node at a path, of whatever type: what stands there may
// itself be Empty or Pruned. The empty path leads to t. The status is never
// NotLeaf; the node is nil unless it is Found.
func Find(t Tree, path ...[]byte) (sub Tree, s Status) {
	for _, label := range path {
		var p place
		if t, p = findLabel(t, label); p != placeFound {
			return nil, p.status()
		}
	}
	return t, Found
}

// Children returns the labeled nodes directly below t that it shows, in order of
// their labels. Others may be hidden in pruned parts.
func Children(t Tree) []*Labeled {
	var out []*Labeled
	var walk func(Tree)
	walk = func(t Tree) {
		switch t := t.(type) {
		case *Labeled:
			out = append(out, t)
		case *Fork:
			walk(t.Left)
			walk(t.Right)
		}
	}
	walk(t)
	return out
}

// A place says where a label is in a forest. It keeps apart the ways of being
// absent, because only a gap between two shown labels stays a gap when a pruned
// forest follows.
type place uint8

const (
	placeUnknown place = iota
	placeFound
	placeGap  // before the first label, or between two neighbours
	placeLast // after the last label, or in a forest without nodes
)

func (p place) status() Status {
	switch p {
	case placeFound:
		return Found
	case placeGap, placeLast:
		return Absent
	default:
		return Unknown
	}
}

// findLabel is the specification's find_label. It visits one side of every fork
// whose right side begins with a label, so that it takes logarithmic time in a
// balanced tree.
func findLabel(t Tree, label []byte) (Tree, place) {
	for {
		switch n := t.(type) {
		case Empty, Leaf:
			return nil, placeLast
		case Pruned:
			return nil, placeUnknown
		case *Labeled:
			switch bytes.Compare(label, n.Label) {
			case 0:
				return n.Sub, placeFound
			case -1:
				return nil, placeGap
			default:
				return nil, placeLast
			}
		case *Fork:
			switch first, kind := firstLabel(n.Right); {
			case kind == edgeNone:
				t = n.Left
			case kind == edgePruned:
				return findAcross(n, label)
			case bytes.Compare(label, first) >= 0:
				t = n.Right
			default:
				sub, p := findLabel(n.Left, label)
				if p == placeLast {
					p = placeGap // first follows directly
				}
				return sub, p
			}
		default:
			panic(unknownNode)
		}
	}
}

// findAcross searches a fork whose right side begins with something pruned.
func findAcross(f *Fork, label []byte) (Tree, place) {
	if sub, p := findLabel(f.Right, label); p != placeUnknown {
		return sub, p
	}
	sub, p := findLabel(f.Left, label)
	if p == placeLast {
		p = placeUnknown // it may be in what is pruned
	}
	return sub, p
}

// An edge says what stands at one end of a forest.
type edge uint8

const (
	edgeNone edge = iota
	edgeLabel
	edgePruned
)

func firstLabel(t Tree) ([]byte, edge) {
	return endLabel(t, func(f *Fork) (Tree, Tree) { return f.Left, f.Right })
}

func lastLabel(t Tree) ([]byte, edge) {
	return endLabel(t, func(f *Fork) (Tree, Tree) { return f.Right, f.Left })
}

// endLabel returns the label at an end of a forest; order gives the sides of a
// fork, the one nearer to that end first.
func endLabel(t Tree, order func(*Fork) (near, far Tree)) ([]byte, edge) {
	for {
		switch n := t.(type) {
		case *Labeled:
			return n.Label, edgeLabel
		case Pruned:
			return nil, edgePruned
		case *Fork:
			near, far := order(n)
			if label, kind := endLabel(near, order); kind != edgeNone {
				return label, kind
			}
			t = far
		default:
			return nil, edgeNone
		}
	}
}
