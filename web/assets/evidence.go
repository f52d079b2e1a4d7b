package main

import (
	"encoding/binary"
	"encoding/hex"
	"errors"
	"hash"
	"maps"
	"slices"

	"portico/node/cdk"
)

// Evidence is a hash over operations: who approves of a proposed batch computes it
// from the files and compares. These tags keep its parts apart; they are fixed by
// the tools that compute it.
const (
	tagFalse         = 0
	tagTrue          = 1
	tagNone          = 2
	tagSome          = 3
	tagCreate        = 4
	tagSetContent    = 5
	tagUnsetContent  = 6
	tagDelete        = 7
	tagClear         = 8
	tagSetProperties = 9
)

// evidenceSteps is how many steps one call of compute_evidence takes unless it says
// otherwise; a step hashes an operation or a chunk.
const evidenceSteps = 20

// evidence is a computation under way: it stands before chunk number chunk of
// operation number operation, or, if chunk is negative, before the operation itself.
type evidence struct {
	operation, chunk int
	hash             evidenceHash
	sum              []byte // once complete
}

func newEvidence() *evidence { return &evidence{chunk: -1, hash: evidenceHash{cdk.NewSHA256()}} }

func (e *evidence) complete() bool { return e != nil && e.sum != nil }

// computeEvidence goes on by some steps; sum is nil until it is complete.
func (s *store) computeEvidence(arg *evidenceArg) (sum []byte, err error) {
	b := s.uploads.batches[arg.BatchID]
	switch {
	case b == nil:
		return nil, errNoBatch
	case b.proposed == nil:
		return nil, errors.New("batch does not have CommitBatchArguments")
	}
	if b.evidence == nil {
		b.evidence = newEvidence()
	}
	steps := uint16(evidenceSteps)
	if arg.MaxIterations != nil {
		steps = *arg.MaxIterations
	}
	for ; steps > 0 && !b.evidence.complete(); steps-- {
		if err := s.advance(b.evidence, b.proposed.Operations); err != nil {
			return nil, err
		}
	}
	return b.evidence.sum, nil
}

func (s *store) advance(e *evidence, ops []operation) error {
	if e.operation == len(ops) {
		e.sum = e.hash.Sum(nil)
		return nil
	}
	op := &ops[e.operation]
	if e.chunk < 0 {
		e.hash.operation(op)
		e.chunk = 0
	} else if err := s.hashChunk(e, op.SetContent); err != nil {
		return err
	}
	if op.SetContent == nil || e.chunk > len(op.SetContent.ChunkIDs) {
		e.operation, e.chunk = e.operation+1, -1
	}
	return nil
}

// hashChunk hashes the next chunk; after the uploaded ones comes the one that came
// with the operation.
func (s *store) hashChunk(e *evidence, op *setContent) error {
	defer func() { e.chunk++ }()
	if e.chunk < len(op.ChunkIDs) {
		c, ok := s.uploads.chunks[op.ChunkIDs[e.chunk]]
		if !ok {
			// Passing over it would let somebody upload it after the evidence was approved.
			return errNoChunk
		}
		return s.space.copyTo(e.hash, content{c.extent})
	}
	if op.LastChunk != nil {
		e.hash.Write(*op.LastChunk)
	}
	return nil
}

// evidenceHash writes the parts of operations as evidence has them.
type evidenceHash struct{ hash.Hash }

func (h evidenceHash) tag(t byte)    { h.Write([]byte{t}) }
func (h evidenceHash) text(s string) { h.Write([]byte(s)) }

func (h evidenceHash) operation(op *operation) {
	switch {
	case op.Create != nil:
		h.create(op.Create)
	case op.SetContent != nil:
		h.setContent(op.SetContent.Key, op.SetContent.Encoding, op.SetContent.SHA256)
	case op.UnsetContent != nil:
		h.tag(tagUnsetContent)
		h.text(op.UnsetContent.Key)
		h.text(op.UnsetContent.Encoding)
	case op.Delete != nil:
		h.tag(tagDelete)
		h.text(op.Delete.Key)
	case op.Clear != nil:
		h.tag(tagClear)
	case op.SetProperties != nil:
		h.setProperties(op.SetProperties)
	}
}

