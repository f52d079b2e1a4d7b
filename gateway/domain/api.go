package domain

import (
	"encoding/json"
	"errors"
	"net/http"
	"strings"
)

// Prefix is where the interface is, on the gateway's own domains, and Methods are what
// it takes.
const (
	Prefix  = "/custom-domains/v1/"
	Methods = "HEAD, GET, POST, DELETE, PATCH"
)

// reply is every answer of the interface, in the form of the Internet Computer's
// gateways.
type reply struct {
	Status  string `json:"status"` // "success" or "error"
	Message string `json:"message,omitempty"`
	Data    record `json:"data"`
	Errors  string `json:"errors,omitempty"`
}

type record struct {
	Domain       string `json:"domain"`
	Canister     string `json:"canister_id,omitempty"`
	Registration string `json:"registration_status,omitempty"`
	Validation   string `json:"validation_status,omitempty"`
}

// What people are told. Checks are made while they wait, so "accepted" is "done".
const (
	registered   = "Domain registration request accepted"
	updated      = "Update domain registration request accepted"
	deleted      = "Delete domain registration request accepted"
	statusIs     = "Registration status of the domain"
	eligible     = "Domain is eligible for registration: DNS records are valid and canister ownership is verified"
	notEligible  = "Failed to validate DNS records or verify canister ownership"
	notDone      = "Domain registration request failed"
	isRegistered = "registered"
	isValid      = "valid"
)

// ServeHTTP answers at Prefix:
//
//	GET    <domain>            registered for which canister? 200 or 404
//	GET    <domain>/validate   could it be registered? 200 or 400
//	POST   <domain>            register it: 202, 400, 409
//	PATCH  <domain>            move it to the canister that DNS names now: 202, 400, 404
//	DELETE <domain>            give it up, once DNS names no canister: 202, 400, 404
func (r *Registry) ServeHTTP(w http.ResponseWriter, req *http.Request) {
	text, action, _ := strings.Cut(strings.TrimPrefix(req.URL.Path, Prefix), "/")
	name, err := r.parseName(text)
	out := reply{Status: "success", Data: record{Domain: text}}
	status := http.StatusOK
	if err == nil {
		out.Data.Domain = name
		status, err = r.answer(req, name, action, &out)
	}
	if err != nil {
		r.cfg.Log.Info("a custom domain was refused", "domain", text, "method", req.Method, "err", err)
		out = reply{Status: "error", Message: notDone, Data: record{Domain: out.Data.Domain}}
		if action == "validate" {
			out.Message = notEligible
		}
		status, out.Errors = explain(err)
	}
	if status == http.StatusServiceUnavailable {
		w.Header().Set("Retry-After", "5")
	}
	body, err := json.MarshalIndent(out, "", "  ")
	if err != nil {
		panic(err) // a struct of strings always has a JSON form
	}
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("X-Content-Type-Options", "nosniff")
	w.Header().Set("Cache-Control", "no-store")
	w.WriteHeader(status)
	if req.Method != http.MethodHead {
		_, _ = w.Write(append(body, '\n'))
	}
}

// errMethod and errPath are for what the interface does not have.
var (
	errMethod = errors.New("the method is not for this path")
	errPath   = errors.New("there is no such path")
)

func (r *Registry) answer(req *http.Request, name, action string, out *reply) (int, error) {
	ctx := req.Context()
	reads := req.Method == http.MethodGet || req.Method == http.MethodHead
	switch {
	case action == "validate" && reads:
		canister, err := r.validate(ctx, name)
		out.Message, out.Data.Canister, out.Data.Validation = eligible, canister.String(), isValid
		return http.StatusOK, err
	case action == "validate":
		return 0, errMethod
	case action != "":
		return 0, errPath
	case reads:
		canister, known := r.Lookup(name)
		if !known {
			return 0, errUnknown
		}
		out.Message, out.Data.Canister, out.Data.Registration = statusIs, canister.String(), isRegistered
		return http.StatusOK, nil
	case req.Method == http.MethodPost, req.Method == http.MethodPatch:
		canister, err := r.register(ctx, name, req.Method == http.MethodPatch)
		out.Message, out.Data.Canister = registered, canister.String()
		if req.Method == http.MethodPatch {
			out.Message = updated
		}
		return http.StatusAccepted, err
	case req.Method == http.MethodDelete:
		out.Message = deleted
		return http.StatusAccepted, r.remove(ctx, name)
	default:
		return 0, errMethod
	}
}

// explain gives the status and the text of an error.
func explain(err error) (int, string) {
	var no *Refused
	switch {
	case errors.As(err, &no):
		return http.StatusBadRequest, "bad_request: " + err.Error()
	case errors.Is(err, errUnknown), errors.Is(err, errPath):
		return http.StatusNotFound, "not_found: " + err.Error()
	case errors.Is(err, errMethod):
		return http.StatusMethodNotAllowed, "method_not_allowed: " + err.Error()
	case errors.Is(err, errExists):
		return http.StatusConflict, "conflict: " + err.Error()
	default:
		// DNS or the disk: nothing that the owner of the domain has done wrong.
		return http.StatusServiceUnavailable, "unavailable: " + err.Error()
	}
}
