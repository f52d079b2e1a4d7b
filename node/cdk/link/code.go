package link

import "portico/lightclient/leb128"

// The instructions this package writes or must tell apart.
const (
	opUnreachable  = 0x00
	opBlock        = 0x02
	opLoop         = 0x03
	opIf           = 0x04
	opElse         = 0x05
	opEnd          = 0x0b
	opBr           = 0x0c
	opBrIf         = 0x0d
	opBrTable      = 0x0e
	opReturn       = 0x0f
	opCall         = 0x10
	opCallIndirect = 0x11
	opDrop         = 0x1a
	opSelectTyped  = 0x1c
	opLocalGet     = 0x20
	opLocalSet     = 0x21
	opLocalTee     = 0x22
	opGlobalGet    = 0x23
	opGlobalSet    = 0x24
	opI32Load      = 0x28
	opI64Load      = 0x29
	opI32Load8U    = 0x2d
	opI32Store     = 0x36
	opI64Store     = 0x37
	opI32Store8    = 0x3a
	opI64Store8    = 0x3c
	opI64Store32   = 0x3e
	opMemorySize   = 0x3f
	opMemoryGrow   = 0x40
	opI32Const     = 0x41
	opI64Const     = 0x42
	opF32Const     = 0x43
	opF64Const     = 0x44
	opI32Eqz       = 0x45
	opI32Eq        = 0x46
	opI64Eqz       = 0x50
	opI64Eq        = 0x51
	opI32Add       = 0x6a
	opI32Sub       = 0x6b
	opI32And       = 0x71
	opI32Or        = 0x72
	opI32Xor       = 0x73
	opI32ShrU      = 0x76
	opI32Rotl      = 0x77
	opI32Rotr      = 0x78
	opI64Add       = 0x7c
	opI64Mul       = 0x7e
	opI64And       = 0x83
	opI64Xor       = 0x85
	opI64ShrU      = 0x88
	opI64Extend32S = 0xc4
	opRefNull      = 0xd0
	opRefIsNull    = 0xd1
	opRefFunc      = 0xd2
	opPrefix       = 0xfc

	emptyBlock = 0x40 // the type of a block that takes and leaves nothing

	subTruncSatLast = 7
	subMemoryInit   = 8
	subDataDrop     = 9
	subMemoryCopy   = 10
	subMemoryFill   = 11
)

// remapCalls copies a function's code with every function index put through to and
// a call of exit before every unreachable instruction, which is how a panicking
// program of c-shared mode ends.
// It knows the instructions of WebAssembly 1.0 with sign extension, saturating
// conversion and bulk memory, which is all that Go emits, and refuses others:
// passing over an unknown one would misread what follows.
func remapCalls(body []byte, to func(uint32) (uint32, bool), exit uint32) ([]byte, error) {
	r := &reader{b: body}
	for n := r.count(); n > 0 && r.err == nil; n-- {
		r.u32()
		r.byte()
	}
	out := make([]byte, 0, len(body)+8)
	copied := 0
	for r.err == nil && r.off < len(body) {
		op := r.byte()
		if op != opCall && op != opRefFunc && op != opUnreachable {
			r.immediates(op)
			continue
		}
		if op == opUnreachable {
			out = append(appendU32(append(append(out, body[copied:r.off-1]...), opCall), exit), opUnreachable)
			copied = r.off
			continue
		}
		out = append(out, body[copied:r.off]...)
		old := r.u32()
		f, ok := to(old)
		if !ok {
			r.fail("unknown function %d", old)
		}
		out = leb128.AppendUint(out, uint64(f))
		copied = r.off
	}
	if r.err != nil {
		return nil, r.err
	}
	return append(out, body[copied:]...), nil
}

// immediates passes over what follows an instruction's first byte.
func (r *reader) immediates(op byte) {
	switch {
	case op == opBlock || op == opLoop || op == opIf:
		r.i64() // a value type, the empty type, or a type index
	case op == opBr || op == opBrIf || (op >= opLocalGet && op <= 0x26):
		r.u32()
	case op == opBrTable:
		for n := r.count(); n > 0 && r.err == nil; n-- {
			r.u32()
		}
		r.u32()
	case op == opCallIndirect:
		r.u32()
		r.u32()
	case op == opSelectTyped:
		r.bytes(r.count())
	case op >= opI32Load && op <= opI64Store32:
		r.u32()
		r.u32()
	case op == opMemorySize || op == opMemoryGrow || op == opRefNull:
		r.byte()
	case op == opI32Const || op == opI64Const:
		r.i64()
	case op == opF32Const:
		r.bytes(4)
	case op == opF64Const:
		r.bytes(8)
	case op == opPrefix:
		r.prefixed()
	case op <= 0x01 || op == opElse || op == opEnd || op == opReturn, // unreachable, nop
		op == opDrop || op == 0x1b, // select
		op >= opI32Eqz && op <= opI64Extend32S, op == opRefIsNull:
	default:
		r.fail("unknown instruction 0x%02x", op)
	}
}

func (r *reader) prefixed() {
	switch sub := r.u32(); {
	case sub <= subTruncSatLast:
	case sub == subMemoryInit:
		r.u32()
		r.byte()
	case sub == subDataDrop:
		r.u32()
	case sub == subMemoryCopy:
		r.bytes(2)
	case sub == subMemoryFill:
		r.byte()
	default:
		r.fail("unknown instruction 0xfc %d", sub)
	}
}
