package asset

import (
	"bytes"
	"slices"
	"strconv"
	"strings"
	"time"

	"portico/lightclient/certificate"
	"portico/lightclient/hashtree"
	"portico/lightclient/principal"
	"portico/lightclient/reason"
)

// Verifier checks responses. It may be used by several goroutines if its parts may.
type Verifier struct {
	// Certificates holds the network's public key and checks certificates.
	Certificates *certificate.Verifier
	// AllowVersion1 decides about a response of version 1: nil means that the
	// canister provably offers nothing better (see OffersOnlyVersion1). If there
	// is no such function, version 1 is refused.
	AllowVersion1 func(canister principal.ID) error
	// Decode undoes a content encoding, gzip or deflate, for version 1; usually
	// the function Decode. Without it such bodies are refused, unless the canister
	// certified them as they are sent.
	Decode func(encoding string, body []byte) ([]byte, error)
}

// Verified is a response whose certification holds.
type Verified struct {
	// Headers are those that may be passed on, in their order: with version 2 the
	// certified ones, with names in lower case, and IC-Certificate; all of them if
	// the scope is ScopeNothing; with version 1, which certifies none, all but Cache-Control.
	Headers []Header
	Report  Report
}

// Report tells a person what was checked.
type Report struct {
	Canister principal.ID
	Subnet   principal.ID // whose key signed the certificate
	RootKey  []byte       // DER: the network's key, by which everything was checked
	Time     time.Time    // of the certificate
	Version  int          // of the certification: 1 or 2; 0 for the reply to an update call
	Scope    Scope
	// ExprPath and Expression are the certified place and rules (version 2).
	ExprPath   []string
	Expression string
	// CertifiedHeaders are the names of the covered headers, in lower case;
	// DroppedHeaders those of headers that were sent but must not be passed on.
	CertifiedHeaders []string
	DroppedHeaders   []string
}

// Verify checks that canister gave this response to this request, by its
// certification at the time now. Every error is an *Error.
func (v *Verifier) Verify(canister principal.ID, req *Request, resp *Response, now time.Time) (*Verified, error) {
	c, err := certification(resp)
	if err != nil {
		return nil, err
	}
	out := &Verified{Report: Report{Canister: canister, RootKey: v.Certificates.RootKey, Version: int(c.Version)}}
	if err := v.checkCertificate(c, &out.Report, now); err != nil {
		return nil, err
	}
	path, err := requestPath(req.URL)
	if err != nil {
		return nil, refuseFor(ReasonPath, err)
	}
	switch c.Version {
	case 1:
		err = v.verifyBody(c, path, resp, out)
	case 2:
		err = verifyExchange(c, path, req, resp, out)
	default:
		err = refuse(ReasonVersion, "version "+strconv.FormatUint(c.Version, 10))
	}
	if err != nil {
		return nil, err
	}
	return out, nil
}

// maxHeaders bounds the headers of a response: the work grows with their square.
const maxHeaders = 1000

// certification finds and reads the IC-Certificate header.
func certification(resp *Response) (*Certification, error) {
	if len(resp.Headers) > maxHeaders {
		return nil, refuse(ReasonMalformed, "the response has "+strconv.Itoa(len(resp.Headers))+" headers; at most "+strconv.Itoa(maxHeaders)+" are allowed")
	}
	values := headerValues(resp.Headers, CertificateHeader)
	switch len(values) {
	case 0:
		return nil, refuse(ReasonMissing, "there is no "+CertificateHeader+" header")
	case 1:
	default:
		return nil, refuse(ReasonMalformed, "there are "+strconv.Itoa(len(values))+" "+CertificateHeader+" headers")
	}
	c, err := ParseCertification(values[0])
	if err != nil {
		return nil, refuseFor(ReasonMalformed, err)
	}
	return c, nil
}

// checkCertificate checks that the network certified the tree as the canister's data.
func (v *Verifier) checkCertificate(c *Certification, r *Report, now time.Time) error {
	cert, err := v.Certificates.Canister(c.Certificate, r.Canister, now)
	if err != nil {
		return certificateError(err)
	}
	r.Subnet = Signer(cert, r.RootKey)
	if r.Time, err = cert.Time(); err != nil {
		return refuseFor(ReasonMalformed, err)
	}
	data, s := hashtree.Lookup(cert.Tree, []byte("canister"), []byte(r.Canister.Raw()), []byte("certified_data"))
	if s != hashtree.Found {
		return refuse(ReasonTree, "the certificate does not show the certified data of "+r.Canister.String())
	}
	if h := c.Tree.Hash(); !bytes.Equal(data, h[:]) {
		return refuse(ReasonTree, "its root hash is "+reason.Hex(h[:])+", certified is "+reason.Hex(data))
	}
	return nil
}

// Signer is the subnet that made a verified certificate.
func Signer(cert *certificate.Certificate, rootKey []byte) principal.ID {
	if cert.Delegation != nil {
		return cert.Delegation.Subnet
	}
	return principal.SelfAuthenticating(rootKey)
}

func certificateError(err error) *Error {
	switch err.(type) {
	case *certificate.TimeError:
		return refuseFor(ReasonTime, err)
	case *certificate.RangeError:
		return refuseFor(ReasonRange, err)
	case *certificate.SignatureError, *certificate.DelegationError:
		return refuseFor(ReasonSignature, err)
	default:
		return refuseFor(ReasonMalformed, err)
	}
}

