package lightclient

import (
	"bytes"
	"context"
	"errors"
	"io"
	"runtime"
	"strconv"
	"strings"
	"testing"
	"time"

	"portico/lightclient/asset"
	"portico/lightclient/bls"
	"portico/lightclient/candid"
	"portico/lightclient/cbor"
	"portico/lightclient/certificate"
	"portico/lightclient/hashtree"
	"portico/lightclient/leb128"
	"portico/lightclient/principal"
)

// What canisters and replicas may do to a client, each of it refused for its reason.

// wantReason checks that a response is refused for a reason.
func wantReason(t *testing.T, what string, err error, want asset.Reason) {
	t.Helper()
	if e := wantError[*asset.Error](t, what, err); e != nil && e.Reason != want {
		t.Errorf("%s: refused because %v", what, err)
	}
}

func (w *web) answer(b []byte) {
	w.serve["http_request"] = func(asset.Request, []byte) []byte { return b }
}

func TestGarbageCandidCostsNoMoreThanItsBytes(t *testing.T) {
	w := newWeb(t)
	leb := func(n uint64) string { return string(leb128.AppendUint(nil, n)) }
	// record { headers : vec record {} } with as many headers as are announced
	bomb := "DIDL\x03\x6c\x01" + leb(idHeaders) + "\x01\x6d\x02\x6c\x00\x01\x00"
	// record { 1 : vec vec null } with three thousand vectors of as many values as one may have
	vectors := "DIDL\x03\x6c\x01\x01\x01\x6d\x02\x6d\x7f\x01\x00" + leb(3000) + strings.Repeat(leb(1<<17), 3000)
	for what, b := range map[string]string{
		"nothing":                "",
		"noise":                  strings.Repeat("\xde\xad\xbe\xef", 1000),
		"only types":             "DIDL\x01\x6c\x00",
		"a type of itself":       "DIDL\x01\x6e\x00\x01\x00" + strings.Repeat("\x01", 1<<20),
		"headers without bytes":  bomb + leb(1<<40),
		"as many as are allowed": bomb + leb(1<<17),
		"a table without end":    "DIDL" + leb(1<<60),
		"vectors of nothing":     vectors,
		"a body without end":     "DIDL\x02\x6c\x01" + leb(idBody) + "\x01\x6d\x7b\x01\x00" + leb(1<<50),
	} {
		w.answer([]byte(b))
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		_, err := w.get("/", HTTPOptions{})
		runtime.ReadMemStats(&after)
		wantError[*ResponseError](t, what, err)
		if what == "vectors of nothing" && !strings.Contains(err.Error(), "longer than the message") {
			t.Errorf("%s: all were read: %v", what, err)
		}
		if took := after.TotalAlloc - before.TotalAlloc; took > uint64(40<<20) {
			t.Errorf("%s: reading it took %d bytes of memory", what, took)
		}
	}
}

func TestHugeHeadersAreRefused(t *testing.T) {
	w := newWeb(t)
	good := w.certify(asset.Exact("/"), "/", page("<h1>"))[0]
	many := *good
	for i := range 1001 {
		many.Headers = append(many.Headers, asset.Header{Name: "x-" + strconv.Itoa(i)})
	}
	long := *good
	long.Headers = append([]asset.Header{}, good.Headers...)
	long.Headers[len(long.Headers)-1].Value += ", more=:" + strings.Repeat("a", 1<<20) + ":" // which would be passed over
	rules := *good
	rules.Headers = append([]asset.Header{}, good.Headers...)
	for i, h := range rules.Headers {
		if h.Name == asset.ExpressionHeader {
			rules.Headers[i].Value += strings.Repeat(" ", 1<<20)
		}
	}
	for what, r := range map[string]*asset.Response{"too many": &many, "a certificate of a megabyte": &long, "rules of a megabyte": &rules} {
		w.answer(w.encode(r, extra{}))
		_, err := w.get("/", HTTPOptions{})
		wantReason(t, what, err, asset.ReasonMalformed)
	}
}

func TestContradictingCertificatesAreRefused(t *testing.T) {
	w := newWeb(t)
	both := w.certify(asset.Exact("/"), "/", page("one"), page("two"))
	other := newWeb(t)
	foreign := other.certify(asset.Exact("/"), "/", page("three"))[0]
	certificateOf := func(r *asset.Response) asset.Header { return r.Headers[len(r.Headers)-1] }

	twice := *both[0]
	twice.Headers = append(append([]asset.Header{}, twice.Headers...), certificateOf(both[0]))
	w.answer(w.encode(&twice, extra{}))
	_, err := w.get("/", HTTPOptions{})
	wantReason(t, "the same one twice", err, asset.ReasonMalformed)

	// A certificate of another state than that of the tree beside it.
	_, tree, _ := strings.Cut(certificateOf(both[0]).Value, ", tree=")
	cert, _, _ := strings.Cut(certificateOf(foreign).Value, ", tree=")
	mixed := *both[0]
	mixed.Headers = append(append([]asset.Header{}, both[0].Headers[:len(both[0].Headers)-1]...), asset.Header{Name: asset.CertificateHeader, Value: cert + ", tree=" + tree})
	w.answer(w.encode(&mixed, extra{}))
	_, err = w.get("/", HTTPOptions{})
	wantReason(t, "of another tree", err, asset.ReasonTree)
}

