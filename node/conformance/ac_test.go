package conformance

import (
	"bytes"
	"crypto/rand"
	"crypto/sha256"
	"encoding/asn1"
	"errors"
	"slices"
	"time"

	"portico/lightclient/cbor"
	"portico/lightclient/certificate"
	"portico/lightclient/envelope"
	"portico/lightclient/hashtree"
	"portico/lightclient/principal"
	u "portico/node/conformance/universal"
	"portico/node/crypto/bls"
)

func sectionAC(s *section) {
	self := func(user userIdentity) envelope.Delegated {
		return envelope.Delegated{PublicKey: user.Signer.PublicKey(), Signer: user.Signer}
	}
	at := func(r raw, d time.Duration) raw {
		return r.with("ingress_expiry", cbor.NatOf(uint64(time.Now().Add(d).UnixNano())))
	}
	spoiled := map[string]func(c *check, r raw, user userIdentity) raw{
		"AC1 a wrong signature": func(c *check, r raw, user userIdentity) raw {
			r = r.signed(c, user)
			r.fields.Set("sender_sig", cbor.Bytes(make([]byte, 64)))
			return r
		},
		"AC1 a signature of another request": func(c *check, r raw, user userIdentity) raw {
			other := r.with("nonce", cbor.Bytes("another")).signed(c, user)
			r = r.signed(c, user)
			r.fields.Set("sender_sig", other.fields.Get("sender_sig"))
			return r
		},
		"AC2 a signature by another key": func(c *check, r raw, user userIdentity) raw {
			d := self(user)
			d.Signer = newUser().Signer
			r = r.with("sender", cbor.Bytes(user.Sender().Bytes())).unsigned()
			return r.by(c, d, envelope.RequestSignedBytes(r.id))
		},
		"AC2 another sender's key": func(c *check, r raw, user userIdentity) raw {
			r = r.with("sender", cbor.Bytes(user.Sender().Bytes())).unsigned()
			return r.by(c, self(newUser()), envelope.RequestSignedBytes(r.id))
		},
		"AC3 a signature without domain separator": func(c *check, r raw, user userIdentity) raw {
			r = r.with("sender", cbor.Bytes(user.Sender().Bytes())).unsigned()
			return r.by(c, self(user), r.id[:])
		},
		"AC4 no expiry":     func(c *check, r raw, user userIdentity) raw { return r.without("ingress_expiry").signed(c, user) },
		"AC5 a past expiry": func(c *check, r raw, user userIdentity) raw { return at(r, -time.Minute).signed(c, user) },
		"AC6 an expiry too far ahead": func(c *check, r raw, user userIdentity) raw {
			return at(r, 10*time.Minute).signed(c, user)
		},
		"AC6 an expiry in another age": func(c *check, r raw, user userIdentity) raw {
			return at(r, 200*365*24*time.Hour).signed(c, user)
		},
	}
	for name, spoil := range spoiled {
		s.check(name+" is refused", func(c *check) {
			can, user := c.install(), newUser()
			for _, kind := range []envelope.Kind{envelope.Query, envelope.ReadState, envelope.Call} {
				r := c.raw(kind, can.id, u.Seq(u.Record(u.Text("x")), u.Reply(u.Global())))
				if kind == envelope.ReadState {
					r = r.paths()
				}
				c.refused(kind.String(), spoil(c, r, user).post(c))
				if kind == envelope.Call {
					c.replies("the state afterwards", can.ask(u.Reply(u.Global())), nil)
					c.replies("the same call, signed well", r.signed(c, user).call(c), []byte("x"))
				} else {
					c.ok("the same "+kind.String()+", signed well", r.signed(c, user).post(c))
				}
			}
		})
	}
}

// canisterSigner is a canister that signs whatever it is asked to, one message at a time.
type canisterSigner struct {
	*canister
	seed  []byte
	spoil func(cert *certificate.Certificate) // for certificates that do not verify
}

func canisterKey(id principal.ID, seed []byte) []byte {
	return spki(slices.Concat([]byte{byte(id.Len())}, id.Bytes(), seed), asn1.ObjectIdentifier{1, 3, 6, 1, 4, 1, 56387, 1, 2})
}

func (s canisterSigner) PublicKey() []byte { return canisterKey(s.id, s.seed) }

