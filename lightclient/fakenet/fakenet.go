// Package fakenet makes the certificates of an Internet Computer whose secret
// keys are known, so that tests can see what clients accept and refuse. The keys
// guard nothing.
package fakenet

import (
	"crypto/ed25519"
	"crypto/sha256"
	"math/big"
	"slices"
	"time"

	"github.com/consensys/gnark-crypto/ecc/bls12-381"

	"portico/lightclient/bls"
	"portico/lightclient/certificate"
	"portico/lightclient/hashtree"
	"portico/lightclient/leb128"
	"portico/lightclient/principal"
)

// Key is a BLS key pair.
type Key struct{ secret *big.Int }

// NewKey derives a key from a seed.
func NewKey(seed string) *Key {
	h := sha256.Sum256([]byte(seed))
	h[0] = 0 // below the order of the group
	return &Key{new(big.Int).SetBytes(h[:])}
}

// Public is the compressed public key, 96 bytes.
func (k *Key) Public() []byte {
	_, _, _, g2 := bls12381.Generators()
	p := new(bls12381.G2Affine).ScalarMultiplication(&g2, k.secret).Bytes()
	return p[:]
}

// DER is the public key as subnets publish it.
func (k *Key) DER() []byte { return bls.ToDER(k.Public()) }

// Sign signs a message.
func (k *Key) Sign(msg []byte) []byte {
	h, err := bls12381.HashToG1(msg, []byte(bls.DST))
	if err != nil {
		panic(err) // no message is refused
	}
	s := new(bls12381.G1Affine).ScalarMultiplication(&h, k.secret).Bytes()
	return s[:]
}

// Network has a root subnet and one other subnet of a single node, which hosts
// the canisters with the indices 0 to 0xfffff.
type Network struct {
	Root, Subnet *Key
	Node         ed25519.PrivateKey
	// SubnetType is what delegations show as the type of the other subnet, which canister
	// signatures need (interface specification); empty shows none.
	SubnetType string
}

// New derives a network from a seed.
func New(seed string) *Network {
	node := sha256.Sum256([]byte(seed + " node"))
	return &Network{NewKey(seed + " root"), NewKey(seed + " subnet"), ed25519.NewKeyFromSeed(node[:]), "application"}
}

// RootKey is what clients are given, DER.
func (n *Network) RootKey() []byte { return n.Root.DER() }

// SubnetID is the id of the other subnet.
func (n *Network) SubnetID() principal.ID { return principal.SelfAuthenticating(n.Subnet.DER()) }

// NodeKey is the public key of the node, DER.
func (n *Network) NodeKey() []byte {
	return append([]byte("\x30\x2a\x30\x05\x06\x03\x2b\x65\x70\x03\x21\x00"), n.Node.Public().(ed25519.PublicKey)...)
}

// NodeID is the id of the node.
func (n *Network) NodeID() principal.ID { return principal.SelfAuthenticating(n.NodeKey()) }

// Entry is a value in a state tree.
type Entry struct {
	Path  []string
	Value []byte
}

// E makes an Entry.
func E(value []byte, path ...string) Entry { return Entry{path, value} }

// Tree makes a tree of entries.
func Tree(entries ...Entry) hashtree.Tree {
	below := map[string][]Entry{}
	for _, e := range entries {
		if len(e.Path) == 0 {
			return hashtree.Leaf(e.Value)
		}
		below[e.Path[0]] = append(below[e.Path[0]], Entry{e.Path[1:], e.Value})
	}
	var labels []string
	for l := range below {
		labels = append(labels, l)
	}
	slices.Sort(labels)
	var children []*hashtree.Labeled
	for _, l := range labels {
		children = append(children, &hashtree.Labeled{Label: []byte(l), Sub: Tree(below[l]...)})
	}
	return hashtree.New(children)
}

// Certify makes a certificate of a tree with the time and the entries, signed by
// the other subnet under a delegation that is a day old and the same for an hour.
func (n *Network) Certify(at time.Time, entries ...Entry) []byte {
	c := n.sign(n.Subnet, at, entries)
	c.Delegation = n.delegation(at.Add(-24 * time.Hour).Truncate(time.Hour))
	return c.Append(nil)
}

// CertifyAsRoot makes a certificate that the root subnet signs.
func (n *Network) CertifyAsRoot(at time.Time, entries ...Entry) []byte {
	return n.sign(n.Root, at, entries).Append(nil)
}

// CertifyData makes the certificate of a canister's certified data.
func (n *Network) CertifyData(at time.Time, canister principal.ID, data [32]byte) []byte {
	return n.Certify(at, E(data[:], "canister", canister.Raw(), "certified_data"))
}

func (n *Network) sign(k *Key, at time.Time, entries []Entry) *certificate.Certificate {
	tree := Tree(append(slices.Clone(entries), E(leb128.AppendUint(nil, uint64(at.UnixNano())), "time"))...)
	return &certificate.Certificate{Tree: tree, Signature: k.Sign(certificate.StateRootMessage(tree.Hash()))}
}

func (n *Network) delegation(at time.Time) *certificate.Delegation {
	ranges := certificate.AppendRanges(nil, []certificate.Range{{First: principal.Canister(0), Last: principal.Canister(0xfffff)}})
	id := n.SubnetID()
	entries := []Entry{
		E(n.Subnet.DER(), "subnet", id.Raw(), "public_key"),
		E(ranges, "subnet", id.Raw(), "canister_ranges"),
		E(ranges, "canister_ranges", id.Raw(), principal.Canister(0).Raw()),
	}
	if n.SubnetType != "" {
		entries = append(entries, E([]byte(n.SubnetType), "subnet", id.Raw(), "type"))
	}
	c := n.sign(n.Root, at, entries)
	return &certificate.Delegation{Subnet: id, Certificate: c.Append(nil)}
}
