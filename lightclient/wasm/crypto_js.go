package main

import (
	"errors"
	"strconv"
	"syscall/js"

	"portico/lightclient/digest"
)

// Browsers have most cryptography themselves, and faster. What follows waits for
// promises, so it must not run on the goroutine of a call from JavaScript.

func subtle() js.Value { return js.Global().Get("crypto").Get("subtle") }

// largeBody is from where on the browser's SHA-256 is faster than Go's, the way
// there and back included.
const largeBody = 256 << 10

// hashBody hashes a body.
func hashBody(b []byte) [32]byte {
	if len(b) < largeBody || subtle().IsUndefined() { // pages without TLS have no subtle
		return digest.Sum256(b)
	}
	v, err := await(subtle().Call("digest", "SHA-256", bytesTo(b)))
	if err != nil {
		return digest.Sum256(b)
	}
	return [32]byte(bytesOf(js.Global().Get("Uint8Array").New(v)))
}

// verifyEd25519 checks the signature of a node. A browser that cannot do that
// believes no node.
func verifyEd25519(publicKey, message, sig []byte) bool {
	if subtle().IsUndefined() {
		return false
	}
	key, err := await(subtle().Call("importKey", "raw", bytesTo(publicKey), "Ed25519", false, []any{"verify"}))
	if err != nil {
		return false
	}
	ok, err := await(subtle().Call("verify", "Ed25519", key, bytesTo(sig), bytesTo(message)))
	return err == nil && ok.Truthy()
}

// random reads the browser's randomness.
type random struct{}

// maxRandom is how many bytes the browser gives at once.
const maxRandom = 65536

func (random) Read(b []byte) (int, error) {
	v := js.Global().Get("Uint8Array").New(min(len(b), maxRandom))
	js.Global().Get("crypto").Call("getRandomValues", v)
	return js.CopyBytesToGo(b, v), nil
}

// maxDecoded bounds what a compressed body may decode to, in bytes.
const maxDecoded = 64 << 20

// decode undoes the encodings gzip and deflate.
func decode(encoding string, body []byte) ([]byte, error) {
	blob := js.Global().Get("Blob").New([]any{bytesTo(body)})
	stream := blob.Call("stream").Call("pipeThrough", js.Global().Get("DecompressionStream").New(encoding))
	reader := stream.Call("getReader")
	var out []byte
	for {
		part, err := await(reader.Call("read"))
		if err != nil {
			return nil, err
		}
		if part.Get("done").Truthy() {
			return out, nil
		}
		out = append(out, bytesOf(part.Get("value"))...)
		if len(out) > maxDecoded {
			reader.Call("cancel")
			return nil, errors.New("the body decodes to more than " + strconv.Itoa(maxDecoded) + " bytes")
		}
	}
}
