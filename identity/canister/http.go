package main

import (
	"crypto/sha256"
	"encoding/json"
	"strings"

	"portico/lightclient/asset"
	"portico/lightclient/hashtree"
)

// site is what the canister serves over HTTP, all of it certified: the pages of Internet
// Identity, what they load, a few files that other programs read, and that there is
// nothing else.
type site struct {
	certified asset.Tree
	places    map[string]answers // by path
	nothing   answers            // wherever there is nothing else
}

// answers are what is at one path, in one encoding or several, the best first. The last
// one is not encoded, so that there is one for everybody.
type answers []answer

// answer is one certified answer.
type answer struct {
	encoding string // of the content, "" for none
	status   uint16
	headers  []asset.Header
	body     []byte
	proof    asset.Certified
}

// resource is something to be served: its content and what is said about it.
type resource struct {
	status  uint16
	headers []asset.Header
	plain   []byte
	encoded map[string][]byte // by content encoding
}

const (
	jsonType = "application/json"

	// webAuthnPath lists origins that may use this one's passkeys (WebAuthn level 3,
	// "Related Origin Requests").
	webAuthnPath = "/.well-known/webauthn"
	// cliPath tells command line tools where to send people.
	cliPath   = "/.well-known/cli-auth-config"
	cliConfig = `{"path":"/cli"}`
)

// build certifies what there is: files for programs, which any page may read, and the
// pages, if the canister was built with them.
func (s *site) build(origins []string, pages pages) error {
	related, err := json.Marshal(struct {
		Origins []string `json:"origins"`
	}{origins})
	if err != nil {
		return err
	}
	*s = site{places: map[string]answers{}}
	open := append(common(jsonType), asset.Header{Name: "access-control-allow-origin", Value: "*"})
	s.add(webAuthnPath, resource{200, open, related, nil})
	s.add(cliPath, resource{200, open, []byte(cliConfig), nil})
	missing, err := pages.each(s.add)
	s.nothing = s.certify(asset.Wildcard(""), missing)
	return err
}

// common are the headers of everything: it is what it says it is, and nobody frames it.
func common(contentType string) []asset.Header {
	return []asset.Header{
		{Name: "content-type", Value: contentType},
		{Name: "x-content-type-options", Value: "nosniff"},
		{Name: "x-frame-options", Value: "DENY"},
		{Name: "referrer-policy", Value: "same-origin"},
	}
}

func (s *site) add(path string, r resource) { s.places[path] = s.certify(asset.Exact(path), r) }

// encodings are those of contents that gateways and browsers know, the best first.
func encodings() []string { return []string{"br", "gzip", ""} }

// certify certifies a resource in every encoding that there is of it.
func (s *site) certify(at asset.Path, r resource) answers {
	e := &asset.Expression{Scope: asset.ScopeResponse, Exclude: true}
	var out answers
	for _, encoding := range encodings() {
		body, there := r.encoded[encoding]
		headers := append([]asset.Header(nil), r.headers...)
		if len(r.encoded) > 0 {
			headers = append(headers, asset.Header{Name: "vary", Value: "accept-encoding"})
		}
		switch {
		case encoding == "":
			body = r.plain
		case !there:
			continue
		default:
			headers = append(headers, asset.Header{Name: "content-encoding", Value: encoding})
		}
		hash := hashtree.Hash(sha256.Sum256(body))
		a := answer{encoding: encoding, status: r.status, body: body}
		a.proof = asset.Certify(at, e, nil, &asset.Response{Status: r.status, Headers: headers, BodyHash: &hash})
		a.headers = append(headers, asset.Header{Name: asset.ExpressionHeader, Value: e.String()})
		s.certified.Insert(a.proof)
		out = append(out, a)
	}
	return out
}

// tree is the part of the certified tree that is about HTTP.
func (s *site) tree() hashtree.Tree { return hashtree.Pruned(s.certified.Root()) }

// http answers a request, of whatever method: what is certified is the whole answer to a
// GET, and gateways that are asked for its head alone take that from it. The answer is
// proved together with the hash of what was signed.
func (s *store) http(req *httpRequest, certificate []byte) httpResponse {
	path, _, _ := strings.Cut(req.URL, "?")
	here, found := s.site.places[path]
	if !found {
		here = s.site.nothing
	}
	a := here.accepted(req.header("accept-encoding"))
	resp := httpResponse{Status: a.status, Body: a.body}
	for _, h := range a.headers {
		resp.Headers = append(resp.Headers, headerField{h.Name, h.Value})
	}
	witness, err := s.site.certified.Witness(a.proof, req.URL)
	if err != nil {
		return httpResponse{Status: 400, Body: []byte(err.Error())}
	}
	signed := &hashtree.Labeled{Label: []byte(sigLabel), Sub: s.signatures.tree}
	all := &hashtree.Fork{Left: witness, Right: hashtree.Pruned(signed.Hash())}
	resp.Headers = append(resp.Headers, headerField{asset.CertificateHeader, asset.CertificateHeaderValue(certificate, all, a.proof.Path)})
	return resp
}

// accepted is the best answer for what a client says it can decode (RFC 9110, 12.5.3).
func (p answers) accepted(acceptEncoding string) *answer {
	accepts := map[string]bool{"": true}
	for _, part := range strings.Split(acceptEncoding, ",") {
		name, parameters, _ := strings.Cut(part, ";")
		weight, weighted := strings.CutPrefix(strings.TrimSpace(parameters), "q=")
		if !weighted || strings.Trim(weight, "0.") != "" {
			accepts[strings.ToLower(strings.TrimSpace(name))] = true
		}
	}
	for i := range p {
		if accepts[p[i].encoding] {
			return &p[i]
		}
	}
	return &p[len(p)-1]
}

// header is the first value of a header of the request, "" if it has none.
func (r *httpRequest) header(name string) string {
	for _, h := range r.Headers {
		if strings.EqualFold(h.Name, name) {
			return h.Value
		}
	}
	return ""
}
