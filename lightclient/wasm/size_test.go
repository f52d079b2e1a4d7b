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

// What a browser has to load at most for the light client, once, and to compile
// whenever it starts.
const (
	maxBrotliBytes = 560_000
	maxBytes       = 2_500_000
)

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
	if len(program) > maxBytes {
		t.Errorf("the light client takes %d bytes, %d are allowed", len(program), maxBytes)
	}
}

func TestLightClientDoesWithoutLargePackages(t *testing.T) {
	deps := strings.Fields(run(t, []string{"GOOS=js", "GOARCH=wasm"}, "go", "list", "-deps", "."))
	for pkg, reason := range map[string]string{
		"fmt":                                "brings 25 kB with brotli and package reflect; portico/lightclient/reason makes errors",
		"reflect":                            "keeps what nobody calls",
		"math/big":                           "brings 30 kB with brotli; numbers that large are passed on as bytes",
		"crypto/sha256":                      "brings the FIPS module, 50 kB with brotli; portico/lightclient/digest is the same",
		"crypto/ed25519":                     "brings the FIPS module; browsers have Ed25519",
		"crypto/rand":                        "brings the FIPS module; browsers have randomness",
		"compress/gzip":                      "browsers have decoders",
		"compress/flate":                     "browsers have decoders",
		"encoding/base32":                    "costs 2 kB with brotli for one use, in package principal",
		"encoding/hex":                       "brings fmt; portico/lightclient/reason has Hex",
		"encoding/json":                      "works by reflection",
		"encoding/binary":                    "brings reflect; a shift does it",
		"sort":                               "brings a sort and a half; few things are sorted, and by hand",
		"regexp":                             "is large",
		"log":                                "brings fmt and os",
		"os":                                 "browsers have no files",
		"math/rand":                          "browsers have randomness",
		"net/http":                           "brings 1.3 MB with brotli; requests go through the browser's fetch",
		"net/url":                            "brings fmt and net/netip",
		"crypto/x509":                        "nothing here has X.509 certificates",
		"crypto/tls":                         "the browser does TLS",
		"text/template":                      "keeps all methods of all types in the program",
		"html/template":                      "keeps all methods of all types in the program",
		"github.com/fxamacker/cbor/v2":       "works by reflection and brings 0.2 MB; portico/lightclient/cbor is enough",
		"portico/lightclient/candid":         "brings 30 kB with brotli; the gateway's messages are read by hand, see httpwire.go",
		"portico/lightclient/candid/marshal": "works by reflection",
		"portico/lightclient/fakenet":        "is for tests",
	} {
		if slices.Contains(deps, pkg) {
			t.Errorf("the light client imports %s, which %s", pkg, reason)
		}
	}
}
