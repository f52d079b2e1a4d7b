package cache

import (
	"bytes"
	"net/http"
	"strings"
	"testing"
	"time"

	"portico/lightclient"
	"portico/lightclient/asset"
)

func entry(t *testing.T, r *lightclient.HTTPResponse, accept Accept) *Entry {
	t.Helper()
	e, err := newEntry(r, accept, time.Now(), &Config{Lifetime: time.Second})
	if err != nil {
		t.Fatal(err)
	}
	return e
}

func fieldsToMap(fields []Field) http.Header {
	h := http.Header{}
	for _, f := range fields {
		h[f.Name] = f.Values
	}
	return h
}

func TestWhatHasNotChangedIsNotSentAgain(t *testing.T) {
	tagged := certified("hello", `etag: "v1"`, "last-modified: Sat, 28 Nov 2026 10:00:00 GMT", "content-type: text/plain", "cache-control: max-age=1", "vary: origin")
	own := entry(t, certified("hello"), 0).tag
	version1 := certified("hello", `etag: "v1"`, "last-modified: Sat, 28 Nov 2026 10:00:00 GMT")
	version1.Report.Scope = asset.ScopeBody
	missing := certified("nothing", `etag: "v1"`)
	missing.Status = 404
	for _, tt := range []struct {
		response *lightclient.HTTPResponse
		header   string
		status   int
	}{
		{tagged, `If-None-Match: "v1"`, 304},
		{tagged, `If-None-Match: W/"v1"`, 304},
		{tagged, `If-None-Match: "v0", W/"a,b" , "v1"`, 304},
		{tagged, `If-None-Match: *`, 304},
		{tagged, `If-None-Match: "v2"`, 200},
		{tagged, `If-None-Match: v1`, 200},
		{tagged, `If-None-Match: "v1`, 200},
		{tagged, `If-None-Match: "`, 200},
		{tagged, `If-None-Match: W/`, 200},
		{tagged, `If-None-Match: `, 200},
		{tagged, "If-Modified-Since: Sat, 28 Nov 2026 10:00:00 GMT", 304},
		{tagged, "If-Modified-Since: Sat, 28 Nov 2026 09:59:59 GMT", 200},
		{tagged, "If-Modified-Since: yesterday", 200},
		{certified("hello"), "If-None-Match: " + own, 304},
		{certified("other"), "If-None-Match: " + own, 200},
		{certified("hello"), "If-Modified-Since: Sat, 28 Nov 2026 10:00:00 GMT", 200},
		{version1, `If-None-Match: "v1"`, 200}, // nobody certified the tag
		{version1, "If-None-Match: " + own, 304},
		{version1, "If-Modified-Since: Sat, 28 Nov 2026 10:00:00 GMT", 200},
		{missing, `If-None-Match: "v1"`, 404},
	} {
		v := entry(t, tt.response, 0).View("GET", request(tt.header))
		if v.Status != tt.status {
			t.Errorf("%s: status %d, want %d", tt.header, v.Status, tt.status)
		}
		if v.Status == 304 && (v.Body != nil || fieldsToMap(v.Fields)["Content-Length"] != nil) {
			t.Errorf("%s: 304 with a body", tt.header)
		}
	}
	both := request(`If-None-Match: "v2"`, "If-Modified-Since: Sat, 28 Nov 2026 10:00:00 GMT")
	if v := entry(t, tagged, 0).View("GET", both); v.Status != 200 {
		t.Error("the date counted although there is a tag")
	}
	h := fieldsToMap(entry(t, tagged, 0).View("HEAD", request(`If-None-Match: "v1"`)).Fields)
	for name, want := range map[string]string{"Etag": `"v1"`, "Cache-Control": "max-age=1", "Vary": "origin", "Content-Type": ""} {
		if h.Get(name) != want {
			t.Errorf("304 has %s: %q, want %q", name, h.Get(name), want)
		}
	}
}

func TestRangesComeOutOfTheWhole(t *testing.T) {
	r := certified("0123456789", `etag: "v1"`, "last-modified: Sat, 28 Nov 2026 10:00:00 GMT", "content-type: text/plain")
	for _, tt := range []struct {
		value, ifRange string
		status         int
		body, is       string
	}{
		{"bytes=0-3", "", 206, "0123", "bytes 0-3/10"},
		{"bytes=4-", "", 206, "456789", "bytes 4-9/10"},
		{"bytes=-3", "", 206, "789", "bytes 7-9/10"},
		{"bytes=-30", "", 206, "0123456789", "bytes 0-9/10"},
		{"bytes=9-99", "", 206, "9", "bytes 9-9/10"},
		{"bytes=9-99999999999999999", "", 206, "9", "bytes 9-9/10"},
		{"bytes=10-", "", 416, "", "bytes */10"},
		{"bytes=-0", "", 416, "", "bytes */10"},
		{"bytes=0-1,3-4", "", 200, "0123456789", ""},
		{"bytes=3-1", "", 200, "0123456789", ""},
		{"bytes=-", "", 200, "0123456789", ""},
		{"bytes=a-b", "", 200, "0123456789", ""},
		{"bytes=+1-2", "", 200, "0123456789", ""},
		{"lines=1-2", "", 200, "0123456789", ""},
		{"bytes=99999999999999999999999-", "", 200, "0123456789", ""},
		{"bytes=0-3", `"v1"`, 206, "0123", "bytes 0-3/10"},
		{"bytes=0-3", `"v2"`, 200, "0123456789", ""},
		{"bytes=0-3", `W/"v1"`, 200, "0123456789", ""},
		{"bytes=0-3", "Sat, 28 Nov 2026 10:00:00 GMT", 206, "0123", "bytes 0-3/10"},
		{"bytes=0-3", "Sat, 28 Nov 2026 10:00:01 GMT", 200, "0123456789", ""},
	} {
		h := request("Range: " + tt.value)
		if tt.ifRange != "" {
			h.Set("If-Range", tt.ifRange)
		}
		v := entry(t, r, 0).View("GET", h)
		if v.Status != tt.status || string(v.Body) != tt.body || v.Range != tt.is {
			t.Errorf("%s if %s: %d %q %q", tt.value, tt.ifRange, v.Status, v.Body, v.Range)
		}
		if v := entry(t, r, 0).View("HEAD", h); v.Status != 200 || v.Body != nil {
			t.Errorf("HEAD of %s: %d", tt.value, v.Status)
		}
	}
}

