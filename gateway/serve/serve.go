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
	"errors"
	"log/slog"
	"net/http"
	"net/netip"
	"runtime/debug"
	"slices"
	"strings"
	"time"

	"portico/gateway/cache"
	"portico/gateway/domain"
	"portico/gateway/host"
	"portico/gateway/limit"
	"portico/gateway/page"
	"portico/gateway/quick"
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

// Deps is what a Handler needs. What may be nil says so.
type Deps struct {
	Resolver  *host.Resolver
	Canisters Canisters
	Upstream  Upstream
	Worker    *Worker      // nil: the gateway verifies for everybody
	Cache     *cache.Cache // nil: nothing is kept
	// Home answers for the gateway's bare domains at / and below page.NetworkPrefix; nil:
	// there is a plain page.
	Home http.Handler
	// Domains answers below domain.Prefix on the bare domains, for people who register
	// domains of their own; nil: nobody can.
	Domains http.Handler
	Denied  Denylist       // nil: all canisters are served
	Limits  *limit.Limiter // nil: there are none
	// Proxies are the machines whose word counts for where a request comes from.
	Proxies []netip.Prefix
	// KeepRequestIDs makes the id that a request brings its id, if it is a UUID. Otherwise
	// every request gets a new one: ids are worth something only if clients cannot choose them.
	KeepRequestIDs bool
	Observer       Observer // nil: nobody watches
	Log            *slog.Logger
}

// Denylist says which canisters are not served.
type Denylist interface {
	Denies(canister principal.ID) bool
}

// New makes the handler.
func New(d Deps) quick.Handler {
	if d.Cache == nil {
		d.Cache = cache.New(cache.Config{})
	}
	if d.Limits == nil {
		d.Limits = limit.New(limit.Config{})
	}
	return &handler{Deps: d}
}

type handler struct {
	Deps
	names names
}

func (h *handler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	began := time.Now()
	x := &exchange{handler: h, r: r, id: h.requestID(r)}
	x.answer = writer{ResponseWriter: w, x: x, extended: began}
	x.w = &x.answer
	x.seen = Seen{
		ID: x.id, Address: clientAddress(r, h.Proxies), Method: r.Method, Host: r.Host, Path: r.URL.Path, Protocol: r.Proto, Kind: KindRefused,
	}
	if h.Observer != nil {
		h.Observer.Began()
		defer func() { h.Observer.Ended(x.sum(time.Since(began))) }()
	}
	defer x.recover()
	if err := h.Limits.Enter(x.seen.Address); err != nil {
		x.fail(problemOfLimit(err), err)
		return
	}
	defer h.Limits.Leave()
	defer func() { h.Limits.Release(x.held) }()
	x.serve()
}

// serve finds out what a request is for.
func (x *exchange) serve() {
	var err error
	if x.target, err = x.Resolver.Resolve(x.r.Host, x.r.URL, x.r.Referer()); err != nil {
		x.fail(problemOfHost(err), err)
		return
	}
	bare := x.target.Bare && !x.target.Raw && !x.target.Named
	switch path := x.r.URL.Path; {
	case bare && path == healthPath:
		x.seen.Kind = KindHealth
		x.health()
	case x.target.Named && !x.target.Bare && x.Denied != nil && x.Denied.Denies(x.target.Canister):
		// The whole host is denied, the API as well: a light client that is in a browser
		// already would go on showing the site through it.
		x.fail(problemOfDenial(), nil)
	case x.Home != nil && bare && (path == "/" || strings.HasPrefix(path, page.NetworkPrefix)):
		x.seen.Kind = KindOwn
		x.Home.ServeHTTP(x.w, x.r)
	case strings.HasPrefix(path, "/api/"):
		x.api()
	case strings.HasPrefix(path, page.Prefix):
		x.seen.Kind = KindOwn
		x.own()
	case x.Domains != nil && bare && strings.HasPrefix(path, domain.Prefix):
		x.seen.Kind = KindDomains
		x.domains()
	case x.target.Named && x.Denied != nil && x.Denied.Denies(x.target.Canister):
		x.fail(problemOfDenial(), nil)
	case x.target.Named:
		x.seen.Kind = KindHTTP
		x.canister()
	case path == "/":
		x.seen.Kind = KindOwn
		x.render(http.StatusOK, page.Home(x.target.Host))
	default:
		x.fail(page.Problem{
			Status: http.StatusBadRequest,
			Code:   codeNoCanister,
			Title:  "No canister named",
			Text:   "The address names no canister.",
			Next:   "Put one in front of the domain, or add ?canisterId= and its name to the address.",
		}, nil)
	}
}

