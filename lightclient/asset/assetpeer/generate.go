package main

import (
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"fmt"
	"strconv"
	"time"

	"portico/lightclient/asset"
	"portico/lightclient/fakenet"
	"portico/lightclient/principal"
)

// A site is a canister whose answers of one version are certified together.
type site struct {
	net   *fakenet.Network
	id    principal.ID
	at    time.Time
	tree  asset.Tree
	cases []func() testCase // made once the tree is complete
}

// generate makes exchanges of every kind, all of which are to be accepted.
func generate() []testCase {
	two := &site{net: fakenet.New("peer"), id: principal.Canister(3), at: time.Date(2026, 11, 1, 12, 0, 0, 0, time.UTC)}
	one := *two
	addVersion2(two)
	addVersion1(&one)
	var out []testCase
	for _, s := range []*site{two, &one} {
		for _, c := range s.cases {
			out = append(out, c())
		}
	}
	return out
}

func addVersion2(s *site) {
	get := func(url string) *asset.Request { return &asset.Request{Method: "GET", URL: url} }
	all := &asset.Expression{Scope: asset.ScopeResponse, Exclude: true, ResponseHeaders: []string{}}
	some := &asset.Expression{Scope: asset.ScopeResponse, ResponseHeaders: []string{"content-type", "Content-Encoding", "cache-control"}}
	but := &asset.Expression{Scope: asset.ScopeResponse, Exclude: true, ResponseHeaders: []string{"date", "Server"}}
	full := &asset.Expression{Scope: asset.ScopeFull, RequestHeaders: []string{"accept", "X-Api"}, QueryParameters: []string{"q", "page"}, ResponseHeaders: []string{"content-type"}}
	bare := &asset.Expression{Scope: asset.ScopeFull, Exclude: true, ResponseHeaders: []string{}}

	for i := range 40 { // so that witnesses have something to hide
		p := asset.Exact(fmt.Sprintf("/assets/%d.js", i))
		s.exchange("script", p, some, get(fmt.Sprintf("/assets/%d.js", i)), reply(200, fmt.Sprint("script ", i), "Content-Type", "text/javascript"))
	}
	s.exchange("root", asset.Exact("/"), all, get("/"), reply(200, "root", "Content-Type", "text/html"))
	s.exchange("some headers", asset.Exact("/some"), some, get("/some?any=1"), reply(200, "some", "Content-Type", "text/plain", "X-Other", "1", "Cache-Control", "no-store"))
	s.exchange("all but some", asset.Exact("/but/"), but, get("/but/"), reply(404, "but", "date", "today", "server", "x", "set-cookie", "a=1", "Set-Cookie", "b=2"))
	s.exchange("decoded path", asset.Exact("/a b/é"), some, get("/a%20b/%C3%A9"), reply(200, "decoded"))
	s.exchange("redirect", asset.Exact("/old"), all, get("/old"), reply(301, "", "Location", "/new"))
	post := &asset.Request{Method: "POST", URL: "/form?q=1&x=2&page=3&q=", Body: []byte("a=b"), Headers: []asset.Header{{Name: "Accept", Value: "*/*"}, {Name: "x-api", Value: "1"}, {Name: "X-Api", Value: "2"}, {Name: "cookie", Value: "c"}}}
	s.exchange("full", asset.Exact("/form"), full, post, reply(200, "form", "Content-Type", "text/plain", "x", "y"))
	s.exchange("full without anything", asset.Exact("/bare"), bare, get("/bare?x=1"), reply(204, ""))
	s.exchange("full without query", asset.Exact("/noquery"), full, get("/noquery"), reply(200, "x"))
	s.exchange("wildcard", asset.Wildcard("/docs"), some, get("/docs/a/b"), reply(200, "docs"))
	s.exchange("wildcard at its root", asset.Wildcard("/docs"), some, get("/docs"), reply(200, "docs"))
	s.exchange("wildcard of a directory", asset.Wildcard("/dir/"), some, get("/dir/x"), reply(200, "dir"))
	s.exchange("not found", asset.Wildcard(""), some, get("/nothing/here/at/all"), reply(404, "not found"))
	s.exchange("opted out", asset.Wildcard("/api"), &asset.Expression{}, get("/api/v1?x"), reply(200, "anything", "x", "y"))
}

func addVersion1(s *site) {
	var zipped bytes.Buffer
	z := gzip.NewWriter(&zipped)
	if _, err := z.Write([]byte("page")); err != nil || z.Close() != nil {
		panic("gzip to memory failed")
	}
	s.body("index", "/index.html", "/index.html", "index", reply(200, "index", "Content-Type", "text/html"))
	s.body("index as fallback", "/index.html", "/spa/route", "index", reply(200, "index"))
	s.body("page", "/page", "/page?query", "page", reply(200, "page", "Cache-Control", "max-age=9"))
	s.body("zipped page", "/page", "/page", "page", reply(200, zipped.String(), "Content-Encoding", "gzip"))
	s.body("certified as zipped", "/zipped", "/zipped", zipped.String(), reply(200, zipped.String(), "Content-Encoding", "gzip"))
}

func reply(status uint16, body string, headers ...string) *asset.Response {
	r := &asset.Response{Status: status, Body: []byte(body)}
	for i := 0; i < len(headers); i += 2 {
		r.Headers = append(r.Headers, asset.Header{Name: headers[i], Value: headers[i+1]})
	}
	return r
}

// exchange certifies an exchange of version 2.
func (s *site) exchange(name string, p asset.Path, e *asset.Expression, req *asset.Request, resp *asset.Response) {
	c := asset.Certify(p, e, req, resp)
	s.tree.Insert(c)
	s.cases = append(s.cases, func() testCase {
		w, err := s.tree.Witness(c, req.URL)
		if err != nil {
			panic(err)
		}
		resp.Headers = append(resp.Headers, asset.Header{Name: asset.ExpressionHeader, Value: e.String()})
		return s.testCase(name, req, resp, asset.CertificateHeaderValue(s.certificate(), w, p))
	})
}

// body certifies a body for version 1.
func (s *site) body(name, path, url, certified string, resp *asset.Response) {
	s.tree.InsertBody(path, sha256.Sum256([]byte(certified)))
	s.cases = append(s.cases, func() testCase {
		w, err := s.tree.WitnessBody(url)
		if err != nil {
			panic(err)
		}
		return s.testCase("version 1, "+name, &asset.Request{Method: "GET", URL: url}, resp, asset.BodyCertificateHeaderValue(s.certificate(), w))
	})
}

func (s *site) certificate() []byte { return s.net.CertifyData(s.at, s.id, s.tree.Root()) }

func (s *site) testCase(name string, req *asset.Request, resp *asset.Response, header string) testCase {
	return testCase{
		Name: name, Method: req.Method, URL: req.URL, RequestHeaders: fromHeaders(req.Headers), RequestBody: req.Body,
		Status: resp.Status, ResponseBody: resp.Body,
		ResponseHeaders: append(fromHeaders(resp.Headers), [2]string{asset.CertificateHeader, header}),
		Canister:        s.id.Bytes(), RootKey: s.net.RootKey(), Time: strconv.FormatInt(s.at.Add(time.Minute).UnixNano(), 10),
	}
}
