package execution_test

import (
	"encoding/binary"
	"testing"

	"portico/node/canistertest"
	"portico/node/wasm/wat"
)

// grower answers with the pages of its memory: "size" as they are, "grow" after one more,
// which is a query that is run as an update, and so leaves no trace.
const grower = `(module
  (import "ic0" "msg_reply" (func $reply))
  (import "ic0" "msg_reply_data_append" (func $append (param i32 i32)))
  (memory 1)
  (func $answer (i32.store (i32.const 0) (memory.size)) (call $append (i32.const 0) (i32.const 4)) (call $reply))
  (func (export "canister_update size") (call $answer))
  (func (export "canister_query grow") (drop (memory.grow (i32.const 1))) (call $answer))
)`

func TestMemoryThatGrewInAReplicatedQueryIsGone(t *testing.T) {
	n := canistertest.New(t)
	id := n.Install(user(), wat.MustAssemble(grower), nil)
	for _, step := range []struct {
		method string
		want   uint32
	}{{"size", 1}, {"grow", 2}, {"size", 1}, {"grow", 2}, {"grow", 2}, {"size", 1}} {
		reply, rej := n.Call(user(), id, step.method, nil)
		if rej != nil {
			t.Fatal(rej)
		}
		if got := binary.LittleEndian.Uint32(reply); got != step.want {
			t.Errorf("%s: the memory has %d pages, want %d", step.method, got, step.want)
		}
		if got := n.State().Canister(id).Code.HeapBytes; got != 1<<16 {
			t.Errorf("%s: the state has a heap of %d bytes, want %d", step.method, got, 1<<16)
		}
	}
}
