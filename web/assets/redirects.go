package main

import (
	"fmt"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"portico/lightclient/asset"
	"portico/lightclient/hashtree"
)

// The asset redirectsFile is rules as static hosts have them, one a line:
//
//	# from       to                    status
//	/old         /new                  301
//	/docs/*      https://example.org/  302
//	/blog/*      /news/:splat          301
//	/app/*       /app/index.html       200
//	/gone        /tombstone.html       410
//
// A star at the end stands for everything at and below a folder. With 3xx "to" is
// where to go, and in its path ":splat" is what the star stands for; with 200, 404 and 410 it is the asset that is served. The first rule
// that matches counts, and none where there is an asset, nor in a folder with a
// 404.html of its own below that of the rule. Answers are certified like any other.
const redirectsFile = "/_redirects"

const (
	maxRedirectBytes = 256 << 10
	maxRedirects     = 1000
)

// redirect is one rule.
type redirect struct {
	path    string // a place; of a folder without the slash at its end
	subtree bool
	to      string
	status  uint16

	active  bool                       // what it leads to is there
	move    asset.Certified            // with 3xx
	content map[string]asset.Certified // of the asset that is served, by encoding
}

// splat stands in a target for what the star of a path stands for. Where that leads cannot be
// certified beforehand for every path, so such a rule is followed in an update call, whose
// reply is certified; the certified answer to a query, which nobody gets who asks as
// gateways do, leads to where it does for the folder itself.
const splat = ":splat"

// varies reports whether a rule leads to a different place for each path.
func (r *redirect) varies() bool { return r.moves() && strings.Contains(r.to, splat) }

// location is where a rule leads from a place.
func (r *redirect) location(from string) string {
	// A place has no two slashes in a row, so "/:splat" never becomes "//host".
	rest := strings.TrimPrefix(strings.TrimPrefix(from, r.path), "/")
	return strings.ReplaceAll(r.to, splat, (&url.URL{Path: rest}).EscapedPath())
}

func (r *redirect) moves() bool { return 300 <= r.status && r.status < 400 }

func (r *redirect) place() asset.Path {
	if r.subtree {
		return asset.Wildcard(r.path)
	}
	return asset.Exact(r.path)
}

// covers reports whether r leaves nothing to a later rule.
func (r *redirect) covers(later *redirect) bool {
	if !r.subtree {
		return !later.subtree && r.path == later.path
	}
	return later.path == r.path || later.path == r.path+"/" || strings.HasPrefix(later.path, r.path+"/")
}

func parseRedirects(text string) ([]*redirect, error) {
	if len(text) > maxRedirectBytes {
		return nil, fmt.Errorf("%s has %d bytes; at most %d are read", redirectsFile, len(text), maxRedirectBytes)
	}
	var out []*redirect
	number := 0
	for line := range strings.Lines(text) {
		number++
		fields := strings.Fields(line)
		if len(fields) == 0 || strings.HasPrefix(fields[0], "#") {
			continue
		}
		r, err := parseRedirect(fields)
		if err != nil {
			return nil, fmt.Errorf("%s, line %d: %w", redirectsFile, number, err)
		}
		// certification prefers what is more specific: a rule that an earlier one leaves nothing would win
		if !slices.ContainsFunc(out, func(earlier *redirect) bool { return earlier.covers(r) }) {
			out = append(out, r)
		}
	}
	if len(out) > maxRedirects {
		return nil, fmt.Errorf("%s has %d rules; at most %d are allowed", redirectsFile, len(out), maxRedirects)
	}
	return out, nil
}

