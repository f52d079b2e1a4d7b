// Package testsite is a network with a few canisters that serve web pages, for
// tests of gateways and browsers. Its keys are public and guard nothing; its
// certificates are real in every other respect.
package testsite

import (
	"cmp"
	"encoding/base64"
	"io"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"portico/lightclient/asset"
	"portico/lightclient/candid"
	"portico/lightclient/cbor"
	"portico/lightclient/envelope"
	"portico/lightclient/fakenet"
	"portico/lightclient/principal"
)

// The canisters of a Site, by what they do.
func (*Site) Web() principal.ID       { return principal.Canister(1) } // serves Pages
func (*Site) Stopped() principal.ID   { return principal.Canister(2) }
func (*Site) Broke() principal.ID     { return principal.Canister(3) } // out of cycles
func (*Site) Mute() principal.ID      { return principal.Canister(4) } // has no http_request
func (*Site) Missing() principal.ID   { return principal.Canister(5) }
func (*Site) Neighbour() principal.ID { return principal.Canister(6) } // serves NeighbourPages

// Site is the network and its web canister.
type Site struct {
	Net     *fakenet.Network
	Replica *fakenet.Replica
	// Pages are the assets of the web canister by path. Once the first request came
	// only Replace may change them.
	Pages map[string]Page
	// NeighbourPages are those of another web canister of the same subnet.
	NeighbourPages map[string]Page
	// Impersonate, if set, is the canister that answers whoever was asked.
	Impersonate atomic.Pointer[principal.ID]

	mu      sync.Mutex                   // guards what follows, and pages from the first request on
	trees   map[principal.ID]*asset.Tree // of what web canisters certify
	pieces  map[string][]asset.Certified // of long pages
	counter int
}

// Page is an asset with its headers. Chunk, if not 0, is the size of the parts in
// which the body is streamed; Piece, if not 0, that of the pieces that are certified
// each for itself, for requests with a range from the beginning of one on. A long page gives
// nothing but such pieces, whatever the request. An open
// page is one that the canister certifies not to certify. Status is 200 if it is 0.
type Page struct {
	Headers []asset.Header
	Body    []byte
	Chunk   int
	Piece   int
	Long    bool
	Open    bool
	Status  int
}

// Paths of the web canister that are no assets.
const (
	CounterPath     = "/counter"     // an update raises a counter and answers with it
	UncertifiedPath = "/uncertified" // an answer without certificate
)

// New makes the network, with keys derived from a seed.
func New(seed string, pages map[string]Page) *Site {
	s := &Site{Net: fakenet.New(seed), Pages: pages, trees: map[principal.ID]*asset.Tree{}, pieces: map[string][]asset.Certified{}}
	s.Replica = &fakenet.Replica{Net: s.Net, Now: time.Now, Answer: s.answer}
	return s
}

// Replace changes an asset of the web canister.
func (s *Site) Replace(path string, p Page) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.Pages[path] = p
	delete(s.trees, s.Web())
}

// RootKey is the key that clients need, DER.
func (s *Site) RootKey() []byte { return s.Net.RootKey() }

// ServeHTTP is the API of the replica.
func (s *Site) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if r.URL.Path == "/api/v2/status" {
		m := &cbor.Map{}
		m.Set("replica_health_status", cbor.Text("healthy"))
		m.Set("root_key", cbor.Bytes(s.RootKey()))
		_, _ = w.Write(cbor.AppendValue(cbor.AppendSelfDescribe(nil), m))
		return
	}
	body, err := io.ReadAll(r.Body)
	if err != nil {
		w.WriteHeader(http.StatusBadRequest)
		return
	}
	status, reply, err := s.Replica.Post(r.Context(), r.URL.Path, body)
	if err != nil {
		panic(http.ErrAbortHandler)
	}
	w.Header().Set("Content-Type", "application/cbor")
	w.WriteHeader(status)
	_, _ = w.Write(reply)
}

