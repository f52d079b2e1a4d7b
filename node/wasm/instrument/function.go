package instrument

import "slices"

const (
	// maxInstructions bounds a function's body (interface specification, "WebAssembly
	// module requirements").
	maxInstructions = 1_000_000
	// maxLocals bounds a function's parameters and locals.
	maxLocals = 50_000

	// frameUnits is the least that a function's frame costs of the stack's depth.
	frameUnits = 8
	// freeUnits is up to where a function that calls no other is not counted: at most
	// one such frame is on the stack.
	freeUnits = 1024
	// briefInstructions is the largest body of a function that does not check.
	briefInstructions = 100
)

// function is the rewriting of one body.
type function struct {
	*rewriter
	summary
	r       *reader
	typ     funcType
	locals  []localGroup
	vectors map[uint32]bool // parameters and locals of type v128
	added   []ValueType     // locals added behind the function's own
	scratch map[slot]uint32 // added locals by use

	// code is the new body so far; points are the places where code is to be added once
	// the whole body has been read, in order. The first is the function's beginning.
	code     writer
	points   []point
	current  int   // the point that charges for the current stretch
	operands []int // see floats.go

	control  []frame
	region   int // index in control of the loop whose code counts in a local; -1 for none
	nextLoop int // ordinal of the next loop
}

// point is a place in the code: the beginning of a stretch, whose cost is charged
// there, or behind an instruction whose result may have to be made canonical.
type point struct {
	at       int
	cost     uint64 // of the stretch
	head     head
	inRegion bool
	kind     nan // of a result; nanNever for a stretch
	needed   bool
}

// head says whether a stretch begins the body of a loop.
type head uint8

const (
	notHead     head = iota
	plainHead        // Check is called here
	wrappedHead      // the loop is left for a call of Check, see loops.go
)

type localGroup struct {
	n   uint32
	typ ValueType
}

// frame is an open block.
type frame struct {
	op       opcode // opBlock, opLoop, opIf or opElse
	targeted bool   // a branch leads to the block's end
	wrapped  bool   // a loop around it has been added
	added    int    // blocks that the rewriter added, around this one and those outside it
	arity    int    // values that a branch to the block takes along
	// base is the stretch that the block begins in, then and other are the first ones of
	// an if's arms.
	base, then, other int
	// lowest is the index of the outermost block that branches within this one lead to,
	// -1 for the function. If it is this one, the code behind the block runs whenever the
	// block is entered, and belongs to the stretch in which it was.
	lowest int
}

// summary is what must be known of a body before it is rewritten.
type summary struct {
	locals       uint32 // parameters included
	instructions int
	calls        bool // calls a function other than a host function, and comes back
	tailCalls    bool
	// loops tells of each loop, in the order in which they begin, whether its code can
	// count instructions in a local.
	loops []bool
}

// units is what a frame of the function costs of the stack's depth. The engine keeps
// values that live across a call in the frame, 8 bytes or, for a v128, 16 each: those are
// the locals and, measured on compiled code, far fewer than one in four of the values
// that instructions make.
func (s summary) units() uint64 {
	u := frameUnits + uint64(s.locals) + uint64(s.instructions)/4
	if !s.calls && u <= freeUnits {
		return 0
	}
	return u
}

// brief functions do not check the counter when they begin: whoever calls them in a
// loop does.
func (s summary) brief() bool {
	return !s.calls && !s.tailCalls && len(s.loops) == 0 && s.instructions <= briefInstructions
}

// rewriteBody appends the instrumented body of the module's own function i.
func (rw *rewriter) rewriteBody(code *writer, i uint32, b body) error {
	f := &function{rewriter: rw, typ: rw.types[rw.functions[i]], scratch: map[slot]uint32{}, region: -1}
	f.r = &reader{b: b.code, base: b.offset}
	f.readLocals()
	if err := f.scan(); err != nil {
		return err
	}
	f.begin(notHead)
	var ins instruction
	for f.r.more() {
		rw.ops.next(f.r, &ins)
		if f.r.err != nil {
			break
		}
		f.rewriteInstruction(&ins)
	}
	if err := f.r.finish("a function body"); err != nil {
		return err
	}
	f.assemble(code)
	return nil
}

