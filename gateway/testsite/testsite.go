// Package testsite is a network with a few canisters that serve web pages, for
// tests of gateways and browsers. Its keys are public and guard nothing; its
// certificates are real in every other respect.
package testsite

import (
	"cmp"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"time"

	"portico/lightclient/asset"
	"portico/lightclient/candid"
	"portico/lightclient/cbor"
	"portico/lightclient/envelope"
	"portico/lightclient/fakenet"
	"portico/lightclient/principal"
)

// The canisters of a Site, by what they do.
func (*Site) Web() principal.ID     { return principal.Canister(1) } // serves Pages
func (*Site) Stopped() principal.ID { return principal.Canister(2) }
func (*Site) Broke() principal.ID   { return principal.Canister(3) } // out of cycles
func (*Site) Mute() principal.ID    { return principal.Canister(4) } // has no http_request
func (*Site) Missing() principal.ID { return principal.Canister(5) }

// Site is the network and its web canister.
type Site struct {
	Net     *fakenet.Network
	Replica *fakenet.Replica
	// Pages are the assets of the web canister by path. They must not change
	// once the first request came.
	Pages map[string]Page

	once    sync.Once
	tree    asset.Tree
	chunks  map[string][]asset.Certified // of pages with ranges
	mu      sync.Mutex
	counter int
}

// Page is an asset with its headers. Chunk, if not 0, is the size of the parts in
// which the body comes: from a streaming callback or, with Ranges, as answers of
// status 206 that are certified one by one. An open page is one that the canister certifies not
// to certify. Status is 200 if it is 0.
type Page struct {
	Headers []asset.Header
	Body    []byte
	Chunk   int
	Ranges  bool
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
	s := &Site{Net: fakenet.New(seed), Pages: pages}
	s.Replica = &fakenet.Replica{Net: s.Net, Now: time.Now, Answer: s.answer}
	return s
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
	w.Header().Set("Content-Length", strconv.Itoa(len(reply)))
	w.WriteHeader(status)
	_, _ = w.Write(reply)
}

func (s *Site) answer(r *envelope.Request) fakenet.Outcome {
	switch r.Canister {
	case s.Web():
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
		return s.httpRequest(r.Arg)
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
// is besides its path.
func (s *Site) httpRequest(arg []byte) fakenet.Outcome {
	values, err := candid.Decode(arg, candid.RecordOf(
		candid.F("url", candid.TextType), candid.F("headers", candid.VecOf(candid.TupleOf(candid.TextType, candid.TextType))),
	))
	if err != nil {
		return fakenet.Outcome{Code: 5, ErrorCode: "IC0503", Message: err.Error()}
	}
	request := values[0].(candid.Record)
	url := string(request.Get("url").(candid.Text))
	path, _, _ := strings.Cut(url, "?")
	switch path {
	case CounterPath:
		return reply(httpResponse{status: 200, upgrade: true})
	case UncertifiedPath:
		return reply(httpResponse{status: 200, body: []byte("believe me")})
	}
	s.once.Do(s.certify)
	p, ok := s.Pages[path]
	place, c, headers, status := asset.Exact(path), asset.Certified{}, p.Headers, 200
	switch {
	case ok && p.Ranges && len(p.Body) > p.Chunk:
		n := min(firstByte(request.Get("headers").(candid.Vec)), len(p.Body)-1) / p.Chunk
		c, p.Body = s.chunks[path][n], p.Body[n*p.Chunk:min((n+1)*p.Chunk, len(p.Body))]
		headers, status = s.chunkHeaders(path, n), 206
	case ok:
		status = cmp.Or(p.Status, status)
		c = certify(place, p, status)
	default:
		p, status, place = notFound(), 404, asset.Wildcard("")
		c, headers = certify(place, p, status), p.Headers
	}
	witness, err := s.tree.Witness(c, url)
	if err != nil {
		panic(err) // the place is made for the URL
	}
	certificate := s.Net.CertifyData(s.Replica.Now(), s.Web(), s.tree.Root())
	headers = append(headers[:len(headers):len(headers)],
		asset.Header{Name: asset.ExpressionHeader, Value: expression(p).String()},
		asset.Header{Name: asset.CertificateHeader, Value: asset.CertificateHeaderValue(certificate, witness, place)})
	out := httpResponse{status: status, headers: headers, body: p.Body}
	if p.Chunk > 0 && !p.Ranges && len(p.Body) > p.Chunk {
		out.body, out.token = p.Body[:p.Chunk], token(path, p.Chunk)
		out.canister = s.Web()
	}
	return reply(out)
}

// firstByte reads "bytes=N-" among the headers of a request.
func firstByte(headers candid.Vec) int {
	for _, h := range headers {
		pair := h.(candid.Record)
		if strings.EqualFold(string(pair.At(0).(candid.Text)), "range") {
			from, _, _ := strings.Cut(strings.TrimPrefix(string(pair.At(1).(candid.Text)), "bytes="), "-")
			n, _ := strconv.Atoi(from)
			return max(0, n)
		}
	}
	return 0
}

func (s *Site) chunkHeaders(path string, n int) []asset.Header {
	p := s.Pages[path]
	span := fmt.Sprintf("bytes %d-%d/%d", n*p.Chunk, min((n+1)*p.Chunk, len(p.Body))-1, len(p.Body))
	return append(p.Headers[:len(p.Headers):len(p.Headers)], asset.Header{Name: "content-range", Value: span})
}

func (s *Site) certifyChunks(path string, p Page) {
	for at := 0; at < len(p.Body); at += p.Chunk {
		part := Page{Headers: s.chunkHeaders(path, at/p.Chunk), Body: p.Body[at:min(at+p.Chunk, len(p.Body))]}
		c := certify(asset.Exact(path), part, 206)
		s.tree.Insert(c)
		s.chunks[path] = append(s.chunks[path], c)
	}
}

func (s *Site) certify() {
	s.chunks = map[string][]asset.Certified{}
	for path, p := range s.Pages {
		if p.Ranges && len(p.Body) > p.Chunk {
			s.certifyChunks(path, p)
			continue
		}
		s.tree.Insert(certify(asset.Exact(path), p, cmp.Or(p.Status, 200)))
	}
	s.tree.Insert(certify(asset.Wildcard(""), notFound(), 404))
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
