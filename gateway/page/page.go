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
	// PanelPath is the script that a site includes to show its own verification.
	PanelPath = Prefix + "panel.js"
	IconPath  = Prefix + "icon.svg"
	// NetworkPrefix is where the start page of a local network has its parts, on the
	// gateway's bare domain.
	NetworkPrefix = Prefix + "network/"
	// DirectParameter with the value DirectOff asks for pages that the gateway has
	// verified, instead of the service worker; the cookie of the same name keeps it so.
	DirectParameter = "_portico"
	DirectOff       = "off"
)

// A Problem is what an error page says.
type Problem struct {
	Status    int    // of the answer, such as 404
	Code      string // by which programs tell problems apart, such as "canister_not_found"
	Title     string // a short sentence without a full stop
	Text      string // what it means
	Next      string // what a person can do, or nothing
	Check     string // the check that an answer failed, such as "signature of the network", or nothing
	Reason    string // the technical reason, or nothing
	Canister  string // in text form, or nothing
	RequestID string
	Verify    bool // the host has a page that tells what was verified
	Retry     bool // asking again may help, and is harmless
}

//go:embed style.css
var style string

// Style is the style sheet of all these pages, for others that are to look the same.
func Style() string { return style }

// Icon is the picture that browsers show for these pages, SVG.
func Icon() []byte { return icon }

//go:embed icon.svg
var icon []byte

// Policy is the Content-Security-Policy of the pages of this package. Those with
// a script load it from their own origin.
func Policy() string {
	h := sha256.Sum256([]byte(style))
	return "default-src 'none'; script-src 'self'; connect-src 'self'; worker-src 'self'; img-src 'self'; base-uri 'none'; form-action 'none'; style-src 'sha256-" +
		base64.StdEncoding.EncodeToString(h[:]) + "'"
}
