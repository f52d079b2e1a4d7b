// Package serve answers HTTP on behalf of canisters (HTTP gateway protocol
// specification).
//
// Nothing that a canister is said to have answered leaves before it was verified
// as a whole, unless the host asks for raw answers. Browsers that open a canister's
// page get a service worker first, which fetches through the API and verifies
// for itself; see the folder web/ts.
package serve

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"log/slog"
	"net/http"
	"strings"

	"portico/gateway/host"
	"portico/gateway/page"
	"portico/lightclient"
	"portico/lightclient/asset"
	"portico/lightclient/principal"

	"github.com/a-h/templ"
)

// Canisters answers HTTP requests as canisters do; *lightclient.Client is one.
type Canisters interface {
	HTTPRequest(ctx context.Context, canister principal.ID, req *asset.Request, opt lightclient.HTTPOptions) (*lightclient.HTTPResponse, error)
}

// Upstream passes the API on to replicas. The caller closes the answer's body.
type Upstream interface {
	Do(ctx context.Context, method, path string, body []byte) (*http.Response, error)
}

// Deps is what a Handler needs. Worker may be nil: then the gateway verifies
// for everybody.
type Deps struct {
	Resolver  *host.Resolver
	Canisters Canisters
	Upstream  Upstream
	Worker    *Worker
	// Home answers for the gateway's bare domains at / and below page.NetworkPrefix; nil:
	// there is a plain page.
	Home http.Handler
	Log  *slog.Logger
}

// New makes the handler.
func New(d Deps) http.Handler { return &handler{d} }

type handler struct{ Deps }

// Names of headers, in the form of net/http.
const (
	requestIDHeader  = "X-Request-Id"
	canisterIDHeader = "X-Ic-Canister-Id"
)

func (h *handler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	x := &exchange{handler: h, w: w, r: r, id: newRequestID()}
	w.Header().Set(requestIDHeader, x.id)
	var err error
	if x.target, err = h.Resolver.Resolve(r.Host, r.URL, r.Referer()); err != nil {
		x.fail(problemOfHost(err), err)
		return
	}
	if x.target.Named {
		w.Header().Set(canisterIDHeader, x.target.Canister.String())
	}
	switch path := r.URL.Path; {
	case h.Home != nil && x.target.Bare && !x.target.Raw && !x.target.Named && (path == "/" || strings.HasPrefix(path, page.NetworkPrefix)):
		h.Home.ServeHTTP(w, r)
	case strings.HasPrefix(path, "/api/"):
		x.api()
	case strings.HasPrefix(path, page.Prefix):
		x.own()
	case x.target.Named:
		x.canister()
	case path == "/health":
		x.health()
	case path == "/":
		x.render(http.StatusOK, page.Home(x.target.Host))
	default:
		x.fail(page.Problem{
			Status: http.StatusBadRequest,
			Title:  "No canister named",
			Text:   "The address names no canister.",
			Next:   "Put one in front of the domain, or add ?canisterId= and its name to the address.",
		}, nil)
	}
}

// exchange is one request and its answer.
type exchange struct {
	*handler
	w      http.ResponseWriter
	r      *http.Request
	id     string
	target host.Target
}

// newRequestID is a random UUID (RFC 9562, version 4).
func newRequestID() string {
	var b [16]byte
	_, _ = rand.Read(b[:]) // never fails
	b[6], b[8] = b[6]&0x0f|0x40, b[8]&0x3f|0x80
	s := hex.EncodeToString(b[:])
	return s[:8] + "-" + s[8:12] + "-" + s[12:16] + "-" + s[16:20] + "-" + s[20:]
}

// render answers with a page of the gateway itself.
func (x *exchange) render(status int, c templ.Component) {
	header := x.w.Header()
	header.Set("Content-Type", "text/html; charset=utf-8")
	header.Set("Content-Security-Policy", page.Policy())
	header.Set("X-Content-Type-Options", "nosniff")
	header.Set("Referrer-Policy", "no-referrer")
	header.Set("Cache-Control", "no-store")
	header.Add("Vary", "Accept, Cookie, Sec-Fetch-Mode, Sec-Fetch-Dest")
	x.w.WriteHeader(status)
	if x.r.Method == http.MethodHead {
		return
	}
	if err := c.Render(x.r.Context(), x.w); err != nil {
		x.Log.Debug("page not sent", "request", x.id, "err", err)
	}
}

// fail answers with a problem: a page for browsers, a line of text for others.
func (x *exchange) fail(p page.Problem, cause error) {
	p.RequestID = x.id
	p.Retry = p.Retry && x.r.Method == http.MethodGet
	if x.target.Named {
		p.Canister = x.target.Canister.String()
		p.Verify = x.Worker != nil && !x.target.Bare && !x.target.Raw
	}
	x.Log.Info("problem", "request", x.id, "host", x.r.Host, "path", x.r.URL.Path, "status", p.Status, "title", p.Title, "err", cause)
	x.allowEveryOrigin()
	if acceptsHTML(x.r) {
		x.render(p.Status, page.Error(p))
		return
	}
	header := x.w.Header()
	header.Set("Content-Type", "text/plain; charset=utf-8")
	header.Set("X-Content-Type-Options", "nosniff")
	header.Set("Cache-Control", "no-store")
	x.w.WriteHeader(p.Status)
	text := p.Title + "\n"
	if p.Reason != "" {
		text = p.Title + ": " + p.Reason + "\n"
	}
	if x.r.Method != http.MethodHead {
		_, _ = x.w.Write([]byte(text))
	}
}

func acceptsHTML(r *http.Request) bool { return strings.Contains(r.Header.Get("Accept"), "text/html") }

// health tells whether a replica behind the gateway is well.
func (x *exchange) health() {
	resp, err := x.Upstream.Do(x.r.Context(), http.MethodGet, "/api/v2/status", nil)
	if err == nil {
		resp.Body.Close()
	}
	status, text := http.StatusOK, "healthy\n"
	if err != nil || resp.StatusCode != http.StatusOK {
		status, text = http.StatusServiceUnavailable, "no replica answers\n"
	}
	x.w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	x.w.WriteHeader(status)
	_, _ = x.w.Write([]byte(text))
}
