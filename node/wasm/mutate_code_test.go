package wasm

import (
	"bytes"
	"slices"

	"portico/lightclient/leb128"
)

// function changes a body so that it mostly stays valid.
func (u *mutation) function() {
	n := u.n(len(u.funcs))
	f := u.decode(n)
	f.code = slices.Clone(f.code)
	switch u.n(12) {
	case 0:
		u.swapBodies(n)
	case 1:
		u.splice(f)
	case 2, 3, 4:
		u.insert(n, f)
	case 5, 6:
		u.wrap(n, f)
	default:
		u.alter(n, f)
	}
}

func (u *mutation) locals(n int) []byte {
	f := &u.funcs[n]
	if int(f.typ) >= len(u.types) {
		return f.own
	}
	return slices.Concat(u.types[f.typ].params, f.own)
}

// swapBodies puts the body of another function of the same type in the place of one.
func (u *mutation) swapBodies(n int) {
	from := u.n(len(u.funcs))
	for k := range u.funcs {
		if g := (from + k) % len(u.funcs); g != n && u.funcs[g].typ == u.funcs[n].typ {
			u.decode(g)
			u.funcs[n], u.funcs[g] = u.funcs[g], u.funcs[n]
			if u.n(2) == 0 {
				u.funcs[g] = u.funcs[n]
			}
			return
		}
	}
}

// splice moves instructions without regard to types.
func (u *mutation) splice(f *mutantFunc) {
	if len(f.code) < 2 {
		return
	}
	at := u.n(len(f.code) - 1)
	switch u.n(4) {
	case 0:
		f.code = slices.Delete(f.code, at, at+1)
	case 1:
		f.code = slices.Insert(f.code, at, f.code[at])
	case 2:
		f.code[at], f.code[at+1] = f.code[at+1], f.code[at]
	default:
		other := u.decode(u.n(len(u.funcs)))
		from := u.n(len(other.code))
		f.code = slices.Insert(f.code, at, other.code[from:min(len(other.code), from+1+u.n(8))]...)
	}
}

// alter changes an instruction in its place: the first from a random one on that it
// knows how to.
func (u *mutation) alter(n int, f *mutantFunc) {
	from := u.n(len(f.code))
	for k := range min(len(f.code), 64) {
		if i := &f.code[(from+k)%len(f.code)]; u.alterOne(i, u.locals(n)) {
			return
		}
	}
}

func (u *mutation) alterOne(i *ins, locals []byte) bool {
	switch op := i.op; {
	case op >= 0x20 && op <= 0x26 && u.n(12) == 1:
		// Just beyond what there is are the locals and globals that the rewriter adds.
		i.imm = leb128.AppendUint(nil, uint64(len(locals)+u.n(4)))
	case op == 0x20 || op == 0x21 || op == 0x22:
		old := int((&cursor{i.imm}).u32())
		for k := range locals {
			g := (old + 1 + u.n(4) + k) % len(locals)
			if old < len(locals) && g != old && locals[g] == locals[old] {
				i.imm = leb128.AppendUint(nil, uint64(g))
				return true
			}
		}
		return false
	case op == 0x23 || op == 0x24 || op >= 0xfc08 && op <= 0xfc11:
		i.imm = bytes.Clone(i.imm)
		i.imm[u.n(len(i.imm))] = byte(u.n(12))
	case op >= 0x02 && op <= 0x04:
		i.imm = [][]byte{{0x40}, {valueCodes()[u.n(5)]}, leb128.AppendInt(nil, int64(u.n(len(u.types)+3)))}[u.n(3)]
	case op >= 0x41 && op <= 0x44:
		*i = u.constant(byte(codeI32 - (op - 0x41)))
	case op == 0xfd0c:
		*i = u.constant(codeV128)
	case op == 0x0c || op == 0x0d:
		i.imm = []byte{byte((int(i.imm[0]&0x7f) + u.n(3) + 127) & 0x7f)}
	case op == 0x0e:
		i.imm = bytes.Clone(i.imm)
		if at := 1 + u.n(len(i.imm)-1); i.imm[at] < 0x7f {
			i.imm[at] = byte(u.n(4))
		}
	case op >= 0x28 && op <= 0x3e || op >= 0xfd00 && op <= 0xfd0b || op == 0xfd5c || op == 0xfd5d:
		if u.n(2) == 0 || !u.exchange(i) {
			offset := []uint64{0, 1, 7, 65535, 65536, 1<<32 - 1, 1 << 31, 1 << 32, 1<<64 - 1}
			i.imm = leb128.AppendUint([]byte{byte(u.n(5))}, offset[u.n(len(offset))])
		}
	case op == 0xfd0d || op >= 0xfd15 && op <= 0xfd22:
		i.imm = bytes.Clone(i.imm)
		i.imm[u.n(len(i.imm))] = byte(u.n(33))
	case op == 0x10:
		i.imm = leb128.AppendUint(nil, uint64(u.n(len(u.imported)+len(u.funcs))))
	case op == 0x11:
		i.imm = append(leb128.AppendUint(nil, uint64(u.n(len(u.types)))), 0)
	default:
		return u.exchange(i)
	}
	return true
}

