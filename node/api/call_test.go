package api

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"testing"
	"testing/synctest"
	"time"

	"portico/lightclient/cbor"
	"portico/lightclient/certificate"
	"portico/lightclient/envelope"
	"portico/lightclient/hashtree"
	"portico/lightclient/principal"
	"portico/node/types"
)

func callPath(version string, id principal.ID) string {
	return fmt.Sprintf("/api/%s/canister/%s/call", version, id)
}

func TestAsynchronousCallIsAccepted(t *testing.T) {
	f := newReplica(t, true)
	user := newUser(t)
	body := seal(t, user, callOf(canisterA, "inc", []byte("arg")))
	w := post(f.handler(nil), callPath("v2", canisterA), body)
	if w.Code != http.StatusAccepted || w.Body.Len() != 0 {
		t.Fatalf("status %d, %q", w.Code, w.Body)
	}
	got := f.submitted[0]
	if r := got.Envelope.Request; r.Method != "inc" || r.Sender != user.Sender() || got.ID() != idOf(t, body) ||
		got.Effective != (Target{ID: canisterA}) || !bytes.Equal(got.Raw, body) {
		t.Fatalf("submitted %+v", got)
	}
}

func TestSynchronousCallAnswersWithTheCertificateOfItsStatus(t *testing.T) {
	for _, root := range []bool{true, false} {
		for _, version := range []string{"v3", "v4"} {
			t.Run(fmt.Sprintf("%s root=%t", version, root), func(t *testing.T) {
				f := newReplica(t, root)
				f.onSubmit = func(call Ingress) (*types.Reject, error) {
					f.replyTo(call, "result")
					return nil, nil
				}
				body := seal(t, newUser(t), callOf(canisterA, "inc", nil))
				m := answer(t, post(f.handler(nil), callPath(version, canisterA), body))
				if m.Get("status") != cbor.Text("replied") {
					t.Fatalf("status %v", m.Get("status"))
				}
				cert, err := f.verifier().Canister(m.Get("certificate").(cbor.Bytes), canisterA, now.Std())
				must(t, err)
				id := idOf(t, body)
				reply, status := hashtree.Lookup(cert.Tree, []byte("request_status"), id[:], []byte("reply"))
				if status != hashtree.Found || string(reply) != "result" {
					t.Fatalf("reply %q, %v", reply, status)
				}
				if _, status := hashtree.Find(cert.Tree, []byte("canister")); status == hashtree.Found {
					t.Fatal("the certificate shows more than was asked for")
				}
				checkDelegationForm(t, f, cert, version == "v3", version == "v4")
			})
		}
	}
}

// checkDelegationForm checks which ranges the delegation of a certificate shows.
func checkDelegationForm(t *testing.T, f *fakeReplica, cert *certificate.Certificate, flat, shard bool) {
	t.Helper()
	if f.parent == nil {
		if cert.Delegation != nil {
			t.Fatal("a certificate of the root subnet has a delegation")
		}
		return
	}
	parent, err := certificate.Parse(cert.Delegation.Certificate)
	must(t, err)
	id := f.subnet().Bytes()
	_, flatStatus := hashtree.Lookup(parent.Tree, []byte("subnet"), id, []byte("canister_ranges"))
	_, shardStatus := hashtree.Lookup(parent.Tree, []byte("canister_ranges"), id, principal.Canister(0).Bytes())
	if (flatStatus == hashtree.Found) != flat || (shardStatus == hashtree.Found) != shard {
		t.Fatalf("flat ranges %v, shard %v", flatStatus, shardStatus)
	}
}

func TestRepeatedCallIsAnsweredAtOnceAndNotSubmittedAgain(t *testing.T) {
	f := newReplica(t, true)
	f.onSubmit = func(call Ingress) (*types.Reject, error) {
		f.replyTo(call, "result")
		return nil, nil
	}
	body := seal(t, newUser(t), callOf(canisterA, "inc", nil))
	first := post(f.handler(nil), callPath("v4", canisterA), body)
	second := post(f.handler(nil), callPath("v4", canisterA), body)
	answer(t, second)
	if !bytes.Equal(first.Body.Bytes(), second.Body.Bytes()) || len(f.submitted) != 1 {
		t.Fatalf("%d submissions", len(f.submitted))
	}
}

func TestSynchronousCallWaitsTenSecondsForItsFate(t *testing.T) {
	for _, c := range []struct {
		after  time.Duration
		status int
	}{{9 * time.Second, http.StatusOK}, {11 * time.Second, http.StatusAccepted}} {
		f := newReplica(t, true)
		body := seal(t, newUser(t), callOf(canisterA, "inc", nil))
		synctest.Test(t, func(t *testing.T) {
			f.changed = make(chan struct{})
			f.onSubmit = func(call Ingress) (*types.Reject, error) {
				time.AfterFunc(c.after, func() { f.replyTo(call, "late") })
				return nil, nil
			}
			began := time.Now()
			w := post(f.handler(nil), callPath("v4", canisterA), body)
			if w.Code != c.status || time.Since(began) != min(c.after, 10*time.Second) {
				t.Errorf("status %d after %s", w.Code, time.Since(began))
			}
			if c.status == http.StatusAccepted && w.Body.Len() != 0 {
				t.Errorf("body %q", w.Body)
			}
			time.Sleep(2 * time.Second) // lets the timer of the fake run out
		})
	}
}

