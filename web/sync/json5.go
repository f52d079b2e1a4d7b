package sync

import (
	"fmt"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"
)

// JSON5 (json5.org) is what people write rules in: JSON with comments, trailing
// commas, single quotes and names without quotes. This reader is stricter in one
// thing: an object must not have a name twice.

const maxDepth = 32

// jsonValue is a value and the line it begins at. Exactly one kind applies.
type jsonValue struct {
	line   int
	kind   jsonKind
	text   string // of a string, or a number as it is written
	truth  bool
	items  []jsonValue
	fields []jsonField
}

type jsonField struct {
	name  string
	line  int
	value jsonValue
}

type jsonKind int

const (
	jsonNull jsonKind = iota
	jsonBool
	jsonNumber
	jsonString
	jsonArray
	jsonObject
)

func (k jsonKind) String() string {
	return [...]string{"null", "a boolean", "a number", "a string", "an array", "an object"}[k]
}

// syntaxError is a mistake at a line, counted from one.
type syntaxError struct {
	line int
	text string
}

func (e *syntaxError) Error() string { return fmt.Sprintf("line %d: %s", e.line, e.text) }

// parseJSON5 reads one value with nothing after it.
func parseJSON5(text string) (v jsonValue, err error) {
	p := &jsonParser{rest: text, line: 1}
	defer func() {
		if failure, ok := recover().(*syntaxError); ok {
			err = failure
		}
	}()
	if !utf8.ValidString(text) {
		p.fail("the file is not UTF-8")
	}
	p.rest = strings.TrimPrefix(p.rest, "\ufeff")
	v = p.value(0)
	if p.space(); p.rest != "" {
		p.fail("something follows the value: %.20q", p.rest)
	}
	return v, nil
}

// jsonParser leaves by a panic with a *syntaxError.
type jsonParser struct {
	rest string
	line int
}

func (p *jsonParser) fail(format string, args ...any) {
	panic(&syntaxError{p.line, fmt.Sprintf(format, args...)})
}

func (p *jsonParser) skip(n int) {
	p.line += strings.Count(p.rest[:n], "\n")
	p.rest = p.rest[n:]
}

// space skips white space and comments.
func (p *jsonParser) space() {
	for p.rest != "" {
		r, n := utf8.DecodeRuneInString(p.rest)
		switch {
		case unicode.IsSpace(r) || r == '\ufeff':
			p.skip(n)
		case strings.HasPrefix(p.rest, "//"):
			end := strings.IndexAny(p.rest, "\n\r")
			if end < 0 {
				end = len(p.rest)
			}
			p.skip(end)
		case strings.HasPrefix(p.rest, "/*"):
			end := strings.Index(p.rest, "*/")
			if end < 0 {
				p.fail("a comment has no end")
			}
			p.skip(end + 2)
		default:
			return
		}
	}
}

// next is the next byte after white space, zero at the end.
func (p *jsonParser) next() byte {
	if p.space(); p.rest == "" {
		return 0
	}
	return p.rest[0]
}

func (p *jsonParser) value(depth int) jsonValue {
	c := p.next()
	v := jsonValue{line: p.line}
	switch {
	case depth > maxDepth:
		p.fail("values are nested deeper than %d", maxDepth)
	case c == 0:
		p.fail("a value is missing at the end")
	case c == '{':
		v.kind, v.fields = jsonObject, p.object(depth)
	case c == '[':
		v.kind, v.items = jsonArray, p.array(depth)
	case c == '"' || c == '\'':
		v.kind, v.text = jsonString, p.quoted()
	case c == '-' || c == '+' || c == '.' || '0' <= c && c <= '9':
		v.kind, v.text = jsonNumber, p.number()
	default:
		switch word := p.name(); word {
		case "null":
		case "true", "false":
			v.kind, v.truth = jsonBool, word == "true"
		case "Infinity", "NaN":
			v.kind, v.text = jsonNumber, word
		default:
			p.fail("%q is no value: strings need quotes", word)
		}
	}
	return v
}

