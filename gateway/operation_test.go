package gateway

import (
	"context"
	"encoding/json"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"portico/gateway/host"
	"portico/gateway/testsite"
	"portico/lightclient/asset"
	"portico/lightclient/principal"
)

// zone is DNS with the TXT records of some domains.
type zone map[string][]string

func (z zone) LookupTXT(_ context.Context, name string) ([]string, error) {
	if r, ok := z[name]; ok {
		return r, nil
	}
	return nil, &net.DNSError{Err: "no such host", Name: name, IsNotFound: true}
}

func (z zone) LookupCNAME(_ context.Context, name string) (string, error) {
	return "", &net.DNSError{Err: "no such host", Name: name, IsNotFound: true}
}

func TestARegisteredDomainServesItsCanisterAndTheAPI(t *testing.T) {
	site, h := start(t, func(s *testsite.Site, c *Config) {
		s.Pages["/.well-known/ic-domains"] = testsite.Page{Body: []byte("shop.example\nother.example\n")}
		c.Custom = &CustomDomains{
			Path:     filepath.Join(t.TempDir(), "domains.txt"),
			Resolver: zone{"_canister-id.shop.example": {s.Web().String()}, "_canister-id.evil.example": {s.Web().String()}},
		}
	})
	if r := ask(h, "GET http://shop.example/"); r.StatusCode != 400 || !strings.HasPrefix(text(t, r), "Unknown domain") {
		t.Fatalf("before: status %d", r.StatusCode)
	}
	for _, c := range []struct {
		request string
		status  int
	}{
		{"GET http://localhost/custom-domains/v1/shop.example/validate", 200},
		{"POST http://localhost/custom-domains/v1/evil.example", 400},  // the canister does not list it
		{"POST http://localhost/custom-domains/v1/other.example", 400}, // DNS does not name the canister
		{"POST http://localhost/custom-domains/v1/x.localhost", 400},
		{"POST http://localhost/custom-domains/v1/shop.example", 202},
		{"GET http://localhost/custom-domains/v1/shop.example", 200},
		{"OPTIONS http://localhost/custom-domains/v1/shop.example", 204},
		{"GET http://shop.example/", 200},
		{"GET http://SHOP.example.:8000/", 200},
		{"GET http://shop.example/api/v2/status", 200},
		{"GET http://shop.example/health", 404},                          // the canister's
		{"POST http://shop.example/custom-domains/v1/shop.example", 404}, // not on domains of others
		{"GET http://www.shop.example/", 400},                            // only the name itself
		{"GET http://" + site.Web().String() + ".shop.example/", 400},    // nor names of canisters below
		{"GET http://localhost/custom-domains/v1/shop.example/unknown", 404},
	} {
		if r := ask(h, c.request); r.StatusCode != c.status || r.Header.Get("Access-Control-Allow-Origin") == "" {
			t.Errorf("%s: status %d: %s", c.request, r.StatusCode, text(t, r))
		}
	}
	for name, ok := range map[string]bool{"shop.example": true, "localhost": true, "evil.example": false, site.Web().String() + ".localhost": false, "a b": false} {
		if err := h.(*Gateway).MayHaveCertificate(t.Context(), name); (err == nil) != ok {
			t.Errorf("a certificate for %s: %v", name, err)
		}
	}
}

