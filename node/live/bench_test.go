package live

import (
	"context"
	"net/http/httptest"
	"slices"
	"sync"
	"testing"
	"time"

	"portico/gateway"
	"portico/gateway/fetch"
	"portico/lightclient"
	"portico/lightclient/certificate"
	"portico/lightclient/principal"
	"portico/node/api"
	"portico/node/crypto/bls"
	"portico/node/crypto/usersig"
	"portico/node/types"
)

// serveHTTP runs a replica with a counter behind its HTTPS interface and returns a
// client that verifies every answer: the load generator of the benchmarks below runs in
// the same process and on the same processors.
func serveHTTP(b *testing.B) (*lightclient.Client, principal.ID) {
	b.Helper()
	cfg := testConfig(b, b.TempDir())
	cfg.Checkpoints = 500
	r := open(b, cfg)
	id := installCounter(b, r)
	now := func() types.Time { return types.TimeOf(time.Now()) }
	auth := usersig.New(usersig.Config{Certificates: &certificate.Verifier{RootKey: cfg.Subnet.RootKey, BLS: bls.VerifyBLS}, CacheEntries: 1000})
	server := httptest.NewServer(api.New(api.Deps{Replica: r, Auth: auth, Signer: r, Now: now, Limits: api.DefaultLimits(), Log: cfg.Log}))
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error)
	go func() { done <- r.Run(ctx) }()
	pool, err := fetch.NewPool([]string{server.URL})
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() {
		pool.Close()
		server.Close()
		cancel()
		if err := <-done; err != nil {
			b.Error(err)
		}
		if err := r.Close(); err != nil {
			b.Error(err)
		}
	})
	return lightclient.New(gateway.ClientConfig(pool, cfg.Subnet.RootKey, nil)), id
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

func BenchmarkQueriesOverHTTP(b *testing.B) {
	client, id := serveHTTP(b)
	load(b, 16, func() error {
		_, err := client.Query(context.Background(), lightclient.Message{Canister: id, Method: "get"})
		return err
	})
}

func BenchmarkUpdatesOverHTTP(b *testing.B) {
	client, id := serveHTTP(b)
	load(b, 64, func() error {
		_, err := client.Call(context.Background(), lightclient.Message{Canister: id, Method: "inc"})
		return err
	})
}

func BenchmarkOneUpdateAtATime(b *testing.B) {
	client, id := serveHTTP(b)
	load(b, 1, func() error {
		_, err := client.Call(context.Background(), lightclient.Message{Canister: id, Method: "inc"})
		return err
	})
}
