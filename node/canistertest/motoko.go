package canistertest

import (
	"errors"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
)

// compiler compiles standard input with the npm package motoko; its argument, if
// any, chooses how stable variables persist.
const compiler = `
const motoko = require('motoko').default;
const [persistence] = process.argv.slice(1);
if (persistence) motoko.compiler.gcFlags(persistence);
motoko.write('main.mo', require('fs').readFileSync(0, 'utf8'));
process.stdout.write(motoko.wasm('main.mo', 'ic').wasm);
`

// Motoko compiles an actor. With persistence "" it gives what moc gives by default
// (64-bit memory, kept over upgrades), with "classicOP" a 32-bit module. The test
// is skipped where the development packages of package.json are not installed.
func Motoko(t testing.TB, persistence, source string) []byte {
	t.Helper()
	root, err := repositoryRoot()
	if err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(filepath.Join(root, "node_modules", "motoko")); err != nil {
		t.Skip("the Motoko compiler is not installed: run make deps")
	}
	input, err := os.CreateTemp(t.TempDir(), "*.mo")
	if err != nil {
		t.Fatal(err)
	}
	defer input.Close()
	if _, err := input.WriteString(source); err != nil {
		t.Fatal(err)
	}
	if _, err := input.Seek(0, 0); err != nil {
		t.Fatal(err)
	}
	args := []string{"-e", compiler}
	if persistence != "" {
		args = append(args, persistence)
	}
	cmd := exec.Command("node", args...)
	cmd.Dir, cmd.Stdin = root, input
	wasm, err := cmd.Output()
	var exit *exec.ExitError
	if errors.As(err, &exit) {
		t.Fatalf("motoko: %v\n%s", err, exit.Stderr)
	}
	if err != nil {
		t.Fatal(err)
	}
	return wasm
}

// repositoryRoot is the nearest folder above this one that has go.mod.
func repositoryRoot() (string, error) {
	dir, err := os.Getwd()
	for ; err == nil; dir = filepath.Dir(dir) {
		if _, err := os.Stat(filepath.Join(dir, "go.mod")); err == nil {
			return dir, nil
		}
		if dir == filepath.Dir(dir) {
			return "", fs.ErrNotExist
		}
	}
	return "", err
}
