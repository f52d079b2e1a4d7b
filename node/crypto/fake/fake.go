// Package fake signs for subnets inside a simulator: a consensus.Crypto with the
// properties of the real one (package committee) at a thousandth of its cost.
//
// A World holds a secret for each member, made of its seed alone. A signature is a keyed
// hash (SHA-256), which the verifier computes again. What holds of real signatures by
// mathematics holds here because a member's Crypto signs with its own secret only and
// shows nobody's: whoever has nothing but the exported methods of some members can make
// what these members together could make, and nothing else. That includes
// combining wrong shares into a signature that does not verify, and the threshold
// signature that is the same whoever signed.
//
// Signatures are as long as real ones, so that simulated traffic is too.
package fake

import (
	"crypto/ed25519"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/binary"
	"errors"
	"fmt"

	"portico/node/consensus"
	"portico/node/types"
)

// blsBytes is the length of shares and combined signatures.
const blsBytes = 48

// digest is what a signature is made of.
type digest = [sha256.Size]byte

// secret is what a member, or the subnet as a whole, signs with. It is short enough for a
// secret and a digest to make one block of SHA-256.
type secret = [16]byte

// World holds the secrets of the members of one subnet. It never changes: any number of
// goroutines may use it.
type World struct {
	members []secret
	subnet  secret
}

// NewWorld makes the secrets of n members, always the same of the same seed.
func NewWorld(seed uint64, n int) *World {
	w := &World{members: make([]secret, n)}
	for i := range w.members {
		w.members[i] = newSecret("member", seed, i)
	}
	w.subnet = newSecret("subnet", seed, n)
	return w
}

func newSecret(purpose string, seed uint64, i int) secret {
	b := binary.BigEndian.AppendUint64([]byte(purpose), seed)
	sum := sha256.Sum256(binary.BigEndian.AppendUint64(b, uint64(i)))
	return secret(sum[:])
}

// Member signs as one member and verifies what any of them signed. It panics if there
// is no such member.
func (w *World) Member(i types.Member) *Crypto { return &Crypto{w, w.members[i]} }

// Crypto is one member of a World.
type Crypto struct {
	world *World
	own   secret
}

var _ consensus.Crypto = (*Crypto)(nil)

// scratchBytes is the length of messages that are hashed without allocating.
const scratchBytes = 256

// hash is what all signatures on a message by a scheme have in common.
func hash(s consensus.Scheme, message []byte) digest {
	var scratch [scratchBytes]byte
	return sha256.Sum256(append(append(scratch[:0], byte(s)), message...))
}

func sign(key *secret, hashed *digest) digest {
	var b [len(key) + len(hashed)]byte
	copy(b[copy(b[:], key[:]):], hashed[:])
	return sha256.Sum256(b[:])
}

// stretch repeats a digest to the length of a signature.
func stretch(d digest, length int) []byte {
	out := make([]byte, length)
	for n := 0; n < length; {
		n += copy(out[n:], d[:])
	}
	return out
}

// matches compares a signature with the stretched digest.
func matches(signature []byte, d *digest) bool {
	for len(signature) > len(d) {
		if string(signature[:len(d)]) != string(d[:]) {
			return false
		}
		signature = signature[len(d):]
	}
	return string(signature) == string(d[:len(signature)])
}

// length of one member's signature.
func length(s consensus.Scheme) int {
	if s == consensus.SchemeNode {
		return ed25519.SignatureSize
	}
	return blsBytes
}

// Sign implements consensus.Crypto.
func (c *Crypto) Sign(s consensus.Scheme, message []byte) []byte {
	hashed := hash(s, message)
	return stretch(sign(&c.own, &hashed), length(s))
}

// Verify implements consensus.Crypto.
func (c *Crypto) Verify(s consensus.Scheme, by types.Member, message, signature []byte) error {
	if int(by) >= len(c.world.members) {
		return fmt.Errorf("%s signature of member %d: there are %d", s, by, len(c.world.members))
	}
	hashed := hash(s, message)
	if !c.world.right(s, by, &hashed, signature) {
		return fmt.Errorf("%s signature of member %d: %w", s, by, errMismatch)
	}
	return nil
}

var errMismatch = errors.New("the signature does not match")

