package main

import (
	"bytes"
	"compress/gzip"
	"io"
	"strings"
	"testing"
	"testing/fstest"

	"portico/lightclient/principal"
)

// siteOf builds a site of some pages.
func siteOf(t *testing.T, files fstest.MapFS) *store {
	t.Helper()
	s := &store{signatures: newSignatures()}
	backend, err := principal.Parse("rdmx6-jaaaa-aaaaa-aaadq-cai")
	if err != nil {
		t.Fatal(err)
	}
	if err := s.site.build([]string{"https://id.ai"}, pages{files, settings{RootKey: "3081", Backend: backend.String()}}); err != nil {
		t.Fatal(err)
	}
	return s
}

func somePages() fstest.MapFS {
	file := func(text string) *fstest.MapFile { return &fstest.MapFile{Data: []byte(text)} }
	return fstest.MapFS{
		"index.html":         file(`<meta content="` + placeholder + `">start`),
		"authorize.html":     file("authorize"),
		"cli.html":           file("cli"),
		"404.html":           file("missing"),
		".gitignore":         file("*"),
		"assets/x-1a.js":     file("script"),
		"assets/x-1a.js.br":  file("script in br"),
		"assets/x-1a.js.gz":  file("script in gz"),
		"assets/icon-2b.svg": file("<svg/>"),
	}
}

func (s *store) get(url string, headers ...headerField) httpResponse {
	return s.http(&httpRequest{Method: "GET", URL: url, Headers: headers}, nil)
}

func (r httpResponse) header(name string) string {
	for _, h := range r.Headers {
		if strings.EqualFold(h.Name, name) {
			return h.Value
		}
	}
	return ""
}

func TestAPageIsToldOfTheNetworkAsAnAttribute(t *testing.T) {
	r := siteOf(t, somePages()).get("/")
	want := `<meta content="{&#34;root_key&#34;:&#34;3081&#34;,&#34;backend&#34;:&#34;rdmx6-jaaaa-aaaaa-aaadq-cai&#34;}">start`
	if r.Status != 200 || string(r.Body) != want {
		t.Errorf("%d: %s", r.Status, r.Body)
	}
}

func TestPagesAreAtTheirPathsAndTheMissingPageEverywhereElse(t *testing.T) {
	s := siteOf(t, somePages())
	for url, want := range map[string]string{
		"/authorize": "authorize", "/authorize?openid=x": "authorize", "/cli": "cli", "/assets/icon-2b.svg": "<svg/>",
		webAuthnPath: `{"origins":["https://id.ai"]}`, cliPath: cliConfig,
		"/nothing": "missing", "/authorize.html": "missing", "/.gitignore": "missing", "/assets/x-1a.js.br": "missing", "/404": "missing", "/authorize/": "missing",
	} {
		r := s.get(url)
		status := uint16(200)
		if want == "missing" {
			status = 404
		}
		if r.Status != status || string(r.Body) != want {
			t.Errorf("%s: %d %q, want %d %q", url, r.Status, r.Body, status, want)
		}
		if r.header("x-content-type-options") != "nosniff" || r.header("x-frame-options") != "DENY" {
			t.Errorf("%s: headers %v", url, r.Headers)
		}
	}
}

func TestTheBestEncodingThatTheBrowserAcceptsIsServed(t *testing.T) {
	s := siteOf(t, somePages())
	for accept, want := range map[string]string{
		"": "", "gzip, deflate, br, zstd": "br", "gzip": "gzip", "BR;q=0.5, gzip": "br", "br;q=0, gzip": "gzip", "br; q=0.000": "", "identity": "", "*": "", ",;,": "",
	} {
		r := s.get("/assets/x-1a.js", headerField{"Accept-Encoding", accept})
		body := map[string]string{"": "script", "br": "script in br", "gzip": "script in gz"}[want]
		if r.header("content-encoding") != want || string(r.Body) != body {
			t.Errorf("%q: encoding %q, body %q", accept, r.header("content-encoding"), r.Body)
		}
		if r.header("vary") != "accept-encoding" || r.header("cache-control") != immutable || r.header("content-type") != "text/javascript; charset=utf-8" {
			t.Errorf("%q: headers %v", accept, r.Headers)
		}
	}
	r := s.get("/", headerField{"accept-encoding", "gzip"})
	z, err := gzip.NewReader(bytes.NewReader(r.Body))
	if err != nil {
		t.Fatal(err)
	}
	text, err := io.ReadAll(z)
	if err != nil || string(text) != string(s.get("/").Body) || r.header("content-encoding") != "gzip" {
		t.Errorf("%q, %v", text, err)
	}
}

