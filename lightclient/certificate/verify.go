package certificate

import (
	"bytes"
	"slices"
	"sync"
	"time"

	"portico/lightclient/bls"
	"portico/lightclient/digest"
	"portico/lightclient/hashtree"
	"portico/lightclient/principal"
)

// Bounds on the time of certificates, by the clock of whoever verifies. The
// specification leaves them to clients and recommends these ("verify_response").
const (
	MaxAge           = 5 * time.Minute
	MaxDelegationAge = 30 * 24 * time.Hour
	MaxAhead         = 5 * time.Minute // of both
)

// VerifyBLS checks a BLS signature: a key of 96 bytes, a signature of 48.
type VerifyBLS func(pk, msg, sig []byte) error

// A Verifier verifies certificates under one root key. It remembers delegations,
// signatures and whole certificates that it found right, so that the same
// certificate again costs a look-up and another one of the same round no pairing.
// Time and ranges are checked every time. It is safe for concurrent use; its
// exported fields must not change after the first use.
type Verifier struct {
	RootKey []byte // DER, 133 bytes
	BLS     VerifyBLS

	mu           sync.Mutex
	certificates cache[*verified]  // by their bytes
	delegations  cache[*delegated] // by the bytes of subnet and certificate
	signatures   cache[struct{}]   // by a hash of key, signature and root
}

// Bounds on the bytes that each generation of a cache holds as keys. The parsed
// values take a few times as much.
const (
	maxCertificateBytes = 512 << 10
	maxDelegationBytes  = 256 << 10
	maxSignatureBytes   = 32 << 10
)

// verified is a certificate with a right signature.
type verified struct {
	certificate *Certificate
	time        time.Time
	delegated   *delegated // nil if the root subnet signed
}

// delegated is what a delegation with a right signature says.
type delegated struct {
	subnet    principal.ID
	key       []byte // 96 bytes
	time      time.Time
	ranges    []Range
	rangesErr error

	certificate []byte    // of the delegation
	checked     time.Time // when its signature was
}

// Canister verifies an encoded certificate that is to speak for a canister:
// signature, delegation, time, and that the canister is in the ranges of the
// subnet that signed. The root subnet may speak for any canister. The certificate
// is shared with later callers and must not be changed.
//
// Errors are *FormatError, *SignatureError, *DelegationError, *TimeError and *RangeError.
func (v *Verifier) Canister(cert []byte, canister principal.ID, now time.Time) (*Certificate, error) {
	c, err := v.verify(cert, now)
	if err != nil {
		return nil, err
	}
	if d := c.delegated; d != nil {
		if d.rangesErr != nil {
			return nil, &FormatError{Delegation: true, Err: d.rangesErr}
		}
		if !slices.ContainsFunc(d.ranges, func(r Range) bool { return r.Contains(canister) }) {
			return nil, &RangeError{Canister: canister, Subnet: d.subnet}
		}
	}
	return c.certificate, nil
}

// Subnet is like Canister for a certificate that is to speak for a subnet, which
// must be the one that signed. Instead of *RangeError it returns *SubnetError. A
// certificate without delegation is that of the root subnet, whose id is derived
// from the root key.
func (v *Verifier) Subnet(cert []byte, subnet principal.ID, now time.Time) (*Certificate, error) {
	c, err := v.verify(cert, now)
	if err != nil {
		return nil, err
	}
	signer := principal.SelfAuthenticating(v.RootKey)
	if c.delegated != nil {
		signer = c.delegated.subnet
	}
	if signer != subnet {
		return nil, &SubnetError{Want: subnet, Got: signer}
	}
	return c.certificate, nil
}

// verify checks signature, delegation and time.
func (v *Verifier) verify(cert []byte, now time.Time) (*verified, error) {
	v.mu.Lock()
	c, ok := v.certificates.get(cert, maxCertificateBytes)
	v.mu.Unlock()
	if !ok {
		var err error
		if c, err = v.verifyNew(bytes.Clone(cert), now); err != nil {
			return nil, err
		}
		v.mu.Lock()
		v.certificates.put(cert, c, maxCertificateBytes)
		v.mu.Unlock()
	}
	if d := c.delegated; d != nil && !within(d.time, now, MaxDelegationAge) {
		return nil, &TimeError{Delegation: true, Age: now.Sub(d.time)}
	}
	if !within(c.time, now, MaxAge) {
		return nil, &TimeError{Age: now.Sub(c.time)}
	}
	return c, nil
}

