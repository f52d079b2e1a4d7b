package messaging_test

import (
	"testing"
	"time"

	"portico/lightclient/principal"
	"portico/node/canistertest"
	u "portico/node/conformance/universal"
)

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
	for i, way := range u.Nuisances(principal.ID{}) {
		t.Run(way.Name, func(t *testing.T) {
			n := canistertest.New(t)
			var first, block []canistertest.Call
			for range 4 {
				noisy := n.Install(user(), module, nil)
				way := u.Nuisances(noisy)[i]
				if way.Once != nil {
					first = append(first, canistertest.Call{From: user(), To: noisy, Method: u.Update, Arg: u.Seq(way.Once, u.Reply(u.Text("")))})
				}
				if way.Each != nil {
					again := canistertest.Call{From: user(), To: noisy, Method: u.Update, Arg: way.Each}
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
