package link

import (
	"encoding/binary"
	"fmt"
	"strings"

	"portico/lightclient/leb128"
)

// wasiModule is the module Go's wasip1 runtime imports its system calls from.
const wasiModule = "wasi_snapshot_preview1"

// Error numbers of WASI that the stubs answer with.
const (
	errnoBadFile = 8 // what Go's start-up expects after the last preopened directory
	errnoNoCall  = 52
)

// Go's linker leaves the addresses from 4096 to 12287 free on wasip1 (on js the
// program's arguments stand there). The stubs keep the line being printed and
// the message to trap with in it.
const (
	lineBuffer  = 4096
	lineBytes   = 4096
	trapBuffer  = lineBuffer + lineBytes
	firstGoData = 12288
)

// exitMessage is what a program that exits without printing a panic traps with.
const exitMessage = "the canister's Go program exited"

// stubs are the functions that take the place of the WASI imports, and the state
// they share: indices of functions and globals of the linked module.
type stubs struct {
	m                         *module
	debugPrint, trap, time    uint32
	clock, random, line, exit uint32 // globals
	flush, write, end         uint32 // functions
}

// addStubs prepares what the stubs share. The function indices of m must be final
// except for functions appended at the end.
func addStubs(m *module, ic0 map[string]uint32) *stubs {
	s := &stubs{m: m, debugPrint: ic0["debug_print"], trap: ic0["trap"], time: ic0["time"]}
	// Go's scheduler takes a last poll at time zero for a poll under way and
	// would never poll, so the virtual clock starts at one.
	s.clock = s.global(i64, 1)
	s.random = s.global(i64, 0)
	s.line = s.global(i32, 0)
	s.exit = s.global(i32, int64(len(exitMessage)))
	s.m.data = append(s.m.data, segment{trapBuffer, []byte(exitMessage)})
	s.flush = m.addFunc(funcType{}, s.flushBody())
	s.write = m.addFunc(funcType{params: string([]byte{i32, i32})}, s.writeBody())
	s.end = m.addFunc(funcType{}, s.endBody())
	return s
}

// add appends the function that answers for one WASI import and returns its index.
func (s *stubs) add(name string, t funcType) (uint32, error) {
	const p1, p2, p4 = "\x7f", "\x7f\x7f", "\x7f\x7f\x7f\x7f" // i32, twice, four times
	known := map[string]struct {
		params, results string
		body            func() []byte
	}{
		"proc_exit":         {p1, "", func() []byte { return new(asm).call(s.end).body() }},
		"args_sizes_get":    {p2, p1, zeroSizesBody},
		"environ_sizes_get": {p2, p1, zeroSizesBody},
		"args_get":          {p2, p1, func() []byte { return errnoBody(0) }},
		"environ_get":       {p2, p1, func() []byte { return errnoBody(0) }},
		"sched_yield":       {"", p1, func() []byte { return errnoBody(0) }},
		"clock_time_get":    {"\x7f\x7e\x7f", p1, s.clockBody},
		"poll_oneoff":       {p4, p1, s.pollBody},
		"random_get":        {p2, p1, s.randomBody},
		"fd_write":          {p4, p1, s.fdWriteBody},
	}
	if k, ok := known[name]; ok {
		if t != (funcType{k.params, k.results}) {
			return 0, fmt.Errorf("import %s.%s has an unexpected type", wasiModule, name)
		}
		return s.m.addFunc(t, k.body()), nil
	}
	if t.results != p1 {
		return 0, fmt.Errorf("import %s.%s does not answer with an error number", wasiModule, name)
	}
	if strings.HasPrefix(name, "fd_") {
		return s.m.addFunc(t, errnoBody(errnoBadFile)), nil
	}
	return s.m.addFunc(t, errnoBody(errnoNoCall)), nil
}

func (s *stubs) global(typ byte, v int64) uint32 {
	op := byte(opI64Const)
	if typ == i32 {
		op = opI32Const
	}
	s.m.globals = append(s.m.globals, append(leb128.AppendInt([]byte{typ, 1, op}, v), opEnd))
	return uint32(len(s.m.globals) - 1)
}

func errnoBody(errno int32) []byte { return new(asm).i32(errno).body() }

// zeroSizesBody: (count, bytes *u32) gets zero for both.
func zeroSizesBody() []byte {
	a := new(asm)
	a.get(0).i32(0).mem(opI32Store, 0)
	a.get(1).i32(0).mem(opI32Store, 0)
	return a.i32(0).body()
}

