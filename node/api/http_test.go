package api

import (
	"bytes"
	"context"
	"encoding/hex"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"portico/lightclient/candid"
	"portico/lightclient/cbor"
	"portico/lightclient/envelope"
	"portico/lightclient/hashtree"
	"portico/lightclient/principal"
	"portico/node/types"
)

// candidRecord is a record with a principal and a blob.
func candidRecord(t testing.TB, field string, id principal.ID, blob ...byte) []byte {
	t.Helper()
	typ := candid.RecordOf(candid.F(field, candid.PrincipalType), candid.F("wasm_module", candid.BlobType()))
	record := candid.Record{}
	for _, f := range typ.Fields {
		var v candid.Value = candid.Blob(blob)
		if f.Name == field {
			v = candid.Principal(id)
		}
		record = append(record, candid.Field{ID: f.ID, Value: v})
	}
	b, err := candid.Encode([]candid.Type{typ}, []candid.Value{record})
	must(t, err)
	return b
}

func TestLargeInstallationsAreSentToTheirCanister(t *testing.T) {
	f := newReplica(t, true)
	h := f.handler(nil)
	arg := candidRecord(t, "canister_id", canisterA, make([]byte, 2*types.MiB)...)
	body := seal(t, newUser(t), callOf(principal.ID{}, "install_code", arg))
	if w := post(h, callPath("v2", canisterA), body); w.Code != http.StatusAccepted {
		t.Fatalf("status %d, %s", w.Code, w.Body)
	}
	wantRefusal(t, post(h, callPath("v2", canisterB), body), http.StatusBadRequest, "concerns canister "+canisterA.String())
}

func TestStatusTellsTheRootKeyOnlyWhereItIsGiven(t *testing.T) {
	f := newReplica(t, true)
	f.status = Status{RootKey: f.rootKey(), Version: "1.2.3", Healthy: true, CertifiedHeight: 7}
	get := func(method string) *httptest.ResponseRecorder {
		w := httptest.NewRecorder()
		f.handler(nil).ServeHTTP(w, httptest.NewRequest(method, "/api/v2/status", nil))
		return w
	}
	m := answer(t, get(http.MethodGet))
	if !bytes.Equal(m.Get("root_key").(cbor.Bytes), f.rootKey()) || m.Get("replica_health_status") != cbor.Text("healthy") ||
		m.Get("impl_version") != cbor.Text("1.2.3") || m.Get("certified_height").(cbor.Nat).Uint64() != 7 {
		t.Fatalf("%+v", m)
	}
	f.status = Status{}
	m = answer(t, get(http.MethodGet))
	if m.Get("root_key") != nil || m.Get("replica_health_status") == cbor.Text("healthy") {
		t.Fatalf("%+v", m)
	}
	if w := get(http.MethodHead); w.Code != http.StatusOK {
		t.Fatalf("HEAD: status %d", w.Code)
	}
	wantRefusal(t, get(http.MethodPost), http.StatusMethodNotAllowed, "GET")
}

func TestPathsThatDoNotExistAreNotFound(t *testing.T) {
	h := newReplica(t, true).handler(nil)
	body := seal(t, envelope.Anonymous{}, queryOf(canisterA, "get", nil))
	id := canisterA.String()
	for _, path := range []string{
		"/", "/api", "/api/v2", "/api/v2/status/", "/api/v3/status", "/api/v1/canister/" + id + "/query", "/api/v4/canister/" + id + "/query",
		"/api/v5/canister/" + id + "/call", "/api/v3/canister/" + id, "/api/v3/canister/" + id + "/query/", "/api/v3/canister/" + id + "/run",
		"/api/v2/subnet/" + id + "/call", "/api/v3/subnet/" + id + "/call", "/api/v2/subnet/" + id + "/query", "/api/v4/subnet/" + id + "/read_state",
		"//api/v3/canister/" + id + "/query", "/api/v3/node/" + id + "/query",
	} {
		wantRefusal(t, post(h, path, body), http.StatusNotFound, "there is nothing at")
	}
}