func within(t, now time.Time, maxAge time.Duration) bool {
	age := now.Sub(t)
	return -MaxAhead <= age && age <= maxAge
}

// verifyNew checks signature and delegation of a certificate that it may keep.
func (v *Verifier) verifyNew(cert []byte, now time.Time) (*verified, error) {
	c, err := Parse(cert)
	if err != nil {
		return nil, err
	}
	out := &verified{certificate: c}
	key, err := bls.FromDER(v.RootKey)
	if err != nil {
		return nil, &SignatureError{Err: err}
	}
	if c.Delegation != nil {
		if out.delegated, err = v.delegate(key, c.Delegation, now); err != nil {
			return nil, err
		}
		key = out.delegated.key
	}
	if err := v.checkSignature(key, c); err != nil {
		return nil, &SignatureError{Err: err}
	}
	if out.time, err = c.Time(); err != nil {
		return nil, &FormatError{Err: err}
	}
	return out, nil
}

// delegate verifies a delegation by the root key.
func (v *Verifier) delegate(rootKey []byte, d *Delegation, now time.Time) (*delegated, error) {
	id := d.id()
	v.mu.Lock()
	out, ok := v.delegations.get(id, maxDelegationBytes)
	v.mu.Unlock()
	if ok {
		return out, nil
	}
	c, err := decode(d.Certificate)
	if err != nil {
		return nil, &FormatError{Delegation: true, Err: err}
	}
	if c.Delegation != nil {
		return nil, &DelegationError{Subnet: d.Subnet, Reason: "its certificate has a delegation itself"}
	}
	if err := v.checkSignature(rootKey, c); err != nil {
		return nil, &SignatureError{Delegation: true, Err: err}
	}
	if out, err = readDelegation(d, c); err != nil {
		return nil, err
	}
	out.checked = now
	v.mu.Lock()
	v.delegations.put(id, out, maxDelegationBytes)
	v.mu.Unlock()
	return out, nil
}

// id is what a delegation is remembered by.
func (d *Delegation) id() []byte {
	return append(append([]byte{byte(d.Subnet.Len())}, d.Subnet.Raw()...), d.Certificate...)
}

// readDelegation reads what a delegation says, by its certificate.
func readDelegation(d *Delegation, c *Certificate) (*delegated, error) {
	out := &delegated{subnet: d.Subnet, certificate: d.Certificate}
	var err error
	if out.time, err = c.Time(); err != nil {
		return nil, &FormatError{Delegation: true, Err: err}
	}
	der, s := hashtree.Lookup(c.Tree, []byte("subnet"), d.Subnet.Bytes(), []byte("public_key"))
	if s != hashtree.Found {
		return nil, &DelegationError{Subnet: d.Subnet, Reason: "the key of the subnet is " + s.String()}
	}
	if out.key, err = bls.FromDER(bytes.Clone(der)); err != nil {
		return nil, &DelegationError{Subnet: d.Subnet, Reason: err.Error()}
	}
	out.ranges, out.rangesErr = shownRanges(c.Tree, d.Subnet)
	return out, nil
}

// checkSignature verifies the signature of the root of c's tree, unless it did so before.
func (v *Verifier) checkSignature(key []byte, c *Certificate) error {
	root := c.Tree.Hash()
	h := digest.Of(key, root[:], c.Signature) // the parts have fixed lengths if they are right
	id := h[:]
	v.mu.Lock()
	_, ok := v.signatures.get(id, maxSignatureBytes)
	v.mu.Unlock()
	if ok {
		return nil
	}
	if err := v.BLS(key, StateRootMessage(root), c.Signature); err != nil {
		return err
	}
	v.mu.Lock()
	v.signatures.put(id, struct{}{}, maxSignatureBytes)
	v.mu.Unlock()
	return nil
}
