package main

import (
	"bytes"
	"compress/gzip"
	"embed"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"html"
	"io/fs"
	"path"
	"strings"

	"portico/lightclient/asset"
	"portico/lightclient/principal"
)

// built are the pages of identity/page, as `make identity` writes them into the folder
// site: documents, and below assets what they load, each also as .br and .gz. A canister
// that was built without has none of them and is otherwise the same.
//
//go:embed all:site
var built embed.FS

// pages are files to be served as pages, and what they are told of the network.
type pages struct {
	files    fs.FS
	settings settings
}

// settings is what the pages' scripts read (identity/page/ts, settings.ts).
type settings struct {
	RootKey string `json:"root_key"` // hex of DER
	Backend string `json:"backend"`  // the canister that has the identities
}

const (
	siteFolder   = "site"
	assetsFolder = "assets"
	documentType = ".html"
	missingPage  = "404.html"
	cliPage      = "/cli"
	// placeholder is what pages have where their settings go (identity/page, Placeholder).
	placeholder = "PORTICO-IDENTITY-SETTINGS"
	// immutable is for files whose names change with their contents.
	immutable = "public, max-age=31536000, immutable"
)

func newPages(rootKey []byte, backend principal.ID) (pages, error) {
	files, err := fs.Sub(built, siteFolder)
	return pages{files, settings{hex.EncodeToString(rootKey), backend.String()}}, err
}

// contentTypes are the content types of what pages load.
func contentTypes() map[string]string {
	return map[string]string{".js": "text/javascript; charset=utf-8", ".css": "text/css; charset=utf-8", ".svg": "image/svg+xml"}
}

// each hands over what is served at which path, in the order of the files' names; missing
// is served everywhere else.
func (p pages) each(add func(path string, r resource)) (missing resource, err error) {
	missing = resource{status: 404, headers: common("text/plain"), plain: []byte("not found")}
	told, err := json.Marshal(p.settings)
	if err != nil {
		return missing, err
	}
	return missing, fs.WalkDir(p.files, ".", func(name string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		var r resource
		switch kind := path.Ext(name); {
		case name == missingPage:
			r, err = p.document(name, "/", html.EscapeString(string(told)))
			r.status = 404
			missing = r
		case kind == documentType:
			at := "/" + strings.TrimSuffix(strings.TrimSuffix(name, documentType), "index")
			r, err = p.document(name, at, html.EscapeString(string(told)))
			add(at, r)
		case contentTypes()[kind] != "":
			r, err = p.loaded(name, contentTypes()[kind])
			add("/"+name, r)
		}
		return err // of other files: an encoding of another file, or none of the pages'
	})
}

// document is a page with its settings. It changes with them, so browsers ask each time,
// and it is compressed here.
func (p pages) document(name, at, told string) (resource, error) {
	text, err := fs.ReadFile(p.files, name)
	if err != nil {
		return resource{}, err
	}
	text = bytes.ReplaceAll(text, []byte(placeholder), []byte(told))
	var b bytes.Buffer
	z, err := gzip.NewWriterLevel(&b, gzip.BestCompression)
	if err != nil {
		return resource{}, err
	}
	if _, err := z.Write(text); err != nil {
		return resource{}, err
	}
	if err := z.Close(); err != nil {
		return resource{}, err
	}
	headers := append(
		common("text/html; charset=utf-8"),
		asset.Header{Name: "cache-control", Value: "no-cache"},
		asset.Header{Name: "content-security-policy", Value: policy(at)},
		asset.Header{Name: "permissions-policy", Value: permissionsPolicy},
	)
	return resource{200, headers, text, map[string][]byte{"gzip": b.Bytes()}}, nil
}

// loaded is a file that pages load, with the encodings that were built of it.
func (p pages) loaded(name, contentType string) (resource, error) {
	if !strings.HasPrefix(name, assetsFolder+"/") {
		return resource{}, fmt.Errorf("%s lies outside of %s", name, assetsFolder)
	}
	body, err := fs.ReadFile(p.files, name)
	if err != nil {
		return resource{}, err
	}
	r := resource{200, append(common(contentType), asset.Header{Name: "cache-control", Value: immutable}), body, map[string][]byte{}}
	for encoding, ending := range map[string]string{"br": ".br", "gzip": ".gz"} {
		b, err := fs.ReadFile(p.files, name+ending)
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return resource{}, err
		}
		r.encoded[encoding] = b
	}
	return r, nil
}

const (
	// everywhere is the policy of all pages: nothing inline, nothing of other origins, in
	// nobody's frame. Only for derivation origins do they ask others: for the list that a
	// dapp's canister certifies, over https, or from the gateway on this computer.
	everywhere = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; " +
		"connect-src 'self' https: http://localhost:* http://*.localhost:* http://127.0.0.1:*; " +
		"base-uri 'none'; frame-ancestors 'none'; require-trusted-types-for 'script'; trusted-types 'none'"
	// permissionsPolicy keeps passkeys to the page itself.
	permissionsPolicy = "publickey-credentials-create=(self), publickey-credentials-get=(self), clipboard-write=(self), " +
		"camera=(), display-capture=(), geolocation=(), microphone=(), payment=(), usb=()"
)

// policy is the Content-Security-Policy of a page. That for command-line tools sends its
// answer by a form to a tool on this computer, which sends the browser back.
func policy(at string) string {
	if at == cliPage {
		return everywhere + "; form-action 'self' http://127.0.0.1:* http://localhost:*"
	}
	return everywhere + "; form-action 'none'"
}
