package main

import (
	"strconv"
	"strings"
	"unicode/utf8"

	"portico/lightclient/asset"
	"portico/lightclient/candid"
)

// exchange is one http_request being answered.
type exchange struct {
	*store
	req         *httpRequest
	path        string // percent-decoded, as verifiers see it
	certificate []byte // nil if the system gives none
	replicated  bool   // the answer is the reply to a call
	callback    candid.Func
}

// http serves http_request and, replicated, http_request_update. callback is where gateways
// fetch the rest of long bodies.
func (s *store) http(req *httpRequest, certificate []byte, replicated bool, callback candid.Func) *httpResponse {
	path, ok := decodePath(req.URL)
	if !ok {
		return &httpResponse{Status: 400, Body: []byte("the path of the URL is not UTF-8")}
	}
	x := &exchange{s, req, place(path), certificate, replicated, callback}
	if location, ok := x.certifiedLocation(); ok {
		return &httpResponse{Status: 308, Headers: []headerField{{"location", location}}}
	}
	if !replicated && (req.CertificateVersion == nil || *req.CertificateVersion < 2) {
		return x.answerVersion1(path)
	}
	if key, f := s.find(x.path); f != nil {
		return x.answer(key, f)
	}
	if r := s.redirect(x.path, false); r != nil {
		return x.follow(r)
	}
	return x.fallback()
}

// answer serves an asset at its own path or an alias.
func (x *exchange) answer(key string, f *file) *httpResponse {
	exact := asset.Exact(x.path)
	name, e := f.negotiate(x.header("accept-encoding"))
	if x.has(e) {
		return x.notModified(e, exact)
	}
	if i, c, ok := x.part(e); ok {
		body, err := x.space.slice(e.content, uint64(i)*chunkBytes, chunkBytes)
		if err != nil {
			return unreadable(err)
		}
		headers := e.partHeaders(e.answers.headers, i)
		for j := range headers {
			if headers[j].Name == asset.ExpressionHeader {
				headers[j].Value = forHeader(rangeHeader).String()
			}
		}
		return x.respond(206, headers, body, at(exact, c))
	}
	return x.body(200, key, name, e, at(exact, e.answers.ok))
}

// has reports whether the client has an encoding already.
func (x *exchange) has(e *encoding) bool {
	return x.req.Method == "GET" && x.header(ifNoneMatch) == e.etag()
}

func (x *exchange) notModified(e *encoding, p asset.Path) *httpResponse {
	headers := append(notModifiedHeaders(e.answers.headers), asset.Header{Name: asset.ExpressionHeader, Value: forHeader(ifNoneMatch).String()})
	return x.respond(304, headers, nil, at(p, e.answers.notModified))
}

// part is which piece of a long content to send, and its certification. A request
// without a range gets the first one: gateways ask for the others and verify each,
// whereas a body that comes by callbacks can be verified only once all of it is there.
// Pieces are certified as they are, so only ranges from the beginning of one to the
// end get one; other ranges get the whole asset, which they must accept.
func (x *exchange) part(e *encoding) (int, asset.Certified, bool) {
	if x.req.Method != "GET" || len(e.answers.parts) == 0 {
		return 0, asset.Certified{}, false
	}
	value := x.header(rangeHeader)
	if value == "" {
		return 0, e.answers.first, true
	}
	if when := x.header("if-range"); when != "" && when != e.etag() {
		return 0, asset.Certified{}, false
	}
	from, err := strconv.ParseUint(strings.TrimSuffix(strings.TrimPrefix(value, "bytes="), "-"), 10, 64)
	if err != nil || from%chunkBytes != 0 || from >= e.size || rangeFrom(from) != value {
		return 0, asset.Certified{}, false
	}
	i := int(from / chunkBytes)
	return i, e.answers.parts[i], true
}

// fallback serves what the nearest rule or 404.html says, else /index.html, else a short
// text.
func (x *exchange) fallback() *httpResponse {
	dir := strings.TrimSuffix(x.path, "/")
	for {
		if r := x.redirect(dir, true); r != nil {
			return x.follow(r)
		}
		if key, f := x.at(dir + notFoundFile); f != nil {
			name, e := f.negotiate(x.header("accept-encoding"))
			return x.body(404, key, name, e, at(asset.Wildcard(dir), e.answers.notFound))
		}
		i := strings.LastIndexByte(dir, '/')
		if i < 0 {
			break
		}
		dir = dir[:i]
	}
	if key, f := x.at(indexFile); f != nil {
		name, e := f.negotiate(x.header("accept-encoding"))
		if x.has(e) {
			return x.notModified(e, asset.Wildcard(""))
		}
		return x.body(200, key, name, e, at(asset.Wildcard(""), e.answers.ok))
	}
	headers := append(nothingHereHeaders(), asset.Header{Name: asset.ExpressionHeader, Value: plainExpression().String()})
	return x.respond(404, headers, []byte(nothingHereBody), x.nothing)
}

// body answers with an encoding, the first piece at once.
func (x *exchange) body(status uint16, key, name string, e *encoding, c asset.Certified) *httpResponse {
	body, err := x.space.slice(e.content, 0, chunkBytes)
	if err != nil {
		return unreadable(err)
	}
	resp := x.respond(status, e.answers.headers, body, c)
	x.stream(resp, key, name, e)
	return resp
}

func (x *exchange) stream(resp *httpResponse, key, name string, e *encoding) {
	token := nextToken(key, name, e, 0)
	if token == nil {
		return
	}
	resp.Streaming = &streamingStrategy{}
	resp.Streaming.Callback = &struct {
		Callback streamingCallback `candid:"callback"`
		Token    streamingToken    `candid:"token"`
	}{streamingCallback(x.callback), *token}
}

