package gateway

import (
	"bytes"
	"context"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/fstest"

	"portico/gateway/host"
	"portico/gateway/testsite"
	"portico/lightclient/asset"
)

const secret = "the body that was certified"

// start runs a replica and a gateway before it. change may alter the configuration.
func start(t *testing.T, change func(*testsite.Site, *Config)) (*testsite.Site, http.Handler) {
	t.Helper()
	html := []asset.Header{{Name: "content-type", Value: "text/html"}, {Name: "x-motto", Value: "certified too"}}
	large := bytes.Repeat([]byte("0123456789abcdef"), 1<<16)
	site := testsite.New("test", map[string]testsite.Page{
		"/":         {Headers: html, Body: []byte("<p>" + secret)},
		"/large":    {Headers: html, Body: large, Chunk: 300_000},
		"/own":      {Headers: append(html, asset.Header{Name: "access-control-allow-origin", Value: "https://friend.example"}), Body: []byte("x")},
		"/moved to": {Headers: []asset.Header{{Name: "location", Value: "/"}}, Body: nil},
	})
	replica := httptest.NewServer(site)
	t.Cleanup(replica.Close)
	cfg := Config{Domains: []string{"localhost"}, Replicas: []string{replica.URL}, RootKey: site.RootKey()}
	if change != nil {
		change(site, &cfg)
	}
	h, err := New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	return site, h
}

// ask makes a request: "GET http://host/path", and headers "Name: value".
func ask(h http.Handler, request string, headers ...string) *http.Response {
	method, url, _ := strings.Cut(request, " ")
	r := httptest.NewRequest(method, url, nil)
	for _, line := range headers {
		name, value, _ := strings.Cut(line, ": ")
		r.Header.Set(name, value)
	}
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	return w.Result()
}

