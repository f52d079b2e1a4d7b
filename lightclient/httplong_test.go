package lightclient

import (
	"bytes"
	"errors"
	"io"
	"strings"
	"testing"

	"portico/lightclient/asset"
	"portico/lightclient/candid"
)

// film serves "one two three four" by callbacks that exceed a bound of 8 bytes.
func film(t *testing.T) (*web, HTTPOptions) {
	w := newWeb(t)
	r := w.certify(asset.Exact("/film"), "/film", page("one two three four"))[0]
	w.chunked(r, candid.Func{Service: canister, Method: "next"}, "one ", "two ", "three ", "four")
	return w, HTTPOptions{MaxBody: 8, Reread: true}
}

func TestALongBodyByCallbacksIsReadTwiceAndNotHeld(t *testing.T) {
	w, opt := film(t)
	got, err := w.get("/film", opt)
	if err != nil {
		t.Fatal(err)
	}
	if string(got.Body) != "one " || valueOf(got.Headers, "content-length") != "18" || got.Report.Scope == asset.ScopeNothing {
		t.Errorf("%q, %v", got.Body, got.Headers)
	}
	for _, want := range []string{"two ", "three ", "four"} {
		if b, err := got.Next(t.Context()); err != nil || string(b) != want {
			t.Errorf("%q, %v, want %q", b, err, want)
		}
	}
	if b, err := got.Next(t.Context()); !errors.Is(err, io.EOF) {
		t.Errorf("%q, %v after the end", b, err)
	}
	if n := w.replica.Count("query"); n != 7 {
		t.Errorf("%d queries, want 4 and 3", n)
	}
}

func TestALongBodyIsVerifiedBeforeItsFirstByteLeaves(t *testing.T) {
	w, opt := film(t)
	// The node signs what it forges.
	r := w.certify(asset.Exact("/film"), "/film", page("one two three four"))[0]
	w.chunked(r, candid.Func{Service: canister, Method: "next"}, "one ", "two ", "three ", "Four")
	_, err := w.get("/film", opt)
	wantReason(t, "a changed last part", err, asset.ReasonResponse)
}

func TestAPartThatDiffersFromTheOneThatWasVerifiedEndsALongBody(t *testing.T) {
	for what, parts := range map[string][]string{
		"changed": {"one ", "two ", "Three ", "four"},
		"shorter": {"one ", "two ", "three "},
		"longer":  {"one ", "two ", "three ", "four", "five"},
		"moved":   {"one ", "two t", "hree ", "four"},
	} {
		w, opt := film(t)
		got, err := w.get("/film", opt)
		if err != nil {
			t.Fatal(err)
		}
		r := w.certify(asset.Exact("/film"), "/film", page(strings.Join(parts, "")))[0]
		w.chunked(r, candid.Func{Service: canister, Method: "next"}, parts...)
		body := got.Body
		for err == nil {
			var b []byte
			b, err = got.Next(t.Context())
			body = append(body, b...)
		}
		wantError[*ResponseError](t, what, err)
		if !strings.HasPrefix("one two three four", string(body)) {
			t.Errorf("%s: %q leaves", what, body)
		}
	}
}

func TestPartsOfALongBodyAreSignedByNodes(t *testing.T) {
	for what, raw := range map[string]bool{"certified": false, "raw": true} {
		w, opt := film(t)
		opt.Raw = raw
		if _, err := w.get("/film", opt); err != nil {
			t.Fatal(what, err)
		}
		w.replica.Tamper = func(path string, status int, body []byte) (int, []byte, error) {
			return status, bytes.Replace(body, []byte("three "), []byte("THREE "), 1), nil
		}
		_, err := w.get("/film", opt)
		wantError[*VerificationError](t, what, err)
	}
}

func TestOnlyQueriesAreReadTwice(t *testing.T) {
	w, opt := film(t)
	w.serve["http_request"] = func(asset.Request, []byte) []byte { return w.encode(page(""), extra{upgrade: true}) }
	_, err := w.get("/film", opt)
	wantError[*TooLargeError](t, "a long body by calls", err)
	opt.Reread = false
	w, _ = film(t)
	_, err = w.get("/film", opt)
	wantError[*TooLargeError](t, "a long body for whoever wants none", err)
}

func TestALongBodyIsBounded(t *testing.T) {
	l := &longBody{total: maxLongBody - 1}
	wantError[*TooLargeError](t, "two bytes more", l.add(t.Context(), []byte("ab")))
}
