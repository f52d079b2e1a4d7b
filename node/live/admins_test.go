package live

import (
	"bytes"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"portico/lightclient/cbor"
	"portico/lightclient/envelope"
	"portico/lightclient/principal"
	"portico/node/canistertest"
)

// post sends a user's request to a replica and returns the answer.
func (n *running) post(t *testing.T, as envelope.Identity, path string, r envelope.Request) *cbor.Map {
	t.Helper()
	r.IngressExpiry = uint64(time.Now().Add(4 * time.Minute).UnixNano())
	e, err := as.Sign(r)
	if err != nil {
		t.Fatal(err)
	}
	request := httptest.NewRequest(http.MethodPost, path, bytes.NewReader(e.Append(nil)))
	request.Header.Set("Content-Type", "application/cbor")
	w := httptest.NewRecorder()
	n.API().ServeHTTP(w, request)
	if w.Code != http.StatusOK {
		t.Fatalf("%s: HTTP status %d: %s", path, w.Code, w.Body)
	}
	answer, err := cbor.Decode(w.Body.Bytes())
	if err != nil {
		t.Fatal(err)
	}
	return answer.(*cbor.Map)
}

func TestASubnetAdminMakesAndListsCanistersAtTheSubnetsEndpoints(t *testing.T) {
	key := func(seed byte) envelope.Keyed {
		k, err := envelope.NewEd25519(bytes.Repeat([]byte{seed}, 32))
		if err != nil {
			t.Fatal(err)
		}
		return envelope.Keyed{Signer: k}
	}
	admin, user := key(1), key(2)
	s := newSubnet(t, 1, testInterval)
	s.records.Subnet.Admins = []principal.ID{admin.Sender()}
	s.start(0)
	n := s.nodes[0]
	defer s.stop(0)
	n.reach(t, 1)
	subnet := s.records.Subnet.ID.String()
	create := envelope.Request{Kind: envelope.Call, Method: "create_canister", Arg: canistertest.Encode(t, struct{}{})}
	list := envelope.Request{Kind: envelope.Query, Method: "list_canisters", Arg: canistertest.Encode(t, struct{}{})}
	at := map[envelope.Kind]string{envelope.Call: "/api/v4/subnet/" + subnet + "/call", envelope.Query: "/api/v3/subnet/" + subnet + "/query"}
	for _, x := range []struct {
		as     envelope.Identity
		r      envelope.Request
		status cbor.Text
	}{
		{user, create, "non_replicated_rejection"}, {user, list, "rejected"}, {admin, create, "replied"}, {admin, list, "replied"},
	} {
		answer := n.post(t, x.as, at[x.r.Kind], x.r)
		if got := answer.Get("status"); got != x.status {
			t.Errorf("%s by %s: status %v, reject %v", x.r.Method, x.as.Sender(), got, answer.Get("reject_message"))
		}
	}
	state := n.reach(t, 0).state
	if ids := state.IDs(); len(ids) != 1 || !state.Canister(ids[0]).IsController(admin.Sender()) || !state.Canister(ids[0]).Cycles.IsZero() {
		t.Errorf("there are the canisters %v, want one of the admin's, without cycles", ids)
	}
}
