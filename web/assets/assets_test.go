package main

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"

	"github.com/tetratelabs/wazero"

	"portico/lightclient/asset"
	"portico/lightclient/bls"
	"portico/lightclient/candid/marshal"
	"portico/lightclient/certificate"
	"portico/lightclient/fakenet"
	"portico/lightclient/principal"
	"portico/node/cdk/cdktest"
	"portico/node/cdk/link"
)

var (
	build       = sync.OnceValues(func() ([]byte, error) { return link.Build(".", "assets.did") })
	machineCode = sync.OnceValue(wazero.NewCompilationCache)
	owner       = principal.SelfAuthenticating([]byte("owner"))
	stranger    = principal.SelfAuthenticating([]byte("stranger"))
)

// canister is an installed asset canister on a network that certifies its data.
type canister struct {
	*cdktest.Canister
	t        *testing.T
	verifier *asset.Verifier
}

func install(t *testing.T, args ...any) *canister {
	t.Helper()
	if testing.Short() {
		t.Skip("compiles a canister twice: to WebAssembly and to machine code")
	}
	wasm, err := build()
	if err != nil {
		t.Fatal(err)
	}
	c, err := cdktest.New(machineCode())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := c.Close(); err != nil {
			t.Error(err)
		}
	})
	net := fakenet.New("assets")
	c.RootKey, c.Controllers = net.RootKey(), []principal.ID{owner}
	c.Certify = func(data []byte) []byte { return net.CertifyData(c.Now.Std(), c.Self, [32]byte(data)) }
	if err := c.Install(wasm, encode(t, args...), owner); err != nil {
		t.Fatal(err)
	}
	v := &asset.Verifier{
		Certificates:  &certificate.Verifier{RootKey: net.RootKey(), BLS: bls.NewVerifier().Verify},
		AllowVersion1: func(principal.ID) error { return nil },
	}
	return &canister{c, t, v}
}

func (c *canister) upgrade() {
	c.t.Helper()
	wasm, _ := build()
	if err := c.Upgrade(wasm, nil, owner); err != nil {
		c.t.Fatal(err)
	}
}

