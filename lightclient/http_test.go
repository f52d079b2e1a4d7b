package lightclient

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"testing"
	"time"

	"portico/lightclient/asset"
	"portico/lightclient/candid"
	"portico/lightclient/envelope"
	"portico/lightclient/fakenet"
	"portico/lightclient/principal"
)

// A web is a canister that serves certified HTTP.
type web struct {
	t       *testing.T
	replica *fakenet.Replica
	client  *Client
	tree    asset.Tree
	serve   map[string]func(r asset.Request, arg []byte) []byte // by method
}

func newWeb(t *testing.T) *web {
	w := &web{t: t, serve: map[string]func(asset.Request, []byte) []byte{}}
	w.client, w.replica = clientOf(func(r *envelope.Request) fakenet.Outcome {
		serve := w.serve[r.Method]
		if serve == nil {
			return fakenet.Outcome{Code: 3, Message: "no method " + r.Method, ErrorCode: "IC0536"}
		}
		var req asset.Request
		if strings.HasPrefix(r.Method, "http_request") {
			req = w.decode(r.Arg)
		}
		return fakenet.Outcome{Reply: serve(req, r.Arg)}
	})
	return w
}

func (w *web) decode(arg []byte) asset.Request {
	values, err := candid.Decode(arg, candid.RecordOf(
		candid.F("method", candid.TextType), candid.F("url", candid.TextType),
		candid.F("headers", headersType()), candid.F("body", candid.BlobType()),
	))
	if err != nil {
		w.t.Fatal(err)
	}
	r := values[0].(candid.Record)
	req := asset.Request{Method: string(r.Get("method").(candid.Text)), URL: string(r.Get("url").(candid.Text)), Body: r.Get("body").(candid.Blob)}
	for _, h := range r.Get("headers").(candid.Vec) {
		pair := h.(candid.Record)
		req.Headers = append(req.Headers, asset.Header{Name: string(pair.At(0).(candid.Text)), Value: string(pair.At(1).(candid.Text))})
	}
	return req
}

// An extra is what a response has besides status, headers and body.
type extra struct {
	upgrade  bool
	callback *candid.Func
	token    candid.Typed
}

func (w *web) encode(r *asset.Response, x extra) []byte {
	headers := candid.Vec{}
	for _, h := range r.Headers {
		headers = append(headers, candid.Record{{ID: 0, Value: candid.Text(h.Name)}, {ID: 1, Value: candid.Text(h.Value)}})
	}
	types := []candid.FieldType{candid.F("status_code", candid.Nat16Type), candid.F("headers", headersType()), candid.F("body", candid.BlobType()), candid.F("upgrade", candid.OptOf(candid.BoolType))}
	values := map[string]candid.Value{"status_code": candid.Nat16(r.Status), "headers": headers, "body": candid.Blob(r.Body), "upgrade": candid.Opt{Value: candid.Bool(x.upgrade)}}
	if x.callback != nil {
		record := candid.RecordOf(candid.F("callback", &candid.FuncType{Args: candid.Args(x.token.Type)}), candid.F("token", x.token.Type))
		v := candid.VariantOf(candid.F("Callback", record))
		types = append(types, candid.F("streaming_strategy", candid.OptOf(v)))
		values["streaming_strategy"] = candid.Opt{Value: candid.Variant{ID: candid.Hash("Callback"), Value: fields(record, map[string]candid.Value{"callback": *x.callback, "token": x.token.Value})}}
	}
	t := candid.RecordOf(types...)
	return w.message(t, fields(t, values))
}

func (w *web) message(t candid.Type, v candid.Value) []byte {
	b, err := candid.Encode([]candid.Type{t}, []candid.Value{v})
	if err != nil {
		w.t.Fatal(err)
	}
	return b
}

func fields(t *candid.RecordType, values map[string]candid.Value) candid.Record {
	r := make(candid.Record, len(t.Fields))
	for i, f := range t.Fields {
		r[i] = candid.Field{ID: f.ID, Value: values[f.Name]}
	}
	return r
}

var responseOnly = &asset.Expression{Scope: asset.ScopeResponse, ResponseHeaders: []string{"Content-Type", "Content-Range", "ETag"}}

