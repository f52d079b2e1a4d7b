package hashtree

import (
	"bytes"
	"encoding/hex"
	"strings"
	"sync"
	"testing"

	"pgregory.net/rapid"
)

func unhex(t testing.TB, s string) []byte {
	t.Helper()
	b, err := hex.DecodeString(s)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func path(labels ...string) Path {
	p := Path{}
	for _, l := range labels {
		p = append(p, []byte(l))
	}
	return p
}

// specTree is the example of the specification, "Certification", "Example".
func specTree() Tree {
	return &Fork{
		Left: &Fork{
			Left: &Labeled{Label: []byte("a"), Sub: &Fork{
				Left:  &Fork{Left: &Labeled{Label: []byte("x"), Sub: Leaf("hello")}, Right: Empty{}},
				Right: &Labeled{Label: []byte("y"), Sub: Leaf("world")},
			}},
			Right: &Labeled{Label: []byte("b"), Sub: Leaf("good")},
		},
		Right: &Fork{
			Left:  &Labeled{Label: []byte("c"), Sub: Empty{}},
			Right: &Labeled{Label: []byte("d"), Sub: Leaf("morning")},
		},
	}
}

const (
	specRoot   = "eb5c5b2195e62d996b84c9bcc8259d19a83786a2f59e0878cec84c811f669aa0"
	specCBOR   = "8301830183024161830183018302417882034568656c6c6f810083024179820345776f726c6483024162820344676f6f648301830241638100830241648203476d6f726e696e67"
	specPruned = "83018301830241618301820458201b4feff9bef8131788b0c9dc6dbad6e81e524249c879e9f10f71ce3749f5a63883024179820345776f726c6483024162820458207b32ac0c6ba8ce35ac82c255fc7906f7fc130dab2a090f80fe12f9c2cae83ba6830182045820ec8324b8a1f1ac16bd2e806edba78006479c9877fed4eb464a25485465af601d830241648203476d6f726e696e67"
)

func TestSpecificationExampleHashesAndEncodes(t *testing.T) {
	tree := specTree()
	root := tree.Hash()
	if got := hex.EncodeToString(root[:]); got != specRoot {
		t.Errorf("root hash is %s, want %s", got, specRoot)
	}
	if got := hex.EncodeToString(Append(nil, tree)); got != specCBOR {
		t.Errorf("encoding is\n%s, want\n%s", got, specCBOR)
	}
	decoded, err := Decode(unhex(t, specCBOR))
	if err != nil {
		t.Fatal(err)
	}
	if decoded.Hash() != root {
		t.Errorf("decoded tree hashes to %x", decoded.Hash())
	}
}

func TestSpecificationExampleIsPrunedAsPrinted(t *testing.T) {
	w := Witness(specTree(), []Path{path("a", "y"), path("ax"), path("d")})
	if got := hex.EncodeToString(Append(nil, w)); got != specPruned {
		t.Errorf("witness is\n%s, want\n%s", got, specPruned)
	}
}

func TestSpecificationExampleLookups(t *testing.T) {
	tree, err := Decode(unhex(t, specPruned))
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		path  Path
		value string
		want  Status
	}{
		{path("a", "a"), "", Unknown},
		{path("a", "y"), "world", Found},
		{path("aa"), "", Absent},
		{path("ax"), "", Absent},
		{path("b"), "", Unknown},
		{path("bb"), "", Unknown},
		{path("d"), "morning", Found},
		{path("e"), "", Absent},
		{path("a"), "", NotLeaf},
		{path("d", "below"), "", Absent},
		{path(""), "", Absent},
	} {
		value, s := Lookup(tree, c.path...)
		if s != c.want || string(value) != c.value {
			t.Errorf("lookup of %q: %s %q, want %s %q", c.path, s, value, c.want, c.value)
		}
	}
	if _, s := Lookup(specTree(), []byte("c")); s != Absent {
		t.Errorf("a label with nothing below is %s, want Absent", s)
	}
}

func TestEmptyLabelsAndLeavesAreLegal(t *testing.T) {
	tree := New([]*Labeled{{Label: nil, Sub: Leaf(nil)}, {Label: []byte("a"), Sub: Leaf("x")}})
	got, err := Decode(Append(nil, tree))
	if err != nil {
		t.Fatal(err)
	}
	if v, s := Lookup(got, nil); s != Found || len(v) != 0 {
		t.Errorf("empty label: %s %q", s, v)
	}
}

