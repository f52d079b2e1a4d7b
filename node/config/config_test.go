package config

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func write(t *testing.T, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "c.toml")
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestReplicaFilesWithMistakesAreRefusedWithWhatIsWrong(t *testing.T) {
	for text, want := range map[string]string{
		``: "listen is missing",
		"listen = \"127.0.0.1:1\"\nlissten = \"x\"": `unknown key "lissten"`,
		"listen = 3":     "incompatible types",
		"listen = \"a":   "c.toml",
		"listen = \"a\"": "listen_peers is missing",
	} {
		_, err := LoadReplica(write(t, text))
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: error %v, want one with %q", text, err, want)
		}
	}
}

func TestPathsAreRelativeToTheFile(t *testing.T) {
	path := write(t, "listen = \"x\"\nreplicas = [\"http://y\"]\nroot_key_file = \"root.der\"\n")
	g, err := LoadGateway(path)
	if err != nil {
		t.Fatal(err)
	}
	if want := filepath.Join(filepath.Dir(path), "root.der"); g.RootKeyFile != want {
		t.Errorf("root key file %s, want %s", g.RootKeyFile, want)
	}
}
