package api

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"portico/lightclient/cbor"
	"portico/lightclient/certificate"
	"portico/lightclient/envelope"
	"portico/lightclient/hashtree"
	"portico/lightclient/principal"
	"portico/node/types"
)

func pathOf(labels ...string) hashtree.Path {
	p := hashtree.Path{}
	for _, l := range labels {
		p = append(p, []byte(l))
	}
	return p
}

func readPath(version string, target Target) string {
	scope := "canister"
	if target.Subnet {
		scope = "subnet"
	}
	return fmt.Sprintf("/api/%s/%s/%s/read_state", version, scope, target.ID)
}

func (f *fakeReplica) read(t testing.TB, version string, target Target, id envelope.Identity, paths ...hashtree.Path) *httptest.ResponseRecorder {
	t.Helper()
	return post(f.handler(nil), readPath(version, target), seal(t, id, readOf(paths...)))
}

// certificateIn verifies the certificate of an answer.
func (f *fakeReplica) certificateIn(t testing.TB, w *httptest.ResponseRecorder, target Target) *certificate.Certificate {
	t.Helper()
	encoded := answer(t, w).Get("certificate").(cbor.Bytes)
	verify := f.verifier().Canister
	if target.Subnet {
		verify = f.verifier().Subnet
	}
	cert, err := verify(encoded, target.ID, now.Std())
	must(t, err)
	return cert
}

func at(id principal.ID) Target { return Target{ID: id} }

func (f *fakeReplica) atSubnet() Target { return Target{ID: f.subnet(), Subnet: true} }

func TestCertificatesAlwaysShowTheTime(t *testing.T) {
	for _, root := range []bool{true, false} {
		f := newReplica(t, root)
		for _, version := range []string{"v2", "v3"} {
			for _, target := range []Target{at(canisterA), f.atSubnet()} {
				for _, paths := range [][]hashtree.Path{nil, {pathOf("time")}} {
					cert := f.certificateIn(t, f.read(t, version, target, envelope.Anonymous{}, paths...), target)
					got, err := cert.Time()
					if err != nil || got != now.Std() {
						t.Fatalf("time %v, %v", got, err)
					}
					checkDelegationForm(t, f, cert, version == "v2", version == "v3" && !target.Subnet)
				}
			}
		}
	}
}

