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
	return "malformed"
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
	if err.Reason == asset.ReasonStatus {
		return "status code" // status is that of the network's refusal
	}
	return err.Reason.Check()
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
		return "malformed"
	default:
		return ""
	}
}
