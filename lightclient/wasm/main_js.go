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
//	isPrincipal(text: string): boolean
//	verifyCertificate(certificate: Uint8Array, canister: string): string   an error, or "" if it is valid now
//	stats(): {requests, refused}
//	connect({host, rootKey, identity?, timeoutMs?})   a connection of its own, for the package of web/ts/client
//
// Requests go through the browser's fetch. Whatever is returned was verified
// under the root key of the last configure.
package main

import (
	"context"
	"encoding/hex"
	"errors"
	"syscall/js"
	"time"

	"portico/lightclient"
	"portico/lightclient/asset"
	"portico/lightclient/bls"
	"portico/lightclient/certificate"
	"portico/lightclient/principal"
	"portico/lightclient/problem"
)

func main() {
	c := &client{}
	js.Global().Set("portico", map[string]any{
		"configure":         js.FuncOf(c.configure),
		"fetchAsset":        js.FuncOf(c.fetchAsset),
		"isPrincipal":       js.FuncOf(isPrincipal),
		"verifyCertificate": js.FuncOf(c.verifyCertificate),
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
	requests int
	refused  int
}

func (c *client) configure(_ js.Value, args []js.Value) any {
	rootKey := bytesOf(args[0].Get("rootKey"))
	verify := bls.NewVerifier().Verify
	t := &transport{origin: args[0].Get("host").String()}
	c.client = lightclient.New(lightclient.Config{
		Transport: t, RootKey: rootKey, BLS: verify,
		Ed25519: verifyEd25519, Rand: random{}, SHA256: digest, Decode: decode,
	})
	c.verifier = &certificate.Verifier{RootKey: rootKey, BLS: verify}
	return nil
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
			p := problem.Of(err)
			return nil, map[string]any{
				"status": p.Status, "title": p.Title, "text": p.Text, "next": p.Next, "check": p.Check,
				"reason": p.Reason, "retry": p.Retry, "failed": checkOf(err),
			}
		}
		return out, nil
	})
}

func (c *client) fetch(request js.Value) (map[string]any, error) {
	if c.client == nil {
		return nil, errUnconfigured
	}
	id, err := principal.Parse(request.Get("canister").String())
	if err != nil {
		return nil, err
	}
	var waited time.Duration
	ctx, cancel := context.WithTimeout(context.WithValue(context.Background(), waiting{}, &waited), requestTimeout)
	started := time.Now()
	resp, err := c.client.HTTPRequest(withEarly(ctx, request), id, requestOf(request), lightclient.HTTPOptions{})
	if err != nil {
		cancel()
		return nil, err
	}
	report := reportOf(&resp.Report)
	report["totalMs"] = milliseconds(time.Since(started))
	report["networkMs"] = milliseconds(waited)
	out := map[string]any{
		"status":  int(resp.Status),
		"headers": headersOf(resp.Headers),
		"body":    bytesTo(resp.Body),
		"report":  report,
	}
	if resp.Next == nil {
		cancel()
		return out, nil
	}
	out["next"] = next(ctx, cancel, resp.Next)
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
		"rootKey":          hex.EncodeToString(r.RootKey),
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
