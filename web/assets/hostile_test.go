package main

import (
	"crypto/sha256"
	"fmt"
	"slices"
	"strings"
	"testing"
)

func TestKeysThatAreOnePlaceToVerifiersDoNotDisturbEachOther(t *testing.T) {
	c := install(t)
	c.store("/index.html", "text/html", "home")
	c.store("/x", "text/plain", "x")
	c.store("//x", "text/plain", "stray")
	c.store("y//z", "text/plain", "another")
	c.store("//docs///index.html", "text/html", "docs")
	for range 2 {
		for url, body := range map[string]string{
			"/x": "x", "//x": "x", "///x": "x", "/y/z": "another", "/y//z": "another", "/docs/": "docs", "//docs": "docs", "//": "home", "/nothing//here": "home",
		} {
			c.serves(200, body, url)
		}
		c.upgrade()
	}
	c.do("delete_asset", keyArg{"/x"})
	c.serves(200, "stray", "/x")
	var got getResult
	if err := c.ask("get", getArg{"//x", []string{"identity"}}, &got); err != nil || string(got.Content) != "stray" {
		t.Errorf("get: %q, %v", got.Content, err)
	}
	c.do("delete_asset", keyArg{"//x"})
	c.serves(200, "home", "//x")
	for url, body := range map[string]string{"/x": "home", "//x": "home", "/y/z": "another", "/y//z": "home"} {
		if resp, err := c.request(httpRequest{Method: "GET", URL: url}); err != nil || string(resp.Body) != body {
			t.Errorf("version 1, %s: %q, %v", url, resp.Body, err)
		}
	}
}

func TestPathTricksReachTheAssetOfThatNameAndNoOther(t *testing.T) {
	c := install(t)
	c.store("/index.html", "text/html", "home")
	keys := map[string]string{ // by URL
		"/a/../secret": "/a/../secret", "/%2e%2e/up": "/../up", "/nul%00l": "/nul\x00l", "/100%25": "/100%", "/a%2Fb": "/a/b",
		"/%252e": "/%2e", "/%zz": "/%zz", "/%F0%9F%90%A2": "/🐢", "/back%5cslash": `/back\slash`, "/q%3Fx": "/q?x", "/tab%09": "/tab\t",
	}
	for url, key := range keys {
		c.store(key, "text/plain", "content of "+key)
		_ = url
	}
	for url, key := range keys {
		c.serves(200, "content of "+key, url)
	}
	for _, url := range []string{"/secret", "/up", "/nul", "/100%2525", "/%3C%24%3E", "/%3C*%3E", "/%3C*%3E/x", "/x/%3C%24%3E"} {
		c.serves(200, "home", url)
	}
	if resp, err := c.get("/%ff"); err == nil || resp.Status != 400 {
		t.Errorf("a path that is no text got the status %d, %v", resp.Status, err)
	}
}

// refused requires that an update fails and says why.
func (c *canister) refused(why, method string, arg any) {
	c.t.Helper()
	if err := c.try(owner, method, arg); err == nil || !strings.Contains(err.Error(), why) {
		c.t.Errorf("%s: %v, want %q", method, err, why)
	}
}

func TestAssetsThatNobodyCouldServeAreRefused(t *testing.T) {
	c := install(t)
	c.store("/index.html", "text/html", "home")
	create := func(change func(*createAsset)) createAsset {
		arg := createAsset{Key: "/new", ContentType: "text/plain"}
		change(&arg)
		return arg
	}
	headers := func(name, value string) createAsset {
		return create(func(a *createAsset) { a.Headers = &[]headerField{{name, value}} })
	}
	for why, arg := range map[string]createAsset{
		"is empty": create(func(a *createAsset) { a.Key = "" }), "at most 2048": create(func(a *createAsset) { a.Key = "/" + strings.Repeat("k", 3000) }),
		"no part of a path may be <*>": create(func(a *createAsset) { a.Key = "/docs/<*>" }), "may be <$>": create(func(a *createAsset) { a.Key = "/<$>/x" }),
		"no name of a header": headers("bad name", "x"), "control character": headers("x", "a\r\nset-cookie: b"),
		"not the asset's to set": headers("Content-Length", "5"), "33001 bytes": headers("x", strings.Repeat("y", 33_000)),
		"content type": create(func(a *createAsset) { a.ContentType = "text/plain\nx: y" }),
		"101 headers":  create(func(a *createAsset) { a.Headers = ref(slices.Repeat([]headerField{{"x", "y"}}, 101)) }),
	} {
		c.refused(why, "create_asset", arg)
	}
	c.refused("no name of a content encoding", "store", storeArg{Key: "/x", Encoding: "gzip\r\nx: y", Content: []byte("x")})
	c.refused("no part of a path", "store", storeArg{Key: "/<*>", Encoding: "identity"})
	c.refused("not the asset's to set", "set_asset_properties", setProperties{Key: "/index.html", Headers: ref(&[]headerField{{"IC-Certificate", "x"}})})
	c.serves(200, "home", "/anything")
}

