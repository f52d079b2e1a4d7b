package universal

import (
	"fmt"
	"strings"
	"sync"
)

// operation is an instruction of the program with its Wasm text: first those below,
// then one for every function of the system API, which takes its parameters from the
// stack and leaves its result there.
type operation struct{ name, text string }

func operations() []operation {
	out := []operation{
		{"int", `(call $push (i64.load (global.get $pc))) (global.set $pc (i32.add (global.get $pc) (i32.const 8)))`},
		{"bytes", `(local $n i32)
			(local.set $n (i32.load (global.get $pc)))
			(call $push (call $blob (i32.add (global.get $pc) (i32.const 4)) (local.get $n)))
			(global.set $pc (i32.add (global.get $pc) (i32.add (local.get $n) (i32.const 4))))`},
		{"drop", `(drop (call $pop))`},
		{"concat", `(local $a i64) (local $b i64) (local $p i32)
			(local.set $b (call $pop)) (local.set $a (call $pop))
			(local.set $p (call $alloc (i32.add (call $length (local.get $a)) (call $length (local.get $b)))))
			(memory.copy (local.get $p) (call $address (local.get $a)) (call $length (local.get $a)))
			(memory.copy (i32.add (local.get $p) (call $length (local.get $a))) (call $address (local.get $b)) (call $length (local.get $b)))
			(call $push (call $blob (local.get $p) (i32.add (call $length (local.get $a)) (call $length (local.get $b)))))`},
		{"toBytes", `(local $p i32)
			(local.set $p (call $alloc (i32.const 8)))
			(i64.store (local.get $p) (call $pop))
			(call $push (call $blob (local.get $p) (i32.const 8)))`},
		{"toInt", `(local $b i64) (local $p i32)
			(local.set $b (call $pop))
			(local.set $p (call $alloc (i32.const 8)))
			(i64.store (local.get $p) (i64.const 0))
			(memory.copy (local.get $p) (call $address (local.get $b)) (select (call $length (local.get $b)) (i32.const 8) (i32.lt_u (call $length (local.get $b)) (i32.const 8))))
			(call $push (i64.load (local.get $p)))`},
		{"fill", `(local $n i32) (local $p i32) (local $v i32)
			(local.set $n (call $pop32)) (local.set $v (call $pop32))
			(local.set $p (call $alloc (local.get $n)))
			(memory.fill (local.get $p) (local.get $v) (local.get $n))
			(call $push (call $blob (local.get $p) (local.get $n)))`},
		{"split", `(local $b i64)
			(local.set $b (call $pop))
			(call $push (i64.extend_i32_u (call $address (local.get $b)))) (call $push (i64.extend_i32_u (call $length (local.get $b))))`},
		{"join", `(local $n i32)
			(local.set $n (call $pop32))
			(call $push (call $blob (call $pop32) (local.get $n)))`},
		// room takes an offset and a length and leaves a new blob of that length, and what
		// functions want that copy to it: address, offset and length.
		{"room", `(local $n i32) (local $p i32) (local $offset i64)
			(local.set $n (call $pop32)) (local.set $offset (call $pop))
			(local.set $p (call $alloc (local.get $n)))
			(call $push (call $blob (local.get $p) (local.get $n)))
			(call $push (i64.extend_i32_u (local.get $p))) (call $push (local.get $offset)) (call $push (i64.extend_i32_u (local.get $n)))`},
		{"result16", fmt.Sprintf(`(local $p i32)
			(local.set $p (call $alloc (i32.const 16)))
			(memory.copy (local.get $p) (i32.const %d) (i32.const 16))
			(call $push (call $blob (local.get $p) (i32.const 16)))`, resultAddress)},
		{"setGlobal", fmt.Sprintf(`(i64.store (i32.const %d) (call $pop))`, globalAddress)},
		{"getGlobal", fmt.Sprintf(`(call $push (i64.load (i32.const %d)))`, globalAddress)},
		{"setHook", `(local $b i64)
			(local.set $b (call $pop))
			(i64.store (i32.mul (call $pop32) (i32.const 8)) (local.get $b))`},
		{"hook", `(call $push (i64.load (i32.mul (call $pop32) (i32.const 8))))`},
		{"if", `(local $a i64) (local $b i64)
			(local.set $b (call $pop)) (local.set $a (call $pop))
			(if (i64.ne (call $pop) (i64.const 0)) (then (call $run (local.get $a))) (else (call $run (local.get $b))))`},
		{"repeat", `(local $b i64) (local $n i64)
			(local.set $b (call $pop)) (local.set $n (call $pop))
			(block $done (loop $next
				(br_if $done (i64.eqz (local.get $n)))
				(call $run (local.get $b))
				(local.set $n (i64.sub (local.get $n) (i64.const 1)))
				(br $next)))`},
		// burn runs a loop of four instructions.
		{"burn", `(local $n i64)
			(local.set $n (call $pop))
			(block $done (loop $next
				(br_if $done (i64.eqz (local.get $n)))
				(local.set $n (i64.sub (local.get $n) (i64.const 1)))
				(br $next)))`},
		// closure leaves the environment of a callback that runs a program.
		{"closure", `(local $p i32)
			(local.set $p (call $alloc (i32.const 8)))
			(i64.store (local.get $p) (call $pop))
			(call $push (i64.extend_i32_u (local.get $p)))`},
		// free forgets what was allocated since keep.
		{"keep", `(global.set $floor (global.get $heap))`},
		{"free", `(global.set $heap (global.get $floor))`},
		{"growMemory", `(call $push (i64.extend_i32_s (memory.grow (call $pop32))))`},
		{"memorySize", `(call $push (i64.extend_i32_u (memory.size)))`},
		{"unreachable", `(unreachable)`},
		{"run", `(call $run (call $pop))`},
	}
	out = append(out, arithmetic()...)
	for _, f := range imports("i32") {
		out = append(out, operation{f.name, f.text()})
	}
	return out
}

func arithmetic() []operation {
	return []operation{
		{"add", `(local $b i64) (local.set $b (call $pop)) (call $push (i64.add (call $pop) (local.get $b)))`},
		{"sub", `(local $b i64) (local.set $b (call $pop)) (call $push (i64.sub (call $pop) (local.get $b)))`},
		{"div", `(local $b i64) (local.set $b (call $pop)) (call $push (i64.div_u (call $pop) (local.get $b)))`},
		{"equal", `(local $b i64) (local.set $b (call $pop)) (call $push (i64.extend_i32_u (i64.eq (call $pop) (local.get $b))))`},
	}
}

// text takes the parameters, the last of which is on top of the stack.
func (f function) text() string {
	n := len(f.params)
	var b strings.Builder
	fmt.Fprintf(&b, "(global.set $sp (i32.sub (global.get $sp) (i32.const %d)))", 8*n)
	call := "(call $ic0_" + f.name
	for i, t := range f.params {
		arg := fmt.Sprintf("(i64.load offset=%d (global.get $sp))", 8*i)
		if t == "i32" {
			arg = "(i32.wrap_i64 " + arg + ")"
		}
		call += " " + arg
	}
	call += ")"
	switch f.result {
	case "i32":
		call = "(call $push (i64.extend_i32_u " + call + "))"
	case "i64":
		call = "(call $push " + call + ")"
	}
	b.WriteString(call)
	return b.String()
}

// opcodes are the bytes of the instructions by name.
var opcodes = sync.OnceValue(func() map[string]byte {
	out := map[string]byte{}
	for i, op := range operations() {
		out[op.name] = byte(i)
	}
	return out
})
