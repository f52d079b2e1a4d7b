package quick

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"net"
	"net/http"
	"reflect"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
)

// site keeps what is below /kept, and counts who was asked.
type site struct{ quick, asked atomic.Int64 }

func (s *site) IsKept(r *http.Request) bool {
	kept := strings.HasPrefix(r.URL.Path, "/kept")
	if kept {
		s.quick.Add(1)
	}
	return kept
}

func (s *site) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	s.asked.Add(1)
	body, _ := io.ReadAll(r.Body)
	w.Header().Set("Content-Type", "text/plain")
	w.Header().Set("Content-Length", "nonsense")
	switch r.URL.Path {
	case "/kept/unchanged":
		w.WriteHeader(http.StatusNotModified)
		return
	case "/kept/broken":
		panic(http.ErrAbortHandler)
	}
	w.Header().Del("Content-Length")
	_, _ = io.WriteString(w, r.Method+" "+r.RequestURI+" "+r.Host+" "+r.Header.Get("X-A")+string(body))
}

func serving(t *testing.T) (*site, string) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s := &site{}
	server := &http.Server{Handler: s}
	done := make(chan struct{})
	go func() {
		defer close(done)
		_ = server.Serve(Listener(l, s))
	}()
	t.Cleanup(func() {
		_ = server.Close()
		<-done
	})
	return s, l.Addr().String()
}

// exchange sends requests in one piece and reads the bodies of their answers.
func exchange(t *testing.T, c net.Conn, r *bufio.Reader, raw string, n int) (out []string) {
	t.Helper()
	if _, err := io.WriteString(c, raw); err != nil {
		t.Fatal(err)
	}
	for range n {
		resp, err := http.ReadResponse(r, nil)
		if err != nil {
			t.Fatalf("%q: after %q: %v", raw, out, err)
		}
		b, err := io.ReadAll(resp.Body)
		if err != nil || resp.Header.Get("Date") == "" {
			t.Fatalf("%q: %v, %v", raw, resp, err)
		}
		out = append(out, string(b))
	}
	return out
}

func dial(t *testing.T, to string) (net.Conn, *bufio.Reader) {
	t.Helper()
	c, err := net.Dial("tcp", to)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return c, bufio.NewReader(c)
}

const (
	kept  = "GET /kept?a=b HTTP/1.1\r\nHost: x\r\nX-A: 1\r\n\r\n"
	other = "GET /other HTTP/1.1\r\nHost: x\r\n\r\n"
	post  = "POST /kept HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\nhello"
)

func TestRequestsAreAnsweredInTheirOrderByWhoeverCan(t *testing.T) {
	for _, tt := range []struct {
		raw   string
		want  []string
		quick int64
	}{
		{kept, []string{"GET /kept?a=b x 1"}, 1},
		{kept + kept + kept, []string{"GET /kept?a=b x 1", "GET /kept?a=b x 1", "GET /kept?a=b x 1"}, 3},
		{other, []string{"GET /other x "}, 0},
		{kept + other + kept, []string{"GET /kept?a=b x 1", "GET /other x ", "GET /kept?a=b x 1"}, 1},
		{kept + post + kept, []string{"GET /kept?a=b x 1", "POST /kept x hello", "GET /kept?a=b x 1"}, 1},
		{post + kept, []string{"POST /kept x hello", "GET /kept?a=b x 1"}, 0},
		{strings.Replace(kept, "\r\nX-A", "\r\nContent-Length: 4\r\nX-A", 1) + "body" + kept, []string{"GET /kept?a=b x 1body", "GET /kept?a=b x 1"}, 0},
	} {
		s, to := serving(t)
		c, r := dial(t, to)
		if got := exchange(t, c, r, tt.raw, len(tt.want)); !reflect.DeepEqual(got, tt.want) || s.quick.Load() != tt.quick {
			t.Errorf("%q: %q, %d of them quickly", tt.raw, got, s.quick.Load())
		}
	}
}

func TestAConnectionStaysQuickAfterOtherRequests(t *testing.T) {
	s, to := serving(t)
	c, r := dial(t, to)
	for round := range int64(5) {
		exchange(t, c, r, other, 1)
		// A request that comes while net/http ends its work is still net/http's.
		for attempt := 0; s.quick.Load() == round; attempt++ {
			if attempt == 100 {
				t.Fatalf("round %d: not quick any more", round)
			}
			exchange(t, c, r, kept, 1)
		}
	}
}

