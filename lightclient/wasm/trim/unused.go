package main

import (
	"encoding/binary"
	"errors"
	"slices"
	"strings"

	"portico/lightclient/leb128"
)

// Much of Go's runtime runs only if somebody asks for it: execution traces,
// profiles and metrics, dumps of the heap, settings in the environment variable
// GODEBUG. The light client asks for none of it, and a linker cannot know that. Each
// list below says why what is in it never runs, or may do nothing; the bodies go.

// neverRun become traps: would one run all the same, the program would end at
// once instead of going wrong.
var neverRun = []string{
	// Execution tracing begins with runtime.StartTrace, which nobody calls.
	"runtime.traceAdvance", "runtime.traceReadCPU", "runtime.traceSyncBatch", "runtime.traceWriter.", "runtime.traceStack",
	"runtime.traceLocker.", "runtime.traceAcquireEnabled", "runtime.traceRegisterLabelsAndReasons", "runtime.traceStopReadCPU",
	"runtime.(*traceStringTable)", "runtime.(*traceStackTable)", "runtime.(*traceTypeTable)", "runtime.(*traceMap)",
	"runtime.(*traceRegionAlloc)", "runtime.(*traceBuf)", "runtime.traceEventWriter", "runtime.traceBufFlush",
	"runtime.(*traceSchedResourceState)", "runtime.goStatusToTraceGoStatus", "runtime.makeTraceFrame", "runtime.startPCForTrace",
	"runtime.(*traceAdvancerState)", "runtime.(*profBuf)", "runtime.tracebackPCs",
	// These print what a setting in GODEBUG asks for. The environment has none.
	"runtime.schedtrace", "runtime.dumpScanStats", "runtime.printScavTrace", "runtime.setCheckmark", "runtime.runCheckmark",
	"runtime.startCheckmarks", "runtime.checkFinalizersAndCleanups", "internal/bisect.", "internal/godebug.registerMetric",
	"internal/godebug.(*Setting).IncNonDefault", "runtime.initMetrics", "runtime.timeHistogramMetricsBuckets",
	"runtime.dumpStacksRec", "runtime.dumpTypesRec", "runtime.saveBlockEventStack", "runtime.saveblockevent", "runtime.blockevent",
	"runtime.doRecordGoroutineProfile", "runtime.tryRecordGoroutineProfile",
	// Times are compared and never put into words.
	"time.Time.String", "time.(*Time).String", "time.Time.appendFormat", "time.Time.AppendFormat", "time.Time.Format",
	"time.nextStdChunk", "time.tzset", "time.initLocal", "time.(*Location).", "time.Time.locabs", "time.absDays", "time.tzruleTime",
	"time.appendNano", "time.appendInt",
	// No text has floating-point numbers.
	"internal/strconv.genericFtoa", "internal/strconv.AppendComplex", "internal/strconv.bigFtoa", "internal/strconv.formatDigits",
	"internal/strconv.fmtX", "internal/strconv.fmtE", "internal/strconv.fmtF", "internal/strconv.fmtB", "internal/strconv.dboxFtoa64",
	"internal/strconv.dboxFtoa32", "internal/strconv.dboxFtoa", "internal/strconv.roundShortest", "internal/strconv.fixedFtoa",
	"internal/strconv.leftShift", "internal/strconv.rightShift", "internal/strconv.(*decimal)", "internal/strconv.dboxDigits",
	// Types of several modules are compared where there are several; frames are looked at
	// by runtime.Callers alone.
	"runtime.typesEqual", "runtime.(*Frames)", "runtime.expandCgoFrames", "runtime.printOneCgoTraceback", "runtime.printCgoTraceback",
	"runtime.(*hexdumper)",
}

// doNothing return at once: they print, while the program is ending, where it
// was, which without the names of functions says nothing. The message of a panic
// is printed before. None of them has results.
var doNothing = []string{
	"runtime.traceback", "runtime.traceback1", "runtime.traceback2", "runtime.tracebackothers", "runtime.tracebacksomeothers",
	"runtime.tracebacktrap", "runtime.goroutineheader", "runtime.printcreatedby", "runtime.printcreatedby1", "runtime.printArgs",
	"runtime.printAncestorTraceback", "runtime.printAncestorTracebackFuncInfo", "runtime.tracebackHexdump",
	"runtime.printfloat64", "runtime.printfloat32", "runtime.printcomplex128", "runtime.printcomplex64",
	"runtime.gcDumpObject", "runtime.dumpgstatus", "runtime.(*mspan).reportZombies", "runtime.hexdumpWords",
}

