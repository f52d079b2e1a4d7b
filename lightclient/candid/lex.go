package candid

import (
	"strconv"
	"strings"
	"unicode/utf8"
)

// SyntaxError says where a text is not Candid.
type SyntaxError struct {
	Line, Column int // from 1; the column counts bytes
	Reason       string
}

func (e *SyntaxError) Error() string {
	return "candid: line " + strconv.Itoa(e.Line) + ", column " + strconv.Itoa(e.Column) + ": " + e.Reason
}

// tokenKind tells tokens apart; punctuation is its own kind.
type tokenKind uint8

const (
	endToken    tokenKind = iota
	nameToken             // an identifier or a keyword
	textToken             // a text literal; text is what it stands for
	numberToken           // a number with its sign, without underscores
	punctToken            // one of ( ) { } ; , : = . ! or the arrow ->
)

type token struct {
	kind tokenKind
	text string
	at   int // offset in the source
}

// lexer cuts a source into tokens. The first error sticks: after it, there are
// only endTokens.
type lexer struct {
	src string
	pos int
	tok token // the current token
	err error
}

func newLexer(src string) *lexer {
	l := &lexer{src: src}
	l.advance()
	return l
}

// advance goes to the next token.
func (l *lexer) advance() {
	l.space()
	l.tok = token{at: l.pos}
	if l.err != nil || l.pos == len(l.src) {
		return
	}
	switch c := l.src[l.pos]; {
	case isLetter(c):
		l.tok.kind, l.tok.text = nameToken, l.while(func(c byte) bool { return isLetter(c) || isDigit(c) })
	case c == '"':
		l.tok.kind, l.tok.text = textToken, l.literal()
	case isDigit(c) || (c == '+' || c == '-') && l.pos+1 < len(l.src) && isDigit(l.src[l.pos+1]):
		l.tok.kind, l.tok.text = numberToken, l.number()
	case strings.HasPrefix(l.src[l.pos:], "->"):
		l.tok.kind, l.tok.text = punctToken, "->"
		l.pos += 2
	case strings.IndexByte("(){};,:=.!", c) >= 0:
		l.tok.kind, l.tok.text = punctToken, l.src[l.pos:l.pos+1]
		l.pos++
	default:
		r, _ := utf8.DecodeRuneInString(l.src[l.pos:])
		l.failAt(l.pos, "unexpected character "+strconv.QuoteRune(r))
	}
	if l.err != nil {
		l.tok = token{at: l.pos}
	}
}

// followedBy reports whether the token after the current one is the punctuation p.
func (l *lexer) followedBy(p string) bool {
	ahead := *l
	ahead.advance()
	return ahead.is(p)
}

// is reports whether the current token is the punctuation p.
func (l *lexer) is(p string) bool { return l.tok.kind == punctToken && l.tok.text == p }

// isWord reports whether the current token is the keyword w.
func (l *lexer) isWord(w string) bool { return l.tok.kind == nameToken && l.tok.text == w }

// take goes past the punctuation p if it is the current token.
func (l *lexer) take(p string) bool {
	ok := l.is(p)
	if ok {
		l.advance()
	}
	return ok
}

// takeWord goes past the keyword w if it is the current token.
func (l *lexer) takeWord(w string) bool {
	ok := l.isWord(w)
	if ok {
		l.advance()
	}
	return ok
}

// need is take, and an error if that fails.
func (l *lexer) need(p string) {
	if !l.take(p) {
		l.unexpected("'" + p + "'")
	}
}

// unexpected fails because the current token is not what is wanted.
func (l *lexer) unexpected(wanted string) {
	have := "the end"
	if l.tok.kind != endToken {
		have = l.tok.text
		if len(have) > 40 {
			have = have[:40]
		}
		have = strconv.Quote(have)
	}
	l.failAt(l.tok.at, wanted+" is expected, not "+have)
}

// failAt records an error at an offset, unless there is one already.
func (l *lexer) failAt(at int, reason string) {
	if l.err != nil {
		return
	}
	before := l.src[:at]
	l.err = &SyntaxError{strings.Count(before, "\n") + 1, at - strings.LastIndexByte(before, '\n'), reason}
	l.pos = len(l.src)
	l.tok = token{at: l.pos}
}

// space goes past white space and comments.
func (l *lexer) space() {
	for l.pos < len(l.src) {
		rest := l.src[l.pos:]
		switch {
		case strings.IndexByte(" \t\r\n", rest[0]) >= 0:
			l.pos++
		case strings.HasPrefix(rest, "//"):
			l.while(func(c byte) bool { return c != '\n' })
		case strings.HasPrefix(rest, "/*"):
			l.blockComment()
		default:
			return
		}
	}
}

