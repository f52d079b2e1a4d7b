package p2p

import (
	"container/heap"
	"crypto/sha256"
	"encoding/binary"
	"io"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"portico/lightclient/principal"
	"portico/node/artifact"
	"portico/node/loop"
	"portico/node/types"
)

// world is a handful of nodes in virtual time, joined by links with faults.
type world struct {
	t      testing.TB
	rng    *rand.Rand
	now    types.Time
	seq    uint64
	events eventHeap
	nodes  []*testNode
	limits Limits

	loss, double float64
	delay        func(from int) time.Duration
	cut          func(from, to int) bool
	// sent is called for every frame that leaves a node.
	sent func(from, to int, ch loop.Channel, encoded []byte)
}

type event struct {
	at   types.Time
	seq  uint64
	node int
	life int // 0 = whichever is there
	ev   loop.Event
}

type eventHeap []event

func (h eventHeap) Len() int { return len(h) }
func (h eventHeap) Less(i, j int) bool {
	return h[i].at < h[j].at || (h[i].at == h[j].at && h[i].seq < h[j].seq)
}
func (h eventHeap) Swap(i, j int) { h[i], h[j] = h[j], h[i] }
func (h *eventHeap) Push(x any)   { *h = append(*h, x.(event)) }
func (h *eventHeap) Pop() any {
	last := (*h)[len(*h)-1]
	*h = (*h)[:len(*h)-1]
	return last
}

// testNode is a node whose two pools validate everything at once. It is its own Env.
type testNode struct {
	w      *world
	index  int
	id     types.NodeID
	life   int
	behind time.Duration // of its clock
	relay  bool          // it publishes what it has received
	mute   func(loop.Received) bool
	b      *Broadcast
	pools  [Streams]*testPool
}

type testPool struct {
	node        *testNode
	has         map[artifact.ID][]byte
	gets        map[artifact.ID]int
	received    map[artifact.ID]int
	came        []artifact.ID
	low, high   types.Height // wanted heights
	unwantedAll bool
}

func (p *testPool) Interest(id artifact.ID) Interest {
	switch {
	case p.has[id] != nil || id.Height < p.low || p.unwantedAll:
		return Unwanted
	case id.Height > p.high:
		return Later
	default:
		return Wanted
	}
}

func (p *testPool) Received(_ types.NodeID, id artifact.ID, encoded []byte) {
	p.received[id]++
	p.has[id] = encoded
	p.came = append(p.came, id)
}

func (p *testPool) Get(id artifact.ID) []byte {
	p.gets[id]++
	return p.has[id]
}

func nodeID(i int) types.NodeID {
	return principal.SelfAuthenticating(binary.BigEndian.AppendUint32(nil, uint32(i)))
}

const step = 300 * time.Millisecond // between refreshes

type refresh struct{}

func newWorld(t testing.TB, seed uint64, n int) *world {
	w := &world{t: t, rng: rand.New(rand.NewPCG(seed, 1)), now: types.Time(time.Hour), limits: DefaultLimits()}
	w.delay = func(int) time.Duration { return 20 * time.Millisecond }
	w.cut = func(int, int) bool { return false }
	w.sent = func(int, int, loop.Channel, []byte) {}
	for i := range n {
		w.nodes = append(w.nodes, &testNode{w: w, index: i, id: nodeID(i)})
	}
	slices.SortFunc(w.nodes, func(x, y *testNode) int { return x.id.Compare(y.id) })
	for i, n := range w.nodes {
		n.index = i
	}
	return w
}

// boot starts all nodes and connects them.
func (w *world) boot() {
	for _, n := range w.nodes {
		n.boot()
	}
	for i := range w.nodes {
		for j := range i {
			w.connect(i, j)
		}
	}
}

func (n *testNode) boot() {
	n.life++
	cfg := Config{
		Self: n.id, Limits: n.w.limits,
		Hashed: func(k artifact.Kind) bool { return k != artifact.Proposal },
		Urgent: func(k artifact.Kind) bool { return k == artifact.Proposal },
	}
	for _, m := range n.w.nodes {
		cfg.Peers = append(cfg.Peers, m.id)
	}
	for s := range n.pools {
		n.pools[s] = &testPool{
			node: n, has: map[artifact.ID][]byte{}, gets: map[artifact.ID]int{}, received: map[artifact.ID]int{},
			high: 1 << 60,
		}
		cfg.Clients[s] = n.pools[s]
	}
	n.b = New(cfg)
	n.After(step, refresh{})
}

func (w *world) connect(i, j int) {
	w.handle(i, loop.Connected{Peer: w.nodes[j].id})
	w.handle(j, loop.Connected{Peer: w.nodes[i].id})
}

func (w *world) disconnect(i, j int) {
	w.handle(i, loop.Disconnected{Peer: w.nodes[j].id})
	w.handle(j, loop.Disconnected{Peer: w.nodes[i].id})
}

func (w *world) handle(i int, ev loop.Event) {
	n := w.nodes[i]
	if _, ok := ev.(refresh); ok {
		n.b.Refresh(n)
		n.After(step, refresh{})
		return
	}
	if r, ok := ev.(loop.Received); ok && n.mute != nil && n.mute(r) {
		return
	}
	n.b.Handle(n, ev)
	for s, p := range n.pools {
		for _, id := range p.came {
			if n.relay {
				n.b.Publish(n, Stream(s), id, p.has[id])
			}
		}
		p.came = nil
	}
}

// run handles the events of the next d.
func (w *world) run(d time.Duration) {
	end := w.now.Add(d)
	for len(w.events) > 0 && w.events[0].at <= end {
		e := heap.Pop(&w.events).(event)
		w.now = e.at
		if e.life == 0 || e.life == w.nodes[e.node].life {
			w.handle(e.node, e.ev)
		}
	}
	w.now = end
}

