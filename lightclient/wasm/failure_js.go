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

// failure is what promises are rejected with: {check, message} and, for rejects
// and statuses, the details. The check is what failed, as the TypeScript package
// lists it.
func failure(err error) map[string]any {
	out := map[string]any{"check": checkOf(err), "message": err.Error()}
	var (
		reject *lightclient.Reject
		status *lightclient.StatusError
	)
	switch {
	case errors.As(err, &reject):
		out["reject"] = map[string]any{
			"code": int(reject.Code), "message": reject.Message, "errorCode": reject.ErrorCode, "certified": reject.Certified,
		}
	case errors.As(err, &status):
		out["status"] = status.Status
	}
	return out
}

// checkOf names the check that failed. What is more particular comes first:
// verification errors wrap those of certificates.
func checkOf(err error) string {
	var (
		argument   *argumentError
		response   *asset.Error
		reject     *lightclient.Reject
		status     *lightclient.StatusError
		transport  *lightclient.TransportError
		expired    *lightclient.ExpiredError
		done       *lightclient.DoneError
		unverified *lightclient.VerificationError
	)
	switch {
	case errors.As(err, &argument):
		return "argument"
	case errors.As(err, &response):
		return responseCheck(response)
	case errors.As(err, &reject):
		return "reject"
	case errors.As(err, &status):
		if status.Status >= 500 { // nobody behind the gateway answers
			return "network"
		}
		return "status"
	case errors.Is(err, context.DeadlineExceeded):
		return "timeout"
	case errors.As(err, &transport):
		return "network"
	case errors.As(err, &expired), errors.As(err, &done):
		return "outcome"
	}
	if check := certificateCheck(err); check != "" {
		return check
	}
	if errors.As(err, &unverified) {
		return "signature"
	}
	return "format"
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
	var (
		late       *certificate.TimeError
		outside    *certificate.RangeError
		signature  *certificate.SignatureError
		delegation *certificate.DelegationError
		subnet     *certificate.SubnetError
		format     *certificate.FormatError
	)
	switch {
	case errors.As(err, &late):
		return "time"
	case errors.As(err, &outside), errors.As(err, &subnet):
		return "range"
	case errors.As(err, &delegation):
		return "delegation"
	case errors.As(err, &signature):
		if signature.Delegation {
			return "delegation"
		}
		return "signature"
	case errors.As(err, &format):
		return "format"
	default:
		return ""
	}
}
