package certificate

import (
	"fmt"
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
		Time, Now  time.Time
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
	return fmt.Sprintf("%s is malformed: %v", part(e.Delegation), e.Err)
}

func (e *SignatureError) Error() string {
	return fmt.Sprintf("%s has a wrong signature: %v", part(e.Delegation), e.Err)
}

func (e *TimeError) Error() string {
	age, than := e.Now.Sub(e.Time), "old"
	if age < 0 {
		age, than = -age, "in the future"
	}
	return fmt.Sprintf("%s of %s is %s %s", part(e.Delegation), e.Time.Format(time.RFC3339), age, than)
}

func (e *DelegationError) Error() string {
	return fmt.Sprintf("certificate: delegation to subnet %s: %s", e.Subnet, e.Reason)
}

func (e *RangeError) Error() string {
	return fmt.Sprintf("certificate: canister %s is in none of the ranges that the delegation shows for subnet %s", e.Canister, e.Subnet)
}

func (e *SubnetError) Error() string {
	return fmt.Sprintf("certificate: subnet %s signed it, not subnet %s", e.Got, e.Want)
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
