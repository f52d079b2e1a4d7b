package execution_test

import (
	"bytes"
	"encoding/binary"
	"testing"

	"portico/lightclient/leb128"
	"portico/lightclient/principal"
	"portico/node/canistertest"
	"portico/node/types"
	"portico/node/wasm/wat"
)

// notebook is a canister that keeps its last argument in its heap, its stable memory, a
// global (the length) and its certified data, and counts how often it was low on memory.
const notebook = `(module
  (import "ic0" "msg_arg_data_size" (func $size (result i32)))
  (import "ic0" "msg_arg_data_copy" (func $copy (param i32 i32 i32)))
  (import "ic0" "msg_reply_data_append" (func $append (param i32 i32)))
  (import "ic0" "msg_reply" (func $reply))
  (import "ic0" "stable64_size" (func $stable_size (result i64)))
  (import "ic0" "stable64_grow" (func $stable_grow (param i64) (result i64)))
  (import "ic0" "stable64_write" (func $stable_write (param i64 i64 i64)))
  (import "ic0" "stable64_read" (func $stable_read (param i64 i64 i64)))
  (import "ic0" "certified_data_set" (func $certify (param i32 i32)))
  (import "ic0" "global_timer_set" (func $timer (param i64) (result i64)))
  (import "ic0" "debug_print" (func $print (param i32 i32)))
  (import "ic0" "trap" (func $trap (param i32 i32)))
  (memory 1)
  (global $length (mut i64) (i64.const 0))
  (func $arg (call $copy (i32.const 100) (i32.const 0) (call $size)))
  (func (export "canister_update write")
    (call $arg)
    (global.set $length (i64.extend_i32_u (call $size)))
    (if (i64.eqz (call $stable_size)) (then (drop (call $stable_grow (i64.const 1)))))
    (call $stable_write (i64.const 0) (i64.const 100) (global.get $length))
    (call $certify (i32.const 100) (call $size))
    (drop (call $timer (i64.const 4000000000000000000)))
    (call $reply))
  (func (export "canister_query read")
    (call $append (i32.const 100) (i32.wrap_i64 (global.get $length)))
    (call $stable_read (i64.const 300) (i64.const 0) (global.get $length))
    (call $append (i32.const 300) (i32.wrap_i64 (global.get $length)))
    (call $reply))
  (func (export "canister_update grow")
    (call $arg)
    (drop (memory.grow (i32.load8_u (i32.const 100))))
    (call $reply))
  (func (export "canister_query lows")
    (call $append (i32.const 8) (i32.const 1))
    (call $reply))
  (func (export "canister_query readprint") (call $arg) (call $print (i32.const 100) (call $size)) (call $reply))
  (func (export "canister_update print") (call $arg) (call $print (i32.const 100) (call $size)) (call $reply))
  (func (export "canister_update fail") (call $arg) (call $trap (i32.const 100) (call $size)))
  (func (export "canister_update crash") unreachable)
  (func (export "canister_global_timer"))
  (func (export "canister_on_low_wasm_memory")
    (i32.store8 (i32.const 8) (i32.add (i32.load8_u (i32.const 8)) (i32.const 1)))))`

// notebookModule has also a public and a private custom section.
func notebookModule() []byte {
	m := wat.MustAssemble(notebook)
	m = appendCustom(m, "icp:public recipe", []byte("bread"))
	return appendCustom(m, "icp:private secret", []byte("salt"))
}

func appendCustom(module []byte, name string, content []byte) []byte {
	body := leb128.AppendUint(nil, uint64(len(name)))
	body = append(append(body, name...), content...)
	return append(leb128.AppendUint(append(module, 0), uint64(len(body))), body...)
}

func write(t *testing.T, n *canistertest.Network, id principal.ID, text string) {
	t.Helper()
	if _, rej := n.Call(user(), id, "write", []byte(text)); rej != nil {
		t.Fatal(rej)
	}
}

