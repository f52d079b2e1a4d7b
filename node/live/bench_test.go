package live

import (
	"context"
	"fmt"
	"net/http/httptest"
	"slices"
	"sync"
	"testing"
	"time"

	"portico/gateway"
	"portico/gateway/fetch"
	"portico/lightclient"
	"portico/lightclient/principal"
)

// benchInterval leaves checkpoints out of a benchmark of a second.
const benchInterval = 500

// serveHTTP runs n replicas with a counter behind their HTTPS interfaces and returns a
// client that verifies every answer: replicas and load generator run in one process, on
// the same processors.
func serveHTTP(b *testing.B, n int) (*lightclient.Client, principal.ID) {
	b.Helper()
	s := startSubnet(b, n, benchInterval)
	id := installCounter(b, s.nodes[0])
	var urls []string
	for _, r := range s.nodes {
		r.reach(b, s.nodes[0].reach(b, 0).view.Height)
		server := httptest.NewServer(r.API())
		b.Cleanup(server.Close)
		urls = append(urls, server.URL)
	}
	pool, err := fetch.NewPool(urls)
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(pool.Close)
	return lightclient.New(gateway.ClientConfig(pool, s.nodes[0].RootKey(), nil)), id
}

// load makes b.N requests from a number of clients and reports requests per second
// and the median time of one.
func load(b *testing.B, clients int, request func() error) {
	b.Helper()
	took := make([]time.Duration, b.N)
	var next int
	var mu sync.Mutex
	var wg sync.WaitGroup
	b.ResetTimer()
	for range clients {
		wg.Go(func() {
			for {
				mu.Lock()
				i := next
				next++
				mu.Unlock()
				if i >= b.N {
					return
				}
				began := time.Now()
				if err := request(); err != nil {
					b.Error(err)
					return
				}
				took[i] = time.Since(began)
			}
		})
	}
	wg.Wait()
	b.StopTimer()
	slices.Sort(took)
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "requests/s")
	b.ReportMetric(float64(took[len(took)/2].Microseconds())/1000, "ms-median")
}

// sizes runs a benchmark on subnets of one and of four.
func sizes(b *testing.B, run func(b *testing.B, client *lightclient.Client, counter principal.ID)) {
	for _, n := range []int{1, 4} {
		b.Run(fmt.Sprintf("replicas=%d", n), func(b *testing.B) {
			client, id := serveHTTP(b, n)
			run(b, client, id)
		})
	}
}

func BenchmarkQueriesOverHTTP(b *testing.B) {
	sizes(b, func(b *testing.B, client *lightclient.Client, id principal.ID) {
		load(b, 16, func() error {
			_, err := client.Query(context.Background(), lightclient.Message{Canister: id, Method: "get"})
			return err
		})
	})
}

func benchmarkUpdates(b *testing.B, clients int) {
	sizes(b, func(b *testing.B, client *lightclient.Client, id principal.ID) {
		load(b, clients, func() error {
			_, err := client.Call(context.Background(), lightclient.Message{Canister: id, Method: "inc"})
			return err
		})
	})
}

func BenchmarkUpdatesOverHTTP(b *testing.B) { benchmarkUpdates(b, 64) }

func BenchmarkOneUpdateAtATime(b *testing.B) { benchmarkUpdates(b, 1) }
