package consensus_test

import (
	"encoding/binary"
	"slices"
	"strings"
	"testing"
	"time"

	"portico/lightclient/envelope"
	"portico/lightclient/principal"
	"portico/node/artifact"
	"portico/node/consensus"
	"portico/node/crypto/fake"
	"portico/node/ingress"
	"portico/node/registry"
	"portico/node/types"
)

// The delays of the tests' subnets. Their genesis is an hour before their nodes' clocks start.
const (
	unit     = time.Second
	notary   = 300 * time.Millisecond
	idle     = 2 * time.Second
	interval = 10

	genesisTime = types.Time(1_767_225_600_000_000_000)
)

// subnet makes what its members could have signed.
type subnet struct {
	t       testing.TB
	n       int
	crypto  *fake.World
	records *registry.Records
	genesis *consensus.Block
	beacons []*consensus.Aggregate // by height
}

func newSubnet(t testing.TB, n int) *subnet {
	s := &subnet{t: t, n: n, crypto: fake.NewWorld(1, n), genesis: consensus.Genesis(genesisTime)}
	s.records = &registry.Records{Version: 1, Subnet: registry.Subnet{
		UnitDelay: unit, NotaryDelay: notary, IdleDelay: idle, Interval: interval, Genesis: genesisTime,
	}}
	for i := range n {
		s.records.Subnet.Members = append(s.records.Subnet.Members, principal.SelfAuthenticating([]byte{byte(i)}))
	}
	slices.SortFunc(s.records.Subnet.Members, principal.ID.Compare)
	s.beacons = []*consensus.Aggregate{consensus.NewPool(s.genesis).Aggregate(artifact.Beacon, 0)}
	return s
}

func (s *subnet) members(from, to int) []types.Member {
	var out []types.Member
	for m := from; m < to; m++ {
		out = append(out, types.Member(m))
	}
	return out
}

func (s *subnet) id(m types.Member) types.NodeID { return s.records.Subnet.Members[m] }

// beacon is that of a height.
func (s *subnet) beacon(h types.Height) *consensus.Aggregate {
	for len(s.beacons) <= int(h) {
		s.beacons = append(s.beacons, s.signed(s.beaconContent(types.Height(len(s.beacons)))))
	}
	return s.beacons[h]
}

// beaconContent names the beacon before by its hash, which is that of what is random in it.
func (s *subnet) beaconContent(h types.Height) consensus.Content {
	return consensus.Content{Kind: artifact.Beacon, Height: h, Hash: consensus.Randomness(s.beacon(h - 1))}
}

func (s *subnet) makers(h types.Height) []types.Member {
	return consensus.Makers(s.n, s.beacon(h-1))
}

func (s *subnet) share(c consensus.Content, by types.Member) *consensus.Share {
	return &consensus.Share{Content: c, By: by, Signature: s.crypto.Member(by).Sign(c.Scheme(), c.Message())}
}

// forged is a share of nothing.
func (s *subnet) forged(c consensus.Content, by types.Member) *consensus.Share {
	x := s.share(c, by)
	x.Signature = slices.Clone(x.Signature)
	x.Signature[0] ^= 1
	return x
}

// signed is the aggregate of the shares of as many members as it takes, or of those given.
func (s *subnet) signed(c consensus.Content, by ...types.Member) *consensus.Aggregate {
	s.t.Helper()
	votes := c.Scheme() == consensus.SchemeCommittee
	if by == nil {
		by = s.members(0, types.Quorum(s.n))
		if votes {
			by = consensus.Committee(s.n, s.beacon(c.Height-1))[:types.Quorum(s.n)]
		}
	}
	var shares []consensus.Signature
	for _, m := range by {
		shares = append(shares, consensus.Signature{By: m, Bytes: s.share(c, m).Signature})
	}
	signature, err := s.crypto.Member(0).Combine(c.Scheme(), c.Message(), shares)
	if err != nil {
		s.t.Fatal(err)
	}
	a := &consensus.Aggregate{Content: c, Signature: signature}
	if votes {
		a.Signers = by
	}
	return a
}

func content(k artifact.Kind, b *consensus.Block) consensus.Content {
	return consensus.Content{Kind: k, Height: b.Height, Hash: b.Hash()}
}

