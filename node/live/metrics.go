package live

import (
	"fmt"
	"slices"
	"sync"
	"time"

	"portico/node/consensus"
	"portico/node/loop"
	"portico/node/replica"
	"portico/node/types"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
)

// metrics are what is counted of a replica.
type metrics struct {
	registry *prometheus.Registry

	notarization, finalization, execution, certification, round prometheus.Histogram
	blocks, calls, proposed                                     prometheus.Counter
	verified, signed                                            *prometheus.CounterVec

	mu      sync.Mutex
	heights heights
	times   map[types.Height]time.Time // of notarizations that are not final yet
	last    time.Time                  // of the newest notarization
	began   time.Time                  // when the newest block began to be executed
	ended   time.Time                  // and when its state was there
	finals  []time.Time                // of the newest blocks, at most window
}

// heights are how far this life of a replica has come.
type heights struct {
	notarized, finalized, executed, certified types.Height
	root                                      types.Hash // of the executed one
}

// window is the number of blocks that the block rate is taken of.
const window = 60

// maxUnfinished bounds the notarizations whose times are kept.
const maxUnfinished = 1000

func newMetrics(r *Replica) *metrics {
	seconds := func(name, help string) prometheus.Histogram {
		return prometheus.NewHistogram(prometheus.HistogramOpts{
			Name: "portico_" + name + "_seconds", Help: help,
			Buckets: []float64{.001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10},
		})
	}
	count := func(name, help string) prometheus.Counter {
		return prometheus.NewCounter(prometheus.CounterOpts{Name: "portico_" + name + "_total", Help: help})
	}
	schemes := func(name, help string) *prometheus.CounterVec {
		return prometheus.NewCounterVec(prometheus.CounterOpts{Name: "portico_" + name + "_total", Help: help}, []string{"scheme"})
	}
	newest := r.states.Newest()
	m := &metrics{
		registry:      prometheus.NewRegistry(),
		notarization:  seconds("notarization_delay", "From a block's time to its notarization."),
		finalization:  seconds("finalization_delay", "From a block's time to its finalization."),
		execution:     seconds("execution", "Executing a block."),
		certification: seconds("certification_delay", "From a state to its certification."),
		round:         seconds("round", "From one height's notarization to the next height's."),
		blocks:        count("blocks_finalized", "Blocks that became final."),
		calls:         count("calls_finalized", "Users' calls in blocks that became final."),
		proposed:      count("blocks_proposed", "Blocks that this node proposed."),
		verified:      schemes("signatures_verified", "Signatures of nodes that were verified, by scheme."),
		signed:        schemes("signatures_made", "Signatures and shares that this node made, by scheme."),
		heights:       heights{executed: newest.Height, finalized: newest.Height, root: newest.Root},
		times:         map[types.Height]time.Time{},
	}
	m.registry.MustRegister(
		m.notarization, m.finalization, m.execution, m.certification, m.round, m.blocks, m.calls, m.proposed, m.verified, m.signed,
		collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}), &collector{r, newFigures()},
	)
	return m
}

// observe takes note of what happens, when it happens: it is called on the loop.
func (m *metrics) observe(o replica.Observation) {
	now := time.Now()
	m.mu.Lock()
	defer m.mu.Unlock()
	switch o.What {
	case replica.Proposed:
		m.proposed.Inc()
	case replica.Notarized:
		m.notarized(o.Height, now)
	case replica.Finalized:
		m.finalized(o.Block, now)
	case replica.Began:
		m.began = now
	case replica.Ended:
		if !m.began.IsZero() { // the state that this life began with was not executed
			m.execution.Observe(now.Sub(m.began).Seconds())
		}
		m.ended, m.heights.executed, m.heights.root = now, o.Height, o.Hash
	case replica.Certified:
		if m.heights.executed == o.Height && !m.ended.IsZero() {
			m.certification.Observe(now.Sub(m.ended).Seconds())
		}
		m.heights.certified = o.Height
	}
}

