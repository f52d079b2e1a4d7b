package instrument

// A counter in memory costs a loop of few instructions more than all its own work. So
// the code of an outermost loop that calls nothing, a region, counts in a local: it is
// loaded from ExportCounter where the region begins and stored where it is left. Since a
// call in a loop is costly even if it never happens, such loops are wrapped:
//
//	loop              ;; added
//	  if the local is negative: store it; call Check; load it
//	  loop            ;; the module's own
//	    if the local is negative: branch to the added loop
//	    subtract the cost of the stretch; ...
//
// While code of a region runs, ExportCounter holds InRegion. A trap of the engine leaves
// it there: what has been used since the last call of Check is then not known.

// InRegion is what ExportCounter holds while the code of a region runs.
const InRegion = -1 << 62

// beginLoop opens a loop. Its body runs more often than what precedes it and begins a
// stretch.
func (f *function) beginLoop(i *instruction) {
	local := f.loops[f.nextLoop]
	f.nextLoop++
	// Loops with parameters would need them on the way back to the added loop.
	simple := int64(i.a) < 0
	if f.region < 0 && local && simple {
		f.region = len(f.control)
		f.global(&f.code, opGlobalGet, f.counter)
		f.index(&f.code, opLocalSet, f.left())
		f.suspend(&f.code)
	}
	frame := frame{op: opLoop, added: f.addedBlocks(), base: f.current, lowest: len(f.control)}
	head := plainHead
	if f.region >= 0 && simple {
		frame.wrapped = true
		frame.added++
		head = wrappedHead
		f.code.put(f.r.b[i.start:i.end]...)
		f.recheck(&f.code)
	}
	if !simple {
		frame.arity = len(f.types[i.a].params)
	}
	f.code.put(f.r.b[i.start:i.end]...)
	f.control = append(f.control, frame)
	f.begin(head)
}

// endLoop closes a loop.
func (f *function) endLoop() {
	top := len(f.control) - 1
	f.code.put(byte(opEnd))
	if f.control[top].wrapped {
		f.code.put(byte(opEnd))
	}
	if f.region == top {
		f.resume(&f.code)
		f.region = -1
		f.begin(notHead)
	}
	f.goOn()
}

// goOn ends the innermost block. The code behind it belongs to the stretch in which the
// block was entered if no branch inside leads further out.
func (f *function) goOn() {
	top := len(f.control) - 1
	c := f.control[top]
	f.control = f.control[:top]
	f.leads(c.lowest)
	switch {
	case c.lowest >= top:
		f.current = c.base
	case c.targeted:
		f.begin(notHead)
	}
}

// leads notes a branch to the block at index t, -1 for the function, in the innermost
// block.
func (f *function) leads(t int) {
	if n := len(f.control); n > 0 {
		f.control[n-1].lowest = min(f.control[n-1].lowest, t)
	}
}

// left is the local that counts in a region.
func (f *function) left() uint32 { return f.local(slot{'l', I64}) }

// suspend marks the counter as out of date.
func (f *function) suspend(w *writer) {
	f.i64(w, InRegion)
	f.global(w, opGlobalSet, f.counter)
}

// resume brings the counter up to date.
func (f *function) resume(w *writer) {
	f.index(w, opLocalGet, f.left())
	f.global(w, opGlobalSet, f.counter)
}

func (f *function) spendLocally(w *writer, cost uint64) {
	if cost == 0 {
		return
	}
	f.index(w, opLocalGet, f.left())
	f.i64(w, int64(cost))
	w.put(byte(opI64Sub))
	f.index(w, opLocalSet, f.left())
}

// recheck calls Check if nothing is left, inside a region.
func (f *function) recheck(w *writer) {
	f.index(w, opLocalGet, f.left())
	f.i64(w, 0)
	w.put(byte(opI64LtS), byte(opIf), 0x40)
	f.resume(w)
	f.index(w, opCall, f.check)
	f.global(w, opGlobalGet, f.counter)
	f.index(w, opLocalSet, f.left())
	f.suspend(w)
	w.put(byte(opEnd))
}

// leaveIfNegative goes from a loop's beginning to the loop added around it.
func (f *function) leaveIfNegative(w *writer) {
	f.index(w, opLocalGet, f.left())
	f.i64(w, 0)
	w.put(byte(opI64LtS))
	f.index(w, opBrIf, 1)
}

// addedBlocks is the number of blocks that the rewriter has added around the current code.
func (f *function) addedBlocks() int {
	if n := len(f.control); n > 0 {
		return f.control[n-1].added
	}
	return 0
}

// target notes a branch to a label of the module's. It gives the label's number in the
// new code and says whether the branch leaves the region.
func (f *function) target(label uint32) (renumbered uint32, leaves bool) {
	n := len(f.control)
	if uint64(label) > uint64(n) {
		f.r.failf("a branch to label %d of %d", label, n+1)
		return 0, false
	}
	t := n - 1 - int(label)
	f.leads(t)
	crossed := f.addedBlocks()
	if t >= 0 {
		crossed -= f.control[t].added
		// A branch to a loop leads to its beginning, where a stretch begins anyway.
		if c := &f.control[t]; c.op != opLoop {
			c.targeted = true
		}
	}
	return label + uint32(crossed), t < f.region
}

// arity is the number of values that a branch takes along.
func (f *function) arity(label uint32) int {
	if t := len(f.control) - 1 - int(label); t >= 0 {
		return f.control[t].arity
	}
	return len(f.typ.results)
}

// branch rewrites what leaves the stretch.
func (f *function) branch(i *instruction) {
	w := &f.code
	inRegion := f.region >= 0
	switch i.op {
	case opBr:
		label, leaves := f.target(uint32(i.a))
		if leaves {
			f.resume(w)
		}
		f.index(w, opBr, label)
	case opBrIf:
		f.branchIf(uint32(i.a))
	case opBrTable:
		w.put(byte(opBrTable))
		w.unsigned(uint64(len(i.labels) - 1))
		for _, l := range i.labels {
			label, _ := f.target(l) // leads out of no region, or there would be none
			w.unsigned(uint64(label))
		}
	case opReturn:
		f.leads(-1)
		if inRegion {
			f.resume(w)
		}
		f.index(w, opBr, uint32(len(f.control)+f.addedBlocks()))
	case opUnreachable:
		if inRegion {
			f.resume(w)
		}
		f.copy(i)
	case opReturnCall:
		f.leads(-1)
		f.leave(w)
		f.call(i)
	case opReturnCallIndirect:
		f.leads(-1)
		f.leave(w)
		f.callIndirect(i)
	}
	f.begin(notHead)
}

func (f *function) branchIf(l uint32) {
	w := &f.code
	label, leaves := f.target(l)
	switch {
	case f.r.err != nil:
	case !leaves:
		f.index(w, opBrIf, label)
	case f.arity(l) == 0:
		w.put(byte(opIf), 0x40)
		f.resume(w)
		f.index(w, opBr, label+1)
		w.put(byte(opEnd))
	default:
		f.resume(w)
		f.index(w, opBrIf, label)
		f.suspend(w)
	}
}
