package transport

import (
	"bufio"
	"bytes"
	"context"
	"crypto/ed25519"
	"crypto/sha1"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/base64"
	"fmt"
	"io"
	"math/big"
	"net"
	"net/http"
	"runtime"
	"strings"
	"testing"
	"time"

	"portico/node/loop"

	"github.com/gorilla/websocket"
)

// imposter is a certificate that says what another's says, for a key of its own.
func imposter(t *testing.T, of member) (ed25519.PrivateKey, []byte) {
	t.Helper()
	key := newMember(t, 77).key
	template, err := x509.ParseCertificate(of.record.Certificate)
	if err != nil {
		t.Fatal(err)
	}
	template.PublicKey = key.Public()
	der, err := x509.CreateCertificate(nil, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	return key, der
}

// another is a second certificate that a node makes for its own key.
func another(t *testing.T, of member) []byte {
	t.Helper()
	template := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: of.record.ID.String()}}
	der, err := x509.CreateCertificate(nil, template, template, of.key.Public(), of.key)
	if err != nil {
		t.Fatal(err)
	}
	return der
}

func TestOnlyPeersComeIn(t *testing.T) {
	members := network(t, 3)
	peer, self, greater := members[0], members[1], members[2]
	unknown := newMember(t, 99)
	falseKey, falseCertificate := imposter(t, peer)
	old := clientTLS(peer.key, peer.record.Certificate)
	old.MaxVersion = tls.VersionTLS12
	mute := clientTLS(peer.key, peer.record.Certificate)
	mute.NextProtos = nil
	request := func(path string, header ...string) []byte {
		return fmt.Appendf(nil, "GET %s HTTP/1.1\r\nHost: x\r\n%s\r\n", path, strings.Join(header, ""))
	}
	good := []string{"Connection: upgrade\r\n", "Upgrade: websocket\r\n", "Sec-WebSocket-Version: 13\r\n", "Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n"}
	for _, c := range []struct {
		what string
		tls  *tls.Config // nil: none
		send []byte
		why  string
	}{
		{"garbage", nil, bytes.Repeat([]byte{0x5a}, 1000), "does not look like a TLS handshake"},
		{"no TLS", nil, request("/bulk/"+name(1), good...), "does not look like a TLS handshake"},
		{"no certificate", clientTLS(nil), nil, "didn't provide a certificate"},
		{"an unknown certificate", clientTLS(unknown.key, unknown.record.Certificate), nil, "is no peer's"},
		{"its own certificate", clientTLS(self.key, self.record.Certificate), nil, "is no peer's"},
		{"a peer's names on another key", clientTLS(falseKey, falseCertificate), nil, "is no peer's"},
		{"another certificate of a peer", clientTLS(peer.key, another(t, peer)), nil, "is no peer's"},
		{"a peer's certificate without its key", clientTLS(unknown.key, peer.record.Certificate), nil, "invalid signature"},
		{"two certificates", clientTLS(peer.key, peer.record.Certificate, unknown.record.Certificate), nil, "presents 2 certificates"},
		{"TLS 1.2", old, nil, "unsupported versions"},
		{"no protocol named", mute, nil, "speaks the protocol"},
		{"the peer that is to be dialed", clientTLS(greater.key, greater.record.Certificate), nil, "has the greater id"},
		{"no HTTP", clientTLS(peer.key, peer.record.Certificate), []byte("hello\r\n\r\n"), "malformed"},
		{"endless headers", clientTLS(peer.key, peer.record.Certificate), request("/", strings.Repeat("A: b\r\n", 5000)), "bytes before the websocket"},
		{"no such channel", clientTLS(peer.key, peer.record.Certificate), request("/votes/"+name(1), good...), "names no channel"},
		{"no session", clientTLS(peer.key, peer.record.Certificate), request("/bulk", good...), "not a channel's and a session's name"},
		{"no websocket", clientTLS(peer.key, peer.record.Certificate), request("/bulk/" + name(1)), "not using the websocket protocol"},
		{"frames before the answer", clientTLS(peer.key, peer.record.Certificate), append(request("/bulk/"+name(1), good...), 0x82, 0), "before handshake is complete"},
	} {
		t.Run(strings.ReplaceAll(c.what, " ", "_"), func(t *testing.T) {
			r := start(t, self, records(members), DefaultLimits(), nil)
			raw, err := net.Dial("tcp", self.record.Peers)
			if err != nil {
				t.Fatal(err)
			}
			defer raw.Close()
			conn := raw
			if c.tls != nil {
				conn = tls.Client(raw, c.tls)
			}
			_, err = conn.Write(c.send) // may fail already: TLS shakes hands here
			if err == nil {
				_, err = io.Copy(io.Discard, conn)
			}
			r.log.await(t, "refused", c.why)
			if r.Refused() != 1 {
				t.Errorf("%d were refused, the dialer has %v", r.Refused(), err)
			}
			r.end()
			for len(r.events) > 0 {
				t.Errorf("%T was delivered", <-r.events)
			}
		})
	}
}

