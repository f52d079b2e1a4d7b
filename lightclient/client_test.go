package lightclient

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"portico/lightclient/bls"
	"portico/lightclient/envelope"
	"portico/lightclient/fakenet"
	"portico/lightclient/hashtree"
	"portico/lightclient/principal"
)

var (
	start    = time.Date(2026, 11, 1, 12, 0, 0, 0, time.UTC)
	canister = principal.Canister(7)
	hello    = Message{Canister: canister, Method: "hello", Arg: []byte("arg")}
)

// newClient makes a client of a replica that answers every message the same way.
func newClient(answer fakenet.Outcome) (*Client, *fakenet.Replica) {
	return clientOf(func(*envelope.Request) fakenet.Outcome { return answer })
}

func ed25519Verify(pk, msg, sig []byte) bool { return ed25519.Verify(pk, msg, sig) }

func clientOf(answer func(*envelope.Request) fakenet.Outcome) (*Client, *fakenet.Replica) {
	r := &fakenet.Replica{Net: fakenet.New("client"), Now: func() time.Time { return start }, Answer: answer}
	c := New(Config{
		Transport: r, RootKey: r.Net.RootKey(), BLS: bls.NewVerifier().Verify, Rand: rand.Reader,
		Ed25519: ed25519Verify,
		Now:     func() time.Time { return start },
	})
	return c, r
}

func wantError[E error](t *testing.T, what string, err error) (e E) {
	t.Helper()
	if !errors.As(err, &e) {
		t.Errorf("%s: error %v is a %T, want a %T", what, err, err, e)
	} else if err.Error() == "" {
		t.Errorf("%s: error without text", what)
	}
	return e
}

func TestCallReturnsTheCertifiedReply(t *testing.T) {
	c, r := newClient(fakenet.Outcome{Reply: []byte("world")})
	got, err := c.Call(t.Context(), hello)
	if err != nil || string(got) != "world" {
		t.Fatalf("%q, %v", got, err)
	}
	if r.Count("read_state") != 0 {
		t.Error("asked again though the answer was there")
	}
}

func TestCallReturnsTheCertifiedReject(t *testing.T) {
	c, _ := newClient(fakenet.Outcome{Code: 5, Message: "trapped", ErrorCode: "IC0502"})
	_, err := c.Call(t.Context(), hello)
	e := wantError[*Reject](t, "call", err)
	if e != nil && *e != (Reject{Code: 5, Message: "trapped", ErrorCode: "IC0502", Certified: true}) {
		t.Errorf("%+v", e)
	}
}

func TestCallPollsUntilThereIsAnOutcome(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, r := newClient(fakenet.Outcome{Reply: []byte("world")})
		r.Accept = 3
		got, err := c.Call(t.Context(), hello)
		if err != nil || string(got) != "world" || r.Count("read_state") != 4 {
			t.Fatalf("%q, %v after %d polls", got, err, r.Count("read_state"))
		}
	})
}

func TestCallGivesUpOnceItIsExpiredOrTheCallerLeaves(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, r := newClient(fakenet.Outcome{})
		r.Now, c.now = time.Now, time.Now
		r.Accept = 1 << 30
		began := time.Now()
		r.Tamper = func(path string, status int, body []byte) (int, []byte, error) {
			r.Forget()
			return status, body, nil
		}
		_, err := c.Call(t.Context(), hello)
		wantError[*ExpiredError](t, "forgotten call", err)
		if took := time.Since(began); took < ingressExpiry || took > ingressExpiry+2*maxPoll {
			t.Errorf("gave up after %v", took)
		}
		r.Tamper = nil
		ctx, cancel := context.WithTimeout(t.Context(), time.Hour)
		defer cancel()
		_, err = c.Call(ctx, hello)
		if wantError[*TransportError](t, "slow call", err); !errors.Is(err, context.DeadlineExceeded) {
			t.Error(err)
		}
	})
}

