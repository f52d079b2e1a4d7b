package serve

import (
	"errors"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"portico/gateway/cache"
	"portico/gateway/page"
	"portico/lightclient"
	"portico/lightclient/asset"
	"portico/lightclient/problem"
)

// canister answers for a canister.
func (x *exchange) canister() {
	direct := x.wantsDirect()
	switch {
	case x.installsForeignWorker(direct):
		x.fail(page.Problem{
			Status: http.StatusForbidden,
			Title:  "Service worker refused",
			Text:   "On this origin the light client is the service worker, or, on a bare domain, there is none, because all canisters share it. Another one would answer in its place, and nothing would be verified any more.",
		}, nil)
		return
	case x.opensPage() && !direct:
		x.seen.Answer = AnswerWorker
		x.render(http.StatusOK, page.Bootstrap(x.target.Canister.String(), x.Worker.pageScript, x.directURL()))
		return
	}
	if x.cacheable() {
		x.cached()
		return
	}
	body, ok := x.body()
	if !ok {
		return
	}
	req := &asset.Request{Method: x.r.Method, URL: x.canisterURL(), Headers: x.requestHeaders(), Body: body}
	if req.Method == http.MethodHead {
		// HEAD is GET without the body (RFC 9110, 9.3.2). Canisters certify their
		// answers to GET, and none certifies an empty body for the same place.
		req.Method = http.MethodGet
	}
	resp, err := x.Canisters.HTTPRequest(x.r.Context(), x.target.Canister, req, lightclient.HTTPOptions{Raw: x.target.Raw, Reread: true})
	if x.isPreflight() && (err != nil || !answersPreflight(resp)) {
		x.preflight(corsMethods, corsHTTPHeaders)
		return
	}
	if err != nil {
		x.refuse(err)
		return
	}
	x.pass(resp)
}

// refuse answers that there is no answer.
func (x *exchange) refuse(err error) {
	var busy *cache.BusyError
	if errors.As(err, &busy) {
		x.fail(page.Problem{
			Status: http.StatusServiceUnavailable,
			Code:   codeShed,
			Title:  "Gateway busy",
			Text:   "This gateway has no room for another long answer.",
			Next:   "Try again in a moment.",
			Reason: err.Error(),
			Retry:  true,
		}, err)
		return
	}
	x.fail(problemOf(problem.Of(err)), err)
}

// pass hands on an answer that is for one request alone.
func (x *exchange) pass(resp *lightclient.HTTPResponse) {
	header := x.w.Header()
	for _, h := range resp.Headers {
		if !ofConnection(h.Name) {
			header.Add(h.Name, h.Value)
		}
	}
	if resp.Next == nil && resp.Status != http.StatusNoContent && resp.Status != http.StatusNotModified {
		header.Set("Content-Length", strconv.Itoa(len(resp.Body)))
	}
	x.w.WriteHeader(int(resp.Status))
	if x.r.Method != http.MethodHead {
		x.write(resp.Body, resp.Next)
	}
}

// opensPage reports whether a browser opens a page of a canister that is to come
// through the service worker. Browsers with one do not ask the gateway any more,
// except on a forced reload.
func (x *exchange) opensPage() bool {
	if x.Worker == nil || x.target.Bare || x.target.Raw || x.r.Method != http.MethodGet || !acceptsHTML(x.r) {
		return false
	}
	// Embedded objects are navigations too, but never go through service workers.
	switch x.r.Header.Get("Sec-Fetch-Dest") {
	case "", "document", "iframe", "frame":
	default:
		return false
	}
	mode := x.r.Header.Get("Sec-Fetch-Mode")
	return mode == "" || mode == "navigate"
}

// wantsDirect reports whether the person wants the gateway to verify, and keeps
// the choice in a cookie.
func (x *exchange) wantsDirect() bool {
	if x.Worker == nil {
		return true
	}
	if choice := x.r.URL.Query().Get(page.DirectParameter); choice != "" {
		c := &http.Cookie{Name: page.DirectParameter, Value: page.DirectOff, Path: "/", SameSite: http.SameSiteLaxMode}
		if choice != page.DirectOff {
			c.MaxAge = -1
		}
		http.SetCookie(x.w, c)
		return choice == page.DirectOff
	}
	c, err := x.r.Cookie(page.DirectParameter)
	return err == nil && c.Value == page.DirectOff
}

// installsForeignWorker reports whether the browser fetches the script of a service
// worker of the canister's own. It would replace the light client; on a bare domain
// it would answer for all canisters and for the gateway's own pages.
func (x *exchange) installsForeignWorker(direct bool) bool {
	replaces := x.Worker != nil && !direct && !x.target.Raw
	return (replaces || x.target.Bare) && x.r.Header.Get("Service-Worker") == "script"
}

// directURL is the URL of this page with the wish for verification by the gateway.
func (x *exchange) directURL() string {
	u := url.URL{Path: x.r.URL.Path, RawPath: x.r.URL.RawPath, RawQuery: x.queryWithout(page.DirectParameter)}
	if u.RawQuery != "" {
		u.RawQuery += "&"
	}
	u.RawQuery += page.DirectParameter + "=" + page.DirectOff
	return u.RequestURI()
}

// canisterURL is the URL as the canister gets it: path and query, as they came.
func (x *exchange) canisterURL() string {
	u := x.r.URL.EscapedPath()
	if x.r.URL.RawQuery == "" {
		return u
	}
	if q := x.queryWithout(page.DirectParameter); q != "" {
		u += "?" + q
	}
	return u
}

// queryWithout is the query as it came, but for one parameter.
func (x *exchange) queryWithout(name string) string {
	parts := strings.Split(x.r.URL.RawQuery, "&")
	parts = slices.DeleteFunc(parts, func(p string) bool { return p == name || strings.HasPrefix(p, name+"=") })
	return strings.Join(parts, "&")
}

// requestHeaders are the headers as the canister gets them. If the gateway may keep
// the answer, conditions are left out: canisters that answer 304 rarely certify it, and
// the gateway evaluates them itself.
func (x *exchange) requestHeaders() []asset.Header {
	out := []asset.Header{{Name: "host", Value: x.r.Host}}
	kept := x.cacheable()
	for name, values := range x.r.Header {
		switch {
		case name == requestIDHeader || name == "Accept-Encoding" || ofConnection(name):
		case kept && (name == "If-None-Match" || name == "If-Modified-Since"):
		case kept && x.r.Method == http.MethodHead && (name == "Range" || name == "If-Range"):
		default:
			for _, v := range values {
				out = append(out, asset.Header{Name: strings.ToLower(name), Value: v})
			}
		}
	}
	out = append(out, asset.Header{Name: "accept-encoding", Value: cache.ParseAccept(x.r.Header["Accept-Encoding"]).Header()})
	slices.SortStableFunc(out, func(a, b asset.Header) int { return strings.Compare(a.Name, b.Name) })
	return out
}

// ofConnection reports whether a header speaks of one connection only, so that it
// is not passed on (RFC 9110, 7.6.1).
func ofConnection(name string) bool {
	switch strings.ToLower(name) {
	case "connection", "keep-alive", "proxy-connection", "te", "trailer", "transfer-encoding", "upgrade":
		return true
	default:
		return false
	}
}
