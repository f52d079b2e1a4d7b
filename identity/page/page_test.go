package page

import (
	"math"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// minContrast and minEdge are what WCAG 2.2 asks at level AA of text (success criterion
// 1.4.3) and of what shows where a field is (1.4.11).
const (
	minContrast = 4.5
	minEdge     = 3
)

func TestTextAndFieldsHaveEnoughContrastInLightAndDark(t *testing.T) {
	colours := map[string][2]string{}
	for _, m := range regexp.MustCompile(`--([a-z-]+): light-dark\((#[0-9a-f]{6}), (#[0-9a-f]{6})\);`).FindAllStringSubmatch(style, -1) {
		colours[m[1]] = [2]string{m[2], m[3]}
	}
	grounds := []string{"paper", "card"}
	check := func(least float64, on map[string][]string) {
		for text, grounds := range on {
			for _, ground := range grounds {
				for i, scheme := range []string{"light", "dark"} {
					a, b := luminance(t, colours[text][i]), luminance(t, colours[ground][i])
					if c := (max(a, b) + .05) / (min(a, b) + .05); c < least {
						t.Errorf("%s: %s on %s has contrast %.2f, want %.1f", scheme, text, ground, c, least)
					}
				}
			}
		}
	}
	check(minContrast, map[string][]string{
		"ink": append(grounds, "quiet-tint"), "quiet": grounds, "link": grounds, "on-link": {"link"}, "card": {"bad"},
		"good": {"good-tint"}, "bad": {"bad-tint"}, "warn": {"warn-tint"},
	})
	check(minEdge, map[string][]string{"edge": grounds})
}

// luminance is the relative luminance of "#rrggbb" (WCAG 2.2).
func luminance(t *testing.T, colour string) float64 {
	t.Helper()
	n, err := strconv.ParseUint(strings.TrimPrefix(colour, "#"), 16, 32)
	if err != nil {
		t.Fatal(err)
	}
	channel := func(c uint64) float64 {
		v := float64(c&255) / 255
		if v <= .04045 {
			return v / 12.92
		}
		return math.Pow((v+.055)/1.055, 2.4)
	}
	return .2126*channel(n>>16) + .7152*channel(n>>8) + .0722*channel(n)
}

// documents renders all pages.
func documents(t *testing.T) map[string]string {
	t.Helper()
	out := map[string]string{}
	for _, p := range Pages() {
		var b strings.Builder
		f := Files{Style: "/assets/style.css", Icon: "/assets/icon.svg", Script: "/assets/x.js", Modules: []string{"/assets/y.js"}}
		if p.Script == "" {
			f.Script, f.Modules = "", nil
		}
		if err := p.Content(f).Render(t.Context(), &b); err != nil {
			t.Fatal(err)
		}
		out[p.Path] = b.String()
	}
	return out
}

func all(pattern, text string) []string {
	var out []string
	for _, m := range regexp.MustCompile(pattern).FindAllStringSubmatch(text, -1) {
		out = append(out, m[1])
	}
	return out
}

func TestEveryPageHasItsSettingsOnceAndNothingInline(t *testing.T) {
	for path, html := range documents(t) {
		if n := strings.Count(html, Placeholder); n != 1 {
			t.Errorf("%s has its settings %d times", path, n)
		}
		if m := regexp.MustCompile(`<style|<script>|<script [^>]*>[^<]|\son[a-z]+=|style="|https?://`).FindString(html); m != "" {
			t.Errorf("%s has %q: its policy forbids what is inline or of other origins", path, m)
		}
	}
}

func TestEveryFieldHasALabelAndEveryReferenceATarget(t *testing.T) {
	for path, html := range documents(t) {
		ids := all(`\sid="([^"]+)"`, html)
		for i, id := range ids {
			if slices.Contains(ids[:i], id) {
				t.Errorf("%s has two elements #%s", path, id)
			}
		}
		labelled := all(`<label for="([^"]+)"`, html)
		for _, field := range all(`<(?:input|textarea) id="([^"]+)"`, html) {
			if !slices.Contains(labelled, field) {
				t.Errorf("%s: #%s has no label", path, field)
			}
		}
		for _, id := range append(all(`aria-(?:labelledby|describedby)="([^"]+)"`, html), labelled...) {
			if !slices.Contains(ids, id) {
				t.Errorf("%s: something refers to #%s, which is not there", path, id)
			}
		}
		views := append(all(`data-view="([^"]+)"`, html), "start")
		for _, view := range all(`data-to="([^"]+)"`, html) {
			if !slices.Contains(views, view) {
				t.Errorf("%s: a button leads to the view %q, which is not there", path, view)
			}
		}
	}
}

func TestAPageShowsOneViewAtMostUntilItsScriptDecides(t *testing.T) {
	for path, html := range documents(t) {
		sections := regexp.MustCompile(`<section [^>]*>`).FindAllString(html, -1)
		shown := 0
		for _, s := range sections {
			if !strings.Contains(s, " hidden") {
				shown++
			}
		}
		if len(sections) > 0 && shown != 1 {
			t.Errorf("%s shows %d views at once", path, shown)
		}
	}
}

func TestNothingCanBeClickedUntilTheScriptTakesClicks(t *testing.T) {
	for path, html := range documents(t) {
		if inert, needs := strings.Contains(html, "<main inert>"), strings.Contains(html, "<script"); inert != needs {
			t.Errorf("%s: it has a script: %v, and is inert until then: %v", path, needs, inert)
		}
	}
}

func TestAPageWithoutScriptsSaysThatItNeedsThem(t *testing.T) {
	for path, html := range documents(t) {
		if has, needs := strings.Contains(html, "<noscript>"), strings.Contains(html, "<script"); has != needs {
			t.Errorf("%s: it has a script: %v, and says so without: %v", path, needs, has)
		}
	}
}
