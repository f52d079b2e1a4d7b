package sync

// The types of assets.did that an upload needs, for package marshal.

type headerField struct {
	Name  string `candid:"0"`
	Value string `candid:"1"`
}

type empty struct{}

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
}

type assetProperties struct {
	MaxAge         *uint64        `candid:"max_age"`
	Headers        *[]headerField `candid:"headers"`
	AllowRawAccess *bool          `candid:"allow_raw_access"`
	IsAliased      *bool          `candid:"is_aliased"`
}

type batchID struct {
	ID uint64 `candid:"batch_id,nat"`
}

type chunksArg struct {
	BatchID uint64   `candid:"batch_id,nat"`
	Content [][]byte `candid:"content"`
}

type chunkIDs struct {
	IDs []uint64 `candid:"chunk_ids,nat"`
}

type keyArg struct {
	Key string `candid:"key"`
}

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
}

type commitArg struct {
	BatchID    uint64      `candid:"batch_id,nat"`
	Operations []operation `candid:"operations"`
}

type evidenceArg struct {
	BatchID       uint64  `candid:"batch_id,nat"`
	MaxIterations *uint16 `candid:"max_iterations"`
}
