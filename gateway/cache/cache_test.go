package cache

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"portico/lightclient"
	"portico/lightclient/asset"
	"portico/lightclient/principal"
)

// A canister answers what its function says, and counts the questions.
type canister struct {
	answer func(ctx context.Context) (*lightclient.HTTPResponse, error)
	asked  atomic.Int64
}

func (c *canister) Prepare() func(context.Context, func(int) error) (*lightclient.HTTPResponse, error) {
	return func(ctx context.Context, _ func(int) error) (*lightclient.HTTPResponse, error) {
		c.asked.Add(1)
		return c.answer(ctx)
	}
}

// certified is a certified page, with headers "name: value".
func certified(body string, headers ...string) *lightclient.HTTPResponse {
	r := &lightclient.HTTPResponse{Status: 200, Body: []byte(body), Report: asset.Report{Scope: asset.ScopeResponse, Time: time.Now()}}
	for _, h := range headers {
		name, value, _ := strings.Cut(h, ": ")
		r.Headers = append(r.Headers, asset.Header{Name: name, Value: value})
	}
	return r
}

func serves(body string, headers ...string) *canister {
	return &canister{answer: func(context.Context) (*lightclient.HTTPResponse, error) { return certified(body, headers...), nil }}
}

var page = Key{Canister: principal.Canister(1), Host: "x.localhost", URL: "/"}

func request(headers ...string) http.Header {
	h := http.Header{}
	for _, line := range headers {
		name, value, _ := strings.Cut(line, ": ")
		h.Add(name, value)
	}
	return h
}

// get asks and gives back at once.
func get(t *testing.T, c *Cache, key Key, src Source, headers ...string) Answer {
	t.Helper()
	a, err := c.Get(t.Context(), key, request(headers...), src)
	if err != nil {
		t.Fatal(err)
	}
	a.Done()
	return a
}

func keeping(change func(*Config)) *Cache {
	cfg := Config{Bytes: 1 << 20, StaleFor: time.Hour, Chance: func() float64 { return 0 }}
	if change != nil {
		change(&cfg)
	}
	return New(cfg)
}

// Where these tests sleep they do so in a bubble of synctest, whose clock is virtual: it moves on
// when everything in the bubble waits, so no time is spent and nothing depends on how fast a machine is.

func TestABurstOnOneAssetMakesOneQuery(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := keeping(nil)
		defer c.Close()
		src := &canister{answer: func(context.Context) (*lightclient.HTTPResponse, error) {
			time.Sleep(time.Second)
			return certified("hello"), nil
		}}
		var all sync.WaitGroup
		for i := range 1000 {
			all.Go(func() {
				ctx, cancel := context.WithCancel(t.Context())
				defer cancel()
				if i%10 == 0 { // the first is among those who go away
					time.AfterFunc(500*time.Millisecond, cancel)
				}
				a, err := c.Get(ctx, page, request(), src)
				if i%10 == 0 {
					if !errors.Is(err, context.Canceled) {
						t.Errorf("who went away got %v", err)
					}
					return
				}
				if err != nil || string(a.Entry.Body) != "hello" {
					t.Errorf("%v, %v", a, err)
					return
				}
				a.Done()
			})
		}
		all.Wait()
		if n := src.asked.Load(); n != 1 {
			t.Errorf("%d queries", n)
		}
	})
}

func TestAQueryThatNobodyWaitsForEnds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := keeping(nil)
		defer c.Close()
		ended := false
		src := &canister{answer: func(ctx context.Context) (*lightclient.HTTPResponse, error) {
			<-ctx.Done()
			ended = true
			return nil, ctx.Err()
		}}
		ctx, cancel := context.WithCancel(t.Context())
		time.AfterFunc(time.Second, cancel)
		if _, err := c.Get(ctx, page, request(), src); !errors.Is(err, context.Canceled) {
			t.Errorf("%v", err)
		}
		if a := get(t, c, page, serves("again")); string(a.Entry.Body) != "again" {
			t.Errorf("who came afterwards got %q", a.Entry.Body)
		}
		synctest.Wait()
		if !ended {
			t.Error("it goes on")
		}
	})
}

func TestErrorsAreNotKept(t *testing.T) {
	c := keeping(nil)
	defer c.Close()
	failing := &canister{answer: func(context.Context) (*lightclient.HTTPResponse, error) { return nil, errors.New("no") }}
	if _, err := c.Get(t.Context(), page, request(), failing); err == nil {
		t.Fatal("no error")
	}
	if a := get(t, c, page, serves("hello")); string(a.Entry.Body) != "hello" {
		t.Errorf("%q", a.Entry.Body)
	}
}

