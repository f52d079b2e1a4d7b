package execution_test

import (
	"math/big"
	"strings"
	"testing"
	"time"

	"portico/lightclient/principal"
	"portico/node/canistertest"
	"portico/node/types"
)

const counterSource = `
import Prim "mo:⛔";
persistent actor {
  var count : Nat = 0;
  public func increment() : async Nat { count += 1; count };
  public query func value() : async Nat { count };
  public func raiseAndTrap() : async () { count += 100; Prim.trap("on purpose") };
};
`

func user() principal.ID { return principal.SelfAuthenticating([]byte("user")) }

func nat(t *testing.T, reply []byte, rej *types.Reject) uint64 {
	t.Helper()
	if rej != nil {
		t.Fatal(rej)
	}
	n := new(big.Int)
	canistertest.Decode(t, reply, &n)
	return n.Uint64()
}

// persistences are the two memory models of Motoko: what moc gives by default
// (64-bit memory that upgrades keep) and the classical one.
var persistences = []string{"", "classicOP"}

func each(t *testing.T, test func(t *testing.T, persistence string)) {
	for _, p := range persistences {
		name := p
		if p == "" {
			name = "default"
		}
		t.Run(name, func(t *testing.T) { test(t, p) })
	}
}

func empty(t *testing.T) []byte { return canistertest.Encode(t) }

func TestACounterCountsAndATrapLeavesNoTrace(t *testing.T) {
	each(t, func(t *testing.T, persistence string) {
		wasm := canistertest.Motoko(t, persistence, counterSource)
		n := canistertest.New(t)
		id := n.Install(user(), wasm, empty(t))
		for want := uint64(1); want <= 3; want++ {
			reply, rej := n.Call(user(), id, "increment", empty(t))
			if got := nat(t, reply, rej); got != want {
				t.Fatalf("increment gave %d, want %d", got, want)
			}
		}
		_, rej := n.Call(user(), id, "raiseAndTrap", empty(t))
		if rej == nil || rej.Code.RejectCode() != types.CanisterError || !strings.Contains(rej.Message, "on purpose") {
			t.Fatalf("a trapping method was answered %v", rej)
		}
		for range 3 { // queries leave no trace either
			reply, rej := n.Query(user(), id, "value", empty(t))
			if got := nat(t, reply, rej); got != 3 {
				t.Fatalf("value is %d after a trap, want 3", got)
			}
		}
	})
}

func TestUpgradesKeepStableVariables(t *testing.T) {
	each(t, func(t *testing.T, persistence string) {
		first := canistertest.Motoko(t, persistence, counterSource)
		second := canistertest.Motoko(t, persistence, strings.Replace(counterSource, "count += 1", "count += 10", 1))
		n := canistertest.New(t)
		id := n.Install(user(), first, empty(t))
		reply, rej := n.Call(user(), id, "increment", empty(t))
		nat(t, reply, rej)
		options := canistertest.Options{}
		if persistence == "" {
			if rej := n.InstallCode(user(), id, canistertest.Upgrade(options), second, empty(t)); rej == nil || !strings.Contains(rej.Message, "Missing upgrade option") {
				t.Fatalf("an upgrade that would lose the heap was answered %v", rej)
			}
			options.Persistence = &canistertest.Persistence{Keep: true}
		}
		if rej := n.InstallCode(user(), id, canistertest.Upgrade(options), second, empty(t)); rej != nil {
			t.Fatal(rej)
		}
		reply, rej = n.Call(user(), id, "increment", empty(t))
		if got := nat(t, reply, rej); got != 11 {
			t.Fatalf("the counter is %d after the upgrade, want 11", got)
		}
		if rej := n.InstallCode(user(), id, canistertest.Mode{Reinstall: true}, first, empty(t)); rej != nil {
			t.Fatal(rej)
		}
		reply, rej = n.Query(user(), id, "value", empty(t))
		if got := nat(t, reply, rej); got != 0 {
			t.Fatalf("the counter is %d after a reinstallation, want 0", got)
		}
	})
}

const callerSource = `
persistent actor {
  type Counter = actor { increment : () -> async Nat; raiseAndTrap : () -> async () };
  public func twice(id : Text) : async Nat {
    let counter : Counter = actor (id);
    let a = await counter.increment();
    let b = await counter.increment();
    a * 100 + b
  };
  public func careful(id : Text) : async Text {
    let counter : Counter = actor (id);
    try { await counter.raiseAndTrap(); "no error" } catch (_) { "caught" }
  };
};
`

func TestCallsAcrossCanistersReturn(t *testing.T) {
	each(t, func(t *testing.T, persistence string) {
		n := canistertest.New(t)
		counter := n.Install(user(), canistertest.Motoko(t, persistence, counterSource), empty(t))
		caller := n.Install(user(), canistertest.Motoko(t, persistence, callerSource), empty(t))
		arg := canistertest.Encode(t, counter.String())
		reply, rej := n.Call(user(), caller, "twice", arg)
		if got := nat(t, reply, rej); got != 102 {
			t.Fatalf("twice gave %d, want 102", got)
		}
		reply, rej = n.Call(user(), caller, "careful", arg)
		if rej != nil {
			t.Fatal(rej)
		}
		var text string
		canistertest.Decode(t, reply, &text)
		if text != "caught" {
			t.Fatalf("careful gave %q, want caught", text)
		}
	})
}

const timerSource = `
import Prim "mo:⛔";
persistent actor {
  var fired : Nat = 0;
  transient var every : Nat64 = 60_000_000_000;
  system func timer(set : Nat64 -> ()) : async () { fired += 1; set(Prim.time() + every) };
  public query func count() : async Nat { fired };
};
`

func TestTimersFire(t *testing.T) {
	each(t, func(t *testing.T, persistence string) {
		n := canistertest.New(t)
		id := n.Install(user(), canistertest.Motoko(t, persistence, timerSource), empty(t))
		n.Tick(time.Second)
		for range 3 {
			n.Tick(time.Minute)
			n.Tick(time.Second)
		}
		reply, rej := n.Query(user(), id, "count", empty(t))
		if got := nat(t, reply, rej); got != 4 {
			t.Fatalf("the timer fired %d times in three minutes and a bit, want 4", got)
		}
	})
}