func TestEffectiveIdsMustBeCanonicalText(t *testing.T) {
	h := newReplica(t, true).handler(nil)
	body := seal(t, envelope.Anonymous{}, callOf(canisterA, "inc", nil))
	id := canisterA.String()
	for _, text := range []string{"foobar", "", strings.ReplaceAll(id, "-", ""), strings.ToUpper(id), id + "-", id[:len(id)-1] + "q", "%20" + id} {
		wantRefusal(t, post(h, "/api/v2/canister/"+text+"/call", body), http.StatusBadRequest, "effective canister id")
	}
}

func TestRequestTypeMustSuitThePath(t *testing.T) {
	h := newReplica(t, true).handler(func(d *Deps) { d.Limits.Waiting = 0 })
	user := newUser(t)
	bodies := map[string][]byte{
		"call": seal(t, user, callOf(canisterA, "inc", nil)), "query": seal(t, user, queryOf(canisterA, "get", nil)),
		"read_state": seal(t, user, readOf(hashtree.Path{[]byte("time")})),
	}
	for action := range bodies {
		for kind, body := range bodies {
			w := post(h, "/api/v3/canister/"+canisterA.String()+"/"+action, body)
			if action != kind {
				wantRefusal(t, w, http.StatusBadRequest, "request_type is \""+kind+"\"")
			} else if w.Code/100 != 2 {
				t.Errorf("%s: status %d, %s", kind, w.Code, w.Body)
			}
		}
	}
}

func TestEffectiveCanisterMustBeTheOneConcerned(t *testing.T) {
	management := principal.ID{}
	about := func(field string, id principal.ID) []byte { return candidRecord(t, field, id) }
	for name, c := range map[string]struct {
		request envelope.Request
		at      principal.ID
		ok      bool
	}{
		"canister at itself":                 {callOf(canisterA, "m", nil), canisterA, true},
		"canister at another":                {callOf(canisterA, "m", nil), canisterB, false},
		"canister at the management":         {callOf(canisterA, "m", nil), management, false},
		"foreign canister":                   {callOf(foreign, "m", nil), foreign, false},
		"query at itself":                    {queryOf(canisterA, "m", nil), canisterA, true},
		"query at another":                   {queryOf(canisterA, "m", nil), canisterB, false},
		"query at the management":            {queryOf(canisterA, "m", nil), management, false},
		"query of a foreign canister":        {queryOf(foreign, "m", nil), foreign, false},
		"status at the canister":             {callOf(management, "canister_status", about("canister_id", canisterA)), canisterA, true},
		"status at another":                  {callOf(management, "canister_status", about("canister_id", canisterA)), canisterB, false},
		"status at the management":           {callOf(management, "canister_status", about("canister_id", canisterA)), management, false},
		"status query at the canister":       {queryOf(management, "canister_status", about("canister_id", canisterA)), canisterA, true},
		"status query at another":            {queryOf(management, "canister_status", about("canister_id", canisterA)), canisterB, false},
		"chunked install at the target":      {callOf(management, "install_chunked_code", about("target_canister", canisterA)), canisterA, true},
		"chunked install at another":         {callOf(management, "install_chunked_code", about("target_canister", canisterA)), canisterB, false},
		"create anywhere":                    {callOf(management, "create_canister", nil), canisterB, true},
		"create at the management":           {callOf(management, "create_canister", nil), management, true},
		"provisional create anywhere":        {callOf(management, "provisional_create_canister_with_cycles", nil), canisterA, true},
		"provisional create at management":   {callOf(management, "provisional_create_canister_with_cycles", nil), management, true},
		"create as a query at management":    {queryOf(management, "create_canister", nil), management, false},
		"list anywhere":                      {queryOf(management, "list_canisters", nil), canisterB, true},
		"list as a call at the management":   {callOf(management, "list_canisters", nil), management, false},
		"no canister named, left to replica": {callOf(management, "raw_rand", []byte("DIDL\x00\x00")), canisterA, true},
		"no canister named, at management":   {callOf(management, "raw_rand", []byte("DIDL\x00\x00")), management, false},
	} {
		t.Run(name, func(t *testing.T) {
			f := newReplica(t, true)
			path := callPath("v2", c.at)
			if c.request.Kind == envelope.Query {
				path = queryPath("v3", c.at)
			}
			w := post(f.handler(nil), path, seal(t, newUser(t), c.request))
			if reached := len(f.submitted)+len(f.asked) == 1; reached != c.ok {
				t.Fatalf("status %d, %s", w.Code, w.Body)
			}
			if !c.ok {
				wantRefusal(t, w, http.StatusBadRequest, "effective canister id")
			}
		})
	}
}

