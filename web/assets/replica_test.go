package main

import (
	"testing"

	"portico/lightclient/candid/marshal"
	"portico/node/canistertest"
)

// The canister on our own replica, which meters and limits: a large asset is
// uploaded and served before and after an upgrade.
func TestAssetCanisterRunsOnTheReplica(t *testing.T) {
	if testing.Short() {
		t.Skip("compiles a canister twice: to WebAssembly and to machine code")
	}
	wasm, err := build()
	if err != nil {
		t.Fatal(err)
	}
	n := canistertest.New(t)
	id := n.Create(owner)
	if rej := n.InstallCode(owner, id, canistertest.Mode{Install: true}, wasm, nil); rej != nil {
		t.Fatal(rej)
	}
	do := func(method string, arg any, results ...any) {
		t.Helper()
		b, rej := n.Call(owner, id, method, encode(t, arg))
		if rej != nil {
			t.Fatalf("%s: %v", method, rej)
		}
		if err := marshal.Decode(b, results...); err != nil {
			t.Fatal(err)
		}
	}
	body := large()
	var b batchArg
	var chunk chunkResult
	do("create_batch", empty{}, &b)
	op := setContent{Key: "/big", Encoding: "identity"}
	for rest := body; len(rest) > 0; {
		n := min(len(rest), 1_900_000)
		do("create_chunk", chunkArg{b.BatchID, rest[:n]}, &chunk)
		op.ChunkIDs, rest = append(op.ChunkIDs, chunk.ChunkID), rest[n:]
	}
	do("commit_batch", commitArg{b.BatchID, []operation{{Create: &createAsset{Key: "/big", ContentType: "text/plain"}}, {SetContent: &op}}})
	served := func() string {
		t.Helper()
		two := uint16(2)
		var resp httpResponse
		ask := func(method string, arg, into any) {
			t.Helper()
			b, rej := n.Query(stranger, id, method, encode(t, arg))
			if rej != nil {
				t.Fatalf("%s: %v", method, rej)
			}
			if err := marshal.Decode(b, into); err != nil {
				t.Fatal(err)
			}
		}
		var whole []byte
		for len(whole) < len(body) {
			from := headerField{"Range", rangeFrom(uint64(len(whole)))}
			ask("http_request", httpRequest{Method: "GET", URL: "/big", Headers: []headerField{from}, CertificateVersion: &two}, &resp)
			whole = append(whole, resp.Body...)
		}
		return string(whole)
	}
	if served() != string(body) {
		t.Fatal("the large asset is not served as it was uploaded")
	}
	if rej := n.InstallCode(owner, id, canistertest.Upgrade(canistertest.Options{}), wasm, nil); rej != nil {
		t.Fatal(rej)
	}
	if served() != string(body) {
		t.Fatal("the large asset did not outlive the upgrade")
	}
}
