package execution_test

import (
	"encoding/binary"
	"testing"
	"time"

	"portico/node/canistertest"
	"portico/node/types"
	"portico/node/wasm/wat"
)

// filler fills a page range as often as the first number of the argument says, then as many
// bytes as the second one says, each for an instruction, and answers how many it executed
// until just before the answer.
const filler = `(module
  (import "ic0" "msg_arg_data_copy" (func $arg (param i32 i32 i32)))
  (import "ic0" "performance_counter" (func $counter (param i32) (result i64)))
  (import "ic0" "msg_reply_data_append" (func $append (param i32 i32)))
  (import "ic0" "msg_reply" (func $reply))
  (memory 17)
  (func $fill (local $n i32)
    (call $arg (i32.const 1048576) (i32.const 0) (i32.const 8))
    (local.set $n (i32.load (i32.const 1048576)))
    (block $done
      (loop $next
        (br_if $done (i32.eqz (local.get $n)))
        (memory.fill (i32.const 0) (i32.const 1) (i32.const 1048576))
        (local.set $n (i32.sub (local.get $n) (i32.const 1)))
        (br $next)))
    (memory.fill (i32.const 0) (i32.const 1) (i32.load (i32.const 1048580)))
    (i64.store (i32.const 1048584) (call $counter (i32.const 0))))
  (func $run
    (call $fill) (call $append (i32.const 1048584) (i32.const 8)) (call $reply))
  (func (export "canister_update run") (call $run))
  (func (export "canister_query ask") (call $run))
  (func $only (call $fill))
  (func (export "canister_inspect_message") (call $only))
)`

// fillArg is the argument for some instructions: whole fills of each, and the rest.
func fillArg(instructions, each uint64) []byte {
	arg := binary.LittleEndian.AppendUint32(nil, uint32(instructions/each))
	return binary.LittleEndian.AppendUint32(arg, uint32(instructions%each))
}

// The limits of updates and queries hold to the instruction: what is left for the answer is the same at both.
func TestMessagesMayExecuteTheirLimitAndNoInstructionMore(t *testing.T) {
	if testing.Short() {
		t.Skip("executes some 150 billion instructions to meet the limits exactly, which takes a processor five seconds")
	}
	n := canistertest.New(t)
	id := n.Install(user(), wat.MustAssemble(filler), nil)
	update := func(arg []byte) (reply []byte, rej *types.Reject) {
		call := n.Send(user(), id, "run", arg)
		for range 100 {
			if reply, rej, ok := n.Result(call); ok {
				return reply, rej
			}
			n.Tick(10 * time.Second) // long after the last quick answer
		}
		t.Fatal("a message of 40 billion instructions takes more than a hundred rounds")
		return nil, nil
	}
	query := func(arg []byte) ([]byte, *types.Reject) { return n.Query(user(), id, "ask", arg) }
	inspect := func(arg []byte) ([]byte, *types.Reject) {
		rej := n.InspectCall(user(), id, "run", arg)
		if rej == nil || rej.Code == types.ErrCanisterRejectedMessage { // it ran to its end, which accepts nothing
			return nil, nil
		}
		return nil, rej
	}

	executed := func(run func([]byte) ([]byte, *types.Reject), arg []byte) uint64 {
		reply, rej := run(arg)
		if rej != nil {
			t.Fatal(rej)
		}
		return binary.LittleEndian.Uint64(reply)
	}
	none := executed(query, make([]byte, 8))
	each := executed(query, []byte{1, 0, 0, 0, 0, 0, 0, 0}) - none // a fill of 1 MiB and its part of the loop
	if byByte := executed(query, []byte{0, 0, 0, 0, 1, 0, 0, 0}) - none; byByte != 1 || each < 1<<20 || each > 1<<20+50 {
		t.Fatalf("a byte costs %d instructions, 1 MiB %d", byByte, each)
	}
	// most is how many may be executed before the counter is read, found by halves.
	most := func(run func([]byte) ([]byte, *types.Reject), limit uint64) uint64 {
		low, high := limit-10_000, limit+10_000
		for low+1 < high {
			middle := (low + high) / 2
			if _, rej := run(fillArg(middle-none, each)); rej == nil {
				low = middle
			} else {
				high = middle
			}
		}
		return low
	}
	const queryLimit, inspectLimit, updateLimit = 5_000_000_000, 200_000_000, 40_000_000_000
	before := most(query, queryLimit)
	answer := queryLimit - before
	if got := executed(query, fillArg(before-none, each)); got != before || answer > 5000 {
		t.Errorf("a query that was to execute %d instructions before its answer executed %d", before, got)
	}
	if before := most(inspect, inspectLimit); before < inspectLimit-100 || before > inspectLimit+100 {
		t.Errorf("inspect_message may execute %d instructions", before)
	}
	// The update runs the same code as the query.
	if got := executed(update, fillArg(updateLimit-answer-none, each)); got != updateLimit-answer {
		t.Errorf("an update that was to execute %d instructions before its answer executed %d", updateLimit-answer, got)
	}
	if _, rej := update(fillArg(updateLimit-answer-none+1, each)); rej == nil || rej.Code != types.ErrCanisterInstructionLimit {
		t.Errorf("an update of an instruction more than %d: %v", updateLimit, rej)
	}
}
