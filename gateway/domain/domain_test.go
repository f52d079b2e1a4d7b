package domain

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"portico/lightclient"
	"portico/lightclient/asset"
	"portico/lightclient/principal"
)

const (
	shop  = "ryjl3-tyaaa-aaaaa-aaaba-cai"
	other = "rwlgt-iiaaa-aaaaa-aaaaa-cai"
)

// world is DNS and the canisters. Names ending in ".away" are those that DNS cannot be
// asked about.
type world struct {
	txt     map[string][]string
	cname   map[string]string
	domains map[string]string // by canister: what it lists
	status  uint16
	more    bool // the list goes on for ever
	waiting chan struct{}
	fails   bool // DNS does not answer
}

func (w *world) LookupTXT(ctx context.Context, name string) ([]string, error) {
	if w.waiting != nil {
		w.waiting <- struct{}{}
		<-ctx.Done()
	}
	if w.fails {
		return nil, &net.DNSError{Err: "server misbehaving", Name: name, IsTemporary: true}
	}
	return find(w.txt, name)
}

func (w *world) LookupCNAME(_ context.Context, name string) (string, error) {
	return find(w.cname, name)
}

func find[T any](records map[string]T, name string) (T, error) {
	r, ok := records[name]
	if !ok {
		return r, &net.DNSError{Err: "no such host", Name: name, IsNotFound: !strings.HasSuffix(name, ".away"), IsTemporary: true}
	}
	return r, nil
}

func (w *world) HTTPRequest(_ context.Context, canister principal.ID, req *asset.Request, opt lightclient.HTTPOptions) (*lightclient.HTTPResponse, error) {
	text, ok := w.domains[canister.String()]
	if !ok || opt.Raw || req.URL != "/.well-known/ic-domains" {
		return nil, errors.New("it does not verify")
	}
	resp := &lightclient.HTTPResponse{Status: w.status, Body: []byte(text)}
	if w.more {
		resp.Next = func(context.Context) ([]byte, error) { return nil, io.EOF }
	}
	return resp, nil
}

func newWorld() *world {
	return &world{
		txt: map[string][]string{"_canister-id.shop.example": {shop}}, cname: map[string]string{},
		domains: map[string]string{shop: "www.example\r\n Shop.Example \n"}, status: 200,
	}
}