func TestProblemsAreReadableForPrograms(t *testing.T) {
	site, h := start(t, nil)
	web := site.Web().String()
	site.Replica.Tamper = func(_ string, status int, body []byte) (int, []byte, error) {
		changed, _ := testsite.Flip(body, []byte("<p>the bo"))
		return status, changed, nil
	}
	for url, want := range map[string]string{
		"http://example.org/":        "400 client_unknown_domain",
		"http://a..b/":               "400 client_malformed_request",
		"http://nonsense.localhost/": "400 canister_id_incorrect",
		"http://localhost/x":         "400 canister_id_not_resolved",
		"http://" + site.Missing().String() + ".localhost/":       "404 canister_not_found",
		"http://" + site.Stopped().String() + ".localhost/":       "503 canister_error",
		"http://" + site.Broke().String() + ".localhost/":         "503 canister_frozen",
		"http://" + web + ".localhost/":                           "503 backend_response_verification",
		"http://" + web + ".localhost/api/v9/status":              "404 client_malformed_request",
		"http://" + web + ".localhost/api/v2/canister/x/query":    "405 client_malformed_request",
		"http://" + web + ".localhost" + testsite.UncertifiedPath: "503 backend_response_verification",
	} {
		r := ask(h, "GET "+url, "Accept: application/json, text/plain, */*")
		var got struct{ Error_type, Description, Details string }
		body := text(t, r)
		if err := json.Unmarshal([]byte(body), &got); err != nil || r.Header.Get("Content-Type") != "application/json" {
			t.Errorf("%s: %v in %s", url, err, body)
			continue
		}
		status, code, _ := strings.Cut(want, " ")
		if !strings.HasPrefix(r.Status, status) || got.Error_type != code || got.Description == "" {
			t.Errorf("%s: %s %+v, want %s", url, r.Status, got, want)
		}
		if again := r.Header.Get("Retry-After"); (again != "") != (r.StatusCode == 503) {
			t.Errorf("%s: status %d with Retry-After %q", url, r.StatusCode, again)
		}
	}
}

func TestCrossOriginRulesAreTheTables(t *testing.T) {
	const (
		headers = "user-agent, dnt, if-none-match, if-modified-since, cache-control, content-type, range, cookie, x-requested-with, x-ic-canister-id"
		expose  = "accept-ranges, content-length, content-range, x-request-id, x-ic-canister-id"
	)
	site, h := start(t, func(s *testsite.Site, _ *Config) {
		s.Pages["/exposes"] = testsite.Page{Headers: []asset.Header{{Name: "Access-Control-Expose-Headers", Value: "x-own"}}}
		s.Pages["/allows"] = testsite.Page{Headers: []asset.Header{{Name: "access-control-allow-methods", Value: "GET"}}}
	})
	web := "http://" + site.Web().String() + ".localhost"
	preflight := []string{"Origin: https://x.example", "Access-Control-Request-Method: PUT"}
	for request, want := range map[string]map[string]string{
		"OPTIONS " + web + "/api/v4/canister/aaaaa-aa/call": {
			"Allow-Origin": "*", "Allow-Methods": "POST", "Allow-Headers": headers, "Max-Age": "7200", "Expose-Headers": "",
		},
		"OPTIONS " + web + "/api/v2/status":              {"Allow-Origin": "*", "Allow-Methods": "GET, HEAD", "Allow-Headers": headers, "Max-Age": "7200"},
		"GET " + web + "/api/v2/status":                  {"Allow-Origin": "*", "Expose-Headers": expose, "Allow-Methods": "", "Max-Age": ""},
		"POST " + web + "/api/v4/canister/aaaaa-aa/call": {"Allow-Origin": "*", "Expose-Headers": expose},
		"OPTIONS " + web + "/absent": {
			"Allow-Origin": "*", "Allow-Methods": "HEAD, GET, POST, PUT, DELETE, PATCH", "Allow-Headers": headers + ", x-oc-jwt, x-oc-api-key", "Max-Age": "7200", "Expose-Headers": "",
		},
		"GET " + web + "/":           {"Allow-Origin": "*", "Expose-Headers": expose, "Allow-Methods": ""},
		"GET " + web + "/own":        {"Allow-Origin": "https://friend.example", "Expose-Headers": expose},
		"GET " + web + "/exposes":    {"Allow-Origin": "*", "Expose-Headers": "x-own|x-ic-canister-id"},
		"OPTIONS " + web + "/own":    {"Allow-Origin": "https://friend.example", "Allow-Methods": "HEAD, GET, POST, PUT, DELETE, PATCH", "Max-Age": "7200"},
		"OPTIONS " + web + "/allows": {"Allow-Origin": "*", "Allow-Methods": "GET", "Max-Age": "7200", "Allow-Headers": headers + ", x-oc-jwt, x-oc-api-key"},
		"GET http://example.org/":    {"Allow-Origin": "*", "Expose-Headers": expose}, // a page elsewhere may read why
	} {
		var with []string
		if strings.HasPrefix(request, "OPTIONS") {
			with = preflight
		}
		r := ask(h, request, with...)
		for name, value := range want {
			if got := r.Header.Values("Access-Control-" + name); strings.Join(got, "|") != value {
				t.Errorf("%s: %s is %q, want %q", request, name, got, value)
			}
		}
	}
}