// Sign lets the canister certify the tree that has the message below the seed.
func (s canisterSigner) Sign(msg []byte) ([]byte, error) {
	seed, digest := sha256.Sum256(s.seed), sha256.Sum256(msg)
	tree := &hashtree.Labeled{Label: []byte("sig"), Sub: &hashtree.Labeled{Label: seed[:], Sub: &hashtree.Labeled{Label: digest[:], Sub: hashtree.Leaf{}}}}
	root := tree.Hash()
	if a := s.update(u.IC0("certified_data_set", u.Split(u.Bytes(root[:]))), u.Reply(u.Text(""))); a.code != 0 || a.status != 0 {
		return nil, errors.New(a.String())
	}
	a := s.ask(u.Reply(u.Get("data_certificate")))
	if a.code != 0 || a.status != 0 {
		return nil, errors.New(a.String())
	}
	encoded := a.reply
	if s.spoil != nil {
		cert, err := certificate.Parse(bytes.Clone(encoded))
		if err != nil {
			return nil, err
		}
		s.spoil(cert)
		encoded = cert.Append(nil)
	}
	b := cbor.AppendMap(cbor.AppendSelfDescribe(nil), 2)
	b = cbor.AppendBytes(cbor.AppendText(b, "certificate"), encoded)
	return hashtree.Append(cbor.AppendText(b, "tree"), tree), nil
}

func sectionAD(s *section) {
	type judge func(what string, a answer)
	requests := func(c *check, d func() envelope.Delegated, judge judge) {
		can := c.shared(c)
		for _, kind := range []envelope.Kind{envelope.Query, envelope.Call} {
			judge(kind.String(), c.raw(kind, can.id, u.Reply(u.Caller())).signed(c, d()).call(c))
		}
	}
	for name, seed := range map[string][]byte{"with a seed": []byte("seed"), "with an empty seed": {}} {
		s.check("AD1 canisters sign for users "+name, func(c *check) {
			k := canisterSigner{canister: c.install(), seed: seed}
			requests(c, func() envelope.Delegated { return envelope.Delegated{PublicKey: k.PublicKey(), Signer: k} }, func(what string, a answer) {
				c.replies(what, a, principal.SelfAuthenticating(k.PublicKey()).Bytes())
			})
		})
	}
	s.check("AD2 signatures of another seed or canister are refused", func(c *check) {
		k := canisterSigner{canister: c.install(), seed: []byte("seed")}
		for name, key := range map[string][]byte{"another seed": canisterKey(k.id, []byte("other")), "another canister": canisterKey(c.shared(c).id, k.seed)} {
			requests(c, func() envelope.Delegated { return envelope.Delegated{PublicKey: key, Signer: k} }, func(what string, a answer) {
				c.refused(name+", "+what, a)
			})
		}
	})
	s.check("AD2 signatures with a certificate of another root are refused", func(c *check) {
		k := canisterSigner{canister: c.install(), seed: []byte("seed")}
		k.spoil = func(cert *certificate.Certificate) { cert.Signature = otherRootSignature(c, cert) }
		requests(c, func() envelope.Delegated { return envelope.Delegated{PublicKey: k.PublicKey(), Signer: k} }, c.refused)
	})
	s.check("AD3 a canister delegates to a key", func(c *check) {
		k := canisterSigner{canister: c.install(), seed: []byte("seed")}
		d := c.chained([]envelope.Signer{k, newUser().Signer})
		requests(c, func() envelope.Delegated { return d }, func(what string, a answer) {
			c.replies(what, a, principal.SelfAuthenticating(k.PublicKey()).Bytes())
		})
	})
	s.check("AD3 a key delegates to a canister", func(c *check) {
		user := newUser()
		k := canisterSigner{canister: c.install(), seed: []byte("seed")}
		d := c.chained([]envelope.Signer{user.Signer, k})
		requests(c, func() envelope.Delegated { return d }, func(what string, a answer) {
			c.replies(what, a, user.Sender().Bytes())
		})
	})
}

// otherRootSignature signs the certificate's tree with a key that is not the network's.
func otherRootSignature(c *check, cert *certificate.Certificate) []byte {
	c.Helper()
	key, err := bls.GenerateKey(rand.Reader)
	c.must(err)
	return key.Sign(certificate.StateRootMessage(cert.Tree.Hash()))
}