func TestSubnetsTakeOnlyRequestsThatConcernNoCanister(t *testing.T) {
	f := newReplica(t, true)
	h := f.handler(func(d *Deps) { d.Limits.Waiting = 0 })
	user, management := newUser(t), principal.ID{}
	send := func(subnet principal.ID, r envelope.Request) *httptest.ResponseRecorder {
		path := "/api/v4/subnet/" + subnet.String() + "/call"
		if r.Kind == envelope.Query {
			path = "/api/v3/subnet/" + subnet.String() + "/query"
		}
		return post(h, path, seal(t, user, r))
	}
	if w := send(f.subnet(), callOf(management, "create_canister", nil)); w.Code != http.StatusAccepted {
		t.Fatalf("create: status %d, %s", w.Code, w.Body)
	}
	if got := f.submitted[0].Effective; got != (Target{ID: f.subnet(), Subnet: true}) {
		t.Fatalf("effective %+v", got)
	}
	answer(t, send(f.subnet(), queryOf(management, "list_canisters", nil)))
	wantRefusal(t, send(foreignSubnet, queryOf(management, "list_canisters", nil)), http.StatusBadRequest, "effective subnet id")
	for _, r := range []envelope.Request{
		callOf(canisterA, "inc", nil), callOf(management, "canister_status", candidRecord(t, "canister_id", canisterA)),
		queryOf(canisterA, "get", nil), queryOf(management, "canister_status", candidRecord(t, "canister_id", canisterA)),
		callOf(management, "list_canisters", nil), queryOf(management, "create_canister", nil),
	} {
		wantRefusal(t, send(f.subnet(), r), http.StatusBadRequest, "cannot be sent to a subnet")
	}
}

func TestEveryRequiredFieldIsRequired(t *testing.T) {
	f := newReplica(t, true)
	h := f.handler(nil)
	for _, r := range []envelope.Request{callOf(canisterA, "inc", nil), queryOf(canisterA, "get", nil), readOf(hashtree.Path{[]byte("time")})} {
		v, err := cbor.Decode(seal(t, envelope.Anonymous{}, r))
		must(t, err)
		content := v.(*cbor.Map).Get("content").(*cbor.Map)
		for missing := range content.Keys {
			less, outer := &cbor.Map{}, &cbor.Map{}
			for i, key := range content.Keys {
				if i != missing {
					less.Set(key, content.Values[i])
				}
			}
			outer.Set("content", less)
			w := post(h, "/api/v3/canister/"+canisterA.String()+"/"+r.Kind.String(), cbor.AppendValue(nil, outer))
			wantRefusal(t, w, http.StatusBadRequest, content.Keys[missing])
		}
	}
}

func TestBodiesThatAreNotEnvelopesAreRefused(t *testing.T) {
	h := newReplica(t, true).handler(nil)
	good := seal(t, newUser(t), queryOf(canisterA, "get", nil))
	for name, body := range map[string][]byte{
		"empty": {}, "text": []byte("hello"), "cut off": good[:len(good)-1], "bytes after it": append(bytes.Clone(good), 0),
		"a number": {1}, "an empty map": {0xa0}, "huge length": {0xbb, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff},
		"deep": bytes.Repeat([]byte{0x81}, 100_000), "key twice": {0xa2, 0x61, 'a', 1, 0x61, 'a', 1},
	} {
		for _, action := range []string{"v2/canister/%/call", "v4/canister/%/call", "v3/canister/%/query", "v3/canister/%/read_state"} {
			w := post(h, "/api/"+strings.ReplaceAll(action, "%", canisterA.String()), body)
			if w.Code != http.StatusBadRequest || !strings.HasPrefix(w.Body.String(), "malformed request: ") {
				t.Errorf("%s at %s: status %d, %s", name, action, w.Code, w.Body)
			}
		}
	}
}