func (s *Site) answer(r *envelope.Request) fakenet.Outcome {
	canister := r.Canister
	if other := s.Impersonate.Load(); other != nil {
		canister = *other
	}
	switch canister {
	case s.Web(), s.Neighbour():
	case s.Stopped():
		return fakenet.Outcome{Code: 5, ErrorCode: "IC0508", Message: "Canister " + r.Canister.String() + " is stopped"}
	case s.Broke():
		return fakenet.Outcome{Code: 2, ErrorCode: "IC0207", Message: "Canister " + r.Canister.String() + " is out of cycles"}
	case s.Mute():
		return fakenet.Outcome{Code: 5, ErrorCode: "IC0536", Message: "Canister has no query method '" + r.Method + "'"}
	default:
		return fakenet.Outcome{Code: 3, ErrorCode: "IC0301", Message: "Canister " + r.Canister.String() + " not found"}
	}
	switch r.Method {
	case "http_request":
		s.mu.Lock()
		defer s.mu.Unlock()
		return s.httpRequest(canister, r.Arg)
	case "http_request_update":
		s.mu.Lock()
		defer s.mu.Unlock()
		s.counter++
		return reply(httpResponse{status: 200, headers: []asset.Header{{Name: "content-type", Value: "text/plain"}}, body: []byte(strconv.Itoa(s.counter))})
	case "more":
		return s.more(r.Arg)
	default:
		return fakenet.Outcome{Code: 5, ErrorCode: "IC0536", Message: "no method " + r.Method}
	}
}

// httpRequest answers like an asset canister: certified, whatever the request
// is besides its path and, for pieces, its range. The caller holds the lock.
func (s *Site) httpRequest(canister principal.ID, arg []byte) fakenet.Outcome {
	req, err := decodeRequest(arg)
	if err != nil {
		return fakenet.Outcome{Code: 5, ErrorCode: "IC0503", Message: err.Error()}
	}
	path, _, _ := strings.Cut(req.URL, "?")
	switch path {
	case CounterPath:
		return reply(httpResponse{status: 200, upgrade: true})
	case UncertifiedPath:
		return reply(httpResponse{status: 200, body: []byte("believe me")})
	}
	pages := s.Pages
	if canister == s.Neighbour() {
		pages = s.NeighbourPages
	}
	p, ok := pages[path]
	place, status := asset.Exact(path), cmp.Or(p.Status, 200)
	if !ok {
		p, status, place = notFound(), 404, asset.Wildcard("")
	}
	status = cmp.Or(p.Status, status)
	out := httpResponse{status: status, headers: p.Headers, body: p.Body}
	tree := s.tree(canister, pages)
	var c asset.Certified
	rules := expression(p)
	if from, ok := p.piece(req); ok {
		resp := p.answer(from)
		out.status, out.headers, out.body = int(resp.Status), resp.Headers, resp.Body
		if p.Long {
			c = s.pieces[path][from/p.Piece]
		} else {
			c, rules = certifyPiece(place, p, from), forRange()
		}
	} else {
		c = certify(place, p, status)
		if p.Chunk > 0 && len(p.Body) > p.Chunk {
			out.body, out.token = p.Body[:p.Chunk], token(path, p.Chunk)
			out.canister = canister
		}
	}
	witness, err := tree.Witness(c, req.URL)
	if err != nil {
		panic(err) // the place is made for the URL
	}
	certificate := s.Net.CertifyData(s.Replica.Now(), canister, tree.Root())
	out.headers = append(out.headers[:len(out.headers):len(out.headers)],
		asset.Header{Name: asset.ExpressionHeader, Value: rules.String()},
		asset.Header{Name: asset.CertificateHeader, Value: asset.CertificateHeaderValue(certificate, witness, place)})
	return reply(out)
}

func decodeRequest(arg []byte) (*asset.Request, error) {
	header := candid.TupleOf(candid.TextType, candid.TextType)
	values, err := candid.Decode(arg, candid.RecordOf(candid.F("method", candid.TextType), candid.F("url", candid.TextType), candid.F("headers", candid.VecOf(header))))
	if err != nil {
		return nil, err
	}
	record := values[0].(candid.Record)
	req := &asset.Request{Method: string(record.Get("method").(candid.Text)), URL: string(record.Get("url").(candid.Text))}
	for _, h := range record.Get("headers").(candid.Vec) {
		pair := h.(candid.Record)
		req.Headers = append(req.Headers, asset.Header{Name: string(pair.At(0).(candid.Text)), Value: string(pair.At(1).(candid.Text))})
	}
	return req, nil
}

