package sim

import (
	"math/big"
	"strings"
	"testing"
	"time"

	"portico/lightclient/principal"
	"portico/node/ingress"
	"portico/node/replica"
	"portico/node/state"
	"portico/node/types"
)

// ledgered is a state of two canisters: the first has called the second, which works on it, on
// behalf of a user's call. A trillion cycles were minted for each.
func ledgered(c *ingress.Call) *state.State {
	s := state.New(start, 0).Next(start + 1)
	first, second := state.NewCanister(principal.Canister(0), start), state.NewCanister(principal.Canister(1), start)
	s.Add(first)
	s.Add(second)
	first.Cycles, second.Cycles = types.CyclesOf(trillion-100), types.CyclesOf(trillion-30)
	first.Consume(state.UseBurned, types.CyclesOf(40))
	second.Consume(state.UseBurned, types.CyclesOf(30))
	first.Contexts[1] = &state.CallContext{Origin: state.Origin{Kind: state.FromUser, Request: c.RequestID()}, Outstanding: 1}
	first.Callbacks[2] = &state.Callback{Context: 1, Callee: second.ID, Cycles: types.CyclesOf(50), Reserved: types.CyclesOf(10)}
	first.Pending[second.ID] = 1
	second.Contexts[1] = &state.CallContext{Origin: state.Origin{Kind: state.FromCanister, Sender: first.ID, Callback: 2}, Available: types.CyclesOf(50)}
	s.Metrics.MintedCycles, s.Metrics.ConsumedCycles = types.CyclesOf(2*trillion), types.CyclesOf(70)
	s.Ingress().Begin(c.RequestID(), state.IngressEntry{Status: state.Processing, Receiver: first.ID, Expiry: c.Expiry()})
	return s
}

// auditOf expects both balances from a further call, which was answered in this round.
func auditOf(s *state.State) *audit {
	a := newAudit(state.New(start, 0))
	given, expiry := types.RequestID{1}, start.Add(time.Minute)
	a.open[given], a.owed[given], a.expiry[given] = true, big.NewInt(2*trillion), expiry
	s.Ingress().Begin(given, state.IngressEntry{Status: state.Replied, Expiry: expiry})
	return a
}

func TestTheAuditNoticesWhatMustNotBe(t *testing.T) {
	c := call(t, start.Add(time.Minute))
	response := state.Input{Response: &state.Response{Receiver: principal.Canister(0), Callback: 2}}
	for name, test := range map[string]struct {
		spoil   func(s *state.State, first, second *state.Canister)
		noticed string // nothing if all is well
	}{
		"nothing":       {func(*state.State, *state.Canister, *state.Canister) {}, ""},
		"cycles vanish": {func(_ *state.State, first, _ *state.Canister) { first.Cycles = types.CyclesOf(1) }, "were minted"},
		"a user gave none": {func(s *state.State, first, _ *state.Canister) {
			s.Metrics.MintedCycles = types.CyclesOf(2*trillion + 1)
			first.Credit(types.CyclesOf(1))
		}, "users were given"},
		"what is consumed": {func(s *state.State, _, _ *state.Canister) { s.Metrics.ConsumedCycles = types.CyclesOf(71) }, "the metrics say"},
		"a lost call":      {func(_ *state.State, first, second *state.Canister) { second.Contexts[1].Origin.Kind = state.FromSystem }, "0 will come"},
		"two calls": {func(s *state.State, _, second *state.Canister) {
			copied := *second.Contexts[1]
			copied.Available = types.Cycles{}
			second.Contexts[9] = &copied
		}, "2 will come"},
		"an early response": {func(_ *state.State, first, _ *state.Canister) { first.Inbox = append(first.Inbox, response) }, "does not wait for it"},
		"a lost response":   {func(_ *state.State, first, _ *state.Canister) { first.Callbacks[2].Answered = true }, "answered by 0"},
		"a busy context":    {func(_ *state.State, first, _ *state.Canister) { first.Contexts[1].Outstanding = 2 }, "waits for 2"},
		"no context":        {func(_ *state.State, first, _ *state.Canister) { delete(first.Contexts, 1) }, "without a context"},
		"a wrong count":     {func(_ *state.State, first, _ *state.Canister) { first.Pending[first.ID] = 1 }, "are pending"},
	} {
		s := ledgered(c)
		test.spoil(s, s.Canister(principal.Canister(0)), s.Canister(principal.Canister(1)))
		err := auditOf(s).take(s, &replica.Batch{Height: 1, Calls: []*ingress.Call{c}})
		switch {
		case test.noticed == "" && err != nil:
			t.Errorf("%s: %v", name, err)
		case test.noticed != "" && (err == nil || !strings.Contains(err.Error(), test.noticed)):
			t.Errorf("%s: %v, want it to say %q", name, err, test.noticed)
		}
	}
}

func TestTheAuditFollowsFromRoundToRound(t *testing.T) {
	c := call(t, start.Add(time.Minute))
	for name, test := range map[string]struct {
		next    func(s *state.State) *state.State
		noticed string
	}{
		"nothing":           {func(s *state.State) *state.State { return s.Next(s.Time + 1) }, ""},
		"another state":     {func(s *state.State) *state.State { s.NextCanister++; return s }, "the whole state"},
		"a height left out": {func(s *state.State) *state.State { return s.Next(s.Time + 1).Next(s.Time + 2) }, "it follows height 1"},
		"a forgotten call": {func(s *state.State) *state.State {
			next := s.Next(s.Time + 1)
			next.Ingress().Set(c.RequestID(), state.Replied, nil, nil)
			next.Ingress().Expire(start.Add(2 * time.Minute))
			return next
		}, "is forgotten"},
		"cycles come back": {func(s *state.State) *state.State {
			next := s.Next(s.Time + 1)
			first := next.Edit(principal.Canister(0))
			first.Consumed, first.Cycles = types.CyclesOf(39), first.Cycles.Add(types.CyclesOf(1))
			next.Metrics.ConsumedCycles = types.CyclesOf(69)
			return next
		}, "were consumed or gone"},
	} {
		s := ledgered(c)
		a := auditOf(s)
		if err := a.take(s, &replica.Batch{Height: 1, Calls: []*ingress.Call{c}}); err != nil {
			t.Fatal(err)
		}
		if err := a.settled(); err == nil || !strings.Contains(err.Error(), "have no answer") {
			t.Errorf("with an open call it is settled: %v", err)
		}
		err := a.take(test.next(s), &replica.Batch{Height: 2})
		switch {
		case test.noticed == "" && err != nil:
			t.Errorf("%s: %v", name, err)
		case test.noticed != "" && (err == nil || !strings.Contains(err.Error(), test.noticed)):
			t.Errorf("%s: %v, want it to say %q", name, err, test.noticed)
		}
	}
}