func (p *jsonParser) object(depth int) []jsonField {
	var out []jsonField
	p.skip(1)
	for p.next() != '}' {
		f := jsonField{line: p.line}
		if c := p.rest; c != "" && (c[0] == '"' || c[0] == '\'') {
			f.name = p.quoted()
		} else {
			f.name = p.name()
		}
		for _, o := range out {
			if o.name == f.name {
				p.fail("%q is there twice", f.name)
			}
		}
		if p.next() != ':' {
			p.fail("a colon is missing after %q", f.name)
		}
		p.skip(1)
		f.value = p.value(depth + 1)
		out = append(out, f)
		p.comma('}')
	}
	p.skip(1)
	return out
}

func (p *jsonParser) array(depth int) []jsonValue {
	var out []jsonValue
	p.skip(1)
	for p.next() != ']' {
		out = append(out, p.value(depth+1))
		p.comma(']')
	}
	p.skip(1)
	return out
}

// comma reads what separates elements, unless the end follows.
func (p *jsonParser) comma(end byte) {
	switch p.next() {
	case ',':
		p.skip(1)
	case end:
	default:
		p.fail("a comma or %q is missing before %.20q", end, p.rest)
	}
}

// name is an identifier.
func (p *jsonParser) name() string {
	end := strings.IndexFunc(p.rest, func(r rune) bool {
		return !unicode.IsLetter(r) && !unicode.IsDigit(r) && r != '_' && r != '$'
	})
	if end < 0 {
		end = len(p.rest)
	}
	if end == 0 {
		p.fail("unexpected %.20q", p.rest)
	}
	word := p.rest[:end]
	p.skip(end)
	return word
}

func (p *jsonParser) number() string {
	end := strings.IndexFunc(p.rest, func(r rune) bool {
		return !unicode.IsLetter(r) && !unicode.IsDigit(r) && !strings.ContainsRune("+-.", r)
	})
	if end < 0 {
		end = len(p.rest)
	}
	text := p.rest[:end]
	p.skip(end)
	plain := strings.TrimLeft(text, "+-")
	_, asFloat := strconv.ParseFloat(plain, 64)
	_, asHex := strconv.ParseUint(strings.TrimPrefix(strings.TrimPrefix(plain, "0x"), "0X"), 16, 64)
	hex := len(plain) > 1 && (plain[1] == 'x' || plain[1] == 'X')
	if len(text)-len(plain) > 1 || hex && asHex != nil || !hex && asFloat != nil {
		p.fail("%q is no number", text)
	}
	return text
}

// quoted is a string in quotes of either kind.
func (p *jsonParser) quoted() string {
	quote := p.rest[0]
	p.skip(1)
	var b strings.Builder
	for {
		if p.rest == "" || p.rest[0] == '\n' {
			p.fail("a string has no end")
		}
		switch c := p.rest[0]; c {
		case quote:
			p.skip(1)
			return b.String()
		case '\\':
			p.escape(&b)
		default:
			_, n := utf8.DecodeRuneInString(p.rest)
			b.WriteString(p.rest[:n])
			p.skip(n)
		}
	}
}

func (p *jsonParser) escape(b *strings.Builder) {
	p.skip(1)
	r, n := utf8.DecodeRuneInString(p.rest)
	if n == 0 {
		p.fail("a string has no end")
	}
	p.skip(n)
	switch r {
	case '\n', '\u2028', '\u2029':
	case '\r':
		if strings.HasPrefix(p.rest, "\n") {
			p.skip(1)
		}
	case 'x':
		b.WriteRune(p.hex(2))
	case 'u':
		v := p.hex(4)
		if high := v; 0xd800 <= high && high < 0xdc00 && strings.HasPrefix(p.rest, `\u`) {
			p.skip(2)
			v = 0x10000 + (high-0xd800)<<10 + (p.hex(4) - 0xdc00)
		}
		b.WriteRune(v)
	default:
		if i := strings.IndexRune("bfnrtv0", r); i >= 0 {
			r = rune("\b\f\n\r\t\v\x00"[i])
		}
		b.WriteRune(r)
	}
}

func (p *jsonParser) hex(digits int) rune {
	if len(p.rest) < digits {
		p.fail("an escape is not complete")
	}
	v, err := strconv.ParseUint(p.rest[:digits], 16, 32)
	if err != nil {
		p.fail("%q is not hexadecimal", p.rest[:digits])
	}
	p.skip(digits)
	return rune(v)
}
