package main

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"io"
	"math/big"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"portico/gateway/testsite"
	"portico/lightclient/asset"
	"portico/node/config"
)

// lines is a log that a test may read while it is written.
type lines struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *lines) Write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(b)
}

func (l *lines) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

// certificate makes a certificate for localhost and all below it, in two files.
func certificate(t *testing.T, dir string) *x509.CertPool {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), DNSNames: []string{"gateway.test", "*.gateway.test"}, NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	secret, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	for name, block := range map[string]*pem.Block{"c.pem": {Type: "CERTIFICATE", Bytes: der}, "c.key": {Type: "PRIVATE KEY", Bytes: secret}} {
		if err := os.WriteFile(filepath.Join(dir, name), pem.EncodeToMemory(block), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	parsed, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	pool := x509.NewCertPool()
	pool.AddCert(parsed)
	return pool
}

// gatewayFromFile starts a gateway as "portico gateway" does. Stop waits for what it is doing.
func gatewayFromFile(t *testing.T, site *testsite.Site, dir, text string, log io.Writer) (client *http.Client, stop func()) {
	t.Helper()
	replica := httptest.NewServer(site)
	t.Cleanup(replica.Close)
	path := filepath.Join(dir, "gateway.toml")
	text = "listen = \"127.0.0.1:0\"\nreplicas = [\"" + replica.URL + "\"]\nroot_key_file = \"root.der\"\n" + text
	for name, b := range map[string]string{path: text, filepath.Join(dir, "root.der"): string(site.RootKey())} {
		if err := os.WriteFile(name, []byte(b), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	cfg, err := config.LoadGateway(path)
	if err != nil {
		t.Fatal(err)
	}
	g := gatewayConfig{replicas: cfg.Replicas, rootKey: site.RootKey(), domains: cfg.Domains}
	if g.operation, err = operationOf(cfg, log); err != nil {
		t.Fatal(err)
	}
	if g.listener, err = net.Listen("tcp", cfg.Listen); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- runGateway(ctx, g) }()
	stop = sync.OnceFunc(func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
	t.Cleanup(stop)
	address := g.listener.Addr().String()
	return &http.Client{Transport: &http.Transport{
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			return (&net.Dialer{}).DialContext(ctx, "tcp", address)
		},
		TLSClientConfig: &tls.Config{RootCAs: certificate(t, t.TempDir())}, ForceAttemptHTTP2: true,
	}}, stop
}

func newSite() *testsite.Site {
	return testsite.New("node", map[string]testsite.Page{
		"/": {Headers: []asset.Header{{Name: "content-type", Value: "text/html"}}, Body: []byte("certified")},
	})
}

func open(t *testing.T, c *http.Client, url string) (*http.Response, string) {
	t.Helper()
	resp, err := c.Get(url)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp, string(b)
}

func TestAGatewaySpeaksHTTPSWithACertificateFromItsFile(t *testing.T) {
	site, dir := newSite(), t.TempDir()
	pool := certificate(t, dir)
	c, _ := gatewayFromFile(t, site, dir, `domains = ["gateway.test"]
certificates = [{ certificate_file = "c.pem", key_file = "c.key" }]
`, io.Discard)
	c.Transport.(*http.Transport).TLSClientConfig.RootCAs = pool
	resp, text := open(t, c, "https://"+site.Web().String()+".gateway.test/")
	if text != "certified" || resp.ProtoMajor != 2 || resp.Header.Get("Strict-Transport-Security") != "max-age=31536000" {
		t.Errorf("%s %q, %v", resp.Proto, text, resp.Header)
	}
}

func TestAGatewayWritesOneLineForEachRequest(t *testing.T) {
	site, dir, log := newSite(), t.TempDir(), &lines{}
	denied := site.Mute().String()
	if err := os.WriteFile(filepath.Join(dir, "denied.txt"), []byte(denied+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	c, stop := gatewayFromFile(t, site, dir, "access_log = \"-\"\ndeny_file = \"denied.txt\"\n", log)
	web := site.Web().String()
	for _, host := range []string{web, web + ".raw", denied} {
		resp, _ := open(t, c, "http://"+host+".localhost/?secret=1")
		if resp.Header.Get("Strict-Transport-Security") != "" {
			t.Error("HTTP says that HTTPS is there")
		}
	}
	c.CloseIdleConnections()
	stop()
	type line struct {
		ID, Host, Path, Kind, Canister, Answer, Problem, Address string
		Status, Bytes                                            int
	}
	var got []line
	for text := range strings.Lines(log.String()) {
		var l line
		if err := json.Unmarshal([]byte(text), &l); err != nil {
			t.Fatalf("%v in %s", err, text)
		}
		if len(l.ID) != 36 || l.Address != "127.0.0.1" || l.Path != "/" || strings.Contains(text, "secret") {
			t.Errorf("%s", text)
		}
		l.ID, l.Address, l.Path = "", "", ""
		got = append(got, l)
	}
	want := []line{
		{Host: web + ".localhost", Kind: "http", Canister: web, Answer: "verified", Status: 200, Bytes: 9},
		{Host: web + ".raw.localhost", Kind: "http", Canister: web, Answer: "raw", Status: 200, Bytes: 9},
		{Host: denied + ".localhost", Kind: "refused", Canister: denied, Problem: "denylisted", Status: 451, Bytes: 16},
	}
	for i := range want {
		if i >= len(got) || got[i] != want[i] {
			t.Errorf("line %d of %d: %+v", i, len(got), got)
			break
		}
	}
}
