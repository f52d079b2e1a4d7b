// Package dashboard is the start page of a local network: its replicas, subnets and
// canisters, with figures that move.
//
// What it shows it has from a Source, which asks the network's own replicas on the same
// machine; nothing of it is verified, and the page says so. It only shows: there is
// nothing on it that changes anything.
package dashboard

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"io/fs"
	"log/slog"
	"net"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"portico/gateway/page"
	"portico/web/live"
)

// Source tells how the network is doing.
type Source interface {
	// Replicas asks all replicas, in the order of their numbers; those that do not answer
	// within a second or so are there, too, and not Alive.
	Replicas(ctx context.Context) []Replica
	// Canisters lists the canisters that follow one in the order of ids, "" for the first.
	Canisters(ctx context.Context, after string) (Canisters, error)
}

// Replica is how a replica is doing.
type Replica struct {
	Name  string `json:"name"` // short, such as "node 0"
	ID    string `json:"id"`   // in text form
	Alive bool   `json:"alive"`
	State string `json:"state"` // a sentence about what is not as it should be, "" if all is well
	// Notarized, Final and Certified are heights.
	Notarized uint64 `json:"notarized"`
	Final     uint64 `json:"final"`
	Certified uint64 `json:"certified"`
	Connected int    `json:"connected"` // peers, of Peers
	Peers     int    `json:"peers"`
	Version   string `json:"version"`
	Root      string `json:"root"` // hex of its newest state's root hash
	UpSeconds int64  `json:"up"`
	// Blocks is how many it finalizes a second; Messages and Canisters are of its newest state.
	Blocks    float64 `json:"blocks"`
	Messages  uint64  `json:"messages"`
	Canisters int     `json:"canisters"`
	Page      string  `json:"page"` // URL of its own status page
}

// Canisters are some canisters, in the order of their ids.
type Canisters struct {
	Total int
	Items []Canister
	More  bool // there are others after these
}

// Canister is what is known of a canister.
type Canister struct {
	ID, Name    string // Name may be empty
	Status      string // running, stopping or stopped
	ModuleHash  string // hex; "" without code
	Web         bool   // it answers HTTP requests
	Controllers int
	Cycles      string // decimal
	MemoryBytes uint64
}

// Subnet is a subnet's record.
type Subnet struct {
	ID, Type      string
	Nodes, Faults int
	First, Last   string // canister ids
}

// Config is what a Dashboard is made of.
type Config struct {
	Source  Source
	RootKey []byte // DER
	Domain  string // canisters are served below it, such as "localhost"
	Subnets []Subnet
	// Script is network.js of the build of web/ts; nil: the page does not move.
	Script []byte
	Log    *slog.Logger
}

// ReadScript reads the page's script from the folder that the build of web/ts fills; nil if
// it is not there.
func ReadScript(worker fs.FS) []byte {
	b, err := fs.ReadFile(worker, "network.js")
	if err != nil {
		return nil
	}
	return b
}

const (
	beatInterval = time.Second
	// points is how many beats the curve shows.
	points = 60
	// idleBeats is after how many beats without a look the curve begins anew.
	idleBeats = 5
)

// Where the parts of the page are.
const (
	feedPath   = page.NetworkPrefix + "feed"
	scriptPath = page.NetworkPrefix + "page-"
)

// Dashboard is the handler of the start page and its parts. Run makes it move.
type Dashboard struct {
	cfg    Config
	feed   *live.Feed
	script string // path, "" for none

	mu     sync.Mutex
	newest beat
	taken  time.Time // when newest was taken
}

// beat is what is shown at one moment; it is also what the page's script gets.
type beat struct {
	Height    uint64    `json:"height"` // the newest certified
	Blocks    float64   `json:"blocks"` // a second
	Rate      float64   `json:"rate"`   // messages a second, since the beat before
	Curve     []float64 `json:"curve"`  // the newest rates, at most points
	Canisters int       `json:"canisters"`
	Alive     int       `json:"alive"`
	Replicas  []Replica `json:"replicas"`

	messages uint64
}

// New makes a Dashboard.
func New(cfg Config) *Dashboard {
	d := &Dashboard{cfg: cfg}
	d.feed = live.New(live.Config{Document: d.document, Interval: beatInterval, Log: cfg.Log})
	if cfg.Script != nil {
		sum := sha256.Sum256(cfg.Script)
		d.script = scriptPath + hex.EncodeToString(sum[:8]) + ".js"
	}
	return d
}

// Run keeps the page moving while somebody watches, until the context ends.
func (d *Dashboard) Run(ctx context.Context) { d.feed.Run(ctx) }

