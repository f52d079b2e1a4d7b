package lightclient

import (
	"context"
	"errors"
	"io"
	"strconv"
	"strings"

	"portico/lightclient/asset"
	"portico/lightclient/reason"
)

const (
	statusPartial = 206
)

func asksForRange(r *asset.Request) bool {
	for _, h := range r.Headers {
		if strings.EqualFold(h.Name, "range") || strings.EqualFold(h.Name, "if-range") {
			return true
		}
	}
	return false
}

// whole makes a complete response of a partial one that nobody asked for, which
// is how canisters answer with bodies that are too long for one message: the rest
// is asked for by ranges, each of them certified.
func (x *exchange) whole(req *asset.Request, first *HTTPResponse) (*HTTPResponse, error) {
	at, err := rangeOf(first)
	if err == nil && first.Report.Scope == asset.ScopeBody {
		err = errors.New("it is partial, which certification of version 1 does not cover")
	}
	if err != nil {
		return nil, x.invalid(err)
	}
	if at.first != 0 {
		return nil, x.invalid(errors.New("it begins at byte " + strconv.Itoa(at.first) + ", but no range was asked for"))
	}
	parts := &parts{x: x, req: req, read: len(first.Body), total: at.total, tag: valueOf(first.Headers, "etag")}
	out := *first
	out.Status = statusOK
	out.Headers = nil
	for _, h := range first.Headers {
		if !strings.EqualFold(h.Name, "content-range") && !strings.EqualFold(h.Name, "content-length") {
			out.Headers = append(out.Headers, h)
		}
	}
	out.Headers = append(out.Headers, asset.Header{Name: "content-length", Value: strconv.Itoa(at.total)})
	if parts.read < parts.total {
		out.Next = parts.next
	}
	return &out, nil
}

// parts reads the rest of a body.
type parts struct {
	x           *exchange
	req         *asset.Request
	read, total int
	tag         string // the entity tag of the first part; others must have it too
}

func (p *parts) next(ctx context.Context) ([]byte, error) {
	if p.read == p.total {
		return nil, io.EOF
	}
	req := *p.req
	req.Headers = append(req.Headers[:len(req.Headers):len(req.Headers)], asset.Header{Name: "Range", Value: "bytes=" + strconv.Itoa(p.read) + "-"})
	r, err := p.x.do(ctx, &req)
	if err != nil {
		return nil, err
	}
	at, err := rangeOf(r)
	switch {
	case err != nil:
	case at.total != p.total || valueOf(r.Headers, "etag") != p.tag:
		err = errors.New("the content changed while it was read")
	case at.first > p.read || at.last < p.read:
		err = errors.New("asked for the bytes from " + strconv.Itoa(p.read) + " it gives " + strconv.Itoa(at.first) + " to " + strconv.Itoa(at.last))
	}
	if err != nil {
		return nil, p.x.invalid(err)
	}
	body := r.Body[p.read-at.first:]
	p.read += len(body)
	return body, nil
}

// A byteRange is what a Content-Range header says; last is inclusive.
type byteRange struct{ first, last, total int }

// rangeOf reads the range of a partial response, by a header that was checked,
// and compares it with the length of the body.
func rangeOf(r *HTTPResponse) (byteRange, error) {
	if r.Status != statusPartial {
		return byteRange{}, errors.New("a part of it has the status " + strconv.Itoa(int(r.Status)))
	}
	value := valueOf(r.Headers, "content-range")
	text, ok := strings.CutPrefix(value, "bytes ")
	span, total, ok2 := strings.Cut(text, "/")
	first, last, ok3 := strings.Cut(span, "-")
	f, err1 := strconv.ParseUint(first, 10, 62)
	l, err2 := strconv.ParseUint(last, 10, 62)
	t, err3 := strconv.ParseUint(total, 10, 62)
	if !ok || !ok2 || !ok3 || err1 != nil || err2 != nil || err3 != nil || f > l || l >= t {
		return byteRange{}, errors.New("its certified Content-Range is " + reason.Quote(value))
	}
	if uint64(len(r.Body)) != l-f+1 {
		return byteRange{}, errors.New("its body has " + strconv.Itoa(len(r.Body)) + " bytes for the range " + reason.Quote(value))
	}
	return byteRange{int(f), int(l), int(t)}, nil
}

func valueOf(headers []asset.Header, name string) string {
	for _, h := range headers {
		if strings.EqualFold(h.Name, name) {
			return h.Value
		}
	}
	return ""
}
