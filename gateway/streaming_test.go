package gateway

import (
	"bytes"
	"context"
	"crypto/sha256"
	"hash"
	"io"
	"net/http"
	"net/http/httptest"
	"runtime"
	"runtime/debug"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"portico/gateway/testsite"
	"portico/lightclient/asset"
)

// streams starts a site with a body of a size in certified ranges, and a gateway
// with a cache on a real connection.
func streams(tb testing.TB, size int) (*testsite.Site, string, [32]byte) {
	tb.Helper()
	body := make([]byte, size)
	for i := range body {
		body[i] = byte(i * i >> 8)
	}
	kind := []asset.Header{{Name: "content-type", Value: "video/mp4"}, {Name: "etag", Value: `"v1"`}}
	site := testsite.New("streams", map[string]testsite.Page{"/video": {Headers: kind, Body: body, Piece: 2_000_000, Long: true}})
	replica := httptest.NewServer(site)
	tb.Cleanup(replica.Close)
	h, err := New(Config{
		Domains: []string{"localhost"}, Replicas: []string{replica.URL}, RootKey: site.RootKey(), CacheBytes: 16 << 20,
	})
	if err != nil {
		tb.Fatal(err)
	}
	s := httptest.NewServer(h)
	tb.Cleanup(s.Close)
	return site, s.URL, sha256.Sum256(body)
}

// visit asks a server for a page of the site and gives the head of the answer.
func visit(tb testing.TB, ctx context.Context, site *testsite.Site, url, path string, headers ...string) *http.Response {
	tb.Helper()
	req, err := http.NewRequestWithContext(ctx, "GET", url+path, nil)
	if err != nil {
		tb.Fatal(err)
	}
	req.Host = site.Web().String() + ".localhost"
	for _, line := range headers {
		name, value, _ := strings.Cut(line, ": ")
		req.Header.Set(name, value)
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { resp.Body.Close() })
	return resp
}

// A heapMeter is a writer that watches how large the heap becomes.
type heapMeter struct {
	hash.Hash
	written, next int
	peak          uint64
}

func (m *heapMeter) Write(b []byte) (int, error) {
	if m.written += len(b); m.written >= m.next {
		m.next = m.written + 10_000_000
		var s runtime.MemStats
		runtime.ReadMemStats(&s)
		m.peak = max(m.peak, s.HeapAlloc)
	}
	return m.Hash.Write(b)
}

func TestLongBodiesStreamInFlatMemory(t *testing.T) {
	const size, mostHeap = 100_000_000, 40 << 20
	site, url, sum := streams(t, size)
	visit(t, t.Context(), site, url, "/video", "Range: bytes=0-1") // certifies the site
	// The body of the site is most of this heap: with the usual setting, that much
	// again would be used before anything is collected.
	defer debug.SetGCPercent(debug.SetGCPercent(5))
	runtime.GC()
	var before runtime.MemStats
	runtime.ReadMemStats(&before)
	resp := visit(t, t.Context(), site, url, "/video")
	m := &heapMeter{Hash: sha256.New()}
	if _, err := io.Copy(m, resp.Body); err != nil {
		t.Fatal(err)
	}
	if resp.StatusCode != 200 || resp.ContentLength != size || [32]byte(m.Sum(nil)) != sum || resp.Header.Get("ETag") != `"v1"` {
		t.Errorf("status %d, %d of %d bytes, %v", resp.StatusCode, m.written, resp.ContentLength, resp.Header)
	}
	// Replica, gateway and client are in this process; each has some parts of 2 MB in hands.
	if grown := m.peak - min(m.peak, before.HeapAlloc); grown > mostHeap {
		t.Errorf("the heap grew by %d MiB", grown>>20)
	}
}

func TestAChangedPartOfALongBodyBreaksTheConnection(t *testing.T) {
	site, url, _ := streams(t, 20_000_000)
	site.Replica.Tamper = func(_ string, status int, body []byte) (int, []byte, error) {
		if bytes.Contains(body, []byte("bytes 12000000-")) {
			body = bytes.Clone(body)
			body[len(body)/2] ^= 1
		}
		return status, body, nil
	}
	resp := visit(t, t.Context(), site, url, "/video")
	n, err := io.Copy(io.Discard, resp.Body)
	if err == nil || n > 12_000_000 {
		t.Errorf("%d bytes, %v", n, err)
	}
}

func TestAClientThatGoesAwayStopsTheQueries(t *testing.T) {
	site, url, _ := streams(t, 100_000_000)
	asked := make(chan struct{}, 100)
	site.Replica.Tamper = func(_ string, status int, body []byte) (int, []byte, error) {
		asked <- struct{}{}
		return status, body, nil
	}
	ctx, cancel := context.WithCancel(t.Context())
	resp := visit(t, ctx, site, url, "/video")
	if _, err := io.CopyN(io.Discard, resp.Body, 3_000_000); err != nil {
		t.Fatal(err)
	}
	cancel()
	resp.Body.Close()
	for quiet := false; !quiet; {
		select {
		case <-asked:
		case <-time.After(time.Second):
			quiet = true
		}
	}
	if n := site.Replica.Count("query"); n > 15 { // what the sockets hold is asked for, too
		t.Errorf("%d queries for somebody who left after the second part", n)
	}
}

