package sync

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"strings"
	"sync"
	"testing"
	"testing/fstest"
	"time"

	"github.com/andybalholm/brotli"
	"github.com/klauspost/compress/gzip"

	"portico/lightclient/candid/marshal"
	"portico/lightclient/principal"
	"portico/node/canistertest"
	"portico/node/cdk/link"
	"portico/node/types"
)

var (
	build = sync.OnceValues(func() ([]byte, error) { return link.Build("../assets", "../assets/assets.did") })
	owner = principal.SelfAuthenticating([]byte("owner"))
)

// site is the asset canister on a replica, with the calls that were made to it.
type site struct {
	t     *testing.T
	mu    sync.Mutex
	net   *canistertest.Network
	id    principal.ID
	calls []string
	fail  func(method string) error // nil: no call fails
}

func newSite(t *testing.T) *site {
	t.Helper()
	if testing.Short() {
		t.Skip("compiles a canister twice: to WebAssembly and to machine code")
	}
	wasm, err := build()
	if err != nil {
		t.Fatal(err)
	}
	n := canistertest.New(t)
	return &site{t: t, net: n, id: n.Install(owner, wasm, nil)}
}

func (s *site) Call(ctx context.Context, method string, arg []byte) ([]byte, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.calls = append(s.calls, method)
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	if s.fail != nil {
		if err := s.fail(method); err != nil {
			return nil, err
		}
	}
	if len(arg) > 2<<20-1000 {
		return nil, fmt.Errorf("a message of %d bytes", len(arg))
	}
	id := s.net.Send(owner, s.id, method, arg)
	for range 1000 {
		if reply, reject, ok := s.net.Result(id); ok {
			return reply, rejection(reject)
		}
		s.net.Tick(time.Second)
	}
	return nil, errors.New("no answer")
}

func (s *site) Query(ctx context.Context, method string, arg []byte) ([]byte, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	reply, reject := s.net.Query(owner, s.id, method, arg)
	return reply, rejection(reject)
}

func rejection(r *types.Reject) error {
	if r == nil {
		return nil
	}
	return errors.New(r.Message)
}

// sync makes the canister hold files and returns what was done in short.
func (s *site) sync(files fstest.MapFS, change ...func(*Config)) *Result {
	s.t.Helper()
	r, err := s.try(files, change...)
	if err != nil {
		s.t.Fatal(err)
	}
	return r
}

func (s *site) try(files fstest.MapFS, change ...func(*Config)) (*Result, error) {
	s.calls = nil
	cfg := Config{Canister: s, Files: files, Parallel: 4}
	for _, c := range change {
		c(&cfg)
	}
	return Run(s.t.Context(), cfg)
}

func summary(r *Result) string {
	var b strings.Builder
	for _, c := range r.Changes {
		fmt.Fprintf(&b, "%s %s, ", c.Kind, c.Key)
	}
	return b.String() + fmt.Sprintf("%d unchanged", r.Unchanged)
}

func (s *site) does(files fstest.MapFS, want string, change ...func(*Config)) *Result {
	s.t.Helper()
	r := s.sync(files, change...)
	if got := summary(r); got != want {
		s.t.Errorf("it did: %s\nwanted: %s", got, want)
	}
	return r
}

// get reads an asset in an encoding.
func (s *site) get(key, encoding string) (content []byte, contentType string, err error) {
	var got struct {
		Content     []byte `candid:"content"`
		ContentType string `candid:"content_type"`
		Total       uint64 `candid:"total_length,nat"`
	}
	arg, err := marshal.Encode(struct {
		Key    string   `candid:"key"`
		Accept []string `candid:"accept_encodings"`
	}{key, []string{encoding}})
	if err != nil {
		return nil, "", err
	}
	b, err := s.Query(s.t.Context(), "get", arg)
	if err != nil {
		return nil, "", err
	}
	err = marshal.Decode(b, &got)
	return got.Content, got.ContentType, err
}

func (s *site) holds(key, encoding, want string) {
	s.t.Helper()
	content, _, err := s.get(key, encoding)
	if err == nil {
		var r io.Reader = strings.NewReader(string(content))
		switch encoding {
		case gzipName:
			r, err = gzip.NewReader(r)
		case brotliName:
			r = brotli.NewReader(r)
		}
		if err == nil {
			content, err = io.ReadAll(r)
		}
	}
	if err != nil || string(content) != want {
		s.t.Errorf("%s as %s: %.50q, %v; want %.50q", key, encoding, content, err, want)
	}
}