func TestOnlyCBORIsAccepted(t *testing.T) {
	h := newReplica(t, true).handler(nil)
	body := seal(t, envelope.Anonymous{}, queryOf(canisterA, "get", nil))
	for value, status := range map[string]int{
		"application/cbor": 200, "Application/CBOR; charset=utf-8": 200,
		"": 415, "application/json": 415, "text/plain": 415, ";": 415,
	} {
		r := httptest.NewRequest(http.MethodPost, queryPath("v3", canisterA), bytes.NewReader(body))
		r.Header.Set("Content-Type", value)
		w := httptest.NewRecorder()
		h.ServeHTTP(w, r)
		if w.Code != status {
			t.Errorf("Content-Type %q: status %d", value, w.Code)
		}
	}
}

// unsized hides the length of a body, which then comes in chunks.
type unsized struct{ io.Reader }

func TestBodiesBeyondTheLimitAreTooLarge(t *testing.T) {
	f := newReplica(t, true)
	limits := func(d *Deps) { d.Limits.BodyBytes, d.Limits.IngressBytes = 300_000, 200_000 }
	h := f.handler(limits)
	fitting := func(r func(principal.ID, string, []byte) envelope.Request, size int) []byte {
		return seal(t, envelope.Anonymous{}, r(canisterA, "m", make([]byte, size)))
	}
	for _, c := range []struct {
		path string
		body []byte
		want int
	}{
		{queryPath("v3", canisterA), fitting(queryOf, 250_000), 200},
		{queryPath("v3", canisterA), fitting(queryOf, 300_000), 413},
		{callPath("v2", canisterA), fitting(callOf, 150_000), 202},
		{callPath("v2", canisterA), fitting(callOf, 250_000), 413},
	} {
		for _, sized := range []bool{true, false} {
			var body io.Reader = bytes.NewReader(c.body)
			if !sized {
				body = unsized{body}
			}
			r := httptest.NewRequest(http.MethodPost, c.path, body)
			r.Header.Set("Content-Type", "application/cbor")
			w := httptest.NewRecorder()
			h.ServeHTTP(w, r)
			if w.Code != c.want {
				t.Errorf("%d bytes at %s, sized %t: status %d, %s", len(c.body), c.path, sized, w.Code, w.Body)
			}
		}
	}
}

func TestDecodedItemsCountAsBuffered(t *testing.T) {
	f := newReplica(t, true)
	h := f.handler(func(d *Deps) { d.Limits.BufferedBytes = types.MiB })
	body := append([]byte{0xa1, 0x67, 'c', 'o', 'n', 't', 'e', 'n', 't', 0x99, 0xff, 0xff}, make([]byte, 65535)...)
	for range 2 {
		wantRefusal(t, post(h, queryPath("v3", canisterA), body), http.StatusTooManyRequests, "bytes of requests")
		answer(t, post(h, queryPath("v3", canisterA), seal(t, newUser(t), queryOf(canisterA, "get", make([]byte, 100_000)))))
	}
	if got := h.(*server).buffered.free.Load(); got != types.MiB {
		t.Fatalf("%d bytes free", got)
	}
}

func TestItemsAreCountedUpToWhereTheyAreMalformed(t *testing.T) {
	for text, want := range map[string]int{
		"": 0, "00": 1, "a16161f6": 3, "9f0102ff": 4, "d9d9f74401020304": 2, "5affffffff01": 1, "18": 1, "8218": 2,
	} {
		encoded, err := hex.DecodeString(text)
		must(t, err)
		if got := countItems(encoded); got != want {
			t.Errorf("%s: %d items, want %d", text, got, want)
		}
	}
}