// An identity provider finds out which canister an origin stands for, and reads its list
// of origins that may act for it, from a page that is neither's.
func TestPagesElsewhereLearnWhichCanisterAnOriginIs(t *testing.T) {
	const list = `{"alternativeOrigins":["https://shop.example"]}`
	site, h := start(t, func(s *testsite.Site, c *Config) {
		s.Pages["/exposes"] = testsite.Page{Headers: []asset.Header{{Name: "Access-Control-Expose-Headers", Value: "x-own"}}}
		s.Pages["/.well-known/ii-alternative-origins"] = testsite.Page{Headers: []asset.Header{{Name: "content-type", Value: "application/json"}}, Body: []byte(list)}
		c.Aliases = host.Fixed{"shop.example": s.Web(), "id.ai.localhost": s.Web()}
	})
	id := site.Web().String()
	for _, origin := range []string{id + ".localhost", "shop.example", "id.ai.localhost:8000"} {
		for _, path := range []string{"/", "/exposes", "/absent", "/.well-known/ii-alternative-origins"} {
			r := ask(h, "HEAD http://"+origin+path, "Origin: https://id.ai")
			exposed := strings.Join(r.Header.Values("Access-Control-Expose-Headers"), ", ")
			if r.Header.Get("X-Ic-Canister-Id") != id || !strings.Contains(exposed, "x-ic-canister-id") || r.Header.Get("Access-Control-Allow-Origin") != "*" || text(t, r) != "" {
				t.Errorf("HEAD %s%s: %s, %v", origin, path, r.Status, r.Header)
			}
		}
	}
	for _, bare := range []string{"localhost:8000", "127.0.0.1:8000"} {
		r := ask(h, "GET http://"+bare+"/.well-known/ii-alternative-origins?canisterId="+id, "Origin: http://id.ai.localhost:8000")
		if r.StatusCode != 200 || text(t, r) != list || r.Header.Get("Access-Control-Allow-Origin") != "*" || r.Header.Get("X-Ic-Canister-Id") != id {
			t.Errorf("%s: %s, %v", bare, r.Status, r.Header)
		}
	}
	if r := ask(h, "GET http://localhost/.well-known/ii-alternative-origins"); r.StatusCode != 400 {
		t.Errorf("without a canister: %s", r.Status)
	}
}

func TestRequestIDsAreOurs(t *testing.T) {
	const id = "01980a3a-4e95-78F2-a86c-fc84d0e749c8"
	for keep, want := range map[bool]string{false: "", true: strings.ToLower(id)} {
		_, h := start(t, func(_ *testsite.Site, c *Config) { c.KeepRequestIDs = keep })
		got := ask(h, "GET http://localhost/health", "X-Request-Id: "+id).Header.Get("X-Request-Id")
		if keep && got != want || !keep && (len(got) != 36 || strings.EqualFold(got, id)) {
			t.Errorf("kept %v: %s became %s", keep, id, got)
		}
		for _, no := range []string{"foo", strings.Repeat("a", 36), id + "0", strings.Replace(id, "0", "g", 1)} {
			if got := ask(h, "GET http://localhost/health", "X-Request-Id: "+no).Header.Get("X-Request-Id"); got == no || len(got) != 36 {
				t.Errorf("kept %v: %s became %s", keep, no, got)
			}
		}
	}
}

type denied []principal.ID

func (d denied) Denies(id principal.ID) bool { return slices.Contains(d, id) }

