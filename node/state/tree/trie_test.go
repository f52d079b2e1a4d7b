package tree

import (
	"fmt"
	"testing"

	"portico/lightclient/hashtree"

	"pgregory.net/rapid"
)

// reference lists the labels in no particular order.
func reference(m map[string]string) (labels []string) {
	for l := range m {
		labels = append(labels, l)
	}
	return labels
}

func TestTrieIsTheSameForEveryOrderOfChanges(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		m := map[string]string{}
		var trie *Trie
		label := rapid.StringMatching(`[ab\x00\xff]{0,3}`)
		for range rapid.IntRange(0, 40).Draw(t, "n") {
			l := label.Draw(t, "label")
			if rapid.Bool().Draw(t, "delete") {
				delete(m, l)
				trie = trie.Without(l)
			} else {
				m[l] = fmt.Sprint(len(m))
				trie = trie.With(l, Leaf([]byte(m[l])))
			}
		}
		var other *Trie
		for _, l := range reference(m) {
			other = other.With(l, Leaf([]byte(m[l])))
		}
		if trie.Hash() != other.Hash() {
			t.Fatal("hash depends on the order of changes")
		}
		prev, n := "", 0
		trie.All(func(l string, node *Node) bool {
			if n > 0 && l <= prev {
				t.Fatalf("label %q after %q", l, prev)
			}
			if string(node.Value) != m[l] {
				t.Fatalf("label %q has %q, want %q", l, node.Value, m[l])
			}
			prev, n = l, n+1
			return true
		})
		if n != len(m) {
			t.Fatalf("%d labels, want %d", n, len(m))
		}
	})
}

func TestWitnessKeepsTheRootAndDecidesTheLookup(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var inner, trie *Trie
		m := map[string]bool{}
		label := rapid.StringMatching(`[a-d]{1,3}`)
		for range rapid.IntRange(0, 20).Draw(t, "n") {
			l := label.Draw(t, "label")
			m[l] = true
			inner = inner.With(l, Leaf([]byte("v"+l)))
		}
		trie = trie.With("x", Sub(inner)).With("time", Leaf([]byte{1})).With("w", Sub(nil))
		asked := rapid.SliceOfN(label, 1, 4).Draw(t, "asked")
		paths := []hashtree.Path{{[]byte("time")}}
		for _, l := range asked {
			paths = append(paths, hashtree.Path{[]byte("x"), []byte(l)})
		}
		w := trie.Witness(paths)
		if w.Hash() != trie.Hash() {
			t.Fatal("the witness has another root hash")
		}
		if err := hashtree.Wellformed(w); err != nil {
			t.Fatal(err)
		}
		for _, l := range asked {
			got, s := hashtree.Lookup(w, []byte("x"), []byte(l))
			if m[l] && (s != hashtree.Found || string(got) != "v"+l) {
				t.Fatalf("label %q: %v %q, want it found", l, s, got)
			}
			if !m[l] && s != hashtree.Absent {
				t.Fatalf("label %q: %v, want it absent", l, s)
			}
		}
		if whole := trie.Witness([]hashtree.Path{{}}); whole.Hash() != trie.Hash() {
			t.Fatal("the whole tree has another root hash")
		}
	})
}
