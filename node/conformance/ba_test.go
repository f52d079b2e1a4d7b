package conformance

import (
	"bytes"
	"crypto/ed25519"
	"fmt"
	"slices"
	"strings"
	"time"

	"portico/lightclient/cbor"
	"portico/lightclient/envelope"
	"portico/lightclient/hashtree"
	"portico/lightclient/principal"
	u "portico/node/conformance/universal"
)

// fieldsOf posts a request and gives status and map of the answer.
func (r raw) fieldsOf(c *check) (int, *cbor.Map) {
	c.Helper()
	status, body, err := c.Post(c.context(), r.url(), r.bytes())
	c.must(err)
	if status != 200 {
		return status, nil
	}
	v, err := cbor.Decode(body)
	c.must(err)
	return status, v.(*cbor.Map)
}

// version sends a call to an endpoint of an older version.
func (r raw) version(v string) raw {
	r.path = "/api/" + v + "/canister/" + r.canister.String() + "/" + r.kind.String()
	return r
}

func sectionBA(s *section) {
	for _, v := range []string{"v3", "v4"} {
		s.check("BA1 a call at "+v+" is answered by a certificate", func(c *check) {
			can := c.shared(c)
			for want, p := range map[string]u.Program{"replied": u.Reply(u.Text("hello")), "rejected": u.Reject(u.Text("no"))} {
				r := c.raw(envelope.Call, can.id, p).signed(c, can.owner).version(v)
				for range 2 { // the repetition of a known request is answered at once
					status, m := r.fieldsOf(c)
					if status != 200 || m.Get("status") != cbor.Text("replied") {
						c.Fatalf("HTTP status %d, %v", status, m)
					}
					cert := can.certificate(m.Get("certificate").(cbor.Bytes))
					if got, _ := hashtree.Lookup(cert.Tree, statusPath(r.id, "status")...); string(got) != want {
						c.Errorf("the certified status is %q, want %q", got, want)
					}
					if _, err := cert.Time(); err != nil {
						c.Errorf("%v", err)
					}
				}
			}
		})
		s.check("BA1 a call at "+v+" that is not accepted gets a non_replicated_rejection", func(c *check) {
			can := c.guarded()
			status, m := c.raw(envelope.Call, can.id, u.Reply(u.Text(""))).signed(c, can.owner).version(v).fieldsOf(c)
			if status != 200 || m.Get("status") != cbor.Text("non_replicated_rejection") || m.Get("reject_code") == nil || m.Get("reject_message") == nil {
				c.Errorf("HTTP status %d, %v", status, m)
			}
		})
	}
	s.check("BA1 a call at v2 is accepted with 202 and answered through read_state", func(c *check) {
		can := c.shared(c)
		r := c.raw(envelope.Call, can.id, u.Reply(u.Text("hello"))).signed(c, can.owner).version("v2")
		status, _ := r.fieldsOf(c)
		equal(c, "HTTP status", status, 202)
		can.replied(r, "hello")
		guarded := c.guarded()
		status, m := c.raw(envelope.Call, guarded.id, u.Reply(u.Text(""))).signed(c, guarded.owner).version("v2").fieldsOf(c)
		if status != 200 || m.Get("reject_code") == nil || m.Get("reject_message") == nil {
			c.Errorf("refused at v2: HTTP status %d, %v", status, m)
		}
	})
	s.check("BA1 a call that takes long gets 202", func(c *check) {
		can, h := c.install(), c.newHold()
		r := c.raw(envelope.Call, can.id, h.call().Do()).signed(c, can.owner)
		if status, _ := r.fieldsOf(c); status != 202 {
			c.Fatalf("want HTTP status 202, got %d: %v", status, r.call(c))
		}
		h.taken()
		h.release()
		can.replied(r, released)
	})
	s.notYet("BA2 delegations show shards of canister ranges", needsSubnets)
	s.subnetState()
	s.queryAnswers()
	s.errorCodes()
	s.limits()
	s.encodings()
	s.delegationRules()
	s.notYet("BA11 canister signatures from cloud_engine subnets", needsSubnets)
	s.check("BA13 calls from one canister to another start in order", func(c *check) {
		can, callee := c.install(), c.install()
		var sends []u.Program
		var want []byte
		for i := range 20 {
			call := program(callee.id, u.Record(u.Bytes([]byte{byte(i)})), u.Reply(u.Text("")))
			call.OnReply = u.Program{}
			sends, want = append(sends, call.Do()), append(want, byte(i))
		}
		can.run(sends...)
		c.await("all calls arrive", func() bool { return len(callee.peek(u.Global())) == len(want) })
		c.replies("order", callee.ask(u.Reply(u.Global())), want)
	})
}

