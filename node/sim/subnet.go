package sim

import (
	"encoding/binary"
	"fmt"
	"io"
	"log/slog"
	"slices"
	"time"

	"portico/lightclient/principal"
	"portico/node/artifact"
	"portico/node/consensus"
	"portico/node/crypto/fake"
	"portico/node/loop"
	"portico/node/registry"
	"portico/node/replica"
	"portico/node/types"
)

// SubnetConfig is what a Subnet is made of.
type SubnetConfig struct {
	Seed  uint64
	Nodes int // at most 64
	// Misdeeds are what Byzantine nodes do.
	Misdeeds map[int]Misdeed
	// Rules are consensus.DefaultRules, unless a test breaks one.
	Rules consensus.Rules
	// Crypto, if given, stands before every node's own.
	Crypto func(consensus.Crypto) consensus.Crypto
	// Interval is the number of heights between checkpoints; 0 stands for DefaultInterval.
	Interval types.Height
	// States makes the states of a node, or of one of an equivocating node's two halves; nil
	// stands for ModelStates.
	States func(*registry.Records) States
	// Request draws what users send; nil stands for calls that ModelStates take.
	Request Request
	Score   *Score
}

// DefaultInterval is short, so that runs of a minute see checkpoints.
const DefaultInterval = 20

// queryEpoch is short, too.
const queryEpoch = 15

// Delays of the subnet's record.
const (
	unitDelay   = time.Second
	notaryDelay = 300 * time.Millisecond
	idleDelay   = time.Second
)

// maxAhead is how far the time of a block may be ahead of the true one when all clocks are
// nearly right.
const maxAhead = time.Second

// Subnet is a subnet in a World of its own, with its checker and its users. Its nodes are
// down until they are started.
type Subnet struct {
	World   *World
	Checker *Checker
	Load    *Load
	Records *registry.Records

	cfg     SubnetConfig
	crypto  *fake.World
	members []*member
}

// member is what outlives a node's lives.
type member struct {
	store   *Store
	states  States
	misdeed Misdeed
	twin    *member // of those that equivocate
}

// NewSubnet makes a subnet.
func NewSubnet(cfg SubnetConfig) *Subnet {
	if cfg.Interval == 0 {
		cfg.Interval = DefaultInterval
	}
	s := &Subnet{World: NewWorld(cfg.Seed, cfg.Score), Records: records(cfg), cfg: cfg, crypto: fake.NewWorld(cfg.Seed, cfg.Nodes)}
	honest := make([]bool, cfg.Nodes)
	for i := range honest {
		honest[i] = cfg.Misdeeds[i] == Honest
	}
	s.Checker = NewChecker(s.World, honest)
	s.Load = NewLoad(s.World, s.Checker.Honest, cfg.Request)
	s.World.OnDown(s.Checker.Down)
	for i, id := range s.Records.Subnet.Members {
		m := s.member()
		if m.misdeed = cfg.Misdeeds[i]; m.misdeed == Equivocate {
			m.twin = s.member()
		}
		s.members = append(s.members, m)
		s.World.Add(id, func() (loop.Handler, error) { return s.boot(i) })
	}
	return s
}

func (s *Subnet) member() *member {
	if s.cfg.States == nil {
		return &member{store: NewStore(), states: NewModelStates(s.Records.Subnet.Genesis, s.Records.Subnet.QueryEpoch)}
	}
	return &member{store: NewStore(), states: s.cfg.States(s.Records)}
}

// lastCanister is the index of the last canister that a simulated subnet hosts.
const lastCanister = 1 << 20

// records are those of a subnet without real keys.
func records(cfg SubnetConfig) *registry.Records {
	n := cfg.Nodes
	var ids []types.NodeID
	for i := range n {
		ids = append(ids, principal.SelfAuthenticating(binary.BigEndian.AppendUint64([]byte("node"), cfg.Seed+uint64(i)<<32)))
	}
	slices.SortFunc(ids, principal.ID.Compare)
	r := &registry.Records{Version: 1, Subnet: registry.Subnet{
		ID: principal.SelfAuthenticating([]byte("subnet")), Type: "application", Members: ids,
		UnitDelay: unitDelay, NotaryDelay: notaryDelay, IdleDelay: idleDelay, Interval: cfg.Interval,
		Low:  registry.Transcript{Threshold: types.Faults(n) + 1},
		High: registry.Transcript{Threshold: types.Quorum(n)}, Genesis: start,
		LastCanister: lastCanister, QueryEpoch: queryEpoch,
	}}
	for _, id := range ids {
		r.Nodes = append(r.Nodes, registry.Node{ID: id})
	}
	return r
}

// boot makes a life of a node.
func (s *Subnet) boot(node int) (loop.Handler, error) {
	m := s.members[node]
	s.Checker.Started(node)
	first, err := s.replica(node, m)
	if err != nil || m.misdeed == Honest {
		return first, err
	}
	if m.twin == nil {
		return &offender{world: s.World, crypto: s.crypto.Member(types.Member(node)), inner: first, misdeed: m.misdeed}, nil
	}
	second, err := s.replica(node, m.twin)
	return &twins{subnet: s, lives: [2]loop.Handler{first, second}}, err
}

func (s *Subnet) replica(node int, m *member) (*replica.Replica, error) {
	if err := m.states.Crash(); err != nil {
		return nil, err
	}
	var crypto consensus.Crypto = s.crypto.Member(types.Member(node))
	if s.cfg.Crypto != nil {
		crypto = s.cfg.Crypto(crypto)
	}
	if m.misdeed == Forge {
		crypto = &forger{Crypto: crypto, world: s.World}
	}
	var store artifact.Store = m.store
	if m.misdeed == Honest {
		store = &observedStore{Store: m.store, checker: s.Checker, node: node}
	}
	return replica.New(replica.Config{
		Records: s.Records, Self: s.Records.Subnet.Members[node], Crypto: crypto, Rules: s.cfg.Rules,
		Store: store, States: m.states, Check: check,
		Observe: func(o replica.Observation) { s.Checker.Observe(node, o) },
		Log:     slog.New(slog.NewTextHandler(io.Discard, &slog.HandlerOptions{Level: slog.LevelError + 1})),
	})
}

// StartAll starts the nodes that are down.
func (s *Subnet) StartAll() {
	for i := range s.members {
		s.World.Start(i)
	}
}

// Arm has a transaction of a node meet a fault, after so many others.
func (s *Subnet) Arm(node int, f Fault, after int) { s.members[node].store.Arm(f, after) }

// Nodes are all nodes' numbers.
func (s *Subnet) Nodes() []int {
	out := make([]int, len(s.members))
	for i := range out {
		out[i] = i
	}
	return out
}

// CheckKnown fails unless every honest node's certified state knows the calls that were
// agreed on up to its height and have not expired.
func (s *Subnet) CheckKnown() {
	for i, m := range s.members {
		if m.misdeed != Honest || !s.World.Up(i) {
			continue
		}
		for _, u := range s.Load.calls {
			id := u.call.RequestID()
			h, ok := s.Checker.Executed(id)
			if ok && h <= s.Checker.CertifiedBy(i) && u.call.Expiry() > s.World.now.Add(maxAhead) && !m.states.Known(id) {
				s.World.Fail(fmt.Errorf("node %d: its state of height %d does not know call %x of height %d", i, s.Checker.CertifiedBy(i), id[:4], h))
				return
			}
		}
	}
}
