package gateway

import (
	"bufio"
	"context"
	"io"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"portico/gateway/front"
	"portico/gateway/host"
	"portico/gateway/testsite"
	"portico/lightclient/asset"
)

// bodyTimeout is how long a request may take to arrive, short enough to be waited for.
const bodyTimeout = 500 * time.Millisecond

// wire starts a gateway on a real connection and gives its address.
func wire(t *testing.T, change func(*testsite.Site, *Config)) (*testsite.Site, string) {
	t.Helper()
	site, h := start(t, change)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() {
		done <- front.Serve(ctx, front.Config{Handler: h, Listener: l, Log: slog.New(slog.DiscardHandler), BodyTimeout: bodyTimeout})
	}()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
	return site, l.Addr().String()
}

// send sends bytes as they are and gives all answers, until the connection ends or
// n of them came.
func send(t *testing.T, to, request string, n int) []*http.Response {
	t.Helper()
	c, err := net.Dial("tcp", to)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if _, err := io.WriteString(c, request); err != nil {
		t.Fatal(err)
	}
	var out []*http.Response
	for r := bufio.NewReader(c); len(out) < n; {
		resp, err := http.ReadResponse(r, nil)
		if err != nil {
			break
		}
		b, _ := io.ReadAll(resp.Body)
		resp.Body = io.NopCloser(strings.NewReader(string(b)))
		out = append(out, resp)
	}
	return out
}

func TestRequestsThatTwoServersWouldReadDifferentlyAreRefused(t *testing.T) {
	site, to := wire(t, nil)
	host := site.Web().String() + ".localhost"
	for what, head := range map[string]string{
		"two lengths":                  "POST / HTTP/1.1\r\nHost: " + host + "\r\nContent-Length: 1\r\nContent-Length: 5\r\n",
		"a list of lengths":            "POST / HTTP/1.1\r\nHost: " + host + "\r\nContent-Length: 1, 5\r\n",
		"a negative length":            "POST / HTTP/1.1\r\nHost: " + host + "\r\nContent-Length: -1\r\n",
		"a signed length":              "POST / HTTP/1.1\r\nHost: " + host + "\r\nContent-Length: +5\r\n",
		"an unknown transfer encoding": "POST / HTTP/1.1\r\nHost: " + host + "\r\nTransfer-Encoding: xchunked\r\n",
		"two transfer encodings":       "POST / HTTP/1.1\r\nHost: " + host + "\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n",
		"a space before the colon":     "POST / HTTP/1.1\r\nHost: " + host + "\r\nContent-Length : 5\r\n",
		"a bare CR in a header":        "GET / HTTP/1.1\r\nHost: " + host + "\r\nX: a\rHost: evil\r\n",
		"a NUL in a header":            "GET / HTTP/1.1\r\nHost: " + host + "\r\nX: a\x00b\r\n",
		"a folded header":              "GET / HTTP/1.1\r\n Host: " + host + "\r\n",
		"two hosts":                    "GET / HTTP/1.1\r\nHost: " + host + "\r\nHost: evil.example\r\n",
		"no host":                      "GET / HTTP/1.1\r\n",
		"a space in the host":          "GET / HTTP/1.1\r\nHost: a b\r\n",
		"a person in the host":         "GET / HTTP/1.1\r\nHost: user@" + host + "\r\n",
		"a path in the host":           "GET / HTTP/1.1\r\nHost: " + host + "/x\r\n",
		"letters of all languages":     "GET / HTTP/1.1\r\nHost: b\xc3\xbccher.localhost\r\n",
		"a NUL in the path":            "GET /\x00 HTTP/1.1\r\nHost: " + host + "\r\n",
		"a space in the path":          "GET /a b HTTP/1.1\r\nHost: " + host + "\r\n",
		"an escape that is none":       "GET /%zz HTTP/1.1\r\nHost: " + host + "\r\n",
	} {
		for _, r := range send(t, to, head+"\r\nGET /smuggled HTTP/1.1\r\nHost: "+host+"\r\n\r\n", 2) {
			if r.StatusCode != 400 && r.StatusCode != 501 {
				t.Errorf("%s: status %d", what, r.StatusCode)
			}
		}
	}
	if n := site.Replica.Count("query"); n != 0 {
		t.Errorf("%d requests came as far as the canister", n)
	}
}