func TestDecodeRefuses(t *testing.T) {
	for name, c := range map[string]struct{ in, want string }{
		"nothing":              {"", "offset 0"},
		"a number":             {"00", "expected an array"},
		"an unknown kind":      {"8105", "unknown kind 5"},
		"a fork of one":        {"82018100", "2 items instead of 3"},
		"an empty with items":  {"820000", "2 items instead of 1"},
		"a long fork":          {"9f0181008100810 0ff", "more than 3 items"},
		"a short hash":         {"8204581f" + strings.Repeat("00", 31), "32 bytes"},
		"a text label":         {"8302616182034178", "expected a byte string"},
		"bytes after the tree": {"810000", "bytes follow"},
		"a leaf cut off":       {"8203455555", "ends inside"},
		"labels out of order":  {"83018302416281008302416181 00", "labels must increase"},
		"a label twice":        {"830183024161810083024161 8100", "labels must increase"},
		"order across forks":   {"8301830183024161810083024162810083024162 8100", "labels must increase"},
		"a leaf in a fork":     {"83018203417883024161 8100", "beside a fork"},
		"disorder deep inside": {"830241618301830241628100830241618100", "labels must increase"},
		"too deep a nesting":   {strings.Repeat("830240", MaxDepth+1) + "8100", "deeper than"},
		"a fork without end":   {strings.Repeat("8301", 10), "ends inside"},
	} {
		_, err := Decode(unhex(t, strings.ReplaceAll(c.in, " ", "")))
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: error %v, want one with %q", name, err, c.want)
		}
	}
}

func TestDecodeReadsIndefiniteArraysAndTheTag(t *testing.T) {
	for _, in := range []string{"d9d9f7" + specCBOR, "9f01" + specCBOR + "8100ff"} {
		tree, err := Decode(unhex(t, in))
		if err != nil {
			t.Errorf("%s: %v", in, err)
			continue
		}
		if v, s := Lookup(tree, path("a", "y")...); s != Found || string(v) != "world" {
			t.Errorf("%s: lookup is %s %q", in, s, v)
		}
	}
}

func TestGoroutinesMayShareATree(t *testing.T) { // for the race detector
	tree := specTree()
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			if h := tree.Hash(); hex.EncodeToString(h[:]) != specRoot {
				t.Errorf("root hash is %x", h)
			}
			Witness(tree, []Path{path("a", "y")})
		})
	}
	wg.Wait()
}

func TestNewPanicsOnDisorder(t *testing.T) {
	defer func() {
		if recover() == nil {
			t.Error("no panic")
		}
	}()
	New([]*Labeled{{Label: []byte("b"), Sub: Empty{}}, {Label: []byte("a"), Sub: Empty{}}})
}

func TestChildrenAreShownInOrder(t *testing.T) {
	var labels []string
	for _, c := range Children(specTree()) {
		labels = append(labels, string(c.Label))
	}
	if got := strings.Join(labels, ""); got != "abcd" {
		t.Errorf("children are %s", got)
	}
	if c := Children(Leaf("x")); c != nil {
		t.Errorf("a leaf has children %v", c)
	}
}

// --- properties ---

var labelGen = rapid.SliceOfN(rapid.ByteRange('a', 'd'), 0, 2)

// genTree draws a well-formed tree. With raw it may contain pruned and empty
// nodes anywhere and forks of any shape.
func genTree(t *rapid.T, depth int, raw bool) Tree {
	if depth == 0 || rapid.IntRange(0, 4).Draw(t, "leaf") == 0 {
		return Leaf(rapid.SliceOfN(rapid.Byte(), 0, 3).Draw(t, "value"))
	}
	labels := rapid.SliceOfNDistinct(labelGen, 0, 6, func(b []byte) string { return string(b) }).Draw(t, "labels")
	sortLabels(labels)
	children := make([]*Labeled, len(labels))
	for i, l := range labels {
		children[i] = &Labeled{Label: l, Sub: genTree(t, depth-1, raw)}
	}
	if !raw {
		return New(children)
	}
	nodes := make([]Tree, 0, 2*len(children)+1)
	for _, c := range children {
		nodes = append(nodes, c)
		switch rapid.IntRange(0, 7).Draw(t, "between") {
		case 0:
			nodes = append(nodes, Pruned{1})
		case 1:
			nodes = append(nodes, Empty{}, &Fork{Left: Empty{}, Right: Empty{}})
		case 2:
			nodes[len(nodes)-1] = Pruned(c.Hash())
		}
	}
	return genForest(t, nodes)
}

