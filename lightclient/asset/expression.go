package asset

import (
	"errors"
	"strconv"
	"strings"

	"portico/lightclient/digest"
	"portico/lightclient/hashtree"
)

// Expression says what of an exchange is certified. It is the value of the
// IC-CertificateExpression header, a small subset of CEL.
type Expression struct {
	// Scope is ScopeNothing, ScopeResponse or ScopeFull.
	Scope Scope
	// RequestHeaders and QueryParameters are covered if the scope is ScopeFull.
	RequestHeaders  []string
	QueryParameters []string
	// ResponseHeaders are the headers that are covered or, with Exclude, those
	// that are not. They do not matter if the scope is ScopeNothing.
	ResponseHeaders []string
	Exclude         bool
}

// String is the header's value in the specification's form, without whitespace.
// The names must not contain quotes, backslashes or control characters.
func (e *Expression) String() string {
	var b strings.Builder
	b.WriteString("default_certification(ValidationArgs{")
	if e.Scope == ScopeNothing {
		b.WriteString("no_certification:Empty{}})")
		return b.String()
	}
	b.WriteString("certification:Certification{")
	if e.Scope == ScopeFull {
		b.WriteString("request_certification:RequestCertification{certified_request_headers:")
		writeList(&b, e.RequestHeaders)
		b.WriteString(",certified_query_parameters:")
		writeList(&b, e.QueryParameters)
		b.WriteString("},")
	} else {
		b.WriteString("no_request_certification:Empty{},")
	}
	b.WriteString("response_certification:ResponseCertification{")
	if e.Exclude {
		b.WriteString("response_header_exclusions:")
	} else {
		b.WriteString("certified_response_headers:")
	}
	b.WriteString("ResponseHeaderList{headers:")
	writeList(&b, e.ResponseHeaders)
	b.WriteString("}}}})")
	return b.String()
}

func writeList(b *strings.Builder, items []string) {
	b.WriteByte('[')
	for i, s := range items {
		if i > 0 {
			b.WriteByte(',')
		}
		b.WriteByte('"')
		b.WriteString(s)
		b.WriteByte('"')
	}
	b.WriteByte(']')
}

// HashExpression is the label under which a certification tree holds an
// expression: the SHA-256 of the header's value as it was sent.
func HashExpression(value string) hashtree.Hash { return digest.Sum256([]byte(value)) }

// covers reports whether a response header takes part in the response hash.
// IC-CertificateExpression always does, IC-Certificate never.
func (e *Expression) covers(name string) bool {
	switch {
	case strings.EqualFold(name, CertificateHeader):
		return false
	case strings.EqualFold(name, ExpressionHeader):
		return true
	default:
		return containsFold(e.ResponseHeaders, name) != e.Exclude
	}
}

func containsFold(names []string, name string) bool {
	for _, n := range names {
		if strings.EqualFold(n, name) {
			return true
		}
	}
	return false
}

// maxExpressionBytes bounds the header's value. Naming every header in use takes
// a small part of it.
const maxExpressionBytes = 16 << 10

// ParseExpression reads the value of an IC-CertificateExpression header. Beyond
// the specification's grammar it allows whitespace between tokens, fields in any
// order and absent lists of request headers and parameters. It refuses fields
// that exclude each other, unknown and repeated ones, and names with backslashes,
// which CEL would read as escapes.
func ParseExpression(value string) (*Expression, error) {
	if len(value) > maxExpressionBytes {
		return nil, errors.New("certificate expression of " + strconv.Itoa(len(value)) + " bytes: at most " + strconv.Itoa(maxExpressionBytes) + " are allowed")
	}
	p := &expressionParser{s: value}
	e := &Expression{}
	p.word("default_certification")
	p.punct('(')
	p.validationArgs(e)
	p.punct(')')
	p.space()
	if p.err == nil && p.at != len(p.s) {
		p.fail("the end of the expression")
	}
	if p.err != nil {
		return nil, p.err
	}
	return e, nil
}

// An expressionParser reads tokens; after the first error it reads nothing more.
type expressionParser struct {
	s   string
	at  int
	err error
}

func (p *expressionParser) fail(want string) {
	if p.err == nil {
		p.err = errors.New("certificate expression, offset " + strconv.Itoa(p.at) + ": expected " + want)
	}
}

