package wasm

import (
	"bytes"
	"slices"

	"portico/lightclient/leb128"
)

// Codes of the binary format that mutations use.
const (
	codeI32, codeI64, codeF32, codeF64, codeV128 = 0x7f, 0x7e, 0x7d, 0x7c, 0x7b

	sectionType, sectionImport, sectionFunction, sectionTable, sectionMemory = 1, 2, 3, 4, 5
	sectionExport, sectionStart, sectionElement, sectionCode, sectionData    = 7, 8, 9, 10, 11
	sectionDataCount                                                         = 12
)

// mutant is a module taken apart as far as mutations reach: types, functions, exports
// and data; the rest are sections of bytes. It is read from valid modules only, and
// what is written from it need not be valid.
type mutant struct {
	types    []mutantType
	imported []uint32 // types of the imported functions
	funcs    []mutantFunc
	exports  []mutantExport
	data     []mutantData
	sections []mutantSection // in order; those above without content
	memory64 bool
}

type (
	mutantType    struct{ params, results []byte }
	mutantExport  struct{ name, rest []byte } // kind and index
	mutantData    struct{ head, content []byte }
	mutantSection struct {
		id      byte
		content []byte
	}
	// mutantFunc is a body; its instructions are decoded once a mutation needs them.
	mutantFunc struct {
		typ  uint32
		raw  []byte // groups of locals and code
		code []ins  // nil while raw counts
		own  []byte // types of the locals besides the parameters, of a decoded body
	}
)

// ins is an instruction with its immediates as they are encoded.
type ins struct {
	op  uint16 // a prefix is the high byte
	imm []byte
}

// cursor reads what is known to be well-formed: running over the end panics, which
// would be a defect of a seed or of the test.
type cursor struct{ b []byte }

func (c *cursor) byte() byte {
	v := c.b[0]
	c.b = c.b[1:]
	return v
}

func (c *cursor) u32() uint32 {
	v, n, err := leb128.Uint64(c.b)
	if err != nil {
		panic(err)
	}
	c.b = c.b[n:]
	return uint32(v)
}

func (c *cursor) bytes(n int) []byte {
	v := c.b[:n:n]
	c.b = c.b[n:]
	return v
}

func (c *cursor) leb() {
	for c.byte() >= 0x80 {
	}
}

// upTo gives what read has passed over.
func (c *cursor) upTo(read func()) []byte {
	before := c.b
	read()
	n := len(before) - len(c.b)
	return before[:n:n]
}

func (c *cursor) constExpr() {
	for ins := c.ins(); ins.op != 0x0b; ins = c.ins() {
	}
}

func (c *cursor) ins() ins {
	op := uint16(c.byte())
	if op >= 0xfc {
		op = op<<8 | uint16(c.u32())
	}
	return ins{op, c.upTo(func() { c.immediates(op) })}
}

// immediates skips what follows an opcode.
func (c *cursor) immediates(op uint16) {
	lebs, fixed := 0, 0
	switch {
	case op == 0x0e: // br_table
		lebs = int(c.u32()) + 1
	case op == 0x1c: // select with types
		fixed = int(c.u32())
	case op >= 0x02 && op <= 0x04, op == 0x0c, op == 0x0d, op == 0x10, op == 0x12, op >= 0x20 && op <= 0x26, op >= 0x3f && op <= 0x42, op == 0xd0, op == 0xd2:
		lebs = 1
	case op == 0x11, op == 0x13, op >= 0x28 && op <= 0x3e:
		lebs = 2
	case op == 0x43:
		fixed = 4
	case op == 0x44:
		fixed = 8
	case op == 0xfc08, op == 0xfc0a, op == 0xfc0c, op == 0xfc0e:
		lebs = 2
	case op >= 0xfc09 && op <= 0xfc11:
		lebs = 1
	case op == 0xfd0c, op == 0xfd0d:
		fixed = 16
	case op >= 0xfd00 && op <= 0xfd0b, op == 0xfd5c, op == 0xfd5d:
		lebs = 2
	case op >= 0xfd15 && op <= 0xfd22:
		fixed = 1
	case op >= 0xfd54 && op <= 0xfd5b:
		lebs, fixed = 2, 1
	}
	for range lebs {
		c.leb()
	}
	c.bytes(fixed)
}

