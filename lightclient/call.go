package lightclient

import (
	"context"
	"errors"
	"io"
	"time"

	"portico/lightclient/certificate"
	"portico/lightclient/envelope"
	"portico/lightclient/hashtree"
	"portico/lightclient/leb128"
	"portico/lightclient/principal"
	"portico/lightclient/reason"
)

// How often the state of a call that takes longer is read: after half a second,
// then at growing distances of up to five seconds.
const (
	firstPoll = 500 * time.Millisecond
	maxPoll   = 5 * time.Second
)

// Call makes an update call and waits for its certified reply, until ctx ends.
// The error is a *Reject, an *ExpiredError or a *DoneError if the network says so
// verifiably; after any other one the call may or may not have happened.
func (c *Client) Call(ctx context.Context, m Message) (reply []byte, err error) {
	r, err := c.call(ctx, c.identity, m)
	if err != nil {
		return nil, err
	}
	return r.arg, nil
}

// A callReply is a certified reply and the certificate that has it.
type callReply struct {
	arg         []byte
	certificate *certificate.Certificate
}

func (c *Client) call(ctx context.Context, as envelope.Identity, m Message) (*callReply, error) {
	target, err := m.effective()
	if err != nil {
		return nil, err
	}
	nonce := make([]byte, 16)
	if _, err := io.ReadFull(c.rand, nonce); err != nil {
		return nil, errors.New("no randomness for a nonce: " + err.Error())
	}
	expiry := c.expiry()
	e, err := as.Sign(envelope.Request{
		Kind: envelope.Call, Canister: m.Canister, Method: m.Method, Arg: m.Arg,
		IngressExpiry: uint64(expiry.UnixNano()), Nonce: nonce,
	})
	if err != nil {
		return nil, err
	}
	p := &pending{client: c, as: as, target: target, id: e.RequestID, expiry: expiry}
	status, body, err := c.post(ctx, "/api/v4/canister/"+target.String()+"/call", e)
	if err != nil {
		return nil, err
	}
	switch status {
	case statusOK:
		return p.answer(ctx, body)
	case statusAccepted:
		return p.poll(ctx)
	default:
		return nil, statusError(status, body)
	}
}

// pending is a call that the network has accepted.
type pending struct {
	client *Client
	as     envelope.Identity
	target principal.ID
	id     [32]byte
	expiry time.Time
}

func (p *pending) fail(err error) error {
	return &VerificationError{What: "answer to call 0x" + reason.Hex(p.id[:]), Err: err}
}

// answer reads the direct answer to a call.
func (p *pending) answer(ctx context.Context, body []byte) (*callReply, error) {
	r, err := decodeReply(body)
	switch {
	case err != nil:
		return nil, p.fail(err)
	case r.certificate == nil && r.hasReject:
		return nil, &r.reject
	case r.certificate == nil:
		return nil, p.fail(errors.New("it has neither a certificate nor a reject code"))
	}
	cert, err := p.client.verifier.Canister(r.certificate, p.target, p.client.now())
	if err != nil {
		return nil, p.fail(err)
	}
	out, err := p.outcome(cert)
	if out != nil || err != nil {
		return out, err
	}
	return p.poll(ctx)
}

// poll reads the state of the call until it has an outcome.
func (p *pending) poll(ctx context.Context) (*callReply, error) {
	path := hashtree.Path{[]byte("request_status"), p.id[:]}
	for wait := firstPoll; ; wait = min(wait*3/2, maxPoll) {
		if err := sleep(ctx, wait); err != nil {
			return nil, &TransportError{err}
		}
		cert, err := p.client.readState(ctx, p.as, p.target, []hashtree.Path{path})
		if err != nil {
			return nil, err
		}
		if out, err := p.outcome(cert); out != nil || err != nil {
			return out, err
		}
	}
}

// outcome looks the call up in a verified certificate; nothing and no error
// means that there is no outcome yet.
func (p *pending) outcome(cert *certificate.Certificate) (*callReply, error) {
	status, s := p.lookup(cert, "status")
	if s == hashtree.Absent {
		now, err := cert.Time()
		switch {
		case err != nil:
			return nil, p.fail(err)
		case now.After(p.expiry):
			return nil, &ExpiredError{p.id}
		default:
			return nil, nil
		}
	}
	if s != hashtree.Found {
		return nil, p.fail(errors.New("the certificate does not show its status"))
	}
	switch string(status) {
	case "received", "processing":
		return nil, nil
	case "replied":
		arg, s := p.lookup(cert, "reply")
		if s != hashtree.Found {
			return nil, p.fail(errors.New("the certificate does not show the reply"))
		}
		return &callReply{arg, cert}, nil
	case "rejected":
		return nil, p.rejected(cert)
	case "done":
		return nil, &DoneError{p.id}
	default:
		return nil, p.fail(errors.New("its status is unknown"))
	}
}

func (p *pending) lookup(cert *certificate.Certificate, field string) ([]byte, hashtree.Status) {
	return hashtree.Lookup(cert.Tree, []byte("request_status"), p.id[:], []byte(field))
}

func (p *pending) rejected(cert *certificate.Certificate) error {
	code, s := p.lookup(cert, "reject_code")
	message, t := p.lookup(cert, "reject_message")
	n, err := leb128.Canonical(code)
	if s != hashtree.Found || t != hashtree.Found || err != nil || n > 255 {
		return p.fail(errors.New("the certificate does not show why it was rejected"))
	}
	errorCode, _ := p.lookup(cert, "error_code") // optional
	return &Reject{Code: uint8(n), Message: string(message), ErrorCode: string(errorCode), Certified: true}
}
