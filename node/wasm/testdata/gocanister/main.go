// Command gocanister is a canister for the engine's tests and benchmarks: it needs
// nothing of the system API but arguments and replies.
package main

import (
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"unsafe"
)

//go:wasmimport ic0 msg_reply_data_append
func replyDataAppend(src unsafe.Pointer, size uint32)

//go:wasmimport ic0 msg_reply
func reply()

func respond(b []byte) {
	replyDataAppend(unsafe.Pointer(unsafe.SliceData(b)), uint32(len(b)))
	reply()
}

var calls int

//go:wasmexport canister_update_count
func count() {
	calls++
	done := make(chan string)
	go func() { done <- fmt.Sprintf("call %d", calls) }()
	respond([]byte(<-done))
}

// work mixes what canisters do: hashing, maps, strings and garbage.
//
//go:wasmexport canister_update_work
func work() {
	words := map[string][]byte{}
	var sum [32]byte
	for i := range 10_000 {
		sum = sha256.Sum256(binary.LittleEndian.AppendUint64(sum[:], uint64(i)))
		words[fmt.Sprintf("%x", sum[:2])] = sum[:]
	}
	respond([]byte(fmt.Sprintf("%d words, %x", len(words), sum[:4])))
}

func main() {}
