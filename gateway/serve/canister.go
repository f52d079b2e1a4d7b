package serve

import (
	"errors"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"

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
		x.render(http.StatusOK, page.Bootstrap(x.target.Canister.String(), x.Worker.pageScript, x.directURL()))
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
	resp, err := x.Canisters.HTTPRequest(x.r.Context(), x.target.Canister, req, lightclient.HTTPOptions{Raw: x.target.Raw})
	preflight := x.r.Method == http.MethodOptions && x.r.Header.Get("Access-Control-Request-Method") != ""
	if preflight && (err != nil || !has(resp.Headers, "access-control-allow-origin")) {
		x.preflight(corsMethods)
		return
	}
	if err != nil {
		x.fail(problemOf(problem.Of(err)), err)
		return
	}
	x.pass(resp)
}

// pass hands a verified answer on.
func (x *exchange) pass(resp *lightclient.HTTPResponse) {
	header := x.w.Header()
	if !has(resp.Headers, "access-control-allow-origin") {
		x.allowEveryOrigin()
	}
	for _, h := range resp.Headers {
		if !ofConnection(h.Name) {
			header.Add(h.Name, h.Value)
		}
	}
	if resp.Next == nil && resp.Status != http.StatusNoContent && resp.Status != http.StatusNotModified {
		header.Set("Content-Length", strconv.Itoa(len(resp.Body)))
	}
	x.w.WriteHeader(int(resp.Status))
	if x.r.Method == http.MethodHead {
		return
	}
	body, err := resp.Body, error(nil)
	for err == nil {
		if _, err = x.w.Write(body); err != nil {
			x.Log.Debug("answer cut off", "request", x.id, "err", err)
			return
		}
		if resp.Next == nil {
			return
		}
		body, err = resp.Next(x.r.Context())
	}
	if !errors.Is(err, io.EOF) {
		// The head is gone already, so all that is left is to break the connection:
		// nobody must take the beginning for the whole.
		x.Log.Info("answer cut off", "request", x.id, "host", x.r.Host, "path", x.r.URL.Path, "err", err)
		panic(http.ErrAbortHandler)
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

// requestHeaders are the headers as the canister gets them.
func (x *exchange) requestHeaders() []asset.Header {
	out := []asset.Header{{Name: "host", Value: x.r.Host}}
	encodings := ""
	for name, values := range x.r.Header {
		switch {
		case name == requestIDHeader || ofConnection(name):
		case name == "Accept-Encoding":
			encodings = strings.Join(values, ", ")
		default:
			for _, v := range values {
				out = append(out, asset.Header{Name: strings.ToLower(name), Value: v})
			}
		}
	}
	// Canisters with one encoding of an asset have it unencoded, and some give
	// nothing else to those who do not ask for it by name.
	if encodings == "" {
		encodings = "identity"
	} else if !strings.Contains(encodings, "identity") {
		encodings += ", identity"
	}
	out = append(out, asset.Header{Name: "accept-encoding", Value: encodings})
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

func has(headers []asset.Header, name string) bool {
	return slices.ContainsFunc(headers, func(h asset.Header) bool { return strings.EqualFold(h.Name, name) })
}
