package live

import (
	"cmp"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/x509"
	"fmt"
	"slices"
	"time"

	"portico/lightclient/principal"
	"portico/node/crypto/bls"
	"portico/node/crypto/committee"
	"portico/node/p2p/transport"
	"portico/node/registry"
	"portico/node/types"
)

// Genesis is what is decided of a new network.
type Genesis struct {
	// Addresses are those of the nodes, one for each; their order means nothing afterwards.
	Addresses []Addresses
	// UnitDelay, NotaryDelay, IdleDelay and Interval are those of registry.Subnet.
	UnitDelay, NotaryDelay, IdleDelay time.Duration
	Interval                          types.Height
	Type                              string
	Provisional                       bool
	// FirstCanister, LastCanister and FirstGiven are those of registry.Subnet.
	FirstCanister, LastCanister, FirstGiven uint64
	CostNodes                               uint64
	// Admins are those of registry.Subnet.
	Admins []principal.ID
}

// Addresses are where a node is reached, host:port each.
type Addresses struct{ Peers, API string }

// Member is a node of a new network and its secrets.
type Member struct {
	Node registry.Node
	Keys *committee.Keys
}

// Deal makes the keys and the records of a new network. Members are in the order of the
// subnet's. Whoever deals could sign for the network until it has handed each member
// its secrets and forgotten them.
func Deal(g Genesis) (*registry.Records, []Member, error) {
	n := len(g.Addresses)
	members := make([]Member, n)
	for i, a := range g.Addresses {
		var err error
		if members[i], err = newMember(a); err != nil {
			return nil, nil, err
		}
	}
	slices.SortFunc(members, func(a, b Member) int { return a.Node.ID.Compare(b.Node.ID) })
	low, high, shares, err := committee.Deal(rand.Reader, n)
	if err != nil {
		return nil, nil, err
	}
	key, err := bls.ParsePublicKey(high.Coefficients[0])
	if err != nil {
		return nil, nil, err
	}
	r := &registry.Records{Version: 1, Subnet: registry.Subnet{
		ID: principal.SelfAuthenticating(key.DER()), Type: g.Type,
		UnitDelay: g.UnitDelay, NotaryDelay: g.NotaryDelay, IdleDelay: g.IdleDelay, Interval: g.Interval,
		Low: low, High: high, Genesis: now(), FirstCanister: g.FirstCanister, LastCanister: g.LastCanister, FirstGiven: g.FirstGiven,
		Provisional: g.Provisional, CostNodes: cmp.Or(g.CostNodes, uint64(n)), Admins: g.Admins,
	}}
	for i := range members {
		members[i].Keys.Low, members[i].Keys.High = shares[i].Low, shares[i].High
		r.Nodes = append(r.Nodes, members[i].Node)
		r.Subnet.Members = append(r.Subnet.Members, members[i].Node.ID)
	}
	return r, members, nil
}

func newMember(a Addresses) (Member, error) {
	public, key, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		return Member{}, err
	}
	der, err := x509.MarshalPKIXPublicKey(public)
	if err != nil {
		return Member{}, err
	}
	secret, err := bls.GenerateKey(rand.Reader)
	if err != nil {
		return Member{}, err
	}
	cert, err := transport.Certificate(key)
	if err != nil {
		return Member{}, fmt.Errorf("certificate: %w", err)
	}
	return Member{
		Node: registry.Node{
			ID: principal.SelfAuthenticating(der), Key: der, Committee: secret.PublicKey(), Possession: secret.ProvePossession(),
			Certificate: cert, Peers: a.Peers, API: a.API,
		},
		Keys: &committee.Keys{Node: key, Committee: secret},
	}, nil
}
