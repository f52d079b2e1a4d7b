package wasm

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"math"
	"slices"

	"portico/lightclient/leb128"
)

// script is the fuzzer's bytes, from which everything that a mutation chooses comes.
type script struct{ b []byte }

func (s *script) byte() byte {
	if len(s.b) == 0 {
		return 0
	}
	c := s.b[0]
	s.b = s.b[1:]
	return c
}

// n chooses a number below limit.
func (s *script) n(limit int) int {
	v := int(s.byte())
	for m := limit - 1; m > 0xff; m >>= 8 {
		v = v<<8 | int(s.byte())
	}
	return v % max(limit, 1)
}

func (s *script) number() int64 {
	boundaries := []int64{
		0, 1, -1, 2, 7, 8, 31, 32, 63, 64, 127, 128, 255, 256, 65535, 65536, 65528, 131071, 131072,
		math.MaxInt32, math.MinInt32, math.MaxUint32, math.MaxInt32 - 7, math.MaxInt64, math.MinInt64, 1 << 32, -65536,
	}
	if k := s.n(len(boundaries) + 5); k < len(boundaries) {
		return boundaries[k]
	}
	return int64(int8(s.byte())) << (s.n(8) * 8)
}

func (s *script) constant(typ byte) ins {
	f32 := []uint32{0, 1 << 31, 0x3f800000, 0x7f800000, 0xff800000, 0x7fc00000, 0xffc00001, 0x7fa00000, 1, 0x4f000000, 0xcf000000, 0x5f800000, 0x7f7fffff}
	f64 := []uint64{
		0, 1 << 63, 0x3ff0000000000000, 0x7ff0000000000000, 0xfff0000000000000, 0x7ff8000000000000, 0xfff8000000000001, 0x7ff4000000000000,
		1, 0x41e0000000000000, 0xc1e0000000200000, 0x43f0000000000000, 0xc3e0000000000000, 0x7fefffffffffffff,
	}
	switch typ {
	case codeI32:
		return ins{0x41, leb128.AppendInt(nil, int64(int32(s.number())))}
	case codeI64:
		return ins{0x42, leb128.AppendInt(nil, s.number())}
	case codeF32:
		return ins{0x43, binary.LittleEndian.AppendUint32(nil, f32[s.n(len(f32))])}
	case codeF64:
		return ins{0x44, binary.LittleEndian.AppendUint64(nil, f64[s.n(len(f64))])}
	case codeV128:
		b := binary.LittleEndian.AppendUint64(nil, f64[s.n(len(f64))])
		return ins{0xfd0c, binary.LittleEndian.AppendUint64(b, uint64(f32[s.n(len(f32))])<<32|uint64(f32[s.n(len(f32))]))}
	}
	return zero(typ)
}

// Classes of opcodes that may stand for each other.
type (
	opRange struct{ from, to uint16 }
	opClass []opRange
)

func (c opClass) size() (n int) {
	for _, r := range c {
		n += int(r.to-r.from) + 1
	}
	return n
}

func (c opClass) at(k int) uint16 {
	for _, r := range c {
		n := int(r.to-r.from) + 1
		if k < n {
			return r.from + uint16(k)
		}
		k -= n
	}
	panic("wasm: a class of opcodes has fewer members")
}

func (c opClass) has(op uint16) bool {
	return slices.ContainsFunc(c, func(r opRange) bool { return r.from <= op && op <= r.to })
}