func TestBufferedBytesAreBoundedAndGivenBack(t *testing.T) {
	f := newReplica(t, true)
	body := seal(t, envelope.Anonymous{}, queryOf(canisterA, "m", make([]byte, 100_000)))
	h := f.handler(func(d *Deps) { d.Limits.BufferedBytes = 160_000 })
	for range 3 {
		answer(t, post(h, queryPath("v3", canisterA), body))
	}
	if got := h.(*server).buffered.free.Load(); got != 160_000 {
		t.Fatalf("%d bytes free of 160000", got)
	}
	h = f.handler(func(d *Deps) { d.Limits.BufferedBytes = 90_000 })
	for range 3 {
		wantRefusal(t, post(h, queryPath("v3", canisterA), body), http.StatusTooManyRequests, "bytes of requests")
	}
	if got := h.(*server).buffered.free.Load(); got != 90_000 {
		t.Fatalf("%d bytes free of 90000", got)
	}
}

func TestBodyThatIsAnnouncedTooLargeIsNotRead(t *testing.T) {
	body := bytes.NewReader(make([]byte, 6*types.MiB))
	r := httptest.NewRequest(http.MethodPost, queryPath("v3", canisterA), body)
	r.Header.Set("Content-Type", "application/cbor")
	w := httptest.NewRecorder()
	newReplica(t, true).handler(nil).ServeHTTP(w, r)
	wantRefusal(t, w, http.StatusRequestEntityTooLarge, "at most 5242880 bytes")
	if body.Len() != 6*types.MiB {
		t.Fatalf("%d bytes were left", body.Len())
	}
}

type brokenBody struct{}

func (brokenBody) Read([]byte) (int, error) { return 0, io.ErrUnexpectedEOF }

func TestBodiesThatEndEarlyAreRefused(t *testing.T) {
	r := httptest.NewRequest(http.MethodPost, queryPath("v3", canisterA), brokenBody{})
	r.Header.Set("Content-Type", "application/cbor")
	w := httptest.NewRecorder()
	newReplica(t, true).handler(nil).ServeHTTP(w, r)
	wantRefusal(t, w, http.StatusBadRequest, "could not be read")
}

func TestRequestsBeyondTheConcurrencyLimitAreRefused(t *testing.T) {
	f := newReplica(t, true)
	inside, leave := make(chan struct{}), make(chan struct{})
	f.onQuery = func(context.Context, Query) ([]byte, *types.Reject, error) {
		inside <- struct{}{}
		<-leave
		return nil, nil, nil
	}
	h := f.handler(func(d *Deps) { d.Limits.Queries = 2 })
	body := seal(t, envelope.Anonymous{}, queryOf(canisterA, "get", nil))
	codes := make(chan int)
	for range 2 {
		go func() { codes <- post(h, queryPath("v3", canisterA), body).Code }()
		<-inside
	}
	w := post(h, queryPath("v3", canisterA), body)
	wantRefusal(t, w, http.StatusTooManyRequests, "at most 2")
	answer(t, post(h, "/api/v3/canister/"+canisterA.String()+"/read_state", seal(t, envelope.Anonymous{}, readOf())))
	close(leave)
	for range 2 {
		if code := <-codes; code != http.StatusOK {
			t.Errorf("status %d", code)
		}
	}
	go func() { <-inside }()
	answer(t, post(h, queryPath("v3", canisterA), body))
}

