package sync

import (
	"fmt"
	"strings"
	"testing"
	"testing/fstest"
)

func TestGlobsMatchAsInTheToolsThatPeopleComeFrom(t *testing.T) {
	for pattern, paths := range map[string]string{ // with ! those that do not match
		"**/*": "a a/b .x a/b/c.d", "*": "a a/b/c", "*.js": "a.js a/b.js !a.jsx !js", "**/*.js": "a.js a/b/c.js !a.js/b", "a/**": "a/b a/b/c !a !ab/c",
		"a/**/z": "a/z a/b/z a/b/c/z !az !a/bz", "?.txt": "a.txt !ab.txt !.txt", "[a-c]x": "ax cx !dx !abx", "[!a-c]x": "dx !ax", "{a,b/*}.md": "a.md b/c.md b/c/d.md !c.md",
		"{a,{b,c}}": "a b c !d", `\*.txt`: "*.txt !a.txt", "a.b": "a.b !axb", "x(1)+": "x(1)+ !x1", "[]]": "] !a", "[a-]": "a - !b", "**": "a a/b", "/abs": "!abs", "名*": "名前 !前",
	} {
		re, err := compileGlob(pattern)
		if err != nil {
			t.Errorf("%s: %v", pattern, err)
			continue
		}
		for p := range strings.FieldsSeq(paths) {
			p, not := strings.CutPrefix(p, "!")
			if re.MatchString("/"+p) == not {
				t.Errorf("%s and %s: match is %v", pattern, p, !not)
			}
		}
	}
	for _, pattern := range []string{"[a", "{a", "a}", `a\`, "[z-a]"} {
		if _, err := compileGlob(pattern); err == nil {
			t.Errorf("%s was taken for a pattern", pattern)
		}
	}
}

func TestRulesAreReadAsJSON5(t *testing.T) {
	v, err := parseJSON5("\ufeff// c\n{ a: 'it\\'s \\x41\\u00e9\\\n\\ud83d\\udc22', \"b\": [ +1, .5, 0x1F, -Infinity, null, true, ], /* d */ $c_1: {}, }")
	if err != nil {
		t.Fatal(err)
	}
	if len(v.fields) != 3 || v.fields[0].value.text != "it's Aé🐢" || len(v.fields[1].value.items) != 6 || v.fields[1].value.items[2].text != "0x1F" {
		t.Errorf("read %+v", v)
	}
	for text, want := range map[string]string{
		"": "value is missing", "[1": "is missing before", "[1 2]": "comma", "{a 1}": "colon", "{a:1,a:2}": "twice", "'x": "no end", "[1]]": "follows",
		"{a: abc}": "need quotes", "/* x": "comment has no end", "\n\n[0x]": "line 3: \"0x\" is no number", "1.2.3": "no number", "'\\u12": "not complete", "\xff": "UTF-8", "--1": "no number",
		strings.Repeat("[", 50): "deeper than 32", "'\\xzz'": "not hexadecimal", "'a\nb'": "no end",
	} {
		if _, err := parseJSON5(text); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v, want %s", text, err, want)
		}
	}
}

func TestMistakesInRulesNameTheFileTheLineAndTheRule(t *testing.T) {
	for text, want := range map[string]string{
		`{}`:                                           "line 1: the file must be an array",
		"[\n{match: '*'},\n{ignore: true}]":            "line 3: rule 2: it has no match",
		`[{match: 1}]`:                                 "rule 1: match must be a string",
		`[{match: "[", }]`:                             `rule 1: match: pattern "[": a [ has no ]`,
		`[{match: "*", max_age: 5}]`:                   "rule 1: max_age: there is no such field; there are match, cache",
		`[{match: "*", cache: 5}]`:                     "cache: it must be an object",
		`[{match: "*", cache: {max_age: -1}}]`:         "cache: max_age must be a number of seconds",
		`[{match: "*", headers: {a: []}}]`:             "headers: a must be a string",
		`[{match: "*", encodings: ["zstd"]}]`:          `encodings: "zstd" is not known`,
		`[{match: "*", security_policy: "strict"}]`:    `security_policy: "strict" is not known`,
		`[{match: "*", ignore: "yes"}]`:                "ignore: it must be true or false and is a string",
		`[{match: "*", security_policy: "hardened"}]`:  "hardened",
		`[{match: "*", headers: "x"}]`:                 "headers: it must be an object or null",
		strings.Repeat(" ", maxRulesBytes+1):           "at most",
		`[7]`:                                          "rule 1: it must be an object",
		`[{match: "*", ignore: false, ignore: true,}]`: `line 1: "ignore" is there twice`,
	} {
		_, _, err := scan(fstest.MapFS{"sub/.ic-assets.json5": file(text), "sub/x": file("x")})
		if err == nil || !strings.Contains(err.Error(), want) || (!strings.Contains(err.Error(), "sub/.ic-assets.json5: ") && want != "hardened") {
			t.Errorf("%.60s: %v, want %s", text, err, want)
		}
	}
	if _, _, err := scan(fstest.MapFS{".ic-assets.json5": file("[]"), ".ic-assets.json": file("[]")}); err == nil || !strings.Contains(err.Error(), "both there") {
		t.Errorf("two files of rules: %v", err)
	}
}

func TestRulesOfFoldersComeAfterThoseAboveAndWarnWhenUnused(t *testing.T) {
	files, warnings, err := scan(fstest.MapFS{
		".ic-assets.json5":   file(`[{match: "**/*", headers: {A: "1", B: "2"}, security_policy: "standard"}, {match: "none/*", ignore: true}, {match: "drop", ignore: true}]`),
		"a/.ic-assets.json5": file(`[{match: "*.txt", headers: {B: "3", "x-frame-options": "SAMEORIGIN"}, security_policy: "hardened"}]`),
		"a/x.txt":            file(""), "a/b/y.txt": file(""), "a/z.js": file(""), "drop/x": file(""), "t.txt": file(""),
	})
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, f := range files {
		h := f.props.allHeaders()
		got = append(got, fmt.Sprint(f.key, " ", h["A"], h["B"], " ", h["X-Frame-Options"], h["x-frame-options"], " ", len(h)))
	}
	if want := "/a/b/y.txt 13 SAMEORIGIN 9|/a/x.txt 13 SAMEORIGIN 9|/a/z.js 12 DENY 9|/t.txt 12 DENY 9"; strings.Join(got, "|") != want {
		t.Errorf("got  %s\nwant %s", strings.Join(got, "|"), want)
	}
	if len(warnings) != 2 || !strings.Contains(warnings[0], `rule 2: nothing matches "none/*"`) || !strings.Contains(warnings[1], "2 of 4 files have the standard") {
		t.Errorf("warnings %q", warnings)
	}
}

func FuzzParseRules(f *testing.F) {
	f.Add([]byte(`[{match: "**/*.{js,css}", headers: {a: 'b'}, cache: {max_age: 1}}]`))
	f.Fuzz(func(t *testing.T, text []byte) {
		rules, err := parseRules("x", text)
		if err != nil {
			return
		}
		for _, r := range rules {
			r.set(&properties{})
			r.match.MatchString("/some/path")
		}
	})
}

func TestStandardPolicyIsWhatOtherToolsSet(t *testing.T) {
	h := securityHeaders()
	csp := "default-src 'self';script-src 'self';connect-src 'self' http://localhost:* https://icp0.io https://*.icp0.io https://icp-api.io;img-src 'self' data:;style-src * 'unsafe-inline';style-src-elem * 'unsafe-inline';font-src *;object-src 'none';base-uri 'self';frame-ancestors 'none';form-action 'self';upgrade-insecure-requests;"
	if h["Content-Security-Policy"] != csp {
		t.Errorf("Content-Security-Policy is %s", h["Content-Security-Policy"])
	}
	if p := h["Permissions-Policy"]; len(p) != 780 || !strings.HasPrefix(p, "accelerometer=(), ambient-light-sensor=(), ") || !strings.HasSuffix(p, ", vertical-scroll=()") {
		t.Errorf("Permissions-Policy has %d bytes: %s", len(p), p)
	}
}
