package messaging_test

import (
	"testing"
	"time"

	"portico/lightclient/principal"
	"portico/node/canistertest"
	u "portico/node/conformance/universal"
)

// nuisance is a way in which a canister uses all that it is allowed.
type nuisance struct {
	name string
	once u.Program // runs before, if there is one
	each u.Program // comes twice with the block, if there is one
}

// nuisances are the ways that rounds feel; queries run beside them.
func nuisances(noisy principal.ID) []nuisance {
	endless := u.Burn(u.Int(10_000_000_000)) // twice the instructions of a message
	done := u.Reply(u.Text(""))
	const pages = 60 << 20
	soon := u.Drop(u.IC0("global_timer_set", u.Int(1)))
	return []nuisance{
		{"messages without end", nil, endless},
		{"messages of nearly a slice", nil, u.Seq(u.Burn(u.Int(230_000_000)), done)},
		{"pages of the heap", nil, u.Seq(u.Drop(u.Fill(1, pages)), done)},
		{"pages of stable memory", u.StableGrow(pages >> 16), u.Seq(u.StableWrite(0, u.Fill(1, pages)), done)},
		{"calls to itself", nil, calls(noisy, 450, nil, u.Code(done))},
		{"a log", nil, u.Seq(u.Repeat(u.Int(2000), u.IC0("debug_print", u.Split(u.Fill('a', 4000)))), done)},
		{"large replies", nil, u.Reply(u.Fill('a', 2<<20))},
		{"heartbeats without end", u.SetHook(u.Heartbeat, endless), nil},
		{"timers without end", u.Seq(u.SetHook(u.Timer, soon, endless), soon), nil},
	}
}

// What a neighbour can cost is rounds, for a round has time for the slices of all lanes. Here is a
// noisy one in every lane, and still a call is answered in the round of its block.
func TestNoisyNeighboursCostNoRounds(t *testing.T) {
	if testing.Short() {
		t.Skip("runs billions of instructions")
	}
	module, err := u.Module(u.Export("canister_heartbeat", u.Heartbeat))
	if err != nil {
		t.Fatal(err)
	}
	for i, way := range nuisances(principal.ID{}) {
		t.Run(way.name, func(t *testing.T) {
			n := canistertest.New(t)
			var first, block []canistertest.Call
			for range 4 {
				noisy := n.Install(user(), module, nil)
				way := nuisances(noisy)[i]
				if way.once != nil {
					first = append(first, canistertest.Call{From: user(), To: noisy, Method: u.Update, Arg: u.Seq(way.once, u.Reply(u.Text("")))})
				}
				if way.each != nil {
					again := canistertest.Call{From: user(), To: noisy, Method: u.Update, Arg: way.each}
					block = append(block, again, again)
				}
			}
			quiet := install(t, n, 1)[0] // the last, which shares a lane
			n.SendAll(first...)
			began := time.Now()
			sent := n.SendAll(append(block, canistertest.Call{From: user(), To: quiet, Method: u.Update, Arg: u.Reply(u.Text("here"))})...)
			reply, rej, ok := n.Result(sent[len(block)])
			if !ok || rej != nil || string(reply) != "here" {
				t.Errorf("in the round of its call the quiet canister answered %q, %v, %v", reply, rej, ok)
			}
			t.Logf("the round took %v", time.Since(began).Round(time.Millisecond))
		})
	}
}