func TestDeniedCanistersAreServedNowhere(t *testing.T) {
	site, h := start(t, func(s *testsite.Site, c *Config) {
		withWorker(s, c)
		c.Denied = denied{s.Web()}
		c.Aliases = host.Fixed{"shop.localhost": s.Web()}
	})
	id := site.Web().String()
	for _, url := range []string{
		"http://" + id + ".localhost/", "http://" + id + ".raw.localhost/", "http://shop.localhost/", "http://127.0.0.1/?canisterId=" + id,
		"http://" + id + ".localhost/_portico/sw.js", "http://" + id + ".localhost/api/v2/status",
	} {
		for _, accept := range []string{"text/html", "*/*"} {
			if r := ask(h, "GET "+url, "Accept: "+accept); r.StatusCode != 451 || !strings.Contains(text(t, r), "Not served here") {
				t.Errorf("%s: status %d", url, r.StatusCode)
			}
		}
	}
	if r := ask(h, "GET http://localhost/api/v2/status"); r.StatusCode != 200 {
		t.Errorf("the API: status %d", r.StatusCode)
	}
	if r := ask(h, "GET http://"+site.Mute().String()+".localhost/"); r.StatusCode != 503 {
		t.Errorf("another canister: status %d", r.StatusCode)
	}
}

func TestAnAddressThatAsksTooOftenHasToWait(t *testing.T) {
	_, h := start(t, func(_ *testsite.Site, c *Config) {
		c.Limits.PerSecond, c.Limits.Burst = 0.001, 2
		c.Proxies = []netip.Prefix{netip.MustParsePrefix("192.0.2.0/24")} // where requests of httptest come from
	})
	from := func(address string) *http.Response {
		return ask(h, "GET http://localhost/api/v2/status", "X-Forwarded-For: "+address)
	}
	for i, c := range []struct {
		address string
		status  int
	}{
		{"198.51.100.1", 200},
		{"198.51.100.1", 200},
		{"198.51.100.1", 429},
		{"198.51.100.2", 200},
		{"203.0.113.9, 198.51.100.1", 429}, // what the client says of itself counts for nothing
		{"198.51.100.1, 192.0.2.7", 429},   // passed on by two proxies of ours
		{"198.51.100.3, nonsense", 200},    // then it is the proxy itself
	} {
		r := from(c.address)
		if r.StatusCode != c.status || (r.Header.Get("Retry-After") != "") != (c.status == 429) {
			t.Errorf("%d: %s: status %d, %v", i, c.address, r.StatusCode, r.Header)
		}
	}
	_, h = start(t, func(_ *testsite.Site, c *Config) { c.Limits.PerSecond = 0.001 })
	if from("1.1.1.1").StatusCode != 200 || from("2.2.2.2").StatusCode != 429 {
		t.Error("without proxies, the client chooses its address")
	}
}

func TestBodiesShareOneBound(t *testing.T) {
	site, h := start(t, func(_ *testsite.Site, c *Config) { c.Limits.BodyBytes = 1000 })
	for n, want := range map[int]int{900: 400, 1001: 503} {
		for range 3 { // what was held is given back
			r := httptest.NewRequest("POST", "http://"+site.Web().String()+".localhost/api/v3/canister/aaaaa-aa/query", strings.NewReader(strings.Repeat("x", n)))
			w := httptest.NewRecorder()
			h.ServeHTTP(w, r)
			if w.Code != want || (w.Header().Get("Retry-After") != "") != (want == 503) {
				t.Errorf("%d bytes: status %d", n, w.Code)
			}
		}
	}
}

