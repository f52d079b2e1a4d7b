// Package quick answers the simplest requests before net/http reads them: a GET
// without a body, in one piece, on a plain HTTP/1.1 connection, of something that is
// kept. That is most of what a busy site is asked for, and net/http takes longer
// for it than finding the answer does.
//
// A connection reads for net/http. Where net/http would read a request, the
// connection looks at it first. It answers those that it fully understands and
// whose answer is there, by the same handler; all else goes on to net/http byte for
// byte. Whenever it is not certain that a request begins with the next byte, it
// only passes on, to the end of the connection.
package quick

import (
	"bytes"
	"net"
	"net/http"
	"net/url"
	"sync"
	"time"
)

// Handler is a handler that knows which requests it can answer without waiting,
// with a short body.
type Handler interface {
	http.Handler
	IsKept(r *http.Request) bool
}

// Listener makes connections that answer by h what they can.
func Listener(l net.Listener, h Handler) net.Listener { return &listener{Listener: l, handler: h} }

type listener struct {
	net.Listener
	handler Handler
	answers sync.Pool // of *answer: connections that wait hold none
}

func (l *listener) Accept() (net.Conn, error) {
	c, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	return &conn{Conn: c, handler: l.handler, answers: &l.answers, from: c.RemoteAddr().String()}, nil
}

const (
	// maxHead bounds the heads that are looked at.
	maxHead = 4 << 10
	// idle is how long a client may wait before its next request, taking how long
	// it may take to accept an answer; both are renewed at most every renewal.
	idle    = 2 * time.Minute
	taking  = 90 * time.Second
	renewal = 10 * time.Second
)

// conn is used by one goroutine at a time, as net/http does with a connection's reads. It
// has no buffer: it looks at requests where net/http wants to have them.
type conn struct {
	net.Conn
	handler Handler
	from    string

	plain   bool // only pass on from now on
	begun   bool // net/http has the first byte of the next request
	first   byte // if begun
	renewed time.Time
	answers *sync.Pool
}

// Read gives net/http what it is to answer itself.
func (c *conn) Read(p []byte) (int, error) {
	if c.plain {
		return c.Conn.Read(p)
	}
	if len(p) <= 1 {
		// One byte at a time net/http reads while it answers, to see whether the client has
		// gone. What comes then is the first byte of a request.
		n, err := c.Conn.Read(p)
		if n > 0 {
			c.plain, c.begun, c.first = c.begun, true, p[0]
		}
		return n, err
	}
	c.renewed = time.Time{}
	if c.begun {
		return c.complete(p)
	}
	var in []byte // read and not consumed, in p
	for {
		if len(in) == 0 {
			n, err := c.Conn.Read(p[:min(len(p), maxHead)])
			if err != nil {
				return n, err
			}
			in = p[:n]
		}
		r, size := parse(in)
		if r == nil {
			c.plain = true
			return copy(p, in), nil
		}
		r.RemoteAddr = c.from
		if !c.handler.IsKept(r) {
			// Without a body, the next request begins where this one ends.
			c.plain = size < len(in)
			return copy(p, in), nil
		}
		in = in[size:]
		if err := c.answer(r); err != nil {
			_ = c.Conn.Close() // or net/http would say that the request was bad
			return 0, err
		}
	}
}

// complete reads the rest of a request whose first byte net/http has: it is
// net/http's, and what matters is where it ends.
func (c *conn) complete(p []byte) (int, error) {
	n, err := c.Conn.Read(p[:min(len(p), maxHead)])
	if err != nil {
		return n, err
	}
	c.begun = false
	r, size := parse(append([]byte{c.first}, p[:n]...))
	c.plain = r == nil || size != n+1
	return n, nil
}

func (c *conn) answer(r *http.Request) (err error) {
	if now := time.Now(); now.Sub(c.renewed) > renewal {
		c.renewed = now
		if err := c.SetReadDeadline(now.Add(idle)); err != nil {
			return err
		}
		if err := c.SetWriteDeadline(now.Add(taking)); err != nil {
			return err
		}
	}
	out, ok := c.answers.Get().(*answer)
	if !ok {
		out = &answer{header: http.Header{}}
	}
	defer func() {
		if recover() != nil { // the handler breaks a connection so
			err = net.ErrClosed
		}
		out.reset()
		c.answers.Put(out)
	}()
	c.handler.ServeHTTP(out, r)
	_, err = c.Conn.Write(out.bytes())
	return err
}

// parse reads a request that is complete, has no body and nothing unusual; it
// returns nil for all others. size is its length.
func parse(b []byte) (r *http.Request, size int) {
	end := bytes.Index(b, []byte("\r\n\r\n"))
	if end < 0 {
		return nil, 0
	}
	head := string(b[:end+2])
	line, rest, _ := cutLine(head)
	target, ok := target(line)
	if !ok {
		return nil, 0
	}
	u, err := url.ParseRequestURI(target)
	if err != nil {
		return nil, 0
	}
	r = &http.Request{
		Method: http.MethodGet, URL: u, RequestURI: target, Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1,
		Header: make(http.Header, 8), Body: http.NoBody,
	}
	for rest != "" {
		line, rest, ok = cutLine(rest)
		if !ok || !field(r, line) {
			return nil, 0
		}
	}
	if r.Host == "" {
		return nil, 0
	}
	return r, end + 4
}

func cutLine(s string) (line, rest string, ok bool) {
	for i := 0; i+1 < len(s); i++ {
		if s[i] == '\r' && s[i+1] == '\n' {
			return s[:i], s[i+2:], true
		}
	}
	return s, "", false
}

// target reads a request line.
func target(line string) (string, bool) {
	const before, after = "GET /", " HTTP/1.1"
	if len(line) < len(before)+len(after) || line[:len(before)] != before || line[len(line)-len(after):] != after {
		return "", false
	}
	t := line[len(before)-1 : len(line)-len(after)]
	for i := range len(t) {
		if t[i] <= ' ' || t[i] >= 0x7f || t[i] == '#' {
			return "", false
		}
	}
	// Two slashes at the beginning would be read as a host by some.
	return t, len(t) < 2 || t[1] != '/'
}

// field reads a header field; it reports whether it is an ordinary one.
func field(r *http.Request, line string) bool {
	colon := 0
	for colon < len(line) && isToken(line[colon]) {
		colon++
	}
	if colon == 0 || colon == len(line) || line[colon] != ':' || len(r.Header) >= 64 {
		return false
	}
	value := line[colon+1:]
	for len(value) > 0 && value[0] == ' ' {
		value = value[1:]
	}
	for i := range len(value) {
		if value[i] < ' ' || value[i] >= 0x7f {
			return false
		}
	}
	if len(value) > 0 && value[len(value)-1] == ' ' {
		return false
	}
	switch name := http.CanonicalHeaderKey(line[:colon]); name {
	case "Host":
		if r.Host != "" || value == "" { // an empty one would let a second one in
			return false
		}
		r.Host = value
	case "Connection":
		return value == "keep-alive"
	case "Content-Length", "Transfer-Encoding", "Trailer", "Te", "Upgrade", "Expect", "Http2-Settings", "Proxy-Connection", "Keep-Alive":
		return false
	default:
		r.Header[name] = append(r.Header[name], value)
	}
	return true
}

func isToken(c byte) bool {
	return 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9' || c == '-' || c == '_'
}
