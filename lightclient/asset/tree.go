package asset

import (
	"encoding/base64"
	"errors"

	"portico/lightclient/cbor"
	"portico/lightclient/hashtree"
)

const (
	labelAssets = "http_assets" // version 1: below it URLs, each with the SHA-256 of its body
	indexPath   = "/index.html" // what version 1 serves for URLs that it does not know
)

// Certified is one exchange that a canister certifies (version 2).
type Certified struct {
	Path       Path
	Scope      Scope         // of the expression
	Expression hashtree.Hash // HashExpression of the header's value
	Request    hashtree.Hash // if the scope is ScopeFull
	Response   hashtree.Hash // unless the scope is ScopeNothing
}

// Certify computes what stands for an exchange at a path. The response need not
// carry the expression's header yet: it counts as if it did, so Certify belongs
// before or after adding it. The request matters in ScopeFull alone and may
// otherwise be nil.
func Certify(p Path, e *Expression, req *Request, resp *Response) Certified {
	value := e.String()
	c := Certified{Path: p, Scope: e.Scope, Expression: HashExpression(value)}
	if e.Scope == ScopeNothing {
		return c
	}
	if e.Scope == ScopeFull {
		c.Request = e.RequestHash(req)
	}
	full := *resp
	if len(headerValues(resp.Headers, ExpressionHeader)) == 0 {
		full.Headers = append(append([]Header{}, resp.Headers...), Header{ExpressionHeader, value})
	}
	c.Response = e.ResponseHash(&full)
	return c
}

// labels is the path of c in the certification tree.
func (c *Certified) labels() []string {
	l := append(c.Path.Labels(), string(c.Expression[:]))
	switch c.Scope {
	case ScopeNothing:
		return l
	case ScopeFull:
		return append(l, string(c.Request[:]), string(c.Response[:]))
	default:
		return append(l, "", string(c.Response[:]))
	}
}

// Tree is what a canister certifies of its HTTP answers. Its zero value is empty.
// Changes take logarithmic time in the number of entries and no hashing; Root and
// the witnesses hash what has changed since. It is for one goroutine.
type Tree struct{ root *forest }

// Insert certifies an exchange.
func (t *Tree) Insert(c Certified) { t.root = t.root.insert(c.labels(), hashtree.Leaf{}) }

// Delete takes an exchange away. Deleting what is not there changes nothing.
func (t *Tree) Delete(c Certified) { t.root = t.root.remove(c.labels()) }

// DeletePath takes all exchanges at a path away.
func (t *Tree) DeletePath(p Path) { t.root = t.root.remove(p.Labels()) }

// InsertBody certifies the SHA-256 of the body at a path for gateways of
// version 1. The path is percent-decoded and has no query.
func (t *Tree) InsertBody(path string, bodyHash hashtree.Hash) {
	t.root = t.root.insert([]string{labelAssets, path}, bodyHash[:])
}

// DeleteBody inverts InsertBody.
func (t *Tree) DeleteBody(path string) { t.root = t.root.remove([]string{labelAssets, path}) }

// Root is the value for the canister's certified data.
func (t *Tree) Root() hashtree.Hash { return t.tree().Hash() }

// Witness shows one exchange and proves, if its path is a wildcard, that there
// is no more specific path for the URL of the request, which the path must match.
func (t *Tree) Witness(c Certified, url string) (hashtree.Tree, error) {
	path, err := requestPath(url)
	if err != nil {
		return nil, err
	}
	request := segments(path)
	if !c.Path.matches(request) {
		return nil, errors.New("the certification at " + c.Path.String() + " is not for " + path)
	}
	paths := []hashtree.Path{treePath(c.labels()...)}
	for _, p := range c.Path.moreSpecific(request) {
		paths = append(paths, treePath(p.Labels()...))
	}
	return hashtree.Witness(t.tree(), paths), nil
}

// WitnessBody shows the body hash for a URL of version 1 or, if it has none,
// proves that and shows the one of /index.html, which is served instead.
func (t *Tree) WitnessBody(url string) (hashtree.Tree, error) {
	path, err := requestPath(url)
	if err != nil {
		return nil, err
	}
	return hashtree.Witness(t.tree(), []hashtree.Path{treePath(labelAssets, path), treePath(labelAssets, indexPath)}), nil
}

func (t *Tree) tree() hashtree.Tree {
	if t.root == nil {
		return hashtree.Empty{}
	}
	return t.root.tree
}

func treePath(labels ...string) hashtree.Path {
	p := make(hashtree.Path, len(labels))
	for i, l := range labels {
		p[i] = []byte(l)
	}
	return p
}

// CertificateHeaderValue is the IC-Certificate header that goes with an answer of
// version 2: the certificate as the system gave it and the witness for the exchange.
func CertificateHeaderValue(certificate []byte, witness hashtree.Tree, p Path) string {
	labels := p.Labels()
	b := cbor.AppendArray(cbor.AppendSelfDescribe(nil), len(labels))
	for _, l := range labels {
		b = cbor.AppendText(b, l)
	}
	return BodyCertificateHeaderValue(certificate, witness) + ", expr_path=:" + base64.StdEncoding.EncodeToString(b) + ":, version=2"
}

// BodyCertificateHeaderValue is the IC-Certificate header of version 1.
func BodyCertificateHeaderValue(certificate []byte, witness hashtree.Tree) string {
	tree := hashtree.Append(cbor.AppendSelfDescribe(nil), witness)
	return "certificate=:" + base64.StdEncoding.EncodeToString(certificate) + ":, tree=:" + base64.StdEncoding.EncodeToString(tree) + ":"
}