func TestChunksOfOtherBatchesAndWrongHashesFailTheCommit(t *testing.T) {
	c := install(t)
	var mine, other batchArg
	c.do("create_batch", empty{}, &mine)
	c.do("create_batch", empty{}, &other)
	put := func(b batchArg, text string) uint64 {
		var id chunkResult
		c.do("create_chunk", chunkArg{b.BatchID, []byte(text)}, &id)
		return id.ChunkID
	}
	foreign, second, first := put(other, "foreign"), put(mine, "two"), put(mine, "one")
	commit := func(batch uint64, sum string, chunks ...uint64) commitArg {
		op := setContent{Key: "/x", Encoding: "identity", ChunkIDs: chunks}
		if sum != "" {
			h := sha256.Sum256([]byte(sum))
			op.SHA256 = ref(h[:])
		}
		return commitArg{batch, []operation{{Create: &createAsset{Key: "/x", ContentType: "text/plain"}}, {SetContent: &op}}}
	}
	c.refused("belongs to batch", "commit_batch", commit(mine.BatchID, "", first, foreign))
	c.refused("sha256 mismatch", "commit_batch", commit(mine.BatchID, "onetwo", second, first))
	c.refused("chunk not found", "commit_batch", commit(mine.BatchID, "", first, first))
	c.refused("chunk not found", "commit_batch", commit(mine.BatchID, "", 1<<60))
	c.refused("at least one chunk", "commit_batch", commit(mine.BatchID, ""))
	c.refused("batch not found", "create_chunk", chunkArg{77, nil})
	c.refused("batch not found", "delete_batch", batchArg{77})
	// chunks may have come in any order: what counts is the one in which they are named
	c.do("commit_batch", commit(mine.BatchID, "onetwo", first, second))
	c.serves(200, "onetwo", "/x")
	c.refused("batch not found", "create_chunk", chunkArg{mine.BatchID, nil})
	for why, arg := range map[string]getChunkArg{
		"out of bounds": {"/x", "identity", 1, nil}, "no such encoding": {"/x", "br", 0, nil}, "asset not found": {"/y", "identity", 0, nil},
	} {
		sum := sha256.Sum256([]byte("onetwo"))
		arg.SHA256 = ref(sum[:])
		if err := c.ask("get_chunk", arg, &getChunkResult{}); err == nil || !strings.Contains(err.Error(), why) {
			t.Errorf("get_chunk: %v, want %s", err, why)
		}
		if err := c.ask("http_request_streaming_callback", streamingToken(arg), &streamedBody{}); err == nil || !strings.Contains(err.Error(), why) {
			t.Errorf("streaming: %v, want %s", err, why)
		}
	}
}

// A batch whose chunks go away while it is hashed in several messages is given up as
// a whole.
func TestChunksThatVanishWhileTheyAreHashedFailTheBatch(t *testing.T) {
	s := newStore(&growing{})
	id, err := s.createBatch(0)
	if err != nil {
		t.Fatal(err)
	}
	op := &setContent{Key: "/x", Encoding: "identity"}
	for range 2 {
		ids, err := s.createChunks(id, [][]byte{make([]byte, pauseBytes)}, 0)
		if err != nil {
			t.Fatal(err)
		}
		op.ChunkIDs = append(op.ChunkIDs, ids...)
	}
	pauses := 0
	_, err = s.digests([]*setContent{op}, func() error {
		pauses++
		return s.deleteBatch(id)
	})
	if fmt.Sprint(err) != "chunk not found" || pauses != 1 {
		t.Errorf("after %d pauses: %v", pauses, err)
	}
}