// nextToken names the piece after one, or is nil after the last.
func nextToken(key, name string, e *encoding, index uint64) *streamingToken {
	if index+1 >= e.pieces() {
		return nil
	}
	sum := e.sha256[:]
	return &streamingToken{Key: key, Encoding: name, Index: index + 1, SHA256: &sum}
}

// streamed serves http_request_streaming_callback.
func (s *store) streamed(t *streamingToken) (*streamedBody, error) {
	b, e, err := s.piece(t.Key, t.Encoding, t.Index, t.SHA256)
	if err != nil {
		return nil, err
	}
	return &streamedBody{b, nextToken(t.Key, t.Encoding, e, t.Index)}, nil
}

// respond adds the certificate to an answer.
func (x *exchange) respond(status uint16, headers []asset.Header, body []byte, c asset.Certified) *httpResponse {
	resp := &httpResponse{Status: status, Body: body, Headers: make([]headerField, 0, len(headers)+1)}
	for _, h := range headers {
		resp.Headers = append(resp.Headers, headerField{h.Name, h.Value})
	}
	if x.certificate == nil {
		return resp
	}
	witness, err := x.tree.Witness(c, x.req.URL)
	if err != nil {
		return unreadable(err)
	}
	resp.Headers = append(resp.Headers, headerField{asset.CertificateHeader, asset.CertificateHeaderValue(x.certificate, witness, c.Path)})
	return resp
}

// answerVersion1 serves gateways that know bodies alone: one encoding of each asset.
// They look paths up as they are, empty parts included.
func (x *exchange) answerVersion1(path string) *httpResponse {
	key, f := x.find(x.path)
	if f == nil || path != x.path {
		key, f = x.at(indexFile)
	}
	resp := &httpResponse{Status: 404, Headers: []headerField{{"content-type", "text/plain"}}, Body: []byte(nothingHereBody)}
	if f.served() {
		name, e := f.forVersion1()
		body, err := x.space.slice(e.content, 0, chunkBytes)
		if err != nil {
			return unreadable(err)
		}
		resp.Status, resp.Body, resp.Headers = 200, body, nil
		for _, h := range e.answers.headers {
			if h.Name != asset.ExpressionHeader {
				resp.Headers = append(resp.Headers, headerField{h.Name, h.Value})
			}
		}
		x.stream(resp, key, name, e)
	}
	if x.certificate == nil {
		return resp
	}
	witness, err := x.tree.WitnessBody(x.req.URL)
	if err != nil {
		return unreadable(err)
	}
	resp.Headers = append(resp.Headers, headerField{asset.CertificateHeader, asset.BodyCertificateHeaderValue(x.certificate, witness)})
	return resp
}

func unreadable(err error) *httpResponse {
	return &httpResponse{Status: 500, Body: []byte(err.Error())}
}

// header is the first value of a request header.
func (x *exchange) header(name string) string {
	for _, h := range x.req.Headers {
		if strings.EqualFold(h.Name, name) {
			return h.Value
		}
	}
	return ""
}

// certifiedLocation is where an asset is to be fetched that may not be fetched
// uncertified, through a host whose name has the label "raw".
func (x *exchange) certifiedLocation() (string, bool) {
	host := x.header("host")
	before, after, raw := strings.Cut(host, ".raw.")
	if !raw {
		return "", false
	}
	_, f := x.find(x.path)
	if f == nil {
		_, f = x.at(indexFile)
	}
	if f == nil || f.rawAccess == nil || *f.rawAccess {
		return "", false
	}
	scheme := "https://"
	if name, _, _ := strings.Cut(after, ":"); name == "localhost" || strings.HasSuffix(name, ".localhost") {
		scheme = "http://"
	}
	return scheme + before + "." + after + x.req.URL, true
}

// negotiate picks the smallest encoding that a client accepts. Whoever accepts none
// gets the first one by preference.
func (f *file) negotiate(accept string) (name string, e *encoding) {
	for offer := range strings.SplitSeq(accept, ",") {
		offer, quality, _ := strings.Cut(strings.TrimSpace(offer), ";")
		offer = strings.ToLower(strings.TrimSpace(offer))
		if enc := f.encodings[offer]; enc != nil && !refused(quality) && (e == nil || enc.size < e.size) {
			name, e = offer, enc
		}
	}
	if id := f.encodings["identity"]; id != nil && (e == nil || id.size < e.size) {
		return "identity", id
	}
	if e == nil {
		return f.forVersion1()
	}
	return name, e
}

// refused tells a quality of zero.
func refused(quality string) bool {
	q, ok := strings.CutPrefix(strings.ReplaceAll(quality, " ", ""), "q=")
	v, err := strconv.ParseFloat(q, 32)
	return ok && err == nil && v == 0
}

// decodePath is the percent-decoded path of a URL, as verifiers read it: a percent
// sign that no two hexadecimal digits follow stays.
func decodePath(url string) (string, bool) {
	path, _, _ := strings.Cut(url, "#")
	path, _, _ = strings.Cut(path, "?")
	if strings.IndexByte(path, '%') < 0 {
		return path, utf8.ValidString(path)
	}
	b := make([]byte, 0, len(path))
	for i := 0; i < len(path); i++ {
		if path[i] == '%' && i+2 < len(path) {
			if v, err := strconv.ParseUint(path[i+1:i+3], 16, 8); err == nil {
				b = append(b, byte(v))
				i += 2
				continue
			}
		}
		b = append(b, path[i])
	}
	return string(b), utf8.Valid(b)
}
