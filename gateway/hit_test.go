package gateway

import (
	"net/http"
	"net/http/httptest"
	"testing"

	"portico/gateway/testsite"
)

// discard is a client that takes all and keeps nothing.
type discard struct{ header http.Header }

func (d *discard) Header() http.Header         { return d.header }
func (d *discard) Write(b []byte) (int, error) { return len(b), nil }
func (d *discard) WriteHeader(int)             {}

// BenchmarkHit is what the gateway does for an answer that is kept, without the
// connection.
func BenchmarkHit(b *testing.B) {
	site, h := start(b, func(_ *testsite.Site, c *Config) { c.CacheBytes = 1 << 20 })
	r := httptest.NewRequest("GET", "http://"+site.Web().String()+".localhost/", nil)
	d := &discard{header: http.Header{}}
	b.ReportAllocs()
	for b.Loop() {
		clear(d.header)
		h.ServeHTTP(d, r)
	}
}
