package sync

import (
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"path"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// The files of rules; a folder has one of them at most.
const (
	rulesFile     = ".ic-assets.json5"
	rulesFileJSON = ".ic-assets.json"
)

// maxRulesBytes bounds a file of rules.
const maxRulesBytes = 1 << 20

// properties are what rules say of a file.
type properties struct {
	maxAge         *uint64
	headers        map[string]string // nil is none
	ignore         *bool
	aliasing       *bool
	rawAccess      *bool
	encodings      []string // nil leaves the choice to the content type
	policy         policy
	withoutWarning bool
}

// rule is one rule of a file: what it sets of the files that it matches.
type rule struct {
	where   string // file, line and number, for messages
	pattern string
	match   *regexp.Regexp
	set     func(*properties)
	used    bool
}

// ruleSet is the rules that hold in a folder: the parent's first, then its own.
type ruleSet struct {
	parent *ruleSet
	folder string // slash-separated, "." is the top
	rules  []*rule
}

// loadRules reads the rules of a folder; without any, those of its parent hold.
func loadRules(files fs.FS, folder string, parent *ruleSet) (*ruleSet, error) {
	names := []string{path.Join(folder, rulesFile), path.Join(folder, rulesFileJSON)}
	var found []string
	for _, name := range names {
		if _, err := fs.Stat(files, name); err == nil {
			found = append(found, name)
		} else if !errors.Is(err, fs.ErrNotExist) {
			return nil, err
		}
	}
	switch len(found) {
	case 0:
		if parent == nil {
			parent = &ruleSet{folder: folder}
		}
		return parent, nil
	case 2:
		return nil, fmt.Errorf("%s and %s are both there: keep one", names[0], names[1])
	}
	text, err := fs.ReadFile(files, found[0])
	if err != nil {
		return nil, err
	}
	rules, err := parseRules(found[0], text)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", found[0], err)
	}
	return &ruleSet{parent, folder, rules}, nil
}

// of are the properties of a file or folder, by its path from the top.
func (s *ruleSet) of(name string) properties {
	if s == nil {
		yes := true
		return properties{rawAccess: &yes}
	}
	p := s.parent.of(name)
	relative := "/" + strings.TrimPrefix(strings.TrimPrefix(name, s.folder), "/")
	if s.folder == "." {
		relative = "/" + name
	}
	for _, r := range s.rules {
		if r.match.MatchString(relative) {
			r.used = true
			r.set(&p)
		}
	}
	return p
}

func parseRules(file string, text []byte) ([]*rule, error) {
	if len(text) > maxRulesBytes {
		return nil, fmt.Errorf("the file has %d bytes; at most %d are read", len(text), maxRulesBytes)
	}
	v, err := parseJSON5(string(text))
	if err != nil {
		return nil, err
	}
	if v.kind != jsonArray {
		return nil, fmt.Errorf("line %d: the file must be an array of rules and is %s", v.line, v.kind)
	}
	var out []*rule
	for i, item := range v.items {
		r, err := parseRule(item)
		if err != nil {
			return nil, fmt.Errorf("line %d: rule %d: %w", item.line, i+1, err)
		}
		r.where = fmt.Sprintf("%s: line %d: rule %d", file, item.line, i+1)
		out = append(out, r)
	}
	return out, nil
}

func parseRule(v jsonValue) (*rule, error) {
	if v.kind != jsonObject {
		return nil, fmt.Errorf("it must be an object and is %s", v.kind)
	}
	r := &rule{}
	var sets []func(*properties)
	for _, f := range v.fields {
		if f.name == "match" {
			if f.value.kind != jsonString {
				return nil, fmt.Errorf("match must be a string and is %s", f.value.kind)
			}
			var err error
			if r.match, err = compileGlob(f.value.text); err != nil {
				return nil, fmt.Errorf("match: %w", err)
			}
			r.pattern = f.value.text
			continue
		}
		set, err := parseProperty(f.name, f.value)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", f.name, err)
		}
		if set != nil {
			sets = append(sets, set)
		}
	}
	if r.match == nil {
		return nil, errors.New("it has no match, which says what files it is for")
	}
	r.set = func(p *properties) {
		for _, set := range sets {
			set(p)
		}
	}
	return r, nil
}