func newRegistry(t *testing.T, w *world, change func(*Config)) *Registry {
	t.Helper()
	cfg := Config{Path: filepath.Join(t.TempDir(), "domains.txt"), Own: []string{"gateway.example"}, Resolver: w, Canisters: w}
	if change != nil {
		change(&cfg)
	}
	r, err := NewRegistry(cfg)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// ask makes a request such as "POST shop.example".
func ask(t *testing.T, r *Registry, request string) (int, reply) {
	t.Helper()
	method, path, _ := strings.Cut(request, " ")
	w := httptest.NewRecorder()
	r.ServeHTTP(w, httptest.NewRequest(method, Prefix+path, nil))
	var got reply
	if err := json.Unmarshal(w.Body.Bytes(), &got); err != nil {
		t.Fatalf("%s: %v in %s", request, err, w.Body)
	}
	if (got.Status == "success") != (w.Code < 300) || got.Data.Domain == "" {
		t.Errorf("%s: status %d with %+v", request, w.Code, got)
	}
	return w.Code, got
}

func TestADomainIsRegisteredMovedAndGivenUp(t *testing.T) {
	w := newWorld()
	r := newRegistry(t, w, nil)
	expect := func(request string, status int, canister, registration string) {
		t.Helper()
		if got, a := ask(t, r, request); got != status || a.Data.Canister != canister || a.Data.Registration != registration {
			t.Errorf("%s: %d %+v, want %d for %q", request, got, a, status, canister)
		}
	}
	expect("GET shop.example", 404, "", "")
	expect("PATCH shop.example", 404, "", "")
	expect("DELETE shop.example", 404, "", "")
	if status, a := ask(t, r, "GET shop.example/validate"); status != 200 || a.Data.Validation != "valid" || a.Data.Canister != shop {
		t.Errorf("validate: %d %+v", status, a)
	}
	expect("GET shop.example", 404, "", "") // validating registers nothing
	expect("POST SHOP.example.", 202, shop, "")
	expect("GET shop.example", 200, shop, "registered")
	expect("POST shop.example", 409, "", "")
	if id, ok := r.Lookup("shop.example"); !ok || id.String() != shop {
		t.Errorf("the domain leads to %v", id)
	}
	w.txt["_canister-id.shop.example"], w.domains[other] = []string{other}, "shop.example"
	expect("PATCH shop.example", 202, other, "")
	expect("GET shop.example", 200, other, "registered")
	expect("DELETE shop.example", 400, "", "") // DNS still names a canister
	expect("GET shop.example", 200, other, "registered")
	delete(w.txt, "_canister-id.shop.example")
	expect("DELETE shop.example", 202, "", "")
	expect("GET shop.example", 404, "", "")
}

func TestRegisteredDomainsOutliveTheGateway(t *testing.T) {
	w := newWorld()
	r := newRegistry(t, w, nil)
	ask(t, r, "POST shop.example")
	again, err := NewRegistry(r.cfg)
	if err != nil {
		t.Fatal(err)
	}
	if id, ok := again.Lookup("shop.example"); !ok || id.String() != shop {
		t.Errorf("after a restart the domain leads to %v", id)
	}
	if left, _ := filepath.Glob(r.cfg.Path + ".*"); len(left) > 0 {
		t.Errorf("temporary files stay: %v", left)
	}
	if err := os.WriteFile(r.cfg.Path, []byte("nonsense\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := NewRegistry(r.cfg); err == nil || !strings.Contains(err.Error(), "line 1") {
		t.Errorf("a broken file: %v", err)
	}
}

func TestBothSidesMustAgreeToADomain(t *testing.T) {
	for what, c := range map[string]struct {
		change func(*world)
		status int
		want   string
	}{
		"no record":             {func(w *world) { w.txt = nil }, 400, "missing DNS TXT record from _canister-id.shop.example"},
		"two records":           {func(w *world) { w.txt["_canister-id.shop.example"] = []string{shop, other} }, 400, "multiple DNS TXT records"},
		"no canister":           {func(w *world) { w.txt["_canister-id.shop.example"] = []string{"nonsense"} }, 400, "invalid DNS TXT record"},
		"unverified list":       {func(w *world) { w.domains = nil }, 400, "failed to retrieve known domains from canister " + shop + ": it does not verify"},
		"no list":               {func(w *world) { w.status = 404 }, 400, "has the status 404"},
		"an endless list":       {func(w *world) { w.more = true }, 400, "more than 65536 bytes"},
		"a huge list":           {func(w *world) { w.domains[shop] = strings.Repeat("a\n", 40_000) + "shop.example" }, 400, "more than 65536 bytes"},
		"another's list":        {func(w *world) { w.domains[shop] = "www.example" }, 400, "domain is missing from canister " + shop},
		"part of a longer name": {func(w *world) { w.domains[shop] = "myshop.example\nshop.example.org\nshop.example # no" }, 400, "domain is missing"},
	} {
		w := newWorld()
		c.change(w)
		r := newRegistry(t, w, nil)
		for _, request := range []string{"GET shop.example/validate", "POST shop.example"} {
			if status, a := ask(t, r, request); status != c.status || !strings.Contains(a.Errors, c.want) {
				t.Errorf("%s: %s: %d %q, want %d with %q", what, request, status, a.Errors, c.status, c.want)
			}
		}
		if _, ok := r.Lookup("shop.example"); ok {
			t.Errorf("%s: registered all the same", what)
		}
	}
}

func TestCertificatesAreDelegatedWhereTheGatewayWantsIt(t *testing.T) {
	w := newWorld()
	r := newRegistry(t, w, func(c *Config) { c.Delegation = "acme.gateway.example" })
	const missing = "missing DNS CNAME record from _acme-challenge.shop.example to _acme-challenge.shop.example.acme.gateway.example"
	for _, to := range []string{"", "_acme-challenge.shop.example.", "_acme-challenge.shop.example.acme.gateway.example.evil."} {
		if to != "" {
			w.cname["_acme-challenge.shop.example"] = to
		}
		if status, a := ask(t, r, "POST shop.example"); status != 400 || !strings.Contains(a.Errors, missing) {
			t.Errorf("CNAME %q: %d %q", to, status, a.Errors)
		}
	}
	w.cname["_acme-challenge.shop.example"] = "_acme-challenge.Shop.example.acme.gateway.example."
	if status, a := ask(t, r, "POST shop.example"); status != 202 {
		t.Errorf("%d %q", status, a.Errors)
	}
}

func TestOnlyDomainsOfOthersCanBeRegistered(t *testing.T) {
	r := newRegistry(t, newWorld(), nil)
	for name, want := range map[string]string{
		"gateway.example": "belongs to this gateway", "a.gateway.example": "belongs to this gateway",
		"127.0.0.1": "somebody could own", "localhost": "somebody could own", "com": "somebody could own",
		"a%20b.example": "not a domain name", "shop.example:80": "not a domain name", "[::1]": "not a domain name", "": "not a domain name",
		"x%00.example": "not a domain name", "b%C3%BCcher.example": "not a domain name", strings.Repeat("a.", 200) + "example": "not a domain name",
	} {
		w := httptest.NewRecorder()
		r.ServeHTTP(w, httptest.NewRequest("POST", Prefix+name, nil))
		if w.Code != 400 || !strings.Contains(w.Body.String(), want) {
			t.Errorf("%q: %d %s, want 400 with %q", name, w.Code, w.Body, want)
		}
	}
	for request, want := range map[string]int{"PUT shop.example": 405, "POST shop.example/validate": 405, "GET shop.example/other": 404, "GET shop.example/validate/x": 404} {
		if got, _ := ask(t, r, request); got != want {
			t.Errorf("%s: %d, want %d", request, got, want)
		}
	}
}

func TestAnUnreachableDNSIsNotTheOwnersFault(t *testing.T) {
	w := newWorld()
	r := newRegistry(t, w, nil)
	if status, a := ask(t, r, "POST shop.away"); status != 503 || !strings.HasPrefix(a.Errors, "unavailable: ") {
		t.Errorf("%d %q", status, a.Errors)
	}
}

func TestRegistrationsAreBounded(t *testing.T) {
	w := newWorld()
	r := newRegistry(t, w, func(c *Config) { c.Max = 1 })
	w.txt["_canister-id.www.example"] = []string{shop}
	if status, _ := ask(t, r, "POST www.example"); status != 202 {
		t.Fatalf("status %d", status)
	}
	if status, a := ask(t, r, "POST shop.example"); status != 503 {
		t.Errorf("beyond the bound: %d %q", status, a.Errors)
	}
	w.waiting = make(chan struct{})
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan int)
	for range maxChecks {
		go func() {
			rec := httptest.NewRecorder()
			r.ServeHTTP(rec, httptest.NewRequest("GET", Prefix+"shop.example/validate", nil).WithContext(ctx))
			done <- rec.Code
		}()
		<-w.waiting
	}
	if status, a := ask(t, r, "GET shop.example/validate"); status != http.StatusServiceUnavailable || !strings.Contains(a.Errors, "too many") {
		t.Errorf("one check too many: %d %q", status, a.Errors)
	}
	cancel()
	for range maxChecks {
		<-done
	}
}
