package link

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestFilesOfTheMetadataFolderBecomePublicSections(t *testing.T) {
	dir := t.TempDir()
	if got, err := metadata(dir); err != nil || len(got) != 0 {
		t.Fatalf("without the folder: %v, %v", got, err)
	}
	if err := os.Mkdir(filepath.Join(dir, "metadata"), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "metadata", "versions"), []byte("1,2"), 0o600); err != nil {
		t.Fatal(err)
	}
	got, err := metadata(dir)
	if err != nil || len(got) != 1 || got[0].Name != "versions" || got[0].Private || string(got[0].Content) != "1,2" {
		t.Errorf("got %v, %v", got, err)
	}
}

func TestBuildTellsWhatTheCompilerSaid(t *testing.T) {
	dir := t.TempDir()
	for name, text := range map[string]string{"go.mod": "module broken\n", "main.go": "package main\nfunc main() { undefinedName() }\n"} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := Build(dir, ""); err == nil || !strings.Contains(err.Error(), "undefinedName") {
		t.Errorf("got %v", err)
	}
}
