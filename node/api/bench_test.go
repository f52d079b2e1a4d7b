package api

import (
	"net/http/httptest"
	"testing"

	"portico/lightclient/envelope"
	"portico/lightclient/hashtree"
	"portico/lightclient/signature"
	"portico/node/crypto/usersig"
	"portico/node/types"
)

// What the interface adds to a query or a call, beside running it: decoding,
// authentication, and for queries the signature of the node.
func BenchmarkRequests(b *testing.B) {
	f := newReplica(b, true)
	f.onSubmit = func(Ingress) (*types.Reject, error) { return nil, nil }
	user := newUser(b)
	read := "/api/v3/canister/" + canisterA.String() + "/read_state"
	for _, c := range []struct {
		name, path string
		body       []byte
	}{
		{"query anonymous", queryPath("v3", canisterA), seal(b, envelope.Anonymous{}, queryOf(canisterA, "get", nil))},
		{"query signed", queryPath("v3", canisterA), seal(b, user, queryOf(canisterA, "get", nil))},
		{"query delegated", queryPath("v3", canisterA), seal(b, delegated(b), queryOf(canisterA, "get", nil))},
		{"call signed", callPath("v2", canisterA), seal(b, user, callOf(canisterA, "inc", nil))},
		{"call of 2 MiB", callPath("v2", canisterA), seal(b, user, callOf(canisterA, "inc", make([]byte, 2*types.MiB)))},
		{"read_state refused", read, seal(b, user, readOf(hashtree.Path{[]byte("canister"), canisterB.Bytes()}))},
	} {
		b.Run(c.name, func(b *testing.B) {
			h := f.handler(func(d *Deps) {
				d.Auth = usersig.New(signature.Config{CacheEntries: 1000})
			})
			var w *httptest.ResponseRecorder
			b.SetBytes(int64(len(c.body)))
			b.ReportAllocs()
			for b.Loop() {
				w = post(h, c.path, c.body)
				f.submitted, f.asked = nil, nil
			}
			if w.Code >= 500 {
				b.Fatalf("status %d: %s", w.Code, w.Body)
			}
		})
	}
}
