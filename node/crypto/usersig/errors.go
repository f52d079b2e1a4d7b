package usersig

import (
	"fmt"

	"portico/lightclient/principal"
	"portico/node/types"
)

// An ExpiryError says that the ingress expiry of a request is past or too far ahead.
// Its text begins with "Invalid request expiry: ", which agents look for in
// order to set their clocks and try again.
type ExpiryError struct {
	Expiry, Earliest, Latest types.Time
}

func (e *ExpiryError) Error() string {
	fault := "in the past"
	if e.Expiry > e.Latest {
		fault = "too far ahead"
	}
	return fmt.Sprintf("Invalid request expiry: ingress_expiry %s is %s: it must lie between %s and %s", e.Expiry, fault, e.Earliest, e.Latest)
}

// A SenderError says that a request's fields do not go with its sender.
type SenderError struct {
	Sender principal.ID
	Reason string
}

func (e *SenderError) Error() string { return fmt.Sprintf("sender %s: %s", e.Sender, e.Reason) }

// A TargetError says that the delegations do not allow requests to a canister.
type TargetError struct{ Canister principal.ID }

func (e *TargetError) Error() string {
	return fmt.Sprintf("canister %s is not among the targets of the delegations", e.Canister)
}
