package main

import (
	"portico/lightclient/candid"
	"portico/lightclient/candid/marshal"
	"portico/lightclient/principal"
)

// The types of assets.did, for package marshal.

type headerField struct {
	Name  string `candid:"0"`
	Value string `candid:"1"`
}

type keyArg struct {
	Key string `candid:"key"`
}

type empty struct{}

type createAsset struct {
	Key            string         `candid:"key"`
	ContentType    string         `candid:"content_type"`
	MaxAge         *uint64        `candid:"max_age"`
	Headers        *[]headerField `candid:"headers"`
	EnableAliasing *bool          `candid:"enable_aliasing"`
	AllowRawAccess *bool          `candid:"allow_raw_access"`
}

type setContent struct {
	Key       string   `candid:"key"`
	Encoding  string   `candid:"content_encoding"`
	ChunkIDs  []uint64 `candid:"chunk_ids,nat"`
	LastChunk *[]byte  `candid:"last_chunk"`
	SHA256    *[]byte  `candid:"sha256"`
}

type unsetContent struct {
	Key      string `candid:"key"`
	Encoding string `candid:"content_encoding"`
}

type setProperties struct {
	Key            string          `candid:"key"`
	MaxAge         **uint64        `candid:"max_age"`
	Headers        **[]headerField `candid:"headers"`
	AllowRawAccess **bool          `candid:"allow_raw_access"`
	IsAliased      **bool          `candid:"is_aliased"`
}

type operation struct {
	Create        *createAsset   `candid:"CreateAsset,variant"`
	SetContent    *setContent    `candid:"SetAssetContent,variant"`
	SetProperties *setProperties `candid:"SetAssetProperties,variant"`
	UnsetContent  *unsetContent  `candid:"UnsetAssetContent,variant"`
	Delete        *keyArg        `candid:"DeleteAsset,variant"`
	Clear         *empty         `candid:"Clear,variant"`
}

type commitArg struct {
	BatchID    uint64      `candid:"batch_id,nat"`
	Operations []operation `candid:"operations"`
}

type commitProposedArg struct {
	BatchID  uint64 `candid:"batch_id,nat"`
	Evidence []byte `candid:"evidence"`
}

type evidenceArg struct {
	BatchID       uint64  `candid:"batch_id,nat"`
	MaxIterations *uint16 `candid:"max_iterations"`
}

type batchArg struct {
	BatchID uint64 `candid:"batch_id,nat"`
}

type chunkArg struct {
	BatchID uint64 `candid:"batch_id,nat"`
	Content []byte `candid:"content"`
}

type chunkResult struct {
	ChunkID uint64 `candid:"chunk_id,nat"`
}

type chunksArg struct {
	BatchID uint64   `candid:"batch_id,nat"`
	Content [][]byte `candid:"content"`
}

type chunksResult struct {
	ChunkIDs []uint64 `candid:"chunk_ids,nat"`
}

type storeArg struct {
	Key         string  `candid:"key"`
	ContentType string  `candid:"content_type"`
	Encoding    string  `candid:"content_encoding"`
	Content     []byte  `candid:"content"`
	SHA256      *[]byte `candid:"sha256"`
}

type getArg struct {
	Key             string   `candid:"key"`
	AcceptEncodings []string `candid:"accept_encodings"`
}

type getResult struct {
	Content     []byte  `candid:"content"`
	ContentType string  `candid:"content_type"`
	Encoding    string  `candid:"content_encoding"`
	SHA256      *[]byte `candid:"sha256"`
	TotalLength uint64  `candid:"total_length,nat"`
}

type getChunkArg struct {
	Key      string  `candid:"key"`
	Encoding string  `candid:"content_encoding"`
	Index    uint64  `candid:"index,nat"`
	SHA256   *[]byte `candid:"sha256"`
}

type getChunkResult struct {
	Content []byte `candid:"content"`
}

type listArg struct {
	Start  *uint64 `candid:"start,nat"`
	Length *uint64 `candid:"length,nat"`
}