func TestPathsThatMayBeReadAreShownOrProvedAbsent(t *testing.T) {
	f := newReplica(t, false)
	ours, root := f.subnet().Raw(), f.rootSubnet().Raw()
	canister, none := canisterA.Raw(), principal.Canister(50).Raw()
	unknown := strings.Repeat("\x08", 32)
	for _, c := range []struct {
		target Target
		path   hashtree.Path
		want   string // "" for a proof of absence
	}{
		{at(canisterA), pathOf("canister", canister, "controllers"), "controllers"},
		{at(canisterA), pathOf("canister", canister, "module_hash"), "hash"},
		{at(canisterB), pathOf("canister", canisterB.Raw(), "module_hash"), ""},
		{at(canisterA), pathOf("canister", canister, "canister_creation_timestamp"), ""},
		{at(canisterA), pathOf("canister", canister, "last_install_timestamp"), ""},
		{at(canisterA), pathOf("canister", canister, "metadata", "open"), "public"},
		{at(canisterA), pathOf("canister", canister, "metadata", ""), "nameless"},
		{at(canisterA), pathOf("canister", canister, "metadata", "ключ"), "unicode"},
		{at(canisterA), pathOf("canister", canister, "metadata", "not there"), ""},
		{at(canisterB), pathOf("canister", canisterB.Raw(), "metadata", "open"), ""},
		{at(principal.Canister(50)), pathOf("canister", none, "controllers"), ""},
		{at(canisterA), pathOf("request_status", unknown), ""},
		{at(canisterA), pathOf("request_status", unknown, "reply"), ""},
		{f.atSubnet(), pathOf("request_status", unknown, "status"), ""},
		{at(canisterA), pathOf("api_boundary_nodes"), ""},
		{at(canisterA), pathOf("api_boundary_nodes", "node", "ipv4_address"), ""},
		{at(canisterA), pathOf("subnet", ours, "public_key"), "ours"},
		{at(canisterA), pathOf("subnet", root, "public_key"), "root"},
		{at(canisterA), pathOf("subnet", root, "type"), "application"},
		{at(canisterA), pathOf("subnet", root, "canister_ranges"), string(ranges())},
		{at(canisterA), pathOf("subnet", "no subnet", "public_key"), ""},
		{at(canisterA), pathOf("subnet", ours, "node", "a node", "public_key"), "node key"},
		{f.atSubnet(), pathOf("subnet", ours, "metrics"), "metrics"},
	} {
		cert := f.certificateIn(t, f.read(t, "v3", c.target, newUser(t), c.path), c.target)
		value, status := hashtree.Lookup(cert.Tree, c.path...)
		switch {
		case c.want != "" && (status != hashtree.Found || string(value) != c.want):
			t.Errorf("%s: %v, %q", pathText(c.path), status, value)
		case c.want == "" && status != hashtree.Absent:
			t.Errorf("%s: %v, want a proof of absence", pathText(c.path), status)
		}
	}
	cert := f.certificateIn(t, f.read(t, "v3", f.atSubnet(), newUser(t), pathOf("canister_ranges", ours)), f.atSubnet())
	if _, status := hashtree.Lookup(cert.Tree, []byte("canister_ranges"), []byte(ours), principal.Canister(0).Bytes()); status != hashtree.Found {
		t.Errorf("canister ranges: %v", status)
	}
}

