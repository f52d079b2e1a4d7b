package store

import (
	"bytes"
	"cmp"
	"crypto/sha256"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"portico/lightclient/cbor"
	"portico/node/state/heap"
	"portico/node/types"
)

// chunkBytes is the unit of hashing.
const chunkBytes = types.MiB

// maxManifestBytes bounds what is read as a manifest: 32 bytes for each MiB of 8 TiB.
const maxManifestBytes = 256 * types.MiB

// maxNameBytes leaves room for escapes within the 255 bytes of a file name.
const maxNameBytes = 100

// manifestVersion is the first item of a manifest.
const manifestVersion = 2

type kind uint8

const (
	kindBlob kind = iota
	kindMemory
	kindFile
	kinds
)

// folder is the kind's folder in a checkpoint's.
func (k kind) folder(dir string) string {
	return filepath.Join(dir, [kinds]string{"blobs", "memories", "files"}[k])
}

// manifest describes a checkpoint. Its bytes are the CBOR array
//
//	[version, height, root, [[kind, name, size, chunk hashes in one string]…]]
//
// followed by their SHA-256. Entries are in order of kind, then name.
type manifest struct {
	Height  types.Height
	Root    types.Hash
	Entries []entry
}

// entry describes a file.
type entry struct {
	Kind   kind
	Name   string
	Size   uint64
	Chunks []types.Hash // of each chunkBytes; the last may be shorter
}

func (e entry) path(dir string) string { return filepath.Join(e.Kind.folder(dir), fileName(e.Name)) }

func checkName(name string) error {
	if len(name) == 0 || len(name) > maxNameBytes || len(fileName(name)) > 255 {
		return fmt.Errorf("name %q of %d bytes, want 1 to %d", name, len(name), maxNameBytes)
	}
	return nil
}

// fileName writes all but letters, digits, '-', '_' and a '.' that is not the first as %XX.
func fileName(name string) string {
	var b strings.Builder
	for i, c := range []byte(name) {
		switch {
		case 'a' <= c && c <= 'z', 'A' <= c && c <= 'Z', '0' <= c && c <= '9', c == '-', c == '_', c == '.' && i > 0:
			b.WriteByte(c)
		default:
			fmt.Fprintf(&b, "%%%02X", c)
		}
	}
	return b.String()
}

// find looks an entry up; m may be nil.
func (m *manifest) find(k kind, name string) (entry, bool) {
	if m == nil {
		return entry{}, false
	}
	i, ok := slices.BinarySearchFunc(m.Entries, entry{Kind: k, Name: name}, compareEntries)
	if !ok {
		return entry{}, false
	}
	return m.Entries[i], true
}

// compareEntries is the order of entries in a manifest.
func compareEntries(a, b entry) int {
	return cmp.Or(cmp.Compare(a.Kind, b.Kind), cmp.Compare(a.Name, b.Name))
}

func (m *manifest) append(b []byte) []byte {
	start := len(b)
	b = cbor.AppendArray(b, 4)
	b = cbor.AppendUint(b, manifestVersion)
	b = cbor.AppendUint(b, uint64(m.Height))
	b = cbor.AppendBytes(b, m.Root[:])
	b = cbor.AppendArray(b, len(m.Entries))
	for _, e := range m.Entries {
		b = cbor.AppendArray(b, 4)
		b = cbor.AppendUint(b, uint64(e.Kind))
		b = cbor.AppendBytes(b, []byte(e.Name))
		b = cbor.AppendUint(b, e.Size)
		hashes := make([]byte, 0, len(e.Chunks)*len(types.Hash{}))
		for _, h := range e.Chunks {
			hashes = append(hashes, h[:]...)
		}
		b = cbor.AppendBytes(b, hashes)
	}
	sum := sha256.Sum256(b[start:])
	return append(b, sum[:]...)
}

// domainState separates what identifies a state from everything else that is hashed.
const domainState = "\x0dportico-state"

// hash is the same for the same state on every node. Linked files are left out, and so
// are empty memories, which a node may have opened for a reason of its own.
func (m *manifest) hash() types.Hash {
	if m == nil {
		return types.Hash{}
	}
	same := manifest{Height: m.Height, Root: m.Root}
	for _, e := range m.Entries {
		if e.Kind == kindBlob || e.Kind == kindMemory && e.Size > 0 {
			same.Entries = append(same.Entries, e)
		}
	}
	return sha256.Sum256(same.append([]byte(domainState)))
}

