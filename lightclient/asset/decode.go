//go:build !js

package asset

import (
	"bytes"
	"compress/flate"
	"compress/gzip"
	"errors"
	"io"
	"strconv"
)

// maxDecodedBytes bounds what a compressed body may decode to.
const maxDecodedBytes = 64 << 20

// Decode decodes a body of the content encodings that version 1 knows, gzip and
// deflate, for Verifier.Decode. It stands apart because browsers have decoders of
// their own.
func Decode(encoding string, body []byte) ([]byte, error) {
	var r io.Reader
	switch encoding {
	case "gzip":
		z, err := gzip.NewReader(bytes.NewReader(body))
		if err != nil {
			return nil, err
		}
		r = z
	case "deflate":
		r = flate.NewReader(bytes.NewReader(body))
	default:
		return nil, errors.New("unknown content encoding " + strconv.Quote(encoding))
	}
	out, err := io.ReadAll(io.LimitReader(r, maxDecodedBytes+1))
	if err != nil {
		return nil, err
	}
	if len(out) > maxDecodedBytes {
		return nil, errors.New("the body decodes to more than " + strconv.Itoa(maxDecodedBytes) + " bytes")
	}
	return out, nil
}
