package replica

import (
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"io"
	"log/slog"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"portico/lightclient/cbor"
	"portico/lightclient/envelope"
	"portico/lightclient/principal"
	"portico/node/artifact"
	"portico/node/consensus"
	"portico/node/crypto/fake"
	"portico/node/ingress"
	"portico/node/loop"
	"portico/node/registry"
	"portico/node/types"
)

const genesisTime = types.Time(1_767_225_600_000_000_000)

// rig is one node of a subnet, whose surroundings a test plays by hand.
type rig struct {
	t       *testing.T
	crypto  *fake.World
	records *registry.Records
	self    types.Member
	store   *memory
	states  *hashes
	node    *Replica
	invalid map[types.RequestID]bool // calls that do not pass the check

	now     types.Time
	events  []loop.Event
	timers  []timer
	handled int
	sent    []sentFrame
	stopped error
	// slowDisk says that checkpoints are held up; checkpoints are the ends of those.
	slowDisk    bool
	checkpoints []loop.Event
	commit      uint64 // of the peers' slots
}

type timer struct {
	at types.Time
	ev loop.Event
}

// sentFrame is what a frame of the broadcast says.
type sentFrame struct {
	to                    types.NodeID
	offers, wants, serves []artifact.ID
}

// memory is a Store that does what the test says.
type memory struct {
	items   map[artifact.ID][]byte
	applied int
	fail    error
}

func (m *memory) Load(yield func(artifact.Item) error) error {
	var ids []artifact.ID
	for id := range m.items {
		ids = append(ids, id)
	}
	slices.SortFunc(ids, func(a, b artifact.ID) int {
		if a.Kind != b.Kind {
			return int(a.Kind) - int(b.Kind)
		}
		return a.Compare(b)
	})
	for _, id := range ids {
		if err := yield(artifact.Item{ID: id, Encoded: m.items[id]}); err != nil {
			return err
		}
	}
	return nil
}

func (m *memory) Apply(c artifact.Change) error {
	if m.fail != nil {
		return m.fail
	}
	m.applied++
	for _, p := range c.Purge {
		for id := range m.items {
			if id.Kind == p.Kind && id.Height < p.Below {
				delete(m.items, id)
			}
		}
	}
	for _, it := range c.Put {
		m.items[it.ID] = it.Encoded
	}
	return nil
}

// hashes is a States whose state is a hash of the batches.
type hashes struct {
	newest     Executed
	checkpoint bool // the newest batch asked for one
	known      map[types.RequestID]bool
	certified  func(c *consensus.Aggregate)
}

func (h *hashes) Newest() Executed                                          { return h.newest }
func (h *hashes) Known(id types.RequestID) bool                             { return h.known[id] }
func (h *hashes) Counted(uint64, types.CanisterID, int) []types.QueryReport { return nil }
func (h *hashes) Reported(types.NodeID, uint64) types.CanisterID            { return types.CanisterID{} }

func (h *hashes) Execute(b *Batch) (Executed, error) {
	next := sha256.New()
	next.Write(h.newest.Root[:])
	next.Write(b.Randomness[:])
	for _, c := range b.Calls {
		h.known[c.RequestID()] = true
		next.Write(c.ID.Hash[:])
	}
	h.newest, h.checkpoint = Executed{Height: b.Height, Root: types.Hash(next.Sum(nil))}, b.Checkpoint
	return h.newest, nil
}

func (h *hashes) Certify(c *consensus.Aggregate) (func() (types.Hash, error), error) {
	if h.certified != nil {
		h.certified(c)
	}
	if state := h.newest.Root; h.checkpoint {
		return func() (types.Hash, error) { return state, nil }, nil
	}
	return nil, nil
}

// newRig is a node of a subnet of n, after its start. It makes no block at height 1, if another does.
func newRig(t *testing.T, n int) *rig {
	r := offRig(t, n)
	r.boot()
	return r
}

// offRig is one that is not started.
func offRig(t *testing.T, n int) *rig {
	r := &rig{
		t: t, crypto: fake.NewWorld(1, n), store: &memory{items: map[artifact.ID][]byte{}}, now: genesisTime.Add(time.Hour),
		states: &hashes{newest: Executed{Root: types.Hash{1}}, known: map[types.RequestID]bool{}}, invalid: map[types.RequestID]bool{},
	}
	r.records = &registry.Records{Version: 1, Subnet: registry.Subnet{
		UnitDelay: time.Second, NotaryDelay: 300 * time.Millisecond, IdleDelay: time.Second, Interval: 100, Genesis: genesisTime,
	}}
	for i := range n {
		r.records.Subnet.Members = append(r.records.Subnet.Members, principal.SelfAuthenticating([]byte{byte(i)}))
	}
	slices.SortFunc(r.records.Subnet.Members, principal.ID.Compare)
	for m := range types.Member(n) {
		if !slices.Contains(r.makers(), m) {
			r.self = m
		}
	}
	return r
}