func takeApart(code []byte) *mutant {
	m := &mutant{}
	c := &cursor{code[8:]}
	for len(c.b) > 0 {
		s := mutantSection{id: c.byte()}
		s.content = c.bytes(int(c.u32()))
		in := &cursor{s.content}
		switch s.id {
		case 0: // nothing runs differently without it
			continue
		case sectionType:
			for range in.u32() {
				in.byte()
				params := in.bytes(int(in.u32()))
				m.types = append(m.types, mutantType{params, in.bytes(int(in.u32()))})
			}
		case sectionImport:
			for range in.u32() {
				in.bytes(int(in.u32()))
				in.bytes(int(in.u32()))
				in.byte()
				m.imported = append(m.imported, in.u32())
			}
		case sectionFunction:
			for range in.u32() {
				m.funcs = append(m.funcs, mutantFunc{typ: in.u32()})
			}
		case sectionMemory:
			m.memory64 = len(s.content) > 1 && s.content[1]&4 != 0
		case sectionExport:
			for range in.u32() {
				name := in.bytes(int(in.u32()))
				m.exports = append(m.exports, mutantExport{name, in.upTo(func() { in.byte(); in.leb() })})
			}
		case sectionCode:
			for i := range in.u32() {
				m.funcs[i].raw = in.bytes(int(in.u32()))
			}
		case sectionData:
			for range in.u32() {
				head := in.upTo(func() {
					if in.u32() == 0 {
						in.constExpr()
					}
				})
				m.data = append(m.data, mutantData{head, in.bytes(int(in.u32()))})
			}
		}
		switch s.id {
		case sectionType, sectionFunction, sectionExport, sectionCode, sectionData:
			s.content = nil
		}
		m.sections = append(m.sections, s)
	}
	return m
}

// decode gives a body's instructions.
func (m *mutant) decode(i int) *mutantFunc {
	f := &m.funcs[i]
	if f.code != nil {
		return f
	}
	c := &cursor{f.raw}
	for range c.u32() {
		n := c.u32()
		f.own = append(f.own, bytes.Repeat([]byte{c.byte()}, int(min(n, 60_000)))...)
	}
	for len(c.b) > 0 {
		f.code = append(f.code, c.ins())
	}
	return f
}

func (i ins) append(b []byte) []byte {
	if i.op > 0xff {
		b = append(b, byte(i.op>>8))
		b = leb128.AppendUint(b, uint64(i.op&0xff))
	} else {
		b = append(b, byte(i.op))
	}
	return append(b, i.imm...)
}

func (f *mutantFunc) body() []byte {
	if f.code == nil {
		return f.raw
	}
	b := leb128.AppendUint(nil, uint64(len(f.own)))
	for _, t := range f.own {
		b = append(b, 1, t)
	}
	for _, i := range f.code {
		b = i.append(b)
	}
	return b
}

// assemble writes the module.
func (m *mutant) assemble() []byte {
	out := []byte("\x00asm\x01\x00\x00\x00")
	for _, s := range m.sections {
		content := s.content
		if content == nil {
			content = m.content(s.id)
		}
		out = append(out, s.id)
		out = appendSized(out, content)
	}
	return out
}

func (m *mutant) content(id byte) (b []byte) {
	count := func(n int) { b = leb128.AppendUint(b, uint64(n)) }
	switch id {
	case sectionType:
		count(len(m.types))
		for _, t := range m.types {
			b = appendSized(appendSized(append(b, 0x60), t.params), t.results)
		}
	case sectionFunction:
		count(len(m.funcs))
		for _, f := range m.funcs {
			count(int(f.typ))
		}
	case sectionExport:
		count(len(m.exports))
		for _, e := range m.exports {
			b = append(appendSized(b, e.name), e.rest...)
		}
	case sectionCode:
		count(len(m.funcs))
		for i := range m.funcs {
			b = appendSized(b, m.funcs[i].body())
		}
	case sectionData:
		count(len(m.data))
		for _, d := range m.data {
			b = appendSized(append(b, d.head...), d.content)
		}
	}
	return b
}

func appendSized(b, content []byte) []byte {
	return append(leb128.AppendUint(b, uint64(len(content))), content...)
}

// clone may be mutated without changing m, whose byte slices it never writes to.
func (m *mutant) clone() *mutant {
	c := *m
	c.types, c.funcs, c.exports = slices.Clone(m.types), slices.Clone(m.funcs), slices.Clone(m.exports)
	c.data, c.sections = slices.Clone(m.data), slices.Clone(m.sections)
	return &c
}

// section is the index of a section, -1 if there is none.
func (m *mutant) section(id byte) int {
	return slices.IndexFunc(m.sections, func(s mutantSection) bool { return s.id == id })
}