func encode(t testing.TB, values ...any) []byte {
	t.Helper()
	b, err := marshal.Encode(values...)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// do calls an update method and decodes what it returns.
func (c *canister) do(method string, arg any, results ...any) {
	c.t.Helper()
	if err := c.try(owner, method, arg, results...); err != nil {
		c.t.Fatalf("%s: %v", method, err)
	}
}

func (c *canister) try(as principal.ID, method string, arg any, results ...any) error {
	c.t.Helper()
	b, err := c.Update(as, method, encode(c.t, arg), nil)
	if err != nil {
		return err
	}
	return marshal.Decode(b, results...)
}

func (c *canister) ask(method string, arg any, results ...any) error {
	c.t.Helper()
	b, err := c.Query(stranger, method, encode(c.t, arg))
	if err != nil {
		return err
	}
	return marshal.Decode(b, results...)
}

func (c *canister) store(key, contentType, text string) {
	c.t.Helper()
	c.do("store", storeArg{Key: key, ContentType: contentType, Encoding: "identity", Content: []byte(text)})
}

// get requests a URL by version 2, fetches the rest of long bodies, and verifies
// everything. A body that came in pieces nobody asked for has the status 200, as
// gateways answer then.
func (c *canister) get(url string, headers ...string) (*httpResponse, error) {
	c.t.Helper()
	two := uint16(2)
	req := httpRequest{Method: "GET", URL: url, CertificateVersion: &two}
	for i := 0; i < len(headers); i += 2 {
		req.Headers = append(req.Headers, headerField{headers[i], headers[i+1]})
	}
	resp, err := c.request(req)
	if err != nil || resp.Status != 206 || resp.header("content-range") == "" || strings.Contains(strings.ToLower(strings.Join(headers, " ")), "range") {
		return resp, err
	}
	var total int
	if _, err := fmt.Sscanf(resp.header("content-range"), fmt.Sprintf("bytes 0-%d/%%d", len(resp.Body)-1), &total); err != nil {
		c.t.Fatal(err)
	}
	plain := req.Headers
	for len(resp.Body) < total {
		req.Headers = append(plain[:len(plain):len(plain)], headerField{"Range", rangeFrom(uint64(len(resp.Body)))})
		more, err := c.request(req)
		if err != nil {
			return nil, err
		}
		resp.Body = append(resp.Body, more.Body...)
	}
	resp.Status = 200
	return resp, nil
}

func (c *canister) request(req httpRequest) (*httpResponse, error) {
	c.t.Helper()
	var resp httpResponse
	if err := c.ask("http_request", req, &resp); err != nil {
		return nil, err
	}
	if resp.Streaming != nil {
		for token := &resp.Streaming.Callback.Token; token != nil; {
			var more streamedBody
			if err := c.ask(resp.Streaming.Callback.Callback.Method, *token, &more); err != nil {
				return nil, err
			}
			resp.Body, token = append(resp.Body, more.Body...), more.Token
		}
	}
	out := &asset.Response{Status: resp.Status, Body: resp.Body, Headers: fields(resp.Headers)}
	in := &asset.Request{Method: req.Method, URL: req.URL, Headers: fields(req.Headers), Body: req.Body}
	_, err := c.verifier.Verify(c.Self, in, out, c.Now.Std())
	return &resp, err
}

func fields(in []headerField) (out []asset.Header) {
	for _, h := range in {
		out = append(out, asset.Header{Name: h.Name, Value: h.Value})
	}
	return out
}

func (r *httpResponse) header(name string) string {
	for _, h := range r.Headers {
		if strings.EqualFold(h.Name, name) {
			return h.Value
		}
	}
	return ""
}

// serves requires a verified answer with a status and body.
func (c *canister) serves(status uint16, body, url string, headers ...string) *httpResponse {
	c.t.Helper()
	resp, err := c.get(url, headers...)
	if err != nil {
		c.t.Fatalf("GET %s: %v", url, err)
	}
	if resp.Status != status || string(resp.Body) != body {
		c.t.Fatalf("GET %s = %d %.60q (%d bytes), want %d %.60q", url, resp.Status, resp.Body, len(resp.Body), status, body)
	}
	return resp
}

func TestStoredAssetsAreServedVerifiedAtTheirPathsAndAliases(t *testing.T) {
	c := install(t)
	c.serves(404, "not found", "/")
	c.store("/index.html", "text/html", "home")
	c.store("/about.html", "text/html", "about")
	c.store("/docs/index.html", "text/html", "docs")
	c.store("/a b.txt", "text/plain", "space")
	for url, body := range map[string]string{
		"/": "home", "/index.html": "home", "/index": "home", "/?x=1": "home", "/about": "about", "/about.html": "about",
		"/docs": "docs", "/docs/": "docs", "/docs/index": "docs", "/docs/index.html": "docs", "/a%20b.txt": "space",
		"/nothing": "home", "/docs/nothing": "home", "/about/": "home",
	} {
		c.serves(200, body, url)
	}
	c.store("/about", "text/plain", "itself")
	c.serves(200, "itself", "/about")
	c.do("delete_asset", keyArg{"/about"})
	c.serves(200, "about", "/about")
	no := new(bool)
	c.do("set_asset_properties", setProperties{Key: "/about.html", IsAliased: &no})
	c.serves(200, "home", "/about")
	c.do("delete_asset", keyArg{"/index.html"})
	c.serves(404, "not found", "/about")
	c.do("clear", empty{})
	c.serves(404, "not found", "/docs/")
}

func TestNearest404PageIsTheFallback(t *testing.T) {
	c := install(t)
	c.store("/index.html", "text/html", "home")
	c.store("/blog/404.html", "text/html", "no such post")
	c.serves(404, "no such post", "/blog/x/y")
	c.serves(404, "no such post", "/blog")
	c.serves(404, "no such post", "/blog/")
	c.serves(200, "home", "/other")
	c.store("/404.html", "text/html", "gone")
	c.serves(404, "gone", "/other")
	c.serves(200, "gone", "/404.html")
	c.do("delete_asset", keyArg{"/blog/404.html"})
	c.serves(404, "gone", "/blog/x/y")
}

func TestSmallestAcceptedEncodingIsServed(t *testing.T) {
	c := install(t)
	for name, text := range map[string]string{"identity": "plain text", "gzip": "zipped", "br": "brot"} {
		c.do("store", storeArg{Key: "/x.js", ContentType: "text/javascript", Encoding: name, Content: []byte(text)})
	}
	for accept, want := range map[string]string{
		"": "plain text", "identity": "plain text", "gzip, deflate, br": "brot", "gzip": "zipped", "br;q=0, gzip;q=0.5": "zipped", "zstd": "plain text",
	} {
		c.serves(200, want, "/x.js", "Accept-Encoding", accept)
	}
	c.do("unset_asset_content", unsetContent{"/x.js", "identity"})
	if resp := c.serves(200, "zipped", "/x.js", "Accept-Encoding", "zstd"); resp.header("content-encoding") != "gzip" {
		t.Errorf("headers %v", resp.Headers)
	}
}

func TestConditionalRequestGetsCertifiedNotModified(t *testing.T) {
	c := install(t)
	c.store("/index.html", "text/html", "home")
	etag := c.serves(200, "home", "/").header("etag")
	c.serves(304, "", "/", "If-None-Match", etag)
	c.serves(200, "home", "/", "If-None-Match", `"other"`)
	c.serves(304, "", "/no/such/page", "If-None-Match", etag)
	c.do("store", storeArg{Key: "/x", ContentType: "text/plain", Encoding: "gzip", Content: []byte("z")})
	c.do("store", storeArg{Key: "/x", ContentType: "text/plain", Encoding: "identity", Content: []byte("long")})
	c.do("set_asset_properties", setProperties{Key: "/x", Headers: ref(&[]headerField{{"Cache-Control", "immutable"}, {"X-Other", "o"}})})
	etag = c.serves(200, "z", "/x", "Accept-Encoding", "gzip").header("etag")
	resp := c.serves(304, "", "/x", "Accept-Encoding", "gzip", "If-None-Match", etag)
	if resp.header("vary") != "accept-encoding" || resp.header("cache-control") != "immutable" || resp.header("x-other") != "" {
		t.Errorf("headers %v", resp.Headers)
	}
}

func TestHeadersAndCookieAreCertified(t *testing.T) {
	c := install(t)
	c.Env = [][2]string{{"PUBLIC_CANISTER_ID:backend", "aaaaa-aa"}, {"SECRET", "no"}}
	age := uint64(60)
	c.do("create_asset", createAsset{Key: "/p.html", ContentType: "text/html", MaxAge: &age, Headers: &[]headerField{{"X-Frame-Options", "DENY"}, {"Content-Type", "text/other"}}})
	c.do("set_asset_content", setContent{Key: "/p.html", Encoding: "identity", LastChunk: ref([]byte("page"))})
	resp := c.serves(200, "page", "/p")
	cookie := "ic_env=ic_root_key%3D" + hex.EncodeToString(c.RootKey) + "%26PUBLIC_CANISTER_ID%3Abackend%3Daaaaa-aa; SameSite=Lax"
	for name, want := range map[string]string{"x-frame-options": "DENY", "content-type": "text/other", "cache-control": "max-age=60", "set-cookie": cookie} {
		if got := resp.header(name); got != want {
			t.Errorf("%s: %q, want %q", name, got, want)
		}
	}
	c.Env = nil
	c.store("/unrelated", "text/plain", "x")
	if got := c.serves(200, "page", "/p").header("set-cookie"); strings.Contains(got, "PUBLIC") {
		t.Errorf("cookie is still %q", got)
	}
}

func ref[T any](v T) *T { return &v }

// upload stores a large asset in chunks of uneven sizes.
func (c *canister) upload(key string, body []byte) {
	c.t.Helper()
	var b batchArg
	c.do("create_batch", empty{}, &b)
	var chunks []uint64
	for rest, n := body, 700_001; len(rest) > 0; n = min(n+300_000, 1_900_000) {
		n = min(n, len(rest))
		var id chunkResult
		c.do("create_chunk", chunkArg{b.BatchID, rest[:n]}, &id)
		chunks, rest = append(chunks, id.ChunkID), rest[n:]
	}
	sum := sha256.Sum256(body)
	c.do("commit_batch", commitArg{b.BatchID, []operation{
		{Create: &createAsset{Key: key, ContentType: "application/octet-stream"}},
		{SetContent: &setContent{Key: key, Encoding: "identity", ChunkIDs: chunks, SHA256: ref(sum[:])}},
	}})
}

func large() []byte { return bytes.Repeat([]byte("0123456789abcdef"), 6<<20/16) }

func TestLargeAssetIsStreamedAndReadInPieces(t *testing.T) {
	c := install(t)
	body := large()
	c.upload("/big", body)
	c.serves(200, string(body), "/big")
	for from := 0; from < len(body); from += chunkBytes {
		to := min(from+chunkBytes, len(body))
		resp := c.serves(206, string(body[from:to]), "/big", "Range", fmt.Sprintf("bytes=%d-", from))
		if want := fmt.Sprintf("bytes %d-%d/%d", from, to-1, len(body)); resp.header("content-range") != want {
			t.Errorf("content-range %q, want %q", resp.header("content-range"), want)
		}
	}
	c.serves(200, string(body), "/big", "Range", "bytes=5-")
	if resp, err := c.request(httpRequest{Method: "GET", URL: "/big", CertificateVersion: ref(uint16(2))}); err != nil || resp.Status != 206 || len(resp.Body) != chunkBytes {
		t.Errorf("a plain request got %d bytes with the status %d, %v", len(resp.Body), resp.Status, err)
	}

	var first getResult
	if err := c.ask("get", getArg{"/big", []string{"gzip", "identity"}}, &first); err != nil || first.TotalLength != uint64(len(body)) {
		t.Fatalf("%d bytes, %v", first.TotalLength, err)
	}
	got := first.Content
	for i := uint64(1); len(got) < len(body); i++ {
		var more getChunkResult
		if err := c.ask("get_chunk", getChunkArg{"/big", "identity", i, first.SHA256}, &more); err != nil {
			t.Fatal(err)
		}
		got = append(got, more.Content...)
	}
	if !bytes.Equal(got, body) {
		t.Error("the pieces do not make the whole")
	}
}

func TestHeapDoesNotGrowWithContents(t *testing.T) {
	c := install(t)
	c.upload("/big", bytes.Repeat([]byte("0123456789abcdef"), 24<<20/16))
	if n := c.MemoryBytes(); n > 16<<20 {
		t.Errorf("the heap has %d bytes after 24 MiB were uploaded", n)
	}
}

func TestUpgradeKeepsEverythingAndUsesNoSecondCopy(t *testing.T) {
	c := install(t)
	body := large()
	c.upload("/big", body)
	c.store("/index.html", "text/html", "home")
	c.do("grant_permission", grantArg{stranger, permissionCase{Prepare: true}})
	before := len(c.Stable)
	c.upgrade()
	c.upgrade()
	if grown := len(c.Stable) - before; grown > 2*65536 {
		t.Errorf("stable memory grew by %d bytes", grown)
	}
	c.serves(200, string(body), "/big")
	c.serves(200, "home", "/x")
	var can []principal.ID
	c.do("list_permitted", listPermittedArg{permissionCase{Prepare: true}}, &can)
	if len(can) != 1 || can[0] != stranger {
		t.Errorf("permitted: %v", can)
	}
	c.store("/more", "text/plain", "more")
	c.serves(200, string(body), "/big")
}

func TestStableMemoryOfAnotherProgramFailsTheUpgrade(t *testing.T) {
	c := install(t)
	c.upgrade()
	wasm, _ := build()
	stable := bytes.Clone(c.Stable)
	copy(c.Stable, "something else")
	if err := c.Upgrade(wasm, nil, owner); err != nil {
		t.Fatalf("the hook before the upgrade writes the header: %v", err)
	}
	for _, change := range []func(){func() { c.Stable[0]++ }, func() { clear(c.Stable) }, func() { c.Stable = nil }} {
		c.Stable = bytes.Clone(stable)
		change()
		if _, err := load(memoryOf(c.Stable)); err == nil {
			t.Error("foreign stable memory was taken for ours")
		}
	}
}

type memoryOf []byte

func (m memoryOf) ReadAt(p []byte, off int64) (int, error) {
	if off < 0 || off >= int64(len(m)) {
		return 0, errors.New("beyond the end")
	}
	return bytes.NewReader(m).ReadAt(p, off)
}

func (m memoryOf) WriteAt(p []byte, off int64) (int, error) { return copy(m[off:], p), nil }