func genForest(t *rapid.T, nodes []Tree) Tree {
	switch len(nodes) {
	case 0:
		return Empty{}
	case 1:
		return nodes[0]
	}
	i := rapid.IntRange(0, len(nodes)).Draw(t, "split")
	if i == 0 || i == len(nodes) {
		i = 1
	}
	return &Fork{Left: genForest(t, nodes[:i]), Right: genForest(t, nodes[i:])}
}

func sortLabels(labels [][]byte) {
	for i := range labels {
		for j := i; j > 0 && bytes.Compare(labels[j-1], labels[j]) > 0; j-- {
			labels[j-1], labels[j] = labels[j], labels[j-1]
		}
	}
}

var pathGen = rapid.SliceOfN(labelGen, 0, 3)

// specLookup is the specification's lookup_path, word for word.
func specLookup(p Path, t Tree) ([]byte, Status) {
	if len(p) == 0 {
		switch t := t.(type) {
		case Empty:
			return nil, Absent
		case Leaf:
			return t, Found
		case Pruned:
			return nil, Unknown
		default:
			return nil, NotLeaf
		}
	}
	sub, s := specFindLabel(p[0], flatten(t))
	if s != Found {
		return nil, s
	}
	return specLookup(p[1:], sub)
}

func flatten(t Tree) []Tree {
	switch t := t.(type) {
	case Empty:
		return nil
	case *Fork:
		return append(flatten(t.Left), flatten(t.Right)...)
	default:
		return []Tree{t}
	}
}

func specFindLabel(l []byte, ts []Tree) (Tree, Status) {
	labelOf := func(i int) []byte {
		if i < 0 || i >= len(ts) {
			return nil
		}
		if n, ok := ts[i].(*Labeled); ok {
			return append([]byte{}, n.Label...)
		}
		return nil
	}
	for _, t := range ts {
		if n, ok := t.(*Labeled); ok && bytes.Equal(n.Label, l) {
			return n.Sub, Found
		}
	}
	for i := range ts {
		a, b := labelOf(i), labelOf(i+1)
		if a != nil && b != nil && bytes.Compare(a, l) < 0 && bytes.Compare(l, b) < 0 {
			return nil, Absent
		}
	}
	if first := labelOf(0); first != nil && bytes.Compare(l, first) < 0 {
		return nil, Absent
	}
	if last := labelOf(len(ts) - 1); last != nil && bytes.Compare(last, l) < 0 {
		return nil, Absent
	}
	if len(ts) == 0 {
		return nil, Absent
	}
	if _, ok := ts[0].(Leaf); ok && len(ts) == 1 {
		return nil, Absent
	}
	return nil, Unknown
}

func TestLookupFollowsTheSpecificationOnAnyTree(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		tree := genTree(t, 3, true)
		if err := Wellformed(tree); err != nil {
			t.Fatalf("generator: %v", err)
		}
		p := pathGen.Draw(t, "path")
		v, s := Lookup(tree, p...)
		wantV, wantS := specLookup(p, tree)
		if s != wantS || !bytes.Equal(v, wantV) {
			t.Fatalf("lookup of %q: %s %q, want %s %q", p, s, v, wantS, wantV)
		}
	})
}

func TestDecodeInvertsAppend(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		tree := genTree(t, 3, true)
		b := Append(nil, tree)
		got, err := Decode(b)
		if err != nil {
			t.Fatal(err)
		}
		if got.Hash() != tree.Hash() || !bytes.Equal(Append(nil, got), b) {
			t.Fatal("the tree changed")
		}
	})
}

func TestWitnessKeepsTheRootAndTheAnswers(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		tree := genTree(t, 3, rapid.Bool().Draw(t, "raw"))
		paths := rapid.SliceOfN(pathGen, 0, 4).Draw(t, "paths")
		w := Witness(tree, paths)
		if w.Hash() != tree.Hash() {
			t.Fatalf("witness hashes to %x, the tree to %x", w.Hash(), tree.Hash())
		}
		again, err := Decode(Append(nil, w)) // recomputes every hash
		if err != nil {
			t.Fatal(err)
		}
		if again.Hash() != tree.Hash() {
			t.Fatal("the hash that the witness remembers is not its hash")
		}
		for _, p := range paths {
			below := append(append(Path{}, p...), pathGen.Draw(t, "below")...)
			for _, p := range []Path{p, below} {
				v, s := Lookup(tree, p...)
				gotV, gotS := Lookup(w, p...)
				if s != gotS || !bytes.Equal(v, gotV) {
					t.Fatalf("lookup of %q: %s %q in the witness, %s %q in the tree", p, gotS, gotV, s, v)
				}
			}
		}
		elsewhere := pathGen.Draw(t, "elsewhere")
		if _, s := Lookup(w, elsewhere...); s != Unknown {
			if _, want := Lookup(tree, elsewhere...); s != want {
				t.Fatalf("lookup of %q is %s in the witness and %s in the tree", elsewhere, s, want)
			}
		}
	})
}

