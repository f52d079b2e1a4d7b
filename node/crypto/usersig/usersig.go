// Package usersig checks who a request comes from: the signature of its sender,
// delegations, expiry and sender info (interface specification, "Authentication").
//
// Package signature knows the schemes and the rules of chains. Whether the sender
// may do what the request asks for is decided elsewhere, except for what delegations
// themselves restrict.
package usersig

import (
	"fmt"
	"time"

	"portico/lightclient/envelope"
	"portico/lightclient/principal"
	"portico/lightclient/signature"
	"portico/node/types"
)

// MaxIngressExpiry is how far ahead of a node's clock an expiry may lie: the five
// minutes that clients may ask for, and half a minute for their clocks.
const MaxIngressExpiry = 5*time.Minute + 30*time.Second

// A Verifier checks requests. It may be used by many goroutines.
type Verifier struct{ signatures *signature.Verifier }

// New makes a Verifier.
func New(cfg signature.Config) *Verifier { return &Verifier{signature.New(cfg)} }

// Authenticated is a request's sender, as far as it is proved.
type Authenticated struct {
	Sender principal.ID
	terms  *signature.Terms
}

// MayReach reports whether the delegations let the request be sent to a canister.
func (a *Authenticated) MayReach(canister principal.ID) bool { return a.terms.MayReach(canister) }

// Check decides whether a request is signed as its sender demands, at the time
// now of this node's clock.
//
// It checks the targets of delegations for calls, and for queries to canisters. A
// query to the management canister may also be meant by delegations to the
// canister that its argument names, and what a read_state reveals depends on its paths:
// for those the caller asks MayReach. Limits that envelope.Decode keeps are checked
// again, so that an envelope from elsewhere gains nothing.
//
// The errors are *ExpiryError, *SenderError, *TargetError, *signature.DelegationError
// and *signature.Error.
func (v *Verifier) Check(e *envelope.Envelope, now types.Time) (*Authenticated, error) {
	r := &e.Request
	if len(r.Nonce) > envelope.MaxNonceBytes {
		return nil, &SenderError{r.Sender, fmt.Sprintf("the nonce has %d bytes, at most %d are allowed", len(r.Nonce), envelope.MaxNonceBytes)}
	}
	if r.Sender.IsAnonymous() {
		return v.checkAnonymous(e, now)
	}
	if err := checkExpiry(r, now); err != nil {
		return nil, err
	}
	if err := checkSender(e); err != nil {
		return nil, err
	}
	terms, err := signature.ReadChain(e.SenderPublicKey, e.SenderDelegation, now.Std())
	if err != nil {
		return nil, err
	}
	if r.Kind == envelope.Call && terms.QueriesOnly > 0 {
		return nil, &signature.DelegationError{Index: terms.QueriesOnly, Reason: `has the permissions "queries", which allow queries and read_state but no calls`}
	}
	if err := v.checkSignatures(e, terms.Key); err != nil {
		return nil, err
	}
	auth := &Authenticated{Sender: r.Sender, terms: terms}
	if err := checkTargets(r, auth); err != nil {
		return nil, err
	}
	return auth, nil
}

// checkAnonymous accepts requests that nobody signed. What is not a call has no
// effect that could be replayed, so its expiry does not matter.
func (v *Verifier) checkAnonymous(e *envelope.Envelope, now types.Time) (*Authenticated, error) {
	r := &e.Request
	switch {
	case e.SenderPublicKey != nil || e.SenderSig != nil || e.SenderDelegation != nil:
		return nil, &SenderError{r.Sender, "a request of the anonymous sender must not have sender_pubkey, sender_sig or sender_delegation"}
	case r.SenderInfo != nil:
		return nil, &SenderError{r.Sender, "a request of the anonymous sender must not have sender_info"}
	case r.Kind == envelope.Call:
		if err := checkExpiry(r, now); err != nil {
			return nil, err
		}
	}
	return &Authenticated{Sender: r.Sender, terms: &signature.Terms{}}, nil
}

func checkExpiry(r *envelope.Request, now types.Time) error {
	latest := now.Add(MaxIngressExpiry)
	if expiry := types.Time(r.IngressExpiry); expiry < now || expiry > latest {
		return &ExpiryError{Expiry: expiry, Earliest: now, Latest: latest}
	}
	return nil
}

func checkSender(e *envelope.Envelope) error {
	sender := e.Request.Sender
	switch {
	case e.SenderPublicKey == nil:
		return &SenderError{sender, "sender_pubkey is missing; only the anonymous sender needs none"}
	case e.SenderSig == nil:
		return &SenderError{sender, "sender_sig is missing; only the anonymous sender needs none"}
	}
	if owner := principal.SelfAuthenticating(e.SenderPublicKey); owner != sender {
		return &SenderError{sender, fmt.Sprintf("sender_pubkey belongs to %s", owner)}
	}
	return nil
}

func checkTargets(r *envelope.Request, auth *Authenticated) error {
	if r.Kind == envelope.ReadState || (r.Kind == envelope.Query && r.Canister.IsManagement()) {
		return nil
	}
	if !auth.MayReach(r.Canister) {
		return &TargetError{Canister: r.Canister}
	}
	return nil
}

// checkSignatures verifies the chain from sender_pubkey to the key that signs the
// request, the request's signature by it, and the sender info.
func (v *Verifier) checkSignatures(e *envelope.Envelope, key []byte) error {
	if err := v.signatures.VerifyChain(e.SenderPublicKey, e.SenderDelegation); err != nil {
		return err
	}
	if err := v.signatures.VerifyAs("sender_sig", key, envelope.RequestSignedBytes(e.RequestID), e.SenderSig); err != nil {
		return err
	}
	if e.Request.SenderInfo == nil {
		return nil
	}
	return v.checkSenderInfo(e)
}

func (v *Verifier) checkSenderInfo(e *envelope.Envelope) error {
	info := e.Request.SenderInfo
	key, err := signature.ParseKey(e.SenderPublicKey)
	switch {
	case err != nil:
		return &signature.Error{What: "sender_info", Err: err}
	case key.Scheme != signature.CanisterSignature:
		return &signature.Error{What: "sender_info", Err: fmt.Errorf("sender_pubkey is a key of scheme %s: only senders with canister signatures have sender info", key.Scheme)}
	case key.Signer != info.Signer:
		return &signature.Error{What: "sender_info", Err: fmt.Errorf("the signer is %s, but sender_pubkey is a key of canister %s", info.Signer, key.Signer)}
	}
	return v.signatures.VerifyAs("sender_info", e.SenderPublicKey, envelope.SenderInfoSignedBytes(info.Info), info.Sig)
}
