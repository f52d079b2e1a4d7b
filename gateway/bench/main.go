// Command bench measures the gateway on this machine, which its clients, its network
// and whatever else runs share with it:
//
//	bench                    a small asset from the verified cache beside nginx with the
//	                         same file, by wrk, in turns; what an answer costs that is
//	                         not kept; a body of 100 MB
//	bench -load PROGRAM -sample FOLDER
//	                         a local network under rising load, of whose replicas one is killed
//
// It needs nginx and wrk, which `make peers` installs.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"net"
	"net/http"
	"os"
	"runtime"
	"slices"
	"syscall"
	"time"

	"portico/gateway"
	"portico/gateway/fetch"
	"portico/gateway/front"
	"portico/gateway/testsite"
	"portico/lightclient"
	"portico/lightclient/asset"
	"portico/lightclient/candid"
	"portico/lightclient/envelope"
)

func main() {
	var (
		rounds      = flag.Int("rounds", 5, "turns of gateway and nginx")
		each        = flag.Duration("time", 4*time.Second, "how long a turn is")
		connections = flag.Int("connections", 64, "connections at the same time")
		program     = flag.String("load", "", "the program portico; measures load instead")
		sample      = flag.String("sample", "build/sample", "folder of the built sample dapp, for -load")
	)
	flag.Parse()
	ctx := context.Background()
	err := error(nil)
	if *program != "" {
		err = load(ctx, *program, *sample, *each)
	} else {
		err = figures(ctx, *rounds, *each, *connections)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

const (
	smallBytes = 4 << 10
	largeBytes = 100_000_000
	domain     = "localhost"
)

// bench is a site and gateways before it.
type bench struct {
	site         *testsite.Site
	pool         *fetch.Pool
	replica      string
	kept, bare   string // base URLs of a gateway with a cache, and of one without
	small, large []byte
}

func setUp() (*bench, error) {
	b := &bench{small: random(smallBytes), large: random(largeBytes)}
	kind := []asset.Header{{Name: "content-type", Value: "image/png"}, {Name: "cache-control", Value: "public, max-age=3600"}}
	b.site = testsite.New("bench", map[string]testsite.Page{
		"/small.png": {Headers: kind, Body: b.small},
		"/large":     {Headers: kind, Body: b.large, Piece: 2_000_000, Long: true},
	})
	var err error
	if b.replica, err = listen(b.site); err != nil {
		return nil, err
	}
	if b.pool, err = fetch.NewPool([]string{b.replica}); err != nil {
		return nil, err
	}
	if b.kept, err = b.gateway(64 << 20); err != nil {
		return nil, err
	}
	b.bare, err = b.gateway(0)
	return b, err
}

func (b *bench) gateway(cacheBytes uint64) (string, error) {
	h, err := gateway.New(gateway.Config{Domains: []string{domain}, Replicas: []string{b.replica}, RootKey: b.site.RootKey(), CacheBytes: cacheBytes})
	if err != nil {
		return "", err
	}
	return listen(h)
}

func (b *bench) host() string { return b.site.Web().String() + "." + domain }

func random(n int) []byte {
	out := make([]byte, n)
	_, _ = rand.NewChaCha8([32]byte{}).Read(out) // never fails
	return out
}

// listen serves until the program ends.
func listen(h http.Handler) (string, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	go func() {
		_ = front.Serve(context.Background(), front.Config{Handler: h, Listener: l, Log: slog.New(slog.DiscardHandler)})
	}()
	return "http://" + l.Addr().String(), nil
}

func figures(ctx context.Context, rounds int, each time.Duration, connections int) error {
	b, err := setUp()
	if err != nil {
		return err
	}
	if err := b.besideNginx(ctx, rounds, each, connections); err != nil {
		return err
	}
	if err := b.uncached(ctx); err != nil {
		return err
	}
	return b.stream(ctx)
}

// uncached compares what processors spend on an answer that is not kept with what they
// spend on the query alone. Network and gateway are in this process, so both
// figures have the network's part. The differences are of measurements that followed each
// other, since what else the machine does changes what a processor's millisecond is worth.
func (b *bench) uncached(ctx context.Context) error {
	const turns, n = 40, 50
	arg, err := queryArgument()
	if err != nil {
		return err
	}
	client := lightclient.New(gateway.ClientConfig(b.pool, b.site.RootKey(), nil))
	measured := []func() error{
		func() error { return b.get(ctx, b.bare, "/small.png", nil) },
		func() error {
			_, err := client.HTTPRequest(ctx, b.site.Web(), &asset.Request{Method: "GET", URL: "/small.png"}, lightclient.HTTPOptions{})
			return err
		},
		func() error { return b.query(ctx, arg) },
	}
	for _, rounds := range []struct {
		what  string
		clock func() time.Time
	}{
		{"each with a certificate of its own", time.Now},
		{"of one round a second, as on a network", func() time.Time { return time.Now().Truncate(time.Second) }},
	} {
		b.site.Replica.Now = rounds.clock
		costs := make([][]float64, len(measured))
		var beside []float64
		for turn := range turns {
			for i, each := range measured {
				cost, err := cpu(n, each)
				if err != nil {
					return err
				}
				costs[i] = append(costs[i], cost)
			}
			beside = append(beside, costs[0][turn]-costs[2][turn])
		}
		fmt.Printf("uncached, %s: %.2f ms of CPU for a page, %.2f for a verified answer, %.2f for the query alone: %.2f beside it\n",
			rounds.what, median(costs[0]), median(costs[1]), median(costs[2]), median(beside))
	}
	return nil
}

// query asks for the small asset and checks no more than that it came.
func (b *bench) query(ctx context.Context, arg []byte) error {
	e, err := envelope.Anonymous{}.Sign(envelope.Request{
		Kind: envelope.Query, Canister: b.site.Web(), Method: "http_request", Arg: arg, IngressExpiry: uint64(time.Now().Add(time.Minute).UnixNano()),
	})
	if err != nil {
		return err
	}
	status, reply, err := b.pool.Post(ctx, "/api/v3/canister/"+b.site.Web().String()+"/query", e.Append(nil))
	if err == nil && (status != http.StatusOK || len(reply) < len(b.small)) {
		err = fmt.Errorf("the query was answered by status %d and %d bytes", status, len(reply))
	}
	return err
}

// cpu is the milliseconds of processor time that one of n repetitions takes.
func cpu(n int, do func() error) (float64, error) {
	before := processorTime()
	for range n {
		if err := do(); err != nil {
			return 0, err
		}
	}
	return (processorTime() - before).Seconds() * 1000 / float64(n), nil
}

func processorTime() time.Duration {
	var u syscall.Rusage
	_ = syscall.Getrusage(syscall.RUSAGE_SELF, &u) // cannot fail for this process
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

func median(x []float64) float64 {
	x = slices.Sorted(slices.Values(x))
	return x[len(x)/2]
}

// stream measures a long body and what the heap becomes meanwhile.
func (b *bench) stream(ctx context.Context) error {
	var rates []float64
	peak := uint64(0)
	for range 5 {
		began := time.Now()
		err := b.get(ctx, b.kept, "/large", func() {
			var s runtime.MemStats
			runtime.ReadMemStats(&s)
			peak = max(peak, s.HeapAlloc)
		})
		if err != nil {
			return err
		}
		rates = append(rates, largeBytes/1e6/time.Since(began).Seconds())
	}
	fmt.Printf("stream: %.0f MB/s of %d MB (median of %.0f); heap at most %d MiB, of which the site's content is %d\n",
		median(rates), largeBytes/1_000_000, rates, peak>>20, len(b.large)>>20)
	return nil
}

// get reads a page; progress, if not nil, is called every 10 MB.
func (b *bench) get(ctx context.Context, base, path string, progress func()) error {
	req, err := http.NewRequestWithContext(ctx, "GET", base+path, nil)
	if err != nil {
		return err
	}
	req.Host = b.host()
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	for err == nil {
		_, err = io.CopyN(io.Discard, resp.Body, 10_000_000)
		if progress != nil {
			progress()
		}
	}
	if !errors.Is(err, io.EOF) {
		return err
	}
	if resp.StatusCode != http.StatusOK {
		return fmt.Errorf("%s: status %d", path, resp.StatusCode)
	}
	return nil
}

// queryArgument is an argument of http_request for the small asset.
func queryArgument() ([]byte, error) {
	headers := candid.VecOf(candid.TupleOf(candid.TextType, candid.TextType))
	t := candid.RecordOf(
		candid.F("method", candid.TextType), candid.F("url", candid.TextType), candid.F("headers", headers), candid.F("body", candid.BlobType()))
	values := map[uint32]candid.Value{
		candid.Hash("method"): candid.Text(http.MethodGet), candid.Hash("url"): candid.Text("/small.png"),
		candid.Hash("headers"): candid.Vec{}, candid.Hash("body"): candid.Blob(nil),
	}
	v := make(candid.Record, len(t.Fields))
	for i, f := range t.Fields {
		v[i] = candid.Field{ID: f.ID, Value: values[f.ID]}
	}
	return candid.Encode([]candid.Type{t}, []candid.Value{v})
}
