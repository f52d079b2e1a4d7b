package universal

import (
	"encoding/binary"
	"fmt"
	"math"
	"slices"

	"portico/lightclient/principal"
)

// A Program is code that works on a stack of numbers and blobs. An expression is a
// program that leaves one value there.
type Program []byte

// Hook says what runs when the system calls a canister on its own account.
type Hook uint8

// The hooks.
const (
	Heartbeat Hook = iota
	Timer
	PreUpgrade
	Inspect
	LowMemory
	// Spare is called by nobody: a program may keep itself there to run again.
	Spare
)

func do(op string, operands ...Program) Program {
	code, ok := opcodes()[op]
	if !ok {
		panic(fmt.Sprintf("universal: there is no operation %q", op))
	}
	return append(slices.Concat(operands...), code)
}

// Seq runs programs one after the other.
func Seq(programs ...Program) Program { return slices.Concat(programs...) }

// Int is a number.
func Int(n uint64) Program { return binary.LittleEndian.AppendUint64(do("int"), n) }

// Bytes is a blob.
func Bytes(b []byte) Program {
	return append(binary.LittleEndian.AppendUint32(do("bytes"), uint32(len(b))), b...)
}

// Text is a blob.
func Text(s string) Program { return Bytes([]byte(s)) }

// ID is a principal as a blob.
func ID(id principal.ID) Program { return Bytes(id.Bytes()) }

// Code is a program as a blob.
func Code(programs ...Program) Program { return Bytes(Seq(programs...)) }

// IC0 calls a function of the system API with these operands; its result, if it has
// one, stays on the stack.
func IC0(name string, operands ...Program) Program { return do(name, operands...) }

// Get reads a value that the system API gives by two functions, <name>_size and <name>_copy.
func Get(name string) Program { return Seq(Int(0), IC0(name+"_size"), do("room"), IC0(name+"_copy")) }

// Get128 reads an amount as 16 bytes, little-endian, that the function writes where its
// last parameter says; operands are those before it.
func Get128(name string, operands ...Program) Program {
	return Seq(IC0(name, append(slices.Clone(operands), Int(resultAddress))...), do("result16"))
}

// StableRead is a part of stable memory.
func StableRead(offset, size uint64) Program {
	return Seq(Int(offset), Int(size), do("room"), IC0("stable64_read"))
}

// StableWrite writes a blob to stable memory.
func StableWrite(offset uint64, blob Program) Program {
	return IC0("stable64_write", Int(offset), Split(blob))
}

// StableGrow grows stable memory by pages and traps if that fails.
func StableGrow(pages uint64) Program {
	return If(Equal(IC0("stable64_grow", Int(pages)), Int(math.MaxUint64)), Trap("stable64_grow failed"), nil)
}

// Drop forgets the value of an expression.
func Drop(e Program) Program { return do("drop", e) }

// Split leaves address and length of a blob.
func Split(blob Program) Program { return do("split", blob) }

// Join makes a blob of an address and a length.
func Join(address, length Program) Program { return do("join", address, length) }

// Concat joins blobs.
func Concat(first Program, more ...Program) Program {
	for _, m := range more {
		first = do("concat", first, m)
	}
	return first
}

// ToBytes is a number as 8 bytes, little-endian.
func ToBytes(n Program) Program { return do("toBytes", n) }

// ToInt is the number in the first 8 bytes of a blob.
func ToInt(blob Program) Program { return do("toInt", blob) }

// Fill is a blob of n equal bytes.
func Fill(value byte, n uint64) Program { return do("fill", Int(uint64(value)), Int(n)) }

// Add is a + b.
func Add(a, b Program) Program { return do("add", a, b) }

// Sub is a − b.
func Sub(a, b Program) Program { return do("sub", a, b) }

// Div is a / b of unsigned numbers.
func Div(a, b Program) Program { return do("div", a, b) }

// Equal is 1 if the numbers are equal, else 0.
func Equal(a, b Program) Program { return do("equal", a, b) }

// If runs one of two programs.
func If(condition, then, otherwise Program) Program {
	return do("if", condition, Bytes(then), Bytes(otherwise))
}

// Repeat runs a program n times.
func Repeat(n, program Program) Program { return do("repeat", n, Bytes(program)) }

// Run runs a program that comes as a blob.
func Run(code Program) Program { return do("run", code) }

// Burn runs about 8 n instructions.
func Burn(n Program) Program { return do("burn", n) }

// SetGlobal keeps a blob in the canister's heap.
func SetGlobal(blob Program) Program { return do("setGlobal", blob) }

// Global is the blob in the canister's heap, at first empty.
func Global() Program { return do("getGlobal") }

// Record appends a blob to the one in the canister's heap.
func Record(blob Program) Program { return SetGlobal(Concat(Global(), blob)) }

// SetHook says what runs on a hook, until the heap is lost.
func SetHook(h Hook, programs ...Program) Program {
	return do("setHook", Int(uint64(h)), Code(programs...))
}

// Hooked is the program of a hook as a blob.
func Hooked(h Hook) Program { return do("hook", Int(uint64(h))) }

// Keep keeps all that programs have made so far from being freed.
func Keep() Program { return do("keep") }

// Free forgets the blobs and closures made since Keep.
func Free() Program { return do("free") }

// GrowMemory grows the heap by pages; the value is the old size or −1.
func GrowMemory(pages Program) Program { return do("growMemory", pages) }

// MemorySize is the size of the heap in pages.
func MemorySize() Program { return do("memorySize") }

// Unreachable traps by a Wasm instruction.
func Unreachable() Program { return do("unreachable") }

// Append appends a blob to the reply.
func Append(blob Program) Program { return IC0("msg_reply_data_append", Split(blob)) }

// Reply replies with a blob.
func Reply(blob Program) Program { return Seq(Append(blob), IC0("msg_reply")) }

// Reject rejects with a text.
func Reject(text Program) Program { return IC0("msg_reject", Split(text)) }

// Trap traps with a text.
func Trap(text string) Program { return IC0("trap", Split(Text(text))) }

// Caller is the principal of the caller.
func Caller() Program { return Get("msg_caller") }

// Self is the canister's own id.
func Self() Program { return Get("canister_self") }

// Arg is the argument of the message: in callbacks, the reply.
func Arg() Program { return Get("msg_arg_data") }
