// Package universal is a canister whose every entry point runs a program that comes
// in its argument, and the language of these programs. It calls any function of the
// system API (interface specification, "The System API") with any operands from any
// context, so that a test decides what a canister does where it checks what happens.
//
// A program is a Program, put together from the functions of this package:
//
//	universal.Reply(universal.Caller())
//
// is sent as the argument of the method "update" and answers with who sent it.
package universal

import (
	"fmt"
	"strings"

	"portico/node/wasm/wat"
)

// The methods of the canister.
const (
	Update    = "update"
	Query     = "query"
	Composite = "composite"
)

// Layout of the canister's memory: hooks at 0, twelve spare bytes for results, the
// operand stack of 8-byte values, then what is allocated and never freed.
const (
	hookAddress   = 0
	globalAddress = 64
	resultAddress = 128
	stackAddress  = 1024
	heapAddress   = 1 << 16
)

// callbackIndex is the table entry that all callbacks are; their environment is the
// address of the program.
const callbackIndex = 255

// Module is the canister as Wasm. It exports the methods, canister_init and
// canister_post_upgrade, which run their argument, canister_pre_upgrade and
// canister_global_timer, which run what SetHook said, and what is in extra: fields in
// Wasm text, such as those that Export makes.
func Module(extra ...string) ([]byte, error) {
	return wat.Assemble(Source(extra...))
}

// Export is an extra export of the module: a function that runs what SetHook said for
// the hook.
func Export(name string, hook Hook) string {
	return fmt.Sprintf("(func (export %q) (call $reset) (call $hook (i32.const %d)))", name, hook)
}

// Method is an extra export of the module that runs its argument, such as
// "canister_update name".
func Method(export string) string {
	return fmt.Sprintf("(func (export %q) (call $argument))", export)
}

// Section is a custom section with the name and content in Wasm text syntax.
func Section(name, content string) string {
	return fmt.Sprintf("(custom \"%s\" \"%s\")", name, content)
}

// Source is Module as Wasm text.
func Source(extra ...string) string {
	var b strings.Builder
	b.WriteString("(module\n")
	for _, f := range imports("i32") {
		fmt.Fprintf(&b, "(import \"ic0\" %q (func $ic0_%s %s))\n", f.name, f.name, f.signature())
	}
	fmt.Fprintf(&b, "(global $sp (mut i32) (i32.const %d))\n(global $heap (mut i32) (i32.const %d))\n", stackAddress, heapAddress)
	b.WriteString(runtime)
	var entries []string
	for i, op := range operations() {
		fmt.Fprintf(&b, "(func $op%d %s)\n", i, op.text)
		entries = append(entries, fmt.Sprintf("$op%d", i))
	}
	fmt.Fprintf(&b, "(table 256 funcref)\n(elem (i32.const 0) func %s)\n(elem (i32.const %d) func $callback)\n", strings.Join(entries, " "), callbackIndex)
	for _, name := range []string{"canister_init", "canister_post_upgrade", "canister_update " + Update, "canister_query " + Query, "canister_composite_query " + Composite} {
		b.WriteString(Method(name) + "\n")
	}
	b.WriteString(Export("canister_pre_upgrade", PreUpgrade) + "\n" + Export("canister_global_timer", Timer) + "\n")
	b.WriteString(strings.Join(extra, "\n") + ")\n")
	return b.String()
}

// runtime is what all programs need. Operands are i64; a blob is one, with its address
// in the lower half and its length in the upper.
const runtime = `
(memory 2)
(global $pc (mut i32) (i32.const 0))
(global $floor (mut i32) (i32.const 65536))
(func $reset (global.set $sp (i32.const 1024)))
(func $push (param $v i64)
  (i64.store (global.get $sp) (local.get $v))
  (global.set $sp (i32.add (global.get $sp) (i32.const 8))))
(func $pop (result i64)
  (global.set $sp (i32.sub (global.get $sp) (i32.const 8)))
  (i64.load (global.get $sp)))
(func $pop32 (result i32) (i32.wrap_i64 (call $pop)))
(func $alloc (param $n i32) (result i32) (local $p i32)
  (local.set $p (global.get $heap))
  (global.set $heap (i32.and (i32.add (i32.add (local.get $p) (local.get $n)) (i32.const 7)) (i32.const -8)))
  (block $fits
    (loop $again
      (br_if $fits (i64.le_u (i64.extend_i32_u (global.get $heap)) (i64.mul (i64.extend_i32_u (memory.size)) (i64.const 65536))))
      (br_if $again (i32.ne (memory.grow (i32.const 16)) (i32.const -1)))
      (unreachable)))
  (local.get $p))
(func $blob (param $p i32) (param $n i32) (result i64)
  (i64.or (i64.extend_i32_u (local.get $p)) (i64.shl (i64.extend_i32_u (local.get $n)) (i64.const 32))))
(func $address (param $b i64) (result i32) (i32.wrap_i64 (local.get $b)))
(func $length (param $b i64) (result i32) (i32.wrap_i64 (i64.shr_u (local.get $b) (i64.const 32))))
(func $run (param $b i64) (local $end i32) (local $op i32) (local $saved i32)
  (local.set $saved (global.get $pc))
  (global.set $pc (call $address (local.get $b)))
  (local.set $end (i32.add (global.get $pc) (call $length (local.get $b))))
  (block $done
    (loop $next
      (br_if $done (i32.ge_u (global.get $pc) (local.get $end)))
      (local.set $op (i32.load8_u (global.get $pc)))
      (global.set $pc (i32.add (global.get $pc) (i32.const 1)))
      (call_indirect (local.get $op))
      (br $next)))
  (global.set $pc (local.get $saved)))
(func $hook (param $k i32) (call $run (i64.load (i32.mul (local.get $k) (i32.const 8)))))
(func $argument (local $n i32) (local $p i32)
  (call $reset)
  (local.set $n (call $ic0_msg_arg_data_size))
  (local.set $p (call $alloc (local.get $n)))
  (call $ic0_msg_arg_data_copy (local.get $p) (i32.const 0) (local.get $n))
  (call $run (call $blob (local.get $p) (local.get $n))))
(func $callback (param $record i32) (call $reset) (call $run (i64.load (local.get $record))))
`