func (f *function) readLocals() {
	total := uint64(len(f.typ.params))
	f.noteVectors(0, f.typ.params...)
	for n := f.r.count("groups of locals"); n > 0 && f.r.err == nil; n-- {
		g := localGroup{f.r.u32(), f.r.valueType()}
		if uint64(g.n) > maxLocals-min(total, maxLocals) {
			f.r.failf("a function has more than %d parameters and locals", maxLocals)
			return
		}
		if g.typ == V128 {
			f.noteVectors(uint32(total), slices.Repeat([]ValueType{V128}, int(g.n))...)
		}
		total += uint64(g.n)
		f.locals = append(f.locals, g)
	}
	f.summary.locals = uint32(total)
}

// noteVectors notes which locals from the given one on are vectors.
func (f *function) noteVectors(from uint32, types ...ValueType) {
	for i, t := range types {
		if t != V128 {
			continue
		}
		if f.vectors == nil {
			f.vectors = map[uint32]bool{}
		}
		f.vectors[from+uint32(i)] = true
	}
}

// openLoop is a loop that scan is in.
type openLoop struct {
	ordinal, depth int
	calls          bool
	outermost      int // the depth of the outermost block that a branch table leads to
}

// scan reads the body once to check its nesting and to summarise it.
func (f *function) scan() error {
	r := *f.r
	var ins instruction
	var loops []openLoop
	depth := 0 // open blocks
	for r.more() && depth >= 0 {
		f.ops.next(&r, &ins)
		f.instructions++
		calls := false
		switch ins.op {
		case opBlock, opIf:
			depth++
		case opLoop:
			loops = append(loops, openLoop{ordinal: len(f.loops), depth: depth, outermost: depth})
			f.loops = append(f.loops, false)
			depth++
		case opEnd:
			depth--
			loops = f.closeLoop(loops, depth)
		case opBrTable:
			for _, l := range ins.labels {
				if n := len(loops); n > 0 {
					loops[n-1].outermost = min(loops[n-1].outermost, depth-1-int(l))
				}
			}
		case opCall, opCallIndirect:
			f.calls = f.calls || ins.op == opCallIndirect || ins.a >= uint64(len(f.imports))
			calls = true
		case opReturnCall, opReturnCallIndirect:
			f.tailCalls, calls = true, true
		case opMemoryGrow:
			calls = true
		}
		if n := len(loops); n > 0 && calls {
			loops[n-1].calls = true
		}
		if f.instructions > maxInstructions {
			r.failf("a function body has more than %d instructions", maxInstructions)
		}
	}
	if r.err == nil && depth >= 0 {
		r.failf("a function body ends inside a block")
	}
	return r.finish("a function body after its end")
}

// closeLoop ends the innermost loop if it is the block at depth. What it contains, the
// loop around it contains too.
func (f *function) closeLoop(loops []openLoop, depth int) []openLoop {
	n := len(loops) - 1
	if n < 0 || loops[n].depth != depth {
		return loops
	}
	l := loops[n]
	f.loops[l.ordinal] = !l.calls && l.outermost >= l.depth
	if n > 0 {
		loops[n-1].calls = loops[n-1].calls || l.calls
		loops[n-1].outermost = min(loops[n-1].outermost, l.outermost)
	}
	return loops[:n]
}

// assemble puts the parts of the body together:
//
//	charge and check; block; body; end; restore the depth; end
//
// The inner block catches branches to the function's own label, which is how `return`
// leaves too, so that the depth is restored on every way out.
func (f *function) assemble(code *writer) {
	var body, entry, rest writer
	f.enter(&entry)
	f.fillIn(&rest) // like enter, adds locals
	body.unsigned(uint64(len(f.locals) + len(f.added)))
	for _, g := range f.locals {
		body.unsigned(uint64(g.n))
		body.put(g.typ.code())
	}
	for _, t := range f.added {
		body.put(1, t.code())
	}
	body.put(entry...)
	units := f.units()
	if units > 0 {
		body.put(byte(opBlock))
		switch results := f.typ.results; len(results) {
		case 0:
			body.put(0x40)
		case 1:
			body.put(results[0].code())
		default:
			body.signed(int64(f.typeIndex(funcType{results: results})))
		}
	}
	body.put(rest...)
	if units > 0 {
		f.leave(&body)
		body.put(byte(opEnd))
	}
	code.unsigned(uint64(len(body)))
	code.put(body...)
}