// removed reports whether a function is on one of the lists, and which body takes
// the place of its own.
func removed(name string) (body []byte, ok bool) {
	const opUnreachable, opGlobalGet, opGlobalSet, opI32Add = 0x00, 0x23, 0x24, 0x6a
	for _, prefix := range neverRun {
		rest, found := strings.CutPrefix(name, prefix)
		// A whole name, with its closures, or all that a type or package has.
		if found && (rest == "" || rest[0] == '.' || strings.HasSuffix(prefix, ".") || strings.HasSuffix(prefix, ")")) {
			return []byte{0, opUnreachable, opEnd}, true
		}
	}
	if slices.Contains(doNothing, name) {
		// A function without a frame returns by taking the address to return to, of
		// eight bytes, off the stack, whose pointer is the first global variable.
		return []byte{0, opGlobalGet, 0, opI32Const, 8, opI32Add, opGlobalSet, 0, opI32Const, 0, opEnd}, true
	}
	return nil, false
}

// removeUnused takes the bodies of functions on the lists away and returns which
// functions of the table these are.
func (m *module) removeUnused(t *tables) (map[int]bool, error) {
	gone := map[int]bool{}
	for i := range t.count {
		f, err := t.function(i)
		if err != nil {
			return nil, err
		}
		body, ok := removed(t.name(t.get(f + funcName)))
		if !ok {
			continue
		}
		at := t.index(i)
		if at < 0 || at >= len(m.code) {
			return nil, errors.New("the place of a function's code is not as expected")
		}
		m.code[at], gone[i] = body, true
	}
	return gone, nil
}

// bucketBytes is the size of an entry of the table that leads from an instruction
// to its function, and bucketsPerFunction how many entries a function has: one for
// 4096 of the 65536 places that each has.
const (
	bucketBytes        = 20
	bucketsPerFunction = 16
)

// fillAtStart clears the table that leads from instructions to functions, except for
// the last function, whose entries are cut off. In WebAssembly entry i is i/16 and
// zeros: a function that runs before the program fills them in.
func (m *module) fillAtStart(t *tables) error {
	n := (t.count - 1) * bucketsPerFunction
	table := m.memory[t.buckets : t.buckets+n*bucketBytes]
	for i := range n {
		entry := table[i*bucketBytes:][:bucketBytes]
		if int(binary.LittleEndian.Uint32(entry)) != i/bucketsPerFunction || slices.ContainsFunc(entry[4:], func(b byte) bool { return b != 0 }) {
			return errors.New("the table from instructions to functions is not as expected")
		}
	}
	clear(table)
	return m.addStart(fillBuckets(t.buckets, n))
}

// fillBuckets is for i := n - 1; i >= 0; i-- { memory[at+20*i] = i / 16 }.
func fillBuckets(at, n int) []byte {
	const (
		opLoop, opBrIf, opLocalGet, opLocalSet, opLocalTee = 0x03, 0x0d, 0x20, 0x21, 0x22
		opI32Store, opI32Sub, opI32Mul, opI32ShrU          = 0x36, 0x6b, 0x6c, 0x76
		i32, noResult                                      = 0x7f, 0x40
	)
	b := []byte{1, 1, i32, opI32Const} // one local variable
	b = leb128.AppendInt(b, int64(n))
	b = append(b, opLocalSet, 0, opLoop, noResult, opLocalGet, 0, opI32Const, 1, opI32Sub, opLocalTee, 0)
	b = append(b, opI32Const, bucketBytes, opI32Mul, opLocalGet, 0, opI32Const, 4, opI32ShrU, opI32Store, 2)
	b = leb128.AppendUint(b, uint64(at))
	return append(b, opLocalGet, 0, opBrIf, 0, opEnd, opEnd)
}
