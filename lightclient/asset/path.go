package asset

import (
	"errors"
	"slices"
	"strings"
	"unicode/utf8"

	"portico/lightclient/reason"
)

// First and last segments of expression paths.
const (
	labelExpressions = "http_expr"
	labelExact       = "<$>"
	labelWildcard    = "<*>"
)

// Path is the place of a certification: one URL, or all URLs below one.
type Path struct {
	// segments are the parts of the URL between slashes; an empty last one
	// stands for a trailing slash.
	segments []string
	wildcard bool
}

// Exact is the place of one URL. The path is percent-decoded and begins with a
// slash; "/a" and "/a/" differ.
func Exact(path string) Path { return Path{segments: segments(path)} }

// Wildcard is the place of every URL at or below a path that has no more specific
// place. "" stands for all URLs; "/a" and "/a/" cover the same ones.
func Wildcard(path string) Path { return Path{segments: segments(path), wildcard: true} }

// Labels is the path in the certification tree and the value of "expr_path".
func (p Path) Labels() []string {
	return append(append([]string{labelExpressions}, p.segments...), p.terminator())
}

// String is the path as people write it: "/a/b", "/a/*".
func (p Path) String() string {
	s := "/" + strings.Join(p.segments, "/")
	if !p.wildcard {
		return s
	}
	return strings.TrimSuffix(s, "/") + "/*"
}

func (p Path) terminator() string {
	if p.wildcard {
		return labelWildcard
	}
	return labelExact
}

func segments(path string) []string {
	var out []string
	for _, s := range strings.Split(path, "/") {
		if s != "" {
			out = append(out, s)
		}
	}
	if strings.HasSuffix(path, "/") {
		out = append(out, "")
	}
	return out
}

// parsePath reads the labels of an expression path.
func parsePath(labels []string) (Path, error) {
	n := len(labels) - 1
	switch {
	case n < 1 || labels[0] != labelExpressions:
		return Path{}, errors.New("expression path does not begin with " + labelExpressions)
	case labels[n] != labelExact && labels[n] != labelWildcard:
		return Path{}, errors.New("expression path ends with " + reason.Quote(labels[n]) + " instead of " + labelExact + " or " + labelWildcard)
	}
	for _, s := range labels[1:n] {
		if s == labelExact || s == labelWildcard {
			return Path{}, errors.New("expression path has " + s + " before its end")
		}
	}
	return Path{segments: labels[1:n], wildcard: labels[n] == labelWildcard}, nil
}

// requestPath is the percent-decoded path of a request's URL. Like other
// gateways it leaves a percent sign that no two hex digits follow as it is.
func requestPath(url string) (string, error) {
	if !strings.HasPrefix(url, "/") {
		return "", errors.New("URL " + reason.Quote(url) + " does not begin with a slash")
	}
	path, _, _ := strings.Cut(withoutFragment(url), "?")
	if strings.IndexByte(path, '%') < 0 {
		return path, checkText(path)
	}
	b := make([]byte, 0, len(path))
	for i := 0; i < len(path); i++ {
		if path[i] == '%' && i+2 < len(path) && unhex(path[i+1]) >= 0 && unhex(path[i+2]) >= 0 {
			b = append(b, byte(unhex(path[i+1])<<4|unhex(path[i+2])))
			i += 2
			continue
		}
		b = append(b, path[i])
	}
	return string(b), checkText(string(b))
}

func withoutFragment(url string) string {
	url, _, _ = strings.Cut(url, "#")
	return url
}

func checkText(path string) error {
	if !utf8.ValidString(path) {
		return errors.New("path " + reason.Quote(path) + " of the URL is not UTF-8")
	}
	return nil
}

func unhex(c byte) int {
	switch {
	case '0' <= c && c <= '9':
		return int(c - '0')
	case 'a' <= c && c <= 'f':
		return int(c-'a') + 10
	case 'A' <= c && c <= 'F':
		return int(c-'A') + 10
	default:
		return -1
	}
}

// matches reports whether p is a place for a request, given as its segments.
func (p Path) matches(request []string) bool {
	if !p.wildcard {
		return slices.Equal(p.segments, request)
	}
	prefix := p.segments
	if n := len(prefix); n > 0 && prefix[n-1] == "" && !hasPrefix(request, prefix) {
		prefix = prefix[:n-1]
	}
	return hasPrefix(request, prefix)
}

func hasPrefix(s, prefix []string) bool {
	return len(s) >= len(prefix) && slices.Equal(s[:len(prefix)], prefix)
}

// moreSpecific returns the places that would come before wildcard p, which must
// match the request: the exact one, then the wildcards from the longest. For
// /a/b these are /a/b, /a/b/*, the directory /a/ and /a itself, the directory /
// and everything; the list ends where p stands.
func (p Path) moreSpecific(request []string) []Path {
	if !p.wildcard {
		return nil
	}
	out := []Path{{segments: request}}
	candidate := slices.Clone(request)
	for len(candidate) > len(p.segments) || last(candidate) != last(p.segments) {
		out = append(out, Path{segments: slices.Clone(candidate), wildcard: true})
		if end := len(candidate) - 1; candidate[end] == "" {
			candidate = candidate[:end]
		} else {
			candidate[end] = ""
		}
	}
	return out
}

// last is the last segment, or a slash, which no segment contains, if there is none.
func last(segments []string) string {
	if len(segments) == 0 {
		return "/"
	}
	return segments[len(segments)-1]
}