// exchange chooses another operation of the same type.
func (u *mutation) exchange(i *ins) bool {
	for _, c := range classes() {
		if c.has(i.op) {
			i.op = c.at(u.n(c.size()))
			return true
		}
	}
	return false
}

// wrap works on the result of an instruction before it goes on.
func (u *mutation) wrap(n int, f *mutantFunc) {
	from := u.n(len(f.code))
	locals := u.locals(n)
	for k := range f.code {
		at := (from + k) % len(f.code)
		if t := produces(f.code[at], locals); t != 0 {
			f.code = slices.Insert(f.code, at+1, u.operation(t, locals)...)
			return
		}
	}
}

// operation is code that takes a value of a type and gives one.
func (u *mutation) operation(t byte, locals []byte) []ins {
	if !slices.Contains(valueCodes(), t) {
		return nil
	}
	op := func(codes ...uint16) (out []ins) {
		for _, c := range codes {
			out = append(out, ins{op: c})
		}
		return out
	}
	switch u.n(6) {
	case 0:
		c := unaryClass(t)
		return op(c.at(u.n(c.size())))
	case 1:
		for k, l := range locals {
			if l == t && u.n(3) > 0 {
				return []ins{{0x22, leb128.AppendUint(nil, uint64(k))}}
			}
		}
	case 2:
		choose := ins{op: 0x1b}
		if u.n(2) == 0 {
			choose = ins{0x1c, []byte{1, t}}
		}
		return []ins{u.constant(t), u.constant(codeI32), choose}
	case 3:
		switch t {
		case codeI32:
			return [][]ins{op(0xac, 0xa7), op(0xb2, 0xfc00), op(0xb7, 0xaa), op(0xbe, 0xbc), op(0xfd11, 0xfd53)}[u.n(5)]
		case codeI64:
			return [][]ins{op(0xa7, 0xad), op(0xb9, 0xfc06), op(0xb4, 0xae), op(0xbf, 0xbd), append(op(0xfd12), ins{0xfd1d, []byte{1}})}[u.n(5)]
		case codeF32:
			return [][]ins{op(0xbb, 0xb6), op(0xbc, 0xbe), append(op(0xfd13, 0xfde3), ins{0xfd1f, []byte{3}})}[u.n(3)]
		case codeF64:
			return [][]ins{op(0xb6, 0xbb), op(0xbd, 0xbf), append(op(0xfd14, 0xfdef), ins{0xfd21, []byte{1}})}[u.n(3)]
		default:
			return [][]ins{op(0xfdc4, 0xfd12), {{0xfd1f, []byte{1}}, {0xfd13, nil}}, op(0xfd5e, 0xfd5f)}[u.n(3)]
		}
	}
	c := binaryClass(t)
	return append([]ins{u.constant(t)}, op(c.at(u.n(c.size())))...)
}

// insert puts code anywhere that leaves the stack as it was.
func (u *mutation) insert(n int, f *mutantFunc) {
	f.code = slices.Insert(f.code, u.n(len(f.code)), u.snippet(n, 2)...)
}

