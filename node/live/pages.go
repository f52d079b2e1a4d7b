package live

import (
	_ "embed"
	"fmt"
	"html/template"
	"io"
	"net/http"
	"strings"
	"time"

	"portico/node/loop"
	"portico/node/replica"
	"portico/node/types"

	"github.com/prometheus/client_golang/prometheus/promhttp"
)

//go:embed status.html
var statusHTML string

// inspectTimeout is how long a page waits for the node's loop.
const inspectTimeout = 2 * time.Second

// inspect asks the node how it is doing; ok is false if it does not answer in time.
func (r *Replica) inspect() (s replica.Status, ok bool) {
	answer := make(chan replica.Status, 1)
	if !r.driver.post(replica.Inspect{Done: func(s replica.Status) { answer <- s }}) {
		return s, false
	}
	timeout := time.NewTimer(inspectTimeout)
	defer timeout.Stop()
	select {
	case s = <-answer:
		return s, true
	case <-r.driver.over:
	case <-timeout.C:
	}
	return s, false
}

// Pages is the handler of the status page at /, of the documents /status.json (Figures) and
// /canisters.json (CanisterList), and of metrics in the format of Prometheus at /metrics. They
// are for who runs the replica, and not meant for the public: lists of canisters show what only
// controllers may see of them. style is the style sheet of the page.
func (r *Replica) Pages(style string) http.Handler {
	page := template.Must(template.New("status").Parse(statusHTML))
	mux := http.NewServeMux()
	mux.Handle("GET /metrics", promhttp.HandlerFor(r.metrics.registry, promhttp.HandlerOpts{}))
	mux.HandleFunc("GET /status.json", r.serveFigures)
	mux.HandleFunc("GET /canisters.json", r.serveCanisters)
	mux.HandleFunc("GET /status.css", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/css; charset=utf-8")
		_, _ = io.WriteString(w, style)
	})
	mux.HandleFunc("GET /{$}", func(w http.ResponseWriter, req *http.Request) {
		h := w.Header()
		h.Set("Content-Type", "text/html; charset=utf-8")
		h.Set("Cache-Control", "no-store")
		h.Set("X-Content-Type-Options", "nosniff")
		h.Set("Content-Security-Policy", "default-src 'none'; style-src 'self'; img-src data:; frame-ancestors 'none'")
		if err := page.Execute(w, r.page(time.Now())); err != nil {
			r.cfg.Log.Warn("the status page", "error", err)
		}
	})
	return mux
}

// statusPage is what the status page shows.
type statusPage struct {
	Figures
	Now, Short, Up                   string
	Checking, Validated, Unvalidated int
	Applied                          uint64
	Peers                            []peerOnPage
}

type peerOnPage struct {
	Node, Address string
	Connected     bool
	Sessions      uint64
	Channels      []channelOnPage
}

type channelOnPage struct {
	Name, In, Out string
	Lost          uint64
}

func (r *Replica) page(now time.Time) statusPage {
	s, _ := r.inspect()
	p := statusPage{
		Figures: r.figures(now), Now: now.UTC().Format(time.DateTime) + " UTC", Short: short(r.self.ID), Up: now.Sub(r.opened).Round(time.Second).String(),
		Checking: s.Checking, Validated: s.Validated, Unvalidated: s.Unvalidated, Applied: r.store.Applied(),
	}
	for _, st := range r.transport.Stats() {
		peer := peerOnPage{Node: st.Peer.String(), Address: r.cfg.Records.Node(st.Peer).Peers, Connected: st.Connected, Sessions: st.Sessions}
		for ch, c := range st.Channels {
			peer.Channels = append(peer.Channels, channelOnPage{loop.Channel(ch).String(), size(c.BytesIn), size(c.BytesOut), c.Dropped})
		}
		p.Peers = append(p.Peers, peer)
	}
	return p
}

// short is the beginning of a node's id, which is enough to tell nodes of a subnet apart.
func short(id types.NodeID) string {
	text, _, _ := strings.Cut(id.String(), "-")
	return text
}

func size(bytes uint64) string {
	switch {
	case bytes < types.MiB:
		return fmt.Sprintf("%.1f KiB", float64(bytes)/types.KiB)
	case bytes < types.GiB:
		return fmt.Sprintf("%.1f MiB", float64(bytes)/types.MiB)
	default:
		return fmt.Sprintf("%.1f GiB", float64(bytes)/types.GiB)
	}
}
