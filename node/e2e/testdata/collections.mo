// Collections of the core library.
import List "mo:core/List";
import Map "mo:core/Map";
import Nat "mo:core/Nat";
import Queue "mo:core/Queue";
import Set "mo:core/Set";
import Text "mo:core/Text";

persistent actor {
  let counts = Map.empty<Text, Nat>();
  let seen = Set.empty<Nat>();
  let order = List.empty<Text>();
  let recent = Queue.empty<Text>();

  public func add(word : Text) : async Nat {
    let count = switch (Map.get(counts, Text.compare, word)) { case (?n) n + 1; case null 1 };
    Map.add(counts, Text.compare, word, count);
    Set.add(seen, Nat.compare, word.size());
    List.add(order, word);
    Queue.pushBack(recent, word);
    if (Queue.size(recent) > 3) ignore Queue.popFront(recent);
    count
  };

  public query func all() : async { words : Nat; lengths : Nat; last : ?Text; recent : [Text]; sum : Nat } {
    var sum = 0;
    for (n in Map.values(counts)) sum += n;
    { words = Map.size(counts); lengths = Set.size(seen); last = List.last(order); recent = Queue.toArray(recent); sum }
  };
};
