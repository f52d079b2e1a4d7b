package certificate

import (
	"time"

	"portico/lightclient/principal"
)

// The errors of Parse and of a Verifier. Except for FormatError and
// SignatureError, they speak of a certificate whose signature is right.
type (
	// FormatError means that the bytes are no certificate, or that the signed tree
	// lacks what every state tree has.
	FormatError struct {
		Delegation bool // it concerns the delegation's certificate
		Err        error
	}
	// SignatureError means that the root key, or the key it delegated to, did not
	// sign this tree.
	SignatureError struct {
		Delegation bool
		Err        error
	}
	// TimeError means that the certificate is too old, or too far in the future, by
	// the clock of whoever verifies.
	TimeError struct {
		Delegation bool
		Age        time.Duration // negative if its time is still to come
	}
	// DelegationError means that the delegation does not delegate: it has a
	// delegation itself, or shows no key of the subnet that it names.
	DelegationError struct {
		Subnet principal.ID
		Reason string
	}
	// RangeError means that the subnet may not speak for the canister: it is in none
	// of the ranges that the delegation shows.
	RangeError struct{ Canister, Subnet principal.ID }
	// SubnetError means that another subnet signed than the one that was asked.
	SubnetError struct{ Want, Got principal.ID }
)

func (e *FormatError) Error() string {
	return part(e.Delegation) + " is malformed: " + e.Err.Error()
}

func (e *SignatureError) Error() string {
	return part(e.Delegation) + " has a wrong signature: " + e.Err.Error()
}

func (e *TimeError) Error() string {
	if e.Age < 0 {
		return part(e.Delegation) + " is " + (-e.Age).String() + " in the future"
	}
	return part(e.Delegation) + " is " + e.Age.String() + " old"
}

func (e *DelegationError) Error() string {
	return "certificate: delegation to subnet " + e.Subnet.String() + ": " + e.Reason
}

func (e *RangeError) Error() string {
	return "certificate: canister " + e.Canister.String() + " is in none of the ranges that the delegation shows for subnet " + e.Subnet.String()
}

func (e *SubnetError) Error() string {
	return "certificate: subnet " + e.Got.String() + " signed it, not subnet " + e.Want.String()
}

// Unwrap returns what was wrong.
func (e *FormatError) Unwrap() error { return e.Err }

// Unwrap returns what the verification of the signature said.
func (e *SignatureError) Unwrap() error { return e.Err }

func part(delegation bool) string {
	if delegation {
		return "certificate: the delegation's certificate"
	}
	return "certificate: it"
}