// replied waits until read_state shows the reply of a call.
func (can *canister) replied(r raw, want string) {
	can.Helper()
	var cert []byte
	can.await("the reply is certified", func() bool {
		a := can.raw(envelope.ReadState, can.id, nil).paths(statusPath(r.id)).signed(can.check, r.as).post(can.check)
		cert = can.ok("read_state", a)
		status, _ := hashtree.Lookup(can.certificate(cert).Tree, statusPath(r.id, "status")...)
		return string(status) == "replied"
	})
	if got, _ := hashtree.Lookup(can.certificate(cert).Tree, statusPath(r.id, "reply")...); string(got) != want {
		can.Errorf("the reply is %q, want %q", got, want)
	}
}

// subnetState checks what may be read of subnets, and where.
func (s *section) subnetState() {
	at := func(c *check, endpoint string, paths ...hashtree.Path) answer {
		r := c.raw(envelope.ReadState, c.shared(c).id, nil).paths(paths...)
		id := map[bool]string{true: c.subnet().String(), false: r.canister.String()}[strings.Contains(endpoint, "subnet")]
		r.path = endpoint + id + "/read_state"
		return r.signed(c, envelope.Anonymous{}).post(c)
	}
	ranges := func(c *check) hashtree.Path { return labelPath("canister_ranges", c.subnet().Raw()) }
	metrics := func(c *check) hashtree.Path { return labelPath("subnet", c.subnet().Raw(), "metrics") }
	s.check("BA3 canister ranges are told at the subnet's endpoint", func(c *check) {
		c.refused("at a canister", at(c, "/api/v3/canister/", ranges(c)))
		c.ok("at the subnet", at(c, "/api/v3/subnet/", ranges(c)))
		c.refused("of two subnets", at(c, "/api/v3/subnet/", ranges(c), labelPath("canister_ranges", principal.SelfAuthenticating(nil).Raw())))
	})
	s.check("BA3 metrics are told at the subnet's endpoint", func(c *check) {
		c.refused("at a canister", at(c, "/api/v3/canister/", metrics(c)))
		cert := c.shared(c).certificate(c.ok("at the subnet", at(c, "/api/v3/subnet/", metrics(c))))
		b, status := hashtree.Lookup(cert.Tree, metrics(c)...)
		if status != hashtree.Found || !bytes.HasPrefix(b, cbor.AppendSelfDescribe(nil)) {
			c.Errorf("the metrics are %v %x", status, b)
		}
		for _, name := range []string{"num_canisters", "canister_state_bytes", "consumed_cycles_total", "update_transactions_total"} {
			if !bytes.Contains(b, cbor.AppendText(nil, name)) {
				c.Errorf("the metrics lack %s: %x", name, b)
			}
		}
	})
	s.check("BA3 keys of subnet and nodes are told everywhere", func(c *check) {
		path := labelPath("subnet", c.subnet().Raw())
		for _, endpoint := range []string{"/api/v2/canister/", "/api/v3/canister/", "/api/v2/subnet/", "/api/v3/subnet/"} {
			cert := c.shared(c).certificate(c.ok(endpoint, at(c, endpoint, append(slices.Clone(path), []byte("public_key")), append(slices.Clone(path), []byte("node")))))
			if key, _ := hashtree.Lookup(cert.Tree, append(slices.Clone(path), []byte("public_key"))...); !bytes.Equal(key, c.rootKey) {
				c.Errorf("%s: the subnet's key is %x", endpoint, key)
			}
			nodes, _ := hashtree.Find(cert.Tree, append(slices.Clone(path), []byte("node"))...)
			equal(c, endpoint+": nodes", len(hashtree.Children(nodes)), config.nodes)
		}
	})
	s.check("BA4 too many paths and labels are refused", func(c *check) {
		can := c.shared(c)
		read := func(paths ...hashtree.Path) answer {
			return c.raw(envelope.ReadState, can.id, nil).paths(paths...).signed(c, can.owner).post(c)
		}
		time := labelPath("time")
		c.ok("1000 paths", read(slices.Repeat([]hashtree.Path{time}, envelope.MaxPaths)...))
		c.refused("1001 paths", read(slices.Repeat([]hashtree.Path{time}, envelope.MaxPaths+1)...))
		c.refused("128 labels", read(slices.Repeat(time, envelope.MaxPathLabels+1)))
	})
	s.check("BA14 a subnet's endpoints take nothing but what concerns no canister", func(c *check) {
		can := c.shared(c)
		for _, kind := range []envelope.Kind{envelope.Call, envelope.Query} {
			r := c.raw(kind, can.id, u.Reply(u.Text("")))
			r.path = map[envelope.Kind]string{envelope.Call: "/api/v4/subnet/", envelope.Query: "/api/v3/subnet/"}[kind] + c.subnet().String() + "/" + kind.String()
			c.refused(kind.String(), r.signed(c, can.owner).post(c))
			c.refused(kind.String()+" of canister_status", r.with("canister_id", cbor.Bytes{}).with("method_name", cbor.Text("canister_status")).with("arg", cbor.Bytes(c.encode(canisterArg{can.id}))).signed(c, can.owner).post(c))
		}
	})
}

