package serve

import (
	"encoding/json"
	"errors"
	"math"
	"net/http"
	"strconv"
	"strings"
	"time"

	"portico/gateway/host"
	"portico/gateway/limit"
	"portico/gateway/page"
	"portico/lightclient"
	"portico/lightclient/asset"
	"portico/lightclient/problem"
)

// Codes of problems, as every gateway of the Internet Computer has them: programs
// read them in answers of type JSON.
const (
	codeUnknownDomain   = "client_unknown_domain"
	codeMalformed       = "client_malformed_request"
	codeNoAuthority     = "client_no_authority"
	codeBadPrincipal    = "client_incorrect_principal"
	codeBodyTooLarge    = "client_body_too_large"
	codeBodyTimeout     = "client_body_timeout"
	codeNotACanister    = "canister_id_incorrect"
	codeNoCanister      = "canister_id_not_resolved"
	codeMissingCanister = "canister_not_found"
	codeCanisterReject  = "canister_reject"
	codeCanisterError   = "canister_error"
	codeCanisterFrozen  = "canister_frozen"
	codeVerification    = "backend_response_verification"
	codeUpstream        = "backend_connect"
	codeDenied          = "denylisted"
	codeForbidden       = "forbidden"
	codeShed            = "load_shed"
	codeRateLimited     = "rate_limited"
	codeInternal        = "internal_server_error"
)

// problemOfHost explains why a host has no target.
func problemOfHost(err error) page.Problem {
	var name *host.NotACanister
	if errors.As(err, &name) {
		return page.Problem{
			Status: http.StatusBadRequest,
			Code:   codeNotACanister,
			Title:  "Not a canister",
			Text:   "The address does not name a canister.",
			Next:   "Check it for typing errors. A canister's name looks like ryjl3-tyaaa-aaaaa-aaaba-cai; its last letters check the others, so one wrong letter is enough.",
			Reason: err.Error(),
		}
	}
	var malformed *host.Malformed
	if errors.As(err, &malformed) {
		p := page.Problem{
			Status: http.StatusBadRequest,
			Code:   codeMalformed,
			Title:  "Malformed request",
			Text:   "The request names no host that there could be.",
			Reason: err.Error(),
		}
		if malformed.Host == "" {
			p.Code = codeNoAuthority
		}
		return p
	}
	return page.Problem{
		Status: http.StatusBadRequest,
		Code:   codeUnknownDomain,
		Title:  "Unknown domain",
		Text:   "This gateway does not serve the name in the address.",
		Next:   "Check the address. If the domain is yours, whoever runs the gateway has to add it first.",
		Reason: err.Error(),
	}
}

// problemOf makes a page of what the light client says.
func problemOf(p problem.Problem) page.Problem {
	return page.Problem{Status: p.Status, Title: p.Title, Text: p.Text, Next: p.Next, Check: p.Check, Reason: p.Reason, Retry: p.Retry}
}

// problemOfLimit explains that there is too much to do, or that somebody asks too often.
func problemOfLimit(err error) page.Problem {
	var fast *limit.TooFast
	if errors.As(err, &fast) {
		return page.Problem{
			Status: http.StatusTooManyRequests,
			Code:   codeRateLimited,
			Title:  "Too many requests",
			Text:   "More requests come from your address than this gateway answers.",
			Next:   "Wait a moment, then try again.",
			Retry:  true,
		}
	}
	return page.Problem{
		Status: http.StatusServiceUnavailable,
		Code:   codeShed,
		Title:  "Gateway busy",
		Text:   "This gateway has as much to do as it can.",
		Next:   "Try again in a moment.",
		Reason: err.Error(),
		Retry:  true,
	}
}

func problemOfDenial() page.Problem {
	return page.Problem{
		Status: http.StatusUnavailableForLegalReasons,
		Code:   codeDenied,
		Title:  "Not served here",
		Text:   "Whoever runs this gateway has decided not to serve this canister. Other gateways may.",
	}
}

