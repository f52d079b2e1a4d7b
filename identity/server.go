package identity

import (
	"context"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"strings"
	"time"

	"portico/lightclient/principal"
)

// What a Server answers: POST, with the header Origin of this server's pages.
const (
	Prefix = "/_identity/"
	// ChallengePath answers {"challenge": hex} and sets a cookie that names the browser.
	ChallengePath = Prefix + "challenge"
	// LogInPath takes what ParseLogIn reads, as application/json, sets the cookie of a
	// session and answers {"principal": text, "expires": RFC 3339}.
	LogInPath = Prefix + "log-in"
	// LogOutPath ends the session and answers 204.
	LogOutPath = Prefix + "log-out"
)

// MaxSession is how long a session lasts, unless the delegations end before.
const MaxSession = 8 * time.Hour

// A Server has the sessions of people who log in with Internet Identity: handlers under
// Prefix, and a middleware that tells other handlers who asks.
//
// Sessions are random tokens in cookies that no script reads and that other sites'
// requests do not carry, bounded in number and lost with a restart. Answers that refuse are
// {"code": text, "message": text}, with the code of a Check or "origin", "method",
// "content_type", "size", "path", "session". How often strangers ask is not limited here.
type Server struct {
	verifier *Verifier
	sessions *sessions
	now      func() time.Time
}

// NewServer makes a Server. The errors are those of New.
func NewServer(cfg Config) (*Server, error) {
	v, err := New(cfg)
	if err != nil {
		return nil, err
	}
	return &Server{verifier: v, sessions: newSessions(maxSessions), now: time.Now}, nil
}

// ServeHTTP answers requests to paths under Prefix.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	h := w.Header()
	h.Set("Cache-Control", "no-store")
	h.Set("X-Content-Type-Options", "nosniff")
	answer := map[string]func(http.ResponseWriter, *http.Request){
		ChallengePath: s.challenge, LogInPath: s.logIn, LogOutPath: s.logOut,
	}[r.URL.Path]
	switch {
	case answer == nil:
		refuse(w, http.StatusNotFound, "path", "there is nothing here")
	case r.Method != http.MethodPost:
		h.Set("Allow", http.MethodPost)
		refuse(w, http.StatusMethodNotAllowed, "method", "want POST")
	case !s.sameOrigin(r):
		s.refuseOrigin(w, r)
	default:
		answer(w, r)
	}
}

// sameOrigin reports whether a page of this server asks. Browsers tell the origin with
// every request that is neither GET nor HEAD, and no page can make them tell another; a
// form in a page with the referrer policy "no-referrer" tells none.
func (s *Server) sameOrigin(r *http.Request) bool {
	return r.Header.Get("Origin") == s.verifier.cfg.Origin
}

func (s *Server) refuseOrigin(w http.ResponseWriter, r *http.Request) {
	refuse(w, http.StatusForbidden, "origin", fmt.Sprintf("the request comes from the origin %q; want %q", clip(r.Header.Get("Origin")), s.verifier.cfg.Origin))
}

func (s *Server) challenge(w http.ResponseWriter, r *http.Request) {
	browser := s.cookie(r, browserCookie)
	if browser == "" {
		browser = newToken()
		s.setCookie(w, browserCookie, browser, http.SameSiteStrictMode, 0)
	}
	reply(w, map[string]string{"challenge": hex.EncodeToString(s.verifier.Challenge(browser, s.now()))})
}

func (s *Server) logIn(w http.ResponseWriter, r *http.Request) {
	if kind, _, err := mime.ParseMediaType(r.Header.Get("Content-Type")); err != nil || kind != "application/json" {
		refuse(w, http.StatusUnsupportedMediaType, "content_type", "want application/json")
		return
	}
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, MaxLogInBytes))
	var tooLarge *http.MaxBytesError
	switch {
	case errors.As(err, &tooLarge):
		refuse(w, http.StatusRequestEntityTooLarge, "size", fmt.Sprintf("a log-in has at most %d bytes", MaxLogInBytes))
		return
	case err != nil:
		return // the client is gone
	}
	now := s.now()
	user, token, err := s.begin(body, s.cookie(r, browserCookie), now)
	if err != nil {
		refuseLogIn(w, err)
		return
	}
	// Who logs in again has one session, not two.
	s.sessions.forget(s.cookie(r, sessionCookie))
	s.setCookie(w, sessionCookie, token, http.SameSiteLaxMode, user.Expires.Sub(now))
	reply(w, map[string]string{"principal": user.Principal.String(), "expires": user.Expires.Format(time.RFC3339)})
}

