package main

import (
	"fmt"
	"strings"
	"testing"
)

func TestRedirectsAndRewritesAreCertified(t *testing.T) {
	c := install(t)
	c.store("/index.html", "text/html", "home")
	c.store("/app/index.html", "text/html", "app")
	c.store("/sorry.html", "text/html", "sorry")
	c.store("/docs/kept.txt", "text/plain", "kept")
	c.store("/docs/deep/404.html", "text/html", "deep")
	c.store(redirectsFile, "text/plain", `
		# comment
		/old        /new                  301
		/docs/*     https://example.org/  302
		/docs/later /never                301
		/app/*      /app/index.html       200
		/gone       /sorry.html           410
		/inert      /nothing.txt          404
		/docs/kept.txt /elsewhere         308
	`)
	for range 2 {
		for url, want := range map[string]string{"/old": "301 /new", "/old?q=1": "301 /new", "/docs/x/y": "302 https://example.org/", "/docs/": "302 https://example.org/", "/docs": "302 https://example.org/", "/docs/later": "302 https://example.org/"} {
			resp := c.serves(map[string]uint16{"301": 301, "302": 302}[want[:3]], "", url)
			if resp.header("location") != want[4:] {
				t.Errorf("%s leads to %s", url, resp.header("location"))
			}
		}
		c.serves(200, "kept", "/docs/kept.txt")
		c.serves(404, "deep", "/docs/deep/x")
		c.serves(200, "app", "/app/a/b")
		c.serves(410, "sorry", "/gone")
		c.serves(200, "home", "/inert")
		c.serves(200, "home", "/old/")
		c.upgrade()
	}
	c.store("/old", "text/plain", "an asset after all")
	c.serves(200, "an asset after all", "/old")
	c.do("delete_asset", keyArg{"/old"})
	c.serves(301, "", "/old")
	c.store("/app/index.html", "text/html", "app two")
	c.serves(200, "app two", "/app/x")
	c.store("/nothing.txt", "text/plain", "something")
	c.serves(404, "something", "/inert")
	c.store(redirectsFile, "text/plain", "/* /sorry.html 404\n")
	c.serves(404, "sorry", "/old")
	c.serves(404, "sorry", "/docs/x")
	c.serves(404, "deep", "/docs/deep/x")
	c.do("delete_asset", keyArg{redirectsFile})
	for _, url := range []string{"/old", "/docs/x", "/gone", "/app/x"} {
		c.serves(200, "home", url)
	}
}

func TestMistakesInRedirectsAreRefusedWithTheirLine(t *testing.T) {
	for text, want := range map[string]string{
		"/a /b": "line 1: a rule is a path", "\n/a /b 303": `line 2: status "303"`, "a /b 301": "must begin with a slash", "/a//b /c 301": "must begin with a slash",
		"/a/*/b /c 301": "of patterns there is only", "/:id /c 301": "of patterns there is only", "/a b 301": "must be a path", "/a b.html 200": "path of an asset",
		"/a //evil.example 301": "must be a path", "/a /b/:splat 301": "stands for what a star", "/a/* /b/:splat 200": "stands for what a star", "/a/* https://:splat.example/ 301": "is no URL",
		"/a/* https://x.example:splat/ 301": "is no URL", "/a/* https://x.example/?q=:splat 301": "stands for what a star", "/a/* /b:splat 301": "stands for what a star", "/<$>/x /b 301": "certification reserves", "/a /b 301!": `status "301!"`,
		strings.Repeat("#", maxRedirectBytes+1): "at most", "/a javascript:alert(1) 301": "must be a path",
	} {
		if _, err := parseRedirects(text); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%.40q: %v, want %s", text, err, want)
		}
	}
	var many strings.Builder
	for i := range maxRedirects + 1 {
		fmt.Fprintf(&many, "/%d /b 301\n", i)
	}
	if _, err := parseRedirects(many.String()); err == nil || !strings.Contains(err.Error(), "has 1001 rules") {
		t.Errorf("many rules: %v", err)
	}
	c := install(t)
	c.store("/index.html", "text/html", "home")
	c.refused("/_redirects, line 1: ", "store", storeArg{Key: redirectsFile, Encoding: "identity", Content: []byte("/a /b 999")})
	c.serves(200, "home", "/a")
}

func TestSplatLeadsWhereThePathSaysByACall(t *testing.T) {
	c := install(t)
	c.store("/index.html", "text/html", "home")
	c.store("/blog/kept.txt", "text/plain", "kept")
	c.store(redirectsFile, "text/plain", `
		/blog/*   /news/:splat                      301
		/wiki/*   https://wiki.example/w/:splat#x   302
		/up/*     /:splat                           307
	`)
	for url, want := range map[string]string{
		"/blog/2026/a":         "301 /news/2026/a",
		"/blog/a%20b%3F?q=1":   "301 /news/a%20b%3F",
		"/blog/a%0d%0ab":       "301 /news/a%0D%0Ab",
		"/wiki/%C3%BC":         "302 https://wiki.example/w/%C3%BC#x",
		"/up//evil.example/x":  "307 /evil.example/x",
		"/up/%2F/evil.example": "307 /evil.example",
		"/up/%5Cevil.example":  "307 /%5Cevil.example",
	} {
		two := uint16(2)
		req := httpRequest{Method: "GET", URL: url, CertificateVersion: &two}
		var first, then httpResponse
		if err := c.ask("http_request", req, &first); err != nil || first.Upgrade == nil || !*first.Upgrade {
			t.Errorf("%s: %+v, %v", url, first, err)
		}
		req.CertificateVersion = nil
		if err := c.try(stranger, "http_request_update", req, &then); err != nil {
			t.Fatal(err)
		}
		if got := fmt.Sprint(then.Status, " ", then.header("location")); got != want {
			t.Errorf("%s: %s, want %s", url, got, want)
		}
	}
	for _, url := range []string{"/blog", "/blog/", "/blog/?q"} {
		if resp := c.serves(301, "", url); resp.header("location") != "/news/" {
			t.Errorf("%s leads to %s", url, resp.header("location"))
		}
	}
	c.serves(200, "kept", "/blog/kept.txt")
	c.serves(200, "home", "/other")
}
