// Saves through upgrade hooks what the classical memory would lose.
import Prim "mo:⛔";

persistent actor {
  transient var entries : [Text] = [];
  var saved : [Text] = [];
  var upgrades : Nat = 0;

  system func preupgrade() { saved := entries };
  system func postupgrade() { entries := saved; saved := []; upgrades += 1 };
  entries := saved;

  public func write(line : Text) : async () {
    entries := Prim.Array_tabulate<Text>(entries.size() + 1, func i = if (i < entries.size()) entries[i] else line);
  };
  public query func read() : async ([Text], Nat) { (entries, upgrades) };
};
