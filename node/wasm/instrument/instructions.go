package instrument

// rewriteInstruction appends one instruction to the current stretch, or what stands
// for it.
func (f *function) rewriteInstruction(i *instruction) {
	if i.op != opLoop {
		f.cost += uint64(i.info.cost)
	}
	switch i.op {
	case opBlock, opLoop, opIf, opElse, opEnd:
		f.structure(i)
	case opBr, opBrIf, opBrTable, opReturn, opUnreachable, opReturnCall, opReturnCallIndirect:
		f.branch(i)
	case opCall, opRefFunc:
		if i.a >= f.functionCount() {
			f.r.failf("function %d of %d", i.a, f.functionCount())
			return
		}
		f.index(&f.seg, i.op, f.newIndex(uint32(i.a)))
	case opCallIndirect:
		f.callIndirect(i)
	case opLocalGet, opLocalSet, opLocalTee:
		if i.a >= uint64(f.summary.locals) {
			// The locals that the rewriter adds must stay out of reach.
			f.r.failf("local %d of %d", i.a, f.summary.locals)
		}
		f.copy(i)
	case opGlobalGet, opGlobalSet:
		f.globalAccess(i)
	case opMemoryGrow:
		f.memoryGrow()
	default:
		switch {
		case i.info.imm == immMemory || i.info.imm == immMemoryLane:
			f.memoryAccess(i)
		case i.op == opMemorySize:
			f.copy(i)
			if f.is64() {
				f.seg.put(byte(opI64ExtendI32U))
			}
		case i.op == opTableGet || i.op == opTableSet || i.op&0xff00 == prefixBulk && i.op >= opMemoryInit:
			f.bulk(i)
		default:
			f.copy(i)
			f.canonical(i.info.nan)
		}
	}
}

// copy appends the instruction as it is.
func (f *function) copy(i *instruction) { f.seg.put(f.r.b[i.start:i.end]...) }

func (f *function) structure(i *instruction) {
	top := len(f.control) - 1
	switch i.op {
	case opBlock:
		f.blockType(i)
		f.copy(i)
		f.control = append(f.control, frame{op: opBlock})
	case opLoop:
		// What precedes the loop is a stretch of its own: the body runs more often.
		f.blockType(i)
		f.flush()
		f.out.put(f.r.b[i.start:i.end]...)
		f.head = true
		f.control = append(f.control, frame{op: opLoop})
	case opIf:
		f.blockType(i)
		f.copy(i)
		f.flush()
		f.control = append(f.control, frame{op: opIf, targeted: true})
	case opElse:
		if top < 0 || f.control[top].op != opIf {
			f.r.failf("else outside an if")
			return
		}
		f.control[top].op = opElse
		f.copy(i)
		f.flush()
	case opEnd:
		f.copy(i)
		if top < 0 { // the function's end
			f.flush()
			return
		}
		if f.control[top].targeted || f.head && f.control[top].op == opLoop {
			f.flush()
		}
		f.control = f.control[:top]
	}
}

// blockType keeps the types that the rewriter adds out of reach.
func (f *function) blockType(i *instruction) {
	if t := int64(i.a); t >= int64(f.ownTypes) {
		f.r.failf("a block has type %d of %d", t, f.ownTypes)
	}
}

// branch rewrites what leaves the stretch.
func (f *function) branch(i *instruction) {
	switch i.op {
	case opBr, opBrIf:
		f.target(uint32(i.a))
		f.copy(i)
	case opBrTable:
		for _, l := range i.labels {
			f.target(l)
		}
		f.copy(i)
	case opReturn:
		f.index(&f.seg, opBr, uint32(len(f.control)))
	case opUnreachable:
		f.copy(i)
	case opReturnCall:
		if i.a >= f.functionCount() {
			f.r.failf("function %d of %d", i.a, f.functionCount())
			return
		}
		f.leave(&f.seg)
		f.index(&f.seg, i.op, f.newIndex(uint32(i.a)))
	case opReturnCallIndirect:
		f.leave(&f.seg)
		f.callIndirect(i)
	}
	f.flush()
}

func (f *function) target(label uint32) {
	switch n := uint32(len(f.control)); {
	case label > n:
		f.r.failf("a branch to label %d of %d", label, n+1)
	case label < n:
		// A branch to a loop leads to its beginning, where a stretch begins anyway.
		if c := &f.control[n-1-label]; c.op != opLoop {
			c.targeted = true
		}
	}
}

func (f *function) callIndirect(i *instruction) {
	if i.a >= uint64(f.ownTypes) {
		f.r.failf("a call has type %d of %d", i.a, f.ownTypes)
	}
	if f.tableAt(i.b).is64 {
		f.address()
	}
	f.copy(i)
}

// globalAccess copies, except for mutable v128 globals, which are two i64 ones.
func (f *function) globalAccess(i *instruction) {
	if i.a >= uint64(len(f.globals)) {
		// The globals that the rewriter adds must stay out of reach.
		f.r.failf("global %d of %d", i.a, len(f.globals))
		return
	}
	g := f.globals[i.a]
	w := &f.seg
	switch {
	case !g.mutable || g.typ != V128:
		f.copy(i)
	case i.op == opGlobalGet:
		f.global(w, opGlobalGet, uint32(i.a))
		f.simd(opI64x2Splat)
		f.global(w, opGlobalGet, g.high)
		f.simd(opI64x2ReplaceLane, 1)
	default:
		v := f.local(slot{'v', V128})
		f.index(w, opLocalTee, v)
		f.simd(opI64x2ExtractLane, 0)
		f.global(w, opGlobalSet, uint32(i.a))
		f.index(w, opLocalGet, v)
		f.simd(opI64x2ExtractLane, 1)
		f.global(w, opGlobalSet, g.high)
	}
}

func (f *function) simd(op opcode, immediate ...byte) {
	f.seg.put(byte(prefixSIMD >> 8))
	f.seg.unsigned(uint64(op & 0xff))
	f.seg.put(immediate...)
}

// canonical makes a result that is NaN the canonical one.
func (f *function) canonical(n nan) {
	w := &f.seg
	var v uint32
	switch n {
	case nanNever:
		return
	case nanF32:
		v = f.local(slot{'n', F32})
		f.index(w, opLocalTee, v)
		constant{typ: F32, lo: canonicalNaN32}.put(w)
	case nanF64:
		v = f.local(slot{'n', F64})
		f.index(w, opLocalTee, v)
		constant{typ: F64, lo: canonicalNaN64}.put(w)
	case nanF32x4:
		v = f.local(slot{'n', V128})
		f.index(w, opLocalTee, v)
		both := uint64(canonicalNaN32<<32 | canonicalNaN32)
		constant{typ: V128, lo: both, hi: both}.put(w)
	case nanF64x2:
		v = f.local(slot{'n', V128})
		f.index(w, opLocalTee, v)
		constant{typ: V128, lo: canonicalNaN64, hi: canonicalNaN64}.put(w)
	}
	f.index(w, opLocalGet, v)
	f.index(w, opLocalGet, v)
	switch n {
	case nanF32:
		w.put(byte(opF32Eq), byte(opSelect))
	case nanF64:
		w.put(byte(opF64Eq), byte(opSelect))
	case nanF32x4:
		f.simd(opF32x4Eq)
		f.simd(opV128Bitselect)
	case nanF64x2:
		f.simd(opF64x2Eq)
		f.simd(opV128Bitselect)
	}
}

// The canonical NaNs: quiet, positive, without payload.
const (
	canonicalNaN32 = 0x7fc00000
	canonicalNaN64 = 0x7ff8000000000000
)
