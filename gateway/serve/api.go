package serve

import (
	"errors"
	"io"
	"net/http"
	"strconv"
	"strings"

	"portico/gateway/page"
	"portico/lightclient/problem"
)

// maxRequestBytes bounds the bodies of requests. The largest message that replicas
// take is below 4 MiB.
const maxRequestBytes = 10 << 20

// The cross-origin rules of every gateway of the Internet Computer: canisters and
// the API are open to pages of all origins.
const (
	corsHeaders = "user-agent,dnt,if-none-match,if-modified-since,cache-control,content-type,range,cookie,x-requested-with,x-ic-canister-id"
	corsExpose  = "accept-ranges,content-length,content-range,x-request-id,x-ic-canister-id"
	corsMethods = "HEAD,GET,POST,PUT,DELETE,PATCH"
	corsMaxAge  = "7200"
)

func (x *exchange) allowEveryOrigin() {
	x.w.Header().Set("Access-Control-Allow-Origin", "*")
	x.w.Header().Set("Access-Control-Expose-Headers", corsExpose)
}

// preflight answers a browser that asks whether a page elsewhere may send something.
func (x *exchange) preflight(methods string) {
	x.allowEveryOrigin()
	header := x.w.Header()
	header.Set("Access-Control-Allow-Methods", methods)
	header.Set("Access-Control-Allow-Headers", corsHeaders)
	header.Set("Access-Control-Max-Age", corsMaxAge)
	header.Set("Vary", "Origin, Access-Control-Request-Method, Access-Control-Request-Headers")
	x.w.WriteHeader(http.StatusNoContent)
}

// api passes a request on to a replica. Whoever sent it checks the answer.
func (x *exchange) api() {
	path := x.r.URL.EscapedPath() // as it came: unescaped, it could mean something else to the replica
	methods, ok := apiMethods(path)
	if !ok {
		x.fail(page.Problem{Status: http.StatusNotFound, Title: "No such endpoint", Text: "The interface of the network has no such path.", Reason: path}, nil)
		return
	}
	if x.r.Method == http.MethodOptions {
		x.preflight(methods)
		return
	}
	x.allowEveryOrigin()
	if !strings.Contains(methods, x.r.Method) {
		x.w.Header().Set("Allow", methods)
		x.fail(page.Problem{Status: http.StatusMethodNotAllowed, Title: "Method not allowed", Text: "This path takes other methods.", Reason: "allowed: " + methods}, nil)
		return
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
	header := x.w.Header()
	for _, name := range []string{"Content-Type", "Retry-After"} {
		if v := resp.Header.Get(name); v != "" {
			header.Set(name, v)
		}
	}
	if resp.ContentLength >= 0 {
		header.Set("Content-Length", strconv.FormatInt(resp.ContentLength, 10))
	}
	header.Set("X-Content-Type-Options", "nosniff")
	header.Set("X-Frame-Options", "DENY")
	x.w.WriteHeader(resp.StatusCode)
	if _, err := io.Copy(x.w, resp.Body); err != nil {
		x.Log.Debug("answer cut off", "request", x.id, "err", err)
	}
}

// apiMethods gives the methods of an endpoint (interface specification, "HTTPS
// interface"); ok is false if there is no such endpoint.
func apiMethods(path string) (methods string, ok bool) {
	if path == "/api/v2/status" {
		return "GET,HEAD", true
	}
	parts := strings.Split(path, "/") // "", "api", version, "canister", id, endpoint
	if len(parts) != 6 || parts[4] == "" {
		return "", false
	}
	switch parts[2] + " " + parts[3] + " " + parts[5] {
	case "v2 canister query", "v2 canister call", "v2 canister read_state", "v2 subnet read_state",
		"v3 canister query", "v3 canister call", "v3 canister read_state", "v3 subnet read_state", "v3 subnet query",
		"v4 canister call", "v4 subnet call":
		return "POST", true
	default:
		return "", false
	}
}

// body reads the request's body and answers with a problem if it cannot.
func (x *exchange) body() ([]byte, bool) {
	body, err := io.ReadAll(http.MaxBytesReader(x.w, x.r.Body, maxRequestBytes))
	var large *http.MaxBytesError
	switch {
	case errors.As(err, &large):
		x.fail(page.Problem{
			Status: http.StatusRequestEntityTooLarge,
			Title:  "Request too large",
			Text:   "A request may have a body of at most 10 MiB.",
		}, err)
		return nil, false
	case err != nil:
		x.fail(page.Problem{Status: http.StatusBadRequest, Title: "Request cut off", Text: "The body of the request did not arrive whole."}, err)
		return nil, false
	}
	return body, true
}
