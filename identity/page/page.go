// Package page has the pages of Internet Identity, on which people make passkeys and
// sign in to dapps with them.
//
// A page is markup that is made once, when the canister is built: one column, all of its
// views, of which its script shows one at a time. What differs between networks is in
// one element that the canister fills when it is installed (Placeholder). Nothing comes
// from another origin, nothing is inline, and without scripts a page says what it is.
package page

import (
	_ "embed"
	"slices"

	"github.com/a-h/templ"
)

// Placeholder stands in every page where the canister puts its settings.
const Placeholder = "PORTICO-IDENTITY-SETTINGS"

// Names of the pages' scripts, which are the names of files in ts/ without their ending.
const (
	ScriptHome      = "home"
	ScriptAuthorize = "authorize"
	ScriptCLI       = "cli"
	ScriptDevice    = "device"
)

// A Page is a document and where it is served.
type Page struct {
	Path    string // such as "/authorize"
	Script  string // one of the names above
	content func(Files) templ.Component
}

// Files are where the files are served that a page is made with.
type Files struct {
	Style string
	Icon  string
	// Script is the page's own; Modules are what it imports, so that browsers need not
	// read it first to find out.
	Script  string
	Modules []string
}

// Pages are all pages, in the order of their paths.
func Pages() []Page {
	return []Page{
		{"/", ScriptHome, func(f Files) templ.Component { return Home(f, "Internet Identity") }},
		{"/authorize", ScriptAuthorize, Authorize},
		{"/cli", ScriptCLI, CLI},
		{"/device", ScriptDevice, Device},
		{"/manage", ScriptHome, func(f Files) templ.Component { return Home(f, "Your identity") }},
		{"/recover", ScriptHome, func(f Files) templ.Component { return Home(f, "Recover your identity") }},
	}
}

// Scripts are the names of all scripts that pages begin with.
func Scripts() []string {
	var out []string
	for _, p := range Pages() {
		if !slices.Contains(out, p.Script) {
			out = append(out, p.Script)
		}
	}
	return out
}

// Content is the page's document.
func (p Page) Content(f Files) templ.Component { return p.content(f) }

//go:embed style.css
var style string

// Style is the style sheet of all pages.
func Style() string { return style }

//go:embed icon.svg
var icon []byte

// Icon is the picture that browsers show for the pages, SVG.
func Icon() []byte { return icon }
