package cdk_test

import (
	"fmt"
	"io"
	"math/big"

	"portico/lightclient/principal"
	"portico/node/cdk"
)

// A canister that keeps a number: a query, an update that asks another canister, and
// what saves the number over upgrades. In a canister's source each function carries
// the line //go:wasmexport with the name in its comment.
func Example() {
	var total big.Int

	// canister_query_total
	_ = func() {
		cdk.Query(func(m *cdk.Message) error { return m.Reply(&total) })
	}

	// canister_update_add
	_ = func() {
		cdk.Update(func(m *cdk.Message) error {
			var amount *big.Int
			if err := m.Args(&amount); err != nil {
				return err
			}
			allowed, err := m.Call(cdk.Call{Canister: principal.MustParse("aaaaa-aa"), Method: "raw_rand", Arg: []byte("DIDL\x00\x00")})
			if err != nil {
				return fmt.Errorf("asking for permission: %w", err)
			}
			if len(allowed.Arg) == 0 {
				cdk.Trap("the answer is empty") // also undoes what happened since the answer came
			}
			total.Add(&total, amount)
			return m.Reply(&total)
		})
	}

	// canister_pre_upgrade
	_ = func() {
		cdk.PreUpgrade(func(*cdk.Message) error {
			_, err := fmt.Fprintln(io.NewOffsetWriter(cdk.Stable{}, 0), &total)
			return err
		})
	}

	// canister_post_upgrade
	_ = func() {
		cdk.PostUpgrade(func(*cdk.Message) error {
			_, err := fmt.Fscanln(io.NewSectionReader(cdk.Stable{}, 0, cdk.StablePage), &total)
			return err
		})
	}
}
