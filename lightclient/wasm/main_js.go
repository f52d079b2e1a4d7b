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
//	    or a rejection with {status, title, text, next, check, reason, retry, failed}; failed as in checkOf
//	verifyResponse({canister, method, url, headers, body}, {status, headers, body: Uint8Array}): Promise
//	    {headers, report}, or a rejection as that of fetchAsset: checks a response that came some other way
//	isPrincipal(text: string): boolean
//	verifyCertificate(certificate: Uint8Array, canister: string): string   an error, or "" if it is valid now
//	remembered(): Uint8Array   what was verified and will be needed again: delegations, keys of nodes
//	remember(bytes: Uint8Array): string   takes over what remembered returned; an error, or ""
//	stats(): {requests, refused}
//	connect({host, rootKey, identity?, timeoutMs?})   a connection of its own, for the package of web/ts/client
//
// Requests go through the browser's fetch. Whatever is returned was verified
// under the root key of the last configure.
//
// Check names the check of a response's certification that failed: missing,
// malformed, version, downgrade, signature, time, range, tree, path, expression, request,
// status, headers, body, or response where it cannot be told which part was changed.
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
	"portico/lightclient/principal"
	"portico/lightclient/problem"
	"portico/lightclient/reason"
)

func main() {
	c := &client{}
	js.Global().Set("portico", map[string]any{
		"configure":         js.FuncOf(c.configure),
		"fetchAsset":        js.FuncOf(c.fetchAsset),
		"verifyResponse":    js.FuncOf(c.verifyResponse),
		"isPrincipal":       js.FuncOf(isPrincipal),
		"verifyCertificate": js.FuncOf(c.verifyCertificate),
		"remembered":        js.FuncOf(c.remembered),
		"remember":          js.FuncOf(c.remember),
		"stats":             js.FuncOf(c.stats),
		"connect":           js.FuncOf(connect),
	})
	js.Global().Call("porticoReady")
	select {}
}

// client is what configure sets. JavaScript has one thread, so calls do not overlap
// except while they wait for a promise.
type client struct {
	client   *lightclient.Client
	verifier *certificate.Verifier
	warm     func() // nil once it has run
	requests int
	refused  int
}

func (c *client) configure(_ js.Value, args []js.Value) any {
	rootKey := bytesOf(args[0].Get("rootKey"))
	verifier := bls.NewVerifier()
	verify := verifier.Verify
	t := &transport{origin: args[0].Get("host").String()}
	c.client = lightclient.New(lightclient.Config{
		Transport: t, RootKey: rootKey, BLS: verify,
		Ed25519: verifyEd25519, Rand: random{}, SHA256: hashBody, Decode: decode,
	})
	c.verifier = &certificate.Verifier{RootKey: rootKey, BLS: verify}
	c.warm = verifier.Warm
	return nil
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
	return map[string]any{"requests": c.requests, "refused": c.refused}
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

func rejection(err error) map[string]any {
	p := problem.Of(err)
	return map[string]any{
		"status": p.Status, "title": p.Title, "text": p.Text, "next": p.Next, "check": p.Check,
		"reason": p.Reason, "retry": p.Retry, "failed": checkOf(err),
	}
}

func (c *client) verifyResponse(_ js.Value, args []js.Value) any {
	return promise(func() (any, any) {
		out, err := c.verify(args[0], args[1])
		if err != nil {
			return nil, rejection(err)
		}
		return out, nil
	})
}

func (c *client) verify(request, response js.Value) (map[string]any, error) {
	if c.client == nil {
		return nil, errUnconfigured
	}
	id, err := principal.Parse(request.Get("canister").String())
	if err != nil {
		return nil, err
	}
	resp := &asset.Response{
		Status:  uint16(response.Get("status").Int()),
		Headers: headerList(response.Get("headers")),
		Body:    bytesOf(response.Get("body")),
	}
	ctx := newContext(requestTimeout)
	defer ctx.cancel()
	verified, err := c.client.VerifyResponse(ctx, id, requestOf(request), resp)
	if err != nil {
		return nil, err
	}
	return map[string]any{"headers": headersOf(verified.Headers), "report": reportOf(&verified.Report)}, nil
}

func (c *client) fetch(request js.Value) (map[string]any, error) {
	if c.client == nil {
		return nil, errUnconfigured
	}
	id, err := principal.Parse(request.Get("canister").String())
	if err != nil {
		return nil, err
	}
	ctx := newContext(requestTimeout)
	if c.warm != nil {
		// It runs when the first request is on its way to the network.
		go c.warm()
		c.warm = nil
	}
	ctx.early = earlyOf(request)
	started := time.Now()
	resp, err := c.client.HTTPRequest(ctx, id, requestOf(request), lightclient.HTTPOptions{})
	if err != nil {
		ctx.cancel()
		return nil, err
	}
	report := reportOf(&resp.Report)
	report["totalMs"] = milliseconds(time.Since(started))
	report["networkMs"] = milliseconds(ctx.waited)
	out := map[string]any{
		"status":  int(resp.Status),
		"headers": headersOf(resp.Headers),
		"body":    bytesTo(resp.Body),
		"report":  report,
	}
	if resp.Next == nil {
		ctx.cancel()
		return out, nil
	}
	out["next"] = next(ctx, resp.Next)
	return out, nil
}

func requestOf(v js.Value) *asset.Request {
	return &asset.Request{
		Method: v.Get("method").String(), URL: v.Get("url").String(),
		Headers: headerList(v.Get("headers")), Body: bytesOf(v.Get("body")),
	}
}

func headerList(v js.Value) []asset.Header {
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
func reportOf(r *asset.Report) map[string]any {
	out := map[string]any{
		"canister":         r.Canister.String(),
		"rootKey":          reason.Hex(r.RootKey),
		"version":          r.Version,
		"certified":        r.Scope != asset.ScopeNothing,
		"scope":            r.Scope.String(),
		"exprPath":         list(r.ExprPath),
		"expression":       r.Expression,
		"certifiedHeaders": list(r.CertifiedHeaders),
		"droppedHeaders":   list(r.DroppedHeaders),
	}
	if r.Scope != asset.ScopeNothing {
		out["subnet"] = r.Subnet.String()
		out["time"] = r.Time.UnixMilli()
	}
	return out
}

func list(items []string) []any {
	out := make([]any, len(items))
	for i, s := range items {
		out[i] = s
	}
	return out
}

func milliseconds(d time.Duration) float64 { return float64(d.Microseconds()) / 1000 }
