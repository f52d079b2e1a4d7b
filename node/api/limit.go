package api

import (
	"errors"
	"io"
	"mime"
	"net/http"
	"sync/atomic"
)

// A gate bounds how many requests of a kind are in progress.
type gate struct {
	name  string
	slots chan struct{}
}

func newGate(name string, n int) gate { return gate{name, make(chan struct{}, n)} }

// enter takes a slot, or refuses at once: a queue here would only hide the load from clients.
func (g gate) enter() (release func(), err error) {
	select {
	case g.slots <- struct{}{}:
		return func() { <-g.slots }, nil
	default:
		return nil, refuse(http.StatusTooManyRequests, "too many %s are in progress, at most %d are served at once", g.name, cap(g.slots))
	}
}

// A budget bounds the bytes that requests take in memory, as received and decoded.
type budget struct{ free atomic.Int64 }

func newBudget(n int64) *budget {
	b := &budget{}
	b.free.Store(n)
	return b
}

func (b *budget) take(n int64) bool {
	if b.free.Add(-n) >= 0 {
		return true
	}
	b.free.Add(n)
	return false
}

func (b *budget) give(n int64) { b.free.Add(n) }

// firstBodyBytes is what is allocated before a client has sent anything: a length
// that it announces is only believed as the bytes arrive.
const firstBodyBytes = 64 << 10

// itemBytes is about what a CBOR item takes in memory once it is decoded, up to
// two hundred times its encoding.
const itemBytes = 200

// countItems counts the items of a CBOR encoding, up to where it is malformed.
func countItems(b []byte) (n int) {
	const majorBytes, majorText, longHead, indefinite = 2, 3, 24, 28
	for len(b) > 0 {
		major, length := b[0]>>5, uint64(b[0]&31)
		b = b[1:]
		n++
		if length >= indefinite {
			continue
		}
		if length >= longHead {
			width := 1 << (length - longHead)
			if len(b) < width {
				return n
			}
			length = 0
			for _, c := range b[:width] {
				length = length<<8 | uint64(c)
			}
			b = b[width:]
		}
		if major == majorBytes || major == majorText {
			b = b[min(length, uint64(len(b))):]
		}
	}
	return n
}

// readBody reads a CBOR body of at most limit bytes. The caller releases it when
// nothing refers to it any more.
func (s *server) readBody(r *http.Request, limit int64) (body []byte, release func(), err error) {
	if err := checkContentType(r.Header.Get("Content-Type")); err != nil {
		return nil, nil, err
	}
	if r.ContentLength > limit {
		return nil, nil, tooLarge(limit)
	}
	size := int64(firstBodyBytes)
	if r.ContentLength >= 0 {
		size = min(size, r.ContentLength+1) // one more, to meet the end
	}
	taken := int64(0)
	release = func() { s.buffered.give(taken) }
	for {
		if len(body) == int(taken) {
			if !s.buffered.take(size - taken) {
				release()
				return nil, nil, refuse(http.StatusTooManyRequests, "too many bytes of requests are in progress")
			}
			body = append(make([]byte, 0, size), body...)
			taken, size = size, min(2*size, limit+1)
		}
		n, err := r.Body.Read(body[len(body):taken])
		body = body[:len(body)+n]
		switch {
		case int64(len(body)) > limit:
			release()
			return nil, nil, tooLarge(limit)
		case errors.Is(err, io.EOF):
			decoded := itemBytes * int64(countItems(body))
			if !s.buffered.take(decoded) {
				release()
				return nil, nil, refuse(http.StatusTooManyRequests, "too many bytes of requests are in progress")
			}
			taken += decoded
			return body, release, nil
		case err != nil:
			release()
			return nil, nil, refuse(http.StatusBadRequest, "the body could not be read: %v", err)
		}
	}
}

func tooLarge(limit int64) error {
	return refuse(http.StatusRequestEntityTooLarge, "the body is too large: at most %d bytes are allowed", limit)
}

func checkContentType(value string) error {
	media, _, err := mime.ParseMediaType(value)
	if err != nil || media != contentTypeCBOR {
		return refuse(http.StatusUnsupportedMediaType, "Content-Type is %q: want %q", value, contentTypeCBOR)
	}
	return nil
}
