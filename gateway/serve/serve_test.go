package serve

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"portico/gateway/host"
	"portico/lightclient"
	"portico/lightclient/asset"
	"portico/lightclient/principal"
)

// parts is a canister whose body comes in verified parts, then ends with err.
type parts struct {
	length string // the Content-Length header, or none
	rest   []string
	err    error
	got    *asset.Request
}

func (p *parts) HTTPRequest(_ context.Context, _ principal.ID, req *asset.Request, _ lightclient.HTTPOptions) (*lightclient.HTTPResponse, error) {
	p.got = req
	resp := &lightclient.HTTPResponse{Status: 200, Headers: []asset.Header{{Name: "connection", Value: "x"}}, Body: []byte("ab")}
	if p.length != "" {
		resp.Headers = append(resp.Headers, asset.Header{Name: "content-length", Value: p.length})
	}
	resp.Next = func(context.Context) ([]byte, error) {
		if len(p.rest) == 0 {
			return nil, p.err
		}
		next := p.rest[0]
		p.rest = p.rest[1:]
		return []byte(next), nil
	}
	return resp, nil
}

const (
	name = "rwlgt-iiaaa-aaaaa-aaaaa-cai.localhost"
	path = "/a%20b?x=1&_portico=off&y=%2F"
)

func answer(t *testing.T, method string, p *parts) (*http.Response, string, error) {
	t.Helper()
	return answerTo(t, method, path, p)
}

func answerTo(t *testing.T, method, path string, p *parts) (*http.Response, string, error) {
	t.Helper()
	h := New(Deps{Resolver: &host.Resolver{Domains: []string{"localhost"}}, Canisters: p, Log: slog.New(slog.DiscardHandler)})
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		r.Host = name
		h.ServeHTTP(w, r)
	}))
	defer s.Close()
	s.Config.ErrorLog = slog.NewLogLogger(slog.DiscardHandler, slog.LevelError)
	req, err := http.NewRequest(method, s.URL+path, nil)
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("X-Request-Id", "mine")
	req.Header.Set("Accept-Encoding", "br")
	req.Header.Set("Cookie", "a=b")
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return nil, "", err
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	return resp, string(body), err
}

func TestPartsOfABodyFollowEachOther(t *testing.T) {
	p := &parts{length: "6", rest: []string{"cd", "ef"}, err: io.EOF}
	resp, body, err := answer(t, "GET", p)
	if err != nil {
		t.Fatal(err)
	}
	if body != "abcdef" || resp.ContentLength != 6 || resp.Header.Get("Connection") != "" {
		t.Errorf("%q, length %d, %v", body, resp.ContentLength, resp.Header)
	}
}

func TestABodyWhosePartIsRefusedIsCutOff(t *testing.T) {
	if _, body, err := answer(t, "GET", &parts{rest: []string{"cd"}, err: errors.New("refused")}); err == nil {
		t.Errorf("the beginning %q was passed off as the whole", body)
	}
}

func TestCanistersGetTheRequestAsItCame(t *testing.T) {
	for method, want := range map[string]string{"GET": "GET", "POST": "POST", "HEAD": "GET"} {
		p := &parts{rest: []string{"cdef"}, err: io.EOF}
		if _, _, err := answer(t, method, p); err != nil {
			t.Fatal(err)
		}
		if p.got.Method != want || p.got.URL != "/a%20b?x=1&y=%2F" {
			t.Errorf("%s: %s %s", method, p.got.Method, p.got.URL)
		}
		headers := map[string]string{}
		for _, h := range p.got.Headers {
			headers[h.Name] = h.Value
		}
		for header, want := range map[string]string{
			"host": name, "accept-encoding": "br, identity", "cookie": "a=b", "x-request-id": "",
		} {
			if headers[header] != want {
				t.Errorf("%s: %s: %q, want %q", method, header, headers[header], want)
			}
		}
	}
}

func TestPathsReachTheCanisterAsTheyCame(t *testing.T) {
	for _, path := range []string{
		"/%2e%2e/api/v2/status", "/a%2Fb", "/x%00y", "/../secret", "//api/v2/status", "/a;b=c?d;e", "/%5cevil", "/?", "/a%0d%0ab",
		"/api%20/v2/status", "/API/v2/status", "/.well-known/ic-domains", "/a/./b//c", "/?canisterId=aaaaa-aa&x",
	} {
		p := &parts{err: io.EOF}
		if _, _, err := answerTo(t, "GET", path, p); err != nil {
			t.Fatal(err)
		}
		if want := strings.TrimSuffix(path, "?"); p.got == nil || p.got.URL != want {
			t.Errorf("%s: %+v", path, p.got)
		}
	}
}
