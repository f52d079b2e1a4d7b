package front

import (
	"bufio"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

func listen(t *testing.T) net.Listener {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	return l
}

// start serves until the test ends and gives the address.
func start(t *testing.T, cfg Config) string {
	t.Helper()
	if cfg.Listener == nil {
		cfg.Listener = listen(t)
	}
	if cfg.Handler == nil {
		cfg.Handler = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			body, err := io.ReadAll(r.Body)
			if err != nil {
				w.WriteHeader(http.StatusRequestTimeout)
				return
			}
			_, _ = io.WriteString(w, r.Proto+" "+r.Host+" "+string(body))
		})
	}
	cfg.Log = slog.New(slog.DiscardHandler)
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- Serve(ctx, cfg) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
	return cfg.Listener.Addr().String()
}

// write makes a certificate in two files.
func write(t *testing.T, i *issuer, dir string, names ...string) Pair {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	p := Pair{filepath.Join(dir, names[0]+".pem"), filepath.Join(dir, names[0]+".key")}
	for path, b := range map[string][]byte{p.Certificate: i.issue(t, &key.PublicKey, names...), p.Key: pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der})} {
		if err := os.WriteFile(path, b, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return p
}

// client finds all hosts at one address.
func client(t *testing.T, i *issuer, to string) *http.Client {
	t.Helper()
	transport := &http.Transport{
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			return (&net.Dialer{}).DialContext(ctx, "tcp", to)
		},
		ForceAttemptHTTP2: true,
	}
	if i != nil {
		transport.TLSClientConfig = &tls.Config{RootCAs: i.pool()}
	}
	t.Cleanup(transport.CloseIdleConnections)
	return &http.Client{Transport: transport, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
}

func get(c *http.Client, url string) (*http.Response, string, error) {
	resp, err := c.Get(url)
	if err != nil {
		return nil, "", err
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	return resp, string(b), err
}

func TestCertificatesComeFromFilesAndHTTP2IsSpoken(t *testing.T) {
	i, dir := newIssuer(t), t.TempDir()
	certificates, err := NewCertificates([]Pair{write(t, i, dir, "a.example", "*.a.example"), write(t, i, dir, "b.example")}, nil, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	c := client(t, i, start(t, Config{Certificates: certificates}))
	for _, host := range []string{"a.example", "x.a.example", "b.example"} {
		if resp, text, err := get(c, "https://"+host+"/"); err != nil || resp.ProtoMajor != 2 || !strings.HasPrefix(text, "HTTP/2.0 "+host) {
			t.Errorf("%s: %q, %v", host, text, err)
		}
	}
	var wrong *tls.CertificateVerificationError
	if _, _, err := get(c, "https://c.example/"); !errors.As(err, &wrong) {
		t.Errorf("a host without certificate: %v", err)
	}
}

func TestRenewedCertificatesAreUsedAtOnce(t *testing.T) {
	i, dir := newIssuer(t), t.TempDir()
	pair := write(t, i, dir, "a.example")
	certificates, err := NewCertificates([]Pair{pair}, nil, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	to := start(t, Config{Certificates: certificates})
	serial := func() string {
		t.Helper()
		conn, err := tls.Dial("tcp", to, &tls.Config{RootCAs: i.pool(), ServerName: "a.example"})
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		return conn.ConnectionState().PeerCertificates[0].SerialNumber.String()
	}
	first := serial()
	old, err := os.ReadFile(pair.Certificate)
	if err != nil {
		t.Fatal(err)
	}
	write(t, i, dir, "a.example")
	renewed := serial()
	if renewed == first {
		t.Fatal("the old certificate is still in use")
	}
	if err := os.WriteFile(pair.Certificate, old, 0o600); err != nil { // does not go with the key
		t.Fatal(err)
	}
	if got := serial(); got != renewed {
		t.Errorf("with files that do not belong together: certificate %s, want %s", got, renewed)
	}
}

func TestFilesThatAreNoCertificateAreRefused(t *testing.T) {
	i, dir := newIssuer(t), t.TempDir()
	a, b := write(t, i, dir, "a.example"), write(t, i, dir, "b.example")
	for what, p := range map[string]Pair{"absent": {"x", "y"}, "another's key": {a.Certificate, b.Key}, "exchanged": {a.Key, a.Certificate}} {
		if _, err := NewCertificates([]Pair{p}, nil, nil); err == nil || !strings.Contains(err.Error(), "certificate "+p.Certificate) {
			t.Errorf("%s: %v", what, err)
		}
	}
	if _, err := NewCertificates(nil, nil, nil); err == nil {
		t.Error("no certificate at all passes")
	}
}

func TestAnAuthorityGivesCertificatesForAllowedNames(t *testing.T) {
	a := newAuthority(t)
	certificates, err := NewCertificates(nil, &Authority{
		Directory: a.server.URL + "/", CacheDir: t.TempDir(), Client: a.server.Client(),
		Allowed: func(_ context.Context, host string) error {
			if host != "shop.example" {
				return errors.New("not ours")
			}
			return nil
		},
	}, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	l := listen(t)
	a.front = l.Addr().String()
	c := client(t, a.issuer, start(t, Config{Certificates: certificates, Listener: l}))
	for range 2 {
		resp, text, err := get(c, "https://shop.example/")
		if err != nil || resp.ProtoMajor != 2 || !strings.HasPrefix(text, "HTTP/2.0 shop.example") {
			t.Fatalf("%q, %v", text, err)
		}
	}
	if _, _, err := get(c, "https://evil.example/"); err == nil {
		t.Error("a name that is not allowed has a certificate")
	}
	if a.mu.Lock(); len(a.names) != 1 || a.names[0] != "shop.example" {
		t.Errorf("ordered: %v", a.names)
	}
	a.mu.Unlock()
}

func TestThoseWhoComeByHTTPAreSentToHTTPS(t *testing.T) {
	i, dir := newIssuer(t), t.TempDir()
	certificates, err := NewCertificates([]Pair{write(t, i, dir, "a.example")}, nil, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	plain := listen(t)
	_, tlsPort, _ := net.SplitHostPort(start(t, Config{Certificates: certificates, Plain: plain}))
	c := client(t, nil, plain.Addr().String())
	resp, _, err := get(c, "http://A.example:80/x%2Fy?z=1")
	if err != nil || resp.StatusCode != 308 || resp.Header.Get("Location") != "https://a.example:"+tlsPort+"/x%2Fy?z=1" {
		t.Errorf("%v, %v", resp, err)
	}
	for host, want := range map[string]string{"a.example": "https://a.example/", "[::1]:80": "https://[::1]/"} {
		w := httptest.NewRecorder()
		r := httptest.NewRequest("GET", "/", nil)
		r.Host = host
		toHTTPS(443).ServeHTTP(w, r)
		if got := w.Header().Get("Location"); got != want {
			t.Errorf("%s goes to %s", host, got)
		}
	}
	if answer := raw(t, plain.Addr().String(), "GET / HTTP/1.1\r\nHost: a_b..c\r\n\r\n"); !strings.HasPrefix(answer, "HTTP/1.1 400 ") {
		t.Errorf("a host that is none: %q", answer)
	}
}

// raw sends bytes and gives the first line of the answer, "" if the connection ended without one.
func raw(t *testing.T, to, request string) string {
	t.Helper()
	c, err := net.Dial("tcp", to)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if _, err := io.WriteString(c, request); err != nil {
		return ""
	}
	line, err := bufio.NewReader(c).ReadString('\n')
	if err != nil && line != "" {
		t.Errorf("half an answer %q: %v", line, err)
	}
	return strings.TrimSpace(line)
}

func TestSlowClientsAreNotWaitedFor(t *testing.T) {
	to := start(t, Config{BodyTimeout: 200 * time.Millisecond})
	for what, c := range map[string]struct{ request, want string }{
		"no head":     {"GET / HTTP/1.1\r\nHost: a.example\r\n", ""},
		"no body":     {"POST / HTTP/1.1\r\nHost: a.example\r\nContent-Length: 10\r\n\r\n12345", "HTTP/1.1 408 Request Timeout"},
		"no chunk":    {"POST / HTTP/1.1\r\nHost: a.example\r\nTransfer-Encoding: chunked\r\n\r\n5\r\n12", "HTTP/1.1 408 Request Timeout"},
		"a long head": {"GET / HTTP/1.1\r\nHost: a.example\r\nX: " + strings.Repeat("x", maxHeaderBytes+8192) + "\r\n\r\n", "HTTP/1.1 431 Request Header Fields Too Large"},
	} {
		if got := raw(t, to, c.request); got != c.want {
			t.Errorf("%s: %q, want %q", what, got, c.want)
		}
	}
}

func TestConnectionsOfOneAddressAreBounded(t *testing.T) {
	to := start(t, Config{MaxPerAddress: 2})
	const request = "GET / HTTP/1.1\r\nHost: a.example\r\n\r\n"
	var open []net.Conn
	for range 2 {
		c, err := net.Dial("tcp", to)
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		if _, err := io.WriteString(c, request); err != nil {
			t.Fatal(err)
		}
		if _, err := bufio.NewReader(c).ReadString('\n'); err != nil {
			t.Fatal(err)
		}
		open = append(open, c)
	}
	if got := raw(t, to, request); got != "" {
		t.Errorf("a third connection is answered: %q", got)
	}
	_ = open[0].Close()
	for deadline := time.Now().Add(5 * time.Second); raw(t, to, request) == ""; {
		if time.Now().After(deadline) {
			t.Fatal("the place of a closed connection stays taken")
		}
	}
}

func TestConnectionsBeyondTheBoundWaitForAPlace(t *testing.T) {
	to := start(t, Config{MaxConnections: 1})
	first, err := net.Dial("tcp", to)
	if err != nil {
		t.Fatal(err)
	}
	answered := make(chan string, 1)
	// The first connection has the place from when it was accepted, which its answer shows.
	if _, err := io.WriteString(first, "GET / HTTP/1.1\r\nHost: a.example\r\n\r\n"); err != nil {
		t.Fatal(err)
	}
	if _, err := bufio.NewReader(first).ReadString('\n'); err != nil {
		t.Fatal(err)
	}
	go func() { answered <- raw(t, to, "GET / HTTP/1.1\r\nHost: a.example\r\n\r\n") }()
	select {
	case got := <-answered:
		t.Errorf("a second connection is answered beside the first: %q", got)
	case <-time.After(50 * time.Millisecond):
	}
	_ = first.Close()
	if got := <-answered; got != "HTTP/1.1 200 OK" {
		t.Errorf("after the first ended: %q", got)
	}
}

func TestMetricsHaveADoorOfTheirOwn(t *testing.T) {
	admin := listen(t)
	figures := http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "figures") })
	to := start(t, Config{Admin: admin, Metrics: figures})
	if _, text, err := get(client(t, nil, admin.Addr().String()), "http://x/metrics"); err != nil || text != "figures" {
		t.Errorf("%q, %v", text, err)
	}
	if _, text, err := get(client(t, nil, to), "http://x/metrics"); err != nil || text == "figures" {
		t.Errorf("the front answers with %q, %v", text, err)
	}
}
