package main

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"portico/lightclient/asset"
	"portico/lightclient/hashtree"
)

// answers is what the canister certifies that it may say with an encoding. The
// Certifieds still lack the path, which aliases and fallbacks add.
type answers struct {
	headers     []asset.Header // of the plain answer, the expression included
	ok          asset.Certified
	notFound    asset.Certified // the same with status 404, for 404.html
	notModified asset.Certified
	parts       []asset.Certified // one for each piece, if there are several
	first       asset.Certified   // the first piece, to who asks for no range
}

// Three expressions. Every answer certifies all its headers. Ranges and conditions
// are certified for the request header that asks for them, so that no replica can
// give such an answer to a plain request.
func plainExpression() *asset.Expression {
	return &asset.Expression{Scope: asset.ScopeResponse, Exclude: true}
}

func forHeader(name string) *asset.Expression {
	return &asset.Expression{Scope: asset.ScopeFull, RequestHeaders: []string{name}, Exclude: true}
}

const (
	ifNoneMatch = "if-none-match"
	rangeHeader = "range"
)

// changed notes that an asset is new, different or gone.
func (s *store) changed(key string) { s.dirty[key] = true }

// root certifies what the canister serves since the last changes and returns the
// hash of all of it.
func (s *store) root() hashtree.Hash {
	if len(s.dirty) > 0 {
		for _, key := range slices.Sorted(maps.Keys(s.dirty)) {
			s.certifyKey(key)
		}
		clear(s.dirty)
		s.recertifyRedirects()
	}
	return s.tree.Root()
}

func (s *store) certifyKey(key string) {
	p := place(key)
	if f := s.files[key]; f != nil {
		for name, e := range f.encodings {
			e.answers = s.answersOf(p, f, name, e)
		}
	}
	s.recertify(p)
	for _, path := range aliasedBy(p) {
		s.recertify(path)
	}
	if dir, ok := strings.CutSuffix(p, notFoundFile); ok {
		s.recertifyFallback(dir)
	} else if p == indexFile {
		s.recertifyFallback("")
	}
}

const (
	indexFile    = "/index.html"
	notFoundFile = "/404.html"
)

// answersOf hashes what may be said with an encoding.
func (s *store) answersOf(key string, f *file, name string, e *encoding) answers {
	headers := s.headersOf(key, f, name, e)
	plain := plainExpression()
	a := answers{headers: append(headers, asset.Header{Name: asset.ExpressionHeader, Value: plain.String()})}
	a.ok = asset.Certify(asset.Path{}, plain, nil, &asset.Response{Status: 200, Headers: headers, BodyHash: &e.sha256})
	if strings.HasSuffix(key, notFoundFile) {
		a.notFound = asset.Certify(asset.Path{}, plain, nil, &asset.Response{Status: 404, Headers: headers, BodyHash: &e.sha256})
	}
	a.notModified = asset.Certify(asset.Path{}, forHeader(ifNoneMatch), get(ifNoneMatch, e.etag()), &asset.Response{Status: 304, Headers: notModifiedHeaders(headers)})
	for i, hash := range e.parts {
		value := rangeFrom(uint64(i) * chunkBytes)
		resp := &asset.Response{Status: 206, Headers: e.partHeaders(headers, i), BodyHash: &hash}
		a.parts = append(a.parts, asset.Certify(asset.Path{}, forHeader(rangeHeader), get(rangeHeader, value), resp))
		if i == 0 {
			a.first = asset.Certify(asset.Path{}, forHeader(rangeHeader), &asset.Request{Method: "GET"}, resp)
		}
	}
	return a
}

func get(header, value string) *asset.Request {
	return &asset.Request{Method: "GET", Headers: []asset.Header{{Name: header, Value: value}}}
}

func rangeFrom(off uint64) string { return fmt.Sprintf("bytes=%d-", off) }

// headersOf are the headers of the plain answer, without the expression.
func (s *store) headersOf(key string, f *file, name string, e *encoding) []asset.Header {
	out := []asset.Header{{Name: "content-type", Value: f.contentType}, {Name: "etag", Value: e.etag()}}
	if name != "identity" {
		out = append(out, asset.Header{Name: "content-encoding", Value: name})
	}
	if len(f.encodings) > 1 {
		out = append(out, asset.Header{Name: "vary", Value: "accept-encoding"})
	}
	if f.maxAge != nil {
		out = append(out, asset.Header{Name: "cache-control", Value: "max-age=" + strconv.FormatUint(*f.maxAge, 10)})
	}
	if len(e.parts) > 0 {
		out = append(out, asset.Header{Name: "accept-ranges", Value: "bytes"})
	}
	if f.headers != nil {
		for _, h := range *f.headers {
			name := strings.ToLower(h.Name)
			out = slices.DeleteFunc(out, func(o asset.Header) bool { return o.Name == name })
			out = append(out, asset.Header{Name: name, Value: h.Value})
		}
	}
	if isHTML(key) && s.env != "" {
		out = append(out, asset.Header{Name: "set-cookie", Value: "ic_env=" + s.env + "; SameSite=Lax"})
	}
	return out
}