func TestALengthBesideChunksCountsForNothing(t *testing.T) {
	// The body ends with its chunks, and what follows is the next request: so says RFC 9112,
	// 6.3. Since every body is read whole and sent on as a message of its own, whoever
	// stands behind has nothing else to read.
	site, to := wire(t, nil)
	host := site.Web().String() + ".localhost"
	got := send(t, to, "POST /counter HTTP/1.1\r\nHost: "+host+"\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\nGET /moved HTTP/1.1\r\nHost: "+host+"\r\n\r\n", 2)
	if len(got) == 0 || got[0].StatusCode != 200 && got[0].StatusCode != 400 {
		t.Fatalf("answers %v", got)
	}
	if len(got) == 2 && got[1].StatusCode != 404 {
		t.Errorf("the second request: status %d", got[1].StatusCode)
	}
}

func TestHostsInTheRequestLineAreTheHost(t *testing.T) {
	site, to := wire(t, nil)
	web := site.Web().String() + ".localhost"
	for line, want := range map[string]int{
		"GET http://" + web + "/ HTTP/1.1\r\nHost: evil.example":           200, // RFC 9112, 3.2.2: the line goes before the header
		"GET http://evil.example/ HTTP/1.1\r\nHost: " + web:                400,
		"GET http://user:pw@" + web + "/ HTTP/1.1\r\nHost: " + web:         200, // userinfo is no part of the host
		"GET http://" + web + ":99999/ HTTP/1.1\r\nHost: " + web:           400,
		"GET / HTTP/1.1\r\nHost: " + web + ".:8000":                        200,
		"GET / HTTP/1.1\r\nHost: " + strings.ToUpper(web):                  200,
		"GET / HTTP/1.1\r\nHost: x--" + web:                                200,
		"GET / HTTP/1.1\r\nHost: xn--" + web:                               200, // a prefix like any other
		"GET / HTTP/1.1\r\nHost: " + web + "..":                            400,
		"GET / HTTP/1.1\r\nHost: " + web + ":port":                         400,
		"GET / HTTP/1.1\r\nHost: " + web + "%00":                           400,
		"GET / HTTP/1.1\r\nHost: [::1]:8000":                               200,
		"GET / HTTP/1.1\r\nHost: [::1%25eth0]":                             400,
		"GET / HTTP/1.1\r\nHost: 127.1":                                    400,
		"GET / HTTP/1.1\r\nHost: a." + web:                                 400,
		"OPTIONS * HTTP/1.1\r\nHost: " + web:                               200,
		"CONNECT evil.example:443 HTTP/1.1\r\nHost: evil.example:443":      400,
		"GET //evil.example/ HTTP/1.1\r\nHost: " + web:                     404,
		"GET /\\evil.example HTTP/1.1\r\nHost: " + web:                     404,
		"GET http://localhost/?canisterId=aaaaa HTTP/1.1\r\nHost: x":       400,
		"GET /?canisterId=aaaaa-aa HTTP/1.1\r\nHost: " + web:               200, // the host goes before the parameter
		"GET /?canisterId=a&canisterId=b HTTP/1.1\r\nHost: localhost":      400,
		"GET / HTTP/1.1\r\nHost: localhost\r\nReferer: http://x/?%zz":      200,
		"GET / HTTP/1.1\r\nHost: localhost\r\nX-Forwarded-Host: " + web:    200, // the home page: nobody's word but the request's counts
		"GET / HTTP/1.1\r\nHost: evil.example\r\nX-Forwarded-Host: " + web: 400,
	} {
		got := send(t, to, line+"\r\n\r\n", 1)
		if len(got) != 1 || got[0].StatusCode != want {
			t.Errorf("%q: %v, want status %d", line, got, want)
		}
	}
}

