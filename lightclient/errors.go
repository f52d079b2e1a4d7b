package lightclient

import "strconv"

// Reject is the negative answer to a message (interface specification, "Reject codes").
type Reject struct {
	Code      uint8  // 1 to 6
	Message   string // by the canister or the system
	ErrorCode string // such as "IC0536"; may be empty
	// Certified tells whether the subnet has certified the reject. If not, one
	// node says so, before the message was accepted or for a query.
	Certified bool
}

// Error is such as "IC0536 (canister error): message".
func (r *Reject) Error() string {
	s := r.ErrorCode
	if s == "" {
		s = "rejected"
	}
	return s + " (" + r.kind() + "): " + r.Message
}

func (r *Reject) kind() string {
	kinds := [...]string{1: "system error", "temporary system error", "invalid destination", "canister reject", "canister error", "unknown outcome"}
	if r.Code == 0 || int(r.Code) >= len(kinds) {
		return "reject code " + strconv.Itoa(int(r.Code))
	}
	return kinds[r.Code]
}

// TransportError means that no answer came, after the last attempt.
type TransportError struct{ Err error }

// Error gives the transport's error.
func (e *TransportError) Error() string { return "no answer from the network: " + e.Err.Error() }

// Unwrap returns the transport's error.
func (e *TransportError) Unwrap() error { return e.Err }

// StatusError is an answer with an HTTP status other than success.
type StatusError struct {
	Status int
	Text   string // the beginning of the body
}

// Error is such as "the network answered with status 400: Invalid request expiry".
func (e *StatusError) Error() string {
	return "the network answered with status " + strconv.Itoa(e.Status) + ": " + e.Text
}

// VerificationError means that an answer is malformed or not authentic.
type VerificationError struct {
	What string // which answer
	Err  error  // what is wrong with it
}

// Error is such as "certificate of call 0x12…: …".
func (e *VerificationError) Error() string { return e.What + " cannot be believed: " + e.Err.Error() }

// Unwrap returns what is wrong.
func (e *VerificationError) Unwrap() error { return e.Err }

// ExpiredError means that the network knows nothing of a call whose time is over.
// It will not be executed any more; if it ever was accepted, it may have been.
type ExpiredError struct{ RequestID [32]byte }

// Error says so.
func (*ExpiredError) Error() string {
	return "the call has expired and the network knows of no outcome"
}

// DoneError means that a call was executed, but its reply is no longer kept.
type DoneError struct{ RequestID [32]byte }

// Error says so.
func (*DoneError) Error() string { return "the call was executed, but its reply is no longer kept" }

// TooLargeError means that a body exceeds the bound given by the caller.
type TooLargeError struct{ Limit int }

// Error names the bound.
func (e *TooLargeError) Error() string {
	return "the body is larger than " + strconv.Itoa(e.Limit) + " bytes"
}
