// An actor that makes canisters of an actor class and asks them all in a composite query.
import Prim "mo:⛔";
import Child "child";

persistent actor {
  var children : [Child.Child] = [];

  public func make(start : Nat) : async Nat {
    let child = await (with cycles = 2_000_000_000_000) Child.Child(start);
    children := Prim.Array_tabulate<Child.Child>(children.size() + 1, func i = if (i < children.size()) children[i] else child);
    await child.add(1)
  };

  public composite query func values() : async [Nat] {
    let out = Prim.Array_init<Nat>(children.size(), 0);
    for (i in children.keys()) out[i] := await children[i].get();
    Prim.Array_tabulate<Nat>(out.size(), func i = out[i])
  };
};
