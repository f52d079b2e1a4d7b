// Package usersig checks who a request comes from: the signature of its sender,
// delegations, expiry and sender info (interface specification, "Authentication"
// and "Signatures").
//
// The schemes are Ed25519, ECDSA on P-256 and secp256k1, WebAuthn (P-256, RSA,
// Ed25519) and canister signatures. Whether the sender may do what the request
// asks for is decided elsewhere, except for what delegations themselves restrict.
package usersig

import (
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"time"

	"portico/lightclient/certificate"
	"portico/lightclient/envelope"
	"portico/lightclient/principal"
	"portico/node/types"
)

// MaxIngressExpiry is how far ahead of a node's clock an expiry may lie: the five
// minutes that clients may ask for, and half a minute for their clocks.
const MaxIngressExpiry = 5*time.Minute + 30*time.Second

// A CertificateVerifier checks certificates under the network's root key;
// certificate.Verifier is one.
type CertificateVerifier interface {
	Canister(cert []byte, canister principal.ID, now time.Time) (*certificate.Certificate, error)
}

// Config makes a Verifier.
type Config struct {
	// Certificates checks the certificates inside canister signatures.
	Certificates CertificateVerifier
	// CacheEntries bounds how many verified signatures are remembered; zero
	// remembers none. An entry takes about 100 bytes.
	CacheEntries int
}

// A Verifier checks requests. It may be used by many goroutines.
type Verifier struct {
	certificates CertificateVerifier
	verified     *cache
}

// New makes a Verifier.
func New(cfg Config) *Verifier {
	return &Verifier{certificates: cfg.Certificates, verified: newCache(cfg.CacheEntries)}
}

// Authenticated is a request's sender, as far as it is proved.
type Authenticated struct {
	Sender  principal.ID
	targets map[principal.ID]bool // nil: any
}

// MayReach reports whether the delegations let the request be sent to a canister.
func (a *Authenticated) MayReach(canister principal.ID) bool {
	return a.targets == nil || a.targets[canister]
}

// Check decides whether a request is signed as its sender demands, at the time
// now of this node's clock.
//
// It checks the targets of delegations for calls, and for queries to canisters. A
// query to the management canister may also be meant by delegations to the
// canister that its argument names, and what a read_state reveals depends on its paths:
// for those the caller asks MayReach. Limits that envelope.Decode keeps are checked
// again, so that an envelope from elsewhere gains nothing.
//
// The errors are *ExpiryError, *SenderError, *DelegationError, *SignatureError and *TargetError.
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
	targets, err := checkDelegations(e, now)
	if err != nil {
		return nil, err
	}
	if err := v.checkSignatures(e); err != nil {
		return nil, err
	}
	auth := &Authenticated{Sender: r.Sender, targets: targets}
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
	return &Authenticated{Sender: r.Sender}, nil
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

// checkSignatures verifies the chain from sender_pubkey to the request, and the sender info.
func (v *Verifier) checkSignatures(e *envelope.Envelope) error {
	key := e.SenderPublicKey
	for i := range e.SenderDelegation {
		d := &e.SenderDelegation[i]
		if err := v.verifyAs(fmt.Sprintf("delegation %d", i+1), key, d.Delegation.SignedBytes(), d.Signature); err != nil {
			return err
		}
		key = d.Delegation.PublicKey
	}
	if err := v.verifyAs("sender_sig", key, envelope.RequestSignedBytes(e.RequestID), e.SenderSig); err != nil {
		return err
	}
	if e.Request.SenderInfo == nil {
		return nil
	}
	return v.checkSenderInfo(e)
}

func (v *Verifier) checkSenderInfo(e *envelope.Envelope) error {
	info := e.Request.SenderInfo
	key, err := ParseKey(e.SenderPublicKey)
	switch {
	case err != nil:
		return &SignatureError{What: "sender_info", Err: err}
	case key.Scheme != CanisterSignature:
		return &SignatureError{What: "sender_info", Err: fmt.Errorf("sender_pubkey is a key of scheme %s: only senders with canister signatures have sender info", key.Scheme)}
	case key.Signer != info.Signer:
		return &SignatureError{What: "sender_info", Err: fmt.Errorf("the signer is %s, but sender_pubkey is a key of canister %s", info.Signer, key.Signer)}
	}
	return v.verifyAs("sender_info", e.SenderPublicKey, envelope.SenderInfoSignedBytes(info.Info), info.Sig)
}

func (v *Verifier) verifyAs(what string, keyDER, msg, sig []byte) error {
	if err := v.Verify(keyDER, msg, sig); err != nil {
		return &SignatureError{What: what, Err: err}
	}
	return nil
}

// Verify checks one signature under a DER-encoded key of any scheme. What was
// verified once is remembered: no scheme's verdict changes with time.
func (v *Verifier) Verify(keyDER, msg, sig []byte) error {
	id := signatureID(keyDER, msg, sig)
	if v.verified.has(id) {
		return nil
	}
	key, err := ParseKey(keyDER)
	if err != nil {
		return err
	}
	if err := v.verify(key, msg, sig); err != nil {
		return fmt.Errorf("%s: %w", key.Scheme, err)
	}
	v.verified.add(id)
	return nil
}

func (v *Verifier) verify(key *PublicKey, msg, sig []byte) error {
	switch key.Scheme {
	case Ed25519:
		return key.verifyEd25519(msg, sig)
	case ECDSAP256:
		return key.verifyP256(msg, sig)
	case ECDSASecp256k1:
		return key.verifySecp256k1(msg, sig)
	case WebAuthn:
		return key.verifyWebAuthn(msg, sig)
	case CanisterSignature:
		return v.verifyCanister(key, msg, sig)
	default:
		panic(fmt.Sprintf("usersig: key of scheme %d", key.Scheme))
	}
}

// signatureID is a digest of all three, with lengths so that no two triples run together.
func signatureID(key, msg, sig []byte) [sha256.Size]byte {
	h := sha256.New()
	var lengths [16]byte
	binary.BigEndian.PutUint64(lengths[:8], uint64(len(key)))
	binary.BigEndian.PutUint64(lengths[8:], uint64(len(msg)))
	h.Write(lengths[:])
	h.Write(key)
	h.Write(msg)
	h.Write(sig)
	return [sha256.Size]byte(h.Sum(nil))
}