func TestPathsThatMayNotBeReadAreRefused(t *testing.T) {
	f := newReplica(t, false)
	ours, theirs := f.subnet().Raw(), foreignSubnet.Raw()
	canister := canisterA.Raw()
	const anyVersion = "v2 v3"
	for _, c := range []struct {
		versions string
		target   Target
		status   int
		paths    []hashtree.Path
	}{
		{anyVersion, at(canisterA), 400, []hashtree.Path{{}}},
		{anyVersion, at(canisterA), 400, []hashtree.Path{pathOf("bogus")}},
		{anyVersion, at(canisterA), 400, []hashtree.Path{pathOf("")}},
		{anyVersion, at(canisterA), 400, []hashtree.Path{pathOf("streams")}},
		{anyVersion, at(canisterA), 400, []hashtree.Path{pathOf("time", "more")}},
		{anyVersion, at(canisterA), 400, []hashtree.Path{pathOf("time"), pathOf("bogus")}},
		{anyVersion, at(canisterA), 400, []hashtree.Path{pathOf("api_boundary_nodes", "node", "secret")}},
		{anyVersion, at(canisterA), 400, []hashtree.Path{pathOf("request_status")}},
		{anyVersion, at(canisterA), 400, []hashtree.Path{pathOf("request_status", "short")}},
		{anyVersion, at(canisterA), 400, []hashtree.Path{pathOf("request_status", strings.Repeat("x", 33))}},
		{anyVersion, at(canisterA), 400, []hashtree.Path{pathOf("request_status", strings.Repeat("x", 32), "bogus")}},
		{anyVersion, at(canisterA), 400, []hashtree.Path{pathOf("request_status", strings.Repeat("x", 32), "status", "more")}},
		{anyVersion, at(canisterA), 400, []hashtree.Path{pathOf("request_status", strings.Repeat("x", 32)), pathOf("request_status", strings.Repeat("y", 32))}},
		{anyVersion, at(canisterA), 403, []hashtree.Path{pathOf("canister")}},
		{anyVersion, at(canisterA), 400, []hashtree.Path{pathOf("canister", canister)}},
		{anyVersion, at(canisterA), 403, []hashtree.Path{pathOf("canister", canister, "certified_data")}},
		{anyVersion, at(canisterA), 400, []hashtree.Path{pathOf("canister", canister, "metadata")}},
		{anyVersion, at(canisterA), 400, []hashtree.Path{pathOf("canister", canister, "metadata", "open", "more")}},
		{anyVersion, at(canisterA), 400, []hashtree.Path{pathOf("canister", canister, "metadata", "\xff\xfe")}},
		{anyVersion, at(canisterA), 400, []hashtree.Path{pathOf("canister", canister, "bogus")}},
		{anyVersion, at(canisterA), 403, []hashtree.Path{pathOf("canister", canisterB.Raw(), "controllers")}},
		{anyVersion, at(canisterA), 403, []hashtree.Path{pathOf("canister", canister, "controllers"), pathOf("canister", canisterB.Raw(), "controllers")}},
		{anyVersion, at(canisterA), 400, []hashtree.Path{pathOf("subnet", ours, "bogus")}},
		{anyVersion, at(canisterA), 400, []hashtree.Path{pathOf("subnet", ours, "public_key", "more")}},
		{anyVersion, at(canisterA), 400, []hashtree.Path{pathOf("subnet", ours, "node", "a node", "bogus")}},
		{anyVersion, at(canisterA), 403, []hashtree.Path{pathOf("subnet", ours, "metrics")}},
		{anyVersion, at(canisterA), 403, []hashtree.Path{pathOf("canister_ranges", ours)}},
		{"v3", at(canisterA), 403, []hashtree.Path{pathOf("subnet", ours, "canister_ranges")}},
		{"v3", f.atSubnet(), 403, []hashtree.Path{pathOf("subnet", ours, "canister_ranges")}},
		{anyVersion, f.atSubnet(), 403, []hashtree.Path{pathOf("subnet", theirs, "metrics")}},
		{anyVersion, f.atSubnet(), 403, []hashtree.Path{pathOf("canister", canister, "controllers")}},
		{anyVersion, f.atSubnet(), 400, []hashtree.Path{pathOf("canister_ranges")}},
		{anyVersion, f.atSubnet(), 400, []hashtree.Path{pathOf("canister_ranges", ours, "shard")}},
		{anyVersion, f.atSubnet(), 400, []hashtree.Path{pathOf("canister_ranges", ours), pathOf("canister_ranges", theirs)}},
		{anyVersion, Target{foreignSubnet, true}, 400, []hashtree.Path{pathOf("time")}},
		{anyVersion, at(foreign), 400, []hashtree.Path{pathOf("time")}},
		{anyVersion, at(principal.ID{}), 400, []hashtree.Path{pathOf("time")}},
		{anyVersion, at(principal.ID{}), 400, []hashtree.Path{pathOf("canister", "", "controllers")}},
	} {
		for _, version := range strings.Fields(c.versions) {
			w := f.read(t, version, c.target, newUser(t), c.paths...)
			if w.Code != c.status || w.Body.Len() < 20 {
				t.Errorf("%s at %s %s: status %d, %s", pathText(c.paths[0]), version, c.target.ID, w.Code, w.Body)
			}
		}
	}
}

func TestOlderEndpointsShowFlatRanges(t *testing.T) {
	f := newReplica(t, false)
	for _, target := range []Target{at(canisterA), f.atSubnet()} {
		path := pathOf("subnet", foreignSubnet.Raw(), "canister_ranges")
		cert := f.certificateIn(t, f.read(t, "v2", target, envelope.Anonymous{}, path), target)
		if _, status := hashtree.Lookup(cert.Tree, path...); status != hashtree.Found {
			t.Errorf("%v", status)
		}
	}
}

