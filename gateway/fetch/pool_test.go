package fetch

import (
	"context"
	"io"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"
)

func serve(t *testing.T, answer http.HandlerFunc) string {
	t.Helper()
	s := httptest.NewServer(answer)
	t.Cleanup(s.Close)
	return s.URL
}

func TestPoolGoesOnToAReplicaThatWorks(t *testing.T) {
	broken := serve(t, func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusServiceUnavailable) })
	var got string
	works := serve(t, func(w http.ResponseWriter, r *http.Request) {
		b, _ := io.ReadAll(r.Body)
		got = r.URL.Path + " " + r.Header.Get("Content-Type") + " " + string(b)
		_, _ = w.Write([]byte("fine"))
	})
	p, err := NewPool([]string{"http://127.0.0.1:1", broken, works + "/"})
	if err != nil {
		t.Fatal(err)
	}
	defer p.Close()
	for range 4 {
		got = ""
		status, reply, err := p.Post(context.Background(), "/api/v3/x", []byte("body"))
		if err != nil || status != http.StatusOK || string(reply) != "fine" || got != "/api/v3/x application/cbor body" {
			t.Fatalf("status %d, %q, %v; the replica got %q", status, reply, err, got)
		}
	}
}

func TestPoolTurnsFromReplicaToReplica(t *testing.T) {
	counts := make([]int, 3)
	var urls []string
	for i := range counts {
		urls = append(urls, serve(t, func(http.ResponseWriter, *http.Request) { counts[i]++ }))
	}
	p, err := NewPool(urls)
	if err != nil {
		t.Fatal(err)
	}
	defer p.Close()
	for range 6 {
		if _, _, err := p.Post(context.Background(), "/", nil); err != nil {
			t.Fatal(err)
		}
	}
	for i, n := range counts {
		if n != 2 {
			t.Errorf("replica %d was asked %d times, want 2", i, n)
		}
	}
}

func TestPoolReturnsTheLastAnswerWhenAllAreOverloaded(t *testing.T) {
	p, err := NewPool([]string{serve(t, func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusTooManyRequests) })})
	if err != nil {
		t.Fatal(err)
	}
	defer p.Close()
	if status, _, err := p.Post(context.Background(), "/", nil); err != nil || status != http.StatusTooManyRequests {
		t.Errorf("status %d, %v", status, err)
	}
}

func TestPoolDoesNotFollowRedirects(t *testing.T) {
	p, err := NewPool([]string{serve(t, func(w http.ResponseWriter, r *http.Request) {
		http.Redirect(w, r, "http://127.0.0.1:1/", http.StatusFound)
	})})
	if err != nil {
		t.Fatal(err)
	}
	defer p.Close()
	if status, _, err := p.Post(context.Background(), "/", nil); err != nil || status != http.StatusFound {
		t.Errorf("status %d, %v", status, err)
	}
}

func TestPoolRefusesHugeAnswers(t *testing.T) {
	p, err := NewPool([]string{serve(t, func(w http.ResponseWriter, _ *http.Request) {
		chunk := make([]byte, 1<<20)
		for range MaxReplyBytes>>20 + 1 {
			if _, err := w.Write(chunk); err != nil {
				return
			}
		}
	})})
	if err != nil {
		t.Fatal(err)
	}
	defer p.Close()
	if _, _, err := p.Post(context.Background(), "/", nil); err == nil {
		t.Error("an answer beyond the bound was accepted")
	}
}

func TestAReplicaThatDiesInTheMiddleOfItsAnswerHasNotAnswered(t *testing.T) {
	bodies := make(chan string, 4)
	note := func(r *http.Request) {
		b, _ := io.ReadAll(r.Body)
		bodies <- string(b)
	}
	dies := serve(t, func(w http.ResponseWriter, r *http.Request) {
		note(r)
		w.Header().Set("Content-Length", "100")
		_, _ = w.Write([]byte("half"))
		panic(http.ErrAbortHandler)
	})
	works := serve(t, func(w http.ResponseWriter, r *http.Request) {
		note(r)
		_, _ = w.Write([]byte("whole"))
	})
	p, err := NewPool([]string{dies, works})
	if err != nil {
		t.Fatal(err)
	}
	defer p.Close()
	status, reply, err := p.Post(context.Background(), "/api/v4/x", []byte("call"))
	if err != nil || status != http.StatusOK || string(reply) != "whole" {
		t.Errorf("status %d, %q, %v", status, reply, err)
	}
	if len(bodies) != 2 || <-bodies != "call" || <-bodies != "call" {
		t.Error("not both replicas got the call, or not the whole of it")
	}
}

