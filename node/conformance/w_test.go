package conformance

import (
	"bytes"
	"crypto/sha256"
	"fmt"
	"slices"
	"time"

	"portico/lightclient/cbor"
	"portico/lightclient/certificate"
	"portico/lightclient/envelope"
	"portico/lightclient/hashtree"
	"portico/lightclient/principal"
	u "portico/node/conformance/universal"
)

// certificate verifies a certificate that speaks for the canister.
func (can *canister) certificate(b []byte) *certificate.Certificate {
	can.Helper()
	cert, err := can.verifier.Canister(bytes.Clone(b), can.id, time.Now())
	can.must(err)
	return cert
}

// controllersOf reads the controllers from the state tree.
func (can *canister) controllersOf() (ids []principal.ID) {
	can.Helper()
	b, status := can.lookup(can.owner, can.id, "canister", can.id.Raw(), "controllers")
	if status != hashtree.Found {
		can.Fatalf("the controllers are %v", status)
	}
	if !bytes.HasPrefix(b, cbor.AppendSelfDescribe(nil)) {
		can.Errorf("the controllers have no self-describing tag")
	}
	v, err := cbor.Decode(b)
	can.must(err)
	for _, e := range v.(cbor.Array) {
		id, err := principal.FromBytes(e.(cbor.Bytes))
		can.must(err)
		ids = append(ids, id)
	}
	return ids
}

// sent makes a call and gives its request id.
func (can *canister) sent(as envelope.Identity) raw {
	can.Helper()
	r := can.raw(envelope.Call, can.id, u.Reply(u.Text("hello"))).signed(can.check, as)
	can.ok("call", r.call(can.check))
	return r
}

func statusPath(id [32]byte, more ...string) hashtree.Path {
	return append(hashtree.Path{[]byte("request_status"), id[:]}, labelPath(more...)...)
}

func sectionW(s *section) {
	s.requiredFields("W1", envelope.ReadState, "request_type", "sender", "paths", "ingress_expiry")
	s.check("W2 certificates verify, for the canisters of the subnet only", func(c *check) {
		can := c.shared(c)
		a := c.raw(envelope.ReadState, can.id, nil).signed(c, can.owner).post(c)
		cert := can.certificate(c.ok("read_state", a))
		other := bytes.Clone(cert.Signature)
		other[10] ^= 1
		forged := &certificate.Certificate{Tree: cert.Tree, Signature: other, Delegation: cert.Delegation}
		if _, err := c.verifier.Canister(forged.Append(nil), can.id, time.Now()); err == nil {
			c.Errorf("a changed signature verifies")
		}
	})
	s.check("W3 the time is always there and may be asked for", func(c *check) {
		can := c.shared(c)
		for _, paths := range [][]hashtree.Path{{labelPath("time")}, {}, {labelPath("canister", can.id.Raw(), "module_hash")}, {labelPath("time"), labelPath("time")}} {
			a := c.raw(envelope.ReadState, can.id, nil).paths(paths...).signed(c, can.owner).post(c)
			at, err := can.certificate(c.ok("read_state", a)).Time()
			c.must(err)
			if off := time.Since(at).Abs(); off > 3*time.Minute {
				c.Errorf("the time is off by %v", off)
			}
		}
	})
	s.check("W4 controllers and module hash", func(c *check) {
		can := c.empty()
		owner := can.owner.Sender()
		moduleHash := func() ([]byte, hashtree.Status) {
			return can.lookup(can.owner, can.id, "canister", can.id.Raw(), "module_hash")
		}
		if _, status := moduleHash(); status != hashtree.Absent {
			c.Errorf("the module hash of an empty canister is %v", status)
		}
		for _, want := range [][]principal.ID{{owner}, append(users(4), owner), {}} {
			if len(want) != 1 {
				c.ok("settings", can.set(settingControllers(want...)))
			}
			if got := can.controllersOf(); !sameSet(got, want) {
				c.Errorf("the controllers are %v, want %v", got, want)
			}
		}
		can = c.install()
		hash := sha256.Sum256(c.module)
		if got, status := can.lookup(envelope.Anonymous{}, can.id, "canister", can.id.Raw(), "module_hash"); status != hashtree.Found || !slices.Equal(got, hash[:]) {
			c.Errorf("the module hash is %v %x", status, got)
		}
	})
	s.requestStatus()
	s.metadata()
}

