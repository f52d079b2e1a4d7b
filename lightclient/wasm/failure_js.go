package main

import (
	"context"
	"errors"

	"portico/lightclient"
	"portico/lightclient/asset"
	"portico/lightclient/certificate"
)

// argumentError means that a caller gave something that makes no request.
type argumentError struct{ Err error }

// Error gives what is wrong with the argument.
func (e *argumentError) Error() string { return e.Err.Error() }

// failure is what promises are rejected with: the check that failed, as the
// TypeScript package lists them, a message, the HTTP status or 0, and of rejects the
// code or 0, message, error code and whether they are certified.
func failure(err error) any {
	out := []any{checkOf(err), err.Error(), 0, 0, "", "", false}
	if r, ok := errors.AsType[*lightclient.Reject](err); ok {
		out[3], out[4], out[5], out[6] = int(r.Code), r.Message, r.ErrorCode, r.Certified
	} else if s, ok := errors.AsType[*lightclient.StatusError](err); ok {
		out[2] = s.Status
	}
	return out
}

// checkOf names the check that failed. What is more particular comes first:
// verification errors wrap those of certificates.
func checkOf(err error) string {
	if response, ok := errors.AsType[*asset.Error](err); ok {
		return responseCheck(response)
	}
	if status, ok := errors.AsType[*lightclient.StatusError](err); ok && status.Status < 500 {
		return "status"
	}
	switch {
	case is[*argumentError](err):
		return "argument"
	case is[*lightclient.Reject](err):
		return "reject"
	case errors.Is(err, context.DeadlineExceeded):
		return "timeout"
	case is[*lightclient.TransportError](err), is[*lightclient.StatusError](err): // nobody behind the gateway answers
		return "network"
	case is[*lightclient.ExpiredError](err), is[*lightclient.DoneError](err):
		return "outcome"
	}
	if check := certificateCheck(err); check != "" {
		return check
	}
	if is[*lightclient.VerificationError](err) {
		return "signature"
	}
	return "format"
}

func is[E error](err error) bool {
	_, ok := errors.AsType[E](err)
	return ok
}

// responseCheck names the check that an HTTP response failed.
func responseCheck(err *asset.Error) string {
	if check := certificateCheck(err); check != "" {
		return check
	}
	return [...]string{
		asset.ReasonMissing: "missing", asset.ReasonMalformed: "format", asset.ReasonVersion: "version",
		asset.ReasonDowngrade: "version", asset.ReasonSignature: "signature", asset.ReasonTime: "time",
		asset.ReasonRange: "range", asset.ReasonTree: "tree", asset.ReasonPath: "path",
		asset.ReasonExpression: "expression", asset.ReasonRequest: "request", asset.ReasonStatus: "status code",
		asset.ReasonHeaders: "headers", asset.ReasonBody: "body", asset.ReasonResponse: "response",
	}[err.Reason]
}

// certificateCheck names the check that a certificate failed, or is "".
func certificateCheck(err error) string {
	signature, signed := errors.AsType[*certificate.SignatureError](err)
	switch {
	case is[*certificate.TimeError](err):
		return "time"
	case is[*certificate.RangeError](err), is[*certificate.SubnetError](err):
		return "range"
	case is[*certificate.DelegationError](err), signed && signature.Delegation:
		return "delegation"
	case signed:
		return "signature"
	case is[*certificate.FormatError](err):
		return "format"
	default:
		return ""
	}
}
