package api

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"fmt"
	"net/http"
	"testing"
	"time"

	"portico/lightclient/cbor"
	"portico/lightclient/envelope"
	"portico/lightclient/principal"
	"portico/node/types"
)

func queryPath(version string, id principal.ID) string {
	return fmt.Sprintf("/api/%s/canister/%s/query", version, id)
}

// signedBy checks the node signature of an answer to a request, as agents do.
func signedBy(t *testing.T, f *fakeReplica, m *cbor.Map, id types.RequestID) bool {
	t.Helper()
	signature := m.Get("signatures").(cbor.Array)[0].(*cbor.Map)
	if !bytes.Equal(signature.Get("identity").(cbor.Bytes), f.NodeID().Bytes()) {
		t.Fatal("signed by another node")
	}
	signed := &cbor.Map{}
	for i, key := range m.Keys {
		if key != "signatures" {
			signed.Set(key, m.Values[i])
		}
	}
	signed.Set("timestamp", signature.Get("timestamp"))
	signed.Set("request_id", cbor.Bytes(id[:]))
	hash, err := envelope.HashOfMap(signed)
	must(t, err)
	public := f.nodeKey.Public().(ed25519.PublicKey)
	return ed25519.Verify(public, envelope.ResponseSignedBytes(hash), signature.Get("signature").(cbor.Bytes))
}

func TestQueryAnswersAreSignedByTheNode(t *testing.T) {
	f := newReplica(t, true)
	for _, version := range []string{"v2", "v3"} {
		body := seal(t, newUser(t), queryOf(canisterA, "get", nil))
		m := answer(t, post(f.handler(nil), queryPath(version, canisterA), body))
		if m.Get("status") != cbor.Text("replied") || string(m.Get("reply").(*cbor.Map).Get("arg").(cbor.Bytes)) != "reply to get" {
			t.Fatalf("%+v", m)
		}
		id := idOf(t, body)
		if !signedBy(t, f, m, id) {
			t.Fatal("the signature does not verify")
		}
		if id[0] ^= 1; signedBy(t, f, m, id) {
			t.Fatal("the signature does not cover the request id")
		}
	}
}

func TestQueryRejectsAreSignedWithTheirErrorCode(t *testing.T) {
	f := newReplica(t, true)
	f.onQuery = func(context.Context, Query) ([]byte, *types.Reject, error) {
		return nil, types.Rejectf(types.ErrCanisterMethodNotFound, "no method %q", "get"), nil
	}
	body := seal(t, envelope.Anonymous{}, queryOf(canisterA, "get", nil))
	m := answer(t, post(f.handler(nil), queryPath("v3", canisterA), body))
	if m.Get("status") != cbor.Text("rejected") || m.Get("reject_code").(cbor.Nat).Uint64() != 5 || m.Get("error_code") != cbor.Text("IC0536") {
		t.Fatalf("%+v", m)
	}
	if !signedBy(t, f, m, idOf(t, body)) {
		t.Fatal("the signature does not verify")
	}
	for i, key := range m.Keys {
		if key == "error_code" {
			m.Values[i] = cbor.Text("IC0537")
		}
	}
	if signedBy(t, f, m, idOf(t, body)) {
		t.Fatal("the signature does not cover the error code")
	}
}

func TestEmptyReplyIsAReply(t *testing.T) {
	f := newReplica(t, true)
	f.onQuery = func(context.Context, Query) ([]byte, *types.Reject, error) { return nil, nil, nil }
	m := answer(t, post(f.handler(nil), queryPath("v3", canisterA), seal(t, envelope.Anonymous{}, queryOf(canisterA, "get", nil))))
	if arg, ok := m.Get("reply").(*cbor.Map).Get("arg").(cbor.Bytes); !ok || len(arg) != 0 {
		t.Fatalf("%+v", m)
	}
}

func TestAnonymousQueriesMayHaveAnyExpiry(t *testing.T) {
	f := newReplica(t, true)
	q := queryOf(canisterA, "get", nil)
	q.IngressExpiry = 0
	answer(t, post(f.handler(nil), queryPath("v3", canisterA), seal(t, envelope.Anonymous{}, q)))
	wantRefusal(t, post(f.handler(nil), queryPath("v3", canisterA), seal(t, newUser(t), q)), http.StatusBadRequest, "Invalid request expiry: ")
}

func delegated(t testing.TB, targets ...principal.ID) envelope.Delegated {
	from, to := newUser(t), newUser(t)
	d, err := envelope.Delegate(from.Signer, envelope.Delegation{
		PublicKey: to.Signer.PublicKey(), Expiration: uint64(now.Add(time.Hour)), Targets: targets,
	})
	must(t, err)
	return envelope.Delegated{PublicKey: from.Signer.PublicKey(), Chain: []envelope.SignedDelegation{d}, Signer: to.Signer}
}

func TestDelegationTargetsOfManagementQueriesMayNameTheCanister(t *testing.T) {
	f := newReplica(t, true)
	h := f.handler(nil)
	ask := func(id envelope.Identity) int {
		q := queryOf(principal.ID{}, "canister_status", candidRecord(t, "canister_id", canisterA))
		return post(h, queryPath("v3", canisterA), seal(t, id, q)).Code
	}
	for _, target := range []principal.ID{canisterA, {}} {
		if code := ask(delegated(t, target)); code != http.StatusOK {
			t.Errorf("target %s: status %d", target, code)
		}
	}
	if code := ask(delegated(t, canisterB)); code != http.StatusForbidden {
		t.Errorf("another target: status %d", code)
	}
}

func TestDelegationsToOtherCanistersAreRefused(t *testing.T) {
	f := newReplica(t, true)
	h := f.handler(nil)
	id := delegated(t, canisterB)
	wantRefusal(t, post(h, queryPath("v3", canisterA), seal(t, id, queryOf(canisterA, "get", nil))), http.StatusForbidden, "targets")
	wantRefusal(t, post(h, callPath("v4", canisterA), seal(t, id, callOf(canisterA, "inc", nil))), http.StatusForbidden, "targets")
	if len(f.asked)+len(f.submitted) != 0 {
		t.Fatal("the request reached the replica")
	}
}
