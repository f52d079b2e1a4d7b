package identity

import (
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/cookiejar"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"portico/lightclient/envelope"
	"portico/lightclient/principal"
	"portico/lightclient/signature/testsigner"
)

// A client is a browser with a page of the server open. Requests go straight to the
// handler, at the server's own origin.
type client struct {
	*world
	server  *Server
	handler http.Handler
	jar     http.CookieJar
	clock   time.Time
}

func newClient(t testing.TB, edit func(*Config)) *client {
	t.Helper()
	w := newWorld(t, edit)
	s, err := NewServer(w.v.cfg)
	must(t, err)
	w.v = s.verifier
	c := &client{world: w, server: s, clock: now}
	s.now = func() time.Time { return c.clock }
	mux := http.NewServeMux()
	mux.Handle(Prefix, s)
	mux.Handle("/who", s.Identify(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		id, ok := Principal(r.Context())
		fmt.Fprintf(w, "%s %t", id, ok)
	})))
	mux.Handle("/mine", s.Require(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { io.WriteString(w, "mine") }))) //nolint:errcheck // a test
	c.handler = mux
	return c.another()
}

// another is another browser at the same server.
func (c *client) another() *client {
	jar, err := cookiejar.New(nil)
	must(c.t, err)
	out := *c
	out.jar = jar
	if c.jar == nil {
		*c = out
		return c
	}
	return &out
}

// send sends a request with the browser's cookies, from the server's own page unless
// edit says otherwise.
func (c *client) send(method, path, body string, edit func(*http.Request)) *http.Response {
	c.t.Helper()
	home, err := url.Parse(c.server.verifier.cfg.Origin)
	must(c.t, err)
	r := httptest.NewRequest(method, home.String()+path, strings.NewReader(body))
	if method != http.MethodGet {
		r.Header.Set("Origin", home.String())
		r.Header.Set("Content-Type", "application/json")
	}
	for _, cookie := range c.jar.Cookies(home) {
		r.AddCookie(cookie)
	}
	if edit != nil {
		edit(r)
	}
	w := httptest.NewRecorder()
	c.handler.ServeHTTP(w, r)
	c.jar.SetCookies(home, w.Result().Cookies())
	return w.Result()
}

func bodyOf(t testing.TB, r *http.Response) string {
	t.Helper()
	b, err := io.ReadAll(r.Body)
	must(t, err)
	return string(b)
}

// challenge asks for one.
func (c *client) challenge() []byte {
	c.t.Helper()
	r := c.send(http.MethodPost, ChallengePath, "", nil)
	var out struct{ Challenge string }
	must(c.t, json.NewDecoder(r.Body).Decode(&out))
	b, err := hex.DecodeString(out.Challenge)
	must(c.t, err)
	return b
}

// signed is the body of a log-in.
func (c *client) signed() string {
	challenge := c.challenge()
	return jsonOf(&LogIn{challenge, c.chain(nil, c.user, c.session), c.session.Signature(Message(challenge, c.server.verifier.cfg.Origin))})
}

func (c *client) logInAs() *http.Response {
	return c.send(http.MethodPost, LogInPath, c.signed(), nil)
}

func wantStatus(t testing.TB, r *http.Response, status int, says string) {
	t.Helper()
	if body := bodyOf(t, r); r.StatusCode != status || !strings.Contains(body, says) {
		t.Fatalf("status %d with %q, want %d with %q", r.StatusCode, body, status, says)
	}
}

func TestPeopleLogInAreKnownAndLogOut(t *testing.T) {
	for _, origin := range []string{"https://dapp.example", "http://localhost:9000"} {
		c := newClient(t, func(cfg *Config) { cfg.Origin = origin })
		me := c.user.Principal().String()
		wantStatus(t, c.send(http.MethodGet, "/who", "", nil), 200, " false")
		wantStatus(t, c.send(http.MethodGet, "/mine", "", nil), 401, `"session"`)
		wantStatus(t, c.logInAs(), 200, me)
		wantStatus(t, c.send(http.MethodGet, "/who", "", nil), 200, me+" true")
		wantStatus(t, c.send(http.MethodPost, "/mine", "", nil), 200, "mine")
		wantStatus(t, c.another().send(http.MethodGet, "/who", "", nil), 200, " false")
		wantStatus(t, c.send(http.MethodPost, LogOutPath, "", nil), 204, "")
		wantStatus(t, c.send(http.MethodGet, "/who", "", nil), 200, " false")
		if n := len(c.server.sessions.all); n != 0 {
			t.Errorf("%d sessions are left", n)
		}
	}
}

func TestALoggedOutSessionIsNotRevivedByItsCookie(t *testing.T) {
	c := newClient(t, nil)
	r := c.logInAs()
	wantStatus(t, r, 200, "")
	old := r.Cookies()
	wantStatus(t, c.send(http.MethodPost, LogOutPath, "", nil), 204, "")
	wantStatus(t, c.send(http.MethodGet, "/who", "", func(r *http.Request) {
		for _, cookie := range old {
			r.AddCookie(cookie)
		}
	}), 200, " false")
}

