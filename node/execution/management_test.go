package execution_test

import (
	"bytes"
	"math/big"
	"testing"
	"time"

	"portico/lightclient/principal"
	"portico/node/canistertest"
	"portico/node/types"
)

const managerSource = `
persistent actor {
  type Status = { cycles : Nat; module_hash : ?Blob };
  type Info = { total_num_changes : Nat64; controllers : [Principal]; module_hash : ?Blob };
  transient let ic = actor "aaaaa-aa" : actor {
    raw_rand : () -> async Blob;
    create_canister : { settings : ?{ controllers : ?[Principal] } } -> async { canister_id : Principal };
    deposit_cycles : { canister_id : Principal } -> async ();
    canister_status : { canister_id : Principal } -> async Status;
    canister_info : { canister_id : Principal; num_requested_changes : ?Nat64 } -> async Info;
    stop_canister : { canister_id : Principal } -> async ();
    delete_canister : { canister_id : Principal } -> async ();
  };
  public func random() : async Blob { await ic.raw_rand() };
  public func create() : async Principal {
    (await (with cycles = 2_000_000_000_000) ic.create_canister({ settings = null })).canister_id
  };
  public func tooPoor() : async () { ignore await (with cycles = 1) ic.create_canister({ settings = null }) };
  public func deposit(id : Principal) : async Nat {
    await (with cycles = 1_000_000_000_000) ic.deposit_cycles({ canister_id = id });
    (await ic.canister_status({ canister_id = id })).cycles
  };
  public func changes(id : Principal) : async Nat64 {
    (await ic.canister_info({ canister_id = id; num_requested_changes = ?20 })).total_num_changes
  };
  public func remove(id : Principal) : async () {
    await ic.stop_canister({ canister_id = id });
    await ic.delete_canister({ canister_id = id });
  };
};
`

func TestACanisterManagesOthers(t *testing.T) {
	n := canistertest.New(t)
	id := n.Install(user(), canistertest.Motoko(t, "", managerSource), empty(t))
	call := func(method string, arg []byte, into any) *types.Reject {
		reply, rej := n.Call(user(), id, method, arg)
		if rej == nil && into != nil {
			canistertest.Decode(t, reply, into)
		}
		return rej
	}
	must := func(rej *types.Reject) {
		t.Helper()
		if rej != nil {
			t.Fatal(rej)
		}
	}
	var first, second []byte
	must(call("random", empty(t), &first))
	must(call("random", empty(t), &second))
	if len(first) != 32 || bytes.Equal(first, second) {
		t.Errorf("raw_rand gave %x and %x, want 32 different bytes", first, second)
	}

	if rej := call("tooPoor", empty(t), nil); rej == nil {
		t.Error("a canister was created for one cycle")
	}
	var created principal.ID
	must(call("create", empty(t), &created))
	c := n.State().Canister(created)
	if c == nil || !c.IsController(id) || c.Cycles.Cmp(types.CyclesOf(1_500_000_000_000)) > 0 {
		t.Fatalf("created %+v, want it controlled by its creator with what is left of 2 T after the fee of 0.5 T", c)
	}
	balance := new(big.Int)
	must(call("deposit", canistertest.Encode(t, created), &balance))
	if want := big.NewInt(2_500_000_000_000); balance.Cmp(want) > 0 || balance.Cmp(big.NewInt(2_499_000_000_000)) < 0 {
		t.Errorf("the canister has %s cycles after a deposit, want about %s", balance, want)
	}
	var changes uint64
	must(call("changes", canistertest.Encode(t, created), &changes))
	if changes != 1 {
		t.Errorf("canister_info tells of %d changes, want its creation", changes)
	}
	must(call("remove", canistertest.Encode(t, created), nil))
	if n.State().Canister(created) != nil {
		t.Error("the canister is still there")
	}
	if rej := call("changes", canistertest.Encode(t, created), nil); rej == nil {
		t.Error("a deleted canister has a history")
	}
}

// TestNoCyclesAppearOrVanish sums up what canisters have and what was consumed, over
// calls that succeed, trap, are rejected, create, delete and are charged for storage.
func TestNoCyclesAppearOrVanish(t *testing.T) {
	n := canistertest.New(t)
	manager := n.Install(user(), canistertest.Motoko(t, "", managerSource), empty(t))
	counter := n.Install(user(), canistertest.Motoko(t, "", counterSource), empty(t))
	caller := n.Install(user(), canistertest.Motoko(t, "", callerSource), empty(t))
	total := func() *big.Int {
		s := n.State()
		sum := s.Metrics.GoneCycles.Big()
		for _, id := range s.IDs() {
			c := s.Canister(id)
			if len(c.Inbox)+len(c.Callbacks)+len(c.Contexts) > 0 {
				t.Fatalf("canister %s is not at rest", id)
			}
			sum.Add(sum, c.Cycles.Big()).Add(sum, c.Consumed.Big())
		}
		return sum
	}
	before := total()
	arg := canistertest.Encode(t, counter.String())
	for _, call := range []struct {
		to     principal.ID
		method string
		arg    []byte
	}{
		{counter, "increment", empty(t)},
		{counter, "raiseAndTrap", empty(t)},
		{caller, "twice", arg},
		{caller, "careful", arg},
		{caller, "nope", empty(t)},
		{manager, "random", empty(t)},
		{manager, "tooPoor", empty(t)},
	} {
		_, _ = n.Call(user(), call.to, call.method, call.arg) // both outcomes are wanted here
		if after := total(); after.Cmp(before) != 0 {
			t.Fatalf("%s: %s cycles became %s", call.method, before, after)
		}
	}
	reply, rej := n.Call(user(), manager, "create", empty(t))
	if rej != nil {
		t.Fatal(rej)
	}
	var created principal.ID
	canistertest.Decode(t, reply, &created)
	for _, method := range []string{"deposit", "remove"} {
		if _, rej := n.Call(user(), manager, method, canistertest.Encode(t, created)); rej != nil {
			t.Fatal(rej)
		}
	}
	n.Tick(time.Hour)
	if after := total(); after.Cmp(before) != 0 {
		t.Fatalf("%s cycles became %s", before, after)
	}
}
