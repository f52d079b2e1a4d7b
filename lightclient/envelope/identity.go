package envelope

import (
	"crypto/ed25519"
	"errors"
	"fmt"

	"portico/lightclient/principal"
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
		return nil, fmt.Errorf("envelope: signing as %s: %w", e.Request.Sender, err)
	}
	e.SenderPublicKey, e.SenderSig, e.SenderDelegation = d.PublicKey, sig, d.Chain
	return e, nil
}

// Delegate makes a delegation by the owner of the key from.
func Delegate(from Signer, d Delegation) (SignedDelegation, error) {
	sig, err := from.Sign(d.SignedBytes())
	if err != nil {
		return SignedDelegation{}, fmt.Errorf("envelope: delegating: %w", err)
	}
	return SignedDelegation{Delegation: d, Signature: sig}, nil
}

func unsigned(r Request, sender principal.ID) *Envelope {
	r.Sender = sender
	return &Envelope{Request: r, RequestID: r.ID()}
}

// Ed25519 is a Signer whose key is in memory.
type Ed25519 struct{ key ed25519.PrivateKey }

// NewEd25519 makes a Signer of the 32 secret bytes of RFC 8032.
func NewEd25519(seed []byte) (Ed25519, error) {
	if len(seed) != ed25519.SeedSize {
		return Ed25519{}, errors.New("envelope: an Ed25519 seed has 32 bytes")
	}
	return Ed25519{ed25519.NewKeyFromSeed(seed)}, nil
}

// ed25519DER precedes the 32 bytes of a public key (RFC 8410).
const ed25519DER = "\x30\x2a\x30\x05\x06\x03\x2b\x65\x70\x03\x21\x00"

// PublicKey is the DER form of RFC 8410, 44 bytes.
func (k Ed25519) PublicKey() []byte {
	return append([]byte(ed25519DER), k.key.Public().(ed25519.PublicKey)...)
}

// Sign never fails.
func (k Ed25519) Sign(msg []byte) ([]byte, error) { return ed25519.Sign(k.key, msg), nil }
