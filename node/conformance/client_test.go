package conformance

import (
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"errors"
	"fmt"
	"slices"
	"time"

	"portico/lightclient"
	"portico/lightclient/candid/marshal"
	"portico/lightclient/certificate"
	"portico/lightclient/envelope"
	"portico/lightclient/hashtree"
	"portico/lightclient/principal"
)

// answer is what became of a call or query: an HTTP error, a reject or a reply.
type answer struct {
	status    int // of HTTP, if it is an error
	text      string
	code      uint8 // of the reject
	errorCode string
	certified bool // the reject
	reply     []byte
}

func (a answer) String() string {
	switch {
	case a.status != 0:
		return fmt.Sprintf("HTTP status %d: %.200s", a.status, a.text)
	case a.code != 0 && a.certified:
		return fmt.Sprintf("certified reject %d (%s): %.300s", a.code, a.errorCode, a.text)
	case a.code != 0:
		return fmt.Sprintf("reject %d (%s): %.300s", a.code, a.errorCode, a.text)
	default:
		return fmt.Sprintf("the reply %.80x", a.reply)
	}
}

// client is a verifying client for a user.
func (c *check) client(as envelope.Identity) *lightclient.Client {
	return lightclient.New(lightclient.Config{
		Transport: c.network, RootKey: c.rootKey, BLS: c.verifier.BLS, Rand: rand.Reader, Identity: as,
		Ed25519: func(pk, msg, sig []byte) bool { return ed25519.Verify(pk, msg, sig) },
	})
}

// answered reads a client's result; what is neither reply nor refusal ends the check.
func (c *check) answered(reply []byte, err error) answer {
	c.Helper()
	var reject *lightclient.Reject
	var status *lightclient.StatusError
	switch {
	case err == nil:
		return answer{reply: reply}
	case errors.As(err, &reject):
		return answer{code: reject.Code, errorCode: reject.ErrorCode, text: reject.Message, certified: reject.Certified}
	case errors.As(err, &status):
		return answer{status: status.Status, text: status.Text}
	default:
		c.Fatalf("no answer: %v", err)
		return answer{}
	}
}

func (c *check) context() context.Context {
	ctx, cancel := context.WithTimeout(c.T.Context(), callTimeout)
	c.Cleanup(cancel)
	return ctx
}

// call makes an update call and waits for its answer.
func (c *check) call(as envelope.Identity, m lightclient.Message) answer {
	c.Helper()
	return c.answered(c.client(as).Call(c.context(), m))
}

// query makes a query call and verifies the node's signature.
func (c *check) query(as envelope.Identity, m lightclient.Message) answer {
	c.Helper()
	return c.answered(c.client(as).Query(c.context(), m))
}

// ok is the reply of an answer that must be one.
func (c *check) ok(what string, a answer) []byte {
	c.Helper()
	if a.status != 0 || a.code != 0 {
		c.Fatalf("%s: want a reply, got %v", what, a)
	}
	return a.reply
}

// replies checks the bytes of a reply.
func (c *check) replies(what string, a answer, want []byte) {
	c.Helper()
	if a.status != 0 || a.code != 0 || !slices.Equal(a.reply, want) {
		c.Errorf("%s: want the reply %.80x, got %v", what, want, a)
	}
}

// rejects checks that the answer is a reject with one of the codes.
func (c *check) rejects(what string, a answer, codes ...uint8) {
	c.Helper()
	if !slices.Contains(codes, a.code) {
		c.Errorf("%s: want a reject with code %v, got %v", what, codes, a)
	}
}

// rejectedBefore checks that the call was rejected before it was accepted.
func (c *check) rejectedBefore(what string, a answer, codes ...uint8) {
	c.Helper()
	if a.certified || !slices.Contains(codes, a.code) {
		c.Errorf("%s: want a non-replicated reject with code %v, got %v", what, codes, a)
	}
}

// fails checks that the answer is a reject or an HTTP error.
func (c *check) fails(what string, a answer) {
	c.Helper()
	if a.status == 0 && a.code == 0 {
		c.Errorf("%s: want a failure, got %v", what, a)
	}
}

// refused checks that the answer is an HTTP error 4xx.
func (c *check) refused(what string, a answer) {
	c.Helper()
	if a.status < 400 || a.status > 499 {
		c.Errorf("%s: want HTTP status 4xx, got %v", what, a)
	}
}

// equal checks a value.
func equal[T comparable](c *check, what string, got, want T) {
	c.Helper()
	if got != want {
		c.Errorf("%s: want %v, got %v", what, want, got)
	}
}

// encode encodes Candid arguments.
func (c *check) encode(values ...any) []byte {
	c.Helper()
	b, err := marshal.Encode(values...)
	c.must(err)
	return b
}

// decode decodes Candid results.
func (c *check) decode(b []byte, into ...any) {
	c.Helper()
	c.must(marshal.Decode(b, into...))
}

// readState reads paths; status is 0 if that was allowed.
func (c *check) readState(as envelope.Identity, canister principal.ID, paths ...hashtree.Path) (*certificate.Certificate, answer) {
	c.Helper()
	cert, err := c.client(as).ReadState(c.context(), canister, paths...)
	return cert, c.answered(nil, err)
}

// lookup reads a path that the network tells, or proves absent.
func (c *check) lookup(as envelope.Identity, canister principal.ID, labels ...string) ([]byte, hashtree.Status) {
	c.Helper()
	path := labelPath(labels...)
	cert, a := c.readState(as, canister, path)
	c.ok("read_state of "+fmt.Sprint(labels), a)
	return hashtree.Lookup(cert.Tree, path...)
}

func labelPath(labels ...string) hashtree.Path {
	var path hashtree.Path
	for _, l := range labels {
		path = append(path, []byte(l))
	}
	return path
}

// await polls until done says so; it grows the distance between polls.
func (c *check) await(what string, done func() bool) {
	c.Helper()
	late := time.NewTimer(callTimeout)
	defer late.Stop()
	for wait := firstWait; !done(); wait = min(2*wait, maxWait) {
		again := time.NewTimer(wait)
		select {
		case <-late.C:
			c.Fatalf("%s: not within %v", what, callTimeout)
		case <-c.T.Context().Done():
			c.Fatalf("%s: the test ended", what)
		case <-again.C:
		}
	}
}
