// Command testserver runs a test site behind a gateway, for tests in browsers:
//
//	testserver FOLDER     the built service worker (see web/ts)
//
// It prints one line of JSON with the gateway's port and the ids of the canisters,
// and ends when its standard input does. POST /flip?mark=X makes the replica flip
// a bit of the first byte after the text X in every answer that contains it;
// without a mark it answers honestly again. With field=F it flips one inside that field
// of the certificate's header instead. POST /renew?seed=X sets up another
// network with other keys in the place of the first. POST /clock?minutes=N sets the
// replica's clock so far from now, POST /down?down=true lets nobody answer,
// POST /impersonate?canister=ID lets one canister answer for all, and
// POST /change?path=P replaces a page's body by the request's. GET /certificates?n=N gives N distinct
// certificates in base64, each made by the root subnet alone and by another one
// under a delegation, and the root key. GET /responses?n=N gives as many distinct responses
// with such certificates. On the bare domain is the start page of a network that is made
// up: POST /network?away=N takes N of its replicas away, few=true its canisters; feed=off
// ends its feed, feed=on begins another.
package main

import (
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"io/fs"
	"net"
	"net/http"
	"os"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"portico/gateway"
	"portico/gateway/host"
	"portico/gateway/testsite"
	"portico/lightclient/asset"
	"portico/lightclient/fakenet"
	"portico/lightclient/principal"
	"portico/web/dashboard"
)

func main() {
	if err := run(); err != nil {
		fmt.Fprintln(os.Stderr, "testserver:", err)
		os.Exit(1)
	}
}

func run() error {
	if len(os.Args) != 2 {
		return fmt.Errorf("usage: testserver FOLDER")
	}
	b := &bench{worker: os.DirFS(os.Args[1]), network: &demo{}}
	if err := b.setUp("test"); err != nil {
		return err
	}
	front, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	b.startFeed()
	go func() { _ = http.Serve(front, b.handler()) }()
	site := b.site.Load()
	err = json.NewEncoder(os.Stdout).Encode(map[string]any{
		"port": front.Addr().(*net.TCPAddr).Port, "web": site.Web().String(),
		"stopped": site.Stopped().String(), "missing": site.Missing().String(), "neighbour": site.Neighbour().String(),
		"rootKey": hex.EncodeToString(site.RootKey()),
	})
	if err != nil {
		return err
	}
	_, err = io.Copy(io.Discard, os.Stdin)
	return err
}

// bench is the network that runs, its gateway, and what the tests do to it.
type bench struct {
	worker  fs.FS
	site    atomic.Pointer[testsite.Site]
	gateway atomic.Pointer[gateway.Gateway]
	flip    atomic.Pointer[flip]
	ahead   atomic.Int64 // of the replica's clock, nanoseconds
	down    atomic.Bool
	queries atomic.Int64
	network *demo
	home    atomic.Pointer[dashboard.Dashboard]
	stop    func() // ends the feed of home
}

// flip says where the replica lies.
type flip struct{ field, mark string }

// setUp makes a network with keys of its own and a gateway before it.
func (b *bench) setUp(seed string) error {
	site := testsite.New(seed, pages())
	site.NeighbourPages = neighbourPages()
	site.Replica.Now = func() time.Time { return time.Now().Add(time.Duration(b.ahead.Load())) }
	site.Replica.Tamper = func(path string, status int, body []byte) (int, []byte, error) {
		if strings.HasSuffix(path, "/query") {
			b.queries.Add(1)
		}
		switch f := b.flip.Load(); {
		case f == nil:
		case f.field != "":
			body, _ = testsite.FlipInside(body, f.field, f.mark)
		case f.mark != "":
			body, _ = testsite.Flip(body, []byte(f.mark))
		}
		return status, body, nil
	}
	replica, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	go func() { _ = http.Serve(replica, site) }()
	h, err := gateway.New(gateway.Config{
		Domains:  []string{"localhost"},
		Aliases:  host.Fixed{"shop.local.localhost": site.Web()},
		Replicas: []string{"http://" + replica.Addr().String()},
		RootKey:  site.RootKey(),
		Worker:   b.worker,
		Home:     http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { b.home.Load().ServeHTTP(w, r) }),
	})
	if err != nil {
		return err
	}
	b.site.Store(site)
	b.gateway.Store(h)
	return nil
}

