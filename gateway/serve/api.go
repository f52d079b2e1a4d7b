package serve

import (
	"io"
	"net/http"
	"strconv"
	"strings"

	"portico/gateway/page"
	"portico/lightclient/principal"
	"portico/lightclient/problem"
)

// maxRequestBytes bounds the bodies of requests. The largest message that replicas
// take is below 4 MiB.
const maxRequestBytes = 10 << 20

// api passes a request on to a replica. Whoever sent it checks the answer.
//
// All of /api/ is the network's, on every host: light clients in browsers leave it
// alone, so a canister's answer there would not be verified.
func (x *exchange) api() {
	path := x.r.URL.EscapedPath() // as it came: unescaped, it could mean something else to the replica
	e, ok := endpointOf(path)
	if !ok {
		x.fail(page.Problem{
			Status: http.StatusNotFound, Code: codeMalformed, Title: "No such endpoint",
			Text: "The interface of the network has no such path.", Reason: path,
		}, nil)
		return
	}
	x.seen.Kind = e.kind
	header := x.w.Header()
	header.Set("X-Content-Type-Options", "nosniff")
	header.Set("X-Frame-Options", "DENY")
	if x.r.Method == http.MethodOptions {
		x.preflight(e.methods, corsHeaders)
		return
	}
	if !strings.Contains(e.methods, x.r.Method) {
		x.methodNotAllowed(e.methods)
		return
	}
	if e.principal != "" {
		if _, err := principal.Parse(e.principal); err != nil {
			x.fail(page.Problem{
				Status: http.StatusBadRequest, Code: codeBadPrincipal, Title: "Not a principal",
				Text: "The path names no canister and no subnet.", Reason: err.Error(),
			}, nil)
			return
		}
	}
	body, ok := x.body()
	if !ok {
		return
	}
	resp, err := x.Upstream.Do(x.r.Context(), x.r.Method, path, body)
	if err != nil {
		x.fail(problemOf(problem.Unreachable(err)), err)
		return
	}
	defer resp.Body.Close()
	x.proxied(resp)
}

// proxied passes a replica's answer on.
func (x *exchange) proxied(resp *http.Response) {
	header := x.w.Header()
	for _, name := range []string{"Content-Type", "Retry-After"} {
		if v := resp.Header.Get(name); v != "" {
			header.Set(name, v)
		}
	}
	switch s := resp.StatusCode; {
	case s >= 200 && s <= 299:
		header.Set("Content-Type", "application/cbor")
	case s == http.StatusTooManyRequests || s == http.StatusServiceUnavailable:
		defaults(header, "Retry-After", retryAfter(s, nil))
	}
	if resp.ContentLength >= 0 {
		header.Set("Content-Length", strconv.FormatInt(resp.ContentLength, 10))
	}
	x.w.WriteHeader(resp.StatusCode)
	if _, err := io.Copy(x.w, resp.Body); err != nil {
		x.Log.Debug("answer cut off", "request", x.id, "err", err)
	}
}

func (x *exchange) methodNotAllowed(methods string) {
	x.w.Header().Set("Allow", methods)
	x.fail(page.Problem{
		Status: http.StatusMethodNotAllowed, Code: codeMalformed, Title: "Method not allowed",
		Text: "This path takes other methods.", Reason: "allowed: " + methods,
	}, nil)
}

// endpoint is an endpoint of the network's interface.
type endpoint struct {
	methods   string
	kind      Kind
	principal string // of the path, if it has one
}

// endpointOf finds the endpoint of a path (interface specification, "HTTPS
// interface"); ok is false if there is none.
func endpointOf(path string) (e endpoint, ok bool) {
	if path == "/api/v2/status" {
		return endpoint{"GET, HEAD", KindStatus, ""}, true
	}
	parts := strings.Split(path, "/") // "", "api", version, "canister", id, endpoint
	if len(parts) != 6 || parts[4] == "" {
		return endpoint{}, false
	}
	e = endpoint{"POST", "", parts[4]}
	switch parts[2] + " " + parts[3] + " " + parts[5] {
	case "v2 canister query", "v3 canister query", "v3 subnet query":
		e.kind = KindQuery
	case "v2 canister call", "v3 canister call", "v4 canister call", "v4 subnet call":
		e.kind = KindCall
	case "v2 canister read_state", "v3 canister read_state", "v2 subnet read_state", "v3 subnet read_state":
		e.kind = KindReadState
	default:
		return endpoint{}, false
	}
	return e, true
}

// body reads the request's body and answers with a problem if it cannot.
func (x *exchange) body() ([]byte, bool) {
	body, err := io.ReadAll(&held{x, http.MaxBytesReader(x.answer.ResponseWriter, x.r.Body, maxRequestBytes)})
	if err != nil {
		x.fail(problemOfBody(err), err)
		return nil, false
	}
	return body, true
}

// held is a request's body as it comes in; what is there counts among what all
// requests may hold together, until this one is answered.
type held struct {
	x    *exchange
	from io.Reader
}

func (h *held) Read(p []byte) (int, error) {
	n, err := h.from.Read(p)
	if n > 0 {
		if err := h.x.Limits.Hold(int64(n)); err != nil {
			return 0, err
		}
		h.x.held += int64(n)
	}
	return n, err
}
