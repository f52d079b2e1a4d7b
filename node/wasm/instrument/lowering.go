package instrument

// Memories and tables with 64-bit addresses become 32-bit ones. Pointers stay i64
// values everywhere; only where an instruction takes an address is it cut to 32 bits,
// and one that does not fit becomes 0xffffffff. Memories have at most 65,535 pages, so
// that address is always out of bounds; tables are far smaller.

// bytesPerEntry is what a table entry costs where a byte of memory costs 1.
const bytesPerEntry = 8

const maxU32 = 1<<32 - 1

func (f *function) is64() bool { return f.memory != nil && f.memory.is64 }

// tableAt gives an empty table for an index that does not exist; the engine's
// validation refuses the access.
func (f *function) tableAt(i uint64) table {
	if i < uint64(len(f.tables)) {
		return f.tables[i]
	}
	return table{elem: FuncRef}
}

// address turns the i64 on the stack into an i32 address.
func (f *function) address() {
	w := &f.code
	a := f.local(slot{'a', I64})
	f.index(w, opLocalTee, a)
	w.put(byte(opI32WrapI64))
	f.i32(w, 0)
	f.index(w, opLocalGet, a)
	f.i64(w, 32)
	w.put(byte(opI64ShrU), byte(opI64Eqz), byte(opI32Eqz), byte(opI32Sub), byte(opI32Or))
}

// memoryAddress is address for loads and stores: an address that does not fit traps at
// once. A branch that is never taken is cheaper than arithmetic that the access waits for.
func (f *function) memoryAddress() {
	w := &f.code
	a := f.local(slot{'a', I64})
	f.index(w, opLocalTee, a)
	f.i64(w, maxU32)
	w.put(byte(opI64GtU), byte(opIf), 0x40)
	f.i32(w, -1)
	w.put(byte(opI32Load8U), 0)
	w.unsigned(maxU32)
	w.put(byte(opDrop), byte(opEnd))
	f.index(w, opLocalGet, a)
	w.put(byte(opI32WrapI64))
}

// memoryAccess rewrites loads and stores.
func (f *function) memoryAccess(i *instruction) {
	if value := storedType(i.op); value != 0 {
		f.pop(nil)
	}
	f.pop(nil)
	if !isStore(i.op) {
		f.push(i.op > 0xff)
	}
	if !f.is64() {
		if i.b > maxU32 {
			f.r.failf("offset %d is too large for a 32-bit memory", i.b)
		}
		f.copy(i)
		return
	}
	w := &f.code
	value := storedType(i.op)
	var v uint32
	if value != 0 {
		v = f.local(slot{'s', value})
		f.index(w, opLocalSet, v)
	}
	f.memoryAddress()
	offset := i.b
	if offset > maxU32 {
		// No address of 32 bits reaches that far.
		w.put(byte(opDrop))
		f.i32(w, -1)
		offset = maxU32
	}
	if value != 0 {
		f.index(w, opLocalGet, v)
	}
	if i.op > 0xff {
		f.simd(w, i.op)
	} else {
		w.put(byte(i.op))
	}
	w.unsigned(i.a)
	w.unsigned(offset)
	if i.info.imm == immMemoryLane {
		w.put(f.r.b[i.end-1])
	}
}

// storedType is the type of the operand above the address, 0 if there is none.
func storedType(op opcode) ValueType {
	switch {
	case op >= 0x36 && op <= 0x3e:
		return [...]ValueType{I32, I64, F32, F64, I32, I32, I64, I64, I64}[op-0x36]
	case op == opV128Store || op >= opV128Load8Lane && op <= opV128Store64Lane:
		return V128
	}
	return 0
}

func isStore(op opcode) bool {
	return op >= 0x36 && op <= 0x3e || op == opV128Store || op >= opV128Store8Lane && op <= opV128Store64Lane
}

// memoryGrow asks the host first.
func (f *function) memoryGrow() {
	w := &f.code
	if f.is64() {
		f.address()
	}
	f.index(w, opCall, f.grow)
	w.put(byte(opMemoryGrow), 0)
	if f.is64() {
		w.put(byte(opI64ExtendI32S))
	}
}

// operand is one that an instruction takes from the stack.
type operand struct {
	typ  ValueType
	is64 bool // an address or size of 64 bits, to be cut
}

