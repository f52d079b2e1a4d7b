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

	"github.com/a-h/templ"
)

// Placeholder stands in every page where the canister puts its settings.
const Placeholder = "PORTICO-IDENTITY-SETTINGS"

// A Page is a document and where it is served.
type Page struct {
	Path    string // such as "/authorize"
	Script  string // the name of a file in ts without its ending, or nothing
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

// Pages are all pages. That of the path /404 is served wherever there is no other.
func Pages() []Page {
	return []Page{
		{"/", "home", func(f Files) templ.Component { return Home(f, "Internet Identity", "start") }},
		{"/404", "", Missing},
		{"/authorize", "authorize", Authorize},
		{"/cli", "cli", CLI},
		{"/device", "device", Device},
		{"/manage", "home", func(f Files) templ.Component { return Home(f, "Your identity", "start") }},
		{"/recover", "home", func(f Files) templ.Component { return Home(f, "Recover your identity", "recover") }},
	}
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
