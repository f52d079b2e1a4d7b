package main

import (
	"bytes"
	"context"
	"syscall/js"
)

// A worker that the browser has just woken sends its query while this program
// still starts, and hands over what it sent with the promise of the answer. The
// answer counts only for a request that is the same byte for byte.
type early struct {
	body   []byte
	answer js.Value // promise of {status: number, body: Uint8Array}
	used   bool
}

// earlyOf is the early query of a request, or nil.
func earlyOf(request js.Value) *early {
	e := request.Get("early")
	if e.IsUndefined() || e.IsNull() {
		return nil
	}
	return &early{body: bytesOf(e.Get("body")), answer: e.Get("answer")}
}

// earlyAnswer is the answer to an early query with this body; ok is false if there
// is none. A query that failed is not an answer: it is made again.
func earlyAnswer(ctx context.Context, body []byte) (status int, reply []byte, ok bool) {
	r, _ := ctx.(*requestContext)
	if r == nil {
		return 0, nil, false
	}
	e := r.early
	if e == nil || e.used || !bytes.Equal(e.body, body) {
		return 0, nil, false
	}
	e.used = true
	answer, err := await(e.answer)
	if err != nil || answer.Get("body").Length() > maxReply {
		return 0, nil, false
	}
	return answer.Get("status").Int(), bytesOf(answer.Get("body")), true
}
