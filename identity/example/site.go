package main

import (
	"crypto/sha256"
	_ "embed"
	"encoding/base64"
	"encoding/hex"
	"io"
	"net/http"
	"sync"

	"github.com/a-h/templ"

	"portico/identity"
	"portico/lightclient/principal"
)

// Bounds on what people store.
const (
	maxNoteBytes = 4000
	maxNotes     = 10_000
)

//go:embed style.css
var style string

// A site is the page, its script and people's notes.
type site struct {
	provider, origin, rootKey string
	script                    []byte

	mu    sync.Mutex
	notes map[principal.ID]string
}

// newSite makes the handler of the whole server.
func newSite(cfg identity.Config, provider string, script []byte) (http.Handler, error) {
	server, err := identity.NewServer(cfg)
	if err != nil {
		return nil, err
	}
	s := &site{
		provider: provider, origin: cfg.Origin, rootKey: hex.EncodeToString(cfg.RootKey),
		script: script, notes: map[principal.ID]string{},
	}
	mux := http.NewServeMux()
	mux.Handle(identity.Prefix, server)                                   // challenge, log in, log out
	mux.Handle("GET /{$}", server.Identify(http.HandlerFunc(s.home)))     // for everybody
	mux.Handle("POST /note", server.Require(http.HandlerFunc(s.setNote))) // for who logged in
	mux.HandleFunc("GET /page.js", s.javascript)
	return headers(mux), nil
}

// headers keeps other pages out of this one, and other people's scripts.
func headers(next http.Handler) http.Handler {
	h := sha256.Sum256([]byte(style))
	policy := "default-src 'none'; script-src 'self'; connect-src 'self'; img-src data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'; " +
		"style-src 'sha256-" + base64.StdEncoding.EncodeToString(h[:]) + "'"
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Security-Policy", policy)
		w.Header().Set("X-Content-Type-Options", "nosniff")
		w.Header().Set("Referrer-Policy", "same-origin")
		next.ServeHTTP(w, r)
	})
}

func (s *site) home(w http.ResponseWriter, r *http.Request) {
	m := model{Provider: s.provider, Origin: s.origin, RootKey: s.rootKey}
	if id, ok := identity.Principal(r.Context()); ok {
		m.Principal = id.String()
		s.mu.Lock()
		m.Note = s.notes[id]
		s.mu.Unlock()
	}
	templ.Handler(home(m)).ServeHTTP(w, r)
}

func (s *site) setNote(w http.ResponseWriter, r *http.Request) {
	note, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxNoteBytes))
	if err != nil {
		http.Error(w, "A note has at most 4000 bytes.", http.StatusRequestEntityTooLarge)
		return
	}
	id, _ := identity.Principal(r.Context()) // Require saw to it
	s.mu.Lock()
	defer s.mu.Unlock()
	if _, ok := s.notes[id]; !ok && len(s.notes) >= maxNotes {
		http.Error(w, "There is no room for another note.", http.StatusInsufficientStorage)
		return
	}
	s.notes[id] = string(note)
	w.WriteHeader(http.StatusNoContent)
}

func (s *site) javascript(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Content-Type", "text/javascript; charset=utf-8")
	w.Header().Set("Cache-Control", "no-cache")
	w.Write(s.script) //nolint:errcheck // the client is gone
}
