package execution_test

import (
	"strings"
	"testing"

	"portico/lightclient/principal"
	"portico/node/canistertest"
	"portico/node/types"
)

func TestStatusIsAnsweredByQueries(t *testing.T) {
	n := canistertest.New(t)
	id := n.Install(user(), notebookModule(), nil)
	var status struct {
		Version uint64 `candid:"version"`
	}
	reply, rej := n.Query(user(), principal.ID{}, "canister_status", canistertest.Encode(t, onCanister{id}))
	if rej != nil {
		t.Fatal(rej)
	}
	canistertest.Decode(t, reply, &status)
	if want := n.State().Canister(id).Version; status.Version != want {
		t.Errorf("the query says version %d, want %d", status.Version, want)
	}
	_, rej = n.Query(other(), principal.ID{}, "canister_status", canistertest.Encode(t, onCanister{id}))
	rejected(t, "the status for somebody else", rej, types.ErrCanisterInvalidController, "controllers")
	_, rej = n.Query(user(), principal.ID{}, "start_canister", canistertest.Encode(t, onCanister{id}))
	rejected(t, "a change by a query", rej, types.ErrCanisterMethodNotFound, "start_canister")
}

func TestCompositeQueriesAskTheManagementCanister(t *testing.T) {
	n := canistertest.New(t)
	p := newProxy(t, n)
	id := n.Install(user(), notebookModule(), nil)
	ask := func(method string, arg any) ([]byte, *types.Reject) {
		call := append([]byte{byte(len(method))}, method...)
		return n.Query(user(), p.id, "ask", append(call, canistertest.Encode(t, arg)...))
	}
	var status struct {
		Version uint64 `candid:"version"`
	}
	reply, rej := ask("canister_status", onCanister{p.id}) // its own
	if rej != nil {
		t.Fatal(rej)
	}
	canistertest.Decode(t, reply, &status)
	if want := n.State().Canister(p.id).Version; status.Version != want {
		t.Errorf("the canister's own version is %d, want %d", status.Version, want)
	}
	if _, rej := ask("fetch_canister_logs", onCanister{id}); rej == nil || !strings.Contains(rej.Message, "controllers") {
		t.Errorf("the log of another canister: %v", rej)
	}
	if _, rej := ask("canister_info", onCanister{id}); rej != nil {
		t.Errorf("canister_info: %v", rej)
	}
	if _, rej := ask("stop_canister", onCanister{p.id}); rej == nil || !strings.Contains(rej.Message, "not found") {
		t.Errorf("a change by a composite query: %v", rej)
	}
}

func TestOnlyThoseWhoMayAreLetIn(t *testing.T) {
	n := canistertest.New(t)
	id := n.Install(user(), notebookModule(), nil)
	for _, method := range []string{"start_canister", "uninstall_code", "upload_chunk", "take_canister_snapshot", "canister_metrics", "canister_status"} {
		rejected(t, method+" by somebody else", n.Inspect(other(), method, onCanister{id}), types.ErrCanisterInvalidController, "controllers")
		if rej := n.Inspect(user(), method, onCanister{id}); rej != nil {
			t.Errorf("%s by the controller: %v", method, rej)
		}
		rejected(t, method+" of no canister", n.Inspect(user(), method, onCanister{principal.Canister(77)}), types.ErrCanisterNotFound, "not found")
	}
	for _, method := range []string{"raw_rand", "deposit_cycles", "canister_info", "canister_metadata", "subnet_info", "node_metrics_history", "create_canister", "fetch_canister_logs", "list_canisters"} {
		rejected(t, method+" by a user", n.Inspect(user(), method, onCanister{id}), types.ErrCanisterRejectedMessage, "can be called only by")
	}
	rejected(t, "an unknown method", n.Inspect(user(), "no_such_method", onCanister{id}), types.ErrUnknownManagementMessage, "no method")
}
