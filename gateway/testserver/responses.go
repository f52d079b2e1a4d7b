package main

import (
	"bytes"
	"fmt"
	"time"

	"portico/gateway/testsite"
	"portico/lightclient/asset"
	"portico/lightclient/fakenet"
)

type responseSet struct {
	RootKey   []byte     `json:"rootKey"`
	Canister  string     `json:"canister"`
	Root      []response `json:"root"`
	Delegated []response `json:"delegated"`
}

// A response is to GET /page.
type response struct {
	Status  uint16      `json:"status"`
	Headers [][2]string `json:"headers"`
	Body    []byte      `json:"body"`
}

// responses are pages of 8 kB, each with a certificate of its own, by certification of
// version 2.
func responses(site *testsite.Site, n int) responseSet {
	s := responseSet{RootKey: site.RootKey(), Canister: site.Web().String()}
	at := time.Now()
	e := &asset.Expression{Scope: asset.ScopeResponse, ResponseHeaders: []string{"content-type", "cache-control"}}
	for i := range n {
		page := &asset.Response{
			Status:  200,
			Headers: []asset.Header{{Name: "content-type", Value: "text/html"}, {Name: "cache-control", Value: "max-age=60"}},
			Body:    bytes.Repeat(fmt.Appendf(nil, "<p>%d</p>", 1_000_000+i), 8<<10/14),
		}
		var tree asset.Tree
		certified := asset.Certify(asset.Exact("/page"), e, nil, page)
		tree.Insert(certified)
		for j := range 100 { // so that the witness has the depth of a small site
			tree.Insert(asset.Certify(asset.Exact(fmt.Sprintf("/asset/%d", j)), e, nil, page))
		}
		witness, err := tree.Witness(certified, "/page")
		if err != nil {
			panic(err) // the path is that of the URL
		}
		root := tree.Root()
		data := fakenet.CanisterEntry(site.Web(), root[:], "certified_data")
		with := func(certificate []byte) response {
			r := response{Status: page.Status, Body: page.Body}
			for _, h := range page.Headers {
				r.Headers = append(r.Headers, [2]string{h.Name, h.Value})
			}
			r.Headers = append(r.Headers, [2]string{asset.ExpressionHeader, e.String()})
			r.Headers = append(r.Headers, [2]string{asset.CertificateHeader, asset.CertificateHeaderValue(certificate, witness, asset.Exact("/page"))})
			return r
		}
		s.Root = append(s.Root, with(site.Net.CertifyAsRoot(at, data)))
		s.Delegated = append(s.Delegated, with(site.Net.Certify(at, data)))
	}
	return s
}
