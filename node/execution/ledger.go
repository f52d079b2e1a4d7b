package execution

import (
	"fmt"
	"math/big"

	"portico/node/state"
	"portico/node/types"
)

// Ledger says where all cycles of a subnet are. No round makes cycles appear or vanish:
// what was minted is what is held, in flight, consumed or gone.
type Ledger struct {
	Minted *big.Int
	// Held by canisters, what they reserved for storage included; InFlight with calls, in
	// open calls and set aside for responses; Consumed by the canisters there are; Gone with
	// deleted canisters, as fees for creations and with calls that timed out.
	Held, InFlight, Consumed, Gone *big.Int
}

// LedgerOf adds up the cycles of a state.
func LedgerOf(s *state.State) Ledger {
	l := Ledger{Minted: s.Metrics.MintedCycles.Big(), Held: new(big.Int), InFlight: new(big.Int), Consumed: new(big.Int), Gone: s.Metrics.GoneCycles.Big()}
	fly := func(c types.Cycles) { l.InFlight.Add(l.InFlight, c.Big()) }
	for _, in := range s.Management {
		fly(in.Request.Cycles)
	}
	for _, r := range s.AwaitingRandomness {
		fly(r.Cycles)
	}
	for _, id := range s.IDs() {
		c := s.Canister(id)
		l.Held.Add(l.Held, c.Cycles.Big()).Add(l.Held, c.Reserved.Big())
		l.Consumed.Add(l.Consumed, c.Consumed.Big())
		for _, in := range c.Inbox {
			switch {
			case in.Request != nil:
				fly(in.Request.Cycles)
			case in.Response != nil:
				fly(in.Response.Refund)
			}
		}
		for _, ctx := range c.Contexts {
			fly(ctx.Available)
		}
		for _, cb := range c.Callbacks {
			fly(cb.Reserved)
		}
		for _, stop := range c.Stops {
			fly(stop.Cycles)
		}
	}
	return l
}

// Check returns an error unless the ledger balances, or more was minted than can be counted.
func (l Ledger) Check() error {
	if l.Minted.Cmp(types.MaxCycles().Big()) == 0 {
		return nil
	}
	sum := new(big.Int).Add(l.Held, l.InFlight)
	sum.Add(sum, l.Consumed).Add(sum, l.Gone)
	if sum.Cmp(l.Minted) != 0 {
		return fmt.Errorf("cycles: %s were minted, but %s held + %s in flight + %s consumed + %s gone are %s", l.Minted, l.Held, l.InFlight, l.Consumed, l.Gone, sum)
	}
	return nil
}
