package candid

import (
	"slices"
	"strconv"
	"unicode/utf8"
)

// TypeText is t in the syntax of .did files, on one line. Named types are
// written as their names. Types read from a message may be circular without
// names; they are cut off with "…", 500 levels deep or after about 1 MB.
func TypeText(t Type) string {
	p := typePrinter{room: 1 << 20}
	p.typ(t)
	return string(p.b)
}

// Short is the beginning of TypeText, for messages.
func Short(t Type) string {
	p := typePrinter{room: 80}
	p.typ(t)
	return string(p.b)
}

// typePrinter appends types to b. It writes "…" for what begins after room bytes.
type typePrinter struct {
	b      []byte
	room   int
	depth  int
	indent int  // levels
	lines  bool // a line for each field
}

func (p *typePrinter) typ(t Type) {
	if len(p.b) > p.room || p.depth == maxNesting {
		p.put("…")
		return
	}
	p.depth++
	p.typeAtDepth(t)
	p.depth--
}

func (p *typePrinter) typeAtDepth(t Type) {
	switch t := t.(type) {
	case Prim:
		p.put(t.String())
	case *OptType:
		p.put("opt ")
		p.typ(t.Elem)
	case *VecType:
		if t.Elem == Nat8Type {
			p.put("blob")
			return
		}
		p.put("vec ")
		p.typ(t.Elem)
	case *RecordType:
		p.put("record ")
		p.fields(t.Fields, isTuple(t.Fields), false)
	case *VariantType:
		p.put("variant ")
		p.fields(t.Fields, false, true)
	case *FuncType:
		p.put("func ")
		p.signature(t)
	case *ServiceType:
		p.put("service ")
		p.methods(t.Methods)
	case *Named:
		p.put(t.Name)
	case *FutureType:
		p.put("future" + strconv.FormatInt(t.Opcode, 10))
	case tableRef:
		p.put("table" + strconv.Itoa(int(t)))
	case nil:
		p.put("undefined")
	}
}

func isTuple(fields []FieldType) bool {
	for i, f := range fields {
		if f.ID != uint32(i) || f.Name != "" {
			return false
		}
	}
	return len(fields) > 0
}

func (p *typePrinter) fields(fields []FieldType, tuple, nulls bool) {
	p.block(len(fields), func(i int) {
		f := &fields[i]
		if !tuple {
			p.put(f.label())
		}
		if nulls && f.Type == NullType {
			return
		}
		if !tuple {
			p.put(" : ")
		}
		p.typ(f.Type)
	})
}

func (p *typePrinter) methods(methods []MethodType) {
	p.block(len(methods), func(i int) {
		m := &methods[i]
		p.put(quoteName(m.Name) + " : ")
		if f, ok := m.Type.(*FuncType); ok {
			p.signature(f)
		} else {
			p.typ(m.Type)
		}
	})
}

// block writes n things in braces.
func (p *typePrinter) block(n int, item func(i int)) {
	if n == 0 {
		p.put("{}")
		return
	}
	p.put("{")
	p.indent++
	for i := range n {
		if len(p.b) > p.room {
			p.put(" …")
			break
		}
		p.newline()
		item(i)
		if i < n-1 || p.lines {
			p.put(";")
		}
	}
	p.indent--
	p.newline()
	p.put("}")
}

func (p *typePrinter) newline() {
	if !p.lines {
		p.put(" ")
		return
	}
	p.put("\n")
	for range p.indent {
		p.put("  ")
	}
}

func (p *typePrinter) signature(f *FuncType) {
	p.args(f.Args)
	p.put(" -> ")
	p.args(f.Results)
	for i, name := range annotationNames() {
		if f.Annotations&(1<<i) != 0 {
			p.put(" " + name)
		}
	}
}

func (p *typePrinter) args(args []ArgType) {
	p.put("(")
	for i, a := range args {
		if i > 0 {
			p.put(", ")
		}
		if a.Name != "" {
			p.put(quoteName(a.Name) + " : ")
		}
		p.typ(a.Type)
	}
	p.put(")")
}

func (p *typePrinter) put(s string) { p.b = append(p.b, s...) }

// annotationNames are the annotations in the order of their bits.
func annotationNames() [3]string { return [3]string{"query", "oneway", "composite_query"} }

// String is the name of the type in .did files.
func (t Prim) String() string {
	switch t {
	case PrincipalType:
		return "principal"
	case AnyType:
		return "any"
	case AnyFuncType:
		return "any func"
	}
	if names := primitiveNames(); int(t) < len(names) {
		return names[t]
	}
	return "type " + strconv.Itoa(int(t))
}

// primitiveNamed is the type with the name; ok is false if there is none.
func primitiveNamed(name string) (t Prim, ok bool) {
	if name == "principal" {
		return PrincipalType, true
	}
	names := primitiveNames()
	i := slices.Index(names[1:], name)
	return Prim(i + 1), i >= 0
}

// primitiveNames are the names of the types from NullType to EmptyType.
func primitiveNames() [EmptyType + 1]string {
	return [...]string{
		"type 0", "null", "bool", "nat", "int", "nat8", "nat16", "nat32", "nat64", "int8", "int16", "int32", "int64",
		"float32", "float64", "text", "reserved", "empty",
	}
}

// isKeyword reports whether the name means something in .did files or values.
func isKeyword(name string) bool {
	switch name {
	case "type", "import", "service", "func", "opt", "vec", "record", "variant", "blob", "true", "false",
		"query", "oneway", "composite_query":
		return true
	}
	_, ok := primitiveNamed(name)
	return ok
}

// label is how the field is written in .did files.
func (f *FieldType) label() string {
	if f.Name == "" {
		return strconv.FormatUint(uint64(f.ID), 10)
	}
	return quoteName(f.Name)
}

// quoteName writes a name, in quotes if it is not an identifier or is a keyword.
func quoteName(name string) string {
	if isIdentifier(name) && !isKeyword(name) {
		return name
	}
	return string(appendQuoted(nil, name))
}

func isIdentifier(s string) bool {
	for i := range len(s) {
		if !isLetter(s[i]) && (i == 0 || !isDigit(s[i])) {
			return false
		}
	}
	return s != ""
}

func isLetter(c byte) bool { return c == '_' || 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' }

func isDigit(c byte) bool { return '0' <= c && c <= '9' }

// appendQuoted writes a text literal. Bytes that are not UTF-8 are escaped one by one.
func appendQuoted(b []byte, s string) []byte {
	b = append(b, '"')
	for len(s) > 0 {
		r, n := utf8.DecodeRuneInString(s)
		switch {
		case r == utf8.RuneError && n == 1:
			b = appendHexEscape(b, s[0])
		case r == '\n':
			b = append(b, `\n`...)
		case r == '\r':
			b = append(b, `\r`...)
		case r == '\t':
			b = append(b, `\t`...)
		case r == '"' || r == '\\':
			b = append(b, '\\', byte(r))
		case r < 0x20 || r == 0x7f:
			b = appendHexEscape(b, s[0])
		default:
			b = append(b, s[:n]...)
		}
		s = s[n:]
	}
	return append(b, '"')
}

func appendHexEscape(b []byte, c byte) []byte {
	const hex = "0123456789abcdef"
	return append(b, '\\', hex[c>>4], hex[c&15])
}