func TestWitnessShowsNoValueThatWasNotAskedFor(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		tree := genTree(t, 3, false)
		paths := rapid.SliceOfN(pathGen, 0, 4).Draw(t, "paths")
		w := Witness(tree, paths)
		elsewhere := pathGen.Draw(t, "elsewhere")
		if _, s := Lookup(w, elsewhere...); s != Found {
			return
		}
		for _, p := range paths { // asked for, or the leaf that ends a longer path
			n := min(len(p), len(elsewhere))
			if equalPaths(p[:n], elsewhere[:n]) {
				return
			}
		}
		t.Fatalf("%q is shown; asked for were %q", elsewhere, paths)
	})
}

func equalPaths(p, q Path) bool {
	for i := range p {
		if !bytes.Equal(p[i], q[i]) {
			return false
		}
	}
	return true
}

func TestWitnessProvesAbsenceBySingleNeighbours(t *testing.T) {
	var children []*Labeled
	for c := byte('a'); c <= 'z'; c += 2 { // a c e ... y
		children = append(children, &Labeled{Label: []byte{c}, Sub: Leaf("secret")})
	}
	for _, c := range []struct{ label, shown string }{{"j", "ik"}, {"b", "ac"}, {"z", "y"}, {"", "a"}} {
		w := Witness(New(children), []Path{path(c.label)})
		var shown string
		for _, n := range Children(w) {
			shown += string(n.Label)
			if _, ok := n.Sub.(Pruned); !ok {
				t.Errorf("absence of %q: the value below %q is shown", c.label, n.Label)
			}
		}
		if shown != c.shown {
			t.Errorf("absence of %q is proved by %q, want %q", c.label, shown, c.shown)
		}
	}
}

func TestWitnessFindsNeighboursBeyondEmptyNodes(t *testing.T) {
	a, c := &Labeled{Label: []byte("a"), Sub: Leaf("1")}, &Labeled{Label: []byte("c"), Sub: Leaf("2")}
	for _, tree := range []Tree{
		&Fork{Left: a, Right: &Fork{Left: Empty{}, Right: c}},
		&Fork{Left: &Fork{Left: a, Right: Empty{}}, Right: c},
		&Fork{Left: &Fork{Left: Empty{}, Right: a}, Right: &Fork{Left: c, Right: &Fork{Left: Empty{}, Right: Empty{}}}},
	} {
		for _, label := range []string{"", "b", "d"} {
			w := Witness(tree, []Path{path(label)})
			if _, s := Lookup(w, []byte(label)); s != Absent || w.Hash() != tree.Hash() {
				t.Errorf("%x: absence of %q is %s", Append(nil, tree), label, s)
			}
		}
	}
}

func FuzzDecode(f *testing.F) {
	f.Add(unhex(f, specCBOR))
	f.Add(unhex(f, specPruned))
	f.Add(unhex(f, "9f0181008100ff"))
	f.Fuzz(func(t *testing.T, b []byte) {
		tree, err := Decode(b)
		if err != nil {
			return
		}
		out := Append(nil, tree)
		again, err := Decode(out)
		if err != nil {
			t.Fatalf("re-encoded tree is refused: %v", err)
		}
		if again.Hash() != tree.Hash() || !bytes.Equal(Append(nil, again), out) {
			t.Fatal("the tree changed")
		}
		p := path("a", "y")
		v, s := Lookup(tree, p...)
		if wantV, wantS := specLookup(p, tree); s != wantS || !bytes.Equal(v, wantV) {
			t.Fatalf("lookup: %s %q, want %s %q", s, v, wantS, wantV)
		}
		if w := Witness(tree, []Path{p}); w.Hash() != tree.Hash() {
			t.Fatal("a witness changed the hash")
		}
	})
}

func BenchmarkLookup(b *testing.B) {
	var children []*Labeled
	for i := range 1000 {
		children = append(children, &Labeled{Label: []byte{byte(i >> 8), byte(i)}, Sub: Leaf("value")})
	}
	tree := New(children)
	for b.Loop() {
		if _, s := Lookup(tree, []byte{1, 2}); s != Found {
			b.Fatal(s)
		}
	}
}

func BenchmarkDecodeAndHash(b *testing.B) {
	in := unhex(b, specPruned)
	for b.Loop() {
		t, err := Decode(in)
		if err != nil {
			b.Fatal(err)
		}
		t.Hash()
	}
}