// verifyExchange is version 2.
func verifyExchange(c *Certification, path string, req *Request, resp *Response, out *Verified) error {
	if c.ExprPath == nil {
		return refuse(ReasonMalformed, "version 2 needs an expr_path")
	}
	if err := checkPath(c, path); err != nil {
		return err
	}
	e, value, err := expression(resp)
	if err != nil {
		return err
	}
	hash := HashExpression(value)
	rules, s := hashtree.Find(c.Tree, treePath(append(slices.Clone(c.ExprPath), string(hash[:]))...)...)
	if s != hashtree.Found {
		return refuse(ReasonExpression, value)
	}
	out.Report.ExprPath, out.Report.Expression, out.Report.Scope = c.ExprPath, value, e.Scope
	if e.Scope == ScopeNothing {
		out.Headers = slices.Clone(resp.Headers)
		return nil
	}
	if err := checkHashes(rules, e, req, resp); err != nil {
		return err
	}
	passHeaders(e, resp, out)
	return nil
}

// checkPath checks that the path of the certification is in the tree, covers
// the URL, and is the most specific one in the tree to do so.
func checkPath(c *Certification, path string) error {
	p, err := parsePath(c.ExprPath)
	if err != nil {
		return refuseFor(ReasonPath, err)
	}
	request := segments(path)
	if !p.matches(request) {
		return refuse(ReasonPath, p.String()+" does not cover "+path)
	}
	if _, s := hashtree.Find(c.Tree, treePath(c.ExprPath...)...); s != hashtree.Found {
		return refuse(ReasonPath, "the tree does not show "+p.String())
	}
	for _, better := range p.moreSpecific(request) {
		if _, s := hashtree.Find(c.Tree, treePath(better.Labels()...)...); s != hashtree.Absent {
			return refuse(ReasonPath, "for "+path+", "+better.String()+" would come before "+p.String()+", and the tree does not prove that it is absent")
		}
	}
	return nil
}

// expression finds and reads the IC-CertificateExpression header.
func expression(resp *Response) (e *Expression, value string, err error) {
	values := headerValues(resp.Headers, ExpressionHeader)
	if len(values) != 1 {
		return nil, "", refuse(ReasonMalformed, "there are "+strconv.Itoa(len(values))+" "+ExpressionHeader+" headers instead of one")
	}
	if e, err = ParseExpression(values[0]); err != nil {
		return nil, "", refuseFor(ReasonMalformed, err)
	}
	return e, values[0], nil
}

// checkHashes looks for the exchange below its rules.
func checkHashes(rules hashtree.Tree, e *Expression, req *Request, resp *Response) error {
	var request []byte // the empty label stands for requests that are not certified
	if e.Scope == ScopeFull {
		h := e.RequestHash(req)
		request = h[:]
	}
	answers, s := hashtree.Find(rules, request)
	if s != hashtree.Found {
		return refuse(ReasonRequest, "the tree shows no answer to it")
	}
	if !e.certifies(answers, e.ResponseHash(resp)) {
		return e.diagnose(answers, resp)
	}
	return nil
}

func (e *Expression) certifies(answers hashtree.Tree, response hashtree.Hash) bool {
	value, s := hashtree.Lookup(answers, response[:])
	return s == hashtree.Found && len(value) == 0
}

// diagnose finds out which part of a response is not as certified. The tree has
// a single hash for all of it, so this tries what would make it fit: another
// status in common use; and the body that the entity tag names, where that is a SHA-256.
func (e *Expression) diagnose(answers hashtree.Tree, resp *Response) *Error {
	body := resp.bodyHash()
	for _, status := range [...]uint16{200, 201, 202, 204, 206, 301, 302, 303, 304, 307, 308, 400, 401, 403, 404, 405, 410, 416, 429, 500, 501, 503} {
		if e.certifies(answers, e.responseHash(resp, status, body)) {
			return refuse(ReasonStatus, "it is "+strconv.Itoa(int(resp.Status))+", certified is "+strconv.Itoa(int(status)))
		}
	}
	for _, tag := range headerValues(resp.Headers, "etag") {
		named, ok := hashOfTag(tag)
		switch {
		case !ok:
		case named == body:
			return refuse(ReasonHeaders, "the body is the one that the entity tag names")
		case e.certifies(answers, e.responseHash(resp, resp.Status, named)):
			return refuse(ReasonBody, "its SHA-256 is "+reason.Hex(body[:])+", certified is "+reason.Hex(named[:]))
		}
	}
	return refuse(ReasonResponse, "")
}

// hashOfTag reads an entity tag that is a SHA-256 in hex. (The decoder of the
// standard library would bring the fmt package into the browser's binary.)
func hashOfTag(tag string) (h hashtree.Hash, ok bool) {
	text := strings.Trim(strings.TrimPrefix(tag, "W/"), `"`)
	if len(text) != 2*len(h) {
		return h, false
	}
	for i := range h {
		high, low := unhex(text[2*i]), unhex(text[2*i+1])
		if high < 0 || low < 0 {
			return h, false
		}
		h[i] = byte(high<<4 | low)
	}
	return h, true
}

// passHeaders keeps the certified headers and the certificate itself.
func passHeaders(e *Expression, resp *Response, out *Verified) {
	r := &out.Report
	for _, h := range resp.Headers {
		name := lower(h.Name)
		switch {
		case e.covers(name):
			out.Headers = append(out.Headers, Header{name, h.Value})
			r.CertifiedHeaders = addName(r.CertifiedHeaders, name)
		case strings.EqualFold(name, CertificateHeader):
			out.Headers = append(out.Headers, Header{name, h.Value})
		default:
			r.DroppedHeaders = addName(r.DroppedHeaders, name)
		}
	}
}

func addName(names []string, name string) []string {
	if containsFold(names, name) {
		return names
	}
	return append(names, name)
}