func (s *subnet) notarization(b *consensus.Block) *consensus.Aggregate {
	return s.signed(content(artifact.Notarization, b))
}

func (s *subnet) finalization(b *consensus.Block) *consensus.Aggregate {
	return s.signed(content(artifact.Finalization, b))
}

func (s *subnet) tape(h types.Height) *consensus.Aggregate {
	return s.signed(consensus.Content{Kind: artifact.Tape, Height: h})
}

// block is a block on a parent by the maker of a rank, right unless edit makes it wrong.
func (s *subnet) block(parent *consensus.Block, rank int, edit ...func(*consensus.Block)) *consensus.Proposal {
	h := parent.Height + 1
	b := &consensus.Block{
		Height: h, Parent: parent.Hash(), Rank: uint16(rank), Summary: h%interval == 0,
		Context: consensus.Context{Certified: parent.Context.Certified, Registry: 1, Time: parent.Context.Time.Add(time.Second)},
	}
	for _, f := range edit {
		f(b)
	}
	for _, c := range b.Calls {
		b.Ingress = append(b.Ingress, c.ID)
	}
	maker := s.makers(h)[min(rank, types.Faults(s.n))]
	return s.proposal(b, maker)
}

func (s *subnet) proposal(b *consensus.Block, maker types.Member) *consensus.Proposal {
	signature := s.crypto.Member(maker).Sign(consensus.SchemeNode, consensus.ProposalMessage(b.Height, b.Hash()))
	return &consensus.Proposal{Block: b, Maker: maker, Signature: signature}
}

func carrying(calls ...*ingress.Call) func(*consensus.Block) {
	return func(b *consensus.Block) { b.Calls = calls }
}

func at(t types.Time) func(*consensus.Block) {
	return func(b *consensus.Block) { b.Context.Time = t }
}