func parseRedirect(fields []string) (*redirect, error) {
	if len(fields) != 3 {
		return nil, fmt.Errorf("a rule is a path, a target and a status; this has %d fields", len(fields))
	}
	from, to := fields[0], fields[1]
	status, err := strconv.ParseUint(fields[2], 10, 16)
	if err != nil || !slices.Contains([]uint64{200, 301, 302, 307, 308, 404, 410}, status) {
		return nil, fmt.Errorf("status %q is none of 200, 301, 302, 307, 308, 404 and 410", fields[2])
	}
	r := &redirect{to: to, status: uint16(status)}
	r.path, r.subtree = strings.CutSuffix(from, "/*")
	switch {
	case !strings.HasPrefix(from, "/") || place(from) != from:
		return nil, fmt.Errorf("path %q must begin with a slash and have no two in a row", from)
	case strings.ContainsAny(r.path, "*:"):
		return nil, fmt.Errorf("path %q: of patterns there is only a star at the end, after a slash", from)
	}
	if err := checkKey(from); err != nil {
		return nil, err
	}
	target, err := url.Parse(to)
	switch {
	case err != nil || strings.ContainsFunc(to, control):
		return nil, fmt.Errorf("target %q is no URL", to)
	case strings.Contains(to, splat) && !(r.subtree && r.moves() && strings.Count(to, splat) == strings.Count(target.Path, "/"+splat)):
		return nil, fmt.Errorf("target %q: %s stands for what a star at the end of the path does, after a slash in the path of a redirect", to, splat)
	case r.moves() && (target.IsAbs() && target.Host != "" || strings.HasPrefix(to, "/") && !strings.HasPrefix(to, "//")):
	case r.moves():
		return nil, fmt.Errorf("target %q must be a path that begins with a slash, or a whole URL", to)
	case !strings.HasPrefix(to, "/"):
		return nil, fmt.Errorf("target %q must be the path of an asset", to)
	}
	return r, nil
}

// redirectsOf parses the rules in a content.
func (s *store) redirectsOf(c content) ([]*redirect, error) {
	text, err := s.space.slice(c, 0, maxRedirectBytes+1)
	if err != nil {
		return nil, err
	}
	return parseRedirects(string(text))
}

// recertifyRedirects certifies what rules answer, after all assets: what they lead to
// may have changed, and they stand back behind assets.
func (s *store) recertifyRedirects() {
	for _, r := range s.redirects {
		if r.subtree {
			s.recertifyFallback(r.path)
		} else {
			s.recertify(r.path)
		}
	}
	s.redirects = nil
	if f := s.files[redirectsFile]; f != nil && f.encodings["identity"] != nil {
		s.redirects, _ = s.redirectsOf(f.encodings["identity"].content) // put has refused what is wrong
	}
	for _, r := range s.redirects {
		s.certifyRedirect(r)
	}
}

func (s *store) certifyRedirect(r *redirect) {
	if _, f := s.find(r.path); f != nil && !r.subtree {
		return
	}
	p := r.place()
	if r.moves() {
		empty := hashtree.Hash(emptyHash())
		r.active, r.move = true, asset.Certify(p, plainExpression(), nil, &asset.Response{Status: r.status, Headers: r.headers(r.path), BodyHash: &empty})
		s.tree.DeletePath(p)
		s.tree.Insert(r.move)
		return
	}
	_, f := s.find(place(r.to))
	if f == nil {
		return
	}
	s.tree.DeletePath(p)
	r.active, r.content = true, map[string]asset.Certified{}
	for name, e := range f.encodings {
		c := asset.Certify(p, plainExpression(), nil, &asset.Response{Status: r.status, Headers: e.answers.headers, BodyHash: &e.sha256})
		r.content[name] = c
		s.tree.Insert(c)
	}
}

func (r *redirect) headers(from string) []asset.Header {
	return []asset.Header{{Name: "location", Value: r.location(from)}}
}

// redirect finds the rule for a place.
func (s *store) redirect(path string, subtree bool) *redirect {
	for _, r := range s.redirects {
		if r.active && r.subtree == subtree && r.path == path {
			return r
		}
	}
	return nil
}

// follow answers as a rule says.
func (x *exchange) follow(r *redirect) *httpResponse {
	if r.varies() && r.location(x.path) != r.location(r.path) {
		if !x.replicated {
			upgrade := true
			return &httpResponse{Status: 200, Upgrade: &upgrade}
		}
		return x.respond(r.status, r.headers(x.path), nil, r.move)
	}
	if r.moves() {
		headers := append(r.headers(r.path), asset.Header{Name: asset.ExpressionHeader, Value: plainExpression().String()})
		return x.respond(r.status, headers, nil, r.move)
	}
	key, f := x.find(place(r.to))
	name, e := f.negotiate(x.header("accept-encoding"))
	return x.body(r.status, key, name, e, r.content[name])
}
