package serve

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io/fs"
	"net/http"
	"strconv"
	"strings"

	"portico/gateway/page"
)

// A Worker holds the service worker and what it loads: a bundle of the folder
// web/ts and the light client as WebAssembly.
type Worker struct {
	rootKey    string // hex of DER
	script     []byte // of the service worker, without its configuration
	pageScript string // path
	wasm       string // path
	wasmHash   string
	panel      []byte          // script; nil if the build has none
	files      map[string]file // by path
}

type file struct {
	kind   string // media type
	plain  []byte
	brotli []byte // the same, compressed; may be nil
}

// Files of a Worker. panelFile and wasmBrotliFile may be absent.
const (
	scriptFile     = "sw.js"
	pageScriptFile = "page.js"
	panelFile      = "panel.js"
	wasmFile       = "client.wasm"
	wasmBrotliFile = "client.wasm.br"
)

// LoadWorker reads the files sw.js, page.js, client.wasm and client.wasm.br, as the
// build of web/ts writes them. The worker will believe rootKey, DER.
func LoadWorker(files fs.FS, rootKey []byte) (*Worker, error) {
	read := func(name string) ([]byte, error) {
		b, err := fs.ReadFile(files, name)
		if err != nil {
			return nil, fmt.Errorf("service worker: %w", err)
		}
		return b, nil
	}
	script, err := read(scriptFile)
	if err != nil {
		return nil, err
	}
	pageScript, err := read(pageScriptFile)
	if err != nil {
		return nil, err
	}
	wasm, err := read(wasmFile)
	if err != nil {
		return nil, err
	}
	compressed, _ := fs.ReadFile(files, wasmBrotliFile)
	panel, _ := fs.ReadFile(files, panelFile)
	sum := sha256.Sum256(wasm)
	w := &Worker{rootKey: hex.EncodeToString(rootKey), script: script, panel: panel, wasmHash: hex.EncodeToString(sum[:])}
	w.wasm = page.Prefix + "client-" + w.wasmHash[:16] + ".wasm"
	pageSum := sha256.Sum256(pageScript)
	w.pageScript = page.Prefix + "page-" + hex.EncodeToString(pageSum[:8]) + ".js"
	w.files = map[string]file{
		w.wasm:       {kind: "application/wasm", plain: wasm, brotli: compressed},
		w.pageScript: {kind: "text/javascript; charset=utf-8", plain: pageScript},
	}
	return w, nil
}

// configuration is what the script of the worker starts with. Field names are
// those of web/ts.
type configuration struct {
	RootKey  string `json:"rootKey"`
	Wasm     string `json:"wasm"`
	WasmHash string `json:"wasmHash"`
	// Canister is set for names that are aliases. Other names say themselves which
	// canister they are, and the worker reads that from its own address.
	Canister string `json:"canister,omitempty"`
}

// own answers for what belongs to the gateway itself.
func (x *exchange) own() {
	if x.r.Method != http.MethodGet && x.r.Method != http.MethodHead {
		x.methodNotAllowed("GET, HEAD")
		return
	}
	switch path := x.r.URL.Path; {
	case path == page.VerifyPath:
		canister, script := "", ""
		if x.target.Named {
			canister = x.target.Canister.String()
		}
		if x.Worker != nil {
			script = x.Worker.pageScript
		}
		x.render(http.StatusOK, page.Verify(canister, script))
		return
	case path == page.IconPath:
		x.w.Header().Set("Cache-Control", "public, max-age=86400")
		x.bytes("image/svg+xml", page.Icon())
		return
	case x.Worker == nil:
	case path == page.PanelPath && x.Worker.panel != nil:
		// Sites name it without a hash, so it must not be kept for long.
		x.w.Header().Set("Cache-Control", "public, max-age=300")
		x.bytes("text/javascript; charset=utf-8", x.Worker.panel)
		return
	case path == page.WorkerPath && x.target.Named && !x.target.Bare && !x.target.Raw:
		x.workerScript()
		return
	default:
		if f, ok := x.Worker.files[path]; ok {
			x.file(f)
			return
		}
	}
	x.fail(page.Problem{Status: http.StatusNotFound, Title: "Not found", Text: "The gateway has nothing at this path.", Reason: x.r.URL.Path}, nil)
}

// workerScript answers with the service worker and its configuration. The browser
// compares it with the one it has at every visit, so it must not be cached.
func (x *exchange) workerScript() {
	c := configuration{RootKey: x.Worker.rootKey, Wasm: x.Worker.wasm, WasmHash: x.Worker.wasmHash}
	if x.target.Alias {
		c.Canister = x.target.Canister.String()
	}
	b, err := json.Marshal(c)
	if err != nil {
		panic(err) // a struct of strings always has a JSON form
	}
	script := append([]byte("self.PORTICO="+string(b)+";\n"), x.Worker.script...)
	header := x.w.Header()
	header.Set("Service-Worker-Allowed", "/")
	header.Set("Content-Security-Policy", "default-src 'none'; connect-src 'self'; script-src 'self' 'wasm-unsafe-eval'")
	header.Set("Cache-Control", "no-cache")
	x.bytes("text/javascript; charset=utf-8", script)
}

// file answers with a file whose path has the hash of its content.
func (x *exchange) file(f file) {
	header := x.w.Header()
	header.Set("Cache-Control", "public, max-age=31536000, immutable")
	header.Set("Vary", "Accept-Encoding")
	if f.brotli != nil && strings.Contains(x.r.Header.Get("Accept-Encoding"), "br") {
		header.Set("Content-Encoding", "br")
		x.bytes(f.kind, f.brotli)
		return
	}
	x.bytes(f.kind, f.plain)
}

func (x *exchange) bytes(kind string, b []byte) { x.bytesWithStatus(http.StatusOK, kind, b) }

func (x *exchange) bytesWithStatus(status int, kind string, b []byte) {
	header := x.w.Header()
	header.Set("Content-Type", kind)
	header.Set("X-Content-Type-Options", "nosniff")
	header.Set("Content-Length", strconv.Itoa(len(b)))
	x.w.WriteHeader(status)
	if x.r.Method != http.MethodHead {
		_, _ = x.w.Write(b)
	}
}
