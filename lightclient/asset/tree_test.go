package asset

import (
	"crypto/sha256"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"

	"portico/lightclient/hashtree"
)

var fullExpression = &Expression{
	Scope:           ScopeFull,
	RequestHeaders:  []string{"Accept"},
	QueryParameters: []string{"q"},
	ResponseHeaders: []string{"Content-Type"},
}

var responseExpression = &Expression{Scope: ScopeResponse, Exclude: true, ResponseHeaders: []string{"Date"}}

func page(p Path, body string) Certified {
	return Certify(p, responseExpression, nil, &Response{Status: 200, Body: []byte(body)})
}

func TestForestStaysBalancedAndSortedUnderRandomChanges(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	var f *forest
	want := map[string]bool{}
	for range 5000 {
		name := fmt.Sprint(rng.IntN(400))
		if rng.IntN(5) < 3 {
			f = f.insert([]string{name}, hashtree.Leaf(name))
			want[name] = true
		} else {
			f = f.remove([]string{name})
			delete(want, name)
		}
		checkForest(t, f)
	}
	var names []string
	for _, c := range hashtree.Children(f.tree) {
		names = append(names, string(c.Label))
	}
	if len(names) != len(want) || !slices.IsSorted(names) {
		t.Fatalf("forest has %d labels, sorted %v; want %d", len(names), slices.IsSorted(names), len(want))
	}
	if err := hashtree.Wellformed(f.tree); err != nil {
		t.Fatal(err)
	}
}

func checkForest(t *testing.T, f *forest) {
	t.Helper()
	if f == nil || f.left == nil {
		return
	}
	if f.left.size > balance*f.right.size || f.right.size > balance*f.left.size {
		t.Fatalf("sides of %d and %d labels", f.left.size, f.right.size)
	}
	if f.size != f.left.size+f.right.size || f.first != f.left.first {
		t.Fatal("size or first label is not kept")
	}
	checkForest(t, f.left)
	checkForest(t, f.right)
}

func TestTreeRootDependsOnEntriesAndForgetsDeletedOnes(t *testing.T) {
	var tree Tree
	empty := tree.Root()
	a, b := page(Exact("/a"), "a"), page(Exact("/a/b"), "b")
	tree.Insert(a)
	onlyA := tree.Root()
	tree.Insert(b)
	both := tree.Root()
	if empty == onlyA || onlyA == both {
		t.Fatal("root did not change")
	}
	tree.Delete(b)
	if tree.Root() != onlyA {
		t.Fatal("deleting the second entry did not restore the root")
	}
	tree.Delete(b)
	if tree.Root() != onlyA {
		t.Fatal("deleting what is not there changed the root")
	}
	tree.Insert(page(Exact("/a"), "another answer"))
	tree.DeletePath(Exact("/a"))
	if tree.Root() != empty {
		t.Fatal("deleting a path left something")
	}
	tree.InsertBody("/a", sha256.Sum256(nil))
	tree.DeleteBody("/a")
	if tree.Root() != empty {
		t.Fatal("deleting a body left something")
	}
}

func TestWitnessShowsTheEntryAndProvesThatNothingIsMoreSpecific(t *testing.T) {
	var tree Tree
	for i := range 100 {
		tree.Insert(page(Exact(fmt.Sprintf("/file%d", i)), "x"))
		tree.Insert(page(Exact(fmt.Sprintf("/d/%d/e", i)), "x"))
	}
	all, dir := page(Wildcard(""), "404"), page(Wildcard("/d"), "dir")
	tree.Insert(all)
	tree.Insert(dir)
	for _, c := range []struct {
		entry  Certified
		url    string
		absent [][]string
	}{
		{all, "/nothing/here?q=1", [][]string{{"nothing", "here", "<$>"}, {"nothing", "here", "<*>"}, {"nothing", "", "<*>"}, {"nothing", "<*>"}, {"", "<*>"}}},
		{dir, "/d/5/f", [][]string{{"d", "5", "f", "<$>"}, {"d", "5", "f", "<*>"}, {"d", "5", "", "<*>"}, {"d", "5", "<*>"}, {"d", "", "<*>"}}},
		{dir, "/d", [][]string{{"d", "<$>"}}},
		{page(Exact("/file7"), "x"), "/file7", nil},
	} {
		w, err := tree.Witness(c.entry, c.url)
		if err != nil {
			t.Fatal(err)
		}
		if w.Hash() != tree.Root() {
			t.Fatalf("%s: witness has another root", c.url)
		}
		if _, s := hashtree.Lookup(w, treePath(c.entry.labels()...)...); s != hashtree.Found {
			t.Errorf("%s: entry is %v in the witness", c.url, s)
		}
		for _, p := range c.absent {
			if _, s := hashtree.Find(w, treePath(append([]string{"http_expr"}, p...)...)...); s != hashtree.Absent {
				t.Errorf("%s: %q is %v, want Absent", c.url, p, s)
			}
		}
		if n := len(hashtree.Append(nil, w)); n > 4000 {
			t.Errorf("%s: witness of %d bytes", c.url, n)
		}
	}
	if _, err := tree.Witness(dir, "/elsewhere"); err == nil {
		t.Error("witness for a URL that the path does not cover")
	}
}

func TestMoreSpecificPathsEndAtTheRespondingOne(t *testing.T) {
	for _, c := range []struct {
		p    Path
		url  string
		want []string
	}{
		{Wildcard(""), "/a/b", []string{"/a/b", "/a/b/*", "/a/*", "/a/*", "/*"}},
		{Wildcard("/"), "/a/b", []string{"/a/b", "/a/b/*", "/a/*", "/a/*"}},
		{Wildcard("/a"), "/a/b", []string{"/a/b", "/a/b/*", "/a/*"}},
		{Wildcard("/a/"), "/a/b", []string{"/a/b", "/a/b/*"}},
		{Wildcard("/a/b"), "/a/b", []string{"/a/b"}},
		{Wildcard("/a/b/"), "/a/b", []string{"/a/b", "/a/b/*"}},
		{Wildcard("/a"), "/a/", []string{"/a/", "/a/*"}},
		{Wildcard("/"), "/", []string{"/"}},
		{Wildcard(""), "/", []string{"/", "/*"}},
		{Exact("/a"), "/a", nil},
	} {
		if !c.p.matches(segments(c.url)) {
			t.Errorf("%v does not match %s", c.p, c.url)
			continue
		}
		var got []string
		for _, p := range c.p.moreSpecific(segments(c.url)) {
			got = append(got, p.String())
		}
		if !slices.Equal(got, c.want) {
			t.Errorf("%v for %s: %q, want %q", c.p, c.url, got, c.want)
		}
	}
	for _, c := range []struct {
		p   Path
		url string
	}{{Wildcard("/a"), "/ab"}, {Wildcard("/a/b"), "/a"}, {Exact("/a"), "/a/"}, {Exact("/a/"), "/a"}, {Wildcard("/b/"), "/a"}} {
		if c.p.matches(segments(c.url)) {
			t.Errorf("%v matches %s", c.p, c.url)
		}
	}
}
