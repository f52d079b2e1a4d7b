package messaging_test

import (
	"fmt"
	"runtime"
	"testing"
	"time"

	"portico/lightclient/principal"
	"portico/node/canistertest"
	"portico/node/execution"
	"portico/node/state"
	"portico/node/types"
)

func benchNetwork(b *testing.B) *canistertest.Network {
	open := execution.DefaultResidency()
	open.Canisters = 1500 // as on a node that has the descriptors
	return canistertest.NewWith(b, canistertest.Setup{
		Subnet: canistertest.Subnet(), Residency: open, Parallel: workers(runtime.GOMAXPROCS(0)), Unchecked: true,
	})
}

// BenchmarkMessage is a message to a warm canister in a round of 1,000, all to one canister.
func BenchmarkMessage(b *testing.B) {
	n := benchNetwork(b)
	id := n.Install(user(), canistertest.Counter(), nil)
	const each = 1000
	calls := make([]canistertest.Call, each)
	for i := range calls {
		calls[i] = canistertest.Call{From: user(), To: id, Method: "inc"}
	}
	report := cpuPer(b, each, "cpu-µs/message")
	for b.Loop() {
		n.SendAll(calls...)
	}
	report()
}

// cpuPer begins to measure processor time; the function it returns reports it for each of n
// things in an iteration.
func cpuPer(b *testing.B, n int, unit string) func() {
	began := cpuTime()
	return func() {
		b.ReportMetric(float64((cpuTime()-began).Nanoseconds())/1000/float64(b.N*n), unit)
	}
}

const heartbeats = 1000

// installAll makes canisters with a module in few rounds.
func installAll(b *testing.B, n *canistertest.Network, count int, module []byte) []principal.ID {
	var ids []principal.ID
	var calls []canistertest.Call
	for range count {
		ids = append(ids, n.Create(user()))
		calls = append(calls, n.InstallCall(user(), ids[len(ids)-1], canistertest.Mode{Install: true}, module, nil))
	}
	n.SendAll(calls...)
	for _, id := range ids {
		if n.State().Canister(id).Code == nil {
			b.Fatalf("canister %s has no code", id)
		}
	}
	return ids
}

// heart is a canister whose heartbeat counts.
const heart = `(module
	(memory 1)
	(func (export "canister_heartbeat") (i64.store (i32.const 0) (i64.add (i64.load (i32.const 0)) (i64.const 1)))))`

func BenchmarkHeartbeats(b *testing.B) {
	n := benchNetwork(b)
	installAll(b, n, heartbeats, assemble(b, heart))
	report := cpuPer(b, heartbeats, "cpu-µs/heartbeat")
	for b.Loop() {
		n.Tick(time.Second)
	}
	report()
}

// BenchmarkInstalled is a round of 100 active canisters among many that do nothing.
func BenchmarkInstalled(b *testing.B) {
	for _, idle := range []int{0, 9900, 99_900} {
		b.Run(fmt.Sprint(idle, " idle"), func(b *testing.B) {
			n := benchNetwork(b)
			var calls []canistertest.Call
			for _, id := range installAll(b, n, 100, canistertest.Counter()) {
				calls = append(calls, canistertest.Call{From: user(), To: id, Method: "inc"})
			}
			pattern := n.State().Canister(calls[0].To)
			for i := range idle {
				c := state.NewCanister(principal.Canister(uint64(1000+i)), n.State().Time)
				c.Settings, c.Code, c.Cycles = pattern.Settings, pattern.Code, types.CyclesOf(100_000_000_000_000)
				n.State().Add(c)
			}
			n.Tick(time.Second)
			report := cpuPer(b, 1, "cpu-µs/round")
			for b.Loop() {
				n.SendAll(calls...)
				n.Tick(time.Second) // time for storage to be charged
			}
			report()
		})
	}
}