// blockComment goes past a comment; comments nest.
func (l *lexer) blockComment() {
	start, depth := l.pos, 0
	for l.pos < len(l.src) {
		rest := l.src[l.pos:]
		switch {
		case strings.HasPrefix(rest, "/*"):
			depth++
			l.pos += 2
		case strings.HasPrefix(rest, "*/"):
			depth--
			l.pos += 2
			if depth == 0 {
				return
			}
		default:
			l.pos++
		}
	}
	l.failAt(start, "this comment does not end")
}

func (l *lexer) while(ok func(byte) bool) string {
	start := l.pos
	for l.pos < len(l.src) && ok(l.src[l.pos]) {
		l.pos++
	}
	return l.src[start:l.pos]
}

// number reads a number literal: sign, decimal or 0x, fraction and exponent.
// The result has no underscores.
func (l *lexer) number() string {
	start := l.pos
	if c := l.src[l.pos]; c == '+' || c == '-' {
		l.pos++
	}
	digit, exponent := isDigit, "eE"
	if strings.HasPrefix(l.src[l.pos:], "0x") {
		l.pos += 2
		digit, exponent = isHex, "pP"
	}
	l.digits(digit)
	if l.pos < len(l.src) && l.src[l.pos] == '.' {
		l.pos++
		if l.pos < len(l.src) && digit(l.src[l.pos]) {
			l.digits(digit)
		}
	}
	if l.pos < len(l.src) && strings.IndexByte(exponent, l.src[l.pos]) >= 0 {
		l.pos++
		if l.pos < len(l.src) && (l.src[l.pos] == '+' || l.src[l.pos] == '-') {
			l.pos++
		}
		l.digits(isDigit)
	}
	if l.pos < len(l.src) && (isLetter(l.src[l.pos]) || isDigit(l.src[l.pos])) {
		l.failAt(l.pos, "a number cannot go on with "+strconv.QuoteRune(rune(l.src[l.pos])))
	}
	if l.err != nil {
		return ""
	}
	return strings.ReplaceAll(l.src[start:l.pos], "_", "")
}

// digits goes past one or more digits with single underscores between them.
func (l *lexer) digits(digit func(byte) bool) {
	for {
		if l.while(digit) == "" {
			l.failAt(l.pos, "a digit is expected")
			return
		}
		if l.pos == len(l.src) || l.src[l.pos] != '_' {
			return
		}
		l.pos++
	}
}

func isHex(c byte) bool { return isDigit(c) || 'a' <= c && c <= 'f' || 'A' <= c && c <= 'F' }

// literal reads a text literal and returns what it stands for, which need not be UTF-8.
func (l *lexer) literal() string {
	start := l.pos
	l.pos++
	var b []byte
	for l.pos < len(l.src) {
		switch c := l.src[l.pos]; {
		case c == '"':
			l.pos++
			return string(b)
		case c == '\\':
			b = l.escape(b)
		case c < ' ' || c == 0x7f:
			l.failAt(l.pos, "a control character in a text must be escaped")
		default:
			b = append(b, c)
			l.pos++
		}
	}
	l.failAt(start, "this text does not end")
	return ""
}

// escape reads an escape sequence and appends what it stands for.
func (l *lexer) escape(b []byte) []byte {
	start := l.pos
	rest := l.src[l.pos+1:]
	if rest == "" {
		l.pos++
		return b
	}
	if i := strings.IndexByte(`nrt\"'`, rest[0]); i >= 0 {
		l.pos += 2
		return append(b, "\n\r\t\\\"'"[i])
	}
	if strings.HasPrefix(rest, "u{") {
		l.pos += len(`\u{`)
		at := l.pos
		l.digits(isHex)
		if l.err != nil {
			return b
		}
		code, err := strconv.ParseUint(strings.ReplaceAll(l.src[at:l.pos], "_", ""), 16, 32)
		if err != nil || code > utf8.MaxRune || !utf8.ValidRune(rune(code)) {
			l.failAt(at, "this is not a Unicode scalar value")
			return b
		}
		if l.pos == len(l.src) || l.src[l.pos] != '}' {
			l.failAt(l.pos, "'}' is expected")
			return b
		}
		l.pos++
		return utf8.AppendRune(b, rune(code))
	}
	if len(rest) >= 2 && isHex(rest[0]) && isHex(rest[1]) {
		l.pos += 3
		v, _ := strconv.ParseUint(rest[:2], 16, 8)
		return append(b, byte(v))
	}
	l.failAt(start, "unknown escape sequence")
	return b
}
