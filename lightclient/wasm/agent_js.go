//go:build package

package main

import (
	"context"
	"errors"
	"syscall/js"
	"time"

	"portico/lightclient"
	"portico/lightclient/asset"
	"portico/lightclient/certificate"
	"portico/lightclient/envelope"
	"portico/lightclient/hashtree"
	"portico/lightclient/principal"
)

// agent is one connection of the TypeScript package: a client of a network of its
// own, under its own root key, for one identity. What goes between the two is flat,
// as every object that is taken apart or made here costs bytes of the program; the
// package gives it its form (web/ts/client/program.ts).
type agent struct {
	client   *lightclient.Client
	verifier *certificate.Verifier
	identity envelope.Identity
	timeout  time.Duration
}

// more are the functions that the TypeScript package needs beyond those of browsers'
// workers. Its program is built with the tag "package", so that workers load less.
func more() map[string]func(js.Value, []js.Value) any {
	return map[string]func(js.Value, []js.Value) any{"connect": connect}
}

// connect takes a host, the root key, a timeout in milliseconds, and of an identity
// the public key, the function that signs, the owner of delegations, and these; null
// without. It returns the sender and a function that runs operations, or an error.
func connect(_ js.Value, args []js.Value) any {
	a := &agent{timeout: time.Duration(args[2].Int()) * time.Millisecond, identity: envelope.Anonymous{}}
	if !args[3].IsNull() {
		s := signer{publicKey: bytesOf(args[3]), sign: args[4]}
		owner := s.publicKey
		if !args[5].IsNull() {
			owner = bytesOf(args[5])
		}
		chain, err := delegationsOf(args[6])
		if err != nil {
			return err.Error()
		}
		a.identity = envelope.Delegated{PublicKey: owner, Chain: chain, Signer: s}
	}
	a.client, a.verifier, _ = newClient(args[0].String(), bytesOf(args[1]), a.identity)
	return []any{a.identity.Sender().String(), js.FuncOf(a.run)}
}

// The operations of an agent, by number.
const (
	opQuery = iota
	opCall
	opReadState
	opVerifyCertificate
	opVerifyResponse
)

// run takes the number of an operation, a canister and what the operation needs. It
// returns a promise, which is rejected with what failure says.
func (a *agent) run(_ js.Value, args []js.Value) any {
	return promise(func() (any, any) {
		ctx := newContext(a.timeout)
		v, err := a.do(ctx, args)
		ctx.cancel()
		if err != nil {
			return nil, failure(err)
		}
		return v, nil
	})
}

// failure is what promises are rejected with: the check that failed, as the
// TypeScript package lists them, a message, the HTTP status or 0, and of rejects the
// code or 0, message, error code and whether they are certified.
func failure(err error) any {
	out := []any{checkOf(err), err.Error(), 0, 0, "", "", false}
	if r, ok := errors.AsType[*lightclient.Reject](err); ok {
		out[3], out[4], out[5], out[6] = int(r.Code), r.Message, r.ErrorCode, r.Certified
	} else if s, ok := errors.AsType[*lightclient.StatusError](err); ok {
		out[2] = s.Status
	}
	return out
}

func (a *agent) do(ctx context.Context, args []js.Value) (any, error) {
	canister, err := principal.Parse(args[1].String())
	if err != nil {
		return nil, &argumentError{err}
	}
	switch args[0].Int() {
	case opQuery, opCall:
		return a.send(ctx, canister, args)
	case opReadState:
		paths := pathsOf(args[2])
		cert, err := a.client.ReadState(ctx, canister, paths...)
		if err != nil {
			return nil, err
		}
		return stateOf(cert, paths)
	case opVerifyCertificate:
		cert, err := a.verifier.Canister(bytesOf(args[3]), canister, time.Now())
		if err != nil {
			return nil, err
		}
		return stateOf(cert, pathsOf(args[2]))
	default:
		return a.verifyResponse(ctx, canister, args)
	}
}

// send takes a method, its argument, and the effective canister or "".
func (a *agent) send(ctx context.Context, canister principal.ID, args []js.Value) (any, error) {
	m := lightclient.Message{Canister: canister, Method: args[2].String(), Arg: bytesOf(args[3])}
	if effective := args[4].String(); effective != "" {
		id, err := principal.Parse(effective)
		if err != nil {
			return nil, &argumentError{err}
		}
		m.Effective = id
	} else if canister.IsManagement() {
		return nil, &argumentError{errors.New("a message to the management canister needs an effective canister")}
	}
	var reply []byte
	var err error
	if args[0].Int() == opQuery {
		reply, err = a.client.Query(ctx, m)
	} else {
		reply, err = a.client.Call(ctx, m)
	}
	if err != nil {
		return nil, err
	}
	return bytesTo(reply), nil
}

// verifyResponse takes a request, the status, headers and body of its response, and
// the time for verifyAt.
func (a *agent) verifyResponse(ctx context.Context, canister principal.ID, args []js.Value) (any, error) {
	resp := &asset.Response{Status: uint16(args[3].Int()), Headers: headersFrom(args[4]), Body: bytesOf(args[5])}
	verified, err := verifyAt(ctx, a.client, a.verifier, canister, requestOf(args[2]), resp, args[6])
	if err != nil {
		return nil, err
	}
	return []any{headersOf(verified.Headers), reportOf(&verified.Report)}, nil
}

func pathsOf(v js.Value) []hashtree.Path {
	paths := make([]hashtree.Path, v.Length())
	for i := range paths {
		labels := v.Index(i)
		paths[i] = make(hashtree.Path, labels.Length())
		for j := range paths[i] {
			paths[i][j] = bytesOf(labels.Index(j))
		}
	}
	return paths
}

// stateOf is a certificate's time and, for each path, the status and the value.
func stateOf(cert *certificate.Certificate, paths []hashtree.Path) (any, error) {
	at, err := cert.Time()
	if err != nil {
		return nil, err
	}
	out := []any{at.UnixMilli()}
	for _, p := range paths {
		value, status := hashtree.Lookup(cert.Tree, p...)
		out = append(out, int(status), bytesTo(value))
	}
	return out, nil
}

// signer lets JavaScript sign, with keys that only the browser can use.
type signer struct {
	publicKey []byte
	sign      js.Value
}

// PublicKey implements envelope.Signer.
func (s signer) PublicKey() []byte { return s.publicKey }

// Sign implements envelope.Signer. It waits for a promise.
func (s signer) Sign(msg []byte) ([]byte, error) {
	sig, err := await(s.sign.Invoke(bytesTo(msg)))
	if err != nil {
		return nil, err
	}
	return bytesOf(sig), nil
}

// delegationsOf reads [public key, upper and lower half of the expiration, permissions,
// signature, targets or null] of each link of a chain.
func delegationsOf(chain js.Value) ([]envelope.SignedDelegation, error) {
	out := make([]envelope.SignedDelegation, chain.Length())
	for i := range out {
		v := chain.Index(i)
		d := &out[i].Delegation
		d.PublicKey = bytesOf(v.Index(0))
		d.Expiration = uint64(v.Index(1).Float())<<32 | uint64(v.Index(2).Float())
		d.Permissions = v.Index(3).String()
		out[i].Signature = bytesOf(v.Index(4))
		targets := v.Index(5)
		if targets.IsNull() {
			continue
		}
		d.Targets = make([]principal.ID, targets.Length())
		for j := range d.Targets {
			id, err := principal.Parse(targets.Index(j).String())
			if err != nil {
				return nil, err
			}
			d.Targets[j] = id
		}
	}
	return out, nil
}
