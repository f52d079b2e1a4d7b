package page

import (
	"math"
	"regexp"
	"strconv"
	"strings"
	"testing"
)

// minContrast is what WCAG 2.2 asks of text at level AA (success criterion 1.4.3).
const minContrast = 4.5

func TestTextHasEnoughContrastInLightAndDark(t *testing.T) {
	colours := map[string][2]string{}
	for _, m := range regexp.MustCompile(`--([a-z-]+): light-dark\((#[0-9a-f]{6}), (#[0-9a-f]{6})\);`).FindAllStringSubmatch(style, -1) {
		colours[m[1]] = [2]string{m[2], m[3]}
	}
	grounds := []string{"paper", "card"}
	on := map[string][]string{
		"ink": append(grounds, "quiet-tint"), "quiet": grounds, "link": grounds, "on-link": {"link"},
		"good": append(grounds, "good-tint"), "bad": append(grounds, "bad-tint"), "warn": append(grounds, "warn-tint"),
	}
	for text, grounds := range on {
		for _, ground := range grounds {
			for i, scheme := range []string{"light", "dark"} {
				a, b := luminance(t, colours[text][i]), luminance(t, colours[ground][i])
				if c := (max(a, b) + .05) / (min(a, b) + .05); c < minContrast {
					t.Errorf("%s: %s on %s has contrast %.2f, want %.1f", scheme, text, ground, c, minContrast)
				}
			}
		}
	}
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

func TestAProblemEscapesWhatOthersSaid(t *testing.T) {
	var b strings.Builder
	if err := Error(Problem{Title: "<b>", Text: "<script>", Next: "<i>", Check: "<u>", Reason: "</p><img>", Canister: "<x>"}).Render(t.Context(), &b); err != nil {
		t.Fatal(err)
	}
	for _, tag := range []string{"<b>", "<script>", "<i>", "<u>", "<img>", "<x>"} {
		if strings.Contains(b.String(), tag) {
			t.Errorf("%s came out as it went in", tag)
		}
	}
}

func TestOnlyProblemsThatMayPassOfferAnotherAttempt(t *testing.T) {
	for retry, want := range map[bool]bool{true: true, false: false} {
		var b strings.Builder
		if err := Error(Problem{Title: "x", Retry: retry}).Render(t.Context(), &b); err != nil {
			t.Fatal(err)
		}
		if got := strings.Contains(b.String(), "Try again"); got != want {
			t.Errorf("retry %v: the page offers it: %v", retry, got)
		}
	}
}
