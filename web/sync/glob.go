package sync

import (
	"errors"
	"fmt"
	"regexp"
	"strconv"
	"strings"
)

// compileGlob makes a matcher of a pattern as people know it from .ic-assets.json5
// files, for paths that begin with a slash. There, a star also stands for slashes:
//
//	?          one character
//	*          any characters
//	**/, /**/  any folders, none as well
//	/**        everything below a folder
//	[a-z] [!a] one character out of some, or none of them
//	{a,b}      either
//	\          takes the next character as it is
func compileGlob(pattern string) (*regexp.Regexp, error) {
	g := &globber{rest: "/" + pattern}
	if err := g.translate(0); err != nil {
		return nil, fmt.Errorf("pattern %q: %w", pattern, err)
	}
	re, err := regexp.Compile("(?s)^" + g.out.String() + "$")
	if err != nil {
		return nil, fmt.Errorf("pattern %q: %w", pattern, err)
	}
	return re, nil
}

type globber struct {
	rest string
	out  strings.Builder
}

// translate goes on to the end, or to the end of a brace in which it is.
func (g *globber) translate(braces int) error {
	for g.rest != "" {
		c := g.rest[0]
		switch {
		case g.folders():
		case c == '*':
			g.rest = g.rest[1:]
			g.out.WriteString(".*")
		case c == '?':
			g.rest = g.rest[1:]
			g.out.WriteString(".")
		case c == '[':
			if err := g.class(); err != nil {
				return err
			}
		case c == '{':
			if err := g.alternatives(braces); err != nil {
				return err
			}
		case braces > 0 && (c == ',' || c == '}'):
			return nil
		case c == '}':
			return errors.New("a } has no {")
		case c == '\\' && len(g.rest) == 1:
			return errors.New("there is nothing after the last backslash")
		default:
			if c == '\\' {
				g.rest = g.rest[1:]
			}
			r := []rune(g.rest)[0]
			g.out.WriteString(regexp.QuoteMeta(string(r)))
			g.rest = g.rest[len(string(r)):]
		}
	}
	if braces > 0 {
		return errors.New("a { has no }")
	}
	return nil
}

// folders translates two stars that are a whole part of the path.
func (g *globber) folders() bool {
	switch {
	case g.rest == "/**":
		g.rest = ""
		g.out.WriteString("/.*")
	case strings.HasPrefix(g.rest, "/**/"):
		g.rest = g.rest[len("/**/"):]
		g.out.WriteString("(?:/|/.*/)")
	default:
		return false
	}
	return true
}

func (g *globber) class() error {
	body := g.rest[1:]
	g.out.WriteByte('[')
	if strings.HasPrefix(body, "!") || strings.HasPrefix(body, "^") {
		g.out.WriteByte('^')
		body = body[1:]
	}
	for i, r := range body {
		switch {
		case r == ']' && i > 0:
			g.out.WriteByte(']')
			g.rest = body[i+1:]
			return nil
		case r == '-' && i > 0 && !strings.HasPrefix(body[i+1:], "]"):
			g.out.WriteByte('-')
		default:
			g.out.WriteString(`\x{` + strconv.FormatInt(int64(r), 16) + `}`)
		}
	}
	return errors.New("a [ has no ]")
}

func (g *globber) alternatives(braces int) error {
	if braces >= maxDepth {
		return errors.New("braces are nested too deep")
	}
	g.out.WriteString("(?:")
	for {
		g.rest = g.rest[1:]
		if err := g.translate(braces + 1); err != nil {
			return err
		}
		if g.rest[0] == '}' {
			g.rest = g.rest[1:]
			g.out.WriteByte(')')
			return nil
		}
		g.out.WriteByte('|')
	}
}