func TestAnswersAreFreshAsLongAsTheCanisterSays(t *testing.T) {
	for _, tt := range []struct {
		headers string
		fresh   time.Duration // 0: it is not kept
	}{
		{"", 10 * time.Second},
		{"cache-control: max-age=60", time.Minute},
		{"cache-control: max-age=60, s-maxage=120", 2 * time.Minute},
		{"cache-control: max-age=31536000, immutable", 5 * time.Minute}, // of the certificate
		{"cache-control: max-age=0", 0},
		{"cache-control: max-age=x", 0},
		{"cache-control: no-cache", 0},
		{"cache-control: no-store, max-age=60", 0},
		{"cache-control: Private, max-age=60", 0},
		{"cache-control: must-revalidate, max-age=60", time.Minute},
		{"expires: Thu, 01 Jan 1970 00:00:00 GMT", 0},
		{"expires: 0", 0},
		{"set-cookie: a=b", 0},
		{"vary: *", 0},
	} {
		synctest.Test(t, func(t *testing.T) {
			c := keeping(nil)
			defer c.Close()
			src := serves("hello", tt.headers)
			if tt.headers == "" {
				src = serves("hello")
			}
			get(t, c, page, src)
			if tt.fresh > 0 {
				time.Sleep(tt.fresh - time.Second)
				a := get(t, c, page, src)
				if !a.Hit || a.Stale || a.Age != tt.fresh-time.Second || src.asked.Load() != 1 {
					t.Errorf("%q: after %v: %+v, %d queries", tt.headers, a.Age, a, src.asked.Load())
				}
				time.Sleep(2 * time.Second)
			}
			if a := get(t, c, page, src); a.Hit || src.asked.Load() != 2 {
				t.Errorf("%q: then hit %v, %d queries", tt.headers, a.Hit, src.asked.Load())
			}
		})
	}
}

func TestOnlyWhatWasCertifiedIsKept(t *testing.T) {
	for scope, kept := range map[asset.Scope]bool{
		asset.ScopeNothing: false, asset.ScopeCall: false, asset.ScopeBody: true, asset.ScopeResponse: true, asset.ScopeFull: true,
	} {
		c := keeping(nil)
		src := &canister{answer: func(context.Context) (*lightclient.HTTPResponse, error) {
			r := certified("hello", "cache-control: max-age=60")
			r.Report.Scope, r.Report.Expression = scope, (&asset.Expression{Scope: asset.ScopeFull}).String()
			return r, nil
		}}
		get(t, c, page, src)
		if a := get(t, c, page, src); a.Hit != kept {
			t.Errorf("%v: kept %v", scope, a.Hit)
		}
		c.Close()
	}
}

func TestAnswersForOneAreNotGivenToThoseWhoWaited(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := keeping(nil)
		defer c.Close()
		var n atomic.Int64
		src := &canister{answer: func(context.Context) (*lightclient.HTTPResponse, error) {
			time.Sleep(time.Second)
			return certified(fmt.Sprint("for ", n.Add(1)), "cache-control: private"), nil
		}}
		seen := make(chan string, 10)
		for range 10 {
			go func() { seen <- string(get(t, c, page, src).Entry.Body) }()
		}
		got := map[string]bool{}
		for range 10 {
			got[<-seen] = true
		}
		if len(got) != 10 {
			t.Errorf("%v", got)
		}
	})
}

func TestAnswersDependOnTheHeadersThatTheyName(t *testing.T) {
	certifiesLanguage := (&asset.Expression{Scope: asset.ScopeFull, RequestHeaders: []string{"accept-language"}}).String()
	for what, src := range map[string]*canister{
		"vary": serves("hello", "vary: Accept-Language"),
		"certified": {answer: func(context.Context) (*lightclient.HTTPResponse, error) {
			r := certified("hello")
			r.Report.Scope, r.Report.Expression = asset.ScopeFull, certifiesLanguage
			return r, nil
		}},
	} {
		c := keeping(nil)
		for i, tt := range []struct {
			header string
			hit    bool
		}{{"Accept-Language: de", false}, {"Accept-Language: de", true}, {"Accept-Language: fr", false}, {"X: y", false}, {"Accept-Language: de", true}, {"X: z", true}} {
			if a := get(t, c, page, src, tt.header); a.Hit != tt.hit {
				t.Errorf("%s: %d. %s: hit %v", what, i, tt.header, a.Hit)
			}
		}
		c.Close()
	}
}