// tree is what a web canister certifies.
func (s *Site) tree(canister principal.ID, pages map[string]Page) *asset.Tree {
	if t := s.trees[canister]; t != nil {
		return t
	}
	t := &asset.Tree{}
	for path, p := range pages {
		if !p.Long {
			t.Insert(certify(asset.Exact(path), p, cmp.Or(p.Status, 200)))
		}
		delete(s.pieces, path)
		for from := 0; p.Piece > 0 && from < len(p.Body); from += p.Piece {
			c := certifyPiece(asset.Exact(path), p, from)
			if p.Long {
				c = asset.Certify(asset.Exact(path), expression(p), nil, p.answer(from))
				s.pieces[path] = append(s.pieces[path], c)
			}
			t.Insert(c)
		}
	}
	t.Insert(certify(asset.Wildcard(""), notFound(), 404))
	s.trees[canister] = t
	return t
}

const rangeHeader = "range"

// piece is where the piece begins that a request asks for, or that it gets of a long page.
func (p Page) piece(req *asset.Request) (from int, ok bool) {
	if p.Piece == 0 {
		return 0, false
	}
	for _, h := range req.Headers {
		if !strings.EqualFold(h.Name, rangeHeader) {
			continue
		}
		text, _, _ := strings.Cut(strings.TrimPrefix(h.Value, "bytes="), "-")
		from, err := strconv.Atoi(text)
		inside := err == nil && from >= 0 && from < len(p.Body)
		if p.Long && inside {
			from -= from % p.Piece
		}
		return from, inside && from%p.Piece == 0
	}
	return 0, p.Long
}

// answer is the answer with the piece that begins at an offset.
func (p Page) answer(from int) *asset.Response {
	end := min(from+p.Piece, len(p.Body))
	span := "bytes " + strconv.Itoa(from) + "-" + strconv.Itoa(end-1) + "/" + strconv.Itoa(len(p.Body))
	headers := append(p.Headers[:len(p.Headers):len(p.Headers)], asset.Header{Name: "content-range", Value: span})
	return &asset.Response{Status: 206, Headers: headers, Body: p.Body[from:end]}
}

func forRange() *asset.Expression {
	return &asset.Expression{Scope: asset.ScopeFull, RequestHeaders: []string{rangeHeader}, Exclude: true}
}

func certifyPiece(place asset.Path, p Page, from int) asset.Certified {
	req := &asset.Request{Method: "GET", Headers: []asset.Header{{Name: rangeHeader, Value: "bytes=" + strconv.Itoa(from) + "-"}}}
	return asset.Certify(place, forRange(), req, p.answer(from))
}

func notFound() Page {
	return Page{Headers: []asset.Header{{Name: "content-type", Value: "text/plain"}}, Body: []byte("nothing here")}
}

func expression(p Page) *asset.Expression {
	if p.Open {
		return &asset.Expression{Scope: asset.ScopeNothing}
	}
	return &asset.Expression{Scope: asset.ScopeResponse, Exclude: true}
}

func certify(place asset.Path, p Page, status int) asset.Certified {
	return asset.Certify(place, expression(p), nil, &asset.Response{Status: uint16(status), Headers: p.Headers, Body: p.Body})
}

// token is "path offset".
func token(path string, offset int) string { return path + " " + strconv.Itoa(offset) }

func (s *Site) more(arg []byte) fakenet.Outcome {
	values, err := candid.Decode(arg, candid.TextType)
	if err != nil {
		return fakenet.Outcome{Code: 5, ErrorCode: "IC0503", Message: err.Error()}
	}
	path, at, _ := strings.Cut(string(values[0].(candid.Text)), " ")
	offset, err := strconv.Atoi(at)
	p := s.Pages[path]
	if err != nil || offset > len(p.Body) {
		return fakenet.Outcome{Code: 5, ErrorCode: "IC0503", Message: "bad token"}
	}
	end := min(offset+p.Chunk, len(p.Body))
	next := candid.Opt{}
	if end < len(p.Body) {
		next.Value = candid.Text(token(path, end))
	}
	return encode(
		field{"body", candid.BlobType(), candid.Blob(p.Body[offset:end])},
		field{"token", candid.OptOf(candid.TextType), next},
	)
}

