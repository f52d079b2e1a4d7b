package main

import (
	"crypto/sha256"
	"encoding/json"
	"strings"

	"portico/lightclient/asset"
	"portico/lightclient/hashtree"
)

// site is what the canister serves over HTTP, all of it certified: a few files that
// other programs read, and that there is nothing else.
type site struct {
	certified asset.Tree
	pages     map[string]*page
	nothing   page
}

type page struct {
	status  uint16
	headers []asset.Header
	body    []byte
	proof   asset.Certified
}

const (
	jsonType = "application/json"
	textType = "text/plain"

	// webAuthnPath lists origins that may use this one's passkeys (WebAuthn level 3,
	// "Related Origin Requests").
	webAuthnPath = "/.well-known/webauthn"
	// cliPath tells command line tools where to send people.
	cliPath   = "/.well-known/cli-auth-config"
	cliConfig = `{"path":"/cli"}`
)

// build certifies what there is for a list of related origins.
func (s *site) build(origins []string) error {
	related, err := json.Marshal(struct {
		Origins []string `json:"origins"`
	}{origins})
	if err != nil {
		return err
	}
	*s = site{pages: map[string]*page{}}
	s.add(webAuthnPath, jsonType, related)
	s.add(cliPath, jsonType, []byte(cliConfig))
	s.nothing = newPage(asset.Wildcard(""), 404, textType, []byte("not found"))
	s.certified.Insert(s.nothing.proof)
	return nil
}

func (s *site) add(path, contentType string, body []byte) {
	p := newPage(asset.Exact(path), 200, contentType, body)
	s.pages[path] = &p
	s.certified.Insert(p.proof)
}

func newPage(at asset.Path, status uint16, contentType string, body []byte) page {
	headers := []asset.Header{
		{Name: "content-type", Value: contentType},
		{Name: "access-control-allow-origin", Value: "*"},
		{Name: "x-content-type-options", Value: "nosniff"},
		{Name: "x-frame-options", Value: "DENY"},
	}
	e := &asset.Expression{Scope: asset.ScopeResponse, Exclude: true}
	hash := hashtree.Hash(sha256.Sum256(body))
	p := page{status: status, body: body, proof: asset.Certify(at, e, nil, &asset.Response{Status: status, Headers: headers, BodyHash: &hash})}
	p.headers = append(headers, asset.Header{Name: asset.ExpressionHeader, Value: e.String()})
	return p
}

// tree is the part of the certified tree that is about HTTP.
func (s *site) tree() hashtree.Tree { return hashtree.Pruned(s.certified.Root()) }

// http answers a request. The page is proved together with the hash of what was signed.
func (s *store) http(req *httpRequest, certificate []byte) httpResponse {
	path, _, _ := strings.Cut(req.URL, "?")
	p := s.site.pages[path]
	if p == nil {
		p = &s.site.nothing
	}
	resp := httpResponse{Status: p.status, Body: p.body}
	for _, h := range p.headers {
		resp.Headers = append(resp.Headers, headerField{h.Name, h.Value})
	}
	witness, err := s.site.certified.Witness(p.proof, req.URL)
	if err != nil {
		return httpResponse{Status: 400, Body: []byte(err.Error())}
	}
	signed := &hashtree.Labeled{Label: []byte(sigLabel), Sub: s.signatures.tree}
	all := &hashtree.Fork{Left: witness, Right: hashtree.Pruned(signed.Hash())}
	resp.Headers = append(resp.Headers, headerField{asset.CertificateHeader, asset.CertificateHeaderValue(certificate, all, p.proof.Path)})
	return resp
}
