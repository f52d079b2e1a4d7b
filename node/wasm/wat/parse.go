package wat

import (
	"fmt"
	"strconv"
	"strings"
)

// node is a list, or an atom or string if it has no list.
type node struct {
	list   []node
	isList bool
	atom   string
	str    bool
	line   int
}

func (n node) head() string {
	if n.isList && len(n.list) > 0 {
		return n.list[0].atom
	}
	return ""
}

func (n node) failf(format string, args ...any) {
	panic(fmt.Errorf("line %d: %s", n.line, fmt.Sprintf(format, args...)))
}

// read parses the text as one list.
func read(src string) node {
	root := node{isList: true, line: 1}
	stack := []*node{&root}
	line := 1
	add := func(n node) {
		top := stack[len(stack)-1]
		top.list = append(top.list, n)
	}
	for i := 0; i < len(src); {
		switch c := src[i]; {
		case c == '\n':
			line++
			i++
		case c == ' ' || c == '\t' || c == '\r':
			i++
		case strings.HasPrefix(src[i:], ";;"):
			for i < len(src) && src[i] != '\n' {
				i++
			}
		case c == '(':
			stack = append(stack, &node{isList: true, line: line})
			i++
		case c == ')':
			if len(stack) == 1 {
				panic(fmt.Errorf("line %d: too many )", line))
			}
			done := *stack[len(stack)-1]
			stack = stack[:len(stack)-1]
			add(done)
			i++
		case c == '"':
			s, n := quoted(src[i:], line)
			add(node{atom: s, str: true, line: line})
			i += n
		default:
			start := i
			for i < len(src) && !strings.ContainsRune(" \t\r\n()\";", rune(src[i])) {
				i++
			}
			if i == start {
				panic(fmt.Errorf("line %d: unexpected %q", line, src[i]))
			}
			add(node{atom: src[start:i], line: line})
		}
	}
	if len(stack) != 1 {
		panic(fmt.Errorf("line %d: a ( is not closed", stack[len(stack)-1].line))
	}
	return root
}

// quoted reads a string literal and gives its content and its length in the source.
func quoted(src string, line int) (string, int) {
	var out []byte
	for i := 1; i < len(src); i++ {
		switch src[i] {
		case '"':
			return string(out), i + 1
		case '\\':
			i++
			escapes := map[byte]byte{'n': '\n', 't': '\t', '\\': '\\', '"': '"', '\'': '\''}
			if i < len(src) && escapes[src[i]] != 0 {
				out = append(out, escapes[src[i]])
				continue
			}
			if i+1 >= len(src) {
				panic(fmt.Errorf("line %d: an escape in a string is cut off", line))
			}
			v, err := strconv.ParseUint(src[i:i+2], 16, 8)
			if err != nil {
				panic(fmt.Errorf("line %d: unknown escape in a string", line))
			}
			out = append(out, byte(v))
			i++
		default:
			out = append(out, src[i])
		}
	}
	panic(fmt.Errorf("line %d: a string is not closed", line))
}

// integer parses a decimal or hexadecimal number, negative or up to 64 bits.
func integer(n node, s string) int64 {
	s = strings.ReplaceAll(s, "_", "")
	if v, err := strconv.ParseInt(s, 0, 64); err == nil {
		return v
	}
	v, err := strconv.ParseUint(s, 0, 64)
	if err != nil {
		n.failf("%q is not a number", s)
	}
	return int64(v)
}
