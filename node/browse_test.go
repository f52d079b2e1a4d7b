package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/hex"
	"encoding/pem"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"sync/atomic"
	"testing"

	"portico/gateway"
	"portico/gateway/testsite"
	"portico/lightclient/asset"
)

const certifiedText = "a page that was certified"

// honestSite is a network with one page.
func honestSite(seed string) *testsite.Site {
	return testsite.New(seed, map[string]testsite.Page{
		"/": {Headers: []asset.Header{{Name: "content-type", Value: "text/html"}}, Body: []byte("<p>" + certifiedText)},
	})
}

// maxTold is more lines than a test makes a browser tell.
const maxTold = 100

// browsing runs "portico browse" and returns its port and the lines that it says after
// those about itself.
func browsing(t *testing.T, b *browser) (port string, told <-chan string) {
	t.Helper()
	ctx, stop := context.WithCancel(context.Background())
	r, w := io.Pipe()
	lines := make(chan string, maxTold)
	ended := make(chan error, 1)
	go func() {
		err := b.run(ctx, w)
		w.Close()
		ended <- err
	}()
	go func() {
		defer close(lines)
		for in := bufio.NewScanner(r); in.Scan(); {
			lines <- in.Text()
		}
	}()
	t.Cleanup(func() {
		stop()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
	intro := ""
	for !strings.Contains(intro, "Every refusal") {
		line, ok := <-lines
		if !ok {
			t.Fatalf("it ended after %q", intro)
		}
		intro += line + "\n"
	}
	m := regexp.MustCompile(`http://<canister>\.localhost:(\d+)/`).FindStringSubmatch(intro)
	if m == nil {
		t.Fatalf("no address in %q", intro)
	}
	return m[1], lines
}

// visit asks for a page like a browser that resolves *.localhost itself.
func visit(t *testing.T, port, name, path string) (status int, body string) {
	t.Helper()
	req, err := http.NewRequest(http.MethodGet, "http://127.0.0.1:"+port+path, nil)
	if err != nil {
		t.Fatal(err)
	}
	req.Host = name + ".localhost:" + port
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp.StatusCode, string(b)
}

func TestBrowseShowsTheHonestPageAndRefusesALyingNetwork(t *testing.T) {
	site := honestSite("browse")
	var mark atomic.Pointer[string]
	site.Replica.Tamper = func(_ string, status int, body []byte) (int, []byte, error) {
		if m := mark.Load(); m != nil {
			body, _ = testsite.Flip(body, []byte(*m))
		}
		return status, body, nil
	}
	replica := httptest.NewServer(site)
	t.Cleanup(replica.Close)
	b := &browser{network: replica.URL, rootKey: hex.EncodeToString(site.RootKey()), aliases: list{"shop=" + site.Web().String()}}
	port, told := browsing(t, b)
	for _, name := range []string{site.Web().String(), "shop"} {
		if status, body := visit(t, port, name, "/"); status != 200 || !strings.Contains(body, certifiedText) {
			t.Fatalf("%s: status %d: %s", name, status, body)
		}
	}
	lie := "a page that was certif"
	mark.Store(&lie)
	status, body := visit(t, port, "shop", "/")
	if status != http.StatusServiceUnavailable || strings.Contains(body, "a page that") {
		t.Fatalf("a changed page came with status %d: %s", status, body)
	}
	if line := <-told; !strings.Contains(line, "Verification failed") || !strings.Contains(line, "shop.localhost") {
		t.Errorf("the refusal was told as %q", line)
	}
	if status, _ := visit(t, port, site.Web().String()+".raw", "/"); status != http.StatusForbidden {
		t.Errorf("a raw name, which nobody verifies, was answered with status %d", status)
	}
}

// The lying gateway serves another page than the canister's, and passes the API on, since all
// of its lies there would be found out.
func TestBrowseGoesPastALyingGateway(t *testing.T) {
	site := honestSite("browse")
	replica := httptest.NewServer(site)
	t.Cleanup(replica.Close)
	inner, err := gateway.New(gateway.Config{Domains: []string{"localhost"}, Replicas: []string{replica.URL}, RootKey: site.RootKey()})
	if err != nil {
		t.Fatal(err)
	}
	liar := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if !strings.HasPrefix(r.URL.Path, "/api/") {
			fmt.Fprint(w, "a page that nobody certified")
			return
		}
		inner.ServeHTTP(w, r)
	}))
	t.Cleanup(liar.Close)
	port, _ := browsing(t, &browser{network: liar.URL, rootKey: hex.EncodeToString(site.RootKey())})
	if status, body := visit(t, port, site.Web().String(), "/"); status != 200 || !strings.Contains(body, certifiedText) {
		t.Fatalf("status %d: %s", status, body)
	}
}

func TestBrowseBelievesNoOtherNetworksKey(t *testing.T) {
	replica := httptest.NewServer(honestSite("an impostor"))
	t.Cleanup(replica.Close)
	site := honestSite("browse")
	port, told := browsing(t, &browser{network: replica.URL, rootKey: hex.EncodeToString(site.RootKey())})
	if status, body := visit(t, port, site.Web().String(), "/"); status != http.StatusServiceUnavailable || strings.Contains(body, certifiedText) {
		t.Errorf("status %d: %s", status, body)
	}
	if line := <-told; !strings.Contains(line, "Verification failed") {
		t.Errorf("the refusal was told as %q", line)
	}
}

func TestBrowseTakesItsKeyFromNowhereButThePersonOrTheProgram(t *testing.T) {
	der := honestSite("browse").RootKey()
	dir := t.TempDir()
	write := func(name string, b []byte) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, b, 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	write("status.json", fmt.Appendf(nil, `{"v":"1","gateway_port":4943,"root_key":"%x"}`, der))
	for name, b := range map[string]*browser{
		"hex":         {rootKey: hex.EncodeToString(der), network: "http://127.0.0.1:1"},
		"DER":         {rootKey: write("key.der", der), network: "http://127.0.0.1:1"},
		"PEM":         {rootKey: write("key.pem", pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der})), network: "http://127.0.0.1:1"},
		"hex file":    {rootKey: write("key.hex", fmt.Appendf(nil, "%x\n", der)), network: "http://127.0.0.1:1"},
		"status.json": {statusDir: dir},
	} {
		key, urls, err := b.trust()
		if err != nil || !bytes.Equal(key.der, der) || len(urls) != 1 {
			t.Errorf("%s: key %x, replicas %v, error %v", name, key.der, urls, err)
		}
	}
	if key, urls, err := new(browser).trust(); err != nil || hex.EncodeToString(key.der) != mainnetRootKey || len(urls) != 1 || urls[0] != mainnetURL {
		t.Errorf("without flags: %v at %v, error %v", key.origin, urls, err)
	}
	for _, b := range []*browser{
		{network: "http://127.0.0.1:8000"},
		{network: "http://x.localhost:8000"},
		{replicas: "https://icp-api.io, http://[::1]:1"},
		{rootKey: "abcd"},
		{rootKey: filepath.Join(dir, "absent")},
		{rootKey: hex.EncodeToString(der), statusDir: dir},
		{network: "https://a.example", replicas: "https://b.example"},
		{statusDir: filepath.Join(dir, "absent")},
	} {
		if key, urls, err := b.trust(); err == nil {
			t.Errorf("%+v trusts the key %s for %v", b, key.origin, urls)
		}
	}
}