func (d *Dashboard) document(ctx context.Context) []byte {
	b, err := json.Marshal(d.beat(ctx))
	if err != nil {
		panic(err) // there is nothing in a beat that has no JSON form
	}
	return b
}

// beat asks how the network is doing, or repeats what was asked just now: however many look,
// replicas are asked about once a second.
func (d *Dashboard) beat(ctx context.Context) beat {
	d.mu.Lock()
	defer d.mu.Unlock()
	now := time.Now()
	since := now.Sub(d.taken)
	if since < beatInterval/2 {
		return d.newest
	}
	earlier := d.newest
	if since > idleBeats*beatInterval {
		earlier = beat{}
	}
	// others will see the answer, too, so it must not fail because this one went away
	d.newest, d.taken = next(earlier, d.cfg.Source.Replicas(context.WithoutCancel(ctx)), since), now
	return d.newest
}

// next follows a beat, the zero beat for none.
func next(earlier beat, replicas []Replica, since time.Duration) beat {
	b := beat{Replicas: replicas}
	for _, r := range replicas {
		if !r.Alive {
			continue
		}
		b.Alive++
		b.messages = max(b.messages, r.Messages)
		if r.Certified >= b.Height {
			b.Height, b.Blocks, b.Canisters = r.Certified, r.Blocks, r.Canisters
		}
	}
	// The network does not go back: whoever was ahead is away, and comes back.
	b.Height, b.messages = max(b.Height, earlier.Height), max(b.messages, earlier.messages)
	if b.Alive == 0 {
		b.Canisters = earlier.Canisters
	}
	if earlier.messages > 0 && b.messages > earlier.messages {
		b.Rate = float64(b.messages-earlier.messages) / since.Seconds()
	}
	b.Curve = append(slices.Clone(earlier.Curve), b.Rate)
	b.Curve = b.Curve[max(0, len(b.Curve)-points):]
	return b
}

// ServeHTTP serves the page at / and its parts below page.NetworkPrefix.
func (d *Dashboard) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if r.Method != http.MethodGet && r.Method != http.MethodHead {
		w.Header().Set("Allow", "GET, HEAD")
		http.Error(w, "this page is only to look at", http.StatusMethodNotAllowed)
		return
	}
	switch r.URL.Path {
	case "/":
		d.page(w, r)
	case feedPath:
		d.feed.ServeHTTP(w, r)
	case d.script:
		h := w.Header()
		h.Set("Content-Type", "text/javascript; charset=utf-8")
		h.Set("Cache-Control", "public, max-age=31536000, immutable")
		h.Set("X-Content-Type-Options", "nosniff")
		h.Set("Content-Length", strconv.Itoa(len(d.cfg.Script)))
		_, _ = w.Write(d.cfg.Script)
	default:
		http.NotFound(w, r)
	}
}

func (d *Dashboard) page(w http.ResponseWriter, r *http.Request) {
	m := model{
		beat: d.beat(r.Context()), Origin: scheme(r) + r.Host, Links: scheme(r) + "%s." + d.host(r), RootKey: hex.EncodeToString(d.cfg.RootKey),
		Subnets: d.cfg.Subnets, Script: d.script, After: r.URL.Query().Get("after"),
	}
	var err error
	if m.List, err = d.cfg.Source.Canisters(r.Context(), m.After); err != nil {
		d.cfg.Log.Info("canisters not listed", "err", err)
		m.Unlisted = err.Error()
	}
	h := w.Header()
	h.Set("Content-Type", "text/html; charset=utf-8")
	h.Set("Content-Security-Policy", page.Policy()+"; frame-ancestors 'none'")
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Referrer-Policy", "no-referrer")
	h.Set("Cache-Control", "no-store")
	if r.Method == http.MethodHead {
		return
	}
	if err := network(m).Render(r.Context(), w); err != nil {
		d.cfg.Log.Debug("page not sent", "err", err)
	}
}

// host is the domain of canisters, with the port that the request came through.
func (d *Dashboard) host(r *http.Request) string {
	if _, port, err := net.SplitHostPort(r.Host); err == nil {
		return net.JoinHostPort(d.cfg.Domain, port)
	}
	return d.cfg.Domain
}

func scheme(r *http.Request) string {
	if r.TLS != nil {
		return "https://"
	}
	return "http://"
}

// model is what the page shows.
type model struct {
	beat
	Origin, Links, RootKey string // Links has %s for a canister
	Subnets                []Subnet
	Script, After          string
	List                   Canisters
	Unlisted               string // why there is no list
}

func (m *model) link(canister string) string {
	return strings.Replace(m.Links, "%s", canister, 1) + "/"
}

// last is the id after which the next part of the list begins.
func (m *model) last() string { return m.List.Items[len(m.List.Items)-1].ID }
