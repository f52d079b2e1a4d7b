package store

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"testing"
)

func TestOnlyPrepareCopiesWhatTheNextRoundWrites(t *testing.T) {
	n := start(t, t.TempDir())
	defer n.close(t)
	spare := filepath.Join(n.dir, "work", "busy.spare")
	n.advance(t)
	must(t, n.store.Write(n.checkpoint(t)))
	if _, err := os.Stat(spare); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("Write made a second file: %v", err)
	}
	must(t, n.store.Prepare())
	prepared, err := os.Stat(spare)
	must(t, err)
	n.advance(t)
	must(t, n.store.Write(n.checkpoint(t)))
	kept, err := os.Stat(entry{Kind: kindMemory, Name: "busy"}.path(n.latest(t).dir))
	must(t, err)
	if !os.SameFile(prepared, kept) {
		t.Error("the round after Prepare wrote another file than the prepared one")
	}
	n.check(t, n.latest(t))
}
