package sync

import (
	"fmt"
	"maps"
	"slices"
	"strings"
)

// Kind is what happens to an asset.
type Kind int

// The kinds of changes.
const (
	Created  Kind = iota
	Replaced      // other content
	Adjusted      // other headers, age, aliasing, raw access or encodings
	Deleted
)

// String is such as "create".
func (k Kind) String() string { return [...]string{"create", "replace", "adjust", "delete"}[k] }

// Change is what happens to one asset.
type Change struct {
	Kind  Kind
	Key   string
	Bytes int64 // to be uploaded, in all encodings
}

// change is a Change with the operations that make it.
type change struct {
	Change
	file     *localFile // nil if it is deleted
	variants []*variant
	there    *assetDetails // nil if it is new
}

// compare tells what must happen for the canister to have a file as it is here; nil
// is nothing. It marks the variants that are there already.
func compare(f *localFile, variants []*variant, there *assetDetails) *change {
	c := &change{Change: Change{Kind: Adjusted, Key: f.key}, file: f, variants: variants, there: there}
	if there == nil || there.ContentType != f.contentType {
		c.Kind = Created
		if there != nil {
			c.Kind = Replaced
		}
		for _, v := range variants {
			c.Bytes += v.size
		}
		return c
	}
	for _, v := range variants {
		i := slices.IndexFunc(there.Encodings, func(e encodingDetails) bool { return e.Encoding == v.encoding })
		v.there = i >= 0 && there.Encodings[i].SHA256 != nil && string(*there.Encodings[i].SHA256) == string(v.sha256[:])
		if !v.there {
			c.Kind = Replaced
			c.Bytes += v.size
		}
	}
	if c.Kind == Adjusted && len(c.obsolete()) == 0 && c.adjustment() == nil {
		return nil
	}
	return c
}

// operations are what makes the change, once its contents are uploaded.
func (c *change) operations() []operation {
	var ops []operation
	isNew := c.there == nil
	switch {
	case c.file == nil:
		return []operation{{Delete: &keyArg{c.Key}}}
	case !isNew && c.there.ContentType != c.file.contentType:
		ops, isNew = append(ops, operation{Delete: &keyArg{c.Key}}), true
	}
	p := &c.file.props
	if isNew {
		ops = append(ops, operation{Create: &createAsset{c.Key, c.file.contentType, p.maxAge, fieldsOf(p.allHeaders()), p.aliasing, p.rawAccess}})
	} else {
		for _, name := range c.obsolete() {
			ops = append(ops, operation{UnsetContent: &unsetContent{c.Key, name}})
		}
	}
	for _, v := range c.variants {
		if v.there {
			continue
		}
		sum := v.sha256[:]
		op := &setContent{Key: c.Key, Encoding: v.encoding, ChunkIDs: v.chunks, SHA256: &sum}
		if v.inline != nil {
			op.LastChunk = &v.inline
		}
		ops = append(ops, operation{SetContent: op})
	}
	if !isNew {
		if adjust := c.adjustment(); adjust != nil {
			ops = append(ops, operation{SetProperties: adjust})
		}
	}
	return ops
}

// obsolete are the encodings that the canister has and the file has not.
func (c *change) obsolete() (names []string) {
	if c.there == nil {
		return nil
	}
	for _, e := range c.there.Encodings {
		if !slices.ContainsFunc(c.variants, func(v *variant) bool { return v.encoding == e.Encoding }) {
			names = append(names, e.Encoding)
		}
	}
	return names
}

// adjustment is what differs in properties; nil is nothing.
func (c *change) adjustment() *setProperties {
	p, out, differs := &c.file.props, &setProperties{Key: c.Key}, false
	if !equal(p.maxAge, c.there.MaxAge) {
		out.MaxAge, differs = &p.maxAge, true
	}
	if here := p.allHeaders(); !sameHeaders(here, c.there.Headers) {
		fields := fieldsOf(here)
		out.Headers, differs = &fields, true
	}
	if !equal(p.rawAccess, c.there.AllowRawAccess) {
		out.AllowRawAccess, differs = &p.rawAccess, true
	}
	if !equal(p.aliasing, c.there.IsAliased) {
		out.IsAliased, differs = &p.aliasing, true
	}
	if !differs {
		return nil
	}
	return out
}

func equal[T comparable](a, b *T) bool {
	return a == b || a != nil && b != nil && *a == *b
}

func fieldsOf(headers map[string]string) *[]headerField {
	if headers == nil {
		return nil
	}
	out := []headerField{}
	for _, name := range slices.Sorted(maps.Keys(headers)) {
		out = append(out, headerField{name, headers[name]})
	}
	return &out
}

// sameHeaders compares the headers here with those of the canister, which may have
// added the cookie of its environment by itself.
func sameHeaders(here map[string]string, there *[]headerField) bool {
	theirs := map[string]string{}
	if there != nil {
		for _, f := range *there {
			if !strings.EqualFold(f.Name, "set-cookie") || !strings.HasPrefix(f.Value, "ic_env=") || here[f.Name] != "" {
				theirs[f.Name] = f.Value
			}
		}
	}
	return maps.Equal(here, theirs)
}

// Bounds of one commit. They are those that the network's other tools found to suit
// all canisters.
const (
	maxOperations  = 500
	maxCommitBytes = 1_500_000
	// operationBytes is about what an operation takes beside keys, headers and content.
	operationBytes = 160
)

// stages divides changes among commits. Those of one asset stay together.
func stages(changes []*change) [][]operation {
	var out [][]operation
	var stage []operation
	size := 0
	for _, c := range changes {
		ops := c.operations()
		n := 0
		for i := range ops {
			n += ops[i].size()
		}
		if len(stage) > 0 && (len(stage)+len(ops) > maxOperations || size+n > maxCommitBytes) {
			out, stage, size = append(out, stage), nil, 0
		}
		stage, size = append(stage, ops...), size+n
	}
	if len(stage) > 0 {
		out = append(out, stage)
	}
	return out
}

// order puts changes so that visitors who come between two commits find a site that
// works: pages change after what they load, and what is gone is deleted last.
func order(a, b *change) int {
	if d := a.rank() - b.rank(); d != 0 {
		return d
	}
	return strings.Compare(a.Key, b.Key)
}

func (c *change) rank() int {
	switch {
	case c.file == nil:
		return 2
	case c.file.contentType == "text/html":
		return 1
	default:
		return 0
	}
}

// size is about how many bytes an operation takes in a message.
func (op *operation) size() int {
	n := operationBytes
	headers := func(h *[]headerField) {
		if h != nil {
			for _, f := range *h {
				n += len(f.Name) + len(f.Value) + 4
			}
		}
	}
	switch {
	case op.Create != nil:
		n += len(op.Create.Key)
		headers(op.Create.Headers)
	case op.SetContent != nil:
		n += len(op.SetContent.Key) + 8*len(op.SetContent.ChunkIDs)
		if op.SetContent.LastChunk != nil {
			n += len(*op.SetContent.LastChunk)
		}
	case op.SetProperties != nil:
		n += len(op.SetProperties.Key)
		if op.SetProperties.Headers != nil {
			headers(*op.SetProperties.Headers)
		}
	case op.UnsetContent != nil:
		n += len(op.UnsetContent.Key)
	case op.Delete != nil:
		n += len(op.Delete.Key)
	default:
		panic(fmt.Sprintf("an operation without a case: %+v", op))
	}
	return n
}