var text = strings.Repeat("All certified bytes stay as they are. ", 100)

func TestBodiesAreCompressedAfterTheyWereVerified(t *testing.T) {
	for _, tt := range []struct {
		accept, kind, coding string
	}{
		{"gzip, deflate, br, zstd", "text/html; charset=utf-8", "br"},
		{"gzip, zstd", "application/json", "zstd"},
		{"gzip;q=0.5, br;q=0", "application/wasm", "gzip"},
		{"*", "image/svg+xml", "br"},
		{"*;q=0", "text/css", ""},
		{"identity", "text/css", ""},
		{"", "text/css", ""},
		{"br", "image/png", ""},
		{"br", "text/event-stream", ""},
	} {
		accept := ParseAccept([]string{tt.accept})
		e := entry(t, certified(text, "content-type: "+tt.kind, `etag: "v1"`), accept)
		h := fieldsToMap(e.Fields)
		if h.Get("Content-Encoding") != tt.coding {
			t.Errorf("%s of %s: %q", tt.accept, tt.kind, h.Get("Content-Encoding"))
		}
		body := e.Body
		if tt.coding != "" {
			var ok bool
			if body, ok = decompress(codingOf(tt.coding), e.Body); !ok || len(e.Body) > len(text)/5 {
				t.Errorf("%s: %d bytes, ok %v", tt.coding, len(e.Body), ok)
			}
			if e.tag != `W/"v1"` || e.ranges || h.Get("Vary") != "Accept-Encoding" {
				t.Errorf("%s: tag %s, %v", tt.coding, e.tag, h)
			}
		}
		if string(body) != text {
			t.Errorf("%s of %s: another body", tt.accept, tt.kind)
		}
	}
	for what, r := range map[string]*lightclient.HTTPResponse{
		"small":        certified("hello", "content-type: text/plain"),
		"no-transform": certified(text, "content-type: text/plain", "cache-control: no-transform"),
	} {
		if e := entry(t, r, brotliCoding); valueOf(e.Fields, "Content-Encoding") != "" {
			t.Errorf("%s: compressed", what)
		}
	}
}

func TestClientsGetNoEncodingThatTheyDoNotTake(t *testing.T) {
	for _, c := range codings {
		packed := string(compress(c.bit, []byte(text)))
		e := entry(t, certified(packed, "content-encoding: "+c.name, "content-type: text/css", `etag: "v1"`), 0)
		if string(e.Body) != text || valueOf(e.Fields, "Content-Encoding") != "" || e.tag != `W/"v1"` {
			t.Errorf("%s: %d bytes, %v", c.name, len(e.Body), e.Fields)
		}
		e = entry(t, certified(packed, "content-encoding: "+c.name), c.bit)
		if string(e.Body) != packed {
			t.Errorf("%s: not as the canister certified it", c.name)
		}
		e = entry(t, certified("nonsense", "content-encoding: "+c.name), 0)
		if string(e.Body) != "nonsense" || valueOf(e.Fields, "Content-Encoding") != c.name {
			t.Errorf("%s: what cannot be decoded: %q", c.name, e.Body)
		}
	}
	bomb := compress(gzipCoding, make([]byte, maxDecodedBytes+1))
	if e := entry(t, certified(string(bomb), "content-encoding: gzip"), 0); !bytes.Equal(e.Body, bomb) {
		t.Errorf("a bomb of %d bytes became %d", len(bomb), len(e.Body))
	}
}

func TestHeadersWithoutEndAreRefused(t *testing.T) {
	_, err := newEntry(certified("hello", "x: "+strings.Repeat("x", maxHeaderBytes)), 0, time.Now(), &Config{})
	if err == nil {
		t.Error("passed on")
	}
}

func FuzzHeadersOfRequests(f *testing.F) {
	f.Add("gzip, br;q=0", `"a", W/"b"`, "bytes=0-1", "max-age=1")
	e, err := newEntry(certified("0123456789"), 0, time.Now(), &Config{})
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, accept, tags, span, control string) {
		ParseAccept([]string{accept})
		parseControl([]string{control})
		v := e.View("GET", http.Header{"If-None-Match": {tags}, "Range": {span}})
		if len(v.Body) > 10 || v.Status == 206 && len(v.Body) == 0 {
			t.Errorf("%d %q", v.Status, v.Body)
		}
	})
}