func TestNodesAndMetricsAreToldOfThisSubnetOnly(t *testing.T) {
	for _, root := range []bool{true, false} {
		f := newReplica(t, root)
		for _, version := range []string{"v2", "v3"} {
			cert := f.certificateIn(t, f.read(t, version, at(canisterA), envelope.Anonymous{}, pathOf("subnet")), at(canisterA))
			status := func(subnet principal.ID, labels ...string) hashtree.Status {
				_, s := hashtree.Find(cert.Tree, append(pathOf("subnet", subnet.Raw()), pathOf(labels...)...)...)
				return s
			}
			for _, id := range []principal.ID{f.subnet(), f.rootSubnet(), foreignSubnet} {
				if status(id, "public_key") != hashtree.Found || status(id, "type") != hashtree.Found {
					t.Fatalf("root %t, %s: key or type of %s is not shown", root, version, id)
				}
				own := hashtree.Unknown
				if id == f.subnet() {
					own = hashtree.Found
				}
				if got := status(id, "node", "a node", "public_key"); got != own {
					t.Errorf("root %t, %s: node of %s is %v", root, version, id, got)
				}
				if got := status(id, "metrics"); got != own {
					t.Errorf("root %t, %s: metrics of %s are %v", root, version, id, got)
				}
				flat := hashtree.Unknown
				if version == "v2" || id == f.rootSubnet() {
					flat = hashtree.Found
				}
				if got := status(id, "canister_ranges"); got != flat {
					t.Errorf("root %t, %s: ranges of %s are %v", root, version, id, got)
				}
			}
			if got := status(principal.Canister(1)); got != hashtree.Absent {
				t.Errorf("a subnet that is not listed is %v", got)
			}
			w := f.read(t, version, at(canisterA), envelope.Anonymous{}, pathOf("subnet", foreignSubnet.Raw(), "node", "a node", "public_key"))
			cert = f.certificateIn(t, w, at(canisterA))
			if got := status(foreignSubnet, "node"); got == hashtree.Found {
				t.Error("a node of another subnet was told")
			}
		}
	}
}

func TestRequestStatusIsToldToItsSenderAtItsTarget(t *testing.T) {
	f := newReplica(t, false)
	owner := newUser(t)
	call := callOf(canisterA, "inc", nil)
	call.Sender = owner.Sender()
	id := types.RequestID(call.ID())
	f.decide(id, Request{Sender: owner.Sender(), Canister: canisterA, Effective: at(canisterA), Terminal: true},
		node{"status": []byte("replied"), "reply": []byte("result")})
	status, reply := pathOf("request_status", string(id[:])), pathOf("request_status", string(id[:]), "reply")

	for _, paths := range [][]hashtree.Path{{status}, {reply}, {status, reply, pathOf("time")}} {
		cert := f.certificateIn(t, f.read(t, "v3", at(canisterA), owner, paths...), at(canisterA))
		if value, _ := hashtree.Lookup(cert.Tree, reply...); string(value) != "result" {
			t.Fatalf("reply %q", value)
		}
	}
	for _, id := range []envelope.Identity{newUser(t), envelope.Anonymous{}} {
		wantRefusal(t, f.read(t, "v3", at(canisterA), id, status), http.StatusForbidden, "someone else")
		wantRefusal(t, f.read(t, "v2", at(canisterA), id, reply), http.StatusForbidden, "someone else")
	}
	wantRefusal(t, f.read(t, "v3", at(canisterB), owner, status), http.StatusForbidden, "another effective id")
	wantRefusal(t, f.read(t, "v3", f.atSubnet(), owner, status), http.StatusForbidden, "another effective id")
	wantRefusal(t, f.read(t, "v3", at(principal.ID{}), owner, status), http.StatusForbidden, "another effective id")
}