func TestCookiesAreForThisServerAndNoScript(t *testing.T) {
	for origin, want := range map[string]struct {
		prefix string
		secure bool
	}{"https://dapp.example": {"__Host-", true}, "http://localhost:9000": {"", false}} {
		c := newClient(t, func(cfg *Config) { cfg.Origin = origin })
		for name, got := range map[string]*http.Response{browserCookie: c.send(http.MethodPost, ChallengePath, "", nil), sessionCookie: c.logInAs()} {
			if len(got.Cookies()) != 1 {
				t.Fatalf("%s: cookies %v", name, got.Cookies())
			}
			cookie := got.Cookies()[0]
			if cookie.Name != want.prefix+name || cookie.Secure != want.secure || !cookie.HttpOnly || cookie.Path != "/" || cookie.Domain != "" ||
				(cookie.SameSite != http.SameSiteStrictMode && cookie.SameSite != http.SameSiteLaxMode) || len(cookie.Value) != 64 {
				t.Errorf("%s: the cookie is %s", origin, cookie)
			}
			if got.Header.Get("Cache-Control") != "no-store" {
				t.Errorf("%s: the answer may be kept", name)
			}
		}
	}
}

func TestSessionsEndWithTheDelegationOrAfterEightHours(t *testing.T) {
	c := newClient(t, nil)
	wantStatus(t, c.logInAs(), 200, now.Add(30*time.Minute).Format(time.RFC3339))
	c.clock = now.Add(30*time.Minute - 1)
	wantStatus(t, c.send(http.MethodGet, "/mine", "", nil), 200, "mine")
	c.clock = now.Add(30 * time.Minute)
	wantStatus(t, c.send(http.MethodGet, "/mine", "", nil), 401, "")

	c.clock = now
	challenge := c.challenge()
	month := c.chain(func(_ int, d *envelope.Delegation) { d.Expiration = uint64(now.Add(30 * 24 * time.Hour).UnixNano()) }, c.user, c.session)
	body := jsonOf(&LogIn{challenge, month, c.session.Signature(Message(challenge, origin))})
	r := c.send(http.MethodPost, LogInPath, body, nil)
	if got := r.Cookies()[0].MaxAge; got != int(MaxSession/time.Second) {
		t.Errorf("the cookie lasts for %d s", got)
	}
	wantStatus(t, r, 200, now.Add(MaxSession).Format(time.RFC3339))
	c.clock = now.Add(MaxSession)
	wantStatus(t, c.send(http.MethodGet, "/mine", "", nil), 401, "")
}

func TestLogInsOfOtherPagesAndFormsAreRefused(t *testing.T) {
	c := newClient(t, nil)
	wantStatus(t, c.logInAs(), 200, "")
	for _, other := range []string{"", "null", "https://evil.example", "http://dapp.example", "https://dapp.example:8443", "https://sub.dapp.example"} {
		edit := func(r *http.Request) {
			r.Header.Del("Origin")
			if other != "" {
				r.Header.Set("Origin", other)
			}
		}
		body := c.signed()
		for _, path := range []string{ChallengePath, LogInPath, LogOutPath, "/mine", "/who"} {
			wantStatus(t, c.send(http.MethodPost, path, body, edit), 403, `"origin"`)
		}
		wantStatus(t, c.send(http.MethodGet, "/mine", "", edit), 200, "mine")
	}
	for _, kind := range []string{"", "text/plain", "application/x-www-form-urlencoded", "multipart/form-data"} {
		wantStatus(t, c.send(http.MethodPost, LogInPath, c.signed(), func(r *http.Request) { r.Header.Set("Content-Type", kind) }), 415, "content_type")
	}
	wantStatus(t, c.send(http.MethodGet, LogOutPath, "", nil), 405, "POST")
	wantStatus(t, c.send(http.MethodPost, Prefix+"other", "", nil), 404, "path")
	wantStatus(t, c.send(http.MethodGet, "/mine", "", nil), 200, "mine")
}

// A WebSocket begins with GET, lives as long as it likes, and does whatever its server lets it.
func TestOtherPagesOpenNoWebSocketsAsThePerson(t *testing.T) {
	c := newClient(t, nil)
	wantStatus(t, c.logInAs(), http.StatusOK, "")
	open := func(origin string) *http.Response {
		return c.send(http.MethodGet, "/who", "", func(r *http.Request) {
			r.Header.Set("Connection", "Upgrade")
			r.Header.Set("Upgrade", "websocket")
			r.Header.Set("Origin", origin)
		})
	}
	wantStatus(t, open("https://other.dapp.example"), http.StatusForbidden, "origin")
	wantStatus(t, open(c.server.verifier.cfg.Origin), http.StatusOK, "true")
}

func TestNobodyCanLogAnothersBrowserIn(t *testing.T) {
	c := newClient(t, nil)
	victim := c.another()
	victim.challenge() // it has a cookie of its own
	body := c.signed()
	wantStatus(t, victim.send(http.MethodPost, LogInPath, body, nil), 403, `"challenge"`)
	wantStatus(t, c.another().send(http.MethodPost, LogInPath, body, nil), 403, `"challenge"`)
	wantStatus(t, c.send(http.MethodPost, LogInPath, body, nil), 200, "")
}