func TestCallReportsRejectsThatNobodyCertified(t *testing.T) {
	c, r := newClient(fakenet.Outcome{})
	// {"status":"non_replicated_rejection","reject_code":4,"reject_message":"no"}
	r.Tamper = func(string, int, []byte) (int, []byte, error) {
		return 200, []byte("\xa3\x66status\x78\x18non_replicated_rejection\x6breject_code\x04\x6ereject_message\x62no"), nil
	}
	_, err := c.Call(t.Context(), hello)
	if e := wantError[*Reject](t, "call", err); e != nil && (e.Certified || e.Code != 4 || e.Message != "no") {
		t.Errorf("%+v", e)
	}
}

func TestTransportIsTriedThreeTimes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, r := newClient(fakenet.Outcome{Reply: []byte("world")})
		n := 0
		r.Tamper = func(_ string, status int, body []byte) (int, []byte, error) {
			n++
			switch n % 3 {
			case 1:
				return 0, nil, errors.New("connection refused")
			case 2:
				return 429, []byte("slow down"), nil
			}
			return status, body, nil
		}
		if got, err := c.Call(t.Context(), hello); err != nil || string(got) != "world" {
			t.Errorf("%q, %v", got, err)
		}
		r.Tamper = func(string, int, []byte) (int, []byte, error) { return 503, []byte(" no state\n"), nil }
		_, err := c.Call(t.Context(), hello)
		if e := wantError[*StatusError](t, "busy", err); e != nil && (e.Status != 503 || e.Text != "no state") {
			t.Errorf("%+v", e)
		}
		r.Tamper = func(string, int, []byte) (int, []byte, error) { return 0, nil, errors.New("gone") }
		_, err = c.Query(t.Context(), hello)
		wantError[*TransportError](t, "gone", err)
		before := r.Count("call")
		r.Tamper = func(string, int, []byte) (int, []byte, error) { return 400, []byte("Invalid"), nil }
		_, err = c.Call(t.Context(), hello)
		if wantError[*StatusError](t, "bad", err); r.Count("call") != before+1 {
			t.Error("tried again what cannot succeed")
		}
	})
}

func TestQueryNeedsASignatureOfANodeOfTheSubnet(t *testing.T) {
	c, r := newClient(fakenet.Outcome{Reply: []byte("world")})
	for range 3 {
		if got, err := c.Query(t.Context(), hello); err != nil || string(got) != "world" {
			t.Fatalf("%q, %v", got, err)
		}
	}
	if r.Count("read_state") != 1 {
		t.Errorf("read the keys of the nodes %d times", r.Count("read_state"))
	}
	for what, change := range map[string]func([]byte) []byte{
		"reply":      func(b []byte) []byte { return bytes.Replace(b, []byte("world"), []byte("World"), 1) },
		"signatures": func(b []byte) []byte { return bytes.Replace(b, []byte("signatures"), []byte("signaturez"), 1) },
		"node":       func(b []byte) []byte { return bytes.Replace(b, r.Net.NodeID().Bytes(), canister.Bytes(), 1) },
		"other node": func(b []byte) []byte {
			other := bytes.Clone(r.Net.NodeID().Bytes())
			other[0] ^= 1
			return bytes.Replace(b, r.Net.NodeID().Bytes(), other, 1)
		},
		"cut off": func(b []byte) []byte { return b[:len(b)-1] },
		"more":    func(b []byte) []byte { return append(b, 0) },
		"nothing": func([]byte) []byte { return nil },
		"status":  func(b []byte) []byte { return bytes.Replace(b, []byte("replied"), []byte("Replied"), 1) },
	} {
		r.Tamper = func(path string, status int, body []byte) (int, []byte, error) {
			if strings.HasSuffix(path, "/query") {
				body = change(bytes.Clone(body))
			}
			return status, body, nil
		}
		_, err := c.Query(t.Context(), hello)
		wantError[*VerificationError](t, what, err)
	}
	r.Tamper = nil
	r.Now = func() time.Time { return start.Add(-6 * time.Minute) }
	_, err := c.Query(t.Context(), hello)
	wantError[*VerificationError](t, "old answer", err)
}

