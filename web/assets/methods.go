package main

import (
	"encoding/hex"
	"errors"
	"fmt"

	"portico/lightclient/cbor"
	"portico/lightclient/hashtree"
	"portico/lightclient/principal"
	"portico/node/cdk"
)

// The methods of assets.did, in its order.

//go:wasmexport canister_query_api_version
func apiVersion() { cdk.Query(func(m *cdk.Message) error { return m.Reply(uint16(2)) }) }

//go:wasmexport canister_query_get
func getAsset() { query(func(arg getArg) (any, error) { return result(state.get(&arg)) }) }

//go:wasmexport canister_query_get_chunk
func getChunk() {
	query(func(arg getChunkArg) (any, error) {
		b, _, err := state.piece(arg.Key, arg.Encoding, arg.Index, arg.SHA256)
		return getChunkResult{b}, err
	})
}

//go:wasmexport canister_query_list
func listAssets() { query(func(arg listArg) (any, error) { return state.list(&arg), nil }) }

// The tree that certified_tree returns is pruned to the page that every client asks
// for: whole, it would not fit into a reply for a large site.
//
//go:wasmexport canister_query_certified_tree
func certifiedTreeOf() {
	query(func(*empty) (any, error) {
		c := dataCertificate()
		if c == nil {
			return nil, errors.New("no data certificate available")
		}
		tree, err := state.tree.WitnessBody(indexFile)
		return certifiedTree{c, hashtree.Append(cbor.AppendSelfDescribe(nil), tree)}, err
	})
}

//go:wasmexport canister_update_create_batch
func createBatch() {
	change(allowed(mayPrepare), func(_ *cdk.Message, _ *empty) (any, error) {
		id, err := state.createBatch(uint64(cdk.Time()))
		return batchArg{id}, err
	})
}

//go:wasmexport canister_update_create_chunk
func createChunk() {
	change(allowed(mayPrepare), func(_ *cdk.Message, arg chunkArg) (any, error) {
		ids, err := state.createChunks(arg.BatchID, [][]byte{arg.Content}, uint64(cdk.Time()))
		if err != nil {
			return nil, err
		}
		return chunkResult{ids[0]}, nil
	})
}

//go:wasmexport canister_update_create_chunks
func createChunks() {
	change(allowed(mayPrepare), func(_ *cdk.Message, arg chunksArg) (any, error) {
		ids, err := state.createChunks(arg.BatchID, arg.Content, uint64(cdk.Time()))
		return chunksResult{ids}, err
	})
}

//go:wasmexport canister_update_commit_batch
func commitBatch() {
	changeContents(
		func(arg *commitArg) ([]*setContent, error) { return contentsOf(arg.Operations), nil },
		func(arg *commitArg, d map[*setContent]*digest, now uint64) error { return state.commit(arg, d, now) },
	)
}

//go:wasmexport canister_update_propose_commit_batch
func proposeCommitBatch() {
	change(allowed(mayPrepare), func(_ *cdk.Message, arg commitArg) (any, error) { return nil, state.propose(&arg) })
}

//go:wasmexport canister_update_commit_proposed_batch
func commitProposedBatch() {
	changeContents(
		func(arg *commitProposedArg) ([]*setContent, error) {
			b, err := state.checkProposed(arg)
			if err != nil {
				return nil, err
			}
			return contentsOf(b.proposed.Operations), nil
		},
		func(arg *commitProposedArg, d map[*setContent]*digest, now uint64) error {
			// once more: the batch may have been deleted while its contents were hashed
			b, err := state.checkProposed(arg)
			if err != nil {
				return err
			}
			return state.commit(b.proposed, d, now)
		},
	)
}

//go:wasmexport canister_update_compute_evidence
func computeEvidence() {
	change(allowed(mayPrepare), func(_ *cdk.Message, arg evidenceArg) (any, error) {
		sum, err := state.computeEvidence(&arg)
		if sum == nil {
			return (*[]byte)(nil), err
		}
		return &sum, err
	})
}

//go:wasmexport canister_update_compute_state_hash
func computeStateHash() {
	change(allowed(mayPrepare), func(*cdk.Message, *empty) (any, error) { return pass(state.computeStateHash()) })
}

//go:wasmexport canister_query_get_state_info
func getStateInfo() { cdk.Query(func(m *cdk.Message) error { return m.Reply(state.info()) }) }

//go:wasmexport canister_update_delete_batch
func deleteBatch() {
	change(allowed(mayPrepare), func(_ *cdk.Message, arg batchArg) (any, error) { return nil, state.deleteBatch(arg.BatchID) })
}

//go:wasmexport canister_update_create_asset
func createOne() { changeAssets(func(arg createAsset, _ uint64) error { return state.create(&arg) }) }

//go:wasmexport canister_update_set_asset_content
func setAssetContent() {
	changeContents(
		func(arg *setContent) ([]*setContent, error) { return []*setContent{arg}, nil },
		func(arg *setContent, d map[*setContent]*digest, now uint64) error {
			return state.setContent(arg, d[arg], int64(now))
		},
	)
}

//go:wasmexport canister_update_unset_asset_content
func unsetAssetContent() {
	changeAssets(func(arg unsetContent, _ uint64) error { return state.unsetContent(&arg) })
}

//go:wasmexport canister_update_delete_asset
func deleteAsset() {
	changeAssets(func(arg keyArg, _ uint64) error {
		state.remove(arg.Key)
		return nil
	})
}

//go:wasmexport canister_update_clear
func clearAll() {
	changeAssets(func(*empty, uint64) error {
		state.reset()
		return nil
	})
}

//go:wasmexport canister_update_store
func storeAsset() {
	changeAssets(func(arg storeArg, now uint64) error { return state.storeOne(&arg, int64(now)) })
}