// parseProperty reads what one field of a rule sets; null sets nothing, except for headers.
func parseProperty(name string, v jsonValue) (func(*properties), error) {
	switch name {
	case "headers":
		return parseHeaders(v)
	case "cache", "ignore", "enable_aliasing", "allow_raw_access", "encodings", "security_policy", "disable_security_policy_warning":
	default:
		return nil, errors.New("there is no such field; there are match, cache, headers, ignore, enable_aliasing, allow_raw_access, encodings, security_policy and disable_security_policy_warning")
	}
	if v.kind == jsonNull {
		return nil, nil
	}
	switch name {
	case "cache":
		return parseCache(v)
	case "encodings":
		return parseEncodings(v)
	case "security_policy":
		return parsePolicy(v)
	}
	if v.kind != jsonBool {
		return nil, fmt.Errorf("it must be true or false and is %s", v.kind)
	}
	truth := v.truth
	switch name {
	case "ignore":
		return func(p *properties) { p.ignore = &truth }, nil
	case "enable_aliasing":
		return func(p *properties) { p.aliasing = &truth }, nil
	case "allow_raw_access":
		return func(p *properties) { p.rawAccess = &truth }, nil
	default:
		return func(p *properties) { p.withoutWarning = truth }, nil
	}
}

func parseCache(v jsonValue) (func(*properties), error) {
	if v.kind != jsonObject {
		return nil, fmt.Errorf("it must be an object such as {max_age: 3600} and is %s", v.kind)
	}
	var age *uint64
	for _, f := range v.fields {
		if f.name != "max_age" || f.value.kind == jsonNull {
			continue
		}
		n, err := strconv.ParseUint(f.value.text, 10, 64)
		if f.value.kind != jsonNumber || err != nil {
			return nil, errors.New("max_age must be a number of seconds")
		}
		age = &n
	}
	return func(p *properties) { p.maxAge = age }, nil
}

func parseHeaders(v jsonValue) (func(*properties), error) {
	switch v.kind {
	case jsonNull:
		return func(p *properties) { p.headers = nil }, nil
	case jsonObject:
	default:
		return nil, fmt.Errorf("it must be an object or null and is %s", v.kind)
	}
	headers := map[string]string{}
	for _, f := range v.fields {
		switch f.value.kind {
		case jsonString, jsonNumber, jsonNull:
			headers[f.name] = f.value.text
		case jsonBool:
			headers[f.name] = strconv.FormatBool(f.value.truth)
		default:
			return nil, fmt.Errorf("%s must be a string, a number or a boolean and is %s", f.name, f.value.kind)
		}
	}
	return func(p *properties) {
		merged := map[string]string{}
		maps.Copy(merged, p.headers)
		maps.Copy(merged, headers)
		p.headers = merged
	}, nil
}

func parseEncodings(v jsonValue) (func(*properties), error) {
	if v.kind != jsonArray {
		return nil, fmt.Errorf("it must be an array and is %s", v.kind)
	}
	names := []string{}
	for _, item := range v.items {
		name := item.text
		if name == "brotli" {
			name = brotliName
		}
		if item.kind != jsonString || !slices.Contains([]string{identityName, gzipName, brotliName}, name) {
			return nil, fmt.Errorf("%q is not known; there are identity, gzip and brotli", item.text)
		}
		if !slices.Contains(names, name) {
			names = append(names, name)
		}
	}
	return func(p *properties) { p.encodings = names }, nil
}

// unused are the rules that matched nothing, for whom asks why they have no effect.
func (s *ruleSet) unused() []string {
	var out []string
	for _, r := range s.rules {
		if !r.used {
			out = append(out, fmt.Sprintf("%s: nothing matches %q", r.where, r.pattern))
		}
	}
	return out
}
