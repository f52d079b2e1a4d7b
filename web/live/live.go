// Package live shows a document that changes to browsers, over websockets (RFC 6455).
//
// Every message is the whole document, so whoever missed some has lost nothing: a client
// that reads slowly gets the newest one next and nothing queues up for it. The document
// is asked for only while somebody watches.
package live

import (
	"context"
	"log/slog"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/gorilla/websocket"
)

// Config is what a Feed is made of.
type Config struct {
	// Document gives the newest document, UTF-8 text. It is called by one goroutine, once an
	// Interval, and should end with its context.
	Document func(ctx context.Context) []byte
	Interval time.Duration
	// MaxClients bounds the connections; 0 means 64.
	MaxClients int
	Log        *slog.Logger
}

const (
	defaultMaxClients = 64
	// maxMessageBytes bounds what clients say, which is nothing but the protocol's own frames.
	maxMessageBytes = 512
	writeTimeout    = 10 * time.Second
	// A client that does not answer a ping in time is gone.
	pingInterval = 20 * time.Second
	pongTimeout  = 50 * time.Second
	bufferBytes  = 4 << 10
	// retrySeconds is when a client that found no room should come back.
	retrySeconds = 10
)

// Feed is the handler of the websocket. Run makes it work.
type Feed struct {
	cfg      Config
	upgrader websocket.Upgrader

	mu      sync.Mutex
	clients map[*client]struct{}
	closed  bool
	serving sync.WaitGroup
	came    chan struct{} // gets a value when there is a client again
}

// client is one connection: next holds the newest document that it has not been sent.
type client struct {
	next chan []byte
	end  chan struct{} // closed when the feed ends
}

// New makes a Feed.
func New(cfg Config) *Feed {
	if cfg.MaxClients == 0 {
		cfg.MaxClients = defaultMaxClients
	}
	return &Feed{
		cfg: cfg, clients: map[*client]struct{}{}, came: make(chan struct{}, 1),
		upgrader: websocket.Upgrader{ReadBufferSize: bufferBytes, WriteBufferSize: bufferBytes, CheckOrigin: SameOrigin},
	}
}

// SameOrigin reports whether a request comes from a page of the host that it is for, or from
// no page at all. Browsers let pages of all origins open websockets, so it is the server
// that must refuse them.
func SameOrigin(r *http.Request) bool {
	origin := r.Header.Get("Origin")
	if origin == "" {
		return true
	}
	u, err := url.Parse(origin)
	return err == nil && strings.EqualFold(u.Host, r.Host)
}

// Run asks for documents and sends them until the context ends; then it closes all
// connections and waits for them. There may be no clients after it, and none before.
func (f *Feed) Run(ctx context.Context) {
	tick := time.NewTicker(f.cfg.Interval)
	defer tick.Stop()
	for {
		if f.watched() {
			f.send(f.cfg.Document(ctx))
		} else {
			select {
			case <-f.came:
				tick.Reset(f.cfg.Interval) // without the tick that came for nobody
				continue
			case <-ctx.Done():
			}
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			f.close()
			return
		}
	}
}

func (f *Feed) watched() bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	return len(f.clients) > 0
}

// send puts a document in the place of the one that a client has not been sent yet.
func (f *Feed) send(document []byte) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for c := range f.clients {
		select {
		case <-c.next:
		default:
		}
		c.next <- document // there is room: nobody else fills it
	}
}

func (f *Feed) close() {
	f.mu.Lock()
	f.closed = true
	for c := range f.clients {
		close(c.end)
	}
	f.mu.Unlock()
	f.serving.Wait()
}

// enter takes a client in; nil if there is no room.
func (f *Feed) enter() *client {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.closed || len(f.clients) >= f.cfg.MaxClients {
		return nil
	}
	c := &client{next: make(chan []byte, 1), end: make(chan struct{})}
	f.clients[c] = struct{}{}
	f.serving.Add(1)
	select {
	case f.came <- struct{}{}:
	default:
	}
	return c
}

func (f *Feed) leave(c *client) {
	f.mu.Lock()
	delete(f.clients, c)
	f.mu.Unlock()
	f.serving.Done()
}

// ServeHTTP serves one client. Without room it answers with status 503 and Retry-After;
// pages of other origins get 403.
func (f *Feed) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	c := f.enter()
	if c == nil {
		w.Header().Set("Retry-After", strconv.Itoa(retrySeconds))
		http.Error(w, "too many clients", http.StatusServiceUnavailable)
		return
	}
	defer f.leave(c)
	conn, err := f.upgrader.Upgrade(w, r, nil)
	if err != nil { // the upgrader has answered
		f.cfg.Log.Debug("no websocket", "err", err)
		return
	}
	gone := make(chan struct{})
	go func() {
		defer close(gone)
		listen(conn)
	}()
	if err := c.speak(conn, gone); err != nil {
		f.cfg.Log.Debug("a websocket ended", "err", err)
	}
	_ = conn.Close()
	<-gone
}

// listen reads until the client goes, or says anything.
func listen(conn *websocket.Conn) {
	conn.SetReadLimit(maxMessageBytes)
	alive := func(string) error { return conn.SetReadDeadline(time.Now().Add(pongTimeout)) }
	_ = alive("") // fails only on a connection that fails when it is read
	conn.SetPongHandler(alive)
	_, _, _ = conn.NextReader()
}

// speak sends documents and pings until the client is gone or the feed ends.
func (c *client) speak(conn *websocket.Conn, gone <-chan struct{}) error {
	ping := time.NewTicker(pingInterval)
	defer ping.Stop()
	for {
		var err error
		select {
		case document := <-c.next:
			_ = conn.SetWriteDeadline(time.Now().Add(writeTimeout)) // fails only where writing fails
			err = conn.WriteMessage(websocket.TextMessage, document)
		case <-ping.C:
			err = conn.WriteControl(websocket.PingMessage, nil, time.Now().Add(writeTimeout))
		case <-c.end:
			bye := websocket.FormatCloseMessage(websocket.CloseGoingAway, "")
			return conn.WriteControl(websocket.CloseMessage, bye, time.Now().Add(writeTimeout))
		case <-gone:
			return nil
		}
		if err != nil {
			return err
		}
	}
}
