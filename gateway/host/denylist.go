package host

import (
	"fmt"
	"log/slog"
	"os"
	"strings"
	"sync"

	"portico/lightclient/principal"
)

// A Denylist is the set of canisters that a gateway does not serve, kept in a
// file with one canister a line; empty lines and lines that begin with # do not
// count. Every look-up sees the file as it is then. A file that vanishes takes
// nothing back: what it said last stays in force.
type Denylist struct {
	Path string
	Log  *slog.Logger // is told of a content that cannot be read; nil: nobody

	mu      sync.Mutex
	content content[canisters]
	last    canisters
}

type canisters map[principal.ID]struct{}

// Denies reports whether the canister is on the list.
func (d *Denylist) Denies(id principal.ID) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	if now, here := d.content.read(d.Path, parseCanisters, d.Log); here {
		d.last = now
	}
	_, denied := d.last[id]
	return denied
}

// Check reports what keeps the file from being used.
func (d *Denylist) Check() error {
	text, err := os.ReadFile(d.Path)
	if err == nil {
		_, err = parseCanisters(string(text))
	}
	if err != nil {
		return fmt.Errorf("%s: %w", d.Path, err)
	}
	return nil
}

func parseCanisters(text string) (canisters, error) {
	out := canisters{}
	n := 0
	for line := range strings.Lines(text) {
		n++
		line = strings.TrimSpace(line)
		if line == "" || strings.HasPrefix(line, "#") {
			continue
		}
		id, err := principal.Parse(line)
		if err != nil {
			return nil, fmt.Errorf("line %d: %w", n, err)
		}
		out[id] = struct{}{}
	}
	return out, nil
}
