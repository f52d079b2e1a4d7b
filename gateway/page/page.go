// Package page has the pages that a gateway makes itself: errors, the page that
// installs the service worker, and the one that tells what was verified.
//
// They are whole in themselves: no script, style, font or picture from
// elsewhere, readable in light and dark, by keyboard and on a phone.
package page

import (
	"crypto/sha256"
	_ "embed"
	"encoding/base64"
)

// Where a gateway serves what belongs to itself, on every host of a canister.
const (
	Prefix     = "/_portico/"
	VerifyPath = Prefix + "verify"
	WorkerPath = Prefix + "sw.js"
	// DirectParameter with the value DirectOff asks for pages that the gateway has
	// verified, instead of the service worker; the cookie of the same name keeps it so.
	DirectParameter = "_portico"
	DirectOff       = "off"
)

// A Problem is what an error page says.
type Problem struct {
	Status    int    // of the answer, such as 404
	Title     string // a short sentence without a full stop
	Text      string // what it means, and what a person can do
	Reason    string // the technical reason, or nothing
	Canister  string // in text form, or nothing
	RequestID string
	Verify    bool // the host has a page that tells what was verified
}

//go:embed style.css
var style string

// Policy is the Content-Security-Policy of the pages of this package. Those with
// a script load it from their own origin.
func Policy() string {
	h := sha256.Sum256([]byte(style))
	return "default-src 'none'; script-src 'self'; connect-src 'self'; worker-src 'self'; base-uri 'none'; form-action 'none'; style-src 'sha256-" +
		base64.StdEncoding.EncodeToString(h[:]) + "'"
}