func TestALyingReplicaCannotChangeAPage(t *testing.T) {
	w := newWeb(t)
	w.answer(w.encode(w.certify(asset.Exact("/"), "/", page("the canister's words"))[0], extra{}))
	w.replica.Tamper = func(path string, status int, body []byte) (int, []byte, error) {
		return status, bytes.Replace(body, []byte("the canister's"), []byte("a replica's   "), 1), nil
	}
	_, err := w.get("/", HTTPOptions{})
	wantReason(t, "other words", err, asset.ReasonResponse)
}

func TestAReplayedCertificateIsTooOld(t *testing.T) {
	w := newWeb(t)
	w.answer(w.encode(w.certify(asset.Exact("/"), "/", page("yesterday"))[0], extra{}))
	if _, err := w.get("/", HTTPOptions{}); err != nil {
		t.Fatal(err)
	}
	for after, fresh := range map[time.Duration]bool{
		certificate.MaxAge: true, certificate.MaxAge + 1: false, 24 * time.Hour: false, // the page is in the cache
		-certificate.MaxAhead: true, -certificate.MaxAhead - 1: false,
	} {
		w.client.now = func() time.Time { return start.Add(after) }
		_, err := w.get("/", HTTPOptions{})
		if fresh && err != nil {
			t.Errorf("%s later: %v", after, err)
		}
		if !fresh {
			wantReason(t, after.String()+" later", err, asset.ReasonTime)
		}
	}
}

// strip takes the signatures off an answer to a query.
func strip(path string, status int, body []byte) (int, []byte, error) {
	v, err := cbor.Decode(body)
	m, ok := v.(*cbor.Map)
	if err != nil || !ok || m.Get("signatures") == nil {
		return status, body, err
	}
	out := &cbor.Map{}
	for i, k := range m.Keys {
		if k != "signatures" {
			out.Set(k, m.Values[i])
		}
	}
	return status, cbor.AppendValue(nil, out), nil
}

func TestStrippedSignaturesAreMissedWhereNothingElseIsCertified(t *testing.T) {
	w := newWeb(t)
	w.answer(w.encode(w.certify(asset.Exact("/"), "/", page("certified"))[0], extra{}))
	w.replica.Tamper = strip
	if _, err := w.get("/", HTTPOptions{}); err != nil {
		t.Errorf("a certified page needs no node: %v", err)
	}
	_, err := w.get("/", HTTPOptions{Raw: true})
	wantError[*VerificationError](t, "a raw page", err)
	_, err = w.client.Query(t.Context(), hello)
	wantError[*VerificationError](t, "a reject", err)
	delete(w.serve, "http_request")
	_, err = w.get("/", HTTPOptions{})
	wantError[*VerificationError](t, "a reject of http_request", err)
}

func TestACertificateWithoutSignatureIsRefused(t *testing.T) {
	w := newWeb(t)
	r := w.certify(asset.Exact("/"), "/", page("<h1>"))[0]
	for what, sig := range map[string][]byte{"none": {}, "infinity": append([]byte{0xc0}, make([]byte, bls.SignatureLen-1)...), "zeros": make([]byte, bls.SignatureLen)} {
		c, err := certificate.Parse(w.replica.Net.CertifyData(start, canister, w.tree.Root()))
		if err != nil {
			t.Fatal(err)
		}
		c.Signature = sig
		changed := *r
		changed.Headers = append([]asset.Header{}, r.Headers...)
		last := &changed.Headers[len(changed.Headers)-1]
		_, rest, _ := strings.Cut(last.Value, ", tree=")
		head, _, _ := strings.Cut(asset.BodyCertificateHeaderValue(c.Append(nil), hashtree.Empty{}), ", tree=")
		last.Value = head + ", tree=" + rest
		w.answer(w.encode(&changed, extra{}))
		_, err = w.get("/", HTTPOptions{})
		wantReason(t, what, err, asset.ReasonSignature)
	}
}

