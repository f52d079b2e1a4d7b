// Package wat assembles WebAssembly modules from a subset of the text format, so that
// tests can show the code they are about. It covers what the engine supports except for
// most of SIMD's integer instructions; it does not check types.
package wat

import (
	"fmt"
	"strings"

	"portico/lightclient/leb128"
)

// Assemble gives the binary of one module: `(module field...)`.
func Assemble(src string) (out []byte, err error) {
	defer func() {
		if r := recover(); r != nil {
			e, ok := r.(error)
			if !ok {
				panic(r)
			}
			out, err = nil, fmt.Errorf("wat: %w", e)
		}
	}()
	root := read(src)
	if len(root.list) != 1 || root.list[0].head() != "module" {
		root.failf("not exactly one (module ...)")
	}
	a := &assembler{
		types: map[string]int{}, names: map[string]int{}, ops: encodings(),
		sections: map[byte]*section{}, count: map[string]int{},
	}
	fields := root.list[0].list[1:]
	for _, f := range fields {
		a.declare(f)
	}
	for _, f := range fields {
		a.define(f)
	}
	return a.module(), nil
}

// MustAssemble is Assemble for modules that are part of a test: it panics.
func MustAssemble(src string) []byte {
	b, err := Assemble(src)
	if err != nil {
		panic(err)
	}
	return b
}

type section struct {
	n     int
	bytes []byte
}

type assembler struct {
	types    map[string]int // index by encoding
	names    map[string]int // index by kind and name: "func $f"
	count    map[string]int // by kind
	ops      map[string]encoding
	sections map[byte]*section
	start    []byte
	custom   []byte
	hasData  bool
}

func (a *assembler) add(id byte, b []byte) {
	if a.sections[id] == nil {
		a.sections[id] = &section{}
	}
	a.sections[id].n++
	a.sections[id].bytes = append(a.sections[id].bytes, b...)
}

func u(b []byte, v int) []byte { return leb128.AppendUint(b, uint64(v)) }

func str(b []byte, s string) []byte { return append(u(b, len(s)), s...) }

func (a *assembler) module() []byte {
	out := []byte("\x00asm\x01\x00\x00\x00")
	sec := func(id byte, b []byte) {
		out = append(u(append(out, id), len(b)), b...)
	}
	for _, id := range []byte{1, 2, 3, 4, 5, 6, 7, 8, 9, 12, 10, 11} {
		switch s := a.sections[id]; {
		case id == 8 && a.start != nil:
			sec(8, a.start)
		case id == 12 && a.hasData:
			sec(12, u(nil, a.sections[11].n))
		case s != nil:
			sec(id, append(u(nil, s.n), s.bytes...))
		}
	}
	return append(out, a.custom...)
}

// declare gives a field its index, so that others may use its name first.
func (a *assembler) declare(f node) {
	kind := f.head()
	rest := f.list[1:]
	if kind == "import" {
		kind, rest = rest[2].head(), rest[2].list[1:]
	}
	switch kind {
	case "func", "table", "memory", "global", "elem", "data", "type":
	default:
		return
	}
	index := a.count[kind]
	if kind == "type" {
		_, _, t := a.signature(rest[1].list[1:])
		index = a.typeIndex(t)
	}
	a.count[kind]++
	if len(rest) > 0 && strings.HasPrefix(rest[0].atom, "$") && !rest[0].str {
		a.names[kind+" "+rest[0].atom] = index
	}
	for _, n := range rest {
		if n.head() == "export" {
			a.export(n.list[1].atom, kind, index)
		}
	}
}

func (a *assembler) export(name, kind string, index int) {
	kinds := map[string]byte{"func": 0, "table": 1, "memory": 2, "global": 3}
	a.add(7, u(append(str(nil, name), kinds[kind]), index))
}

func (a *assembler) index(kind string, n node) int {
	if !strings.HasPrefix(n.atom, "$") {
		return int(integer(n, n.atom))
	}
	i, ok := a.names[kind+" "+n.atom]
	if !ok {
		n.failf("unknown %s %s", kind, n.atom)
	}
	return i
}

func (a *assembler) define(f node) {
	rest := f.list[1:]
	for len(rest) > 0 && (strings.HasPrefix(rest[0].atom, "$") && !rest[0].str || rest[0].head() == "export") {
		rest = rest[1:]
	}
	switch f.head() {
	case "import":
		a.importFunction(f)
	case "func":
		a.function(rest)
	case "type":
	case "table":
		limits, rest := a.limits(rest)
		a.add(4, append([]byte{valueType(rest[0])}, limits...))
	case "memory":
		limits, _ := a.limits(rest)
		a.add(5, limits)
	case "global":
		typ, mutable := rest[0], byte(0)
		if typ.head() == "mut" {
			typ, mutable = typ.list[1], 1
		}
		a.add(6, append([]byte{valueType(typ), mutable}, a.expr(rest[1:])...))
	case "export":
		kind := rest[1].head()
		a.export(f.list[1].atom, kind, a.index(kind, rest[1].list[1]))
	case "start":
		a.start = u(nil, a.index("func", f.list[1]))
	case "elem":
		a.elem(rest)
	case "data":
		a.data(rest)
	case "custom":
		content := append(str(nil, rest[0].atom), rest[1].atom...)
		a.custom = append(u(append(a.custom, 0), len(content)), content...)
	default:
		f.failf("unknown field %q", f.head())
	}
}