// binaryClass are the operations that take two values of a type and give one.
func binaryClass(typ byte) opClass {
	switch typ {
	case codeI32:
		return opClass{{0x6a, 0x78}, {0x46, 0x4f}}
	case codeI64:
		return opClass{{0x7c, 0x8a}}
	case codeF32:
		return opClass{{0x92, 0x98}}
	case codeF64:
		return opClass{{0xa0, 0xa6}}
	case codeV128:
		return opClass{
			{0xfd0e, 0xfd0e},
			{0xfd23, 0xfd4c},
			{0xfd4e, 0xfd51},
			{0xfd65, 0xfd66},
			{0xfd6e, 0xfd73},
			{0xfd76, 0xfd79},
			{0xfd82, 0xfd82},
			{0xfd85, 0xfd86},
			{0xfd8e, 0xfd93},
			{0xfd95, 0xfd99},
			{0xfd9b, 0xfd9f},
			{0xfdae, 0xfdae},
			{0xfdb1, 0xfdb1},
			{0xfdb5, 0xfdba},
			{0xfdbc, 0xfdbf},
			{0xfdce, 0xfdce},
			{0xfdd1, 0xfdd1},
			{0xfdd5, 0xfddf},
			{0xfde4, 0xfdeb},
			{0xfdf0, 0xfdf7},
		}
	}
	return nil
}

// unaryClass are the operations that take a value of a type and give one.
func unaryClass(typ byte) opClass {
	switch typ {
	case codeI32:
		return opClass{{0x45, 0x45}, {0x67, 0x69}, {0xc0, 0xc1}}
	case codeI64:
		return opClass{{0x79, 0x7b}, {0xc2, 0xc4}}
	case codeF32:
		return opClass{{0x8b, 0x91}}
	case codeF64:
		return opClass{{0x99, 0x9f}}
	case codeV128:
		return opClass{
			{0xfd4d, 0xfd4d},
			{0xfd5e, 0xfd62},
			{0xfd67, 0xfd6a},
			{0xfd74, 0xfd75},
			{0xfd7a, 0xfd7a},
			{0xfd7c, 0xfd81},
			{0xfd87, 0xfd8a},
			{0xfd94, 0xfd94},
			{0xfda0, 0xfda1},
			{0xfda7, 0xfdaa},
			{0xfdc0, 0xfdc1},
			{0xfdc7, 0xfdca},
			{0xfde0, 0xfde1},
			{0xfde3, 0xfde3},
			{0xfdec, 0xfded},
			{0xfdef, 0xfdef},
			{0xfdf8, 0xfdff},
		}
	}
	return nil
}

func valueCodes() []byte { return []byte{codeI32, codeI64, codeF32, codeF64, codeV128} }

// classes are sets of operations of equal types.
func classes() (out []opClass) {
	for _, t := range valueCodes() {
		out = append(out, binaryClass(t), unaryClass(t))
	}
	return append(out,
		opClass{{0x51, 0x5a}}, opClass{{0x5b, 0x60}}, opClass{{0x61, 0x66}}, // comparisons
		opClass{{0x28, 0x28}, {0x2c, 0x2f}}, opClass{{0x29, 0x29}, {0x30, 0x35}}, // loads
		opClass{{0x36, 0x36}, {0x3a, 0x3b}}, opClass{{0x37, 0x37}, {0x3c, 0x3e}}, // stores
		opClass{{0xa8, 0xa9}, {0xbc, 0xbc}, {0xfc00, 0xfc01}}, opClass{{0xaa, 0xab}, {0xfc02, 0xfc03}},
		opClass{{0xae, 0xaf}, {0xfc04, 0xfc05}}, opClass{{0xb0, 0xb1}, {0xbd, 0xbd}, {0xfc06, 0xfc07}},
		opClass{{0xac, 0xad}}, opClass{{0xb2, 0xb3}, {0xbe, 0xbe}}, opClass{{0xb4, 0xb5}}, opClass{{0xb7, 0xb8}}, opClass{{0xb9, 0xba}, {0xbf, 0xbf}},
		opClass{{0xfd00, 0xfd0a}, {0xfd5c, 0xfd5d}}, opClass{{0xfd6b, 0xfd6d}, {0xfd8b, 0xfd8d}, {0xfdab, 0xfdad}, {0xfdcb, 0xfdcd}},
		opClass{{0xfd0f, 0xfd11}}, opClass{{0xfd53, 0xfd53}, {0xfd63, 0xfd64}, {0xfd83, 0xfd84}, {0xfda3, 0xfda4}, {0xfdc3, 0xfdc4}},
	)
}

