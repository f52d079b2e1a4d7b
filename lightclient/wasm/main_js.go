// Command wasm is the light client for browsers. Build it with
//
//	GOOS=js GOARCH=wasm go build -trimpath -ldflags '-s -w' -o built.wasm portico/lightclient/wasm
//	go run portico/lightclient/wasm/trim built.wasm client.wasm
//
// It puts an object "portico" into the global scope, calls the global function
// porticoReady and then answers calls for as long as its worker or page lives:
//
//	configure({rootKey: Uint8Array, host: string})  the key to believe, DER, and the origin to ask
//	fetchAsset({canister, method, url, headers: [[name, value]…], body: Uint8Array,
//	    early?: {body: Uint8Array, answer: Promise<{status, body: Uint8Array}>}}): Promise
//	    {status, headers, body: Uint8Array, next?: () => Promise<Uint8Array | null>, report}
//	    or a rejection with {status, title, text, next, check, reason, retry, failed}
//	verifyResponse({canister, method, url, headers, body}, {status, headers, body: Uint8Array}, at?: number): Promise
//	    {headers, report}, or a rejection as that of fetchAsset: checks a response that came some other way,
//	    now or as of another time, as verifyAt has it
//	isPrincipal(text: string): boolean
//	verifyCertificate(certificate: Uint8Array, canister: string): string   an error, or "" if it is valid now
//	verifySignature(key: Uint8Array, message: Uint8Array, signature: Uint8Array): string
//	    of BLS, the key of 96 bytes and the signature of 48; an error, or "" if it is right
//	remembered(): Uint8Array   what was verified and will be needed again: delegations, keys of nodes
//	remember(bytes: Uint8Array): string   takes over what remembered returned; an error, or ""
//	stats(): {requests, refused}
//	connect(…)   with the build tag "package": a connection of its own, for the package of web/ts/client
//
// Requests go through the browser's fetch. Whatever is returned was verified
// under the root key of the last configure.
//
// Failed names the check that failed, as the type Check of web/ts/client lists them.
//
// A worker that is ended and started again loses what it knows. It calls remembered
// after a request, keeps the bytes in CacheStorage if they differ from those it kept,
// and calls remember after configure: the next answer then takes one signature
// instead of two, and no request for the nodes' keys. Remember believes the bytes, but
// none for another root key, no check of a delegation that is more than a day old, and
// no node keys older than five minutes. Scripts of the origin can write to CacheStorage.
// They can thereby make the origin's worker, and no other, believe a false delegation
// for up to a day after they are gone; a site that runs other people's scripts and
// minds that does not call remember.
package main

import (
	"errors"
	"syscall/js"
	"time"

	"portico/lightclient"
	"portico/lightclient/asset"
	"portico/lightclient/bls"
	"portico/lightclient/certificate"
	"portico/lightclient/envelope"
	"portico/lightclient/principal"
	"portico/lightclient/problem"
	"portico/lightclient/reason"
)

func main() {
	c := &client{}
	portico := object(
		"configure", js.FuncOf(c.configure),
		"fetchAsset", js.FuncOf(c.fetchAsset),
		"verifyResponse", js.FuncOf(c.verifyResponse),
		"isPrincipal", js.FuncOf(isPrincipal),
		"verifyCertificate", js.FuncOf(c.verifyCertificate),
		"verifySignature", js.FuncOf(c.verifySignature),
		"remembered", js.FuncOf(c.remembered),
		"remember", js.FuncOf(c.remember),
		"stats", js.FuncOf(c.stats),
	)
	for name, f := range more() {
		portico.Set(name, js.FuncOf(f))
	}
	js.Global().Set("portico", portico)
	js.Global().Call("porticoReady")
	select {}
}

// client is what configure sets. JavaScript has one thread, so calls do not overlap
// except while they wait for a promise.
type client struct {
	client   *lightclient.Client
	verifier *certificate.Verifier // its BLS is the client's, with the same keys
	warm     func()                // nil once it has run
	requests int
	refused  int
}

func (c *client) configure(_ js.Value, args []js.Value) any {
	c.client, c.verifier, c.warm = newClient(args[0].Get("host").String(), bytesOf(args[0].Get("rootKey")), nil)
	return nil
}

// newClient makes a client, the verifier of certificates under the same key, and the
// function that prepares it.
func newClient(host string, rootKey []byte, as envelope.Identity) (*lightclient.Client, *certificate.Verifier, func()) {
	verifier := bls.NewVerifier()
	client := lightclient.New(lightclient.Config{
		Transport: &transport{origin: host}, RootKey: rootKey, BLS: verifier.Verify, Identity: as,
		Ed25519: verifyEd25519, Rand: random{}, SHA256: hashBody, Decode: decode,
	})
	warm := func() {
		verifier.Warm()
		for _, key := range client.ExpectedKeys() {
			verifier.Prepare(key)
		}
	}
	return client, &certificate.Verifier{RootKey: rootKey, BLS: verifier.Verify}, warm
}

func (c *client) remembered(js.Value, []js.Value) any {
	if c.client == nil {
		return bytesTo(nil)
	}
	return bytesTo(c.client.Remembered())
}

func (c *client) remember(_ js.Value, args []js.Value) any {
	if c.client == nil {
		return errUnconfigured.Error()
	}
	if err := c.client.Remember(bytesOf(args[0])); err != nil {
		return err.Error()
	}
	return ""
}

func (c *client) stats(js.Value, []js.Value) any {
	return object("requests", c.requests, "refused", c.refused)
}

func isPrincipal(_ js.Value, args []js.Value) any {
	_, err := principal.Parse(args[0].String())
	return err == nil
}