type assetDetails struct {
	Key            string            `candid:"key"`
	ContentType    string            `candid:"content_type"`
	Encodings      []encodingDetails `candid:"encodings"`
	MaxAge         *uint64           `candid:"max_age"`
	Headers        *[]headerField    `candid:"headers"`
	AllowRawAccess *bool             `candid:"allow_raw_access"`
	IsAliased      *bool             `candid:"is_aliased"`
}

type encodingDetails struct {
	Encoding string  `candid:"content_encoding"`
	SHA256   *[]byte `candid:"sha256"`
	Length   uint64  `candid:"length,nat"`
	Modified int64   `candid:"modified,int"`
}

type properties struct {
	MaxAge         *uint64        `candid:"max_age"`
	Headers        *[]headerField `candid:"headers"`
	AllowRawAccess *bool          `candid:"allow_raw_access"`
	IsAliased      *bool          `candid:"is_aliased"`
}

type certifiedTree struct {
	Certificate []byte `candid:"certificate"`
	Tree        []byte `candid:"tree"`
}

type stateInfo struct {
	LastUpdate uint64  `candid:"last_state_update_timestamp"`
	StateHash  *string `candid:"state_hash"`
}

type limits struct {
	MaxBatches *uint64 `candid:"max_batches"`
	MaxChunks  *uint64 `candid:"max_chunks"`
	MaxBytes   *uint64 `candid:"max_bytes"`
}

type configureArg struct {
	MaxBatches **uint64 `candid:"max_batches"`
	MaxChunks  **uint64 `candid:"max_chunks"`
	MaxBytes   **uint64 `candid:"max_bytes"`
}

type permissionCase struct {
	Commit            bool `candid:"Commit,variant"`
	ManagePermissions bool `candid:"ManagePermissions,variant"`
	Prepare           bool `candid:"Prepare,variant"`
}

type grantArg struct {
	To         principal.ID   `candid:"to_principal"`
	Permission permissionCase `candid:"permission"`
}

type revokeArg struct {
	Of         principal.ID   `candid:"of_principal"`
	Permission permissionCase `candid:"permission"`
}

type listPermittedArg struct {
	Permission permissionCase `candid:"permission"`
}

type validation struct {
	Ok  *string `candid:"Ok,variant"`
	Err *string `candid:"Err,variant"`
}

type setPermissions struct {
	Prepare           []principal.ID `candid:"prepare"`
	Commit            []principal.ID `candid:"commit"`
	ManagePermissions []principal.ID `candid:"manage_permissions"`
}

type installArgs struct {
	SetPermissions *setPermissions `candid:"set_permissions"`
}

type canisterArgs struct {
	Init    *installArgs `candid:"Init,variant"`
	Upgrade *installArgs `candid:"Upgrade,variant"`
}

type httpRequest struct {
	Method             string        `candid:"method"`
	URL                string        `candid:"url"`
	Headers            []headerField `candid:"headers"`
	Body               []byte        `candid:"body"`
	CertificateVersion *uint16       `candid:"certificate_version"`
}

type httpResponse struct {
	Status    uint16             `candid:"status_code"`
	Headers   []headerField      `candid:"headers"`
	Body      []byte             `candid:"body"`
	Streaming *streamingStrategy `candid:"streaming_strategy"`
	Upgrade   *bool              `candid:"upgrade"`
}

type streamingToken struct {
	Key      string  `candid:"key"`
	Encoding string  `candid:"content_encoding"`
	Index    uint64  `candid:"index,nat"`
	SHA256   *[]byte `candid:"sha256"`
}

type streamingCallback candid.Func

// CandidType leaves the result's opt away: gateways take the result as a record, and
// whoever expects an opt takes a record as well.
func (streamingCallback) CandidType() candid.Type {
	return marshal.FuncType([]any{streamingToken{}}, []any{streamedBody{}}, candid.Query)
}

type streamingStrategy struct {
	Callback *struct {
		Callback streamingCallback `candid:"callback"`
		Token    streamingToken    `candid:"token"`
	} `candid:"Callback,variant"`
}

type streamedBody struct {
	Body  []byte          `candid:"body"`
	Token *streamingToken `candid:"token"`
}
