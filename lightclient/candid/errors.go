package candid

import "strconv"

// MalformedError says that a message is not Candid, whatever type is wanted.
type MalformedError struct {
	Offset int // in bytes from the start of the message
	Reason string
}

func (e *MalformedError) Error() string {
	return "candid: byte " + strconv.Itoa(e.Offset) + ": " + e.Reason
}

// MismatchError says that a well-formed message does not hold what is wanted.
type MismatchError struct {
	Offset int    // of the value, in bytes from the start of the message
	Wire   Type   // the type the message declares; nil if the value is missing
	Want   Type   // the type that is wanted
	Path   string // where, from the outside in: "argument 0.amount.e8s"
	Reason string // what is wrong, if the types do not say it
}

func (e *MismatchError) Error() string {
	where := e.Path + " (byte " + strconv.Itoa(e.Offset) + ")"
	switch {
	case e.Reason != "":
		return "candid: " + where + ": " + e.Reason
	case e.Wire == nil:
		return "candid: " + where + ": a value of type " + Short(e.Want) + " is missing"
	}
	return "candid: " + where + ": have " + Short(e.Wire) + ", want " + Short(e.Want)
}

// LimitError says that a message takes more work or depth than a Decoder allows.
type LimitError struct {
	Offset int
	Reason string
}

func (e *LimitError) Error() string {
	return "candid: byte " + strconv.Itoa(e.Offset) + ": " + e.Reason
}

// TypeError says that a type is impossible, or that a value to be encoded is not of its type.
type TypeError struct{ Reason string }

func (e *TypeError) Error() string { return "candid: " + e.Reason }
