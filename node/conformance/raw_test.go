package conformance

import (
	"crypto/rand"
	"errors"
	"slices"
	"time"

	"portico/lightclient/cbor"
	"portico/lightclient/envelope"
	"portico/lightclient/hashtree"
	"portico/lightclient/leb128"
	"portico/lightclient/principal"
	u "portico/node/conformance/universal"
)

// raw is a request whose every field a check decides, and the envelope around it.
type raw struct {
	kind     envelope.Kind
	canister principal.ID // effective
	content  *cbor.Map
	path     string // of the URL; "" for the usual one
	id       [32]byte
	fields   *cbor.Map // of the envelope
	as       envelope.Identity
}

// raw makes a request that nobody has signed yet: of a program, or for the time.
func (c *check) raw(kind envelope.Kind, canister principal.ID, p u.Program) raw {
	m := &cbor.Map{}
	m.Set("request_type", cbor.Text(kind.String()))
	m.Set("sender", cbor.Bytes(principal.Anonymous().Bytes()))
	m.Set("ingress_expiry", cbor.NatOf(uint64(time.Now().Add(4*time.Minute).UnixNano())))
	nonce := make([]byte, 16)
	_, err := rand.Read(nonce)
	c.must(err)
	m.Set("nonce", cbor.Bytes(nonce))
	if kind == envelope.ReadState {
		m.Set("paths", cbor.Array{cbor.Array{cbor.Bytes("time")}})
	} else {
		m.Set("canister_id", cbor.Bytes(canister.Bytes()))
		m.Set("method_name", cbor.Text(map[envelope.Kind]string{envelope.Call: u.Update, envelope.Query: u.Query}[kind]))
		m.Set("arg", cbor.Bytes(p))
	}
	return raw{kind: kind, canister: canister, content: m}
}

// with is the request with a field changed or added.
func (r raw) with(key string, v cbor.Value) raw {
	r = r.without(key)
	r.content.Set(key, v)
	return r
}

// without is the request without a field.
func (r raw) without(key string) raw {
	m := &cbor.Map{}
	for i, k := range r.content.Keys {
		if k != key {
			m.Set(k, r.content.Values[i])
		}
	}
	r.content = m
	return r
}

// paths sets what a read_state asks for.
func (r raw) paths(paths ...hashtree.Path) raw {
	list := cbor.Array{}
	for _, p := range paths {
		labels := cbor.Array{}
		for _, l := range p {
			labels = append(labels, cbor.Bytes(l))
		}
		list = append(list, labels)
	}
	return r.with("paths", list)
}

// at sends the request to another effective canister id, as the URL spells it.
func (r raw) at(id string) raw {
	r.path = "/api/v3/canister/" + id + "/" + r.kind.String()
	if r.kind == envelope.Call {
		r.path = "/api/v4/canister/" + id + "/call"
	}
	return r
}

// unsigned finishes the request without authentication.
func (r raw) unsigned() raw {
	r.id, _ = envelope.HashOfMap(r.content) // what has no hash is refused for another reason
	r.fields = &cbor.Map{}
	r.fields.Set("content", r.content)
	return r
}

// signed finishes the request as its sender signs it.
func (r raw) signed(c *check, as envelope.Identity) raw {
	c.Helper()
	r = r.with("sender", cbor.Bytes(as.Sender().Bytes())).unsigned()
	r.as = as
	switch as := as.(type) {
	case envelope.Anonymous:
		return r
	case envelope.Keyed:
		return r.by(c, envelope.Delegated{PublicKey: as.Signer.PublicKey(), Signer: as.Signer}, envelope.RequestSignedBytes(r.id))
	case envelope.Delegated:
		return r.by(c, as, envelope.RequestSignedBytes(r.id))
	default:
		c.Fatalf("an identity of type %T", as)
		return r
	}
}

// by adds a signature of the message to a finished request.
func (r raw) by(c *check, d envelope.Delegated, message []byte) raw {
	c.Helper()
	sig, err := d.Signer.Sign(message)
	c.must(err)
	r.fields.Set("sender_pubkey", cbor.Bytes(d.PublicKey))
	r.fields.Set("sender_sig", cbor.Bytes(sig))
	if d.Chain != nil {
		r.fields.Set("sender_delegation", chainValue(d.Chain))
	}
	return r
}

