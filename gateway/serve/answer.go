package serve

import (
	"context"
	"errors"
	"io"
	"net/http"
	"strconv"
	"strings"
	"time"

	"portico/gateway/cache"
	"portico/gateway/page"
	"portico/lightclient"
	"portico/lightclient/asset"
)

// cacheable reports whether others may have got the answer to this request
// already. Raw answers are never mixed with verified ones.
func (x *exchange) cacheable() bool {
	return (x.r.Method == http.MethodGet || x.r.Method == http.MethodHead) && !x.target.Raw && x.r.ContentLength == 0
}

// maxQuickBytes bounds the bodies of answers that are there at once: what is longer
// is no longer a matter of microseconds.
const maxQuickBytes = 64 << 10

// IsKept reports whether a request is one for a canister whose answer is there
// already and short.
func (h *handler) IsKept(r *http.Request) bool {
	x := &exchange{handler: h, r: r}
	var err error
	if x.target, err = h.Resolver.Resolve(r.Host, r.URL, r.Referer()); err != nil || !x.target.Named || !x.cacheable() {
		return false
	}
	path := r.URL.Path
	if strings.HasPrefix(path, "/api/") || strings.HasPrefix(path, page.Prefix) || h.Worker != nil && !x.target.Bare && acceptsHTML(r) {
		return false
	}
	return h.Cache.Kept(x.key(), r.Header, maxQuickBytes)
}

// key is what the answer to the request is kept under, but for ranges.
func (x *exchange) key() cache.Key {
	return cache.Key{
		Canister: x.target.Canister, Host: x.target.Host, URL: x.canisterURL(),
		Accept: cache.ParseAccept(x.r.Header["Accept-Encoding"]),
	}
}

// cached answers by the cache.
func (x *exchange) cached() {
	key := x.key()
	if v := x.r.Header["Range"]; len(v) > 0 && x.r.Method == http.MethodGet {
		key.Range = v[0]
		if v := x.r.Header["If-Range"]; len(v) > 0 {
			key.Range += "\x00" + v[0] // what comes depends on it
		}
	}
	a, err := x.Cache.Get(x.r.Context(), key, x.r.Header, x)
	if err != nil {
		x.refuse(err)
		return
	}
	defer a.Done()
	x.send(&a)
}

// Values of headers that answers share; nobody writes to them.
var (
	cacheHit   = []string{"portico; hit"}
	cacheStale = []string{"portico; hit; detail=stale"}
	cacheMiss  = []string{"portico; fwd=miss"}
	warnStale  = []string{`110 - "Response is Stale"`}
)

// send sends what the request wants of an answer.
func (x *exchange) send(a *cache.Answer) {
	e := a.Entry
	v := e.View(x.r.Method, x.r.Header)
	header := x.w.Header()
	for _, f := range v.Fields {
		header[f.Name] = f.Values
	}
	if v.Range != "" {
		header["Content-Range"] = []string{v.Range}
	}
	if v.Length != "" {
		header["Content-Length"] = []string{v.Length}
	}
	switch {
	case a.Stale:
		x.seen.Answer = AnswerStale
		header["Cache-Status"], header["Warning"] = cacheStale, warnStale
		header[cache.StaleHeader] = inSeconds(a.SinceCertified)
		header["Age"] = inSeconds(a.Age)
	case a.Hit:
		x.seen.Answer = AnswerKept
		header["Cache-Status"] = cacheHit
		header["Age"] = inSeconds(a.Age)
	default:
		header["Cache-Status"] = cacheMiss
	}
	x.w.WriteHeader(v.Status)
	if v.Body != nil {
		x.write(v.Body, a.Next)
	}
}

func inSeconds(d time.Duration) []string {
	return []string{strconv.FormatInt(int64(max(0, d)/time.Second), 10)}
}

// Prepare makes the question for the canister out of the request.
func (x *exchange) Prepare() func(ctx context.Context, hold func(bytes int) error) (*lightclient.HTTPResponse, error) {
	req := asset.Request{Method: http.MethodGet, URL: x.canisterURL(), Headers: x.requestHeaders()}
	canisters, canister := x.Canisters, x.target.Canister
	return func(ctx context.Context, hold func(bytes int) error) (*lightclient.HTTPResponse, error) {
		opt := lightclient.HTTPOptions{Hold: hold, Reread: true}
		ask := func(ctx context.Context, req *asset.Request, opt lightclient.HTTPOptions) (*lightclient.HTTPResponse, error) {
			return canisters.HTTPRequest(ctx, canister, req, opt)
		}
		resp, err := partly(ctx, ask, &req, opt)
		if err != nil || resp.Status != http.StatusPartialContent {
			return resp, err
		}
		if !rangeHolds(&req, resp) {
			whole := req
			whole.Headers = without(req.Headers, "range", "if-range")
			return canisters.HTTPRequest(ctx, canister, &whole, opt)
		}
		trim(&req, resp)
		return resp, nil
	}
}