func (m *metrics) notarized(h types.Height, now time.Time) {
	if h <= m.heights.notarized {
		return
	}
	if h == m.heights.notarized+1 && !m.last.IsZero() {
		m.round.Observe(now.Sub(m.last).Seconds())
	}
	m.heights.notarized, m.last = h, now
	if len(m.times) < maxUnfinished {
		m.times[h] = now
	}
}

func (m *metrics) finalized(b *consensus.Block, now time.Time) {
	m.heights.finalized = b.Height
	made := b.Context.Time.Std()
	if at, ok := m.times[b.Height]; ok {
		m.notarization.Observe(max(0, at.Sub(made).Seconds()))
		m.finalization.Observe(max(0, now.Sub(made).Seconds()))
		delete(m.times, b.Height)
	}
	m.blocks.Inc()
	m.calls.Add(float64(len(b.Ingress)))
	m.finals = append(m.finals, now)
	if n := len(m.finals); n > window {
		m.finals = slices.Delete(m.finals, 0, n-window)
	}
}

// rate is the number of blocks per second, of the newest ones up to now.
func (m *metrics) rate(now time.Time) float64 {
	m.mu.Lock()
	defer m.mu.Unlock()
	if len(m.finals) < 2 {
		return 0
	}
	return float64(len(m.finals)-1) / now.Sub(m.finals[0]).Seconds()
}

// where says what the node is at, for the report of a panic.
func (m *metrics) where() string {
	m.mu.Lock()
	defer m.mu.Unlock()
	return fmt.Sprintf("after height %d (notarized %d, finalized %d), last root hash %x", m.heights.executed, m.heights.notarized, m.heights.finalized, m.heights.root)
}

func (m *metrics) current() heights {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.heights
}

// countedCrypto counts what is signed and verified.
type countedCrypto struct {
	consensus.Crypto
	metrics *metrics
}

func (c *countedCrypto) Sign(s consensus.Scheme, message []byte) []byte {
	c.metrics.signed.WithLabelValues(s.String()).Inc()
	return c.Crypto.Sign(s, message)
}

func (c *countedCrypto) Verify(s consensus.Scheme, by types.Member, message, signature []byte) error {
	c.metrics.verified.WithLabelValues(s.String()).Inc()
	return c.Crypto.Verify(s, by, message, signature)
}

func (c *countedCrypto) VerifyCombined(s consensus.Scheme, signers []types.Member, message, signature []byte) error {
	c.metrics.verified.WithLabelValues(s.String()).Inc()
	return c.Crypto.VerifyCombined(s, signers, message, signature)
}

// collector reads the figures that others keep, when somebody asks.
type collector struct {
	r       *Replica
	figures figures
}

// figures are the descriptions of what collector reads.
type figures struct {
	height, rate, applied, events, refused                   *prometheus.Desc
	connected, sessions, frames, bytes, lost                 *prometheus.Desc
	artifacts, calls, callBytes, checking, offences, fetches *prometheus.Desc
}

func newFigures() figures {
	f := func(name, help string, labels ...string) *prometheus.Desc {
		return prometheus.NewDesc("portico_"+name, help, labels, nil)
	}
	return figures{
		height:    f("height", "Heights of this node, by what it has of them.", "what"),
		rate:      f("blocks_per_second", "Blocks that became final per second, of the newest 60."),
		applied:   f("disk_transactions_total", "Transactions on the artifacts' file; each waits for the disk twice."),
		events:    f("events_waiting", "Events that wait for the node's loop."),
		refused:   f("connections_refused_total", "Connections that were closed before they belonged to a peer."),
		connected: f("peer_connected", "Whether there are connections to a peer.", "peer"),
		sessions:  f("peer_sessions_total", "Sessions with a peer so far.", "peer"),
		frames:    f("peer_frames_total", "Frames exchanged with a peer.", "peer", "channel", "direction"),
		bytes:     f("peer_bytes_total", "Bytes of frames exchanged with a peer.", "peer", "channel", "direction"),
		lost:      f("peer_frames_lost_total", "Frames for a peer that were lost here.", "peer", "channel"),
		offences:  f("peer_offences_total", "What a peer did against the rules.", "peer"),
		fetches:   f("peer_fetches_total", "Artifacts that this node asked a peer for.", "peer"),
		artifacts: f("pool_artifacts", "Artifacts in the pool of consensus.", "section"),
		calls:     f("ingress_calls", "Users' calls that wait for a block."),
		callBytes: f("ingress_bytes", "The size of users' calls that wait for a block."),
		checking:  f("ingress_checking", "Calls from peers whose signatures are to be checked."),
	}
}