func TestAuthorizedRequestsShareOnlyWhatSaysSo(t *testing.T) {
	const auth = "Authorization: Bearer x"
	for control, shared := range map[string]bool{"max-age=60": false, "public, max-age=60": true, "s-maxage=60": true, "must-revalidate, max-age=60": true} {
		c := keeping(nil)
		src := serves("hello", "cache-control: "+control)
		get(t, c, page, src, auth)
		if a := get(t, c, page, src, auth); a.Hit != shared {
			t.Errorf("%s: hit %v", control, a.Hit)
		}
		if a := get(t, c, page, src); a.Hit != shared {
			t.Errorf("%s: anybody else: hit %v", control, a.Hit)
		}
		if a := get(t, c, page, src, auth); a.Hit != shared {
			t.Errorf("%s: kept for anybody else: hit %v", control, a.Hit)
		}
		c.Close()
	}
}

func TestAForcedReloadAsksAnew(t *testing.T) {
	c := keeping(nil)
	defer c.Close()
	src := serves("hello")
	get(t, c, page, src)
	if a := get(t, c, page, src, "Cache-Control: no-cache"); a.Hit || src.asked.Load() != 2 {
		t.Errorf("hit %v", a.Hit)
	}
	if a := get(t, c, page, src, "Cache-Control: max-age=0"); !a.Hit {
		t.Error("a reload asked anew")
	}
}

func TestWhatIsAskedForOftenIsRenewedBeforeItExpires(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		chance := 0.0
		c := keeping(func(cfg *Config) { cfg.Chance = func() float64 { return chance } })
		defer c.Close()
		src := &canister{answer: func(context.Context) (*lightclient.HTTPResponse, error) {
			time.Sleep(time.Second)
			return certified("hello"), nil
		}}
		get(t, c, page, src)
		time.Sleep(8 * time.Second)
		get(t, c, page, src)
		synctest.Wait()
		if n := src.asked.Load(); n != 1 {
			t.Fatalf("renewed without a reason: %d queries", n)
		}
		chance = 0.9
		began := time.Now()
		for range 100 {
			if a := get(t, c, page, src); !a.Hit {
				t.Error("somebody had to wait")
			}
		}
		if time.Since(began) != 0 {
			t.Error("somebody had to wait")
		}
		time.Sleep(5 * time.Second)
		if a := get(t, c, page, src); !a.Hit || a.Age != 4*time.Second || src.asked.Load() != 2 {
			t.Errorf("hit %v, age %v, %d queries", a.Hit, a.Age, src.asked.Load())
		}
	})
}

var errAway = &lightclient.TransportError{Err: errors.New("connection refused")}

func TestStalePagesAreGivenWhileTheSubnetIsAway(t *testing.T) {
	for _, tt := range []struct {
		what, control string
		err           error
		after         time.Duration
		stale         bool
	}{
		{"away", "max-age=5", errAway, 50 * time.Minute, true},
		{"overloaded", "max-age=5", &lightclient.StatusError{Status: 503}, time.Minute, true},
		{"its certificates are old", "max-age=5", &asset.Error{Reason: asset.ReasonTime}, time.Minute, true},
		{"for too long", "max-age=5", errAway, 61 * time.Minute, false},
		{"for longer than the canister allows", "max-age=5, stale-if-error=30", errAway, time.Minute, false},
		{"as long as the canister allows", "max-age=5, stale-if-error=90", errAway, time.Minute, true},
		{"must be right", "max-age=5, must-revalidate", errAway, time.Minute, false},
		{"must be asked", "no-cache", errAway, time.Minute, false},
		{"not kept", "no-store", errAway, time.Minute, false},
		{"a forgery is to be seen", "max-age=5", &asset.Error{Reason: asset.ReasonBody}, time.Minute, false},
		{"a stopped canister is to be seen", "max-age=5", &lightclient.Reject{Code: 5}, time.Minute, false},
	} {
		synctest.Test(t, func(t *testing.T) {
			c := keeping(nil)
			defer c.Close()
			get(t, c, page, serves("hello", "cache-control: "+tt.control))
			time.Sleep(tt.after)
			failing := &canister{answer: func(context.Context) (*lightclient.HTTPResponse, error) { return nil, tt.err }}
			a, err := c.Get(t.Context(), page, request(), failing)
			if !tt.stale {
				if !errors.Is(err, tt.err) {
					t.Errorf("%s: %+v, %v", tt.what, a, err)
				}
				return
			}
			if err != nil || !a.Stale || a.SinceCertified != tt.after || string(a.Entry.Body) != "hello" {
				t.Fatalf("%s: %+v, %v", tt.what, a, err)
			}
			for range 10 {
				get(t, c, page, failing)
			}
			if n := failing.asked.Load(); n != 1 {
				t.Errorf("%s: each of those who came next made a query: %d", tt.what, n)
			}
			time.Sleep(2 * time.Second)
			if a := get(t, c, page, serves("back")); a.Stale || string(a.Entry.Body) != "back" {
				t.Errorf("%s: afterwards: %+v", tt.what, a)
			}
		})
	}
}