// bulk rewrites the instructions that work on ranges or on tables.
func (f *function) bulk(i *instruction) {
	f.noteUse(i)
	operands, perItem, result64 := f.operandsOf(i)
	if f.r.err != nil {
		return
	}
	w := &f.code
	deepest := len(operands) // the lowest operand that must be reached
	for k, o := range operands {
		if o.is64 {
			deepest = k
			break
		}
	}
	if perItem > 0 && deepest == len(operands) {
		deepest--
	}
	saved := make([]uint32, len(operands))
	last := len(operands) - 1
	for k := last; k >= deepest; k-- {
		o := operands[k]
		typ := o.typ
		if o.is64 {
			f.address()
			typ = I32
		}
		if k > deepest || k == last && perItem > 0 {
			saved[k] = f.local(slot{byte('0' + k), typ})
			f.index(w, opLocalSet, saved[k])
		}
	}
	if perItem > 0 {
		f.chargeItems(saved[last], perItem)
	}
	for k := deepest; k <= last; k++ {
		if k > deepest || k == last && perItem > 0 {
			f.index(w, opLocalGet, saved[k])
		}
	}
	f.copy(i)
	switch {
	case result64 && i.op == opTableGrow:
		w.put(byte(opI64ExtendI32S))
	case result64:
		w.put(byte(opI64ExtendI32U))
	}
}

// chargeItems charges for n items, n in a local, before they are worked on.
func (f *function) chargeItems(n uint32, perItem int64) {
	w := &f.code
	if f.region >= 0 {
		f.index(w, opLocalGet, f.left())
	} else {
		f.global(w, opGlobalGet, f.counter)
	}
	f.index(w, opLocalGet, n)
	w.put(byte(opI64ExtendI32U))
	if perItem != 1 {
		f.i64(w, perItem)
		w.put(byte(opI64Mul))
	}
	w.put(byte(opI64Sub))
	if f.region >= 0 {
		f.index(w, opLocalSet, f.left())
		f.recheck(w)
		return
	}
	left := f.local(slotCounter)
	f.index(w, opLocalTee, left)
	f.global(w, opGlobalSet, f.counter)
	f.index(w, opLocalGet, left)
	f.ifNegative(w)
}

// operandsOf gives the operands, the last of them the number of items if perItem, the
// cost of an item, is not 0.
func (f *function) operandsOf(i *instruction) (operands []operand, perItem int64, result64 bool) {
	memory := operand{I32, false}
	if f.is64() {
		memory = operand{I64, true}
	}
	i32 := operand{I32, false}
	index := func(t table) operand {
		if t.is64 {
			return operand{I64, true}
		}
		return i32
	}
	switch i.op {
	case opMemoryInit:
		f.onlyMemory(i.b)
		return []operand{memory, i32, i32}, 1, false
	case opMemoryCopy:
		f.onlyMemory(i.a | i.b)
		return []operand{memory, memory, memory}, 1, false
	case opMemoryFill:
		f.onlyMemory(i.a)
		return []operand{memory, i32, memory}, 1, false
	case opTableInit:
		return []operand{index(f.tableAt(i.b)), i32, i32}, bytesPerEntry, false
	case opTableCopy:
		to, from := index(f.tableAt(i.a)), index(f.tableAt(i.b))
		n := i32
		if to.is64 && from.is64 {
			n = to
		}
		return []operand{to, from, n}, bytesPerEntry, false
	case opTableFill:
		t := f.tableAt(i.a)
		return []operand{index(t), {t.elem, false}, index(t)}, bytesPerEntry, false
	case opTableGrow:
		t := f.tableAt(i.a)
		return []operand{{t.elem, false}, index(t)}, bytesPerEntry, t.is64
	case opTableSize:
		return nil, 0, f.tableAt(i.a).is64
	case opTableGet:
		return []operand{index(f.tableAt(i.a))}, 0, false
	case opTableSet:
		t := f.tableAt(i.a)
		return []operand{index(t), {t.elem, false}}, 0, false
	case opDataDrop, opElemDrop:
		return nil, 0, false
	default:
		panic("instrument: bulk instruction without operands")
	}
}

func (f *function) onlyMemory(index uint64) {
	if index != 0 {
		f.r.failf("memory %d: more than one memory is not supported", index)
	}
}

// noteUse records what of an instance outlives a call beside memory and globals.
func (f *function) noteUse(i *instruction) {
	switch i.op {
	case opMemoryInit, opDataDrop:
		f.usesSegments = true
		if f.dataCount == nil {
			// The rewritten module has one, so the engine would not object.
			f.r.failf("memory.init and data.drop need a data count section")
		}
	}
	switch i.op {
	case opTableSet, opTableInit, opTableCopy, opTableFill, opTableGrow, opElemDrop, opDataDrop:
		f.info.TableMutating = true
	}
}