func TestReplayedLogInsAreRefused(t *testing.T) {
	c := newClient(t, nil)
	body := c.signed()
	wantStatus(t, c.send(http.MethodPost, LogInPath, body, nil), 200, "")
	wantStatus(t, c.send(http.MethodPost, LogInPath, body, nil), 403, "challenge_used")
}

func TestRefusalsHaveTheirStatusAndCode(t *testing.T) {
	c := newClient(t, nil)
	logIn := func(change func(l *LogIn)) *http.Response {
		challenge := c.challenge()
		l := &LogIn{challenge, c.chain(nil, c.user, c.session), c.session.Signature(Message(challenge, origin))}
		change(l)
		return c.send(http.MethodPost, LogInPath, jsonOf(l), nil)
	}
	wantStatus(t, logIn(func(l *LogIn) { l.Signature[0] ^= 1 }), 403, "session_signature")
	wantStatus(t, logIn(func(l *LogIn) { l.Chain.Delegations[0].Signature[90] ^= 1 }), 403, "chain_signature")
	wantStatus(t, logIn(func(l *LogIn) { l.Chain.Delegations = nil }), 403, "plain_key")
	wantStatus(t, logIn(func(l *LogIn) { l.Chain.PublicKey = testsigner.CanisterKey(principal.Canister(9), nil) }), 403, `"signer"`)
	wantStatus(t, logIn(func(l *LogIn) { l.Chain.PublicKey = nil }), 400, `"form"`)
	wantStatus(t, c.send(http.MethodPost, LogInPath, "{", nil), 400, `"form"`)
	wantStatus(t, c.send(http.MethodPost, LogInPath, `"`+strings.Repeat("x", MaxLogInBytes)+`"`, nil), 413, `"size"`)
	stale := c.signed()
	c.clock = c.clock.Add(ChallengeLifetime + time.Second)
	wantStatus(t, c.send(http.MethodPost, LogInPath, stale, nil), 403, "challenge_expired")
	c.clock = c.clock.Add(time.Hour)
	wantStatus(t, c.logInAs(), 403, `"expired"`)
	for check := Form; check <= Room; check++ {
		if check.String() == "" {
			t.Errorf("check %d has no code", check)
		}
	}
}

func TestLoggingInAgainReplacesTheSession(t *testing.T) {
	c := newClient(t, nil)
	wantStatus(t, c.logInAs(), 200, "")
	wantStatus(t, c.logInAs(), 200, "")
	if n := len(c.server.sessions.all); n != 1 {
		t.Errorf("%d sessions", n)
	}
}

func TestAUserHasSixteenSessionsAtMost(t *testing.T) {
	s := newSessions(100)
	user, other := principal.Canister(1), principal.Canister(2)
	bystander, err := s.begin(other, now.Add(time.Hour), now)
	must(t, err)
	var tokens []string
	for range maxSessionsOfUser + 1 {
		token, err := s.begin(user, now.Add(time.Hour), now)
		must(t, err)
		tokens = append(tokens, token)
	}
	if _, ok := s.find(tokens[0], now); ok {
		t.Error("the oldest session goes on")
	}
	for _, token := range append(tokens[1:], bystander) {
		if _, ok := s.find(token, now); !ok {
			t.Error("another session ended")
		}
	}
}

func TestAFullServerRefusesLogInsUntilSessionsEnd(t *testing.T) {
	s := newSessions(3)
	for i := range 3 {
		_, err := s.begin(principal.Canister(uint64(i)), now.Add(time.Duration(i)*time.Hour+sweepInterval/2), now)
		must(t, err)
	}
	_, err := s.begin(principal.Canister(9), now.Add(time.Hour), now)
	wantCheck(t, err, Room, "3 people")
	// One has ended, but looking for it is not repeated for everyone who asks.
	_, err = s.begin(principal.Canister(9), now.Add(time.Hour), now.Add(sweepInterval-1))
	wantCheck(t, err, Room, "")
	_, err = s.begin(principal.Canister(9), now.Add(time.Hour), now.Add(sweepInterval))
	must(t, err)
	if len(s.all) != 3 || len(s.of) != 3 {
		t.Errorf("%d sessions of %d users", len(s.all), len(s.of))
	}
}

// The clock of a server made by NewServer is the real one, here a fake of the runtime.
func TestSessionsEndByTheClock(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newClient(t, func(cfg *Config) { cfg.PlainKeys = true })
		c.server.now = time.Now
		key := testsigner.Ed25519(t)
		challenge := c.challenge()
		body := jsonOf(&LogIn{challenge, c.chain(nil, key), key.Signature(Message(challenge, origin))})
		wantStatus(t, c.send(http.MethodPost, LogInPath, body, nil), 200, key.Principal().String())
		time.Sleep(MaxSession - time.Second)
		wantStatus(t, c.send(http.MethodGet, "/mine", "", nil), 200, "mine")
		time.Sleep(time.Second)
		wantStatus(t, c.send(http.MethodGet, "/mine", "", nil), 401, "")
	})
}
