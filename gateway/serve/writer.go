package serve

import (
	"bufio"
	"net"
	"net/http"
	"net/netip"
	"time"

	"portico/lightclient/principal"
)

// Seen is what is known of a request once it was answered.
type Seen struct {
	ID       string // of the request, a UUID
	Address  netip.Addr
	Method   string
	Host     string // as the request has it
	Path     string
	Protocol string // such as "HTTP/1.1"
	Kind     Kind
	Canister principal.ID // if Named
	Named    bool
	Status   int // 0 if the connection broke before there was one
	Bytes    int64
	Duration time.Duration
	Answer   string // how a canister's answer came: one of the answers below, or nothing
	Problem  string // its code, or nothing
}

// Kind is what a request is for.
type Kind string

// The kinds.
const (
	KindCall      Kind = "call"
	KindQuery     Kind = "query"
	KindReadState Kind = "read_state"
	KindStatus    Kind = "status"
	KindHTTP      Kind = "http"   // for a canister
	KindOwn       Kind = "own"    // for the gateway: its pages, the service worker
	KindHealth    Kind = "health" // is it well?
	KindDomains   Kind = "domains"
	KindRefused   Kind = "refused" // before it was known for what it is
)

// How a canister's answer came.
const (
	AnswerVerified = "verified" // by the gateway
	AnswerKept     = "kept"     // it was verified before
	AnswerStale    = "stale"    // the same, but not fresh any more
	AnswerRaw      = "raw"      // by nobody
	AnswerWorker   = "worker"   // a page that makes the browser verify
)

// Observer is told of every request.
type Observer interface {
	Began()
	Ended(Seen)
}

// writer is the way back to the client. It sets what every answer says, and notes
// what goes by.
type writer struct {
	http.ResponseWriter
	x        *exchange
	status   int
	bytes    int64
	extended time.Time // when the client got time for the last time
}

// Unwrap is for http.ResponseController.
func (a *writer) Unwrap() http.ResponseWriter { return a.ResponseWriter }

// Flush is for handlers that stream.
func (a *writer) Flush() { _ = http.NewResponseController(a.ResponseWriter).Flush() }

// Hijack is for handlers that go on with another protocol.
func (a *writer) Hijack() (net.Conn, *bufio.ReadWriter, error) {
	a.status = http.StatusSwitchingProtocols
	return http.NewResponseController(a.ResponseWriter).Hijack()
}

// WriteHeader completes the head: what says who answered is the gateway's word, and
// a canister's headers cannot replace it.
func (a *writer) WriteHeader(status int) {
	if a.status == 0 && status >= http.StatusOK {
		a.status = status
		a.x.complete(a.Header())
	}
	a.ResponseWriter.WriteHeader(status)
}

// A client may take as long as it wants for a whole answer, but not to take the
// next piece.
const (
	pieceTimeout = 90 * time.Second
	pieceRenewal = 10 * time.Second
)

func (a *writer) Write(b []byte) (int, error) {
	if a.status == 0 {
		a.WriteHeader(http.StatusOK)
	}
	if now := time.Now(); now.Sub(a.extended) > pieceRenewal {
		a.extended = now
		// Recorders in tests have no deadlines.
		_ = http.NewResponseController(a.ResponseWriter).SetWriteDeadline(now.Add(pieceTimeout))
	}
	n, err := a.ResponseWriter.Write(b)
	a.bytes += int64(n)
	return n, err
}

const (
	requestIDHeader  = "X-Request-Id"
	canisterIDHeader = "X-Ic-Canister-Id"
	hstsHeader       = "Strict-Transport-Security"
	// hsts makes browsers come by HTTPS only, for a year.
	hsts = "max-age=31536000"
)

// internalHeaders are for the machinery of gateways and say nothing that was
// certified: nobody must take a canister's or a replica's for ours.
var internalHeaders = [...]string{
	"X-Ic-Cache-Bypass-Reason", "X-Ic-Cache-Status", "X-Ic-Canister-Id-Cbor", "X-Ic-Error-Cause", "X-Ic-Method-Name", "X-Ic-Node-Id",
	"X-Ic-Request-Type", "X-Ic-Retries", "X-Ic-Sender", "X-Ic-Subnet-Id", "X-Ic-Subnet-Type", "X-Ic-Country-Code",
}

// complete sets the headers that every answer has.
func (x *exchange) complete(h http.Header) {
	for _, name := range internalHeaders {
		delete(h, name)
	}
	h[requestIDHeader] = []string{x.id}
	delete(h, canisterIDHeader)
	if x.target.Named {
		h[canisterIDHeader] = []string{x.target.Canister.String()}
	}
	if x.r.TLS != nil && h.Get(hstsHeader) == "" {
		h.Set(hstsHeader, hsts)
	}
	if x.seen.Kind != KindOwn && !x.preflighted {
		x.completeCORS(h)
	}
}