// typeOf is a function's type, an empty one if a mutation gave it a number too high.
func (m *mutant) typeOf(f uint32) mutantType {
	t := uint32(0)
	if int(f) < len(m.imported) {
		t = m.imported[f]
	} else {
		t = m.funcs[int(f)-len(m.imported)].typ
	}
	if int(t) >= len(m.types) {
		return mutantType{}
	}
	return m.types[t]
}

// typeIndex finds or adds a type.
func (m *mutant) typeIndex(t mutantType) uint32 {
	i := slices.IndexFunc(m.types, func(o mutantType) bool {
		return bytes.Equal(o.params, t.params) && bytes.Equal(o.results, t.results)
	})
	if i < 0 {
		i = len(m.types)
		m.types = append(m.types, t)
	}
	return uint32(i)
}

// excerpt is a module with so many bytes of the module's functions from one on, and what
// surrounds them: whatever else is called is a function of that type that gives zeros.
// A real module is too large to be compiled thousands of times.
func (m *mutant) excerpt(from, size int) *mutant {
	e := m.clone()
	e.funcs = nil
	index := make([]uint32, len(m.imported)+len(m.funcs)) // new numbers; 0 for left out
	for i := range m.imported {
		index[i] = uint32(i)
	}
	for i := from; i < len(m.funcs) && size > 0; i++ {
		index[len(m.imported)+i] = uint32(len(m.imported) + len(e.funcs))
		e.funcs = append(e.funcs, m.funcs[i])
		size -= len(m.funcs[i].raw)
	}
	stubs := map[uint32]uint32{}
	renumber := func(f uint32) uint32 {
		if int(f) < len(m.imported) || index[f] != 0 {
			return index[f]
		}
		typ := m.funcs[int(f)-len(m.imported)].typ
		n, ok := stubs[typ]
		if !ok {
			n = uint32(len(m.imported) + len(e.funcs))
			stubs[typ] = n
			e.funcs = append(e.funcs, stub(typ, m.types[typ].results))
		}
		return n
	}
	for i := range e.funcs {
		e.decode(i)
		for k, c := range e.funcs[i].code {
			if c.op == 0x10 || c.op == 0x12 || c.op == 0xd2 {
				e.funcs[i].code[k].imm = leb128.AppendUint(nil, uint64(renumber((&cursor{c.imm}).u32())))
			}
		}
	}
	for i, x := range e.exports {
		if x.rest[0] == 0 {
			e.exports[i].rest = leb128.AppendUint([]byte{0}, uint64(renumber((&cursor{x.rest[1:]}).u32())))
		}
	}
	for i, s := range e.sections {
		switch s.id {
		case sectionStart:
			e.sections[i].content = leb128.AppendUint(nil, uint64(renumber((&cursor{s.content}).u32())))
		case sectionElement:
			e.sections[i].content = renumberElements(s.content, renumber)
		}
	}
	return e
}

// renumberElements gives up, with no elements at all, on segments of expressions.
func renumberElements(content []byte, renumber func(uint32) uint32) []byte {
	c := &cursor{content}
	n := c.u32()
	out := leb128.AppendUint(nil, uint64(n))
	for range n {
		var flags uint32
		out = append(out, c.upTo(func() {
			if flags = c.u32(); flags&1 == 0 {
				if flags&2 != 0 {
					c.u32()
				}
				c.constExpr()
			}
			if flags&3 != 0 {
				c.byte()
			}
		})...)
		if flags > 3 {
			return []byte{0}
		}
		items := c.u32()
		out = leb128.AppendUint(out, uint64(items))
		for range items {
			out = leb128.AppendUint(out, uint64(renumber(c.u32())))
		}
	}
	return out
}

func stub(typ uint32, results []byte) mutantFunc {
	f := mutantFunc{typ: typ}
	for _, t := range results {
		f.code = append(f.code, zero(t))
	}
	f.code = append(f.code, ins{op: 0x0b})
	return f
}

func zero(typ byte) ins {
	switch typ {
	case codeI32, codeI64:
		return ins{0x41 + uint16(codeI32-typ), []byte{0}}
	case codeF32:
		return ins{0x43, make([]byte, 4)}
	case codeF64:
		return ins{0x44, make([]byte, 8)}
	case codeV128:
		return ins{0xfd0c, make([]byte, 16)}
	}
	return ins{0xd0, []byte{typ}}
}
