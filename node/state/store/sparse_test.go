package store

import (
	"errors"
	"os"
	"path/filepath"
	"syscall"
	"testing"

	"portico/node/state/heap"
	"portico/node/types"
)

// TestLargeSparseMemoriesAreKept takes the largest heap and the largest stable memory, of which a
// few bytes are not zero, through checkpoints and a restart.
func TestLargeSparseMemoriesAreKept(t *testing.T) {
	dir := t.TempDir()
	sizes := map[string]uint64{"heap": 65_535 * types.WasmPageBytes, "stable": 500 * types.GiB}
	s, err := Open(filepath.Join(dir, "checkpoints"))
	must(t, err)
	memories := map[string]*heap.Memory{}
	for name, size := range sizes {
		path := filepath.Join(dir, name)
		must(t, os.WriteFile(path, nil, 0o600))
		if err := os.Truncate(path, int64(size)); errors.Is(err, syscall.EFBIG) {
			t.Skip("the file system cannot hold a file of 500 GiB: ", err)
		}
		must(t, os.Truncate(path, 0))
		m, err := heap.Open(path, heap.Best())
		must(t, err)
		defer func() { must(t, m.Close()) }()
		must(t, m.Resize(size))
		memories[name] = m
	}
	ends := func(value string) {
		for name, m := range memories {
			must(t, m.Write([]byte(value), 0))
			must(t, m.Write([]byte(value), sizes[name]-uint64(len(value))))
			must(t, m.Publish())
		}
	}
	for h, value := range []string{"first", "second"} {
		ends(value)
		must(t, s.Write(Checkpoint{Height: types.Height(h + 1), Memories: memories}))
		must(t, s.Prepare())
	}
	s, err = Open(filepath.Join(dir, "checkpoints"))
	must(t, err)
	loaded, err := s.Latest()
	must(t, err)
	for name, size := range sizes {
		m, err := loaded.Memory(name, filepath.Join(dir, "restored-"+name), heap.Best())
		must(t, err)
		defer func() { must(t, m.Close()) }()
		for off, want := range map[uint64]string{0: "second", size / 2: "\x00\x00\x00\x00\x00\x00", size - 6: "second"} {
			got := make([]byte, 6)
			must(t, m.ReadCommitted(got, off))
			if string(got) != want {
				t.Errorf("%s holds %q at %d, want %q", name, got, off, want)
			}
		}
		st, err := os.Stat(filepath.Join(dir, "restored-"+name))
		must(t, err)
		if got := st.Sys().(*syscall.Stat_t).Blocks * 512; got > types.MiB {
			t.Errorf("%s takes %d bytes of disk for two pages", name, got)
		}
	}
}
