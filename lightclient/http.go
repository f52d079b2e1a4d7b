package lightclient

import (
	"context"
	"errors"
	"strconv"

	"portico/lightclient/asset"
	"portico/lightclient/envelope"
	"portico/lightclient/hashtree"
	"portico/lightclient/principal"
)

// HTTPOptions say how HTTPRequest asks. The zero value is right for pages.
type HTTPOptions struct {
	// Raw leaves the canister's certification unchecked. A node's signature is
	// still needed.
	Raw bool
	// MaxBody bounds in bytes what is held of a body that comes by callbacks; 0 means 64 MiB.
	MaxBody int
	// Reread lets such a body be longer, up to 2 GiB: it is read to its end and checked,
	// then read again, and each part that differs from the one that was checked ends it.
	// Without it, and for calls, a longer body is a *TooLargeError.
	Reread bool
	// Hold, if not nil, is asked before so many further bytes of a body are kept
	// that comes by callbacks; its error ends the request.
	Hold func(bytes int) error
}

const (
	defaultMaxBody = 64 << 20
	// maxChunks bounds how many answers make one body.
	maxChunks = 1000
)

// HTTPResponse is a response whose certification was checked.
type HTTPResponse struct {
	Status  uint16
	Headers []asset.Header // those that may be passed on
	Body    []byte
	// Next is not nil if Body is only the beginning: it returns the next part,
	// checked like the first, and io.EOF after the last one. The Content-Length
	// header gives the length of the whole.
	Next func(ctx context.Context) ([]byte, error)
	// Report tells what was checked. If its scope is ScopeNothing, no more is
	// known than that a node of the canister's subnet signed the response.
	Report asset.Report
}

// HTTPRequest lets a canister answer an HTTP request, as the gateway protocol
// has it: by a query of http_request, by a call of http_request_update if the
// canister wants that, with the rest of the body from its streaming callback or
// by ranges. It is anonymous, whoever the client is.
//
// Nothing unchecked leaves: a body that comes by callbacks is checked as a whole
// before its first byte does, and the callbacks of an update are calls themselves. Errors are those of Call
// and Query, *asset.Error for a response whose certification fails, *ResponseError
// for one that the protocol does not allow, and *TooLargeError.
func (c *Client) HTTPRequest(ctx context.Context, canister principal.ID, req *asset.Request, opt HTTPOptions) (*HTTPResponse, error) {
	if opt.MaxBody == 0 {
		opt.MaxBody = defaultMaxBody
	}
	x := &exchange{client: c, canister: canister, opt: opt}
	out, err := x.do(ctx, req)
	if err != nil {
		return nil, err
	}
	if out.Status == statusPartial && !asksForRange(req) {
		return x.whole(req, out)
	}
	return out, nil
}

// ResponseError means that a canister's answer breaks the gateway protocol.
type ResponseError struct {
	Canister principal.ID
	Err      error
}

// Error names the canister.
func (e *ResponseError) Error() string {
	return "canister " + e.Canister.String() + " gave an invalid HTTP response: " + e.Err.Error()
}

// Unwrap returns what is wrong with the answer.
func (e *ResponseError) Unwrap() error { return e.Err }

// A sender calls a method of the canister that is asked.
type sender func(ctx context.Context, method string, arg []byte) ([]byte, error)

// An exchange is one request to a canister with all the answers it takes.
type exchange struct {
	client   *Client
	canister principal.ID
	opt      HTTPOptions
	answers  []*queryReply // whose node signatures nobody has checked
}

func (x *exchange) invalid(err error) error { return &ResponseError{Canister: x.canister, Err: err} }

// do makes one request and checks the response.
func (x *exchange) do(ctx context.Context, req *asset.Request) (*HTTPResponse, error) {
	x.answers = nil
	arg, err := encodeRequest(req, true)
	if err != nil {
		return nil, err
	}
	b, err := x.query(ctx, "http_request", arg)
	if err != nil {
		return nil, err
	}
	r, err := decodeResponse(b)
	if err != nil {
		return nil, x.invalid(err)
	}
	if r.upgrade {
		return x.update(ctx, req)
	}
	if err := r.check(); err != nil {
		return nil, x.invalid(err)
	}
	long, err := x.stream(ctx, r, x.query, x.opt.Reread)
	if err != nil {
		return nil, err
	}
	out, err := x.verify(ctx, req, r)
	if err == nil && long != nil {
		long.open(out)
	}
	return out, err
}

// query sends a query, whose signature is still to be checked. Rejects are
// checked at once, as nothing else follows.
func (x *exchange) query(ctx context.Context, method string, arg []byte) ([]byte, error) {
	q, err := x.client.query(ctx, envelope.Anonymous{}, Message{Canister: x.canister, Method: method, Arg: arg})
	if err != nil {
		return nil, err
	}
	if q.reply.hasReject {
		if err := x.client.checkSignatures(ctx, q); err != nil {
			return nil, err
		}
		return nil, &q.reply.reject
	}
	x.answers = append(x.answers, q)
	return q.reply.arg, nil
}

// verify checks the certification of a complete response, or the signatures of
// its parts if it has none that counts.
func (x *exchange) verify(ctx context.Context, req *asset.Request, r *response) (*HTTPResponse, error) {
	c := x.client
	out := &HTTPResponse{
		Status: r.Status, Headers: r.Headers, Body: r.Body,
		Report: asset.Report{Canister: x.canister, RootKey: c.verifier.RootKey, Scope: asset.ScopeNothing},
	}
	if !x.opt.Raw {
		verified, err := c.verifyResponse(ctx, x.canister, req, &r.Response, r.BodyHash == nil)
		if err != nil {
			return nil, err
		}
		out.Headers, out.Report = verified.Headers, verified.Report
	}
	if out.Report.Scope == asset.ScopeNothing {
		if err := x.signed(ctx); err != nil {
			return nil, err
		}
	}
	return out, nil
}