// rangeHolds reports whether a partial answer is of the content that the request
// has the rest of. The canister cannot tell where the tag is the gateway's.
func rangeHolds(req *asset.Request, resp *lightclient.HTTPResponse) bool {
	tag := valueOf(req.Headers, "if-range")
	return tag == "" || tag == valueOf(resp.Headers, "etag") || tag == valueOf(resp.Headers, "last-modified")
}

// trim cuts a partial answer to the range that was asked for: canisters answer with
// whole chunks, and clients take a range that begins elsewhere for a mistake.
func trim(req *asset.Request, resp *lightclient.HTTPResponse) {
	first, last, ok := simpleRange(valueOf(req.Headers, "range"))
	span, total, ok2 := strings.Cut(strings.TrimPrefix(valueOf(resp.Headers, "content-range"), "bytes "), "/")
	from, to, ok3 := strings.Cut(span, "-")
	f, err := strconv.ParseInt(from, 10, 64)
	l, err2 := strconv.ParseInt(to, 10, 64)
	if !ok || !ok2 || !ok3 || err != nil || err2 != nil || l-f+1 != int64(len(resp.Body)) || first < f || first > l {
		return
	}
	last = min(last, l)
	if first == f && last == l {
		return
	}
	resp.Body = resp.Body[first-f : last+1-f]
	resp.Headers = append(without(resp.Headers, "content-range", "content-length"), asset.Header{
		Name: "content-range", Value: "bytes " + strconv.FormatInt(first, 10) + "-" + strconv.FormatInt(last, 10) + "/" + total,
	})
}

// simpleRange reads a range that begins at a given byte.
func simpleRange(value string) (first, last int64, ok bool) {
	from, to, ok := strings.Cut(strings.TrimPrefix(value, "bytes="), "-")
	first, err := strconv.ParseInt(from, 10, 64)
	if !ok || err != nil {
		return 0, 0, false
	}
	if to == "" {
		return first, 1<<62 - 1, true
	}
	last, err = strconv.ParseInt(to, 10, 64)
	return first, last, err == nil && first <= last
}

func without(headers []asset.Header, names ...string) []asset.Header {
	out := make([]asset.Header, 0, len(headers)+1)
	for _, h := range headers {
		drop := false
		for _, n := range names {
			drop = drop || strings.EqualFold(h.Name, n)
		}
		if !drop {
			out = append(out, h)
		}
	}
	return out
}

func valueOf(headers []asset.Header, name string) string {
	for _, h := range headers {
		if strings.EqualFold(h.Name, name) {
			return h.Value
		}
	}
	return ""
}

// write sends a body, of which next, if it is not nil, gives the other parts.
func (x *exchange) write(body []byte, next func(context.Context) ([]byte, error)) {
	if next == nil {
		if _, err := x.w.Write(body); err != nil {
			x.Log.Debug("answer cut off", "request", x.id, "err", err)
		}
		return
	}
	ctx, cancel := context.WithCancel(x.r.Context())
	type part struct {
		body []byte
		err  error
	}
	// While one part is sent, the next one is fetched; the one after that waits until
	// the client has taken it.
	parts := make(chan part)
	go func() {
		defer close(parts)
		for {
			b, err := next(ctx)
			select {
			case parts <- part{b, err}:
			case <-ctx.Done():
				return
			}
			if err != nil {
				return
			}
		}
	}()
	var err error
	defer func() {
		cancel()
		for range parts { // until the goroutine has ended
		}
		if !errors.Is(err, io.EOF) {
			// The head is gone already, so all that is left is to break the connection:
			// nobody must take the beginning for the whole.
			x.Log.Info("answer cut off", "request", x.id, "host", x.r.Host, "path", x.r.URL.Path, "err", err)
			panic(http.ErrAbortHandler)
		}
	}()
	for err == nil {
		if _, err = x.w.Write(body); err != nil {
			return
		}
		p, ok := <-parts
		if !ok {
			err = ctx.Err()
			return
		}
		body, err = p.body, p.err
	}
}
