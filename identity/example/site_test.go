package main

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/cookiejar"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"portico/identity"
	"portico/lightclient/envelope"
	"portico/lightclient/fakenet"
	"portico/lightclient/signature/testsigner"
)

// A visitor is a browser at the server.
type visitor struct {
	t      *testing.T
	client *http.Client
	origin string
	user   testsigner.Signer
}

// newServer serves the site on a port of its own, for a network whose keys are known.
func newServer(t *testing.T, net *fakenet.Network) (origin string) {
	t.Helper()
	server := httptest.NewUnstartedServer(nil)
	origin = "http://" + server.Listener.Addr().String()
	handler, err := newSite(identity.Config{RootKey: net.RootKey(), Origin: origin}, "http://id.ai.localhost:8000/authorize", []byte("the script"))
	must(t, err)
	server.Config.Handler = handler
	server.Start()
	t.Cleanup(server.Close)
	return origin
}

func newVisitor(t *testing.T, origin string, net *fakenet.Network, seed string) *visitor {
	t.Helper()
	jar, err := cookiejar.New(nil)
	must(t, err)
	return &visitor{t, &http.Client{Jar: jar}, origin, testsigner.Canister(net, time.Now(), identity.InternetIdentity(), []byte(seed))}
}

func (v *visitor) send(method, path, kind, body string) (int, string) {
	v.t.Helper()
	r, err := http.NewRequest(method, v.origin+path, strings.NewReader(body))
	must(v.t, err)
	if method != http.MethodGet {
		r.Header.Set("Origin", v.origin)
		r.Header.Set("Content-Type", kind)
	}
	answer, err := v.client.Do(r)
	must(v.t, err)
	defer answer.Body.Close()
	b, err := io.ReadAll(answer.Body)
	must(v.t, err)
	return answer.StatusCode, string(b)
}

func (v *visitor) logIn() {
	v.t.Helper()
	session := testsigner.P256(v.t)
	d, err := envelope.Delegate(v.user, envelope.Delegation{PublicKey: session.DER, Expiration: uint64(time.Now().Add(time.Hour).UnixNano())})
	must(v.t, err)
	chain := identity.Chain{PublicKey: v.user.DER, Delegations: []envelope.SignedDelegation{d}}
	_, asked := v.send(http.MethodPost, identity.ChallengePath, "application/json", "")
	var out struct{ Challenge string }
	must(v.t, json.Unmarshal([]byte(asked), &out))
	challenge, err := hex.DecodeString(out.Challenge)
	must(v.t, err)
	body := fmt.Sprintf(`{"challenge":"%x","chain":%s,"signature":"%x"}`, challenge, chain.JSON(), session.Signature(identity.Message(challenge, v.origin)))
	if status, answer := v.send(http.MethodPost, identity.LogInPath, "application/json", body); status != 200 {
		v.t.Fatalf("status %d: %s", status, answer)
	}
}

func (v *visitor) sees(want string) {
	v.t.Helper()
	if _, page := v.send(http.MethodGet, "/", "", ""); !strings.Contains(page, want) {
		v.t.Fatalf("the page does not say %q:\n%s", want, page)
	}
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func TestEverybodyHasTheirOwnNote(t *testing.T) {
	net := fakenet.New("example")
	origin := newServer(t, net)
	anna, ben := newVisitor(t, origin, net, "anna"), newVisitor(t, origin, net, "ben")
	for _, v := range []*visitor{anna, ben} {
		v.sees("Log in with Internet Identity")
		if status, _ := v.send(http.MethodPost, "/note", "text/plain", "x"); status != http.StatusUnauthorized {
			t.Fatalf("a stranger's note: status %d", status)
		}
		v.logIn()
		v.sees(v.user.Principal().String())
		if status, _ := v.send(http.MethodPost, "/note", "text/plain", "of "+v.user.Principal().String()+" <b>"); status != http.StatusNoContent {
			t.Fatalf("a note: status %d", status)
		}
	}
	for _, v := range []*visitor{anna, ben} {
		v.sees("of " + v.user.Principal().String() + " &lt;b&gt;")
	}
	if status, _ := anna.send(http.MethodPost, "/note", "text/plain", strings.Repeat("x", maxNoteBytes+1)); status != http.StatusRequestEntityTooLarge {
		t.Errorf("a long note: status %d", status)
	}
	if status, _ := anna.send(http.MethodPost, identity.LogOutPath, "application/json", ""); status != http.StatusNoContent {
		t.Errorf("logging out: status %d", status)
	}
	anna.sees("Log in with Internet Identity")
	again := newVisitor(t, origin, net, "anna")
	again.logIn()
	again.sees("of " + anna.user.Principal().String())
}

func TestPagesAreKeptApartFromOthers(t *testing.T) {
	origin := newServer(t, fakenet.New("example"))
	for _, path := range []string{"/", "/page.js", "/nothing"} {
		answer, err := http.Get(origin + path)
		must(t, err)
		answer.Body.Close()
		policy := answer.Header.Get("Content-Security-Policy")
		for _, want := range []string{"default-src 'none'", "script-src 'self'", "frame-ancestors 'none'"} {
			if !strings.Contains(policy, want) {
				t.Errorf("%s: the policy %q lacks %q", path, policy, want)
			}
		}
	}
}

func TestRootKeysAreTakenFromFlagsAndFiles(t *testing.T) {
	key := fakenet.New("example").RootKey()
	text, der := filepath.Join(t.TempDir(), "key.hex"), filepath.Join(t.TempDir(), "key.der")
	must(t, os.WriteFile(text, []byte(hex.EncodeToString(key)+"\n"), 0o600))
	must(t, os.WriteFile(der, key, 0o600))
	for _, arg := range []string{hex.EncodeToString(key), text, der} {
		got, err := readKey(arg)
		if err != nil || !bytes.Equal(got, key) {
			t.Errorf("%.20s: %x, %v", arg, got, err)
		}
	}
	if _, err := readKey(filepath.Join(t.TempDir(), "none")); err == nil {
		t.Error("a file that is not there was taken")
	}
}
