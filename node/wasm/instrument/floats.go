package instrument

// Which results have to be made canonical? A NaN that goes straight into an operation
// whose own result is made canonical, or which does not look at the bits of a NaN, need
// not be. What becomes of a result is known only later, so each has a point where code
// may have to go. operands models what the current stretch has pushed: the point of a
// float result, or one of the constants below.

const (
	anyOperand    = -1
	vectorOperand = -2 // certainly a v128
)

// push notes an operand that is not a float result.
func (f *function) push(vector bool) {
	if vector {
		f.operands = append(f.operands, vectorOperand)
	} else {
		f.operands = append(f.operands, anyOperand)
	}
}

// isVector reports whether the operand that many below the top is known to be a v128.
func (f *function) isVector(below int) bool {
	n := len(f.operands) - 1 - below
	if n < 0 {
		return false
	}
	p := f.operands[n]
	return p == vectorOperand || p >= 0 && !scalar(f.points[p].kind)
}

// result notes a float result, made by the code so far.
func (f *function) result(kind nan) {
	f.operands = append(f.operands, len(f.points))
	f.points = append(f.points, point{at: len(f.code), kind: kind})
}

// pop notes that an operand is used; harmless says for results of which kind the use is
// indifferent to the bits of a NaN.
func (f *function) pop(harmless func(nan) bool) {
	n := len(f.operands)
	if n == 0 {
		return // from before the stretch, and canonical
	}
	if p := f.operands[n-1]; p >= 0 && (harmless == nil || !harmless(f.points[p].kind)) {
		f.points[p].needed = true
	}
	f.operands = f.operands[:n-1]
}

// settle makes every result on the stack canonical: something uses them that is not
// modelled.
func (f *function) settle() {
	for range f.operands {
		f.pop(nil)
	}
}

func scalar(k nan) bool { return k == nanF32 || k == nanF64 }

// numeric appends a numeric instruction: one of 0x45 to 0xc4, or one on vectors of
// floats.
func (f *function) numeric(i *instruction) {
	var harmless func(nan) bool
	switch op := i.op; {
	case op > 0xff:
		harmless = func(k nan) bool { return k == i.info.nan }
	case i.info.nan != nanNever,
		op >= 0x5b && op <= 0x66,                             // comparisons
		op >= 0xa8 && op <= 0xab || op >= 0xae && op <= 0xb1: // conversions to integers, which trap
		harmless = scalar
	}
	for n := operandCount(i.op); n > 0; n-- {
		f.pop(harmless)
	}
	f.copy(i)
	if i.info.nan != nanNever {
		f.result(i.info.nan)
	} else {
		f.push(false)
	}
}

// operandCount is 1 or 2 for a numeric instruction.
func operandCount(op opcode) int {
	unary := false
	switch {
	case op > 0xff:
		switch op & 0xff {
		case 94, 95, 0x67, 0x68, 0x69, 0x6a, 0x74, 0x75, 0x7a, 0x94, 0xe3, 0xef:
			unary = true
		}
	case op == opI32Eqz, op == opI64Eqz,
		op >= 0x67 && op <= 0x69, op >= 0x79 && op <= 0x7b, // clz ctz popcnt
		op >= 0x8b && op <= 0x91, op >= 0x99 && op <= 0x9f, // abs to sqrt
		op >= 0xa7: // conversions
		unary = true
	}
	if unary {
		return 1
	}
	return 2
}

// canonical makes a result that is NaN the canonical one. A branch that is never taken
// costs less than a choice that everything afterwards waits for.
func (f *function) canonical(w *writer, n nan) {
	switch n {
	case nanF32:
		f.replaceNaN(w, F32, opF32Ne, constant{typ: F32, lo: canonicalNaN32})
	case nanF64:
		f.replaceNaN(w, F64, opF64Ne, constant{typ: F64, lo: canonicalNaN64})
	case nanF32x4:
		const two = canonicalNaN32<<32 | canonicalNaN32
		f.replaceLanes(w, opF32x4Eq, constant{typ: V128, lo: two, hi: two})
	case nanF64x2:
		f.replaceLanes(w, opF64x2Eq, constant{typ: V128, lo: canonicalNaN64, hi: canonicalNaN64})
	case nanNever:
	}
}

func (f *function) replaceNaN(w *writer, typ ValueType, unequal opcode, canonical constant) {
	v := f.local(slot{'n', typ})
	f.index(w, opLocalTee, v)
	f.index(w, opLocalGet, v)
	w.put(byte(unequal), byte(opIf), 0x40)
	canonical.put(w)
	f.index(w, opLocalSet, v)
	w.put(byte(opEnd))
	f.index(w, opLocalGet, v)
}

func (f *function) replaceLanes(w *writer, equal opcode, canonical constant) {
	v := f.local(slot{'n', V128})
	f.index(w, opLocalTee, v)
	canonical.put(w)
	f.index(w, opLocalGet, v)
	f.index(w, opLocalGet, v)
	f.simd(w, equal)
	f.simd(w, opV128Bitselect)
}

// The canonical NaNs: quiet, positive, without payload.
const (
	canonicalNaN32 = 0x7fc00000
	canonicalNaN64 = 0x7ff8000000000000
)
