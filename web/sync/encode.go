package sync

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"slices"

	"github.com/andybalholm/brotli"
	"github.com/klauspost/compress/gzip"
)

// Names of content encodings.
const (
	identityName = "identity"
	gzipName     = "gzip"
	brotliName   = "br"
)

// maxCompressedBytes bounds the files that are compressed: those are in memory whole.
const maxCompressedBytes = 256 << 20

// variant is a file in one encoding.
type variant struct {
	encoding string
	sha256   [sha256.Size]byte
	size     int64
	// data is nil where it is what the file holds, and where it is known and need not be
	// made before it is uploaded.
	data  []byte
	there bool // the canister has it

	chunks []uint64 // once uploaded, in order
	inline []byte   // what the commit itself brings after them
}

// encodings are the forms of a file that its rules or its type ask for, and what it
// holds, unless it is too long to be kept. A compressed one that is no smaller than the
// file is left out if the file itself is among them.
func encodings(files fs.FS, f *localFile, known *Memory) (out []*variant, content []byte, err error) {
	names := f.props.encodings
	if names == nil {
		names = []string{identityName}
		if compressible(f.contentType) && f.size <= maxCompressedBytes {
			names = append(names, gzipName)
		}
	}
	compressed := slices.ContainsFunc(names, func(name string) bool { return name != identityName })
	if compressed && f.size > maxCompressedBytes {
		return nil, nil, fmt.Errorf("%s has %d bytes; files of up to %d are compressed: set encodings to [\"identity\"]", f.path, f.size, maxCompressedBytes)
	}
	if !compressed && f.size > chunkBytes {
		v, err := hashFile(files, f)
		return []*variant{v}, nil, err
	}
	if content, err = fs.ReadFile(files, f.path); err != nil {
		return nil, nil, err
	}
	sum := sha256.Sum256(content)
	withIdentity := slices.Contains(names, identityName)
	for _, name := range names {
		v := &variant{encoding: name, sha256: sum, size: int64(len(content)), data: content}
		if e, ok := known.get(sum, name); ok {
			v.sha256, v.size, v.data = e.sha256, e.size, nil
		} else if name != identityName {
			if err := v.make(content); err != nil {
				return nil, nil, err
			}
			known.put(sum, name, memoryEntry{v.sha256, v.size})
		}
		if name == identityName || !withIdentity || v.size < int64(len(content)) {
			out = append(out, v)
		}
	}
	return out, content, nil
}

// make compresses a content.
func (v *variant) make(content []byte) (err error) {
	if v.data, err = compress(v.encoding, content); err != nil {
		return err
	}
	v.sha256, v.size = sha256.Sum256(v.data), int64(len(v.data))
	return nil
}

// hashFile reads a long file without keeping it.
func hashFile(files fs.FS, f *localFile) (*variant, error) {
	file, err := files.Open(f.path)
	if err != nil {
		return nil, err
	}
	h := sha256.New()
	n, err := io.Copy(h, file)
	return &variant{encoding: identityName, sha256: [sha256.Size]byte(h.Sum(nil)), size: n}, errors.Join(err, file.Close())
}

func compress(name string, content []byte) ([]byte, error) {
	var b bytes.Buffer
	var w io.WriteCloser
	switch name {
	case gzipName:
		w = gzip.NewWriter(&b)
	case brotliName:
		w = brotli.NewWriterLevel(&b, brotli.BestCompression)
	default:
		return content, nil
	}
	_, err := w.Write(content)
	if err := errors.Join(err, w.Close()); err != nil {
		return nil, err
	}
	return b.Bytes(), nil
}
