package main

import (
	"context"
	"fmt"
	"log/slog"
	"net/http"
	"strconv"
	"strings"
	"sync/atomic"

	"portico/lightclient/principal"
	"portico/web/dashboard"
)

// demo is a network that moves by itself: every look at it is a height later. A replica and the
// list of canisters can be taken away.
type demo struct {
	looks atomic.Uint64
	away  atomic.Int64 // number of replicas that do not answer, from the last one on
	few   atomic.Bool  // there are no canisters
}

func (d *demo) Replicas(context.Context) []dashboard.Replica {
	n := d.looks.Add(1)
	out := make([]dashboard.Replica, 4)
	for i := range out {
		id := principal.SelfAuthenticating([]byte{byte(i)}).String()
		r := dashboard.Replica{Name: fmt.Sprintf("node %d", i), ID: id, Page: fmt.Sprintf("http://127.0.0.1:%d/", 40000+i), Peers: 3}
		if i >= len(out)-int(d.away.Load()) {
			r.State = "does not answer"
			out[i] = r
			continue
		}
		h := 12_000 + n
		r.Alive, r.Notarized, r.Final, r.Certified, r.Connected, r.Version = true, h+1, h, h, 3-int(d.away.Load()), "portico-0.1.0"
		r.Root, r.UpSeconds, r.Blocks, r.Canisters = strings.Repeat(fmt.Sprintf("%04x", n*7919%65536), 16), int64(4000+n), 1.1, 23
		r.Messages = 100_000 + n*n%17*40 + n*300
		out[i] = r
	}
	return out
}

func (d *demo) Canisters(_ context.Context, after string) (dashboard.Canisters, error) {
	if after == "broken" {
		return dashboard.Canisters{}, fmt.Errorf("no replica lists the canisters: connection refused")
	}
	if d.few.Load() {
		return dashboard.Canisters{}, nil
	}
	named := []string{"sample frontend", "sample backend", "", "a name that is rather long for a canister, but possible"}
	out := dashboard.Canisters{Total: 23, More: after == ""}
	for i := range 8 {
		c := dashboard.Canister{
			ID: principal.Canister(uint64(i)).String(), Name: named[i%4], Status: "running", ModuleHash: strings.Repeat("3f9c", 16), Web: i%2 == 0, Controllers: 1 + i%2,
			Cycles: "2998123456789", MemoryBytes: 3 << (i * 4),
		}
		if i == 5 {
			c.Status, c.ModuleHash = "stopped", ""
		}
		out.Items = append(out.Items, c)
	}
	return out, nil
}

// startFeed puts a start page in the place of the one before.
func (b *bench) startFeed() {
	d := dashboard.New(dashboard.Config{
		Source: b.network, RootKey: b.site.Load().RootKey(), Domain: "localhost", Script: dashboard.ReadScript(b.worker), Log: slog.New(slog.DiscardHandler),
		Subnets: []dashboard.Subnet{{
			ID: principal.SelfAuthenticating([]byte("subnet")).String(), Type: "application", Nodes: 4, Faults: 1,
			First: principal.Canister(0).String(), Last: principal.Canister(0x3f_ffff).String(),
		}},
	})
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		d.Run(ctx)
	}()
	b.stop = func() {
		cancel()
		<-ended
	}
	b.home.Store(d)
}

// steerNetwork changes the network as a request asks.
func (b *bench) steerNetwork(_ http.ResponseWriter, r *http.Request) {
	q := r.URL.Query()
	n, _ := strconv.ParseInt(q.Get("away"), 10, 64)
	b.network.away.Store(n)
	b.network.few.Store(q.Get("few") == "true")
	switch q.Get("feed") {
	case "off":
		b.stop()
	case "on":
		b.startFeed()
	}
}
