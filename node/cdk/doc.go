// Package cdk is for writing canisters in Go.
//
// A canister is a main package whose entry points are exported functions. Each hands
// a handler to the function of this package that serves its kind of message:
//
//	//go:wasmexport canister_query_greet
//	func greet() {
//		cdk.Query(func(m *cdk.Message) error {
//			m.ReplyRaw(append([]byte("Hello "), m.Arg()...))
//			return nil
//		})
//	}
//
//	func main() {}
//
// The exports are named canister_init, canister_pre_upgrade, canister_post_upgrade,
// canister_heartbeat, canister_inspect_message, canister_query_NAME,
// canister_composite_query_NAME and canister_update_NAME; the linker (package link,
// command canister-link) gives them the names of the canister interface. Timers take
// canister_global_timer and the update method cdk_timer.
//
// # Calls
//
// Message.Call blocks its goroutine, not the canister: other messages are served
// until the answer comes. A handler may start goroutines that call at the same time
// and wait for them. Nothing else may outlast a message: a handler that waits for a
// channel nobody will serve traps.
//
// # What is different from an ordinary program
//
// Goroutines run only while the canister executes a message, and never at the same
// time. A trap undoes everything the execution changed in memory, blocked goroutines
// included. time.Now is the network's time; time.Sleep returns as soon as every other
// goroutine is blocked: use After for waits. math/rand and crypto/rand give every
// replica the same numbers, which anybody can compute: ask the management canister's
// raw_rand for secrets. What is printed goes to the canister's log. There are no
// files, no network, no arguments and no environment; the memory is lost on upgrades,
// Stable is kept.
package cdk