// produces is the type of an instruction's one result as far as it can be told.
func produces(i ins, locals []byte) byte {
	switch op := i.op; {
	case op == 0x20 || op == 0x22:
		if n := (&cursor{i.imm}).u32(); int(n) < len(locals) {
			return locals[n]
		}
	case op == 0x41, op == 0x28, op >= 0x2c && op <= 0x2f, op >= 0x45 && op <= 0x78, op >= 0xa7 && op <= 0xab, op == 0xbc, op == 0xc0, op == 0xc1, op >= 0xfc00 && op <= 0xfc03:
		return codeI32
	case op == 0x42, op == 0x29, op >= 0x30 && op <= 0x35, op >= 0x79 && op <= 0x8a, op >= 0xac && op <= 0xb1, op == 0xbd, op >= 0xc2 && op <= 0xc4, op >= 0xfc04 && op <= 0xfc07:
		return codeI64
	case op == 0x43, op == 0x2a, op >= 0x8b && op <= 0x98, op >= 0xb2 && op <= 0xb6, op == 0xbe:
		return codeF32
	case op == 0x44, op == 0x2b, op >= 0x99 && op <= 0xa6, op >= 0xb7 && op <= 0xbb, op == 0xbf:
		return codeF64
	case op >= 0xfd00 && op <= 0xfd0a, op == 0xfd0c, binaryClass(codeV128).has(op), unaryClass(codeV128).has(op):
		return codeV128
	}
	return 0
}

// mutation is one in progress.
type mutation struct {
	*mutant
	*script
}

// maxMutations bounds how far a mutant is from its seed.
const maxMutations = 24

// mutate gives a module that is m, or an excerpt of it, changed as the script says.
func mutate(m *mutant, s *script) []byte {
	if m.size() > maxExcerpt {
		m = m.excerpt(s.n(len(m.funcs)), 1+s.n(maxExcerpt))
	} else {
		m = m.clone()
	}
	u := &mutation{m, s}
	u.addDrivers()
	for n := 0; n < maxMutations && len(s.b) > 0; n++ {
		switch {
		case s.n(8) > 0 && len(u.funcs) > 0:
			u.function()
		default:
			u.structure()
		}
	}
	code := u.assemble()
	for s.n(16) == 1 {
		code[s.n(len(code))] ^= 1 << s.n(8)
	}
	return code
}

// addDrivers exports functions that call others of the module with constants and store
// what they return.
func (u *mutation) addDrivers() {
	if len(u.funcs) == 0 || u.section(sectionExport) < 0 {
		return
	}
	own := len(u.funcs)
	void := u.typeIndex(mutantType{})
	for n := range 1 + u.n(3) {
		f := mutantFunc{typ: void}
		for range 1 + u.n(3) {
			f.code = append(f.code, u.call(len(u.imported)+u.n(own), &f.own, true)...)
		}
		f.code = append(f.code, ins{op: 0x0b})
		index := uint64(len(u.imported) + len(u.funcs))
		u.funcs = append(u.funcs, f)
		u.exports = append(u.exports, mutantExport{fmt.Appendf(nil, "canister_update driver%d", n), leb128.AppendUint([]byte{0}, index)})
	}
}

// call is code that calls a function and drops the results or stores them.
func (u *mutation) call(f int, locals *[]byte, store bool) (out []ins) {
	t := u.typeOf(uint32(f))
	for _, p := range t.params {
		out = append(out, u.constant(p))
	}
	out = append(out, ins{0x10, leb128.AppendUint(nil, uint64(f))})
	if u.section(sectionMemory) < 0 {
		store = false
	}
	for _, r := range slices.Backward(t.results) {
		op, ok := map[byte]uint16{codeI32: 0x36, codeI64: 0x37, codeF32: 0x38, codeF64: 0x39, codeV128: 0xfd0b}[r]
		if !ok || !store {
			out = append(out, ins{op: 0x1a})
			continue
		}
		local := leb128.AppendUint(nil, uint64(len(*locals)))
		*locals = append(*locals, r)
		out = append(out, ins{0x21, local}, u.address(uint32(u.n(8192))), ins{0x20, local}, ins{op, []byte{0, 0}})
	}
	return out
}