func TestAnAnswerForAnotherCanisterIsRefused(t *testing.T) {
	w := newWeb(t)
	w.answer(w.encode(w.certify(asset.Exact("/"), "/", page("mine"))[0], extra{}))
	for what, id := range map[string]principal.ID{"of the same subnet": principal.Canister(8), "of no range": principal.Canister(1 << 30)} {
		_, err := w.client.HTTPRequest(t.Context(), id, &asset.Request{Method: "GET", URL: "/"}, HTTPOptions{})
		want := asset.ReasonTree
		if what == "of no range" {
			want = asset.ReasonRange
		}
		wantReason(t, what, err, want)
	}
}

func TestAnAnswerToAnotherQueryIsRefused(t *testing.T) {
	w := newWeb(t)
	w.serve["hello"] = func(asset.Request, []byte) []byte { return []byte("first") }
	var kept []byte
	w.replica.Tamper = func(path string, status int, body []byte) (int, []byte, error) {
		if strings.HasSuffix(path, "/query") {
			if kept == nil {
				kept = body
			}
			return status, kept, nil
		}
		return status, body, nil
	}
	if got, err := w.client.Query(t.Context(), hello); err != nil || string(got) != "first" {
		t.Fatalf("%q, %v", got, err)
	}
	other := hello
	other.Arg = []byte("other")
	_, err := w.client.Query(t.Context(), other)
	wantError[*VerificationError](t, "an answer kept from before", err)
}

func TestRedirectsAreAnswersAndNotFollowed(t *testing.T) {
	w := newWeb(t)
	redirect := &asset.Response{Status: 302, Headers: []asset.Header{{Name: "Content-Type", Value: "/"}}}
	asked := 0
	b := w.encode(w.certify(asset.Exact("/loop"), "/loop", redirect)[0], extra{})
	w.serve["http_request"] = func(asset.Request, []byte) []byte { asked++; return b }
	got, err := w.get("/loop", HTTPOptions{})
	if err != nil || got.Status != 302 || asked != 1 {
		t.Errorf("%+v after %d requests, %v", got, asked, err)
	}
}

func TestEndlessStreamsEndAtTheirBounds(t *testing.T) {
	w := newWeb(t)
	r := w.certify(asset.Exact("/big"), "/big", page("never"))[0]
	token := candid.Typed{Type: candid.TextType, Value: candid.Text("again")}
	w.answer(w.encode(r, extra{callback: &candid.Func{Service: canister, Method: "next"}, token: token}))
	chunk := candid.RecordOf(candid.F("body", candid.BlobType()), candid.F("token", candid.OptOf(candid.TextType)))
	asked := 0
	serve := func(part []byte) {
		b := w.message(chunk, fields(chunk, map[string]candid.Value{"body": candid.Blob(part), "token": candid.Opt{Value: candid.Text("again")}}))
		w.serve["next"] = func(asset.Request, []byte) []byte { asked++; return b }
	}
	serve(make([]byte, 64<<10))
	_, err := w.get("/big", HTTPOptions{MaxBody: 1 << 20})
	wantError[*TooLargeError](t, "parts of 64 kB", err)
	if asked > 17 {
		t.Errorf("asked %d times for at most a megabyte", asked)
	}
	asked = 0
	serve(nil)
	_, err = w.get("/big", HTTPOptions{})
	wantError[*ResponseError](t, "parts of nothing", err)
	if asked >= maxChunks {
		t.Errorf("asked %d times", asked)
	}
}

func TestLongBodiesPassInPartsWithoutBeingHeld(t *testing.T) {
	w := newWeb(t)
	const part, parts = 256 << 10, 40
	w.ranges(strings.Repeat("0123456789abcdef", part/16*parts), part, nil)
	got, err := w.get("/video", HTTPOptions{MaxBody: 1 << 20}) // which bounds what is held, not what passes
	if err != nil {
		t.Fatal(err)
	}
	total, largest := len(got.Body), len(got.Body)
	for got.Next != nil {
		b, err := got.Next(t.Context())
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		total, largest = total+len(b), max(largest, len(b))
	}
	if total != part*parts || largest > part {
		t.Errorf("%d bytes arrived, at most %d at once", total, largest)
	}
}

func TestAPartThatIsNotCertifiedEndsTheBody(t *testing.T) {
	w := newWeb(t)
	w.ranges("0123456789", 4, nil)
	got, err := w.get("/video", HTTPOptions{})
	if err != nil {
		t.Fatal(err)
	}
	w.replica.Tamper = func(path string, status int, body []byte) (int, []byte, error) {
		return status, bytes.Replace(body, []byte("4567"), []byte("7654"), 1), nil
	}
	b, err := got.Next(context.Background())
	wantReason(t, "a changed part", err, asset.ReasonResponse)
	if len(b) != 0 {
		t.Errorf("%q leaves all the same", b)
	}
}