// clockBody: (clock, precision, result *u64). The wall clock is the canister's
// time; the monotonic clock is virtual and moves only when the program sleeps.
func (s *stubs) clockBody() []byte {
	a := new(asm)
	a.get(2)
	a.get(0).op(opIf, i64).gget(s.clock).op(opElse).call(s.time).op(opEnd)
	a.mem(opI64Store, 0)
	return a.i32(0).body()
}

// pollBody: (subscriptions, events *, n, nevents *u32). Go polls when no goroutine
// can run. The virtual clock jumps to the end of the wait, so a sleep ends exactly
// when everything else is blocked.
func (s *stubs) pollBody() []byte {
	const subscriptionBytes, tag, timeout, errorAndType = 48, 8, 24, 8
	a := new(asm)
	a.op(opLoop, emptyBlock)
	a.get(2).op(opIf, emptyBlock)
	a.get(0).mem(opI32Load8U, tag).op(opI32Eqz, opIf, emptyBlock)
	a.gget(s.clock).get(0).mem(opI64Load, timeout).op(opI64Add).gset(s.clock)
	a.get(1).get(0).mem(opI64Load, 0).mem(opI64Store, 0)
	a.get(1).i64(0).mem(opI64Store, errorAndType)
	a.get(3).i32(1).mem(opI32Store, 0)
	a.i32(0).op(opReturn)
	a.op(opEnd)
	a.get(0).i32(subscriptionBytes).op(opI32Add).set(0)
	a.get(2).i32(1).op(opI32Sub).set(2)
	a.op(opBr, 1)
	a.op(opEnd, opEnd)
	return a.i32(errnoNoCall).body()
}

// randomBody: (buffer, length). The generator is SplitMix64 (Steele, Lea, Flood
// 2014), seeded by the time of the first use: every replica must draw the same
// numbers, so they cannot be secret.
func (s *stubs) randomBody() []byte {
	const seed, gamma, mix1, mix2 = 0x106689d45497f7, -0x61c8864680b583eb, -0x40a7b892e31b1a47, -0x6b2fb644ecceee15
	a := &asm{locals: []byte{i64}}
	a.gget(s.random).op(opI64Eqz, opIf, emptyBlock)
	a.call(s.time).i64(seed).op(opI64Xor).gset(s.random)
	a.op(opEnd)
	a.op(opLoop, emptyBlock)
	a.get(1).op(opI32Eqz, opIf, emptyBlock).i32(0).op(opReturn, opEnd)
	a.gget(s.random).i64(gamma).op(opI64Add).op(opLocalTee, 2).gset(s.random)
	for _, step := range []struct{ shift, factor int64 }{{30, mix1}, {27, mix2}, {31, 1}} {
		a.get(2).get(2).i64(step.shift).op(opI64ShrU, opI64Xor).i64(step.factor).op(opI64Mul).set(2)
	}
	a.get(0).get(2).mem(opI64Store8, 0)
	a.get(0).i32(1).op(opI32Add).set(0)
	a.get(1).i32(1).op(opI32Sub).set(1)
	a.op(opBr, 0)
	a.op(opEnd, opUnreachable)
	return a.body()
}

// fdWriteBody: (fd, iovecs, n, written *u32) prints whatever the descriptor is.
func (s *stubs) fdWriteBody() []byte {
	const total = 4
	a := &asm{locals: []byte{i32}}
	a.op(opBlock, emptyBlock, opLoop, emptyBlock)
	a.get(2).op(opI32Eqz, opBrIf, 1)
	a.get(1).mem(opI32Load, 0).get(1).mem(opI32Load, 4).call(s.write)
	a.get(total).get(1).mem(opI32Load, 4).op(opI32Add).set(total)
	a.get(1).i32(8).op(opI32Add).set(1)
	a.get(2).i32(1).op(opI32Sub).set(2)
	a.op(opBr, 0)
	a.op(opEnd, opEnd)
	a.get(3).get(total).mem(opI32Store, 0)
	return a.i32(0).body()
}

