package main

import (
	"crypto/sha256"
	"testing"
	"time"

	"portico/lightclient/candid/marshal"
	"portico/lightclient/principal"
	"portico/node/canistertest"
	"portico/node/execution"
	nodestate "portico/node/state"
)

// onReplica is the canister on our own replica, which meters and limits.
type onReplica struct {
	*canistertest.Network
	t  testing.TB
	id principal.ID
}

func installOnReplica(t testing.TB) *onReplica {
	t.Helper()
	wasm, err := build()
	if err != nil {
		t.Fatal(err)
	}
	limits := execution.DefaultLimits()
	limits.QuickSliceInstructions, limits.QuickRoundInstructions = limits.SliceInstructions, limits.RoundInstructions
	n := canistertest.NewWith(t, canistertest.Setup{Subnet: canistertest.Subnet(), Limits: limits, Unchecked: true})
	return &onReplica{n, t, n.Install(owner, wasm, nil)}
}

func (r *onReplica) do(method string, arg any, results ...any) {
	r.t.Helper()
	id := r.Send(owner, r.id, method, encode(r.t, arg))
	for range 1000 {
		if b, rej, ok := r.Result(id); rej != nil {
			r.t.Fatalf("%s: %v", method, rej)
		} else if ok {
			if err := marshal.Decode(b, results...); err != nil {
				r.t.Fatal(err)
			}
			return
		}
		r.Tick(time.Second)
	}
	r.t.Fatalf("%s was not answered", method)
}

// cost is how many instructions something takes: each costs one cycle.
func (r *onReplica) cost(do func()) uint64 {
	r.t.Helper()
	paid := func() uint64 { return r.State().Canister(r.id).ByUse[nodestate.UseInstructions].Lo }
	before := paid()
	do()
	return paid() - before
}

// upload puts a number of chunks of chunkBytes under a key and returns what the
// commit cost.
func (r *onReplica) upload(key string, chunks int) uint64 {
	r.t.Helper()
	var b batchArg
	r.do("create_batch", empty{}, &b)
	op := setContent{Key: key, Encoding: "identity"}
	whole, piece := sha256.New(), make([]byte, chunkBytes)
	for i := range chunks {
		piece[0], piece[1] = byte(i), byte(i>>8)
		whole.Write(piece)
		var c chunkResult
		r.do("create_chunk", chunkArg{b.BatchID, piece}, &c)
		op.ChunkIDs = append(op.ChunkIDs, c.ChunkID)
	}
	op.SHA256 = ref(whole.Sum(nil))
	return r.cost(func() {
		r.do("commit_batch", commitArg{b.BatchID, []operation{{Create: &createAsset{Key: key, ContentType: "video/mp4"}}, {SetContent: &op}}})
	})
}

func (r *onReplica) upgrade() uint64 {
	r.t.Helper()
	wasm, err := build()
	if err != nil {
		r.t.Fatal(err)
	}
	return r.cost(func() {
		if rej := r.InstallCode(owner, r.id, canistertest.Upgrade(canistertest.Options{}), wasm, nil); rej != nil {
			r.t.Fatal(rej)
		}
	})
}

// A gibibyte is more than one message may read, and hashing it more than one may compute at
// a time; an upgrade does not touch it.
func TestGibibyteIsCommittedAndUpgradedWithinTheLimits(t *testing.T) {
	if testing.Short() {
		t.Skip("uploads a gibibyte")
	}
	r := installOnReplica(t)
	r.upload("/small", 1)
	small := r.upgrade()
	const chunks = 1<<30/chunkBytes + 1
	commit := r.upload("/large.mp4", chunks)
	large := r.upgrade()
	t.Logf("commit of %d bytes: %d instructions, %.1f a byte; upgrade with 2 MB %d, with 1 GiB %d instructions", chunks*chunkBytes, commit, float64(commit)/(chunks*chunkBytes), small, large)
	// what is certified of each piece of 1.9 MB is worked out anew
	if large > small+chunks*1_500_000 {
		t.Errorf("an upgrade costs %d with a gibibyte and %d without", large, small)
	}
	var resp httpResponse
	b, rej := r.Query(stranger, r.id, "http_request", encode(t, httpRequest{
		Method: "GET", URL: "/large.mp4", Headers: []headerField{{"range", rangeFrom(500 * chunkBytes)}}, CertificateVersion: ref(uint16(2)),
	}))
	if rej != nil {
		t.Fatal(rej)
	}
	if err := marshal.Decode(b, &resp); err != nil {
		t.Fatal(err)
	}
	if resp.Status != 206 || len(resp.Body) != chunkBytes || resp.Body[0] != 500&0xff || resp.Body[1] != 500>>8 {
		t.Errorf("chunk 500 after the upgrade: status %d, %d bytes", resp.Status, len(resp.Body))
	}
}

// BenchmarkCommit is a batch that makes assets of 10 kB with two encodings.
func BenchmarkCommit(b *testing.B) {
	for _, files := range []int{100, 500} {
		r := installOnReplica(b)
		var batch batchArg
		r.do("create_batch", empty{}, &batch)
		arg := commitArg{BatchID: batch.BatchID}
		piece := make([]byte, 10_000)
		for i := range files {
			var ids chunksResult
			r.do("create_chunks", chunksArg{batch.BatchID, [][]byte{piece, piece[:3_000]}}, &ids)
			key := "/assets/file-" + string(rune('a'+i%26)) + string(rune('a'+i/26)) + ".html"
			arg.Operations = append(
				arg.Operations, operation{Create: &createAsset{Key: key, ContentType: "text/html"}},
				operation{SetContent: &setContent{Key: key, Encoding: "identity", ChunkIDs: ids.ChunkIDs[:1]}},
				operation{SetContent: &setContent{Key: key, Encoding: "gzip", ChunkIDs: ids.ChunkIDs[1:]}},
			)
		}
		cost := r.cost(func() { r.do("commit_batch", arg) })
		b.Logf("%d files: %d million instructions, %d thousand a file; upgrade %d million", files, cost/1e6, cost/uint64(files)/1e3, r.upgrade()/1e6)
	}
}
