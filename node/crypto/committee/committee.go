// Package committee is how the members of a subnet sign and check one another: it is
// the consensus.Crypto of real networks, made of the registry's public records and one
// member's secret keys.
//
// Proposals carry Ed25519 signatures; notarizations and finalizations are
// BLS multi-signatures with the list of who signed; beacons, tapes and states are
// threshold BLS signatures, of which there is one for each message, whoever made it.
//
// All public keys are decoded and checked once, by New. After that a Crypto never changes, so
// that any number of goroutines verify with it and none waits for another.
package committee

import (
	"bytes"
	"crypto/ed25519"
	"crypto/x509"
	"errors"
	"fmt"

	"portico/lightclient/principal"
	"portico/node/consensus"
	"portico/node/crypto/bls"
	"portico/node/registry"
	"portico/node/types"
)

// Crypto signs as one member of a subnet and verifies what any of them signed.
type Crypto struct {
	keys      Keys
	nodes     []ed25519.PublicKey
	committee []*bls.PublicKey
	low, high threshold
}

// threshold is a threshold key with the public keys of all members' shares.
type threshold struct {
	needed int
	key    *bls.PublicKey
	shares []*bls.PublicKey
}

var _ consensus.Crypto = (*Crypto)(nil)

// New decodes the subnet's public keys and checks that they are what they claim to be: a
// node's id is derived from its key, its committee key has a proof of possession,
// the subnet's id is derived from its high threshold key. It checks that keys are the
// secrets of member self. Errors say which record or which key does not fit.
//
// It takes a pairing check, about a millisecond, for each member.
func New(records *registry.Records, keys *Keys, self types.Member) (*Crypto, error) {
	s := &records.Subnet
	n := len(s.Members)
	if int(self) >= n {
		return nil, fmt.Errorf("member %d of a subnet of %d", self, n)
	}
	c := &Crypto{keys: *keys}
	for i, id := range s.Members {
		node := records.Node(id)
		if node == nil {
			return nil, fmt.Errorf("member %d: node %s has no record", i, id)
		}
		if i > 0 && id == s.Members[i-1] {
			return nil, fmt.Errorf("member %d: node %s is a member twice", i, id)
		}
		if err := c.add(node); err != nil {
			return nil, fmt.Errorf("member %d: node %s: %w", i, id, err)
		}
	}
	var err error
	if c.low, err = newThreshold(s.Low, n); err != nil {
		return nil, fmt.Errorf("low threshold key: %w", err)
	}
	if c.high, err = newThreshold(s.High, n); err != nil {
		return nil, fmt.Errorf("high threshold key: %w", err)
	}
	if id := principal.SelfAuthenticating(c.high.key.DER()); id != s.ID {
		return nil, fmt.Errorf("the subnet's id is %s, that of its high threshold key %s", s.ID, id)
	}
	if err := c.fits(self); err != nil {
		return nil, err
	}
	return c, nil
}

// add decodes and checks the keys of one more member.
func (c *Crypto) add(node *registry.Node) error {
	if id := principal.SelfAuthenticating(node.Key); id != node.ID {
		return fmt.Errorf("its key is that of %s", id)
	}
	key, err := x509.ParsePKIXPublicKey(node.Key)
	if err != nil {
		return fmt.Errorf("its key: %w", err)
	}
	ed, ok := key.(ed25519.PublicKey)
	if !ok {
		return errors.New("its key is not one of Ed25519")
	}
	committee, err := bls.ParsePublicKey(node.Committee)
	if err != nil {
		return fmt.Errorf("its committee key: %w", err)
	}
	if err := committee.VerifyPossession(node.Possession); err != nil {
		return fmt.Errorf("the proof that it possesses its committee key: %w", err)
	}
	c.nodes = append(c.nodes, ed)
	c.committee = append(c.committee, committee)
	return nil
}

func newThreshold(t registry.Transcript, n int) (threshold, error) {
	if t.Threshold != len(t.Coefficients) || t.Threshold > n {
		return threshold{}, fmt.Errorf("threshold %d with %d coefficients for %d members", t.Threshold, len(t.Coefficients), n)
	}
	key, err := bls.ParseThresholdKey(t.Coefficients)
	if err != nil {
		return threshold{}, err
	}
	out := threshold{needed: t.Threshold, key: key.PublicKey()}
	for i := range n {
		share, err := key.Share(i)
		if err != nil {
			return threshold{}, err
		}
		out.shares = append(out.shares, share)
	}
	return out, nil
}

// fits checks that the secret keys belong to the public ones of a member.
func (c *Crypto) fits(self types.Member) error {
	if !c.nodes[self].Equal(c.keys.Node.Public()) {
		return fmt.Errorf("the node key is not that of member %d", self)
	}
	for _, k := range []struct {
		name   string
		secret *bls.SecretKey
		public *bls.PublicKey
	}{
		{"committee key", c.keys.Committee, c.committee[self]},
		{"low share", c.keys.Low, c.low.shares[self]},
		{"high share", c.keys.High, c.high.shares[self]},
	} {
		if !bytes.Equal(k.secret.PublicKey(), k.public.Bytes()) {
			return fmt.Errorf("the %s is not that of member %d", k.name, self)
		}
	}
	return nil
}

// Sign implements consensus.Crypto.
func (c *Crypto) Sign(s consensus.Scheme, message []byte) []byte {
	switch s {
	case consensus.SchemeNode:
		return ed25519.Sign(c.keys.Node, message)
	case consensus.SchemeCommittee:
		return c.keys.Committee.Sign(message)
	case consensus.SchemeLow:
		return c.keys.Low.Sign(message)
	case consensus.SchemeHigh:
		return c.keys.High.Sign(message)
	default:
		panic(unknown(s))
	}
}

// unknown is a scheme that this process made up: schemes are never read from input.
func unknown(s consensus.Scheme) string { return fmt.Sprintf("committee: there is no %s", s) }

// Verify implements consensus.Crypto.
func (c *Crypto) Verify(s consensus.Scheme, by types.Member, message, signature []byte) error {
	if err := c.verify(s, by, message, signature); err != nil {
		return fmt.Errorf("%s signature of member %d: %w", s, by, err)
	}
	return nil
}

func (c *Crypto) verify(s consensus.Scheme, by types.Member, message, signature []byte) error {
	if int(by) >= len(c.nodes) {
		return fmt.Errorf("there are %d members", len(c.nodes))
	}
	switch s {
	case consensus.SchemeNode:
		if !ed25519.Verify(c.nodes[by], message, signature) {
			return errors.New("the signature does not match")
		}
		return nil
	case consensus.SchemeCommittee:
		return c.committee[by].Verify(message, signature)
	case consensus.SchemeLow:
		return c.low.shares[by].Verify(message, signature)
	case consensus.SchemeHigh:
		return c.high.shares[by].Verify(message, signature)
	default:
		panic(unknown(s))
	}
}