// requestStatus checks who may read what became of a call.
func (s *section) requestStatus() {
	s.check("W5 request ids of the wrong length are refused", func(c *check) {
		can := c.shared(c)
		for _, n := range []int{0, 1, 8, 31, 33} {
			_, a := c.readState(can.owner, can.id, hashtree.Path{[]byte("request_status"), make([]byte, n)})
			c.refused(fmt.Sprint(n, " bytes"), a)
		}
	})
	s.check("W6 unknown requests are provably absent", func(c *check) {
		can := c.shared(c)
		for _, b := range []byte{0, 8, 255} {
			id := bytes.Repeat([]byte{b}, 32)
			for _, rest := range [][]string{nil, {"status"}} {
				path := append(hashtree.Path{[]byte("request_status"), id}, labelPath(rest...)...)
				cert, a := c.readState(can.owner, can.id, path)
				c.ok("read_state", a)
				if _, status := hashtree.Lookup(cert.Tree, path...); status != hashtree.Absent {
					c.Errorf("request %x is %v", id, status)
				}
			}
		}
	})
	s.check("W7 a part of a request's status can be read", func(c *check) {
		can := c.shared(c)
		r := can.sent(can.owner)
		cert, a := c.readState(can.owner, can.id, statusPath(r.id, "status"))
		c.ok("read_state", a)
		if got, status := hashtree.Lookup(cert.Tree, statusPath(r.id, "status")...); status != hashtree.Found || string(got) != "replied" {
			c.Errorf("the status is %v %q", status, got)
		}
		if _, status := hashtree.Lookup(cert.Tree, statusPath(r.id, "reply")...); status == hashtree.Found {
			c.Errorf("the reply is shown as well")
		}
		cert, a = c.readState(can.owner, can.id, statusPath(r.id))
		c.ok("read_state", a)
		if got, status := hashtree.Lookup(cert.Tree, statusPath(r.id, "reply")...); status != hashtree.Found || string(got) != "hello" {
			c.Errorf("the reply is %v %q", status, got)
		}
	})
	s.check("W8 only one request of one's own can be read, at its canister", func(c *check) {
		can, other := c.install(), newUser()
		mine, second, theirs := can.sent(can.owner), can.sent(can.owner), can.sent(other)
		_, a := c.readState(can.owner, can.id, statusPath(theirs.id))
		c.refused("another's", a)
		_, a = c.readState(can.owner, can.id, statusPath(mine.id), statusPath(theirs.id))
		c.refused("one's own and another's", a)
		_, a = c.readState(can.owner, can.id, statusPath(mine.id), statusPath(second.id))
		c.refused("two of one's own", a)
		_, a = c.readState(can.owner, c.empty().id, statusPath(mine.id))
		c.refused("at another canister", a)
		_, a = c.readState(can.owner, can.id, statusPath(mine.id, "status"), statusPath(mine.id, "reply"))
		c.ok("two paths of one request", a)
		_, a = c.readState(can.owner, can.id, labelPath("canister", can.id.Raw(), "controllers"), labelPath("canister", c.shared(c).id.Raw(), "controllers"))
		c.refused("two canisters", a)
	})
	s.check("W9 paths without meaning are refused", func(c *check) {
		can := c.shared(c)
		for _, path := range []hashtree.Path{
			{},
			labelPath(""), labelPath("foo"), labelPath("foo", "bar"), labelPath("canister"), labelPath("canister", can.id.Raw()),
			labelPath("canister", can.id.Raw(), "foo"), labelPath("request_status"), labelPath("time", "x"), labelPath("canister", can.id.Raw(), "certified_data"),
		} {
			_, a := c.readState(can.owner, can.id, path)
			c.refused(fmt.Sprintf("%q", path), a)
		}
	})
}

func (s *section) metadata() {
	names := []string{"name", "", " ", "two words", "☃", "emoji 😀"}
	for _, name := range names {
		for _, kind := range []string{"public", "private"} {
			s.check(fmt.Sprintf("W10 metadata %q that is %s", name, kind), func(c *check) {
				can, other := c.installWith([]string{u.Section("icp:"+kind+" "+name, "content")}), newUser()
				readers := map[string]envelope.Identity{"the controller": can.owner, "another user": other, "anonymous": envelope.Anonymous{}}
				path := labelPath("canister", can.id.Raw(), "metadata", name)
				for who, reader := range readers {
					cert, a := c.readState(reader, can.id, path)
					if kind == "private" && reader.Sender() != can.owner.Sender() {
						c.refused(who, a)
						continue
					}
					c.ok(who, a)
					if got, status := hashtree.Lookup(cert.Tree, path...); status != hashtree.Found || string(got) != "content" {
						c.Errorf("metadata for %s is %v %q", who, status, got)
					}
				}
			})
		}
	}
	s.check("W10 metadata that is not there is provably absent", func(c *check) {
		can := c.installWith([]string{u.Section("icp:public there", "x")})
		for _, name := range []string{"", "not there", "there2", "☃"} {
			if _, status := can.lookup(newUser(), can.id, "canister", can.id.Raw(), "metadata", name); status != hashtree.Absent {
				c.Errorf("metadata %q is %v", name, status)
			}
		}
		can = c.empty()
		if _, status := can.lookup(newUser(), can.id, "canister", can.id.Raw(), "metadata", "x"); status != hashtree.Absent {
			c.Errorf("metadata of an empty canister is %v", status)
		}
	})
	s.check("W10 metadata names that are no UTF-8 are refused", func(c *check) {
		can := c.shared(c)
		_, a := c.readState(can.owner, can.id, labelPath("canister", can.id.Raw(), "metadata", "\xff\xfe"))
		c.refused("in a path", a)
		c.rejects("in a module", c.empty().deploy(installMode(), c.universal(u.Section(`icp:public \ff\fe`, "x"))), 5)
	})
}
