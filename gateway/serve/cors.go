package serve

import (
	"net/http"
	"slices"
	"strings"

	"portico/lightclient"
)

// The cross-origin rules of every gateway of the Internet Computer: canisters and
// the API are open to pages of all origins.
const (
	corsHeaders     = "user-agent, dnt, if-none-match, if-modified-since, cache-control, content-type, range, cookie, x-requested-with, x-ic-canister-id"
	corsHTTPHeaders = corsHeaders + ", x-oc-jwt, x-oc-api-key"
	corsExpose      = "accept-ranges, content-length, content-range, x-request-id, x-ic-canister-id"
	corsMethods     = "HEAD, GET, POST, PUT, DELETE, PATCH"
	corsMaxAge      = "7200"
	corsVary        = "Origin, Access-Control-Request-Method, Access-Control-Request-Headers"
)

// preflight answers a browser that asks whether a page elsewhere may send something.
func (x *exchange) preflight(methods, headers string) {
	x.preflighted = true
	header := x.w.Header()
	header.Set("Access-Control-Allow-Origin", "*")
	header.Set("Access-Control-Allow-Methods", methods)
	header.Set("Access-Control-Allow-Headers", headers)
	header.Set("Access-Control-Max-Age", corsMaxAge)
	header.Set("Vary", corsVary)
	x.w.WriteHeader(http.StatusNoContent)
}

func (x *exchange) isPreflight() bool {
	return x.r.Method == http.MethodOptions && x.r.Header.Get("Access-Control-Request-Method") != ""
}

// answersPreflight reports whether a canister has answered a preflight with rules of
// its own. Many answer OPTIONS as they do GET, with a body: the rules count all the same.
func answersPreflight(resp *lightclient.HTTPResponse) bool {
	if resp.Status < 200 || resp.Status > 299 {
		return false
	}
	for _, h := range resp.Headers {
		if strings.HasPrefix(strings.ToLower(h.Name), "access-control-") {
			return true
		}
	}
	return false
}

// What almost every answer has is shared; nobody writes to it.
var (
	everyOrigin = []string{"*"}
	exposed     = []string{corsExpose}
)

// exposedName is the one header that pages elsewhere can read whatever a canister exposes:
// identity providers learn from it which canister a custom domain stands for, to find
// out who may act for that domain (Internet Identity specification, "Alternative Frontend
// Origins"). It is the gateway's word, so the canister has nothing to hide there.
const exposedName = "x-ic-canister-id"

// completeCORS adds the rules that an answer does not have. Where a canister has its
// own, these stand, each by itself.
func (x *exchange) completeCORS(h http.Header) {
	if len(h["Access-Control-Allow-Origin"]) == 0 {
		h["Access-Control-Allow-Origin"] = everyOrigin
	}
	if x.isPreflight() {
		defaults(h, "Access-Control-Allow-Methods", corsMethods)
		defaults(h, "Access-Control-Allow-Headers", corsHTTPHeaders)
		defaults(h, "Access-Control-Max-Age", corsMaxAge)
		defaults(h, "Vary", corsVary)
		return
	}
	switch own := h["Access-Control-Expose-Headers"]; {
	case len(own) == 0:
		h["Access-Control-Expose-Headers"] = exposed
	case x.target.Named:
		h["Access-Control-Expose-Headers"] = append(slices.Clone(own), exposedName)
	}
}

// defaults sets a header that is not there.
func defaults(h http.Header, name, value string) {
	if len(h[name]) == 0 {
		h[name] = []string{value}
	}
}
