package host

import (
	"fmt"
	"os"
	"strings"
	"sync"
	"time"

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
		name = normalize(name)
		if !ok || name == "" {
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
// programs rewrite at any time. Every look-up sees the file as it is then.
//
// Writers may truncate and write, so a file that is empty, does not end with a
// newline or does not parse is one in the middle of a change: the last whole
// content stays in force until the file is whole again. A file that is absent is
// an empty set.
type File struct {
	Path string

	mu     sync.Mutex
	stamp  stamp
	latest Fixed
}

// stamp tells versions of a file apart. Times have the grain of the file system,
// so a version younger than that may be followed by another one that looks the
// same: it is not settled and is read again.
type stamp struct {
	modified time.Time
	size     int64
	settled  bool
}

// grain is longer than the step of any file system's clock.
const grain = 50 * time.Millisecond

// Lookup implements Aliases.
func (f *File) Lookup(host string) (principal.ID, bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.refresh()
	return f.latest.Lookup(host)
}

func (f *File) refresh() {
	info, err := os.Stat(f.Path)
	if err != nil {
		f.latest, f.stamp = nil, stamp{}
		return
	}
	now := stamp{info.ModTime(), info.Size(), time.Since(info.ModTime()) > grain}
	if now == f.stamp && now.settled {
		return
	}
	text, err := os.ReadFile(f.Path)
	if err != nil || !strings.HasSuffix(string(text), "\n") {
		return
	}
	aliases, err := ParseAliases(string(text))
	if err != nil {
		return
	}
	f.latest, f.stamp = aliases, now
}
