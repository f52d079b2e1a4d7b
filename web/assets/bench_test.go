package main

import (
	"fmt"
	"testing"

	"portico/lightclient/candid"
	"portico/lightclient/candid/marshal"
	"portico/node/canistertest"
)

// growing is stable memory of a canister that does not run as one.
type growing struct{ b []byte }

func (g *growing) ReadAt(p []byte, off int64) (int, error) { return memoryOf(g.b).ReadAt(p, off) }

func (g *growing) WriteAt(p []byte, off int64) (int, error) {
	if need := int(off) + len(p); need > len(g.b) {
		g.b = append(g.b, make([]byte, need-len(g.b))...)
	}
	return copy(g.b[off:], p), nil
}

// BenchmarkHTTPRequest is what the canister does for one page of 10 kB out of 1,000,
// in native code.
func BenchmarkHTTPRequest(b *testing.B) {
	s := newStore(&growing{})
	for i := range 1000 {
		arg := storeArg{Key: fmt.Sprintf("/%03d.html", i), ContentType: "text/html", Encoding: "identity", Content: make([]byte, 10_000)}
		if err := s.storeOne(&arg, 0); err != nil {
			b.Fatal(err)
		}
	}
	s.root()
	two := uint16(2)
	arg, err := marshal.Encode(httpRequest{Method: "GET", URL: "/500", CertificateVersion: &two})
	if err != nil {
		b.Fatal(err)
	}
	certificate := make([]byte, 1200)
	for b.Loop() {
		var req httpRequest
		if err := marshal.Decode(arg, &req); err != nil {
			b.Fatal(err)
		}
		if _, err := marshal.Encode(*s.http(&req, certificate, false, candid.Func{})); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkHTTPRequestOnReplica is the same query, of 100 pages, to the canister on
// our own replica.
func BenchmarkHTTPRequestOnReplica(b *testing.B) {
	wasm, err := build()
	if err != nil {
		b.Fatal(err)
	}
	n := canistertest.New(b)
	id := n.Create(owner)
	if rej := n.InstallCode(owner, id, canistertest.Mode{Install: true}, wasm, nil); rej != nil {
		b.Fatal(rej)
	}
	for i := range 100 {
		arg := storeArg{Key: fmt.Sprintf("/%03d.html", i), ContentType: "text/html", Encoding: "identity", Content: make([]byte, 10_000)}
		if _, rej := n.Call(owner, id, "store", encode(b, arg)); rej != nil {
			b.Fatal(rej)
		}
	}
	two := uint16(2)
	arg := encode(b, httpRequest{Method: "GET", URL: "/050", CertificateVersion: &two})
	for b.Loop() {
		if _, rej := n.Query(stranger, id, "http_request", arg); rej != nil {
			b.Fatal(rej)
		}
	}
}
