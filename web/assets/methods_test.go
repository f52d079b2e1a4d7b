package main

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"portico/lightclient/asset"
	"portico/lightclient/principal"
)

func TestVersion1GatewaysCanVerifyBodies(t *testing.T) {
	c := install(t)
	c.store("/index.html", "text/html", "home")
	c.store("/x.js", "text/javascript", "script")
	for url, body := range map[string]string{"/": "home", "/x.js": "script", "/nowhere": "home"} {
		resp, err := c.request(httpRequest{Method: "GET", URL: url})
		if err != nil || string(resp.Body) != body || resp.header(asset.ExpressionHeader) != "" {
			t.Errorf("%s: %q, %v", url, resp.Body, err)
		}
	}
}

func TestOnlyPermittedCallersChangeAssets(t *testing.T) {
	c := install(t)
	put := storeArg{Key: "/x", ContentType: "text/plain", Encoding: "identity", Content: []byte("x")}
	for method, arg := range map[string]any{
		"store": put, "create_batch": empty{}, "clear": empty{}, "delete_asset": keyArg{"/x"}, "take_ownership": empty{},
		"commit_batch": commitArg{}, "create_chunk": chunkArg{}, "configure": configureArg{}, "authorize": stranger,
		"deauthorize": owner, "grant_permission": grantArg{stranger, permissionCase{Commit: true}}, "compute_evidence": evidenceArg{},
		"revoke_permission": revokeArg{owner, permissionCase{Commit: true}}, "propose_commit_batch": commitArg{},
	} {
		if err := c.try(stranger, method, arg); err == nil || !strings.Contains(err.Error(), "Caller ") {
			t.Errorf("%s by a stranger: %v", method, err)
		}
	}
	c.do("grant_permission", grantArg{stranger, permissionCase{Prepare: true}})
	if err := c.try(stranger, "create_batch", empty{}); err != nil {
		t.Error(err)
	}
	if err := c.try(stranger, "store", put); err == nil || err.Error() != "Caller does not have Commit permission" {
		t.Errorf("store by who may prepare: %v", err)
	}
	c.do("authorize", stranger)
	if err := c.try(stranger, "store", put); err != nil {
		t.Error(err)
	}
	if err := c.try(stranger, "deauthorize", stranger); err != nil {
		t.Errorf("giving up an own permission: %v", err)
	}
	c.do("take_ownership", empty{})
	var can []principal.ID
	c.do("list_authorized", empty{}, &can)
	if !slices.Equal(can, []principal.ID{owner}) {
		t.Errorf("authorized: %v", can)
	}
}

func TestInstallArgumentSetsPermissions(t *testing.T) {
	args := &canisterArgs{Init: &installArgs{&setPermissions{Commit: []principal.ID{stranger}}}}
	c := install(t, args)
	if err := c.try(owner, "create_batch", empty{}); err == nil {
		t.Error("the installer has permissions that the argument does not give")
	}
	if err := c.try(stranger, "create_batch", empty{}); err != nil {
		t.Error(err)
	}
	wasm, _ := build()
	upgrade := &canisterArgs{Upgrade: &installArgs{&setPermissions{Commit: []principal.ID{owner}}}}
	if err := c.Upgrade(wasm, encode(t, upgrade), owner); err != nil {
		t.Fatal(err)
	}
	if err := c.try(owner, "create_batch", empty{}); err != nil {
		t.Error(err)
	}
}

func TestFailedBatchChangesNothing(t *testing.T) {
	c := install(t)
	c.store("/x", "text/plain", "x")
	err := c.try(owner, "commit_batch", commitArg{0, []operation{
		{Delete: &keyArg{"/x"}},
		{Create: &createAsset{Key: "/y"}},
		{SetContent: &setContent{Key: "/y", Encoding: "identity", ChunkIDs: []uint64{99}}},
	}})
	if err == nil || !strings.Contains(err.Error(), "chunk not found") {
		t.Fatalf("got %v", err)
	}
	c.serves(200, "x", "/x")
	wrong := make([]byte, 32)
	if err := c.try(owner, "store", storeArg{Key: "/x", Encoding: "identity", Content: []byte("y"), SHA256: &wrong}); err == nil || !strings.Contains(err.Error(), "sha256 mismatch") {
		t.Fatalf("got %v", err)
	}
	c.serves(200, "x", "/x")
}