func text(t *testing.T, r *http.Response) string {
	t.Helper()
	b, err := io.ReadAll(r.Body)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

func TestCertifiedPagesAreServed(t *testing.T) {
	site, h := start(t, nil)
	r := ask(h, "GET http://"+site.Web().String()+".localhost/")
	if got := text(t, r); r.StatusCode != 200 || got != "<p>"+secret {
		t.Fatalf("status %d: %s", r.StatusCode, got)
	}
	for name, want := range map[string]string{
		"Content-Type": "text/html", "X-Motto": "certified too", "Content-Length": "30",
		"X-Ic-Canister-Id": site.Web().String(), "Access-Control-Allow-Origin": "*",
	} {
		if got := r.Header.Get(name); got != want {
			t.Errorf("%s: %q, want %q", name, got, want)
		}
	}
	if len(r.Header.Get("X-Request-Id")) != 36 || !strings.Contains(r.Header.Get("Access-Control-Expose-Headers"), "x-ic-canister-id") {
		t.Errorf("headers %v", r.Header)
	}
	if r := ask(h, "GET http://"+site.Web().String()+".localhost/absent?q=1"); r.StatusCode != 404 || text(t, r) != "nothing here" {
		t.Errorf("the certified 404 came as %d", r.StatusCode)
	}
	if r := ask(h, "GET http://"+site.Web().String()+".localhost/own"); r.Header.Get("Access-Control-Allow-Origin") != "https://friend.example" {
		t.Errorf("the canister's own cross-origin rule was replaced by %q", r.Header.Get("Access-Control-Allow-Origin"))
	}
}

func TestEveryNameOfACanisterServesIt(t *testing.T) {
	var aliases host.Fixed
	site, h := start(t, func(s *testsite.Site, c *Config) {
		aliases = host.Fixed{"shop.local.localhost": s.Web()}
		c.Aliases = aliases
	})
	id := site.Web().String()
	for _, url := range []string{
		"http://" + id + ".localhost:8000/", "http://main--" + id + ".localhost/", "http://shop.local.localhost/",
		"http://127.0.0.1:8000/?canisterId=" + id, "http://localhost/?canisterId=" + id, "http://" + id + ".raw.localhost/",
	} {
		if r := ask(h, "GET "+url); r.StatusCode != 200 || r.Header.Get("X-Ic-Canister-Id") != id {
			t.Errorf("%s: status %d: %s", url, r.StatusCode, text(t, r))
		}
	}
	if r := ask(h, "GET http://127.0.0.1/large", "Referer: http://127.0.0.1/?canisterId="+id); r.StatusCode != 200 {
		t.Errorf("by the referring page: status %d", r.StatusCode)
	}
}

func TestHeadIsGetWithoutBody(t *testing.T) {
	site, h := start(t, nil)
	r := ask(h, "HEAD http://"+site.Web().String()+".localhost/")
	if r.StatusCode != 200 || r.Header.Get("Content-Length") != "30" || r.Header.Get("X-Ic-Canister-Id") != site.Web().String() || text(t, r) != "" {
		t.Errorf("status %d, headers %v", r.StatusCode, r.Header)
	}
}

func TestStreamedBodiesArriveWhole(t *testing.T) {
	site, h := start(t, nil)
	r := ask(h, "GET http://"+site.Web().String()+".localhost/large")
	if got := text(t, r); r.StatusCode != 200 || got != strings.Repeat("0123456789abcdef", 1<<16) || site.Replica.Count("query") != 4 {
		t.Errorf("status %d, %d bytes in %d queries", r.StatusCode, len(got), site.Replica.Count("query"))
	}
}

func TestUpgradesBecomeCalls(t *testing.T) {
	site, h := start(t, nil)
	for _, want := range []string{"1", "2"} {
		if got := text(t, ask(h, "POST http://"+site.Web().String()+".localhost"+testsite.CounterPath)); got != want {
			t.Errorf("counter %q, want %q", got, want)
		}
	}
	if n := site.Replica.Count("call"); n != 2 {
		t.Errorf("%d calls", n)
	}
}

func TestNothingThatWasChangedLeaves(t *testing.T) {
	for what, mark := range map[string]string{"body": "<p>the bo", "header": "certified t", "certificate": "certificate=:2dn3o2R0cmVl"} {
		for _, path := range []string{"/", "/large"} {
			site, h := start(t, nil)
			flipped := false
			site.Replica.Tamper = func(p string, status int, body []byte) (int, []byte, error) {
				m := mark
				if what == "body" && path == "/large" {
					m = "0123456789ab"
				}
				changed, ok := testsite.Flip(body, []byte(m))
				flipped = flipped || ok
				return status, changed, nil
			}
			r := ask(h, "GET http://"+site.Web().String()+".localhost"+path, "Accept: text/html")
			got := text(t, r)
			if !flipped || r.StatusCode != 503 || strings.Contains(got, secret) || !strings.Contains(got, "Verification failed") {
				t.Errorf("%s of %s changed (%v): status %d: %s", what, path, flipped, r.StatusCode, got)
			}
		}
	}
}

func TestPagesThatTheCanisterDoesNotCertifyNeedANodesSignature(t *testing.T) {
	site, h := start(t, func(s *testsite.Site, _ *Config) {
		s.Pages["/open"] = testsite.Page{Body: []byte("anything"), Open: true}
	})
	page := "GET http://" + site.Web().String() + ".localhost/open"
	if r := ask(h, page); r.StatusCode != 200 || text(t, r) != "anything" {
		t.Errorf("status %d", r.StatusCode)
	}
	site.Replica.Tamper = func(_ string, status int, body []byte) (int, []byte, error) {
		changed, _ := testsite.Flip(body, []byte("anythi"))
		return status, changed, nil
	}
	if r := ask(h, page); r.StatusCode != 503 || !strings.Contains(text(t, r), "signature by its node") {
		t.Errorf("changed: status %d", r.StatusCode)
	}
}

func TestUncertifiedAnswersNeedARawHost(t *testing.T) {
	site, h := start(t, nil)
	id := site.Web().String()
	if r := ask(h, "GET http://"+id+".localhost"+testsite.UncertifiedPath); r.StatusCode != 503 || !strings.Contains(text(t, r), "carries no certificate") {
		t.Errorf("status %d", r.StatusCode)
	}
	if r := ask(h, "GET http://"+id+".raw.localhost"+testsite.UncertifiedPath); r.StatusCode != 200 || text(t, r) != "believe me" {
		t.Errorf("raw: status %d", r.StatusCode)
	}
}

func TestProblemsHaveTheirStatus(t *testing.T) {
	site, h := start(t, nil)
	for url, want := range map[string]struct {
		status int
		title  string
	}{
		"http://" + site.Missing().String() + ".localhost/": {404, "No such canister"},
		"http://" + site.Stopped().String() + ".localhost/": {503, "Canister stopped"},
		"http://" + site.Broke().String() + ".localhost/":   {503, "Canister out of cycles"},
		"http://" + site.Mute().String() + ".localhost/":    {503, "No web page"},
		"http://example.org/":                               {400, "Unknown domain"},
		"http://nonsense.localhost/":                        {400, "Not a canister"},
		"http://localhost/?canisterId=nonsense":             {400, "Not a canister"},
		"http://localhost/x":                                {400, "No canister named"},
		"http://localhost/api/v9/status":                    {404, "No such endpoint"},
		"http://localhost/api/v3/canister/aaaaa-aa/query":   {405, "Method not allowed"},
		"http://localhost/_portico/x":                       {404, "Not found"},
	} {
		r := ask(h, "GET "+url)
		plain := text(t, r)
		if r.StatusCode != want.status || !strings.HasPrefix(plain, want.title) || strings.Contains(plain, "<") || !strings.HasPrefix(r.Header.Get("Content-Type"), "text/plain") {
			t.Errorf("%s: status %d: %q, want %d: %s", url, r.StatusCode, plain, want.status, want.title)
		}
		r = ask(h, "GET "+url, "Accept: text/html")
		page := text(t, r)
		if r.StatusCode != want.status || !strings.Contains(page, "<h1>"+want.title) || !strings.Contains(page, r.Header.Get("X-Request-Id")) {
			t.Errorf("%s in a browser: status %d: %s", url, r.StatusCode, page)
		}
		if policy := r.Header.Get("Content-Security-Policy"); !strings.Contains(policy, "default-src 'none'") || strings.Contains(page, "://") {
			t.Errorf("%s: the page may load from elsewhere: %s", url, policy)
		}
	}
}

func TestUnreachableReplicasAreAProblemOfTheNetwork(t *testing.T) {
	site, h := start(t, func(_ *testsite.Site, c *Config) { c.Replicas = []string{"http://127.0.0.1:1"} })
	ctx, cancel := context.WithCancel(context.Background())
	r := httptest.NewRequest("GET", "http://"+site.Web().String()+".localhost/api/v2/status", nil).WithContext(ctx)
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	cancel()
	if w.Code != 503 || !strings.HasPrefix(w.Body.String(), "Network unreachable") {
		t.Errorf("status %d: %s", w.Code, w.Body)
	}
	if r := ask(h, "GET http://localhost/health"); r.StatusCode != 503 {
		t.Errorf("health: status %d", r.StatusCode)
	}
}

func TestTheAPIIsPassedThroughOnEveryHost(t *testing.T) {
	site, h := start(t, nil)
	id := site.Web().String()
	for _, host := range []string{"localhost", "127.0.0.1:8000", id + ".localhost", id + ".raw.localhost"} {
		r := ask(h, "GET http://"+host+"/api/v2/status")
		if r.StatusCode != 200 || !strings.Contains(text(t, r), "healthy") || r.Header.Get("Access-Control-Allow-Origin") != "*" ||
			r.Header.Get("X-Content-Type-Options") != "nosniff" || r.Header.Get("X-Frame-Options") != "DENY" {
			t.Errorf("%s: status %d, %v", host, r.StatusCode, r.Header)
		}
		if r := ask(h, "HEAD http://"+host+"/api/v2/status"); r.StatusCode != 200 || r.Header.Get("Content-Length") == "" {
			t.Errorf("%s: HEAD: status %d, %v", host, r.StatusCode, r.Header)
		}
		r = ask(h, "POST http://"+host+"/api/v3/canister/"+id+"/query")
		if r.StatusCode != 400 || r.Header.Get("Access-Control-Allow-Origin") != "*" {
			t.Errorf("%s: an empty query came back with %d", host, r.StatusCode)
		}
		r = ask(h, "OPTIONS http://"+host+"/api/v3/canister/"+id+"/query")
		if r.StatusCode != 204 || r.Header.Get("Access-Control-Allow-Methods") != "POST" || r.Header.Get("Access-Control-Max-Age") != "7200" {
			t.Errorf("%s: preflight: %d, %v", host, r.StatusCode, r.Header)
		}
	}
	if r := ask(h, "GET http://localhost/health"); r.StatusCode != 200 {
		t.Errorf("health: status %d", r.StatusCode)
	}
}

func TestLargeBodiesAreRefused(t *testing.T) {
	site, h := start(t, nil)
	for _, path := range []string{"/api/v3/canister/aaaaa-aa/query", "/"} {
		r := httptest.NewRequest("POST", "http://"+site.Web().String()+".localhost"+path, bytes.NewReader(make([]byte, 10<<20+1)))
		w := httptest.NewRecorder()
		h.ServeHTTP(w, r)
		if w.Code != http.StatusRequestEntityTooLarge {
			t.Errorf("%s: status %d", path, w.Code)
		}
	}
}

func TestPreflightOfACanisterIsAnswered(t *testing.T) {
	site, h := start(t, nil)
	r := ask(h, "OPTIONS http://"+site.Web().String()+".localhost/", "Access-Control-Request-Method: PUT", "Origin: http://x.example")
	if r.StatusCode != 204 || !strings.Contains(r.Header.Get("Access-Control-Allow-Methods"), "PUT") {
		t.Errorf("status %d, %v", r.StatusCode, r.Header)
	}
	r = ask(h, "OPTIONS http://"+site.Web().String()+".localhost/own", "Access-Control-Request-Method: PUT")
	if got := r.Header.Get("Access-Control-Allow-Origin"); got != "https://friend.example" {
		t.Errorf("the canister's own rule came as %q", got)
	}
}

func withWorker(_ *testsite.Site, c *Config) {
	c.Worker = fstest.MapFS{
		"sw.js": {Data: []byte("worker()")}, "page.js": {Data: []byte("page()")},
		"client.wasm": {Data: []byte("wasm")}, "client.wasm.br": {Data: []byte("compressed")},
	}
}

func TestBrowsersGetTheWorkerFirst(t *testing.T) {
	site, h := start(t, withWorker)
	id := site.Web().String()
	page := "GET http://" + id + ".localhost/?a=b"
	for _, headers := range [][]string{
		{"Accept: text/html"},
		{"Accept: text/html", "Sec-Fetch-Mode: navigate", "Sec-Fetch-Dest: document"},
	} {
		r := ask(h, page, headers...)
		got := text(t, r)
		if r.StatusCode != 200 || strings.Contains(got, secret) || !strings.Contains(got, `src="/_portico/page-`) || !strings.Contains(got, `href="/?a=b&amp;_portico=off"`) {
			t.Errorf("%q: status %d: %s", headers, r.StatusCode, got)
		}
		if r.Header.Get("Cache-Control") != "no-store" {
			t.Errorf("the page that installs the worker may be cached: %v", r.Header)
		}
	}
	for what, r := range map[string]*http.Response{
		"a tool":          ask(h, page, "Accept: */*"),
		"a script's load": ask(h, page, "Accept: text/html", "Sec-Fetch-Mode: cors"),
		"an object":       ask(h, page, "Accept: text/html", "Sec-Fetch-Mode: navigate", "Sec-Fetch-Dest: object"),
		"the parameter":   ask(h, page+"&_portico=off", "Accept: text/html"),
		"the cookie":      ask(h, page, "Accept: text/html", "Cookie: _portico=off"),
		"a bare host":     ask(h, "GET http://localhost/?canisterId="+id, "Accept: text/html"),
		"a raw host":      ask(h, "GET http://"+id+".raw.localhost/", "Accept: text/html"),
	} {
		if got := text(t, r); !strings.Contains(got, secret) {
			t.Errorf("%s does not get the page: %s", what, got)
		}
	}
	if r := ask(h, page+"&_portico=on", "Accept: text/html", "Cookie: _portico=off"); strings.Contains(text(t, r), secret) || !strings.Contains(r.Header.Get("Set-Cookie"), "Max-Age=0") {
		t.Errorf("the choice cannot be taken back: %v", r.Header)
	}
}

func TestTheWorkerKnowsItsKeyAndItsProgram(t *testing.T) {
	site, h := start(t, func(s *testsite.Site, c *Config) {
		withWorker(s, c)
		c.Aliases = host.Fixed{"shop.localhost": s.Web()}
	})
	r := ask(h, "GET http://"+site.Web().String()+".localhost/_portico/sw.js")
	script := text(t, r)
	if !strings.Contains(script, `"rootKey":"3081`) || strings.Contains(script, "canister") || !strings.HasSuffix(script, "worker()") ||
		r.Header.Get("Service-Worker-Allowed") != "/" || r.Header.Get("Cache-Control") != "no-cache" {
		t.Errorf("%s\n%v", script, r.Header)
	}
	if script := text(t, ask(h, "GET http://shop.localhost/_portico/sw.js")); !strings.Contains(script, `"canister":"`+site.Web().String()) {
		t.Errorf("behind an alias the worker does not know its canister: %s", script)
	}
	_, wasm, _ := strings.Cut(script, `"wasm":"`)
	wasm, _, _ = strings.Cut(wasm, `"`)
	r = ask(h, "GET http://"+site.Web().String()+".localhost"+wasm, "Accept-Encoding: gzip, br")
	if text(t, r) != "compressed" || r.Header.Get("Content-Encoding") != "br" || r.Header.Get("Content-Type") != "application/wasm" || !strings.Contains(r.Header.Get("Cache-Control"), "immutable") {
		t.Errorf("%s: %v", wasm, r.Header)
	}
	if r := ask(h, "GET http://"+site.Web().String()+".localhost"+wasm); text(t, r) != "wasm" || r.Header.Get("Content-Encoding") != "" {
		t.Errorf("%s without compression: %v", wasm, r.Header)
	}
	for _, host := range []string{"localhost", site.Web().String() + ".raw.localhost"} {
		if r := ask(h, "GET http://"+host+"/_portico/sw.js"); r.StatusCode != 404 {
			t.Errorf("%s has a service worker", host)
		}
	}
}

func TestAnotherServiceWorkerIsRefused(t *testing.T) {
	site, h := start(t, withWorker)
	if r := ask(h, "GET http://"+site.Web().String()+".localhost/", "Service-Worker: script"); r.StatusCode != 403 {
		t.Errorf("status %d", r.StatusCode)
	}
	if r := ask(h, "GET http://"+site.Web().String()+".localhost/", "Service-Worker: script", "Cookie: _portico=off"); r.StatusCode != 200 {
		t.Errorf("without the light client: status %d", r.StatusCode)
	}
	for _, host := range []string{"localhost", "127.0.0.1:8000"} { // a bare domain belongs to all canisters
		if r := ask(h, "GET http://"+host+"/?canisterId="+site.Web().String(), "Service-Worker: script", "Cookie: _portico=off"); r.StatusCode != 403 {
			t.Errorf("on %s: status %d", host, r.StatusCode)
		}
	}
}
