package instrument

// writeGlobals also gives the exports of the mutable ones, in the order of
// Info.Globals, and sets the indexes of the globals that it adds: the upper halves of
// mutable v128 globals, the counter and the depth.
func (rw *rewriter) writeGlobals() (w, exports writer) {
	n := 0
	export := func(index int) {
		exports.name(ExportGlobal(n))
		exports.put(exportGlobal)
		exports.unsigned(uint64(index))
		n++
	}
	mutable := func(w *writer, typ ValueType, bits uint64) {
		w.put(typ.code(), 1)
		constant{typ: typ, lo: bits}.emit(w, nil)
	}
	var added writer
	next := len(rw.globals)
	for i := range rw.globals {
		g := &rw.globals[i]
		switch {
		case !g.mutable:
			w.put(g.typ.code(), 0)
			g.init.emit(&w, rw.newIndex)
		case g.typ == V128:
			// The engine's interface to globals is 64 bits wide.
			g.high = uint32(next)
			next++
			mutable(&w, I64, g.init.lo)
			mutable(&added, I64, g.init.hi)
			export(i)
			export(int(g.high))
		default:
			mutable(&w, g.typ, g.init.lo)
			export(i)
		}
	}
	rw.counter, rw.depth = uint32(next), uint32(next+1)
	mutable(&added, I64, 0)
	mutable(&added, I64, 0)
	return append(w, added...), exports
}

func (rw *rewriter) globalCount() int { return int(rw.depth) + 1 }
