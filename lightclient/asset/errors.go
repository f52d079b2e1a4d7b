package asset

// Reason says which check a response failed.
type Reason uint8

const (
	// ReasonMissing: the response carries no certificate.
	ReasonMissing Reason = iota + 1
	// ReasonMalformed: a certification header or what is in it cannot be read.
	ReasonMalformed
	// ReasonVersion: the certification is of a version that is not supported or not wanted.
	ReasonVersion
	// ReasonDowngrade: the canister may offer a better version than it answered with.
	ReasonDowngrade
	// ReasonSignature: the certificate is not signed by the network.
	ReasonSignature
	// ReasonTime: the certificate is too old, or from the future.
	ReasonTime
	// ReasonRange: the subnet that signed may not speak for the canister.
	ReasonRange
	// ReasonTree: the tree is not the one that the canister certified.
	ReasonTree
	// ReasonPath: the certification is for another URL, or a better fitting one may exist.
	ReasonPath
	// ReasonExpression: the rules of certification are not those that the canister certified.
	ReasonExpression
	// ReasonRequest: the answer is certified for another request.
	ReasonRequest
	// ReasonStatus: the status code was changed; body and headers are as certified.
	ReasonStatus
	// ReasonHeaders: the body is the one its entity tag names, so the headers were changed.
	ReasonHeaders
	// ReasonBody: the body was changed; or, if the detail says so, cannot be decoded.
	ReasonBody
	// ReasonResponse: status, headers or body were changed; it cannot be told which.
	ReasonResponse
)

// Check is the name of the check for programs, such as "signature".
func (r Reason) Check() string {
	return [...]string{
		"", "missing", "malformed", "version", "downgrade", "signature", "time", "range", "tree", "path",
		"expression", "request", "status", "headers", "body", "response",
	}[r]
}

// String is a sentence for people.
func (r Reason) String() string {
	return [...]string{
		"",
		"the response carries no certificate",
		"the certification cannot be read",
		"the certification has an unsupported version",
		"the response uses weaker certification than the canister may offer",
		"the certificate is not signed by the network",
		"the certificate's time is not close to now",
		"the subnet that signed may not speak for this canister",
		"the hash tree is not the one that the canister certified",
		"the certification is not the one for this URL",
		"the certification rules are not the ones that the canister certified",
		"the answer was certified for a different request",
		"the status code is not the certified one",
		"the headers are not the certified ones",
		"the body is not the certified one",
		"the status code, the headers or the body are not the certified ones",
	}[r]
}

// Error is the refusal of a response.
type Error struct {
	Reason Reason
	Detail string // what was found, for people; may be empty
	Err    error  // the cause, or nil
}

// Error joins reason, detail and cause.
func (e *Error) Error() string {
	s := e.Reason.String()
	if e.Detail != "" {
		s += ": " + e.Detail
	}
	if e.Err != nil {
		s += ": " + e.Err.Error()
	}
	return s
}

// Unwrap returns the cause.
func (e *Error) Unwrap() error { return e.Err }

func refuse(r Reason, detail string) *Error { return &Error{Reason: r, Detail: detail} }

func refuseFor(r Reason, err error) *Error { return &Error{Reason: r, Err: err} }