// exchange is one request and its answer.
type exchange struct {
	*handler
	answer      writer
	w           http.ResponseWriter // &answer
	r           *http.Request
	id          string
	target      host.Target
	seen        Seen
	held        int64 // bytes of the body
	preflighted bool  // the answer is one to a preflight
}

// sum completes what was seen.
func (x *exchange) sum(took time.Duration) Seen {
	s := x.seen
	s.Canister, s.Named = x.target.Canister, x.target.Named
	s.Status, s.Bytes, s.Duration = x.answer.status, x.answer.bytes, took
	if s.Kind == KindHTTP && s.Answer == "" && s.Problem == "" {
		s.Answer = AnswerVerified
		if x.target.Raw {
			s.Answer = AnswerRaw
		}
	}
	return s
}

// recover makes an answer of a defect of ours, or breaks the connection if there is
// a part of one already.
func (x *exchange) recover() {
	defect := recover()
	if defect == nil {
		return
	}
	if err, ok := defect.(error); ok && errors.Is(err, http.ErrAbortHandler) {
		panic(defect) // net/http breaks the connection
	}
	x.Log.Error("a defect of the gateway", "request", x.id, "host", x.r.Host, "path", x.r.URL.Path, "panic", defect, "stack", string(debug.Stack()))
	if x.answer.status != 0 {
		panic(http.ErrAbortHandler)
	}
	x.fail(page.Problem{
		Status: http.StatusInternalServerError,
		Code:   codeInternal,
		Title:  "Gateway error",
		Text:   "The gateway failed while it answered this request.",
		Next:   "Try again. If it stays so, tell whoever runs this gateway, with the number of the request.",
	}, nil)
}

// requestID is the id of a request.
func (h *handler) requestID(r *http.Request) string {
	if id := r.Header.Get(requestIDHeader); h.KeepRequestIDs && isUUID(id) {
		return strings.ToLower(id)
	}
	return newRequestID()
}

func isUUID(s string) bool {
	if len(s) != 36 {
		return false
	}
	for i, c := range []byte(s) {
		hyphen := i == 8 || i == 13 || i == 18 || i == 23
		digit := c >= '0' && c <= '9' || c >= 'a' && c <= 'f' || c >= 'A' && c <= 'F'
		if hyphen && c != '-' || !hyphen && !digit {
			return false
		}
	}
	return true
}

// clientAddress is where a request comes from: the other end of the connection, or,
// as long as that is a proxy that is trusted, who it says it passes on for.
func clientAddress(r *http.Request, proxies []netip.Prefix) netip.Addr {
	end, err := netip.ParseAddrPort(r.RemoteAddr)
	if err != nil {
		return netip.Addr{}
	}
	from := end.Addr().Unmap()
	if !trusted(from, proxies) {
		return from
	}
	passed := strings.Split(strings.Join(r.Header.Values("X-Forwarded-For"), ","), ",")
	for i := len(passed) - 1; i >= 0 && trusted(from, proxies); i-- {
		before, err := netip.ParseAddr(strings.TrimSpace(passed[i]))
		if err != nil {
			break
		}
		from = before.Unmap()
	}
	return from
}

func trusted(a netip.Addr, proxies []netip.Prefix) bool {
	return slices.ContainsFunc(proxies, func(p netip.Prefix) bool { return p.Contains(a) })
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

func acceptsHTML(r *http.Request) bool { return strings.Contains(r.Header.Get("Accept"), "text/html") }

// healthPath is where gateways say, on their own domain, whether they are well.
const healthPath = "/health"

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
	if status != http.StatusOK {
		x.w.Header().Set("Retry-After", retryAfter(status, err))
	}
	x.w.Header().Set("Cache-Control", "no-store")
	x.bytesWithStatus(status, "text/plain; charset=utf-8", []byte(text))
}

// domains passes a request on to the registration of domains.
func (x *exchange) domains() {
	if x.r.Method == http.MethodOptions {
		x.preflight(domain.Methods, corsHeaders)
		return
	}
	x.Domains.ServeHTTP(x.w, x.r)
}