func (w *world) push(d time.Duration, node, life int, ev loop.Event) {
	w.seq++
	heap.Push(&w.events, event{w.now.Add(d), w.seq, node, life, ev})
}

func (n *testNode) Now() types.Time                      { return n.w.now.Add(-n.behind) }
func (n *testNode) Rand() io.Reader                      { return n }
func (n *testNode) Go(work func() loop.Event)            { n.After(0, work()) }
func (n *testNode) Stop(reason error)                    { n.w.t.Fatal(reason) }
func (n *testNode) After(d time.Duration, ev loop.Event) { n.w.push(d, n.index, n.life, ev) }
func (n *testNode) place(to types.NodeID) int {
	return slices.IndexFunc(n.w.nodes, func(m *testNode) bool { return m.id == to })
}

func (n *testNode) publish(s Stream, id artifact.ID, e []byte) bool {
	n.pools[s].has[id] = e
	return n.b.Publish(n, s, id, e)
}

func (n *testNode) Read(b []byte) (int, error) {
	for i := range b {
		b[i] = byte(n.w.rng.Uint32())
	}
	return len(b), nil
}

func (n *testNode) Send(to types.NodeID, ch loop.Channel, encoded []byte) {
	w := n.w
	if len(encoded) > loop.MaxFrameBytes {
		w.t.Fatalf("a frame of %d bytes", len(encoded))
	}
	i := n.place(to)
	w.sent(n.index, i, ch, encoded)
	for copies := 1; copies > 0; copies-- {
		if w.rng.Float64() < w.double && copies < 3 {
			copies++
		}
		if w.cut(n.index, i) || w.rng.Float64() < w.loss {
			continue
		}
		w.push(w.delay(n.index), i, 0, loop.Received{From: n.id, Channel: ch, Frame: slices.Clone(encoded)})
	}
}

// an artifact of a kind, unique by its number.
func makeArtifact(kind artifact.Kind, height types.Height, number uint64, size int) (artifact.ID, []byte) {
	encoded := make([]byte, size)
	binary.BigEndian.PutUint64(encoded, number)
	return artifact.ID{Kind: kind, Height: height, Hash: sha256.Sum256(encoded)}, encoded
}

// live are the ids that a node publishes, in order.
func (n *testNode) live(s Stream) []artifact.ID {
	var out []artifact.ID
	for _, sl := range n.b.streams[s].slots {
		if sl.live {
			out = append(out, sl.id)
		}
	}
	slices.SortFunc(out, artifact.ID.Compare)
	return out
}

// hears are the ids that a node believes a peer to publish, in order.
func (n *testNode) hears(s Stream, from types.NodeID) []artifact.ID {
	var out []artifact.ID
	for _, h := range n.b.byNode[from].links[s].heard {
		if h.advert != nil {
			out = append(out, h.advert.id)
		}
	}
	slices.SortFunc(out, artifact.ID.Compare)
	return out
}

// checkEqual fails unless every node's picture of every other is exact, and whatever
// is live somewhere and wanted is everywhere.
func (w *world) checkEqual() {
	w.t.Helper()
	for _, n := range w.nodes {
		for s := range Stream(Streams) {
			for _, m := range w.nodes {
				if n == m {
					continue
				}
				live, heard := m.live(s), n.hears(s, m.id)
				if !slices.Equal(live, heard) {
					w.t.Errorf("stream %d: node %d has %d artifacts live, node %d hears of %d", s, m.index, len(live), n.index, len(heard))
				}
				for _, id := range live {
					if n.pools[s].Interest(id) == Wanted {
						w.t.Errorf("stream %d: node %d still wants %s of node %d", s, n.index, id, m.index)
					}
				}
			}
			n.checkTables(s)
		}
	}
}

// checkTables fails unless the node's tables agree with each other.
func (n *testNode) checkTables(s Stream) {
	t, st := n.w.t, &n.b.streams[s]
	t.Helper()
	slots := map[*advert]map[*peer]int{}
	for _, p := range n.b.peers {
		for _, h := range p.links[s].heard {
			if h.advert != nil {
				if slots[h.advert] == nil {
					slots[h.advert] = map[*peer]int{}
				}
				slots[h.advert][p]++
			}
		}
		queued := 0
		for _, ad := range st.order {
			if h := ad.holder(p); h != nil && h.queued {
				queued++
			}
		}
		if s == Consensus && len(n.b.streams[Ingress].order) == 0 && len(p.waiting) != queued+p.gone {
			t.Errorf("%d wait for a peer: %d are marked and %d gone", len(p.waiting), queued, p.gone)
		}
		o, flying, bytes := &p.links[s].outbox, 0, 0
		for _, x := range o.told {
			if x.flying {
				flying++
				bytes += x.bytes
			}
		}
		if flying != o.flying || bytes != o.flyingBytes {
			t.Errorf("%d updates (%d bytes) are under way, %d (%d) are counted", flying, bytes, o.flying, o.flyingBytes)
		}
	}
	if len(st.order) != len(st.adverts) {
		t.Errorf("%d adverts in order, %d by id", len(st.order), len(st.adverts))
	}
	for i, ad := range st.order {
		if ad.position != i || st.adverts[ad.id] != ad || ad.dropped {
			t.Errorf("advert %d is not where it belongs", i)
		}
		for _, h := range ad.holders {
			if h.slots != slots[ad][h.peer] {
				t.Errorf("%s: a holder is counted %d times and has %d slots", ad.id, h.slots, slots[ad][h.peer])
			}
		}
	}
}
