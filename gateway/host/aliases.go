package host

import (
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"strings"

	"portico/lightclient/principal"
)

// Fixed is a set of aliases that does not change: host to canister.
type Fixed map[string]principal.ID

// Lookup implements Aliases.
func (f Fixed) Lookup(host string) (principal.ID, bool) {
	id, ok := f[host]
	return id, ok
}

// Chain asks several sets of aliases in order.
type Chain []Aliases

// Lookup implements Aliases.
func (c Chain) Lookup(host string) (principal.ID, bool) {
	for _, a := range c {
		if id, ok := a.Lookup(host); ok {
			return id, true
		}
	}
	return principal.ID{}, false
}

// ParseAliases reads lines "host:principal"; empty lines and lines that begin
// with # do not count. Errors give the line.
func ParseAliases(text string) (Fixed, error) {
	out := Fixed{}
	n := 0
	for line := range strings.Lines(text) {
		n++
		line = strings.TrimSpace(line)
		if line == "" || strings.HasPrefix(line, "#") {
			continue
		}
		name, canister, ok := strings.Cut(line, ":")
		name, err := Normalize(name)
		if !ok || err != nil {
			return nil, fmt.Errorf("line %d: %q is not of the form host:canister", n, line)
		}
		id, err := principal.Parse(canister)
		if err != nil {
			return nil, fmt.Errorf("line %d: %w", n, err)
		}
		out[name] = id
	}
	return out, nil
}

// A File is a set of aliases kept in a file of lines "host:principal" that other
// programs rewrite at any time. Every look-up sees the file as it is then. A file
// that is absent is an empty set.
type File struct {
	Path string
	Log  *slog.Logger // is told of a content that cannot be read; nil: nobody

	content content[Fixed]
}

// Lookup implements Aliases.
func (f *File) Lookup(host string) (principal.ID, bool) {
	aliases, _ := f.content.read(f.Path, ParseAliases, f.Log)
	id, ok := aliases[host]
	return id, ok
}

// Check reports what keeps the file's content from being used, if it is there.
func (f *File) Check() error {
	text, err := os.ReadFile(f.Path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err == nil {
		_, err = ParseAliases(string(text))
	}
	if err != nil {
		return fmt.Errorf("%s: %w", f.Path, err)
	}
	return nil
}