func (a *assembler) importFunction(f node) {
	if f.list[3].head() != "func" {
		f.failf("only functions can be imported")
	}
	desc := f.list[3].list[1:]
	if len(desc) > 0 && desc[0].atom != "" {
		desc = desc[1:]
	}
	b := append(str(str(nil, f.list[1].atom), f.list[2].atom), 0)
	t, _, _ := a.typeUse(desc)
	a.add(2, u(b, t))
}

func (a *assembler) limits(rest []node) ([]byte, []node) {
	flags, min := byte(0), []byte(nil)
	if rest[0].atom == "i64" || rest[0].atom == "i32" {
		if rest[0].atom == "i64" {
			flags = 4
		}
		rest = rest[1:]
	}
	number := func(n node) []byte { return leb128.AppendUint(nil, uint64(integer(n, n.atom))) }
	min = number(rest[0])
	rest = rest[1:]
	if len(rest) > 0 && rest[0].atom != "" && rest[0].atom[0] >= '0' && rest[0].atom[0] <= '9' {
		min = append(min, number(rest[0])...)
		flags |= 1
		rest = rest[1:]
	}
	return append([]byte{flags}, min...), rest
}

func (a *assembler) elem(rest []node) {
	flags, table := 1, 0
	var offset []byte
	if len(rest) > 0 && rest[0].head() == "table" {
		table = a.index("table", rest[0].list[1])
		rest = rest[1:]
	}
	if len(rest) > 0 && rest[0].isList {
		flags = 2
		offset = a.expr(rest[:1])
		rest = rest[1:]
	}
	if len(rest) > 0 && rest[0].atom == "declare" {
		flags = 3
		rest = rest[1:]
	}
	if len(rest) > 0 && rest[0].atom == "func" {
		rest = rest[1:]
	}
	b := u(nil, flags)
	if flags == 2 {
		b = append(u(b, table), offset...)
	}
	b = u(append(b, 0), len(rest))
	for _, f := range rest {
		b = u(b, a.index("func", f))
	}
	a.add(9, b)
}

func (a *assembler) data(rest []node) {
	b := []byte{1}
	if rest[0].isList {
		b = append([]byte{0}, a.expr(rest[:1])...)
		rest = rest[1:]
	}
	content := ""
	for _, s := range rest {
		content += s.atom
	}
	a.add(11, str(b, content))
}

func valueType(n node) byte {
	types := map[string]byte{
		"i32": 0x7f, "i64": 0x7e, "f32": 0x7d, "f64": 0x7c, "v128": 0x7b,
		"funcref": 0x70, "externref": 0x6f, "func": 0x70, "extern": 0x6f,
	}
	t, ok := types[n.atom]
	if !ok {
		n.failf("unknown type %q", n.atom)
	}
	return t
}

func (a *assembler) typeIndex(encoded string) int {
	i, ok := a.types[encoded]
	if !ok {
		i = len(a.types)
		a.types[encoded] = i
		a.add(1, []byte(encoded))
	}
	return i
}

// signature reads (param ...) and (result ...); it gives the names of parameters, what
// follows and the type's encoding.
func (a *assembler) signature(rest []node) (params []string, after []node, encoded string) {
	var ps, rs []byte
	for len(rest) > 0 && (rest[0].head() == "param" || rest[0].head() == "result") {
		items := rest[0].list[1:]
		name := ""
		if len(items) > 0 && strings.HasPrefix(items[0].atom, "$") {
			name, items = items[0].atom, items[1:]
		}
		for _, t := range items {
			if rest[0].head() == "param" {
				ps = append(ps, valueType(t))
				params = append(params, name)
			} else {
				rs = append(rs, valueType(t))
			}
		}
		rest = rest[1:]
	}
	b := append(u([]byte{0x60}, len(ps)), ps...)
	return params, rest, string(append(u(b, len(rs)), rs...))
}

// typeUse is a signature or (type $t).
func (a *assembler) typeUse(rest []node) (index int, params []string, after []node) {
	if len(rest) > 0 && rest[0].head() == "type" {
		index = a.index("type", rest[0].list[1])
		params, after, _ = a.signature(rest[1:])
		return index, params, after
	}
	params, after, encoded := a.signature(rest)
	return a.typeIndex(encoded), params, after
}