func problemOfBody(err error) page.Problem {
	var large *http.MaxBytesError
	var busy *limit.Busy
	var timeout interface{ Timeout() bool }
	switch {
	case errors.As(err, &large):
		return page.Problem{
			Status: http.StatusRequestEntityTooLarge,
			Code:   codeBodyTooLarge,
			Title:  "Request too large",
			Text:   "A request may have a body of at most 10 MiB.",
		}
	case errors.As(err, &busy):
		return problemOfLimit(err)
	case errors.As(err, &timeout) && timeout.Timeout():
		return page.Problem{
			Status: http.StatusRequestTimeout,
			Code:   codeBodyTimeout,
			Title:  "Request too slow",
			Text:   "The body of the request did not arrive in time.",
		}
	default:
		return page.Problem{
			Status: http.StatusBadRequest,
			Code:   codeMalformed,
			Title:  "Request cut off",
			Text:   "The body of the request did not arrive whole.",
		}
	}
}

// codeOf finds the code of a problem by its cause and its status.
func codeOf(status int, cause error) string {
	var (
		certification *asset.Error
		unverified    *lightclient.VerificationError
		reject        *lightclient.Reject
	)
	switch {
	case errors.As(cause, &certification), errors.As(cause, &unverified):
		return codeVerification
	case errors.As(cause, &reject):
		return codeOfReject(reject)
	}
	switch status {
	case http.StatusNotFound:
		return codeMissingCanister
	case http.StatusForbidden:
		return codeForbidden
	case http.StatusTooManyRequests:
		return codeRateLimited
	case http.StatusServiceUnavailable:
		return codeUpstream
	case http.StatusInternalServerError:
		return codeInternal
	default:
		return codeMalformed
	}
}

func codeOfReject(r *lightclient.Reject) string {
	switch r.ErrorCode {
	case "IC0207", "IC0530", "IC0531", "IC0532", "IC0535":
		return codeCanisterFrozen
	case "IC0301":
		return codeMissingCanister
	case "IC0406":
		return codeCanisterReject
	default:
		return codeCanisterError
	}
}

// After how long to try again where nothing better is known: whoever was refused for
// asking too much, and whoever found the network or a canister out of order.
const (
	retryAfterRefusal = time.Second
	retryAfterOutage  = 5 * time.Second
)

// retryAfter says after how long to ask again, in whole seconds as HTTP has it.
func retryAfter(status int, cause error) string {
	var fast *limit.TooFast
	var busy *limit.Busy
	wait := retryAfterOutage
	switch {
	case errors.As(cause, &fast):
		wait = fast.RetryAfter
	case errors.As(cause, &busy):
		wait = busy.RetryAfter
	case status == http.StatusTooManyRequests:
		wait = retryAfterRefusal
	}
	return strconv.Itoa(max(1, int(math.Ceil(wait.Seconds()))))
}

// fail answers with a problem: a page for browsers, JSON for programs that ask for
// it, a line of text for others.
func (x *exchange) fail(p page.Problem, cause error) {
	p.RequestID = x.id
	p.Retry = p.Retry && x.r.Method == http.MethodGet
	if p.Code == "" {
		p.Code = codeOf(p.Status, cause)
	}
	x.seen.Problem = p.Code
	if x.target.Named {
		p.Canister = x.target.Canister.String()
		p.Verify = x.Worker != nil && !x.target.Bare && !x.target.Raw
	}
	x.Log.Info("problem", "request", x.id, "host", x.r.Host, "path", x.r.URL.Path, "status", p.Status, "title", p.Title, "err", cause)
	header := x.w.Header()
	if p.Status == http.StatusTooManyRequests || p.Status == http.StatusServiceUnavailable {
		header.Set("Retry-After", retryAfter(p.Status, cause))
	}
	switch accept := x.r.Header.Get("Accept"); {
	case strings.Contains(accept, "text/html"):
		x.render(p.Status, page.Error(p))
	case strings.Contains(accept, "application/json"):
		x.json(p.Status, failure{p.Code, p.Text, p.Reason})
	default:
		text := p.Title + "\n"
		if p.Reason != "" {
			text = p.Title + ": " + p.Reason + "\n"
		}
		header.Set("Cache-Control", "no-store")
		x.bytesWithStatus(p.Status, "text/plain; charset=utf-8", []byte(text))
	}
}

// failure is a problem in JSON, in the form of ic-gateway.
type failure struct {
	ErrorType   string `json:"error_type"`
	Description string `json:"description"`
	Details     string `json:"details,omitempty"`
}

// json answers with a value, which always has a JSON form.
func (x *exchange) json(status int, value any) {
	b, err := json.MarshalIndent(value, "", "  ")
	if err != nil {
		panic(err) // the callers' types are structs of strings
	}
	x.w.Header().Set("Cache-Control", "no-store")
	x.bytesWithStatus(status, "application/json", append(b, '\n'))
}
