package execution_test

import (
	"encoding/binary"
	"fmt"
	"math/big"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"portico/lightclient/principal"
	"portico/node/canistertest"
	"portico/node/types"
	"portico/node/wasm/wat"
)

// vast has a memory that grows to 65,535 pages. "touch" adds one to a byte in every 64 MiB and to the
// last one, "fail" does so and traps, "sum" answers with the sum of these bytes, and "more" tries to
// grow by a page and answers with what memory.grow gave.
const vast = `(module
  (import "ic0" "msg_reply" (func $reply))
  (import "ic0" "msg_reply_data_append" (func $append (param i32 i32)))
  (memory 1)
  (func $at (param $i i32) (result i32)
    (select (i32.const 0xfffeffff) (i32.add (i32.shl (local.get $i) (i32.const 26)) (i32.const 64)) (i32.eq (local.get $i) (i32.const 64))))
  (func $touch (local $i i32)
    (loop $next
      (i32.store8 (call $at (local.get $i)) (i32.add (i32.load8_u (call $at (local.get $i))) (i32.const 1)))
      (local.set $i (i32.add (local.get $i) (i32.const 1)))
      (br_if $next (i32.le_u (local.get $i) (i32.const 64)))))
  (func $sum (result i32) (local $i i32) (local $n i32)
    (loop $next
      (local.set $n (i32.add (local.get $n) (i32.load8_u (call $at (local.get $i)))))
      (local.set $i (i32.add (local.get $i) (i32.const 1)))
      (br_if $next (i32.le_u (local.get $i) (i32.const 64))))
    (local.get $n))
  (func $answer (param $n i32) (i32.store (i32.const 0) (local.get $n)) (call $append (i32.const 0) (i32.const 4)) (call $reply))
  (func (export "canister_init") (drop (memory.grow (i32.const 65534))))
  (func (export "canister_update touch") (call $touch) (call $answer (call $sum)))
  (func (export "canister_update fail") (call $touch) (unreachable))
  (func (export "canister_query sum") (call $answer (call $sum)))
  (func (export "canister_query scratch") (call $touch) (call $answer (call $sum)))
  (func (export "canister_update more") (call $answer (memory.grow (i32.const 1))))
)`

// vast64 is vast with a 64-bit memory.
func vast64() string {
	return strings.NewReplacer(
		`(import "ic0" "msg_reply_data_append" (func $append (param i32 i32)))`, `(import "ic0" "msg_reply_data_append" (func $append (param i64 i64)))`,
		"(memory 1)", "(memory i64 1)",
		"(param $i i32) (result i32)", "(param $i i32) (result i64)",
		"(i32.const 0xfffeffff)", "(i64.const 0xfffeffff)",
		"(i32.add (i32.shl (local.get $i) (i32.const 26)) (i32.const 64))", "(i64.add (i64.shl (i64.extend_i32_u (local.get $i)) (i64.const 26)) (i64.const 64))",
		"(i32.store (i32.const 0)", "(i32.store (i64.const 0)",
		"(call $append (i32.const 0) (i32.const 4))", "(call $append (i64.const 0) (i64.const 4))",
		"(memory.grow (i32.const 65534))", "(memory.grow (i64.const 65534))",
		"(memory.grow (i32.const 1))", "(i32.wrap_i64 (memory.grow (i64.const 1)))",
	).Replace(vast)
}

// TestAHeapOf4GiBCostsWhatIsTouched uses the largest heap there is, with 32-bit and with 64-bit
// addresses.
func TestAHeapOf4GiBCostsWhatIsTouched(t *testing.T) {
	const places, most = 65, 16 * types.MiB
	for name, source := range map[string]string{"memory32": vast, "memory64": vast64()} {
		t.Run(name, func(t *testing.T) {
			n := canistertest.New(t)
			before := usage(t)
			id := n.Install(user(), wat.MustAssemble(source), nil)
			if got := n.State().Canister(id).Code.HeapBytes; got != 65_535*types.WasmPageBytes {
				t.Fatalf("the heap has %d bytes, want 65,535 pages", got)
			}
			for round := range uint32(3) {
				for _, step := range []struct {
					method string
					query  bool
					want   uint32
				}{
					{"touch", false, (round + 1) * places},
					{"scratch", true, (round + 2) * places},
					{"sum", true, (round + 1) * places},
					{"more", false, 1<<32 - 1},
				} {
					call := n.Call
					if step.query {
						call = n.Query
					}
					reply, rej := call(user(), id, step.method, nil)
					// "more" stores its answer in the first bytes, which are not among the places
					if rej != nil || binary.LittleEndian.Uint32(reply) != step.want {
						t.Fatalf("round %d: %s answers %v, %v, want %d", round, step.method, reply, rej, step.want)
					}
				}
				if _, rej := n.Call(user(), id, "fail", nil); rej == nil || rej.Code != types.ErrCanisterTrapped {
					t.Fatalf("round %d: fail: %v, want a trap", round, rej)
				}
				n.Checkpoint()
			}
			got := usage(t).minus(before)
			t.Logf("%+v", got)
			if got.resident > most {
				t.Errorf("%d pages of 4 GiB are in use, and the process takes %d bytes more", places, got.resident)
			}
		})
	}
}

