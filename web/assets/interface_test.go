package main

import (
	"context"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/tetratelabs/wazero"

	"portico/lightclient/candid"
	"portico/lightclient/candid/marshal"
	"portico/lightclient/principal"
)

// signatures are the Go types of the argument and the result of each method; nil is none.
func signatures() map[string][2]any {
	var optText *string
	var optBlob *[]byte
	var ids []principal.ID
	return map[string][2]any{
		"api_version": {nil, uint16(0)}, "get": {getArg{}, getResult{}}, "get_chunk": {getChunkArg{}, getChunkResult{}},
		"list": {listArg{}, []assetDetails{}}, "certified_tree": {(*empty)(nil), certifiedTree{}},
		"create_batch": {(*empty)(nil), batchArg{}}, "create_chunk": {chunkArg{}, chunkResult{}}, "create_chunks": {chunksArg{}, chunksResult{}},
		"commit_batch": {commitArg{}, nil}, "propose_commit_batch": {commitArg{}, nil}, "commit_proposed_batch": {commitProposedArg{}, nil},
		"compute_evidence": {evidenceArg{}, optBlob}, "compute_state_hash": {(*empty)(nil), optText}, "get_state_info": {nil, stateInfo{}},
		"delete_batch": {batchArg{}, nil}, "create_asset": {createAsset{}, nil}, "set_asset_content": {setContent{}, nil},
		"unset_asset_content": {unsetContent{}, nil}, "delete_asset": {keyArg{}, nil}, "clear": {(*empty)(nil), nil}, "store": {storeArg{}, nil},
		"http_request": {httpRequest{}, httpResponse{}}, "http_request_update": {httpRequest{}, httpResponse{}}, "http_request_streaming_callback": {streamingToken{}, streamedBody{}},
		"authorize": {principal.ID{}, nil}, "deauthorize": {principal.ID{}, nil}, "list_authorized": {(*empty)(nil), ids},
		"grant_permission": {grantArg{}, nil}, "revoke_permission": {revokeArg{}, nil}, "list_permitted": {listPermittedArg{}, ids},
		"take_ownership": {(*empty)(nil), nil}, "get_asset_properties": {"", properties{}}, "set_asset_properties": {setProperties{}, nil},
		"get_configuration": {(*empty)(nil), limits{}}, "configure": {configureArg{}, nil},
		"validate_grant_permission": {grantArg{}, validation{}}, "validate_revoke_permission": {revokeArg{}, validation{}},
		"validate_take_ownership": {(*empty)(nil), validation{}}, "validate_commit_proposed_batch": {commitProposedArg{}, validation{}},
		"validate_configure": {configureArg{}, validation{}},
	}
}

func service(t *testing.T) *candid.ServiceType {
	t.Helper()
	text, err := os.ReadFile("assets.did")
	if err != nil {
		t.Fatal(err)
	}
	did, err := candid.ParseDid(string(text))
	if err != nil {
		t.Fatal(err)
	}
	s, ok := did.ServiceType()
	if !ok {
		t.Fatal("assets.did describes no service")
	}
	return s
}

func types(t *testing.T, value any) []candid.ArgType {
	t.Helper()
	if value == nil {
		return nil
	}
	typ, err := marshal.TypeOf(value)
	if err != nil {
		t.Fatal(err)
	}
	return []candid.ArgType{{Type: typ}}
}

func TestGoTypesFitTheInterface(t *testing.T) {
	ours := signatures()
	for _, m := range service(t).Methods {
		want, _ := candid.Resolve(m.Type).(*candid.FuncType)
		sig, ok := ours[m.Name]
		if !ok {
			t.Errorf("%s has no signature here", m.Name)
			continue
		}
		delete(ours, m.Name)
		got := &candid.FuncType{Args: types(t, sig[0]), Results: types(t, sig[1]), Annotations: want.Annotations}
		if !candid.Subtype(got, want) {
			t.Errorf("%s is %v here, which is no subtype of %v", m.Name, got, want)
		}
	}
	for name := range ours {
		t.Errorf("assets.did has no method %s", name)
	}
}

func TestEveryMethodIsExportedAsTheInterfaceSays(t *testing.T) {
	if testing.Short() {
		t.Skip("compiles a canister twice: to WebAssembly and to machine code")
	}
	wasm, err := build()
	if err != nil {
		t.Fatal(err)
	}
	ctx := context.Background()
	r := wazero.NewRuntimeWithConfig(ctx, wazero.NewRuntimeConfigInterpreter())
	code, err := r.CompileModule(ctx, wasm)
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for name := range code.ExportedFunctions() {
		if strings.Contains(name, " ") {
			got = append(got, name)
		}
	}
	want := []string{"canister_update cdk_timer"}
	for _, m := range service(t).Methods {
		kind := "canister_update "
		if f, _ := candid.Resolve(m.Type).(*candid.FuncType); f.Annotations&candid.Query != 0 {
			kind = "canister_query "
		}
		want = append(want, kind+m.Name)
	}
	slices.Sort(got)
	slices.Sort(want)
	if !slices.Equal(got, want) {
		t.Errorf("exported: %q\nwanted:   %q", got, want)
	}
	if err := r.Close(ctx); err != nil {
		t.Error(err)
	}
}
