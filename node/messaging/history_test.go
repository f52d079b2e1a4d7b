package messaging_test

import (
	"encoding/binary"
	"testing"
	"time"

	"portico/node/canistertest"
	u "portico/node/conformance/universal"
	"portico/node/state"
	"portico/node/types"
)

// maxRemembered is how many calls a subnet remembers.
const maxRemembered = 600_000

func TestACallIsTakenInOnlyIfItCanBeRemembered(t *testing.T) {
	if testing.Short() {
		t.Skip("remembers hundreds of thousands of calls")
	}
	n := canistertest.New(t)
	id := install(t, n, 1)[0]
	history := n.State().Ingress()
	expiry := n.State().Time.Add(time.Minute)
	for i := uint64(history.Len()); i < maxRemembered-1; i++ {
		var request types.RequestID
		binary.BigEndian.PutUint64(request[:], i)
		history.Begin(request, state.IngressEntry{Status: state.Replied, Expiry: expiry})
	}
	count := u.Seq(u.Record(u.Text("+")), u.Reply(u.Text("")))
	calls := []canistertest.Call{{From: user(), To: id, Method: u.Update, Arg: count}, {From: user(), To: id, Method: u.Update, Arg: count}}
	ids := n.SendAll(calls...)
	if _, _, ok := n.Result(ids[0]); !ok {
		t.Error("the last call for which there is room was not answered")
	}
	if history.Get(ids[1]) != nil || history.Len() != maxRemembered {
		t.Errorf("%d calls are remembered", history.Len())
	}
	if got, _ := n.Query(user(), id, u.Query, u.Reply(u.Global())); string(got) != "+" {
		t.Errorf("the calls left %q, want one executed", got)
	}
	n.Tick(2 * time.Minute)
	if _, rej := n.Call(user(), id, u.Update, count); rej != nil {
		t.Errorf("after the others have expired: %v", rej)
	}
}

func TestTheLowMemoryHookGoesBeforeTheMessagesThatWait(t *testing.T) {
	n := canistertest.New(t)
	id := hooked(t, n)
	if _, rej := n.Call(user(), id, u.Update, u.Seq(u.SetGlobal(u.Text("")), u.SetHook(u.LowMemory, u.Record(u.Text("hook "))), u.Reply(u.Text("")))); rej != nil {
		t.Fatal(rej)
	}
	c := n.State().Edit(id)
	threshold := c.Settings.FreezingThreshold
	c.Settings.FreezingThreshold, c.Settings.WasmMemoryThreshold, c.LowMemory = 1<<60, 1<<40, state.LowMemoryReady
	n.Tick(time.Second)
	if c := n.State().Canister(id); c.LowMemory != state.LowMemoryReady {
		t.Fatalf("the hook of a frozen canister is in state %d, want ready", c.LowMemory)
	}
	n.State().Edit(id).Settings.FreezingThreshold = threshold
	if _, rej := n.Call(user(), id, u.Update, u.Seq(u.Record(u.Text("update ")), u.Reply(u.Text("")))); rej != nil {
		t.Fatal(rej)
	}
	if got, _ := n.Query(user(), id, u.Query, u.Reply(u.Global())); string(got) != "hook update " {
		t.Errorf("what ran is %q, want the hook first", got)
	}
}