// at serves answers of a height that may change.
func at(t *testing.T, height *string, wanted *[]string) string {
	return serve(t, func(w http.ResponseWriter, r *http.Request) {
		if wanted != nil {
			*wanted = append(*wanted, r.Header.Get(heightHeader))
		}
		w.Header().Set(heightHeader, *height)
		_, _ = w.Write([]byte(*height))
	})
}

func TestUsersNeverSeeTheSubnetGoBack(t *testing.T) {
	ahead, behind := "7", "5"
	p, err := NewPool([]string{at(t, &ahead, nil), at(t, &behind, nil)})
	if err != nil {
		t.Fatal(err)
	}
	defer p.Close()
	for range 6 {
		if _, reply, err := p.Post(context.Background(), "/", nil); err != nil || string(reply) != "7" {
			t.Errorf("the answer is of height %s, %v, although 7 was seen already", reply, err)
		}
	}
	behind = "8"
	ahead = "nonsense" // no height: it is believed
	seen := map[string]bool{}
	for range 4 {
		_, reply, err := p.Post(context.Background(), "/", nil)
		if err != nil {
			t.Fatal(err)
		}
		seen[string(reply)] = true
	}
	if !seen["8"] {
		t.Error("a replica that caught up is not asked")
	}
}

func TestAHeightThatNobodyHasIsForgotten(t *testing.T) {
	lie, honest := "1000000", "9"
	var wanted []string
	p, err := NewPool([]string{at(t, &lie, nil), at(t, &honest, &wanted), at(t, &honest, nil)})
	if err != nil {
		t.Fatal(err)
	}
	defer p.Close()
	post := func() string {
		t.Helper()
		_, reply, err := p.Post(context.Background(), "/", nil)
		if err != nil {
			t.Fatal(err)
		}
		return string(reply)
	}
	if post() != lie {
		t.Fatal("the first answer is not the liar's")
	}
	lie = "1" // and now it denies it
	for range 6 {
		if got := post(); got != honest {
			t.Errorf("the answer is of height %s, want %s", got, honest)
		}
	}
	if wanted[0] != "1000000" || wanted[len(wanted)-1] != "9" {
		t.Errorf("the honest replica was asked for heights %q", wanted)
	}
}

func TestAReplicaThatHangsIsNotWaitedFor(t *testing.T) {
	release := make(chan struct{})
	hangs := serve(t, func(_ http.ResponseWriter, r *http.Request) {
		select {
		case <-release:
		case <-r.Context().Done():
		}
	})
	defer close(release)
	works := serve(t, func(w http.ResponseWriter, r *http.Request) {
		b, _ := io.ReadAll(r.Body)
		_, _ = w.Write(b)
	})
	p, err := NewPool([]string{hangs, works})
	if err != nil {
		t.Fatal(err)
	}
	defer p.Close()
	p.patience = time.Millisecond
	for range 4 {
		if status, reply, err := p.Post(context.Background(), "/", []byte("call")); err != nil || status != http.StatusOK || string(reply) != "call" {
			t.Errorf("status %d, %q, %v", status, reply, err)
		}
	}
}

func TestPoolWithoutReplicasIsRefused(t *testing.T) {
	for _, urls := range [][]string{nil, {"127.0.0.1:8080"}} {
		if _, err := NewPool(urls); err == nil {
			t.Errorf("%q was accepted", urls)
		}
	}
}

func TestReplicasThatFailedRestForAWhile(t *testing.T) {
	asked := 0
	broken := serve(t, func(w http.ResponseWriter, _ *http.Request) {
		asked++
		w.WriteHeader(http.StatusInternalServerError)
	})
	works := serve(t, func(http.ResponseWriter, *http.Request) {})
	p, err := NewPool([]string{broken, works})
	if err != nil {
		t.Fatal(err)
	}
	defer p.Close()
	now := time.Now()
	p.now = func() time.Time { return now }
	post := func(want int) {
		t.Helper()
		for range 4 {
			if status, _, err := p.Post(context.Background(), "/", nil); err != nil || status != http.StatusOK {
				t.Fatalf("status %d, %v", status, err)
			}
		}
		if asked != want {
			t.Errorf("the broken replica was asked %d times, want %d", asked, want)
		}
	}
	post(1)
	now = now.Add(restTime + 1)
	post(2)
}
