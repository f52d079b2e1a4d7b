package main

import (
	"encoding/binary"
	"errors"
	"fmt"
	"maps"
	"math"
	"slices"

	"portico/lightclient/candid/marshal"
	"portico/lightclient/hashtree"
)

// Stable memory begins with a header: the magic, the format's version, and where the
// state before an upgrade was saved. Contents are elsewhere in it and stay in place.
const (
	headerBytes   = 64
	magic         = "portico assets"
	formatVersion = 1
)

// savedState is everything but contents.
type savedState struct {
	Files       []savedFile    `candid:"files"`
	Free        []extent       `candid:"free"`
	End         uint64         `candid:"end"`
	Env         string         `candid:"env"`
	Permissions setPermissions `candid:"permissions"`
	Limits      limits         `candid:"limits"`
	NextBatch   uint64         `candid:"next_batch"`
	NextChunk   uint64         `candid:"next_chunk"`
	LastUpdate  uint64         `candid:"last_update"`
}

type savedFile struct {
	Key         string          `candid:"key"`
	ContentType string          `candid:"content_type"`
	MaxAge      *uint64         `candid:"max_age"`
	Headers     *[]headerField  `candid:"headers"`
	Aliased     *bool           `candid:"aliased"`
	RawAccess   *bool           `candid:"raw_access"`
	Encodings   []savedEncoding `candid:"encodings"`
}

type savedEncoding struct {
	Name     string          `candid:"name"`
	Content  []extent        `candid:"content"`
	SHA256   hashtree.Hash   `candid:"sha256"`
	Parts    []hashtree.Hash `candid:"parts"`
	Modified int64           `candid:"modified"`
}

// save writes the state to stable memory. Uploads are given up, as they expire soon
// anyway; assets are not.
func (s *store) save() error {
	for _, id := range slices.Sorted(maps.Keys(s.uploads.batches)) {
		s.dropBatch(id)
	}
	v := savedState{
		Free: s.space.free, End: s.space.end, Env: s.env, Permissions: s.permissions.get(), Limits: s.limits,
		NextBatch: s.uploads.nextBatch, NextChunk: s.uploads.nextChunk, LastUpdate: s.lastUpdate,
	}
	for _, key := range slices.Sorted(maps.Keys(s.files)) {
		f := s.files[key]
		saved := savedFile{Key: key, ContentType: f.contentType, MaxAge: f.maxAge, Headers: f.headers, Aliased: f.aliased, RawAccess: f.rawAccess}
		for _, name := range slices.Sorted(maps.Keys(f.encodings)) {
			e := f.encodings[name]
			saved.Encodings = append(saved.Encodings, savedEncoding{name, e.content, e.sha256, e.parts, e.modified})
		}
		v.Files = append(v.Files, saved)
	}
	b, err := marshal.Encode(v)
	if err != nil {
		return err
	}
	// past the end of all contents, where the state does not describe itself
	if _, err := s.space.mem.WriteAt(b, int64(s.space.end)); err != nil {
		return err
	}
	return s.writeHeader(s.space.end, uint64(len(b)))
}

func (s *store) writeHeader(at, length uint64) error {
	h := append([]byte(magic), formatVersion)
	h = binary.LittleEndian.AppendUint64(h, at)
	h = binary.LittleEndian.AppendUint64(h, length)
	_, err := s.space.mem.WriteAt(h, 0)
	return err
}

// load reads what save wrote and certifies it anew.
func load(mem memory) (*store, error) {
	h := make([]byte, headerBytes)
	if _, err := mem.ReadAt(h, 0); err != nil {
		return nil, fmt.Errorf("the header of stable memory: %w", err)
	}
	rest := h[len(magic)+1:]
	at, length := binary.LittleEndian.Uint64(rest), binary.LittleEndian.Uint64(rest[8:])
	switch {
	case string(h[:len(magic)]) != magic:
		return nil, errors.New("stable memory holds the state of another program")
	case h[len(magic)] != formatVersion:
		return nil, fmt.Errorf("stable memory has format version %d, this code knows %d", h[len(magic)], formatVersion)
	case length == 0:
		return nil, errors.New("the state was not saved before this upgrade: do not skip the canister's pre-upgrade hook")
	}
	// only what is there is worth memory
	if end := at + length; end < at || end > math.MaxInt64 {
		return nil, fmt.Errorf("a saved state of %d bytes at %d", length, at)
	} else if _, err := mem.ReadAt(make([]byte, 1), int64(end-1)); err != nil {
		return nil, fmt.Errorf("a saved state of %d bytes at %d: %w", length, at, err)
	}
	b := make([]byte, length)
	if _, err := mem.ReadAt(b, int64(at)); err != nil {
		return nil, fmt.Errorf("the saved state: %w", err)
	}
	var v savedState
	if err := marshal.Decode(b, &v); err != nil {
		return nil, fmt.Errorf("the saved state: %w", err)
	}
	s := newStore(mem)
	s.restore(&v)
	// What is in stable memory now ages with the first change. Should the next
	// upgrade skip saving, it must fail rather than take old for new.
	return s, s.writeHeader(0, 0)
}

func (s *store) restore(v *savedState) {
	s.space.free, s.space.end, s.env, s.limits, s.lastUpdate = v.Free, v.End, v.Env, v.Limits, v.LastUpdate
	s.permissions.set(&v.Permissions)
	s.uploads.nextBatch, s.uploads.nextChunk = v.NextBatch, v.NextChunk
	for _, saved := range v.Files {
		f := &file{
			contentType: saved.ContentType, maxAge: saved.MaxAge, headers: saved.Headers,
			aliased: saved.Aliased, rawAccess: saved.RawAccess, encodings: map[string]*encoding{},
		}
		for _, e := range saved.Encodings {
			f.encodings[e.Name] = &encoding{content: e.Content, size: content(e.Content).size(), sha256: e.SHA256, parts: e.Parts, modified: e.Modified}
		}
		s.add(saved.Key, f)
	}
	for _, saved := range v.Files {
		s.changed(saved.Key)
	}
}
