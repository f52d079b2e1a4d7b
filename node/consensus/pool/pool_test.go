package pool

import (
	"bytes"
	"cmp"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"portico/node/artifact"
	"portico/node/types"

	"pgregory.net/rapid"
)

func open(t testing.TB, path string) *Store {
	t.Helper()
	s, err := Open(path)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func item(kind artifact.Kind, h types.Height, content []byte) artifact.Item {
	return artifact.Item{ID: artifact.ID{Kind: kind, Height: h, Hash: sha256.Sum256(content)}, Encoded: content}
}

func load(t testing.TB, s *Store) []artifact.Item {
	t.Helper()
	var out []artifact.Item
	if err := s.Load(func(i artifact.Item) error { out = append(out, i); return nil }); err != nil {
		t.Fatal(err)
	}
	return out
}

func apply(t testing.TB, s *Store, c artifact.Change) {
	t.Helper()
	if err := s.Apply(c); err != nil {
		t.Fatal(err)
	}
}

// TestStoreBehavesLikeAMap compares a store with a map under any changes, over restarts.
func TestStoreBehavesLikeAMap(t *testing.T) {
	dir := t.TempDir()
	files := 0
	rapid.Check(t, func(r *rapid.T) {
		files++
		path := filepath.Join(dir, fmt.Sprint(files))
		s := open(t, path)
		defer func() {
			if err := s.Close(); err != nil {
				t.Fatal(err)
			}
		}()
		model := map[artifact.ID][]byte{}
		kind := rapid.Custom(func(r *rapid.T) artifact.Kind {
			return artifact.Kind(rapid.IntRange(1, int(artifact.Kinds)-1).Draw(r, "kind"))
		})
		height := rapid.Custom(func(r *rapid.T) types.Height { return types.Height(rapid.Uint64Range(0, 20).Draw(r, "height")) })
		for range rapid.IntRange(1, 12).Draw(r, "changes") {
			var c artifact.Change
			for range rapid.IntRange(0, 3).Draw(r, "purges") {
				p := artifact.Purge{Kind: kind.Draw(r, "purge"), Below: height.Draw(r, "below")}
				c.Purge = append(c.Purge, p)
				for id := range model {
					if id.Kind == p.Kind && id.Height < p.Below {
						delete(model, id)
					}
				}
			}
			for range rapid.IntRange(0, 8).Draw(r, "puts") {
				size := rapid.SampledFrom([]int{0, 1, 300, largeBytes, largeBytes + 1, 20_000}).Draw(r, "size")
				content := bytes.Repeat([]byte{rapid.Byte().Draw(r, "content")}, size)
				i := item(kind.Draw(r, "put"), height.Draw(r, "at"), content)
				c.Put = append(c.Put, i)
				model[i.ID] = content
			}
			apply(t, s, c)
			if rapid.Bool().Draw(r, "restart") {
				if err := s.Close(); err != nil {
					t.Fatal(err)
				}
				s = open(t, path)
			}
		}
		got := load(t, s)
		if !slices.IsSortedFunc(got, func(a, b artifact.Item) int {
			return cmp.Or(cmp.Compare(a.ID.Kind, b.ID.Kind), cmp.Compare(a.ID.Height, b.ID.Height))
		}) {
			t.Fatal("artifacts are not in the order of kinds and heights")
		}
		if len(got) != len(model) {
			t.Fatalf("%d artifacts, want %d", len(got), len(model))
		}
		newest := map[artifact.Kind]types.Height{}
		for _, i := range got {
			newest[i.ID.Kind] = max(newest[i.ID.Kind], i.ID.Height)
			if want, ok := model[i.ID]; !ok || !bytes.Equal(i.Encoded, want) {
				t.Fatalf("%s has %d bytes, want %d", i.ID, len(i.Encoded), len(want))
			}
		}
		for k := artifact.Kind(1); k < artifact.Kinds; k++ {
			if h, err := s.Newest(k); err != nil || h != newest[k] {
				t.Fatalf("the newest %s is of height %d, %v, want %d", k, h, err, newest[k])
			}
		}
	})
}

func TestADamagedArtifactIsNamed(t *testing.T) {
	for _, size := range []int{100, 100_000} {
		path := filepath.Join(t.TempDir(), "pool.db")
		s := open(t, path)
		good := item(artifact.Beacon, 7, bytes.Repeat([]byte("beacon"), size/6))
		apply(t, s, artifact.Change{Put: []artifact.Item{good}})
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
		content, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, bytes.ReplaceAll(content, []byte("beacon"), []byte("bacon!")), 0o600); err != nil {
			t.Fatal(err)
		}
		s = open(t, path)
		err = s.Load(func(artifact.Item) error { return nil })
		if err == nil || !strings.Contains(err.Error(), path) || !strings.Contains(err.Error(), good.ID.String()) || !strings.Contains(err.Error(), "damaged") {
			t.Errorf("%d bytes: the damaged artifact was loaded with error %v", size, err)
		}
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
	}
}