func TestTheAPIIsAskedAgainWhenReplicasFail(t *testing.T) {
	for name, failing := range map[string]int{"429": 429, "500": 500, "502": 502, "503": 503} {
		asked := 0
		replica := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			if asked++; asked < 3 {
				w.WriteHeader(failing)
				return
			}
			w.Header().Set("Content-Type", "text/html")
			_, _ = w.Write([]byte("fine"))
		}))
		defer replica.Close()
		g, err := New(Config{Domains: []string{"localhost"}, Replicas: []string{replica.URL}, RootKey: []byte{1}})
		if err != nil {
			t.Fatal(err)
		}
		r := ask(g, "POST http://localhost/api/v4/canister/aaaaa-aa/call")
		if r.StatusCode != 200 || asked != 3 || text(t, r) != "fine" || r.Header.Get("Content-Type") != "application/cbor" {
			t.Errorf("%s: status %d after %d attempts, %v", name, r.StatusCode, asked, r.Header)
		}
	}
	asked := 0
	replica := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		asked++
		w.WriteHeader(http.StatusTooManyRequests)
	}))
	defer replica.Close()
	g, err := New(Config{Replicas: []string{replica.URL}, RootKey: []byte{1}})
	if err != nil {
		t.Fatal(err)
	}
	if r := ask(g, "GET http://127.0.0.1/api/v2/status"); r.StatusCode != 429 || asked != 4 || r.Header.Get("Retry-After") != "1" {
		t.Errorf("a replica that stays overloaded: status %d after %d attempts, %v", r.StatusCode, asked, r.Header)
	}
	if f := metricsOf(t, g); !strings.Contains(f, `portico_gateway_upstream_failures_total{reason="overloaded"} 4`) {
		t.Errorf("metrics:\n%s", f)
	}
}

func metricsOf(t *testing.T, h http.Handler) string {
	t.Helper()
	w := httptest.NewRecorder()
	h.(*Gateway).Metrics().Handler().ServeHTTP(w, httptest.NewRequest("GET", "/metrics", nil))
	return w.Body.String()
}

func TestMetricsHaveNoValueThatAClientChooses(t *testing.T) {
	site, h := start(t, nil)
	web := site.Web().String() + ".localhost"
	ask(h, "GET http://"+web+"/")
	ask(h, "GET http://"+site.Web().String()+".raw.localhost/")
	ask(h, "POST http://"+web+"/api/v3/canister/aaaaa-aa/query")
	before := strings.Count(metricsOf(t, h), "\n")
	for _, name := range []string{"evil1", "evil2", "evil3"} {
		ask(h, "GET http://"+web+"/"+name)
		ask(h, "GET http://"+name+"--"+web+"/")
		ask(h, "POST http://"+web+"/api/v3/canister/aaaaa-aa/query?"+name)
		ask(h, "GET http://"+web+"/", name+": "+name)
	}
	after := metricsOf(t, h)
	if strings.Contains(after, "evil") {
		t.Errorf("a client's word is a label:\n%s", after)
	}
	if n := strings.Count(after, "\n"); n > before+40 { // of a new class of status
		t.Errorf("%d lines became %d", before, n)
	}
	for _, want := range []string{
		`portico_gateway_requests_total{kind="http",status="2xx"} 8`, `portico_gateway_requests_total{kind="query",status="4xx"} 4`,
		`portico_gateway_answers_total{answer="raw"} 1`, `portico_gateway_in_flight 0`, `portico_gateway_request_seconds_bucket{kind="http",le="20"}`,
	} {
		if !strings.Contains(after, want) {
			t.Errorf("no %s in\n%s", want, after)
		}
	}
}

// brokenHome has a defect.
type brokenHome struct{ after bool }

func (b brokenHome) ServeHTTP(w http.ResponseWriter, _ *http.Request) {
	if b.after {
		_, _ = io.WriteString(w, "half of it")
	}
	panic("a defect")
}

func TestADefectOfOursIsStatus500(t *testing.T) {
	_, h := start(t, func(_ *testsite.Site, c *Config) {
		c.Home = brokenHome{}
		c.Log = slog.New(slog.DiscardHandler)
	})
	r := ask(h, "GET http://localhost/", "Accept: application/json")
	if r.StatusCode != 500 || !strings.Contains(text(t, r), "internal_server_error") {
		t.Errorf("status %d", r.StatusCode)
	}
	if r := ask(h, "GET http://localhost/health"); r.StatusCode != 200 {
		t.Errorf("afterwards: status %d", r.StatusCode)
	}
	_, to := wire(t, func(_ *testsite.Site, c *Config) { c.Home = brokenHome{after: true} })
	if resp, err := http.Get("http://" + to + "/"); err == nil {
		if b, err := io.ReadAll(resp.Body); err == nil {
			t.Errorf("%q was passed off as the whole", b)
		}
		resp.Body.Close()
	}
}
