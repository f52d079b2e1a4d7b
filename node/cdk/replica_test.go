package cdk_test

import (
	"strings"
	"testing"
	"time"

	"portico/node/canistertest"
)

// The same canister on our own replica, which meters, limits and checks contexts.
func TestGoCanisterRunsOnTheReplica(t *testing.T) {
	if testing.Short() {
		t.Skip("compiles a canister twice: to WebAssembly and to machine code")
	}
	wasm, err := hello()
	if err != nil {
		t.Fatal(err)
	}
	n := canistertest.New(t)
	id := n.Create(user)
	if rej := n.InstallCode(user, id, canistertest.Mode{Install: true}, wasm, nil); rej != nil {
		t.Fatal(rej)
	}
	if got, rej := n.Query(user, id, "hello_to_you", []byte("you")); rej != nil || !strings.HasPrefix(string(got), "Hello you "+user.String()) {
		t.Fatalf("query: %q, %v", got, rej)
	}
	for _, want := range []string{"1", "2"} {
		if got, rej := n.Call(user, id, "count", nil); rej != nil || string(got) != want {
			t.Fatalf("count: %q, %v", got, rej)
		}
	}
	if _, rej := n.Call(user, id, "fail", []byte("panic")); rej == nil || !strings.Contains(rej.Message, "panic: at counter 102") {
		t.Errorf("a panic was answered with %v", rej)
	}
	if _, rej := n.Call(user, id, "fail", []byte("block")); rej == nil || !strings.Contains(rej.Message, "would wait for ever") {
		t.Errorf("blocking for ever was answered with %v", rej)
	}
	// nobody lives at the other end
	if _, rej := n.Call(user, id, "call", []byte("x")); rej == nil || !strings.HasPrefix(rej.Message, "called: call rejected (3)") {
		t.Errorf("calling nobody: %v", rej)
	}
	if got, rej := n.Call(user, id, "parallel", []byte("a b c")); rej != nil || strings.Count(string(got), "call rejected (3)") != 3 {
		t.Errorf("calling nobody three times: %q, %v", got, rej)
	}
	if _, rej := n.Call(user, id, "timer", nil); rej != nil {
		t.Fatal(rej)
	}
	for range 20 {
		n.Tick(20 * time.Second)
	}
	if got, rej := n.Query(user, id, "events", nil); rej != nil || string(got) != "every 1,every 2,every 3" {
		t.Errorf("events %q, %v", got, rej)
	}
	if rej := n.InstallCode(user, id, canistertest.Upgrade(canistertest.Options{}), wasm, nil); rej != nil {
		t.Fatal(rej)
	}
	if got, rej := n.Call(user, id, "count", nil); rej != nil || string(got) != "4" {
		t.Errorf("count after the upgrade: %q, %v", got, rej)
	}
}