type httpResponse struct {
	status   int
	headers  []asset.Header
	body     []byte
	upgrade  bool
	token    string // of the streaming callback, if any
	canister principal.ID
}

func reply(r httpResponse) fakenet.Outcome {
	headers := candid.Vec{}
	for _, h := range r.headers {
		headers = append(headers, candid.Record{{ID: 0, Value: candid.Text(h.Name)}, {ID: 1, Value: candid.Text(h.Value)}})
	}
	fields := []field{
		{"status_code", candid.Nat16Type, candid.Nat16(r.status)},
		{"headers", candid.VecOf(candid.TupleOf(candid.TextType, candid.TextType)), headers},
		{"body", candid.BlobType(), candid.Blob(r.body)},
		{"upgrade", candid.OptOf(candid.BoolType), candid.Opt{Value: candid.Bool(r.upgrade)}},
	}
	if r.token != "" {
		fields = append(fields, strategy(r))
	}
	return encode(fields...)
}

func strategy(r httpResponse) field {
	function := &candid.FuncType{
		Args:        candid.Args(candid.TextType),
		Results:     candid.Args(candid.RecordOf(candid.F("body", candid.BlobType()), candid.F("token", candid.OptOf(candid.TextType)))),
		Annotations: candid.Query,
	}
	t, v := record(
		field{"callback", function, candid.Func{Service: r.canister, Method: "more"}},
		field{"token", candid.TextType, candid.Text(r.token)},
	)
	return field{
		"streaming_strategy", candid.OptOf(candid.VariantOf(candid.F("Callback", t))),
		candid.Opt{Value: candid.Variant{ID: candid.Hash("Callback"), Value: v}},
	}
}

type field struct {
	name  string
	typ   candid.Type
	value candid.Value
}

func record(fields ...field) (*candid.RecordType, candid.Record) {
	var types []candid.FieldType
	values := map[uint32]candid.Value{}
	for _, f := range fields {
		types = append(types, candid.F(f.name, f.typ))
		values[candid.Hash(f.name)] = f.value
	}
	t := candid.RecordOf(types...)
	v := make(candid.Record, len(t.Fields))
	for i, f := range t.Fields {
		v[i] = candid.Field{ID: f.ID, Value: values[f.ID]}
	}
	return t, v
}

func encode(fields ...field) fakenet.Outcome {
	t, v := record(fields...)
	b, err := candid.Encode([]candid.Type{t}, []candid.Value{v})
	if err != nil {
		panic(err) // the values are of their types
	}
	return fakenet.Outcome{Reply: b}
}

// FlipInside changes one byte of a base64 field of the certificate's header, such as
// "tree" or "certificate": the first one after a mark in what it encodes, or the last
// one without a mark. Ok is false if there is no such field or mark.
func FlipInside(body []byte, field, mark string) (changed []byte, ok bool) {
	begin := strings.Index(string(body), field+"=:")
	if begin < 0 {
		return body, false
	}
	begin += len(field) + 2
	end := strings.IndexByte(string(body[begin:]), ':')
	if end < 0 {
		return body, false
	}
	inner, err := base64.StdEncoding.DecodeString(string(body[begin : begin+end]))
	if err != nil {
		return body, false
	}
	at := len(inner) - 1
	if mark != "" {
		i := strings.LastIndex(string(inner), mark)
		if at = i + len(mark); i < 0 || at >= len(inner) {
			return body, false
		}
	}
	inner[at] ^= 1
	changed = append([]byte{}, body...)
	base64.StdEncoding.Encode(changed[begin:], inner)
	return changed, true
}

// Flip changes one byte of an answer of the replica: the first one after a mark
// in it. Ok is false if the mark is not there.
func Flip(body, mark []byte) (changed []byte, ok bool) {
	at := strings.Index(string(body), string(mark))
	if at < 0 || at+len(mark) >= len(body) {
		return body, false
	}
	changed = append([]byte{}, body...)
	changed[at+len(mark)] ^= 1
	return changed, true
}
