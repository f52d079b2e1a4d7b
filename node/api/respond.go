package api

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"

	"portico/lightclient/cbor"
	"portico/lightclient/signature"
	"portico/node/crypto/usersig"
	"portico/node/types"
)

// A refusal is an answer other than 2xx.
type refusal struct {
	status int
	text   string
}

func (e *refusal) Error() string { return e.text }

func refuse(status int, format string, args ...any) error {
	return &refusal{status, fmt.Sprintf(format, args...)}
}

// finish writes the answer to a request that failed; a nil error is one that was
// answered already.
func (s *server) finish(w http.ResponseWriter, r *http.Request, err error) {
	if err == nil {
		return
	}
	status, text := describe(err)
	if status == http.StatusInternalServerError {
		s.Log.Error("request failed", "path", r.URL.Path, "status", status, "error", err)
	} else {
		s.Log.Debug("request refused", "path", r.URL.Path, "status", status, "error", err)
	}
	h := w.Header()
	if status == http.StatusTooManyRequests || status == http.StatusServiceUnavailable {
		h.Set("Retry-After", "1")
	}
	h.Set("Content-Type", "text/plain; charset=utf-8")
	h.Set("X-Content-Type-Options", "nosniff")
	w.WriteHeader(status)
	io.WriteString(w, text) //nolint:errcheck // the client is gone
}

// describe gives the status and text of an error. Errors that no client caused
// are logged, not told.
func describe(err error) (status int, text string) {
	var (
		refused     *refusal
		expiry      *usersig.ExpiryError
		sender      *usersig.SenderError
		delegation  *signature.DelegationError
		signature   *signature.Error
		target      *usersig.TargetError
		unavailable *Unavailable
		busy        *Busy
	)
	switch {
	case errors.As(err, &refused):
		return refused.status, refused.text
	case errors.As(err, &expiry):
		return http.StatusBadRequest, expiry.Error()
	case errors.As(err, &sender), errors.As(err, &delegation), errors.As(err, &signature), errors.As(err, &target):
		return http.StatusForbidden, err.Error()
	case errors.As(err, &busy):
		return http.StatusTooManyRequests, busy.Reason
	case errors.As(err, &unavailable):
		return http.StatusServiceUnavailable, unavailable.Reason
	case errors.Is(err, context.DeadlineExceeded), errors.Is(err, context.Canceled):
		return http.StatusServiceUnavailable, "the replica did not answer in time"
	default:
		return http.StatusInternalServerError, "the replica failed to answer; its log has the reason"
	}
}

// Cross-origin headers (Fetch standard, "CORS protocol"): any page may ask any
// replica, since nothing here depends on cookies.
const (
	allowedHeaders = "Accept, Authorization, Cache-Control, Content-Type, Cookie, DNT, If-Modified-Since, If-None-Match, " +
		"Range, User-Agent, X-Requested-With, X-Ic-Canister-Id"
	exposedHeaders    = "Accept-Ranges, Content-Length, Content-Range, X-Request-Id, X-Ic-Canister-Id"
	preflightMaxAge   = "7200" // seconds
	contentTypeCBOR   = "application/cbor"
	headerAllowOrigin = "Access-Control-Allow-Origin"
)

func allowEveryOrigin(h http.Header) {
	h.Set(headerAllowOrigin, "*")
	h.Set("Access-Control-Expose-Headers", exposedHeaders)
}

func answerPreflight(w http.ResponseWriter, methods string) {
	h := w.Header()
	h.Set("Allow", methods)
	h.Set("Access-Control-Allow-Methods", methods)
	h.Set("Access-Control-Allow-Headers", allowedHeaders)
	h.Set("Access-Control-Max-Age", preflightMaxAge)
	w.WriteHeader(http.StatusNoContent)
}

// writeCBOR answers 200 with a self-described map.
func writeCBOR(w http.ResponseWriter, m *cbor.Map) {
	h := w.Header()
	h.Set("Content-Type", contentTypeCBOR)
	h.Set("X-Content-Type-Options", "nosniff")
	body := cbor.AppendValue(cbor.AppendSelfDescribe(nil), m)
	h.Set("Content-Length", fmt.Sprint(len(body)))
	w.WriteHeader(http.StatusOK)
	w.Write(body) //nolint:errcheck // the client is gone
}

// rejectFields adds what clients learn of a reject.
func rejectFields(m *cbor.Map, reject *types.Reject) {
	m.Set("reject_code", cbor.NatOf(uint64(reject.Code.RejectCode())))
	m.Set("reject_message", cbor.Text(reject.Message))
	m.Set("error_code", cbor.Text(reject.Code.String()))
}

func (s *server) serveStatus(w http.ResponseWriter) error {
	release, err := s.statuses.enter()
	if err != nil {
		return err
	}
	defer release()
	status := s.Replica.Status()
	health := "starting"
	if status.Healthy {
		health = "healthy"
	}
	m := &cbor.Map{}
	if status.RootKey != nil {
		m.Set("root_key", cbor.Bytes(status.RootKey))
	}
	m.Set("impl_version", cbor.Text(status.Version))
	m.Set("replica_health_status", cbor.Text(health))
	m.Set("certified_height", cbor.NatOf(uint64(status.CertifiedHeight)))
	writeCBOR(w, m)
	return nil
}
