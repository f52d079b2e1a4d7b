// Package asset certifies HTTP responses and checks their certification (HTTP
// gateway protocol specification, "Response Verification").
//
// A canister that serves HTTP keeps a Tree of what it may answer, sets the tree's
// root hash as its certified data and sends with every answer a witness and the
// network's certificate. A Verifier needs nothing but the network's public key to
// tell from these that the canister itself meant to give this answer to this
// request: what it accepts may be shown, what it refuses says why (Error), and a
// Report tells what was checked.
//
// Version 2 is implemented in full. Version 1, which covers bodies alone, is
// believed only for canisters that provably do not offer version 2.
//
// Three points follow what canisters and gateways do where the specification's
// text leaves it open or reads otherwise: URLs are percent-decoded before they
// are compared with expression paths; the query string enters the request hash
// as a text value; and it does not enter at all if no certified parameter occurs.
package asset

import (
	"strings"

	"portico/lightclient/hashtree"
)

// Header is one header field. Names compare without regard to ASCII case.
type Header struct{ Name, Value string }

// Request is what the canister was asked.
type Request struct {
	Method  string // in upper case
	URL     string // from the request line: path and query, such as "/a/b?c=d"
	Headers []Header
	Body    []byte
}

// Response is what came back.
type Response struct {
	Status  uint16
	Headers []Header
	// Body is the whole body, streamed chunks included.
	Body []byte
	// BodyHash is the SHA-256 of Body, where the caller has computed it already;
	// otherwise nil. Building never reads Body if BodyHash is set.
	BodyHash *hashtree.Hash
}

// Names of the headers that carry certification.
const (
	CertificateHeader = "IC-Certificate"
	ExpressionHeader  = "IC-CertificateExpression"
)

// Scope says how much of an exchange is certified.
type Scope uint8

const (
	// ScopeNothing: the canister certified that it does not certify its answers
	// on this path ("no_certification"). Nothing in the response can be trusted.
	ScopeNothing Scope = iota
	// ScopeBody: the body alone (version 1).
	ScopeBody
	// ScopeResponse: status, body and headers, whatever the request was beyond its path.
	ScopeResponse
	// ScopeFull: the request's method, body and listed headers and parameters too.
	ScopeFull
	// ScopeCall: the whole response, as the certified reply to an update call.
	ScopeCall
)

// String describes the scope for people.
func (s Scope) String() string {
	return [...]string{
		"nothing: the canister opted out of certification",
		"the body",
		"the response",
		"the request and the response",
		"the reply to an update call",
	}[s]
}

// header returns the values of a header, in order.
func headerValues(headers []Header, name string) []string {
	var out []string
	for _, h := range headers {
		if strings.EqualFold(h.Name, name) {
			out = append(out, h.Value)
		}
	}
	return out
}