func (p *expressionParser) space() {
	for p.at < len(p.s) && strings.IndexByte(" \t\r\n", p.s[p.at]) >= 0 {
		p.at++
	}
}

// next reports whether c is the next character, and passes it if it is.
func (p *expressionParser) next(c byte) bool {
	p.space()
	if p.err != nil || p.at == len(p.s) || p.s[p.at] != c {
		return false
	}
	p.at++
	return true
}

func (p *expressionParser) punct(c byte) {
	if !p.next(c) {
		p.fail("'" + string(rune(c)) + "'")
	}
}

func (p *expressionParser) ident() string {
	p.space()
	start := p.at
	for p.err == nil && p.at < len(p.s) && isIdent(p.s[p.at]) {
		p.at++
	}
	return p.s[start:p.at]
}

func isIdent(c byte) bool {
	return c == '_' || '0' <= c && c <= '9' || 'A' <= c && c <= 'Z' || 'a' <= c && c <= 'z'
}

func (p *expressionParser) word(want string) {
	p.space()
	at := p.at
	if p.ident() != want {
		p.at = at
		p.fail(want)
	}
}

// fields reads "{name:value,...}". Each name must be a key of known, which reads
// the value, and occur at most once; it returns the names that occurred.
func (p *expressionParser) fields(object string, known map[string]func()) map[string]bool {
	seen := map[string]bool{}
	p.word(object)
	p.punct('{')
	if p.next('}') {
		return seen
	}
	for p.err == nil {
		p.space()
		at := p.at
		name := p.ident()
		read := known[name]
		if read == nil || seen[name] {
			p.at = at
			p.fail("a field of " + object + " that is known and not given yet")
			break
		}
		seen[name] = true
		p.punct(':')
		read()
		if p.next('}') {
			break
		}
		p.punct(',')
	}
	return seen
}

// exactlyOne fails unless one of two fields that exclude each other was given.
func (p *expressionParser) exactlyOne(seen map[string]bool, a, b string) {
	if seen[a] == seen[b] {
		p.fail("exactly one of " + a + " and " + b)
	}
}

func (p *expressionParser) empty() { p.fields("Empty", nil) }

func (p *expressionParser) validationArgs(e *Expression) {
	seen := p.fields("ValidationArgs", map[string]func(){
		"no_certification": p.empty,
		"certification":    func() { p.certification(e) },
	})
	p.exactlyOne(seen, "no_certification", "certification")
}

func (p *expressionParser) certification(e *Expression) {
	e.Scope = ScopeResponse
	seen := p.fields("Certification", map[string]func(){
		"no_request_certification": p.empty,
		"request_certification": func() {
			e.Scope = ScopeFull
			p.fields("RequestCertification", map[string]func(){
				"certified_request_headers":  func() { e.RequestHeaders = p.list() },
				"certified_query_parameters": func() { e.QueryParameters = p.list() },
			})
		},
		"response_certification": func() { p.responseCertification(e) },
	})
	p.exactlyOne(seen, "no_request_certification", "request_certification")
	if !seen["response_certification"] {
		p.fail("response_certification")
	}
}

func (p *expressionParser) responseCertification(e *Expression) {
	headers := func() {
		seen := p.fields("ResponseHeaderList", map[string]func(){
			"headers": func() { e.ResponseHeaders = p.list() },
		})
		if !seen["headers"] {
			p.fail("headers")
		}
	}
	seen := p.fields("ResponseCertification", map[string]func(){
		"certified_response_headers": headers,
		"response_header_exclusions": func() { e.Exclude = true; headers() },
	})
	p.exactlyOne(seen, "certified_response_headers", "response_header_exclusions")
}

func (p *expressionParser) list() []string {
	items := []string{}
	p.punct('[')
	if p.next(']') {
		return items
	}
	for p.err == nil {
		items = append(items, p.text())
		if p.next(']') {
			break
		}
		p.punct(',')
	}
	return items
}

func (p *expressionParser) text() string {
	p.punct('"')
	start := p.at
	for p.err == nil && p.at < len(p.s) && p.s[p.at] != '"' {
		if c := p.s[p.at]; c < ' ' || c == 0x7f || c == '\\' {
			p.fail("a name without control characters and backslashes")
		}
		p.at++
	}
	if p.err != nil {
		return ""
	}
	s := p.s[start:p.at]
	p.punct('"')
	return s
}
