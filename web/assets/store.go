package main

import (
	"errors"
	"maps"
	"slices"

	"portico/lightclient/asset"
	"portico/lightclient/hashtree"
)

// Errors that clients know by their text.
var (
	errNoAsset    = errors.New("asset not found")
	errNoEncoding = errors.New("no such encoding")
	errNoChunk    = errors.New("chunk not found")
	errSHA        = errors.New("sha256 mismatch")
)

// file is an asset with all its encodings.
type file struct {
	contentType string
	maxAge      *uint64
	headers     *[]headerField // in order of their names, which differ
	aliased     *bool          // nil is true
	rawAccess   *bool          // nil is true
	encodings   map[string]*encoding
}

// encoding is one form in which an asset can be sent.
type encoding struct {
	content  content
	size     uint64
	sha256   hashtree.Hash
	modified int64           // nanoseconds since 1970
	parts    []hashtree.Hash // of each piece of chunkBytes, if there are several

	answers answers // what is certified of it; see certify.go
}

// store is the canister's state.
type store struct {
	space       space
	files       map[string]*file    // by key
	strays      map[string][]string // keys by their place, where that is another path; see paths.go
	tree        asset.Tree
	dirty       map[string]bool // keys whose answers must be certified anew
	redirects   []*redirect     // of redirectsFile
	nothing     asset.Certified // what is said where there is nothing
	env         string          // value of the cookie ic_env
	permissions permissions
	uploads     uploads
	limits      limits
	lastUpdate  uint64
	stateHash   stateHash
}

func newStore(mem memory) *store {
	s := &store{space: newSpace(mem), files: map[string]*file{}, strays: map[string][]string{}, dirty: map[string]bool{}, nothing: nothingHere()}
	s.uploads.reset()
	s.recertifyFallback("")
	return s
}

func (s *store) create(arg *createAsset) error {
	if _, ok := s.files[arg.Key]; ok {
		return errors.New("asset already exists")
	}
	if err := errors.Join(checkKey(arg.Key), checkHeaders(arg.Key, arg.Headers), checkContentType(arg.Key, arg.ContentType)); err != nil {
		return err
	}
	s.add(arg.Key, &file{
		contentType: arg.ContentType, maxAge: arg.MaxAge, headers: normalize(arg.Headers),
		aliased: arg.EnableAliasing, rawAccess: arg.AllowRawAccess, encodings: map[string]*encoding{},
	})
	return nil
}

// normalize sorts headers by name and keeps the last of each name.
func normalize(headers *[]headerField) *[]headerField {
	if headers == nil {
		return nil
	}
	byName := map[string]string{}
	for _, h := range *headers {
		byName[h.Name] = h.Value
	}
	out := make([]headerField, 0, len(byName))
	for _, name := range slices.Sorted(maps.Keys(byName)) {
		out = append(out, headerField{name, byName[name]})
	}
	return &out
}

// setContent makes an encoding of uploaded chunks, which it takes out of their
// batch, and of bytes that came along. d is the hash of all of them.
func (s *store) setContent(arg *setContent, d *digest, now int64) error {
	if s.files[arg.Key] == nil {
		return errNoAsset
	}
	if err := checkEncoding(arg.Key, arg.Encoding); err != nil {
		return err
	}
	var c content
	for _, id := range arg.ChunkIDs {
		chunk, ok := s.uploads.chunks[id]
		if !ok {
			return errNoChunk
		}
		s.uploads.forget(id)
		c = append(c, chunk.extent)
	}
	if arg.LastChunk != nil {
		e, err := s.space.store(*arg.LastChunk)
		if err != nil {
			return err
		}
		c = append(c, e)
	}
	return s.put(arg.Key, arg.Encoding, c, d, now)
}

// storeOne creates or replaces an asset's encoding from one message.
func (s *store) storeOne(arg *storeArg, now int64) error {
	if err := errors.Join(checkKey(arg.Key), checkContentType(arg.Key, arg.ContentType), checkEncoding(arg.Key, arg.Encoding)); err != nil {
		return err
	}
	op := &setContent{LastChunk: &arg.Content, SHA256: arg.SHA256}
	digests, err := s.digests([]*setContent{op}, nil)
	if err != nil {
		return err
	}
	e, err := s.space.store(arg.Content)
	if err != nil {
		return err
	}
	f := s.files[arg.Key]
	if f == nil {
		f = &file{encodings: map[string]*encoding{}}
		s.add(arg.Key, f)
	}
	f.contentType, f.aliased = arg.ContentType, nil
	return s.put(arg.Key, arg.Encoding, content{e}, digests[op], now)
}

