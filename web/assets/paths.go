package main

import (
	"slices"
	"strings"
)

// Verifiers take the segments of a path and overlook empty ones, so "//x", "/x" and
// "x" are one place to them. Two keys must never be certified at one place: each
// would undo the other's certification.

// place is the path at which verifiers see a path or key: one slash at the
// beginning and one wherever there are several.
func place(path string) string {
	if strings.HasPrefix(path, "/") && !strings.Contains(path, "//") {
		return path
	}
	var b strings.Builder
	b.WriteByte('/')
	for s := range strings.SplitAfterSeq(path, "/") {
		if s != "/" {
			b.WriteString(s)
		}
	}
	return b.String()
}

// add makes a file an asset. Keys other than their place are strays: they are served
// there as long as nothing else is.
func (s *store) add(key string, f *file) {
	s.files[key] = f
	if p := place(key); p != key {
		i, found := slices.BinarySearch(s.strays[p], key)
		if !found {
			s.strays[p] = slices.Insert(s.strays[p], i, key)
		}
	}
}

// forget inverts add.
func (s *store) forget(key string) {
	delete(s.files, key)
	p := place(key)
	if i, found := slices.BinarySearch(s.strays[p], key); found {
		if s.strays[p] = slices.Delete(s.strays[p], i, i+1); len(s.strays[p]) == 0 {
			delete(s.strays, p)
		}
	}
}

// at is the asset at a place, if it has any content.
func (s *store) at(path string) (key string, f *file) {
	if f := s.files[path]; f.served() {
		return path, f
	}
	for _, key := range s.strays[path] {
		if f := s.files[key]; f.served() {
			return key, f
		}
	}
	return "", nil
}

// find is the asset served at a place: the one that is there, or one that has it as
// an alias.
func (s *store) find(path string) (key string, f *file) {
	if key, f := s.at(path); f != nil {
		return key, f
	}
	for _, other := range aliasesOf(path) {
		if key, f := s.at(other); f != nil && f.isAliased() {
			return key, f
		}
	}
	return "", nil
}

// named is the asset of a key, or what would be served at its place.
func (s *store) named(key string) *file {
	if f := s.files[key]; f.served() {
		return f
	}
	_, f := s.find(place(key))
	return f
}

func (f *file) served() bool { return f != nil && len(f.encodings) > 0 }

func (f *file) isAliased() bool { return f.aliased == nil || *f.aliased }

// aliasesOf are the places whose assets a path without asset may stand for, in order.
func aliasesOf(path string) []string {
	switch {
	case strings.HasSuffix(path, "/"):
		return []string{path + "index.html"}
	case strings.HasSuffix(path, ".html"):
		return nil
	default:
		return []string{path + ".html", path + "/index.html"}
	}
}

// aliasedBy inverts aliasesOf: the paths that may stand for a place.
func aliasedBy(path string) []string {
	var out []string
	if stem, ok := strings.CutSuffix(path, ".html"); ok {
		out = append(out, stem)
	}
	if dir, ok := strings.CutSuffix(path, "index.html"); ok && strings.HasSuffix(dir, "/") {
		out = append(out, dir)
		if dir = strings.TrimSuffix(dir, "/"); dir != "" {
			out = append(out, dir)
		}
	}
	return out
}
