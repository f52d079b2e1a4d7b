package instrument

// rewriteInstruction appends one instruction to the current stretch, or what stands
// for it.
func (f *function) rewriteInstruction(i *instruction) {
	f.points[f.current].cost += uint64(i.info.cost)
	switch op := i.op; {
	case i.info.imm == immMemory || i.info.imm == immMemoryLane:
		f.memoryAccess(i)
	case op >= opI32Eqz && op <= 0xc4, op > 0xff && i.info.nan != nanNever:
		f.numeric(i)
	case op >= opI32Const && op <= opF64Const, op == opV128Const:
		f.copy(i)
		f.push(op == opV128Const)
	case op == opSelect || op == opSelectTyped:
		f.selectOperand(i)
	case op >= opLocalGet && op <= opLocalTee:
		f.localAccess(i)
	case op == opGlobalGet || op == opGlobalSet:
		f.globalAccess(i)
	default:
		f.settle()
		f.other(i)
	}
}

// other rewrites an instruction that takes any number of operands.
func (f *function) other(i *instruction) {
	switch i.op {
	case opBlock, opLoop, opIf, opElse, opEnd:
		f.structure(i)
	case opBr, opBrIf, opBrTable, opReturn, opUnreachable, opReturnCall, opReturnCallIndirect:
		f.branch(i)
	case opCall, opRefFunc:
		f.call(i)
	case opCallIndirect:
		f.callIndirect(i)
	case opMemoryGrow:
		f.memoryGrow()
	case opMemorySize:
		f.copy(i)
		if f.is64() {
			f.code.put(byte(opI64ExtendI32U))
		}
	default:
		if i.op == opTableGet || i.op == opTableSet || i.op >= opMemoryInit && i.op <= opTableFill {
			f.bulk(i)
			return
		}
		f.copy(i)
	}
}

// copy appends the instruction as it is.
func (f *function) copy(i *instruction) { f.code.put(f.r.b[i.start:i.end]...) }

func (f *function) structure(i *instruction) {
	top := len(f.control) - 1
	switch i.op {
	case opBlock, opIf:
		arity := f.blockResults(i)
		f.copy(i)
		f.control = append(f.control, frame{op: i.op, added: f.addedBlocks(), arity: arity, base: f.current, lowest: top + 1})
		if i.op == opIf {
			f.begin(notHead)
			f.control[top+1].then = f.current
			f.control[top+1].targeted = true
		}
	case opLoop:
		f.blockResults(i)
		if f.r.err == nil {
			f.beginLoop(i)
		}
	case opElse:
		if top < 0 || f.control[top].op != opIf {
			f.r.failf("else outside an if")
			return
		}
		f.copy(i)
		f.begin(notHead)
		f.control[top].op = opElse
		f.control[top].other = f.current
	case opEnd:
		switch {
		case top < 0: // the function's end
			f.copy(i)
		case f.control[top].op == opLoop:
			f.endLoop()
		default:
			f.copy(i)
			if f.control[top].op == opElse {
				f.shareArms(f.control[top])
			}
			f.goOn()
		}
	}
}

// shareArms charges what both arms of an if cost before it.
func (f *function) shareArms(c frame) {
	then, other := &f.points[c.then].cost, &f.points[c.other].cost
	both := min(*then, *other)
	f.points[c.base].cost += both
	*then -= both
	*other -= both
}

// blockResults is the number of a block's results. It keeps the types that the
// rewriter adds out of reach.
func (f *function) blockResults(i *instruction) int {
	switch t := int64(i.a); {
	case t >= int64(f.ownTypes):
		f.r.failf("a block has type %d of %d", t, f.ownTypes)
		return 0
	case t >= 0:
		return len(f.types[t].results)
	case t == -0x40: // none
		return 0
	default:
		return 1
	}
}

// selectOperand writes a choice between vectors as an if: wazero v1.12.0 on amd64 compiles
// some of them wrongly (for example of a zero that lives across a call). A select that
// does not name its type is known for one of vectors if an operand is.
func (f *function) selectOperand(i *instruction) {
	vectors := ValueType(i.a) == V128 || f.isVector(1) || f.isVector(2)
	f.settle()
	if !vectors {
		f.copy(i)
		return
	}
	w := &f.code
	condition, second, first := f.local(slot{'?', I32}), f.local(slot{'2', V128}), f.local(slot{'1', V128})
	f.index(w, opLocalSet, condition)
	f.index(w, opLocalSet, second)
	f.index(w, opLocalSet, first)
	f.index(w, opLocalGet, condition)
	w.put(byte(opIf), V128.code())
	f.index(w, opLocalGet, first)
	w.put(byte(opElse))
	f.index(w, opLocalGet, second)
	w.put(byte(opEnd))
}

// call renumbers the function.
func (f *function) call(i *instruction) {
	if i.a >= f.functionCount() {
		f.r.failf("function %d of %d", i.a, f.functionCount())
		return
	}
	f.index(&f.code, i.op, f.newIndex(uint32(i.a)))
}

func (f *function) localAccess(i *instruction) {
	if i.a >= uint64(f.summary.locals) {
		// The locals that the rewriter adds must stay out of reach.
		f.r.failf("local %d of %d", i.a, f.summary.locals)
	}
	f.copy(i)
	if i.op != opLocalGet {
		f.pop(nil)
	}
	if i.op != opLocalSet {
		f.push(f.vectors[uint32(i.a)])
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
	w := &f.code
	if i.op == opGlobalSet {
		f.pop(nil)
	} else {
		f.push(g.typ == V128)
	}
	switch {
	case !g.mutable || g.typ != V128:
		f.copy(i)
	case i.op == opGlobalGet:
		f.global(w, opGlobalGet, uint32(i.a))
		f.simd(w, opI64x2Splat)
		f.global(w, opGlobalGet, g.high)
		f.simd(w, opI64x2ReplaceLane, 1)
	default:
		v := f.local(slot{'v', V128})
		f.index(w, opLocalTee, v)
		f.simd(w, opI64x2ExtractLane, 0)
		f.global(w, opGlobalSet, uint32(i.a))
		f.index(w, opLocalGet, v)
		f.simd(w, opI64x2ExtractLane, 1)
		f.global(w, opGlobalSet, g.high)
	}
}

func (f *function) simd(w *writer, op opcode, immediate ...byte) {
	w.put(byte(prefixSIMD >> 8))
	w.unsigned(uint64(op & 0xff))
	w.put(immediate...)
}