func TestCallsBeyondTheWaitingLimitAreAcceptedWithoutWaiting(t *testing.T) {
	f := newReplica(t, true)
	body := seal(t, newUser(t), callOf(canisterA, "inc", nil))
	w := post(f.handler(func(d *Deps) { d.Limits.Waiting = 0 }), callPath("v4", canisterA), body)
	if w.Code != http.StatusAccepted {
		t.Fatalf("status %d: %s", w.Code, w.Body)
	}
}

func TestClientThatGoesAwayEndsTheWait(t *testing.T) {
	f := newReplica(t, true)
	ctx, cancel := context.WithCancel(t.Context())
	f.onSubmit = func(Ingress) (*types.Reject, error) {
		cancel()
		return nil, nil
	}
	r := httptest.NewRequest(http.MethodPost, callPath("v4", canisterA), bytes.NewReader(seal(t, newUser(t), callOf(canisterA, "inc", nil))))
	r.Header.Set("Content-Type", "application/cbor")
	w := httptest.NewRecorder()
	f.handler(nil).ServeHTTP(w, r.WithContext(ctx))
	wantRefusal(t, w, http.StatusServiceUnavailable, "in time")
}

func TestRefusedCallSaysWhy(t *testing.T) {
	f := newReplica(t, true)
	f.onSubmit = func(Ingress) (*types.Reject, error) {
		return types.Rejectf(types.ErrCanisterRejectedMessage, "not accepted"), nil
	}
	body := seal(t, newUser(t), callOf(canisterA, "inc", nil))
	for version, status := range map[string]cbor.Value{
		"v2": nil, "v3": cbor.Text("non_replicated_rejection"), "v4": cbor.Text("non_replicated_rejection"),
	} {
		m := answer(t, post(f.handler(nil), callPath(version, canisterA), body))
		if m.Get("status") != status || m.Get("reject_code").(cbor.Nat).Uint64() != 4 ||
			m.Get("reject_message") != cbor.Text("not accepted") || m.Get("error_code") != cbor.Text("IC0406") {
			t.Errorf("%s: %+v", version, m)
		}
	}
}

func TestFailuresOfTheReplicaHaveTheirStatus(t *testing.T) {
	body := seal(t, newUser(t), callOf(canisterA, "inc", nil))
	for _, c := range []struct {
		err    error
		status int
		text   string
	}{
		{&Unavailable{"still starting"}, http.StatusServiceUnavailable, "still starting"},
		{&Busy{"the pool is full"}, http.StatusTooManyRequests, "the pool is full"},
		{fmt.Errorf("wrapped: %w", &Busy{"the pool is full"}), http.StatusTooManyRequests, "the pool is full"},
		{errors.New("open /secret/path: no such file"), http.StatusInternalServerError, "the replica failed"},
	} {
		f := newReplica(t, true)
		f.onSubmit = func(Ingress) (*types.Reject, error) { return nil, c.err }
		w := post(f.handler(nil), callPath("v4", canisterA), body)
		wantRefusal(t, w, c.status, c.text)
		if bytes.Contains(w.Body.Bytes(), []byte("secret")) {
			t.Errorf("an inner error was told: %s", w.Body)
		}
		if (w.Header().Get("Retry-After") != "") != (c.status == http.StatusTooManyRequests || c.status == http.StatusServiceUnavailable) {
			t.Errorf("status %d with Retry-After %q", c.status, w.Header().Get("Retry-After"))
		}
		f.failing = c.err
		wantRefusal(t, post(f.handler(nil), callPath("v2", canisterA), body), c.status, c.text)
	}
}

func TestForgedCallsAreRefusedAndNotSubmitted(t *testing.T) {
	f := newReplica(t, true)
	h := f.handler(nil)
	user := newUser(t)
	forge := func(edit func(*envelope.Envelope)) []byte {
		e, err := user.Sign(callOf(canisterA, "inc", nil))
		must(t, err)
		edit(e)
		return e.Append(nil)
	}
	expired := callOf(canisterA, "inc", nil)
	expired.IngressExpiry = uint64(now - 1)
	far := callOf(canisterA, "inc", nil)
	far.IngressExpiry = uint64(now.Add(6 * time.Minute))
	for name, c := range map[string]struct {
		body   []byte
		status int
		text   string
	}{
		"bad signature":     {forge(func(e *envelope.Envelope) { e.SenderSig[0] ^= 1 }), 403, "Invalid signature: sender_sig"},
		"changed content":   {forge(func(e *envelope.Envelope) { e.Request.Method = "dec" }), 403, "Invalid signature"},
		"another's key":     {forge(func(e *envelope.Envelope) { e.SenderPublicKey = newUser(t).Signer.PublicKey() }), 403, "sender_pubkey belongs to"},
		"malformed key":     {forge(func(e *envelope.Envelope) { e.SenderPublicKey = []byte("key") }), 403, "sender_pubkey belongs to"},
		"no signature":      {forge(func(e *envelope.Envelope) { e.SenderSig = nil }), 400, "sender_sig"},
		"expired":           {seal(t, user, expired), 400, "Invalid request expiry: "},
		"too far ahead":     {seal(t, user, far), 400, "Invalid request expiry: "},
		"anonymous expired": {seal(t, envelope.Anonymous{}, expired), 400, "Invalid request expiry: "},
	} {
		w := post(h, callPath("v4", canisterA), c.body)
		if w.Code != c.status || !bytes.Contains(w.Body.Bytes(), []byte(c.text)) {
			t.Errorf("%s: status %d, %s", name, w.Code, w.Body)
		}
	}
	if len(f.submitted) != 0 {
		t.Fatalf("%d calls were submitted", len(f.submitted))
	}
}