// put makes a content the asset's encoding. The asset exists.
func (s *store) put(key, name string, c content, d *digest, now int64) error {
	if key == redirectsFile && name == "identity" {
		if _, err := s.redirectsOf(c); err != nil {
			return err
		}
	}
	f := s.files[key]
	s.drop(f.encodings[name])
	f.encodings[name] = &encoding{content: c, size: c.size(), sha256: d.sha256, modified: now, parts: d.parts}
	s.changed(key)
	return nil
}

func (s *store) unsetContent(arg *unsetContent) error {
	f := s.files[arg.Key]
	if f == nil {
		return errNoAsset
	}
	s.drop(f.encodings[arg.Encoding])
	delete(f.encodings, arg.Encoding)
	s.changed(arg.Key)
	return nil
}

// remove deletes an asset; one that is not there is none of its business.
func (s *store) remove(key string) {
	f := s.files[key]
	if f == nil {
		return
	}
	for _, e := range f.encodings {
		s.drop(e)
	}
	s.forget(key)
	s.changed(key)
}

func (s *store) drop(e *encoding) {
	if e == nil {
		return
	}
	for _, x := range e.content {
		s.space.release(x)
	}
}

// clear removes all assets.
func (s *store) clear() {
	for _, key := range slices.Sorted(maps.Keys(s.files)) {
		s.remove(key)
	}
}

func (s *store) setProperties(arg *setProperties) error {
	f := s.files[arg.Key]
	if f == nil {
		return errNoAsset
	}
	if arg.MaxAge != nil {
		f.maxAge = *arg.MaxAge
	}
	if arg.Headers != nil {
		if err := checkHeaders(arg.Key, *arg.Headers); err != nil {
			return err
		}
		f.headers = normalize(*arg.Headers)
	}
	if arg.AllowRawAccess != nil {
		f.rawAccess = *arg.AllowRawAccess
	}
	if arg.IsAliased != nil {
		f.aliased = *arg.IsAliased
	}
	s.changed(arg.Key)
	return nil
}

// get serves the method of this name.
func (s *store) get(arg *getArg) (*getResult, error) {
	f := s.named(arg.Key)
	if f == nil {
		return nil, errNoAsset
	}
	for _, name := range arg.AcceptEncodings {
		e := f.encodings[name]
		if e == nil {
			continue
		}
		b, err := s.space.slice(e.content, 0, chunkBytes)
		sum := e.sha256[:]
		return &getResult{Content: b, ContentType: f.contentType, Encoding: name, SHA256: &sum, TotalLength: e.size}, err
	}
	return nil, errNoEncoding
}

// piece is one piece of an encoding: pieces have chunkBytes, the last one less.
func (s *store) piece(key, name string, index uint64, hash *[]byte) ([]byte, *encoding, error) {
	f := s.named(key)
	if f == nil {
		return nil, nil, errNoAsset
	}
	e := f.encodings[name]
	switch {
	case e == nil:
		return nil, nil, errNoEncoding
	case hash == nil:
		return nil, nil, errors.New("sha256 required")
	case string(*hash) != string(e.sha256[:]):
		return nil, nil, errSHA
	case index >= e.pieces():
		return nil, nil, errors.New("chunk index out of bounds")
	}
	b, err := s.space.slice(e.content, index*chunkBytes, chunkBytes)
	return b, e, err
}

// pieces is in how many pieces an encoding is sent; empty contents are sent in one.
func (e *encoding) pieces() uint64 { return max(1, (e.size+chunkBytes-1)/chunkBytes) }

// chunkBytes is how much of a content is sent at once. It fits into the reply of an
// update call (2 MiB) with headers and certificate.
const chunkBytes = 1_900_000

// listPage is how many assets list returns at most.
const listPage = 100

func (s *store) list(arg *listArg) []assetDetails {
	keys := slices.Sorted(maps.Keys(s.files))
	if arg.Start != nil {
		keys = keys[min(*arg.Start, uint64(len(keys))):]
	}
	n := uint64(listPage)
	if arg.Length != nil {
		n = min(n, *arg.Length)
	}
	out := []assetDetails{}
	for _, key := range keys[:min(n, uint64(len(keys)))] {
		f := s.files[key]
		d := assetDetails{Key: key, ContentType: f.contentType, MaxAge: f.maxAge, Headers: f.headers, AllowRawAccess: f.rawAccess, IsAliased: f.aliased}
		for _, name := range slices.Sorted(maps.Keys(f.encodings)) {
			e := f.encodings[name]
			sum := e.sha256[:]
			d.Encodings = append(d.Encodings, encodingDetails{Encoding: name, SHA256: &sum, Length: e.size, Modified: e.modified})
		}
		out = append(out, d)
	}
	return out
}
