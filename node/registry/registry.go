// Package registry holds the records that say which nodes there are, which subnet
// each belongs to, and with what keys and settings the subnet works. Records are
// versioned: consensus names the version that it works by in each block.
//
// A network's first version is made at genesis and kept by every node in a file.
package registry

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"fmt"
	"slices"
	"time"

	"portico/lightclient/principal"
	"portico/node/types"

	"github.com/fxamacker/cbor/v2"
)

// Version numbers the registry's versions from 1.
type Version uint64

// Node is a node's record: who it is, and where it is reached.
type Node struct {
	ID types.NodeID
	// Key is the DER of the Ed25519 key that ID is derived from. With it the node signs
	// block proposals and answers to queries.
	Key []byte
	// Committee is the BLS public key (G2, 96 bytes) for notarizations and finalizations,
	// Possession its proof of possession (G1, 48 bytes).
	Committee, Possession []byte
	// Certificate is the X.509 certificate, DER, that peers expect.
	Certificate []byte
	// Peers is the host:port for other nodes, API the one of the HTTPS interface.
	Peers, API string
}

// Transcript is the public part of a threshold key: Coefficients are a polynomial of
// degree Threshold-1 over G2 (96 bytes each), the public key its value at 0 and the
// public key of member i's share its value at i+1.
type Transcript struct {
	Threshold    int
	Coefficients [][]byte
}

// Subnet is a subnet's record.
type Subnet struct {
	ID      types.SubnetID
	Type    string         // such as "application"
	Members []types.NodeID // in order
	// UnitDelay is how long a block maker waits for each of better rank, NotaryDelay how
	// long notaries wait for a block of better rank at least, IdleDelay how long
	// a block maker without anything to do waits for something.
	UnitDelay, NotaryDelay, IdleDelay time.Duration
	// Interval is the number of heights between summary blocks, with their checkpoints.
	Interval types.Height
	// Low signs beacons and tapes (threshold f+1), High states (2f+1).
	Low, High Transcript
	// Genesis is the time of the state at height 0.
	Genesis types.Time
	// FirstCanister and LastCanister are the indices of the canisters that it hosts.
	FirstCanister, LastCanister uint64
	// FirstGiven is the index from which on ids are given out to whoever makes a canister and
	// asks for none; those before it are only for who asks for them. 0 means FirstCanister.
	FirstGiven uint64 `cbor:",omitempty"`
	// Provisional lets anybody make canisters with cycles: for development only.
	Provisional bool
	// CostNodes is the number of nodes that prices are made for.
	CostNodes uint64
	// Admins are the subnet admins, in order, at most MaxAdmins (interface specification,
	// "Subnet admins"): they make canisters for nothing and list, stop and delete all.
	Admins []principal.ID `cbor:",omitempty"`
	// QueryEpoch is the number of heights whose queries are counted together; 0 means
	// types.DefaultQueryEpoch.
	QueryEpoch types.Height `cbor:",omitempty"`
}

// MaxAdmins is how many subnet admins there may be (MAX_SUBNET_ADMINS).
const MaxAdmins = 10

// Member is the index of a node, or false if it is none of the members.
func (s *Subnet) Member(id types.NodeID) (types.Member, bool) {
	i, ok := slices.BinarySearchFunc(s.Members, id, principal.ID.Compare)
	return types.Member(i), ok
}

// Records are all records of one version.
type Records struct {
	Version Version
	Subnet  Subnet
	Nodes   []Node // in the order of their ids
}

// Node is a node's record, or nil.
func (r *Records) Node(id types.NodeID) *Node {
	i, ok := slices.BinarySearchFunc(r.Nodes, id, func(n Node, id types.NodeID) int { return n.ID.Compare(id) })
	if !ok {
		return nil
	}
	return &r.Nodes[i]
}

// Encode is the records' canonical form: a hash and deterministic CBOR.
func (r *Records) Encode() ([]byte, error) {
	mode, err := cbor.CoreDetEncOptions().EncMode()
	if err != nil {
		return nil, err
	}
	b, err := mode.Marshal(r)
	if err != nil {
		return nil, err
	}
	sum := sha256.Sum256(b)
	return append(sum[:], b...), nil
}

// maxMembers bounds a subnet.
const maxMembers = 1000

// Decode reads what Encode wrote and checks that it is consistent.
func Decode(b []byte) (*Records, error) {
	if len(b) < sha256.Size {
		return nil, errors.New("registry: it is cut off")
	}
	if sum := sha256.Sum256(b[sha256.Size:]); string(sum[:]) != string(b[:sha256.Size]) {
		return nil, errors.New("registry: its hash does not fit: the file is damaged")
	}
	r := &Records{}
	if err := cbor.Unmarshal(b[sha256.Size:], r); err != nil {
		return nil, fmt.Errorf("registry: %w", err)
	}
	if err := r.check(); err != nil {
		return nil, fmt.Errorf("registry: %w", err)
	}
	if canonical, err := r.Encode(); err != nil || !bytes.Equal(canonical, b) {
		return nil, errors.New("registry: the encoding is not canonical")
	}
	return r, nil
}

func (r *Records) check() error {
	s := &r.Subnet
	n := len(s.Members)
	switch {
	case n == 0 || n > maxMembers:
		return fmt.Errorf("the subnet has %d members, want 1 to %d", n, maxMembers)
	case !ascending(s.Members):
		return errors.New("the members are not in order, each once")
	case !ascending(r.ids()):
		return errors.New("the nodes are not in order, each once")
	case s.Interval == 0 || s.UnitDelay <= 0 || s.NotaryDelay < 0 || s.IdleDelay < 0:
		return errors.New("delays and the interval must be positive")
	case s.Low.Threshold != types.Faults(n)+1 || s.High.Threshold != types.Quorum(n):
		return fmt.Errorf("thresholds %d and %d do not fit %d members", s.Low.Threshold, s.High.Threshold, n)
	case len(s.Low.Coefficients) != s.Low.Threshold || len(s.High.Coefficients) != s.High.Threshold:
		return errors.New("a threshold key has as many coefficients as its threshold")
	case s.FirstGiven > s.LastCanister || s.FirstGiven != 0 && s.FirstGiven < s.FirstCanister:
		return fmt.Errorf("the first id that is given out, %d, is none of %d to %d", s.FirstGiven, s.FirstCanister, s.LastCanister)
	case len(s.Admins) > MaxAdmins || !ascending(s.Admins):
		return fmt.Errorf("the subnet admins are not at most %d, in order, each once", MaxAdmins)
	}
	for _, id := range s.Members {
		if r.Node(id) == nil {
			return fmt.Errorf("member %s has no record", id)
		}
	}
	return nil
}

func (r *Records) ids() []types.NodeID {
	out := make([]types.NodeID, len(r.Nodes))
	for i := range r.Nodes {
		out[i] = r.Nodes[i].ID
	}
	return out
}

// ascending reports whether ids are in order, and so each there once.
func ascending(ids []types.NodeID) bool {
	for i := 1; i < len(ids); i++ {
		if ids[i-1].Compare(ids[i]) >= 0 {
			return false
		}
	}
	return true
}
