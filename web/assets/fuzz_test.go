package main

import (
	"bytes"
	"strings"
	"testing"

	"portico/lightclient/asset"
	"portico/lightclient/candid"
)

// The path that is looked up must be the one that verifiers see in the URL, or
// somebody's answer to one URL would prove what is at another.
func FuzzDecodePath(f *testing.F) {
	for _, url := range []string{"/", "/a%20b?x=%41", "/%zz", "/%", "/%4", "/a#b?c", "/%e4", "/%2f/..", "//"} {
		f.Add(url)
	}
	f.Fuzz(func(t *testing.T, url string) {
		if !strings.HasPrefix(url, "/") {
			return
		}
		path, ok := decodePath(url)
		c := at(asset.Exact(path), nothingHere())
		var tree asset.Tree
		tree.Insert(c)
		if _, err := tree.Witness(c, url); (err == nil) != ok {
			t.Errorf("%q is %q here (%v), and there: %v", url, path, ok, err)
		}
	})
}

func FuzzLoad(f *testing.F) {
	mem := &growing{}
	s := newStore(mem)
	if err := s.storeOne(&storeArg{Key: "/index.html", ContentType: "text/html", Encoding: "identity", Content: []byte("home")}, 1); err != nil {
		f.Fatal(err)
	}
	if err := s.save(); err != nil {
		f.Fatal(err)
	}
	f.Add(bytes.Clone(mem.b))
	f.Add([]byte(magic))
	f.Fuzz(func(t *testing.T, b []byte) {
		s, err := load(memoryOf(bytes.Clone(b)))
		if err != nil {
			return
		}
		// what was loaded can be served, if only by an error
		two := uint16(2)
		s.http(&httpRequest{Method: "GET", URL: "/", CertificateVersion: &two}, nil, false, candid.Func{})
		s.root()
	})
}

func FuzzParseRedirects(f *testing.F) {
	f.Add("# x\n/a /b 301\n/c/* https://example.org/ 308\n/* /index.html 200\n")
	f.Fuzz(func(t *testing.T, text string) {
		rules, err := parseRedirects(text)
		if err != nil {
			return
		}
		s := newStore(&growing{})
		s.store(t, redirectsFile, text)
		s.root()
		if len(s.redirects) != len(rules) {
			t.Errorf("%d rules of %d hold", len(s.redirects), len(rules))
		}
		two := uint16(2)
		for _, r := range rules {
			s.http(&httpRequest{Method: "GET", URL: r.path, CertificateVersion: &two}, nil, false, candid.Func{})
		}
	})
}

func (s *store) store(t *testing.T, key, text string) {
	t.Helper()
	if err := s.storeOne(&storeArg{Key: key, ContentType: "text/plain", Encoding: "identity", Content: []byte(text)}, 0); err != nil {
		t.Fatal(err)
	}
}
