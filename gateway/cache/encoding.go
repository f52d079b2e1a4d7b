package cache

import (
	"bytes"
	"io"
	"net/http"
	"slices"
	"strconv"
	"strings"

	"github.com/andybalholm/brotli"
	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/zstd"
)

// Accept is the set of content encodings that a client takes besides none at all.
type Accept uint8

// The encodings that the gateway can make and undo.
const (
	brotliCoding Accept = 1 << iota
	zstdCoding
	gzipCoding
)

// codings are the encodings in the order in which they are preferred: by size.
var codings = [...]struct {
	name string
	bit  Accept
}{{"br", brotliCoding}, {"zstd", zstdCoding}, {"gzip", gzipCoding}}

// ParseAccept reads an Accept-Encoding header. The client's order of preference does
// not count, only what it refuses by "q=0"; encodings that hardly anybody uses are left out.
func ParseAccept(values []string) Accept {
	var a, refused Accept
	every := false
	for _, v := range values {
		for item := range strings.SplitSeq(v, ",") {
			name, q, _ := strings.Cut(item, ";")
			name = strings.TrimSpace(name)
			if name == "*" {
				every = !isZero(q)
			}
			bit := codingOf(name)
			if isZero(q) {
				refused |= bit
			} else {
				a |= bit
			}
		}
	}
	if every {
		a = brotliCoding | zstdCoding | gzipCoding
	}
	return a &^ refused
}

// isZero reports whether parameters say that something is not acceptable.
func isZero(parameters string) bool {
	name, value, ok := strings.Cut(strings.ReplaceAll(parameters, " ", ""), "=")
	if !ok || !strings.EqualFold(name, "q") {
		return false
	}
	q, err := strconv.ParseFloat(value, 64)
	return err == nil && q == 0
}

// codingOf is the bit of an encoding, 0 for those that we do not know.
func codingOf(name string) Accept {
	for _, c := range codings {
		if strings.EqualFold(name, c.name) || c.bit == gzipCoding && strings.EqualFold(name, "x-gzip") {
			return c.bit
		}
	}
	return 0
}

// Header is the Accept-Encoding header for the canister. Canisters with one
// encoding of an asset have it unencoded, and some give nothing else to those who do
// not ask for it by name.
func (a Accept) Header() string {
	s := ""
	for _, c := range codings {
		if a&c.bit != 0 {
			s += c.name + ", "
		}
	}
	return s + "identity"
}

const (
	// minEncodedBytes is the size from which on compression is worth a header more.
	minEncodedBytes = 1024
	// slowBytes is up to which size a body is compressed well and not just quickly.
	slowBytes = 1 << 20
	// maxEncodedBytes bounds what is compressed, maxDecodedBytes what decompression may make of a body.
	maxEncodedBytes = 10 << 20
	maxDecodedBytes = 32 << 20
)

// encode brings the body into an encoding that the client takes: it was verified
// as the canister certified it, and that is what comes out again at the
// other end.
func (e *Entry) encode(accept Accept) {
	coding := strings.TrimSpace(valueOf(e.Fields, "Content-Encoding"))
	plain := coding == "" || strings.EqualFold(coding, "identity")
	worth := plain && e.Status == http.StatusOK && len(e.Body) >= minEncodedBytes && len(e.Body) <= maxEncodedBytes &&
		compressible(valueOf(e.Fields, "Content-Type"))
	if worth || !plain {
		e.addToVary()
	}
	switch {
	case worth && accept != 0:
		for _, c := range codings {
			if accept&c.bit != 0 {
				if b := compress(c.bit, e.Body); len(b) < len(e.Body)/10*9 {
					e.replace(b)
					e.set("Content-Encoding", c.name)
				}
				return
			}
		}
	case !plain && codingOf(coding) != 0 && codingOf(coding)&accept == 0:
		// A client that takes no encoding gets more from a body decoded than from
		// one that it cannot read; one that is too large is left as it is.
		if b, ok := decompress(codingOf(coding), e.Body); ok && e.Status == http.StatusOK {
			e.replace(b)
			e.remove("Content-Encoding")
		}
	}
}

// replace puts another form of the same content in the place of the certified
// one, with an entity tag that says so.
func (e *Entry) replace(body []byte) {
	e.Body = body
	if e.tag != "" && !strings.HasPrefix(e.tag, "W/") {
		e.tag = "W/" + e.tag
		e.set("Etag", e.tag)
	}
	e.remove("Content-Md5", "Digest", "Content-Digest", "Repr-Digest")
}

// addToVary says that other clients get another encoding.
func (e *Entry) addToVary() {
	values := valuesIn(e.Fields, "Vary")
	for _, v := range values {
		if strings.Contains(strings.ToLower(v), "accept-encoding") || strings.Contains(v, "*") {
			return
		}
	}
	e.remove("Vary")
	e.Fields = append(e.Fields, Field{"Vary", append(slices.Clone(values), "Accept-Encoding")})
}

// compressible reports whether content of a type is usually text.
func compressible(contentType string) bool {
	kind, _, _ := strings.Cut(contentType, ";")
	kind = strings.ToLower(strings.TrimSpace(kind))
	if strings.HasPrefix(kind, "text/") || strings.HasSuffix(kind, "+json") || strings.HasSuffix(kind, "+xml") {
		return kind != "text/event-stream"
	}
	switch kind {
	case "application/javascript", "application/json", "application/xml", "application/wasm", "application/manifest+json",
		"application/x-javascript", "application/rtf", "application/vnd.ms-fontobject", "font/ttf", "font/otf", "font/collection",
		"image/bmp", "image/x-icon", "image/vnd.microsoft.icon", "model/gltf-binary":
		return true
	default:
		return false
	}
}

// compress never fails, as writing into a buffer never does.
func compress(coding Accept, body []byte) []byte {
	var b bytes.Buffer
	fast := len(body) > slowBytes
	var w io.WriteCloser
	switch coding {
	case brotliCoding:
		level := 5
		if fast {
			level = 2
		}
		w = brotli.NewWriterV2(&b, level)
	case zstdCoding:
		level := zstd.SpeedBetterCompression
		if fast {
			level = zstd.SpeedFastest
		}
		w, _ = zstd.NewWriter(&b, zstd.WithEncoderLevel(level), zstd.WithEncoderConcurrency(1))
	default:
		level := 6
		if fast {
			level = gzip.BestSpeed
		}
		w, _ = gzip.NewWriterLevel(&b, level)
	}
	_, _ = w.Write(body)
	_ = w.Close()
	return slices.Clip(bytes.Clone(b.Bytes()))
}

// decompress undoes an encoding; ok is false for what is not in it, and what
// becomes too large.
func decompress(coding Accept, body []byte) (out []byte, ok bool) {
	var r io.Reader
	in := bytes.NewReader(body)
	switch coding {
	case brotliCoding:
		r = brotli.NewReader(in)
	case zstdCoding:
		d, err := zstd.NewReader(in, zstd.WithDecoderConcurrency(1), zstd.WithDecoderMaxMemory(maxDecodedBytes))
		if err != nil {
			return nil, false
		}
		defer d.Close()
		r = d
	default:
		d, err := gzip.NewReader(in)
		if err != nil {
			return nil, false
		}
		r = d
	}
	out, err := io.ReadAll(io.LimitReader(r, maxDecodedBytes+1))
	return out, err == nil && len(out) <= maxDecodedBytes
}
