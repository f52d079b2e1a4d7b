package lightclient

import (
	"bytes"
	"context"
	"errors"
	"io"
	"strconv"
	"strings"

	"portico/lightclient/asset"
	"portico/lightclient/digest"
)

// maxLongBody bounds a body that is read again, in bytes.
const maxLongBody = 1<<31 - 1

// A longBody is a body by callbacks that is too long to be held. It is read twice. The
// first time only hashes are kept: that of the whole, which is certified, and one of each part.
// The second time each part leaves that has the hash it had. So what leaves is what was
// checked, in the memory of a part, at the price of asking for everything twice.
type longBody struct {
	x     *exchange
	next  *callback // of the part that is read next, when it is read again
	whole *digest.Hash
	sums  [][32]byte // of the parts by callbacks
	total int
	at    int // the part that is read next
}

// reads begins with the parts that have come, which end at the given places of the body,
// and lets go of all but the first.
func (x *exchange) reads(ctx context.Context, r *response, ends []int) (*longBody, error) {
	l := &longBody{x: x, next: r.next, whole: digest.New()}
	first := bytes.Clone(r.Body[:ends[0]])
	l.whole.Add(first)
	l.total = len(first)
	for i, end := range ends[1:] {
		if err := l.add(ctx, r.Body[ends[i]:end]); err != nil {
			return nil, err
		}
	}
	r.Body = first
	return l, nil
}

// add reads a part for the first time. That a node signed it is checked at once: if the
// canister certifies nothing, that must be known, and the answer cannot be kept until then.
func (l *longBody) add(ctx context.Context, body []byte) error {
	if len(body) > maxLongBody-l.total {
		return &TooLargeError{maxLongBody}
	}
	if err := l.x.signed(ctx); err != nil {
		return err
	}
	l.whole.Add(body)
	l.total += len(body)
	l.sums = append(l.sums, digest.Sum256(body))
	return nil
}

// signed checks the signatures of the answers so far and lets go of them.
func (x *exchange) signed(ctx context.Context) error {
	for _, q := range x.answers {
		if err := x.client.checkSignatures(ctx, q); err != nil {
			return err
		}
	}
	x.answers = nil
	return nil
}

// open lets the rest of a response be read that was checked.
func (l *longBody) open(out *HTTPResponse) {
	headers := make([]asset.Header, 0, len(out.Headers)+1)
	for _, h := range out.Headers {
		if !strings.EqualFold(h.Name, "content-length") {
			headers = append(headers, h)
		}
	}
	out.Headers = append(headers, asset.Header{Name: "content-length", Value: strconv.Itoa(l.total)})
	out.Next = l.read
}

// read reads a part for the second time.
func (l *longBody) read(ctx context.Context) ([]byte, error) {
	if l.at == len(l.sums) {
		return nil, io.EOF
	}
	b, err := l.x.query(ctx, l.next.method, l.next.token)
	l.x.answers = nil // the part is known by its hash
	if err != nil {
		return nil, err
	}
	body, token, err := decodeChunk(b)
	if err == nil && (digest.Sum256(body) != l.sums[l.at] || (token == nil) != (l.at == len(l.sums)-1)) {
		err = errors.New("the content changed while it was read")
	}
	if err != nil {
		return nil, l.x.invalid(err)
	}
	l.at++
	l.next = &callback{service: l.next.service, method: l.next.method, token: token}
	return body, nil
}
