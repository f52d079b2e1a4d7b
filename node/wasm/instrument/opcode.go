package instrument

// opcode is an instruction's byte, or its prefix in the high byte and the number
// that follows the prefix in the low byte.
type opcode uint16

const (
	opUnreachable        opcode = 0x00
	opBlock              opcode = 0x02
	opLoop               opcode = 0x03
	opIf                 opcode = 0x04
	opElse               opcode = 0x05
	opEnd                opcode = 0x0b
	opBr                 opcode = 0x0c
	opBrIf               opcode = 0x0d
	opBrTable            opcode = 0x0e
	opReturn             opcode = 0x0f
	opCall               opcode = 0x10
	opCallIndirect       opcode = 0x11
	opReturnCall         opcode = 0x12
	opReturnCallIndirect opcode = 0x13
	opDrop               opcode = 0x1a
	opSelect             opcode = 0x1b
	opSelectTyped        opcode = 0x1c
	opLocalGet           opcode = 0x20
	opLocalSet           opcode = 0x21
	opLocalTee           opcode = 0x22
	opGlobalGet          opcode = 0x23
	opGlobalSet          opcode = 0x24
	opTableGet           opcode = 0x25
	opTableSet           opcode = 0x26
	opI32Load            opcode = 0x28
	opI32Load8U          opcode = 0x2d
	opI64Store32         opcode = 0x3e
	opMemorySize         opcode = 0x3f
	opMemoryGrow         opcode = 0x40
	opI32Const           opcode = 0x41
	opI64Const           opcode = 0x42
	opF32Const           opcode = 0x43
	opF64Const           opcode = 0x44
	opI32Eqz             opcode = 0x45
	opI64Eqz             opcode = 0x50
	opI64GtU             opcode = 0x56
	opI64LtS             opcode = 0x53
	opF32Ne              opcode = 0x5c
	opF64Ne              opcode = 0x62
	opI32Add             opcode = 0x6a
	opI32Sub             opcode = 0x6b
	opI32Mul             opcode = 0x6c
	opI32Or              opcode = 0x72
	opI64Add             opcode = 0x7c
	opI64Sub             opcode = 0x7d
	opI64Mul             opcode = 0x7e
	opI64Or              opcode = 0x84
	opI64ShrU            opcode = 0x88
	opI32WrapI64         opcode = 0xa7
	opI64ExtendI32S      opcode = 0xac
	opI64ExtendI32U      opcode = 0xad
	opRefNull            opcode = 0xd0
	opRefFunc            opcode = 0xd2

	prefixBulk opcode = 0xfc00
	prefixSIMD opcode = 0xfd00

	opMemoryInit opcode = prefixBulk | 8
	opDataDrop   opcode = prefixBulk | 9
	opMemoryCopy opcode = prefixBulk | 10
	opMemoryFill opcode = prefixBulk | 11
	opTableInit  opcode = prefixBulk | 12
	opElemDrop   opcode = prefixBulk | 13
	opTableCopy  opcode = prefixBulk | 14
	opTableGrow  opcode = prefixBulk | 15
	opTableSize  opcode = prefixBulk | 16
	opTableFill  opcode = prefixBulk | 17

	opV128Store        opcode = prefixSIMD | 11
	opV128Const        opcode = prefixSIMD | 12
	opI64x2Splat       opcode = prefixSIMD | 18
	opI64x2ExtractLane opcode = prefixSIMD | 29
	opI64x2ReplaceLane opcode = prefixSIMD | 30
	opF32x4Eq          opcode = prefixSIMD | 65
	opF64x2Eq          opcode = prefixSIMD | 71
	opV128Bitselect    opcode = prefixSIMD | 82
	opV128Load8Lane    opcode = prefixSIMD | 84
	opV128Store8Lane   opcode = prefixSIMD | 88
	opV128Store64Lane  opcode = prefixSIMD | 91
)

// immediates says what follows an opcode.
type immediates uint8

