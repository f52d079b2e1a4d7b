package lightclient

import (
	"testing"

	"portico/lightclient/asset"
	"portico/lightclient/candid"
	"portico/lightclient/envelope"
	"portico/lightclient/fakenet"
)

// FuzzDecodeReply reads answers of any kind: a reply and a reject exclude each
// other for whoever looks at the status, and nothing comes out that did not go in.
func FuzzDecodeReply(f *testing.F) {
	for _, o := range []fakenet.Outcome{{Reply: []byte("reply")}, {Code: 4, Message: "no", ErrorCode: "IC0406"}} {
		_, r := newClient(o)
		e, err := envelope.Anonymous{}.Sign(envelope.Request{Kind: envelope.Query, Canister: canister, Method: "m"})
		if err != nil {
			f.Fatal(err)
		}
		for _, path := range []string{"/query", "/call"} {
			e.Request.Kind = map[string]envelope.Kind{"/query": envelope.Query, "/call": envelope.Call}[path]
			_, body, _ := r.Post(f.Context(), path, e.Append(nil))
			f.Add(body)
		}
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		r, err := decodeReply(b)
		if err != nil {
			return
		}
		if r.hasReject && r.reject.Code == 0 {
			t.Fatal("a reject without a code")
		}
		if len(r.arg)+len(r.certificate)+len(r.reject.Message) > len(b) {
			t.Fatal("more came out than went in")
		}
		if _, err := r.signedHash([32]byte{}, 1); err != nil {
			t.Fatal(err)
		}
	})
}

// FuzzDecodeResponse reads what canisters answer to HTTP requests. A token that
// can be sent back arrives as it came.
func FuzzDecodeResponse(f *testing.F) {
	w := &web{}
	token := candid.Typed{Type: candid.TextType, Value: candid.Text("t")}
	f.Add(w.encode(&asset.Response{Status: 200, Headers: []asset.Header{{Name: "a", Value: "b"}}, Body: []byte("body")}, extra{}))
	f.Add(w.encode(&asset.Response{Status: 200}, extra{callback: &candid.Func{Service: canister, Method: "next"}, token: token}))
	chunk := candid.RecordOf(candid.F("body", candid.BlobType()), candid.F("token", candid.OptOf(candid.TextType)))
	f.Add(w.message(chunk, fields(chunk, map[string]candid.Value{"body": candid.Blob("x"), "token": candid.Opt{Value: candid.Text("t")}})))
	f.Fuzz(func(t *testing.T, b []byte) {
		compareResponses(t, b)
		compareChunks(t, b)
	})
}
