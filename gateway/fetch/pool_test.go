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
