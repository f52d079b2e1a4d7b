package main

import (
	"errors"
	"maps"
	"slices"
	"strings"

	"portico/lightclient/asset"
	"portico/lightclient/hashtree"
	"portico/node/cdk"
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
	files       map[string]*file
	tree        asset.Tree
	nothing     asset.Certified // what is said where there is nothing
	env         string          // value of the cookie ic_env
	permissions permissions
	uploads     uploads
	limits      limits
	lastUpdate  uint64
	stateHash   stateHash
}

func newStore(mem memory) *store {
	s := &store{space: newSpace(mem), files: map[string]*file{}, nothing: nothingHere()}
	s.uploads.reset()
	s.recertifyFallback("")
	return s
}

func (s *store) create(arg *createAsset) error {
	if _, ok := s.files[arg.Key]; ok {
		return errors.New("asset already exists")
	}
	s.files[arg.Key] = &file{
		contentType: arg.ContentType, maxAge: arg.MaxAge, headers: normalize(arg.Headers),
		aliased: arg.EnableAliasing, rawAccess: arg.AllowRawAccess, encodings: map[string]*encoding{},
	}
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
// batch, and of bytes that came along.
func (s *store) setContent(arg *setContent, now int64) error {
	if len(arg.ChunkIDs) == 0 && arg.LastChunk == nil {
		return errors.New("encoding must have at least one chunk or contain last_chunk")
	}
	if s.files[arg.Key] == nil {
		return errNoAsset
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
	return s.put(arg.Key, arg.Encoding, c, arg.SHA256, now)
}

// storeOne creates or replaces an asset's encoding from one message.
func (s *store) storeOne(arg *storeArg, now int64) error {
	e, err := s.space.store(arg.Content)
	if err != nil {
		return err
	}
	f := s.files[arg.Key]
	if f == nil {
		f = &file{encodings: map[string]*encoding{}}
		s.files[arg.Key] = f
	}
	f.contentType, f.aliased = arg.ContentType, nil
	return s.put(arg.Key, arg.Encoding, content{e}, arg.SHA256, now)
}

// put hashes a content and makes it the asset's encoding. The asset exists.
func (s *store) put(key, name string, c content, want *[]byte, now int64) error {
	e := &encoding{content: c, size: c.size(), modified: now}
	if err := s.hash(e); err != nil {
		return err
	}
	if want != nil && string(*want) != string(e.sha256[:]) {
		return errSHA
	}
	f := s.files[key]
	s.drop(f.encodings[name])
	f.encodings[name] = e
	s.changed(key)
	return nil
}

// hash computes the hash of a content and, if it is sent in several pieces, of each.
func (s *store) hash(e *encoding) error {
	whole := cdk.NewSHA256()
	if err := s.space.copyTo(whole, e.content); err != nil {
		return err
	}
	e.sha256 = hashtree.Hash(whole.Sum(nil))
	if e.size <= chunkBytes {
		return nil
	}
	for off := uint64(0); off < e.size; off += chunkBytes {
		part, err := s.space.slice(e.content, off, chunkBytes)
		if err != nil {
			return err
		}
		h := cdk.NewSHA256()
		h.Write(part)
		e.parts = append(e.parts, hashtree.Hash(h.Sum(nil)))
	}
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
	delete(s.files, key)
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

// find is the asset served at a path: the one of this key, or one that has the path
// as an alias. Assets without any content count as absent.
func (s *store) find(path string) (key string, f *file) {
	if f := s.files[path]; f.served() {
		return path, f
	}
	for _, key := range aliasesOf(path) {
		if f := s.files[key]; f.served() && f.isAliased() {
			return key, f
		}
	}
	return "", nil
}

func (f *file) served() bool { return f != nil && len(f.encodings) > 0 }

func (f *file) isAliased() bool { return f.aliased == nil || *f.aliased }

// aliasesOf are the keys whose assets a path without asset may stand for, in order.
func aliasesOf(path string) []string {
	switch {
	case strings.HasSuffix(path, "/"):
		return []string{path + "index.html"}
	case strings.HasSuffix(path, ".html"):
		return nil
	default:
		return []string{path + ".html", path + "/index.html"}
	}
}

// aliasedBy inverts aliasesOf: the paths that may stand for a key.
func aliasedBy(key string) []string {
	var out []string
	if path, ok := strings.CutSuffix(key, ".html"); ok {
		out = append(out, path)
	}
	if path, ok := strings.CutSuffix(key, "index.html"); ok && strings.HasSuffix(path, "/") {
		out = append(out, path)
		if dir := strings.TrimSuffix(path, "/"); dir != "" {
			out = append(out, dir)
		}
	}
	return out
}

// get serves the method of this name.
func (s *store) get(arg *getArg) (*getResult, error) {
	_, f := s.find(arg.Key)
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
	_, f := s.find(key)
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