func TestPagesHaveAPolicyThatForbidsFramesAndWhatIsNotTheirs(t *testing.T) {
	s := siteOf(t, somePages())
	for _, url := range []string{"/", "/authorize", "/cli", "/nothing"} {
		r := s.get(url)
		csp := r.header("content-security-policy")
		for _, part := range []string{"default-src 'none'", "script-src 'self'", "style-src 'self'", "frame-ancestors 'none'", "base-uri 'none'"} {
			if !strings.Contains(csp, part) {
				t.Errorf("%s: the policy %q lacks %q", url, csp, part)
			}
		}
		if strings.Contains(csp, "unsafe") {
			t.Errorf("%s: the policy %q", url, csp)
		}
		if sends := strings.Contains(csp, "form-action 'self' http://127.0.0.1:*"); sends != (url == "/cli") {
			t.Errorf("%s: the policy %q", url, csp)
		}
		if !strings.Contains(r.header("permissions-policy"), "publickey-credentials-get=(self)") || r.header("cache-control") != "no-cache" {
			t.Errorf("%s: headers %v", url, r.Headers)
		}
		if r.header("access-control-allow-origin") != "" {
			t.Errorf("%s may be read by other origins", url)
		}
	}
}

func TestTheSamePagesAreCertifiedAlike(t *testing.T) {
	a, b := siteOf(t, somePages()), siteOf(t, somePages())
	if a.site.certified.Root() != b.site.certified.Root() {
		t.Error("replicas would certify different trees")
	}
	changed := somePages()
	changed["cli.html"].Data = []byte("other")
	if siteOf(t, changed).site.certified.Root() == a.site.certified.Root() {
		t.Error("another page is certified alike")
	}
}

func TestACanisterWithoutPagesServesItsFilesForPrograms(t *testing.T) {
	s := siteOf(t, fstest.MapFS{".gitignore": {Data: []byte("*")}})
	if r := s.get("/"); r.Status != 404 || string(r.Body) != "not found" {
		t.Errorf("%d %q", r.Status, r.Body)
	}
	if r := s.get(cliPath); r.Status != 200 {
		t.Errorf("%d %q", r.Status, r.Body)
	}
}

func TestACanisterThatServesPagesRefusesEverythingElse(t *testing.T) {
	backend, err := principal.Parse("ryjl3-tyaaa-aaaaa-aaaba-cai")
	if err != nil {
		t.Fatal(err)
	}
	c := install(t, &initArgs{BackendCanister: &backend})
	const words = "this canister only serves pages: the identities are at ryjl3-tyaaa-aaaaa-aaaba-cai"
	c.refuses(c.ask(principal.Anonymous(), "lookup_device_key", args{[]byte("x")}, new(*keyWithAnchor)), words)
	c.refuses(c.ask(principal.Anonymous(), "stats", nil, new(stats)), words)
	anna := newPasskey(t, "anna")
	c.refuses(c.try(anna.id, "identity_registration_start", nil), words)
	c.refuses(c.try(anna.id, "prepare_delegation", args{uint64(firstNumber), "https://dapp.com", anna.der, (*uint64)(nil)}, new([]byte), new(uint64)), words)
	var resp httpResponse
	c.query(principal.Anonymous(), "http_request", args{httpRequest{Method: "GET", URL: cliPath}}, &resp)
	if resp.Status != 200 {
		t.Errorf("its files: %d", resp.Status)
	}
}