// queryAnswers checks the nodes' signatures of answers.
func (s *section) queryAnswers() {
	s.check("BA5 a node signs the answer, its time and the request", func(c *check) {
		can := c.shared(c)
		for _, p := range []u.Program{u.Reply(u.Text("hello")), u.Reject(u.Text("no")), u.Trap("x")} {
			r := c.raw(envelope.Query, can.id, p).signed(c, can.owner)
			_, m := r.fieldsOf(c)
			sig := m.Get("signatures").(cbor.Array)[0].(*cbor.Map)
			node := string(sig.Get("identity").(cbor.Bytes))
			key, status := can.lookup(envelope.Anonymous{}, can.id, "subnet", c.subnet().Raw(), "node", node, "public_key")
			if status != hashtree.Found {
				c.Fatalf("the key of the node is %v", status)
			}
			verifies := func(change func(signed *cbor.Map)) bool {
				signed := &cbor.Map{}
				for i, k := range m.Keys {
					if k != "signatures" {
						signed.Set(k, m.Values[i])
					}
				}
				signed.Set("timestamp", sig.Get("timestamp"))
				signed.Set("request_id", cbor.Bytes(r.id[:]))
				change(signed)
				h, err := envelope.HashOfMap(signed)
				c.must(err)
				return ed25519.Verify(key[len(key)-ed25519.PublicKeySize:], envelope.ResponseSignedBytes(h), sig.Get("signature").(cbor.Bytes))
			}
			if !verifies(func(*cbor.Map) {}) {
				c.Errorf("the signature does not verify")
			}
			for what, change := range map[string]func(*cbor.Map){
				"timestamp": func(m *cbor.Map) { m.Values[slices.Index(m.Keys, "timestamp")] = cbor.NatOf(1) },
				"request":   func(m *cbor.Map) { m.Values[slices.Index(m.Keys, "request_id")] = cbor.Bytes(make([]byte, 32)) },
				"status":    func(m *cbor.Map) { m.Values[slices.Index(m.Keys, "status")] = cbor.Text("other") },
				"an extra":  func(m *cbor.Map) { m.Set("extra", cbor.Text("x")) },
			} {
				if verifies(change) {
					c.Errorf("the signature does not cover the %s", what)
				}
			}
		}
	})
	s.check("BA5 every replica answers, and alike", func(c *check) {
		can := c.install()
		can.run(u.SetGlobal(u.Text("state")))
		for _, url := range c.replicas {
			there := *c.network
			there.url = url
			one := &canister{&check{T: c.T, network: &there}, can.id, can.owner}
			c.await("the replica has the state", func() bool { return bytes.HasPrefix(one.ask(u.Reply(u.Global())).reply, []byte("state")) })
			c.replies("a call", one.update(u.Record(u.Text("!")), u.Reply(u.Caller())), can.owner.Sender().Bytes())
		}
		c.replies("afterwards", can.update(u.Reply(u.Global())), append([]byte("state"), bytes.Repeat([]byte("!"), len(c.replicas))...))
	})
	s.check("BA12 an anonymous query does not depend on its expiry or is refused", func(c *check) {
		can := c.shared(c)
		for _, expiry := range []uint64{0, 1, uint64(time.Now().Add(24 * time.Hour).UnixNano())} {
			for _, kind := range []envelope.Kind{envelope.Query, envelope.ReadState} {
				a := c.raw(kind, can.id, u.Reply(u.Text("x"))).with("ingress_expiry", cbor.NatOf(expiry)).signed(c, envelope.Anonymous{}).post(c)
				if a.code != 0 || a.status != 0 && (a.status < 400 || a.status > 499) {
					c.Errorf("%v with expiry %d: %v", kind, expiry, a)
				}
			}
			c.refused("call", c.raw(envelope.Call, can.id, u.Reply(u.Text("x"))).with("ingress_expiry", cbor.NatOf(expiry)).signed(c, envelope.Anonymous{}).post(c))
		}
	})
}