func TestADamagedTreeIsAnErrorAndNoPanic(t *testing.T) {
	path := filepath.Join(t.TempDir(), "pool.db")
	s := open(t, path)
	for h := range types.Height(100) {
		apply(t, s, artifact.Change{Put: []artifact.Item{item(artifact.Beacon, h, bytes.Repeat([]byte{byte(h)}, 500))}})
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	content, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	for page := 2; page*os.Getpagesize() < len(content); page++ {
		damaged := bytes.Clone(content)
		binary.LittleEndian.PutUint16(damaged[page*os.Getpagesize()+8:], 0x77) // the page's kind
		if err := os.WriteFile(path, damaged, 0o600); err != nil {
			t.Fatal(err)
		}
		tryOpen(t, path)
	}
}

// tryOpen opens and loads a file of which any page may be damaged: an unused one, too.
func tryOpen(t *testing.T, path string) {
	s, err := Open(path)
	if err == nil {
		err = errors.Join(s.Load(func(artifact.Item) error { return nil }), s.Close())
	}
	if err != nil && !strings.Contains(err.Error(), path) {
		t.Errorf("the error does not name the file: %v", err)
	}
}

func TestAnErrorOfTheReaderComesWithFileAndID(t *testing.T) {
	path := filepath.Join(t.TempDir(), "pool.db")
	s := open(t, path)
	p := item(artifact.Proposal, 3, []byte("x"))
	apply(t, s, artifact.Change{Put: []artifact.Item{p}})
	wrong := errors.New("wrong")
	err := s.Load(func(artifact.Item) error { return wrong })
	if !errors.Is(err, wrong) || !strings.Contains(err.Error(), path) || !strings.Contains(err.Error(), p.ID.String()) {
		t.Errorf("error %v", err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
}

func TestAFileIsOneStoresAtATime(t *testing.T) {
	path := filepath.Join(t.TempDir(), "pool.db")
	s := open(t, path)
	if _, err := Open(path); err == nil || !strings.Contains(err.Error(), "in use") {
		t.Errorf("opened twice with error %v", err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
}

// written is what this process has written, in bytes, as the kernel counts: whole folios of the
// page cache even if one page of them changed. It is 0 where the kernel does not say.
func written(b *testing.B) uint64 {
	text, err := os.ReadFile("/proc/self/io")
	if err != nil {
		return 0
	}
	_, rest, _ := strings.Cut(string(text), "\nwrite_bytes:")
	var n uint64
	if _, err := fmt.Sscan(rest, &n); err != nil {
		b.Fatal(err)
	}
	return n
}

// pages is what bbolt says that it has written.
func pages(s *Store) int64 {
	st := s.db.Stats()
	return st.TxStats.GetWrite()
}

// BenchmarkApplyInAnIdleNetwork applies what a node of four does for an empty block, in
// four changes, with at least 500 heights in the file, of which older ones are purged at once
// as consensus does after a catch-up package.
func BenchmarkApplyInAnIdleNetwork(b *testing.B) {
	s := open(b, filepath.Join(b.TempDir(), "pool.db"))
	content := func(kind artifact.Kind, h types.Height, by, size int) artifact.Item {
		c := bytes.Repeat([]byte{byte(kind)}, size)
		binary.BigEndian.PutUint64(c, uint64(h))
		c[8] = byte(by)
		return item(kind, h, c)
	}
	step := func(h types.Height, i int) artifact.Change {
		share := func(k artifact.Kind, by int) artifact.Item { return content(k, h, by, 105) }
		switch i {
		case 0:
			return artifact.Change{Put: []artifact.Item{content(artifact.Proposal, h, 0, 240), share(artifact.NotarizationShare, 0), share(artifact.BeaconShare, 0), share(artifact.BeaconShare, 1), content(artifact.Beacon, h, 0, 105)}}
		case 1:
			return artifact.Change{Put: []artifact.Item{share(artifact.NotarizationShare, 1), share(artifact.NotarizationShare, 2), content(artifact.Notarization, h, 0, 110), share(artifact.FinalizationShare, 0)}}
		case 2:
			return artifact.Change{
				Put: []artifact.Item{share(artifact.FinalizationShare, 1), share(artifact.FinalizationShare, 2), content(artifact.Finalization, h, 0, 110), share(artifact.TapeShare, 0), share(artifact.TapeShare, 1)},
			}
		default:
			c := artifact.Change{Put: []artifact.Item{content(artifact.Tape, h, 0, 105), share(artifact.CertificationShare, 0), share(artifact.CertificationShare, 1), content(artifact.Certification, h, 0, 105)}}
			for _, k := range []artifact.Kind{artifact.NotarizationShare, artifact.FinalizationShare, artifact.BeaconShare, artifact.TapeShare, artifact.CertificationShare} {
				c.Purge = append(c.Purge, artifact.Purge{Kind: k, Below: h})
			}
			if h > 500 && h%500 == 0 {
				for _, k := range []artifact.Kind{artifact.Proposal, artifact.Beacon, artifact.Notarization, artifact.Finalization, artifact.Tape, artifact.Certification} {
					c.Purge = append(c.Purge, artifact.Purge{Kind: k, Below: h - 500})
				}
			}
			return c
		}
	}
	s.db.NoSync = true
	h := types.Height(0)
	for ; h < 600; h++ {
		for i := range 4 {
			apply(b, s, step(h, i))
		}
	}
	s.db.NoSync = false
	if err := s.db.Sync(); err != nil {
		b.Fatal(err)
	}
	before, began, n := written(b), pages(s), 0
	for b.Loop() {
		apply(b, s, step(h, n%4))
		if n++; n%4 == 0 {
			h++
		}
	}
	b.ReportMetric(float64(written(b)-before)/float64(n), "B-written/op")
	b.ReportMetric(float64(pages(s)-began)/float64(n), "pages/op")
	if err := s.Close(); err != nil {
		b.Fatal(err)
	}
}
