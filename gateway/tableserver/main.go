// Command tableserver runs a test site behind gateways in full operation, for the
// script that checks what a gateway promises row by row (gateway/table.test.mjs):
//
//	tableserver FOLDER     where the gateways' files are kept
//
// It prints one line of JSON with ports, ids of canisters and files, and ends when its
// standard input does. At the port "steer", POST /flip?mark=X makes the replica flip a
// bit of the first byte after the text X in its answers, POST /fail?status=S&times=N makes
// it answer N times with status S, GET /asked gives the newest request that came to the
// web canister, and /hold makes the next request to it wait for /release.
package main

import (
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"

	"portico/gateway/testsite"
	"portico/lightclient/asset"
	"portico/lightclient/candid"
	"portico/lightclient/envelope"
	"portico/lightclient/fakenet"
)

func main() {
	if len(os.Args) != 2 {
		fmt.Fprintln(os.Stderr, "usage: tableserver FOLDER")
		os.Exit(2)
	}
	if err := run(os.Args[1]); err != nil {
		fmt.Fprintln(os.Stderr, "tableserver:", err)
		os.Exit(1)
	}
}

func run(dir string) error {
	b := &bench{site: testsite.New("table", pages()), dir: dir}
	b.site.Replica.Tamper = b.tamper
	answer := b.site.Replica.Answer
	b.site.Replica.Answer = func(r *envelope.Request) fakenet.Outcome {
		b.saw(r)
		return answer(r)
	}
	replica, err := serve(http.HandlerFunc(b.replica))
	if err != nil {
		return err
	}
	steer, err := serve(b.steering())
	if err != nil {
		return err
	}
	ports, err := b.gateways("http://127.0.0.1:" + strconv.Itoa(replica))
	if err != nil {
		return err
	}
	ports["steer"] = steer
	err = json.NewEncoder(os.Stdout).Encode(map[string]any{
		"ports": ports, "web": b.site.Web().String(), "stopped": b.site.Stopped().String(), "missing": b.site.Missing().String(),
		"broke": b.site.Broke().String(), "mute": b.site.Mute().String(),
		"aliases": b.file(aliasFile), "denied": b.file(denyFile), "authority": b.file(authorityFile),
	})
	if err != nil {
		return err
	}
	_, err = io.Copy(io.Discard, os.Stdin)
	return err
}

// serve serves at a free port until the program ends.
func serve(h http.Handler) (port int, err error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return 0, err
	}
	go func() { _ = http.Serve(l, h) }()
	return l.Addr().(*net.TCPAddr).Port, nil
}

// bench is the network, and what the script does to it.
type bench struct {
	site *testsite.Site
	dir  string

	mu     sync.Mutex
	mark   string
	status int // that the replica answers with, so often
	times  int
	asked  map[string]any
	held   chan struct{} // closed by /release; nil: nobody waits
}

func (b *bench) file(name string) string { return filepath.Join(b.dir, name) }

func (b *bench) tamper(path string, status int, body []byte) (int, []byte, error) {
	b.mu.Lock()
	held, mark := b.held, b.mark
	b.mu.Unlock()
	if held != nil && strings.HasSuffix(path, "/query") {
		<-held
	}
	if mark != "" {
		body, _ = testsite.Flip(body, []byte(mark))
	}
	return status, body, nil
}

// replica answers as the replica, or fails as it was told to.
func (b *bench) replica(w http.ResponseWriter, r *http.Request) {
	b.mu.Lock()
	fails := b.times > 0
	if fails {
		b.times--
	}
	status := b.status
	b.mu.Unlock()
	if fails {
		w.WriteHeader(status)
		return
	}
	b.site.ServeHTTP(w, r)
}

// saw keeps a request of HTTP as the canister gets it.
func (b *bench) saw(r *envelope.Request) {
	if r.Method != "http_request" {
		return
	}
	header := candid.TupleOf(candid.TextType, candid.TextType)
	values, err := candid.Decode(r.Arg, candid.RecordOf(
		candid.F("method", candid.TextType), candid.F("url", candid.TextType), candid.F("headers", candid.VecOf(header)),
		candid.F("certificate_version", candid.OptOf(candid.Nat16Type)),
	))
	if err != nil {
		return // the canister says so
	}
	record := values[0].(candid.Record)
	headers := map[string]string{}
	for _, h := range record.Get("headers").(candid.Vec) {
		pair := h.(candid.Record)
		headers[string(pair.At(0).(candid.Text))] = string(pair.At(1).(candid.Text))
	}
	version, _ := record.Get("certificate_version").(candid.Opt).Value.(candid.Nat16)
	b.mu.Lock()
	defer b.mu.Unlock()
	b.asked = map[string]any{
		"method": string(record.Get("method").(candid.Text)), "url": string(record.Get("url").(candid.Text)), "headers": headers, "version": version,
	}
}

func (b *bench) steering() http.Handler {
	mux := http.NewServeMux()
	steer := func(pattern string, f func(w http.ResponseWriter, r *http.Request)) {
		mux.HandleFunc(pattern, func(w http.ResponseWriter, r *http.Request) {
			b.mu.Lock()
			defer b.mu.Unlock()
			f(w, r)
		})
	}
	steer("POST /flip", func(_ http.ResponseWriter, r *http.Request) { b.mark = r.URL.Query().Get("mark") })
	steer("POST /fail", func(_ http.ResponseWriter, r *http.Request) {
		b.status, _ = strconv.Atoi(r.URL.Query().Get("status"))
		b.times, _ = strconv.Atoi(r.URL.Query().Get("times"))
	})
	steer("GET /asked", func(w http.ResponseWriter, _ *http.Request) { _ = json.NewEncoder(w).Encode(b.asked) })
	steer("POST /hold", func(http.ResponseWriter, *http.Request) { b.held = make(chan struct{}) })
	steer("POST /release", func(http.ResponseWriter, *http.Request) {
		close(b.held)
		b.held = nil
	})
	return mux
}

// pages are the web canister's.
func pages() map[string]testsite.Page {
	kind := func(k string, more ...string) []asset.Header {
		out := []asset.Header{{Name: "content-type", Value: k}}
		for i := 0; i+1 < len(more); i += 2 {
			out = append(out, asset.Header{Name: more[i], Value: more[i+1]})
		}
		return out
	}
	large := []byte(strings.Repeat("0123456789abcdef", 1<<16))
	return map[string]testsite.Page{
		"/":                       {Headers: kind("text/html", "x-motto", "certified too"), Body: []byte("<h1>A certified page</h1>")},
		"/large":                  {Headers: kind("application/octet-stream"), Body: large, Chunk: 400_000},
		"/film":                   {Headers: kind("video/mp4", "accept-ranges", "bytes"), Body: large, Piece: 400_000, Long: true},
		"/long":                   {Headers: kind("text/plain"), Body: large[:40_000]},
		"/open":                   {Headers: kind("text/plain"), Body: []byte("open"), Open: true},
		"/friends":                {Headers: kind("text/plain", "access-control-allow-origin", "https://friend.example"), Body: []byte("for friends")},
		"/moved":                  {Headers: kind("text/plain", "location", "/"), Body: []byte("moved")},
		"/style":                  {Headers: kind("text/css", "etag", `"v1"`, "cache-control", "public, max-age=60"), Body: []byte("p { color: red }")},
		"/private":                {Headers: kind("text/plain", "cache-control", "no-store"), Body: []byte("once")},
		"/unproven":               {Headers: kind("text/plain"), Body: []byte("the body that is proven")},
		"/.well-known/ic-domains": {Headers: kind("text/plain"), Body: []byte("registered.example\n")},
	}
}