func TestTheRestOfARequestThatHasBegunIsPassedOn(t *testing.T) {
	s, _ := serving(t)
	near, far := net.Pipe()
	defer near.Close()
	c := &conn{Conn: far, handler: s, answers: &sync.Pool{}}
	defer c.Close()
	send := func(text string) { go func() { _, _ = io.WriteString(near, text) }() }
	read := func(size int) string {
		p := make([]byte, size)
		n, err := c.Read(p)
		if err != nil {
			t.Fatal(err)
		}
		return string(p[:n])
	}
	send(kept[:1])
	first := read(1)
	send(kept[1:])
	if got := first + read(4096); got != kept || c.plain {
		t.Errorf("%q, plain %v", got, c.plain)
	}
	send(kept[:1])
	first = read(1)
	send(kept[1:] + post)
	if got := first + read(4096); got != kept+post || !c.plain {
		t.Errorf("%q, plain %v", got, c.plain)
	}
	if s.quick.Load() != 0 {
		t.Error("answered twice")
	}
}

func TestABodyThatLooksLikeARequestIsNone(t *testing.T) {
	s, to := serving(t)
	c, r := dial(t, to)
	head := strings.Replace(post, "Content-Length: 5\r\n\r\nhello", fmt.Sprintf("Content-Length: %d\r\n\r\n", len(kept)), 1)
	if got := exchange(t, c, r, other+head, 1); got[0] != "GET /other x " {
		t.Errorf("%q", got)
	}
	if got := exchange(t, c, r, kept, 1); got[0] != "POST /kept x "+kept || s.quick.Load() != 0 {
		t.Errorf("%q, %d quickly", got, s.quick.Load())
	}
}

func TestAnswersHaveTheLengthOfTheirBody(t *testing.T) {
	_, to := serving(t)
	c, r := dial(t, to)
	if got := exchange(t, c, r, "GET /kept/unchanged HTTP/1.1\r\nHost: x\r\n\r\n"+kept, 2); got[0] != "" || got[1] != "GET /kept?a=b x 1" {
		t.Errorf("%q", got)
	}
	if _, err := io.WriteString(c, "GET /kept/broken HTTP/1.1\r\nHost: x\r\n\r\n"); err != nil {
		t.Fatal(err)
	}
	if resp, err := http.ReadResponse(r, nil); err == nil {
		t.Errorf("a broken answer came as %v", resp)
	}
}

func TestRequestsInPiecesAreLeftToOthers(t *testing.T) {
	s, to := serving(t)
	c, r := dial(t, to)
	for _, piece := range []string{kept[:9], kept[9:]} {
		if _, err := io.WriteString(c, piece); err != nil {
			t.Fatal(err)
		}
	}
	if got := exchange(t, c, r, "", 1); got[0] != "GET /kept?a=b x 1" || s.asked.Load() != 1 {
		t.Errorf("%q", got)
	}
}

// FuzzParse compares with net/http: what is understood here it understands alike,
// to the same byte.
func FuzzParse(f *testing.F) {
	for _, s := range []string{
		kept, other, post, kept + post,
		"GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n", "GET / HTTP/1.1\r\nHost:\r\nHost: b\r\n\r\n", "GET / HTTP/1.1\r\nHost : a\r\n\r\n", "GET / HTTP/1.1\r\n Host: a\r\n\r\n",
		"GET / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", "GET /a\x00 HTTP/1.1\r\nHost: a\r\n\r\n",
		"GET //evil/ HTTP/1.1\r\nHost: a\r\n\r\n", "GET /%zz HTTP/1.1\r\nHost: a\r\n\r\n", "GET / HTTP/1.1\nHost: a\n\n\r\n\r\n",
		"GET / HTTP/1.1\r\nHost: a\r\nPragma: no-cache\r\n\r\n", "GET / HTTP/1.1\r\nHost: a b\r\n\r\n",
	} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		r, size := parse(b)
		if r == nil {
			return
		}
		in := bufio.NewReaderSize(bytes.NewReader(b), len(b)+16)
		want, err := http.ReadRequest(in)
		if err != nil {
			t.Fatalf("%q: net/http refuses it: %v", b, err)
		}
		left := in.Buffered()
		delete(want.Header, "Connection")
		delete(want.Header, "Cache-Control")
		got := r.Header.Clone()
		delete(got, "Cache-Control") // net/http makes one of Pragma
		if want.Method != r.Method || want.RequestURI != r.RequestURI || want.Host != r.Host || *want.URL != *r.URL || want.ContentLength != 0 || want.Body != http.NoBody ||
			left != len(b)-size || !reflect.DeepEqual(want.Header, got) {
			t.Errorf("%q: %+v, net/http: %+v", b, r, want)
		}
	})
}