const (
	immUnknown    immediates = iota // no such instruction, or one that is not allowed
	immNone                         //
	immBlock                        // block type
	immIndex                        // one index: label, local, global, table, function or segment
	immIndexes                      // two indexes: type and table, table and table, segment and table or memory
	immBrTable                      // labels
	immSelect                       // a vector of one value type
	immMemory                       // memory argument
	immMemoryLane                   // memory argument and lane
	immZero                         // a reserved zero byte
	immI32                          //
	immI64                          //
	immF32                          //
	immF64                          //
	immRefType                      // heap type
	immV128                         // 16 bytes
	immLane                         // lane index
)

// nan says which canonicalisation an instruction's result needs.
type nan uint8

const (
	nanNever nan = iota
	nanF32
	nanF64
	nanF32x4
	nanF64x2
)

// opInfo describes an instruction.
type opInfo struct {
	imm  immediates
	nan  nan
	cost uint16 // instructions charged; see Costs in the package documentation
}

// tables describe every instruction that is allowed, by its low byte.
type tables struct{ plain, bulk, simd [256]opInfo }

func (t *tables) info(op opcode) opInfo {
	switch op & 0xff00 {
	case prefixBulk:
		return t.bulk[op&0xff]
	case prefixSIMD:
		return t.simd[op&0xff]
	}
	return t.plain[op&0xff]
}

func newTables() *tables {
	t := &tables{}
	t.control()
	t.numeric()
	t.bulkMemory()
	t.vector()
	return t
}

func fill(t *[256]opInfo, from, to opcode, i opInfo) {
	for op := from & 0xff; op <= to&0xff; op++ {
		t[op] = i
	}
}

func (t *tables) control() {
	p := &t.plain
	p[opUnreachable] = opInfo{imm: immNone, cost: 1}
	p[0x01] = opInfo{imm: immNone, cost: 1} // nop
	p[opBlock] = opInfo{imm: immBlock}
	p[opLoop] = opInfo{imm: immBlock}
	p[opIf] = opInfo{imm: immBlock, cost: 1}
	p[opElse] = opInfo{imm: immNone}
	p[opEnd] = opInfo{imm: immNone}
	p[opBr] = opInfo{imm: immIndex, cost: 1}
	p[opBrIf] = opInfo{imm: immIndex, cost: 1}
	p[opBrTable] = opInfo{imm: immBrTable, cost: 4}
	p[opReturn] = opInfo{imm: immNone, cost: 1}
	p[opCall] = opInfo{imm: immIndex, cost: 5}
	p[opCallIndirect] = opInfo{imm: immIndexes, cost: 10}
	p[opReturnCall] = opInfo{imm: immIndex, cost: 5}
	p[opReturnCallIndirect] = opInfo{imm: immIndexes, cost: 10}
	p[opDrop] = opInfo{imm: immNone, cost: 1}
	p[opSelect] = opInfo{imm: immNone, cost: 1}
	p[opSelectTyped] = opInfo{imm: immSelect, cost: 1}
	fill(p, opLocalGet, opGlobalSet, opInfo{imm: immIndex, cost: 1})
	fill(p, opTableGet, opTableSet, opInfo{imm: immIndex, cost: 5})
	fill(p, opI32Load, opI64Store32, opInfo{imm: immMemory, cost: 1})
	p[opMemorySize] = opInfo{imm: immZero, cost: 5}
	p[opMemoryGrow] = opInfo{imm: immZero, cost: 300}
	p[opRefNull] = opInfo{imm: immRefType, cost: 1}
	p[0xd1] = opInfo{imm: immNone, cost: 1} // ref.is_null
	p[opRefFunc] = opInfo{imm: immIndex, cost: 100}
}