func TestProposedBatchIsCommittedByItsEvidence(t *testing.T) {
	c := install(t)
	var b batchArg
	c.do("create_batch", empty{}, &b)
	var ids chunksResult
	c.do("create_chunks", chunksArg{b.BatchID, [][]byte{[]byte("one"), []byte("two")}}, &ids)
	age := uint64(5)
	batch := commitArg{b.BatchID, []operation{
		{Create: &createAsset{Key: "/a", ContentType: "t", MaxAge: &age, Headers: &[]headerField{{"B", "2"}, {"A", "1"}}, AllowRawAccess: ref(true)}},
		{SetContent: &setContent{Key: "/a", Encoding: "identity", ChunkIDs: ids.ChunkIDs, LastChunk: ref([]byte("three"))}},
		{SetProperties: &setProperties{Key: "/a", MaxAge: ref((*uint64)(nil)), IsAliased: ref(ref(false))}},
		{Delete: &keyArg{"/b"}},
		{UnsetContent: &unsetContent{"/a", "gzip"}},
		{Clear: &empty{}},
	}}
	c.do("propose_commit_batch", commitArg{b.BatchID, []operation{{SetContent: &setContent{Key: "/a", ChunkIDs: []uint64{99}}}}})
	if err := c.try(owner, "compute_evidence", evidenceArg{BatchID: b.BatchID}); err == nil || !strings.Contains(err.Error(), "chunk not found") {
		t.Errorf("evidence of a chunk that may still come: %v", err)
	}
	c.do("delete_batch", b)
	c.do("create_batch", empty{}, &b)
	c.do("create_chunks", chunksArg{b.BatchID, [][]byte{[]byte("one"), []byte("two")}}, &ids)
	batch.BatchID = b.BatchID
	batch.Operations[1].SetContent.ChunkIDs = ids.ChunkIDs
	c.do("propose_commit_batch", batch)
	if err := c.try(owner, "create_batch", empty{}); err == nil {
		t.Error("a batch was created beside a proposed one")
	}
	want := sha256.Sum256([]byte("\x04/at\x03\x00\x00\x00\x00\x00\x00\x00\x05\x03A1B2\x03\x01\x02" +
		"\x05/aidentity\x02onetwothree" + "\x09/a\x03\x02\x02\x02\x03\x03\x00" + "\x07/b" + "\x06/agzip" + "\x08"))
	var got *[]byte
	calls := 0
	for ; got == nil; calls++ {
		c.do("compute_evidence", evidenceArg{b.BatchID, ref(uint16(3))}, &got)
	}
	if !bytes.Equal(*got, want[:]) || calls != 4 {
		t.Errorf("evidence %x after %d calls, want %x", *got, calls, want)
	}
	wrong := commitProposedArg{b.BatchID, make([]byte, 32)}
	if err := c.try(owner, "commit_proposed_batch", wrong); err == nil || !strings.Contains(err.Error(), "does not match presented evidence") {
		t.Errorf("wrong evidence: %v", err)
	}
	var v validation
	c.do("validate_commit_proposed_batch", commitProposedArg{b.BatchID, *got}, &v)
	if v.Ok == nil || !strings.HasSuffix(*v.Ok, hex.EncodeToString(want[:])) {
		t.Errorf("validation %+v", v)
	}
	c.do("commit_proposed_batch", commitProposedArg{b.BatchID, *got})
	c.serves(404, "not found", "/a") // the last operation cleared everything
	if err := c.try(owner, "delete_batch", b); err == nil {
		t.Error("the batch outlived its commit")
	}
}

func TestLimitsAndExpiryBoundUploads(t *testing.T) {
	c := install(t)
	set := func(n uint64) **uint64 { return ref(&n) }
	c.do("configure", configureArg{set(2), set(3), set(100)})
	var b batchArg
	c.do("create_batch", empty{}, &b)
	c.do("create_batch", empty{})
	for text, err := range map[string]error{
		"batch limit exceeded": c.try(owner, "create_batch", empty{}),
		"byte limit exceeded":  c.try(owner, "create_chunk", chunkArg{b.BatchID, make([]byte, 101)}),
		"chunk limit exceeded": c.try(owner, "create_chunks", chunksArg{b.BatchID, make([][]byte, 4)}),
		"batch not found":      c.try(owner, "create_chunk", chunkArg{99, nil}),
	} {
		if err == nil || !strings.Contains(err.Error(), text) {
			t.Errorf("got %v, want %s", err, text)
		}
	}
	c.do("create_chunk", chunkArg{b.BatchID, make([]byte, 100)})
	c.Now = c.Now.Add(301e9)
	c.do("create_batch", empty{}, &b)
	c.do("create_chunk", chunkArg{b.BatchID, make([]byte, 100)})
	var l limits
	c.do("get_configuration", empty{}, &l)
	if *l.MaxBatches != 2 || *l.MaxChunks != 3 || *l.MaxBytes != 100 {
		t.Errorf("limits %+v", l)
	}
	c.do("configure", configureArg{MaxBatches: ref((*uint64)(nil))})
	c.do("create_batch", empty{})
	c.do("create_batch", empty{})
}