func file(text string) *fstest.MapFile { return &fstest.MapFile{Data: []byte(text), Mode: 0o644} }

func noise(n int) string {
	b := make([]byte, n)
	rand.Read(b)
	return string(b)
}

func TestOnlyWhatDiffersIsUploadedAndWhatIsGoneIsDeleted(t *testing.T) {
	s := newSite(t)
	page := "<p>" + strings.Repeat("text ", 1000)
	files := fstest.MapFS{"index.html": file(page), "a.js": file("1"), "pic.png": file(noise(5000)), ".hidden": file("x"), ".well-known/ic-domains": file("d"), "empty.txt": file("")}
	r := s.does(files, "create /.well-known/ic-domains, create /a.js, create /empty.txt, create /pic.png, create /index.html, 0 unchanged")
	if strings.Join(s.calls, " ") != "commit_batch" || r.Calls != 1 {
		t.Errorf("little content took the calls %q", s.calls)
	}
	s.holds("/index.html", gzipName, page)
	s.holds("/a.js", identityName, "1")
	s.holds("/empty.txt", identityName, "")
	if _, _, err := s.get("/a.js", gzipName); err == nil {
		t.Error("an encoding that saves nothing was uploaded")
	}
	s.does(files, "5 unchanged")
	if len(s.calls) > 0 {
		t.Errorf("nothing to do took the calls %q", s.calls)
	}
	files["a.js"] = file("2")
	delete(files, "pic.png")
	s.does(files, "replace /a.js, delete /pic.png, 3 unchanged", func(c *Config) { c.DryRun = true })
	s.holds("/a.js", identityName, "1")
	s.does(files, "replace /a.js, 3 unchanged", func(c *Config) { c.KeepOthers = true })
	s.does(files, "delete /pic.png, 4 unchanged")
	s.holds("/a.js", identityName, "2")
}

func TestLargeFilesAreUploadedInChunksAndComeBackWhole(t *testing.T) {
	s := newSite(t)
	files := fstest.MapFS{}
	for i := range 40 {
		files[fmt.Sprintf("f%02d.bin", i)] = file(noise(100_000 + i))
	}
	long := noise(2*chunkBytes + 5)
	files["long.mp4"] = file(long)
	r := s.sync(files)
	if r.Calls > 10 {
		t.Errorf("8 MB took %d calls: %q", r.Calls, s.calls)
	}
	for name, f := range files {
		if name != "long.mp4" {
			s.holds("/"+name, identityName, string(f.Data))
		}
	}
	s.holds("/long.mp4", identityName, long[:chunkBytes])
	s.does(files, "41 unchanged")
	files["long.mp4"] = file(long[:len(long)-1] + "x")
	s.does(files, "replace /long.mp4, 40 unchanged")
}

func TestManyChangesAreCommittedInPartsWithPagesLast(t *testing.T) {
	s := newSite(t)
	files := fstest.MapFS{"index.html": file("new")}
	for i := range 600 {
		files[fmt.Sprintf("%03d.txt", i)] = file("x")
	}
	r := s.sync(files)
	if got := strings.Join(s.calls, " "); got != "commit_batch commit_batch commit_batch" {
		t.Errorf("calls %q", got)
	}
	if last := r.Changes[len(r.Changes)-1]; last.Key != "/index.html" {
		t.Errorf("the last change is %+v", last)
	}
	s.does(files, "601 unchanged")
}

func TestPropertiesFollowTheRules(t *testing.T) {
	s := newSite(t)
	files := fstest.MapFS{
		"index.html": file("home"), "sub/x.txt": file(strings.Repeat("x", 500)), "sub/secret.txt": file("s"), "sub/.env": file("e"),
		".ic-assets.json5": file(`[
			// for all files
			{ match: '**/*', cache: { max_age: 60 }, headers: { 'X-One': 1, "X-Two": "two", }, security_policy: 'disabled' },
			{ match: "**/*.html", enable_aliasing: false },
		]`),
		"sub/.ic-assets.json": file(`[{"match": "*", "headers": {"X-Two": "three"}, "allow_raw_access": false, "encodings": ["br", "identity"]},
			{"match": "secret.txt", "ignore": true}, {"match": ".env", "ignore": false}]`),
	}
	s.does(files, "create /sub/.env, create /sub/x.txt, create /index.html, 0 unchanged")
	var p assetProperties
	ask := func(key string) string {
		t.Helper()
		if err := (remote{s}).query(t.Context(), "get_asset_properties", key, &p); err != nil {
			t.Fatal(err)
		}
		return fmt.Sprint(*p.MaxAge, *p.Headers, *p.AllowRawAccess, p.IsAliased != nil && !*p.IsAliased)
	}
	if got := ask("/index.html"); got != "60 [{X-One 1} {X-Two two}] true true" {
		t.Errorf("index.html has %s", got)
	}
	if got := ask("/sub/x.txt"); got != "60 [{X-One 1} {X-Two three}] false false" {
		t.Errorf("sub/x.txt has %s", got)
	}
	s.holds("/sub/x.txt", brotliName, strings.Repeat("x", 500))
	files["sub/.ic-assets.json"] = file(`[{"match": "*", "headers": null}, {"match": ".env", "ignore": false}, {"match": "secret.txt", "ignore": true}]`)
	s.does(files, "adjust /sub/.env, replace /sub/x.txt, 1 unchanged")
	if _, _, err := s.get("/sub/x.txt", brotliName); err == nil {
		t.Error("an encoding that no rule asks for stayed")
	}
	s.does(files, "3 unchanged")
}