// begin begins a stretch.
func (f *function) begin(h head) {
	f.settle()
	f.current = len(f.points)
	f.points = append(f.points, point{at: len(f.code), head: h, inRegion: f.region >= 0})
}

// fillIn appends the code with what belongs to the points. What the function's own
// beginning takes stands in front of it already.
func (f *function) fillIn(w *writer) {
	from := 0
	for _, p := range f.points[1:] {
		w.put(f.code[from:p.at]...)
		from = p.at
		switch {
		case p.kind != nanNever:
			if p.needed {
				f.canonical(w, p.kind)
			}
		case p.cost == 0:
			// A loop that begins so ends at once, or with an inner loop that checks.
		case p.head == wrappedHead:
			f.leaveIfNegative(w)
			f.spendLocally(w, p.cost)
		case p.inRegion:
			f.spendLocally(w, p.cost)
			if p.head == plainHead {
				f.recheck(w)
			}
		case p.head == plainHead:
			f.charge(w, p.cost)
		default:
			f.spend(w, p.cost)
		}
	}
	w.put(f.code[from:]...)
}

// spend takes cost off the counter.
func (f *function) spend(w *writer, cost uint64) {
	if cost == 0 {
		return
	}
	f.global(w, opGlobalGet, f.counter)
	f.i64(w, int64(cost))
	w.put(byte(opI64Sub))
	f.global(w, opGlobalSet, f.counter)
}

// charge takes cost off the counter and calls Check if nothing is left.
func (f *function) charge(w *writer, cost uint64) {
	left := f.local(slotCounter)
	f.global(w, opGlobalGet, f.counter)
	f.i64(w, int64(cost))
	w.put(byte(opI64Sub))
	f.index(w, opLocalTee, left)
	f.global(w, opGlobalSet, f.counter)
	f.index(w, opLocalGet, left)
	f.ifNegative(w)
}

// enter is a function's beginning: it charges the first stretch and the frame.
func (f *function) enter(w *writer) {
	units := f.units()
	switch {
	case f.brief():
		f.spend(w, f.points[0].cost)
		return
	case units == 0:
		f.charge(w, f.points[0].cost)
		return
	}
	left, depth := f.local(slotCounter), f.local(slotDepth)
	f.global(w, opGlobalGet, f.counter)
	f.i64(w, int64(f.points[0].cost))
	w.put(byte(opI64Sub))
	f.index(w, opLocalTee, left)
	f.global(w, opGlobalSet, f.counter)
	f.global(w, opGlobalGet, f.depth)
	f.i64(w, int64(units))
	w.put(byte(opI64Sub))
	f.index(w, opLocalTee, depth)
	f.global(w, opGlobalSet, f.depth)
	f.index(w, opLocalGet, left)
	f.index(w, opLocalGet, depth)
	w.put(byte(opI64Or))
	f.ifNegative(w)
}

func (f *function) ifNegative(w *writer) {
	f.i64(w, 0)
	w.put(byte(opI64LtS), byte(opIf), 0x40)
	f.index(w, opCall, f.check)
	w.put(byte(opEnd))
}

// leave gives the frame's units back.
func (f *function) leave(w *writer) {
	if units := f.units(); units > 0 {
		f.index(w, opLocalGet, f.local(slotDepth))
		f.i64(w, int64(units))
		w.put(byte(opI64Add))
		f.global(w, opGlobalSet, f.depth)
	}
}

// slot is a use of an added local.
type slot struct {
	use byte
	typ ValueType
}

var (
	slotCounter = slot{'c', I64}
	slotDepth   = slot{'d', I64}
)

// local is the index of the added local for a use.
func (f *function) local(s slot) uint32 {
	i, ok := f.scratch[s]
	if !ok {
		i = f.summary.locals + uint32(len(f.added))
		f.added = append(f.added, s.typ)
		f.scratch[s] = i
	}
	return i
}

func (f *function) index(w *writer, op opcode, i uint32) {
	w.put(byte(op))
	w.unsigned(uint64(i))
}

func (f *function) global(w *writer, op opcode, i uint32) { f.index(w, op, i) }

func (f *function) i64(w *writer, v int64) {
	w.put(byte(opI64Const))
	w.signed(v)
}

func (f *function) i32(w *writer, v int32) {
	w.put(byte(opI32Const))
	w.signed(int64(v))
}