//go:wasmexport canister_query_http_request
func serveHTTP() {
	query(func(req httpRequest) (any, error) {
		return *state.http(&req, dataCertificate(), false, callback()), nil
	})
}

//go:wasmexport canister_update_http_request_update
func serveHTTPReplicated() {
	change(everybody, func(_ *cdk.Message, req httpRequest) (any, error) {
		return *state.http(&req, nil, true, callback()), nil
	})
}

//go:wasmexport canister_query_http_request_streaming_callback
func serveStream() {
	query(func(token streamingToken) (any, error) { return result(state.streamed(&token)) })
}

//go:wasmexport canister_update_authorize
func authorize() {
	change(managers, func(_ *cdk.Message, who principal.ID) (any, error) {
		state.permissions.grant(who, mayCommit)
		return nil, nil
	})
}

//go:wasmexport canister_update_deauthorize
func deauthorize() {
	change(anybody, func(m *cdk.Message, who principal.ID) (any, error) {
		if err := managersUnlessSelf(m, who); err != nil {
			return nil, err
		}
		state.permissions.revoke(who, mayCommit)
		return nil, nil
	})
}

//go:wasmexport canister_update_list_authorized
func listAuthorized() {
	change(anybody, func(*cdk.Message, *empty) (any, error) { return state.permissions.list(mayCommit), nil })
}

//go:wasmexport canister_update_grant_permission
func grantPermission() {
	change(managers, func(_ *cdk.Message, arg grantArg) (any, error) {
		state.permissions.grant(arg.To, arg.Permission.permission())
		return nil, nil
	})
}

//go:wasmexport canister_update_revoke_permission
func revokePermission() {
	change(anybody, func(m *cdk.Message, arg revokeArg) (any, error) {
		if err := managersUnlessSelf(m, arg.Of); err != nil {
			return nil, err
		}
		state.permissions.revoke(arg.Of, arg.Permission.permission())
		return nil, nil
	})
}

//go:wasmexport canister_update_list_permitted
func listPermitted() {
	change(anybody, func(_ *cdk.Message, arg listPermittedArg) (any, error) {
		return state.permissions.list(arg.Permission.permission()), nil
	})
}

//go:wasmexport canister_update_take_ownership
func takeOwnership() {
	change(controllers, func(m *cdk.Message, _ *empty) (any, error) {
		state.permissions.set(&setPermissions{Commit: []principal.ID{m.Caller()}})
		return nil, nil
	})
}

//go:wasmexport canister_query_get_asset_properties
func getAssetProperties() {
	query(func(key string) (any, error) {
		f := state.files[key]
		if f == nil {
			return nil, errNoAsset
		}
		return properties{f.maxAge, f.headers, f.rawAccess, f.aliased}, nil
	})
}

//go:wasmexport canister_update_set_asset_properties
func setAssetProperties() {
	changeAssets(func(arg setProperties, _ uint64) error { return state.setProperties(&arg) })
}

//go:wasmexport canister_update_get_configuration
func getConfiguration() {
	change(allowed(mayPrepare), func(*cdk.Message, *empty) (any, error) { return state.limits, nil })
}

//go:wasmexport canister_update_configure
func configure() {
	change(allowed(mayCommit), func(_ *cdk.Message, arg configureArg) (any, error) {
		state.configure(&arg)
		return nil, nil
	})
}

//go:wasmexport canister_update_validate_grant_permission
func validateGrantPermission() {
	valid(func(arg grantArg) (string, error) {
		return fmt.Sprintf("grant permission %s to principal %s", arg.Permission.permission(), arg.To), nil
	})
}

//go:wasmexport canister_update_validate_revoke_permission
func validateRevokePermission() {
	valid(func(arg revokeArg) (string, error) {
		return fmt.Sprintf("revoke permission %s from principal %s", arg.Permission.permission(), arg.Of), nil
	})
}

//go:wasmexport canister_update_validate_take_ownership
func validateTakeOwnership() {
	valid(func(*empty) (string, error) {
		return "revoke all permissions, then gives the caller Commit permissions", nil
	})
}

//go:wasmexport canister_update_validate_commit_proposed_batch
func validateCommitProposedBatch() {
	valid(func(arg commitProposedArg) (string, error) {
		_, err := state.checkProposed(&arg)
		return fmt.Sprintf("commit proposed batch %d with evidence %s", arg.BatchID, hex.EncodeToString(arg.Evidence)), err
	})
}

//go:wasmexport canister_update_validate_configure
func validateConfigure() {
	valid(func(arg configureArg) (string, error) {
		text := "configure:"
		for _, f := range []struct {
			name  string
			value **uint64
		}{{"max_batches", arg.MaxBatches}, {"max_chunks", arg.MaxChunks}, {"max_bytes", arg.MaxBytes}} {
			switch {
			case f.value == nil:
				text += fmt.Sprintf(" %s stays;", f.name)
			case *f.value == nil:
				text += fmt.Sprintf(" %s without limit;", f.name)
			default:
				text += fmt.Sprintf(" %s = %d;", f.name, **f.value)
			}
		}
		return text, nil
	})
}

// valid serves a method that tells what another one would do, for votes on it.
func valid[A any](describe func(A) (string, error)) {
	change(anybody, func(_ *cdk.Message, arg A) (any, error) {
		text, err := describe(arg)
		if err != nil {
			text = err.Error()
			return validation{Err: &text}, nil
		}
		return validation{Ok: &text}, nil
	})
}

// result passes a pointer on as the value that is to be encoded.
func result[T any](v *T, err error) (any, error) {
	if err != nil {
		return nil, err
	}
	return *v, nil
}

// pass hands a pointer on as the opt that it is.
func pass[T any](v *T, err error) (any, error) { return v, err }