// VerifyResponse checks a response that came some other way, whole and as the canister
// gave it. The network is asked only whether a canister that answered by version 1 of
// certification offers no better one. Errors are *asset.Error.
func (c *Client) VerifyResponse(ctx context.Context, canister principal.ID, req *asset.Request, resp *asset.Response) (*asset.Verified, error) {
	return c.verifyResponse(ctx, canister, req, resp, true)
}

// verifyResponse is VerifyResponse also for a body of which only the hash is there; there is
// nothing to decode then, and canisters that certify decoded bodies are refused.
func (c *Client) verifyResponse(ctx context.Context, canister principal.ID, req *asset.Request, resp *asset.Response, whole bool) (*asset.Verified, error) {
	r := *resp
	if r.BodyHash == nil && c.sha256 != nil {
		h := c.sha256(r.Body)
		r.BodyHash = &h
	}
	v := &asset.Verifier{
		Certificates:  c.verifier,
		AllowVersion1: func(canister principal.ID) error { return c.offersOnlyVersion1(ctx, canister) },
	}
	if whole {
		v.Decode = c.decode
	}
	return v.Verify(canister, req, &r, c.now())
}

// update makes the request as a call, whose reply is certified as a whole.
func (x *exchange) update(ctx context.Context, req *asset.Request) (*HTTPResponse, error) {
	arg, err := encodeRequest(req, false)
	if err != nil {
		return nil, err
	}
	var report *asset.Report
	call := func(ctx context.Context, method string, arg []byte) ([]byte, error) {
		reply, err := x.client.call(ctx, envelope.Anonymous{}, Message{Canister: x.canister, Method: method, Arg: arg})
		if err != nil {
			return nil, err
		}
		if report == nil {
			report = &asset.Report{
				Canister: x.canister, RootKey: x.client.verifier.RootKey, Scope: asset.ScopeCall,
				Subnet: asset.Signer(reply.certificate, x.client.verifier.RootKey),
			}
			if report.Time, err = reply.certificate.Time(); err != nil {
				return nil, err
			}
		}
		return reply.arg, nil
	}
	b, err := call(ctx, "http_request_update", arg)
	if err != nil {
		return nil, err
	}
	r, err := decodeResponse(b)
	if err == nil {
		err = r.check()
	}
	if err != nil {
		return nil, x.invalid(err)
	}
	if _, err := x.stream(ctx, r, call, false); err != nil {
		return nil, err
	}
	return &HTTPResponse{Status: r.Status, Headers: r.Headers, Body: r.Body, Report: *report}, nil
}

// stream appends what the streaming callback has to the body. If that becomes too
// long and may be read again, the body stays the first part with the hash of the whole, and
// long has the rest.
func (x *exchange) stream(ctx context.Context, r *response, send sender, reread bool) (long *longBody, err error) {
	next := r.next
	if next != nil && next.service != x.canister {
		return nil, x.invalid(errors.New("its streaming callback is a method of canister " + next.service.String()))
	}
	ends := []int{len(r.Body)}                // of the parts
	r.Body = r.Body[:len(r.Body):len(r.Body)] // the first append copies, as the body aliases the first answer
	for n := 1; next != nil; n++ {
		if n == maxChunks {
			return nil, x.invalid(errors.New("its body has more than " + strconv.Itoa(maxChunks) + " parts"))
		}
		b, err := send(ctx, next.method, next.token)
		if err != nil {
			return nil, err
		}
		body, token, err := decodeChunk(b)
		if err != nil {
			return nil, x.invalid(err)
		}
		switch {
		case long != nil:
		case len(body) <= x.opt.MaxBody-len(r.Body):
		case reread:
			if long, err = x.reads(ctx, r, ends); err != nil {
				return nil, err
			}
		default:
			return nil, &TooLargeError{x.opt.MaxBody}
		}
		if long != nil {
			err = long.add(ctx, body)
		} else if x.opt.Hold != nil {
			err = x.opt.Hold(len(body))
		}
		if err != nil {
			return nil, err
		}
		if long == nil {
			r.Body = append(r.Body, body...)
			ends = append(ends, len(r.Body))
		}
		if token == nil {
			break
		}
		next = &callback{service: next.service, method: next.method, token: token}
	}
	if long != nil {
		h := long.whole.Sum()
		r.BodyHash = &h
	}
	return long, nil
}

// offersOnlyVersion1 proves that a canister has not promised certification of
// version 2. A proof counts for as long as a certificate.
func (c *Client) offersOnlyVersion1(ctx context.Context, canister principal.ID) error {
	c.mu.Lock()
	proven, ok := c.version1[canister]
	c.mu.Unlock()
	if ok && c.now().Sub(proven) < keysLifetime {
		return nil
	}
	asked := c.now()
	cert, err := c.readState(ctx, envelope.Anonymous{}, canister, []hashtree.Path{asset.VersionsPath(canister)})
	if err != nil {
		return err
	}
	if err := asset.OffersOnlyVersion1(cert, canister); err != nil {
		return err
	}
	c.mu.Lock()
	makeRoom(c.version1)
	c.version1[canister] = asked
	c.mu.Unlock()
	return nil
}
