package main

import (
	"context"
	"errors"
	"strconv"
	"syscall/js"
	"time"
)

// maxReply bounds an answer in bytes.
const maxReply = 16 << 20

// transport posts through the browser's fetch.
type transport struct {
	origin string // such as "http://x.localhost:8000"
}

// waiting is the key of a context's *time.Duration that adds up how long the
// requests under the context waited for the network.
type waiting struct{}

// Post implements lightclient.Transport.
func (t *transport) Post(ctx context.Context, path string, body []byte) (status int, reply []byte, err error) {
	if total, ok := ctx.Value(waiting{}).(*time.Duration); ok {
		started := time.Now()
		defer func() { *total += time.Since(started) }()
	}
	if status, reply, ok := earlyAnswer(ctx, body); ok {
		return status, reply, nil
	}
	abort := js.Global().Get("AbortController").New()
	over := make(chan struct{})
	defer close(over)
	go func() {
		select {
		case <-ctx.Done():
			abort.Call("abort")
		case <-over:
		}
	}()
	resp, err := await(js.Global().Call("fetch", t.origin+path, object(
		"method", "POST", "headers", object("content-type", "application/cbor"), "body", bytesTo(body),
		"signal", abort.Get("signal"), "credentials", "omit", "redirect", "error", "cache", "no-store",
	)))
	if err != nil {
		return 0, nil, err
	}
	if n, err := strconv.Atoi(resp.Get("headers").Call("get", "content-length").String()); err == nil && n > maxReply {
		abort.Call("abort")
		return 0, nil, errTooLarge
	}
	buffer, err := await(resp.Call("arrayBuffer"))
	if err != nil {
		return 0, nil, err
	}
	if buffer.Get("byteLength").Int() > maxReply {
		return 0, nil, errTooLarge
	}
	return resp.Get("status").Int(), bytesOf(js.Global().Get("Uint8Array").New(buffer)), nil
}

var errTooLarge = errors.New("the answer is larger than " + strconv.Itoa(maxReply) + " bytes")
