package envelope

import (
	"portico/lightclient/principal"
	"portico/lightclient/reason"
)

// An Identity makes envelopes for one sender.
type Identity interface {
	// Sender is the principal that requests are sent as.
	Sender() principal.ID
	// Sign returns the envelope of r with Sender as its sender.
	Sign(r Request) (*Envelope, error)
}

// A Signer holds a private key. In a browser the key may be one that only the
// browser itself can use.
type Signer interface {
	// PublicKey is in DER, as the specification lists under "Signatures".
	PublicKey() []byte
	Sign(msg []byte) (sig []byte, err error)
}

// Anonymous is the identity without a key.
type Anonymous struct{}

// Sender is the anonymous principal.
func (Anonymous) Sender() principal.ID { return principal.Anonymous() }

// Sign makes an envelope without signature.
func (Anonymous) Sign(r Request) (*Envelope, error) { return unsigned(r, principal.Anonymous()), nil }

// Keyed is the identity of the owner of a key.
type Keyed struct{ Signer Signer }

// Sender is the self-authenticating principal of the key.
func (k Keyed) Sender() principal.ID { return principal.SelfAuthenticating(k.Signer.PublicKey()) }

// Sign signs the request id with the key.
func (k Keyed) Sign(r Request) (*Envelope, error) {
	return Delegated{PublicKey: k.Signer.PublicKey(), Signer: k.Signer}.Sign(r)
}

// Delegated is the identity of the owner of PublicKey, for whom the key of Signer
// signs. The chain leads from the one key to the other; Sign does not check it.
type Delegated struct {
	PublicKey []byte // DER
	Chain     []SignedDelegation
	Signer    Signer
}

// Sender is the self-authenticating principal of PublicKey.
func (d Delegated) Sender() principal.ID { return principal.SelfAuthenticating(d.PublicKey) }

// Sign signs the request id with the last key of the chain.
func (d Delegated) Sign(r Request) (*Envelope, error) {
	e := unsigned(r, d.Sender())
	sig, err := d.Signer.Sign(RequestSignedBytes(e.RequestID))
	if err != nil {
		return nil, reason.Wrap("envelope: signing as "+e.Request.Sender.String(), err)
	}
	e.SenderPublicKey, e.SenderSig, e.SenderDelegation = d.PublicKey, sig, d.Chain
	return e, nil
}

// Delegate makes a delegation by the owner of the key from.
func Delegate(from Signer, d Delegation) (SignedDelegation, error) {
	sig, err := from.Sign(d.SignedBytes())
	if err != nil {
		return SignedDelegation{}, reason.Wrap("envelope: delegating", err)
	}
	return SignedDelegation{Delegation: d, Signature: sig}, nil
}

func unsigned(r Request, sender principal.ID) *Envelope {
	r.Sender = sender
	return &Envelope{Request: r, RequestID: r.ID()}
}
