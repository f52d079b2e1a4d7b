package gateway

import (
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"portico/gateway/testsite"
	"portico/lightclient/asset"
	"portico/lightclient/envelope"
	"portico/lightclient/fakenet"
)

// answering makes the site's canister answer every message with these bytes.
func answering(reply []byte) func(*testsite.Site, *Config) {
	return func(s *testsite.Site, _ *Config) {
		s.Replica.Answer = func(*envelope.Request) fakenet.Outcome { return fakenet.Outcome{Reply: reply} }
	}
}

func TestGarbageCandidIsAnInvalidAnswer(t *testing.T) {
	for what, reply := range map[string]string{
		"nothing":                "",
		"no candid":              "garbage",
		"a table without end":    "DIDL\xff\xff\xff\xff\x0f",
		"a vector without end":   "DIDL\x01\x6d\x7f\x01\x00\xff\xff\xff\xff\xff\xff\xff\xff\x7f",
		"a type of itself":       "DIDL\x01\x6e\x00\x01\x00\x01\x01\x01\x01",
		"records in records":     "DIDL\x01\x6c\x01\x00\x00\x01\x00",
		"a record of other kind": "DIDL\x01\x6c\x01\x00\x7d\x01\x00\x05",
	} {
		site, h := start(t, answering([]byte(reply)))
		r := ask(h, "GET http://"+site.Web().String()+".localhost/")
		if got := text(t, r); r.StatusCode != 503 || !strings.HasPrefix(got, "Invalid answer") || r.Header.Get("Retry-After") == "" {
			t.Errorf("%s: status %d: %s", what, r.StatusCode, got)
		}
	}
}

func TestHugeHeadersAreRefused(t *testing.T) {
	site, h := start(t, func(s *testsite.Site, _ *Config) {
		s.Pages["/huge"] = testsite.Page{Headers: []asset.Header{{Name: "x-huge", Value: strings.Repeat("x", 2<<20)}}, Body: []byte("x")}
		many := make([]asset.Header, 1001)
		for i := range many {
			many[i] = asset.Header{Name: "x-many", Value: "x"}
		}
		s.Pages["/many"] = testsite.Page{Headers: many, Body: []byte("x")}
	})
	for _, path := range []string{"/huge", "/many"} {
		r := ask(h, "GET http://"+site.Web().String()+".localhost"+path)
		if got := text(t, r); r.StatusCode != 503 || len(got) > 1000 {
			t.Errorf("%s: status %d, %d bytes", path, r.StatusCode, len(got))
		}
	}
}

func TestRedirectsAreForTheClientToFollow(t *testing.T) {
	site, h := start(t, func(s *testsite.Site, c *Config) {
		c.CacheBytes = 1 << 20
		s.Pages["/loop"] = testsite.Page{Headers: []asset.Header{{Name: "location", Value: "/loop"}}, Status: 308}
	})
	r := ask(h, "GET http://"+site.Web().String()+".localhost/loop")
	if r.StatusCode != 308 || r.Header.Get("Location") != "/loop" || site.Replica.Count("query") != 1 {
		t.Errorf("status %d, %d queries", r.StatusCode, site.Replica.Count("query"))
	}
}

func TestContradictingCertificatesAreRefusedEachTime(t *testing.T) {
	site, h := start(t, func(_ *testsite.Site, c *Config) { c.CacheBytes = 1 << 20 })
	page := "GET http://" + site.Web().String() + ".localhost/"
	other := testsite.New("another network", nil)
	honest := site.Replica.Net
	site.Replica.Net = other.Net // the same content under other keys
	site.Net = other.Net
	if r := ask(h, page); r.StatusCode != 503 || !strings.HasPrefix(text(t, r), "Verification failed") {
		t.Errorf("signed by others: status %d", r.StatusCode)
	}
	site.Replica.Net, site.Net = honest, honest
	if r := ask(h, page); r.StatusCode != 200 {
		t.Errorf("what was refused is remembered: status %d", r.StatusCode)
	}
}

func TestAnOldCertificateIsRefusedUnlessThePageIsKept(t *testing.T) {
	at, mu := time.Now(), sync.Mutex{}
	now := func() time.Time { mu.Lock(); defer mu.Unlock(); return at }
	site, h := start(t, func(s *testsite.Site, c *Config) {
		c.CacheBytes, c.StaleFor, c.Now = 1<<20, time.Hour, now
		held := at
		s.Replica.Now = func() time.Time { return held } // the subnet certifies nothing any more
	})
	url := "GET http://" + site.Web().String() + ".localhost"
	if r := ask(h, url+"/"); r.StatusCode != 200 || r.Header.Get("X-Portico-Stale") != "" {
		t.Fatalf("status %d, %v", r.StatusCode, r.Header)
	}
	mu.Lock()
	at = at.Add(20 * time.Minute)
	mu.Unlock()
	r := ask(h, url+"/")
	if got := text(t, r); r.StatusCode != 200 || got != "<p>"+secret || r.Header.Get("X-Portico-Stale") != "1200" || r.Header.Get("Age") != "1200" ||
		!strings.HasPrefix(r.Header.Get("Warning"), "110 ") || r.Header.Get("Cache-Status") != "portico; hit; detail=stale" {
		t.Errorf("status %d, %v", r.StatusCode, r.Header)
	}
	if r := ask(h, url+"/own"); r.StatusCode != 503 || !strings.HasPrefix(text(t, r), "Verification failed") {
		t.Errorf("what is not kept: status %d", r.StatusCode)
	}
}

func TestABurstOnAPageIsOneQuery(t *testing.T) {
	site, h := start(t, func(_ *testsite.Site, c *Config) { c.CacheBytes = 1 << 20 })
	var all sync.WaitGroup
	for range 1000 {
		all.Go(func() {
			if r := ask(h, "GET http://"+site.Web().String()+".localhost/"); r.StatusCode != 200 {
				t.Errorf("status %d", r.StatusCode)
			}
		})
	}
	all.Wait()
	if n := site.Replica.Count("query"); n != 1 {
		t.Errorf("%d queries", n)
	}
}

func TestAPageThatHasNotChangedIs304WithoutAQuery(t *testing.T) {
	site, h := start(t, func(_ *testsite.Site, c *Config) { c.CacheBytes = 1 << 20 })
	page := "GET http://" + site.Web().String() + ".localhost/"
	first := ask(h, page)
	tag := first.Header.Get("ETag")
	again := ask(h, page, "If-None-Match: "+tag)
	if tag == "" || again.StatusCode != http.StatusNotModified || text(t, again) != "" || again.Header.Get("ETag") != tag ||
		again.Header.Get("X-Ic-Canister-Id") == "" || site.Replica.Count("query") != 1 {
		t.Errorf("status %d, %v", again.StatusCode, again.Header)
	}
	part := ask(h, page, "Range: bytes=0-2", "If-Range: "+tag)
	if part.StatusCode != 206 || text(t, part) != "<p>" || part.ContentLength != 3 {
		t.Errorf("status %d, %v", part.StatusCode, part.Header)
	}
}
