package identity

import "fmt"

// A Check is one that a log-in has to pass.
type Check uint8

// The checks, in the order in which a log-in meets them.
const (
	Form             Check = iota + 1 // it is written as log-ins are
	Challenge                         // this server issued the challenge, for this browser
	ChallengeExpired                  // and not longer ago than ChallengeLifetime
	ChallengeUsed                     // nobody logged in with it
	PlainKey                          // the user's key is that of a canister, which delegated
	Signer                            // the canisters that sign are ones this server trusts
	Delegations                       // the chain keeps the limits of the specification
	Expired                           // no delegation has expired
	Permissions                       // no delegation allows queries only
	Targets                           // the delegations are not for other canisters
	ChainSignature                    // every delegation is signed by the key before it
	SessionSignature                  // the last key signed the challenge, for this origin
	Room                              // the server has room for another log-in
)

// String is the check in the form of error codes.
func (c Check) String() string {
	return [...]string{
		Form: "form", Challenge: "challenge", ChallengeExpired: "challenge_expired", ChallengeUsed: "challenge_used",
		PlainKey: "plain_key", Signer: "signer", Delegations: "delegations", Expired: "expired",
		Permissions: "permissions", Targets: "targets", ChainSignature: "chain_signature",
		SessionSignature: "session_signature", Room: "room",
	}[c]
}

// A Refusal says which check a log-in failed, and why. The reason is for the people who
// run the server and for those who write pages; it has no secrets.
type Refusal struct {
	Check Check
	Err   error
}

func (r *Refusal) Error() string { return fmt.Sprintf("log-in refused (%s): %v", r.Check, r.Err) }

// Unwrap returns the reason, such as a *signature.Error of the signatures.
func (r *Refusal) Unwrap() error { return r.Err }