func (e *encoding) etag() string { return `"` + hex.EncodeToString(e.sha256[:]) + `"` }

// notModifiedHeaders are those of the plain answer that caches need with a 304 (RFC
// 9110, section 15.4.5).
func notModifiedHeaders(plain []asset.Header) []asset.Header {
	var out []asset.Header
	for _, h := range plain {
		switch h.Name {
		case "cache-control", "content-location", "etag", "expires", "vary":
			out = append(out, h)
		}
	}
	return out
}

func (e *encoding) partHeaders(plain []asset.Header, i int) []asset.Header {
	from := uint64(i) * chunkBytes
	to := min(from+chunkBytes, e.size) - 1
	return append(slices.Clone(plain), asset.Header{Name: "content-range", Value: fmt.Sprintf("bytes %d-%d/%d", from, to, e.size)})
}

// recertify certifies anew what is served at one path.
func (s *store) recertify(path string) {
	exact := asset.Exact(path)
	s.tree.DeletePath(exact)
	s.tree.DeleteBody(path)
	_, f := s.find(path)
	if f == nil {
		return
	}
	for _, e := range f.encodings {
		s.tree.Insert(at(exact, e.answers.ok))
		s.tree.Insert(at(exact, e.answers.notModified))
		for _, part := range e.answers.parts {
			s.tree.Insert(at(exact, part))
		}
		if len(e.answers.parts) > 0 {
			s.tree.Insert(at(exact, e.answers.first))
		}
	}
	_, e := f.forVersion1()
	s.tree.InsertBody(path, e.sha256)
}

func at(p asset.Path, c asset.Certified) asset.Certified {
	c.Path = p
	return c
}

// recertifyFallback certifies anew what is served below a folder where there is no
// asset: its 404.html; in the root also /index.html, as single-page applications
// expect, and otherwise a short text.
func (s *store) recertifyFallback(dir string) {
	everything := asset.Wildcard(dir)
	s.tree.DeletePath(everything)
	if _, f := s.at(dir + notFoundFile); f != nil {
		for _, e := range f.encodings {
			s.tree.Insert(at(everything, e.answers.notFound))
		}
		return
	}
	if dir != "" {
		return
	}
	if _, f := s.at(indexFile); f != nil {
		for _, e := range f.encodings {
			s.tree.Insert(at(everything, e.answers.ok))
			s.tree.Insert(at(everything, e.answers.notModified))
		}
		return
	}
	s.tree.Insert(s.nothing)
}

func emptyHash() [32]byte { return sha256.Sum256(nil) }

const nothingHereBody = "not found"

func nothingHereHeaders() []asset.Header {
	return []asset.Header{{Name: "content-type", Value: "text/plain"}}
}

func nothingHere() asset.Certified {
	hash := hashtree.Hash(sha256.Sum256([]byte(nothingHereBody)))
	return asset.Certify(asset.Wildcard(""), plainExpression(), nil, &asset.Response{Status: 404, Headers: nothingHereHeaders(), BodyHash: &hash})
}

// setEnv takes over the value of the cookie ic_env, which pages of HTML set.
func (s *store) setEnv(value string) {
	if value == s.env {
		return
	}
	s.env = value
	for key := range s.files {
		if isHTML(key) {
			s.changed(key)
		}
	}
}

func isHTML(key string) bool { return strings.HasSuffix(key, ".html") }

// preference is the order of encodings for clients that accept none of an asset's;
// version 1 certifies the first one alone.
func preference() []string { return []string{"identity", "gzip", "compress", "deflate", "br"} }

func (f *file) forVersion1() (name string, e *encoding) {
	for _, name := range preference() {
		if e := f.encodings[name]; e != nil {
			return name, e
		}
	}
	for n, enc := range f.encodings {
		if e == nil || n < name {
			name, e = n, enc
		}
	}
	return name, e
}