// right reports whether a signature is the one by a member.
func (w *World) right(s consensus.Scheme, by types.Member, hashed *digest, signature []byte) bool {
	d := sign(&w.members[by], hashed)
	return len(signature) == length(s) && matches(signature, &d)
}

// Combine implements consensus.Crypto.
func (c *Crypto) Combine(s consensus.Scheme, message []byte, shares []consensus.Signature) ([]byte, error) {
	needed, err := c.world.needed(s)
	if err == nil && len(shares) < needed {
		err = fmt.Errorf("%d of the %d that it takes", len(shares), needed)
	}
	if err == nil && s != consensus.SchemeCommittee {
		shares = shares[:needed]
	}
	if err == nil {
		err = c.world.check(shares)
	}
	if err != nil {
		return nil, fmt.Errorf("combining %s signatures: %w", s, err)
	}
	if s == consensus.SchemeCommittee {
		return aggregate(shares), nil
	}
	return c.world.interpolate(s, message, shares), nil
}

// needed is how many signatures a combined one takes.
func (w *World) needed(s consensus.Scheme) (int, error) {
	switch s {
	case consensus.SchemeNode:
		return 0, errors.New("each node signs for itself alone")
	case consensus.SchemeCommittee:
		return 1, nil
	case consensus.SchemeLow:
		return types.Faults(len(w.members)) + 1, nil
	case consensus.SchemeHigh:
		return types.Quorum(len(w.members)), nil
	default:
		panic(fmt.Sprintf("fake: there is no %s", s))
	}
}

// check refuses what cannot be combined whatever it may be worth.
func (w *World) check(shares []consensus.Signature) error {
	seen := make([]bool, len(w.members))
	for _, share := range shares {
		switch {
		case int(share.By) >= len(seen):
			return fmt.Errorf("member %d of %d", share.By, len(seen))
		case seen[share.By]:
			return fmt.Errorf("two signatures of member %d", share.By)
		case len(share.Bytes) != blsBytes:
			return fmt.Errorf("member %d: signature of %d bytes, expected %d", share.By, len(share.Bytes), blsBytes)
		}
		seen[share.By] = true
	}
	return nil
}

// aggregate adds up signatures, as real ones are: who has all but one and the sum has
// the one.
func aggregate(shares []consensus.Signature) []byte {
	sum := make([]byte, blsBytes)
	for _, share := range shares {
		subtle.XORBytes(sum, sum, share.Bytes)
	}
	return sum
}

// interpolate makes the subnet's signature of shares that are all right, and of others
// something that depends on each of them and does not verify.
func (w *World) interpolate(s consensus.Scheme, message []byte, shares []consensus.Signature) []byte {
	hashed := hash(s, message)
	for _, share := range shares {
		if !w.right(s, share.By, &hashed, share.Bytes) {
			return stretch(sha256.Sum256(aggregate(shares)), blsBytes)
		}
	}
	return stretch(sign(&w.subnet, &hashed), blsBytes)
}

// VerifyCombined implements consensus.Crypto.
func (c *Crypto) VerifyCombined(s consensus.Scheme, signers []types.Member, message, signature []byte) error {
	_, err := c.world.needed(s)
	if err == nil {
		hashed := hash(s, message)
		if s == consensus.SchemeCommittee {
			err = c.world.verifyAggregate(signers, &hashed, signature)
		} else if d := sign(&c.world.subnet, &hashed); len(signature) != blsBytes || !matches(signature, &d) {
			err = errMismatch
		}
	}
	if err != nil {
		return fmt.Errorf("combined %s signature: %w", s, err)
	}
	return nil
}

func (w *World) verifyAggregate(signers []types.Member, hashed *digest, signature []byte) error {
	if len(signers) == 0 {
		return errors.New("there are no signers")
	}
	var sum digest
	for i, m := range signers {
		if int(m) >= len(w.members) {
			return fmt.Errorf("signer %d of %d members", m, len(w.members))
		}
		if i > 0 && m <= signers[i-1] {
			return fmt.Errorf("signer %d follows %d: they are not in order", m, signers[i-1])
		}
		d := sign(&w.members[m], hashed)
		subtle.XORBytes(sum[:], sum[:], d[:])
	}
	if len(signature) != blsBytes || !matches(signature, &sum) {
		return errMismatch
	}
	return nil
}
