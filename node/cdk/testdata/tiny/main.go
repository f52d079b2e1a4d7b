// Command tiny answers every query with its argument: what a canister weighs at least.
package main

import "portico/node/cdk"

//go:wasmexport canister_query_echo
func echo() {
	cdk.Query(func(m *cdk.Message) error {
		m.ReplyRaw(m.Arg())
		return nil
	})
}

func main() {}
