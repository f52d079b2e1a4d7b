package store

import (
	"bytes"
	"errors"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"portico/node/state/heap"
	"portico/node/types"
)

// subnet is the state of a made-up subnet: everything in it follows from the height.
type subnet struct {
	dir    string
	store  *Store
	height types.Height
	mems   map[string]*heap.Memory
	views  map[string]*heap.View
}

const (
	memBytes = 3*types.MiB + types.WasmPageBytes
	maxBytes = 4 * types.MiB
)

type testingT interface {
	Helper()
	Fatal(...any)
	Fatalf(string, ...any)
}

func must(t testingT, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// start opens the store in dir and goes on from its checkpoint, or from height 0.
func start(t testingT, dir string) *subnet {
	t.Helper()
	n := &subnet{dir: dir, mems: map[string]*heap.Memory{}, views: map[string]*heap.View{}}
	var err error
	n.store, err = Open(filepath.Join(dir, "checkpoints"))
	must(t, err)
	n.store.workers = 1 // so that faults come in the same order
	work := filepath.Join(dir, "work")
	must(t, os.RemoveAll(work))
	must(t, os.MkdirAll(work, 0o755))
	loaded, err := n.store.Latest()
	must(t, err)
	for _, name := range []string{"busy", "idle", "stable/1"} {
		path := filepath.Join(work, fileName(name))
		if loaded != nil {
			n.height = loaded.Height
			n.mems[name], err = loaded.Memory(name, path, heap.Best())
		} else {
			n.mems[name], err = heap.Open(path, heap.Best())
		}
		must(t, err)
		n.views[name], err = n.mems[name].Update(maxBytes)
		must(t, err)
		if loaded == nil && name != "stable/1" {
			must(t, n.views[name].Grow(memBytes))
		}
	}
	if loaded != nil {
		n.check(t, loaded)
	}
	return n
}

// advance makes the state of the next height: a byte in one page of "busy", and every fifth height
// "stable/1" grows by one page until it starts again.
func (n *subnet) advance(t testingT) {
	t.Helper()
	n.height++
	n.views["busy"].Bytes()[busyAt(n.height)] = byte(n.height)
	if n.height%5 == 0 {
		must(t, n.views["stable/1"].Replace(stableSize(n.height)))
	}
	for name, v := range n.views {
		if _, err := v.Commit(); err != nil {
			t.Fatal(err)
		}
		must(t, n.mems[name].Publish())
	}
}

func busyAt(h types.Height) uint64 { return uint64(h) * 7919 * 512 % memBytes }

func stableSize(h types.Height) uint64 {
	return uint64(h/5%40) * types.WasmPageBytes
}

func busyContent(h types.Height) []byte {
	b := make([]byte, memBytes)
	for i := range h + 1 {
		b[busyAt(i)] = byte(i)
	}
	return b
}

func blobs(h types.Height) map[string][]byte {
	return map[string][]byte{
		"state":    bytes.Repeat([]byte{byte(h)}, chunkBytes+int(h)),
		"empty":    {},
		"constant": []byte("the same at every height"),
	}
}

func root(h types.Height) types.Hash { return types.Hash{0: byte(h), 31: 1} }

func (n *subnet) checkpoint(t testingT) Checkpoint {
	file := filepath.Join(n.dir, "module.wasm")
	if _, err := os.Stat(file); err != nil {
		must(t, os.WriteFile(file, bytes.Repeat([]byte("wasm"), 1000), 0o644))
	}
	return Checkpoint{n.height, root(n.height), blobs(n.height), n.mems, map[string]string{"module": file}}
}

// check compares a checkpoint with what its height says.
func (n *subnet) check(t testingT, l *Loaded) {
	t.Helper()
	if l.Root != root(l.Height) {
		t.Fatalf("height %d: root %x", l.Height, l.Root)
	}
	for name, want := range blobs(l.Height) {
		got, err := l.Blob(name)
		must(t, err)
		if !bytes.Equal(got, want) {
			t.Fatalf("height %d: blob %s differs", l.Height, name)
		}
	}
	want := map[string][]byte{"busy": busyContent(l.Height), "idle": make([]byte, memBytes), "stable/1": make([]byte, stableSize(l.Height/5*5))}
	for name, content := range want {
		got, err := os.ReadFile(entry{Kind: kindMemory, Name: name}.path(l.dir))
		must(t, err)
		if !bytes.Equal(got, content) {
			t.Fatalf("height %d: memory %s differs", l.Height, name)
		}
	}
}

func (n *subnet) close(t testingT) {
	for _, m := range n.mems {
		must(t, m.Close())
	}
}

func (n *subnet) latest(t testingT) *Loaded {
	t.Helper()
	l, err := n.store.Latest()
	must(t, err)
	return l
}

func TestCheckpointComesBackAfterARestart(t *testing.T) {
	dir := t.TempDir()
	n := start(t, dir)
	if l := n.latest(t); l != nil {
		t.Fatalf("a checkpoint in an empty folder: %d", l.Height)
	}
	for range 4 {
		for range 6 {
			n.advance(t)
			must(t, n.store.Write(n.checkpoint(t)))
			l := n.latest(t)
			if l.Height != n.height {
				t.Fatalf("Latest is %d after writing %d", l.Height, n.height)
			}
			n.check(t, l)
		}
		list, err := os.ReadDir(n.store.dir)
		if err != nil || len(list) != 1 {
			t.Fatalf("%v, %v: want the newest checkpoint alone", list, err)
		}
		height := n.height
		n.close(t)
		if n = start(t, dir); n.height != height {
			t.Fatalf("restarted at %d, want %d", n.height, height)
		}
	}
	link := filepath.Join(dir, "again.wasm")
	must(t, n.latest(t).LinkedFile("module", link))
	if b, err := os.ReadFile(link); err != nil || len(b) != 4000 {
		t.Fatalf("linked file: %d bytes, %v", len(b), err)
	}
	n.close(t)
}

var errFault = errors.New("the machine stopped here")

// faultAt makes everything fail from operation at on. Half of what the operation would have
// written is there.
func faultAt(at int, count *int) func(op, path string) error {
	return func(op, path string) error {
		*count++
		if *count < at {
			return nil
		}
		if *count == at && op == "write" {
			os.WriteFile(path, make([]byte, 100), 0o644)
		}
		return errFault
	}
}

func TestStopAtAnyOperationLeavesTheOldOrTheNewCheckpoint(t *testing.T) {
	old, new := 0, 0
	for at := 1; ; at++ {
		dir := t.TempDir()
		n := start(t, dir)
		for range 4 { // the fifth height replaces a memory
			n.advance(t)
		}
		must(t, n.store.Write(n.checkpoint(t)))
		n.advance(t)
		ops := 0
		n.store.files.fault = faultAt(at, &ops)
		err := n.store.Write(n.checkpoint(t))
		n.close(t)
		n = start(t, dir) // checks the content
		switch {
		case n.height == 4:
			old++
		case n.height == 5:
			new++
		default:
			t.Fatalf("stopped at operation %d: checkpoint %d", at, n.height)
		}
		if err == nil && n.height != 5 {
			t.Fatalf("operation %d: Write returned, but the checkpoint is %d", at, n.height)
		}
		n.advance(t)
		must(t, n.store.Write(n.checkpoint(t)))
		n.check(t, n.latest(t))
		n.close(t)
		if ops < at {
			if err != nil {
				t.Fatal(err)
			}
			break
		}
		if !errors.Is(err, errFault) {
			t.Fatalf("operation %d of %d failed, but Write returned %v", at, ops, err)
		}
	}
	if old < 10 || new < 3 {
		t.Fatalf("%d stops before and %d after the new checkpoint stood: not every operation was met", old, new)
	}
}

func TestWriteMayBeRepeatedAfterAFailure(t *testing.T) {
	n := start(t, t.TempDir())
	defer n.close(t)
	for at, failed := 1, true; failed; at++ {
		n.advance(t)
		ops := 0
		n.store.files.fault = func(string, string) error {
			if ops++; ops == at {
				return errFault
			}
			return nil
		}
		failed = n.store.Write(n.checkpoint(t)) != nil
		n.store.files.fault = nil
		n.advance(t)
		must(t, n.store.Write(n.checkpoint(t)))
		n.check(t, n.latest(t))
	}
}

func TestDamageIsNamedAndNothingIsServed(t *testing.T) {
	n := start(t, t.TempDir())
	n.advance(t)
	must(t, n.store.Write(n.checkpoint(t)))
	n.close(t)
	dir := n.store.folder(n.height)
	var paths []string
	must(t, filepath.Walk(dir, func(path string, info os.FileInfo, err error) error {
		if err == nil && info.Mode().IsRegular() {
			paths = append(paths, path)
		}
		return err
	}))
	if len(paths) != 8 {
		t.Fatalf("%d files: %v", len(paths), paths)
	}
	for _, path := range paths {
		good, err := os.ReadFile(path)
		must(t, err)
		wantChunk := func(i int) int {
			if filepath.Base(path) == manifestName {
				return WholeFile
			}
			return i / chunkBytes
		}
		for _, i := range []int{0, len(good) / 2, len(good) - 1} {
			if len(good) == 0 {
				break
			}
			bad := slices.Clone(good)
			bad[i] ^= 0x10
			expectDamage(t, n, path, bad, wantChunk(i))
		}
		expectDamage(t, n, path, append(slices.Clone(good), 0), WholeFile)
		if len(good) > 0 {
			expectDamage(t, n, path, good[:len(good)-1], WholeFile)
		}
		must(t, os.Remove(path))
		expectCorrupt(t, n, path, WholeFile)
		must(t, os.WriteFile(path, good, 0o644))
		n.check(t, n.latest(t))
	}
}

func expectDamage(t *testing.T, n *subnet, path string, content []byte, chunk int) {
	t.Helper()
	must(t, os.WriteFile(path, content, 0o644))
	expectCorrupt(t, n, path, chunk)
}

func expectCorrupt(t *testing.T, n *subnet, path string, chunk int) {
	t.Helper()
	l, err := n.store.Latest()
	var c *Corrupt
	if !errors.As(err, &c) || c.File != path || c.Chunk != chunk || l != nil || !strings.Contains(err.Error(), path) {
		t.Fatalf("damaged %s, chunk %d: %v", path, chunk, err)
	}
}

func TestBlobDamagedAfterLoadingIsNotServed(t *testing.T) {
	n := start(t, t.TempDir())
	defer n.close(t)
	n.advance(t)
	must(t, n.store.Write(n.checkpoint(t)))
	l := n.latest(t)
	must(t, os.WriteFile(entry{Kind: kindBlob, Name: "constant"}.path(l.dir), []byte("the same at another height"[:24]), 0o644))
	if b, err := l.Blob("constant"); b != nil || !errors.As(err, new(*Corrupt)) {
		t.Fatalf("%q, %v", b, err)
	}
}

func TestUnchangedFilesAreLinkedNotCopied(t *testing.T) {
	n := start(t, t.TempDir())
	defer n.close(t)
	stat := func(e entry) os.FileInfo {
		st, err := os.Stat(e.path(n.store.folder(n.height)))
		must(t, err)
		return st
	}
	same := []entry{{Kind: kindBlob, Name: "constant"}, {Kind: kindMemory, Name: "idle"}, {Kind: kindFile, Name: "module"}}
	n.advance(t)
	must(t, n.store.Write(n.checkpoint(t)))
	var before []os.FileInfo
	for _, e := range same {
		before = append(before, stat(e))
	}
	n.advance(t)
	must(t, n.store.Write(n.checkpoint(t)))
	for i, e := range same {
		if !os.SameFile(before[i], stat(e)) {
			t.Fatalf("%q was copied", e.Name)
		}
	}
}

// Hashes are updated by what changed; Latest compares them with the whole files.
func TestIncrementalHashesAreThoseOfTheFiles(t *testing.T) {
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	random := rand.New(rand.NewPCG(seed, 0))
	dir := t.TempDir()
	n := start(t, dir)
	for range 50 {
		switch random.IntN(8) {
		case 0: // not the store's checkpoint, which it must notice
			path := filepath.Join(dir, "foreign")
			os.Remove(path)
			_, err := n.mems["busy"].Checkpoint(path)
			must(t, err)
		case 1:
			n.close(t)
			n = start(t, dir)
		case 2, 3:
			n.advance(t)
		default:
			n.advance(t)
			must(t, n.store.Write(n.checkpoint(t)))
			n.check(t, n.latest(t))
		}
	}
	n.close(t)
}

// TestTheSameStateHasTheSameHashEverywhere compares nodes of which one was restarted and another
// has files of its own.
func TestTheSameStateHasTheSameHashEverywhere(t *testing.T) {
	nodes := []*subnet{start(t, t.TempDir()), start(t, t.TempDir()), start(t, t.TempDir())}
	hashes := map[types.Hash]bool{}
	for range 6 {
		for k, n := range nodes {
			n.advance(t)
			c := n.checkpoint(t)
			switch k {
			case 1:
				c.LinkedFiles = nil
				if n.mems["empty"] == nil {
					empty, err := heap.Open(filepath.Join(n.dir, "work", "empty"), heap.Best())
					must(t, err)
					n.mems["empty"] = empty
				}
			case 2:
				must(t, n.store.Write(c))
				n.close(t)
				nodes[k] = start(t, n.dir)
				n = nodes[k]
				if l := n.latest(t); l.Hash() != n.store.Hash() {
					t.Fatal("what was loaded has another hash than what was written")
				}
				continue
			}
			must(t, n.store.Write(c))
		}
		h := nodes[0].store.Hash()
		if hashes[h] || h == (types.Hash{}) {
			t.Fatalf("height %d has the hash of another height, or none", nodes[0].height)
		}
		hashes[h] = true
		for k, n := range nodes {
			if n.store.Hash() != h {
				t.Fatalf("height %d: node %d has another hash than node 0", n.height, k)
			}
		}
	}
	for _, n := range nodes {
		n.close(t)
	}
}

func TestHeightsMustIncreaseAndNamesBeShort(t *testing.T) {
	n := start(t, t.TempDir())
	defer n.close(t)
	n.advance(t)
	must(t, n.store.Write(n.checkpoint(t)))
	if err := n.store.Write(n.checkpoint(t)); err == nil {
		t.Fatal("the same height twice")
	}
	for _, name := range []string{"", strings.Repeat("x", maxNameBytes+1), strings.Repeat("/", maxNameBytes)} {
		c := Checkpoint{Height: n.height + 1, Blobs: map[string][]byte{name: nil}}
		if err := n.store.Write(c); err == nil {
			t.Fatalf("name %q was taken", name)
		}
	}
	n.check(t, n.latest(t))
}

func TestDifferentNamesAreDifferentFiles(t *testing.T) {
	seen := map[string]string{}
	for _, name := range []string{"a", "A", "a/b", "a%2Fb", "a%2fb", "..", ".", "%2E.", "ä", "a b", "a\x00b"} {
		f := fileName(name)
		if other, ok := seen[f]; ok || strings.ContainsAny(f, "/\x00") || f == "." || f == ".." {
			t.Errorf("%q and %q are both %q", name, other, f)
		}
		seen[f] = name
	}
}

func FuzzManifestDecodesOnlyItsOwnForm(f *testing.F) {
	f.Add((&manifest{}).append(nil))
	f.Add((&manifest{Height: 7, Entries: []entry{
		{Kind: kindBlob, Name: "x", Size: 1, Chunks: make([]types.Hash, 1)},
		{Kind: kindMemory, Name: "y", Size: chunkBytes + 1, Chunks: make([]types.Hash, 2)},
	}}).append(nil))
	f.Fuzz(func(t *testing.T, body []byte) {
		// With the right checksum, so that more than it is tried.
		for _, b := range [][]byte{body, resum(body)} {
			m, err := decodeManifest(b)
			if err == nil && !bytes.Equal(m.append(nil), b) {
				t.Fatalf("%x is read, but written as %x", b, m.append(nil))
			}
		}
	})
}