func TestRawHostRedirectsWhereRawAccessIsForbidden(t *testing.T) {
	c := install(t)
	c.store("/x", "text/plain", "x")
	c.do("set_asset_properties", setProperties{Key: "/x", AllowRawAccess: ref(ref(false))})
	for host, want := range map[string]string{
		"abc.raw.icp0.io": "https://abc.icp0.io/x?y", "abc.raw.localhost:8000": "http://abc.localhost:8000/x?y", "abc.icp0.io": "",
	} {
		var resp httpResponse
		if err := c.ask("http_request", httpRequest{Method: "GET", URL: "/x?y", Headers: []headerField{{"Host", host}}}, &resp); err != nil {
			t.Fatal(err)
		}
		if got := resp.header("location"); got != want || (resp.Status == 308) != (want != "") {
			t.Errorf("%s: %d to %q, want %q", host, resp.Status, got, want)
		}
	}
}

func TestListingHasPagesAndStateHashFollowsContent(t *testing.T) {
	c := install(t)
	for i := range 120 {
		c.store(fmt.Sprintf("/%03d", i), "text/plain", "x")
	}
	pages := func(start, length *uint64) (keys []string) {
		var out []assetDetails
		if err := c.ask("list", listArg{start, length}, &out); err != nil {
			t.Fatal(err)
		}
		for _, a := range out {
			keys = append(keys, a.Key)
		}
		return keys
	}
	if all := pages(nil, nil); len(all) != listPage || all[0] != "/000" {
		t.Errorf("%d keys", len(all))
	}
	if rest := pages(ref(uint64(100)), nil); len(rest) != 20 || rest[0] != "/100" {
		t.Errorf("second page %v", rest)
	}
	if few := pages(ref(uint64(5)), ref(uint64(2))); !slices.Equal(few, []string{"/005", "/006"}) {
		t.Errorf("two of them: %v", few)
	}
	if none := pages(ref(uint64(1<<60)), nil); none != nil {
		t.Errorf("beyond the end: %v", none)
	}
	hash := func() string {
		var sum *string
		c.do("compute_state_hash", empty{}, &sum)
		var info stateInfo
		if err := c.ask("get_state_info", empty{}, &info); err != nil || sum == nil || info.StateHash == nil || *info.StateHash != *sum {
			t.Fatalf("hash %v, info %+v, %v", sum, info, err)
		}
		return *sum
	}
	before := hash()
	c.store("/000", "text/plain", "y")
	var info stateInfo
	if err := c.ask("get_state_info", empty{}, &info); err != nil || info.StateHash != nil {
		t.Errorf("after a change: state info %+v, %v", info, err)
	}
	if hash() == before {
		t.Error("the hash does not depend on the content")
	}
}

func TestSpaceNeverGivesOutTheSameByteTwice(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		s := newSpace(nil)
		var used []extent
		for range rapid.IntRange(1, 60).Draw(t, "steps") {
			if len(used) > 0 && rapid.Bool().Draw(t, "release") {
				i := rapid.IntRange(0, len(used)-1).Draw(t, "which")
				s.release(used[i])
				used = slices.Delete(used, i, i+1)
			} else {
				used = append(used, s.allocate(uint64(rapid.IntRange(1, 9).Draw(t, "size"))))
			}
			all := slices.Concat(used, s.free)
			slices.SortFunc(all, func(a, b extent) int { return int(a.Offset) - int(b.Offset) })
			at := uint64(headerBytes)
			for _, e := range all {
				if e.Offset != at {
					t.Fatalf("extents %v are not a partition up to %d", all, s.end)
				}
				at = e.end()
			}
			if at != s.end || (len(used) == 0 && s.end != headerBytes) {
				t.Fatalf("the end is %d, the extents end at %d", s.end, at)
			}
		}
	})
}
