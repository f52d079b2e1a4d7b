// Package api is the HTTPS interface of a replica: status, call, query and
// read_state, in every version that agents use (interface specification, "HTTPS
// interface").
//
// It decodes and authenticates requests, decides who may read what, and encodes
// answers; the Replica behind it runs canisters and holds the state. Requests and
// answers are CBOR; whatever is wrong with a request is said in plain text with a
// 4xx status. Every answer may be read by pages of any origin.
package api

import (
	"log/slog"
	"net/http"
	"strings"
	"time"

	"portico/lightclient/envelope"
	"portico/lightclient/principal"
	"portico/node/crypto/usersig"
	"portico/node/types"
)

// Deps is what the interface is made of.
type Deps struct {
	Replica Replica
	Auth    *usersig.Verifier
	Signer  Signer
	Now     func() types.Time
	Limits  Limits
	Log     *slog.Logger
}

// Limits bound what clients can make a node do at once. Requests beyond them get
// 413 or 429.
type Limits struct {
	// BodyBytes bounds a request's body, IngressBytes that of a call.
	BodyBytes, IngressBytes int64
	// BufferedBytes bounds the memory of all requests in progress together.
	BufferedBytes int64
	// Calls, Queries, ReadStates and Statuses bound the requests of each kind in progress.
	Calls, Queries, ReadStates, Statuses int
	// Waiting bounds the calls that wait for their certificate; further ones are
	// answered 202. SyncWait is how long each waits.
	Waiting  int
	SyncWait time.Duration
}

// DefaultLimits are the limits of the Internet Computer's replicas where they are
// known. IngressBytes is that of system subnets.
func DefaultLimits() Limits {
	return Limits{
		BodyBytes: 5 * types.MiB, IngressBytes: 7 * types.MiB / 2, BufferedBytes: 512 * types.MiB,
		Calls: 50, Queries: 400, ReadStates: 100, Statuses: 100,
		Waiting: 4096, SyncWait: 10 * time.Second,
	}
}

// New makes the handler of the paths below /api.
func New(deps Deps) http.Handler {
	return &server{
		Deps:     deps,
		buffered: newBudget(deps.Limits.BufferedBytes),
		calls:    newGate("calls", deps.Limits.Calls), queries: newGate("queries", deps.Limits.Queries),
		readStates: newGate("read_state requests", deps.Limits.ReadStates), statuses: newGate("status requests", deps.Limits.Statuses),
		waiting: newGate("waiting calls", deps.Limits.Waiting),
	}
}

type server struct {
	Deps
	buffered                                      *budget
	calls, queries, readStates, statuses, waiting gate
}

// An endpoint is one of the paths, as far as its handling differs.
type endpoint struct {
	kind   envelope.Kind
	subnet bool // the path names a subnet
	// sync calls are answered with a certificate.
	sync bool
	// flatRanges says that /subnet/<id>/canister_ranges of any subnet may be read.
	flatRanges bool
	form       DelegationForm
}

// statusPath is the only path without an effective id.
const statusPath = "/api/v2/status"

// Paths are /api/<version>/<scope>/<effective id>/<action>.
func endpointOf(version, scope, action string) (ep endpoint, ok bool) {
	const call, query, read = envelope.Call, envelope.Query, envelope.ReadState
	switch version + " " + scope + " " + action {
	case "v2 canister call":
		return endpoint{kind: call}, true
	case "v3 canister call":
		return endpoint{kind: call, sync: true, form: DelegationFlat}, true
	case "v4 canister call":
		return endpoint{kind: call, sync: true, form: DelegationShard}, true
	case "v4 subnet call":
		return endpoint{kind: call, sync: true, subnet: true, form: DelegationBare}, true
	case "v2 canister query", "v3 canister query":
		return endpoint{kind: query}, true
	case "v3 subnet query":
		return endpoint{kind: query, subnet: true}, true
	case "v2 canister read_state":
		return endpoint{kind: read, form: DelegationFlat, flatRanges: true}, true
	case "v3 canister read_state":
		return endpoint{kind: read, form: DelegationShard}, true
	case "v2 subnet read_state":
		return endpoint{kind: read, subnet: true, form: DelegationFlat, flatRanges: true}, true
	case "v3 subnet read_state":
		return endpoint{kind: read, subnet: true, form: DelegationBare}, true
	default:
		return endpoint{}, false
	}
}