// address is a constant of the type of addresses.
func (u *mutation) address(a uint32) ins {
	if u.memory64 {
		return ins{0x42, leb128.AppendInt(nil, int64(a))}
	}
	return ins{0x41, leb128.AppendInt(nil, int64(int32(a)))}
}

// structure changes something outside the bodies, mostly so that the module stays valid.
func (u *mutation) structure() {
	section := func(id byte) *mutantSection {
		if i := u.section(id); i >= 0 && len(u.sections[i].content) > 0 {
			return &u.sections[i]
		}
		return &mutantSection{content: []byte{0}}
	}
	k := u.n(16)
	if len(u.sections) == 0 {
		return
	}
	switch k {
	case 0:
		i := u.n(len(u.sections))
		u.sections = slices.Delete(u.sections, i, i+1)
	case 1:
		i := u.n(len(u.sections))
		u.sections = slices.Insert(u.sections, i, u.sections[u.n(len(u.sections))])
	case 2:
		i, j := u.n(len(u.sections)), u.n(len(u.sections))
		u.sections[i], u.sections[j] = u.sections[j], u.sections[i]
	case 3, 4: // limits: both kinds of sections hold a flag and small numbers behind a count
		s := section([]byte{sectionMemory, sectionTable}[k-3])
		s.content = bytes.Clone(s.content)
		s.content[u.n(len(s.content))] = byte(u.n(128))
	case 5, 6, 7:
		s := section([]byte{sectionElement, 6, sectionImport}[k-5])
		s.content = bytes.Clone(s.content)
		s.content[u.n(len(s.content))] = u.byte()
	case 8, 9:
		if len(u.data) > 0 {
			d := &u.data[u.n(len(u.data))]
			u.changeData(d)
		}
	case 10, 11:
		u.setStart(u.n(len(u.funcs)))
	case 12, 13:
		if len(u.exports) > 0 {
			u.changeExport(&u.exports[u.n(len(u.exports))])
		}
	case 14:
		if len(u.types) > 0 {
			u.types[u.n(len(u.types))] = u.types[u.n(len(u.types))]
		}
	default:
		if len(u.funcs) > 0 {
			u.funcs[u.n(len(u.funcs))].typ = uint32(u.n(len(u.types) + 1))
		}
	}
}

func (u *mutation) changeData(d *mutantData) {
	switch u.n(4) {
	case 0:
		d.content = d.content[:u.n(len(d.content)+1)]
	case 1:
		d.content = append(bytes.Clone(d.content), make([]byte, u.n(4096))...)
	case 2:
		d.head = []byte{1}
	default:
		d.head = append([]byte{0}, u.address(uint32(u.number())).append(nil)...)
		d.head = append(d.head, 0x0b)
	}
}

func (u *mutation) setStart(f int) {
	void := u.typeIndex(mutantType{})
	for k := range u.funcs {
		if g := (f + k) % len(u.funcs); u.funcs[g].typ == void || k == 7 {
			content := leb128.AppendUint(nil, uint64(len(u.imported)+g))
			if i := u.section(sectionStart); i >= 0 {
				u.sections[i].content = content
			} else if i := u.section(sectionExport); i >= 0 {
				u.sections = slices.Insert(u.sections, i+1, mutantSection{sectionStart, content})
			}
			return
		}
	}
}

func (u *mutation) changeExport(e *mutantExport) {
	names := []string{
		"canister_init", "canister_heartbeat", "canister_query q", "canister_composite_query ", "canister_update \x00", "canister_x", "portico:counter",
		"other:x", "", "canister_update driver0", "canister_inspect_message", "\xff",
	}
	switch u.n(3) {
	case 0:
		e.name = []byte(names[u.n(len(names))])
	case 1:
		e.rest = leb128.AppendUint([]byte{0}, uint64(u.n(len(u.imported)+len(u.funcs)+1)))
	default:
		e.rest = []byte{byte(u.n(4)), byte(u.n(3))}
	}
}