func TestQueryFindsNodesThatJoinedAfterItReadTheKeys(t *testing.T) {
	c, r := newClient(fakenet.Outcome{Reply: []byte("world")})
	if _, err := c.Query(t.Context(), hello); err != nil {
		t.Fatal(err)
	}
	r.Net.Node = fakenet.New("another").Node
	c.now = func() time.Time { return start.Add(time.Second) }
	if _, err := c.Query(t.Context(), hello); err != nil {
		t.Fatal(err)
	}
	if r.Count("read_state") != 2 {
		t.Errorf("read the keys %d times", r.Count("read_state"))
	}
}

func TestQueryRejectIsNotCertified(t *testing.T) {
	for _, code := range []string{"IC0536", ""} {
		c, _ := newClient(fakenet.Outcome{Code: 3, Message: "no such method", ErrorCode: code})
		_, err := c.Query(t.Context(), hello)
		if e := wantError[*Reject](t, "query", err); e != nil && *e != (Reject{Code: 3, Message: "no such method", ErrorCode: code}) {
			t.Errorf("%+v", e)
		}
	}
}

func TestAnswersOfAnotherNetworkAreNotBelieved(t *testing.T) {
	c, r := newClient(fakenet.Outcome{Reply: []byte("world")})
	r.Net = fakenet.New("impostor")
	_, err := c.Call(t.Context(), hello)
	wantError[*VerificationError](t, "call", err)
	_, err = c.Query(t.Context(), hello)
	wantError[*VerificationError](t, "query", err)
	_, err = c.ReadState(t.Context(), canister, hashtree.Path{[]byte("time")})
	wantError[*VerificationError](t, "read_state", err)
}

func TestReadStateIsForTheCanisterOrSubnetThatWasAsked(t *testing.T) {
	c, r := newClient(fakenet.Outcome{})
	if _, err := c.ReadSubnetState(t.Context(), r.Net.SubnetID(), hashtree.Path{[]byte("time")}); err != nil {
		t.Error(err)
	}
	_, err := c.ReadSubnetState(t.Context(), principal.SelfAuthenticating(r.Net.RootKey()), hashtree.Path{[]byte("time")})
	wantError[*VerificationError](t, "root subnet", err)
	_, err = c.ReadState(t.Context(), principal.Canister(1<<40), hashtree.Path{[]byte("time")})
	wantError[*VerificationError](t, "canister elsewhere", err)
}

func TestMetadataIsFoundOrProvablyAbsent(t *testing.T) {
	c, r := newClient(fakenet.Outcome{})
	r.State = []fakenet.Entry{fakenet.CanisterEntry(canister, []byte("service : {}"), "metadata", "candid:service")}
	got, found, err := c.Metadata(t.Context(), canister, "candid:service")
	if err != nil || !found || string(got) != "service : {}" {
		t.Errorf("%q, %v, %v", got, found, err)
	}
	if _, found, err = c.Metadata(t.Context(), canister, "other"); err != nil || found {
		t.Errorf("%v, %v", found, err)
	}
}

func TestMessagesToTheManagementCanisterNeedATarget(t *testing.T) {
	c, r := newClient(fakenet.Outcome{Reply: []byte("ok")})
	m := Message{Method: "canister_status"}
	if _, err := c.Call(t.Context(), m); err == nil {
		t.Error("call without a target")
	}
	m.Effective = canister
	var path string
	r.Tamper = func(p string, status int, body []byte) (int, []byte, error) { path = p; return status, body, nil }
	if _, err := c.Call(t.Context(), m); err != nil || path != "/api/v4/canister/"+canister.String()+"/call" {
		t.Errorf("%s: %v", path, err)
	}
}

func TestRequestsCarryTheIdentity(t *testing.T) {
	key, err := envelope.NewEd25519(make([]byte, 32))
	if err != nil {
		t.Fatal(err)
	}
	c, _ := clientOf(func(r *envelope.Request) fakenet.Outcome { return fakenet.Outcome{Reply: r.Sender.Bytes()} })
	c.identity = envelope.Keyed{Signer: key}
	got, err := c.Call(t.Context(), hello)
	if err != nil || !bytes.Equal(got, c.identity.Sender().Bytes()) {
		t.Errorf("%x, %v", got, err)
	}
}