func TestUploadsThatFailChangeNothingAndAreGivenUp(t *testing.T) {
	s := newSite(t)
	s.sync(fstest.MapFS{"a.txt": file("a")})
	boom := errors.New("boom")
	files := fstest.MapFS{}
	for i := range 20 {
		files[fmt.Sprintf("f%02d.bin", i)] = file(noise(700_000))
	}
	n := 0
	s.fail = func(method string) error {
		if n++; method == "create_chunks" && n > 3 {
			return boom
		}
		return nil
	}
	if _, err := s.try(files); !errors.Is(err, boom) {
		t.Errorf("got %v", err)
	}
	if last := s.calls[len(s.calls)-1]; last != "delete_batch" {
		t.Errorf("the last call is %s", last)
	}
	s.fail = nil
	s.holds("/a.txt", identityName, "a")
	s.does(fstest.MapFS{"a.txt": file("a")}, "1 unchanged")
}

func TestProposalsCarryEvidence(t *testing.T) {
	s := newSite(t)
	files := fstest.MapFS{"a.txt": file("a"), "b.bin": file(noise(2_000_000))}
	r := s.sync(files, func(c *Config) { c.Propose = true })
	if len(r.Evidence) != 32 || r.Batch == 0 {
		t.Fatalf("result %+v", r)
	}
	if _, _, err := s.get("/a.txt", identityName); err == nil {
		t.Error("a proposal was applied")
	}
	commit := struct {
		Batch    uint64 `candid:"batch_id,nat"`
		Evidence []byte `candid:"evidence"`
	}{r.Batch, r.Evidence}
	if err := (remote{s}).call(t.Context(), "commit_proposed_batch", commit); err != nil {
		t.Fatal(err)
	}
	s.holds("/a.txt", identityName, "a")
	s.does(files, "2 unchanged")
}

func TestMemorySavesCompressionAndNothingElse(t *testing.T) {
	s := newSite(t)
	page := strings.Repeat("text ", 1000)
	files := fstest.MapFS{"index.html": file(page)}
	m := NewMemory("1")
	with := func(m *Memory) func(*Config) { return func(c *Config) { c.Memory = m } }
	s.does(files, "create /index.html, 0 unchanged", with(m))
	var text bytes.Buffer
	if _, err := m.WriteTo(&text); err != nil || !m.Changed() {
		t.Fatal(err)
	}
	again := NewMemory("1")
	if err := again.Read(bytes.NewReader(text.Bytes())); err != nil || len(again.known) != 1 {
		t.Fatalf("%d entries, %v", len(again.known), err)
	}
	s.does(files, "1 unchanged", with(again))
	if again.Changed() {
		t.Error("what was known was compressed")
	}
	s.does(fstest.MapFS{}, "delete /index.html, 0 unchanged")
	s.does(files, "create /index.html, 0 unchanged", with(again))
	s.holds("/index.html", gzipName, page)
	other := NewMemory("2")
	if err := other.Read(bytes.NewReader(text.Bytes())); err != nil || len(other.known) != 0 {
		t.Errorf("%d entries of another version, %v", len(other.known), err)
	}
	for _, junk := range []string{"1\nx", "1\n" + strings.Repeat("ab", 32) + " gzip " + strings.Repeat("ab", 31) + " 5", "", "1\n" + strings.Repeat("x", 1<<20)} {
		m := NewMemory("1")
		_ = m.Read(strings.NewReader(junk))
		if len(m.known) != 0 {
			t.Errorf("%.20q was taken for entries", junk)
		}
	}
}