func (t *tables) numeric() {
	p := &t.plain
	p[opI32Const] = opInfo{imm: immI32, cost: 1}
	p[opI64Const] = opInfo{imm: immI64, cost: 1}
	p[opF32Const] = opInfo{imm: immF32, cost: 1}
	p[opF64Const] = opInfo{imm: immF64, cost: 1}
	fill(p, 0x45, 0xc4, opInfo{imm: immNone, cost: 1})
	for _, div := range []opcode{0x6d, 0x7f} { // i32 and i64: div_s div_u rem_s rem_u
		fill(p, div, div+3, opInfo{imm: immNone, cost: 10})
	}
	// ceil floor trunc nearest sqrt add sub mul div min max
	fill(p, 0x8d, 0x97, opInfo{imm: immNone, nan: nanF32, cost: 2})
	fill(p, 0x9b, 0xa5, opInfo{imm: immNone, nan: nanF64, cost: 2})
	for _, slow := range []opcode{0x91, 0x95} { // f32: sqrt div
		p[slow].cost = 10
		p[slow+0x0e].cost = 10 // and of f64
	}
	p[0xb6] = opInfo{imm: immNone, nan: nanF32, cost: 2}      // f32.demote_f64
	p[0xbb] = opInfo{imm: immNone, nan: nanF64, cost: 2}      // f64.promote_f32
	fill(p, 0xa8, 0xab, opInfo{imm: immNone, cost: 5})        // i32.trunc_f*
	fill(p, 0xae, 0xb1, opInfo{imm: immNone, cost: 5})        // i64.trunc_f*
	fill(&t.bulk, 0x00, 0x07, opInfo{imm: immNone, cost: 10}) // trunc_sat
}

func (t *tables) bulkMemory() {
	b := &t.bulk
	fill(b, opMemoryInit, opMemoryInit, opInfo{imm: immIndexes, cost: 20})
	fill(b, opDataDrop, opDataDrop, opInfo{imm: immIndex, cost: 20})
	fill(b, opMemoryCopy, opMemoryCopy, opInfo{imm: immIndexes, cost: 20})
	fill(b, opMemoryFill, opMemoryFill, opInfo{imm: immIndex, cost: 20})
	fill(b, opTableInit, opTableInit, opInfo{imm: immIndexes, cost: 20})
	fill(b, opElemDrop, opElemDrop, opInfo{imm: immIndex, cost: 20})
	fill(b, opTableCopy, opTableCopy, opInfo{imm: immIndexes, cost: 20})
	fill(b, opTableGrow, opTableGrow, opInfo{imm: immIndex, cost: 300})
	fill(b, opTableSize, opTableSize, opInfo{imm: immIndex, cost: 5})
	fill(b, opTableFill, opTableFill, opInfo{imm: immIndex, cost: 20})
}

func (t *tables) vector() {
	s := &t.simd
	fill(s, 0, 255, opInfo{imm: immNone, cost: 2})
	fill(s, 0, 11, opInfo{imm: immMemory, cost: 1})
	s[12] = opInfo{imm: immV128, cost: 1}                // v128.const
	s[13] = opInfo{imm: immV128, cost: 4}                // i8x16.shuffle
	fill(s, 21, 34, opInfo{imm: immLane, cost: 1})       // extract and replace lanes
	fill(s, 84, 91, opInfo{imm: immMemoryLane, cost: 2}) // load and store lanes
	fill(s, 92, 93, opInfo{imm: immMemory, cost: 1})     // load zero
	s[94] = opInfo{imm: immNone, nan: nanF32x4, cost: 4} // demote
	s[95] = opInfo{imm: immNone, nan: nanF64x2, cost: 4} // promote
	for _, op := range []int{0x67, 0x68, 0x69, 0x6a, 0xe4, 0xe5, 0xe6, 0xe8, 0xe9} {
		s[op] = opInfo{imm: immNone, nan: nanF32x4, cost: 4} // ceil floor trunc nearest add sub mul min max
	}
	for _, op := range []int{0x74, 0x75, 0x7a, 0x94, 0xf0, 0xf1, 0xf2, 0xf4, 0xf5} {
		s[op] = opInfo{imm: immNone, nan: nanF64x2, cost: 4}
	}
	for _, op := range []int{0xe3, 0xe7} { // sqrt div
		s[op] = opInfo{imm: immNone, nan: nanF32x4, cost: 20}
	}
	for _, op := range []int{0xef, 0xf3} {
		s[op] = opInfo{imm: immNone, nan: nanF64x2, cost: 20}
	}
	// Numbers that no instruction has.
	for _, op := range []int{
		0x9a, 0xa2, 0xa5, 0xa6, 0xaf, 0xb0, 0xb2, 0xb3, 0xb4, 0xbb, 0xc2, 0xc5, 0xc6, 0xcf,
		0xd0, 0xd2, 0xd3, 0xd4, 0xe2, 0xee,
	} {
		s[op] = opInfo{}
	}
}
