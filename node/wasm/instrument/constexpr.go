package instrument

// constant is the value of a constant expression.
type constant struct {
	typ    ValueType
	null   bool   // a null reference
	lo, hi uint64 // bits of a number; lo is the index of a function
}

// constExpr evaluates a constant expression that must give one value of type t. There
// are no imported globals, so an expression cannot depend on anything outside.
func (r *reader) constExpr(t ValueType) constant {
	var stack []constant
	push := func(c constant) { stack = append(stack, c) }
	for r.err == nil {
		op := opcode(r.byte())
		switch op {
		case opEnd:
			if len(stack) != 1 || stack[0].typ != t {
				r.failf("a constant expression does not give exactly one %s", t)
				return constant{}
			}
			return stack[0]
		case opI32Const:
			push(constant{typ: I32, lo: uint64(uint32(r.signed(32)))})
		case opI64Const:
			push(constant{typ: I64, lo: uint64(r.signed(64))})
		case opF32Const:
			push(constant{typ: F32, lo: uint64(r.u32le())})
		case opF64Const:
			push(constant{typ: F64, lo: r.u64le()})
		case opRefNull:
			push(constant{typ: r.refType(), null: true})
		case opRefFunc:
			push(constant{typ: FuncRef, lo: uint64(r.u32())})
		case 0xfd:
			if sub := r.u32(); sub != uint32(opV128Const&0xff) {
				r.failf("vector instruction %d in a constant expression", sub)
				return constant{}
			}
			push(constant{typ: V128, lo: r.u64le(), hi: r.u64le()})
		case opI32Add, opI32Sub, opI32Mul, opI64Add, opI64Sub, opI64Mul:
			stack = r.constArithmetic(op, stack)
		case opGlobalGet:
			r.failf("a constant expression reads global %d; only imported globals may be read, and those are not supported", r.u32())
		default:
			r.failf("instruction 0x%02x is not allowed in a constant expression", op)
		}
	}
	return constant{}
}

func (r *reader) constArithmetic(op opcode, stack []constant) []constant {
	typ := I32
	if op >= opI64Add {
		typ = I64
	}
	n := len(stack)
	if n < 2 || stack[n-1].typ != typ || stack[n-2].typ != typ {
		r.failf("a constant expression lacks two operands of type %s", typ)
		return nil
	}
	a, b := stack[n-2].lo, stack[n-1].lo
	switch op {
	case opI32Add, opI64Add:
		a += b
	case opI32Sub, opI64Sub:
		a -= b
	default:
		a *= b
	}
	if typ == I32 {
		a = uint64(uint32(a))
	}
	stack[n-2].lo = a
	return stack[:n-1]
}

// emit appends the constant as an expression; functions maps function indexes.
func (c constant) emit(w *writer, functions func(uint32) uint32) {
	switch {
	case c.typ != FuncRef && c.typ != ExternRef:
		c.put(w)
	case c.null:
		w.put(byte(opRefNull), c.typ.code())
	default:
		w.put(byte(opRefFunc))
		w.unsigned(uint64(functions(uint32(c.lo))))
	}
	w.put(byte(opEnd))
}

// put appends the instruction that gives a number.
func (c constant) put(w *writer) {
	switch c.typ {
	case I32:
		w.put(byte(opI32Const))
		w.signed(int64(int32(c.lo)))
	case I64:
		w.put(byte(opI64Const))
		w.signed(int64(c.lo))
	case F32:
		w.put(byte(opF32Const))
		w.little(c.lo, 4)
	case F64:
		w.put(byte(opF64Const))
		w.little(c.lo, 8)
	case V128:
		w.put(0xfd, byte(opV128Const&0xff))
		w.little(c.lo, 8)
		w.little(c.hi, 8)
	default:
		panic("instrument: not a number")
	}
}

func (w *writer) little(v uint64, n int) {
	for ; n > 0; n-- {
		w.put(byte(v))
		v >>= 8
	}
}