// writeBody: (pointer, length) adds to the line and prints it where it ends. Go's
// runtime prints a panic in many small pieces, and each debug_print is one record
// of the canister's log.
func (s *stubs) writeBody() []byte {
	const char = 2
	a := &asm{locals: []byte{i32}}
	a.op(opLoop, emptyBlock)
	a.get(1).op(opI32Eqz, opIf, emptyBlock, opReturn, opEnd)
	a.get(0).mem(opI32Load8U, 0).set(char)
	a.get(char).i32('\n').op(opI32Eq)
	a.gget(s.line).i32(lineBytes).op(opI32Eq)
	a.op(opI32Or, opIf, emptyBlock).call(s.flush).op(opEnd)
	a.get(char).i32('\n').op(opI32Sub, opIf, emptyBlock)
	a.gget(s.line).get(char).mem(opI32Store8, lineBuffer)
	a.gget(s.line).i32(1).op(opI32Add).gset(s.line)
	a.op(opEnd)
	a.get(0).i32(1).op(opI32Add).set(0)
	a.get(1).i32(1).op(opI32Sub).set(1)
	a.op(opBr, 0, opEnd)
	return a.body()
}

// flushBody prints the line. One that tells why the program is about to end is
// kept as the message to trap with.
func (s *stubs) flushBody() []byte {
	panics, fatal := littleEndian64("panic: "), littleEndian64("fatal error")
	a := new(asm)
	a.gget(s.line).op(opI32Eqz, opIf, emptyBlock, opReturn, opEnd)
	a.i32(0).mem(opI64Load, lineBuffer).i64(1<<56 - 1).op(opI64And).i64(panics).op(opI64Eq)
	a.i32(0).mem(opI64Load, lineBuffer).i64(fatal).op(opI64Eq)
	a.op(opI32Or, opIf, emptyBlock)
	a.i32(trapBuffer).i32(lineBuffer).gget(s.line).op(opPrefix, subMemoryCopy, 0, 0)
	a.gget(s.line).gset(s.exit)
	a.op(opEnd)
	a.i32(lineBuffer).gget(s.line).call(s.debugPrint)
	a.i32(0).gset(s.line)
	// the next line must not be taken for this one's continuation
	a.i32(0).i64(0).mem(opI64Store, lineBuffer)
	return a.body()
}

// endBody traps with the last words of the program.
func (s *stubs) endBody() []byte {
	return new(asm).call(s.flush).i32(trapBuffer).gget(s.exit).call(s.trap).op(opUnreachable).body()
}

// addFunc appends a function and returns its index.
func (m *module) addFunc(t funcType, body []byte) uint32 {
	m.funcs = append(m.funcs, m.typeIndex(t))
	m.bodies = append(m.bodies, body)
	return uint32(len(m.imports) + len(m.funcs) - 1)
}

// asm assembles one function's code; locals are the types of those beyond its parameters.
type asm struct {
	locals []byte
	code   []byte
}

func (a *asm) op(code ...byte) *asm {
	a.code = append(a.code, code...)
	return a
}

func (a *asm) index(op byte, i uint32) *asm {
	a.code = appendU32(append(a.code, op), i)
	return a
}

func (a *asm) get(local uint32) *asm   { return a.index(opLocalGet, local) }
func (a *asm) set(local uint32) *asm   { return a.index(opLocalSet, local) }
func (a *asm) gget(global uint32) *asm { return a.index(opGlobalGet, global) }
func (a *asm) gset(global uint32) *asm { return a.index(opGlobalSet, global) }
func (a *asm) call(f uint32) *asm      { return a.index(opCall, f) }

func (a *asm) i32(v int32) *asm {
	a.code = leb128.AppendInt(append(a.code, opI32Const), int64(v))
	return a
}

func (a *asm) i64(v int64) *asm {
	a.code = leb128.AppendInt(append(a.code, opI64Const), v)
	return a
}

// mem is a load or store at a static offset, of no particular alignment.
func (a *asm) mem(op byte, offset uint32) *asm {
	a.code = appendU32(append(a.code, op, 0), offset)
	return a
}

func (a *asm) body() []byte {
	b := appendU32(nil, uint32(len(a.locals)))
	for _, t := range a.locals {
		b = append(b, 1, t)
	}
	return append(append(b, a.code...), opEnd)
}

// littleEndian64 reads up to eight characters as wasm's i64.load would see them.
func littleEndian64(s string) int64 {
	var b [8]byte
	copy(b[:], s)
	return int64(binary.LittleEndian.Uint64(b[:]))
}