// call is a user's call number i.
func call(t testing.TB, i int, expiry types.Time, arg ...byte) *ingress.Call {
	t.Helper()
	e, err := envelope.Anonymous{}.Sign(envelope.Request{
		Kind: envelope.Call, IngressExpiry: uint64(expiry), Nonce: binary.BigEndian.AppendUint64(nil, uint64(i)),
		Canister: principal.Canister(0), Method: "add", Arg: arg,
	})
	if err != nil {
		t.Fatal(err)
	}
	c, err := ingress.Open(ingress.Message{Envelope: e.Append(nil), Effective: principal.Canister(0)})
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// node is a member with its pool. It does everything that there is to do whenever it is
// given something or time passes, and notes it.
type node struct {
	*subnet
	self      types.Member
	consensus *consensus.Consensus
	pool      *consensus.Pool
	progress  consensus.Progress
	known     map[types.RequestID]bool
	queries   queries
	now, wake types.Time
	done      []consensus.Change
	effects   []consensus.Effect
}

func (s *subnet) node(self types.Member) *node {
	n := &node{subnet: s, self: self, known: map[types.RequestID]bool{}, queries: queries{reported: map[types.NodeID]types.CanisterID{}}, now: genesisTime.Add(time.Hour)}
	n.progress = consensus.Progress{
		Checkpoints: map[types.Height]types.Hash{}, Calls: ingress.NewPool(),
		Known: func(id types.RequestID) bool { return n.known[id] }, Queries: &n.queries,
	}
	n.consensus = consensus.New(consensus.Config{Records: s.records, Self: self, Crypto: s.crypto.Member(self)})
	n.pool = consensus.NewPool(s.genesis)
	return n
}

// queries is what a node has counted in the epoch before this one, and what was reported of it.
type queries struct {
	counted  []types.QueryReport
	reported map[types.NodeID]types.CanisterID
}

func (q *queries) Counted(_ uint64, after types.CanisterID, most int) (out []types.QueryReport) {
	for _, r := range q.counted {
		if after.Compare(r.Canister) < 0 && len(out) < most {
			out = append(out, r)
		}
	}
	return out
}

func (q *queries) Reported(by types.NodeID, _ uint64) types.CanisterID { return q.reported[by] }

// others are the other members.
func (n *node) others() []types.Member {
	return slices.DeleteFunc(n.members(0, n.n), func(m types.Member) bool { return m == n.self })
}

// have puts artifacts into the validated section.
func (n *node) have(artifacts ...consensus.Artifact) {
	for _, a := range artifacts {
		n.effects = append(n.effects, n.pool.Apply(consensus.Add{Artifact: a}, n.now))
	}
}

// haveNotarized puts all that is agreed on about a block into it except that it is final.
func (n *node) haveNotarized(p *consensus.Proposal) {
	n.have(n.beacon(p.Block.Height), p, n.notarization(p.Block))
}

func (n *node) haveFinal(p *consensus.Proposal) {
	n.haveNotarized(p)
	n.have(n.finalization(p.Block), n.tape(p.Block.Height))
}

// grow has a chain of final blocks after a parent that reaches to a height, the last of them
// notarized just now.
func (n *node) grow(parent *consensus.Block, to types.Height) *consensus.Block {
	for parent.Height < to {
		p := n.block(parent, 0)
		n.haveFinal(p)
		parent = p.Block
	}
	n.progress.Executed, n.progress.Certified = to, to
	return parent
}

// waits puts a call into the pool of those that wait for a block.
func (n *node) waits(c *ingress.Call) {
	n.t.Helper()
	if added, err := n.progress.Calls.Add(c, n.id(n.self)); !added || err != nil {
		n.t.Fatalf("call %s: %t, %v", c.ID, added, err)
	}
}

// get takes artifacts from a peer.
func (n *node) get(from types.Member, artifacts ...consensus.Artifact) {
	for _, a := range artifacts {
		n.pool.Insert(a, len(consensus.Encode(a)), n.id(from), false)
	}
}

// run does everything that there is to do.
func (n *node) run() {
	n.t.Helper()
	for range 10_000 {
		changes, wake := n.consensus.Next(n.pool, &n.progress, n.now)
		if len(changes) == 0 {
			n.wake = wake
			return
		}
		for _, c := range changes {
			n.done = append(n.done, c)
			n.effects = append(n.effects, n.pool.Apply(c, n.now))
		}
	}
	n.t.Fatal("there is always more to do")
}

func (n *node) after(d time.Duration) {
	n.t.Helper()
	n.now = n.now.Add(d)
	n.run()
}

// votes are the hashes of which this node has made shares.
func (n *node) votes(k artifact.Kind, h types.Height) []types.Hash {
	var out []types.Hash
	for _, c := range n.done {
		if add, ok := c.(consensus.Add); ok {
			if s, ok := add.Artifact.(*consensus.Share); ok && s.By == n.self && s.Kind == k && s.Height == h {
				out = append(out, s.Hash)
			}
		}
	}
	return out
}

// proposed is the block that this node has made for a height, or nil.
func (n *node) proposed(h types.Height) *consensus.Block {
	for _, c := range n.done {
		if add, ok := c.(consensus.Add); ok {
			if p, ok := add.Artifact.(*consensus.Proposal); ok && p.Block.Height == h {
				return p.Block
			}
		}
	}
	return nil
}

// fate says what became of an artifact that came from a peer.
func (n *node) fate(a consensus.Artifact) string {
	for _, c := range n.done {
		switch c := c.(type) {
		case consensus.Move:
			if c.ID == a.ID() {
				return "valid"
			}
		case consensus.Drop:
			if c.ID == a.ID() {
				return "dropped"
			}
		case consensus.Blame:
			if c.ID == a.ID() {
				return c.Reason
			}
		}
	}
	if n.pool.Has(a.ID()) {
		return "waits"
	}
	return "never came"
}

func (n *node) expectFate(a consensus.Artifact, want string) {
	n.t.Helper()
	if got := n.fate(a); got != want && (len(want) < 10 || !strings.Contains(got, want)) {
		n.t.Errorf("%s: %q, want %q", a.ID(), got, want)
	}
}

func (n *node) expectVotes(k artifact.Kind, h types.Height, want ...*consensus.Block) {
	n.t.Helper()
	var hashes []types.Hash
	for _, b := range want {
		hashes = append(hashes, b.Hash())
	}
	if got := n.votes(k, h); !slices.Equal(got, hashes) {
		n.t.Errorf("shares of a %s at height %d are of %.4x, want %.4x", k, h, got, hashes)
	}
}
