package dashboard

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"
)

// fixed is a network that does not change; it counts how often it is asked.
type fixed struct {
	replicas []Replica
	list     Canisters
	err      error
	asked    atomic.Int64
}

func (f *fixed) Replicas(ctx context.Context) []Replica {
	f.asked.Add(1)
	if ctx.Err() != nil {
		return nil
	}
	return f.replicas
}

func (f *fixed) Canisters(context.Context, string) (Canisters, error) { return f.list, f.err }

func four() *fixed {
	f := &fixed{}
	for i := range 4 {
		f.replicas = append(f.replicas, Replica{Name: "node", ID: "id", Alive: true, Certified: uint64(10 + i), Messages: uint64(100 * i), Canisters: i, Version: "v", Page: "http://127.0.0.1:1/"})
	}
	return f
}

func handler(f *fixed) *Dashboard {
	return New(Config{Source: f, RootKey: []byte{0xab}, Domain: "localhost", Script: []byte("script()"), Log: slog.New(slog.DiscardHandler)})
}

func get(t *testing.T, d *Dashboard, method, url string) (*http.Response, string) {
	t.Helper()
	w := httptest.NewRecorder()
	d.ServeHTTP(w, httptest.NewRequest(method, url, nil))
	body, err := io.ReadAll(w.Result().Body)
	if err != nil {
		t.Fatal(err)
	}
	return w.Result(), string(body)
}

func TestThePageShowsTheNewestOfAllReplicas(t *testing.T) {
	f := four()
	f.list = Canisters{Total: 9, More: true, Items: []Canister{
		{ID: "aaaaa-aa", Name: "front<end", Web: true, Status: "running", Cycles: "2999999999999", MemoryBytes: 1 << 20, ModuleHash: strings.Repeat("ab", 32)},
		{ID: "bbbbb-bb", Status: "stopped", Cycles: "17"},
	}}
	r, page := get(t, handler(f), "GET", "http://127.0.0.1:8000/")
	for _, want := range []string{
		`id="height">13<`, "All 4 replicas run.", `href="http://aaaaa-aa.localhost:8000/"`, "front&lt;end", "2.999 T", "1.0 MiB", "stopped", "9 in all",
		`href="/?after=bbbbb-bb"`, "url: http://127.0.0.1:8000", "root-key: ab",
	} {
		if !strings.Contains(page, want) {
			t.Errorf("%s is missing", want)
		}
	}
	if strings.Contains(page, `href="http://bbbbb-bb`) {
		t.Error("a canister without pages has a link")
	}
	csp := r.Header.Get("Content-Security-Policy")
	if !strings.Contains(csp, "default-src 'none'") || !strings.Contains(csp, "frame-ancestors 'none'") || strings.Contains(csp, "unsafe") {
		t.Errorf("policy %s", csp)
	}
	if strings.Contains(page, "<script>") || strings.Contains(page, " style=") || strings.Contains(page, "onclick") {
		t.Error("something on the page is inline")
	}
}

func TestAPageWithoutAListSaysWhy(t *testing.T) {
	f := four()
	f.err = errors.New("no <replica> lists them")
	r, page := get(t, handler(f), "GET", "http://localhost/?after=x")
	if r.StatusCode != 200 || !strings.Contains(page, "no &lt;replica&gt; lists them") {
		t.Errorf("status %d\n%s", r.StatusCode, page)
	}
}

func TestHowManyLookDoesNotMatterToTheReplicas(t *testing.T) {
	f := four()
	d := handler(f)
	for range 100 {
		get(t, d, "GET", "http://localhost/")
	}
	if n := f.asked.Load(); n > 20 { // one, unless this takes seconds
		t.Errorf("a hundred looks asked %d times", n)
	}
}

func TestALookThatIsBrokenOffSpoilsNothing(t *testing.T) {
	d := handler(four())
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if b := d.beat(ctx); b.Alive != 4 {
		t.Errorf("%d alive", b.Alive)
	}
}

func TestBeatsFollowEachOther(t *testing.T) {
	f := four()
	first := next(beat{}, f.replicas, time.Hour)
	if first.Rate != 0 || first.Height != 13 || first.Canisters != 3 {
		t.Errorf("%+v", first)
	}
	f.replicas[3].Messages += 50
	second := next(first, f.replicas, 2*time.Second)
	if second.Rate != 25 || len(second.Curve) != 2 {
		t.Errorf("%+v", second)
	}
	f.replicas[3].Alive = false // the newest goes, the network does not go back
	third := next(second, f.replicas, time.Second)
	if third.Rate != 0 || third.Alive != 3 || third.Height != 13 {
		t.Errorf("%+v", third)
	}
	f.replicas[3].Alive = true
	if back := next(third, f.replicas, time.Second); back.Rate != 0 {
		t.Errorf("what was counted before counts again: %+v", back)
	}
	if gone := next(second, nil, time.Second); gone.Height != 13 || gone.Canisters != 3 || gone.Rate != 0 {
		t.Errorf("%+v", gone)
	}
	b := first
	for range 3 * points {
		b = next(b, f.replicas, time.Second)
	}
	if len(b.Curve) != points {
		t.Errorf("the curve has %d points", len(b.Curve))
	}
}

func TestTheHeadlineTellsWhetherTheNetworkGoesOn(t *testing.T) {
	for alive, want := range map[int]string{4: "good", 3: "warn", 2: "bad", 0: "bad"} {
		f := four()
		for i := alive; i < 4; i++ {
			f.replicas[i].Alive = false
		}
		b := next(beat{}, f.replicas, time.Second)
		if got := mood(b); got != want {
			t.Errorf("%d of 4: %s, want %s: %s", alive, got, want, headline(b))
		}
	}
	if one := next(beat{}, four().replicas[:1], time.Second); mood(one) != "good" {
		t.Errorf("one of one: %s", headline(one))
	}
}

func TestTheScriptIsServedUnderItsHash(t *testing.T) {
	d := handler(four())
	r, body := get(t, d, "GET", "http://localhost"+d.script)
	if r.StatusCode != 200 || body != "script()" || !strings.Contains(r.Header.Get("Cache-Control"), "immutable") {
		t.Errorf("status %d, %v", r.StatusCode, r.Header)
	}
	if r, _ := get(t, d, "GET", "http://localhost/_portico/network/else"); r.StatusCode != 404 {
		t.Errorf("status %d", r.StatusCode)
	}
	if r, _ := get(t, d, "POST", "http://localhost/"); r.StatusCode != 405 {
		t.Errorf("status %d", r.StatusCode)
	}
}

func TestTheFeedHasWhatThePageHas(t *testing.T) {
	var b beat
	if err := json.Unmarshal(handler(four()).document(t.Context()), &b); err != nil {
		t.Fatal(err)
	}
	if b.Height != 13 || b.Alive != 4 || len(b.Replicas) != 4 || len(b.Curve) != 1 {
		t.Errorf("%+v", b)
	}
}