// decodeManifest reads exactly what append writes.
func decodeManifest(b []byte) (*manifest, error) {
	if len(b) < sha256.Size || len(b) > maxManifestBytes {
		return nil, fmt.Errorf("%d bytes, want %d to %d", len(b), sha256.Size, maxManifestBytes)
	}
	body, sum := b[:len(b)-sha256.Size], b[len(b)-sha256.Size:]
	if got := sha256.Sum256(body); !bytes.Equal(got[:], sum) {
		return nil, fmt.Errorf("its SHA-256 is %x, but it ends with %x", got, sum)
	}
	d := cbor.NewDecoder(body)
	m := &manifest{}
	if err := arrayOf(d, 4); err != nil {
		return nil, err
	}
	if v, err := d.Uint(); err != nil || v != manifestVersion {
		return nil, errors.Join(fmt.Errorf("version %d, want %d", v, manifestVersion), err)
	}
	height, err := d.Uint()
	if err != nil {
		return nil, err
	}
	m.Height = types.Height(height)
	root, err := d.Bytes()
	if err != nil || len(root) != len(m.Root) {
		return nil, errors.Join(fmt.Errorf("root hash of %d bytes", len(root)), err)
	}
	m.Root = types.Hash(root)
	n, err := d.Array()
	if err != nil || n > len(body) {
		return nil, errors.Join(fmt.Errorf("%d entries", n), err)
	}
	for range n {
		e, err := decodeEntry(d)
		if err != nil {
			return nil, fmt.Errorf("entry %d: %w", len(m.Entries), err)
		}
		m.Entries = append(m.Entries, e)
	}
	if !bytes.Equal(m.append(nil), b) {
		return nil, errors.New("not in canonical form")
	}
	return m, m.checkOrder()
}

func decodeEntry(d *cbor.Decoder) (e entry, err error) {
	if err := arrayOf(d, 4); err != nil {
		return e, err
	}
	k, err := d.Uint()
	if err != nil || k >= uint64(kinds) {
		return e, errors.Join(fmt.Errorf("kind %d", k), err)
	}
	e.Kind = kind(k)
	name, err := d.Bytes()
	if err != nil {
		return e, err
	}
	e.Name = string(name)
	if err := checkName(e.Name); err != nil {
		return e, err
	}
	if e.Size, err = d.Uint(); err != nil {
		return e, err
	}
	hashes, err := d.Bytes()
	if err != nil {
		return e, err
	}
	const one = len(types.Hash{})
	if e.Size > heap.MaxBytes || uint64(len(hashes)) != chunksOf(e.Size)*uint64(one) {
		return e, fmt.Errorf("%q: %d bytes of hashes for %d bytes", e.Name, len(hashes), e.Size)
	}
	for ; len(hashes) > 0; hashes = hashes[one:] {
		e.Chunks = append(e.Chunks, types.Hash(hashes[:one]))
	}
	return e, nil
}

func (m *manifest) checkOrder() error {
	for i := 1; i < len(m.Entries); i++ {
		if a, b := m.Entries[i-1], m.Entries[i]; compareEntries(a, b) >= 0 {
			return fmt.Errorf("entry %d, %q, does not come after %q", i, b.Name, a.Name)
		}
	}
	return nil
}

func arrayOf(d *cbor.Decoder, want int) error {
	n, err := d.Array()
	if err == nil && n != want {
		err = fmt.Errorf("array of %d at offset %d, want %d", n, d.Offset(), want)
	}
	return err
}

// readManifest reads the manifest in a checkpoint's folder, which must be of that height.
func readManifest(dir string) (*manifest, error) {
	path := filepath.Join(dir, manifestName)
	st, err := os.Stat(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, &Corrupt{File: path, Chunk: WholeFile, Problem: "it is missing"}
	}
	if err != nil {
		return nil, fmt.Errorf("store: %w", err)
	}
	if st.Size() > maxManifestBytes {
		return nil, &Corrupt{File: path, Chunk: WholeFile, Problem: fmt.Sprintf("%d bytes, want at most %d", st.Size(), maxManifestBytes)}
	}
	b, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("store: %w", err)
	}
	m, err := decodeManifest(b)
	if err != nil {
		return nil, &Corrupt{File: path, Chunk: WholeFile, Problem: err.Error()}
	}
	if want := fmt.Sprint(uint64(m.Height)); filepath.Base(dir) != want {
		return nil, &Corrupt{File: path, Chunk: WholeFile, Problem: fmt.Sprintf("it is the manifest of height %s", want)}
	}
	return m, nil
}