func (h evidenceHash) create(op *createAsset) {
	h.tag(tagCreate)
	h.text(op.Key)
	h.text(op.ContentType)
	h.number(op.MaxAge)
	h.headers(op.Headers)
	h.boolean(op.AllowRawAccess)
	h.boolean(op.EnableAliasing)
}

func (h evidenceHash) setContent(key, encoding string, sum *[]byte) {
	h.tag(tagSetContent)
	h.text(key)
	h.text(encoding)
	if some(h, sum) {
		h.Write(*sum)
	}
}

func (h evidenceHash) setProperties(op *setProperties) {
	h.tag(tagSetProperties)
	h.text(op.Key)
	if some(h, op.MaxAge) {
		h.number(*op.MaxAge)
	}
	if some(h, op.Headers) {
		h.headers(*op.Headers)
	}
	if some(h, op.AllowRawAccess) {
		h.boolean(*op.AllowRawAccess)
	}
	if some(h, op.IsAliased) {
		h.boolean(*op.IsAliased)
	}
}

// some hashes whether there is a value.
func some[T any](h evidenceHash, v *T) bool {
	if v == nil {
		h.tag(tagNone)
		return false
	}
	h.tag(tagSome)
	return true
}

func (h evidenceHash) number(v *uint64) {
	if some(h, v) {
		h.Write(binary.BigEndian.AppendUint64(nil, *v))
	}
}

func (h evidenceHash) boolean(v *bool) {
	switch {
	case !some(h, v):
	case *v:
		h.tag(tagTrue)
	default:
		h.tag(tagFalse)
	}
}

func (h evidenceHash) headers(v *[]headerField) {
	if !some(h, v) {
		return
	}
	byName := map[string]string{}
	for _, f := range *v {
		byName[f.Name] = f.Value
	}
	for _, name := range slices.Sorted(maps.Keys(byName)) {
		h.text(name)
		h.text(byName[name])
	}
}

// stateHash is the evidence of operations that would make all assets as they are.
// A change of assets begins it anew.
type stateHash struct {
	keys []string // still to be hashed
	hash *evidenceHash
	sum  string
}

// stateHashBytes is how much content one call of compute_state_hash hashes, about.
const stateHashBytes = 100 << 20

// computeStateHash goes on with the hash of the state; sum is nil until it is complete.
func (s *store) computeStateHash() (sum *string, err error) {
	h := &s.stateHash
	if h.hash == nil {
		*h = stateHash{keys: slices.Sorted(maps.Keys(s.files)), hash: &evidenceHash{cdk.NewSHA256()}}
	}
	for done := uint64(0); len(h.keys) > 0 && done < stateHashBytes; h.keys = h.keys[1:] {
		key := h.keys[0]
		f := s.files[key]
		h.hash.create(&createAsset{key, f.contentType, f.maxAge, f.headers, f.aliased, f.rawAccess})
		for _, name := range slices.Sorted(maps.Keys(f.encodings)) {
			e := f.encodings[name]
			sum := e.sha256[:]
			h.hash.setContent(key, name, &sum)
			if err := s.space.copyTo(h.hash, e.content); err != nil {
				return nil, err
			}
			done += e.size
		}
	}
	if len(h.keys) > 0 {
		return nil, nil
	}
	h.sum = hex.EncodeToString(h.hash.Sum(nil))
	return &h.sum, nil
}

func (s *store) info() stateInfo {
	i := stateInfo{LastUpdate: s.lastUpdate}
	if s.stateHash.sum != "" {
		i.StateHash = &s.stateHash.sum
	}
	return i
}