// encodings checks what forms of a request are read.
func (s *section) encodings() {
	hello := u.Reply(u.Text("hello"))
	both := func(c *check, r func(kind envelope.Kind) raw, judge func(what string, a answer)) {
		for _, kind := range []envelope.Kind{envelope.Call, envelope.Query} {
			judge(kind.String(), r(kind).call(c))
		}
	}
	for n, good := range map[int]bool{0: true, 1: true, 32: true, 33: false} {
		s.check(fmt.Sprintf("BA6 a nonce of %d bytes", n), func(c *check) {
			can := c.shared(c)
			both(c, func(kind envelope.Kind) raw {
				return c.raw(kind, can.id, hello).with("nonce", cbor.Bytes(bytes.Repeat([]byte{byte(n)}, n))).signed(c, newUser())
			}, func(what string, a answer) {
				if good {
					c.replies(what, a, []byte("hello"))
				} else {
					c.refused(what, a)
				}
			})
		})
	}
	s.check("BA7 unknown fields enter the request id", func(c *check) {
		can := c.shared(c)
		both(c, func(kind envelope.Kind) raw {
			return c.raw(kind, can.id, hello).with("something", cbor.Text("new")).with("number", cbor.NatOf(7)).signed(c, can.owner)
		}, func(what string, a answer) { c.replies(what, a, []byte("hello")) })
		both(c, func(kind envelope.Kind) raw {
			r := c.raw(kind, can.id, hello).signed(c, can.owner)
			r.fields.Values[0] = r.with("something", cbor.Text("new")).content
			return r
		}, func(what string, a answer) { c.refused(what+" with a field that is not signed", a) })
	})
	s.check("BA7 a field that comes twice is refused", func(c *check) {
		can := c.shared(c)
		both(c, func(kind envelope.Kind) raw {
			r := c.raw(kind, can.id, hello).signed(c, can.owner)
			r.content.Keys, r.content.Values = append(r.content.Keys, "arg"), append(r.content.Values, r.content.Get("arg"))
			return r
		}, func(what string, a answer) { c.refused(what, a) })
	})
	s.check("BA7 bodies that are no envelope are refused", func(c *check) {
		can := c.shared(c)
		good := c.raw(envelope.Query, can.id, hello).signed(c, can.owner)
		b := good.bytes()
		for name, body := range map[string][]byte{
			"nothing": nil, "text": []byte("hello"), "cut off": b[:len(b)-1], "something after it": append(slices.Clone(b), 0), "an empty map": {0xa0},
		} {
			c.refused(name, good.postBytes(c, body))
		}
		c.replies("without self-describing tag", good.postBytes(c, cbor.AppendValue(nil, good.fields)), []byte("hello"))
	})
	s.check("BA7 natural numbers may be bignums", func(c *check) {
		can := c.shared(c)
		r := c.raw(envelope.Query, can.id, hello).signed(c, can.owner)
		expiry := cbor.AppendValue(nil, r.content.Get("ingress_expiry"))
		big := append([]byte{0xc2, 0x48}, expiry[1:]...)
		if expiry[0] != 0x1b || bytes.Count(r.bytes(), expiry) != 1 {
			c.Fatalf("the expiry is encoded as %x", expiry)
		}
		c.replies("query", r.postBytes(c, bytes.Replace(r.bytes(), expiry, big, 1)), []byte("hello"))
	})
}