// handler is the gateway and what steers the tests.
func (b *bench) handler() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) {
		if b.down.Load() {
			panic(http.ErrAbortHandler)
		}
		b.gateway.Load().ServeHTTP(w, r)
	})
	mux.HandleFunc("POST /flip", func(_ http.ResponseWriter, r *http.Request) {
		b.flip.Store(&flip{field: r.URL.Query().Get("field"), mark: r.URL.Query().Get("mark")})
	})
	mux.HandleFunc("POST /renew", func(w http.ResponseWriter, r *http.Request) {
		if err := b.setUp(r.URL.Query().Get("seed")); err != nil {
			http.Error(w, err.Error(), http.StatusInternalServerError)
		}
	})
	mux.HandleFunc("POST /network", b.steerNetwork)
	mux.HandleFunc("POST /clock", func(_ http.ResponseWriter, r *http.Request) {
		minutes, _ := strconv.Atoi(r.URL.Query().Get("minutes"))
		b.ahead.Store(int64(time.Duration(minutes) * time.Minute))
	})
	mux.HandleFunc("POST /down", func(_ http.ResponseWriter, r *http.Request) {
		b.down.Store(r.URL.Query().Get("down") == "true")
	})
	mux.HandleFunc("POST /impersonate", func(_ http.ResponseWriter, r *http.Request) {
		site := b.site.Load()
		site.Impersonate.Store(nil)
		if id, err := principal.Parse(r.URL.Query().Get("canister")); err == nil {
			site.Impersonate.Store(&id)
		}
	})
	mux.HandleFunc("POST /change", func(w http.ResponseWriter, r *http.Request) {
		path := r.URL.Query().Get("path")
		body, err := io.ReadAll(r.Body)
		if err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		p := pages()[path]
		p.Body = body
		b.site.Load().Replace(path, p)
	})
	mux.HandleFunc("GET /queries", func(w http.ResponseWriter, _ *http.Request) {
		_ = json.NewEncoder(w).Encode(b.queries.Load())
	})
	mux.HandleFunc("GET /certificates", func(w http.ResponseWriter, r *http.Request) {
		n, _ := strconv.Atoi(r.URL.Query().Get("n"))
		_ = json.NewEncoder(w).Encode(certificates(b.site.Load(), n))
	})
	mux.HandleFunc("GET /responses", func(w http.ResponseWriter, r *http.Request) {
		n, _ := strconv.Atoi(r.URL.Query().Get("n"))
		_ = json.NewEncoder(w).Encode(responses(b.site.Load(), n))
	})
	return mux
}

type certificateSet struct {
	RootKey   []byte   `json:"rootKey"`
	Canister  string   `json:"canister"`
	Root      [][]byte `json:"root"`
	Delegated [][]byte `json:"delegated"`
}

func certificates(site *testsite.Site, n int) certificateSet {
	s := certificateSet{RootKey: site.RootKey(), Canister: site.Web().String()}
	at := time.Now()
	for i := range n {
		data := sha256.Sum256([]byte{byte(i), byte(i >> 8)})
		entry := fakenet.CanisterEntry(site.Web(), data[:], "certified_data")
		s.Root = append(s.Root, site.Net.CertifyAsRoot(at, entry))
		s.Delegated = append(s.Delegated, site.Net.Certify(at, entry))
	}
	return s
}