// holds checks that all places in which a notebook keeps a text have it.
func holds(t *testing.T, n *canistertest.Network, id principal.ID, text string) {
	t.Helper()
	reply, rej := n.Query(user(), id, "read", nil)
	if rej != nil || string(reply) != text+text {
		t.Fatalf("heap and stable memory hold %q, %v, want %q twice", reply, rej, text)
	}
	if data := n.State().Canister(id).CertifiedData; !bytes.Equal(data, []byte(text)) {
		t.Fatalf("the certified data is %q, want %q", data, text)
	}
}

// proxyCode calls the management canister for its user: the argument of "manage" is the length
// of a method's name, the name, cycles in 8 bytes, and the method's argument. "ask" is a composite query that does so without cycles.
const proxyCode = `(module
  (import "ic0" "msg_arg_data_size" (func $size (result i32)))
  (import "ic0" "msg_arg_data_copy" (func $copy (param i32 i32 i32)))
  (import "ic0" "msg_reply_data_append" (func $append (param i32 i32)))
  (import "ic0" "msg_reply" (func $reply))
  (import "ic0" "msg_reject_msg_size" (func $why_size (result i32)))
  (import "ic0" "msg_reject_msg_copy" (func $why (param i32 i32 i32)))
  (import "ic0" "msg_reject" (func $reject (param i32 i32)))
  (import "ic0" "call_new" (func $new (param i32 i32 i32 i32 i32 i32 i32 i32)))
  (import "ic0" "call_data_append" (func $data (param i32 i32)))
  (import "ic0" "call_cycles_add" (func $cycles (param i64)))
  (import "ic0" "call_perform" (func $perform (result i32)))
  (memory 40)
  (table 2 funcref)
  (elem (i32.const 0) $replied $rejected)
  (func $replied (param i32)
    (call $copy (i32.const 0) (i32.const 0) (call $size))
    (call $append (i32.const 0) (call $size))
    (call $reply))
  (func $rejected (param i32)
    (call $why (i32.const 0) (i32.const 0) (call $why_size))
    (call $reject (i32.const 0) (call $why_size)))
  (func (export "canister_update manage") (local $name i32)
    (call $copy (i32.const 0) (i32.const 0) (call $size))
    (local.set $name (i32.load8_u (i32.const 0)))
    (call $new (i32.const 0) (i32.const 0) (i32.const 1) (local.get $name) (i32.const 0) (i32.const 0) (i32.const 1) (i32.const 0))
    (call $cycles (i64.load (i32.add (local.get $name) (i32.const 1))))
    (call $data (i32.add (local.get $name) (i32.const 9)) (i32.sub (call $size) (i32.add (local.get $name) (i32.const 9))))
    (drop (call $perform)))
  (func (export "canister_composite_query ask") (local $name i32)
    (call $copy (i32.const 0) (i32.const 0) (call $size))
    (local.set $name (i32.load8_u (i32.const 0)))
    (call $new (i32.const 0) (i32.const 0) (i32.const 1) (local.get $name) (i32.const 0) (i32.const 0) (i32.const 1) (i32.const 0))
    (call $data (i32.add (local.get $name) (i32.const 1)) (i32.sub (call $size) (i32.add (local.get $name) (i32.const 1))))
    (drop (call $perform))))`

// proxy is a canister that calls the management canister.
type proxy struct {
	n  *canistertest.Network
	id principal.ID
}

func newProxy(t *testing.T, n *canistertest.Network) proxy {
	return proxy{n, n.Install(user(), wat.MustAssemble(proxyCode), nil)}
}

func (p proxy) manage(t *testing.T, method string, cycles uint64, arg any, into ...any) *types.Reject {
	t.Helper()
	call := append([]byte{byte(len(method))}, method...)
	call = append(binary.LittleEndian.AppendUint64(call, cycles), canistertest.Encode(t, arg)...)
	reply, rej := p.n.Call(user(), p.id, "manage", call)
	if rej == nil {
		canistertest.Decode(t, reply, into...)
	}
	return rej
}

// update sets settings: a struct with those that are to change.
func update[S any](t *testing.T, n *canistertest.Network, id principal.ID, settings S) *types.Reject {
	t.Helper()
	return n.Manage(user(), "update_settings", struct {
		Canister principal.ID `candid:"canister_id"`
		Settings S            `candid:"settings"`
	}{id, settings})
}
