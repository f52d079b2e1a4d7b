package live

import (
	"context"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/gorilla/websocket"
)

// feed runs a Feed whose documents are numbers, made when something is sent to the channel.
type feed struct {
	*Feed
	url  string
	next chan string
	stop func()
}

func start(t *testing.T, maxClients int) *feed {
	t.Helper()
	f := &feed{next: make(chan string)}
	f.Feed = New(Config{
		Document: func(ctx context.Context) []byte {
			select {
			case text := <-f.next:
				return []byte(text)
			case <-ctx.Done():
				return nil
			}
		},
		Interval: time.Millisecond, MaxClients: maxClients, Log: slog.New(slog.DiscardHandler),
	})
	server := httptest.NewServer(f.Feed)
	f.url = "ws" + strings.TrimPrefix(server.URL, "http")
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		f.Run(ctx)
	}()
	f.stop = func() {
		cancel()
		<-ended
	}
	t.Cleanup(func() {
		f.stop()
		server.Close()
	})
	return f
}

func (f *feed) dial(t *testing.T, header http.Header) (*websocket.Conn, *http.Response) {
	t.Helper()
	conn, resp, err := websocket.DefaultDialer.Dial(f.url, header)
	if err != nil {
		return nil, resp
	}
	t.Cleanup(func() { _ = conn.Close() })
	return conn, resp
}

func read(t *testing.T, conn *websocket.Conn) string {
	t.Helper()
	if err := conn.SetReadDeadline(time.Now().Add(10 * time.Second)); err != nil {
		t.Fatal(err)
	}
	_, b, err := conn.ReadMessage()
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

func TestEveryClientGetsTheDocument(t *testing.T) {
	f := start(t, 2)
	a, _ := f.dial(t, nil)
	b, _ := f.dial(t, nil)
	for _, text := range []string{"1", "2"} {
		f.next <- text
		if got := read(t, a) + read(t, b); got != text+text {
			t.Errorf("got %q", got)
		}
	}
}

func TestNothingIsAskedForWhileNobodyWatches(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		asked := 0
		f := New(Config{
			Document: func(context.Context) []byte {
				asked++
				return nil
			},
			Interval: time.Second, Log: slog.New(slog.DiscardHandler),
		})
		ctx, cancel := context.WithCancel(t.Context())
		ended := make(chan struct{})
		go func() {
			defer close(ended)
			f.Run(ctx)
		}()
		pass := func(d time.Duration) {
			<-time.After(d)
			synctest.Wait()
		}
		pass(time.Hour)
		if asked != 0 {
			t.Errorf("%d documents for nobody", asked)
		}
		c := f.enter()
		pass(9500 * time.Millisecond)
		if asked != 10 {
			t.Errorf("%d documents in ten seconds", asked)
		}
		f.leave(c)
		pass(time.Hour)
		if asked != 10 {
			t.Errorf("%d documents after the client left", asked)
		}
		cancel()
		<-ended
	})
}

func TestAClientThatDoesNotReadGetsTheNewestNext(t *testing.T) {
	f := New(Config{Interval: time.Hour, Log: slog.New(slog.DiscardHandler)})
	c := f.enter()
	defer f.leave(c)
	for n := range 1000 {
		f.send([]byte(strconv.Itoa(n)))
	}
	if got := string(<-c.next); got != "999" || len(c.next) != 0 {
		t.Errorf("got %q, and %d wait", got, len(c.next))
	}
}

func TestBeyondTheBoundClientsAreToldWhenToComeBack(t *testing.T) {
	f := start(t, 1)
	f.dial(t, nil)
	if _, resp := f.dial(t, nil); resp.StatusCode != http.StatusServiceUnavailable || resp.Header.Get("Retry-After") == "" {
		t.Errorf("status %d, %v", resp.StatusCode, resp.Header)
	}
}

func TestPagesOfOtherOriginsAreRefused(t *testing.T) {
	f := start(t, 0)
	own := strings.Replace(f.url, "ws", "http", 1)
	for origin, want := range map[string]bool{
		own: true, "http://evil.example": false, "null": false, "http://x" + strings.TrimPrefix(own, "http://"): false, "://": false,
	} {
		conn, resp := f.dial(t, http.Header{"Origin": {origin}})
		if got := conn != nil; got != want {
			t.Errorf("%s: let in: %v, status %d", origin, got, resp.StatusCode)
		}
	}
}

func TestAClientThatSaysSomethingIsDropped(t *testing.T) {
	f := start(t, 1)
	conn, _ := f.dial(t, nil)
	_ = conn.WriteMessage(websocket.TextMessage, make([]byte, 1<<20)) // the feed may be gone before all of it
	_ = conn.SetReadDeadline(time.Now().Add(10 * time.Second))
	if _, _, err := conn.ReadMessage(); err == nil {
		t.Error("it is still there")
	}
}

func TestTheEndOfTheFeedSaysGoodbye(t *testing.T) {
	f := start(t, 1)
	conn, _ := f.dial(t, nil)
	f.stop()
	_ = conn.SetReadDeadline(time.Now().Add(10 * time.Second))
	for {
		_, _, err := conn.ReadMessage()
		if err == nil {
			continue // what was on its way
		}
		if !websocket.IsCloseError(err, websocket.CloseGoingAway) {
			t.Errorf("%v", err)
		}
		break
	}
	if _, resp := f.dial(t, nil); resp.StatusCode != http.StatusServiceUnavailable {
		t.Errorf("afterwards: status %d", resp.StatusCode)
	}
}
