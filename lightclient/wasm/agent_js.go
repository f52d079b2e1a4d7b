package main

import (
	"context"
	"errors"
	"math"
	"strconv"
	"strings"
	"syscall/js"
	"time"

	"portico/lightclient"
	"portico/lightclient/asset"
	"portico/lightclient/bls"
	"portico/lightclient/certificate"
	"portico/lightclient/envelope"
	"portico/lightclient/hashtree"
	"portico/lightclient/principal"
)

// agent is one connection of the TypeScript package: a client of a network of its
// own, under its own root key, for one identity.
type agent struct {
	client   *lightclient.Client
	verifier *certificate.Verifier
	identity envelope.Identity
	timeout  time.Duration
}

// connect makes the JavaScript object of an agent.
func connect(_ js.Value, args []js.Value) any {
	o := args[0]
	a := &agent{timeout: requestTimeout, identity: envelope.Anonymous{}}
	if ms := o.Get("timeoutMs"); ms.Type() == js.TypeNumber {
		a.timeout = time.Duration(ms.Float() * float64(time.Millisecond))
	}
	if id := o.Get("identity"); id.Truthy() {
		identity, err := identityOf(id)
		if err != nil {
			return map[string]any{"error": err.Error()}
		}
		a.identity = identity
	}
	rootKey := bytesOf(o.Get("rootKey"))
	verify := bls.NewVerifier().Verify
	a.verifier = &certificate.Verifier{RootKey: rootKey, BLS: verify}
	a.client = lightclient.New(lightclient.Config{
		Transport: &transport{origin: o.Get("host").String()}, RootKey: rootKey, BLS: verify,
		Ed25519: verifyEd25519, Rand: random{}, SHA256: digest, Decode: decode, Identity: a.identity,
	})
	return map[string]any{
		"sender":            a.identity.Sender().String(),
		"query":             a.method(a.query),
		"call":              a.method(a.call),
		"readState":         a.method(a.readState),
		"verifyCertificate": a.method(a.verifyCertificate),
		"verifyResponse":    a.method(a.verifyResponse),
	}
}

// method is a function of the agent's object. It returns a promise, which is
// rejected with what failure says.
func (a *agent) method(work func(ctx context.Context, args []js.Value) (any, error)) js.Func {
	return js.FuncOf(func(_ js.Value, args []js.Value) any {
		return promise(func() (any, any) {
			ctx, cancel := context.WithTimeout(context.Background(), a.timeout)
			defer cancel()
			v, err := work(ctx, args)
			if err != nil {
				return nil, failure(err)
			}
			return v, nil
		})
	})
}

func (a *agent) query(ctx context.Context, args []js.Value) (any, error) {
	return a.send(ctx, args[0], a.client.Query)
}

func (a *agent) call(ctx context.Context, args []js.Value) (any, error) {
	return a.send(ctx, args[0], a.client.Call)
}

func (a *agent) send(ctx context.Context, m js.Value, send func(context.Context, lightclient.Message) ([]byte, error)) (any, error) {
	id, err := principal.Parse(m.Get("canister").String())
	if err != nil {
		return nil, &argumentError{err}
	}
	message := lightclient.Message{Canister: id, Method: m.Get("method").String(), Arg: bytesOf(m.Get("arg"))}
	if e := m.Get("effective"); e.Truthy() {
		if message.Effective, err = principal.Parse(e.String()); err != nil {
			return nil, &argumentError{err}
		}
	} else if id.IsManagement() {
		return nil, &argumentError{errors.New("a message to the management canister needs an effective canister")}
	}
	reply, err := send(ctx, message)
	if err != nil {
		return nil, err
	}
	return bytesTo(reply), nil
}

// readState takes a canister and paths of labels.
func (a *agent) readState(ctx context.Context, args []js.Value) (any, error) {
	id, err := principal.Parse(args[0].String())
	if err != nil {
		return nil, &argumentError{err}
	}
	paths := pathsOf(args[1])
	cert, err := a.client.ReadState(ctx, id, paths...)
	if err != nil {
		return nil, err
	}
	return stateOf(cert, paths)
}

// verifyCertificate takes a certificate, the canister whose subnet must have made
// it, and the paths to look up.
func (a *agent) verifyCertificate(_ context.Context, args []js.Value) (any, error) {
	id, err := principal.Parse(args[1].String())
	if err != nil {
		return nil, &argumentError{err}
	}
	cert, err := a.verifier.Canister(bytesOf(args[0]), id, time.Now())
	if err != nil {
		return nil, err
	}
	return stateOf(cert, pathsOf(args[2]))
}