func TestDelegationTargetsLimitWhichRequestsAreTold(t *testing.T) {
	f := newReplica(t, false)
	for _, c := range []struct {
		targets []principal.ID
		called  principal.ID
		ok      bool
	}{
		{nil, canisterA, true},
		{[]principal.ID{canisterA}, canisterA, true},
		{[]principal.ID{canisterA, canisterB}, canisterA, true},
		{[]principal.ID{canisterB}, canisterA, false},
		{[]principal.ID{}, canisterA, false},
		{[]principal.ID{{}}, principal.ID{}, true},
		{[]principal.ID{canisterA}, principal.ID{}, false},
	} {
		user := delegated(t, c.targets...)
		call := callOf(c.called, "method", []byte(fmt.Sprint(c.targets)))
		call.Sender = user.Sender()
		id := types.RequestID(call.ID())
		f.decide(id, Request{Sender: user.Sender(), Canister: c.called, Effective: at(canisterA), Terminal: true}, node{"status": []byte("replied")})
		w := f.read(t, "v3", at(canisterA), user, pathOf("request_status", string(id[:])))
		if c.ok {
			f.certificateIn(t, w, at(canisterA))
		} else {
			wantRefusal(t, w, http.StatusForbidden, "targets")
		}
	}
}

func TestStatusOfACreationSentToTheManagementCanister(t *testing.T) {
	f := newReplica(t, true)
	user := newUser(t)
	call := callOf(principal.ID{}, "provisional_create_canister_with_cycles", nil)
	call.Sender = user.Sender()
	id := types.RequestID(call.ID())
	path := pathOf("request_status", string(id[:]))
	answer(t, f.read(t, "v3", at(principal.ID{}), user, path))
	f.decide(id, Request{Sender: user.Sender(), Effective: at(principal.ID{}), Terminal: true}, node{"status": []byte("replied")})
	answer(t, f.read(t, "v3", at(principal.ID{}), user, path))
	wantRefusal(t, f.read(t, "v3", at(principal.ID{}), user, path, pathOf("subnet")), http.StatusBadRequest, "effective canister id")
}

func TestPrivateMetadataIsForControllers(t *testing.T) {
	f := newReplica(t, true)
	controller := newUser(t)
	f.private["secret"] = controller.Sender()
	path := pathOf("canister", canisterA.Raw(), "metadata", "secret")
	cert := f.certificateIn(t, f.read(t, "v3", at(canisterA), controller, path), at(canisterA))
	if value, _ := hashtree.Lookup(cert.Tree, path...); string(value) != "private" {
		t.Fatalf("%q", value)
	}
	for _, id := range []envelope.Identity{newUser(t), envelope.Anonymous{}} {
		wantRefusal(t, f.read(t, "v3", at(canisterA), id, path), http.StatusForbidden, "private")
	}
}

func TestTooManyPathsOrLabelsAreRefused(t *testing.T) {
	f := newReplica(t, true)
	many := make([]hashtree.Path, envelope.MaxPaths)
	for i := range many {
		many[i] = pathOf("subnet", fmt.Sprint(i))
	}
	f.certificateIn(t, f.read(t, "v3", at(canisterA), envelope.Anonymous{}, many...), at(canisterA))
	wantRefusal(t, f.read(t, "v3", at(canisterA), envelope.Anonymous{}, append(many, pathOf("time"))...), http.StatusBadRequest, "at most 1000")
	long := pathOf(strings.Split(strings.Repeat("x ", envelope.MaxPathLabels), " ")...)
	wantRefusal(t, f.read(t, "v3", at(canisterA), envelope.Anonymous{}, long), http.StatusBadRequest, "at most 127")
}

func TestForgedReadsAreRefused(t *testing.T) {
	f := newReplica(t, true)
	e, err := newUser(t).Sign(readOf())
	must(t, err)
	e.SenderSig[5] ^= 1
	wantRefusal(t, post(f.handler(nil), readPath("v3", at(canisterA)), e.Append(nil)), http.StatusForbidden, "Invalid signature")
	r := readOf()
	r.IngressExpiry = uint64(now - 1)
	wantRefusal(t, post(f.handler(nil), readPath("v3", at(canisterA)), seal(t, newUser(t), r)), http.StatusBadRequest, "Invalid request expiry: ")
	answer(t, post(f.handler(nil), readPath("v3", at(canisterA)), seal(t, envelope.Anonymous{}, r)))
}