func chainValue(chain []envelope.SignedDelegation) cbor.Value {
	list := cbor.Array{}
	for _, s := range chain {
		d := &cbor.Map{}
		d.Set("pubkey", cbor.Bytes(s.Delegation.PublicKey))
		d.Set("expiration", cbor.NatOf(s.Delegation.Expiration))
		if s.Delegation.Targets != nil {
			targets := cbor.Array{}
			for _, id := range s.Delegation.Targets {
				targets = append(targets, cbor.Bytes(id.Bytes()))
			}
			d.Set("targets", targets)
		}
		if s.Delegation.Permissions != "" {
			d.Set("permissions", cbor.Text(s.Delegation.Permissions))
		}
		entry := &cbor.Map{}
		entry.Set("delegation", d)
		entry.Set("signature", cbor.Bytes(s.Signature))
		list = append(list, entry)
	}
	return list
}

// bytes is the envelope in CBOR.
func (r raw) bytes() []byte { return cbor.AppendValue(cbor.AppendSelfDescribe(nil), r.fields) }

func (r raw) url() string {
	if r.path == "" {
		return r.at(r.canister.String()).path
	}
	return r.path
}

// post sends the request once. Of a call that the network has accepted it returns an
// empty reply, and of a certificate that of the request, if it is there.
func (r raw) post(c *check) answer {
	c.Helper()
	return r.postBytes(c, r.bytes())
}

func (r raw) postBytes(c *check, b []byte) answer {
	c.Helper()
	var status int
	var body []byte
	c.await("the replica has time", func() bool {
		var err error
		status, body, err = c.Post(c.context(), r.url(), b)
		c.must(err)
		return status != 429
	})
	switch {
	case status == 202:
		return answer{}
	case status != 200:
		return answer{status: status, text: string(body)}
	}
	a, err := r.read(c, body)
	if err != nil {
		c.Fatalf("the answer of %s: %v", r.url(), err)
	}
	return a
}

// call sends the request until the answer is there.
func (r raw) call(c *check) (a answer) {
	c.Helper()
	c.await("the call is answered", func() bool {
		var status int
		var body []byte
		var err error
		status, body, err = c.Post(c.context(), r.url(), r.bytes())
		c.must(err)
		switch {
		case status == 202, status == 429: // not yet; the replica has others to serve
			return false
		case status != 200:
			a = answer{status: status, text: string(body)}
			return true
		}
		a, err = r.read(c, body)
		c.must(err)
		return true
	})
	return a
}

// read reads a body with status 200.
func (r raw) read(c *check, body []byte) (answer, error) {
	v, err := cbor.Decode(body)
	if err != nil {
		return answer{}, err
	}
	m, ok := v.(*cbor.Map)
	if !ok {
		return answer{}, errors.New("it is not a map")
	}
	if cert, ok := m.Get("certificate").(cbor.Bytes); ok {
		return r.certified(c, cert)
	}
	if code, ok := m.Get("reject_code").(cbor.Nat); ok {
		text, _ := m.Get("reject_message").(cbor.Text)
		errorCode, _ := m.Get("error_code").(cbor.Text)
		return answer{code: uint8(code.Uint64()), text: string(text), errorCode: string(errorCode)}, nil
	}
	reply, ok := m.Get("reply").(*cbor.Map)
	if !ok {
		return answer{}, errors.New("it has neither a certificate nor a reply nor a reject")
	}
	arg, ok := reply.Get("arg").(cbor.Bytes)
	if !ok {
		return answer{}, errors.New("its reply has no argument")
	}
	return answer{reply: arg}, nil
}

// certified reads the request's outcome out of a certificate.
func (r raw) certified(c *check, cert []byte) (answer, error) {
	parsed, err := c.verifier.Canister(slices.Clone(cert), r.canister, time.Now())
	if err != nil {
		return answer{}, err
	}
	if r.kind == envelope.ReadState {
		return answer{reply: cert}, nil
	}
	get := func(field string) []byte {
		b, _ := hashtree.Lookup(parsed.Tree, []byte("request_status"), r.id[:], []byte(field))
		return b
	}
	switch string(get("status")) {
	case "replied":
		return answer{reply: get("reply")}, nil
	case "rejected":
		code, err := leb128.Canonical(get("reject_code"))
		return answer{code: uint8(code), text: string(get("reject_message")), errorCode: string(get("error_code")), certified: true}, err
	default:
		return answer{}, errors.New("the certificate shows no outcome")
	}
}