// boot begins a life of the node.
func (r *rig) boot() {
	r.t.Helper()
	node, err := New(Config{
		Records: r.records, Self: r.id(r.self), Crypto: r.crypto.Member(r.self), Store: r.store, States: r.states,
		Check: func(c *ingress.Call, _ types.Time) error {
			if r.invalid[c.RequestID()] {
				return errors.New("its signature is wrong")
			}
			return nil
		},
		Log: slog.New(slog.DiscardHandler),
	})
	if err != nil {
		r.t.Fatal(err)
	}
	r.node = node
	r.give(loop.Boot{})
}

func (r *rig) id(m types.Member) types.NodeID { return r.records.Subnet.Members[m] }

func (r *rig) genesisBeacon() *consensus.Aggregate {
	return consensus.NewPool(consensus.Genesis(genesisTime)).Aggregate(artifact.Beacon, 0)
}

func (r *rig) makers() []types.Member {
	return consensus.Makers(len(r.records.Subnet.Members), r.genesisBeacon())
}

// peers are the other members.
func (r *rig) peers() (out []types.Member) {
	for m := range types.Member(len(r.records.Subnet.Members)) {
		if m != r.self {
			out = append(out, m)
		}
	}
	return out
}

// Now, Rand, Send, After, Go and Stop implement loop.Env. Work is done at once, before anything
// else that the node has asked for.
func (r *rig) Now() types.Time { return r.now }
func (r *rig) Rand() io.Reader { return rand.NewChaCha8([32]byte{}) }
func (r *rig) Send(to types.NodeID, _ loop.Channel, frame []byte) {
	f := r.parse(frame)
	f.to = to
	for _, id := range slices.Concat(f.offers, f.serves) {
		if id.Kind != artifact.Ingress && r.store.items[id] == nil {
			r.t.Errorf("%s is sent before it is durable", id)
		}
	}
	r.sent = append(r.sent, f)
}

func (r *rig) After(d time.Duration, ev loop.Event) {
	if d <= 0 {
		r.events = append(r.events, ev)
		return
	}
	r.timers = append(r.timers, timer{r.now.Add(d), ev})
}

func (r *rig) Go(work func() loop.Event) {
	ev := work()
	if _, ok := ev.(checkpointed); ok && r.slowDisk {
		r.checkpoints = append(r.checkpoints, ev)
		return
	}
	r.events = append(r.events, ev)
}
func (r *rig) Stop(reason error) { r.stopped = reason }

// give has events handled, and all that follow at once.
func (r *rig) give(events ...loop.Event) {
	r.events = append(r.events, events...)
	for len(r.events) > 0 && r.stopped == nil {
		ev := r.events[0]
		r.events = r.events[1:]
		r.handled++
		r.node.Handle(r, ev)
	}
}

// pass lets time pass.
func (r *rig) pass(d time.Duration) {
	for end := r.now.Add(d); ; {
		slices.SortStableFunc(r.timers, func(a, b timer) int { return int(a.at.Sub(b.at)) })
		if len(r.timers) == 0 || r.timers[0].at > end {
			r.now = end
			return
		}
		next := r.timers[0]
		r.timers = r.timers[1:]
		r.now = next.at
		r.give(next.ev)
	}
}

// parse reads a frame of the broadcast: see package p2p.
func (r *rig) parse(frame []byte) (f sentFrame) {
	d := cbor.NewDecoder(frame)
	array := func() int {
		n, err := d.Array()
		if err != nil {
			r.t.Fatal(err)
		}
		return n
	}
	skip := func(n int) {
		for range n {
			if err := d.Skip(); err != nil {
				r.t.Fatal(err)
			}
		}
	}
	id := func() artifact.ID {
		out, err := artifact.Decode(d)
		if err != nil {
			r.t.Fatal(err)
		}
		return out
	}
	array()
	skip(5)
	for range array() {
		items := array()
		skip(2)
		if items > 2 {
			f.offers = append(f.offers, id())
			skip(items - 3)
		}
	}
	skip(1)
	for range array() {
		f.wants = append(f.wants, id())
	}
	for range array() {
		items := array()
		f.serves = append(f.serves, id())
		skip(items - 1)
	}
	return f
}