// Describe implements prometheus.Collector.
func (c *collector) Describe(out chan<- *prometheus.Desc) {
	f := &c.figures
	for _, d := range []*prometheus.Desc{
		f.height, f.rate, f.applied, f.events, f.refused, f.connected, f.sessions, f.frames, f.bytes, f.lost,
		f.offences, f.fetches, f.artifacts, f.calls, f.callBytes, f.checking,
	} {
		out <- d
	}
}

// Collect implements prometheus.Collector.
func (c *collector) Collect(out chan<- prometheus.Metric) {
	f := &c.figures
	h := c.r.metrics.current()
	for _, x := range []struct {
		what   string
		height types.Height
	}{{"notarized", h.notarized}, {"finalized", h.finalized}, {"executed", h.executed}, {"certified", h.certified}} {
		gauge(out, f.height, float64(x.height), x.what)
	}
	gauge(out, f.rate, c.r.metrics.rate(time.Now()))
	counter(out, f.applied, c.r.store.Applied())
	gauge(out, f.events, float64(c.r.driver.waitingEvents()))
	counter(out, f.refused, c.r.transport.Refused())
	c.collectPeers(out)
	s, ok := c.r.inspect()
	if !ok {
		return // the node is busy: its own figures are missing this time
	}
	gauge(out, f.artifacts, float64(s.Validated), "validated")
	gauge(out, f.artifacts, float64(s.Unvalidated), "unvalidated")
	gauge(out, f.calls, float64(s.Calls))
	gauge(out, f.callBytes, float64(s.CallBytes))
	gauge(out, f.checking, float64(s.Checking))
	for _, p := range s.Peers.Peers {
		counter(out, f.offences, p.Offences, p.Node.String())
		counter(out, f.fetches, p.Asked, p.Node.String())
	}
}

func (c *collector) collectPeers(out chan<- prometheus.Metric) {
	f := &c.figures
	for _, p := range c.r.transport.Stats() {
		peer := p.Peer.String()
		connected := 0.0
		if p.Connected {
			connected = 1
		}
		gauge(out, f.connected, connected, peer)
		counter(out, f.sessions, p.Sessions, peer)
		for ch, s := range p.Channels {
			channel := loop.Channel(ch).String()
			counter(out, f.frames, s.FramesIn, peer, channel, "in")
			counter(out, f.frames, s.FramesOut, peer, channel, "out")
			counter(out, f.bytes, s.BytesIn, peer, channel, "in")
			counter(out, f.bytes, s.BytesOut, peer, channel, "out")
			counter(out, f.lost, s.Dropped+s.Unsent, peer, channel)
		}
	}
}

func gauge(out chan<- prometheus.Metric, d *prometheus.Desc, v float64, labels ...string) {
	out <- prometheus.MustNewConstMetric(d, prometheus.GaugeValue, v, labels...)
}

func counter(out chan<- prometheus.Metric, d *prometheus.Desc, v uint64, labels ...string) {
	out <- prometheus.MustNewConstMetric(d, prometheus.CounterValue, float64(v), labels...)
}
