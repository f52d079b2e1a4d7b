package asset

import (
	"encoding/base64"
	"errors"
	"strconv"
	"strings"

	"portico/lightclient/cbor"
	"portico/lightclient/hashtree"
	"portico/lightclient/reason"
)

// Certification is what an IC-Certificate header carries.
type Certification struct {
	Certificate []byte // CBOR, still to be verified
	Tree        hashtree.Tree
	Version     uint64   // 1 if the header names none
	ExprPath    []string // nil if absent
}

// maxHeaderBytes bounds the IC-Certificate header: certificates with a
// delegation take 2 kB, witnesses of deep trees a few more.
const maxHeaderBytes = 256 << 10

// maxExprPathSegments bounds expression paths; URLs have a few segments.
const maxExprPathSegments = 1024

// ParseCertification reads the value of an IC-Certificate header: a dictionary
// of RFC 8941 with the members certificate, tree, version and expr_path. Other
// members are passed over. It refuses members that occur twice and trees that
// are not well formed; it does not verify anything.
func ParseCertification(value string) (*Certification, error) {
	if len(value) > maxHeaderBytes {
		return nil, errors.New(CertificateHeader + " header of " + strconv.Itoa(len(value)) + " bytes: at most " + strconv.Itoa(maxHeaderBytes) + " are allowed")
	}
	members, err := parseDictionary(value)
	if err != nil {
		return nil, errors.New(CertificateHeader + " header, " + err.Error())
	}
	c := &Certification{Version: 1}
	if c.Certificate, err = members.bytes("certificate"); err != nil {
		return nil, err
	}
	tree, err := members.bytes("tree")
	if err != nil {
		return nil, err
	}
	if c.Tree, err = hashtree.Decode(tree); err != nil {
		return nil, err
	}
	if v, ok := members["version"]; ok {
		if c.Version, err = strconv.ParseUint(v, 10, 16); err != nil {
			return nil, errors.New("version " + reason.Quote(v) + " in the " + CertificateHeader + " header is not a small number")
		}
	}
	if _, ok := members["expr_path"]; ok {
		b, err := members.bytes("expr_path")
		if err != nil {
			return nil, err
		}
		if c.ExprPath, err = decodeExprPath(b); err != nil {
			return nil, errors.New("expr_path: " + err.Error())
		}
	}
	return c, nil
}

func decodeExprPath(b []byte) ([]string, error) {
	d := cbor.NewDecoder(b)
	d.SkipSelfDescribe()
	n, err := d.Array()
	if err != nil {
		return nil, err
	}
	path := []string{}
	for i := 0; d.More(i, n); i++ {
		if i == maxExprPathSegments {
			return nil, errors.New("more than " + strconv.Itoa(maxExprPathSegments) + " segments")
		}
		s, err := d.Text()
		if err != nil {
			return nil, err
		}
		path = append(path, s)
	}
	return path, d.End()
}

// A dictionary maps the keys of a structured header to the text of their items.
type dictionary map[string]string

// bytes decodes a byte sequence, ":<base64>:". As RFC 8941 asks, padding may be
// missing and the bits that pad the last character do not count.
func (d dictionary) bytes(key string) ([]byte, error) {
	v, ok := d[key]
	if !ok {
		return nil, errors.New(CertificateHeader + " header has no " + key)
	}
	if len(v) < 2 || v[0] != ':' || v[len(v)-1] != ':' {
		return nil, errors.New(key + " in the " + CertificateHeader + " header is not a byte sequence between colons")
	}
	// The decoder of the standard library would pass over line breaks.
	text := strings.TrimRight(v[1:len(v)-1], "=")
	if strings.ContainsAny(text, "\r\n") || len(v)-2-len(text) > 2 {
		return nil, errors.New(key + " in the " + CertificateHeader + " header is not base64")
	}
	b, err := base64.RawStdEncoding.DecodeString(text)
	if err != nil {
		return nil, errors.New(key + " in the " + CertificateHeader + " header: " + err.Error())
	}
	return b, nil
}

// parseDictionary splits "key=item;parameters, key=item" and keeps the items as
// they are written. A key without an item has the item "?1", as in RFC 8941.
func parseDictionary(s string) (dictionary, error) {
	d := dictionary{}
	for at := skipBlank(s, 0); at < len(s); {
		start := at
		for at < len(s) && isKey(s[at]) {
			at++
		}
		key := s[start:at]
		if _, twice := d[key]; key == "" || twice {
			return nil, errors.New("offset " + strconv.Itoa(start) + ": expected a key that has not occurred yet")
		}
		item := "?1"
		if at < len(s) && s[at] == '=' {
			end := itemEnd(s, at+1)
			item, at = s[at+1:end], end
		}
		d[key] = item
		for at < len(s) && s[at] == ';' { // parameters mean nothing here
			at = itemEnd(s, skipBlank(s, at+1))
		}
		at = skipBlank(s, at)
		if at == len(s) {
			break
		}
		if s[at] != ',' {
			return nil, errors.New("offset " + strconv.Itoa(at) + ": expected a comma")
		}
		if at = skipBlank(s, at+1); at == len(s) {
			return nil, errors.New("offset " + strconv.Itoa(at) + ": the list ends with a comma")
		}
	}
	return d, nil
}

func isKey(c byte) bool {
	return 'a' <= c && c <= 'z' || '0' <= c && c <= '9' || c == '_' || c == '-' || c == '.' || c == '*'
}

func skipBlank(s string, at int) int {
	for at < len(s) && (s[at] == ' ' || s[at] == '\t') {
		at++
	}
	return at
}

// itemEnd is where an item ends: at a comma, semicolon or blank that is not
// inside a quoted string.
func itemEnd(s string, at int) int {
	quoted := false
	for ; at < len(s); at++ {
		switch c := s[at]; {
		case quoted && c == '\\':
			at++
		case c == '"':
			quoted = !quoted
		case !quoted && (c == ',' || c == ';' || c == ' ' || c == '\t'):
			return at
		}
	}
	return len(s)
}