// begin verifies a log-in and starts a session, which ends when User.Expires says.
func (s *Server) begin(body []byte, browser string, now time.Time) (*User, string, error) {
	l, err := ParseLogIn(body)
	if err != nil {
		return nil, "", err
	}
	user, err := s.verifier.Verify(l, browser, now)
	if err != nil {
		return nil, "", err
	}
	if latest := now.Add(MaxSession).UTC(); user.Expires.After(latest) {
		user.Expires = latest
	}
	token, err := s.sessions.begin(user.Principal, user.Expires, now)
	return user, token, err
}

func refuseLogIn(w http.ResponseWriter, err error) {
	var r *Refusal
	if !errors.As(err, &r) {
		panic(fmt.Sprintf("identity: a log-in failed with a %T", err))
	}
	status := http.StatusForbidden
	switch r.Check {
	case Form:
		status = http.StatusBadRequest
	case Room:
		status = http.StatusServiceUnavailable
	}
	refuse(w, status, r.Check.String(), r.Error())
}

func (s *Server) logOut(w http.ResponseWriter, r *http.Request) {
	s.sessions.forget(s.cookie(r, sessionCookie))
	s.setCookie(w, sessionCookie, "", http.SameSiteLaxMode, -time.Second)
	w.WriteHeader(http.StatusNoContent)
}

type contextKey struct{}

// Principal returns who has the session that a request came with; Identify and Require
// put it there.
func Principal(ctx context.Context) (principal.ID, bool) {
	id, ok := ctx.Value(contextKey{}).(principal.ID)
	return id, ok
}

// Identify lets Principal tell next who asks, if anybody did log in. Requests with a
// session that may change something (neither GET, HEAD nor OPTIONS, or for a WebSocket) are
// refused unless they come from a page of this server: cookies of sites on the same domain, and on other
// ports of this machine, are the same to browsers.
func (s *Server) Identify(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		found, ok := s.sessions.find(s.cookie(r, sessionCookie), s.now())
		if !ok {
			next.ServeHTTP(w, r)
			return
		}
		safe := r.Method == http.MethodGet || r.Method == http.MethodHead || r.Method == http.MethodOptions
		if (!safe || r.Header.Get("Upgrade") != "") && !s.sameOrigin(r) {
			s.refuseOrigin(w, r)
			return
		}
		// What a person sees must not be kept for another.
		w.Header().Set("Cache-Control", "no-store")
		next.ServeHTTP(w, r.WithContext(context.WithValue(r.Context(), contextKey{}, found.user)))
	})
}

// Require is Identify for handlers that are for people who logged in; others get the
// status 401.
func (s *Server) Require(next http.Handler) http.Handler {
	return s.Identify(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if _, ok := Principal(r.Context()); !ok {
			w.Header().Set("Cache-Control", "no-store")
			refuse(w, http.StatusUnauthorized, "session", "log in first")
			return
		}
		next.ServeHTTP(w, r)
	}))
}

// Names of cookies. Over https they begin with __Host-, which lets no other host set them.
const (
	sessionCookie = "identity-session"
	browserCookie = "identity-browser"
	hostPrefix    = "__Host-"
)

func (s *Server) secure() bool { return strings.HasPrefix(s.verifier.cfg.Origin, "https:") }

func (s *Server) cookieName(name string) string {
	if s.secure() {
		return hostPrefix + name
	}
	return name
}

func (s *Server) cookie(r *http.Request, name string) string {
	c, err := r.Cookie(s.cookieName(name))
	if err != nil {
		return ""
	}
	return c.Value
}

// setCookie sets a cookie for a time; zero is until the browser ends, and less removes it.
func (s *Server) setCookie(w http.ResponseWriter, name, value string, site http.SameSite, age time.Duration) {
	seconds := int(age / time.Second)
	if age > 0 && seconds == 0 {
		seconds = 1
	}
	http.SetCookie(w, &http.Cookie{
		Name: s.cookieName(name), Value: value, Path: "/", MaxAge: seconds,
		HttpOnly: true, Secure: s.secure(), SameSite: site,
	})
}

func refuse(w http.ResponseWriter, status int, code, message string) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	reply(w, map[string]string{"code": code, "message": message})
}

func reply(w http.ResponseWriter, fields map[string]string) {
	w.Header().Set("Content-Type", "application/json")
	json.NewEncoder(w).Encode(fields) //nolint:errcheck // the client is gone
}