// verifyResponse takes a canister, a request, the response, and when it must have been
// recent, in milliseconds since 1970: without it now, with 0 at the time that the
// certificate itself names, whose age is then the caller's affair.
func (a *agent) verifyResponse(ctx context.Context, args []js.Value) (any, error) {
	id, err := principal.Parse(args[0].String())
	if err != nil {
		return nil, &argumentError{err}
	}
	response := args[2]
	resp := &asset.Response{Body: bytesOf(response.Get("body")), Headers: headerList(response.Get("headers"))}
	status := response.Get("status").Int()
	if status < 0 || status > math.MaxUint16 {
		return nil, &argumentError{errors.New("a response has no status " + strconv.Itoa(status))}
	}
	resp.Status = uint16(status)
	h := digest(resp.Body)
	resp.BodyHash = &h
	now := time.Now()
	if at := args[3]; at.Type() == js.TypeNumber {
		if now = time.UnixMilli(int64(at.Float())); at.Float() == 0 {
			if now, err = timeOfResponse(resp); err != nil {
				return nil, err
			}
		}
	}
	v := &asset.Verifier{
		Certificates:  a.verifier,
		AllowVersion1: func(canister principal.ID) error { return a.offersOnlyVersion1(ctx, canister) },
		Decode:        decode,
	}
	verified, err := v.Verify(id, requestOf(args[1]), resp, now)
	if err != nil {
		return nil, err
	}
	return map[string]any{"headers": headersOf(verified.Headers), "report": reportOf(&verified.Report)}, nil
}

func (a *agent) offersOnlyVersion1(ctx context.Context, canister principal.ID) error {
	cert, err := a.client.ReadState(ctx, canister, asset.VersionsPath(canister))
	if err != nil {
		return err
	}
	return asset.OffersOnlyVersion1(cert, canister)
}

// timeOfResponse is the time of the certificate in a response, unverified.
func timeOfResponse(resp *asset.Response) (time.Time, error) {
	for _, h := range resp.Headers {
		if !strings.EqualFold(h.Name, asset.CertificateHeader) {
			continue
		}
		c, err := asset.ParseCertification(h.Value)
		if err != nil {
			return time.Time{}, err
		}
		cert, err := certificate.Parse(c.Certificate)
		if err != nil {
			return time.Time{}, err
		}
		return cert.Time()
	}
	return time.Time{}, &asset.Error{Reason: asset.ReasonMissing}
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

// stateOf looks paths up in a verified certificate.
func stateOf(cert *certificate.Certificate, paths []hashtree.Path) (any, error) {
	at, err := cert.Time()
	if err != nil {
		return nil, err
	}
	values := make([]any, len(paths))
	for i, p := range paths {
		value, status := hashtree.Lookup(cert.Tree, p...)
		out := map[string]any{"status": [...]string{
			hashtree.Unknown: "unknown", hashtree.Absent: "absent", hashtree.Found: "found", hashtree.NotLeaf: "inner",
		}[status]}
		if status == hashtree.Found {
			out["value"] = bytesTo(value)
		}
		values[i] = out
	}
	return map[string]any{"time": at.UnixMilli(), "values": values}, nil
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

// identityOf reads {publicKey, sign, delegations?: {owner, chain}}.
func identityOf(v js.Value) (envelope.Identity, error) {
	s := signer{publicKey: bytesOf(v.Get("publicKey")), sign: v.Get("sign")}
	d := v.Get("delegations")
	if !d.Truthy() {
		return envelope.Keyed{Signer: s}, nil
	}
	out := envelope.Delegated{PublicKey: bytesOf(d.Get("owner")), Signer: s}
	chain := d.Get("chain")
	for i := range chain.Length() {
		link, err := delegationOf(chain.Index(i))
		if err != nil {
			return nil, err
		}
		out.Chain = append(out.Chain, link)
	}
	return out, nil
}

func delegationOf(v js.Value) (envelope.SignedDelegation, error) {
	out := envelope.SignedDelegation{Signature: bytesOf(v.Get("signature"))}
	out.Delegation.PublicKey = bytesOf(v.Get("publicKey"))
	expiration, err := strconv.ParseUint(v.Get("expiration").String(), 10, 64)
	if err != nil {
		return out, errors.New("the expiration of a delegation is no number of nanoseconds")
	}
	out.Delegation.Expiration = expiration
	if targets := v.Get("targets"); targets.Truthy() {
		out.Delegation.Targets = []principal.ID{}
		for i := range targets.Length() {
			id, err := principal.Parse(targets.Index(i).String())
			if err != nil {
				return out, err
			}
			out.Delegation.Targets = append(out.Delegation.Targets, id)
		}
	}
	if p := v.Get("permissions"); p.Truthy() {
		out.Delegation.Permissions = p.String()
	}
	return out, nil
}