// pages is a small site: a page with a style sheet, a script and a large picture
// of nothing, a compressed page, and a cookie.
func pages() map[string]testsite.Page {
	kind := func(k string, more ...asset.Header) []asset.Header {
		return append([]asset.Header{{Name: "content-type", Value: k}}, more...)
	}
	const index = `<!doctype html>
<html lang="en"><meta charset="utf-8"><title>Sample</title><link rel="icon" href="data:,"><link rel="stylesheet" href="/style.css">
<h1>A certified page</h1><p id="counter"></p><p id="large"></p><script src="/script.js"></script>`
	const script = `(async () => {
  document.querySelector('#counter').textContent = await (await fetch('/counter', {method: 'POST', body: 'x'})).text();
  document.querySelector('#large').textContent = (await (await fetch('/large')).arrayBuffer()).byteLength;
})();`
	const panel = `<!doctype html>
<html lang="en"><meta charset="utf-8"><meta name="viewport" content="width=device-width"><title>With a panel</title><link rel="icon" href="data:,"><link rel="stylesheet" href="/style.css">
<main><h1>A page with a panel</h1><p>It has a button in its corner.</p></main><script src="/_portico/panel.js" defer></script>`
	return map[string]testsite.Page{
		"/panel":     {Headers: kind("text/html"), Body: []byte(panel)},
		"/":          {Headers: kind("text/html", asset.Header{Name: "x-motto", Value: "certified too"}, asset.Header{Name: "set-cookie", Value: "flavour=plain; Path=/; SameSite=Lax"}), Body: []byte(index)},
		"/style.css": {Headers: kind("text/css"), Body: []byte("h1 { color: rgb(1, 2, 3) }")},
		"/script.js": {Headers: kind("text/javascript"), Body: []byte(script)},
		"/large":     {Headers: kind("application/octet-stream"), Body: bytes.Repeat([]byte("0123456789abcdef"), 1<<16), Chunk: 400_000},
		"/film":      {Headers: kind("text/html"), Body: []byte(`<!doctype html><h1>A film</h1><video src="/film.wav" preload="metadata" controls></video>`)},
		"/film.wav":  {Headers: kind("audio/wav", asset.Header{Name: "accept-ranges", Value: "bytes"}, asset.Header{Name: "etag", Value: `"film"`}), Body: film(), Piece: filmPiece},
		"/open":      {Headers: kind("text/html"), Body: []byte("<h1>An open page</h1>"), Open: true},
		"/dated":     {Headers: kind("text/plain", asset.Header{Name: "cache-control", Value: "public, max-age=600"}), Body: []byte("good for ten minutes")},
		"/zipped":    {Headers: kind("text/html", asset.Header{Name: "content-encoding", Value: "gzip"}), Body: zipped("<h1>Unzipped</h1>")},
	}
}

// neighbourPages is the site of another canister, with a page at the same path.
func neighbourPages() map[string]testsite.Page {
	html := []asset.Header{{Name: "content-type", Value: "text/html"}}
	return map[string]testsite.Page{"/": {Headers: html, Body: []byte("<!doctype html><h1>The neighbour</h1>")}}
}

// filmPiece is the length of the pieces that are certified of the film, in bytes.
const filmPiece = 1 << 20

// film is a minute of silence that a browser plays: uncompressed sound needs no encoder.
func film() []byte {
	const rate, seconds = 44100, 60
	const size = rate * 2 * 2 * seconds // two channels of 16 bits
	b := []byte("RIFF")
	b = binary.LittleEndian.AppendUint32(b, 36+size)
	b = append(b, "WAVEfmt "...)
	b = binary.LittleEndian.AppendUint32(b, 16)
	b = binary.LittleEndian.AppendUint16(b, 1) // PCM
	b = binary.LittleEndian.AppendUint16(b, 2)
	b = binary.LittleEndian.AppendUint32(b, rate)
	b = binary.LittleEndian.AppendUint32(b, rate*4)
	b = binary.LittleEndian.AppendUint16(b, 4)
	b = binary.LittleEndian.AppendUint16(b, 16)
	b = append(b, "data"...)
	b = binary.LittleEndian.AppendUint32(b, size)
	return append(b, make([]byte, size)...)
}

func zipped(text string) []byte {
	var b bytes.Buffer
	w := gzip.NewWriter(&b)
	_, _ = w.Write([]byte(text)) // writing into a buffer never fails
	_ = w.Close()
	return b.Bytes()
}
