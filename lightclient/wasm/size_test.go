package main

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/andybalholm/brotli"
)

// maxBrotliBytes is what a browser has to load at most for the light client, once.
const maxBrotliBytes = 800_000

func run(t *testing.T, env []string, name string, args ...string) string {
	t.Helper()
	c := exec.Command(name, args...)
	c.Env = append(os.Environ(), env...)
	var stderr bytes.Buffer
	c.Stderr = &stderr
	out, err := c.Output()
	if err != nil {
		t.Fatalf("%s %v: %v\n%s", name, args, err, &stderr)
	}
	return string(out)
}

func TestLightClientStaysSmall(t *testing.T) {
	if testing.Short() {
		t.Skip("compresses for half a minute")
	}
	dir := t.TempDir()
	built, trimmed := filepath.Join(dir, "built.wasm"), filepath.Join(dir, "trimmed.wasm")
	run(t, []string{"GOOS=js", "GOARCH=wasm"}, "go", "build", "-trimpath", "-ldflags", "-s -w", "-o", built, ".")
	run(t, nil, "go", "run", "./trim", built, trimmed)
	program, err := os.ReadFile(trimmed)
	if err != nil {
		t.Fatal(err)
	}
	var compressed bytes.Buffer
	w := brotli.NewWriterOptions(&compressed, brotli.WriterOptions{Quality: brotli.BestCompression, LGWin: 22})
	if _, err := w.Write(program); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	t.Logf("%d bytes, %d with brotli", len(program), compressed.Len())
	if compressed.Len() > maxBrotliBytes {
		t.Errorf("the light client takes %d bytes with brotli, %d are allowed", compressed.Len(), maxBrotliBytes)
	}
}

func TestLightClientDoesWithoutLargePackages(t *testing.T) {
	deps := strings.Fields(run(t, []string{"GOOS=js", "GOARCH=wasm"}, "go", "list", "-deps", "."))
	for pkg, reason := range map[string]string{
		"net/http":                           "brings 1.3 MB with brotli; requests go through the browser's fetch",
		"crypto/x509":                        "nothing here has X.509 certificates",
		"crypto/tls":                         "the browser does TLS",
		"text/template":                      "keeps all methods of all types in the program",
		"html/template":                      "keeps all methods of all types in the program",
		"github.com/fxamacker/cbor/v2":       "works by reflection and brings 0.2 MB; portico/lightclient/cbor is enough",
		"portico/lightclient/candid/marshal": "works by reflection; the light client reads candid values",
		"portico/lightclient/fakenet":        "is for tests",
	} {
		if slices.Contains(deps, pkg) {
			t.Errorf("the light client imports %s, which %s", pkg, reason)
		}
	}
}

// The signature library imports some of these for functions that are not linked.
func TestOwnPackagesDoWithoutReflection(t *testing.T) {
	out := run(t, []string{"GOOS=js", "GOARCH=wasm"}, "go", "list", "-deps", "-f", "{{.ImportPath}} {{join .Imports \" \"}}", ".")
	for line := range strings.Lines(out) {
		fields := strings.Fields(line)
		if !strings.HasPrefix(fields[0], "portico/") {
			continue
		}
		for _, pkg := range []string{"encoding/json", "encoding/gob", "encoding/asn1", "encoding/xml", "reflect"} {
			if slices.Contains(fields[1:], pkg) {
				t.Errorf("%s imports %s: codecs of the light client are written by hand, because reflection keeps code that nobody calls", fields[0], pkg)
			}
		}
	}
}
