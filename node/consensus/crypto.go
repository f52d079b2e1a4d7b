package consensus

import (
	"fmt"

	"portico/node/types"
)

// Scheme is a way in which nodes sign.
type Scheme uint8

// The schemes.
const (
	// SchemeNode is a node's own Ed25519 key: block proposals.
	SchemeNode Scheme = iota + 1
	// SchemeCommittee is a multi-signature of nodes' BLS keys, with the list of who
	// signed: notarizations and finalizations.
	SchemeCommittee
	// SchemeLow is the threshold key that f+1 members sign with: beacons and tapes.
	SchemeLow
	// SchemeHigh is the threshold key that 2f+1 members sign with: states.
	SchemeHigh
)

// String is the scheme's name.
func (s Scheme) String() string {
	switch s {
	case SchemeNode:
		return "node"
	case SchemeCommittee:
		return "committee"
	case SchemeLow:
		return "low threshold"
	case SchemeHigh:
		return "high threshold"
	default:
		return fmt.Sprintf("Scheme(%d)", uint8(s))
	}
}

// Signature is one member's signature, or share of one.
type Signature struct {
	By    types.Member
	Bytes []byte
}

// Crypto signs as this node and checks what the members of its subnet signed. Messages
// are separated by domain before they get here. The bytes of signatures come from
// anybody: whatever is malformed is an error.
type Crypto interface {
	// Sign is this node's signature or, except for SchemeNode, share.
	Sign(s Scheme, message []byte) []byte
	// Verify checks one member's signature or share.
	Verify(s Scheme, by types.Member, message, signature []byte) error
	// Combine makes the subnet's signature of shares by different members. It checks none
	// of them: whoever combines unverified ones verifies the result. Threshold schemes use
	// the first as many as they need and fail with fewer.
	Combine(s Scheme, message []byte, shares []Signature) ([]byte, error)
	// VerifyCombined checks the subnet's signature. The signers, in order and each once, count
	// for SchemeCommittee only; how many there must be is for the caller to check.
	VerifyCombined(s Scheme, signers []types.Member, message, signature []byte) error
}