// greedy reads or writes a MiB of stable memory so often as it is told, and then a number of bytes.
const greedy = `(module
  (import "ic0" "msg_reply" (func $reply))
  (import "ic0" "msg_arg_data_copy" (func $arg (param i32 i32 i32)))
  (import "ic0" "stable64_grow" (func $grow (param i64) (result i64)))
  (import "ic0" "stable64_read" (func $read (param i64 i64 i64)))
  (import "ic0" "stable64_write" (func $write (param i64 i64 i64)))
  (memory 17)
  (func $access (param $size i64)
    (if (i32.eq (i32.load8_u (i32.const 0)) (i32.const 114))
      (then (call $read (i64.const 65536) (i64.const 0) (local.get $size)))
      (else (call $write (i64.const 0) (i64.const 65536) (local.get $size)))))
  (func $run (local $n i32)
    (call $arg (i32.const 0) (i32.const 0) (i32.const 9))
    (local.set $n (i32.load (i32.const 1)))
    (loop $next
      (call $access (i64.const 0x100000))
      (br_if $next (local.tee $n (i32.sub (local.get $n) (i32.const 1)))))
    (call $access (i64.load32_u (i32.const 5)))
    (call $reply))
  (func (export "canister_init") (drop (call $grow (i64.const 16))))
  (func (export "canister_update update") (call $run))
  (func (export "canister_query query") (call $run))
)`

func TestAMessageAccessesSoMuchStableMemoryAndNoMore(t *testing.T) {
	n := canistertest.New(t)
	id := n.Install(user(), wat.MustAssemble(greedy), nil)
	for _, test := range []struct {
		method string
		mib    uint32
	}{{"update", 2048}, {"query", 1024}} { // a query that is called as an update
		for _, kind := range []byte("rw") {
			for more := range uint32(2) {
				arg := binary.LittleEndian.AppendUint32([]byte{kind}, test.mib)
				_, rej := n.Call(user(), id, test.method, binary.LittleEndian.AppendUint32(arg, more))
				got := "ok"
				if rej != nil {
					got = fmt.Sprint(rej.Code)
				}
				want := [2]string{"ok", fmt.Sprint(types.ErrCanisterMemoryAccessLimit)}[more]
				if got != want {
					t.Errorf("%s: %c of %d MiB and %d bytes: %v, want %s", test.method, kind, test.mib, more, rej, want)
				}
			}
		}
	}
}

// endless grows its stable memory by as many pages as it is told, and writes and reads at its ends.
const endless = `(module
  (import "ic0" "msg_reply" (func $reply))
  (import "ic0" "msg_reply_data_append" (func $append (param i32 i32)))
  (import "ic0" "msg_arg_data_copy" (func $arg (param i32 i32 i32)))
  (import "ic0" "stable64_grow" (func $grow (param i64) (result i64)))
  (import "ic0" "stable64_size" (func $size (result i64)))
  (import "ic0" "stable64_read" (func $read (param i64 i64 i64)))
  (import "ic0" "stable64_write" (func $write (param i64 i64 i64)))
  (memory 1)
  (func $end (result i64) (i64.sub (i64.shl (call $size) (i64.const 16)) (i64.const 4)))
  (func (export "canister_update grow")
    (call $arg (i32.const 0) (i32.const 0) (i32.const 8))
    (i64.store (i32.const 0) (call $grow (i64.load (i32.const 0))))
    (call $append (i32.const 0) (i32.const 8)) (call $reply))
  (func (export "canister_update write")
    (call $arg (i32.const 0) (i32.const 0) (i32.const 8))
    (call $write (i64.const 0) (i64.const 0) (i64.const 4))
    (call $write (call $end) (i64.const 4) (i64.const 4))
    (call $reply))
  (func (export "canister_query read")
    (call $read (i64.const 0) (i64.const 0) (i64.const 4))
    (call $read (i64.const 4) (call $end) (i64.const 4))
    (call $append (i32.const 0) (i32.const 8)) (call $reply))
)`

func TestStableMemoryGrowsTo500GiBAndNoFurther(t *testing.T) {
	const pages = 500 * types.GiB / types.WasmPageBytes
	probe := filepath.Join(t.TempDir(), "probe")
	if err := os.WriteFile(probe, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Truncate(probe, 500*types.GiB); err != nil {
		t.Skip("the file system cannot hold a file of 500 GiB: ", err)
	}
	n := canistertest.New(t)
	before := usage(t)
	id := n.Install(user(), wat.MustAssemble(endless), nil)
	type topUp struct {
		Canister principal.ID `candid:"canister_id"`
		Amount   *big.Int     `candid:"amount"`
	}
	if rej := n.Manage(user(), "provisional_top_up_canister", topUp{id, big.NewInt(1e18)}); rej != nil {
		t.Fatal(rej)
	}
	for _, step := range []struct{ pages, want uint64 }{{pages + 1, 1<<64 - 1}, {pages, 0}, {1, 1<<64 - 1}, {0, pages}} {
		reply, rej := n.Call(user(), id, "grow", binary.LittleEndian.AppendUint64(nil, step.pages))
		if rej != nil || binary.LittleEndian.Uint64(reply) != step.want {
			t.Fatalf("growing by %d pages answers %v, %v, want %d", step.pages, reply, rej, int64(step.want))
		}
	}
	for _, text := range []string{"downtown", "headtail"} {
		if _, rej := n.Call(user(), id, "write", []byte(text)); rej != nil {
			t.Fatal(rej)
		}
		if reply, rej := n.Query(user(), id, "read", nil); rej != nil || string(reply) != text {
			t.Errorf("the ends hold %q, %v, want %q", reply, rej, text)
		}
		n.Checkpoint()
	}
	if got := usage(t).minus(before); got.resident > 16*types.MiB {
		t.Errorf("two pages of 500 GiB are in use, and the process takes %d bytes more", got.resident)
	}
}