// delegation is what certificates of this endpoint carry.
func (ep endpoint) delegation(target Target) Delegation {
	d := Delegation{Form: ep.form}
	if ep.form == DelegationShard {
		d.Canister = target.ID
	}
	return d
}

func (s *server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	allowEveryOrigin(w.Header())
	if r.URL.Path == statusPath {
		if s.allows(w, r, http.MethodGet, http.MethodHead) {
			s.finish(w, r, s.serveStatus(w))
		}
		return
	}
	ep, target, err := route(r.URL.Path)
	if err != nil {
		s.finish(w, r, err)
		return
	}
	if s.allows(w, r, http.MethodPost) {
		s.finish(w, r, s.serve(w, r, ep, target))
	}
}

func route(path string) (endpoint, Target, error) {
	parts := strings.Split(path, "/")
	if len(parts) != 6 || parts[0] != "" || parts[1] != "api" {
		return endpoint{}, Target{}, noSuchPath(path)
	}
	ep, ok := endpointOf(parts[2], parts[3], parts[5])
	if !ok {
		return endpoint{}, Target{}, noSuchPath(path)
	}
	id, err := principal.Parse(parts[4])
	if err != nil {
		return endpoint{}, Target{}, refuse(http.StatusBadRequest, "effective %s id in the path: %v", parts[3], err)
	}
	return ep, Target{ID: id, Subnet: ep.subnet}, nil
}

func noSuchPath(path string) error {
	return refuse(http.StatusNotFound, "there is nothing at %s: the paths are %s, /api/v{2,3,4}/canister/<id>/call, "+
		"/api/v4/subnet/<id>/call, /api/v{2,3}/canister/<id>/query, /api/v3/subnet/<id>/query, "+
		"/api/v{2,3}/canister/<id>/read_state and /api/v{2,3}/subnet/<id>/read_state", path, statusPath)
}

// allows answers preflight requests and those of a wrong method itself, and then returns false.
func (s *server) allows(w http.ResponseWriter, r *http.Request, methods ...string) bool {
	for _, m := range methods {
		if r.Method == m {
			return true
		}
	}
	list := strings.Join(append(methods, http.MethodOptions), ", ")
	if r.Method == http.MethodOptions {
		answerPreflight(w, list)
		return false
	}
	w.Header().Set("Allow", list)
	s.finish(w, r, refuse(http.StatusMethodNotAllowed, "method %s is not allowed here: want %s", r.Method, list))
	return false
}

// serve handles the requests that are sent in envelopes. An error it returns is
// still to be written.
func (s *server) serve(w http.ResponseWriter, r *http.Request, ep endpoint, target Target) error {
	switch ep.kind {
	case envelope.Call:
		return s.serveCall(w, r, ep, target)
	case envelope.Query:
		return s.serveQuery(w, r, ep, target)
	default:
		return s.serveReadState(w, r, ep, target)
	}
}

// decode reads an envelope that is meant for the endpoint.
func decode(raw []byte, ep endpoint) (*envelope.Envelope, error) {
	e, err := envelope.Decode(raw)
	if err != nil {
		return nil, refuse(http.StatusBadRequest, "malformed request: %v", err)
	}
	if e.Request.Kind != ep.kind {
		return nil, refuse(http.StatusBadRequest, "request_type is %q, but this path takes %q", e.Request.Kind, ep.kind)
	}
	return e, nil
}
