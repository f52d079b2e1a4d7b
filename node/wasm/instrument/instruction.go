package instrument

// instruction is one decoded instruction.
type instruction struct {
	op         opcode
	info       opInfo
	start, end int    // its bytes in the body
	a, b       uint64 // indexes; the type of a select; alignment and offset of a memory argument
	labels     []uint32
}

// next decodes one instruction. i.labels is reused.
func (t *tables) next(r *reader, i *instruction) {
	i.start = r.p
	i.op = opcode(r.byte())
	if i.op >= 0xfc && i.op <= 0xfe {
		n := r.u32()
		if n > 0xff {
			r.failf("unknown or unsupported instruction 0x%02x %d", i.op, n)
			return
		}
		i.op = i.op<<8 | opcode(n)
	}
	if i.op&0xff00 != 0xfe00 {
		i.info = t.info(i.op)
	} else {
		i.info = opInfo{}
	}
	i.a, i.b = 0, 0
	switch i.info.imm {
	case immUnknown:
		if r.err == nil {
			r.p = i.start
			r.failf("%s", unsupported(i.op))
		}
	case immNone:
	case immBlock:
		i.a = uint64(r.signed(33)) // a negative number is a value type
	case immIndex:
		i.a = uint64(r.u32())
	case immIndexes:
		i.a = uint64(r.u32())
		i.b = uint64(r.u32())
	case immBrTable:
		i.labels = i.labels[:0]
		for n := r.count("labels"); n >= 0 && r.err == nil; n-- {
			i.labels = append(i.labels, r.u32())
		}
	case immSelect:
		if n := r.count("types"); n != 1 {
			r.failf("select with %d types", n)
		}
		i.a = uint64(r.valueType())
	case immMemory, immMemoryLane:
		i.a = uint64(r.u32())
		if i.a&^0x3f != 0 {
			r.failf("memory access of alignment 2^%d: more than one memory is not supported", i.a)
		}
		i.b = r.unsigned(64)
		if i.info.imm == immMemoryLane {
			r.byte()
		}
	case immZero:
		if r.byte() != 0 {
			r.failf("more than one memory is not supported")
		}
	case immI32:
		r.signed(32)
	case immI64:
		r.signed(64)
	case immF32:
		r.bytes(4)
	case immF64:
		r.bytes(8)
	case immRefType:
		r.refType()
	case immV128:
		r.bytes(16)
	case immLane:
		r.byte()
	default:
		panic("instrument: immediates without a decoder")
	}
	i.end = r.p
}

// unsupported names an instruction that is not allowed.
func unsupported(op opcode) string {
	name := ""
	switch {
	case op >= 0x06 && op <= 0x0a || op == 0x18 || op == 0x19 || op == 0x1f:
		name = "exception handling is not supported"
	case op == 0x14 || op == 0x15 || op >= 0xd3 && op <= 0xd6:
		name = "typed function references are not supported"
	case op>>8 == 0xfb:
		name = "garbage collection is not supported"
	case op>>8 == 0xfe:
		name = "threads and atomic operations are not supported"
	case op == 0xfb:
		name = "garbage collection is not supported"
	default:
		name = "no such instruction"
	}
	if op > 0xff {
		return "instruction 0x" + hex(byte(op>>8)) + " 0x" + hex(byte(op)) + ": " + name
	}
	return "instruction 0x" + hex(byte(op)) + ": " + name
}

func hex(b byte) string {
	const digits = "0123456789abcdef"
	return string([]byte{digits[b>>4], digits[b&0xf]})
}

// valueType reads a value type.
func (r *reader) valueType() ValueType {
	c := r.byte()
	t := typeOf(c)
	if t == 0 && r.err == nil {
		r.p--
		r.failf("value type 0x%02x is not supported", c)
	}
	return t
}

func (r *reader) refType() ValueType {
	c := r.byte()
	t := typeOf(c)
	if t != FuncRef && t != ExternRef && r.err == nil {
		r.p--
		r.failf("reference type 0x%02x is not supported: funcref and externref are", c)
	}
	return t
}

func typeOf(c byte) ValueType {
	switch c {
	case 0x7f:
		return I32
	case 0x7e:
		return I64
	case 0x7d:
		return F32
	case 0x7c:
		return F64
	case 0x7b:
		return V128
	case 0x70:
		return FuncRef
	case 0x6f:
		return ExternRef
	}
	return 0
}

// code is the type's byte in the binary format.
func (t ValueType) code() byte {
	switch t {
	case I32:
		return 0x7f
	case I64:
		return 0x7e
	case F32:
		return 0x7d
	case F64:
		return 0x7c
	case V128:
		return 0x7b
	case FuncRef:
		return 0x70
	case ExternRef:
		return 0x6f
	default:
		panic("instrument: type without a code")
	}
}