// snippet is code that takes and gives nothing.
func (u *mutation) snippet(n, depth int) (out []ins) {
	f := &u.funcs[n]
	locals := u.locals(n)
	put := func(op uint16, imm ...byte) { out = append(out, ins{op, imm}) }
	end := ins{op: 0x0b}
	if depth == 0 || u.n(8) == 0 {
		return u.call(u.n(len(u.imported)+len(u.funcs)), &f.own, false)
	}
	switch u.n(16) {
	case 11: // locals and globals that there may not be
		index := len(locals) + u.n(4) - u.n(2)
		if u.n(2) == 0 {
			put(0x20, leb128.AppendUint(nil, uint64(max(index, 0)))...)
		} else {
			put(0x23, byte(u.n(12)))
		}
		put(0x1a)
	case 0:
		put(0x02, 0x40)
		out = append(append(out, u.snippet(n, depth-1)...), u.constant(codeI32), ins{0x0d, []byte{byte(u.n(4))}})
		return append(out, end)
	case 1, 2: // a loop that ends
		local := leb128.AppendUint(nil, uint64(len(locals)))
		f.own = append(f.own, codeI32)
		out = append(out, ins{0x41, leb128.AppendInt(nil, int64(u.n(60)))}, ins{0x21, local}, ins{0x03, []byte{0x40}})
		out = append(append(out, u.snippet(n, depth-1)...), u.snippet(n, depth-1)...)
		put(0x20, local...)
		put(0x41, 1)
		put(0x6b)
		put(0x22, local...)
		put(0x0d, 0)
		return append(out, end)
	case 3:
		if len(locals) > 0 {
			put(0x20, leb128.AppendUint(nil, uint64(u.n(len(locals))))...)
		}
		put(0x04, 0x40)
		out = append(out, u.snippet(n, depth-1)...)
		if u.n(2) == 0 {
			put(0x05)
			out = append(out, u.snippet(n, depth-1)...)
		}
		return append(out, end)
	case 4:
		out = append(out, u.constant(codeI32), ins{0x04, []byte{0x40}}, ins{op: 0x00}, end)
	case 5:
		if u.memory64 {
			out = append(out, u.constant(codeI64))
		} else {
			out = append(out, u.constant(codeI32))
		}
		put(0x40, 0)
		put(0x1a)
	case 6: // return, or a tail call
		out = append(out, u.constant(codeI32), ins{0x04, []byte{0x40}})
		out = append(append(out, u.leave(f)...), end)
	case 7, 8:
		out = append(out, u.address(uint32(u.number())), u.constant(codeI32), u.address(uint32(u.n(400))), ins{0xfc0b, []byte{0}})
	case 9:
		out = append(out, u.address(uint32(u.n(70_000))), u.address(uint32(u.n(70_000))), u.address(uint32(u.number())), ins{0xfc0a, []byte{0, 0}})
	case 10:
		index := int64(u.n(300))
		out = append(out, ins{0x41, leb128.AppendInt(nil, index)}, ins{0x11, append(leb128.AppendUint(nil, uint64(u.typeIndex(mutantType{}))), 0)})
	default:
		t := valueCodes()[u.n(5)]
		out = append(out, u.address(uint32(u.n(70_000))))
		out = append(append(append(out, u.constant(t)), u.operation(t, locals)...), u.operation(t, locals)...)
		put(map[byte]uint16{codeI32: 0x36, codeI64: 0x37, codeF32: 0x38, codeF64: 0x39, codeV128: 0xfd0b}[t], 0, byte(u.n(128)))
	}
	return out
}

func (u *mutation) leave(f *mutantFunc) (out []ins) {
	if int(f.typ) >= len(u.types) {
		return nil
	}
	from := u.n(len(u.funcs))
	for k := range u.funcs {
		g := (from + k) % len(u.funcs)
		if t := u.typeOf(uint32(len(u.imported) + g)); bytes.Equal(t.results, u.types[f.typ].results) && u.n(2) == 0 {
			for _, p := range t.params {
				out = append(out, u.constant(p))
			}
			return append(out, ins{0x12, leb128.AppendUint(nil, uint64(len(u.imported)+g))})
		}
	}
	for _, r := range u.types[f.typ].results {
		out = append(out, u.constant(r))
	}
	return append(out, ins{op: 0x0f})
}