func TestRangesOfLongBodiesAreCertifiedOnes(t *testing.T) {
	site, url, _ := streams(t, 20_000_000)
	for span, want := range map[string]string{
		"bytes=0-":                "bytes 0-1999999/20000000",
		"bytes=2000000-":          "bytes 2000000-3999999/20000000",
		"bytes=3000000-":          "bytes 3000000-3999999/20000000",
		"bytes=3000000-3000009":   "bytes 3000000-3000009/20000000",
		"bytes=19999999-20000099": "bytes 19999999-19999999/20000000",
	} {
		resp := visit(t, t.Context(), site, url, "/video", "Range: "+span)
		n, err := io.Copy(io.Discard, resp.Body)
		if err != nil || resp.StatusCode != 206 || resp.Header.Get("Content-Range") != want || n != resp.ContentLength {
			t.Errorf("%s: status %d, %d bytes, %v, %v", span, resp.StatusCode, n, resp.Header, err)
		}
	}
	whole := visit(t, t.Context(), site, url, "/video", "Range: bytes=2000000-", `If-Range: "v0"`)
	if whole.StatusCode != 200 || whole.ContentLength != 20_000_000 {
		t.Errorf("a range of what has changed: status %d", whole.StatusCode)
	}
	part := visit(t, t.Context(), site, url, "/video", "Range: bytes=2000000-", `If-Range: "v1"`)
	if part.StatusCode != 206 {
		t.Errorf("a range of what has not changed: status %d", part.StatusCode)
	}
	same := visit(t, t.Context(), site, url, "/video", `If-None-Match: "v1"`)
	if same.StatusCode != 304 {
		t.Errorf("what has not changed: status %d", same.StatusCode)
	}
}

func TestLongBodiesFromCallbacksStreamVerified(t *testing.T) {
	const size, chunk, place = 70_000_000, 3_000_000, 65_000_000
	mark := []byte("the part that is changed")
	body := make([]byte, size)
	copy(body[place:], mark)
	site, h := start(t, func(s *testsite.Site, c *Config) { s.Pages["/film"] = testsite.Page{Body: body, Chunk: chunk} })
	s := httptest.NewServer(h)
	t.Cleanup(s.Close)
	for _, headers := range [][]string{nil, {"Range: bytes=5000000-"}} {
		resp := visit(t, t.Context(), site, s.URL, "/film", headers...)
		sum := sha256.New()
		n, err := io.Copy(sum, resp.Body)
		if err != nil || resp.StatusCode != 200 || resp.ContentLength != size || n != size || [32]byte(sum.Sum(nil)) != sha256.Sum256(body) {
			t.Errorf("%v: status %d, %d of %d bytes, %v", headers, resp.StatusCode, n, resp.ContentLength, err)
		}
	}
	for _, reading := range []int{1, 2} {
		seen := 0
		site.Replica.Tamper = func(_ string, status int, answer []byte) (int, []byte, error) {
			if at := bytes.Index(answer, mark); at >= 0 {
				if seen++; seen == reading {
					answer = bytes.Clone(answer)
					answer[at] ^= 1
				}
			}
			return status, answer, nil
		}
		resp := visit(t, t.Context(), site, s.URL, "/film")
		n, err := io.Copy(io.Discard, resp.Body)
		switch {
		case reading == 1 && resp.StatusCode != 503:
			t.Errorf("changed before it was verified: status %d, %d bytes", resp.StatusCode, n)
		case reading == 2 && (err == nil || n == 0 || n > place):
			t.Errorf("changed afterwards: %d bytes, %v", n, err)
		}
	}
}

func TestEndlessCallbacksAreRefused(t *testing.T) {
	site, h := start(t, func(s *testsite.Site, c *Config) {
		s.Pages["/endless"] = testsite.Page{Body: make([]byte, 2000), Chunk: 1}
	})
	r := ask(h, "GET http://"+site.Web().String()+".localhost/endless")
	if r.StatusCode != 503 || !strings.Contains(text(t, r), "more than 1000 parts") {
		t.Errorf("status %d", r.StatusCode)
	}
}

// BenchmarkStream is a body of 100 MB from replica to client, all in one process:
// the site's answers and certificates cost time here, too.
func BenchmarkStream(b *testing.B) {
	const size = 100_000_000
	site, url, _ := streams(b, size)
	b.SetBytes(size)
	var peak atomic.Uint64
	for b.Loop() {
		resp := visit(b, b.Context(), site, url, "/video")
		if n, err := io.Copy(io.Discard, resp.Body); err != nil || n != size {
			b.Fatal(n, err)
		}
		var s runtime.MemStats
		runtime.ReadMemStats(&s)
		peak.Store(max(peak.Load(), s.HeapSys))
	}
	b.ReportMetric(float64(peak.Load()>>20), "MiB-heap")
}