// falseServer answers TLS connections for a peer, and gives the first that shakes hands to serve.
func falseServer(t *testing.T, address string, c *tls.Config, serve func(net.Conn)) {
	t.Helper()
	c.ClientAuth = tls.RequireAnyClientCert
	c.NextProtos = []string{protocol}
	l := tls.NewListener(listen(t, address), c)
	done := make(chan struct{})
	go func() {
		defer close(done)
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			serve(conn)
			_ = conn.Close()
		}
	}()
	t.Cleanup(func() {
		_ = l.Close()
		<-done
	})
}

func TestOnlyThePeerIsDialed(t *testing.T) {
	members := network(t, 3)
	self, peer, third := members[0], members[1], members[2]
	falseKey, falseCertificate := imposter(t, peer)
	own := func(key ed25519.PrivateKey, der []byte) *tls.Config {
		return &tls.Config{Certificates: []tls.Certificate{{Certificate: [][]byte{der}, PrivateKey: key}}}
	}
	old := own(peer.key, peer.record.Certificate)
	old.MaxVersion = tls.VersionTLS12
	shake := func(c net.Conn) { _ = c.(*tls.Conn).Handshake() }
	for _, c := range []struct {
		what  string
		tls   *tls.Config
		serve func(net.Conn)
		why   string
	}{
		{"another peer", own(third.key, third.record.Certificate), shake, "is not that of the record"},
		{"an imposter", own(falseKey, falseCertificate), shake, "is not that of the record"},
		{"without its key", own(falseKey, peer.record.Certificate), shake, "invalid signature"},
		{"TLS 1.2", old, shake, "protocol version"},
		{"endless headers", own(peer.key, peer.record.Certificate), func(c net.Conn) {
			_, _ = fmt.Fprintf(c, "HTTP/1.1 101 X\r\n%s", strings.Repeat("A: b\r\n", 5000))
			_, _ = io.Copy(io.Discard, c)
		}, "bytes before the websocket"},
		{"compression", own(peer.key, peer.record.Certificate), func(c net.Conn) {
			r, err := http.ReadRequest(bufio.NewReader(c))
			if err != nil {
				return // another channel's failed first
			}
			sum := sha1.Sum([]byte(r.Header.Get("Sec-Websocket-Key") + "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"))
			_, _ = fmt.Fprintf(c, "HTTP/1.1 101 X\r\nUpgrade: websocket\r\nConnection: upgrade\r\nSec-WebSocket-Accept: %s\r\n"+
				"Sec-WebSocket-Extensions: permessage-deflate; server_no_context_takeover; client_no_context_takeover\r\n\r\n",
				base64.StdEncoding.EncodeToString(sum[:]))
			_, _ = io.Copy(io.Discard, c)
		}, "nobody asked for"},
	} {
		t.Run(strings.ReplaceAll(c.what, " ", "_"), func(t *testing.T) {
			falseServer(t, peer.record.Peers, c.tls, c.serve)
			r := start(t, self, records(members[:2]), DefaultLimits(), nil)
			r.log.await(t, "not reached", c.why)
			r.end()
			for len(r.events) > 0 {
				t.Errorf("%T was delivered", <-r.events)
			}
		})
	}
}