func TestPathsReachTheCanisterAsTheyCame(t *testing.T) {
	site, to := wire(t, func(s *testsite.Site, _ *Config) {
		s.Pages["/../secret"] = testsite.Page{Body: []byte("up")}
		s.Pages["//api/v2/status"] = testsite.Page{Body: []byte("two slashes")}
	})
	host := site.Web().String() + ".localhost"
	for path, want := range map[string]string{
		"/../secret": "up", "//api/v2/status": "two slashes",
	} {
		got := send(t, to, "GET "+path+" HTTP/1.1\r\nHost: "+host+"\r\n\r\n", 1)
		if len(got) != 1 || got[0].StatusCode != 200 || text(t, got[0]) != want {
			t.Errorf("%s: %v", path, got)
		}
	}
	for _, path := range []string{
		"/api/v2/../v3/status", "/api/%2e%2e/x", "/api%2fv2%2fstatus", "/api/v2/status/", "/api/v2/status%00", "/api/v2/canister/aaaaa-aa/query/", "/api/v2/canister//query",
		"/api/v3/canister/aaaaa-aa/%71uery", "/api/v4/canister/aaaaa-aa/query", "/api/v1/status", "/api/", "/api/v5/canister/aaaaa-aa/call", "/api/v2/subnet/aaaaa-aa/query",
		"/_portico/../api/v2/status", "/_portico/%2e%2e/x",
	} {
		got := send(t, to, "GET "+path+" HTTP/1.1\r\nHost: "+host+"\r\n\r\n", 1)
		if len(got) != 1 || got[0].StatusCode != 404 {
			t.Errorf("%s: %v, want 404", path, got)
		}
	}
	for _, path := range []string{"/api/v3/canister/..%2f..%2fstatus/query", "/api/v3/canister/aaaaa-aa%00/query", "/api/v3/canister/aaaaa-ab/query", "/api/v3/subnet/x/read_state"} {
		got := send(t, to, "POST "+path+" HTTP/1.1\r\nHost: "+host+"\r\nContent-Length: 0\r\n\r\n", 1)
		if len(got) != 1 || got[0].StatusCode != 400 || !strings.HasPrefix(text(t, got[0]), "Not a principal") {
			t.Errorf("%s: %v, want 400", path, got)
		}
	}
}

func TestTheGatewaysWordIsNotTheCanisters(t *testing.T) {
	site, h := start(t, func(s *testsite.Site, c *Config) {
		p := s.Pages["/own"]
		for name, value := range map[string]string{
			"x-request-id": "forged", "x-ic-canister-id": "aaaaa-aa", "x-ic-node-id": "forged", "x-ic-subnet-id": "forged", "x-ic-error-cause": "none",
		} {
			p.Headers = append(p.Headers, asset.Header{Name: name, Value: value})
		}
		s.Pages["/own"] = p
		c.Aliases = host.Fixed{"shop.example": s.Web()}
	})
	r := ask(h, "GET http://shop.example/own")
	if v := r.Header.Values("X-Ic-Canister-Id"); len(v) != 1 || v[0] != site.Web().String() {
		t.Errorf("the canister is called %q", v)
	}
	if v := r.Header.Values("X-Request-Id"); len(v) != 1 || v[0] == "forged" {
		t.Errorf("the request is called %q", v)
	}
	for _, name := range []string{"X-Ic-Node-Id", "X-Ic-Subnet-Id", "X-Ic-Error-Cause"} {
		if v := r.Header.Get(name); v != "" {
			t.Errorf("%s: %s", name, v)
		}
	}
}

func TestWhatIsTooMuchIsShedUntilThereIsRoom(t *testing.T) {
	asked, release := make(chan struct{}, 1), make(chan struct{})
	site, h := start(t, func(s *testsite.Site, c *Config) {
		c.Limits.InFlight = 1
		s.Replica.Tamper = func(_ string, status int, body []byte) (int, []byte, error) {
			select {
			case asked <- struct{}{}:
			default:
			}
			<-release
			return status, body, nil
		}
	})
	page := "GET http://" + site.Web().String() + ".localhost/"
	first := make(chan int, 1)
	go func() { first <- ask(h, page).StatusCode }()
	<-asked
	for _, url := range []string{page, "GET http://localhost/api/v2/status"} {
		if r := ask(h, url); r.StatusCode != 503 || r.Header.Get("Retry-After") != "1" || !strings.HasPrefix(text(t, r), "Gateway busy") {
			t.Errorf("%s beyond the bound: status %d, %v", url, r.StatusCode, r.Header)
		}
	}
	close(release)
	if got := <-first; got != 200 {
		t.Errorf("within the bound: status %d", got)
	}
	if r := ask(h, page); r.StatusCode != 200 {
		t.Errorf("afterwards: status %d", r.StatusCode)
	}
}

func TestBodiesThatDoNotComeAreNotWaitedFor(t *testing.T) {
	site, to := wire(t, nil)
	host := site.Web().String() + ".localhost"
	for _, path := range []string{"/", "/api/v3/canister/aaaaa-aa/query"} {
		got := send(t, to, "POST "+path+" HTTP/1.1\r\nHost: "+host+"\r\nContent-Length: 100\r\n\r\nhalf", 1)
		if len(got) != 1 || got[0].StatusCode != 408 || !strings.HasPrefix(text(t, got[0]), "Request too slow") {
			t.Errorf("%s: %v, want 408", path, got)
		}
	}
	if n := site.Replica.Count("query"); n != 0 {
		t.Errorf("%d half requests came as far as the canister", n)
	}
}