// certify certifies responses at a path and returns each with its headers.
func (w *web) certify(p asset.Path, url string, responses ...*asset.Response) []*asset.Response {
	var entries []asset.Certified
	for _, r := range responses {
		entries = append(entries, asset.Certify(p, responseOnly, nil, r))
		w.tree.Insert(entries[len(entries)-1])
	}
	var out []*asset.Response
	for i, r := range responses {
		witness, err := w.tree.Witness(entries[i], url)
		if err != nil {
			w.t.Fatal(err)
		}
		c := *r
		c.Headers = append(slices.Clone(r.Headers), asset.Header{Name: asset.ExpressionHeader, Value: responseOnly.String()},
			asset.Header{Name: asset.CertificateHeader, Value: asset.CertificateHeaderValue(w.replica.Net.CertifyData(start, canister, w.tree.Root()), witness, p)})
		out = append(out, &c)
	}
	return out
}

func (w *web) get(url string, opt HTTPOptions, headers ...asset.Header) (*HTTPResponse, error) {
	return w.client.HTTPRequest(w.t.Context(), canister, &asset.Request{Method: "GET", URL: url, Headers: headers}, opt)
}

func page(body string) *asset.Response {
	return &asset.Response{Status: 200, Body: []byte(body), Headers: []asset.Header{{Name: "Content-Type", Value: "text/html"}}}
}

func TestHTTPRequestReturnsTheVerifiedPageWithoutAskingForNodes(t *testing.T) {
	w := newWeb(t)
	r := w.certify(asset.Exact("/"), "/?x=1", page("<h1>"))[0]
	w.serve["http_request"] = func(req asset.Request, _ []byte) []byte {
		if req.Method != "GET" || req.URL != "/?x=1" || len(req.Headers) > 1 {
			t.Errorf("%+v", req)
		}
		return w.encode(r, extra{})
	}
	got, err := w.get("/?x=1", HTTPOptions{}, asset.Header{Name: "accept", Value: "*/*"})
	if err != nil {
		t.Fatal(err)
	}
	if got.Status != 200 || string(got.Body) != "<h1>" || got.Next != nil || got.Report.Scope != asset.ScopeResponse || got.Report.Subnet != w.replica.Net.SubnetID() || !got.Report.Time.Equal(start) {
		t.Errorf("%+v", got)
	}
	if w.replica.Count("read_state") != 0 {
		t.Error("read state for a response that certifies itself")
	}
	r.Body = []byte("<h2>")
	_, err = w.get("/?x=1", HTTPOptions{})
	if e := wantError[*asset.Error](t, "changed", err); e != nil && e.Reason != asset.ReasonResponse {
		t.Error(err)
	}
	if got, err = w.get("/?x=1", HTTPOptions{Raw: true}); err != nil || string(got.Body) != "<h2>" || got.Report.Scope != asset.ScopeNothing {
		t.Errorf("raw: %+v, %v", got, err)
	}
}

func TestHTTPRequestChecksTheNodeWhereNothingIsCertified(t *testing.T) {
	w := newWeb(t)
	none := &asset.Expression{}
	c := asset.Certify(asset.Wildcard(""), none, nil, nil)
	w.tree.Insert(c)
	witness, _ := w.tree.Witness(c, "/")
	r := page("any")
	r.Headers = append(r.Headers, asset.Header{Name: asset.ExpressionHeader, Value: none.String()},
		asset.Header{Name: asset.CertificateHeader, Value: asset.CertificateHeaderValue(w.replica.Net.CertifyData(start, canister, w.tree.Root()), witness, c.Path)})
	w.serve["http_request"] = func(asset.Request, []byte) []byte { return w.encode(r, extra{}) }
	if _, err := w.get("/", HTTPOptions{}); err != nil {
		t.Fatal(err)
	}
	w.replica.Tamper = func(path string, status int, body []byte) (int, []byte, error) {
		return status, bytes.Replace(body, []byte("any"), []byte("all"), 1), nil
	}
	for _, raw := range []bool{false, true} {
		_, err := w.get("/", HTTPOptions{Raw: raw})
		wantError[*VerificationError](t, fmt.Sprint("changed, raw ", raw), err)
	}
}

