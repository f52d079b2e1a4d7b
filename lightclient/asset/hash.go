package asset

import (
	"bytes"
	"slices"
	"strings"

	"portico/lightclient/digest"
	"portico/lightclient/hashtree"
	"portico/lightclient/leb128"
)

// Names that stand beside the headers in the hashes (specification, "Request
// Hash Calculation" and "Response Hash Calculation").
const (
	pseudoMethod = ":ic-cert-method"
	pseudoQuery  = ":ic-cert-query"
	pseudoStatus = ":ic-cert-status"
)

// RequestHash is the label that stands for a request under an expression of
// scope ScopeFull.
func (e *Expression) RequestHash(r *Request) hashtree.Hash {
	m := make(hashMap, 0, 2+len(e.RequestHeaders))
	for _, h := range r.Headers {
		if containsFold(e.RequestHeaders, h.Name) {
			m.text(lower(h.Name), h.Value)
		}
	}
	m.text(pseudoMethod, r.Method)
	if q := e.certifiedQuery(r.URL); q != "" {
		m.text(pseudoQuery, q)
	}
	return join(m.sum(), digest.Sum256(r.Body))
}

// certifiedQuery keeps the certified parameters of a URL in their order. Names
// match exactly, as they are written in the URL.
func (e *Expression) certifiedQuery(url string) string {
	_, query, _ := strings.Cut(withoutFragment(url), "?")
	var kept []string
	for _, parameter := range strings.Split(query, "&") {
		name, _, _ := strings.Cut(parameter, "=")
		if parameter != "" && slices.Contains(e.QueryParameters, name) {
			kept = append(kept, parameter)
		}
	}
	return strings.Join(kept, "&")
}

// ResponseHash is the label that stands for a response under an expression of
// scope ScopeResponse or ScopeFull. The response must carry the expression's own header.
func (e *Expression) ResponseHash(r *Response) hashtree.Hash {
	return e.responseHash(r, r.Status, r.bodyHash())
}

// responseHash is ResponseHash with another status and body, as diagnosis needs it.
func (e *Expression) responseHash(r *Response, status uint16, body hashtree.Hash) hashtree.Hash {
	m := make(hashMap, 0, 1+len(r.Headers))
	for _, h := range r.Headers {
		if e.covers(h.Name) {
			m.text(lower(h.Name), h.Value)
		}
	}
	m.number(pseudoStatus, uint64(status))
	return join(m.sum(), body)
}

func (r *Response) bodyHash() hashtree.Hash {
	if r.BodyHash != nil {
		return *r.BodyHash
	}
	return digest.Sum256(r.Body)
}

func join(a, b hashtree.Hash) hashtree.Hash {
	var buf [64]byte
	copy(buf[:32], a[:])
	copy(buf[32:], b[:])
	return digest.Sum256(buf[:])
}

// lower is strings.ToLower for ASCII alone: other letters of header names stay.
func lower(s string) string {
	i := 0
	for i < len(s) && (s[i] < 'A' || s[i] > 'Z') {
		i++
	}
	if i == len(s) {
		return s
	}
	b := []byte(s)
	for ; i < len(b); i++ {
		if 'A' <= b[i] && b[i] <= 'Z' {
			b[i] += 'a' - 'A'
		}
	}
	return string(b)
}

// A hashMap collects the fields of a representation-independent hash (interface
// specification, "hash-of-map"); a key may occur several times.
type hashMap [][64]byte

func (m *hashMap) text(key, value string) { m.add(key, digest.Sum256([]byte(value))) }

func (m *hashMap) number(key string, value uint64) {
	m.add(key, digest.Sum256(leb128.AppendUint(nil, value)))
}

func (m *hashMap) add(key string, value hashtree.Hash) {
	var field [64]byte
	k := digest.Sum256([]byte(key))
	copy(field[:32], k[:])
	copy(field[32:], value[:])
	*m = append(*m, field)
}

// sum hashes the fields in their order. There are few of them, and sorting them in
// place by hand keeps a generic sort out of the browser's binary.
func (m hashMap) sum() hashtree.Hash {
	for i := range m {
		for j := i; j > 0 && bytes.Compare(m[j-1][:], m[j][:]) > 0; j-- {
			m[j-1], m[j] = m[j], m[j-1]
		}
	}
	all := make([]byte, 0, 64*len(m))
	for i := range m {
		all = append(all, m[i][:]...)
	}
	return digest.Sum256(all)
}