func TestNobodyWaitsLongForASubnetThatDoesNotAnswer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := keeping(nil)
		defer c.Close()
		get(t, c, page, serves("hello"))
		time.Sleep(time.Minute)
		hanging := &canister{answer: func(ctx context.Context) (*lightclient.HTTPResponse, error) {
			<-ctx.Done()
			return nil, ctx.Err()
		}}
		began := time.Now()
		if a := get(t, c, page, hanging); !a.Stale || time.Since(began) != patience {
			t.Errorf("stale %v after %v", a.Stale, time.Since(began))
		}
	})
}

func TestAStaleAnswerIsGivenWhileItIsRenewedIfTheCanisterSaysSo(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := keeping(nil)
		defer c.Close()
		src := serves("hello", "cache-control: max-age=5, stale-while-revalidate=20")
		get(t, c, page, src)
		time.Sleep(15 * time.Second)
		if a := get(t, c, page, src); !a.Stale {
			t.Error("not given")
		}
		synctest.Wait()
		if a := get(t, c, page, src); a.Stale || !a.Hit || src.asked.Load() != 2 {
			t.Errorf("not renewed: %+v", a)
		}
	})
}

func TestWhatIsKeptIsBounded(t *testing.T) {
	c := keeping(nil)
	defer c.Close()
	src := serves(strings.Repeat("x", 10_000))
	for i := range 1000 {
		k := page
		k.URL = fmt.Sprint("/", i)
		get(t, c, k, src)
	}
	if n := c.Bytes(); n == 0 || n > 1<<20 {
		t.Errorf("%d bytes", n)
	}
	large := serves(strings.Repeat("x", 1<<18+1))
	get(t, c, page, large)
	if a := get(t, c, page, large); a.Hit {
		t.Error("a quarter of the room went to one item")
	}
}

func TestBodiesInPartsAreKeptIfTheyAreShort(t *testing.T) {
	c := keeping(nil)
	defer c.Close()
	inParts := func(n int, err error) *canister {
		return &canister{answer: func(context.Context) (*lightclient.HTTPResponse, error) {
			r := certified("01234", fmt.Sprint("content-length: ", n))
			read := 5
			r.Next = func(context.Context) ([]byte, error) {
				if read == n {
					return nil, io.EOF
				}
				read += 5
				return []byte("56789"), err
			}
			return r, nil
		}}
	}
	if a := get(t, c, page, inParts(20, nil)); a.Next != nil || string(a.Entry.Body) != "01234567895678956789" {
		t.Errorf("%q", a.Entry.Body)
	}
	if a := get(t, c, page, nil); !a.Hit {
		t.Error("not kept")
	}
	page := page
	page.URL = "/refused"
	if _, err := c.Get(t.Context(), page, request(), inParts(20, errAway)); !errors.Is(err, errAway) {
		t.Errorf("a part was refused: %v", err)
	}
	page.URL = "/long"
	long := inParts(1<<20, nil)
	for range 2 {
		a := get(t, c, page, long)
		if a.Next == nil || a.Hit || string(a.Entry.Body) != "01234" {
			t.Errorf("%+v", a)
		}
	}
}

func TestRoomForLongAnswersIsGivenBack(t *testing.T) {
	c := keeping(func(cfg *Config) { cfg.HeldBytes = 100 })
	defer c.Close()
	src := holding{80}
	first, err := c.Get(t.Context(), page, request(), src)
	if err != nil {
		t.Fatal(err)
	}
	other := page
	other.URL = "/other"
	var busy *BusyError
	if _, err := c.Get(t.Context(), other, request(), src); !errors.As(err, &busy) {
		t.Errorf("%v", err)
	}
	first.Done()
	get(t, c, other, src)
}

// holding is a canister whose answers take room.
type holding struct{ bytes int }

func (h holding) Prepare() func(context.Context, func(int) error) (*lightclient.HTTPResponse, error) {
	return func(_ context.Context, hold func(int) error) (*lightclient.HTTPResponse, error) {
		if err := hold(h.bytes); err != nil {
			return nil, err
		}
		return certified("hello", "cache-control: no-store"), nil
	}
}