func TestHTTPRequestRejectIsSignedByANode(t *testing.T) {
	w := newWeb(t)
	_, err := w.get("/", HTTPOptions{})
	wantError[*Reject](t, "no such method", err)
	w.replica.Tamper = func(path string, status int, body []byte) (int, []byte, error) {
		return status, bytes.Replace(body, []byte("IC0536"), []byte("IC0301"), 1), nil
	}
	_, err = w.get("/", HTTPOptions{})
	wantError[*VerificationError](t, "changed reject", err)
}

func TestHTTPRequestUpgradesToACall(t *testing.T) {
	w := newWeb(t)
	w.serve["http_request"] = func(asset.Request, []byte) []byte {
		return w.encode(&asset.Response{Status: 0, Headers: []asset.Header{{Name: "", Value: ""}}}, extra{upgrade: true})
	}
	w.serve["http_request_update"] = func(req asset.Request, arg []byte) []byte {
		if string(req.Body) != "form" || bytes.Equal(arg, nil) {
			t.Errorf("%+v", req)
		}
		return w.encode(page("done"), extra{upgrade: true})
	}
	got, err := w.client.HTTPRequest(t.Context(), canister, &asset.Request{Method: "POST", URL: "/form", Body: []byte("form")}, HTTPOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if string(got.Body) != "done" || len(got.Headers) != 1 || got.Report.Scope != asset.ScopeCall || got.Report.Subnet != w.replica.Net.SubnetID() || !got.Report.Time.Equal(start) {
		t.Errorf("%+v", got)
	}
	if w.replica.Count("call") != 1 {
		t.Error("not a call")
	}
}

// chunked serves a body in parts by a streaming callback, whose token is a record.
func (w *web) chunked(r *asset.Response, callback candid.Func, parts ...string) {
	t := candid.RecordOf(candid.F("key", candid.TextType), candid.F("index", candid.NatType))
	token := func(i int) candid.Typed {
		return candid.Typed{Type: t, Value: fields(t, map[string]candid.Value{"key": candid.Text("k"), "index": candid.NatOf(uint64(i))})}
	}
	first := *r
	first.Body = []byte(parts[0])
	w.serve["http_request"] = func(asset.Request, []byte) []byte {
		return w.encode(&first, extra{callback: &callback, token: token(1)})
	}
	w.serve["http_request_update"] = w.serve["http_request"]
	w.serve[callback.Method] = func(_ asset.Request, arg []byte) []byte {
		values, err := candid.Decode(arg, t)
		if err != nil {
			w.t.Fatal(err)
		}
		i, _ := values[0].(candid.Record).Get("index").(candid.Nat).Uint64()
		next := candid.Opt{}
		if int(i)+1 < len(parts) {
			next.Value = token(int(i) + 1).Value
		}
		rt := candid.RecordOf(candid.F("body", candid.BlobType()), candid.F("token", candid.OptOf(t)))
		return w.message(rt, fields(rt, map[string]candid.Value{"body": candid.Blob(parts[i]), "token": next}))
	}
}

func TestHTTPRequestAssemblesStreamedBodiesAndVerifiesTheWhole(t *testing.T) {
	w := newWeb(t)
	r := w.certify(asset.Exact("/big"), "/big", page("one two three"))[0]
	next := candid.Func{Service: canister, Method: "next"}
	w.chunked(r, next, "one ", "two ", "three")
	got, err := w.get("/big", HTTPOptions{})
	if err != nil || string(got.Body) != "one two three" {
		t.Fatalf("%+v, %v", got, err)
	}
	_, err = w.get("/big", HTTPOptions{MaxBody: 12})
	wantError[*TooLargeError](t, "bound", err)
	w.chunked(r, next, "one ", "Two ", "three")
	_, err = w.get("/big", HTTPOptions{})
	wantError[*asset.Error](t, "changed part", err)
	w.chunked(r, candid.Func{Service: principal.Canister(8), Method: "next"}, "one ", "two ", "three")
	_, err = w.get("/big", HTTPOptions{})
	wantError[*ResponseError](t, "callback of another canister", err)
	w.chunked(r, next, make([]string, maxChunks+1)...)
	_, err = w.get("/big", HTTPOptions{})
	wantError[*ResponseError](t, "endless", err)
}

func TestHTTPRequestStreamsAnUpdateByCalls(t *testing.T) {
	w := newWeb(t)
	w.chunked(page(""), candid.Func{Service: canister, Method: "next"}, "a", "b", "c")
	w.serve["http_request"] = func(asset.Request, []byte) []byte { return w.encode(page(""), extra{upgrade: true}) }
	got, err := w.get("/", HTTPOptions{})
	if err != nil || string(got.Body) != "abc" || got.Report.Scope != asset.ScopeCall || w.replica.Count("call") != 3 {
		t.Errorf("%+v, %v, %d calls", got, err, w.replica.Count("call"))
	}
}

// ranges serves a body by ranges of at most size bytes, each certified.
func (w *web) ranges(body string, size int, change func(i int, r *asset.Response)) {
	var parts []*asset.Response
	for at := 0; at < len(body); at += size {
		part := body[at:min(at+size, len(body))]
		r := page(part)
		r.Status = 206
		r.Headers = append(r.Headers, asset.Header{Name: "Content-Range", Value: fmt.Sprintf("bytes %d-%d/%d", at, at+len(part)-1, len(body))}, asset.Header{Name: "ETag", Value: `"v"`}, asset.Header{Name: "Content-Length", Value: fmt.Sprint(len(part))})
		if change != nil {
			change(at/size, r)
		}
		parts = append(parts, r)
	}
	parts = w.certify(asset.Exact("/video"), "/video", parts...)
	w.serve["http_request"] = func(req asset.Request, _ []byte) []byte {
		at := 0
		if v := valueOf(req.Headers, "range"); v != "" {
			if _, err := fmt.Sscanf(v, "bytes=%d-", &at); err != nil {
				w.t.Fatal(err)
			}
		}
		return w.encode(parts[at/size], extra{})
	}
}

func readAll(ctx context.Context, r *HTTPResponse) (string, error) {
	body := string(r.Body)
	for r.Next != nil {
		b, err := r.Next(ctx)
		if err == io.EOF {
			return body, nil
		}
		if err != nil {
			return body, err
		}
		body += string(b)
	}
	return body, nil
}

func TestHTTPRequestMakesAWholeOfCertifiedRanges(t *testing.T) {
	w := newWeb(t)
	w.ranges("0123456789", 4, nil)
	got, err := w.get("/video", HTTPOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if got.Status != 200 || valueOf(got.Headers, "content-range") != "" || valueOf(got.Headers, "content-length") != "10" {
		t.Errorf("%+v", got)
	}
	if body, err := readAll(t.Context(), got); err != nil || body != "0123456789" {
		t.Errorf("%q, %v", body, err)
	}
	got, err = w.get("/video", HTTPOptions{}, asset.Header{Name: "Range", Value: "bytes=4-"})
	if err != nil || got.Status != 206 || string(got.Body) != "4567" || got.Next != nil || valueOf(got.Headers, "content-range") != "bytes 4-7/10" {
		t.Errorf("%+v, %v", got, err)
	}
}

func TestHTTPRequestRefusesRangesThatDoNotMakeAWhole(t *testing.T) {
	set := func(name, value string, part int) func(int, *asset.Response) {
		return func(i int, r *asset.Response) {
			for j := range r.Headers {
				if r.Headers[j].Name == name && i == part {
					r.Headers[j].Value = value
				}
			}
		}
	}
	for what, change := range map[string]func(int, *asset.Response){
		"does not begin at 0":   set("Content-Range", "bytes 1-4/10", 0),
		"no range":              set("Content-Range", "all", 0),
		"longer than its body":  set("Content-Range", "bytes 0-4/10", 0),
		"beyond the end":        set("Content-Range", "bytes 0-3/3", 0),
		"backwards":             set("Content-Range", "bytes 3-0/10", 0),
		"a gap":                 set("Content-Range", "bytes 5-8/10", 1),
		"the same again":        set("Content-Range", "bytes 0-3/10", 1),
		"another length":        set("Content-Range", "bytes 4-7/11", 1),
		"another version":       set("ETag", `"w"`, 1),
		"a part is not partial": func(i int, r *asset.Response) { r.Status = []uint16{206, 200, 206}[i] },
	} {
		w := newWeb(t)
		w.ranges("0123456789", 4, change)
		got, err := w.get("/video", HTTPOptions{})
		if err == nil {
			_, err = readAll(t.Context(), got)
		}
		wantError[*ResponseError](t, what, err)
	}
}

func TestHTTPRequestRefusesResponsesThatBrowsersWouldMisread(t *testing.T) {
	w := newWeb(t)
	for what, b := range map[string][]byte{
		"not candid":     []byte("DIDL"),
		"no response":    w.message(candid.TextType, candid.Text("x")),
		"status 0":       w.encode(&asset.Response{}, extra{}),
		"status 600":     w.encode(&asset.Response{Status: 600}, extra{}),
		"status 101":     w.encode(&asset.Response{Status: 101}, extra{}),
		"nameless":       w.encode(&asset.Response{Status: 200, Headers: []asset.Header{{Value: "x"}}}, extra{}),
		"name with gap":  w.encode(&asset.Response{Status: 200, Headers: []asset.Header{{Name: "a b"}}}, extra{}),
		"split response": w.encode(&asset.Response{Status: 200, Headers: []asset.Header{{Name: "a", Value: "b\r\nc: d"}}}, extra{}),
	} {
		w.serve["http_request"] = func(asset.Request, []byte) []byte { return b }
		_, err := w.get("/", HTTPOptions{Raw: true})
		wantError[*ResponseError](t, what, err)
	}
}

func TestHTTPRequestAcceptsVersion1OnlyFromCanistersWithoutVersion2(t *testing.T) {
	w := newWeb(t)
	w.tree.InsertBody("/", sha256.Sum256([]byte("old")))
	witness, err := w.tree.WitnessBody("/")
	if err != nil {
		t.Fatal(err)
	}
	r := page("old")
	r.Headers = append(r.Headers, asset.Header{Name: asset.CertificateHeader, Value: asset.BodyCertificateHeaderValue(w.replica.Net.CertifyData(start, canister, w.tree.Root()), witness)})
	w.serve["http_request"] = func(asset.Request, []byte) []byte { return w.encode(r, extra{}) }
	w.replica.State = []fakenet.Entry{fakenet.CanisterEntry(canister, []byte("1,2"), "metadata", asset.VersionsSection)}
	_, err = w.get("/", HTTPOptions{})
	if e := wantError[*asset.Error](t, "offers version 2", err); e != nil && e.Reason != asset.ReasonDowngrade {
		t.Error(err)
	}
	w.replica.State = nil
	for range 2 {
		got, err := w.get("/", HTTPOptions{})
		if err != nil || got.Report.Version != 1 || got.Report.Scope != asset.ScopeBody {
			t.Fatalf("%+v, %v", got, err)
		}
	}
	if n := w.replica.Count("read_state"); n != 2 {
		t.Errorf("read the metadata %d times", n)
	}
	r.Status = 206
	r.Headers = append(r.Headers, asset.Header{Name: "Content-Range", Value: "bytes 0-2/6"})
	_, err = w.get("/", HTTPOptions{})
	wantError[*ResponseError](t, "a part that nobody certified as one", err)
	r.Status = 200
	w.client.version1 = map[principal.ID]time.Time{}
	w.replica.Tamper = func(path string, status int, body []byte) (int, []byte, error) {
		if strings.HasSuffix(path, "read_state") {
			return 403, []byte("private"), nil
		}
		return status, body, nil
	}
	_, err = w.get("/", HTTPOptions{})
	var status *StatusError
	if e := wantError[*asset.Error](t, "no proof", err); e != nil && (e.Reason != asset.ReasonDowngrade || !errors.As(err, &status)) {
		t.Error(err)
	}
}
