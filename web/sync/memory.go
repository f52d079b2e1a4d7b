package sync

import (
	"bufio"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"sync"
)

// Memory knows what contents are when they are compressed, so that files whose
// compressed form the canister has need not be compressed to find that out. It holds
// hashes and sizes alone, by the hash of the content: it cannot be out of date.
type Memory struct {
	version string
	mu      sync.Mutex
	known   map[memoryKey]memoryEntry
	changed bool
}

type memoryKey struct {
	content  [sha256.Size]byte
	encoding string
}

type memoryEntry struct {
	sha256 [sha256.Size]byte
	size   int64
}

// maxMemory bounds the entries; one that is full begins anew.
const maxMemory = 200_000

// NewMemory makes an empty memory. The version names the compressors: what others
// made may differ.
func NewMemory(version string) *Memory {
	return &Memory{version: version, known: map[memoryKey]memoryEntry{}}
}

// Read adds what WriteTo has written, unless it is of another version. It ends without
// an error at the first line that is none of its own.
func (m *Memory) Read(r io.Reader) error {
	lines := bufio.NewScanner(r)
	if !lines.Scan() || lines.Text() != m.version {
		return lines.Err()
	}
	for lines.Scan() && len(m.known) < maxMemory {
		var content, sum, encoding string
		var size int64
		if n, _ := fmt.Sscan(lines.Text(), &content, &encoding, &sum, &size); n != 4 {
			break
		}
		key, entry := memoryKey{encoding: encoding}, memoryEntry{size: size}
		if !fill(&key.content, content) || !fill(&entry.sha256, sum) || size < 0 {
			break
		}
		m.known[key] = entry
	}
	return lines.Err()
}

func fill(to *[sha256.Size]byte, text string) bool {
	b, err := hex.DecodeString(text)
	return err == nil && copy(to[:], b) == len(to) && len(b) == len(to)
}

// Changed reports whether there is more than was read.
func (m *Memory) Changed() bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.changed
}

// WriteTo writes all of it, as Read takes it.
func (m *Memory) WriteTo(w io.Writer) (int64, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	out := bufio.NewWriter(w)
	n, err := fmt.Fprintln(out, m.version)
	for key, entry := range m.known {
		if err != nil {
			break
		}
		var more int
		more, err = fmt.Fprintf(out, "%x %s %x %d\n", key.content, key.encoding, entry.sha256, entry.size)
		n += more
	}
	if err == nil {
		err = out.Flush()
	}
	return int64(n), err
}

// get looks a content up; a nil memory knows nothing.
func (m *Memory) get(content [sha256.Size]byte, encoding string) (memoryEntry, bool) {
	if m == nil {
		return memoryEntry{}, false
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	e, ok := m.known[memoryKey{content, encoding}]
	return e, ok
}

func (m *Memory) put(content [sha256.Size]byte, encoding string, e memoryEntry) {
	if m == nil {
		return
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if len(m.known) >= maxMemory {
		clear(m.known)
	}
	m.known[memoryKey{content, encoding}], m.changed = e, true
}
