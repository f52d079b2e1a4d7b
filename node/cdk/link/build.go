package link

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

// Build compiles the Go program in dir as a canister and links it. did is the path
// of its Candid interface, which becomes the public metadata candid:service; it may
// be empty. Every file in the program's folder "metadata" becomes the public metadata
// of the file's name. Nothing is kept but what the go command caches for itself.
func Build(dir, did string) ([]byte, error) {
	sections, err := metadata(dir)
	if err != nil {
		return nil, fmt.Errorf("the canister's metadata: %w", err)
	}
	if did != "" {
		service, err := os.ReadFile(did)
		if err != nil {
			return nil, fmt.Errorf("the canister's Candid interface: %w", err)
		}
		sections = append(sections, Section{Name: "candid:service", Content: service})
	}
	wasm, err := compile(dir)
	if err != nil {
		return nil, err
	}
	return Link(wasm, sections...)
}

func metadata(dir string) ([]Section, error) {
	dir = filepath.Join(dir, "metadata")
	entries, err := os.ReadDir(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	var sections []Section
	for _, e := range entries {
		content, err := os.ReadFile(filepath.Join(dir, e.Name()))
		if err != nil {
			return nil, err
		}
		sections = append(sections, Section{Name: e.Name(), Content: content})
	}
	return sections, err
}

func compile(dir string) ([]byte, error) {
	tmp, err := os.MkdirTemp("", "canister")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(tmp)
	out := filepath.Join(tmp, "go.wasm")
	cmd := exec.Command("go", "build", "-buildmode=c-shared", "-trimpath", "-buildvcs=false", "-ldflags=-s -w -buildid=", "-o", out, ".")
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), "GOOS=wasip1", "GOARCH=wasm", "CGO_ENABLED=0", "GOFLAGS=")
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	if err := cmd.Run(); err != nil {
		return nil, fmt.Errorf("go build of the canister in %s: %w\n%s", dir, err, strings.TrimSpace(stderr.String()))
	}
	return os.ReadFile(out)
}