func TestPagesOfEveryOriginMayAsk(t *testing.T) {
	h := newReplica(t, true).handler(nil)
	for path, methods := range map[string]string{
		"/api/v2/status":           "GET, HEAD, OPTIONS",
		callPath("v4", canisterA):  "POST, OPTIONS",
		queryPath("v3", canisterA): "POST, OPTIONS",
		"/api/v3/subnet/" + foreignSubnet.String() + "/read_state": "POST, OPTIONS",
	} {
		r := httptest.NewRequest(http.MethodOptions, path, nil)
		r.Header.Set("Access-Control-Request-Method", "POST")
		r.Header.Set("Access-Control-Request-Headers", "content-type")
		w := httptest.NewRecorder()
		h.ServeHTTP(w, r)
		headers := strings.ToLower(w.Header().Get("Access-Control-Allow-Headers"))
		if w.Code != http.StatusNoContent || w.Header().Get("Access-Control-Allow-Methods") != methods || !strings.Contains(headers, "content-type") {
			t.Errorf("%s: status %d, %v", path, w.Code, w.Header())
		}
		for _, method := range []string{http.MethodOptions, http.MethodPut, http.MethodPost, http.MethodGet} {
			w := httptest.NewRecorder()
			h.ServeHTTP(w, httptest.NewRequest(method, path, nil))
			if w.Header().Get("Access-Control-Allow-Origin") != "*" {
				t.Errorf("%s %s, status %d: no Access-Control-Allow-Origin", method, path, w.Code)
			}
			if w.Code == http.StatusMethodNotAllowed && w.Header().Get("Allow") != methods {
				t.Errorf("%s %s: Allow %q", method, path, w.Header().Get("Allow"))
			}
		}
	}
}

func TestServerBoundsHeaders(t *testing.T) {
	f := newReplica(t, true)
	server := httptest.NewUnstartedServer(nil)
	server.Config = NewServer(f.handler(nil), slog.New(slog.DiscardHandler))
	server.Start()
	defer server.Close()
	get := func(padding int) int {
		r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, server.URL+"/api/v2/status", nil)
		must(t, err)
		r.Header.Set("X-Padding", strings.Repeat("x", padding))
		res, err := server.Client().Do(r)
		must(t, err)
		defer res.Body.Close()
		return res.StatusCode
	}
	if got := get(1000); got != http.StatusOK {
		t.Fatalf("status %d", got)
	}
	if got := get(64 << 10); got != http.StatusRequestHeaderFieldsTooLarge {
		t.Fatalf("status %d for a header of 64 KiB", got)
	}
	for name, d := range map[string]any{
		"headers": server.Config.ReadHeaderTimeout, "reading": server.Config.ReadTimeout,
		"writing": server.Config.WriteTimeout > DefaultLimits().SyncWait, "idling": server.Config.IdleTimeout,
	} {
		if d == 0 || d == false {
			t.Errorf("no time limit for %s", name)
		}
	}
}

// Whatever comes in, the handler answers, and only in ways that clients know.
func FuzzHandler(f *testing.F) {
	replica := newReplica(f, false)
	h := replica.handler(func(d *Deps) { d.Limits.Waiting = 0 })
	user := newUser(f)
	paths := []string{
		callPath("v2", canisterA), callPath("v3", canisterA), callPath("v4", canisterA), queryPath("v3", canisterA),
		"/api/v3/canister/" + canisterA.String() + "/read_state", "/api/v2/subnet/" + replica.subnet().String() + "/read_state",
		"/api/v4/subnet/" + replica.subnet().String() + "/call", "/api/v3/subnet/" + replica.subnet().String() + "/query",
	}
	for i := range paths {
		for _, r := range []envelope.Request{
			callOf(canisterA, "inc", nil), queryOf(canisterA, "get", nil), callOf(principal.ID{}, "canister_status", candidRecord(f, "canister_id", canisterA)),
			readOf(hashtree.Path{[]byte("subnet")}, hashtree.Path{[]byte("canister"), canisterA.Bytes(), []byte("metadata"), []byte("open")}),
		} {
			f.Add(uint8(i), seal(f, user, r))
			f.Add(uint8(i), seal(f, envelope.Anonymous{}, r))
		}
	}
	f.Fuzz(func(t *testing.T, path uint8, body []byte) {
		w := post(h, paths[int(path)%len(paths)], body)
		switch w.Code {
		case 200, 202, 400, 403:
		default:
			t.Fatalf("status %d: %s", w.Code, w.Body)
		}
	})
}