func (c *client) verifyCertificate(_ js.Value, args []js.Value) any {
	if c.verifier == nil {
		return errUnconfigured.Error()
	}
	id, err := principal.Parse(args[1].String())
	if err == nil {
		_, err = c.verifier.Canister(bytesOf(args[0]), id, time.Now())
	}
	if err != nil {
		return err.Error()
	}
	return ""
}

func (c *client) verifySignature(_ js.Value, args []js.Value) any {
	if c.verifier == nil {
		return errUnconfigured.Error()
	}
	if err := c.verifier.BLS(bytesOf(args[0]), bytesOf(args[1]), bytesOf(args[2])); err != nil {
		return err.Error()
	}
	return ""
}

// errUnconfigured means that configure was not called.
var errUnconfigured = errors.New("the light client has no root key yet")

// requestTimeout bounds a whole request, an update call and streaming included.
const requestTimeout = 2 * time.Minute

func (c *client) fetchAsset(_ js.Value, args []js.Value) any {
	return promise(func() (any, any) {
		c.requests++
		out, err := c.fetch(args[0])
		if err != nil {
			c.refused++
			return nil, rejection(err)
		}
		return out, nil
	})
}

func rejection(err error) any {
	p := problem.Of(err)
	return object("status", p.Status, "title", p.Title, "text", p.Text, "next", p.Next, "check", p.Check, "reason", p.Reason, "retry", p.Retry, "failed", checkOf(err))
}

func (c *client) verifyResponse(_ js.Value, args []js.Value) any {
	return promise(func() (any, any) {
		at := js.Null()
		if len(args) > 2 {
			at = args[2]
		}
		out, err := c.verify(args[0], args[1], at)
		if err != nil {
			return nil, rejection(err)
		}
		return out, nil
	})
}

func (c *client) verify(request, response, at js.Value) (any, error) {
	if c.client == nil {
		return nil, errUnconfigured
	}
	id, err := principal.Parse(request.Get("canister").String())
	if err != nil {
		return nil, err
	}
	resp := &asset.Response{
		Status:  uint16(response.Get("status").Int()),
		Headers: headersFrom(response.Get("headers")),
		Body:    bytesOf(response.Get("body")),
	}
	ctx := newContext(requestTimeout)
	defer ctx.cancel()
	verified, err := verifyAt(ctx, c.client, c.verifier, id, requestOf(request), resp, at)
	if err != nil {
		return nil, err
	}
	return object("headers", headersOf(verified.Headers), "report", reportOf(&verified.Report)), nil
}

// warmAfter is how long the first answer may take without the program preparing itself
// meanwhile: one that came while the program started is sooner verified as it is.
const warmAfter = 2 * time.Millisecond

func (c *client) fetch(request js.Value) (any, error) {
	if c.client == nil {
		return nil, errUnconfigured
	}
	id, err := principal.Parse(request.Get("canister").String())
	if err != nil {
		return nil, err
	}
	ctx := newContext(requestTimeout)
	ctx.early = earlyOf(request)
	if warm := c.warm; warm != nil {
		c.warm = nil
		time.AfterFunc(warmAfter, func() {
			if ctx.waited == 0 {
				warm()
			}
		})
	}
	started := time.Now()
	resp, err := c.client.HTTPRequest(ctx, id, requestOf(request), lightclient.HTTPOptions{Reread: true})
	if err != nil {
		ctx.cancel()
		return nil, err
	}
	report := reportOf(&resp.Report)
	report.Set("totalMs", milliseconds(time.Since(started)))
	report.Set("networkMs", milliseconds(ctx.waited))
	out := object("status", int(resp.Status), "headers", headersOf(resp.Headers), "body", bytesTo(resp.Body), "report", report)
	if resp.Next == nil {
		ctx.cancel()
		return out, nil
	}
	out.Set("next", next(ctx, resp.Next))
	return out, nil
}

func requestOf(v js.Value) *asset.Request {
	return &asset.Request{
		Method: v.Get("method").String(), URL: v.Get("url").String(),
		Headers: headersFrom(v.Get("headers")), Body: bytesOf(v.Get("body")),
	}
}

func headersFrom(v js.Value) []asset.Header {
	out := make([]asset.Header, v.Length())
	for i := range out {
		h := v.Index(i)
		out[i] = asset.Header{Name: h.Index(0).String(), Value: h.Index(1).String()}
	}
	return out
}

func headersOf(headers []asset.Header) []any {
	out := make([]any, len(headers))
	for i, h := range headers {
		out[i] = []any{h.Name, h.Value}
	}
	return out
}

// reportOf is the report in the form that the verification page shows.
func reportOf(r *asset.Report) js.Value {
	out := object("canister", r.Canister.String(), "rootKey", reason.Hex(r.RootKey), "version", r.Version,
		"certified", r.Scope != asset.ScopeNothing, "scope", r.Scope.String(), "exprPath", list(r.ExprPath), "expression", r.Expression,
		"certifiedHeaders", list(r.CertifiedHeaders), "droppedHeaders", list(r.DroppedHeaders))
	if r.Scope != asset.ScopeNothing {
		out.Set("subnet", r.Subnet.String())
		out.Set("time", r.Time.UnixMilli())
	}
	return out
}

// object makes a JavaScript object of names and values in turn. A map literal would
// cost several times the bytes of the program.
func object(pairs ...any) js.Value {
	o := js.Global().Get("Object").New()
	for i := 0; i < len(pairs); i += 2 {
		o.Set(pairs[i].(string), pairs[i+1])
	}
	return o
}

func list(items []string) []any {
	out := make([]any, len(items))
	for i, s := range items {
		out[i] = s
	}
	return out
}

func milliseconds(d time.Duration) float64 { return float64(d.Microseconds()) / 1000 }