// frame is one that offers an artifact, with its bytes unless they are nil, or answers.
func (r *rig) frame(from types.Member, stream loop.Channel, id artifact.ID, encoded []byte, answer bool) loop.Received {
	b := cbor.AppendArray(nil, 9)
	for _, v := range []uint64{1, 1, 0, 0, uint64(stream)} {
		b = cbor.AppendUint(b, v)
	}
	if answer {
		b = cbor.AppendArray(cbor.AppendArray(cbor.AppendArray(b, 0), 0), 0)
		b = id.Append(cbor.AppendArray(cbor.AppendArray(b, 1), 2))
		return loop.Received{From: r.id(from), Channel: stream, Frame: cbor.AppendBytes(b, encoded)}
	}
	r.commit++
	items := 3
	if encoded != nil {
		items = 4
	}
	b = cbor.AppendArray(cbor.AppendArray(b, 1), items)
	b = id.Append(cbor.AppendUint(cbor.AppendUint(b, r.commit), r.commit))
	if encoded != nil {
		b = cbor.AppendBytes(b, encoded)
	}
	for range 3 {
		b = cbor.AppendArray(b, 0)
	}
	return loop.Received{From: r.id(from), Channel: stream, Frame: b}
}

// offer is a frame that pushes an artifact, a proposal without its calls.
func (r *rig) offer(from types.Member, a consensus.Artifact) loop.Received {
	encoded := consensus.Encode(a)
	if p, ok := a.(*consensus.Proposal); ok {
		encoded = p.Encode(false)
	}
	return r.frame(from, loop.Consensus, a.ID(), encoded, false)
}

// asked counts how often a peer was asked for an artifact.
func (r *rig) asked(of types.Member, id artifact.ID) (n int) {
	for _, f := range r.sent {
		if f.to == r.id(of) && slices.Contains(f.wants, id) {
			n++
		}
	}
	return n
}

// voted reports whether the node has a durable share of its own of a notarization.
func (r *rig) voted(b *consensus.Block) bool {
	c := consensus.Content{Kind: artifact.Notarization, Height: b.Height, Hash: b.Hash()}
	return r.store.items[r.share(c, r.self).ID()] != nil
}

func (r *rig) share(c consensus.Content, by types.Member) *consensus.Share {
	return &consensus.Share{Content: c, By: by, Signature: r.crypto.Member(by).Sign(c.Scheme(), c.Message())}
}

// signed is the aggregate of members' shares.
func (r *rig) signed(c consensus.Content, by []types.Member) *consensus.Aggregate {
	var shares []consensus.Signature
	for _, m := range by {
		shares = append(shares, consensus.Signature{By: m, Bytes: r.share(c, m).Signature})
	}
	signature, err := r.crypto.Member(0).Combine(c.Scheme(), c.Message(), shares)
	if err != nil {
		r.t.Fatal(err)
	}
	a := &consensus.Aggregate{Content: c, Signature: signature}
	if c.Scheme() == consensus.SchemeCommittee {
		a.Signers = by
	}
	return a
}

// proposal is a block of height 1 with calls.
func (r *rig) proposal(rank int, at types.Time, calls ...*ingress.Call) *consensus.Proposal {
	b := &consensus.Block{
		Height: 1, Parent: consensus.Genesis(genesisTime).Hash(), Rank: uint16(rank), Calls: calls,
		Context: consensus.Context{Registry: 1, Time: at},
	}
	for _, c := range calls {
		b.Ingress = append(b.Ingress, c.ID)
	}
	maker := r.makers()[rank]
	return &consensus.Proposal{
		Block: b, Maker: maker,
		Signature: r.crypto.Member(maker).Sign(consensus.SchemeNode, consensus.ProposalMessage(1, b.Hash())),
	}
}

// call is a user's call number i, which expires a minute after the rig's time.
func (r *rig) call(i int) *ingress.Call {
	r.t.Helper()
	e, err := envelope.Anonymous{}.Sign(envelope.Request{
		Kind: envelope.Call, IngressExpiry: uint64(r.now.Add(time.Minute)), Nonce: binary.BigEndian.AppendUint64(nil, uint64(i)),
		Canister: principal.Canister(0), Method: "add",
	})
	if err != nil {
		r.t.Fatal(err)
	}
	c, err := ingress.Open(ingress.Message{Envelope: e.Append(nil), Effective: principal.Canister(0)})
	if err != nil {
		r.t.Fatal(err)
	}
	return c
}