// delegationRules checks permissions and expiry of delegations, and sender info.
func (s *section) delegationRules() {
	chain := func(c *check, edit ...func(*envelope.Delegation)) (envelope.Delegated, []envelope.Signer) {
		k := keys(len(edit) + 1)
		d := envelope.Delegated{PublicKey: k[0].PublicKey(), Signer: k[len(k)-1]}
		for i, e := range edit {
			step := envelope.Delegation{PublicKey: k[i+1].PublicKey(), Expiration: uint64(time.Now().Add(time.Hour).UnixNano())}
			e(&step)
			signed, err := envelope.Delegate(k[i], step)
			c.must(err)
			d.Chain = append(d.Chain, signed)
		}
		return d, k
	}
	with := func(permissions string) func(*envelope.Delegation) {
		return func(d *envelope.Delegation) { d.Permissions = permissions }
	}
	requests := func(c *check, d envelope.Delegated, first envelope.Signer, call, rest func(what string, a answer)) {
		can := c.shared(c)
		call("call", c.raw(envelope.Call, can.id, u.Reply(u.Text(""))).signed(c, d).call(c))
		rest("query", c.raw(envelope.Query, can.id, u.Reply(u.Text(""))).signed(c, d).post(c))
		rest("read_state", can.statusByChain(first, d, c.raw(envelope.Call, can.id, u.Reply(u.Text("")))))
	}
	ok := func(c *check) func(string, answer) { return func(what string, a answer) { c.Helper(); c.ok(what, a) } }
	s.check("BA9 permission for queries blocks calls, wherever it stands", func(c *check) {
		for _, edits := range [][]func(*envelope.Delegation){{with("queries")}, {with("queries"), with("all")}, {with(""), with("queries")}} {
			d, k := chain(c, edits...)
			requests(c, d, k[0], c.refused, ok(c))
		}
	})
	s.check("BA9 permission for all permits all", func(c *check) {
		d, k := chain(c, with("all"), with("all"))
		requests(c, d, k[0], ok(c), ok(c))
	})
	s.check("BA9 an unknown permission is refused", func(c *check) {
		d, k := chain(c, with("everything"))
		requests(c, d, k[0], c.refused, c.refused)
	})
	s.check("BA9 an expired delegation is refused", func(c *check) {
		past := func(d *envelope.Delegation) { d.Expiration = uint64(time.Now().Add(-time.Minute).UnixNano()) }
		d, k := chain(c, past)
		requests(c, d, k[0], c.refused, c.refused)
		d, k = chain(c, with(""), past)
		requests(c, d, k[0], c.refused, c.refused)
	})
	s.check("BA9 a delegation that was signed otherwise is refused", func(c *check) {
		d, k := chain(c, with(""))
		d.Chain[0].Delegation.Expiration++
		requests(c, d, k[0], c.refused, c.refused)
	})
	s.check("BA8 sender info is visible to the canister", func(c *check) {
		k := canisterSigner{canister: c.install(), seed: []byte("seed")}
		can, user := c.shared(c), newUser()
		d := c.chained([]envelope.Signer{k, user.Signer})
		info := func(data []byte, signer principal.ID, sig []byte) cbor.Value {
			m := &cbor.Map{}
			m.Set("info", cbor.Bytes(data))
			m.Set("signer", cbor.Bytes(signer.Bytes()))
			m.Set("sig", cbor.Bytes(sig))
			return m
		}
		data := []byte("some information")
		sig, err := k.Sign(envelope.SenderInfoSignedBytes(data))
		c.must(err)
		both := u.Reply(u.Concat(u.Get("msg_caller_info_data"), u.Get("msg_caller_info_signer")))
		for _, kind := range []envelope.Kind{envelope.Call, envelope.Query} {
			r := c.raw(kind, can.id, both)
			c.replies(kind.String(), r.with("sender_info", info(data, k.id, sig)).signed(c, d).call(c), append(slices.Clone(data), k.id.Bytes()...))
			c.refused("other information", r.with("sender_info", info([]byte("other"), k.id, sig)).signed(c, d).call(c))
			c.refused("another signer", r.with("sender_info", info(data, can.id, sig)).signed(c, d).call(c))
			c.refused("a sender with a key of their own", r.with("sender_info", info(data, k.id, sig)).signed(c, user).call(c))
			c.replies("none", r.signed(c, d).call(c), nil)
		}
		c.replies("a canister as caller has none", can.send(program(c.install().id, both)), nil)
	})
}