func TestAPeerThatBreaksTheProtocolLosesItsSession(t *testing.T) {
	members := network(t, 2)
	self := members[0].record.ID
	b := start(t, members[1], records(members), DefaultLimits(), nil)
	tooLong := make([]byte, loop.MaxFrameBytes+1)
	for i, c := range []struct {
		what string
		do   func(*websocket.Conn) error
		why  string
	}{
		{"a frame too long", func(c *websocket.Conn) error { return c.WriteMessage(websocket.BinaryMessage, tooLong) }, "a frame of more than"},
		{"one that only says so", func(c *websocket.Conn) error {
			_, err := c.NetConn().Write([]byte{0x82, 0xff, 0x7f, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0, 0, 0, 0})
			return err
		}, "a frame of more than"},
		{"text", func(c *websocket.Conn) error { return c.WriteMessage(websocket.TextMessage, nil) }, "it sends text"},
		{"a ping", func(c *websocket.Conn) error { return c.WriteMessage(websocket.PingMessage, nil) }, "it sends pings"},
		{"a close", func(c *websocket.Conn) error { return c.WriteMessage(websocket.CloseMessage, nil) }, "websocket: close"},
		{"no mask", func(c *websocket.Conn) error {
			_, err := c.NetConn().Write([]byte{0x82, 0})
			return err
		}, "bad MASK"},
	} {
		conns := sessionAs(t, members[0], members[1].record, name(byte(i)))
		b.await(t, loop.Connected{Peer: self})
		// it may be cut off while it is still writing
		_ = c.do(conns[loop.Ingress])
		if ev := b.next(t); ev != (loop.Disconnected{Peer: self}) {
			t.Errorf("%s: %T was delivered", c.what, ev)
		}
		b.log.await(t, "disconnected", "reading ingress", c.why)
		for ch, conn := range conns {
			_ = conn.SetReadDeadline(time.Now().Add(patience))
			if _, _, err := conn.ReadMessage(); err == nil || strings.Contains(err.Error(), "timeout") {
				t.Errorf("%s: %v is still open: %v", c.what, loop.Channel(ch), err)
			}
		}
	}
	if n := b.Stats()[0].Channels[loop.Ingress].Oversize; n != 2 {
		t.Errorf("%d frames were too long, want 2", n)
	}
}

func TestOneChannelTwiceIsNoSession(t *testing.T) {
	members := network(t, 2)
	b := start(t, members[1], records(members), DefaultLimits(), nil)
	dialAs(t, members[0], members[1].record, loop.Bulk, name(1))
	dialAs(t, members[0], members[1].record, loop.Bulk, name(1))
	b.log.await(t, "refused", "a second connection for bulk")
}

func TestHalfASessionIsGivenUp(t *testing.T) {
	members := network(t, 2)
	limits := DefaultLimits()
	limits.Handshake = 200 * time.Millisecond
	b := start(t, members[1], records(members), limits, nil)
	half := dialAs(t, members[0], members[1].record, loop.Bulk, name(1))
	b.log.await(t, "refused", "its other connections")
	if _, _, err := half.ReadMessage(); err == nil {
		t.Error("half a session says something")
	}
}

func TestStrangersDoNotKeepPeersOut(t *testing.T) {
	members := network(t, 2)
	limits := DefaultLimits()
	limits.Handshakes, limits.StrangersPerSecond = 4, 1
	limits.Handshake = time.Hour // nobody who came in makes room
	b := start(t, members[1], records(members), limits, nil)
	stranger := net.Dialer{LocalAddr: &net.TCPAddr{IP: net.IPv4(127, 0, 0, 2)}}
	for n := range 32 {
		c, err := stranger.DialContext(context.Background(), "tcp", members[1].record.Peers)
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		if n < limits.Handshakes {
			continue
		}
		// beyond the places for strangers it is closed unheard
		_ = c.SetReadDeadline(time.Now().Add(patience))
		if _, err := c.Read(make([]byte, 1)); err == nil || strings.Contains(err.Error(), "timeout") {
			t.Fatalf("stranger %d: %v", n, err)
		}
	}
	a := start(t, members[0], records(members), DefaultLimits(), nil)
	a.await(t, loop.Connected{Peer: b.self})
	if b.Refused() != 32-uint64(limits.Handshakes) {
		t.Errorf("%d were refused", b.Refused())
	}
}

func TestStrangersAreHeardSoManyTimesASecond(t *testing.T) {
	members := network(t, 2)
	limits := DefaultLimits()
	limits.Handshakes, limits.StrangersPerSecond = 4, 1
	b := start(t, members[1], records(members), limits, nil)
	began, heard := time.Now(), 0
	unknown := newMember(t, 99)
	d := tls.Dialer{
		NetDialer: &net.Dialer{LocalAddr: &net.TCPAddr{IP: net.IPv4(127, 0, 0, 2)}},
		Config:    clientTLS(unknown.key, unknown.record.Certificate),
	}
	const strangers = 40
	for n := range uint64(strangers) {
		c, err := d.Dial("tcp", members[1].record.Peers)
		if err == nil {
			heard++
			_, _ = io.Copy(io.Discard, c) // until it is refused
			_ = c.Close()
		}
		for b.Refused() <= n { // its place is free by then
			runtime.Gosched()
		}
	}
	most := limits.Handshakes + limits.StrangersPerSecond*(1+int(time.Since(began).Seconds()))
	if heard < limits.Handshakes || heard > most {
		t.Errorf("%d of %d strangers were heard, want %d to %d", heard, strangers, limits.Handshakes, most)
	}
}
