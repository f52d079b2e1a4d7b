// A token whose accounts are callers.
import Map "mo:core/Map";
import Nat "mo:core/Nat";
import Principal "mo:core/Principal";
import Result "mo:core/Result";

persistent actor class Token(supply : Nat, minter : Principal) {
  let balances = Map.empty<Principal, Nat>();
  var blocks : Nat = 0;
  if (blocks == 0) { Map.add(balances, Principal.compare, minter, supply); blocks := 1 };

  func balance(of : Principal) : Nat = switch (Map.get(balances, Principal.compare, of)) { case (?n) n; case null 0 };

  public shared ({ caller }) func transfer(to : Principal, amount : Nat) : async Result.Result<Nat, { #insufficient : Nat }> {
    let have = balance(caller);
    if (have < amount) return #err(#insufficient have);
    Map.add(balances, Principal.compare, caller, Nat.sub(have, amount));
    Map.add(balances, Principal.compare, to, balance(to) + amount);
    blocks += 1;
    #ok(blocks)
  };

  public query func balanceOf(of : Principal) : async Nat { balance(of) };
  public query func height() : async Nat { blocks };
};
